//! `mirror`: the command of the Mirror File System.
mod audit;
mod cli;
mod cmd;
mod fail;
mod launch;
mod output;
mod pair;
mod signal;
mod sync;
mod text;
mod tree;

/// Tells libmirror.so, when LD_PRELOAD is exported, that this program stays outside the mirror: an ELF
/// note, name "Mirror", type 1, one word.
#[repr(C, align(4))]
struct Note {
    name_len: u32,
    desc_len: u32,
    kind: u32,
    name: [u8; 8],
    desc: u32,
}

#[used]
#[unsafe(link_section = ".note.mirror")]
static NOTE: Note = Note {
    name_len: 8,
    desc_len: 4,
    kind: 1,
    name: *b"Mirror\0\0",
    desc: 1,
};

fn main() -> std::process::ExitCode {
    signal::default_pipe();
    signal::ignore_size();
    signal::raise_descriptors();
    cli::run()
}

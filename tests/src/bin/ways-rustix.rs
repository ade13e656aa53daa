//! A Rust program whose system calls are rustix' own instructions: it makes the file that it is given.
use rustix::fs::{Mode, OFlags, open};

fn main() {
    let path = std::env::args().nth(1).expect("a path");
    let flags = OFlags::CREATE | OFlags::WRONLY;
    let file = open(path, flags, Mode::from_raw_mode(0o640)).expect("a new file");
    rustix::io::write(&file, b"touched\n").expect("a written file");
}

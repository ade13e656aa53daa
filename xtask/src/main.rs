//! `cargo xtask …`: everything that a developer or CI does with this repository.
mod bench;
mod build;
mod demo;
mod ebpf;
mod house;
mod install;
mod interrupt;
mod kernels;
mod leftovers;
mod process;
mod programs;
mod suites;
mod supply;
mod test;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND
  build                        mirror, libmirror.so and mirror-run into target/dist
  test [--install] [--net | --audit] [FILTER]…
                               build, then tidy and every test; the last line is `N passed, N failed, N skipped`
                               (FILTER: part of `suite test_name`; --install: apt-get what is missing; --net: all
                               their programs have the net under system call instructions)
  tidy                         format, lints, crate arrows, the built library, house rules
  ebpf                         compiles the audit's programs for the kernel into ebpf/audit.bpf.o (clang-14)
  kernels [--only WORD] [FILTER]…
                               boots Debian's kernels in emulated machines (root, qemu, virtiofsd), and runs there what
                               depends on the kernel, or these tests (--only: kernels with that in their names)
  rooms [--files] [CRATE]…     the rooms of each crate, their arrows, and what goes in a circle (--files: of
                               each file, and the names that are taken)
  coverage                     writes docs/COVERAGE.md: what becomes of each way to change a file
  sweep [OPERATIONS [CALL [ERRORS]]]
                               strikes every system call of every operation (suite `sweep`), or these: lists with
                               commas between, or `all`
  demo                         the main job, step by step, in /tmp/mfs-demo (or mfs-demo-UID)
  programs [--install] [--write] [FILTER]…
                               real programs, natively and mirrored, against the table in docs/PROGRAMS.md
                               (FILTER: part of a name in tests/programs.d; --install: get what is missing, Debian's
                               packages as root; --write: the outcome goes into the table)
  bench [--quick] [--peers]    ratios to a plain directory, to two writes by hand and to other file systems
        [--only w2,w3] [--rounds N] [--on DIR] [--from FILE.json]
        [--write-readme]       puts the figures and the profiles into README.md and docs/
  profile [--quick] [w2 w3 …]  where each microsecond of a loop goes, call by call
          [--write-doc]        puts them into docs/PERFORMANCE.md";

/// What a command of this tool returns; `Err` is printed.
type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or(&[]);
    if !args.first().is_some_and(|a| a.starts_with("demo-")) {
        std::env::set_current_dir(root()).expect("the repository's root");
    }
    let result = match args.first().map(String::as_str) {
        Some("build") if rest.is_empty() => build::build().map(|_| true),
        Some("test") => test::test(rest),
        Some("tidy") if rest.is_empty() => tidy::tidy(),
        Some("ebpf") if rest.is_empty() => ebpf::ebpf(),
        Some("kernels") => kernels::kernels(rest),
        Some("rooms") => house::show(rest),
        Some("coverage") if rest.is_empty() => test::coverage(),
        Some("sweep") => test::sweep(rest),
        Some("demo") if rest.is_empty() => demo::demo(),
        Some("programs") => programs::programs(rest),
        Some("bench") => bench::bench(rest),
        Some("profile") => bench::profile(rest),
        // What the demo starts as an ordinary program of its own.
        Some("demo-writer") => return ended(demo::writer(rest)),
        Some("demo-cost") => return ended(demo::cost_loop(rest)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(64);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("xtask: {e}");
            ExitCode::FAILURE
        }
    }
}

/// The end of a helper process.
fn ended(r: std::io::Result<()>) -> ExitCode {
    r.map_or_else(
        |e| {
            eprintln!("xtask: {e}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

/// Tells the harness, when this tool uses it, where the built files are.
fn use_dist() {
    // SAFETY: this tool has one thread when it calls this.
    unsafe { std::env::set_var("MIRROR_DIST", dist()) };
}

/// The repository's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the repository")
}

/// Cargo's target directory.
fn target() -> PathBuf {
    root().join(
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from),
    )
}

/// Where the built files go.
fn dist() -> PathBuf {
    target().join("dist")
}

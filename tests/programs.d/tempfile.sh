# title: a Rust program with the tempfile crate
# group: Languages and their tools
# does: NamedTempFile::persist, persist_noclobber, tempdir
# needs: cargo cc
# packages: gcc
# also: MIRROR_NET=always
# version: cargo --version
# network: yes
# limit: 600
# note: the crate renames by rustix, which makes its system calls with an instruction of its own.

work() {
    here=$PWD; cd "$S"; cargo new -q job --vcs none; cd job; echo 'tempfile = "3"' >> Cargo.toml
    printf '%s\n' 'use std::io::Write;' 'fn main() { let d = std::env::args().nth(1).unwrap(); for i in 0..5 { let mut f = tempfile::NamedTempFile::new_in(&d).unwrap(); writeln!(f, "file {i}").unwrap(); if i % 2 == 0 { f.persist(format!("{d}/p{i}")).unwrap(); } else { f.persist_noclobber(format!("{d}/n{i}")).unwrap(); } } let t = tempfile::tempdir_in(&d).unwrap(); std::fs::write(t.path().join("x"), "x").unwrap(); std::fs::rename(t.keep(), format!("{d}/kept")).unwrap(); }' > src/main.rs
    cargo build -q; cd "$here"; "$S/job/target/debug/job" "$here"
}

check() { sums .; ls; }

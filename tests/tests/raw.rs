//! What the kernel reads of a call's registers: 32 bits of the number and of flags. The plain directory's
//! answers, equal legs, by libc's `syscall` and by instructions of the program's own.
use mirror_tests::{Kind, Pair, compile};

fn both(pair: &Pair, what: &str) {
    if !helper(pair) {
        return;
    }
    // By an instruction of its own it gets the net by itself.
    for by in ["libc", "own"] {
        let o = pair.both_ok(&format!("mkdir $V/{by}; cd $V/{by}; $P/raw {by} {what}"));
        assert!(o.text().lines().count() > 2, "{o:?}");
    }
}

fn helper(pair: &Pair) -> bool {
    let source = include_str!("../programs/raw.c");
    compile(&pair.programs(), "raw", source).is_some()
}

#[test]
fn numbers_with_more_than_32_bits() {
    Pair::with(Kind::InPlace, |pair| both(pair, "numbers"));
}

#[test]
fn flags_with_more_than_32_bits() {
    Pair::with(Kind::InPlace, |pair| both(pair, "flags"));
}

#[test]
fn openat2_within_a_directory_as_the_root() {
    Pair::with(Kind::InPlace, |pair| both(pair, "in_root"));
}

/// `..` stays in the directory.
#[test]
fn openat2_out_of_a_directory_as_the_root() {
    Pair::with(Kind::InPlace, |pair| both(pair, "out_of_root"));
}

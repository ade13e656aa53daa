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
        assert!(o.text().lines().count() > 5, "{o:?}");
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

/// Natively `..` stays in the directory; where a pair may be reached it is refused: both legs or none.
#[test]
fn openat2_out_of_a_directory_as_the_root() {
    Pair::with(Kind::InPlace, |pair| {
        if !helper(pair) {
            return;
        }
        let o = pair.run("cd $V; $P/raw libc out_of_root").ok();
        let refused = format!("{}", -libc::EXDEV);
        assert!(o.text().lines().all(|l| l.ends_with(&refused)), "{o:?}");
        pair.assert_equal();
    });
}

//! Every combination of flags of an open at every kind of object, and what the kernel moves itself from and to every
//! sort of descriptor: the answers of a plain directory, and equal trees. The tables are in
//! `tests/programs/answers_flags.c`; each prints a line a call.
use mirror_tests::{Kind, Pair, compile};

fn table(args: &str, lines: usize) {
    let pair = Pair::striped(Kind::InPlace, None);
    let source = include_str!("../programs/answers_flags.c");
    if compile(&pair.programs(), "answers_flags", source).is_none() {
        return;
    }
    let o = pair.both(&format!("$P/answers_flags {args}"));
    assert_eq!(o.code, 0, "{args}: {o:?}");
    let n = o.text().lines().count();
    assert!(n >= lines, "{args}: {n} lines");
}

macro_rules! tables {
    ($($name:ident: $args:expr, $lines:expr;)+) => {
        $(#[test] fn $name() { table($args, $lines); })+
    };
}

tables! {
    openat: "opens openat", 81_000;
    openat_beside_threads: "opens openat threads", 81_000;
    openat2: "opens openat2", 81_000;
    openat2_beside_threads: "opens openat2 threads", 81_000;
    openat2_beneath: "opens openat2.beneath", 81_000;
    openat2_beneath_beside_threads: "opens openat2.beneath threads", 81_000;
    what_the_kernel_moves: "moves", 50_000;
    names_in_a_removed_directory: "removed", 360;
    descriptors_of_what_may_not_be_reached: "closed", 90;
}

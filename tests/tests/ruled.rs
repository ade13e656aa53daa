//! openat2 by a program that has rules of its own (RESOLVE_BENEATH, RESOLVE_IN_ROOT …): no symlink leads the
//! library anywhere else than the kernel. The plain directory's answers and files, equal legs, nothing beside them.
use mirror_tests::{Kind, Pair, compile};

#[test]
fn symlinks_under_rules_of_the_program() {
    Pair::with(Kind::InPlace, |pair| {
        let source = include_str!("../programs/ruled.c");
        if compile(&pair.programs(), "ruled", source).is_none() {
            return;
        }
        // What "as deep as it goes" would reach lies in the tree too.
        let o = pair.both_ok("mkdir -p $V/1/2/3; cd $V/1/2/3; $P/ruled");
        assert!(o.text().lines().count() > 2300, "{o:?}");
    });
}

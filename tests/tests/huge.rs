//! Files of sizes that one leg's file system holds and the other's does not: what the second leg refuses is
//! taken back, for every call, whichever of the legs it is.
use mirror_tests::FsType::{Btrfs, Ext4, Xfs};
use mirror_tests::{Fs, FsType, Kind, Pair, compile, need};

fn on(a: FsType, b: FsType) {
    need!(root);
    let Some(pair) = Pair::new(Kind::InPlace, Fs::Loop(a, b)) else {
        return;
    };
    let source = include_str!("../programs/huge.c");
    if compile(&pair.programs(), "huge", source).is_none() {
        return;
    }
    let o = pair.run("cd $V; $P/huge $A $B").ok();
    assert!(o.text().ends_with("calls 140 differ 0"), "{o:?}");
    pair.assert_equal();
}

#[test]
fn sizes_that_only_the_first_leg_holds() {
    on(Xfs, Ext4);
}

#[test]
fn sizes_that_only_the_second_leg_holds() {
    on(Ext4, Xfs);
}

#[test]
fn sizes_beside_a_leg_without_shifts() {
    on(Xfs, Btrfs);
}

//! A pair that may not be changed: what the kernel says before that is said before it. The other leg is on a
//! read-only mount; or the pair is another user's.
use mirror_tests::{Kind, Level, Output, Pair, Tree, compile, need};

const SOURCE: &str = include_str!("../programs/refusals.c");

const FILLED: &str = "mkdir d; echo f > f; echo in > d/in; ln -s f s; ln -s nothing gone; setfattr -n user.kept -v v f 2>/dev/null; touch -h -d @1000000000 f d/in s gone d";

/// The same answers line by line, but for the lines that `but` knows.
fn same(native: &Output, mirrored: &Output, but: &[&str]) {
    assert_eq!(
        (native.code, mirrored.code),
        (0, 0),
        "{native:?} {mirrored:?}"
    );
    let (native, mirrored) = (native.text(), mirrored.text());
    assert_eq!(native.lines().count(), mirrored.lines().count());
    let mut wrong = Vec::new();
    for (n, m) in native.lines().zip(mirrored.lines()) {
        if n != m && !but.iter().any(|b| n.starts_with(b)) {
            wrong.push(format!("{n}, mirrored {m}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn the_other_leg_is_read_only(kind: Kind) {
    need!(root);
    need!("unshare", "mount");
    let pair = Pair::striped(kind, None);
    if compile(&pair.programs(), "refusals", SOURCE).is_none() {
        return;
    }
    pair.run(&format!("cd $V; {FILLED}")).ok();
    let before = Tree::read(pair.a());
    let native = pair.in_namespace(&format!(
        "mkdir $S/plain && cd $S/plain && {FILLED}; mount --bind $S/plain $S/plain && mount -o remount,bind,ro $S/plain || exit 77
         exec $P/refusals $S/plain"
    ));
    let mirrored = pair.in_namespace(
        "mount --bind $B $B && mount -o remount,bind,ro $B || exit 77
         exec $D/mirror-run $P/refusals $V",
    );
    let (Some(native), Some(mirrored)) = (native, mirrored) else {
        return;
    };
    same(&native, &mirrored, &[]);
    for leg in [pair.a(), pair.b()] {
        let changed = Tree::read(leg).differences(&before, Level::Strict);
        assert!(changed.0.is_empty(), "{:?}", changed.0);
    }
}

#[test]
fn the_other_leg_is_read_only_in_place() {
    the_other_leg_is_read_only(Kind::InPlace);
}

#[test]
fn the_other_leg_is_read_only_link() {
    the_other_leg_is_read_only(Kind::Link);
}

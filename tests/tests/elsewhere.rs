//! Legs that are reached by paths which are not their own: bind mounts, file systems that are mounted twice,
//! renamed directories above them, other mount namespaces, /proc. What is changed there is changed on both legs
//! with a plain directory's answer, or not at all with an error.
use mirror_tests::{Fs, Kind, Level, Output, Pair, Tree, compile, need};
use std::collections::BTreeMap;

fn pair(kind: Kind) -> Option<Pair> {
    let pair = Pair::new(kind, Fs::Plain)?;
    compile(
        &pair.programs(),
        "elsewhere",
        include_str!("../programs/elsewhere.c"),
    )?;
    let made = pair.run("mkdir -p $V/sub/t $S/x $S/y && $P/elsewhere prepare $V/sub/t");
    assert_eq!(made.code, 0, "{made:?}");
    Some(pair)
}

fn lines(o: &Output) -> BTreeMap<String, String> {
    let text = o.text();
    let words = text.lines().filter_map(|l| l.rsplit_once(' '));
    words.map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

/// What a plain directory answers in `S/x`, by texts as long as those of the case.
fn native(pair: &Pair) -> BTreeMap<String, String> {
    let o = pair.bypass(
        "mkdir -p $S/n/sub/t && $P/elsewhere prepare $S/n/sub/t && $P/elsewhere go $S/n/sub/t",
    );
    assert_eq!(o.code, 0, "{o:?}");
    lines(&o)
}

/// How a case has to end.
enum Wanted {
    /// As a plain directory's.
    Equal,
    /// The same, or with an error and nothing changed.
    Safe,
    /// With these errors and nothing changed, and it is on record.
    Refused,
}

/// Goes by `path` in a mount namespace that `set` has arranged (shell; 77: cannot), and `back` undoes what is
/// left of it.
fn case(kind: Kind, set: &str, path: &str, back: &str, wanted: &Wanted) {
    need!(root);
    need!("unshare", "mount");
    let Some(pair) = pair(kind) else { return };
    let script = format!("{set}\n$D/mirror-run $P/elsewhere go {path}; r=$?\n{back}\nexit $r");
    judge(&pair, &script, wanted);
}

fn judge(pair: &Pair, script: &str, wanted: &Wanted) {
    let before = Tree::read(pair.a());
    let Some(o) = pair.in_namespace(script) else {
        return;
    };
    println!("{o:?}");
    let found = lines(&o);
    pair.assert_legs(Level::Strict);
    let native = native(pair);
    let mut differ = Vec::new();
    for (call, answer) in &found {
        if native.get(call) != Some(answer) {
            assert_ne!(answer, "ok", "{call}");
            differ.push(format!("{call} {answer}"));
        }
    }
    match wanted {
        Wanted::Equal => {
            assert!(differ.is_empty(), "{}", differ.join("\n"));
            assert!(found.len() > 90, "{}", found.len());
            assert_eq!(o.code, 0);
            same_trees(pair);
        }
        Wanted::Safe => {}
        Wanted::Refused => {
            assert!(found.values().all(|a| a != "ok"), "{found:?}");
            assert!(!found.is_empty());
            let after = Tree::read(pair.a());
            assert!(before.differences(&after, Level::Strict).0.is_empty());
            let status = pair.mirror("status", &[pair.v().to_str().expect("text")]);
            assert!(
                status.text().contains("by a path that is not its own"),
                "{status:?}"
            );
        }
    }
}

/// The leg has what a plain directory has.
fn same_trees(pair: &Pair) {
    let plain = Tree::read(&pair.scratch().join("n/sub/t"));
    let leg = Tree::read(&pair.a().join("sub/t"));
    let d = plain.differences(&leg, Level::NoTimes);
    assert!(d.0.is_empty(), "{d}");
}

macro_rules! cases {
    ($($name:ident: $kind:ident, $set:expr, $path:expr, $back:expr, $wanted:ident;)+) => {
        $(#[test] fn $name() { case(Kind::$kind, $set, $path, $back, &Wanted::$wanted); })+
    };
}

cases! {
    bind_of_leg_a: InPlace, "mount --bind $A $S/x || exit 77", "$S/x/sub/t", "", Equal;
    bind_of_leg_b: Link, "mount --bind $B $S/x || exit 77", "$S/x/sub/t", "", Equal;
    bind_of_a_part_of_leg_a: InPlace, "mount --bind $A/sub $S/x || exit 77", "$S/x/t", "", Equal;
    bind_of_a_part_of_leg_b: InPlace, "mount --bind $B/sub $S/x || exit 77", "$S/x/t", "", Equal;
    bind_of_a_bind: Link,
        "mount --bind $A $S/x && mount --bind $S/x/sub/t $S/y || exit 77", "$S/y", "", Equal;
    bind_of_what_is_above: InPlace, "mount --bind / $S/x || exit 77", "$S/x$A/sub/t", "", Equal;
    moved_mount: InPlace,
        "mount --make-rprivate / && mount --bind $A/sub $S/x && mount --move $S/x $S/y || exit 77",
        "$S/y/t", "", Equal;
    read_only_bind: InPlace,
        "mount --bind $A/sub $S/x && mount -o remount,bind,ro $S/x || exit 77", "$S/x/t", "", Safe;
    own_path_is_covered: InPlace,
        "mount --bind $A $S/x && mount -t tmpfs none $A || exit 77", "$S/x/sub/t", "", Refused;
    moved_before: InPlace, "mv $A $S/moved", "$S/moved/sub/t", "mv $S/moved $A", Refused;
    moved_before_and_replaced: InPlace,
        "mv $A $S/moved; mkdir $A", "$S/moved/sub/t", "rmdir $A; mv $S/moved $A", Refused;
    root_of_proc: InPlace, "mount --bind $A/sub $S/x || exit 77", "/proc/self/root$S/x/t", "", Equal;
    cwd_of_another: InPlace,
        "(cd $A/sub; exec sleep 1000) & n=$!; until [ \"$(readlink /proc/$n/cwd)\" = $A/sub ]; do :; done",
        "/proc/$n/cwd/t", "kill $n", Equal;
}

/// What is mounted in another namespace.
#[test]
fn root_of_another_namespace() {
    case(
        Kind::InPlace,
        "unshare -m sh -c 'mount --bind $A/sub $S/x && touch $S/there && exec sleep 1000' & n=$!
         until [ -e $S/there ] || ! kill -0 $n; do :; done; [ -e $S/there ] || exit 77",
        "/proc/$n/root$S/x/t",
        "kill $n",
        &Wanted::Safe,
    );
}

/// Moved while a program is attached.
#[test]
fn moved_meanwhile() {
    need!(root);
    need!("unshare");
    let Some(pair) = pair(Kind::InPlace) else {
        return;
    };
    let script = "coproc C { $D/mirror-run $P/elsewhere wait $S/moved/sub/t $V/first; }
        exec 4<&${C[0]} 5>&${C[1]}; c=$C_PID
        read line <&4; [ \"$line\" = ready ] || exit 3
        mv $A $S/moved; echo >&5; exec 5>&-; cat <&4; wait $c; r=$?
        mv $S/moved $A; exit $r";
    judge(&pair, script, &Wanted::Safe);
}

/// A file of a leg at another place.
#[test]
fn bind_of_a_file() {
    need!(root);
    need!("unshare", "mount");
    let Some(pair) = pair(Kind::InPlace) else {
        return;
    };
    for change in [
        "echo more >> $S/f",
        "echo new > $S/f",
        "cd $S; echo new > f",
        "truncate -s 2 $S/f",
        "chmod 600 $S/f",
        "cd $S; chmod 640 f",
        "touch -d @5 $S/f",
        "exec 5<$S/f; chmod 604 /proc/self/fd/5",
    ] {
        std::fs::write(pair.programs().join("inner.sh"), change).expect("a script");
        let script = "touch $S/f; mount --bind $A/sub/t/cwd/file $S/f || exit 77; $D/mirror-run bash $P/inner.sh";
        let Some(o) = pair.in_namespace(script) else {
            return;
        };
        println!("{change}: {o:?}");
        pair.assert_legs(Level::Strict);
    }
}

/// A process that has worked beside them, and remembers that as outside.
#[test]
fn what_is_remembered_is_no_door() {
    need!(root);
    need!("unshare", "mount");
    let Some(pair) = pair(Kind::InPlace) else {
        return;
    };
    for (way, answer) in [
        ("overwrite", "ok"),
        ("empty", "ok"),
        ("relative", "ok"),
        ("cwd", "ok"),
        ("truncate", "ok"),
        ("chmod", "ok"),
        ("lchown", "ok"),
        ("lutimens", "ok"),
        ("lsetxattr", "ok"),
        ("unlink", "EBUSY"),
        ("chmod-directory", "ok"),
        ("lchown-directory", "ok"),
        ("utimens-directory", "ok"),
        ("rmdir-directory", "EBUSY"),
        ("create-below", "ok"),
        ("mkdir-below", "ok"),
    ] {
        let script = format!(
            "touch $S/f; mount --bind $A/sub/t/cwd/file $S/f && mount --bind $A/sub/t/dirfd $S/x || exit 77
             $D/mirror-run $P/elsewhere warm $S {way}"
        );
        let Some(o) = pair.in_namespace(&script) else {
            return;
        };
        println!("{o:?}");
        assert_eq!(o.ok().text(), format!("warm {way} {answer}"));
        pair.assert_legs(Level::Strict);
    }
}

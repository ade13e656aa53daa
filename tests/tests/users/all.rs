//! A pair that everybody may use (`--share all`): the trees' own rights decide, as in a plain directory. What such users
//! can do to each other ends no program, hangs none, and changes no leg alone.
use super::{ANN, BEN, RACE, ROOT, STRANGER, Who, healthy, open_legs, runtime};
use mirror_tests::{Fs, Kind, Output, Pair, each_kind, in_place, need};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;

/// Users that no group joins.
const LONE: [Who; 3] = [ROOT, Who(ANN.0, &[], 0o022), Who(BEN.0, &[], 0o022)];

/// The roots have this mode, the plain directory beside leg A too.
fn open_to_all(kind: Kind, mode: u32) -> Pair {
    let pair = Pair::bare(kind, Fs::Plain).expect("plain folders can always be made");
    open_legs(&pair, 0, 0, mode);
    fs::set_permissions(pair.native(), fs::Permissions::from_mode(mode)).unwrap();
    pair.init(&["--share", "all"]).ok();
    pair
}

/// `users.py` with these arguments: what it prints and leaves is the same natively.
fn same(pair: &Pair, args: &str) {
    fs::write(
        pair.programs().join("users.py"),
        include_str!("../../programs/users.py"),
    )
    .unwrap();
    pair.both_ok(&format!("/usr/bin/python3 $P/users.py {args}"));
}

mod kinds {
    use super::*;
    each_kind! {
        fn users_have_the_rights_of_the_trees(pair) {
            need!(root);
            need!("python3");
            // Made anew, for all.
            let pair = open_to_all(pair.kind(), 0o1777);
            same(&pair, "folders");
            for round in ["root ann ben", "ben root ann root"] {
                same(&pair, &format!("as {round}"));
            }
            healthy(&pair);
        }

        fn programs_change_users(pair) {
            need!(root);
            need!("python3");
            let pair = open_to_all(pair.kind(), 0o755);
            same(&pair, "folders");
            same(&pair, "as root");
            same(&pair, "untouched ann ben");
            same(&pair, "drops ann ben ann");
            healthy(&pair);
        }
    }
}

#[test]
fn users_write_at_once() {
    need!(root);
    need!("python3");
    let pair = open_to_all(Kind::InPlace, 0o1777);
    let script = pair.programs().join("race.py");
    fs::write(&script, RACE).unwrap();
    ROOT.runs(&pair, "mkdir -m 777 $V/d; : > $V/d/log; chmod 666 $V/d/log")
        .ok();
    let all: Vec<_> = LONE
        .iter()
        .map(|who| {
            let mut c = pair.command("/usr/bin/python3");
            c.arg(&script).arg(format!("u{}", who.0));
            c.env("V", pair.v().join("d"));
            Who(who.0, who.1, 0)
                .takes(c.stdout(Stdio::piped()).stderr(Stdio::piped()))
                .spawn()
                .unwrap()
        })
        .collect();
    for child in all {
        Output::from_std(child.wait_with_output().unwrap()).ok();
    }
    let log = fs::read_to_string(pair.b().join("d/log")).unwrap();
    assert_eq!(log.lines().count(), 3 * 150);
    healthy(&pair);
}

/// Only what all must write is for all; nobody but the owner makes, replaces or removes anything in `.mirror`.
#[test]
fn nobody_replaces_what_is_the_pairs() {
    need!(root);
    let pair = open_to_all(Kind::Link, 0o1777);
    for who in LONE {
        who.runs(&pair, &format!("echo x > $V/f{}", who.0)).ok();
    }
    let written =
        |rel: &str| rel.starts_with("locks/") || ["owner", "pending", "cores"].contains(&rel);
    for leg in [pair.a(), pair.b()] {
        for path in super::control(leg) {
            let m = fs::symlink_metadata(&path).unwrap();
            let rel = path.strip_prefix(leg.join(".mirror")).unwrap();
            let open = m.mode() & 0o002 != 0;
            assert_eq!(open, written(rel.to_str().unwrap()), "{}", path.display());
            assert_eq!(m.uid(), 0, "{}", path.display());
        }
        let control = leg.join(".mirror");
        let control = control.display();
        for act in [
            format!("rm -f '{control}/leg'"),
            format!("echo x >> '{control}/leg'"),
            format!("mv '{control}/owner' '{control}/other'"),
            format!(": > '{control}/new'"),
            format!(": > '{control}/locks/new'"),
            format!(": > '{control}/away'"),
            format!("ls '{control}/kept'"),
            format!("mv '{control}' '{control}.mine'"),
        ] {
            let o = STRANGER.plainly(&pair, &act);
            assert!(o.code != 0, "{act}: {o:?}");
        }
    }
    healthy(&pair);
}

/// What a user writes over the runtime file, from an offset on.
fn forged(pair: &Pair, at: u64, bytes: &[u8]) {
    let rt = fs::File::options().write(true).open(runtime(pair)).unwrap();
    assert_eq!(rt.metadata().unwrap().mode() & 0o777, 0o666);
    rt.write_all_at(bytes, at).unwrap();
}

/// A program of `who` that has changed the pair already, and goes on when it is told to: its output.
fn goes_on(pair: &Pair, who: Who, meanwhile: impl FnOnce()) -> Output {
    let script =
        "set +e; echo before > $V/f$UID; echo ready; read line; echo after >> $V/f$UID; echo $?";
    let mut c = pair.preloaded("bash");
    c.args(["-c", script]).stdin(Stdio::piped());
    let mut p = who
        .takes(c.stdout(Stdio::piped()).stderr(Stdio::piped()))
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    std::io::Read::read_exact(p.stdout.as_mut().unwrap(), &mut ready).unwrap();
    assert_eq!(&ready, b"ready\n");
    meanwhile();
    std::io::Write::write_all(p.stdin.as_mut().unwrap(), b"\n").unwrap();
    Output::from_std(p.wait_with_output().unwrap())
}

/// It ended by itself with an error for its change, and neither leg has that.
fn refused(pair: &Pair, who: Who, o: &Output) {
    assert_eq!((o.code, o.text().as_str()), (0, "1"), "{o:?}");
    for leg in [pair.a(), pair.b()] {
        let text = fs::read_to_string(leg.join(format!("f{}", who.0))).unwrap();
        assert_eq!(text, "before\n", "{}", leg.display());
    }
}

in_place! {
    fn who_cuts_the_runtime_file_ends_nobody(_pair) {
        need!(root);
        for who in LONE {
            let pair = open_to_all(Kind::InPlace, 0o1777);
            let o = goes_on(&pair, who, || {
                let cut = format!("truncate -s 0 {}", runtime(&pair).display());
                STRANGER.plainly(&pair, &cut).ok();
            });
            refused(&pair, who, &o);
        }
    }

    /// The state word stands behind the facts: leg b is away, or on its way back.
    fn a_word_alone_leaves_no_leg_behind(_pair) {
        need!(root);
        const WORD: u64 = 128;
        for who in LONE {
            let pair = open_to_all(Kind::InPlace, 0o1777);
            let o = goes_on(&pair, who, || forged(&pair, WORD, &[1 << 2, 0, 0, 0, 1]));
            refused(&pair, who, &o);
            // Nor for who comes now.
            let other = if who.0 == ANN.0 { BEN } else { ANN };
            let o = other.preloads(&pair, "echo x > $V/new");
            assert!(o.code != 0, "{o:?}");
            assert!(!pair.a().join("new").exists() && !pair.b().join("new").exists());
        }
    }

    fn who_holds_the_locks_hangs_nobody(_pair) {
        need!(root);
        let pair = open_to_all(Kind::InPlace, 0o1777);
        let tab = fs::read_to_string(pair.tab()).unwrap();
        assert!(tab.contains("root-wait=120") || !tab.contains("root-wait"), "{tab}");
        let tab = tab.replace("root-wait=120", "root-wait=2");
        let tab = if tab.contains("root-wait") { tab } else { tab.trim_end().to_owned() + ",root-wait=2\n" };
        fs::write(pair.tab(), tab).unwrap();
        for who in LONE {
            let o = goes_on(&pair, who, || {
                let held = format!(
                    "for f in {}/.mirror/locks/*; do exec {{n}}< $f; flock -s $n; done; sleep 1000 > /dev/null 2>&1 & echo $! > {}",
                    pair.a().display(),
                    "$TMPDIR/holder"
                );
                fs::set_permissions(pair.scratch().with_file_name("n"), fs::Permissions::from_mode(0o777)).unwrap();
                STRANGER.plainly(&pair, &held).ok();
            });
            let holder = fs::read_to_string(pair.scratch().with_file_name("n").join("holder")).unwrap();
            // SAFETY: a process that this test started.
            unsafe { libc::kill(holder.trim().parse().unwrap(), libc::SIGKILL) };
            refused(&pair, who, &o);
        }
        for who in LONE {
            who.runs(&pair, "echo after >> $V/f$UID").ok();
        }
        healthy(&pair);
    }
}

#[test]
fn init_says_what_it_means() {
    need!(root);
    let pair = Pair::bare(Kind::InPlace, Fs::Plain).expect("plain folders can always be made");
    open_legs(&pair, 0, 0, 0o777);
    let o = pair.init(&["--share", "all"]);
    assert_eq!(o.code, 77, "others could replace .mirror: {o:?}");
    open_legs(&pair, 0, 0, 0o1777);
    for more in [
        ["--on-failure", "degrade"],
        ["--on-full", "degrade"],
        ["--locks", "memory"],
    ] {
        let o = pair.init(&[&["--share", "all"][..], &more].concat());
        assert_eq!(o.code, 64, "{o:?}");
        assert!(!Path::new(pair.a()).join(".mirror").exists());
    }
    let o = pair.init(&["--share", "all"]).ok();
    assert!(o.text().contains("! shared with all"), "{o:?}");
    let o = pair.init(&["--share", "group"]);
    assert!(o.code != 0, "it stays what it is: {o:?}");
    for who in [STRANGER, ANN] {
        who.mirror(&pair, "status", &[]).ok();
    }
}

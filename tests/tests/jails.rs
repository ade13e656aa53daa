//! Processes that change their root or give their rights up before they first touch the pair: the answers
//! of a plain directory where that is possible, and never one leg alone.
use mirror_tests::{Fs, Kind, Output, Pair, need};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

const USER: u32 = 61001;

fn fresh() -> Pair {
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    fs::write(
        pair.programs().join("jail.py"),
        include_str!("../programs/jail.py"),
    )
    .unwrap();
    for dir in [pair.a(), pair.b(), &pair.native()] {
        for name in ["was", "gone"] {
            fs::write(dir.join(name), name).unwrap();
            let f = fs::File::options()
                .write(true)
                .open(dir.join(name))
                .unwrap();
            f.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        fs::create_dir(dir.join("sub")).unwrap();
    }
    pair
}

/// `$R` is the new root; `/proc` is mounted below it if `proc`, in a mount namespace of the script's own.
fn script(case: &str, root: &str, proc: bool) -> String {
    let python = format!("/usr/bin/python3 -B $P/jail.py {case} $R");
    if proc {
        format!(
            "R={root}; mkdir -p $R/proc; export R; unshare -m sh -c 'mount -t proc proc $R/proc && exec {python}'; r=$?; rmdir $R/proc; exit $r"
        )
    } else {
        format!("R={root}; {python}")
    }
}

#[test]
fn a_root_at_above_or_below_v() {
    need!(root);
    need!("python3", "unshare");
    for (case, root, proc) in [
        ("first", "$V", false),
        ("first", "$V/sub", false),
        ("first", "${V%/*}", false),
        ("first", "${V%/*/*}", true),
        ("first", "/", false),
        ("fork", "$V", false),
        ("fork", "${V%/*}", true),
        ("attached", "$V", false),
        ("attached", "${V%/*}", true),
        ("twice", "$V/sub", false),
        ("escape", "$V/sub", false),
        ("escape", "$S", false),
    ] {
        let pair = fresh();
        let o = pair.both(&script(case, root, proc));
        assert!(
            o.code == 0 && !o.text().contains("EIO"),
            "{case} {root} {proc}: {o:?}"
        );
    }
}

/// Away from V, with a cwd or a descriptor left in it: both legs or none.
#[test]
fn a_root_away_from_v_never_changes_one_leg() {
    need!(root);
    need!("python3", "unshare");
    for (case, proc) in [
        ("keep", false),
        ("keep", true),
        ("keep-attached", false),
        ("keep-attached", true),
    ] {
        let pair = fresh();
        let o = pair.run(&script(case, "$S", proc)).ok();
        println!("{case} {proc}: {}", o.text());
        pair.assert_equal();
        if case == "keep" {
            assert!(!pair.a().join("k1").exists() && !pair.a().join("k4").exists());
        } else {
            assert!(
                pair.a().join("k1").exists() && pair.b().join("k4").exists(),
                "{}",
                o.text()
            );
        }
    }
}

/// chroot, then setuid: as daemons do it.
#[test]
fn a_root_and_then_another_user() {
    need!(root);
    need!("python3");
    let pair = fresh();
    for dir in [pair.a(), pair.b(), &pair.native()] {
        chown(dir, Some(USER), Some(USER)).unwrap();
    }
    let o = pair.both(&script("drop", "$V", false));
    assert!(!o.text().contains("EACCES"), "{o:?}");
}

/// setuid before the first touch, by each call; who may have the trees goes on, others are refused.
#[test]
fn another_user_before_the_first_touch() {
    need!(root);
    need!("python3");
    let ways = [
        "os.setuid(u)",
        "os.setreuid(u, u)",
        "os.setresuid(u, u, u)",
        "os.seteuid(u)",
        "os.setgroups([]); os.setgid(u); os.setuid(u)",
        "os.setgroups([]); os.setgid(u); os.setuid(u); os.fork() and os._exit(os.waitstatus_to_exitcode(os.wait()[1]))",
    ];
    // Owner and group of the trees, mode, whether the user is let in.
    for (uid, gid, mode, goes) in [
        (USER, USER, 0o755, true),
        (0, USER, 0o775, true),
        (0, 0, 0o777, true),
        (0, 0, 0o1777, false),
        (61002, 61002, 0o1777, false),
    ] {
        for way in ways {
            if gid == USER && uid == 0 && !way.contains("setgid") {
                continue;
            }
            let pair = fresh();
            for dir in [pair.a(), pair.b(), &pair.native()] {
                chown(dir, Some(uid), Some(gid)).unwrap();
                fs::set_permissions(dir, fs::Permissions::from_mode(mode)).unwrap();
            }
            let script = format!(
                "exec /usr/bin/python3 -B -c 'import os; u = {USER}; {way}; v = os.environ[\"V\"]; os.mkdir(v + \"/d\"); open(v + \"/d/f\", \"w\").write(\"x\"); os.rename(v + \"/d/f\", v + \"/g\")'"
            );
            if goes {
                pair.both(&script).ok();
            } else {
                let o = pair.run(&script);
                assert!(
                    String::from_utf8_lossy(&o.err).contains("Permission denied"),
                    "{way}: {o:?}"
                );
                pair.assert_equal();
                assert!(!pair.a().join("d").exists());
            }
        }
    }
}

/// Children forked after the drop share the locks' descriptions: they keep each other out all the same, and
/// one that is killed in mid-change does not stop the others.
#[test]
fn children_after_the_drop_exclude_each_other() {
    need!(root);
    need!("python3");
    let pair = fresh();
    for dir in [pair.a(), pair.b()] {
        chown(dir, Some(USER), Some(USER)).unwrap();
        fs::write(dir.join("all"), "").unwrap();
        fs::set_permissions(dir.join("all"), fs::Permissions::from_mode(0o666)).unwrap();
    }
    let script = format!(
        "exec /usr/bin/python3 -B -c '
import os, signal, time
os.setgid({USER}); os.setuid({USER}); v = os.environ[\"V\"]
def work(i, n):
    f = os.open(v + \"/all\", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for j in range(n):
        os.write(f, b\"%d:%d\\n\" % (i, j)); p = v + \"/n%d\" % (j % 3)
        try:
            os.mkdir(p); os.rename(p, p + \"x\"); os.rmdir(p + \"x\")
        except OSError: pass
def child(i, n):
    p = os.fork()
    if p == 0: work(i, n); os._exit(0)
    return p
for r in range(6):
    c = [child(i, 40) for i in range(4)]; k = child(9, 100000); time.sleep(0.02 * r); os.kill(k, signal.SIGKILL)
    assert [os.waitpid(p, 0)[1] for p in c] == [0] * 4
    os.waitpid(k, 0)
work(7, 20)
'"
    );
    let others = pair
        .preloaded("bash")
        .args(["-c", "for i in $(seq 200); do echo o$i >> $V/all; done"])
        .spawn()
        .unwrap();
    let o = pair.run(&script);
    let mut others = others;
    assert!(others.wait().unwrap().success());
    o.ok();
    pair.run("echo end >> $V/all; touch $V/n0 $V/n1 $V/n2; ls $V > /dev/null")
        .ok();
    let all = fs::read_to_string(pair.a().join("all")).unwrap();
    assert!(all == fs::read_to_string(pair.b().join("all")).unwrap());
    for i in 0..4 {
        for j in 0..40 {
            assert_eq!(all.lines().filter(|l| *l == format!("{i}:{j}")).count(), 6);
        }
    }
    assert_eq!(all.lines().filter(|l| l.starts_with('o')).count(), 200);
    pair.resync().ok();
    pair.assert_legs(mirror_tests::Level::Strict);
}

/// A program executed after the drop attaches by itself: it may not, and the record says so.
#[test]
fn a_program_after_the_drop_is_refused_and_told() {
    need!(root);
    need!("setpriv");
    let pair = fresh();
    for dir in [pair.a(), pair.b()] {
        chown(dir, Some(USER), Some(USER)).unwrap();
    }
    let o = pair.run(&format!(
        "setpriv --reuid {USER} --regid {USER} --clear-groups sh -c 'echo x > $V/f'"
    ));
    let err = String::from_utf8_lossy(&o.err).into_owned();
    assert!(o.code != 0 && err.contains("Permission denied"), "{o:?}");
    assert!(
        err.contains("refused"),
        "mirror run says so at its end: {err}"
    );
    pair.assert_equal();
    let s = pair.mirror("status", &[pair.v().to_str().unwrap()]);
    assert!(
        s.text().contains("may not use the pair") && s.text().contains("sh"),
        "{s:?}"
    );
}

/// rsyncd with `use chroot = yes`, as root and with a user for the module: uploads into V.
#[test]
fn rsyncd_with_use_chroot() {
    need!(root);
    need!("rsync");
    for (uid, gid) in [(0, 0), (USER, USER)] {
        let pair = fresh();
        for dir in [pair.a(), pair.b(), &pair.native()] {
            for d in [dir.to_path_buf(), dir.join("sub")] {
                chown(d, Some(uid), Some(gid)).unwrap();
            }
        }
        // Over a pipe: the daemon is started by its client, as by inetd.
        let script = format!(
            "mkdir -p $S/from/d/e; printf 1 > $S/from/d/f; seq 1000 > $S/from/d/e/g; ln -s f $S/from/d/l
             printf 'use chroot = yes\\nuid = {uid}\\ngid = {gid}\\nread only = no\\nnumeric ids = yes\\n[m]\\npath = %s\\n[s]\\npath = %s/sub\\n' $V $V > $S/conf
             to() {{ rsync -rlt --delete-after --exclude=/sub -e \"sh -c 'exec rsync --server --daemon --config=$S/conf .' \" $S/from/ x::$1 2>&1; echo $?; }}
             to m; to s; printf 22 >> $S/from/d/f; rm $S/from/d/e/g; mv $S/from/d/e $S/from/d/e2; to s; find $V -type f | sort | sed \"s,^$V,,\"; cat $V/sub/d/f; rm -r $S/from $S/conf"
        );
        let o = pair.both(&script);
        assert!(o.text().starts_with("0\n"), "{o:?}");
        assert!(pair.b().join("sub/d/f").exists());
    }
}

/// What a change of the user costs a program that never touches V: a bound on its system calls.
#[test]
fn a_change_of_the_user_is_cheap() {
    need!(root);
    need!("strace", "python3");
    let pair = fresh();
    let count = |call: &str| {
        let log = pair.scratch().join("log");
        let mut c = pair.preloaded("strace");
        c.args(["-f", "-o"]).arg(&log).args([
            "/usr/bin/python3",
            "-c",
            &format!("import os; os.write(2, b\"mark\"); {call}; os.write(2, b\"mark\")"),
        ]);
        Output::from_std(c.output().unwrap()).ok();
        let text = fs::read_to_string(log).unwrap();
        let parts: Vec<&str> = text.split("write(2, \"mark\"").collect();
        assert_eq!(parts.len(), 3);
        parts[1].lines().count()
    };
    // Trees that the user cannot have: a look at each leg, and its groups.
    let n = count(&format!("os.setuid({USER})"));
    println!("setuid of a stranger: {n} lines");
    assert!(n < 20, "{n}");
    for dir in [pair.a(), pair.b()] {
        chown(dir, Some(USER), None).unwrap();
    }
    let n = count(&format!("os.setuid({USER})"));
    println!("setuid of the trees' owner: {n} lines");
    assert!(n < 2100, "{n}");
}

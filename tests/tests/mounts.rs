//! A file system that is mounted inside V after `init` is no part of the pair: changes in it are refused, on
//! both legs alike, whatever call makes them; what is left out is said.
use mirror_tests::{Kind, Level, Output, Pair, Tree, need};

/// Every family of changes behind the mount point `$V/m`, each in a shell function; the shell prints what
/// became of each. `$V/m` has f, d/g and l.
const CHANGES: &str = r#"
cd $V
python3 -B - <<'PY'
import os, errno
def go(what, f):
    try: f(); print(what, "ok")
    except OSError as e: print(what, errno.errorcode[e.errno])
def op(path, flags, data=None):
    n = os.open(path, flags, 0o644)
    try:
        if data: os.write(n, data)
    finally: os.close(n)
go("create", lambda: op("m/new", os.O_CREAT | os.O_WRONLY))
go("create deep", lambda: op("m/d/new", os.O_CREAT | os.O_EXCL | os.O_RDWR))
go("nameless", lambda: op("m", os.O_TMPFILE | os.O_RDWR))
go("open", lambda: op("m/f", os.O_WRONLY, b"x"))
go("append", lambda: op("m/f", os.O_WRONLY | os.O_APPEND, b"x"))
go("empty", lambda: op("m/f", os.O_WRONLY | os.O_TRUNC))
go("truncate", lambda: os.truncate("m/f", 1))
go("mkdir", lambda: os.mkdir("m/nd"))
go("rmdir", lambda: os.rmdir("m/e"))
go("unlink", lambda: os.unlink("m/f"))
go("rename", lambda: os.rename("m/f", "m/f2"))
go("rename in", lambda: os.rename("p", "m/p"))
go("rename out", lambda: os.rename("m/f", "p2"))
go("link", lambda: os.link("m/f", "m/f3"))
go("symlink", lambda: os.symlink("f", "m/s"))
go("mkfifo", lambda: os.mkfifo("m/fifo"))
go("chmod", lambda: os.chmod("m/f", 0o600))
go("chmod of the place", lambda: os.chmod("m", 0o700))
go("chown", lambda: os.chown("m/f", 3, 3))
go("lchown", lambda: os.lchown("m/l", 3, 3))
go("times", lambda: os.utime("m/f", (1, 1)))
go("xattr", lambda: os.setxattr("m/f", "user.a", b"1"))
d = os.open("m/d", os.O_RDONLY)
go("mkdirat", lambda: os.mkdir("nd", dir_fd=d))
go("openat", lambda: op("g", os.O_WRONLY) if os.chdir(d) else op("g", os.O_WRONLY, b"y"))
os.chdir("../..")
go("fchmod of a directory", lambda: os.fchmod(d, 0o700))
r = os.open("m/f", os.O_RDONLY)
go("fchmod", lambda: os.fchmod(r, 0o600))
print("read", os.read(r, 100))
go("through /proc", lambda: op("/proc/self/fd/%d" % r, os.O_WRONLY, b"z"))
print("listed", sorted(os.listdir("m")))
os.close(r); os.close(d)
PY
"#;

/// Mounts a tmpfs, or a folder from outside, as `m` on these legs, fills it without the mirror, runs
/// `script` mirrored, and leaves a list of what is there then in `$S/after`.
fn with_mount(pair: &Pair, tmpfs: bool, legs: &str, script: &str) -> Option<Output> {
    pair.run("cd $V; mkdir m; echo plain > m/under; echo p > p")
        .ok();
    std::fs::write(pair.programs().join("inner.sh"), script).expect("a script");
    let mount = match tmpfs {
        true => "mount -t tmpfs -o size=1m none $leg/m",
        false => "mkdir -p $S/outside/$n && mount --bind $S/outside/$n $leg/m",
    };
    let outer = format!(
        "n=0; for leg in {legs}; do n=$((n+1)); {mount} || exit 77
         (cd $leg/m; mkdir d e; echo f > f; echo g > d/g; ln -s f l; chown 1:1 f
          touch -d @1000000000 f d/g d e .); done
         $D/mirror-run bash $P/inner.sh; r=$?
         for leg in {legs}; do (cd $leg/m; find . ! -name . -printf '%P %m %U %s %T@ %l\n' | sort >> $S/after); done
         exit $r"
    );
    pair.in_namespace(&outer)
}

fn changes_are_refused(tmpfs: bool, legs: &str) {
    need!(root);
    need!("unshare", "python3");
    let pair = Pair::striped(Kind::InPlace, None);
    let before = Tree::read(pair.b());
    assert!(before.is_empty());
    let Some(o) = with_mount(&pair, tmpfs, legs, CHANGES) else {
        return;
    };
    let text = o.ok().text();
    println!("{text}");
    let mut count = 0;
    for line in text.lines() {
        if line.starts_with("read ") {
            assert_eq!(line, "read b'f\\n'");
        } else if line.starts_with("listed ") {
            assert_eq!(line, "listed ['d', 'e', 'f', 'l']");
        } else if line.starts_with("rename in") || line.starts_with("rename out") {
            assert!(line.ends_with(" EXDEV"), "{line}");
            count += 1;
        } else {
            assert!(line.ends_with(" EROFS"), "{line}");
            count += 1;
        }
    }
    assert!(count >= 27, "{count}");
    let after = std::fs::read_to_string(pair.scratch().join("after")).expect("a list");
    assert!(after.contains("f 644 1 2 1000000000."), "{after}");
    // Below the mount point nothing has come to either leg.
    for leg in [pair.a(), pair.b()] {
        let names: Vec<_> = std::fs::read_dir(leg.join("m")).expect("m").collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
    pair.assert_equal();
    let status = pair.mirror("status", &[pair.v().to_str().expect("text")]);
    assert!(
        status.text().contains("mounted inside one leg"),
        "{status:?}"
    );
}

#[test]
fn tmpfs_on_leg_a() {
    changes_are_refused(true, "$A");
}

#[test]
fn a_bind_on_leg_a() {
    changes_are_refused(false, "$A");
}

/// One that was opened before the library was there.
#[test]
fn through_an_inherited_descriptor() {
    need!(root);
    need!("unshare");
    let pair = Pair::striped(Kind::InPlace, None);
    pair.run("mkdir $V/m").ok();
    let outer = "mount -t tmpfs -o size=1m none $A/m || exit 77; exec 3>$A/m/f
        $D/mirror-run bash -c 'echo x >&3' 2>&1 | grep -o Read-only; stat -c %s $A/m/f";
    if let Some(o) = pair.in_namespace(outer) {
        assert_eq!(o.ok().text(), "Read-only\n0");
        pair.assert_equal();
    }
}

/// Mounted on both legs it is mirrored.
#[test]
fn on_both_legs() {
    need!(root);
    need!("unshare", "python3");
    let pair = Pair::striped(Kind::InPlace, None);
    let script = "cd $V/m; echo new > new; mkdir nd; mv f nd/f; chmod 600 d/g; (cd $A/m; find . ! -name . | sort) > $S/a; (cd $B/m; find . ! -name . | sort) > $S/b; cmp $S/a $S/b && cmp $A/m/new $B/m/new && stat -c %a $A/m/d/g $B/m/d/g";
    if let Some(o) = with_mount(&pair, true, "$A $B", script) {
        assert_eq!(o.ok().text(), "600\n600");
        pair.assert_equal();
    }
}

/// Only leg B has it: what the program changes would reach something else there.
#[test]
fn on_leg_b() {
    need!(root);
    need!("unshare");
    let pair = Pair::striped(Kind::InPlace, None);
    let script = "cd $V/m; (echo x > new) 2>&1 | grep -o Read-only; (echo x >> under) 2>&1 | grep -o Read-only; mkdir nd 2>&1 | grep -o Read-only; rm under 2>&1 | grep -o Read-only; chmod 600 under 2>&1 | grep -o Read-only; ls";
    if let Some(o) = with_mount(&pair, true, "$B", script) {
        let expected = ["Read-only"; 5].join("\n") + "\nunder";
        assert_eq!(o.ok().text(), expected);
        pair.assert_equal();
    }
}

/// A mount point stays where it is, also one that only the other leg has.
#[test]
fn a_mount_point_is_busy() {
    need!(root);
    need!("unshare", "python3");
    let pair = Pair::striped(Kind::InPlace, None);
    pair.run("cd $V; mkdir m e; echo f > f; echo g > g").ok();
    let inner = r#"
import ctypes, os, sys
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
def exchange(a, b):
    if libc.renameat2(-100, a.encode(), -100, b.encode(), 2): raise OSError(ctypes.get_errno(), '')
for name, call in [
    ('rmdir', lambda: os.rmdir('m')), ('rename', lambda: os.rename('m', 'n')),
    ('rename over', lambda: os.rename('e', 'm')), ('exchange', lambda: exchange('m', 'e')),
    ('exchange with', lambda: exchange('e', 'm')), ('unlink', lambda: os.unlink('f')),
    ('rename file', lambda: os.rename('f', 'h')), ('rename over file', lambda: os.rename('g', 'f')),
]:
    try: call(); print(name, 'done')
    except OSError as e: print(name, e.errno)
"#;
    std::fs::write(pair.programs().join("inner.py"), inner).expect("a script");
    let outer = "for leg in $LEGS; do mount -t tmpfs -o size=1m none $leg/m && mount --bind $S/file $leg/f || exit 77; done
        $D/mirror-run /usr/bin/python3 -B $P/inner.py $V";
    std::fs::write(pair.scratch().join("file"), "f\n").expect("a file");
    let mut answers = Vec::new();
    for legs in ["$A", "$B", "$A $B"] {
        let Some(o) = pair.in_namespace(&outer.replace("$LEGS", legs)) else {
            return;
        };
        answers.push(o.ok().text());
        pair.assert_equal();
        pair.assert_nothing_pending();
    }
    assert_eq!(answers[0].matches(" 16").count(), 8, "{}", answers[0]);
    assert_eq!(answers[1], answers[0], "only leg b has them");
    assert_eq!(answers[2], answers[0], "both have them");
}

/// Sandboxes mount a directory on itself, and the kernel's file systems.
#[test]
fn what_shows_the_same_directory_is_mirrored() {
    need!(root);
    need!("unshare");
    let pair = Pair::striped(Kind::InPlace, None);
    pair.run("mkdir -p $V/s/d $V/proc").ok();
    let inner = "cd $V/s; echo 1 > f; mkdir d/e; mv f d/e/f; chmod 700 d; echo 2 >> d/e/f
        echo 100 > $V/proc/self/oom_score_adj; cat $V/proc/self/comm";
    std::fs::write(pair.programs().join("inner.sh"), inner).expect("a script");
    let outer = "mount --bind $A/s $A/s && mount -t proc proc $A/proc || exit 77
        $D/mirror-run bash $P/inner.sh";
    let Some(o) = pair.in_namespace(outer) else {
        return;
    };
    assert_eq!(o.ok().text(), "cat");
    let tree = Tree::read(pair.b());
    assert_eq!(tree.len(), 5);
    let d = Tree::read(pair.a()).differences(&tree, Level::Strict);
    assert!(d.0.is_empty(), "{d}");
    pair.assert_nothing_pending();
}

/// `init`, `verify`, `resync` and their JSON say what is no part of the pair.
#[test]
fn what_is_left_out_is_said() {
    need!(root);
    need!("unshare");
    let Some(pair) = Pair::bare(Kind::Link, mirror_tests::Fs::Plain) else {
        return;
    };
    pair.bypass("cd $A; mkdir m; ln -s /etc/passwd out; ln -s m in; echo x > f")
        .ok();
    let script = "mount -t tmpfs -o size=1m none $A/m || exit 77; echo y > $A/m/y
        $D/mirror init $A $B --at $V --yes; $D/mirror verify $V; $D/mirror verify --json $V
        echo z > $B/f; $D/mirror resync $V --dry-run; $D/mirror resync $V --yes; $D/mirror resync --json $V";
    let Some(o) = pair.in_namespace(script) else {
        return;
    };
    pair.watch_runtime();
    let text = o.ok().text();
    let left = "left out  m: another file system, mounted inside one leg\nleft out  what 1 symlink leads to outside\n";
    assert_eq!(text.matches(left).count(), 3, "{text}");
    let json = "\"symlinks_out\":1";
    assert_eq!(text.matches(json).count(), 2, "{text}");
    let json = "\"left_out\":[{\"path\":\"m\",\"why\":\"mount\"}]";
    assert_eq!(text.matches(json).count(), 2, "{text}");
    for part in [
        "m is another file system inside one leg: it is left out, and changes in it are refused",
        "1 symlink leads out of the tree",
        "EQUAL",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    assert!(!pair.b().join("m").exists());
}

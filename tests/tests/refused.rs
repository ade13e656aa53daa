//! Filters that refuse the system calls the library lives by: what was a plain directory's answer is V's,
//! and the trees are equal.
use mirror_tests::{Kind, Output, Pair, compile, need};
use std::os::unix::fs::symlink;

/// What newer kernels have and older profiles do not know.
const NEW: &str = "openat2,close_range,statx,faccessat2";

fn helpers(pair: &Pair) -> bool {
    let p = pair.programs();
    std::fs::write(p.join("uses.py"), include_str!("../programs/uses.py")).unwrap();
    [
        ("refuse", include_str!("../programs/refuse.c")),
        ("calls", include_str!("../programs/calls.c")),
    ]
    .iter()
    .all(|(name, source)| compile(&p, name, source).is_some())
}

/// The beginning of each script: `calls` and `py` run cases of the suite `uses`.
const WORDS: &str =
    "py() { /usr/bin/python3 -B $P/uses.py \"$@\"; }; calls() { $P/calls \"$@\"; }; ";

/// Runs a script natively and mirrored, all of it below the filter.
#[track_caller]
fn both(pair: &Pair, filter: (&str, &str), script: &str) {
    let (errno, calls) = filter;
    std::fs::write(pair.programs().join("script"), format!("{WORDS}{script}")).unwrap();
    pair.both(&format!("$P/refuse {errno} {calls} bash $P/script"));
}

const USES: &[&str] = &[
    "echo x > $V/f; cat $V/f; mkdir $V/d; mv $V/f $V/d/g; rm $V/d/g; rmdir $V/d; ls -A $V/",
    "cd $V; echo x > f; mkdir d; cd d; echo y > g; cat ../f g; cd ..; rm f; find . | sort",
    "cd $V/..; n=${V##*/}; echo x > $n/f; mkdir -p $n/d/e; echo y > $n/d/e/g; cat $n/f; rm $n/f; find $n/ | sort | sed s,^$n,V,",
    "mkdir $V/d; echo x > $V/d/../f; echo y > $V/d/../d/g; rm $V/d/../f; cd $V/d; echo z > ../h; mkdir ../e; find $V/ | sort",
    "ln -s $V $S/to; mkdir $V/d; ln -s $V/d $S/tod; echo x > $S/to/f; echo y > $S/tod/g; mv $S/to/f $S/tod/h; rm $S/to $S/tod; find $V/ | sort",
    "cd $V; mkdir d real; ln -s ../real d/l; echo x > d/l/f; ln -s real/f g; echo y >> g; ln -s ../../../x dangling; find . | sort",
    "cd $V; ln -s b a; ln -s a b; echo x > a; echo $?; mkdir a/c; echo $?; rm a; ls",
    "mkdir $S/out; ln -s $S/out $V/o; echo x > $V/o/f; cat $S/out/f; rm -r $S/out; ls -l $V/ | wc -l",
    "cd $V; n=$(printf 'n%.0s' $(seq 255)); echo x > $n; mkdir d$(printf 'd%.0s' $(seq 254)); mv $n d*/; ls -R | cksum; echo y > n$n; echo $?",
    "cd $V; p=$(printf 'd/%.0s' $(seq 60)); mkdir -p $p; echo x > $p/f; cat $p/f; mv d e; rm -r e; ls -A",
    "cd $V; ls -A; cat .mirror/leg; echo $?; mkdir .mirror/x; echo $?; rm -rf .mirror; echo $?; echo > .mirror/f; echo $?; ls -A",
    "cd $V; exec 3>>f 4>>f; echo a >&3; echo b >&4; (echo c >&3); echo d >> f; exec 3>&-; exec 5> g; ls /proc/self/fd | tr '\\n' ' '; cat f",
    "cd $V; for i in $(seq 20); do (echo $i > f$i; echo $i >> all) & done; wait; sort -n all; ls | wc -l; rm f* all",
    "cd $V; exec 5>held; env -i sh -c 'echo x >&5'; echo y >&5; exec 5>&-; cat held",
    "cd $V; mkdir d; tar cf - -C /etc passwd hosts | tar xf - -C d; cmp d/hosts /etc/hosts; cp -a d e; rm -r d; ls -R",
    "chmod 600 $S; echo x > $S/o; cat $S/o; echo y > $V/../$(basename $V)/f; cat $V/f; chmod 700 $S",
    "py dirfds",
    "py dirfd_after_rename",
    "py entry_errors",
    "py odd_parents",
    "py roots",
    "py modes",
    "py times",
    "py xattrs",
    "py cross_rename",
    "py unlinked",
    "py scm_rights",
    "py threads",
    "py vfork",
    "py numbers",
    "calls tmpfile",
    "calls open_flags",
    "calls rename_flags",
    "calls dup_family",
    "calls close_range",
    "calls close_all",
    "calls truncates",
];

fn uses(kind: Kind, filter: (&str, &str)) {
    need!("python3");
    for script in USES {
        let pair = Pair::new(kind, mirror_tests::Fs::Plain).unwrap();
        if !helpers(&pair) {
            return;
        }
        both(&pair, filter, script);
    }
}

#[test]
fn uses_without_openat2() {
    uses(Kind::InPlace, ("ENOSYS", "openat2"));
}

#[test]
fn uses_in_an_old_profile() {
    uses(Kind::Link, ("EPERM", NEW));
}

/// A program's own call gets the filter's answer, whatever the library does without it.
#[test]
fn the_programs_own_call_is_refused() {
    need!("python3");
    let pair = Pair::new(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    if !helpers(&pair) {
        return;
    }
    let script = "cat > $S/own.py <<'E'\nimport ctypes, errno, os, struct\nc = ctypes.CDLL(None, use_errno=True)\n\
                  def own(path, flags, mode=0, resolve=0):\n how = struct.pack('QQQ', flags, mode, resolve)\n \
                  r = c.syscall(437, -100, path.encode(), how, 24)\n print(errno.errorcode[ctypes.get_errno()] if r < 0 else 'ok')\n\
                  v = os.environ['V']\nfor p in (v + '/own', v, '/etc/passwd', v + '/none/x'):\n \
                  own(p, os.O_RDONLY)\n own(p, os.O_RDWR | os.O_CREAT, 0o644)\n own(p, os.O_RDWR | os.O_CREAT, 0o644, 8)\n\
                  open(v + '/after', 'w').write('x')\nown(v + '/after', os.O_RDWR)\nE\n/usr/bin/python3 $S/own.py; ls $V";
    for filter in [("ENOSYS", "openat2"), ("EPERM", "openat2")] {
        both(&pair, filter, script);
    }
}

/// EPERM is also the answer of a file: it is the program's, and openat2 goes on being used.
#[test]
fn a_files_own_refusal_is_its_own() {
    need!(root);
    need!("chattr");
    let pair = Pair::new(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    for file in [pair.a(), pair.b(), &pair.native()] {
        std::fs::write(file.join("fixed"), "x").unwrap();
    }
    let all = format!(
        "{0}/fixed {1}/fixed {2}/fixed",
        pair.a().display(),
        pair.b().display(),
        pair.native().display()
    );
    let set = Output::from_std(
        std::process::Command::new("sh")
            .args([
                "-c",
                &format!("touch -d @1000000000 {all} && chattr +i {all}"),
            ])
            .output()
            .unwrap(),
    );
    if set.code != 0 {
        mirror_tests::skip("no immutable files here");
        return;
    }
    let o = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pair.both("cd $V; echo y > fixed; echo $?; echo z >> fixed; echo $?; echo w > other; cat fixed other");
    }));
    std::process::Command::new("sh")
        .args(["-c", &format!("chattr -i {all}")])
        .status()
        .unwrap();
    o.unwrap();
}

/// Programs that lock themselves in (as sshd's child does) may make few calls afterwards, and die of others.
#[test]
fn a_program_that_locks_itself_in_writes_on() {
    let pair = Pair::new(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    let source = include_str!("../programs/sandboxed.c");
    if compile(&pair.programs(), "sandboxed", source).is_none() {
        return;
    }
    let o = pair.both("$P/sandboxed | cat");
    assert_eq!(o.text(), "ok\nexit 0; 3 3", "{o:?}");
}

/// Symlinks that somebody put into the second leg are not followed there by the walk either.
#[test]
fn a_symlink_on_the_second_leg_leads_nowhere() {
    let pair = Pair::new(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    if !helpers(&pair) {
        return;
    }
    let out = pair.programs().join("outside");
    std::fs::create_dir_all(out.join("sub")).unwrap();
    std::fs::write(out.join("file"), "mine").unwrap();
    pair.run("cd $V; mkdir d e; echo x > d/file; echo y > file; echo z > e/file")
        .ok();
    std::fs::remove_dir_all(pair.b().join("d")).unwrap();
    symlink(&out, pair.b().join("d")).unwrap();
    std::fs::remove_file(pair.b().join("file")).unwrap();
    symlink(out.join("file"), pair.b().join("file")).unwrap();
    for errno in ["ENOSYS", "EPERM"] {
        let script = "cd $V; echo 1 > d/file; echo 2 >> file; echo 3 > d/new; mkdir d/sub/x; rm d/file; mv e/file d/moved; chmod 600 file; truncate -s 1 file; ln file d/hard; true";
        std::fs::write(pair.programs().join("script"), script).unwrap();
        pair.run(&format!(
            "$P/refuse {errno} openat2 bash $P/script 2> /dev/null"
        ));
        let left: Vec<_> = ["file", "sub"].map(|n| out.join(n)).into();
        assert_eq!(std::fs::read(&left[0]).unwrap(), b"mine");
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 2);
        assert_eq!(std::fs::read_dir(&left[1]).unwrap().count(), 0);
    }
    pair.resync().ok();
    pair.assert_legs(mirror_tests::Level::Strict);
}

/// `mirror` itself below the filter: init, run, verify, resync.
#[test]
fn the_command_works_below_the_filter() {
    let pair = Pair::bare(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    if !helpers(&pair) {
        return;
    }
    std::fs::create_dir_all(pair.a().join("d/e")).unwrap();
    std::fs::write(pair.a().join("d/e/f"), "f").unwrap();
    let below = |errno: &str, words: &[&str]| {
        let plain = pair.mirror_command(words[0]);
        let mut c = pair.native_command(pair.programs().join("refuse"));
        c.args([errno, NEW]).arg(plain.get_program()).args(words);
        c.env("V", pair.v());
        Output::from_std(c.output().unwrap())
    };
    let (a, b, v) = (
        pair.a().to_str().unwrap(),
        pair.b().to_str().unwrap(),
        pair.v().to_str().unwrap(),
    );
    below("ENOSYS", &["init", a, b, "--yes"]).ok();
    pair.watch_runtime();
    for errno in ["ENOSYS", "EPERM"] {
        below(
            errno,
            &[
                "run",
                "--",
                "sh",
                "-c",
                "echo x >> $V/d/e/f; mkdir -p $V/g; mv $V/d/e/f $V/g/h; cp $V/g/h $V/d/e/f",
            ],
        )
        .ok();
        pair.assert_equal();
        std::fs::write(pair.b().join("g/h"), "other").unwrap();
        assert_eq!(below(errno, &["verify", v]).code, 1);
        below(errno, &["resync", v, "--yes"]).ok();
        below(errno, &["verify", v]).ok();
        pair.assert_equal();
    }
}

/// valgrind brings its own kernel interface, and lets a program have no more descriptors than it began with.
#[test]
fn valgrind_writes_in_v() {
    need!("valgrind");
    let pair = Pair::new(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    pair.run("ulimit -Sn \"$(ulimit -Hn)\"; cd $V; valgrind -q --log-file=$S/log sh -c 'echo x > f; mkdir d; echo y >> f; echo z > d/g'; mv f d").ok();
    pair.assert_equal();
    assert_eq!(std::fs::read(pair.b().join("d/f")).unwrap(), b"x\ny\n");
}

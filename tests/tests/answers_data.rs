//! Calls on data and descriptors answer as in a plain directory: tables of calls, run natively and in
//! V. The right value is what the plain directory says.
use mirror_tests::{Kind, Level, Output, Pair, Tree, compile, each_kind, need, skip};

/// Runs one table natively and in V; every printed answer must be the same. At least `lines` are.
fn table(pair: &Pair, mode: &str, lines: usize) {
    if !helper(pair) {
        return;
    }
    let o = pair.both(&format!("$P/answers_data {mode}"));
    assert_eq!(o.code, 0, "{mode}: {o:?}");
    let n = o.text().lines().count();
    assert!(n >= lines, "{mode}: {n} lines\n{}", o.text());
}

fn helper(pair: &Pair) -> bool {
    let source = include_str!("../programs/answers_data.c");
    compile(&pair.programs(), "answers_data", source).is_some()
}

each_kind! {
    fn every_call_on_every_sort_of_descriptor(pair) {
        table(pair, "descriptors", 500);
    }

    fn at_the_limit_of_file_sizes(pair) {
        table(pair, "limits", 100);
    }

    fn offsets_that_cannot_be_stored_or_read(pair) {
        table(pair, "offsets", 120);
    }

    fn openat2_with_every_struct(pair) {
        table(pair, "openat2", 500);
    }
}

#[test]
fn listings_of_descriptors_do_not_show_the_librarys() {
    Pair::with(Kind::InPlace, |pair| table(pair, "own_descriptors", 25));
}

#[test]
fn mappings_that_the_kernel_refuses_anyway() {
    Pair::with(Kind::InPlace, |pair| table(pair, "maps", 70));
}

/// Natively and in V, as the first process of a pid namespace.
#[test]
fn processes_and_threads_of_any_number_are_listed() {
    need!(root);
    need!("unshare", "ps", "pgrep");
    Pair::with(Kind::InPlace, |pair| {
        if !helper(pair) {
            return;
        }
        let script = "unshare -pf --mount-proc -- $P/answers_data processes";
        if pair.plain("unshare -pf --mount-proc -- true").code != 0 {
            return skip("needs pid namespaces");
        }
        let o = pair.both(script);
        assert_eq!(o.code, 0, "{o:?}");
        let expected = "4100\n/proc: some, 1 in the library's range\n/proc/self/task: some, 1 in the library's range\n\
            /proc: some, 1 in the library's range\n/proc/self/task: some, 1 in the library's range\n1\n4100\n4100";
        assert_eq!(o.text(), expected);
    });
}

/// One change in V, with an error given to one of the library's own calls (`CALL:error=…:when=…`). What it
/// printed.
fn one(pair: &Pair, what: &str, inject: Option<&str>) -> Output {
    let program = pair.programs().join("answers_data");
    let mut c = match inject {
        None => pair.command(program),
        Some(how) => {
            let call = how.split(':').next().unwrap_or_default();
            let mut c = pair.preloaded("strace");
            c.args(["-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            c.args(["-e", &format!("inject={how}")]).arg(program);
            c
        }
    };
    Output::from_std(c.args(["one", what]).output().expect("a program"))
}

/// Both legs as they are: (content, mode, mtime) of each file.
fn legs(pair: &Pair) -> [Tree; 2] {
    [Tree::read(pair.a()), Tree::read(pair.b())]
}

#[track_caller]
fn assert_unchanged(before: &[Tree; 2], pair: &Pair, what: &str) {
    for (old, new) in before.iter().zip(legs(pair)) {
        let d = old.differences(&new, Level::Strict);
        assert!(d.0.is_empty(), "{what}:\n{d}");
    }
}

/// A program runs from one leg's file: nothing is emptied, on either.
#[test]
fn a_busy_text_is_emptied_on_neither_leg() {
    for busy in ["a/v", "b/v"] {
        busy_text(&Pair::striped(Kind::Link, None), busy);
    }
}

fn busy_text(pair: &Pair, busy: &str) {
    if !helper(pair) {
        return;
    }
    pair.bypass("cp -p /bin/sleep $A/f; cp -p $A/f $B/f").ok();
    let leg = if busy == "a/v" { pair.a() } else { pair.b() };
    let mut running = std::process::Command::new(leg.join("f"))
        .arg("50")
        .spawn()
        .expect("a program on the leg");
    let before = legs(pair);
    for what in [
        "truncating open",
        "truncating read-only open",
        "creat",
        "truncate",
        "grow",
        "write",
    ] {
        let o = one(pair, what, None);
        let text = o.text();
        if what == "write" {
            // It does not come to the write; the open fails.
            assert!(text.contains("-1"), "{busy} {what}: {text}");
        } else if what != "truncating read-only open" {
            assert!(text.contains("ETXTBSY"), "{busy} {what}: {text}");
        }
        if !text.contains("read-only") {
            assert_unchanged(&before, pair, what);
        }
    }
    running.kill().expect("a running child");
    running.wait().expect("its end");
    pair.assert_equal();
}

/// What the second leg refuses is taken back on both, wherever in the change it was refused.
#[test]
fn a_refused_change_is_taken_back_on_both_legs() {
    need!("strace");
    Pair::with(Kind::InPlace, |pair| {
        if !helper(pair) {
            return;
        }
        let owner = if mirror_tests::is_root() {
            "chmod 6755 $A/f $B/f; setcap cap_net_raw+ep $A/f && setcap cap_net_raw+ep $B/f || :"
        } else {
            ":"
        };
        pair.bypass(&format!(
            "for d in $A $B; do echo text >$d/f; touch -d @1000 $d/f; done; {owner}"
        ))
        .ok();
        // The first call is leg A's, the second leg B's.
        let mut cases = vec![
            ("rename", "renameat2:error=ENOSPC:when=2"),
            ("link", "linkat:error=ENOSPC:when=2"),
            ("mkdir", "mkdirat:error=ENOSPC:when=2"),
            ("mkfifo", "mknodat:error=ENOSPC:when=2"),
            ("mknod", "utimensat:error=EIO:when=1"),
            ("symlink", "symlinkat:error=EDQUOT:when=2"),
            ("create", "dup3:error=EMFILE:when=1+"),
            ("truncating open", "dup3:error=EMFILE:when=1+"),
            ("grow", "ftruncate:error=EFBIG:when=1"),
            ("grow", "utimensat:error=EIO:when=1"),
        ];
        if mirror_tests::is_root() {
            cases.push(("chown", "fchownat:error=EDQUOT:when=2"));
        }
        for (what, how) in cases {
            // Once before, so that the pair has its runtime file.
            let before = legs(pair);
            let o = one(pair, what, Some(how));
            let text = o.text();
            if what == "mknod" {
                continue;
            }
            assert!(text.contains("-1 E"), "{what} {how}: {o:?}");
            assert_unchanged(&before, pair, &format!("{what} {how}: {text}"));
        }
    });
}

/// A creation for which no partner's number is left.
#[test]
fn a_creation_without_descriptors_leaves_nothing() {
    Pair::with(Kind::InPlace, |pair| {
        if !helper(pair) {
            return;
        }
        one(pair, "create without descriptors", None);
        pair.assert_equal();
    });
}

/// What only leg B has is neither overwritten nor taken for the new object.
#[test]
fn what_only_the_other_leg_has_is_kept() {
    for (what, expected) in [
        ("create", "EIO"),
        ("create exclusively", "EEXIST"),
        ("mkdir", "EEXIST"),
        ("mknod", "EEXIST"),
        ("mkfifo", "EEXIST"),
        ("symlink", "EEXIST"),
        ("link", "EEXIST"),
        ("rename", "EIO"),
    ] {
        let pair = Pair::striped(Kind::InPlace, None);
        if !helper(&pair) {
            return;
        }
        let files = "echo f >$A/f; cp -p $A/f $B/f; touch -d @1000000000 $A/f $B/f";
        // A directory that holds something stays.
        let make = "mkdir $B/g; echo precious >$B/g/x";
        pair.bypass(&format!("{files}; {make}")).ok();
        let before = legs(&pair);
        let text = one(&pair, what, None).text();
        assert!(
            text.contains(expected) || text.contains("EISDIR"),
            "{what}: {text}"
        );
        assert_unchanged(&before, &pair, what);
        let o = pair.status();
        assert_ne!(o.code, 0, "{what}: not on record: {o:?}");
        // A file is put aside, and the call is done as in a plain directory.
        let pair = Pair::striped(Kind::InPlace, None);
        if !helper(&pair) {
            return;
        }
        pair.bypass(&format!("{files}; echo precious >$B/g")).ok();
        let text = one(&pair, what, None).text();
        assert!(!text.contains(" E"), "{what}: {text}");
        pair.assert_equal();
        let o = pair.bypass("cat $B/.mirror/kept/programs/*").ok();
        assert_eq!(o.text().trim(), "precious", "{what}");
    }
}

/// What is said to be on the disk is on both.
#[test]
fn durable_writes_are_durable_on_both_legs() {
    need!("strace");
    Pair::with(Kind::InPlace, |pair| {
        if !helper(pair) {
            return;
        }
        pair.bypass("echo text >$A/f; cp -p $A/f $B/f").ok();
        let log = pair.scratch().join("log");
        let mut c = pair.preloaded("strace");
        c.args(["-qq", "-e", "trace=pwritev2,openat2", "-o"])
            .arg(&log);
        c.arg(pair.programs().join("answers_data"))
            .args(["one", "durable"]);
        Output::from_std(c.output().expect("strace")).ok();
        let log = std::fs::read_to_string(log).expect("strace's output");
        let count = |call: &str, flag: &str| {
            log.lines()
                .filter(|l| l.contains(call) && l.contains(flag))
                .count()
        };
        assert_eq!(count("pwritev2", "RWF_SYNC"), 2, "{log}");
        assert_eq!(count("pwritev2", "RWF_DSYNC"), 4, "{log}");
        // Opened by the program and for its partner, then adopted.
        assert_eq!(count("openat2", "O_DSYNC"), 3, "{log}");
        assert_eq!(count("openat2", "O_SYNC"), 3, "{log}");
        pair.assert_equal();
    });
}

/// Takes the flags away, also when a test fails: nothing could be removed otherwise.
struct Unflag<'a>(&'a Pair);
impl Drop for Unflag<'_> {
    fn drop(&mut self) {
        self.0.bypass("chattr -R -ai $A $B");
        self.0.plain("chattr -R -ai $V");
    }
}

/// chattr +a and +i: on both legs as in a plain directory, on one leg an error or equal legs.
#[test]
fn flagged_files() {
    need!(root);
    need!("chattr");
    Pair::with(Kind::InPlace, |pair| {
        if !helper(pair) {
            return;
        }
        let _unflag = Unflag(pair);
        let clear = "chattr -ai $V/f $V/g $A/f $B/f $A/g $B/g 2>/dev/null; true";
        if pair.plain("echo x >$V/f; chattr +a $V/f").code != 0 {
            return skip("needs a file system with chattr");
        }
        pair.plain(clear);
        for flag in ["a", "i"] {
            let native = format!(
                "echo text >$V/f; chattr +{flag} $V/f; $P/answers_data one flagged; chattr -ai $V/f; cat $V/f"
            );
            let o = pair.plain(&native);
            pair.bypass(&format!(
                "for d in $A $B; do echo text >$d/f; chattr +{flag} $d/f; done"
            ))
            .ok();
            let m = one(pair, "flagged", None);
            pair.bypass(clear);
            let cat = pair.bypass("cat $A/f").text();
            assert_eq!(o.text(), format!("{}\n{cat}", m.text()), "+{flag}");
            pair.bypass("touch -r $A/f $B/f").ok();
            pair.assert_equal();
            for leg in ["A", "B"] {
                pair.bypass(&format!("for d in $A $B; do echo text >$d/f; done; touch -r $A/f $B/f; chattr +{flag} ${leg}/f")).ok();
                for what in [
                    "truncating open",
                    "truncating read-only open",
                    "truncate",
                    "grow",
                    "write",
                    "append",
                ] {
                    let before = legs(pair);
                    let text = one(pair, what, None).text();
                    if text.contains("-1 ") {
                        assert_unchanged(
                            &before,
                            pair,
                            &format!("+{flag} on {leg}, {what}: {text}"),
                        );
                    } else {
                        pair.assert_equal();
                    }
                }
                pair.bypass(clear);
            }
        }
    });
}

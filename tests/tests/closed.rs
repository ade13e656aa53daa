//! What cannot be found out is no reason to be silent: questions of the library's that fail (strace answers them),
//! where a change could reach one leg alone.
use mirror_tests::{Fs, Kind, Output, Pair, need};

fn said(o: &Output) -> String {
    String::from_utf8_lossy(&o.err).into_owned()
}

/// The list of names outside, and the look at the object, with each error.
#[test]
fn a_name_outside_that_cannot_be_looked_up_is_recorded() {
    need!("strace");
    const LIST: &str = "-P .mirror/outside -e inject=openat2:error=";
    const HELD: &str = "-P $A/.mirror/outside -e inject=";
    let all = [
        (format!("{LIST}EIO"), true),
        (format!("{LIST}ENOMEM"), true),
        (format!("{LIST}EMFILE"), true),
        (format!("{HELD}pread64:error=EIO"), true),
        (format!("{HELD}fstat:error=EIO"), true),
        ("-P $S/other -e inject=statx:error=EIO".into(), true),
        ("-P $S/other -e inject=statx:error=ENOMEM".into(), true),
        // One call says that it is another user's, the next one sees it.
        (format!("{LIST}EACCES"), true),
        // Another user's list.
        (
            "-P .mirror/outside -e inject=openat2,statx,newfstatat:error=EACCES".into(),
            false,
        ),
    ];
    for (failing, recorded) in all {
        let pair = Pair::bare(Kind::InPlace, Fs::Plain).unwrap();
        pair.bypass("echo content > $A/f; echo content > $B/f; touch -d @1000000000 $A/f $B/f; ln $A/f $S/other")
            .ok();
        pair.init(&[]).ok();
        let o = pair.run(&format!(
            "strace -f -o $S/log -e trace=all {failing} sh -c 'echo more >> $S/other'"
        ));
        let log = std::fs::read_to_string(pair.scratch().join("log")).unwrap();
        assert!(log.contains("(INJECTED)"), "{failing}: {log}");
        // An open file that cannot be looked at is not written to.
        let lost = failing.contains("statx");
        assert!(o.code == 0 || lost, "{failing}: {o:?}");
        let told = said(&o).contains("by a name outside the leg");
        assert_eq!(told, recorded, "{failing}: {o:?}");
    }
}

/// ld.so asks nobody whether it may write.
#[test]
fn what_the_linker_writes_is_recorded_whatever_fails() {
    need!("strace");
    for failing in [
        "openat2:error=EIO",
        "openat2:error=ENOMEM",
        "openat2:error=EMFILE",
        "getcwd:error=EIO",
        "getcwd,openat2,statx,readlinkat:error=ENOMEM",
    ] {
        for variables in [
            "LD_DEBUG=files LD_DEBUG_OUTPUT=logs/l",
            "LD_PROFILE=x LD_PROFILE_OUTPUT=logs",
        ] {
            let pair = Pair::striped(Kind::InPlace, None);
            pair.run("mkdir $V/logs").ok();
            let o = pair.run(&format!(
                "cd $V; strace -f -o $S/log -e inject={failing} env {variables} true"
            ));
            let pending = std::fs::read_to_string(pair.a().join(".mirror/pending")).unwrap();
            let told = said(&o).contains("may have changed one leg alone: true");
            assert!(told || pending.contains("logs"), "{failing}: {o:?}");
        }
    }
}

/// What the kernel is told to write: the call fails with what could not be asked, or the kernel's answer comes with
/// a record.
#[test]
fn what_the_kernel_is_told_to_write_is_recorded_or_fails() {
    need!("strace");
    need!("python3");
    const CALL: &str = "import ctypes, os, sys; c = ctypes.CDLL(None, use_errno=True); os.chdir(sys.argv[2]); c.acct(sys.argv[1].encode()); print(ctypes.get_errno())";
    for (failing, errno) in [
        ("openat2:error=EIO", 5),
        ("openat2:error=EMFILE", 24),
        ("statx:error=ENOMEM", 12),
        ("openat2,readlinkat:error=EIO", 5),
    ] {
        for path in ["acct", "$V/acct", "$S/link"] {
            let pair = Pair::striped(Kind::InPlace, None);
            pair.run("mkdir $V/acct; ln -s $V/acct $S/link").ok();
            let o = pair.run(&format!(
                "strace -f -o $S/log -e inject={failing} python3 -c '{CALL}' {path} $V"
            ));
            let text = o.text();
            let answer = text.lines().last().unwrap_or_default();
            // EISDIR, or (who may not) EPERM is the kernel's.
            let passed = answer == "21" || answer == "1";
            assert!(
                passed || answer == errno.to_string(),
                "{failing} {path}: {o:?}"
            );
            let pending = std::fs::read_to_string(pair.a().join(".mirror/pending")).unwrap();
            let told = said(&o).contains("may have changed one leg alone");
            assert_eq!(
                told || pending.contains("acct"),
                passed,
                "{failing} {path}: {o:?}"
            );
        }
    }
}

//! How it ends: exit codes, lost events, what `status` says afterwards.
use super::*;

fn audited(pair: &Pair, script: &str) -> mirror_tests::Output {
    let v = pair.v().to_str().unwrap();
    pair.mirror("audit", &[v, "--tier", "t4", "--", "bash", "-c", script])
}

#[test]
fn exit_codes() {
    Pair::with(Kind::InPlace, |pair| {
        let source = include_str!("../../programs/audited.c");
        let built = compile_with(&pair.programs(), "fixed", source, "c", &["-static"]);
        if built.is_none() {
            return;
        }
        let rows = [
            ("echo said; echo x > $V/f", 0),
            ("echo x > $V/g; exit 7", 7),
            ("kill -9 $$", 137),
            // A program that the library is not loaded into.
            ("echo said; $P/fixed write $B/only-b > $S/out", 3),
            ("$P/fixed write $A/other > $S/out; exit 5", 5),
        ];
        for (script, code) in rows {
            let o = audited(pair, script);
            assert_eq!(o.code, code, "{script}: {o:?}");
            // Standard output is the command's.
            assert_eq!(script.contains("echo said"), o.out == b"said\n", "{o:?}");
            assert!(String::from_utf8_lossy(&o.err).contains("ended  "), "{o:?}");
        }
        let o = pair.mirror("audit", &["/no/such/pair"]);
        assert_eq!(o.code, 64, "{o:?}");
        let o = pair.mirror("monitor", &["--explain"]);
        assert_eq!(o.code, 0, "{o:?}");
    });
}

#[test]
fn status_says_it_until_a_comparison() {
    Pair::with(Kind::InPlace, |pair| {
        let status = || {
            let o = pair.mirror("status", &[pair.v().to_str().unwrap()]);
            (o.code, o.text())
        };
        assert!(status().1.contains("audit     off"));
        pair.run("echo one > $V/f").ok();
        let audit = Audit::of(pair, &["--tier", "t4"]);
        let (code, text) = status();
        assert_eq!(code, 0, "{text}");
        assert!(text.contains("audit     on: T4"), "{text}");
        audit.still(|| pair.in_legs("echo x > $B/only-b"));
        assert_eq!(audit.end().code, 3);
        let (code, text) = status();
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("UNVERIFIED"), "{text}");
        assert!(text.contains("1 change that did not go"), "{text}");
        assert!(text.contains("audit     off"), "{text}");
        pair.resync().ok();
        pair.verify().ok();
        let (code, text) = status();
        assert_eq!(code, 0, "{text}");
    });
}

#[test]
fn a_pair_under_audit_is_not_detached() {
    Pair::with(Kind::InPlace, |pair| {
        let audit = Audit::of(pair, &["--tier", "t4"]);
        let pid = audit.child.id();
        let v = pair.v().to_str().unwrap();
        let o = pair.mirror("detach", &[v]);
        let err = String::from_utf8_lossy(&o.err).into_owned();
        assert_ne!(o.code, 0);
        assert!(err.contains(&format!("kill {pid}; mirror detach")), "{err}");
        assert_eq!(audit.end().code, 0);
        pair.mirror("detach", &[v]).ok();
    });
}

#[test]
fn lost_events_are_counted() {
    Pair::with(Kind::InPlace, |pair| {
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let limit: u64 = limit.trim().parse().unwrap();
        if limit > 100_000 {
            return skip("the kernel's queue is too long to be filled");
        }
        let dir = pair.programs();
        let source = include_str!("../../programs/audited.c");
        let Some(program) = compile_with(&dir, "audited", source, "c", &[]) else {
            return;
        };
        let audit = Audit::of(pair, &["--tier", "t4"]);
        audit.signal(libc::SIGSTOP);
        let path = pair.a().join("churn");
        let mut c = done_by(
            &program,
            &["churn", path.to_str().unwrap(), &limit.to_string()],
        );
        drop(c.stdin.take());
        c.wait().unwrap();
        audit.signal(libc::SIGTERM);
        audit.signal(libc::SIGCONT);
        let told = audit.end_after();
        assert_eq!(told.code, 4, "{}", told.err);
        assert!(told.count("lost") > 0);
        assert!(told.events.iter().any(|e| e["event"] == "lost"));
        let status = pair.mirror("status", &[pair.v().to_str().unwrap()]);
        assert_eq!(status.code, 1);
        assert!(status.text().contains("lost events"), "{status:?}");
    });
}

impl Audit {
    /// It has been told to end.
    fn end_after(mut self) -> Told {
        self.told()
    }
}

#[test]
fn too_few_watches_say_what_to_type() {
    Pair::with(Kind::InPlace, |pair| {
        if !namespaces() {
            return;
        }
        pair.run("cd $V; mkdir 1 2 3 4 5 6").ok();
        let audit = pair.mirror_command("audit");
        let mut c = Command::new("unshare");
        c.envs(audit.get_envs().filter_map(|(k, v)| Some((k, v?))))
            .args(["-Ur", "sh", "-c"])
            .arg("echo 9 > /proc/sys/user/max_inotify_watches; exec \"$@\"")
            .args(["sh", audit.get_program().to_str().unwrap(), "audit"])
            .arg(pair.v())
            .args(["--tier", "t4"]);
        let o = c.output().unwrap();
        let err = String::from_utf8_lossy(&o.stderr);
        assert_eq!(o.status.code(), Some(1), "{err}");
        assert!(err.contains("max_user_watches"), "{err}");
    });
}

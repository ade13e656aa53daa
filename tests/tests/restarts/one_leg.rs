//! One leg alone: away over a restart of the machine, or crashed between programs.
use super::*;
use mirror_tests::words::{LegB, of_boot};

/// A pair whose leg b was left behind is that after a restart as well, whatever it was left like: what is to be typed is
/// what brings leg b back, and nothing less ends it.
#[test]
fn a_degraded_pair_stays_one() {
    need!("python3", "strace");
    let offline = |p: &Pair| drop(p.mirror("leg", &["offline", v(p), "b"]).ok());
    let idle: &dyn Fn(&Pair) = &|p| {
        clean(p);
        offline(p);
    };
    let used = &|p: &Pair| {
        offline(p);
        program(p, "echo 2 > $V/two");
    };
    let under = &|p: &Pair| {
        let mut h = Holder::start(p);
        offline(p);
        h.writes();
        h.0.kill().unwrap();
        h.0.wait().unwrap();
    };
    // `leg online` is killed on its way.
    let joining = &|p: &Pair| {
        let mut h = Holder::start(p);
        for n in (20..400).step_by(20) {
            offline(p);
            let c = p.mirror_command("leg");
            let _ = Command::new("strace")
                .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=openat", "-e"])
                .arg(format!("inject=openat:signal=KILL:when={n}"))
                .arg(c.get_program())
                .args(["leg", "online", v(p), "b", "--yes"])
                .envs(c.get_envs().filter_map(|(k, v)| Some((k, v?))))
                .output();
            if Words::of(p).leg_b() == LegB::Joining {
                break;
            }
        }
        assert_eq!(Words::of(p).leg_b(), LegB::Joining);
        h.writes();
        h.0.kill().unwrap();
        h.0.wait().unwrap();
    };
    let lost = &|p: &Pair| {
        offline(p);
        program(p, "echo 2 > $V/two");
        fs::rename(p.b(), p.b().with_extension("aside")).unwrap();
    };
    let ways = [idle, used, under, joining, lost];
    for (nth, way) in ways.into_iter().enumerate() {
        let p = pair();
        p.run("mkdir $V/many; for i in $(seq 200); do echo $i > $V/many/$i; done")
            .ok();
        way(&p);
        let gone = !p.b().exists();
        for _ in 0..2 {
            restart_of(&p);
            let says = |o: &mirror_tests::Output| o.text().contains("DEGRADED");
            let text = state(&p, "DEGRADED");
            let action = text.lines().find(|l| l.starts_with("action")).unwrap();
            assert!(action.contains("mirror leg online $V b"), "{nth}: {text}");
            assert!(gone == action.contains("mount the leg's disk"), "{text}");
            let verify = |l: &str| l.contains("mirror verify") && !l.starts_with("verified");
            assert!(!text.lines().any(verify), "{text}");
            let all = p.mirror("status", &[]);
            assert!(says(&all) && all.code == 1, "{nth}: {all:?}");
            let json = p.mirror("status", &[v(&p), "--json"]);
            assert!(json.text().contains("\"degraded\""), "{json:?}");
            assert_eq!(p.mirror("wait", &[v(&p), "--timeout", "0"]).code, 1);
            let o = p.mirror("run", &["--require", "in-sync", "--", "true"]);
            assert_eq!(o.code, 125, "{o:?}");
            // A comparison does not end it.
            p.mirror("verify", &[v(&p)]);
            state(&p, "DEGRADED");
            program(&p, "echo more >> $V/three");
            state(&p, "DEGRADED");
        }
        if gone {
            fs::rename(p.b().with_extension("aside"), p.b()).unwrap();
        }
        p.mirror("leg", &["online", v(&p), "b", "--yes"]).ok();
        state(&p, "IN SYNC");
        p.assert_equal();
        assert_eq!(
            fs::read_to_string(p.b().join("three")).unwrap(),
            "more\nmore\n"
        );
    }
}

/// The same where leg b's own place may be gone.
fn restart_of(p: &Pair) {
    match p.b().exists() {
        true => restart(p),
        false => {
            p.runtime_files()
                .iter()
                .for_each(|f| fs::remove_file(f).unwrap());
            of_boot(&p.a().join(".mirror/owner"), 0x55);
        }
    }
}

/// One leg alone crashes between two programs, within one boot: its record tells nothing of what was lost, a comparison
/// does, and it is never the source unless somebody says so.
#[test]
fn a_leg_that_crashes_alone_is_found_by_a_comparison() {
    need!(root);
    need!("xfs_io");
    for (leg, from) in [("B", "a"), ("A", "b")] {
        let Some(p) = Pair::bare(Kind::Link, Fs::Loop(Ext4, Xfs)) else {
            return;
        };
        p.init(&[]).ok();
        let crashes = || crash(if leg == "B" { p.b() } else { p.a() });
        // What was flushed is there.
        program(&p, "seq 20000 > $V/old");
        clean(&p);
        crashes();
        state(&p, "IN SYNC");
        p.assert_equal();
        program(&p, "seq 30000 > $V/new; seq 9 >> $V/old");
        crashes();
        // Wrongly (FAULTS.md).
        state(&p, "IN SYNC");
        program(&p, "echo more > $V/more");
        assert_eq!(p.mirror("verify", &[v(&p)]).code, 1);
        let o = p.mirror("status", &[v(&p)]);
        let text = o.text();
        assert!(
            o.code == 1 && text.contains("state     DIFFERENT\n"),
            "{o:?}"
        );
        assert!(
            text.contains("mirror diff") && text.contains("--from b"),
            "{o:?}"
        );
        p.mirror("resync", &[v(&p), "--from", from, "--yes"]).ok();
        state(&p, "IN SYNC");
        p.assert_equal();
        for at in [p.a(), p.b()] {
            let lines = |name| fs::read_to_string(at.join(name)).unwrap().lines().count();
            assert_eq!(
                (lines("new"), lines("old"), lines("more")),
                (30000, 20009, 1)
            );
        }
    }
}

//! Storms: processes that fork in the middle of changes, are killed at random, leave zombies, live in
//! pid namespaces of their own. Whatever has died: nobody waits for ever, what differs is known, and a
//! resync ends it.
use mirror_tests::{
    Level, Output, Pair, Talker, Tree, compile, each_shape, in_place, need, race_seed, send, soak,
};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

fn chaos(pair: &Pair) -> Option<PathBuf> {
    compile(
        &pair.programs(),
        "chaos",
        include_str!("../programs/chaos.c"),
    )
}

/// Rounds, and seconds of each.
fn extent() -> (u64, &'static str) {
    if soak() { (100, "2") } else { (2, "0.8") }
}

/// After a storm: a program changes the pair at once, what differs is known, resync repairs it.
fn settle(pair: &Pair, what: &str) {
    let mut canary = pair.preloaded("bash");
    let mut canary = Talker::start(canary.args([
        "-c",
        "mkdir -p $V/canary && echo x >> $V/canary/f && echo alive",
    ]));
    assert_eq!(
        canary.line(),
        "alive",
        "{what}: somebody still holds a lock"
    );
    assert_eq!(canary.end(), 0);
    let d = Tree::read(pair.a()).differences(&Tree::read(pair.b()), Level::NoTimes);
    let status = pair.status();
    assert!(
        d.0.is_empty() || status.code == 1,
        "{what}: differs, not known to {status:?}\n{d}"
    );
    println!("{what}: {} differences before resync", d.0.len());
    pair.resync().ok();
    pair.assert_sound();
}

/// Random kills among processes of this many threads.
fn storm(pair: &Pair, processes: &str, threads: &str) {
    let Some(program) = chaos(pair) else { return };
    let (rounds, seconds) = extent();
    let first = race_seed();
    for seed in first..first + rounds {
        println!("MIRROR_RACE_SEED={seed}");
        let mut c = pair.preloaded(&program);
        c.args([processes, threads, seconds, &seed.to_string(), "storm"]);
        let mut t = Talker::start(&mut c);
        // The end of its output: no child is left either.
        let counts = t.drain();
        assert_eq!(t.end(), 0, "seed {seed}");
        assert!(
            counts.iter().any(|l| l.starts_with("put ") && l != "put 0"),
            "{counts:?}"
        );
        settle(pair, &format!("seed {seed}"));
    }
}

/// Programs in pid namespaces of their own, both on this pair.
fn unshared(pair: &Pair, program: &PathBuf, args: &[&str]) -> Command {
    let mut c = pair.preloaded("unshare");
    c.args([
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--ipc",
        "--uts",
        "--",
    ]);
    c.arg(program).args(args);
    c
}

each_shape! {
    fn processes_and_their_children_are_killed(pair) {
        storm(pair, "6", "2");
    }
}

mod kinds {
    use super::*;
    in_place! {
        fn children_of_one_process_with_many_threads_are_killed(pair) {
            storm(pair, "1", "8");
        }

        fn two_pid_namespaces_on_one_pair(pair) {
            need!(root);
            let Some(program) = chaos(pair) else { return };
            let (rounds, seconds) = extent();
            let first = race_seed();
            for seed in first..first + rounds {
                println!("MIRROR_RACE_SEED={seed}");
                let mut both = [seed, seed + 1000].map(|s| {
                    let s = s.to_string();
                    Talker::start(&mut unshared(pair, &program, &["3", "2", seconds, &s]))
                });
                for t in &mut both {
                    t.drain();
                    assert_eq!(t.end(), 0, "seed {seed}");
                }
                pair.assert_undisturbed();
            }
        }

        fn a_pid_namespace_is_killed_beside_another(pair) {
            need!(root);
            let Some(program) = chaos(pair) else { return };
            let first = race_seed();
            for seed in first..first + if soak() { 100 } else { 3 } {
                println!("MIRROR_RACE_SEED={seed}");
                let start = |s: u64, seconds| {
                    let s = s.to_string();
                    Talker::start(&mut unshared(pair, &program, &["3", "2", seconds, &s]))
                };
                let mut other = start(seed + 1000, "0.6");
                let mut dying = start(seed, "600");
                std::thread::sleep(Duration::from_millis(200 + seed % 200));
                // The end of unshare is the end of its namespace (--kill-child).
                dying.signal(libc::SIGKILL);
                dying.drain();
                assert_eq!(dying.end(), 137);
                other.drain();
                assert_eq!(other.end(), 0, "seed {seed}: the other namespace goes on");
                settle(pair, &format!("seed {seed}"));
            }
        }

        fn a_zombie_does_not_hold_what_it_held(pair) {
            need!("cc");
            let p = pair.programs();
            compile(&p, "scenes", include_str!("../programs/scenes.c"));
            compile(&p, "tracer", include_str!("../programs/tracer.c"));
            // Killed in the middle of a change, and reaped by nobody while the others work.
            let mut kills = 0;
            // With locks in memory it makes fewer calls.
            let all = soak() || mirror_tests::words::asked();
            for n in (1..).step_by(if all { 1 } else { 2 }) {
                pair.run("rm -rf $V/*; mkdir $V/d; echo content of f > $V/f").ok();
                let mut c = pair.preloaded("bash");
                c.args(["-c", "$P/tracer kill 0 $N $P/scenes change overwrite & echo $!; exec sleep 60"]);
                c.env("N", n.to_string());
                let mut t = Talker::start(&mut c);
                let said = [t.line(), t.line()];
                let Some(said) = said.iter().find_map(|l| l.strip_prefix("killed ")) else { break };
                kills += 1;
                let pid: i32 = said.split(' ').next().and_then(|p| p.parse().ok()).expect("a pid");
                let o = pair.preloaded("bash").args(["-c", "echo more >> $V/f; mkdir $V/d/new; mv $V/f $V/d/f"]).output();
                Output::from_std(o.expect("running bash")).ok();
                println!("killed {pid} at call {n}");
                pair.assert_legs(Level::NoTimes);
                t.signal(libc::SIGKILL);
                t.end();
            }
            assert!(kills > 2, "{kills} kills");
            pair.resync().ok();
            pair.assert_sound();
        }

        fn a_parent_is_killed_while_its_children_write(pair) {
            if chaos(pair).is_none() {
                return;
            }
            for i in 0..if soak() { 100 } else { 5 } {
                let s = race_seed().wrapping_add(i).to_string();
                println!("MIRROR_RACE_SEED={s}");
                let mut c = pair.preloaded("bash");
                // The shell's end is not the end of what it started.
                c.args(["-c", "$P/chaos 1 6 1.0 $N storm & echo $!; wait"]).env("N", &s);
                let mut t = Talker::start(&mut c);
                let pid: i32 = t.line().parse().expect("a pid");
                std::thread::sleep(Duration::from_millis(50 + i * 37 % 200));
                send(pid, libc::SIGKILL);
                t.drain();
                t.end();
                settle(pair, &format!("seed {s}"));
            }
        }
    }
}

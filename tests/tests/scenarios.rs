//! Failure scenarios by name: how a simpler mirror goes wrong, each with real processes. The names say
//! the numbers of the research page that they come from.
use mirror_tests::{
    Clock, Level, Output, PATIENCE, Pair, Talker, compile, each_shape, in_place, need, send, soak,
};
use std::time::{Duration, SystemTime};

/// Makes scenes.c and tracer.c; false without a compiler.
fn programs(pair: &Pair) -> bool {
    let p = pair.programs();
    compile(&p, "scenes", include_str!("../programs/scenes.c")).is_some()
        && compile(&p, "tracer", include_str!("../programs/tracer.c")).is_some()
}

/// Runs one scene under `mirror run`; afterwards the pair is as if nothing had been difficult.
fn scene(pair: &Pair, args: &[&str]) {
    if !programs(pair) {
        return;
    }
    let o = pair
        .command(pair.programs().join("scenes"))
        .args(args)
        .output();
    Output::from_std(o.expect("running mirror run")).ok();
    pair.assert_undisturbed();
}

fn seconds() -> &'static str {
    if soak() { "20" } else { "0.6" }
}

/// Some instant below `limit`: another one each time.
fn random_wait(limit: Duration) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    limit.mul_f64(f64::from(now.expect("a clock").subsec_nanos() / 7 % 100_000) / 100_000.0)
}

/// A folder with the files that `scenes change` works on; mirrored.
fn make(pair: &Pair, name: &str) {
    let script =
        "d=$V/$1; mkdir $d $d/d $d/e; echo content of f > $d/f; echo g > $d/g; echo in > $d/d/in";
    let o = pair
        .command("bash")
        .args(["-euc", script, "sh", name])
        .output();
    Output::from_std(o.expect("running mirror run")).ok();
}

/// `scenes change OP` below V/name at its N-th system call; what the tracer says of it.
fn traced(pair: &Pair, act: &str, who: &str, n: u32, name: &str, scene: &[&str]) -> Talker {
    let mut c = pair.preloaded(pair.programs().join("tracer"));
    c.args([act, who, &n.to_string()]);
    c.arg(pair.programs().join("scenes")).args(scene);
    c.env("DIR", pair.v().join(name));
    Talker::start(&mut c)
}

/// Where the legs differ in more than times, the command knows it.
fn assert_known(pair: &Pair, what: &str) {
    let trees = [pair.a(), pair.b()].map(mirror_tests::Tree::read);
    let d = trees[0].differences(&trees[1], Level::NoTimes);
    let status = pair.status();
    assert!(
        d.0.is_empty() || status.code == 1,
        "{what}: not known to {status:?}\n{d}"
    );
}

mod shapes {
    use super::*;
    each_shape! {
        fn f2_opens_against_renames_pair_the_same_file(pair) {
            scene(pair, &["pairing", "rename", seconds()]);
        }

        fn f2_opens_against_exchanges_pair_the_same_file(pair) {
            scene(pair, &["pairing", "exchange", seconds()]);
        }

        fn f2_opens_that_create_pair_the_same_file(pair) {
            scene(pair, &["pairing", "create", seconds()]);
        }

        fn f19_files_are_made_deep_in_trees_that_change_places(pair) {
            scene(pair, &["exchange", seconds()]);
        }
    }
}

/// After a program with busy threads has left in order: its exit waits for what they are in, and settles.
fn left_in_order(pair: &Pair) {
    pair.assert_undisturbed();
}

/// F1 in all its forms; `mode` is `append` or `position`.
fn offsets(pair: &Pair, mode: &str) {
    let count = if soak() { "1000000" } else { "6000" };
    for how in ["threads", "fork", "dup"] {
        scene(pair, &["offsets", how, mode, count]);
    }
}

/// The operations of `scenes change` that the sweeps use.
const FILE_OPS: &[&str] = &[
    "overwrite",
    "append",
    "extend",
    "ftruncate",
    "fallocate",
    "fchmod",
    "futimens",
    "fsetxattr",
    "truncate",
    "chmod",
];

/// F15: a change is torn by a kill at each of its system calls; before anybody repairs it, a mirrored
/// program renames, removes or links the file. No silent difference, and resync ends it.
fn torn_then(pair: &Pair, meanwhile: &str) {
    if !programs(pair) {
        return;
    }
    let mut kills = 0;
    for (i, op) in FILE_OPS.iter().enumerate() {
        // A fifth of the kills in CI, each time others; all in soak.
        let step = if soak() { 1 } else { 5 };
        let mut n = 1 + u32::try_from(i).expect("small") % step;
        loop {
            let name = format!("{op}.{n}");
            make(pair, &name);
            let t = traced(pair, "kill", "0", n, &name, &["change", op]);
            let said = t.line();
            t.drain();
            let o = pair
                .preloaded("bash")
                .args(["-euc", meanwhile])
                .env("D", pair.v().join(&name))
                .output();
            Output::from_std(o.expect("running bash")).ok();
            assert_known(pair, &format!("{op} at call {n}, then {meanwhile}"));
            if !said.starts_with("killed") {
                break;
            }
            kills += 1;
            n += step;
        }
    }
    println!("{kills} kills");
    assert!(kills > 20, "the sweep must strike: {kills} kills");
    pair.resync().ok();
    pair.assert_sound();
}

/// F27: a process is stopped in mid-change at each of its system calls. Others wait for it with their
/// signals open, and end when it goes on or is killed.
fn stopped_in(pair: &Pair, op: &str) {
    if !programs(pair) {
        return;
    }
    let (mut n, mut blocked) = (1, 0);
    let whole_pair = op.contains("director");
    loop {
        let name = format!("{op}.{n}");
        make(pair, &name);
        let script = "mkdir $V/$1.others && cd $V/$1.others && mkdir 0 1 2 3 4 5 6 7";
        let o = pair
            .command("bash")
            .args(["-euc", script, "sh", &name])
            .output();
        Output::from_std(o.expect("running mirror run")).ok();
        let mut holder = traced(pair, "stop", "0", n, &name, &["change", op]);
        let said = holder.line();
        let Some(pid) = said.strip_prefix("stopped ") else {
            break;
        };
        let pid: i32 = pid
            .split(' ')
            .next()
            .and_then(|p| p.parse().ok())
            .expect("a pid");
        let waiter = |kind: &str, below: &str| {
            let mut c = pair.preloaded(pair.programs().join("scenes"));
            c.args(["waiter", kind]).env("DIR", pair.v().join(below));
            let t = Talker::start(&mut c);
            assert_eq!(t.line(), "started");
            t
        };
        let mut patient = waiter("new", &name);
        let mut impatient = waiter("new", &name);
        // A handler runs while its process waits; SIGINT ends one that waits.
        patient.signal(libc::SIGUSR1);
        let first = patient.line();
        if first != "done" {
            assert_eq!(first, "handled");
        }
        impatient.signal(libc::SIGINT);
        let end = impatient.end();
        assert!([0, 130].contains(&end), "{op} at call {n}: {end}");
        if first == "handled" && patient.line_within(Duration::from_millis(50)).is_none() {
            blocked += 1;
        }
        let others = if whole_pair {
            Vec::new()
        } else {
            others_go_on(pair, &name)
        };
        let killed = n % 2 == 0;
        send(pid, if killed { libc::SIGKILL } else { libc::SIGCONT });
        assert_eq!(holder.end(), if killed { 137 } else { 0 });
        assert_eq!(patient.end(), 0, "{op} at call {n}: the waiter finishes");
        for mut t in others {
            assert_eq!(t.end(), 0, "{op} at call {n}: so do the others");
        }
        if killed {
            pair.resync().ok();
        }
        // SIGINT may have come before the impatient one settled its file's time.
        pair.assert_legs(Level::NoTimes);
        // All points in soak; in CI some, the holder continued and killed in turn.
        n += match op {
            // With locks in memory there are fewer calls.
            _ if soak() || mirror_tests::words::asked() => 1,
            "overwrite" => 3,
            _ => 5,
        };
    }
    println!("{n} calls, somebody had to wait at {blocked}");
    assert!(
        blocked > 0,
        "nobody ever had to wait for the stopped process"
    );
    pair.assert_nothing_pending();
    pair.resync().ok();
    pair.assert_undisturbed();
}

/// At least one of eight programs, each in a directory of its own, ends while the holder is stopped: a
/// few may share its stripe.
fn others_go_on(pair: &Pair, name: &str) -> Vec<Talker> {
    let others: Vec<Talker> = (0..8)
        .map(|i| {
            let mut c = pair.preloaded("bash");
            c.args(["-c", "echo x > $DIR/$I/f && echo done"]);
            c.env("DIR", pair.v().join(format!("{name}.others")))
                .env("I", i.to_string());
            Talker::start(&mut c)
        })
        .collect();
    let mut clock = Clock::start();
    while clock.spent() < PATIENCE {
        if others
            .iter()
            .any(|t| t.line_within(Duration::from_millis(10)).as_deref() == Some("done"))
        {
            return others;
        }
    }
    panic!("{name}: nobody goes on");
}

in_place! {
    fn f1_appends_whose_position_is_moved(pair) {
        offsets(pair, "append");
    }

    fn f1_writes_whose_position_is_moved(pair) {
        offsets(pair, "position");
    }

    fn f9_modes_of_a_directory_against_its_entries(pair) {
        // Modes do not stop root: the makers attach as root, then become somebody else.
        need!(root);
        if !programs(pair) {
            return;
        }
        pair.run("mkdir -m 777 $V/D").ok();
        let mut all = ["chmod", "make", "make"].map(|role| {
            let mut c = pair.command(pair.programs().join("scenes"));
            Talker::start(c.args(["attributes", role, seconds()]))
        });
        for t in &mut all {
            t.drain();
            assert_eq!(t.end(), 0);
        }
        pair.assert_undisturbed();
    }

    fn f15_torn_then_renamed(pair) {
        torn_then(pair, "mv $D/f $D/d/renamed; echo more >> $D/d/renamed");
    }

    fn f15_torn_then_removed(pair) {
        torn_then(pair, "rm $D/f; echo new > $D/f");
    }

    fn f15_torn_then_linked(pair) {
        torn_then(pair, "ln $D/f $D/d/linked; rm $D/f; echo more >> $D/d/linked");
    }

    fn f16_a_spawned_child_is_killed_at_each_call(pair) {
        need!("cc");
        programs(pair);
        let (mut n, mut kills) = (1, 0);
        loop {
            let name = format!("d{n}");
            pair.run(&format!("mkdir $V/{name}")).ok();
            let mut t = traced(pair, "kill", "1", n, &name, &["spawner"]);
            // The parent goes on: it shared its memory and its locks with the child that died.
            let said = t.drain();
            assert_eq!(t.end(), 0, "killed at call {n}: {said:?}");
            assert!(said.contains(&"done".to_owned()), "killed at call {n}: {said:?}");
            assert_known(pair, &format!("spawned child killed at call {n}"));
            if said.contains(&"past".to_owned()) {
                break;
            }
            kills += 1;
            n += if soak() { 1 } else { 4 };
        }
        println!("{kills} kills");
        assert!(kills > 10, "{kills} kills");
        pair.resync().ok();
        pair.assert_sound();
    }

    fn f16_a_spawned_child_does_not_keep_its_dead_parents_locks(pair) {
        if !programs(pair) {
            return;
        }
        for round in 0..if soak() { 100 } else { 10 } {
            let mut c = pair.preloaded(pair.programs().join("scenes"));
            let mut t = Talker::start(c.arg("spawning_writers"));
            assert_eq!(t.line(), "started");
            std::thread::sleep(random_wait(Duration::from_millis(100)));
            t.signal(libc::SIGKILL);
            assert_eq!(t.end(), 137);
            let mut next = Talker::start(pair.preloaded("bash").args(["-c", "echo next >> $V/next; echo done"]));
            assert_eq!(next.line(), "done");
            assert_eq!(next.end(), 0);
            assert_known(pair, &format!("round {round}"));
        }
        pair.resync().ok();
        pair.assert_sound();
    }

    fn f17_main_returns_while_threads_write(pair) {
        if !programs(pair) {
            return;
        }
        for _ in 0..if soak() { 200 } else { 12 } {
            let o = pair.command(pair.programs().join("scenes")).args(["writers", "return"]).output();
            Output::from_std(o.expect("running mirror run")).ok();
            left_in_order(pair);
        }
    }

    fn f17_a_handler_leaves_while_threads_write(pair) {
        sigterms(pair, "handler", if soak() { 200 } else { 12 });
        left_in_order(pair);
    }

    fn f17_sigterms_to_a_writer_with_threads(pair) {
        sigterms(pair, "default", if soak() { 200 } else { 30 });
        pair.resync().ok();
        pair.assert_sound();
    }

    fn f17_a_killed_redirection_is_equal_after_repair(pair) {
        for i in 0..if soak() { 100 } else { 8 } {
            let mut c = pair.preloaded("bash");
            c.args(["-c", "echo $$; while :; do echo line of some length; done > $V/f"]);
            let mut t = Talker::start(&mut c);
            let pid: i32 = t.line().parse().expect("a pid");
            std::thread::sleep(random_wait(Duration::from_millis(60)));
            send(pid, libc::SIGKILL);
            assert_eq!(t.end(), 137, "round {i}");
            // Times count here: a redirection is never closed by its writer.
            let verdict = pair.verify().code;
            assert!([0, 1].contains(&verdict), "verify: {verdict}");
            pair.resync().ok();
            pair.assert_sound();
        }
    }

    fn f27_stopped_in_a_write(pair) {
        stopped_in(pair, "overwrite");
    }

    fn f27_stopped_in_a_creation(pair) {
        stopped_in(pair, "create");
    }

    fn f27_stopped_in_a_rename(pair) {
        stopped_in(pair, "rename");
    }

    fn f27_stopped_in_a_rename_of_a_directory(pair) {
        stopped_in(pair, "rename_directory");
    }
}

/// Starts writers of four threads, ends each by SIGTERM at some instant, the next one in its place.
fn sigterms(pair: &Pair, how: &str, rounds: u32) {
    if !programs(pair) {
        return;
    }
    for round in 0..rounds {
        let mut c = pair.preloaded(pair.programs().join("scenes"));
        let mut t = Talker::start(c.args(["writers", how]));
        assert_eq!(t.line(), "started");
        std::thread::sleep(random_wait(Duration::from_millis(30)));
        t.signal(libc::SIGTERM);
        let wanted = if how == "handler" { 0 } else { 143 };
        assert_eq!(t.end(), wanted, "round {round}");
        // Somebody comes by, and ends what is torn.
        let o = pair
            .preloaded("bash")
            .args(["-c", "echo next >> $V/next"])
            .output();
        Output::from_std(o.expect("running bash")).ok();
        assert_known(pair, &format!("round {round}"));
    }
}

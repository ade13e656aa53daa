//! Whoever alone can continue the holder of a lock does not wait for it: tracers and parents of stopped children,
//! which change the same things. Nothing hangs, and what reached one leg alone is recorded.
use mirror_tests::{Level, Pair, Tree, compile, in_place, need};

/// Both legs are equal, or the pair says that they are not; then a resync ends it.
fn known(pair: &Pair) -> bool {
    let d = Tree::read(pair.a()).differences(&Tree::read(pair.b()), Level::NoTimes);
    let status = pair.status();
    assert!(d.0.is_empty() || status.code == 1, "{status:?}\n{d}");
    if status.code == 1 {
        pair.resync().ok();
    }
    pair.assert_legs(Level::NoTimes);
    !d.0.is_empty()
}

fn held(pair: &Pair, how: &str) {
    let source = include_str!("../programs/holder.c");
    if compile(&pair.programs(), "holder", source).is_none() {
        return;
    }
    let plain = pair.plain(&format!("$P/holder {how} $V"));
    let o = pair.run(&format!("$P/holder {how} $V")).ok();
    assert_eq!((plain.code, plain.text()), (0, o.text()), "{o:?}");
    // Otherwise nothing was tried.
    let met = String::from_utf8_lossy(&o.err).into_owned();
    assert!(met.contains("locks met: 1 1"), "{met}");
    assert!(known(pair), "the lock was not in the way");
}

in_place! {
    fn by_a_tracer(pair) {
        held(pair, "traced");
    }

    fn by_a_parent(pair) {
        held(pair, "stopped");
    }

    fn a_parent_waits_once(pair) {
        need!("strace");
        let source = include_str!("../programs/holder.c");
        if compile(&pair.programs(), "holder", source).is_none() {
            return;
        }
        pair.run("strace -o $P/calls -e trace=futex,nanosleep,clock_nanosleep,write,wait4 $P/holder stopped $V names").ok();
        let calls = std::fs::read_to_string(pair.programs().join("calls")).unwrap();
        // It sleeps again and again before the first change of a round, and before no other one.
        let sleeps = |l: &&str| l.contains("sleep(") || l.contains("FUTEX_WAIT");
        let long = |l: &&[&str]| l.iter().filter(|l| sleeps(l)).count() > 8;
        let lines: Vec<&str> = calls.lines().collect();
        let waits = lines.split(|l| l.starts_with("write(") || l.starts_with("wait4(")).filter(long).count();
        assert_eq!(waits, 2, "{} lines", lines.len());
        known(pair);
    }

    fn strace_writes_beside_its_programs(pair) {
        need!("strace");
        let work = "for i in 1 2 3 4 5 6; do echo $i > f$i; echo $i >> all; mv f$i g$i; mkdir d$i; done; (cat all > sub) & wait; cat all";
        let o = pair.run(&format!("cd $V; strace -f -o $V/trace bash -c '{work}'")).ok();
        assert_eq!(o.text(), "1\n2\n3\n4\n5\n6");
        let trace = std::fs::read_to_string(pair.a().join("trace")).unwrap();
        assert!(trace.contains("+++ exited with 0 +++"), "{trace}");
        assert!(pair.b().join("g6").exists() && pair.b().join("d6").exists());
        known(pair);
    }

    fn gdb_logs_beside_its_program(pair) {
        need!("gdb", "sh");
        let o = pair.run("cd $V; gdb -q -batch -ex 'set debuginfod enabled off' -ex 'set logging file log' -ex 'set logging enabled on' -ex 'handle SIGSYS nostop noprint pass' -ex 'catch syscall flock' -ex run -ex bt -ex c -ex bt -ex 'delete' -ex c --args sh -c 'echo x > made' < /dev/null").ok();
        assert!(o.text().contains("exited normally"), "{o:?}");
        assert!(pair.b().join("made").exists());
        known(pair);
    }
}

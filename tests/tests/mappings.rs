//! Writable shared mappings of files of V: what a program sees is a plain directory's, and what it stores is on
//! both legs after msync, fsync, munmap, exec and its end, whoever made the call, and however it ended.
use mirror_tests::{Fs, Kind, Level, Output, Pair, Talker, compile_with, each_kind, need};

fn program(pair: &Pair) -> bool {
    let source = include_str!("../programs/mappings.c");
    compile_with(&pair.programs(), "mappings", source, "c", &["-pthread"]).is_some()
}

/// One case of mappings.c both ways.
fn case(pair: &Pair, name: &str) {
    if program(pair) {
        pair.both_ok(&format!("$P/mappings {name}"));
    }
}

each_kind! {
    fn a_sync_finds_what_was_stored(pair) {
        for name in ["msync", "fsync", "fsync_by_another"] {
            case(pair, name);
        }
    }

    fn what_is_unmapped_is_carried_over(pair) {
        for name in ["munmap", "offset", "mprotect", "mremap", "fixed", "validate", "many"] {
            case(pair, name);
        }
    }

    fn other_processes_have_it_too(pair) {
        for name in ["fork", "fork_of_a_fork", "exit", "exec", "spawn"] {
            case(pair, name);
        }
    }

    fn the_file_changes_under_it(pair) {
        for name in ["truncate", "write_under", "names", "locks", "flags"] {
            case(pair, name);
        }
    }
}

#[test]
fn the_end_of_a_process_whose_threads_store_on() {
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    if program(&pair) {
        for _ in 0..4 {
            pair.run("$P/mappings threads").ok();
            pair.assert_legs(Level::NoTimes);
        }
        pair.assert_equal();
    }
}

/// Nobody can store any more when its last thread ends it: nothing is left to be found, also under another name.
#[test]
fn the_end_of_a_process_whose_threads_have_ended() {
    need!("python3");
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    let script = "
import mmap, os, threading
os.chdir(os.environ['V'])
t = threading.Thread(target=lambda: None)
t.start()
t.join()
with open('f', 'wb') as f:
    f.write(b'a' * 8192)
f = open('f', 'r+b')
m = mmap.mmap(f.fileno(), 0)
m[0:3] = b'XYZ'
os.rename('f', 'renamed')
m[4096:4099] = b'123'
os._exit(0)
";
    std::fs::write(pair.programs().join("ends.py"), script).unwrap();
    pair.both_ok("/usr/bin/python3 $P/ends.py");
    pair.both_ok("echo next > $V/next");
    assert_eq!(pair.status().code, 0, "{:?}", pair.status());
}

/// A program that has stored and not synced is killed; nobody has carried anything over.
fn killed(pair: &Pair) {
    let t = Talker::start(pair.preloaded(pair.programs().join("mappings")).arg("kill"));
    while t.line() != "ready" {}
    let o = pair.mirror("status", &[&pair.v().to_string_lossy()]);
    assert!(
        o.text().contains("1 file is mapped for writing now"),
        "{}",
        o.text()
    );
    // What differs may be what is being stored, or not: neither equal nor different.
    let o = pair.verify();
    assert_eq!(o.code, 1, "{}", o.text());
    for words in [
        "NOT COMPARED",
        "1 object could not be compared",
        "f  cannot be compared: a program has it mapped for writing",
        "1 file is mapped for writing now",
    ] {
        assert!(o.text().contains(words), "{words}: {}", o.text());
    }
    drop(t);
    let differ = pair.bypass("cmp -s $A/f $B/f");
    assert_eq!(differ.code, 1, "nobody has carried it over");
    let o = pair.mirror("status", &[&pair.v().to_string_lossy()]);
    assert_eq!(o.code, 1, "{}", o.text());
}

#[test]
fn what_a_killed_program_stored_is_found() {
    let pair = &Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    if !program(pair) {
        return;
    }
    // By the next program, by the command that runs one, by a resync, by a comparison.
    killed(pair);
    let mut next = pair.preloaded("bash");
    assert!(
        next.args(["-c", "echo x > $V/other"])
            .status()
            .unwrap()
            .success()
    );
    pair.assert_equal();
    pair.verify().ok();
    pair.mirror("status", &[&pair.v().to_string_lossy()]).ok();
    pair.run("rm $V/f").ok();

    killed(pair);
    pair.run("true").ok();
    pair.assert_equal();
    pair.run("rm $V/f").ok();

    killed(pair);
    pair.resync().ok();
    pair.assert_equal();
    pair.run("rm $V/f").ok();

    killed(pair);
    pair.verify().ok();
    pair.assert_equal();
}

#[test]
fn a_file_that_was_renamed_before_the_kill_is_pending() {
    let pair = &Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    if !program(pair) {
        return;
    }
    let t = Talker::start(pair.preloaded(pair.programs().join("mappings")).arg("kill"));
    while t.line() != "ready" {}
    pair.run("mv $V/f $V/g").ok();
    drop(t);
    pair.run("true");
    let o = pair.mirror("status", &[&pair.v().to_string_lossy()]);
    assert_eq!(o.code, 1, "{}", o.text());
    pair.resync().ok();
    pair.assert_equal();
}

#[test]
fn a_random_walk_of_several_processes() {
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    if !program(&pair) {
        return;
    }
    for seed in 1..=6 {
        println!("seed {seed}");
        let o: Output = pair.run(&format!(
            "$P/mappings walk {seed} 150; echo $?; rm -f $V/none"
        ));
        assert_eq!(o.ok().text().trim(), "0", "seed {seed}");
        pair.assert_legs(Level::NoTimes);
        pair.assert_nothing_pending();
    }
    pair.verify().ok();
}

#[test]
fn sqlite_in_wal_mode() {
    need!("python3");
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    std::fs::write(
        pair.programs().join("wal.py"),
        include_str!("../programs/wal.py"),
    )
    .unwrap();
    let o = pair.run("/usr/bin/python3 -B $P/wal.py").ok();
    println!("{}", o.text());
    pair.assert_legs(Level::NoTimes);
    pair.assert_nothing_pending();
    // Each leg by itself, without the other's help.
    for leg in ["A", "B"] {
        let o = pair.bypass(&format!(
            "cp -r ${leg} $S/{leg}; /usr/bin/python3 -B $P/wal.py check $S/{leg}/db {}",
            o.text().trim()
        ));
        assert_eq!(o.text().trim(), "ok", "leg {leg}: {o:?}");
    }
}

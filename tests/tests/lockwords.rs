//! Locks in memory: whatever a dead, a stopped or a lying process leaves in the words of a pair, others wait for
//! the living, succeed the dead, and never go on beside anybody.
use mirror_tests::words::{EXCLUSIVE, FLOCKED, FLOCKED_ON, Words};
use mirror_tests::{Kind, Level, Output, Pair, Talker, Tree, compile, need};
use std::process::Stdio;
use std::time::Duration;

/// A pair whose programs have taken part once.
fn used(locks: &str) -> Pair {
    let pair = Pair::bare(Kind::InPlace, mirror_tests::Fs::Plain).expect("plain folders");
    pair.init(&["--locks", locks]).ok();
    pair.run("mkdir $V/d; echo one > $V/d/f").ok();
    pair
}

/// Changes of every kind: names, data, attributes, a directory's rename.
const WORK: &str = "echo more >> $V/d/f; mkdir $V/d/new; mv $V/d/new $V/d/old; chmod 700 $V/d; \
                    for i in 1 2 3 4 5 6 7 8; do echo $i > $V/d/$i; mv $V/d/$i $V/$i; rm $V/$i; done; mv $V/d $V/e; mv $V/e $V/d; rmdir $V/d/old";

/// Somebody works, and ends; both legs are equal, and nothing is held.
fn goes_on(pair: &Pair, what: &str) {
    let mut t = Talker::start(pair.preloaded("bash").args(["-euc", WORK]));
    assert_eq!(t.end(), 0, "{what}");
    let d = Tree::read(pair.a()).differences(&Tree::read(pair.b()), Level::NoTimes);
    assert!(d.0.is_empty(), "{what}: {d}");
}

/// A program that does what its lines say: `Steps::ask` waits for the end of each.
struct Steps(Talker, std::process::ChildStdin);

impl Steps {
    fn start(pair: &Pair) -> Steps {
        let mut c = pair.preloaded("bash");
        c.arg("-s").stdin(Stdio::piped());
        let mut t = Talker::start(&mut c);
        let input = t.input();
        Steps(t, input)
    }
    fn tell(&mut self, line: &str) {
        use std::io::Write;
        writeln!(self.1, "{line}; echo \"said $?\"").expect("its input");
    }
    fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.0.line()
    }
    /// Nothing comes while somebody is in the way.
    fn waits(&mut self, line: &str) {
        self.tell(line);
        let said = self.0.line_within(Duration::from_millis(300));
        assert_eq!(said, None, "{line}: went on beside the holder");
    }
}

#[test]
fn what_the_dead_have_left() {
    let pair = used("memory");
    let w = Words::of(&pair);
    let dead = || w.slot() << 24 | 5;
    let cases: [(&str, &[u64], bool, bool); 6] = [
        ("between the legs, or in giving back", &[0], false, false),
        ("the second leg alone", &[1], false, false),
        ("before it came in, or after it left", &[0, 1], false, false),
        ("the whole pair's too", &[0, 1], true, false),
        ("inside", &[0, 1], false, true),
        ("inside, between the legs in giving back", &[0], false, true),
    ];
    for (what, legs, whole, inside) in cases {
        w.forge(dead(), legs, whole);
        if inside {
            w.occupy();
        }
        goes_on(&pair, what);
        assert!(
            !inside || w.occupied() == 0,
            "{what}: {} posts",
            w.occupied()
        );
    }
    pair.resync().ok();
    pair.assert_sound();
}

#[test]
fn what_was_never_anybodys() {
    let pair = used("memory");
    let w = Words::of(&pair);
    for word in [1, u64::MAX, 5 << 24, (1 << 39) << 24 | 7, w.last() << 24] {
        w.forge(word, &[0, 1], true);
        goes_on(&pair, &format!("{word:x}"));
        w.forge(word, &[1], false);
        goes_on(&pair, &format!("{word:x} on one leg"));
        let alone = pair.verify();
        assert_eq!(alone.code, 0, "{alone:?}");
    }
    // The counter turned back, and at its end.
    for slots in [0, u64::MAX - 2] {
        w.turn(slots);
        goes_on(&pair, "counter");
    }
    pair.assert_sound();
}

#[test]
fn ones_own_slot_in_a_word_of_another_count() {
    let pair = used("memory");
    let w = Words::of(&pair);
    let mut s = Steps::start(&pair);
    assert_eq!(s.ask("echo a > $V/d/own"), "said 0");
    for legs in [&[0, 1][..], &[0], &[1]] {
        // To others it is alive: they would wait for it.
        w.forge(w.last() << 24 | 0xabcdef, legs, true);
        assert_eq!(
            s.ask("echo b >> $V/d/own && echo new > $V/d/new$RANDOM"),
            "said 0"
        );
        w.forge(0, &[0, 1], true);
    }
    assert_eq!(
        std::fs::read(pair.b().join("d/own")).unwrap(),
        b"a\nb\nb\nb\n"
    );
}

#[test]
fn the_living_are_waited_for() {
    let pair = used("memory");
    for legs in [&[0, 1][..], &[0], &[1]] {
        let w = Words::of(&pair);
        let slot = w.slot();
        assert!(w.live(Some(slot)));
        w.forge(slot << 24 | 9, legs, false);
        let mut s = Steps::start(&pair);
        s.waits("echo x >> $V/d/f");
        assert_eq!(
            std::fs::read(pair.a().join("d/f")).unwrap(),
            std::fs::read(pair.b().join("d/f")).unwrap()
        );
        // Its end is the end of the waiting, though the words stay.
        drop(w);
        assert_eq!(s.0.line(), "said 0");
        goes_on(&pair, "after it");
    }
}

#[test]
fn who_comes_while_somebody_is_alone_with_the_pair() {
    let pair = used("memory");
    let w = Words::of(&pair);
    let slot = w.slot();
    assert!(w.live(Some(slot)));
    w.forge(slot << 24 | 1, &[0, 1], true);
    w.set(EXCLUSIVE);
    let mut s = Steps::start(&pair);
    s.waits("echo x >> $V/d/f");
    // The others' words are free, the whole pair's is not: who comes in leaves again.
    let mut command = Talker::start(pair.mirror_command("resync").arg(pair.v()).arg("--yes"));
    assert_eq!(s.0.line_within(Duration::from_millis(100)), None);
    drop(w);
    assert_eq!(s.0.line(), "said 0");
    assert_eq!(command.end(), 0);
    let w = Words::of(&pair);
    assert_eq!((w.state() & EXCLUSIVE, w.occupied()), (0, 0));
    pair.assert_sound();
}

#[test]
fn children_have_slots_of_their_own_and_leave_none() {
    let pair = used("memory");
    let w = Words::of(&pair);
    let before = w.last();
    // A subshell, a child of posix_spawn that redirects, an exec.
    let o = pair.run("echo a > $V/x; (echo b >> $V/x); (exec bash -c 'echo c >> $V/x'); /bin/sh -c 'echo d >> $V/x'; cat $V/x").ok();
    assert_eq!(o.text(), "a\nb\nc\nd");
    assert!(w.last() >= before + 4, "{} slots", w.last() - before);
    assert_eq!(w.held(), 0);
    let inode =
        std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&pair.runtime_files()[0]).unwrap());
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    let left = locks
        .lines()
        .filter(|l| l.contains("OFDLCK") && l.contains(&format!(":{inode} ")));
    assert_eq!(left.count(), 0, "{locks}");
    pair.assert_sound();
}

#[test]
fn a_removed_runtime_file_keeps_its_members_together() {
    let pair = used("memory");
    let mut s = Steps::start(&pair);
    assert_eq!(s.ask("echo a > $V/x"), "said 0");
    let w = Words::of(&pair);
    for f in pair.runtime_files() {
        std::fs::remove_file(f).unwrap();
    }
    // It goes on, and so do its children: each opens the file that has no name any more.
    assert_eq!(s.ask("echo b >> $V/x; (echo c >> $V/x)"), "said 0");
    // They still keep each other out.
    let slot = w.slot();
    assert!(w.live(Some(slot)));
    w.forge(slot << 24 | 1, &[0, 1], false);
    s.waits("(echo d >> $V/x)");
    // Who comes now is none of them.
    let new = pair
        .preloaded("bash")
        .args(["-c", "echo no >> $V/x"])
        .output()
        .unwrap();
    assert_ne!(new.status.code(), Some(0));
    drop(w);
    assert_eq!(s.0.line(), "said 0");
    assert_eq!(std::fs::read(pair.b().join("x")).unwrap(), b"a\nb\nc\nd\n");
    drop(s);
    pair.resync().ok();
}

#[test]
fn a_program_with_other_locks_is_refused() {
    let pair = used("memory");
    let tab = pair.tab();
    let text = std::fs::read_to_string(&tab).unwrap();
    let mut s = Steps::start(&pair);
    assert_eq!(s.ask("echo a > $V/x"), "said 0");
    let other = text.replace("locks=memory", "locks=flock");
    assert_ne!(text, other);
    std::fs::write(&tab, &other).unwrap();
    let o = pair
        .preloaded("bash")
        .args(["-c", "echo no >> $V/x"])
        .output()
        .unwrap();
    assert_ne!(o.status.code(), Some(0));
    // Where the line says nothing, it is as the others are.
    std::fs::write(&tab, text.replace(",locks=memory", "")).unwrap();
    let o = pair
        .preloaded("bash")
        .args(["-c", "echo b >> $V/x"])
        .output();
    Output::from_std(o.unwrap()).ok();
    // A change that somebody left is not lost when the pair turns to other locks.
    let w = Words::of(&pair);
    drop(s);
    w.forge(w.slot() << 24, &[0, 1], false);
    w.occupy();
    std::fs::write(&tab, &other).unwrap();
    goes_on(&pair, "with flocks");
    assert_eq!((w.occupied(), pair.runtime_files().len()), (0, 1));
    std::fs::write(&tab, &text).unwrap();
    goes_on(&pair, "with words again");
    pair.assert_sound();
}

/// What a line asks for by `memory` is speed: where others are attached with flocks, its programs have flocks too, and
/// words when nobody is.
#[test]
fn a_line_that_asks_for_words_joins_those_with_flocks() {
    let pair = used("flock");
    let tab = pair.tab();
    let text = std::fs::read_to_string(&tab).unwrap();
    let mut s = Steps::start(&pair);
    assert_eq!(s.ask("echo a > $V/x"), "said 0");
    std::fs::write(&tab, text.replace("locks=flock", "locks=memory")).unwrap();
    assert_ne!(std::fs::read_to_string(&tab).unwrap(), text);
    pair.run("echo b >> $V/x").ok();
    pair.mirror("status", &[pair.v().to_str().unwrap()]).ok();
    pair.verify().ok();
    assert_eq!(Words::of(&pair).kind(), 0);
    for leg in [pair.a(), pair.b()] {
        let held: Vec<_> = std::fs::read_dir(leg.join(".mirror/locks"))
            .unwrap()
            .map(|e| std::fs::File::open(e.unwrap().path()).unwrap())
            .inspect(|f| f.lock().unwrap())
            .collect();
        let mut new = Steps::start(&pair);
        new.waits("echo c >> $V/x");
        drop(held);
        assert_eq!(new.0.line(), "said 0");
    }
    assert_eq!(s.ask("echo d >> $V/x"), "said 0");
    drop(s);
    goes_on(&pair, "alone");
    assert_eq!(
        (Words::of(&pair).kind(), pair.runtime_files().len()),
        (1, 1)
    );
    pair.assert_sound();
}

#[test]
fn flocks_are_taken_as_long_as_somebody_relies_on_them() {
    need!("strace");
    let pair = used("memory");
    let flocks = || {
        let calls = pair.programs().join("calls");
        let script = "for i in 1 2 3 4 5 6 7 8; do echo $i > $V/d/$i; rm $V/d/$i; done";
        let o = pair
            .preloaded("strace")
            .arg("-o")
            .arg(&calls)
            .args(["-e", "trace=flock", "bash", "-euc", script])
            .output();
        Output::from_std(o.unwrap()).ok();
        let calls = std::fs::read_to_string(&calls).unwrap();
        calls.lines().filter(|l| l.contains("LOCK_EX")).count()
    };
    let none = flocks();
    let w = Words::of(&pair);
    assert!(w.live(None));
    w.set(FLOCKED);
    let some = flocks();
    assert!(some >= none + 32, "{none} {some}");
    assert_ne!(w.state() & FLOCKED, 0);
    // Its end is noticed after some changes.
    drop(w);
    flocks();
    flocks();
    assert_eq!((Words::of(&pair).state() & FLOCKED, flocks()), (0, none));
}

#[test]
fn who_relies_on_flocks_keeps_the_others_out() {
    let pair = used("memory");
    let w = Words::of(&pair);
    assert!(w.live(None));
    w.set(FLOCKED);
    for leg in [pair.a(), pair.b()] {
        let held: Vec<_> = std::fs::read_dir(leg.join(".mirror/locks"))
            .unwrap()
            .map(|e| std::fs::File::open(e.unwrap().path()).unwrap())
            .inspect(|f| f.lock().unwrap())
            .collect();
        let mut s = Steps::start(&pair);
        s.waits("echo x >> $V/d/f");
        assert_eq!(w.held(), 0, "a word is kept while its flock is waited for");
        drop(held);
        assert_eq!(s.0.line(), "said 0");
    }
    pair.assert_sound();
}

/// A filter refuses locks of descriptions: who cannot show that it lives relies on the flocks, and tells the dead
/// from the living all the same. Nothing says when it ends, so the flocks are taken from then on.
#[test]
fn who_may_not_lock_a_byte_relies_on_the_flocks() {
    need!("cc");
    let pair = used("memory");
    let filters = include_str!("../programs/filters.c");
    compile(&pair.programs(), "filters", filters).expect("cc");
    let below = |line: &str| {
        let mut c = pair.preloaded("bash");
        let script = "exec $P/filters bytes refused bash -euc \"$L\"";
        c.args(["-c", script]).env("L", line);
        Talker::start(&mut c)
    };
    let w = Words::of(&pair);
    assert_eq!(w.state() & (FLOCKED | FLOCKED_ON), 0);
    assert_eq!(below(WORK).end(), 0);
    let both = FLOCKED | FLOCKED_ON;
    assert_eq!((w.state() & both, w.held()), (both, 0));
    for legs in [&[0, 1][..], &[0], &[1]] {
        w.forge(w.slot() << 24 | 5, legs, true);
        assert_eq!(below(WORK).end(), 0, "a dead one's words on {legs:?}");
        w.forge(0, &[0, 1], true);
        let living = Words::of(&pair);
        let slot = w.slot();
        assert!(living.live(Some(slot)));
        w.forge(slot << 24 | 7, legs, true);
        let mut t = below("echo x >> $V/d/f; echo done");
        let said = t.line_within(Duration::from_millis(300));
        assert_eq!(said, None, "went on beside a living one's words");
        drop(living);
        assert_eq!((t.line(), t.end()), ("done".to_owned(), 0));
        w.forge(0, &[0, 1], true);
    }
    // Many changes by others do not end it.
    for _ in 0..5 {
        goes_on(&pair, "with both");
    }
    assert_eq!(w.state() & both, both);
    pair.assert_sound();
}

#[test]
fn a_stopped_holder_is_waited_for_and_its_death_is_seen() {
    need!("cc");
    let pair = used("memory");
    let p = pair.programs();
    compile(&p, "scenes", include_str!("../programs/scenes.c"));
    compile(&p, "tracer", include_str!("../programs/tracer.c"));
    let mut held = 0;
    for n in 1..40 {
        pair.run("rm -rf $V/*; mkdir $V/d; echo content of f > $V/f")
            .ok();
        let w = Words::of(&pair);
        let mut c = pair.preloaded("bash");
        c.args(["-c", "exec $P/tracer stop 0 $N $P/scenes change overwrite"])
            .env("N", n.to_string());
        let mut t = Talker::start(&mut c);
        let said = t.line();
        let Some(said) = said.strip_prefix("stopped ") else {
            break;
        };
        let pid: i32 = said
            .split(' ')
            .next()
            .and_then(|p| p.parse().ok())
            .expect("a pid");
        let inside = w.held() > 0;
        held += u32::from(inside);
        let mut s = Steps::start(&pair);
        s.tell("echo more >> $V/f");
        if inside && s.0.line_within(Duration::from_millis(30)).is_none() {
            // Still there, however long that takes.
            assert!(w.held() > 0);
        }
        mirror_tests::send(pid, libc::SIGKILL);
        t.end();
        s.ask("true");
        goes_on_without(&pair, n);
    }
    assert!(held > 0, "it was never stopped with a lock");
    pair.resync().ok();
    pair.assert_sound();
}

fn goes_on_without(pair: &Pair, n: u32) {
    let mut t = Talker::start(
        pair.preloaded("bash")
            .args(["-euc", "echo end >> $V/f; mkdir $V/d/new"]),
    );
    assert_eq!(t.end(), 0, "call {n}");
    pair.assert_legs(Level::NoTimes);
}

#[test]
fn who_holds_a_word_is_in_mid_change() {
    let pair = used("memory");
    let mut s = Steps::start(&pair);
    assert_eq!(s.ask("echo a > $V/x"), "said 0");
    let said = || pair.mirror("ps", &[]).text();
    assert!(!said().contains("mid-change"), "{}", said());
    let w = Words::of(&pair);
    for legs in [&[0, 1][..], &[1]] {
        w.forge(w.last() << 24 | 3, legs, false);
        let ps = said();
        assert!(ps.contains("1 in mid-change"), "{ps}");
        w.forge(0, &[0, 1], false);
    }
    // A dead process's word is nobody's change.
    w.forge(w.slot() << 24 | 3, &[0, 1], false);
    assert!(!said().contains("mid-change"), "{}", said());
    goes_on(&pair, "after it");
}

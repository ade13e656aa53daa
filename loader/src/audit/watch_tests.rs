//! What an audit could not see is told, up to its very end.
use super::*;
use crate::sync::heal::tests::Case;
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// A source that loses, fails and tells when it is told to.
#[derive(Default)]
struct Script {
    /// Losses so far.
    lost: Cell<u64>,
    /// Losses of the next `rest`.
    at_rest: Cell<u64>,
    /// Reads until one loses something.
    loses_in: Cell<u64>,
    /// Reads until they fail.
    fails_in: Cell<u64>,
    /// A change of `f` is told at each read.
    tells: Cell<bool>,
    /// At each read another name is told: `1`, `2` and so on.
    names: Cell<Option<u64>>,
}

struct Fake(Rc<Script>, OwnedFd);

impl Source for Fake {
    fn tier(&self) -> Tier {
        Tier::T4
    }
    fn blind(&self) -> Vec<String> {
        vec![]
    }
    fn ready(&self) -> BorrowedFd<'_> {
        self.1.as_fd()
    }
    fn read(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        let s = &self.0;
        if s.tells.get() {
            events.push(Event::seen(Tier::T4, 1, Leg::A, b"f".to_vec(), Op::Write));
        }
        if let Some(n) = s.names.get() {
            s.names.set(Some(n + 1));
            let name = n.to_string().into_bytes();
            events.push(Event::seen(Tier::T4, 1, Leg::A, name, Op::Create));
        }
        let left = s.loses_in.get();
        s.loses_in.set(left.saturating_sub(1));
        s.lost.set(s.lost.get() + u64::from(left == 1));
        let left = s.fails_in.get();
        s.fails_in.set(left.saturating_sub(1));
        match left {
            1 => Err(io::ErrorKind::BrokenPipe.into()),
            _ => Ok(()),
        }
    }
    fn rest(&mut self, _: &mut Vec<Event>) {
        self.0.lost.set(self.0.lost.get() + self.0.at_rest.take());
    }
    fn lost(&self) -> u64 {
        self.0.lost.get()
    }
}

/// An audit of a pair, whose source does this.
fn audit(name: &str) -> (Case, Watch, Rc<Script>) {
    let c = Case::new(name);
    c.both("f", "x");
    let p = c.again();
    let script = Rc::new(Script::default());
    let (pipe, _) = rustix::pipe::pipe().unwrap();
    let opened = Opened {
        source: Box::new(Fake(script.clone(), pipe)),
        refused: vec![],
    };
    let ask = Ask {
        tier: None,
        heal: false,
        dry_run: false,
        brake: Limit::Objects(100),
        stays: true,
    };
    let epoch = away::mark(&p.pair.legs.a.root).epoch();
    (c, Watch::of(p, epoch, opened, ask), script)
}

fn told(w: &Watch) -> (u64, bool) {
    (w.counts.lost, w.pair.runtime.word().unmirrored())
}

#[test]
fn an_end_without_losses() {
    let (_c, mut w, _) = audit("quiet");
    w.end().unwrap();
    assert_eq!(told(&w), (0, false));
}

#[test]
fn what_is_lost_while_the_last_are_asked() {
    let (_c, mut w, s) = audit("rest");
    s.at_rest.set(3);
    w.end().unwrap();
    assert_eq!(told(&w), (3, true));
}

/// At each of the first reads: those of the rounds, and those under the locks.
#[test]
fn what_is_lost_at_a_late_read() {
    for nth in 1..=4 {
        let (c, mut w, s) = audit("late");
        c.put("a", "f", "changed");
        s.tells.set(true);
        s.loses_in.set(nth);
        w.end().unwrap();
        assert_eq!(told(&w).0, 1, "read {nth}");
        assert!(told(&w).1, "read {nth}");
    }
}

#[test]
fn a_source_that_fails_at_the_end() {
    for nth in 1..=4 {
        let (c, mut w, s) = audit("fails");
        c.put("a", "f", "changed");
        s.tells.set(true);
        s.fails_in.set(nth);
        let found = w.end().unwrap();
        assert_eq!(told(&w), (1, true), "read {nth}");
        // What it has told is a finding all the same.
        assert!(!found.is_empty(), "read {nth}");
    }
}

/// What comes without an end is left unjudged, and said to be.
#[test]
fn what_nobody_will_judge() {
    let (c, mut w, s) = audit("endless");
    // One at each read of a round, one when that is judged.
    for n in 1..=2 * ROUNDS + 2 {
        c.put("a", &n.to_string(), "new");
    }
    s.names.set(Some(1));
    w.end().unwrap();
    assert_eq!((w.counts.open, w.suspects.len()), (1, 0));
    assert!(told(&w).1);
}

#[test]
fn a_list_that_cannot_be_read_judges_nothing() {
    let (c, mut w, s) = audit("list");
    c.put("a", "f", "changed");
    s.tells.set(true);
    let list = c.at("b/.mirror/pending");
    std::fs::remove_file(&list).unwrap();
    std::fs::create_dir(&list).unwrap();
    let found = w.end().unwrap();
    assert_eq!(
        (found.len(), w.counts.open > 0, told(&w)),
        (0, true, (0, true))
    );
}

/// While a comparison is under way its next part comes, and what is found is judged: not only at the end.
#[test]
fn a_comparison_goes_on_before_the_end() {
    let (c, mut w, _) = audit("goes-on");
    c.put("a", "f", "changed");
    w.scan.begin();
    let mut found = vec![];
    while found.is_empty() {
        let at = w.next().unwrap();
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        assert!(at <= Instant::now());
        found = w.judge(false).unwrap();
    }
    assert_eq!((found[0].rel.as_slice(), w.scan.runs()), (&b"f"[..], false));
}

/// An audit that heals, of a pair whose leg a has a directory that leg b does not have.
fn healing(name: &str) -> (Case, Watch, Rc<Script>) {
    let (c, mut w, s) = audit(name);
    w.ask.heal = true;
    for name in ["d/1", "d/2", "d/s/t/3"] {
        c.put("a", name, name);
    }
    (c, w, s)
}

/// One file's event comes first, and the directory's none: what was made for the file's sake is all of it.
#[test]
fn a_directory_is_carried_whole_or_not_at_all() {
    for told in ["d/1", "d/s/t/3"] {
        let (c, mut w, _) = healing("whole");
        let e = Event::seen(Tier::T4, 1, Leg::A, told.into(), Op::Create);
        w.suspects.add(e, None);
        w.end().unwrap();
        for name in ["d/1", "d/2", "d/s/t/3"] {
            assert!(c.at("b").join(name).exists(), "{name}, told of {told}");
        }
        assert!(!w.pair.runtime.word().unmirrored() && !w.pair.runtime.word().pending());
    }
}

/// What the brake would hold if it were told of the directory does not come back for one file's sake.
#[test]
fn a_file_s_directory_counts_with_all_in_it() {
    let (c, mut w, _) = healing("counts");
    w.brake.limit = 3;
    let e = Event::seen(Tier::T4, 1, Leg::B, b"d/1".to_vec(), Op::Write);
    w.suspects.add(e, None);
    let found = w.end().unwrap();
    assert!(
        found
            .iter()
            .any(|f| f.done == crate::audit::finding::Done::Held)
    );
    assert!(!c.at("b/d").exists() && w.pair.runtime.word().pending());
}

/// A brake by share, of a pair that was all but empty when the audit began.
#[test]
fn a_share_is_of_what_there_is_by_then() {
    for (gone, held) in [(1, false), (11, true)] {
        let (c, mut w, _) = audit("share");
        w.ask.heal = true;
        let one = One::new(&w.pair, w.fidelity);
        w.brake = Brake::new(Limit::Share(10), &one);
        // One object: it may go.
        assert_eq!(w.brake.limit, 1);
        for n in 1..=20 {
            c.both(&n.to_string(), "x");
        }
        std::thread::sleep(std::time::Duration::from_millis(1100));
        for n in 1..=gone {
            std::fs::remove_file(c.at(&format!("a/{n}"))).unwrap();
            let rel = n.to_string().into_bytes();
            let e = Event::seen(Tier::T4, 1, Leg::A, rel, Op::Unlink);
            w.suspects.add(e, None);
        }
        w.end().unwrap();
        assert_eq!(w.counts.held > 0, held, "{gone}");
        assert_eq!(c.at("b/1").exists(), held, "{gone}");
        assert_eq!(w.brake.limit, 3);
    }
}

/// Of a pair that has shrunk since, a smaller number may go.
#[test]
fn a_share_shrinks_with_what_there_is() {
    for (gone, held) in [(1, false), (4, true)] {
        let (c, mut w, _) = audit("shrunk");
        w.ask.heal = true;
        for n in 1..=60 {
            c.both(&n.to_string(), "x");
        }
        let one = One::new(&w.pair, w.fidelity);
        w.brake = Brake::new(Limit::Share(10), &one);
        assert_eq!(w.brake.limit, 7);
        for (n, leg) in (21..=60).flat_map(|n| [(n, "a"), (n, "b")]) {
            std::fs::remove_file(c.at(&format!("{leg}/{n}"))).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(1100));
        for n in 1..=gone {
            std::fs::remove_file(c.at(&format!("a/{n}"))).unwrap();
            let rel = n.to_string().into_bytes();
            w.suspects
                .add(Event::seen(Tier::T4, 1, Leg::A, rel, Op::Unlink), None);
        }
        w.end().unwrap();
        assert_eq!(w.brake.limit, 3);
        assert_eq!(w.counts.held > 0, held, "{gone}");
        assert_eq!(c.at("b/1").exists(), held, "{gone}");
    }
}

/// A mirrored change of the roots that is on one leg when an audit begins is no reason to leave them alone.
#[test]
fn roots_that_are_being_changed_are_watched() {
    let (c, w, _) = audit("roots");
    let (line, legs) = (w.pair.pair.line.clone(), ["a", "b"].map(|l| c.at(l)));
    let (begun, wait) = std::sync::mpsc::channel();
    let chmod = |leg: &std::path::Path, mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(leg, mode).unwrap();
    };
    let [a, b] = legs.clone();
    let program = std::thread::spawn(move || {
        let p = domain::attach(Pair::open(&line).unwrap()).unwrap();
        locked(&p, |_| {
            chmod(&a, 0o711);
            begun.send(()).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(300));
            chmod(&b, 0o711);
        })
        .unwrap();
    });
    wait.recv().unwrap();
    assert!(!roots_differ(&w.pair, w.fidelity));
    program.join().unwrap();
    chmod(&legs[1], 0o700);
    assert!(roots_differ(&w.pair, w.fidelity));
}

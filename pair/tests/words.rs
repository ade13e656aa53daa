//! The protocol of lock words, with holders that live, die, or never lived.
use mirror_core::runtime::{RuntimeFile, SIZE};
use mirror_core::{Errno, Leg, LockMiss, LockWord, StateWord, View, WHOLE};
use mirror_pair::words::{Holder, Standing, Taken, Wanted, drop_flocked, lives, prove, rely};
use mirror_sys as sys;
use std::cell::Cell;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::Ordering;

/// A runtime file of zeros in memory, and its mapping.
struct Ground {
    file: File,
    at: usize,
}

impl Ground {
    fn new() -> Ground {
        let n = sys::memory_file(&mirror_pair::control::text(b"words")).unwrap();
        // SAFETY: opened just now, and nobody else's.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(n) });
        file.set_len(SIZE as u64).unwrap();
        let at = sys::map_shared(n, SIZE).unwrap();
        Ground { file, at }
    }
    fn rt(&self) -> &RuntimeFile {
        // SAFETY: mapped for as long as self lives, and all fields are atomic.
        unsafe { &*(self.at as *const RuntimeFile) }
    }
    fn process(&self) -> Process<'_> {
        let n = sys::open_again(self.file.as_raw_fd(), libc::O_RDWR).unwrap();
        // SAFETY: opened just now, and nobody else's.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(n) });
        Process {
            holder: prove(n, self.rt()).unwrap(),
            rt: self.rt(),
            seen: LockWord::FREE,
            taken: Taken::default(),
            count: 0,
            flocks: Cell::new(0),
            answer: Ok(()),
            _file: file,
        }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and no reference outlives self.
        unsafe { sys::unmap(self.at, SIZE) };
    }
}

struct Process<'a> {
    holder: Holder,
    rt: &'a RuntimeFile,
    seen: LockWord,
    taken: Taken,
    count: u64,
    flocks: Cell<i32>,
    answer: Result<(), Errno>,
    _file: File,
}

impl Process<'_> {
    fn take(&mut self, leg: Leg, object: usize) -> Result<(), LockMiss> {
        self.take_as(Standing::Words(self.holder), leg, object)
    }
    fn take_as(&mut self, as_: Standing, leg: Leg, object: usize) -> Result<(), LockMiss> {
        self.count += 1;
        let (count, rt, flocks, answer) =
            (self.count, View::Own(self.rt), &self.flocks, self.answer);
        let flock = &mut |on: bool| {
            let r = if on { answer } else { Ok(()) };
            flocks.set(flocks.get() + i32::from(r.is_ok()) * if on { 1 } else { -1 });
            r
        };
        let next = |slot| LockWord::of(slot, count);
        let w = Wanted { leg, object, flock };
        self.taken.take(rt, as_, w, next, &mut self.seen, 7)
    }
    fn give_back(&mut self, leg: Leg, object: usize) {
        let flocks = &self.flocks;
        let flock = &mut |_| {
            flocks.set(flocks.get() - 1);
            Ok(())
        };
        let w = Wanted { leg, object, flock };
        self.taken
            .give_back(View::Own(self.rt), Standing::Words(self.holder), w);
    }
    fn word(&self, leg: Leg, object: usize) -> LockWord {
        self.rt.lock_word(leg, object)
    }
}

const BUSY: Result<(), LockMiss> = Err(LockMiss::Busy(3));

#[test]
fn the_living_are_waited_for_and_the_dead_are_succeeded() {
    let g = Ground::new();
    let (mut one, mut two, mut three) = (g.process(), g.process(), g.process());
    assert!(
        one.holder.slot != two.holder.slot
            && lives(two.holder.fd, LockWord::of(one.holder.slot, 1))
    );
    for leg in Leg::BOTH {
        one.take(leg, 3).unwrap();
    }
    assert_eq!(one.word(Leg::A, 3), one.word(Leg::B, 3));
    // Met once, met again, and alive.
    assert_eq!(
        [
            two.take(Leg::A, 3),
            two.take(Leg::A, 3),
            two.take(Leg::A, 3)
        ],
        [BUSY; 3]
    );
    assert_eq!(three.take(Leg::A, 3), BUSY);
    drop(one);
    // One of those who know it succeeds; the other one meets a new word.
    two.take(Leg::A, 3).unwrap();
    assert_eq!([three.take(Leg::A, 3), three.take(Leg::A, 3)], [BUSY; 2]);
    // The second leg's is the dead one's still: met in the first leg's.
    two.take(Leg::B, 3).unwrap();
    two.give_back(Leg::B, 3);
    two.give_back(Leg::A, 3);
    three.take(Leg::A, 3).unwrap();
    assert_eq!(three.word(Leg::B, 3), LockWord::FREE);
}

#[test]
fn killed_between_the_legs_or_while_giving_back() {
    for left in [&[Leg::A][..], &[Leg::B], &Leg::BOTH] {
        let g = Ground::new();
        let (mut one, mut two) = (g.process(), g.process());
        left.iter().for_each(|leg| one.take(*leg, 3).unwrap());
        drop(one);
        let mut tries = 0;
        for leg in Leg::BOTH {
            while two.take(leg, 3).is_err() {
                tries += 1;
            }
        }
        // It is asked for at the second meeting, on whichever leg.
        assert_eq!(tries, 1, "{left:?}");
        assert!(
            Leg::BOTH
                .iter()
                .all(|l| two.word(*l, 3).slot() == two.holder.slot)
        );
    }
}

#[test]
fn forged_words_end_at_the_first_question() {
    let g = Ground::new();
    let mut p = g.process();
    let forged = [
        LockWord(1),
        LockWord(u64::MAX),
        LockWord::of(1 << 20, 5),
        LockWord::of(p.holder.slot, 0xffff),
    ];
    for w in forged {
        g.rt().change_word(Leg::A, 3, LockWord::FREE, w).unwrap();
        let first = p.take(Leg::A, 3);
        if w.slot() != p.holder.slot {
            assert_eq!(first, BUSY, "{w:?}");
            p.take(Leg::A, 3).unwrap();
        }
        assert_eq!(p.word(Leg::A, 3).slot(), p.holder.slot);
        p.give_back(Leg::A, 3);
        assert_eq!(p.word(Leg::A, 3), LockWord::FREE);
    }
    // Taken away by a forger: what stands there then is not given back.
    p.take(Leg::A, 3).unwrap();
    let mine = p.word(Leg::A, 3);
    g.rt().change_word(Leg::A, 3, mine, LockWord(9)).unwrap();
    p.give_back(Leg::A, 3);
    assert_eq!(p.word(Leg::A, 3), LockWord(9));
}

#[test]
fn a_counter_that_was_turned_back_makes_no_twins() {
    let g = Ground::new();
    let first = g.process();
    g.rt().header.slots.store(0, Ordering::SeqCst);
    let second = g.process();
    assert_ne!(first.holder.slot, second.holder.slot);
    g.rt().header.slots.store(u64::MAX, Ordering::SeqCst);
    assert_ne!(g.process().holder.slot, 0);
}

#[test]
fn who_relies_on_flocks_and_who_has_words_keep_each_other_out() {
    let g = Ground::new();
    let rt = View::Own(g.rt());
    let (mut words, mut flocks) = (g.process(), g.process());
    // A description of its own for that, as an audit has.
    let relying = g.process();
    let fd = relying.holder.fd;
    words.take(Leg::A, 3).unwrap();
    assert_eq!(
        (words.flocks.get(), words.taken.stands(g.rt().word())),
        (0, true)
    );
    rely(fd, rt, || ()).unwrap();
    assert!(g.rt().word().flocked());
    // Taken before the bit was seen: it does not stand, and the other one waits.
    assert!(!words.taken.stands(g.rt().word()));
    let by_flocks = Standing::Flocks(fd);
    assert_eq!(flocks.take_as(by_flocks, Leg::A, 3), BUSY);
    assert_eq!(flocks.flocks.get(), 0);
    words.give_back(Leg::A, 3);
    flocks.take_as(by_flocks, Leg::A, 3).unwrap();
    assert_eq!(
        (flocks.flocks.get(), words.word(Leg::A, 3)),
        (1, LockWord::FREE)
    );
    // With the flock in other hands there is no word either.
    words.answer = Err(Errno::EAGAIN);
    assert_eq!(
        (words.take(Leg::A, 3), words.word(Leg::A, 3)),
        (BUSY, LockWord::FREE)
    );
    words.answer = Ok(());
    words.take(Leg::A, 3).unwrap();
    assert_eq!(
        (words.flocks.get(), words.taken.stands(g.rt().word())),
        (1, true)
    );
    words.give_back(Leg::A, 3);
    assert_eq!(words.flocks.get(), 0);
    // The bit stays as long as the description, and goes with the next look of somebody else.
    drop_flocked(words.holder.fd, rt);
    assert!(g.rt().word().flocked());
    drop(relying);
    for _ in 0..64 {
        words.take(Leg::A, WHOLE).unwrap();
        words.give_back(Leg::A, WHOLE);
    }
    assert_eq!((g.rt().word(), words.flocks.get()), (StateWord(0), 0));
    // Whose bit was taken out by mistake sets it again.
    let relying = g.process();
    flocks
        .take_as(Standing::Flocks(relying.holder.fd), Leg::A, 5)
        .unwrap();
    assert!(g.rt().word().flocked());
}

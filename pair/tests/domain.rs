//! The order in which a domain is joined, against a ground that says what is allowed when.
use mirror_core::facts::Facts;
use mirror_core::owner::{Left, OWNER_SIZE, Owner};
use mirror_core::record::Id;
use mirror_core::runtime::SIZE;
use mirror_core::word::Past;
use mirror_core::{Leg, PerLeg};
use mirror_pair::domain::{
    File, Founding, Ground, PATIENCE, TRIES, found, is_live, join, leave, named, past, read, reopen,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    No,
    Shared,
    Alone,
}

/// What others do: whether the locks can be had, and whether the file is there, at each question in turn.
struct Script {
    shared: Vec<bool>,
    alone: Vec<bool>,
    live: Vec<bool>,
    held: Held,
    founded: bool,
    reopened: bool,
    pauses: u32,
}

impl Ground for Script {
    type Runtime = &'static str;
    type Error = &'static str;
    fn lock(&mut self, exclusive: bool) -> Result<bool, Self::Error> {
        let answers = if exclusive {
            &mut self.alone
        } else {
            &mut self.shared
        };
        let got = answers.pop().ok_or("more questions than were expected")?;
        self.held = match (got, exclusive) {
            (true, true) => Held::Alone,
            (true, false) => Held::Shared,
            _ => Held::No,
        };
        Ok(got)
    }
    fn unlock(&mut self) -> Result<(), Self::Error> {
        self.held = Held::No;
        Ok(())
    }
    fn live(&mut self) -> Option<Self::Runtime> {
        assert_ne!(self.held, Held::No, "looked at without a lock");
        self.live.pop().unwrap_or(false).then_some("joined")
    }
    fn reopen(&mut self) -> Result<(), Self::Error> {
        assert_ne!(self.held, Held::No, "reopened without a lock");
        self.reopened = true;
        Ok(())
    }
    fn found(&mut self) -> Result<Self::Runtime, Self::Error> {
        assert_eq!(self.held, Held::Alone, "founded beside others");
        assert!(!self.founded, "founded twice");
        self.founded = true;
        Ok("founded")
    }
    fn share(&mut self) -> Result<(), Self::Error> {
        self.held = Held::Shared;
        Ok(())
    }
    fn pause(&mut self) {
        assert_eq!(self.held, Held::No, "waited with a lock held");
        self.pauses += 1;
    }
}

fn script(shared: &[bool], alone: &[bool], live: &[bool]) -> Script {
    let turned = |l: &[bool]| l.iter().rev().copied().collect();
    Script {
        shared: turned(shared),
        alone: turned(alone),
        live: turned(live),
        held: Held::No,
        founded: false,
        reopened: false,
        pauses: 0,
    }
}

#[test]
fn every_course_ends_with_both_records_shared() {
    let (y, n) = (true, false);
    for (shared, alone, live, comes_to, pauses) in [
        (&[y][..], &[][..], &[y][..], "joined", 0),
        (&[y], &[y], &[n, n], "founded", 0),
        // Founded by somebody else between the two locks.
        (&[y], &[y], &[n, y], "joined", 0),
        // Somebody is just founding it.
        (&[n, n, y], &[], &[y], "joined", 2),
        // Another one wants to found it as well.
        (&[y, y], &[n, y], &[n, n, n], "founded", 1),
        (&[y, y], &[n], &[n, y], "joined", 1),
    ] {
        let mut s = script(shared, alone, live);
        assert_eq!(
            join(&mut s),
            Ok(Some(comes_to)),
            "{shared:?} {alone:?} {live:?}"
        );
        assert_eq!((s.held, s.pauses), (Held::Shared, pauses));
        // A new one was never clean.
        assert_eq!(s.reopened, comes_to == "joined");
    }
}

#[test]
fn a_pair_that_others_hold_elsewhere_is_given_up() {
    let n = TRIES as usize;
    let mut s = script(&vec![true; n], &vec![false; n], &[]);
    assert_eq!(join(&mut s), Ok(None));
    assert_eq!((s.held, s.pauses, s.founded), (Held::No, TRIES, false));
}

#[test]
fn who_holds_a_record_alone_is_waited_for() {
    // They found a domain, or end one, and wait for a slow disk.
    let n = TRIES as usize * 10;
    let mut shared = vec![false; n];
    shared.push(true);
    let mut s = script(&shared, &[], &[true]);
    assert_eq!(join(&mut s), Ok(Some("joined")));
    assert_eq!((s.held, s.pauses), (Held::Shared, TRIES * 10));
    // Not without an end.
    let n = PATIENCE as usize;
    let mut s = script(&vec![false; n], &[], &[]);
    assert_eq!(join(&mut s), Ok(None));
    assert_eq!((s.held, s.pauses), (Held::No, PATIENCE));
}

#[test]
fn only_the_file_of_this_boot_and_pair_is_live() {
    let id = |n| Id([n; 16]);
    let o = Owner::new(id(1), id(2));
    let facts = Facts {
        id: id(1),
        boot: id(2),
        pair: id(3),
        stripes: 64,
        locks: mirror_core::LockKind::Flock,
        legs: [(1, 2), (3, 4)].into(),
    };
    let other = Facts {
        pair: id(9),
        ..facts
    };
    assert_eq!(named([Some(o); 2].into()), Some(o));
    let elsewhere = Owner { boot: id(9), ..o };
    for two in [
        [Some(o), None],
        [None, Some(o)],
        [None, None],
        [Some(o), Some(elsewhere)],
    ] {
        assert_eq!(named(two.into()), None, "{two:?}");
    }
    let want = Some(facts);
    assert!(is_live(o, id(2), false, want, want) && is_live(o, id(2), true, want, want));
    // A container with a boot id of its own.
    assert!(is_live(o, id(8), true, want, want) && !is_live(o, id(8), false, want, want));
    assert!(!is_live(o, id(2), true, want, Some(other)) && !is_live(o, id(2), true, want, None));
    assert!(!is_live(o, id(2), true, None, None) && !is_live(o, id(2), true, None, want));
}

#[test]
fn a_file_is_mapped_only_whole_and_from_the_pairs_own() {
    let file = |mode: u32, uid, size| File {
        mode: 0o100000 | mode,
        owner: (uid, 5),
        size,
    };
    let ask = |f: File, me| f.guarded(mirror_core::record::Share::Owner, (7, 5), [me; 3]);
    let whole = SIZE as u64;
    assert_eq!(ask(file(0o600, 7, whole), 7), Some(false));
    assert_eq!(
        ask(file(0o600, 7, whole), 0),
        Some(true),
        "root trusts root alone"
    );
    for (f, me) in [
        (file(0o600, 7, whole - 1), 7),
        (file(0o600, 7, whole + 1), 7),
        (file(0o660, 7, whole), 7),
        (file(0o600, 8, whole), 7),
    ] {
        assert_eq!(ask(f, me), None, "{f:?}");
    }
}

/// A folder and two records. What is written stands; one thing can go wrong.
struct Site {
    records: PerLeg<Option<Owner>>,
    /// Names that others have.
    taken: u8,
    fails: &'static str,
    ids: u8,
    past: Past,
    removed: bool,
}

impl Founding for Site {
    type Runtime = Id;
    type Error = &'static str;
    fn folder(&mut self) -> Result<(), Self::Error> {
        self.fail("folder")
    }
    fn records(&self) -> PerLeg<Option<Owner>> {
        self.records
    }
    fn remove(&mut self, before: &PerLeg<Option<Owner>>) {
        assert_eq!(*before, self.records);
        self.removed = true;
    }
    fn random(&mut self) -> Result<Id, Self::Error> {
        self.ids += 1;
        self.fail("random")?;
        Ok(Id([self.ids; 16]))
    }
    fn write(&mut self, leg: Leg, record: &[u8; OWNER_SIZE]) -> Result<(), Self::Error> {
        let fails = if leg == Leg::A { "first" } else { "second" };
        if self.fails == fails {
            self.fails = "";
            return Err(fails);
        }
        self.records[leg] = Owner::parse(record);
        Ok(())
    }
    fn make(&mut self, id: Id, past: Past) -> Result<Option<Id>, Self::Error> {
        assert!(self.removed, "the old file first");
        assert!(
            self.records
                .iter()
                .all(|o| o.is_some_and(|o| o.runtime == id)),
            "named first"
        );
        self.fail("make")?;
        self.past = past;
        Ok((self.ids > self.taken).then_some(id))
    }
}

impl Site {
    fn fail(&self, at: &'static str) -> Result<(), &'static str> {
        if self.fails == at { Err(at) } else { Ok(()) }
    }
}

/// A flush is noted only if nobody has come since it began: whoever comes takes its number out of both records.
#[test]
fn who_comes_takes_a_flush_back() {
    use std::os::fd::AsRawFd;
    let of = |left| Owner {
        left,
        ..Owner::new(Id([1; 16]), Id([2; 16]))
    };
    let dir = std::env::temp_dir();
    let files = ["a", "b"].map(|leg| {
        let path = dir.join(format!("mirror-reopen-{leg}-{}", std::process::id()));
        let f = std::fs::File::create_new(&path).unwrap();
        drop(f);
        let f = std::fs::File::options().read(true).write(true).open(&path);
        std::fs::remove_file(&path).unwrap();
        f.unwrap()
    });
    let records: PerLeg<i32> = [files[0].as_raw_fd(), files[1].as_raw_fd()].into();
    let say = |a, b| {
        for (n, left) in [(records.a, a), (records.b, b)] {
            assert_eq!(mirror_sys::pwrite(n, &of(left).encode(), 0), Ok(OWNER_SIZE));
        }
    };
    let all = [
        Left::InUse,
        Left::Clean(4),
        Left::Reopened,
        Left::Flushing(5),
    ];
    for a in all {
        for b in all {
            say(a, b);
            reopen(records).unwrap();
            assert_eq!(records.map(read), PerLeg::by(|_| Some(of(Left::InUse))));
            leave(records, a).unwrap();
            assert_eq!(records.map(read), PerLeg::by(|_| Some(of(a))));
        }
    }
    // Nothing that could be believed: nobody goes on.
    assert_eq!(mirror_sys::pwrite(records.b, &[7; 64], 0), Ok(64));
    assert!(reopen(records).is_err() && leave(records, Left::Clean(4)).is_err());
}

#[test]
fn what_does_not_begin_leaves_the_records_as_they_were() {
    let boot = Id([7; 16]);
    let left = |boot, left| {
        Some(Owner {
            left,
            ..Owner::new(Id([9; 16]), boot)
        })
    };
    let old = |boot| left(boot, Left::InUse);
    let (other, clean) = (Id([6; 16]), Left::Clean(4));
    let site = |records, taken, fails| Site {
        records,
        taken,
        fails,
        ids: 0,
        past: Past::default(),
        removed: false,
    };
    for (records, vanished, restarted) in [
        ([None, None], false, false),
        ([old(other); 2], false, true),
        ([old(boot); 2], true, false),
        ([None, old(boot)], true, false),
        ([None, old(other)], true, true),
        // What was left clean has nothing to lose; one leg's word is not enough.
        ([left(other, clean); 2], false, false),
        ([left(boot, clean); 2], false, false),
        ([left(other, clean), old(other)], false, true),
        ([old(boot), left(boot, clean)], true, false),
        ([left(other, Left::Reopened); 2], false, true),
        ([left(other, Left::Flushing(3)); 2], false, true),
        // Clean, and not together.
        ([left(other, clean), None], true, true),
        ([left(other, clean), left(boot, clean)], true, true),
        (
            [left(other, clean), left(other, Left::Clean(5))],
            true,
            true,
        ),
        ([left(boot, clean), left(boot, Left::Clean(5))], true, false),
    ] {
        let records = PerLeg::from(records);
        let mut s = site(records, 3, "");
        assert_eq!(found(&mut s, boot), Ok(Some(Id([4; 16]))));
        assert_eq!(
            s.records,
            PerLeg::by(|_| Some(Owner::new(Id([4; 16]), boot)))
        );
        let said = Past {
            vanished,
            restarted,
        };
        assert_eq!(s.past, said, "{records:?}");
        assert_eq!(past(records, boot), said);
        let mut s = site(records, 9, "");
        assert_eq!(found(&mut s, boot), Ok(None));
        assert_eq!((s.records, s.ids), (records, 4));
        for fails in ["folder", "random", "first", "second", "make"] {
            let mut s = site(records, 0, fails);
            assert_eq!(found(&mut s, boot), Err(fails));
            assert_eq!(s.records, records, "{fails}");
        }
    }
}

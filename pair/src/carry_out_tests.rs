//! What is done around an act, on legs that answer as they are told.
extern crate std;
use super::*;
use mirror_core::repair::{OneName, Seen};
use mirror_core::runtime::SIZE;
use mirror_core::view::{Change, Guarded};
use mirror_core::{Leg, LegLock, LockMiss, LockPlan, PerLeg, WHOLE, lock_both};
use std::cell::RefCell;
use std::vec::Vec;
use std::{format, string::String, vec};

struct Free;

impl LegLock for Free {
    fn try_lock(&mut self, _: Leg, _: usize) -> Result<(), LockMiss> {
        Ok(())
    }
    fn unlock(&mut self, _: Leg, _: usize) {}
}

fn held() -> BothLocked {
    lock_both(&mut Free, LockPlan::EXCLUSIVE).expect("free")
}

/// Names as they are at one look after the other, and what was done.
struct Script {
    looks: Vec<Names>,
    right: Option<Leg>,
    copies: bool,
    done: Vec<String>,
}

impl Ground for Script {
    type Error = ();
    fn right(&self) -> Option<Leg> {
        self.right
    }
    fn look(&mut self) -> Result<Names, ()> {
        Ok(self.looks.remove(0))
    }
    fn names(&mut self, act: Act, _: &BothLocked) -> Result<(), ()> {
        self.done.push(format!("{act:?}"));
        Ok(())
    }
    fn equal(&mut self, from: Leg, _: Option<(u64, u64)>, _: &BothLocked) -> Result<(), ()> {
        self.done.push(format!("equal from {from:?}"));
        Ok(())
    }
    fn marks(&mut self, from: Leg, _: &Intent, _: &BothLocked) -> Result<(), ()> {
        self.done.push(format!("marks from {from:?}"));
        Ok(())
    }
    fn copied(&mut self, from: Leg, _: &BothLocked) -> Result<bool, ()> {
        self.done.push(format!("copied from {from:?}"));
        Ok(self.copies)
    }
}

fn run(kind: IntentKind, looks: &[Names], right: Option<Leg>, copies: bool) -> (bool, String) {
    let mut s = Script {
        looks: looks.to_vec(),
        right,
        copies,
        done: Vec::new(),
    };
    let ended = end(&mut s, &Intent::of(kind, Leg::A), &held()).expect("no error");
    (ended, s.done.join(", "))
}

const A: Option<Seen> = Some(Seen { inode: 1, size: 1 });
const NEITHER: OneName = PerLeg { a: None, b: None };
const ON_A: OneName = PerLeg { a: A, b: None };
const ON_B: OneName = PerLeg { a: None, b: A };
const BOTH: OneName = PerLeg { a: A, b: A };
const TORN: Names = [ON_B, ON_A];
const AFTER: Names = [NEITHER, BOTH];

#[test]
fn a_call_on_names_is_looked_at_again() {
    let rename = IntentKind::Rename;
    assert_eq!(
        run(rename, &[TORN, AFTER], None, false),
        (true, "Rename(B)".into())
    );
    // rename(2) of two names of one file answers 0 and does nothing.
    let (not, copied) = (
        run(rename, &[TORN, TORN], None, false),
        run(rename, &[TORN, TORN], None, true),
    );
    assert_eq!(not, (false, "Rename(B), copied from A".into()));
    assert!(copied.0);
}

#[test]
fn a_leg_that_is_right_is_not_changed() {
    let back: Names = [ON_A, ON_B];
    let rename = IntentKind::Rename;
    assert_eq!(
        run(rename, &[back], Some(Leg::A), true),
        (true, "copied from A".into())
    );
    assert_eq!(
        run(IntentKind::Open, &[[ON_A, NEITHER]], Some(Leg::B), true),
        (true, "equal from B".into())
    );
    let strange: Names = [NEITHER, ON_A];
    assert_eq!(
        run(rename, &[strange], Some(Leg::B), true),
        (true, "copied from B".into())
    );
    assert_eq!(run(rename, &[strange], None, true), (false, "".into()));
}

#[test]
fn flags_follow_the_change_and_no_other_leg() {
    let both: Names = [BOTH, NEITHER];
    let marks = IntentKind::Marks;
    assert_eq!(
        run(marks, &[both], None, false),
        (true, "marks from A".into())
    );
    assert_eq!(run(marks, &[both], Some(Leg::B), true), (false, "".into()));
}

struct Bytes(RefCell<Vec<u8>>);

impl Guarded for Bytes {
    fn read(&self, at: usize, into: &mut [u8]) -> bool {
        into.copy_from_slice(&self.0.borrow()[at..at + into.len()]);
        true
    }
    fn write(&self, at: usize, from: &[u8]) -> bool {
        self.0.borrow_mut()[at..at + from.len()].copy_from_slice(from);
        true
    }
    fn change(&self, _: usize, _: Change) -> bool {
        true
    }
    fn fail(&self) {}
    fn failed(&self) -> bool {
        false
    }
}

#[derive(Default)]
struct Listener(Vec<String>);

impl Healer for Listener {
    fn end(&mut self, _: &Intent, _: [&[u8]; 2], _: &BothLocked) -> bool {
        self.0.push("ended".into());
        true
    }
    fn mend(&mut self, _: Leg, _: &[u8], _: &BothLocked) -> bool {
        self.0.push("mended".into());
        true
    }
    fn pending(&mut self, rel: &[u8], _: &BothLocked) {
        self.0.push(String::from_utf8_lossy(rel).into_owned());
    }
}

#[test]
fn another_users_word_is_recorded_and_never_lost() {
    let bytes = Bytes(RefCell::new(vec![0; SIZE]));
    let view = View::Guarded(&bytes);
    let said = |kind, one: &[u8], two: &[u8]| {
        view.publish(WHOLE, &Intent::of(kind, Leg::A), one, two);
        let mut l = Listener::default();
        recover(&mut l, view, WHOLE, &held());
        l.0.join(" ")
    };
    assert_eq!(said(IntentKind::Rename, b"d/x", b"y"), "d/x y");
    assert_eq!(said(IntentKind::Mend, b"x", b""), "x");
    // What is no name below a root stands for anything.
    for bad in [
        &b""[..],
        b"../x",
        b"/x",
        b"x/",
        b"a//b",
        b".mirror/leg",
        b"a/./b",
    ] {
        assert_eq!(said(IntentKind::Unlink, bad, b""), ".", "{bad:?}");
    }
    assert_eq!(said(IntentKind::Rename, b"x", b"../y"), ".");
}

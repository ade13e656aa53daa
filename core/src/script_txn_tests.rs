//! A port that writes down what is asked of it, and answers from lists.
extern crate std;
use crate::runtime::ANNOUNCED;
use crate::{
    Action, Applied, BothLocked, Errno, Journal, Leg, LegIo, LegLock, LockMiss, LockPlan, OBJECTS,
    Posts, Prepared, Refused, StateWord, Step, Untouched, Verdict, transact,
};
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

/// Answers are popped from the front of their list; an empty list answers "good".
pub(crate) struct Script {
    pub(crate) log: Vec<String>,
    pub(crate) busy: Option<(usize, Leg)>,
    pub(crate) posts: Vec<u32>,
    pub(crate) word: u64,
    pub(crate) late: LockPlan,
    pub(crate) prepared: Prepared,
    pub(crate) applies: Vec<Result<u64, Errno>>,
    pub(crate) seconds: Vec<Result<u64, Errno>>,
    pub(crate) repair: Result<(), Errno>,
    pub(crate) holds: bool,
    /// The second leg does a part of what it refuses.
    pub(crate) part: bool,
    /// The name does not lead where it promised, as the first leg's call finds out.
    pub(crate) misled: Option<Refused>,
    /// An undo that fails has begun.
    pub(crate) half: bool,
    pub(crate) size: Result<u64, Errno>,
    /// Somebody leaves this object after so many pauses.
    pub(crate) leaves: Option<(usize, u32)>,
    /// The word is another than that by which this process has its legs.
    pub(crate) turned: bool,
}

/// The directory stripe that the tests lock, of a pair with one stripe a table, and the file stripe.
pub(crate) const DIR: usize = 1;
pub(crate) const FILE: usize = 65;

pub(crate) fn dir() -> LockPlan {
    LockPlan::EMPTY.dir(1, 1)
}

pub(crate) fn file() -> LockPlan {
    LockPlan::EMPTY.file(1, 1)
}

impl Script {
    pub(crate) fn new() -> Script {
        Script {
            log: vec![],
            busy: None,
            posts: vec![0; OBJECTS],
            word: StateWord::FRESH.0,
            late: LockPlan::EMPTY,
            prepared: Prepared::Ready,
            applies: vec![],
            seconds: vec![],
            repair: Ok(()),
            holds: false,
            part: false,
            misled: None,
            half: false,
            size: Ok(100),
            leaves: None,
            turned: false,
        }
    }
    fn note(&mut self, what: &str) {
        self.log.push(what.into());
    }
    /// Runs, and gives what was asked for between the locks.
    pub(crate) fn run(&mut self, action: Action) -> (Verdict, String) {
        let v = transact(self, dir(), action);
        let all = self.log.join(" ");
        let inner = all
            .strip_prefix("+1a +1b enter")
            .and_then(|l| l.strip_suffix("-1b -1a"));
        let inner = String::from(
            inner
                .unwrap_or_else(|| panic!("not between the locks: {all}"))
                .trim(),
        );
        (v, inner)
    }
}

fn next(from: &mut Vec<Result<u64, Errno>>, good: u64) -> Result<u64, Errno> {
    if from.is_empty() {
        Ok(good)
    } else {
        from.remove(0)
    }
}

fn leg(l: Leg) -> char {
    ['a', 'b'][l.index()]
}

impl LegLock for Script {
    fn try_lock(&mut self, l: Leg, object: usize) -> Result<(), LockMiss> {
        if self.busy == Some((object, l)) {
            return Err(LockMiss::Busy(object));
        }
        self.note(&format!("+{object}{}", leg(l)));
        Ok(())
    }
    fn stands(&self, _: StateWord) -> bool {
        !self.turned
    }
    fn unlock(&mut self, l: Leg, object: usize) {
        self.note(&format!("-{object}{}", leg(l)));
    }
}

impl Posts for Script {
    fn word(&self) -> StateWord {
        StateWord(self.word)
    }
    fn state(&self, object: usize) -> u32 {
        self.posts[object]
    }
    fn forget(&mut self, object: usize, _: &BothLocked) {
        self.note(&format!("forget({object})"));
        self.posts[object] = 0;
    }
    fn set_exclusive(&mut self, _: &BothLocked, on: bool) {
        self.note(if on { "out" } else { "in" });
        self.word = self.word & !StateWord::EXCLUSIVE | if on { StateWord::EXCLUSIVE } else { 0 };
    }
    fn pause(&mut self, object: usize, nth: u32) -> bool {
        self.note("pause");
        match self.leaves {
            Some((o, n)) if o == object => {
                if nth + 1 == n {
                    self.posts[o] = 0;
                    self.busy = None;
                }
                true
            }
            _ => false,
        }
    }
    fn recover(&mut self, object: usize, _: &BothLocked) {
        self.note(&format!("recover({object})"));
    }
}

impl Journal for Script {
    fn enter(&mut self, held: &BothLocked, plan: LockPlan) {
        self.note("enter");
        for o in plan.objects() {
            self.posts[o] = held.first_lock() as u32 + 1;
        }
    }
    fn publish(&mut self, held: &BothLocked) {
        self.note("publish");
        self.posts[held.first_lock()] |= ANNOUNCED;
    }
    fn leave(&mut self, _: &BothLocked, plan: LockPlan) {
        self.note("leave");
        for o in plan.objects() {
            self.posts[o] = 0;
        }
    }
    fn pending(&mut self, _: &BothLocked, why: Errno) {
        self.note(&format!("pending({})", why.name()));
    }
}

impl LegIo for Script {
    fn prepare(&mut self, _: &BothLocked) -> Prepared {
        self.note("prepare");
        self.prepared
    }
    fn apply(&mut self, step: Step, _: &BothLocked) -> Result<Applied, Refused> {
        self.note(if step == Step::First {
            "first"
        } else {
            "second"
        });
        if let Some(why) = self.misled {
            return Err(why);
        }
        let r = next(&mut self.applies, 7);
        r.map(Applied).map_err(|e| Refused::after(self.part, e))
    }
    fn undo(&mut self, _: &BothLocked, source: Option<&Untouched<'_>>) -> Result<(), Refused> {
        self.note(match source {
            Some(_) => "undo",
            None => "undo(no source)",
        });
        self.repair.map_err(|e| Refused::after(self.half, e))
    }
    fn late(&mut self, _: &BothLocked) -> LockPlan {
        self.late
    }
    fn holds(&mut self, _: Errno, _: &BothLocked) -> bool {
        self.holds
    }
    fn heal(&mut self, _: &BothLocked) -> Result<(), Errno> {
        self.note("heal");
        self.repair
    }
    fn position(&mut self) -> Result<u64, Errno> {
        Ok(40)
    }
    fn set_position(&mut self, to: u64, _: &BothLocked) -> Result<(), Errno> {
        self.note(&format!("pos={to}"));
        Ok(())
    }
    fn size(&mut self) -> Result<u64, Errno> {
        self.size
    }
    fn write_first(&mut self, at: Option<u64>, _: &BothLocked) -> Result<u64, Errno> {
        self.note(&at.map_or("first@end".into(), |a| format!("first@{a}")));
        next(&mut self.applies, 10)
    }
    fn write_second(
        &mut self,
        at: u64,
        done: u64,
        upto: u64,
        _: &BothLocked,
    ) -> Result<u64, Errno> {
        self.note(&format!("second@{at}+{done}..{upto}"));
        next(&mut self.seconds, upto - done)
    }
    fn unwrite(
        &mut self,
        from: u64,
        to: u64,
        old: Option<u64>,
        _: &Untouched<'_>,
    ) -> Result<(), Refused> {
        self.note(&format!("unwrite({from}..{to},{old:?})"));
        self.repair.map_err(|e| Refused::after(self.half, e))
    }
}

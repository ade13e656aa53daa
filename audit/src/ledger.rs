//! Which changes have their match: the same, on the other leg, by the same thread, while its process holds
//! the locks of both.
use crate::change::{Change, of_descriptor, of_names, of_touch};
use crate::raw::{Kind, Raw, bits};
use crate::{Class, Event, Judged, Op, Range, Tier, Who};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use mirror_core::Leg;

/// How long a change waits for its match; then both legs are looked at.
pub const PATIENCE: u64 = 100_000_000;
/// Touches of a call whose end never came: its thread died in it.
const TOUCHES_MAX: usize = 64;
/// A thread that has told nothing for so long has ended, or is taken for one that has.
const FORGET: u64 = 60_000_000_000;
/// Files of a thread whose times are still to follow.
const FOLLOWING_MAX: usize = 64;
/// Open changes of a thread that are kept.
const OPEN_MAX: usize = 1024;

/// What threads have done, and what of it has no match yet.
#[derive(Debug)]
pub struct Ledger {
    threads: BTreeMap<u32, Thread>,
    tier: Tier,
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC.
    clock: u64,
    /// Changes without a match of which nobody knows where they were made.
    nowhere: u64,
}

#[derive(Debug, Default)]
struct Thread {
    touched: Vec<Raw>,
    open: Vec<Open>,
    /// What it has changed on both legs, and which one came second: the library sets that one's times to the
    /// first one's afterwards, on this leg alone.
    following: VecDeque<(Vec<u8>, Leg)>,
    /// The same of what was matched in the kernel: a file, by its number.
    follows: Option<(u64, Leg)>,
    /// When it last told anything.
    last: u64,
}

#[derive(Debug)]
struct Open {
    since: u64,
    change: Change,
    event: Event,
}

/// Tells a change that has no match. Of the other names that it may have been about the legs tell. One more if it
/// cannot be told, since nobody knows where it was made.
fn tell(event: Event, change: &Change, out: &mut Vec<Event>) -> u64 {
    if change.cut {
        return 1;
    }
    for rel in &change.also {
        out.push(Event {
            rel: rel.clone(),
            to: None,
            judged: Judged::Open,
            ..event.clone()
        });
    }
    out.push(event);
    0
}

impl Ledger {
    /// An empty one. `clock`: CLOCK_REALTIME minus CLOCK_MONOTONIC.
    pub fn new(tier: Tier, clock: u64) -> Ledger {
        Ledger {
            threads: BTreeMap::new(),
            tier,
            clock,
            nowhere: 0,
        }
    }

    /// How many changes had no match, and a path of which only the lower end is known: they are not told.
    pub fn nowhere(&self) -> u64 {
        self.nowhere
    }

    /// Takes a record; what is decided by it goes to `out`.
    pub fn take(&mut self, raw: Raw, out: &mut Vec<Event>) {
        let thread = self.threads.entry(raw.tid).or_default();
        thread.last = raw.time;
        match raw.kind {
            Kind::Touch if waits_for_end(raw.nr) => {
                if thread.touched.len() < TOUCHES_MAX {
                    thread.touched.push(raw);
                }
            }
            Kind::Touch => {
                let change = of_touch(&raw);
                // A store is carried over later, and carried over without a change of its own.
                let judged = match change.op {
                    Op::Map => Judged::Open,
                    _ if raw.flags & bits::TRIED != 0 => Judged::Open,
                    _ => Judged::Unmirrored,
                };
                self.nowhere += tell(self.event(&raw, &change, judged), &change, out);
            }
            Kind::Call => {
                let of_this = raw.nr;
                let touched = core::mem::take(&mut thread.touched);
                let changes = if raw.rel.is_empty() && waits_for_end(raw.nr) {
                    let touched: Vec<Raw> =
                        touched.into_iter().filter(|t| t.nr == of_this).collect();
                    if raw.result < 0 {
                        return;
                    }
                    thread.follows = (raw.flags & bits::FOLLOWS != 0
                        && touched
                            .iter()
                            .any(|t| (t.inode, t.leg) == (raw.inode, raw.leg)))
                    .then_some((raw.inode, raw.leg));
                    of_names(&raw, &touched)
                } else {
                    of_descriptor(&raw).into_iter().collect()
                };
                for change in changes {
                    self.account(&raw, change, out);
                }
            }
        }
    }

    fn account(&mut self, raw: &Raw, change: Change, out: &mut Vec<Event>) {
        let own = raw.held & bits::HELD_BY_PARENT == 0;
        let objects = raw.held & bits::HELD_BOTH == bits::HELD_BOTH;
        let whole = raw.held & bits::HELD_WHOLE == bits::HELD_WHOLE;
        // It repairs, or it is any program that the holder has started: the legs tell.
        let repairs = whole && !own;
        if repairs || !(own && (objects || whole)) {
            let judged = if repairs {
                Judged::Open
            } else {
                Judged::Unmirrored
            };
            self.nowhere += tell(self.event(raw, &change, judged), &change, out);
            return;
        }
        let event = self.event(raw, &change, Judged::Open);
        let Some(thread) = self.threads.get_mut(&raw.tid) else {
            return;
        };
        let mut left = change;
        while let Some(i) = thread.open.iter().position(|o| fits(&o.change, &left)) {
            let rest = less(&mut thread.open[i].change, &mut left);
            if !rest.theirs {
                let met = thread.open.remove(i);
                out.push(Event {
                    judged: Judged::Mirrored,
                    ..met.event
                });
            }
            if !rest.ours {
                if left.op.class() == Class::Data || left.op == Op::Create {
                    thread.follows(&left);
                }
                return;
            }
        }
        let follows = thread.follows.is_some_and(|f| f.1 == left.leg);
        if left.op == Op::Times && (follows || thread.followed(&left)) {
            return out.push(Event {
                judged: Judged::Mirrored,
                ..event
            });
        }
        if thread.open.len() >= OPEN_MAX {
            let first = thread.open.remove(0);
            self.nowhere += tell(first.event, &first.change, out);
        }
        thread.open.push(Open {
            since: raw.time,
            event: Event {
                range: left.range,
                ..event
            },
            change: left,
        });
    }

    /// Gives out what has waited in vain. `now`: CLOCK_MONOTONIC; `u64::MAX`: everything.
    pub fn expire(&mut self, now: u64, out: &mut Vec<Event>) {
        let nowhere = &mut self.nowhere;
        self.threads.retain(|_, t| {
            let (late, open) = core::mem::take(&mut t.open)
                .into_iter()
                .partition(|o: &Open| now.saturating_sub(o.since) >= PATIENCE);
            t.open = open;
            for o in Vec::into_iter(late) {
                *nowhere += tell(o.event, &o.change, out);
            }
            t.touched.retain(|r| now.saturating_sub(r.time) < FORGET);
            if now.saturating_sub(t.last) >= FORGET {
                t.following.clear();
            }
            !(t.open.is_empty() && t.touched.is_empty() && t.following.is_empty())
        });
    }

    fn event(&self, raw: &Raw, change: &Change, judged: Judged) -> Event {
        Event {
            time: raw.time.wrapping_add(self.clock),
            leg: change.leg,
            rel: change.rel.clone(),
            to: change.to.clone(),
            op: change.op,
            range: change.range.filter(|_| change.op.class() == Class::Data),
            object: None,
            result: (raw.kind == Kind::Call).then_some(raw.result),
            who: Some(Who {
                pid: raw.tgid,
                tid: raw.tid,
                uid: Some(raw.uid),
                comm: raw.comm.clone(),
                cgroup: 0,
                began: None,
            }),
            tier: self.tier,
            judged,
        }
    }
}

impl Thread {
    fn follows(&mut self, change: &Change) {
        let same = |f: &(Vec<u8>, Leg)| f.0 == change.rel && f.1 == change.leg;
        if !self.following.iter().any(same) {
            self.following.truncate(FOLLOWING_MAX - 1);
            self.following.push_front((change.rel.clone(), change.leg));
        }
    }

    fn followed(&mut self, change: &Change) -> bool {
        let same = |f: &(Vec<u8>, Leg)| f.0 == change.rel && f.1 == change.leg;
        let at = self.following.iter().position(same);
        at.is_some_and(|i| self.following.remove(i).is_some())
    }
}

/// Whether a call's touches are explained by its end, which is told as well.
fn waits_for_end(nr: i32) -> bool {
    matches!(
        nr,
        49 | 76 | 82..=84 | 86..=88 | 90 | 92 | 94 | 132 | 133 | 188 | 189 | 197 | 198 | 235
            | 258..=261 | 263..=266 | 268 | 280 | 316 | 452 | 463 | 466 | 469
    )
}

/// Whether two changes can be one mirrored change.
fn fits(a: &Change, b: &Change) -> bool {
    let same_name = (a.rel == b.rel && a.to == b.to) || (a.loose && b.loose);
    a.leg != b.leg && same_name && like(a.op, b.op) && overlap(a.range, b.range)
}

fn like(a: Op, b: Op) -> bool {
    let made = |o| matches!(o, Op::Create | Op::Mknod);
    let filled = |o| matches!(o, Op::Write | Op::Clone);
    a == b || (made(a) && made(b)) || (filled(a) && filled(b))
}

/// Of two ranges that are given in pieces, whether they begin at the same byte.
fn overlap(a: Option<Range>, b: Option<Range>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) if a.len == 0 || b.len == 0 => a == b,
        (Some(a), Some(b)) => a.at == b.at,
        _ => true,
    }
}

/// Which of two changes is not wholly matched by the other one.
struct Rest {
    theirs: bool,
    ours: bool,
}

fn less(theirs: &mut Change, ours: &mut Change) -> Rest {
    let (Some(a), Some(b)) = (&mut theirs.range, &mut ours.range) else {
        return Rest {
            theirs: false,
            ours: false,
        };
    };
    let n = a.len.min(b.len);
    for r in [&mut *a, &mut *b] {
        r.at = r.at.saturating_add(n);
        r.len -= n;
    }
    Rest {
        theirs: a.len > 0,
        ours: b.len > 0,
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;

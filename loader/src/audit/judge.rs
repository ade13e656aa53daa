//! Judging paths at which something happened: first without a lock, and what differs then, with the pair's
//! locks held.
use super::finding::{Done, Finding};
use super::heal;
use super::held;
use super::scan::Scan;
use super::suspects::{Suspect, Suspects};
use super::watch::{Watch, behind, note};
use crate::fail::Res;
use crate::pair::domain::Attached;
use crate::sync::equal::Seen;
use crate::sync::heal::locked;
use crate::sync::linked::Linked;
use crate::sync::mapped;
use crate::sync::one::One;
use crate::sync::turn;
use crate::text;
use crate::tree::beneath::join;
use crate::tree::object::Meta;
use mirror_audit::{Op, Tier};
use mirror_core::Leg;
use mirror_core::word::StateWord;
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Paths that are judged under one hold of the locks.
const HOLD: usize = 32;
/// What is changed while it is carried is looked at again after so long.
const SOON: Duration = Duration::from_millis(100);
/// What differs while a repair runs is looked at again after so long.
const LATER: Duration = Duration::from_millis(500);
/// Between two parts of a comparison.
const REST: Duration = Duration::from_millis(5);
/// What differs because a mirrored program stores there is looked at again after so long.
const STORED: Duration = Duration::from_secs(2);
/// A directory's time of change may be older than the change by so long.
const SLACK: Duration = Duration::from_secs(2);
/// Between two looks at what happens, while paths are compared.
const GLANCE: Duration = Duration::from_millis(20);
/// How long it is believed which names are of one file.
const LINKED: Duration = Duration::from_secs(1);

/// Whether what is done to one path may touch the other: it is the same, above it or below it.
fn on_the_way(carried: &[u8], other: &[u8]) -> bool {
    let below = |dir: &[u8], rel: &[u8]| {
        let rest = rel.strip_prefix(dir);
        rest.is_some_and(|r| dir.is_empty() || r.is_empty() || r.starts_with(b"/"))
    };
    below(carried, other) || below(other, carried)
}

/// Whether somebody is making the legs equal, or still has to: nobody else judges them meanwhile.
fn repaired(p: &Attached) -> bool {
    turn::running(&p.pair).is_some() || p.pair.incomplete().is_some()
}

/// A directory was changed, and nobody knows which of its names: what differs was changed by the same.
fn inside(one: &One<'_>, s: &Suspect, suspects: &mut Suspects) -> io::Result<()> {
    let mut found = vec![];
    for name in one.names(&s.rel)? {
        let rel = join(&s.rel, &name);
        if one.look(&rel).map_or(true, |seen| !seen.what.equal()) {
            found.push(rel);
        }
    }
    suspects.add_below(s, &found);
    Ok(())
}

/// Whether the names in a directory may have changed since it is suspected: a program that has only listed it has
/// left its times alone.
fn names_changed(s: &Suspect, seen: &Seen) -> bool {
    let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else {
        return true;
    };
    let since = now.saturating_sub(s.noted().elapsed() + SLACK).as_secs();
    let of = |leg: Leg| match leg {
        Leg::A => &seen.source,
        Leg::B => &seen.copy,
    };
    let old = |m: &Meta| u64::try_from(m.st.st_ctime).is_ok_and(|t| t < since);
    !s.legs().all(|leg| of(leg).as_ref().is_some_and(old))
}

/// Looks below a directory, if another one may stand there, or others below it. Whether it could be read.
fn look_below(
    one: &One<'_>,
    s: &mut Suspect,
    seen: &Seen,
    scan: &mut Scan,
    suspects: &mut Suspects,
) -> bool {
    if !One::has_directory(seen) {
        return true;
    }
    let mut read = true;
    if s.replaced() || (s.names_unknown() && names_changed(s, seen)) {
        scan.below(s);
    } else if s.names_unknown() {
        read = inside(one, s, suspects).is_ok();
    }
    s.looked_below();
    read
}

impl Watch {
    /// Judges what is due; `all`: everything. What was found.
    pub fn judge(&mut self, all: bool) -> Res<Vec<Finding>> {
        let mut found = vec![];
        if self.away() {
            // What leg b lacks is no finding, and it is compared as a whole before it is back.
            self.leave();
            return Ok(found);
        }
        if self.scan.runs() {
            self.compare();
        }
        let due = self.suspects.take(all);
        let doubts = self.doubts(due, all);
        if !doubts.is_empty() {
            if repaired(&self.pair) {
                // What it has not come to yet differs, and no program is to blame.
                for s in doubts {
                    match all {
                        true => self.counts.open += 1,
                        false => self.suspects.again(s, LATER),
                    }
                }
            } else {
                self.settle(doubts, all, &mut found)?;
            }
        }
        if !found.is_empty() {
            self.last = text::now();
            self.counts.unmirrored += found.len() as u64;
            let count = |what: &dyn Fn(&Done) -> bool| {
                found.iter().filter(|f| what(&f.done)).count() as u64
            };
            self.counts.healed += count(&Done::healed);
            self.counts.left += count(&|d| !d.mended());
            self.counts.held +=
                count(&|d| matches!(d, Done::Held | Done::Conflict | Done::Failed(_)));
            self.say();
        }
        Ok(found)
    }

    /// A part of what is to be compared.
    pub(super) fn compare(&mut self) {
        let waits = turn::running(&self.pair.pair).is_some();
        if !waits {
            let one = One::new(&self.pair, self.fidelity).leaving_roots(self.leaves_roots);
            let unread = self.scan.go_on(&one, &mut self.suspects);
            if unread > 0 {
                self.unjudged(unread);
            }
        }
        self.scan.rest(if waits { LATER } else { REST });
    }

    /// Looks without locks: what is equal has been mirrored, or does not matter any more.
    fn doubts(&mut self, due: Vec<Suspect>, all: bool) -> Vec<Suspect> {
        let mut doubts = vec![];
        let (mut linked, mut unread) = (false, 0);
        let mut due = due.into_iter().peekable();
        while due.peek().is_some() {
            let one = One::new(&self.pair, self.fidelity).leaving_roots(self.leaves_roots);
            let since = Instant::now();
            while since.elapsed() < GLANCE
                && let Some(mut s) = due.next()
            {
                let begun = Instant::now();
                let seen = one.look(&s.rel);
                self.suspects.took(&s.rel, begun.elapsed());
                if let Ok(seen) = &seen {
                    linked |= One::is_new_link(seen);
                    let (scan, suspects) = (&mut self.scan, &mut self.suspects);
                    unread += usize::from(!look_below(&one, &mut s, seen, scan, suspects));
                }
                match seen {
                    Ok(seen) if seen.what.equal() && !s.certain && !s.stored => {
                        self.counts.mirrored += 1
                    }
                    // A program has it mapped and carries it over: until then nobody can say more.
                    Ok(seen) if s.by_mirrored() && mapped::may_explain(&self.pair, &seen) => {
                        match all {
                            true => self.counts.open += 1,
                            false => self.suspects.again(s, STORED),
                        }
                    }
                    _ => doubts.push(s),
                }
            }
            // The source does not wait for who compares. If it fails now, it will again.
            let _ = due.peek().is_some() && self.read().is_ok();
        }
        if unread > 0 {
            self.unjudged(unread);
        }
        let old = |t: &Instant| t.elapsed() > LINKED;
        if self.ask.heal && linked && self.linked.as_ref().is_none_or(|(t, _)| old(t)) {
            let root = &self.pair.pair.legs.a.root;
            self.linked = Some((Instant::now(), Linked::of(root)));
        }
        doubts
    }

    /// So many paths that may differ cannot be judged: the pair is to be compared.
    fn unjudged(&mut self, paths: usize) {
        self.counts.open += paths as u64;
        self.doubt();
    }

    /// Looks with the locks held, and repairs if that is asked for.
    // long: one path after the other under one hold of the locks
    fn settle(&mut self, mut doubts: Vec<Suspect>, all: bool, found: &mut Vec<Finding>) -> Res<()> {
        let mut held_back = self.ask.heal && {
            let one = One::new(&self.pair, self.fidelity).leaving_roots(self.leaves_roots);
            self.brake.pulled(&one, &doubts)
        };
        // Reads of the source that failed, and paths that could not be looked at.
        let (mut unread, mut unseen) = (0u64, 0usize);
        while !doubts.is_empty() {
            let some: Vec<Suspect> = doubts.drain(..doubts.len().min(HOLD)).collect();
            let Watch {
                pair,
                epoch,
                source,
                suspects,
                people,
                counts,
                gone,
                ask,
                fidelity,
                brake,
                leaves_roots,
                ours,
                linked,
                scan,
                ..
            } = self;
            let (pair, epoch, linked) = (&*pair, *epoch, linked.as_ref());
            locked(pair, |held| {
                // No mirrored change is under way: all of its events, on both legs, are in the queue.
                let mut events = vec![];
                unread += u64::from(source.read(&mut events).is_err());
                people.forget();
                for e in events {
                    *gone = note(e, suspects, people, counts).or(*gone);
                }
                if behind(pair, epoch) {
                    some.into_iter().for_each(|s| suspects.again(s, SOON));
                    return;
                }
                if repaired(pair) {
                    // It may have passed already what is recorded still.
                    some.into_iter().for_each(|s| suspects.again(s, LATER));
                    return;
                }
                // Read anew each time: a repair takes names out of it.
                let known = pair.pair.pending();
                if !known.unread.is_empty() {
                    // What may be recorded already is nobody's to judge, and least of all to carry.
                    unseen += some.len();
                    return;
                }
                let known = known.paths;
                let mut one = One::new(pair, *fidelity).leaving_roots(*leaves_roots);
                if let Some((_, linked)) = linked {
                    one = one.with(linked);
                }
                let mut carried = vec![];
                let mut marked = false;
                for mut s in some {
                    suspects.more_of(&mut s);
                    one.compare_open(s.certain || s.stored);
                    // What is stored behind the comparison, at a page that is dirty already, nobody tells.
                    let stored = s.while_stored().filter(|_| ask.heal && !all);
                    let stored = stored.filter(|_| one.is_open(&s.rel, held));
                    let seen = one.sure(&s.rel, held);
                    if let Ok(seen) = &seen {
                        let read = look_below(&one, &mut s, seen, scan, suspects);
                        unseen += usize::from(!read);
                    }
                    match seen {
                        Ok(seen) if seen.what.equal() && !s.certain => {
                            counts.mirrored += u64::from(!s.stored);
                            if let Some(s) = stored {
                                suspects.again(s, STORED);
                            }
                        }
                        Ok(seen) if s.by_mirrored() && mapped::may_explain(pair, &seen) => {
                            suspects.again(s, STORED)
                        }
                        // Recorded already, by whoever met it: this may be the same, and `mirror resync` comes to it.
                        Ok(_) if known.contains(&s.rel) && s.by_mirrored() => counts.open += 1,
                        Err(e) if heal::passing(&e) && s.tries < heal::TRIES => {
                            s.tries += 1;
                            s.doubt_below();
                            suspects.again(s, SOON);
                        }
                        Err(_) => unseen += 1,
                        Ok(seen) => {
                            let mut f = Finding::of(&s, &seen.what, One::kind(&seen));
                            if seen.what.equal() {
                                f.done = Done::Equal;
                            } else if ask.heal && known.contains(&s.rel) && !s.certain {
                                f.done = Done::Failed("recorded as different already".into());
                            } else if ask.heal {
                                let top = one.top(&s.rel).unwrap_or_else(|_| s.rel.clone());
                                let above = (top != s.rel).then(|| s.above(top.clone()));
                                // Who removes things does not wait for the pair's locks.
                                if let Some((above, Ok(seen))) =
                                    above.as_ref().map(|a| (a, one.look(&top)))
                                {
                                    held_back |= brake.more(&one, above, &seen);
                                }
                                held_back |= brake.more(&one, &s, &seen);
                                if ask.dry_run {
                                    f.done = heal::would(&s, &seen, held_back);
                                } else {
                                    carried.push(top);
                                    let (one, f) = (&mut one, &mut f);
                                    if !heal::heal(pair, one, (&s, f), &seen, held_back, ours, held)
                                    {
                                        // A part of what lies below may have been carried.
                                        for mut s in above.into_iter().chain([s]) {
                                            s.tries += 1;
                                            s.doubt_below();
                                            suspects.again(s, SOON);
                                        }
                                        continue;
                                    }
                                }
                            }
                            if let Some(s) = stored.filter(|_| f.done.mended()) {
                                suspects.again(s, STORED);
                            }
                            held::note(pair, &f, s.way(), held);
                            if !f.done.mended() && !marked {
                                pair.set_bits(StateWord::UNMIRRORED, held);
                                marked = true;
                            }
                            found.push(f);
                        }
                    }
                }
                if source.tier() == Tier::T4 && !carried.is_empty() {
                    let mut events = vec![];
                    unread += u64::from(source.read(&mut events).is_err());
                    for e in events {
                        match e.leg == Leg::B && carried.iter().any(|c| on_the_way(c, &e.rel)) {
                            // This audit's own, or somebody's at the same moment: it is looked at again.
                            true => {
                                let moved = e.op == Op::Rename;
                                for rel in e.to.iter().chain([&e.rel]) {
                                    suspects.add_scanned(rel, e.time, moved);
                                }
                            }
                            false => *gone = note(e, suspects, people, counts).or(*gone),
                        }
                    }
                }
            })?;
        }
        if unread > 0 {
            self.missed(unread);
        }
        if unseen > 0 {
            self.unjudged(unseen);
        }
        Ok(())
    }
}

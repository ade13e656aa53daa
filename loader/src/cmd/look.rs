//! Looks at a pair and says in which state it is, why, and what to type. Changes nothing. Everything
//! that asks for a pair's state asks here.
use super::finding::Finding;
use super::signs::{read_only, resyncing, to_recover};
use super::{degraded, explain, lost, sharing, unmirrored, unread};
use crate::fail::{Kind, reason};
use crate::pair::audited;
use crate::pair::control::Faults;
use crate::pair::cores;
use crate::pair::domain;
use crate::pair::legs::Pair;
use crate::pair::past;
use crate::pair::pending::Pending;
use crate::pair::runtime::Runtime;
use crate::pair::state::State;
use crate::pair::tab::Line;
use crate::sync::turn::{self, Open, Running, Unfinished};
use crate::text;
use crate::tree::probe;
use mirror_core::Leg;
use mirror_core::word::{Past, StateWord};

/// What is known about one pair.
pub struct Look {
    /// Its line.
    pub line: Line,
    /// The pair, if both legs are at hand.
    pub pair: Option<Pair>,
    /// Its state.
    pub state: State,
    /// Why it is so.
    pub why: Vec<String>,
    /// What to type, and what that does.
    pub actions: Vec<(String, String)>,
    /// The code for `mirror explain`.
    pub code: Option<&'static str>,
    /// Paths known to differ.
    pub pending: u64,
}

impl Look {
    fn new(line: &Line, pair: Option<Pair>, pending: u64, mut found: Vec<Finding>) -> Look {
        // The gravest gives the word; a repair that runs, the only thing to do.
        found.sort_by_key(|f| std::cmp::Reverse(f.state));
        let state = found.first().map_or(State::InSync, |f| f.state);
        let mut actions: Vec<(String, String)> = vec![];
        for a in found.iter().flat_map(|f| &f.actions) {
            if !actions.iter().any(|x| x.0 == a.0) {
                actions.push(a.clone());
            }
        }
        if state == State::Resyncing {
            actions.truncate(1);
        }
        Look {
            line: line.clone(),
            pair,
            state,
            code: found.first().and_then(|f| f.code),
            why: found.into_iter().map(|f| f.why).collect(),
            actions,
            pending,
        }
    }

    /// What a failure's text says, unless the pair's state says it better: with the way out.
    pub fn instead(&self, text: String) -> String {
        match (self.state.serves(), self.actions.first()) {
            (false, Some((what, _))) => format!("{}    to do: {what}", self.sentence()),
            _ => text,
        }
    }

    /// `V: STATE: why` for a message.
    pub fn sentence(&self) -> String {
        let mut s = format!("{}: {}", text::path(&self.line.virt), self.state.word());
        if !self.why.is_empty() {
            s += &format!(": {}", self.why.join("; "));
        }
        s
    }
}

/// Looks at one pair.
pub fn look(l: &Line) -> Look {
    let v = text::shell(&l.virt);
    if let Some((pair, found)) = degraded::look(l) {
        return Look::new(l, pair, 0, vec![found]);
    }
    let pair = match Pair::open(l) {
        Ok(p) => p,
        Err(e) if e.kind == Kind::Permission => {
            let f = Finding::new(State::Unknown, explain::NOT_YOURS, e.text).act(
                format!("sudo mirror status {v}"),
                "as the pair's owner, or root",
            );
            return Look::new(l, None, 0, vec![f]);
        }
        Err(e) if matches!(e.kind, Kind::Unseen | Kind::Interrupted) => {
            return Look::new(l, None, 0, vec![unread::unseen(&e.text, &v)]);
        }
        Err(e) => return Look::new(l, None, 0, vec![lost::finding(l, e)]),
    };
    let known = pair.pending();
    let mut found = vec![];
    found.extend(damaged(&pair, &v));
    found.extend(unseen(&pair, &v));
    found.extend(lost::swapped(&pair));
    found.extend(super::link::fault(l));
    let repair = turn::running(&pair);
    if let Some(i) = pair.incomplete() {
        found.push(incomplete(&pair, i, repair.as_ref(), &v));
    } else {
        judge(&pair, &known, &v, &mut found);
        found.extend(repair.map(|r| resyncing(&r, &v)));
    }
    found.extend(rooms(&pair, &v));
    found.extend(sharing::findings(&pair));
    Look::new(l, Some(pair), known.paths.len() as u64, found)
}

/// Control files that could not be looked at.
fn unseen(pair: &Pair, v: &str) -> Option<Finding> {
    let why = pair.trees().map(|root| {
        let why = Faults::of(root).unseen?;
        Some(format!("{}: {why}", text::path(&root.path)))
    });
    let why = why.iter().flatten().next()?;
    Some(unread::unseen(why, v))
}

/// Control files that are missing, or are something else.
fn damaged(pair: &Pair, v: &str) -> Option<Finding> {
    let faults = pair.trees().map(Faults::of);
    if !faults.iter().any(Faults::any) {
        return None;
    }
    let mut parts = vec![];
    for (f, leg) in faults.as_ref().zip(pair.legs.as_ref()) {
        let some = |list: &[String]| {
            let more = if list.len() > 3 { " …" } else { "" };
            format!("{}{more}", list[..list.len().min(3)].join(" "))
        };
        let place = text::path(&leg.root.path);
        if !f.missing.is_empty() {
            parts.push(format!("{place} lacks {}", some(&f.missing)));
        }
        if !f.wrong.is_empty() {
            parts.push(format!("{place} has something else as {}", some(&f.wrong)));
        }
    }
    let effect = if faults.iter().any(|f| f.fatal) {
        "programs cannot change the pair, or not all of it"
    } else {
        "a repair cannot work"
    };
    let f = Finding::new(
        State::Damaged,
        explain::CONTROL,
        format!("{}: {effect}", parts.join("; ")),
    );
    let both = faults.as_ref().zip(pair.legs.as_ref());
    let wrong = both.into_iter().find_map(|(f, leg)| {
        let name = f.wrong.first()?;
        Some(leg.root.path.join(name))
    });
    Some(match wrong {
        Some(path) => f.act(
            format!("rm -r {}", text::shell(&path)),
            format!("then mirror resync {v} makes it again"),
        ),
        None => f.act(
            format!("mirror resync {v}"),
            "makes them again when no program is attached, then compares",
        ),
    })
}

/// The first copy has not finished.
fn incomplete(pair: &Pair, sink: Leg, now: Option<&Running>, v: &str) -> Finding {
    let (from, to) = (pair.legs[sink.other()].letter(), pair.legs[sink].letter());
    if let Some(r) = now {
        return Finding::new(
            State::Incomplete,
            explain::INCOMPLETE,
            format!("the first copy from {from} to {to} runs (pid {})", r.pid),
        )
        .act(format!("mirror wait {v}"), "returns when it is done");
    }
    Finding::new(
        State::Incomplete,
        explain::INCOMPLETE,
        format!(
            "the first copy from leg {from} to leg {to} has not finished; programs cannot use the pair yet"
        ),
    )
    .act(format!("mirror resync {v}"), "goes on where it stopped")
    .act(
        format!("mirror detach {v}"),
        "gives up; both trees stay as they are",
    )
}

/// What the records and the runtime file say of differences. What cannot be read is a finding too: nothing here may
/// take it for empty.
fn judge(pair: &Pair, known: &Pending, v: &str, found: &mut Vec<Finding>) {
    let boot = domain::boot_of(pair);
    let runtime = boot.as_ref().ok().and_then(|b| domain::existing(pair, *b));
    let word = runtime.as_ref().map(Runtime::word);
    let open = turn::unfinished(pair);
    // One that is missing, or is something else, has been said.
    if found.iter().all(|f| f.state != State::Damaged) {
        found.extend(known.unread.iter().map(|u| unread::list(u, v)));
    }
    if !known.paths.is_empty() || word.is_some_and(|w| w.pending()) {
        found.push(pending(&known.paths, &open, v));
    }
    match runtime.as_ref().map(|rt| to_recover(rt, pair)) {
        Some(Ok(true)) => found.push(
            Finding::new(
                State::Pending,
                explain::RECOVER,
                "a program was killed in the middle of a change; the next change repairs it",
            )
            .act(resync(&open, v), "repairs it now"),
        ),
        Some(Err(e)) if e.kind == Kind::Unseen => found.push(unread::unseen(&e.text, v)),
        Some(Err(e)) => found.push(unread::unknown(
            &format!(
                "whether a program was killed in the middle of a change: {}",
                e.text
            ),
            v,
        )),
        _ => {}
    }
    found.extend(compared(pair, &open, v));
    found.extend(core_files(pair, v));
    found.extend(unfinished(&open, v));
    let before = match (&boot, &runtime) {
        (Ok(b), None) => past::past(pair, *b),
        _ => Past::default(),
    };
    if crate::pair::copied::disagree(pair) {
        found.push(super::lost::copied(&pair.line, v));
    } else if before.vanished || word.is_some_and(|w| w.vanished()) {
        found.push(super::lost::runtime(v));
    } else if before.restarted || word.is_some_and(|w| w.restarted()) {
        found.push(super::lost::restarted(v));
    } else if runtime.is_none() {
        found.extend(unread::runtime(pair, boot.as_ref(), v));
    }
    found.extend(ran_unmirrored(pair, word, v));
}

/// What programs without the library have done since the last comparison.
fn ran_unmirrored(pair: &Pair, word: Option<StateWord>, v: &str) -> Option<Finding> {
    let since = pair.verified().map_or(0, |v| v.time);
    let ran = unmirrored::of(&pair.line, since);
    let audit = audited::seen(&pair.legs.a.root, since);
    let marked = word.is_some_and(|w| w.unmirrored()) || unmirrored::unmarked(&ran);
    // The bit lives as long as the runtime file, and what an audit has written for longer.
    if !marked && !matches!(&audit, Ok(Some((_, true))) | Err(_)) {
        return None;
    }
    let here: Vec<_> = ran.into_iter().filter(|r| r.touched != 0).collect();
    let of_audit = || match audit {
        Ok(said) => said.map(|s| s.0),
        Err(e) => Some(format!(
            "what the last audit found cannot be read: {}",
            reason(&e)
        )),
    };
    let why = unmirrored::sentence(&here)
        .or_else(of_audit)
        .unwrap_or_else(|| "a program ran unmirrored with files of the pair".into());
    let f = Finding::new(State::Unverified, explain::UNMIRRORED, why);
    Some(f.act(
        format!("mirror verify {v}"),
        "shows whether anything differs",
    ))
}

/// Core files that the kernel has written on one leg alone.
fn core_files(pair: &Pair, v: &str) -> Option<Finding> {
    let found = match cores::found(pair) {
        Ok(found) => found,
        Err(e) => {
            return Some(unread::unknown(
                &format!(
                    "where the kernel may have written core files: {}",
                    reason(&e)
                ),
                v,
            ));
        }
    };
    let what = cores::words(&found)?;
    let f = Finding::new(State::Different, explain::CORE, what);
    Some(
        f.act(format!("mirror diff {v}"), "shows both sides")
            .act(format!("mirror resync {v}"), "copies them (or remove them)"),
    )
}

/// The resync to type: never in another direction than one that has begun.
fn resync(open: &Open, v: &str) -> String {
    match open {
        Open::Unfinished(u) => format!("mirror resync {v} --from {}", u.way().0),
        _ => format!("mirror resync {v}"),
    }
}

fn pending(paths: &[Vec<u8>], open: &Open, v: &str) -> Finding {
    let some: Vec<String> = paths.iter().take(3).map(|p| text::show(p)).collect();
    let more = if paths.len() > 3 { " …" } else { "" };
    let effect = match open {
        Open::No => "makes b like a (--from b: a like b); programs keep running",
        _ => "goes on with the repair that was stopped",
    };
    Finding::new(
        State::Pending,
        explain::PENDING,
        format!(
            "{} known to differ: {}{more}",
            text::plural(paths.len() as u64, "path"),
            some.join("  ")
        ),
    )
    .act(resync(open, v), effect)
}

/// What the last comparison, or the end of the last repair, says.
fn compared(pair: &Pair, open: &Open, v: &str) -> Vec<Finding> {
    let mut found = vec![];
    let record = pair.verified();
    // The other leg's may be older, and say less.
    if pair.verified_damaged() {
        found.push(
            Finding::new(
                State::Unverified,
                explain::VERIFIED,
                "the record of the last comparison is damaged, or cannot be read",
            )
            .act(format!("mirror verify {v}"), "makes a new one"),
        );
    }
    let Some(r) = record else {
        return found;
    };
    if r.differences > 0 {
        let effect = match open {
            Open::No => "makes b like a; what b loses is kept aside (--from b: the other way)",
            _ => "goes on in the direction in which it was begun",
        };
        found.push(
            Finding::new(
                State::Different,
                explain::DIFFERENT,
                format!(
                    "{} found {}",
                    text::plural(r.differences, "difference"),
                    text::ago(r.time)
                ),
            )
            .act(format!("mirror diff {v}"), "shows both sides")
            .act(resync(open, v), effect),
        );
    }
    if r.uncompared > 0 {
        found.push(
            Finding::new(
                State::NotCompared,
                explain::NOT_COMPARED,
                format!(
                    "{} could not be compared {}",
                    text::plural(r.uncompared, "object"),
                    text::ago(r.time)
                ),
            )
            .act(
                format!("mirror verify {v}"),
                "names them, and why; fix that, then again",
            ),
        );
    }
    found
}

/// A resync that has begun and not ended with both legs equal.
fn unfinished(open: &Open, v: &str) -> Option<Finding> {
    let u = match open {
        Open::No => return None,
        Open::Unfinished(u) => u,
        Open::Unknown => {
            return Some(
                Finding::new(
                    State::Unfinished,
                    explain::UNFINISHED,
                    "the record of the last resync is damaged: whether one was stopped, and in which direction, is not known",
                )
                .act(format!("mirror verify {v}"), "ends this if both legs are equal")
                .act(format!("mirror resync {v} --from a"), "if a is right (--from b: if b is)"),
            );
        }
    };
    Some(stopped(u, v))
}

fn stopped(u: &Unfinished, v: &str) -> Finding {
    let (s, c) = u.way();
    let done = text::plural(u.repaired, "path");
    let (state, why) = match u.left {
        None => (
            State::Unfinished,
            format!(
                "resync {s} -> {c} was stopped after {done}: leg {c} is partly like {s}, the rest is not repaired"
            ),
        ),
        Some(n) => (
            State::Different,
            format!(
                "resync {s} -> {c} repaired {done} and left {}",
                text::count(n)
            ),
        ),
    };
    Finding::new(state, explain::UNFINISHED, why)
        .act(
            format!("mirror resync {v} --from {s}"),
            "the same command goes on",
        )
        .act(
            format!("mirror resync {v} --from {c}"),
            format!("turns it round: makes {s} like {c}, also where {c} has not been repaired"),
        )
}

/// Legs that cannot be written: mounted read-only, or without room.
fn rooms(pair: &Pair, v: &str) -> Vec<Finding> {
    let mut found = vec![];
    for leg in &pair.legs {
        let (letter, shown) = (leg.letter(), text::path(&leg.root.path));
        if read_only(&leg.root) {
            let means = degraded::of_read_only(leg.record.leg, &pair.line);
            let point = text::shell(&probe::mount_point(&leg.root.path));
            found.push(
                Finding::new(
                    State::ReadOnly,
                    explain::READ_ONLY,
                    format!("leg {letter} ({shown}) is read-only: {means}"),
                )
                .act(
                    format!("mount -o remount,rw {point}"),
                    "look first why it is (dmesg): a disk that fails makes itself read-only",
                )
                .act(format!("mirror verify {v}"), "works meanwhile"),
            );
        } else if let Some(what) = probe::full(&leg.root) {
            found.push(
                Finding::new(
                    State::Full,
                    explain::FULL,
                    format!("leg {letter} ({shown}) has no {what} left: programs get \"no space\"; both legs stay equal"),
                )
                .act(
                    format!("df {} {}", if what == "room" { "-h" } else { "-i" }, text::shell(&leg.root.path)),
                    "make room there",
                ),
            );
        }
    }
    found
}

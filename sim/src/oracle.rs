//! What must be true of a finished run.
//!
//! The first leg always equals the log replayed, in lock order, on one plain tree, and every answer
//! is the one that this tree gives. The second leg equals the first but for what is pending.
use crate::effect::{At, effect};
use crate::fault::{Faults, Place, Which};
use crate::op::Op;
use crate::tree::{Body, Ino, Tree};
use crate::world::{Entry, Left, World};
use mirror_core::Leg;
use mirror_core::{Errno, ErrorClass};
use std::collections::{BTreeMap, BTreeSet};

/// A replayed description: inode and position.
type Replayed = BTreeMap<usize, (Ino, u64, bool)>;

/// What excuses a difference: both directories, the name, both inodes.
pub type Cover<'a> = &'a dyn Fn(Ino, Ino, &str, Option<Ino>, Option<Ino>) -> bool;

/// Judges a finished world.
pub fn judge(w: &World, faults: &Faults) -> Result<(), String> {
    if let Some(v) = &w.violation {
        return Err(v.clone());
    }
    if w.holders.iter().any(|h| !h.is_empty()) {
        return Err(format!("locks left behind: {:?}", w.holders));
    }
    if !w.posts.is_empty() {
        return Err(format!(
            "changes left announced: {:?} {:?}",
            w.posts, w.records
        ));
    }
    if w.deaths == 0 && w.healed > w.left {
        return Err("a change was healed though nobody died".into());
    }
    if faults.none() && w.partner_errors > 0 {
        return Err(format!("{} errors of a healthy leg", w.partner_errors));
    }
    told(w, faults)?;
    history(w, faults)?;
    legs_equal(w, faults)?;
    pending_is_due(w, faults)
}

/// One error that says that the trees do not look alike is healed, never told; one EINTR is tried
/// again. (Writes are cut, other calls taken back.)
fn told(w: &World, faults: &Faults) -> Result<(), String> {
    let [f] = faults.errors[..] else {
        return Ok(());
    };
    let semantic = f.errno.class() == ErrorClass::Semantic;
    let kept = |e: &&Entry| match e.op.data() {
        Some(_) => f.errno == Errno::EINTR,
        None => semantic,
    };
    let once = f.second
        && f.place == Place::Effect
        && f.times == 1
        && w.deaths == 0
        && faults.crash.is_none();
    let bad = |e: &&Entry| e.faulted && !e.void && !e.loose && e.answer == Some(Err(f.errno));
    if !once {
        return Ok(());
    }
    for (n, e) in w.log.iter().enumerate() {
        if kept(&e) && bad(&e) && !is_true(w, n, e) {
            return Err(format!("told: {e:?}"));
        }
    }
    Ok(())
}

/// Whether one plain tree gives the same answer: a change that met the error was planned anew, and came to this.
fn is_true(w: &World, n: usize, e: &Entry) -> bool {
    let (None, Ok((mut plain, _))) = (e.desc, replay(w, n)) else {
        return false;
    };
    let at = At::find(&plain, &e.op, None);
    let r = at.and_then(|at| effect(&mut plain, &e.op, &at));
    e.answer == Some(r.map(|d| d.value))
}

/// The leg that must hold the history: the first, or the one that lived.
fn witness(w: &World, faults: &Faults) -> Leg {
    match faults.crash.map(|c| c.which) {
        Some(Which::First) => w.other(),
        _ => w.source,
    }
}

/// One leg is what the calls make of one plain tree.
fn history(w: &World, faults: &Faults) -> Result<(), String> {
    let which = faults.crash.map(|c| c.which);
    if which == Some(Which::Both) {
        // What was not synced may be gone; what was is judged when the leg crashes.
        return Ok(());
    }
    let (plain, descs) = replay(w, w.log.len())?;
    let leg = witness(w, faults);
    // A leg that was never the first has not what is pending.
    let cover = |da: Ino, name: &str, i: Option<Ino>| {
        let half = i.is_some_and(|i| w.half.contains(&(leg, i)));
        half || which == Some(Which::First)
            && (w.covered(leg, i) || w.pending.entries.contains(&(leg, da, name.to_owned())))
    };
    compare(
        &plain,
        &w.legs[leg],
        &mut BTreeMap::new(),
        &|_, db, name, _, b| cover(db, name, b),
    )
    .map_err(|e| format!("history: {e}"))?;
    if which.is_some() {
        return Ok(());
    }
    for (id, &(ino, pos, _)) in &descs {
        let d = &w.descs[*id];
        let half = |i| w.half.contains(&(leg, i));
        let same = d.object[leg]
            .is_none_or(|i| half(i) || plain.node(ino).body == w.legs[leg].node(i).body);
        if !same {
            return Err(format!("history: file of description {id} differs"));
        }
        if !d.raced && pos != d.pos {
            return Err(format!(
                "history: description {id} stands at {} and not {pos}",
                d.pos
            ));
        }
    }
    Ok(())
}

/// Both legs are equal, or what differs is pending.
fn legs_equal(w: &World, faults: &Faults) -> Result<(), String> {
    let (s, o) = (w.source, w.other());
    let whole = faults.crash.is_some();
    let cover = |da: Ino, db: Ino, name: &str, a: Option<Ino>, b: Option<Ino>| {
        !whole
            && (w.covered(s, a)
                || w.covered(o, b)
                || w.pending.entries.contains(&(s, da, name.to_owned()))
                || w.pending.entries.contains(&(o, db, name.to_owned())))
    };
    compare(&w.legs[s], &w.legs[o], &mut BTreeMap::new(), &cover)
        .map_err(|e| format!("legs: {e}"))?;
    if whole {
        return Ok(());
    }
    for d in &w.descs {
        let (here, there) = (d.object[s], d.object[o].or_else(|| w.there(s, d.object[s])));
        let (Some(i), Some(j)) = (here, there) else {
            continue;
        };
        if !w.covered(s, here) && !w.covered(o, there) && w.legs[o].node(j) != w.legs[s].node(i) {
            return Err(format!("legs: an open file differs (inodes {i} and {j})"));
        }
    }
    Ok(())
}

/// Nothing is pending that could have been avoided.
fn pending_is_due(w: &World, faults: &Faults) -> Result<(), String> {
    let p = &w.pending;
    let Some((op, why)) = p.causes.first() else {
        return Ok(());
    };
    if faults.errors.is_empty() && faults.crash.is_none() {
        return Err(format!("pending without an error of a leg: {op:?} {why:?}"));
    }
    // One error, met by a living process: anything that can be undone or healed is.
    let single = w.deaths == 0
        && faults.crash.is_none()
        && matches!(faults.errors[..], [e] if e.second && e.times == 1);
    if single && (!op.may_destroy() || why.class() == ErrorClass::Semantic) {
        return Err(format!(
            "pending though it could be undone or healed: {op:?} {why:?}"
        ));
    }
    Ok(())
}

fn answer_of(e: &Entry, want: Result<u64, Errno>) -> Result<(), String> {
    match e.answer {
        Some(got) if got != want => Err(format!("history: {e:?} should answer {want:?}")),
        _ => Ok(()),
    }
}

/// The first entries of the log, on one plain tree.
fn replay(w: &World, upto: usize) -> Result<(Tree, Replayed), String> {
    let mut t = (*w.start).clone();
    let named = |t: &mut Tree, op: &Op, object: Option<Ino>| {
        let at = At::find(t, op, object)?;
        effect(t, op, &at)
    };
    // Descriptions 0 and 1 are open from the start.
    let shared = t.lookup("shared").map_err(|e| format!("{e:?}"))?;
    let mut descs: Replayed = (0..2).map(|n| (n, (shared, 0, n == 1))).collect();
    for e in w.log.iter().take(upto).filter(|e| !e.void) {
        let at = e.desc.and_then(|d| descs.get(&d).copied());
        let refused = e.faulted && matches!(e.answer, Some(Err(_)));
        if let (Left::Beside, Some((ino, ..))) = (e.left, at) {
            // It failed, and has taken these with it.
            t.node_mut(ino).meta.strip();
            continue;
        }
        if e.left == Left::Made {
            let _ = named(&mut t, &e.op, None);
            continue;
        }
        if matches!(e.answer, Some(Err(_))) && e.left != Left::Nothing {
            return Err(format!("history: an error that left something: {e:?}"));
        }
        if refused || e.loose || (e.answer.is_none() && e.left == Left::Nothing) {
            continue;
        }
        match (&*e.op, at) {
            (Op::Read { .. }, Some((ino, pos, append))) => {
                let n = e.answer.and_then(Result::ok).unwrap_or(0);
                descs.insert(e.desc.unwrap_or(0), (ino, pos + n, append));
            }
            (Op::Open { append, .. }, _) => {
                let r = named(&mut t, &e.op, None);
                answer_of(e, r.map(|d| d.value))?;
                if let (Some(id), Ok(ino)) = (e.desc, r.map(|d| d.ino.unwrap_or(0))) {
                    descs.insert(id, (ino, 0, *append));
                }
            }
            (op, None) if op.slot().is_some() => answer_of(e, Err(Errno::EBADF))?,
            (op, Some(d)) if op.data().is_some() => {
                let (id, d) = (e.desc.unwrap_or(0), rewrite(w, e, &mut t, d)?);
                descs.insert(id, d);
            }
            (op, d) => {
                let r = named(&mut t, op, d.map(|d| d.0));
                if !on_half(w, e) {
                    answer_of(e, r.map(|d| d.value))?;
                }
            }
        }
    }
    Ok((t, descs))
}

/// Whether its object is neither as before nor as after a change that was taken back in part: no plain tree knows its
/// length.
fn on_half(w: &World, e: &Entry) -> bool {
    let open = e.desc.and_then(|d| w.descs[d].object[w.source]);
    open.is_some_and(|i| w.half.contains(&(w.source, i)))
}

/// A write, as one plain tree does it, of as many bytes as were acknowledged or left.
fn rewrite(
    w: &World,
    e: &Entry,
    t: &mut Tree,
    d: (Ino, u64, bool),
) -> Result<(Ino, u64, bool), String> {
    let ((ino, mut pos, append), data) = (d, e.op.data().unwrap_or_default());
    let raced = e.desc.is_some_and(|d| w.descs[d].raced);
    if raced {
        pos = e.at.unwrap_or(pos);
    }
    let n = match (e.answer, e.left) {
        (Some(Ok(n)), _) => n,
        (None, Left::Bytes(_, n)) => n,
        _ => 0,
    };
    if !e.faulted && e.answer.is_some() {
        answer_of(e, Ok(data.len() as u64))?;
    }
    let end = t.bytes(ino).map(|b| b.len() as u64).unwrap_or(0);
    let at = match (&*e.op, e.left) {
        (_, Left::Bytes(at, _)) if append && on_half(w, e) => at,
        _ if append => end,
        (Op::PWrite { at, .. }, _) => *at,
        _ => pos,
    };
    let data = data
        .get(..n as usize)
        .ok_or_else(|| format!("history: more bytes than given: {e:?}"))?;
    t.write(ino, at, data)
        .map_err(|x| format!("history: {x:?} for {e:?}"))?;
    if n > 0 && matches!(*e.op, Op::Write { .. }) {
        pos = at + n;
    }
    Ok((ino, pos, append))
}

/// The first difference of two trees: names, types, bytes, attributes, hard links. `cover`
/// excuses a name and what lies below it.
pub fn compare(
    a: &Tree,
    b: &Tree,
    same: &mut BTreeMap<Ino, Ino>,
    cover: Cover<'_>,
) -> Result<(), String> {
    compare_dir(a, b, (a.root(), b.root()), "", same, cover)?;
    let distinct: BTreeSet<_> = same.values().collect();
    if distinct.len() != same.len() {
        return Err("two files of one tree are one file of the other".into());
    }
    Ok(())
}

fn compare_dir(
    a: &Tree,
    b: &Tree,
    (da, db): (Ino, Ino),
    path: &str,
    same: &mut BTreeMap<Ino, Ino>,
    cover: Cover<'_>,
) -> Result<(), String> {
    let (ea, eb) = (
        a.dir(da).expect("a directory"),
        b.dir(db).expect("a directory"),
    );
    if a.node(da).meta != b.node(db).meta {
        return Err(format!(
            "{path}/: {:?} and {:?}",
            a.node(da).meta,
            b.node(db).meta
        ));
    }
    let names: BTreeSet<&String> = ea.keys().chain(eb.keys()).collect();
    for name in names {
        let (ia, ib) = (ea.get(name).copied(), eb.get(name).copied());
        if cover(da, db, name, ia, ib) {
            continue;
        }
        let here = format!("{path}/{name}");
        let (Some(ia), Some(ib)) = (ia, ib) else {
            return Err(format!(
                "{here}: {}",
                if ia.is_some() {
                    "only on the first"
                } else {
                    "only on the second"
                }
            ));
        };
        let (na, nb) = (a.node(ia), b.node(ib));
        match (&na.body, &nb.body) {
            (Body::Dir(_), Body::Dir(_)) => compare_dir(a, b, (ia, ib), &here, same, cover)?,
            _ if na != nb => return Err(format!("{here}: {na:?} and {nb:?}")),
            _ => {
                if *same.entry(ia).or_insert(ib) != ib {
                    return Err(format!("{here}: another file's hard link"));
                }
            }
        }
    }
    Ok(())
}

//! Taking the pair's locks, and ending what a process left that died holding them.
use super::equal::Work;
use super::mapped;
use crate::fail::{Fail, Kind, Res};
use crate::pair::domain::Attached;
use crate::pair::legs::OpenLeg;
use crate::pair::lock::{Alone, Locks};
use crate::text;
use crate::tree::content::check_stop;
use crate::tree::flags;
use crate::tree::object::{Meta, std};
use crate::tree::probe;
use indicatif::ProgressBar;
use mirror_core::marks::Value;
use mirror_core::repair::{Act, Names};
use mirror_core::runtime::{Intent, IntentKind};
use mirror_core::word::StateWord;
use mirror_core::{BothLocked, Leg, LockMiss, alone};
use mirror_pair::both::{self, Both, Places};
use mirror_pair::{carry_out, owed, pending};
use mirror_sys::{Object, end_marks, open_marked};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

/// Runs `act` with the whole pair locked exclusively, and nothing half done: what dead
/// processes left is ended first. Waits for living ones to end their change.
pub fn locked<T>(p: &Attached, act: impl FnOnce(&BothLocked) -> T) -> Res<T> {
    let mut locks = p.locks.lock();
    let mut act = Some(act);
    let begun = Instant::now();
    let (mut told, mut pause) = (false, Duration::from_millis(1));
    let root_wait = u64::from(p.pair.line.root_wait);
    loop {
        if root_wait != 0
            && p.runtime.view().is_guarded()
            && begun.elapsed() >= Duration::from_secs(root_wait)
        {
            return Err(Fail::new(
                Kind::Busy,
                format!(
                    "{}: another user has held the pair's locks for {root_wait} s. mirror ps {} shows who",
                    text::path(&p.pair.line.virt),
                    text::shell(&p.pair.line.virt)
                ),
            ));
        }
        let mut port = port(p, &mut locks);
        let done = alone(&mut port, |_, held| {
            act.take().map(|act| {
                p.still.turn(p.runtime.view().generation());
                carry_mapped(p, held);
                act(held)
            })
        });
        match done {
            Ok(Some(r)) => return Ok(r),
            Ok(None) => return Err(Fail::failed("a change was asked for twice")),
            Err(LockMiss::Busy(object)) => {
                waits(p, object, begun.elapsed(), &mut told);
                // While nobody else is let in, nobody else can go on.
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(200));
                if told {
                    check_stop().map_err(|_| Fail::new(Kind::Interrupted, "stopped"))?;
                }
            }
            Err(LockMiss::Failed(e)) => {
                p.runtime.sound()?;
                let e = io::Error::from_raw_os_error(e.0);
                return Err(Fail::io("the pair's locks", e));
            }
        }
    }
}

/// Says once who is waited for.
fn waits(p: &Attached, object: usize, since: Duration, told: &mut bool) {
    if *told || since < Duration::from_secs(2) {
        return;
    }
    *told = true;
    crate::output::note!(
        "mirror: {}: waiting for process {}, which is in the middle of a change (stopped?). mirror ps {} shows who",
        text::path(&p.pair.line.virt),
        p.runtime.view().pid(object),
        text::shell(&p.pair.line.virt)
    );
}

/// Ends what crashed processes left, if there is anything and nobody is in the way. Returns whether there
/// was.
pub fn recover(p: &Attached) -> bool {
    let mut locks = p.locks.lock();
    let any = locks.any_dead(&p.runtime) || any_mapped_dead(p);
    any && alone(&mut port(p, &mut locks), |_, held| {
        p.still.turn(p.runtime.view().generation());
        carry_mapped(p, held);
    })
    .is_ok()
}

/// Whether files are left that a killed program had mapped for writing.
fn any_mapped_dead(p: &Attached) -> bool {
    mapped::count(&p.runtime, &p.pair).dead != 0
}

/// Carries them over; what is not where it was is recorded as pending.
fn carry_mapped(p: &Attached, held: &BothLocked) {
    let view = p.runtime.view();
    // A leg that was left behind is compared as a whole before it is back.
    if !view.any_mapped() || view.word().alone() {
        return;
    }
    let Some(n) = mapped::marks(&p.pair) else {
        return;
    };
    let roots = p.pair.roots();
    let dead: Vec<_> = mirror_pair::mapped::dead(view, n.as_raw_fd()).collect();
    for (nth, m) in dead {
        // A file that was never given a name, of which leg b had no part.
        if m.is_nowhere() {
            view.forget_mapped(nth);
            continue;
        }
        let there = Both::open(roots, m.path(), &both::open_dir);
        let there = there.is_ok_and(|b| mirror_pair::mapped::is_there(&b, &m));
        let equal = there && make_equal(p, Leg::A, &[m.path()], false, held).is_ok();
        if equal || append_pending(p, &[m.path().to_vec()], held) {
            view.forget_mapped(nth);
        }
    }
}

/// Gives files the times that killed writers have owed them, if nobody is in the way.
pub fn settle(p: &Attached) {
    let rt = p.runtime.view();
    for _ in 0..20 {
        if !owed::any(rt) {
            return;
        }
        let mut locks = p.locks.lock();
        let _ = alone(&mut port(p, &mut locks), |_, held| {
            owed::settle(p.pair.roots(), rt, &both::open_dir, held);
        });
        drop(locks);
        if owed::any(rt) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn port<'a>(p: &'a Attached, locks: &'a mut Locks) -> Alone<'a, impl FnMut(usize, &BothLocked)> {
    Alone {
        locks,
        runtime: &p.runtime,
        heal: |object, held: &BothLocked| heal(p, object, held),
    }
}

/// Ends the change in an object's record, or records its names as pending.
fn heal(p: &Attached, object: usize, held: &BothLocked) {
    p.still.died();
    carry_out::recover(&mut Heals(p), p.runtime.view(), object, held);
}

/// Records paths as known to differ, on both legs.
pub fn append_pending(p: &Attached, paths: &[Vec<u8>], held: &BothLocked) -> bool {
    let roots = p.pair.roots();
    let mut all = true;
    for path in paths {
        let set = || p.set_bits(StateWord::PENDING, held);
        all &= pending::mark(roots, path, mirror_sys::write, set);
    }
    all
}

struct Heals<'a>(&'a Attached);

impl carry_out::Healer for Heals<'_> {
    fn end(&mut self, i: &Intent, names: [&[u8]; 2], held: &BothLocked) -> bool {
        let p = self.0;
        let places = Places::open(p.pair.roots(), names, &both::open_dir);
        let ended = places.map(|places| {
            let kind = i.kind;
            let mut e = Ending {
                p,
                kind,
                names,
                places,
            };
            carry_out::end(&mut e, i, held)
        });
        matches!(ended, Ok(Ok(true)))
    }
    fn mend(&mut self, from: Leg, rel: &[u8], held: &BothLocked) -> bool {
        let [source, copy] = directed(self.0, from);
        // What was right is gone; or, a directory that was made, it may lack all that is in it.
        let gone = matches!((at(source, rel), at(copy, rel)), (Ok(None), Ok(Some(_))));
        let unseen = || source.root.names(rel).is_ok_and(|n| !n.is_empty());
        !gone && make_equal(self.0, from, &[rel], false, held).is_ok() && !unseen()
    }
    fn pending(&mut self, rel: &[u8], held: &BothLocked) {
        append_pending(self.0, &[rel.to_vec()], held);
    }
}

/// A change that is being ended.
struct Ending<'a> {
    p: &'a Attached,
    kind: IntentKind,
    names: [&'a [u8]; 2],
    places: Places,
}

impl carry_out::Ground for Ending<'_> {
    type Error = io::Error;
    fn right(&self) -> Option<Leg> {
        self.p.pair.incomplete().map(Leg::other)
    }
    fn look(&mut self) -> io::Result<Names> {
        std(self.places.look())
    }
    fn names(&mut self, act: Act, held: &BothLocked) -> io::Result<()> {
        std(self.places.call(act, held))
    }
    fn equal(&mut self, from: Leg, _: Option<(u64, u64)>, held: &BothLocked) -> io::Result<()> {
        let counts = self.kind == IntentKind::Unlink;
        make_equal(self.p, from, &self.names[..1], counts, held)
    }
    fn marks(&mut self, from: Leg, i: &Intent, held: &BothLocked) -> io::Result<()> {
        marks(directed(self.p, from), i, self.names[0], held)
    }
    fn copied(&mut self, from: Leg, held: &BothLocked) -> io::Result<bool> {
        make_equal(self.p, from, &self.names, true, held).map(|()| true)
    }
}

/// Changes the copy's flags and the like as the source's have been changed since the intent was written.
fn marks([source, copy]: [&OpenLeg; 2], i: &Intent, rel: &[u8], _: &BothLocked) -> io::Result<()> {
    let before = Value::announced(i).ok_or(io::ErrorKind::InvalidData)?;
    let (first, second) = (
        flags::open(&source.root, rel)?,
        flags::open(&copy.root, rel)?,
    );
    let end = || {
        let first = Object::of(first.as_raw_fd())?;
        let second = Object::of(second.as_raw_fd())?;
        end_marks(before, &first, &second, open_marked)
    };
    std(end()).map(drop)
}

/// The leg `from`, and the other one.
fn directed(p: &Attached, from: Leg) -> [&OpenLeg; 2] {
    [from, from.other()].map(|leg| &p.pair.legs[leg])
}

/// Makes what the names are on the other leg like what they are on leg `from`. With `counts`, a hard link
/// whose other name the intent does not tell is an error: a resync knows all names.
fn make_equal(
    p: &Attached,
    from: Leg,
    names: &[&[u8]],
    counts: bool,
    held: &BothLocked,
) -> io::Result<()> {
    let [source, copy] = directed(p, from);
    let fidelity = probe::fidelity(p.pair.trees());
    let mut w = Work::new(source, copy, fidelity, true, ProgressBar::hidden());
    let names = || names.iter().filter(|n| !n.is_empty());
    for name in names() {
        w.make_tree_equal(name, held)?;
    }
    // Only when all names are in place are the groups complete.
    for name in names().filter(|_| counts && fidelity.links) {
        match (at(source, name)?, at(copy, name)?) {
            (Some(s), Some(d)) if !s.is_dir() && s.st.st_nlink != d.st.st_nlink => {
                return Err(rustix::io::Errno::MLINK.into());
            }
            _ => {}
        }
    }
    Ok(())
}

fn at(leg: &OpenLeg, rel: &[u8]) -> io::Result<Option<Meta>> {
    match leg.root.parent(rel) {
        Ok((dir, name)) => Meta::read(dir.as_fd(), &name),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
#[path = "heal_tests.rs"]
pub(crate) mod tests;

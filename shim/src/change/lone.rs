//! A change of leg a alone, made under leg a's locks: leg b is away.
//!
//! Rules: nothing is called by the program's text, which may lead elsewhere by now: to a fifo, behind which this process
//! would wait with locks held, or to another pair, one leg of which would change. A name is the last component in the
//! directory that was entered. A number is first shown to be what was planned; while leg b may be away, numbers of pairs
//! are taken away with TX held (`fds::may_be_paired`), so that it stays so until the call is made.
use crate::change::target::{Change, Cx};
use crate::path::loc::{Loc, Place};
use crate::process::{actor, fds};
use crate::regs::{Regs, raw};
use core::marker::PhantomData;
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::{BothLocked, Errno, Leg, Lone, Step};
use mirror_sys as sys;

/// The change as on both legs, without the second: prepared on leg a, then leg a's call.
pub fn first(change: &mut dyn Change, cx: &mut Cx<'_>, held: &BothLocked) -> Lone {
    let found = change.prepare(cx, held);
    Lone::before(found).unwrap_or_else(|| Lone::after(change.apply(cx, held, Step::First)))
}

/// A descriptor that is shown to be one of the change's pair, and of the file that was planned: the program's call by
/// it goes nowhere else.
pub struct Shown<'h>(PhantomData<&'h BothLocked>);

impl<'h> Shown<'h> {
    /// Any object of the leg. A change of it waits for nobody.
    pub fn object(n: i32, cx: &Cx<'_>, _: &'h BothLocked) -> Result<Shown<'h>, Lone> {
        // What is known of numbers is the owner's.
        let at = match actor::maybe_guest() {
            true => by_path(n),
            false => place_of(n),
        };
        match at {
            Some(at) if at == (cx.s.pair, cx.lead) => Ok(Shown(PhantomData)),
            _ => Err(Lone::Unresolved),
        }
    }
    /// A file's data: it is no fifo, and its lock is held.
    pub fn data(n: i32, cx: &Cx<'_>, held: &'h BothLocked) -> Result<Shown<'h>, Lone> {
        let shown = Shown::object(n, cx, held)?;
        let st = sys::fglance(n).map_err(|_| Lone::Unresolved)?;
        if st.kind() != c::S_IFREG {
            return Err(Lone::Unresolved);
        }
        let plan = cx.file(st.ino());
        let planned = cx.exclusive || plan.without(held.plan()).is_empty();
        planned.then_some(shown).ok_or(Lone::Replan)
    }
    /// The program's call by this number.
    pub fn call(&self, regs: &Regs) -> Lone {
        Lone::Done(raw(regs))
    }
}

/// The program's call by its descriptor of a file.
pub fn by_number(n: i32, regs: &Regs, cx: &Cx<'_>, held: &BothLocked) -> Lone {
    Shown::data(n, cx, held).map_or_else(|lone| lone, |shown| shown.call(regs))
}

/// Pair and leg of a descriptor, if it is of one. A guest's is not on record, nor is one that leg b's being away has
/// left without a partner: its path tells.
pub fn place_of(n: i32) -> Option<(usize, Leg)> {
    match fds::info(n).filter(|_| fds::hint(n) == fds::PAIRED) {
        Some(i) => Some((usize::from(i.pair.load(Ordering::Relaxed)), i.leg())),
        None => by_path(n),
    }
}

#[inline(never)]
fn by_path(n: i32) -> Option<(usize, Leg)> {
    let mut loc = Loc::new();
    match crate::path::object::named(n, &mut loc) {
        Place::In | Place::Root(_) | Place::Nameless | Place::Linked => Some((loc.pair, loc.leg)),
        _ => None,
    }
}

/// The answer of a change by both legs' paths, one of which is away.
pub fn refuse(cx: &Cx<'_>) -> Lone {
    crate::change::lost::refuse(cx.s.pair);
    Lone::Done(Err(Errno::EIO))
}

//! A change of leg a alone, made under leg a's locks: leg b is away.
//!
//! Rules: nothing is called by the program's text, which may lead elsewhere by now: to a fifo, behind which this process
//! would wait with locks held, or to another pair, one leg of which would change. A name is the last component in the
//! directory that was entered. A number is first shown to be what was planned; while leg b may be away, numbers of pairs
//! are taken away with TX held (`fds::may_be_paired`), so that it stays so until the call is made.
use crate::change::number::{by_path, place_of};
use crate::change::target::{Change, Cx};
use crate::process::actor;
use crate::regs::{Regs, raw};
use core::marker::PhantomData;
use libc as c;
use mirror_core::{BothLocked, Errno, Lone, Step};
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

/// The answer of a change by both legs' paths, one of which is away.
pub fn refuse(cx: &Cx<'_>) -> Lone {
    crate::change::lost::refuse(cx.s.pair);
    Lone::Done(Err(Errno::EIO))
}

//! Files that crashed processes had mapped for writing (`mirror_core::mapped`): what they stored is carried over.
//!
//! Rules: as in `heal`. What is too large for a program's start is left to the command.
use crate::attach::handle::Session;
use crate::process::limits::own_fd;
use crate::repair::both::{self, REPAIR_MAX, attributes};
use crate::repair::copying::copy;
use crate::repair::pending::pending;
use mirror_core::mapped::Mapped;
use mirror_core::{BothLocked, Leg};
use mirror_pair::mapped;
use mirror_sys as sys;
use mirror_sys::Sys;

/// Whether there are any.
pub fn any(s: &Session) -> bool {
    !s.is_guarded()
        && s.runtime().any_mapped()
        && with(s, |n| mapped::dead(s.runtime(), n).next().is_some())
}

fn with(s: &Session, f: impl FnOnce(i32) -> bool) -> bool {
    let root = s.root.a;
    let Ok(n) = own_fd(|| mapped::open(root)) else {
        return false;
    };
    let r = f(n);
    let _ = sys::close(n);
    r
}

/// Carries them over.
#[cold]
#[inline(never)]
pub fn settle(s: &Session, held: &BothLocked) {
    with(s, |n| {
        for (nth, m) in mapped::dead(s.runtime(), n) {
            if ended(s, &m, held) {
                s.runtime().forget_mapped(nth);
            }
        }
        true
    });
}

/// False: it is left to others.
fn ended(s: &Session, m: &Mapped, held: &BothLocked) -> bool {
    // It was never given a name, and there is no other one's part of it.
    if m.is_nowhere() {
        return true;
    }
    let Ok(b) = both::open(s, m.path()) else {
        pending(s, m.path());
        return true;
    };
    if !mapped::is_there(&b, m) {
        // Renamed, or removed, since then.
        pending(s, m.path());
        return true;
    }
    let equal = || -> Sys<()> {
        let f = b.stat(Leg::A).ok_or(sys::Errno::ESTALE)?;
        let len = m.to.min(f.size()).saturating_sub(m.from);
        if len > REPAIR_MAX {
            return Err(sys::Errno::EFBIG);
        }
        copy(&b, Leg::A, &f, Some((m.from, len)), held)?;
        attributes(&b, Leg::A, &f, held)
    };
    equal().is_ok()
}

//! How the second leg refused a change, and when what it has is a source to go back to.
use crate::{BothLocked, Errno};

/// A call that one leg has carried out. The first leg's answer is the program's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied(pub u64);

/// The second leg's refusal of a call; of an undo, the first leg's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Nothing has changed there.
    Whole(Errno),
    /// A part was done, or may have been: what is there now is no longer what it was.
    Part(Errno),
    /// Of the first leg only: the name does not lead where it promised, and nothing was done.
    Unresolved,
    /// Of the first leg only: the legs' objects do not fit, and nothing was done. With exclusive access they can be
    /// made to.
    Apart,
}

impl Refused {
    /// What an error means after a part was done, or before.
    pub const fn after(part: bool, e: Errno) -> Refused {
        if part {
            Refused::Part(e)
        } else {
            Refused::Whole(e)
        }
    }
    /// With what.
    pub const fn errno(self) -> Errno {
        match self {
            Refused::Whole(e) | Refused::Part(e) => e,
            Refused::Unresolved => Errno::ELOOP,
            Refused::Apart => Errno::EEXIST,
        }
    }
}

/// An error before anything was done.
impl From<Errno> for Refused {
    fn from(e: Errno) -> Refused {
        Refused::Whole(e)
    }
}

/// Proof that the second leg's object is what it was before the change: the locks are held, nothing of it
/// is pending, and the second leg has refused the call as a whole. Only then is it a source for what is
/// taken back on the first leg. Made by [`crate::transact`] alone:
/// ```compile_fail,E0423
/// fn forged(held: &mirror_core::BothLocked) -> mirror_core::Untouched<'_> {
///     mirror_core::Untouched(held)
/// }
/// ```
#[derive(Debug)]
pub struct Untouched<'h>(&'h BothLocked);

impl<'h> Untouched<'h> {
    /// `pending`: whether the object is on record as differing.
    pub(crate) fn of(held: &'h BothLocked, pending: bool, why: Refused) -> Option<Untouched<'h>> {
        (!pending && matches!(why, Refused::Whole(_))).then_some(Untouched(held))
    }
    /// The locks.
    pub const fn held(&self) -> &'h BothLocked {
        self.0
    }
}

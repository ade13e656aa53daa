//! Ending a change that was announced and not ended: its process died, or its second leg refused it when it
//! could not be taken back. [`mirror_core::repair`] decides; here it is carried out, by the library, by the
//! command and by the simulator.
//!
//! Rules: the whole pair is locked exclusively. What stands in a record was written by others:
//! names that are none are not followed, and another user's word is not acted on at all. Both legs are looked
//! at, one act is carried out, and after a call on names both are looked at again: only a state that needs
//! nothing more is the end. What does not end is recorded, never guessed.
use mirror_core::path::{CONTROL, PATH_MAX};
use mirror_core::repair::{Act, Names, decide};
use mirror_core::runtime::{Intent, IntentKind};
use mirror_core::{BothLocked, Leg, View};

/// The two legs, as whoever ends a change has them.
pub trait Ground {
    /// What goes wrong.
    type Error;
    /// The leg that is right, whatever the change has done on either: while a first copy is unfinished.
    fn right(&self) -> Option<Leg> {
        None
    }
    /// What the intent's names are on both legs, now.
    fn look(&mut self) -> Result<Names, Self::Error>;
    /// One call on the names of one leg: [`Act::Rename`], [`Act::Exchange`], [`Act::Link`] or [`Act::Unlink`].
    fn names(&mut self, act: Act, held: &BothLocked) -> Result<(), Self::Error>;
    /// Makes what the first name is on the other leg like what it is on leg `from`: [`Act::Equal`].
    fn equal(
        &mut self,
        from: Leg,
        range: Option<(u64, u64)>,
        held: &BothLocked,
    ) -> Result<(), Self::Error>;
    /// Changes the flags and the like of what the first name is on the other leg as the intent's change has
    /// changed them on leg `from`: [`Act::Marks`].
    fn marks(&mut self, from: Leg, i: &Intent, held: &BothLocked) -> Result<(), Self::Error>;
    /// What no call on names has ended: makes both names like leg `from`'s. Whether that was done.
    fn copied(&mut self, from: Leg, held: &BothLocked) -> Result<bool, Self::Error>;
}

/// Ends the change of an intent. `false`: it is not ended, and must be recorded.
pub fn end<G: Ground>(g: &mut G, i: &Intent, held: &BothLocked) -> Result<bool, G::Error> {
    let act = decide(i, g.look()?);
    let right = g.right();
    match act {
        Act::Nothing => Ok(true),
        Act::Equal { from, range } => match right {
            Some(leg) if leg != from => g.equal(leg, None, held).map(|()| true),
            _ => g.equal(from, range, held).map(|()| true),
        },
        // What was there before is the change's own word: a leg that is right whatever it says is not asked.
        Act::Marks { from } => match right {
            Some(leg) if leg != from => Ok(false),
            _ => g.marks(from, i, held).map(|()| true),
        },
        Act::Rename(leg) | Act::Exchange(leg) | Act::Link(leg) | Act::Unlink(leg) => {
            if right == Some(leg) {
                return g.copied(leg, held);
            }
            if g.names(act, held).is_ok() && decide(i, g.look()?) == Act::Nothing {
                return Ok(true);
            }
            // What one leg has, the other gets.
            g.copied(leg.other(), held)
        }
        // That is nobody's to guess, unless one leg is right whatever it is.
        Act::Unknown => right.map_or(Ok(false), |from| g.copied(from, held)),
    }
}

/// Who ends what others have announced.
pub trait Healer {
    /// Ends the change of an intent with these names ([`end`]); whether it is ended.
    fn end(&mut self, i: &Intent, names: [&[u8]; 2], held: &BothLocked) -> bool;
    /// Ends a mend: makes what `rel` is on the other leg like what it is on leg `from`. Whether it is.
    fn mend(&mut self, from: Leg, rel: &[u8], held: &BothLocked) -> bool;
    /// Records that `rel` differs.
    fn pending(&mut self, rel: &[u8], held: &BothLocked);
}

/// Ends the change in an object's record, or records its names as pending.
#[inline(never)]
pub fn recover<H: Healer>(h: &mut H, rt: View<'_>, object: usize, held: &BothLocked) {
    let (mut b1, mut b2) = ([0u8; PATH_MAX], [0u8; PATH_MAX]);
    let Some((i, one, two)) = rt.intent(object, &mut b1, &mut b2) else {
        // Unknown bytes: only a full comparison helps. Of a file that was cut short nothing is known.
        if rt.sound().is_ok() {
            h.pending(b".", held);
        }
        return;
    };
    let names = [one, two];
    let given = || names.into_iter().filter(|n| !n.is_empty());
    if given().next().is_none() || !given().all(is_name) {
        return h.pending(b".", held);
    }
    let ended = match i.kind {
        // Another user could have written it: a look at both trees, not his word, decides what is done with
        // this user's rights.
        _ if rt.is_guarded() => false,
        // It stands somewhere below that name: only a comparison finds it.
        IntentKind::Deep => false,
        // A repair has a direction: what it has half made is no source.
        IntentKind::Mend => h.mend(i.first, one, held),
        _ => h.end(&i, names, held),
    };
    if !ended {
        given().for_each(|n| h.pending(n, held));
    }
}

/// Whether a record's text is a plain path below a leg's root, outside the control folder.
pub fn is_name(rel: &[u8]) -> bool {
    let parts = || rel.split(|&c| c == b'/');
    !rel.contains(&0)
        && parts().all(|p| !p.is_empty() && p != b"." && p != b"..")
        && parts().next() != Some(CONTROL)
}

#[cfg(test)]
#[path = "carry_out_tests.rs"]
mod tests;

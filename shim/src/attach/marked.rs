//! Whether leg b of a pair is or was away, for who may not be attached to it.
use crate::attach::lone::mark_of;
use crate::attach::session;
use mirror_core::away::Mark;

/// Whether a partner that this process has inherited, not attached to the pair yet, may be of a leg as it was
/// before it was away.
#[cold]
#[inline(never)]
pub fn is_stale(pair: usize) -> bool {
    !session::attached(pair) && mark_of(pair) != Mark::None
}

/// Whether leg b of a pair is away, for who is not attached.
#[cold]
#[inline(never)]
pub fn is_away(pair: usize) -> bool {
    match session::attached(pair) {
        true => session::is_alone(pair),
        false => mark_of(pair).stands(),
    }
}

//! What was known against a pair when a walk over it began: only that may be struck off when it ends.
//!
//! Rules: what is known is never taken away for the time of a walk. The bits of the state word become those of before
//! it, which mean the same, and so whoever is killed, or fails, on the way has lost nothing. What is found since is a
//! new bit, and a line behind those that stood on the list: it stays, though the same stood there before. A list that
//! cannot be read is struck by nobody. What is struck is used up: it is struck once.
use super::heal::locked;
use crate::fail::{Context, Res};
use crate::pair::domain::Attached;
use crate::pair::{held, pending};
use crate::text;
use mirror_core::record::PENDING_LOG;
use mirror_core::word::StateWord;
use mirror_core::{BothLocked, Leg, PerLeg};

/// What the state word said.
pub struct Doubts {
    /// The number of this comparison.
    compared: u64,
}

impl Doubts {
    /// A comparison begins.
    pub fn begin(p: &Attached) -> Res<Doubts> {
        locked(p, |held| Doubts::noted(p, held))
    }

    fn noted(p: &Attached, held: &BothLocked) -> Doubts {
        let word = p.runtime.word();
        let compared = word.next_compared();
        // First the one, then the other.
        p.set_bits(word.before() | compared, held);
        p.clear_bits(
            word.0 & StateWord::DOUBTS | StateWord::COMPARED & !compared,
            held,
        );
        Doubts { compared }
    }

    /// It found both legs equal. The list of paths known to differ is not its matter.
    pub fn end(self, p: &Attached) -> Res<()> {
        locked(p, |held| {
            self.ended(p, StateWord::UNCOMPARED_BEFORE, held);
        })
    }

    /// Not if another has begun since: what came in between is older than that one, and newer than this one.
    fn ended(&self, p: &Attached, bits: u64, held: &BothLocked) {
        if p.runtime.word().compared() == self.compared {
            p.clear_bits(bits, held);
        }
    }
}

/// The same, and the list.
pub struct Ledger {
    lists: PerLeg<Vec<u8>>,
    doubts: Doubts,
}

fn lists(p: &Attached) -> Res<PerLeg<Vec<u8>>> {
    let read = |leg: Leg| {
        let root = &p.pair.legs[leg].root;
        pending::bytes(root).map_err(|e| pending::failed(root, &e))
    };
    Ok(PerLeg {
        a: read(Leg::A)?,
        b: read(Leg::B)?,
    })
}

impl Ledger {
    /// Notes it.
    pub fn begin(p: &Attached) -> Res<Ledger> {
        locked(p, |held| {
            Ok(Ledger {
                lists: lists(p)?,
                doubts: Doubts::noted(p, held),
            })
        })?
    }

    /// A whole walk found both legs equal: strikes off what was known before it began. False: more is known by now.
    pub fn strike_off(self, p: &Attached) -> Res<bool> {
        locked(p, |held| self.struck(p, held))?
    }

    /// Whether more is known to differ now.
    pub fn grew(&self, p: &Attached, _: &BothLocked) -> Res<bool> {
        let now = lists(p)?;
        Ok(p.runtime.word().recorded() || now.a != self.lists.a || now.b != self.lists.b)
    }

    /// See [`Ledger::strike_off`].
    pub fn struck(self, p: &Attached, held: &BothLocked) -> Res<bool> {
        let now = lists(p)?;
        let mut left = p.runtime.word().recorded();
        for leg in Leg::BOTH {
            let (root, known) = (&p.pair.legs[leg].root, &self.lists[leg]);
            let Some(rest) = now[leg].strip_prefix(known.as_slice()) else {
                // Another list: nobody has looked at what it names.
                left = true;
                continue;
            };
            left |= !rest.is_empty();
            // An empty list stays: it has the rights that all users of the pair need.
            if !known.is_empty() {
                root.replace(PENDING_LOG, rest)
                    .about(text::path(&root.path))?;
            }
        }
        if !left {
            self.doubts.ended(p, StateWord::DOUBTS_BEFORE, held);
            // What was held for a decision has been decided.
            held::clear(&p.pair.legs.a.root, held);
        }
        Ok(!left)
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;

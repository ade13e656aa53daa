//! The state word of a pair: one `u64` in the runtime file that every transaction loads after its
//! locks are held and again when it settles.
//!
//! ```text
//! bits 63..32  epoch            counts changes of who is in sync
//! bits  1..0   leg a            0 in sync, 1 away, 2 joining
//! bits  3..2   leg b
//! bit   4      unused           (the mark of a lost leg is durable before the word says that it is away)
//! bit   5      EXCLUSIVE        a directory rename or a repair is under way: everybody else keeps out
//! bit   6      PENDING          objects are known to differ (`.mirror/pending`)
//! bit   7      UNMIRRORED       a program that could not be mirrored ran with files of the pair open
//! bit   8      VANISHED         the runtime file before this one was removed under the pair
//! bit   9      UNMIRRORED_BEFORE  UNMIRRORED, put up before the comparison that runs, or was stopped
//! bit  10      VANISHED_BEFORE    the same of VANISHED
//! bit  11      PENDING_BEFORE     the same of PENDING
//! bit  12      FLOCKED_ON       FLOCKED stays: somebody relies on the flocks who cannot lock the byte that says so
//! bit  13      RESTARTED          the machine was restarted, and nobody had flushed both legs after the last change
//! bit  14      RESTARTED_BEFORE   the same of RESTARTED
//! bit  16      FLOCKED          where locks are words: somebody sees flocks alone, so all take these as well
//! bits 22..17  COMPARED         the number of the newest comparison: an older one ends no doubt
//! ```

use crate::Leg;

/// What a leg is to the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegState {
    /// Holds everything; may answer.
    InSync,
    /// Gets no writes.
    Away,
    /// Gets every write, never answers.
    Joining,
}

/// The word, by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateWord(pub u64);

/// What is known against the domain before a new one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Past {
    /// Its runtime file was removed under the pair, or a leg was put back from a copy.
    pub vanished: bool,
    /// The machine was restarted, and nobody had flushed both legs after the last change.
    pub restarted: bool,
}

impl StateWord {
    /// Both legs in sync, epoch 1.
    pub const FRESH: StateWord = StateWord(1 << 32);
    /// Leg b is away.
    pub const AWAY_B: u64 = 1 << 2;
    /// Leg b gets every change again, and is no source: it is being made equal.
    pub const JOINING_B: u64 = 2 << 2;
    /// A directory rename or a repair is under way.
    pub const EXCLUSIVE: u64 = 1 << 5;
    /// Objects are known to differ.
    pub const PENDING: u64 = 1 << 6;
    /// A program ran unmirrored.
    pub const UNMIRRORED: u64 = 1 << 7;
    /// The runtime file before this one is gone, and with it what a killed program had announced.
    pub const VANISHED: u64 = 1 << 8;
    /// UNMIRRORED, put up before a comparison began: it ends with one that finds both legs equal.
    pub const UNMIRRORED_BEFORE: u64 = 1 << 9;
    /// VANISHED in the same way.
    pub const VANISHED_BEFORE: u64 = 1 << 10;
    /// The machine was restarted after a change that nobody is known to have flushed on both legs.
    pub const RESTARTED: u64 = 1 << 13;
    /// RESTARTED, put up before a comparison began.
    pub const RESTARTED_BEFORE: u64 = 1 << 14;
    /// PENDING in the same way: PENDING itself says that something was found since.
    pub const PENDING_BEFORE: u64 = 1 << 11;
    /// Somebody relies on the flocks: whoever takes a lock word takes the flock as well.
    pub const FLOCKED: u64 = 1 << 16;
    /// FLOCKED is not taken out any more: the kernel does not tell how long it is needed.
    pub const FLOCKED_ON: u64 = 1 << 12;
    /// What makes the legs doubtful, as it is put up.
    pub const DOUBTS: u64 = Self::PENDING | Self::UNMIRRORED | Self::VANISHED | Self::RESTARTED;
    /// The same of before a comparison.
    pub const DOUBTS_BEFORE: u64 = Self::PENDING_BEFORE | Self::UNCOMPARED_BEFORE;
    /// Of these, what one comparison that finds both legs equal ends, with no list to be struck off.
    pub const UNCOMPARED_BEFORE: u64 =
        Self::UNMIRRORED_BEFORE | Self::VANISHED_BEFORE | Self::RESTARTED_BEFORE;
    /// Where the number of the newest comparison stands (modulo 64). Only the holder of the whole pair's lock changes it.
    const COMPARED_AT: u32 = 17;
    /// Its bits.
    pub const COMPARED: u64 = 63 << Self::COMPARED_AT;

    /// Changes of who is in sync, so far.
    pub const fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }
    /// The state of a leg.
    pub const fn leg(self, leg: Leg) -> LegState {
        match (self.0 >> (2 * leg.index())) & 3 {
            0 => LegState::InSync,
            1 => LegState::Away,
            _ => LegState::Joining,
        }
    }
    /// Whether leg b is away: changes are leg a's alone.
    pub const fn alone(self) -> bool {
        matches!(self.leg(Leg::B), LegState::Away)
    }
    /// Whether leg b is on its way back: every change is both legs', and what leg b has is no ground for anything.
    pub const fn joining(self) -> bool {
        matches!(self.leg(Leg::B), LegState::Joining)
    }
    /// Whether everybody but the holder of the whole pair's lock keeps out.
    pub const fn exclusive(self) -> bool {
        self.0 & Self::EXCLUSIVE != 0
    }
    /// Whether objects are known to differ. Of a leg that is on its way back, any may.
    pub const fn pending(self) -> bool {
        self.0 & (Self::PENDING | Self::PENDING_BEFORE) != 0 || self.joining()
    }
    /// Whether an object was recorded as different since the newest comparison began.
    pub const fn recorded(self) -> bool {
        self.0 & Self::PENDING != 0
    }
    /// With leg b away from now on, in the next epoch. `None`: it is away already.
    pub const fn left(self) -> Option<StateWord> {
        if self.alone() {
            return None;
        }
        let legs = self.0 & !Self::JOINING_B | Self::AWAY_B;
        Some(StateWord(legs.wrapping_add(1 << 32)))
    }
    /// With leg b on its way back, in the next epoch. `None`: it is not away.
    pub const fn joined(self) -> Option<StateWord> {
        if !self.alone() {
            return None;
        }
        let legs = self.0 & !Self::AWAY_B | Self::JOINING_B;
        Some(StateWord(legs.wrapping_add(1 << 32)))
    }
    /// With leg b in sync again. The epoch stays: what was opened while it was on its way back is right. `None`:
    /// it is not on its way back.
    pub const fn whole(self) -> Option<StateWord> {
        if !self.joining() {
            return None;
        }
        Some(StateWord(self.0 & !(Self::AWAY_B | Self::JOINING_B)))
    }
    /// Whether a program ran unmirrored since the last comparison.
    pub const fn unmirrored(self) -> bool {
        self.0 & (Self::UNMIRRORED | Self::UNMIRRORED_BEFORE) != 0
    }
    /// Whether the runtime file before this one was removed since the last comparison.
    pub const fn vanished(self) -> bool {
        self.0 & (Self::VANISHED | Self::VANISHED_BEFORE) != 0
    }
    /// Whether the machine was restarted, with something unflushed, since the last comparison.
    pub const fn restarted(self) -> bool {
        self.0 & (Self::RESTARTED | Self::RESTARTED_BEFORE) != 0
    }
    /// The number of the newest comparison, in place.
    pub const fn compared(self) -> u64 {
        self.0 & Self::COMPARED
    }
    /// The number of the next one, in place.
    pub const fn next_compared(self) -> u64 {
        self.compared().wrapping_add(1 << Self::COMPARED_AT) & Self::COMPARED
    }
    /// What a comparison that begins now puts up in place of [`Self::DOUBTS`].
    pub const fn before(self) -> u64 {
        // Bits 6, 7, 8 and 13 become 11, 9, 10 and 14.
        let pending = (self.0 & Self::PENDING) << 5;
        let restarted = (self.0 & Self::RESTARTED) << 1;
        pending | restarted | (self.0 & (Self::UNMIRRORED | Self::VANISHED)) << 2
    }
    /// Whether flocks are taken beside lock words.
    pub const fn flocked(self) -> bool {
        self.0 & Self::FLOCKED != 0
    }
    /// Whether they are taken for as long as the domain lasts.
    pub const fn flocked_on(self) -> bool {
        self.0 & Self::FLOCKED_ON != 0
    }
    /// Whether nothing is known that makes the legs differ.
    pub fn in_order(self) -> bool {
        let sound = !self.pending() && !self.unmirrored() && !self.vanished();
        sound
            && !self.restarted()
            && self.leg(Leg::A) == LegState::InSync
            && self.leg(Leg::B) == LegState::InSync
    }
    /// The word that a new domain begins with.
    pub const fn of_new(pending: bool, past: Past) -> StateWord {
        let mut word = Self::FRESH.0;
        if pending {
            word |= Self::PENDING;
        }
        if past.vanished {
            word |= Self::VANISHED;
        }
        if past.restarted {
            word |= Self::RESTARTED;
        }
        StateWord(word)
    }
    /// The leg that answers for V: a unless a is away.
    pub const fn source(self) -> Leg {
        match self.leg(Leg::A) {
            LegState::InSync => Leg::A,
            _ => Leg::B,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_is_in_sync() {
        let w = StateWord::FRESH;
        assert_eq!(
            (w.leg(Leg::A), w.leg(Leg::B), w.epoch(), w.source()),
            (LegState::InSync, LegState::InSync, 1, Leg::A)
        );
        assert_eq!(StateWord(w.0 | 1).source(), Leg::B);
        assert_eq!(StateWord(w.0 | 2 << 2).leg(Leg::B), LegState::Joining);
    }

    #[test]
    fn doubts_of_before_a_comparison_are_doubts() {
        let w = StateWord(StateWord::FRESH.0 | StateWord::UNMIRRORED | StateWord::PENDING);
        let before = StateWord::UNMIRRORED_BEFORE | StateWord::PENDING_BEFORE;
        assert_eq!(w.before(), before);
        let begun = StateWord(StateWord::FRESH.0 | before | w.next_compared());
        assert!(begun.unmirrored() && !begun.vanished() && !begun.in_order());
        assert!(begun.pending() && !begun.recorded() && w.recorded());
        let gone = StateWord(StateWord::FRESH.0 | StateWord::VANISHED);
        assert_eq!(gone.before(), StateWord::VANISHED_BEFORE);
        assert!(StateWord(gone.before()).vanished());
        let anew = StateWord(StateWord::FRESH.0 | StateWord::RESTARTED);
        assert_eq!(anew.before(), StateWord::RESTARTED_BEFORE);
        assert!(StateWord(anew.before()).restarted() && !StateWord(anew.before()).in_order());
        assert_eq!(
            StateWord(StateWord::DOUBTS).before(),
            StateWord::DOUBTS_BEFORE
        );
        // The numbers go round, and touch nothing else.
        let mut w = StateWord(!StateWord::COMPARED);
        for _ in 0..64 {
            let next = w.next_compared();
            assert_ne!(next, w.compared());
            w = StateWord(w.0 & !StateWord::COMPARED | next);
        }
        assert_eq!(w.0, !StateWord::COMPARED);
    }

    #[test]
    fn a_leg_leaves_comes_and_is_back() {
        let w = StateWord(StateWord::FRESH.0 | StateWord::FLOCKED);
        assert_eq!((w.joined(), w.whole()), (None, None));
        let away = w.left().unwrap();
        assert_eq!((away.alone(), away.epoch(), away.left()), (true, 2, None));
        assert_eq!((away.whole(), away.pending()), (None, false));
        let comes = away.joined().unwrap();
        assert!(comes.joining() && comes.pending() && comes.flocked());
        assert_eq!(
            (comes.epoch(), comes.source(), comes.joined()),
            (3, Leg::A, None)
        );
        // It fails again on the way.
        let again = comes.left().unwrap();
        assert_eq!((again.alone(), again.epoch()), (true, 4));
        let back = comes.whole().unwrap();
        assert_eq!(back.0, w.0 + (2 << 32));
        assert!(!back.pending() && back.whole().is_none());
    }
}

//! The states of leg b in the word: it leaves, it is on its way back, it is back.
//!
//! Rules: the holder of the mark's lock alone changes them, so two changes never meet.
use crate::StateWord;
use crate::runtime::RuntimeFile;
use crate::view::{Change, View, WORD, bits, checked};
use core::sync::atomic::Ordering;

impl RuntimeFile {
    /// Changes the state word as a whole. False: `to` would have no change.
    fn change_state(&self, to: impl Fn(StateWord) -> Option<StateWord>) -> bool {
        let next = |w| to(StateWord(w)).map(|w| w.0);
        let word = &self.header.word;
        word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next)
            .is_ok()
    }
}

impl View<'_> {
    /// Leg b is away from now on, in the next epoch. The holder of the mark's lock alone does this.
    pub fn leave_behind(&self) {
        match self {
            View::Own(f) => {
                let _ = f.change_state(StateWord::left);
            }
            View::Guarded(_) if self.word().alone() => {}
            View::Guarded(g) => {
                checked(*g, g.change(WORD + 4, Change::Count));
                bits(*g, StateWord::AWAY_B, Change::Set);
                bits(*g, StateWord::JOINING_B, Change::Clear);
            }
        }
    }

    /// Leg b is on its way back from now on, in the next epoch. The holder of the mark's lock alone does this, with
    /// the pair locked exclusively. False: it is not away.
    pub fn join(&self) -> bool {
        match self {
            View::Own(f) => f.change_state(StateWord::joined),
            View::Guarded(g) => {
                let away = self.word().alone();
                if away {
                    checked(*g, g.change(WORD + 4, Change::Count));
                    bits(*g, StateWord::JOINING_B, Change::Set);
                    bits(*g, StateWord::AWAY_B, Change::Clear);
                }
                away
            }
        }
    }

    /// Leg b is in sync from now on. As [`View::join`]. False: it is not on its way back.
    pub fn is_back(&self) -> bool {
        match self {
            View::Own(f) => f.change_state(StateWord::whole),
            View::Guarded(g) => {
                let joining = self.word().joining();
                if joining {
                    bits(*g, StateWord::AWAY_B | StateWord::JOINING_B, Change::Clear);
                }
                joining
            }
        }
    }
}

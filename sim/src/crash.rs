//! The crash of a leg: what was not synced is lost, then the leg is gone, then it comes back.
use crate::fault::Sabotage;
use crate::rng::Rng;
use crate::tree::Body;
use crate::world::World;
use mirror_core::Leg;
use mirror_core::policy::{Act, decide};
use mirror_core::tab::{OnFailure, Options};
use mirror_core::{Errno, StateWord};

impl World {
    /// What the pair does about an error of leg b.
    pub fn policy(&self, why: Errno) -> Act {
        let on_failure = match self.faults.degrade {
            true => OnFailure::Degrade,
            false => OnFailure::Fail,
        };
        let options = Options {
            on_failure,
            ..Options::DEFAULT
        };
        let away = if self.away { StateWord::AWAY_B } else { 0 };
        let word = StateWord(StateWord::FRESH.0 | away);
        match decide(word, Leg::B, why, &options) {
            // The probe.
            Act::Probe if !self.disks[Leg::B].gone => Act::Fail,
            act => act,
        }
    }

    /// Whether leg b has crashed, and programs are to go on.
    pub fn degrades(&self) -> bool {
        self.faults.degrade && self.disks[Leg::B].gone && !self.disks[Leg::A].gone
    }

    /// A leg writes down all that it has taken.
    pub fn sync(&mut self, leg: Leg) {
        if self.sabotage != Some(Sabotage::Sync) || leg == self.source {
            self.disks[leg].history.clear();
        }
    }

    /// A leg loses a suffix of what was not synced. With `lag`, the bytes of files may be older than
    /// their sizes and names.
    pub fn crash(&mut self, leg: Leg, lag: bool, r: &mut Rng) {
        let now = &self.legs[leg];
        let d = &mut self.disks[leg];
        let n = d.history.len();
        let k = r.below(n + 1);
        let at = |i: usize| d.history.get(i).unwrap_or(now);
        let mut kept = at(k).clone().since(now);
        if lag {
            for i in kept.inodes() {
                let old = at(r.below(k + 1));
                let Body::File(old) = (if old.has(i) {
                    &old.node(i).body
                } else {
                    continue;
                }) else {
                    continue;
                };
                let mut old = old.clone();
                if let Ok(b) = kept.bytes_mut(i) {
                    old.resize(b.len(), 0);
                    *b = old;
                }
            }
        }
        let survived = d.changes - (n - k) as u64;
        d.gone = true;
        d.kept = Some(kept);
        let promised = d.promised;
        if survived < promised {
            self.violate(format!(
                "synced: leg {leg:?} keeps {survived} changes, and fsync promised {promised}"
            ));
        }
    }

    /// The crashed legs come back. What is announced joins what is pending, and one leg is copied
    /// whole: the one that lived, or the first.
    pub fn come_back(&mut self) {
        let from = if self.disks[self.source].gone && !self.disks[self.other()].gone {
            self.other()
        } else {
            self.source
        };
        for leg in Leg::BOTH {
            self.disks[leg].gone = false;
            if let Some(t) = self.disks[leg].kept.take() {
                self.legs[leg] = t;
            }
        }
        for r in std::mem::take(&mut self.records).into_values() {
            self.taint(&r);
        }
        self.posts.clear();
        self.exclusive = false;
        self.resync(from);
    }
}

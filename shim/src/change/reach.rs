//! The names of a change on both legs, also those that no path can say.
//!
//! Rules: as in `deep`. What such a name stands in is found under the locks.
use crate::change::border::{self, Border};
use crate::change::deep::{Held, Lost, find};
use crate::change::judged;
use crate::change::target::Cx;
use crate::events::refused;
use crate::path::below::open_below;
use crate::path::loc::Path;
use crate::path::outside::identity;
use crate::repair::{pending, same};
use libc as c;
use mirror_core::refusal::Refusal;
use mirror_core::{Errno, ErrorClass, LockPlan, Prepared};
use mirror_core::{Leg, PerLeg};
use mirror_sys as sys;
use mirror_sys::{Stat, Sys};

impl Cx<'_> {
    /// What a name's path starts from on a leg, and that path.
    pub fn spot(&self, which: usize, leg: Leg) -> (i32, &Path) {
        let t = self.name(which);
        let from = match &t.held {
            // Before it is found on both.
            Some(h) if leg == self.lead && !h.is_found() => t.anchor(),
            Some(h) => h.at(leg),
            None => self.s.at(leg),
        };
        (from, &t.rel)
    }
    /// A look at a name on a leg.
    pub fn look(&self, which: usize, leg: Leg) -> Sys<Stat> {
        let (from, rel) = self.spot(which, leg);
        sys::glance(from, rel, c::AT_SYMLINK_NOFOLLOW)
    }
    /// The same with all times.
    pub fn stat(&self, which: usize, leg: Leg) -> Sys<Stat> {
        let (from, rel) = self.spot(which, leg);
        sys::fstatat(from, rel, c::AT_SYMLINK_NOFOLLOW)
    }
    /// Whether no path can say where a name is.
    pub fn is_held(&self, which: usize) -> bool {
        self.name(which).held.is_some()
    }
    /// Whether one of the names is such a one.
    pub fn is_deep(&self) -> bool {
        self.is_held(0) || self.is_held(1)
    }
    /// Whether a leg is not there.
    pub fn skips(&self, leg: Leg) -> bool {
        self.alone && leg == Leg::B
    }
    /// On which side of the mount points of the legs a name is.
    pub fn border_at(&self, which: usize) -> Border {
        let from = PerLeg::by(|leg| self.spot(which, leg).0);
        self.border_from(from, self.spot(which, self.lead).1)
    }
    /// The same of a path.
    pub(super) fn border_of(&self, rel: &Path) -> Border {
        self.border_from(self.s.root, rel)
    }
    fn border_from(&self, from: PerLeg<i32>, rel: &Path) -> Border {
        match self.alone {
            true => border::alone(from[self.lead], rel),
            false => border::between(self.s, self.lead, from, rel),
        }
    }
    /// Finds what a name stands in that no path can say. Asked under the locks.
    #[cold]
    #[inline(never)]
    pub(super) fn reach(&mut self, which: usize) -> Result<(), Prepared> {
        let t = self.name(which);
        if t.held.as_ref().is_none_or(Held::is_found) {
            return Ok(());
        }
        let mut found = Held::nowhere();
        let legs: &[Leg] = match self.alone {
            true => &[self.lead],
            false => &[self.lead, self.lead.other()],
        };
        find(self.s, legs, t.anchor(), &mut found).map_err(|lost| self.lost(lost, &found))?;
        if let Some(Some(t)) = self.t.get_mut(which) {
            t.held = Some(found);
        }
        Ok(())
    }
    /// Before the program's open: what is held here is not in the way of its number.
    pub fn park(&mut self, which: usize) {
        let t = self.t.get_mut(which).and_then(Option::as_mut);
        if let Some(held) = t.and_then(|t| t.held.as_mut()) {
            held.park();
        }
    }
    fn lost(&mut self, lost: Lost, held: &Held) -> Prepared {
        let answer = |e| Prepared::Answer(Err(e));
        match lost {
            Lost::First(e) => answer(e),
            Lost::Moved => Prepared::Unresolved,
            Lost::Second(e) if e.class() == ErrorClass::ProcessLocal => answer(e),
            Lost::Second(..) if !self.exclusive => Prepared::Exclusive,
            // Somebody changed one tree alone: only a resync makes directories there.
            Lost::Second(_) => {
                pending::pending_once(self.s, held.said());
                answer(Errno::EIO)
            }
        }
    }
    /// Before there are locks: leg a's directory of such a name.
    #[cold]
    #[inline(never)]
    fn held_on_a(&mut self, which: usize, then: impl Fn(i32) -> Sys<u64>) -> Result<u64, Prepared> {
        let n = self.name(which).anchor();
        let r = match self.lead {
            Leg::A => then(n),
            Leg::B => {
                self.dated = true;
                let mut held = Held::nowhere();
                let legs = [self.lead, self.lead.other()];
                find(self.s, &legs, n, &mut held).map_err(|lost| self.lost(lost, &held))?;
                then(held.at(Leg::A))
            }
        };
        r.map_err(|e| Prepared::Answer(Err(e)))
    }
    pub(super) fn held_parent(&mut self, which: usize) -> Result<LockPlan, Prepared> {
        let ino = self.held_on_a(which, |n| identity(n).map(|id| id.ino))?;
        Ok(self.dir(ino))
    }
    pub(super) fn held_itself(&mut self, which: usize) -> Sys<LockPlan> {
        self.dated = true;
        let name = self.name(which).rel.clone();
        let ino = self.held_on_a(which, |n| {
            let n = open_below(n, &name, c::O_PATH | c::O_DIRECTORY)?;
            let id = identity(n);
            let _ = sys::close(n);
            id.map(|id| id.ino)
        });
        // Whoever asks goes by the directory above then.
        Ok(self.dir(ino.map_err(|_| Errno::ENOENT)?))
    }
    /// With exclusive access: a name's objects, if they differ, are left to a resync.
    #[cold]
    #[inline(never)]
    pub(super) fn settle_held(&self, which: usize, makes: bool) {
        let look = |leg: Leg| self.look(which, leg);
        let (f, t) = (look(self.lead), look(self.lead.other()));
        let alike = match (&f, &t) {
            (Ok(f), Ok(t)) => same::alike(self.s, self.lead, f, t),
            (Ok(_), Err(Errno::ENOENT)) => false,
            (Err(Errno::ENOENT), Ok(_)) => makes,
            _ => true,
        };
        if !alike {
            let rel = self.name(which).said();
            pending::pending_once(self.s, rel);
            refused::found(self.s.pair, Refusal::Differ, Errno::EFBIG, rel);
            judged::put(self.s, self.lead, f.as_ref().ok(), t.as_ref().ok());
        }
    }
}

//! What is paired is compared: before two objects are changed together, what the kernel says of them anyway
//! must fit. If it does not, the change is asked for again exclusively, and then the other
//! leg's object is made like the first leg's, or is recorded as pending, before anything is changed.
//!
//! Rules: without exclusive access a difference is only suspected, since another's change may be half done.
use crate::attach::leaving;
use crate::change::border::{self, Border};
use crate::change::judged;
use crate::change::target::Cx;
use crate::events::refused;
use crate::path::below::open_below;
use crate::path::loc::{Name, Path};
use crate::process::{actor, fds};
use crate::repair::same::{self, Found};
use crate::repair::{kept, pending};
use mirror_core::Leg;
use mirror_core::path::PathText;

use libc as c;
use mirror_core::path::split;
use mirror_core::refusal::Refusal;
use mirror_core::runtime::AT_END;
use mirror_core::{BothLocked, Errno, K, Prepared};
use mirror_sys as sys;
use mirror_sys::{Stat, Sys};

impl Cx<'_> {
    /// Whether two objects may be changed together. Kept out of everything else, they have been settled.
    /// What only a resync mends, and is on record, does not take the pair exclusively again.
    pub fn fit(&self, first: &Stat, second: &Stat) -> bool {
        self.alone
            || self.exclusive
            || same::alike(self.s, self.lead, first, second)
            || self.known(|| {
                same::is_beyond(first, second)
                    || judged::is(self.s, self.lead, Some(first), Some(second))
            })
    }
    #[cold]
    fn known(&self, beyond: impl FnOnce() -> bool) -> bool {
        self.s.runtime().word().pending() && (self.s.is_guarded() || beyond())
    }
    /// The same of what a look at two names has told.
    pub fn compare(&self, first: &Sys<Stat>, second: &Sys<Stat>) -> Result<(), Prepared> {
        if self.alone {
            return Ok(());
        }
        let fits = match (first, second) {
            (Ok(f), Ok(t)) => self.fit(f, t),
            (Ok(f), Err(Errno::ENOENT)) => {
                self.exclusive
                    || self.known(|| {
                        same::is_beyond(f, f) || judged::is(self.s, self.lead, Some(f), None)
                    })
            }
            (Err(Errno::ENOENT), Ok(_)) => self.exclusive || self.known(|| true),
            _ => true,
        };
        if fits {
            Ok(())
        } else {
            Err(Prepared::Exclusive)
        }
    }
    /// Compares what an entered name is on both legs; `first` is known. The locks of the objects themselves
    /// are not held: what others do to them meanwhile is no difference.
    pub fn compare_entered(&self, which: usize, first: &Sys<Stat>) -> Result<(), Prepared> {
        if self.alone {
            return Ok(());
        }
        let t = self.name(which);
        let look = |leg: Leg| sys::glance(t.at(leg), &t.name, c::AT_SYMLINK_NOFOLLOW);
        let second = look(self.lead.other());
        busy(first, &second)?;
        if self.exclusive {
            return Ok(());
        }
        let mut r = self.compare(first, &second);
        for _ in 0..4 {
            if r.is_ok() {
                break;
            }
            r = self.compare(&look(self.lead), &look(self.lead.other()));
        }
        r
    }
    /// What an entered name is on both legs is compared, or, with exclusive access, settled: see
    /// [`Cx::settle`]. `first` is known.
    pub fn pair_entered(
        &self,
        which: usize,
        makes: bool,
        first: &Sys<Stat>,
        held: &BothLocked,
    ) -> Result<(), Prepared> {
        if self.alone {
            return Ok(());
        }
        let t = self.name(which);
        // With '/' behind it a name is another object's to the kernel than to records.
        let plain = t.name.as_bytes().last() != Some(&b'/');
        if self.exclusive
            && plain
            && let Ok(f) = first
        {
            let second = sys::glance(t.at(self.lead.other()), &t.name, c::AT_SYMLINK_NOFOLLOW);
            // The directories have been entered, so this is all that settling would look at.
            if second.is_ok_and(|t| same::alike(self.s, self.lead, f, &t)) {
                return busy(first, &second);
            }
        }
        self.settle(which, makes, held);
        self.compare_entered(which, first)
    }
    /// Whether an entered name can be removed on both legs.
    pub fn removable(&self, which: usize) -> Result<(), Prepared> {
        if self.alone {
            return Ok(());
        }
        let t = self.name(which);
        let look = |leg: Leg| sys::glance(t.at(leg), &t.name, c::AT_SYMLINK_NOFOLLOW);
        busy(&look(self.lead), &look(self.lead.other()))
    }
    /// Compares what a name that needs not be entered is on both legs; `first` is known.
    #[cold]
    #[inline(never)]
    pub fn compare_named(&self, which: usize, first: &Sys<Stat>) -> Result<(), Prepared> {
        if self.alone {
            return Ok(());
        }
        self.compare(first, &self.look(which, self.lead.other()))
    }
    /// With exclusive access, before anything is changed: makes the two objects of a name alike. What only
    /// the other leg has is `makes`' own affair, or is recorded.
    pub fn settle(&self, which: usize, makes: bool, held: &BothLocked) {
        if self.alone || !self.exclusive || !self.name(which).is_named() {
            return;
        }
        match self.is_held(which) {
            true => self.settle_held(which, makes),
            false => self.settle_at(self.name(which).rel.as_bytes(), makes, held),
        }
    }
    #[cold]
    #[inline(never)]
    fn settle_at(&self, rel: &[u8], makes: bool, held: &BothLocked) {
        // What is mounted inside one leg has nothing to be compared with.
        let path = Path::from_bytes(rel).unwrap_or_default();
        if !matches!(border::of(self.s, self.lead, &path), Border::Within) {
            return;
        }
        let why = match same::same(self.s, self.lead, rel, held) {
            Ok(Found::Alike) => return,
            Ok(Found::Extra) if makes => return,
            Ok(Found::Mended) => {
                return refused::found(self.s.pair, Refusal::Mended, Errno(0), rel);
            }
            Ok(Found::Extra) => Errno::EEXIST,
            Err(e) => e,
        };
        pending::pending_once(self.s, rel);
        refused::found(self.s.pair, Refusal::Differ, why, rel);
        let look = |leg: Leg| {
            let root = self.s.at(leg);
            sys::glance(root, &path, c::AT_SYMLINK_NOFOLLOW).ok()
        };
        let (f, t) = (look(self.lead), look(self.lead.other()));
        judged::put(self.s, self.lead, f.as_ref(), t.as_ref());
    }
    /// The same of a descriptor and its partner, whose name is a hint.
    #[cold]
    #[inline(never)]
    pub fn settle_descriptor(&self, n: i32, held: &BothLocked) {
        if self.alone {
            return;
        }
        let (Ok(f), Ok(t)) = (sys::fglance(n), sys::fglance(n.saturating_add(K))) else {
            return;
        };
        if same::alike(self.s, self.lead, &f, &t) {
            return;
        }
        let path = Path::from_bytes(self.paths().0).unwrap_or_default();
        let is = |leg: Leg, st: &Stat| {
            let root = self.s.at(leg);
            sys::glance(root, &path, c::AT_SYMLINK_NOFOLLOW)
                .is_ok_and(|s| (s.dev(), s.ino()) == (st.dev(), st.ino()))
        };
        if !path.is_empty() && is(self.lead, &f) && is(self.lead.other(), &t) {
            return self.settle_at(path.as_bytes(), false, held);
        }
        let rel = if path.is_empty() {
            b"."
        } else {
            path.as_bytes()
        };
        pending::pending_once(self.s, rel);
        refused::found(self.s.pair, Refusal::Differ, Errno::ENOENT, rel);
        judged::put(self.s, self.lead, Some(&f), Some(&t));
    }
}

/// A mount point stays where it is. The first leg's own is the kernel's to answer for.
fn busy(first: &Sys<Stat>, second: &Sys<Stat>) -> Result<(), Prepared> {
    match (first, second) {
        (Ok(_), Ok(t)) if t.is_mount() => Err(Prepared::Answer(Err(Errno::EBUSY))),
        _ => Ok(()),
    }
}

/// Puts aside what only the other leg has under a name that is to be made.
#[cold]
#[inline(never)]
fn put_aside(cx: &Cx<'_>, which: usize, st: &Stat, held: &BothLocked) -> Sys<()> {
    if cx.is_held(which) {
        return Err(Errno::ENAMETOOLONG);
    }
    let rel = cx.name(which).rel.as_bytes();
    let root = cx.s.at(cx.lead.other());
    let (above, own, _) = split(rel);
    let name = Name::from_bytes(own).map_err(|_| Errno::ENAMETOOLONG)?;
    let above = Path::from_bytes(above).map_err(|_| Errno::ENAMETOOLONG)?;
    let dir = match above.is_empty() {
        true => root,
        false => open_below(root, &above, c::O_PATH | c::O_DIRECTORY)?,
    };
    let r = kept::aside(root, dir, &name, st, held);
    if dir != root {
        let _ = sys::close(dir);
    }
    if r.is_ok() {
        refused::found(cx.s.pair, Refusal::Mended, Errno(0), rel);
    }
    r
}

/// An append: the partner must end where the file does, or bytes that somebody else put there would be
/// missing before it. Who knows where the last append ended need not ask for the partner's size.
pub fn ends(n: i32, cx: &mut Cx<'_>, held: &BothLocked) -> Result<(), Prepared> {
    cx.intent.offset = AT_END;
    if cx.exclusive {
        cx.settle_descriptor(n, held);
    }
    let st = sys::fglance(n).map_err(|e| Prepared::Answer(Err(e)))?;
    cx.end = Some(st.size());
    let last = fds::info(n).filter(|_| fds::hint(n) == fds::PAIRED);
    let last = last.map(|i| i.end());
    if cx.exclusive || last == Some(st.size()) {
        return Ok(());
    }
    match sys::fglance(n.saturating_add(K)) {
        Ok(t) if t.size() != st.size() && !cx.s.runtime().word().pending() => {
            Err(Prepared::Exclusive)
        }
        _ => Ok(()),
    }
}

/// An append is about to end there on both legs.
pub fn ended(n: i32, at: u64) {
    if !actor::maybe_guest()
        && let Some(i) = fds::info(n)
    {
        i.set_end(at);
    }
}

/// Asked where the request would make `name`, with exclusive access: something that only the
/// second leg has stands in the way. A file is put aside, what holds nothing goes; else that is recorded, and
/// the request is refused with `why`.
#[cold]
#[inline(never)]
pub fn in_the_way<const N: usize>(
    cx: &Cx<'_>,
    held: &BothLocked,
    (first, second): (i32, i32),
    name: &PathText<N>,
    which: usize,
    why: Errno,
) -> Result<(), Prepared> {
    let keep = c::AT_SYMLINK_NOFOLLOW;
    if cx.alone || !cx.exclusive || !matches!(sys::glance(first, name, keep), Err(Errno::ENOENT)) {
        return Ok(());
    }
    nothing_beside(cx, held, second, name, which, why)
}

/// The same where the first leg is known to have nothing under the name.
pub fn nothing_beside<const N: usize>(
    cx: &Cx<'_>,
    held: &BothLocked,
    second: i32,
    name: &PathText<N>,
    which: usize,
    why: Errno,
) -> Result<(), Prepared> {
    if cx.alone {
        return Ok(());
    }
    let gone = match sys::glance(second, name, c::AT_SYMLINK_NOFOLLOW) {
        Err(_) => return Ok(()),
        Ok(st) if st.kind() == c::S_IFDIR => sys::unlinkat(second, name, c::AT_REMOVEDIR),
        Ok(st) if st.kind() == c::S_IFREG && st.size() == 0 => sys::unlinkat(second, name, 0),
        Ok(_) if cx.s.is_guarded() => Err(why),
        Ok(st) => put_aside(cx, which, &st, held).map(|()| 0),
    };
    if gone.is_ok() {
        return Ok(());
    }
    if cx.lead == Leg::A && cx.s.runtime().word().joining() {
        // What leg b still has from before is no reason for a program's error: it is on its way back no more.
        let why = gone.err().unwrap_or(why);
        if leaving::give_up_return(cx.s, why, cx.name(which).said()) {
            return Err(Prepared::Replan);
        }
    }
    pending::pending_once(cx.s, cx.name(which).said());
    Err(Prepared::Answer(Err(why)))
}

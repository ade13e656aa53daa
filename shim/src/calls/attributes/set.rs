//! Attributes by path and by descriptor: chmod, chown, times, extended attributes; truncate by path.
//!
//! The first leg gets the program's own call and pointers (the kernel checks them); the second gets the
//! same, except times, which are copied from the first: "now" is never asked twice.
//!
//! Rules: a name is made an [`Object`] on each leg and changed as that, so that no symlink is followed
//! there, and the second leg's must be of the first one's type.
use crate::calls::attributes::call::{Kind, Request};
use crate::calls::paired::partner::owes_time;
use crate::change::number::describe;
use crate::change::target::{Change, Cx, hold_here};
use crate::change::times;
use crate::path::below::hold;
use crate::path::loc::{Last, Name};
use crate::regs::{Regs, raw};
use crate::repair::pending;
use libc as c;
use mirror_core::Leg;
use mirror_core::marks::Value;
use mirror_core::{BothLocked, Errno, K, LockPlan, Lone, Prepared, Refused, Step, Untouched};
use mirror_sys as sys;
use mirror_sys::{OMIT, Object, Stat, Sys};

mod ahead;
mod bare;
pub mod entry;
mod lone;
mod on;
mod undo;

struct Attr<'a> {
    call: Request,
    regs: &'a Regs,
    /// A descriptor on the first leg, and whether n + K is its partner.
    by_fd: Option<(i32, bool)>,
    before: Option<Stat>,
    root: bool,
    /// The path ended with '/': only a directory will do.
    slash: bool,
    /// The object is a directory, as far as is known.
    directory: bool,
    /// A descriptor's name was looked for often enough.
    again: bool,
    /// File capabilities before the call: a change of owner or size takes them away.
    caps: Option<([u8; 64], usize)>,
    /// truncate: the second leg's file, open for writing; what it may refuse is known then.
    second: i32,
    /// Flags and the like before the call.
    marks: Option<Value>,
    /// The second leg's object, held and compared before the first leg's is touched.
    other: Option<Object>,
    /// The second leg's object may have changed.
    part: bool,
}

impl Attr<'_> {
    /// The object of the name on a leg, held. What was looked at is what is changed: on neither leg is a
    /// symlink followed that somebody may have put there meanwhile.
    fn object(&self, cx: &Cx<'_>, leg: Leg) -> Sys<Object> {
        if self.root {
            return hold(self.dir(cx, leg), &self.name(cx));
        }
        hold_here(cx, self.dir(cx, leg), &self.name(cx))
    }
    /// The second leg's object, if it can stand for the first leg's.
    fn second_object(&self, cx: &Cx<'_>, leg: Leg) -> Sys<Object> {
        let o = self.object(cx, leg)?;
        sys::stands_for(self.before.as_ref().ok_or(Errno::EIO)?, o.stat())?;
        Ok(o)
    }
    fn dir(&self, cx: &Cx<'_>, leg: Leg) -> i32 {
        if self.root {
            cx.s.at(leg)
        } else {
            cx.name(0).at(leg)
        }
    }
    fn name(&self, cx: &Cx<'_>) -> Name {
        let mut n = Name::new();
        let _ = n.set(if self.root {
            b"."
        } else {
            cx.name(0).name.as_bytes()
        });
        n
    }
    fn stat(&self, cx: &Cx<'_>, leg: Leg, first: bool) -> Sys<Stat> {
        match self.by_fd {
            Some((n, _)) if first => sys::fstat(n),
            Some((n, true)) => sys::fstat(n.saturating_add(K)),
            _ => sys::fstatat(self.dir(cx, leg), &self.name(cx), c::AT_SYMLINK_NOFOLLOW),
        }
    }

    /// The change on a leg, by name.
    fn by_name(
        &mut self,
        cx: &mut Cx<'_>,
        held: &BothLocked,
        leg: Leg,
        step: Step,
    ) -> Result<u64, Refused> {
        let o = if step == Step::First {
            let o = self.object(cx, leg)?;
            if o.stat().kind() == c::S_IFLNK && self.call.last == Last::Follow {
                return Err(Refused::Unresolved);
            }
            self.before = Some(*o.stat());
            self.look_ahead(cx, held, &o)?;
            self.hold_second(cx)?;
            o
        } else if self.second >= 0 {
            Object::of(self.second)?
        } else if let Some(o) = self.other.take() {
            sys::stands_for(self.before.as_ref().ok_or(Errno::EIO)?, o.stat())?;
            o
        } else {
            self.second_object(cx, leg)?
        };
        let r = match self.call.kind {
            Kind::Times if step == Step::Second => return Ok(self.times(cx, held, leg, o.fd())?),
            Kind::Times => self.first_times(&o, held),
            Kind::Marks(by) if step == Step::Second => {
                self.part = true;
                self.second_marks(cx, by, &o, held)
            }
            Kind::Truncate(size) if step == Step::Second && self.second >= 0 => {
                sys::ftruncate(self.second, size)
            }
            kind => self.on_object(kind, &o, held),
        }?;
        if step == Step::Second && matches!(self.call.kind, Kind::Truncate(_)) {
            self.part = true;
            self.times_after(cx, held, leg, o.fd())?;
        }
        Ok(r as u64)
    }

    /// The same after a change of size: what has been cut off on both legs cannot be taken back, so that is no
    /// refusal any more. A partner's time is made equal later.
    fn times_after(&self, cx: &Cx<'_>, held: &BothLocked, leg: Leg, second: i32) -> Sys<()> {
        let cut = match self.call.kind {
            Kind::Truncate(size) => self.before.is_none_or(|st| size < st.size()),
            _ => false,
        };
        let equal = || -> Sys<bool> {
            let first = self.object(cx, leg.other())?.stat().mtime();
            Ok(first == sys::fstat(second)?.mtime())
        };
        match (self.times(cx, held, leg, second), self.by_fd) {
            (Ok(_), _) => {}
            (r, _) if !cut => return r.map(|_| ()),
            (_, Some((n, true))) => owes_time(n, held),
            _ if equal() == Ok(true) => {}
            _ => pending::pending_once(cx.s, cx.paths().0),
        }
        Ok(())
    }

    /// Copies the first leg's times to the second leg's object.
    fn times(&self, cx: &Cx<'_>, held: &BothLocked, leg: Leg, second: i32) -> Sys<u64> {
        let first = match self.by_fd {
            Some((n, _)) => Object::of(n)?,
            None => self.object(cx, leg.other())?,
        };
        // atime is not part of the copy, but a program that sets it means both.
        let atime = if self.call.kind == Kind::Times {
            first.stat().atime()
        } else {
            OMIT
        };
        if self.call.kind == Kind::Times {
            let mtime = first.stat().mtime();
            match sys::set_times(second, atime, mtime) {
                // Who may set them on the first leg wants these times, and not "now" on both.
                Err(Errno::EPERM) if sys::set_times(first.fd(), OMIT, mtime).is_ok() => {
                    return Err(Errno::EPERM);
                }
                Err(Errno::EPERM) => {}
                r => return r.map(|_| 0),
            }
        }
        times::copy(first.fd(), second, atime, held).map(|()| 0)
    }
}

impl Change for Attr<'_> {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        if self.root {
            return Ok(cx.dir(cx.s.root_ino));
        }
        if let Some((n, true)) = self.by_fd {
            return cx.file_of(n);
        }
        // A directory is locked itself: its name moves only under exclusive access, and rmdir
        // locks it too.
        if self.directory {
            if let Ok(plan) = cx.itself(0) {
                return Ok(plan);
            }
            self.directory = false;
        }
        cx.parent(0)
    }
    fn late(&mut self, cx: &mut Cx<'_>) -> LockPlan {
        if self.root || self.directory || matches!(self.by_fd, Some((_, true))) {
            return LockPlan::EMPTY;
        }
        match self.before {
            Some(st) if cx.lead == Leg::A => cx.file(st.ino()),
            _ => cx.file_named(0),
        }
    }
    // long: what is asked of an object, in the kernel's order
    fn prepare(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Prepared {
        if let Some((n, true)) = self.by_fd
            && let Err(p) = describe(n, cx)
        {
            return p;
        }
        if !self.root
            && cx.name(0).is_named()
            && !matches!(self.by_fd, Some((_, true)))
            && let Err(p) = cx.enter(0, held)
        {
            return p;
        }
        if !self.root && !matches!(self.by_fd, Some((_, true))) {
            cx.settle(0, false, held);
        }
        let st = match self.stat(cx, cx.lead, true) {
            Ok(st) => st,
            Err(e) if self.by_fd.is_none() && !self.root => {
                return match cx.compare_named(0, &Err(e)) {
                    Ok(()) => Prepared::Answer(Err(e)),
                    Err(p) => p,
                };
            }
            Err(e) => return Prepared::Answer(Err(e)),
        };
        if self.by_fd.is_none() {
            if let Err(p) = cx.still(0, Ok(st)) {
                return p;
            }
            if st.kind() == c::S_IFLNK && self.call.last == Last::Follow {
                return Prepared::Unresolved;
            }
            if st.kind() == c::S_IFLNK && matches!(self.call.kind, Kind::Mode(_)) {
                return Prepared::Answer(Err(Errno::EOPNOTSUPP));
            }
        }
        if !self.root && self.directory != (st.kind() == c::S_IFDIR) {
            self.directory = !self.directory;
            if !cx.exclusive {
                return Prepared::Replan;
            }
        }
        if self.slash && st.kind() != c::S_IFDIR {
            return Prepared::Answer(Err(Errno::ENOTDIR));
        }
        if matches!(self.call.kind, Kind::Truncate(_)) && st.kind() != c::S_IFREG {
            if let Err(p) = cx.compare_entered(0, &Ok(st)) {
                return p;
            }
            let e = if st.kind() == c::S_IFDIR {
                Errno::EISDIR
            } else {
                Errno::EINVAL
            };
            return Prepared::Answer(Err(e));
        }
        cx.intent.inode[cx.lead] = st.ino();
        cx.intent.old_size = st.size();
        self.before = Some(st);
        if matches!(self.by_fd, Some((_, false)))
            && !cx.alone
            && let Err(p) = self.still_named(cx, &st)
        {
            return p;
        }
        match self.announce_marks(cx) {
            Ok(()) => Prepared::Ready,
            Err(e) => Prepared::Answer(Err(e)),
        }
    }
    fn apply(&mut self, cx: &mut Cx<'_>, held: &BothLocked, step: Step) -> Result<u64, Refused> {
        self.part = false;
        let leg = cx.leg(step);
        match (self.by_fd, step) {
            (Some((n, paired)), Step::First) => {
                if !paired && !self.root {
                    // The object's own lock may have been taken after `prepare` looked.
                    self.before = Some(sys::fstat(n)?);
                }
                if matches!(
                    self.call.kind,
                    Kind::Owner(..) | Kind::Truncate(_) | Kind::Marks(_)
                ) {
                    self.look_ahead(cx, held, &Object::of(n)?)?;
                }
                // Whether the second leg's object will be changed by its text.
                let by_text = !paired
                    && match self.call.kind {
                        Kind::Mode(_) => !Object::knows_set_mode_held(),
                        Kind::SetXattr | Kind::RemoveXattr => true,
                        _ => false,
                    };
                if by_text {
                    Object::of(n)?.has_text()?;
                }
                if !paired {
                    self.hold_second(cx)?;
                }
                let r = raw(self.regs);
                if r.is_err() {
                    self.refused_marks(cx, held)?;
                    self.close_second();
                }
                Ok(r?)
            }
            (Some((n, true)), Step::Second) => Ok(self.by_partner(cx, held, leg, n)?),
            _ => {
                let r = self.by_name(cx, held, leg, step);
                if r.is_err() && step == Step::First {
                    self.refused_marks(cx, held)?;
                }
                if r.is_err() || step == Step::Second {
                    self.close_second();
                }
                r
            }
        }
    }
    fn begun(&self) -> bool {
        self.part
    }
    fn lone(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Lone {
        self.on_a_alone(cx, held)
    }
    fn undo(
        &mut self,
        cx: &mut Cx<'_>,
        held: &BothLocked,
        source: Option<&Untouched<'_>>,
    ) -> Sys<()> {
        self.take_back(cx, held, source)
    }
}

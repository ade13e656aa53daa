//! One attribute call on one leg's object.
use crate::calls::attributes::marks;
use crate::calls::attributes::set::{Attr, Kind};
use crate::change::target::Cx;
use libc as c;
use mirror_core::Leg;
use mirror_core::calls::Call;
use mirror_core::marks::By;
use mirror_core::{BothLocked, Errno, K};
use mirror_sys as sys;
use mirror_sys::{Object, Sys};

impl Attr<'_> {
    /// What is done to either leg's object alike, times apart.
    pub(super) fn on_object(&self, kind: Kind, o: &Object, held: &BothLocked) -> Sys<usize> {
        match kind {
            // Which of the two the kernel knows, it tells the program by the call's own answer.
            Kind::Mode(m) if self.regs.is(Call::Fchmodat2) => o.set_mode_held(m),
            Kind::Mode(m) => o.set_mode(m),
            Kind::Owner(u, g) => o.set_owner(u, g),
            Kind::SetXattr | Kind::RemoveXattr => self.xattr(o, held),
            Kind::Truncate(size) => o.truncate(size),
            Kind::Marks(_) => self.first_marks(o, held),
            Kind::Times => Err(Errno::EIO),
            Kind::Unknown => Err(Errno::EOPNOTSUPP),
        }
    }

    /// The program's setxattr or removexattr, of whatever family.
    fn xattr(&self, o: &Object, _: &BothLocked) -> Sys<usize> {
        let [_, a1, a2, a3, a4, a5] = self.regs.args;
        let p = o.text();
        let (at, cwd) = (p.as_ptr() as usize, c::AT_FDCWD as isize as usize);
        let nr = self.regs.nr as i64;
        // SAFETY: our own path; the program's name and value, checked by the kernel.
        sys::here(sys::ret(unsafe {
            match (self.regs.call(), self.call.kind) {
                (Some(Call::Setxattrat), _) => sys::syscall6(nr, cwd, at, 0, a3, a4, a5),
                (Some(Call::Removexattrat), _) => sys::syscall4(nr, cwd, at, 0, a3),
                (_, Kind::SetXattr) => sys::syscall5(c::SYS_setxattr, at, a1, a2, a3, a4),
                _ => sys::syscall2(c::SYS_removexattr, at, a1),
            }
        }))
    }

    fn xattr_by_fd(&self, m: usize, _: &BothLocked) -> Sys<usize> {
        let [_, a1, a2, a3, a4, a5] = self.regs.args;
        let (nr, empty) = (self.regs.nr as i64, c"".as_ptr() as usize);
        let at = c::AT_EMPTY_PATH as usize;
        // SAFETY: an empty path; the program's name and value, checked by the kernel.
        sys::ret(unsafe {
            match (self.regs.call(), self.call.kind) {
                (Some(Call::Setxattrat), _) => sys::syscall6(nr, m, empty, at, a3, a4, a5),
                (Some(Call::Removexattrat), _) => sys::syscall4(nr, m, empty, at, a3),
                (_, Kind::SetXattr) => sys::syscall5(c::SYS_fsetxattr, m, a1, a2, a3, a4),
                _ => sys::syscall2(c::SYS_fremovexattr, m, a1),
            }
        })
    }

    /// Address of an extended attribute's name.
    pub(super) fn xattr_name(&self) -> usize {
        let at = matches!(
            self.regs.call(),
            Some(Call::Setxattrat | Call::Removexattrat)
        );
        self.regs.args[if at { 3 } else { 1 }]
    }

    /// The program's file_setattr by name (an ioctl is made on its own descriptor).
    fn first_marks(&self, o: &Object, _: &BothLocked) -> Sys<usize> {
        let [_, _, a2, a3, _, _] = self.regs.args;
        let (p, cwd) = (o.text(), c::AT_FDCWD as isize as usize);
        // SAFETY: our own path; the program's struct, checked by the kernel.
        sys::here(sys::ret(unsafe {
            sys::syscall5(sys::SYS_FILE_SETATTR, cwd, p.as_ptr() as usize, a2, a3, 0)
        }))
    }

    /// The program's own times on the first leg's object.
    pub(super) fn first_times(&self, o: &Object, _: &BothLocked) -> Sys<usize> {
        let [_, a1, a2, _, _, _] = self.regs.args;
        let (p, nr) = (o.text(), self.regs.nr as i64);
        let cwd = c::AT_FDCWD as isize as usize;
        match self.regs.call() {
            Some(Call::Utimensat) => {
                let (n, empty) = (o.fd() as usize, c"".as_ptr() as usize);
                // SAFETY: an empty path; the program's times, checked by the kernel.
                sys::ret(unsafe { sys::syscall4(nr, n, empty, a2, c::AT_EMPTY_PATH as usize) })
            }
            Some(Call::Futimesat) => {
                // SAFETY: our own path; the program's times, checked by the kernel.
                sys::here(sys::ret(unsafe {
                    sys::syscall3(nr, cwd, p.as_ptr() as usize, a2)
                }))
            }
            _ => {
                // SAFETY: as above.
                sys::here(sys::ret(unsafe {
                    sys::syscall2(nr, p.as_ptr() as usize, a1)
                }))
            }
        }
    }

    /// What the first leg's call has changed, on the second leg's object.
    pub(super) fn second_marks(
        &self,
        cx: &Cx<'_>,
        by: By,
        second: &Object,
        held: &BothLocked,
    ) -> Sys<usize> {
        let first = match self.by_fd {
            Some((n, _)) => Object::of(n)?,
            None => self.object(cx, cx.lead)?,
        };
        let before = self.marks.ok_or(Errno::EOPNOTSUPP)?;
        let after = marks::get(by, &first).map_err(|_| Errno::EOPNOTSUPP)?;
        marks::follow(by, second, &before, &after, held)
    }

    /// The first leg's call has answered an error, and may have changed something before: flags go first,
    /// then the file system finds that it has no projects. The second leg follows; if it cannot, the first
    /// leg is put back.
    #[cold]
    #[inline(never)]
    pub(super) fn refused_marks(&self, cx: &Cx<'_>, held: &BothLocked) -> Sys<()> {
        if cx.alone {
            return Ok(());
        }
        let (Kind::Marks(by), Some(before)) = (self.call.kind, self.marks) else {
            return Ok(());
        };
        let first = match self.by_fd {
            Some((n, _)) => Object::of(n)?,
            None => self.object(cx, cx.lead)?,
        };
        let after = marks::get(by, &first)?;
        if after.settable(by) == before.settable(by) {
            return Ok(());
        }
        let followed = self
            .other(cx)
            .and_then(|second| marks::follow(by, &second, &before, &after, held));
        if followed.is_err() {
            marks::set(by, &first, before, held)?;
        }
        Ok(())
    }

    /// The change on n + K.
    pub(super) fn by_partner(
        &mut self,
        cx: &Cx<'_>,
        held: &BothLocked,
        leg: Leg,
        n: i32,
    ) -> Sys<u64> {
        let m = n.saturating_add(K);
        match self.call.kind {
            Kind::Mode(mode) => sys::fchmod(m, mode),
            Kind::Owner(u, g) => sys::fchown(m, u, g),
            Kind::Times => return self.times(cx, held, leg, m),
            Kind::SetXattr | Kind::RemoveXattr => self.xattr_by_fd(m as usize, held),
            Kind::Truncate(size) => {
                sys::ftruncate(m, size)?;
                self.part = true;
                return self.times_after(cx, held, leg, m).map(|()| 0);
            }
            Kind::Marks(by) => {
                self.part = true;
                self.second_marks(cx, by, &Object::of(m)?, held)
            }
            Kind::Unknown => Err(Errno::EOPNOTSUPP),
        }
        .map(|v| v as u64)
    }
}

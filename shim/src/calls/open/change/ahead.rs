//! Before a file is emptied both legs have been asked; and emptying by descriptor.
use crate::calls::data::resize;
use crate::calls::open::change::Open;
use crate::calls::open::flags::TMPFILE;
use crate::calls::paired::partner::{install, open_writable};
use crate::calls::range::copy::call;
use crate::change::border::{self, Border};
use crate::change::target::Cx;
use crate::regs::{DONE, Regs, WAIT, answer, fail, raw};
use crate::repair::privileges;
use libc as c;
use mirror_core::{BothLocked, Errno, K, Prepared, Refused, Untouched};
use mirror_sys as sys;
use mirror_sys::{Stat, Sys};

impl Open {
    /// Refuses a name that lies behind a mount point of one leg.
    #[cold]
    #[inline(never)]
    pub(super) fn border(&self, cx: &Cx<'_>) -> Sys<()> {
        match cx.border_at(0) {
            Border::Within => Ok(()),
            found => {
                self.kernels.set(found == Border::Kernel);
                Err(border::REFUSED)
            }
        }
    }
    /// Opens the second leg's file, which must stand for the first leg's. Never emptied by its open, and
    /// made by it only with the first.
    pub(super) fn open_second(&mut self, cx: &Cx<'_>, base: i32) -> Sys<i32> {
        let mut keep = base & (c::O_NOFOLLOW | c::O_NOATIME | c::O_LARGEFILE);
        if self.tmpfile() {
            keep |= TMPFILE | base & c::O_EXCL;
        } else if self.made {
            keep |= c::O_CREAT | c::O_EXCL;
        }
        let n = open_writable(base, |flags| {
            self.open_at(cx, cx.lead.other(), flags | keep)
        })?;
        // From here on an undo takes it away again, whatever becomes of the descriptor.
        self.second = self.made;
        let opened = self.stat[cx.lead];
        let fits = match opened.or(self.found) {
            Some(first) => {
                sys::fglance(n).and_then(|st| self.fits(cx, n, &first, &st).map(|()| st))
            }
            None => sys::fglance(n),
        };
        match fits {
            Ok(st) => {
                self.stat[cx.lead.other()] = Some(st);
                Ok(n)
            }
            Err(e) => {
                let _ = sys::close(n);
                Err(e)
            }
        }
    }
    /// Whether the second leg's file `n` is the one to pair. The file's own lock is not held: what others
    /// have written meanwhile is no difference.
    fn fits(&self, cx: &Cx<'_>, n: i32, first: &Stat, second: &Stat) -> Sys<()> {
        sys::stands_for(first, second)?;
        if cx.fit(first, second) {
            return Ok(());
        }
        let opened = self.fd[cx.lead];
        for _ in 0..4 {
            let now = match opened {
                0.. => sys::fglance(opened)?,
                _ => cx.stat(0, cx.lead)?,
            };
            if cx.fit(&now, &sys::fglance(n)?) {
                return Ok(());
            }
        }
        Err(Errno::EEXIST)
    }
    /// Whether the first leg lets the program in.
    fn allowed(&self, cx: &Cx<'_>) -> Sys<()> {
        let wants = match self.flags & c::O_ACCMODE {
            c::O_WRONLY => c::W_OK,
            _ => c::R_OK | c::W_OK,
        };
        let (from, rel) = cx.spot(0, cx.lead);
        sys::faccessat(from, rel, wants)
    }
    /// With exclusive access the two are settled before anything is opened. What is answered without a file
    /// being opened is compared here, or never.
    pub(super) fn compared(
        &self,
        cx: &mut Cx<'_>,
        held: &BothLocked,
        found: &Sys<Stat>,
    ) -> Result<(), Prepared> {
        cx.still(0, *found)?;
        cx.settle(0, self.flags & c::O_CREAT != 0, held);
        let excl = c::O_CREAT | c::O_EXCL;
        let opens = match found {
            Ok(st) => st.kind() == c::S_IFREG && self.flags & excl != excl,
            Err(_) => self.flags & c::O_CREAT != 0,
        };
        if opens || cx.exclusive || found.is_ok_and(|st| st.kind() == c::S_IFLNK) {
            return Ok(());
        }
        cx.compare_named(0, found)
    }
    /// A file that is there: the second leg's is opened first, and becomes the partner of the number that the
    /// program is about to get. What it may refuse is known before O_TRUNC empties the first leg's file; and that
    /// one is opened once it is known that the two fit, since closing it again would end the program's locks on it.
    pub(super) fn reserve(&mut self, cx: &Cx<'_>) -> Result<(), Refused> {
        let empties = self.flags & c::O_TRUNC != 0;
        let refused = match self.open_second(cx, self.flags & !(c::O_CREAT | c::O_EXCL)) {
            Ok(m) => {
                let r = install(m, m, self.flags & c::O_CLOEXEC);
                let _ = sys::close(m);
                match r {
                    Ok(()) => self.slot = m,
                    Err(e) if empties => return Err(e.into()),
                    Err(_) => {}
                }
                return Ok(());
            }
            Err(e) => e,
        };
        // The first leg's own refusal goes first.
        match self.allowed(cx) {
            Err(e) if empties => return Err(e.into()),
            // The kernel says it when it is asked.
            Err(_) => return Ok(()),
            Ok(()) => {}
        }
        match refused {
            // Somebody touched one tree alone. Unless that is on record, it is settled with exclusive access.
            Errno::ENOENT
            | Errno::EEXIST
            | Errno::ENOTDIR
            | Errno::ELOOP
            | Errno::EISDIR
            | Errno::EACCES => {
                let found = self.found.ok_or(Errno::ENOENT);
                if !cx.exclusive && cx.compare_named(0, &found).is_err() {
                    return Err(Refused::Apart);
                }
                self.later = empties;
                Ok(())
            }
            e if empties => Err(e.into()),
            _ => Ok(()),
        }
    }
    /// An O_TRUNC that emptied a file cannot be taken back. An empty one lost its set-id bits and
    /// capabilities, and has another time.
    #[cold]
    pub(super) fn not_emptied(&self, cx: &Cx<'_>, source: Option<&Untouched<'_>>) -> Sys<()> {
        self.found.filter(|st| st.size() == 0).ok_or(Errno::EIO)?;
        let n = self.fd[cx.lead];
        // What was found has no time; the partner has not been emptied.
        let partner = sys::fstat(n.saturating_add(K))?;
        privileges::emptied_back((cx.s, cx.paths().0), n, &partner, source);
        Ok(())
    }
    /// Takes the second leg's descriptor back.
    pub(super) fn release(&mut self) {
        if self.slot >= 0 {
            let _ = sys::close(self.slot.saturating_add(K));
            self.slot = -1;
        }
    }
    /// Empties the first leg's file after its open.
    #[cold]
    pub(super) fn empty_first(&mut self, n: i32, _: &BothLocked) -> Sys<()> {
        if self.flags & c::O_ACCMODE == c::O_RDONLY {
            sys::Object::of(n)?.truncate(0)?;
        } else {
            sys::ftruncate(n, 0)?;
        }
        self.emptied = true;
        Ok(())
    }
    /// A file system without O_DIRECT refuses it when the file is made already: then it is on the
    /// second leg too.
    #[cold]
    pub(super) fn made_in_vain(&self, cx: &Cx<'_>, _: &BothLocked) {
        if cx.alone || cx.stat(0, cx.lead).is_err() {
            return;
        }
        let flags = c::O_CREAT | c::O_EXCL | c::O_WRONLY | c::O_CLOEXEC;
        match self.open_at(cx, cx.lead.other(), flags) {
            Ok(n) => {
                let _ = sys::close(n);
            }
            Err(_) => crate::repair::pending::pending(cx.s, cx.paths().0),
        }
    }
}

/// open_by_handle_at with O_TRUNC: opened as it is, then emptied like any other descriptor's file.
#[cold]
#[inline(never)]
pub fn by_handle(regs: &mut Regs) -> usize {
    let [mount, handle, flags, ..] = regs.args;
    let keep = flags & !(c::O_TRUNC as usize);
    let plain = call(c::SYS_open_by_handle_at, [mount, handle, keep, 0, 0, 0]);
    let n = match raw(&plain) {
        Ok(n) => n as i32,
        Err(e) => return fail(regs, e),
    };
    let r = loop {
        let mut cut = call(c::SYS_ftruncate, [n as usize, 0, 0, 0, 0, 0]);
        match resize::resize(&mut cut) {
            DONE => break cut.nr as isize,
            WAIT => sys::sleep_us(100),
            _ => break raw(&cut).map_or_else(|e| -(e.0 as isize), |_| 0),
        }
    };
    if r < 0 {
        let _ = sys::close(n.saturating_add(K));
        let _ = sys::close(n);
        crate::process::fds::set_hint(n, crate::process::fds::UNKNOWN);
        return fail(regs, Errno(r.wrapping_neg() as i32));
    }
    answer(regs, Ok(n as u64))
}

//! Stores of other processes, through mappings that this one has not: both files are opened anew, in a short-lived
//! child, since closing them here would drop the program's locks on them.
use crate::change::job::Job;
use crate::change::port::{Ran, run};
use crate::change::target::{Change, Cx};
use crate::change::times;
use libc as c;
use mirror_core::mapped::Mapped;
use mirror_core::path::PathText;
use mirror_core::runtime::IntentKind;
use mirror_core::{BothLocked, Errno, Leg, LockPlan, Lone, Prepared, Refused, Step, Untouched};
use mirror_sys as sys;
use mirror_sys::Sys;

struct Foreign<'a> {
    /// Descriptors on leg a and leg b.
    at: [i32; 2],
    m: &'a Mapped,
}

/// Whether only a leg that was written to says so.
pub fn is_no_room(e: Errno) -> bool {
    matches!(e, Errno::ENOSPC | Errno::EDQUOT)
}

/// Carries over what others have stored. `at`: descriptors of the file on leg a and leg b.
pub fn carry(pair: usize, at: [i32; 2], m: &Mapped) -> Ran {
    let mut change = Foreign { at, m };
    let job = Job::on((pair, Leg::A), IntentKind::Write);
    match run(job, [None, None], &mut change) {
        // Leg b is away: there is nothing to carry it to.
        Ran::Lone(r) => Ran::Done(r),
        Ran::Unresolved => Ran::Wait,
        ran => ran,
    }
}

impl Change for Foreign<'_> {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        Ok(cx.file(self.m.inode))
    }
    fn prepare(&mut self, cx: &mut Cx<'_>, _: &BothLocked) -> Prepared {
        cx.intent.inode.a = self.m.inode;
        cx.intent.inode.b = self.m.other;
        let len = self.m.to.saturating_sub(self.m.from);
        (cx.intent.offset, cx.intent.length) = (self.m.from, len);
        cx.hint.set(self.m.path());
        Prepared::Ready
    }
    fn apply(&mut self, cx: &mut Cx<'_>, held: &BothLocked, step: Step) -> Result<u64, Refused> {
        if step == Step::Second {
            return Ok(0);
        }
        let r = apart(self.at, self.m.inode, (self.m.from, self.m.to), held);
        cx.refused.set(r.err().filter(|e| is_no_room(*e)));
        r.map(|()| 0).map_err(Refused::Whole)
    }
    fn lone(&mut self, _: &mut Cx<'_>, _: &BothLocked) -> Lone {
        Lone::Done(Ok(0))
    }
    fn undo(&mut self, _: &mut Cx<'_>, _: &BothLocked, _: Option<&Untouched<'_>>) -> Sys<()> {
        Ok(())
    }
}

fn again(n: i32, access: i32) -> Sys<i32> {
    let mut text = PathText::<40>::new();
    sys::fd_text(n, &mut text);
    let flags = access | c::O_NONBLOCK | c::O_NOCTTY | c::O_CLOEXEC;
    sys::openat(c::AT_FDCWD, &text, flags, 0)
}

/// Makes these bytes equal in a short-lived child; what stopped it, in the words of a write.
pub fn apart(at: [i32; 2], inode: u64, range: (u64, u64), held: &BothLocked) -> Sys<()> {
    // SAFETY: the child works on its own copy of this memory, makes raw system calls and exits; it never
    // returns into the program.
    let pid = unsafe { sys::quiet_fork() }?;
    if pid == 0 {
        let _ = crate::process::limits::lift();
        let r = child(at, inode, range, held);
        sys::exit_group(r.map_or_else(|e| e.0, |()| 0));
    }
    match sys::wait_quiet(pid) {
        0 => Ok(()),
        // What the second leg has no room for.
        n @ (c::ENOSPC | c::EDQUOT | c::EFBIG | c::ENOMEM) => Err(Errno(n)),
        _ => Err(Errno::EIO),
    }
}

fn child([a, b]: [i32; 2], inode: u64, (from, to): (u64, u64), held: &BothLocked) -> Sys<()> {
    let (src, dst) = (again(a, c::O_RDONLY)?, again(b, c::O_RDWR)?);
    let (f, t) = (sys::fstat(src)?, sys::fstat(dst)?);
    sys::stands_for(&f, &t)?;
    if f.ino() != inode {
        return Err(Errno::ESTALE);
    }
    let end = to.min(f.size());
    let mut at = from;
    let (mut one, mut other) = ([0u8; 16384], [0u8; 16384]);
    while at < end {
        let want = end.saturating_sub(at).min(one.len() as u64) as usize;
        let k = sys::pread(src, one.get_mut(..want).unwrap_or(&mut []), at)?;
        if k == 0 {
            break;
        }
        let there = sys::pread(dst, other.get_mut(..k).unwrap_or(&mut []), at);
        let same = there == Ok(k) && other.get(..k) == one.get(..k);
        if !same {
            sys::pwrite_all(dst, one.get(..k).unwrap_or(&[]), at)?;
        }
        at = at.saturating_add(k as u64);
    }
    match times::copy(src, dst, sys::OMIT, held) {
        // Nobody but the owner may set them, nor may this process write the first leg's file.
        Err(Errno::EPERM | Errno::EACCES) => Ok(()),
        r => r,
    }
}

//! FICLONE, FICLONERANGE and FIDEDUPERANGE.
//!
//! Rules: the first leg clones; its errno is the program's. The second clones from its own copy of the
//! source. Where it cannot, the range is copied from the first leg within the transaction, if it is
//! small; a large one is refused before anything happens, and programs copy piece by piece.
use crate::attach::handle::Session;
use crate::attach::session;
use crate::calls::at_place::on_pair;
use crate::calls::data::aftermath;
use crate::calls::data::pieces::{SMALL, bring};
use crate::calls::data::write::place;
use crate::calls::paired::partner::owes_time;
use crate::change::job::Job;
use crate::change::lone;
use crate::change::number::describe;
use crate::change::port::{Ran, run};
use crate::change::target::{Change, Cx};
use crate::config::is_ours;
use crate::path::below::open_below;
use crate::path::loc::{Loc, Path, Place};
use crate::process::actor::{self, guest, locked};
use crate::process::fds;
use crate::regs::{NATIVE, Regs, arg, fd_arg};
use crate::tables;
use crate::user::UserPtr;
use libc as c;
use mirror_core::Leg;
use mirror_core::path::split;
use mirror_core::runtime::IntentKind;
use mirror_core::{BothLocked, Errno, K, LockPlan, Lone, Prepared, Refused, Step, Untouched};
use mirror_sys as sys;
use mirror_sys::{CloneRange, Sys};

const FICLONE: usize = 0x4004_9409;
/// A shorter copy_file_range is not worth the calls that ask whether it can be shared.
const WORTH: u64 = 64 << 10;
/// Ranges that every file system with clones accepts.
const BLOCK: u64 = 4096;

/// btrfs, XFS, bcachefs, OCFS2: what can clone, and refuses to at odd offsets.
fn clones(n: i32) -> bool {
    matches!(
        sys::fs_magic(n),
        Ok(0x9123_683e | 0x5846_5342 | 0xca45_1a4e | 0x7461_636f)
    )
}

/// Whether `n` could clone from `src`: asked with a range that is never accepted.
fn could(n: i32, src: i32) -> Sys<()> {
    let odd = CloneRange {
        src: i64::from(src),
        src_offset: 1,
        length: 1,
        dst_offset: 1,
    };
    match sys::clone_range(n, &odd) {
        Err(Errno::EINVAL) | Ok(_) => Ok(()),
        Err(e) => Err(e),
    }
}

/// A descriptor of the source on the second leg.
struct Twin {
    n: i32,
    owned: bool,
}

impl Twin {
    const NONE: Twin = Twin {
        n: -1,
        owned: false,
    };
    fn there(&self) -> bool {
        self.n >= 0
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        if self.owned {
            let _ = sys::close(self.n);
        }
    }
}

/// The other leg's copy of `n`, as seen from `lead`. Opening it drops no lock of the program: those
/// are on the addressed leg's file.
#[inline(never)]
fn twin(s: &Session, lead: Leg, n: i32) -> Twin {
    let other = lead.other();
    let fd = |n| Twin { n, owned: false };
    if s.runtime().word().pending() || s.runtime().any_mapped() {
        // The other leg's may lack what was stored.
        return Twin::NONE;
    }
    if fds::hint(n) == fds::PAIRED {
        return match place(n) {
            (p, leg) if p == s.pair && leg == lead => fd(n.saturating_add(K)),
            (p, leg) if p == s.pair && leg == other => fd(n),
            _ => Twin::NONE,
        };
    }
    let mut loc = Loc::new();
    if crate::path::object::named(n, &mut loc) != Place::In || loc.pair != s.pair {
        return Twin::NONE;
    }
    if loc.leg == other {
        return fd(n);
    }
    if loc.held {
        return Twin::NONE;
    }
    let root = |leg: Leg| s.at(leg);
    let by_name = sys::fstatat(root(lead), &loc.rel, c::AT_SYMLINK_NOFOLLOW);
    match (sys::fstat(n), by_name) {
        (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()) && a.kind() == c::S_IFREG => {
            let flags = c::O_RDONLY | c::O_NONBLOCK | c::O_NOCTTY;
            match open_below(root(other), &loc.rel, flags) {
                Ok(n) => Twin { n, owned: true },
                Err(_) => Twin::NONE,
            }
        }
        _ => Twin::NONE,
    }
}

struct Clone<'a> {
    n: i32,
    range: CloneRange,
    twin: Twin,
    /// Copy the range where the second leg cannot clone.
    carry: bool,
    /// The second leg may have changed.
    touched: bool,
    /// The program's call, if it asks for nothing else.
    call: Option<&'a Regs>,
}

impl Clone<'_> {
    fn src(&self) -> i32 {
        self.range.src as i32
    }
}

impl Clone<'_> {
    /// What keeps the source, and its name on the other leg, as they are.
    fn source_plan(&self, cx: &mut Cx<'_>) -> Sys<LockPlan> {
        let src = self.src();
        if fds::hint(src) == fds::PAIRED && !actor::maybe_guest() {
            return if place(src).0 == cx.s.pair {
                cx.file_of(src).map_err(|_| Errno::EBADF)
            } else {
                Ok(LockPlan::EMPTY)
            };
        }
        let mut loc = Loc::new();
        if crate::path::object::named(src, &mut loc) != Place::In || loc.pair != cx.s.pair {
            return Ok(LockPlan::EMPTY);
        }
        if loc.held {
            // No twin is looked for, so nothing of the source is relied on.
            return Ok(LockPlan::EMPTY);
        }
        let ino = if loc.leg == Leg::A {
            sys::fstat(src)?.ino()
        } else {
            sys::fstatat(cx.s.root.a, &loc.rel, c::AT_SYMLINK_NOFOLLOW)?.ino()
        };
        let mut parent = Path::new();
        let _ = parent.set(split(loc.rel.as_bytes()).0);
        Ok(cx.directory(&parent)?.union(cx.file(ino)))
    }
}

impl Clone<'_> {
    /// Which bytes will change, and the size before.
    fn extent(&self, cx: &mut Cx<'_>) -> Sys<()> {
        let size = |n| sys::fstat(n).map(|s| s.size());
        cx.intent.old_size = size(self.n)?;
        cx.intent.offset = self.range.dst_offset;
        cx.intent.length = match self.range.length {
            0 => size(self.src())?.saturating_sub(self.range.src_offset),
            l => l,
        };
        Ok(())
    }
}

impl Change for Clone<'_> {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        let own = cx.file_of(self.n)?;
        let source = self.source_plan(cx).map_err(|_| Prepared::Exclusive)?;
        Ok(own.union(source))
    }
    fn prepare(&mut self, cx: &mut Cx<'_>, _: &BothLocked) -> Prepared {
        if let Err(p) = describe(self.n, cx) {
            return p;
        }
        if let Err(e) = self.extent(cx) {
            return Prepared::Answer(Err(e));
        }
        // A file system that cannot clone says so by itself. One that perhaps can is not asked to do
        // what might take long on the other leg.
        if !clones(self.n) {
            return if self.carry && cx.intent.length <= SMALL {
                Prepared::Ready
            } else {
                let dev = |n| sys::fstat(n).map(|s| s.dev());
                Prepared::Answer(Err(match (dev(self.src()), dev(self.n)) {
                    (Err(e), _) => e,
                    (a, b) if a != b => Errno::EXDEV,
                    _ => Errno::EOPNOTSUPP,
                }))
            };
        }
        self.twin = twin(cx.s, cx.lead, self.src());
        let m = self.n.saturating_add(K);
        if !self.twin.there() || !clones(m) || could(m, self.twin.n).is_err() {
            self.twin = Twin::NONE;
            if !self.carry || cx.intent.length > SMALL {
                let e = could(self.n, self.src()).err();
                return Prepared::Answer(Err(e.unwrap_or(Errno::EOPNOTSUPP)));
            }
        }
        Prepared::Ready
    }
    fn apply(&mut self, cx: &mut Cx<'_>, held: &BothLocked, step: Step) -> Result<u64, Refused> {
        if step == Step::First {
            let r = sys::clone_range(self.n, &self.range).map(|v| v as u64);
            if let Err(why) = r {
                let range = (self.range.dst_offset, cx.intent.length);
                if aftermath::not_cloned(self.n, why, range, held).is_err() {
                    crate::repair::pending::pending_once(cx.s, cx.paths().0);
                }
            }
            return Ok(r?);
        }
        let m = self.n.saturating_add(K);
        let mut r = Err(Errno::EOPNOTSUPP);
        if self.twin.there() {
            r = sys::clone_range(
                m,
                &CloneRange {
                    src: i64::from(self.twin.n),
                    ..self.range
                },
            )
            .map(|_| ());
        }
        if r.is_err() {
            self.touched = true;
            r = bring(self.n, m, cx.intent.offset, cx.intent.length, held);
        }
        owes_time(self.n, held);
        r?;
        Ok(0)
    }
    fn begun(&self) -> bool {
        self.touched
    }
    fn lone(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Lone {
        match self.call {
            Some(call) => lone::by_number(self.n, call, cx, held),
            // A part of a copy: it is made by writes.
            None => Lone::Kernel,
        }
    }
    fn undo(&mut self, cx: &mut Cx<'_>, _: &BothLocked, _: Option<&Untouched<'_>>) -> Sys<()> {
        let (from, old) = (cx.intent.offset, cx.intent.old_size);
        // What was made longer is cut. Old content is gone on this leg, and perhaps on the other.
        if from < old {
            return Err(Errno::EIO);
        }
        if self.touched {
            sys::ftruncate(self.n.saturating_add(K), old)?;
        }
        sys::ftruncate(self.n, old).map(|_| ())
    }
}

fn run_clone(change: &mut Clone<'_>) -> Ran {
    let (pair, leg) = place(change.n);
    let job = Job::on((pair, leg), IntentKind::Write);
    run(job, [None, None], change)
}

/// FICLONE, FICLONERANGE on a destination; FIDEDUPERANGE on a source.
#[inline(never)]
pub fn ioctl(regs: &mut Regs) -> usize {
    let n = fd_arg(regs, 0);
    let command = arg(regs, 1) & 0xffff_ffff;
    if command == sys::FIDEDUPERANGE {
        dedupe_second(n, arg(regs, 2));
        return NATIVE;
    }
    on_pair(regs, n, |regs| {
        let range = match command {
            FICLONE => CloneRange {
                src: i64::from(arg(regs, 2) as i32),
                src_offset: 0,
                length: 0,
                dst_offset: 0,
            },
            _ => match UserPtr::<CloneRange>::new(arg(regs, 2)).read() {
                Ok(range) => range,
                Err(_) => return Ran::Done(Err(Errno::EFAULT)),
            },
        };
        if is_ours(range.src as i32) {
            return Ran::Done(Err(Errno::EBADF));
        }
        let mut change = Clone {
            n,
            range,
            twin: Twin::NONE,
            carry: true,
            touched: false,
            call: Some(regs),
        };
        run_clone(&mut change)
    })
}

/// The part of a copy_file_range that both legs can share with the source. Anything but a number of
/// bytes or `Wait`: copy.
#[inline(never)]
pub fn share(from: i32, to: i32, at: u64, goal: u64, count: u64) -> Ran {
    const NO: Ran = Ran::Done(Ok(0));
    if count < WORTH || !(at | goal).is_multiple_of(BLOCK) || !clones(to) {
        return NO;
    }
    let (Ok(f), Ok(t)) = (sys::fstat(from), sys::fstat(to)) else {
        return NO;
    };
    // An odd end can be shared only at the end of both files.
    let ends = at.saturating_add(count) >= f.size() && goal.saturating_add(count) >= t.size();
    let length = if ends { count } else { count & !(BLOCK - 1) };
    let mut change = Clone {
        n: to,
        range: CloneRange {
            src: i64::from(from),
            src_offset: at,
            length,
            dst_offset: goal,
        },
        twin: Twin::NONE,
        carry: false,
        touched: false,
        call: None,
    };
    match run_clone(&mut change) {
        Ran::Done(Ok(_)) => Ran::Done(Ok(length)),
        ran => ran,
    }
}

/// Deduplication changes no content: it is tried on the second leg, and what becomes of it there is
/// nobody's concern. The kernel does the first leg's at the call's own address.
#[inline(never)]
fn dedupe_second(src: i32, addr: usize) {
    const HEADER: usize = 24;
    const ENTRY: usize = 32;
    if fds::hint(src) == tables::OUT || !clones(src) {
        return;
    }
    let Ok(head) = UserPtr::<[u64; 3]>::new(addr).read() else {
        return;
    };
    let mut loc = Loc::new();
    if crate::path::object::named(src, &mut loc) != Place::In {
        return;
    }
    let Ok(s) = locked(|| session::session(loc.pair, guest())) else {
        return;
    };
    let twin = twin(&s, loc.leg, src);
    // The kernel takes a page of destinations at most.
    for i in 0..((head[2] & 0xffff) as usize).min(127) {
        let entry = UserPtr::<[u64; 2]>::new(
            addr.wrapping_add(HEADER)
                .wrapping_add(i.wrapping_mul(ENTRY)),
        );
        let Ok(e) = entry.read() else {
            break;
        };
        let n = e[0] as i32;
        if !twin.there() || fds::hint(n) != fds::PAIRED || place(n) != (s.pair, loc.leg) {
            continue;
        }
        let mut d = sys::Dedupe {
            src_offset: head[0],
            src_length: head[1],
            count: 1,
            dst: i64::from(n.saturating_add(K)),
            dst_offset: e[1],
            ..sys::Dedupe::default()
        };
        let _ = sys::dedupe(twin.n, &mut d);
    }
    if guest() {
        session::release_guest(&s);
    }
}

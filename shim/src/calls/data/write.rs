//! Data of a descriptor: the write family.
use crate::attach::session::SHARED_FILES;
use crate::calls::at_place::on_pair;
use crate::calls::data::aftermath;
use crate::calls::paired::partner::owes_time;
use crate::change::job::Job;
use crate::change::lone;
use crate::change::number::{describe, place_of};
use crate::change::port::{Ran, run};
use crate::change::target::{Change, Cx, Data};
use crate::process::{actor, fds};
use crate::regs::{Regs, arg, copy_of, fd_arg, raw};
use crate::user::Array;
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::Leg;
use mirror_core::calls::Call;
use mirror_core::runtime::IntentKind;
use mirror_core::{Action, BothLocked, Errno, K, LockPlan, Lone, Prepared, Where};
use mirror_sys as sys;
use mirror_sys::Sys;

/// Longest iovec the kernel takes (UIO_MAXIOV).
const IOV_MAX: usize = 1024;
const RWF_APPEND: usize = 0x10;
const RWF_NOAPPEND: usize = 0x20;
/// RWF_DSYNC | RWF_SYNC: what is said to be on the disk is on both.
const RWF_DURABLE: usize = 0x02 | 0x04;

/// One of the write family.
struct Write<'a> {
    n: i32,
    regs: &'a Regs,
    len: u64,
    /// `None`: at the position of the descriptor.
    offset: Option<u64>,
    /// It goes to the end.
    at_end: bool,
    /// The program's own call on the first leg: nobody else can move the position meanwhile.
    moves: bool,
}

impl Write<'_> {
    /// Where the write goes. O_APPEND is asked for under the lock, and set under it (`set_flags`): a
    /// process that shares the description may be about to set it. If none does, what was remembered holds;
    /// and without a second thread, or a process that shares the table of descriptors, the position is this
    /// call's alone (signals are blocked).
    fn place(&mut self) -> Sys<Where> {
        let known = fds::info(self.n)
            .filter(|_| fds::hint(self.n) == fds::PAIRED && !actor::maybe_guest())
            .and_then(fds::FdInfo::appends);
        self.moves = known == Some(false)
            && !actor::THREADED.load(Ordering::Relaxed)
            && !SHARED_FILES.load(Ordering::Relaxed);
        let mut append = match known {
            Some(appends) => appends,
            None => sys::fcntl(self.n, c::F_GETFL, 0)? as i32 & c::O_APPEND != 0,
        };
        if self.regs.is(Call::Pwritev2) {
            append |= arg(self.regs, 5) & RWF_APPEND != 0;
            append &= arg(self.regs, 5) & RWF_NOAPPEND == 0;
        }
        Ok(match (append, self.offset) {
            (true, o) => Where::End { moves: o.is_none() },
            (false, None) => Where::Position,
            (false, Some(o)) => Where::At(o),
        })
    }
}

impl Change for Write<'_> {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        cx.file_of(self.n)
    }
    fn prepare(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Prepared {
        if let Err(p) = describe(self.n, cx) {
            return p;
        }
        cx.intent.length = self.len;
        let mut at = match self.place() {
            Ok(at) => at,
            Err(e) => return Prepared::Answer(Err(e)),
        };
        match at {
            Where::At(o) => cx.intent.offset = o,
            Where::Position => match sys::lseek(self.n, 0, c::SEEK_CUR) {
                Ok(p) => {
                    cx.position = Some(p);
                    cx.intent.offset = p;
                    if self.moves {
                        // The kernel moves the position; `unwrite` takes that back.
                        at = Where::At(p);
                    }
                }
                Err(e) => return Prepared::Answer(Err(e)),
            },
            Where::End { .. } => {
                if let Err(p) = crate::change::pairing::ends(self.n, cx, held) {
                    return p;
                }
            }
        }
        self.at_end = matches!(at, Where::End { .. });
        self.moves &= cx.position.is_some();
        Prepared::Write(at)
    }
    fn lone(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Lone {
        lone::by_number(self.n, self.regs, cx, held)
    }
    fn data(&mut self) -> Option<&mut dyn Data> {
        Some(self)
    }
}

impl Data for Write<'_> {
    fn fd(&self) -> i32 {
        self.n
    }
    fn write_first(&mut self, at: Option<u64>, held: &BothLocked) -> Sys<u64> {
        self.on_first(at, held)
    }
    fn refused(&mut self, at: Option<u64>, held: &BothLocked) -> Sys<()> {
        let [_, buf, count, _, _, flags] = self.regs.args;
        let durable = self.regs.is(Call::Pwritev2) && flags & RWF_DURABLE != 0;
        let len = match self.regs.call() {
            Some(Call::Write | Call::Pwrite64) => self.len,
            _ => total(buf, count),
        };
        aftermath::not_written(self.n, at, (len, durable), held)
    }
    fn write_second(&mut self, at: u64, done: u64, upto: u64, held: &BothLocked) -> Sys<u64> {
        let m = self.n.saturating_add(K) as usize;
        let [_, buf, len, _, _, flags] = self.regs.args;
        let to = at.saturating_add(done) as usize;
        if self.at_end {
            crate::change::pairing::ended(self.n, at.saturating_add(upto));
            let fits = ends_at(self.n, to as u64);
            if fits != Ok(true) {
                owes_time(self.n, held);
                return Err(fits.err().unwrap_or(Errno::EIO));
            }
        }
        let r = if matches!(self.regs.call(), Some(Call::Write | Call::Pwrite64)) {
            let (from, piece) = (buf.wrapping_add(done as usize), upto.saturating_sub(done));
            // SAFETY: the first leg's write has just read these bytes of the program.
            sys::ret(unsafe { sys::frequent4(c::SYS_pwrite64, m, from, piece as usize, to) })
                .map(|v| v as u64)
        } else {
            let flags = if self.regs.is(Call::Pwritev2) {
                flags
            } else {
                0
            };
            let at = (to, flags & RWF_DURABLE);
            vector(m, (buf, len), (done, upto), at, held)
        };
        owes_time(self.n, held);
        r
    }
}

impl Write<'_> {
    fn on_first(&self, at: Option<u64>, _: &BothLocked) -> Sys<u64> {
        let [fd, buf, len, _, _, flags] = self.regs.args;
        let r = match (self.regs.call(), at) {
            // O_APPEND: the kernel knows the end.
            (_, None) => return raw(self.regs),
            _ if self.moves => return raw(self.regs),
            (Some(Call::Write | Call::Pwrite64), Some(o)) => {
                // SAFETY: the program's buffer, checked by the kernel.
                unsafe { sys::frequent4(c::SYS_pwrite64, fd, buf, len, o as usize) }
            }
            (nr, Some(o)) => {
                let flags = if nr == Some(Call::Pwritev2) { flags } else { 0 };
                // SAFETY: the program's vector, checked by the kernel.
                unsafe { sys::frequent6(c::SYS_pwritev2, fd, buf, len, o as usize, 0, flags) }
            }
        };
        sys::ret(r).map(|v| v as u64)
    }
}

/// The partner of an append-only file appends too, wherever it is told to write: only at the right
/// place then.
fn ends_at(n: i32, to: u64) -> Sys<bool> {
    let m = n.saturating_add(K);
    let known = fds::info(n).filter(|_| fds::hint(n) == fds::PAIRED && !actor::maybe_guest());
    if known.is_some_and(|i| i.places.load(Ordering::Relaxed) != 0) {
        return Ok(true);
    }
    if sys::fcntl(m, c::F_GETFL, 0)? as i32 & c::O_APPEND == 0 {
        if let Some(i) = known {
            i.places.store(1, Ordering::Relaxed);
        }
        return Ok(true);
    }
    Ok(sys::fglance(m)?.size() == to)
}

/// The second leg's vector write: the first has accepted the vector.
#[inline(never)]
fn vector(
    m: usize,
    (addr, count): (usize, usize),
    (done, upto): (u64, u64),
    (to, durable): (usize, usize),
    _: &BothLocked,
) -> Sys<u64> {
    let mut iov = [c::iovec {
        iov_base: core::ptr::null_mut(),
        iov_len: 0,
    }; IOV_MAX];
    let n = trim(addr, count, done, upto, &mut iov)?;
    let p = iov.as_ptr() as usize;
    // SAFETY: our own vector, over buffers that the first write has just read.
    sys::ret(unsafe { sys::frequent6(c::SYS_pwritev2, m, p, n, to, 0, durable) }).map(|v| v as u64)
}

/// Bytes of the program's vector, as far as it can be read.
#[cold]
#[inline(never)]
fn total(addr: usize, count: usize) -> u64 {
    let mut vector = Array::<c::iovec>::new(addr);
    let lengths = (0..count.min(IOV_MAX)).map_while(|i| vector.get(i).ok());
    lengths.fold(0, |sum: u64, v| sum.saturating_add(v.iov_len as u64))
}

/// The part `done..upto` of the program's vector.
fn trim(
    addr: usize,
    count: usize,
    done: u64,
    upto: u64,
    out: &mut [c::iovec; IOV_MAX],
) -> Sys<usize> {
    let mut pos = 0u64;
    let mut n = 0usize;
    let mut vector = Array::<c::iovec>::new(addr);
    for i in 0..count.min(IOV_MAX) {
        let v = vector.get(i)?;
        let (start, end) = (pos, pos.saturating_add(v.iov_len as u64));
        pos = end;
        let (from, to) = (start.max(done), end.min(upto));
        if from >= to {
            continue;
        }
        if let Some(o) = out.get_mut(n) {
            o.iov_base =
                (v.iov_base as usize).wrapping_add(from.saturating_sub(start) as usize) as *mut _;
            o.iov_len = to.saturating_sub(from) as usize;
            n = n.saturating_add(1);
        }
    }
    Ok(n)
}

/// Pair and leg of a descriptor that is of a pair.
pub fn place(n: i32) -> (usize, Leg) {
    place_of(n).unwrap_or((0, Leg::A))
}

/// write, pwrite64, writev, pwritev, pwritev2.
#[inline(never)]
pub fn write(regs: &mut Regs) -> usize {
    let n = fd_arg(regs, 0);
    on_pair(regs, n, |regs| write_paired(regs, n).unwrap_or(Ran::Native))
}

/// `None`: the kernel refuses it.
pub fn write_paired(regs: &Regs, n: i32) -> Option<Ran> {
    let nr = regs.call();
    let offset = match nr {
        Some(Call::Write | Call::Writev) => None,
        Some(Call::Pwritev2) if arg(regs, 3) == usize::MAX => None,
        _ => Some(arg(regs, 3) as u64),
    };
    if offset.is_some_and(|o| (o as i64) < 0) {
        return None;
    }
    let len = if matches!(nr, Some(Call::Write | Call::Pwrite64)) {
        arg(regs, 2) as u64
    } else {
        u64::MAX >> 1
    };
    let (pair, leg) = place(n);
    let copy = copy_of(regs);
    let mut change = Write {
        n,
        regs: &copy,
        len,
        offset,
        at_end: false,
        moves: false,
    };
    let job = Job::on((pair, leg), IntentKind::Write).action(Action::Write(Where::Position));
    Some(run(job, [None, None], &mut change))
}

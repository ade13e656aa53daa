//! The program puts itself under a seccomp filter: whether mirroring can go on below it.
//!
//! Rules: the filter is asked before it holds (`core::bpf`), for the library makes calls that the program
//! does not, and a filter may end the program for them. If those that every change needs are among
//! them, mirroring ends for this process with the filter: what it has open for writing is pending, and
//! the rest is recorded. Nothing is decided before the filter has been installed.
use crate::arch::gates::DISPATCH;
use crate::calls::data::fsync::settle_all;
use crate::calls::exec::count;
use crate::calls::paired::{lent, recognise};
use crate::calls::rules;
use crate::net::{self, arming};
use crate::process::actor::{self, THREADED, TX, guest};
use crate::regs::{FINISH, NATIVE, Regs, answer, arg, raw};
use crate::tables::{ACTIVE, WATCH};
use crate::user::{Array, UserPtr};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use libc as c;
use mirror_core::bpf::{self, Answer, Call};
use mirror_core::calls;
use mirror_core::unmirrored::Kind;
use mirror_sys as sys;

/// What becomes of mirroring below the filter. The greater, the worse.
const GOES_ON: u8 = 0;
/// Some calls are not to be made.
const LESS: u8 = 1;
/// It ends.
const ENDS: u8 = 2;

/// What was found out of a filter that is about to be installed.
static FATE: AtomicU8 = AtomicU8::new(GOES_ON);
static STAGED: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
/// Threads and children can be dispatched below it; handlers can return.
static ARMS: AtomicBool = AtomicBool::new(false);
static RETURNS: AtomicBool = AtomicBool::new(true);
/// What the start of another program needs can be called.
static EXECS: AtomicBool = AtomicBool::new(false);

/// A descriptor of the library's, and an address: filters seldom ask for them.
const N: u64 = 4100;
const P: u64 = 0x7f00_0000_0000;

/// What every change of a file that is open needs, and its close.
const CORE: [(i64, [u64; 6]); 21] = [
    (
        c::SYS_rt_sigprocmask,
        [c::SIG_SETMASK as u64, P, P, 8, 0, 0],
    ),
    (c::SYS_getpid, [0; 6]),
    (c::SYS_sched_yield, [0; 6]),
    (c::SYS_nanosleep, [P, 0, 0, 0, 0, 0]),
    (c::SYS_futex, [P, 128, 0, 0, 0, 0]),
    (c::SYS_futex, [P, 129, 1, 0, 0, 0]),
    (c::SYS_futex, [P, 0, 0, P, 0, 0]),
    (c::SYS_futex, [P, 1, 1, 0, 0, 0]),
    (c::SYS_futex, [P, 133, 0, 0, P, 0]),
    (c::SYS_flock, [N, 6, 0, 0, 0, 0]),
    (c::SYS_flock, [N, 8, 0, 0, 0, 0]),
    (c::SYS_fcntl, [N, c::F_GETFL as u64, 0, 0, 0, 0]),
    (c::SYS_fcntl, [N, c::F_GETFD as u64, 0, 0, 0, 0]),
    (c::SYS_fcntl, [N, c::F_DUPFD_CLOEXEC as u64, N, 0, 0, 0]),
    (c::SYS_lseek, [N, 0, 1, 0, 0, 0]),
    (c::SYS_fstat, [N, P, 0, 0, 0, 0]),
    (c::SYS_statx, [N, P, 0x1000, 0x7ff, P, 0]),
    (c::SYS_write, [N, P, 1, 0, 0, 0]),
    (c::SYS_pwrite64, [N, P, 1, 0, 0, 0]),
    (c::SYS_utimensat, [N, P, P, 0x1000, 0, 0]),
    (c::SYS_close, [N, 0, 0, 0, 0, 0]),
];

/// What else the library calls on its own account: it can do without, or answers an error.
const REST: [i64; 58] = [
    c::SYS_clock_gettime,
    c::SYS_close_range,
    c::SYS_dup3,
    c::SYS_eventfd2,
    c::SYS_faccessat2,
    c::SYS_fallocate,
    c::SYS_fchmod,
    c::SYS_fchmodat,
    c::SYS_fchown,
    c::SYS_fchownat,
    c::SYS_fdatasync,
    c::SYS_fstatfs,
    c::SYS_fsync,
    c::SYS_ftruncate,
    c::SYS_getcwd,
    c::SYS_getdents64,
    c::SYS_getegid,
    c::SYS_geteuid,
    c::SYS_getgroups,
    c::SYS_getpeername,
    c::SYS_getrandom,
    c::SYS_getresuid,
    c::SYS_getsockname,
    c::SYS_getsockopt,
    c::SYS_gettid,
    c::SYS_getxattr,
    c::SYS_kill,
    c::SYS_linkat,
    c::SYS_listxattr,
    c::SYS_madvise,
    c::SYS_memfd_create,
    c::SYS_mkdirat,
    c::SYS_mknodat,
    c::SYS_mremap,
    c::SYS_msync,
    c::SYS_munmap,
    c::SYS_newfstatat,
    c::SYS_openat,
    c::SYS_openat2,
    c::SYS_pipe2,
    c::SYS_poll,
    c::SYS_pread64,
    c::SYS_prlimit64,
    c::SYS_process_vm_readv,
    c::SYS_read,
    c::SYS_readlinkat,
    c::SYS_removexattr,
    c::SYS_renameat2,
    c::SYS_rt_sigpending,
    c::SYS_rt_sigtimedwait,
    c::SYS_setxattr,
    c::SYS_splice,
    c::SYS_symlinkat,
    c::SYS_tee,
    c::SYS_truncate,
    c::SYS_unlinkat,
    c::SYS_wait4,
    c::SYS_ioctl,
];

/// Locks of its own description, by bit as in [`sys::LOCK_COMMANDS`]: for which of them the filter ends the program.
static LOCKS: AtomicU8 = AtomicU8::new(0);

fn locks_that_end(code: &Code) -> u8 {
    let nth = |(i, command): (usize, i32)| {
        let said = code.ask(c::SYS_fcntl, [N, command as u64, P, 0, 0, 0]);
        u8::from(said == Answer::Ends) << i
    };
    let all = sys::LOCK_COMMANDS.into_iter().enumerate();
    all.map(nth).fold(0, |all, one| all | one)
}

/// Arguments of one of [`REST`].
fn typical(nr: i64) -> [u64; 6] {
    match nr {
        c::SYS_openat => [N, P, c::O_CLOEXEC as u64, 0, 0, 0],
        c::SYS_kill => [0, 0, 0, 0, 0, 0],
        _ => [N, P, 0, 0, 0, 0],
    }
}

/// A filter, copied.
struct Code([u64; bpf::LONGEST], usize);

impl Code {
    /// By its struct sock_fprog. `None`: the kernel will refuse it.
    fn read(at: usize) -> Option<Code> {
        let [n, first] = UserPtr::<[u64; 2]>::new(at).read().ok()?;
        let n = usize::from(n as u16);
        let mut code = Code([0; bpf::LONGEST], n);
        let mut from = Array::<u64>::new(first as usize);
        for (i, insn) in code.0.get_mut(..n)?.iter_mut().enumerate() {
            *insn = from.get(i).ok()?;
        }
        Some(code)
    }

    fn ask(&self, nr: i64, args: [u64; 6]) -> Answer {
        let (nr, ip) = (nr as u32, sys::direct().addr() as u64);
        let code = self.0.get(..self.1).unwrap_or(&[]);
        bpf::ask(code, &Call { nr, ip, args })
    }
}

fn stage(nr: i64) {
    if let Some(s) = STAGED.get(nr as usize / 64) {
        s.fetch_or(1 << (nr % 64), Ordering::Relaxed);
    }
}

fn staged(nr: i64) -> bool {
    let all = STAGED.get(nr as usize / 64);
    all.is_some_and(|s| s.load(Ordering::Relaxed) >> (nr % 64) & 1 != 0)
}

/// Looks at what is to be installed.
#[inline(never)]
fn look(at: usize) {
    let Some(code) = Code::read(at) else { return };
    rules::stage(code.0.get(..code.1).unwrap_or(&[]));
    let ends = |nr, args| code.ask(nr, args) == Answer::Ends;
    let mut fate = GOES_ON;
    for nr in REST {
        if ends(nr, typical(nr)) {
            fate = LESS;
            stage(nr);
        }
    }
    let locks = locks_that_end(&code);
    if locks != 0 {
        fate = LESS;
    }
    LOCKS.store(locks, Ordering::Relaxed);
    for (nr, args) in CORE {
        if ends(nr, args) {
            fate = ENDS;
            stage(nr);
        }
    }
    // Without a mask a handler of the program's would run in the midst of a change.
    let masks = |how: u64, set, old| code.ask(c::SYS_rt_sigprocmask, [how, set, old, 8, 0, 0]);
    if masks(c::SIG_SETMASK as u64, P, P) == Answer::Error {
        fate = ENDS;
    }
    // How memory is asked for.
    let asked = [
        masks(sys::NO_HOW as u64, P, 0),
        masks(c::SIG_BLOCK as u64, 0, P),
    ];
    if asked.contains(&Answer::Ends) {
        sys::ask_by_futex();
    }
    EXECS.store(!NEEDED.iter().any(|nr| staged(*nr)), Ordering::Relaxed);
    FATE.fetch_max(fate, Ordering::Relaxed);
    RETURNS.store(!ends(c::SYS_rt_sigreturn, [0; 6]), Ordering::Relaxed);
    let arm = [DISPATCH as u64, 1, P, 4096, 0, 0];
    let arms = code.ask(c::SYS_prctl, arm) == Answer::Made && RETURNS.load(Ordering::Relaxed);
    ARMS.store(arms, Ordering::Relaxed);
}

/// (strict mode, flags, filter) of a call that installs one.
fn parts(regs: &Regs) -> (bool, usize, usize) {
    match regs.call() {
        Some(calls::Call::Prctl) => (
            arg(regs, 1) as u32 != c::SECCOMP_MODE_FILTER,
            0,
            arg(regs, 2),
        ),
        _ => (
            arg(regs, 0) as u32 != c::SECCOMP_SET_MODE_FILTER,
            arg(regs, 1),
            arg(regs, 2),
        ),
    }
}

/// What a guest needs to be told from its lender, and to end.
const NEEDED: [i64; 3] = [c::SYS_rt_sigprocmask, c::SYS_getpid, c::SYS_sched_yield];

/// A guest's: what is remembered is its lender's, so that mirroring cannot go on with less. Where the filter would
/// end the program for a call of the library's, it counts as one that cannot be mirrored, and its calls are the
/// kernel's from then on, if it may still be asked who it is.
#[cold]
#[inline(never)]
fn guests(regs: &mut Regs, strict: bool, code: usize) -> usize {
    let (mut harmless, mut asked) = (!strict, !strict);
    if !strict && let Some(code) = Code::read(code) {
        let passes = |nr, args| code.ask(nr, args) != Answer::Ends;
        let core = || CORE.iter().filter(|(nr, _)| NEEDED.contains(nr));
        asked = core().all(|(nr, args)| passes(*nr, *args));
        harmless = CORE.iter().all(|(nr, args)| passes(*nr, *args))
            && REST.iter().all(|nr| passes(*nr, typical(*nr)))
            && locks_that_end(&code) == 0;
    }
    if harmless {
        return NATIVE;
    }
    lent::record_writable(false);
    count::count_self(Kind::Filter);
    if !asked {
        return NATIVE;
    }
    let r = raw(regs);
    if r.is_ok() {
        actor::stand_aside();
    }
    answer(regs, r)
}

/// Before the exec of a program that cannot be mirrored, and here, what it may write from now on is
/// recorded. The filter may also forbid to look at descriptors: what they are is found out now.
pub fn install(regs: &mut Regs) -> usize {
    let (strict, flags, code) = parts(regs);
    if guest() {
        return guests(regs, strict, code);
    }
    recognise::all();
    let whole = flags & c::SECCOMP_FILTER_FLAG_TSYNC as usize != 0;
    let mine = !THREADED.load(Ordering::Relaxed);
    FATE.store(GOES_ON, Ordering::Relaxed);
    LOCKS.store(0, Ordering::Relaxed);
    RETURNS.store(true, Ordering::Relaxed);
    EXECS.store(false, Ordering::Relaxed);
    ARMS.store(false, Ordering::Relaxed);
    rules::drop_staged();
    if strict {
        FATE.store(ENDS, Ordering::Relaxed);
    } else {
        look(code);
    }
    // The other threads' changes are mirrored as ever; this one's end it, if it makes any.
    if !whole && !mine {
        rules::drop_staged();
        FATE.store(GOES_ON, Ordering::Relaxed);
        LOCKS.store(0, Ordering::Relaxed);
    }
    if strict && !mine {
        net::stop();
        return NATIVE;
    }
    let own = net::leaves_some() && !ARMS.load(Ordering::Relaxed);
    // Programs try what the kernel knows: a call that it refuses installs nothing. (With a listener the child
    // would wait for itself.)
    let listens = !strict && flags & c::SECCOMP_FILTER_FLAG_NEW_LISTENER as usize != 0;
    let grave = FATE.load(Ordering::Relaxed) == ENDS || own;
    if grave && !listens && net::filters::refuses(|| raw(regs).is_ok()) {
        rules::drop_staged();
        return NATIVE;
    }
    if FATE.load(Ordering::Relaxed) == ENDS || own {
        lent::record_writable(false);
    }
    if FATE.load(Ordering::Relaxed) == ENDS {
        TX.lock();
        settle_all();
        TX.unlock();
        count::count_self(Kind::Filter);
    } else if own {
        count::count_self(Kind::OwnCalls);
    }
    FINISH
}

/// In the net's handler, which could not return below what is to be installed: the program's own
/// instruction installs it, and everything is as if it had.
pub fn ahead() -> bool {
    let ends = ends_handlers();
    if ends {
        net::disarm_thread();
        installed();
    }
    ends
}

fn ends_handlers() -> bool {
    FATE.load(Ordering::Relaxed) == ENDS && !RETURNS.load(Ordering::Relaxed)
}

/// The filter is installed here, so that a success is seen; after it nothing is called.
pub fn finish(regs: &mut Regs) -> usize {
    let lost = arming::on() && ends_handlers();
    if lost {
        net::disarm_thread();
    }
    let (strict, flags, _) = parts(regs);
    let were = !ARMS.load(Ordering::Relaxed) && arming::stop_children();
    let r = raw(regs);
    let listens = !strict && flags & c::SECCOMP_FILTER_FLAG_NEW_LISTENER as usize != 0;
    match r {
        Ok(v) if v == 0 || listens => installed(),
        _ => {
            arming::CHILDREN.store(
                were || arming::CHILDREN.load(Ordering::Relaxed),
                Ordering::Relaxed,
            );
            if lost {
                net::rearm_thread();
            }
        }
    }
    answer(regs, r)
}

/// The filter holds.
fn installed() {
    if !ARMS.load(Ordering::Relaxed) {
        net::no_more();
    }
    rules::keep();
    let fate = FATE.load(Ordering::Relaxed);
    if fate != GOES_ON {
        sys::forbid(&STAGED);
        sys::refuse_locks(LOCKS.load(Ordering::Relaxed));
    }
    if fate == ENDS {
        end();
    }
}

/// Mirroring ends: every call is the kernel's, but that the next program is mirrored again.
fn end() {
    let execs = [c::SYS_execve, c::SYS_execveat].map(|nr| nr as usize);
    let keep = EXECS.load(Ordering::Relaxed);
    for (nr, w) in WATCH.iter().enumerate() {
        if !keep || !execs.contains(&nr) {
            w.store(0, Ordering::Relaxed);
        }
    }
    ACTIVE.store(0, Ordering::Relaxed);
}

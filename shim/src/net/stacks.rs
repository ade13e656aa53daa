//! Signal stacks in a process with the net: what the program gives is replaced where two frames do not fit.
//!
//! A program's handler on a signal stack may make calls of its own, and the kernel pushes a second frame, that of
//! SIGSYS, onto the same stack. A stack for one frame alone (MINSIGSTKSZ is 2,048 bytes) is therefore
//! replaced by a larger one of the library's. A thread that gives up its stack to end (Go's `exitThread`
//! makes its last call on a stack that others may have taken already) keeps one of the library's.
//!
//! Rules: the kernel's word is the truth: a place is known by the address that the kernel has; a guest
//! changes nothing here. Calls by libc get the program's own view; dispatched ones, that of the kernel,
//! for Go compares it with the stack pointer.
use crate::process::actor::guest;
use crate::regs::{NATIVE, Regs, answer, arg, raw};
use crate::user::UserPtr;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use libc as c;
use mirror_sys as sys;
use mirror_sys::Sys;

/// struct sigaltstack: address, flags (32 bits), size.
type Stack = [u64; 3];
const ONSTACK: u32 = c::SS_ONSTACK as u32;
const DISABLE: u32 = c::SS_DISABLE as u32;
const AUTODISARM: u32 = 1 << 31;
/// MINSIGSTKSZ, which the kernel asks for.
const LEAST: u64 = 2048;
/// A stack of the library's, and the page below it that nobody may touch.
const SIZE: usize = 64 << 10;
const GUARD: usize = 4096;
/// A frame of the kernel's, where it does not say how large one is; and what the handlers need.
const FRAME: usize = 3632;
const HANDLERS: usize = 4096;

/// One stack of the library's.
struct Place {
    /// The memory; 0: none yet.
    base: AtomicUsize,
    /// The thread that has it; 0: free.
    owner: AtomicI32,
    /// What the program believes: address and size. Size 0: it has none.
    says: [AtomicU64; 2],
    /// What the kernel is given, read behind the handler.
    given: [AtomicU64; 3],
}

static PLACES: [Place; 1024] = [const {
    Place {
        base: AtomicUsize::new(0),
        owner: AtomicI32::new(0),
        says: [const { AtomicU64::new(0) }; 2],
        given: [const { AtomicU64::new(0) }; 3],
    }
}; 1024];
/// Places that have memory.
#[unsafe(link_section = ".data.boot")]
static USED: AtomicUsize = AtomicUsize::new(0);
/// So many are kept for the memory in whose place they stand, before one gets another.
const KEPT: usize = 256;
#[unsafe(link_section = ".data.boot")]
static ANY: AtomicBool = AtomicBool::new(false);
#[unsafe(link_section = ".data.boot")]
static ENOUGH: AtomicUsize = AtomicUsize::new(2 * FRAME + HANDLERS);

/// From boot: the size of the largest frame (AT_MINSIGSTKSZ), or 0.
pub fn frame(size: usize) {
    if size > FRAME && size < SIZE / 4 {
        let enough = size.wrapping_mul(2).wrapping_add(HANDLERS);
        ENOUGH.store(enough, Ordering::Relaxed);
    }
}

impl Place {
    fn address(&self) -> u64 {
        let base = self.base.load(Ordering::Acquire);
        if base == 0 {
            0
        } else {
            base.wrapping_add(GUARD) as u64
        }
    }
    fn says(&self) -> [u64; 2] {
        let [at, size] = &self.says;
        [at.load(Ordering::Relaxed), size.load(Ordering::Relaxed)]
    }
    /// As the kernel gets it.
    fn stack(&self, flags: u32) -> Stack {
        [self.address(), u64::from(flags), (SIZE - GUARD) as u64]
    }
}

/// The place that the kernel uses.
fn known(address: u64) -> Option<&'static Place> {
    if address == 0 || !ANY.load(Ordering::Relaxed) {
        return None;
    }
    PLACES.iter().find(|p| p.address() == address)
}

/// A free place: the one that stood for the same memory before, if there is one. One that this thread has given up
/// is free (the kernel has it no more: it is not at `now`), and so are those of threads that have ended.
fn take(says: [u64; 2], now: u64) -> Option<&'static Place> {
    let me = sys::gettid();
    ANY.store(true, Ordering::Relaxed);
    let ended = |owner: i32| {
        // SAFETY: signal 0 only asks whether the thread exists.
        let r = unsafe { sys::syscall3(c::SYS_tgkill, sys::getpid() as usize, owner as usize, 0) };
        r == -(c::ESRCH as isize)
    };
    let free = |p: &Place, ask: bool| {
        let owner = p.owner.load(Ordering::Relaxed);
        let is = owner == 0 || (owner == me && p.address() != now) || (ask && ended(owner));
        is && p
            .owner
            .compare_exchange(owner, me, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    };
    // What lives on a stack that it has given up (a coroutine) finds it untouched, as long as the program
    // gives that memory to nobody else.
    let [at, _] = says;
    let same = |p: &Place| {
        let [was, _] = p.says();
        was == at
    };
    let used = USED.load(Ordering::Relaxed).min(PLACES.len());
    let (old, new) = PLACES.split_at_checked(used)?;
    let found = old.iter().find(|p| same(p) && free(p, true));
    let found = found.or_else(|| match used < KEPT {
        true => new.iter().find(|p| free(p, false)),
        false => old.iter().find(|p| free(p, false)),
    });
    let found = found.or_else(|| old.iter().find(|p| free(p, true)));
    let p = found.or_else(|| new.iter().find(|p| free(p, false)))?;
    if p.base.load(Ordering::Relaxed) == 0 {
        USED.fetch_add(1, Ordering::Relaxed);
        let Ok(base) = sys::map_anonymous(SIZE) else {
            release(p);
            return None;
        };
        // SAFETY: the first page of what has just been mapped.
        unsafe { sys::syscall3(c::SYS_mprotect, base, GUARD, c::PROT_NONE as usize) };
        p.base.store(base, Ordering::Release);
    }
    for (s, v) in p.says.iter().zip(says) {
        s.store(v, Ordering::Relaxed);
    }
    Some(p)
}

fn release(p: &Place) {
    p.owner.store(0, Ordering::Release);
}

fn kernel(new: Option<&Stack>, old: Option<&mut Stack>) -> Sys<usize> {
    let new = new.map_or(0, |s| s.as_ptr().addr());
    let old = old.map_or(0, |s| s.as_mut_ptr().addr());
    // SAFETY: both are none or stacks of 24 bytes, alive during the call.
    sys::ret(unsafe { sys::syscall2(c::SYS_sigaltstack, new, old) })
}

fn flags(s: &Stack) -> u32 {
    let [_, flags, _] = s;
    *flags as u32
}

fn too_small(s: &Stack) -> bool {
    let [_, _, size] = s;
    flags(s) & DISABLE == 0 && (LEAST..ENOUGH.load(Ordering::Relaxed) as u64).contains(size)
}

/// sigaltstack(2) by libc.
pub fn by_libc(regs: &mut Regs) -> usize {
    let (new, old) = (arg(regs, 0), arg(regs, 1));
    let wanted = match new {
        0 => None,
        at => match UserPtr::<Stack>::new(at).read() {
            Ok(s) => Some(s),
            Err(_) => return NATIVE,
        },
    };
    let small = wanted.as_ref().is_some_and(too_small);
    if guest() || (!small && !ANY.load(Ordering::Relaxed)) {
        return NATIVE;
    }
    let mut before: Stack = [0; 3];
    if kernel(None, Some(&mut before)).is_err() {
        return NATIVE;
    }
    let [address, ..] = before;
    let was = known(address);
    let place = wanted
        .as_ref()
        .filter(|_| small)
        .and_then(|&[at, _, size]| take([at, size], address));
    let given = match (place, &wanted) {
        (Some(p), Some(w)) => p.stack(flags(w)),
        (_, w) => w.unwrap_or_default(),
    };
    let with = Regs {
        args: [
            if new == 0 { 0 } else { given.as_ptr().addr() },
            0,
            0,
            0,
            0,
            0,
        ],
        ..*regs
    };
    let r = raw(&with);
    match (r.is_ok(), was, place) {
        (true, Some(w), _) if new != 0 => release(w),
        (false, _, Some(p)) => release(p),
        _ => {}
    }
    let r = r.and_then(|v| {
        let seen = was.map_or(before, |w| view(w, &before));
        tell(old, &seen).map(|()| v)
    });
    answer(regs, r)
}

/// What the program has, where the kernel has a place of the library's.
fn view(p: &Place, kernels: &Stack) -> Stack {
    match p.says() {
        [_, 0] => [0, u64::from(DISABLE), 0],
        [at, size] => [at, u64::from(flags(kernels)), size],
    }
}

fn tell(at: usize, s: &Stack) -> Sys<()> {
    if at == 0 {
        return Ok(());
    }
    let [address, flags, size] = s;
    UserPtr::<u64>::new(at).write(*address)?;
    // The upper half is the program's padding.
    UserPtr::<u64>::new(at.wrapping_add(8)).write(*flags)?;
    UserPtr::<u64>::new(at.wrapping_add(16)).write(*size)
}

/// sigaltstack(2) of a dispatched call, made behind the handler (on a signal stack the kernel would refuse
/// it): only what it is given is changed. An answer: the program asks what it has, which is none.
pub fn dispatched(regs: &mut Regs, uc: &c::ucontext_t) -> Option<Sys<u64>> {
    let address = uc.uc_stack.ss_sp.addr() as u64;
    let new = arg(regs, 0);
    if guest() {
        return None;
    }
    if new == 0 {
        let hidden = known(address).is_some_and(|p| matches!(p.says(), [_, 0]));
        return hidden.then(|| tell(arg(regs, 1), &[0, u64::from(DISABLE), 0]).map(|()| 0));
    }
    let w = UserPtr::<Stack>::new(new).read().ok()?;
    // SAFETY: uc_sigmask is larger than eight bytes and aligned for them.
    let mask: u64 = unsafe { *(&raw const uc.uc_sigmask).cast() };
    let [at, _, size] = w;
    let (says, flags) = match flags(&w) & !AUTODISARM {
        // All signals blocked and no stack: a thread is about to end.
        DISABLE if mask.count_ones() >= 56 => ([0, 0], flags(&w) & AUTODISARM),
        _ if too_small(&w) => ([at, size], flags(&w)),
        _ => return None,
    };
    let p = take(says, address)?;
    for (g, v) in p.given.iter().zip(p.stack(flags)) {
        g.store(v, Ordering::Relaxed);
    }
    if let Some(a) = regs.args.first_mut() {
        *a = p.given.as_ptr().addr();
    }
    None
}

/// A thread that is armed late may have given a small one before.
pub fn adopt() {
    let mut now: Stack = [0; 3];
    if guest() || kernel(None, Some(&mut now)).is_err() || flags(&now) & ONSTACK != 0 {
        return;
    }
    let [at, _, size] = now;
    if too_small(&now)
        && let Some(p) = take([at, size], at)
        && kernel(Some(&p.stack(flags(&now) & AUTODISARM)), None).is_err()
    {
        release(p);
    }
}

/// In the child of a fork: one thread is left, with what it had.
pub fn forget() {
    if !ANY.load(Ordering::Relaxed) {
        return;
    }
    let mut now: Stack = [0; 3];
    let _ = kernel(None, Some(&mut now));
    let [address, ..] = now;
    for p in &PLACES {
        let mine = address != 0 && p.address() == address;
        p.owner
            .store(if mine { sys::gettid() } else { 0 }, Ordering::Relaxed);
    }
}

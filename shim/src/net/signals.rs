//! SIGSYS belongs to the net: what the program does with it is kept here, and never reaches the kernel.
//!
//! Rules: no mask that the kernel gets has SIGSYS in it; a guest stores nothing, its memory is its
//! parent's; a SIGSYS that is no dispatched call does what the program has said.
use crate::arch::gates::{self, TRAMPOLINE};
use crate::cell::BootCell;
use crate::net::frames;
use crate::process::actor::{guest, is_private_copy};
use crate::regs::{NATIVE, Regs, answer, arg, raw};
use crate::user::{self, UserPtr};
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use libc as c;
use mirror_core::Errno;
use mirror_core::calls::Call;
use mirror_sys as sys;
use mirror_sys::Sys;

/// What stands in siginfo_t for SIGSYS.
#[repr(C)]
pub struct Info {
    pub signo: i32,
    pub errno: i32,
    pub code: i32,
    pub address: usize,
    pub nr: i32,
    pub arch: u32,
}

/// si_code of a call that a filter has stopped (SYS_SECCOMP).
const BY_FILTER: i32 = 1;

/// A handler of SIGSYS.
pub type Handler = extern "C" fn(i32, &Info, &mut c::ucontext_t);

/// The library's own.
#[unsafe(link_section = ".data.boot")]
static HANDLER: BootCell<Option<Handler>> = BootCell::new(None);

const SIGSYS: usize = c::SIGSYS as usize;
const BIT: u64 = 1 << (SIGSYS - 1);
const SIZE: usize = 8;

/// The kernel's struct sigaction: handler, flags, restorer, mask.
type Action = [u64; 4];
const SA_RESTORER: u64 = 0x0400_0000;

/// The program's own action for SIGSYS.
#[unsafe(link_section = ".data.boot")]
static ACTION: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

fn load() -> Action {
    [0, 1, 2, 3].map(|i| ACTION.get(i).map_or(0, |a| a.load(Ordering::Relaxed)))
}

fn store(new: Action) {
    // The handler last: a mask and flags of another one do no harm without it.
    for i in [3, 2, 1, 0] {
        if let (Some(a), Some(v)) = (ACTION.get(i), new.get(i)) {
            a.store(*v, Ordering::Relaxed);
        }
    }
}

fn kernel_action(new: Option<&Action>, old: Option<&mut Action>) -> Sys<usize> {
    let new = new.map_or(0, |a| a.as_ptr().addr());
    let old = old.map_or(0, |a| a.as_mut_ptr().addr());
    // SAFETY: both are none or actions of 32 bytes, alive during the call.
    sys::ret(unsafe { sys::syscall4(c::SYS_rt_sigaction, SIGSYS, new, old, SIZE) })
}

/// Says what the library's handler is. At boot.
pub fn handled_by(handler: Handler) {
    // SAFETY: boot runs alone.
    *unsafe { HANDLER.boot_mut() } = Some(handler);
}

/// Installs the handler, keeps what was there, and unblocks SIGSYS.
pub fn take(trampoline: usize) -> bool {
    let Some(entry) = *HANDLER.get() else {
        return false;
    };
    let flags = (c::SA_SIGINFO | c::SA_NODEFER | c::SA_ONSTACK) as u32;
    let new = [
        entry as usize as u64,
        u64::from(flags) | SA_RESTORER,
        trampoline as u64,
        0,
    ];
    let mut old = [0; 4];
    if kernel_action(Some(&new), Some(&mut old)).is_err() {
        return false;
    }
    store(old);
    unblock();
    true
}

/// In the calling thread.
pub fn unblock() {
    let set: *const u64 = &BIT;
    // SAFETY: a set of eight bytes; no old one.
    unsafe {
        sys::syscall4(
            c::SYS_rt_sigprocmask,
            c::SIG_UNBLOCK as usize,
            set.addr(),
            0,
            SIZE,
        )
    };
}

/// In the frame that a handler's own trampoline returns by: its context stands at the stack pointer.
pub fn strip_frame(sp: usize) {
    let at = UserPtr::<u64>::new(sp.wrapping_add(core::mem::offset_of!(c::ucontext_t, uc_sigmask)));
    if let Ok(mask) = at.read()
        && mask & BIT != 0
    {
        let _ = at.write(mask & !BIT);
    }
}

/// What a handler gets: no SIGSYS in its mask, and in the place of libc's trampoline one that takes it out of
/// the mask that the program may have written into the context. Whether anything was changed.
fn make_ours(a: &mut Action) -> bool {
    let old = *a;
    let [_, flags, restorer, mask] = a;
    *mask &= !BIT;
    if *flags & SA_RESTORER != 0 && *restorer == TRAMPOLINE.load(Ordering::Relaxed) as u64 {
        *restorer = gates::returned() as u64;
    }
    *a != old
}

/// Does so to all handlers that are installed already.
pub fn strip_masks() {
    for sig in 1..=64usize {
        let mut a: Action = [0; 4];
        let at = a.as_mut_ptr().addr();
        // SAFETY: an action of 32 bytes, alive during both calls.
        let call = |new: usize, old: usize| unsafe {
            sys::syscall4(c::SYS_rt_sigaction, sig, new, old, SIZE)
        };
        if call(0, at) != 0 {
            continue;
        }
        if make_ours(&mut a) {
            call(at, 0);
        }
    }
}

/// As before [`take`].
pub fn give_back() {
    let _ = kernel_action(Some(&load()), None);
}

/// rt_sigaction(2).
pub fn action(regs: &mut Regs) -> usize {
    let (sig, new, size) = (arg(regs, 0) as u32 as usize, arg(regs, 1), arg(regs, 3));
    if size != SIZE {
        return NATIVE;
    }
    if sig == SIGSYS {
        let r = own_action(new, arg(regs, 2));
        return answer(regs, r);
    }
    let mut a: Action = [0; 4];
    if new != 0 {
        let Ok(given) = UserPtr::<Action>::new(new).read() else {
            return NATIVE;
        };
        a = given;
        make_ours(&mut a);
    }
    let at = if new == 0 { 0 } else { a.as_ptr().addr() };
    let old = arg(regs, 2);
    let with = Regs {
        args: [sig, at, old, size, 0, 0],
        ..*regs
    };
    let r = raw(&with);
    if r.is_ok() && old != 0 {
        let restorer = UserPtr::<u64>::new(old.wrapping_add(16));
        if restorer.read() == Ok(gates::returned() as u64) {
            let _ = restorer.write(TRAMPOLINE.load(Ordering::Relaxed) as u64);
        }
    }
    answer(regs, r)
}

/// Whether what is stored is this process's: a guest that runs on a copy has one of its own, until it lends it.
fn mine() -> bool {
    !guest() || is_private_copy()
}

fn own_action(new: usize, old: usize) -> Sys<u64> {
    let before = load();
    if new != 0 {
        let a = UserPtr::<Action>::new(new).read()?;
        if mine() {
            store(a);
        }
    }
    if old != 0 {
        for (i, v) in before.into_iter().enumerate() {
            let at = old.checked_add(i.wrapping_mul(8)).ok_or(Errno::EFAULT)?;
            UserPtr::<u64>::new(at).write(v)?;
        }
    }
    Ok(0)
}

/// rt_sigprocmask(2), made here if the set has SIGSYS.
pub fn mask(regs: &mut Regs) -> usize {
    let blocks = arg(regs, 0) as i32 != c::SIG_UNBLOCK;
    if !blocks || arg(regs, 1) == 0 || arg(regs, 3) != SIZE {
        return NATIVE;
    }
    let set = match user::word(arg(regs, 1)) {
        Some(set) if set & BIT != 0 => set & !BIT,
        _ => return NATIVE,
    };
    let set: *const u64 = &set;
    let with = Regs {
        args: [arg(regs, 0), set.addr(), arg(regs, 2), SIZE, 0, 0],
        ..*regs
    };
    let r = raw(&with);
    answer(regs, r)
}

/// rt_sigprocmask(2) of a dispatched call, on the mask that holds after the handler.
pub fn mask_of(regs: &Regs, mask: &mut u64) -> Sys<u64> {
    if arg(regs, 3) != SIZE {
        return Err(Errno::EINVAL);
    }
    let old = *mask;
    if arg(regs, 1) != 0 {
        let set = UserPtr::<u64>::new(arg(regs, 1)).read()?;
        let new = match arg(regs, 0) as i32 {
            c::SIG_BLOCK => old | set,
            c::SIG_UNBLOCK => old & !set,
            c::SIG_SETMASK => set,
            _ => return Err(Errno::EINVAL),
        };
        *mask = new & !BIT;
    }
    if arg(regs, 2) != 0 {
        UserPtr::<u64>::new(arg(regs, 2)).write(old)?;
    }
    Ok(0)
}

/// Calls that wait under a mask: they get another one, which stays where it is.
pub fn waits(regs: &mut Regs) -> usize {
    let (i, size) = match regs.call() {
        Some(Call::RtSigsuspend) => (0, arg(regs, 1)),
        Some(Call::Ppoll) => (3, arg(regs, 4)),
        Some(Call::Pselect6) => (5, SIZE),
        _ => (4, arg(regs, 5)),
    };
    let at = arg(regs, i);
    if at == 0 || size != SIZE {
        return NATIVE;
    }
    let pselect = regs.is(Call::Pselect6);
    let at = match pselect {
        // A pointer to the set, and its size.
        true => match (user::word(at), user::word(at.wrapping_add(8))) {
            (Some(at), Some(8)) if at != 0 => at as usize,
            _ => return NATIVE,
        },
        false => at,
    };
    let Some(set) = user::word(at).filter(|s| s & BIT != 0) else {
        return NATIVE;
    };
    if let (Some(kept), Some(a)) = (keep(set & !BIT), regs.args.get_mut(i)) {
        *a = if pselect {
            (&raw const kept.pair).addr()
        } else {
            (&raw const kept.set).addr()
        };
    }
    NATIVE
}

/// A set, and what pselect6 gets: its address and its size.
struct Kept {
    set: AtomicU64,
    pair: [AtomicUsize; 2],
}

/// Sets that calls wait under. They are few in a program, and read by the kernel at any time: none is
/// taken away until all places are in use.
static KEPT: [Kept; 64] = [const {
    Kept {
        set: AtomicU64::new(0),
        pair: [const { AtomicUsize::new(0) }; 2],
    }
}; 64];
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// The place of a set that has been stored.
fn keep(set: u64) -> Option<&'static Kept> {
    let used = |k: &&Kept| {
        k.pair
            .first()
            .is_some_and(|p| p.load(Ordering::Acquire) != 0)
    };
    let same = |k: &&Kept| used(k) && k.set.load(Ordering::Relaxed) == set;
    if let Some(k) = KEPT.iter().find(same) {
        return Some(k);
    }
    let k = KEPT.get(NEXT.fetch_add(1, Ordering::Relaxed) % KEPT.len())?;
    k.set.store(set, Ordering::Relaxed);
    let [at, size] = &k.pair;
    size.store(SIZE, Ordering::Relaxed);
    at.store((&raw const k.set).addr(), Ordering::Release);
    Some(k)
}

/// A SIGSYS that somebody sent, or that the program's filter made of a call.
pub fn foreign(sig: i32, info: &Info, uc: &mut c::ucontext_t) {
    let [handler, flags, restorer, mask] = load();
    match handler as usize {
        c::SIG_IGN if info.code != BY_FILTER => return,
        // A call that a filter has stopped does not go on.
        c::SIG_IGN | c::SIG_DFL => {
            end();
            return;
        }
        _ => {}
    }
    if flags & c::SA_RESETHAND as u32 as u64 != 0 && mine() {
        store([0; 4]);
    }
    // SAFETY: the context is the kernel's, whose mask has at least eight bytes.
    unsafe { *(&raw mut uc.uc_sigmask).cast::<u64>() &= !BIT };
    if flags & c::SA_ONSTACK as u64 == 0 && frames::is_elsewhere(uc) {
        let mut action = [handler, flags, restorer, mask];
        make_ours(&mut action);
        let [_, _, restorer, mask] = action.map(|v| v as usize);
        let (handler, mask) = (handler as usize, mask as u64);
        let entry = frames::Entry {
            handler,
            restorer,
            mask,
        };
        // SAFETY: this is the last thing that the handler of SIGSYS does.
        unsafe { frames::lead_into(&entry, uc) };
        return;
    }
    let set = mask & !BIT;
    let set: *const u64 = &set;
    // SAFETY: a set of eight bytes; no old one. The mask of the context is put back after the handler.
    unsafe {
        sys::syscall4(
            c::SYS_rt_sigprocmask,
            c::SIG_BLOCK as usize,
            set.addr(),
            0,
            SIZE,
        )
    };
    // SAFETY: what the program has given to sigaction is a function of this form (or of its first
    // argument alone).
    let handler: Handler = unsafe { core::mem::transmute(handler as usize) };
    handler(sig, info, uc);
    // SAFETY: the context is the kernel's, whose mask has at least eight bytes.
    unsafe { *(&raw mut uc.uc_sigmask).cast::<u64>() &= !BIT };
}

/// The program ends as by the signal's default action.
fn end() {
    let _ = kernel_action(Some(&[0; 4]), None);
    // SAFETY: no pointers. The signal is taken when this handler returns, at the latest.
    unsafe {
        sys::syscall3(
            c::SYS_tgkill,
            sys::getpid() as usize,
            sys::gettid() as usize,
            SIGSYS,
        )
    };
}

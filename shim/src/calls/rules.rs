//! What the program's own filters deny is denied: the library would make other calls in its place, which they
//! may allow.
//!
//! Rules: a call goes to the kernel as it is only if a filter certainly denies it, for it is not carried out
//! then. Filters are kept as they were when they were installed; what somebody else has installed, or for
//! one thread of several, is not known.
use crate::regs::Regs;
use core::sync::atomic::{AtomicUsize, Ordering};
use mirror_core::bpf;
use mirror_sys as sys;

/// Copies: address and number of instructions. The number is stored last.
static KEPT: [[AtomicUsize; 2]; 16] = [const { [const { AtomicUsize::new(0) }; 2] }; 16];
#[unsafe(link_section = ".data.boot")]
static COUNT: AtomicUsize = AtomicUsize::new(0);
/// A copy of what is about to be installed.
static STAGED: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// Before a filter is installed: a copy.
pub fn stage(code: &[u64]) {
    let [at, len] = &STAGED;
    len.store(0, Ordering::Relaxed);
    if code.is_empty() || code.len() > bpf::LONGEST || bpf::asks_where(code) {
        return;
    }
    // One that came to nothing leaves its memory to the next.
    let mut to = at.load(Ordering::Relaxed);
    if to == 0 {
        let Ok(new) = sys::map_anonymous(bpf::LONGEST.wrapping_mul(8)) else {
            return;
        };
        to = new;
        at.store(to, Ordering::Relaxed);
    }
    // SAFETY: room for the longest filter, of this library alone; nobody reads it yet.
    let out = unsafe { core::slice::from_raw_parts_mut(to as *mut u64, bpf::LONGEST) };
    for (o, i) in out.iter_mut().zip(code) {
        *o = *i;
    }
    len.store(code.len(), Ordering::Relaxed);
}

/// Nothing is kept of it.
pub fn drop_staged() {
    let [_, len] = &STAGED;
    len.store(0, Ordering::Relaxed);
}

/// It holds now.
pub fn keep() {
    let [from, len] = &STAGED;
    let n = len.swap(0, Ordering::Relaxed);
    let place = COUNT.load(Ordering::Relaxed);
    if n == 0 {
        return;
    }
    if let Some([at, length]) = KEPT.get(place) {
        at.store(from.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        length.store(n, Ordering::Relaxed);
        COUNT.store(place.wrapping_add(1), Ordering::Release);
    }
}

/// Whether a filter that holds denies the program's own call.
#[inline]
pub fn denied(regs: &Regs) -> bool {
    match COUNT.load(Ordering::Acquire) {
        0 => false,
        n => ask(regs, n),
    }
}

#[cold]
#[inline(never)]
fn ask(regs: &Regs, n: usize) -> bool {
    let call = bpf::Call {
        nr: regs.nr as u32,
        ip: 0,
        args: regs.args.map(|a| a as u64),
    };
    KEPT.iter().take(n).any(|[at, len]| {
        let (at, len) = (at.load(Ordering::Relaxed), len.load(Ordering::Relaxed));
        // SAFETY: a copy of so many instructions, which nobody changes any more.
        let code = unsafe { core::slice::from_raw_parts(at as *const u64, len) };
        bpf::denies(code, &call)
    })
}

//! execve, execveat: the next program must be mirrored too, or what it can still write is recorded.
//!
//! Rules: the program's arrays are read where the kernel would read them, never copied to its stack;
//! a new array is mapped only when an entry must be put back. The call itself is made by its own
//! instruction: the new program inherits the signal mask, and a vfork child shares our stacks.
use crate::calls::args::copy_path;
use crate::calls::data::fsync::settle_all;
use crate::calls::exec::count::count;
use crate::calls::exec::file::{Target, base, inspect};
use crate::calls::exec::touch::Touched;
use crate::calls::paired::lent::record_writable;
use crate::config;
use crate::path::loc::Path;
use crate::process::actor::{TX, guest};
use crate::process::fds::{ANY_PARTNER, OLD_SOFT, lent};
use crate::program::env::{self, INJECTED, NAMES, Var};
use crate::regs::{NATIVE, Regs, arg, fail};
use crate::user::{Array, begins};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use libc as c;
use mirror_core::calls::Call;
use mirror_core::numbers::SENTINEL;
use mirror_core::path::PathText;
use mirror_core::{Errno, K, RESERVED};
use mirror_sys as sys;
use mirror_sys::Sys;

/// The family's entry.
#[inline(never)]
pub fn exec(regs: &mut Regs) -> usize {
    // Of a child that shares this memory: the next program also has what another thread of the lender has opened
    // since the clone, and nothing of what it does is seen here.
    lent();
    let at = regs.is(Call::Execveat);
    let (dir, path, env_index): (i32, usize, usize) = if at {
        (arg(regs, 0) as i32, arg(regs, 1), 3)
    } else {
        (c::AT_FDCWD, arg(regs, 0), 2)
    };
    let mut text = Path::new();
    if copy_path(path, &mut text).is_none() {
        return NATIVE;
    }
    let flags = if at { arg(regs, 4) as i32 } else { 0 };
    let mut file = Path::new();
    let target = inspect(dir, &text, flags, &mut file);
    match target {
        Target::Unknown => return NATIVE,
        // One that the kernel will not start counts for nothing.
        Target::Not(kind) if text.is_empty() || sys::executable(dir, &text) => {
            let argv = arg(regs, env_index.saturating_sub(1));
            if !count(kind, base(file.as_bytes()), Touched::of(dir, &text, argv)) {
                return fail(regs, Errno::EACCES);
            }
        }
        _ => {}
    }
    if !guest() {
        // Transactions under way in other threads end first; what is begun after this and cut off by
        // the exec is healed by the next holder of the locks.
        TX.lock();
        settle_all();
        crate::calls::mapped::hooks::settle_all(false);
        TX.unlock();
    }
    if matches!(target, Target::Mirrorable | Target::Sanitized) {
        if SEALED.swap(false, Ordering::Relaxed) {
            seal(false);
        }
        // An array that cannot be read is the kernel's to refuse.
        if let (Ok(Some(envp)), Some(a)) = (
            with_environment(arg(regs, env_index), target == Target::Sanitized),
            regs.args.get_mut(env_index),
        ) {
            *a = envp;
        }
    } else {
        record_writable(true);
        SEALED.store(true, Ordering::Relaxed);
        seal(true);
        if let (Ok((_, hard)), old @ 1..) = (sys::nofile(None), OLD_SOFT.load(Ordering::Relaxed)) {
            let _ = sys::nofile(Some((old, hard)));
        }
    }
    // By its own instruction, with the program's mask (a new program inherits it) and stack. If it
    // fails, the array stays in its slot and the seal until the next exec.
    NATIVE
}

/// Partners were told to close on an exec that may have failed.
static SEALED: AtomicBool = AtomicBool::new(false);

/// Partners close on exec, or (after a failed one) as their descriptors do.
fn seal(on: bool) {
    if !ANY_PARTNER.load(Ordering::Relaxed) {
        return;
    }
    if on {
        sys::close_numbers(RESERVED, config::numbers_end(), true);
        return;
    }
    let _ = sys::fcntl(SENTINEL, c::F_SETFD, 0);
    for n in 0..RESERVED {
        if let Ok(f) = sys::fd_flags(n) {
            let _ = sys::fcntl(n.saturating_add(K), c::F_SETFD, f as usize);
        }
    }
}

/// A text of the environment that is made here.
type Text = PathText<4096>;

/// `ASAN_OPTIONS=` with what keeps AddressSanitizer from minding that the library was loaded before it; `None`: it
/// is told already, or there is no room.
#[cold]
fn unminded(theirs: Option<usize>) -> Option<Text> {
    const NAME: &[u8] = b"ASAN_OPTIONS=";
    const OPTION: &[u8] = b"verify_asan_link_order";
    let mut old = Path::new();
    if let Some(at) = theirs {
        copy_path(at, &mut old)?;
    }
    if old.as_bytes().windows(OPTION.len()).any(|w| w == OPTION) {
        return None;
    }
    let mut t = Text::new();
    t.append(NAME).ok()?;
    if let Some(old) = old.as_bytes().get(NAME.len()..).filter(|v| !v.is_empty()) {
        t.append(old).ok()?;
        t.append(b":").ok()?;
    }
    t.append(OPTION).ok()?;
    t.append(b"=0").ok()?;
    Some(t)
}

/// A new array with what the program's lacks; `None`: it has everything.
#[inline(never)]
// long: one pass over the array, then the new one
fn with_environment(envp: usize, sanitized: bool) -> Sys<Option<usize>> {
    let own = env::own_path();
    let mut n = 0usize;
    let mut have = [false; NAMES.len()];
    let (mut preload, mut options) = (None, None);
    let mut array = Array::<usize>::new(envp);
    loop {
        if envp == 0 {
            break;
        }
        let e = array.get(n)?;
        if e == 0 {
            break;
        }
        for (h, name) in have.iter_mut().zip(NAMES) {
            if begins(e, name.to_bytes()) {
                *h = true;
            }
        }
        if begins(e, b"LD_PRELOAD=") {
            preload = Some(e);
        }
        if sanitized && options.is_none() && begins(e, b"ASAN_OPTIONS=") {
            options = Some((n, e));
        }
        n = n.checked_add(1).ok_or(Errno::E2BIG)?;
    }
    let mut value = Path::new();
    if let Some(p) = preload {
        let _ = copy_path(p, &mut value);
    }
    let whole = preload.is_some() && has_library(value.as_bytes().get(11..).unwrap_or(&[]), own);
    let unminded = if sanitized {
        unminded(options.map(|(_, e)| e))
    } else {
        None
    };
    if whole && unminded.is_none() {
        return Ok(None);
    }
    // Array, then the two strings that are made here: LD_PRELOAD=ours[:theirs], and for AddressSanitizer.
    let words = n
        .checked_add(NAMES.len())
        .and_then(|w| w.checked_add(4))
        .ok_or(Errno::E2BIG)?;
    let room = words
        .checked_mul(8)
        .and_then(|w| w.checked_add(8192 + 4096))
        .ok_or(Errno::E2BIG)?;
    let map = array_room(room)?;
    let put = |i: usize, v: usize| {
        // SAFETY: i < words, inside the mapping made above.
        unsafe { (map as *mut usize).wrapping_add(i).write(v) };
    };
    for i in 0..n {
        put(i, array.get(i)?);
    }
    let text = map.wrapping_add(words.saturating_mul(8));
    let mut i = n;
    if let Some(t) = unminded {
        let at = text.wrapping_add(8192);
        store(at, t.as_bytes());
        match options {
            Some((nth, _)) => put(nth, at),
            None => {
                put(i, at);
                i = i.saturating_add(1);
            }
        }
    }
    if whole {
        put(i, 0);
        return Ok(Some(map));
    }
    put(i, INJECTED.as_ptr() as usize);
    for (k, h) in have.iter().enumerate() {
        let var = [
            Var::Mirror,
            Var::Mirrortab,
            Var::MirrorCache,
            Var::MirrorOnly,
            Var::MirrorOptional,
            Var::MirrorNet,
            Var::Home,
        ];
        let Some(&v) = var.get(k) else { continue };
        if let (false, Some(w)) = (*h, env::whole(v)) {
            i = i.saturating_add(1);
            put(i, w.as_ptr() as usize);
        }
    }
    let mut t = PathText::<8192>::new();
    let _ = t.append(b"LD_PRELOAD=");
    let _ = t.append(own);
    if let Some(theirs) = value.as_bytes().get(11..).filter(|v| !v.is_empty()) {
        for part in theirs.split(|&b| is_separator(b)) {
            if !part.is_empty() && !relative_own(part, own) {
                let _ = t.append(b":");
                let _ = t.append(part);
            }
        }
    }
    store(text, t.as_bytes());
    i = i.saturating_add(1);
    put(i, text);
    put(i.saturating_add(1), 0);
    Ok(Some(map))
}

/// Puts a text behind the array.
fn store(at: usize, text: &[u8]) {
    for (j, &b) in text.iter().enumerate() {
        // SAFETY: `with_environment` has mapped 8192 bytes for the one text and 4096 for the other, all zero, and
        // both are shorter.
        unsafe { (at as *mut u8).wrapping_add(j).write(b) };
    }
}

/// Arrays made here: a vfork child's stays in its parent's memory. A slot is free again when the process
/// that used it has ended.
struct Slot {
    pid: AtomicI32,
    at: AtomicUsize,
    len: AtomicUsize,
}
static ARRAYS: [Slot; 32] = [const {
    Slot {
        pid: AtomicI32::new(0),
        at: AtomicUsize::new(0),
        len: AtomicUsize::new(0),
    }
}; 32];

/// Zeroed memory for an array.
fn array_room(len: usize) -> Sys<usize> {
    let me = sys::getpid();
    for s in &ARRAYS {
        let pid = s.pid.load(Ordering::Relaxed);
        if pid != 0 && pid != me && sys::alive(pid) {
            continue;
        }
        if s.pid
            .compare_exchange(pid, me, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            continue;
        }
        let old = s.len.swap(0, Ordering::Relaxed);
        if old != 0 {
            // SAFETY: its user has ended, or is this process with an exec that failed.
            unsafe { sys::unmap(s.at.load(Ordering::Relaxed), old) };
        }
        let at = sys::map_anonymous(len)?;
        s.at.store(at, Ordering::Relaxed);
        s.len.store(len, Ordering::Relaxed);
        return Ok(at);
    }
    sys::map_anonymous(len)
}

fn is_separator(b: u8) -> bool {
    b == b':' || b == b' '
}

/// Whether it names the library by a path that depends on the cwd.
fn relative_own(part: &[u8], own: &[u8]) -> bool {
    part.first() != Some(&b'/') && part.contains(&b'/') && base(part) == base(own)
}

/// Whether a preload list names the library, by an absolute path or by its file name.
fn has_library(list: &[u8], own: &[u8]) -> bool {
    let mut parts = list.split(|&b| is_separator(b));
    parts.any(|p| p == own || (base(p) == base(own) && !relative_own(p, own)))
}

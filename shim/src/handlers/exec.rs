//! execve, execveat: the next program must be mirrored too, or what it can still write is recorded.
//!
//! Rules: the program's arrays are read where the kernel would read them, never copied to its stack;
//! a new array is mapped only when an entry must be put back. The call itself is made by its own
//! instruction: the new program inherits the signal mask, and a vfork child shares our stacks.
use super::process::settle_all;
use super::{arg, copy_path};
use crate::arch::{NATIVE, Regs};
use crate::attach;
use crate::env::{self, INJECTED, NAMES, Var};
use crate::resolve::Path;
use crate::state::{self, ANY_PARTNER, OLD_SOFT, PAIRED, TX, guest};
use crate::user::{Array, begins};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use libc as c;
use mirror_core::numbers::SENTINEL;
use mirror_core::path::PathText;
use mirror_core::program;
use mirror_core::{Errno, K, RESERVED, StateWord};
use mirror_sys as sys;
use mirror_sys::Sys;

/// Whether the next program will load the library.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Mirrorable,
    /// Static, without libc, setuid, another architecture; Go where calls cannot be dispatched.
    Not,
    /// The kernel will refuse it anyway.
    Unknown,
}

/// The family's entry.
#[inline(never)]
pub fn exec(regs: &mut Regs) -> usize {
    let at = regs.nr as i64 == c::SYS_execveat;
    let (dir, path, env_index) = if at {
        (arg(regs, 0) as i32, arg(regs, 1), 3)
    } else {
        (c::AT_FDCWD, arg(regs, 0), 2)
    };
    let mut text = Path::new();
    if copy_path(path, &mut text).is_none() {
        return NATIVE;
    }
    let flags = if at { arg(regs, 4) as i32 } else { 0 };
    let target = inspect(dir, &text, flags);
    if target == Target::Unknown {
        return NATIVE;
    }
    if !guest() {
        // Transactions under way in other threads end first; what is begun after this and cut off by
        // the exec is healed by the next holder of the locks.
        TX.lock();
        settle_all();
        TX.unlock();
    }
    if target == Target::Mirrorable {
        if SEALED.swap(false, Ordering::Relaxed) {
            seal(false);
        }
        // An array that cannot be read is the kernel's to refuse.
        if let (Ok(Some(envp)), Some(a)) = (
            with_environment(arg(regs, env_index)),
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
        sys::close_numbers(RESERVED, state::numbers_end(), true);
        return;
    }
    let _ = sys::fcntl(SENTINEL, c::F_SETFD, 0);
    for n in 0..RESERVED {
        if let Ok(f) = sys::fcntl(n, c::F_GETFD, 0) {
            let _ = sys::fcntl(n.saturating_add(K), c::F_SETFD, f);
        }
    }
}

/// Each writable descriptor of a pair that an unmirrored program will have makes its object pending.
/// `exec`: only those that survive the exec.
#[inline(never)]
pub fn record_writable(exec: bool) {
    if !ANY_PARTNER.load(Ordering::Relaxed) {
        return;
    }
    for n in 0..RESERVED {
        let flags = match sys::fcntl(n.saturating_add(K), c::F_GETFD, 0) {
            Ok(f) => f as i32,
            Err(_) => continue,
        };
        if exec && flags & c::FD_CLOEXEC != 0 {
            continue;
        }
        let mut loc = crate::resolve::Loc::new();
        let _ = super::recognise::recognise(n, &mut loc);
        let (pair, rel) = match (state::hint(n), state::info(n)) {
            (PAIRED, Some(i)) => {
                let mut buf = [0u8; 232];
                let rel = i.path(&mut buf);
                let _ = loc.rel.set(rel);
                (
                    usize::from(i.pair.load(Ordering::Relaxed)),
                    loc.rel.as_bytes(),
                )
            }
            _ => (loc.pair, loc.rel.as_bytes()),
        };
        if let Ok(s) = attach::session(pair, guest()) {
            crate::heal::pending(&s, rel);
            s.runtime().set_bits(StateWord::UNMIRRORED);
            if guest() {
                attach::release_guest(&s);
            }
        }
    }
}

/// A new array with what the program's lacks; `None`: it has everything.
#[inline(never)]
fn with_environment(envp: usize) -> Sys<Option<usize>> {
    let own = env::own_path();
    let mut n = 0usize;
    let mut have = [false; NAMES.len()];
    let mut preload = None;
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
        n = n.checked_add(1).ok_or(Errno::E2BIG)?;
    }
    let mut value = Path::new();
    if let Some(p) = preload {
        let _ = copy_path(p, &mut value);
        if has_library(value.as_bytes().get(11..).unwrap_or(&[]), own) {
            return Ok(None);
        }
    }
    // Array, then the one string that is made here: LD_PRELOAD=ours[:theirs].
    let words = n
        .checked_add(NAMES.len())
        .and_then(|w| w.checked_add(3))
        .ok_or(Errno::E2BIG)?;
    let room = words
        .checked_mul(8)
        .and_then(|w| w.checked_add(8192))
        .ok_or(Errno::E2BIG)?;
    let map = array_room(room)?;
    let put = |i: usize, v: usize| {
        // SAFETY: i < words, inside the mapping made above.
        unsafe { (map as *mut usize).wrapping_add(i).write(v) };
    };
    for i in 0..n {
        put(i, array.get(i)?);
    }
    let mut i = n;
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
    let text = map.wrapping_add(words.saturating_mul(8));
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
    for (j, &b) in t.as_bytes().iter().enumerate() {
        // SAFETY: the text is shorter than the 8192 bytes behind the array, which are zero.
        unsafe { (text as *mut u8).wrapping_add(j).write(b) };
    }
    i = i.saturating_add(1);
    put(i, text);
    put(i.saturating_add(1), 0);
    Ok(Some(map))
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

/// The file's name in a path.
fn base(p: &[u8]) -> &[u8] {
    let at = p
        .iter()
        .rposition(|&b| b == b'/')
        .map_or(0, |i| i.wrapping_add(1));
    p.get(at..).unwrap_or(p)
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

const HEAD: usize = 2048;

/// Looks at the file that will run, behind `#!` lines.
#[inline(never)]
fn inspect(dir: i32, path: &Path, flags: i32) -> Target {
    let mut dir = dir;
    let mut path = path.clone();
    for _ in 0..5 {
        let n = if path.is_empty() && flags & c::AT_EMPTY_PATH != 0 {
            let mut p = Path::new();
            sys::fd_text(dir, &mut p);
            sys::openat(
                c::AT_FDCWD,
                &p,
                c::O_RDONLY | c::O_CLOEXEC | c::O_NONBLOCK,
                0,
            )
        } else {
            sys::openat(dir, &path, c::O_RDONLY | c::O_CLOEXEC | c::O_NONBLOCK, 0)
        };
        let n = match n {
            Ok(n) => n,
            // Executable but not readable: nothing is known, so nothing is promised.
            Err(Errno::EACCES) if sys::executable(dir, &path) => return Target::Not,
            Err(_) => return Target::Unknown,
        };
        let mut head = [0u8; HEAD];
        let len = sys::pread(n, &mut head, 0).unwrap_or(0);
        let privileged = privileged(n);
        let verdict = elf(n, head.get(..len).unwrap_or(&[]));
        let _ = sys::close(n);
        if let Some(v) = verdict {
            return if privileged { Target::Not } else { v };
        }
        let line = match head.get(..len).and_then(|h| h.strip_prefix(b"#!")) {
            Some(l) => l,
            // Not executable by itself (ENOEXEC: the shell reads it).
            None => return Target::Mirrorable,
        };
        let line = line.split(|&b| b == b'\n').next().unwrap_or(&[]);
        let Some(program) = line
            .split(|&b| b == b' ' || b == b'\t')
            .find(|w| !w.is_empty())
        else {
            return Target::Unknown;
        };
        if path.set(program).is_err() {
            return Target::Unknown;
        }
        dir = c::AT_FDCWD;
    }
    Target::Unknown
}

/// ld.so would drop the preload: another user or group, or file capabilities.
fn privileged(n: i32) -> bool {
    let Ok(st) = sys::fstat(n) else { return false };
    // SAFETY: no pointers.
    let (uid, gid) = unsafe {
        (
            sys::syscall0(c::SYS_getuid) as u32,
            sys::syscall0(c::SYS_getgid) as u32,
        )
    };
    if st.mode() & c::S_ISUID != 0 && st.uid() != uid {
        return true;
    }
    let setgid = st.mode() & (c::S_ISGID | c::S_IXGRP) == c::S_ISGID | c::S_IXGRP;
    if setgid && st.gid() != gid {
        return true;
    }
    // SAFETY: a static name; no buffer.
    let caps = sys::ret(unsafe {
        sys::syscall4(
            c::SYS_fgetxattr,
            n as usize,
            c"security.capability".as_ptr() as usize,
            0,
            0,
        )
    });
    uid != 0 && caps.is_ok()
}

fn word(h: &[u8], at: usize, n: usize) -> usize {
    h.get(at..at.saturating_add(n)).map_or(0, |b| {
        b.iter().rev().fold(0usize, |v, &x| v << 8 | usize::from(x))
    })
}

/// `None`: not an ELF file.
fn elf(n: i32, h: &[u8]) -> Option<Target> {
    if !h.starts_with(b"\x7fELF") {
        return None;
    }
    // 64-bit, little-endian, x86-64.
    if h.get(4) != Some(&2) || h.get(5) != Some(&1) || word(h, 18, 2) != 62 {
        return Some(Target::Not);
    }
    let (off, size, count) = (word(h, 32, 8), word(h, 54, 2), word(h, 56, 2));
    let (mut interp, mut needs) = (false, false);
    for i in 0..count.min(64) {
        let mut ph = [0u8; 56];
        let at = off.saturating_add(i.saturating_mul(size));
        if sys::pread(n, &mut ph, at as u64) != Ok(56) {
            break;
        }
        match word(&ph, 0, 4) {
            2 => needs = needs_library(n, word(&ph, 8, 8) as u64),
            3 => interp = true,
            4 if go_note(n, word(&ph, 8, 8) as u64, word(&ph, 32, 8))
                && !crate::net::possible() =>
            {
                return Some(Target::Not);
            }
            _ => {}
        }
    }
    Some(if interp && needs {
        Target::Mirrorable
    } else {
        Target::Not
    })
}

/// Whether the dynamic section at `at` names a library: without one there is no libc.
fn needs_library(n: i32, mut at: u64) -> bool {
    let mut b = [0u8; 32 * program::ENTRY];
    loop {
        let got = sys::pread(n, &mut b, at).unwrap_or(0);
        match program::needs_library(b.get(..got).unwrap_or(&[])) {
            Some(answer) => return answer,
            None if got < b.len() => return false,
            None => at = at.saturating_add(b.len() as u64),
        }
    }
}

/// The note that the Go linker writes (name "Go", type 4): its programs make system calls themselves.
fn go_note(n: i32, at: u64, len: usize) -> bool {
    let mut b = [0u8; 512];
    let len = len.min(b.len());
    let got = sys::pread(n, b.get_mut(..len).unwrap_or(&mut []), at).unwrap_or(0);
    let b = b.get(..got).unwrap_or(&[]);
    let mut p = 0usize;
    while p.saturating_add(12) <= b.len() {
        let (ns, ds, kind) = (
            word(b, p, 4),
            word(b, p.saturating_add(4), 4),
            word(b, p.saturating_add(8), 4),
        );
        if ns == 4
            && kind == 4
            && b.get(p.saturating_add(12)..p.saturating_add(16)) == Some(b"Go\0\0")
        {
            return true;
        }
        let pad = |v: usize| v.saturating_add(3) & !3;
        p = p
            .saturating_add(12)
            .saturating_add(pad(ns))
            .saturating_add(pad(ds));
    }
    false
}

//! What an exec will start: whether the library will be loaded into it.
//!
//! Rules: read a few hundred bytes at a time; the kernel has the last word.
use crate::calls::exec::opened::open;
use crate::path::loc::Path;
use libc as c;
use mirror_core::Errno;
use mirror_core::program;
use mirror_core::unmirrored::Kind;
use mirror_sys as sys;

/// Whether the next program will load the library.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// It will.
    Mirrorable,
    /// It will, if AddressSanitizer is told not to mind.
    Sanitized,
    /// Its changes will not be.
    Not(Kind),
    /// The kernel will refuse it anyway.
    Unknown,
}

/// The file's name in a path.
pub fn base(p: &[u8]) -> &[u8] {
    let at = p
        .iter()
        .rposition(|&b| b == b'/')
        .map_or(0, |i| i.wrapping_add(1));
    p.get(at..).unwrap_or(p)
}

const HEAD: usize = 2048;

/// Looks at the file that will run, behind `#!` lines; `file` is what it is called.
#[inline(never)]
pub fn inspect(dir: i32, path: &Path, flags: i32, file: &mut Path) -> Target {
    let mut dir = dir;
    let mut path = path.clone();
    for _ in 0..5 {
        *file = path.clone();
        let opened = if path.is_empty() && flags & c::AT_EMPTY_PATH != 0 {
            let mut p = Path::new();
            sys::fd_text(dir, &mut p);
            open(c::AT_FDCWD, &p)
        } else {
            open(dir, &path)
        };
        let opened = match opened {
            Ok(o) => o,
            // Executable but not readable: nothing is known, so nothing is promised.
            Err(Errno::EACCES) if sys::executable(dir, &path) => {
                return Target::Not(Kind::Unreadable);
            }
            Err(_) => return Target::Unknown,
        };
        let n = opened.n;
        let mut head = [0u8; HEAD];
        let len = read(n, &mut head, 0);
        let privileged = privileged(n);
        let mut verdict = elf(n, head.get(..len).unwrap_or(&[]));
        // What is named by a descriptor is called what the kernel calls it.
        if path.is_empty()
            || path.as_bytes().starts_with(b"/proc/")
            || path.as_bytes().starts_with(b"/dev/fd/")
        {
            let _ = sys::fd_path(n, file);
        }
        drop(opened);
        // ld.so itself, given a program, preloads too.
        if verdict == Some(Target::Not(Kind::Static))
            && base(file.as_bytes()).starts_with(b"ld-linux")
        {
            verdict = Some(Target::Mirrorable);
        }
        if let Some(v) = verdict {
            return privileged.map_or(v, Target::Not);
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
fn privileged(n: i32) -> Option<Kind> {
    let st = sys::fstat(n).ok()?;
    // SAFETY: no pointers.
    let id = |nr| unsafe { sys::syscall0(nr) as u32 };
    if st.mode() & c::S_ISUID != 0 && st.uid() != id(c::SYS_getuid) {
        return Some(Kind::SetId);
    }
    let setgid = st.mode() & (c::S_ISGID | c::S_IXGRP) == c::S_ISGID | c::S_IXGRP;
    if setgid && st.gid() != id(c::SYS_getgid) {
        return Some(Kind::SetId);
    }
    if id(c::SYS_getuid) == 0 {
        return None;
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
    caps.is_ok().then_some(Kind::Capabilities)
}

fn word(h: &[u8], at: usize, n: usize) -> usize {
    h.get(at..at.saturating_add(n)).map_or(0, |b| {
        b.iter().rev().fold(0usize, |v, &x| v << 8 | usize::from(x))
    })
}

/// A failure that does not last is not the file's.
fn read(n: i32, to: &mut [u8], at: u64) -> usize {
    match sys::pread(n, to, at) {
        Err(_) => sys::pread(n, to, at).unwrap_or(0),
        r => r.unwrap_or(0),
    }
}

/// Bytes of a file, whose first ones have been read already.
fn read_at((n, head): (i32, &[u8]), to: &mut [u8], at: u64) -> usize {
    let known = usize::try_from(at)
        .ok()
        .and_then(|at| head.get(at..)?.get(..to.len()));
    let Some(known) = known else {
        return read(n, to, at);
    };
    for (to, from) in to.iter_mut().zip(known) {
        *to = *from;
    }
    known.len()
}

/// `None`: not an ELF file.
fn elf(n: i32, h: &[u8]) -> Option<Target> {
    if !h.starts_with(b"\x7fELF") {
        return None;
    }
    // 64-bit, little-endian, x86-64.
    if h.get(4) != Some(&2) || h.get(5) != Some(&1) || word(h, 18, 2) != 62 {
        return Some(Target::Not(Kind::Foreign));
    }
    let (off, size, count) = (word(h, 32, 8), word(h, 54, 2), word(h, 56, 2));
    let (mut interp, mut needs) = (false, false);
    let mut dynamic = None;
    for i in 0..count.min(64) {
        let mut ph = [0u8; 56];
        let at = off.saturating_add(i.saturating_mul(size));
        if read_at((n, h), &mut ph, at as u64) != ph.len() {
            break;
        }
        match word(&ph, 0, 4) {
            2 => {
                needs = needs_library((n, h), word(&ph, 8, 8) as u64);
                dynamic = Some(word(&ph, 8, 8) as u64);
            }
            3 => interp = true,
            4 if go_note((n, h), word(&ph, 8, 8) as u64, word(&ph, 32, 8))
                && !crate::net::possible() =>
            {
                return Some(Target::Not(Kind::Go));
            }
            _ => {}
        }
    }
    Some(match (interp, needs) {
        (true, true) if sanitized((n, h), dynamic) => Target::Sanitized,
        (true, true) => Target::Mirrorable,
        (true, false) => Target::Not(Kind::NoLibc),
        (false, _) => Target::Not(Kind::Static),
    })
}

/// Where an address of an ELF file stands in it.
fn in_file(file: (i32, &[u8]), address: u64) -> Option<u64> {
    let h = file.1;
    let (off, size, count) = (word(h, 32, 8), word(h, 54, 2), word(h, 56, 2));
    (0..count.min(64)).find_map(|i| {
        let mut ph = [0u8; 56];
        let at = off.saturating_add(i.saturating_mul(size));
        let got = read_at(file, &mut ph, at as u64);
        let from = word(&ph, 16, 8) as u64;
        let loaded = got == ph.len() && word(&ph, 0, 4) == 1;
        let inside = address
            .checked_sub(from)
            .filter(|d| *d < word(&ph, 32, 8) as u64);
        inside
            .filter(|_| loaded)?
            .checked_add(word(&ph, 8, 8) as u64)
    })
}

/// Whether the first library that is needed is the runtime of AddressSanitizer: elsewhere it ends the program anyway.
#[inline(never)]
fn sanitized(file: (i32, &[u8]), dynamic: Option<u64>) -> bool {
    let mut b = [0u8; 48 * program::ENTRY];
    let len = dynamic.map_or(0, |at| read_at(file, &mut b, at));
    let first = program::first_needed(b.get(..len).unwrap_or(&[]));
    let name = first.and_then(|(strings, n)| in_file(file, strings)?.checked_add(n));
    let mut text = [0u8; 16];
    name.is_some_and(|at| read_at(file, &mut text, at) != 0 && program::is_sanitizer(&text))
}

/// Whether the dynamic section at `at` names a library: without one there is no libc.
fn needs_library(file: (i32, &[u8]), mut at: u64) -> bool {
    let mut b = [0u8; 32 * program::ENTRY];
    loop {
        let got = read_at(file, &mut b, at);
        match program::needs_library(b.get(..got).unwrap_or(&[])) {
            Some(answer) => return answer,
            None if got < b.len() => return false,
            None => at = at.saturating_add(b.len() as u64),
        }
    }
}

/// The note that the Go linker writes (name "Go", type 4): its programs make system calls themselves.
fn go_note(file: (i32, &[u8]), at: u64, len: usize) -> bool {
    let mut b = [0u8; 512];
    let len = len.min(b.len());
    let got = read_at(file, b.get_mut(..len).unwrap_or(&mut []), at);
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

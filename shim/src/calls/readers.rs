//! Calls of readers that must see a plain directory: listings, and mappings that would write.
use crate::calls::args::{TRIES, locate_arg};
use crate::calls::mapped::{self, call::Did};
use crate::calls::pages::pages_go;
use crate::calls::paired::recognise::{Fd, recognise};
use crate::config::{self, CONFIG, Member, is_ours};
use crate::path::loc::{Last, Loc, Path, Place};
use crate::process::{actor, fds, place};
use crate::regs::{HEAVY, NATIVE, Regs, answer, arg, fail, fd_arg, raw};
use crate::tables;
use core::sync::atomic::{AtomicBool, Ordering};
use libc as c;
use mirror_core::Errno;
use mirror_core::calls::Call;
use mirror_core::maps;
use mirror_core::numbers::SENTINEL;
use mirror_core::path::{CONTROL, PathText};
use mirror_sys as sys;

const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// A shared mapping that stores reach the file through.
pub fn mmap_filter(regs: &mut Regs) -> usize {
    let (prot, flags, n) = (arg(regs, 2), arg(regs, 3), fd_arg(regs, 4));
    let kind = flags & 0xf;
    let shared = kind == c::MAP_SHARED as usize || kind == 3;
    let fixed = flags & c::MAP_FIXED as usize != 0;
    let nothing = |regs: &mut Regs| {
        if fixed && mapped::call::concerns(regs) {
            HEAVY
        } else if fixed && prot & (c::PROT_READ | c::PROT_WRITE) as usize == 0 {
            pages_go(regs)
        } else {
            NATIVE
        }
    };
    if !shared || flags & c::MAP_ANONYMOUS as usize != 0 || n < 0 || fds::hint(n) == tables::OUT {
        return nothing(regs);
    }
    // Read-only ones of files that are open for reading only are the common case. What a descriptor may do,
    // the kernel says: an inherited one may write.
    if prot & c::PROT_WRITE as usize == 0 && !may_write(n) {
        return nothing(regs);
    }
    HEAVY
}

/// Whether a shared mapping of the descriptor can be made writable.
fn may_write(n: i32) -> bool {
    sys::opened_for(n, |mode| mode == c::O_RDWR)
}

/// A shared mapping of a file that this process may write was let through for reading, and is not known.
static MAPPED: AtomicBool = AtomicBool::new(false);

/// Stores through a mapping make no call: what cannot be mirrored is refused.
#[inline(never)]
pub fn mmap(regs: &mut Regs) -> usize {
    let n = fd_arg(regs, 4);
    let flags = arg(regs, 3);
    let shared = flags & 0xf != c::MAP_PRIVATE as usize && flags & c::MAP_ANONYMOUS as usize == 0;
    let r = if shared && n >= 0 {
        map_file(regs, n)
    } else {
        NATIVE
    };
    // Over a mapping that is known.
    if r == NATIVE && flags & c::MAP_FIXED as usize != 0 && mapped::call::concerns(regs) {
        return mapped::call::pages(regs);
    }
    r
}

fn map_file(regs: &mut Regs, n: i32) -> usize {
    for _ in 0..TRIES {
        if let Some(v) = mapped_as(regs, n) {
            return v;
        }
    }
    cannot(regs)
}

/// `None`: what the number is has changed meanwhile.
fn mapped_as(regs: &mut Regs, n: i32) -> Option<usize> {
    let mut loc = Loc::new();
    Some(match recognise(n, &mut loc) {
        Fd::Out(_) if crate::calls::paired::lent::is_ring(n) => {
            if !actor::guest() {
                // The next mapping of it must come here again.
                fds::set_hint(n, fds::UNKNOWN);
            }
            fail(regs, Errno::ENODEV)
        }
        Fd::Out(_) => match may_write(n).then(|| mapped::nameless::of(n)).flatten() {
            Some(at) => {
                let did = mapped::call::map_nameless(regs, n, at);
                return mapped_now(regs, did);
            }
            None => NATIVE,
        },
        _ if !may_write(n) => NATIVE,
        _ => {
            let did = mapped::call::map(regs);
            return mapped_now(regs, did);
        }
    })
}

fn mapped_now(regs: &mut Regs, did: Did) -> Option<usize> {
    match did {
        Did::This(v) => Some(v),
        Did::Cannot => Some(cannot(regs)),
        Did::Again => None,
    }
}

/// What cannot be mirrored is refused, now or when it is made writable.
fn cannot(regs: &mut Regs) -> usize {
    if arg(regs, 2) & c::PROT_WRITE as usize != 0 {
        return refuse(regs);
    }
    MAPPED.store(true, Ordering::Relaxed);
    NATIVE
}

/// A writable mapping: the kernel's errno if it would refuse it anyway, else ENODEV. Asked with the same
/// mapping, not writable, where the program has none.
fn refuse(regs: &mut Regs) -> usize {
    const END: usize = 0x7fff_ffff_f000;
    /// vm.mmap_min_addr, as systems set it.
    const LOW: usize = 1 << 16;
    let [at, len, prot, flags, n, offset] = regs.args;
    let mut ask = flags & !(c::MAP_POPULATE as usize);
    let fixed = flags & (c::MAP_FIXED | c::MAP_FIXED_NOREPLACE) as usize;
    if fixed != 0 && (at & 0xfff != 0 || at.checked_add(len).is_none_or(|e| e > END)) {
        // Never mapped.
        return NATIVE;
    }
    if fixed == c::MAP_FIXED as usize {
        ask &= !(c::MAP_FIXED as usize);
        // Who may not map pages this low is told so before anything else. Nothing is replaced here either.
        if at < LOW {
            ask |= c::MAP_FIXED_NOREPLACE as usize;
        }
    }
    let prot = prot & !(c::PROT_WRITE as usize);
    // SAFETY: replaces nothing of the program's (no MAP_FIXED, or NOREPLACE), and is taken away at once.
    let r = sys::ret(unsafe { sys::syscall6(c::SYS_mmap, at, len, prot, ask, n, offset) });
    match r {
        Ok(a) => {
            // SAFETY: the mapping just made, which nobody knows.
            unsafe { sys::syscall2(c::SYS_munmap, a, len) };
            fail(regs, Errno::ENODEV)
        }
        // What the program has there would have been replaced.
        Err(Errno::EEXIST) if fixed == c::MAP_FIXED as usize => fail(regs, Errno::ENODEV),
        Err(e) => fail(regs, e),
    }
}

/// A mapping that only read may be about to store.
pub fn mprotect_filter(regs: &mut Regs) -> usize {
    if matches!(regs.call(), Some(Call::Madvise | Call::ProcessMadvise)) {
        let some = || MAPPED.load(Ordering::Relaxed) || mapped::table::files().next().is_some();
        return if advises(regs, c::MADV_REMOVE) && some() {
            HEAVY
        } else {
            NATIVE
        };
    }
    let prot = arg(regs, 2);
    let some = || MAPPED.load(Ordering::Relaxed) || mapped::call::concerns(regs);
    if prot & c::PROT_WRITE as usize != 0 && some() {
        HEAVY
    } else if prot & c::PROT_READ as usize == 0 || regs.is(Call::PkeyMprotect) {
        pages_go(regs)
    } else {
        NATIVE
    }
}

/// Whether this is an advice. MADV_REMOVE punches a hole into the file that is mapped.
fn advises(regs: &Regs, advice: i32) -> bool {
    let at = if regs.is(Call::Madvise) { 2 } else { 3 };
    arg(regs, at) as i32 == advice
}

/// mprotect (and MADV_REMOVE) of a range with a shared mapping of a file of a pair: what mmap refuses is
/// refused here.
#[inline(never)]
pub fn mprotect(regs: &mut Regs) -> usize {
    if regs.is(Call::ProcessMadvise) {
        // As kernels before 6.13 say.
        return fail(regs, Errno::EINVAL);
    }
    let (start, end) = (arg(regs, 0), arg(regs, 0).saturating_add(arg(regs, 1)));
    if !regs.is(Call::Madvise) {
        match mapped::call::protect(regs) {
            NATIVE if !MAPPED.load(Ordering::Relaxed) => return NATIVE,
            NATIVE => {}
            r => return r,
        }
    }
    let name: PathText<32> = PathText::from_bytes(b"/proc/thread-self/maps").unwrap_or_default();
    let Ok(n) = sys::openat(c::AT_FDCWD, &name, c::O_RDONLY | c::O_CLOEXEC, 0) else {
        return fail(regs, Errno::EACCES);
    };
    let mut buf = [0u8; 8192];
    let mut have = 0usize;
    let mut found = false;
    loop {
        // A line that does not fit, or cannot be read, may be one that counts.
        match buf.get_mut(have..).map(|room| sys::read(n, room)) {
            Some(Ok(0)) if have == 0 => break,
            Some(Ok(k)) if k > 0 => have = have.saturating_add(k),
            _ => {
                found = true;
                break;
            }
        }
        let text = buf.get(..have).unwrap_or(&[]);
        let Some(last) = text.iter().rposition(|&b| b == b'\n') else {
            continue;
        };
        found |= text
            .get(..last)
            .unwrap_or(&[])
            .split(|&b| b == b'\n')
            .any(|l| stores(l, start, end, regs));
        let rest = last.saturating_add(1);
        for i in rest..have {
            let b = buf.get(i).copied().unwrap_or(0);
            if let Some(d) = buf.get_mut(i.saturating_sub(rest)) {
                *d = b;
            }
        }
        have = have.saturating_sub(rest);
    }
    let _ = sys::close(n);
    if found {
        fail(regs, Errno::EACCES)
    } else {
        NATIVE
    }
}

/// Whether a line of /proc/thread-self/maps is a shared mapping of a file of a pair inside the range. What
/// cannot be read as such a line may be one.
fn stores(line: &[u8], start: usize, end: usize, regs: &Regs) -> bool {
    let Some(m) = maps::parse(line) else {
        return true;
    };
    // A known one was announced.
    let known = !regs.is(Call::Madvise)
        && mapped::table::pieces(start.max(m.start as usize), end.min(m.end as usize))
            .next()
            .is_some();
    m.shared
        && !known
        && m.start < end as u64
        && m.end > start as u64
        && (!place::ROOT.is_default() || matches!(config::member(m.path), Member::In(..)))
}

/// A call that looks at a path with the control folder's name in it: there is no such thing.
#[inline(never)]
pub fn look(regs: &mut Regs) -> usize {
    let (dir, addr) = crate::calls::args::reader_path(regs);
    let (mut text, mut loc) = (Path::new(), Loc::new());
    match locate_arg(dir, addr, Last::Keep, &mut text, &mut loc) {
        Some(Place::Control) => fail(regs, Errno::ENOENT),
        _ => NATIVE,
    }
}

/// Where the name stands in an entry: d_ino 8, d_off 8, d_reclen 2, and in getdents64 d_type 1. (The
/// older call puts the type into the entry's last byte.)
const NAME_AT: usize = 19;
const OLD_NAME_AT: usize = 18;

/// getdents64, getdents: the control folder is not listed in a leg's root, nor our descriptors among a
/// process's.
pub fn getdents(regs: &mut Regs) -> usize {
    let name_at = match regs.call() {
        Some(Call::Getdents) => OLD_NAME_AT,
        _ => NAME_AT,
    };
    loop {
        let n = match raw(regs) {
            Ok(n) => n as usize,
            Err(e) => return fail(regs, e),
        };
        // SAFETY: the kernel has just written n bytes there.
        let buf = unsafe { crate::user::filled(arg(regs, 1), n) };
        let kept = hide(fd_arg(regs, 0), buf, name_at);
        // An empty answer would say that the listing ends here.
        if kept > 0 || n == 0 {
            return answer(regs, Ok(kept as u64));
        }
    }
}

/// Drops hidden entries in place; the new length.
fn hide(dir: i32, buf: &mut [u8], name_at: usize) -> usize {
    let mut verdict = [None::<bool>; 2];
    let mut end = buf.len();
    let mut at = 0usize;
    while let Some(head) = buf.get(at..at.saturating_add(name_at)) {
        let len = match head.get(16..18) {
            Some(&[lo, hi]) => usize::from(u16::from_le_bytes([lo, hi])),
            _ => break,
        };
        if len < name_at || at.saturating_add(len) > end {
            break;
        }
        let name = buf
            .get(at.saturating_add(name_at)..at.saturating_add(len))
            .unwrap_or(&[]);
        let kind = if name_at == NAME_AT {
            head.get(18).copied()
        } else {
            name.last().copied()
        };
        let hidden = match name.first() {
            Some(b'.') if name.get(1) == Some(&b'm') && is_name(name, CONTROL) => {
                let v = verdict.first_mut();
                v.is_some_and(|v| *v.get_or_insert_with(|| is_root(dir)))
            }
            // A process or a thread of that number is a directory.
            Some(b'1' | b'4'..=b'9')
                if matches!(kind, Some(c::DT_LNK | c::DT_REG)) && is_ours(number(name)) =>
            {
                let v = verdict.get_mut(1);
                v.is_some_and(|v| *v.get_or_insert_with(|| lists_ours(dir)))
            }
            _ => false,
        };
        if hidden {
            remove(buf, at, len, end);
            end = end.saturating_sub(len);
        } else {
            at = at.saturating_add(len);
        }
        if at >= end {
            break;
        }
    }
    end
}

/// Whether a directory is `fd` or `fdinfo`, in procfs, of a process (or thread) that has the library's
/// descriptors: this one or another. They are told by the sentinel, or by a pair's root.
#[inline(never)]
fn lists_ours(dir: i32) -> bool {
    if sys::fs_magic(dir) != Ok(PROC_SUPER_MAGIC) {
        return false;
    }
    let mut text = PathText::<32>::new();
    let link = beside(SENTINEL);
    if sys::readlinkat(dir, &link, &mut text).is_ok() && text.as_bytes() == b"anon_inode:[eventfd]"
    {
        return true;
    }
    // Who has attached to any pair has the first block.
    is_a_root(dir, mirror_core::numbers::own(0, 0))
}

/// "../fd/N".
fn beside(n: i32) -> PathText<32> {
    let mut p = PathText::new();
    let _ = p.set(b"../fd/");
    sys::append_number(n as u32, &mut p);
    p
}

/// Whether that process's descriptor `n` is the root of a leg.
#[inline(never)]
fn is_a_root(dir: i32, n: i32) -> bool {
    let Ok(st) = sys::fstatat(dir, &beside(n), 0) else {
        return false;
    };
    let same = |o: sys::Stat| (o.dev(), o.ino()) == (st.dev(), st.ino());
    st.kind() == c::S_IFDIR
        && (sys::fstat(n).is_ok_and(same)
            || CONFIG
                .get()
                .pairs()
                .iter()
                .flat_map(|p| p.legs)
                .any(|leg| sys::stat_static(leg).is_ok_and(same)))
}

/// Moves what stands behind an entry over it.
fn remove(buf: &mut [u8], at: usize, len: usize, end: usize) {
    for i in at..end.saturating_sub(len) {
        let next = buf.get(i.saturating_add(len)).copied().unwrap_or(0);
        if let Some(b) = buf.get_mut(i) {
            *b = next;
        }
    }
}

fn is_name(field: &[u8], name: &[u8]) -> bool {
    field
        .strip_prefix(name)
        .is_some_and(|r| r.first() == Some(&0))
}

/// Four or five digits, or −1.
fn number(field: &[u8]) -> i32 {
    let digits = field.iter().take_while(|b| **b != 0).take(6).count();
    match field.get(..digits) {
        Some(d) if matches!(digits, 4 | 5) && d.iter().all(u8::is_ascii_digit) => d
            .iter()
            .fold(0, |n, x| n * 10 + i32::from(x.wrapping_sub(b'0'))),
        _ => -1,
    }
}

/// Whether a directory is a leg's root, by inode.
#[inline(never)]
fn is_root(dir: i32) -> bool {
    sys::fstat(dir).is_ok_and(|st| crate::attach::past::is_root(&st))
}

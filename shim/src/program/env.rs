//! The library's own environment: read once at boot, kept, and put back when a program's exec drops it.
//!
//! Rules: boot runs alone and before anybody reads the environment, so entries may be taken out of the
//! kernel's array in place. What was put back by an exec is taken out again: the program sees exactly
//! what it was given.
use crate::config::BootCell;
use crate::program::env;
use crate::program::info::BootInfo;
use core::ffi::CStr;
use mirror_core::path::{PATH_MAX, PathText};
use mirror_sys as sys;

/// Variables of the library.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Var {
    /// A pair ad hoc.
    Mirror,
    /// The one mirrortab.
    Mirrortab,
    /// Where prepared images are.
    MirrorCache,
    /// The pairs of `mirror run --pair`.
    MirrorOnly,
    /// No pair is no error.
    MirrorOptional,
    /// Whether the net is stretched (`always`, `never`, `auto`).
    MirrorNet,
    /// HOME as it was when it was last there.
    Home,
}

/// Names with '=', in the order of [`Var`].
pub const NAMES: [&CStr; 7] = [
    c"MIRROR=",
    c"MIRRORTAB=",
    c"MIRROR_CACHE=",
    c"MIRROR_ONLY=",
    c"MIRROR_OPTIONAL=",
    c"MIRROR_NET=",
    c"MIRROR_HOME=",
];

/// First of the entries that an exec put back; they are the last of the array.
pub const INJECTED: &CStr = c"MIRROR_INJ=1";

const ARENA: usize = 8192;

struct Saved {
    at: [usize; NAMES.len()],
    len: [usize; NAMES.len()],
    arena: [u8; ARENA],
    used: usize,
    own: Option<&'static CStr>,
    absolute: PathText<PATH_MAX>,
}

static SAVED: BootCell<Saved> = BootCell::new(Saved {
    at: [0; NAMES.len()],
    len: [0; NAMES.len()],
    arena: [0; ARENA],
    used: 0,
    own: None,
    absolute: PathText::new(),
});

/// The value of a variable as it was at boot.
pub fn get(v: Var) -> Option<&'static [u8]> {
    whole(v).and_then(|e| e.get(NAMES.get(v as usize)?.to_bytes().len()..))
}

/// The same as a C string.
pub fn value(v: Var) -> Option<&'static CStr> {
    let s = SAVED.get();
    let (at, len) = (
        s.at.get(v as usize).copied()?,
        s.len.get(v as usize).copied()?,
    );
    let skip = NAMES.get(v as usize)?.to_bytes().len();
    let bytes = s
        .arena
        .get(at.checked_add(skip)?..at.checked_add(len)?.checked_add(1)?)?;
    if len == 0 {
        None
    } else {
        CStr::from_bytes_with_nul(bytes).ok()
    }
}

/// "NAME=value", with a NUL behind it in memory.
pub fn whole(v: Var) -> Option<&'static [u8]> {
    let s = SAVED.get();
    let (at, len) = (
        s.at.get(v as usize).copied()?,
        s.len.get(v as usize).copied()?,
    );
    if len == 0 {
        None
    } else {
        s.arena.get(at..at.checked_add(len)?)
    }
}

/// This library's path: absolute, wherever ld.so knows a relative one, since the next program may be
/// started in another directory.
pub fn own_path() -> &'static [u8] {
    let s = SAVED.get();
    match s.absolute.as_bytes() {
        [] => s.own.unwrap_or(c"").to_bytes(),
        path => path,
    }
}

/// A relative path of this library, made absolute while the cwd is still the one that ld.so started from.
fn absolute(own: &[u8], out: &mut PathText<PATH_MAX>) {
    if own.first() == Some(&b'/') || !own.contains(&b'/') {
        return;
    }
    let mut cwd = [0u8; PATH_MAX];
    // SAFETY: the kernel writes at most cwd.len() bytes, with a NUL at their end.
    let r = unsafe { sys::syscall2(libc::SYS_getcwd, cwd.as_mut_ptr() as usize, cwd.len()) };
    let dir = match sys::ret(r) {
        Ok(n) => cwd.get(..n.saturating_sub(1)).unwrap_or(&[]),
        Err(_) => return,
    };
    let mut rel = own;
    while let Some(r) = rel.strip_prefix(b"./") {
        rel = r;
    }
    let slash: &[u8] = if dir == b"/" { b"" } else { b"/" };
    let whole = dir.first() == Some(&b'/')
        && [dir, slash, rel]
            .iter()
            .all(|part| out.append(part).is_ok());
    if !whole {
        out.truncate(0);
    }
}

fn entries(b: &BootInfo) -> impl Iterator<Item = (usize, &'static CStr)> {
    let envp = b.envp;
    (0usize..).map_while(move |i| {
        // SAFETY: the kernel's array ends with NULL, before which map_while stops; the strings live
        // on the initial stack for as long as the process.
        unsafe {
            let p = *envp.wrapping_add(i);
            (!p.is_null()).then(|| (i, CStr::from_ptr(p.cast())))
        }
    })
}

/// Reads and keeps the variables; takes out what an exec put back.
pub fn save(b: &BootInfo) {
    // SAFETY: boot runs alone.
    let s = unsafe { SAVED.boot_mut() };
    if !b.own_path.is_null() {
        // SAFETY: ld.so's own string, alive as long as the library.
        let own: &'static CStr = unsafe { CStr::from_ptr(b.own_path.cast()) };
        s.own = Some(own);
        absolute(own.to_bytes(), &mut s.absolute);
    }
    let mut cut = None;
    for (i, e) in entries(b) {
        let e = e.to_bytes();
        if e == INJECTED.to_bytes() {
            cut = Some(i);
        }
        for (k, name) in NAMES.iter().enumerate() {
            let home =
                k == Var::Home as usize && e.starts_with(b"HOME=") && s.len.get(k) == Some(&0);
            if e.starts_with(name.to_bytes()) {
                keep(s, k, &[e]);
            } else if home {
                keep(s, k, &[b"MIRROR_", e]);
            }
        }
    }
    if let Some(i) = cut {
        // The rest up to the old end becomes zero: a walker that looks for the auxiliary vector
        // behind the first NULL finds an empty one, never a pointer.
        let n = entries(b).count();
        for j in i..n {
            // SAFETY: inside the kernel's array; nobody has read it yet.
            unsafe { *b.envp.wrapping_add(j) = core::ptr::null() };
        }
    }
}

fn keep(s: &mut Saved, k: usize, parts: &[&[u8]]) {
    let start = s.used;
    let mut end = start;
    for p in parts.iter().copied().chain([&b"\0"[..]]) {
        let Some(next) = end.checked_add(p.len()) else {
            return;
        };
        let Some(room) = s.arena.get_mut(end..next) else {
            return;
        };
        room.copy_from_slice(p);
        end = next;
    }
    s.used = end;
    if let (Some(a), Some(l)) = (s.at.get_mut(k), s.len.get_mut(k)) {
        *a = start;
        *l = end.saturating_sub(start).saturating_sub(1);
    }
}

/// The entry that starts with `name`, as the program sees it.
pub fn entry(b: &BootInfo, name: &[u8]) -> Option<&'static [u8]> {
    entries(b)
        .map(|(_, e)| e.to_bytes())
        .find(|e| e.starts_with(name))
}

/// The value of an entry that starts with `name`.
pub fn value_of(b: &BootInfo, name: &[u8]) -> Option<&'static [u8]> {
    let mut all = entries(b);
    all.find_map(|(_, e)| e.to_bytes().strip_prefix(name))
}

/// Takes an entry that starts with `name` out of the environment; its value.
pub fn take(b: &BootInfo, name: &[u8]) -> Option<&'static [u8]> {
    let (i, e) = entries(b).find(|(_, e)| e.to_bytes().starts_with(name))?;
    let n = entries(b).count();
    for j in i..n {
        // SAFETY: j + 1 <= n is inside the array including its NULL; nobody has read it yet.
        unsafe { *b.envp.wrapping_add(j) = *b.envp.wrapping_add(j.wrapping_add(1)) };
    }
    e.to_bytes().get(name.len()..)
}

/// MIRROR_CACHE, also when an exec put it back.
pub fn cache_folder(_: &BootInfo) -> Option<&'static CStr> {
    env::value(Var::MirrorCache)
}

/// The home whose cache is looked at.
pub fn home(_: &BootInfo) -> Option<&'static CStr> {
    env::value(Var::Home)
}

/// The folders to look in, in this order (the same as in loader/src/image/store.rs).
pub fn folders(info: &BootInfo) -> [(Option<&CStr>, &'static [u8]); 2] {
    let system = (Some(c"/var/cache/mirror"), &b""[..]);
    if let Some(dir) = crate::program::env::cache_folder(info) {
        return [(Some(dir), b""), (None, b"")];
    }
    if info.euid == 0 {
        return [system, (None, b"")];
    }
    [system, (crate::program::env::home(info), b"/.cache/mirror")]
}

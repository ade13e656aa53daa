//! The library's own environment: read once at boot, kept, and put back when a program's exec drops it.
//!
//! Rules: boot runs alone and before anybody reads the environment, so entries may be taken out of the
//! kernel's array in place. What was put back by an exec is taken out again: the program sees exactly
//! what it was given.
use crate::cell::BootCell;
use crate::program::env;
use crate::program::info::BootInfo;
use crate::texts::{self, Arena};
use core::ffi::CStr;
use mirror_core::path::PATH_MAX;
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

struct Saved {
    /// "NAME=value" each, in the order of [`Var`].
    whole: [Option<&'static CStr>; NAMES.len()],
    own: Option<&'static CStr>,
}

#[unsafe(link_section = ".data.boot")]
static SAVED: BootCell<Saved> = BootCell::new(Saved {
    whole: [None; NAMES.len()],
    own: None,
});
/// Values for which there is no room near.
static FAR: Arena<8192> = Arena::new();

/// The value of a variable as it was at boot.
pub fn get(v: Var) -> Option<&'static [u8]> {
    value(v).map(CStr::to_bytes)
}

/// The same as a C string.
pub fn value(v: Var) -> Option<&'static CStr> {
    let skip = NAMES.get(v as usize)?.count_bytes();
    let whole = SAVED.get().whole.get(v as usize).copied()??;
    CStr::from_bytes_until_nul(whole.to_bytes_with_nul().get(skip..)?).ok()
}

/// "NAME=value", with a NUL behind it in memory.
pub fn whole(v: Var) -> Option<&'static [u8]> {
    let whole = SAVED.get().whole.get(v as usize).copied()?;
    whole.map(CStr::to_bytes)
}

/// This library's path: absolute, wherever ld.so knows a relative one, since the next program may be
/// started in another directory.
pub fn own_path() -> &'static [u8] {
    SAVED.get().own.unwrap_or(c"").to_bytes()
}

/// A relative path of this library, made absolute while the cwd is still the one that ld.so started from.
#[cold]
#[inline(never)]
fn absolute(own: &[u8]) -> Option<&'static CStr> {
    let mut cwd = [0u8; PATH_MAX];
    // SAFETY: the kernel writes at most cwd.len() bytes, with a NUL at their end.
    let r = unsafe { sys::syscall2(libc::SYS_getcwd, cwd.as_mut_ptr() as usize, cwd.len()) };
    let dir = cwd.get(..sys::ret(r).ok()?.saturating_sub(1))?;
    let mut rel = own;
    while let Some(r) = rel.strip_prefix(b"./") {
        rel = r;
    }
    let slash: &[u8] = if dir == b"/" { b"" } else { b"/" };
    if dir.first() != Some(&b'/') {
        return None;
    }
    // SAFETY: boot runs alone.
    unsafe { texts::keep(&[dir, slash, rel], &FAR) }
}

/// An entry of the kernel's array. Its end is looked for only where it is wanted.
#[derive(Clone, Copy)]
struct Raw(*const u8);

impl Raw {
    fn starts_with(self, name: &[u8]) -> bool {
        // SAFETY: a C string on the initial stack, which lives as long as the process; a name has no NUL,
        // so that nothing behind the string's is read.
        name.iter()
            .enumerate()
            .all(|(i, c)| unsafe { *self.0.wrapping_add(i) } == *c)
    }

    fn text(self) -> &'static CStr {
        // SAFETY: as above.
        unsafe { CStr::from_ptr(self.0.cast()) }
    }
}

fn entries(b: &BootInfo) -> impl Iterator<Item = (usize, Raw)> {
    let envp = b.envp;
    (0usize..).map_while(move |i| {
        // SAFETY: the kernel's array ends with NULL, before which map_while stops.
        let p = unsafe { *envp.wrapping_add(i) };
        (!p.is_null()).then_some((i, Raw(p)))
    })
}

/// Reads and keeps the variables; takes out what an exec put back.
pub fn save(b: &BootInfo) {
    // SAFETY: boot runs alone.
    let s = unsafe { SAVED.boot_mut() };
    if !b.own_path.is_null() {
        // SAFETY: ld.so's own string, alive as long as the library.
        let own: &'static CStr = unsafe { CStr::from_ptr(b.own_path.cast()) };
        let text = own.to_bytes();
        let relative = text.first() != Some(&b'/') && text.contains(&b'/');
        s.own = relative.then(|| absolute(text)).flatten().or(Some(own));
    }
    let mut cut = None;
    for (i, raw) in entries(b) {
        if raw.starts_with(b"HOME=") {
            if let Some(None) = s.whole.get(Var::Home as usize) {
                keep(s, Var::Home as usize, &[b"MIRROR_", raw.text().to_bytes()]);
            }
        } else if raw.starts_with(b"MIRROR") {
            let e = raw.text().to_bytes();
            if e == INJECTED.to_bytes() {
                cut = Some(i);
            }
            for (k, name) in NAMES.iter().enumerate() {
                if e.starts_with(name.to_bytes()) {
                    keep(s, k, &[e]);
                }
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
    // SAFETY: boot runs alone.
    let kept = unsafe { texts::keep(parts, &FAR) };
    if let (Some(place), Some(kept)) = (s.whole.get_mut(k), kept) {
        *place = Some(kept);
    }
}

/// The entry that starts with `name`, as the program sees it.
pub fn entry(b: &BootInfo, name: &[u8]) -> Option<&'static [u8]> {
    let found = entries(b).find(|(_, e)| e.starts_with(name));
    found.map(|(_, e)| e.text().to_bytes())
}

/// The value of an entry that starts with `name`.
pub fn value_of(b: &BootInfo, name: &[u8]) -> Option<&'static [u8]> {
    let mut all = entries(b);
    let (_, e) = all.find(|(_, e)| e.starts_with(name))?;
    e.text().to_bytes().strip_prefix(name)
}

/// Takes an entry that starts with `name` out of the environment; its value.
pub fn take(b: &BootInfo, name: &[u8]) -> Option<&'static [u8]> {
    let (i, e) = entries(b).find(|(_, e)| e.starts_with(name))?;
    let n = entries(b).count();
    for j in i..n {
        // SAFETY: j + 1 <= n is inside the array including its NULL; nobody has read it yet.
        unsafe { *b.envp.wrapping_add(j) = *b.envp.wrapping_add(j.wrapping_add(1)) };
    }
    e.text().to_bytes().get(name.len()..)
}

/// MIRROR_CACHE, also when an exec put it back.
pub fn cache_folder(_: &BootInfo) -> Option<&'static CStr> {
    env::value(Var::MirrorCache)
}

/// The home whose cache is looked at.
pub fn home(_: &BootInfo) -> Option<&'static CStr> {
    env::value(Var::Home)
}

/// The system's folder of images.
pub const SYSTEM: &CStr = c"/var/cache/mirror";

/// The folders to look in, in this order (the same as in loader/src/image/store.rs).
pub fn folders(info: &BootInfo) -> [(Option<&CStr>, &'static [u8]); 2] {
    let system = (Some(SYSTEM), &b""[..]);
    if let Some(dir) = crate::program::env::cache_folder(info) {
        return [(Some(dir), b""), (None, b"")];
    }
    if !info.reads_home {
        return [system, (None, b"")];
    }
    [system, (crate::program::env::home(info), b"/.cache/mirror")]
}

//! Where a path leads: outside, to a root, or to a place in a leg.
//!
//! Rules: a text is a guess until the kernel has proved it. Inside, the proof is `openat2` below the
//! leg's root with BENEATH and NO_SYMLINKS, made under the locks; outside, NO_SYMLINKS on the text
//! itself. ELOOP means a symlink: then the parent is opened as the program would open it, and what the
//! kernel says it is decides. Texts come from the copy in our memory, never twice from the program's.
pub use crate::object::{deep, has_place, jump, named, sought};
use crate::state::{self, CWD, Member, OUT, UNKNOWN, guest, hint, member, set_hint};
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::Errno;
use mirror_core::path::{Exact, PATH_MAX, PathText, is_control, join, split};
use mirror_sys as sys;

/// A path text.
pub type Path = PathText<PATH_MAX>;
/// A last component, with the '/' it was given with. Some file systems count characters, not bytes.
pub type Name = PathText<1024>;
/// Room for a directory's text and a path below it.
type Whole = PathText<{ 2 * PATH_MAX }>;

const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// A place in a leg, by text: not yet proved.
pub struct Loc {
    /// Pair index.
    pub pair: usize,
    /// The leg that the path addresses.
    pub leg: usize,
    /// Relative path of the object.
    pub rel: Path,
    /// Its last component.
    pub name: Name,
    /// The text ended with '/'.
    pub slash: bool,
    /// What the request started from, if that is in the leg.
    pub anchor: Anchor,
    /// A magic link of /proc led here: the object is meant, whatever its name.
    pub jump: Option<Jump>,
}

/// What a magic link of /proc led to.
#[derive(Clone, Copy)]
pub struct Jump {
    /// Device and inode number.
    pub object: (u64, u64),
    /// A descriptor of this process that is open on it, or −1.
    pub fd: i32,
}

/// A directory that the kernel knows better than its text: a renamed one keeps its descriptors. Under
/// the locks `rel[..len]` must still be this very directory.
pub struct Anchor {
    /// Descriptor, AT_FDCWD, or −1 for none.
    pub fd: i32,
    /// How much of the relative text leads to it.
    pub len: usize,
    owned: bool,
}

impl Anchor {
    /// None.
    pub const fn none() -> Anchor {
        Anchor {
            fd: -1,
            len: 0,
            owned: false,
        }
    }
    fn set(&mut self, fd: i32, len: usize, owned: bool) {
        self.drop_fd();
        *self = Anchor { fd, len, owned };
    }
    fn drop_fd(&mut self) {
        if self.owned {
            let _ = sys::close(self.fd);
        }
        self.fd = -1;
        self.owned = false;
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        self.drop_fd();
    }
}

impl Loc {
    /// Nowhere.
    pub fn new() -> Loc {
        Loc {
            pair: 0,
            leg: 0,
            rel: Path::new(),
            name: Name::new(),
            slash: false,
            anchor: Anchor::none(),
            jump: None,
        }
    }
}

/// What a path turned out to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Not ours: the kernel shall have the call as it is.
    Out,
    /// The way there fails with this. It is the answer: asked again later, outside the locks, the
    /// kernel might find a way into a leg.
    Fail(Errno),
    /// A leg's root, or V itself (true: the symlink of a link pair).
    Root(bool),
    /// A place in a leg; the Loc says where.
    In,
    /// Below the control folder: does not exist.
    Control,
    /// An open file without a name, reached through /proc.
    Nameless,
    /// The same, but another name of it lives somewhere in the leg, and was not found.
    Linked,
}

/// How to treat the last component.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// The name itself, also with '/' behind it (unlink, rename, mkdir…).
    Entry,
    /// The object itself (lchown, O_NOFOLLOW…); with '/' behind it, where it leads.
    Keep,
    /// Where it leads (chmod, truncate, open…).
    Follow,
}

/// The place that an absolute canonical text names.
pub fn place_text(text: &[u8], slash: bool, loc: &mut Loc) -> Place {
    if state::ROOT.is_default() {
        return place_absolute(text, slash, loc);
    }
    let mut whole = Whole::new();
    if state::ROOT.absolute(text, &mut whole) {
        place_absolute(whole.as_bytes(), slash, loc)
    } else {
        Place::Fail(Errno::ENAMETOOLONG)
    }
}

fn place_absolute(text: &[u8], slash: bool, loc: &mut Loc) -> Place {
    loc.slash = slash;
    match member(text) {
        Member::Far | Member::Near => Place::Out,
        Member::Root(pair, leg, virt) => {
            loc.pair = pair;
            loc.leg = leg;
            let _ = loc.rel.set(b"");
            let _ = loc.name.set(b".");
            Place::Root(virt)
        }
        Member::In(pair, leg, rel) => {
            if is_control(rel) {
                return Place::Control;
            }
            loc.pair = pair;
            loc.leg = leg;
            let (_, name, _) = split(rel);
            // Below a deep directory a short name may lead further than one text can say.
            if loc.rel.set(rel).is_err() || loc.name.set(name).is_err() {
                return Place::Fail(Errno::ENAMETOOLONG);
            }
            if slash {
                let _ = loc.name.append(b"/");
            }
            Place::In
        }
    }
}

/// The absolute canonical text of what a relative path starts from. `Err`: what anything below it is.
#[inline(never)]
fn base_text(dir: i32, out: &mut Whole) -> Result<(), Place> {
    if dir == c::AT_FDCWD {
        let before = CWD.load(Ordering::Acquire);
        match sys::getcwd(out) {
            Ok(()) => {}
            Err(Errno::ENAMETOOLONG) => return Err(deep(dir, &mut Loc::new())),
            // It is gone: nothing can be made or found in it.
            Err(_) => return Err(Place::Out),
        }
        if out.as_bytes().first() != Some(&b'/') {
            return Err(Place::Out);
        }
        if far(out.as_bytes()) && !guest() {
            // Not if a chdir came between.
            let _ = CWD.compare_exchange(before, before | 1, Ordering::AcqRel, Ordering::Relaxed);
        }
        return Ok(());
    }
    match sys::fd_path(dir, out) {
        Ok(()) => {}
        Err(Errno::ENAMETOOLONG) => return Err(deep(dir, &mut Loc::new())),
        Err(_) => return Err(without_text(dir)),
    }
    if out.as_bytes().first() != Some(&b'/') {
        return Err(Place::Out);
    }
    if far(out.as_bytes()) && hint(dir) == UNKNOWN && !guest() {
        set_hint(dir, OUT);
    }
    Ok(())
}

/// Away from every root. Below a new root the shortcut is not taken.
pub fn far(text: &[u8]) -> bool {
    state::ROOT.is_default() && matches!(member(text), Member::Far)
}

/// The kernel has no text for the directory: the descriptor is bad, or /proc is not mounted. Then a
/// directory on a leg's file system may be the leg's.
#[inline(never)]
fn without_text(dir: i32) -> Place {
    let mounted: Name = Name::from_bytes(b"/proc/self").unwrap_or_default();
    if sys::fstatat(c::AT_FDCWD, &mounted, c::AT_SYMLINK_NOFOLLOW).is_ok() {
        return Place::Out;
    }
    let on_leg = sys::fstat(dir).is_ok_and(|st| {
        let legs = state::CONFIG.get().pairs().iter().flat_map(|p| p.legs);
        let mut devices = legs.filter_map(|l| sys::stat_static(l).ok());
        devices.any(|l| l.dev() == st.dev())
    });
    if on_leg {
        Place::Fail(Errno::EIO)
    } else {
        Place::Out
    }
}

fn base_is_far(dir: i32) -> bool {
    if state::maybe_guest() {
        return false;
    }
    if dir == c::AT_FDCWD {
        state::cwd_is_out()
    } else {
        hint(dir) == OUT
    }
}

/// First classification, before any lock. `In` is a guess that `enter` proves; `Out` is certain.
#[inline(never)]
pub fn locate(dir: i32, path: &Path, last: Last, loc: &mut Loc) -> Place {
    let text = path.as_bytes();
    if text.is_empty() {
        return Place::Out;
    }
    let (parent, name, slash) = split(text);
    let absolute = text.first() == Some(&b'/');
    let last = if slash && last == Last::Keep {
        Last::Follow
    } else {
        last
    };
    if !absolute && base_is_far(dir) && parent.is_empty() && last != Last::Follow && name != b".." {
        return Place::Out;
    }
    loc.anchor.drop_fd();
    loc.jump = None;
    let mut full = Whole::new();
    if !absolute && let Err(place) = base_text(dir, &mut full) {
        // Out of a removed or deep directory ".." still leads.
        if text.split(|&b| b == b'/').any(|c| c == b"..") {
            return locate_slow(dir, path, last, loc);
        }
        return match place {
            Place::Out => prove_out(dir, path, last, loc),
            p => p,
        };
    }
    let base = match member(full.as_bytes()) {
        Member::In(_, _, rel) => Some(rel.len()),
        Member::Root(..) => Some(0),
        _ => None,
    };
    // The room is enough for both texts. "x/." asks the kernel whether x is a directory.
    let exact = join(&mut full, text) == Ok(Exact::Yes);
    if !exact || (name == b"." && !parent.is_empty() && parent != b"/") {
        return locate_slow(dir, path, last, loc);
    }
    let place = place_text(full.as_bytes(), slash, loc);
    if let (false, Some(len)) = (absolute, base) {
        // A leading ".." may have left the base behind.
        if len <= loc.rel.len() {
            loc.anchor.set(dir, len, false);
        }
    }
    match place {
        // The symlink of a link pair is followed by the kernel: then the root is meant.
        Place::Root(true) if last == Last::Follow => Place::Root(false),
        Place::Out => prove_out(dir, path, last, loc),
        Place::Fail(e) => Place::Fail(unreached(dir, parent).unwrap_or(e)),
        p => p,
    }
}

/// What the kernel says before it looks at the last component.
#[cold]
fn unreached(dir: i32, parent: &[u8]) -> Option<Errno> {
    let mut p = Path::new();
    let _ = p.set(if parent.is_empty() { b"." } else { parent });
    match own_fd(|| sys::openat(dir, &p, c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC, 0)) {
        Ok(n) => {
            let _ = sys::close(n);
            None
        }
        Err(e) => Some(e),
    }
}

/// A descriptor of our own, before TX is taken: the program's limit is not for it.
pub fn own_fd(open: impl Fn() -> sys::Sys<i32>) -> sys::Sys<i32> {
    match open() {
        Err(Errno::EMFILE) => crate::handlers::locked(|| crate::attach::with_limit(open)),
        r => r,
    }
}

/// The text looks like outside: make sure that no symlink on the way leads in.
#[inline(never)]
fn prove_out(dir: i32, path: &Path, last: Last, loc: &mut Loc) -> Place {
    let flags = c::O_PATH | c::O_CLOEXEC;
    if last == Last::Follow {
        match own_fd(|| sys::openat2(dir, path, flags, 0, sys::NO_SYMLINKS)) {
            Ok(n) => {
                let _ = sys::close(n);
                return Place::Out;
            }
            Err(Errno::ELOOP) => return locate_slow(dir, path, last, loc),
            // No such object: its parent decides (a creation).
            Err(Errno::ENOENT) => {}
            Err(_) => return Place::Out,
        }
    }
    let (parent, _, _) = split(path.as_bytes());
    let mut p = Path::new();
    let _ = p.set(if parent.is_empty() { b"." } else { parent });
    match own_fd(|| sys::openat2(dir, &p, flags | c::O_DIRECTORY, 0, sys::NO_SYMLINKS)) {
        Ok(n) => {
            let _ = sys::close(n);
            // Only what the kernel has just proved; a symlink's way out may be turned at any time.
            if parent.first() == Some(&b'/') {
                crate::handlers::remember(parent);
            }
            Place::Out
        }
        Err(Errno::ELOOP) => locate_slow(dir, path, last, loc),
        Err(_) => Place::Out,
    }
}

/// Asks the kernel: opens the parent as the program would and takes the kernel's text for it; follows
/// the last component by hand, so that a name which does not exist yet is found too.
#[inline(never)]
pub fn locate_slow(dir: i32, path: &Path, last: Last, loc: &mut Loc) -> Place {
    loc.anchor.drop_fd();
    loc.jump = None;
    let (parent, name, mut slash) = split(path.as_bytes());
    let mut leaf = Name::new();
    if leaf.set(name).is_err() {
        return Place::Fail(unreached(dir, parent).unwrap_or(Errno::ENAMETOOLONG));
    }
    let dir_flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    let mut text = Path::new();
    let _ = text.set(if parent.is_empty() { b"." } else { parent });
    let mut at = match own_fd(|| sys::openat(dir, &text, dir_flags, 0)) {
        Ok(n) => n,
        Err(e) => return Place::Fail(e),
    };
    let follow = last == Last::Follow || (slash && last == Last::Keep);
    let mut place = Place::Fail(Errno::ELOOP);
    for _ in 0..41 {
        if matches!(leaf.as_bytes(), b"" | b"." | b"..") {
            if leaf.is_empty() {
                let _ = leaf.set(b".");
            }
            let n = own_fd(|| sys::openat(at, &leaf, dir_flags, 0));
            let _ = sys::close(at);
            let n = match n {
                Ok(n) => n,
                Err(e) => return Place::Fail(e),
            };
            let _ = leaf.set(b"");
            place = place_below(n, &leaf, slash, loc);
            let _ = sys::close(n);
            return place;
        }
        let link = sys::readlinkat(at, &leaf, &mut text);
        if follow && matches!(link, Ok(()) | Err(Errno::ENAMETOOLONG)) {
            if sys::fs_magic(at) == Ok(PROC_SUPER_MAGIC) {
                place = magic(at, &leaf, loc);
                // A link in /proc that is an ordinary text (/proc/self, /proc/mounts) is not magic.
                let ordinary = link.is_ok() && text.as_bytes().first() != Some(&b'/');
                if place != Place::Out || !ordinary {
                    loc.slash = slash;
                    break;
                }
            }
            let (parent, name, s) = split(text.as_bytes());
            slash |= s;
            if leaf.set(name).is_err() {
                place = Place::Fail(Errno::ENAMETOOLONG);
                break;
            }
            let mut p = Path::new();
            let _ = p.set(if parent.is_empty() { b"." } else { parent });
            let next = own_fd(|| sys::openat(at, &p, dir_flags, 0));
            let _ = sys::close(at);
            match next {
                Ok(n) => at = n,
                Err(e) => return Place::Fail(e),
            }
            continue;
        }
        place = place_below(at, &leaf, slash, loc);
        if place == Place::In {
            let len = split(loc.rel.as_bytes()).0.len();
            loc.anchor.set(at, len, true);
            return place;
        }
        break;
    }
    let _ = sys::close(at);
    place
}

/// The place of a name in an open directory (the empty name: of the directory).
#[inline(never)]
fn place_below(dir: i32, leaf: &Name, slash: bool, loc: &mut Loc) -> Place {
    let mut text = Whole::new();
    match sys::fd_path(dir, &mut text) {
        Ok(()) if text.as_bytes().first() != Some(&b'/') => Place::Out,
        Ok(()) => match join(&mut text, leaf.as_bytes()) {
            Ok(_) => place_text(text.as_bytes(), slash, loc),
            Err(_) => Place::Fail(Errno::ENAMETOOLONG),
        },
        Err(Errno::ENAMETOOLONG) => deep(dir, loc),
        Err(_) => without_text(dir),
    }
}

/// A magic link below /proc jumps to an open object whatever its text says.
#[inline(never)]
fn magic(at: i32, leaf: &Name, loc: &mut Loc) -> Place {
    let n = match own_fd(|| sys::openat(at, leaf, c::O_PATH | c::O_CLOEXEC, 0)) {
        Ok(n) => n,
        Err(e) => return Place::Fail(e),
    };
    let place = jump(n, leaf_number(leaf.as_bytes()), loc);
    let _ = sys::close(n);
    place
}

/// A descriptor's number as /proc writes it, or −1.
fn leaf_number(d: &[u8]) -> i32 {
    if d.is_empty() || d.len() > 7 || !d.iter().all(u8::is_ascii_digit) {
        return -1;
    }
    d.iter().fold(0i32, |n, b| {
        n.wrapping_mul(10)
            .wrapping_add(i32::from(b.wrapping_sub(b'0')))
    })
}

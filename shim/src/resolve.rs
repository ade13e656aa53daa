//! Where a path leads: outside, to a root, or to a place in a leg.
//!
//! Rules: a text is a guess until the kernel has proved it. Inside, the proof is `openat2` below the
//! leg's root with BENEATH and NO_SYMLINKS, made under the locks; outside, NO_SYMLINKS on the text
//! itself. ELOOP means a symlink: then the parent is opened as the program would open it, and what the
//! kernel says it is decides. Texts come from the copy in our memory, never twice from the program's.
use crate::reach::{beyond, without_text};
use crate::refused::{self, Refused};
use crate::state::{self, CWD, Member, OUT, UNKNOWN, guest, hint, member, set_hint};
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::Errno;
use mirror_core::path::{Exact, PATH_MAX, PathText, is_control, join, split};
use mirror_core::refusal::Refusal;
use mirror_sys as sys;

/// A path text.
pub type Path = PathText<PATH_MAX>;
/// A last component, with the '/' it was given with.
pub type Name = PathText<264>;

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
    /// The same, but another name of it lives somewhere in the leg.
    Linked,
}

/// How to treat the last component.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// The name itself (unlink, rename, O_NOFOLLOW…).
    Keep,
    /// Where it leads (chmod, truncate, open…).
    Follow,
}

fn place_text(text: &[u8], slash: bool, loc: &mut Loc) -> Place {
    if state::ROOT.is_default() {
        return place_absolute(text, slash, loc);
    }
    let mut whole = Path::new();
    if state::ROOT.absolute(text, &mut whole) {
        place_absolute(whole.as_bytes(), slash, loc)
    } else {
        Place::Out
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
        Member::In(pair, _, _, true) if !leads(pair) => Place::Fail(Errno::EIO),
        Member::In(pair, leg, rel, _) => {
            if is_control(rel) {
                return Place::Control;
            }
            loc.pair = pair;
            loc.leg = leg;
            let (_, name, _) = split(rel);
            if loc.rel.set(rel).is_err() || loc.name.set(name).is_err() {
                // The kernel will say ENAMETOOLONG.
                return Place::Out;
            }
            if slash {
                let _ = loc.name.append(b"/");
            }
            Place::In
        }
    }
}

/// Whether V of a link pair is the link to leg a. What a program reads through V is where V leads: if that
/// is not leg a, a change by V's text would be made where nobody looks. Below another root V's text is not
/// what it was.
#[inline(never)]
fn leads(pair: usize) -> bool {
    let Some(conf) = state::CONFIG.get().pairs().get(pair) else {
        return false;
    };
    let leads = state::ROOT.is_default() && is_link(conf);
    if !leads {
        refused::record(pair, &Refused::new(Refusal::Link));
    }
    leads
}

fn is_link(conf: &state::PairConf) -> bool {
    let mut to = PathText::<512>::new();
    if sys::readlink_static(conf.virt, &mut to).is_ok() && to.as_bytes() == conf.legs[0].to_bytes()
    {
        return true;
    }
    // Another text may lead there too (a relative one).
    match (sys::stat_static(conf.virt), sys::stat_static(conf.legs[0])) {
        (Ok(v), Ok(a)) => v.ino() == a.ino() && v.dev() == a.dev(),
        _ => false,
    }
}

/// Whether a path, as far as its text says, leads through a V that is not the link to leg a.
#[inline(never)]
fn through_broken(dir: i32, text: &[u8]) -> bool {
    let mut full = Path::new();
    if text.first() != Some(&b'/') && base_text(dir, &mut full).is_none() {
        return false;
    }
    if text.first() == Some(&b'/') {
        let _ = full.set(b"/");
    }
    let mut parts = text.split(|&b| b == b'/');
    parts.any(|part| {
        let _ = join(&mut full, part);
        match member(full.as_bytes()) {
            Member::In(pair, _, _, true) | Member::Root(pair, _, true) => !leads(pair),
            _ => false,
        }
    })
}

/// The place of an open object with the kernel's text for it, or of `leaf` in it.
fn place_open(n: i32, text: &mut Path, leaf: &[u8], slash: bool, loc: &mut Loc) -> Place {
    let system = beyond(n, text);
    if text.as_bytes().first() != Some(&b'/') || join(text, leaf).is_err() {
        return Place::Out;
    }
    if system {
        place_absolute(text.as_bytes(), slash, loc)
    } else {
        place_text(text.as_bytes(), slash, loc)
    }
}

/// The absolute canonical text of what a relative path starts from, and whether it begins at the system's
/// root instead of the process's; `None`: not to be known.
#[inline(never)]
fn base_text(dir: i32, out: &mut Path) -> Option<bool> {
    if dir == c::AT_FDCWD {
        let before = CWD.load(Ordering::Acquire);
        sys::getcwd(out).ok()?;
        if out.as_bytes().first() != Some(&b'/') {
            // "(unreachable)/…": the root was changed, the cwd was not.
            let mut whole = Path::new();
            let rest = out.as_bytes().strip_prefix(b"(unreachable)")?;
            whole.set(rest).ok()?;
            *out = whole;
            return (!state::ROOT.is_default() && out.as_bytes().first() == Some(&b'/'))
                .then_some(true);
        }
        if far(out) && !guest() {
            // Not if a chdir came between.
            let _ = CWD.compare_exchange(before, before | 1, Ordering::AcqRel, Ordering::Relaxed);
        }
        return Some(false);
    }
    sys::fd_path(dir, out).ok()?;
    if out.as_bytes().first() != Some(&b'/') {
        return None;
    }
    if far(out) && hint(dir) == UNKNOWN && !guest() {
        set_hint(dir, OUT);
    }
    Some(beyond(dir, out))
}

/// Away from every root. Below a new root the shortcut is not taken.
pub fn far(text: &Path) -> bool {
    state::ROOT.is_default() && matches!(member(text.as_bytes()), Member::Far)
}

/// A path in normal form, without asking what its components are: the caller knows of no symlink. Whether it
/// begins at the system's root; `None`: only the kernel can say where it leads.
pub fn lexical(path: &Path, out: &mut Path) -> Option<bool> {
    let system = if path.as_bytes().first() == Some(&b'/') {
        false
    } else {
        base_text(c::AT_FDCWD, out)?
    };
    join(out, path.as_bytes()).ok().map(|_| system)
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
    let last = if slash { Last::Follow } else { last };
    if !absolute && base_is_far(dir) && parent.is_empty() && last == Last::Keep && name != b".." {
        return Place::Out;
    }
    let mut full = Path::new();
    let mut system = false;
    if !absolute {
        match base_text(dir, &mut full) {
            Some(s) => system = s,
            // Out of a removed directory ".." still leads.
            None if text.split(|&b| b == b'/').any(|c| c == b"..") => {
                return locate_slow(dir, path, last, loc);
            }
            None => return without_text(dir),
        }
    }
    loc.anchor.drop_fd();
    let base = match member(full.as_bytes()) {
        Member::In(_, _, rel, _) => Some(rel.len()),
        Member::Root(..) => Some(0),
        _ => None,
    };
    let Ok(exact) = join(&mut full, text) else {
        return Place::Out;
    };
    let dot = name == b"." && !parent.is_empty() && parent != b"/";
    if exact == Exact::DotDot || dot {
        if through_broken(dir, text) {
            return Place::Fail(Errno::EIO);
        }
        // "x/." asks the kernel whether x is a directory.
        return locate_slow(dir, path, last, loc);
    }
    let place = if system {
        place_absolute(full.as_bytes(), slash, loc)
    } else {
        place_text(full.as_bytes(), slash, loc)
    };
    if let (false, Some(len)) = (absolute, base) {
        // A leading ".." may have left the base behind.
        if len <= loc.rel.len() {
            loc.anchor.set(dir, len, false);
        }
    }
    match place {
        // The symlink of a link pair is followed by the kernel: then the root is meant.
        Place::Root(true) if last == Last::Follow && !leads(loc.pair) => Place::Fail(Errno::EIO),
        Place::Root(true) if last == Last::Follow => Place::Root(false),
        Place::Out => prove_out(dir, path, last, loc),
        p => p,
    }
}

/// A descriptor of our own, before TX is taken: the program's limit is not for it.
pub fn own_fd(open: impl Fn() -> sys::Sys<i32>) -> sys::Sys<i32> {
    match open() {
        Err(Errno::EMFILE) => crate::handlers::locked(|| crate::attach::with_limit(0, open)),
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
    let (parent, name, mut slash) = split(path.as_bytes());
    let mut leaf = Name::new();
    if leaf.set(name).is_err() {
        return Place::Out;
    }
    let dir_flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    let mut text = Path::new();
    let _ = text.set(if parent.is_empty() { b"." } else { parent });
    let mut at = match own_fd(|| sys::openat(dir, &text, dir_flags, 0)) {
        Ok(n) => n,
        Err(e) => return Place::Fail(e),
    };
    let follow = last == Last::Follow || slash;
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
            place = if sys::fd_path(n, &mut text).is_ok() {
                place_open(n, &mut text, b"", slash, loc)
            } else {
                without_text(n)
            };
            let _ = sys::close(n);
            return place;
        }
        if follow && sys::readlinkat(at, &leaf, &mut text).is_ok() {
            if sys::fs_magic(at) == Ok(PROC_SUPER_MAGIC) {
                place = magic(at, &leaf, loc);
                // A link in /proc that is an ordinary text (/proc/self, /proc/mounts) is not magic.
                if place != Place::Out || text.as_bytes().first() == Some(&b'/') {
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
        place = if sys::fd_path(at, &mut text).is_ok() {
            place_open(at, &mut text, leaf.as_bytes(), slash, loc)
        } else {
            without_text(at)
        };
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

/// A magic link below /proc jumps to an open object whatever its text says.
#[inline(never)]
fn magic(at: i32, leaf: &Name, loc: &mut Loc) -> Place {
    let Ok(n) = sys::openat(at, leaf, c::O_PATH | c::O_CLOEXEC, 0) else {
        return Place::Out;
    };
    let place = named(n, loc);
    let _ = sys::close(n);
    place
}

/// Whether an open object of this type can have a name.
pub fn has_place(st: &sys::Stat) -> bool {
    matches!(
        st.kind(),
        c::S_IFREG | c::S_IFDIR | c::S_IFLNK | c::S_IFIFO | c::S_IFCHR | c::S_IFBLK
    )
}

/// The place of an open object: its name, if the name still is this object.
#[inline(never)]
pub fn named(n: i32, loc: &mut Loc) -> Place {
    let mut text = Path::new();
    let Ok(st) = sys::fstat(n) else {
        return Place::Out;
    };
    if !has_place(&st) || sys::fd_path(n, &mut text).is_err() {
        return Place::Out;
    }
    let place = place_open(n, &mut text, b"", false, loc);
    if place != Place::In {
        return place;
    }
    let root = if state::ROOT.is_default() {
        None
    } else {
        crate::attach::root_of(loc.pair, loc.leg)
    };
    let by_name = match root {
        Some(root) => sys::fstatat(root, &loc.rel, c::AT_SYMLINK_NOFOLLOW),
        None => sys::fstatat(c::AT_FDCWD, &text, c::AT_SYMLINK_NOFOLLOW),
    };
    match by_name {
        Ok(s) if s.ino() == st.ino() && s.dev() == st.dev() => Place::In,
        _ if st.nlink() > 0 && st.kind() != c::S_IFDIR => Place::Linked,
        _ => Place::Nameless,
    }
}

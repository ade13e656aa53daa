//! Whether a text is surely outside, by what was proved before or one look at its parent.
use crate::config::CONFIG;
use crate::path::known::{self, Known, known};
use crate::path::proofs::{self, plain};
use crate::path::{cwd, dirs, doors, far, roots};
use crate::process::actor::maybe_guest;
use libc as c;
use mirror_core::path::Under;
use mirror_core::path::under;
use mirror_sys as sys;

/// Whether a plain text from this base is lexically away from every root.
pub fn away(dir: i32, t: &[u8]) -> bool {
    if !crate::process::place::plain() {
        return false;
    }
    if t.first() == Some(&b'/') {
        return CONFIG.get().pairs().iter().all(|p| {
            [p.virt, p.legs.a, p.legs.b]
                .iter()
                .all(|r| matches!(under(r.to_bytes(), t), Under::Outside))
        });
    }
    if maybe_guest() {
        return false;
    }
    if dir == c::AT_FDCWD {
        cwd::away(t)
    } else {
        dirs::is_far(dir) || far::directory(dir)
    }
}

/// Whether the kernel's text for a file names a place outside.
pub fn named_outside(t: &[u8]) -> bool {
    let parent = t.iter().rposition(|&b| b == b'/').unwrap_or(0);
    let (parent, name) = t.split_at_checked(parent).unwrap_or((b"", b""));
    !parent.is_empty()
        && plain(t)
        && away(c::AT_FDCWD, t)
        && (proofs::proved(c::AT_FDCWD, parent)
            || seen(c::AT_FDCWD, parent, name.get(1..).unwrap_or(b"")))
}

/// A look at the parent: it leads to a directory that is known to be outside, and the name in it is none of a
/// root's or of a directory's above one. Or it leads into a directory of which that is known for all below it.
pub fn seen(dir: i32, parent: &[u8], name: &[u8]) -> bool {
    look(dir, parent, name, false)
}

/// The same for an open, which proves itself that no symlink is on its text: the directory may be any on a device
/// that is none of the legs'.
pub fn opens(dir: i32, parent: &[u8], name: &[u8]) -> bool {
    look(dir, parent, name, true)
}

#[inline(never)]
fn look(dir: i32, parent: &[u8], name: &[u8], opens: bool) -> bool {
    if maybe_guest() {
        return false;
    }
    let begun = proofs::begin(dir, parent);
    let step = || begun.as_ref().is_some_and(|b| step(dir, parent, b));
    if !opens && step() {
        return true;
    }
    let Some(Ok(id)) = sys::identity_through(dir, parent) else {
        return false;
    };
    let foreign = || id.kind == c::S_IFDIR && roots::is_foreign(id.dev);
    match known(&id) {
        Some(Known::Far) => {}
        None if opens && foreign() => return no_root_is_called(name),
        Some(Known::Near) => return no_root_is_called(name),
        None => return (opens && step()) || above(dir, parent, &id),
    }
    if let Some(begun) = begun {
        proofs::renew(&begun, id.ino);
    }
    true
}

/// The parent lies in a directory that was proved a moment ago, and is no symlink. Not for one that has been
/// looked at already.
#[inline(never)]
fn step(dir: i32, parent: &[u8], begun: &proofs::Begun<'_>) -> bool {
    let above = parent.iter().rposition(|&b| b == b'/');
    let near = match above.and_then(|i| parent.get(..i)) {
        None => true,
        Some(b"") => true,
        Some(above) => proofs::proved(dir, above),
    };
    if !near || proofs::once(begun) || !away(dir, parent) {
        return false;
    }
    let Some(Ok(id)) = sys::identity_at(dir, parent) else {
        return false;
    };
    if id.kind != c::S_IFDIR || roots::is_one(id.dev, id.ino) != Some(false) {
        return false;
    }
    // Where something is mounted, or where a leg is met by another way, texts do not say what is above.
    if !roots::is_foreign(id.dev) && (id.top != Some(false) || !doors::texts_hold(id.mount)) {
        return false;
    }
    known::remember(&id, Known::Far);
    proofs::inherit(begun);
    true
}

/// The directory above the parent, of which nothing is known.
#[inline(never)]
pub fn above(dir: i32, parent: &[u8], id: &sys::Identity) -> bool {
    let mut dots = [0u8; 240];
    let all = parent.iter().chain(b"/..");
    let len = parent.len().saturating_add(3);
    let Some(room) = dots.get_mut(..len) else {
        return false;
    };
    for (to, b) in room.iter_mut().zip(all) {
        *to = *b;
    }
    let is_root = roots::is_one(id.dev, id.ino) != Some(false);
    let Some(Ok(up)) = sys::identity_through(dir, room) else {
        return false;
    };
    let crosses = id.top != Some(false) && !roots::is_foreign(id.dev);
    if is_root || crosses || id.kind != c::S_IFDIR || known(&up) != Some(Known::Far) {
        return false;
    }
    // It is remembered if the text still leads to it: then it is what lies there.
    if matches!(sys::identity_through(dir, parent), Some(Ok(again)) if again.same(id)) {
        known::remember(id, Known::Far);
    }
    true
}

/// A name that is no component of a root's text.
pub fn no_root_is_called(name: &[u8]) -> bool {
    CONFIG.get().pairs().iter().all(|p| {
        let mut roots = [p.virt, p.legs.a, p.legs.b].into_iter();
        roots.all(|r| r.to_bytes().split(|&b| b == b'/').all(|c| c != name))
    })
}

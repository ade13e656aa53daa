//! "Make this object equal, from one leg to the other": repair of what a dead holder left, and of an
//! object that somebody changed on one tree alone.
//!
//! Rules: the whole pair is locked and everybody else kept out. Paths come from shared memory or from other processes and are not
//! trusted: every step goes through BENEATH and NO_SYMLINKS. Data files are opened, and so closed,
//! only in a quiet fork with a descriptor table of its own: closing one in the program would drop the
//! program's fcntl locks. What cannot be repaired here is recorded as pending, never guessed.
use crate::attach::handle::Session;
use crate::repair::both::{Both, attributes, make, not_led};
use crate::repair::copying::copy;
use crate::repair::pending::pending;
use crate::repair::same::{self, Found};
use libc as c;
use mirror_core::Errno;
use mirror_core::path::PATH_MAX;
use mirror_core::runtime::{AT_END, IntentKind};
use mirror_sys as sys;
use mirror_sys::Stat;
use mirror_sys::Sys;

/// Makes the object at `rel` on the other leg like the one on leg `from`.
#[inline(never)]
pub fn equal(s: &Session, from: usize, rel: &[u8]) -> Sys<()> {
    not_led(s)?;
    let mut b = Both::open(s, rel)?;
    let r = equal_at(s, &b, from, None);
    b.close();
    r
}

#[inline(never)]
fn equal_at(s: &Session, b: &Both, from: usize, range: Option<(u64, u64)>) -> Sys<()> {
    let to = from ^ 1;
    match (b.stat(from), b.stat(to)) {
        (None, None) => Ok(()),
        (None, Some(t)) => {
            let flags = if t.kind() == c::S_IFDIR {
                c::AT_REMOVEDIR
            } else {
                0
            };
            sys::unlinkat(b.at(to), &b.name, flags).map(|_| ())
        }
        (Some(f), None) => {
            make(b, from, &f)?;
            if f.kind() == c::S_IFREG {
                copy(b, from, &f, None)?;
            }
            attributes(b, from, &f)
        }
        (Some(f), Some(t)) => {
            if f.kind() != t.kind() {
                return Err(Errno::EEXIST);
            }
            // A file of more names than the other is perhaps another one's: its content is not ours to
            // write. Resync knows all names.
            if f.kind() == c::S_IFREG && !same::may_differ(s, from, &f, &t) {
                return Err(Errno::EMLINK);
            }
            if f.kind() == c::S_IFREG {
                let whole = if f.size() == t.size() {
                    range
                } else {
                    range.filter(|_| f.size() >= t.size())
                };
                copy(b, from, &f, whole)?;
            }
            attributes(b, from, &f)
        }
    }
}

/// Ends what a dead holder left: what was done on the first leg is done on the second.
/// (Nobody was told of it, so either direction is right; this one never takes a byte back.)
#[inline(never)]
pub fn orphan(s: &Session, object: usize) {
    let (mut b1, mut b2) = ([0u8; PATH_MAX], [0u8; PATH_MAX]);
    let rt = s.runtime();
    let Some((i, p1, p2)) = rt.intent(object, &mut b1, &mut b2) else {
        if rt.sound().is_err() {
            return;
        }
        // Not sane: anything may differ. Only a full comparison helps.
        pending(s, b".");
        return;
    };
    let from = usize::from(i.first);
    let to = from ^ 1;
    let ino = |leg: usize| i.inode.get(leg).copied().unwrap_or(0);
    let ok = match i.kind {
        _ if s.is_guarded() => not_led(s),
        IntentKind::Rename => rename(s, from, p1, p2, 0, |_, _| true),
        // Exchanged on the first leg if the name no longer holds the recorded inode there, and not on
        // the second while it still does.
        IntentKind::Exchange => rename(s, from, p1, p2, 2, |f, t| {
            f.is_some_and(|f| f.ino() != ino(from)) && t.is_some_and(|t| t.ino() == ino(to))
        }),
        IntentKind::Link => link(s, from, p1, p2),
        IntentKind::Mend => finish(s, from, p1),
        IntentKind::Write => data(s, from, p1, ino(from), Some((i.offset, i.length))),
        IntentKind::Truncate | IntentKind::Allocate | IntentKind::Attributes => {
            data(s, from, p1, ino(from), None)
        }
        _ => equal(s, from, p1),
    };
    if ok.is_err() {
        for p in [p1, p2] {
            if !p.is_empty() {
                pending(s, p);
            }
        }
        if p1.is_empty() {
            pending(s, b".");
        }
    }
}

/// Data or attributes of an object whose path is a hint: the inode decides.
#[inline(never)]
fn data(s: &Session, from: usize, rel: &[u8], ino: u64, range: Option<(u64, u64)>) -> Sys<()> {
    if rel.is_empty() {
        return Err(Errno::ENOENT);
    }
    let mut b = Both::open(s, rel)?;
    // An append is what the first leg has and the second lacks.
    let tail = b.stat(from ^ 1).map(|t| (t.size(), u64::MAX));
    let range = if range.is_some_and(|r| r.0 == AT_END) {
        tail
    } else {
        range
    };
    let r = match b.stat(from) {
        Some(f) if ino == 0 || f.ino() == ino => equal_at(s, &b, from, range),
        _ => Err(Errno::ESTALE),
    };
    b.close();
    r
}

#[inline(never)]
fn rename(
    s: &Session,
    from: usize,
    p1: &[u8],
    p2: &[u8],
    flags: u32,
    pick: impl Fn(Option<Stat>, Option<Stat>) -> bool,
) -> Sys<()> {
    let to = from ^ 1;
    let mut a = Both::open(s, p1)?;
    let r = Both::open(s, p2).and_then(|mut b| {
        let done = if flags != 0 {
            true
        } else {
            a.stat(from).is_none() && b.stat(from).is_some()
        };
        let r = if done && a.stat(to).is_some() && pick(a.stat(from), a.stat(to)) {
            sys::renameat2(a.at(to), &a.name, b.at(to), &b.name, flags).map(|_| ())
        } else {
            Ok(())
        };
        b.close();
        r
    });
    a.close();
    r
}

#[inline(never)]
fn link(s: &Session, from: usize, p1: &[u8], p2: &[u8]) -> Sys<()> {
    let to = from ^ 1;
    let mut b = Both::open(s, p2)?;
    let r = match (b.stat(from), b.stat(to)) {
        (Some(_), None) => Both::open(s, p1).and_then(|mut a| {
            let same = a.stat(from).map(|x| x.ino()) == b.stat(from).map(|x| x.ino());
            let r = if same && a.stat(to).is_some() {
                sys::linkat(a.at(to), &a.name, b.at(to), &b.name, 0).map(|_| ())
            } else {
                Err(Errno::ENOENT)
            };
            a.close();
            r
        }),
        (None, Some(_)) => sys::unlinkat(b.at(to), &b.name, 0).map(|_| ()),
        _ => Ok(()),
    };
    b.close();
    r
}

/// Ends what a dead one has announced.
pub fn finish(s: &Session, from: usize, rel: &[u8]) -> Sys<()> {
    if same::same(s, from, rel)? == Found::Extra {
        // Nothing was begun.
        return Ok(());
    }
    equal(s, from, rel)?;
    let mut b = Both::open(s, rel)?;
    let unseen = b.stat(from).is_some_and(|st| st.kind() == c::S_IFDIR)
        && !same::holds_nothing(b.at(from), &b.name, b"");
    b.close();
    match unseen {
        true => Err(Errno::ENOTEMPTY),
        false => Ok(()),
    }
}

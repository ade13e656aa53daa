//! "Make this object equal, from one leg to the other": repair of what a crashed process left, and of an
//! object that somebody changed on one tree alone.
//!
//! Rules: the whole pair is locked exclusively. Paths come from shared memory or from other processes and are not
//! trusted: every step goes through BENEATH and NO_SYMLINKS. Data files are opened, and so closed,
//! only in a quiet fork with a descriptor table of its own: closing one in the program would drop the
//! program's fcntl locks. What cannot be repaired here is recorded as pending, never guessed.
use crate::attach::handle::Session;
use crate::path::below::hold;
use crate::repair::both::{Both, attributes, make, not_led};
use crate::repair::copying::copy;
use crate::repair::pending::pending;
use crate::repair::same::{self, Found};
use libc as c;
use mirror_core::marks::Value;
use mirror_core::path::PATH_MAX;
use mirror_core::repair::{Act, decide};
use mirror_core::runtime::{Intent, IntentKind};
use mirror_core::{BothLocked, Errno};
use mirror_sys as sys;
use mirror_sys::Sys;

/// Makes the object at `rel` on the other leg like the one on leg `from`.
#[inline(never)]
pub fn equal(s: &Session, from: usize, rel: &[u8], held: &BothLocked) -> Sys<()> {
    not_led(s)?;
    let mut b = Both::open(s, rel)?;
    let r = equal_at(s, &b, from, None, held);
    b.close();
    r
}

#[inline(never)]
fn equal_at(
    s: &Session,
    b: &Both,
    from: usize,
    range: Option<(u64, u64)>,
    held: &BothLocked,
) -> Sys<()> {
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
            make(b, from, &f, held)?;
            if f.kind() == c::S_IFREG {
                copy(b, from, &f, None, held)?;
            }
            attributes(b, from, &f, held)
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
                copy(b, from, &f, whole, held)?;
            }
            attributes(b, from, &f, held)
        }
    }
}

/// Ends what a crashed process left: what was done on the first leg is done on the second.
/// (Nobody was told of it, so either direction is right; this one never takes a byte back.)
#[inline(never)]
pub fn recover(s: &Session, object: usize, held: &BothLocked) {
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
    let ok = if s.is_guarded() {
        not_led(s)
    } else if i.kind == IntentKind::Mend {
        finish(s, usize::from(i.first & 1), p1, held)
    } else {
        end(s, &i, p1, p2, held)
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

/// Looks at both names on both legs, and does what [`decide`] says.
#[inline(never)]
fn end(s: &Session, i: &Intent, p1: &[u8], p2: &[u8], held: &BothLocked) -> Sys<()> {
    let mut one = Both::some(s, p1)?;
    let two = Both::some(s, p2);
    let r = two.and_then(|mut two| {
        let r = carry_out(s, i, (&one, &two), held);
        if let Some(b) = &mut two {
            b.close();
        }
        r
    });
    if let Some(b) = &mut one {
        b.close();
    }
    r
}

fn carry_out(
    s: &Session,
    i: &Intent,
    (one, two): (&Option<Both>, &Option<Both>),
    held: &BothLocked,
) -> Sys<()> {
    let seen = |b: &Option<Both>| match b {
        Some(b) => [b.seen(0), b.seen(1)],
        None => [None; 2],
    };
    let moved = |leg, flags| match (one, two) {
        (Some(a), Some(b)) => {
            sys::renameat2(a.at(leg), &a.name, b.at(leg), &b.name, flags).map(|_| ())
        }
        _ => Err(Errno::EINVAL),
    };
    match (decide(i, [seen(one), seen(two)]), one, two) {
        (Act::Nothing, ..) => Ok(()),
        (Act::Rename(leg), ..) => moved(leg, 0),
        (Act::Exchange(leg), ..) => moved(leg, c::RENAME_EXCHANGE),
        (Act::Link(leg), Some(a), Some(b)) => {
            sys::linkat(a.at(leg), &a.name, b.at(leg), &b.name, 0).map(|_| ())
        }
        (Act::Unlink(leg), _, Some(b)) => sys::unlinkat(b.at(leg), &b.name, 0).map(|_| ()),
        (Act::Equal { from, range }, Some(b), _) => equal_at(s, b, from, range, held),
        (Act::Marks { from }, Some(b), _) => marks(b, from, i, held),
        _ => Err(Errno::ESTALE),
    }
}

/// Flags and the like, in a quiet fork: files are opened for it.
#[cold]
#[inline(never)]
fn marks(b: &Both, from: usize, i: &Intent, held: &BothLocked) -> Sys<()> {
    // SAFETY: the child works on its own copy of this memory, makes raw system calls and exits; it never
    // returns into the program.
    let pid = unsafe { sys::quiet_fork() }?;
    if pid == 0 {
        let _ = crate::process::limits::lift();
        sys::exit_group(i32::from(marks_child(b, from, i, held).is_err()));
    }
    if sys::wait_quiet(pid) == 0 {
        Ok(())
    } else {
        Err(Errno::EIO)
    }
}

fn marks_child(b: &Both, from: usize, i: &Intent, _: &BothLocked) -> Sys<()> {
    let before = Value::announced(i).ok_or(Errno::EINVAL)?;
    let first = hold(b.at(from), &b.name)?;
    let second = hold(b.at(from ^ 1), &b.name)?;
    sys::stands_for(first.stat(), second.stat())?;
    sys::end_marks(before, &first, &second, sys::open_marked).map(|_| ())
}

/// Ends what a crashed process has announced.
fn finish(s: &Session, from: usize, rel: &[u8], held: &BothLocked) -> Sys<()> {
    if same::same(s, from, rel, held)? == Found::Extra {
        // Nothing was begun.
        return Ok(());
    }
    equal(s, from, rel, held)?;
    let mut b = Both::open(s, rel)?;
    let unseen = b.stat(from).is_some_and(|st| st.kind() == c::S_IFDIR)
        && !same::holds_nothing(b.at(from), &b.name, b"");
    b.close();
    match unseen {
        true => Err(Errno::ENOTEMPTY),
        false => Ok(()),
    }
}

//! "Make this object equal, from one leg to the other": repair of what a crashed process left, and of an
//! object that somebody changed on one tree alone.
//!
//! Rules: the whole pair is locked exclusively. Paths come from shared memory or from other processes and are not
//! trusted: every step goes through BENEATH and NO_SYMLINKS. Data files are opened, and so closed,
//! only in a quiet fork with a descriptor table of its own: closing one in the program would drop the
//! program's fcntl locks. What cannot be repaired here is recorded as pending, never guessed.
use crate::attach::handle::Session;
use crate::path::below::hold;
use crate::repair::both::{self, attributes, make, not_led};
use crate::repair::copying::copy;
use crate::repair::kept;
use crate::repair::pending::pending;
use crate::repair::same::{self, Found};
use libc as c;
use mirror_core::marks::Value;
use mirror_core::repair::{Act, Names};
use mirror_core::runtime::{Intent, IntentKind};
use mirror_core::{BothLocked, Errno, Leg};
use mirror_pair::both::{Both, Places};
use mirror_pair::{carry_out, owed};
use mirror_sys as sys;
use mirror_sys::Sys;

/// Makes the object at `rel` on the other leg like the one on leg `from`.
#[inline(never)]
pub fn equal(s: &Session, from: Leg, rel: &[u8], held: &BothLocked) -> Sys<()> {
    not_led(s)?;
    equal_at(s, &both::open(s, rel)?, from, None, held)
}

#[inline(never)]
fn equal_at(
    s: &Session,
    b: &Both,
    from: Leg,
    range: Option<(u64, u64)>,
    held: &BothLocked,
) -> Sys<()> {
    let to = from.other();
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

/// Ends what a crashed process left (`mirror_pair::carry_out`).
#[inline(never)]
pub fn recover(s: &Session, object: usize, held: &BothLocked) {
    carry_out::recover(&mut Heals(s), s.runtime(), object, held);
}

/// Gives files the times that killed writers have owed them.
#[inline(never)]
pub fn settle(s: &Session, held: &BothLocked) {
    owed::settle(s.root, s.runtime(), &both::open_dir, held);
}

struct Heals<'a>(&'a Session);

impl carry_out::Healer for Heals<'_> {
    #[inline(never)]
    fn end(&mut self, i: &Intent, names: [&[u8]; 2], held: &BothLocked) -> bool {
        let Heals(s) = self;
        let Ok(places) = Places::open(s.root, names, &both::open_dir) else {
            return false;
        };
        let kind = i.kind;
        let r = carry_out::end(&mut Ending { s, kind, places }, i, held);
        r == Ok(true)
    }
    fn mend(&mut self, from: Leg, rel: &[u8], held: &BothLocked) -> bool {
        finish(self.0, from, rel, held).is_ok()
    }
    fn pending(&mut self, rel: &[u8], _: &BothLocked) {
        pending(self.0, rel);
    }
}

/// A change that is being ended.
struct Ending<'a> {
    s: &'a Session,
    kind: IntentKind,
    places: Places,
}

impl carry_out::Ground for Ending<'_> {
    type Error = Errno;
    fn look(&mut self) -> Sys<Names> {
        self.places.look()
    }
    fn names(&mut self, act: Act, held: &BothLocked) -> Sys<()> {
        self.places.call(act, held)
    }
    fn equal(&mut self, from: Leg, range: Option<(u64, u64)>, held: &BothLocked) -> Sys<()> {
        let b = self.places.one.as_ref().ok_or(Errno::ESTALE)?;
        let to = from.other();
        if let (None, Some(t)) = (b.stat(from), b.stat(to))
            && !matches!(self.kind, IntentKind::Unlink | IntentKind::Rmdir)
        {
            // The change was to make it, and has not: who knows whose it is.
            let root = self.s.at(to);
            return kept::aside(root, b.at(to), &b.name, &t, held);
        }
        equal_at(self.s, b, from, range, held)
    }
    fn marks(&mut self, from: Leg, i: &Intent, held: &BothLocked) -> Sys<()> {
        let b = self.places.one.as_ref().ok_or(Errno::ESTALE)?;
        marks(b, from, i, held)
    }
    /// Not under somebody else's call.
    fn copied(&mut self, _: Leg, _: &BothLocked) -> Sys<bool> {
        Ok(false)
    }
}

/// Flags and the like, in a quiet fork: files are opened for it.
#[cold]
#[inline(never)]
fn marks(b: &Both, from: Leg, i: &Intent, held: &BothLocked) -> Sys<()> {
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

fn marks_child(b: &Both, from: Leg, i: &Intent, _: &BothLocked) -> Sys<()> {
    let before = Value::announced(i).ok_or(Errno::EINVAL)?;
    let first = hold(b.at(from), &b.name)?;
    let second = hold(b.at(from.other()), &b.name)?;
    sys::stands_for(first.stat(), second.stat())?;
    sys::end_marks(before, &first, &second, sys::open_marked).map(|_| ())
}

/// Ends a mend that a crashed process has announced.
fn finish(s: &Session, from: Leg, rel: &[u8], held: &BothLocked) -> Sys<()> {
    if same::same(s, from, rel, held)? == Found::Extra {
        // What was right is gone.
        return Err(Errno::ESTALE);
    }
    equal(s, from, rel, held)?;
    let b = both::open(s, rel)?;
    let unseen = b.stat(from).is_some_and(|st| st.kind() == c::S_IFDIR)
        && !same::holds_nothing(b.at(from), &b.name, b"");
    match unseen {
        true => Err(Errno::ENOTEMPTY),
        false => Ok(()),
    }
}

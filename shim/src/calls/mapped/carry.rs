//! Stores through mappings are carried over to the second leg, under the file's lock.
//!
//! Rules: both legs are compared, and what differs is copied: nothing is known of what was stored. Both are looked
//! at through the library's own mappings, by the kernel: what is not there any more (a file cut short by
//! somebody else) is an error and no signal. The sizes are equal under the lock; nothing is carried behind the end.
use crate::calls::mapped::table::Apart;
use crate::calls::mapped::{foreign, marks, table};
use crate::change::job::{Job, Patience};
use crate::change::port::{Ran, run};
use crate::change::target::{Change, Cx};
use core::sync::atomic::Ordering;
use mirror_core::mapped::{Mapped, PATH_ROOM};
use mirror_core::numbers;
use mirror_core::runtime::IntentKind;
use mirror_core::{
    BothLocked, Errno, Leg, LockPlan, Lone, Prepared, Refused, Step, Untouched, View,
};
use mirror_pair::mapped;
use mirror_sys as sys;
use mirror_sys::{NOW, OMIT, Sys};

/// What is compared at once.
const PIECE: usize = 32 << 10;
/// What is copied at least.
const BLOCK: usize = 4096;

/// What is done with a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It is entered in the runtime file, or its entry widened.
    Enter,
    /// These bytes are carried over.
    Carry,
    /// All that may differ is carried over, and this process's part of the entry ends, if the program has no
    /// mapping of the file any more.
    Leave,
    /// The same whatever is mapped: the process ends.
    End,
}

struct One {
    nth: usize,
    what: What,
    range: (u64, u64),
}

impl Change for One {
    fn plan(&mut self, cx: &mut Cx<'_>) -> Result<LockPlan, Prepared> {
        let f = table::file(self.nth).ok_or(Prepared::Answer(Err(Errno::EIO)))?;
        Ok(cx.file(f.inode()))
    }
    fn prepare(&mut self, cx: &mut Cx<'_>, _: &BothLocked) -> Prepared {
        let Some(f) = table::file(self.nth) else {
            return Prepared::Answer(Ok(0));
        };
        cx.intent.inode.a = f.inode();
        cx.intent.inode.b = f.id[2].load(Ordering::Relaxed);
        if self.what != What::Enter {
            let (from, to) = self.range;
            (cx.intent.offset, cx.intent.length) = (from, to.saturating_sub(from));
        }
        let mut path = [0u8; PATH_ROOM];
        cx.hint.set(f.path(&mut path));
        Prepared::Ready
    }
    fn apply(&mut self, cx: &mut Cx<'_>, held: &BothLocked, step: Step) -> Result<u64, Refused> {
        if step == Step::Second {
            return Ok(0);
        }
        let gone = match (table::renew(self.nth, cx.s), self.what) {
            (Ok(()), _) => false,
            (Err(Apart::Gone), _) => true,
            // With what was stored it is copied yet; but stores that are still to come must be announced.
            (Err(Apart::Lacking), What::Carry | What::Leave | What::End) => true,
            (Err(why), _) => return Err(why.errno().into()),
        };
        let named_yet = table::file(self.nth).is_some_and(table::File::is_nameless);
        let r = match self.what {
            What::Carry if gone => Ok(()),
            // Nobody will have it by a name again.
            What::Enter if gone && !named_yet => Ok(()),
            What::Enter => enter(self.nth, cx, self.range, held),
            What::Carry => carry(self.nth, self.range, held),
            What::Leave if table::is_mapped(self.nth) => Ok(()),
            What::Leave | What::End if gone => {
                ended(self.nth, cx, held);
                Ok(())
            }
            What::Leave | What::End => leave(self.nth, cx, held),
        };
        // All that is written is leg b's.
        if self.what != What::Enter {
            cx.refused.set(r.err().filter(|e| foreign::is_no_room(*e)));
        }
        r.map(|()| 0).map_err(Refused::Whole)
    }
    /// All of leg a is compared before leg b is back: nothing is carried, and no file is entered. That stores may come
    /// is noted.
    fn lone(&mut self, cx: &mut Cx<'_>, held: &BothLocked) -> Lone {
        table::let_go_of_b(cx.s.pair);
        Lone::Done(match self.what {
            What::Enter => marks::note_alone(cx.s, held).map(|()| 0),
            What::Carry => Ok(0),
            What::Leave if table::is_mapped(self.nth) => Ok(0),
            What::Leave | What::End => {
                ended(self.nth, cx, held);
                Ok(0)
            }
        })
    }
    fn undo(&mut self, _: &mut Cx<'_>, _: &BothLocked, _: Option<&Untouched<'_>>) -> Sys<()> {
        Ok(())
    }
}

/// This process's part of the entry ends.
fn ended(nth: usize, cx: &Cx<'_>, held: &BothLocked) {
    let (Some(f), View::Own(rt)) = (table::file(nth), cx.s.runtime()) else {
        return;
    };
    if let (Some(entry), true) = (f.entry(), marks::is_own()) {
        mapped::leave(rt, marks::of(cx.s), entry, held);
        f.set_entry(None);
    }
}

/// One act on a file of the table.
pub fn act(nth: usize, what: What, range: (u64, u64), patience: Patience) -> Ran {
    let Some(f) = table::file(nth) else {
        return Ran::Done(Ok(0));
    };
    let pair = usize::from(f.pair.load(Ordering::Relaxed));
    let mut change = One { nth, what, range };
    // Killed in the middle, the change is these bytes'.
    let job = Job::on((pair, Leg::A), IntentKind::Write).patience(patience);
    match run(job, [None, None], &mut change) {
        Ran::Lone(r) => Ran::Done(r),
        // The pair has been opened anew on the way: once more.
        Ran::Unresolved => Ran::Wait,
        ran => ran,
    }
}

/// Stores may reach these bytes from now on.
pub fn enter(nth: usize, cx: &Cx<'_>, range: (u64, u64), held: &BothLocked) -> Sys<()> {
    let View::Own(rt) = cx.s.runtime() else {
        return Err(Errno::ENODEV);
    };
    let f = table::file(nth).ok_or(Errno::EIO)?;
    let n = marks::open(cx.s)?;
    let id = f.id.each_ref().map(|i| i.load(Ordering::Relaxed));
    let mut path = [0u8; PATH_ROOM];
    let m = Mapped::new(id[0], id[1], id[2], range, f.path(&mut path));
    f.set_entry(Some(mapped::enter(rt, n, &m, held)?));
    Ok(())
}

/// All that may differ is carried over, and the entry ends, unless others have it too.
fn leave(nth: usize, cx: &Cx<'_>, held: &BothLocked) -> Sys<()> {
    let (Some(f), View::Own(rt)) = (table::file(nth), cx.s.runtime()) else {
        return Err(Errno::EIO);
    };
    let Some(entry) = f.entry() else {
        return Ok(());
    };
    let n = marks::of(cx.s);
    let others = mapped::is_held(n, entry);
    if !others {
        let m = rt.mapped.entries.get(entry).and_then(|e| e.read());
        let m = m.filter(|m| m.inode == f.inode());
        carry(nth, m.map_or((0, u64::MAX), |m| (m.from, m.to)), held)?;
    } else {
        // They carry it over; but who looks now is to find what was stored here.
        carry(nth, (0, u64::MAX), held)?;
    }
    if marks::is_own() {
        mapped::leave(rt, n, entry, held);
        f.set_entry(None);
    }
    Ok(())
}

/// Makes these bytes of the second leg's file equal, and its time.
fn carry(nth: usize, (from, to): (u64, u64), held: &BothLocked) -> Sys<()> {
    let (a, b) = (numbers::mapped(nth, Leg::A), numbers::mapped(nth, Leg::B));
    let st = sys::fstat(a)?;
    // What never had a name can get one yet.
    let named_before = !table::file(nth).is_some_and(table::File::is_nameless);
    if named_before && st.nlink() == 0 && sys::fstat(b)?.nlink() == 0 {
        return Ok(());
    }
    let end = to.min(st.size());
    table::reach(nth, end.next_multiple_of(BLOCK as u64) as usize)?;
    let f = table::file(nth).ok_or(Errno::EIO)?;
    let ((source, _), (copy, _)) = (f.mapping(Leg::A), f.mapping(Leg::B));
    let mut at = from & !(BLOCK as u64).wrapping_sub(1);
    let (mut one, mut other) = ([0u8; PIECE], [0u8; PIECE]);
    while at < end {
        let len = end.saturating_sub(at).min(PIECE as u64) as usize;
        let off = at as usize;
        let [from, there] = [(&mut one, source), (&mut other, copy)].map(|(buf, base)| {
            // SAFETY: into a buffer of this function's.
            unsafe { sys::copy_memory(buf.as_mut_ptr() as usize, base.wrapping_add(off), len) }
        });
        if from != Ok(len) {
            return Err(Errno::EIO);
        }
        if there != Ok(len) {
            // A hole there wants room even to be looked at (tmpfs); read(2) needs none.
            foreign::apart([a, b], st.ino(), (at, end), held)?;
            break;
        }
        let (x, y) = (one.get(..len), other.get(..len));
        if x != y {
            let (x, y) = (x.unwrap_or(&[]), y.unwrap_or(&[]));
            if !blocks(x, y, (source, copy), off, held) {
                // A write tells why, or can what a mapping could not.
                foreign::apart([a, b], st.ino(), (at, end), held)?;
                break;
            }
        }
        at = at.saturating_add(len as u64);
    }
    time((a, b), held)
}

/// Copies the blocks that differ. False: the second leg did not take one.
fn blocks(
    one: &[u8],
    other: &[u8],
    (source, copy): (usize, usize),
    off: usize,
    _: &BothLocked,
) -> bool {
    let mut at = off;
    for (x, y) in one.chunks(BLOCK).zip(other.chunks(BLOCK)) {
        if x != y {
            let (to, from) = (copy.wrapping_add(at), source.wrapping_add(at));
            // SAFETY: the library's own mapping of the second leg's file, into which nobody has a reference.
            if unsafe { sys::copy_memory(to, from, x.len()) } != Ok(x.len()) {
                return false;
            }
        }
        at = at.wrapping_add(x.len());
    }
    true
}

/// The second leg's mtime after the first's.
fn time((a, b): (i32, i32), _: &BothLocked) -> Sys<()> {
    for _ in 0..8 {
        let (f, t) = (sys::fstat(a)?, sys::fstat(b)?);
        if f.mtime() == t.mtime() {
            return Ok(());
        }
        match sys::set_times(b, OMIT, f.mtime()) {
            // Who may write another user's file may say "now" alone.
            Err(Errno::EPERM) => {
                for n in [a, b, a, b] {
                    sys::set_times(n, NOW, NOW)?;
                }
            }
            r => {
                r?;
            }
        }
    }
    Ok(())
}

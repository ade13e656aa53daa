//! A runtime file as a process may reach it.
//!
//! Who trusts all that can write the file looks at the mapping itself. Who does not (root in a user's
//! pair) would die of SIGBUS when somebody cuts the file short: it goes through the kernel, which answers
//! with an error. What is read there is anybody's guess; after an error it is zero, and [`View::sound`]
//! says so.
use crate::path::PATH_MAX;
use crate::runtime::{
    ANNOUNCED, Header, Intent, Post, RECORD_HEAD, Record, RuntimeFile, TEXT_AT, occupied,
    parse_head,
};
use crate::{Errno, Leg, LockPlan, LockWord, OBJECTS, StateWord};
use core::mem::{offset_of, size_of};
use core::sync::atomic::{AtomicU32, Ordering, fence};

/// Shared memory that others may cut short at any moment.
pub trait Guarded {
    /// Fills `into` with the bytes at `at`. False: they are not there.
    fn read(&self, at: usize, into: &mut [u8]) -> bool;
    /// Stores bytes. False: there is no room for them.
    fn write(&self, at: usize, from: &[u8]) -> bool;
    /// Changes one aligned 32-bit word atomically.
    fn change(&self, at: usize, how: Change) -> bool;
    /// Remembers that an access has failed.
    fn fail(&self);
    /// Whether one has.
    fn failed(&self) -> bool;
}

/// An atomic change of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Sets this bit (0 to 31).
    Set(u32),
    /// Clears it.
    Clear(u32),
    /// Counts one up.
    Count,
}

/// One of the two ways.
#[derive(Clone, Copy)]
pub enum View<'a> {
    /// The mapping.
    Own(&'a RuntimeFile),
    /// Through the kernel.
    Guarded(&'a dyn Guarded),
}

pub(crate) const WORD: usize = offset_of!(RuntimeFile, header) + offset_of!(Header, word);
const GENERATION: usize = offset_of!(RuntimeFile, header) + offset_of!(Header, generation);
const ERRORS: usize = offset_of!(RuntimeFile, header) + offset_of!(Header, partner_errors);
const LAST_ERROR: usize = offset_of!(RuntimeFile, header) + offset_of!(Header, last_error);

fn array(base: usize, size: usize, object: usize) -> Option<usize> {
    if object >= OBJECTS {
        return None;
    }
    object.checked_mul(size)?.checked_add(base)
}

fn post(object: usize) -> Option<usize> {
    array(offset_of!(RuntimeFile, posts), size_of::<Post>(), object)
}

fn record(object: usize) -> Option<usize> {
    array(
        offset_of!(RuntimeFile, records),
        size_of::<Record>(),
        object,
    )
}

/// Where an object's futex word stands in the file.
pub fn futex_at(object: usize) -> Option<usize> {
    Some(post(object)?.wrapping_add(offset_of!(Post, state)))
}

pub(crate) fn checked(g: &dyn Guarded, ok: bool) {
    if !ok {
        g.fail();
    }
}

pub(crate) fn get<const N: usize>(g: &dyn Guarded, at: usize) -> [u8; N] {
    let mut b = [0u8; N];
    // As a sequentially consistent load would, behind every store before it.
    fence(Ordering::SeqCst);
    if !g.read(at, &mut b) {
        g.fail();
        return [0; N];
    }
    b
}

pub(crate) fn put(g: &dyn Guarded, at: usize, bytes: &[u8]) {
    checked(g, g.write(at, bytes));
    fence(Ordering::SeqCst);
}

pub(crate) fn bits(g: &dyn Guarded, bits: u64, how: fn(u32) -> Change) {
    for n in (0..64u32).filter(|n| bits >> n & 1 == 1) {
        // Little-endian: the upper half stands behind the lower.
        let at = if n < 32 { WORD } else { WORD + 4 };
        checked(g, g.change(at, how(n & 31)));
    }
    fence(Ordering::SeqCst);
}

impl<'a> View<'a> {
    /// EIO after an access that failed: what was read is not true, and what was stored is not there.
    pub fn sound(&self) -> Result<(), Errno> {
        match self {
            View::Guarded(g) if g.failed() => Err(Errno::EIO),
            _ => Ok(()),
        }
    }

    /// The mapping, where it may be looked at: lock words can be changed there alone.
    pub fn own(&self) -> Option<&'a RuntimeFile> {
        match *self {
            View::Own(f) => Some(f),
            View::Guarded(_) => None,
        }
    }

    /// Whether others who can write the memory are not trusted.
    pub fn is_guarded(&self) -> bool {
        matches!(self, View::Guarded(_))
    }

    /// Who is inside with an object: [`Post::state`].
    pub fn state(&self, object: usize) -> u32 {
        match self {
            View::Own(f) => f.state(object),
            View::Guarded(g) => post(object).map_or(0, |at| u32::from_le_bytes(get(*g, at))),
        }
    }

    /// The first object from `from` on with somebody inside.
    pub fn occupied(&self, from: usize) -> Option<usize> {
        match self {
            View::Own(f) => {
                let mut later = f.posts.iter().enumerate().skip(from);
                let inside = |p: &Post| p.state.load(Ordering::SeqCst) != 0;
                later.find_map(|(n, p)| inside(p).then_some(n))
            }
            View::Guarded(_) => (from..OBJECTS).find(|&o| self.state(o) != 0),
        }
    }

    /// A lock word: who holds an object on a leg.
    pub fn lock_word(&self, leg: Leg, object: usize) -> LockWord {
        match self {
            View::Own(f) => f.lock_word(leg, object),
            View::Guarded(g) => {
                let at = leg
                    .index()
                    .wrapping_mul(8)
                    .wrapping_add(offset_of!(Post, held));
                let word = post(object).map(|p| u64::from_le_bytes(get(*g, p.wrapping_add(at))));
                LockWord(word.unwrap_or(0))
            }
        }
    }

    /// The pid in a post, for display.
    pub fn pid(&self, object: usize) -> u32 {
        match self {
            View::Own(f) => f
                .posts
                .get(object)
                .map_or(0, |p| p.pid.load(Ordering::Relaxed)),
            View::Guarded(g) => post(object).map_or(0, |p| {
                u32::from_le_bytes(get(*g, p.wrapping_add(offset_of!(Post, pid))))
            }),
        }
    }

    /// See [`RuntimeFile::enter`].
    pub fn enter(&self, plan: LockPlan, first: usize, pid: u32) {
        let g = match self {
            View::Own(f) => return f.enter(plan, first, pid),
            View::Guarded(g) => *g,
        };
        for at in plan.objects().filter_map(post) {
            let entries = at.wrapping_add(offset_of!(Post, entries));
            let n = u64::from_le_bytes(get(g, entries)).wrapping_add(1);
            put(g, entries, &n.to_le_bytes());
            put(
                g,
                at.wrapping_add(offset_of!(Post, pid)),
                &pid.to_le_bytes(),
            );
            put(g, at, &occupied(first, n).to_le_bytes());
        }
    }

    /// See [`RuntimeFile::publish`].
    pub fn publish(&self, first: usize, i: &Intent, path1: &[u8], path2: &[u8]) {
        let g = match self {
            View::Own(f) => return f.publish(first, i, path1, path2),
            View::Guarded(g) => *g,
        };
        let (Some(r), Some(p)) = (record(first), post(first)) else {
            return;
        };
        let text = r.wrapping_add(TEXT_AT);
        let cut = |p: &'_ [u8]| p.len().min(PATH_MAX);
        put(g, text, path1.get(..cut(path1)).unwrap_or(&[]));
        put(
            g,
            text.wrapping_add(PATH_MAX),
            path2.get(..cut(path2)).unwrap_or(&[]),
        );
        put(g, r, &i.head(path1, path2));
        let s = u32::from_le_bytes(get(g, p)) | ANNOUNCED;
        put(g, p, &s.to_le_bytes());
    }

    /// See [`RuntimeFile::leave`].
    pub fn leave(&self, plan: LockPlan) {
        match self {
            View::Own(f) => f.leave(plan),
            View::Guarded(g) => {
                for at in plan.objects().filter_map(post) {
                    let s = u32::from_le_bytes(get(*g, at));
                    if plan.is_several() && s & ANNOUNCED != 0 {
                        put(*g, at, &(s & !ANNOUNCED).to_le_bytes());
                    }
                }
                for at in plan.objects().rev().filter_map(post) {
                    put(*g, at, &[0; 4]);
                }
            }
        }
    }

    /// Frees the post of a crashed process, whose change has been ended.
    pub fn forget(&self, object: usize) {
        match self {
            View::Own(f) => {
                if let Some(p) = f.posts.get(object) {
                    p.state.store(0, Ordering::SeqCst);
                }
            }
            View::Guarded(g) => {
                if let Some(at) = post(object) {
                    put(*g, at, &[0; 4]);
                }
            }
        }
    }

    /// Whether somebody waits for an object that was given back just now; asked once.
    pub fn waited_for(&self, object: usize) -> bool {
        match self {
            View::Own(f) => f.waited_for(object),
            View::Guarded(g) => {
                let Some(at) = post(object) else { return false };
                let at = at.wrapping_add(offset_of!(Post, waiting));
                let some = get::<4>(*g, at) != [0; 4];
                if some {
                    put(*g, at, &[0; 4]);
                }
                some
            }
        }
    }

    /// The futex word of an object, where it may be looked at; announced as waited for.
    pub fn wait_on(&self, object: usize) -> Option<(&'a AtomicU32, u32)> {
        let View::Own(f) = *self else { return None };
        let p = f.posts.get(object)?;
        p.waiting.store(1, Ordering::SeqCst);
        Some((&p.state, p.state.load(Ordering::SeqCst)))
    }

    /// The state word.
    pub fn word(&self) -> StateWord {
        match self {
            View::Own(f) => f.word(),
            View::Guarded(g) => StateWord(u64::from_le_bytes(get(*g, WORD))),
        }
    }

    /// Sets bits of the state word.
    pub fn set_bits(&self, set: u64) {
        match self {
            View::Own(f) => f.set_bits(set),
            View::Guarded(g) => bits(*g, set, Change::Set),
        }
    }

    /// Clears bits of the state word.
    pub fn clear_bits(&self, clear: u64) {
        match self {
            View::Own(f) => f.clear_bits(clear),
            View::Guarded(g) => bits(*g, clear, Change::Clear),
        }
    }

    /// See [`Header::generation`].
    pub fn generation(&self) -> u64 {
        match self {
            View::Own(f) => f.generation(),
            View::Guarded(g) => u64::from_le_bytes(get(*g, GENERATION)),
        }
    }

    /// What is known of paths may have ended. (Through the kernel the lower half alone is counted: that
    /// it differs is all that anybody asks.)
    pub fn count_generation(&self) {
        match self {
            View::Own(f) => {
                f.header.generation.fetch_add(1, Ordering::SeqCst);
            }
            View::Guarded(g) => {
                checked(*g, g.change(GENERATION, Change::Count));
                fence(Ordering::SeqCst);
            }
        }
    }

    /// Counts an error of a second leg, and keeps it for display.
    pub fn partner_error(&self, why: Errno, kind: u8) {
        let last = why.0 as u64 | u64::from(kind) << 32;
        match self {
            View::Own(f) => {
                f.header.partner_errors.fetch_add(1, Ordering::Relaxed);
                f.header.last_error.store(last, Ordering::Relaxed);
            }
            View::Guarded(g) => {
                checked(*g, g.change(ERRORS, Change::Count));
                put(*g, LAST_ERROR, &last.to_le_bytes());
            }
        }
    }

    /// The intent in an object's record: see [`Record::intent`].
    pub fn intent<'b>(
        &self,
        object: usize,
        buf1: &'b mut [u8; PATH_MAX],
        buf2: &'b mut [u8; PATH_MAX],
    ) -> Option<(Intent, &'b [u8], &'b [u8])> {
        let g = match self {
            View::Own(f) => return f.records.get(object)?.intent(buf1, buf2),
            View::Guarded(g) => *g,
        };
        let at = record(object)?;
        let (i, [len1, len2]) = parse_head(&get::<RECORD_HEAD>(g, at))?;
        let text = at.wrapping_add(TEXT_AT);
        let (p1, p2) = (buf1.get_mut(..len1)?, buf2.get_mut(..len2)?);
        for (at, p) in [(text, &mut *p1), (text.wrapping_add(PATH_MAX), &mut *p2)] {
            if !g.read(at, p) {
                g.fail();
                return None;
            }
        }
        Some((i, p1, p2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{IntentKind, SIZE, first_lock};
    extern crate std;
    use std::cell::{Cell, RefCell};
    use std::vec::Vec;

    struct Bytes(RefCell<Vec<u8>>, Cell<bool>);

    impl Guarded for Bytes {
        fn read(&self, at: usize, into: &mut [u8]) -> bool {
            match self.0.borrow().get(at..at + into.len()) {
                Some(b) => into.copy_from_slice(b),
                None => return false,
            }
            true
        }
        fn write(&self, at: usize, from: &[u8]) -> bool {
            match self.0.borrow_mut().get_mut(at..at + from.len()) {
                Some(b) => b.copy_from_slice(from),
                None => return false,
            }
            true
        }
        fn change(&self, at: usize, how: Change) -> bool {
            let mut b = [0; 4];
            if !self.read(at, &mut b) {
                return false;
            }
            let v = u32::from_le_bytes(b);
            let v = match how {
                Change::Set(n) => v | 1 << n,
                Change::Clear(n) => v & !(1 << n),
                Change::Count => v + 1,
            };
            self.write(at, &v.to_le_bytes())
        }
        fn fail(&self) {
            self.1.set(true);
        }
        fn failed(&self) -> bool {
            self.1.get()
        }
    }

    fn file(len: usize) -> Bytes {
        Bytes(RefCell::new(std::vec![0; len]), Cell::new(false))
    }

    #[test]
    fn the_guarded_view_keeps_what_it_is_given() {
        let b = file(SIZE);
        let v = View::Guarded(&b);
        let plan = LockPlan::EMPTY.dir(5, 64).file(6, 64);
        let first = plan.first_lock();
        v.enter(plan, first, 77);
        assert!(plan.objects().all(|o| first_lock(v.state(o)) == first));
        let mut i = Intent::of(IntentKind::Rename, crate::Leg::B);
        i.inode = [7, 9].into();
        i.device = [1, 2];
        (i.offset, i.length, i.old_size) = (3, 4, 5);
        v.publish(first, &i, b"dir/one", b"other/two");
        assert_ne!(v.state(first) & ANNOUNCED, 0);
        let (mut one, mut two) = ([0; PATH_MAX], [0; PATH_MAX]);
        let found = v.intent(first, &mut one, &mut two);
        assert_eq!(found, Some((i, &b"dir/one"[..], &b"other/two"[..])));
        v.leave(plan);
        assert!(plan.objects().all(|o| v.state(o) == 0));
        v.set_bits(StateWord::PENDING | 1 << 40);
        assert_eq!(v.word().0, StateWord::PENDING | 1 << 40);
        v.clear_bits(StateWord::PENDING);
        assert_eq!(v.word().0, 1 << 40);
        v.count_generation();
        v.partner_error(Errno::EIO, 4);
        assert_eq!(v.generation(), 1);
        assert!(!v.waited_for(3) && v.sound().is_ok());
    }

    #[test]
    fn both_views_agree_on_the_layout() {
        // What the mapping's own code stores is read back through the file's bytes, and the reverse.
        let size = offset_of!(RuntimeFile, records) + 2 * size_of::<Record>();
        assert_eq!(TEXT_AT, 128);
        assert_eq!((WORD, GENERATION, ERRORS, LAST_ERROR), (128, 136, 144, 152));
        assert_eq!((post(1), offset_of!(Post, held)), (Some(4096 + 64), 24));
        assert_eq!(record(1), Some(size - size_of::<Record>()));
        assert_eq!((post(OBJECTS), record(OBJECTS)), (None, None));
        let i = Intent {
            kind: IntentKind::Write,
            first: crate::Leg::B,
            inode: [1, 2].into(),
            device: [3, 4],
            offset: 5,
            length: 6,
            old_size: 7,
        };
        let r = crate::runtime::tests::stored_head(&i, b"one", b"two");
        assert_eq!(r, i.head(b"one", b"two"));
    }

    #[test]
    fn a_file_that_was_cut_is_not_sound() {
        for len in [0, 100, 4096, 5000] {
            let b = file(len);
            let v = View::Guarded(&b);
            v.enter(LockPlan::EMPTY.file(6, 64), 100, 1);
            assert_eq!(v.sound(), Err(Errno::EIO), "{len}");
            let (mut one, mut two) = ([0; PATH_MAX], [0; PATH_MAX]);
            assert!(v.intent(3, &mut one, &mut two).is_none());
            assert!((0..OBJECTS).all(|o| v.state(o) == 0));
        }
    }

    #[test]
    fn insane_bytes_are_no_intent() {
        let b = file(SIZE);
        b.0.borrow_mut().fill(0xff);
        let v = View::Guarded(&b);
        let (mut one, mut two) = ([0; PATH_MAX], [0; PATH_MAX]);
        assert!((0..OBJECTS).all(|o| v.intent(o, &mut one, &mut two).is_none()));
        assert!((0..OBJECTS).all(|o| first_lock(v.state(o)) != o));
    }
}

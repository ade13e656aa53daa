//! The runtime file: one per pair and kernel, mapped shared by every attached process.
//!
//! ```text
//! 0      header   the facts: whose file this is; then the state word and counters
//! 4096   posts    one for each lock object: who is inside
//! then   records  one for each lock object: the intent of the transaction that leads with it
//! then   mapped   files that are mapped for writing (`crate::mapped`)
//! ```
//! All fields behind the header are atomics, so that a view of the mapping is a plain `&RuntimeFile`
//! and no reader can see a torn word. Only the holder of an object's locks stores into its post and its
//! record. A post that is occupied, found by somebody who has just taken the locks, belongs to a process
//! that died in mid-transaction: flock is the death oracle, no pid is trusted.
//!
//! A transaction occupies the posts of all its objects, and each names the *first lock* of its plan:
//! its record holds the intent. That one is occupied first and left last.
mod owed;

use crate::leg::{Leg, PerLeg};
use crate::lock::{LockPlan, OBJECTS};
use crate::path::PATH_MAX;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Bytes of the encoded [`Facts`], at the file's beginning.
pub const FACTS_SIZE: usize = 128;

/// "MIRRORRT" in ASCII, little-endian.
pub const MAGIC: u64 = u64::from_le_bytes(*b"MIRRORRT");
/// Version of this layout. Another one is refused.
pub const VERSION: u64 = 6;
/// Offset of a write that goes to the end, wherever that is.
pub const AT_END: u64 = u64::MAX;
/// Words of path text per intent: two paths of PATH_MAX.
const TEXT_WORDS: usize = 2 * PATH_MAX / 8;

/// The header page.
#[repr(C)]
pub struct Header {
    /// [`crate::facts::Facts`], written before anybody maps the file, read from the file and not from the mapping.
    pub facts: [AtomicU64; FACTS_SIZE / 8],
    /// The state word, [`crate::word::StateWord`].
    pub word: AtomicU64,
    /// Counts what may end the truth of "this path is that directory": each rmdir, each end of an
    /// exclusive transaction.
    pub generation: AtomicU64,
    /// Errors of a second leg since the file was made: in a healthy pair there are none.
    pub partner_errors: AtomicU64,
    /// The last one: errno, then the intent's kind << 32, for `status`.
    pub last_error: AtomicU64,
    /// How many slots were given to processes ([`crate::words`]).
    pub slots: AtomicU64,
    rest: [AtomicU64; 512 - 21],
}

/// Who is inside with a lock object. On a cache line of its own.
#[repr(C, align(64))]
pub struct Post {
    /// 0, or first lock + 1 | [`ANNOUNCED`] | a count << 9: a transaction is inside. Futex word.
    pub state: AtomicU32,
    /// The pid of the transaction, for display only.
    pub pid: AtomicU32,
    /// Not 0: somebody waits for the object.
    pub waiting: AtomicU32,
    /// Not 0: a file that the record names may be owed a time on the second leg, by the process with this pid.
    pub owed: AtomicU32,
    /// Transactions that came in since the file was made (wraps).
    pub entries: AtomicU64,
    /// Who holds the object, on leg a and b, where locks are words ([`crate::words`]).
    pub(crate) held: [AtomicU64; 2],
}

impl Post {
    pub(crate) fn word(&self, leg: Leg) -> &AtomicU64 {
        let [a, b] = &self.held;
        match leg {
            Leg::A => a,
            Leg::B => b,
        }
    }
}

/// In a first lock's [`Post::state`]: its record holds an intent.
pub const ANNOUNCED: u32 = 1 << 8;

/// A [`Post::state`]: inside, for the `nth` time.
pub(crate) const fn occupied(first: usize, nth: u64) -> u32 {
    (first as u32).wrapping_add(1) | ((nth as u32) << 9)
}

/// The first lock of the plan whose object's post is occupied.
pub const fn first_lock(state: u32) -> usize {
    ((state & 0xff) as usize).wrapping_sub(1)
}

/// Words and bytes of a record's head.
const HEAD_WORDS: usize = 8;
pub(crate) const RECORD_HEAD: usize = HEAD_WORDS * 8;
/// Where the paths stand in a record.
pub(crate) const TEXT_AT: usize = core::mem::offset_of!(Record, text);

/// The intent of a transaction.
#[repr(C)]
pub struct Record {
    /// The intent without its paths: [`Intent::words`].
    head: [AtomicU64; HEAD_WORDS],
    /// Inode on leg a, b of the file that is owed a time: see [`Post::owed`].
    owed: [AtomicU64; 2],
    reserved: [AtomicU64; 6],
    text: [AtomicU64; TEXT_WORDS],
}

/// The whole mapping.
#[repr(C)]
pub struct RuntimeFile {
    /// Header page.
    pub header: Header,
    /// Who is inside, by lock object.
    pub posts: [Post; OBJECTS],
    /// Intents, by lock object.
    pub records: [Record; OBJECTS],
    /// Files that are mapped for writing.
    pub mapped: crate::mapped::Table,
}

/// Bytes of a runtime file (a multiple of the page size).
pub const SIZE: usize = size_of::<RuntimeFile>().next_multiple_of(4096);

/// What kind of change an intent announces (design §5). Numbers are on shared memory: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum IntentKind {
    /// Data of an existing file: range and old size are given.
    Write = 1,
    /// Size of a file (offset = new size).
    Truncate = 2,
    /// fallocate: any range effect.
    Allocate = 3,
    /// Mode, owner, times or xattrs of an object.
    Attributes = 4,
    /// A new regular file, or O_TRUNC of an existing one.
    Open = 5,
    /// mkdir.
    Mkdir = 6,
    /// mknod, a bound socket.
    Mknod = 7,
    /// symlink.
    Symlink = 8,
    /// link: path 1 is the existing name (may be empty), path 2 the new one.
    Link = 9,
    /// unlink.
    Unlink = 10,
    /// rmdir.
    Rmdir = 11,
    /// rename: path 1 to path 2.
    Rename = 12,
    /// RENAME_EXCHANGE of path 1 and path 2.
    Exchange = 13,
    /// The second leg's object is made like the first leg's, since the two were found to differ.
    Mend = 14,
    /// Any change of an object that no path can say: path 1 is a directory far above it (path 2: above its
    /// second name). Nothing is done by such a record, it is recorded as pending.
    Deep = 15,
    /// Flags and the like of an object; what was before: [`crate::marks::Value::announce`].
    Marks = 16,
}

impl IntentKind {
    /// Whether it gives something that was there another name.
    pub const fn moves(self) -> bool {
        matches!(
            self,
            IntentKind::Link | IntentKind::Rename | IntentKind::Exchange
        )
    }
    /// The kind with this number.
    pub const fn from_u8(n: u8) -> Option<IntentKind> {
        use IntentKind::*;
        Some(match n {
            1 => Write,
            2 => Truncate,
            3 => Allocate,
            4 => Attributes,
            5 => Open,
            6 => Mkdir,
            7 => Mknod,
            8 => Symlink,
            9 => Link,
            10 => Unlink,
            11 => Rmdir,
            12 => Rename,
            13 => Exchange,
            14 => Mend,
            15 => Deep,
            16 => Marks,
            _ => return None,
        })
    }
}

/// An intent by value, without its paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Intent {
    /// What is being done.
    pub kind: IntentKind,
    /// The leg that is changed first.
    pub first: Leg,
    /// Inode of the object on each leg, 0 when unknown.
    pub inode: PerLeg<u64>,
    /// Device of the object on each leg, 0 when unknown.
    pub device: [u64; 2],
    /// Start of the range, or the new size.
    pub offset: u64,
    /// Bytes in the range.
    pub length: u64,
    /// File size before the change.
    pub old_size: u64,
}

impl Intent {
    /// An intent of `kind` about objects known by their paths alone.
    pub const fn of(kind: IntentKind, first: Leg) -> Intent {
        Intent {
            kind,
            first,
            inode: PerLeg { a: 0, b: 0 },
            device: [0; 2],
            offset: 0,
            length: 0,
            old_size: 0,
        }
    }

    /// The words of a record's head: kind | first leg << 8 | length of path 1 << 32 | of path 2 << 48;
    /// inode on leg a, b; offset; length; old size; device on leg a, b.
    fn words(&self, path1: &[u8], path2: &[u8]) -> [u64; HEAD_WORDS] {
        let len = |p: &[u8]| p.len().min(PATH_MAX) as u64;
        let head = u64::from(self.kind as u8)
            | (self.first.index() as u64) << 8
            | len(path1) << 32
            | len(path2) << 48;
        let (PerLeg { a: ia, b: ib }, [da, db]) = (self.inode, self.device);
        [
            head,
            ia,
            ib,
            self.offset,
            self.length,
            self.old_size,
            da,
            db,
        ]
    }

    /// The inverse, and the lengths of both paths. Anybody may have written it.
    fn from_words(w: &[u64; HEAD_WORDS]) -> Option<(Intent, [usize; 2])> {
        let [head, ia, ib, offset, length, old_size, da, db] = *w;
        let len = |shift: u32| Some((head >> shift) as usize & 0xffff).filter(|&n| n <= PATH_MAX);
        let i = Intent {
            kind: IntentKind::from_u8(head as u8)?,
            first: Leg::of((head >> 8) as usize),
            inode: [ia, ib].into(),
            device: [da, db],
            offset,
            length,
            old_size,
        };
        Some((i, [len(32)?, len(48)?]))
    }

    /// A record's head as bytes.
    pub(crate) fn head(&self, path1: &[u8], path2: &[u8]) -> [u8; RECORD_HEAD] {
        let mut out = [0u8; RECORD_HEAD];
        for (d, w) in out.chunks_exact_mut(8).zip(self.words(path1, path2)) {
            d.copy_from_slice(&w.to_le_bytes());
        }
        out
    }
}

/// The inverse of [`Intent::head`].
pub(crate) fn parse_head(b: &[u8; RECORD_HEAD]) -> Option<(Intent, [usize; 2])> {
    let mut words = [0u64; HEAD_WORDS];
    for (d, s) in words.iter_mut().zip(b.chunks_exact(8)) {
        *d = u64::from_le_bytes(s.try_into().ok()?);
    }
    Intent::from_words(&words)
}

fn store_text(words: &[AtomicU64], text: &[u8]) {
    for (w, chunk) in words.iter().zip(text.chunks(8)) {
        let mut b = [0u8; 8];
        if let Some(d) = b.get_mut(..chunk.len()) {
            d.copy_from_slice(chunk);
        }
        w.store(u64::from_le_bytes(b), Ordering::Relaxed);
    }
}

fn load_text(words: &[AtomicU64], out: &mut [u8]) {
    for (w, chunk) in words.iter().zip(out.chunks_mut(8)) {
        let b = w.load(Ordering::Relaxed).to_le_bytes();
        if let Some(s) = b.get(..chunk.len()) {
            chunk.copy_from_slice(s);
        }
    }
}

impl Record {
    /// Writes an intent down. Its post says that it is there: see [`RuntimeFile::publish`].
    fn store(&self, i: &Intent, path1: &[u8], path2: &[u8]) {
        let (half1, half2) = self.text.split_at(TEXT_WORDS / 2);
        store_text(half1, path1);
        store_text(half2, path2);
        for (d, v) in self.head.iter().zip(i.words(path1, path2)) {
            d.store(v, Ordering::Relaxed);
        }
    }

    /// The intent and its paths; `None` if its bytes are not sane (then the object is unknown: only a
    /// full comparison helps). Only meaningful while its post is [`ANNOUNCED`].
    pub fn intent<'a>(
        &self,
        buf1: &'a mut [u8; PATH_MAX],
        buf2: &'a mut [u8; PATH_MAX],
    ) -> Option<(Intent, &'a [u8], &'a [u8])> {
        let mut words = [0u64; HEAD_WORDS];
        for (d, w) in words.iter_mut().zip(&self.head) {
            *d = w.load(Ordering::Relaxed);
        }
        let (i, [len1, len2]) = Intent::from_words(&words)?;
        let (half1, half2) = self.text.split_at(TEXT_WORDS / 2);
        let (p1, p2) = (buf1.get_mut(..len1)?, buf2.get_mut(..len2)?);
        load_text(half1, p1);
        load_text(half2, p2);
        Some((i, p1, p2))
    }
}

impl RuntimeFile {
    /// Who is inside with an object: [`Post::state`].
    pub fn state(&self, object: usize) -> u32 {
        self.posts
            .get(object)
            .map_or(0, |p| p.state.load(Ordering::SeqCst))
    }

    /// Occupies a plan's posts: from here on a quiesce waits for this transaction. Call with the locks
    /// held, then look at the state word (store, then load: both sequentially consistent).
    pub fn enter(&self, plan: LockPlan, first: usize, pid: u32) {
        for p in plan.objects().filter_map(|o| self.posts.get(o)) {
            let n = p.entries.load(Ordering::Relaxed).wrapping_add(1);
            p.entries.store(n, Ordering::Relaxed);
            p.pid.store(pid, Ordering::Relaxed);
            p.state.store(occupied(first, n), Ordering::SeqCst);
        }
    }

    /// Announces a change, before anything is touched.
    pub fn publish(&self, first: usize, i: &Intent, path1: &[u8], path2: &[u8]) {
        if let (Some(p), Some(r)) = (self.posts.get(first), self.records.get(first)) {
            // The name of another file takes its place. The same file's debt stays, whatever comes of this change.
            if p.owed.load(Ordering::Relaxed) != 0 && !r.owes_to(i.inode.a) {
                p.owed.store(0, Ordering::Relaxed);
            }
            r.store(i, path1, path2);
            // Release: whoever sees the bit sees the whole intent.
            let s = p.state.load(Ordering::Relaxed) | ANNOUNCED;
            p.state.store(s, Ordering::Release);
        }
    }

    /// The change is complete on both legs (or on none). The intent goes before any post: who dies in between
    /// leaves objects that others change, and what they make of them is no state of this change.
    pub fn leave(&self, plan: LockPlan) {
        if plan.is_several() {
            for p in plan.objects().filter_map(|o| self.posts.get(o)) {
                let s = p.state.load(Ordering::Relaxed) & !ANNOUNCED;
                p.state.store(s, Ordering::Release);
            }
        }
        for p in plan.objects().rev().filter_map(|o| self.posts.get(o)) {
            p.state.store(0, Ordering::SeqCst);
        }
    }

    /// Whether somebody waits for an object that was given back just now; asked once.
    pub fn waited_for(&self, object: usize) -> bool {
        self.posts.get(object).is_some_and(|p| {
            p.waiting.load(Ordering::SeqCst) != 0 && p.waiting.swap(0, Ordering::SeqCst) != 0
        })
    }

    /// Transactions since the file was made, for display.
    pub fn transactions(&self) -> u64 {
        self.posts
            .iter()
            .fold(0, |n, p| n.wrapping_add(p.entries.load(Ordering::Relaxed)))
    }

    /// Sets bits of the state word.
    pub fn set_bits(&self, bits: u64) {
        self.header.word.fetch_or(bits, Ordering::SeqCst);
    }

    /// Clears bits of the state word.
    pub fn clear_bits(&self, bits: u64) {
        self.header.word.fetch_and(!bits, Ordering::SeqCst);
    }

    /// The state word.
    pub fn word(&self) -> crate::StateWord {
        crate::StateWord(self.header.word.load(Ordering::SeqCst))
    }

    /// See [`Header::generation`].
    pub fn generation(&self) -> u64 {
        self.header.generation.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    extern crate std;
    use std::boxed::Box;

    fn zeroed() -> Box<Record> {
        Box::new(Record {
            head: [const { AtomicU64::new(0) }; HEAD_WORDS],
            owed: [const { AtomicU64::new(0) }; 2],
            reserved: [const { AtomicU64::new(0) }; 6],
            text: [const { AtomicU64::new(0) }; TEXT_WORDS],
        })
    }

    /// A record's head as [`Record::store`] writes it.
    pub(crate) fn stored_head(i: &Intent, one: &[u8], two: &[u8]) -> [u8; RECORD_HEAD] {
        let r = zeroed();
        r.store(i, one, two);
        let mut out = [0; RECORD_HEAD];
        for (d, w) in out.chunks_exact_mut(8).zip(&r.head) {
            d.copy_from_slice(&w.load(Ordering::Relaxed).to_le_bytes());
        }
        out
    }

    #[test]
    fn layout_is_fixed() {
        use core::mem::offset_of;
        assert_eq!(size_of::<Header>(), 4096);
        assert_eq!(offset_of!(Header, word), 128);
        assert_eq!(offset_of!(Header, partner_errors), 144);
        assert_eq!(
            (offset_of!(Header, slots), offset_of!(Post, held)),
            (160, 24)
        );
        assert_eq!(size_of::<Post>(), 64);
        assert_eq!(size_of::<Record>(), 128 + 8192);
        assert_eq!(SIZE % 4096, 0);
    }

    #[test]
    fn intent_round_trips() {
        let s = zeroed();
        let (mut a, mut b) = ([0; PATH_MAX], [0; PATH_MAX]);
        let mut i = Intent::of(IntentKind::Rename, Leg::B);
        i.inode = [7, 9].into();
        i.old_size = 3;
        s.store(&i, b"dir/one", b"other/two and more");
        let (j, p1, p2) = s.intent(&mut a, &mut b).unwrap();
        assert_eq!(
            (i, &b"dir/one"[..], &b"other/two and more"[..]),
            (j, p1, p2)
        );
    }

    #[test]
    fn insane_bytes_are_no_intent() {
        let s = zeroed();
        let (mut a, mut b) = ([0; PATH_MAX], [0; PATH_MAX]);
        assert!(s.intent(&mut a, &mut b).is_none());
        s.head[0].store(77, Ordering::Relaxed);
        assert!(s.intent(&mut a, &mut b).is_none());
        s.head[0].store(1 | 0xffff << 32, Ordering::Relaxed);
        assert!(s.intent(&mut a, &mut b).is_none());
    }

    #[test]
    fn posts_name_their_lead() {
        let p = Post {
            state: AtomicU32::new(66 | ANNOUNCED | (3 << 9)),
            pid: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            owed: AtomicU32::new(0),
            entries: AtomicU64::new(0),
            held: [const { AtomicU64::new(0) }; 2],
        };
        assert_eq!(first_lock(p.state.load(Ordering::Relaxed)), 65);
        const { assert!(OBJECTS < 255, "a lock fits into eight bits") };
    }
}

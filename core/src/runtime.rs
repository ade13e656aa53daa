//! The runtime file: one per pair and kernel, mapped shared by every attached process.
//!
//! ```text
//! 0      header   magic, version, size, random id, boot id, pair id, stripes, crc over these;
//!                 then the state word and counters
//! 4096   posts    one for each lock object: who is inside
//! then   records  one for each lock object: the intent of the transaction that leads with it
//! ```
//! All fields behind the header are atomics, so that a view of the mapping is a plain `&RuntimeFile`
//! and no reader can see a torn word. Only the holder of an object's locks stores into its post and its
//! record. A post that is occupied, found by somebody who has just taken the locks, belongs to a process
//! that died in mid-transaction: flock is the death oracle, no pid is trusted.
//!
//! A transaction occupies the posts of all its objects, and each names the *lead*, the first of them:
//! its record holds the intent. The lead is occupied first and left last.
use crate::lock::{LockPlan, OBJECTS};
use crate::path::PATH_MAX;
use crate::record::{Id, crc32};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// "MIRRORRT" in ASCII, little-endian.
pub const MAGIC: u64 = u64::from_le_bytes(*b"MIRRORRT");
/// Version of this layout. Another one is refused.
pub const VERSION: u64 = 2;
/// Offset of a write that goes to the end, wherever that is.
pub const AT_END: u64 = u64::MAX;
/// Words of path text per intent: two paths of PATH_MAX.
const TEXT_WORDS: usize = 2 * PATH_MAX / 8;

/// The header page.
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: AtomicU64,
    /// [`VERSION`].
    pub version: AtomicU64,
    /// Bytes of the whole file.
    pub size: AtomicU64,
    /// Random id of this file: stands in both legs' `.mirror/owner`.
    pub id: [AtomicU64; 2],
    /// The kernel's boot id (/proc/sys/kernel/random/boot_id).
    pub boot: [AtomicU64; 2],
    /// The pair's id.
    pub pair: [AtomicU64; 2],
    /// Stripes of each lock table.
    pub stripes: AtomicU64,
    /// CRC-32 of the ten words before.
    pub crc: AtomicU64,
    pad: [AtomicU64; 5],
    /// The state word, [`crate::word::StateWord`].
    pub word: AtomicU64,
    /// Counts what may end the truth of "this path is that directory": each rmdir, each end of an
    /// exclusive transaction.
    pub generation: AtomicU64,
    /// Errors of a second leg since the file was made: in a healthy pair there are none.
    pub partner_errors: AtomicU64,
    /// The last one: errno, then the intent's kind << 32, for `status`.
    pub last_error: AtomicU64,
    rest: [AtomicU64; 512 - 20],
}

/// Who is inside with a lock object. On a cache line of its own.
#[repr(C, align(64))]
pub struct Post {
    /// 0, or lead + 1 | [`ANNOUNCED`] | a count << 9: a transaction is inside. Futex word.
    pub state: AtomicU32,
    /// The pid of the transaction, for display only.
    pub pid: AtomicU32,
    /// Not 0: somebody waits for the object.
    pub waiting: AtomicU32,
    /// Transactions that came in since the file was made (wraps).
    pub entries: AtomicU64,
}

/// In a lead's [`Post::state`]: its record holds an intent.
pub const ANNOUNCED: u32 = 1 << 8;

/// The lead of an occupied post.
pub const fn lead(state: u32) -> usize {
    ((state & 0xff) as usize).wrapping_sub(1)
}

/// The intent of a transaction.
#[repr(C)]
pub struct Record {
    /// kind | first leg << 8 | flags << 16 | len(path 1) << 32 | len(path 2) << 48
    head: AtomicU64,
    /// Inode of the object on leg a and b (0: unknown or not there).
    inode: [AtomicU64; 2],
    /// Start of the changed range, or the wanted size (truncate).
    offset: AtomicU64,
    /// Length of the changed range in bytes.
    length: AtomicU64,
    /// Size of the file before the change.
    old_size: AtomicU64,
    /// Device numbers of the object on leg a and b (0: unknown).
    device: [AtomicU64; 2],
    reserved: [AtomicU64; 8],
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
}

/// Bytes of a runtime file (a multiple of the page size).
pub const SIZE: usize = size_of::<RuntimeFile>().next_multiple_of(4096);

/// What kind of change an intent announces (design §5). Numbers are on shared memory: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum IntentKind {
    /// Data of an existing file: range and old size are given.
    Write = 1,
    /// Size of a file (offset = new size).
    Truncate = 2,
    /// fallocate: any range effect.
    Allocate = 3,
    /// Mode, owner, times, xattrs or flags of an object.
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
}

impl IntentKind {
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
            _ => return None,
        })
    }
}

/// An intent by value, without its paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    /// What is being done.
    pub kind: IntentKind,
    /// The leg that is changed first (0 = a).
    pub first: u8,
    /// Inode of the object on each leg, 0 when unknown.
    pub inode: [u64; 2],
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
    pub const fn of(kind: IntentKind, first: u8) -> Intent {
        Intent {
            kind,
            first,
            inode: [0; 2],
            device: [0; 2],
            offset: 0,
            length: 0,
            old_size: 0,
        }
    }
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
        let (l1, l2) = (
            path1.len().min(PATH_MAX) as u64,
            path2.len().min(PATH_MAX) as u64,
        );
        let (half1, half2) = self.text.split_at(TEXT_WORDS / 2);
        store_text(half1, path1);
        store_text(half2, path2);
        for n in 0..2 {
            if let (Some(d), Some(&v)) = (self.inode.get(n), i.inode.get(n)) {
                d.store(v, Ordering::Relaxed);
            }
            if let (Some(d), Some(&v)) = (self.device.get(n), i.device.get(n)) {
                d.store(v, Ordering::Relaxed);
            }
        }
        self.offset.store(i.offset, Ordering::Relaxed);
        self.length.store(i.length, Ordering::Relaxed);
        self.old_size.store(i.old_size, Ordering::Relaxed);
        self.head.store(
            u64::from(i.kind as u8) | u64::from(i.first) << 8 | l1 << 32 | l2 << 48,
            Ordering::Relaxed,
        );
    }

    /// The intent and its paths; `None` if its bytes are not sane (then the object is unknown: only a
    /// full comparison helps). Only meaningful while its post is [`ANNOUNCED`].
    pub fn intent<'a>(
        &self,
        buf1: &'a mut [u8; PATH_MAX],
        buf2: &'a mut [u8; PATH_MAX],
    ) -> Option<(Intent, &'a [u8], &'a [u8])> {
        let head = self.head.load(Ordering::Relaxed);
        let kind = IntentKind::from_u8(head as u8)?;
        let (half1, half2) = self.text.split_at(TEXT_WORDS / 2);
        let p1 = buf1.get_mut(..(head >> 32) as usize & 0xffff)?;
        let p2 = buf2.get_mut(..(head >> 48) as usize & 0xffff)?;
        load_text(half1, p1);
        load_text(half2, p2);
        let pair =
            |a: &[AtomicU64; 2]| [a[0].load(Ordering::Relaxed), a[1].load(Ordering::Relaxed)];
        let i = Intent {
            kind,
            first: (head >> 8) as u8 & 1,
            inode: pair(&self.inode),
            device: pair(&self.device),
            offset: self.offset.load(Ordering::Relaxed),
            length: self.length.load(Ordering::Relaxed),
            old_size: self.old_size.load(Ordering::Relaxed),
        };
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
    pub fn enter(&self, plan: LockPlan, lead: usize, pid: u32) {
        for p in plan.objects().filter_map(|o| self.posts.get(o)) {
            let n = p.entries.load(Ordering::Relaxed).wrapping_add(1);
            p.entries.store(n, Ordering::Relaxed);
            p.pid.store(pid, Ordering::Relaxed);
            p.state
                .store((lead as u32 + 1) | ((n as u32) << 9), Ordering::SeqCst);
        }
    }

    /// Announces a change, before anything is touched.
    pub fn publish(&self, lead: usize, i: &Intent, path1: &[u8], path2: &[u8]) {
        if let (Some(p), Some(r)) = (self.posts.get(lead), self.records.get(lead)) {
            r.store(i, path1, path2);
            // Release: whoever sees the bit sees the whole intent.
            let s = p.state.load(Ordering::Relaxed) | ANNOUNCED;
            p.state.store(s, Ordering::Release);
        }
    }

    /// The change is complete on both legs (or on none). The lead is left last: a death in between
    /// leaves a post whose lead is free, or an intent whose objects are equal.
    pub fn leave(&self, plan: LockPlan) {
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

impl Header {
    fn words(&self) -> [u64; 10] {
        let l = |a: &AtomicU64| a.load(Ordering::Relaxed);
        [
            l(&self.magic),
            l(&self.version),
            l(&self.size),
            l(&self.id[0]),
            l(&self.id[1]),
            l(&self.boot[0]),
            l(&self.boot[1]),
            l(&self.pair[0]),
            l(&self.pair[1]),
            l(&self.stripes),
        ]
    }

    fn checksum(&self) -> u64 {
        let mut bytes = [0u8; 80];
        for (d, w) in bytes.chunks_exact_mut(8).zip(self.words()) {
            d.copy_from_slice(&w.to_le_bytes());
        }
        u64::from(crc32(&bytes))
    }

    /// Fills a zeroed header.
    pub fn init(&self, id: Id, boot: Id, pair: Id, stripes: usize) {
        let put = |d: &[AtomicU64; 2], v: Id| {
            let mut halves = v.0.chunks_exact(8).map(|c| {
                let mut b = [0u8; 8];
                b.copy_from_slice(c);
                u64::from_le_bytes(b)
            });
            for w in d {
                w.store(halves.next().unwrap_or(0), Ordering::Relaxed);
            }
        };
        self.magic.store(MAGIC, Ordering::Relaxed);
        self.version.store(VERSION, Ordering::Relaxed);
        self.size.store(SIZE as u64, Ordering::Relaxed);
        self.stripes.store(stripes as u64, Ordering::Relaxed);
        put(&self.id, id);
        put(&self.boot, boot);
        put(&self.pair, pair);
        self.word
            .store(crate::word::StateWord::FRESH.0, Ordering::Relaxed);
        self.crc.store(self.checksum(), Ordering::Release);
    }

    /// Whether magic, version, size and checksum are right; the random id and the pair's id.
    pub fn verify(&self) -> Option<(Id, Id)> {
        let ok = self.magic.load(Ordering::Relaxed) == MAGIC
            && self.version.load(Ordering::Relaxed) == VERSION
            && self.size.load(Ordering::Relaxed) == SIZE as u64
            && self.crc.load(Ordering::Acquire) == self.checksum();
        let get = |w: &[AtomicU64; 2]| {
            let mut out = [0u8; 16];
            for (d, w) in out.chunks_exact_mut(8).zip(w) {
                d.copy_from_slice(&w.load(Ordering::Relaxed).to_le_bytes());
            }
            Id(out)
        };
        ok.then(|| (get(&self.id), get(&self.pair)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::boxed::Box;

    fn zeroed() -> Box<Record> {
        Box::new(Record {
            head: AtomicU64::new(0),
            inode: [const { AtomicU64::new(0) }; 2],
            offset: AtomicU64::new(0),
            length: AtomicU64::new(0),
            old_size: AtomicU64::new(0),
            device: [const { AtomicU64::new(0) }; 2],
            reserved: [const { AtomicU64::new(0) }; 8],
            text: [const { AtomicU64::new(0) }; TEXT_WORDS],
        })
    }

    #[test]
    fn layout_is_fixed() {
        use core::mem::offset_of;
        assert_eq!(size_of::<Header>(), 4096);
        assert_eq!(offset_of!(Header, word), 128);
        assert_eq!(offset_of!(Header, partner_errors), 144);
        assert_eq!(size_of::<Post>(), 64);
        assert_eq!(size_of::<Record>(), 128 + 8192);
        assert_eq!(SIZE % 4096, 0);
    }

    #[test]
    fn intent_round_trips() {
        let s = zeroed();
        let (mut a, mut b) = ([0; PATH_MAX], [0; PATH_MAX]);
        let mut i = Intent::of(IntentKind::Rename, 1);
        i.inode = [7, 9];
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
        s.head.store(77, Ordering::Relaxed);
        assert!(s.intent(&mut a, &mut b).is_none());
        s.head.store(1 | 0xffff << 32, Ordering::Relaxed);
        assert!(s.intent(&mut a, &mut b).is_none());
    }

    #[test]
    fn posts_name_their_lead() {
        let p = Post {
            state: AtomicU32::new(66 | ANNOUNCED | (3 << 9)),
            pid: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            entries: AtomicU64::new(0),
        };
        assert_eq!(lead(p.state.load(Ordering::Relaxed)), 65);
        const { assert!(OBJECTS < 255, "a lead fits into eight bits") };
    }
}

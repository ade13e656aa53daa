//! The runtime file: one per pair and kernel, mapped shared by every attached process.
//!
//! ```text
//! 0      header   magic, version, size, random id, boot id, pair id, crc over these
//! 64+    word     the state word (own cache line)
//! 4096   stripes  each: owner word, then the intent of the transaction that holds the stripe
//! ```
//! All fields behind the header are atomics, so that a view of the mapping is a plain `&RuntimeFile`
//! and no reader can see a torn word. Only the holder of a stripe's locks stores into its record.
//! A record whose owner is not zero, found by somebody who has just taken the locks, belongs to a
//! process that died in mid-transaction: flock is the death oracle, no pid is trusted.
use crate::path::PATH_MAX;
use crate::record::{Id, crc32};
use core::sync::atomic::{AtomicU64, Ordering};

/// "MIRRORRT" in ASCII, little-endian.
pub const MAGIC: u64 = u64::from_le_bytes(*b"MIRRORRT");
/// Version of this layout. Another one is refused.
pub const VERSION: u64 = 1;
/// Stripes of a runtime file of this version: one (correct by construction; the wide setting comes
/// with the two lock tables).
pub const STRIPES: usize = 1;
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
    /// CRC-32 of the nine words before.
    pub crc: AtomicU64,
    pad: [AtomicU64; 6],
    /// The state word, [`crate::word::StateWord`].
    pub word: AtomicU64,
    /// Transactions completed since the file was made (wraps), for `status`.
    pub transactions: AtomicU64,
    /// Errors of a second leg since the file was made: in a healthy pair there are none.
    pub partner_errors: AtomicU64,
    /// The last one: errno, then the intent's kind << 32, for `status`.
    pub last_error: AtomicU64,
    rest: [AtomicU64; 512 - 20],
}

/// One lock stripe's record.
#[repr(C)]
pub struct Stripe {
    /// 0, or (pid << 1 | 1) of the holder in mid-transaction; the pid is for display only.
    pub owner: AtomicU64,
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
    reserved: [AtomicU64; 7],
    text: [AtomicU64; TEXT_WORDS],
}

/// The whole mapping.
#[repr(C)]
pub struct RuntimeFile {
    /// Header page.
    pub header: Header,
    /// The stripes' records.
    pub stripes: [Stripe; STRIPES],
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

impl Stripe {
    /// Announces a change. Call with the stripe's locks held, before anything is touched.
    pub fn publish(&self, owner_pid: u32, i: &Intent, path1: &[u8], path2: &[u8]) {
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
        // Release: whoever sees the owner sees the whole intent.
        self.owner
            .store(u64::from(owner_pid) << 1 | 1, Ordering::Release);
    }

    /// The change is complete on both legs (or on none).
    pub fn retract(&self) {
        self.owner.store(0, Ordering::Release);
    }

    /// Whether a transaction is announced. Seen with the locks held, it is a dead process's.
    pub fn announced(&self) -> bool {
        self.owner.load(Ordering::Acquire) != 0
    }

    /// The announced intent and its paths; `None` if nothing is announced or its bytes are not sane
    /// (then the object is unknown: only a full comparison helps).
    pub fn intent<'a>(
        &self,
        buf1: &'a mut [u8; PATH_MAX],
        buf2: &'a mut [u8; PATH_MAX],
    ) -> Option<(Intent, &'a [u8], &'a [u8])> {
        if !self.announced() {
            return None;
        }
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

impl Header {
    fn words(&self) -> [u64; 9] {
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
        ]
    }

    fn checksum(&self) -> u64 {
        let mut bytes = [0u8; 72];
        for (d, w) in bytes.chunks_exact_mut(8).zip(self.words()) {
            d.copy_from_slice(&w.to_le_bytes());
        }
        u64::from(crc32(&bytes))
    }

    /// Fills a zeroed header.
    pub fn init(&self, id: Id, boot: Id, pair: Id) {
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

    fn zeroed() -> Box<Stripe> {
        Box::new(Stripe {
            owner: AtomicU64::new(0),
            head: AtomicU64::new(0),
            inode: [const { AtomicU64::new(0) }; 2],
            offset: AtomicU64::new(0),
            length: AtomicU64::new(0),
            old_size: AtomicU64::new(0),
            device: [const { AtomicU64::new(0) }; 2],
            reserved: [const { AtomicU64::new(0) }; 7],
            text: [const { AtomicU64::new(0) }; TEXT_WORDS],
        })
    }

    #[test]
    fn layout_is_fixed() {
        assert_eq!(size_of::<Header>(), 4096);
        assert_eq!(size_of::<Stripe>(), 128 + 8192);
        assert_eq!(SIZE % 4096, 0);
    }

    #[test]
    fn intent_round_trips() {
        let s = zeroed();
        let (mut a, mut b) = ([0; PATH_MAX], [0; PATH_MAX]);
        assert!(s.intent(&mut a, &mut b).is_none());
        let mut i = Intent::of(IntentKind::Rename, 1);
        i.inode = [7, 9];
        i.old_size = 3;
        s.publish(42, &i, b"dir/one", b"other/two and more");
        let (j, p1, p2) = s.intent(&mut a, &mut b).unwrap();
        assert_eq!(
            (i, &b"dir/one"[..], &b"other/two and more"[..]),
            (j, p1, p2)
        );
        s.retract();
        assert!(!s.announced());
    }

    #[test]
    fn insane_bytes_are_no_intent() {
        let s = zeroed();
        s.owner.store(1, Ordering::Relaxed);
        s.head.store(77, Ordering::Relaxed);
        let (mut a, mut b) = ([0; PATH_MAX], [0; PATH_MAX]);
        assert!(s.announced() && s.intent(&mut a, &mut b).is_none());
        s.head.store(1 | 0xffff << 32, Ordering::Relaxed);
        assert!(s.intent(&mut a, &mut b).is_none());
    }
}

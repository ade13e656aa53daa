//! Files that are mapped for writing: a table behind the intents of the runtime file.
//!
//! Stores through a mapping make no call, so such a file's second leg may lag behind as long as it stands
//! here. An entry is made before the first mapping that stores, and goes when the file was carried over with
//! nobody left who has it mapped, both under the file's lock. Who has it mapped holds a lock of the open
//! description's on byte n of a lock object, for entry n: entries that nobody holds so are crashed
//! processes', and whoever comes upon one carries the file over.
use core::sync::atomic::{AtomicU64, Ordering};

/// Entries of the table.
pub const ENTRIES: usize = 128;
/// Longest path in an entry.
pub const PATH_ROOM: usize = 232;

/// Words of an entry before its path.
const HEAD: usize = 6;
/// Words of an entry.
const WORDS: usize = 40;
/// Bytes of an entry.
pub(crate) const ENTRY: usize = WORDS * 8;

/// In the place of an inode: somebody is about to fill the entry.
pub const CLAIMED: u64 = u64::MAX;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// Inode of the file on leg a.
    pub inode: u64,
    /// Device of leg a's file.
    pub device: u64,
    /// Inode of the file on leg b.
    pub other: u64,
    /// First byte that may differ.
    pub from: u64,
    /// The end of those bytes.
    pub to: u64,
    len: usize,
    path: [u8; PATH_ROOM],
}

impl Mapped {
    /// An entry; a path that is too long is left out.
    pub fn new(inode: u64, device: u64, other: u64, (from, to): (u64, u64), path: &[u8]) -> Mapped {
        let mut m = Mapped {
            inode,
            device,
            other,
            from,
            to,
            len: 0,
            path: [0; PATH_ROOM],
        };
        if let Some(d) = m.path.get_mut(..path.len()) {
            d.copy_from_slice(path);
            m.len = path.len();
        }
        m
    }
    /// Where the file was when it was mapped first; empty: not known.
    pub fn path(&self) -> &[u8] {
        self.path.get(..self.len).unwrap_or(&[])
    }
    /// Whether the file had no name, and no part on leg b, when this was read: nobody misses what was stored.
    pub fn is_nowhere(&self) -> bool {
        self.other == 0 && self.len == 0
    }
    fn words(&self) -> [u64; WORDS] {
        let mut w = [0u64; WORDS];
        let head = [
            self.inode,
            self.device,
            self.other,
            self.from,
            self.to,
            self.len as u64,
        ];
        for (d, s) in w.iter_mut().zip(head) {
            *d = s;
        }
        for (d, s) in w.iter_mut().skip(HEAD).zip(self.path.chunks_exact(8)) {
            *d = s.try_into().map_or(0, u64::from_le_bytes);
        }
        w
    }
    /// The inverse; anybody may have written it. `None`: an entry that is free, or about to be filled.
    pub(crate) fn from_words(w: &[u64; WORDS]) -> Option<Mapped> {
        let [inode, device, other, from, to, len, ..] = *w;
        if inode == 0 || inode == CLAIMED {
            return None;
        }
        let mut m = Mapped::new(inode, device, other, (from, to), &[]);
        m.len = usize::try_from(len).unwrap_or(0).min(PATH_ROOM);
        for (d, s) in m.path.chunks_exact_mut(8).zip(w.iter().skip(HEAD)) {
            d.copy_from_slice(&s.to_le_bytes());
        }
        Some(m)
    }
}

/// One file.
#[repr(C)]
pub struct Entry([AtomicU64; WORDS]);

/// The table.
#[repr(C)]
pub struct Table {
    /// How many entries are in use, or more: who looks for one need not if there are none.
    pub count: AtomicU64,
    rest: [AtomicU64; 7],
    /// The entries.
    pub entries: [Entry; ENTRIES],
}

impl Entry {
    /// Leg a's inode, 0, or [`CLAIMED`].
    pub fn inode(&self) -> u64 {
        self.0[0].load(Ordering::SeqCst)
    }
    /// Takes an entry that has this in the place of its inode.
    pub fn claim(&self, was: u64) -> bool {
        let o = Ordering::SeqCst;
        self.0[0].compare_exchange(was, CLAIMED, o, o).is_ok()
    }
    /// Fills a claimed entry.
    pub fn fill(&self, m: &Mapped) {
        for (d, s) in self.0.iter().zip(m.words()).skip(1) {
            d.store(s, Ordering::Relaxed);
        }
        self.0[0].store(m.inode, Ordering::SeqCst);
    }
    /// Widens the bytes that may differ.
    pub fn widen(&self, (from, to): (u64, u64)) {
        self.0[3].fetch_min(from, Ordering::SeqCst);
        self.0[4].fetch_max(to, Ordering::SeqCst);
    }
    /// Its file has this name now, and on leg b this inode (0: none yet). The file's lock is held, or the whole pair's.
    pub fn name(&self, other: u64, path: &[u8]) {
        let Some(m) = self.read() else { return };
        let new = Mapped::new(m.inode, m.device, other, (m.from, m.to), path).words();
        let words = self.0.iter().zip(new).enumerate();
        for (_, (d, s)) in words.filter(|(nth, _)| *nth == 2 || *nth >= HEAD.wrapping_sub(1)) {
            d.store(s, Ordering::SeqCst);
        }
    }
    /// Frees it.
    pub fn free(&self) {
        self.0[0].store(0, Ordering::SeqCst);
    }
    /// What it says.
    pub fn read(&self) -> Option<Mapped> {
        let mut w = [0u64; WORDS];
        for (d, s) in w.iter_mut().zip(&self.0) {
            *d = s.load(Ordering::SeqCst);
        }
        Mapped::from_words(&w)
    }
}

/// The inverse of an entry's bytes.
pub(crate) fn parse(b: &[u8; ENTRY]) -> Option<Mapped> {
    let mut w = [0u64; WORDS];
    for (d, s) in w.iter_mut().zip(b.chunks_exact(8)) {
        *d = u64::from_le_bytes(s.try_into().ok()?);
    }
    Mapped::from_words(&w)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry([const { AtomicU64::new(0) }; WORDS])
    }

    #[test]
    fn an_entry_says_what_it_was_filled_with() {
        let e = entry();
        assert_eq!((e.inode(), e.read()), (0, None));
        assert!(e.claim(0) && !e.claim(0));
        assert_eq!(e.read(), None, "claimed");
        let m = Mapped::new(7, 1, 9, (4096, 8192), b"dir/file");
        e.fill(&m);
        assert_eq!(e.read(), Some(m));
        assert_eq!(m.path(), b"dir/file");
        e.widen((0, 5000));
        e.widen((100, 12288));
        let w = e.read().unwrap();
        assert_eq!((w.from, w.to), (0, 12288));
        e.name(0, b"");
        assert!(e.read().unwrap().is_nowhere() && !w.is_nowhere());
        e.name(11, b"new");
        let w = e.read().unwrap();
        assert_eq!((w.inode, w.other, w.path()), (7, 11, &b"new"[..]));
        assert_eq!((w.from, w.to), (0, 12288));
        e.free();
        assert_eq!(e.read(), None);
    }

    #[test]
    fn a_long_path_is_left_out_and_any_bytes_are_read() {
        let m = Mapped::new(7, 1, 9, (0, 1), &[b'x'; PATH_ROOM + 1]);
        assert_eq!(m.path(), b"");
        let m = Mapped::new(7, 1, 9, (0, 1), &[b'x'; PATH_ROOM]);
        assert_eq!(m.path().len(), PATH_ROOM);
        assert_eq!(parse(&[0xff; ENTRY]), None);
        let mut b = [0xff; ENTRY];
        b[0] = 1;
        b[1] = 0;
        let m = parse(&b).unwrap();
        assert_eq!(m.path().len(), PATH_ROOM);
    }
}

//! Lock words of a pair's runtime file, and its domain records, as a test forges and reads them. (The layout stands in FORMATS.md; the
//! health of a pair is read elsewhere.)
use crate::Pair;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

const KIND: u64 = 112;
const STATE: u64 = 128;
const SLOTS: u64 = 160;
const POSTS: u64 = 4096;
const OBJECTS: u64 = 129;
/// A slot's byte.
const BYTES: i64 = 1 << 40;

/// Whether this run's pairs have their locks in memory, as by default.
pub fn asked() -> bool {
    std::env::var_os("MIRROR_LOCKS").is_none_or(|l| l == "memory")
}

/// The EXCLUSIVE bit.
pub const EXCLUSIVE: u64 = 1 << 5;
/// The FLOCKED bit.
pub const FLOCKED: u64 = 1 << 16;
/// The bit that keeps it.
pub const FLOCKED_ON: u64 = 1 << 12;

/// How leg b stands by the state word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegB {
    /// Part of the pair.
    InSync,
    /// Left behind.
    Away,
    /// It gets every change, and is being made equal.
    Joining,
}

/// The runtime file.
pub struct Words(File);

impl Words {
    /// Of a pair with one runtime file.
    pub fn of(pair: &Pair) -> Words {
        let files = pair.runtime_files();
        assert_eq!(files.len(), 1, "{files:?}");
        let file = OpenOptions::new().read(true).write(true).open(&files[0]);
        Words(file.expect("the runtime file"))
    }
    fn get(&self, at: u64) -> u64 {
        let mut b = [0; 8];
        self.0.read_exact_at(&mut b, at).expect("a word");
        u64::from_le_bytes(b)
    }
    fn put(&self, at: u64, word: u64) {
        self.0
            .write_all_at(&word.to_le_bytes(), at)
            .expect("a word");
    }
    /// The state word.
    pub fn state(&self) -> u64 {
        self.get(STATE)
    }
    /// How leg b stands.
    pub fn leg_b(&self) -> LegB {
        match self.state() >> 2 & 3 {
            0 => LegB::InSync,
            1 => LegB::Away,
            _ => LegB::Joining,
        }
    }
    /// Sets bits of it, while nobody else changes it.
    pub fn set(&self, bits: u64) {
        self.put(STATE, self.state() | bits);
    }
    /// A slot that is nobody's, and will be nobody's.
    pub fn slot(&self) -> u64 {
        let n = self.get(SLOTS) + 1;
        self.put(SLOTS, n);
        n
    }
    /// The kind of locks: 0 flocks, 1 words.
    pub fn kind(&self) -> u64 {
        self.get(KIND)
    }
    /// The slot that was given last.
    pub fn last(&self) -> u64 {
        self.get(SLOTS)
    }
    /// Turns the counter.
    pub fn turn(&self, slots: u64) {
        self.put(SLOTS, slots);
    }
    /// Writes a word into all objects of these legs, but for the whole pair's unless `whole`.
    pub fn forge(&self, word: u64, legs: &[u64], whole: bool) {
        for object in u64::from(!whole)..OBJECTS {
            for leg in legs {
                self.put(POSTS + 64 * object + 24 + 8 * leg, word);
            }
        }
    }
    /// The word of the whole pair's object on a leg.
    pub fn whole(&self, leg: u64) -> u64 {
        self.get(POSTS + 24 + 8 * leg)
    }
    /// Occupies all posts, as a transaction that has come in and announced nothing.
    pub fn occupy(&self) {
        for object in 1..OBJECTS {
            self.put(POSTS + 64 * object, (object + 1) | (1 << 9));
        }
    }
    /// Posts that are occupied.
    pub fn occupied(&self) -> usize {
        let at = |o: u64| self.get(POSTS + 64 * o) as u32;
        (0..OBJECTS).filter(|o| at(*o) != 0).count()
    }
    /// Words that are not free.
    pub fn held(&self) -> usize {
        let at = |o: u64, leg: u64| self.get(POSTS + 64 * o + 24 + 8 * leg);
        (0..OBJECTS)
            .filter(|o| at(*o, 0) != 0 || at(*o, 1) != 0)
            .count()
    }
    /// Locks a slot's byte for as long as this lives; `None`: the byte of those who rely on the flocks, shared.
    #[must_use]
    pub fn live(&self, slot: Option<u64>) -> bool {
        let (at, kind) = match slot {
            Some(n) => (BYTES + n as i64, libc::F_WRLCK),
            None => (BYTES - 1, libc::F_RDLCK),
        };
        // SAFETY: all zeros is a value of this structure.
        let mut l: libc::flock = unsafe { std::mem::zeroed() };
        (l.l_type, l.l_whence) = (kind as i16, libc::SEEK_SET as i16);
        (l.l_start, l.l_len) = (at, 1);
        // SAFETY: the kernel reads the structure.
        unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_OFD_SETLK, &raw const l) == 0 }
    }
}

/// An orderly restart of the machine: somebody has waited until the pair was clean.
pub fn restart_in_order(p: &Pair) {
    let v = p.v().to_str().expect("a plain path");
    p.mirror("wait", &[v, "--clean", "--timeout", "20"]).ok();
    restart(p);
}

/// As a restart of the machine leaves a pair: no runtime file, and records of another boot.
pub fn restart(p: &Pair) {
    for f in p.runtime_files() {
        std::fs::remove_file(f).expect("a runtime file");
    }
    for leg in [p.a(), p.b()] {
        let name = leg.join(".mirror/owner");
        if name.exists() {
            of_boot(&name, 0x55);
        }
    }
}

/// Gives a domain record another boot.
pub fn of_boot(record: &Path, boot: u8) {
    let mut b = std::fs::read(record).expect("a domain record");
    b[24..40].fill(boot);
    let mut crc = !0u32;
    for byte in &b[..40] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    b[40..44].copy_from_slice(&(!crc).to_le_bytes());
    std::fs::write(record, b).expect("a domain record");
}

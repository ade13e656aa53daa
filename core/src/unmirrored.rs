//! Which programs a mirrored one started that could not be mirrored themselves: a ring of records for each
//! user, counted up by the library, shown by `mirror run` and `mirror status`. It lies beside the ring of
//! refusals (`refusal.rs`), with the same owners, rights and rules of reading.
//!
//! A record is [`SIZE`] bytes, little-endian: magic "MRU2", kind, what touched the pair, refused (u8 each),
//! 0, pid, uid, count, 0 (u32 each), time of the first and of the last (u64, seconds), the program's name
//! (32 bytes, ended by zeros), eight marks of pairs (u32), V's text (its length as u16, then up to 200
//! bytes), the pair's tag (u64; 0: not known), zeros, CRC-32 of all that.
use crate::image::{FNV_START, fnv1a};
use crate::path::PathText;
use crate::record::crc32;
use crate::refusal::{ring_of, same_pair};

/// Size of a record.
pub const SIZE: usize = 320;
/// Records in a ring.
pub const SLOTS: usize = 128;
/// Size of the file.
pub const FILE: usize = SIZE * SLOTS;
/// Root's ring.
pub const ROOTS: &[u8] = b"/run/mirror/unmirrored";
/// What the names of other users' rings begin with; the user's number follows.
pub const OTHERS: &[u8] = b"/dev/shm/mirror-unmirrored-";
const MAGIC: &[u8; 4] = b"MRU2";
const TEXT: usize = 200;
const NAME: usize = 32;
/// Marks that a record has room for.
pub const MARKS: usize = 8;
/// Stands for "more pairs than there is room for": any.
const ANY: u32 = u32::MAX;
const TEXT_AT: usize = 106;
const PAIR_AT: usize = TEXT_AT + TEXT;
const CRC: usize = 316;

/// Why a program cannot be mirrored. The numbers are those of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// No dynamic linker.
    Static = 1,
    /// A dynamic linker, but no library at all.
    NoLibc = 2,
    /// Go's runtime makes its system calls itself.
    Go = 3,
    /// Set-id bits: ld.so drops the preload.
    SetId = 4,
    /// File capabilities: the same.
    Capabilities = 5,
    /// Another machine or word size.
    Foreign = 6,
    /// Its file may be executed but not read.
    Unreadable = 7,
    /// It makes system calls by instructions of its own, and they cannot be dispatched.
    OwnCalls = 8,
    /// It has put itself under a seccomp filter that forbids what mirroring needs.
    Filter = 9,
    /// It has changed what another process does (ptrace): it is the debugger that is named.
    Traced = 10,
    /// It has sent a descriptor to a process that cannot be shown to be mirrored: it is the sender that is named.
    Sender = 11,
    /// It has changed a file of a leg by a name outside the leg.
    Beside = 12,
    /// It has ended, and the kernel has written its core file.
    Core = 13,
    /// It has taken a descriptor out of another process (pidfd_getfd), whose own library does not know it.
    Taker = 14,
    /// It could not tell what is written past the library for it (by ld.so, by the kernel, by a thread that meets a
    /// dup2).
    Unsure = 15,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 15] = [
        Kind::Static,
        Kind::NoLibc,
        Kind::Go,
        Kind::SetId,
        Kind::Capabilities,
        Kind::Foreign,
        Kind::Unreadable,
        Kind::OwnCalls,
        Kind::Filter,
        Kind::Traced,
        Kind::Sender,
        Kind::Beside,
        Kind::Core,
        Kind::Taker,
        Kind::Unsure,
    ];
    fn from_number(n: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| *k as u8 == n)
    }
}

/// What of the program was in the pair.
pub mod touch {
    /// Its current directory.
    pub const CWD: u8 = 1;
    /// An argument, or its own file.
    pub const ARGUMENT: u8 = 2;
    /// A descriptor.
    pub const DESCRIPTOR: u8 = 4;
    /// It could not be found out.
    pub const UNSURE: u8 = 8;
    /// The pair could not be marked for a comparison.
    pub const UNMARKED: u8 = 16;
}

/// So many starts of one program in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Why it cannot be mirrored.
    pub kind: Kind,
    /// [`touch`]; 0: nothing of it was in a pair.
    pub touched: u8,
    /// It was not started: a pair's policy.
    pub refused: bool,
    /// The last process.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// How often.
    pub count: u32,
    /// The first and the last time, in seconds since 1970.
    pub times: (u64, u64),
    name: [u8; NAME],
    marks: [u32; MARKS],
    text: [u8; TEXT],
    len: u16,
    pair: u64,
}

/// What a pair is known by in a record that has no room for its text and tag.
pub fn mark((v, pair): (&[u8], u64)) -> u32 {
    let mut h = fnv1a(FNV_START, v);
    if pair != 0 {
        h = fnv1a(h, &pair.to_le_bytes());
    }
    // Neither nothing nor any.
    ((h ^ (h >> 32)) as u32).clamp(1, ANY - 1)
}

/// Collects marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    all: [u32; MARKS],
    n: usize,
}

impl Marks {
    /// One more pair: V and its tag.
    pub fn add(&mut self, v: (&[u8], u64)) {
        match self.all.get_mut(self.n) {
            Some(m) => *m = mark(v),
            None => self.all = [ANY; MARKS],
        }
        self.n = self.n.saturating_add(1);
    }
}

impl Record {
    /// One start, now. `v`: the pair that was touched, and its tag; empty: none was, and `marks` says which there are.
    pub fn new(
        (kind, touched, refused): (Kind, u8, bool),
        (pid, uid): (u32, u32),
        time: u64,
        name: &[u8],
        (v, pair): (&[u8], u64),
        marks: Marks,
    ) -> Record {
        let mut r = Record {
            kind,
            touched,
            refused,
            pid,
            uid,
            count: 1,
            times: (time, time),
            name: [0; NAME],
            marks: marks.all,
            text: [0; TEXT],
            len: v.len().min(TEXT) as u16,
            pair,
        };
        copy(&mut r.name, name);
        copy(&mut r.text, v);
        r
    }
    /// The program's name, or as much of it as there was room for.
    pub fn name(&self) -> &[u8] {
        self.name.split(|b| *b == 0).next().unwrap_or(&[])
    }
    fn v(&self) -> &[u8] {
        self.text.get(..usize::from(self.len)).unwrap_or(&[])
    }
    /// Whether this is about the pair at `v`: it was touched, or it was configured and none was.
    pub fn is_about(&self, (v, pair): (&[u8], u64)) -> bool {
        if self.touched == 0 {
            return self
                .marks
                .iter()
                .any(|m| *m == ANY || *m == mark((v, pair)));
        }
        self.v() == v.get(..v.len().min(TEXT)).unwrap_or(&[]) && same_pair(self.pair, pair)
    }
    /// Whether both count the same.
    pub fn same(&self, other: &Record) -> bool {
        (self.kind, self.touched, self.refused, self.uid)
            == (other.kind, other.touched, other.refused, other.uid)
            && (self.name, self.marks) == (other.name, other.marks)
            && (self.v(), self.pair) == (other.v(), other.pair)
    }
    /// This one more time than `before`.
    pub fn after(&self, before: &Record) -> Record {
        Record {
            count: before.count.saturating_add(1),
            times: (before.times.0, self.times.1),
            ..*self
        }
    }
    /// The record's bytes.
    pub fn encode(&self) -> [u8; SIZE] {
        let mut out = [0u8; SIZE];
        let mut put = |at: usize, bytes: &[u8]| {
            for (d, s) in out.iter_mut().skip(at).zip(bytes) {
                *d = *s;
            }
        };
        put(0, MAGIC);
        put(4, &[self.kind as u8, self.touched, u8::from(self.refused)]);
        put(8, &self.pid.to_le_bytes());
        put(12, &self.uid.to_le_bytes());
        put(16, &self.count.to_le_bytes());
        put(24, &self.times.0.to_le_bytes());
        put(32, &self.times.1.to_le_bytes());
        put(40, &self.name);
        for (i, m) in self.marks.iter().enumerate() {
            put(
                72usize.saturating_add(i.saturating_mul(4)),
                &m.to_le_bytes(),
            );
        }
        put(104, &self.len.to_le_bytes());
        put(TEXT_AT, &self.text);
        put(PAIR_AT, &self.pair.to_le_bytes());
        let crc = out.get(..CRC).map_or(0, crc32).to_le_bytes();
        for (d, s) in out.iter_mut().skip(CRC).zip(crc) {
            *d = s;
        }
        out
    }
    /// `None`: an empty slot, another version, or damaged.
    pub fn parse(b: &[u8]) -> Option<Record> {
        let body = b.get(..CRC)?;
        if body.get(..4)? != MAGIC || b.get(CRC..SIZE)? != crc32(body).to_le_bytes() {
            return None;
        }
        let u32_at = |i: usize| Some(u32::from_le_bytes(*body.get(i..)?.first_chunk()?));
        let u64_at = |i: usize| Some(u64::from_le_bytes(*body.get(i..)?.first_chunk()?));
        let len = u16::from_le_bytes(*body.get(104..)?.first_chunk()?);
        if usize::from(len) > TEXT {
            return None;
        }
        let mut marks = [0; MARKS];
        for (i, m) in marks.iter_mut().enumerate() {
            *m = u32_at(72usize.saturating_add(i.saturating_mul(4)))?;
        }
        Some(Record {
            kind: Kind::from_number(*body.get(4)?)?,
            touched: *body.get(5)?,
            refused: *body.get(6)? != 0,
            pid: u32_at(8)?,
            uid: u32_at(12)?,
            count: u32_at(16)?,
            times: (u64_at(24)?, u64_at(32)?),
            name: *body.get(40..)?.first_chunk()?,
            marks,
            text: *body.get(TEXT_AT..)?.first_chunk()?,
            len,
            pair: u64_at(PAIR_AT)?,
        })
    }
}

fn copy(to: &mut [u8], from: &[u8]) {
    for (d, s) in to.iter_mut().zip(from) {
        *d = *s;
    }
}

/// The path of a user's ring.
pub fn ring(uid: u32) -> PathText<64> {
    ring_of(ROOTS, OTHERS, uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(touched: u8, v: &[u8], pairs: &[&[u8]]) -> Record {
        let mut marks = Marks::default();
        pairs.iter().for_each(|p| marks.add((p, 7)));
        let what = (Kind::Static, touched, false);
        Record::new(what, (4711, 1001), 1_700_000_000, b"hugo", (v, 7), marks)
    }

    #[test]
    fn round_trip_and_damage() {
        let r = some(touch::CWD, b"/srv/data", &[]);
        let b = r.encode();
        assert_eq!(Record::parse(&b), Some(r));
        for i in 0..SIZE {
            let mut bad = b;
            bad[i] ^= 1;
            assert_eq!(Record::parse(&bad), None, "byte {i}");
        }
        assert_eq!(Record::parse(&[0; SIZE]), None);
        assert_eq!(Record::parse(&b[..200]), None);
    }

    #[test]
    fn layout_is_fixed() {
        let b = some(touch::ARGUMENT, b"/srv/data", &[b"/srv/data"]).encode();
        assert_eq!((&b[..4], &b[4..8]), (&MAGIC[..], &[1, 2, 0, 0][..]));
        assert_eq!(
            (&b[16..20], &b[40..45]),
            (&[1, 0, 0, 0][..], &b"hugo\0"[..])
        );
        assert_eq!(&b[32..40], 1_700_000_000u64.to_le_bytes());
        assert_eq!(&b[72..76], mark((b"/srv/data", 7)).to_le_bytes());
        assert_eq!(
            (&b[104..106], &b[106..115]),
            (&[9, 0][..], &b"/srv/data"[..])
        );
        const { assert!(PAIR_AT + 8 <= CRC && CRC + 4 == SIZE) };
    }

    #[test]
    fn whom_a_record_is_about() {
        let inside = some(touch::CWD, b"/v", &[b"/v", b"/w"]);
        assert!(
            inside.is_about((b"/v", 7))
                && !inside.is_about((b"/w", 7))
                && !inside.is_about((b"/v2", 7))
        );
        let away = some(0, b"", &[b"/v", b"/w"]);
        assert!(
            away.is_about((b"/v", 7)) && away.is_about((b"/w", 7)) && !away.is_about((b"/x", 7))
        );
        assert!(!some(0, b"", &[]).is_about((b"/v", 7)));
        // A pair that was there before.
        assert!(!inside.is_about((b"/v", 8)) && !away.is_about((b"/v", 8)));
        // More pairs than there is room for: about all.
        let many = some(0, b"", &[&b"/v"[..]; 9]);
        assert!(many.is_about((b"/x", 7)));
    }

    #[test]
    fn the_same_is_counted_up() {
        let first = some(touch::CWD, b"/v", &[]);
        let mut second = first;
        (second.pid, second.times) = (4712, (1_700_000_009, 1_700_000_009));
        assert!(second.same(&first) && !second.same(&some(touch::ARGUMENT, b"/v", &[])));
        assert!(!second.same(&some(touch::CWD, b"/w", &[])));
        let sum = second.after(&first);
        assert_eq!((sum.count, sum.pid), (2, 4712));
        assert_eq!(sum.times, (1_700_000_000, 1_700_000_009));
        let full = Record {
            count: u32::MAX,
            ..first
        };
        assert_eq!(second.after(&full).count, u32::MAX);
    }

    #[test]
    fn long_texts_are_cut() {
        let v = [b'v'; 4000];
        let mut r = some(touch::CWD, &v, &[]);
        assert!(r.is_about((&v, 7)) && Record::parse(&r.encode()) == Some(r));
        let what = (r.kind, r.touched, false);
        r = Record::new(what, (1, 2), 3, &[b'n'; 99], (b"/v", 0), Marks::default());
        assert_eq!(r.name(), &[b'n'; NAME]);
    }
}

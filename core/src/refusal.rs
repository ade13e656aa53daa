//! Why a program's change in V was refused: a ring of records for each user, written by the library and
//! shown by `mirror status`. It lies beside the runtime files, so that it works when the legs do not.
//! A record is [`SIZE`] bytes, little-endian: magic "MRF3", reason, errno (u16 each), pid, uid (u32),
//! time (u64, seconds), the program's name (16 bytes), length of V's text (u16), the pair's tag (u64; 0: not
//! known), the system call that failed (u16: its number and 1; 0: not known, or none), V's text (up to 200 bytes; a
//! NUL and an object's path below V may be among them), CRC-32 of all that.
use crate::Errno;
use crate::path::PathText;
use crate::record::crc32;

/// Size of a record.
pub const SIZE: usize = 256;
/// Records in a ring.
pub const SLOTS: usize = 64;
/// Size of the file.
pub const FILE: usize = SIZE * SLOTS;
/// Where a record's time stands, for who looks for the oldest.
pub const TIME: core::ops::Range<usize> = 16..24;
/// Root's ring: in the folder that root alone can make.
pub const ROOTS: &[u8] = b"/run/mirror/refused";
/// What the names of other users' rings begin with; the user's number follows.
pub const OTHERS: &[u8] = b"/dev/shm/mirror-refused-";
const MAGIC: &[u8; 4] = b"MRF3";
/// Room for V's text.
pub const TEXT: usize = 200;

/// Why. The numbers are those of the records: none is used again for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Refusal {
    /// None of the others; the errno says more.
    Other = 0,
    /// A leg's directory cannot be opened.
    Leg = 1,
    /// A leg's record is missing, damaged or of another version.
    Record = 2,
    /// The legs are swapped in the mirrortab.
    Swapped = 3,
    /// The first copy has not finished.
    Incomplete = 4,
    /// The legs belong to different pairs.
    Strangers = 5,
    /// The user may not use the pair.
    Permission = 6,
    /// Programs of another host or container use the pair.
    Domain = 7,
    /// The runtime file is not the pair's own, is damaged, or cannot be made.
    Runtime = 8,
    /// The hard limit of descriptors is too low, or none is free.
    Descriptors = 9,
    /// The program has descriptors on the library's numbers.
    Numbers = 10,
    /// The process changed its root before its first change.
    Chroot = 11,
    /// The process gave its rights up before its first change.
    Dropped = 12,
    /// A filter refuses what the library needs.
    Filter = 13,
    /// The kernel's boot id cannot be read (/proc).
    Proc = 14,
    /// A leg is mounted read-only.
    ReadOnly = 15,
    /// No room for the runtime file.
    Full = 16,
    /// A leg's control folder may have been put there by somebody else.
    Distrust = 17,
    /// V of a link pair is not the link to leg a.
    Link = 18,
    /// Another user held a lock of its pair for longer than root's program waits.
    Wait = 19,
    /// The object is on a file system that is mounted inside one leg.
    Mounted = 20,
    /// No refusal: two objects that stand for each other differed, and were made equal.
    Mended = 21,
    /// No refusal: two objects that stand for each other differ, and are pending.
    Differ = 22,
    /// What was to be changed lies in a leg that was reached by another path than its own, and where in it could
    /// not be told.
    Elsewhere = 23,
    /// The program has no memory for the runtime file.
    Memory = 24,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Refusal; 25] = [
        Refusal::Other,
        Refusal::Leg,
        Refusal::Record,
        Refusal::Swapped,
        Refusal::Incomplete,
        Refusal::Strangers,
        Refusal::Permission,
        Refusal::Domain,
        Refusal::Runtime,
        Refusal::Descriptors,
        Refusal::Numbers,
        Refusal::Chroot,
        Refusal::Dropped,
        Refusal::Filter,
        Refusal::Proc,
        Refusal::ReadOnly,
        Refusal::Full,
        Refusal::Distrust,
        Refusal::Link,
        Refusal::Wait,
        Refusal::Mounted,
        Refusal::Mended,
        Refusal::Differ,
        Refusal::Elsewhere,
        Refusal::Memory,
    ];
    /// Whether it tells of a difference that was found, and nothing was refused.
    pub fn is_difference(self) -> bool {
        matches!(self, Refusal::Mended | Refusal::Differ)
    }
    /// What an errno tells by itself.
    pub fn of(e: Errno) -> Refusal {
        match e {
            Errno::EACCES | Errno::EPERM => Refusal::Permission,
            Errno::EROFS => Refusal::ReadOnly,
            Errno::EMFILE | Errno::ENFILE => Refusal::Descriptors,
            Errno::ENOSPC | Errno::EDQUOT => Refusal::Full,
            Errno::ENOSYS => Refusal::Filter,
            Errno::ENOMEM => Refusal::Memory,
            _ => Refusal::Other,
        }
    }
    /// The reason with a number.
    pub fn from_number(n: u16) -> Option<Refusal> {
        Refusal::ALL.into_iter().find(|r| *r as u16 == n)
    }
}

/// One refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Why.
    pub why: Refusal,
    /// The error that the kernel gave, or the protocol.
    pub errno: u16,
    /// The process.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Seconds since 1970.
    pub time: u64,
    /// The program's name as the kernel has it, ended by zeros.
    pub comm: [u8; 16],
    pair: u64,
    call: u16,
    text: [u8; TEXT],
    len: u16,
}

impl Record {
    /// A record of the pair with this tag (0: not known); of V's text the first 200 bytes are kept. A NUL and the path of an object may follow it.
    pub fn new(
        why: Refusal,
        errno: Errno,
        (pid, uid): (u32, u32),
        time: u64,
        comm: [u8; 16],
        (v, pair): (&[u8], u64),
    ) -> Record {
        let mut text = [0u8; TEXT];
        for (d, s) in text.iter_mut().zip(v) {
            *d = *s;
        }
        Record {
            why,
            errno: errno.0 as u16,
            pid,
            uid,
            time,
            comm,
            pair,
            call: 0,
            text,
            len: v.len().min(TEXT) as u16,
        }
    }
    /// The same with the number of the system call that failed, if it is known.
    pub fn of_call(self, call: Option<u16>) -> Record {
        let call = call.and_then(|nr| nr.checked_add(1)).unwrap_or(0);
        Record { call, ..self }
    }
    /// The number of the system call that failed, if it is known.
    pub fn call(&self) -> Option<u16> {
        self.call.checked_sub(1)
    }
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let text = self.text.get(..usize::from(self.len)).unwrap_or(&[]);
        text.splitn(2, |&b| b == 0)
    }
    /// V, or as much of it as there was room for.
    pub fn v(&self) -> &[u8] {
        self.parts().next().unwrap_or(&[])
    }
    /// The object's path below V, or as much of it as there was room for.
    pub fn object(&self) -> &[u8] {
        self.parts().nth(1).unwrap_or(&[])
    }
    /// Whether this is about the pair at `v` with this tag (0: not known), and about no earlier one there.
    pub fn is_about(&self, (v, pair): (&[u8], u64)) -> bool {
        self.v() == v.get(..v.len().min(TEXT)).unwrap_or(&[]) && same_pair(self.pair, pair)
    }
    /// The record's bytes.
    pub fn encode(&self) -> [u8; SIZE] {
        let mut out = [0u8; SIZE];
        let mut at = 0usize;
        let mut put = |bytes: &[u8]| {
            for (d, s) in out.iter_mut().skip(at).zip(bytes) {
                *d = *s;
            }
            at = at.wrapping_add(bytes.len());
        };
        put(MAGIC);
        put(&(self.why as u16).to_le_bytes());
        put(&self.errno.to_le_bytes());
        put(&self.pid.to_le_bytes());
        put(&self.uid.to_le_bytes());
        put(&self.time.to_le_bytes());
        put(&self.comm);
        put(&self.len.to_le_bytes());
        put(&self.pair.to_le_bytes());
        put(&self.call.to_le_bytes());
        put(&self.text);
        let crc = out.get(..CRC).map_or(0, crc32).to_le_bytes();
        for (d, s) in out.iter_mut().skip(CRC).zip(crc) {
            *d = s;
        }
        out
    }
    /// `None`: an empty slot, another version, or damaged.
    pub fn parse(b: &[u8]) -> Option<Record> {
        let body = b.get(..CRC)?;
        if body.get(..4)? != MAGIC || b.get(CRC..CRC + 4)? != crc32(body).to_le_bytes() {
            return None;
        }
        let u16_at = |i: usize| Some(u16::from_le_bytes(*body.get(i..)?.first_chunk()?));
        let u32_at = |i: usize| Some(u32::from_le_bytes(*body.get(i..)?.first_chunk()?));
        let len = u16_at(40)?;
        if usize::from(len) > TEXT {
            return None;
        }
        Some(Record {
            why: Refusal::from_number(u16_at(4)?)?,
            errno: u16_at(6)?,
            pid: u32_at(8)?,
            uid: u32_at(12)?,
            time: u64::from_le_bytes(*body.get(TIME)?.first_chunk()?),
            comm: *body.get(24..40)?.first_chunk()?,
            pair: u64::from_le_bytes(*body.get(42..50)?.first_chunk()?),
            call: u16_at(50)?,
            text: *body.get(52..52 + TEXT)?.first_chunk()?,
            len,
        })
    }
}

const CRC: usize = 52 + TEXT;

/// Whether two tags may be of one pair.
pub(crate) fn same_pair(a: u64, b: u64) -> bool {
    a == 0 || b == 0 || a == b
}

/// The path of a user's ring.
pub fn ring(uid: u32) -> PathText<64> {
    ring_of(ROOTS, OTHERS, uid)
}

/// Where root's ring of one sort is while `/run/mirror` cannot be written (ProtectSystem=strict of a unit):
/// beside those of the others.
pub fn spare(others: &[u8]) -> PathText<64> {
    let mut t = PathText::from_bytes(others).unwrap_or_default();
    let _ = t.append(b"0");
    t
}

/// The path of a user's ring of one sort.
pub(crate) fn ring_of(roots: &[u8], others: &[u8], uid: u32) -> PathText<64> {
    if uid == 0 {
        return PathText::from_bytes(roots).unwrap_or_default();
    }
    let mut t = PathText::from_bytes(others).unwrap_or_default();
    let mut digits = [0u8; 10];
    let mut n = uid;
    let mut used = 0usize;
    for d in digits.iter_mut().rev() {
        *d = b'0'.wrapping_add((n % 10) as u8);
        n /= 10;
        used = used.wrapping_add(1);
        if n == 0 {
            break;
        }
    }
    let _ = t.append(digits.get(10usize.saturating_sub(used)..).unwrap_or(&[]));
    t
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Record {
        Record::new(
            Refusal::Chroot,
            Errno::EIO,
            (4711, 1001),
            1_700_000_000,
            *b"rsync\0\0\0\0\0\0\0\0\0\0\0",
            (b"/srv/data", 7),
        )
        .of_call(Some(437))
    }

    #[test]
    fn round_trip_and_damage() {
        let r = some();
        let b = r.encode();
        assert_eq!(Record::parse(&b), Some(r));
        assert!(r.is_about((b"/srv/data", 7)) && r.is_about((b"/srv/data", 0)));
        let others: [(&[u8], u64); 3] = [(b"/srv/dat", 7), (b"/srv/data2", 7), (b"/srv/data", 8)];
        assert!(others.into_iter().all(|o| !r.is_about(o)));
        for i in 0..CRC + 4 {
            let mut bad = b;
            bad[i] ^= 1;
            assert_eq!(Record::parse(&bad), None, "byte {i}");
        }
        assert_eq!(Record::parse(&[0; SIZE]), None);
        assert_eq!(Record::parse(&b[..200]), None);
    }

    #[test]
    fn layout_is_fixed() {
        let b = some().encode();
        assert_eq!((&b[..4], &b[4..8]), (&MAGIC[..], &[11, 0, 5, 0][..]));
        assert_eq!(&b[TIME], 1_700_000_000u64.to_le_bytes());
        assert_eq!(
            (&b[24..29], &b[40..43], &b[50..61]),
            (&b"rsync"[..], &[9, 0, 7][..], &b"\xb6\x01/srv/data"[..])
        );
        assert_eq!(
            (some().call(), some().of_call(None).call()),
            (Some(437), None)
        );
        const { assert!(CRC + 4 <= SIZE) };
    }

    #[test]
    fn long_texts_are_cut() {
        let v = [b'v'; 4000];
        let r = Record::new(Refusal::Leg, Errno::EIO, (1, 2), 3, [0; 16], (&v, 0));
        assert_eq!(r.v().len(), TEXT);
        assert!(r.is_about((&v, 9)) && Record::parse(&r.encode()) == Some(r));
    }

    #[test]
    fn an_object_stands_behind_v() {
        let text = b"/srv/data\0dir/file";
        let r = Record::new(Refusal::Mended, Errno::EIO, (1, 2), 3, [0; 16], (text, 5));
        assert_eq!((r.v(), r.object()), (&b"/srv/data"[..], &b"dir/file"[..]));
        assert!(r.is_about((b"/srv/data", 5)) && Record::parse(&r.encode()) == Some(r));
        assert_eq!(some().object(), b"");
    }

    #[test]
    fn numbers_and_names() {
        for (i, r) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!((r as usize, Refusal::from_number(i as u16)), (i, Some(r)));
        }
        assert_eq!(Refusal::from_number(99), None);
        assert_eq!(ring(0).as_bytes(), ROOTS);
        assert_eq!(ring(7).as_bytes(), b"/dev/shm/mirror-refused-7");
        assert_eq!(
            ring(u32::MAX).as_bytes(),
            b"/dev/shm/mirror-refused-4294967295"
        );
    }
}

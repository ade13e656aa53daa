//! The leg record `.mirror/leg`: who this leg is and which pair it belongs to. One per leg, written
//! by the command alone, 0600 (or as the pair's sharing says), replaced by rename.
//!
//! Text, `key=value` lines, in this order; the last line is a checksum over all bytes before it:
//! ```text
//! mirror-leg=2
//! pair=<32 hex digits>            the pair's random id
//! leg=a                           a or b: fixed for ever, it orders the locks
//! id=<32 hex digits>              this leg's random id
//! peer=<32 hex digits>            the other leg's id
//! state=ok                        ok, or incomplete: a sink whose first copy has not finished
//! stripes=64                      stripes of each lock table, 1 to 64
//! share=owner                     who may use the pair: owner, group (that of .mirror), or all
//! runtime=/run/mirror/            what the runtime files' names begin with
//! crc=<8 hex digits>
//! ```
use crate::Leg;
use crate::lock::{OBJECTS, STRIPES_MAX, WHOLE};
use crate::path::PathText;

/// The control folder, at each leg's root.
pub const CONTROL: &[u8] = b".mirror";
/// Name of the record below a leg's root.
pub const LEG_RECORD: &[u8] = b".mirror/leg";
/// The domain record: which runtime file (random id) and which boot; flocked shared by all attached.
pub const OWNER_RECORD: &[u8] = b".mirror/owner";
/// Folder of lock objects: files named as [`lock_name`] says.
pub const LOCK_DIR: &[u8] = b".mirror/locks";
/// Temporary objects of repair and resync.
pub const TMP_DIR: &[u8] = b".mirror/tmp";
/// What a resync overwrote or deleted is kept here.
pub const KEPT_DIR: &[u8] = b".mirror/kept";
/// Objects known to differ: lines of escaped relative paths, appended by whoever finds one.
pub const PENDING_LOG: &[u8] = b".mirror/pending";

/// A 128-bit random id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(pub [u8; 16]);

impl Id {
    /// What a pair is told by where there is little room; never 0, which stands for an id that is not known.
    pub fn tag(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h]).max(1)
    }
    /// 32 lower-case hex digits.
    pub fn hex(self) -> [u8; 32] {
        let mut out = [b'0'; 32];
        for (i, b) in self.0.iter().enumerate() {
            let digit = |d: u8| {
                if d < 10 {
                    b'0'.wrapping_add(d)
                } else {
                    b'a'.wrapping_add(d.wrapping_sub(10))
                }
            };
            if let Some(p) = out.get_mut(i.wrapping_mul(2)) {
                *p = digit(b >> 4);
            }
            if let Some(p) = out.get_mut(i.wrapping_mul(2).wrapping_add(1)) {
                *p = digit(b & 15);
            }
        }
        out
    }
    /// The inverse of [`Id::hex`].
    pub fn from_hex(s: &[u8]) -> Option<Id> {
        if s.len() != 32 {
            return None;
        }
        let digit = |c: u8| match c {
            b'0'..=b'9' => Some(c.wrapping_sub(b'0')),
            b'a'..=b'f' => Some(c.wrapping_sub(b'a').wrapping_add(10)),
            _ => None,
        };
        let mut out = [0u8; 16];
        for (o, pair) in out.iter_mut().zip(s.chunks_exact(2)) {
            let [h, l] = pair else { return None };
            *o = digit(*h)? << 4 | digit(*l)?;
        }
        Some(Id(out))
    }
}

/// The parsed leg record.
#[derive(Clone)]
pub struct LegRecord {
    /// The pair's id.
    pub pair: Id,
    /// Which of the two it is.
    pub leg: Leg,
    /// This leg's id.
    pub id: Id,
    /// The other leg's id.
    pub peer: Id,
    /// Whether the leg's first copy has finished.
    pub complete: bool,
    /// Stripes of each lock table.
    pub stripes: u8,
    /// Who may use the pair.
    pub share: Share,
    /// What the runtime files' names begin with: one of the two [`runtime_place`]s.
    pub runtime: PathText<256>,
}

/// Who may use a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// The user of the control folder, and root.
    Owner,
    /// The members of its group as well.
    Group,
    /// Everybody whom the trees' own rights let in.
    All,
}

impl Share {
    const WORDS: [(Share, &'static [u8]); 3] = [
        (Share::Owner, b"owner"),
        (Share::Group, b"group"),
        (Share::All, b"all"),
    ];
    fn of(word: &[u8]) -> Option<Share> {
        let found = Share::WORDS.iter().find(|(_, w)| *w == word);
        found.map(|(s, _)| *s)
    }
    fn word(self) -> &'static [u8] {
        let found = Share::WORDS.iter().find(|(s, _)| *s == self);
        found.map_or(b"", |(_, w)| w)
    }
}

/// Largest record in bytes.
pub const RECORD_MAX: usize = 768;

/// Why a record is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordFault {
    /// Not of this version or not such a record.
    Version,
    /// A line is missing or malformed.
    Malformed,
    /// The checksum does not match.
    Checksum,
}

impl LegRecord {
    /// Parses the file's bytes.
    pub fn parse(text: &[u8]) -> Result<LegRecord, RecordFault> {
        if !text.starts_with(b"mirror-leg=2\n") {
            return Err(RecordFault::Version);
        }
        let body_len = text.len().checked_sub(13).ok_or(RecordFault::Malformed)?;
        let (body, crc_line) = text
            .split_at_checked(body_len)
            .ok_or(RecordFault::Malformed)?;
        let crc = crc_line
            .strip_prefix(b"crc=")
            .and_then(|c| c.strip_suffix(b"\n"))
            .ok_or(RecordFault::Malformed)?;
        if crc != hex8(crc32(body)) {
            return Err(RecordFault::Checksum);
        }
        let mut lines = body.split(|&c| c == b'\n').skip(1);
        let mut field = |key: &[u8]| -> Result<&[u8], RecordFault> {
            lines
                .next()
                .and_then(|l| l.strip_prefix(key))
                .and_then(|l| l.strip_prefix(b"="))
                .ok_or(RecordFault::Malformed)
        };
        let id = |s: &[u8]| Id::from_hex(s).ok_or(RecordFault::Malformed);
        let mut r = LegRecord {
            pair: id(field(b"pair")?)?,
            leg: Leg::from_letter(field(b"leg")?).ok_or(RecordFault::Malformed)?,
            id: id(field(b"id")?)?,
            peer: id(field(b"peer")?)?,
            complete: match field(b"state")? {
                b"ok" => true,
                b"incomplete" => false,
                _ => return Err(RecordFault::Malformed),
            },
            stripes: match field(b"stripes")? {
                [d @ b'1'..=b'9'] => d.wrapping_sub(b'0'),
                [t @ b'1'..=b'9', d @ b'0'..=b'9'] => t
                    .wrapping_sub(b'0')
                    .wrapping_mul(10)
                    .wrapping_add(d.wrapping_sub(b'0')),
                _ => return Err(RecordFault::Malformed),
            },
            share: Share::of(field(b"share")?).ok_or(RecordFault::Malformed)?,
            runtime: PathText::from_bytes(field(b"runtime")?)
                .map_err(|_| RecordFault::Malformed)?,
        };
        // The record lies in a tree that others may own: it cannot name any file it likes.
        // Earlier versions wrote the pair's id behind the place.
        let text = r.runtime.as_bytes();
        let text = text.strip_suffix(&r.pair.hex()).unwrap_or(text);
        let root = [false, true].into_iter().find(|&root| {
            text == runtime_place(root).as_bytes() && !(root && r.share != Share::Owner)
        });
        let stripes = (1..=STRIPES_MAX).contains(&usize::from(r.stripes));
        let Some(root) = root.filter(|_| stripes) else {
            return Err(RecordFault::Malformed);
        };
        r.runtime = runtime_place(root);
        Ok(r)
    }

    /// Whether the other record is that of this leg's partner.
    pub fn pairs_with(&self, b: &LegRecord) -> bool {
        self.pair == b.pair
            && self.leg != b.leg
            && (self.peer, b.peer) == (b.id, self.id)
            && (self.stripes, self.share) == (b.stripes, b.share)
            && self.runtime.as_bytes() == b.runtime.as_bytes()
    }

    /// The runtime file with this id. Nobody else can know its name before it is there, and it tells
    /// nothing of the pair.
    pub fn runtime_file(&self, id: Id) -> PathText<256> {
        let mut t = self.runtime.clone();
        // A place is some 16 bytes long (see `parse`): the rest always fits.
        let _ = t.append(&id.hex());
        t
    }

    /// The file's bytes.
    pub fn encode(&self) -> PathText<RECORD_MAX> {
        let mut t = PathText::new();
        // The parts are bounded (6 short lines and a path of < 256 bytes): they always fit.
        let mut put = |s: &[u8]| {
            let _ = t.append(s);
        };
        put(b"mirror-leg=2\npair=");
        put(&self.pair.hex());
        put(b"\nleg=");
        put(match self.leg {
            Leg::A => b"a",
            Leg::B => b"b",
        });
        put(b"\nid=");
        put(&self.id.hex());
        put(b"\npeer=");
        put(&self.peer.hex());
        put(b"\nstate=");
        put(if self.complete { b"ok" } else { b"incomplete" });
        put(b"\nstripes=");
        let tens = self.stripes / 10 % 10;
        if tens > 0 {
            put(&[b'0'.wrapping_add(tens)]);
        }
        put(&[b'0'.wrapping_add(self.stripes % 10)]);
        put(b"\nshare=");
        put(self.share.word());
        put(b"\nruntime=");
        put(self.runtime.as_bytes());
        put(b"\n");
        let crc = hex8(crc32(t.as_bytes()));
        let _ = t.append(b"crc=");
        let _ = t.append(&crc);
        let _ = t.append(b"\n");
        t
    }
}

/// What the names of a pair's runtime files begin with: in a folder of root's (for a pair that only root
/// uses), or in one where everybody may make files.
pub fn runtime_place(root: bool) -> PathText<256> {
    let place: &[u8] = if root {
        b"/run/mirror/"
    } else {
        b"/dev/shm/mirror-"
    };
    PathText::from_bytes(place).unwrap_or_default()
}

/// Whether a file with this type and mode, owner, group and number of names can be one of the files in a
/// leg's control folder, which belongs to `control`. Who may change the folder can put anything there: a
/// fifo that blocks, a device, or a further name of somebody else's file, which root would then write. What
/// is root's or of the pair's group counts (a member or root has made it) if it has no other name.
pub fn control_file_trusted(
    mode: u32,
    (uid, gid): (u32, u32),
    names: u64,
    control: (u32, u32),
) -> bool {
    const TYPE: u32 = 0o170000;
    const REGULAR: u32 = 0o100000;
    mode & TYPE == REGULAR && (uid == control.0 || (names == 1 && (uid == 0 || gid == control.1)))
}

/// Path of a lock object below a leg's root: `whole`, then `d00` to `d63` for directories and `f00` to
/// `f63` for files. `None` beyond.
pub fn lock_name(object: usize) -> Option<PathText<64>> {
    let mut t = PathText::from_bytes(LOCK_DIR).ok()?;
    let (letter, n) = match object {
        WHOLE => {
            t.append(b"/whole").ok()?;
            return Some(t);
        }
        1..=STRIPES_MAX => (b'd', object.wrapping_sub(1)),
        _ if object < OBJECTS => (b'f', object.wrapping_sub(1 + STRIPES_MAX)),
        _ => return None,
    };
    let digit = |d: usize| b'0'.wrapping_add((d % 10) as u8);
    t.append(&[b'/', letter, digit(n / 10), digit(n)]).ok()?;
    Some(t)
}

/// CRC-32 (IEEE 802.3, reflected), bitwise: records are small.
pub fn crc32(data: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &b in data {
        crc ^= u32::from(b);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

fn hex8(v: u32) -> [u8; 8] {
    let mut out = [0u8; 8];
    for (i, o) in (0u32..8).zip(out.iter_mut()) {
        let d = (v >> (28u32.wrapping_sub(i.wrapping_mul(4)))) as u8 & 15;
        *o = if d < 10 {
            b'0'.wrapping_add(d)
        } else {
            b'a'.wrapping_add(d.wrapping_sub(10))
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    #[test]
    fn what_may_be_a_control_file() {
        let is = |mode, owner, names| control_file_trusted(mode, owner, names, (1000, 50));
        assert!(is(0o100600, (1000, 50), 1));
        assert!(is(0o100660, (1000, 50), 2), "a backup of hard links");
        assert!(is(0o100600, (0, 0), 1), "root could not give it away");
        assert!(is(0o100660, (1001, 50), 1), "a member made it");
        for mode in [0o010600, 0o020600, 0o040700, 0o060600, 0o120777, 0o140600] {
            assert!(!is(mode, (1000, 50), 1), "{mode:o}");
        }
        assert!(!is(0o100644, (0, 0), 2), "a second name of root's file");
        assert!(!is(0o100644, (1001, 50), 2));
        assert!(!is(0o100644, (1001, 51), 1));
    }

    #[test]
    fn crc_is_the_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn lock_objects_have_names() {
        let name = |o| lock_name(o).map(|t| Vec::from(t.as_bytes()));
        assert_eq!(name(0).as_deref(), Some(&b".mirror/locks/whole"[..]));
        assert_eq!(name(1).as_deref(), Some(&b".mirror/locks/d00"[..]));
        assert_eq!(name(64).as_deref(), Some(&b".mirror/locks/d63"[..]));
        assert_eq!(name(65).as_deref(), Some(&b".mirror/locks/f00"[..]));
        assert_eq!(
            name(OBJECTS - 1).as_deref(),
            Some(&b".mirror/locks/f63"[..])
        );
        assert!(name(OBJECTS).is_none());
    }

    #[test]
    fn record_round_trips_and_is_checked() {
        let r = LegRecord {
            pair: Id([1; 16]),
            leg: Leg::B,
            id: Id([0xab; 16]),
            peer: Id([7; 16]),
            complete: true,
            stripes: 64,
            share: Share::Group,
            runtime: runtime_place(false),
        };
        let t = r.encode();
        let p = LegRecord::parse(t.as_bytes()).unwrap();
        assert_eq!(
            (p.pair, p.leg, p.id, p.peer, p.complete),
            (r.pair, Leg::B, r.id, r.peer, true)
        );
        let place = b"/dev/shm/mirror-";
        assert_eq!(p.runtime.as_bytes(), place);
        let file = p.runtime_file(Id([0xfe; 16]));
        assert_eq!(file.as_bytes(), [&place[..], &b"fe".repeat(16)].concat());
        assert_eq!((p.stripes, p.share), (64, Share::Group));
        for stripes in [1, 9, 10, 63] {
            let r = LegRecord {
                stripes,
                ..r.clone()
            };
            assert_eq!(
                LegRecord::parse(r.encode().as_bytes()).map(|p| p.stripes),
                Ok(stripes)
            );
        }
        for stripes in [0, 65, 99] {
            let r = LegRecord {
                stripes,
                ..r.clone()
            };
            assert!(LegRecord::parse(r.encode().as_bytes()).is_err());
        }
        let named = |share, runtime: PathText<256>| {
            let r = LegRecord {
                share,
                runtime,
                ..r.clone()
            };
            LegRecord::parse(r.encode().as_bytes()).is_ok()
        };
        assert!(named(Share::Owner, runtime_place(true)));
        // Others cannot make files in root's folder.
        for share in [Share::Group, Share::All] {
            assert!(named(share, runtime_place(false)) && !named(share, runtime_place(true)));
        }
        let old = |pair: &[u8]| {
            let mut t = runtime_place(false);
            t.append(pair).unwrap();
            t
        };
        assert!(named(Share::Owner, old(&r.pair.hex())) && !named(Share::Owner, old(b"x")));
        assert!(!named(
            Share::Owner,
            PathText::from_bytes(b"/etc/passwd").unwrap()
        ));
        let mut bytes = [0u8; RECORD_MAX];
        let n = t.len();
        bytes[..n].copy_from_slice(t.as_bytes());
        bytes[20] ^= 1;
        assert!(matches!(
            LegRecord::parse(&bytes[..n]),
            Err(RecordFault::Checksum)
        ));
        assert!(matches!(
            LegRecord::parse(b"mirror-leg=1\n"),
            Err(RecordFault::Version)
        ));
    }
}

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
//! share=owner                     who may use the pair: owner, or group (that of .mirror)
//! runtime=/run/mirror/            what the runtime files' names begin with
//! crc=<8 hex digits>
//! ```
use crate::lock::{OBJECTS, STRIPES_MAX, WHOLE};
use crate::path::PathText;
use crate::runtime::Facts;

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
    /// 0 for a, 1 for b.
    pub leg: u8,
    /// This leg's id.
    pub id: Id,
    /// The other leg's id.
    pub peer: Id,
    /// Whether the leg's first copy has finished.
    pub complete: bool,
    /// Stripes of each lock table.
    pub stripes: u8,
    /// Whether the group of the control folder may use the pair.
    pub group: bool,
    /// What the runtime files' names begin with: one of the two [`runtime_place`]s.
    pub runtime: PathText<256>,
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
            leg: match field(b"leg")? {
                b"a" => 0,
                b"b" => 1,
                _ => return Err(RecordFault::Malformed),
            },
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
            group: match field(b"share")? {
                b"owner" => false,
                b"group" => true,
                _ => return Err(RecordFault::Malformed),
            },
            runtime: PathText::from_bytes(field(b"runtime")?)
                .map_err(|_| RecordFault::Malformed)?,
        };
        // The record lies in a tree that others may own: it cannot name any file it likes.
        // Earlier versions wrote the pair's id behind the place.
        let text = r.runtime.as_bytes();
        let text = text.strip_suffix(&r.pair.hex()).unwrap_or(text);
        let root = [false, true]
            .into_iter()
            .find(|&root| text == runtime_place(root).as_bytes() && !(root && r.group));
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
            && (self.stripes, self.group) == (b.stripes, b.group)
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
        put(if self.leg == 0 { b"a" } else { b"b" });
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
        put(if self.group { b"group" } else { b"owner" });
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

/// Whether a file with this type and mode, this owner and group, can be a pair's runtime file, seen by a
/// process of user `me`. `control` is user and group of the control folder. The file lies where everybody
/// may make files: that nobody but the pair's own can have made it is what is asked here. Who is not in the
/// pair's group cannot give a file that group. (How many names it has does not matter: its content says
/// which file it is, and another name is something that a stranger may be able to give it.)
pub fn runtime_trusted(
    group: bool,
    mode: u32,
    (uid, gid): (u32, u32),
    control: (u32, u32),
    me: u32,
) -> bool {
    const REGULAR: u32 = 0o100000;
    if group {
        mode == REGULAR | 0o660 && gid == control.1
    } else {
        // On a network leg the folder may seem to be another's: what is root's or one's own will do.
        mode == REGULAR | 0o600 && (uid == control.0 || uid == me || uid == 0)
    }
}

/// Whether a process with these user ids (real, effective, saved) must not touch the mapping of a runtime
/// file with this owner and group: somebody else, whom it does not trust, could cut the file short, and
/// the next touch would be a SIGBUS. Root trusts nobody but root. Members of a group trust each other.
pub fn runtime_guarded(group: bool, (uid, gid): (u32, u32), ids: [u32; 3]) -> bool {
    let root = ids.contains(&0);
    match group {
        true => root && (uid, gid) != (0, 0),
        false => uid != 0 && (root || ids[1] != uid),
    }
}

/// Whether a runtime file that a record names may be removed: it is of this pair and of these legs, and it
/// belongs to the pair's user (or group). Device numbers may have changed since it was made.
pub fn runtime_removable(
    group: bool,
    (uid, gid): (u32, u32),
    control: (u32, u32),
    found: &Facts,
    pair: Id,
    legs: [(u64, u64); 2],
) -> bool {
    let owner = if group {
        gid == control.1
    } else {
        uid == control.0
    };
    let inodes = |l: [(u64, u64); 2]| [l[0].1, l[1].1];
    owner && found.pair == pair && inodes(found.legs) == inodes(legs)
}

/// What a control folder looks like, and the root that it lies in.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// User and group of `.mirror`.
    pub owner: (u32, u32),
    /// Its mode.
    pub mode: u32,
    /// User and group of the leg's root.
    pub root: (u32, u32),
}

/// Why a control folder is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// It is not a directory, or everybody may write it.
    Open,
    /// It does not belong to the user that the mirrortab names.
    Pinned,
    /// It belongs to a user who has nothing to do with the leg.
    Stranger,
}

/// Whether a leg's `.mirror` is that of the pair's owner, seen by a process of user `me`. `pin` is the
/// owner that the mirrortab names. Without it: root, oneself, the owner of the leg's root, or, in a shared
/// pair, who gave it to the group that the root has.
pub fn control_trusted(
    c: &Control,
    group: bool,
    pin: Option<u32>,
    me: u32,
) -> Result<(), Distrust> {
    const DIRECTORY: u32 = 0o040000;
    if c.mode & 0o170000 != DIRECTORY {
        return Err(Distrust::Open);
    }
    // A file system without rights shows them all open, and the root's user as everybody's owner.
    if c.mode & 0o002 != 0 && c.owner != c.root {
        return Err(Distrust::Open);
    }
    match pin {
        Some(uid) if uid == c.owner.0 => Ok(()),
        Some(_) => Err(Distrust::Pinned),
        None => {
            let shared = group && c.owner.1 == c.root.1;
            if [0, me, c.root.0].contains(&c.owner.0) || shared {
                Ok(())
            } else {
                Err(Distrust::Stranger)
            }
        }
    }
}

/// Path of a lock object below a leg's root: `whole`, then `d00` to `d63` for directories and `f00` to
/// `f63` for files. `None` beyond.
pub fn lock_name(object: usize) -> Option<PathText<32>> {
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
    fn a_runtime_file_must_be_the_pairs_own() {
        let own = |uid, mode: u32| runtime_trusted(false, 0o100000 | mode, (uid, 5), (7, 8), 9);
        assert!(own(7, 0o600) && own(9, 0o600) && own(0, 0o600));
        assert!(!own(5, 0o600) && !own(7, 0o660) && !own(7, 0o604));
        let shared = |gid, mode: u32| runtime_trusted(true, 0o100000 | mode, (5, gid), (7, 8), 9);
        assert!(shared(8, 0o660));
        assert!(!shared(9, 0o660) && !shared(8, 0o600) && !shared(8, 0o664) && !shared(8, 0o2660));
        assert!(!runtime_trusted(false, 0o010600, (7, 8), (7, 8), 7));
    }

    #[test]
    fn whom_a_mapping_is_trusted_to() {
        let own = |uid, ids| !runtime_guarded(false, (uid, 8), ids);
        assert!(own(7, [7; 3]) && own(0, [7; 3]) && own(0, [0; 3]));
        assert!(!own(7, [0; 3]) && !own(7, [9; 3]));
        // Who can become root again is root.
        assert!(!own(7, [0, 7, 0]) && !own(7, [7, 7, 0]) && own(0, [0, 7, 0]));
        let shared = |uid, gid, ids| !runtime_guarded(true, (uid, gid), ids);
        assert!(shared(7, 8, [7; 3]) && shared(7, 8, [9; 3]) && shared(0, 0, [0; 3]));
        assert!(!shared(7, 8, [0; 3]) && !shared(0, 8, [0; 3]) && !shared(7, 0, [0; 3]));
    }

    #[test]
    fn a_control_folder_must_be_the_owners() {
        let c = |uid, gid, mode: u32, root| Control {
            owner: (uid, gid),
            mode: 0o040000 | mode,
            root,
        };
        let sees = |c: Control, group, pin, me| control_trusted(&c, group, pin, me);
        let mine = c(7, 7, 0o700, (7, 7));
        assert_eq!(sees(mine, false, None, 7), Ok(()));
        assert_eq!(sees(mine, false, None, 0), Ok(()));
        assert_eq!(sees(mine, false, Some(7), 0), Ok(()));
        assert_eq!(sees(mine, false, Some(0), 0), Err(Distrust::Pinned));
        let planted = c(9, 9, 0o700, (0, 50));
        assert_eq!(sees(planted, false, None, 0), Err(Distrust::Stranger));
        assert_eq!(sees(planted, true, None, 0), Err(Distrust::Stranger));
        assert_eq!(sees(c(9, 50, 0o2770, (0, 50)), true, None, 0), Ok(()));
        let open = c(7, 7, 0o777, (0, 0));
        assert_eq!(sees(open, false, None, 7), Err(Distrust::Open));
        assert_eq!(sees(c(7, 7, 0o777, (7, 7)), false, None, 7), Ok(()));
        let link = Control {
            mode: 0o120777,
            ..mine
        };
        assert_eq!(sees(link, false, None, 7), Err(Distrust::Open));
    }

    #[test]
    fn only_the_pairs_own_runtime_file_is_removed() {
        let legs = [(1, 2), (3, 4)];
        let f = Facts {
            id: Id([1; 16]),
            boot: Id([2; 16]),
            pair: Id([3; 16]),
            stripes: 64,
            legs,
        };
        let may =
            |group, file, pair, legs| runtime_removable(group, file, (7, 8), &f, Id(pair), legs);
        assert!(may(false, (7, 1), [3; 16], legs) && may(true, (1, 8), [3; 16], legs));
        assert!(may(false, (7, 1), [3; 16], [(9, 2), (9, 4)]));
        assert!(!may(false, (0, 8), [3; 16], legs) && !may(true, (7, 0), [3; 16], legs));
        assert!(!may(false, (7, 8), [4; 16], legs));
        assert!(!may(false, (7, 8), [3; 16], [(1, 2), (3, 5)]));
    }

    #[test]
    fn record_round_trips_and_is_checked() {
        let r = LegRecord {
            pair: Id([1; 16]),
            leg: 1,
            id: Id([0xab; 16]),
            peer: Id([7; 16]),
            complete: true,
            stripes: 64,
            group: true,
            runtime: runtime_place(false),
        };
        let t = r.encode();
        let p = LegRecord::parse(t.as_bytes()).unwrap();
        assert_eq!(
            (p.pair, p.leg, p.id, p.peer, p.complete),
            (r.pair, 1, r.id, r.peer, true)
        );
        let place = b"/dev/shm/mirror-";
        assert_eq!(p.runtime.as_bytes(), place);
        let file = p.runtime_file(Id([0xfe; 16]));
        assert_eq!(file.as_bytes(), [&place[..], &b"fe".repeat(16)].concat());
        assert_eq!((p.stripes, p.group), (64, true));
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
        let named = |group, runtime: PathText<256>| {
            let r = LegRecord {
                group,
                runtime,
                ..r.clone()
            };
            LegRecord::parse(r.encode().as_bytes()).is_ok()
        };
        assert!(named(false, runtime_place(true)));
        // Members of a group cannot make files in root's folder.
        assert!(!named(true, runtime_place(true)));
        let old = |pair: &[u8]| {
            let mut t = runtime_place(false);
            t.append(pair).unwrap();
            t
        };
        assert!(named(false, old(&r.pair.hex())) && !named(false, old(b"x")));
        assert!(!named(false, PathText::from_bytes(b"/etc/passwd").unwrap()));
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

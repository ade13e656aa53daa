//! A record of the kernel's half, as it stands in the ring buffer (`ebpf/layout.h` is the same, and both
//! sides check it).
use crate::Began;
use alloc::vec::Vec;
use core::mem::offset_of;
use mirror_core::{Leg, PerLeg};

/// The record's head; text follows.
#[allow(
    dead_code,
    reason = "it is read by offsets, since its bytes are of no certain alignment"
)]
#[repr(C)]
struct Head {
    kind: u32,
    flags: u32,
    time: u64,
    tgid: u32,
    tid: u32,
    uid: u32,
    parent: u32,
    comm: [u8; 16],
    nr: i32,
    mode: u32,
    result: i64,
    args: [u64; 6],
    offset: u64,
    inode: u64,
    device: u32,
    generation: u32,
    links: u32,
    leg: u8,
    held: u8,
    path: u16,
    first: u16,
    second: u16,
    rest: u32,
}
const _: () = assert!(size_of::<Head>() == 152);
const _: () = assert!(offset_of!(Head, comm) == 32);
const _: () = assert!(offset_of!(Head, args) == 64);
const _: () = assert!(offset_of!(Head, inode) == 120);
const _: () = assert!(offset_of!(Head, leg) == 140);

/// What the command tells the programs, in the words of their `struct setting`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// The dentries of the roots, of their `.mirror`, of their `.mirror/locks`, of the whole pair's lock object
    /// there: the kernel fills them in.
    pub place: [u64; 8],
    /// The legs' file systems: so too.
    pub super_block: PerLeg<u64>,
    /// The command's process.
    pub own: u32,
    /// 1 + the place whose descriptor the command unlocks next; 0 when it has been learnt.
    pub learn: u32,
    /// 0: the programs do nothing; 1: they count locks; 2: they tell.
    pub on: u32,
    /// Whether the tracepoints of change times are attached.
    pub stamps: u32,
}

impl Setting {
    /// As it lies in the map.
    pub fn words(&self) -> [u64; 12] {
        let two = |a: u32, b: u32| u64::from(a) | u64::from(b) << 32;
        let [a, b, c, d, e, f, g, h] = self.place;
        let [i, j] = [self.super_block.a, self.super_block.b];
        let (k, l) = (two(self.own, self.learn), two(self.on, self.stamps));
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    /// Out of the map.
    pub fn of(words: [u64; 12]) -> Setting {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = words;
        Setting {
            place: [a, b, c, d, e, f, g, h],
            super_block: [i, j].into(),
            own: k as u32,
            learn: (k >> 32) as u32,
            on: l as u32,
            stamps: (l >> 32) as u32,
        }
    }
}

/// What a program was started with, as the programs keep it.
pub type BeganWords = [u64; 81];

/// The same, taken apart.
pub fn began(words: &BeganWords) -> Began {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
    let part = |from: usize, to: usize| bytes.get(from..to).unwrap_or_default();
    let args = part(256, 512);
    let end = args.iter().rposition(|c| *c != 0).map_or(0, |i| i + 1);
    let all = args.get(..end).unwrap_or_default().split(|c| *c == 0);
    Began {
        file: until_nul(part(0, 256)).to_vec(),
        args: all.filter(|a| !a.is_empty()).map(<[u8]>::to_vec).collect(),
        preload: until_nul(part(512, 640)).to_vec(),
        fixed: bytes.get(640).is_some_and(|m| m & 1 != 0),
        secure: bytes.get(640).is_some_and(|m| m & 2 != 0),
    }
}

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An inode's change time was set, or a page of it became dirty.
    Touch,
    /// A system call that changes something has ended.
    Call,
}

/// Whose doing a touch was, where it was no system call: stands in [`Raw::nr`].
pub mod nr {
    /// A store into a mapping.
    pub const FAULT: i32 = -1;
    /// A thread of the kernel.
    pub const KERNEL: i32 = -2;
    /// A worker of io_uring.
    pub const RING: i32 = -3;
    /// A 32-bit call.
    pub const COMPAT: i32 = -4;
}

/// Bits of [`Raw::held`] and [`Raw::flags`].
pub mod bits {
    /// Locks on both legs.
    pub const HELD_BOTH: u8 = 3;
    /// The whole pair's, on both legs.
    pub const HELD_WHOLE: u8 = 12;
    /// It is the parent that holds them.
    pub const HELD_BY_PARENT: u8 = 16;
    /// An open made the file.
    pub const CREATED: u32 = 1;
    /// The path is deeper or longer than a record: its upper end is missing.
    pub const CUT: u32 = 2;
    /// An open emptied the file.
    pub const TRUNCATED: u32 = 4;
    /// A directory outside of the legs was touched by the call as well.
    pub const OUTSIDE: u32 = 8;
    /// [`Raw::inode`](super::Raw::inode) has been written on both legs by the same thread, and this leg came
    /// second; nobody was told.
    pub const FOLLOWS: u32 = 16;
    /// The change was about to be made: nobody knows whether it was.
    pub const TRIED: u32 = 32;
}

/// A thread as the programs know it: what it writes on one leg waits there for the same on the other one.
pub type ThreadWords = [u64; 62];

/// Where a thread's words say that its change waits still.
const WAITS: usize = 491;
/// Where its path stands.
const THREAD_TEXT: usize = size_of::<Head>();

/// The write of a thread that waits for its match, as a record.
pub fn waiting(words: &ThreadWords) -> Option<Raw> {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
    (*bytes.get(WAITS)? != 0).then_some(())?;
    Raw::parse(bytes.get(..THREAD_TEXT + 256)?)
}

/// A record, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// What it tells.
    pub kind: Kind,
    /// [`bits`].
    pub flags: u32,
    /// CLOCK_MONOTONIC, nanoseconds.
    pub time: u64,
    /// The process.
    pub tgid: u32,
    /// The thread.
    pub tid: u32,
    /// Its real user.
    pub uid: u32,
    /// Its parent process.
    pub parent: u32,
    /// Its name, without NULs.
    pub comm: Vec<u8>,
    /// The call, or one of [`nr`].
    pub nr: i32,
    /// The object's type and mode.
    pub mode: u32,
    /// What the call returned.
    pub result: i64,
    /// Its arguments.
    pub args: [u64; 6],
    /// Where the written bytes begin.
    pub offset: u64,
    /// The object.
    pub inode: u64,
    /// Its file system's device, in the kernel's form.
    pub device: u32,
    /// Its generation: a number may come again.
    pub generation: u32,
    /// How many names it has.
    pub links: u32,
    /// Which leg it lies in.
    pub leg: Leg,
    /// [`bits`].
    pub held: u8,
    /// Its path below the leg's root.
    pub rel: Vec<u8>,
    /// The paths as the program gave them.
    pub names: [Vec<u8>; 2],
}

impl Raw {
    /// Reads a record; None: it is none.
    pub fn parse(bytes: &[u8]) -> Option<Raw> {
        let text = bytes.get(size_of::<Head>()..)?;
        let u16_at = |at| {
            bytes
                .get(at..at + 2)?
                .try_into()
                .ok()
                .map(u16::from_ne_bytes)
        };
        let u32_at = |at| {
            bytes
                .get(at..at + 4)?
                .try_into()
                .ok()
                .map(u32::from_ne_bytes)
        };
        let u64_at = |at| {
            bytes
                .get(at..at + 8)?
                .try_into()
                .ok()
                .map(u64::from_ne_bytes)
        };
        let kind = match u32_at(offset_of!(Head, kind))? {
            1 => Kind::Touch,
            2 => Kind::Call,
            _ => return None,
        };
        let path = usize::from(u16_at(offset_of!(Head, path))?);
        let first = usize::from(u16_at(offset_of!(Head, first))?);
        let second = usize::from(u16_at(offset_of!(Head, second))?);
        let mut args = [0; 6];
        for (i, a) in args.iter_mut().enumerate() {
            *a = u64_at(offset_of!(Head, args) + 8 * i)?;
        }
        let comm = offset_of!(Head, comm);
        let leg = Leg::from_number(*bytes.get(offset_of!(Head, leg))?)?;
        Some(Raw {
            kind,
            flags: u32_at(offset_of!(Head, flags))?,
            time: u64_at(offset_of!(Head, time))?,
            tgid: u32_at(offset_of!(Head, tgid))?,
            tid: u32_at(offset_of!(Head, tid))?,
            uid: u32_at(offset_of!(Head, uid))?,
            parent: u32_at(offset_of!(Head, parent))?,
            comm: until_nul(bytes.get(comm..comm + 16)?).to_vec(),
            nr: u32_at(offset_of!(Head, nr))? as i32,
            mode: u32_at(offset_of!(Head, mode))?,
            result: u64_at(offset_of!(Head, result))? as i64,
            args,
            offset: u64_at(offset_of!(Head, offset))?,
            inode: u64_at(offset_of!(Head, inode))?,
            device: u32_at(offset_of!(Head, device))?,
            generation: u32_at(offset_of!(Head, generation))?,
            links: u32_at(offset_of!(Head, links))?,
            leg,
            held: *bytes.get(offset_of!(Head, held))?,
            rel: upwards(text.get(..path)?)?,
            names: if path == 0 {
                [
                    until_nul(text.get(..first)?).to_vec(),
                    until_nul(text.get(first..first + second)?).to_vec(),
                ]
            } else {
                [Vec::new(), Vec::new()]
            },
        })
    }

    /// Whether the object is a directory.
    pub fn is_dir(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }
}

fn until_nul(b: &[u8]) -> &[u8] {
    b.split(|c| *c == 0).next().unwrap_or_default()
}

/// A path from its names, the last one first, each with a NUL. None: one of them is no name.
fn upwards(text: &[u8]) -> Option<Vec<u8>> {
    let mut rel = Vec::with_capacity(text.len());
    for name in text.split(|c| *c == 0).rev().filter(|n| !n.is_empty()) {
        is_name(name).then_some(())?;
        if !rel.is_empty() {
            rel.push(b'/');
        }
        rel.extend_from_slice(name);
    }
    Some(rel)
}

/// Whether these bytes can be what an object is called in its directory.
pub(crate) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn what_a_program_was_started_with() {
        let mut bytes = [0; 648];
        bytes[..7].copy_from_slice(b"/bin/sh");
        bytes[256..263].copy_from_slice(b"sh\0-c\0x");
        bytes[512..515].copy_from_slice(b"a.s");
        bytes[640] = 2;
        let mut words = [0; 81];
        for (w, b) in words.iter_mut().zip(bytes.chunks(8)) {
            *w = u64::from_ne_bytes(b.try_into().unwrap());
        }
        let b = began(&words);
        assert_eq!(
            (&b.file[..], &b.preload[..]),
            (&b"/bin/sh"[..], &b"a.s"[..])
        );
        assert_eq!(b.args, [&b"sh"[..], b"-c", b"x"]);
        assert!(b.secure && !b.fixed);
    }

    #[test]
    fn a_write_that_waits_is_a_record() {
        let mut words = [0; 62];
        words[0] = 2;
        words[WAITS / 8] = 1 << (8 * (WAITS % 8));
        let raw = waiting(&words).unwrap();
        assert_eq!((raw.kind, &raw.rel[..]), (Kind::Call, &b""[..]));
        words[WAITS / 8] = 0;
        assert_eq!(waiting(&words), None);
    }

    #[test]
    fn a_record_says_what_was_put_into_it() {
        let mut b = vec![0; size_of::<Head>()];
        b[offset_of!(Head, kind)] = 2;
        b[offset_of!(Head, nr)..][..4].copy_from_slice(&(-3i32).to_ne_bytes());
        b[offset_of!(Head, comm)..][..2].copy_from_slice(b"sh");
        b[offset_of!(Head, leg)] = 1;
        b[offset_of!(Head, path)] = 6;
        b.extend_from_slice(b"f\0d2\0\0");
        let raw = Raw::parse(&b).unwrap();
        assert_eq!(
            (raw.nr, raw.leg, &raw.rel[..]),
            (nr::RING, Leg::B, &b"d2/f"[..])
        );
        assert_eq!(raw.comm, b"sh");
        assert_eq!(Raw::parse(&b[..b.len() - 1]), None, "text is missing");
        b[offset_of!(Head, leg)] = 2;
        assert_eq!(Raw::parse(&b), None, "no such leg");
    }
}

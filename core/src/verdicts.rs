//! Which files make system calls by instructions of their own: one sorted file of verdicts, written by the
//! command, mapped and searched by the library. Described in docs/FORMATS.md.
//!
//! Rules of this file: no allocation; nothing of the file is trusted: every access is bounded, the header
//! and the one entry that answers are checked by their sums, and what cannot be told is
//! [`Verdict::Unknown`].
//!
//! ```text
//! 0    8  magic "MIRRVRD\x01"
//! 8    4  version (1)
//! 12   4  number of entries
//! 16   4  CRC-32 of the 16 bytes before
//! 20  12  zeros
//! 32      entries of 48 bytes, ascending by build-id, its length, size of the text:
//!         0  32  build-id, zero padded
//!         32  8  size of the executable text: the p_filesz of all executable PT_LOADs together
//!         40  1  length of the build-id
//!         41  1  verdict: 1 clean, 2 has its own, 3 unknown
//!         42  2  zeros
//!         44  4  CRC-32 of the 44 bytes before
//! ```
use crate::record::crc32;

/// First eight bytes of the file.
pub const MAGIC: [u8; 8] = *b"MIRRVRD\x01";
/// The one version this code reads and writes. A change of what the verdicts mean is a new version.
pub const VERSION: u32 = 1;
/// Bytes before the first entry.
pub const HEADER: usize = 32;
/// Bytes of an entry.
pub const ENTRY: usize = 48;
/// Most entries of a file.
pub const MOST: usize = 1 << 16;
/// The file's name in a folder of prepared images.
pub const NAME: &[u8] = b"verdicts";
/// The shortest and longest build-ids that are a key. Others are never found.
pub const BUILD_ID: core::ops::RangeInclusive<usize> = 8..=32;
const KEY: usize = 41;

/// What is known of a file's executable text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has no instruction that makes a system call.
    Clean,
    /// It has one.
    Own,
    /// Not known: never looked at, or not to be settled.
    Unknown,
}

impl Verdict {
    fn number(self) -> u8 {
        match self {
            Verdict::Clean => 1,
            Verdict::Own => 2,
            Verdict::Unknown => 3,
        }
    }
    fn from_number(n: u8) -> Option<Verdict> {
        [Verdict::Clean, Verdict::Own, Verdict::Unknown]
            .into_iter()
            .find(|v| v.number() == n)
    }
}

/// What an entry is found by, in the order of the file; `None` for a build-id that cannot be one.
pub fn key(build_id: &[u8], text: u64) -> Option<[u8; KEY]> {
    if !BUILD_ID.contains(&build_id.len()) {
        return None;
    }
    let mut k = [0u8; KEY];
    let length = [build_id.len() as u8];
    // Big-endian here, so that the order of bytes is that of numbers.
    let parts = [(0, build_id), (32, &length), (33, &text.to_be_bytes())];
    for (at, part) in parts {
        for (d, s) in k.iter_mut().skip(at).zip(part) {
            *d = *s;
        }
    }
    Some(k)
}

/// The header of a file of so many entries.
pub fn header(count: u32) -> [u8; HEADER] {
    let mut h = [0u8; HEADER];
    put(&mut h, 0, &MAGIC);
    put(&mut h, 8, &VERSION.to_le_bytes());
    put(&mut h, 12, &count.to_le_bytes());
    let sum = h.get(..16).map_or(0, crc32);
    put(&mut h, 16, &sum.to_le_bytes());
    h
}

/// One entry; `None` for a build-id that cannot be a key.
pub fn entry(build_id: &[u8], text: u64, verdict: Verdict) -> Option<[u8; ENTRY]> {
    key(build_id, text)?;
    let mut e = [0u8; ENTRY];
    put(&mut e, 0, build_id);
    put(&mut e, 32, &text.to_le_bytes());
    put(&mut e, 40, &[build_id.len() as u8, verdict.number()]);
    let sum = e.get(..44).map_or(0, crc32);
    put(&mut e, 44, &sum.to_le_bytes());
    Some(e)
}

/// The number of entries, of a header that is whole.
pub fn count(head: &[u8; HEADER]) -> Option<usize> {
    let count = u32::from_le_bytes(*head.get(12..)?.first_chunk()?);
    let n = usize::try_from(count).ok().filter(|n| *n <= MOST)?;
    (*head == header(count)).then_some(n)
}

/// The entries of a file whose header is whole; none of them has been looked at.
pub fn entries(file: &[u8]) -> Option<&[u8]> {
    let count = count(file.first_chunk()?)?;
    file.get(HEADER..HEADER.checked_add(count.checked_mul(ENTRY)?)?)
}

/// Build-id, size of the text and verdict of one whole entry.
pub fn read(e: &[u8]) -> Option<(&[u8], u64, Verdict)> {
    let body = e.get(..44)?;
    if e.get(44..ENTRY)? != crc32(body).to_le_bytes() {
        return None;
    }
    let id = body.get(..usize::from(*body.get(40)?))?;
    let text = u64::from_le_bytes(*body.get(32..)?.first_chunk()?);
    Some((id, text, Verdict::from_number(*body.get(41)?)?))
}

/// The file's own word on a build-id and a size of text; `None`: it has none.
pub fn find(file: &[u8], build_id: &[u8], text: u64) -> Option<Verdict> {
    let all = entries(file)?;
    let wanted = key(build_id, text)?;
    let (mut low, mut high) = (0usize, all.len() / ENTRY);
    while low < high {
        let middle = low.wrapping_add(high.wrapping_sub(low) / 2);
        let e = all.get(middle.checked_mul(ENTRY)?..)?.get(..ENTRY)?;
        match place(e)?.cmp(&wanted) {
            core::cmp::Ordering::Less => low = middle.wrapping_add(1),
            core::cmp::Ordering::Greater => high = middle,
            core::cmp::Ordering::Equal => return read(e).map(|(_, _, v)| v),
        }
    }
    None
}

/// Entries that are read at a time by [`find_by_reading`].
pub const WINDOW: usize = 40;

/// The same of a file of `count` entries that is not mapped: `read` fills the buffer with the entries from
/// the given one on. Build-ids are random numbers, so the first of these windows is mostly the last.
pub fn find_by_reading(
    count: usize,
    build_id: &[u8],
    text: u64,
    mut read_at: impl FnMut(usize, &mut [u8]) -> Option<()>,
) -> Option<Verdict> {
    let wanted = key(build_id, text)?;
    let (mut low, mut high) = (0usize, count);
    let part = u32::from_be_bytes(*build_id.first_chunk()?) as usize;
    let mut guess = (part.checked_mul(count)? >> 32).saturating_sub(WINDOW / 2);
    let mut tries = 0u32;
    let mut buffer = [0u8; WINDOW * ENTRY];
    while low < high {
        let n = high.saturating_sub(low).min(WINDOW);
        let start = guess.max(low).min(high.saturating_sub(n));
        let window = buffer.get_mut(..n.checked_mul(ENTRY)?)?;
        read_at(start, window)?;
        let (all, _) = window.as_chunks::<ENTRY>();
        if wanted < place(all.first()?)? {
            high = start;
            guess = start.saturating_sub(WINDOW);
        } else if wanted > place(all.last()?)? {
            low = start.saturating_add(n);
            guess = low;
        } else {
            let here = all.iter().find(|e| place(*e) == Some(wanted))?;
            return read(here).map(|(_, _, v)| v);
        }
        tries = tries.saturating_add(1);
        if tries > 2 {
            guess = low.midpoint(high).saturating_sub(WINDOW / 2);
        }
    }
    None
}

/// What the library asks: a miss, a damaged file and a damaged entry are [`Verdict::Unknown`].
pub fn verdict(file: &[u8], build_id: &[u8], text: u64) -> Verdict {
    find(file, build_id, text).unwrap_or(Verdict::Unknown)
}

/// Where an entry stands in the order.
fn place(e: &[u8]) -> Option<[u8; KEY]> {
    let mut k = [0u8; KEY];
    put(&mut k, 0, e.get(..32)?);
    put(&mut k, 32, e.get(40..41)?);
    let text = u64::from_le_bytes(*e.get(32..)?.first_chunk()?);
    put(&mut k, 33, &text.to_be_bytes());
    Some(k)
}

fn put(to: &mut [u8], at: usize, bytes: &[u8]) {
    for (d, s) in to.iter_mut().skip(at).zip(bytes) {
        *d = *s;
    }
}

/// Bytes of a program header (struct Elf64_Phdr).
pub const PHDR: usize = 56;
const PT_LOAD: u32 = 1;
const PF_X: u32 = 1;

/// The size of the executable text, of a file's program headers: what an entry is found by.
pub fn text_size(phdrs: &[u8]) -> u64 {
    let word = |h: &[u8], at: usize| {
        h.get(at..)
            .and_then(|b| b.first_chunk())
            .map_or(0, |b| u32::from_le_bytes(*b))
    };
    let size = |h: &[u8]| {
        let executable = word(h, 0) == PT_LOAD && word(h, 4) & PF_X != 0;
        executable.then(|| u64::from(word(h, 32)) | u64::from(word(h, 36)) << 32)
    };
    phdrs
        .chunks_exact(PHDR)
        .filter_map(size)
        .fold(0, u64::wrapping_add)
}

/// The GNU build-id among the notes of one PT_NOTE segment.
pub fn build_id(mut notes: &[u8]) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    let word = |b: &[u8], at: usize| Some(u32::from_le_bytes(*b.get(at..)?.first_chunk()?));
    let padded = |n: u32| (n as usize).checked_add(3).map(|n| n & !3);
    loop {
        let (name, content) = (word(notes, 0)?, word(notes, 4)?);
        let at = padded(name)?.checked_add(12)?;
        if word(notes, 8)? == NT_GNU_BUILD_ID && notes.get(12..16)? == b"GNU\0" && name == 4 {
            return notes.get(at..at.checked_add(content as usize)?);
        }
        notes = notes.get(at.checked_add(padded(content)?)?..)?;
    }
}

#[cfg(test)]
#[path = "verdicts_tests.rs"]
mod tests;

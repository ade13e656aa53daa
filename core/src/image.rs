//! The prepared text image of a libc: the file format that `mirror` writes and `libmirror.so` maps.
//!
//! Rules of this file: plain little-endian encoding, no allocation, nothing read is trusted before
//! [`Header::decode`] accepted it; an unknown version is refused. Described in docs/FORMATS.md.
//!
//! ```text
//! 0      8  magic "MIRRTXT\x01"
//! 8      4  version (9)
//! 12     4  length of the header that follows the checksums' rule (bytes hashed)
//! 16     8  FNV-1a 64 of the header, this field read as zero
//! 24     8  FNV-1a 64 of the text that follows the header page
//! 32     8  vaddr of the executable segment's first page in libc
//! 40     8  length of that segment, whole pages
//! 48     8  offset of the text in this file (4096)
//! 56     8  vaddr of three unused 8-byte words at the end of libc's last .bss page:
//!           the addresses of `common`, `common_exit` and `after_clone`
//! 64     4  sites wanted      68  4  sites patched      72  4  syscall sites in libc
//! 76     2  build-id length   78  2  number of patched pages
//! 80    32  build-id, zero padded
//! 112    8  vaddr of a `syscall; ret` in a leaf function of libc, 0: none
//! 120    8  vaddr of libc's signal trampoline (`mov $15,%rax; syscall`), 0: none
//! 128    8  vaddr of the gate for clones (`syscall; jmp *after_clone`), 0: none
//! 136    8  hash of the table of calls that the sites were chosen by (`calls::HASH`)
//! 144  2*n  patched pages, as page numbers within the segment, ascending
//! ```
pub use crate::fnv::{FNV_START, fnv1a};

/// First eight bytes of an image.
pub const MAGIC: [u8; 8] = *b"MIRRTXT\x01";
/// The one version this code reads and writes.
pub const VERSION: u32 = 9;
/// The header is one page; the text follows it.
pub const HEADER_LEN: usize = 4096;
/// Page size of the format (x86-64).
pub const PAGE: u64 = 4096;
/// Longest build-id.
pub const MAX_BUILD_ID: usize = 32;
/// Most pages that one image may have patched.
pub const MAX_PAGES: usize = 1024;
const FIXED: usize = 144;

/// Why a header was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// Shorter than it says.
    Short,
    /// Not an image.
    Magic,
    /// Written by another version.
    Version(u32),
    /// Its sites were chosen by another table of calls.
    Calls,
    /// Damaged.
    Checksum,
    /// A field that cannot be.
    Field,
}

/// The header of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Build-id bytes, [`Header::build_id_len`] of them valid.
    pub build_id: [u8; MAX_BUILD_ID],
    /// Length of the build-id.
    pub build_id_len: usize,
    /// First page of the executable segment, relative to libc's load address.
    pub text_vaddr: u64,
    /// Length of the executable segment in bytes, whole pages.
    pub text_len: u64,
    /// Where the text begins in the image file.
    pub text_offset: u64,
    /// Address (relative to the load address) of the three pointer words.
    pub ptr_vaddr: u64,
    /// Where system call user dispatch lets the library make its calls (all three 0: it cannot be used
    /// with this libc): a `syscall; ret`, the signal trampoline, the gate for clones.
    pub net: [u64; 3],
    /// FNV-1a 64 of the text.
    pub text_sum: u64,
    /// Sites whose number is wanted.
    pub wanted: u32,
    /// Sites that got a jump.
    pub patched: u32,
    /// All `syscall` instructions.
    pub sites: u32,
    /// Number of valid entries in `pages`.
    pub page_count: usize,
    /// Pages of the segment that differ from libc's own.
    pub pages: [u16; MAX_PAGES],
}

impl Default for Header {
    fn default() -> Self {
        Header {
            build_id: [0; MAX_BUILD_ID],
            build_id_len: 0,
            text_vaddr: 0,
            text_len: 0,
            text_offset: HEADER_LEN as u64,
            ptr_vaddr: 0,
            net: [0; 3],
            text_sum: 0,
            wanted: 0,
            patched: 0,
            sites: 0,
            page_count: 0,
            pages: [0; MAX_PAGES],
        }
    }
}

fn get<const N: usize>(b: &[u8], at: usize) -> Option<[u8; N]> {
    b.get(at..at.checked_add(N)?)?.try_into().ok()
}
fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    get(b, at).map(u16::from_le_bytes)
}
fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    get(b, at).map(u32::from_le_bytes)
}
fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    get(b, at).map(u64::from_le_bytes)
}
fn put(b: &mut [u8], at: usize, v: &[u8]) {
    if let Some(d) = b.get_mut(at..at.saturating_add(v.len())) {
        for (d, s) in d.iter_mut().zip(v) {
            *d = *s;
        }
    }
}

fn header_sum(b: &[u8], used: usize) -> Option<u64> {
    let s = fnv1a(FNV_START, b.get(..16)?);
    let s = fnv1a(s, &[0; 8]);
    Some(fnv1a(s, b.get(24..used)?))
}

impl Header {
    /// The build-id's bytes.
    pub fn build_id(&self) -> &[u8] {
        self.build_id.get(..self.build_id_len).unwrap_or(&[])
    }

    /// The numbers of the patched pages.
    pub fn pages(&self) -> &[u16] {
        self.pages.get(..self.page_count).unwrap_or(&[])
    }

    /// Writes the header page; `false` if a field does not fit the format.
    pub fn encode(&self, out: &mut [u8; HEADER_LEN]) -> bool {
        if self.page_count > MAX_PAGES || self.build_id_len > MAX_BUILD_ID || !self.plausible() {
            return false;
        }
        let used = FIXED + 2 * self.page_count;
        for b in out.iter_mut() {
            *b = 0;
        }
        put(out, 0, &MAGIC);
        put(out, 8, &VERSION.to_le_bytes());
        put(out, 12, &(used as u32).to_le_bytes());
        put(out, 24, &self.text_sum.to_le_bytes());
        put(out, 32, &self.text_vaddr.to_le_bytes());
        put(out, 40, &self.text_len.to_le_bytes());
        put(out, 48, &self.text_offset.to_le_bytes());
        put(out, 56, &self.ptr_vaddr.to_le_bytes());
        put(out, 64, &self.wanted.to_le_bytes());
        put(out, 68, &self.patched.to_le_bytes());
        put(out, 72, &self.sites.to_le_bytes());
        put(out, 76, &(self.build_id_len as u16).to_le_bytes());
        put(out, 78, &(self.page_count as u16).to_le_bytes());
        put(out, 80, self.build_id());
        for (i, v) in self.net.iter().enumerate() {
            put(out, 112 + 8 * i, &v.to_le_bytes());
        }
        put(out, 136, &crate::calls::HASH.to_le_bytes());
        for (i, p) in self.pages().iter().enumerate() {
            put(out, FIXED + 2 * i, &p.to_le_bytes());
        }
        let Some(sum) = header_sum(out, used) else {
            return false;
        };
        put(out, 16, &sum.to_le_bytes());
        true
    }

    /// Reads a header page; everything in it is checked.
    pub fn decode(b: &[u8]) -> Result<Header, ImageError> {
        let short = ImageError::Short;
        if b.get(..8).ok_or(short)? != MAGIC {
            return Err(ImageError::Magic);
        }
        let version = u32_at(b, 8).ok_or(short)?;
        if version != VERSION {
            return Err(ImageError::Version(version));
        }
        let used = u32_at(b, 12).ok_or(short)? as usize;
        if !(FIXED..=HEADER_LEN).contains(&used) {
            return Err(ImageError::Field);
        }
        if header_sum(b, used).ok_or(short)? != u64_at(b, 16).ok_or(short)? {
            return Err(ImageError::Checksum);
        }
        if u64_at(b, 136).ok_or(short)? != crate::calls::HASH {
            return Err(ImageError::Calls);
        }
        let mut h = Header {
            build_id: get(b, 80).ok_or(short)?,
            build_id_len: usize::from(u16_at(b, 76).ok_or(short)?),
            text_vaddr: u64_at(b, 32).ok_or(short)?,
            text_len: u64_at(b, 40).ok_or(short)?,
            text_offset: u64_at(b, 48).ok_or(short)?,
            ptr_vaddr: u64_at(b, 56).ok_or(short)?,
            net: [
                u64_at(b, 112).ok_or(short)?,
                u64_at(b, 120).ok_or(short)?,
                u64_at(b, 128).ok_or(short)?,
            ],
            text_sum: u64_at(b, 24).ok_or(short)?,
            wanted: u32_at(b, 64).ok_or(short)?,
            patched: u32_at(b, 68).ok_or(short)?,
            sites: u32_at(b, 72).ok_or(short)?,
            page_count: usize::from(u16_at(b, 78).ok_or(short)?),
            pages: [0; MAX_PAGES],
        };
        if h.page_count > MAX_PAGES
            || h.build_id_len > MAX_BUILD_ID
            || used != FIXED + 2 * h.page_count
        {
            return Err(ImageError::Field);
        }
        for i in 0..h.page_count {
            if let (Some(d), Some(v)) = (h.pages.get_mut(i), u16_at(b, FIXED + 2 * i)) {
                *d = v;
            }
        }
        if h.plausible() {
            Ok(h)
        } else {
            Err(ImageError::Field)
        }
    }

    /// All three places of the net in the text, or none.
    fn net_is_plausible(&self) -> bool {
        let inside = |v: &u64| {
            let room = self.text_len.checked_sub(16);
            v.checked_sub(self.text_vaddr)
                .is_some_and(|at| room.is_some_and(|room| at <= room))
        };
        self.net == [0; 3] || self.net.iter().all(inside)
    }

    fn plausible(&self) -> bool {
        const LIMIT: u64 = 1 << 30;
        let pages = self.text_len / PAGE;
        self.text_vaddr.is_multiple_of(PAGE)
            && self.text_len.is_multiple_of(PAGE)
            && self.text_offset == HEADER_LEN as u64
            && self.text_vaddr < LIMIT
            && self.text_len > 0
            && self.text_len < LIMIT
            && self.ptr_vaddr < LIMIT
            && self.ptr_vaddr.is_multiple_of(8)
            && (8..=MAX_BUILD_ID).contains(&self.build_id_len)
            && self.pages().iter().all(|p| u64::from(*p) < pages)
            && self.net_is_plausible()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        let mut h = Header {
            build_id_len: 20,
            text_vaddr: 0x26000,
            text_len: 0x156000,
            ptr_vaddr: 0x1e1fe8,
            net: [0x26000, 0x30000, 0x17bff0],
            text_sum: 7,
            wanted: 5,
            patched: 4,
            sites: 526,
            page_count: 2,
            ..Header::default()
        };
        h.build_id[..20].copy_from_slice(&[9; 20]);
        h.pages[..2].copy_from_slice(&[3, 0x155]);
        h
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut page = [0; HEADER_LEN];
        assert!(sample().encode(&mut page));
        assert_eq!(Header::decode(&page), Ok(sample()));
    }

    #[test]
    fn every_damaged_byte_is_refused() {
        let mut page = [0; HEADER_LEN];
        assert!(sample().encode(&mut page));
        for i in 0..FIXED + 4 {
            let mut bad = page;
            bad[i] ^= 0x40;
            assert!(Header::decode(&bad).is_err(), "byte {i}");
        }
        assert_eq!(Header::decode(&page[..FIXED]), Err(ImageError::Short));
    }

    #[test]
    fn another_table_of_calls_is_refused() {
        let mut page = [0; HEADER_LEN];
        assert!(sample().encode(&mut page));
        page[136] ^= 1;
        let used = u32_at(&page, 12).unwrap() as usize;
        let sum = header_sum(&page, used).unwrap();
        put(&mut page, 16, &sum.to_le_bytes());
        assert_eq!(Header::decode(&page), Err(ImageError::Calls));
    }

    #[test]
    fn what_cannot_be_is_neither_written_nor_read() {
        let mut page = [0; HEADER_LEN];
        for bad in [
            Header {
                text_vaddr: 1,
                ..sample()
            },
            Header {
                text_len: 0,
                ..sample()
            },
            Header {
                page_count: MAX_PAGES + 1,
                ..sample()
            },
            Header {
                build_id_len: 4,
                ..sample()
            },
        ] {
            assert!(!bad.encode(&mut page));
        }
    }
}

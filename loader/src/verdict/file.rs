//! As much of an ELF file as is needed to find its verdict: read piece by piece, since most files need no
//! more.
use mirror_core::verdicts::{self, PHDR};
use object::elf::{EM_X86_64, ET_DYN, ET_EXEC, PT_NOTE};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// What a verdict is found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The GNU build-id.
    pub build_id: Vec<u8>,
    /// Size of the executable text.
    pub text: u64,
}

/// One executable segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub address: u64,
    pub offset: u64,
    pub size: u64,
    pub writable: bool,
}

/// The head of a 64-bit x86-64 program or library.
#[derive(Debug)]
pub struct Head {
    pub key: Option<Key>,
    pub segments: Vec<Segment>,
}

const PT_LOAD: u64 = 1;
const PF_X: u64 = 1;
const PF_W: u64 = 2;
/// More is no head that a linker wrote.
const LARGEST: usize = 1 << 20;

/// A little-endian number; 0 beyond the end.
pub fn number(b: &[u8], at: usize, n: usize) -> u64 {
    b.get(at..at + n)
        .map_or(0, |s| s.iter().rev().fold(0, |v, x| v << 8 | u64::from(*x)))
}

/// A piece of the file; `None`: it ends before, or the piece is too large.
pub fn piece(f: &File, at: u64, len: u64, largest: usize) -> io::Result<Option<Vec<u8>>> {
    let Some(len) = usize::try_from(len).ok().filter(|n| *n <= largest) else {
        return Ok(None);
    };
    let mut b = vec![0; len];
    match f.read_exact_at(&mut b, at) {
        Ok(()) => Ok(Some(b)),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

/// The program headers' bytes, whole entries; `None`: no program or library of this machine.
pub fn headers(f: &File) -> io::Result<Option<Vec<u8>>> {
    let Some(h) = piece(f, 0, 64, LARGEST)? else {
        return Ok(None);
    };
    let kind = number(&h, 16, 2);
    let fits = h.starts_with(b"\x7fELF\x02\x01")
        && number(&h, 18, 2) == u64::from(EM_X86_64.0)
        && (kind == u64::from(ET_DYN.0) || kind == u64::from(ET_EXEC.0))
        && number(&h, 54, 2) == PHDR as u64;
    if !fits {
        return Ok(None);
    }
    piece(
        f,
        number(&h, 32, 8),
        number(&h, 56, 2) * PHDR as u64,
        LARGEST,
    )
}

impl Head {
    /// Reads it; `None`: no program or library of this machine, or one without text.
    pub fn read(f: &File) -> io::Result<Option<Head>> {
        let Some(headers) = headers(f)? else {
            return Ok(None);
        };
        let (mut segments, mut id) = (Vec::new(), None);
        for h in headers.chunks_exact(PHDR) {
            let (kind, flags) = (number(h, 0, 4), number(h, 4, 4));
            let (offset, size) = (number(h, 8, 8), number(h, 32, 8));
            if kind == PT_LOAD && flags & PF_X != 0 {
                segments.push(Segment {
                    address: number(h, 16, 8),
                    offset,
                    size,
                    writable: flags & PF_W != 0,
                });
            } else if kind == u64::from(PT_NOTE.0) && id.is_none() {
                let notes = piece(f, offset, size, LARGEST)?.unwrap_or_default();
                id = verdicts::build_id(&notes).map(<[u8]>::to_vec);
            }
        }
        let text = verdicts::text_size(&headers);
        let key = id
            .filter(|id| verdicts::key(id, text).is_some())
            .map(|build_id| Key { build_id, text });
        Ok((!segments.is_empty()).then_some(Head { key, segments }))
    }
}

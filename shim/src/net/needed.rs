//! Whether a process needs the net: does anything that it has loaded make system calls by instructions of
//! its own?
//!
//! Rules of this file: verdicts come from the command's files, two at most, which stay mapped. At boot, a
//! file without a verdict is searched if it is small, and taken for one with calls of its own otherwise.
//! Later, other threads may unload what is looked at: no more is read than the notes, page by page.
use crate::cell::BootCell;
use crate::program::elf;
use crate::program::files::{self, Fd, Folders};
use crate::program::info::BootInfo;
use crate::user;
use core::sync::atomic::{AtomicUsize, Ordering};
use libc as c;
use mirror_core::verdicts::{self, PHDR, Verdict};
use mirror_sys as sys;

/// The largest text that is searched. A larger one costs more than the net does at the start of a program.
const LARGEST: u64 = 256 << 10;
/// struct Elf64_Phdr: type at 0, flags at 4, vaddr at 16, filesz at 32.
type Header = [u8; PHDR];

/// What was there at boot.
struct Known {
    verdicts: [&'static [u8]; 2],
    /// ld.so's `_r_debug`, and the last entry of its list. That one is never unloaded.
    debug: usize,
    last: usize,
}

#[unsafe(link_section = ".data.boot")]
static KNOWN: BootCell<Known> = BootCell::new(Known {
    verdicts: [&[]; 2],
    debug: 0,
    last: 0,
});
/// What stood behind the last entry when the list was looked at, and its end then.
#[unsafe(link_section = ".data.boot")]
static SEEN: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// Looks at everything that is loaded at boot.
pub fn at_boot(b: &BootInfo, folders: &mut Folders<'_>) -> bool {
    // SAFETY: boot runs alone.
    let known = unsafe { KNOWN.boot_mut() };
    // What is read here touches no page of the mappings.
    let mut files: [Option<(Fd, usize)>; 2] = [None, None];
    for (which, (k, file)) in known.verdicts.iter_mut().zip(&mut files).enumerate() {
        let Some((fd, mapped)) = folders.get(which, b.euid).and_then(|f| f.verdicts(b.euid)) else {
            continue;
        };
        *k = mapped;
        let mut head = [0; verdicts::HEADER];
        if files::read_at(&fd, &mut head, 0) {
            *file = verdicts::count(&head).map(|n| (fd, n));
        }
    }
    let find = |id: &[u8], text: u64| {
        files.iter().flatten().find_map(|(fd, count)| {
            verdicts::find_by_reading(*count, id, text, |first, out| {
                let at = first.checked_mul(verdicts::ENTRY)?;
                files::read_at(fd, out, at.checked_add(verdicts::HEADER)?).then_some(())
            })
        })
    };
    known.debug = b.debug;
    let skipped = [
        b.auxv(c::AT_BASE as usize),
        b.auxv(c::AT_SYSINFO_EHDR as usize),
        b.libc_base,
    ];
    let mut entry = Some(b.maps);
    let mut program = true;
    while let Some(m) = entry {
        let own = m.dynamic() == crate::arch::gates::find_dynamic();
        let calls = match program {
            true => program_headers(b, m.base()).is_none_or(|l| l.makes_calls(find)),
            false if own || skipped.contains(&m.base()) => false,
            false => library_headers(m.base()).is_none_or(|l| l.makes_calls(find)),
        };
        if calls {
            return true;
        }
        program = false;
        known.last = m.address();
        entry = m.next();
    }
    false
}

/// One loaded file.
struct Loaded {
    base: usize,
    headers: &'static [u8],
}

/// The program itself, by the kernel's pointer to its headers.
fn program_headers(b: &BootInfo, base: usize) -> Option<Loaded> {
    let at = b.auxv(c::AT_PHDR as usize);
    let n = b.auxv(c::AT_PHNUM as usize).min(64);
    if at == 0 || b.auxv(c::AT_PHENT as usize) != PHDR {
        return None;
    }
    // SAFETY: the kernel's pointer to `n` headers, mapped with the program.
    let headers = unsafe { core::slice::from_raw_parts(at as *const u8, n.wrapping_mul(PHDR)) };
    let loaded = Loaded { base, headers };
    // They are ld.so's own when it was started by hand.
    let here = |h: &Header| word(h, 0) as u32 == c::PT_PHDR && base.wrapping_add(word(h, 16)) == at;
    let whose = loaded.each().any(here);
    whose.then_some(loaded)
}

/// A library whose first segment holds its ELF header.
fn library_headers(base: usize) -> Option<Loaded> {
    if !sys::readable(base) {
        return None;
    }
    // SAFETY: the page has just been found readable; ld.so has read the headers there.
    let headers = unsafe { elf::headers(base) }?;
    Some(Loaded { base, headers })
}

fn word(h: &Header, at: usize) -> usize {
    let b = h.get(at..).and_then(|b| b.first_chunk());
    b.map_or(0, |b| u64::from_le_bytes(*b) as usize)
}

impl Loaded {
    fn each(&self) -> impl Iterator<Item = &Header> {
        self.headers.as_chunks::<PHDR>().0.iter()
    }

    /// A segment's bytes in memory.
    fn bytes(&self, h: &Header) -> &[u8] {
        let (at, len) = (self.base.wrapping_add(word(h, 16)), word(h, 32));
        // The headers' page has been found readable.
        if at >> 12 != self.headers.as_ptr().addr() >> 12 && !sys::readable(at) {
            return &[];
        }
        // SAFETY: ld.so has mapped the file's segment there; its first page has been found readable.
        unsafe { core::slice::from_raw_parts(at as *const u8, len) }
    }

    /// What the files say, asked by build-id and size of text; `None`: nothing.
    fn verdict(&self, find: impl Fn(&[u8], u64) -> Option<Verdict>) -> Option<Verdict> {
        let text = verdicts::text_size(self.headers);
        let mut notes = self.each().filter(|h| word(h, 0) as u32 == c::PT_NOTE);
        let id = notes.find_map(|h| verdicts::build_id(self.bytes(h)))?;
        find(id, text)
    }

    fn makes_calls(&self, find: impl Fn(&[u8], u64) -> Option<Verdict>) -> bool {
        match self.verdict(find) {
            Some(v) => v != Verdict::Clean,
            None if verdicts::text_size(self.headers) > LARGEST => true,
            None => self.each().any(|h| self.has_candidate(h)),
        }
    }

    fn has_candidate(&self, h: &Header) -> bool {
        let (kind, flags) = (word(h, 0) as u32, (word(h, 0) >> 32) as u32);
        if kind != c::PT_LOAD || flags & c::PF_X == 0 {
            return false;
        }
        flags & c::PF_R == 0 || has_candidate(self.bytes(h))
    }
}

/// Whether the bytes of `syscall`, `sysenter` or `int 0x80` stand anywhere. Eight at a time: few words have
/// a first byte of one.
#[cold]
#[inline(never)]
fn has_candidate(text: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let has = |w: u64, b: u8| {
        let x = w ^ ONES.wrapping_mul(u64::from(b));
        x.wrapping_sub(ONES) & !x & (ONES << 7) != 0
    };
    let pair = |a: u8, b: u8| matches!((a, b), (0x0f, 0x05 | 0x34) | (0xcd, 0x80));
    let (words, rest) = text.as_chunks::<8>();
    let mut before = 0u8;
    for bytes in words {
        let w = u64::from_le_bytes(*bytes);
        if pair(before, w as u8) {
            return true;
        }
        if (has(w, 0x0f) || has(w, 0xcd))
            && bytes
                .windows(2)
                .any(|p| matches!(p, [a, b] if pair(*a, *b)))
        {
            return true;
        }
        before = (w >> 56) as u8;
    }
    for b in rest {
        if pair(before, *b) {
            return true;
        }
        before = *b;
    }
    false
}

fn mapped(id: &[u8], text: u64) -> Option<Verdict> {
    let files = &KNOWN.get().verdicts;
    files.iter().find_map(|f| verdicts::find(f, id, text))
}

/// Whether something has been loaded since, and makes calls of its own as far as is known.
#[inline(never)]
pub fn later() -> bool {
    let known = KNOWN.get();
    // SAFETY: ld.so's variable (a version first), and an entry of its list that was there at boot: both are
    // never unmapped.
    let (version, now) = unsafe {
        let next = known.last.wrapping_add(24) as *const usize;
        (
            (known.debug as *const u32).read_volatile(),
            next.read_volatile(),
        )
    };
    // Another namespace (dlmopen) has a libc of its own; ld.so then counts its version up.
    if version > 1 {
        return true;
    }
    let [first, end] = [0, 1].map(|i| SEEN.get(i).map_or(0, |s| s.load(Ordering::Relaxed)));
    let next = |entry: usize| user::word(entry.wrapping_add(24)).map(|v| v as usize);
    if now == first && (end == 0 || next(end) == Some(0)) {
        return false;
    }
    let (mut entry, mut last) = (now, 0);
    for _ in 0..4096 {
        if entry == 0 {
            break;
        }
        let clean = user::word(entry)
            .and_then(|base| library_headers(base as usize))
            .and_then(|l| l.verdict(mapped));
        if clean != Some(Verdict::Clean) {
            return true;
        }
        last = entry;
        match next(entry) {
            Some(n) => entry = n,
            None => return true,
        }
    }
    for (s, v) in SEEN.iter().zip([now, last]) {
        s.store(v, Ordering::Relaxed);
    }
    false
}

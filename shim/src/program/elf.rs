//! ld.so's list of libraries and libc's headers in memory.
//!
//! Rules of this file: reads memory that ld.so owns, at boot only; checks before it believes.
use mirror_core::image::{MAX_BUILD_ID, PAGE};
use mirror_core::program::{ENTRY, needs_library};

/// An entry of ld.so's list (struct link_map: l_addr, l_name, l_ld, l_next).
#[derive(Clone, Copy)]
pub struct LinkMap(*const [usize; 4]);

impl LinkMap {
    /// The first entry, from `_r_debug` (r_map is its second word).
    ///
    /// # Safety
    /// `debug` is the address of ld.so's `_r_debug`.
    pub unsafe fn first(debug: usize) -> LinkMap {
        // SAFETY: the caller's promise.
        LinkMap(unsafe { *(debug as *const [usize; 2]) }[1] as *const [usize; 4])
    }

    /// The first entry from here on for which `f` holds.
    pub fn find(self, f: impl Fn(LinkMap) -> bool) -> Option<LinkMap> {
        let mut m = self;
        while !m.0.is_null() {
            if f(m) {
                return Some(m);
            }
            m = LinkMap(m.word(3) as *const [usize; 4]);
        }
        None
    }

    /// The entry behind it.
    pub fn next(self) -> Option<LinkMap> {
        let next = self.word(3);
        (next != 0).then_some(LinkMap(next as *const [usize; 4]))
    }

    /// Its own address.
    pub fn address(self) -> usize {
        self.0.addr()
    }

    fn word(self, n: usize) -> usize {
        // SAFETY: entries of ld.so's list stay while their libraries are loaded.
        unsafe { *self.0 }.get(n).copied().unwrap_or(0)
    }

    /// Load address.
    pub fn base(self) -> usize {
        self.word(0)
    }

    /// Path, a C string.
    pub fn name(self) -> *const u8 {
        self.word(1) as *const u8
    }

    /// Address of the dynamic section.
    pub fn dynamic(self) -> usize {
        self.word(2)
    }

    /// Whether it names a library that it needs.
    pub fn needs_library(self) -> bool {
        let mut at = self.dynamic();
        loop {
            // SAFETY: the dynamic section that ld.so reads too; it ends with DT_NULL.
            let entry = unsafe { *(at as *const [u8; ENTRY]) };
            if let Some(answer) = needs_library(&entry) {
                return answer;
            }
            at = at.wrapping_add(ENTRY);
        }
    }

    /// Is the last part of its path `libc.so.6`?
    pub fn is_libc(self) -> bool {
        if self.name().is_null() {
            return false;
        }
        // SAFETY: l_name is a C string.
        let name = unsafe { core::ffi::CStr::from_ptr(self.name().cast()) }.to_bytes();
        name == b"libc.so.6" || name.ends_with(b"/libc.so.6")
    }
}

/// ld.so in memory, with its table of symbols.
pub struct Linker {
    base: usize,
    symbols: usize,
    strings: usize,
    hash: usize,
}

/// Pages that are looked at for ld.so's header: a few times its size.
const LOOK_BACK: usize = 512;
const DT_STRTAB: usize = 5;
const DT_SYMTAB: usize = 6;
const DT_GNU_HASH: usize = 0x6fff_fef5;

impl Linker {
    /// The library that an address of code lies in, if it is ld.so.
    ///
    /// # Safety
    /// `code` lies in a loaded library whose parts follow each other without a hole.
    pub unsafe fn around(code: usize) -> Option<Linker> {
        let mut base = code & !(PAGE as usize - 1);
        for _ in 0..LOOK_BACK {
            if !mirror_sys::readable(base) {
                return None;
            }
            // SAFETY: the page has just been found readable.
            if unsafe { *(base as *const [u8; 6]) } == *b"\x7fELF\x02\x01" {
                // SAFETY: a loaded library's header.
                return unsafe { Linker::at(base) };
            }
            base = base.checked_sub(PAGE as usize)?;
        }
        None
    }

    /// # Safety
    /// A library is loaded at `base`.
    unsafe fn at(base: usize) -> Option<Linker> {
        // SAFETY: the caller's promise.
        let dynamic = unsafe { phdrs(base) }?
            .iter()
            .find(|p| p.kind == libc::PT_DYNAMIC)?
            .vaddr;
        let mut entry = base.wrapping_add(dynamic as usize);
        let mut found = Linker {
            base,
            symbols: 0,
            strings: 0,
            hash: 0,
        };
        loop {
            // SAFETY: the dynamic section is loaded and ends with a tag 0.
            let [tag, value] = unsafe { *(entry as *const [usize; 2]) };
            // Some versions of ld.so have made absolute addresses of theirs, some have not.
            let at = if value < base {
                base.wrapping_add(value)
            } else {
                value
            };
            match tag {
                0 => break,
                DT_STRTAB => found.strings = at,
                DT_SYMTAB => found.symbols = at,
                DT_GNU_HASH => found.hash = at,
                _ => {}
            }
            entry = entry.wrapping_add(16);
        }
        (found.symbols != 0 && found.strings != 0 && found.hash != 0).then_some(found)
    }

    /// The address of a variable that it defines.
    pub fn variable(&self, name: &[u8]) -> Option<usize> {
        // SAFETY: all words read here lie in the hash table, whose form is given: four numbers, the bloom
        // filter of 8-byte words, the buckets, the chains. A chain ends with an odd word.
        let word = |at: usize, i: usize| unsafe { *(at as *const u32).wrapping_add(i) };
        let number = |i: usize| word(self.hash, i) as usize;
        let (count, first, bloom) = (number(0), number(1), number(2));
        let buckets = self
            .hash
            .wrapping_add(16)
            .wrapping_add(bloom.wrapping_mul(8));
        let chains = buckets.wrapping_add(count.wrapping_mul(4));
        let h = name.iter().fold(5381u32, |h, &b| {
            h.wrapping_mul(33).wrapping_add(u32::from(b))
        });
        let mut i = word(buckets, (h as usize).checked_rem(count)?) as usize;
        loop {
            let c = word(chains, i.checked_sub(first)?);
            if c | 1 == h | 1 {
                let at = self.symbols.wrapping_add(i.wrapping_mul(24));
                // SAFETY: struct Elf64_Sym: name, info, other, section (together 8 bytes), value, size; the
                // name is a C string in the table of strings.
                let (head, value, text) = unsafe {
                    let [head, value, _] = *(at as *const [u64; 3]);
                    let text = self.strings.wrapping_add(head as u32 as usize);
                    (head, value, core::ffi::CStr::from_ptr(text as *const _))
                };
                if text.to_bytes() == name && head >> 48 != 0 {
                    return Some(self.base.wrapping_add(value as usize));
                }
            }
            if c & 1 != 0 {
                return None;
            }
            i = i.wrapping_add(1);
        }
    }
}

/// What boot needs to know of libc.
pub struct Libc {
    build_id: [u8; MAX_BUILD_ID],
    build_id_len: usize,
    /// First page of the executable segment, relative.
    pub text_vaddr: u64,
    /// Its whole pages.
    pub text_len: u64,
    /// End of .bss, relative.
    pub bss_end: u64,
}

impl Libc {
    /// The build-id's bytes.
    pub fn build_id(&self) -> &[u8] {
        self.build_id.get(..self.build_id_len).unwrap_or(&[])
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Phdr {
    kind: u32,
    flags: u32,
    offset: u64,
    vaddr: u64,
    paddr: u64,
    filesz: u64,
    memsz: u64,
    align: u64,
}

/// The program headers of a loaded library.
///
/// # Safety
/// A library whose first segment holds its ELF header is loaded at `base`.
unsafe fn phdrs<'a>(base: usize) -> Option<&'a [Phdr]> {
    // SAFETY: the caller's promise; the header is 64 bytes.
    let head = unsafe { core::slice::from_raw_parts(base as *const u8, 64) };
    if head.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let phoff = u64::from_le_bytes(head.get(32..40)?.try_into().ok()?) as usize;
    let count = u16::from_le_bytes(head.get(56..58)?.try_into().ok()?).min(64);
    // SAFETY: the program headers lie in the first segment too (ld.so itself read them there).
    Some(unsafe {
        core::slice::from_raw_parts(base.wrapping_add(phoff) as *const Phdr, usize::from(count))
    })
}

/// The program headers of a loaded library, as bytes.
///
/// # Safety
/// As for [`phdrs`].
pub unsafe fn headers<'a>(base: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    let all = unsafe { phdrs(base) }?;
    // SAFETY: the same bytes; a header has no padding.
    Some(unsafe { core::slice::from_raw_parts(all.as_ptr().cast(), size_of_val(all)) })
}

/// Reads the headers of a loaded library.
///
/// # Safety
/// As for [`phdrs`].
pub unsafe fn read(base: usize) -> Option<Libc> {
    // SAFETY: the caller's promise.
    let phdrs = unsafe { phdrs(base) }?;
    let mut libc = Libc {
        build_id: [0; MAX_BUILD_ID],
        build_id_len: 0,
        text_vaddr: 0,
        text_len: 0,
        bss_end: 0,
    };
    for p in phdrs {
        match p.kind {
            libc::PT_LOAD if p.flags & libc::PF_X != 0 => {
                libc.text_vaddr = p.vaddr / PAGE * PAGE;
                libc.text_len = p
                    .vaddr
                    .wrapping_add(p.memsz)
                    .next_multiple_of(PAGE)
                    .wrapping_sub(libc.text_vaddr);
            }
            libc::PT_LOAD if p.flags & libc::PF_W != 0 => {
                libc.bss_end = libc.bss_end.max(p.vaddr.wrapping_add(p.memsz));
            }
            libc::PT_NOTE => {
                // SAFETY: a PT_NOTE segment lies inside a loaded one.
                let notes = unsafe {
                    core::slice::from_raw_parts(
                        base.wrapping_add(p.vaddr as usize) as *const u8,
                        p.memsz as usize,
                    )
                };
                find_build_id(notes, &mut libc);
            }
            _ => {}
        }
    }
    (libc.text_len > 0 && libc.bss_end > 0).then_some(libc)
}

/// Notes: name size, data size, type, name, data, each padded to 4.
fn find_build_id(mut notes: &[u8], libc: &mut Libc) -> Option<()> {
    loop {
        let word =
            |at: usize| Some(u32::from_le_bytes(notes.get(at..at + 4)?.try_into().ok()?) as usize);
        let (name, size, kind) = (word(0)?, word(4)?, word(8)?);
        let data = 12usize.checked_add(name.checked_next_multiple_of(4)?)?;
        let desc = notes.get(data..data.checked_add(size)?)?;
        if kind == 3 && notes.get(12..16) == Some(b"GNU\0") && size <= MAX_BUILD_ID {
            for (d, s) in libc.build_id.iter_mut().zip(desc) {
                *d = *s;
            }
            libc.build_id_len = size;
            return Some(());
        }
        notes = notes.get(data.checked_add(size.checked_next_multiple_of(4)?)?..)?;
    }
}

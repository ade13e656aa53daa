//! What the preparer needs to know of a libc's ELF file.
//!
//! Rules of this file: only reads; everything is bounds-checked; a file that is not a plain x86-64
//! glibc is refused with a reason.
use std::collections::BTreeSet;

use mirror_core::image::{MAX_BUILD_ID, PAGE};
use object::elf;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, Rela, Sym};
use object::{Endianness, Pod};

use super::kinds::Error;

type Ehdr = elf::FileHeader64<Endianness>;
type Phdr = elf::ProgramHeader64<Endianness>;

/// One libc, parsed.
pub struct Libc<'a> {
    /// The whole file.
    pub data: &'a [u8],
    /// GNU build-id.
    pub build_id: Vec<u8>,
    /// First page of the executable segment (relative address).
    pub text_vaddr: u64,
    /// End of its bytes in the file (relative address, not rounded).
    pub text_end: u64,
    /// File offset of `text_vaddr`.
    pub text_file: u64,
    /// Whole pages of the executable segment.
    pub text_len: u64,
    /// Address of the three free words at the end of the last .bss page.
    pub ptr_vaddr: u64,
    /// Starts of functions (from the unwind table), ascending.
    pub functions: Vec<u64>,
    /// Other code addresses that the file names: symbols, relocations.
    pub entries: BTreeSet<u64>,
    /// Read-only data segments: (address, bytes).
    pub rodata: Vec<(u64, &'a [u8])>,
}

/// What the library's pointers need behind .bss.
const WORDS: u64 = 24;

fn bad(why: impl Into<String>) -> Error {
    Error::Unsuitable(why.into())
}

fn le_u32(b: &[u8], at: u64) -> Option<u32> {
    let at = usize::try_from(at).ok()?;
    Some(u32::from_le_bytes(
        b.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}
fn le_u64(b: &[u8], at: u64) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    Some(u64::from_le_bytes(
        b.get(at..at.checked_add(8)?)?.try_into().ok()?,
    ))
}

impl<'a> Libc<'a> {
    /// Parses a libc.so.6.
    // long: one table after the other, each checked before it is read
    pub fn parse(data: &'a [u8]) -> Result<Libc<'a>, Error> {
        let head =
            Ehdr::parse(data).map_err(|_| bad("not an ELF file of this machine's word size"))?;
        let en = head.endian().map_err(|_| bad("unknown byte order"))?;
        if head.e_machine(en) != elf::EM_X86_64
            || head.e_type(en) != elf::ET_DYN
            || !head.is_little_endian()
        {
            return Err(bad("not an x86-64 shared library"));
        }
        if !data.windows(13).any(|w| w == b"GNU C Library") {
            return Err(bad("not glibc"));
        }
        let phdrs = head
            .program_headers(en, data)
            .map_err(|_| bad("no program headers"))?;
        let loads: Vec<&Phdr> = phdrs
            .iter()
            .filter(|p| p.p_type(en) == elf::PT_LOAD)
            .collect();
        let exec: Vec<&&Phdr> = loads
            .iter()
            .filter(|p| p.p_flags(en).0 & elf::PF_X.0 != 0)
            .collect();
        let [text] = exec[..] else {
            return Err(bad("not exactly one executable segment"));
        };
        if text.p_flags(en).0 & elf::PF_W.0 != 0 {
            return Err(bad("the executable segment is writable"));
        }
        let base = text.p_vaddr(en) / PAGE * PAGE;
        let text_file = text.p_offset(en) / PAGE * PAGE;
        let text_end = text.p_vaddr(en) + text.p_filesz(en);
        if text.p_memsz(en) != text.p_filesz(en)
            || text.p_vaddr(en) - base != text.p_offset(en) - text_file
        {
            return Err(bad("an unusual executable segment"));
        }
        let text_len = (text_end - base).next_multiple_of(PAGE);
        let next = loads
            .iter()
            .map(|p| p.p_vaddr(en))
            .filter(|v| *v >= text_end)
            .min();
        if next.is_some_and(|n| n / PAGE * PAGE < base + text_len) {
            return Err(bad("the executable segment shares its last page"));
        }
        let ptr_vaddr = Self::pointer_place(en, &loads)?;
        let mut this = Libc {
            data,
            build_id: Self::build_id(en, data, phdrs).ok_or_else(|| bad("no build-id"))?,
            text_vaddr: base,
            text_end,
            text_file,
            text_len,
            ptr_vaddr,
            functions: Vec::new(),
            entries: BTreeSet::new(),
            rodata: Vec::new(),
        };
        for p in &loads {
            if p.p_flags(en).0 & (elf::PF_X.0 | elf::PF_W.0) == 0 {
                let bytes = p
                    .data(en, data)
                    .map_err(|()| bad("a segment lies outside the file"))?;
                this.rodata.push((p.p_vaddr(en), bytes));
            }
        }
        this.read_functions(en, phdrs)?;
        this.read_entries(en, phdrs, &loads)?;
        Ok(this)
    }

    /// The last 24 bytes of the last page of the last writable segment, if .bss leaves them free.
    fn pointer_place(en: Endianness, loads: &[&Phdr]) -> Result<u64, Error> {
        let last = loads
            .iter()
            .max_by_key(|p| p.p_vaddr(en))
            .ok_or_else(|| bad("no segments"))?;
        let (end, file_end) = (
            last.p_vaddr(en) + last.p_memsz(en),
            last.p_vaddr(en) + last.p_filesz(en),
        );
        let page_end = end.next_multiple_of(PAGE);
        if last.p_flags(en).0 & elf::PF_W.0 == 0
            || page_end - end < WORDS
            || file_end > page_end - WORDS
        {
            return Err(bad("no free words behind .bss"));
        }
        Ok(page_end - WORDS)
    }

    fn build_id(en: Endianness, data: &[u8], phdrs: &[Phdr]) -> Option<Vec<u8>> {
        for p in phdrs {
            let Ok(Some(mut notes)) = p.notes(en, data) else {
                continue;
            };
            while let Ok(Some(n)) = notes.next() {
                if n.name() == elf::ELF_NOTE_GNU && n.n_type(en) == elf::NT_GNU_BUILD_ID {
                    let id = n.desc();
                    return (8..=MAX_BUILD_ID).contains(&id.len()).then(|| id.to_vec());
                }
            }
        }
        None
    }

    /// The bytes of the executable segment.
    pub fn text(&self) -> Result<&'a [u8], Error> {
        let from = self.text_file as usize;
        let to = from + (self.text_end - self.text_vaddr) as usize;
        self.data
            .get(from..to)
            .ok_or_else(|| bad("the text lies outside the file"))
    }

    /// Is this address in the executable segment?
    pub fn in_text(&self, a: u64) -> bool {
        (self.text_vaddr..self.text_end).contains(&a)
    }

    /// Start addresses from .eh_frame_hdr's sorted table (eh_frame_ptr, fde_count, then pairs).
    fn read_functions(&mut self, en: Endianness, phdrs: &[Phdr]) -> Result<(), Error> {
        let hdr = phdrs
            .iter()
            .find(|p| p.p_type(en) == elf::PT_GNU_EH_FRAME)
            .ok_or_else(|| bad("no unwind table"))?;
        let b = hdr
            .data(en, self.data)
            .map_err(|()| bad("bad unwind table"))?;
        // version 1, pcrel|sdata4, udata4, datarel|sdata4: what every linker writes
        if b.get(..4) != Some(&[1, 0x1b, 0x03, 0x3b]) {
            return Err(bad("an unusual unwind table"));
        }
        let count = le_u32(b, 8).ok_or_else(|| bad("bad unwind table"))?;
        for i in 0..u64::from(count) {
            let rel = le_u32(b, 12 + 8 * i).ok_or_else(|| bad("bad unwind table"))? as i32;
            let start = hdr.p_vaddr(en).wrapping_add_signed(i64::from(rel));
            if self.in_text(start) {
                self.functions.push(start);
            }
        }
        self.functions.sort_unstable();
        self.functions.dedup();
        Ok(())
    }

    /// Code addresses named by dynamic symbols and by relative relocations (RELA and RELR).
    fn read_entries(
        &mut self,
        en: Endianness,
        phdrs: &[Phdr],
        loads: &[&Phdr],
    ) -> Result<(), Error> {
        let dynamic = phdrs
            .iter()
            .find_map(|p| p.dynamic(en, self.data).ok().flatten())
            .ok_or_else(|| bad("no dynamic section"))?;
        let tag = |t: elf::DynamicTag| {
            dynamic
                .iter()
                .find(|d| d.d_tag(en) == t)
                .map(|d| d.d_val(en))
        };
        let at = |v: u64| {
            let p = loads
                .iter()
                .find(|p| (p.p_vaddr(en)..p.p_vaddr(en) + p.p_filesz(en)).contains(&v))?;
            Some(v - p.p_vaddr(en) + p.p_offset(en))
        };
        let mut found = Vec::new();
        if let (Some(v), Some(size)) = (tag(elf::DT_RELA), tag(elf::DT_RELASZ)) {
            for r in slice::<elf::Rela64<Endianness>>(self.data, at(v), size / 24)? {
                found.push(r.r_addend(en) as u64);
            }
        }
        if let (Some(v), Some(size)) = (tag(elf::DT_JMPREL), tag(elf::DT_PLTRELSZ)) {
            for r in slice::<elf::Rela64<Endianness>>(self.data, at(v), size / 24)? {
                found.push(r.r_addend(en) as u64);
            }
        }
        if let (Some(v), Some(size)) = (tag(elf::DT_RELR), tag(elf::DT_RELRSZ)) {
            let words = at(v).ok_or_else(|| bad("bad relocation table"))?;
            let mut place = 0;
            for i in 0..size / 8 {
                let w =
                    le_u64(self.data, words + 8 * i).ok_or_else(|| bad("bad relocation table"))?;
                if w & 1 == 0 {
                    found.extend(at(w).and_then(|o| le_u64(self.data, o)));
                    place = w + 8;
                } else {
                    for bit in 0..63 {
                        if w >> (bit + 1) & 1 == 1 {
                            found.extend(at(place + 8 * bit).and_then(|o| le_u64(self.data, o)));
                        }
                    }
                    place += 63 * 8;
                }
            }
        }
        // The number of symbols is not in the dynamic section; .dynstr follows .dynsym everywhere.
        if let (Some(sym), Some(end)) = (tag(elf::DT_SYMTAB), tag(elf::DT_STRTAB)) {
            for s in
                slice::<elf::Sym64<Endianness>>(self.data, at(sym), end.saturating_sub(sym) / 24)?
            {
                found.push(s.st_value(en));
            }
        }
        self.entries.extend(
            found
                .into_iter()
                .filter(|a| (self.text_vaddr..self.text_end).contains(a)),
        );
        self.entries.insert(head_entry(self.data, en));
        Ok(())
    }
}

fn head_entry(data: &[u8], en: Endianness) -> u64 {
    Ehdr::parse(data).map_or(0, |h| h.e_entry(en))
}

fn slice<T: Pod>(data: &[u8], at: Option<u64>, count: u64) -> Result<&[T], Error> {
    at.and_then(|o| data.get(usize::try_from(o).ok()?..))
        .and_then(|b| object::pod::slice_from_bytes(b, usize::try_from(count).ok()?).ok())
        .map(|(s, _)| s)
        .ok_or_else(|| bad("bad dynamic tables"))
}

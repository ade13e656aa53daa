//! The judgement: a search for bytes, then a look at the functions that have them.
//!
//! Rules of this file: see the module. A function is what the unwind table or a symbol with a size says;
//! it is decoded from its start to its end.
use super::file::{self, Head, Segment};
use gimli::{BaseAddresses, CieOrFde, EhFrame, LittleEndian, UnwindSection};
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};
use mirror_core::verdicts::Verdict;
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;

/// No text is larger than this.
const LARGEST: usize = 1 << 31;
/// No function with candidates is decoded beyond this.
const LONGEST: u64 = 16 << 20;

/// The verdict on a file.
pub fn verdict(f: &File, head: &Head) -> io::Result<Verdict> {
    // What can be written may become an instruction later.
    let mut certain = head.segments.iter().all(|s| !s.writable);
    let mut texts = Vec::new();
    for s in &head.segments {
        match file::piece(f, s.offset, s.size, LARGEST)? {
            Some(bytes) => texts.push((*s, bytes)),
            None => certain = false,
        }
    }
    let found: Vec<u64> = texts
        .iter()
        .flat_map(|(s, bytes)| candidates(bytes).map(|at| s.address.wrapping_add(at as u64)))
        .collect();
    if !found.is_empty() {
        let size = f.metadata()?.len();
        let data = file::piece(f, 0, size, LARGEST)?.unwrap_or_default();
        let functions = functions(&data, &found);
        match look(&texts, &found, &functions) {
            Verdict::Own => return Ok(Verdict::Own),
            Verdict::Unknown => certain = false,
            Verdict::Clean => {}
        }
    }
    Ok(if certain {
        Verdict::Clean
    } else {
        Verdict::Unknown
    })
}

/// Where the bytes of `syscall`, `sysenter` or `int 0x80` begin.
pub fn candidates(text: &[u8]) -> impl Iterator<Item = usize> + '_ {
    text.windows(2)
        .enumerate()
        .filter(|(_, w)| matches!(w, [0x0f, 0x05] | [0x0f, 0x34] | [0xcd, 0x80]))
        .map(|(at, _)| at)
}

/// The functions that the candidates (ascending in each segment) lie in, by their starts.
fn functions(data: &[u8], found: &[u64]) -> BTreeMap<u64, u64> {
    let mut out = BTreeMap::new();
    let Ok(elf) = ElfFile64::<object::LittleEndian>::parse(data) else {
        return out;
    };
    let mut sorted = found.to_vec();
    sorted.sort_unstable();
    let mut add = |f: Range<u64>| {
        let next = sorted.partition_point(|a| *a < f.start);
        if sorted.get(next).is_some_and(|a| *a < f.end) {
            let end = out.entry(f.start).or_insert(f.end);
            *end = f.end.max(*end);
        }
    };
    if let Some(section) = elf.section_by_name(".eh_frame")
        && let Ok(bytes) = section.data()
    {
        let frames = EhFrame::new(bytes, LittleEndian);
        let text = elf.section_by_name(".text").map_or(0, |s| s.address());
        let got = elf.section_by_name(".got").map_or(0, |s| s.address());
        let bases = BaseAddresses::default()
            .set_eh_frame(section.address())
            .set_text(text)
            .set_got(got);
        let mut entries = frames.entries(&bases);
        // What comes behind an entry that cannot be read is not known.
        while let Ok(Some(entry)) = entries.next() {
            if let CieOrFde::Fde(partial) = entry
                && let Ok(f) = partial.parse(EhFrame::cie_from_offset)
            {
                let start = f.initial_address();
                add(start..start.saturating_add(f.len()));
            }
        }
    }
    for s in elf.symbols().chain(elf.dynamic_symbols()) {
        if s.kind() == SymbolKind::Text && s.is_definition() && s.size() > 0 {
            add(s.address()..s.address().saturating_add(s.size()));
        }
    }
    out
}

/// Looks at every candidate's function.
fn look(texts: &[(Segment, Vec<u8>)], found: &[u64], functions: &BTreeMap<u64, u64>) -> Verdict {
    let mut seen: BTreeMap<u64, Decoded> = BTreeMap::new();
    let mut all = Verdict::Clean;
    for at in found {
        // Functions may contain one another (a symbol within an unwind entry): any of them will do.
        let around = functions
            .range(..=*at)
            .rev()
            .take(16)
            .filter(|(_, end)| *at + 1 < **end);
        let mut certain = false;
        for (start, end) in around {
            let d = seen
                .entry(*start)
                .or_insert_with(|| decode(texts, *start..*end));
            if d.own {
                return Verdict::Own;
            }
            certain |= *at < d.until;
        }
        if !certain {
            all = Verdict::Unknown;
        }
    }
    all
}

/// What decoding a function came to.
struct Decoded {
    /// It has an instruction that makes a system call.
    own: bool,
    /// Up to here it consists of instructions.
    until: u64,
}

fn decode(texts: &[(Segment, Vec<u8>)], f: Range<u64>) -> Decoded {
    let mut out = Decoded {
        own: false,
        until: f.start,
    };
    let bytes = texts.iter().find_map(|(s, bytes)| {
        let from = usize::try_from(f.start.checked_sub(s.address)?).ok()?;
        let len = usize::try_from((f.end - f.start).min(LONGEST)).ok()?;
        bytes.get(from..from.checked_add(len)?.min(bytes.len()))
    });
    let mut decoder = Decoder::with_ip(64, bytes.unwrap_or(&[]), f.start, DecoderOptions::NONE);
    let mut i = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut i);
        match i.mnemonic() {
            Mnemonic::INVALID => break,
            Mnemonic::Syscall | Mnemonic::Sysenter => out.own = true,
            Mnemonic::Int if i.immediate8() == 0x80 => out.own = true,
            _ => {}
        }
        if out.own {
            break;
        }
        out.until = i.next_ip();
    }
    out
}

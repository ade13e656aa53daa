//! Turns a decoded libc text into a patched one.
//!
//! Rules of this file: a jump replaces whole instructions that stand directly before a `syscall`,
//! none of them a branch, none of them relative to its own address (but `lea`, which is adapted), none but
//! the first the target of a branch; the `syscall` instruction itself stays, so that a call which blocks does so at its own
//! address (cancellation, unwinding, restart). All stubs lie in the unused tail of the segment.
//!
//! ```text
//! site:  jmp stub; nop...; syscall          (5 bytes or more replaced)
//! stub:  the replaced instructions
//!        lea  (address behind the syscall)(%rip), %r11
//!        jmp  *PTR(%rip)
//! ```
//! `rcx` and `r11` are free there: the kernel overwrites both. exit_group's number is loaded far
//! above its `syscall`; its stub carries the address of the next instruction and uses PTR + 8.
use std::collections::BTreeSet;

use iced_x86::{FlowControl, InstructionInfoFactory, Mnemonic, Register};
use mirror_core::calls::{self, Call, Need};
use mirror_core::image::{FNV_START, HEADER_LEN, Header, MAX_PAGES, PAGE, fnv1a};

use super::elf::Libc;
use super::kinds::{Error, Site};
use super::scan::{Code, Number, SIGRETURN};

const JMP: usize = 5;
const STUB_FIXED: u64 = 13;
/// exit_group has a place of its own in libc.
const EXIT_GROUP: u32 = Call::ExitGroup.row().x86_64;

/// The finished image.
pub struct Image {
    /// Header fields.
    pub header: Header,
    /// The whole segment.
    pub text: Vec<u8>,
    /// Sites that stay as they are although wanted.
    pub unpatched: Vec<Site>,
    /// All patched sites.
    pub patched: Vec<Site>,
}

/// Where a jump goes: instructions `from..to` are replaced, the stub goes on at `resume`.
struct Place {
    from: usize,
    to: usize,
    resume: u64,
    exit: bool,
}

/// Patches everything that is wanted.
pub fn patch(libc: &Libc<'_>, code: &Code) -> Result<Image, Error> {
    let mut info = InstructionInfoFactory::new();
    let syscalls = code.syscalls();
    let mut places = Vec::new();
    let (mut unpatched, mut patched) = (Vec::new(), Vec::new());
    let mut refused = Vec::new();
    for &s in &syscalls {
        let number = code.number(s, &mut info);
        let Some(site) = Site::of(code.ip(s), &number) else {
            continue;
        };
        let is_exit = site.numbers.contains(&EXIT_GROUP);
        let found = match window(code, s) {
            Err(_) if is_exit => exit_place(code, s, &mut info),
            other => other,
        };
        match found {
            Ok(p) => places.push((p, site)),
            Err(why) => {
                let site = Site {
                    why: Some(why),
                    ..site
                };
                if site.required(&number) || is_exit {
                    refused.push(site.clone());
                }
                unpatched.push(site);
            }
        }
    }
    if !refused.is_empty() {
        return Err(Error::Required(refused));
    }
    for call in [Call::ExitGroup, Call::Write, Call::Openat] {
        let row = call.row();
        let nr = row.nr().unwrap_or(u32::MAX);
        if !places.iter().any(|(_, s)| s.numbers.contains(&nr)) {
            let name = row.name();
            return Err(Error::Unsuitable(format!("no site of {name} was found")));
        }
    }
    // What must be there gets the room first.
    places.sort_by_key(|(p, s)| (!p.exit, !s.certain, code.ip(p.from)));
    let mut out = Writer::new(libc)?;
    out.net(code, &syscalls, &mut info)?;
    for (place, site) in places {
        match out.apply(libc, code, &place) {
            Ok(()) => patched.push(site),
            Err(Error::NoRoom) if !site.certain => {
                unpatched.push(Site {
                    why: Some("no room"),
                    ..site
                });
            }
            Err(e) => return Err(e),
        }
    }
    out.finish(libc, syscalls.len(), patched, unpatched)
}

/// The instructions before site `s` that a jump can replace.
fn window(code: &Code, s: usize) -> Result<Place, &'static str> {
    if code.targets.contains(&code.ip(s)) {
        return Err("something jumps to the syscall instruction");
    }
    if !code.flags_dead(s) {
        return Err("flags are used behind it");
    }
    let (mut from, mut len) = (s, 0);
    while len < JMP {
        if from < s && code.targets.contains(&code.ip(from)) {
            return Err("something jumps between the instructions before it");
        }
        let before = from.checked_sub(1).ok_or("too near the start")?;
        let i = code.ins.get(before).ok_or("too near the start")?;
        if !movable(i) || i.next_ip() != code.ip(from) {
            return Err("an instruction before it cannot be moved");
        }
        len += i.len();
        from = before;
    }
    Ok(Place {
        from,
        to: s,
        resume: code.ip(s) + 2,
        exit: false,
    })
}

fn movable(i: &iced_x86::Instruction) -> bool {
    !i.is_invalid()
        && i.flow_control() == FlowControl::Next
        && (!i.is_ip_rel_memory_operand() || i.mnemonic() == Mnemonic::Lea)
        && !i.is_stack_instruction()
}

/// The bytes of instructions `from..to`, to be executed at `to_ip`: an address relative to the instruction
/// (a `lea`'s, whose distance are its last four bytes) is counted from there.
fn moved(code: &Code, old: &[u8], p: &Place, to_ip: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = old.to_vec();
    let first = code.ip(p.from);
    for i in code.ins.get(p.from..p.to).unwrap_or(&[]) {
        if !i.is_ip_rel_memory_operand() {
            continue;
        }
        let end = (i.next_ip() - first) as usize;
        let place = end.checked_sub(4).and_then(|at| bytes.get_mut(at..end));
        let new = distance(to_ip + end as u64, i.ip_rel_memory_address())?;
        place.ok_or(Error::NoRoom)?.copy_from_slice(&new);
    }
    Ok(bytes)
}

/// exit_group whose number is loaded elsewhere: the load of the constant, if every way into the
/// `syscall` passes it first and neither r11 nor the exit status (edi) is touched.
fn exit_place(
    code: &Code,
    s: usize,
    info: &mut InstructionInfoFactory,
) -> Result<Place, &'static str> {
    let f = code.function(s);
    let load = (f.start..s)
        .find(|n| {
            code.ins.get(*n).is_some_and(|i| {
                i.mnemonic() == Mnemonic::Mov
                    && i.op1_kind() == iced_x86::OpKind::Immediate32
                    && i.immediate32() == EXIT_GROUP
                    && i.len() >= JMP
            })
        })
        .ok_or("exit_group's number is not loaded in one place")?;
    let straight = code
        .ins
        .get(f.start..load)
        .is_some_and(|w| w.iter().all(|i| i.flow_control() == FlowControl::Next));
    let alone = (f.start + 1..=load).all(|n| !code.targets.contains(&code.ip(n)));
    if !straight || !alone {
        return Err("exit_group's number is loaded behind a branch");
    }
    if code.mentions(load + 1..f.end, Register::R11, info)
        || code.writes_any(f.start..s, Register::RDI, info)
    {
        return Err("exit_group's registers are in use");
    }
    Ok(Place {
        from: load,
        to: load + 1,
        resume: code.ip(load + 1),
        exit: true,
    })
}

/// The number's load, `syscall`, `ret`, and nothing else of a function: a leaf, whose frame every unwinder
/// knows.
fn gadget(code: &Code, s: usize, info: &mut InstructionInfoFactory) -> Option<u64> {
    let f = code.function(s);
    let ins = code.ins.get(f.start..s + 2)?;
    let ins = match ins {
        [first, rest @ ..] if first.mnemonic() == Mnemonic::Endbr64 => rest,
        all => all,
    };
    let [load, _, ret] = ins else { return None };
    let plain = load.mnemonic() == Mnemonic::Mov
        && matches!(code.number(s, info), Number::Known(n) if calls::row(n).is_none())
        && ret.code() == iced_x86::Code::Retnq;
    plain.then(|| code.ip(s))
}

struct Writer {
    text: Vec<u8>,
    base: u64,
    next_stub: u64,
    ptr: u64,
    pages: BTreeSet<u64>,
    net: [u64; 3],
}

impl Writer {
    fn new(libc: &Libc<'_>) -> Result<Writer, Error> {
        let mut text = libc.text()?.to_vec();
        // The tail is never reached but through stubs: traps.
        text.resize(libc.text_len as usize, 0xcc);
        Ok(Writer {
            text,
            base: libc.text_vaddr,
            next_stub: libc.text_end.next_multiple_of(16),
            ptr: libc.ptr_vaddr,
            pages: BTreeSet::new(),
            net: [0; 3],
        })
    }

    /// The places that system call user dispatch needs; a libc without them goes without it.
    fn net(
        &mut self,
        code: &Code,
        syscalls: &[usize],
        info: &mut InstructionInfoFactory,
    ) -> Result<(), Error> {
        let leaf = syscalls.iter().find_map(|s| gadget(code, *s, info));
        let trampoline = self
            .text
            .windows(SIGRETURN.len())
            .position(|w| w == SIGRETURN);
        let (Some(leaf), Some(trampoline)) = (leaf, trampoline) else {
            return Ok(());
        };
        let gate = self.next_stub;
        let mut bytes = vec![0x0f, 0x05, 0xff, 0x25];
        bytes.extend(distance(gate + 8, self.ptr + 16)?);
        self.put(gate, &bytes)?;
        self.next_stub = gate + 16;
        self.net = [leaf, self.base + trampoline as u64, gate];
        Ok(())
    }

    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<(), Error> {
        let o = at.checked_sub(self.base).ok_or(Error::NoRoom)? as usize;
        self.text
            .get_mut(o..o + bytes.len())
            .ok_or(Error::NoRoom)?
            .copy_from_slice(bytes);
        self.pages.insert(o as u64 / PAGE);
        self.pages.insert((o + bytes.len() - 1) as u64 / PAGE);
        Ok(())
    }

    fn apply(&mut self, libc: &Libc<'_>, code: &Code, p: &Place) -> Result<(), Error> {
        let (from, to) = (code.ip(p.from), code.ip(p.to));
        let stub = self.next_stub;
        let end = stub + (to - from) + STUB_FIXED;
        if end > self.base + libc.text_len {
            return Err(Error::NoRoom);
        }
        let old = self
            .text
            .get((from - self.base) as usize..(to - self.base) as usize)
            .ok_or(Error::NoRoom)?;
        let mut bytes = moved(code, old, p, stub)?;
        let ptr = if p.exit { self.ptr + 8 } else { self.ptr };
        bytes.extend([0x4c, 0x8d, 0x1d]);
        bytes.extend(distance(stub + bytes.len() as u64 + 4, p.resume)?);
        bytes.extend([0xff, 0x25]);
        bytes.extend(distance(stub + bytes.len() as u64 + 4, ptr)?);
        self.put(stub, &bytes)?;
        let mut jump = vec![0xe9];
        jump.extend(distance(from + JMP as u64, stub)?);
        // never executed; traps would read badly in a disassembly
        jump.resize((to - from) as usize, 0x90);
        self.put(from, &jump)?;
        self.next_stub = end;
        Ok(())
    }

    fn finish(
        self,
        libc: &Libc<'_>,
        sites: usize,
        patched: Vec<Site>,
        unpatched: Vec<Site>,
    ) -> Result<Image, Error> {
        if self.pages.len() > MAX_PAGES {
            return Err(Error::Unsuitable("too many patched pages".into()));
        }
        let mut header = Header {
            build_id_len: libc.build_id.len(),
            text_vaddr: libc.text_vaddr,
            text_len: libc.text_len,
            text_offset: HEADER_LEN as u64,
            ptr_vaddr: libc.ptr_vaddr,
            net: self.net,
            text_sum: fnv1a(FNV_START, &self.text),
            wanted: (patched.len() + unpatched.len()) as u32,
            patched: patched.len() as u32,
            sites: sites as u32,
            page_count: self.pages.len(),
            ..Header::default()
        };
        for (d, s) in header.build_id.iter_mut().zip(&libc.build_id) {
            *d = *s;
        }
        for (d, s) in header.pages.iter_mut().zip(&self.pages) {
            *d =
                u16::try_from(*s).map_err(|_| Error::Unsuitable("the text is too large".into()))?;
        }
        Ok(Image {
            header,
            text: self.text,
            unpatched,
            patched,
        })
    }
}

fn distance(from: u64, to: u64) -> Result<[u8; 4], Error> {
    i32::try_from(to.wrapping_sub(from).cast_signed())
        .map(i32::to_le_bytes)
        .map_err(|_| Error::NoRoom)
}

impl Site {
    /// A site that is to be patched, or `None` if its number is certainly another one.
    fn of(address: u64, number: &Number) -> Option<Site> {
        let (numbers, certain): (Vec<u32>, bool) = match number {
            Number::Known(n) => (vec![*n], true),
            Number::Maybe(set) => (set.iter().copied().collect(), false),
            Number::Dynamic => (Vec::new(), false),
        };
        let take = numbers.is_empty() || numbers.iter().any(|n| calls::row(*n).is_some());
        take.then_some(Site {
            address,
            numbers,
            certain,
            why: None,
        })
    }

    /// A computed number may be any call: glibc 2.41 sends all its cancellable ones through one site.
    fn required(&self, number: &Number) -> bool {
        match number {
            Number::Known(n) => calls::row(*n).is_some_and(|row| row.need == Need::Must),
            Number::Maybe(_) => false,
            Number::Dynamic => true,
        }
    }
}

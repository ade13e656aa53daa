//! Decodes a libc's text: instructions, branch targets, `syscall` sites and their numbers.
//!
//! Rules of this file: what is not proved is assumed to be the worse case. A possible branch target
//! is a branch target; a number that is not certain is "maybe" or unknown, never "certainly not".
use std::collections::{BTreeSet, HashMap, HashSet};

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register, RflagsBits,
};

use super::elf::Libc;
use super::kinds::Error;

/// What is known of a site's system call number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Number {
    /// Loaded as a constant just before, with no way around it.
    Known(u32),
    /// One of these constants, as far as can be seen.
    Maybe(BTreeSet<u32>),
    /// Computed, loaded from memory or an argument.
    Dynamic,
}

/// The decoded text.
pub struct Code {
    /// All instructions, ascending.
    pub ins: Vec<Instruction>,
    /// Every address that something may jump to.
    pub targets: HashSet<u64>,
    /// Targets that something else than a direct branch may reach.
    indirect: HashSet<u64>,
    /// Direct jumps to an address.
    branches: HashMap<u64, Vec<usize>>,
    functions: Vec<u64>,
}

/// `mov $15,%rax; syscall`: debuggers and unwinders know signal frames by these bytes.
pub const SIGRETURN: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];

const STATUS: u32 = RflagsBits::OF
    | RflagsBits::SF
    | RflagsBits::ZF
    | RflagsBits::AF
    | RflagsBits::CF
    | RflagsBits::PF;

impl Code {
    /// Decodes the text from function to function, so that one odd byte cannot shift the rest.
    pub fn decode(libc: &Libc<'_>) -> Result<Code, Error> {
        let text = libc.text()?;
        let mut cuts: Vec<u64> = libc.functions.clone();
        // The unwind entry of the signal trampoline begins one byte early (as gcc wants it).
        for c in &mut cuts {
            let at = (*c - libc.text_vaddr) as usize + 1;
            *c += u64::from(text.get(at..at + SIGRETURN.len()) == Some(&SIGRETURN));
        }
        let functions = cuts.clone();
        cuts.insert(0, libc.text_vaddr);
        cuts.push(libc.text_end);
        cuts.dedup();
        let mut ins: Vec<Instruction> = Vec::with_capacity(text.len() / 4);
        for w in cuts.windows(2) {
            let &[from, to] = w else { continue };
            let bytes = text
                .get((from - libc.text_vaddr) as usize..(to - libc.text_vaddr) as usize)
                .ok_or_else(|| Error::Unsuitable("the unwind table is not sorted".into()))?;
            let mut d = Decoder::with_ip(64, bytes, from, DecoderOptions::NONE);
            while d.can_decode() {
                ins.push(d.decode());
            }
        }
        let mut indirect: HashSet<u64> = libc.functions.iter().copied().collect();
        indirect.extend(&libc.entries);
        let mut branches: HashMap<u64, Vec<usize>> = HashMap::new();
        for (n, i) in ins.iter().enumerate() {
            if i.is_call_near() {
                indirect.insert(i.near_branch_target());
            } else if i.is_jcc_short_or_near()
                || i.is_jmp_short_or_near()
                || i.is_loop()
                || i.is_jcx_short()
            {
                branches.entry(i.near_branch_target()).or_default().push(n);
            }
            if i.is_ip_rel_memory_operand() {
                let a = i.ip_rel_memory_address();
                if libc.in_text(a) {
                    indirect.insert(a);
                } else if i.mnemonic() == Mnemonic::Lea {
                    jump_table(libc, a, &mut indirect);
                }
            }
        }
        let targets = indirect.iter().chain(branches.keys()).copied().collect();
        Ok(Code {
            ins,
            targets,
            indirect,
            branches,
            functions,
        })
    }

    /// Indexes of all `syscall` instructions.
    pub fn syscalls(&self) -> Vec<usize> {
        self.ins
            .iter()
            .enumerate()
            .filter(|(_, i)| i.mnemonic() == Mnemonic::Syscall)
            .map(|(n, _)| n)
            .collect()
    }

    /// Indexes of the instructions of the function (as the unwind table cuts them) around `at`.
    pub fn function(&self, at: usize) -> std::ops::Range<usize> {
        let ip = self.ip(at);
        let next = self.functions.partition_point(|f| *f <= ip);
        let start = next
            .checked_sub(1)
            .and_then(|n| self.functions.get(n))
            .copied()
            .unwrap_or(0);
        let end = self.functions.get(next).copied().unwrap_or(u64::MAX);
        let index = |a| self.ins.partition_point(|i| i.ip() < a);
        index(start)..index(end)
    }

    /// Address of an instruction.
    pub fn ip(&self, at: usize) -> u64 {
        self.ins.get(at).map_or(0, Instruction::ip)
    }

    /// The number of the call at this site: every constant that can reach its rax, followed
    /// backwards along all branches of the function.
    pub fn number(&self, site: usize, info: &mut InstructionInfoFactory) -> Number {
        let function = self.function(site);
        let mut seen = HashSet::new();
        let mut todo = vec![(site, Register::RAX)];
        let mut found = BTreeSet::new();
        let mut certain = true;
        while let Some((at, reg)) = todo.pop() {
            if !seen.insert((at, reg)) {
                continue;
            }
            if at == function.start {
                return Number::Dynamic;
            }
            let ip = self.ip(at);
            todo.extend(
                self.branches
                    .get(&ip)
                    .into_iter()
                    .flatten()
                    .filter(|n| function.contains(n))
                    .map(|n| (*n, reg)),
            );
            if self.indirect.contains(&ip) {
                match self.constants(function.clone(), reg) {
                    Some(more) => found.extend(more),
                    None => return Number::Dynamic,
                }
                certain = false;
            }
            let Some((before, i)) = at.checked_sub(1).and_then(|n| Some((n, self.ins.get(n)?)))
            else {
                break;
            };
            match i.flow_control() {
                _ if i.mnemonic() == Mnemonic::Syscall && reg != Register::RAX => {}
                FlowControl::Next | FlowControl::ConditionalBranch => {}
                FlowControl::Call | FlowControl::IndirectCall if reg == Register::RAX => {
                    return Number::Dynamic;
                }
                FlowControl::Call | FlowControl::IndirectCall if survives_calls(reg) => {}
                // A call that would destroy the register does not return here.
                _ => continue,
            }
            self.before(before, reg, info, &mut todo, &mut found, &mut certain);
            if !certain && found.is_empty() {
                return Number::Dynamic;
            }
        }
        match (found.len(), certain, found.first()) {
            (1, true, Some(n)) => Number::Known(*n),
            (0, ..) => Number::Dynamic,
            _ => Number::Maybe(found),
        }
    }

    /// One step back over instruction `at` while looking for the value of `reg`.
    fn before(
        &self,
        at: usize,
        reg: Register,
        info: &mut InstructionInfoFactory,
        todo: &mut Vec<(usize, Register)>,
        found: &mut BTreeSet<u32>,
        certain: &mut bool,
    ) {
        let Some(i) = self.ins.get(at) else { return };
        if !writes(info, i, reg) {
            todo.push((at, reg));
            return;
        }
        match source(i) {
            Some(Source::Constant(v)) => {
                found.insert(v);
            }
            Some(Source::Register(r)) => todo.push((at, r)),
            None => {
                found.clear();
                *certain = false;
            }
        }
    }

    /// All constants that this function ever loads into `reg`.
    fn constants(&self, function: std::ops::Range<usize>, reg: Register) -> Option<BTreeSet<u32>> {
        let mut all = BTreeSet::new();
        for i in self.ins.get(function).unwrap_or(&[]) {
            if i.op0_kind() == OpKind::Register
                && i.op0_register().full_register() == reg
                && let Some(Source::Constant(v)) = source(i)
            {
                all.insert(v);
            }
        }
        (!all.is_empty()).then_some(all)
    }

    /// Are the status flags dead behind this site? (The patch does not keep them.)
    pub fn flags_dead(&self, site: usize) -> bool {
        let (mut at, mut live) = (site + 1, STATUS);
        for _ in 0..64 {
            let Some(i) = self.ins.get(at) else {
                return false;
            };
            if i.rflags_read() & live != 0 {
                return false;
            }
            live &= !i.rflags_modified();
            match i.flow_control() {
                _ if live == 0 => return true,
                FlowControl::Next => at += 1,
                FlowControl::UnconditionalBranch => {
                    let to = i.near_branch_target();
                    at = self.ins.partition_point(|i| i.ip() < to);
                }
                // flags do not cross a call or return (System V ABI)
                FlowControl::Call | FlowControl::IndirectCall | FlowControl::Return => return true,
                FlowControl::Interrupt | FlowControl::Exception => return true,
                _ => return false,
            }
        }
        false
    }

    /// Does any instruction of the range mention this register?
    pub fn mentions(
        &self,
        range: std::ops::Range<usize>,
        reg: Register,
        info: &mut InstructionInfoFactory,
    ) -> bool {
        self.ins.get(range).is_none_or(|s| {
            s.iter().any(|i| {
                // the kernel's own clobbers of rcx and r11 are no use of a value
                i.mnemonic() != Mnemonic::Syscall
                    && info
                        .info(i)
                        .used_registers()
                        .iter()
                        .any(|u| u.register().full_register() == reg)
            })
        })
    }

    /// Does any instruction of the range write this register?
    pub fn writes_any(
        &self,
        range: std::ops::Range<usize>,
        reg: Register,
        info: &mut InstructionInfoFactory,
    ) -> bool {
        self.ins
            .get(range)
            .is_none_or(|s| s.iter().any(|i| writes(info, i, reg)))
    }
}

enum Source {
    Constant(u32),
    Register(Register),
}

/// Where a plain move takes its value from.
fn source(i: &Instruction) -> Option<Source> {
    if i.op0_kind() != OpKind::Register
        || !(i.op0_register().is_gpr32() || i.op0_register().is_gpr64())
    {
        return None;
    }
    match i.mnemonic() {
        Mnemonic::Mov => match i.op1_kind() {
            OpKind::Immediate32 | OpKind::Immediate32to64 | OpKind::Immediate64 => {
                u32::try_from(i.immediate(1)).ok().map(Source::Constant)
            }
            OpKind::Register => Some(Source::Register(i.op1_register().full_register())),
            _ => None,
        },
        Mnemonic::Xor | Mnemonic::Sub
            if i.op1_kind() == OpKind::Register && i.op0_register() == i.op1_register() =>
        {
            Some(Source::Constant(0))
        }
        _ => None,
    }
}

fn writes(info: &mut InstructionInfoFactory, i: &Instruction, reg: Register) -> bool {
    info.info(i).used_registers().iter().any(|u| {
        u.register().full_register() == reg
            && matches!(
                u.access(),
                OpAccess::Write
                    | OpAccess::CondWrite
                    | OpAccess::ReadWrite
                    | OpAccess::ReadCondWrite
            )
    })
}

fn survives_calls(r: Register) -> bool {
    use Register::{R12, R13, R14, R15, RBP, RBX};
    matches!(r, RBX | RBP | R12 | R13 | R14 | R15)
}

/// If `table` may be a switch table (32-bit distances from its own start), its targets.
fn jump_table(libc: &Libc<'_>, table: u64, targets: &mut HashSet<u64>) {
    let Some((start, bytes)) = libc
        .rodata
        .iter()
        .find(|(a, b)| (*a..*a + b.len() as u64).contains(&table))
    else {
        return;
    };
    if !table.is_multiple_of(4) {
        return;
    }
    let rest = bytes.get((table - start) as usize..).unwrap_or(&[]);
    for w in rest.as_chunks::<4>().0.iter().take(1024) {
        let to = table.wrapping_add_signed(i64::from(i32::from_le_bytes(*w)));
        if !libc.in_text(to) {
            break;
        }
        targets.insert(to);
    }
}

//! What a seccomp filter says of a call, before the filter holds: classic BPF over one `struct seccomp_data`.
//!
//! Rules: what cannot be told is [`KILL`], the worst; a program that jumps only forward ends by itself.

/// Longest filter that the kernel takes (BPF_MAXINSNS).
pub const LONGEST: usize = 4096;
/// SECCOMP_RET_KILL_PROCESS.
pub const KILL: u32 = 0x8000_0000;
/// The part of an answer that says what is done (SECCOMP_RET_ACTION_FULL).
const ACTION: u32 = 0xffff_0000;
const ERRNO: u32 = 0x0005_0000;
const TRAP: u32 = 0x0003_0000;
/// AUDIT_ARCH_X86_64.
const ARCH: u32 = 0xc000_003e;

/// A call as the filter sees it.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Its number.
    pub nr: u32,
    /// Address of the instruction.
    pub ip: u64,
    /// Its arguments.
    pub args: [u64; 6],
}

/// What a filter does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is made, or somebody else is asked.
    Made,
    /// It answers an error.
    Error,
    /// The thread or process ends, or gets a SIGSYS.
    Ends,
}

impl Call {
    /// struct seccomp_data: nr, arch, instruction pointer, arguments.
    fn word(&self, at: u32) -> Option<u32> {
        if !at.is_multiple_of(4) {
            return None;
        }
        let half = |v: u64| {
            if at.is_multiple_of(8) {
                v as u32
            } else {
                (v >> 32) as u32
            }
        };
        match at {
            0 => Some(self.nr),
            4 => Some(ARCH),
            8 | 12 => Some(half(self.ip)),
            _ => {
                let i = (at as usize).checked_sub(16)?.checked_div(8)?;
                self.args.get(i).map(|v| half(*v))
            }
        }
    }
}

/// What the filter `code` (each instruction as the eight bytes of its struct sock_filter) does with a call.
pub fn ask(code: &[u64], call: &Call) -> Answer {
    match run(code, call).unwrap_or(KILL) & ACTION {
        ERRNO => Answer::Error,
        // KILL_PROCESS, KILL_THREAD, TRAP.
        KILL | 0 | TRAP => Answer::Ends,
        _ => Answer::Made,
    }
}

/// Whether the filter certainly denies a call: it is not made, whatever other filters say.
pub fn denies(code: &[u64], call: &Call) -> bool {
    run(code, call).is_some_and(|v| matches!(v & ACTION, ERRNO | KILL | 0 | TRAP))
}

/// Whether the filter looks at the address of the instruction that makes a call.
pub fn asks_where(code: &[u64]) -> bool {
    code.iter()
        .any(|i| *i as u16 & 0xe7 == 0x20 && matches!(i >> 32, 8 | 12))
}

/// `None`: no filter that the kernel takes.
fn run(code: &[u64], call: &Call) -> Option<u32> {
    let (mut a, mut x) = (0u32, 0u32);
    let mut memory = [0u32; 16];
    let mut at = 0usize;
    loop {
        let insn = *code.get(at)?;
        at = at.checked_add(1)?;
        let (op, jt, jf) = (insn as u16, (insn >> 16) as u8, (insn >> 24) as u8);
        let k = (insn >> 32) as u32;
        // Bit 3 says whether the operand is the index register.
        let operand = if op & 8 != 0 { x } else { k };
        match op & 7 {
            // BPF_LD, BPF_LDX: an immediate, a word of the call, of the memory, or the length.
            load @ (0 | 1) => {
                let v = match op & 0xe0 {
                    0x00 => k,
                    0x20 if load == 0 => call.word(k)?,
                    0x60 => *memory.get(k as usize)?,
                    0x80 => 64,
                    _ => return None,
                };
                *if load == 0 { &mut a } else { &mut x } = v;
            }
            2 => *memory.get_mut(k as usize)? = a,
            3 => *memory.get_mut(k as usize)? = x,
            4 => a = arithmetic(op & 0xf0, a, operand)?,
            5 => {
                let skip = match op & 0xf0 {
                    0x00 => k as usize,
                    test => usize::from(if compare(test, a, operand)? { jt } else { jf }),
                };
                at = at.checked_add(skip)?;
            }
            6 => return Some(if op & 0x18 == 0x10 { a } else { k }),
            _ if op & 0xf8 == 0x80 => a = x,
            _ => x = a,
        }
    }
}

fn arithmetic(op: u16, a: u32, v: u32) -> Option<u32> {
    Some(match op {
        0x00 => a.wrapping_add(v),
        0x10 => a.wrapping_sub(v),
        0x20 => a.wrapping_mul(v),
        // Division by zero ends the filter with 0 (KILL_THREAD).
        0x30 => a.checked_div(v)?,
        0x40 => a | v,
        0x50 => a & v,
        0x60 => a.wrapping_shl(v),
        0x70 => a.wrapping_shr(v),
        0x80 => a.wrapping_neg(),
        0x90 => a.checked_rem(v)?,
        0xa0 => a ^ v,
        _ => return None,
    })
}

fn compare(test: u16, a: u32, v: u32) -> Option<bool> {
    Some(match test {
        0x10 => a == v,
        0x20 => a > v,
        0x30 => a >= v,
        0x40 => a & v != 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn insn(op: u16, jt: u8, jf: u8, k: u32) -> u64 {
        u64::from(op) | u64::from(jt) << 16 | u64::from(jf) << 24 | u64::from(k) << 32
    }
    fn call(nr: u32, args: [u64; 6]) -> Call {
        Call {
            nr,
            ip: 0x1234_5678_9abc,
            args,
        }
    }

    #[test]
    fn a_list_of_what_is_allowed() {
        let code = vec![
            insn(0x20, 0, 0, 4),
            insn(0x15, 1, 0, ARCH),
            insn(0x06, 0, 0, KILL),
            insn(0x20, 0, 0, 0),
            insn(0x15, 3, 0, 1),
            insn(0x15, 1, 0, 2),
            insn(0x06, 0, 0, 0x0003_0000),
            insn(0x06, 0, 0, ERRNO | 13),
            insn(0x06, 0, 0, 0x7fff_0000),
        ];
        let ask = |nr| ask(&code, &call(nr, [0; 6]));
        assert_eq!(ask(1), Answer::Made);
        assert_eq!(ask(2), Answer::Error);
        assert_eq!(ask(3), Answer::Ends);
        let denied = |nr| denies(&code, &call(nr, [0; 6]));
        assert_eq!([1, 2, 3].map(denied), [false, true, true]);
        assert!(!denies(&[], &call(1, [0; 6])));
        assert!(!asks_where(&code) && asks_where(&[insn(0x20, 0, 0, 12)]));
    }

    #[test]
    fn words_of_arguments_and_arithmetic() {
        // The upper half of the third argument, less 1, through memory, to be 6: allowed.
        let code: Vec<u64> = vec![
            insn(0x20, 0, 0, 36),
            insn(0x14, 0, 0, 1),
            insn(0x02, 0, 0, 3),
            insn(0x61, 0, 0, 3),
            insn(0x00, 0, 0, 6),
            insn(0x1d, 0, 1, 0),
            insn(0x06, 0, 0, 0x7fff_0000),
            insn(0x06, 0, 0, 0),
        ];
        let with = |v: u64| ask(&code, &call(0, [0, 0, v, 0, 0, 0]));
        assert_eq!(with(7 << 32), Answer::Made);
        assert_eq!(with(6 << 32), Answer::Ends);
    }

    #[test]
    fn what_is_no_filter_is_the_worst() {
        let all = |code: &[u64]| ask(code, &call(0, [0; 6]));
        assert_eq!(all(&[]), Answer::Ends);
        assert_eq!(all(&[insn(0x20, 0, 0, 0)]), Answer::Ends);
        assert_eq!(
            all(&[insn(0x20, 0, 0, 3), insn(0x06, 0, 0, 0x7fff_0000)]),
            Answer::Ends
        );
        assert_eq!(
            all(&[insn(0x20, 0, 0, 64), insn(0x06, 0, 0, 0x7fff_0000)]),
            Answer::Ends
        );
        assert_eq!(
            all(&[insn(0x34, 0, 0, 0), insn(0x06, 0, 0, 0x7fff_0000)]),
            Answer::Ends
        );
        assert_eq!(all(&[insn(0x05, 0, 0, u32::MAX), 0]), Answer::Ends);
        let by_value = [insn(0x00, 0, 0, 0x7fff_0000), insn(0x16, 0, 0, 0)];
        assert_eq!(all(&by_value), Answer::Made);
    }
}

//! The `syscall` instruction, x86-64: number in rax, arguments in rdi rsi rdx r10 r8 r9, result in
//! rax, rcx and r11 clobbered (syscall(2), System V ABI).
//!
//! There is one, behind [`GATE`]: under system call user dispatch all calls of this crate must be made
//! by an instruction of libc's, so the address of a `syscall; ret` is a variable.
use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering};
use mirror_core::Errno;

global_asm!(
    r#"
    .pushsection .text.mirror_own_syscall,"ax",@progbits
    .globl mirror_own_syscall
    .hidden mirror_own_syscall
    .type mirror_own_syscall,@function
    .p2align 4
mirror_own_syscall:
    .cfi_startproc
    syscall
    ret
    .cfi_endproc
    .size mirror_own_syscall, . - mirror_own_syscall
    .popsection
"#,
    options(att_syntax)
);

unsafe extern "C" {
    fn mirror_own_syscall();
}

/// Where a `syscall; ret` is: this crate's own, or libc's. Changed by [`lead_through`] alone.
#[unsafe(link_section = ".data.boot")]
pub static GATE: AtomicPtr<()> = AtomicPtr::new(mirror_own_syscall as *mut ());
/// Whether [`GATE`] leads elsewhere, so that no other instruction may be used. The kernel empties what the
/// processor knows of returns: a `syscall` in its place, with no `ret` behind it, is 20 cycles cheaper.
#[unsafe(link_section = ".data.boot")]
pub static GATED: AtomicU8 = AtomicU8::new(0);

/// All calls go through the `syscall; ret` at `gate` from now on. Who makes this thread's other calls
/// impossible calls this before; other threads may use either way.
pub fn lead_through(gate: *mut ()) {
    GATE.store(gate, Ordering::Release);
    GATED.store(1, Ordering::Release);
}

/// Turns the kernel's return value into a `Result`: −4095…−1 are errno numbers.
#[inline(always)]
pub fn ret(r: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&r) {
        Err(Errno(-r as i32))
    } else {
        Ok(r as usize)
    }
}

/// The last call that failed: number << 16 | errno. A hint: another thread's may be in its place.
#[unsafe(link_section = ".data.boot")]
static FAILED: AtomicU32 = AtomicU32::new(0);

/// As [`ret`]; a failure is remembered.
#[inline(always)]
pub(crate) fn told(nr: i64, r: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&r) {
        let errno = -r as u32;
        FAILED.store((nr as u32) << 16 | errno, Ordering::Relaxed);
    }
    ret(r)
}

/// The number of the call that has failed last, if it failed with this errno.
pub fn failed(errno: Errno) -> Option<u16> {
    let last = FAILED.load(Ordering::Relaxed);
    (last != 0 && last & 0xffff == errno.0 as u32).then_some((last >> 16) as u16)
}

macro_rules! syscalls {
    ($($name:ident($($arg:ident in $reg:tt),*);)*) => {$(
        /// One raw system call; returns the kernel's value (−errno on failure).
        ///
        /// # Safety
        /// As unsafe as the system call: pointers must be what the kernel expects for `nr`.
        #[inline(always)]
        pub unsafe fn $name(nr: i64 $(, $arg: usize)*) -> isize {
            let r: isize;
            // SAFETY: GATE leads to a `syscall; ret`, which clobbers rax, rcx, r11; what the kernel does to
            // memory is the caller's contract.
            unsafe {
                asm!("call qword ptr [rip + {gate}]", gate = sym GATE,
                     inlateout("rax") nr as isize => r, $(in($reg) $arg,)*
                     lateout("rcx") _, lateout("r11") _);
            }
            r
        }
    )*};
}

syscalls! {
    syscall0();
    syscall1(a in "rdi");
    syscall2(a in "rdi", b in "rsi");
    syscall3(a in "rdi", b in "rsi", c in "rdx");
    syscall4(a in "rdi", b in "rsi", c in "rdx", d in "r10");
    syscall5(a in "rdi", b in "rsi", c in "rdx", d in "r10", e in "r8");
    syscall6(a in "rdi", b in "rsi", c in "rdx", d in "r10", e in "r8", f in "r9");
}

macro_rules! frequent {
    ($($name:ident($($arg:ident in $reg:tt),*);)*) => {$(
        /// The same, for what is called at every change: more code, less time.
        ///
        /// # Safety
        /// As unsafe as the system call: pointers must be what the kernel expects for `nr`.
        #[inline(always)]
        pub unsafe fn $name(nr: i64 $(, $arg: usize)*) -> isize {
            let r: isize;
            // SAFETY: as above; the flags are the block's to change.
            unsafe {
                asm!("cmp byte ptr [rip + {gated}], 0", "jne 2f", "syscall", "jmp 3f",
                     "2:", "call qword ptr [rip + {gate}]", "3:",
                     gated = sym GATED, gate = sym GATE,
                     inlateout("rax") nr as isize => r, $(in($reg) $arg,)*
                     lateout("rcx") _, lateout("r11") _);
            }
            r
        }
    )*};
}

frequent! {
    frequent2(a in "rdi", b in "rsi");
    frequent4(a in "rdi", b in "rsi", c in "rdx", d in "r10");
    frequent6(a in "rdi", b in "rsi", c in "rdx", d in "r10", e in "r8", f in "r9");
}

/// A system call by the `syscall; ret` at `gate`.
///
/// # Safety
/// As [`syscall6`]; there must be one at `gate`.
#[inline(always)]
pub unsafe fn syscall6_at(gate: *mut (), nr: i64, args: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = args;
    let r: isize;
    // SAFETY: as above.
    unsafe {
        asm!("call {gate}", gate = in(reg) gate, inlateout("rax") nr as isize => r,
             in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
             lateout("rcx") _, lateout("r11") _);
    }
    r
}

/// What tells a thread from all others of the process: its thread pointer.
pub fn thread_pointer() -> usize {
    let p: usize;
    // SAFETY: by the ABI the word at fs:0 is its own address; ld.so has made it so before anything of this crate runs.
    unsafe {
        asm!("mov {}, qword ptr fs:[0]", out(reg) p, options(nostack, readonly, preserves_flags))
    };
    p
}

//! The library's way into the kernel below a seccomp filter of the program's own.
//!
//! Rules of this file: a call that the filter would end the program for is not made; its answer is ENOSYS.
//! What the program itself calls goes past this ([`direct`]).
use crate::raw::{GATE, lead_through};
use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

global_asm!(
    r#"
    .pushsection .text.mirror_gate,"ax",@progbits
    .globl mirror_checked_gate
    .hidden mirror_checked_gate
    .type mirror_checked_gate,@function
    .p2align 4
mirror_checked_gate:
    .cfi_startproc
    cmp $511, %rax
    ja 1f
    lea {forbidden}(%rip), %rcx
    bt %rax, (%rcx)
    jc 2f
1:  jmp *{direct}(%rip)
2:  mov $-38, %rax
    ret
    .cfi_endproc
    .size mirror_checked_gate, . - mirror_checked_gate
    .popsection
"#,
    forbidden = sym FORBIDDEN,
    direct = sym DIRECT,
    options(att_syntax)
);

unsafe extern "C" {
    fn mirror_checked_gate();
}

/// By system call number: not to be made.
static FORBIDDEN: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];
/// Where [`GATE`] led before it was checked; 0: it is not.
static DIRECT: AtomicUsize = AtomicUsize::new(0);

/// From now on the library makes none of these calls, beside those that were given before.
pub fn forbid(calls: &[AtomicU64; 8]) {
    for (f, c) in FORBIDDEN.iter().zip(calls) {
        f.fetch_or(c.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    let checked = mirror_checked_gate as *mut ();
    let old = GATE.load(Ordering::Relaxed);
    if old != checked {
        DIRECT.store(old.addr(), Ordering::Release);
        lead_through(checked);
    }
}

/// Where a `syscall; ret` is that makes every call.
pub fn direct() -> *mut () {
    match DIRECT.load(Ordering::Relaxed) {
        0 => GATE.load(Ordering::Relaxed),
        at => core::ptr::without_provenance_mut(at),
    }
}

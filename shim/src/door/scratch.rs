//! From a function onto a scratch stack, as the stubs in `slots` do it.
use crate::regs::Regs;
use core::arch::global_asm;

global_asm!(
    r#"
    .pushsection .text.mirror_net,"ax",@progbits

    # rdi = Regs: as ON_SCRATCH in slots.rs, from a function.
    .globl mirror_on_scratch
    .hidden mirror_on_scratch
    .type mirror_on_scratch,@function
    .p2align 4
mirror_on_scratch:
    .cfi_startproc
    push %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    mov %rsp, %rbp
    .cfi_def_cfa_register %rbp
    push %rbx
    .cfi_offset %rbx, -24
    push %rbx
    mov %rdi, %rbx
1:  mov $14, %eax
    mov $2, %edi
    lea mirror_all_signals(%rip), %rsi
    lea 64(%rbx), %rdx
    mov $8, %r10d
    call *{gate}(%rip)
    mov %rbx, %rdi
    call {scratch_enter}
    test %rax, %rax
    jnz 2f
    call 4f
    mov $24, %eax
    call *{gate}(%rip)
    jmp 1b
2:  mov %rax, %rsp
    mov %rbx, %rdi
    call {heavy}
    lea -16(%rbp), %rsp
    push %rax
    push %rax
    mov %rbx, %rdi
    call {scratch_leave}
    call 4f
    pop %rax
    pop %rax
    pop %rbx
    pop %rbx
    pop %rbp
    .cfi_remember_state
    .cfi_def_cfa %rsp, 8
    .cfi_restore %rbp
    .cfi_restore %rbx
    ret
    .cfi_restore_state
4:  mov $14, %eax
    mov $2, %edi
    lea 64(%rbx), %rsi
    xor %edx, %edx
    mov $8, %r10d
    jmp *{gate}(%rip)
    .cfi_endproc
    .size mirror_on_scratch, . - mirror_on_scratch
    .popsection
"#,
    gate = sym mirror_sys::GATE,
    heavy = sym crate::door::heavy,
    scratch_enter = sym crate::process::scratch::enter,
    scratch_leave = sym crate::process::scratch::leave,
    options(att_syntax)
);

unsafe extern "C" {
    fn mirror_on_scratch(regs: &mut Regs) -> usize;
}

/// Calls `heavy` on a scratch stack with all signals blocked.
pub fn on_scratch(regs: &mut Regs) -> usize {
    // SAFETY: the function above keeps what a C function keeps, and comes back on this stack with the mask
    // that it was called with.
    unsafe { mirror_on_scratch(regs) }
}

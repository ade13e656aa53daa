//! The memory functions that the compiler calls by name.
//!
//! Rules of this file: hidden (never interposed, never exported), no vector registers, no libc.
use core::arch::global_asm;

global_asm!(
    r#"
    .macro MEM_FN name
    .globl \name
    .hidden \name
    .type \name,@function
    .p2align 4
\name:
    .cfi_startproc
    .endm
    .macro MEM_END name
    .cfi_endproc
    .size \name, . - \name
    .endm

    .pushsection .text.mirror_mem,"ax",@progbits
MEM_FN memcpy
    mov %rdi, %rax
    mov %rdx, %rcx
    rep movsb
    ret
MEM_END memcpy

MEM_FN memmove
    mov %rdi, %rax
    mov %rdx, %rcx
    mov %rdi, %r8
    sub %rsi, %r8
    cmp %rdx, %r8
    jb 1f
    rep movsb
    ret
1:  lea -1(%rdi,%rdx), %rdi
    lea -1(%rsi,%rdx), %rsi
    std
    rep movsb
    cld
    ret
MEM_END memmove

MEM_FN memset
    mov %rdi, %r8
    mov %esi, %eax
    mov %rdx, %rcx
    rep stosb
    mov %r8, %rax
    ret
MEM_END memset

MEM_FN memcmp
    xor %ecx, %ecx
1:  cmp %rdx, %rcx
    je 2f
    movzbl (%rdi,%rcx), %eax
    movzbl (%rsi,%rcx), %r8d
    inc %rcx
    sub %r8d, %eax
    je 1b
    ret
2:  xor %eax, %eax
    ret
MEM_END memcmp

    .globl bcmp
    .hidden bcmp
    .set bcmp, memcmp

MEM_FN strlen
    xor %eax, %eax
1:  cmpb $0, (%rdi,%rax)
    je 2f
    inc %rax
    jmp 1b
2:  ret
MEM_END strlen
    .popsection
"#,
    options(att_syntax)
);

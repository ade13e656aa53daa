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
mirror_forward:
    mov %rdi, %rax
    cmp $8, %rdx
    jb 3f
    cmp $128, %rdx
    ja 2f
    # Words, and the last eight bytes, which may overlap the word before.
    mov -8(%rsi,%rdx), %r8
    lea -8(%rdi,%rdx), %r9
1:  mov (%rsi), %rcx
    mov %rcx, (%rdi)
    add $8, %rsi
    add $8, %rdi
    sub $8, %rdx
    cmp $8, %rdx
    jae 1b
    mov %r8, (%r9)
    ret
2:  mov %rdx, %rcx
    rep movsb
    ret
3:  cmp $4, %edx
    jb 4f
    mov (%rsi), %ecx
    mov -4(%rsi,%rdx), %r8d
    mov %ecx, (%rdi)
    mov %r8d, -4(%rdi,%rdx)
    ret
4:  test %edx, %edx
    jz 5f
    movzbl (%rsi), %ecx
    cmp $1, %edx
    je 6f
    movzwl -2(%rsi,%rdx), %r8d
    mov %r8w, -2(%rdi,%rdx)
6:  mov %cl, (%rdi)
5:  ret
MEM_END memcpy

MEM_FN memmove
    mov %rdi, %rcx
    sub %rsi, %rcx
    cmp %rdx, %rcx
    jae mirror_forward
    cmp $8, %rdx
    jb mirror_forward
    # Backwards; the first eight bytes last.
    mov %rdi, %rax
    mov (%rsi), %r8
1:  mov -8(%rsi,%rdx), %rcx
    mov %rcx, -8(%rdi,%rdx)
    sub $8, %rdx
    cmp $8, %rdx
    jae 1b
    mov %r8, (%rdi)
    ret
MEM_END memmove

MEM_FN memset
    mov %rdi, %r8
    movzbl %sil, %eax
    movabs $0x0101010101010101, %rcx
    imul %rcx, %rax
    cmp $8, %rdx
    jb 3f
    cmp $128, %rdx
    ja 2f
    mov %rax, -8(%rdi,%rdx)
1:  mov %rax, (%rdi)
    add $8, %rdi
    sub $8, %rdx
    cmp $8, %rdx
    jae 1b
    mov %r8, %rax
    ret
2:  mov %rdx, %rcx
    rep stosb
    mov %r8, %rax
    ret
3:  test %edx, %edx
    jz 5f
4:  mov %al, -1(%rdi,%rdx)
    dec %edx
    jnz 4b
5:  mov %r8, %rax
    ret
MEM_END memset

MEM_FN memcmp
    cmp $8, %rdx
    jb 2f
1:  mov (%rdi), %rax
    mov (%rsi), %rcx
    cmp %rcx, %rax
    jne 4f
    add $8, %rdi
    add $8, %rsi
    sub $8, %rdx
    cmp $8, %rdx
    jae 1b
2:  test %edx, %edx
    jz 3f
    movzbl (%rdi), %eax
    movzbl (%rsi), %ecx
    inc %rdi
    inc %rsi
    dec %edx
    sub %ecx, %eax
    jz 2b
    ret
3:  xor %eax, %eax
    ret
    # The first byte that differs decides: it is the highest of the swapped words'.
4:  bswap %rax
    bswap %rcx
    cmp %rcx, %rax
    sbb %eax, %eax
    or $1, %eax
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

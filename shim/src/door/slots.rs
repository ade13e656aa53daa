//! The assembler between a patched site and Rust.
//!
//! Rules of this file (beside those of the folder): a site's stub comes here with r11 = address
//! behind its `syscall` and everything else as at the `syscall`; rcx is free. CFI calls the site the
//! caller: the return address is r11, later the word pushed from it.
//!
//! Frame, from rbx downwards: saved rbx at 0, return address at 8; `Regs` at -R; xmm0-15 below.
use core::arch::{asm, global_asm};

global_asm!(
    r#"
    .macro KEEP_XMM op, at
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    .ifc \op,save
    movups %xmm\n, (16*\n - \at - 256)(%rbx)
    .else
    movups (16*\n - \at - 256)(%rbx), %xmm\n
    .endif
    .endr
    .endm

    # Opens the frame; \at = distance of Regs below rbx.
    .macro ENTER
    lea -128(%rsp), %rsp
    .cfi_def_cfa_offset 128
    push %r11
    .cfi_def_cfa_offset 136
    .cfi_offset %rip, -136
    push %rbx
    .cfi_def_cfa_offset 144
    .cfi_offset %rbx, -144
    mov %rsp, %rbx
    .cfi_def_cfa_register %rbx
    .endm

    .macro SAVE at
    mov %rdi, (8 - \at)(%rbx)
    mov %rsi, (16 - \at)(%rbx)
    mov %rdx, (24 - \at)(%rbx)
    mov %r10, (32 - \at)(%rbx)
    mov %r8, (40 - \at)(%rbx)
    mov %r9, (48 - \at)(%rbx)
    .endm

    .macro LOAD at
    mov (8 - \at)(%rbx), %rdi
    mov (16 - \at)(%rbx), %rsi
    mov (24 - \at)(%rbx), %rdx
    mov (32 - \at)(%rbx), %r10
    mov (40 - \at)(%rbx), %r8
    mov (48 - \at)(%rbx), %r9
    .endm

    # Closes the frame; r11 = return address, flags kept.
    .macro LEAVE
    .cfi_remember_state
    mov %rbx, %rsp
    .cfi_def_cfa %rsp, 144
    pop %rbx
    .cfi_def_cfa_offset 136
    .cfi_restore %rbx
    pop %r11
    .cfi_def_cfa_offset 128
    .cfi_register %rip, %r11
    lea 128(%rsp), %rsp
    .cfi_def_cfa_offset 0
    .endm

    .macro LOCAL_STACK at
    lea (-256 - \at)(%rbx), %rsp
    and $-16, %rsp
    .endm

    # As in mirror_sys.
    .macro CALL
    cmpb $0, {gated}(%rip)
    jne 771f
    syscall
    jmp 772f
771: call *{gate}(%rip)
772:
    .endm

    # rt_sigprocmask(SIG_SETMASK, set, old, 8) without libc: 32 and 33 too.
    .macro BLOCK at
    mov $14, %eax
    mov $2, %edi
    lea mirror_all_signals(%rip), %rsi
    lea (64 - \at)(%rbx), %rdx
    mov $8, %r10d
    CALL
    .endm
    .macro UNBLOCK at
    mov $14, %eax
    mov $2, %edi
    lea (64 - \at)(%rbx), %rsi
    xor %edx, %edx
    mov $8, %r10d
    CALL
    .endm

    # Blocks signals, finds a scratch stack (all taken: lets the others run), calls \fn on it, gives
    # it back, restores the mask. Result in r8d.
    .macro ON_SCRATCH at, fn
77: BLOCK \at
    lea (-\at)(%rbx), %rdi
    call {scratch_enter}
    test %rax, %rax
    jnz 78f
    UNBLOCK \at
    mov $24, %eax
    call *{gate}(%rip)
    jmp 77b
78: mov %rax, %rsp
    lea (-\at)(%rbx), %rdi
    call \fn
    LOCAL_STACK \at
    push %rax
    push %rax
    lea (-\at)(%rbx), %rdi
    call {scratch_leave}
    UNBLOCK \at
    pop %r8
    pop %r8
    .endm

    .pushsection .rodata.mirror_slots,"a",@progbits
    .p2align 3
mirror_all_signals:
    .quad -1
    .popsection

    .pushsection .data.rel.ro.mirror_slots,"aw",@progbits
    .p2align 3
mirror_watch_at:
    .quad {watch}
mirror_hints_at:
    .quad {hints}
mirror_active_at:
    .quad {active}
mirror_pages_at:
    .quad {pages}
    .popsection

    .hidden _DYNAMIC

    .pushsection .text.mirror_slots,"ax",@progbits
    .globl mirror_common
    .hidden mirror_common
    .type mirror_common,@function
    .p2align 6
mirror_common:
    .cfi_startproc
    .cfi_def_cfa %rsp, 0
    .cfi_register %rip, %r11
    // The kernel looks at 32 bits of the number.
    mov %eax, %eax
    cmp $511, %rax
    ja 9f
    mov mirror_watch_at(%rip), %rcx
    movzbl (%rcx,%rax), %ecx
    test %ecx, %ecx
    jz 9f
    test $2, %cl
    jz 1f
    cmp $4095, %edi
    ja 4f
    mov %edi, %ecx
    add mirror_hints_at(%rip), %rcx
    cmpb $1, (%rcx)
    je 9f
    jmp 4f
1:  test $12, %cl
    jz 20f
    test $4, %cl
    jnz 2f
    mov %edx, %ecx
    jmp 3f
2:  mov %esi, %ecx
    # O_ACCMODE | O_CREAT | O_TRUNC, then O_TMPFILE
3:  test $0x243, %ecx
    jnz 4f
    and $0x410000, %ecx
    cmp $0x410000, %ecx
    je 4f
    mov mirror_watch_at(%rip), %rcx
    movzbl (%rcx,%rax), %ecx
20: test $96, %cl
    jz 4f

    # A path that is only looked at: is there a ".m" in it? Aligned words, so no page is touched that
    # the text does not reach; pages that were not found readable before go the slow way.
    .cfi_remember_state
    lea -128(%rsp), %rsp
    .cfi_def_cfa_offset 128
    .irp r, rax, rdx, rsi, rdi, r8, r9, r10
    push %\r
    .cfi_adjust_cfa_offset 8
    .endr
    test $32, %cl
    cmovz %rsi, %rdi
    mov %rdi, %rax
    shr $12, %rax
    mov %eax, %ecx
    and $63, %ecx
    mov mirror_pages_at(%rip), %rdx
    cmp (%rdx,%rcx,8), %rax
    jne 24f
    movabs $0x0101010101010101, %rsi
    movabs $0x8080808080808080, %r8
    mov %edi, %ecx
    and $7, %ecx
    shl $3, %ecx
    mov $1, %edx
    shl %cl, %rdx
    dec %rdx
    and $-8, %rdi
    or (%rdi), %rdx
    mov %rdx, %rax
21: movabs $0x2e2e2e2e2e2e2e2e, %r9
    xor %rax, %r9
    mov %r9, %r10
    sub %rsi, %r10
    not %r9
    and %r9, %r10
    and %r8, %r10
    jz 22f
    # dots: an 'm' behind one, or one at the word's end?
    mov %rax, %r9
    shr $8, %r9
    movabs $0x6d6d6d6d6d6d6d6d, %rdx
    xor %rdx, %r9
    mov %r9, %rdx
    sub %rsi, %rdx
    not %r9
    and %r9, %rdx
    and %r8, %rdx
    bts $63, %rdx
    test %rdx, %r10
    jnz 24f
22: mov %rax, %r10
    sub %rsi, %r10
    not %rax
    and %rax, %r10
    test %r8, %r10
    jnz 23f
    add $8, %rdi
    test $0xfff, %edi
    jz 24f
    mov (%rdi), %rax
    jmp 21b
    # no
23: xor %ecx, %ecx
    jmp 25f
    # perhaps
24: mov $1, %ecx
25: .irp r, r10, r9, r8, rdi, rsi, rdx, rax
    pop %\r
    .cfi_adjust_cfa_offset -8
    .endr
    lea 128(%rsp), %rsp
    .cfi_restore_state
    jrcxz 9f
    jmp 4f
9:  sub $2, %r11
    jmp *%r11

4:  ENTER
    LOCAL_STACK 80
    mov %rax, -80(%rbx)
    SAVE 80
    lea -2(%r11), %rcx
    mov %rcx, -24(%rbx)
    KEEP_XMM save, 80
    lea -80(%rbx), %rdi
    call {filter}
    mov %eax, %r8d
5:  cmp $1, %r8d
    je 7f
    ja 6f
    # as if nothing had been
    KEEP_XMM load, 80
    LOAD 80
    mov -80(%rbx), %rax
    LEAVE
    sub $2, %r11
    jmp *%r11
    .cfi_restore_state
    # done: the result stands for the call
7:  KEEP_XMM load, 80
    LOAD 80
    mov -80(%rbx), %rax
    LEAVE
    jmp *%r11
    .cfi_restore_state
6:  cmp $3, %r8d
    je 10f
    cmp $4, %r8d
    je 11f
    cmp $5, %r8d
    jne 8f
    lea -80(%rbx), %rdi
    call {finish}
    mov %eax, %r8d
    jmp 5b
10: lea -80(%rbx), %rdi
    call {wait}
8:  ON_SCRATCH 80, {heavy}
    cmp $2, %r8d
    jne 5b
    ud2
    # a clone whose child is armed before it goes on
11: KEEP_XMM load, 80
    LOAD 80
    mov -80(%rbx), %rax
    LEAVE
    jmp *{clone_gate}(%rip)
    .cfi_restore_state
    .cfi_endproc
    .size mirror_common, . - mirror_common

    # r11 = the instruction to go on with; everything else may be live.
    .globl mirror_common_exit
    .hidden mirror_common_exit
    .type mirror_common_exit,@function
    .p2align 4
mirror_common_exit:
    .cfi_startproc
    .cfi_def_cfa %rsp, 0
    .cfi_register %rip, %r11
    ENTER
    pushfq
    push %rcx
    push %rax
    mov mirror_active_at(%rip), %rax
    cmpb $0, (%rax)
    je 88f
    mov -24(%rbx), %rax
    LOCAL_STACK 112
    SAVE 112
    movq $231, -112(%rbx)
    mov %r11, -56(%rbx)
    KEEP_XMM save, 112
    ON_SCRATCH 112, {heavy}
    KEEP_XMM load, 112
    LOAD 112
88: lea -24(%rbx), %rsp
    pop %rax
    pop %rcx
    popfq
    LEAVE
    jmp *%r11
    .cfi_endproc
    .size mirror_common_exit, . - mirror_common_exit
    .popsection
"#,
    watch = sym crate::tables::WATCH,
    hints = sym crate::tables::HINTS,
    active = sym crate::tables::ACTIVE,
    pages = sym crate::tables::PAGES,
    filter = sym crate::door::entry::filter,
    heavy = sym crate::door::heavy,
    wait = sym crate::door::wait,
    finish = sym crate::door::finish,
    gate = sym mirror_sys::GATE,
    gated = sym mirror_sys::GATED,
    clone_gate = sym crate::arch::gates::CLONE_GATE,
    scratch_enter = sym crate::process::scratch::enter,
    scratch_leave = sym crate::process::scratch::leave,
    options(att_syntax)
);

macro_rules! address_of {
    ($(#[$doc:meta])* $name:ident, $code:literal) => {
        $(#[$doc])*
        #[inline(never)]
        pub fn $name() -> usize {
            let a: usize;
            // SAFETY: computes or loads one address of this library; nothing else is touched.
            unsafe { asm!($code, out(reg) a, options(att_syntax, nostack, preserves_flags)) };
            a
        }
    };
}

address_of!(
    /// What the image's first pointer gets.
    common, "lea mirror_common(%rip), {}"
);
address_of!(
    /// What the image's second pointer gets (the exit_group place).
    common_exit, "lea mirror_common_exit(%rip), {}"
);

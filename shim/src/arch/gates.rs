//! The assembler of the net (system call user dispatch).
//!
//! Rules of this file: a dispatched call keeps every register that the `syscall` instruction keeps, the
//! status flags too; a clone uses no stack between its `syscall` and the place where parent and child go
//! on, since they may share one, or the child may have one that nobody else has written to.
use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize};

/// Address of the gate for clones in libc's text.
#[unsafe(link_section = ".data.boot")]
pub static CLONE_GATE: AtomicUsize = AtomicUsize::new(0);
/// Address of a `syscall; ret` in that text; 0: there is none.
#[unsafe(link_section = ".data.boot")]
pub static LEAF: AtomicUsize = AtomicUsize::new(0);
/// Address of the signal trampoline in that text.
#[unsafe(link_section = ".data.boot")]
pub static TRAMPOLINE: AtomicUsize = AtomicUsize::new(0);
/// Start and length of the text whose `syscall` instructions are not dispatched.
#[unsafe(link_section = ".data.boot")]
pub static RANGE: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
/// New threads and children of this memory's process are armed.
#[unsafe(link_section = ".data.boot")]
pub static CHILDREN: AtomicBool = AtomicBool::new(false);
/// Threads that arm themselves just now: they look at [`CHILDREN`] after they have been counted.
#[unsafe(link_section = ".data.boot")]
pub static BUSY: AtomicU32 = AtomicU32::new(0);
/// Clones under way. A vfork is until its child has executed something or ended.
pub static RESUME: [Resume; 1024] = [const { Resume::new() }; 1024];

/// In [`Resume::users`]: the parent has yet to go on.
pub const PARENT: u32 = 1;
/// The same of a child that shares the memory.
pub const CHILD: u32 = 2;

/// Where parent and child of a clone go on. The offsets stand in the assembler below.
#[repr(C)]
#[derive(Debug)]
pub struct Resume {
    /// Address behind the `syscall`.
    pub back: AtomicUsize,
    /// The program's r9.
    pub r9: AtomicUsize,
    /// [`PARENT`] and [`CHILD`]; 0: free.
    pub users: AtomicU32,
    /// Not zero: the child is armed.
    pub arm: AtomicU32,
    /// The child's registers while it is being armed.
    kept: [AtomicUsize; 5],
    /// What the child leaves of `users`.
    pub leaves: AtomicU32,
    /// The child's number, before the parent has gone on.
    pub child: AtomicU32,
}

impl Resume {
    const fn new() -> Resume {
        Resume {
            back: AtomicUsize::new(0),
            r9: AtomicUsize::new(0),
            users: AtomicU32::new(0),
            arm: AtomicU32::new(0),
            kept: [const { AtomicUsize::new(0) }; 5],
            leaves: AtomicU32::new(0),
            child: AtomicU32::new(0),
        }
    }
}

global_asm!(
    r#"
    .pushsection .text.mirror_net,"ax",@progbits

    # A dispatched call that is to be executed as it is. rcx = the address behind its instruction,
    # everything else as there.
    .globl mirror_dispatched
    .hidden mirror_dispatched
    .type mirror_dispatched,@function
    .p2align 4
mirror_dispatched:
    .cfi_startproc
    .cfi_def_cfa %rsp, 0
    .cfi_register %rip, %rcx
    lea -128(%rsp), %rsp
    .cfi_def_cfa_offset 128
    push %rcx
    .cfi_def_cfa_offset 136
    .cfi_offset %rip, -136
    call *{leaf}(%rip)
    pop %rcx
    .cfi_def_cfa_offset 128
    .cfi_register %rip, %rcx
    lea 128(%rsp), %rsp
    .cfi_def_cfa_offset 0
    jmp *%rcx
    .cfi_endproc
    .size mirror_dispatched, . - mirror_dispatched

    # Behind the gate's `syscall`. r9 = a Resume, rax = the result.
    .globl mirror_after_clone
    .hidden mirror_after_clone
    .type mirror_after_clone,@function
    .p2align 4
mirror_after_clone:
    .cfi_startproc
    .cfi_undefined %rip
    test %rax, %rax
    jz 2f
    jns 3f
    # no child
    movl $1, 16(%r9)
    jmp 3f
2:  cmpl $0, 20(%r9)
    je 4f
    # prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, start, length, no selector). A new thread or
    # process is not dispatched: any instruction will do.
    mov %rdi, 24(%r9)
    mov %rsi, 32(%r9)
    mov %rdx, 40(%r9)
    mov %r10, 48(%r9)
    mov %r8, 56(%r9)
    lock incl {busy}(%rip)
    cmpb $0, {children}(%rip)
    je 5f
    mov $157, %eax
    mov $59, %edi
    mov $1, %esi
    mov {range}(%rip), %rdx
    mov {range}+8(%rip), %r10
    xor %r8d, %r8d
    syscall
5:  lock decl {busy}(%rip)
    mov 24(%r9), %rdi
    mov 32(%r9), %rsi
    mov 40(%r9), %rdx
    mov 48(%r9), %r10
    mov 56(%r9), %r8
    xor %eax, %eax
4:  mov (%r9), %rcx
    mov 8(%r9), %r11
    mov 64(%r9), %eax
    lock andl %eax, 16(%r9)
    xor %eax, %eax
    mov %r11, %r9
    jmp *%rcx
3:  mov %eax, 68(%r9)
    mov (%r9), %rcx
    mov 8(%r9), %r11
    lock andl $2, 16(%r9)
    mov %r11, %r9
    jmp *%rcx
    .cfi_endproc
    .size mirror_after_clone, . - mirror_after_clone

    # What the prepared image has in libc, for a process without one.
    .p2align 4
mirror_own_gate:
    .cfi_startproc
    .cfi_undefined %rip
    syscall
    jmp mirror_after_clone
    .cfi_endproc
    nop
mirror_own_trampoline:
    mov $15, %rax
    syscall

    # What handlers return to, in the place of libc's trampoline: SIGSYS (bit 30) is taken out of the mask
    # in the context, which stands at the stack pointer. The rules of the frame are those of libc's own;
    # unwinders look one byte before the address.
    .cfi_startproc
    .cfi_signal_frame
    .cfi_escape 0xf, 0x4, 0x77, 0xa0, 0x1, 0x6
    .cfi_escape 0x10, 0x8, 0x2, 0x77, 0x28
    .cfi_escape 0x10, 0x9, 0x2, 0x77, 0x30
    .cfi_escape 0x10, 0xa, 0x2, 0x77, 0x38
    .cfi_escape 0x10, 0xb, 0x3, 0x77, 0xc0, 0x0
    .cfi_escape 0x10, 0xc, 0x3, 0x77, 0xc8, 0x0
    .cfi_escape 0x10, 0xd, 0x3, 0x77, 0xd0, 0x0
    .cfi_escape 0x10, 0xe, 0x3, 0x77, 0xd8, 0x0
    .cfi_escape 0x10, 0xf, 0x3, 0x77, 0xe0, 0x0
    .cfi_escape 0x10, 0x5, 0x3, 0x77, 0xe8, 0x0
    .cfi_escape 0x10, 0x4, 0x3, 0x77, 0xf0, 0x0
    .cfi_escape 0x10, 0x6, 0x3, 0x77, 0xf8, 0x0
    .cfi_escape 0x10, 0x3, 0x3, 0x77, 0x80, 0x1
    .cfi_escape 0x10, 0x1, 0x3, 0x77, 0x88, 0x1
    .cfi_escape 0x10, 0x0, 0x3, 0x77, 0x90, 0x1
    .cfi_escape 0x10, 0x2, 0x3, 0x77, 0x98, 0x1
    .cfi_escape 0x10, 0x7, 0x3, 0x77, 0xa0, 0x1
    .cfi_escape 0x10, 0x10, 0x3, 0x77, 0xa8, 0x1

    nop
    .type mirror_returned,@function
mirror_returned:
    andb $0xbf, 299(%rsp)
    jmp *{trampoline}(%rip)
    .cfi_endproc
    .size mirror_returned, . - mirror_returned
    .popsection
"#,
    leaf = sym LEAF,
    trampoline = sym TRAMPOLINE,
    range = sym RANGE,
    busy = sym BUSY,
    children = sym CHILDREN,
    options(att_syntax)
);

macro_rules! address_of {
    ($(#[$doc:meta])* $name:ident, $code:literal) => {
        $(#[$doc])*
        pub fn $name() -> usize {
            let a: usize;
            // SAFETY: computes one address of this library; nothing else is touched.
            unsafe { asm!($code, out(reg) a, options(att_syntax, nostack, preserves_flags)) };
            a
        }
    };
}

address_of!(
    /// Where a dispatched call goes on that is to be executed as it is.
    dispatched, "lea mirror_dispatched(%rip), {}"
);
address_of!(
    /// The trampoline that handlers get.
    returned, "lea mirror_returned(%rip), {}"
);
address_of!(
    /// A gate for clones in this library's text.
    own_gate, "lea mirror_own_gate(%rip), {}"
);
address_of!(
    /// A signal trampoline in this library's text.
    own_trampoline, "lea mirror_own_trampoline(%rip), {}"
);
address_of!(
    /// What the image's third pointer gets.
    after_clone, "lea mirror_after_clone(%rip), {}"
);
address_of!(
    /// This library's dynamic section, by which its own link map is known.
    find_dynamic, ".hidden _DYNAMIC\nlea _DYNAMIC(%rip), {}"
);

/// PR_SET_SYSCALL_USER_DISPATCH.
pub const DISPATCH: usize = 59;

pub const PR_SYS_DISPATCH_ON: usize = 1;

//! Boot: from an IFUNC resolver of this library, before any constructor of the program.
//!
//! Rules of this file: raw system calls only, no libc function (libc may not be ready), no
//! allocation; what is read comes from ld.so's own data; the live text is replaced by one mmap, or
//! page by page, or not at all; nothing is done in a secure (setuid) process.
use core::arch::global_asm;
use core::ffi::CStr;

use mirror_core::image::{HEADER_LEN, Header, ImageError, MAX_BUILD_ID, PAGE};
use mirror_core::unmirrored::Kind;
use once_cell::race::OnceNonZeroUsize;

use crate::arch::gates;
use crate::boot::end::{Start, fail};
use crate::boot::start;
use crate::calls::exec::count;
use crate::calls::{cores, lends};
use crate::door::{dispatched, slots};
use crate::program::elf::{self, Libc, LinkMap, Linker};
use crate::program::env;
use crate::program::files::{self, Fd, Folder, Folders, Name};
use crate::program::info::BootInfo;

global_asm!(
    r#"
    .pushsection .text.mirror_boot,"ax",@progbits
    .hidden mirror_ifunc
    .globl mirror_ifunc
    .type mirror_ifunc,@gnu_indirect_function
mirror_ifunc:
    .cfi_startproc
    sub $8, %rsp
    .cfi_adjust_cfa_offset 8
    mov 8(%rsp), %rdi
    call {boot}
    lea mirror_nothing(%rip), %rax
    add $8, %rsp
    .cfi_adjust_cfa_offset -8
    ret
    .cfi_endproc
mirror_nothing:
    ret
    .popsection
    # R: survives --gc-sections. The linker makes an IRELATIVE relocation of it, the last of all.
    .pushsection .data.rel.ro.mirror_boot,"awR",@progbits
    .p2align 3
    .quad mirror_ifunc
    .popsection
"#,
    boot = sym boot,
    options(att_syntax)
);

/// Why the image was not installed.
#[derive(Clone, Copy)]
enum Reason {
    NotGlibc,
    NoImage,
    BadImage(&'static str),
    Refused,
}

impl Reason {
    #[cold]
    #[inline(never)]
    fn fail(self, build_id: &str) -> ! {
        let mut t: Name<512> = Name::new();
        let mut add = |parts: &[&[u8]]| {
            for p in parts {
                let _ = t.push(p);
            }
        };
        let id = build_id.as_bytes();
        const PREPARE: &[u8] = b"). Type: mirror doctor --prepare";
        match self {
            Reason::NotGlibc => {
                add(&[b"the C library of this program is not a glibc that can be covered"])
            }
            Reason::NoImage => add(&[b"no prepared image of libc (build-id ", id, PREPARE]),
            Reason::BadImage(why) => add(&[why.as_bytes(), b" (build-id ", id, PREPARE]),
            Reason::Refused => add(&[
                b"this process may not map the prepared image of libc as code (build-id ",
                id,
                b")",
            ]),
        }
        fail(t.filled())
    }
}

/// Set once the resolver has run: 1 = left alone, 2 = installed.
#[unsafe(link_section = ".data.boot")]
static BOOTED: OnceNonZeroUsize = OnceNonZeroUsize::new();

fn mark(v: usize) {
    if let Some(v) = core::num::NonZeroUsize::new(v) {
        let _ = BOOTED.set(v);
    }
}

/// A dynamic linker that knows no IFUNC (musl) comes here first: better no program than an
/// unmirrored one.
#[ctor::ctor(unsafe)]
fn belt() {
    if BOOTED.get().is_none() {
        Reason::NotGlibc.fail("");
    }
}

/// `linker`: an address in ld.so's code, the resolver's return address.
extern "C" fn boot(linker: usize) {
    mark(1);
    let info = match look(linker) {
        Some(Process::Covered(info)) => info,
        // Whoever started it has recorded what it may write.
        Some(Process::WithoutLibc(info)) => {
            alone(&info);
            return;
        }
        None => Reason::NotGlibc.fail(""),
    };
    if info.auxv(libc::AT_SECURE as usize) != 0 {
        return;
    }
    if start::start(&info) == Start::Off {
        return;
    }
    // SAFETY: ld.so lists libc as loaded at this address.
    let libc = unsafe { elf::read(info.libc_base) };
    let Some(libc) = libc.filter(|l| l.build_id().len() >= 8) else {
        Reason::NotGlibc.fail("")
    };
    let mut id = [0; 2 * MAX_BUILD_ID];
    let hex = files::hex(libc.build_id(), &mut id);
    let mut folders = Folders::new(&info);
    if let Err(reason) = install(&info, &libc, hex, &mut folders) {
        reason.fail(hex);
    }
    if !crate::net::boot(&info, &mut folders, dispatched::handler) {
        own_calls(&info);
    }
    linkers_files(&info);
    cores::at_boot();
    start::prove(&info);
}

/// What ld.so writes by variables of its own, before and beside libc: it makes its calls itself.
fn linkers_files(info: &BootInfo) {
    let value = |name: &[u8]| env::value_of(info, name);
    if let Some(file) = value(b"LD_DEBUG_OUTPUT=")
        && value(b"LD_DEBUG=").is_some()
    {
        lends::linkers_file(file);
    }
    if let Some(directory) = value(b"LD_PROFILE_OUTPUT=")
        && value(b"LD_PROFILE=").is_some()
    {
        lends::linkers_directory(directory);
    }
}

/// The program makes calls that nobody sees: that is written down, or a pair's policy ends it.
#[cold]
fn own_calls(info: &BootInfo) {
    let at = info.auxv(libc::AT_EXECFN as usize);
    // SAFETY: the kernel's pointer to the program's path, on the first stack.
    let path = (at != 0).then(|| unsafe { CStr::from_ptr(at as *const _) }.to_bytes());
    if !count::at_start(Kind::OwnCalls, path.unwrap_or(b"?")) {
        fail(b"this program makes system calls of its own, which cannot be seen here (seccomp, valgrind or the system), and a pair has unmirrorable=refuse");
    }
}

/// What the library has been loaded into.
enum Process {
    Covered(BootInfo),
    /// A program with a dynamic linker that needs no library at all.
    WithoutLibc(BootInfo),
}

/// No libc, so no image; but calls can be dispatched. Without a pair it runs as ever.
fn alone(info: &BootInfo) {
    if info.auxv(libc::AT_SECURE as usize) == 0 && start::start(info) == Start::On {
        crate::net::boot_alone(info, dispatched::handler);
    }
}

/// Reads ld.so's data: its own, by its own symbol table. A program may have copies of these variables,
/// which are filled after this.
fn look(linker: usize) -> Option<Process> {
    // SAFETY: an address of loaded code.
    let linker = unsafe { Linker::around(linker) }?;
    let end = linker.variable(b"__libc_stack_end")?;
    let debug = linker.variable(b"_r_debug")?;
    // SAFETY: both are variables of ld.so, filled before it relocates any library: the stack's first
    // word (argc, then argv, envp and auxv), and the list of loaded libraries.
    unsafe {
        let sp = *(end as *const *const usize);
        let argc = *sp;
        let argv = sp.wrapping_add(1).cast::<*const u8>();
        let envp = argv.wrapping_add(argc + 1);
        let mut e = envp;
        while !(*e).is_null() {
            e = e.wrapping_add(1);
        }
        let auxv = e.wrapping_add(1).cast::<[usize; 2]>();
        let maps = LinkMap::first(debug);
        let own = maps.find(|m| m.dynamic() == gates::find_dynamic())?;
        let libc = maps.find(|m| m.is_libc());
        if libc.is_none() && maps.needs_library() {
            return None;
        }
        let mut info = BootInfo {
            envp: envp.cast_mut(),
            auxv,
            libc_base: libc.map_or(0, LinkMap::base),
            own_base: own.base(),
            own_path: own.name(),
            euid: 0,
            reads_home: true,
            debug,
            maps,
        };
        info.euid = info.auxv(libc::AT_EUID as usize) as u32;
        info.reads_home = info.euid != 0 || !files::is_systems_root();
        Some(match libc {
            Some(_) => Process::Covered(info),
            None => Process::WithoutLibc(info),
        })
    }
}

/// Looks for the image and maps it.
fn install(
    info: &BootInfo,
    libc: &Libc,
    hex: &str,
    folders: &mut Folders<'_>,
) -> Result<(), Reason> {
    let mut worst = Reason::NoImage;
    for which in 0..2 {
        let Some(dir) = folders.get(which, info.euid) else {
            continue;
        };
        let Some(file) = dir.image(hex) else {
            continue;
        };
        let why = match use_image(info, libc, dir, &file) {
            Ok(()) => return Ok(()),
            Err(None) => return Err(Reason::Refused),
            Err(Some(why)) => why,
        };
        if matches!(worst, Reason::NoImage) {
            worst = Reason::BadImage(why);
        }
    }
    Err(worst)
}

/// `Err(None)`: the kernel refuses code from it.
fn use_image(
    info: &BootInfo,
    libc: &Libc,
    dir: &Folder,
    file: &Fd,
) -> Result<(), Option<&'static str>> {
    if !dir.trusted {
        return Err(Some("others can write the folder of prepared images"));
    }
    // Of a usual libc, all that the header uses.
    let mut start = [0; 512];
    if !files::read_at(file, &mut start, 0) {
        return Err(Some("the prepared image of libc is damaged"));
    }
    match Header::decode(&start) {
        Err(ImageError::Short) => use_long(info, libc, file),
        header => use_header(info, libc, file, header),
    }
}

#[cold]
#[inline(never)]
fn use_long(info: &BootInfo, libc: &Libc, file: &Fd) -> Result<(), Option<&'static str>> {
    let mut page: Name<HEADER_LEN> = Name::new();
    if !files::read_at(file, page.bytes_mut(), 0) {
        return Err(Some("the prepared image of libc is damaged"));
    }
    use_header(info, libc, file, Header::decode(page.bytes()))
}

fn use_header(
    info: &BootInfo,
    libc: &Libc,
    file: &Fd,
    header: Result<Header, ImageError>,
) -> Result<(), Option<&'static str>> {
    let Ok(header) = header else {
        return Err(Some(
            "the prepared image of libc is damaged or of another version",
        ));
    };
    let size = header.text_offset.wrapping_add(header.text_len);
    if !files::trusted(file, info.euid, size) {
        return Err(Some(
            "the prepared image of libc is incomplete or others can write it",
        ));
    }
    if header.build_id() != libc.build_id()
        || header.text_vaddr != libc.text_vaddr
        || header.text_len != libc.text_len
        || header.ptr_vaddr < libc.bss_end
        || header.ptr_vaddr.wrapping_add(24) > libc.bss_end.next_multiple_of(PAGE)
    {
        return Err(Some("the prepared image of libc does not fit"));
    }
    let at = |v: u64| info.libc_base.wrapping_add(v as usize);
    // SAFETY: three aligned words behind libc's .bss in its last writable page (checked above); no
    // symbol owns them. They are stored first: the new text reads them.
    unsafe {
        let ptr = at(header.ptr_vaddr) as *mut usize;
        ptr.write_volatile(slots::common());
        ptr.wrapping_add(1).write_volatile(slots::common_exit());
        ptr.wrapping_add(2).write_volatile(gates::after_clone());
    }
    let text = at(header.text_vaddr);
    if files::map_text(
        file,
        text,
        header.text_len as usize,
        header.text_offset as usize,
    ) || by_hand(file, &header, text)
    {
        mark(2);
        crate::net::arming::places(
            [text, header.text_len as usize],
            header.net.map(|v| if v == 0 { 0 } else { at(v) }),
        );
        return Ok(());
    }
    Err(None)
}

/// Where code may not be mapped from the image's file system: its changed pages are copied over the
/// live text. Writable and executable in one step, so that a refusal changes nothing.
#[cold]
#[inline(never)]
fn by_hand(file: &Fd, header: &Header, text: usize) -> bool {
    let mut done = true;
    for page in header.pages() {
        let off = usize::from(*page) * PAGE as usize;
        let at = text.wrapping_add(off);
        if !files::protect(
            at,
            PAGE as usize,
            libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
        ) {
            return false;
        }
        // SAFETY: one page of libc's text, writable now; ld.so, not libc, is running.
        let bytes = unsafe { core::slice::from_raw_parts_mut(at as *mut u8, PAGE as usize) };
        done &= files::read_at(file, bytes, header.text_offset as usize + off);
        done &= files::protect(at, PAGE as usize, libc::PROT_READ | libc::PROT_EXEC);
    }
    done
}

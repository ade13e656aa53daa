//! Reads the configuration at boot. Runs in the IFUNC resolver: one thread, raw system calls only.
//! What is wrong here ends the program with 78 and one line: never unmirrored in silence.
use crate::boot::end::Start;
use crate::config::{BootCell, CONFIG};
use crate::process::actor::OWN_PID;
use crate::process::fds::ANY_PARTNER;
use crate::program::env::{self, Var};
use crate::program::info::BootInfo;

use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::Errno;
use mirror_core::numbers::SENTINEL;
use mirror_core::path::{PATH_MAX, PathText};
use mirror_core::tab::{self, Entry, Fault, Options};
use mirror_core::tabs::{self, FILE_MAX};
use mirror_sys as sys;

struct Work {
    entry: Entry,
    path: PathText<PATH_MAX>,
}

// All zeros, both: they need no room in the file.
static WORK: BootCell<Work> = BootCell::new(Work {
    entry: Entry {
        // Each line begins with the defaults.
        options: Options {
            root_wait: 0,
            ..Options::DEFAULT
        },
        ..Entry::empty()
    },
    path: PathText::new(),
});
static TAB: BootCell<[u8; FILE_MAX]> = BootCell::new([0; FILE_MAX]);

/// Decides what this process is to the mirror.
pub fn start(b: &BootInfo) -> Start {
    if is_command(b) {
        return Start::Off;
    }
    // SAFETY: boot runs alone.
    let w = unsafe { WORK.boot_mut() };
    env::save(b);
    if let Some(v) = env::get(Var::Mirror) {
        match tab::parse_mirror(v, &mut w.entry) {
            Ok(()) => add(w, b"MIRROR", true),
            Err(f) => fault(b"MIRROR", 0, f),
        }
    }
    match env::get(Var::Mirrortab) {
        Some(p) => {
            if w.path.set(p).is_err() || !read_tab(w) {
                fail3(
                    b"MIRRORTAB names ",
                    p,
                    b", which cannot be read. Check the name, or unset MIRRORTAB",
                );
            }
        }
        None => default_tabs(w),
    }
    restrict(w);
    if CONFIG.get().pairs().is_empty() {
        if env::get(Var::MirrorOptional).is_some() {
            return Start::Off;
        }
        fail3(
            b"no pairs configured (MIRROR, MIRRORTAB, /etc/mirrortab, ",
            b"~/.config/mirror/mirrortab",
            b"). Start with: mirror init LEG_A LEG_B; or set MIRROR_OPTIONAL=1",
        );
    }
    OWN_PID.store(sys::getpid(), Ordering::Relaxed);
    ANY_PARTNER.store(sys::is_open(SENTINEL), Ordering::Relaxed);
    crate::tables::watch();
    Start::On
}

/// The `mirror` command itself sees both trees as they are: its executable carries a note "Mirror".
fn is_command(b: &BootInfo) -> bool {
    let (ph, size, n) = (
        b.auxv(c::AT_PHDR as usize),
        b.auxv(c::AT_PHENT as usize),
        b.auxv(c::AT_PHNUM as usize),
    );
    if ph == 0 || size != 56 {
        return false;
    }
    let mut base = 0usize;
    for i in 0..n {
        // SAFETY: the kernel's own pointer to n program headers of 56 bytes (struct Elf64_Phdr: type at
        // 0, vaddr at 16, memsz at 40), mapped with the program.
        let (kind, vaddr, len) = unsafe {
            let p = ph.wrapping_add(i.wrapping_mul(size));
            (
                *(p as *const u32),
                *(p.wrapping_add(16) as *const usize),
                *(p.wrapping_add(40) as *const usize),
            )
        };
        match kind {
            c::PT_PHDR => base = ph.wrapping_sub(vaddr),
            c::PT_NOTE => {
                // SAFETY: a note segment is mapped; `len` is its size in memory.
                let notes = unsafe {
                    core::slice::from_raw_parts(base.wrapping_add(vaddr) as *const u8, len)
                };
                if notes.windows(8).any(|w| w == b"Mirror\0\0") {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

/// Tells `mirror run` that its child is covered (the descriptor's number is in MIRROR_PROOF): after the
/// configuration is read and the calls are intercepted.
pub fn prove(b: &BootInfo) {
    let Some(v) = env::take(b, b"MIRROR_PROOF=") else {
        return;
    };
    let mut n = 0i32;
    for &d in v {
        match d {
            b'0'..=b'9' => {
                n = n
                    .wrapping_mul(10)
                    .wrapping_add(i32::from(d.wrapping_sub(b'0')))
            }
            _ => return,
        }
    }
    let _ = sys::write(n, b"1");
    let _ = sys::close(n);
}

fn default_tabs(w: &mut Work) {
    let _ = w.path.set(tabs::SYSTEM.as_bytes());
    read_tab(w);
    read_tab_dir(w);
    // An effective uid of 0 reads no home.
    if sys_euid() != 0
        && let Some(own) = env::get(Var::Home).and_then(tabs::of_home)
    {
        w.path = own;
        read_tab(w);
    }
}

fn sys_euid() -> u32 {
    // SAFETY: takes no pointer.
    unsafe { sys::syscall0(c::SYS_geteuid) as u32 }
}

/// Reads w.path. False: it is not there (or, for an ordinary reason, not ours to read).
fn read_tab(w: &mut Work) -> bool {
    let n = match sys::openat(
        c::AT_FDCWD,
        &w.path,
        c::O_RDONLY | c::O_CLOEXEC | c::O_NONBLOCK | c::O_NOCTTY,
        0,
    ) {
        Ok(n) => n,
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => return false,
        Err(_) => fail3(b"", w.path.as_bytes(), b" cannot be opened"),
    };
    let Ok(st) = sys::fstat(n) else {
        fail3(b"", w.path.as_bytes(), b" cannot be examined")
    };
    if tabs::trusted(st.mode(), st.uid(), sys_euid()).is_err() {
        fail3(
            b"",
            w.path.as_bytes(),
            b" must be a file of root or of you that nobody else can write (chmod go-w, chown)",
        );
    }
    let mut len = 0usize;
    // SAFETY: boot runs alone, and this is the one place that names it.
    let tab = unsafe { TAB.boot_mut() };
    while let Some(room) = tab.get_mut(len..) {
        match sys::read(n, room) {
            Ok(0) => break,
            Ok(k) => len = len.saturating_add(k),
            Err(Errno::EINTR) => {}
            Err(_) => fail3(b"", w.path.as_bytes(), b" cannot be read"),
        }
    }
    let _ = sys::close(n);
    if len >= FILE_MAX {
        fail3(b"", w.path.as_bytes(), b" is larger than 64 KiB");
    }
    let text = tab.get(..len).unwrap_or(&[]);
    for (number, line) in tab::lines(text) {
        match tab::parse_line(line, number, &mut w.entry) {
            Ok(false) => {}
            Ok(true) => add_entry(&w.entry, w.path.as_bytes(), false),
            Err(f) => fault(w.path.as_bytes(), number, f),
        }
    }
    true
}

/// /etc/mirrortab.d/*.tab. Order does not matter to the library: pairs never overlap.
fn read_tab_dir(w: &mut Work) {
    let _ = w.path.set(tabs::FOLDER.as_bytes());
    let Ok(dir) = sys::openat(
        c::AT_FDCWD,
        &w.path,
        c::O_RDONLY | c::O_DIRECTORY | c::O_CLOEXEC,
        0,
    ) else {
        return;
    };
    let mut list = [0u8; 1024];
    loop {
        // SAFETY: the kernel writes at most list.len() bytes into it.
        let r = unsafe {
            sys::syscall3(
                c::SYS_getdents64,
                dir as usize,
                list.as_mut_ptr() as usize,
                list.len(),
            )
        };
        let Ok(n) = sys::ret(r) else { break };
        if n == 0 {
            break;
        }
        let mut rest = list.get(..n).unwrap_or(&[]);
        while let (Some(&[lo, hi]), Some(body)) = (
            rest.get(16..18).and_then(|s| s.first_chunk::<2>()),
            rest.get(19..),
        ) {
            let len = usize::from(u16::from_le_bytes([lo, hi]));
            let name = body.split(|&c| c == 0).next().unwrap_or(&[]);
            if tabs::is_tab(name) {
                let _ = w.path.set(tabs::FOLDER.as_bytes());
                if w.path.push(name).is_ok() {
                    read_tab(w);
                }
            }
            rest = match rest.get(len..) {
                Some(r) if len > 0 => r,
                _ => break,
            };
        }
    }
    let _ = sys::close(dir);
}

fn add(w: &Work, origin: &[u8], ad_hoc: bool) {
    add_entry(&w.entry, origin, ad_hoc);
}

fn add_entry(e: &Entry, origin: &[u8], ad_hoc: bool) {
    let same = CONFIG.get().pairs().iter().position(|p| {
        p.virt.to_bytes() == e.virt.as_bytes()
            && p.legs[0].to_bytes() == e.legs[0].as_bytes()
            && p.legs[1].to_bytes() == e.legs[1].as_bytes()
    });
    if let Some(nth) = same {
        // SAFETY: boot runs alone; references handed out before are to texts that stay.
        unsafe { CONFIG.boot_mut() }.pin(nth, &e.options);
        return;
    }
    for p in CONFIG.get().pairs() {
        for x in [
            p.virt.to_bytes(),
            p.legs[0].to_bytes(),
            p.legs[1].to_bytes(),
        ] {
            for y in [&e.virt, &e.legs[0], &e.legs[1]] {
                if tab::overlap(x, y.as_bytes()) {
                    fail3(origin, b": overlaps another pair: ", y.as_bytes());
                }
            }
        }
    }
    // Canonical texts are what the kernel reports; a leg behind a symlink would never be recognised.
    if ad_hoc {
        for leg in &e.legs {
            match sys::openat2(
                c::AT_FDCWD,
                leg,
                c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC,
                0,
                sys::NO_SYMLINKS,
            ) {
                Ok(n) => drop_fd(n),
                Err(_) => fail3(
                    b"MIRROR: ",
                    leg.as_bytes(),
                    b" is not a directory, or its path contains a symlink",
                ),
            }
        }
    }
    // SAFETY: boot runs alone; references handed out before are to texts that stay.
    let config = unsafe { CONFIG.boot_mut() };
    if config.full() {
        fail3(origin, b": more than 64 pairs", END_A_PAIR);
    }
    if config.add(e).is_none() {
        fail3(
            origin,
            b": the paths of all pairs together are longer than 32 KiB",
            END_A_PAIR,
        );
    }
}

const END_A_PAIR: &[u8] = b". mirror config check; mirror detach V ends a pair";
const _: () = assert!(mirror_core::MAX_PAIRS == 64 && mirror_core::numbers::TEXTS_MAX == 32 * 1024);

fn drop_fd(n: i32) {
    let _ = sys::close(n);
}

/// MIRROR_ONLY=V1:V2 (set by `mirror run --pair`): every V named there must be configured; the other pairs
/// are closed.
fn restrict(_w: &Work) {
    let Some(only) = env::get(Var::MirrorOnly) else {
        return;
    };
    // SAFETY: boot runs alone.
    let config = unsafe { CONFIG.boot_mut() };
    for v in only.split(|&c| c == b':') {
        if !CONFIG.get().pairs().iter().any(|p| p.virt.to_bytes() == v) {
            fail3(
                b"MIRROR_ONLY: no pair ",
                v,
                b" is configured. See: mirror status",
            );
        }
    }
    // The others stay known: unmirrored in silence is what they must not be.
    config.close(|p| only.split(|&c| c == b':').any(|v| v == p.virt.to_bytes()));
}

fn fault(origin: &[u8], line: u32, f: Fault) -> ! {
    let mut t = PathText::<{ PATH_MAX }>::new();
    let _ = t.append(origin);
    if line > 0 {
        let _ = t.append(b":");
        sys::append_number(line, &mut t);
    }
    let _ = t.append(b": ");
    let _ = t.append(f.text().as_bytes());
    crate::boot::end::fail(t.as_bytes())
}

fn fail3(a: &[u8], b: &[u8], c: &[u8]) -> ! {
    let mut t = PathText::<{ PATH_MAX + 512 }>::new();
    let _ = t.append(a);
    let _ = t.append(b);
    let _ = t.append(c);
    crate::boot::end::fail(t.as_bytes())
}

//! Reads the configuration at boot. Runs in the IFUNC resolver: one thread, raw system calls only.
//! What is wrong here ends the program with 78 and one line: never unmirrored in silence.
use crate::boot::end::Start;
use crate::cell::BootCell;
use crate::config::{self, CONFIG, PairConf};
use crate::process::actor::OWN_PID;
use crate::process::fds::{ANY_PARTNER, TOLD};
use crate::program::env::{self, Var};
use crate::program::files::{self, Fd};
use crate::program::info::BootInfo;

use core::ffi::CStr;
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::Errno;
use mirror_core::numbers::SENTINEL;
use mirror_core::path::{PATH_MAX, PathText};
use mirror_core::tab::{self, Entry, Fault};
use mirror_core::tabs::{self, FILE_MAX};
use mirror_sys as sys;

/// For tabs that do not fit on the stack; all zeros, so it needs no room in the file.
static TAB: BootCell<[u8; FILE_MAX]> = BootCell::new([0; FILE_MAX]);
/// For the name of a tab in somebody's home.
static NAME: BootCell<PathText<PATH_MAX>> = BootCell::new(PathText::new());

/// Decides what this process is to the mirror.
pub fn start(b: &BootInfo) -> Start {
    if is_command(b) {
        return Start::Off;
    }
    env::save(b);
    if let Some(v) = env::get(Var::Mirror) {
        ad_hoc(v);
    }
    match env::value(Var::Mirrortab) {
        Some(p) => {
            if !read_tab(b, None, p) {
                fail3(
                    b"MIRRORTAB names ",
                    p.to_bytes(),
                    b", which cannot be read. Check the name, or unset MIRRORTAB",
                );
            }
        }
        None => default_tabs(b),
    }
    restrict();
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
    let told = sys::is_open(SENTINEL);
    ANY_PARTNER.store(told, Ordering::Relaxed);
    TOLD.store(told, Ordering::Relaxed);
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

fn default_tabs(b: &BootInfo) {
    read_tab(b, None, c"/etc/mirrortab");
    read_tab_dir(b);
    // The system's root reads no home.
    if b.reads_home
        && let Some(home) = env::get(Var::Home)
    {
        read_home(b, home);
    }
}

#[inline(never)]
fn read_home(b: &BootInfo, home: &[u8]) {
    // SAFETY: boot runs alone, and this is the one place that names it.
    let name = unsafe { NAME.boot_mut() };
    // As `tabs::of_home`, which would need the room of a path on the stack.
    let is_path = home.first() == Some(&b'/');
    if is_path && name.set(home).is_ok() && name.push(tabs::BELOW_HOME.as_bytes()).is_ok() {
        // SAFETY: such a text ends with a NUL.
        read_tab(b, None, unsafe { CStr::from_ptr(name.as_ptr().cast()) });
    }
}

const TAB_DIR: &CStr = c"/etc/mirrortab.d";

/// Reads a tab, which is in the folder of tabs if that is given. False: it is not there (or, for an ordinary
/// reason, not ours to read).
fn read_tab(b: &BootInfo, dir: Option<&Fd>, path: &CStr) -> bool {
    let origin = Origin(dir.is_some(), path);
    let file = match files::open_path(dir, path, c::O_RDONLY | c::O_NONBLOCK | c::O_NOCTTY) {
        Ok(file) => file,
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => return false,
        Err(_) => origin.fail(b" cannot be opened"),
    };
    let system = dir.is_some() || path.to_bytes() == tabs::SYSTEM.as_bytes();
    let Some(size) = files::size_of_trusted(&file, b.euid, c::S_IFREG, system) else {
        origin.fail(
            b" must be a file of root or of you that nobody else can write (chmod go-w, chown)",
        )
    };
    let mut small = [0; 1024];
    let room = if size < small.len() as u64 {
        &mut small[..]
    } else {
        // SAFETY: boot runs alone, and this is the one place that names it.
        unsafe { TAB.boot_mut() }
    };
    let full = room.len();
    let Some(len) = files::read(&file, room, size) else {
        origin.fail(b" cannot be read")
    };
    if len >= full {
        origin.fail(match size < FILE_MAX as u64 {
            true => b" is being written",
            false => b" is larger than 64 KiB",
        });
    }
    for (number, line) in tab::lines(room.get(..len).unwrap_or(&[])) {
        add(&origin, number, |e: &mut Entry<'_>| {
            tab::parse_line(line, number, e)
        });
    }
    true
}

/// /etc/mirrortab.d/*.tab. Order does not matter to the library: pairs never overlap.
fn read_tab_dir(b: &BootInfo) {
    let Ok(dir) = files::open_path(None, TAB_DIR, c::O_RDONLY | c::O_DIRECTORY) else {
        return;
    };
    read_tabs_in(b, &dir);
}

#[inline(never)]
fn read_tabs_in(b: &BootInfo, dir: &Fd) {
    let mut list = [0u8; 1024];
    while let Some(n) = files::entries(dir, &mut list).filter(|n| *n > 0) {
        let mut rest = list.get(..n).unwrap_or(&[]);
        while let (Some(&[lo, hi]), Some(body)) = (
            rest.get(16..18).and_then(|s| s.first_chunk::<2>()),
            rest.get(19..),
        ) {
            let len = usize::from(u16::from_le_bytes([lo, hi]));
            let name = CStr::from_bytes_until_nul(body).unwrap_or(c"");
            let text = name.to_bytes();
            if text.ends_with(b".tab") && text.first() != Some(&b'.') {
                read_tab(b, Some(dir), name);
            }
            rest = match rest.get(len..) {
                Some(r) if len > 0 => r,
                _ => break,
            };
        }
    }
}

/// Where a pair was read, for a line about it.
struct Origin<'a>(bool, &'a CStr);

impl Origin<'_> {
    fn parts(&self) -> [&[u8]; 3] {
        match self.0 {
            true => [TAB_DIR.to_bytes(), b"/", self.1.to_bytes()],
            false => [b"", b"", self.1.to_bytes()],
        }
    }

    #[cold]
    #[inline(never)]
    fn fail(&self, what: &[u8]) -> ! {
        self.fail_with(what, b"")
    }

    #[cold]
    #[inline(never)]
    fn fail_with(&self, what: &[u8], which: &[u8]) -> ! {
        let mut t = PathText::<{ PATH_MAX + 512 }>::new();
        for part in self.parts().into_iter().chain([what, which]) {
            let _ = t.append(part);
        }
        crate::boot::end::fail(t.as_bytes())
    }

    #[cold]
    #[inline(never)]
    fn fault(&self, line: u32, f: Fault) -> ! {
        let mut t = PathText::<32>::new();
        if line > 0 {
            let _ = t.append(b":");
            sys::append_number(line, &mut t);
        }
        let _ = t.append(b": ");
        self.fail_with(t.as_bytes(), f.text().as_bytes())
    }
}

/// The variable MIRROR. Canonical texts are what the kernel reports; a leg behind a symlink would never be
/// recognised.
#[cold]
#[inline(never)]
fn ad_hoc(value: &[u8]) {
    let pairs = CONFIG.get().pairs().len();
    add(&Origin(false, c"MIRROR"), 0, |e: &mut Entry<'_>| {
        tab::parse_mirror(value, e).map(|()| true)
    });
    let Some(p) = CONFIG.get().pairs().get(pairs) else {
        return;
    };
    for leg in p.legs {
        let text = PathText::<PATH_MAX>::from_bytes(leg.to_bytes());
        let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
        let found = text
            .map_err(|_| Errno::ENAMETOOLONG)
            .and_then(|t| sys::openat2(c::AT_FDCWD, &t, flags, 0, sys::NO_SYMLINKS));
        match found {
            Ok(n) => drop(sys::close(n)),
            Err(_) => fail3(
                b"MIRROR: ",
                leg.to_bytes(),
                b" is not a directory, or its path contains a symlink",
            ),
        }
    }
}

/// Adds what a line says, if it says a pair.
fn add(origin: &Origin<'_>, line: u32, parse: impl Fn(&mut Entry<'_>) -> Result<bool, Fault>) {
    // SAFETY: boot runs alone.
    let given = unsafe { config::given(parse, |e| is_new(origin, e)) };
    let (texts, options) = match given {
        Ok(None) => return,
        Ok(Some(pair)) => pair,
        Err(Fault::NoRoom) => origin.fail_with(
            b": the paths of all pairs together are longer than 32 KiB",
            END_A_PAIR,
        ),
        Err(f) => origin.fault(line, f),
    };
    // SAFETY: boot runs alone; references handed out before are to texts that stay.
    if unsafe { CONFIG.boot_mut() }.add(&texts, options).is_none() {
        origin.fail_with(b": more than 64 pairs", END_A_PAIR);
    }
}

/// Whether the pair has not been read before. It must not overlap another one.
fn is_new(origin: &Origin<'_>, e: &Entry<'_>) -> bool {
    let texts = |p: &PairConf| [p.virt, p.legs.a, p.legs.b].map(CStr::to_bytes);
    let pairs = CONFIG.get().pairs();
    if let Some(nth) = pairs.iter().position(|p| texts(p) == e.paths()) {
        // SAFETY: boot runs alone; references handed out before are to texts that stay.
        unsafe { CONFIG.boot_mut() }.pin(nth, &e.options);
        return false;
    }
    for x in pairs.iter().flat_map(texts) {
        if let Some(y) = e.paths().into_iter().find(|y| tab::overlap(x, y)) {
            origin.fail_with(b": overlaps another pair: ", y);
        }
    }
    true
}

const END_A_PAIR: &[u8] = b". mirror config check; mirror detach V ends a pair";
const _: () = assert!(mirror_core::MAX_PAIRS == 64 && mirror_core::numbers::TEXTS_MAX == 32 * 1024);

/// MIRROR_ONLY=V1:V2 (set by `mirror run --pair`): every V named there must be configured; the other pairs
/// are closed.
fn restrict() {
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

#[cold]
#[inline(never)]
fn fail3(a: &[u8], b: &[u8], c: &[u8]) -> ! {
    let mut t = PathText::<{ PATH_MAX + 512 }>::new();
    let _ = t.append(a);
    let _ = t.append(b);
    let _ = t.append(c);
    crate::boot::end::fail(t.as_bytes())
}

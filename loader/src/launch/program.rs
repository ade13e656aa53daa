//! What kind of program a command is, before it is started: found, runnable, and one whose system
//! calls go through libc.
use crate::fail::{Fail, Kind, Res};
use crate::text;
use mirror_core::program::needs_library;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why a program's changes cannot be mirrored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmirrorable {
    /// No dynamic linker.
    Static,
    /// A dynamic linker, but no library at all.
    NoLibc,
    /// Go's runtime makes its system calls itself, and there is no libc in the process.
    Go,
    /// ld.so drops the preload: set-id bits or file capabilities.
    Privileged(&'static str),
    /// Another machine or word size.
    Foreign(String),
    /// Another C library.
    Musl,
    /// Its runtime insists on being loaded first.
    AddressSanitizer,
}

impl Unmirrorable {
    /// The line about a program of this name.
    pub fn text(&self, name: &str) -> String {
        let way = format!("Refused; --allow-unmirrored {name} runs it all the same");
        match self {
            Unmirrorable::Static => {
                format!("{name} is statically linked: its writes would reach leg a only. {way}")
            }
            Unmirrorable::NoLibc => {
                format!("{name} does not use libc: its writes would reach leg a only. {way}")
            }
            Unmirrorable::Go => format!(
                "{name} is a Go program and bypasses libc: its writes would reach leg a only. {way}"
            ),
            Unmirrorable::Privileged(why) => format!(
                "{name} {why}, so ld.so drops the preload: its writes would reach leg a only. {way}"
            ),
            Unmirrorable::Foreign(what) => format!(
                "{name} is a program for {what}: libmirror.so cannot be loaded into it. {way}"
            ),
            Unmirrorable::AddressSanitizer => format!(
                "{name} is built with AddressSanitizer, whose runtime refuses to be loaded behind libmirror.so. Set ASAN_OPTIONS=verify_asan_link_order=0"
            ),
            Unmirrorable::Musl => {
                format!("{name} uses musl, not glibc: its writes would reach leg a only. {way}")
            }
        }
    }
}

/// A command that can be started.
pub struct Program {
    /// The file that is executed.
    pub file: PathBuf,
    /// The file that the kernel loads (the interpreter, for a script).
    pub elf: PathBuf,
    /// The name used in messages (the interpreter's, for a script).
    pub name: String,
    /// Why it cannot be mirrored, if it cannot.
    pub unmirrorable: Option<Unmirrorable>,
    /// It stays outside the mirror by itself (this command).
    pub outside: bool,
}

/// Finds a command as execvp would.
pub fn find(word: &OsStr) -> Res<PathBuf> {
    let shown = text::show(word.as_bytes());
    if word.as_bytes().contains(&b'/') {
        let p = PathBuf::from(word);
        return match runnable(&p) {
            Ok(()) => Ok(p),
            Err(libc::ENOENT | libc::ENOTDIR) => {
                Err(Fail::new(Kind::NotFound, format!("{shown}: no such file")))
            }
            Err(e) => Err(Fail::new(
                Kind::NotRunnable,
                format!("{shown}: {}", why(&p, e)),
            )),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/bin:/usr/bin"));
    let mut refused = None;
    for dir in path.as_bytes().split(|&c| c == b':') {
        let dir = if dir.is_empty() {
            Path::new(".")
        } else {
            Path::new(OsStr::from_bytes(dir))
        };
        let p = dir.join(word);
        match runnable(&p) {
            Ok(()) => return Ok(p),
            Err(libc::ENOENT | libc::ENOTDIR) => {}
            // A folder that may not be searched is passed by, as shells do.
            Err(libc::EACCES) if std::fs::metadata(&p).is_err() => {}
            Err(e) => {
                refused.get_or_insert((p, e));
            }
        }
    }
    match refused {
        Some((p, e)) if !word.is_empty() => Err(Fail::new(
            Kind::NotRunnable,
            format!("{}: {}", text::path(&p), why(&p, e)),
        )),
        _ => Err(Fail::new(
            Kind::NotFound,
            format!("{shown}: command not found"),
        )),
    }
}

fn why(p: &Path, e: i32) -> String {
    if p.is_dir() {
        "is a directory, not a program".into()
    } else {
        crate::fail::reason(&std::io::Error::from_raw_os_error(e))
    }
}

fn runnable(p: &Path) -> Result<(), i32> {
    let m = std::fs::metadata(p).map_err(|e| e.raw_os_error().unwrap_or(libc::EIO))?;
    if !m.is_file() {
        return Err(libc::EACCES);
    }
    crate::tree::beneath::may(p, rustix::fs::Access::EXEC_OK).map_err(|e| e.raw_os_error())
}

/// Looks into a command's file, and after `#!` into its interpreter's (four deep, like the kernel).
// long: one question after the other about one file
pub fn inspect(file: PathBuf) -> Res<Program> {
    let mut at = file.clone();
    for _ in 0..5 {
        let name = text::show(at.file_name().unwrap_or(at.as_os_str()).as_bytes());
        let mut p = Program {
            file: file.clone(),
            elf: at.clone(),
            name,
            unmirrorable: privileged(&at),
            outside: false,
        };
        let Ok(f) = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(&at)
        else {
            // It may be executed but not read: its linkage cannot be known; the proof of attachment decides.
            return Ok(p);
        };
        let mut head = Vec::new();
        let _ = (&f).take(256).read_to_end(&mut head);
        if head.starts_with(b"#!") {
            // The kernel ignores a script's own set-id bits.
            at = interpreter(&head).ok_or_else(|| {
                Fail::new(
                    Kind::NotRunnable,
                    format!("{}: its #! line names no interpreter", text::path(&at)),
                )
            })?;
            match runnable(&at) {
                Ok(()) => continue,
                Err(libc::ENOENT | libc::ENOTDIR) => {
                    return Err(Fail::new(
                        Kind::NotRunnable,
                        format!(
                            "{}: its interpreter {} is not there",
                            text::path(&file),
                            text::path(&at)
                        ),
                    ));
                }
                Err(e) => {
                    return Err(Fail::new(
                        Kind::NotRunnable,
                        format!(
                            "{}: its interpreter {}: {}",
                            text::path(&file),
                            text::path(&at),
                            why(&at, e)
                        ),
                    ));
                }
            }
        }
        if !head.starts_with(b"\x7fELF") {
            if head.iter().take(128).any(|&b| b == 0) {
                return Err(Fail::new(
                    Kind::NotRunnable,
                    format!("{}: not a program (exec format error)", text::path(&at)),
                ));
            }
            // A text without #!: execvp gives it to the shell.
            at = PathBuf::from("/bin/sh");
            continue;
        }
        let elf = Elf::read(&f);
        p.outside = elf.note_of(b"Mirror\0");
        if p.unmirrorable.is_none() {
            p.unmirrorable = elf.judge(&at);
        }
        return Ok(p);
    }
    Err(Fail::new(
        Kind::NotRunnable,
        format!("{}: too many interpreters in a row", text::path(&file)),
    ))
}

/// Whether a file is an ELF object of this machine.
pub fn loadable(f: &File) -> bool {
    let e = Elf::read(f);
    bytes(f, 0, 4) == b"\x7fELF" && e.class == 2 && e.data == 1 && e.machine == HOST
}

fn interpreter(head: &[u8]) -> Option<PathBuf> {
    let line = head.get(2..)?.split(|&b| b == b'\n').next()?;
    let word = line
        .split(|b| matches!(b, b' ' | b'\t' | b'\r'))
        .find(|w| !w.is_empty())?;
    Some(PathBuf::from(OsString::from_vec(word.to_vec())))
}

fn privileged(p: &Path) -> Option<Unmirrorable> {
    let m = std::fs::metadata(p).ok()?;
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    if m.mode() & libc::S_ISUID != 0 && m.uid() != uid {
        return Some(Unmirrorable::Privileged("is setuid"));
    }
    if m.mode() & (libc::S_ISGID | libc::S_IXGRP) == libc::S_ISGID | libc::S_IXGRP && m.gid() != gid
    {
        return Some(Unmirrorable::Privileged("is setgid"));
    }
    let mut b = [0u8; 64];
    if uid != 0 && rustix::fs::getxattr(p, "security.capability", &mut b[..]).is_ok() {
        return Some(Unmirrorable::Privileged("has file capabilities"));
    }
    None
}

/// As much of an ELF file as the judgement needs. Whatever is out of bounds reads as absent.
#[derive(Default)]
struct Elf {
    class: u8,
    data: u8,
    machine: u16,
    interp: Option<Vec<u8>>,
    dynamic: bool,
    /// It names a library that it needs.
    needs: bool,
    /// It needs the shared runtime of AddressSanitizer.
    asan: bool,
    notes: Vec<Vec<u8>>,
    go_section: bool,
}

fn bytes(f: &File, at: u64, len: u64) -> Vec<u8> {
    let mut b = vec![0; usize::try_from(len.min(1 << 20)).unwrap_or(0)];
    match f.read_exact_at(&mut b, at) {
        Ok(()) => b,
        Err(_) => Vec::new(),
    }
}

fn num(b: &[u8], at: usize, len: usize) -> u64 {
    b.get(at..at + len)
        .map_or(0, |s| s.iter().rev().fold(0, |v, &x| v << 8 | u64::from(x)))
}

impl Elf {
    fn read(f: &File) -> Elf {
        let h = bytes(f, 0, 64);
        let mut e = Elf {
            class: num(&h, 4, 1) as u8,
            data: num(&h, 5, 1) as u8,
            machine: num(&h, 18, 2) as u16,
            ..Elf::default()
        };
        if e.class != 2 || e.data != 1 {
            return e;
        }
        let (size, n) = (num(&h, 54, 2), num(&h, 56, 2));
        let table = bytes(f, num(&h, 32, 8), size * n);
        for ph in table.chunks_exact(usize::try_from(size.max(56)).unwrap_or(56)) {
            let (kind, at, len) = (num(ph, 0, 4), num(ph, 8, 8), num(ph, 32, 8));
            match kind {
                2 => {
                    e.dynamic = true;
                    let entries = bytes(f, at, len);
                    e.needs = needs_library(&entries) == Some(true);
                    e.asan = needed(f, &entries, &table, size).iter().any(|n| {
                        n.starts_with(b"libasan.so") || n.starts_with(b"libclang_rt.asan")
                    });
                }
                3 => e.interp = Some(bytes(f, at, len)),
                4 => e.notes.extend(notes(&bytes(f, at, len))),
                _ => {}
            }
        }
        e.go_section = e
            .sections(f, &h)
            .iter()
            .any(|s| s == b".go.buildinfo" || s == b".note.go.buildid" || s == b".gopclntab");
        e
    }

    fn sections(&self, f: &File, h: &[u8]) -> Vec<Vec<u8>> {
        let (at, size, n, strings) = (num(h, 40, 8), num(h, 58, 2), num(h, 60, 2), num(h, 62, 2));
        let table = bytes(f, at, size * n);
        let step = usize::try_from(size.max(64)).unwrap_or(64);
        let Some(s) = table
            .chunks_exact(step)
            .nth(usize::try_from(strings).unwrap_or(0))
        else {
            return vec![];
        };
        let names = bytes(f, num(s, 24, 8), num(s, 32, 8));
        table
            .chunks_exact(step)
            .filter_map(|sh| {
                names
                    .get(usize::try_from(num(sh, 0, 4)).ok()?..)?
                    .split(|&b| b == 0)
                    .next()
                    .map(<[u8]>::to_vec)
            })
            .collect()
    }

    fn note_of(&self, name: &[u8]) -> bool {
        self.notes.iter().any(|n| n.starts_with(name))
    }

    fn judge(&self, file: &Path) -> Option<Unmirrorable> {
        if self.class != 2 || self.data != 1 || self.machine != HOST {
            return Some(Unmirrorable::Foreign(machine(self.class, self.machine)));
        }
        // With a libc in the process its calls are dispatched.
        let seen = self.interp.is_some() && self.needs && dispatched();
        if (self.note_of(b"Go\0") || self.go_section) && !seen {
            return Some(Unmirrorable::Go);
        }
        match &self.interp {
            Some(i) if i.windows(7).any(|w| w == b"ld-musl") => Some(Unmirrorable::Musl),
            Some(_) if self.asan && !any_order() => Some(Unmirrorable::AddressSanitizer),
            Some(_) if !self.needs => Some(Unmirrorable::NoLibc),
            Some(_) => None,
            // ld.so itself, given a program to run, preloads too.
            None if self.dynamic && is_linker(file) => None,
            None => Some(Unmirrorable::Static),
        }
    }
}

/// The names of the libraries that a dynamic section says are needed.
fn needed(f: &File, entries: &[u8], headers: &[u8], size: u64) -> Vec<Vec<u8>> {
    let value = |tag: u64| {
        let mut all = entries.chunks_exact(16);
        move || all.find(|e| num(e, 0, 8) == tag).map(|e| num(e, 8, 8))
    };
    let (Some(at), Some(len)) = (value(5)(), value(10)()) else {
        return vec![];
    };
    // Its address, as a place in the file.
    let step = usize::try_from(size.max(56)).unwrap_or(56);
    let offset = headers.chunks_exact(step).find_map(|ph| {
        let (kind, file, address, length) =
            (num(ph, 0, 4), num(ph, 8, 8), num(ph, 16, 8), num(ph, 32, 8));
        let inside = kind == 1 && at >= address && at - address < length;
        inside.then(|| file.wrapping_add(at - address))
    });
    let strings = bytes(f, offset.unwrap_or(0), len);
    entries
        .chunks_exact(16)
        .filter(|e| num(e, 0, 8) == 1)
        .filter_map(|e| {
            let from = usize::try_from(num(e, 8, 8)).ok()?;
            let name = strings.get(from..)?.split(|&b| b == 0).next()?;
            Some(name.to_vec())
        })
        .collect()
}

/// Whether the library in a program will see calls that are not libc's.
fn dispatched() -> bool {
    std::env::var_os("MIRROR_NET").is_none_or(|v| v != "never")
}

/// Whether the user has told AddressSanitizer not to mind.
fn any_order() -> bool {
    std::env::var_os("ASAN_OPTIONS").is_some_and(|v| {
        v.as_bytes()
            .windows(24)
            .any(|w| w == b"verify_asan_link_order=0")
    })
}

fn is_linker(file: &Path) -> bool {
    let real = std::fs::canonicalize(file).unwrap_or_default();
    let name = |p: &Path| {
        p.file_name()
            .is_some_and(|n| n.as_bytes().starts_with(b"ld-linux"))
    };
    name(file) || name(&real)
}

#[cfg(target_arch = "x86_64")]
const HOST: u16 = 62;
#[cfg(target_arch = "aarch64")]
const HOST: u16 = 183;

fn machine(class: u8, n: u16) -> String {
    let name = match n {
        3 => "i386",
        40 => "arm",
        62 if class == 1 => "x32",
        62 => "x86-64",
        183 => "aarch64",
        243 => "riscv",
        _ => "another machine",
    };
    if class == 1 {
        format!("{name} (32 bit)")
    } else {
        name.into()
    }
}

fn notes(b: &[u8]) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut at = 0usize;
    while let Some(h) = b.get(at..at + 12) {
        let pad = |n: u64| {
            usize::try_from(n).map_or(usize::MAX / 8, |n| n.min(1 << 20).next_multiple_of(4))
        };
        let (name, desc) = (num(h, 0, 4), num(h, 4, 4));
        let Some(n) = b
            .get(at + 12..)
            .and_then(|r| r.get(..usize::try_from(name).unwrap_or(usize::MAX)))
        else {
            break;
        };
        out.push(n.to_vec());
        at += 12 + pad(name) + pad(desc);
    }
    out
}

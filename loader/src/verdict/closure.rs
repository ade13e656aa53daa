//! The libraries that a program is loaded with, as ld.so would find them: enough to judge them before. What
//! is not found here the library finds unknown.
use super::file::{headers, number, piece};
use crate::image::cached_library;
use mirror_core::verdicts::PHDR;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where ld.so looks when its cache does not name a library.
const DEFAULT: [&str; 6] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];
/// No program has more.
const MOST: usize = 4096;
const LARGEST: usize = 1 << 24;

const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// What a file says of the libraries that it needs.
#[derive(Debug, Default)]
pub struct Wants {
    needed: Vec<Vec<u8>>,
    /// Folders, with `$ORIGIN` as the file has it.
    paths: Vec<u8>,
    /// They hold for the libraries of its libraries too.
    inherited: bool,
}

impl Wants {
    fn read(f: &File) -> io::Result<Wants> {
        let mut out = Wants::default();
        let Some(headers) = headers(f)? else {
            return Ok(out);
        };
        let segment = |kind: u64| {
            let mut all = headers.chunks_exact(PHDR);
            all.find(move |h| number(h, 0, 4) == kind)
                .map(|h| (number(h, 8, 8), number(h, 32, 8)))
        };
        let Some((at, len)) = segment(2) else {
            return Ok(out);
        };
        let dynamic = piece(f, at, len, LARGEST)?.unwrap_or_default();
        let entries: Vec<(u64, u64)> = dynamic
            .chunks_exact(16)
            .map(|e| (number(e, 0, 8), number(e, 8, 8)))
            .take_while(|(tag, _)| *tag != DT_NULL)
            .collect();
        let value = |tag| entries.iter().find(|e| e.0 == tag).map(|e| e.1);
        let (Some(strings), Some(size)) = (value(DT_STRTAB), value(DT_STRSZ)) else {
            return Ok(out);
        };
        let place = headers.chunks_exact(PHDR).find_map(|h| {
            let (address, length) = (number(h, 16, 8), number(h, 32, 8));
            let inside = number(h, 0, 4) == 1 && strings >= address && strings - address < length;
            inside.then(|| number(h, 8, 8).wrapping_add(strings - address))
        });
        let strings = match place {
            Some(at) => piece(f, at, size, LARGEST)?.unwrap_or_default(),
            None => return Ok(out),
        };
        let text = |at: u64| {
            let rest = strings.get(usize::try_from(at).ok()?..)?;
            Some(rest.split(|b| *b == 0).next()?.to_vec())
        };
        out.needed = entries
            .iter()
            .filter(|e| e.0 == DT_NEEDED)
            .filter_map(|e| text(e.1))
            .collect();
        let (run, r) = (value(DT_RUNPATH), value(DT_RPATH));
        out.inherited = run.is_none() && r.is_some();
        out.paths = run.or(r).and_then(text).unwrap_or_default();
        Ok(out)
    }
}

/// The folders of a list, with `$ORIGIN` replaced.
fn folders(list: &[u8], file: &Path) -> Vec<PathBuf> {
    let origin = file.parent().unwrap_or(Path::new("/"));
    list.split(|b| *b == b':')
        .filter(|p| !p.is_empty())
        .map(|p| {
            let p = String::from_utf8_lossy(p)
                .replace("${ORIGIN}", "$ORIGIN")
                .replace("$ORIGIN", &origin.to_string_lossy());
            PathBuf::from(p)
        })
        .collect()
}

/// The program, then every library that it and they need; what cannot be found is left out.
pub fn closure(program: &Path) -> Vec<PathBuf> {
    let first = program.canonicalize().unwrap_or_else(|_| program.into());
    let set = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let asked = folders(set.as_bytes(), &first);
    let mut inherited = Vec::new();
    let (mut out, mut seen) = (vec![first], BTreeSet::new());
    let mut at = 0;
    while let Some(file) = out.get(at).cloned() {
        at += 1;
        let wants = File::open(&file).and_then(|f| Wants::read(&f));
        let Ok(wants) = wants else { continue };
        let own = folders(&wants.paths, &file);
        if wants.inherited && at == 1 {
            inherited.clone_from(&own);
        }
        for name in wants.needed {
            if out.len() >= MOST || !seen.insert(name.clone()) {
                continue;
            }
            let name = Path::new(OsStr::from_bytes(&name)).to_path_buf();
            let dirs = own.iter().chain(&inherited).chain(&asked);
            let found = if name.as_os_str().as_bytes().contains(&b'/') {
                Some(name)
            } else {
                let mut near = dirs.map(|d| d.join(&name)).filter(|p| p.is_file());
                near.next().or_else(|| cached_library(&name)).or_else(|| {
                    let mut all = DEFAULT.iter().map(|d| Path::new(d).join(&name));
                    all.find(|p| p.is_file())
                })
            };
            if let Some(p) = found.and_then(|p| p.canonicalize().ok()) {
                out.push(p);
            }
        }
    }
    out.dedup();
    out
}

//! Where images lie, how they are written and when they are trusted.
//!
//! Rules of this file: the shim (shim/src/boot/entry.rs) looks in the same places in the same order;
//! written to a temporary name, synced, renamed.
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use mirror_core::image::{FNV_START, HEADER_LEN, Header, fnv1a};

use super::kinds::{Error, Status};

const CHUNK: usize = 128 << 10;
const SYSTEM: &str = "/var/cache/mirror";

fn euid() -> u32 {
    // SAFETY: geteuid has no arguments, cannot fail and touches no memory.
    unsafe { libc::geteuid() }
}

/// The folder that this user writes images to.
pub fn cache_dir() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    if let Some(dir) = set("MIRROR_CACHE") {
        return Some(dir);
    }
    if euid() == 0 {
        return Some(SYSTEM.into());
    }
    set("MIRROR_HOME")
        .or_else(|| set("HOME"))
        .map(|h| h.join(".cache/mirror"))
}

/// The folders that the shim looks in, in its order.
pub fn search() -> Vec<PathBuf> {
    if std::env::var_os("MIRROR_CACHE").is_some_and(|v| !v.is_empty()) || euid() == 0 {
        return cache_dir().into_iter().collect();
    }
    std::iter::once(PathBuf::from(SYSTEM))
        .chain(cache_dir())
        .collect()
}

/// Lower-case hexadecimal.
pub fn hex(id: &[u8]) -> String {
    id.iter().map(|b| format!("{b:02x}")).collect()
}

/// The file name of an image.
pub fn image_name(build_id: &[u8]) -> String {
    format!("{}.text", hex(build_id))
}

/// The path at which this user's image of a build-id is written.
pub fn image_path(build_id: &[u8]) -> Option<PathBuf> {
    Some(cache_dir()?.join(image_name(build_id)))
}

/// Writes header page and text; readers see the old image or the whole new one.
pub fn write(dir: &Path, header: &Header, text: &[u8]) -> Result<PathBuf, Error> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(dir)
        .map_err(io(dir))?;
    let mut page = [0; HEADER_LEN];
    if !header.encode(&mut page) {
        return Err(Error::Unsuitable(
            "its layout does not fit the image format".into(),
        ));
    }
    let path = dir.join(image_name(header.build_id()));
    let temp = dir.join(format!(
        ".{}.{}",
        image_name(header.build_id()),
        std::process::id()
    ));
    let result = (|| {
        let _ = fs::remove_file(&temp);
        let mut f = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&temp)?;
        // One buffer in large pieces: the page cache then keeps it in large folios, which map and
        // unmap four times faster than what a page and a long rest leave (seen at every exec).
        let mut whole = page.to_vec();
        whole.extend_from_slice(text);
        for piece in whole.chunks(CHUNK) {
            f.write_all(piece)?;
        }
        // the umask must not take the right to read from a system-wide image
        f.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        f.sync_all()?;
        fs::rename(&temp, &path)
    })();
    if let Err(source) = result {
        let _ = fs::remove_file(&temp);
        return Err(Error::Io { path, source });
    }
    Ok(path)
}

/// Does nobody but root and this user decide over it?
pub fn distrust(m: &fs::Metadata) -> Option<String> {
    if m.uid() != 0 && m.uid() != euid() {
        return Some(format!("belongs to user {}", m.uid()));
    }
    (m.mode() & 0o022 != 0).then(|| format!("others can write it (mode {:o})", m.mode() & 0o7777))
}

/// What the shim would find for this build-id.
pub fn check(build_id: &[u8]) -> Status {
    let mut wrong = None;
    for dir in search() {
        let path = dir.join(image_name(build_id));
        let Ok(file) = fs::symlink_metadata(&path) else {
            continue;
        };
        let problem = match fs::metadata(&dir) {
            Err(e) => Some(format!("{}: {e}", dir.display())),
            Ok(m) => distrust(&m).map(|why| format!("{} {why}", dir.display())),
        };
        let problem = problem
            .or_else(|| (!file.is_file()).then(|| "not a regular file".to_owned()))
            .or_else(|| distrust(&file))
            .or_else(|| damage(&path, build_id));
        match problem {
            None => return Status::Ok(path),
            Some(why) => wrong = wrong.or(Some(Status::Untrusted(path, why))),
        }
    }
    wrong.unwrap_or_else(|| Status::Missing(image_path(build_id).unwrap_or_else(|| SYSTEM.into())))
}

fn damage(path: &Path, build_id: &[u8]) -> Option<String> {
    let data = match fs::read(path) {
        Ok(d) => d,
        Err(e) => return Some(e.to_string()),
    };
    let header = match Header::decode(&data) {
        Ok(h) => h,
        Err(e) => return Some(format!("header: {e:?}")),
    };
    let text = data.get(HEADER_LEN..).unwrap_or(&[]);
    if header.build_id() != build_id {
        return Some("made for another library".into());
    }
    (text.len() as u64 != header.text_len || fnv1a(FNV_START, text) != header.text_sum)
        .then(|| "damaged text".to_owned())
}

fn is_64_bit(path: &Path) -> bool {
    let class = fs::File::open(path).and_then(|mut f| {
        let mut head = [0; 5];
        std::io::Read::read_exact(&mut f, &mut head).map(|()| head[4])
    });
    class.is_ok_and(|c| c == 2)
}

/// The C libraries that programs of this system use.
pub fn default_libcs() -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Ok(text) = fs::read("/proc/self/maps") {
        let mappings = text
            .split(|&b| b == b'\n')
            .filter_map(mirror_core::maps::parse);
        found.extend(
            mappings
                .filter(|m| m.name() == b"libc.so.6")
                .map(|m| PathBuf::from(OsStr::from_bytes(m.path))),
        );
    }
    if let Ok(cache) = fs::read("/etc/ld.so.cache") {
        found.extend(from_cache(&cache, "libc.so.6"));
    }
    for dir in [
        "/lib/x86_64-linux-gnu",
        "/lib64",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    ] {
        found.push(Path::new(dir).join("libc.so.6"));
    }
    let mut real: Vec<PathBuf> = Vec::new();
    for path in found {
        let Ok(path) = fs::canonicalize(path) else {
            continue;
        };
        if is_64_bit(&path) && !real.contains(&path) {
            real.push(path);
        }
    }
    real
}

/// The file that ld.so's cache has for a library's name, of this machine's word size.
pub fn cached_library(name: &Path) -> Option<PathBuf> {
    let cache = fs::read("/etc/ld.so.cache").ok()?;
    from_cache(&cache, name.to_str()?)
        .into_iter()
        .find(|p| is_64_bit(p))
}

/// A library's entries of ld.so's cache (glibc-ld.so.cache1.1: 48-byte header with the number of
/// entries at 20; entries of 24 bytes: flags, key offset, value offset, ...).
fn from_cache(cache: &[u8], name: &str) -> Vec<PathBuf> {
    let magic = b"glibc-ld.so.cache1.1";
    let Some(start) = cache.windows(magic.len()).position(|w| w == magic) else {
        return Vec::new();
    };
    let new = cache.get(start..).unwrap_or(&[]);
    let u32_at =
        |at: usize| Some(u32::from_le_bytes(new.get(at..at + 4)?.try_into().ok()?) as usize);
    let text = |at: usize| {
        let s = new.get(at..)?;
        std::str::from_utf8(s.get(..s.iter().position(|b| *b == 0)?)?).ok()
    };
    let count = u32_at(20).unwrap_or(0).min(100_000);
    (0..count)
        .filter_map(|i| {
            let e = 48 + 24 * i;
            (text(u32_at(e + 4)?)? == name).then(|| text(u32_at(e + 8)?).map(PathBuf::from))?
        })
        .collect()
}

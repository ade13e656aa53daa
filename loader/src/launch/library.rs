//! libmirror.so: where it is, whether ld.so can load it; and the prepared libc it needs.
use crate::fail::{Fail, Res, reason};
use crate::sync::own;
use crate::text;
use mirror_loader::image;
use rustix::mm::{MapFlags, ProtFlags};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where packages put the library: ld.so finds it there by its bare name.
const INSTALLED: [&str; 6] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/lib64",
];
const NAME: &str = "libmirror.so";

/// The file that `mirror run` would load now, if there is one.
pub fn current() -> Option<PathBuf> {
    find().ok().map(|(_, file)| file)
}

/// The library to preload, as a word for LD_PRELOAD, and its file.
pub fn find() -> Res<(OsString, PathBuf)> {
    if let Some(p) = std::env::var_os("MIRROR_LIB").filter(|p| !p.is_empty()) {
        // The command may change its directory before it starts others.
        let p = std::path::absolute(&p).unwrap_or_else(|_| p.into());
        return check(&p).map(|()| (p.clone().into_os_string(), p));
    }
    let exe = std::env::current_exe().unwrap_or_default();
    let beside = exe.parent().unwrap_or(Path::new("/")).join(NAME);
    if beside.exists() {
        check(&beside)?;
        let by_name = INSTALLED
            .iter()
            .any(|d| beside.parent() == Some(Path::new(d)));
        return Ok((
            if by_name {
                NAME.into()
            } else {
                beside.clone().into_os_string()
            },
            beside,
        ));
    }
    let prefix = beside.parent().and_then(Path::parent);
    let plain = prefix.map(|p| p.join("lib")).into_iter();
    for dir in plain.chain(["/usr/local/lib".into()]) {
        let p = dir.join(NAME);
        if p.exists() && !INSTALLED.iter().any(|d| dir == Path::new(d)) {
            check(&p)?;
            return Ok((p.clone().into_os_string(), p));
        }
    }
    for dir in INSTALLED {
        let p = Path::new(dir).join(NAME);
        if p.exists() {
            check(&p)?;
            return Ok((NAME.into(), p));
        }
    }
    Err(Fail::failed(format!(
        "{NAME} is neither beside this command ({}) nor installed. Put it there",
        text::path(&beside)
    )))
}

fn check(p: &Path) -> Res<()> {
    let shown = text::path(p);
    if p.as_os_str()
        .as_bytes()
        .iter()
        .any(|b| matches!(b, b' ' | b':'))
    {
        return Err(Fail::failed(format!(
            "{shown}: LD_PRELOAD cannot name a path with a space or ':'. Move the files"
        )));
    }
    let f = std::fs::File::open(p).map_err(|e| {
        Fail::failed(format!(
            "{shown}: {}. Build or install it again",
            reason(&e)
        ))
    })?;
    if f.metadata().map_or(0, |m| m.len()) == 0 {
        return Err(Fail::failed(format!(
            "{shown}: empty. Build or install it again"
        )));
    }
    if !super::program::loadable(&f) {
        return Err(Fail::failed(format!(
            "{shown}: not a library for this machine. Build or install it again"
        )));
    }
    // SAFETY: a fresh private mapping that is unmapped at once and never read.
    let mapped = unsafe {
        rustix::mm::mmap(
            std::ptr::null_mut(),
            4096,
            ProtFlags::READ | ProtFlags::EXEC,
            MapFlags::PRIVATE,
            &f,
            0,
        )
    };
    match mapped {
        Ok(at) => {
            // SAFETY: just mapped, nobody refers to it.
            let _ = unsafe { rustix::mm::munmap(at, 4096) };
            Ok(())
        }
        Err(e) => {
            let dir = text::path(p.parent().unwrap_or(Path::new("/")));
            Err(Fail::failed(format!(
                "{shown} cannot be mapped for execution ({}; noexec on {dir}?). Remount it, or put the files elsewhere",
                reason(&e.into())
            )))
        }
    }
}

/// LD_PRELOAD with the library in front of what was there.
pub fn preload(word: &OsStr) -> OsString {
    let mut v = word.to_os_string();
    let old = std::env::var_os("LD_PRELOAD").unwrap_or_default();
    for part in old.as_bytes().split(|b| matches!(b, b':' | b' ')) {
        if !part.is_empty() && part != word.as_bytes() {
            v.push(":");
            v.push(OsStr::from_bytes(part));
        }
    }
    v
}

/// Prepares the C libraries of this system that have no image yet. One that is fit is enough: whether
/// the command's own was, its proof of attachment tells.
pub fn prepare() -> Res<()> {
    let mut first = None;
    for libc in image::default_libcs() {
        let made = match image::check(&libc) {
            image::Status::Ok(_) => Ok(()),
            image::Status::Missing(_) | image::Status::Untrusted(..) => image::prepare_for(&libc)
                .map(|p| own::carry(&p.path))
                .map_err(|e| e.to_string()),
            image::Status::Unsuitable(why) => Err(why),
        };
        match made {
            Ok(()) => return Ok(()),
            Err(why) => first.get_or_insert(format!(
                "{}: {why}. As root: mirror doctor --prepare",
                text::path(&libc)
            )),
        };
    }
    Err(Fail::failed(first.unwrap_or_else(|| {
        "no 64-bit glibc found. Is this a glibc system?".into()
    })))
}

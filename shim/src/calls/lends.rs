//! Calls after which the kernel writes files by itself: swap, accounting, quotas, the upper directory of an
//! overlay, what lies below an eCryptfs.
//!
//! Rules: an object of a pair is recorded as different before the call is made; the call is the kernel's.
use crate::calls::exec::count::count_unsure;
use crate::calls::paired::lent;
use crate::calls::paired::recognise::{Fd, recognise};
use crate::path::loc::{Last, Loc, Path, Place};
use crate::path::resolve::locate;
use crate::regs::{NATIVE, Regs, arg, fail};
use crate::user;
use libc as c;
use mirror_core::Errno;
use mirror_core::calls::Call;
use mirror_core::path::split;

/// Q_QUOTAON of quotactl(2), without the type of quota.
const QUOTA_ON: u32 = 0x80_0002;
/// Commands of fsconfig(2).
const SET_STRING: u32 = 1;
const SET_PATH: u32 = 3;
const SET_FD: u32 = 5;

/// The directories that an overlay changes.
const LAYERS: [&[u8]; 2] = [b"upperdir", b"workdir"];

/// On the scratch stack.
#[inline(never)]
pub fn lend(regs: &mut Regs) -> usize {
    let found = match regs.call() {
        Some(Call::Swapon | Call::Acct) => by_address(arg(regs, 0)),
        Some(Call::Quotactl) if arg(regs, 0) as u32 >> 8 == QUOTA_ON => by_address(arg(regs, 3)),
        Some(Call::Fsconfig) => setting(regs),
        Some(Call::Mount) => mounted(regs),
        _ => Ok(()),
    };
    match found {
        Ok(()) => NATIVE,
        Err(e) => fail(regs, e),
    }
}

/// What a path of the program's leads to.
fn by_address(at: usize) -> Result<(), Errno> {
    let mut text = Path::new();
    if at == 0 || user::path(at, &mut text).is_err() {
        // Nothing, or the kernel's to refuse.
        return Ok(());
    }
    by_text(&text)
}

fn by_text(text: &Path) -> Result<(), Errno> {
    let mut loc = Loc::new();
    match locate(c::AT_FDCWD, text, Last::Follow, &mut loc) {
        Place::In => lent::record_at(loc.pair, loc.text()),
        Place::Root(_) => lent::record_at(loc.pair, b""),
        // It may be one.
        Place::Linked => return Err(Errno::EIO),
        // What the kernel will say too; of anything else it could not be found out.
        Place::Fail(
            Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES | Errno::ELOOP | Errno::ENAMETOOLONG,
        ) => {}
        Place::Fail(e) => return Err(e),
        Place::Nameless | Place::Control | Place::Out(_) => {}
    }
    Ok(())
}

/// A setting of a file system that is about to be made.
fn setting(regs: &Regs) -> Result<(), Errno> {
    let (command, key, value) = (arg(regs, 1) as u32, arg(regs, 2), arg(regs, 3));
    let mut name = Path::new();
    if !matches!(command, SET_STRING | SET_PATH | SET_FD)
        || user::path(key, &mut name).is_err()
        || !LAYERS.contains(&name.as_bytes())
    {
        return Ok(());
    }
    if command != SET_FD {
        return by_address(value);
    }
    let n = arg(regs, 4) as i32;
    match recognise(n, &mut Loc::new()) {
        Fd::Paired | Fd::Bare => lent::record(n),
        Fd::Lost(Errno::EBADF) | Fd::Out(_) => {}
        Fd::Lost(e) => return Err(e),
    }
    Ok(())
}

/// mount(2): the kinds of file systems that lie over others.
fn mounted(regs: &Regs) -> Result<(), Errno> {
    let mut kind = Path::new();
    let at = arg(regs, 2);
    if at == 0 || user::path(at, &mut kind).is_err() {
        return Ok(());
    }
    match kind.as_bytes() {
        b"overlay" => options(arg(regs, 4)),
        b"ecryptfs" => by_address(arg(regs, 0)),
        _ => Ok(()),
    }
}

/// `lowerdir=…,upperdir=…,workdir=…`, with `\` before what is no separator.
fn options(at: usize) -> Result<(), Errno> {
    let mut all = Path::new();
    if at == 0 || user::path(at, &mut all).is_err() {
        return Ok(());
    }
    let mut rest = all.as_bytes();
    while !rest.is_empty() {
        let mut text = Path::new();
        let mut plain = true;
        let mut end = rest.len();
        for (i, b) in rest.iter().enumerate() {
            match b {
                b',' if plain => {
                    end = i;
                    break;
                }
                b'\\' if plain => plain = false,
                b => {
                    plain = true;
                    let _ = text.append(&[*b]);
                }
            }
        }
        rest = rest.get(end.saturating_add(1)..).unwrap_or(&[]);
        for name in LAYERS {
            let value = text.as_bytes().strip_prefix(name);
            if let Some(value) = value.and_then(|v| v.strip_prefix(b"="))
                && let Ok(path) = Path::from_bytes(value)
            {
                by_text(&path)?;
            }
        }
    }
    Ok(())
}

/// At boot: the file that ld.so itself writes by a variable (`LD_DEBUG_OUTPUT` with a number behind it) stands in
/// this directory.
#[cold]
#[inline(never)]
pub fn linkers_file(text: &[u8]) {
    let mut dir = Path::new();
    let parent = match split(text) {
        ([], _, _) if text.first() == Some(&b'/') => &b"/"[..],
        ([], _, _) => b".",
        (parent, _, _) => parent,
    };
    let _ = dir.set(parent);
    written(&dir);
}

/// ld.so asks nobody: where it cannot be told, the pairs are to be compared.
fn written(dir: &Path) {
    if by_text(dir).is_err() {
        count_unsure(None);
    }
}

/// The same of a directory (`LD_PROFILE_OUTPUT`).
#[cold]
#[inline(never)]
pub fn linkers_directory(text: &[u8]) {
    if let Ok(dir) = Path::from_bytes(text) {
        written(&dir);
    }
}

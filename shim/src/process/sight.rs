//! Whether this process sees the system's mounts, or a view of its own: what is missing there may be there for all
//! others.
use crate::process::{mounts, place};
use libc as c;
use mirror_core::path::PathText;
use mirror_sys as sys;
use mirror_sys::{Stat, Sys};

/// Whose mounts are seen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// The system's, for certain.
    System,
    /// Nothing says that they are others.
    Likely,
    /// This process's own, or those of a part of the system; or nothing can be known.
    Own,
}

/// The inode numbers of the first mount namespace (Linux 6.18 and later: fixed) and of the first process
/// namespace (fixed in all).
const FIRST_MOUNTS: u64 = 0xefff_fff8;
const FIRST_PROCESSES: u64 = 0xefff_fffc;
/// Numbers from here on were given while the system ran; before 6.18 the first mount namespace has one of the few
/// below.
const LATER: u64 = 0xf000_0010;

/// Whose mounts this process sees.
#[cold]
#[inline(never)]
pub fn sight() -> Sight {
    if !place::plain() {
        return Sight::Own;
    }
    let Ok(own) = look(b"/proc/self/ns/mnt") else {
        return Sight::Own;
    };
    let roots = [look(b"/proc/1/root"), look(b"/proc/self/root")];
    if let [Ok(first), Ok(here)] = roots
        && !same(&first, &here)
    {
        return Sight::Own;
    }
    let first = look(b"/proc/self/ns/pid").is_ok_and(|st| st.ino() == FIRST_PROCESSES);
    if first && own.ino() == FIRST_MOUNTS {
        return Sight::System;
    }
    match look(b"/proc/1/ns/mnt") {
        Ok(init) if !same(&init, &own) => Sight::Own,
        Ok(_) if first => Sight::System,
        Ok(_) => Sight::Likely,
        // Not for this user to see.
        Err(_) if first && own.ino() >= LATER || mounts::root_follows_another() => Sight::Own,
        Err(_) => Sight::Likely,
    }
}

fn look(path: &[u8]) -> Sys<Stat> {
    let path = PathText::<32>::from_bytes(path).map_err(|_| sys::Errno::EIO)?;
    sys::fstatat(c::AT_FDCWD, &path, 0)
}

fn same(one: &Stat, other: &Stat) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

//! File systems that are mounted inside a leg: they are no part of the pair.
//!
//! Rules: what lies behind a mount point of one leg alone is never changed on the other leg, where a plain
//! directory stands in its place. A mount that shows the very directory which it covers (sandboxes make
//! such) is none; neither is one that both legs have at the same place. The file systems in which the
//! kernel shows itself are the kernel's.
use crate::attach::handle::Session;
use crate::events::refused::{self, Refused};
use crate::path::loc::Path;
use crate::path::mountinfo::{Line, below, read_lines};
use crate::process::limits::spare;
use core::sync::atomic::{AtomicU64, Ordering};
use libc as c;
use mirror_core::Errno;
use mirror_core::path::split;
use mirror_core::refusal::Refusal;
use mirror_core::{Leg, PerLeg};
use mirror_sys as sys;
use mirror_sys::Sys;

/// What the program is told: what it wanted to change cannot be changed.
pub const REFUSED: Errno = Errno::EROFS;

/// Where a path of a pair leads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Border {
    /// Into the pair, or behind a mount point on both legs.
    Within,
    /// To a file system in which the kernel shows itself.
    Kernel,
    /// Behind a mount point of one leg.
    Beyond,
}

const FLAGS: i32 = c::O_PATH | c::O_NOFOLLOW | c::O_CLOEXEC;

fn open(root: i32, rel: &Path, resolve: u64) -> Sys<i32> {
    loop {
        match spare(|| sys::openat2(root, rel, FLAGS, 0, resolve)) {
            Err(Errno::EAGAIN) => {}
            r => return r,
        }
    }
}

/// Where `rel`, or the deepest part of it that exists, lies as seen from one leg.
fn side(root: i32, rel: &Path) -> Border {
    let mut at = rel.clone();
    loop {
        if at.is_empty() {
            return Border::Within;
        }
        match open(root, &at, sys::BENEATH_HERE) {
            Ok(n) => {
                let _ = sys::close(n);
                return Border::Within;
            }
            Err(Errno::EXDEV) => {
                if let Ok(n) = open(root, &at, sys::BENEATH) {
                    let found = judge(root, n, &at);
                    let _ = sys::close(n);
                    return found;
                }
            }
            Err(_) => {}
        }
        let parent = split(at.as_bytes()).0.len();
        at.truncate(parent);
    }
}

/// Where `rel` leads, asked by who addresses leg `lead`. A refusal is recorded.
pub fn of(s: &Session, lead: Leg, rel: &Path) -> Border {
    between(s, lead, s.root, rel)
}

/// The same of a path that starts from these directories of leg a and b.
#[cold]
#[inline(never)]
pub fn between(s: &Session, lead: Leg, from: PerLeg<i32>, rel: &Path) -> Border {
    let on = |leg: Leg| side(from[leg], rel);
    match (on(lead), on(lead.other())) {
        (Border::Within, Border::Within) | (Border::Beyond, Border::Beyond) => Border::Within,
        (Border::Kernel, _) => Border::Kernel,
        _ => {
            let why = Refused {
                why: Refusal::Mounted,
                errno: REFUSED,
                call: None,
            };
            refused::record(s.pair, &why);
            Border::Beyond
        }
    }
}

/// The same while leg b is away: whether it has a mount there too, nobody can tell, and what is behind leg a's is leg
/// a's to change.
#[cold]
#[inline(never)]
pub fn alone(root: i32, rel: &Path) -> Border {
    match side(root, rel) {
        Border::Kernel => Border::Kernel,
        _ => Border::Within,
    }
}

/// Verdicts on mounts: a hash of mount, leg and path, its last two bits the verdict.
static KNOWN: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];

fn hash(parts: [u64; 2], rel: &[u8]) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325u64;
    let mut add = |b: u8| h = (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3);
    for p in parts {
        p.to_le_bytes().into_iter().for_each(&mut add);
    }
    rel.iter().copied().for_each(&mut add);
    h | 4
}

/// `n`, reached by `rel` over a mount point.
fn judge(root: i32, n: i32, rel: &Path) -> Border {
    let ids = (sys::mount_unique(n), sys::mount_unique(root));
    let (Ok(a), Ok(b)) = ids else {
        return judge_anew(root, n);
    };
    let key = hash([a, b], rel.as_bytes()) & !3;
    let slot = KNOWN.get((key >> 2) as usize & 15);
    if let Some(v) = slot.map(|s| s.load(Ordering::Relaxed))
        && v & !3 == key
    {
        match v & 3 {
            1 => return Border::Within,
            2 => return Border::Kernel,
            3 => return Border::Beyond,
            _ => {}
        }
    }
    let found = judge_anew(root, n);
    let code = match found {
        Border::Within => 1,
        Border::Kernel => 2,
        Border::Beyond => 3,
    };
    if let Some(s) = slot {
        s.store(key | code, Ordering::Relaxed);
    }
    found
}

fn judge_anew(root: i32, n: i32) -> Border {
    let (Ok(here), Ok(there)) = (sys::mount_shown(root), sys::mount_shown(n)) else {
        return Border::Beyond;
    };
    if here == there {
        return Border::Within;
    }
    if of_the_kernel(n) {
        return Border::Kernel;
    }
    match shows_itself(here, there) {
        Ok(true) => Border::Within,
        _ => Border::Beyond,
    }
}

/// procfs, sysfs and the like: nothing in them is data of a tree.
pub fn of_the_kernel(n: i32) -> bool {
    matches!(
        sys::fs_magic(n),
        Ok(0x9fa0
            | 0x6265_6572
            | 0x1cd1
            | 0x0027_e0eb
            | 0x6367_7270
            | 0x6462_6720
            | 0x7472_6163
            | 0x7363_6673
            | 0xcafe_4a11
            | 0x1980_0202
            | 0x6265_6570
            | 0xde5e_81e4
            | 0x6573_5543
            | 0x4249_4e4d
            | 0x0187)
    )
}

/// Whether mount `there` shows what mount `here` has at that place: root, place and device of both stand
/// in /proc/self/mountinfo.
fn shows_itself(here: u64, there: u64) -> Sys<bool> {
    let mut lines = [Line::new(), Line::new()];
    read_lines([here, there], &mut lines)?;
    let [base, top] = &lines;
    if base.root.is_empty() || top.root.is_empty() || base.device != top.device {
        return Ok(false);
    }
    let root = below(top.root.as_bytes(), base.root.as_bytes());
    let point = below(top.point.as_bytes(), base.point.as_bytes());
    Ok(root.is_some() && root == point)
}

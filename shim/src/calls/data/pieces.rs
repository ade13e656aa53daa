//! A range of one leg's file brought to the other within a transaction.
//!
//! Rules: both locks are held. A descriptor that only writes cannot be read, and opening its file again
//! and closing it would drop the program's fcntl locks: a quiet fork does that, with a table of its own.
use crate::path::loc::Path;
use core::mem::MaybeUninit;
use libc as c;
use mirror_core::{BothLocked, Errno};
use mirror_sys as sys;
use mirror_sys::{CloneRange, Sys};

/// What is carried within one transaction at most: others wait for its locks.
pub const SMALL: u64 = 16 << 20;
const PIECE: usize = 64 << 10;

/// Makes `len` bytes of `m` from `at` on like those of `n`, and `m` no shorter than `n`.
#[inline(never)]
pub fn bring(n: i32, m: i32, at: u64, len: u64, held: &BothLocked) -> Sys<()> {
    // SAFETY: the child makes raw system calls on its own copy of this memory and exits; it never
    // returns into the program.
    let pid = unsafe { sys::quiet_fork() }?;
    if pid == 0 {
        let code = match bring_child(n, m, at, len, held) {
            Ok(()) => 0,
            Err(e) => e.0,
        };
        sys::exit_group(code);
    }
    match sys::wait_quiet(pid) {
        0 => Ok(()),
        e @ 1..=133 => Err(Errno(e)),
        _ => Err(Errno::EIO),
    }
}

fn bring_child(n: i32, m: i32, at: u64, len: u64, held: &BothLocked) -> Sys<()> {
    // What lies behind the program's limit is brought too; the limit is this child's own.
    if let Ok((_, hard)) = sys::file_size(None) {
        let _ = sys::file_size(Some((hard, hard)));
    }
    let mut name = Path::new();
    sys::fd_text(n, &mut name);
    let r = sys::openat(c::AT_FDCWD, &name, c::O_RDONLY | c::O_CLOEXEC, 0)?;
    // O_DIRECT takes whole blocks alone, O_APPEND the end. Who may not open it goes on with what there is.
    sys::fd_text(m, &mut name);
    let m = sys::openat(c::AT_FDCWD, &name, c::O_WRONLY | c::O_CLOEXEC, 0).unwrap_or(m);
    let size = sys::fstat(r)?.size();
    let end = at.saturating_add(len).min(size);
    let range = CloneRange {
        src: i64::from(r),
        src_offset: at,
        length: end.saturating_sub(at),
        dst_offset: at,
    };
    if range.length == 0 || sys::clone_range(m, &range).is_err() {
        let mut pos = at;
        while pos < end {
            let data = match sys::lseek(r, pos as i64, c::SEEK_DATA) {
                Ok(d) => d.min(end),
                Err(Errno::ENXIO) => end,
                // No notion of holes.
                Err(_) => pos,
            };
            zero(m, pos, data, held)?;
            let hole =
                sys::lseek(r, data as i64, c::SEEK_HOLE).map_or(end, |h| h.min(end).max(data));
            copy(r, m, data, data, hole.saturating_sub(data), held)?;
            pos = hole.max(data);
        }
    }
    if sys::fstat(m)?.size() < size {
        sys::ftruncate(m, size)?;
    }
    Ok(())
}

/// Zeros from `from` to `to`, as far as the file reaches.
pub fn zero(m: i32, from: u64, to: u64, _: &BothLocked) -> Sys<()> {
    let to = to.min(sys::fstat(m)?.size());
    if from >= to {
        return Ok(());
    }
    let punch = c::FALLOC_FL_PUNCH_HOLE | c::FALLOC_FL_KEEP_SIZE;
    if sys::fallocate(m, punch, from, to.saturating_sub(from)).is_ok() {
        return Ok(());
    }
    let none = [0u8; 8192];
    let mut at = from;
    while at < to {
        let piece = to.saturating_sub(at).min(none.len() as u64) as usize;
        let k = sys::pwrite(m, none.get(..piece).unwrap_or(&[]), at)?;
        at = at.saturating_add(k as u64);
    }
    Ok(())
}

/// Copies `len` bytes from `r` at `at` to `m` at `goal`, as far as `r` reaches. Forwards, so that bytes
/// may move down within one file.
pub fn copy(r: i32, m: i32, at: u64, goal: u64, len: u64, held: &BothLocked) -> Sys<()> {
    let mut buf = Buffer::<PIECE>::new();
    let mut done = 0u64;
    while done < len {
        let want = len.saturating_sub(done).min(PIECE as u64) as usize;
        // SAFETY: the buffer has PIECE bytes.
        let k = unsafe { sys::pread_raw(r, buf.at(), want, at.saturating_add(done)) }?;
        if k == 0 {
            break;
        }
        // SAFETY: k bytes of it have just been filled.
        let piece = unsafe { core::slice::from_raw_parts(buf.at().cast_const(), k) };
        write_all(m, piece, goal.saturating_add(done), held)?;
        done = done.saturating_add(k as u64);
    }
    Ok(())
}

/// Moves `len` bytes of `m` from `at` up to `goal`: from the end backwards.
pub fn copy_up(m: i32, at: u64, goal: u64, len: u64, held: &BothLocked) -> Sys<()> {
    let mut left = len;
    while left > 0 {
        let step = left.min(PIECE as u64);
        left = left.saturating_sub(step);
        copy(
            m,
            m,
            at.saturating_add(left),
            goal.saturating_add(left),
            step,
            held,
        )?;
    }
    Ok(())
}

fn write_all(m: i32, bytes: &[u8], at: u64, _: &BothLocked) -> Sys<()> {
    sys::pwrite_all(m, bytes, at)
}

/// A buffer that O_DIRECT descriptors accept too.
#[repr(C, align(4096))]
pub struct Buffer<const N: usize>([MaybeUninit<u8>; N]);

impl<const N: usize> Buffer<N> {
    /// Not initialised.
    pub fn new() -> Self {
        Buffer([MaybeUninit::uninit(); N])
    }
    /// Its address.
    pub fn at(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
}

//! Flags, project and generation of an object (chattr, lsattr -p), by ioctl(2) or file_setattr(2): what
//! the program's call has changed on the first leg is changed on the second.
//!
//! Rules: each file system has flags of its own among them; only what differs before and after the
//! first leg's call is carried over.
use crate::process::limits::spare;
use libc as c;
use mirror_core::ioctls::Marks;
use mirror_core::{BothLocked, Errno};
use mirror_sys as sys;
use mirror_sys::{Object, Sys};

/// file_getattr(2) and file_setattr(2), since Linux 6.17.
const SYS_FILE_GETATTR: i64 = 468;
pub const SYS_FILE_SETATTR: i64 = 469;
/// struct file_attr as it is in that version.
const SIZE: usize = 24;

/// How the call sets them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// An ioctl.
    Ioctl(Marks),
    /// file_setattr(2).
    Call,
}

/// An object's flags and the like, in the words of the call that gets and sets them.
#[derive(Clone, Copy)]
pub struct Value {
    words: [u64; 4],
}

/// Runs `f` on a descriptor that ioctl(2) takes: an object that is held only is opened.
fn opened<T>(o: &Object, f: impl FnOnce(i32) -> Sys<T>) -> Sys<T> {
    let flags = sys::fcntl(o.fd(), c::F_GETFL, 0)? as i32;
    if flags & c::O_PATH == 0 {
        return f(o.fd());
    }
    // Nothing else is behind it: opening a fifo or device would have effects.
    if !matches!(o.stat().kind(), c::S_IFREG | c::S_IFDIR) {
        return Err(Errno::ENOTTY);
    }
    let text = o.text();
    let how = c::O_RDONLY | c::O_NONBLOCK | c::O_NOCTTY | c::O_CLOEXEC;
    let n = spare(|| sys::openat(c::AT_FDCWD, &text, how, 0))?;
    let r = f(n);
    let _ = sys::close(n);
    r
}

fn ioctl(n: i32, command: u32, words: &mut [u64; 4]) -> Sys<usize> {
    let at = words.as_mut_ptr() as usize;
    // SAFETY: the longest of the four structs has 28 bytes, and there are 32.
    sys::ret(unsafe { sys::syscall3(c::SYS_ioctl, n as usize, command as usize, at) })
}

fn file_attr(nr: i64, o: &Object, words: &mut [u64; 4]) -> Sys<usize> {
    let (text, cwd) = (o.text(), c::AT_FDCWD as isize as usize);
    let at = words.as_mut_ptr() as usize;
    // SAFETY: our own path and struct, of the size that is given.
    sys::ret(unsafe { sys::syscall5(nr, cwd, text.as_ptr() as usize, at, SIZE, 0) })
}

impl By {
    /// What the object has.
    pub fn get(self, o: &Object) -> Sys<Value> {
        let mut words = [0; 4];
        match self {
            By::Ioctl(m) => opened(o, |n| ioctl(n, m.commands().0, &mut words))?,
            By::Call => file_attr(SYS_FILE_GETATTR, o, &mut words)?,
        };
        Ok(Value { words })
    }
    /// Gives it these.
    pub fn set(self, o: &Object, mut v: Value, _: &BothLocked) -> Sys<usize> {
        match self {
            By::Ioctl(m) => opened(o, |n| ioctl(n, m.commands().1, &mut v.words)),
            By::Call => file_attr(SYS_FILE_SETATTR, o, &mut v.words),
        }
    }
    /// Changes on `second` what has changed from `before` to `after`. An error that says that the legs
    /// do not look alike would be mended by a comparison that knows no flags: it is a refusal.
    pub fn follow(
        self,
        second: &Object,
        before: &Value,
        after: &Value,
        held: &BothLocked,
    ) -> Sys<usize> {
        let work = || {
            let old = self.get(second)?;
            let mut v = old;
            if !v.take_over(self, before, after) {
                return Ok(0);
            }
            let r = self.set(second, v, held);
            if r.is_err() {
                // ext4 sets the flags and then lays the file out anew, which may fail.
                let _ = self.set(second, old, held);
            }
            r
        };
        work().map_err(|_: Errno| Errno::EOPNOTSUPP)
    }
}

impl Value {
    /// Whether anything had to be changed.
    fn take_over(&mut self, by: By, before: &Value, after: &Value) -> bool {
        let old = self.words;
        let all = self
            .words
            .iter_mut()
            .zip(before.words.iter().zip(&after.words));
        for (i, (mine, (b, a))) in all.enumerate() {
            // The field of bits comes first; what else there is is 32 bits wide, or one number.
            let bits = i == 0;
            *mine = match by {
                By::Ioctl(Marks::Flags) if bits => merge_bits(*mine, *b, *a),
                By::Call if bits => merge_bits(*mine, *b, *a),
                By::Ioctl(Marks::Extended) if bits => {
                    let low = merge_bits(*mine, *b, *a) & LOW;
                    low | merge_halves(*mine, *b, *a) & !LOW
                }
                By::Ioctl(Marks::Version | Marks::Ext4Version) if a != b => *a,
                By::Ioctl(Marks::Extended) | By::Call => merge_halves(*mine, *b, *a),
                _ => *mine,
            };
        }
        old != self.words
    }
}

const LOW: u64 = 0xffff_ffff;

fn merge_bits(mine: u64, before: u64, after: u64) -> u64 {
    let changed = before ^ after;
    mine & !changed | after & changed
}

fn merge_halves(mine: u64, before: u64, after: u64) -> u64 {
    let half = |mask: u64| {
        if (before ^ after) & mask != 0 {
            after & mask
        } else {
            mine & mask
        }
    };
    half(LOW) | half(!LOW)
}

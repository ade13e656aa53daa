//! Flags, project and generation of an object, asked and set: see [`mirror_core::marks`].
use crate::calls::{Sys, call, close, fcntl, fd, openat};
use crate::object::Object;
use libc as c;
use mirror_core::Errno;
use mirror_core::marks::{By, Value};
use mirror_core::path::PathText;

/// file_getattr(2) and file_setattr(2), since Linux 6.17.
const SYS_FILE_GETATTR: i64 = 468;
/// file_setattr(2).
pub const SYS_FILE_SETATTR: i64 = 469;
/// struct file_attr as it is in that version.
const SIZE: usize = 24;

/// Opens what a text leads to, for ioctl(2).
pub fn open_marked(text: &PathText<40>) -> Sys<i32> {
    let how = c::O_RDONLY | c::O_NONBLOCK | c::O_NOCTTY | c::O_CLOEXEC;
    openat(c::AT_FDCWD, text, how, 0)
}

/// Runs `f` on a descriptor that ioctl(2) takes: an object that is held only is opened by `open`.
fn opened<T>(
    o: &Object,
    open: impl Fn(&PathText<40>) -> Sys<i32>,
    f: impl FnOnce(i32) -> Sys<T>,
) -> Sys<T> {
    let flags = fcntl(o.fd(), c::F_GETFL, 0)? as i32;
    if flags & c::O_PATH == 0 {
        return f(o.fd());
    }
    // Nothing else is behind it: opening a fifo or device would have effects.
    if !matches!(o.stat().kind(), c::S_IFREG | c::S_IFDIR) {
        return Err(Errno::ENOTTY);
    }
    let n = open(&o.text())?;
    let r = f(n);
    let _ = close(n);
    r
}

// The longest of the four structs has 28 bytes, and there are 32.
fn ioctl(n: i32, command: u32, words: &mut [u64; 4]) -> Sys<usize> {
    let at = words.as_mut_ptr() as usize;
    call!(syscall3, c::SYS_ioctl, fd(n), command as usize, at)
}

fn file_attr(nr: i64, o: &Object, words: &mut [u64; 4]) -> Sys<usize> {
    let text = o.text();
    let (p, at) = (text.as_ptr() as usize, words.as_mut_ptr() as usize);
    call!(syscall5, nr, fd(c::AT_FDCWD), p, at, SIZE, 0)
}

/// What the object has. `open`: [`open_marked`], or what does more to get a descriptor.
pub fn marks(by: By, o: &Object, open: impl Fn(&PathText<40>) -> Sys<i32>) -> Sys<Value> {
    let mut words = [0; 4];
    match by {
        By::Ioctl(m) => opened(o, open, |n| ioctl(n, m.commands().0, &mut words))?,
        By::Call => file_attr(SYS_FILE_GETATTR, o, &mut words)?,
    };
    Ok(Value { words })
}

/// Gives it these.
pub fn set_marks(
    by: By,
    o: &Object,
    mut v: Value,
    open: impl Fn(&PathText<40>) -> Sys<i32>,
) -> Sys<usize> {
    match by {
        By::Ioctl(m) => opened(o, open, |n| ioctl(n, m.commands().1, &mut v.words)),
        By::Call => file_attr(SYS_FILE_SETATTR, o, &mut v.words),
    }
}

/// Changes on `second` what has changed from `before` to `after`.
pub fn follow_marks(
    by: By,
    second: &Object,
    (before, after): (&Value, &Value),
    open: impl Fn(&PathText<40>) -> Sys<i32> + Copy,
) -> Sys<usize> {
    let old = marks(by, second, open)?;
    let mut v = old;
    if !v.take_over(by, before, after) {
        return Ok(0);
    }
    let r = set_marks(by, second, v, open);
    if r.is_err() {
        // ext4 sets the flags and then lays the file out anew, which may fail.
        let _ = set_marks(by, second, old, open);
    }
    r
}

/// Ends on `second` the change of an intent, as far as `first` has it.
pub fn end_marks(
    (by, before): (By, Value),
    first: &Object,
    second: &Object,
    open: impl Fn(&PathText<40>) -> Sys<i32> + Copy,
) -> Sys<usize> {
    let after = marks(by, first, open)?.settable(by);
    follow_marks(by, second, (&before, &after), open)
}

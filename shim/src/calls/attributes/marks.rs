//! Flags, project and generation of an object (chattr, lsattr -p), by ioctl(2) or file_setattr(2): what
//! the program's call has changed on the first leg is changed on the second.
use crate::process::limits::spare;
use mirror_core::marks::{By, Value};
use mirror_core::path::PathText;
use mirror_core::{BothLocked, Errno};
use mirror_sys as sys;
use mirror_sys::{Object, Sys};

fn open(text: &PathText<40>) -> Sys<i32> {
    spare(|| sys::open_marked(text))
}

/// What the object has.
pub fn get(by: By, o: &Object) -> Sys<Value> {
    sys::marks(by, o, open)
}

/// Gives it these.
pub fn set(by: By, o: &Object, v: Value, _: &BothLocked) -> Sys<usize> {
    sys::set_marks(by, o, v, open)
}

/// Changes on `second` what has changed from `before` to `after`. An error that says that the legs
/// do not look alike would be mended by a comparison that knows no flags: it is a refusal.
pub fn follow(
    by: By,
    second: &Object,
    before: &Value,
    after: &Value,
    _: &BothLocked,
) -> Sys<usize> {
    sys::follow_marks(by, second, (before, after), open).map_err(|_: Errno| Errno::EOPNOTSUPP)
}

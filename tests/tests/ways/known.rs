//! Ways that still go past in silence, with the reason. The list may only become shorter.
use crate::Way;

/// Only some of these ways are silent: the library sees a part of them all the same.
pub const FOREIGN: &str = "a system call instruction that is not libc's, without the net";

/// Families whose changes a patched C library does not see by itself.
const FAMILIES: &[&str] = &[
    "the program's own instruction",
    "an instruction of a library loaded late",
    "a second C library (dlmopen)",
    "an instruction in anonymous memory",
    "int 0x80",
];

/// Other ways of that sort.
const OTHERS: &[&str] = &[
    "own_io_uring",
    "own_kernel_aio",
    "liburing",
    "program_rustix",
];

/// Why a silent way is no surprise in this mode.
pub fn silent(way: &Way, mode: &str) -> Option<&'static str> {
    let foreign = FAMILIES.contains(&way.family.as_str()) || OTHERS.contains(&way.name.as_str());
    (foreign && mode == "never").then_some(FOREIGN)
}

//! Verdicts on files: whether their executable text has an instruction of its own that makes a system
//! call, which the prepared libc does not see. `libmirror.so` looks its process's files up in what is
//! written here (docs/FORMATS.md).
//!
//! Rules of this module: clean is a proof, or it is not said. Bytes that could be such an instruction are
//! refuted only by decoding the function that they lie in from its start; what lies in no known function,
//! or behind something that is no instruction, is not decided.
mod closure;
mod file;
mod judge;
mod places;
mod search;
mod store;
#[cfg(test)]
mod tests;

pub use closure::closure;
pub use file::Key;
pub use judge::{Judged, judge};
pub use mirror_core::verdicts::Verdict;
pub use places::{files, folders};
pub use store::Store;

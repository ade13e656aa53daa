//! Watching both legs for changes that are not mirrored ones.
pub mod bpf;
pub mod source;

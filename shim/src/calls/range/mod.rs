//! Data that the kernel moves itself, and clones.
pub mod clone;
pub mod copy;
pub mod pipe;

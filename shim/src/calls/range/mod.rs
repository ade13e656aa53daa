//! Data that the kernel moves itself, and clones.
pub mod clone;
pub mod copy;
pub mod own;
pub mod pipe;

//! This process: who it is, its descriptors, where it stands.
pub mod actor;
pub mod clock;
pub mod fds;
pub mod limits;
pub mod look;
pub mod mounts;
pub mod passed;
pub mod place;
pub mod scratch;
pub mod sight;

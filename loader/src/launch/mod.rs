//! Starting a command under the mirror.
pub mod calls;
mod halt;
pub mod library;
pub mod program;
pub mod supervise;
pub mod trial;

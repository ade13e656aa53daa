//! mirror-sys: the only crate that enters the kernel.
//!
//! Rules of this crate: `no_std`, no allocation, no libc function is called (types and constants
//! only), `errno` is never touched: every wrapper returns `Result<_, Errno>` from the kernel's own
//! return value. All wrappers are async-signal-safe.
#![no_std]

mod bytes;
mod calls;
mod gate;
mod ident;
mod mapped;
mod marks;
mod mounts;
mod moves;
mod names;
mod object;
mod probe;
mod process;
mod raw;
mod sockets;
mod walk;

pub use bytes::*;
pub use calls::*;
pub use gate::{direct, forbid};
pub use ident::*;
pub use mapped::*;
pub use marks::*;
pub use mirror_core::Errno;
pub use mounts::*;
pub use moves::*;
pub use names::*;
pub use object::*;
pub use probe::*;
pub use process::*;
pub use raw::{
    GATE, GATED, failed, frequent2, frequent4, frequent6, lead_through, ret, syscall0, syscall1,
    syscall2, syscall3, syscall4, syscall5, syscall6, syscall6_at, thread_pointer,
};
pub use sockets::*;
pub use walk::*;

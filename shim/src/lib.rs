//! libmirror.so: preloaded into ordinary programs.
//!
//! Rules of this crate:
//! - `no_std`, no allocation, no libc function, no panic path (checked on the built library);
//! - nobody links it: it is loaded by LD_PRELOAD and starts itself (`boot`);
//! - architecture code is in `arch` only; `unsafe` argues in a SAFETY line.
#![no_std]
#![cfg_attr(feature = "selftest", allow(dead_code))]

mod arch;
#[cfg(not(feature = "selftest"))]
mod attach;
mod boot;
mod border;
mod elf;
mod files;
mod scratch;

#[cfg(not(feature = "selftest"))]
mod ahead;
#[cfg(not(feature = "selftest"))]
mod base;
#[cfg(not(feature = "selftest"))]
mod change;
#[cfg(not(feature = "selftest"))]
mod control;
#[cfg(not(feature = "selftest"))]
mod domain;
#[cfg(not(feature = "selftest"))]
mod env;
#[cfg(not(feature = "selftest"))]
mod find;
#[cfg(not(feature = "selftest"))]
mod handlers;
#[cfg(not(feature = "selftest"))]
mod heal;
#[cfg(not(feature = "selftest"))]
mod kept;
mod keys;
#[cfg(not(feature = "selftest"))]
mod limits;
#[cfg(not(feature = "selftest"))]
mod loc;
#[cfg(not(feature = "selftest"))]
mod names;
#[cfg(not(feature = "selftest"))]
mod net;
#[cfg(not(feature = "selftest"))]
mod object;
#[cfg(not(feature = "selftest"))]
mod outside;
#[cfg(not(feature = "selftest"))]
mod pairing;
#[cfg(not(feature = "selftest"))]
mod patience;
#[cfg(not(feature = "selftest"))]
mod reach;
#[cfg(not(feature = "selftest"))]
mod refused;
#[cfg(not(feature = "selftest"))]
mod resolve;
#[cfg(not(feature = "selftest"))]
mod root;
#[cfg(not(feature = "selftest"))]
mod roots;
#[cfg(not(feature = "selftest"))]
mod start;
#[cfg(not(feature = "selftest"))]
mod state;
#[cfg(not(feature = "selftest"))]
mod sticky;
#[cfg(not(feature = "selftest"))]
mod times;
#[cfg(not(feature = "selftest"))]
mod txn;
#[cfg(not(feature = "selftest"))]
mod unmirrored;
mod user;

/// Handlers that only prove the way to them and back (feature `selftest`).
#[cfg(feature = "selftest")]
#[path = "selftest.rs"]
mod handlers;
#[cfg(feature = "selftest")]
use handlers as start;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: stops here; reached only if a panic path slipped past the check.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}

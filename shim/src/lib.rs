//! libmirror.so: preloaded into ordinary programs.
//!
//! Rules of this crate:
//! - `no_std`, no allocation, no libc function, no panic path (checked on the built library);
//! - nobody links it: it is loaded by LD_PRELOAD and starts itself (`boot`);
//! - architecture code is in `arch` and `door` only; `unsafe` argues in a SAFETY line;
//! - a room takes from the rooms below it alone (docs/ARCHITECTURE.md; `cargo xtask rooms shim`).
#![no_std]

mod arch;
mod attach;
mod boot;
mod calls;
mod cell;
mod change;
mod config;
mod door;
mod events;
mod net;
mod path;
mod process;
mod program;
mod regs;
mod repair;
mod tables;
mod texts;
mod user;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: stops here; reached only if a panic path slipped past the check.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}

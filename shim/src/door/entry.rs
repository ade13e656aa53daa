//! The first Rust code behind the pre-filter, and in the net's handler.
//!
//! Rules: a copy of another process's memory, made without our fork, becomes this process's own before
//! anything is decided: such children (the sandboxes of browsers) need not exec.
use crate::calls::process;
use crate::door::{COPY, EXIT_GROUP, scratch};
use crate::process::actor;
use crate::regs::Regs;

pub extern "C" fn filter(regs: &mut Regs) -> usize {
    if regs.nr != EXIT_GROUP && actor::is_copy() {
        own_copy(regs);
    }
    crate::door::filter(regs)
}

#[cold]
#[inline(never)]
fn own_copy(regs: &Regs) {
    if process::may_own() {
        scratch::on_scratch(&mut Regs { nr: COPY, ..*regs });
    }
}

//! The descriptor that an open gives to the program.
use crate::attach::session;
use crate::calls::open::change::Open;
use crate::calls::paired::recognise;
use crate::change::port::Ran;
use crate::path::loc::Loc;
use crate::process::fds::set_dirty;
use crate::regs::{Regs, fail};
use libc as c;
use mirror_core::{Errno, K, Leg};
use mirror_sys as sys;

impl Open {
    /// After an open that came to `n`: never one whose changes would reach one leg only.
    pub(super) fn opened(&self, regs: &mut Regs, n: i32, loc: &Loc) -> usize {
        if self.ready.get() {
            return crate::regs::answer(regs, Ok(n as u64));
        }
        let paired = || sys::is_open(n.saturating_add(K));
        let alone = || loc.leg == Leg::A && session::is_alone(loc.pair);
        if self.later && !self.emptied {
            // The file was to be empty, and is not.
            let _ = sys::close(n.saturating_add(K));
            let _ = sys::close(n);
            return fail(regs, Errno::EIO);
        }
        if self.fd[loc.leg.other()] < 0 && !self.tmpfile() {
            // The second leg's file came by repair, after its open had failed.
            for _ in 0..100 {
                match recognise::adopt(n, loc) {
                    Ran::Wait => sys::sleep_us(1000),
                    Ran::Unresolved if session::is_alone(loc.pair) => break,
                    Ran::Unresolved => {}
                    // Not equal yet.
                    Ran::Done(Err(_)) if session::is_joining(loc.pair) => sys::sleep_us(1000),
                    _ => break,
                }
            }
            if alone() {
                return crate::regs::answer(regs, Ok(n as u64));
            }
            if paired() {
                if self.made || self.flags & c::O_TRUNC != 0 {
                    set_dirty(n);
                }
                return crate::regs::answer(regs, Ok(n as u64));
            }
        }
        // What is on its way back gets its partner before the first change through it.
        let joining = || loc.leg == Leg::A && session::is_joining(loc.pair);
        if !paired() && !joining() && !alone() {
            // Never hand out a descriptor whose changes would reach one leg only.
            let _ = sys::close(n);
            return fail(regs, Errno::EIO);
        }
        crate::regs::answer(regs, Ok(n as u64))
    }
}

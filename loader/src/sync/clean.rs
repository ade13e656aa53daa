//! That both legs' disks have all that programs were told, and nobody has been attached since: noted in both domain
//! records. After a restart of the machine such a pair needs no comparison.
//!
//! Rules: nobody is kept waiting while disks write. A flush has a number, which who comes meanwhile takes out of the
//! records (`mirror_pair::domain::reopen`); only one whose number still stands there, with nobody attached, is noted.
//! What is known against the pair is not lost with the runtime file: such a pair is not clean.
use super::mapped;
use crate::fail::{Context, Fail, Kind, Res};
use crate::pair::domain::Attached;
use crate::pair::runtime::SizeLimit;
use crate::pair::{alone, away};
use crate::text;
use crate::tree::object::std;
use mirror_core::PerLeg;
use mirror_core::owner::Left;
use mirror_pair::domain as protocol;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Both disks have everything, and that is noted.
    Clean,
    /// Somebody is attached, or came.
    InUse,
    /// Something is known against the pair: that must not be forgotten.
    Doubtful,
    /// The disks write on.
    Late,
}

/// Flushes both legs of an attached pair, if nobody else is attached. `limit`: how long this waits for the disks;
/// `None`: as long as they take.
pub fn flush(p: &Attached, limit: Option<Duration>) -> Res<Flushed> {
    let mut number = [0u8; 8];
    std(mirror_sys::random(&mut number)).about("a random number")?;
    let begun = Left::Flushing(u64::from_le_bytes(number));
    let before = alone_do(p, |records| {
        let found = fit(p);
        if found == Flushed::Clean {
            std(protocol::leave(records, begun)).about(shown(p))?;
        }
        Ok(found)
    })?;
    if before != Flushed::Clean {
        return Ok(before);
    }
    if !written(p, limit)? {
        return Ok(Flushed::Late);
    }
    alone_do(p, |records| {
        let stands = records.map(protocol::read);
        if stands.iter().any(|o| o.is_none_or(|o| o.left != begun)) {
            return Ok(Flushed::InUse);
        }
        let found = fit(p);
        if found == Flushed::Clean {
            std(protocol::leave(records, Left::Clean)).about(shown(p))?;
        }
        Ok(found)
    })
}

fn shown(p: &Attached) -> String {
    text::path(&p.pair.line.virt)
}

/// With nobody else attached, and nobody who could come.
fn alone_do(p: &Attached, act: impl FnOnce(PerLeg<RawFd>) -> Res<Flushed>) -> Res<Flushed> {
    let records = p.owners().as_ref().map(AsRawFd::as_raw_fd);
    let named = || protocol::named(records.map(protocol::read)).map(|o| o.runtime);
    let before = named();
    let r = match std(protocol::lock(records, true)).about(shown(p))? {
        false => Ok(Flushed::InUse),
        // The lock was given up for an instant: somebody may have begun another domain.
        true if before.is_none() || named() != before => Ok(Flushed::InUse),
        true => {
            let _lifted = SizeLimit::lift();
            act(records)
        }
    };
    // Of a lock that could not be made exclusive nothing is left (flock(2)).
    let pause = || std::thread::sleep(Duration::from_millis(1));
    std(protocol::share(records, pause)).about(shown(p))?;
    r
}

/// Whether all that is known of the pair may be forgotten: nothing is.
fn fit(p: &Attached) -> Flushed {
    let mapped = mapped::count(&p.runtime, &p.pair);
    let dead = p.locks.lock().any_dead(&p.runtime);
    if alone::any(&p.pair) || mapped.live != 0 {
        return Flushed::InUse;
    }
    let doubtful = dead || mapped.dead != 0 || !p.runtime.word().in_order();
    if doubtful || away::is_away(&p.pair) || p.pair.incomplete().is_some() {
        return Flushed::Doubtful;
    }
    Flushed::Clean
}

/// Waits until both file systems have written everything. A child does it: nothing ends a process that waits for a
/// disk, and who has typed `mirror run` gets his terminal back. False: not in time; the child ends when they have.
fn written(p: &Attached, limit: Option<Duration>) -> Res<bool> {
    let roots = p.pair.legs.as_ref().map(|leg| leg.root.fd().as_raw_fd());
    let (low, high) = (roots.a.min(roots.b), roots.a.max(roots.b));
    // SAFETY: a constant disposition: whoever started this may have left it ignored, and the child would vanish.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    // SAFETY: the child makes only calls that are safe between fork and exec, and ends with _exit.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: as above. All but the roots is closed: locks that are shared with the parent, and pipes that
        // somebody reads to their end.
        unsafe {
            let close = |from: RawFd, to: libc::c_uint| {
                if from as libc::c_uint <= to {
                    libc::syscall(libc::SYS_close_range, from as libc::c_uint, to, 0);
                }
            };
            close(0, (low - 1) as libc::c_uint);
            close(low + 1, (high - 1) as libc::c_uint);
            close(high + 1, libc::c_uint::MAX);
            let bad = libc::syncfs(low) != 0 || libc::syncfs(high) != 0;
            libc::_exit(i32::from(bad));
        }
    }
    if child < 0 {
        return Err(Fail::io(shown(p), std::io::Error::last_os_error()));
    }
    let until = limit.map(|l| Instant::now() + l);
    let mut pause = Duration::from_micros(200);
    loop {
        let mut status = 0;
        // SAFETY: the child's pid, which nobody else waits for; a valid out-pointer.
        let done = unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) };
        if done == child {
            return match status {
                0 => Ok(true),
                _ => Err(Fail::new(
                    Kind::Leg,
                    format!("{}: a leg could not be flushed (dmesg says why)", shown(p)),
                )),
            };
        }
        if done < 0 || until.is_some_and(|u| Instant::now() >= u) {
            return Ok(false);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

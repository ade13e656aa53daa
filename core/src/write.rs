//! A write, one leg after the other: where it goes, what the second leg takes of it, and what becomes of the
//! rest.
//!
//! Rule: offsets are given, never derived. A reader that shares the descriptor moves its position without any
//! lock.
use crate::Errno;
use crate::lock::BothLocked;
use crate::port::{Journal, LegIo, Where};
use crate::refused::{Refused, Untouched};

/// What the first leg has taken.
struct Written {
    /// Where it begins.
    at: u64,
    /// Its length.
    len: u64,
    /// Of what was written at the end: where that was.
    old_size: Option<u64>,
    /// Where the position was, if the kernel has moved it.
    before: u64,
}

/// What the first leg's call has come to.
enum First {
    /// It is known where the bytes are.
    Placed(Written),
    /// They are written, and nobody can tell where: so many.
    Lost(u64),
}

/// Writes on both legs. What the second leg cannot take is taken back from the first, or on record.
pub(crate) fn write<P: Journal + LegIo + ?Sized>(
    p: &mut P,
    w: Where,
    held: &BothLocked,
) -> Result<u64, Errno> {
    let written = match first(p, w, held)? {
        First::Placed(written) => written,
        // The program has its answer.
        First::Lost(len) => return Ok(len),
    };
    let (done, failed) = second(p, &written, held);
    let kept = match failed {
        None => Ok(written.len),
        Some(e) => {
            p.partner_error(e);
            cut(p, &written, done, e, held)
        }
    };
    put_position(p, w, &written, kept, held)?;
    kept
}

fn first<P: Journal + LegIo + ?Sized>(
    p: &mut P,
    w: Where,
    held: &BothLocked,
) -> Result<First, Errno> {
    let (at, before) = match w {
        Where::Position => (Some(p.position()?), 0),
        Where::At(at) => (Some(at), 0),
        // Only for appends that move the position: the kernel moves it with bytes that are taken back.
        Where::End { moves: true } => (None, p.position()?),
        Where::End { moves: false } => (None, 0),
    };
    let len = p.write_first(at, held)?;
    let (at, old_size) = match at {
        Some(at) => (at, None),
        // All appenders hold the locks, so the end is where these bytes end.
        None => match p.size() {
            Ok(size) => {
                let at = size.saturating_sub(len);
                (at, Some(at))
            }
            Err(e) => {
                p.pending(held, e);
                return Ok(First::Lost(len));
            }
        },
    };
    Ok(First::Placed(Written {
        at,
        len,
        old_size,
        before,
    }))
}

/// Writes the same on the second leg: how much it has taken, and why no more.
fn second<P: LegIo + ?Sized>(
    p: &mut P,
    written: &Written,
    held: &BothLocked,
) -> (u64, Option<Errno>) {
    let mut done = 0;
    while done < written.len {
        match p.write_second(written.at, done, written.len, held) {
            Ok(0) => return (done, Some(Errno::EIO)),
            Ok(n) => done = done.saturating_add(n).min(written.len),
            Err(Errno::EINTR) => {}
            Err(e) => return (done, Some(e)),
        }
    }
    (done, None)
}

/// The second leg has refused what comes after `done` bytes: the first leg gives it back. The program's answer.
fn cut<P: Journal + LegIo + ?Sized>(
    p: &mut P,
    written: &Written,
    done: u64,
    e: Errno,
    held: &BothLocked,
) -> Result<u64, Errno> {
    // A refused write takes nothing: behind what it has taken, the second leg is what it was.
    let source = Untouched::of(held, p.is_pending(held), Refused::Whole(e));
    let from = written.at.saturating_add(done);
    let to = written.at.saturating_add(written.len);
    let shorter = if done > 0 { Ok(done) } else { Err(e) };
    match source.map(|s| p.unwrite(from, to, written.old_size, &s)) {
        // Both legs are equal again, shorter by what the second could not take.
        Some(Ok(())) => shorter,
        Some(Err(Refused::Whole(_) | Refused::Unresolved | Refused::Apart)) | None => {
            p.pending(held, e);
            Ok(written.len)
        }
        // Of the rest, some is gone again.
        Some(Err(Refused::Part(_))) => {
            p.pending(held, e);
            shorter
        }
    }
}

/// Puts the position where the answer says.
fn put_position<P: LegIo + ?Sized>(
    p: &mut P,
    w: Where,
    written: &Written,
    kept: Result<u64, Errno>,
    held: &BothLocked,
) -> Result<(), Errno> {
    let to = match (w, kept) {
        (Where::Position, Ok(n)) if n > 0 => written.at.saturating_add(n),
        (Where::End { moves: true }, Ok(n)) if n < written.len => written.at.saturating_add(n),
        // A failed write leaves the position where it was.
        (Where::End { moves: true }, Err(_)) => written.before,
        _ => return Ok(()),
    };
    p.set_position(to, held)
}

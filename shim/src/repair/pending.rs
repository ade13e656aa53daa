//! What is left to `mirror resync` (`mirror_pair::pending`).
use crate::attach::handle::Session;
use crate::process::limits;
use mirror_core::StateWord;
use mirror_pair::pending;
use mirror_sys as sys;

/// [`pending`], unless that was said a short while ago: what cannot be repaired is met at each touch.
#[cold]
#[inline(never)]
pub fn pending_once(s: &Session, rel: &[u8]) {
    let mut line = [0u8; pending::LINE_MAX];
    let len = pending::line(rel, &mut line);
    let line = line.get(..len).unwrap_or(&[]);
    // What was on the list before a comparison began is struck from it when that ends: it is said again.
    if !s.runtime().word().recorded() || !pending::has(s.root.a, line) {
        pending(s, rel);
    }
}

/// Records on both legs that the object at `rel` differs, and says so in the state word.
#[inline(never)]
pub fn pending(s: &Session, rel: &[u8]) {
    // The program's limit of file sizes is not for the list.
    let write = |n, line: &[u8]| limits::own_file(|| sys::write(n, line));
    let set = || s.runtime().set_bits(StateWord::PENDING);
    let _ = pending::mark(s.root, rel, write, set);
}

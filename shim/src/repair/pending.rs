//! What is left to `mirror resync`.
use crate::attach::handle::Session;
use mirror_core::StateWord;
use mirror_core::path::PATH_MAX;
use mirror_sys as sys;

/// [`pending`], unless that was said a short while ago: what cannot be repaired is met at each touch.
#[cold]
#[inline(never)]
pub fn pending_once(s: &Session, rel: &[u8]) {
    let mut line = [0u8; 4 * PATH_MAX];
    let len = escape(rel, &mut line);
    let line = line.get(..len).unwrap_or(&[]);
    if !s.runtime().word().pending() || !crate::attach::domain::is_pending(s.root[0], line) {
        pending(s, rel);
    }
}

/// Records on both legs that the object at `rel` differs, and says so in the state word.
#[inline(never)]
pub fn pending(s: &Session, rel: &[u8]) {
    for &root in &s.root {
        if let Ok(n) = crate::attach::domain::pending_log(root) {
            let mut line = [0u8; 4 * PATH_MAX];
            let len = escape(rel, &mut line);
            let line = line.get(..len).unwrap_or(&[]);
            let _ = crate::process::limits::own_file(|| sys::write(n, line));
            let _ = sys::fdatasync(n);
            let _ = sys::close(n);
        }
    }
    s.runtime().set_bits(StateWord::PENDING);
}

/// The line of the log for `rel`; its length in `out`.
pub fn escape(rel: &[u8], out: &mut [u8]) -> usize {
    let bytes = mirror_core::escape::escaped(rel).chain([b'\n']);
    out.iter_mut().zip(bytes).fold(0, |n, (o, b)| {
        *o = b;
        n.wrapping_add(1)
    })
}

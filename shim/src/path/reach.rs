//! Directories that the kernel's texts do not reach: outside a changed root.
//!
//! Rules: as in `resolve`. What cannot be told is not taken for outside.
use crate::config::{self, Member, member};
use crate::events::refused::{self, Refused};
use crate::process::place;
use libc as c;
use mirror_core::path::PathText;
use mirror_core::refusal::Refusal;
use mirror_sys as sys;

/// Whether an open object lies outside the process's root: then the kernel's text for it begins at the
/// system's root instead.
#[inline(never)]
pub fn beyond<const N: usize>(n: i32, text: &mut PathText<N>) -> bool {
    if place::ROOT.is_default() {
        return false;
    }
    let Ok(st) = sys::fglance(n) else {
        return false;
    };
    let mut again = PathText::<N>::new();
    for _ in 0..8 {
        match sys::glance(c::AT_FDCWD, text, c::AT_SYMLINK_NOFOLLOW) {
            Ok(s) if s.ino() == st.ino() && s.dev() == st.dev() => return false,
            _ => {}
        }
        // Not if it was renamed meanwhile.
        if sys::fd_path(n, &mut again).is_err() || again.as_bytes() == text.as_bytes() {
            break;
        }
        *text = again.clone();
    }
    if st.kind() == c::S_IFDIR && st.nlink() > 0 {
        return true;
    }
    // A removed name: one that would be in a pair is taken for that.
    let below = place::ROOT.absolute(text.as_bytes(), &mut again);
    !below || matches!(member(again.as_bytes()), Member::Far | Member::Near)
}

/// Whether V of a link pair is the link to leg a. What a program reads through V is where V leads: if that
/// is not leg a, a change by V's text would be made where nobody looks. Below another root V's text is not
/// what it was.
#[inline(never)]
pub fn leads(pair: usize) -> bool {
    let Some(conf) = config::CONFIG.get().pairs().get(pair) else {
        return false;
    };
    let leads = place::ROOT.is_default() && is_link(conf);
    if !leads {
        refused::record(pair, &Refused::new(Refusal::Link));
    }
    leads
}

fn is_link(conf: &config::PairConf) -> bool {
    let mut to = PathText::<512>::new();
    if sys::readlink_static(conf.virt, &mut to).is_ok() && to.as_bytes() == conf.legs.a.to_bytes() {
        return true;
    }
    // Another text may lead there too (a relative one).
    match (sys::stat_static(conf.virt), sys::stat_static(conf.legs.a)) {
        (Ok(v), Ok(a)) => v.ino() == a.ino() && v.dev() == a.dev(),
        _ => false,
    }
}

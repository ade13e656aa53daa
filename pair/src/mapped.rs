//! Who has a file mapped for writing, and what is done about those whose processes are gone
//! (`mirror_core::mapped`).
use crate::both::Both;
use libc as c;
use mirror_core::mapped::{CLAIMED, ENTRIES, Mapped};
use mirror_core::runtime::RuntimeFile;
use mirror_core::{BothLocked, Errno, Leg, View, WHOLE};
use mirror_sys as sys;
use mirror_sys::Sys;

/// The byte, behind those of the entries, of those who have mapped files while leg b was away. They enter nothing:
/// what they store, nobody carries over, so leg b does not come back while one of them lives.
pub const ALONE: usize = ENTRIES;

/// Opens the lock object whose bytes say who has a file mapped: an open description of one's own.
pub fn open(root_a: i32) -> Sys<i32> {
    crate::locks::open(root_a, WHOLE, c::O_RDWR)
}

/// Enters a file, or widens its entry; the entry's number. `n` holds it from then on. The file's lock is held:
/// nobody else enters it.
pub fn enter(rt: &RuntimeFile, n: i32, m: &Mapped, _: &BothLocked) -> Sys<usize> {
    if let Some((nth, _)) = View::Own(rt)
        .mapped_file(m.inode)
        .filter(|(_, o)| o.device == m.device)
        && let Some(e) = rt.mapped.entries.get(nth)
    {
        sys::share_byte(n, nth, true)?;
        e.widen((m.from, m.to));
        return Ok(nth);
    }
    for (nth, e) in rt.mapped.entries.iter().enumerate() {
        let was = e.inode();
        if was != 0 && was != CLAIMED {
            continue;
        }
        // Before it is claimed: who finds it claimed and not held knows that its claimer has died.
        sys::share_byte(n, nth, true)?;
        let mine = match was {
            0 => true,
            _ => !sys::byte_is_held(n, nth)?,
        };
        if mine && e.claim(was) {
            rt.mapped
                .count
                .fetch_add(1, core::sync::atomic::Ordering::SeqCst);
            e.fill(m);
            return Ok(nth);
        }
        let _ = sys::share_byte(n, nth, false);
    }
    Err(Errno::ENOMEM)
}

/// Gives an entry back that `n` holds, after the file was carried over: it is free if nobody else holds it.
pub fn leave(rt: &RuntimeFile, n: i32, nth: usize, _: &BothLocked) {
    if sys::byte_is_held(n, nth) == Ok(false) {
        View::Own(rt).forget_mapped(nth);
    }
    let _ = sys::share_byte(n, nth, false);
}

/// Whether somebody has the entry's file mapped. What cannot be found out is so.
pub fn is_held(n: i32, nth: usize) -> bool {
    sys::byte_is_held(n, nth) != Ok(false)
}

/// The entries whose processes are gone, `n` being a descriptor of [`open`].
pub fn dead(rt: View<'_>, n: i32) -> impl Iterator<Item = (usize, Mapped)> + '_ {
    (0..ENTRIES)
        .filter_map(move |nth| Some((nth, rt.mapped(nth)?)))
        .filter(move |(nth, _)| !is_held(n, *nth))
}

/// Whether the names of an entry are its file still, on both legs.
pub fn is_there(b: &Both, m: &Mapped) -> bool {
    let on = |leg: Leg| b.stat(leg).filter(|st| st.kind() == c::S_IFREG);
    on(Leg::A).is_some_and(|st| (st.ino(), st.dev()) == (m.inode, m.device))
        && on(Leg::B).is_some_and(|st| st.ino() == m.other)
}

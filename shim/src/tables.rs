//! What the stubs read before any Rust code runs: tables by the number of a call, a descriptor, a page.
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use mirror_core::calls::{Family, NUMBERS, PreFilter, Row, TABLE};

/// [`WATCH`]: the call is wanted.
pub const WATCHED: u8 = 1;
/// [`WATCH`]: the first argument is a descriptor; one whose hint is [`OUT`] is not ours.
pub const BY_FD: u8 = 2;
/// [`WATCH`]: open-like, flags in the second argument.
pub const FLAGS_1: u8 = 4;
/// [`WATCH`]: open-like, flags in the third argument.
pub const FLAGS_2: u8 = 8;
/// [`WATCH`]: the path in the first argument is looked at if the control folder may be named in it. With
/// FLAGS_*: only that of opens that read.
pub const PATH_0: u8 = 32;
/// [`WATCH`]: the same with the second argument.
pub const PATH_1: u8 = 64;

/// [`HINTS`]: this descriptor is certainly not ours.
pub const OUT: u8 = 1;

const fn zeros<const N: usize>() -> [AtomicU8; N] {
    [const { AtomicU8::new(0) }; N]
}

/// By system call number: 0 = native at once, else the bits above. Numbers beyond it are native.
#[unsafe(link_section = ".data.boot")]
pub static WATCH: [AtomicU8; NUMBERS] = zeros();
/// Not zero: the process has something to settle when it exits. The exit place is native without it.
#[unsafe(link_section = ".data.boot")]
pub static ACTIVE: AtomicU8 = AtomicU8::new(0);
/// In [`PAGES`]: none. No address has this page number (0 is the number of one).
pub const NO_PAGE: usize = usize::MAX;
/// Pages (addresses >> 12) that were found readable, by their number modulo 64.
pub static PAGES: [AtomicUsize; 64] = [const { AtomicUsize::new(NO_PAGE) }; 64];
/// By descriptor number.
pub static HINTS: [AtomicU8; 4096] = zeros();

/// Fills [`WATCH`].
pub fn watch() {
    for row in TABLE.iter().filter(|r| r.family != Family::Signals) {
        let bits = match row.pre {
            PreFilter::Open1 => FLAGS_1 | PATH_0,
            PreFilter::Open2 => FLAGS_2 | PATH_1,
            PreFilter::Path0 => PATH_0,
            PreFilter::Path1 => PATH_1,
            PreFilter::Fd => BY_FD,
            PreFilter::No => 0,
        };
        watch_as(row, WATCHED | bits);
    }
}

/// The calls that are wanted only in a process with the net.
pub fn watch_for_the_net() {
    for row in TABLE.iter().filter(|r| r.family == Family::Signals) {
        watch_as(row, WATCHED);
    }
}

fn watch_as(row: &Row, bits: u8) {
    if let Some(w) = row.nr().and_then(|nr| WATCH.get(nr as usize)) {
        w.store(bits, Ordering::Relaxed);
    }
}

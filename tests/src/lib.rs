//! The harness of the integration suites: a pair of real legs, ordinary programs run natively and
//! through the mirror, and a comparison of trees that knows nothing about the mirror.
//!
//! The suites link none of the project's crates: they run the built files (`cargo xtask build`).
//! `cargo xtask test` runs each test as its own process with a time limit; `cargo test -p
//! mirror-tests` works too, without the limit.
//!
//! A test that cannot run on this machine prints `SKIP: reason` and returns (see [`need!`]).

mod audited;
mod compare;
mod environment;
mod health;
mod loops;
mod objects;
mod output;
mod pace;
mod pair;
mod program;
mod screen;
mod talker;
mod told;
mod traced;
pub mod words;

pub use audited::has_tier;
pub use compare::{Differences, Level, Tree};
pub use environment::{PATH, base_dir, dist, have, is_root, race_seed, soak, tool};
pub use health::{Announced, Evidence};
pub use loops::{FsType, LoopFs};
pub use objects::make;
pub use output::Output;
pub use pace::{Clock, slowdown, until};
pub use pair::{Fs, Kind, Pair, forget_pairs, runtime_files_of};
pub use program::{compile, compile_with};
pub use screen::Screen;
pub use talker::{PATIENCE, Talker, send, still};
pub use told::Told;
pub use traced::Traced;

/// Says why a test is skipped; `xtask test` counts and lists the line.
pub fn skip(reason: impl std::fmt::Display) {
    println!("SKIP: {reason}");
}

/// Whether this run has a view of the mounts of its own (a mount namespace made since the start): it costs no pair
/// a leg.
pub fn own_view() -> bool {
    use std::os::unix::fs::MetadataExt;
    let number = |name: &str| {
        std::fs::metadata(format!("/proc/self/ns/{name}"))
            .unwrap()
            .ino()
    };
    number("pid") == 0xefff_fffc && number("mnt") >= 0xf000_0010
}

/// Leaves the test as skipped where the run has a view of its own ([`own_view`]).
#[macro_export]
macro_rules! need_system_view {
    () => {
        if $crate::own_view() {
            $crate::skip("needs the system's mount namespace: run by cargo test");
            return;
        }
    };
}

/// Leaves the test as skipped unless the programs (string literals) or the condition are there.
#[macro_export]
macro_rules! need {
    (root) => {
        if !$crate::is_root() {
            $crate::skip("needs root");
            return;
        }
    };
    ($($tool:literal),+ $(,)?) => {
        $(if !$crate::have($tool) {
            $crate::skip(concat!("needs the program ", $tool));
            return;
        })+
    };
}

/// Declares tests that run once per kind of pair on plain folders: `in_place::name`, `link::name`.
#[macro_export]
macro_rules! each_kind {
    ($($(#[$attribute:meta])* fn $name:ident($pair:ident) $body:block)+) => {
        mod cases {
            #[allow(unused_imports)]
            use super::*;
            $($(#[$attribute])* pub(super) fn $name($pair: &$crate::Pair) $body)+
        }
        mod in_place {
            $(#[test] fn $name() { $crate::Pair::with($crate::Kind::InPlace, super::cases::$name); })+
        }
        mod link {
            $(#[test] fn $name() { $crate::Pair::with($crate::Kind::Link, super::cases::$name); })+
        }
    };
}

/// Declares tests for which the kind of pair makes no difference: in place.
#[macro_export]
macro_rules! in_place {
    ($($(#[$attribute:meta])* fn $name:ident($pair:ident) $body:block)+) => {
        mod in_place {
            #[allow(unused_imports)]
            use super::*;
            $($(#[$attribute])* #[test] fn $name() {
                fn body($pair: &$crate::Pair) $body
                $crate::Pair::with($crate::Kind::InPlace, body);
            })+
        }
    };
}

/// The same with a link pair.
#[macro_export]
macro_rules! link {
    ($($(#[$attribute:meta])* fn $name:ident($pair:ident) $body:block)+) => {
        mod link {
            #[allow(unused_imports)]
            use super::*;
            $($(#[$attribute])* #[test] fn $name() {
                fn body($pair: &$crate::Pair) $body
                $crate::Pair::with($crate::Kind::Link, body);
            })+
        }
    };
}

/// Declares tests that run once per number of stripes: `in_place::name` with the default number,
/// `link_1::name` with one and `in_place_2::name` with two.
#[macro_export]
macro_rules! each_shape {
    ($($(#[$attribute:meta])* fn $name:ident($pair:ident) $body:block)+) => {
        mod shaped {
            #[allow(unused_imports)]
            use super::*;
            $($(#[$attribute])* pub(super) fn $name($pair: &$crate::Pair) $body)+
        }
        $crate::each_shape!(@ in_place, InPlace, None, $($name)+);
        $crate::each_shape!(@ link_1, Link, Some(1), $($name)+);
        $crate::each_shape!(@ in_place_2, InPlace, Some(2), $($name)+);
    };
    (@ $module:ident, $kind:ident, $stripes:expr, $($name:ident)+) => {
        mod $module {
            $(#[test] fn $name() {
                super::shaped::$name(&$crate::Pair::striped($crate::Kind::$kind, $stripes));
            })+
        }
    };
}

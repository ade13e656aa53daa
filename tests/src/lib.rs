//! The harness of the integration suites: a pair of real legs, ordinary programs run natively and
//! through the mirror, and a comparison of trees that knows nothing about the mirror.
//!
//! The suites link none of the project's crates: they run the built files (`cargo xtask build`).
//! `cargo xtask test` runs each test as its own process with a time limit; `cargo test -p
//! mirror-tests` works too, without the limit.
//!
//! A test that cannot run on this machine prints `SKIP: reason` and returns (see [`need!`]).

mod compare;
mod environment;
mod loops;
mod output;
mod pair;
mod program;

pub use compare::{Differences, Level, Tree};
pub use environment::{base_dir, dist, have, is_root, soak, tool};
pub use loops::{FsType, LoopFs};
pub use output::Output;
pub use pair::{Fs, Kind, Pair, beginning};
pub use program::{compile, compile_with};

/// Says why a test is skipped; `xtask test` counts and lists the line.
pub fn skip(reason: impl std::fmt::Display) {
    println!("SKIP: {reason}");
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

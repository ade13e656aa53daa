//! The second process of the check whether locks exclude.
use super::sub::{CommandLine, Sub};
use crate::fail::Res;
use crate::tree::locks;
use clap::Args;
use std::ffi::OsString;

/// The second process of the check whether locks exclude: standard input is the directory
#[derive(Args)]
pub struct ProbeLock {
    /// The file in it
    name: OsString,
}

impl Sub for ProbeLock {
    const NAME: &'static str = "probe-lock";
    fn run(&self, _: CommandLine) -> Res<u8> {
        locks::second(&self.name)
    }
}

//! Watching both legs for changes that are not mirrored ones.
pub mod bpf;
pub mod fanotify;
pub mod finding;
pub mod heal;
pub mod held;
mod hooks;
pub mod inotify;
mod judge;
mod loaded;
mod moves;
pub mod open;
pub mod people;
mod records;
mod scan;
pub mod source;
mod suspects;
pub mod watch;
mod watches;

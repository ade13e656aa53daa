//! What is done with an intercepted call, by family.
pub mod args;
pub mod attributes;
pub mod data;
pub mod descriptors;
pub mod dispatch;
pub mod exec;
pub mod ioctls;
pub mod names;
pub mod open;
pub mod paired;
pub mod process;
pub mod quick;
pub mod quick_fd;
pub mod range;
pub mod readers;
pub mod sandbox;
pub mod steady;

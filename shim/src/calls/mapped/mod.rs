//! Files of a pair that are mapped so that stores reach them.
pub mod call;
pub mod carry;
pub mod foreign;
pub mod hooks;
mod map;
pub mod marks;
pub mod nameless;
pub mod sync;
pub mod table;

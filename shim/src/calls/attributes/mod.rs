//! Calls that change what is known of an object.
pub mod call;
pub mod marks;
pub mod set;

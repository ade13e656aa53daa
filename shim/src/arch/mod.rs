//! Architecture code that calls nothing of the library's (x86-64).
//!
//! The rules stand in `door`.
pub mod gates;
pub mod mem;

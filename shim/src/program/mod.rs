//! The program as the kernel and ld.so have loaded it.
pub mod elf;
pub mod env;
pub mod files;
pub mod info;

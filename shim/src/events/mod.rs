//! Records of what was refused or not mirrored.
pub mod refused;
pub mod unmirrored;

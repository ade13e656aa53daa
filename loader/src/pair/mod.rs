//! Pairs: where they are configured, their control folders, the domain they run in, their locks.
pub mod control;
pub mod domain;
pub mod heal;
pub mod lock;
pub mod room;
pub mod state;
pub mod tab;
pub mod tabwrite;
pub mod verified;
pub mod who;

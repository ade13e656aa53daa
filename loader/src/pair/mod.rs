//! Pairs: where they are configured, their control folders, the domain they run in, their locks.
pub mod audited;
pub mod away;
pub mod back;
pub mod control;
pub mod cores;
pub mod domain;
pub mod held;
pub mod legs;
pub mod lock;
pub mod repairing;
pub mod room;
pub mod runtime;
pub mod state;
pub mod tab;
pub mod tabwrite;
pub mod verified;
pub mod who;

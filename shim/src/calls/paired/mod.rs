//! What a descriptor is to the pairs, and its partner.
pub mod lent;
pub mod outer;
pub mod owed;
pub mod pair_up;
pub mod partner;
pub mod recognise;

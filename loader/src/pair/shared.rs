//! What the programs of a pair share, and why it cannot be looked into.
use super::domain::{existing, named};
use super::legs::Pair;
use super::past::gone;
use crate::fail::reason;
use mirror_core::Leg;
use mirror_core::owner::Owner;
use mirror_core::record::{Id, OWNER_RECORD};

/// What keeps a process from seeing what the pair's programs share.
pub enum Unread {
    /// A leg's domain record cannot be read, or understood.
    Record(Leg, String),
    /// The runtime file of this boot is there, and cannot be looked into.
    Runtime,
    /// The legs name one, and this boot is not known.
    Boot,
}

/// Why there is no live runtime file, if it is not that nobody has made one in this boot.
pub fn unread(p: &Pair, boot: Option<Id>) -> Option<Unread> {
    for (leg, open) in p.legs.each() {
        let none = |b: &[u8]| b.iter().all(|b| *b == 0);
        match open.root.read(OWNER_RECORD) {
            Ok(b) if none(&b) || Owner::parse(&b).is_some() => {}
            Ok(_) => return Some(Unread::Record(leg, "damaged".into())),
            Err(e) => return Some(Unread::Record(leg, reason(&e))),
        }
    }
    let named = named(p)?;
    match boot {
        None => Some(Unread::Boot),
        Some(boot) if named.boot == boot && existing(p, boot).is_none() => {
            (!gone(p, boot)).then_some(Unread::Runtime)
        }
        Some(_) => None,
    }
}

//! What a text says, before there is a proof.
use crate::config::{Member, member};
use crate::path::base::Base;
use crate::path::loc::{Loc, Place, Whole};
use crate::path::reach::leads;
use crate::process::place;
use mirror_core::Errno;
use mirror_core::path::is_control;
use mirror_core::path::split;

/// What a text says, before there is a proof.
pub enum Guess {
    /// It is away from all roots.
    Away,
    /// It is this.
    Is(Place),
}

/// The place that an absolute canonical text names; `system`: it begins at the system's root.
pub fn place_text(text: &[u8], system: bool, slash: bool, loc: &mut Loc) -> Guess {
    if system || place::ROOT.is_default() {
        return place_absolute(text, slash, loc);
    }
    let mut whole = Whole::new();
    if place::ROOT.absolute(text, &mut whole) {
        place_absolute(whole.as_bytes(), slash, loc)
    } else {
        Guess::Is(Place::Fail(Errno::ENAMETOOLONG))
    }
}

fn place_absolute(text: &[u8], slash: bool, loc: &mut Loc) -> Guess {
    loc.slash = slash;
    let member = member(text);
    loc.near = matches!(member, Member::Near);
    Guess::Is(match member {
        Member::Far | Member::Near => return Guess::Away,
        Member::Root(pair, leg, virt) => {
            loc.pair = pair;
            loc.leg = leg;
            let _ = loc.rel.set(b"");
            let _ = loc.name.set(b".");
            Place::Root(virt)
        }
        Member::In(pair, _, _, true) if loc.led != Some(pair) && !leads(pair) => {
            Place::Fail(Errno::EIO)
        }
        Member::In(pair, leg, rel, by_link) => {
            loc.led = by_link.then_some(pair);
            if is_control(rel) {
                return Guess::Is(Place::Control);
            }
            loc.pair = pair;
            loc.leg = leg;
            let (_, name, _) = split(rel);
            // Below a deep directory a short name may lead further than one text can say.
            if loc.rel.set(rel).is_err() || loc.name.set(name).is_err() {
                return Guess::Is(Place::Fail(Errno::ENAMETOOLONG));
            }
            if slash {
                let _ = loc.name.append(b"/");
            }
            Place::In
        }
    })
}

/// The place of a text whose directory is known.
pub fn of_text(text: &Whole, base: &Base, slash: bool, loc: &mut Loc) -> Place {
    match (
        place_text(text.as_bytes(), base.system, slash, loc),
        base.out,
    ) {
        (Guess::Is(place), _) => place,
        (Guess::Away, Some(proof)) => Place::Out(proof),
        // What is in a leg is not away.
        (Guess::Away, None) => Place::Fail(Errno::EIO),
    }
}

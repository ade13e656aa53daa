//! Leg b on its way back under programs that work: every change is both legs' again from one instant on, and leg b is
//! no source of anything until it is equal.
//!
//! Rules: the instant is one at which nobody is inside. The mark stands until the leg is equal; whoever dies on the way
//! leaves it, and what was begun goes on.
use super::heal::locked;
use crate::fail::{Context, Fail, Kind, Res};
use crate::pair::domain::{self, Attached};
use crate::pair::{alone, away};
use crate::text;
use crate::tree::object::std;
use mirror_core::BothLocked;
use mirror_core::owner::{OWNER_SIZE, Owner};
use mirror_pair::runtime::Place;
use rustix::fs::FlockOperation;
use std::os::fd::AsRawFd;

/// Whether leg b is on its way back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// From now on, or already.
    Yes,
    /// It is not away; or that is not possible under the programs that there are: what they share cannot be told them.
    No,
    /// Programs have files mapped on leg a alone.
    Mapped,
}

/// Sets out to bring leg b of an attached pair back.
// long: the steps of one protocol, in their order
pub fn begin(p: &mut Attached) -> Res<Begun> {
    if !away::is_away(&p.pair) {
        return Ok(Begun::No);
    }
    if p.runtime.word().joining() {
        return Ok(Begun::Yes);
    }
    if alone::any(&p.pair) {
        return Ok(Begun::Mapped);
    }
    let shown = text::path(&p.pair.line.virt);
    let about = || shown.clone();
    let boot = domain::boot_of(&p.pair)?;
    let Some(live) = domain::lone(&p.pair, boot) else {
        return Ok(Begun::No);
    };
    let mut record = [0u8; OWNER_SIZE];
    let _ = rustix::io::pread(&p.owners().a, &mut record, 0).about(about())?;
    let Some(owner) = Owner::parse(&record) else {
        return Ok(Begun::No);
    };
    p.turn_to(live)?;
    let a = &p.pair.legs.a.root;
    let theirs = p.pair.legs.b.root.read(mirror_core::record::OWNER_RECORD);
    let same = theirs.is_ok_and(|b| Owner::parse(&b).is_some_and(|o| o.same(&owner)));
    if !same {
        // Another domain's: nobody may be in it.
        match rustix::fs::flock(&p.owners().b, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Fail::new(
                    Kind::Leg,
                    format!(
                        "leg b of {} is in use from another host or container",
                        about()
                    ),
                ));
            }
            Err(e) => return Err(Fail::io(about(), e)),
        }
        rustix::io::pwrite(&p.owners().b, &record, 0).about(about())?;
        rustix::fs::fdatasync(&p.owners().b).about(about())?;
    }
    rustix::fs::flock(&p.owners().b, FlockOperation::NonBlockingLockShared).about(about())?;
    let place = Place {
        record: &p.pair.legs.a.record,
        roots: p.pair.roots(),
        locks: None,
    };
    std(place.refit(owner)).about(about())?;
    // Who works on leg a alone came without this.
    p.reopen()?;
    let root = a.fd().as_raw_fd();
    let mut mapped = false;
    let joins = locked(p, |_| {
        std(mirror_pair::away::comes(root, || {
            // Nobody is inside: who maps a file from here on sees the word after this.
            mapped = alone::any(&p.pair);
            if mapped {
                return false;
            }
            let (word, view) = (p.runtime.word(), p.runtime.view());
            if !word.joining() && !word.alone() {
                // Who set the mark, or was to end it, has died before the other of the two.
                view.leave_behind();
            }
            word.joining() || view.join()
        }))
    })?
    .about(about())?;
    Ok(match (joins, mapped) {
        (true, _) => Begun::Yes,
        (_, true) => Begun::Mapped,
        _ => Begun::No,
    })
}

/// Leg b is part of the pair again: it is equal and on its disk, and nobody is inside. False: it was left behind
/// meanwhile.
pub fn is_back(p: &Attached, _: &BothLocked) -> Res<bool> {
    let root = p.pair.legs.a.root.fd().as_raw_fd();
    let word = || p.runtime.view().is_back();
    std(mirror_pair::away::is_back(root, word)).about(text::path(&p.pair.line.virt))
}

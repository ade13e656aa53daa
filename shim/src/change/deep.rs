//! Names that no path can say: the directory in which they stand is held on both legs.
//!
//! Rules: the request holds it on the first leg; on the second the same way leads to it. The way is found, and
//! walked on both, under the locks: what stands between it and the root moves only under exclusive access.
//! Records of such an object name a directory above it, and nothing is repaired by them.
use crate::attach::handle::Session;
use crate::change::border;
use crate::events::refused::{self, Refused};
use crate::path::below::open_below;
use crate::path::loc::{Loc, Path};
use crate::path::outside::identity;
use crate::path::way::Way;
use crate::process::limits::park;
use mirror_core::refusal::Refusal;
use mirror_core::{Errno, Leg, PerLeg};
use mirror_sys as sys;
use mirror_sys::Sys;

/// No directory on either leg.
pub const NOWHERE: PerLeg<i32> = PerLeg { a: -1, b: -1 };

/// A directory on leg a and b (−1: not found), closed with this.
pub struct Held {
    dir: PerLeg<i32>,
    /// A directory far above it.
    above: Option<Path>,
    /// It was found on both, or on leg a while leg b is away.
    found: bool,
}

impl Held {
    /// Not found yet.
    pub const fn nowhere() -> Held {
        Held {
            dir: NOWHERE,
            above: None,
            found: false,
        }
    }
    /// Whether it was found on all legs that are there.
    pub fn is_found(&self) -> bool {
        self.found
    }
    /// The lowest number is the program's.
    pub fn park(&mut self) {
        if let Some(n) = self.dir.iter_mut().filter(|n| **n >= 0).min() {
            *n = park(*n);
        }
    }
    /// What records say: a directory above, or nothing as long as none is known.
    pub fn said(&self) -> &[u8] {
        self.above.as_ref().map_or(b"", Path::as_bytes)
    }
    /// On a leg.
    pub fn at(&self, leg: Leg) -> i32 {
        self.dir[leg]
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for &n in self.dir.iter() {
            if n >= 0 {
                let _ = sys::close(n);
            }
        }
    }
}

/// Why a directory was not found on both legs.
pub enum Lost {
    /// The first leg's answer.
    First(Errno),
    /// It is not where it was: the request is resolved again.
    Moved,
    /// The second leg's answer.
    Second(Errno),
}

/// Finds the directory `n` of leg `lead` on these legs, of which `lead` is the first.
#[inline(never)]
pub fn find(s: &Session, legs: &[Leg], n: i32, held: &mut Held) -> Result<(), Lost> {
    let lead = legs.first().copied().unwrap_or(Leg::A);
    let id = identity(n).map_err(Lost::First)?;
    if id.nlink == 0 {
        return Err(Lost::First(Errno::ENOENT));
    }
    let mut way = Way::new();
    match way.find(n) {
        Ok(leg) if leg == (s.pair, lead) => {}
        Ok(_) | Err(Errno::ESTALE | Errno::ENOENT) => return Err(Lost::Moved),
        Err(e) => return Err(Lost::First(e)),
    }
    *held = Held::nowhere();
    held.above = Some(way.above());
    for &leg in legs {
        let root = s.at(leg);
        match way.walk(root, sys::BENEATH_HERE) {
            Ok(n) => held.dir[leg] = n,
            Err(Errno::EXDEV) => {
                let why = Refused {
                    why: Refusal::Mounted,
                    errno: border::REFUSED,
                    call: None,
                };
                refused::record(s.pair, &why);
                return Err(Lost::First(border::REFUSED));
            }
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) if leg == lead => {
                return Err(Lost::Moved);
            }
            Err(e) if leg == lead => return Err(Lost::First(e)),
            Err(e) => return Err(Lost::Second(e)),
        }
    }
    if !identity(held.at(lead)).is_ok_and(|there| there.same(&id)) {
        return Err(Lost::Moved);
    }
    held.found = true;
    Ok(())
}

/// Opens the other leg's object of a place that no path can say; no lock is held.
#[cold]
#[inline(never)]
pub fn open_other(s: &Session, loc: &Loc, flags: i32) -> Sys<i32> {
    let mut held = Held::nowhere();
    let lead = loc.leg;
    match find(s, &[lead, lead.other()], loc.anchor.fd, &mut held) {
        Ok(()) => open_below(held.at(lead.other()), &loc.rel, flags),
        Err(Lost::First(e) | Lost::Second(e)) => Err(e),
        Err(Lost::Moved) => Err(Errno::ENOENT),
    }
}

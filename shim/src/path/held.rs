//! The place of a name in a directory that is held, also where no text says where that is.
use crate::path::base::own_base_text;
use crate::path::guess::of_text;
use crate::path::loc::{Loc, Name, Place, Whole};
use crate::path::outside::{At, Outside, Reached, Where, by_climbing, identity, name_of};
use crate::path::way::Way;
use libc as c;
use mirror_core::Errno;
use mirror_core::path::join;
use mirror_sys as sys;

/// What the kernel has no way to is outside. `None`: it says so, and the opposite.
pub fn unreachable(reached: Reached) -> Option<Place> {
    match reached {
        Reached::No(proof) => Some(Place::Out(proof)),
        Reached::Perhaps => None,
        Reached::Unknown(e) => Some(Place::Fail(e)),
    }
}

/// The place of a name in a directory that was opened for it (the empty name: of the directory).
#[inline(never)]
pub fn place_below(dir: i32, leaf: &Name, slash: bool, loc: &mut Loc) -> Place {
    match told(dir, leaf, slash, loc) {
        Place::Fail(Errno::ENAMETOOLONG) => untold(dir, leaf, slash, loc),
        place => place,
    }
}

/// The same by the directory's text.
#[inline(never)]
fn told(dir: i32, leaf: &Name, slash: bool, loc: &mut Loc) -> Place {
    let mut text = Whole::new();
    let base = match own_base_text(dir, &mut text) {
        Ok(base) => base,
        Err(Place::Out(proof)) => return root_without_text(dir, leaf, loc, proof),
        Err(p) => return p,
    };
    if join(&mut text, leaf.as_bytes()).is_err() {
        return Place::Fail(Errno::ENAMETOOLONG);
    }
    of_text(&text, &base, slash, loc)
}

/// No text can say it: the directory itself is what the name stands in.
#[cold]
#[inline(never)]
fn untold(dir: i32, leaf: &Name, slash: bool, loc: &mut Loc) -> Place {
    let found = Way::new().find(dir);
    let (pair, leg) = match found {
        Ok(leg) => leg,
        // Removed, moved out, or too deep even for this.
        Err(e) => {
            return match by_climbing(dir, &mut Whole::new()) {
                Ok(Where::Out(proof)) => Place::Out(proof),
                // Reached by another way than the leg's own.
                Err(Errno::ENAMETOOLONG) if e == Errno::ESTALE => Place::Fail(Errno::ENAMETOOLONG),
                Ok(Where::In) | Err(Errno::ENAMETOOLONG) => Place::Fail(e),
                Err(e) => Place::Fail(e),
            };
        }
    };
    if let Some(proof) = Outside::by_read_only(dir) {
        return Place::Out(proof);
    }
    let named = match leaf.is_empty() {
        true => itself(dir, loc),
        false => loc
            .rel
            .set(leaf.as_bytes())
            .map_err(|_| Errno::ENAMETOOLONG),
    };
    let slash = slash && !leaf.is_empty();
    let name = loc.name.set(loc.rel.as_bytes());
    if let Err(e) = named.and(name.map_err(|_| Errno::ENAMETOOLONG)) {
        return Place::Fail(e);
    }
    if slash {
        let _ = loc.name.append(b"/");
    }
    (loc.pair, loc.leg, loc.slash) = (pair, leg, slash);
    loc.held = true;
    Place::In
}

/// The name of a directory, in the one above it.
fn itself(dir: i32, loc: &mut Loc) -> Result<(), Errno> {
    let id = identity(dir)?;
    let mut above = At::borrowed(dir);
    above.up(c::O_RDONLY | c::O_DIRECTORY | c::O_CLOEXEC)?;
    let name = name_of(above.number(), &id)?;
    loc.rel
        .set(name.as_bytes())
        .map_err(|_| Errno::ENAMETOOLONG)?;
    if let Some(n) = above.into_number() {
        loc.anchor.set(n, 0, true);
    }
    Ok(())
}

/// A name in a directory that is in no leg and has no text: perhaps of a leg's root.
#[cold]
fn root_without_text(dir: i32, leaf: &Name, loc: &mut Loc, proof: Outside) -> Place {
    loc.deep = true;
    if leaf.is_empty() {
        return Place::Out(proof);
    }
    let found = match sys::identity(dir, leaf) {
        Ok(id) => crate::path::roots::Roots::now().find(id.dev, id.ino),
        Err(e) => {
            let place = unreachable(Outside::no_such_name(e, dir, leaf));
            return place.unwrap_or(Place::Fail(Errno::EIO));
        }
    };
    let Some((pair, leg)) = found else {
        return Place::Out(proof);
    };
    (loc.pair, loc.leg) = (pair, leg);
    let _ = loc.rel.set(b"");
    let _ = loc.name.set(b".");
    Place::Root(false)
}

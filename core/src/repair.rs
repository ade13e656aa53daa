//! What ends a change that was announced and not ended: its process died, or the second leg refused it
//! when it could not be taken back. Pure: the library and the command look, ask here, and carry it out.
//!
//! Rules: both legs are looked at. What one leg has and the other has not is done on the other: nobody was
//! told of the change, so either way is right, and this one never takes a byte back. What fits neither the
//! state before nor the one after is nobody's to guess.
use crate::leg::{Leg, PerLeg};
use crate::runtime::{AT_END, Intent, IntentKind};

/// What a name is on one leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Its inode.
    pub inode: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// What one name is on each leg.
pub type OneName = PerLeg<Option<Seen>>;

/// The two names of an intent, each on leg a and b; a name that the intent has not is on neither.
pub type Names = [OneName; 2];

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// Both legs are as before, or as after.
    Nothing,
    /// The same rename on this leg.
    Rename(Leg),
    /// The same exchange on this leg.
    Exchange(Leg),
    /// The second name of the first one's file on this leg.
    Link(Leg),
    /// The second name goes on this leg.
    Unlink(Leg),
    /// What the first name is on the other leg is made like what it is on leg `from`.
    Equal {
        /// The leg that is right.
        from: Leg,
        /// Offset and length: only these bytes, and what lies behind the shorter file's end, can differ.
        range: Option<(u64, u64)>,
    },
    /// Flags and the like of the first name's object change on the other leg as they have changed on leg
    /// `from`: [`crate::marks::Value::announced`].
    Marks {
        /// The leg that is right.
        from: Leg,
    },
    /// That is no state of this change: record it, or compare everything.
    Unknown,
}

/// Decides what ends the change of this intent.
pub fn decide(i: &Intent, [one, two]: Names) -> Act {
    let first = i.first;
    match i.kind {
        IntentKind::Rename => rename(first, &one, &two),
        IntentKind::Exchange => exchange(i, first, &one, &two),
        IntentKind::Link => link(i, first, &one, &two),
        IntentKind::Write
        | IntentKind::Truncate
        | IntentKind::Allocate
        | IntentKind::Attributes
        | IntentKind::Marks => data(i, first, &one),
        IntentKind::Deep => Act::Unknown,
        _ => Act::Equal {
            from: first,
            range: None,
        },
    }
}

fn rename(first: Leg, one: &OneName, two: &OneName) -> Act {
    let moved = |leg: Leg| one[leg].is_none() && two[leg].is_some();
    let stays = |leg: Leg| one[leg].is_some();
    let second = first.other();
    if moved(first) && stays(second) {
        return Act::Rename(second);
    }
    if moved(second) && stays(first) {
        return Act::Rename(first);
    }
    if alike(one) && alike(two) {
        Act::Nothing
    } else {
        Act::Unknown
    }
}

/// Whether both legs have the name, or neither.
fn alike(name: &OneName) -> bool {
    name.a.is_some() == name.b.is_some()
}

/// Of an exchange the names say nothing; the intent has the inode that the first name had on each leg.
fn exchange(i: &Intent, first: Leg, one: &OneName, two: &OneName) -> Act {
    #[derive(PartialEq, Eq)]
    enum Is {
        Before,
        After,
        Same,
    }
    let is = |leg: Leg| {
        let was = Some(i.inode[leg]).filter(|&ino| ino != 0)?;
        let at = |name: &OneName| name[leg].map(|s| s.inode == was);
        match (at(one)?, at(two)?) {
            (true, false) => Some(Is::Before),
            (false, true) => Some(Is::After),
            (true, true) => Some(Is::Same),
            (false, false) => None,
        }
    };
    // It was asked for, and there is nothing to exchange.
    if alike(one) && alike(two) && (one[first].is_none() || two[first].is_none()) {
        return Act::Nothing;
    }
    let second = first.other();
    match (is(first), is(second)) {
        (Some(Is::After), Some(Is::Before)) => Act::Exchange(second),
        (Some(Is::Before), Some(Is::After)) => Act::Exchange(first),
        (Some(a), Some(b)) if a == b => Act::Nothing,
        _ => Act::Unknown,
    }
}

fn link(i: &Intent, first: Leg, one: &OneName, two: &OneName) -> Act {
    let second = first.other();
    match (two[first], two[second]) {
        (Some(new), None) => {
            let of = one[first].is_some_and(|s| s.inode == new.inode);
            if of && one[second].is_some() {
                Act::Link(second)
            } else {
                Act::Unknown
            }
        }
        // The name was free before, and this change has made it; another file there is somebody's.
        (None, Some(new)) => {
            let known = i.inode[second] == new.inode;
            if known || one[second].is_some_and(|s| s.inode == new.inode) {
                Act::Unlink(second)
            } else {
                Act::Unknown
            }
        }
        _ => Act::Nothing,
    }
}

/// Data or attributes of an object whose name is a hint: the inode decides.
fn data(i: &Intent, first: Leg, one: &OneName) -> Act {
    let was = i.inode[first];
    match one[first] {
        Some(s) if was == 0 || s.inode == was => {}
        // Known by its name alone, and there was nothing to change.
        None if was == 0 && one[first.other()].is_none() => return Act::Nothing,
        _ => return Act::Unknown,
    }
    let range = match i.kind {
        IntentKind::Marks => return Act::Marks { from: first },
        // What the first leg has and the second lacks.
        IntentKind::Write if i.offset == AT_END => one[first.other()].map(|s| (s.size, u64::MAX)),
        IntentKind::Write => Some((i.offset, i.length)),
        _ => None,
    };
    Act::Equal { from: first, range }
}

#[cfg(test)]
#[path = "repair_tests.rs"]
mod tests;

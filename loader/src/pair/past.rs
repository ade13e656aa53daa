//! A domain that cannot be joined, of a pair in which nobody is: what its records say against the legs.
use super::domain::named;
use super::legs::Pair;
use super::runtime_files::read_owner;
use mirror_core::record::Id;
use mirror_core::word::Past;
use mirror_pair::domain;
use std::io;

/// Whether both legs name a runtime file of this boot that is not there.
pub fn gone(p: &Pair, boot: Id) -> bool {
    let gone = |id| {
        let seen = std::fs::symlink_metadata(p.legs.a.runtime_file(id));
        seen.is_err_and(|e| e.kind() == io::ErrorKind::NotFound)
    };
    named(p).is_some_and(|o| o.boot == boot && gone(o.runtime))
}

/// What the records say against the legs, where they name a runtime file that is not there: somebody has removed
/// it, or the machine was restarted.
pub fn past(p: &Pair, boot: Id) -> Past {
    match named(p) {
        Some(o) if o.boot != boot || gone(p, boot) => {
            domain::past(p.legs.as_ref().map(read_owner), boot)
        }
        _ => Past::default(),
    }
}

//! What could not be read of a pair. Nobody knows what it says, so nobody says that the pair is in sync.
use super::explain;
use super::finding::Finding;
use crate::fail::Fail;
use crate::pair::legs::Pair;
use crate::pair::pending::Unlisted;
use crate::pair::shared::{self, Unread};
use crate::pair::state::State;
use crate::text;
use mirror_core::record::Id;

/// A list of paths known to differ.
pub fn list(unread: &Unlisted, v: &str) -> Finding {
    if unread.blind {
        return unseen(&unread.why, v);
    }
    Finding::new(State::Damaged, explain::CONTROL, &*unread.why)
        .act(
            format!("rm {}", text::shell(&unread.file)),
            format!("if its disk is sound (dmesg); then mirror resync {v} makes a new one, and compares all"),
        )
        .act(format!("mirror verify {v}"), "shows what differs")
}

/// Nothing is known of a pair, because this process could not look.
pub fn unseen(why: &str, v: &str) -> Finding {
    let why = format!("it could not be looked at: {why}");
    Finding::new(State::Unknown, explain::UNSEEN, why).act(
        format!("mirror status {v}"),
        "again, with more descriptors or memory (ulimit -n, ulimit -v), or as the pair's owner",
    )
}

/// What is not known, and why.
pub fn unknown(what: &str, v: &str) -> Finding {
    let why = format!("it cannot be known {what}");
    Finding::new(State::Unverified, explain::RUNTIME, why).act(
        format!("mirror verify {v}"),
        "shows whether anything differs",
    )
}

/// What programs share, of a pair without a runtime file that can be looked into: the legs name none, or one that
/// was another boot's, or nobody can say.
pub fn runtime(pair: &Pair, boot: Result<&Id, &Fail>, v: &str) -> Option<Finding> {
    let of_programs = "what the programs of the pair have recorded";
    let why = match (shared::unread(pair, boot.ok().copied()), boot) {
        (Some(Unread::Record(leg, why)), _) => {
            format!(
                "{of_programs}: .mirror/owner of leg {}: {why}",
                leg.letter()
            )
        }
        (Some(Unread::Runtime), _) => {
            format!(
                "{of_programs}: the runtime file that the legs name cannot be read, or is not the pair's own"
            )
        }
        (Some(Unread::Boot), Err(e)) => format!("{of_programs}: {}", e.text),
        _ => return None,
    };
    Some(unknown(&why, v))
}

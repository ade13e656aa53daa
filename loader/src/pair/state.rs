//! The states of a pair: word, exit code, and what each means for a program. `status`, `wait`, `run` and
//! every JSON take them from here.

/// A state, the harmless ones first: of several that hold, the last is the pair's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Both legs are equal as far as anybody knows.
    InSync,
    /// Others can replace a leg's control folder.
    Exposed,
    /// A leg has no room: programs get "no space".
    Full,
    /// Something ran that may have changed one leg alone.
    Unverified,
    /// The last comparison could not look at everything.
    NotCompared,
    /// The last comparison or repair left differences.
    Different,
    /// Objects are known to differ.
    Pending,
    /// A repair was stopped: part of the leg is as the other, the rest is not.
    Unfinished,
    /// Leg b was left behind: programs go on with leg a.
    Degraded,
    /// A leg is mounted read-only: programs that change something get an error.
    ReadOnly,
    /// A repair runs.
    Resyncing,
    /// The first copy has not finished.
    Incomplete,
    /// V of a link pair is not the link to leg a.
    LinkBroken,
    /// The mirrortab names the legs in the wrong order.
    Swapped,
    /// A control file is missing or cannot be understood.
    Damaged,
    /// Somebody else may have put a leg's control folder there.
    NotTrusted,
    /// Each leg says that the other one was left behind.
    SplitBrain,
    /// The directories are not the legs of one pair.
    NotAPair,
    /// A leg is not there.
    LegLost,
    /// The pair of another user, of which nothing can be known.
    Unknown,
}

impl State {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            State::InSync => "IN SYNC",
            State::Exposed => "EXPOSED",
            State::Full => "FULL",
            State::Unverified => "UNVERIFIED",
            State::NotCompared => "NOT COMPARED",
            State::Different => "DIFFERENT",
            State::Pending => "REPAIR PENDING",
            State::Unfinished => "UNFINISHED",
            State::Degraded => "DEGRADED",
            State::ReadOnly => "READ-ONLY",
            State::Resyncing => "RESYNCING",
            State::Incomplete => "INCOMPLETE",
            State::LinkBroken => "LINK BROKEN",
            State::Swapped => "SWAPPED",
            State::Damaged => "DAMAGED",
            State::NotTrusted => "NOT TRUSTED",
            State::SplitBrain => "SPLIT BRAIN",
            State::NotAPair => "NOT A PAIR",
            State::LegLost => "LEG LOST",
            State::Unknown => "UNKNOWN",
        }
    }

    /// The word in JSON: `in-sync`.
    pub fn key(self) -> String {
        self.word().to_lowercase().replace(' ', "-")
    }

    /// The exit code of `status`: 1 both legs are there, 2 programs cannot use the pair, 3 not known.
    pub fn exit(self) -> u8 {
        match self {
            State::InSync => 0,
            s if s < State::LinkBroken => 1,
            State::Unknown => 3,
            _ => 2,
        }
    }

    /// Whether programs can change the pair.
    pub fn serves(self) -> bool {
        self < State::ReadOnly || self == State::Resyncing
    }
}

#[cfg(test)]
mod tests {
    use super::State;

    #[test]
    fn words_and_codes() {
        assert_eq!(State::InSync.key(), "in-sync");
        assert_eq!(State::ReadOnly.key(), "read-only");
        assert_eq!((State::Incomplete.exit(), State::LinkBroken.exit()), (1, 2));
        assert_eq!((State::LegLost.exit(), State::Unknown.exit()), (2, 3));
        assert_eq!((State::Degraded.exit(), State::SplitBrain.exit()), (1, 2));
        assert!(State::Degraded.serves() && !State::SplitBrain.serves());
        assert!(State::Different.serves() && State::Resyncing.serves());
        assert!(!State::Incomplete.serves() && !State::LegLost.serves());
    }
}

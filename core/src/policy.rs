//! What an error of a leg means for the pair: one table, and nothing else decides it.
//!
//! | Leg b | its error | option | act |
//! | --- | --- | --- | --- |
//! | away | any | any | leg a alone has answered: so it is |
//! | on its way back | of class *leg* | any | leave it behind again, if it fails a probe too |
//! | on its way back | no room | any | leave it behind again |
//! | in sync | of class *leg* | `on-failure=degrade` | leave it behind, if it fails a probe too |
//! | in sync | no room | `on-full=degrade` | leave it behind |
//! | there | any other | any | put back, and the errno is the program's |
//! | in sync | its place is provably not its leg (decision 0050) | `on-failure=degrade` | leave it behind |
//! | in sync | not there, for this process at least | any | the program gets EIO |
//!
//! Leg a is never left behind: its error is the program's.
use crate::tab::{OnFailure, OnFull, Options};
use crate::{Errno, ErrorClass, Leg, LegState, StateWord};

/// What follows from a leg's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// As where no leg can be left behind: what can be put back is, and the program gets the errno.
    Fail,
    /// The leg is away: the other one's answer stands.
    Alone,
    /// The leg is left behind if a probe says that it takes nothing at all: the errno may be one object's, or
    /// a failure to find something out.
    Probe,
    /// The leg is left behind.
    Leave,
}

/// The act on error `why` of leg `of`.
pub const fn decide(word: StateWord, of: Leg, why: Errno, options: &Options) -> Act {
    if matches!(of, Leg::A) {
        return Act::Fail;
    }
    if matches!(word.leg(Leg::B), LegState::Away) {
        return Act::Alone;
    }
    if matches!(word.leg(Leg::B), LegState::Joining) {
        // It has been left behind already, and holds nothing that leg a has not.
        return match (why.class(), why) {
            (ErrorClass::Leg, _) => Act::Probe,
            (_, Errno::ENOSPC | Errno::EDQUOT) => Act::Leave,
            _ => Act::Fail,
        };
    }
    match (why.class(), why) {
        (ErrorClass::Leg, _) if matches!(options.on_failure, OnFailure::Degrade) => Act::Probe,
        (_, Errno::ENOSPC | Errno::EDQUOT) if matches!(options.on_full, OnFull::Degrade) => {
            Act::Leave
        }
        _ => Act::Fail,
    }
}

/// What is known of leg b where a leg of this pair was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Nothing is at its place, or a directory without a control folder.
    pub bare: bool,
    /// This process sees the system's mounts for certain.
    pub sees: bool,
    /// Nothing says that it sees others.
    pub may_see: bool,
    /// Nobody is attached to the pair.
    pub unused: bool,
}

/// The act on a leg b that is not where it should be. Others who are attached may have it before their eyes.
pub const fn missing(m: Missing, options: &Options) -> Act {
    let known = m.sees || m.may_see && m.unused;
    match options.on_failure {
        OnFailure::Degrade if m.bare && known => Act::Leave,
        _ => Act::Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_leg() {
        let degrade = Options {
            on_failure: OnFailure::Degrade,
            ..Options::DEFAULT
        };
        for bits in 0..16u32 {
            let bit = |n: u32| bits >> n & 1 == 1;
            let m = Missing {
                bare: bit(0),
                sees: bit(1),
                may_see: bit(2),
                unused: bit(3),
            };
            let leaves = bit(0) && (bit(1) || bit(2) && bit(3));
            let act = if leaves { Act::Leave } else { Act::Fail };
            assert_eq!(missing(m, &degrade), act, "{m:?}");
            assert_eq!(missing(m, &Options::DEFAULT), Act::Fail, "{m:?}");
        }
    }

    #[test]
    fn the_table() {
        let with = |on_failure, on_full| Options {
            on_failure,
            on_full,
            ..Options::DEFAULT
        };
        let fail = with(OnFailure::Fail, OnFull::Error);
        let degrade = with(OnFailure::Degrade, OnFull::Error);
        let full = with(OnFailure::Fail, OnFull::Degrade);
        let whole = StateWord::FRESH;
        let away = whole.left().unwrap();
        let joining = away.joined().unwrap();
        fn b(w: StateWord, e: Errno, o: &Options) -> Act {
            decide(w, Leg::B, e, o)
        }
        for e in (1..134).map(Errno) {
            // The default changes nothing, and leg a stays whatever happens.
            assert_eq!(b(whole, e, &Options::DEFAULT), Act::Fail, "{e:?}");
            assert_eq!(b(whole, e, &fail), Act::Fail, "{e:?}");
            for o in [fail, degrade, full] {
                assert_eq!(decide(whole, Leg::A, e, &o), Act::Fail, "{e:?}");
                assert_eq!(decide(away, Leg::A, e, &o), Act::Fail, "{e:?}");
                assert_eq!(b(away, e, &o), Act::Alone, "{e:?}");
                let act = match (e.class(), e) {
                    (ErrorClass::Leg, _) => Act::Probe,
                    (_, Errno::ENOSPC | Errno::EDQUOT) => Act::Leave,
                    _ => Act::Fail,
                };
                assert_eq!(b(joining, e, &o), act, "{e:?}");
            }
            let leg = e.class() == ErrorClass::Leg;
            let no_room = matches!(e, Errno::ENOSPC | Errno::EDQUOT);
            let act = if leg { Act::Probe } else { Act::Fail };
            assert_eq!(b(whole, e, &degrade), act, "{e:?}");
            let act = if no_room { Act::Leave } else { Act::Fail };
            assert_eq!(b(whole, e, &full), act, "{e:?}");
        }
        for e in [
            Errno::EIO,
            Errno::ENODEV,
            Errno::ENOTCONN,
            Errno::ESTALE,
            Errno::ETIMEDOUT,
            Errno::EROFS,
            Errno::ESHUTDOWN,
        ] {
            assert_eq!(b(whole, e, &degrade), Act::Probe, "{e:?}");
        }
        for e in [Errno::EMFILE, Errno::EACCES, Errno::ENOENT, Errno::EINTR] {
            assert_eq!(b(whole, e, &degrade), Act::Fail, "{e:?}");
        }
    }
}

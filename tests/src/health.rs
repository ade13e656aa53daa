//! What a sound pair looks like from outside: equal trees, nothing pending, no error of a second leg,
//! and a command that says so.
use crate::compare::Level;
use crate::output::Output;
use crate::pair::Pair;
use std::fs;

/// Where the runtime file counts the errors of a second leg (docs/FORMATS.md). The only place in the
/// tests that knows the layout.
const PARTNER_ERRORS: usize = 144;

impl Pair {
    /// Errors of a second leg since the runtime file was made; 0 when nobody has attached yet.
    pub fn partner_errors(&self) -> u64 {
        let files = self.runtime_files();
        let Some(bytes) = files.last().and_then(|p| fs::read(p).ok()) else {
            return 0;
        };
        let word = bytes[PARTNER_ERRORS..PARTNER_ERRORS + 8].try_into();
        u64::from_le_bytes(word.expect("eight bytes"))
    }

    /// `mirror status V`.
    pub fn status(&self) -> Output {
        let v = self.v().to_str().expect("a path of ASCII").to_owned();
        self.mirror("status", &[&v])
    }

    /// Equal trees, nothing pending, and `status` and `verify` agree.
    #[track_caller]
    pub fn assert_sound(&self) {
        self.assert_legs(Level::Strict);
        self.assert_nothing_pending();
        self.status().ok();
        self.verify().ok();
    }

    /// The same after a run in which nobody was killed: then no second leg may have answered with an error.
    #[track_caller]
    pub fn assert_undisturbed(&self) {
        self.assert_sound();
        assert_eq!(self.partner_errors(), 0, "a race reached a second leg");
    }
}

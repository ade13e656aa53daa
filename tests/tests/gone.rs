//! Calls in and on directories that are gone, and copies at the ends of what offsets can say: the plain directory's
//! answers.
use mirror_tests::{compile, each_kind};

each_kind! {
    fn removed_directories_and_ends_of_offsets(pair) {
        let source = include_str!("../programs/gone.c");
        if compile(&pair.programs(), "gone", source).is_some() {
            pair.both_ok("$P/gone $V");
        }
    }
}

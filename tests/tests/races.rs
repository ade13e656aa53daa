//! Conflicting calls of several processes and threads leave equal trees, and no race records a
//! partner error (`.mirror/pending` stays empty).
use mirror_tests::{Output, Pair, compile, each_kind, soak};

/// Runs one race through the mirror; `None` without a compiler.
fn race(pair: &Pair, mode: &str, seconds: &str) -> Option<Output> {
    let racer = compile(
        &pair.programs(),
        "racer",
        include_str!("../programs/racer.c"),
    )?;
    let o = pair
        .command(racer)
        .args([mode, seconds])
        .output()
        .expect("running mirror run");
    let o = Output::from_std(o).ok();
    pair.assert_equal();
    Some(o)
}

/// Rounds of the random race: ten in CI.
fn rounds() -> u32 {
    if soak() { 50 } else { 10 }
}

each_kind! {
    fn appends_of_eight_processes(pair) {
        if race(pair, "append", "0").is_none() {
            return;
        }
        let text = std::fs::read_to_string(pair.b().join("log")).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 8 * 4 * 300);
        assert!(lines.iter().all(|l| l.contains(' ')), "no torn line");
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), 8 * 4 * 300, "no line twice");
    }

    fn readers_share_the_descriptor(pair) {
        race(pair, "shared_position", "2");
    }

    fn dup2_over_a_written_descriptor(pair) {
        race(pair, "rotation", "2");
    }

    fn opens_against_renames(pair) {
        race(pair, "open_rename", "3");
    }

    fn mkdir_and_rmdir_against_creation(pair) {
        race(pair, "make_remove", "3");
    }

    fn chmod_against_creation(pair) {
        if mirror_tests::is_root() {
            mirror_tests::skip("modes do not stop root (an ordinary user runs it too)");
            return;
        }
        race(pair, "chmod_create", "2");
    }

    fn serial_mixed_calls_on_eight_names(pair) {
        for round in 0..rounds() {
            println!("round {round}");
            if race(pair, "mixed", "2").is_none() {
                return;
            }
            pair.run("rm -rf $V/*").ok();
        }
    }
}

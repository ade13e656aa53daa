//! A dup2 that makes a number which leads outside a file of the pair, while other threads may be about to write to
//! the number: they are waited for, and who cannot be shown to have come to its call is recorded.
use mirror_tests::{Kind, Output, Pair, compile_with, need};

fn pair() -> Option<Pair> {
    let pair = Pair::striped(Kind::InPlace, None);
    let source = include_str!("../programs/turns.c");
    compile_with(&pair.programs(), "turns", source, "c", &["-pthread"])?;
    Some(pair)
}

fn status(pair: &Pair) -> Output {
    pair.mirror("status", &[pair.v().to_str().unwrap()])
}

#[test]
fn a_thread_that_waits_is_past() {
    let Some(pair) = pair() else { return };
    pair.run("$P/turns waits $V/f $S/out").ok();
    assert_eq!(status(&pair).code, 0);
    pair.assert_equal();
}

#[test]
fn a_thread_that_does_not_run_is_recorded() {
    let Some(pair) = pair() else { return };
    let o = pair.run("$P/turns stopped $V/f $S/out");
    if o.code == 6 {
        return mirror_tests::skip("a thread cannot be stopped here");
    }
    o.ok();
    let o = status(&pair);
    assert_eq!(o.code, 1, "{o:?}");
    assert!(o.text().contains("may have changed one leg alone"), "{o:?}");
    pair.verify().ok();
    assert_eq!(status(&pair).code, 0);
}

/// A wait that follows another one marks the number too: who writes meanwhile waits for the new file.
#[test]
fn each_wait_marks_the_number() {
    need!("strace");
    let Some(pair) = pair() else { return };
    let o = pair.run(
        "strace -f -o $S/log -e trace=nanosleep -e inject=nanosleep:delay_enter=100000 $P/turns again $V/f $S/out",
    );
    let text = o.ok().text();
    let thread = text.trim();
    let log = std::fs::read_to_string(pair.scratch().join("log")).unwrap();
    let waits = log
        .lines()
        .filter(|l| l.split(' ').next() == Some(thread) && l.contains("tv_nsec=2000000"));
    assert_eq!(waits.count(), 2, "{log}");
    pair.assert_equal();
}

//! What is known against a pair goes when a walk has refuted it, and never otherwise.
use super::*;
use crate::sync::heal::append_pending;
use crate::sync::heal::tests::Case;
use mirror_core::word::StateWord as W;
use std::fs;

fn record(c: &Case, rel: &str) {
    let all = [rel.as_bytes().to_vec()];
    assert!(locked(&c.p, |held| append_pending(&c.p, &all, held)).unwrap());
}

fn up(c: &Case, bits: u64) {
    locked(&c.p, |held| c.p.set_bits(bits, held)).unwrap();
}

fn paths(c: &Case) -> Vec<String> {
    let known = c.p.pair.pending();
    assert!(known.unread.is_empty());
    let texts = known.paths.into_iter();
    texts.map(|p| String::from_utf8(p).unwrap()).collect()
}

#[test]
fn what_was_known_before_is_struck() {
    let c = Case::new("struck");
    record(&c, "f");
    up(&c, W::UNMIRRORED | W::VANISHED);
    let l = Ledger::begin(&c.p).unwrap();
    assert!(l.strike_off(&c.p).unwrap());
    assert!(c.p.runtime.word().in_order() && paths(&c).is_empty());
}

/// Also if the same path stood on the list before.
#[test]
fn what_is_found_since_stays() {
    for second in ["f", "g"] {
        let c = Case::new("since");
        record(&c, "f");
        let l = Ledger::begin(&c.p).unwrap();
        record(&c, second);
        locked(&c.p, |held| assert!(l.grew(&c.p, held).unwrap())).unwrap();
        assert!(!l.strike_off(&c.p).unwrap());
        assert_eq!(paths(&c), [second]);
        assert!(c.p.runtime.word().pending());
        // The next walk has seen it.
        assert!(Ledger::begin(&c.p).unwrap().strike_off(&c.p).unwrap());
        assert!(paths(&c).is_empty() && !c.p.runtime.word().pending());
    }
}

/// Both legs were full: the bit alone says it.
#[test]
fn what_no_list_could_take_stays() {
    let c = Case::new("unlisted");
    record(&c, "f");
    let l = Ledger::begin(&c.p).unwrap();
    up(&c, W::PENDING);
    assert!(!l.strike_off(&c.p).unwrap());
    assert!(c.p.runtime.word().pending());
}

/// Somebody has struck the list meanwhile, and more was found: nobody has looked at that.
#[test]
fn another_list_is_not_struck() {
    let c = Case::new("another");
    record(&c, "a-long-name");
    let l = Ledger::begin(&c.p).unwrap();
    assert!(Ledger::begin(&c.p).unwrap().strike_off(&c.p).unwrap());
    record(&c, "f");
    assert!(!l.strike_off(&c.p).unwrap());
    assert_eq!(paths(&c), ["f"]);
    assert!(c.p.runtime.word().pending());
}

/// Killed on the way, or failed: all that was known is known.
#[test]
fn who_stops_on_the_way_takes_nothing_along() {
    let c = Case::new("stops");
    record(&c, "f");
    up(&c, W::UNMIRRORED | W::VANISHED);
    for _ in 0..3 {
        let _ = Ledger::begin(&c.p).unwrap();
        let _ = Doubts::begin(&c.p).unwrap();
        let w = c.p.runtime.word();
        assert!(w.pending() && w.unmirrored() && w.vanished());
        assert_eq!(paths(&c), ["f"]);
    }
    // A comparison that goes to its end says nothing of the list.
    Doubts::begin(&c.p).unwrap().end(&c.p).unwrap();
    let w = c.p.runtime.word();
    assert!(w.pending() && !w.unmirrored() && !w.vanished());
}

/// What came between the beginnings of two is newer than the first one.
#[test]
fn an_older_comparison_ends_no_doubt_of_a_newer_one() {
    let c = Case::new("two");
    let first = Doubts::begin(&c.p).unwrap();
    up(&c, W::UNMIRRORED);
    let second = Doubts::begin(&c.p).unwrap();
    first.end(&c.p).unwrap();
    assert!(c.p.runtime.word().unmirrored());
    second.end(&c.p).unwrap();
    assert!(!c.p.runtime.word().unmirrored());
    // And what comes while one runs outlives it.
    let third = Doubts::begin(&c.p).unwrap();
    up(&c, W::UNMIRRORED);
    third.end(&c.p).unwrap();
    assert!(c.p.runtime.word().unmirrored());
}

/// Longer than what is read; a directory in its place.
#[test]
fn a_list_that_cannot_be_read_is_struck_by_nobody() {
    for leg in ["a", "b"] {
        let c = Case::new("unread");
        record(&c, "f");
        let begun = [(); 2].map(|()| Ledger::begin(&c.p).unwrap());
        let list = c.at(&format!("{leg}/.mirror/pending"));
        let file = fs::File::options().append(true).open(&list).unwrap();
        let long = crate::tree::beneath::LONGEST + 1;
        file.set_len(long).unwrap();
        let [one, two] = begun;
        locked(&c.p, |held| assert!(one.grew(&c.p, held).is_err())).unwrap();
        assert!(one.strike_off(&c.p).is_err());
        assert_eq!(fs::metadata(&list).unwrap().len(), long);
        fs::remove_file(&list).unwrap();
        fs::create_dir(&list).unwrap();
        assert!(two.strike_off(&c.p).is_err());
        assert!(Ledger::begin(&c.p).is_err());
        assert!(c.p.runtime.word().pending());
        let known = c.p.pair.pending();
        assert_eq!((known.unread.len(), known.paths.len()), (1, 1));
    }
}

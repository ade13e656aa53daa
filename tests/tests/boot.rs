//! What the start of a program costs that never touches V: system calls and pages, which no busy machine
//! changes.
use mirror_tests::{Fs, Kind, Pair, compile};

/// System calls and first touches of pages of /bin/true, the fewest of some runs; and the calls' numbers.
fn cost(pair: &Pair, mirrored: bool) -> (usize, usize, Vec<usize>) {
    let runs = (0..7).map(|_| {
        let o = match mirrored {
            true => pair.run("$P/boots /bin/true").ok(),
            false => pair.plain("$P/boots /bin/true").ok(),
        };
        let text = o.text();
        let mut all = text.split_whitespace().map(|n| n.parse().unwrap());
        let mut next = || all.next().unwrap();
        let (calls, pages, status) = (next(), next(), next());
        assert_eq!(status, 0, "{text}");
        (calls, pages, all.collect())
    });
    runs.min().unwrap()
}

#[test]
fn a_start_makes_few_calls_and_touches_few_pages() {
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    let source = include_str!("../programs/boots.c");
    if compile(&pair.programs(), "boots", source).is_none() {
        return;
    }
    // Where the kernel puts things, a page more is touched now and then: the least of some starts is the program's.
    let least = |with| (0..15).map(|_| cost(&pair, with)).min_by_key(|c| c.1);
    let (calls, pages, _) = least(false).unwrap();
    let (with_calls, with_pages, numbers) = least(true).unwrap();
    println!("calls {calls} {with_calls}, pages {pages} {with_pages}: {numbers:?}");
    // Of the calls, ld.so makes eight to load the library.
    let asked = |nr: usize| numbers.iter().filter(|n| **n == nr).count();
    let probes = asked(14);
    assert!(probes <= 24, "{numbers:?}");
    assert!(with_calls - probes <= calls + 30, "{numbers:?}");
    // An empty library touches five; these are two of its own, the words behind libc's data, and what of
    // libc's text is touched again.
    assert!(with_pages <= pages + 10, "{pages} {with_pages}");
}

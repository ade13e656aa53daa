//! Signals, threads and stacks: handlers that change files in the midst of changes, on small signal stacks; threads that
//! are cancelled, of the smallest stack, in great numbers; forks, ends and execs beside writers.
use mirror_tests::{Output, Pair, compile_with, each_kind};

fn built(pair: &Pair) -> bool {
    let source = include_str!("../programs/threads.cc");
    compile_with(&pair.programs(), "threads", source, "cc", &["-pthread"]).is_some()
}

/// A case prints the same as natively and leaves the same; the legs are equal, nothing is pending or unknown.
fn same(pair: &Pair, case: &str) {
    if !built(pair) {
        return;
    }
    pair.unstable(&[".some"]);
    pair.both_ok(&format!("$P/threads {case} $V"));
    let o = pair.mirror("status", &[pair.v().to_str().unwrap()]);
    assert_eq!(o.code, 0, "{o:?}");
}

/// What the deepest call of a program takes of its stack: the bytes, and its name.
fn deepest(o: &Output) -> (usize, String) {
    let text = String::from_utf8_lossy(&o.err).into_owned();
    let mut words = text.split_whitespace();
    let bytes = words.next().and_then(|w| w.parse().ok());
    (
        bytes.unwrap_or_else(|| panic!("{o:?}")),
        words.collect::<Vec<_>>().join(" "),
    )
}

each_kind! {
    fn handlers_change_files_on_a_small_stack(pair) {
        same(pair, "handlers");
    }

    fn handlers_leave_calls(pair) {
        same(pair, "leaps");
    }

    fn threads_are_cancelled(pair) {
        same(pair, "cancel");
    }

    fn the_smallest_threads(pair) {
        same(pair, "small");
    }

    fn a_thousand_threads(pair) {
        same(pair, "thousand");
    }

    fn forks_beside_writers(pair) {
        same(pair, "forks");
    }

    fn ends_beside_writers(pair) {
        same(pair, "ends");
    }

    fn a_call_takes_a_kibibyte_of_stack_at_most(pair) {
        if !built(pair) {
            return;
        }
        let script = "$P/threads depths $V";
        let (native, mirrored) = (pair.plain(script).ok(), pair.run(script).ok());
        let ((native, _), (mirrored, which)) = (deepest(&native), deepest(&mirrored));
        println!("{native} bytes natively, {mirrored} mirrored ({which})");
        assert!(native < 512 && mirrored > native, "{native}, {mirrored}");
        assert!(mirrored <= 1024, "{mirrored} ({which})");
        pair.assert_equal();
    }
}

//! Calls on data and descriptors answer as in a plain directory: tables of calls, run natively and in
//! V. The right value is what the plain directory says.
use mirror_tests::{Kind, Pair, compile, each_kind, need, skip};

/// Runs one table natively and in V; every printed answer must be the same. At least `lines` are.
fn table(pair: &Pair, mode: &str, lines: usize) {
    if !helper(pair) {
        return;
    }
    let o = pair.both(&format!("$P/answers_data {mode}"));
    assert_eq!(o.code, 0, "{mode}: {o:?}");
    let n = o.text().lines().count();
    assert!(n >= lines, "{mode}: {n} lines\n{}", o.text());
}

fn helper(pair: &Pair) -> bool {
    let source = include_str!("../programs/answers_data.c");
    compile(&pair.programs(), "answers_data", source).is_some()
}

each_kind! {
    fn every_call_on_every_sort_of_descriptor(pair) {
        table(pair, "descriptors", 500);
    }
}

#[test]
fn listings_of_descriptors_do_not_show_the_librarys() {
    Pair::with(Kind::InPlace, |pair| table(pair, "own_descriptors", 25));
}

/// Natively and in V, as the first process of a pid namespace.
#[test]
fn processes_and_threads_of_any_number_are_listed() {
    need!(root);
    need!("unshare", "ps", "pgrep");
    Pair::with(Kind::InPlace, |pair| {
        if !helper(pair) {
            return;
        }
        let script = "unshare -pf --mount-proc -- $P/answers_data processes";
        if pair.plain("unshare -pf --mount-proc -- true").code != 0 {
            return skip("needs pid namespaces");
        }
        let o = pair.both(script);
        assert_eq!(o.code, 0, "{o:?}");
        let expected = "4100\n/proc: some, 1 in the library's range\n/proc/self/task: some, 1 in the library's range\n\
            /proc: some, 1 in the library's range\n/proc/self/task: some, 1 in the library's range\n1\n4100\n4100";
        assert_eq!(o.text(), expected);
    });
}

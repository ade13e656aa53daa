//! Calls by name with odd arguments: the answers of a plain directory, and equal trees. The tables are in
//! `tests/programs/answers_path.c`; each prints a line a call.
use mirror_tests::{Kind, Pair, compile, each_kind, need};

/// Compiles the tables. False: skipped.
fn tables(pair: &Pair) -> bool {
    let source = include_str!("../programs/answers_path.c");
    compile(&pair.programs(), "answers_path", source).is_some()
}

/// Runs a table natively and in V: the same lines, at least so many.
fn table(pair: &Pair, args: &str, lines: usize) {
    if !tables(pair) {
        return;
    }
    let o = pair.both(&format!("$P/answers_path {args}"));
    assert_eq!(o.code, 0, "{args}: {o:?}");
    let n = o.text().lines().count();
    assert!(n >= lines, "{args}: {n} lines\n{}", o.text());
}

/// The large tables, on one kind of pair: what a path means is not a matter of the kind.
macro_rules! large {
    ($($name:ident: $args:expr, $lines:expr;)+) => {
        $(#[test] fn $name() { Pair::with(Kind::InPlace, |pair| table(pair, $args, $lines)); })+
    };
}

large! {
    one_name_from_the_cwd: "one cwd", 3900;
    one_name_as_absolute_path: "one absolute", 3900;
    one_name_from_a_descriptor: "one dirfd", 2500;
    one_name_through_a_symlink_from_outside: "one symlink", 3900;
    two_names_from_the_cwd: "two cwd", 5000;
    two_names_as_absolute_paths: "two absolute", 5000;
    two_names_from_a_descriptor: "two dirfd", 3900;
    two_names_through_a_symlink_from_outside: "two symlink", 5000;
}

each_kind! {

    fn a_border_is_that_of_a_mount(pair) {
        need!(root);
        if !tables(pair) {
            return;
        }
        // Natively S/other is a file system of its own.
        pair.both("mkdir $S/other; export T=\"$P/answers_path border\"; if test -n \"$B\"; then $T; else unshare -m --propagation private sh -c 'mount -t tmpfs none $S/other && exec $T'; fi");
    }

    fn descriptors_that_name_an_object(pair) {
        table(pair, "descriptors '/proc/self/fd/%2$d'", 150);
    }

    fn descriptors_by_the_process_number(pair) {
        table(pair, "descriptors '/proc/%1$d/fd/%2$d'", 150);
    }

    fn a_file_whose_name_is_gone(pair) {
        table(pair, "lost '/proc/self/fd/%2$d'", 200);
    }

    fn a_file_whose_name_is_gone_by_other_texts(pair) {
        table(pair, "lost '/dev/fd/%2$d'", 200);
    }

    fn a_nameless_file_from_another_process_gets_its_name(pair) {
        table(pair, "received", 12);
    }

    fn names_of_any_length(pair) {
        table(pair, "lengths 0", 200);
    }

    fn a_removed_cwd(pair) {
        table(pair, "cwd", 15);
    }
}

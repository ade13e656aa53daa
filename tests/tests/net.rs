//! The net (`MIRROR_NET=always`): system calls that are made by instructions of a program's or library's own
//! are carried out like libc's, in threads, children, handlers and sandboxes.
use mirror_tests::{Pair, compile_with, in_place, need};

/// The helper program and its library in `$P`; false: it cannot be compiled here.
fn built(pair: &Pair) -> bool {
    let library = include_str!("../programs/netlib.c");
    let program = include_str!("../programs/net.c");
    let dir = pair.programs();
    compile_with(&dir, "netlib.so", library, "c", &["-shared", "-fPIC"]).is_some()
        && compile_with(&dir, "net", program, "c", &["-pthread", "-ldl"]).is_some()
}

/// A case prints the same and leaves the same in a plain directory, and the legs are equal.
fn same(pair: &Pair, case: &str) {
    if !built(pair) {
        return;
    }
    pair.both_ok(&format!(
        "export MIRROR_NET=always OWN_LIB=$P/netlib.so; $P/net {case} $V"
    ));
}

in_place! {
    fn calls_of_the_programs_own(pair) {
        same(pair, "calls");
    }

    fn threads_and_children(pair) {
        same(pair, "children");
    }

    fn interrupted_restarted_and_nested(pair) {
        same(pair, "signals");
    }

    fn a_storm_of_timers(pair) {
        same(pair, "storm");
    }

    fn sigsys_blocked_ignored_handled_and_under_masks(pair) {
        same(pair, "masks");
    }

    fn a_timers_thread(pair) {
        same(pair, "timers");
    }

    fn cancellation_and_contexts(pair) {
        same(pair, "cancelled");
    }

    fn a_filter_of_the_programs_own(pair) {
        same(pair, "sandbox");
    }

    fn libraries_a_second_libc_and_made_code(pair) {
        same(pair, "libraries");
    }

    fn what_is_refused(pair) {
        if !built(pair) {
            return;
        }
        let o = pair.run("MIRROR_NET=always $P/net answers $V").ok();
        let expected = "int80 -38\nprctl -22 -1 -1\nrings -38 -38\nx32 -38\nalive 1";
        assert_eq!(o.text(), expected);
        pair.assert_equal();
    }

    fn it_passes_through_a_cleaned_environment(pair) {
        need!("env");
        if !built(pair) {
            return;
        }
        pair.run("export MIRROR_NET=always; env -i \"$(type -P bash)\" -c \"$P/net calls $V\"").ok();
        pair.assert_equal();
        assert!(pair.b().join("d/h").exists());
    }

    fn it_is_off_when_it_is_told_so(pair) {
        if !built(pair) {
            return;
        }
        pair.run("MIRROR_NET=never $P/net calls $V").ok();
        assert!(!pair.b().join("d/h").exists());
    }
}

//! The net (`MIRROR_NET=always`, and who gets it by itself): system calls that are made by instructions of a program's or library's own
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

    fn many_clones_at_once_and_children_killed_at_their_start(pair) {
        same(pair, "crowd");
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

    fn small_stacks_and_poisoned_masks(pair) {
        same(pair, "stacks");
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

    fn a_filter_that_was_there_before(pair) {
        same(pair, "inherited");
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

    fn who_has_instructions_of_its_own_gets_it(pair) {
        if built(pair) {
            pair.both_ok("export OWN_LIB=$P/netlib.so; $P/net calls $V; $P/net children $V; $P/net libraries $V");
        }
    }

    fn who_loads_a_library_that_has_gets_it_then(pair) {
        let late = include_str!("../programs/netlate.c");
        if !built(pair) || compile_with(&pair.programs(), "netlate", late, "c", &["-pthread", "-ldl"]).is_none() {
            return;
        }
        let o = pair.run("unset MIRROR_NET; OWN_LIB=$P/netlib.so $P/netlate $V").ok();
        assert_eq!(o.text(), "caught 0\nmain 4\nthread 6\nyoung 5\ncaught 1");
        pair.assert_equal();
        for name in ["main", "handler", "thread", "young", "child"] {
            assert!(pair.b().join(name).exists(), "{name}");
        }
    }

    fn a_program_without_a_libc(pair) {
        let source = include_str!("../programs/nolibc.c");
        let flags = ["-nostdlib", "-pie", "-fPIE", "-fno-stack-protector", "-O0"];
        if compile_with(&pair.programs(), "nolibc", source, "c", &flags).is_none() {
            return;
        }
        pair.run("cd $V; $P/nolibc").ok();
        pair.assert_equal();
        assert!(pair.b().join("made").exists());
    }

    fn a_program_of_gos(pair) {
        need!("git", "git-lfs");
        let o = pair.run("set -e; git init -q $V/r; cd $V/r; git lfs install --local; git lfs track '*.bin'; seq 9999 > x.bin; git add .; git commit -qm one; rm x.bin; git checkout -q x.bin; git lfs ls-files; wc -l < x.bin").ok();
        assert!(o.text().ends_with("9999"), "{o:?}");
        pair.assert_equal();
        assert!(pair.b().join("r/.git/lfs/objects").exists());
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

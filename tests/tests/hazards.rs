//! What is around calls that a program makes by instructions of its own (`MIRROR_NET=always`): registers, calls
//! that are interrupted, coroutines, cancellation, children, memory that others provide, ends, sandboxes.
//! The right value is what the same program says in a plain directory.
use mirror_tests::{Pair, compile_with, in_place, link};

fn built(pair: &Pair) -> bool {
    let source = concat!(
        include_str!("../programs/hazards.c"),
        include_str!("../programs/hazards_children.c")
    );
    compile_with(&pair.programs(), "hazards", source, "c", &["-pthread"]).is_some()
}

/// A case prints the same and leaves the same in a plain directory; the legs are equal and nothing is pending.
fn same(pair: &Pair, case: &str) {
    if !built(pair) {
        return;
    }
    pair.both_ok(&format!(
        "mkdir -p $P/cores; export CORES=$P/cores MIRROR_NET=always; $P/hazards {case} $V"
    ));
    let o = pair.mirror("status", &[pair.v().to_str().unwrap()]);
    assert_eq!(o.code, 0, "{o:?}");
}

link! {
    fn interrupted_calls_that_wait(pair) {
        same(pair, "interrupted");
    }
}

in_place! {
    fn a_signal_each_100_microseconds(pair) {
        same(pair, "storms");
    }

    fn vector_and_mask_registers(pair) {
        same(pair, "registers");
    }

    fn leaps_out_of_anything(pair) {
        same(pair, "leaps");
    }

    fn coroutines_born_on_signal_stacks(pair) {
        same(pair, "coroutines");
    }

    fn fibers_with_signal_stacks(pair) {
        same(pair, "fibers");
    }

    fn threads_cancelled_at_any_instant(pair) {
        same(pair, "cancel");
    }

    fn programs_started_by_many_threads(pair) {
        same(pair, "spawns");
    }

    fn clone3_with_numbers_and_stacks(pair) {
        same(pair, "clone3");
    }

    fn copies_that_go_on_without_exec(pair) {
        same(pair, "copies");
    }

    fn memory_that_a_thread_provides(pair) {
        same(pair, "userfault");
    }

    fn stacks_that_grow_and_that_end(pair) {
        same(pair, "deep");
    }

    fn ends_of_programs(pair) {
        same(pair, "crashes");
    }

    fn restartable_sequences(pair) {
        same(pair, "rseq");
    }

    fn a_handler_that_has_not_asked_for_the_signal_stack(pair) {
        same(pair, "elsewhere");
    }

    fn a_filter_for_all_threads_while_others_begin(pair) {
        same(pair, "everybody");
    }

    fn a_sandbox_that_asks_its_own_handler(pair) {
        same(pair, "broker");
    }
}

//! Every target with some thousand inputs, the same in each run.
//!
//! `MIRROR_FUZZ=N`: N times as many.
use mirror_fuzz::TARGETS;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// Bytes of all sorts: any, those that texts of ours are made of, and whole words of these texts.
fn inputs() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: &[&str] = &[
        "/a",
        "/b/c",
        "/",
        "..",
        ".",
        "//",
        "\\040",
        "\\134",
        "\\",
        " ",
        "\t",
        "\n",
        "\r",
        "#",
        ":",
        "=",
        "id=",
        "uid=0",
        "root-wait=1",
        "on-failure=degrade",
        ",",
        "mirror-leg=2\n",
        "pair=",
        "leg=a\n",
        ".mirror",
        "crc=",
        "r--s ",
        "rw-p ",
        "7f00-7f01 ",
        "00000000 ",
        "fe:00 ",
        "GNU\0",
        "MIRRVRD\x01",
        "MIRROWN1",
        "\0",
        "MRN1",
        "unmirrorable=warn",
    ];
    let all = prop::collection::vec(any::<u8>(), 0..400);
    let small = prop::collection::vec(0u8..4, 0..400);
    let text = prop::collection::vec(prop::sample::select(&b"/.ab \\\n:=#0123"[..]), 0..120);
    let words = prop::collection::vec(prop::sample::select(WORDS), 0..24)
        .prop_map(|w| w.concat().into_bytes());
    let long = (any::<u8>(), 0usize..9000).prop_map(|(b, n)| [vec![0xff; 2], vec![b; n]].concat());
    let headed = (
        any::<[u8; 2]>(),
        prop::collection::vec(any::<u8>(), 0..60),
        words.clone(),
    )
        .prop_map(|(n, a, w)| [n.to_vec(), a, w].concat());
    prop_oneof![4 => all, 1 => small, 3 => text, 4 => words, 1 => long, 2 => headed]
}

fn run(name: &str) {
    let times = std::env::var("MIRROR_FUZZ").map_or(1, |n| n.parse().expect("a number"));
    let config = Config {
        cases: 1500 * times,
        failure_persistence: None,
        ..Config::default()
    };
    let target = TARGETS
        .iter()
        .find(|(n, _)| *n == name)
        .expect("a target")
        .1;
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    // Each attempt to make a failure smaller would be told.
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = TestRunner::new_with_rng(config, rng).run(&inputs(), |data| {
        target(&data);
        Ok::<(), TestCaseError>(())
    });
    let _ = std::panic::take_hook();
    if let Err(e) = outcome {
        panic!("{name}: {e}");
    }
}

macro_rules! bounded {
    ($($name:ident)*) => {
        $(#[test] fn $name() { run(stringify!($name)); })*

        #[test]
        fn no_target_is_left_out() {
            let names: Vec<&str> = TARGETS.iter().map(|(n, _)| *n).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
            // Each has its program for cargo-fuzz.
            let manifest = include_str!("../Cargo.toml");
            for name in names {
                let program = format!("path = \"fuzz_targets/{name}.rs\"");
                assert!(manifest.contains(&program), "{name} is in no [[bin]]");
            }
        }
    };
}

bounded! {
    tab leg_record away_mark domain_record intent image_header paths maps_line pending_line names_file outside_file filter verdicts
    audit_record refusal_record unmirrored_record core_files core_list mapped_entry lock_word held_list audit_state
}

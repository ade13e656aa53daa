//! What a killed program left half done is ended alike by the library, by the command and by the simulator:
//! random torn states are laid out on a real pair, with the intents that lead there, and a program (or
//! `mirror run`) comes by.
//!
//! A run takes a slice of the states; `MIRROR_TORN=FROM..TO` others (the simulator takes 10,000).
#[path = "../torn/ground.rs"]
mod ground;
#[path = "../torn/states.rs"]
mod states;

use ground::{look, put, recorded};
use mirror_tests::{Announced, Kind, Pair};
use states::{Look, Torn};
use std::fs;

/// Intents that stand in the runtime file at once: there is room for one at each lock object.
const BATCH: u64 = 120;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Library,
    Command,
}

fn slice(default: std::ops::Range<u64>) -> std::ops::Range<u64> {
    let Ok(text) = std::env::var("MIRROR_TORN") else {
        return default;
    };
    let (from, to) = text.split_once("..").expect("MIRROR_TORN=FROM..TO");
    from.parse().expect("a number")..to.parse().expect("a number")
}

fn come_by(pair: &Pair, who: Who) {
    match who {
        Who::Library => {
            let file = pair.v().join("come-by");
            let o = pair
                .preloaded("/usr/bin/touch")
                .arg(file)
                .output()
                .expect("running touch");
            assert!(o.status.success(), "{o:?}");
        }
        Who::Command => {
            let o = pair
                .command("/bin/true")
                .output()
                .expect("running mirror run");
            assert!(o.status.success(), "{o:?}");
        }
    }
}

fn batch(pair: &Pair, who: Who, numbers: &[u64]) {
    let torn: Vec<(String, Torn)> = numbers
        .iter()
        .map(|&n| (format!("t{n}"), states::state(n)))
        .collect();
    let legs = [pair.a(), pair.b()];
    let announced = (1..).zip(&torn);
    let all: Vec<Announced> = announced
        .map(|(object, (folder, t))| put(pair, folder, t, object))
        .collect();
    let before: Vec<[Look; 2]> = torn
        .iter()
        .map(|(f, _)| [0, 1].map(|leg| look(&legs[leg].join(f))))
        .collect();
    pair.announce(&all);
    assert!(pair.evidence().inside);
    come_by(pair, who);
    assert!(!pair.evidence().inside, "something is not ended");
    let recorded = recorded(pair);
    for ((folder, t), before) in torn.iter().zip(before) {
        let now = [0, 1].map(|leg| look(&legs[leg].join(folder)));
        match &t.end {
            Some(end) => {
                assert_eq!(now, [end.clone(), end.clone()], "{folder}: {t:?}");
                assert!(!recorded.contains(folder), "{folder} is recorded: {t:?}");
            }
            None => {
                assert_eq!(now, before, "{folder}: {t:?}");
                assert!(recorded.contains(folder), "{folder} is not recorded: {t:?}");
            }
        }
    }
}

fn ends(who: Who, numbers: std::ops::Range<u64>) {
    let pair = Pair::striped(Kind::InPlace, None);
    // The first program makes the runtime file.
    pair.run("touch $V/come-by").ok();
    let numbers: Vec<u64> = slice(numbers).collect();
    for some in numbers.chunks(BATCH as usize) {
        batch(&pair, who, some);
        pair.resync().ok();
        for n in some {
            for leg in [pair.a(), pair.b()] {
                fs::remove_dir_all(leg.join(format!("t{n}"))).expect("removing");
            }
        }
    }
    pair.assert_sound();
}

#[test]
fn the_library_ends_them() {
    ends(Who::Library, 0..360);
}

#[test]
fn the_command_ends_them() {
    ends(Who::Command, 0..360);
}

/// The change was to make it, and never did: what stands there is somebody's.
#[test]
fn what_the_second_leg_alone_has_is_put_aside() {
    for (who, object) in [(Who::Library, 1), (Who::Command, 2)] {
        let pair = Pair::striped(Kind::InPlace, None);
        pair.run("touch $V/come-by").ok();
        fs::write(pair.b().join("new"), "somebody's").expect("a file");
        pair.announce(&[Announced {
            object,
            kind: states::OPEN,
            first: 0,
            inode: [0; 2],
            offset: 0,
            length: 0,
            paths: ["new".into(), String::new()],
        }]);
        come_by(&pair, who);
        assert!(!pair.a().join("new").exists() && !pair.b().join("new").exists());
        let found = std::process::Command::new("grep")
            .args(["-rl", "somebody's"])
            .arg(pair.b().join(".mirror/kept"))
            .output()
            .expect("running grep");
        assert!(found.status.success(), "{found:?}");
        pair.assert_sound();
    }
}

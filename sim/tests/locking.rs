//! Lock words beside flocks: every order of steps of two or three processes, with kills; each mistake is seen.
use mirror_sim::locking::{Mistake, Search};

/// Who takes words, and who relies on the flocks, with how many changes each.
const GROUPS: [(&[u8], &[u8], u8); 5] = [
    (&[2, 2], &[], 1),
    (&[1, 1, 1], &[], 1),
    (&[1], &[1], 1),
    (&[2], &[1], 0),
    (&[1, 1], &[1], 0),
];
/// With `MIRROR_SIM_STEPS` set (minutes).
const LARGE: [(&[u8], &[u8], u8); 3] =
    [(&[1, 1, 1], &[], 2), (&[1, 1], &[1], 1), (&[2, 1], &[1], 1)];

fn search(of: (&[u8], &[u8], u8), mistake: Option<Mistake>) -> Result<usize, String> {
    let s = Search {
        words: of.0.to_vec(),
        flocks: of.1.to_vec(),
        kills: of.2,
        mistake,
    };
    s.run()
}

#[test]
fn every_order_of_steps() {
    let soak = std::env::var_os("MIRROR_SIM_STEPS").is_some();
    let large = LARGE.into_iter().filter(|_| soak);
    for of in GROUPS.into_iter().chain(large) {
        match search(of, None) {
            Ok(states) => println!("{of:?}: {states} states"),
            Err(why) => panic!("{of:?}: {why}"),
        }
    }
}

#[test]
fn each_mistake_is_seen() {
    for m in [
        Mistake::Unasked,
        Mistake::Blind,
        Mistake::Slot,
        Mistake::Early,
        Mistake::Unstood,
        Mistake::Unlooked,
        Mistake::Dropped,
        Mistake::Inherited,
        Mistake::Skipped,
        Mistake::Late,
        Mistake::Again,
    ] {
        let seen = GROUPS.iter().find_map(|of| search(*of, Some(m)).err());
        let why = seen.unwrap_or_else(|| panic!("{m:?} is not seen"));
        println!("{m:?}: {}", why.split(": ").next().unwrap_or_default());
    }
}

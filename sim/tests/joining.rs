//! The return of leg b under programs that work: every order of steps of two processes and the command, with kills.
use mirror_sim::joining::Act::{self, Lose, Rename, Write};
use mirror_sim::joining::{Mistake, Search};

fn programs() -> Vec<Vec<Vec<Act>>> {
    vec![
        vec![
            vec![Write(0, 2), Write(0, 3)],
            vec![Write(0, 4), Write(1, 5)],
        ],
        vec![
            vec![Rename(1, 2), Rename(2, 0)],
            vec![Write(0, 2), Rename(0, 1)],
        ],
        vec![
            vec![Rename(0, 2), Write(0, 2)],
            vec![Rename(2, 0), Write(1, 3)],
        ],
        vec![
            vec![Write(0, 2), Lose, Write(0, 3)],
            vec![Write(0, 4), Rename(0, 2)],
        ],
        vec![
            vec![Lose, Rename(1, 0)],
            vec![Write(1, 2), Lose, Write(1, 3)],
        ],
        vec![vec![Write(0, 2)], vec![Rename(0, 1)], vec![Write(0, 4)]],
    ]
}

fn search(
    programs: &[Vec<Vec<Act>>],
    kills: u8,
    mistake: Option<Mistake>,
) -> Result<usize, String> {
    let each = programs.iter().map(|p| {
        let programs = p.clone();
        let s = Search {
            programs,
            kills,
            mistake,
        };
        s.run()
    });
    each.sum()
}

#[test]
fn every_order_ends_equal() {
    let states = search(&programs(), 0, None).unwrap();
    assert!(states > 10_000, "{states}");
}

#[test]
fn and_whoever_is_killed() {
    let states = search(&programs()[..5], 1, None).unwrap();
    assert!(states > 30_000, "{states}");
}

#[test]
fn each_mistake_is_seen() {
    for (m, kills) in [
        (Mistake::Unlocked, 0),
        (Mistake::Unquiesced, 0),
        (Mistake::Stale, 0),
        (Mistake::Early, 0),
        (Mistake::Moved, 0),
        (Mistake::Mark, 0),
        (Mistake::Lost, 0),
        (Mistake::Died, 1),
    ] {
        let found = search(&programs(), kills, Some(m));
        assert!(found.is_err(), "{m:?}: {found:?}");
    }
}

//! Random torn states, each ended by the acts, on a model of two legs.
extern crate std;
use super::*;
use std::collections::BTreeMap;
use std::vec::Vec;

/// Names and what is behind them: an inode of this leg alone, with content that both legs share.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Tree {
    names: BTreeMap<&'static str, u64>,
    content: BTreeMap<u64, u64>,
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What stands in the record of a deep object is a directory above it.
#[test]
fn nothing_is_done_by_the_record_of_a_deep_object() {
    let dir = Some(Seen {
        inode: 7,
        size: 4096,
    });
    for names in [
        [[dir; 2], [None; 2]],
        [[dir, None], [None; 2]],
        [[dir, None], [None, dir]],
    ] {
        let i = Intent::of(IntentKind::Deep, Leg::A);
        assert_eq!(decide(&i, names.map(PerLeg::from)), Act::Unknown);
        assert_eq!(IntentKind::from_u8(15), Some(IntentKind::Deep));
    }
}

const NAMES: [&str; 3] = ["one", "two", "other"];

impl Tree {
    /// What a program sees: names, what they hold, and which are one file.
    fn looks(&self) -> Vec<(&'static str, u64, Vec<&'static str>)> {
        let group = |ino| {
            self.names
                .iter()
                .filter(move |n| *n.1 == ino)
                .map(|n| *n.0)
                .collect()
        };
        self.names
            .iter()
            .map(|(n, ino)| (*n, self.content[ino], group(*ino)))
            .collect()
    }
    fn seen(&self, name: &str) -> Option<Seen> {
        let inode = *self.names.get(name)?;
        Some(Seen {
            inode,
            size: self.content[&inode],
        })
    }
    fn change(&mut self, kind: IntentKind) -> bool {
        let (one, two) = (
            self.names.get("one").copied(),
            self.names.get("two").copied(),
        );
        match (kind, one, two) {
            // Two names of one file: rename(2) does nothing.
            (IntentKind::Rename, Some(a), Some(b)) if a == b => {}
            (IntentKind::Rename, Some(a), _) => {
                self.names.remove("one");
                self.names.insert("two", a);
            }
            (IntentKind::Exchange, Some(a), Some(b)) => {
                self.names.insert("one", b);
                self.names.insert("two", a);
            }
            (IntentKind::Link, Some(a), None) => {
                self.names.insert("two", a);
            }
            (IntentKind::Write, Some(a), _) => {
                *self.content.get_mut(&a).unwrap() += 1000;
            }
            (IntentKind::Unlink, Some(_), _) => {
                self.names.remove("one");
            }
            _ => return false,
        }
        true
    }
}

fn carry_out(legs: &mut PerLeg<Tree>, act: Act) {
    match act {
        Act::Nothing => {}
        Act::Rename(leg) => assert!(legs[leg].change(IntentKind::Rename)),
        Act::Exchange(leg) => assert!(legs[leg].change(IntentKind::Exchange)),
        Act::Link(leg) => assert!(legs[leg].change(IntentKind::Link)),
        Act::Unlink(leg) => drop(legs[leg].names.remove("two")),
        Act::Equal { from, .. } => {
            match (
                legs[from].names.get("one"),
                legs[from.other()].names.get("one"),
            ) {
                (Some(s), Some(t)) => {
                    let (content, t) = (legs[from].content[s], *t);
                    legs[from.other()].content.insert(t, content);
                }
                (None, Some(_)) => drop(legs[from.other()].names.remove("one")),
                (None, None) => {}
                (s, t) => panic!("{s:?} {t:?}"),
            }
        }
        Act::Marks { .. } | Act::Unknown => panic!("a state of the change itself is known"),
    }
}

/// Two equal legs with other inodes, and some names of one file.
fn legs(dice: &mut Dice) -> PerLeg<Tree> {
    let empty = |_| Tree {
        names: BTreeMap::new(),
        content: BTreeMap::new(),
    };
    let mut legs = PerLeg::by(empty);
    for (i, name) in NAMES.into_iter().enumerate() {
        if dice.roll(4) == 0 {
            continue;
        }
        let like = NAMES[..i]
            .iter()
            .find(|n| legs.a.names.contains_key(*n) && dice.roll(3) == 0);
        let content = dice.roll(50);
        for (l, leg) in legs.iter_mut().enumerate() {
            let ino = like.map_or(10 * (l as u64 + 1) + i as u64, |n| leg.names[n]);
            leg.names.insert(name, ino);
            leg.content.entry(ino).or_insert(content);
        }
    }
    legs
}

#[test]
fn ten_thousand_torn_changes_end_before_or_after() {
    let mut dice = Dice(4711);
    let (mut run, mut acted) = (0, 0);
    while run < 10_000 {
        let kinds = [
            IntentKind::Rename,
            IntentKind::Exchange,
            IntentKind::Link,
            IntentKind::Write,
            IntentKind::Unlink,
        ];
        let kind = kinds[dice.roll(5) as usize];
        let mut legs = legs(&mut dice);
        let first = Leg::of(dice.roll(2) as usize);
        let before = legs.clone();
        let mut after = legs.clone();
        if !after.a.change(kind) || !after.b.change(kind) {
            continue;
        }
        run += 1;
        let mut i = Intent::of(kind, first);
        i.inode = PerLeg::by(|leg| legs[leg].seen("one").map_or(0, |s| s.inode));
        if kind == IntentKind::Write && dice.roll(2) == 0 {
            i.offset = AT_END;
        }
        // Nowhere, on the first leg, on both; or taken back on the first while the second has it.
        match dice.roll(4) {
            0 => {}
            1 => legs[first] = after[first].clone(),
            2 => legs = after.clone(),
            _ if matches!(
                kind,
                IntentKind::Rename | IntentKind::Exchange | IntentKind::Link
            ) =>
            {
                legs[first.other()] = after[first.other()].clone();
            }
            _ => {}
        }
        let names = ["one", "two"].map(|n| PerLeg::by(|leg| legs[leg].seen(n)));
        let act = decide(&i, names);
        acted += usize::from(act != Act::Nothing);
        let torn = legs.clone();
        carry_out(&mut legs, act);
        let looks = legs.a.looks();
        assert_eq!(looks, legs.b.looks(), "{i:?} {torn:?} {act:?}");
        assert!(
            looks == before.a.looks() || looks == after.a.looks(),
            "{i:?} {torn:?} {act:?}"
        );
        // Ended, it needs no more: who dies doing it is followed by somebody who does the same.
        let names = ["one", "two"].map(|n| PerLeg::by(|leg| legs[leg].seen(n)));
        let again = decide(&i, names);
        assert!(
            matches!(again, Act::Nothing | Act::Equal { .. }),
            "{again:?}"
        );
    }
    assert!(acted > 3000, "{acted}");
}

#[test]
fn flags_follow_the_object_that_has_them() {
    let seen = |inode| Some(Seen { inode, size: 1 });
    let i = Intent {
        inode: [0, 6].into(),
        ..Intent::of(IntentKind::Marks, Leg::B)
    };
    assert_eq!(IntentKind::from_u8(16), Some(IntentKind::Marks));
    let act = |names| decide(&i, [PerLeg::from(names), PerLeg::default()]);
    assert_eq!(act([seen(5), seen(6)]), Act::Marks { from: Leg::B });
    assert_eq!(act([seen(5), seen(7)]), Act::Unknown);
}

#[test]
fn what_fits_no_state_is_unknown() {
    let seen = |inode| Some(Seen { inode, size: 1 });
    let with = |kind, inode: [u64; 2]| Intent {
        inode: inode.into(),
        ..Intent::of(kind, Leg::A)
    };
    // The second leg has neither name.
    let names = [[None, None], [seen(1), None]];
    assert_eq!(
        decide(&with(IntentKind::Rename, [0; 2]), names.map(PerLeg::from)),
        Act::Unknown
    );
    // Another object has the name.
    let names = [[seen(5), seen(6)], [None; 2]];
    assert_eq!(
        decide(&with(IntentKind::Write, [4, 6]), names.map(PerLeg::from)),
        Act::Unknown
    );
    // Nobody knows what was exchanged.
    let names = [[seen(1), seen(3)], [seen(2), seen(4)]];
    assert_eq!(
        decide(&with(IntentKind::Exchange, [0; 2]), names.map(PerLeg::from)),
        Act::Unknown
    );
    // Only the second leg has the new name, and it is another file.
    let names = [[seen(1), seen(2)], [None, seen(9)]];
    assert_eq!(
        decide(&with(IntentKind::Link, [0; 2]), names.map(PerLeg::from)),
        Act::Unknown
    );
    // A file without a name was to get one.
    let names = [[None; 2], [seen(1), None]];
    assert_eq!(
        decide(&with(IntentKind::Link, [0; 2]), names.map(PerLeg::from)),
        Act::Unknown
    );
}

#[test]
fn an_append_is_repaired_from_the_end_of_the_shorter_file() {
    let i = Intent {
        offset: AT_END,
        length: 40 << 20,
        ..Intent::of(IntentKind::Write, Leg::B)
    };
    let names = [
        [
            Some(Seen {
                inode: 1,
                size: 300,
            }),
            Some(Seen {
                inode: 2,
                size: 40 << 20,
            }),
        ],
        [None; 2],
    ];
    assert_eq!(
        decide(&i, names.map(PerLeg::from)),
        Act::Equal {
            from: Leg::B,
            range: Some((300, u64::MAX))
        }
    );
}

/// A change that the kernel was about to refuse, announced by one who was killed before it: nothing is done,
/// and nothing is recorded.
#[test]
fn what_was_never_there_is_no_difference() {
    let here = |inode| [Some(Seen { inode, size: 1 }); 2];
    let exchange = Intent::of(IntentKind::Exchange, Leg::B);
    for names in [[[None; 2]; 2], [[None; 2], here(7)], [here(7), [None; 2]]] {
        assert_eq!(
            decide(&exchange, names.map(PerLeg::from)),
            Act::Nothing,
            "{names:?}"
        );
    }
    let truncate = Intent::of(IntentKind::Truncate, Leg::A);
    assert_eq!(decide(&truncate, [PerLeg::default(); 2]), Act::Nothing);
    // The object was known, and is not under its name any more: it may have others.
    let known = Intent {
        inode: [7, 0].into(),
        ..truncate
    };
    assert_eq!(decide(&known, [PerLeg::default(); 2]), Act::Unknown);
    let one_leg = [[None, here(7)[0]], here(8)];
    assert_eq!(decide(&exchange, one_leg.map(PerLeg::from)), Act::Unknown);
}

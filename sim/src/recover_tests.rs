//! The states that the suite `torn` gives to the library and the command, ended by the simulator.
use super::*;
use crate::fault::Faults;
use crate::steps::settle;
use crate::tree::{Body, Meta, Tree};
use mirror_core::runtime::ANNOUNCED;
use mirror_core::{Leg, PerLeg};
use std::collections::BTreeSet;
use std::rc::Rc;

#[path = "../../tests/torn/states.rs"]
mod states;
use states::{Look, Torn};

/// Any object with one file stripe; which one, no recovery asks.
const FIRST: usize = 1;

fn tree(base: Ino, leg: &states::Leg) -> (Tree, Vec<Ino>) {
    let mut t = Tree::new(base);
    let files: Vec<Ino> = leg
        .files
        .iter()
        .map(|f| {
            let meta = Meta {
                mode: f.mode,
                ..Meta::default()
            };
            t.add(Body::File(f.data.clone()), meta)
        })
        .collect();
    for (name, file) in &leg.names {
        t.set(t.root(), name, Some(files[*file]));
    }
    (t, files)
}

fn look(t: &Tree) -> Look {
    let names = t.dir(t.root()).expect("the root");
    names
        .iter()
        .map(|(name, &i)| {
            let group = names.iter().filter(|n| *n.1 == i).map(|n| n.0.clone());
            let file = states::File {
                data: t.bytes(i).expect("a file").clone(),
                mode: t.node(i).meta.mode,
            };
            (name.clone(), (file, group.collect()))
        })
        .collect()
}

fn op(t: &Torn) -> Op {
    let (one, two) = ("one".to_owned(), "two".to_owned());
    match t.kind {
        // By descriptor; the others by name.
        states::WRITE => Op::PWrite {
            slot: 2,
            at: t.offset,
            data: vec![0; t.length as usize],
        },
        states::TRUNCATE => Op::Truncate { path: one, len: 0 },
        states::ATTRIBUTES => Op::Chmod { path: one, mode: 0 },
        states::OPEN => Op::Open {
            slot: 2,
            path: one,
            create: true,
            excl: false,
            trunc: false,
            append: false,
            mode: 0,
        },
        states::LINK => Op::Link { from: one, to: two },
        states::UNLINK => Op::Unlink { path: one },
        kind => Op::Rename {
            from: one,
            to: two,
            how: match kind {
                states::EXCHANGE => How::Exchange,
                _ => How::Plain,
            },
        },
    }
}

/// A world with nothing but this state, whose process is dead.
fn world(t: &Torn) -> World {
    let first = Leg::of(t.first);
    let mut w = World::new(0, first, &Faults::default(), None);
    w.strict = false;
    w.descs.clear();
    w.partner = Default::default();
    let [(a, of_a), (b, of_b)] = [tree(1000, &t.legs[0]), tree(5000, &t.legs[1])];
    w.pair(Leg::A, a.root(), b.root());
    for (a, b) in of_a.iter().zip(&of_b) {
        w.pair(Leg::A, *a, *b);
    }
    w.legs = PerLeg { a, b };
    let object = t.before.map(|f| [of_a[f], of_b[f]]);
    let op = Rc::new(op(t));
    let intent = Intent {
        inode: object.map_or([0; 2], |o| o.map(u64::from)).into(),
        offset: t.offset,
        length: t.length,
        ..Intent::of(IntentKind::from_u8(t.kind).expect("a kind"), first)
    };
    let by_descriptor = op.slot().is_some();
    let record = Record {
        pid: 0,
        touched: BTreeSet::new(),
        object: object
            .filter(|_| by_descriptor)
            .map_or(PerLeg::default(), |o| o.map(Some).into()),
        op,
        first,
        intent,
        before: Vec::new(),
        tainted: false,
    };
    w.records.insert(FIRST, record);
    w.posts.insert(FIRST, (FIRST as u32 + 1) | ANNOUNCED);
    w.used.insert(FIRST);
    w
}

#[test]
fn torn_states_end_as_the_library_and_the_command_end_them() {
    let mut recorded = 0;
    for n in 0..10_000 {
        let t = states::state(n);
        let mut w = world(&t);
        let before = [look(&w.legs.a), look(&w.legs.b)];
        settle(&mut w, 1).expect("nobody is in the way");
        let now = [look(&w.legs.a), look(&w.legs.b)];
        let pending = !w.pending.causes.is_empty();
        assert!(w.posts.is_empty(), "{n}: {t:?}");
        assert_eq!(pending, t.end.is_none(), "{n}: {t:?}");
        match &t.end {
            Some(end) => assert_eq!(now, [end.clone(), end.clone()], "{n}: {t:?}"),
            None => assert_eq!(now, before, "{n}: {t:?}"),
        }
        recorded += usize::from(pending);
    }
    assert!((100..3000).contains(&recorded), "{recorded} were recorded");
}

//! Random states of two legs in the middle of one change, and what whoever ends it must leave. The
//! simulator's test and the one with real pairs draw the same.
//!
//! It knows nothing of the product but the numbers of the kinds of intents (docs/FORMATS.md).
use std::collections::BTreeMap;

/// The names of a state: the intent's two, and one that may be another name of the same file.
pub const NAMES: [&str; 3] = ["one", "two", "other"];

/// Kinds of intents.
pub const WRITE: u8 = 1;
pub const TRUNCATE: u8 = 2;
pub const ATTRIBUTES: u8 = 4;
pub const OPEN: u8 = 5;
pub const LINK: u8 = 9;
pub const UNLINK: u8 = 10;
pub const RENAME: u8 = 12;
pub const EXCHANGE: u8 = 13;
const KINDS: [u8; 8] = [
    WRITE, TRUNCATE, ATTRIBUTES, OPEN, LINK, UNLINK, RENAME, EXCHANGE,
];
/// Offset of a write that goes to the end.
pub const AT_END: u64 = u64::MAX;

/// A regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub data: Vec<u8>,
    pub mode: u32,
}

/// One leg: names, and the files behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    pub names: BTreeMap<&'static str, usize>,
    pub files: Vec<File>,
}

/// What a name shows: the file, and all names of it.
pub type Look = BTreeMap<String, (File, Vec<String>)>;

/// A state in the middle of a change.
#[derive(Clone, Debug)]
pub struct Torn {
    pub kind: u8,
    /// The leg that was changed first.
    pub first: usize,
    pub offset: u64,
    pub length: u64,
    /// What `one` was on either leg before the change, if the intent says so.
    pub before: Option<usize>,
    pub legs: [Leg; 2],
    /// What both legs must look like; `None`: no change leaves such a state, so it must be recorded.
    pub end: Option<Look>,
}

impl Leg {
    pub fn look(&self) -> Look {
        let of = |file: usize| {
            let all = self.names.iter().filter(move |n| *n.1 == file);
            all.map(|n| (*n.0).to_owned()).collect::<Vec<_>>()
        };
        let names = self.names.iter();
        names
            .map(|(n, f)| ((*n).to_owned(), (self.files[*f].clone(), of(*f))))
            .collect()
    }
    fn add(&mut self, dice: &mut Dice) -> usize {
        let data = (0..dice.below(40)).map(|_| dice.below(250) as u8).collect();
        let mode = [0o600, 0o644, 0o750][dice.below(3)];
        self.files.push(File { data, mode });
        self.files.len() - 1
    }
    fn write(&mut self, file: usize, at: usize, data: &[u8]) {
        let old = &mut self.files[file].data;
        if data.is_empty() {
            return;
        }
        old.resize(old.len().max(at + data.len()), 0);
        old[at..at + data.len()].copy_from_slice(data);
    }
}

/// A generator of numbers; equal seeds, equal numbers.
pub struct Dice(pub u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// The state with this number.
pub fn state(n: u64) -> Torn {
    let mut dice = Dice(n.wrapping_mul(0x1234_5677));
    let mut base = Leg {
        names: BTreeMap::new(),
        files: Vec::new(),
    };
    for name in NAMES {
        let file = match dice.below(5) {
            0 => continue,
            1 if !base.files.is_empty() => dice.below(base.files.len()),
            _ => base.add(&mut dice),
        };
        base.names.insert(name, file);
    }
    let kind = KINDS[dice.below(KINDS.len())];
    let mut t = Torn {
        kind,
        first: dice.below(2),
        offset: 0,
        length: 0,
        before: base.names.get("one").copied(),
        legs: [base.clone(), base.clone()],
        end: Some(base.look()),
    };
    if dice.below(8) == 0 && strange(&mut t) {
        t.end = None;
        return t;
    }
    match kind {
        WRITE => writing(&mut t, &mut dice),
        TRUNCATE | ATTRIBUTES | OPEN | UNLINK => from_the_first(&mut t, &mut dice),
        _ => naming(&mut t, &mut dice),
    }
    t
}

/// A state that the change cannot have left.
fn strange(t: &mut Torn) -> bool {
    let first = t.first;
    match (t.kind, t.before) {
        (TRUNCATE | ATTRIBUTES, Some(_)) => {
            // Another file under the name.
            let leg = &mut t.legs[first];
            leg.files.push(File {
                data: b"another".to_vec(),
                mode: 0o600,
            });
            leg.names.insert("one", leg.files.len() - 1);
        }
        (RENAME, Some(_)) => {
            t.legs.iter_mut().for_each(|l| _ = l.names.remove("two"));
            t.legs[1 - first].names.remove("one");
        }
        (EXCHANGE, Some(_)) if t.legs[0].names.contains_key("two") => {
            t.legs[first].names.remove("two");
        }
        _ => return false,
    }
    true
}

/// A write of which the first leg has some bytes and the second fewer.
fn writing(t: &mut Torn, dice: &mut Dice) {
    let Some(file) = t.before else { return };
    let len = t.legs[0].files[file].data.len();
    let data: Vec<u8> = (0..1 + dice.below(30))
        .map(|_| 250 + dice.below(5) as u8)
        .collect();
    let at = if dice.below(3) == 0 {
        len
    } else {
        dice.below(len + 10)
    };
    t.offset = if at == len { AT_END } else { at as u64 };
    t.length = data.len() as u64;
    let done = dice.below(data.len() + 1);
    let followed = dice.below(done + 1);
    t.legs[t.first].write(file, at, &data[..done]);
    t.legs[1 - t.first].write(file, at, &data[..followed]);
    t.end = Some(t.legs[t.first].look());
}

/// What the first leg has, done or not, is what both get.
fn from_the_first(t: &mut Torn, dice: &mut Dice) {
    let (first, size, mode) = (
        t.first,
        dice.below(50),
        [0o640, 0o400, 0o777][dice.below(3)],
    );
    let done = dice.below(3);
    for (leg, does) in [(first, done > 0), (1 - first, done > 1)] {
        let l = &mut t.legs[leg];
        match (t.kind, t.before) {
            _ if !does => {}
            (TRUNCATE, Some(f)) => l.files[f].data.resize(size, 0),
            (ATTRIBUTES, Some(f)) => l.files[f].mode = mode,
            (UNLINK, Some(_)) => _ = l.names.remove("one"),
            (OPEN, None) => {
                l.files.push(File {
                    data: Vec::new(),
                    mode,
                });
                l.names.insert("one", l.files.len() - 1);
            }
            _ => {}
        }
    }
    if matches!(t.kind, OPEN | UNLINK) {
        t.before = None;
    }
    t.end = Some(t.legs[first].look());
}

/// Names that one leg has changed and the other has not.
fn naming(t: &mut Torn, dice: &mut Dice) {
    let change = |l: &mut Leg| {
        let (one, two) = (l.names.get("one").copied(), l.names.get("two").copied());
        match (t.kind, one, two) {
            // Two names of one file: rename(2) does nothing.
            (RENAME, Some(a), Some(b)) if a == b => {}
            (RENAME, Some(a), _) => {
                l.names.remove("one");
                l.names.insert("two", a);
            }
            (EXCHANGE, Some(a), Some(b)) => {
                l.names.insert("one", b);
                l.names.insert("two", a);
            }
            (LINK, Some(a), None) => _ = l.names.insert("two", a),
            _ => {}
        }
    };
    let (before, mut after) = (t.legs[0].clone(), t.legs[0].clone());
    change(&mut after);
    let moment = dice.below(5);
    for (leg, does) in [(t.first, moment % 2 == 1), (1 - t.first, moment >= 2)] {
        if does {
            t.legs[leg] = after.clone();
        }
    }
    // Done on one leg, it is done on the other; but a name that only the second has is taken away.
    let undone = moment == 0 || (t.kind == LINK && matches!(moment, 2 | 4));
    t.end = Some(if undone { before.look() } else { after.look() });
    if t.kind != EXCHANGE {
        t.before = None;
    }
}

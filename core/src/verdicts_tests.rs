use super::*;
extern crate std;
use std::vec::Vec;

/// A small generator, so that a failure can be repeated.
struct Random(u64);
impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

type Known = (Vec<u8>, u64, Verdict);

fn some(r: &mut Random, n: usize) -> Vec<Known> {
    let mut all: Vec<Known> = (0..n)
        .map(|_| {
            let length = 8 + r.below(25) as usize;
            // Few different bytes: neighbours share beginnings, or are the same but for the length.
            let id = (0..length).map(|_| r.below(3) as u8).collect();
            let verdict = Verdict::from_number(1 + r.below(3) as u8).unwrap();
            (id, r.below(4) << (8 * r.below(8)), verdict)
        })
        .collect();
    all.sort_by_key(|(id, text, _)| key(id, *text));
    all.dedup_by_key(|(id, text, _)| key(id, *text));
    all
}

fn file(known: &[Known]) -> Vec<u8> {
    let mut out = header(known.len() as u32).to_vec();
    for (id, text, v) in known {
        out.extend(entry(id, *text, *v).unwrap());
    }
    out
}

/// Looks in the file by reading; counts the windows.
fn by_reading(file: &[u8], id: &[u8], text: u64) -> (Option<Verdict>, usize) {
    let all = entries(file).unwrap();
    let mut reads = 0;
    let found = find_by_reading(all.len() / ENTRY, id, text, |first, out| {
        reads += 1;
        let at = first * ENTRY;
        out.copy_from_slice(&all[at..at + out.len()]);
        Some(())
    });
    (found, reads)
}

#[test]
fn reading_finds_the_same_in_few_windows() {
    let mut r = Random(7);
    for n in [0, 1, WINDOW - 1, WINDOW, WINDOW + 1, 3000] {
        let known = some(&mut r, n);
        let f = file(&known);
        for (id, text, v) in known.iter().step_by(7) {
            let (found, reads) = by_reading(&f, id, *text);
            assert_eq!(found, Some(*v));
            // Halved from the fourth on.
            assert!(reads <= 18, "{reads} of {n}");
        }
        for (id, text, _) in some(&mut r, 200) {
            assert_eq!(by_reading(&f, &id, text).0, find(&f, &id, text));
        }
    }
    // Real build-ids are random numbers.
    let mut known: Vec<Known> = (0..3000)
        .map(|_| {
            let id = (0..20).map(|_| r.next() as u8).collect();
            (id, r.below(1 << 20), Verdict::Clean)
        })
        .collect();
    known.sort_by_key(|(id, text, _)| key(id, *text));
    let f = file(&known);
    let reads = known.iter().map(|(id, text, v)| {
        let (found, reads) = by_reading(&f, id, *text);
        assert_eq!(found, Some(*v));
        reads
    });
    let (sum, most) = reads.fold((0, 0), |(s, m), n| (s + n, m.max(n)));
    assert!(sum < 2 * known.len() && most <= 5, "{sum} {most}");
    assert_eq!(find_by_reading(9, &known[0].0, 0, |_, _| None), None);
}

#[test]
fn every_entry_is_found_and_nothing_else() {
    let mut r = Random(1);
    for n in [0, 1, 2, 3, 7, 64, 400] {
        let known = some(&mut r, n);
        let f = file(&known);
        for (id, text, v) in &known {
            assert_eq!(find(&f, id, *text), Some(*v));
            assert_eq!(verdict(&f, id, *text), *v);
        }
        for (id, text, v) in some(&mut r, 400) {
            let there = known
                .iter()
                .find(|k| (&k.0, k.1) == (&id, text))
                .map(|k| k.2);
            assert_eq!(find(&f, &id, text), there, "{v:?}");
        }
    }
}

#[test]
fn damage_is_never_a_wrong_answer() {
    let mut r = Random(2);
    let known = some(&mut r, 9);
    let f = file(&known);
    for i in 0..f.len() {
        for bit in [1, 0x40, 0x80] {
            let mut bad = f.clone();
            bad[i] ^= bit;
            for (id, text, v) in &known {
                let got = find(&bad, id, *text);
                assert!(got.is_none() || got == Some(*v), "byte {i}");
            }
        }
    }
    for cut in 0..f.len() {
        let bad = &f[..cut];
        assert!(known.iter().all(|k| find(bad, &k.0, k.1).is_none()));
    }
}

#[test]
fn any_bytes_are_survived() {
    let mut r = Random(3);
    for _ in 0..2000 {
        let count = r.below(9) as u32;
        let mut f = header(count).to_vec();
        let length = r.below(9 * ENTRY as u64);
        f.extend((0..length).map(|_| r.below(4) as u8));
        let id: Vec<u8> = (0..r.below(40)).map(|_| r.below(4) as u8).collect();
        let _ = find(&f, &id, r.next());
        assert!(build_id(&f).is_none());
        let _ = text_size(&f);
    }
    assert_eq!(find(&header(u32::MAX), &[0; 20], 0), None);
    assert_eq!(find(&[], &[0; 20], 0), None);
}

#[test]
fn ids_that_are_no_key_are_unknown() {
    let f = file(&[(b"\0\0\0\0\0\0\0\0".to_vec(), 1, Verdict::Clean)]);
    assert_eq!(verdict(&f, &[0; 8], 1), Verdict::Clean);
    // The padding is no part of the id.
    for n in [0, 7, 9, 32, 33] {
        assert_eq!(verdict(&f, &[0; 64][..n], 1), Verdict::Unknown);
    }
    assert_eq!(entry(&[0; 7], 1, Verdict::Clean), None);
    assert_eq!(entry(&[0; 33], 1, Verdict::Clean), None);
}

#[test]
fn layout_is_fixed() {
    let f = file(&[(b"12345678".to_vec(), 0x0102, Verdict::Own)]);
    assert_eq!(f.len(), HEADER + ENTRY);
    assert_eq!(
        (&f[..8], &f[8..16]),
        (&MAGIC[..], &[1, 0, 0, 0, 1, 0, 0, 0][..])
    );
    let e = &f[HEADER..];
    assert_eq!(
        (&e[..9], &e[32..34], &e[40..44]),
        (&b"12345678\0"[..], &[2, 1][..], &[8, 2, 0, 0][..])
    );
    assert_eq!(read(e), Some((&b"12345678"[..], 0x0102, Verdict::Own)));
}

#[test]
fn what_the_key_is_made_of() {
    let phdr = |kind: u32, flags: u32, size: u64| {
        let mut h = [0u8; PHDR];
        put(&mut h, 0, &kind.to_le_bytes());
        put(&mut h, 4, &flags.to_le_bytes());
        put(&mut h, 32, &size.to_le_bytes());
        h
    };
    let all = [
        phdr(1, 4, 9),
        phdr(1, 5, 1 << 33),
        phdr(6, 5, 7),
        phdr(1, 7, 3),
    ]
    .concat();
    assert_eq!(text_size(&all), (1 << 33) + 3);
    assert_eq!(text_size(&all[..PHDR - 1]), 0);
    let note = |name: &[u8], kind: u32, content: &[u8]| {
        let mut n = Vec::new();
        for v in [name.len() as u32, content.len() as u32, kind] {
            n.extend(v.to_le_bytes());
        }
        for part in [name, content] {
            n.extend(part);
            n.resize(n.len().next_multiple_of(4), 0);
        }
        n
    };
    let notes = [
        note(b"GNU\0", 5, &[1, 2, 3]),
        note(b"Go\0\0", 3, &[4; 9]),
        note(b"GNU\0", 3, &[7; 20]),
    ];
    assert_eq!(build_id(&notes.concat()), Some(&[7u8; 20][..]));
    assert_eq!(build_id(&notes[..2].concat()), None);
    let all = notes.concat();
    assert_eq!(build_id(&all[..all.len() - 1]), None);
}

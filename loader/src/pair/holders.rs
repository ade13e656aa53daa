//! Who holds lock words (`mirror_pair::words`), where a pair has its locks in memory: a word names a slot, and
//! the process with that slot has a lock on its byte of the runtime file, which its descriptors show.
use super::domain;
use super::legs::Pair;
use mirror_core::{Leg, LockKind, LockWord, OBJECTS};
use mirror_pair::words;
use rustix::fs::fstat;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Bytes of a runtime file that a description has locked; neighbours are one lock.
pub type Bytes = RangeInclusive<u64>;

/// The words that are held, by slot, with the pid that the object's post names; and the runtime file's device and
/// inode.
pub struct Words {
    /// The runtime file.
    pub file: (u64, u64),
    held: BTreeMap<u64, u32>,
}

impl Words {
    /// What stands in a pair's lock words; `None`: it has its locks elsewhere, or nobody is attached.
    pub fn of(p: &Pair) -> Option<Words> {
        let runtime = domain::existing(p, domain::boot_of(p).ok()?)?;
        let st = fstat(runtime.file.as_ref()?).ok()?;
        if runtime.locks != LockKind::Memory {
            return None;
        }
        let rt = runtime.view();
        let mut held = BTreeMap::new();
        for (leg, object) in Leg::BOTH
            .into_iter()
            .flat_map(|l| (0..OBJECTS).map(move |o| (l, o)))
        {
            let word = rt.lock_word(leg, object);
            if word != LockWord::FREE {
                held.insert(words::byte(word.slot()), rt.pid(object));
            }
        }
        Some(Words {
            file: (st.st_dev, st.st_ino),
            held,
        })
    }

    /// Whether the process holds a word: it has one of their bytes. A relative of the holder's may have it as well
    /// (a fork's child before its first change, a family): then the one that the post names.
    pub fn are(&self, pid: u32, bytes: &[Bytes], all: &[(u32, &[Bytes])]) -> bool {
        let has = |bytes: &[Bytes], b: &u64| bytes.iter().any(|r| r.contains(b));
        self.held.iter().any(|(b, named)| {
            let named_has = || all.iter().any(|(p, of)| p == named && has(of, b));
            has(bytes, b) && (pid == *named || !named_has())
        })
    }
}

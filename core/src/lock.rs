//! Claim 6 as a type: the change is inhibited until the locks of both copies are held.
//!
//! Each leg has the same lock objects: one for the *whole* pair, then a table for directories, then one
//! for files. Both tables are striped: a key (the inode on leg a) picks a stripe.
//!
//! | Change of | Locks |
//! | --- | --- |
//! | a name (create, link, unlink, rename of a file) | its directory; two for two directories |
//! | rmdir | the parent and the directory |
//! | data, size or attributes through a descriptor | the file |
//! | the same by name | the directory, then the file |
//! | attributes of a directory | the directory |
//! | rename or exchange of a directory; repair | the whole, after a quiesce |
//!
//! The order is table, stripe, leg. Nothing is upgraded. What is found late (the file behind a name) is
//! of the last table. [`BothLocked`] has no public constructor: only [`lock_both`] and [`lock_more`] make
//! one, and every port that changes a leg demands it.
use crate::{Errno, Leg, StateWord};

/// Most stripes of a table.
pub const STRIPES_MAX: usize = 64;
/// Stripes of a table unless the pair says otherwise.
pub const STRIPES_DEFAULT: usize = 64;
/// The lock object of the whole pair.
pub const WHOLE: usize = 0;
/// Lock objects of a leg: the whole, then the directories', then the files'.
pub const OBJECTS: usize = 1 + 2 * STRIPES_MAX;

/// Which lock objects a transaction needs: numbers below [`OBJECTS`], in the order of locking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockPlan {
    whole: bool,
    dirs: u64,
    files: u64,
}

impl LockPlan {
    /// None.
    pub const EMPTY: LockPlan = LockPlan {
        whole: false,
        dirs: 0,
        files: 0,
    };
    /// The caller is exclusive: the whole pair's object, and a quiesce.
    pub const EXCLUSIVE: LockPlan = LockPlan {
        whole: true,
        dirs: 0,
        files: 0,
    };
    /// Adds the directory with this key, in a pair with so many stripes a table.
    pub const fn dir(self, key: u64, stripes: usize) -> LockPlan {
        LockPlan {
            dirs: self.dirs | 1 << stripe(key, stripes),
            ..self
        }
    }
    /// Adds the file with this key.
    pub const fn file(self, key: u64, stripes: usize) -> LockPlan {
        LockPlan {
            files: self.files | 1 << stripe(key, stripes),
            ..self
        }
    }
    /// Whether the whole pair is asked for.
    pub const fn is_exclusive(self) -> bool {
        self.whole
    }
    /// Whether nothing is asked for.
    pub const fn is_empty(self) -> bool {
        !self.whole && self.dirs == 0 && self.files == 0
    }
    /// Both plans' objects.
    pub const fn union(self, o: LockPlan) -> LockPlan {
        LockPlan {
            whole: self.whole || o.whole,
            dirs: self.dirs | o.dirs,
            files: self.files | o.files,
        }
    }
    /// What this plan has and the other has not.
    pub const fn without(self, o: LockPlan) -> LockPlan {
        LockPlan {
            whole: self.whole && !o.whole,
            dirs: self.dirs & !o.dirs,
            files: self.files & !o.files,
        }
    }
    /// Whether it asks for this object.
    pub const fn has(self, object: usize) -> bool {
        match object {
            WHOLE => self.whole,
            1..=STRIPES_MAX => self.dirs >> object.wrapping_sub(1) & 1 == 1,
            _ if object < OBJECTS => self.files >> object.wrapping_sub(1 + STRIPES_MAX) & 1 == 1,
            _ => false,
        }
    }
    /// The objects, in the order of locking.
    pub fn objects(self) -> Objects {
        Objects(self)
    }
    /// Whether it has more than one object.
    pub fn is_several(self) -> bool {
        self.objects().nth(1).is_some()
    }
    /// The first object: its record holds the intent.
    pub const fn first_lock(self) -> usize {
        if self.whole {
            WHOLE
        } else if self.dirs != 0 {
            (self.dirs.trailing_zeros() as usize).wrapping_add(1)
        } else if self.files != 0 {
            (self.files.trailing_zeros() as usize).wrapping_add(1 + STRIPES_MAX)
        } else {
            WHOLE
        }
    }
    const fn last(self) -> usize {
        if self.files != 0 {
            (1 + 2 * STRIPES_MAX - 1).wrapping_sub(self.files.leading_zeros() as usize)
        } else if self.dirs != 0 {
            STRIPES_MAX.wrapping_sub(self.dirs.leading_zeros() as usize)
        } else {
            WHOLE
        }
    }
}

/// Iterator over a plan's objects; from the back it gives the order of unlocking.
#[derive(Clone, Copy, Debug)]
pub struct Objects(LockPlan);

impl Iterator for Objects {
    type Item = usize;
    fn next(&mut self) -> Option<usize> {
        if self.0.is_empty() {
            return None;
        }
        let n = self.0.first_lock();
        if self.0.whole {
            self.0.whole = false;
        } else if self.0.dirs != 0 {
            self.0.dirs &= self.0.dirs.wrapping_sub(1);
        } else {
            self.0.files &= self.0.files.wrapping_sub(1);
        }
        Some(n)
    }
}

impl DoubleEndedIterator for Objects {
    fn next_back(&mut self) -> Option<usize> {
        if self.0.is_empty() {
            return None;
        }
        let n = self.0.last();
        let top = |w: u64| w & !(1u64 << 63u32.wrapping_sub(w.leading_zeros()));
        if self.0.files != 0 {
            self.0.files = top(self.0.files);
        } else if self.0.dirs != 0 {
            self.0.dirs = top(self.0.dirs);
        } else {
            self.0.whole = false;
        }
        Some(n)
    }
}

/// The stripe of a key: neighbours in number are spread (Fibonacci hashing).
const fn stripe(key: u64, stripes: usize) -> u32 {
    let n = if stripes == 0 || stripes > STRIPES_MAX {
        1
    } else {
        stripes
    };
    let spread = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    ((spread * n as u64) >> 32) as u32
}

/// Why a lock was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMiss {
    /// Somebody holds this object: wait outside, holding nothing, and try again.
    Busy(usize),
    /// It cannot be taken at all.
    Failed(Errno),
}

/// A leg's lock objects. Never waits.
pub trait LegLock {
    /// Takes `leg`'s lock object, exclusively.
    fn try_lock(&mut self, leg: Leg, object: usize) -> Result<(), LockMiss>;
    /// The same; whether a holder lives is asked at once, and not only of one who is met again.
    fn try_lock_asking(&mut self, leg: Leg, object: usize) -> Result<(), LockMiss> {
        self.try_lock(leg, object)
    }
    /// Whether what is held keeps everybody out whom it must, now that others see this process inside and the
    /// state word is this.
    fn stands(&self, _: StateWord) -> bool {
        true
    }
    /// Gives it back.
    fn unlock(&mut self, leg: Leg, object: usize);
}

/// Proof that the locks on each leg's copy are held (claim 6). Cannot be made elsewhere:
/// ```compile_fail,E0451
/// let _ = mirror_core::BothLocked { plan: mirror_core::LockPlan::EXCLUSIVE, first: 0 };
/// ```
#[derive(Debug)]
pub struct BothLocked {
    plan: LockPlan,
    first: usize,
}

impl BothLocked {
    /// What is held.
    pub fn plan(&self) -> LockPlan {
        self.plan
    }
    /// The object whose record holds the intent: the first that was locked. What is locked later does not
    /// change it.
    pub fn first_lock(&self) -> usize {
        self.first
    }
}

fn take<L: LegLock + ?Sized>(l: &mut L, plan: LockPlan) -> Result<(), LockMiss> {
    let mut got = LockPlan::EMPTY;
    for o in plan.objects() {
        let miss = match l.try_lock(Leg::A, o) {
            Ok(()) => match l.try_lock(Leg::B, o) {
                Ok(()) => {
                    got = got.union(LockPlan::one(o));
                    continue;
                }
                Err(miss) => {
                    l.unlock(Leg::A, o);
                    miss
                }
            },
            Err(miss) => miss,
        };
        give(l, got);
        return Err(miss);
    }
    Ok(())
}

fn give<L: LegLock + ?Sized>(l: &mut L, plan: LockPlan) {
    for o in plan.objects().rev() {
        l.unlock(Leg::B, o);
        l.unlock(Leg::A, o);
    }
}

impl LockPlan {
    const fn one(object: usize) -> LockPlan {
        match object {
            WHOLE => LockPlan::EXCLUSIVE,
            1..=STRIPES_MAX => LockPlan {
                whole: false,
                dirs: 1 << object.wrapping_sub(1),
                files: 0,
            },
            _ => LockPlan {
                whole: false,
                dirs: 0,
                files: 1 << (object.wrapping_sub(1 + STRIPES_MAX) & 63),
            },
        }
    }
}

/// Takes a plan's objects on both legs, in order, or none.
pub fn lock_both<L: LegLock + ?Sized>(l: &mut L, plan: LockPlan) -> Result<BothLocked, LockMiss> {
    take(l, plan)?;
    Ok(BothLocked {
        plan,
        first: plan.first_lock(),
    })
}

/// Adds objects that were found late. On a miss what was held is still held.
pub fn lock_more<L: LegLock + ?Sized>(
    l: &mut L,
    held: BothLocked,
    more: LockPlan,
) -> Result<BothLocked, (BothLocked, LockMiss)> {
    let new = more.without(held.plan);
    match take(l, new) {
        Ok(()) => Ok(BothLocked {
            plan: held.plan.union(new),
            ..held
        }),
        Err(miss) => Err((held, miss)),
    }
}

/// Takes one object of somebody who may be dead, beside what is held.
pub(crate) fn lock_one<L: LegLock + ?Sized>(l: &mut L, object: usize) -> Result<(), LockMiss> {
    take(l, LockPlan::one(object))
}

/// Gives it back.
pub(crate) fn unlock_one<L: LegLock + ?Sized>(l: &mut L, object: usize) {
    give(l, LockPlan::one(object));
}

/// Gives late objects back.
pub(crate) fn unlock_late<L: LegLock + ?Sized>(
    l: &mut L,
    held: BothLocked,
    late: LockPlan,
) -> BothLocked {
    give(l, late);
    BothLocked {
        plan: held.plan.without(late),
        ..held
    }
}

/// Gives all back, in reverse order; consumes the proof.
pub fn unlock_both<L: LegLock + ?Sized>(l: &mut L, held: BothLocked) {
    give(l, held.plan);
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    #[derive(Default)]
    struct Rec {
        log: Vec<(char, usize, Leg)>,
        busy: Option<(usize, Leg)>,
    }
    impl LegLock for Rec {
        fn try_lock(&mut self, leg: Leg, object: usize) -> Result<(), LockMiss> {
            if self.busy == Some((object, leg)) {
                return Err(LockMiss::Busy(object));
            }
            self.log.push(('+', object, leg));
            Ok(())
        }
        fn unlock(&mut self, leg: Leg, object: usize) {
            self.log.push(('-', object, leg));
        }
    }

    fn plan(dirs: &[u64], files: &[u64]) -> LockPlan {
        let d = dirs.iter().fold(LockPlan::EMPTY, |p, &n| {
            p.union(LockPlan::one(1 + n as usize))
        });
        files.iter().fold(d, |p, &n| {
            p.union(LockPlan::one(1 + STRIPES_MAX + n as usize))
        })
    }

    #[test]
    fn order_and_release() {
        let mut r = Rec::default();
        let p = plan(&[63, 0], &[0, 63]);
        let k = lock_both(&mut r, p).unwrap();
        unlock_both(&mut r, k);
        let objects = [1, 64, 65, 128];
        let up = objects
            .iter()
            .flat_map(|&o| [('+', o, Leg::A), ('+', o, Leg::B)]);
        let down = objects
            .iter()
            .rev()
            .flat_map(|&o| [('-', o, Leg::B), ('-', o, Leg::A)]);
        assert_eq!(r.log, up.chain(down).collect::<Vec<_>>());
        assert!(r.log.iter().all(|&(_, o, _)| p.has(o)) && !p.has(WHOLE));
    }

    #[test]
    fn a_miss_holds_nothing() {
        for busy in [5, 70].into_iter().flat_map(|o| Leg::BOTH.map(|l| (o, l))) {
            let mut r = Rec {
                busy: Some(busy),
                ..Rec::default()
            };
            let miss = lock_both(&mut r, plan(&[4], &[5])).unwrap_err();
            assert_eq!(miss, LockMiss::Busy(busy.0));
            let held = r
                .log
                .iter()
                .fold(0, |n, l| if l.0 == '+' { n + 1 } else { n - 1 });
            assert_eq!(held, 0, "{:?}", r.log);
        }
    }

    #[test]
    fn late_objects_are_added_once() {
        let mut r = Rec::default();
        let held = lock_both(&mut r, plan(&[4], &[5])).unwrap();
        let held = lock_more(&mut r, held, plan(&[], &[5, 9])).unwrap();
        assert_eq!(held.plan(), plan(&[4], &[5, 9]));
        // The record that was named to others stays the one, also where an earlier object comes late.
        let first = held.first_lock();
        let held = lock_more(&mut r, held, plan(&[], &[2])).unwrap();
        assert_eq!(held.first_lock(), first);
        let mut files = Rec::default();
        let only = lock_both(&mut files, plan(&[], &[9])).unwrap();
        let first = only.first_lock();
        let only = lock_more(&mut files, only, plan(&[], &[3])).unwrap();
        assert_eq!(
            (only.first_lock(), only.plan().first_lock() < first),
            (first, true)
        );
        unlock_both(&mut files, only);
        assert_eq!(r.log.iter().filter(|l| l.1 == 70).count(), 2);
        r.busy = Some((80, Leg::B));
        let (held, miss) = lock_more(&mut r, held, plan(&[], &[15])).unwrap_err();
        assert_eq!(
            (held.plan(), miss),
            (plan(&[4], &[2, 5, 9]), LockMiss::Busy(80))
        );
        unlock_both(&mut r, held);
    }

    #[test]
    fn stripes_are_used_evenly() {
        for n in [1usize, 2, 3, 64] {
            let mut seen = [0u32; STRIPES_MAX];
            for key in 1000..1000 + 6400u64 {
                let p = LockPlan::EMPTY.file(key, n);
                seen[p.first_lock() - 1 - STRIPES_MAX] += 1;
                assert_eq!(p.first_lock(), p.last());
            }
            let want = 6400 / n as u32;
            for (i, &s) in seen.iter().enumerate() {
                if i < n {
                    assert!(s > want / 2 && s < want * 2, "{n} {i} {s}");
                } else {
                    assert_eq!(s, 0);
                }
            }
        }
    }
}

//! Times that are owed: a post says by whom, its record to which file ([`Post::owed`](super::Post)).
use super::{Record, RuntimeFile};
use crate::leg::PerLeg;
use core::sync::atomic::Ordering;

impl Record {
    /// Whether it is the file with this inode on leg a that is owed a time.
    pub(super) fn owes_to(&self, inode: u64) -> bool {
        let [a, _] = &self.owed;
        inode != 0 && a.load(Ordering::Relaxed) == inode
    }

    /// Takes over what another one says of its first name.
    fn copy_first(&self, from: &Record) {
        let r = Ordering::Relaxed;
        for (d, s) in self.head.iter().zip(&from.head) {
            d.store(s.load(r), r);
        }
        let [head, ..] = &self.head;
        // Without a second name.
        let one = head.load(r) & 0xffff_ffff_ffff;
        head.store(one, r);
        let words = ((one >> 32) as usize).div_ceil(8);
        for (d, s) in self.text.iter().zip(&from.text).take(words) {
            d.store(s.load(r), r);
        }
    }
}

impl RuntimeFile {
    /// A change that `lead` has announced leaves the second leg's time of its first name's file behind: the
    /// process with this pid owes it. Both objects are held by the caller.
    pub fn owe(&self, lead: usize, object: usize, pid: u32, inode: PerLeg<u64>) {
        let (Some(p), Some(r)) = (self.posts.get(object), self.records.get(object)) else {
            return;
        };
        if lead != object
            && let Some(from) = self.records.get(lead)
        {
            // Who looks between the two finds another inode under that name.
            p.owed.store(0, Ordering::Relaxed);
            r.copy_first(from);
        }
        for (d, v) in r.owed.iter().zip([inode.a, inode.b]) {
            d.store(v, Ordering::Relaxed);
        }
        p.owed.store(pid, Ordering::Relaxed);
    }

    /// The pid of who may owe a file that an object's record names a time, 0: nobody; and its inodes. It is a
    /// hint: a time that is not owed is equal already.
    pub fn owed_by(&self, object: usize) -> (u32, PerLeg<u64>) {
        let found = self.posts.get(object).zip(self.records.get(object));
        found.map_or((0, PerLeg::default()), |(p, r)| {
            let [a, b] = r.owed.each_ref().map(|w| w.load(Ordering::Relaxed));
            (p.owed.load(Ordering::Relaxed), PerLeg { a, b })
        })
    }

    /// What this pid owed it does not any more, if the file has this inode on leg a (`None`: whichever it
    /// is). What another process has owed since then stays.
    pub fn settled(&self, object: usize, by: u32, inode: Option<u64>) {
        if let (Some(p), Some(r)) = (self.posts.get(object), self.records.get(object))
            && inode.is_none_or(|n| r.owes_to(n))
        {
            let _ = (p.owed).compare_exchange(by, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

//! The runtime file of a pair: where it lies, which one is believed, and how it is made.
//!
//! Rules: a file is mapped only if it is whole, the pair's own can alone have made it, and its first bytes
//! name these very legs (`crate::domain`). A new one is preallocated and has its owner before it is mapped.
use crate::control::text;
use crate::domain;
use libc as c;
use mirror_core::facts::Facts;
use mirror_core::owner::Owner;
use mirror_core::record::{CONTROL, Id, LegRecord, PENDING_LOG, Share};
use mirror_core::runtime::{FACTS_SIZE, SIZE};
use mirror_core::trust::runtime_removable;
use mirror_core::word::Past;
use mirror_core::{Errno, LockKind, PerLeg, StateWord};
use mirror_sys as sys;
use mirror_sys::Sys;

/// A pair, as far as its runtime file needs it.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Leg a's record.
    pub record: &'a LegRecord,
    /// Both legs' roots.
    pub roots: PerLeg<i32>,
    /// The locks that its line asks for.
    pub locks: Option<LockKind>,
}

/// A runtime file that was mapped.
pub struct Joined {
    /// Where.
    pub at: usize,
    /// Its descriptor: where the mapping must not be looked at, and where locks are words.
    pub file: Option<i32>,
    /// The mapping must not be looked at.
    pub guarded: bool,
    /// The locks of its processes.
    pub locks: LockKind,
}

impl Place<'_> {
    /// What the runtime file with this id must say of itself.
    pub fn facts(&self, id: Id, boot: Id, locks: LockKind) -> Sys<Facts> {
        let mut legs = PerLeg::default();
        for (l, &root) in legs.iter_mut().zip(self.roots.iter()) {
            let st = sys::fstat(root)?;
            *l = (st.dev(), st.ino());
        }
        Ok(Facts {
            id,
            boot,
            pair: self.record.pair,
            stripes: u64::from(self.record.stripes),
            locks,
            legs,
        })
    }

    /// The locks that its line asks for. Words that everybody may write lock nothing.
    fn wanted(&self) -> Option<LockKind> {
        match self.record.share {
            Share::All => Some(LockKind::Flock),
            _ => self.locks,
        }
    }

    /// User and group of the pair: those of leg a's control folder.
    pub fn control(&self) -> Sys<(u32, u32)> {
        let st = sys::fstatat(self.roots.a, &text(CONTROL), c::AT_SYMLINK_NOFOLLOW)?;
        Ok((st.uid(), st.gid()))
    }

    /// The boot of the domain that both legs name, if its runtime file is whole and in memory: then it is this
    /// one, whatever /proc says.
    pub fn boot_in_memory(&self, named: Option<Owner>) -> Option<Id> {
        let o = named?;
        let n = open(self.record, o.runtime).ok()?;
        let this = in_memory(n) && self.is_this(o, read_facts(n));
        let _ = sys::close(n);
        this.then_some(o.boot)
    }

    /// The runtime file that both legs name, if it is there, whole, and the pair's own. Changes nothing.
    pub fn live(&self, named: Option<Owner>, boot: Id) -> Option<Joined> {
        let o = named?;
        let n = open(self.record, o.runtime).ok()?;
        let found = read_facts(n);
        let locks = self
            .wanted()
            .or(found.map(|f| f.locks))
            .unwrap_or(LockKind::DEFAULT);
        let expected = self.facts(o.runtime, o.boot, locks).ok();
        let this = domain::is_live(o, boot, in_memory(n), expected, found);
        let joined = if this {
            self.map(n, locks)
        } else {
            Err(Errno::EIO)
        };
        kept(n, joined).ok()
    }

    /// The same where its processes have flocks and the line asks for words: they keep out no less.
    pub fn as_others(&self, named: Option<Owner>, boot: Id) -> Option<Joined> {
        let flocks = Place {
            locks: Some(LockKind::Flock),
            ..*self
        };
        match self.locks {
            Some(LockKind::Memory) => flocks.live(named, boot),
            _ => None,
        }
    }

    /// Either.
    pub fn seen(&self, named: Option<Owner>, boot: Id) -> Option<Joined> {
        let live = self.live(named, boot);
        live.or_else(|| self.as_others(named, boot))
    }

    fn is_this(&self, o: Owner, found: Option<Facts>) -> bool {
        found.is_some_and(|f| self.facts(o.runtime, o.boot, f.locks) == Ok(f))
    }

    /// Whether the runtime file that the records name is of other directories than these: a leg was put back from a
    /// copy, or replaced.
    pub fn is_others(&self, o: Owner) -> bool {
        let Ok(n) = open(self.record, o.runtime) else {
            return false;
        };
        let found = read_facts(n).filter(|f| f.id == o.runtime && f.pair == self.record.pair);
        let _ = sys::close(n);
        found.is_some_and(|f| {
            let here = self.facts(o.runtime, o.boot, f.locks);
            here.is_ok_and(|h| h.legs != f.legs)
        })
    }

    /// The live runtime file, turned to the locks that the line asks for. Nobody is attached; what crashed
    /// processes left in it stays.
    pub fn turned(&self, named: Option<Owner>, boot: Id) -> Option<Joined> {
        let (o, wanted) = (named?, self.wanted()?);
        let n = open(self.record, o.runtime).ok()?;
        let (found, trusted) = (read_facts(n), self.trusted(n).is_ok());
        let live = domain::is_live(o, boot, in_memory(n), found, found);
        let facts = self.facts(o.runtime, o.boot, wanted).map(|f| f.encode());
        let turned = trusted && live && self.is_this(o, found) && {
            let bytes = facts.as_ref().ok().and_then(|f| f.get(..FACTS_SIZE));
            bytes.is_some_and(|b| sys::pwrite(n, b, 0) == Ok(FACTS_SIZE))
        };
        let _ = sys::close(n);
        turned.then(|| self.live(named, boot)).flatten()
    }

    /// Whether the mapping must not be looked at. EIO: it must not be mapped.
    fn trusted(&self, n: i32) -> Sys<bool> {
        let st = sys::fstat(n)?;
        let file = domain::File {
            mode: st.mode(),
            owner: (st.uid(), st.gid()),
            size: st.size(),
        };
        let guarded = file.guarded(self.record.share, self.control()?, sys::user_ids());
        guarded.ok_or(Errno::EIO)
    }

    /// Maps a runtime file that has the right size and that only the pair's own can have made. EIO: another.
    fn map(&self, n: i32, locks: LockKind) -> Sys<Joined> {
        let guarded = self.trusted(n)?;
        Ok(Joined {
            at: sys::map_shared(n, SIZE)?,
            file: (guarded || locks == LockKind::Memory).then_some(n),
            guarded,
            locks,
        })
    }

    /// Looks at the folder of runtime files, and makes it if it is the system's own. `false`: somebody else
    /// could remove or replace what is in it.
    pub fn folder(&self) -> Sys<bool> {
        let mut dir = self.record.runtime.clone();
        dir.pop();
        if dir.as_bytes() == b"/run/mirror" {
            match sys::mkdirat(c::AT_FDCWD, &dir, 0o711) {
                Ok(_) | Err(Errno::EEXIST) => {}
                Err(e) => return Err(e),
            }
        }
        let st = sys::fstatat(c::AT_FDCWD, &dir, c::AT_SYMLINK_NOFOLLOW)?;
        let closed = st.mode() & 0o022 == 0 || st.mode() & c::S_ISVTX != 0;
        Ok(st.kind() == c::S_IFDIR && closed)
    }

    /// Makes a runtime file. EEXIST: somebody has that name. The limit of file sizes is lifted.
    pub fn make(&self, id: Id, boot: Id, past: Past) -> Sys<Joined> {
        let path = self.record.runtime_file(id);
        let locks = self.wanted().unwrap_or(LockKind::DEFAULT);
        let first = self.facts(id, boot, locks)?.encode();
        let flags = c::O_RDWR | c::O_CREAT | c::O_EXCL | c::O_CLOEXEC | c::O_NOFOLLOW;
        let n = sys::openat(c::AT_FDCWD, &path, flags, 0o600)?;
        let word = StateWord::of_new(self.has_pending(), past);
        // Preallocated: a hole in it would be a SIGBUS in somebody else's program.
        let fill = || {
            sys::pwrite(n, &first, 0)?;
            sys::pwrite(n, &word.0.to_le_bytes(), FACTS_SIZE as u64)?;
            sys::fallocate(n, 0, 0, SIZE as u64)
        };
        let joined = fill()
            .and_then(|_| self.hand_over(n))
            .and_then(|()| self.map(n, locks));
        let joined = kept(n, joined);
        if joined.is_err() {
            let _ = sys::unlinkat(c::AT_FDCWD, &path, 0);
        }
        joined
    }

    /// With leg b away: the runtime file that leg a's record names; where it names none, one that nobody else
    /// has, whose word says that leg b is away. EAGAIN: it names one that is not to be had here. Somebody may have
    /// locks in it (`crate::domain::clear_ended`).
    pub fn lone(&self, named: Option<Owner>, boot: Option<Id>) -> Sys<Joined> {
        if let Some(o) = named {
            return self.lone_live(o, boot).ok_or(Errno::EAGAIN);
        }
        let n = sys::memory_file(&text(b"mirror"))?;
        let word = StateWord(StateWord::FRESH.0 | StateWord::AWAY_B);
        let at = sys::ftruncate(n, SIZE as u64)
            .and_then(|_| sys::pwrite(n, &word.0.to_le_bytes(), FACTS_SIZE as u64))
            .and_then(|_| sys::map_shared(n, SIZE));
        let _ = sys::close(n);
        Ok(Joined {
            at: at?,
            file: None,
            guarded: false,
            locks: LockKind::Flock,
        })
    }

    /// The runtime file that leg a's record names, whatever leg b is.
    pub fn lone_live(&self, o: Owner, boot: Option<Id>) -> Option<Joined> {
        let n = open(self.record, o.runtime).ok()?;
        let found = self.lone_facts(n, o, boot).ok_or(Errno::EIO);
        kept(n, found.and_then(|f| self.map(n, f.locks))).ok()
    }

    /// Whether it can be joined.
    pub fn is_lone_live(&self, o: Owner, boot: Option<Id>) -> bool {
        let Ok(n) = open(self.record, o.runtime) else {
            return false;
        };
        let is = self.lone_facts(n, o, boot).is_some() && self.trusted(n).is_ok();
        let _ = sys::close(n);
        is
    }

    /// Leg b is another directory than the one that the runtime file of leg a's record names, or on another device: it
    /// names this one from now on. Nobody who comes believes it otherwise.
    pub fn refit(&self, o: Owner) -> Sys<()> {
        let n = open(self.record, o.runtime)?;
        let refitted = || -> Sys<()> {
            let found = read_facts(n).ok_or(Errno::EIO)?;
            let facts = self.facts(o.runtime, o.boot, found.locks)?;
            if facts == found {
                return Ok(());
            }
            let bytes = facts.encode();
            let bytes = bytes.get(..FACTS_SIZE).ok_or(Errno::EIO)?;
            match sys::pwrite(n, bytes, 0)? {
                FACTS_SIZE => Ok(()),
                _ => Err(Errno::EIO),
            }
        };
        let r = refitted();
        let _ = sys::close(n);
        r
    }

    fn lone_facts(&self, n: i32, o: Owner, boot: Option<Id>) -> Option<Facts> {
        let root = sys::fstat(self.roots.a).ok()?;
        let ours = |f: Facts| {
            (f.id, f.boot, f.pair) == (o.runtime, o.boot, self.record.pair)
                && f.stripes == u64::from(self.record.stripes)
                && f.legs.a == (root.dev(), root.ino())
        };
        let now = in_memory(n) || boot == Some(o.boot);
        read_facts(n).filter(|f| now && ours(*f))
    }

    /// One that nobody else has.
    pub fn private(&self, id: Id, boot: Id) -> Sys<Joined> {
        let locks = LockKind::Flock;
        let first = self.facts(id, boot, locks)?.encode();
        let n = sys::memory_file(&text(b"mirror"))?;
        let at = sys::ftruncate(n, SIZE as u64)
            .and_then(|_| sys::pwrite(n, &first, 0))
            .and_then(|_| sys::map_shared(n, SIZE));
        let _ = sys::close(n);
        Ok(Joined {
            at: at?,
            file: None,
            guarded: false,
            locks,
        })
    }

    /// Gives a fresh runtime file to the pair's group, to all users, or (root does) to its user.
    fn hand_over(&self, n: i32) -> Sys<()> {
        const SAME: u32 = u32::MAX;
        let (st, (uid, gid)) = (sys::fstat(n)?, self.control()?);
        match self.record.share {
            Share::Group => {
                if st.gid() != gid {
                    sys::fchown(n, SAME, gid)?;
                }
                sys::fchmod(n, 0o660)?;
            }
            Share::All => drop(sys::fchmod(n, 0o666)?),
            Share::Owner if st.uid() != uid => {
                // On a network leg it may only seem to be another's: `map` decides.
                let _ = sys::fchown(n, uid, SAME);
            }
            Share::Owner => {}
        }
        Ok(())
    }

    /// Removes the runtime file with this id, if it is this pair's own. (One that another member made may stay:
    /// nobody looks at it again.)
    pub fn remove(&self, id: Id) {
        let (Ok(n), Ok(control)) = (open(self.record, id), self.control()) else {
            return;
        };
        let legs = |found: &Facts| Some(self.facts(id, found.boot, found.locks).ok()?.legs);
        let ours = removable(n, id, self.record, control, legs);
        let _ = sys::close(n);
        if ours {
            let _ = sys::unlinkat(c::AT_FDCWD, &self.record.runtime_file(id), 0);
        }
    }

    fn has_pending(&self) -> bool {
        self.roots.iter().any(|&r| {
            // One that cannot be looked at may have something in it.
            sys::fstatat(r, &text(PENDING_LOG), c::AT_SYMLINK_NOFOLLOW)
                .map_or(true, |st| st.size() > 0)
        })
    }
}

/// Opens the runtime file with this id.
pub fn open(record: &LegRecord, id: Id) -> Sys<i32> {
    // Not blocked by a fifo that somebody put there.
    let flags = c::O_RDWR | c::O_CLOEXEC | c::O_NOFOLLOW | c::O_NONBLOCK | c::O_NOCTTY;
    sys::openat(c::AT_FDCWD, &record.runtime_file(id), flags, 0)
}

/// Whether an open runtime file is a pair's own to remove. `record`, `control`: one leg's record, and the owner
/// of its control folder; `legs`: what a file of this pair that says so must say of the legs.
pub fn removable(
    n: i32,
    id: Id,
    record: &LegRecord,
    control: (u32, u32),
    legs: impl FnOnce(&Facts) -> Option<PerLeg<(u64, u64)>>,
) -> bool {
    let ours = || {
        let (st, found) = (sys::fstat(n).ok()?, read_facts(n)?);
        let owner = (st.uid(), st.gid());
        let legs = legs(&found)?;
        let own = runtime_removable(record.share, owner, control, &found, record.pair, legs);
        Some(found.id == id && own)
    };
    ours() == Some(true)
}

/// A descriptor that is not needed any more is closed.
fn kept(n: i32, joined: Sys<Joined>) -> Sys<Joined> {
    if joined.as_ref().map_or(true, |j| j.file.is_none()) {
        let _ = sys::close(n);
    }
    joined
}

/// Whether a file lies in a tmpfs: then it is of this boot, whatever /proc says of that. (A container may show
/// a boot id of its own, and a service in it with a /proc of its own the kernel's.)
fn in_memory(n: i32) -> bool {
    sys::fs_magic(n) == Ok(c::TMPFS_MAGIC as u64)
}

/// What a runtime file's first bytes say.
fn read_facts(n: i32) -> Option<Facts> {
    let mut b = [0u8; FACTS_SIZE];
    let len = sys::pread(n, &mut b, 0).ok()?;
    Facts::parse(b.get(..len)?)
}

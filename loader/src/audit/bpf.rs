//! The tiers in the kernel: programs of the object in `ebpf/` at tracepoints, and their records. The programs
//! go when this process ends; nothing is pinned.
use super::hooks;
use super::loaded::{refusal, taken, text};
use super::source::Source;
use crate::tree::beneath::Root;
use aya::maps::{Array, HashMap, MapData, PerCpuArray, RingBuf};
use aya::programs::{BtfTracePoint, ProgramError};
use aya::{Btf, Ebpf, EbpfLoader};
use mirror_audit::raw::{self, BeganWords, Raw, Setting, ThreadWords};
use mirror_audit::{Began, Event, Judged, Ledger, PATIENCE, Tier};
use mirror_core::PerLeg;
use mirror_core::record::CONTROL;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirEntryExt;

/// What is told by change times, on kernels that have such tracepoints: program, tracepoint.
const STAMPS: &[(&str, &str)] = &[
    ("stamp_set", "inode_set_ctime_to_ts"),
    ("stamp_new", "ctime_ns_xchg"),
    ("stamp_same", "ctime_xchg_skip"),
];
/// Instead of them, on others.
const DIRTIED: (&str, &str) = ("inode_dirty", "writeback_mark_inode_dirty");
const DIRTIED_EXT4: (&str, &str) = ("ext4_dirty", "ext4_mark_inode_dirty");
const PAGES: (&str, &str) = ("page_dirty", "writeback_dirty_folio");
const CALLS: (&str, &str) = ("call_end", "sys_exit");
/// What threads do with themselves.
const LIVES: &[(&str, &str)] = &[
    ("thread_ends", "sched_process_exit"),
    ("program_begins", "sched_process_exec"),
    ("process_forks", "sched_process_fork"),
];

/// How often the ring is looked at: the kernel wakes nobody for a record.
const PERIOD: i64 = 20_000_000;

/// The places that the kernel learns, in their order: the roots, `.mirror`, `.mirror/locks`, the whole's object.
const PLACES: [&[u8]; 4] = [b"", CONTROL, b".mirror/locks", b".mirror/locks/whole"];

/// The programs, attached.
struct Bpf {
    programs: Ebpf,
    ring: RingBuf<MapData>,
    counts: PerCpuArray<MapData, [u64; 5]>,
    /// What threads write on one leg waits here for the same on the other one.
    threads: HashMap<MapData, u32, ThreadWords>,
    ledger: Ledger,
    /// What programs were started with.
    began: HashMap<MapData, u32, BeganWords>,
    /// Processes that have only forked, and whose program they run.
    images: HashMap<MapData, u32, u32>,
    /// By thread: when it wrote what waits too long, and has been taken for unmatched.
    told: std::collections::HashMap<u32, u64>,
    timer: OwnedFd,
    stamps: bool,
    /// Why the one of ext4 that stands in for them is not attached.
    no_ext4: Option<String>,
    /// Records that could not be understood.
    unread: u64,
    tier: Tier,
    /// Functions that this kernel has not.
    absent: Vec<&'static str>,
    missed: hooks::Missed,
    _ends: Option<hooks::Forms>,
    /// The kernel knows the places by their dentries, which stay while they are open.
    _places: Vec<OwnedFd>,
}

/// Attaches the programs; an error says why that is not possible, and what to do.
// long: one step after the other, in the order in which the programs need each other
pub fn open(legs: PerLeg<&Root>, tier: Tier) -> Result<Box<dyn Source>, String> {
    if !matches!(tier, Tier::T1 | Tier::T2) {
        return Err("not a tier of eBPF".into());
    }
    if cfg!(not(target_arch = "x86_64")) {
        return Err("no eBPF object for this architecture".into());
    }
    if let Some(old) = older() {
        return Err(old);
    }
    let btf = Btf::from_sys_fs()
        .map_err(|_| "the kernel has no BTF (/sys/kernel/btf/vmlinux): CONFIG_DEBUG_INFO_BTF")?;
    let mut bpf = EbpfLoader::new()
        .btf(Some(&btf))
        .load(aya::include_bytes_aligned!("../../../ebpf/audit.bpf.o"))
        .map_err(|e| refusal(&e))?;
    let mut setting: Array<_, [u64; 12]> = taken(&mut bpf, "SETTING")?;
    let mut told = Setting {
        own: std::process::id(),
        on: 1,
        ..Setting::default()
    };
    setting.set(0, told.words(), 0).map_err(text)?;
    // Before locks are counted: whoever has some is seen to end.
    for p in LIVES {
        attach(&mut bpf, &btf, *p)?;
    }
    let ends = match tier {
        Tier::T1 => Some(hooks::ends(&mut bpf, &btf)?),
        _ => attach(&mut bpf, &btf, CALLS).map(|()| None)?,
    };
    let places = learn(legs, &mut setting, &mut told)?;
    let stamps = STAMPS.iter().all(|p| attach(&mut bpf, &btf, *p).is_ok());
    let mut no_ext4 = None;
    if !stamps {
        attach(&mut bpf, &btf, DIRTIED)?;
        // ext4 may be a module, and not be loaded.
        no_ext4 = attach(&mut bpf, &btf, DIRTIED_EXT4).err();
    }
    attach(&mut bpf, &btf, PAGES)?;
    let absent = match tier {
        Tier::T1 => hooks::changes(&mut bpf, &btf)?,
        _ => vec![],
    };
    told.stamps = u32::from(stamps);
    told.on = 2;
    let mut held: HashMap<_, u32, [u16; 4]> = taken(&mut bpf, "HELD")?;
    for (pid, mut objects) in holders(legs) {
        // What has been counted since the first program was attached may be more.
        let counted = held.get(&pid, 0).unwrap_or_default();
        for (n, c) in objects.iter_mut().zip(counted) {
            *n = c.max(*n);
        }
        held.insert(pid, objects, 0).map_err(text)?;
        // It may have ended before it was put down here: then nobody takes it out.
        if has_ended(pid) {
            let _ = held.remove(&pid);
        }
    }
    setting.set(0, told.words(), 0).map_err(text)?;
    Ok(Box::new(Bpf {
        ring: RingBuf::try_from(bpf.take_map("RING").ok_or("no RING")?).map_err(text)?,
        counts: taken(&mut bpf, "COUNTS")?,
        threads: taken(&mut bpf, "THREADS")?,
        began: taken(&mut bpf, "BEGAN")?,
        images: taken(&mut bpf, "IMAGE")?,
        ledger: Ledger::new(
            tier,
            now(ClockId::Realtime).wrapping_sub(now(ClockId::Monotonic)),
        ),
        told: std::collections::HashMap::new(),
        timer: timer().map_err(text)?,
        stamps,
        no_ext4,
        unread: 0,
        tier,
        absent,
        missed: hooks::Missed::default(),
        _ends: ends,
        _places: places,
        programs: bpf,
    }))
}

/// Makes the places known to the kernel: their dentries are those of the descriptors that are unlocked here.
fn learn(
    legs: PerLeg<&Root>,
    setting: &mut Array<MapData, [u64; 12]>,
    told: &mut Setting,
) -> Result<Vec<OwnedFd>, String> {
    let mut places = Vec::new();
    for (i, name) in PLACES.iter().enumerate() {
        for (leg, root) in legs.each() {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = match root.open_at(name, flags, Mode::empty()) {
                // No pair yet.
                Err(e) if i > 0 && e.kind() == io::ErrorKind::NotFound => continue,
                r => r.map_err(text)?,
            };
            told.learn = (2 * i + leg.index() + 1) as u32;
            setting.set(0, told.words(), 0).map_err(text)?;
            flock(&fd, FlockOperation::Unlock).map_err(text)?;
            *told = Setting::of(setting.get(&0, 0).map_err(text)?);
            if told.learn != 0 {
                return Err("the kernel's tracepoint of system calls tells nothing".into());
            }
            places.push(fd);
        }
    }
    Ok(places)
}

impl Source for Bpf {
    fn tier(&self) -> Tier {
        self.tier
    }

    fn blind(&self) -> Vec<String> {
        if self.tier == Tier::T1 {
            return hooks::blind(&self.absent);
        }
        let mut all = vec![
            "stores through a mapping after the first one to a page, until it is written back",
            "the range of what io_uring, aio and the kernel write, and writes of theirs within one tick of the clock to a page that is dirty already",
            "a write through a name outside of the legs, if the kernel has forgotten the name inside",
            "data of files that have no name yet (O_TMPFILE)",
            "the names that 32-bit programs change, only their directories",
            "what lies below a mount point inside a leg; changes more than 256 names deep, and through one of more than 64 names outside",
        ];
        if !self.stamps {
            all.push("extended attributes set by a path, and names and attributes on other file systems than ext4: this kernel has no tracepoints of change times");
        }
        let ext4 = self.no_ext4.as_ref().map(|why| {
            format!("names and attributes on ext4 too: its tracepoint cannot be had ({why})")
        });
        all.into_iter().map(String::from).chain(ext4).collect()
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }

    fn read(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        let mut ticks = [0; 8];
        // It has run out, or not yet: the ring is looked at either way.
        let _ = rustix::io::read(&self.timer, &mut ticks);
        let started = now(ClockId::Monotonic);
        while let Some(record) = self.ring.next() {
            match Raw::parse(&record) {
                // Its thread has gone on since: what was taken while it waited is told now.
                Some(raw) if self.told.get(&raw.tid) == Some(&raw.time) => {
                    self.told.remove(&raw.tid);
                }
                Some(raw) => self.ledger.take(raw, events),
                // Of a leg that there is not, say: nobody knows what it would have told.
                None => self.unread += 1,
            }
        }
        self.missed.look(&self.programs, started);
        self.unmatched(started, events);
        self.ledger.expire(started, events);
        self.name(events);
        Ok(())
    }

    fn rest(&mut self, events: &mut Vec<Event>) {
        self.missed.look(&self.programs, u64::MAX);
        self.unmatched(u64::MAX, events);
        self.ledger.expire(u64::MAX, events);
        self.name(events);
    }

    fn lost(&self) -> u64 {
        let lost = self.counted(1).unwrap_or(u64::MAX);
        lost.saturating_add(self.unread)
            .saturating_add(self.ledger.nowhere())
            .saturating_add(self.missed.count())
    }

    fn matched(&self) -> u64 {
        self.counted(2).unwrap_or(0)
    }
}

impl Bpf {
    /// One of the programs' counts: told, lost, matched, kept, settled.
    fn counted(&self, which: usize) -> Option<u64> {
        let all = self.counts.get(&0, 0).ok()?;
        Some(all.iter().filter_map(|c| c.get(which)).sum())
    }

    /// Adds what the kernel knows of those who made changes that may be findings.
    fn name(&self, events: &mut [Event]) {
        let mut known: BTreeMap<u32, Option<Began>> = BTreeMap::new();
        let doubtful = events.iter_mut().filter(|e| e.judged != Judged::Mirrored);
        for who in doubtful.filter_map(|e| e.who.as_mut()) {
            let of = |pid| {
                let image = self.images.get(&pid, 0).unwrap_or(pid);
                self.began.get(&image, 0).ok().map(|w| raw::began(&w))
            };
            who.began = known.entry(who.pid).or_insert_with(|| of(who.pid)).clone();
        }
    }

    /// What has waited for its match in the kernel for too long. Its thread has done nothing since: it stands
    /// still in a change, or it is not the library that holds the locks.
    fn unmatched(&mut self, now: u64, events: &mut Vec<Event>) {
        if self.counted(3) == self.counted(4) {
            return;
        }
        for (_, words) in self.threads.iter().flatten() {
            let late = raw::waiting(&words).filter(|w| {
                now.saturating_sub(w.time) >= PATIENCE && self.told.get(&w.tid) != Some(&w.time)
            });
            if let Some(write) = late {
                self.told.insert(write.tid, write.time);
                self.ledger.take(write, events);
            }
        }
    }
}

/// Loads a program and attaches it to its tracepoint.
fn attach(bpf: &mut Ebpf, btf: &Btf, (name, point): (&str, &str)) -> Result<(), String> {
    let program = bpf.program_mut(name).ok_or("a program is missing")?;
    let program: &mut BtfTracePoint = program.try_into().map_err(text::<ProgramError>)?;
    program.load(point, btf).map_err(|e| refusal(&e))?;
    program.attach().map_err(|e| refusal(&e))?;
    Ok(())
}

/// The lock objects that processes hold by now, as the programs count them: of leg a and b, the whole's of both.
fn holders(legs: PerLeg<&Root>) -> BTreeMap<u32, [u16; 4]> {
    // By inode: which of the four.
    let mut objects = BTreeMap::new();
    for (leg, root) in legs.each() {
        let all = std::fs::read_dir(root.path.join(".mirror/locks"));
        for object in all.into_iter().flatten().flatten() {
            let whole = object.file_name() == "whole";
            objects.insert(object.ino(), leg.index() + 2 * usize::from(whole));
        }
    }
    let mut held: BTreeMap<u32, [u16; 4]> = BTreeMap::new();
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    // "1: FLOCK  ADVISORY  WRITE 811 fe:00:1234 0 EOF"; who waits has an arrow.
    for line in locks.lines() {
        let w: Vec<&str> = line.split_whitespace().collect();
        let ["FLOCK", _, "WRITE", pid, place] = w.get(1..6).unwrap_or_default() else {
            continue;
        };
        let inode = place.rsplit(':').next().and_then(|i| i.parse().ok());
        if let (Ok(pid), Some(i)) = (pid.parse(), inode.and_then(|i: u64| objects.get(&i))) {
            held.entry(pid).or_default()[*i] += 1;
        }
    }
    held
}

/// Whether a process has no thread left that runs.
fn has_ended(pid: u32) -> bool {
    let runs = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        // "811 (name) R 1 ..."; a name may hold anything.
        let state = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.trim_start().chars().next());
        state.is_some_and(|s| !matches!(s, 'Z' | 'X'))
    };
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    !tasks.into_iter().flatten().flatten().any(runs)
}

/// The oldest kernel that has what the programs call.
const OLDEST: (u32, u32) = (5, 15);

/// What is to be said of an older one.
fn older() -> Option<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|n| n.parse().unwrap_or(0));
    let version = (numbers.next()?, numbers.next()?);
    (version < OLDEST).then(|| {
        format!(
            "the kernel is {}.{}, older than {}.{}",
            version.0, version.1, OLDEST.0, OLDEST.1
        )
    })
}

fn timer() -> rustix::io::Result<OwnedFd> {
    let fd = timerfd_create(
        TimerfdClockId::Monotonic,
        TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
    )?;
    let every = Timespec {
        tv_sec: 0,
        tv_nsec: PERIOD,
    };
    timerfd_settime(
        &fd,
        TimerfdTimerFlags::empty(),
        &Itimerspec {
            it_interval: every,
            it_value: every,
        },
    )?;
    Ok(fd)
}

fn now(clock: ClockId) -> u64 {
    let t = clock_gettime(clock);
    (t.tv_sec as u64)
        .wrapping_mul(1_000_000_000)
        .wrapping_add(t.tv_nsec as u64)
}

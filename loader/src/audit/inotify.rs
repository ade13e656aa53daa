//! T4: inotify. Needs no privileges; tells paths, not who. Each directory of both legs has a watch; the
//! kernel's queue is in the order of the changes.
use super::source::Source;
use super::watches::{Place, Watches};
use crate::fail::{Fail, Kind, Res};
use crate::text;
use crate::tree::beneath::{Root, join};
use mirror_audit::{Event, Op, Tier};
use mirror_core::{Leg, PerLeg};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What is asked for of each directory.
fn wanted() -> WatchFlags {
    WatchFlags::MODIFY
        | WatchFlags::ATTRIB
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVED_FROM
        | WatchFlags::MOVED_TO
        | WatchFlags::DELETE_SELF
        | WatchFlags::MOVE_SELF
        | WatchFlags::ONLYDIR
}

/// One record of the kernel's queue.
struct Raw {
    wd: i32,
    what: ReadFlags,
    cookie: u32,
    name: Vec<u8>,
}

/// A name that was moved away and has not appeared elsewhere yet.
struct Moved {
    cookie: u32,
    place: Place,
    is_dir: bool,
    /// The watch that stood there: by the time it is known that it has left the leg, another may.
    watch: Option<i32>,
}

/// Watches on both legs.
pub struct Inotify {
    fd: OwnedFd,
    watches: Watches,
    moved: Vec<Moved>,
    /// Where directories have been moved to, as the queue tells it.
    settled: Vec<Place>,
    /// Since it was last settled directories were looked for by their names, as the tree has them, which is further
    /// on than the queue.
    guessed: bool,
    lost: u64,
}

impl Inotify {
    /// Puts a watch on each directory of both legs.
    pub fn open(legs: PerLeg<&Root>) -> Res<Inotify> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(|e| {
            let limit = e == Errno::MFILE;
            Fail::failed(if limit {
                "inotify: this user has as many watchers as may be. sudo sysctl fs.inotify.max_user_instances=1024".into()
            } else {
                format!("inotify: {}", crate::fail::reason(&e.into()))
            })
        })?;
        let mut source = Inotify {
            fd,
            watches: Watches::new(PerLeg {
                a: legs.a.again()?,
                b: legs.b.again()?,
            }),
            moved: vec![],
            settled: vec![],
            guessed: false,
            lost: 0,
        };
        source.watches.begin();
        for (leg, root) in legs.each() {
            source
                .watch_below(&(leg, vec![]), &mut vec![], false)
                .map_err(|e| refused(&e, root))?;
        }
        Ok(source)
    }

    /// Watches a directory and all below it. With `tell`, what is found in it is an event: it was there
    /// before the watch.
    fn watch_below(
        &mut self,
        top: &Place,
        events: &mut Vec<Event>,
        tell: bool,
    ) -> Result<(), Errno> {
        let mut todo = vec![top.clone()];
        while let Some(place) = todo.pop() {
            if !self.watch(&place)? {
                continue;
            }
            for (name, is_dir) in self.watches.children(&place) {
                let rel = join(&place.1, &name);
                if tell {
                    let op = if is_dir { Op::Mkdir } else { Op::Create };
                    events.push(event(place.0, rel.clone(), op));
                }
                if is_dir {
                    todo.push((place.0, rel));
                }
            }
        }
        Ok(())
    }

    /// Whether there is something to look into.
    fn watch(&mut self, place: &Place) -> Result<bool, Errno> {
        let number = self.number(place)?;
        if let Some(wd) = number {
            self.watches.insert(wd, place);
        }
        Ok(number.is_some())
    }

    /// The watch of the directory that stands there now.
    fn number(&mut self, place: &Place) -> Result<Option<i32>, Errno> {
        let Some(dir) = self.watches.hold(place) else {
            return Ok(None);
        };
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&dir));
        match inotify::add_watch(&self.fd, path, wanted()) {
            Ok(wd) => Ok(Some(wd)),
            Err(e @ (Errno::NOSPC | Errno::NOMEM)) => Err(e),
            Err(Errno::ACCESS) => {
                self.watches.closed(place);
                Ok(None)
            }
            Err(_) => Ok(None),
        }
    }

    /// Watches what is new; what cannot be watched for want of watches counts as lost.
    fn follow(&mut self, place: Place, events: &mut Vec<Event>) {
        self.guessed = true;
        if self.watch_below(&place, events, true).is_err() {
            self.lost += 1;
        }
    }

    /// Looks whether directories that were moved stand where they should. Names may have been moved so quickly that
    /// the queue and the tree, which is further on, have been taken for one: then what happened below is not known,
    /// and it is watched and compared anew. What is new may have been taken so for something that lies below one of
    /// them, or not have been found there.
    fn settle(&mut self, events: &mut Vec<Event>) {
        let mut all = std::mem::take(&mut self.settled);
        if all.is_empty() {
            self.guessed = false;
            return;
        }
        all.sort_unstable();
        all.dedup();
        let guessed = std::mem::take(&mut self.guessed);
        while let Some(place) = all.pop() {
            match self.number(&place) {
                Ok(Some(wd)) => {
                    let stands = self.watches.stands(wd, &place);
                    if !stands {
                        self.watches.insert(wd, &place);
                        events.push(event(place.0, place.1.clone(), Op::Rename));
                        // The tree may be further on again.
                        self.guessed = true;
                    }
                    if !stands || guessed {
                        let below = self.watches.children(&place).into_iter();
                        let dirs = below.filter(|(_, is_dir)| *is_dir);
                        all.extend(dirs.map(|(name, _)| (place.0, join(&place.1, &name))));
                    }
                }
                Ok(None) => {}
                Err(_) => self.lost += 1,
            }
        }
    }

    fn take(&mut self, raw: Raw, events: &mut Vec<Event>) {
        if raw.what.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.lost += 1;
            for leg in Leg::BOTH {
                self.follow((leg, vec![]), &mut vec![]);
            }
            return;
        }
        if raw.what.contains(ReadFlags::IGNORED) {
            self.watches.forget(raw.wd);
            return;
        }
        let Some((leg, dir)) = self.watches.place(raw.wd) else {
            return;
        };
        let gone = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT;
        if raw.name.is_empty() {
            // A directory below tells its own changes by its name, too.
            if dir.is_empty() && raw.what.intersects(gone) {
                events.push(event(leg, vec![], Op::Root));
            } else if dir.is_empty() && raw.what.contains(ReadFlags::ATTRIB) {
                events.push(event(leg, vec![], Op::Attributes));
            }
            return;
        }
        if dir.is_empty() && self.watches.leaves(leg, &raw.name) {
            return;
        }
        let place = (leg, join(&dir, &raw.name));
        self.named(&raw, place, events);
    }

    /// An event that names something in a directory.
    fn named(&mut self, raw: &Raw, place: Place, events: &mut Vec<Event>) {
        let is_dir = raw.what.contains(ReadFlags::ISDIR);
        let has = |f: ReadFlags| raw.what.contains(f);
        let (leg, rel) = (place.0, place.1.clone());
        if has(ReadFlags::MOVED_FROM) {
            let watch = self.watches.number(&place);
            self.moved.push(Moved {
                cookie: raw.cookie,
                place,
                is_dir,
                watch,
            });
            return;
        }
        if has(ReadFlags::MOVED_TO) {
            let from = self.moved.iter().position(|m| m.cookie == raw.cookie);
            let from = from.map(|i| self.moved.remove(i).place);
            // What had this name before goes first, and its watches with it.
            self.left(events, |m| m.place == place);
            match from {
                Some(from) if from.0 == leg => {
                    if is_dir {
                        self.settled.push(place.clone());
                    }
                    if is_dir && !self.watches.rename(&from, &place) {
                        self.follow(place, events);
                    }
                    let mut e = event(leg, from.1, Op::Rename);
                    e.to = Some(rel);
                    events.push(e);
                }
                from => {
                    if let Some(from) = from {
                        self.watches.remove(&from, &self.fd);
                        events.push(event(from.0, from.1, Op::Rename));
                    }
                    events.push(event(leg, rel, Op::Rename));
                    if is_dir {
                        self.settled.push(place.clone());
                        self.follow(place, events);
                    }
                }
            }
            return;
        }
        let op = match () {
            () if has(ReadFlags::CREATE) && is_dir => Op::Mkdir,
            () if has(ReadFlags::CREATE) => Op::Create,
            () if has(ReadFlags::DELETE) && is_dir => Op::Rmdir,
            () if has(ReadFlags::DELETE) => Op::Unlink,
            () if has(ReadFlags::MODIFY) => Op::Write,
            () if has(ReadFlags::ATTRIB) => Op::Attributes,
            () if has(ReadFlags::CLOSE_WRITE) => Op::Close,
            () => return,
        };
        if op == Op::Mkdir {
            self.left(events, |m| m.place == place);
        }
        events.push(event(leg, rel, op));
        if op == Op::Mkdir {
            self.follow(place, events);
        }
    }

    /// What was moved away and has not appeared elsewhere has left the leg.
    fn left(&mut self, events: &mut Vec<Event>, which: impl Fn(&Moved) -> bool) {
        let (left, wait) = std::mem::take(&mut self.moved).into_iter().partition(which);
        self.moved = wait;
        for m in Vec::into_iter(left) {
            if m.is_dir && m.watch.is_some_and(|w| self.watches.stands(w, &m.place)) {
                self.watches.remove(&m.place, &self.fd);
            }
            events.push(event(m.place.0, m.place.1, Op::Rename));
        }
    }
}

/// Why not all of a leg can be watched.
fn refused(e: &Errno, root: &Root) -> Fail {
    let shown = text::path(&root.path);
    if *e == Errno::NOSPC {
        return Fail::new(
            Kind::Failed,
            format!(
                "{shown}: has more directories than this user may watch. sudo sysctl fs.inotify.max_user_watches=1048576    or, without a watch for each: sudo mirror audit"
            ),
        );
    }
    Fail::io(shown, *e)
}

fn event(leg: Leg, rel: Vec<u8>, op: Op) -> Event {
    Event::seen(Tier::T4, super::source::now(), leg, rel, op)
}

impl Source for Inotify {
    fn tier(&self) -> Tier {
        Tier::T4
    }

    fn blind(&self) -> Vec<String> {
        let mut all = vec![
            "who made a change".to_owned(),
            "which bytes".into(),
            "stores through a mapping before the file is closed".into(),
            "changes through a name outside the legs".into(),
            "flags (chattr)".into(),
        ];
        let closed = self.watches.unreadable();
        if closed > 0 {
            all.push(format!(
                "what happens in {} that this user may not read",
                text::plural(closed, "directory")
            ));
        }
        all
    }

    fn ready(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn scope(&self) -> String {
        format!(
            "{} of both legs",
            text::plural(self.watches.len() as u64, "directory")
        )
    }

    fn read(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        let mut buf = [MaybeUninit::uninit(); 64 << 10];
        loop {
            let mut some = vec![];
            {
                let mut reader = Reader::new(&self.fd, &mut buf);
                loop {
                    match reader.next() {
                        Ok(e) => some.push(Raw {
                            wd: e.wd(),
                            what: e.events(),
                            cookie: e.cookie(),
                            name: e.file_name().map_or(vec![], |n| n.to_bytes().to_vec()),
                        }),
                        Err(Errno::INTR) => {}
                        Err(Errno::WOULDBLOCK) => break,
                        Err(e) => return Err(e.into()),
                    }
                }
            }
            if some.is_empty() {
                break;
            }
            for raw in some {
                self.take(raw, events);
            }
        }
        self.left(events, |_| true);
        self.settle(events);
        Ok(())
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
#[path = "inotify_tests.rs"]
mod tests;

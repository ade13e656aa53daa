//! What a repair overwrites or deletes on the losing leg is kept in `.mirror/kept/<time>/`, up to a bound.
use super::file::{in_parent, open_read};
use crate::tree::beneath::{Root, join, split, temp_name};
use crate::tree::content;
use crate::tree::object::Meta;
use mirror_core::BothLocked;
use rustix::fs::{FileType, Mode, OFlags, Timespec, Timestamps};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;

/// How many names a file has, and one of them.
type Name = (u64, Vec<u8>);

/// Most bytes that one run keeps.
pub const BOUND: u64 = 1 << 30;

/// The kept versions of one run.
pub struct Keeper {
    folder: Option<Vec<u8>>,
    on: bool,
    /// Everything must be kept: what cannot be is an error, and there is no bound.
    all: bool,
    left: u64,
    /// Objects kept.
    pub kept: u64,
    /// Bytes kept.
    pub bytes: u64,
    /// Objects that were not kept, because of the bound or the lack of room.
    pub skipped: u64,
}

impl Keeper {
    /// Keeps versions, or (`on` false) does not: the first copy into an empty leg overwrites nothing
    /// of the user's.
    pub fn new(on: bool) -> Keeper {
        Keeper {
            folder: None,
            on,
            all: false,
            left: BOUND,
            kept: 0,
            bytes: 0,
            skipped: 0,
        }
    }

    /// Keeps everything, whatever it takes: for a leg's contents that its user has never seen mirrored.
    pub fn all() -> Keeper {
        Keeper {
            all: true,
            left: u64::MAX,
            ..Keeper::new(true)
        }
    }

    /// What could not be kept is left out, or, when everything must be kept, is an error.
    fn missed<T>(&mut self, e: io::Error, without: T) -> io::Result<T> {
        if self.all || e.kind() == io::ErrorKind::Interrupted {
            return Err(e);
        }
        self.skipped += 1;
        Ok(without)
    }

    /// Where the versions are, relative to the leg.
    pub fn folder(&self) -> Option<&[u8]> {
        self.folder.as_deref()
    }

    fn place(&mut self, root: &Root, rel: &[u8]) -> io::Result<Vec<u8>> {
        if self.folder.is_none() {
            let stamp = crate::text::iso(crate::text::now()).replace(':', "");
            let base = join(b".mirror/kept", stamp.as_bytes());
            let mut dir = base.clone();
            for n in 2.. {
                match root.open_at(&dir, OFlags::PATH, Mode::empty()) {
                    Err(_) => break,
                    Ok(_) => dir = [base.as_slice(), format!("-{n}").as_bytes()].concat(),
                }
            }
            root.mkdir(&dir, Mode::RWXU)?;
            self.folder = Some(dir);
        }
        let base = self.folder.clone().unwrap_or_default();
        let (parent, _) = split(rel);
        let mut dir = base.clone();
        for part in parent.split(|&c| c == b'/').filter(|p| !p.is_empty()) {
            dir = join(&dir, part);
            root.mkdir(&dir, Mode::RWXU)?;
        }
        // The same path may lose twice in one run.
        let mut path = join(&base, rel);
        for n in 2.. {
            let (d, name) = root.parent(&path)?;
            if Meta::read(std::os::fd::AsFd::as_fd(&d), &name)?.is_none() {
                break;
            }
            path = [join(&base, rel).as_slice(), format!(".{n}").as_bytes()].concat();
        }
        Ok(path)
    }

    fn count(&mut self, bytes: u64) {
        self.kept += 1;
        self.bytes += bytes;
        self.left = self.left.saturating_sub(bytes);
    }

    /// Moves the object at `rel` away. `false`: it is still there, and must be removed.
    pub fn take(&mut self, root: &Root, rel: &[u8], held: &BothLocked) -> io::Result<bool> {
        if !self.on {
            return Ok(false);
        }
        let size = match tree_size(root, rel, self.left) {
            None if self.all => 0,
            Some(n) if n <= self.left => n,
            _ => {
                self.skipped += 1;
                return Ok(false);
            }
        };
        let moved = self.place(root, rel).and_then(|to| {
            let (to_dir, name) = root.parent(&to)?;
            in_parent(root, rel, held, |dir, from| {
                rustix::fs::renameat(dir, from, &to_dir, &name)
            })?;
            Ok(to)
        });
        match moved {
            Ok(to) => {
                self.count(size);
                self.separate(root, &to, held)?;
                Ok(true)
            }
            Err(e) => self.missed(e, false),
        }
    }

    /// A version is nothing that lives on in the tree: a file at or below `kept` with names elsewhere becomes a
    /// file of its own. (One that cannot be copied keeps what it has in common.)
    fn separate(&mut self, root: &Root, kept: &[u8], held: &BothLocked) -> io::Result<()> {
        let mut found: HashMap<(u64, u64), Vec<Name>> = HashMap::new();
        let mut todo = vec![kept.to_vec()];
        while let Some(p) = todo.pop() {
            let (dir, name) = root.parent(&p)?;
            match Meta::read(dir.as_fd(), &name)? {
                Some(m) if m.is_dir() => {
                    todo.extend(
                        root.names(&p)
                            .unwrap_or_default()
                            .iter()
                            .map(|n| join(&p, n)),
                    );
                }
                Some(m) if m.is_file() && m.linked() => {
                    found.entry(m.id()).or_default().push((m.st.st_nlink, p));
                }
                _ => {}
            }
        }
        for names in found.into_values() {
            let here = names.len() as u64;
            for (links, name) in names {
                if links > here {
                    let _ = separate_one(root, &name, held);
                }
            }
        }
        Ok(())
    }

    /// Copies a file away before it is rewritten in place.
    pub fn copy(
        &mut self,
        root: &Root,
        rel: &[u8],
        file: &File,
        meta: &Meta,
        held: &BothLocked,
    ) -> io::Result<()> {
        if !self.on {
            return Ok(());
        }
        if meta.size() > self.left {
            self.skipped += 1;
            return Ok(());
        }
        let done = self
            .place(root, rel)
            .and_then(|to| write_version(root, &to, file, meta, held));
        match done {
            Ok(()) => {
                self.count(meta.size());
                Ok(())
            }
            Err(e) => self.missed(e, ()),
        }
    }
}

/// Copies a file to `to`, with its mode, owner and time.
fn write_version(
    root: &Root,
    to: &[u8],
    file: &File,
    meta: &Meta,
    _: &BothLocked,
) -> io::Result<()> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    let f = File::from(root.open_at(to, flags, Mode::RUSR | Mode::WUSR)?);
    if let Err(e) = content::copy(file, &f, &|_| {}) {
        let _ = root.remove(to);
        return Err(e);
    }
    // The version's owner and mode are a courtesy to whoever looks for it.
    let _ = rustix::fs::fchown(
        &f,
        Some(rustix::fs::Uid::from_raw(meta.st.st_uid)),
        Some(rustix::fs::Gid::from_raw(meta.st.st_gid)),
    );
    let _ = rustix::fs::fchmod(&f, Mode::from_raw_mode(meta.mode() & 0o777));
    let t = Timespec {
        tv_sec: meta.st.st_mtime,
        tv_nsec: meta.st.st_mtime_nsec as _,
    };
    rustix::fs::futimens(
        &f,
        &Timestamps {
            last_access: t,
            last_modification: t,
        },
    )?;
    Ok(())
}

/// Puts a copy of a file in its place.
fn separate_one(root: &Root, rel: &[u8], held: &BothLocked) -> io::Result<()> {
    let (dir, name) = root.parent(rel)?;
    let Some(meta) = Meta::read(dir.as_fd(), &name)? else {
        return Ok(());
    };
    let temp = join(split(rel).0, temp_name().as_bytes());
    write_version(root, &temp, &open_read(root, rel)?, &meta, held)?;
    let (_, new) = root.parent(&temp)?;
    Ok(rustix::fs::renameat(&dir, &new, &dir, &name)?)
}

/// Bytes below `rel`, until `limit` is passed.
fn tree_size(root: &Root, rel: &[u8], limit: u64) -> Option<u64> {
    let mut sum = 0u64;
    let mut todo = vec![rel.to_vec()];
    while let Some(p) = todo.pop() {
        let (dir, name) = root.parent(&p).ok()?;
        let m = Meta::read(std::os::fd::AsFd::as_fd(&dir), &name).ok()??;
        if m.kind == FileType::Directory {
            todo.extend(root.names(&p).ok()?.iter().map(|n| join(&p, n)));
        } else {
            sum += m.size();
        }
        if sum > limit {
            return None;
        }
    }
    Some(sum)
}

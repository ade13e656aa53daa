//! Changing a mirrortab: one line added or removed, everything else kept byte for byte; the whole
//! file replaced by rename under a lock on its folder.
use super::tab::{self, Line};
use crate::fail::{Context, Fail, Kind, Res};
use crate::text;
use mirror_core::tab::{Entry, ROOM, lines, parse_line};
use mirror_core::tabs;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A pair's line without its end.
fn line(l: &Line) -> Vec<u8> {
    let mut out = Vec::new();
    for p in l.paths() {
        out.extend_from_slice(&text::escape(p.as_os_str().as_bytes()));
        out.push(b' ');
    }
    out.extend_from_slice(l.all_options().as_bytes());
    out
}

/// Whether the line is read back as the pair that it stands for.
fn acceptable(l: &Line, line: &[u8]) -> Res<()> {
    let mut room = vec![0; ROOM];
    let mut e = Entry::over(&mut room);
    let why = match parse_line(line, 1, &mut e) {
        Ok(true)
            if e.paths()
                .into_iter()
                .zip(l.paths())
                .all(|(x, y)| x == y.as_os_str().as_bytes()) =>
        {
            return Ok(());
        }
        Ok(_) => "would be read as another pair",
        Err(f) => f.text(),
    };
    Err(Fail::failed(format!(
        "the line for {} {why}",
        text::path(&l.virt)
    )))
}

/// Whether a mirrortab can say this pair.
pub fn can_be_said(l: &Line) -> Res<()> {
    acceptable(l, &line(l))
}

/// A mirrortab held for a change.
pub struct Held {
    file: PathBuf,
    folder: OwnedFd,
    content: Vec<u8>,
    mode: u32,
}

impl Held {
    /// Locks `file`'s folder (made if it is missing) and reads the file.
    pub fn take(file: &Path) -> Res<Held> {
        // A link to a file elsewhere is followed once: the file itself is replaced.
        let file = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_path_buf());
        let folder = file
            .parent()
            .ok_or_else(|| Fail::new(Kind::Config, format!("{}: not a file", text::path(&file))))?;
        if !folder.exists() {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .about(text::path(folder))?;
        }
        let fd = rustix::fs::open(
            folder,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .about(text::path(folder))?;
        rustix::fs::flock(&fd, FlockOperation::LockExclusive).about(text::path(folder))?;
        let content = tab::read_trusted(&file)?;
        let mode = std::fs::metadata(&file).map_or(0o644, |m| m.permissions().mode() & 0o755);
        Ok(Held {
            file,
            folder: fd,
            content: content.unwrap_or_default(),
            mode,
        })
    }

    /// Adds a pair's line.
    pub fn add(&mut self, l: &Line) -> Res<()> {
        let line = line(l);
        acceptable(l, &line)?;
        if self.content.is_empty() {
            self.content.extend_from_slice(
                b"# virtual  leg-a  leg-b  options   (mirrortab(5); written by mirror init)\n",
            );
        } else if !self.content.ends_with(b"\n") {
            self.content.push(b'\n');
        }
        self.content.extend_from_slice(&line);
        self.content.push(b'\n');
        if self.content.len() >= tabs::FILE_MAX {
            return Err(Fail::new(
                Kind::Config,
                format!(
                    "{} would be larger than 64 KiB, and programs read no more. Remove comments from it",
                    text::path(&self.file)
                ),
            ));
        }
        self.store()
    }

    /// Puts a pair's line in the place of the one with the same V.
    pub fn exchange(&mut self, l: &Line) -> Res<()> {
        let new = line(l);
        acceptable(l, &new)?;
        let mut room = vec![0; ROOM];
        let mut e = Entry::over(&mut room);
        let mut all = Vec::new();
        let mut found = false;
        for (n, line) in lines(&self.content) {
            let is = matches!(parse_line(line, n, &mut e), Ok(true))
                && e.virt() == l.virt.as_os_str().as_bytes();
            found |= is;
            all.push(if is { new.clone() } else { line.to_vec() });
        }
        self.content = all.join(&b'\n');
        if !found || self.content.len() >= tabs::FILE_MAX {
            return Err(Fail::new(
                Kind::Config,
                format!(
                    "{} has no line for {}, or no room for a longer one",
                    text::path(&self.file),
                    text::path(&l.virt)
                ),
            ));
        }
        self.store()
    }

    /// Removes the line of the pair with this V; `false` if there is none.
    pub fn remove(&mut self, virt: &Path) -> Res<bool> {
        let mut room = vec![0; ROOM];
        let mut e = Entry::over(&mut room);
        let mut kept = Vec::new();
        let mut found = false;
        for (n, line) in lines(&self.content) {
            if matches!(parse_line(line, n, &mut e), Ok(true))
                && e.virt() == virt.as_os_str().as_bytes()
            {
                found = true;
            } else {
                kept.push(line.to_vec());
            }
        }
        if found {
            self.content = kept.join(&b'\n');
            self.store()?;
        }
        Ok(found)
    }

    fn store(&self) -> Res<()> {
        let mut tmp = self.file.clone().into_os_string();
        tmp.push(format!(".{}", std::process::id()));
        let write = || -> std::io::Result<()> {
            let _ = std::fs::remove_file(&tmp);
            let mut f = std::fs::File::options()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&tmp)?;
            f.write_all(&self.content)?;
            f.set_permissions(std::fs::Permissions::from_mode(self.mode))?;
            f.sync_all()?;
            std::fs::rename(&tmp, &self.file)?;
            rustix::fs::fsync(&self.folder)?;
            Ok(())
        };
        write().map_err(|e| {
            let _ = std::fs::remove_file(&tmp);
            Fail::io(text::path(&self.file), e)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_core::tab::{OnFailure, OnFull, Unmirrorable};

    #[test]
    fn comments_stay_and_lines_come_and_go() {
        let dir = std::env::temp_dir().join(format!("mirror-tab-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("mirrortab");
        let before = "# mine\n/x /y /z\n\n# end";
        std::fs::write(&file, before).unwrap();
        let l = Line {
            virt: "/a b".into(),
            legs: ["/a b".into(), "/c".into()].into(),
            on_failure: OnFailure::Fail,
            on_full: OnFull::Error,
            id: Some(mirror_core::record::Id([7; 16])),
            uid: Some(5),
            root_wait: 9,
            unmirrorable: Unmirrorable::Refuse,
            locks: Some(mirror_core::LockKind::Memory),
            file: None,
            number: 0,
        };
        Held::take(&file).unwrap().add(&l).unwrap();
        let read = tab::parse(&file, &std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(
            (read.len(), read[1].virt.as_path(), read[1].on_failure),
            (2, Path::new("/a b"), OnFailure::Fail)
        );
        assert_eq!(
            (
                read[1].id,
                read[1].uid,
                read[1].root_wait,
                read[1].unmirrorable,
                read[1].locks
            ),
            (l.id, l.uid, l.root_wait, l.unmirrorable, l.locks)
        );
        let moved = Line {
            legs: ["/a b".into(), "/d".into()].into(),
            ..l.clone()
        };
        Held::take(&file).unwrap().exchange(&moved).unwrap();
        let read = tab::parse(&file, &std::fs::read(&file).unwrap()).unwrap();
        assert_eq!(
            (read.len(), read[1].legs.b.as_path(), read[1].locks),
            (2, Path::new("/d"), l.locks)
        );
        let other = Line {
            virt: "/none".into(),
            ..moved
        };
        assert!(Held::take(&file).unwrap().exchange(&other).is_err());
        assert!(
            Held::take(&file)
                .unwrap()
                .remove(Path::new("/a b"))
                .unwrap()
        );
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            format!("{before}\n")
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

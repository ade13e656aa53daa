//! Programs and libraries that make system calls by instructions of their own: what the prepared libc does
//! not see of them. Judged before a program starts, so that the library in it finds the verdicts.
use crate::sync::own;
use crate::text;
use mirror_loader::verdict::{self, Store, Verdict};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A file whose calls are not all libc's.
pub struct Own {
    /// The file.
    pub file: PathBuf,
    /// Whether that is certain.
    pub certain: bool,
}

impl Own {
    /// What it is, for a person.
    pub fn text(&self) -> String {
        let file = text::path(&self.file);
        if self.certain {
            format!("{file} makes system calls of its own")
        } else {
            format!("{file} may make system calls of its own")
        }
    }
}

/// What follows for a program that has such a file.
pub const FOLLOWS: &str = "they are carried out like libc's, at about 2 us each; where that cannot be (a sandbox, MIRROR_NET=never), what they change reaches leg a only";

/// The two files whose instructions the library knows: libc is prepared, ld.so only loads.
fn known(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name == "libc.so.6" || name.starts_with("ld-linux")
}

/// Judges a program and the libraries it is loaded with, and keeps the verdicts where the library looks.
/// What cannot be judged or kept is unknown to the library, which then expects the worst.
pub fn of(program: &Path) -> (Vec<Own>, usize) {
    let mut store = Store::load();
    let (mut own, mut count) = (vec![], 0);
    for file in verdict::closure(program) {
        let Ok(Some(judged)) = store.of(&file) else {
            continue;
        };
        count += 1;
        if judged.verdict != Verdict::Clean && !known(&file) {
            own.push(Own {
                file,
                certain: judged.verdict == Verdict::Own,
            });
        }
    }
    if let Ok(Some(file)) = store.save() {
        own::carry(&file);
    }
    (own, count)
}

/// Judges what nearly every command begins with. All of a system takes seconds: `doctor --prepare`.
pub fn of_shells() {
    let own = std::env::var_os("SHELL").map(PathBuf::from);
    for shell in own.into_iter().chain([PathBuf::from("/bin/sh")]) {
        if shell.is_absolute() {
            of(&shell);
        }
    }
}

/// What a look at a whole system came to.
#[derive(Default)]
pub struct Host {
    /// Files without calls of their own, with, and undecided.
    pub clean: u64,
    pub own: u64,
    pub unknown: u64,
    /// Where the verdicts are.
    pub file: Option<PathBuf>,
}

/// Judges every program and library in the system's folders.
pub fn host() -> std::io::Result<Host> {
    let (mut store, mut seen, mut out) = (Store::load(), BTreeSet::new(), Host::default());
    for dir in verdict::folders() {
        verdict::files(&dir, &mut seen, &mut |file| {
            // One that vanishes or may not be read is unknown to the library.
            if let Ok(Some(judged)) = store.of(file) {
                match judged.verdict {
                    Verdict::Clean => out.clean += 1,
                    Verdict::Own => out.own += 1,
                    Verdict::Unknown => out.unknown += 1,
                }
            }
        });
    }
    out.file = store.save()?;
    if let Some(file) = &out.file {
        own::carry(file);
    }
    Ok(out)
}

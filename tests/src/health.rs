//! What a sound pair looks like from outside: equal trees, nothing pending, no error of a second leg,
//! and a command that says so.
use crate::compare::Level;
use crate::output::Output;
use crate::pair::Pair;
use std::fs;

/// Where the runtime file says what it is and counts the errors of a second leg (docs/FORMATS.md). The
/// only place in the tests that knows the layout.
const MAGIC: &[u8] = b"MIRRORRT";
const VERSION: (usize, u64) = (8, 6);
const PARTNER_ERRORS: usize = 144;
const WORD: usize = 128;
const GENERATION: usize = 136;
/// As it is found, or before a comparison began that has not ended well.
const PENDING: u64 = 1 << 6 | 1 << 11;
const EXCLUSIVE: u64 = 1 << 5;
/// Where `.mirror/owner` names the runtime file.
const OWNER_ID: std::ops::Range<usize> = 8..24;
const POSTS: (usize, usize, usize) = (4096, 64, 129);
const RECORDS: (usize, usize) = (12352, 8320);
/// Where the two paths stand in a record.
const PATHS: [usize; 2] = [128, 4224];
const ANNOUNCED: u32 = 1 << 8;

/// What a runtime file says of changes that have not been ended, and of objects that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Somebody is, or died, inside a change.
    pub inside: bool,
    /// Objects are known to differ.
    pub pending: bool,
}

/// A change that somebody has announced who is dead.
#[derive(Clone, Debug)]
pub struct Announced {
    /// The lock object whose record it is in.
    pub object: usize,
    /// The kind of intent, by its number.
    pub kind: u8,
    /// The leg that was changed first.
    pub first: u8,
    /// Inodes on leg a and b; 0: not said.
    pub inode: [u64; 2],
    /// Start of the range.
    pub offset: u64,
    /// Length of the range.
    pub length: u64,
    /// The paths; the second may be empty.
    pub paths: [String; 2],
}

/// One word of a runtime file's bytes. `Err`: that is not such a file, or its layout is another: then
/// nothing is known, and nothing may be claimed.
fn word(bytes: &[u8], at: usize) -> Result<u64, String> {
    let word = |at: usize| {
        let b = bytes.get(at..at + 8).ok_or("it is too short")?;
        Ok::<_, &str>(u64::from_le_bytes(b.try_into().expect("eight bytes")))
    };
    if !bytes.starts_with(MAGIC) {
        return Err("it is no runtime file".into());
    }
    match word(VERSION.0)? {
        v if v == VERSION.1 => Ok(word(at)?),
        v => Err(format!("its layout is {v}, these tests know {}", VERSION.1)),
    }
}

/// The count of errors of a second leg.
fn partner_errors(bytes: &[u8]) -> Result<u64, String> {
    word(bytes, PARTNER_ERRORS)
}

fn evidence(bytes: &[u8]) -> Result<Evidence, String> {
    let state = word(bytes, WORD)?;
    let (start, step, count) = POSTS;
    let mut inside = state & EXCLUSIVE != 0;
    for i in 0..count {
        inside |= word(bytes, start + i * step)? as u32 != 0;
    }
    Ok(Evidence {
        inside,
        pending: state & PENDING != 0,
    })
}

impl Pair {
    /// Errors of a second leg since the runtime file was made. Panics when there is no runtime file, or
    /// more than one, or it cannot be read: an oracle without evidence is no oracle.
    #[track_caller]
    pub fn partner_errors(&self) -> u64 {
        self.told(partner_errors)
    }

    /// How often what is known of paths may have ended. Panics in the same way.
    #[track_caller]
    pub fn generation(&self) -> u64 {
        self.told(|bytes| word(bytes, GENERATION))
    }

    #[track_caller]
    fn told(&self, what: impl Fn(&[u8]) -> Result<u64, String>) -> u64 {
        let files = self.runtime_files();
        let [file] = &files[..] else {
            panic!("not one runtime file but {}: {files:?}", files.len());
        };
        let bytes = fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        what(&bytes).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
    }

    /// What the runtime file says that the legs name; where there is none, nobody is inside, and the lists
    /// of pending objects say the rest. Panics when it cannot be read.
    #[track_caller]
    pub fn evidence(&self) -> Evidence {
        use std::io::Read;
        // Both are there from the beginning, empty.
        let read = |leg: &std::path::Path, name: &str| {
            let file = leg.join(".mirror").join(name);
            fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
        };
        let owner = read(self.a(), "owner");
        let id = owner.get(OWNER_ID).unwrap_or_default();
        let id: String = id.iter().map(|b| format!("{b:02x}")).collect();
        let named = |p: &std::path::PathBuf| !id.is_empty() && p.to_string_lossy().ends_with(&id);
        let Some(file) = self.runtime_files().into_iter().find(named) else {
            let pending = [self.a(), self.b()].map(|l| !read(l, "pending").is_empty());
            return Evidence {
                inside: false,
                pending: pending.contains(&true),
            };
        };
        let mut bytes = Vec::new();
        let posts = (POSTS.0 + POSTS.1 * POSTS.2) as u64;
        let read = fs::File::open(&file).and_then(|f| f.take(posts).read_to_end(&mut bytes));
        read.unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        evidence(&bytes).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
    }

    /// Writes changes into the runtime file as their programs leave them when they are killed.
    pub fn announce(&self, changes: &[Announced]) {
        use std::os::unix::fs::FileExt;
        let files = self.runtime_files();
        let [file] = &files[..] else {
            panic!("not one runtime file but {}: {files:?}", files.len());
        };
        let f = fs::File::options().read(true).write(true).open(file);
        let f = f.unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let mut head = [0; WORD + 8];
        f.read_exact_at(&mut head, 0).expect("the head");
        word(&head, WORD).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let put = |bytes: &[u8], at: usize| f.write_all_at(bytes, at as u64).expect("writing");
        for c in changes {
            let record = RECORDS.0 + RECORDS.1 * c.object;
            let len = |n: usize| c.paths[n].len() as u64;
            let head = u64::from(c.kind) | u64::from(c.first) << 8 | len(0) << 32 | len(1) << 48;
            let words = [head, c.inode[0], c.inode[1], c.offset, c.length, 0, 0, 0];
            put(&words.map(u64::to_le_bytes).concat(), record);
            for (path, at) in c.paths.iter().zip(PATHS) {
                put(path.as_bytes(), record + at);
            }
            let state = (c.object as u32 + 1) | ANNOUNCED | 1 << 9;
            put(&state.to_le_bytes(), POSTS.0 + POSTS.1 * c.object);
        }
    }

    /// `mirror status V`.
    pub fn status(&self) -> Output {
        let v = self.v().to_str().expect("a path of ASCII").to_owned();
        self.mirror("status", &[&v])
    }

    /// Equal trees, nothing pending, and `status` and `verify` agree.
    #[track_caller]
    pub fn assert_sound(&self) {
        self.assert_legs(Level::Strict);
        self.assert_nothing_pending();
        self.status().ok();
        self.verify().ok();
    }

    /// The same after a run in which nobody was killed: then no second leg may have answered with an error.
    #[track_caller]
    pub fn assert_undisturbed(&self) {
        self.assert_sound();
        assert_eq!(self.partner_errors(), 0, "a race reached a second leg");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_evidence_is_no_zero() {
        let mut file = vec![0u8; 4096];
        assert!(partner_errors(&file).is_err(), "no magic");
        file[..8].copy_from_slice(MAGIC);
        assert!(partner_errors(&file).is_err(), "no version");
        file[VERSION.0] = u8::try_from(VERSION.1).unwrap();
        assert_eq!(partner_errors(&file), Ok(0));
        file[PARTNER_ERRORS] = 3;
        assert_eq!(partner_errors(&file), Ok(3));
        assert!(partner_errors(&file[..100]).is_err(), "cut off");
    }
}

//! Which mirrortabs there are, and which of them counts: the library and the command read the same ones.
use crate::path::PathText;

/// The system's.
pub const SYSTEM: &str = "/etc/mirrortab";
/// The folder of more of them.
pub const FOLDER: &str = "/etc/mirrortab.d";
/// The user's own, below HOME. Not read with an effective uid of 0.
pub const BELOW_HOME: &str = ".config/mirror/mirrortab";
/// A mirrortab is shorter.
pub const FILE_MAX: usize = 64 * 1024;

/// Whether a name in the folder is a mirrortab's.
pub fn is_tab(name: &[u8]) -> bool {
    name.ends_with(b".tab") && name.first() != Some(&b'.')
}

/// The user's own, if HOME is a path: relative to wherever a program stands it would be anybody's.
pub fn of_home<const N: usize>(home: &[u8]) -> Option<PathText<N>> {
    let mut p = PathText::from_bytes(home).ok()?;
    p.push(BELOW_HOME.as_bytes()).ok()?;
    (home.first() == Some(&b'/')).then_some(p)
}

/// Why a file is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// It is no regular file.
    Kind,
    /// It is neither root's nor this user's.
    Owner,
    /// Others can write it.
    Writable,
}

/// Whether nobody but root and this user can have written a file: by what fstat says of the open descriptor.
pub fn trusted(mode: u32, uid: u32, euid: u32) -> Result<(), Distrust> {
    const REGULAR: u32 = 0o100000;
    if mode & 0o170000 != REGULAR {
        return Err(Distrust::Kind);
    }
    owned(mode, uid, euid)
}

/// The same of an object of any type.
pub fn owned(mode: u32, uid: u32, euid: u32) -> Result<(), Distrust> {
    if uid != 0 && uid != euid {
        return Err(Distrust::Owner);
    }
    match mode & 0o022 {
        0 => Ok(()),
        _ => Err(Distrust::Writable),
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn only_roots_and_ones_own_count() {
        let file = |mode: u32, uid| trusted(0o100000 | mode, uid, 1000);
        assert_eq!(file(0o644, 0), Ok(()));
        assert_eq!(file(0o600, 1000), Ok(()));
        assert_eq!(file(0o644, 1001), Err(Distrust::Owner));
        assert_eq!(file(0o664, 1000), Err(Distrust::Writable));
        assert_eq!(file(0o646, 0), Err(Distrust::Writable));
        for kind in [0o040000u32, 0o010000, 0o020000] {
            assert_eq!(trusted(kind | 0o644, 0, 1000), Err(Distrust::Kind));
        }
        assert_eq!(owned(0o040755, 0, 1000), Ok(()));
    }

    #[test]
    fn a_home_that_is_no_path_has_no_mirrortab() {
        let of = |home: &[u8]| -> Option<Vec<u8>> {
            of_home::<256>(home).map(|p| p.as_bytes().to_vec())
        };
        let there = Some(b"/home/u/.config/mirror/mirrortab".to_vec());
        assert_eq!(of(b"/home/u"), there);
        assert_eq!(of(b"/home/u/"), there);
        for home in [&b""[..], b"home/u", b".", &[b'/'; 300]] {
            assert_eq!(of(home), None);
        }
        assert!(is_tab(b"x.tab") && !is_tab(b".x.tab") && !is_tab(b"x.tab~"));
    }
}

//! What fs.protected_symlinks, fs.protected_regular and fs.protected_fifos forbid in a sticky directory
//! (proc_sys_fs(5)), for calls in which the last component is resolved by hand.

/// A directory with the sticky bit, as far as it matters here.
#[derive(Clone, Copy)]
pub struct Directory {
    /// Type and permission bits.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
}

const STICKY: u32 = 0o1000;
const OTHERS: u32 = 0o002;
const GROUP: u32 = 0o020;

/// Whether a process with this file-system uid may follow a symlink of `owner` in `dir`, with
/// fs.protected_symlinks on.
pub fn may_follow(dir: Directory, owner: u32, me: u32) -> bool {
    owner == me || owner == dir.uid || dir.mode & (STICKY | OTHERS) != STICKY | OTHERS
}

/// Whether a process may open with O_CREAT what exists in `dir` and belongs to `owner`. `level`: of
/// fs.protected_regular for regular files, fs.protected_fifos for fifos; 2 for everything else.
pub fn may_open_with_creat(dir: Directory, owner: u32, me: u32, level: u8) -> bool {
    level == 0
        || dir.mode & STICKY == 0
        || owner == dir.uid
        || owner == me
        || (dir.mode & OTHERS == 0 && (level < 2 || dir.mode & GROUP == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: u32 = 1000;

    #[test]
    fn foreign_links_in_a_shared_sticky_directory_are_not_followed() {
        let dir = |mode| Directory { mode, uid: 0 };
        assert!(!may_follow(dir(0o41777), 1001, ME));
        assert!(!may_follow(dir(0o41777), 1001, 0), "least of all by root");
        assert!(may_follow(dir(0o41777), ME, ME), "one's own");
        assert!(may_follow(dir(0o41777), 0, ME), "the directory's owner's");
        assert!(may_follow(dir(0o40777), 1001, ME), "not sticky");
        assert!(may_follow(dir(0o41775), 1001, ME), "not for everybody");
    }

    #[test]
    fn foreign_files_in_a_sticky_directory_are_not_opened_with_creat() {
        let dir = |mode| Directory { mode, uid: 0 };
        for (mode, owner, level, may) in [
            (0o41777, 1001, 0, true),
            (0o41777, 1001, 1, false),
            (0o41777, 1001, 2, false),
            (0o41777, ME, 2, true),
            (0o41777, 0, 2, true),
            (0o41775, 1001, 1, true),
            (0o41775, 1001, 2, false),
            (0o41755, 1001, 2, true),
            (0o40777, 1001, 2, true),
        ] {
            assert_eq!(
                may_open_with_creat(dir(mode), owner, ME, level),
                may,
                "{mode:o} {owner} {level}"
            );
        }
    }
}

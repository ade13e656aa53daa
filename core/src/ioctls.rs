//! What ioctl(2) commands do to the files of a pair, as data: one list for the library, which obeys it,
//! and for docs/LIMITS.md, which shows it.
//!
//! Rules of this file: a command is known by its direction, type and number; the size of its argument
//! may differ between versions of a kernel and is the kernel's to check. What is not in the table, and
//! says that it takes something in (`_IOC_WRITE`), is [`Verdict::Recorded`]; anything else unknown only
//! answers.
use crate::Errno;

/// What is done with a command on a regular file or directory of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Carried out on both legs: fallocate(2) with this mode, in another dress.
    Allocate(i32),
    /// Flags and the like of an object, carried out on both legs.
    Marks(Marks),
    /// FICLONE and FICLONERANGE into the file.
    Clone,
    /// FIDEDUPERANGE from the file.
    Dedupe,
    /// Sets (`true`) or clears close-on-exec, of the partner too.
    CloseOnExec(bool),
    /// [`REFUSED_WITH`]: it changes contents or names in a way that the other leg could not follow.
    /// The numbers are the places in the argument where other files' descriptors stand, that it
    /// changes as well.
    Refused([Option<u8>; 2]),
    /// The kernel carries it out on the addressed leg; the object is recorded as different.
    Recorded,
    /// The kernel will write the file whose descriptor is given: that file is recorded as different.
    Lends(Lent),
    /// The kernel's alone: it reads, or changes nothing that a tree holds.
    Forwarded,
}

/// The word of a program that a file system does not have a command.
pub const REFUSED_WITH: Errno = Errno::ENOTTY;

/// Where a descriptor that is lent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lent {
    /// It is the argument.
    Argument,
    /// The first 32 bits of what the argument points to.
    First,
}

/// What a command of [`Verdict::Marks`] sets, and how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// FS_IOC_SETFLAGS.
    Flags,
    /// FS_IOC_FSSETXATTR.
    Extended,
    /// FS_IOC_SETVERSION.
    Version,
    /// EXT4_IOC_SETVERSION.
    Ext4Version,
}

impl Marks {
    /// The commands that get and set it.
    pub const fn commands(self) -> (u32, u32) {
        match self {
            Marks::Flags => (0x8008_6601, 0x4008_6602),
            Marks::Extended => (0x801c_581f, 0x401c_5820),
            Marks::Version => (0x8008_7601, 0x4008_7602),
            Marks::Ext4Version => (0x8008_6603, 0x4008_6604),
        }
    }
}

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct Ioctl {
    /// Name as in the kernel's headers.
    pub name: &'static str,
    key: u32,
    /// What is done with it.
    pub verdict: Verdict,
}

/// Direction, type and number of a command.
const fn key(command: u32) -> u32 {
    command & 0xc000_ffff
}

const fn row(name: &'static str, dir: u32, kind: u8, nr: u8, verdict: Verdict) -> Ioctl {
    Ioctl {
        name,
        key: dir << 30 | (kind as u32) << 8 | nr as u32,
        verdict,
    }
}

const NONE: u32 = 0;
const W: u32 = 1;
const R: u32 = 2;
const WR: u32 = 3;
const BTRFS: u8 = 0x94;
const F2FS: u8 = 0xf5;

const PUNCH: i32 = 2;
const ZERO: i32 = 0x10;

const fn refused(name: &'static str, dir: u32, kind: u8, nr: u8) -> Ioctl {
    row(name, dir, kind, nr, Verdict::Refused([None; 2]))
}
const fn plain(name: &'static str, dir: u32, kind: u8, nr: u8) -> Ioctl {
    row(name, dir, kind, nr, Verdict::Forwarded)
}

/// All known commands that take something in or change something.
pub const IOCTLS: &[Ioctl] = &[
    // every file system (linux/fs.h, linux/falloc.h)
    row("FIOCLEX", NONE, b'T', 0x51, Verdict::CloseOnExec(true)),
    row("FIONCLEX", NONE, b'T', 0x50, Verdict::CloseOnExec(false)),
    row("FICLONE", W, BTRFS, 9, Verdict::Clone),
    row("FICLONERANGE", W, BTRFS, 13, Verdict::Clone),
    row("FIDEDUPERANGE", WR, BTRFS, 54, Verdict::Dedupe),
    row("FS_IOC_RESVSP", W, b'X', 40, Verdict::Allocate(0)),
    row("FS_IOC_UNRESVSP", W, b'X', 41, Verdict::Allocate(PUNCH)),
    row("FS_IOC_RESVSP64", W, b'X', 42, Verdict::Allocate(0)),
    row("FS_IOC_UNRESVSP64", W, b'X', 43, Verdict::Allocate(PUNCH)),
    row("FS_IOC_ZERO_RANGE", W, b'X', 57, Verdict::Allocate(ZERO)),
    row("FS_IOC_SETFLAGS", W, b'f', 2, Verdict::Marks(Marks::Flags)),
    row(
        "FS_IOC_FSSETXATTR",
        W,
        b'X',
        32,
        Verdict::Marks(Marks::Extended),
    ),
    row(
        "FS_IOC_SETVERSION",
        W,
        b'v',
        2,
        Verdict::Marks(Marks::Version),
    ),
    plain("FS_IOC_FIEMAP", WR, b'f', 11),
    plain("FIFREEZE", WR, b'X', 119),
    plain("FITHAW", WR, b'X', 120),
    plain("FITRIM", WR, b'X', 121),
    plain("FS_IOC_SETFSLABEL", W, BTRFS, 50),
    plain("FS_IOC_GETLBMD_CAP", WR, 0x15, 2),
    // linux/fscrypt.h, linux/fsverity.h
    refused("FS_IOC_SET_ENCRYPTION_POLICY", R, b'f', 19),
    plain("FS_IOC_GET_ENCRYPTION_PWSALT", W, b'f', 20),
    plain("FS_IOC_GET_ENCRYPTION_POLICY", W, b'f', 21),
    plain("FS_IOC_GET_ENCRYPTION_POLICY_EX", WR, b'f', 22),
    plain("FS_IOC_ADD_ENCRYPTION_KEY", WR, b'f', 23),
    plain("FS_IOC_REMOVE_ENCRYPTION_KEY", WR, b'f', 24),
    plain("FS_IOC_REMOVE_ENCRYPTION_KEY_ALL_USERS", WR, b'f', 25),
    plain("FS_IOC_GET_ENCRYPTION_KEY_STATUS", WR, b'f', 26),
    refused("FS_IOC_ENABLE_VERITY", W, b'f', 133),
    plain("FS_IOC_MEASURE_VERITY", WR, b'f', 134),
    plain("FS_IOC_READ_VERITY_METADATA", WR, b'f', 135),
    // ext2, ext3, ext4
    row(
        "EXT4_IOC_SETVERSION",
        W,
        b'f',
        4,
        Verdict::Marks(Marks::Ext4Version),
    ),
    plain("EXT4_IOC_SETRSVSZ", W, b'f', 6),
    plain("EXT4_IOC_GROUP_EXTEND", W, b'f', 7),
    plain("EXT4_IOC_GROUP_ADD", W, b'f', 8),
    plain("EXT4_IOC_MIGRATE", NONE, b'f', 9),
    plain("EXT4_IOC_ALLOC_DA_BLKS", NONE, b'f', 12),
    row(
        "EXT4_IOC_MOVE_EXT",
        WR,
        b'f',
        15,
        Verdict::Refused([Some(4), None]),
    ),
    plain("EXT4_IOC_RESIZE_FS", W, b'f', 16),
    refused("EXT4_IOC_SWAP_BOOT", NONE, b'f', 17),
    plain("EXT4_IOC_GETSTATE", W, b'f', 41),
    plain("EXT4_IOC_GET_ES_CACHE", WR, b'f', 42),
    plain("EXT4_IOC_CHECKPOINT", W, b'f', 43),
    plain("EXT4_IOC_SETFSUUID", W, b'f', 44),
    plain("EXT4_IOC_SET_TUNE_SB_PARAM", W, b'f', 46),
    // XFS
    refused("XFS_IOC_ALLOCSP", W, b'X', 10),
    refused("XFS_IOC_FREESP", W, b'X', 11),
    refused("XFS_IOC_ALLOCSP64", W, b'X', 36),
    refused("XFS_IOC_FREESP64", W, b'X', 37),
    plain("XFS_IOC_GETBMAP", WR, b'X', 38),
    refused("XFS_IOC_FSSETDM", W, b'X', 39),
    plain("XFS_IOC_GETBMAPA", WR, b'X', 44),
    plain("XFS_IOC_GETBMAPX", WR, b'X', 56),
    plain("XFS_IOC_FREE_EOFBLOCKS", R, b'X', 58),
    plain("FS_IOC_GETFSMAP", WR, b'X', 59),
    plain("XFS_IOC_SCRUB_METADATA", WR, b'X', 60),
    plain("XFS_IOC_AG_GEOMETRY", WR, b'X', 61),
    plain("XFS_IOC_GETPARENTS", WR, b'X', 62),
    plain("XFS_IOC_GETPARENTS_BY_HANDLE", WR, b'X', 63),
    plain("XFS_IOC_SCRUBV_METADATA", WR, b'X', 64),
    plain("XFS_IOC_RTGROUP_GEOMETRY", WR, b'X', 65),
    plain("XFS_IOC_FSBULKSTAT", WR, b'X', 101),
    plain("XFS_IOC_FSBULKSTAT_SINGLE", WR, b'X', 102),
    plain("XFS_IOC_FSINUMBERS", WR, b'X', 103),
    plain("XFS_IOC_PATH_TO_FSHANDLE", WR, b'X', 104),
    plain("XFS_IOC_PATH_TO_HANDLE", WR, b'X', 105),
    plain("XFS_IOC_FD_TO_HANDLE", WR, b'X', 106),
    plain("XFS_IOC_OPEN_BY_HANDLE", WR, b'X', 107),
    plain("XFS_IOC_READLINK_BY_HANDLE", WR, b'X', 108),
    row(
        "XFS_IOC_SWAPEXT",
        WR,
        b'X',
        109,
        Verdict::Refused([Some(8), Some(16)]),
    ),
    plain("XFS_IOC_FSGROWFSDATA", W, b'X', 110),
    plain("XFS_IOC_FSGROWFSLOG", W, b'X', 111),
    plain("XFS_IOC_FSGROWFSRT", W, b'X', 112),
    plain("XFS_IOC_SET_RESBLKS", WR, b'X', 114),
    plain("XFS_IOC_ERROR_INJECTION", W, b'X', 116),
    plain("XFS_IOC_ERROR_CLEARALL", W, b'X', 117),
    refused("XFS_IOC_FSSETDM_BY_HANDLE", W, b'X', 121),
    plain("XFS_IOC_ATTRLIST_BY_HANDLE", W, b'X', 122),
    refused("XFS_IOC_ATTRMULTI_BY_HANDLE", W, b'X', 123),
    row(
        "XFS_IOC_EXCHANGE_RANGE",
        W,
        b'X',
        129,
        Verdict::Refused([Some(0), None]),
    ),
    row(
        "XFS_IOC_COMMIT_RANGE",
        W,
        b'X',
        131,
        Verdict::Refused([Some(0), None]),
    ),
    // btrfs
    refused("BTRFS_IOC_SNAP_CREATE", W, BTRFS, 1),
    plain("BTRFS_IOC_DEFRAG", W, BTRFS, 2),
    plain("BTRFS_IOC_RESIZE", W, BTRFS, 3),
    plain("BTRFS_IOC_ADD_DEV", W, BTRFS, 10),
    plain("BTRFS_IOC_RM_DEV", W, BTRFS, 11),
    plain("BTRFS_IOC_BALANCE", W, BTRFS, 12),
    refused("BTRFS_IOC_SUBVOL_CREATE", W, BTRFS, 14),
    refused("BTRFS_IOC_SNAP_DESTROY", W, BTRFS, 15),
    plain("BTRFS_IOC_DEFRAG_RANGE", W, BTRFS, 16),
    plain("BTRFS_IOC_TREE_SEARCH", WR, BTRFS, 17),
    plain("BTRFS_IOC_INO_LOOKUP", WR, BTRFS, 18),
    plain("BTRFS_IOC_DEFAULT_SUBVOL", W, BTRFS, 19),
    plain("BTRFS_IOC_SPACE_INFO", WR, BTRFS, 20),
    plain("BTRFS_IOC_WAIT_SYNC", W, BTRFS, 22),
    refused("BTRFS_IOC_SNAP_CREATE_V2", W, BTRFS, 23),
    refused("BTRFS_IOC_SUBVOL_CREATE_V2", W, BTRFS, 24),
    refused("BTRFS_IOC_SUBVOL_SETFLAGS", W, BTRFS, 26),
    plain("BTRFS_IOC_SCRUB", WR, BTRFS, 27),
    plain("BTRFS_IOC_SCRUB_PROGRESS", WR, BTRFS, 29),
    plain("BTRFS_IOC_DEV_INFO", WR, BTRFS, 30),
    plain("BTRFS_IOC_BALANCE_V2", WR, BTRFS, 32),
    plain("BTRFS_IOC_BALANCE_CTL", W, BTRFS, 33),
    plain("BTRFS_IOC_INO_PATHS", WR, BTRFS, 35),
    plain("BTRFS_IOC_LOGICAL_INO", WR, BTRFS, 36),
    refused("BTRFS_IOC_SET_RECEIVED_SUBVOL", WR, BTRFS, 37),
    plain("BTRFS_IOC_QUOTA_CTL", WR, BTRFS, 40),
    plain("BTRFS_IOC_QGROUP_ASSIGN", W, BTRFS, 41),
    plain("BTRFS_IOC_QGROUP_CREATE", W, BTRFS, 42),
    plain("BTRFS_IOC_QUOTA_RESCAN", W, BTRFS, 44),
    plain("BTRFS_IOC_GET_DEV_STATS", WR, BTRFS, 52),
    plain("BTRFS_IOC_DEV_REPLACE", WR, BTRFS, 53),
    plain("BTRFS_IOC_SET_FEATURES", W, BTRFS, 57),
    plain("BTRFS_IOC_RM_DEV_V2", W, BTRFS, 58),
    plain("BTRFS_IOC_LOGICAL_INO_V2", WR, BTRFS, 59),
    plain("BTRFS_IOC_GET_SUBVOL_ROOTREF", WR, BTRFS, 61),
    plain("BTRFS_IOC_INO_LOOKUP_USER", WR, BTRFS, 62),
    refused("BTRFS_IOC_SNAP_DESTROY_V2", W, BTRFS, 63),
    refused("BTRFS_IOC_ENCODED_WRITE", W, BTRFS, 64),
    plain("BTRFS_IOC_SUBVOL_SYNC_WAIT", W, BTRFS, 65),
    // others
    refused("F2FS_IOC_START_ATOMIC_WRITE", NONE, F2FS, 1),
    refused("F2FS_IOC_START_VOLATILE_WRITE", NONE, F2FS, 3),
    refused("F2FS_IOC_START_ATOMIC_REPLACE", NONE, F2FS, 25),
    row(
        "F2FS_IOC_MOVE_RANGE",
        WR,
        F2FS,
        9,
        Verdict::Refused([Some(0), None]),
    ),
    refused("F2FS_IOC_SEC_TRIM_FILE", W, F2FS, 20),
    plain("F2FS_IOC_GARBAGE_COLLECT", W, F2FS, 6),
    plain("F2FS_IOC_DEFRAGMENT", WR, F2FS, 8),
    plain("F2FS_IOC_SET_PIN_FILE", W, F2FS, 13),
    refused("OCFS2_IOC_REFLINK", W, b'o', 4),
    plain("OCFS2_IOC_MOVE_EXT", W, b'o', 6),
    refused("CIFS_IOC_COPYCHUNK_FILE", W, 0xcf, 3),
    row("SMB2_QUERY_INFO", WR, 0xcf, 7, Verdict::Recorded),
    plain("CIFS_IOC_NOTIFY", W, 0xcf, 9),
    refused("BCH_IOCTL_SUBVOLUME_CREATE", W, 0xbc, 16),
    refused("BCH_IOCTL_SUBVOLUME_DESTROY", W, 0xbc, 17),
    refused("BCHFS_IOC_REINHERIT_ATTRS", R, 0xbc, 64),
    // loop devices
    row("LOOP_SET_FD", NONE, b'L', 0, Verdict::Lends(Lent::Argument)),
    row(
        "LOOP_CHANGE_FD",
        NONE,
        b'L',
        6,
        Verdict::Lends(Lent::Argument),
    ),
    row(
        "LOOP_CONFIGURE",
        NONE,
        b'L',
        10,
        Verdict::Lends(Lent::First),
    ),
    // a stream that the kernel writes into a descriptor; files behind a FUSE server
    row("BTRFS_IOC_SEND", W, BTRFS, 38, Verdict::Lends(Lent::First)),
    row(
        "FUSE_DEV_IOC_BACKING_OPEN",
        W,
        229,
        1,
        Verdict::Lends(Lent::First),
    ),
    row("FAT_IOCTL_SET_ATTRIBUTES", W, b'r', 0x11, Verdict::Recorded),
];

/// The same without names: a table without addresses needs no relocation at the start of a program.
const VERDICTS: [(u32, Verdict); IOCTLS.len()] = {
    let mut all = [(0, Verdict::Forwarded); IOCTLS.len()];
    let mut i = 0;
    while i < all.len() {
        all[i] = (IOCTLS[i].key, IOCTLS[i].verdict);
        i += 1;
    }
    all
};

/// What is done with a command, known or not.
pub fn verdict(command: u32) -> Verdict {
    let k = key(command);
    match VERDICTS.iter().find(|(key, _)| *key == k) {
        Some((_, verdict)) => *verdict,
        None if command >> 30 & W != 0 => Verdict::Recorded,
        None => Verdict::Forwarded,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    #[test]
    fn numbers_are_the_kernels() {
        for (command, name) in [
            (0x4004_9409, "FICLONE"),
            (0xc018_9436, "FIDEDUPERANGE"),
            (0x5451, "FIOCLEX"),
            (0x4030_582b, "FS_IOC_UNRESVSP64"),
            (0x4030_5839, "FS_IOC_ZERO_RANGE"),
            (0x4008_6602, "FS_IOC_SETFLAGS"),
            (0x401c_5820, "FS_IOC_FSSETXATTR"),
            (0x800c_6613, "FS_IOC_SET_ENCRYPTION_POLICY"),
            (0x4080_6685, "FS_IOC_ENABLE_VERITY"),
            (0xc028_660f, "EXT4_IOC_MOVE_EXT"),
            (0x6611, "EXT4_IOC_SWAP_BOOT"),
            (0x5000_940e, "BTRFS_IOC_SUBVOL_CREATE"),
            (0x5000_9417, "BTRFS_IOC_SNAP_CREATE_V2"),
            (0xc0c8_9425, "BTRFS_IOC_SET_RECEIVED_SUBVOL"),
            (0x4080_9440, "BTRFS_IOC_ENCODED_WRITE"),
            (0x5000_943f, "BTRFS_IOC_SNAP_DESTROY_V2"),
        ] {
            let found = IOCTLS.iter().find(|i| i.key == key(command));
            assert_eq!(found.map(|i| i.name), Some(name), "{command:#x}");
        }
        for m in [
            Marks::Flags,
            Marks::Extended,
            Marks::Version,
            Marks::Ext4Version,
        ] {
            let (get, set) = m.commands();
            assert_eq!(verdict(set), Verdict::Marks(m));
            assert_eq!(verdict(get), Verdict::Forwarded);
        }
    }

    #[test]
    fn each_stands_once() {
        for (i, a) in IOCTLS.iter().enumerate() {
            for b in &IOCTLS[i + 1..] {
                assert!(a.key != b.key && a.name != b.name, "{} {}", a.name, b.name);
            }
        }
    }

    #[test]
    fn what_is_unknown_and_takes_something_in_is_recorded() {
        assert_eq!(verdict(0x4004_7a01), Verdict::Recorded);
        assert_eq!(verdict(0xc004_7a01), Verdict::Recorded);
        assert_eq!(verdict(0x8004_7a01), Verdict::Forwarded);
        assert_eq!(verdict(0x7a01), Verdict::Forwarded);
        // A terminal's.
        assert_eq!(verdict(0x5401), Verdict::Forwarded);
    }

    /// The rows of LIMITS.md name exactly what stands here.
    #[test]
    fn the_limits_say_the_same() {
        let doc = include_str!("../../docs/LIMITS.md");
        for (head, is) in [
            ("Carried out on both legs", kind(0)),
            ("Refused with ENOTTY", kind(1)),
            ("Carried out on the addressed leg, and recorded", kind(2)),
            (
                "Left to the kernel; the file that it takes is recorded",
                kind(4),
            ),
            ("Left to the kernel", kind(3)),
        ] {
            let names: Vec<&str> = IOCTLS.iter().filter(|i| is(i)).map(|i| i.name).collect();
            let row = format!("| {head} | {} |", names.join(", "));
            assert!(
                doc.lines().any(|l| l == row),
                "docs/LIMITS.md lacks:\n{row}"
            );
        }
    }

    fn kind(which: u8) -> impl Fn(&Ioctl) -> bool {
        move |i| {
            which
                == match i.verdict {
                    Verdict::Refused(_) => 1,
                    Verdict::Recorded => 2,
                    Verdict::Forwarded => 3,
                    Verdict::Lends(_) => 4,
                    _ => 0,
                }
        }
    }

    #[test]
    fn names_say_whose_they_are() {
        let odd: String = IOCTLS
            .iter()
            .filter(|i| !i.name.contains('_') && !i.name.starts_with("FI"))
            .map(|i| i.name)
            .collect();
        assert_eq!(odd, "");
    }
}

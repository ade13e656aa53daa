//! Whom to believe: runtime files and control folders lie where others can write. All questions are about
//! what fstat says of an open file; the kernel has the last word.
use crate::PerLeg;
use crate::facts::Facts;
use crate::record::{Id, Share};

/// Whether a file with this type and mode, this owner and group, can be a pair's runtime file, seen by a
/// process of user `me`. `control` is user and group of the control folder. The file lies where everybody
/// may make files: that nobody but the pair's own can have made it is what is asked here. Who is not in the
/// pair's group cannot give a file that group. (How many names it has does not matter: its content says
/// which file it is, and another name is something that a stranger may be able to give it.) In a pair of all
/// users anybody may have made it: what it holds is believed by nobody ([`runtime_guarded`]).
pub fn runtime_trusted(
    share: Share,
    mode: u32,
    (uid, gid): (u32, u32),
    control: (u32, u32),
    me: u32,
) -> bool {
    const REGULAR: u32 = 0o100000;
    match share {
        Share::All => mode == REGULAR | 0o666,
        Share::Group => mode == REGULAR | 0o660 && gid == control.1,
        // On a network leg the folder may seem to be another's: what is root's or one's own will do.
        Share::Owner => mode == REGULAR | 0o600 && (uid == control.0 || uid == me || uid == 0),
    }
}

/// Whether a process with these user ids (real, effective, saved) must not touch the mapping of a runtime
/// file with this owner and group: somebody else, whom it does not trust, could cut the file short, and
/// the next touch would be a SIGBUS. Root trusts nobody but root. Members of a group trust each other; where
/// everybody may use the pair, nobody trusts anybody.
pub fn runtime_guarded(share: Share, (uid, gid): (u32, u32), ids: [u32; 3]) -> bool {
    let root = ids.contains(&0);
    match share {
        Share::All => true,
        Share::Group => root && (uid, gid) != (0, 0),
        Share::Owner => uid != 0 && (root || ids[1] != uid),
    }
}

/// Whether a runtime file that a record names may be removed: it is of this pair and of these legs, and it
/// belongs to the pair's user (or group, or to anybody where all may use the pair). Device numbers may have changed
/// since it was made.
pub fn runtime_removable(
    share: Share,
    (uid, gid): (u32, u32),
    control: (u32, u32),
    found: &Facts,
    pair: Id,
    legs: PerLeg<(u64, u64)>,
) -> bool {
    let owner = match share {
        Share::Owner => uid == control.0,
        Share::Group => gid == control.1,
        Share::All => true,
    };
    let inodes = |l: PerLeg<(u64, u64)>| l.map(|(_, inode)| inode);
    owner && found.pair == pair && inodes(found.legs) == inodes(legs)
}

/// What a control folder looks like, and the root that it lies in.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// User and group of `.mirror`.
    pub owner: (u32, u32),
    /// Its mode.
    pub mode: u32,
    /// User and group of the leg's root.
    pub root: (u32, u32),
}

/// Why a control folder is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// It is not a directory, or everybody may write it.
    Open,
    /// It does not belong to the user that the mirrortab names.
    Pinned,
    /// It belongs to a user who has nothing to do with the leg.
    Stranger,
}

/// Whether a leg's `.mirror` is that of the pair's owner, seen by a process of user `me`. `pin` is the
/// owner that the mirrortab names. Without it: root, oneself, the owner of the leg's root, or, in a shared
/// pair, who gave it to the group that the root has.
pub fn control_trusted(
    c: &Control,
    share: Share,
    pin: Option<u32>,
    me: u32,
) -> Result<(), Distrust> {
    const DIRECTORY: u32 = 0o040000;
    if c.mode & 0o170000 != DIRECTORY {
        return Err(Distrust::Open);
    }
    // A file system without rights shows them all open, and the root's user as everybody's owner.
    if c.mode & 0o002 != 0 && c.owner != c.root {
        return Err(Distrust::Open);
    }
    match pin {
        Some(uid) if uid == c.owner.0 => Ok(()),
        Some(_) => Err(Distrust::Pinned),
        None => {
            let shared = share == Share::Group && c.owner.1 == c.root.1;
            if [0, me, c.root.0].contains(&c.owner.0) || shared {
                Ok(())
            } else {
                Err(Distrust::Stranger)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_file_must_be_the_pairs_own() {
        let own =
            |uid, mode: u32| runtime_trusted(Share::Owner, 0o100000 | mode, (uid, 5), (7, 8), 9);
        assert!(own(7, 0o600) && own(9, 0o600) && own(0, 0o600));
        assert!(!own(5, 0o600) && !own(7, 0o660) && !own(7, 0o604));
        let shared =
            |gid, mode: u32| runtime_trusted(Share::Group, 0o100000 | mode, (5, gid), (7, 8), 9);
        assert!(shared(8, 0o660));
        assert!(!shared(9, 0o660) && !shared(8, 0o600) && !shared(8, 0o664) && !shared(8, 0o2660));
        assert!(!runtime_trusted(Share::Owner, 0o010600, (7, 8), (7, 8), 7));
        let all = |mode| runtime_trusted(Share::All, mode, (5, 5), (7, 8), 9);
        assert!(all(0o100666) && !all(0o100660) && !all(0o100777) && !all(0o010666));
    }

    #[test]
    fn whom_a_mapping_is_trusted_to() {
        let own = |uid, ids| !runtime_guarded(Share::Owner, (uid, 8), ids);
        assert!(own(7, [7; 3]) && own(0, [7; 3]) && own(0, [0; 3]));
        assert!(!own(7, [0; 3]) && !own(7, [9; 3]));
        // Who can become root again is root.
        assert!(!own(7, [0, 7, 0]) && !own(7, [7, 7, 0]) && own(0, [0, 7, 0]));
        let shared = |uid, gid, ids| !runtime_guarded(Share::Group, (uid, gid), ids);
        assert!(shared(7, 8, [7; 3]) && shared(7, 8, [9; 3]) && shared(0, 0, [0; 3]));
        assert!(!shared(7, 8, [0; 3]) && !shared(0, 8, [0; 3]) && !shared(7, 0, [0; 3]));
        assert!(
            runtime_guarded(Share::All, (0, 0), [0; 3])
                && runtime_guarded(Share::All, (7, 7), [7; 3])
        );
    }

    #[test]
    fn a_control_folder_must_be_the_owners() {
        let c = |uid, gid, mode: u32, root| Control {
            owner: (uid, gid),
            mode: 0o040000 | mode,
            root,
        };
        let sees = |c: Control, share, pin, me| control_trusted(&c, share, pin, me);
        let (owner, group) = (Share::Owner, Share::Group);
        let mine = c(7, 7, 0o700, (7, 7));
        assert_eq!(sees(mine, owner, None, 7), Ok(()));
        assert_eq!(sees(mine, owner, None, 0), Ok(()));
        assert_eq!(sees(mine, owner, Some(7), 0), Ok(()));
        assert_eq!(sees(mine, owner, Some(0), 0), Err(Distrust::Pinned));
        let planted = c(9, 9, 0o700, (0, 50));
        assert_eq!(sees(planted, owner, None, 0), Err(Distrust::Stranger));
        assert_eq!(sees(planted, group, None, 0), Err(Distrust::Stranger));
        assert_eq!(sees(c(9, 50, 0o2770, (0, 50)), group, None, 0), Ok(()));
        let open = c(7, 7, 0o777, (0, 0));
        assert_eq!(sees(open, owner, None, 7), Err(Distrust::Open));
        assert_eq!(sees(c(7, 7, 0o777, (7, 7)), owner, None, 7), Ok(()));
        let link = Control {
            mode: 0o120777,
            ..mine
        };
        assert_eq!(sees(link, owner, None, 7), Err(Distrust::Open));
    }

    #[test]
    fn only_the_pairs_own_runtime_file_is_removed() {
        let legs = PerLeg::from([(1, 2), (3, 4)]);
        let f = Facts {
            id: Id([1; 16]),
            boot: Id([2; 16]),
            pair: Id([3; 16]),
            stripes: 64,
            locks: crate::LockKind::Flock,
            legs,
        };
        let may =
            |share, file, pair, legs| runtime_removable(share, file, (7, 8), &f, Id(pair), legs);
        assert!(
            may(Share::Owner, (7, 1), [3; 16], legs) && may(Share::Group, (1, 8), [3; 16], legs)
        );
        assert!(may(Share::Owner, (7, 1), [3; 16], [(9, 2), (9, 4)].into()));
        assert!(
            !may(Share::Owner, (0, 8), [3; 16], legs) && !may(Share::Group, (7, 0), [3; 16], legs)
        );
        assert!(!may(Share::Owner, (7, 8), [4; 16], legs));
        assert!(may(Share::All, (5, 5), [3; 16], legs) && !may(Share::All, (5, 5), [4; 16], legs));
        assert!(!may(Share::Owner, (7, 8), [3; 16], [(1, 2), (3, 5)].into()));
    }
}

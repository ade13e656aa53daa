//! What is believed of a leg, by what stands at its root.
use mirror_core::path::PathText;
use mirror_core::record::{Id, LegRecord, RecordFault, Share};
use mirror_core::trust::Distrust;
use mirror_core::{Errno, Leg, PerLeg};
use mirror_pair::session::{Doubt, Pinned, believe, partners, record, usable};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

/// A directory that is a leg.
struct Root(PathBuf, fs::File);

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Root {
    fn new(name: &str) -> Root {
        let dir = std::env::temp_dir().join(format!("mirror-{name}-{}", std::process::id()));
        fs::create_dir_all(dir.join(".mirror")).unwrap();
        fs::set_permissions(dir.join(".mirror"), fs::Permissions::from_mode(0o700)).unwrap();
        let held = fs::File::open(&dir).unwrap();
        Root(dir, held)
    }
    fn fd(&self) -> i32 {
        self.1.as_raw_fd()
    }
    fn put(&self, bytes: &[u8]) {
        let file = self.0.join(".mirror/leg");
        fs::write(&file, bytes).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn leg(leg: Leg) -> LegRecord {
    let ids = PerLeg {
        a: Id([7; 16]),
        b: Id([8; 16]),
    };
    LegRecord {
        pair: Id([9; 16]),
        leg,
        id: ids[leg],
        peer: ids[leg.other()],
        complete: true,
        stripes: 64,
        share: Share::Owner,
        runtime: PathText::from_bytes(b"/run/mirror/").unwrap(),
    }
}

#[test]
fn a_record_is_there_whole_and_the_pairs_own() {
    let root = Root::new("session-record");
    let doubt = || record(root.fd()).err();
    assert!(matches!(doubt(), Some(Doubt::Unread(Errno::ENOENT))));
    root.put(leg(Leg::B).encode().as_bytes());
    assert_eq!(record(root.fd()).map(|r| r.leg).ok(), Some(Leg::B));
    root.put(b"mirror-leg=9\n");
    let version = RecordFault::Version;
    assert!(matches!(doubt(), Some(Doubt::Damaged(why)) if why == version));
    let at = root.0.join(".mirror/leg");
    fs::remove_file(&at).unwrap();
    fs::write(root.0.join("planted"), leg(Leg::B).encode().as_bytes()).unwrap();
    std::os::unix::fs::symlink("../planted", &at).unwrap();
    assert!(matches!(doubt(), Some(Doubt::Alien)));
    fs::remove_file(&at).unwrap();
    fs::create_dir(&at).unwrap();
    assert!(matches!(doubt(), Some(Doubt::Alien)));
}

#[test]
fn a_leg_is_the_one_that_the_mirrortab_pins() {
    let root = Root::new("session-pin");
    let me = fs::metadata(&root.0).unwrap().uid();
    let ask = |id, uid| believe(root.fd(), &leg(Leg::A), &Pinned { id, uid });
    assert!(ask(None, None).is_ok());
    assert!(ask(Some(Id([9; 16])), Some(me)).is_ok());
    let other = ask(Some(Id([1; 16])), None);
    assert!(matches!(other, Err(Doubt::OtherPair)));
    let pinned = ask(None, Some(me + 1));
    assert!(matches!(pinned, Err(Doubt::Folder(Distrust::Pinned, c)) if c.owner.0 == me));
    fs::remove_dir(root.0.join(".mirror")).unwrap();
    let gone = ask(None, None);
    assert!(matches!(gone, Err(Doubt::Unasked(Errno::ENOENT))));
}

#[test]
fn two_legs_are_of_one_pair_and_in_their_places() {
    let (a, b) = (leg(Leg::A), leg(Leg::B));
    assert!(partners(&a, &b).is_ok() && partners(&b, &a).is_ok());
    assert!(matches!(partners(&a, &a), Err(Doubt::Strangers)));
    assert!(usable(&a, Leg::A).is_ok() && usable(&b, Leg::B).is_ok());
    assert!(matches!(usable(&a, Leg::B), Err(Doubt::Swapped)));
    let begun = LegRecord {
        complete: false,
        ..leg(Leg::A)
    };
    assert!(matches!(usable(&begun, Leg::A), Err(Doubt::Incomplete)));
}

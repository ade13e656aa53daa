//! What a killed program leaves is made equal again, whichever leg it had reached.
use super::*;
use crate::pair::control::{With, make_control, random_id, runtime_path};
use crate::pair::domain::attach;
use crate::pair::legs::Pair;
use crate::pair::tab::Line;
use crate::tree::beneath::Root;
use mirror_core::record::{LegRecord, Share};
use mirror_core::tab::{OnFailure, OnFull, Unmirrorable};
use mirror_core::{LockPlan, PerLeg};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The first lock of the crashed process's plan.
const FIRST: usize = LockPlan::EMPTY.dir(7, 2).first_lock();

/// A pair of this process alone.
pub(crate) struct Case {
    dir: PathBuf,
    pub(crate) p: Attached,
}

impl Case {
    pub(crate) fn new(name: &str) -> Case {
        let dir = std::env::temp_dir().join(format!("mirror-heal-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let legs: PerLeg<PathBuf> = [dir.join("a"), dir.join("b")].into();
        let pair = random_id().unwrap();
        let ids = PerLeg::by(|_| random_id().unwrap());
        for (leg, l) in legs.each() {
            fs::create_dir_all(l).unwrap();
            let root = Root::open(l).unwrap();
            make_control(&root, With::Nobody).unwrap();
            let record = LegRecord {
                pair,
                leg,
                id: ids[leg],
                peer: ids[leg.other()],
                complete: true,
                stripes: 2,
                share: Share::Owner,
                runtime: runtime_path(rustix::process::geteuid().as_raw(), With::Nobody),
            };
            root.replace(b".mirror/leg", record.encode().as_bytes())
                .unwrap();
        }
        let line = Line {
            virt: legs.a.clone(),
            legs,
            on_failure: OnFailure::Degrade,
            on_full: OnFull::Error,
            file: None,
            id: None,
            uid: None,
            root_wait: 0,
            unmirrorable: Unmirrorable::Warn,
            locks: None,
            number: 0,
        };
        let p = attach(Pair::open(&line).unwrap()).unwrap();
        Case { dir, p }
    }
    /// The pair, attached to once more.
    pub(crate) fn again(&self) -> Attached {
        attach(Pair::open(&self.p.pair.line).unwrap()).unwrap()
    }
    pub(crate) fn both(&self, rel: &str, data: &str) {
        for leg in ["a", "b"] {
            self.put(leg, rel, data);
        }
    }
    pub(crate) fn put(&self, leg: &str, rel: &str, data: &str) {
        let path = self.dir.join(leg).join(rel);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, data).unwrap();
        let t = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
        fs::File::open(&path).unwrap().set_times(t).unwrap();
    }
    pub(crate) fn at(&self, rel: &str) -> PathBuf {
        self.dir.join(rel)
    }
    fn inodes(&self, rel: &str) -> [u64; 2] {
        ["a", "b"].map(|l| fs::metadata(self.dir.join(l).join(rel)).map_or(0, |m| m.ino()))
    }
    fn announce(&self, kind: IntentKind, inode: [u64; 2], one: &str, two: &str) {
        let i = Intent {
            inode: inode.into(),
            ..Intent::of(kind, mirror_core::Leg::A)
        };
        // A process that came in with a directory's lock, announced its change, and died.
        let rt = self.p.runtime.view();
        rt.enter(LockPlan::EMPTY.dir(7, 2), FIRST, 1);
        rt.publish(FIRST, &i, one.as_bytes(), two.as_bytes());
    }
    /// The next holder of the locks finds everything in order.
    fn healed(&self) {
        locked(&self.p, |_| ()).unwrap();
        assert_eq!(self.p.runtime.view().state(FIRST), 0);
        assert!(
            !self.p.runtime.word().pending(),
            "{:?}",
            self.p.pair.pending().paths
        );
        let out = std::process::Command::new("diff")
            .args(["-r", "--no-dereference", "-x", ".mirror"])
            .args([self.at("a"), self.at("b")])
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stdout)
        );
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        crate::pair::runtime_files::forget(&self.p.pair.legs.a);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn ino(p: &Path) -> u64 {
    fs::metadata(p).unwrap().ino()
}

#[test]
fn a_write_is_carried_over_in_place() {
    let c = Case::new("write");
    c.both("d/f", "old");
    let (before, inodes) = (ino(&c.at("b/d/f")), c.inodes("d/f"));
    c.put("a", "d/f", "new and longer");
    c.announce(IntentKind::Write, inodes, "d/f", "");
    c.healed();
    assert_eq!(ino(&c.at("b/d/f")), before);
}

#[test]
fn a_file_made_on_one_leg_exists_on_both_or_on_none() {
    let c = Case::new("open");
    c.put("a", "new", "x");
    c.announce(IntentKind::Open, [0; 2], "new", "");
    c.healed();
    c.put("b", "only-b", "x");
    c.announce(IntentKind::Open, [0; 2], "only-b", "");
    c.healed();
    assert!(!c.at("b/only-b").exists());
}

#[test]
fn removals_and_links() {
    let c = Case::new("entries");
    c.both("f", "x");
    c.both("g", "y");
    fs::remove_file(c.at("a/f")).unwrap();
    c.announce(IntentKind::Unlink, [0; 2], "f", "");
    c.healed();
    fs::hard_link(c.at("a/g"), c.at("a/h")).unwrap();
    c.announce(IntentKind::Link, c.inodes("g"), "g", "h");
    c.healed();
    assert_eq!(ino(&c.at("b/g")), ino(&c.at("b/h")));
    fs::create_dir(c.at("a/dir")).unwrap();
    c.announce(IntentKind::Mkdir, [0; 2], "dir", "");
    c.healed();
}

#[test]
fn a_rename_is_replayed_with_the_whole_tree() {
    let c = Case::new("rename");
    c.both("d/one", "1");
    c.both("d/sub/two", "2");
    c.both("t/old", "will be there");
    let (inodes, two) = (c.inodes("d"), ino(&c.at("b/d/sub/two")));
    fs::rename(c.at("a/d"), c.at("a/e")).unwrap();
    c.announce(IntentKind::Rename, inodes, "d", "e");
    c.healed();
    assert_eq!(
        ino(&c.at("b/e/sub/two")),
        two,
        "the tree was moved, not copied"
    );
    // The copy alone had moved: what it replaced is gone, so the source follows.
    let inodes = c.inodes("e/one");
    fs::rename(c.at("b/e/one"), c.at("b/t/old")).unwrap();
    c.announce(IntentKind::Rename, inodes, "e/one", "t/old");
    c.healed();
    assert_eq!(fs::read_to_string(c.at("a/t/old")).unwrap(), "1");
    assert!(!c.at("a/e/one").exists());
}

#[test]
fn a_rename_over_a_linked_file_leaves_its_other_name_alone() {
    let c = Case::new("rename-linked");
    c.both("f", "new content");
    c.both("g", "old");
    for leg in ["a", "b"] {
        fs::hard_link(c.at(&format!("{leg}/g")), c.at(&format!("{leg}/hard"))).unwrap();
    }
    fs::rename(c.at("a/f"), c.at("a/g")).unwrap();
    c.announce(IntentKind::Rename, [0; 2], "f", "g");
    c.healed();
    assert_eq!(fs::read_to_string(c.at("b/hard")).unwrap(), "old");
    assert_eq!(fs::read_to_string(c.at("b/g")).unwrap(), "new content");
}

#[test]
fn an_exchange_is_replayed() {
    let c = Case::new("exchange");
    c.both("x", "1");
    c.both("y", "2");
    let (inodes, x) = (c.inodes("x"), ino(&c.at("b/x")));
    fs::rename(c.at("a/x"), c.at("a/t")).unwrap();
    fs::rename(c.at("a/y"), c.at("a/x")).unwrap();
    fs::rename(c.at("a/t"), c.at("a/y")).unwrap();
    c.announce(IntentKind::Exchange, inodes, "x", "y");
    c.healed();
    assert_eq!(ino(&c.at("b/y")), x);
}

#[test]
fn a_link_whose_other_name_is_unknown_is_pending() {
    let c = Case::new("unknown");
    c.both("f", "x");
    fs::hard_link(c.at("a/f"), c.at("a/n")).unwrap();
    c.announce(IntentKind::Link, c.inodes("f"), "", "n");
    locked(&c.p, |_| ()).unwrap();
    assert!(c.p.runtime.word().pending());
    assert_eq!(c.p.pair.pending().paths, [b"n".to_vec()]);
}

/// The file that was written is under another name by now: nobody knows which.
#[test]
fn a_write_to_what_has_another_name_now_is_pending() {
    let c = Case::new("moved");
    c.both("d/f", "old");
    let inodes = c.inodes("d/f");
    for leg in ["a", "b"] {
        fs::rename(c.at(&format!("{leg}/d/f")), c.at(&format!("{leg}/d/g"))).unwrap();
    }
    c.put("a", "d/g", "new");
    c.announce(IntentKind::Write, inodes, "d/f", "");
    locked(&c.p, |_| ()).unwrap();
    assert_eq!(c.p.pair.pending().paths, [b"d/f".to_vec()]);
}

#[test]
fn a_file_that_the_second_leg_alone_has_is_not_taken_for_a_new_link() {
    let c = Case::new("foreign");
    c.both("f", "x");
    c.put("b", "n", "somebody's");
    c.announce(IntentKind::Link, c.inodes("f"), "f", "n");
    locked(&c.p, |_| ()).unwrap();
    assert_eq!(c.p.pair.pending().paths, [b"f".to_vec(), b"n".to_vec()]);
    assert_eq!(fs::read_to_string(c.at("b/n")).unwrap(), "somebody's");
}

/// Nobody looks into a tree to end a change of its name.
#[test]
fn a_rename_compares_nothing_below() {
    let c = Case::new("below");
    c.both("d/one", "1");
    c.put("b", "d/one", "changed on one tree");
    let inodes = c.inodes("d");
    fs::rename(c.at("a/d"), c.at("a/e")).unwrap();
    c.announce(IntentKind::Rename, inodes, "d", "e");
    locked(&c.p, |_| ()).unwrap();
    assert!(!c.p.runtime.word().pending());
    assert_eq!(
        fs::read_to_string(c.at("b/e/one")).unwrap(),
        "changed on one tree"
    );
}

#[test]
fn a_path_out_of_the_legs_is_not_believed() {
    let c = Case::new("escape");
    fs::write(c.at("outside"), "keep").unwrap();
    for bad in ["../outside", "/etc/passwd", ".mirror/leg", "a//b"] {
        c.announce(IntentKind::Unlink, [0; 2], bad, "");
        locked(&c.p, |_| ()).unwrap();
        assert!(c.p.runtime.word().pending());
    }
    assert_eq!(c.p.pair.pending().paths, [b".".to_vec()]);
    assert!(c.at("outside").exists() && c.at("a/.mirror/leg").exists());
}

#[test]
fn what_is_recorded_is_what_the_library_looks_for() {
    let c = Case::new("line");
    let names = [b"a b\n\\".to_vec(), b"\xff/x".to_vec()];
    assert!(locked(&c.p, |held| append_pending(&c.p, &names, held)).unwrap());
    assert!(c.p.runtime.word().pending());
    assert_eq!(c.p.pair.pending().paths, names);
    for name in &names {
        let mut buf = [0; 64];
        let len = pending::line(name, &mut buf);
        for leg in &c.p.pair.legs {
            assert!(pending::has(leg.root.fd().as_raw_fd(), &buf[..len]));
        }
    }
}

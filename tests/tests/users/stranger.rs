//! A third user can neither read, forge nor block a pair.
use super::{ANN, BEN, GROUP, ROOT, STRANGER, Who, anns, control, healthy, runtime, shared};
use mirror_tests::{Kind, Pair, need};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

#[test]
fn a_stranger_can_open_nothing_of_the_pair() {
    need!(root);
    let pair = shared(Kind::InPlace);
    ANN.runs(&pair, "echo x > $V/f").ok();
    let rt = runtime(&pair);
    let mut names = vec![rt.clone()];
    for leg in [pair.a(), pair.b()] {
        names.extend(control(leg));
    }
    assert!(names.len() > 2 * 129, "lock objects are there");
    for n in &names {
        let m = fs::symlink_metadata(n).unwrap();
        assert_eq!(m.mode() & 0o007, 0, "{}", n.display());
        assert_eq!(m.gid(), GROUP, "{}", n.display());
        let path = n.display();
        // A reader could lock it; so it must not even be opened for reading.
        let o = STRANGER.plainly(&pair, &format!("exec 5< '{path}'"));
        assert!(o.code != 0, "{path}: {o:?}");
        let o = ANN.plainly(&pair, &format!("exec 5< '{path}'"));
        assert_eq!(o.code, 0, "{path}: {o:?}");
    }
    let path = rt.display();
    let mine = format!("{path}.mine");
    STRANGER.plainly(&pair, &format!(": > '{mine}'")).ok();
    for act in [
        format!("rm -f '{path}'"),
        format!("mv -f '{path}' '{mine}'"),
        format!("mv -f '{mine}' '{path}'"),
        format!("truncate -s 0 '{path}'"),
        format!("chmod 666 '{path}'"),
        format!("flock -n '{path}' true"),
        format!("ls '{}/.mirror'", pair.a().display()),
    ] {
        let o = STRANGER.plainly(&pair, &act);
        let err = String::from_utf8_lossy(&o.err);
        let refused = ["Permission denied", "not permitted"]
            .iter()
            .any(|e| err.contains(e));
        assert!(o.code != 0 && refused, "{act}: {o:?}");
    }
    fs::remove_file(&mine).unwrap();
    // A second name, as a stranger can make it where fs.protected_hardlinks is 0.
    fs::hard_link(&rt, &mine).unwrap();
    ANN.preloads(&pair, "echo more >> $V/f").ok();
    ANN.runs(&pair, "echo more >> $V/f").ok();
    fs::remove_file(&mine).unwrap();
    BEN.runs(&pair, "echo y >> $V/f").ok();
    assert_eq!(runtime(&pair), rt);
    healthy(&pair);
}

#[test]
fn a_strangers_program_is_refused_and_changes_nothing() {
    need!(root);
    let pair = shared(Kind::Link);
    ANN.runs(&pair, "echo x > $V/f; mkdir -m 777 $V/d; chmod 666 $V/f")
        .ok();
    // The trees would let them.
    let o = STRANGER.preloads(
        &pair,
        "echo y >> $V/f; echo z > $V/d/g; mkdir $V/d/h; rm -f $V/f; mv $V/f $V/d/f; cat $V/f",
    );
    let err = String::from_utf8_lossy(&o.err);
    assert_eq!(err.matches("Permission denied").count(), 5, "{o:?}");
    assert_eq!(o.text(), "x", "reading is the trees' affair");
    assert_eq!(fs::read(pair.a().join("f")).unwrap(), b"x\n");
    assert_eq!(fs::read_dir(pair.a().join("d")).unwrap().count(), 0);
    for (command, code) in [("status", 3), ("verify", 2), ("resync", 2), ("detach", 77)] {
        let o = STRANGER.mirror(&pair, command, &[]);
        assert_eq!(o.code, code, "{command}: {o:?}");
        let said = String::from_utf8_lossy(&[o.out, o.err].concat()).into_owned();
        assert!(
            said.contains(&format!("belongs to group {GROUP}")),
            "{command}: {said}"
        );
    }
    let o = STRANGER.runs(&pair, "true");
    assert_eq!(o.code, 125, "{o:?}");
    healthy(&pair);
}

/// Gives a runtime file's name to something of the stranger's.
fn forge(pair: &Pair, name: &Path, how: &str) {
    let content = pair.scratch().join("content");
    fs::copy(name, &content).unwrap();
    fs::set_permissions(&content, fs::Permissions::from_mode(0o644)).unwrap();
    fs::remove_file(name).unwrap();
    let (name, content) = (name.display(), content.display());
    let script = match how {
        "copy 666" => format!("cp '{content}' '{name}'; chmod 666 '{name}'"),
        "copy 660" => format!("cp '{content}' '{name}'; chmod 660 '{name}'"),
        "copy 600" => format!("cp '{content}' '{name}'; chmod 600 '{name}'"),
        "fifo" => format!("mkfifo -m 666 '{name}'"),
        "folder" => format!("mkdir -m 777 '{name}'"),
        "link" => format!("ln -s '{content}' '{name}'"),
        _ => unreachable!(),
    };
    STRANGER.plainly(pair, &format!("set -e; {script}")).ok();
}

const FORGERIES: [&str; 6] = ["copy 666", "copy 660", "copy 600", "fifo", "folder", "link"];

fn forged_files_are_passed_over(pair: &Pair, who: [Who; 2]) {
    for how in FORGERIES {
        for (n, by_command) in [(0, false), (1, true)] {
            let old = runtime(pair);
            forge(pair, &old, how);
            let before = fs::symlink_metadata(&old).unwrap();
            let script = format!("echo '{how}' >> $V/f; cat $V/f | tail -n 1");
            let o = if by_command {
                who[n].runs(pair, &script)
            } else {
                who[n].preloads(pair, &script)
            };
            assert_eq!(o.ok().text(), how);
            // The domain has another file; root has removed the forged one if it came by.
            let all = pair.runtime_files();
            let new: Vec<_> = all.iter().filter(|p| **p != old).collect();
            assert_eq!(new.len(), 1, "{how}: {all:?}");
            if let Ok(now) = fs::symlink_metadata(&old) {
                assert_eq!(now.ino(), before.ino(), "{how}");
                let _ = fs::remove_file(&old).or_else(|_| fs::remove_dir(&old));
            }
            fs::remove_file(pair.scratch().join("content")).unwrap();
            healthy(pair);
        }
    }
}

#[test]
fn a_forged_runtime_file_of_a_shared_pair_is_passed_over() {
    need!(root);
    let pair = shared(Kind::InPlace);
    ANN.runs(&pair, "echo x > $V/f").ok();
    forged_files_are_passed_over(&pair, [ANN, BEN]);
    forged_files_are_passed_over(&pair, [ROOT, ROOT]);
}

#[test]
fn a_forged_runtime_file_of_an_own_pair_is_passed_over() {
    need!(root);
    let pair = anns();
    ANN.runs(&pair, "echo x > $V/f").ok();
    forged_files_are_passed_over(&pair, [ANN, ANN]);
}

/// Names that could be guessed are taken: nobody waits for them.
#[test]
fn squatted_names_block_nobody() {
    need!(root);
    let pair = anns();
    let id = fs::read_to_string(pair.a().join(".mirror/leg")).unwrap();
    let id = id.lines().find_map(|l| l.strip_prefix("pair=")).unwrap();
    let place = &format!("mirror-{id}");
    let squat = format!(
        "cd /dev/shm && mkdir -m 777 mirror-{0} mirror-{1} && mkdir -m 777 {place} && : > {place}.x",
        ANN.0, STRANGER.0
    );
    fs::remove_file(runtime(&pair)).unwrap();
    STRANGER.plainly(&pair, &squat).ok();
    let o = STRANGER.plainly(&pair, "mkdir -p /run/mirror && : > /run/mirror/x");
    assert!(o.code != 0, "root's folder is closed: {o:?}");
    let here = ANN.preloads(&pair, "echo x > $V/f; cat $V/f");
    let clean = format!(
        "cd /dev/shm && rm -r mirror-{0} mirror-{1} {place} {place}.x",
        ANN.0, STRANGER.0
    );
    STRANGER.plainly(&pair, &clean).ok();
    assert_eq!(here.ok().text(), "x");
    healthy(&pair);
}

//! Power that the pair's owner might get by a mount, and protections of the kernel that V must keep.
use mirror_tests::{Kind, Output, Pair, need};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

/// From a leg where set-id bits and devices have no power to one where they have.
#[test]
fn root_carries_no_power_in_silence() {
    need!(root);
    need!("python3", "setpriv");
    let pair = Pair::bare(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    let (a, b) = (pair.a().to_owned(), pair.b().to_owned());
    let mount = |options: &str| {
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&a)
            .status()
            .unwrap()
            .success()
    };
    if !mount("size=8m,mode=755,nosuid,nodev") {
        mirror_tests::skip("needs a tmpfs");
        return;
    }
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        fs::write(a.join("plain"), "x").unwrap();
        let o = pair.init(&[]).ok();
        let said = o.text();
        assert!(
            said.contains("mounted nosuid") && said.contains("mounted nodev"),
            "{o:?}"
        );
        fs::copy("/bin/true", a.join("suid")).unwrap();
        let c = std::ffi::CString::new(a.join("null").to_str().unwrap()).unwrap();
        let (kind, null) = (libc::S_IFCHR | 0o666, libc::makedev(1, 3));
        // SAFETY: a path of our own.
        assert_eq!(unsafe { libc::mknod(c.as_ptr(), kind, null) }, 0);
        fs::set_permissions(
            a.join("suid"),
            std::os::unix::fs::PermissionsExt::from_mode(0o4755),
        )
        .unwrap();
        for _ in 0..2 {
            let o = pair.resync();
            assert_eq!(o.code, 1, "{o:?}");
            let said = o.text();
            assert!(said.contains("2 paths left"), "{said}");
            assert!(
                said.contains("set-id bits") && said.contains("device node"),
                "{said}"
            );
            assert!(said.contains("--allow-privileged"), "{said}");
            assert_eq!(fs::metadata(b.join("suid")).unwrap().mode() & 0o7777, 0o755);
            assert_eq!(
                fs::read(b.join("suid")).unwrap(),
                fs::read("/bin/true").unwrap()
            );
            assert!(!b.join("null").exists());
        }
        let v = pair.v().to_str().unwrap();
        pair.mirror("resync", &[v, "--yes", "--allow-privileged"])
            .ok();
        assert_eq!(
            fs::metadata(b.join("suid")).unwrap().mode() & 0o7777,
            0o4755
        );
        assert!(b.join("null").exists());
        // The other way it has no power: nothing to refuse.
        fs::remove_file(a.join("suid")).unwrap();
        pair.mirror("resync", &[v, "--yes", "--from", "b"]).ok();
        pair.assert_equal();
        let _ = pair.mirror("detach", &[v]);
    }));
    let _ = Command::new("umount").arg(&a).status();
    if let Err(e) = done {
        std::panic::resume_unwind(e);
    }
}

/// The same in the first copy: said, and nothing is declared complete.
#[test]
fn a_first_copy_carries_no_power_in_silence() {
    need!(root);
    let pair = Pair::bare(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    let (a, b) = (pair.a().to_owned(), pair.b().to_owned());
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=8m,mode=755,nosuid", "tmpfs"])
        .arg(&a)
        .status();
    if !mounted.unwrap().success() {
        mirror_tests::skip("needs a tmpfs");
        return;
    }
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        fs::copy("/bin/true", a.join("suid")).unwrap();
        let set_id = std::os::unix::fs::PermissionsExt::from_mode(0o6755);
        fs::set_permissions(a.join("suid"), set_id).unwrap();
        let o = pair.init(&[]);
        let said = String::from_utf8_lossy(&o.err).into_owned();
        assert!(o.code != 0 && said.contains("--allow-privileged"), "{o:?}");
        let mode = |p: &Path| fs::metadata(p).unwrap().mode() & 0o7777;
        assert_eq!(mode(&b.join("suid")), 0o755);
        pair.init(&["--allow-privileged"]).ok();
        assert_eq!(mode(&b.join("suid")), 0o6755);
        let _ = pair.mirror("detach", &[pair.v().to_str().unwrap()]);
    }));
    let _ = Command::new("umount").arg(&a).status();
    if let Err(e) = done {
        std::panic::resume_unwind(e);
    }
}

/// fs.protected_symlinks as the library reads it, in a mount namespace: what the library follows by hand
/// stays protected. (What the kernel follows itself is not tried: its setting is the machine's.)
#[test]
fn foreign_symlinks_in_a_sticky_directory_are_not_followed() {
    need!(root);
    need!("unshare", "mount");
    let pair = Pair::new(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    let setup = "mkdir $V/tmp $V/open $V/tmp/dir; chmod 1777 $V/tmp; chmod 777 $V/open;
        for d in tmp open; do echo secret > $V/$d.secret; ln -s ../$d.secret $V/$d/l; chown -h 12345 $V/$d/l; done;
        ln -s ../tmp.secret $V/tmp/own; ln -s dir $V/tmp/way; chown -h 12345 $V/tmp/way";
    pair.run(setup).ok();
    let script = "for p in tmp/l open/l tmp/own tmp/way/new; do echo more >> $V/$p && echo $p ok; done 2>/dev/null
        chmod 640 $V/tmp/l 2>/dev/null || echo chmod refused";
    fs::write(pair.scratch().join("one"), "1\n").unwrap();
    let mut c = pair.command("unshare");
    c.args([
        "-m",
        "bash",
        "-c",
        "mount --bind $S/one /proc/sys/fs/protected_symlinks || exit 9; exec bash -c \"$0\"",
        script,
    ]);
    let o = Output::from_std(c.output().unwrap());
    if o.code == 9 {
        mirror_tests::skip("nothing can be mounted over /proc/sys here");
        return;
    }
    assert_eq!(
        o.text(),
        "open/l ok\ntmp/own ok\ntmp/way/new ok\nchmod refused",
        "{o:?}"
    );
    assert_eq!(
        fs::read(pair.a().join("tmp.secret")).unwrap(),
        b"secret\nmore\n"
    );
    pair.assert_equal();
}

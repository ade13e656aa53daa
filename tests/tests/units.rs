//! What a service manager does to a program: folders of the system that are empty, read-only or not there,
//! filters, and runtime files that are taken away. The pair works, or the refusal says what to allow.
use mirror_tests::{Kind, Level, Output, Pair, Tree, need};

fn forget_runtime(pair: &Pair) {
    for file in pair.runtime_files() {
        std::fs::remove_file(file).expect("a runtime file");
    }
}

const WORK: &str = "$D/mirror-run bash -c 'cd $V && mkdir d && echo one > d/f && echo two >> d/f'";

/// After a boot /run is empty: the first who uses a pair of root's makes the folder of runtime files, be it
/// the command or a program.
#[test]
fn nothing_is_in_run_yet() {
    need!(root);
    need!("unshare");
    for first in ["$D/mirror verify $V", WORK] {
        let pair = Pair::striped(Kind::InPlace, None);
        let script = format!(
            "mount -t tmpfs none /run || exit 77
             {first} || exit 1
             stat -c '%a %u' /run/mirror; ls /run/mirror | grep -c '^[0-9a-f]*$'
             [ -e $V/d/f ] || {WORK}"
        );
        let Some(o) = pair.in_namespace(&script) else {
            return;
        };
        let text = o.ok().text();
        assert!(text.ends_with("711 0\n1"), "{first}: {text}");
        pair.assert_equal();
    }
}

/// What a killed program had announced is lost with the runtime file: the pair is not called in sync until
/// it was compared, whoever comes first.
#[test]
fn a_removed_runtime_file_is_told() {
    let pair = Pair::striped(Kind::InPlace, None);
    pair.run("echo one > $V/f").ok();
    let told = |when: &str| {
        let o = pair.mirror("status", &[]);
        assert_eq!(o.code, 1, "{when}: {o:?}");
        assert!(o.text().contains("UNVERIFIED"), "{when}: {o:?}");
    };
    let in_sync = || {
        let o = pair.mirror("status", &[]).ok();
        assert!(o.text().contains("IN SYNC"), "{o:?}");
    };
    in_sync();
    forget_runtime(&pair);
    told("nobody came since");
    pair.verify().ok();
    in_sync();
    // What was compared is left clean: nothing had been announced.
    forget_runtime(&pair);
    in_sync();
    pair.run("echo once > $V/more").ok();
    forget_runtime(&pair);
    let o = pair
        .preloaded("bash")
        .args(["-c", "echo two > $V/g"])
        .output();
    Output::from_std(o.expect("bash")).ok();
    told("a program founded the domain");
    pair.verify().ok();
    in_sync();
    pair.run("echo again >> $V/g").ok();
    forget_runtime(&pair);
    pair.run("echo three > $V/h").ok();
    told("the command founded the domain");
    pair.verify().ok();
    in_sync();
    pair.assert_equal();
}

/// A domain that cannot begin leaves the records as they were: nothing has vanished.
#[test]
fn a_refused_beginning_is_no_loss() {
    need!(root);
    need!("unshare");
    for first in ["$D/mirror verify $V", WORK] {
        let pair = Pair::striped(Kind::InPlace, None);
        forget_runtime(&pair);
        for leg in [pair.a(), pair.b()] {
            // As after a boot.
            std::fs::write(leg.join(".mirror/owner"), [0; 64]).expect("a record");
        }
        let script = format!(
            "mount -t tmpfs none /run && mkdir -p -m 711 /run/mirror && mount -o remount,ro /run || exit 77
             {first}; echo code $?"
        );
        let Some(o) = pair.in_namespace(&script) else {
            return;
        };
        let text = o.ok().text();
        assert!(!text.ends_with("code 0"), "{first}: {text}");
        let o = pair.mirror("status", &[]).ok();
        assert!(o.text().contains("IN SYNC"), "{first}: {o:?}");
    }
}

/// /proc without /proc/sys (ProcSubset=pid): the boot is that of the runtime file, if there is one in memory.
#[test]
fn proc_shows_processes_only() {
    need!(root);
    need!("unshare");
    let bare =
        "mount -t proc -o subset=pid,hidepid=invisible proc /proc && [ ! -e /proc/sys ] || exit 77";
    for how in ["$D/mirror-run", "$D/mirror run --"] {
        let pair = Pair::striped(Kind::InPlace, None);
        let work = WORK.replace("$D/mirror-run", how);
        let used =
            format!("mount -t tmpfs none /run && {how} touch $V/before || exit 77\n{bare}\n{work}");
        let Some(o) = pair.in_namespace(&used) else {
            return;
        };
        o.ok();
        pair.assert_equal();
        assert!(pair.a().join("d/f").exists());
        // Nobody has used it since the boot: refused, with the reason.
        let work = work.replace("mkdir d", "mkdir e").replace("d/f", "e/f");
        let unused = format!(
            "mount -t tmpfs none /run || exit 77\n{bare}\n{work} && exit 1\n$D/mirror status $V"
        );
        let o = pair.in_namespace(&unused).expect("mounted before");
        assert!(format!("{o:?}").contains("/proc"), "{how}: {o:?}");
        assert!(!pair.a().join("e").exists() && !pair.b().join("e").exists());
    }
}

/// A container that shows a boot id of its own, and a program in it that sees the kernel's: one runtime file
/// in memory is one domain.
#[test]
fn a_boot_id_of_ones_own() {
    need!(root);
    need!("unshare");
    let pair = Pair::striped(Kind::InPlace, None);
    let script = format!(
        "mount -t tmpfs none /run && $D/mirror-run touch $V/before || exit 77
         echo 00000000-1111-4222-8333-444444444444 > $S/boot
         exec 3> >($D/mirror-run bash -c 'echo x > $V/held; read -r word'); while [ ! -e $V/held ]; do sleep 0.02; done
         mount --bind $S/boot /proc/sys/kernel/random/boot_id || exit 77
         {WORK} && $D/mirror verify $V && $D/mirror status $V && exec 3>&-; r=$?; wait; exit $r"
    );
    let Some(o) = pair.in_namespace(&script) else {
        return;
    };
    o.ok();
    pair.assert_equal();
    assert!(pair.a().join("d/f").exists());
}

/// ProtectSystem=strict: what is not named is read-only. Without leg b, and without the folder of runtime
/// files, changes are refused and told; with both, nothing is in the way.
#[test]
fn what_is_not_named_is_read_only() {
    need!(root);
    need!("unshare");
    for (named, works) in [
        ("a/v", false),
        ("a/v b/v", false),
        ("a/v b/v /run/mirror", true),
    ] {
        let pair = Pair::striped(Kind::InPlace, None);
        pair.run("true").ok();
        let script = format!(
            "rm -f /dev/shm/mirror-refused-0 # of a user namespace's root
             cd $V/../..; mount -t tmpfs none /run && $D/mirror-run touch $V/before || exit 77
             for d in {named}; do mount --bind $d $d || exit 77; done
             for d in $(echo / /run; findmnt -rno TARGET | grep -v '/proc\\|/dev\\|/sys'); do
                 for w in {named}; do [ $(realpath $w) = $d ] && continue 2; done
                 mount -o remount,bind,ro $d 2> /dev/null
             done
             touch $D/no 2> /dev/null && rm $D/no && exit 77
             {WORK}; echo code $?; $D/mirror status $V"
        );
        let Some(o) = pair.in_namespace(&script) else {
            return;
        };
        let text = o.text();
        assert_eq!(text.contains("code 0"), works, "{named}: {o:?}");
        assert_eq!(text.contains("refused "), !works, "{named}: {o:?}");
        pair.assert_equal();
        assert_eq!(pair.a().join("d/f").exists(), works);
    }
}

/// Whoever founds a domain in a sandbox with a folder of its own leaves the runtime file before it.
#[test]
fn detach_removes_every_runtime_file_of_the_pair() {
    need!(root);
    need!("unshare");
    let pair = Pair::striped(Kind::InPlace, None);
    pair.run("true").ok();
    let script = format!("mount -t tmpfs none /run || exit 77\n{WORK}");
    let Some(o) = pair.in_namespace(&script) else {
        return;
    };
    o.ok();
    assert_eq!(pair.runtime_files().len(), 1);
    let v = pair.v().display().to_string();
    pair.mirror("detach", &[&v]).ok();
    assert_eq!(pair.runtime_files(), Vec::<std::path::PathBuf>::new());
}

/// A service's home, or a user's, is V: the mirrortab, prepared images and verdicts that the command writes
/// there are on both legs.
#[test]
fn the_commands_own_files_in_v_are_mirrored() {
    let base = mirror_tests::base_dir();
    let p = |name: &str| base.join(name);
    for dir in ["a", "b", "c", "d"] {
        std::fs::create_dir(p(dir)).expect("a folder");
    }
    let unlike = |args: &[&str]| {
        let mut c = std::process::Command::new(mirror_tests::dist().join("mirror"));
        c.args(args).current_dir(&base).env("HOME", p("a"));
        c.env("MIRRORTAB", p("a/.config/mirror/mirrortab"));
        c.env("MIRROR_CACHE", p("a/.cache/mirror"));
        Output::from_std(c.output().expect("running mirror")).ok();
        let [a, b] = ["a", "b"].map(|leg| Tree::read(&p(leg)));
        a.differences(&b, Level::Strict)
    };
    let mirror = |args: &[&str]| {
        let d = unlike(args);
        assert!(d.0.is_empty(), "{args:?}:\n{d}");
    };
    mirror(&["init", "a", "b", "--yes"]);
    mirror(&["run", "--", "touch", "a/x"]);
    assert!(p("b/.cache/mirror/verdicts").exists() && p("b/x").exists());
    mirror(&["init", "c", "d", "--yes"]);
    mirror(&["run", "--exec", "--", "env", "true"]);
    mirror(&["detach", "c"]);
    mirror(&["verify", "a"]);
    // The last line goes with the pair itself.
    unlike(&["detach", "a"]);
    std::fs::remove_dir_all(base).expect("removing");
}

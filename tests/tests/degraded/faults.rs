//! Real faults of real file systems, while programs run (root only).
use super::*;
use mirror_tests::FsType::{Ext4, Xfs};

const LOOP: Fs = Fs::Loop(Ext4, Xfs);

fn sh(script: &str) {
    let s = Command::new("sh").arg("-c").arg(script).status().unwrap();
    assert!(s.success(), "{script}");
}

/// The mount point of leg b.
fn mount(p: &Pair) -> &Path {
    p.b().parent().unwrap()
}

fn shut_down(p: &Pair) {
    sh(&format!("xfs_io -x -c shutdown {}", mount(p).display()));
}

fn mount_again(p: &Pair) {
    let m = mount(p).display();
    sh(&format!("mount -o loop {m}.img {m}"));
}

/// Each number that it has printed is on the disk of the pair.
const WRITER: &str = r#"
import os, sys
log = os.open(os.environ['V'] + '/acks', os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
for i in range(400):
    name = os.environ['V'] + '/n%d' % i
    with open(name + '.tmp', 'w') as f:
        f.write(str(i) * 100)
        f.flush()
        if i % 8 == 0: os.fsync(f.fileno())
    os.rename(name + '.tmp', name)
    if i % 5 == 4: os.unlink(os.environ['V'] + '/n%d' % (i - 1))
    os.write(log, b'%d\n' % i)
    if i % 16 == 0: os.fsync(log)
    print(i, flush=True)
"#;

const GIT: &str = "cd $V && git init -q g && cd g && for i in $(seq 12); do echo $i > f$i; git add .; git commit -qm $i || exit 1; done; git fsck --strict >/dev/null 2>&1";
const SQL: &str = "for i in $(seq 25); do sqlite3 $V/db \"create table if not exists t(x); insert into t values($i);\" || exit 1; done";

/// Leg b fails under programs that write, commit and sync: none of them notices, nothing that was acknowledged
/// is missing on leg a, the mark stands, and a return makes both equal.
#[test]
fn programs_do_not_notice_that_leg_b_fails() {
    need!(root);
    need!("python3", "git", "sqlite3", "xfs_io");
    let Some(p) = pair(Kind::InPlace, LOOP) else {
        return;
    };
    let start = |script: &str| {
        let mut c = p.command("bash");
        c.arg("-c")
            .arg(script)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut c = p.command("python3");
    c.arg("-c").arg(WRITER);
    let writer = Told::start(c);
    let others = [start(GIT), start(SQL)];
    for i in 0..40 {
        assert_eq!(writer.line(), i.to_string());
    }
    shut_down(&p);
    for i in 40..400 {
        assert_eq!(writer.line(), i.to_string(), "acknowledged in order");
    }
    writer.end();
    for mut c in others {
        assert!(c.wait().unwrap().success());
    }
    degraded(&p);
    let acks: String = (0..400).map(|i| format!("{i}\n")).collect();
    let whole = |leg: &Path| {
        assert_eq!(fs::read_to_string(leg.join("acks")).unwrap(), acks);
        for i in (0..400).filter(|i| i % 5 != 3) {
            let text = fs::read_to_string(leg.join(format!("n{i}"))).unwrap();
            assert_eq!(text, i.to_string().repeat(100));
        }
        let leg = leg.display();
        sh(&format!(
            "test \"$(sqlite3 {leg}/db 'pragma integrity_check; select count(*), sum(x) from t;' | tr '\\n' ' ')\" = 'ok 25|325 '"
        ));
        sh(&format!(
            "git -c safe.directory='*' -C {leg}/g fsck --strict >/dev/null 2>&1"
        ));
    };
    whole(p.a());
    // Nobody holds it: unmounted, a bare mount point is no empty leg.
    sh(&format!("umount {}", mount(&p).display()));
    p.run("echo alone > $V/alone; mkdir $V/dir").ok();
    assert_eq!(fs::read_dir(mount(&p)).unwrap().count(), 0);
    degraded(&p);
    mount_again(&p);
    let b = Tree::read(p.b());
    p.run("echo more > $V/more").ok();
    same(&b, p.b());
    let o = online(&p);
    assert_eq!(o.code, 0, "{o:?}");
    state(&p, 0, "IN SYNC");
    p.assert_equal();
    whole(p.b());
}

/// The fault, and whether a pair degrades by it under the options.
struct Fault {
    name: &'static str,
    options: &'static [&'static str],
    /// Of leg b's mount `$M`, and `$B`.
    breaks: &'static str,
    mends: &'static str,
    degrades: bool,
    /// What a program that gets an error says.
    says: &'static str,
}

const FAULTS: [Fault; 6] = [
    Fault {
        name: "read-only",
        options: &["--on-failure", "degrade"],
        breaks: "mount -o remount,ro $M",
        mends: "mount -o remount,rw $M",
        degrades: true,
        says: "",
    },
    Fault {
        name: "read-only, fail",
        options: &["--on-failure", "fail"],
        breaks: "mount -o remount,ro $M",
        mends: "mount -o remount,rw $M",
        degrades: false,
        says: "Read-only file system",
    },
    Fault {
        name: "shut down, by default",
        options: &[],
        breaks: "xfs_io -x -c shutdown $M",
        mends: "umount $M; mount -o loop $M.img $M",
        degrades: false,
        says: "Input/output error",
    },
    Fault {
        name: "full",
        options: &["--on-full", "degrade"],
        breaks: "dd if=/dev/zero of=$M/fill bs=1M 2>/dev/null; dd if=/dev/zero of=$M/fill2 bs=4096 2>/dev/null; true",
        mends: "rm $M/fill $M/fill2",
        degrades: true,
        says: "",
    },
    Fault {
        name: "full, error",
        options: &["--on-failure", "degrade"],
        breaks: "dd if=/dev/zero of=$M/fill bs=1M 2>/dev/null; dd if=/dev/zero of=$M/fill2 bs=4096 2>/dev/null; true",
        mends: "rm $M/fill $M/fill2",
        degrades: false,
        says: "No space left on device",
    },
    Fault {
        name: "read-only for one process",
        options: &["--on-failure", "degrade"],
        breaks: "true",
        mends: "true",
        degrades: false,
        says: "Read-only file system",
    },
];

/// What a program writes: room for it is nowhere on a full leg.
const TRIES: &str = "head -c 3000000 /dev/zero > $V/big && mkdir $V/made && mv $V/old $V/renamed";

/// Each fault of leg b under the options of a pair: the program's success and the mark are the policy's.
#[test]
fn the_policy_decides() {
    need!(root);
    need!("xfs_io", "unshare");
    for f in &FAULTS {
        let Some(p) = Pair::bare(Kind::InPlace, LOOP) else {
            return;
        };
        p.init(f.options).ok();
        p.run("echo old > $V/old").ok();
        let m = mount(&p).display().to_string();
        sh(&format!("M={m}; {}", f.breaks));
        let o = Output::from_std(match f.name {
            "read-only for one process" => {
                let mut c = Command::new("unshare");
                c.args(["-m", "sh", "-c"]).arg(format!(
                    "mount -o bind,ro {m} {m} && MIRRORTAB={} V={} exec {} sh -c '{TRIES}'",
                    p.tab().display(),
                    v(&p),
                    mirror_tests::dist().join("mirror-run").display()
                ));
                c.env("MIRROR_CACHE", mirror_cache(&p)).output().unwrap()
            }
            _ => {
                let mut c = p.preloaded("sh");
                c.args(["-c", TRIES]).output().unwrap()
            }
        });
        let done = o.code == 0;
        assert_eq!(done, f.degrades, "{}: {o:?}", f.name);
        let err = String::from_utf8_lossy(&o.err);
        let said = match f.says {
            "" => err.is_empty(),
            text => err.trim_end().ends_with(text),
        };
        assert!(said, "{}: {o:?}", f.name);
        let o = p.mirror("status", &[v(&p)]);
        let says = String::from_utf8_lossy(&o.out).contains("state     DEGRADED");
        assert_eq!(says, f.degrades, "{}: {o:?}", f.name);
        assert_eq!(
            p.a().join(".mirror/away").exists(),
            f.degrades,
            "{}",
            f.name
        );
        if done {
            assert_eq!(fs::metadata(p.a().join("big")).unwrap().len(), 3_000_000);
            assert!(p.a().join("renamed").exists() && p.a().join("made").exists());
        }
        sh(&format!("M={m}; {}", f.mends));
        let o = match f.degrades {
            true => online(&p),
            false => p.resync(),
        };
        assert_eq!(o.code, 0, "{}: {o:?}", f.name);
        state(&p, 0, "IN SYNC");
        p.assert_equal();
    }
}

/// `mirror run` starts what goes on without a leg b that is read-only, and nothing else.
#[test]
fn run_begins_beside_a_read_only_leg() {
    need!(root);
    for (option, code) in [("degrade", 0), ("fail", 125)] {
        let Some(p) = Pair::bare(Kind::InPlace, LOOP) else {
            return;
        };
        p.init(&["--on-failure", option]).ok();
        let m = mount(&p).display().to_string();
        sh(&format!("mount -o remount,ro {m}"));
        let mut in_sync = p.mirror_command("run");
        in_sync.args(["--require", "in-sync", "--", "true"]);
        let o = Output::from_std(in_sync.output().unwrap());
        assert_ne!(o.code, 0, "{o:?}");
        let o = p.run("echo 1 > $V/new");
        assert_eq!(o.code, code, "{option}: {o:?}");
        let word = match option {
            "degrade" => "DEGRADED",
            _ => "READ-ONLY",
        };
        state(&p, 1, word);
        assert_eq!(p.a().join("new").exists(), code == 0);
        sh(&format!("mount -o remount,rw {m}"));
        if code == 0 {
            online(&p).ok();
        }
        state(&p, 0, "IN SYNC");
        p.assert_equal();
    }
}

fn mirror_cache(p: &Pair) -> std::ffi::OsString {
    let c = p.preloaded("true");
    c.get_envs()
        .find_map(|(k, v)| (k == "MIRROR_CACHE").then_some(v?.to_owned()))
        .unwrap()
}

/// The last leg's failure is the program's, and is no reason for a mark.
#[test]
fn leg_a_is_never_left_behind() {
    need!(root);
    need!("xfs_io");
    let Some(p) = pair(Kind::Link, Fs::Loop(Xfs, Ext4)) else {
        return;
    };
    p.run("echo old > $V/old").ok();
    let b = Tree::read(p.b());
    sh(&format!(
        "xfs_io -x -c shutdown {}",
        p.a().parent().unwrap().display()
    ));
    let o = p
        .preloaded("sh")
        .args(["-c", "echo new > $V/new"])
        .output()
        .unwrap();
    assert!(!o.status.success());
    same(&b, p.b());
    assert!(!p.b().join(".mirror/away").exists());
    assert_eq!(p.mirror("leg", &["offline", v(&p), "b"]).code, 1);
}

/// What lies elsewhere goes on, by whatever the policy is: in a program that is attached to the pair, and in those
/// that start after the leg has failed.
#[test]
fn outside_goes_on_while_a_leg_is_dead() {
    need!(root);
    need!("python3", "git", "xfs_io");
    let script = "set -e
echo before > $V/f
xfs_io -x -c shutdown $MNT
echo own > $S/own; mkdir $S/d; echo null > /dev/null
bash -c 'echo child > $S/child; cd $S/d; mkdir rel'
python3 -c 'import os; s = os.environ[\"S\"]; open(s + \"/py\", \"w\").write(\"py\"); os.rename(s + \"/py\", s + \"/d/py\")'
git init -q $S/git
ls $S $S/d";
    for (options, goes_on) in [("fail", false), ("degrade", true)] {
        let Some(p) = Pair::bare(Kind::InPlace, LOOP) else {
            return;
        };
        p.init(&["--on-failure", options]).ok();
        let run = |script: &str| {
            let mut c = p.command("bash");
            c.args(["-c", script]).env("MNT", mount(&p));
            mirror_tests::Output::from_std(c.output().unwrap())
        };
        let o = run(&format!(
            "{script}; set +e; (echo in > $V/in) 2>/dev/null; echo in: $?"
        ));
        let text = o.text();
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let inside = if goes_on { "0" } else { "1" };
        assert_eq!(words[words.len() - 2..], ["in:", inside], "{o:?}");
        for made in ["child", "d", "git", "own", "rel", "py"] {
            assert!(words.contains(&made), "{options}: {made}: {o:?}");
        }
        let there = fs::exists(p.a().join("in")).unwrap();
        assert_eq!(there, goes_on, "{options}");
    }
}

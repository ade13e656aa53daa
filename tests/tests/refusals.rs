//! A bare errno in V leaves a record: `mirror status` says why, whatever state the legs are in.
use mirror_tests::{Fs, Kind, Output, Pair, Talker, is_root, need};
use std::fs;

/// The reasons (FORMATS.md) that status shows for the pair.
fn reasons(pair: &Pair) -> Vec<u64> {
    let o = pair.mirror("status", &[pair.v().to_str().unwrap(), "--json"]);
    let (text, mut found) = (o.text(), vec![]);
    for part in text.split("\"reason\":").skip(1) {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        found.push(digits.parse().unwrap());
    }
    println!(
        "{:?}: {}",
        found,
        pair.mirror("status", &[pair.v().to_str().unwrap()]).text()
    );
    found
}

/// A change by a program that no command looks after.
fn change(pair: &Pair) -> Output {
    Output::from_std(
        pair.preloaded("bash")
            .args(["-c", "echo x > $V/new || echo y > $V/new2"])
            .output()
            .unwrap(),
    )
}

fn pair() -> Pair {
    Pair::new(Kind::Link, Fs::Plain).unwrap()
}

#[track_caller]
fn refused(pair: &Pair, why: u64) {
    assert!(reasons(pair).is_empty());
    let o = change(pair);
    assert!(o.code != 0, "{o:?}");
    // Once for a process and reason.
    assert_eq!(reasons(pair), [why]);
    assert!(!pair.a().join("new").exists() && !pair.b().join("new").exists());
}

#[test]
fn a_lost_leg() {
    let p = pair();
    let away = p.b().with_extension("away");
    fs::rename(p.b(), &away).unwrap();
    refused(&p, 1);
    fs::rename(&away, p.b()).unwrap();
}

#[test]
fn a_damaged_record() {
    let p = pair();
    fs::write(p.b().join(".mirror/leg"), "x").unwrap();
    refused(&p, 2);
}

#[test]
fn swapped_legs() {
    let p = pair();
    let tab = fs::read_to_string(p.tab()).unwrap();
    let swapped: Vec<String> = tab
        .lines()
        .map(|l| match l.split_whitespace().collect::<Vec<_>>()[..] {
            [v, a, b, ref rest @ ..] if v.starts_with('/') => {
                format!("{v} {b} {a} {}", rest.join(" "))
            }
            _ => l.to_owned(),
        })
        .collect();
    fs::write(p.tab(), swapped.join("\n") + "\n").unwrap();
    // V is not the link to what is called leg a now.
    refused(&p, 18);
    let o = p
        .preloaded("bash")
        .args(["-c", "echo x > $B/new"])
        .output()
        .unwrap();
    assert!(!o.status.success());
    assert!(reasons(&p).contains(&3));
}

#[test]
fn a_control_folder_of_another_pair() {
    let p = pair();
    let tab = fs::read_to_string(p.tab()).unwrap();
    let (line, id) = tab.split_once(",id=").unwrap();
    let other: String = id.chars().skip(32).collect();
    fs::write(p.tab(), format!("{line},id={}{other}", "0f".repeat(16))).unwrap();
    refused(&p, 17);
}

#[test]
fn a_runtime_file_that_is_not_the_pairs() {
    let p = pair();
    let mut holder = p.preloaded("bash");
    holder.args(["-c", "echo x > $V/held; echo ready; read x"]);
    let mut holder = holder
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(holder.stdout.as_mut().unwrap()),
        &mut line,
    )
    .unwrap();
    for file in p.runtime_files() {
        fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    }
    refused(&p, 8);
    drop(holder.stdin.take());
    holder.wait().unwrap();
}

#[test]
fn too_few_descriptors() {
    let p = pair();
    let o = Output::from_std(
        p.preloaded("bash")
            .args(["-c", "ulimit -Sn 20; ulimit -Hn 20; echo x > $V/new"])
            .output()
            .unwrap(),
    );
    if o.code == 0 {
        mirror_tests::skip("root may raise the hard limit here");
        return;
    }
    assert_eq!(reasons(&p), [9]);
}

#[test]
fn another_users_program() {
    need!(root);
    need!("setpriv");
    let p = pair();
    for dir in [p.a(), p.b()] {
        fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    }
    let c = "setpriv --reuid 61001 --regid 61001 --clear-groups sh -c 'echo x > $V/new; echo y > $V/new'";
    Output::from_std(p.preloaded("bash").args(["-c", c]).output().unwrap());
    assert_eq!(reasons(&p), [6]);
    // A verify that finds the legs equal closes the matter.
    p.verify().ok();
    let shown = p.mirror("status", &[p.v().to_str().unwrap()]);
    assert!(
        shown.code == 0 && !is_root() || !shown.text().contains("refused   2"),
        "{shown:?}"
    );
}

/// A reason, what brings it about ($A, $B, $TAB), and how the program is run: `$R` is the wrapper and a shell
/// that changes V.
struct Cause {
    why: u64,
    breaks: &'static str,
    program: &'static str,
    /// Programs of this pair's group share its runtime file in /dev/shm.
    share: &'static str,
}

const RECORD: &str = r#"record() { python3 -B - "$1" "$2" <<'EOF'
import re, sys, zlib
p, change = sys.argv[1] + "/.mirror/leg", sys.argv[2].split("=")
lines = open(p).read().splitlines()[:-1]
body = "\n".join("=".join(change) if l.startswith(change[0] + "=") else l for l in lines) + "\n"
open(p, "w").write(body + "crc=%08x\n" % zlib.crc32(body.encode()))
EOF
}; unpin() { sed -i 's/,id=[0-9a-f]*//' $TAB; }; "#;

const ALIKE: Cause = Cause {
    why: 0,
    breaks: "",
    program: "$R",
    share: "owner",
};

const CHROOT: &str = r#"import os
d = os.open(os.environ["V"], os.O_RDONLY)
os.chroot(os.environ["S"])
os.mkdir("new", dir_fd=d)"#;

/// Not here: 0 (no error of the kernel that has no other name could be brought about), 6, 8, 9 and 12 (they
/// have tests of their own, the last one in `jails`), 19 (`trust`).
const CAUSES: &[Cause] = &[
    Cause {
        why: 4,
        breaks: "record $B state=incomplete",
        ..ALIKE
    },
    Cause {
        why: 5,
        breaks: "record $B pair=000102030405060708090a0b0c0d0e0f; unpin",
        ..ALIKE
    },
    Cause {
        why: 10,
        program: "bash -c 'ulimit -n 5000; exec 4050</dev/null; $R'",
        ..ALIKE
    },
];

/// The same, with namespaces and mounts.
const ROOTS_CAUSES: &[Cause] = &[
    Cause {
        why: 11,
        // The list of refusals is seen from there, the legs are not.
        program: "unshare -m sh -c 'mkdir -p $S/proc $S/run/mirror; mount --bind /run/mirror $S/run/mirror; mount -t proc none $S/proc; exec $W python3 -B $P/chroot'",
        ..ALIKE
    },
    Cause {
        why: 13,
        program: "$P/refuse ENOSYS flock bash -c '$R'",
        ..ALIKE
    },
    Cause {
        why: 14,
        program: "unshare -m sh -c 'mount --bind /dev/null /proc/sys/kernel/random/boot_id; exec $R'",
        ..ALIKE
    },
    Cause {
        why: 15,
        program: "unshare -m sh -c 'mount --bind $B $B; mount -o remount,bind,ro $B; exec $R'",
        ..ALIKE
    },
    Cause {
        why: 16,
        program: "unshare -m sh -c 'mount -t tmpfs -o size=64k,mode=1777 none /dev/shm; exec $R'",
        share: "group",
        ..ALIKE
    },
    Cause {
        why: 7,
        breaks: "holder",
        program: "unshare -m sh -c 'mount -t tmpfs -o mode=1777 none /dev/shm; exec $R'",
        share: "group",
    },
];

fn goes(cause: &Cause) {
    let p = Pair::bare(Kind::Link, Fs::Plain).unwrap();
    p.init(&["--share", cause.share]).ok();
    let source = include_str!("../programs/refuse.c");
    if mirror_tests::compile(&p.programs(), "refuse", source).is_none() {
        return;
    }
    let held = (cause.breaks == "holder").then(|| {
        let mut c = p.preloaded("bash");
        let t = Talker::start(
            c.args(["-c", "echo x > $V/held; echo ready; read x"])
                .stdin(std::process::Stdio::piped()),
        );
        assert_eq!(t.line(), "ready");
        t
    });
    let run = |script: &str| {
        let w = mirror_tests::dist().join("mirror-run");
        let words = format!(
            "export W={0} R=\"{0} bash $P/change\" TAB={1}; echo 'echo x > $V/new' > $P/change; echo '{CHROOT}' > $P/chroot",
            w.display(),
            p.tab().display()
        );
        p.bypass(&format!("{RECORD}{words}\n{script}"))
    };
    if held.is_none() {
        run(cause.breaks).ok();
    }
    assert!(reasons(&p).is_empty(), "{}", cause.why);
    if cause.why == 14 {
        // A runtime file in memory would say which boot this is.
        for file in p.runtime_files() {
            std::fs::remove_file(file).unwrap();
        }
    }
    let o = run(cause.program);
    assert!(o.code != 0, "{}: {o:?}", cause.why);
    assert_eq!(reasons(&p), [cause.why], "{o:?}");
    assert!(!p.a().join("new").exists() && !p.b().join("new").exists());
    drop(held);
}

#[test]
fn causes() {
    need!("python3");
    CAUSES.iter().for_each(goes);
}

#[test]
fn causes_that_need_root() {
    need!(root);
    need!("python3", "unshare");
    ROOTS_CAUSES.iter().for_each(goes);
}

/// A call that a filter refuses, or that fails otherwise, is named.
#[test]
fn the_call_that_failed_is_named() {
    need!("strace");
    let p = pair();
    let o = p.run("strace -f -o $S/log -e trace=openat2 -P .mirror/leg -e inject=openat2:error=EPERM sh -c 'echo x > $V/new'");
    assert!(o.code != 0, "{o:?}");
    let shown = p.mirror("status", &[p.v().to_str().unwrap()]).text();
    assert!(shown.contains(", from openat2)"), "{shown}");
    let json = p
        .mirror("status", &[p.v().to_str().unwrap(), "--json"])
        .text();
    assert!(json.contains("\"call\":\"openat2\""), "{json}");
}

#[test]
fn too_little_memory() {
    need!("dash");
    let p = pair();
    // Others hold the pair, or nobody does.
    for before in ["", "echo y > $V/other; "] {
        let c = format!("{before}exec dash -c 'ulimit -v 4000; echo x > $V/new'");
        let o = Output::from_std(p.preloaded("sh").args(["-c", &c]).output().unwrap());
        assert_ne!(o.code, 0);
        let said = String::from_utf8_lossy(&o.err).into_owned();
        assert!(
            ["Cannot allocate", "emory"]
                .iter()
                .any(|w| said.contains(w)),
            "{said}"
        );
        assert!(!p.b().join("new").exists());
    }
    assert_eq!(reasons(&p), [24, 24]);
}

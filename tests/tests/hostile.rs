//! A pair's owner gains nothing by root's programs and commands: what he puts in the place of an object, or
//! of a control file, is neither followed nor waited for.
#[path = "hostile/power.rs"]
mod power;

use mirror_tests::{Kind, Output, Pair, need};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The pair's owner: a user without an account.
const OWNER: u32 = 12345;

/// Runs `c` as the pair's owner.
fn as_owner(c: &mut Command) -> Output {
    use std::os::unix::process::CommandExt;
    let act = || {
        // SAFETY: system calls on integers.
        let bad = unsafe {
            libc::setgroups(0, std::ptr::null()) != 0
                || libc::setresgid(OWNER, OWNER, OWNER) != 0
                || libc::setresuid(OWNER, OWNER, OWNER) != 0
        };
        if bad {
            Err(std::io::Error::last_os_error())
        } else {
            Ok(())
        }
    };
    // SAFETY: between fork and exec only async-signal-safe system calls are made.
    unsafe { c.pre_exec(act) };
    Output::from_std(c.output().expect("running a command"))
}

/// A pair that the owner has made; its tab is root's, so that both may use it.
fn owners(kind: Kind) -> Pair {
    let pair = Pair::bare(kind, mirror_tests::Fs::Plain).unwrap();
    let base = pair.programs().parent().unwrap().to_path_buf();
    for d in ["", "home", "m", "s", "s/m", "s/n", "a", "b", "a/v", "b/v"] {
        chown(base.join(d), Some(OWNER), Some(OWNER)).unwrap();
    }
    let mut c = pair.mirror_command("init");
    c.arg(pair.a()).arg(pair.b()).arg("--yes");
    if kind == Kind::Link {
        c.arg("--at").arg(pair.v());
    }
    as_owner(&mut c).ok();
    chown(pair.tab(), Some(0), Some(0)).unwrap();
    pair.watch_runtime();
    pair
}

/// Everything about a file that nobody but root may change.
fn state(p: &Path) -> (u32, u32, u32, i64, i64, Vec<u8>, Vec<u8>) {
    let m = fs::symlink_metadata(p).unwrap();
    let name = std::ffi::CString::new(p.to_str().unwrap()).unwrap();
    let mut list = vec![0u8; 256];
    // SAFETY: a path and a buffer of our own.
    let n = unsafe { libc::llistxattr(name.as_ptr(), list.as_mut_ptr().cast(), list.len()) };
    list.truncate(usize::try_from(n).unwrap_or(0));
    let data = fs::read(p).unwrap();
    (
        m.mode(),
        m.uid(),
        m.gid(),
        m.mtime(),
        m.mtime_nsec(),
        data,
        list,
    )
}

const TYPES: [&str; 6] = ["file", "dir", "fifo", "socket", "device", "link"];

/// What root's program does to an object `p`; `t` is its type.
const CALLS: &str = r#"
import os, sys, errno
root = sys.argv[1]
nf = dict(follow_symlinks=False)
def fd(p, f): 
    n = os.open(p, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try: f(n)
    finally: os.close(n)
def write(p, flags):
    n = os.open(p, os.O_WRONLY | os.O_NONBLOCK | flags)
    try: os.write(n, b"from root")
    finally: os.close(n)
attr = dict(chmod=lambda p: os.chmod(p, 0o4777), chown=lambda p: os.chown(p, OWNER, OWNER),
    utime=lambda p: os.utime(p, (7, 7)), setxattr=lambda p: os.setxattr(p, "user.x", b"1"),
    setcap=lambda p: os.setxattr(p, "trusted.x", b"1"))
OWNER = 12345
links = dict(lchown=lambda p: os.lchown(p, OWNER, OWNER), lutime=lambda p: os.utime(p, (7, 7), **nf),
    lsetxattr=lambda p: os.setxattr(p, "trusted.x", b"1", **nf))
data = dict(truncate=lambda p: os.truncate(p, 0), grow=lambda p: os.truncate(p, 99),
    write=lambda p: write(p, 0), append=lambda p: write(p, os.O_APPEND), empty=lambda p: write(p, os.O_TRUNC),
    creat=lambda p: write(p, os.O_CREAT))
byfd = dict(fchmod=lambda p: fd(p, lambda n: os.fchmod(n, 0o4777)),
    fchown=lambda p: fd(p, lambda n: os.fchown(n, OWNER, OWNER)),
    futime=lambda p: fd(p, lambda n: os.utime(n, (7, 7))),
    fsetxattr=lambda p: fd(p, lambda n: os.setxattr(n, "user.x", b"1")))
table = [(c, t) for t in ("file", "dir", "fifo", "socket", "device") for c in list(attr) + list(links)]
table += [(c, "link") for c in links]
table += [(c, "file") for c in list(data) + list(byfd)] + [(c, "dir") for c in byfd]
calls = {**attr, **links, **data, **byfd}
"#;

const SETUP: &str = r#"
import stat
for c, t in table:
    p = os.path.join(root, c + "-" + t)
    if t == "file": open(p, "w").write("content")
    elif t == "dir": os.mkdir(p)
    elif t == "fifo": os.mkfifo(p)
    elif t == "socket": os.mknod(p, stat.S_IFSOCK | 0o600)
    elif t == "device": os.mknod(p, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    elif t == "link": os.symlink("nowhere", p)
    os.lchown(p, OWNER, OWNER)
    print(c + "-" + t)
"#;

const ACT: &str = r#"
for c, t in table:
    try:
        calls[c](os.path.join(root, c + "-" + t))
        print(c + "-" + t, "ok")
    except OSError as e:
        print(c + "-" + t, errno.errorcode[e.errno])
"#;

fn python(pair: &Pair, script: &str, root: &Path) -> Output {
    let mut c = pair.command("python3");
    c.arg("-c").arg(format!("{CALLS}{script}")).arg(root);
    Output::from_std(c.output().unwrap())
}

/// Puts `how` in the place of each object of `leg`, leading to a file of root's; the files.
fn swap(leg: &Path, names: &[String], secrets: &Path, how: &str) -> Vec<PathBuf> {
    fs::create_dir(secrets).unwrap();
    names
        .iter()
        .map(|n| {
            let (secret, p) = (secrets.join(n), leg.join(n));
            fs::write(&secret, "root's").unwrap();
            if fs::remove_file(&p).is_err() {
                fs::remove_dir(&p).unwrap();
            }
            match how {
                "symlink" => std::os::unix::fs::symlink(&secret, &p).unwrap(),
                "hardlink" => fs::hard_link(&secret, &p).unwrap(),
                "directory" => fs::create_dir(&p).unwrap(),
                _ => {
                    let made = Command::new("mkfifo").arg(&p).status().unwrap();
                    assert!(made.success());
                }
            }
            if how != "hardlink" {
                std::os::unix::fs::lchown(&p, Some(OWNER), Some(OWNER)).unwrap();
            }
            secret
        })
        .collect()
}

/// Whether `how` is another type of object than `name` stands for.
fn differs(name: &str, how: &str) -> bool {
    let t = name.split('-').next_back().unwrap();
    !matches!(
        (t, how),
        ("link", "symlink") | ("dir", "directory") | ("fifo", "fifo")
    )
}

fn calls_change_nothing_of_roots(how: &str) {
    need!(root);
    need!("python3");
    for addressed in [0, 1] {
        let pair = owners(Kind::InPlace);
        let names: Vec<String> = python(&pair, SETUP, pair.v())
            .ok()
            .text()
            .lines()
            .map(str::to_owned)
            .collect();
        assert!(names.len() > 50, "{names:?}");
        assert!(TYPES.iter().all(|t| names.iter().any(|n| n.ends_with(t))));
        let legs = [pair.a(), pair.b()];
        let secrets = pair.programs().join("secrets");
        let files = swap(legs[1 - addressed], &names, &secrets, how);
        let before: Vec<_> = files.iter().map(|f| state(f)).collect();
        let o = python(&pair, ACT, legs[addressed]);
        let said = o.text().to_string();
        assert_eq!(said.lines().count(), names.len(), "{o:?}");
        for (f, b) in files.iter().zip(&before) {
            assert_eq!(&state(f), b, "{how} by {addressed}: {}", f.display());
        }
        // What seemed to succeed is on record.
        let pending = [pair.a(), pair.b()]
            .map(|l| fs::read_to_string(l.join(".mirror/pending")).unwrap_or_default())
            .concat();
        for line in said.lines() {
            let (name, answer) = line.split_once(' ').unwrap();
            assert!(
                answer != "ok" || !differs(name, how) || pending.lines().any(|l| l == name),
                "{how} by {addressed}: {name} in silence\n{pending}"
            );
        }
        let o = pair.mirror("status", &[]);
        assert_eq!(o.code, 1, "{o:?}");
    }
}

#[test]
fn a_symlink_in_the_place_of_an_object_is_not_followed() {
    calls_change_nothing_of_roots("symlink");
}

#[test]
fn a_hard_link_in_the_place_of_an_object_is_not_changed() {
    calls_change_nothing_of_roots("hardlink");
}

#[test]
fn a_directory_in_the_place_of_an_object_is_not_changed() {
    calls_change_nothing_of_roots("directory");
}

#[test]
fn a_fifo_in_the_place_of_an_object_blocks_nobody() {
    calls_change_nothing_of_roots("fifo");
}

/// The command, with the swaps in place: reports and repairs in both directions.
fn repairs_change_nothing_of_roots(how: &str) {
    need!(root);
    need!("python3");
    for words in [
        vec!["verify"],
        vec!["diff"],
        vec!["resync", "--yes"],
        vec!["resync", "--yes", "--from", "b"],
    ] {
        let pair = owners(Kind::InPlace);
        let o = python(&pair, SETUP, pair.v()).ok();
        let names: Vec<String> = o.text().lines().map(str::to_owned).collect();
        let secrets = pair.programs().join("secrets");
        let files = swap(pair.b(), &names, &secrets, how);
        let before: Vec<_> = files.iter().map(|f| state(f)).collect();
        let v = pair.v().to_str().unwrap().to_owned();
        let args: Vec<&str> = [v.as_str()]
            .into_iter()
            .chain(words[1..].iter().copied())
            .collect();
        let o = pair.mirror(words[0], &args);
        for (f, b) in files.iter().zip(&before) {
            assert_eq!(&state(f), b, "{how}, {words:?}: {}\n{o:?}", f.display());
        }
        if words.len() == 2 {
            assert_eq!(o.code, 0, "{how}: {o:?}");
            pair.assert_equal();
        }
    }
}

#[test]
fn repairs_go_round_a_symlink() {
    repairs_change_nothing_of_roots("symlink");
}

#[test]
fn repairs_go_round_a_hardlink() {
    repairs_change_nothing_of_roots("hardlink");
}

#[test]
fn repairs_go_round_a_directory() {
    repairs_change_nothing_of_roots("directory");
}

#[test]
fn repairs_go_round_a_fifo() {
    repairs_change_nothing_of_roots("fifo");
}

/// Whether the traced child of this process stands at the beginning of fchmodat.
fn changes_a_mode(tracer: u32) -> bool {
    let children = format!("/proc/{tracer}/task/{tracer}/children");
    let list = fs::read_to_string(children).unwrap_or_default();
    list.split_whitespace().any(|pid| {
        let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        ["268 ", "452 "].iter().any(|nr| call.starts_with(nr))
    })
}

/// A swap between the look and the act: the calls that change attributes are delayed, and two names are
/// exchanged all the time.
#[test]
fn a_swap_during_a_repair_changes_nothing_of_roots() {
    need!(root);
    need!("strace");
    let pair = owners(Kind::InPlace);
    let secret = pair.programs().join("secret");
    fs::write(&secret, "root's").unwrap();
    let before = state(&secret);
    let (f, l) = (pair.b().join("f"), pair.b().join("l"));
    let c = |p: &Path| std::ffi::CString::new(p.to_str().unwrap()).unwrap();
    let (cf, cl) = (c(&f), c(&l));
    for round in 0..6 {
        for leg in [pair.a(), pair.b()] {
            let _ = fs::remove_file(leg.join("f"));
            fs::write(leg.join("f"), "x").unwrap();
            chown(leg.join("f"), Some(OWNER), Some(OWNER)).unwrap();
        }
        fs::set_permissions(
            pair.a().join("f"),
            std::os::unix::fs::PermissionsExt::from_mode(0o666),
        )
        .unwrap();
        let _ = fs::remove_file(&l);
        std::os::unix::fs::symlink(&secret, &l).unwrap();
        let delayed = "fchmodat,?fchmodat2,fchownat,utimensat,setxattr,lsetxattr";
        let mut run = Command::new("strace");
        let mirror = pair.mirror_command("resync");
        run.args(["-f", "-o", "/dev/null", "-e", &format!("trace={delayed}")])
            .args(["-e", &format!("inject={delayed}:delay_enter=60000")])
            .arg(mirror.get_program())
            .args(["resync", "--yes"])
            .arg(pair.v());
        for (k, v) in mirror.get_envs() {
            if let Some(v) = v {
                run.env(k, v);
            }
        }
        let mut child = run
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut swaps = 0u64;
        while child.try_wait().unwrap().is_none() {
            // Once, at the call itself, or all the time.
            if round % 2 == 0 && (swaps > 0 || !changes_a_mode(child.id())) {
                continue;
            }
            // SAFETY: two paths of our own.
            unsafe {
                libc::renameat2(
                    libc::AT_FDCWD,
                    cf.as_ptr(),
                    libc::AT_FDCWD,
                    cl.as_ptr(),
                    libc::RENAME_EXCHANGE,
                )
            };
            swaps += 1;
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert!(round % 2 == 0 || swaps > 10, "round {round}");
        assert_eq!(state(&secret), before, "round {round}");
    }
}

const CONTROL: [&str; 8] = [
    "leg",
    "owner",
    "pending",
    "verified",
    "resync",
    "locks/whole",
    "locks/d00",
    "tmp",
];

/// Puts something in the place of a control file.
fn spoil(pair: &Pair, name: &str, how: &str, secret: &Path) {
    let p = pair.b().join(".mirror").join(name);
    if fs::remove_file(&p).is_err() && p.is_dir() {
        fs::remove_dir_all(&p).unwrap();
    }
    match how {
        "symlink" => std::os::unix::fs::symlink(secret, &p).unwrap(),
        "dangling" => std::os::unix::fs::symlink("/nowhere/at/all", &p).unwrap(),
        "hardlink" => fs::hard_link(secret, &p).unwrap(),
        "directory" => fs::create_dir(&p).unwrap(),
        _ => {
            let (kind, dev) = match how {
                "fifo" => (libc::S_IFIFO, 0),
                "socket" => (libc::S_IFSOCK, 0),
                _ => (libc::S_IFCHR, libc::makedev(1, 5)),
            };
            let c = std::ffi::CString::new(p.to_str().unwrap()).unwrap();
            // SAFETY: a path of our own.
            assert_eq!(unsafe { libc::mknod(c.as_ptr(), kind | 0o600, dev) }, 0);
        }
    }
    if how != "hardlink" {
        std::os::unix::fs::lchown(&p, Some(OWNER), Some(OWNER)).unwrap();
    }
}

fn a_control_file_stops_nobody(how: &str) {
    need!(root);
    for name in CONTROL
        .into_iter()
        .filter(|n| *n != "tmp" || how != "directory")
    {
        let pair = owners(Kind::InPlace);
        pair.run("echo x > $V/f").ok();
        let secret = pair.programs().join("secret");
        fs::write(&secret, "root's").unwrap();
        spoil(&pair, name, how, &secret);
        let before = state(&secret);
        // A name that only leg B has: the change must be recorded, or refused.
        fs::create_dir(pair.b().join("new")).unwrap();
        // One that hangs is the watchdog's.
        let script = "echo y >> $V/f; echo z > $V/new; chmod 600 $V/f";
        let plain = Output::from_std(
            pair.preloaded("bash")
                .args(["-c", script])
                .output()
                .unwrap(),
        );
        assert_ne!(plain.code, 137, "{name} {how}: {plain:?}");
        let v = pair.v().to_str().unwrap().to_owned();
        let mut named = false;
        for words in [
            vec!["status"],
            vec!["verify"],
            vec!["ps"],
            vec!["run", "--", "true"],
            vec!["resync", "--yes"],
            vec!["detach"],
        ] {
            let mut args: Vec<&str> = words[1..].to_vec();
            if words[0] != "run" {
                args.push(&v);
            }
            let o = pair.mirror(words[0], &args);
            let said = String::from_utf8_lossy(&[&o.out[..], &o.err[..]].concat()).into_owned();
            named |= said.contains(&format!(".mirror/{name}")) || said.contains(".mirror");
            assert_eq!(state(&secret), before, "{name} {how} {words:?}: {o:?}");
        }
        // A folder for what is being made is missed by a repair alone, and a link there by none of these.
        assert!(named || name == "tmp", "{name} {how} is named by nobody");
    }
}

#[test]
fn a_fifo_for_a_control_file_stops_nobody() {
    a_control_file_stops_nobody("fifo");
}

#[test]
fn a_symlink_for_a_control_file_stops_nobody() {
    a_control_file_stops_nobody("symlink");
}

#[test]
fn a_dangling_for_a_control_file_stops_nobody() {
    a_control_file_stops_nobody("dangling");
}

#[test]
fn a_hardlink_for_a_control_file_stops_nobody() {
    a_control_file_stops_nobody("hardlink");
}

#[test]
fn a_directory_for_a_control_file_stops_nobody() {
    a_control_file_stops_nobody("directory");
}

#[test]
fn a_socket_for_a_control_file_stops_nobody() {
    a_control_file_stops_nobody("socket");
}

#[test]
fn a_device_for_a_control_file_stops_nobody() {
    a_control_file_stops_nobody("device");
}

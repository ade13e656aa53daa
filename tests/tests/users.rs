//! Several users on one pair (`--share group`), root on another user's pair, and a third user who can
//! neither read, forge nor block it. Needs root: the users are numbers that no account has.
use mirror_tests::{Fs, Kind, Output, Pair, need};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[path = "users/all.rs"]
mod all;
#[path = "users/domain.rs"]
mod domain;
#[path = "users/namespaces.rs"]
mod namespaces;
#[path = "users/stranger.rs"]
mod stranger;

/// The group that shares.
const GROUP: u32 = 61100;

/// Who runs a command: user, groups besides the one of the same number, umask.
#[derive(Clone, Copy)]
struct Who(u32, &'static [u32], u32);

const ROOT: Who = Who(0, &[], 0o022);
const ANN: Who = Who(61001, &[GROUP], 0o002);
const BEN: Who = Who(61002, &[GROUP], 0o002);
/// A member whose files are for nobody else.
const SHY: Who = Who(61004, &[GROUP], 0o077);
const STRANGER: Who = Who(61003, &[], 0o000);

impl Who {
    /// Makes `c` run as this user.
    fn takes(self, c: &mut Command) -> &mut Command {
        let act = move || {
            // SAFETY: system calls on integers and on a list that lives as long as the program.
            let bad = unsafe {
                libc::umask(self.2);
                libc::setgroups(self.1.len(), self.1.as_ptr()) != 0
                    || libc::setresgid(self.0, self.0, self.0) != 0
                    || libc::setresuid(self.0, self.0, self.0) != 0
            };
            if bad {
                Err(std::io::Error::last_os_error())
            } else {
                Ok(())
            }
        };
        // SAFETY: between fork and exec only async-signal-safe system calls are made.
        unsafe { c.pre_exec(act) }
    }

    /// Runs `c` to its end as this user.
    fn does(self, c: &mut Command) -> Output {
        Output::from_std(self.takes(c).output().expect("running a command"))
    }

    /// A bash script, not mirrored.
    fn plainly(self, pair: &Pair, script: &str) -> Output {
        self.does(pair.native_command("bash").args(["-c", script]))
    }

    /// A bash script under `mirror run`.
    fn runs(self, pair: &Pair, script: &str) -> Output {
        self.does(pair.command("bash").args(["-c", script]))
    }

    /// A bash script with the library preloaded; no command looks before it or after it.
    fn preloads(self, pair: &Pair, script: &str) -> Output {
        self.does(pair.preloaded("bash").args(["-c", script]))
    }

    /// `mirror SUBCOMMAND V MORE`.
    fn mirror(self, pair: &Pair, subcommand: &str, more: &[&str]) -> Output {
        self.does(pair.mirror_command(subcommand).arg(pair.v()).args(more))
    }
}

/// A pair of root's whose members are those of GROUP.
fn shared(kind: Kind) -> Pair {
    let pair = Pair::bare(kind, Fs::Plain).expect("plain folders can always be made");
    open_legs(&pair, 0, GROUP, 0o2775);
    pair.init(&["--share", "group"]).ok();
    pair
}

fn open_legs(pair: &Pair, uid: u32, gid: u32, mode: u32) {
    for leg in [pair.a(), pair.b()] {
        std::os::unix::fs::chown(leg, Some(uid), Some(gid)).unwrap();
        fs::set_permissions(leg, fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// A pair of ANN's own, its mirrortab root's (so that both may use it).
fn anns() -> Pair {
    let pair = Pair::bare(Kind::InPlace, Fs::Plain).expect("plain folders can always be made");
    open_legs(&pair, ANN.0, ANN.0, 0o755);
    let tab = pair.scratch().join("ann");
    fs::create_dir(&tab).unwrap();
    std::os::unix::fs::chown(&tab, Some(ANN.0), Some(ANN.0)).unwrap();
    let mut init = pair.mirror_command("init");
    init.args([pair.a(), pair.b()]).arg("--yes");
    ANN.does(init.env("MIRRORTAB", tab.join("tab"))).ok();
    fs::copy(tab.join("tab"), pair.tab()).unwrap();
    fs::remove_dir_all(&tab).unwrap();
    pair.watch_runtime();
    pair
}

fn runtime(pair: &Pair) -> PathBuf {
    let all = pair.runtime_files();
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

#[track_caller]
fn healthy(pair: &Pair) {
    pair.assert_equal();
    assert_eq!(pair.partner_errors(), 0);
    assert_eq!(ROOT.mirror(pair, "verify", &[]).ok().code, 0);
}

/// Everything in a tree's control folder, the folder itself first.
fn control(leg: &Path) -> Vec<PathBuf> {
    let mut all = vec![leg.join(".mirror")];
    let mut at = 0;
    while at < all.len() {
        if all[at].is_dir() {
            all.extend(fs::read_dir(&all[at]).unwrap().map(|e| e.unwrap().path()));
        }
        at += 1;
    }
    all
}

/// What each of them does to the same names for a while; errors of losing a race are fine.
const RACE: &str = r#"
import os, random, sys
v, me = os.environ["V"], sys.argv[1]
random.seed(me)
os.chdir(v)
log = os.open("log", os.O_WRONLY | os.O_APPEND)
for i in range(150):
    n = "n%d" % random.randrange(6)
    m = "n%d" % random.randrange(6)
    try:
        k = random.randrange(7)
        if k == 0: open(n, "a").write(me)
        elif k == 1: os.unlink(n)
        elif k == 2: os.rename(n, m)
        elif k == 3: os.mkdir(n + ".d")
        elif k == 4: os.rmdir(m + ".d")
        elif k == 5: os.link(n, m)
        else:
            with open(n, "r+") as f: f.truncate(3)
    except OSError as e:
        # Links to other users' files may be forbidden (fs.protected_hardlinks).
        assert e.errno in (1, 2, 17, 18, 20, 21, 39), e
    os.write(log, ("%s %d\n" % (me, i)).encode())
os.close(log)
"#;

fn members_and_root_write_at_once(kind: Kind) {
    need!(root);
    need!("python3");
    let pair = shared(kind);
    fs::write(pair.programs().join("race.py"), RACE).unwrap();
    ANN.runs(&pair, "echo start > $V/log").ok();
    let script = pair.programs().join("race.py");
    let all: Vec<_> = [ANN, BEN, ROOT]
        .iter()
        .map(|who| {
            let mut c = pair.command("/usr/bin/python3");
            c.arg(&script).arg(format!("u{}", who.0));
            // The others may write what root makes, as its umask in such a tree must say.
            Who(who.0, who.1, 0o002)
                .takes(c.stdout(Stdio::piped()).stderr(Stdio::piped()))
                .spawn()
                .unwrap()
        })
        .collect();
    for child in all {
        Output::from_std(child.wait_with_output().unwrap()).ok();
    }
    let log = fs::read_to_string(pair.b().join("log")).unwrap();
    assert_eq!(log.lines().count(), 1 + 3 * 150);
    healthy(&pair);
}

#[test]
fn members_and_root_write_at_once_in_place() {
    members_and_root_write_at_once(Kind::InPlace);
}

#[test]
fn members_and_root_write_at_once_link() {
    members_and_root_write_at_once(Kind::Link);
}

/// Who writes another user's file may not set its times; they are made equal all the same.
#[test]
fn times_of_another_members_file_are_equal() {
    need!(root);
    need!("python3");
    let pair = shared(Kind::InPlace);
    let ways = ["append", "touch", "truncate", "utime", "writes", "spawn"];
    let make = format!(
        "cd $V; for w in {}; do for i in $(seq 9); do echo a > $w$i; done; done",
        ways.join(" ")
    );
    ANN.runs(&pair, &make).ok();
    let script = r#"
import os, subprocess
os.chdir(os.environ["V"])
for i in range(1, 10):
    open("append%d" % i, "a").write("b")
    subprocess.run(["touch", "touch%d" % i], check=True)
    os.truncate("truncate%d" % i, 5)
    os.utime("utime%d" % i)
    with open("writes%d" % i, "r+b", buffering=0) as f:
        for k in range(50): f.write(b"c"); os.fstat(f.fileno())
        os.utime(f.fileno())
        f.write(b"d"); os.fsync(f.fileno()); f.write(b"e")
    with open("spawn%d" % i, "a") as f:
        subprocess.run(["sh", "-c", "echo d"], stdout=f, check=True)
"#;
    let mut c = pair.command("/usr/bin/python3");
    BEN.does(c.args(["-c", script])).ok();
    healthy(&pair);
}

/// What another member's program has stored is carried over by who syncs the file; he may not set its times.
#[test]
fn times_of_another_members_mapped_file_are_equal() {
    need!(root);
    need!("python3");
    let pair = shared(Kind::InPlace);
    ANN.runs(&pair, "echo content > $V/f").ok();
    let stores = "import mmap, os
f = open(os.environ['V'] + '/f', 'r+b')
m = mmap.mmap(f.fileno(), 0)
m[0:1] = b'X'
print('stored', flush=True)
input()";
    let mut c = pair.command("/usr/bin/python3");
    c.args(["-c", stores]).stdin(Stdio::piped());
    let mut ann = ANN.takes(c.stdout(Stdio::piped())).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(ann.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "stored\n");
    let syncs = "import os; os.fsync(os.open(os.environ['V'] + '/f', os.O_RDWR))";
    let mut c = pair.command("/usr/bin/python3");
    BEN.does(c.args(["-c", syncs])).ok();
    let [a, b] = [pair.a(), pair.b()].map(|leg| fs::metadata(leg.join("f")).unwrap());
    assert_eq!(fs::read(pair.b().join("f")).unwrap(), b"Xontent\n");
    assert_eq!(a.modified().unwrap(), b.modified().unwrap());
    ann.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(ann.wait().unwrap().success());
    healthy(&pair);
}

/// Nobody is locked out by what a member with a strict umask, or root, makes in the control folder.
fn others_go_on_after(pair: &Pair, first: Who, second: Who) {
    first
        .runs(pair, "echo x > $V/f; chmod 666 $V/f; mkdir -m 2777 $V/d")
        .ok();
    first.mirror(pair, "verify", &[]).ok();
    second.runs(pair, "echo y >> $V/f").ok();
    second.mirror(pair, "verify", &[]).ok();
    // Something for the list: leg b has folders where files should be.
    for f in ["g", "h"] {
        fs::write(pair.a().join(f), "").unwrap();
        fs::create_dir(pair.b().join(f)).unwrap();
        fs::write(pair.b().join(f).join("inside"), "").unwrap();
    }
    for leg in [pair.a(), pair.b()] {
        // As in a pair whose list somebody has removed.
        let _ = fs::remove_file(leg.join(".mirror/pending"));
    }
    first.preloads(pair, "rm -f $V/g").ok();
    assert_eq!(second.mirror(pair, "status", &[]).code, 1);
    second.preloads(pair, "rm -f $V/h").ok();
    for leg in [pair.a(), pair.b()] {
        assert_eq!(fs::read(leg.join(".mirror/pending")).unwrap(), b"g\nh\n");
    }
    ROOT.mirror(pair, "resync", &["--yes"]).ok();
    first.mirror(pair, "status", &[]).ok();
    second.mirror(pair, "status", &[]).ok();
    second.preloads(pair, "echo last >> $V/f").ok();
    first
        .preloads(pair, "echo last >> $V/f; rm $V/f; rmdir $V/d")
        .ok();
    pair.assert_equal();
}

#[test]
fn a_member_with_a_strict_umask_locks_nobody_out() {
    need!(root);
    let pair = shared(Kind::InPlace);
    fs::remove_file(runtime(&pair)).unwrap();
    others_go_on_after(&pair, SHY, BEN);
    others_go_on_after(&pair, Who(0, &[], 0o077), SHY);
    for leg in [pair.a(), pair.b()] {
        for path in control(leg) {
            let m = fs::symlink_metadata(&path).unwrap();
            // Kept versions are for the one who repaired.
            let kept = path.to_string_lossy().contains(".mirror/kept/");
            let want = if path.is_dir() { 0o070 } else { 0o060 };
            assert!(
                kept || m.mode() & 0o777 & want == want,
                "{}",
                path.display()
            );
            assert!(kept || m.gid() == GROUP, "{}", path.display());
            assert!(m.mode() & 0o007 == 0 || kept, "{}", path.display());
        }
    }
}

#[test]
fn root_in_a_users_pair_leaves_it_to_the_user() {
    need!(root);
    let pair = anns();
    fs::remove_file(runtime(&pair)).unwrap();
    others_go_on_after(&pair, Who(0, &[], 0o077), ANN);
    others_go_on_after(&pair, ANN, ROOT);
    for path in control(pair.a()).into_iter().chain(control(pair.b())) {
        let m = fs::symlink_metadata(&path).unwrap();
        let kept = path.to_string_lossy().contains(".mirror/kept/");
        assert!(kept || m.uid() == ANN.0, "{}", path.display());
        assert!(kept || m.mode() & 0o077 == 0, "{}", path.display());
    }
    let m = fs::metadata(runtime(&pair)).unwrap();
    assert_eq!((m.uid(), m.mode() & 0o7777), (ANN.0, 0o600));
    // Another user is no member of anything here.
    let o = BEN.preloads(&pair, "echo no > $V/g");
    assert!(
        String::from_utf8_lossy(&o.err).contains("Permission denied"),
        "{o:?}"
    );
    assert_eq!(BEN.mirror(&pair, "status", &[]).code, 3);
    pair.assert_equal();
}

/// Two users with a mirrortab each, and a user for whom two places name the pair.
#[test]
fn one_pair_in_two_mirrortabs() {
    need!(root);
    let pair = shared(Kind::InPlace);
    let own = pair.scratch().join("ben");
    fs::create_dir(&own).unwrap();
    std::os::unix::fs::chown(&own, Some(BEN.0), Some(BEN.0)).unwrap();
    let bens = |c: &mut Command| BEN.does(c.env("MIRRORTAB", own.join("tab")));
    let mut init = pair.mirror_command("init");
    let o = bens(
        init.args([pair.a(), pair.b()])
            .args(["--share", "group", "--yes"]),
    )
    .ok();
    assert!(o.text().contains("IN SYNC"), "{o:?}");
    bens(pair.command("bash").args(["-c", "echo ben > $V/f"])).ok();
    ANN.runs(&pair, "echo ann >> $V/f").ok();
    let both = format!("{}:{}", pair.a().display(), pair.b().display());
    for command in ["status", "verify"] {
        let o = bens(pair.mirror_command(command).env("MIRROR", &both));
        assert_eq!(o.code, 0, "{o:?}");
    }
    bens(
        pair.command("bash")
            .env("MIRROR", &both)
            .args(["-c", "echo twice >> $V/f"]),
    )
    .ok();
    // Whose pair it is not does not end it for all.
    let o = bens(pair.mirror_command("detach").arg(pair.v()));
    assert_eq!(o.code, 77, "{o:?}");
    assert!(pair.a().join(".mirror/leg").exists());
    assert_eq!(fs::read(pair.b().join("f")).unwrap(), b"ben\nann\ntwice\n");
    healthy(&pair);
}

/// A server that gives its rights up after it has touched the pair goes on; so does the child that it
/// made before.
#[test]
fn a_program_that_drops_its_rights_goes_on() {
    need!(root);
    need!("python3");
    let pair = shared(Kind::InPlace);
    let script = r#"
import os
v = os.environ["V"]
os.mkdir(v + "/d"); os.chmod(v + "/d", 0o777)
pid = os.fork()
os.setgroups([]); os.setresgid(61003, 61003, 61003); os.setresuid(61003, 61003, 61003)
for i in range(200):
    name = "%s/d/%d-%d" % (v, pid != 0, i)
    open(name, "w").write("x")
    os.rename(name, name + ".r")
if pid:
    assert os.waitpid(pid, 0)[1] == 0
"#;
    let mut c = pair.preloaded("/usr/bin/python3");
    ROOT.does(c.args(["-c", script])).ok();
    assert_eq!(fs::read_dir(pair.b().join("d")).unwrap().count(), 400);
    healthy(&pair);
}

/// `init --share group` says what does not fit, and refuses what cannot be.
#[test]
fn init_says_what_does_not_fit() {
    need!(root);
    let pair = Pair::bare(Kind::InPlace, Fs::Plain).expect("plain folders can always be made");
    open_legs(&pair, ANN.0, GROUP, 0o755);
    let tab = pair.scratch().join("ann");
    fs::create_dir(&tab).unwrap();
    std::os::unix::fs::chown(&tab, Some(ANN.0), Some(ANN.0)).unwrap();
    let init = |who: Who| {
        let mut c = pair.mirror_command("init");
        c.args([pair.a(), pair.b()])
            .args(["--yes", "--share", "group"]);
        who.does(c.env("MIRRORTAB", tab.join("tab")))
    };
    // ANN's directories, but not ANN's group.
    let o = init(Who(ANN.0, &[], 0o022));
    assert_eq!(o.code, 77, "{o:?}");
    assert!(
        String::from_utf8_lossy(&o.err).contains(&GROUP.to_string()),
        "{o:?}"
    );
    for leg in [pair.a(), pair.b()] {
        assert!(!leg.join(".mirror").exists(), "refused, it leaves nothing");
    }
    std::os::unix::fs::chown(pair.b(), None, Some(ANN.0)).unwrap();
    let o = init(ANN).ok();
    assert!(o.text().contains("leg a: what one member"), "{o:?}");
    assert!(
        o.text()
            .contains(&format!("leg b belongs to group {}", ANN.0)),
        "{o:?}"
    );
    pair.watch_runtime();
    fs::copy(tab.join("tab"), pair.tab()).unwrap();
    fs::remove_dir_all(&tab).unwrap();
    let legs = [pair.a(), pair.b()].map(|l| fs::metadata(l.join(".mirror")).unwrap().gid());
    assert_eq!(legs, [GROUP; 2]);
}

/// A server that does not let root in (root_squash), as a root without its capabilities meets it.
#[test]
fn root_that_is_not_let_in_is_told_so() {
    need!(root);
    need!("setpriv");
    let pair = anns();
    ANN.runs(&pair, "echo x > $V/f").ok();
    let powerless = |c: Command| {
        let mut all = vec!["--bounding-set=-all".into(), c.get_program().to_owned()];
        all.extend(c.get_args().map(ToOwned::to_owned));
        let mut s = pair.native_command("setpriv");
        Output::from_std(s.args(all).env("V", pair.v()).output().unwrap())
    };
    let mut detach = pair.mirror_command("detach");
    detach.arg(pair.v());
    for (c, code) in [(pair.command("true"), 125), (detach, 77)] {
        let o = powerless(c);
        let err = String::from_utf8_lossy(&o.err).into_owned();
        assert_eq!(o.code, code, "{o:?}");
        assert!(
            err.contains("root_squash") && err.contains(&ANN.0.to_string()),
            "{err}"
        );
    }
    let mut c = pair.preloaded("bash");
    c.args(["-c", "echo y > $V/g"]);
    let o = powerless(c);
    assert!(
        String::from_utf8_lossy(&o.err).contains("Permission denied"),
        "{o:?}"
    );
    healthy(&pair);
}

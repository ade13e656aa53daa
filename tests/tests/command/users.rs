//! Several users side by side: root's pairs in /etc, an ordinary user's in its home. Run as root, in mount
//! namespaces with an /etc of the test's own; the ordinary user is nobody.
use super::*;
use std::ffi::OsStr;

const NOBODY: u32 = 65534;

/// Root and nobody, each with two trees; /etc and nobody's home lie in the test's folder.
struct Two(Env);

impl Two {
    fn new(name: &str) -> Option<Two> {
        if !is_root() {
            skip("needs root");
            return None;
        }
        let e = Env::new(name);
        for d in [
            "etc",
            "etc/mirrortab.d",
            "home",
            "bin",
            "ra",
            "rb",
            "na",
            "nb",
        ] {
            fs::create_dir(e.p(d)).unwrap();
        }
        fs::set_permissions(&e.dir, fs::Permissions::from_mode(0o755)).unwrap();
        for f in ["passwd", "group", "nsswitch.conf", "ld.so.cache"] {
            let _ = fs::copy(Path::new("/etc").join(f), e.p("etc").join(f));
        }
        for f in ["mirror", "libmirror.so"] {
            fs::copy(dist().join(f), e.p("bin").join(f)).unwrap();
        }
        for d in ["home", "na", "nb"] {
            std::os::unix::fs::chown(e.p(d), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        e.write("ra/f", "root's");
        let two = Two(e);
        let o = two.as_user(false, &[OsStr::new("true")]);
        if o.code != 0 {
            skip(format!("no mount namespaces here: {}", o.err));
            return None;
        }
        Some(two)
    }

    /// Runs a program as root or as nobody, with the test's /etc.
    fn as_user(&self, nobody: bool, args: &[&OsStr]) -> Out {
        let e = &self.0;
        let mut c = Command::new("unshare");
        c.args([
            "-m",
            "sh",
            "-c",
            "mount --bind etc /etc && cd / && exec \"$@\"",
            "sh",
        ]);
        if nobody {
            c.args([
                "setpriv",
                "--reuid",
                "65534",
                "--regid",
                "65534",
                "--clear-groups",
            ]);
            c.env("HOME", e.p("home"))
                .env("MIRROR_CACHE", e.p("home/cache"));
        } else {
            c.env("HOME", "/nonexistent");
        }
        c.args(args)
            .current_dir(&e.dir)
            .stdin(Stdio::null())
            .env_remove("MIRRORTAB")
            .env_remove("MIRROR")
            .env_remove("MIRROR_LIB");
        finish(&mut c)
    }

    fn mirror(&self, nobody: bool, args: &[&str], code: i32, texts: &[&str]) -> Out {
        let exe = self.0.p("bin/mirror");
        let mut all = vec![exe.as_os_str()];
        let dir = self.0.dir.to_str().unwrap();
        let full: Vec<String> = args.iter().map(|a| a.replace('@', dir)).collect();
        all.extend(full.iter().map(OsStr::new));
        let texts: Vec<String> = texts.iter().map(|t| t.replace('@', dir)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        check(self.as_user(nobody, &all), args, code, &texts)
    }
    fn root(&self, args: &[&str], code: i32, texts: &[&str]) -> Out {
        self.mirror(false, args, code, texts)
    }
    fn nobody(&self, args: &[&str], code: i32, texts: &[&str]) -> Out {
        self.mirror(true, args, code, texts)
    }
    fn readable(&self, mode: u32) {
        let tab = self.0.p("etc/mirrortab");
        fs::set_permissions(tab, fs::Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for Two {
    fn drop(&mut self) {
        for (nobody, leg) in [(true, "na"), (false, "ra")] {
            let (exe, leg) = (self.0.p("bin/mirror"), self.0.p(leg));
            self.as_user(
                nobody,
                &[exe.as_os_str(), OsStr::new("detach"), leg.as_os_str()],
            );
        }
    }
}

#[test]
fn an_ordinary_user_works_beside_roots_pairs() {
    let Some(t) = Two::new("users") else { return };
    t.root(&["init", "@/ra", "@/rb", "--yes"], 0, &["IN SYNC"]);
    // Only root's pair so far: nothing is known of any.
    t.nobody(&["status"], 3, &["UNKNOWN", "belongs to root"]);
    t.nobody(&["run", "true"], 125, &["belongs to root", "mirror init"]);
    t.0.write("na/given", "by root");
    t.nobody(
        &["init", "@/na", "@/nb", "--yes", "--fidelity", "full"],
        1,
        &["cannot give files away: 1 object"],
    );
    t.nobody(
        &["init", "@/na", "@/nb", "--yes"],
        0,
        &[
            "cannot give files away: 1 object",
            "will belong to this user on leg b",
            "IN SYNC",
        ],
    );
    assert_eq!(fs::metadata(t.0.p("nb/given")).unwrap().uid(), NOBODY);
    assert!(t.0.p("home/.config/mirror/mirrortab").exists());
    // Both are listed; the code speaks of what this user can know.
    let o = t.nobody(
        &["status"],
        0,
        &["@/na    IN SYNC", "@/ra    UNKNOWN", "belongs to root"],
    );
    assert!(!o.out.contains("os error"), "{}", o.out);
    t.nobody(&["status", "@/na"], 0, &["IN SYNC"]);
    t.nobody(
        &["status", "@/ra"],
        3,
        &["UNKNOWN", "belongs to root", "M-108"],
    );
    t.nobody(
        &["status", "--json"],
        0,
        &["\"state\":\"unknown\"", "\"state\":\"in-sync\""],
    );
    t.nobody(
        &["ps"],
        0,
        &[
            "0 programs attached",
            "cannot be known here",
            "belongs to root",
        ],
    );
    t.nobody(&["ps", "@/ra"], 77, &["belongs to root"]);
    t.nobody(&["wait", "@/ra"], 77, &["belongs to root"]);
    t.nobody(&["verify"], 0, &["EQUAL"]);
    t.nobody(&["verify", "@/ra"], 2, &["belongs to root"]);
    t.nobody(&["resync", "--yes"], 0, &["IN SYNC"]);
    t.nobody(&["resync", "@/ra", "--yes"], 2, &["belongs to root"]);
    t.nobody(&["detach", "@/ra"], 77, &["belongs to root"]);
    // A program of this user: its own pair is mirrored, root's stays as it is, also where it may write.
    fs::set_permissions(t.0.p("ra"), fs::Permissions::from_mode(0o777)).unwrap();
    let script = "cat @/ra/f && echo mine > @/na/g && ! echo no > @/ra/h"
        .replace('@', t.0.dir.to_str().unwrap());
    t.nobody(&["run", "--", "sh", "-c", &script], 0, &["root's"]);
    assert_eq!(fs::read_to_string(t.0.p("nb/g")).unwrap(), "mine\n");
    assert!(!t.0.p("ra/h").exists() && !t.0.p("rb/h").exists());
    t.nobody(
        &["run", "--pair", "@/ra", "--", "true"],
        125,
        &["belongs to root"],
    );
    t.root(&["status"], 1, &["@/ra    EXPOSED", "chmod o-w"]);
    fs::set_permissions(t.0.p("ra"), fs::Permissions::from_mode(0o755)).unwrap();
    t.root(&["status"], 0, &["@/ra    IN SYNC"]);
    t.root(&["verify"], 0, &["EQUAL"]);
}

#[test]
fn a_tab_that_may_not_be_read_is_passed_over() {
    let Some(t) = Two::new("hidden") else { return };
    t.root(&["init", "@/ra", "@/rb", "--yes"], 0, &["IN SYNC"]);
    t.readable(0o600);
    t.nobody(
        &["status"],
        3,
        &["no pairs configured", "not /etc/mirrortab"],
    );
    t.nobody(&["init", "@/na", "@/nb", "--yes"], 0, &["IN SYNC"]);
    t.nobody(
        &["status"],
        0,
        &["@/na    IN SYNC", "/etc/mirrortab: not readable"],
    );
    t.nobody(
        &["status", "--json"],
        0,
        &["\"unreadable\":[\"/etc/mirrortab\"]"],
    );
    t.nobody(&["config", "check"], 0, &["1 pair"]);
    let script = "echo mine > @/na/g".replace('@', t.0.dir.to_str().unwrap());
    t.nobody(&["run", "--", "sh", "-c", &script], 0, &[]);
    assert_eq!(fs::read_to_string(t.0.p("nb/g")).unwrap(), "mine\n");
    // What root repairs in this user's pair stays this user's: nothing in it is closed to its owner.
    t.0.write("nb/g", "changed alone");
    let tab = t.0.p("home/.config/mirror/mirrortab");
    let line = fs::read_to_string(&tab).unwrap();
    fs::write(t.0.p("etc/mirrortab.d/nobody.tab"), line).unwrap();
    t.root(&["resync", "@/na", "--yes"], 0, &["kept", "IN SYNC"]);
    // The same line in two files is one pair. A command of root's there: its user is told what can
    // be known of it.
    t.nobody(&["status"], 0, &["@/na    IN SYNC"]);
    let ps =
        "setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=@/home @/bin/mirror ps @/na";
    let ps = ps.replace('@', t.0.dir.to_str().unwrap());
    t.root(
        &["run", "--", "sh", "-c", &ps],
        0,
        &[
            "0 programs attached",
            "  root  ",
            "mirror run",
            "sudo mirror ps",
        ],
    );
    fs::remove_file(t.0.p("etc/mirrortab.d/nobody.tab")).unwrap();
    let mut todo = vec![t.0.p("na/.mirror"), t.0.p("nb/.mirror")];
    while let Some(p) = todo.pop() {
        let m = fs::symlink_metadata(&p).unwrap();
        assert_eq!(m.uid(), NOBODY, "{}", p.display());
        if m.is_dir() {
            todo.extend(fs::read_dir(&p).unwrap().flatten().map(|d| d.path()));
        }
    }
    t.nobody(&["status"], 0, &["verified "]);
    t.nobody(&["resync", "--yes"], 0, &["IN SYNC"]);
    // A pair that this user cannot know of is no place for another one, above or below.
    for d in ["na2", "ra/sub"] {
        fs::create_dir(t.0.p(d)).unwrap();
        std::os::unix::fs::chown(t.0.p(d), Some(NOBODY), None).unwrap();
    }
    t.nobody(
        &["init", "@/na2", "@/ra/sub", "--yes"],
        1,
        &["is inside", "a leg of another pair"],
    );
    fs::create_dir(t.0.p("na2/low")).unwrap();
    fs::create_dir(t.0.p("rc")).unwrap();
    t.root(&["init", "@/na2/low", "@/rc", "--yes"], 0, &["IN SYNC"]);
    fs::create_dir(t.0.p("nc")).unwrap();
    std::os::unix::fs::chown(t.0.p("nc"), Some(NOBODY), None).unwrap();
    t.nobody(
        &["init", "@/na2", "@/nc", "--yes"],
        1,
        &["@/na2 contains a leg of another pair: low"],
    );
    t.root(&["detach", "@/rc"], 0, &[]);
    fs::remove_dir(t.0.p("ra/sub")).unwrap();
    // A file that belongs to others does not count, and is not passed over in silence.
    t.readable(0o666);
    t.nobody(&["status"], 3, &["others can write it"]);
    t.readable(0o600);
}

#[test]
fn pairs_do_not_overlap_across_tabs() {
    let Some(t) = Two::new("across") else { return };
    t.root(&["init", "@/ra", "@/rb", "--yes"], 0, &["IN SYNC"]);
    t.nobody(&["init", "@/na", "@/nb", "--yes"], 0, &["IN SYNC"]);
    // Nobody's new pair on root's: refused by the line.
    fs::create_dir(t.0.p("na2")).unwrap();
    std::os::unix::fs::chown(t.0.p("na2"), Some(NOBODY), None).unwrap();
    fs::create_dir(t.0.p("ra/sub")).unwrap();
    std::os::unix::fs::chown(t.0.p("ra/sub"), Some(NOBODY), None).unwrap();
    t.nobody(
        &["init", "@/na2", "@/ra/sub", "--yes"],
        1,
        &["overlaps the pair @/ra", "/etc/mirrortab:2"],
    );
    assert!(!t.0.p("na2/.mirror").exists() && !t.0.p("ra/sub/.mirror").exists());
    fs::remove_dir(t.0.p("ra/sub")).unwrap();
    // Root's new pair on nobody's, whose tab root does not read: refused by its control folder.
    fs::create_dir(t.0.p("rc")).unwrap();
    t.root(
        &["init", "@/na", "@/rc", "--yes"],
        1,
        &["already a leg of another pair"],
    );
    // Lines that overlap all the same: both are named, with their files.
    let line = format!("{0}/x {0}/x {0}/rb/y\n", t.0.dir.display());
    fs::write(t.0.p("etc/mirrortab.d/more.tab"), &line).unwrap();
    for args in [&["status"][..], &["run", "true"], &["config", "check"]] {
        let code = match args[0] {
            "status" => 3,
            "run" => 125,
            _ => 78,
        };
        t.nobody(
            args,
            code,
            &[
                "/etc/mirrortab:2 (@/ra)",
                "/etc/mirrortab.d/more.tab:1 (@/x)",
                "overlap",
            ],
        );
    }
    fs::remove_file(t.0.p("etc/mirrortab.d/more.tab")).unwrap();
    // A file whose name begins with a dot does not count, as for the library.
    fs::write(t.0.p("etc/mirrortab.d/.hidden.tab"), &line).unwrap();
    t.nobody(&["status"], 0, &["IN SYNC"]);
}

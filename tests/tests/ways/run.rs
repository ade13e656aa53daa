//! Runs ways natively and in V, and judges them by the trees.
use crate::{Programs, Verdict, Verdicts, Way};
use mirror_tests::{Fs, FsType, Kind, Level, Pair, Tree, have, is_root};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Programs that one way wants, where they can be made.
pub fn optional(folder: &Path) {
    let child = folder.join("ways-setid");
    if is_root() {
        std::os::unix::fs::chown(&child, Some(61000), Some(61000)).expect("another owner");
        let mode = fs::Permissions::from_mode(0o6755);
        fs::set_permissions(&child, mode).expect("a set-id program");
    } else {
        fs::remove_file(&child).expect("a program");
    }
    let quiet = |program: &str, args: &[&str]| {
        let mut c = Command::new(program);
        c.args(args).current_dir(folder).env("HOME", folder);
        let _ = c
            .env("GOFLAGS", "-mod=mod")
            .env("GOCACHE", folder.join("go"))
            .output();
    };
    let source = include_str!("../../programs/ways_child.c");
    fs::write(folder.join("child.c"), source).expect("writing the source");
    quiet("cc", &["-m32", "-w", "-o", "ways-32", "child.c"]);
    if have("go") {
        let source = include_str!("../../programs/ways_child.go");
        fs::write(folder.join("child.go"), source).expect("writing the source");
        let dynamic = [
            "build",
            "-ldflags=-linkmode=external",
            "-o",
            "ways-go",
            "child.go",
        ];
        quiet("go", &dynamic);
    }
}

/// A pair in which each of the ways has its directory, and the plain directory beside it.
fn prepared(programs: &Programs, on: Fs, ways: &[&Way]) -> Option<Pair> {
    let pair = Pair::bare(Kind::InPlace, on)?;
    for root in [pair.a(), pair.b(), &pair.native()] {
        let o = Command::new(&programs.ways)
            .arg("prepare")
            .arg(root)
            .args(ways.iter().map(|w| &w.name))
            .output()
            .expect("running ways");
        assert!(o.status.success(), "{o:?}");
        if is_root() {
            // A set-id program makes its file as another user.
            for way in ways.iter().filter(|w| w.name == "program_setid") {
                let mode = fs::Permissions::from_mode(0o777);
                fs::set_permissions(root.join(&way.name), mode).expect("a mode");
            }
        }
    }
    pair.init(&[]).ok();
    Some(pair)
}

/// How the ways ended: exit codes by name. `line`: what the command said besides.
struct Ended {
    codes: BTreeMap<String, i32>,
    line: String,
}

/// Runs the ways below `root` by the command that `with` makes.
fn start(programs: &Programs, root: &Path, ways: &[&Way], with: &dyn Fn() -> Command) -> Ended {
    let mut ended = Ended {
        codes: BTreeMap::new(),
        line: String::new(),
    };
    let inside: Vec<&&Way> = ways.iter().filter(|w| !w.outer).collect();
    if !inside.is_empty() {
        let mut c = with();
        c.arg("batch")
            .arg(root)
            .args(inside.iter().map(|w| &w.name));
        let o = c.env("P", &programs.folder).output().expect("running ways");
        for line in String::from_utf8_lossy(&o.stdout).lines() {
            if let Some((name, code)) = line.split_once(' ') {
                ended
                    .codes
                    .insert(name.into(), code.parse().expect("a number"));
            }
        }
        ended.line += &String::from_utf8_lossy(&o.stderr);
    }
    for way in ways.iter().filter(|w| w.outer) {
        let inner = with();
        let mut c = Command::new(&programs.ways);
        c.env_clear()
            .envs(inner.get_envs().filter_map(|(k, v)| Some((k, v?))));
        c.arg("outer")
            .arg(root)
            .arg(&way.name)
            .arg(inner.get_program())
            .args(inner.get_args());
        let o = c
            .args(["inner".as_ref(), root.as_os_str(), way.name.as_ref()])
            .env("P", &programs.folder)
            .output();
        let o = o.expect("running ways");
        ended
            .codes
            .insert(way.name.clone(), o.status.code().unwrap_or(255));
        ended.line += &String::from_utf8_lossy(&o.stderr);
    }
    ended
}

fn mirrored(programs: &Programs, pair: &Pair, mode: &str, ways: &[&Way]) -> Ended {
    start(programs, pair.v(), ways, &|| {
        let mut c = pair.command(&programs.ways);
        c.env("MIRROR_NET", mode);
        c
    })
}

/// Differences by the way in whose directory they are.
fn by_way(differences: Vec<String>, into: &mut BTreeMap<String, Vec<String>>) {
    for line in differences {
        let key = line.strip_prefix("hard links ").unwrap_or(&line);
        let name = key.split(['/', ':']).next().unwrap_or_default().to_owned();
        into.entry(name).or_default().push(line);
    }
}

/// Inode flags and version of a way's file: no part of a tree's comparison.
fn flags(root: &Path, way: &str) -> Option<(libc::c_long, libc::c_int)> {
    let file = fs::File::open(root.join(way).join("f")).ok()?;
    let (mut flags, mut version): (libc::c_long, libc::c_int) = (0, 0);
    // SAFETY: both calls store a number into variables of ours; the kernel stores an int into the first.
    unsafe {
        libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags);
        libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETVERSION, &raw mut version);
    }
    // How a file system lays a file out is its own affair: extents, inline data.
    Some((
        flags & !0x1008_0000,
        if way == "ioctl_setversion" {
            version
        } else {
            0
        },
    ))
}

/// All verdicts of one mode. What the file system of the tests cannot do is tried on XFS.
pub fn run(programs: &Programs, mode: &str, ways: &[Way]) -> Verdicts {
    let here: Vec<&Way> = ways.iter().filter(|w| w.lacks.is_empty()).collect();
    let mut verdicts = Verdicts::new();
    judged(programs, Fs::Plain, mode, &here, &mut verdicts);
    let unsupported = |w: &&&Way| match &verdicts[&w.name] {
        Verdict::NotHere(why) => why.starts_with("EOPNOTSUPP"),
        _ => false,
    };
    let again: Vec<&Way> = here.iter().filter(unsupported).copied().collect();
    if !again.is_empty() {
        let xfs = Fs::Loop(FsType::Xfs, FsType::Xfs);
        judged(programs, xfs, mode, &again, &mut verdicts);
    }
    for way in ways.iter().filter(|w| !w.lacks.is_empty()) {
        let why = Verdict::NotHere(format!("needs {}", way.lacks));
        verdicts.insert(way.name.clone(), why);
    }
    verdicts
}

/// What differs after the ways have run, by way.
struct Found {
    /// Between the legs.
    legs: BTreeMap<String, Vec<String>>,
    /// Between leg A and the plain directory.
    directory: BTreeMap<String, Vec<String>>,
    /// Between leg A and what it was.
    changed: BTreeMap<String, Vec<String>>,
}

impl Found {
    fn new(pair: &Pair, before: &Tree, ways: &[&Way]) -> Found {
        let [mut legs, mut directory, mut changed] = [const { BTreeMap::new() }; 3];
        let [a, b] = [pair.a(), pair.b()].map(Tree::read);
        // Times that nobody has set are the affair of other suites.
        by_way(a.differences(&b, Level::GivenTimes).0, &mut legs);
        by_way(a.differences(before, Level::Strict).0, &mut changed);
        let names = [(pair.a().to_owned(), "$V"), (pair.native(), "$V")];
        let native = Tree::read(&pair.native()).normalised(&names);
        let differences = a.normalised(&names).differences(&native, Level::GivenTimes);
        by_way(differences.0, &mut directory);
        for way in ways {
            let of = [pair.a(), pair.b(), &pair.native()].map(|root| flags(root, &way.name));
            let line = format!("{}: flags {of:x?}", way.name);
            if of[0] != of[1] {
                legs.entry(way.name.clone()).or_default().push(line);
            } else if of[0] != of[2] {
                directory.entry(way.name.clone()).or_default().push(line);
            }
        }
        Found {
            legs,
            directory,
            changed,
        }
    }

    /// The verdict on a way, by its exit codes in the plain directory and in V; `None` if the legs differ.
    fn verdict(&self, way: &str, native: i32, mirrored: i32) -> Option<Verdict> {
        let of = |m: &BTreeMap<String, Vec<String>>| m.get(way).map(|l| l.join("; "));
        if let Some(lines) = of(&self.legs) {
            println!("{way}: {mirrored}, the legs differ: {lines}");
            return None;
        }
        Some(match (of(&self.directory), of(&self.changed)) {
            (None, _) if native == 0 && mirrored == 0 => Verdict::Covered,
            (None, _) if native == mirrored => {
                Verdict::NotHere(format!("{} in a plain directory too", errno(native)))
            }
            (_, None) if (1..134).contains(&mirrored) => Verdict::Refused(errno(mirrored)),
            (directory, changed) => Verdict::Wrong(format!(
                "{mirrored}, natively {native}; leg A and the plain directory: {directory:?}; leg A before: {changed:?}"
            )),
        })
    }
}

/// Runs ways on one sort of file system.
fn judged(programs: &Programs, on: Fs, mode: &str, ways: &[&Way], verdicts: &mut Verdicts) {
    let Some(pair) = prepared(programs, on, ways) else {
        return;
    };
    let before = Tree::read(pair.a());
    let plain = start(programs, &pair.native(), ways, &|| {
        pair.native_command(&programs.ways)
    });
    let ended = mirrored(programs, &pair, mode, ways);
    println!("{mode}: the command said: {}", ended.line);
    let found = Found::new(&pair, &before, ways);
    let pending = fs::read_to_string(pair.a().join(".mirror/pending")).expect("a list");
    let mut differing = Vec::new();
    for way in ways {
        let code = |e: &Ended| e.codes.get(&way.name).copied().unwrap_or(-1);
        let listed = |l: &str| l == way.name || l.starts_with(&format!("{}/", way.name));
        match found.verdict(&way.name, code(&plain), code(&ended)) {
            Some(verdict) => drop(verdicts.insert(way.name.clone(), verdict)),
            None if pending.lines().any(listed) => {
                let word = Verdict::Recorded("REPAIR PENDING".into());
                verdicts.insert(way.name.clone(), word);
            }
            None => differing.push(*way),
        }
    }
    drop(pair);
    recorded(programs, on, mode, &differing, verdicts);
}

/// Which of the ways that left the legs different the command knows of: in fresh pairs, all of them, then
/// each half, where something is said at all.
fn recorded(programs: &Programs, on: Fs, mode: &str, ways: &[&Way], verdicts: &mut Verdicts) {
    if ways.is_empty() {
        return;
    }
    let pair = prepared(programs, on, ways).expect("such a pair could be made before");
    let ended = mirrored(programs, &pair, mode, ways);
    let status = pair.status();
    let said = ended.line.lines().find(|l| l.contains("unmirrored"));
    let word = match (status.code, said) {
        (0, None) => None,
        (0, Some(_)) => Some("run".to_owned()),
        _ => Some(state(&status.text())),
    };
    let names: BTreeSet<&str> = ways.iter().map(|w| w.name.as_str()).collect();
    println!("{mode} {names:?}: {word:?}");
    match (word, ways) {
        (None, _) => verdicts.extend(ways.iter().map(|w| (w.name.clone(), Verdict::Silent))),
        (Some(word), [way]) => {
            verdicts.insert(way.name.clone(), Verdict::Recorded(word));
        }
        _ => {
            let (one, two) = ways.split_at(ways.len() / 2);
            drop(pair);
            recorded(programs, on, mode, one, verdicts);
            recorded(programs, on, mode, two, verdicts);
        }
    }
}

/// The state in the text of `status`: its words in capitals.
fn state(text: &str) -> String {
    let capital = |w: &&str| w.len() > 1 && w.chars().all(|c| c.is_ascii_uppercase());
    text.split([' ', '\n', ':', ','])
        .filter(capital)
        .take(2)
        .collect::<Vec<_>>()
        .join(" ")
}

/// An errno's name.
fn errno(n: i32) -> String {
    let names: &[(i32, &str)] = &[
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::EIO, "EIO"),
        (libc::EBADF, "EBADF"),
        (libc::EACCES, "EACCES"),
        (libc::EBUSY, "EBUSY"),
        (libc::EXDEV, "EXDEV"),
        (libc::ENODEV, "ENODEV"),
        (libc::EINVAL, "EINVAL"),
        (libc::ENOTTY, "ENOTTY"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::EOPNOTSUPP, "EOPNOTSUPP"),
    ];
    names
        .iter()
        .find(|(e, _)| *e == n)
        .map_or_else(|| n.to_string(), |(_, name)| (*name).to_owned())
}

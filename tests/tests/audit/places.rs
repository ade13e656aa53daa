//! What an audit by eBPF sees on which file system: each way of a static program, for legs in several places. The
//! table is docs/DETECTION.md; what it says is found must be.
use super::strangers::{ROWS, by, change, prepared, seen};
use mirror_tests::{Fs, FsType, Kind, Pair, need, skip, soak};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a leg lies; whether every run tries it (`MIRROR_SOAK=1`: all).
const PLACES: &[(&str, bool)] = &[
    ("ext4", false),
    ("xfs", true),
    ("btrfs", false),
    ("tmpfs", true),
    ("subvolume", true),
    ("bind", false),
    ("overlay", false),
    ("by an overlay", false),
    ("mount inside", false),
];

/// A pair in a place, and its leg a as the programs see it that change it.
struct Ground {
    pair: Pair,
    door: PathBuf,
    mounted: Vec<PathBuf>,
}

impl Drop for Ground {
    fn drop(&mut self) {
        for m in self.mounted.iter().rev() {
            let _ = Command::new("umount").arg(m).status();
        }
    }
}

fn run(program: &str, args: &[&str]) -> Option<()> {
    let o = Command::new(program).args(args).output().ok()?;
    let fine = o.status.success();
    if !fine {
        println!("{program} {args:?}: {}", String::from_utf8_lossy(&o.stderr));
    }
    fine.then_some(())
}

fn text(p: &Path) -> &str {
    p.to_str().unwrap()
}

fn ground(place: &str) -> Option<Ground> {
    let of = |fs| Pair::bare(Kind::InPlace, fs);
    let on = |t| of(Fs::Loop(t, t));
    let pair = match place {
        "ext4" => on(FsType::Ext4),
        "xfs" => on(FsType::Xfs),
        "btrfs" | "subvolume" => on(FsType::Btrfs),
        _ => of(Fs::Plain),
    }?;
    let door = pair.a().to_owned();
    let mut g = Ground {
        pair,
        door,
        mounted: vec![],
    };
    for leg in [g.pair.a().to_owned(), g.pair.b().to_owned()] {
        let beside = |name: &str| {
            let d = leg.parent().unwrap().join(name);
            let _ = fs::create_dir(&d);
            d
        };
        match place {
            "tmpfs" => run("mount", &["-t", "tmpfs", "t", text(&leg)])?,
            "bind" => run("mount", &["--bind", text(&beside("real")), text(&leg)])?,
            "overlay" => over(&beside("low"), &beside("up"), &beside("work"), &leg)?,
            "subvolume" => {
                fs::remove_dir(&leg).unwrap();
                run("btrfs", &["-q", "subvolume", "create", text(&leg)])?;
            }
            _ => continue,
        }
        if place != "subvolume" {
            g.mounted.push(leg);
        }
    }
    g.pair.init(&[]).ok();
    let a = g.pair.a().to_owned();
    let beside = |name: &str| a.parent().unwrap().join(name);
    if place == "by an overlay" {
        for d in ["low", "work", "merged"] {
            fs::create_dir(beside(d)).unwrap();
        }
        g.door = beside("merged");
    }
    Some(g)
}

fn over(low: &Path, up: &Path, work: &Path, at: &Path) -> Option<()> {
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        text(low),
        text(up),
        text(work)
    );
    run("mount", &["-t", "overlay", "o", "-o", &options, text(at)])
}

/// What of the rows is found there: `+`, or not, `−`; what does not exist there: nothing.
fn tried(place: &str, tier: &str) -> Option<BTreeMap<&'static str, char>> {
    let mut g = ground(place)?;
    prepared(&g.pair)?;
    let a = g.pair.a().to_owned();
    match place {
        "mount inside" => {
            for leg in [a.clone(), g.pair.b().to_owned()] {
                run("mount", &["-t", "tmpfs", "t", text(&leg.join("t"))])?;
                g.mounted.push(leg.join("t"));
            }
        }
        "by an overlay" => {
            let beside = |name: &str| a.parent().unwrap().join(name);
            over(&beside("low"), &a, &beside("work"), &g.door)?;
            g.mounted.push(g.door.clone());
        }
        _ => {}
    }
    for leg in [&a, &g.pair.b().to_owned()] {
        super::strangers::made(&g.pair, &leg.join("t"));
    }
    let elsewhere = a.parent().unwrap().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let audit = by(&g.pair, tier)?;
    let (_, lacks) = change(&g.pair, &g.door.join("t"), &elsewhere);
    let told = audit.end();
    println!("{place}, not here: {lacks}");
    assert_eq!(told.count("lost"), 0);
    let mut all = BTreeMap::new();
    for row in ROWS {
        let absent = lacks.lines().any(|l| l.starts_with(&format!("{}:", row.0)));
        if !absent {
            all.insert(
                row.0,
                if seen(&told, row, 0).is_some() {
                    '+'
                } else {
                    '−'
                },
            );
        }
    }
    Some(all)
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/DETECTION.md")
}

/// The document's cells: way, place.
fn said() -> BTreeMap<(String, String), String> {
    let text = fs::read_to_string(document()).expect("the page");
    let mut rows = text.lines().filter(|l| l.starts_with("| "));
    let cells = |l: &str| -> Vec<String> {
        let all = l.trim_matches('|').split('|');
        all.map(|c| c.trim().to_owned()).collect()
    };
    let head = rows.next().map(cells).unwrap_or_default();
    let mut all = BTreeMap::new();
    for row in rows.map(cells) {
        for (place, cell) in head.iter().zip(&row).skip(1) {
            all.insert((row[0].clone(), place.clone()), cell.clone());
        }
    }
    all
}

#[test]
fn every_place() {
    need!(root);
    // SAFETY: it has no memory effects; the mounts of this thread and of its children are then its own.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return skip("no mount namespace of its own");
    }
    run("mount", &["--make-rprivate", "/"]).unwrap();
    let write = std::env::var_os("MIRROR_WRITE_DETECTION").is_some();
    let said = if write { BTreeMap::new() } else { said() };
    let mut found = BTreeMap::new();
    let mut missing = vec![];
    for (place, always) in PLACES {
        if !(*always || write || soak()) {
            continue;
        }
        let Some(rows) = tried(place, "t2") else {
            skip(format!("no leg in this place, or no audit of it: {place}"));
            continue;
        };
        for (row, cell) in &rows {
            let key = ((*row).to_owned(), (*place).to_owned());
            match said.get(&key) {
                Some(said) if said == "+" && *cell != '+' => {
                    missing.push(format!("{row} on {place}"))
                }
                None if !write => missing.push(format!("{row} on {place}: not in the page")),
                _ => {}
            }
        }
        found.insert(*place, rows);
    }
    if write {
        fs::write(document(), page(&found)).unwrap();
    } else {
        assert!(missing.is_empty(), "not found any more: {missing:?}");
    }
}

fn page(found: &BTreeMap<&str, BTreeMap<&str, char>>) -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let series: Vec<&str> = kernel.split('.').take(2).collect();
    let mut text = format!(
        "# What an audit by eBPF finds\n\n\
         Each way in which a static program changes leg a (`tests/programs/strangers.c`), for legs in several \
         places, by tier T2 on kernel {}: `+` found, with its leg, its operation and its process; `−` not found; \
         empty: the place has no such call. `MIRROR_WRITE_DETECTION=1 cargo xtask test 'audit places'` (root) \
         writes this page; a run of the tests tries xfs, tmpfs and a subvolume, with `MIRROR_SOAK=1` all, and fails where \
         a `+` is not found any more. On other kernels: TESTING.md, \"Kernels\".\n\n\
         - *bind*: the leg is a bind mount. *overlay*: the leg is an overlay's mount point.\n\
         - *by an overlay*: the leg is an overlay's upper directory, and is changed through the overlay.\n\
         - *mount inside*: what is changed lies on a file system that is mounted below the leg.\n\
         - Paths below 40 directories are among the rows (`deep/f`). Of an object with several names a finding has \
         one.\n\n",
        series.join(".")
    );
    let places: Vec<&str> = PLACES.iter().map(|p| p.0).collect();
    text += &format!(
        "| way | {} |\n|---|{}\n",
        places.join(" | "),
        "---|".repeat(places.len())
    );
    for row in ROWS {
        let cell = |p: &&str| {
            let of = found.get(p).and_then(|rows| rows.get(row.0));
            of.map_or(String::new(), char::to_string)
        };
        let cells: Vec<String> = places.iter().map(cell).collect();
        text += &format!("| {} | {} |\n", row.0, cells.join(" | "));
    }
    text
}

//! What is measured: loops of benches/fsops.c and shell scripts, on one column at a time.
use super::columns::Column;
use super::ground::Ground;
use super::watch;
use crate::{Result, build};
use std::path::{Path, PathBuf};

/// How a workload is measured.
#[derive(Clone, Copy)]
pub enum Work {
    /// A loop of fsops.c: its own clock.
    Loop(&'static str),
    /// A loop that only reads, in a folder of the column's directory: one copy is enough by hand.
    Reading(&'static str, &'static str),
    /// A loop in a directory outside V; only the preload differs.
    Outside(&'static str),
    /// The same in the plain directory on leg a's file system.
    Beside(&'static str),
    /// A shell script in directory `$1`: wall clock; by hand it runs for one directory, then the other.
    Script(&'static str),
}

/// One workload.
pub struct Workload {
    /// Its key, as `--only` takes it.
    pub key: &'static str,
    /// What it does.
    pub title: &'static str,
    /// How it is run.
    pub work: Work,
    /// How often the loop turns in a full run.
    pub count: u32,
    /// The workload whose files it needs.
    pub needs: Option<&'static str>,
}

/// A row of a table.
pub const fn row(
    key: &'static str,
    title: &'static str,
    work: Work,
    count: u32,
    needs: Option<&'static str>,
) -> Workload {
    Workload {
        key,
        title,
        work,
        count,
        needs,
    }
}

/// Workloads in the order in which they run. Those that remove files come after all that create some:
/// ext4 passes over the numbers of files removed a short time ago, one by one.
pub const WORKLOADS: &[Workload] = &[
    row(
        "w1",
        "sequential 1 MiB writes",
        Work::Loop("sequential"),
        256,
        None,
    ),
    row(
        "w2",
        "random 4 KiB writes",
        Work::Loop("random"),
        80_000,
        Some("w1"),
    ),
    row(
        "w3",
        "create, write 4 KiB, close",
        Work::Loop("small"),
        8_000,
        None,
    ),
    row(
        "w4",
        "unpack a tar",
        Work::Script("mkdir $1/t; tar xf $DATA/src.tar -C $1/t"),
        1,
        None,
    ),
    row(
        "w5",
        "stat and read a tree",
        Work::Reading("walk", "t"),
        8,
        Some("w4"),
    ),
    row(
        "append",
        "appends of 100 bytes",
        Work::Loop("append"),
        100_000,
        None,
    ),
    row(
        "fsync",
        "write 4 KiB, fsync",
        Work::Loop("fsync"),
        2_000,
        None,
    ),
    row(
        "dirrename",
        "rename a directory",
        Work::Loop("directory"),
        10_000,
        None,
    ),
    row(
        "stat",
        "stat in V",
        Work::Reading("stat", ""),
        400_000,
        Some("w1"),
    ),
    row(
        "pread",
        "pread 4 KiB in V",
        Work::Reading("read", ""),
        400_000,
        Some("w1"),
    ),
    row(
        "open",
        "open for reading, close in V",
        Work::Reading("open", ""),
        200_000,
        Some("w1"),
    ),
    row(
        "w7d",
        "SQLite, journal deleted each time",
        Work::Script("python3 -c \"$SQL\" $1 delete $2"),
        2_000,
        None,
    ),
    row(
        "w7m",
        "SQLite, journal in memory",
        Work::Script("python3 -c \"$SQL\" $1 memory $2"),
        4_000,
        None,
    ),
    row(
        "w8",
        "git clone and status",
        Work::Script("git clone -q --no-local $DATA/repo $1/c; git -C $1/c status --porcelain"),
        1,
        None,
    ),
    row(
        "w9",
        "many small programs",
        Work::Script(
            "i=0; while [ $i -lt $2 ]; do i=$((i+4)); /bin/true; touch $1/p; cat $1/p; ls $1 >/dev/null; done",
        ),
        400,
        None,
    ),
    row(
        "w6",
        "rename, unlink",
        Work::Loop("rename"),
        8_000,
        Some("w3"),
    ),
    row(
        "outside",
        "create, write, unlink outside V",
        Work::Outside("cycle"),
        40_000,
        None,
    ),
    row(
        "beside",
        "the same on a leg's own file system",
        Work::Beside("cycle"),
        40_000,
        None,
    ),
];

const SQL: &str = "
import sqlite3, sys
c = sqlite3.connect(sys.argv[1] + '/' + sys.argv[2] + '.db', isolation_level=None)
c.execute('pragma synchronous=off'); c.execute('pragma journal_mode=' + sys.argv[2]); c.execute('create table t(v)')
for i in range(int(sys.argv[3])): c.execute('insert into t values (?)', (i,))
assert c.execute('pragma integrity_check').fetchone()[0] == 'ok'";

/// What a loop took.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Took {
    /// By the clock.
    pub seconds: f64,
    /// On a core: what other programs take from it does not count.
    pub core: f64,
}

impl Took {
    fn read(text: &str) -> Option<Took> {
        let (seconds, core) = text.trim().split_once(' ')?;
        Some(Took {
            seconds: seconds.parse().ok()?,
            core: core.parse().ok()?,
        })
    }
}

/// Programs and data that all rounds share.
pub struct Kit {
    /// The loops of benches/fsops.c.
    pub fsops: PathBuf,
    /// The loops of benches/scale.c.
    pub scale: PathBuf,
    data: PathBuf,
    outside: PathBuf,
}

impl Kit {
    /// Compiles the loops and makes the data in a folder.
    pub fn new(folder: &Path) -> Result<Kit> {
        let program = |name, source| {
            mirror_tests::compile(folder, name, source).ok_or("needs the program cc")
        };
        let kit = Kit {
            fsops: program("fsops", include_str!("../../../benches/fsops.c"))?,
            scale: program("scale", include_str!("../../../benches/scale.c"))?,
            data: folder.join("data"),
            outside: folder.join("outside"),
        };
        super::ground::create(&kit.data)?;
        super::ground::create(&kit.outside)?;
        Ok(kit)
    }

    /// A tar of 800 files and a git repository with the same.
    pub fn fill(&self, ground: &Ground) -> Result<()> {
        let make = "cd $1; mkdir -p src; for i in $(seq 40); do mkdir src/d$i; for k in $(seq 20); do seq $i $((i*k+300)) > src/d$i/f$k; done; done; \
                    tar cf src.tar src; git init -q -b main repo; mv src repo; git -C repo add .; git -C repo commit -qm data";
        let mut c = ground.pair().native_command("sh");
        build::run(c.args(["-euc", make, "sh"]).arg(&self.data))
    }

    /// Runs one loop of fsops.c.
    pub fn fsops(
        &self,
        ground: &Ground,
        column: &Column,
        name: &str,
        count: u32,
        dirs: &[PathBuf],
    ) -> Result<Took> {
        let mut c = column.command(ground, &self.fsops);
        c.arg(name).arg(count.to_string()).args(dirs);
        let (text, _) = watch::run(&mut c, column.limit())?;
        Took::read(&text).ok_or_else(|| format!("fsops {name}: {text}"))
    }

    /// Seconds of one sample of a workload.
    pub fn run(&self, ground: &Ground, column: &Column, work: Work, count: u32) -> Result<f64> {
        match work {
            Work::Loop(name) => {
                let took = self.fsops(ground, column, name, count, &column.dirs)?;
                Ok(took.seconds)
            }
            Work::Reading(name, folder) => {
                let dir = column.reading.join(folder);
                Ok(self.fsops(ground, column, name, count, &[dir])?.seconds)
            }
            Work::Outside(name) => {
                let dirs = std::slice::from_ref(&self.outside);
                Ok(self.fsops(ground, column, name, count, dirs)?.seconds)
            }
            Work::Beside(name) => {
                let dir = ground.pair().native();
                Ok(self.fsops(ground, column, name, count, &[dir])?.seconds)
            }
            Work::Script(script) => {
                let mut seconds = 0.0;
                for dir in &column.dirs {
                    let mut c = column.command(ground, Path::new("sh"));
                    c.env("DATA", &self.data).env("SQL", SQL);
                    c.args(["-euc", script, "sh"])
                        .arg(dir)
                        .arg(count.to_string());
                    seconds += watch::run(&mut c, column.limit())?.1;
                }
                Ok(seconds)
            }
        }
    }
}

impl Work {
    /// Whether it says anything in a column: outside of V only the preload differs.
    pub fn is_for(self, column: &Column) -> bool {
        !matches!(self, Work::Outside(_) | Work::Beside(_))
            || (!column.peer && column.key != "hand")
    }
}

/// The workloads that must run for those that are wanted, in order, and whether each was wanted itself.
pub fn selected(
    rows: &'static [Workload],
    wants: impl Fn(&str) -> bool,
) -> Vec<(&'static Workload, bool)> {
    let needed = |key: &str| {
        let users = rows.iter().filter(|w| w.needs == Some(key));
        users.into_iter().any(|w| wants(w.key))
    };
    let all = rows.iter().map(|w| (w, wants(w.key)));
    all.filter(|(w, wanted)| *wanted || needed(w.key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_of_a_loop_are_read() {
        let (seconds, core) = (0.25, 0.125);
        assert_eq!(Took::read("0.25 0.125\n"), Some(Took { seconds, core }));
        assert_eq!(Took::read("0.25"), None);
    }

    #[test]
    fn what_a_workload_needs_runs_before_it() {
        for w in WORKLOADS {
            let keys: Vec<&str> = selected(WORKLOADS, |k| k == w.key)
                .iter()
                .map(|(w, _)| w.key)
                .collect();
            assert_eq!(keys.last(), Some(&w.key));
            assert_eq!(keys.len(), 1 + usize::from(w.needs.is_some()), "{keys:?}");
            assert!(w.needs.is_none_or(|n| keys[0] == n), "{keys:?}");
            // One level is enough.
            let first = WORKLOADS.iter().find(|x| Some(x.key) == w.needs);
            assert!(first.is_none_or(|f| f.needs.is_none()));
        }
        assert_eq!(selected(WORKLOADS, |_| true).len(), WORKLOADS.len());
    }
}

//! A kill at any instant is repairable to equal trees without loss of acknowledged changes.
use mirror_tests::{Level, Output, Pair, Tree, compile, link, need};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

/// Milliseconds below `limit` from the clock's low digits: a different instant each time.
fn random_wait(limit: u64) -> Duration {
    let t = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("a clock")
        .subsec_nanos();
    Duration::from_micros(u64::from(t) / 7 % (limit * 1000))
}

/// Starts a writer in `V/dir`, kills it and its launcher at a random instant; the last acknowledged number.
fn kill_a_writer(pair: &Pair, writer: &Path, mode: &str, dir: &str) -> i64 {
    let mut c = pair.command(writer);
    c.arg(mode).arg(pair.v().join(dir)).stdout(Stdio::piped());
    let mut child = c.spawn().expect("running mirror run");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = || {
        lines
            .next()
            .and_then(Result::ok)
            .and_then(|l| l.parse::<i64>().ok())
    };
    let pid = next().expect("the writer's pid");
    let mut last = next().unwrap_or(-1);
    let strike = std::thread::spawn(move || {
        std::thread::sleep(random_wait(20));
        // SAFETY: kill has no memory effects; it is the pid of a process that waits for us to read its pipe.
        unsafe { libc::kill(i32::try_from(pid).expect("a pid"), libc::SIGKILL) };
    });
    while let Some(n) = next() {
        last = n;
    }
    strike.join().expect("the striking thread");
    let o = Output::from_std(child.wait_with_output().expect("waiting"));
    assert_eq!(
        o.code, 137,
        "the launcher says how its command ended: {o:?}"
    );
    last
}

/// Everything acknowledged by a writer of this mode is on this leg.
fn acknowledged(leg: &Path, mode: &str, last: i64) {
    let record = |n: i64| format!("{n:015}\n");
    let read = |name: &str| {
        std::fs::read_to_string(leg.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    };
    match mode {
        "append" => {
            let want: String = (0..=last).map(record).collect();
            assert!(
                read("records").starts_with(&want),
                "{}: {last} acknowledged",
                leg.display()
            );
        }
        "overwrite" => {
            let text = read("records");
            for n in (last - 62).max(0)..=last {
                let at = usize::try_from(n % 64 * 16).expect("small");
                assert_eq!(&text[at..at + 16], record(n), "record {n} of {last}");
            }
        }
        "create" => (0..=last).for_each(|n| assert_eq!(read(&format!("n{n}")), record(n))),
        "replace" => assert!(read("current").trim().parse::<i64>().expect("a number") >= last),
        _ => {
            assert!(leg.join(format!("d{last}")).is_dir(), "d{last}");
            assert!(last < 3 || !leg.join(format!("d{}", last - 3)).exists());
        }
    }
}

/// Names of the changes that `oneop` can make.
const OPS: &[&str] = &[
    "append",
    "overwrite",
    "extend",
    "create",
    "open_truncate",
    "truncate",
    "fallocate",
    "unlink",
    "unlink_linked",
    "rename",
    "rename_over",
    "rename_directory",
    "exchange",
    "mkdir",
    "rmdir",
    "symlink",
    "link",
    "mkfifo",
    "chmod",
    "utimens",
    "setxattr",
];

/// Calls at which a kill can fall: all that change something or take a lock.
const CALLS: &str = "write,pwrite64,pwritev,pwritev2,openat2,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,\
    mkdirat,mknod,mknodat,symlink,symlinkat,link,linkat,chmod,fchmod,fchmodat,utimensat,setxattr,fsetxattr,lsetxattr,\
    truncate,ftruncate,fallocate,flock";

/// How the torn change is to be repaired.
#[derive(Clone, Copy, PartialEq)]
enum Repair {
    Resync,
    NextProgram,
    EndOfRun,
}

/// The calls of a trace: name and how many of its name came before, from 1.
fn calls_made(trace: &str) -> Vec<(String, u32)> {
    let mut seen = std::collections::HashMap::<&str, u32>::new();
    trace
        .lines()
        .filter_map(|l| l.split_whitespace().nth(1)?.split_once('('))
        .map(|(name, _)| {
            let n = seen.entry(name).or_default();
            *n += 1;
            (name.to_owned(), *n)
        })
        // One that is newer than strace cannot be struck; the calls around it are.
        .filter(|(name, _)| !name.starts_with("syscall_0x"))
        .collect()
}

/// A folder to change, the same on both legs; nobody is attached.
fn furnish(pair: &Pair, name: &str) {
    for leg in [pair.a(), pair.b()] {
        let dir = leg.join(name);
        let make = || {
            std::fs::create_dir(&dir)?;
            std::fs::create_dir(dir.join("d"))?;
            std::fs::create_dir(dir.join("e"))?;
            for (file, text) in [("f", "content of f\n"), ("g", "g\n"), ("d/in", "in\n")] {
                let mut f = std::fs::File::create(dir.join(file))?;
                f.write_all(text.as_bytes())?;
                f.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))?;
            }
            std::fs::hard_link(dir.join("g"), dir.join("hard"))?;
            std::os::unix::fs::symlink("f", dir.join("sym"))
        };
        make().unwrap_or_else(|e: std::io::Error| panic!("{}: {e}", dir.display()));
    }
}

/// Takes a folder away again, so that the next repair has no more to look at than this one.
fn clear(pair: &Pair, name: &str) {
    for leg in [pair.a(), pair.b()] {
        let dir = leg.join(name);
        std::fs::remove_dir_all(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    }
}

/// Kills one change at its n-th call for every n, and repairs; each outcome must be wholly the state
/// before or wholly the one after.
fn sweep(pair: &Pair, repair: Repair) {
    need!("strace");
    let Some(oneop) = compile(
        &pair.programs(),
        "oneop",
        include_str!("../programs/oneop.c"),
    ) else {
        return;
    };
    let mut problems = Vec::new();
    let mut kills = 0;
    for op in OPS {
        let whole = format!("{op}.whole");
        furnish(pair, &whole);
        let before = Tree::read(&pair.a().join(&whole));
        let run = |tool: &mut std::process::Command, name: &str| {
            tool.arg(&oneop).arg(op).arg(pair.v().join(name));
            Output::from_std(tool.output().expect("running strace"))
        };
        let trace = pair.programs().join("trace");
        let mut c = pair.preloaded("strace");
        c.args(["-f", "-qq", "-o"]).arg(&trace);
        run(c.args(["-e", &format!("trace={CALLS}")]), &whole).ok();
        // strace counts each call by its name, so each is struck by itself.
        let made = calls_made(&std::fs::read_to_string(&trace).expect("the trace"));
        let after = Tree::read(&pair.a().join(&whole));
        assert!(
            !after.differences(&before, Level::Strict).0.is_empty(),
            "{op} changes something"
        );
        for (call, n) in made {
            let name = format!("{op}.{call}.{n}");
            furnish(pair, &name);
            let mut c = if repair == Repair::EndOfRun {
                pair.command("strace")
            } else {
                pair.preloaded("strace")
            };
            c.args(["-f", "-qq", "-o", "/dev/null", "-e"])
                .arg(format!("trace={call}"))
                .args(["-e", &format!("inject={call}:signal=KILL:when={n}")]);
            let o = run(&mut c, &name);
            let done = o.out == b"done\n";
            let killed = o.code == 137;
            if !killed && o.code != 0 {
                problems.push(format!("{op} at {call} {n}: {o:?}"));
            }
            kills += u32::from(killed);
            match repair {
                Repair::Resync => drop(pair.resync().ok()),
                Repair::NextProgram => {
                    let o = pair
                        .preloaded("bash")
                        .args(["-c", "echo next >> $V/next"])
                        .output();
                    drop(Output::from_std(o.expect("running bash")).ok());
                }
                Repair::EndOfRun => {}
            }
            let legs = [pair.a(), pair.b()].map(|l| Tree::read(&l.join(&name)));
            // What a killed writer has owed its partner's mtime is settled by all of them.
            let d = legs[0].differences(&legs[1], Level::Strict);
            if !d.0.is_empty() {
                problems.push(format!(
                    "{op} killed at {call} {n}: the legs differ: {}",
                    d.0.join("; ")
                ));
            }
            let (old, new) = (
                legs[0].differences(&before, Level::NoTimes),
                legs[0].differences(&after, Level::NoTimes),
            );
            if done && !new.0.is_empty() {
                problems.push(format!(
                    "{op} killed at {call} {n}: acknowledged, but: {}",
                    new.0.join("; ")
                ));
            } else if !old.0.is_empty() && !new.0.is_empty() {
                problems.push(format!(
                    "{op} killed at {call} {n}: neither before ({}) nor after ({})",
                    old.0.join("; "),
                    new.0.join("; ")
                ));
            }
            clear(pair, &name);
        }
        clear(pair, &whole);
    }
    println!("{kills} kills");
    assert!(
        problems.is_empty(),
        "{} of {kills} kills:\n{}",
        problems.len(),
        problems.join("\n")
    );
    assert!(
        kills > 2 * u32::try_from(OPS.len()).unwrap(),
        "the sweep must strike: {kills} kills"
    );
}

link! {
    fn random_kills(pair) {
        let Some(writer) = compile(&pair.programs(), "writer", include_str!("../programs/writer.c")) else { return };
        let mut total = 0;
        for (i, mode) in ["append", "overwrite", "create", "replace", "directories"].iter().cycle().take(50).enumerate() {
            let dir = format!("{mode}{i}");
            pair.run(&format!("mkdir $V/{dir}")).ok();
            let last = kill_a_writer(pair, &writer, mode, &dir);
            total += last + 1;
            pair.resync().ok();
            pair.assert_equal();
            acknowledged(&pair.a().join(&dir), mode, last);
            acknowledged(&pair.b().join(&dir), mode, last);
        }
        println!("{total} acknowledged changes");
        assert!(total > 50, "the writers got somewhere: {total}");
    }

    fn killed_at_every_call_then_resync(pair) {
        sweep(pair, Repair::Resync);
    }

    fn killed_at_every_call_then_healed_by_the_next_program(pair) {
        sweep(pair, Repair::NextProgram);
    }

    fn killed_at_every_call_then_healed_at_the_end_of_run(pair) {
        sweep(pair, Repair::EndOfRun);
    }
}

//! Data that the kernel moves itself (copy_file_range, sendfile, splice, clones, fallocate, O_DIRECT):
//! the same answers and effects as in a plain directory, and equal legs.
use mirror_tests::{Fs, FsType, Kind, Level, Output, Pair, Tree, compile, link, need};

/// Compiles the helper into the pair's folder of programs.
fn helper(pair: &Pair) -> Option<std::path::PathBuf> {
    let source = include_str!("../programs/copies.c");
    compile(&pair.programs(), "copies", source)
}

/// Runs tables of calls natively and in V; every printed answer must be the same. At least `lines` are.
fn tables(pair: &Pair, modes: &[(&str, usize)]) {
    if helper(pair).is_none() {
        return;
    }
    for (mode, lines) in modes {
        let o = pair.both(&format!("$P/copies {mode}"));
        assert_eq!(o.code, 0, "{mode}: {o:?}");
        let n = o.text().lines().count();
        assert!(n >= *lines, "{mode}: {n} lines\n{}", o.text());
    }
}

/// All tables.
const TABLES: &[(&str, usize)] = &[
    ("ranges", 80),
    ("sendfiles", 45),
    ("splices", 30),
    ("clones", 30),
    ("allocations", 25),
];

/// On loop-mounted file systems.
fn on_loops(kind: Kind, a: FsType, b: FsType, test: impl Fn(&Pair)) {
    if let Some(pair) = Pair::new(kind, Fs::Loop(a, b)) {
        test(&pair);
    }
}

/// Whether a file of a leg shares blocks with another.
fn shares(pair: &Pair, file: &str) -> bool {
    pair.bypass(&format!("sync {file}; filefrag -v {file}"))
        .ok()
        .text()
        .contains("shared")
}

/// Calls at which a kill can fall: all that change something, move a position, or take a lock. (strace
/// counts each of them by itself.)
const CALLS: &[&str] = &[
    "pwrite64",
    "copy_file_range",
    "sendfile",
    "splice",
    "tee",
    "fallocate",
    "ftruncate",
    "lseek",
    "ioctl",
    "clone",
    "wait4",
    "utimensat",
    "flock",
    "write",
];

/// Kills each change at each of its calls, and lets the next program, or `mirror resync`, repair it.
/// The outcome is wholly the state before or wholly the one after; a long copy may stop at a piece.
fn sweep(pair: &Pair, ops: &[&str], resync: bool) {
    let Some(copies) = helper(pair) else { return };
    let run = |what: &str, dir: &str| {
        let mut c = pair.command(&copies);
        Output::from_std(
            c.arg(what)
                .arg(pair.v().join(dir))
                .output()
                .expect("running mirror run"),
        )
    };
    let mut problems = Vec::new();
    let mut kills = 0;
    for op in ops {
        let whole = format!("{op}.whole");
        run("prepare", &whole).ok();
        let before = Tree::read(&pair.a().join(&whole));
        run(op, &whole).ok();
        let after = Tree::read(&pair.a().join(&whole));
        assert!(
            !after.differences(&before, Level::Strict).0.is_empty(),
            "{op} changes something"
        );
        for call in CALLS {
            for n in 1..200 {
                let name = format!("{op}.{call}.{n}");
                run("prepare", &name).ok();
                let mut c = pair.preloaded("strace");
                c.args([
                    "-qq",
                    "-o",
                    "/dev/null",
                    "-e",
                    &format!("trace={call}"),
                    "-e",
                ]);
                c.arg(format!("inject={call}:signal=KILL:when={n}"))
                    .arg(&copies)
                    .arg(op)
                    .arg(pair.v().join(&name));
                let o = Output::from_std(c.output().expect("running strace"));
                let done = o.out == b"done\n";
                let killed = o.code == 137;
                if !killed {
                    if !done {
                        problems.push(format!("{op} at {call} {n}: {o:?}"));
                    }
                    pair.bypass(&format!("rm -r $A/{name} $B/{name}")).ok();
                    break;
                }
                kills += 1;
                if resync {
                    pair.resync().ok();
                } else {
                    let next = pair
                        .preloaded("bash")
                        .args(["-c", "echo next >> $V/next"])
                        .output();
                    Output::from_std(next.expect("running bash")).ok();
                }
                let legs = [pair.a(), pair.b()].map(|l| Tree::read(&l.join(&name)));
                let level = if resync {
                    Level::Strict
                } else {
                    Level::NoTimes
                };
                let d = legs[0].differences(&legs[1], level);
                if !d.0.is_empty() {
                    problems.push(format!(
                        "{op} at {call} {n}: the legs differ: {}",
                        d.0.join("; ")
                    ));
                }
                let old = legs[0].differences(&before, Level::NoTimes).0.is_empty();
                let new = legs[0].differences(&after, Level::NoTimes).0.is_empty();
                if done && !new {
                    problems.push(format!("{op} at {call} {n}: acknowledged and not there"));
                } else if !old && !new && *op != "long" {
                    problems.push(format!("{op} at {call} {n}: neither before nor after"));
                }
                pair.bypass(&format!("rm -r $A/{name} $B/{name}")).ok();
            }
        }
    }
    println!("{kills} kills");
    pair.assert_nothing_pending();
    assert!(
        problems.is_empty(),
        "{} of {kills} kills:\n{}",
        problems.len(),
        problems.join("\n")
    );
    assert!(
        kills as usize > 4 * ops.len(),
        "the sweep must strike: {kills} kills"
    );
}

/// What one piece, a pipe and a file's shape can be killed in.
const MOVES: &[&str] = &["range", "position", "long", "sendfile", "splice"];
const SHAPES: &[&str] = &["punch", "zero", "collapse", "insert", "allocate"];

link! {
    fn copy_file_range_as_in_a_plain_directory(pair) {
        tables(pair, &TABLES[..1]);
    }

    fn sendfile_as_in_a_plain_directory(pair) {
        tables(pair, &TABLES[1..2]);
    }

    fn splice_as_in_a_plain_directory(pair) {
        tables(pair, &TABLES[2..3]);
    }

    fn clones_as_in_a_plain_directory(pair) {
        tables(pair, &TABLES[3..4]);
    }

    fn fallocate_as_in_a_plain_directory(pair) {
        tables(pair, &TABLES[4..]);
    }

    fn o_direct_as_in_a_plain_directory(pair) {
        tables(pair, &[("direct", 15)]);
    }

    fn splice_waits_on_the_programs_own_terms(pair) {
        tables(pair, &[("waits", 6)]);
    }

    fn threads_share_the_descriptor(pair) {
        if helper(pair).is_none() {
            return;
        }
        let o = pair.run("$P/copies threads").ok();
        assert_eq!(o.text(), format!("{} bytes", 3 * 2000 * 64));
        pair.assert_equal();
        let text = std::fs::read_to_string(pair.b().join("out")).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|l| l.len() == 63), "no torn record");
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), 3 * 2000, "each record once");
    }

    fn two_readers_of_one_pipe(pair) {
        if helper(pair).is_none() {
            return;
        }
        assert_eq!(pair.run("$P/copies readers").ok().text(), "0 0");
        pair.assert_equal();
        let read = |name: &str| std::fs::read_to_string(pair.b().join(name)).unwrap();
        let text = read("one") + &read("two");
        let mut lines: Vec<&str> = text.lines().collect();
        assert!(lines.iter().all(|l| l.len() == 63), "no torn record");
        lines.sort_unstable();
        lines.dedup();
        assert_eq!((text.len(), lines.len()), (3 * 2000 * 64, 3 * 2000), "each record once");
    }

    fn signals_do_not_shorten_a_copy_before_it_is_long(pair) {
        if helper(pair).is_none() {
            return;
        }
        assert_eq!(pair.run("$P/copies hail").ok().text(), "1 1 1\n0 1");
        pair.assert_equal();
    }

    fn random_calls_as_in_a_plain_directory(pair) {
        need!("python3");
        std::fs::write(pair.programs().join("copies.py"), include_str!("../programs/copies.py")).unwrap();
        let first = u32::from(pair.kind() == Kind::Link) * 1000;
        for seed in first..first + if mirror_tests::soak() { 100 } else { 5 } {
            println!("seed {seed}");
            let o = pair.both_ok(&format!("python3 -B $P/copies.py {seed}"));
            assert_eq!(o.text().lines().count(), 300);
        }
    }

    fn programs_copy(pair) {
        need!("rsync", "python3");
        pair.both_ok(PROGRAMS);
    }

    fn copies_between_two_descriptors_of_the_library_stay_out(pair) {
        // From V to the outside nothing of ours is in the way: the kernel makes the call itself.
        need!("python3", "strace");
        let script = "head -c 300000 /dev/urandom > $V/f; \
            strace -qq -e trace=copy_file_range,flock -o $S/trace python3 -B -c 'import os; \
            a = os.open(os.environ[\"V\"] + \"/f\", os.O_RDONLY); b = os.open(os.environ[\"S\"] + \"/g\", os.O_CREAT | os.O_WRONLY); \
            print(os.copy_file_range(a, b, 300000))'; grep -c copy_file_range $S/trace; grep -c flock $S/trace; cmp $V/f $S/g && echo same";
        assert_eq!(pair.run(script).text(), "300000\n1\n0\nsame");
        pair.assert_equal();
    }

    fn moves_killed_at_every_call(pair) {
        need!("strace");
        sweep(pair, MOVES, pair.kind() == Kind::Link);
    }

    fn shapes_killed_at_every_call(pair) {
        need!("strace");
        sweep(pair, SHAPES, pair.kind() == Kind::Link);
    }
}

#[test]
fn tables_on_xfs_and_xfs() {
    on_loops(Kind::InPlace, FsType::Xfs, FsType::Xfs, |pair| {
        tables(pair, TABLES)
    });
}

#[test]
fn tables_on_btrfs_and_btrfs() {
    on_loops(Kind::Link, FsType::Btrfs, FsType::Btrfs, |pair| {
        tables(pair, TABLES)
    });
}

#[test]
fn tables_where_the_second_leg_can_do_less() {
    // btrfs has no collapse and no insert, ext4 no clones: done by reading and writing there. (Where a
    // file must end is a matter of both: an offset that XFS has and ext4 has not is EFBIG.)
    on_loops(Kind::Link, FsType::Ext4, FsType::Btrfs, |pair| {
        tables(pair, &TABLES[4..])
    });
    on_loops(Kind::InPlace, FsType::Xfs, FsType::Ext4, |pair| {
        tables(pair, &TABLES[1..4])
    });
}

#[test]
fn tables_where_the_second_leg_can_do_more() {
    on_loops(Kind::InPlace, FsType::Ext4, FsType::Xfs, |pair| {
        tables(pair, TABLES)
    });
}

/// Clones share blocks on both legs, whoever asks for them.
fn both_share(pair: &Pair) {
    need!("filefrag", "python3");
    let make = "cd $V; head -c 3000000 /dev/urandom > f; cp --reflink=always f always; cp f auto; \
        python3 -B -c 'import os; a = os.open(\"f\", os.O_RDONLY); b = os.open(\"range\", os.O_CREAT | os.O_WRONLY); \
        print(os.copy_file_range(a, b, 3000000))'; cmp f always && cmp f auto && cmp f range && echo same";
    assert_eq!(pair.run(make).ok().text(), "3000000\nsame");
    for name in ["always", "auto", "range"] {
        for leg in ["$A", "$B"] {
            assert!(
                shares(pair, &format!("{leg}/{name}")),
                "{leg}/{name} shares its blocks"
            );
        }
    }
    pair.assert_equal();
    if helper(pair).is_some() {
        assert_eq!(
            pair.run("$P/copies dedupe")
                .ok()
                .text()
                .split_whitespace()
                .collect::<Vec<_>>(),
            ["dedupe", "0", "0", "65536"]
        );
        assert!(
            shares(pair, "$A/twin2") && shares(pair, "$B/twin2"),
            "deduplicated on both legs"
        );
        pair.assert_equal();
    }
}

#[test]
fn clones_share_blocks_on_xfs() {
    on_loops(Kind::InPlace, FsType::Xfs, FsType::Xfs, both_share);
}

#[test]
fn clones_share_blocks_on_btrfs() {
    on_loops(Kind::Link, FsType::Btrfs, FsType::Btrfs, both_share);
}

#[test]
fn a_clone_that_the_second_leg_cannot_make_is_copied_if_it_is_small() {
    need!("python3");
    on_loops(Kind::InPlace, FsType::Xfs, FsType::Ext4, |pair| {
        pair.run("cd $V; head -c 3000000 /dev/urandom > f; truncate -s 9M f; cp --reflink=always f g; cmp f g")
            .ok();
        pair.assert_equal();
        // A hole is brought over what stood there.
        pair.run("cd $V; head -c 10M /dev/urandom > h; python3 -B -c 'import fcntl; s, d = open(\"f\"), open(\"h\", \"r+\"); fcntl.ioctl(d, 0x40049409, s.fileno())'; cmp -n 9M f h")
            .ok();
        pair.assert_equal();
        let o = pair.run("cd $V; truncate -s 20M f; cp --reflink=always f big; echo $?; cp f big; cmp f big && echo same");
        assert_eq!(o.text(), "1\nsame", "{o:?}");
        pair.assert_equal();
    });
}

/// Unmounts when the test ends, however it does.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let o = std::process::Command::new("umount").arg(&self.0).output();
        println!("{o:?}");
    }
}

#[test]
fn o_direct_where_the_second_leg_has_none() {
    need!(root);
    let Some(pair) = Pair::bare(Kind::InPlace, Fs::Plain) else {
        return;
    };
    pair.bypass("mount -t ramfs none $B").ok();
    let _mounted = Mounted(pair.b().to_owned());
    pair.init(&[]).ok();
    tables(&pair, &[("direct", 15), ("splices", 30), ("sendfiles", 45)]);
    pair.mirror("detach", &[pair.v().to_str().expect("plain names")])
        .ok();
}

#[test]
fn clones_killed_at_every_call() {
    need!("strace");
    let ops = &["clone", "clone_range"];
    on_loops(Kind::InPlace, FsType::Xfs, FsType::Xfs, |pair| {
        sweep(pair, ops, false)
    });
    on_loops(Kind::Link, FsType::Xfs, FsType::Ext4, |pair| {
        sweep(pair, ops, true)
    });
}

#[test]
fn a_full_second_leg_shortens_and_loses_nothing() {
    on_loops(Kind::InPlace, FsType::Ext4, FsType::Ext4, |pair| {
        if helper(pair).is_none() {
            return;
        }
        pair.bypass("cat /dev/zero > $B/../fill; sync $B/../fill; truncate -s -1M $B/../fill; sync $B/../fill");
        let o = pair.run("$P/copies full").ok();
        let lines: Vec<String> = o
            .text()
            .lines()
            .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(lines[0], "sendfile ENOSPC 1", "{o:?}");
        assert_eq!(lines[1], "copy_file_range EBADF");
        assert!(lines[2].ends_with("all there 1"), "{o:?}");
        assert!(lines[3].starts_with("zero ENOSPC 0:"), "{o:?}");
        pair.assert_equal();
    });
}

const PROGRAMS: &str = r##"
cd $V
python3 -B -c 'import sys; sys.stdout.buffer.write(bytes((i * i >> 7) & 255 for i in range(1500000)))' > $S/big
cp $S/big one; cp one two; cp --reflink=auto one three; cp --sparse=always one four; cp -a one five; install -m 600 one six
cat one > seven; cat $S/big >> seven; cat < one | cat > eight; dd if=one of=nine bs=64k status=none; truncate -s 3M hole; cp hole ten; cp --sparse=never hole eleven
cmp one two; cmp two three; cmp three four; cmp four five; cmp five six; cmp one eight; cmp one nine; cmp ten eleven; cksum *
rsync -a one $S/r; rsync -a --inplace $S/r rs; rsync -aS hole rh; cksum rs rh
tar cf t.tar one hole; mkdir x; tar xf t.tar -C x; tar xSf t.tar -C $S; cmp x/one one; cmp $S/hole hole; rm t.tar
mv $S/r moved; split -b 400000 one part.; cat part.* | cmp - one
cat > $S/t.py <<'PY'
import os, shutil, socket
shutil.copyfile('one', 'p1'); shutil.copy2('p1', os.environ['S'] + '/p2'); shutil.copy(os.environ['S'] + '/p2', 'p3')
a = os.open('one', os.O_RDONLY); b = os.open('p4', os.O_CREAT | os.O_RDWR, 0o644)
print(os.copy_file_range(a, b, 5000000), os.lseek(a, 0, 1), os.lseek(b, 0, 1))
print(os.copy_file_range(a, b, 1000, 7, 9), os.sendfile(b, a, 100, 5000), os.lseek(b, 0, 1))
r, w = os.pipe(); os.write(w, b'piped' * 100); print(os.splice(r, b, 300, offset_dst=70000), os.splice(r, b, 300))
x, y = socket.socketpair(); print(os.sendfile(x.fileno(), b, 0, 1000), len(y.recv(5000)))
x.sendall(b'socket' * 50); print(os.splice(y.fileno(), w, 300), os.splice(r, b, 300)); os.fsync(b); os.close(b)
os.posix_fallocate(os.open('p5', os.O_CREAT | os.O_WRONLY), 0, 100000)
PY
python3 -B $S/t.py; rm $S/t.py; cksum p*; stat -c '%s %a %n' *"##;

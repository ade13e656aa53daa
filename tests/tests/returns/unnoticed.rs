//! What a program does while leg b comes, goes and comes is answered as a plain directory answers it: what leg b, on
//! its way back, cannot take costs the return, never an error.
use super::failing::comes_back_at_last;
use super::*;
use mirror_tests::compile;
use std::process::{Child, Stdio};

const WALK: &str = concat!(
    include_str!("../../programs/walk.c"),
    include_str!("../../programs/walk_more.h")
);

/// Leaves leg b behind and brings it back until the programs have ended; how often it was back.
fn comes_and_goes(p: &Pair, programs: &mut [Child]) -> u32 {
    let mut ended = || {
        let mut ends = programs.iter_mut().map(|c| c.try_wait().unwrap());
        ends.all(|e| e.is_some())
    };
    let mut back = 0;
    while !ended() {
        offline(p);
        // Programs may have files mapped, or leave it behind again: then it is typed again.
        while online(p).code != 0 {
            if ended() {
                return back;
            }
        }
        back += 1;
    }
    back
}

/// The lines of a walk, but for the sums of what is loaded from mappings: behind the end of a file that was cut short
/// since, the kernel clears when the file is written down, also in a plain directory.
fn stable(text: &str) -> Vec<&str> {
    let cut = |l: &'_ str| l.find(" load ").and_then(|_| l.find(" = "));
    text.lines()
        .map(|l| &l[..cut(l).unwrap_or(l.len())])
        .collect()
}

/// Random programs with threads, forks and mappings, two at a time.
#[test]
fn random_programs() {
    let p = pair(Kind::InPlace);
    // Who was executed since leg b came back cannot map what has no name (LIMITS.md).
    let source = WALK.replace("O_TMPFILE, ", "");
    if compile(&p.programs(), "walk", &source).is_none() {
        return;
    }
    let walks: Vec<Vec<u64>> = [1, 1001].map(|n| (n..n + 24).collect()).into();
    let run = |seed: u64| format!("mkdir $V/{seed} && $P/walk $V/{seed} {seed} 1500");
    let natively: Vec<Vec<Output>> = walks
        .iter()
        .map(|w| w.iter().map(|s| p.plain(&run(*s))).collect())
        .collect();
    let mut programs: Vec<Child> = walks
        .iter()
        .map(|w| {
            let each = w.iter().map(|s| format!("{{ {}; }} > $S/{s}", run(*s)));
            let script = format!("set -e; {}", each.collect::<Vec<_>>().join("; "));
            p.command("bash").args(["-c", &script]).spawn().unwrap()
        })
        .collect();
    let back = comes_and_goes(&p, &mut programs);
    for (mut child, (seeds, natively)) in programs.into_iter().zip(walks.iter().zip(&natively)) {
        for (seed, native) in seeds.iter().zip(natively) {
            let text = fs::read_to_string(p.scratch().join(seed.to_string())).unwrap();
            let native = native.text();
            let (native, text) = (stable(&native), stable(&text));
            let first = native.iter().zip(&text).find(|(n, m)| n != m);
            assert!(native == text, "seed {seed}: {first:?}");
        }
        assert!(child.wait().unwrap().success());
    }
    assert!(back > 2, "{back}");
    // And nothing that the programs have done is said to have gone past the mirror.
    let o = online(&p);
    assert_eq!(o.code, 0, "{o:?}");
    in_sync(&p);
    p.assert_equal();
    p.assert_like_native();
}

/// Programs that begin at any time: each looks for the pair anew.
#[test]
fn programs_that_begin() {
    let p = pair(Kind::InPlace);
    let script = "set -e; cd $V; for i in $(seq 150); do mkdir -p d$0; echo $i > d$0/f; echo more >> d$0/f; mv d$0/f d$0/g$((i % 5)); ln -f d$0/g$((i % 5)) d$0/h; rm d$0/h; (echo x | tee -a d$0/t > /dev/null); touch s$0; rm s$0; done";
    let mut programs: Vec<Child> = (0..2)
        .map(|n| {
            let mut c = p.preloaded("bash");
            c.args(["-c", script, &n.to_string()])
                .stderr(Stdio::piped());
            c.spawn().unwrap()
        })
        .collect();
    let back = comes_and_goes(&p, &mut programs);
    for child in programs {
        let o = child.wait_with_output().unwrap();
        assert!(o.status.success() && o.stderr.is_empty(), "{o:?}");
    }
    assert!(back > 2, "{back}");
    comes_back_at_last(&p);
    p.assert_equal();
}

/// A program whose nth call of this kind takes a while, in which `meanwhile` is done. False: it has fewer.
fn held_up(p: &Pair, (call, n): (&str, u32), program: &[&str], meanwhile: impl FnOnce()) -> bool {
    let log = p.scratch().join("held");
    let _ = fs::remove_file(&log);
    let inner = p.preloaded(program[0]);
    let mut c = Command::new("strace");
    c.args(["-f", "-qq", "-o"]).arg(&log);
    c.args(["-e", &format!("trace={call}"), "-e"]);
    c.arg(format!("inject={call}:delay_enter=600ms:when={n}"));
    c.arg(inner.get_program()).args(program);
    c.env_clear();
    c.envs(inner.get_envs().filter_map(|(k, v)| Some((k, v?))));
    let mut child = c.stderr(Stdio::piped()).spawn().unwrap();
    // It has come to that call.
    let made = || fs::read_to_string(&log).map_or(0, |t| t.lines().count());
    while made() + 1 < n as usize && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    meanwhile();
    let o = child.wait_with_output().unwrap();
    assert!(
        o.status.success() && o.stderr.is_empty(),
        "{call} {n} of {program:?}: {o:?}"
    );
    fs::read_to_string(&log).unwrap().contains("(DELAYED)")
}

/// Leg b comes back, or is left behind, between any two of a program's first calls.
#[test]
fn between_two_calls() {
    need!("strace");
    let p = Pair::bare(Kind::InPlace, Fs::Plain).expect("plain folders");
    p.init(&["--on-failure", "degrade", "--locks", "flock"])
        .ok();
    p.run("echo 0 > $V/f").ok();
    let file = p.a().join("f");
    let program = ["truncate", "-s", "3", file.to_str().unwrap()];
    for call in ["flock", "openat2"] {
        let (mut came, mut left) = (0, 0);
        for n in 1..40 {
            println!("{call} {n}");
            offline(&p);
            came += u32::from(held_up(&p, (call, n), &program, || {
                online(&p);
            }));
            comes_back_at_last(&p);
            both_have(&p, "f", "0\n\0");
            let more = held_up(&p, (call, n), &program, || offline(&p));
            left += u32::from(more);
            comes_back_at_last(&p);
            both_have(&p, "f", "0\n\0");
            if !more {
                break;
            }
        }
        assert!(came > 1 && left > 1, "{call}: {came} {left}");
    }
}

/// Leg b is on its way back, and nobody brings it: `leg online` was killed.
pub(super) fn on_its_way(p: &Pair) {
    for n in (20..400).step_by(20) {
        offline(p);
        if online_killed_at(p, "openat", n) == Some(LegB::Joining) {
            return;
        }
    }
    panic!("it was never on its way");
}

/// What stands in the way on leg b, or is another object there, is no error of the program.
#[test]
fn what_leg_b_cannot_take() {
    need!("strace", "python3");
    for (before, away, change) in [
        // Two names of one file, which leg b lacks: nothing that a repair in a program makes.
        (
            "mkdir z",
            "echo 1 > z/x; ln z/x z/y",
            "done(open(V+'/z/x','w').write('new'))",
        ),
        (
            "mkdir z",
            "echo 1 > z/x; ln z/x z/y",
            "done(open(V+'/z/x','a').write('new'))",
        ),
        (
            "mkdir z",
            "echo 1 > z/x; ln z/x z/y",
            "os.close(os.open(V+'/z/x',os.O_RDONLY|os.O_TRUNC))",
        ),
        (
            "mkdir z",
            "echo 1 > z/x; ln z/x z/y",
            "os.truncate(V+'/z/x',1)",
        ),
        (
            "mkdir z",
            "echo 1 > z/x; ln z/x z/y",
            "os.chmod(V+'/z/x',0o600)",
        ),
        (
            "mkdir z",
            "echo 1 > z/x; ln z/x z/y",
            "os.link(V+'/z/x',V+'/z/w')",
        ),
        (
            "mkdir z",
            "echo 1 > z/x; ln z/x z/y",
            "os.rename(V+'/z/x',V+'/z/w')",
        ),
        ("mkdir z", "echo 1 > z/x; ln z/x z/y", "os.unlink(V+'/z/x')"),
        // A directory there with something in it, nothing here.
        (
            "mkdir d; echo 1 > d/in",
            "rm -r d",
            "done(open(V+'/d','w').write('new'))",
        ),
        ("mkdir d; echo 1 > d/in", "rm -r d", "os.mkdir(V+'/d')"),
        (
            "mkdir d; echo 1 > d/in; echo x > x",
            "rm -r d",
            "os.rename(V+'/x',V+'/d')",
        ),
        (
            "mkdir d; echo 1 > d/in; echo x > x",
            "rm -r d",
            "os.link(V+'/x',V+'/d')",
        ),
        // A file there, a directory here.
        (
            "echo 1 > d",
            "rm d; mkdir d; echo 2 > d/in",
            "done(open(V+'/d/in','a').write('more'))",
        ),
        (
            "echo 1 > d",
            "rm d; mkdir d",
            "os.fsync(os.open(V+'/d',os.O_RDONLY))",
        ),
    ] {
        println!("{before}; {away}; {change}");
        let p = pair(Kind::InPlace);
        p.run(&format!(
            "cd $V; mkdir many; for i in $(seq 200); do echo $i > many/$i; done; {before}"
        ))
        .ok();
        let mut stays = python(&p, "def done(x): pass");
        stays.does("done(os.stat(V))");
        offline(&p);
        p.run(&format!("cd $V; {away}")).ok();
        on_its_way(&p);
        stays.does(change);
        let mut native = python(&p, "def done(x): pass");
        native.does("done(os.stat(V))");
        native.end();
        stays.end();
        comes_back_at_last(&p);
        p.assert_equal();
    }
}

/// What was mapped before and renamed meanwhile is carried over again afterwards.
#[test]
fn mapped_and_renamed() {
    need!("python3");
    let p = pair(Kind::InPlace);
    p.run("mkdir $V/d; head -c 8192 /dev/zero > $V/map; cp $V/map $V/gone")
        .ok();
    let code = "m={}\ndef begin(n):\n  f=open(V+'/'+n,'r+b'); m[n]=(f,mmap.mmap(f.fileno(),0))\ndef put(n,i,s): m[n][1][i:i+len(s)]=s\ndef flush(n): m[n][1].flush()\ndef again(n): return mmap.mmap(m[n][0].fileno(),0)";
    let mut w = python(&p, code);
    for n in ["map", "gone"] {
        w.does(&format!("begin('{n}')"));
        w.does(&format!("put('{n}',0,b'one')"));
        w.does(&format!("flush('{n}')"));
    }
    offline(&p);
    p.run("mv $V/map $V/d/moved; rm $V/gone").ok();
    comes_back(&p);
    for n in ["map", "gone"] {
        w.does(&format!("put('{n}',5,b'two')"));
        w.does(&format!("flush('{n}')"));
        // A further mapping of the same file.
        w.does(&format!("again('{n}').close()"));
    }
    for leg in [p.a(), p.b()] {
        assert_eq!(&fs::read(leg.join("d/moved")).unwrap()[..8], b"one\0\0two");
    }
    w.end();
    in_sync(&p);
    p.assert_equal();
}

/// A file without a name is mapped like any other while leg b is away, and so it is while that is on its way back.
#[test]
fn a_nameless_file_is_mapped() {
    need!("python3", "strace");
    let code = "def begin():\n  global f,m\n  f=os.open(V,os.O_TMPFILE|os.O_RDWR); os.ftruncate(f,4096)\ndef map():\n  global m\n  m=mmap.mmap(f,4096); m[0:3]=b'abc'; m.flush()\ndef name(): os.link(f'/proc/self/fd/{f}',V+'/named',src_dir_fd=f,follow_symlinks=True)";
    for joining in [false, true] {
        let p = pair(Kind::InPlace);
        p.run("mkdir $V/many; for i in $(seq 200); do echo $i > $V/many/$i; done")
            .ok();
        let mut w = python(&p, code);
        w.does("os.mkdir(V+'/d')");
        offline(&p);
        w.does("begin()");
        if joining {
            on_its_way(&p);
        }
        w.does("map()");
        let o = match joining {
            true => LegB::Joining,
            false => LegB::Away,
        };
        assert_eq!(Words::of(&p).leg_b(), o);
        let o = online(&p);
        match joining {
            // It has no part there, and gets one with its name.
            true => assert!(o.code == 0, "{o:?}"),
            false => assert!(o.code == 1 && o.text().contains("mapped"), "{o:?}"),
        }
        w.does("name()");
        w.end();
        comes_back_at_last(&p);
        p.assert_equal();
        assert_eq!(&fs::read(p.b().join("named")).unwrap()[..3], b"abc");
    }
}

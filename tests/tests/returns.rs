//! Leg b comes back under programs that run on: none is started anew, none gets an error, and what they do before,
//! meanwhile and after is on both legs. Compared from outside, with tools that know nothing of the mirror.
use mirror_tests::words::{LegB, Words};
use mirror_tests::{Fs, Kind, Level, Output, Pair, Told, Tree, need, need_system_view};
use std::fs;
use std::process::Command;

#[path = "returns/failing.rs"]
mod failing;
#[path = "returns/nameless.rs"]
mod nameless;
#[path = "returns/stays_open.rs"]
mod stays_open;
#[path = "returns/unnoticed.rs"]
mod unnoticed;

fn pair(kind: Kind) -> Pair {
    let p = Pair::bare(kind, Fs::Plain).expect("plain folders");
    p.init(&["--on-failure", "degrade"]).ok();
    p
}

fn v(p: &Pair) -> &str {
    p.v().to_str().unwrap()
}

fn offline(p: &Pair) {
    p.mirror("leg", &["offline", v(p), "b"]).ok();
}

fn online(p: &Pair) -> Output {
    p.mirror("leg", &["online", v(p), "b", "--yes"])
}

#[track_caller]
fn comes_back(p: &Pair) {
    let o = online(p);
    assert!(o.code == 0 && o.text().contains("IN SYNC"), "{o:?}");
    in_sync(p);
}

#[track_caller]
fn in_sync(p: &Pair) {
    let o = p.mirror("status", &[v(p)]);
    assert!(
        o.code == 0 && o.text().contains("state     IN SYNC\n"),
        "{o:?}"
    );
}

/// Python; its functions are in `code`, each line that it is told is one expression.
fn python(p: &Pair, code: &str) -> Told {
    let rest = "\nfor line in sys.stdin:\n  try:\n    r=eval(line)\n    print('yes' if r is None else r,flush=True)\n  except BaseException as e:\n    print('no',repr(e),flush=True)";
    let head = "import os,sys,threading,mmap\nV=os.environ['V']\n";
    Told::python(p, &format!("{head}{code}{rest}"))
}

#[track_caller]
fn both_have(p: &Pair, rel: &str, what: &str) {
    for leg in [p.a(), p.b()] {
        let found = fs::read_to_string(leg.join(rel));
        assert_eq!(found.unwrap(), what, "{}/{rel}", leg.display());
    }
}

/// What there is before.
const BEFORE: &str = "cd $V; mkdir -p d/e dir tree/x; echo one > d/e/one; echo two > two; echo three > dir/three; echo f > tree/x/f; echo gone > gone; echo cut-me > cut; echo log > log; ln two hard; echo swap > s1; echo pawn > s2";
/// Every kind of change while leg b is away.
const AWAY: &str = "set -e; cd $V; rm gone; mv d/e/one d/uno; echo more >> two; truncate -s 2 cut; chmod 640 two; mkdir new; echo n > new/n; mv dir moved; rm -r tree; ln -s two soft; ln moved/three third; rm hard; mkfifo fifo; mv s1 s3; mv s2 s1; mv s3 s2";

/// Descriptors and a directory from before, from meanwhile, and new ones: all of them lead to both legs afterwards.
#[test]
fn programs_run_on_across_the_return() {
    for kind in [Kind::InPlace, Kind::Link] {
        let p = pair(kind);
        p.run(BEFORE).ok();
        let mut one = Told::shell(&p);
        one.does(
            "exec 7>>\"$V/log\" 8<>\"$V/d/e/one\" 9<>\"$V/gone\" && echo 1 >&7 && cd \"$V/dir\"",
        );
        let mut idle = Told::shell(&p);
        idle.does("exec 7>>\"$V/two\" && cd \"$V/d/e\" && true >&7");
        offline(&p);
        p.run(AWAY).ok();
        one.does("echo 2 >&7 && echo UNO >&8 && echo lost >&9 && echo rel > rel");
        one.does("exec 6>\"$V/meanwhile\" && echo m >&6");
        let b = Tree::read(p.b());
        comes_back(&p);
        assert!(
            !b.differences(&Tree::read(p.b()), Level::Strict)
                .0
                .is_empty()
        );
        p.assert_equal();
        one.does("echo 3 >&7 && echo DUE >&8 && echo lost >&9 && echo rel2 >> rel && echo m2 >&6");
        idle.does("echo idle >&7 && echo here > here");
        one.does(
            "mv \"$V/moved\" \"$V/again\" && echo r >> rel && rm \"$V/soft\" && sync \"$V/log\"",
        );
        both_have(&p, "log", "log\n1\n2\n3\n");
        both_have(&p, "d/uno", "UNO\nDUE\n");
        both_have(&p, "two", "two\nmore\nidle\n");
        both_have(&p, "again/rel", "rel\nrel2\nr\n");
        both_have(&p, "meanwhile", "m\nm2\n");
        both_have(&p, "d/e/here", "here\n");
        one.end();
        idle.end();
        in_sync(&p);
        p.assert_equal();
        p.verify().ok();
    }
}

/// A program that knows of nothing, since it has done nothing meanwhile, does not write to what was leg b before.
#[test]
fn what_was_leg_b_is_written_by_nobody() {
    let p = pair(Kind::InPlace);
    p.run("cd $V; echo 0 > log; mkdir d; echo x > d/x").ok();
    let mut idle = Told::shell(&p);
    idle.does("exec 7>>\"$V/log\" && true >&7 && cd \"$V/d\"");
    offline(&p);
    // Another directory comes to its place, with other inodes: a restored copy.
    let old = p.b().with_extension("old");
    fs::rename(p.b(), &old).unwrap();
    let s = Command::new("cp")
        .arg("-a")
        .args([&old, &p.b().to_path_buf()])
        .status();
    assert!(s.unwrap().success());
    let before = Tree::read(&old);
    comes_back(&p);
    idle.does("echo 1 >&7 && echo y > y && sync \"$V/log\" && echo z > \"$B/z\"");
    both_have(&p, "log", "0\n1\n");
    both_have(&p, "d/y", "y\n");
    both_have(&p, "z", "z\n");
    let d = before.differences(&Tree::read(&old), Level::Strict);
    assert!(d.0.is_empty(), "{d}");
    // Whoever comes now, and who is a child of who was there, is of the same pair.
    p.run("echo 2 >> $V/log").ok();
    idle.does("bash -c 'echo 3 >> \"$V/log\"' && (echo 4 >&7)");
    both_have(&p, "log", "0\n1\n2\n3\n4\n");
    idle.end();
    in_sync(&p);
    p.assert_equal();
}

/// Who appends records and says so, without an end, until it is told.
const WRITER: &str = r"
stop=False
def writer(name,files=3,work=None):
  n=0
  fd=[os.open(f'{V}/{name}.{i}',os.O_WRONLY|os.O_CREAT|os.O_APPEND,0o644) for i in range(files)]
  while not stop:
    for f in fd: os.write(f,b'%d\n'%n)
    if work: work(n)
    n+=1
  return n
def names(n):
  d=f'{V}/names'; os.makedirs(d,exist_ok=True)
  open(f'{d}/t{n%7}','w').write(str(n))
  os.rename(f'{d}/t{n%7}',f'{d}/f{n%5}')
  if n%3==0: os.replace(f'{d}/f{n%5}',f'{d}/g')
count={}
def begin(name,work=None):
  def run(): count[name]=writer(name,2,work)
  t=threading.Thread(target=run); t.start(); count[name]=t
def forks(n):
  if n%20==0:
    p=os.fork()
    if p==0:
      open(f'{V}/child','a').write(f'{n}\n'); os._exit(0)
    os.waitpid(p,0)
  if n%50==0: os.posix_spawn('/bin/sh',['sh','-c','echo $0 >> $V/spawned',str(n)],os.environ)
def finish():
  global stop
  stop=True
  for t in threading.enumerate():
    if t is not threading.current_thread(): t.join()
  try:
    while True: os.wait()
  except ChildProcessError: pass
def lines(name,i): return [int(x) for x in open(f'{V}/{name}.{i}')]
def check(name): assert all(lines(name,i)==list(range(count[name])) for i in range(2)) and count[name]>0
";

/// Threads write, rename and start processes all the time while the leg goes and comes, more than once.
#[test]
fn writers_go_on_through_it() {
    need!("python3");
    let p = pair(Kind::InPlace);
    p.run("mkdir $V/many; for i in $(seq 200); do echo $i > $V/many/$i; done")
        .ok();
    let mut w = python(&p, WRITER);
    let mut other = python(&p, WRITER);
    w.does("begin('a',names)");
    w.does("begin('b')");
    other.does("begin('c',forks)");
    for round in 0..2 {
        offline(&p);
        p.run(&format!("set -e; cd $V/many; for i in $(seq 50); do echo {round} >> $i; done; rm 1{round}; mkdir m{round}; mv 19{round} m{round}/")).ok();
        comes_back(&p);
    }
    w.does("finish()");
    other.does("finish()");
    for (who, name) in [(&mut w, "a"), (&mut other, "c")] {
        who.does(&format!("check('{name}')"));
    }
    w.does("check('b')");
    w.end();
    other.end();
    in_sync(&p);
    p.assert_equal();
}

/// `leg online`, killed at the nth of these calls: how leg b stood then. `None`: it ended before.
fn online_killed_at(p: &Pair, call: &str, n: u32) -> Option<LegB> {
    let c = p.mirror_command("leg");
    let o = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .args([&format!("trace={call}"), "-e"])
        .arg(format!("inject={call}:signal=KILL:when={n}"))
        .arg(c.get_program())
        .args(["leg", "online", v(p), "b", "--yes"])
        .envs(c.get_envs().filter_map(|(k, v)| Some((k, v?))))
        .output()
        .unwrap();
    if o.status.code().is_some() {
        assert!(o.status.success(), "{o:?}");
        return None;
    }
    Some(Words::of(p).leg_b())
}

/// Whoever is killed on the way, the same command goes on, and nothing that was said to be done is lost.
#[test]
fn killed_on_the_way() {
    need!("python3", "strace");
    let p = pair(Kind::InPlace);
    p.run("mkdir $V/many; for i in $(seq 300); do echo $i > $V/many/$i; done")
        .ok();
    let mut stays = python(&p, WRITER);
    stays.does("begin('stays',names)");
    let mut joining = 0;
    for (round, n) in [100, 200, 300, 400].into_iter().enumerate() {
        let mut dies = python(&p, &format!("{WRITER}\ndef say(n): print(n,flush=True)"));
        dies.tell(&format!("writer('dies{round}',1,say)"));
        assert_eq!(dies.line(), "0");
        offline(&p);
        p.run("cd $V/many; for i in *; do echo more >> $i; done")
            .ok();
        let met = online_killed_at(&p, "openat", n);
        joining += u32::from(met == Some(LegB::Joining));
        dies.signal(libc::SIGKILL);
        dies.ended();
        let said = dies.drain();
        let said: usize = said.last().map_or(0, |n| n.parse().expect(n));
        if met.is_some_and(|b| b != LegB::InSync) {
            comes_back(&p);
        }
        let want: Vec<String> = (0..=said).map(|n| n.to_string()).collect();
        for leg in [p.a(), p.b()] {
            let text = fs::read_to_string(leg.join(format!("dies{round}.0"))).unwrap();
            let have: Vec<&str> = text.lines().take(want.len()).collect();
            assert_eq!(have, want, "{}", leg.display());
        }
    }
    assert!(joining > 1, "{joining}");
    stays.does("finish()");
    stays.does("check('stays')");
    stays.end();
    // What the killed had begun has been ended by the next.
    assert_eq!(p.resync().code, 0);
    in_sync(&p);
    p.assert_equal();
}

/// One that is stopped keeps nobody: the others go on, and the leg comes back without it.
#[test]
fn a_stopped_program_keeps_nobody() {
    let p = pair(Kind::InPlace);
    p.run("echo 0 > $V/log").ok();
    let mut stopped = Told::shell(&p);
    stopped.does("exec 7>>\"$V/log\" && echo 1 >&7");
    let mut other = Told::shell(&p);
    offline(&p);
    stopped.does("echo 2 >&7");
    stopped.signal(libc::SIGSTOP);
    stopped.tell("echo 4 >&7");
    other.does("echo 3 >> \"$V/log\"");
    comes_back(&p);
    other.does("echo o > \"$V/o\"");
    both_have(&p, "log", "0\n1\n2\n3\n");
    both_have(&p, "o", "o\n");
    stopped.signal(libc::SIGCONT);
    assert_eq!(stopped.line(), "yes");
    both_have(&p, "log", "0\n1\n2\n3\n4\n");
    stopped.end();
    other.end();
    in_sync(&p);
    p.assert_equal();
}

/// A database in one connection, and commits one after the other.
#[test]
fn databases_and_repositories() {
    need!("sqlite3", "git", "python3");
    let p = pair(Kind::InPlace);
    let db = "import sqlite3\nc=sqlite3.connect(V+'/db')\nc.execute('create table t(n integer primary key, s text)')\nc.commit()\ndef add(a,b):\n  for n in range(a,b):\n    c.execute('insert into t values(?,?)',(n,'x'*500)); c.commit()\ndef count(): return c.execute('select count(*) from t').fetchone()[0]\ndef integrity(): return c.execute('pragma integrity_check').fetchone()[0]";
    let mut base = python(&p, db);
    base.does("add(0,20)");
    let mut git = Told::shell(&p);
    git.does("export HOME=$V/.home GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b; cd \"$V\" && git init -q r && cd r && echo 1 > f && git add f && git commit -qm 1");
    offline(&p);
    base.does("add(20,40)");
    git.does("echo 2 > f && git commit -qam 2 && git gc -q");
    comes_back(&p);
    base.does("add(40,60)");
    git.does("echo 3 > f && git commit -qam 3");
    base.tell("(count(),integrity())");
    assert_eq!(base.line(), "(60, 'ok')");
    base.end();
    git.end();
    in_sync(&p);
    p.assert_equal();
    for leg in [p.a(), p.b()] {
        let o = Command::new("sqlite3")
            .arg(leg.join("db"))
            .arg("select count(*) from t; pragma integrity_check")
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&o.stdout), "60\nok\n");
        let repo = leg.join("r");
        let o = Command::new("git")
            .args([
                "-c",
                "safe.directory=*",
                "-C",
                repo.to_str().unwrap(),
                "rev-list",
                "--count",
                "HEAD",
            ])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&o.stdout), "3\n");
    }
}

/// What was mapped before is carried over again afterwards, also by one that has done nothing meanwhile.
#[test]
fn mappings_go_on() {
    need!("python3");
    let p = pair(Kind::InPlace);
    p.run("head -c 8192 /dev/zero > $V/map; cp $V/map $V/idle")
        .ok();
    let code = "def at(name):\n  f=open(V+'/'+name,'r+b')\n  return mmap.mmap(f.fileno(),0)\nm={}\ndef begin(n): m[n]=at(n)\ndef put(n,i,s): m[n][i:i+len(s)]=s\ndef end(n): m.pop(n).close()";
    let mut w = python(&p, code);
    w.does("begin('map')");
    w.does("begin('idle')");
    w.does("put('map',0,b'one')");
    w.does("m['map'].flush()");
    offline(&p);
    w.does("put('map',4096,b'two')");
    w.does("m['map'].flush()");
    w.does("put('idle',5,b'x')");
    comes_back(&p);
    w.does("put('map',10,b'three')");
    w.does("m['map'].flush()");
    w.does("put('idle',6,b'y')");
    w.does("end('idle')");
    let text = |leg: &std::path::Path, name| fs::read(leg.join(name)).unwrap();
    for name in ["map", "idle"] {
        assert_eq!(text(p.a(), name), text(p.b(), name), "{name}");
    }
    assert_eq!(&text(p.b(), "map")[10..15], b"three");
    assert_eq!(&text(p.b(), "idle")[5..7], b"xy");
    w.end();
    in_sync(&p);
    p.assert_equal();
}

/// A database with a log beside it, whose index is mapped.
#[test]
fn a_database_with_a_mapped_index() {
    need!("sqlite3", "python3");
    let p = pair(Kind::InPlace);
    let db = "import sqlite3\nc=sqlite3.connect(V+'/db')\nc.execute('pragma journal_mode=wal')\nc.execute('create table t(n integer primary key, s text)')\nc.commit()\ndef add(a,b):\n  for n in range(a,b):\n    c.execute('insert into t values(?,?)',(n,'x'*500)); c.commit()\ndef all(): return (c.execute('select count(*) from t').fetchone()[0], c.execute('pragma integrity_check').fetchone()[0])";
    let mut base = python(&p, db);
    base.does("add(0,20)");
    offline(&p);
    base.does("add(20,40)");
    comes_back(&p);
    base.does("add(40,60)");
    base.tell("all()");
    assert_eq!(base.line(), "(60, 'ok')");
    base.does("c.close()");
    base.end();
    in_sync(&p);
    p.assert_equal();
}

/// It fails again on the way, or afterwards: as the first time.
#[test]
fn it_leaves_again() {
    let p = pair(Kind::InPlace);
    p.run("echo 0 > $V/log").ok();
    let mut s = Told::shell(&p);
    s.does("exec 7>>\"$V/log\" && echo 1 >&7");
    for n in 0..3 {
        offline(&p);
        let b = Tree::read(p.b());
        s.does(&format!("echo a{n} >&7 && echo {n} > \"$V/f{n}\""));
        let d = b.differences(&Tree::read(p.b()), Level::Strict);
        assert!(d.0.is_empty(), "{d}");
        comes_back(&p);
        s.does(&format!("echo b{n} >&7"));
        assert_eq!(
            fs::read_to_string(p.a().join("log")).unwrap(),
            fs::read_to_string(p.b().join("log")).unwrap()
        );
    }
    s.end();
    in_sync(&p);
    p.assert_equal();
}

/// The command is killed on the way, and leg b's disk is gone then: programs go on with leg a, old and new ones.
#[test]
fn it_is_gone_on_the_way() {
    need!("strace");
    need_system_view!();
    let (p, mut whole, mut joining) = (pair(Kind::InPlace), false, 0);
    let (mut s, aside) = (Told::shell(&p), p.b().with_extension("aside"));
    for n in 1..60 {
        offline(&p);
        let Some(met) = online_killed_at(&p, "flock", n) else {
            whole = true;
            break;
        };
        joining += u32::from(met == LegB::Joining);
        if met == LegB::InSync {
            continue;
        }
        fs::rename(p.b(), &aside).unwrap();
        fs::create_dir(p.b()).unwrap();
        p.run(&format!("echo new > $V/g{n}")).ok();
        s.does(&format!("echo s{n} >> \"$V/log\""));
        fs::remove_dir(p.b()).unwrap();
        fs::rename(&aside, p.b()).unwrap();
    }
    assert!(whole && joining > 0, "{whole} {joining}");
    s.does("echo end >> \"$V/log\"");
    s.end();
    in_sync(&p);
    p.assert_equal();
}

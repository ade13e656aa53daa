//! A program that has given its rights up can open no lock any more: its children share its descriptions, and take
//! turns. They keep each other out, and end what one of them that was killed has left; so do others after them.
use mirror_tests::{Fs, Kind, Level, Pair, Talker, need};

const PROGRAM: &str = r#"
import os, signal
v = os.environ["V"]
os.mkdir(v + "/d"); os.chmod(v + "/d", 0o777)
open(v + "/d/log", "w").close(); os.chmod(v + "/d/log", 0o666)
os.setgroups([]); os.setresgid(61003, 61003, 61003); os.setresuid(61003, 61003, 61003)
said, says = os.pipe()

def work(name, rounds, tell=False):
    log = os.open(v + "/d/log", os.O_WRONLY | os.O_APPEND)
    i = 0
    while i != rounds:
        os.write(log, b"%d\n" % name)
        path = "%s/d/%d-%d" % (v, name, i % 8)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.rename(path, path + ".r")
        i += 1
        if tell: os.write(says, b".")

def child(*what):
    pid = os.fork()
    if not pid:
        work(*what)
        os._exit(0)
    return pid

for turn in range(1, 9):
    children = [child(turn * 10 + n, 12) for n in range(2)]
    victim = child(turn, -1, True)
    # It is somewhere in a change, or between two.
    for _ in range(turn): os.read(said, 1)
    os.kill(victim, signal.SIGKILL); os.waitpid(victim, 0)
    work(turn * 10 + 9, 3)
    for pid in children: assert os.waitpid(pid, 0)[1] == 0
print("ended")
"#;

fn family(locks: &str) {
    need!(root);
    need!("python3");
    let pair = Pair::bare(Kind::InPlace, Fs::Plain).expect("plain folders");
    pair.init(&["--locks", locks]).ok();
    let mut t = Talker::start(pair.preloaded("/usr/bin/python3").args(["-c", PROGRAM]));
    assert_eq!(t.line(), "ended");
    assert_eq!(t.end(), 0);
    // Whoever comes next meets nothing that it would wait for.
    let others = "echo end >> $V/d/log; mkdir $V/e; mv $V/e $V/d/e";
    let mut t = Talker::start(pair.preloaded("bash").args(["-euc", others]));
    assert_eq!(t.end(), 0);
    pair.assert_legs(Level::NoTimes);
    // Each line of those who were not killed is there once.
    let log = std::fs::read_to_string(pair.b().join("d/log")).unwrap();
    for turn in 1..9 {
        for (who, lines) in [(turn * 10, 12), (turn * 10 + 1, 12), (turn * 10 + 9, 3)] {
            let its = log.lines().filter(|l| **l == who.to_string()).count();
            assert_eq!(its, lines, "{who}");
        }
    }
}

#[test]
fn with_words() {
    family("memory");
}

#[test]
fn with_flocks() {
    family("flock");
}

//! What is remembered of a description that is one process's alone ends when it is not: whoever else sets
//! O_APPEND, or moves the position, does so for the next write too, as in a plain directory.
use mirror_tests::{Fs, Kind, Pair, compile, need};
use std::fs;

/// Who does it, and how: `do` gets the descriptor's number.
const SCRIPT: &str = r#"
import array, fcntl, os, socket, subprocess, sys, threading
act, who = sys.argv[1:3]
f = os.open("f", os.O_CREAT | os.O_RDWR, 0o644)
os.write(f, b"0123456789")
os.pwrite(f, b"ab", 2)
what = {
    "append": "fcntl.fcntl(n, fcntl.F_SETFL, fcntl.fcntl(n, fcntl.F_GETFL) | os.O_APPEND)",
    "seek": "os.lseek(n, 4, os.SEEK_SET)",
    "read": "os.lseek(n, 0, os.SEEK_SET); os.read(n, 3)",
}[act]
def do(n): exec(what, {"fcntl": fcntl, "os": os, "n": n})
def forked():
    if os.fork() == 0:
        do(f); os._exit(0)
    os.wait()
def spawned():
    code = "import fcntl, os; n = %d; %s" % (f, what)
    subprocess.run(["python3", "-c", code], close_fds=False, check=True)
def threaded():
    t = threading.Thread(target=do, args=(f,)); t.start(); t.join()
def sent():
    # To a process that was there before: it has the description from the message alone.
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    pid = os.fork()
    if pid == 0:
        os.close(f)
        _, anc, _, _ = b.recvmsg(1, socket.CMSG_SPACE(4))
        do(array.array("i", anc[0][2])[0]); os._exit(0)
    g = os.open("g", os.O_CREAT | os.O_RDWR, 0o644)
    os.write(g, b"0123456789")
    a.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [g]))])
    os.waitpid(pid, 0)
    return g
os.set_inheritable(f, True)
n = {"self": lambda: do(f), "dup": lambda: do(os.dup(f)), "fork": forked, "spawn": spawned,
     "thread": threaded, "sent": sent}[who]() or f
os.write(n, b"W")
print(os.lseek(n, 0, os.SEEK_CUR))
os.pwrite(n, b"P", 0)
os.write(n, b"V")
print(os.lseek(n, 0, os.SEEK_CUR), os.pread(n, 99, 0))
"#;

#[test]
fn what_others_do_to_a_description_holds_for_the_next_write() {
    need!("python3");
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    for act in ["append", "seek", "read"] {
        for who in ["self", "dup", "fork", "spawn", "thread", "sent"] {
            let name = format!("{act}-{who}");
            let at = |place: &str| {
                let script = SCRIPT.replace('\'', "\"");
                format!(
                    "mkdir {place}/{name} && cd {place}/{name} && exec python3 -B -c '{script}' {act} {who}"
                )
            };
            let plain = pair.plain(&at("$S"));
            assert_eq!(plain.code, 0, "{name}: {plain:?}");
            let o = pair.run(&at("$V"));
            assert_eq!((o.code, o.text()), (0, plain.text()), "{name}: {o:?}");
            let read = |leg: &std::path::Path| fs::read(leg.join(&name).join("f")).unwrap();
            assert_eq!(read(pair.a()), read(pair.b()), "{name}");
        }
    }
    pair.assert_equal();
}

#[test]
fn a_process_that_shares_the_table_of_descriptors_moves_the_position_meanwhile() {
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    let source = include_str!("../programs/sharer.c");
    let Some(sharer) = compile(&pair.programs(), "sharer", source) else {
        return;
    };
    let o = pair.run(&format!("{} $V/f 20000", sharer.display()));
    assert_eq!(o.code, 0, "{o:?}");
    let read = |leg: &std::path::Path| fs::read(leg.join("f")).unwrap();
    assert!(read(pair.a()) == read(pair.b()));
}

//! Stopped and continued: the command alone, or its whole job by a terminal.
use super::*;
use mirror_tests::{Screen, Talker, need, send, until};

/// The letter of a process's state.
fn state(pid: i32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit_once(") ").map_or("", |s| s.1);
    rest.chars().next().unwrap_or('?')
}

/// The process that has started it.
fn parent(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let rest = stat.rsplit_once(") ").unwrap().1;
    rest.split(' ').nth(1).unwrap().parse().unwrap()
}

/// `mirror run` with a shell that says its number, reads a line, and ends with 7.
fn waiting(e: &Env) -> (Talker, i32) {
    let mut c = e.command(&["run", "--", "sh", "-c", "echo $$; read x; exit 7"]);
    let t = Talker::start(c.stdin(Stdio::piped()));
    let pid = t.line().parse().unwrap();
    (t, pid)
}

#[test]
fn a_command_that_is_stopped_and_continued_alone() {
    let e = pair("alone");
    for signal in [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU] {
        let (mut t, pid) = waiting(&e);
        for _ in 0..3 {
            send(pid, signal);
            // As a shell is to see it.
            until("stop", || state(t.pid()) == 'T');
            send(pid, libc::SIGCONT);
            until("going on", || state(t.pid()) != 'T');
        }
        drop(t.input());
        assert_eq!(t.end(), 7);
    }
}

#[test]
fn a_command_that_ends_while_it_is_stopped() {
    let e = pair("killed");
    let (mut t, pid) = waiting(&e);
    send(pid, libc::SIGSTOP);
    until("stop", || state(t.pid()) == 'T');
    send(pid, libc::SIGKILL);
    assert_eq!(t.end(), 128 + libc::SIGKILL);
}

#[test]
fn the_job_of_a_shell() {
    need!("bash");
    let e = pair("job");
    let mut c = Command::new("bash");
    c.args(["--norc", "--noprofile", "-i"])
        .current_dir(&e.dir)
        .env("MIRRORTAB", e.p("tab"))
        .env("PROGRAM", dist().join("mirror"))
        .env("PS1", "ready> ");
    let mut s = Screen::start(&mut c, 40, 100);
    s.shows("ready>");
    s.type_in(
        "\"$PROGRAM\" run -- sh -c 'echo $$ >pid; echo is-up; read x; echo got-$x; read x'\n",
    );
    s.until("start", |t| t.lines().any(|l| l == "is-up"));
    let pid: i32 = fs::read_to_string(e.p("pid"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    s.type_in("\x1a");
    s.shows("Stopped");
    assert_eq!(state(pid), 'T');
    s.type_in("fg\n");
    until("going on", || state(pid) != 'T');
    s.type_in("hello\n");
    s.until("answer", |t| t.lines().any(|l| l == "got-hello"));
    s.type_in("\x1a");
    s.until("second stop", |t| t.matches("Stopped").count() == 2);
    // It ends without the shell's doing: the shell hears of it.
    let run = parent(pid);
    send(pid, libc::SIGKILL);
    until("end", || !matches!(state(run), 'T' | 'S' | 'R'));
    s.type_in("wait %1; echo code-$?\n");
    s.until("end", |t| t.lines().any(|l| l == "code-137"));
    s.type_in("exit\n");
    s.wait();
}

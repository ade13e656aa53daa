//! A change of leg a alone, made under its locks while leg b is away, goes to what was planned or begins anew: at each
//! of its calls somebody makes its name, or its number, lead elsewhere. Another pair never gets it on one leg, and who
//! waits behind a fifo or a pipe holds no lock.
use mirror_tests::{Kind, Pair, compile};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

/// More calls than any of these changes makes.
const ENDLESS: usize = 400;
/// The number in lone.c.
const N: u32 = 20;

/// A pair whose leg b is away, with a pair that is in sync in its tab.
fn pairs() -> Option<(Pair, Pair)> {
    let pair = |more: &[&str]| {
        let pair = Pair::bare(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
        pair.init(more).ok();
        pair
    };
    let (one, other) = (pair(&["--on-failure", "degrade"]), pair(&[]));
    let tab = fs::read_to_string(one.tab()).unwrap() + &fs::read_to_string(other.tab()).unwrap();
    fs::write(one.tab(), tab).unwrap();
    compile(&one.programs(), "lone", include_str!("../programs/lone.c"))?;
    let v = one.v().to_str().unwrap();
    one.mirror("leg", &["offline", v, "b"]).ok();
    Some((one, other))
}

/// A process that stands at its first mark.
struct Traced {
    child: Child,
    pid: i32,
}

enum Stop {
    Call,
    Mark,
    Signal(i32),
    Over,
}

impl Traced {
    fn start(pair: &Pair, args: &[&Path]) -> Traced {
        let mut c = pair.preloaded(pair.programs().join("lone"));
        c.args(args).stdin(Stdio::piped());
        // SAFETY: ptrace is a system call, and asks nothing of memory here.
        unsafe {
            c.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(()),
            });
        }
        let child = c.spawn().expect("a traced program");
        let pid = i32::try_from(child.id()).expect("a pid");
        let mut t = Traced { child, pid };
        assert!(matches!(t.wait(), Stop::Signal(libc::SIGTRAP)));
        let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
        t.ask(libc::PTRACE_SETOPTIONS, options as usize);
        let mut signal = 0;
        loop {
            t.ask(libc::PTRACE_CONT, signal as usize);
            match t.wait() {
                Stop::Mark => return t,
                Stop::Signal(libc::SIGTRAP) => signal = 0,
                Stop::Signal(s) => signal = s,
                _ => panic!("it never began"),
            }
        }
    }

    fn ask(&self, request: libc::c_uint, data: usize) {
        // SAFETY: these requests write no memory of ours.
        let r = unsafe { libc::ptrace(request, self.pid, 0usize, data) };
        assert_ne!(r, -1, "{}", io::Error::last_os_error());
    }

    fn look(&mut self, flags: i32) -> Option<Stop> {
        let mut status = 0;
        // SAFETY: the status is a local variable.
        let r = unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL | flags) };
        assert!(r >= 0, "{}", io::Error::last_os_error());
        (r != 0).then_some(match status {
            s if libc::WIFEXITED(s) || libc::WIFSIGNALED(s) => Stop::Over,
            s if libc::WSTOPSIG(s) == libc::SIGTRAP | 0x80 => Stop::Call,
            s if libc::WSTOPSIG(s) == libc::SIGSTOP => Stop::Mark,
            s => Stop::Signal(libc::WSTOPSIG(s)),
        })
    }

    fn wait(&mut self) -> Stop {
        self.look(0).expect("it was waited for")
    }

    /// Lets it go on until it is about to make its `nth` call. `false`: it makes fewer.
    fn reach(&mut self, nth: usize) -> bool {
        let mut signal = 0;
        let mut stops = 0;
        loop {
            self.ask(libc::PTRACE_SYSCALL, signal as usize);
            signal = 0;
            match self.wait() {
                // At its way in, and at its way out.
                Stop::Call if stops == 2 * nth => return true,
                Stop::Call => stops += 1,
                Stop::Signal(s) => signal = s,
                Stop::Mark | Stop::Over => return false,
            }
        }
    }

    /// What thread `tid` does: the number of the call in which it sleeps.
    fn sleeps(&self, tid: i32) -> Option<i64> {
        let of = |what| fs::read_to_string(format!("/proc/{}/task/{tid}/{what}", self.pid)).ok();
        let stat = of("stat")?;
        let state = stat.rsplit(')').next()?.trim_start().chars().next()?;
        (state == 'S').then_some(())?;
        of("syscall")?.split(' ').next()?.parse().ok()
    }

    /// Lets it go on to its second mark, or until it waits for somebody in one of these calls. `false`: it waits.
    fn goes_on(&mut self, calls: &[i64]) -> bool {
        let mut signal = 0;
        loop {
            self.ask(libc::PTRACE_CONT, signal as usize);
            loop {
                match self.look(libc::WNOHANG) {
                    None if self.sleeps(self.pid).is_some_and(|n| calls.contains(&n)) => {
                        return false;
                    }
                    None => std::thread::sleep(Duration::from_millis(1)),
                    Some(Stop::Mark | Stop::Over) => return true,
                    Some(Stop::Signal(s)) => {
                        signal = s;
                        break;
                    }
                    Some(Stop::Call) => break,
                }
            }
        }
    }

    /// Its second thread makes the number another's, or waits until it may.
    fn turn(&mut self, to: &str) {
        let input = self.child.stdin.as_mut().expect("a pipe");
        input.write_all(b"g").unwrap();
        let link = format!("/proc/{}/fd/{N}", self.pid);
        let turned = || {
            fs::read_link(&link)
                .unwrap()
                .to_string_lossy()
                .starts_with(to)
        };
        while !turned() && !self.second_waits() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether its second thread waits for the mutex that guards numbers.
    fn second_waits(&self) -> bool {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid)).unwrap();
        let names = tasks.filter_map(|t| t.ok()?.file_name().into_string().ok());
        let mut ids = names.filter_map(|n| n.parse().ok());
        ids.any(|t| t != self.pid && self.sleeps(t) == Some(libc::SYS_futex))
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // SAFETY: kill has no memory effects; nobody has waited for the child, or it is a zombie's pid no more.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        while !matches!(self.look(0), Some(Stop::Over)) {}
    }
}

/// A name of the first pair and one of the second, as they are before each try.
fn anew(one: &Pair, other: &Pair) {
    for leg in [one.a(), other.a(), other.b()] {
        let d = leg.join("d");
        let _ = fs::remove_file(&d).or_else(|_| fs::remove_dir_all(&d));
        let _ = fs::remove_dir_all(leg.join("was"));
        fs::create_dir(&d).unwrap();
        fs::write(d.join("f"), "before\n").unwrap();
    }
}

/// What a leg has in its directory: names, modes and contents.
fn inside(leg: &Path) -> Vec<(String, u32, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt;
    let files = fs::read_dir(leg.join("d")).unwrap().map(|e| e.unwrap());
    let told = files.map(|e| {
        let name = e.file_name().into_string().unwrap();
        (
            name,
            e.metadata().unwrap().mode(),
            fs::read(e.path()).unwrap(),
        )
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

#[track_caller]
fn same(other: &Pair, what: &str, nth: usize) {
    assert_eq!(
        inside(other.a()),
        inside(other.b()),
        "{what}, before call {nth}"
    );
}

/// Before each call in turn, the directory on the way becomes a link to one of the pair that is in sync.
#[test]
fn a_name_that_leads_to_another_pair_by_then() {
    let Some((one, other)) = pairs() else { return };
    let (d, was) = (one.a().join("d"), one.a().join("was"));
    let f = one.v().join("d/f");
    let g = one.v().join("d/g");
    for op in ["unlink", "open", "chmod", "rename"] {
        let mut reached = 0;
        for nth in 0..ENDLESS {
            anew(&one, &other);
            let mut t = Traced::start(&one, &[Path::new(op), &f, &g]);
            if !t.reach(nth) {
                break;
            }
            reached = nth;
            fs::rename(&d, &was).unwrap();
            symlink(other.v().join("d"), &d).unwrap();
            assert!(t.goes_on(&[]), "{op}");
            drop(t);
            same(&other, op, nth);
        }
        assert!((5..ENDLESS - 1).contains(&reached), "{op}: {reached} calls");
    }
}

/// The name becomes a link to a fifo: who opens it waits, as on a plain directory, and keeps nobody out.
#[test]
fn a_name_that_leads_to_a_fifo_by_then() {
    let Some((one, other)) = pairs() else { return };
    let fifo = one.scratch().join("fifo");
    one.bypass(&format!("mkfifo {}", fifo.display())).ok();
    let (mut waited, mut reached) = (0, 0);
    for nth in 0..ENDLESS {
        anew(&one, &other);
        let mut t = Traced::start(&one, &[Path::new("fifo"), &one.v().join("d/f")]);
        if !t.reach(nth) {
            break;
        }
        reached = nth;
        fs::remove_file(one.a().join("d/f")).unwrap();
        symlink(&fifo, one.a().join("d/f")).unwrap();
        let opens = [libc::SYS_open, libc::SYS_openat, libc::SYS_openat2];
        if !t.goes_on(&opens) {
            waited += 1;
            one.run("echo x > $V/d/other && rm $V/d/other").ok();
        }
    }
    assert!(
        waited > 0 && (5..ENDLESS - 1).contains(&reached),
        "{waited} of {reached}"
    );
}

/// Another thread makes the number one of the pair that is in sync.
#[test]
fn a_number_of_another_pair_by_then() {
    let Some((one, other)) = pairs() else { return };
    let (f, to) = (one.v().join("d/f"), other.v().join("d/f"));
    for op in ["write", "ftruncate"] {
        let mut reached = 0;
        for nth in 0..ENDLESS {
            anew(&one, &other);
            let mut t = Traced::start(&one, &[Path::new(op), &f, &to]);
            if !t.reach(nth) {
                break;
            }
            reached = nth;
            t.turn(to.to_str().unwrap());
            assert!(t.goes_on(&[]), "{op}");
            drop(t);
            same(&other, op, nth);
        }
        assert!((5..ENDLESS - 1).contains(&reached), "{op}: {reached} calls");
    }
}

/// It becomes a pipe that is full: who writes waits, and keeps nobody out.
#[test]
fn a_number_that_is_a_full_pipe_by_then() {
    let Some((one, other)) = pairs() else { return };
    let (mut waited, mut reached) = (0, 0);
    for nth in 0..ENDLESS {
        anew(&one, &other);
        let mut t = Traced::start(&one, &[Path::new("write"), &one.v().join("d/f")]);
        if !t.reach(nth) {
            break;
        }
        reached = nth;
        t.turn("pipe:");
        if !t.goes_on(&[libc::SYS_write]) {
            waited += 1;
            one.run("echo x >> $V/d/f").ok();
        }
    }
    assert!(
        waited > 0 && (5..ENDLESS - 1).contains(&reached),
        "{waited} of {reached}"
    );
}

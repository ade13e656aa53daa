//! One process, traced between its two marks (programs/swept.c): what it called, and one call of it
//! struck: made to fail, cut short, or the process's last.
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

/// What happens to the n-th call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strike {
    /// It is not carried out, and answers with this errno. (A close or an unlock is: those let go first.)
    Error(i32),
    /// The same happens to each later call of the same number: a leg that goes on refusing.
    Lasting(i32),
    /// It is asked for less: half of the bytes, one buffer of two.
    Short,
    /// The process is killed before it.
    Kill,
    /// The process is killed after it. Only after the last one is that another moment.
    KillAfter,
}

/// One system call.
#[derive(Clone, Copy)]
pub struct Call {
    pub number: i64,
    args: [u64; 6],
}

/// How it ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The operation's answer and errno.
    Answer(i64, i32),
    /// The process became another program.
    Became,
    /// It exited before the second mark.
    Exited(i32),
    /// A signal ended it.
    Signal(i32),
    /// It made more calls than any operation needs.
    Endless,
}

pub struct Traced {
    pub calls: Vec<Call>,
    /// Whether the strike fell.
    pub struck: bool,
    pub end: End,
    /// How the process ended after its second mark.
    pub exit: Option<std::process::ExitStatus>,
}

/// More than any operation makes; one that waits for nothing passes it soon.
const ENDLESS: usize = 20_000;
const MARK: u64 = 0x5357_0000;
/// `_exit` ends the process: nothing can fail there.
const EXITS: [i64; 2] = [libc::SYS_exit_group, libc::SYS_exit];

/// Calls that cannot fail, or of which the library wants no answer.
const SURE: [i64; 13] = [
    libc::SYS_brk,
    libc::SYS_exit_group,
    libc::SYS_exit,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_geteuid,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_clock_gettime,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
];

impl Call {
    /// Whether the kernel can refuse it.
    pub fn can_fail(&self) -> bool {
        !SURE.contains(&self.number) && !self.unlocks() && !self.asks_only()
    }
    /// What the kernel has at hand: a descriptor's flags and position.
    fn asks_only(&self) -> bool {
        match self.number {
            libc::SYS_fcntl => [libc::F_GETFD, libc::F_GETFL].contains(&(self.args[1] as i32)),
            libc::SYS_lseek => self.args[2] as i32 != libc::SEEK_END,
            _ => false,
        }
    }
    fn unlocks(&self) -> bool {
        self.number == libc::SYS_flock && self.args[1] & 8 != 0
    }
    /// Which argument says how much, for calls that may do less.
    fn amount(&self) -> Option<usize> {
        match self.number {
            libc::SYS_write
            | libc::SYS_pwrite64
            | libc::SYS_writev
            | libc::SYS_pwritev
            | libc::SYS_pwritev2 => Some(2),
            libc::SYS_sendfile => Some(3),
            libc::SYS_copy_file_range | libc::SYS_splice => Some(4),
            _ => None,
        }
    }
    /// Whether it can be cut short.
    pub fn can_be_short(&self) -> bool {
        self.amount().is_some_and(|i| self.args[i] > 1)
    }
    /// How it is named in what is printed.
    pub fn name(&self) -> String {
        let known = NAMES.iter().find(|(n, _)| *n == self.number);
        known.map_or_else(|| self.number.to_string(), |(_, name)| (*name).to_owned())
    }
}

macro_rules! names {
    ($($name:ident $number:ident),+ $(,)?) => { &[$((libc::$number, stringify!($name))),+] };
}

const NAMES: &[(i64, &str)] = names! {
    read SYS_read, write SYS_write, open SYS_open, close SYS_close, stat SYS_stat, fstat SYS_fstat, lstat SYS_lstat,
    lseek SYS_lseek, mmap SYS_mmap, munmap SYS_munmap, rt_sigaction SYS_rt_sigaction, rt_sigprocmask SYS_rt_sigprocmask,
    ioctl SYS_ioctl, pread64 SYS_pread64, pwrite64 SYS_pwrite64, readv SYS_readv, writev SYS_writev, access SYS_access,
    pipe2 SYS_pipe2, dup SYS_dup, dup2 SYS_dup2, dup3 SYS_dup3, getpid SYS_getpid, sendfile SYS_sendfile, socket SYS_socket, bind SYS_bind,
    clone SYS_clone, fork SYS_fork, vfork SYS_vfork, execve SYS_execve, exit SYS_exit, wait4 SYS_wait4, fcntl SYS_fcntl,
    flock SYS_flock, fsync SYS_fsync, fdatasync SYS_fdatasync, truncate SYS_truncate, ftruncate SYS_ftruncate,
    getdents64 SYS_getdents64, getcwd SYS_getcwd, chdir SYS_chdir, fchdir SYS_fchdir, rename SYS_rename, mkdir SYS_mkdir,
    rmdir SYS_rmdir, link SYS_link, unlink SYS_unlink, symlink SYS_symlink, readlink SYS_readlink, chmod SYS_chmod,
    fchmod SYS_fchmod, chown SYS_chown, fchown SYS_fchown, lchown SYS_lchown, umask SYS_umask, mknod SYS_mknod,
    fstatfs SYS_fstatfs, statfs SYS_statfs, setxattr SYS_setxattr, lsetxattr SYS_lsetxattr, fsetxattr SYS_fsetxattr,
    getxattr SYS_getxattr, lgetxattr SYS_lgetxattr, fgetxattr SYS_fgetxattr, listxattr SYS_listxattr,
    llistxattr SYS_llistxattr, flistxattr SYS_flistxattr, removexattr SYS_removexattr, lremovexattr SYS_lremovexattr,
    fremovexattr SYS_fremovexattr, futex SYS_futex, exit_group SYS_exit_group, openat SYS_openat, mkdirat SYS_mkdirat,
    mknodat SYS_mknodat, fchownat SYS_fchownat, newfstatat SYS_newfstatat, unlinkat SYS_unlinkat, renameat SYS_renameat,
    linkat SYS_linkat, symlinkat SYS_symlinkat, readlinkat SYS_readlinkat, fchmodat SYS_fchmodat, fchmodat2 SYS_fchmodat2,
    faccessat SYS_faccessat, splice SYS_splice, sync_file_range SYS_sync_file_range, utimensat SYS_utimensat,
    fallocate SYS_fallocate, prlimit64 SYS_prlimit64, renameat2 SYS_renameat2, memfd_create SYS_memfd_create,
    copy_file_range SYS_copy_file_range, pwritev SYS_pwritev, pwritev2 SYS_pwritev2, statx SYS_statx,
    close_range SYS_close_range, openat2 SYS_openat2, gettid SYS_gettid, geteuid SYS_geteuid,
};

/// Runs the program to its end. `strike`: which call between the marks, from 0, and what happens to it.
/// `at_mark` is called when the process stands at its first mark.
pub fn run(
    command: &mut Command,
    strike: Option<(usize, Strike)>,
    at_mark: impl FnOnce(),
) -> io::Result<Traced> {
    // SAFETY: ptrace is a system call, and asks nothing of memory here.
    unsafe {
        command.pre_exec(|| match libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).expect("a pid");
    WATCHED.store(pid, Ordering::SeqCst);
    let mut t = Tracer {
        child,
        pid,
        strike,
        traced: Traced {
            calls: Vec::new(),
            struck: false,
            end: End::Endless,
            exit: None,
        },
        reaped: false,
    };
    let result = t.reach_first_mark(at_mark).and_then(|_| t.follow());
    WATCHED.store(0, Ordering::SeqCst);
    if !t.reaped {
        // SAFETY: kill has no memory effects; nobody has waited for the child.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        let _ = t.child.wait();
    }
    result.map(|()| t.traced)
}

/// The process that is traced now, and how often it has stopped.
static WATCHED: AtomicI32 = AtomicI32::new(0);
static STOPS: AtomicU64 = AtomicU64::new(0);

/// Ends whoever sleeps in one call for ever: with no stop in this many seconds it is killed, and comes
/// out as ended by a signal that nobody ordered.
pub fn watch(seconds: u64) {
    std::thread::spawn(move || {
        let mut before = (0, 0);
        loop {
            std::thread::sleep(Duration::from_secs(seconds));
            let now = (WATCHED.load(Ordering::SeqCst), STOPS.load(Ordering::SeqCst));
            if now == before && now.0 > 0 {
                // SAFETY: kill has no memory effects; the pid is that of a child that nobody has waited for.
                unsafe { libc::kill(now.0, libc::SIGABRT) };
            }
            before = now;
        }
    });
}

/// Keeps this process and what it starts on one processor: each stop hands it over, which is cheaper there.
pub fn stay(nth: usize) {
    // SAFETY: the set is a local of the size that is given; all its bits zero is a value.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let size = size_of::<libc::cpu_set_t>();
        if libc::sched_getaffinity(0, size, &raw mut set) == 0 {
            let mine: Vec<usize> = (0..1024).filter(|i| libc::CPU_ISSET(*i, &set)).collect();
            libc::CPU_ZERO(&mut set);
            libc::CPU_SET(mine[nth % mine.len()], &mut set);
            libc::sched_setaffinity(0, size, &raw const set);
        }
    }
}

struct Tracer {
    child: Child,
    pid: i32,
    strike: Option<(usize, Strike)>,
    traced: Traced,
    reaped: bool,
}

/// What wait says.
enum Stop {
    Entry,
    Signal(i32),
    Event,
    Over(End),
}

impl Tracer {
    fn ask(&self, request: libc::c_uint, data: usize) -> io::Result<()> {
        // SAFETY: these requests write no memory of ours.
        match unsafe { libc::ptrace(request, self.pid, 0usize, data) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// Untraced to its end.
    fn let_go(&mut self) -> io::Result<()> {
        self.ask(libc::PTRACE_DETACH, 0)?;
        self.reaped = true;
        self.traced.exit = Some(self.child.wait()?);
        Ok(())
    }

    fn wait(&mut self) -> io::Result<Stop> {
        let mut status = 0;
        // SAFETY: the status is a local variable.
        while unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL) } < 0 {
            let e = io::Error::last_os_error();
            if e.kind() != io::ErrorKind::Interrupted {
                return Err(e);
            }
        }
        STOPS.fetch_add(1, Ordering::SeqCst);
        self.reaped = libc::WIFEXITED(status) || libc::WIFSIGNALED(status);
        Ok(if libc::WIFEXITED(status) {
            Stop::Over(End::Exited(libc::WEXITSTATUS(status)))
        } else if libc::WIFSIGNALED(status) {
            Stop::Over(End::Signal(libc::WTERMSIG(status)))
        } else if status >> 16 != 0 {
            Stop::Event
        } else if libc::WSTOPSIG(status) == libc::SIGTRAP | 0x80 {
            Stop::Entry
        } else {
            Stop::Signal(libc::WSTOPSIG(status))
        })
    }

    /// Lets it go on to its next stop.
    fn go(&mut self, request: libc::c_uint, signal: i32) -> io::Result<Stop> {
        self.ask(request, usize::try_from(signal).expect("a signal"))?;
        self.wait()
    }

    fn reach_first_mark(&mut self, at_mark: impl FnOnce()) -> io::Result<()> {
        self.wait()?;
        let options =
            libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_EXITKILL;
        self.ask(libc::PTRACE_SETOPTIONS, options as usize)?;
        let mut signal = 0;
        loop {
            match self.go(libc::PTRACE_CONT, signal)? {
                Stop::Signal(libc::SIGSTOP) => break,
                Stop::Signal(s) => signal = s,
                Stop::Over(end) => {
                    return Err(io::Error::other(format!("it never began: {end:?}")));
                }
                _ => signal = 0,
            }
        }
        at_mark();
        Ok(())
    }

    fn registers(&self) -> io::Result<libc::user_regs_struct> {
        // SAFETY: the structure is plain numbers, and the kernel fills it.
        let mut r: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        // SAFETY: `r` has the size that this request writes.
        match unsafe { libc::ptrace(libc::PTRACE_GETREGS, self.pid, 0usize, &raw mut r) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(r),
        }
    }

    fn set(&self, r: &libc::user_regs_struct) -> io::Result<()> {
        // SAFETY: `r` has the size that this request reads.
        match unsafe { libc::ptrace(libc::PTRACE_SETREGS, self.pid, 0usize, &raw const *r) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// From the first mark to the end.
    fn follow(&mut self) -> io::Result<()> {
        let mut signal = 0;
        let mut begun = false;
        loop {
            match self.go(libc::PTRACE_SYSCALL, signal)? {
                Stop::Over(end) => {
                    self.traced.end = end;
                    return Ok(());
                }
                Stop::Event => {
                    self.traced.end = End::Became;
                    return self.let_go();
                }
                Stop::Signal(s) => signal = s,
                Stop::Entry => {
                    signal = 0;
                    let r = self.registers()?;
                    // The rest of the call that raised the mark, and of an earlier one.
                    if !begun && is_exit(&r) {
                        begun = true;
                        continue;
                    }
                    begun = true;
                    if r.orig_rax == libc::SYS_membarrier as u64 && r.rdi == MARK {
                        self.traced.end = End::Answer(r.rsi as i64, r.rdx as i32);
                        return self.let_go();
                    }
                    if let Some(end) = self.call(r)? {
                        self.traced.end = end;
                        return Ok(());
                    }
                }
            }
            if self.traced.calls.len() > ENDLESS {
                return Ok(());
            }
        }
    }

    /// One call, from its entry to its exit.
    fn call(&mut self, r: libc::user_regs_struct) -> io::Result<Option<End>> {
        let n = self.traced.calls.len();
        let call = Call {
            number: r.orig_rax as i64,
            args: [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9],
        };
        self.traced.calls.push(call);
        let strike = self.strike.and_then(|(at, what)| match what {
            _ if at == n => Some(what),
            Strike::Lasting(e) if n > at && self.is_like(at, &call) => Some(Strike::Error(e)),
            _ => None,
        });
        self.traced.struck |= strike.is_some();
        let strike = strike.map(|s| match s {
            Strike::Lasting(e) => Strike::Error(e),
            s => s,
        });
        let mut r = r;
        match strike {
            Some(Strike::Kill) => return self.kill(),
            Some(Strike::Error(_)) if call.number != libc::SYS_close => {
                r.orig_rax = u64::MAX;
                self.set(&r)?;
            }
            Some(Strike::Short) => {
                match call.amount() {
                    Some(2) => r.rdx = half(r.rdx),
                    Some(3) => r.r10 = half(r.r10),
                    _ => r.r8 = half(r.r8),
                }
                self.set(&r)?;
            }
            _ => {}
        }
        if EXITS.contains(&call.number) && strike != Some(Strike::KillAfter) {
            return Ok(None);
        }
        let mut signal = 0;
        loop {
            match self.go(libc::PTRACE_SYSCALL, signal)? {
                Stop::Over(end) => return Ok(Some(end)),
                Stop::Event => {
                    self.let_go()?;
                    return Ok(Some(End::Became));
                }
                Stop::Signal(s) => signal = s,
                Stop::Entry => break,
            }
        }
        match strike {
            Some(Strike::KillAfter) => return self.kill(),
            Some(Strike::Error(e)) => {
                let mut r = self.registers()?;
                r.rax = i64::from(-e) as u64;
                self.set(&r)?;
            }
            _ => {}
        }
        Ok(None)
    }

    /// Whether a call is one like the one that was struck first.
    fn is_like(&self, at: usize, call: &Call) -> bool {
        let first = self.traced.calls.get(at);
        first.is_some_and(|c| c.number == call.number) && call.can_fail()
    }

    fn kill(&mut self) -> io::Result<Option<End>> {
        // SAFETY: kill has no memory effects; the child has not been waited for.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        loop {
            if let Stop::Over(end) = self.wait()? {
                return Ok(Some(end));
            }
        }
    }
}

/// A stop behind a call: the kernel says ENOSYS at its entry.
fn is_exit(r: &libc::user_regs_struct) -> bool {
    r.rax as i64 != -i64::from(libc::ENOSYS)
}

fn half(n: u64) -> u64 {
    (n / 2).max(1)
}

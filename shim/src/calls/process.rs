//! Processes: fork, chdir, limits, sandboxes, exit.
use crate::arch::gates;
use crate::attach::session;
use crate::calls::cores;
use crate::calls::data::fsync::settle_all;
use crate::calls::mapped::{hooks, marks};
use crate::net::{self, arming};
use crate::path::cwd;
use crate::path::loc::{Path, Whole};
use crate::path::outside::{self, Where};
use crate::process::actor::{self, THREADED, TX, guest};
use crate::process::fds::{self, ANY_PARTNER};
use crate::process::limits::{own_fd, spare};
use crate::process::place;
use crate::regs::{DONE, HEAVY, NATIVE, Regs, answer, arg, fail, raw};
use crate::user::UserPtr;
use core::sync::atomic::{AtomicBool, Ordering};
use libc as c;
use mirror_core::calls::Call;
use mirror_core::{Errno, RESERVED};
use mirror_sys as sys;
use mirror_sys::Sys;

/// A new process. With shared memory (vfork, posix_spawn) or a stack of its own it is started by its
/// own instruction; only a plain fork is done here.
pub fn clone_filter(regs: &mut Regs) -> usize {
    let (flags, stack) = match regs.call() {
        Some(Call::Vfork) => ((c::CLONE_VM | c::CLONE_VFORK) as usize, 0),
        Some(Call::Fork) => (0, 0),
        Some(Call::Clone) => (arg(regs, 0), arg(regs, 1)),
        _ => match clone_args(regs) {
            Some(v) => v,
            None => return NATIVE,
        },
    };
    shares_a_part(flags);
    // All but threads: what has a table of descriptors of its own, and what runs with this one's as another
    // process.
    if flags & c::CLONE_THREAD as usize == 0 || flags & c::CLONE_FILES as usize == 0 {
        fds::lent();
    }
    if flags & c::CLONE_VM as usize != 0 {
        if flags & c::CLONE_THREAD as usize != 0 {
            THREADED.store(true, Ordering::Relaxed);
            if flags & c::CLONE_FS as usize == 0 {
                cwd::split();
            }
            if flags & c::CLONE_FILES as usize == 0 {
                fds::split_files();
            }
        } else {
            actor::lend(flags);
        }
        return net::clone(regs, flags);
    }
    // clone3 without shared memory, on another stack, or with our descriptors, the locks' among them: a guest
    // until its first call (see `own_copy`), or until it execs.
    if stack != 0 || regs.is(Call::Clone3) || flags & c::CLONE_FILES as usize != 0 {
        actor::copied();
        marks::share();
        SHARES.store(flags & c::CLONE_FILES as usize != 0, Ordering::Relaxed);
        net::clone(regs, flags)
    } else {
        HEAVY
    }
}

/// A process that runs beside this one, and shares only one of memory and descriptors (or the cwd): what is
/// remembered of these is true for neither.
fn shares_a_part(flags: usize) {
    let has = |f: i32| flags & f as usize != 0;
    if has(c::CLONE_THREAD) {
        return;
    }
    if has(c::CLONE_FILES) {
        session::SHARED_FILES.store(true, Ordering::Relaxed);
    }
    let (memory, beside) = (has(c::CLONE_VM), !has(c::CLONE_VFORK));
    if has(c::CLONE_FILES) != memory && (beside || !memory) {
        fds::split_files();
    }
    // Neither sees a chdir or chroot of the other's.
    if has(c::CLONE_FS) && !memory {
        crate::path::proofs::mix();
    }
}

/// (flags, stack) of clone3.
fn clone_args(regs: &Regs) -> Option<(usize, usize)> {
    if arg(regs, 1) < 64 {
        return None;
    }
    // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls.
    let args = UserPtr::<[u64; 8]>::new(arg(regs, 0)).read().ok()?;
    let [flags, _, _, _, _, stack, ..] = args;
    Some((flags as usize, stack as usize))
}

/// fork: with TX held, so that no transaction of this process is half done in the copy.
pub fn fork(regs: &mut Regs) -> usize {
    if guest() {
        marks::share();
        if !arming::on() {
            return NATIVE;
        }
        let r = raw(regs);
        if r == Ok(0) {
            net::child();
        }
        return answer(regs, r);
    }
    TX.lock();
    if regs.is(Call::Clone) && arg(regs, 0) & c::CLONE_NEWNS as usize != 0 {
        // The child's mounts get other numbers, but for those that descriptors hold.
        crate::path::doors::remember_places();
    }
    // What another thread has opened since the filter: the child has it as well.
    fds::lent();
    let holds = marks::before_fork();
    let r = raw(regs);
    if r == Ok(0) {
        net::child();
        actor::own_after_fork();
        crate::process::scratch::after_fork_in_child(regs);
        crate::process::look::after_fork_in_child();
        session::after_fork_in_child();
    }
    holds.after(r == Ok(0));
    TX.unlock();
    answer(regs, r)
}

/// The last copy was made with the descriptors shared.
static SHARES: AtomicBool = AtomicBool::new(false);

/// Whether a copy may become its process's own: descriptors are not shared with the process that it is a copy of,
/// and no change was half done there.
pub fn may_own() -> bool {
    // Of several threads, another one's clone may have been the last before this.
    let unsure = session::SHARED_FILES.load(Ordering::Relaxed) && THREADED.load(Ordering::Relaxed);
    !unsure && !SHARES.load(Ordering::Relaxed) && TX.is_free()
}

/// The same as in the child of a fork that was made here.
pub fn own_copy(regs: &Regs) {
    if !TX.try_lock() {
        return;
    }
    net::copied();
    actor::own_after_fork();
    crate::process::scratch::after_fork_in_child(regs);
    crate::process::look::after_fork_in_child();
    session::after_fork_in_child();
    TX.unlock();
}

/// chdir, fchdir, chroot: here, so that no other thread keeps a hint made before.
pub fn chdir(regs: &mut Regs) -> usize {
    if !regs.is(Call::Fchdir)
        && crate::calls::args::names_control(arg(regs, 0))
        && crate::calls::readers::look(regs) == DONE
    {
        return DONE;
    }
    let split = || THREADED.load(Ordering::Relaxed) && cwd::is_split();
    if regs.is(Call::Chroot) && (guest() || split() || crate::process::place::mixed()) {
        return root_of_one(regs);
    }
    if THREADED.load(Ordering::Relaxed)
        && !cwd::enters()
        && !guest()
        && enters(regs)
        && cwd::enter()
    {
        // A call that has looked at the cwd before it became known that names move with it is over by then.
        sys::sleep_us(2000);
    }
    let done = actor::locked(|| {
        cwd::forget();
        let root = if regs.is(Call::Chroot) {
            new_root(arg(regs, 0))
        } else {
            Ok(None)
        };
        let r = root.and_then(|root| {
            if let Some(root) = &root {
                crate::path::doors::remember_places();
                crate::attach::ahead::before_chroot(root.as_bytes());
            }
            let r = raw(regs)?;
            // Texts of the kernel begin there from now on.
            if let Some(root) = root {
                crate::attach::past::jailed();
                place::ROOT.set(if root.as_bytes() == b"/" {
                    b""
                } else {
                    root.as_bytes()
                });
                crate::path::root::named();
                crate::path::proofs::forget_proofs();
            }
            Ok(r)
        });
        cwd::forget();
        answer(regs, r)
    });
    cores::moved();
    done
}

/// Whether chdir, fchdir or chroot may lead into a pair: no proof says that it does not.
fn enters(regs: &Regs) -> bool {
    let mut whole = Whole::new();
    let out = |n: i32, whole: &mut Whole| {
        matches!(outside::of_directory(n, None, whole), Ok(Where::Out(_)))
    };
    if regs.is(Call::Fchdir) {
        return !out(arg(regs, 0) as i32, &mut whole);
    }
    let mut path = Path::new();
    if crate::calls::args::copy_path(arg(regs, 0), &mut path).is_none() {
        return false;
    }
    let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    let Ok(n) = own_fd(|| sys::openat(c::AT_FDCWD, &path, flags, 0)) else {
        return false;
    };
    let is_out = out(n, &mut whole);
    let _ = sys::close(n);
    !is_out
}

/// The root of one thread, or of a child that shares this memory: texts say nothing from now on.
#[cold]
#[inline(never)]
fn root_of_one(regs: &mut Regs) -> usize {
    crate::process::actor::locked(|| {
        let mut text = Path::new();
        let dir = crate::calls::args::copy_path(arg(regs, 0), &mut text).and_then(|()| {
            let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
            spare(|| sys::openat(c::AT_FDCWD, &text, flags, 0)).ok()
        });
        if let (false, true, Some(n)) = (guest(), crate::process::place::plain(), dir)
            && sys::fd_path(n, &mut text).is_ok()
        {
            crate::path::doors::remember_places();
            crate::attach::ahead::before_chroot(text.as_bytes());
        }
        crate::path::proofs::mix();
        cwd::forget();
        let outside = dir.is_some_and(crate::path::outside::surely);
        if let (true, Some(Ok(id))) = (outside, dir.map(sys::identity_of)) {
            crate::path::root::add(&id);
        }
        let _ = dir.map(sys::close);
        let r = raw(regs);
        cwd::forget();
        answer(regs, r)
    })
}

/// What a chroot's new root is called from the system's root. `None`: the kernel will refuse it.
#[inline(never)]
fn new_root(addr: usize) -> Sys<Option<Path>> {
    let (mut text, mut whole) = (Path::new(), Path::new());
    if crate::calls::args::copy_path(addr, &mut text).is_none() || guest() {
        return Ok(None);
    }
    let Ok(n) = sys::openat(
        c::AT_FDCWD,
        &text,
        c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC,
        0,
    ) else {
        return Ok(None);
    };
    let r = sys::fd_path(n, &mut whole);
    if r.is_err() {
        // No /proc: the text itself, if no symlink is on its way.
        let plain = sys::openat2(
            c::AT_FDCWD,
            &text,
            c::O_PATH | c::O_CLOEXEC,
            0,
            sys::NO_SYMLINKS,
        );
        let _ = sys::close(n);
        let _ = sys::close(plain?);
        return match crate::path::base::lexical(&text, &mut whole) {
            Some(true) => Ok(Some(whole)),
            Some(false) if place::ROOT.absolute(whole.as_bytes(), &mut text) => Ok(Some(text)),
            _ => Err(Errno::ENOENT),
        };
    }
    text = whole.clone();
    // A descriptor from outside the present root leads out of it.
    let beyond = crate::path::reach::beyond(n, &mut text);
    let _ = sys::close(n);
    if beyond {
        return if text.len() > 1000 {
            Err(Errno::ENAMETOOLONG)
        } else {
            Ok(Some(text))
        };
    }
    if whole.as_bytes().len() + text.len() > 1000
        || !place::ROOT.absolute(text.as_bytes(), &mut whole)
    {
        return Err(Errno::ENAMETOOLONG);
    }
    Ok(Some(whole))
}

/// unshare: a cwd of its own (CLONE_FS) or other mounts end what was known.
pub fn unshare(regs: &mut Regs) -> usize {
    let flags = arg(regs, 0);
    if flags & (c::CLONE_FS | c::CLONE_NEWUSER | c::CLONE_NEWNS) as usize != 0 {
        cwd::split();
    }
    if flags & c::CLONE_NEWNS as usize != 0 {
        // All mounts get other numbers, but for those that descriptors hold.
        crate::path::doors::remember_places();
    }
    if flags & c::CLONE_NEWNS as usize != 0 && THREADED.load(Ordering::Relaxed) {
        // One thread's mounts.
        crate::path::proofs::mix();
    }
    if flags & c::CLONE_FILES as usize != 0 {
        fds::split_files();
    }
    crate::path::proofs::forget_proofs();
    NATIVE
}

/// setns, mount and their like: other mounts end what was known of paths.
pub fn other_mounts() -> usize {
    // In other mounts those that descriptors hold may not be listed.
    crate::path::doors::remember_places();
    crate::path::proofs::mix();
    NATIVE
}

/// setuid and its like: pairs that the new user may have are attached to, and lock objects that are not open
/// yet are opened, while the process may.
pub fn new_user(regs: &Regs) -> usize {
    let uid = match regs.call() {
        Some(Call::Setuid) => arg(regs, 0),
        _ => arg(regs, 1),
    };
    if !guest() {
        crate::process::actor::locked(|| {
            let drops = crate::attach::ahead::before_drop(uid as u32);
            session::reopen();
            if drops {
                session::found_family();
            }
        });
    }
    NATIVE
}

/// setrlimit and prlimit64 of RLIMIT_NOFILE and RLIMIT_CORE.
pub fn limit_filter(regs: &mut Regs) -> usize {
    let which = if regs.is(Call::Setrlimit) {
        arg(regs, 0)
    } else {
        arg(regs, 1)
    };
    let new = if regs.is(Call::Setrlimit) {
        arg(regs, 1)
    } else {
        arg(regs, 2)
    };
    if matches!(which as u32, c::RLIMIT_NOFILE | c::RLIMIT_CORE) && new != 0 {
        HEAVY
    } else {
        NATIVE
    }
}

/// The program's soft limit stays below the library's numbers once there are any.
pub fn limit(regs: &mut Regs) -> usize {
    let which = usize::from(!regs.is(Call::Setrlimit));
    if arg(regs, which) as u32 == c::RLIMIT_CORE {
        return cores::limit(regs);
    }
    if !ANY_PARTNER.load(Ordering::Relaxed) && !session::any() {
        return NATIVE;
    }
    let pid = arg(regs, 0) as i32;
    let own = regs.is(Call::Setrlimit) || pid == 0 || pid == sys::getpid();
    if !own {
        return NATIVE;
    }
    crate::process::actor::locked(|| {
        // Lock objects that are not open yet are opened while there is room for their numbers.
        session::reopen();
        let r = raw(regs);
        if r.is_ok()
            && let Ok((soft, hard)) = sys::nofile(None)
            && soft > RESERVED as u64
        {
            let _ = sys::nofile(Some((RESERVED as u64, hard)));
        }
        answer(regs, r)
    })
}

const PR_SET_SECCOMP: usize = 22;

/// A filter may forbid what mirroring needs.
pub fn seccomp_filter(regs: &mut Regs) -> usize {
    let prctl = regs.is(Call::Prctl);
    let what = arg(regs, 0) as u32 as usize;
    if prctl && what == gates::DISPATCH && arming::on() {
        return fail(regs, Errno::EINVAL);
    }
    let installs = match prctl {
        true => what == PR_SET_SECCOMP,
        false => what <= 1,
    };
    if installs { HEAVY } else { NATIVE }
}

/// exit_group: no transaction is cut in two, no partner's time is left behind. Bounded.
#[inline(never)]
pub fn before_exit(regs: &mut Regs) {
    if guest() || (!ANY_PARTNER.load(Ordering::Relaxed) && !session::any()) {
        return;
    }
    if !TX.lock_for(1000) {
        return;
    }
    settle_all();
    hooks::settle_all(true);
    // TX stays and no handler runs: no change begins between this and the end.
    regs.old_mask = u64::MAX;
}

//! sendmsg, sendmmsg: descriptors of a pair that go to another process.
//!
//! Rules: what the receiver writes with it reaches one leg if it has not the library. Before the message goes,
//! the pair is to be compared, unless the receiver is shown to have it; a message without descriptors costs a
//! look at its header. The call itself is always the program's own.
use crate::calls::exec::count::{count_sender, count_taker};
use crate::calls::paired::lent;
use crate::calls::paired::recognise::{Fd, recognise};
use crate::path::loc::Loc;
use crate::process::fds;
use crate::regs::{HEAVY, NATIVE, Regs, answer, arg, fd_arg};
use crate::user::word;
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::calls::Call;
use mirror_core::maps;
use mirror_core::path::PathText;
use mirror_sys as sys;

/// As many as the kernel takes at once (UIO_MAXIOV).
const MESSAGES: usize = 1024;
/// sizeof(struct mmsghdr).
const STEP: usize = 64;
/// Where msg_control stands in struct msghdr; its length is behind it.
const CONTROL: usize = 32;
/// sizeof(struct cmsghdr).
const HEADER: usize = 16;
/// SOL_SOCKET and SCM_RIGHTS, as they stand in a header.
const RIGHTS: u64 = c::SOL_SOCKET as u64 | (c::SCM_RIGHTS as u64) << 32;

/// On the program's stack: whether there are descriptors in it.
pub fn filter(regs: &Regs) -> usize {
    let mut found = false;
    each(regs, &mut |_| {
        found = true;
        false
    });
    if !found {
        return NATIVE;
    }
    crate::process::fds::lent();
    HEAVY
}

/// Calls `f` with the address of each descriptor that is to be sent, until it says no.
fn each(regs: &Regs, f: &mut dyn FnMut(usize) -> bool) {
    let n = match regs.call() {
        Some(Call::Sendmmsg) => (arg(regs, 2) as u32 as usize).min(MESSAGES),
        _ => 1,
    };
    for i in 0..n {
        let at = arg(regs, 1).wrapping_add(i.wrapping_mul(STEP));
        let control = word(at.wrapping_add(CONTROL));
        let len = word(at.wrapping_add(CONTROL + 8));
        // What cannot be read is the kernel's to refuse.
        let (Some(control), Some(len)) = (control, len) else {
            return;
        };
        if control != 0 && !in_control(control as usize, len as usize, f) {
            return;
        }
    }
}

/// The same of one message; whether to go on.
fn in_control(control: usize, len: usize, f: &mut dyn FnMut(usize) -> bool) -> bool {
    let mut at = 0usize;
    while at.saturating_add(HEADER) <= len {
        let here = control.wrapping_add(at);
        let (Some(size), Some(kind)) = (word(here), word(here.wrapping_add(8))) else {
            return false;
        };
        let size = size as usize;
        if size < HEADER || size > len.saturating_sub(at) {
            return false;
        }
        if kind == RIGHTS {
            for i in 0..size.saturating_sub(HEADER) / 4 {
                let fd = here.wrapping_add(HEADER).wrapping_add(i.wrapping_mul(4));
                if !f(fd) {
                    return false;
                }
            }
        }
        at = at.saturating_add(size.saturating_add(7) & !7);
    }
    true
}

/// On the scratch stack: each descriptor of a pair through which something can be changed is looked at.
#[inline(never)]
pub fn send(regs: &mut Regs) -> usize {
    let socket = fd_arg(regs, 0);
    let mut receiver = None;
    each(regs, &mut |at| {
        let mut n = [0u8; 4];
        if crate::user::bytes(at, &mut n).is_err() {
            return false;
        }
        let n = i32::from_ne_bytes(n);
        let Some(pair) = changes(n) else { return true };
        match receiver.get_or_insert_with(|| Receiver::of(socket)) {
            Receiver::None | Receiver::Mirrored => return false,
            // It will write: as an unmirrored child with this descriptor.
            Receiver::Unmirrored if lent::writes(n) => lent::record(n),
            Receiver::Unmirrored | Receiver::Unknown => {}
        }
        count_sender(pair);
        true
    });
    NATIVE
}

/// pidfd_getfd, on the scratch stack. Two processes have the description then, and the one that made it does not
/// know: what it remembers of it (how it writes, where it stands) may not hold any more.
#[inline(never)]
pub fn take(regs: &mut Regs) -> usize {
    let (pidfd, n, flags) = (arg(regs, 0), arg(regs, 1), arg(regs, 2));
    // SAFETY: numbers alone; the kernel checks them.
    let r = sys::ret(unsafe { sys::syscall4(c::SYS_pidfd_getfd, pidfd, n, flags, 0) });
    if let Ok(n) = r
        && let Some(pair) = changes(n as i32)
    {
        count_taker(pair);
    }
    answer(regs, r.map(|n| n as u64))
}

/// The pair that can be changed through a descriptor (`Some(None)`: any): a file that is open for writing, or
/// a directory.
fn changes(n: i32) -> Option<Option<usize>> {
    let st = sys::fstat(n).ok()?;
    match st.kind() {
        c::S_IFDIR => {}
        c::S_IFREG if lent::writes(n) => {}
        _ => return None,
    }
    let mut loc = Loc::new();
    match recognise(n, &mut loc) {
        Fd::Out(_) => None,
        Fd::Lost(_) => Some(None),
        Fd::Bare => Some(Some(loc.pair)),
        Fd::Paired => Some(Some(match fds::info(n) {
            Some(i) if fds::hint(n) == fds::PAIRED => usize::from(i.pair.load(Ordering::Relaxed)),
            _ => loc.pair,
        })),
    }
}

/// Who gets a message.
enum Receiver {
    /// Nobody: no descriptor goes over this socket.
    None,
    /// A process that has the library.
    Mirrored,
    /// One that has it not.
    Unmirrored,
    /// That cannot be told.
    Unknown,
}

impl Receiver {
    #[inline(never)]
    fn of(socket: i32) -> Receiver {
        if sys::is_foreign_socket(socket) {
            return Receiver::None;
        }
        let peer = sys::socket_peer(socket);
        match peer.filter(|_| sys::proc_is_own()) {
            Some(pid) => Receiver::by_maps(pid),
            None => Receiver::Unknown,
        }
    }

    /// By what a process has mapped.
    fn by_maps(pid: u32) -> Receiver {
        let mut name = PathText::<40>::new();
        let _ = name.set(b"/proc/");
        sys::append_number(pid, &mut name);
        let _ = name.append(b"/maps");
        let Ok(n) = sys::openat(c::AT_FDCWD, &name, c::O_RDONLY | c::O_CLOEXEC, 0) else {
            return Receiver::Unknown;
        };
        let found = has_library(n);
        let _ = sys::close(n);
        found
    }
}

/// Reads /proc/PID/maps.
fn has_library(n: i32) -> Receiver {
    let mut buf = [0u8; 8192];
    let mut have = 0usize;
    let mut any = false;
    loop {
        match buf.get_mut(have..).map(|room| sys::read(n, room)) {
            Some(Ok(0)) if have == 0 && any => return Receiver::Unmirrored,
            Some(Ok(k)) if k > 0 => have = have.saturating_add(k),
            _ => return Receiver::Unknown,
        }
        any = true;
        let text = buf.get(..have).unwrap_or(&[]);
        let Some(last) = text.iter().rposition(|&b| b == b'\n') else {
            continue;
        };
        let mut lines = text.get(..last).unwrap_or(&[]).split(|&b| b == b'\n');
        if lines.any(|l| maps::parse(l).is_some_and(|m| m.name() == LIBRARY)) {
            return Receiver::Mirrored;
        }
        let rest = last.saturating_add(1);
        for i in rest..have {
            let b = buf.get(i).copied().unwrap_or(0);
            if let Some(d) = buf.get_mut(i.saturating_sub(rest)) {
                *d = b;
            }
        }
        have = have.saturating_sub(rest);
    }
}

/// The library's file.
const LIBRARY: &[u8] = b"libmirror.so";

//! Tier T1: the same programs at the ends of those functions that carry out system calls, where the tracepoint of
//! all calls would be paid for by everybody, and others before anything is changed (`ebpf/hooks.h`).
use super::loaded::{refusal, taken, text};
use aya::maps::{MapData, ProgramArray};
use aya::programs::{FEntry, FExit, ProgramError};
use aya::{Btf, BtfError, Ebpf};
use std::os::fd::{AsFd, AsRawFd};

/// Calls that change something: number, and the kernel's name for what carries it out.
#[rustfmt::skip]
const CALLS: &[(u32, &str)] = &[
    (1, "write"), (2, "open"), (16, "ioctl"), (18, "pwrite64"), (20, "writev"), (40, "sendfile64"), (49, "bind"),
    (76, "truncate"), (77, "ftruncate"), (82, "rename"), (83, "mkdir"), (84, "rmdir"), (85, "creat"), (86, "link"),
    (87, "unlink"), (88, "symlink"), (90, "chmod"), (91, "fchmod"), (92, "chown"), (93, "fchown"), (94, "lchown"),
    (132, "utime"), (133, "mknod"), (188, "setxattr"), (189, "lsetxattr"), (190, "fsetxattr"), (197, "removexattr"),
    (198, "lremovexattr"), (199, "fremovexattr"), (235, "utimes"), (257, "openat"), (258, "mkdirat"),
    (259, "mknodat"), (260, "fchownat"), (261, "futimesat"), (263, "unlinkat"), (264, "renameat"), (265, "linkat"),
    (266, "symlinkat"), (268, "fchmodat"), (275, "splice"), (280, "utimensat"), (285, "fallocate"), (296, "pwritev"),
    (304, "open_by_handle_at"), (316, "renameat2"), (326, "copy_file_range"), (328, "pwritev2"), (437, "openat2"),
    // By which the places are learnt, and locks are counted.
    (73, "flock"),
];
/// Calls that older kernels do not have.
const NEWER: &[(u32, &str)] = &[
    (452, "fchmodat2"),
    (463, "setxattrat"),
    (466, "removexattrat"),
    (469, "file_setattr"),
];

/// Asked before something is changed: program, function.
const CHANGES: &[(&str, &str)] = &[
    ("hook_create", "security_inode_create"),
    ("hook_mkdir", "security_inode_mkdir"),
    ("hook_mknod", "security_inode_mknod"),
    ("hook_symlink", "security_inode_symlink"),
    ("hook_unlink", "security_inode_unlink"),
    ("hook_rmdir", "security_inode_rmdir"),
    ("hook_link", "security_inode_link"),
    ("hook_rename", "security_inode_rename"),
    ("hook_attributes", "notify_change"),
    ("hook_setxattr", "security_inode_setxattr"),
    ("hook_removexattr", "security_inode_removexattr"),
    ("hook_permission", "security_file_permission"),
    ("hook_store", "file_update_time"),
];
/// Before 6.2 an ACL is an extended attribute.
const ACLS: &[(&str, &str)] = &[
    ("hook_set_acl", "security_inode_set_acl"),
    ("hook_remove_acl", "security_inode_remove_acl"),
];

/// Why a program is not at its function.
enum Miss {
    /// This kernel does not have the function: nobody comes by.
    Absent(String),
    /// It has, and what passes there would not be seen.
    Refused(String),
}

impl Miss {
    fn of(function: &str, e: &ProgramError) -> Miss {
        let why = refused(function, e);
        match e {
            ProgramError::Btf(BtfError::UnknownBtfTypeName { .. }) => Miss::Absent(why),
            _ => Miss::Refused(why),
        }
    }
    fn words(self) -> String {
        match self {
            Miss::Absent(why) | Miss::Refused(why) => why,
        }
    }
}

impl From<String> for Miss {
    fn from(why: String) -> Miss {
        Miss::Refused(why)
    }
}

/// A function that only some kernels have: without it nothing is missed. With it, and without the program, the tier
/// would be blind and not know it.
fn unless_absent(done: Result<(), Miss>) -> Result<(), String> {
    match done {
        Ok(()) | Err(Miss::Absent(_)) => Ok(()),
        Err(Miss::Refused(why)) => Err(why),
    }
}

/// Attaches what sees the ends of calls.
pub fn ends(bpf: &mut Ebpf, btf: &Btf) -> Result<Forms, String> {
    let mut forms = Forms {
        all: [taken(bpf, "ENDS_0")?, taken(bpf, "ENDS_1")?],
        known: 0,
    };
    for (nr, name) in CALLS {
        forms.end(bpf, btf, *nr, name).map_err(Miss::words)?;
    }
    for (nr, name) in NEWER {
        unless_absent(forms.end(bpf, btf, *nr, name))?;
    }
    Ok(forms)
}

/// The forms of functions: a program that is small goes on to one of the same form. The kernel forgets to which
/// when this is dropped.
pub struct Forms {
    all: [ProgramArray<MapData>; 2],
    /// So many have been met.
    known: usize,
}

impl Forms {
    fn end(&mut self, bpf: &mut Ebpf, btf: &Btf, nr: u32, name: &str) -> Result<(), Miss> {
        let function = format!("__x64_sys_{name}");
        let mut why = Miss::Refused(String::new());
        for form in 0..self.all.len() {
            if form == self.known {
                self.meet(bpf, btf, &function)?;
            }
            let end: &mut FExit = program(bpf, &format!("end_{form}_{nr}"))?;
            match end.load(&function, btf) {
                Ok(()) => {
                    end.attach().map_err(|e| Miss::of(&function, &e))?;
                    return Ok(());
                }
                Err(e) => why = Miss::of(&function, &e),
            }
        }
        Err(why)
    }

    /// A function of a form that was not met before.
    fn meet(&mut self, bpf: &mut Ebpf, btf: &Btf, function: &str) -> Result<(), Miss> {
        let ends: &mut FExit = program(bpf, &format!("ends_{}", self.known))?;
        let done = ends.load(function, btf);
        done.map_err(|e| Miss::of(function, &e))?;
        let fd = ends.fd().map_err(text)?.try_clone().map_err(text)?;
        let array = self
            .all
            .get_mut(self.known)
            .ok_or_else(|| "no such form".to_owned())?;
        array.set(0, &fd, 0).map_err(text)?;
        self.known += 1;
        Ok(())
    }
}

/// Attaches what is asked before a change. The functions that this kernel does not have.
pub fn changes(bpf: &mut Ebpf, btf: &Btf) -> Result<Vec<&'static str>, String> {
    let mut absent = vec![];
    for (name, function) in CHANGES {
        if before(bpf, btf, name, function).is_err() {
            absent.push(*function);
        }
    }
    for (name, function) in ACLS {
        unless_absent(before(bpf, btf, name, function))?;
    }
    Ok(absent)
}

fn before(bpf: &mut Ebpf, btf: &Btf, name: &str, function: &str) -> Result<(), Miss> {
    let hook: &mut FEntry = program(bpf, name)?;
    hook.load(function, btf)
        .map_err(|e| Miss::of(function, &e))?;
    hook.attach().map_err(|e| Miss::of(function, &e))?;
    Ok(())
}

fn program<'a, T>(bpf: &'a mut Ebpf, name: &str) -> Result<&'a mut T, String>
where
    &'a mut T: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    let found = bpf.program_mut(name).ok_or("a program is missing")?;
    found.try_into().map_err(text::<ProgramError>)
}

/// Some kernels let nobody in at their functions, but do at tracepoints.
fn refused(function: &str, e: &dyn std::error::Error) -> String {
    let why = refusal(e);
    match rustix::process::geteuid().is_root() && why.starts_with("needs CAP_BPF") {
        true => "the kernel refuses programs at its functions (fentry), also to root".into(),
        false => format!("{function}: {why}"),
    }
}

/// What this tier does not see.
pub fn blind(absent: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = [
        "stores through a mapping after the first one to a page, until it is written back",
        "the range of what io_uring, aio and the kernel write",
        "what the kernel itself writes (nfsd, a loop device): it is not tried",
        "what io_uring, 32-bit calls and the kernel change and change back before it is looked at",
        "a write through a name outside of the legs, if the kernel has forgotten the name inside",
        "data of files that have no name yet (O_TMPFILE)",
        "the names that 32-bit programs change, and on some kernels their directories",
        "what lies below a mount point inside a leg, or more than 64 names deep",
    ]
    .map(String::from)
    .to_vec();
    if !absent.is_empty() {
        all.push(format!(
            "what passes functions that this kernel does not have, or does not open: {}",
            absent.join(", ")
        ));
    }
    all
}

/// How often a program did not run because another thread stood in it on the same processor: it is interrupted
/// there on kernels that interrupt themselves. Such an event is lost.
#[derive(Default)]
pub struct Missed {
    count: u64,
    looked: u64,
}

/// How often the kernel is asked for it.
const PERIOD: u64 = 1_000_000_000;

impl Missed {
    /// How many, when it was last asked.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Asks, if it is time. `now`: CLOCK_MONOTONIC.
    pub fn look(&mut self, programs: &Ebpf, now: u64) {
        if now.saturating_sub(self.looked) < PERIOD {
            return;
        }
        if now != u64::MAX {
            self.looked = now;
        }
        let fds = programs.programs().filter_map(|(_, p)| p.fd().ok());
        self.count = fds
            .filter_map(|fd| {
                let fd = fd.as_fd().as_raw_fd();
                let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
                let line = text
                    .lines()
                    .find_map(|l| l.strip_prefix("recursion_misses:"))?;
                line.trim().parse::<u64>().ok()
            })
            .sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a kernel does not have nobody misses; all else that goes wrong there blinds.
    #[test]
    fn only_what_is_absent_is_passed_over() {
        let name = || "__x64_sys_file_setattr".to_owned();
        let absent = ProgramError::Btf(BtfError::UnknownBtfTypeName { type_name: name() });
        assert!(unless_absent(Err(Miss::of(&name(), &absent))).is_ok());
        let refused = [ProgramError::NotLoaded, ProgramError::UnexpectedProgramType];
        for e in refused {
            let why = unless_absent(Err(Miss::of(&name(), &e))).unwrap_err();
            assert!(why.starts_with(&name()), "{why}");
        }
        assert!(unless_absent(Err("a program is missing".to_owned().into())).is_err());
        // Functions that every kernel has may not be absent either.
        assert!(Miss::of(&name(), &absent).words().contains("file_setattr"));
    }
}

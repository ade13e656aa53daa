//! Who made a change: what /proc says of a thread, as long as it lives.
use crate::launch::program::{self, Unmirrorable};
use crate::text;
use mirror_audit::{Who, Why};
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;

/// One process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// Its pid, 0 if not known.
    pub pid: u32,
    /// Its user.
    pub uid: Option<u32>,
    /// Its name.
    pub name: String,
    /// Its command line.
    pub command: String,
    /// Its control group.
    pub cgroup: String,
    /// Whether the library is loaded in it.
    pub mirrored: bool,
    /// Why its changes are not mirrored.
    pub why: Why,
}

impl Person {
    /// Whether the library is known not to be loaded in it.
    pub fn foreign(&self) -> bool {
        !self.mirrored && self.why != Why::Unknown
    }

    /// `hugo[9950] www`
    pub fn shown(&self) -> String {
        let name = match self.name.as_str() {
            "" => "?",
            n => n,
        };
        let user = self.uid.map(|u| format!(" {}", text::user(u)));
        format!("{name}[{}]{}", self.pid, user.unwrap_or_default())
    }
}

/// Those who were met since the last look.
#[derive(Default)]
pub struct People(HashMap<u32, Rc<Person>>);

impl People {
    /// Forgets all: a pid may be another's next time.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// Who it was. Ask at once: a program may end soon.
    pub fn of(&mut self, who: &Who) -> Rc<Person> {
        let id = if who.tid != 0 { who.tid } else { who.pid };
        let known = self.0.entry(id).or_insert_with(|| Rc::new(ask(who, id)));
        known.clone()
    }
}

/// Asks /proc.
fn ask(who: &Who, id: u32) -> Person {
    let mut p = Person {
        pid: if who.pid != 0 { who.pid } else { id },
        uid: who.uid,
        name: text::show(&who.comm),
        ..Person::default()
    };
    if id == 0 {
        return p;
    }
    let folder = PathBuf::from(format!("/proc/{id}"));
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap_or_default();
    let status = String::from_utf8_lossy(&read("status")).into_owned();
    let field = |key: &str| -> Option<u32> {
        let line = status.lines().find_map(|l| l.strip_prefix(key))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let Some(pid) = field("Tgid:") else {
        return ended(p, who);
    };
    p.pid = pid;
    p.uid = p.uid.or(field("Uid:"));
    if p.name.is_empty() {
        p.name = text::show(read("comm").trim_ascii_end());
    }
    let words: Vec<String> = read("cmdline")
        .split(|&b| b == 0)
        .filter(|w| !w.is_empty())
        .map(text::show)
        .collect();
    p.command = words.join(" ");
    let cgroup = read("cgroup");
    let cgroup = cgroup.split(|&b| b == b'\n').next().unwrap_or_default();
    p.cgroup = text::show(cgroup.strip_prefix(b"0::").unwrap_or(cgroup));
    let maps = read("maps");
    p.mirrored = maps.windows(13).any(|w| w == b"/libmirror.so");
    p.why = match () {
        () if p.mirrored => Why::Mirrored,
        () if kernel(&read("stat")) => Why::Kernel,
        () => judge(folder.join("exe")),
    };
    match p.why {
        // It is dead already, and only not waited for.
        Why::Unknown => ended(p, who),
        _ => p,
    }
}

/// The same of a process that has ended: by what its program was started with.
fn ended(mut p: Person, who: &Who) -> Person {
    let Some(b) = &who.began else {
        return p;
    };
    let words: Vec<String> = b.args.iter().map(|a| text::show(a)).collect();
    if p.command.is_empty() {
        p.command = words.join(" ");
    }
    let file = PathBuf::from(std::ffi::OsStr::from_bytes(&b.file));
    let preloaded = b.preload.windows(13).any(|w| w == b"/libmirror.so");
    let by_file = match file.is_absolute() {
        true => judge(file),
        false => Why::Unknown,
    };
    // The file may be gone, or have another name here: then the kernel's own word counts.
    p.why = match by_file {
        Why::Unknown if b.secure => Why::SetId,
        Why::Unknown if b.fixed => Why::Static,
        Why::NotPreloaded | Why::Unknown if preloaded => Why::Mirrored,
        Why::Unknown => Why::NotPreloaded,
        why => why,
    };
    p.mirrored = p.why == Why::Mirrored;
    p
}

/// Whether it is a thread of the kernel's own: PF_KTHREAD among the flags of its stat.
fn kernel(stat: &[u8]) -> bool {
    const KTHREAD: u64 = 0x0020_0000;
    let end = stat.iter().rposition(|b| *b == b')').unwrap_or(0);
    let rest = String::from_utf8_lossy(stat.get(end..).unwrap_or_default());
    let flags = rest.split_whitespace().nth(7).and_then(|f| f.parse().ok());
    flags.is_some_and(|f: u64| f & KTHREAD != 0)
}

/// What kind of program it runs.
fn judge(exe: PathBuf) -> Why {
    if std::fs::metadata(&exe).is_err() {
        return Why::Unknown;
    }
    let Ok(p) = program::inspect(exe) else {
        return Why::Foreign;
    };
    match p.unmirrorable {
        None => Why::NotPreloaded,
        Some(Unmirrorable::Static) => Why::Static,
        Some(Unmirrorable::Go) => Why::Go,
        Some(Unmirrorable::Privileged(_)) => Why::SetId,
        Some(Unmirrorable::Foreign(_)) => Why::Foreign,
        Some(Unmirrorable::NoLibc | Unmirrorable::Musl | Unmirrorable::AddressSanitizer) => {
            Why::NoLibc
        }
    }
}

//! Which pairs there are: the mirrortab files and the variable MIRROR. The preloaded library reads the
//! same places by the same rules.
use crate::fail::{Fail, Kind, Res, reason};
use crate::text;
use mirror_core::path::PATH_MAX;
use mirror_core::record::Id;
use mirror_core::tab::{
    Entry, Fault, OnFailure, OnFull, ROOM, ROOT_WAIT, Unmirrorable, lines, overlap, parse_line,
    parse_mirror,
};
use mirror_core::tabs::{self, Distrust};
use mirror_core::{LockKind, PerLeg};
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// One configured pair, with paths of its own.
#[derive(Clone, Debug)]
pub struct Line {
    /// The virtual directory.
    pub virt: PathBuf,
    /// The legs in the order of the line.
    pub legs: PerLeg<PathBuf>,
    /// `on-failure=`
    pub on_failure: OnFailure,
    /// `on-full=`
    pub on_full: OnFull,
    /// `id=`
    pub id: Option<Id>,
    /// `uid=`
    pub uid: Option<u32>,
    /// `root-wait=`
    pub root_wait: u32,
    /// `unmirrorable=`
    pub unmirrorable: Unmirrorable,
    /// `locks=`
    pub locks: Option<LockKind>,
    /// The file it stands in; `None` for MIRROR.
    pub file: Option<PathBuf>,
    /// Its line number, from 1.
    pub number: u32,
}

impl Line {
    fn new(e: &Entry<'_>, file: Option<&Path>) -> Line {
        let p = |t: &[u8]| PathBuf::from(OsString::from_vec(t.to_vec()));
        Line {
            virt: p(e.virt()),
            legs: e.legs().map(p),
            on_failure: e.options.on_failure,
            on_full: e.options.on_full,
            id: e.options.id,
            uid: e.options.uid,
            root_wait: e.options.root_wait,
            unmirrorable: e.options.unmirrorable,
            locks: e.options.locks,
            file: file.map(Path::to_path_buf),
            number: e.line,
        }
    }
    /// What records know the pair by: V's text, and its id's tag (0: the line says no id).
    pub fn tagged(&self) -> (&[u8], u64) {
        let v = self.virt.as_os_str().as_bytes();
        (v, self.id.map_or(0, Id::tag))
    }
    /// Whether V is leg a itself.
    pub fn in_place(&self) -> bool {
        self.virt == self.legs.a
    }
    /// Whether two lines say the same pair (in two files, for two users): that is one pair.
    fn same_pair(&self, other: &Line) -> bool {
        self.virt == other.virt && self.legs == other.legs
    }
    /// `FILE:LINE`, or `MIRROR`.
    pub fn place(&self) -> String {
        match &self.file {
            Some(f) => format!("{}:{}", text::path(f), self.number),
            None => "MIRROR".into(),
        }
    }
    /// The options as the tab writes them.
    pub fn options(&self) -> String {
        let failure = match self.on_failure {
            OnFailure::Degrade => "degrade",
            OnFailure::Fail => "fail",
        };
        let full = match self.on_full {
            OnFull::Error => "error",
            OnFull::Degrade => "degrade",
        };
        let more = self
            .unmirrorable()
            .map_or(String::new(), |u| format!(",{u}"));
        let locks = self
            .locks
            .map_or(String::new(), |l| format!(",locks={}", l.word()));
        format!("on-failure={failure},on-full={full}{more}{locks}")
    }
    /// `unmirrorable=`, unless it is the default.
    fn unmirrorable(&self) -> Option<&'static str> {
        match self.unmirrorable {
            Unmirrorable::Warn => None,
            Unmirrorable::Refuse => Some("unmirrorable=refuse"),
            Unmirrorable::Quiet => Some("unmirrorable=quiet"),
        }
    }
    /// The options for display, without what `mirror init` chooses.
    pub fn shown_options(&self) -> String {
        let own = self.unmirrorable().unwrap_or("");
        let rest = Line {
            unmirrorable: Unmirrorable::Warn,
            locks: self.locks.filter(|l| *l != LockKind::Memory),
            ..self.clone()
        };
        format!("{}  {own}", rest.options()).trim_end().to_owned()
    }
    /// The options and what pins the pair, as the tab writes them.
    pub fn all_options(&self) -> String {
        let mut s = self.options();
        if let Some(id) = self.id {
            s += &format!(",id={}", String::from_utf8_lossy(&id.hex()));
        }
        if let Some(uid) = self.uid {
            s += &format!(",uid={uid}");
        }
        if self.root_wait != ROOT_WAIT {
            s += &format!(",root-wait={}", self.root_wait);
        }
        s
    }
    /// All paths of the pair.
    pub fn paths(&self) -> [&Path; 3] {
        [&self.virt, &self.legs.a, &self.legs.b]
    }
}

/// Whether two pairs have overlapping paths.
pub fn collide(a: &Line, b: &Line) -> bool {
    a.paths().iter().any(|x| {
        b.paths()
            .iter()
            .any(|y| overlap(x.as_os_str().as_bytes(), y.as_os_str().as_bytes()))
    })
}

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The user's own mirrortab. Fixed below the home: no variable but HOME moves it.
pub fn user_tab() -> Option<PathBuf> {
    let own = tabs::of_home::<PATH_MAX>(std::env::var_os("HOME")?.as_bytes())?;
    Some(PathBuf::from(OsStr::from_bytes(own.as_bytes())))
}

/// The file that `init` writes.
pub fn own_tab() -> Res<PathBuf> {
    if let Some(f) = named() {
        return if f.is_absolute() {
            Ok(f)
        } else {
            std::path::absolute(&f).map_err(|e| Fail::io(text::path(&f), e))
        };
    }
    if root() {
        return Ok(tabs::SYSTEM.into());
    }
    user_tab().ok_or_else(|| Fail::new(Kind::Config, "HOME is not set, so there is no place for your mirrortab. Set HOME, or name a file: MIRRORTAB=/path/of/mirrortab"))
}

fn named() -> Option<PathBuf> {
    std::env::var_os("MIRRORTAB")
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
}

/// The files that are read, in order; they need not exist.
pub fn files() -> Vec<PathBuf> {
    if let Some(f) = named() {
        return vec![f];
    }
    let mut out = vec![PathBuf::from(tabs::SYSTEM)];
    let mut more: Vec<PathBuf> = std::fs::read_dir(tabs::FOLDER)
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.file_name().is_some_and(|n| tabs::is_tab(n.as_bytes())))
        .collect();
    more.sort();
    out.append(&mut more);
    if !root() {
        out.extend(user_tab());
    }
    out
}

/// Files (and the folder) of the default places that are there and that this user may not read: the
/// pairs in them belong to somebody else. The library passes them over too.
pub fn unreadable() -> Vec<PathBuf> {
    if named().is_some() {
        return Vec::new();
    }
    let denied = |e: std::io::Error| e.kind() == std::io::ErrorKind::PermissionDenied;
    let mut out: Vec<PathBuf> = files()
        .into_iter()
        .filter(|f| std::fs::File::open(f).is_err_and(denied))
        .collect();
    if std::fs::read_dir(tabs::FOLDER).is_err_and(denied) {
        out.push(tabs::FOLDER.into());
    }
    out
}

/// Reads a mirrortab file; `None` if it does not exist. It counts only if nobody but root and this
/// user can have written it.
pub fn read_trusted(file: &Path) -> Res<Option<Vec<u8>>> {
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
    let f = match std::fs::File::options()
        .read(true)
        .custom_flags(flags)
        .open(file)
    {
        Ok(f) => f,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => {
            return Err(Fail::new(
                Kind::Config,
                format!("{}: {}", text::path(file), reason(&e)),
            ));
        }
    };
    let bad = |why: String| {
        Err(Fail::new(
            Kind::Config,
            format!("{}: {why}", text::path(file)),
        ))
    };
    let meta = f.metadata().map_err(|e| Fail::io(text::path(file), e))?;
    let euid = rustix::process::geteuid().as_raw();
    match tabs::trusted(meta.mode(), meta.uid(), euid) {
        Ok(()) => {}
        Err(Distrust::Kind) => return bad("not a regular file. A mirrortab is one".into()),
        Err(Distrust::Owner) => {
            return bad(format!(
                "belongs to user {}: only files of root or of your own count. chown it",
                meta.uid()
            ));
        }
        Err(Distrust::Writable) => {
            return bad(format!(
                "others can write it. chmod go-w {}",
                text::shell(file)
            ));
        }
    }
    let mut out = Vec::new();
    f.take(tabs::FILE_MAX as u64)
        .read_to_end(&mut out)
        .map_err(|e| Fail::io(text::path(file), e))?;
    if out.len() >= tabs::FILE_MAX {
        return bad(
            "is larger than 64 KiB, and programs read no more. Remove comments from it".into(),
        );
    }
    Ok(Some(out))
}

const OPTIONS: [&str; 8] = [
    "on-failure",
    "on-full",
    "defaults",
    "id",
    "uid",
    "root-wait",
    "locks",
    "unmirrorable",
];

fn fault_text(fault: Fault, line: &[u8]) -> String {
    if fault == Fault::UnknownOption
        && let Some(field) = line
            .split(|c| matches!(c, b' ' | b'\t' | b'\r'))
            .filter(|f| !f.is_empty())
            .nth(3)
    {
        for opt in field.split(|&c| c == b',') {
            let key = String::from_utf8_lossy(opt.split(|&c| c == b'=').next().unwrap_or(opt))
                .into_owned();
            if OPTIONS.contains(&key.as_str()) && !(key == "defaults" && opt.contains(&b'=')) {
                continue;
            }
            let near = text::near(&key, OPTIONS.iter().copied());
            let hint = near.map_or_else(
                || "known: on-failure=degrade|fail, on-full=error|degrade, unmirrorable=warn|refuse|quiet".into(),
                |o| format!("did you mean {o}?"),
            );
            return format!("option '{}' unknown ({hint})", text::show(key.as_bytes()));
        }
    }
    fault.text().to_string()
}

/// Parses a mirrortab's text.
pub fn parse(file: &Path, content: &[u8]) -> Res<Vec<Line>> {
    let mut out = Vec::new();
    let mut room = vec![0; ROOM];
    let mut e = Entry::over(&mut room);
    for (n, line) in lines(content) {
        match parse_line(line, n, &mut e) {
            Ok(true) => out.push(Line::new(&e, Some(file))),
            Ok(false) => {}
            Err(f) => {
                return Err(Fail::new(
                    Kind::Config,
                    format!("{}:{n}: {}", text::path(file), fault_text(f, line)),
                ));
            }
        }
    }
    Ok(out)
}

/// The failure of two overlapping pairs.
pub fn check_overlaps(all: &[Line]) -> Res<()> {
    for (i, b) in all.iter().enumerate() {
        let others = &mut all[..i].iter();
        if let Some(a) = others.find(|a| collide(a, b) && !a.same_pair(b)) {
            let same = if a.virt == b.virt {
                "name one V for two pairs"
            } else {
                "overlap: pairs must not share directories"
            };
            return Err(Fail::new(
                Kind::Config,
                format!(
                    "{} ({}) and {} ({}) {same}. Remove one of the lines",
                    a.place(),
                    text::path(&a.virt),
                    b.place(),
                    text::path(&b.virt)
                ),
            ));
        }
    }
    Ok(())
}

/// All configured pairs.
pub fn load() -> Res<Vec<Line>> {
    let mut all = Vec::new();
    let hidden = unreadable();
    for file in files().into_iter().filter(|f| !hidden.contains(f)) {
        if let Some(content) = read_trusted(&file)? {
            all.append(&mut parse(&file, &content)?);
        }
    }
    if let Some(value) = std::env::var_os("MIRROR").filter(|v| !v.is_empty()) {
        let mut room = vec![0; ROOM];
        let mut e = Entry::over(&mut room);
        parse_mirror(value.as_bytes(), &mut e).map_err(|f| {
            Fail::new(
                Kind::Config,
                format!("MIRROR='{}' {}", text::show(value.as_bytes()), f.text()),
            )
        })?;
        all.push(Line::new(&e, None));
    }
    let mut distinct: Vec<Line> = Vec::new();
    for l in all {
        match distinct.iter_mut().find(|d| d.same_pair(&l)) {
            // What the first line does not pin, the second may.
            Some(d) => (d.id, d.uid) = (d.id.or(l.id), d.uid.or(l.uid)),
            None => distinct.push(l),
        }
    }
    check_overlaps(&distinct)?;
    Ok(distinct)
}

/// Says that no pair is configured, and how to make one.
pub fn none() -> Fail {
    let places = match named() {
        Some(f) => format!(
            "{}: {}",
            text::path(&f),
            if f.exists() { "none" } else { "no such file" }
        ),
        None if root() => "/etc/mirrortab, /etc/mirrortab.d: none".into(),
        None => {
            let hidden: Vec<String> = unreadable().iter().map(|f| text::path(f)).collect();
            let mut s =
                "/etc/mirrortab, /etc/mirrortab.d, ~/.config/mirror/mirrortab: none".to_string();
            if !hidden.is_empty() {
                s += &format!(" that this user may read; not {}", hidden.join(", "));
            }
            s
        }
    };
    Fail::new(
        Kind::Usage,
        format!("no pairs configured ({places}). Start with: mirror init LEG_A LEG_B"),
    )
}

/// The pair that a word of the command line names: V, or a leg.
pub fn find<'a>(all: &'a [Line], word: &Path) -> Res<&'a Line> {
    let absolute = std::path::absolute(word).unwrap_or_else(|_| word.to_path_buf());
    let absolute: PathBuf = absolute.components().collect();
    let real = std::fs::canonicalize(word).ok();
    let hit = |p: &Path| {
        all.iter()
            .find(|l| l.virt == p)
            .or_else(|| all.iter().find(|l| l.legs.iter().any(|x| x == p)))
    };
    // The escaped form, as messages show it.
    let shown = || {
        PathBuf::from(OsString::from_vec(text::unescape(
            absolute.as_os_str().as_bytes(),
        )))
    };
    if let Some(l) = hit(&absolute)
        .or_else(|| real.as_deref().and_then(hit))
        .or_else(|| hit(&shown()))
    {
        return Ok(l);
    }
    if all.is_empty() {
        return Err(none());
    }
    let known: Vec<String> = all.iter().map(|l| text::path(&l.virt)).collect();
    let typed = text::path(&absolute);
    let near = text::near(&typed, known.iter().map(String::as_str));
    Err(Fail::new(
        Kind::Usage,
        format!(
            "no such pair: {}.{} Configured: {}",
            text::path(word),
            near.map_or(String::new(), |n| format!(" Did you mean {n}?")),
            known.join("  ")
        ),
    ))
}

/// The named pairs, or all of them; at least one.
pub fn choose(words: &[PathBuf]) -> Res<Vec<Line>> {
    let all = load()?;
    if let Some(f) = named()
        && !all.is_empty()
        && !f.exists()
    {
        return Err(Fail::new(
            Kind::Config,
            format!(
                "MIRRORTAB names {}, which is not there. unset MIRRORTAB",
                text::path(&f)
            ),
        ));
    }
    if !words.is_empty() {
        return words.iter().map(|w| find(&all, w).cloned()).collect();
    }
    if all.is_empty() { Err(none()) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_file_line_and_remedy() {
        let f = Path::new("/etc/mirrortab");
        let e = parse(f, b"# x\n\n/v /a /b on-fail=x\n").unwrap_err();
        assert_eq!(
            e.to_string(),
            "/etc/mirrortab:3: option 'on-fail' unknown (did you mean on-failure?)"
        );
        assert_eq!(e.kind, Kind::Config);
        let all = parse(f, b"/v /a /b\n/w /c /b/d\n").unwrap();
        let e = check_overlaps(&all).unwrap_err().to_string();
        assert!(
            e.contains("/etc/mirrortab:1 (/v)") && e.contains("/etc/mirrortab:2 (/w)"),
            "{e}"
        );
    }
}

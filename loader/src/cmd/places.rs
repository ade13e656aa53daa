//! The directories of a new pair: canonical, and fit to be legs and V.
use crate::fail::{Context, Fail, Kind, Res};
use crate::pair::tab::Line;
use crate::text;
use crate::tree::beneath::{self, Root};
use crate::tree::probe;
use mirror_core::PerLeg;
use mirror_core::tab::overlap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

fn refuse<T>(text: String) -> Res<T> {
    Err(Fail::failed(text))
}

/// A leg's canonical path and root.
pub fn leg(word: &Path) -> Res<Root> {
    let shown = text::path(word);
    let path = std::fs::canonicalize(word).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Fail::failed(format!(
            "{shown}: no such directory. Make it first: mkdir {}",
            text::shell(word)
        )),
        _ => Fail::io(&shown, e),
    })?;
    if !path.is_dir() {
        return refuse(format!("{shown}: not a directory. A leg is a directory"));
    }
    if path == Path::new("/") {
        return refuse(
            "/ cannot be a leg: everything is inside it. Name a directory below it".into(),
        );
    }
    holds_data(&path, &shown)?;
    let root = Root::open(&path).about(&shown)?;
    if let Err(e) = root.dir(b"") {
        return refuse(format!(
            "{shown}: it cannot be opened beneath itself ({}; {})",
            crate::fail::reason(&e),
            super::explain::UNFIT
        ));
    }
    if probe::read_only(&root) {
        return refuse(format!(
            "{shown}: its file system is mounted read-only. Remount it writable, or choose another directory"
        ));
    }
    let access =
        rustix::fs::Access::WRITE_OK | rustix::fs::Access::READ_OK | rustix::fs::Access::EXEC_OK;
    if let Err(e) = beneath::may(&path, access) {
        return Err(Fail::new(
            Kind::Permission,
            format!(
                "{shown}: not writable for this user ({}). chown or chmod it, or run as its owner",
                crate::fail::reason(&e.into())
            ),
        ));
    }
    Ok(root)
}

/// Legs are different directories, neither inside the other.
pub fn apart(a: &Root, b: &Root) -> Res<()> {
    let (pa, pb) = (text::path(&a.path), text::path(&b.path));
    if a.path == b.path || (a.dev, a.ino) == (b.dev, b.ino) {
        return refuse(format!(
            "{pa} and {pb} are the same directory. The legs of a pair are two"
        ));
    }
    if overlap(a.path.as_os_str().as_bytes(), b.path.as_os_str().as_bytes()) {
        let (inner, outer) = if a.path.starts_with(&b.path) {
            (pa, pb)
        } else {
            (pb, pa)
        };
        return refuse(format!(
            "{inner} is inside {outer}: a leg cannot contain the other. Choose a directory outside it"
        ));
    }
    Ok(())
}

/// V's canonical path: its parent's real path and its name.
pub fn virt(word: &Path) -> Res<PathBuf> {
    let shown = text::path(word);
    let absolute: PathBuf = std::path::absolute(word)
        .about(&shown)?
        .components()
        .collect();
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return refuse(format!(
            "{shown}: cannot be the virtual directory. Name a path below an existing directory"
        ));
    };
    if absolute
        .components()
        .any(|c| c == std::path::Component::ParentDir)
    {
        return refuse(format!("{shown}: write it without '..'"));
    }
    let real = std::fs::canonicalize(parent).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Fail::failed(format!(
            "{}: no such directory, so {shown} cannot be made there. Make it first: mkdir -p {}",
            text::path(parent),
            text::shell(parent)
        )),
        _ => Fail::io(text::path(parent), e),
    })?;
    if !real.is_dir() {
        return refuse(format!(
            "{}: not a directory, so {shown} cannot be made there",
            text::path(parent)
        ));
    }
    let virt = real.join(name);
    holds_data(&real, &shown)?;
    if virt.exists() {
        holds_data(&virt, &shown)?;
    }
    Ok(virt)
}

/// What stands at V now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    /// Nothing.
    Nothing,
    /// An empty directory, which the link replaces.
    EmptyDir,
    /// The right link.
    Link,
}

/// Looks at V of a link pair; anything but nothing, an empty directory or the right link is refused.
pub fn look(virt: &Path, leg_a: &Path) -> Res<There> {
    let shown = text::path(virt);
    let m = match std::fs::symlink_metadata(virt) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(There::Nothing),
        r => r.about(&shown)?,
    };
    if m.is_symlink() {
        let to = std::fs::read_link(virt).about(&shown)?;
        if to == leg_a {
            return Ok(There::Link);
        }
        return refuse(format!(
            "{shown} exists: a symlink to {}. Remove it, or choose another --at",
            text::path(&to)
        ));
    }
    if !m.is_dir() {
        return refuse(format!(
            "{shown} exists and is not an empty directory. Move it away, or choose another --at"
        ));
    }
    if std::fs::read_dir(virt).about(&shown)?.next().is_some() {
        return refuse(format!(
            "{shown} exists and is not an empty directory. To mirror it where it is: mirror init {} {}",
            text::shell(virt),
            "LEG_B"
        ));
    }
    Ok(There::EmptyDir)
}

/// Makes V a symlink to leg a.
pub fn make_link(virt: &Path, leg_a: &Path) -> Res<()> {
    let shown = text::path(virt);
    match look(virt, leg_a)? {
        There::Link => return Ok(()),
        There::EmptyDir => std::fs::remove_dir(virt).about(&shown)?,
        There::Nothing => {}
    }
    let mut tmp = virt.as_os_str().to_os_string();
    tmp.push(format!(".{}", std::process::id()));
    std::os::unix::fs::symlink(leg_a, &tmp).about(&shown)?;
    std::fs::rename(&tmp, virt).map_err(|e| {
        let _ = std::fs::remove_file(&tmp);
        Fail::io(&shown, e)
    })
}

/// Puts the empty directory back that a link had replaced.
pub fn make_empty(virt: &Path, was: &std::fs::Metadata) {
    let _ = std::fs::create_dir(virt);
    let _ = std::os::unix::fs::chown(virt, Some(was.uid()), Some(was.gid()));
    let _ = std::fs::set_permissions(virt, was.permissions());
}

/// No leg lies inside a leg of another pair.
pub fn no_leg_above(path: &Path) -> Res<()> {
    for up in path.ancestors().skip(1) {
        let record = up.join(".mirror/leg").symlink_metadata();
        // What may not be looked at is another user's.
        if record.is_ok() || record.is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied)
        {
            return refuse(format!(
                "{} is inside {}, a leg of another pair. Pairs cannot share directories",
                text::path(path),
                text::path(up)
            ));
        }
    }
    Ok(())
}

/// The directories of the kernel and of devices; what is mounted below them is judged by itself.
const SYSTEM: [&str; 3] = ["/proc", "/sys", "/dev"];

/// File systems whose files are not data: what is written to them does something.
const NO_DATA: [&str; 28] = [
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cpuset",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "functionfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "nsfs",
    "proc",
    "pstore",
    "resctrl",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sysfs",
    "tracefs",
];

/// Refuses a path whose directory holds no data: `path` is canonical and exists.
fn holds_data(path: &Path, shown: &str) -> Res<()> {
    let kind = probe::kind(path);
    let dev = |p: &Path| std::fs::metadata(p).map(|m| m.dev()).ok();
    let system = SYSTEM
        .iter()
        .map(Path::new)
        .find(|s| path == *s || (path.starts_with(s) && dev(path) == dev(s)));
    if NO_DATA.contains(&kind.as_str()) || system.is_some() {
        let at = system.map_or_else(|| format!("a file system of type {kind}"), text::path);
        return refuse(format!(
            "{shown} cannot be mirrored: {at} belongs to the system and holds no data. Choose another directory"
        ));
    }
    Ok(())
}

/// V of a link pair lies outside both legs. Names the leg.
pub fn outside_legs(virt: &Path, legs: &PerLeg<PathBuf>) -> Res<()> {
    let bytes = |p: &Path| p.as_os_str().as_bytes().to_vec();
    for (leg, path) in legs.each() {
        let letter = leg.letter();
        if !overlap(&bytes(virt), &bytes(path)) {
            continue;
        }
        let how = if virt == path {
            format!("is leg {letter} itself")
        } else if virt.starts_with(path) {
            format!(
                "overlaps a leg: it is inside leg {letter}, {}",
                text::path(path)
            )
        } else {
            format!(
                "overlaps a leg: leg {letter}, {}, is inside it",
                text::path(path)
            )
        };
        return refuse(format!(
            "{} {how}. Choose a path outside both legs, or leave --at out",
            text::path(virt)
        ));
    }
    Ok(())
}

/// The new pair shares no directory with a configured one.
pub fn free(new: &Line, all: &[Line]) -> Res<()> {
    for old in all {
        let clash = new.paths().into_iter().find_map(|x| {
            let y = old
                .paths()
                .into_iter()
                .find(|y| overlap(x.as_os_str().as_bytes(), y.as_os_str().as_bytes()))?;
            Some((x, y))
        });
        let Some((x, y)) = clash else { continue };
        let part = match old.paths().iter().rposition(|p| *p == y) {
            Some(1) => "leg a",
            Some(2) => "leg b",
            _ => "virtual directory",
        };
        let how = if x == y {
            format!("it is its {part}")
        } else if x.starts_with(y) {
            format!("it is inside its {part} {}", text::path(y))
        } else {
            format!("its {part} {} is inside", text::path(y))
        };
        return refuse(format!(
            "{} overlaps the pair {} ({}): {how}. Pairs cannot share directories: choose another, or mirror detach {}",
            text::path(x),
            text::path(&old.virt),
            old.place(),
            text::shell(&old.virt)
        ));
    }
    Ok(())
}

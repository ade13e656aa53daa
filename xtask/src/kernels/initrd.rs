//! What a guest begins with: one program, the modules that it needs, the script.
use super::fetch::Kernel;
use crate::Result;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Modules, in the order in which they are wanted; what is built in has no file.
const WANTED: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "virtiofs",
    "loop",
    "xfs",
    "btrfs",
    "overlay",
];

/// Writes the archive.
pub fn write(kernel: &Kernel, init: &Path, script: &str, to: &Path) -> Result<()> {
    let mut archive = Archive::default();
    let read = |p: &Path| fs::read(p).map_err(|e| format!("{}: {e}", p.display()));
    archive.add("init", 0o100_755, &read(init)?);
    archive.add("script", 0o100_644, script.as_bytes());
    for d in ["dev", "modules"] {
        archive.add(d, 0o040_755, b"");
    }
    let mut all = Modules {
        files: Vec::new(),
        loaded: Vec::new(),
    };
    find(&kernel.modules.join("kernel"), &mut all.files)?;
    for name in WANTED {
        all.load(name, &mut archive)?;
    }
    archive.add("TRAILER!!!", 0, b"");
    fs::write(to, &archive.0).map_err(|e| format!("{}: {e}", to.display()))
}

/// A cpio archive of the form `newc`.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn add(&mut self, name: &str, mode: u32, data: &[u8]) {
        let links = if mode & 0o040_000 == 0 { 1 } else { 2 };
        let head = format!(
            "070701{:08X}{mode:08X}{:08X}{:08X}{links:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}",
            self.0.len(),
            0,
            0,
            0,
            data.len(),
            0,
            0,
            0,
            0,
            name.len() + 1,
            0,
        );
        self.0.extend(head.bytes());
        self.0.extend(name.bytes().chain([0]));
        self.pad();
        self.0.extend(data);
        self.pad();
    }

    fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}

struct Modules {
    files: Vec<PathBuf>,
    loaded: Vec<String>,
}

impl Modules {
    /// Adds a module behind those that it needs.
    fn load(&mut self, name: &str, archive: &mut Archive) -> Result<()> {
        let name = name.replace('-', "_");
        if self.loaded.contains(&name) {
            return Ok(());
        }
        self.loaded.push(name.clone());
        let file = self.files.iter().find(|f| module_name(f) == name).cloned();
        let Some(file) = file else { return Ok(()) };
        let data = decompressed(&file)?;
        for need in needs(&data) {
            self.load(&need, archive)?;
        }
        let number = archive.0.len();
        archive.add(&format!("modules/{number:09}-{name}"), 0o100_644, &data);
        Ok(())
    }
}

fn module_name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split(".ko").next().unwrap_or_default();
    stem.replace('-', "_")
}

/// What a module says that it needs.
fn needs(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|w| w == KEY) else {
        return Vec::new();
    };
    let rest = module.get(at + KEY.len()..).unwrap_or_default();
    let value = rest.split(|b| *b == 0).next().unwrap_or_default();
    let value = String::from_utf8_lossy(value);
    let names = value.split(',').filter(|n| !n.is_empty());
    names.map(str::to_owned).collect()
}

fn decompressed(file: &Path) -> Result<Vec<u8>> {
    if file.extension().is_some_and(|e| e == "ko") {
        return fs::read(file).map_err(|e| format!("{}: {e}", file.display()));
    }
    let o = Command::new("xz").arg("-dc").arg(file).output();
    let o = o.map_err(|e| format!("xz: {e}"))?;
    o.status
        .success()
        .then_some(o.stdout)
        .ok_or_else(|| format!("{}: not unpacked", file.display()))
}

fn find(folder: &Path, to: &mut Vec<PathBuf>) -> Result<()> {
    let all = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for entry in all.flatten() {
        let path = entry.path();
        if path.is_dir() {
            find(&path, to)?;
        } else if path.to_string_lossy().contains(".ko") {
            to.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_says_what_it_needs() {
        assert_eq!(needs(b"x\0depends=a,b-c\0y"), ["a", "b-c"]);
        assert!(needs(b"x\0depends=\0").is_empty());
        assert_eq!(module_name(Path::new("/m/raid6-pq.ko.xz")), "raid6_pq");
    }

    #[test]
    fn entries_begin_at_words() {
        let mut a = Archive::default();
        a.add("init", 0o100_755, b"12345");
        assert_eq!((a.0.len() % 4, a.0.len()), (0, 110 + 6 + 8));
    }
}

//! Debian's cloud kernels, by apt with lists of its own: the machine's are left as they are.
use crate::Result;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where they come from: suite, archive.
const SUITES: &[(&str, &str)] = &[
    ("bullseye", "debian"),
    ("bullseye-security", "debian-security"),
    ("bookworm", "debian"),
    ("bookworm-security", "debian-security"),
    ("trixie", "debian"),
    ("trixie-security", "debian-security"),
    ("trixie-backports", "debian"),
];
/// What is tried of them: the newest of each. The empty one: of all.
const SERIES: &[&str] = &["5.10.", "6.1.", "6.12.", ""];
const BEGINS: &str = "linux-image-";
const ENDS: &str = "-cloud-amd64";

/// A kernel that lies unpacked.
#[derive(Clone)]
pub struct Kernel {
    /// As `uname -r` says it.
    pub release: String,
    /// The image that boots.
    pub image: PathBuf,
    /// Its modules.
    pub modules: PathBuf,
}

/// All kernels that are tried, fetched unless they are there.
pub fn kernels(folder: &Path) -> Result<Vec<Kernel>> {
    let unpacked = folder.join("unpacked");
    let kept = folder.join("releases");
    if let Ok(list) = fs::read_to_string(&kept) {
        return list.lines().map(|r| unpacked_one(&unpacked, r)).collect();
    }
    let apt = Apt::new(folder)?;
    apt.run("apt-get", &["-qq", "update"])?;
    let all = apt.run(
        "apt-cache",
        &["search", "--names-only", "^linux-image-[0-9]"],
    )?;
    let releases = newest(&all);
    for release in &releases {
        println!("fetching {release}");
        apt.fetch(&format!("{BEGINS}{release}"), &unpacked)?;
        // Newer ones are packed in parts.
        if unpacked_one(&unpacked, release).is_err() {
            for part in ["linux-binary-", "linux-modules-"] {
                apt.fetch(&format!("{part}{release}"), &unpacked)?;
            }
        }
    }
    fs::write(&kept, releases.join("\n")).map_err(|e| format!("{}: {e}", kept.display()))?;
    releases
        .iter()
        .map(|r| unpacked_one(&unpacked, r))
        .collect()
}

/// The newest release of each series, of what `apt-cache search` prints.
fn newest(list: &str) -> Vec<String> {
    let names = list.lines().filter_map(|l| l.split_whitespace().next());
    let mut all: Vec<&str> = names
        .filter_map(|n| n.strip_prefix(BEGINS))
        // Not the meta-packages, which have no revision.
        .filter(|r| {
            r.strip_suffix(ENDS)
                .is_some_and(|v| v.matches('.').count() > 1)
        })
        .collect();
    all.sort_by_key(|r| numbers(r));
    let mut chosen: Vec<String> = Vec::new();
    for series in SERIES {
        let last = all.iter().rev().find(|r| r.starts_with(series));
        if let Some(r) = last.filter(|r| !chosen.iter().any(|c| c == **r)) {
            chosen.push((*r).to_owned());
        }
    }
    chosen
}

fn numbers(release: &str) -> Vec<u64> {
    let parts = release.split(|c: char| !c.is_ascii_digit());
    parts.filter_map(|p| p.parse().ok()).collect()
}

fn unpacked_one(unpacked: &Path, release: &str) -> Result<Kernel> {
    let modules = ["lib/modules", "usr/lib/modules"].map(|d| unpacked.join(d).join(release));
    let modules = modules.into_iter().find(|d| d.join("kernel").is_dir());
    let modules = modules.ok_or_else(|| format!("{release}: no modules"))?;
    let boot = unpacked.join("boot").join(format!("vmlinuz-{release}"));
    let image = [boot, modules.join("vmlinuz")]
        .into_iter()
        .find(|i| i.is_file());
    Ok(Kernel {
        release: release.to_owned(),
        image: image.ok_or_else(|| format!("{release}: no image"))?,
        modules,
    })
}

struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn new(folder: &Path) -> Result<Apt> {
        let folder = folder.join("apt");
        for d in ["lists/partial", "cache/archives/partial", "debs"] {
            fs::create_dir_all(folder.join(d)).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        let key = "/usr/share/keyrings/debian-archive-keyring.gpg";
        let line = |(suite, archive): &(&str, &str)| {
            format!("deb [signed-by={key}] http://deb.debian.org/{archive} {suite} main\n")
        };
        let list: String = SUITES.iter().map(line).collect();
        fs::write(folder.join("sources.list"), list).map_err(|e| e.to_string())?;
        Ok(Apt { folder })
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<String> {
        let at = |p: &str| self.folder.join(p).display().to_string();
        let options = [
            format!("Dir::Etc::sourcelist={}", at("sources.list")),
            "Dir::Etc::sourceparts=/dev/null".into(),
            format!("Dir::State::lists={}", at("lists")),
            format!("Dir::Cache={}", at("cache")),
            "APT::Architecture=amd64".into(),
            "APT::Sandbox::User=root".into(),
        ];
        let mut c = Command::new(program);
        for o in &options {
            c.args(["-o", o]);
        }
        super::output(c.args(args).current_dir(self.folder.join("debs")))
    }

    /// Fetches a package and unpacks it.
    fn fetch(&self, package: &str, to: &Path) -> Result<()> {
        self.run("apt-get", &["-qq", "download", package])?;
        let debs = self.folder.join("debs");
        for deb in fs::read_dir(&debs).map_err(|e| e.to_string())?.flatten() {
            super::output(Command::new("dpkg-deb").arg("-x").arg(deb.path()).arg(to))?;
            let _ = fs::remove_file(deb.path());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_series_is_taken() {
        let list = "linux-image-6.1.0-9-cloud-amd64 - Linux\nlinux-image-6.1-cloud-amd64 - meta\n\
            linux-image-6.1.0-10-cloud-amd64 - Linux\nlinux-image-6.1.0-11-cloud-amd64-unsigned - Linux\n\
            linux-image-5.10.0-2-cloud-amd64 - Linux\nlinux-image-7.3.4+deb13-cloud-amd64 - Linux\n";
        assert_eq!(
            newest(list),
            ["5.10.0-2", "6.1.0-10", "7.3.4+deb13"].map(|v| format!("{v}{ENDS}"))
        );
    }
}

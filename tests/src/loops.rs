//! Real file systems in loop-mounted image files (root only).
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Type of a loop-mounted file system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FsType {
    /// ext4
    Ext4,
    /// XFS
    Xfs,
    /// btrfs
    Btrfs,
}

impl FsType {
    fn name(self) -> &'static str {
        match self {
            FsType::Ext4 => "ext4",
            FsType::Xfs => "xfs",
            FsType::Btrfs => "btrfs",
        }
    }
}

/// A mounted image; unmounted when dropped.
pub struct LoopFs {
    mount: PathBuf,
    image: PathBuf,
}

impl LoopFs {
    /// Makes `MOUNT.img` of the given size in MiB, formats and mounts it. `Err` names what is missing.
    pub fn new(kind: FsType, mount: &Path, mib: u64) -> Result<LoopFs, String> {
        if !crate::is_root() {
            return Err("loop mounts need root".into());
        }
        let mkfs = format!("mkfs.{}", kind.name());
        if !crate::have(&mkfs) {
            return Err(format!("needs the program {mkfs}"));
        }
        let image = mount.with_extension("img");
        let file = fs::File::create(&image).map_err(|e| e.to_string())?;
        file.set_len(mib << 20).map_err(|e| e.to_string())?;
        drop(file);
        let quiet: &[&str] = match kind {
            FsType::Ext4 => &["-q", "-E", "lazy_itable_init=1,nodiscard", "-I", "256"],
            FsType::Xfs => &["-q", "-K"],
            FsType::Btrfs => &["-q", "-K"],
        };
        run(Command::new(crate::tool(&mkfs).expect("just found"))
            .args(quiet)
            .arg(&image))?;
        fs::create_dir(mount).map_err(|e| e.to_string())?;
        run(Command::new("mount")
            .args(["-t", kind.name(), "-o", "loop"])
            .arg(&image)
            .arg(mount))?;
        Ok(LoopFs {
            mount: mount.to_owned(),
            image,
        })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }
}

impl Drop for LoopFs {
    fn drop(&mut self) {
        // A `mount -o loop` device is freed by the kernel with the mount.
        for _ in 0..20 {
            if run(Command::new("umount").arg(&self.mount)).is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let _ = fs::remove_dir(&self.mount);
        let _ = fs::remove_file(&self.image);
    }
}

fn run(c: &mut Command) -> Result<(), String> {
    let name = format!("{c:?}");
    let o = c
        .env("PATH", crate::environment::PATH)
        .output()
        .map_err(|e| format!("{name}: {e}"))?;
    match o.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{name}: {}",
            String::from_utf8_lossy(&o.stderr).trim()
        )),
    }
}

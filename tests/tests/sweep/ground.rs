//! What an operation works on: the same small folder on both legs, with long past times.
use mirror_tests::is_root;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// user::rw- user:7:r-- group::r-- mask::r-- other::r--
const ACL: &[u8] = &[
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 7, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255,
    255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255,
];
/// cap_net_bind_service=ep
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn set_xattr(path: &Path, name: &str, value: &[u8]) -> io::Result<()> {
    let (path, name) = (
        CString::new(path.as_os_str().as_bytes())?,
        CString::new(name)?,
    );
    // SAFETY: both texts end with NUL, and the value has the length that is given.
    let r = unsafe {
        libc::setxattr(
            path.as_ptr(),
            name.as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    };
    if r < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Furnishes a new folder.
pub fn furnish(dir: &Path) {
    make(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
}

fn make(dir: &Path) -> io::Result<()> {
    fs::create_dir(dir)?;
    for sub in ["d", "ed"] {
        fs::create_dir(dir.join(sub))?;
    }
    let pattern: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    let files: [(&str, &[u8]); 11] = [
        ("warm", b"warm"),
        ("f", &pattern[..300]),
        ("f2", b"second"),
        ("big", &pattern),
        ("s", b"set-id"),
        ("es", b""),
        ("cap", b"capability"),
        ("x", b"x"),
        ("acl", b"acl"),
        ("h1", b"linked"),
        ("d/in", b"in"),
    ];
    for (name, content) in files {
        fs::write(dir.join(name), content)?;
    }
    fs::hard_link(dir.join("h1"), dir.join("h2"))?;
    symlink("nowhere", dir.join("sl"))?;
    for name in ["s", "es"] {
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o6755))?;
    }
    set_xattr(&dir.join("x"), "user.k", b"old")?;
    set_xattr(&dir.join("acl"), "system.posix_acl_access", ACL)?;
    if is_root() {
        for name in ["cap", "es"] {
            set_xattr(&dir.join(name), "security.capability", CAPABILITY)?;
        }
    }
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for (name, _) in files {
        fs::File::open(dir.join(name))?.set_modified(past)?;
    }
    Ok(())
}

/// Whether a file has the flag that `chattr +d` sets.
pub fn is_nodump(path: &Path) -> bool {
    use std::os::fd::AsRawFd;
    let file = fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut flags: libc::c_int = 0;
    // SAFETY: the kernel writes one int.
    let r = unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) };
    r == 0 && flags & 0x40 != 0
}

//! Where the built files are and what this machine offers.
use std::path::{Path, PathBuf};

/// Directories searched for programs: no language manager's wrapper scripts.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The folder with `mirror`, `libmirror.so` and `mirror-run`: `$MIRROR_DIST`, or `dist` beside the
/// build that this test belongs to.
pub fn dist() -> PathBuf {
    if let Some(d) = std::env::var_os("MIRROR_DIST") {
        return PathBuf::from(d);
    }
    // target/debug/deps/suite-hash
    let exe = std::env::current_exe().expect("the test's own path");
    exe.ancestors()
        .nth(3)
        .expect("a target directory above the test")
        .join("dist")
}

/// One of the built files; panics with the way out when it has not been built.
pub fn built(name: &str) -> PathBuf {
    let p = dist().join(name);
    assert!(
        p.exists(),
        "{} is missing: run `cargo xtask build` first",
        p.display()
    );
    p
}

/// The full path of an installed program.
pub fn tool(name: &str) -> Option<PathBuf> {
    PATH.split(':')
        .map(|d| Path::new(d).join(name))
        .find(|p| p.is_file())
}

/// Whether an installed program is there.
pub fn have(name: &str) -> bool {
    tool(name).is_some()
}

/// Whether this process is root.
pub fn is_root() -> bool {
    // SAFETY: geteuid has no arguments and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Whether the long variants of the tests are wanted (`MIRROR_SOAK=1`).
pub fn soak() -> bool {
    std::env::var_os("MIRROR_SOAK").is_some_and(|v| v == "1")
}

/// A fresh empty directory for one test, below the temporary directory.
pub fn base_dir() -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("mfs{}.{n}", std::process::id()));
    std::fs::create_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    // Names of the kernel, so that what programs print can be compared.
    dir.canonicalize()
        .expect("a resolvable temporary directory")
}

/// Where random calls begin: `MIRROR_RACE_SEED`, else the clock. Each run prints its own seed.
pub fn race_seed() -> u64 {
    let given = std::env::var("MIRROR_RACE_SEED").ok();
    given.and_then(|s| s.parse().ok()).unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
        u64::from(now.expect("a clock").subsec_nanos())
    })
}

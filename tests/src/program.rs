//! C helper programs, compiled when a test wants them.
use crate::environment::tool;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles one C source into `dir` and gives the program's path; `None` (and a SKIP line) without cc.
pub fn compile(dir: &Path, name: &str, source: &str) -> Option<PathBuf> {
    compile_with(dir, name, source, "c", &["-pthread"])
}

/// The same with the language (`c` or `cc`) and flags (put behind the source, so `-ldl` works).
pub fn compile_with(
    dir: &Path,
    name: &str,
    source: &str,
    language: &str,
    flags: &[&str],
) -> Option<PathBuf> {
    let compiler = if language == "c" { "cc" } else { "c++" };
    let Some(compiler) = tool(compiler) else {
        crate::skip(format!("needs the program {compiler}"));
        return None;
    };
    let file = dir.join(format!("{name}.{language}"));
    let exe = dir.join(name);
    std::fs::write(&file, source).expect("writing the source");
    let kept = kept(name, source, language, flags);
    if kept
        .as_ref()
        .is_some_and(|k| std::fs::copy(k, &exe).is_ok())
    {
        return Some(exe);
    }
    let o = Command::new(compiler)
        .args(["-O1", "-g", "-w", "-D_GNU_SOURCE", "-o"])
        .arg(&exe)
        .arg(&file)
        .args(flags)
        .output()
        .expect("running the compiler");
    assert!(
        o.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&o.stderr)
    );
    if let Some(kept) = kept {
        // Another test may be about to keep the same.
        let new = kept.with_extension(std::process::id().to_string());
        let moved = std::fs::copy(&exe, &new).and_then(|_| std::fs::rename(&new, &kept));
        moved.unwrap_or_else(|e| panic!("{}: {e}", kept.display()));
    }
    Some(exe)
}

/// Where this run keeps the program once it is compiled (`MFS_PROGRAMS`, set by `cargo xtask test`).
fn kept(name: &str, source: &str, language: &str, flags: &[&str]) -> Option<PathBuf> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let folder = std::env::var_os("MFS_PROGRAMS")?;
    let mut h = DefaultHasher::new();
    (source, language, flags).hash(&mut h);
    Some(Path::new(&folder).join(format!("{name}-{:016x}", h.finish())))
}

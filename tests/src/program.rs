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
    Some(exe)
}

//! Objects that a test puts on one leg, from a short text.
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Makes `file:CONTENTS`, `dir:` (with a file in it if there is more text), `link:TARGET` or `fifo:`; anything
/// else is nothing.
pub fn make(path: &Path, what: &str) {
    let (kind, text) = what.split_once(':').unwrap_or(("", ""));
    match kind {
        "file" => fs::write(path, text).expect("a file"),
        "dir" => {
            fs::create_dir(path).expect("a directory");
            if !text.is_empty() {
                fs::write(path.join("in it"), text).expect("a file");
            }
        }
        "link" => symlink(text, path).expect("a symlink"),
        "fifo" => {
            let c = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).expect("a path");
            // SAFETY: a path that lives until the call has returned.
            assert_eq!(unsafe { libc::mkfifo(c.as_ptr(), 0o644) }, 0);
        }
        _ => {}
    }
}

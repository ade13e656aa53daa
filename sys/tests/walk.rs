//! The walk in place of openat2 gives openat2's answers: for each shape of a path, set of flags and way
//! to resolve, the same object or the same error. Where the kernel refuses openat2 there is nothing to
//! compare with.
use libc as c;
use mirror_core::path::PathText;
use mirror_sys as sys;
use std::ffi::CString;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

struct Scene {
    base: PathBuf,
    root: std::fs::File,
}

impl Scene {
    fn new(name: &str) -> Scene {
        let base = std::env::temp_dir().join(format!("mirror-walk-{name}-{}", std::process::id()));
        let p = |n: &str| base.join(n);
        std::fs::create_dir_all(p("root/d/e/f")).unwrap();
        for f in ["root/x", "root/d/x", "root/d/e/f/x", "out"] {
            std::fs::write(p(f), f).unwrap();
        }
        std::fs::write(p(&format!("root/{}", "n".repeat(255))), "long").unwrap();
        for (to, at) in [
            ("x", "root/link"),
            ("d", "root/dlink"),
            ("none", "root/dangling"),
            ("../out", "root/d/away"),
            ("..", "root/d/up"),
            ("/", "root/slash"),
            ("/proc/self/fd", "root/magic"),
            ("loop", "root/loop"),
        ] {
            symlink(to, p(at)).unwrap();
        }
        let fifo = CString::new(p("root/fifo").as_os_str().as_bytes()).unwrap();
        // SAFETY: a NUL-terminated path.
        assert_eq!(unsafe { c::mkfifo(fifo.as_ptr(), 0o600) }, 0);
        std::fs::create_dir(p("root/closed")).unwrap();
        std::fs::create_dir(p("root/closed/in")).unwrap();
        std::fs::write(p("root/unread"), "").unwrap();
        std::fs::set_permissions(p("root/unread"), PermissionsExt::from_mode(0o0)).unwrap();
        std::fs::set_permissions(p("root/closed"), PermissionsExt::from_mode(0o600)).unwrap();
        let root = std::fs::File::open(p("root")).unwrap();
        Scene { base, root }
    }

    /// What a call made is taken away again.
    fn tidy(&self) {
        for made in ["root/new", "root/d/new", "root/none"] {
            let _ = std::fs::remove_file(self.base.join(made));
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::set_permissions(
            self.base.join("root/closed"),
            PermissionsExt::from_mode(0o700),
        );
        let _ = std::fs::remove_dir_all(&self.base);
    }
}

/// Type, device and inode of what was opened (a file that was just made has a new inode each time).
fn what(r: sys::Sys<i32>, fresh: bool) -> Result<(u32, u64, u64), i32> {
    let n = r.map_err(|e| e.0)?;
    let st = sys::fstat(n).unwrap();
    sys::close(n).unwrap();
    Ok((st.kind(), st.dev(), if fresh { 0 } else { st.ino() }))
}

const SHAPES: &[&str] = &[
    "",
    ".",
    "./",
    "..",
    "../",
    "../out",
    "/",
    "//",
    "/etc",
    "/etc/passwd",
    "/proc/self/fd/0",
    "/proc/self",
    "/proc/self/cwd/",
    "x",
    "x/",
    "x/.",
    "x/..",
    "./x",
    ".//x",
    "d",
    "d/",
    "d//",
    "d/.",
    "d/..",
    "d/../",
    "d/../x",
    "d/../..",
    "d/../../out",
    "d/e/../x",
    "d/e/../../x",
    "d/e/f/../../../x",
    "d/e/f/../../../..",
    "d/./x",
    "d//e//f//x",
    "d/e/f/x",
    "x/y",
    "x/../x",
    "none",
    "none/",
    "none/x",
    "none/..",
    "none/../x",
    "link",
    "link/",
    "link/.",
    "dlink",
    "dlink/",
    "dlink/.",
    "dlink/x",
    "dlink/..",
    "d/../dlink/x",
    "dangling",
    "dangling/",
    "dangling/x",
    "d/away",
    "d/away/",
    "d/up",
    "d/up/",
    "d/up/x",
    "slash",
    "slash/",
    "slash/etc",
    "magic",
    "magic/0",
    "loop",
    "loop/x",
    "fifo/",
    "closed",
    "closed/",
    "closed/.",
    "closed/..",
    "closed/../x",
    "closed/in",
    "closed/in/..",
    "closed/in/../..",
    "unread",
    "new",
    "new/",
    "d/new",
    "d/../new",
    "none/new",
    "closed/new",
    "dlink/new",
    "link/new",
    "x/new",
    "dangling/../new",
];

fn flags() -> Vec<(&'static str, i32)> {
    vec![
        ("path", c::O_PATH),
        ("path, directory", c::O_PATH | c::O_DIRECTORY),
        ("path, nofollow", c::O_PATH | c::O_NOFOLLOW),
        (
            "path, nofollow, directory",
            c::O_PATH | c::O_NOFOLLOW | c::O_DIRECTORY,
        ),
        ("read", c::O_RDONLY | c::O_NONBLOCK),
        (
            "read, nofollow",
            c::O_RDONLY | c::O_NONBLOCK | c::O_NOFOLLOW,
        ),
        (
            "read, nofollow, directory",
            c::O_RDONLY | c::O_DIRECTORY | c::O_NOFOLLOW,
        ),
        ("directory", c::O_RDONLY | c::O_DIRECTORY),
        ("write", c::O_RDWR | c::O_NONBLOCK),
        ("create", c::O_RDWR | c::O_CREAT | c::O_NONBLOCK),
        (
            "create, exclusive",
            c::O_RDWR | c::O_CREAT | c::O_EXCL | c::O_NONBLOCK,
        ),
        (
            "create, nofollow",
            c::O_RDWR | c::O_CREAT | c::O_NOFOLLOW | c::O_NONBLOCK,
        ),
        ("nameless", c::O_RDWR | c::O_TMPFILE),
    ]
}

/// Compares all shapes; the number of comparisons.
fn compare(s: &Scene) -> usize {
    let long = |n: usize| "n".repeat(n);
    let mut shapes: Vec<String> = SHAPES.iter().map(|s| (*s).to_owned()).collect();
    shapes.extend([
        long(255),
        long(256),
        format!("{}/x", long(256)),
        format!("d/{}", long(300)),
        format!("closed/{}", long(256)),
    ]);
    shapes.push(format!("{}x", "d/../".repeat(200)));
    shapes.push(format!("{}x", "./".repeat(2000)));
    let root = s.root.as_raw_fd();
    let mut n = 0;
    for shape in &shapes {
        // A fifo that is opened for change would wait for nobody here; it is left to the kernel alone.
        for (name, f) in flags() {
            for resolve in [sys::BENEATH, sys::NO_SYMLINKS] {
                // Where the directory itself is left for good, nothing is made there.
                if f & (c::O_CREAT | c::O_TMPFILE) != 0
                    && (shape.starts_with('/') || shape.starts_with(".."))
                {
                    continue;
                }
                let flags = f | c::O_CLOEXEC;
                let makes = f & c::O_CREAT != 0 || f & c::O_TMPFILE == c::O_TMPFILE;
                let mode = if makes { 0o600 } else { 0 };
                let text = PathText::<4096>::from_bytes(shape.as_bytes()).unwrap();
                s.tidy();
                let kernel = what(sys::openat2(root, &text, flags, mode, resolve), makes);
                s.tidy();
                let walk = what(
                    sys::openat2_by_walk(root, shape.as_bytes(), flags, mode, resolve),
                    makes,
                );
                assert_eq!(
                    kernel,
                    walk,
                    "{:?}, {name}, resolve {resolve}",
                    shape.get(..60).unwrap_or(shape)
                );
                n += 1;
            }
        }
    }
    n
}

fn refused() -> bool {
    let refused = sys::openat2_refusal().is_some();
    if refused {
        let _ = writeln!(std::io::stdout(), "SKIP: openat2 is refused here");
    }
    refused
}

#[test]
fn same_answers_as_openat2() {
    if refused() {
        return;
    }
    assert!(compare(&Scene::new("table")) > 2000);
}

/// Root passes through the permission checks; somebody else is asked in a child.
#[test]
fn same_answers_without_permission() {
    // SAFETY: takes nothing.
    if refused() || unsafe { c::geteuid() } != 0 {
        return;
    }
    let s = Scene::new("user");
    let all = Path::new(&s.base);
    for p in [all, &all.join("root"), &all.join("root/d")] {
        std::fs::set_permissions(p, PermissionsExt::from_mode(0o777)).unwrap();
    }
    // SAFETY: the child only makes system calls of its own and ends by _exit.
    let child = unsafe { c::fork() };
    if child == 0 {
        let fine = std::panic::catch_unwind(|| {
            // SAFETY: takes numbers.
            assert_eq!(unsafe { c::setresuid(61001, 61001, 61001) }, 0);
            compare(&s);
        });
        // SAFETY: ends the child without what the parent owes.
        unsafe { c::_exit(i32::from(fine.is_err())) };
    }
    let mut status = 0;
    // SAFETY: waits for the child above.
    assert_eq!(unsafe { c::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
}

/// Programs count on the lowest free number, and nothing stays open.
#[test]
fn the_number_is_the_lowest() {
    let s = Scene::new("number");
    let root = s.root.as_raw_fd();
    let probe = || {
        let n = sys::openat(
            root,
            &PathText::<8>::from_bytes(b"x").unwrap(),
            c::O_RDONLY,
            0,
        )
        .unwrap();
        sys::close(n).unwrap();
        n
    };
    let lowest = probe();
    for shape in ["x", "d/x", "d/e/f/x", "d/e/../x", "d/e/f/../../../x"] {
        for resolve in [sys::BENEATH, sys::NO_SYMLINKS] {
            let n = sys::openat2_by_walk(root, shape.as_bytes(), c::O_RDWR, 0, resolve).unwrap();
            assert_eq!(n, lowest, "{shape}");
            sys::close(n).unwrap();
        }
    }
    for shape in ["none/x", "d/none", "link/x", "d/e/../../..", "d/up/x"] {
        sys::openat2_by_walk(root, shape.as_bytes(), c::O_RDWR, 0, sys::BENEATH).unwrap_err();
    }
    assert_eq!(probe(), lowest);
}

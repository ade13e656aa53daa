//! The lists of what is pending, on two plain folders.
use mirror_core::record::PENDING_LOG;
use mirror_pair::{control, pending};
use mirror_sys as sys;
use std::cell::Cell;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

struct Legs {
    base: PathBuf,
    roots: [fs::File; 2],
}

impl Legs {
    fn new(name: &str) -> Legs {
        let base =
            std::env::temp_dir().join(format!("mirror-pending-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&base);
        let roots = ["a", "b"].map(|l| {
            let control = base.join(l).join(".mirror");
            fs::create_dir_all(&control).unwrap();
            fs::set_permissions(&control, PermissionsExt::from_mode(0o2770)).unwrap();
            fs::File::open(base.join(l)).unwrap()
        });
        Legs { base, roots }
    }
    fn fds(&self) -> mirror_core::PerLeg<i32> {
        self.roots.each_ref().map(AsRawFd::as_raw_fd).into()
    }
    fn list(&self, leg: &str) -> PathBuf {
        self.base.join(leg).join(".mirror/pending")
    }
}

impl Drop for Legs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

const NAME: &[u8] = b"d/a b\n\\c\xff";
const LINE: &[u8] = b"d/a\\040b\\012\\134c\xff\n";

#[test]
fn both_lists_have_the_line_before_the_bit_is_set() {
    let l = Legs::new("order");
    let set = Cell::new(0);
    for n in 1..=2 {
        let done = pending::mark(l.fds(), NAME, sys::write, || {
            for leg in ["a", "b"] {
                assert_eq!(fs::read(l.list(leg)).unwrap(), LINE.repeat(n));
            }
            set.set(set.get() + 1);
        });
        assert!(done);
    }
    assert_eq!(set.get(), 2);
    for (leg, root) in ["a", "b"].into_iter().zip(l.fds()) {
        // The rights of the folder, whatever the umask.
        let mode = fs::metadata(l.list(leg)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o660);
        assert!(pending::has(root, LINE) && !pending::has(root, b"d/a\n"));
    }
    let mut buf = [0; 64];
    let len = pending::line(NAME, &mut buf);
    assert_eq!(buf.get(..len), Some(LINE));
}

#[test]
fn the_bit_is_set_also_where_no_list_takes_it() {
    let l = Legs::new("refused");
    let full = |_, _: &[u8]| Err(mirror_core::Errno::ENOSPC);
    let set = Cell::new(false);
    assert!(!pending::mark(l.fds(), b"x", full, || set.set(true)));
    assert!(set.replace(false));
    // One leg is enough.
    fs::remove_file(l.list("a")).unwrap();
    symlink("/dev/null", l.list("a")).unwrap();
    assert!(pending::mark(l.fds(), b"x", sys::write, || set.set(true)));
    assert!(set.get() && fs::read(l.list("b")).unwrap() == b"x\n");
    let name = control::text(PENDING_LOG);
    let opened = control::open(l.fds().a, &name, libc::O_RDONLY, 0);
    assert_eq!(opened, Err(mirror_core::Errno::EIO));
}

//! Parts of a program with a table of descriptors, or with mounts, of their own: what leads to a leg's root for one of
//! them leads elsewhere for the other.
use mirror_tests::{Output, Pair, compile_with, each_kind};

fn built(pair: &Pair) -> bool {
    let source = include_str!("../programs/tables.c");
    compile_with(&pair.programs(), "tables", source, "c", &["-pthread"]).is_some()
}

/// What it tells, natively and mirrored. Beside V is a directory on the legs' file system.
fn both(pair: &Pair, way: &str) -> [Output; 2] {
    let script = |at: &str| {
        format!(
            "ulimit -n 20000; rm -rf $V/* $P/{at}; mkdir $P/{at}; exec $P/tables $V $P/{at} \"{way}\""
        )
    };
    [pair.plain(&script("native")), pair.run(&script("mirrored"))]
}

fn same(pair: &Pair, way: &str) {
    if !built(pair) {
        return;
    }
    let [native, mirrored] = both(pair, way);
    assert_eq!(native.code, 0, "{native:?}");
    assert_eq!(native.text(), mirrored.text(), "{way}");
    assert_eq!(
        String::from_utf8_lossy(&native.err),
        String::from_utf8_lossy(&mirrored.err),
        "{way}"
    );
    pair.assert_equal();
    let o = pair.mirror("status", &[pair.v().to_str().unwrap()]);
    assert_eq!(o.code, 0, "{o:?}");
}

/// Nothing is changed, here or there, and nothing of the program's is closed.
fn refused(pair: &Pair, way: &str) {
    if !built(pair) {
        return;
    }
    let [_, mirrored] = both(pair, way);
    let told = String::from_utf8_lossy(&mirrored.err).into_owned();
    let first = if way.starts_with("guest") {
        "open"
    } else {
        "first"
    };
    for line in [
        first, "open", "mkdir", "rename", "truncate", "chmod", "symlink",
    ] {
        let said = told.lines().find(|l| l.starts_with(line));
        assert_eq!(
            said,
            Some(&*format!("{line} Too many open files")),
            "{told}"
        );
    }
    assert!(told.contains("own numbers lost: 0"), "{told}");
    let left = pair.run("ls -A $V").ok();
    assert_eq!(left.text(), "", "{told}");
    pair.assert_equal();
}

each_kind! {
    fn a_table_from_before(pair) {
        same(pair, "table");
    }

    fn own_numbers_in_a_table_of_its_own(pair) {
        refused(pair, "directory");
    }

    fn own_numbers_of_a_file_in_a_table_of_its_own(pair) {
        refused(pair, "file");
    }

    fn own_numbers_of_a_guest(pair) {
        refused(pair, "guest's directory");
        refused(pair, "guest's file");
    }

    fn mounts_of_its_own(pair) {
        if !mirror_tests::is_root() {
            return mirror_tests::skip("needs root: mounts of its own");
        }
        same(pair, "mounts");
        same(pair, "mounts of a child");
        same(pair, "others' mounts");
    }
}

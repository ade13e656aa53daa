//! The binary interface of a preloaded program: cancellation, unwinding, stacks, registers, children,
//! MDWE; and CPython's own file-system tests, the same results natively and in V.
use mirror_tests::{Kind, Output, Pair, compile_with, in_place, need};
use std::path::Path;

fn pair() -> Pair {
    Pair::new(Kind::Link, mirror_tests::Fs::Plain).expect("plain folders can always be made")
}

/// Builds one program and runs it natively and preloaded: both end with 0 and print the same.
fn same(name: &str, source: &str, language: &str, args: &[&str]) {
    let pair = pair();
    let Some(exe) = compile_with(
        &pair.programs(),
        name,
        source,
        language,
        &["-pthread", "-ldl"],
    ) else {
        return;
    };
    let native = Output::from_std(pair.native_command(&exe).args(args).output().unwrap());
    if native.code == 77 {
        mirror_tests::skip(format!("{name} cannot run here: {native:?}"));
        return;
    }
    let native = native.ok();
    let mirrored = Output::from_std(pair.command(&exe).args(args).output().unwrap()).ok();
    assert!(
        native.out == mirrored.out,
        "--- native: {native:?}\n--- mirrored: {mirrored:?}"
    );
}

#[test]
fn altstack() {
    same(
        "altstack",
        include_str!("../programs/abi/altstack.c"),
        "c",
        &[],
    );
}

#[test]
fn backtrace() {
    same(
        "backtrace",
        include_str!("../programs/abi/backtrace.c"),
        "c",
        &[],
    );
}

#[test]
fn cancel() {
    same(
        "cancel",
        include_str!("../programs/abi/cancel.cc"),
        "cc",
        &[],
    );
}

#[test]
fn children() {
    same(
        "children",
        include_str!("../programs/abi/children.c"),
        "c",
        &[],
    );
}

#[test]
fn registers() {
    same(
        "registers",
        include_str!("../programs/abi/registers.c"),
        "c",
        &[],
    );
}

in_place! {
    fn memory_deny_write_execute(pair) {
        let Some(exe) = compile_with(&pair.programs(), "mdwe", include_str!("../programs/abi/mdwe.c"), "c", &[]) else { return };
        let script = "echo x > $V/f; cat $V/f; mkdir $V/d; mv $V/f $V/d/; ls $V/d";
        let o = Output::from_std(pair.command(exe).args(["sh", "-c", script]).output().unwrap());
        if o.code == 77 {
            mirror_tests::skip("this kernel has no PR_SET_MDWE");
            return;
        }
        assert_eq!(o.ok().text(), "x\nf");
        pair.assert_equal();
    }

    fn a_descriptor_inherited_by_a_fresh_program(pair) {
        pair.both_ok("exec 7>> $V/log; for i in 1 2 3; do env -i /bin/sh -c 'echo child >&7; exec /bin/echo exec >&7'; echo parent >&7; done; exec 7>&-; cat $V/log");
    }
}

/// CPython's tests that create, change and remove files.
const CPYTHON: [&str; 4] = [
    "test_os test_posix test_fcntl test_stat test_genericpath test_posixpath",
    "test_shutil test_tempfile test_glob test_pathlib test_filecmp test_fileinput test_fnmatch test_linecache",
    "test_fileio test_file test_zipfile test_tarfile test_mailbox test_bz2 test_gzip test_dbm_dumb test_shelve test_netrc \
     test_unicode_file test_import",
    "test_subprocess",
];

/// Test cases and their result, from unittest's verbose lines.
fn results(o: &Output) -> Vec<String> {
    let text = [o.out.clone(), o.err.clone()].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let ended = |l: &&str| {
        ["ok", "FAIL", "ERROR"]
            .iter()
            .any(|r| l.ends_with(&format!("... {r}")))
            || l.contains("... skipped")
    };
    // Temporary names carry a pid; reasons of a skip may name them.
    let without_reason = |l: &str| {
        l.split_once("... skipped")
            .map_or(l.to_owned(), |(name, _)| format!("{name}... skipped"))
    };
    let mut lines: Vec<String> = text.lines().filter(ended).map(without_reason).collect();
    lines.sort();
    lines
}

fn cpython(names: &str) {
    need!("python3");
    if !Path::new("/usr/lib/python3.11/test/test_shutil.py").exists() {
        mirror_tests::skip("needs the package libpython3.11-testsuite");
        return;
    }
    let pair = pair();
    let script = format!("cd $V && TMPDIR=$V /usr/bin/python3 -B -m test -v --tempdir $V {names}");
    let native = results(&pair.plain(&script));
    let mirrored_run = pair.run(&script);
    let mirrored = results(&mirrored_run);
    println!(
        "{} cases natively, {} mirrored",
        native.len(),
        mirrored.len()
    );
    let only = |a: &[String], b: &[String]| {
        a.iter()
            .filter(|l| !b.contains(l))
            .cloned()
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(native.len() > 20, "the suite ran: {} cases", native.len());
    assert!(
        native == mirrored,
        "only natively:\n{}\nonly mirrored:\n{}\n{mirrored_run:?}",
        only(&native, &mirrored),
        only(&mirrored, &native)
    );
    pair.assert_equal();
}

#[test]
fn cpython_os_and_posix() {
    cpython(CPYTHON[0]);
}

#[test]
fn cpython_trees() {
    cpython(CPYTHON[1]);
}

#[test]
fn cpython_files() {
    cpython(CPYTHON[2]);
}

#[test]
fn cpython_subprocess() {
    cpython(CPYTHON[3]);
}

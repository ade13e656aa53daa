//! pjdfstest, an outside suite of POSIX file system tests that change users, as root: each test's outcome natively and
//! in V. A slice; `MIRROR_SOAK=1`: every test, on tmpfs too.
use mirror_tests::{Kind, Pair, dist, need, skip, soak, tool};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the slice is made of: parts of names.
const SLICE: &str = "open rename:: chown unlink";

/// Remounts are not allowed, and there is no second file system: what needs that is skipped on both sides.
const SETTINGS: &str = "
[features]
posix_fallocate = {}
rename_ctime = {}
utimensat = {}
utime_now = {}
[settings]
naptime = 0.01
allow_remount = false
[dummy_auth]
entries = [['nobody', 'nogroup'], ['daemon', 'daemon']]
";

/// Where `cargo xtask test --install` puts it, or where programs are.
fn program() -> Option<PathBuf> {
    let installed = dist().parent()?.join("outside/bin/pjdfstest");
    installed
        .exists()
        .then_some(installed)
        .or_else(|| tool("pjdfstest"))
}

/// Name and outcome of each test: `open::etxtbsy      ok`.
fn outcomes(text: &str) -> BTreeMap<String, String> {
    let line = |l: &str| {
        let (name, outcome) = l.split_once(char::is_whitespace)?;
        let outcome = outcome.trim();
        let known = ["ok", "skipped", "FAILED", "error"].contains(&outcome);
        known.then(|| (name.to_owned(), outcome.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

fn same_outcomes(kind: Kind, program: &Path, which: &str) {
    let pair = Pair::striped(kind, None);
    std::fs::write(pair.programs().join("settings"), SETTINGS).unwrap();
    let script = format!("cd / && {} -c $P/settings -p $V {which}", program.display());
    let native = outcomes(&pair.plain(&script).text());
    let mirrored = pair.run(&script);
    let passed = native.values().filter(|o| *o == "ok").count();
    assert!(passed > 100, "{passed} natively: {native:?}");
    let text = mirrored.text();
    let found = outcomes(&text);
    let different = native.iter().filter(|(n, o)| found.get(*n) != Some(*o));
    let different: Vec<_> = different.collect();
    assert!(
        different.is_empty() && native.len() == found.len(),
        "{kind:?}: natively {different:#?}\n{text}"
    );
    pair.assert_equal();
}

#[test]
fn the_same_tests_pass_as_natively() {
    need!(root);
    let Some(program) = program() else {
        return skip("needs pjdfstest (cargo install pjdfstest)");
    };
    let which = if soak() { "" } else { SLICE };
    same_outcomes(Kind::Link, &program, which);
    if soak() {
        same_outcomes(Kind::InPlace, &program, which);
        // SAFETY: no other thread of this test reads the environment.
        unsafe { std::env::set_var("TMPDIR", "/dev/shm") };
        same_outcomes(Kind::InPlace, &program, which);
        same_outcomes(Kind::Link, &program, which);
    }
}

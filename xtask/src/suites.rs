//! The tests of this workspace as a list of processes to run.
use crate::Result;
use crate::build::cargo;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// Who runs a test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// The user who started `cargo xtask test`.
    Own,
    /// An ordinary user, when that user is root.
    Ordinary,
}

/// One test: one process.
#[derive(Clone)]
pub struct Test {
    /// The test binary.
    pub binary: PathBuf,
    /// Name of the binary without its hash (a crate's unit tests: `unit crate`).
    pub suite: String,
    /// Name as libtest knows it.
    pub name: String,
    /// Who runs it.
    pub user: User,
    /// Every program that it starts has the net under system call instructions.
    pub net: bool,
    /// Its pairs are audited.
    pub audit: bool,
    /// Its pairs have this kind of locks (none: what `mirror init` chooses).
    pub locks: Option<&'static str>,
}

impl Test {
    /// How the test is printed and filtered.
    pub fn title(&self) -> String {
        let user = if self.user == User::Ordinary {
            " (ordinary user)"
        } else {
            ""
        };
        let net = if self.net { " (net)" } else { "" };
        let audit = if self.audit { " (audit)" } else { "" };
        let locks = self.locks.map_or(String::new(), |l| format!(" ({l})"));
        format!("{} {}{user}{net}{audit}{locks}", self.suite, self.name)
    }

    /// The same, with the net armed by force.
    pub fn with_the_net(self) -> Test {
        Test { net: true, ..self }
    }

    /// The same, with an audit of each pair: root's, where eBPF can be used.
    pub fn with_an_audit(self) -> Test {
        Test {
            audit: true,
            ..self
        }
    }

    /// The same, with pairs whose locks are flocks.
    pub fn with_flocks(self) -> Test {
        Test {
            locks: Some("flock"),
            ..self
        }
    }

    /// Whether it must run alone.
    pub fn serial(&self) -> bool {
        self.name
            .split("::")
            .any(|part| part.starts_with("serial_"))
    }

    /// Whether it asks what the system's own mounts decide.
    pub fn outer_mounts(&self) -> bool {
        let title = self.title();
        OUTER.iter().any(|part| title.starts_with(part))
    }

    /// 60 s unless the table knows better; ten times that for the long variants.
    pub fn limit(&self) -> Duration {
        let seconds = LIMITS
            .iter()
            .find(|(part, _)| self.title().contains(part))
            .map_or(60, |(_, s)| *s);
        let long = mirror_tests::soak() || std::env::var_os("MIRROR_SWEEP").is_some();
        Duration::from_secs(if long { seconds * 10 } else { seconds })
    }
}

/// Part of a title, and its limit in seconds.
const LIMITS: &[(&str, u64)] = &[
    ("abi cpython", 240),
    ("crash ", 180),
    ("copies ", 180),
    ("stress ", 180),
    ("ioctls ", 180),
    ("races ", 120),
    ("scenarios ", 180),
    ("storms ", 180),
    ("threads ", 180),
    ("answers-path ", 180),
    ("programs ", 120),
    ("users ", 120),
    ("startup ", 120),
    ("pointers ", 120),
    ("refused ", 180),
    ("jails ", 180),
    ("ways ", 300),
    ("unit sim", 180),
    ("sweep ", 180),
    ("pjdfstest ", 180),
];

/// What runs in the mount namespace that the run came from: a missing leg is left behind only there.
const OUTER: &[&str] = &[
    "missing after_a_restart",
    "missing what_is_not_proved",
    "missing a_mount_that_vanishes",
    "returns it_is_gone_on_the_way",
    "restarts a_return_makes",
];

/// What an ordinary user runs again (root passes through permission checks, and has other places).
const ORDINARY: &[&str] = &[
    "harness ",
    "audit each_change_of_one_leg_is_found_t4",
    "audit heals::one_leg_follows_the_other_t4",
    "audit ends::exit_codes",
    "audit what_this_user",
    "audit-heals a_storm_on_leg_b",
    "audit-live the_view",
    "audit-pairs pairs_come",
    "audit-pairs what_is_wrong",
    "audit-out what_is_held",
    "uses link::",
    "copies link::",
    "programs in_place::",
    "crash link::random_kills",
    "crash heal",
    "command ",
    "races link_1::random_calls_of_4",
    "answers-path link::",
    "answers-path two_names_from_the_cwd",
    "states conditions_of_trees",
    "answers-flags descriptors",
    "states conditions_of_control",
    "refusals causes",
    "deep-programs link::",
    "lockwords what_the_dead",
    "missing after_a_restart",
    "missing a_leg_is_replaced",
];

/// What runs a second time with the net armed by force, in every run; `--net` does so with whatever is
/// asked for.
const NET: &[&str] = &[
    "races in_place::appends_of_eight_processes",
    "races in_place::dup2_over_a_written_descriptor",
    "races in_place::opens_against_renames",
    "scenarios in_place::f1_appends",
    "scenarios in_place::f17_a_handler",
    "scenarios in_place::f27_stopped_in_a_creation",
    "storms in_place::processes_and_their_children",
];

/// What runs a second time with an audit of its pair, in every run; `--audit` does so with whatever is asked
/// for.
const AUDITED: &[&str] = &[
    "scenarios in_place::f1_appends",
    "programs in_place::",
    "uses in_place::open_flags",
    "races in_place::opens_against_renames",
];

/// What runs a second time with flocks, in every run; `--flock` does so with whatever is asked for.
const FLOCKS: &[&str] = &[
    "races in_place::appends_of_eight_processes",
    "races in_place::opens_against_renames",
    "races in_place::random_calls_of_4",
    "scenarios in_place::f16_a_spawned_child_does_not",
    "scenarios in_place::f27_stopped_in_a_rename_of",
    "storms in_place::processes_and_their_children",
    "storms kinds::in_place::two_pid_namespaces",
    "crash link::random_kills",
    "trust the_owner_cannot_hang",
];

/// Builds all test binaries and lists their tests. The library is no_std and has none of its own.
pub fn list() -> Result<Vec<Test>> {
    let build = cargo()
        .args([
            "test",
            "--no-run",
            "--workspace",
            "--exclude",
            "mirror-shim",
        ])
        .stderr(std::process::Stdio::piped())
        .output()
        .map_err(|e| format!("cargo: {e}"))?;
    let text = String::from_utf8_lossy(&build.stderr);
    if !build.status.success() {
        return Err(format!("the tests do not build:\n{text}"));
    }
    let mut tests = Vec::new();
    for binary in text.lines().filter_map(executable) {
        let o = Command::new(&binary)
            .args(["--list", "--format", "terse"])
            .output()
            .map_err(|e| format!("{}: {e}", binary.display()))?;
        let suite = suite_name(&text, &binary);
        for line in String::from_utf8_lossy(&o.stdout).lines() {
            if let Some(name) = line.strip_suffix(": test") {
                let (binary, suite, name) = (binary.clone(), suite.clone(), name.to_owned());
                tests.push(Test {
                    binary,
                    suite,
                    name,
                    user: User::Own,
                    net: false,
                    audit: false,
                    locks: None,
                });
            }
        }
    }
    Ok(tests)
}

/// The tests that an ordinary user runs too.
pub fn ordinary(tests: &[Test]) -> Vec<Test> {
    let chosen = tests
        .iter()
        .filter(|t| ORDINARY.iter().any(|part| t.title().starts_with(part)));
    chosen
        .map(|t| Test {
            user: User::Ordinary,
            ..t.clone()
        })
        .collect()
}

/// The tests that run with the net too.
pub fn netted(tests: &[Test]) -> Vec<Test> {
    let chosen = tests
        .iter()
        .filter(|t| NET.iter().any(|part| t.title().starts_with(part)));
    chosen.cloned().map(Test::with_the_net).collect()
}

/// The tests that run with an audit too.
pub fn audited(tests: &[Test]) -> Vec<Test> {
    let chosen = tests
        .iter()
        .filter(|t| AUDITED.iter().any(|part| t.title().starts_with(part)));
    chosen.cloned().map(Test::with_an_audit).collect()
}

/// The tests that run with flocks too.
pub fn flocked(tests: &[Test]) -> Vec<Test> {
    let chosen = tests
        .iter()
        .filter(|t| FLOCKS.iter().any(|part| t.title().starts_with(part)));
    chosen.cloned().map(Test::with_flocks).collect()
}

/// `  Executable tests/x.rs (target/debug/deps/x-0123)` or `  Executable unittests src/lib.rs (…)`.
fn executable(line: &str) -> Option<PathBuf> {
    let rest = line.trim_start().strip_prefix("Executable ")?;
    let path = rest.rsplit_once('(')?.1.strip_suffix(')')?;
    Some(crate::root().join(path))
}

fn suite_name(text: &str, binary: &std::path::Path) -> String {
    let file = binary
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let stem = file
        .rsplit_once('-')
        .map_or(file.as_str(), |(s, _)| s)
        .replace('_', "-");
    let unit = text
        .lines()
        .any(|l| l.contains("Executable unittests") && l.contains(&file));
    if unit {
        format!("unit {}", stem.trim_start_matches("mirror-"))
    } else {
        stem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_lines_are_understood() {
        let line = "  Executable tests/uses.rs (/t/debug/deps/uses-12ab)";
        assert_eq!(
            executable(line),
            Some(PathBuf::from("/t/debug/deps/uses-12ab"))
        );
        assert_eq!(executable("   Compiling libc"), None);
        assert_eq!(
            suite_name(line, std::path::Path::new("/t/debug/deps/uses-12ab")),
            "uses"
        );
        let unit = "  Executable unittests src/lib.rs (/t/debug/deps/mirror_core-12ab)";
        assert_eq!(
            suite_name(unit, std::path::Path::new("/t/debug/deps/mirror_core-12ab")),
            "unit core"
        );
    }

    #[test]
    fn serial_and_limits_go_by_name() {
        let t = |suite: &str, name: &str| Test {
            binary: PathBuf::new(),
            suite: suite.into(),
            name: name.into(),
            user: User::Own,
            net: false,
            audit: false,
            locks: None,
        };
        assert!(t("races", "link::serial_mixed").serial());
        assert!(!t("races", "link::mixed").serial());
        assert!(t("abi", "cpython_os").limit() > t("abi", "vfork").limit());
        let with = t("races", "a").with_the_net();
        assert_eq!(with.title(), "races a (net)");
        assert_eq!(t("races", "a").with_flocks().title(), "races a (flock)");
    }
}

//! A pair under audit for as long as its test runs (`MIRROR_AUDIT=always`, and who gets it by itself): what a
//! program with the library changed on one leg alone is no test's purpose.
use crate::pair::Pair;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::thread::JoinHandle;

/// Whether this user can audit by a tier ("t2") here; if not, it is said why.
pub fn has_tier(pair: &Pair, tier: &str) -> bool {
    let v = pair.v().to_str().expect("a path in UTF-8");
    let o = pair.mirror("audit", &[v, "--tier", tier, "--explain"]);
    let (text, name) = (o.text(), tier.to_uppercase());
    let line = text.lines().find(|l| l.starts_with(&name));
    let line = line.unwrap_or_else(|| panic!("nothing of {tier}: {o:?}"));
    if let Some((_, why)) = line.split_once("cannot be used: ") {
        // Of all else that keeps it from being used the product is to blame, or the test.
        assert!(is_of_the_place(why), "no {tier} here: {why}");
        crate::skip(format!("no {tier} here: {why}"));
        return false;
    }
    assert!(line.contains("can be used"), "{line}");
    true
}

/// Whether it is this kernel, or this user's rights, that keep a tier from being used.
fn is_of_the_place(why: &str) -> bool {
    const REASONS: &[&str] = &[
        "needs CAP_",
        "the kernel is ",
        "the kernel has no BTF",
        "the kernel refuses programs at its functions",
        "no eBPF object for this architecture",
    ];
    // ENOTSUPP: no program may stand at a function.
    let why = why.strip_prefix("fanotify: ").unwrap_or(why);
    REASONS.iter().any(|r| why.starts_with(r)) || why.contains("(os error 524)")
}

#[test]
fn only_the_place_is_a_reason_to_skip() {
    for why in [
        "needs CAP_BPF and CAP_PERFMON: run as root",
        "the kernel is 5.10, older than 5.15",
        "the kernel refuses programs at its functions (fentry), also to root",
    ] {
        assert!(is_of_the_place(why), "{why}");
    }
    for why in [
        "a program is missing",
        "the BPF_PROG_LOAD syscall returned Permission denied. Verifier output: R1 invalid mem access",
        "the kernel's tracepoint of system calls tells nothing",
        "unknown BTF type `__x64_sys_write`",
        "",
    ] {
        assert!(!is_of_the_place(why), "{why}");
    }
}

/// The audit of a pair.
pub(crate) struct Audited {
    child: Child,
    lines: JoinHandle<Vec<String>>,
}

impl Audited {
    /// Begins, if that is asked for and possible here.
    pub(crate) fn begin(pair: &Pair) -> Option<Audited> {
        if std::env::var_os("MIRROR_AUDIT").is_none_or(|v| v != "always") {
            return None;
        }
        if !has_tier(pair, "t2") {
            return None;
        }
        let child = pair
            .mirror_command("audit")
            .arg(pair.v())
            .args(["--json", "--tier", "t2"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.expect("mirror audit");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut first = String::new();
        let _ = out.read_line(&mut first);
        if !first.contains("\"event\":\"start\"") {
            let _ = child.wait();
            panic!("the audit did not begin: {first:?}");
        }
        let lines = std::thread::spawn(move || out.lines().map_while(Result::ok).collect());
        Some(Audited { child, lines })
    }

    /// What programs with the library changed on one leg alone, by the audit's own lines.
    pub(crate) fn end(mut self) -> Vec<String> {
        // SAFETY: a child of ours that has not been waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let lines = self.lines.join().unwrap_or_default();
        let _ = self.child.wait();
        let guilty = |l: &String| {
            let finding = l.contains("\"event\":\"finding\"") || l.contains("\"event\":\"lost\"");
            finding
                && !OTHERS
                    .iter()
                    .any(|w| l.contains(&format!("\"why\":\"{w}\"")))
        };
        lines.into_iter().filter(guilty).collect()
    }
}

/// Whose changes of one leg are the test's purpose: the library is not loaded there.
const OTHERS: &[&str] = &[
    "not-preloaded",
    "static",
    "set-id",
    "go",
    "no-libc",
    "foreign",
];

//! What `--json` prints, field by field. A change of these snapshots may only add; docs/JSON.md has every
//! field. (To write them anew: `SNAPSHOTS=write cargo
//! xtask test json`.)
use mirror_tests::{dist, need};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

struct Env(PathBuf);

impl Env {
    fn new(name: &str) -> Env {
        let dir = std::env::temp_dir().join(format!("mirror-json-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        for leg in ["a", "b"] {
            fs::create_dir_all(dir.join(leg)).unwrap();
        }
        Env(fs::canonicalize(dir).unwrap())
    }
    fn write(&self, rel: &str, data: &str, time: &str) {
        fs::write(self.0.join(rel), data).unwrap();
        self.touch(rel, time);
    }
    fn touch(&self, rel: &str, time: &str) {
        let mut touch = Command::new("touch");
        let done = touch.arg("-d").arg(time).arg(self.0.join(rel)).status();
        assert!(done.unwrap().success());
    }
    /// Runs it. The folder's name stands as `[dir]` in what comes back.
    fn json(&self, code: i32, args: &[&str]) -> Value {
        let mut c = Command::new(dist().join("mirror"));
        c.args(args)
            .arg("--json")
            .current_dir(&self.0)
            .env("MIRRORTAB", self.0.join("tab"))
            .env_remove("MIRROR")
            .stdin(Stdio::null());
        let o = c.output().unwrap();
        let text = String::from_utf8(o.stdout).unwrap();
        let text = text.replace(self.0.to_str().unwrap(), "[dir]");
        assert_eq!(o.status.code(), Some(code), "{args:?}: {text}");
        let mut value: Value = serde_json::from_str(&text).unwrap();
        documented(&value);
        redact(&mut value);
        value
    }
}

impl Drop for Env {
    fn drop(&mut self) {
        mirror_tests::forget_pairs(&self.0);
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .into()
}

/// Compares with what was printed before, or writes that.
fn snapshot(name: &str, found: &Value) {
    let file = root().join(format!("tests/tests/snapshots/{name}.json"));
    let mut found = serde_json::to_string_pretty(found).unwrap();
    found.push('\n');
    if std::env::var_os("SNAPSHOTS").is_some_and(|v| v == "write") {
        fs::write(&file, &found).unwrap();
    }
    let before = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, before, "{}", file.display());
}

/// What is another one at each run, or on each machine, becomes the name of its key.
fn redact(v: &mut Value) {
    const OTHER: [&str; 9] = [
        "time",
        "id",
        "options",
        "filesystem",
        "used",
        "free",
        "messages",
        "mode",
        "mtime",
    ];
    match v {
        Value::Array(all) => all.iter_mut().for_each(redact),
        Value::Object(all) => {
            for (key, value) in all {
                match OTHER.contains(&key.as_str()) {
                    true => *value = format!("[{key}]").into(),
                    false => redact(value),
                }
            }
        }
        _ => {}
    }
}

/// Every key stands in the section of its schema.
fn documented(v: &Value) {
    let schema = v["schema"].as_str().unwrap();
    let text = fs::read_to_string(root().join("docs/JSON.md")).unwrap();
    let section = text
        .split("\n## ")
        .find(|s| {
            s.lines()
                .next()
                .is_some_and(|l| l.contains(&format!("`{schema}`")))
        })
        .unwrap_or_else(|| panic!("no section on {schema}"));
    let words: BTreeSet<&str> = section.split('`').skip(1).step_by(2).collect();
    let mut todo = vec![v];
    while let Some(v) = todo.pop() {
        match v {
            Value::Array(all) => todo.extend(all),
            Value::Object(all) => {
                for (key, value) in all {
                    let key = key.strip_suffix("_b64").unwrap_or(key);
                    assert!(words.contains(key), "{schema}: `{key}` is not documented");
                    todo.push(value);
                }
            }
            _ => {}
        }
    }
}

const OLD: &str = "2020-02-02T02:02:02Z";
const NEW: &str = "2021-01-01T01:01:01Z";

#[test]
fn of_a_pair_from_init_to_detach() {
    need!("touch");
    let e = Env::new("life");
    e.write("a/same", "x", OLD);
    snapshot("init", &e.json(0, &["init", "a", "b", "--yes"]));
    let status = |name: &str, code: i32| {
        snapshot(&format!("status-{name}"), &e.json(code, &["status"]));
    };
    status("in-sync", 0);
    snapshot("ps", &e.json(0, &["ps"]));
    snapshot("verify-equal", &e.json(0, &["verify"]));
    for (rel, data, time) in [
        ("a/only-a", "1", OLD),
        ("b/only-b", "22", OLD),
        ("a/bytes", "aa", OLD),
        ("b/bytes", "bb", OLD),
        ("a/size", "a", OLD),
        ("b/size", "bbb", NEW),
    ] {
        e.write(rel, data, time);
    }
    std::os::unix::fs::symlink("there", e.0.join("a/link")).unwrap();
    std::os::unix::fs::symlink("elsewhere", e.0.join("b/link")).unwrap();
    snapshot("verify-different", &e.json(1, &["verify"]));
    snapshot("diff", &e.json(1, &["diff", "a"]));
    let different = e.json(1, &["status"]);
    assert_eq!(different["pairs"][0]["state"], "different");
    snapshot("resync", &e.json(0, &["resync", "--yes"]));
    snapshot("wait", &e.json(0, &["wait", "a"]));
    snapshot("config-check", &e.json(0, &["config", "check"]));
    snapshot("detach", &e.json(0, &["detach", "a"]));
}

#[test]
fn of_failures_and_checks() {
    let e = Env::new("faults");
    e.json(0, &["init", "a", "b", "--yes"]);
    snapshot("error-usage", &e.json(3, &["status", "nothing"]));
    snapshot("error-option", &e.json(2, &["verify", "--bad"]));
    let doctor = e.json(0, &["doctor", "true"]);
    let checks = doctor["checks"].as_array().unwrap();
    assert!(
        checks
            .iter()
            .all(|c| c["ok"] == true && c["detail"].is_string())
    );
    fs::rename(e.0.join("b"), e.0.join("gone")).unwrap();
    snapshot("status-lost", &e.json(2, &["status"]));
    snapshot("verify-lost", &e.json(2, &["verify"]));
    fs::rename(e.0.join("gone"), e.0.join("b")).unwrap();
    e.json(0, &["detach", "a"]);
}

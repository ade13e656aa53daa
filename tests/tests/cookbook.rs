//! The recipes of docs/cookbook, as they are printed; and what contrib/ has, as far as no service manager is needed.
use mirror_tests::{Fs, Kind, Level, Pair, dist, need};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .into()
}

/// The `sh` blocks of a page.
fn script(page: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for l in page.lines() {
        match l {
            "```sh" => inside = true,
            "```" => inside = false,
            l if inside => out += &format!("{l}\n"),
            _ => {}
        }
    }
    out
}

fn recipe(name: &str) {
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    let page = fs::read_to_string(top().join("docs/cookbook").join(name)).unwrap();
    pair.run("echo x > $V/precious").ok();
    let script = script(&page)
        .replace("/srv/data", pair.v().to_str().unwrap())
        .replace("/mnt/disk2/data", pair.b().to_str().unwrap());
    assert!(script.lines().count() > 5);
    let dir = dist().display().to_string();
    let o = pair
        .bypass(&format!("set -eux; PATH={dir}:$PATH\n{script}"))
        .ok();
    println!("{}", o.text());
    pair.assert_legs(Level::Strict);
    let o = pair.mirror("status", &[pair.v().to_str().unwrap()]);
    assert_eq!(o.code, 0, "{o:?}");
}

#[test]
fn who_wrote_past_the_mirror() {
    recipe("who-wrote-past-the-mirror.md");
}

#[test]
fn removed_past_the_mirror() {
    recipe("removed-past-the-mirror.md");
}

#[test]
fn audit_as_a_service() {
    recipe("audit-as-a-service.md");
}

#[test]
fn alerts_by_prometheus() {
    recipe("alerts-by-prometheus.md");
}

#[test]
fn after_a_restart() {
    recipe("after-a-restart.md");
}

#[test]
fn every_recipe_is_run() {
    let mut pages: Vec<String> = fs::read_dir(top().join("docs/cookbook"))
        .unwrap()
        .flatten()
        .map(|e| e.file_name().into_string().unwrap())
        .filter(|n| n != "README.md")
        .collect();
    pages.sort();
    let own = include_str!("cookbook.rs");
    let list = fs::read_to_string(top().join("docs/cookbook/README.md")).unwrap();
    for p in &pages {
        assert!(own.contains(&format!("recipe(\"{p}\")")), "{p} is not run");
        assert!(list.contains(p.as_str()), "{p} is not in the list");
    }
    assert!(pages.len() >= 5);
}

/// A unit's command with the capabilities and the environment that it says, as systemd starts it.
fn unit(name: &str) {
    need!(root);
    need!("setpriv");
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    let text = fs::read_to_string(top().join("contrib/systemd").join(name)).unwrap();
    let all = |key: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter_map(|l| l.strip_prefix(key)?.strip_prefix('='));
        lines
            .flat_map(str::split_whitespace)
            .map(str::to_owned)
            .collect()
    };
    let caps: Vec<String> = all("CapabilityBoundingSet")
        .iter()
        .map(|c| format!("+{}", c.strip_prefix("CAP_").unwrap().to_lowercase()))
        .collect();
    let log = pair.scratch().join("journal");
    let journal = UnixDatagram::bind(&log).unwrap();
    let notify = pair.scratch().join("notify");
    let manager = UnixDatagram::bind(&notify).unwrap();
    let mut command = all("ExecStart");
    for w in &mut command {
        *w = match w.as_str() {
            "/usr/bin/mirror" => dist().join("mirror").to_str().unwrap().into(),
            "%f" => pair.v().to_str().unwrap().into(),
            "journal" => format!("journal:{}", log.display()),
            "${METRICS}" => "127.0.0.1:0".into(),
            "${BRAKE}" => "100".into(),
            other => other.into(),
        };
        assert!(!w.contains(['$', '%']), "{w}");
    }
    let mut c = Command::new("setpriv");
    c.arg("--no-new-privs")
        .arg(format!("--bounding-set=-all,{}", caps.join(",")))
        .args(&command)
        .env("NOTIFY_SOCKET", &notify)
        .env("MIRRORTAB", pair.tab())
        .env("PATH", mirror_tests::PATH)
        .stderr(std::process::Stdio::null());
    let mut child = c.spawn().unwrap();
    let mut b = [0; 4096];
    let glance = std::time::Duration::from_millis(200);
    manager.set_read_timeout(Some(glance)).unwrap();
    let n = loop {
        match manager.recv(&mut b) {
            Ok(n) => break n,
            Err(_) => assert!(child.try_wait().unwrap().is_none(), "it has ended"),
        }
    };
    assert!(b[..n].starts_with(b"READY=1"));
    // Of another user, whom root must not need CAP_FOWNER to watch.
    pair.bypass("echo x > $A/f; chown 1:1 $A/f; chmod 400 $A/f; rm -f $B/precious")
        .ok();
    mirror_tests::send(i32::try_from(child.id()).unwrap(), libc::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(3));
    journal.set_nonblocking(true).unwrap();
    let mut found = false;
    while let Ok(n) = journal.recv(&mut b) {
        found |= b[..n].windows(7).any(|w| w == b"finding");
    }
    assert!(found, "no entry about the finding");
    if name.starts_with("mirror-heal") {
        pair.assert_legs(Level::Strict);
    }
}

#[test]
fn the_unit_that_watches() {
    unit("mirror-audit@.service");
}

#[test]
fn the_unit_that_heals() {
    unit("mirror-heal@.service");
}

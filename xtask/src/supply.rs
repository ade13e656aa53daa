//! What the build needs and takes in: the oldest compiler, and what cargo-deny says of the dependencies.
use crate::build::cargo;
use crate::tidy::{Findings, read, tool};
use crate::{Result, root};
use std::process::{Command, Stdio};

/// Cargo.toml and clippy.toml name the same oldest compiler, and the one that runs is none older.
pub fn compiler() -> Result<Findings> {
    let stated = value(&read(&root().join("Cargo.toml"))?, "rust-version")?;
    let lints = value(&read(&root().join("clippy.toml"))?, "msrv")?;
    let o = Command::new("rustc")
        .arg("-V")
        .output()
        .map_err(|e| format!("rustc: {e}"))?;
    let text = String::from_utf8_lossy(&o.stdout).into_owned();
    let running = text.split_whitespace().nth(1).unwrap_or_default();
    let mut found = Vec::new();
    if number(&stated) != number(&lints) {
        found.push(format!(
            "Cargo.toml says Rust {stated}, clippy.toml {lints}"
        ));
    }
    if number(running) < number(&stated) {
        found.push(format!("Cargo.toml says Rust {stated}, and this is {text}"));
    }
    Ok(found)
}

/// The text of `key = "text"`.
fn value(toml: &str, key: &str) -> Result<String> {
    toml.lines()
        .filter_map(|l| l.split_once('='))
        .find(|(k, _)| k.trim() == key)
        .map(|(_, v)| v.trim().trim_matches('"').to_owned())
        .ok_or(format!("no {key}"))
}

/// Major, minor and patch; what is missing is 0.
fn number(version: &str) -> [u32; 3] {
    let plain = version.split('-').next().unwrap_or_default();
    let mut parts = plain.split('.').map(|p| p.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

/// Licences, sources and bans of deny.toml, where cargo-deny is. (Advisories need the network, and change
/// without a change here: `cargo deny check`.)
pub fn dependencies() -> Result<Findings> {
    let there = cargo()
        .args(["deny", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !there.is_ok_and(|s| s.success()) {
        println!("note  cargo-deny is not here: deny.toml is not checked");
        return Ok(Vec::new());
    }
    let check = [
        "deny",
        "--offline",
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ];
    tool(cargo().args(check).current_dir(root()))
}

#[cfg(test)]
mod tests {
    use super::{number, value};

    #[test]
    fn versions_are_numbers() {
        assert_eq!(number("1.95"), number("1.95.0"));
        assert!(number("1.100.0-nightly") > number("1.95.2"));
        assert_eq!(value("a = 1\nmsrv = \"1.2\"", "msrv").unwrap(), "1.2");
        assert!(value("", "msrv").is_err());
    }
}

//! One case: a shell file in tests/programs.d whose first lines say what it is about.
use crate::{Result, root};
use std::fs;
use std::path::PathBuf;

/// What the head of a case says.
#[derive(Default, Clone)]
pub struct Case {
    /// The file's name without `.sh`.
    pub name: String,
    /// The program, as the table names it.
    pub title: String,
    /// The heading under which it stands.
    pub group: String,
    /// What it does here.
    pub does: String,
    /// Whom it runs as, one run for each: `root`, another account, or `ordinary`.
    pub users: Vec<String>,
    /// Commands, absolute paths or `python:MODULE`, without which it is skipped.
    pub needs: Vec<String>,
    /// Where `--install` gets them.
    pub packages: Vec<String>,
    pub pip: Vec<String>,
    pub npm: Vec<String>,
    /// A command whose first words with a number are the version.
    pub version: String,
    /// More arguments of `mirror init`.
    pub init: Vec<String>,
    /// A text in the output of a program that is refused, as LIMITS.md says.
    pub refused: Option<String>,
    /// What a row that is not all well means.
    pub note: String,
    /// A variable of mirrored runs, `NAME=value`, with which the case runs a second time.
    pub also: Option<String>,
    /// The variable of this run.
    pub variable: Option<String>,
    /// The pair of this run is a link pair: V is a symlink to leg A.
    pub link: bool,
    /// It kills its program: a killed writer leaves times that differ (LIMITS.md), so they do not count.
    pub killed: bool,
    /// It cannot run natively without a network.
    pub network: bool,
    /// Seconds of an idle machine for each run.
    pub limit: u64,
}

/// How all cases run.
#[derive(Default, Clone, Copy)]
pub struct Way {
    /// Every program has the net.
    pub net: bool,
    /// In a link pair.
    pub link: bool,
}

impl Way {
    /// Its name in the table; none: the one that the rows are about.
    pub fn name(self) -> Option<&'static str> {
        match (self.net, self.link) {
            (false, false) => None,
            (true, false) => Some("net"),
            (false, true) => Some("link"),
            (true, true) => Some("net+link"),
        }
    }
}

impl Case {
    /// The same in another way than the document's.
    pub fn in_way(self, way: &Way) -> Case {
        let net = way.net.then(|| "MIRROR_NET=always".to_owned());
        Case {
            variable: net.or(self.variable),
            link: way.link,
            ..self
        }
    }

    /// The second run, with a variable.
    fn with_variable(&self) -> Option<Case> {
        let variable = self.also.clone()?;
        Some(Case {
            title: format!("{}, {variable}", self.title),
            note: String::new(),
            variable: Some(variable),
            ..self.clone()
        })
    }
}

/// Where the cases lie.
pub fn folder() -> PathBuf {
    root().join("tests/programs.d")
}

/// All cases, by name.
pub fn all() -> Result<Vec<Case>> {
    let folder = folder();
    let error = |e: std::io::Error| format!("{}: {e}", folder.display());
    let mut cases = Vec::new();
    for entry in fs::read_dir(&folder).map_err(error)? {
        let path = entry.map_err(error)?.path();
        if path.extension().is_some_and(|e| e == "sh") {
            let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let case = parse(&name, &text).map_err(|e| format!("{}: {e}", path.display()))?;
            cases.extend(case.with_variable());
            cases.push(case);
        }
    }
    cases.sort_by(|a, b| (&a.name, &a.variable).cmp(&(&b.name, &b.variable)));
    Ok(cases)
}

/// The head: lines `# key: value`, up to the first line that is no comment.
fn parse(name: &str, text: &str) -> Result<Case> {
    let mut case = Case {
        name: name.to_owned(),
        users: vec!["root".to_owned()],
        limit: 240,
        ..Case::default()
    };
    for line in text.lines().map_while(|l| l.strip_prefix("# ")) {
        let (key, value) = line
            .split_once(": ")
            .ok_or(format!("no `key: value`: {line}"))?;
        let words = || value.split_whitespace().map(str::to_owned).collect();
        match key {
            "title" => case.title = value.to_owned(),
            "group" => case.group = value.to_owned(),
            "does" => case.does = value.to_owned(),
            "users" => case.users = words(),
            "needs" => case.needs = words(),
            "packages" => case.packages = words(),
            "pip" => case.pip = words(),
            "npm" => case.npm = words(),
            "version" => case.version = value.to_owned(),
            "init" => case.init = words(),
            "refused" => case.refused = Some(value.to_owned()),
            "also" => case.also = Some(value.to_owned()),
            "note" => case.note = value.to_owned(),
            "killed" => case.killed = value == "yes",
            "network" => case.network = value == "yes",
            "limit" => case.limit = value.parse().map_err(|_| format!("no number: {value}"))?,
            _ => return Err(format!("unknown key {key}")),
        }
    }
    let needed = [&case.title, &case.group, &case.does, &case.version];
    if needed.iter().any(|v| v.is_empty()) {
        return Err("title, group, does and version are needed".into());
    }
    Ok(case)
}

/// The version in what a program says of itself: the first word that begins like `1.2`.
pub fn version_in(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let part = |b: u8| b.is_ascii_alphanumeric() || b".+~-_".contains(&b);
    (0..bytes.len()).find_map(|i| {
        let starts = bytes[i].is_ascii_digit()
            && (i == 0 || !bytes[i - 1].is_ascii_digit() && bytes[i - 1] != b'.');
        let rest = &bytes[i..][..if starts { bytes.len() - i } else { 0 }];
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let follows =
            rest.get(digits) == Some(&b'.') && rest.get(digits + 1).is_some_and(u8::is_ascii_digit);
        follows.then(|| {
            let end = rest.iter().take_while(|b| part(**b)).count();
            text[i..i + end]
                .trim_end_matches(['.', '-', '+', '_'])
                .to_owned()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found() {
        for (text, version) in [
            ("git version 2.39.5", "2.39.5"),
            ("7-Zip [64] 16.02 : Copyright", "16.02"),
            ("OpenSSH_9.2p1 Debian-2+deb12u7, OpenSSL", "9.2p1"),
            ("BusyBox v1.35.0 (Debian)", "1.35.0"),
            ("Version: ImageMagick 6.9.11-60 Q16", "6.9.11-60"),
            ("tar (GNU tar) 1.34\n", "1.34"),
        ] {
            assert_eq!(version_in(text).as_deref(), Some(version));
        }
        assert_eq!(version_in("no version 12"), None);
    }

    #[test]
    fn heads_are_read() {
        let head = "# title: X\n# group: g\n# does: d\n# version: x --version\n# users: root ordinary\nwork() {\n# title: no\n";
        let case = parse("x", head).expect("a sound head");
        assert_eq!((case.title.as_str(), case.users.len()), ("X", 2));
        assert!(parse("x", "# title: X\n").is_err());
        assert!(parse("x", "# tittle: X\n").is_err());
    }
}

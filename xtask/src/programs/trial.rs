//! One program as one user: natively, mirrored, the legs compared, leg B alone.
use super::case::{self, Case};
use super::ground::{Folder, Ground};
use super::phase::{self, Ended};
use super::prepare;
use super::table::Row;
use crate::Result;
use mirror_tests::{Level, Tree};
use std::fs;
use std::process::Command;

/// Lines of a program's output that are shown.
const SHOWN: usize = 12;

/// In complaints about a case whose processes outlive it.
pub const LEFT: &str = "left a process behind";

struct Trial<'a> {
    case: &'a Case,
    ground: Ground,
    log: std::path::PathBuf,
    complaints: Vec<String>,
}

/// The row of the table, and what is to be said about it.
pub fn trial(case: &Case, user: &str, folder: &Folder) -> Result<(Row, Vec<String>)> {
    let account = prepare::account(user).ok_or(format!("no account {user}"))?;
    let mut t = Trial {
        case,
        ground: Ground::new(folder, account, case.link)?,
        log: folder.path.join("log"),
        complaints: Vec::new(),
    };
    let mut row = Row {
        group: case.group.clone(),
        title: case.title.clone(),
        does: case.does.clone(),
        user: user.to_owned(),
        note: case.note.clone(),
        version: t.version()?,
        ..Row::default()
    };
    let right = t.native()?;
    row.native = if right.is_some() { "ok" } else { "fails" }.into();
    if let Some(right) = right {
        let pairs = t.init()?;
        t.mirrored(&mut row)?;
        t.legs(&mut row)?;
        t.alone(&mut row, &right)?;
        for file in mirror_tests::runtime_files_of(&pairs) {
            let _ = fs::remove_file(file);
        }
    }
    if row.is_good() {
        row.note.clear();
    }
    Ok((row, t.complaints))
}

impl Trial<'_> {
    fn run(&mut self, what: &str, c: &mut Command) -> Result<Ended> {
        let ended = phase::run(c, &self.log, self.case.limit)?;
        for left in &ended.left {
            self.complaints.push(format!("{what} {LEFT}: {left}"));
        }
        Ok(ended)
    }

    fn complain(&mut self, what: &str, ended: &Ended) {
        self.complaints.push(format!("{what}: exit {}", ended.code));
        let lines: Vec<&str> = ended.text.lines().collect();
        for line in &lines[lines.len().saturating_sub(SHOWN)..] {
            self.complaints.push(format!("  {line}"));
        }
    }

    fn version(&mut self) -> Result<String> {
        let mut c = self.ground.command("sh", "n");
        let ended = self.run("version", c.args(["-c", &self.case.version]))?;
        Ok(case::version_in(&ended.text).unwrap_or_else(|| "?".into()))
    }

    /// What the check says of the plain directory; `None` when the case does not work natively.
    fn native(&mut self) -> Result<Option<String>> {
        let (name, dir) = (&self.case.name, self.ground.native());
        for part in ["prepare", "work", "check"] {
            let ended = self.run(part, &mut self.ground.part(name, part, &dir, "n"))?;
            if ended.code != 0 {
                self.complain(&format!("native {part}"), &ended);
                return Ok(None);
            }
            if part == "check" {
                return Ok(Some(ended.text));
            }
        }
        Ok(None)
    }

    fn init(&mut self) -> Result<Vec<String>> {
        let (a, b) = (self.ground.a(), self.ground.b());
        for leg in [&a, &b] {
            let ended = self.run(
                "prepare",
                &mut self.ground.part(&self.case.name, "prepare", leg, "m"),
            )?;
            if ended.code != 0 {
                return Err(format!("{}: prepare: {}", self.case.name, ended.text));
            }
        }
        let mut c = self.ground.mirror("init");
        if self.case.link {
            c.arg("--at").arg(self.ground.v());
        }
        let ended = self.run("init", c.args([&a, &b]).arg("--yes").args(&self.case.init))?;
        if ended.code != 0 {
            return Err(format!("{}: mirror init: {}", self.case.name, ended.text));
        }
        Ok(self.ground.pairs())
    }

    fn mirrored(&mut self, row: &mut Row) -> Result<()> {
        let v = self.ground.v();
        let mut c = self.ground.mirrored(&self.case.name, "work", &v);
        c.envs(self.case.variable.iter().filter_map(|v| v.split_once('=')));
        let ended = self.run("mirrored work", &mut c)?;
        let as_said = self
            .case
            .refused
            .as_ref()
            .is_some_and(|text| ended.text.contains(text.as_str()));
        row.mirrored = match ended.code {
            0 => "ok",
            _ if as_said => "refused",
            _ => "fails",
        }
        .into();
        if row.mirrored == "fails" {
            self.complain("mirrored work", &ended);
        }
        Ok(())
    }

    /// The legs as this process reads them; then what the product says of them.
    fn legs(&mut self, row: &mut Row) -> Result<()> {
        let (a, b) = (self.ground.a(), self.ground.b());
        let level = if self.case.killed {
            Level::NoTimes
        } else {
            Level::Strict
        };
        let differences = Tree::read(&a).differences(&Tree::read(&b), level).0;
        let status = self.run("status", self.ground.mirror("status").arg(&a))?;
        row.legs = match (differences.is_empty(), status.code) {
            (true, _) => "yes",
            (false, 0) => "NO, unseen",
            (false, _) => "no, and status says so",
        }
        .into();
        let more = differences.len().saturating_sub(8);
        self.complaints.extend(differences.iter().take(8).cloned());
        if more > 0 {
            self.complaints.push(format!("… and {more} more"));
        }
        if differences.is_empty() && status.code != 0 {
            self.complain("status of equal legs", &status);
        }
        let verify = self.run("verify", self.ground.mirror("verify").arg(&a))?;
        if (verify.code == 0) != differences.is_empty() && !self.case.killed {
            self.complain("verify says otherwise", &verify);
        }
        let detach = self.run("detach", self.ground.mirror("detach").arg(&a))?;
        if detach.code != 0 {
            self.complain("detach", &detach);
        }
        Ok(())
    }

    /// Leg B in the place of leg A, which is gone; no mirror is involved.
    fn alone(&mut self, row: &mut Row, right: &str) -> Result<()> {
        if row.mirrored != "ok" {
            row.alone = "–".into();
            return Ok(());
        }
        self.ground.only_b()?;
        let v = self.ground.v();
        let ended = self.run(
            "check of leg B",
            &mut self.ground.part(&self.case.name, "check", &v, "m"),
        )?;
        let names = |text: &str| {
            let text = text.replace(&*self.ground.native().to_string_lossy(), "$V");
            text.replace(&*v.to_string_lossy(), "$V")
        };
        let (ours, theirs) = (names(&ended.text), names(right));
        let same = ended.code == 0 && ours == theirs;
        row.alone = if same { "yes" } else { "NO" }.into();
        if !same {
            self.complain("check of leg B alone", &ended);
            let missing = |of: &str, other: &str, sign: &str| {
                let lines = of.lines().filter(|l| !other.lines().any(|o| o == *l));
                lines
                    .take(8)
                    .map(|l| format!("{sign} {l}"))
                    .collect::<Vec<_>>()
            };
            self.complaints.push("against the plain directory:".into());
            self.complaints.extend(missing(&theirs, &ours, "-"));
            self.complaints.extend(missing(&ours, &theirs, "+"));
        }
        Ok(())
    }
}

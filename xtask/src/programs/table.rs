//! docs/PROGRAMS.md.
use crate::{Result, root};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const INTRODUCTION: &str = "\
# Programs

Real programs, each run twice by `cargo xtask programs`: natively in a plain directory, and below `mirror run` in a pair of two empty trees. Then both legs are read by a process without the library and compared: names, types, contents, modes, owners, links, attributes, times to the nanosecond (not where a case kills its program: LIMITS.md). At the end leg A is removed, leg B is put in its place, and a check that the program's own data is whole runs there without any mirror; it must say the same as in the plain directory.

The pair is in place. The last column names the ways in which a case had that very outcome, too: `net`, every program with the net by force (`cargo xtask programs --net`); `link`, in a link pair (`--link`); `net+link`, both.

The cases are `tests/programs.d/*.sh`. A row is about what is said under \"what it does here\", no more. \"As\" is the user whose program it is: `ordinary` is nobody, in a pair of its own.
";

/// One line of the table.
#[derive(Default, Clone)]
pub struct Row {
    pub group: String,
    pub title: String,
    pub version: String,
    pub does: String,
    pub user: String,
    pub native: String,
    pub mirrored: String,
    pub legs: String,
    pub alone: String,
    /// Other ways with the same outcome.
    pub ways: String,
    pub note: String,
}

impl Row {
    pub fn key(&self) -> String {
        format!("{} ({})", self.title, self.user)
    }

    /// As in a plain directory, and on both legs.
    pub fn is_good(&self) -> bool {
        [&self.native, &self.mirrored].iter().all(|v| *v == "ok")
            && self.legs == "yes"
            && self.alone == "yes"
    }

    pub fn outcome(&self) -> String {
        format!(
            "native {}, mirrored {}, legs equal {}, B alone {}",
            self.native, self.mirrored, self.legs, self.alone
        )
    }

    pub fn same_outcome(&self, other: &Row) -> bool {
        self.outcome() == other.outcome()
    }

    /// For the terminal.
    pub fn line(&self) -> String {
        let word = if self.is_good() { "ok  " } else { "no  " };
        format!(
            "{word}  {} {} ({}): {}",
            self.title,
            self.version,
            self.user,
            self.outcome()
        )
    }

    fn cells(&self) -> [&String; 9] {
        [
            &self.title,
            &self.version,
            &self.does,
            &self.user,
            &self.native,
            &self.mirrored,
            &self.legs,
            &self.alone,
            &self.ways,
        ]
    }
}

/// The document's rows.
pub struct Table(Vec<Row>);

fn file() -> PathBuf {
    root().join("docs/PROGRAMS.md")
}

impl Table {
    /// The rows that are there; none without a document.
    pub fn read() -> Result<Table> {
        match fs::read_to_string(file()) {
            Ok(text) => Ok(parse(&text)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Table(Vec::new())),
            Err(e) => Err(format!("{}: {e}", file().display())),
        }
    }

    pub fn rows(&self) -> &[Row] {
        &self.0
    }

    pub fn find(&self, row: &Row) -> Option<&Row> {
        self.0.iter().find(|r| r.key() == row.key())
    }

    /// New rows take the place of old ones; those without a case leave.
    pub fn replace(&mut self, rows: &[Row]) -> Result<()> {
        let cases = super::case::all()?;
        self.0.retain(|r| {
            cases
                .iter()
                .any(|c| c.title == r.title && c.users.contains(&r.user))
        });
        for row in rows {
            let old = self.find(row).map(|r| r.ways.clone());
            self.0.retain(|r| r.key() != row.key());
            self.0.push(Row {
                ways: old.unwrap_or_default(),
                ..row.clone()
            });
        }
        Ok(())
    }

    /// Notes in which of the rows a way has the same outcome.
    pub fn note_way(&mut self, rows: &[Row], way: &str) {
        for row in rows {
            let Some(old) = self.0.iter_mut().find(|r| r.key() == row.key()) else {
                continue;
            };
            let others = old.ways.split(", ").filter(|w| !w.is_empty() && *w != way);
            let mut ways: Vec<&str> = others.collect();
            if old.same_outcome(row) {
                ways.push(way);
            }
            ways.sort_unstable();
            old.ways = ways.join(", ");
        }
    }

    pub fn write(&self) -> Result<()> {
        fs::write(file(), self.text(&facts())).map_err(|e| format!("{}: {e}", file().display()))
    }

    fn text(&self, facts: &str) -> String {
        let mut groups: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in &self.0 {
            groups.entry(&row.group).or_default().push(row);
        }
        let titles: std::collections::BTreeSet<&str> =
            self.0.iter().map(|r| r.title.as_str()).collect();
        let good = self.0.iter().filter(|r| r.is_good()).count();
        let mut text = format!(
            "{INTRODUCTION}\n{} programs or uses of programs in {} rows; {good} rows as in a plain directory, with equal legs of which B is usable alone. {facts}\n",
            titles.len(),
            self.0.len()
        );
        for (group, mut rows) in groups {
            rows.sort_by_key(|r| (r.title.to_lowercase(), r.user != "root", r.user.clone()));
            text.push_str(&format!(
                "\n## {group}\n\n| Program | Version | What it does here | As | Native | Mirrored | Legs equal | B usable alone | Also |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
            ));
            for row in &rows {
                let cells: Vec<String> =
                    row.cells().iter().map(|c| c.replace('|', "\\|")).collect();
                text.push_str(&format!("| {} |\n", cells.join(" | ")));
            }
            let notes: Vec<String> = rows
                .iter()
                .filter(|r| !r.note.is_empty())
                .map(|r| format!("- {}: {}\n", r.key(), r.note))
                .collect();
            if !notes.is_empty() {
                text.push('\n');
                notes.iter().for_each(|n| text.push_str(n));
            }
        }
        text
    }
}

fn parse(text: &str) -> Table {
    let mut rows: Vec<Row> = Vec::new();
    let mut group = "";
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            group = title;
        }
        if let Some(note) = line.strip_prefix("- ")
            && let Some(row) = rows
                .iter_mut()
                .find(|r| note.starts_with(&format!("{}: ", r.key())))
        {
            row.note = note[row.key().len() + 2..].to_owned();
        }
        let protected = line.replace("\\|", "\0");
        let cells: Vec<String> = protected
            .trim_matches('|')
            .split(" | ")
            .map(|c| c.trim().replace('\0', "|"))
            .collect();
        let Ok(cells) = <[String; 9]>::try_from(cells) else {
            continue;
        };
        let [
            title,
            version,
            does,
            user,
            native,
            mirrored,
            legs,
            alone,
            ways,
        ] = cells;
        if title == "Program" || title == "---" {
            continue;
        }
        rows.push(Row {
            group: group.to_owned(),
            title,
            version,
            does,
            user,
            native,
            mirrored,
            legs,
            alone,
            ways,
            note: String::new(),
        });
    }
    Table(rows)
}

/// Where and when.
fn facts() -> String {
    let say = |program: &str, args: &[&str]| {
        let o = Command::new(program).args(args).output();
        o.map_or_else(
            |_| "?".into(),
            |o| String::from_utf8_lossy(&o.stdout).trim().to_owned(),
        )
    };
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release
        .lines()
        .find_map(|l| l.strip_prefix("PRETTY_NAME="))
        .unwrap_or("?");
    let glibc = say("getconf", &["GNU_LIBC_VERSION"]);
    format!(
        "Last written on {} with {}, {glibc}, Linux {}; mirror {}.",
        say("date", &["-u", "+%F"]),
        name.trim_matches('"'),
        say("uname", &["-r"]),
        say("git", &["rev-parse", "--short", "HEAD"])
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let row = |title: &str, note: &str| Row {
            group: "g".into(),
            title: title.into(),
            version: "1.2".into(),
            does: "a | b".into(),
            user: "root".into(),
            native: "ok".into(),
            mirrored: "ok".into(),
            legs: "yes".into(),
            alone: "yes".into(),
            ways: "net".into(),
            note: note.into(),
        };
        let text = Table(vec![row("x", ""), row("y", "why: so")]).text("facts");
        let again = parse(&text);
        assert_eq!(again.rows().len(), 2);
        assert_eq!(again.text("facts"), text);
        assert!(again.rows()[0].is_good());
        let mut table = again;
        table.note_way(&[row("x", "")], "link");
        assert_eq!(table.rows()[0].ways, "link, net");
    }
}

//! `cargo xtask programs`: real programs, each natively in a plain directory and mirrored in a pair;
//! what came of it is the table in docs/PROGRAMS.md.
mod case;
mod ground;
mod phase;
mod prepare;
mod table;
mod trial;

use crate::{Result, build, interrupt};
use case::{Case, Way};
use table::{Row, Table};

/// `[--install] [--write] [--net] [--link] [FILTER]…`
pub fn programs(args: &[String]) -> Result<bool> {
    let (options, filters): (Vec<&String>, Vec<&String>) =
        args.iter().partition(|a| a.starts_with("--"));
    let has = |name: &str| options.iter().any(|o| *o == name);
    if let Some(o) = options
        .iter()
        .find(|o| !["--install", "--write", "--net", "--link"].contains(&o.as_str()))
    {
        return Err(format!("unknown option {o}"));
    }
    let mut cases = case::all()?;
    cases.retain(|c| filters.is_empty() || filters.iter().any(|f| c.name.contains(f.as_str())));
    let way = Way {
        net: has("--net"),
        link: has("--link"),
    };
    // A second run with a variable is such a way by itself.
    cases.retain(|c| way.name().is_none() || c.variable.is_none());
    cases = cases.into_iter().map(|c| c.in_way(&way)).collect();
    if has("--install") {
        prepare::install(&cases)?;
    }
    build::build()?;
    interrupt::install();
    let mut found = Found::default();
    let folder = ground::Folder::new()?;
    for case in &cases {
        found.case(case, &folder)?;
        if has("--write") {
            let mut table = Table::read()?;
            match way.name() {
                None => table.replace(&found.rows)?,
                Some(name) => table.note_way(&found.rows, name),
            }
            table.write()?;
        }
    }
    drop(folder);
    found.unlike_document(&Table::read()?);
    found.end();
    Ok(found.faults.is_empty())
}

/// What a run found.
#[derive(Default)]
struct Found {
    rows: Vec<Row>,
    skipped: Vec<String>,
    faults: Vec<String>,
}

impl Found {
    fn case(&mut self, case: &Case, folder: &ground::Folder) -> Result<()> {
        for user in &case.users {
            let name = format!("{} ({user})", case.title);
            if let Some(why) = prepare::missing(case, user) {
                println!("skip  {name}: {why}");
                self.skipped.push(format!("{name}: {why}"));
                continue;
            }
            let outcome = trial::trial(case, user, folder);
            interrupt::check()?;
            let (row, complaints) = match outcome {
                Ok(o) => o,
                Err(e) => {
                    println!("fail  {name}: {e}");
                    self.faults.push(format!("{name}: {e}"));
                    continue;
                }
            };
            println!("{}", row.line());
            complaints.iter().for_each(|c| println!("      | {c}"));
            let left = complaints.iter().filter(|c| c.contains(trial::LEFT));
            self.faults.extend(left.map(|c| format!("{name}: {c}")));
            if row.native == "ok" {
                self.rows.push(row);
            } else if case.network {
                self.skipped
                    .push(format!("{name}: fails natively (needs a network)"));
            } else {
                self.faults.push(format!("{name}: fails natively"));
            }
        }
        Ok(())
    }

    /// Where the document says something else.
    fn unlike_document(&mut self, table: &Table) {
        for row in &self.rows {
            match table.find(row) {
                None => self
                    .faults
                    .push(format!("{}: not in the document", row.key())),
                Some(old) if !old.same_outcome(row) => self.faults.push(format!(
                    "{}: the document says {}, now {}",
                    row.key(),
                    old.outcome(),
                    row.outcome()
                )),
                Some(old) if old.version != row.version => println!(
                    "note  {}: the document is about version {}, here is {}",
                    row.key(),
                    old.version,
                    row.version
                ),
                Some(_) => {}
            }
        }
    }

    fn end(&self) {
        for (title, lines) in [("skipped", &self.skipped), ("wrong", &self.faults)] {
            if !lines.is_empty() {
                println!("\n{title}:");
                lines.iter().for_each(|l| println!("  {l}"));
            }
        }
        let good = self.rows.iter().filter(|r| r.is_good()).count();
        println!(
            "\n{good} of {} as in a plain directory, {} skipped, {} wrong",
            self.rows.len(),
            self.skipped.len(),
            self.faults.len()
        );
    }
}

/// For `tidy`: every case has its rows in the document, and every row its case.
pub fn documented() -> Result<Vec<String>> {
    let (cases, table) = (case::all()?, Table::read()?);
    let wanted: Vec<(String, String)> = cases
        .iter()
        .flat_map(|c| c.users.iter().map(|u| (c.title.clone(), u.clone())))
        .collect();
    let there: Vec<(String, String)> = table
        .rows()
        .iter()
        .map(|r| (r.title.clone(), r.user.clone()))
        .collect();
    let mut found: Vec<String> = Vec::new();
    for (title, user) in wanted.iter().filter(|w| !there.contains(w)) {
        found.push(format!(
            "{title} ({user}): a case without a row in docs/PROGRAMS.md"
        ));
    }
    for (title, user) in there.iter().filter(|t| !wanted.contains(t)) {
        found.push(format!(
            "{title} ({user}): a row of docs/PROGRAMS.md without a case"
        ));
    }
    Ok(found)
}

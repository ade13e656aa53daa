//! docs/COVERAGE.md: what a run found, by family.
use crate::{Verdict, Verdicts, Way};
use mirror_tests::skip;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

const HEAD: &str = "\
# Coverage

Every way to change a file that the suite `ways` tries, and what becomes of it: by programs in `tests/programs/ways/`, each in a directory of its own, beside a plain directory. Written by `cargo xtask coverage`, checked by `ways no_way_to_change_a_file_goes_past_in_silence`; do not edit.

- **covered**: both legs have the change, and they are as the plain directory.
- **refused**: an error, and nothing is changed on either leg.
- **recorded**: the legs differ, and `mirror status` says so, with this word (*run*: only the last line of `mirror run` does).
- **silent**: one leg is changed, and nothing says so before `mirror verify`.
- **not tried**: not possible where the table was written.

*Without the net*: `MIRROR_NET=never`. *With it*: `MIRROR_NET=always`.
";

fn text(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Covered => "covered".into(),
        Verdict::Refused(errno) => format!("refused: {errno}"),
        Verdict::Recorded(word) => format!("recorded: {word}"),
        Verdict::Silent => "silent".into(),
        Verdict::Wrong(_) => "wrong".into(),
        Verdict::NotHere(why) => format!("not tried: {why}"),
    }
}

/// The rows of a document: both verdicts by name.
fn rows(document: &str) -> BTreeMap<String, [String; 2]> {
    let mut rows = BTreeMap::new();
    for line in document.lines().filter(|l| l.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, names, without, with, _] = cells[..] {
            let each = names.split(", ").map(|n| n.trim_matches('`').to_owned());
            rows.extend(each.map(|n| (n, [without.to_owned(), with.to_owned()])));
        }
    }
    rows
}

/// A row: the ways of a family that have the same verdicts, and these.
type Row<'a> = (Vec<&'a str>, [String; 2]);

/// The document of what was found. Ways that could not be tried here keep the row that they had.
fn written(ways: &[Way], found: &[Verdicts; 2], old: &str) -> String {
    let old = rows(old);
    let mut families: Vec<(&str, Vec<Row>)> = Vec::new();
    for way in ways {
        let here = [0, 1].map(|i| &found[i][&way.name]);
        let tried = !here.iter().any(|v| matches!(v, Verdict::NotHere(_)));
        let row = match old.get(&way.name) {
            Some(row) if !tried => row.clone(),
            _ => here.map(text),
        };
        if !families.iter().any(|(f, _)| *f == way.family) {
            families.push((&way.family, Vec::new()));
        }
        let rows = &mut families
            .iter_mut()
            .find(|(f, _)| *f == way.family)
            .expect("put there")
            .1;
        match rows.iter_mut().find(|(_, r)| *r == row) {
            Some((names, _)) => names.push(&way.name),
            None => rows.push((vec![&way.name], row)),
        }
    }
    let mut out = HEAD.to_owned();
    for (family, rows) in families {
        let title = family[..1].to_uppercase() + &family[1..];
        write!(
            out,
            "\n## {title}\n\n| Ways | Without the net | With it |\n| --- | --- | --- |\n"
        )
        .expect("a text");
        for (names, [without, with]) in rows {
            writeln!(out, "| `{}` | {without} | {with} |", names.join("`, `")).expect("a text");
        }
    }
    out
}

/// Compares the document with what was found, or writes it (`MIRROR_WRITE_COVERAGE=1`).
pub fn check(ways: &[Way], found: &[Verdicts; 2]) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/COVERAGE.md");
    let old = std::fs::read_to_string(&file).unwrap_or_default();
    let new = written(ways, found, &old);
    if std::env::var_os("MIRROR_WRITE_COVERAGE").is_some() {
        std::fs::write(&file, new).expect("writing the document");
        return skip("the document was written, not checked");
    }
    let (was, is) = (rows(&old), rows(&new));
    let all = was
        .keys()
        .chain(is.keys().filter(|k| !was.contains_key(*k)));
    let mut problems = Vec::new();
    for name in all.filter(|k| was.get(*k) != is.get(*k)) {
        let line = format!(
            "{name}: written {:?}, found {:?}",
            was.get(name),
            is.get(name)
        );
        match (was.get(name), is.get(name)) {
            // A gap that is closed is no reason to fail.
            (Some(was), Some(is)) if (0..2).all(|i| no_worse(&was[i], &is[i])) => {
                println!("{line}");
            }
            _ => problems.push(line),
        }
    }
    let lines = problems.join("\n");
    assert!(
        problems.is_empty(),
        "docs/COVERAGE.md is not what was found; `cargo xtask coverage` writes it.\n{lines}"
    );
}

fn no_worse(was: &str, is: &str) -> bool {
    was == is || was == "silent" || is == "covered"
}

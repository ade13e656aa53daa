//! Promises of the tables: a call that the mirror sees has a handler, one that it does not see a reason; a
//! limit names the test that pins it, or says that none does.
use crate::{Result, root, tidy};
use std::collections::{BTreeMap, BTreeSet};

/// Families whose calls need no telling apart, and why. Every call of another family is named in
/// shim/src/calls.
const ALIKE: &[(&str, &str)] = &[
    ("Close", "one call"),
    ("CloseRange", "one call"),
    ("Duplicate", "what is not dup2 or dup3 is dup"),
    ("Exec", "what is not execveat is execve"),
    ("Exit", "one call"),
    ("Limit", "what is not prlimit64 is setrlimit"),
    ("List", "the listing has one form"),
    ("Look", "the path is what counts"),
    ("Map", "one call"),
    ("Message", "what is not sendmmsg is sendmsg"),
    ("Mounts", "what was known of mounts is forgotten"),
    ("OpenHandle", "one call"),
    ("Pager", "whether there is one counts"),
    ("Pages", "the program's memory is looked at anew"),
    ("Protect", "the new rights count"),
    ("Ring", "refused"),
    ("Sandbox", "what is not prctl is seccomp"),
    ("Signals", "what is not told apart takes a mask"),
    ("Splice", "one call"),
    ("Stand", "what is not fchdir or chroot is chdir"),
    ("Sync", "both legs are flushed"),
    ("Take", "one call"),
    ("Trace", "one call"),
    ("Unshare", "one call"),
    ("User", "whose the process is now is asked"),
];

/// Calls without a handler or a reason, limits without a pin.
pub fn check() -> Result<Vec<String>> {
    let read = |rel: &str| tidy::read(&root().join(rel));
    let mut handlers = String::new();
    for file in tidy::sources(&root().join("shim/src")) {
        handlers += &tidy::read(&file)?;
    }
    let mut found = without_handler(
        &read("core/src/calls.rs")?,
        &read("shim/src/calls/dispatch.rs")?,
        &handlers,
    );
    found.extend(without_reason(&read("core/src/calls/unhandled.rs")?));
    let suites = suites()?;
    for table in ["docs/LIMITS.md", "docs/FAULTS.md", "docs/TESTING.md"] {
        found.extend(without_pin(table, &read(table)?, &suites));
    }
    Ok(found)
}

/// Rows `Call, "name", number, number, need, Family, …` of the table.
fn rows(table: &str) -> impl Iterator<Item = (&str, &str)> {
    table.lines().filter_map(|l| {
        let f: Vec<&str> = l.split(',').map(str::trim).collect();
        let is_row = f.get(1).is_some_and(|n| n.starts_with('"')) && l.starts_with("    ");
        Some((*f.first()?, *f.get(5)?)).filter(|_| is_row)
    })
}

fn word(text: &str, word: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    text.match_indices(word)
        .any(|(at, _)| ends(&text[at + word.len()..]))
}

fn without_handler(table: &str, dispatch: &str, handlers: &str) -> Vec<String> {
    // The last arm takes what others answer.
    let last = dispatch.split("// Answered by").nth(1).unwrap_or_default();
    let last = last.split("=>").next().unwrap_or_default();
    let arms = dispatch.replace(last, "");
    let mut out = Vec::new();
    let mut families = BTreeSet::new();
    for (call, family) in rows(table) {
        families.insert(family);
        let named = word(handlers, &format!("Call::{call}"));
        if !named && !ALIKE.iter().any(|(f, _)| *f == family) {
            out.push(format!(
                "core/src/calls.rs: {call} has no arm in shim/src/calls (or its family a reason in ALIKE)"
            ));
        }
        let own_entry = family == "Exit" && arms.contains("before_exit");
        if !own_entry && !word(&arms, &format!("Family::{family}")) {
            out.push(format!(
                "core/src/calls.rs: {call}: no handler for the family {family} in dispatch.rs"
            ));
        }
    }
    if families.is_empty() {
        out.push("core/src/calls.rs: no rows are read".to_owned());
    }
    let gone = ALIKE.iter().filter(|(f, _)| !families.contains(f));
    out.extend(gone.map(|(f, _)| format!("{f} in ALIKE and not in core/src/calls.rs")));
    out
}

/// Each reason is a line of prose above its name, and each group of calls has one.
fn without_reason(unhandled: &str) -> Vec<String> {
    let reasons = unhandled.split("pub enum Why {").nth(1).unwrap_or_default();
    let reasons = reasons.split("\n}").next().unwrap_or_default();
    let (mut out, mut prose) = (Vec::new(), false);
    for l in reasons.lines().map(str::trim).filter(|l| !l.is_empty()) {
        if !l.starts_with("///") && !prose {
            out.push(format!("core/src/calls/unhandled.rs: {l} gives no reason"));
        }
        prose = l.starts_with("///");
    }
    out
}

/// Suite → the words in its files: tests of a table are no functions.
type Suites = BTreeMap<String, BTreeSet<String>>;

fn suites() -> Result<Suites> {
    let mut out = Suites::new();
    // Their own tests.
    for name in ["core", "pair", "sim", "loader"] {
        for file in tidy::sources(&root().join(name)) {
            let text = tidy::read(&file)?;
            out.entry(name.to_owned()).or_default().extend(words(&text));
        }
    }
    let dir = root().join("tests/tests");
    for file in tidy::sources(&dir) {
        let rel = file.strip_prefix(&dir).map_err(|e| e.to_string())?;
        let suite = rel.components().next().map(|c| c.as_os_str().to_owned());
        let suite = suite.unwrap_or_default().to_string_lossy().into_owned();
        let suite = suite.strip_suffix(".rs").unwrap_or(&suite).to_owned();
        let text = tidy::read(&file)?;
        out.entry(suite).or_default().extend(words(&text));
    }
    Ok(out)
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    parts.filter(|w| !w.is_empty()).map(str::to_owned)
}

/// Rows of a table whose last column is "Pinned by".
fn without_pin(file: &str, limits: &str, suites: &Suites) -> Vec<String> {
    let mut out = Vec::new();
    let mut pinned = false;
    for (n, l) in limits.lines().enumerate() {
        let Some(row) = l.strip_prefix("| ").and_then(|l| l.strip_suffix(" |")) else {
            pinned = false;
            continue;
        };
        let cell = row.rsplit(" | ").next().unwrap_or_default();
        if cell == "Pinned by" {
            pinned = true;
        } else if pinned && !row.starts_with("---") {
            let why = pins(cell, suites);
            out.extend(why.map(|why| format!("{file}:{}: {why}", n + 1)));
        }
    }
    out
}

/// What is wrong with a cell: `suite test`, or `test` of any suite; a suite, a crate or a file; or "not pinned".
fn pins(cell: &str, suites: &Suites) -> Option<String> {
    let mut any = cell.to_lowercase().contains("not pinned");
    for pin in cell.split('`').skip(1).step_by(2) {
        let (suite, test) = pin.split_once(' ').unwrap_or(("", pin));
        let suite = suite.replace('-', "_");
        let named = |s: &str| suites.get(s).into_iter().collect::<Vec<_>>();
        let of = match suite.is_empty() {
            true => suites.values().collect(),
            false => named(&suite),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "_*:".contains(c);
        let name = test.rsplit("::").next().unwrap_or(test);
        let fits = |w: &String| match (name.strip_suffix('*'), name.strip_prefix('_')) {
            (Some(start), _) => w.starts_with(start),
            (_, Some(_)) => w.ends_with(name),
            _ => w == name,
        };
        let known = of.iter().any(|s| s.iter().any(fits));
        if suite.is_empty() && (suites.contains_key(test) || root().join(test).exists()) {
            any = true;
        } else if suite.is_empty() && (!test.chars().all(plain) || name.matches('_').count() < 2) {
            // An option, a program, or a test of few words.
            any |= known && test.chars().all(plain);
        } else if of.is_empty() {
            return Some(format!("`{pin}`: no such suite"));
        } else if !known {
            return Some(format!("`{pin}`: no such test"));
        } else {
            any = true;
        }
    }
    (!any).then(|| "neither a pin nor \"Not pinned\"".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_wants_a_handler() {
        let table = "    // call, name\n    Write, \"write\", 1, 64, must, Data, Fd, [Fd];\n    Foo, \"foo\", 2, -, may, Data, No, [];\n";
        let dispatch = "Family::Data => write(regs),\n // Answered by\n Family::List => NATIVE";
        let found = |table, dispatch| {
            let all = without_handler(table, dispatch, "match c { Call::Write => 1 }");
            let of_rows = all.into_iter().filter(|f| f.contains("calls.rs: "));
            of_rows
                .filter(|f| !f.contains("ALIKE and"))
                .collect::<Vec<_>>()
        };
        let one = found(table, dispatch);
        assert!(one.len() == 1 && one[0].contains("Foo"), "{one:?}");
        let listed = table.replace(
            "Foo, \"foo\", 2, -, may, Data",
            "Foo, \"foo\", 2, -, may, List",
        );
        let one = found(&listed, dispatch);
        assert!(one.len() == 1 && one[0].contains("List"), "{one:?}");
        let none = found(
            "    Write, \"write\", 1, 64, must, Data, Fd, [Fd];\n",
            dispatch,
        );
        assert!(none.is_empty(), "{none:?}");
    }

    #[test]
    fn a_call_that_is_not_seen_wants_a_reason() {
        let with = "pub enum Why {\n    /// Reads.\n    Reads,\n    /// Two\n    /// lines.\n    Two,\n}\n";
        assert!(without_reason(with).is_empty());
        assert_eq!(
            without_reason(&with.replace("    /// Reads.\n", "")).len(),
            1
        );
    }

    #[test]
    fn a_limit_wants_a_pin() {
        let suites = Suites::from([
            (
                "uses".to_owned(),
                BTreeSet::from(["fifo".to_owned(), "every_one".to_owned()]),
            ),
            ("refused".to_owned(), BTreeSet::new()),
        ]);
        let found = |cell: &str| {
            let text = format!("| Limit | Pinned by |\n| --- | --- |\n| Something | {cell} |\n");
            without_pin("a", &text, &suites)
        };
        for good in [
            "Not pinned",
            "`uses fifo`",
            "`uses a::fifo`, `every_*`; the rest not pinned",
            "`refused`",
            "`uses *::fifo` (an option `x=`)",
        ] {
            assert!(found(good).is_empty(), "{good}: {:?}", found(good));
        }
        for bad in [
            "",
            "here",
            "`uses gone`",
            "`nowhere fifo`",
            "`gone_for_ever`",
            "`x=`",
        ] {
            assert_eq!(found(bad).len(), 1, "{bad}");
        }
    }
}

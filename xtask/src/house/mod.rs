//! The rooms of each crate: who may take what from whom, and that nothing goes in a circle. Where
//! memory of a process's own may be, and how long a function may get.
mod graph;
mod items;
mod legs;
mod promises;
mod proof;
mod table;
mod tokens;

use crate::{Result, root};
use graph::{Graph, circles, graph};
use std::collections::{BTreeMap, BTreeSet};
use table::{ROOMS, STATICS};

/// Lines of a function that needs no reason.
const LONG: usize = 70;
/// Crates in which a static needs a place of its own: they are loaded into other people's programs.
const INSIDE: [&str; 4] = ["core", "sys", "pair", "shim"];
const CRATES: [&str; 7] = ["core", "sys", "pair", "audit", "sim", "loader", "shim"];

/// `cargo xtask rooms [--files] [CRATE]…`: the rooms, their arrows and the circles, in text.
pub fn show(args: &[String]) -> Result<bool> {
    let files = args.iter().any(|a| a == "--files");
    let wanted: Vec<&String> = args.iter().filter(|a| *a != "--files").collect();
    if let Some(unknown) = wanted.iter().find(|a| !CRATES.contains(&a.as_str())) {
        return Err(format!("no crate {unknown}; there are {CRATES:?}"));
    }
    let mut good = true;
    for name in CRATES {
        if !wanted.is_empty() && !wanted.iter().any(|a| *a == name) {
            continue;
        }
        let g = load(name)?;
        println!("{name}");
        if files {
            show_files(&g);
        } else {
            for (from, to) in by_room(&g) {
                let to: Vec<&str> = to.into_iter().filter(|t| *t != from).collect();
                println!("  {from:<12} -> {}", to.join(" "));
            }
        }
        for c in all_circles(&g) {
            good = false;
            println!("  CIRCLE {c}");
        }
    }
    Ok(good)
}

fn show_files(g: &Graph) {
    for module in g.files.keys() {
        println!("  {module}");
        for ((from, to), names) in &g.arrows {
            if from == module {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                println!("      -> {to}: {}", names.join(", "));
            }
        }
    }
}

/// What `tidy` asks.
pub fn check() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for name in CRATES {
        let g = load(name)?;
        found.extend(against_rooms(name, &g));
        let circles = all_circles(&g).into_iter();
        found.extend(circles.map(|c| format!("{name}: circle {c}")));
    }
    found.extend(places()?);
    found.extend(promises::check()?);
    Ok(found)
}

fn load(name: &str) -> Result<Graph> {
    graph(&root().join(name).join("src"))
}

fn room(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

/// Room → the rooms it takes from.
fn by_room(g: &Graph) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut out: BTreeMap<&str, BTreeSet<&str>> =
        g.files.keys().map(|m| (room(m), BTreeSet::new())).collect();
    for (from, to) in g.arrows.keys() {
        out.entry(room(from)).or_default().insert(room(to));
    }
    out.remove("crate");
    out
}

/// Imports that the table does not allow, and rooms that it does not know.
fn against_rooms(name: &str, g: &Graph) -> Vec<String> {
    let Some((_, rooms)) = ROOMS.iter().find(|(n, _)| *n == name) else {
        return Vec::new();
    };
    let row = |r: &str| rooms.iter().find(|(n, _)| *n == r);
    let mut found = Vec::new();
    for r in by_room(g).keys().filter(|r| row(r).is_none()) {
        found.push(format!(
            "{name}: {r} is a room without a row in ROOMS (xtask/src/house/table.rs)"
        ));
    }
    for ((from, to), names) in &g.arrows {
        let (a, b) = (room(from), room(to));
        if a != b && a != "crate" && row(a).is_some_and(|(_, may)| !may.contains(&b)) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            found.push(format!(
                "{name}/src/{}: {a} may not use {b} ({to}: {})",
                g.files[from],
                names.join(", ")
            ));
        }
    }
    for (r, may) in *rooms {
        let used = by_room(g);
        for m in may
            .iter()
            .filter(|m| !used.get(r).is_some_and(|u| u.contains(**m)))
        {
            found.push(format!("{name}: {r} may use {m} and does not (ROOMS)"));
        }
    }
    found
}

/// Circles of files, then of folders that lie side by side.
fn all_circles(g: &Graph) -> Vec<String> {
    let arrows: BTreeSet<(&str, &str)> = g
        .arrows
        .keys()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let nodes: Vec<&str> = g.files.keys().map(String::as_str).collect();
    let mut found: Vec<String> = circles(&nodes, &arrows)
        .iter()
        .map(|c| c.join(" "))
        .collect();
    let folders: BTreeSet<&str> = g
        .files
        .keys()
        .flat_map(|m| m.match_indices("::").map(|(i, _)| &m[..i]))
        .chain([""])
        .collect();
    for folder in folders {
        let child = |m: &'_ str| -> Option<String> {
            let rest = match folder {
                "" => m,
                f => m.strip_prefix(f)?.strip_prefix("::")?,
            };
            Some(rest.split("::").next().unwrap_or(rest).to_owned())
        };
        let pairs: BTreeSet<(String, String)> = arrows
            .iter()
            .filter_map(|(a, b)| Some((child(a)?, child(b)?)))
            .filter(|(a, b)| a != b)
            .collect();
        let names: BTreeSet<&str> = pairs.iter().map(|(a, _)| a.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let pairs = pairs
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        for c in circles(&names, &pairs) {
            let text = format!("{folder}: {}", c.join(" "));
            if folder.is_empty() && found.contains(&c.join(" ")) {
                continue;
            }
            found.push(text);
        }
    }
    found
}

/// Statics outside their places, calls on a leg without the proof, legs that are numbers, and long functions without a reason.
fn places() -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut known = BTreeSet::new();
    for name in CRATES {
        for file in crate::tidy::sources(&root().join(name).join("src")) {
            let shown = file
                .strip_prefix(root())
                .unwrap_or(&file)
                .display()
                .to_string();
            if shown.ends_with("tests.rs") {
                continue;
            }
            let source = crate::tidy::read(&file)?;
            let t = tokens::tokens(&source);
            found.extend(proof::unproven(&shown, &t));
            let row = STATICS.iter().find(|(f, _)| *f == shown);
            found.extend(legs::numbered(&shown, &t));
            if INSIDE.contains(&name) {
                for s in items::statics(&t) {
                    match row {
                        Some((f, _)) => _ = known.insert(*f),
                        None => found.push(format!(
                            "{shown}:{}: static {} (a reason in STATICS)",
                            s.line, s.name
                        )),
                    }
                }
            }
            let lines: Vec<&str> = source.lines().collect();
            for f in items::functions(&t).into_iter().filter(|f| f.lines > LONG) {
                if !explained(&lines, f.line) {
                    found.push(format!(
                        "{shown}:{}: fn {} has {} lines (`// long: why` above it, or two functions)",
                        f.line, f.name, f.lines
                    ));
                }
            }
        }
    }
    found.extend(proof::stale(|file, name| {
        crate::tidy::read(&root().join(file)).is_ok_and(|s| proof::has(&tokens::tokens(&s), name))
    }));
    let stale = STATICS.iter().filter(|(f, _)| !known.contains(f));
    found.extend(stale.map(|(f, _)| format!("{f}: in STATICS and has none")));
    Ok(found)
}

/// Whether the comments and attributes above a line say why what begins there is long.
fn explained(lines: &[&str], line: usize) -> bool {
    lines[..line - 1]
        .iter()
        .rev()
        .map(|l| l.trim_start())
        .take_while(|l| l.starts_with("//") || l.starts_with('#'))
        .any(|l| l.starts_with("// long: "))
}

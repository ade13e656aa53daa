//! Which file of a crate takes what from which other one.
use super::tokens::{Token, stands, tokens};
use crate::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// (from, to) → the names that are taken. Modules are written `a::b`; the crate's root is `crate`.
pub type Arrows = BTreeMap<(String, String), BTreeSet<String>>;

/// The files of one crate, and the arrows between them.
#[derive(Default)]
pub struct Graph {
    /// Module → file, relative to the crate's src.
    pub files: BTreeMap<String, String>,
    pub arrows: Arrows,
}

pub fn graph(src: &Path) -> Result<Graph> {
    let mut g = Graph::default();
    let mut code = BTreeMap::new();
    for file in crate::tidy::sources(src) {
        let rel = file
            .strip_prefix(src)
            .map_err(|e| e.to_string())?
            .with_extension("");
        let rel = rel.to_string_lossy().into_owned();
        if rel.ends_with("tests") {
            continue;
        }
        let module = rel.strip_suffix("/mod").unwrap_or(&rel).replace('/', "::");
        let module = match module.as_str() {
            "lib" | "main" | "mod" => "crate".to_owned(),
            m => m.to_owned(),
        };
        code.insert(module.clone(), tokens(&crate::tidy::read(&file)?));
        g.files.insert(module, format!("{rel}.rs"));
    }
    let names: BTreeSet<String> = code.keys().cloned().collect();
    let shown: BTreeMap<&String, Vec<Vec<String>>> = code
        .iter()
        .map(|(m, t)| (m, handed_on(m, t, &names)))
        .collect();
    let defined: BTreeMap<&String, BTreeSet<&str>> =
        code.iter().map(|(m, t)| (m, defined(t))).collect();
    for (module, t) in &code {
        for (mut to, mut name) in taken(module, t, &names) {
            // What a module only hands on is taken from where it is made.
            for _ in 0..4 {
                let from = shown.get(&to).into_iter().flatten().find_map(|p| {
                    let (last, before) = p.split_last()?;
                    let (at, item) = owner(p, &names);
                    match last.as_str() {
                        "*" => {
                            let (at, _) = owner(before, &names);
                            let has = defined.get(&at).is_some_and(|d| d.contains(name.as_str()));
                            has.then(|| (at, name.clone()))
                        }
                        l => (l == name).then_some((at, item)),
                    }
                });
                match from {
                    Some((at, item)) if at != to => (to, name) = (at, item),
                    _ => break,
                }
            }
            if to != *module {
                let key = (module.clone(), to);
                g.arrows.entry(key).or_default().insert(name);
            }
        }
    }
    Ok(g)
}

/// What a module hands on by `pub use`.
fn handed_on(module: &str, t: &[Token], files: &BTreeSet<String>) -> Vec<Vec<String>> {
    let mut out = Vec::new();
    for i in 1..t.len() {
        if t[i].text == "use" && matches!(t[i - 1].text.as_str(), "pub" | ")") {
            out.extend(
                tree(t, &mut (i + 1), &[])
                    .iter()
                    .filter_map(|(path, _)| absolute(module, path, &BTreeMap::new(), files)),
            );
        }
    }
    out
}

/// Names of the items that a file makes.
fn defined(t: &[Token]) -> BTreeSet<&str> {
    t.windows(2)
        .filter(|w| {
            matches!(
                w[0].text.as_str(),
                "fn" | "struct" | "enum" | "const" | "static" | "type" | "trait"
            )
        })
        .map(|w| w[1].text.as_str())
        .collect()
}

/// The module that a path leads into, and the name of what is taken there.
fn owner(p: &[String], files: &BTreeSet<String>) -> (String, String) {
    let n = (0..=p.len())
        .rev()
        .find(|n| files.contains(&joined(&p[..*n])))
        .unwrap_or(0);
    let name = p.get(n).cloned().unwrap_or_else(|| "(itself)".into());
    (joined(&p[..n]), name)
}

/// What a file names of other files: (module, item).
fn taken(module: &str, t: &[Token], files: &BTreeSet<String>) -> Vec<(String, String)> {
    let mut paths: Vec<Vec<String>> = Vec::new();
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // Imports first: they give names to modules.
    for i in 0..t.len() {
        if t[i].text == "use" {
            for (path, name) in tree(t, &mut (i + 1), &[]) {
                if let Some(p) = absolute(module, &path, &BTreeMap::new(), files) {
                    known.insert(name, p.clone());
                    paths.push(p);
                }
            }
        }
    }
    let mut i = 0;
    while i < t.len() {
        if t[i].text == "use" {
            while i < t.len() && t[i].text != ";" {
                i += 1;
            }
        }
        let begins = i == 0 || (t[i - 1].text != "::" && t[i - 1].text != ".");
        if begins && is_word(&t[i].text) && stands(t, i + 1, &["::"]) {
            let mut path = vec![t[i].text.clone()];
            while stands(t, i + 1, &["::"]) && t.get(i + 2).is_some_and(|t| is_word(&t.text)) {
                path.push(t[i + 2].text.clone());
                i += 2;
            }
            paths.extend(absolute(module, &path, &known, files));
        }
        i += 1;
    }
    paths.iter().map(|p| owner(p, files)).collect()
}

fn is_word(s: &str) -> bool {
    s.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn joined(p: &[String]) -> String {
    if p.is_empty() {
        return "crate".into();
    }
    p.join("::")
}

/// A use tree: the paths, each with the name it gets.
fn tree(t: &[Token], i: &mut usize, before: &[String]) -> Vec<(Vec<String>, String)> {
    let mut path = before.to_vec();
    let mut out = Vec::new();
    while let Some(token) = t.get(*i) {
        match token.text.as_str() {
            "{" => {
                *i += 1;
                while t.get(*i).is_some_and(|t| t.text != "}") {
                    out.extend(tree(t, i, &path));
                    if stands(t, *i, &[","]) {
                        *i += 1;
                    }
                }
                *i += 1;
                return out;
            }
            "::" => {}
            "as" => {
                let name = t.get(*i + 1).map(|t| t.text.clone()).unwrap_or_default();
                *i += 2;
                return vec![(path, name)];
            }
            "self" if !path.is_empty() => {}
            w if is_word(w) || w == "*" || w == "$" => {
                if w != "$" {
                    path.push(w.to_owned());
                }
            }
            _ => break,
        }
        *i += 1;
    }
    let name = path.last().cloned().unwrap_or_default();
    vec![(path, name)]
}

/// A path from the crate's root, if it is one of this crate.
fn absolute(
    module: &str,
    path: &[String],
    known: &BTreeMap<String, Vec<String>>,
    files: &BTreeSet<String>,
) -> Option<Vec<String>> {
    let here: Vec<String> = match module {
        "crate" => Vec::new(),
        m => m.split("::").map(str::to_owned).collect(),
    };
    let first = path.first()?.as_str();
    let rest = &path[1..];
    match first {
        "crate" => Some(rest.to_vec()),
        "self" => Some([&here, rest].concat()),
        "super" => {
            let ups = path.iter().take_while(|p| *p == "super").count();
            let up = here.len().checked_sub(ups)?;
            Some([&here[..up], &path[ups..]].concat())
        }
        _ => {
            if let Some(p) = known.get(first) {
                return Some([p, rest].concat());
            }
            let child = [&here[..], path].concat();
            files
                .contains(&joined(&child[..=here.len()]))
                .then_some(child)
        }
    }
}

/// Groups of modules that can all reach each other: circles.
pub fn circles<'a>(nodes: &[&'a str], arrows: &BTreeSet<(&'a str, &'a str)>) -> Vec<Vec<&'a str>> {
    let reach = |from: &'a str| {
        let mut seen = BTreeSet::new();
        let mut todo = vec![from];
        while let Some(n) = todo.pop() {
            for (_, to) in arrows.iter().filter(|(f, _)| *f == n) {
                if seen.insert(*to) {
                    todo.push(to);
                }
            }
        }
        seen
    };
    let all: BTreeMap<&str, BTreeSet<&str>> = nodes.iter().map(|n| (*n, reach(n))).collect();
    let mut found: Vec<Vec<&str>> = Vec::new();
    for n in nodes {
        let own: Vec<&str> = all[n]
            .iter()
            .copied()
            .filter(|m| all.get(m).is_some_and(|r| r.contains(n)))
            .collect();
        if !own.is_empty() && !found.contains(&own) {
            found.push(own);
        }
    }
    found
}

//! `mirror diff`: lists differences with what each side has; changes nothing, takes no lock.
use super::verify::{difference, words};
use crate::cli::Diff;
use crate::fail::{Context, Res};
use crate::pair::control::Leg;
use crate::pair::tab;
use crate::sync::equal::{Seen, Work};
use crate::sync::session::{Difference, kind_word};
use crate::sync::walk::{Collect, walk};
use crate::text;
use crate::tree::beneath::open_leg;
use crate::tree::object::{Fidelity, Meta};
use crate::tree::probe;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

/// Runs it: 0 equal, 1 different.
pub fn run(a: &Diff) -> Res<u8> {
    crate::signal::stop_gently();
    let dirs = match &a.second {
        Some(b) => [a.first.clone(), b.clone()],
        None => tab::find(&tab::load()?, &a.first)?.legs.clone(),
    };
    let (x, y) = (
        Leg::bare(open_leg(&dirs[0])?, 0),
        Leg::bare(open_leg(&dirs[1])?, 1),
    );
    // What the legs of a pair cannot hold is no difference of theirs.
    let fidelity = match a.second {
        None => probe::fidelity([&x.root, &y.root]),
        Some(_) => Fidelity::full(),
    };
    let mut w = Work::new(&x, &y, fidelity, false, ProgressBar::hidden());
    let mut list = Vec::new();
    let mut found = 0u64;
    let mut show = |rel: &[u8], seen: &Seen| {
        if seen.what.is_empty() {
            return;
        }
        found += 1;
        let d = Difference {
            rel: rel.to_vec(),
            what: seen.what.clone(),
            kind: kind_word(seen),
        };
        if a.json {
            list.push(entry(&d, seen));
        } else {
            crate::say!("{}", line(&d, seen));
        }
    };
    let t = walk(&mut w, &mut Collect(&mut show)).about("comparing")?;
    let code = if !t.trouble.is_empty() {
        2
    } else {
        u8::from(found > 0)
    };
    if a.json {
        let mut o = Map::new();
        o.insert("schema".into(), "mirror.diff/1".into());
        for (key, dir) in ["a", "b"].into_iter().zip(&dirs) {
            text::json_path(key, dir.as_os_str().as_encoded_bytes(), &mut o);
        }
        o.insert("objects".into(), t.objects.into());
        o.insert("differences".into(), list.into());
        o.insert("trouble".into(), t.trouble.iter().map(trouble).collect());
        crate::say!("{}", Value::Object(o));
        return Ok(code);
    }
    for (rel, why) in &t.trouble {
        crate::say!("  {}  cannot be compared: {why}", text::show(rel));
    }
    crate::say!(
        "a {}    b {}    {}  {}",
        text::path(&dirs[0]),
        text::path(&dirs[1]),
        text::plural(t.objects, "object"),
        text::plural(found, "difference")
    );
    Ok(code)
}

/// What one side has.
fn side(letter: char, m: &Meta) -> String {
    let t = u64::try_from(m.st.st_mtime).unwrap_or(0);
    let size = if m.is_file() {
        format!(" {}", text::bytes(m.size()))
    } else if m.target.is_empty() {
        String::new()
    } else {
        format!(" -> {}", text::show(&m.target))
    };
    format!(
        "{letter}{size} {:04o} {}",
        m.mode(),
        text::iso(t).trim_end_matches('Z')
    )
}

fn line(d: &Difference, seen: &Seen) -> String {
    let slash = if d.kind == "directory" { "/" } else { "" };
    let mut out = format!(
        "  {}{slash}  {}",
        text::show(&d.rel),
        words(&d.what, 'a', 'b')
    );
    for (letter, m) in [('a', &seen.source), ('b', &seen.copy)] {
        if let Some(m) = m {
            out += &format!("   {}", side(letter, m));
        }
    }
    out
}

fn entry(d: &Difference, seen: &Seen) -> Value {
    let mut o = difference(d, 'a', 'b');
    for (letter, m) in [("a", &seen.source), ("b", &seen.copy)] {
        if let (Some(m), Some(o)) = (m, o.as_object_mut()) {
            let t = u64::try_from(m.st.st_mtime).unwrap_or(0);
            o.insert(
                letter.into(),
                json!({ "size": m.size(), "mode": m.mode(), "mtime": text::iso(t) }),
            );
        }
    }
    o
}

fn trouble((rel, why): &(Vec<u8>, String)) -> Value {
    let mut m = Map::new();
    text::json_path("path", rel, &mut m);
    m.insert("why".into(), why.clone().into());
    Value::Object(m)
}

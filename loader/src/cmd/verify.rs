//! `mirror verify`: compares both legs completely, while programs run.
use crate::cli::Report;
use crate::cmd::explain;
use crate::fail::{Fail, Kind, Res};
use crate::pair::domain::{self, Attached};
use crate::sync::session::{self, Difference, Ledger};
use crate::sync::walk::Tally;
use crate::text;
use serde_json::{Map, Value, json};
use std::time::Instant;

/// How a difference reads.
pub fn words(what: &[&'static str], source: char, copy: char) -> String {
    match what {
        ["missing"] => format!("only in {source}"),
        ["extra"] => format!("only in {copy}"),
        w => format!("different  ({})", w.join(", ")),
    }
}

/// One line of a list of differences.
pub fn line(d: &Difference, source: char, copy: char) -> String {
    let slash = if d.kind == "directory" { "/" } else { "" };
    format!(
        "  {}{slash}  {}",
        text::show(&d.rel),
        words(&d.what, source, copy)
    )
}

/// Compares an attached pair and records the result.
pub fn compare(p: &Attached) -> Res<(Tally, Vec<Difference>)> {
    let ledger = Ledger::begin(p)?;
    let bar = session::bar(session::total(p, p.source()), "compared");
    let r = session::compare(p, p.source(), bar);
    match &r {
        Ok((t, found)) if t.trouble.is_empty() => {
            if !found.is_empty() {
                ledger.restore(p)?;
            }
            p.pair.set_verified(t.objects, found.len() as u64);
        }
        _ => ledger.restore(p)?,
    }
    r
}

/// Runs it.
pub fn run(a: &Report) -> Res<u8> {
    crate::signal::stop_gently();
    let mut code = 0;
    let mut pairs = Vec::new();
    for pair in super::usable(a.pair.as_slice(), true)? {
        let l = &pair.line.clone();
        if let Some(i) = pair.incomplete() {
            return Err(Fail::new(
                Kind::Leg,
                format!(
                    "leg {} of {} has not been copied completely. mirror resync {}",
                    pair.legs[i].letter(),
                    text::path(&l.virt),
                    text::shell(&l.virt)
                ),
            ));
        }
        let p = domain::attach(pair)?;
        let begun = Instant::now();
        let (t, found) = compare(&p)?;
        let (s, c) = (
            p.pair.legs[p.source()].letter(),
            p.pair.legs[1 - p.source()].letter(),
        );
        code = code.max(if !t.trouble.is_empty() {
            2
        } else {
            u8::from(!found.is_empty())
        });
        if a.json {
            let mut o = Map::new();
            text::json_path("virtual", l.virt.as_os_str().as_encoded_bytes(), &mut o);
            o.insert("objects".into(), t.objects.into());
            o.insert("time".into(), text::iso(text::now()).into());
            o.insert(
                "differences".into(),
                found
                    .iter()
                    .map(|d| difference(d, s, c))
                    .collect::<Vec<_>>()
                    .into(),
            );
            o.insert(
                "trouble".into(),
                t.trouble
                    .iter()
                    .map(|(rel, why)| {
                        let mut m = Map::new();
                        text::json_path("path", rel, &mut m);
                        m.insert("why".into(), why.clone().into());
                        Value::Object(m)
                    })
                    .collect::<Vec<_>>()
                    .into(),
            );
            pairs.push(Value::Object(o));
            continue;
        }
        let secs = begun.elapsed().as_secs_f64();
        let head = format!(
            "{}    {}  in {secs:.1} s",
            text::path(&l.virt),
            text::plural(t.objects, "object")
        );
        if p.pair.legs[0].root.leaves_lost_found() {
            crate::say!("left out  lost+found, 1 directory: the file system's own");
        }
        if found.is_empty() && t.trouble.is_empty() {
            crate::say!("{head}  EQUAL  0 differences");
            continue;
        }
        crate::say!(
            "{head}  {}  {}",
            if found.is_empty() {
                "UNKNOWN"
            } else {
                "DIFFERENT"
            },
            text::plural(found.len() as u64, "difference")
        );
        for d in &found {
            crate::say!("{}", line(d, s, c));
        }
        for (rel, why) in &t.trouble {
            crate::say!("  {}  cannot be compared: {why}", text::show(rel));
        }
        if !found.is_empty() {
            crate::say!(
                "look      mirror diff {}    shows both sides\naction    mirror resync {}    makes {c} like {s}; what {c} loses is kept aside (--from {c}: the other way)\nsee       mirror explain {}",
                text::shell(&l.virt),
                text::shell(&l.virt),
                explain::DIFFERENT
            );
        }
    }
    if a.json {
        crate::say!("{}", json!({ "schema": "mirror.verify/1", "pairs": pairs }));
    }
    Ok(code)
}

/// One difference for JSON.
pub fn difference(d: &Difference, s: char, c: char) -> Value {
    let mut m = Map::new();
    text::json_path("path", &d.rel, &mut m);
    m.insert("type".into(), d.kind.into());
    let what = match d.what.as_slice() {
        ["missing"] => json!([format!("only-in-{s}")]),
        ["extra"] => json!([format!("only-in-{c}")]),
        w => json!(w),
    };
    m.insert("what".into(), what);
    Value::Object(m)
}

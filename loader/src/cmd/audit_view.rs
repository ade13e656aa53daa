//! How an audit is shown: lines, and JSON lines (docs/JSON.md).
use super::explain;
use super::json::{At, Virtual};
use crate::audit::finding::{Done, Finding};
use crate::audit::people::Person;
use crate::audit::watch::{Counts, Watch};
use crate::output;
use crate::pair::audited::{self, Audited};
use crate::pair::control::{Pair, letter};
use crate::text;
use crate::tree::differs::Presence;
use mirror_audit::Op;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The audit of a pair in `status`.
pub fn line(p: &Pair) -> String {
    let counts = |a: &Audited| {
        format!(
            "{} not mirrored, {} healed, events lost {}",
            text::plural(a.findings, "change"),
            text::count(a.healed),
            text::plural(a.lost, "time")
        )
    };
    match audited::of(&p.legs[0].root) {
        Some((a, true)) => format!(
            "on: {} since {}, pid {}: {}",
            a.tier.to_uppercase(),
            text::iso(a.since),
            a.pid,
            counts(&a)
        ),
        last => {
            let v = text::shell(&p.line.virt);
            let last = last.map_or(String::new(), |(a, _)| {
                format!("   the last one, of {}: {}", text::iso(a.since), counts(&a))
            });
            format!("off: writers outside the mirror go unseen   (mirror audit {v}){last}")
        }
    }
}

/// The same in JSON, if there ever was one.
pub fn of(p: &Pair) -> Option<super::json::Audit> {
    audited::of(&p.legs[0].root).map(|(a, on)| super::json::Audit {
        on,
        tier: a.tier,
        since: text::iso(a.since),
        findings: a.findings,
        healed: a.healed,
        lost: a.lost,
    })
}

/// Findings of one kind, by one process, above which a line stands for all.
const MANY: usize = 8;

/// What to type about findings that were not healed.
pub fn way_out(p: &Pair, held: bool) -> String {
    let v = text::shell(&p.line.virt);
    match held {
        true => format!(
            "({})    mirror diff {v} shows them    as leg a is: mirror resync {v}    as leg b is: mirror resync {v} --from b",
            explain::AUDIT_HELD
        ),
        false => format!(
            "({})    mirror verify {v}    mirror resync {v}",
            explain::AUDIT
        ),
    }
}

/// Where an audit's lines go, and in which form.
#[derive(Clone, Copy)]
pub struct View {
    /// JSON lines.
    pub json: bool,
    /// Standard output is the command's.
    pub aside: bool,
}

/// `mirror.audit/1`: what every line begins with.
#[derive(Serialize)]
struct Head {
    schema: &'static str,
    event: &'static str,
    time: String,
    #[serde(flatten)]
    virt: Virtual,
}

/// The audit begins.
#[derive(Serialize)]
struct Start<'a> {
    #[serde(flatten)]
    head: Head,
    tier: &'static str,
    scope: String,
    heal: bool,
    blind: Vec<String>,
    not_used: Vec<NotUsed<'a>>,
}

/// A source that is not used.
#[derive(Serialize)]
struct NotUsed<'a> {
    tier: &'static str,
    why: &'a str,
}

/// A change that was not mirrored.
#[derive(Serialize)]
struct Found<'a> {
    #[serde(flatten)]
    head: Head,
    leg: Option<char>,
    operation: &'static str,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    #[serde(flatten)]
    path: At,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    r#type: &'static str,
    what: Vec<String>,
    #[serde(flatten)]
    by: Option<By<'a>>,
    why: &'static str,
    done: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// Who made it.
#[derive(Serialize)]
struct By<'a> {
    pid: u32,
    uid: Option<u32>,
    program: &'a str,
    command: &'a str,
    cgroup: &'a str,
}

/// The audit ends, or has lost events.
#[derive(Serialize)]
struct Counted {
    #[serde(flatten)]
    head: Head,
    mirrored: u64,
    unmirrored: u64,
    healed: u64,
    held: u64,
    open: u64,
    lost: u64,
}

fn head(w: &Watch, event: &'static str, time: u64) -> Head {
    Head {
        schema: "mirror.audit/1",
        event,
        time: text::iso(time),
        virt: w.pair.pair.line.virt.as_path().into(),
    }
}

/// In what the legs differ, as `verify` says it.
fn what(p: Presence) -> Vec<String> {
    match p {
        Presence::OnlySource => vec!["only-in-a".into()],
        Presence::OnlyCopy => vec!["only-in-b".into()],
        Presence::Both(d) => d.words(),
        Presence::Neither => vec![],
    }
}

/// Hours, minutes and seconds of the day, UTC.
fn clock(nanos: u64) -> String {
    let iso = text::iso(nanos / 1_000_000_000);
    iso.get(11..19).unwrap_or(&iso).to_owned()
}

fn cell(s: &str, width: usize) -> String {
    format!("{s:width$}")
}

impl View {
    fn line(&self, s: &str) {
        match self.aside {
            true => output::note!("{}", s.trim_end()),
            false => output::say!("{}", s.trim_end()),
        }
    }

    fn print(&self, of: &impl Serialize) {
        match self.aside {
            true => {
                let text = serde_json::to_string(of).unwrap_or_default();
                output::note!("{text}");
            }
            false => output::print(of),
        }
    }

    /// The audit of a pair has begun: everything from here on is seen.
    pub fn start(&self, w: &Watch, state: &str, heal: bool) {
        let blind = w.source.blind();
        if self.json {
            let not_used = w.refused.iter().map(|(t, why)| NotUsed {
                tier: t.word(),
                why,
            });
            return self.print(&Start {
                head: head(w, "start", text::now()),
                tier: w.source.tier().word(),
                scope: w.source.scope(),
                heal,
                blind,
                not_used: not_used.collect(),
            });
        }
        let healing = if heal { "   healing" } else { "" };
        self.line(&format!(
            "mirror audit  {}  {state}   {}{healing}",
            text::path(&w.pair.pair.line.virt),
            w.source.tier().title()
        ));
        self.line(&format!(
            "{} does not see: {}   (mirror audit --explain)",
            w.source.tier().word().to_uppercase(),
            blind.join("; ")
        ));
        self.line(&format!("watching  {}", w.source.scope()));
        self.line(&row(
            "TIME",
            "LEG",
            "OPERATION",
            "PATH",
            "BY",
            "WHY",
            "DONE",
        ));
    }

    /// What was found at one time.
    pub fn findings(&self, w: &Watch, found: &[Finding]) {
        if self.json {
            for f in found {
                self.print(&json(w, f));
            }
            return;
        }
        let mut alike: BTreeMap<(Option<usize>, Op, u32, &str), Vec<&Finding>> = BTreeMap::new();
        for f in found {
            let pid = f.by.as_ref().map_or(0, |b| b.pid);
            let key = (f.leg, f.op, pid, f.done.key());
            alike.entry(key).or_default().push(f);
        }
        // A rename has two names, and is one line.
        let other = |f: &Finding| {
            let names = |o: &Finding| o.op == Op::Rename && o.to.as_ref() == Some(&f.rel);
            f.op == Op::Rename && f.to.is_none() && found.iter().any(names)
        };
        let mut alike: Vec<Vec<&Finding>> = alike.into_values().collect();
        alike.sort_by_key(|list| list.first().map(|f| f.time));
        for list in &alike {
            match list.as_slice() {
                [first, ..] if list.len() > MANY => {
                    self.line(&shown(first, list.len(), &common(list)));
                }
                list => {
                    for f in list.iter().filter(|f| !other(f)) {
                        let to = f.to.as_ref().map(|t| format!(" -> {}", text::show(t)));
                        let path = text::show(&f.rel) + &to.unwrap_or_default();
                        self.line(&shown(f, 1, &path));
                    }
                }
            }
        }
    }

    /// Events were lost.
    pub fn lost(&self, w: &Watch) {
        if self.json {
            return self.print(&counted(w, "lost"));
        }
        let v = text::shell(&w.pair.pair.line.virt);
        self.line(&format!(
            "LOST: the kernel's queue was full: changes may be missing here. mirror verify {v}   ({})",
            explain::AUDIT_LOST
        ));
    }

    /// It is over.
    pub fn end(&self, w: &Watch) {
        if self.json {
            return self.print(&counted(w, "end"));
        }
        let Counts {
            mirrored,
            unmirrored,
            healed,
            held,
            open,
            lost,
            left: _,
        } = w.counts;
        let mut parts = vec![
            format!("mirrored {}", text::count(mirrored)),
            format!("unmirrored {}", text::count(unmirrored)),
        ];
        for (n, word) in [(healed, "healed"), (held, "held"), (open, "not judged")] {
            if n > 0 {
                parts.push(format!("{word} {}", text::count(n)));
            }
        }
        parts.push(format!("lost {}", text::count(lost)));
        self.line(&format!(
            "ended  {}  {}",
            text::path(&w.pair.pair.line.virt),
            parts.join("   ")
        ));
    }
}

// A table's row.
fn row(time: &str, leg: &str, op: &str, path: &str, by: &str, why: &str, done: &str) -> String {
    [
        cell(time, 8),
        cell(leg, 3),
        cell(op, 17),
        cell(path, 22),
        cell(by, 23),
        cell(why, 13),
        done.to_owned(),
    ]
    .join("  ")
}

fn shown(f: &Finding, times: usize, path: &str) -> String {
    let mut op = f.op.word().to_owned();
    if let Some(r) = f.range {
        op += &format!(" {}+{}", r.at, r.len);
    }
    if times > 1 {
        op += &format!(" x {times}");
    }
    let by = f.by.as_ref().map_or("?".into(), |b| b.shown());
    let done = match &f.done {
        Done::Found => "-".to_owned(),
        Done::Equal => "equal by now".into(),
        Done::Healed => "healed".into(),
        Done::Undone => "undone, b's version kept".into(),
        Done::Held => "HELD (brake)".into(),
        Done::Conflict => "CONFLICT: both legs were changed".into(),
        Done::Failed(why) => format!("NOT HEALED: {why}"),
    };
    let leg = f.leg.map_or('?', letter).to_string();
    row(&clock(f.time), &leg, &op, path, &by, f.why.word(), &done)
}

/// What paths begin with in common.
fn common(list: &[&Finding]) -> String {
    let mut dir = Path::new(std::ffi::OsStr::new(""));
    let paths: Vec<&Path> = list
        .iter()
        .map(|f| {
            let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(&f.rel);
            Path::new(name)
        })
        .collect();
    if let Some(first) = paths.first() {
        dir = first.parent().unwrap_or(dir);
        while !paths.iter().all(|p| p.starts_with(dir)) {
            dir = dir.parent().unwrap_or(Path::new(""));
        }
    }
    match dir.as_os_str().is_empty() {
        true => "…".into(),
        false => format!("{}/…", text::path(dir)),
    }
}

fn json<'a>(w: &Watch, f: &'a Finding) -> Found<'a> {
    let by = |b: &'a Person| By {
        pid: b.pid,
        uid: b.uid,
        program: &b.name,
        command: &b.command,
        cgroup: &b.cgroup,
    };
    Found {
        head: head(w, "finding", f.time / 1_000_000_000),
        leg: f.leg.map(letter),
        operation: f.op.word(),
        count: f.count,
        offset: f.range.map(|r| r.at),
        length: f.range.map(|r| r.len),
        path: At::of(&f.rel),
        to: f
            .to
            .as_ref()
            .map(|t| String::from_utf8_lossy(t).into_owned()),
        r#type: f.kind,
        what: what(f.what),
        by: f.by.as_deref().map(by),
        why: f.why.key(),
        done: f.done.key(),
        reason: match &f.done {
            Done::Failed(why) => Some(why),
            _ => None,
        },
    }
}

fn counted(w: &Watch, event: &'static str) -> Counted {
    let c = w.counts;
    Counted {
        head: head(w, event, text::now()),
        mirrored: c.mirrored,
        unmirrored: c.unmirrored,
        healed: c.healed,
        held: c.held,
        open: c.open,
        lost: c.lost,
    }
}

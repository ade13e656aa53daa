//! How an audit is shown: lines, and JSON lines (docs/JSON.md).
use super::summary::{self, Summary};
use super::told::{Told, told};
use crate::audit::finding::{Done, Finding};
use crate::audit::people::Person;
use crate::audit::watch::{Counts, Watch};
use crate::cmd::explain;
use crate::cmd::json::{At, Virtual};
use crate::output;
use crate::pair::audited::{self, Audited};
use crate::pair::legs::Pair;
use crate::text;
use crate::tree::differs::Presence;
use mirror_core::Leg;
use serde::Serialize;

/// The audit of a pair in `status`.
pub fn line(p: &Pair) -> String {
    let counts = |a: &Audited| {
        let lost = match a.lost {
            0 => String::new(),
            n => format!(", events lost {}", text::plural(n, "time")),
        };
        format!(
            "{} not mirrored, {} healed{lost}",
            text::plural(a.findings, "change"),
            text::count(a.healed)
        )
    };
    match audited::of(&p.legs.a.root) {
        Some((a, true)) => format!(
            "on: {} since {}, pid {}: {}",
            a.tier.word().to_uppercase(),
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
pub fn of(p: &Pair) -> Option<crate::cmd::json::Audit> {
    audited::of(&p.legs.a.root).map(|(a, on)| crate::cmd::json::Audit {
        on,
        tier: a.tier.word().into(),
        since: text::iso(a.since),
        findings: a.findings,
        healed: a.healed,
        lost: a.lost,
    })
}

/// What to type about findings that were not healed.
pub fn way_out(p: &Pair, held: bool) -> String {
    let v = text::shell(&p.line.virt);
    match held {
        true => format!(
            "({})    mirror audit {v} --held list    put back what went away: --held restore    remove it on the other leg too: --held carry    all else: mirror diff {v}, mirror resync {v}",
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
    /// No lines.
    pub still: bool,
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

/// A pair is not watched any more.
#[derive(Serialize)]
struct Left<'a> {
    #[serde(flatten)]
    head: Head,
    reason: &'a str,
}

/// The table of `--summary`.
#[derive(Serialize)]
struct Summed {
    #[serde(flatten)]
    head: Head,
    rows: Vec<summary::Row>,
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

fn cell(s: &str, width: usize) -> String {
    format!("{s:width$}")
}

impl View {
    fn line(&self, s: &str) {
        match self.aside {
            _ if self.still => {}
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
    pub fn start(&self, w: &Watch, state: &str, heal: bool, table: bool) {
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
        if !table {
            return;
        }
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
        for t in told(found) {
            self.line(&shown(&t));
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

    /// A pair is not watched any more; the audit goes on.
    pub fn left(&self, w: &Watch, why: &str) {
        match self.json {
            true => self.print(&Left {
                head: head(w, "left", text::now()),
                reason: why,
            }),
            false => self.line(&format!("left  {why}")),
        }
    }

    /// The table of `--summary`.
    pub fn summary(&self, w: &Watch, s: &Summary) {
        match self.json {
            true => self.print(&Summed {
                head: head(w, "summary", text::now()),
                rows: s.rows(),
            }),
            false => s.lines().iter().for_each(|l| self.line(l)),
        }
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
        for (n, word) in [
            (healed, "healed"),
            (held, "not healed"),
            (open, "not judged"),
        ] {
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

fn shown(t: &Told<'_>) -> String {
    row(
        &t.clock(),
        &t.leg().to_string(),
        &t.operation(),
        &t.path,
        &t.by(),
        t.first.why.word(),
        &t.done(),
    )
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
        leg: f.leg.map(Leg::letter),
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

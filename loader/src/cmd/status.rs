//! `mirror status`: state word first, then why, then what to type. Changes nothing.
use super::sub::{CommandLine, Sub};
use super::{differences, json, refusals, unmirrored};
use crate::fail::{Kind, Res};
use crate::launch::library;
use crate::output;
use crate::pair::legs::Pair;
use crate::pair::state::State;
use crate::pair::tab::{self, Line};
use crate::pair::who::{Attendance, Census};
use crate::sync::mapped;
use crate::text;
use crate::tree::probe;
use clap::Args;
use mirror_core::Leg;
use mirror_core::refusal::Record;
use mirror_core::unmirrored::Record as Unmirrored;
use std::path::PathBuf;

/// Say whether pairs are in sync, and what to type if not
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 in sync, 1 not in sync (both legs are there), 2 programs cannot use the pair, 3 unknown (no such pair, no permission)."
)]
pub struct Status {
    /// The pair (default: all)
    pub pair: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

impl Sub for Status {
    const NAME: &'static str = "status";
    fn exit(kind: Kind) -> u8 {
        match kind {
            Kind::Leg | Kind::Distrust => 2,
            _ => 3,
        }
    }
    fn run(&self, _: CommandLine) -> Res<u8> {
        run(self)
    }
}

/// What is known about one pair, as it is shown.
pub struct View {
    line: Line,
    pair: Option<Pair>,
    /// IN SYNC, REPAIR PENDING…
    pub state: &'static str,
    /// The key of the state in JSON.
    key: String,
    /// Why it is so.
    pub why: Vec<String>,
    actions: Vec<(String, String)>,
    code: Option<&'static str>,
    pending: u64,
    who: Option<Attendance>,
    /// The pair of another user, of which nothing can be known.
    pub foreign: bool,
    /// The exit code of this state.
    pub exit: u8,
}

/// Looks at one pair.
pub fn look(l: &Line) -> View {
    let k = super::look::look(l);
    View {
        state: k.state.word(),
        key: k.state.key(),
        exit: k.state.exit(),
        foreign: k.state == State::Unknown,
        line: k.line,
        pair: k.pair,
        why: k.why,
        actions: k.actions,
        code: k.code,
        pending: k.pending,
        who: None,
    }
}

fn verified(p: &Pair, v: &str) -> String {
    let Some(r) = p.verified() else {
        return format!("never verified   (mirror verify {v})");
    };
    let mut s = format!("verified {}", text::ago(r.time));
    if r.differences > 0 {
        s += &format!(": {}", text::plural(r.differences, "difference"));
    }
    if r.uncompared > 0 {
        s += &format!(", {} not compared", text::count(r.uncompared));
    }
    s
}

/// One pair in a list.
pub fn brief(view: &View, width: usize, state_width: usize) {
    let v = text::path(&view.line.virt);
    let tail = match &view.pair {
        Some(p) => format!(
            "a+b   {} pending   {}   {}",
            text::count(view.pending),
            verified(p, &text::shell(&view.line.virt)),
            view.line.shown_options()
        ),
        None => view.why.join("; "),
    };
    output::say!("{v:width$}    {:state_width$}    {tail}", view.state);
    // What is in the why stands there.
    if let Some(s) = unmirrored::sentence(&away(view)) {
        output::say!("  coverage {s}");
    }
    if let Some(line) = refusals::lines(&refused(view)).first() {
        output::say!("  refused {line}");
    }
    if view.exit != 0 {
        if view.pair.is_some() {
            output::say!("  why     {}", view.why.join("; "));
        }
        for (what, _) in view.actions.iter().take(1) {
            output::say!("  action  {what}");
        }
    }
}

/// The state of one leg.
fn leg_word(p: &Pair, leg: Leg) -> &'static str {
    let (which, leg) = (leg, &p.legs[leg]);
    if !leg.record.complete {
        "sink, incomplete"
    } else if which == Leg::B && crate::pair::away::is_away(p) {
        "stale"
    } else if super::signs::read_only(&leg.root) {
        "read-only"
    } else if probe::full(&leg.root).is_some() {
        "full"
    } else {
        "current"
    }
}

fn leg_line(p: &Pair, which: Leg, width: usize, smaller: bool) -> String {
    let leg = &p.legs[which];
    let s = probe::space(&leg.root);
    let path = text::path(&leg.root.path);
    let current = leg_word(p, which);
    // What programs see in V.
    let primary = if which == Leg::A { "primary" } else { "" };
    let df = if smaller { "  (df shows this one)" } else { "" };
    let line = format!(
        "{}  {path:width$}  {}  {current}  {primary:7}  {:>8} used  {:>8} free{df}",
        leg.letter(),
        probe::kind(&leg.root.path),
        text::bytes(s.used),
        text::bytes(s.free)
    );
    line.trim_end().to_string()
}

/// One pair in detail.
pub fn full(view: &View) {
    let l = &view.line;
    let (v, place) = (
        text::path(&l.virt),
        if l.in_place() { "in place" } else { "link" },
    );
    let id = view
        .pair
        .as_ref()
        .map_or(String::new(), |p| format!("  id {}", p.short_id()));
    output::say!(
        "pair      {v}  ({place}){id}  {}",
        l.shown_options().replace(',', "  ")
    );
    output::say!("state     {}", view.state);
    for (i, w) in view.why.iter().enumerate() {
        output::say!("{}{w}", if i == 0 { "why       " } else { "          " });
    }
    if let Some(p) = &view.pair {
        of_open(view, p);
    }
    for (i, line) in refusals::lines(&refused(view)).iter().enumerate() {
        output::say!("{}{line}", if i == 0 { "refused   " } else { "          " });
    }
    for (i, line) in differences::lines(&found(view)).iter().enumerate() {
        output::say!("{}{line}", if i == 0 { "met       " } else { "          " });
    }
    for (i, (what, effect)) in view.actions.iter().enumerate() {
        output::say!(
            "{}{what}    {effect}",
            if i == 0 { "action    " } else { "      and " }
        );
    }
    if let Some(c) = view.code {
        output::say!("see       mirror explain {c}");
    }
}

/// What can be said of a pair that could be opened.
fn of_open(view: &View, p: &Pair) {
    let l = &view.line;
    let width = l
        .legs
        .iter()
        .map(|p| text::path(p).chars().count())
        .max()
        .unwrap_or(0);
    let free = p.trees().map(|root| probe::space(root).free);
    let same_fs = p.legs.a.root.dev == p.legs.b.root.dev;
    output::say!("legs      {}", leg_line(p, Leg::A, width, false));
    output::say!(
        "          {}",
        leg_line(p, Leg::B, width, !same_fs && free.b < free.a)
    );
    if let Some(who) = &view.who {
        output::say!(
            "coverage  {}    (mirror ps {})",
            super::ps::summary(who),
            text::shell(&l.virt)
        );
    }
    if let Some(s) = unmirrored::sentence(&ran(view)) {
        output::say!("          {s}");
    }
    output::say!("audit     {}", super::audit::view::line(p));
    if view.pending > 0 {
        output::say!("pending   {}", text::plural(view.pending, "path"));
    }
    if let Some(s) = mapped::sentence(mapped::live(p)) {
        output::say!("mapped    {s}");
    }
    match p.verified() {
        Some(r) => output::say!(
            "verified  {}  {}  {}  {}{}",
            text::iso(r.time),
            text::ago(r.time),
            text::plural(r.objects, "object"),
            text::plural(r.differences, "difference"),
            match r.uncompared {
                0 => String::new(),
                n => format!("  {} not compared", text::count(n)),
            }
        ),
        None => output::say!("verified  never   (mirror verify {})", text::shell(&l.virt)),
    }
}

/// Programs that ran unmirrored since the last comparison.
fn ran(view: &View) -> Vec<Unmirrored> {
    let verified = view.pair.as_ref().and_then(Pair::verified);
    unmirrored::of(&view.line, verified.map_or(0, |v| v.time))
}

/// Those of them that had nothing to do with the pair, or were not started.
fn away(view: &View) -> Vec<Unmirrored> {
    let mut all = ran(view);
    all.retain(|r| r.touched == 0 || r.refused);
    all
}

/// When the pair was last compared without a difference.
fn since(view: &View) -> u64 {
    let equal = view.pair.as_ref().and_then(Pair::verified);
    equal.filter(|v| v.differences == 0).map_or(0, |v| v.time)
}

/// What was refused since the last verify without differences.
fn refused(view: &View) -> Vec<Record> {
    refusals::of(&view.line, since(view))
}

/// What programs met that differed since then.
fn found(view: &View) -> Vec<Record> {
    differences::of(&view.line, since(view))
}

fn pair(view: &View) -> json::Pair<'_> {
    let l = &view.line;
    let verified = view.pair.as_ref().and_then(Pair::verified);
    let counted = unmirrored::counted(l, verified.map_or(0, |v| v.time));
    json::Pair {
        virt: l.virt.as_path().into(),
        state: &view.key,
        exit: view.exit,
        in_place: l.in_place(),
        options: l.options(),
        why: &view.why,
        action: view.actions.iter().map(|a| a.0.as_str()).collect(),
        code: view.code,
        refused: refusals::json(&refused(view)),
        unmirrored: unmirrored::json(&counted),
        met: differences::json(&found(view)),
        open: view.pair.as_ref().map(|p| open(view, p)),
    }
}

fn open(view: &View, p: &Pair) -> json::OpenPair {
    json::OpenPair {
        id: String::from_utf8_lossy(&p.pair_id().hex()).into_owned(),
        pending: view.pending,
        mapped: mapped::live(p),
        legs: Leg::BOTH.map(|which| leg(p, which)).into(),
        who: view.who.as_ref().map(|who| json::Attended {
            attached: who.programs().count(),
            changing: who.changing(),
            stale_libraries: who.stale(),
        }),
        audit: super::audit::view::of(p),
        verified: p.verified().map(|r| json::Verified {
            time: text::iso(r.time),
            objects: r.objects,
            differences: r.differences,
            uncompared: r.uncompared,
        }),
    }
}

fn leg(p: &Pair, which: Leg) -> json::Leg {
    let root = &p.legs[which].root;
    let space = probe::space(root);
    json::Leg {
        leg: which.letter(),
        path: root.path.as_path().into(),
        filesystem: probe::kind(&root.path),
        state: match leg_word(p, which) {
            "sink, incomplete" => "incomplete",
            w => w,
        },
        used: space.used,
        free: space.free,
    }
}

/// Runs it.
pub fn run(a: &Status) -> Res<u8> {
    let mut views: Vec<View> = tab::choose(a.pair.as_slice())?.iter().map(look).collect();
    if a.json || a.pair.is_some() {
        let census = Census::take(library::current());
        for v in &mut views {
            v.who = v.pair.as_ref().map(|p| census.of(p));
        }
    }
    // Other users' pairs say nothing about one's own, unless they were asked for.
    let asked = a.pair.is_some() || views.iter().all(|v| v.foreign);
    let code = views
        .iter()
        .filter(|v| asked || !v.foreign)
        .map(|v| v.exit)
        .fold(0, |a, b| if a == 2 || b == 2 { 2 } else { a.max(b) });
    if a.json {
        output::print(&json::Status {
            schema: "mirror.status/1",
            time: text::iso(text::now()),
            pairs: views.iter().map(pair).collect(),
            unreadable: tab::unreadable().iter().map(|f| text::path(f)).collect(),
        });
        return Ok(code);
    }
    if a.pair.is_some() {
        views.iter().for_each(full);
        return Ok(code);
    }
    let width = views
        .iter()
        .map(|v| text::path(&v.line.virt).chars().count())
        .max()
        .unwrap_or(0);
    let states = views.iter().map(|v| v.state.len()).max().unwrap_or(0);
    views.iter().for_each(|v| brief(v, width, states));
    for f in tab::unreadable() {
        output::say!(
            "{}: not readable for this user: the pairs in it belong to others and are not shown",
            text::path(&f)
        );
    }
    Ok(code)
}

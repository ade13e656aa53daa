//! `mirror status`: state word first, then why, then what to type. Changes nothing.
use super::explain;
use crate::cli::Report;
use crate::fail::{Kind, Res};
use crate::pair::control::Pair;
use crate::pair::domain::{self, Runtime};
use crate::pair::lock::Locks;
use crate::pair::tab::{self, Line};
use crate::pair::who::{Attendance, Census};
use crate::sync::turn;
use crate::text;
use crate::tree::beneath::Root;
use crate::tree::probe;
use mirror_core::record::PENDING_LOG;
use serde_json::{Map, Value, json};

/// What is known about one pair.
pub struct View {
    line: Line,
    pair: Option<Pair>,
    /// IN SYNC, REPAIR PENDING…
    pub state: &'static str,
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
    let v = text::shell(&l.virt);
    let mut view = View {
        line: l.clone(),
        pair: None,
        state: "IN SYNC",
        why: vec![],
        actions: vec![],
        code: None,
        pending: 0,
        who: None,
        foreign: false,
        exit: 0,
    };
    let pair = match Pair::open(l) {
        Ok(p) => p,
        Err(e) if e.kind == Kind::Permission => {
            view.state = "UNKNOWN";
            view.exit = 3;
            view.foreign = true;
            view.code = Some(explain::NOT_YOURS);
            view.why.push(e.text);
            view.actions.push((
                format!("sudo mirror status {v}"),
                "as the pair's owner, or root".into(),
            ));
            return view;
        }
        Err(e) if e.kind == Kind::Distrust => {
            view.state = "NOT TRUSTED";
            view.exit = 2;
            view.why.push(e.text);
            view.code = Some(explain::LEG);
            view.actions.push((
                format!("ls -ld {}/.mirror", text::shell(&l.legs[0])),
                "whose it is; programs get EIO meanwhile".into(),
            ));
            return view;
        }
        Err(e) => {
            view.state = "NO USABLE PAIR";
            view.exit = 2;
            view.why.push(e.text);
            view.code = Some(explain::LEG);
            view.actions.push((
                "mount the leg's disk, then mirror status".into(),
                "nothing is written meanwhile".into(),
            ));
            return view;
        }
    };
    let log = |i: usize| {
        pair.legs[i]
            .root
            .read(PENDING_LOG)
            .is_ok_and(|b| !b.is_empty())
    };
    let known = log(0) || log(1);
    let paths = pair.pending();
    view.pending = paths.len() as u64;
    let runtime = domain::boot_id()
        .ok()
        .and_then(|b| domain::existing(&pair, b));
    let repair = turn::running(&pair);
    if let Some(i) = pair.incomplete() {
        incomplete(&mut view, &pair, i, repair.as_ref());
    } else {
        judge(&mut view, runtime.as_ref(), &pair, known, &paths, &v);
        if let Some(r) = repair {
            resyncing(&mut view, &r);
        }
    }
    view.pair = Some(pair);
    view
}

/// The first copy has not finished.
fn incomplete(view: &mut View, pair: &Pair, sink: usize, now: Option<&turn::Running>) {
    let v = text::shell(&view.line.virt);
    let (from, to) = (pair.legs[1 - sink].letter(), pair.legs[sink].letter());
    view.state = "INCOMPLETE";
    view.exit = 1;
    view.code = Some(explain::INCOMPLETE);
    if let Some(r) = now {
        view.why.push(format!(
            "the first copy from {from} to {to} runs (pid {})",
            r.pid
        ));
        view.actions
            .push((format!("mirror wait {v}"), "returns when it is done".into()));
        return;
    }
    view.why.push(format!(
        "the first copy from leg {from} to leg {to} has not finished; programs cannot use the pair yet"
    ));
    view.actions.push((
        format!("mirror resync {v}"),
        "goes on where it stopped".into(),
    ));
    view.actions.push((
        format!("mirror detach {v}"),
        "gives up; both trees stay as they are".into(),
    ));
}

/// A repair is under way.
fn resyncing(view: &mut View, r: &turn::Running) {
    let v = text::shell(&view.line.virt);
    view.state = "RESYNCING";
    view.exit = 1;
    view.code = None;
    view.why.insert(
        0,
        format!(
            "{} -> {} (pid {}): safe again when done; programs keep running",
            r.way.0, r.way.1, r.pid
        ),
    );
    view.actions = vec![(format!("mirror wait {v}"), "returns when in sync".into())];
}

fn judge(
    view: &mut View,
    runtime: Option<&Runtime>,
    pair: &Pair,
    known: bool,
    paths: &[Vec<u8>],
    v: &str,
) {
    let word = runtime.map(Runtime::word);
    if known || word.is_some_and(|w| w.pending()) {
        view.state = "REPAIR PENDING";
        view.exit = 1;
        view.code = Some(explain::PENDING);
        let some: Vec<String> = paths.iter().take(3).map(|p| text::show(p)).collect();
        let more = if paths.len() > 3 { " …" } else { "" };
        view.why.push(format!(
            "{} known to differ: {}{more}",
            text::plural(paths.len() as u64, "path"),
            some.join("  ")
        ));
        view.actions.push((
            format!("mirror resync {v}"),
            "makes b like a (--from b: a like b); programs keep running".into(),
        ));
    }
    if runtime.is_some_and(|rt| orphan(rt, pair)) {
        view.state = "REPAIR PENDING";
        view.exit = 1;
        view.code.get_or_insert(explain::ORPHAN);
        view.why.push(
            "a program was killed in the middle of a change; the next change repairs it".into(),
        );
        if view.actions.is_empty() {
            view.actions
                .push((format!("mirror resync {v}"), "repairs it now".into()));
        }
    }
    if word.is_some_and(|w| w.unmirrored()) {
        if view.exit == 0 {
            view.state = "UNVERIFIED";
        }
        view.exit = 1;
        view.code.get_or_insert(explain::UNMIRRORED);
        view.why
            .push("a program ran unmirrored with files of the pair open".into());
        view.actions.push((
            format!("mirror verify {v}"),
            "shows whether anything differs".into(),
        ));
    }
    if let Some(at) = link_fault(&view.line, pair) {
        if view.exit == 0 {
            view.state = "DEGRADED";
        }
        view.exit = 1;
        view.why.push(at);
        view.code.get_or_insert(explain::LINK);
        view.actions.push((
            format!("ln -sfn {} {v}", text::shell(&view.line.legs[0])),
            "makes the link again".into(),
        ));
    }
}

/// Whether an announced change is that of a dead process: its locks are free.
fn orphan(rt: &Runtime, pair: &Pair) -> bool {
    Locks::open([&pair.legs[0].root, &pair.legs[1].root])
        .is_ok_and(|mut locks| locks.any_dead(rt.view()))
}

/// V of a link pair that does not lead to a leg.
fn link_fault(l: &Line, pair: &Pair) -> Option<String> {
    if l.in_place() {
        return None;
    }
    let st = rustix::fs::stat(&l.virt).ok();
    let leads = |r: &Root| {
        st.as_ref()
            .is_some_and(|s| s.st_dev == r.dev && s.st_ino == r.ino)
    };
    let ok = pair.legs.iter().any(|leg| leads(&leg.root));
    (!ok).then(|| format!("{} does not lead to leg a", text::path(&l.virt)))
}

fn verified(p: &Pair, v: &str) -> String {
    match p.verified() {
        Some((t, _, 0)) => format!("verified {}", text::ago(t)),
        Some((t, _, n)) => format!(
            "verified {}: {}",
            text::ago(t),
            text::plural(n, "difference")
        ),
        None => format!("never verified   (mirror verify {v})"),
    }
}

/// One pair in a list.
pub fn brief(view: &View, width: usize, state_width: usize) {
    let v = text::path(&view.line.virt);
    let tail = match &view.pair {
        Some(p) => format!(
            "a+b   {} pending   {}   {}",
            text::count(view.pending),
            verified(p, &text::shell(&view.line.virt)),
            view.line.options()
        ),
        None => view.why.join("; "),
    };
    crate::say!("{v:width$}    {:state_width$}    {tail}", view.state);
    if view.exit != 0 {
        if view.pair.is_some() {
            crate::say!("  why     {}", view.why.join("; "));
        }
        for (what, _) in view.actions.iter().take(1) {
            crate::say!("  action  {what}");
        }
    }
}

fn leg_line(p: &Pair, i: usize, width: usize, smaller: bool) -> String {
    let leg = &p.legs[i];
    let s = probe::space(&leg.root);
    let path = text::path(&leg.root.path);
    let current = if leg.record.complete {
        "current"
    } else {
        "sink, incomplete"
    };
    // What programs see in V.
    let primary = if i == 0 { "primary" } else { "" };
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
    crate::say!(
        "pair      {v}  ({place}){id}  {}",
        l.options().replace(',', "  ")
    );
    crate::say!("state     {}", view.state);
    for (i, w) in view.why.iter().enumerate() {
        crate::say!("{}{w}", if i == 0 { "why       " } else { "          " });
    }
    if let Some(p) = &view.pair {
        let width = l
            .legs
            .iter()
            .map(|p| text::path(p).chars().count())
            .max()
            .unwrap_or(0);
        let free = |i: usize| probe::space(&p.legs[i].root).free;
        let same_fs = p.legs[0].root.dev == p.legs[1].root.dev;
        crate::say!("legs      {}", leg_line(p, 0, width, false));
        crate::say!(
            "          {}",
            leg_line(p, 1, width, !same_fs && free(1) < free(0))
        );
        if let Some(who) = &view.who {
            crate::say!(
                "coverage  {}    (mirror ps {})",
                super::ps::summary(who),
                text::shell(&l.virt)
            );
        }
        if view.pending > 0 {
            crate::say!("pending   {}", text::plural(view.pending, "path"));
        }
        match p.verified() {
            Some((t, objects, n)) => crate::say!(
                "verified  {}  {}  {}  {}",
                text::iso(t),
                text::ago(t),
                text::plural(objects, "object"),
                text::plural(n, "difference")
            ),
            None => crate::say!("verified  never   (mirror verify {})", text::shell(&l.virt)),
        }
    }
    for (i, (what, effect)) in view.actions.iter().enumerate() {
        crate::say!(
            "{}{what}    {effect}",
            if i == 0 { "action    " } else { "      and " }
        );
    }
    if let Some(c) = view.code {
        crate::say!("see       mirror explain {c}");
    }
}

fn json(view: &View) -> Value {
    let l = &view.line;
    let mut m = Map::new();
    text::json_path("virtual", l.virt.as_os_str().as_encoded_bytes(), &mut m);
    m.insert(
        "state".into(),
        view.state.to_lowercase().replace(' ', "-").into(),
    );
    m.insert("exit".into(), view.exit.into());
    m.insert("in_place".into(), l.in_place().into());
    m.insert("options".into(), l.options().into());
    m.insert("why".into(), view.why.clone().into());
    m.insert(
        "action".into(),
        view.actions
            .iter()
            .map(|a| a.0.clone())
            .collect::<Vec<_>>()
            .into(),
    );
    if let Some(c) = view.code {
        m.insert("code".into(), c.into());
    }
    if let Some(p) = &view.pair {
        m.insert(
            "id".into(),
            String::from_utf8_lossy(&p.pair_id().hex())
                .into_owned()
                .into(),
        );
        m.insert("pending".into(), view.pending.into());
        let legs: Vec<Value> = p
            .legs
            .iter()
            .map(|leg| {
                let mut o = Map::new();
                let s = probe::space(&leg.root);
                o.insert("leg".into(), leg.letter().to_string().into());
                text::json_path("path", leg.root.path.as_os_str().as_encoded_bytes(), &mut o);
                o.insert("filesystem".into(), probe::kind(&leg.root.path).into());
                o.insert(
                    "state".into(),
                    if leg.record.complete {
                        "current"
                    } else {
                        "incomplete"
                    }
                    .into(),
                );
                o.insert("used".into(), s.used.into());
                o.insert("free".into(), s.free.into());
                Value::Object(o)
            })
            .collect();
        m.insert("legs".into(), legs.into());
        if let Some(who) = &view.who {
            m.insert("attached".into(), who.programs().count().into());
            m.insert("changing".into(), who.changing().into());
            m.insert("stale_libraries".into(), who.stale().into());
        }
        let v = p.verified().map(
            |(t, objects, n)| json!({ "time": text::iso(t), "objects": objects, "differences": n }),
        );
        m.insert("verified".into(), v.unwrap_or(Value::Null));
    }
    Value::Object(m)
}

/// Runs it.
pub fn run(a: &Report) -> Res<u8> {
    let mut views: Vec<View> = tab::choose(a.pair.as_slice())?.iter().map(look).collect();
    if a.json || a.pair.is_some() {
        let census = Census::take();
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
        crate::say!(
            "{}",
            json!({
                "schema": "mirror.status/1",
                "time": text::iso(text::now()),
                "pairs": views.iter().map(json).collect::<Vec<_>>(),
                "unreadable": tab::unreadable().iter().map(|f| text::path(f)).collect::<Vec<_>>(),
            })
        );
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
        crate::say!(
            "{}: not readable for this user: the pairs in it belong to others and are not shown",
            text::path(&f)
        );
    }
    Ok(code)
}

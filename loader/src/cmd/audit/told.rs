//! Findings as they are told: many of one kind by one process are one line.
use crate::audit::finding::{Done, Finding};
use crate::text;
use crate::tree::differs::Presence;
use mirror_audit::Op;
use mirror_core::Leg;
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Findings of one kind, by one process, above which a line stands for all.
const MANY: usize = 8;

/// What a line stands for.
pub struct Told<'a> {
    /// The first of them.
    pub first: &'a Finding,
    /// How many.
    pub times: usize,
    /// Where: a name, or what names begin with in common.
    pub path: String,
}

/// What was found at one time, as lines.
pub fn told(found: &[Finding]) -> Vec<Told<'_>> {
    let mut alike: BTreeMap<(Option<Leg>, Op, u32, &str), Vec<&Finding>> = BTreeMap::new();
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
    let mut all = vec![];
    for list in &alike {
        match list.as_slice() {
            [first, ..] if list.len() > MANY => all.push(Told {
                first,
                times: list.len(),
                path: common(list),
            }),
            list => all.extend(list.iter().filter(|f| !other(f)).map(|f| Told {
                first: f,
                times: 1,
                path: name(f),
            })),
        }
    }
    all
}

/// Its name, or its names.
fn name(f: &Finding) -> String {
    let path = match f.rel.as_slice() {
        b"" => ".".into(),
        rel => text::below(rel),
    };
    match &f.to {
        Some(t) => format!("{path} -> {}", text::below(t)),
        None => path,
    }
}

/// What paths begin with in common.
fn common(list: &[&Finding]) -> String {
    let path = |f: &Finding| Path::new(std::ffi::OsStr::from_bytes(&f.rel)).to_owned();
    let mut dir = list
        .first()
        .and_then(|f| path(f).parent().map(Path::to_owned))
        .unwrap_or_default();
    while !list.iter().all(|f| path(f).starts_with(&dir)) {
        if !dir.pop() {
            break;
        }
    }
    match dir.as_os_str().is_empty() {
        true => "…".into(),
        false => format!("{}/…", text::path(&dir)),
    }
}

impl Told<'_> {
    /// What was done: `write 4096+512`, `unlink x 412`.
    pub fn operation(&self) -> String {
        let mut op = self.first.op.word().to_owned();
        if let Some(r) = self.first.range.filter(|_| self.times == 1) {
            op += &match r.len {
                0 => format!(" {}", r.at),
                n => format!(" {}+{n}", r.at),
            };
        }
        if self.times > 1 {
            op += &format!(" x {}", text::count(self.times as u64));
        }
        op
    }

    /// Who did it.
    pub fn by(&self) -> String {
        self.first.by.as_ref().map_or("?".into(), |b| b.shown())
    }

    /// The leg's letter, `?` where both were changed.
    pub fn leg(&self) -> char {
        self.first.leg.map_or('?', Leg::letter)
    }

    /// What was done about it.
    pub fn done(&self) -> String {
        match &self.first.done {
            Done::Found => "-".to_owned(),
            Done::Equal => "equal by now".into(),
            Done::Healed => "healed".into(),
            // Leg b had nothing there any more.
            Done::Undone if self.first.what == Presence::OnlySource => "undone".into(),
            Done::Undone => "undone, b's version kept".into(),
            Done::Held => "HELD (brake)".into(),
            Done::Would(what) => format!("would be {what}"),
            Done::Conflict => "CONFLICT: both legs were changed".into(),
            Done::Failed(why) => format!("NOT HEALED: {why}"),
        }
    }

    /// Hours, minutes and seconds of the day, UTC.
    pub fn clock(&self) -> String {
        let iso = text::iso(self.first.time / 1_000_000_000);
        iso.get(11..19).unwrap_or(&iso).to_owned()
    }

    /// As one sentence, for a log.
    pub fn sentence(&self, virt: &Path) -> String {
        let done = match &self.first.done {
            Done::Found => String::new(),
            _ => format!(": {}", self.done()),
        };
        format!(
            "{}: {} on leg {} past the mirror: {} by {} ({}){done}",
            text::path(virt),
            self.operation(),
            self.leg(),
            self.path,
            self.by(),
            self.first.why.word(),
        )
    }
}

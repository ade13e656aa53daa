//! `mirror ps`: who is attached to a pair, and who is in the middle of a change.
use super::sub::{CommandLine, Sub};
use super::{explain, json};
use crate::fail::{Kind, Res};
use crate::launch::library;
use crate::output;
use crate::pair::legs::Pair;
use crate::pair::tab::{self, Line};
use crate::pair::who::{Attendance, Census, Library, User};
use crate::text;
use clap::Args;
use std::path::PathBuf;

/// Say who is attached to a pair
#[derive(Args)]
pub struct Ps {
    /// The pair (default: all)
    pub pair: Option<PathBuf>,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

impl Sub for Ps {
    const NAME: &'static str = "ps";
    fn run(&self, _: CommandLine) -> Res<u8> {
        run(self)
    }
}

/// Longest command line that is printed in a table.
const WIDTH: usize = 70;

/// Runs it.
pub fn run(a: &Ps) -> Res<u8> {
    let mut out = Vec::new();
    let lines = tab::choose(a.pair.as_slice())?;
    let census = Census::take(library::current());
    for (i, l) in lines.iter().enumerate() {
        match Pair::open(l) {
            Ok(p) => {
                let who = census.of(&p);
                if a.json {
                    out.push(json::Attending::Known(known(l, &who)));
                } else {
                    if i > 0 {
                        output::say!("");
                    }
                    table(l, &who);
                }
            }
            Err(e) if e.kind == Kind::Permission && a.pair.is_none() => {
                if a.json {
                    out.push(json::Attending::Unknown(json::Unknown {
                        virt: l.virt.as_path().into(),
                        unknown: e.text,
                    }));
                } else {
                    output::say!(
                        "{}    who is attached cannot be known here: {}",
                        text::path(&l.virt),
                        e.text
                    );
                }
            }
            Err(e) => return Err(e),
        }
    }
    if a.json {
        output::print(&json::Ps {
            schema: "mirror.ps/1",
            time: text::iso(text::now()),
            pairs: out,
        });
    }
    Ok(0)
}

/// The coverage in words: how many, and what is not as it should be.
pub fn summary(who: &Attendance) -> String {
    let n = who.programs().count() as u64;
    let mut s = format!("{} attached", text::plural(n, "program"));
    match who.changing() {
        0 => {}
        c => s += &format!(", {} in mid-change", text::count(c)),
    }
    match who.stale() {
        0 if n > 0 && who.programs().all(|u| u.library == Library::Current) => {
            s += ", all complete"
        }
        0 => {}
        o => s += &format!(", {} with an old or another libmirror.so", text::count(o)),
    }
    if who.unseen > 0 {
        s += &format!(
            ", {} that cannot be seen from here (another container?)",
            text::count(who.unseen)
        );
    }
    s
}

fn name(u: &User) -> String {
    u.uid.map_or_else(|| "?".into(), text::user)
}

fn table(l: &Line, who: &Attendance) {
    output::say!("{}    {}", text::path(&l.virt), summary(who));
    if who.users.is_empty() {
        return;
    }
    let width = who.users.iter().map(|u| name(u).len()).max().unwrap_or(4);
    output::say!(
        "{:>8}  {:width$}  {:20}  {:9}  {:8}  COMMAND",
        "PID",
        "USER",
        "STARTED",
        "STATE",
        "LIBRARY"
    );
    for u in &who.users {
        let command: String = u.command.chars().take(WIDTH).collect();
        output::say!(
            "{:>8}  {:width$}  {:20}  {:9}  {:8}  {command}",
            u.pid,
            name(u),
            u.started.map_or_else(|| "?".into(), text::iso),
            if u.changing { "changing" } else { "idle" },
            if u.tool { "-" } else { u.library.word() },
        );
    }
    if who.stale() > 0 {
        output::say!(
            "action    restart the programs with an old or another library    see mirror explain {}",
            explain::OLD_LIBRARY
        );
    }
    if who.users.iter().any(|u| u.library == Library::Unknown) {
        output::say!(
            "          programs of other users show neither library nor all of their locks: sudo mirror ps"
        );
    }
}

fn known(l: &Line, who: &Attendance) -> json::Known {
    let process = |u: &User| json::Process {
        pid: u.pid,
        uid: u.uid,
        user: name(u),
        command: u.command.clone(),
        started: u.started.map(text::iso),
        changing: u.changing,
        library: u.library.word(),
        library_path: match &u.library {
            Library::Other(p) => Some(p.as_path().into()),
            _ => None,
        },
        kind: if u.tool { "command" } else { "program" },
    };
    json::Known {
        virt: l.virt.as_path().into(),
        attached: who.programs().count(),
        changing: who.changing(),
        stale: who.stale(),
        unseen: who.unseen,
        processes: who.users.iter().map(process).collect(),
    }
}

//! `mirror doctor`: whether this machine, and a command, are fit for the mirror.
use super::json;
use super::sub::{CommandLine, Sub};
use crate::audit::open;
use crate::fail::{Fail, Res};
use crate::launch::{calls, library, program};
use crate::pair::{room, tab};
use crate::sync::own;
use crate::{output, text};
use clap::Args;
use mirror_loader::image::{self, Status};
use std::ffi::{OsStr, OsString};

/// Check this machine, or whether a command can be mirrored
#[derive(Args)]
pub struct Doctor {
    /// Prepare this machine's libc, and look which programs make system calls past it
    #[arg(long)]
    pub prepare: bool,
    /// Say whether this command can be mirrored
    pub command: Option<OsString>,
    /// Machine-readable output
    #[arg(long)]
    pub json: bool,
}

impl Sub for Doctor {
    const NAME: &'static str = "doctor";
    fn reports(&self) -> bool {
        self.json
    }
    fn run(&self, _: CommandLine) -> Res<u8> {
        run(self)
    }
}

struct Sheet {
    bad: bool,
}

impl Sheet {
    fn line(&mut self, ok: bool, what: &str, detail: impl std::fmt::Display) {
        self.bad |= !ok;
        let detail = detail.to_string();
        output::push(
            "checks",
            &json::Check {
                ok,
                what,
                detail: &detail,
            },
        );
        output::say!("{}  {what:10} {detail}", if ok { "ok  " } else { "FAIL" });
    }
}

/// Runs it.
pub fn run(a: &Doctor) -> Res<u8> {
    if a.prepare {
        return prepare();
    }
    let mut s = Sheet { bad: false };
    match &a.command {
        Some(word) => command(&mut s, word),
        None => {
            kernel(&mut s);
            library_and_limits(&mut s);
            libcs(&mut s);
            audit(&mut s);
            pairs(&mut s);
        }
    }
    Ok(u8::from(s.bad))
}

/// Whether a command can be mirrored, and what makes calls of its own in it.
fn command(s: &mut Sheet, word: &OsStr) {
    let p = match program::find(word).and_then(program::inspect) {
        Ok(p) => p,
        Err(f) => return s.line(false, "command", f.text),
    };
    match super::run::check(&p, word) {
        Ok(t) => s.line(true, "command", t),
        Err(f) => s.line(false, "command", f.text),
    }
    if p.unmirrorable.is_none() && !p.outside {
        own_calls(s, &p);
    }
}

/// How paths are walked here.
fn kernel(s: &mut Sheet) {
    let here = crate::tree::beneath::Root::open(std::path::Path::new("/")).and_then(|r| r.dir(b""));
    s.line(
        here.is_ok(),
        "kernel",
        if here.is_err() {
            "directories cannot be opened beneath each other"
        } else if mirror_sys::openat2_refusal().is_some() {
            "openat2 is refused here (a filter): paths are walked component by component, slower"
        } else {
            "openat2 works"
        },
    );
}

fn library_and_limits(s: &mut Sheet) {
    match room::descriptors() {
        Ok(()) => s.line(true, "limits", "enough descriptors"),
        Err(f) => s.line(false, "limits", f.text),
    }
    match library::find() {
        Ok((_, file)) => s.line(true, "library", text::path(&file)),
        Err(f) => s.line(false, "library", f.text),
    }
}

/// The C libraries of this machine, and whether images of them are prepared.
fn libcs(s: &mut Sheet) {
    for libc in image::default_libcs() {
        let name = text::path(&libc);
        let (ok, what) = match image::check(&libc) {
            Status::Ok(p) => (true, format!("prepared ({})", text::path(&p))),
            Status::Missing(_) => (false, "not prepared yet. mirror doctor --prepare".into()),
            Status::Untrusted(p, why) => (
                false,
                format!(
                    "{} is not used: {why}. mirror doctor --prepare",
                    text::path(&p)
                ),
            ),
            Status::Unsuitable(why) => (false, format!("cannot be prepared: {why}")),
        };
        s.line(ok, "libc", format!("{name}: {what}"));
    }
}

/// The configured pairs, and how each stands.
fn pairs(s: &mut Sheet) {
    let all = match tab::load() {
        Ok(all) if all.is_empty() => return s.line(true, "mirrortab", tab::none().text),
        Ok(all) => all,
        Err(f) => return s.line(false, "mirrortab", f.text),
    };
    match room::check(&all) {
        Ok(()) => s.line(true, "mirrortab", text::plural(all.len() as u64, "pair")),
        Err(f) => s.line(false, "mirrortab", f.text),
    }
    for l in &all {
        let v = super::status::look(l);
        s.line(
            v.exit == 0 || v.foreign,
            "pair",
            format!(
                "{}  {}  (mirror status {})",
                text::path(&l.virt),
                v.state,
                text::shell(&l.virt)
            ),
        );
    }
}

/// What an audit can watch with here.
fn audit(s: &mut Sheet) {
    let Ok(place) = crate::tree::beneath::Root::open(&std::env::temp_dir()) else {
        return;
    };
    let mut can = vec![];
    let mut cannot = vec![];
    for (tier, tried) in open::tiers(&place, None) {
        match tried {
            Ok(_) if tier == mirror_audit::Tier::T1 => {
                can.push(format!("{} with --tier t1", tier.title()))
            }
            Ok(_) => can.push(tier.title().to_owned()),
            Err(f) => cannot.push(format!("{} not: {}", tier.title(), f.text)),
        }
    }
    can.extend(cannot);
    s.line(
        true,
        "audit",
        format!("{} (mirror audit --explain)", can.join("; ")),
    );
}

/// The files of a command that make system calls past libc, and what follows from that.
fn own_calls(s: &mut Sheet, p: &program::Program) {
    let (own, count) = calls::of(&p.elf);
    for o in &own {
        output::push(
            "own_calls",
            &json::OwnCall {
                file: text::path(&o.file),
                certain: o.certain,
            },
        );
    }
    if own.is_empty() {
        let files = text::plural(count as u64, "file");
        s.line(
            true,
            "calls",
            format!("all go through libc ({files} looked at, those that it opens later not)"),
        );
    }
    for o in own {
        s.line(true, "calls", format!("{}: {}", o.text(), calls::FOLLOWS));
    }
}

fn prepare() -> Res<u8> {
    let all = image::default_libcs();
    if all.is_empty() {
        return Err(Fail::failed(
            "no 64-bit glibc found. Is this a glibc system?",
        ));
    }
    for libc in all {
        let p = image::prepare_for(&libc)
            .map_err(|e| Fail::failed(format!("{}: {e}", text::path(&libc))))?;
        own::carry(&p.path);
        output::say!(
            "prepared  {}  {} of {} calls  {}",
            text::path(&libc),
            p.patched,
            p.wanted,
            text::path(&p.path)
        );
    }
    let found = calls::host()
        .map_err(|e| Fail::failed(format!("verdicts: {}", crate::fail::reason(&e))))?;
    output::say!(
        "looked at {}: {} without system calls of their own, {} with, {} undecided{}",
        text::plural(found.clean + found.own + found.unknown, "file"),
        text::count(found.clean),
        text::count(found.own),
        text::count(found.unknown),
        found
            .file
            .map_or(String::new(), |f| format!("  {}", text::path(&f)))
    );
    Ok(0)
}

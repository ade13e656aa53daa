//! `mirror run`: starts a command under the mirror, proves that it attached, ends as it ends.
use crate::cli::Run;
use crate::fail::{Fail, Kind, Res};
use crate::launch::supervise::{self, End};
use crate::launch::trial::{self, Trial};
use crate::launch::{library, program};
use crate::pair::control::Pair;
use crate::pair::domain::{self, Attached};
use crate::pair::heal;
use crate::text;
use mirror_core::word::{LegState, StateWord};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Runs it.
pub fn run(a: &Run) -> Res<u8> {
    match start(a)? {
        End::Status(status) => Ok(supervise::end_like(status)),
        End::Refused => Ok(125),
    }
}

/// Starts the command and waits for its end.
pub fn start(a: &Run) -> Res<End> {
    // A pair of another user is no reason not to work with one's own: its directories refuse.
    let pairs = super::usable(&a.pair, false)?
        .into_iter()
        .map(|p| ready(p, a))
        .collect::<Res<Vec<_>>>()?;
    let Some(word) = a.command.first() else {
        return Err(Fail::new(Kind::Usage, "no command given"));
    };
    let p = program::inspect(program::find(word)?)?;
    let name = supervise::short(word);
    let mut prove = !p.outside;
    if let Some(why) = &p.unmirrorable {
        let allowed = |n: &OsString| {
            *n == *word || n.as_bytes() == name.as_bytes() || n.as_bytes() == p.name.as_bytes()
        };
        if !a.allow_unmirrored.iter().any(allowed) {
            let line = why.text(&p.name);
            return Err(Fail::failed(if p.name == name {
                line
            } else {
                format!("{name}: {line}")
            }));
        }
        prove = false;
        for pair in &pairs {
            heal::locked(pair, |held| pair.set_bits(StateWord::UNMIRRORED, held))?;
        }
    }
    let (lib, _) = library::find()?;
    if p.unmirrorable.is_none() {
        library::prepare()?;
    }
    let mut c = preloaded(&p, word, &lib);
    c.args(&a.command[1..]);
    if a.pair.is_empty() {
        c.env_remove("MIRROR_ONLY");
    } else {
        c.env(
            "MIRROR_ONLY",
            pairs
                .iter()
                .map(|p| p.pair.line.virt.as_os_str())
                .collect::<Vec<_>>()
                .join(&OsString::from(":")),
        );
    }
    if a.exec {
        c.env_remove("MIRROR_PROOF");
        supervise::as_started(&mut c, supervise::mask());
        let e = c.exec();
        return Err(Fail::new(
            Kind::NotRunnable,
            format!("{name}: {}", crate::fail::reason(&e)),
        ));
    }
    let end = supervise::run(c, &name, prove);
    for pair in &pairs {
        after(pair);
    }
    end
}

/// The pair, attached and fit to be written.
fn ready(pair: Pair, a: &Run) -> Res<Attached> {
    let l = &pair.line.clone();
    let v = text::path(&l.virt);
    if let Some(i) = pair.incomplete() {
        return Err(Fail::failed(format!(
            "leg {} of {v} has not been copied completely. mirror resync {}",
            pair.legs[i].letter(),
            text::shell(&l.virt)
        )));
    }
    let p = domain::attach(pair)?;
    heal::heal_orphan(&p);
    if a.require.is_some() {
        let w = p.runtime.word();
        let why = match (w.leg(0), w.leg(1)) {
            (LegState::InSync, LegState::InSync) if w.pending() => "has a repair pending",
            (LegState::InSync, LegState::InSync) if w.unmirrored() => {
                "is unverified (a program ran unmirrored)"
            }
            (LegState::InSync, LegState::InSync) => return Ok(p),
            _ => "is degraded",
        };
        return Err(Fail::failed(format!(
            "{v} {why} and --require in-sync was given. mirror status {}",
            text::shell(&l.virt)
        )));
    }
    Ok(p)
}

/// When the command has ended: repairs what it left, says what is not in order.
fn after(p: &Attached) {
    heal::heal_orphan(p);
    let w = p.runtime.word();
    let (v, word) = (
        text::path(&p.pair.line.virt),
        text::shell(&p.pair.line.virt),
    );
    if w.pending() {
        let n = p.pair.pending().len().max(1) as u64;
        crate::note!(
            "mirror: {v}: {} known to differ. mirror resync {word}",
            text::plural(n, "path")
        );
    }
    if w.unmirrored() {
        crate::note!(
            "mirror: {v}: a program ran unmirrored with files open here. mirror verify {word}"
        );
    }
}

/// A program, ready to be started with the library.
fn preloaded(p: &program::Program, word: &OsStr, lib: &OsStr) -> Command {
    let mut c = Command::new(&p.file);
    c.arg0(word).env("LD_PRELOAD", library::preload(lib));
    if let Some(tab) = std::env::var_os("MIRRORTAB").filter(|t| !t.is_empty()) {
        // The command may change its directory before it starts others.
        c.env(
            "MIRRORTAB",
            std::path::absolute(&tab).unwrap_or_else(|_| tab.into()),
        );
    }
    c
}

/// Used by `doctor`: why a command could not be run under the mirror. It is inspected, and started as far
/// as its entry point.
pub fn check(word: &OsStr) -> Res<String> {
    let p = program::inspect(program::find(word)?)?;
    if let Some(why) = &p.unmirrorable {
        return Err(Fail::failed(why.text(&p.name)));
    }
    if p.outside {
        return Ok(format!("{} stays outside the mirror by itself", p.name));
    }
    let file = text::path(&p.file);
    let (lib, _) = library::find()?;
    library::prepare()?;
    let mut c = preloaded(&p, word, &lib);
    // Without a pair the library only looks whether there is one.
    let none = crate::pair::tab::load().is_ok_and(|all| all.is_empty());
    if none {
        c.env("MIRROR_OPTIONAL", "1");
    }
    match trial::start(c) {
        Trial::Started { attached } if attached || none => Ok(format!("{file} can be mirrored")),
        Trial::Started { .. } => Err(Fail::failed(format!(
            "{file} starts, but libmirror.so does not attach (ld.so could not load it: noexec, or another C library?)"
        ))),
        Trial::Ended(status, said) => {
            let said = if said.is_empty() {
                said
            } else {
                format!(": {said}")
            };
            Err(Fail::failed(format!(
                "{file} does not start under the mirror: it {}{said}",
                supervise::how(status)
            )))
        }
        Trial::NotTried(why) => Ok(format!(
            "{file} can be mirrored, as far as its file tells (not started: {why})"
        )),
    }
}

//! `mirror run`: starts a command under the mirror, proves that it attached, ends as it ends.
use super::Found;
use super::handed;
use super::leave;
use super::look::{self, Look};
use super::signs::read_only;
use super::sub::{CommandLine, Sub};
use super::unmirrored::Before;
use crate::fail::{Fail, Kind, Res};
use crate::launch::program::Unmirrorable;
use crate::launch::supervise::{self, End};
use crate::launch::trial::{self, Trial};
use crate::launch::{calls, library, program};
use crate::output;
use crate::pair::away;
use crate::pair::cores;
use crate::pair::domain::{self, Attached};
use crate::pair::legs::{OpenLeg, Pair};
use crate::pair::state::State;
use crate::pair::tab::Line;
use crate::pair::{room, tab};
use crate::sync::heal;
use crate::text;
use clap::Args;
use mirror_core::Leg;
use mirror_core::tab::OnFailure;
use mirror_core::word::StateWord;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// Run a command whose changes reach both legs
#[derive(Args)]
#[command(
    after_help = "Exit codes: the command's; 125 a failure of mirror, 126 not runnable, 127 not found."
)]
pub struct Run {
    /// Open only this pair (can be given several times); changes in the other pairs are refused
    #[arg(long, value_name = "V")]
    pub pair: Vec<PathBuf>,
    /// Replace this process by the command (for services)
    #[arg(long)]
    pub exec: bool,
    /// Refuse to start unless the pairs are in sync
    #[arg(long, value_name = "STATE", value_parser = ["in-sync"])]
    pub require: Option<String>,
    /// Run this program although its changes cannot be mirrored
    #[arg(long, value_name = "NAME")]
    pub allow_unmirrored: Vec<OsString>,
    /// The command and its arguments
    #[arg(
        last = false,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<OsString>,
}

impl Sub for Run {
    const NAME: &'static str = "run";
    fn exit(kind: Kind) -> u8 {
        match kind {
            Kind::NotFound => 127,
            Kind::NotRunnable => 126,
            _ => 125,
        }
    }
    fn run(&self, _: CommandLine) -> Res<u8> {
        run(self)
    }
}

/// Runs it.
pub fn run(a: &Run) -> Res<u8> {
    match start(a)? {
        End::Status(status) => Ok(supervise::end_like(status)),
        End::Refused => {
            let name = a.command.first().map(|w| supervise::short(w));
            output::note!(
                "mirror: run: libmirror.so ended {} before it began (exit code 78; its reason is the line before this one). mirror config check    mirror doctor",
                name.unwrap_or_default()
            );
            Ok(125)
        }
    }
}

/// Starts the command and waits for its end.
pub fn start(a: &Run) -> Res<End> {
    let lines = tab::load()?;
    handed::keep_still(&lines);
    room::check(&lines)?;
    room::descriptors()?;
    let pairs = pairs(a)?;
    handed::carry(&pairs);
    let Some(word) = a.command.first() else {
        return Err(Fail::new(Kind::Usage, "no command given"));
    };
    let p = program::inspect(program::find(word)?)?;
    let name = supervise::short(word);
    if let Some(why) = &p.unmirrorable {
        unmirrored(a, why, &p, word, &pairs)?;
    }
    let prove = !p.outside && p.unmirrorable.is_none();
    let (lib, _) = library::find()?;
    if p.unmirrorable.is_none() {
        library::prepare()?;
        calls::of(&p.elf);
    }
    let mut c = preloaded(&p, word, &lib);
    c.args(&a.command[1..]);
    only(&mut c, a, &pairs);
    if a.exec {
        c.env_remove("MIRROR_PROOF");
        supervise::as_started(&mut c, supervise::mask());
        let e = c.exec();
        return Err(Fail::new(
            Kind::NotRunnable,
            format!("{name}: {}", crate::fail::reason(&e)),
        ));
    }
    let (began, before) = (text::now(), Before::now());
    if let Some(why) = &p.unmirrorable {
        let lines: Vec<&Line> = pairs.iter().map(|p| &p.pair.line).collect();
        super::unmirrored::count(why, &p.name, &lines);
    }
    let clock = Instant::now();
    let end = supervise::run(c, &name, prove);
    tell(&pairs, &end, &p.name, began);
    before.tell(&pairs);
    leave::clean(pairs, clock.elapsed(), &end);
    end
}

/// A program that cannot be mirrored runs if it was allowed to, and that is on record.
fn unmirrored(
    a: &Run,
    why: &Unmirrorable,
    p: &program::Program,
    word: &OsStr,
    pairs: &[Attached],
) -> Res<()> {
    let name = supervise::short(word);
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
    for pair in pairs {
        pair.reopen()?;
        heal::locked(pair, |held| pair.set_bits(StateWord::UNMIRRORED, held))?;
    }
    Ok(())
}

/// Mirrors only the pairs that were named.
fn only(c: &mut Command, a: &Run, pairs: &[Attached]) {
    if a.pair.is_empty() {
        c.env_remove("MIRROR_ONLY");
        return;
    }
    let virts: Vec<&OsStr> = pairs.iter().map(|p| p.pair.line.virt.as_os_str()).collect();
    c.env("MIRROR_ONLY", virts.join(OsStr::new(":")));
}

/// What is to be said of the pairs when the command has ended.
fn tell(pairs: &[Attached], end: &Res<End>, name: &str, began: u64) {
    let mut found = false;
    for pair in pairs {
        found |= tell_core_files(pair);
    }
    if let Ok(End::Status(status)) = end
        && supervise::left_a_core_file(*status)
        && !found
    {
        dumped(pairs, name);
    }
    for pair in pairs {
        after(pair);
        super::refusals::after_run(&pair.pair.line, began);
        super::differences::after_run(&pair.pair.line, began);
    }
}

/// The pairs that the command can change. One that is lost keeps nobody from the others, unless it was
/// asked for: what touches it gets an I/O error. A pair of another user is no reason not to work with
/// one's own either: its directories refuse.
fn pairs(a: &Run) -> Res<Vec<Attached>> {
    let must = !a.pair.is_empty() || a.require.is_some();
    let mut good = Vec::new();
    let mut lost: Vec<(Line, Fail)> = Vec::new();
    let mut alone = false;
    for found in super::each(&a.pair, false)? {
        if let Some(l) = degraded(&found) {
            // Programs go on with leg a; this command holds nothing of leg b.
            if a.require.is_some() {
                return Err(required(&look::look(l)));
            }
            alone = true;
            continue;
        }
        if a.require.is_none()
            && let Some((sentence, line)) = goes_on(&found)
        {
            output::note!(
                "mirror: run: {sentence} (on-failure=degrade: the first change in {} goes on with leg a alone)",
                text::path(&line.virt)
            );
            alone = true;
            continue;
        }
        let (line, tried) = match found {
            Found::Pair(p) => (p.line.clone(), ready(*p, a)),
            Found::Lost(k) => (k.line.clone(), Err(unfit(&k))),
        };
        match tried {
            Ok(p) => good.push(p),
            Err(e) if must => return Err(e),
            Err(e) => lost.push((line, e)),
        }
    }
    if good.is_empty()
        && !alone
        && let Some((_, e)) = lost.pop()
    {
        return Err(e);
    }
    for (line, e) in lost {
        output::note!(
            "mirror: run: {} (programs get an error when they change something in {})",
            e.text,
            text::path(&line.virt)
        );
    }
    Ok(good)
}

/// The line of a pair whose leg b was left behind.
fn degraded(found: &Found) -> Option<&Line> {
    match found {
        Found::Pair(p) if away::is_away(p) => Some(&p.line),
        Found::Lost(k) if k.state == State::Degraded => Some(&k.line),
        _ => None,
    }
}

/// Whether programs may leave leg b behind, which is not there or takes nothing: they look for themselves. What is to
/// be said of it.
fn goes_on(found: &Found) -> Option<(String, &Line)> {
    match found {
        Found::Lost(k) => {
            let a = || OpenLeg::open(&k.line.legs.a).is_ok_and(|leg| leg.record.leg == Leg::A);
            let goes = k.state == State::LegLost && k.line.on_failure == OnFailure::Degrade && a();
            goes.then(|| (k.sentence(), &k.line))
        }
        Found::Pair(p) if p.line.on_failure == OnFailure::Degrade => {
            let b = !read_only(&p.legs.a.root) && read_only(&p.legs.b.root);
            let k = b.then(|| look::look(&p.line))?;
            (k.state == State::ReadOnly).then(|| (k.sentence(), &p.line))
        }
        Found::Pair(_) => None,
    }
}

/// What `--require in-sync` forbids.
fn required(k: &Look) -> Fail {
    Fail::failed(format!(
        "{}, and --require in-sync was given. mirror status {}",
        k.sentence(),
        text::shell(&k.line.virt)
    ))
}

/// A pair that programs cannot change.
fn unfit(k: &Look) -> Fail {
    Fail::new(
        Kind::Leg,
        format!(
            "{}    look: mirror status {}",
            k.sentence(),
            text::shell(&k.line.virt)
        ),
    )
}

/// The pair, attached and fit to be written.
fn ready(pair: Pair, a: &Run) -> Res<Attached> {
    let l = &pair.line.clone();
    let k = look::look(l);
    if !k.state.serves() {
        if let Some(sink) = pair.incomplete() {
            return Err(Fail::failed(format!(
                "leg {} of {} has not been copied completely. mirror resync {}",
                sink.letter(),
                text::path(&l.virt),
                text::shell(&l.virt)
            )));
        }
        return Err(unfit(&k));
    }
    let p = domain::attach_idle(pair)?;
    heal::recover(&p);
    if a.require.is_some() {
        let k = look::look(l);
        if k.state != State::InSync {
            return Err(required(&k));
        }
    }
    Ok(p)
}

/// Says which core files one leg alone has; whether there are any.
fn tell_core_files(p: &Attached) -> bool {
    let what = match cores::found(&p.pair) {
        Ok(found) => cores::words(&found),
        Err(e) => Some(format!(
            "whether the kernel has written core files on one leg alone is not known: {}",
            crate::fail::reason(&e)
        )),
    };
    let Some(what) = what else {
        return false;
    };
    let v = &p.pair.line.virt;
    output::note!(
        "mirror: {}: {what}. mirror resync {}",
        text::path(v),
        text::shell(v)
    );
    true
}

/// The kernel has written a core file into the command's last directory, which the command's library has not listed:
/// on one leg alone if it was in a pair.
fn dumped(pairs: &[Attached], name: &str) {
    for p in pairs {
        let _ = p.reopen();
        let marked = heal::locked(p, |held| p.set_bits(StateWord::UNMIRRORED, held));
        super::unmirrored::count_core(name, &p.pair.line, marked.is_ok());
    }
}

/// When the command has ended: repairs what it left, says what is not in order.
fn after(p: &Attached) {
    heal::recover(p);
    heal::settle(p);
    let w = p.runtime.word();
    let (v, word) = (
        text::path(&p.pair.line.virt),
        text::shell(&p.pair.line.virt),
    );
    if w.pending() {
        let known = p.pair.pending();
        match known.unread.first() {
            Some(u) => output::note!("mirror: {}. mirror status {word}", u.why),
            None => output::note!(
                "mirror: {v}: {} known to differ. mirror resync {word}",
                text::plural(known.paths.len().max(1) as u64, "path")
            ),
        }
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
pub fn check(p: &program::Program, word: &OsStr) -> Res<String> {
    if let Some(why) = &p.unmirrorable {
        return Err(Fail::failed(why.text(&p.name)));
    }
    if p.outside {
        return Ok(format!("{} stays outside the mirror by itself", p.name));
    }
    let file = text::path(&p.file);
    let (lib, _) = library::find()?;
    library::prepare()?;
    let mut c = preloaded(p, word, &lib);
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

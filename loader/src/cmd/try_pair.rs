//! `mirror try`: a pair to throw away in a temporary folder, and a shell or a command in it. It has a
//! mirrortab of its own: pairs that exist are not seen, and nothing is left.
use super::detach::Detach;
use super::init_args::{Init, OnFailure, OnFull, Unmirrorable, Wanted};
use super::run::Run;
use super::sharing::Share;
use super::sub::{CommandLine, Sub};
use super::{detach, init, run, status};
use crate::fail::Kind;
use crate::fail::{Context, Fail, Res};
use crate::launch::program;
use crate::launch::supervise::{self, End};
use crate::output;
use crate::pair::{tab, working};
use crate::text;
use clap::Args;
use mirror_loader::image;
use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Try it: a pair to throw away, and a shell in it
#[derive(Args)]
pub struct Try {
    /// Leave the folder when the command has ended
    #[arg(long)]
    pub keep: bool,
    /// A command in place of a shell
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub command: Vec<OsString>,
}

impl Sub for Try {
    const NAME: &'static str = "try";
    fn exit(kind: Kind) -> u8 {
        match kind {
            Kind::NotFound => 127,
            Kind::NotRunnable => 126,
            k => k.exit(),
        }
    }
    fn run(&self, _: CommandLine) -> Res<u8> {
        run(self)
    }
}

/// The folder; removed when it goes out of sight, unless it is kept.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    fn new(keep: bool) -> Res<Folder> {
        let base = std::env::temp_dir();
        let base = std::fs::canonicalize(&base).about(text::path(&base))?;
        let id = crate::pair::control::random_id()?.hex();
        let path = base.join(format!("mirror-try-{}", String::from_utf8_lossy(&id[..8])));
        let make = |p: &Path| std::fs::DirBuilder::new().mode(0o700).create(p);
        make(&path).about(text::path(&path))?;
        let f = Folder { path, keep };
        for leg in ["disk1", "disk2"] {
            make(&f.path.join(leg)).about(text::path(&f.path))?;
        }
        Ok(f)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep && std::fs::remove_dir_all(&self.path).is_err() {
            output::note!(
                "mirror: try: {} could not be removed",
                text::path(&self.path)
            );
        }
    }
}

/// Runs it: the code of the shell or command.
pub fn run(a: &Try) -> Res<u8> {
    let mut folder = Folder::new(a.keep)?;
    let dir = folder.path.clone();
    environment(&dir)?;
    let virt = dir.join("data");
    make(&dir)?;
    let command = match a.command.is_empty() {
        true => shell(),
        false => a.command.clone(),
    };
    if a.command.is_empty() {
        hint(&dir, a.keep);
    }
    let end = in_it(&virt, command);
    if let Err(e) = finish(&virt, a.keep) {
        folder.keep = true;
        output::note!("mirror: try: {}", e.text);
        output::note!(
            "mirror: try: {} stays. Remove it when they have ended: MIRRORTAB={} mirror detach {} && rm -rf {}",
            text::path(&dir),
            text::shell(&dir.join("mirrortab")),
            text::shell(&virt),
            text::shell(&dir)
        );
    }
    drop(folder);
    match end? {
        End::Status(status) => Ok(supervise::end_like(status)),
        End::Refused => Ok(125),
    }
}

/// Only this pair, and nothing outside the folder.
fn environment(dir: &Path) -> Res<()> {
    let mut path = OsString::new();
    if let Some(own) = std::env::current_exe()
        .ok()
        .as_deref()
        .and_then(Path::parent)
    {
        path.push(own);
        path.push(":");
    }
    path.push(std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
    let ready = image::default_libcs()
        .iter()
        .any(|l| matches!(image::check(l), image::Status::Ok(_)));
    // SAFETY: no other thread exists yet.
    unsafe {
        for name in ["MIRROR", "MIRROR_ONLY", "MIRROR_OPTIONAL"] {
            std::env::remove_var(name);
        }
        std::env::set_var("MIRRORTAB", dir.join("mirrortab"));
        // So that `mirror status` works in it as typed.
        std::env::set_var("PATH", path);
        if !ready {
            std::env::set_var("MIRROR_CACHE", dir.join("cache"));
        }
        std::env::set_var("PWD", dir.join("data"));
    }
    Ok(())
}

fn make(dir: &Path) -> Res<()> {
    output::hush(true);
    let r = init::run(&Init {
        allow_privileged: false,
        leg_a: dir.join("disk1"),
        leg_b: dir.join("disk2"),
        at: Some(dir.join("data")),
        name: None,
        source: None,
        fidelity: Wanted::Possible,
        on_failure: OnFailure::Degrade,
        on_full: OnFull::Error,
        unmirrorable: Unmirrorable::Warn,
        stripes: None,
        locks: None,
        json: false,
        share: Share::Owner,
        dry_run: false,
        yes: true,
        tab: None,
    });
    output::hush(false);
    r.map(drop)
}

/// The user's shell, or sh where that cannot be mirrored.
fn shell() -> Vec<OsString> {
    let own = std::env::var_os("SHELL").filter(|s| !s.is_empty());
    let fit = |s: &OsString| {
        program::find(s)
            .and_then(program::inspect)
            .is_ok_and(|p| p.unmirrorable.is_none())
    };
    vec![own.filter(fit).unwrap_or_else(|| "/bin/sh".into())]
}

fn hint(dir: &Path, keep: bool) {
    let d = text::path(dir);
    output::say!(
        "A pair to play with: {d}/data is one directory, mirrored to disk1 and disk2 beside it."
    );
    output::say!("You are in data. Try:");
    output::say!("  echo hello > f; cat ../disk1/f ../disk2/f     every change reaches both trees");
    output::say!("  mirror status      mirror ps      mirror verify");
    output::say!(
        "  exit                                          {}",
        if keep {
            "leaves everything there"
        } else {
            "removes everything again"
        }
    );
}

fn in_it(virt: &Path, command: Vec<OsString>) -> Res<End> {
    std::env::set_current_dir(virt).about(text::path(virt))?;
    let end = run::start(&Run {
        pair: vec![],
        exec: false,
        require: None,
        allow_unmirrored: vec![],
        command,
    });
    std::env::set_current_dir("/").about("/")?;
    end
}

/// Says how it went, and undoes the pair. Programs that still run are not pulled out of it.
fn finish(virt: &Path, keep: bool) -> Res<()> {
    let all = tab::load()?;
    let line = tab::find(&all, virt)?;
    let view = status::look(line);
    output::say!("disk1 and disk2: {}", view.state);
    if keep {
        let dir = virt.parent().unwrap_or(virt);
        output::say!(
            "kept      {}    use it again: MIRRORTAB={} mirror status    remove it: MIRRORTAB={} mirror detach {} && rm -rf {}",
            text::path(dir),
            text::shell(&dir.join("mirrortab")),
            text::shell(&dir.join("mirrortab")),
            text::shell(virt),
            text::shell(dir)
        );
        return Ok(());
    }
    let names = working::working_in(virt.parent().unwrap_or(virt)).named;
    if !names.is_empty() {
        return Err(Fail::failed(format!("still in use by {}", names.join(" "))));
    }
    output::hush(true);
    let r = detach::run(&Detach {
        pair: virt.to_path_buf(),
        json: false,
    });
    output::hush(false);
    r.map(drop)
}

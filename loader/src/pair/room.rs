//! What one process has room for: so many pairs, and paths of so many bytes. A program that finds more
//! does not start.
use super::tab::Line;
use crate::fail::{Fail, Kind, Res};
use crate::text;
use mirror_core::MAX_PAIRS;
use mirror_core::numbers::TEXTS_MAX;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::os::unix::ffi::OsStrExt;

fn texts(l: &Line) -> usize {
    l.paths().iter().map(|p| p.as_os_str().len() + 1).sum()
}

/// Whether a program can serve all of these pairs.
pub fn check(all: &[Line]) -> Res<()> {
    let too_much = if all.len() > MAX_PAIRS {
        format!(
            "{} are configured, and programs serve {MAX_PAIRS} at most",
            text::plural(all.len() as u64, "pair")
        )
    } else if all.iter().map(texts).sum::<usize>() > TEXTS_MAX {
        format!(
            "the paths of all pairs together are longer than {}",
            text::bytes(TEXTS_MAX as u64)
        )
    } else {
        return Ok(());
    };
    Err(Fail::new(
        Kind::Config,
        format!("{too_much}: no program with the library starts. mirror detach V ends a pair"),
    ))
}

/// Whether a program started here can have the descriptors that it needs to change a pair.
pub fn descriptors() -> Res<()> {
    let need = u64::try_from(mirror_core::numbers::needed(1)).unwrap_or(u64::MAX);
    let old = getrlimit(Resource::Nofile);
    let Some(hard) = old.maximum.filter(|h| *h < need) else {
        return Ok(());
    };
    let more = Rlimit {
        current: old.current,
        maximum: Some(need),
    };
    // With the right to raise it, programs do that themselves.
    if setrlimit(Resource::Nofile, more).is_ok() {
        let _ = setrlimit(Resource::Nofile, old);
        return Ok(());
    }
    Err(Fail::failed(format!(
        "the hard limit of open files is {hard} here, and a program that changes a pair needs {need} (ulimit -Hn; systemd: LimitNOFILE={need}; limits.conf: hard nofile {need})"
    )))
}

/// Whether one more pair fits beside the others.
pub fn for_one_more(new: &Line, all: &[Line]) -> Res<()> {
    if all.len() >= MAX_PAIRS {
        return Err(Fail::failed(format!(
            "{MAX_PAIRS} pairs are configured, and programs serve no more. mirror detach V ends a pair (mirror status lists them)"
        )));
    }
    if all.iter().chain([new]).map(texts).sum::<usize>() > TEXTS_MAX {
        return Err(Fail::failed(format!(
            "the paths of all pairs together would be longer than {}. Choose shorter ones, or mirror detach V ends a pair",
            text::bytes(TEXTS_MAX as u64)
        )));
    }
    for p in new.paths() {
        if p.as_os_str().as_bytes().contains(&b'\r') {
            return Err(Fail::failed(format!(
                "{}: a path with a carriage return cannot stand in a mirrortab. Rename it",
                text::path(p)
            )));
        }
    }
    Ok(())
}

//! V of a link pair.
use super::finding::Finding;
use super::{explain, unread};
use crate::fail::{blind, reason};
use crate::pair::state::State;
use crate::pair::tab::Line;
use crate::text;
use std::path::Path;

/// V of a link pair is not the link to leg a: what programs do through V would not reach the pair.
pub fn fault(l: &Line) -> Option<Finding> {
    if l.in_place() {
        return None;
    }
    let leads = |p: &Path| rustix::fs::stat(p).map(|s| (s.st_dev, s.st_ino));
    let there = std::fs::symlink_metadata(&l.virt);
    let link = there.as_ref().is_ok_and(std::fs::Metadata::is_symlink);
    let (to, a) = (leads(&l.virt), leads(&l.legs.a));
    if link && to.is_ok() && to == a {
        return None;
    }
    let (v, shown) = (text::shell(&l.virt), text::path(&l.virt));
    let errors = [
        there.as_ref().err().and_then(std::io::Error::raw_os_error),
        leads(&l.legs.a).err().map(rustix::io::Errno::raw_os_error),
        leads(&l.virt).err().map(rustix::io::Errno::raw_os_error),
    ];
    let errors = errors.into_iter().flatten();
    let mut errors = errors.map(std::io::Error::from_raw_os_error);
    if let Some(e) = errors.find(blind) {
        return Some(unread::unseen(&format!("{shown}: {}", reason(&e)), &v));
    }
    let why = match &there {
        Err(_) => format!("{shown} is not there; it was a link to leg a"),
        Ok(_) if link => format!(
            "{shown} does not lead to leg a, but to {}",
            std::fs::read_link(&l.virt).map_or("?".into(), |p| text::path(&p))
        ),
        Ok(_) => format!("{shown} does not lead to leg a: it is no link any more"),
    };
    let a = text::shell(&l.legs.a);
    let f = Finding::new(
        State::LinkBroken,
        explain::LINK,
        format!("{why}. Programs get an I/O error when they change something there"),
    );
    Some(if there.is_ok() && !link {
        f.act(
            format!("mv {v} {v}.old && ln -s {a} {v}"),
            "look what is in it, then make the link again",
        )
    } else {
        f.act(format!("ln -sfn {a} {v}"), "makes the link again")
    })
}

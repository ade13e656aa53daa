//! `mirror init --share`: whose pair it is, and whether the trees fit that.
use crate::cli::Share;
use crate::fail::{Context, Fail, Kind, Res};
use crate::pair::control::letter;
use crate::pair::tab::Line;
use crate::text;
use crate::tree::beneath::Root;
use mirror_core::record::CONTROL;
use rustix::fs::{Mode, OFlags};

/// The group that shares the pair: that of leg a's root.
pub fn group(share: Share, leg_a: &Root) -> Res<Option<u32>> {
    match share {
        Share::Owner => Ok(None),
        Share::Group => {
            let st = rustix::fs::fstat(leg_a.fd()).about(text::path(&leg_a.path))?;
            Ok(Some(st.st_gid))
        }
    }
}

/// What it means that a control folder could not be given to the group.
pub fn explain(e: Fail, group: Option<u32>) -> Fail {
    match group {
        Some(g) if e.kind == Kind::Permission => Fail::new(
            Kind::Permission,
            format!(
                "{}. --share group shares with leg a's group ({g}): only its members, and root, can do that. chgrp the legs first",
                e.text
            ),
        ),
        _ => e,
    }
}

/// Says where the trees, or their file systems, do not fit the sharing.
pub fn warn(roots: &[Root; 2], group: Option<u32>) {
    for (i, r) in roots.iter().enumerate() {
        let (leg, path) = (letter(i), text::shell(&r.path));
        let Ok(st) = rustix::fs::fstat(r.fd()) else {
            continue;
        };
        match group {
            Some(g) if st.st_gid != g => crate::say!(
                "! leg {leg} belongs to group {}, the pair to group {g}. chgrp -R {g} {path}",
                st.st_gid
            ),
            Some(g) if st.st_mode & 0o2070 != 0o2070 => crate::say!(
                "! leg {leg}: what one member of group {g} makes here, others may not change. chmod g+rwxs {path}"
            ),
            Some(_) => {}
            None => open_to_others(r, leg),
        }
    }
}

fn open_to_others(r: &Root, leg: char) {
    let mode = r
        .open_at(CONTROL, OFlags::PATH, Mode::empty())
        .and_then(|fd| Ok(rustix::fs::fstat(fd)?.st_mode));
    if mode.is_ok_and(|m| m & 0o077 != 0) {
        crate::say!(
            "! leg {leg}: its file system does not keep others out of .mirror: they could stop the pair."
        );
    }
}

/// A pair that is there keeps the sharing that it was made with.
pub fn as_made(share: Share, group: bool, line: &Line) -> Res<()> {
    if share == Share::Group && !group {
        let v = text::shell(&line.virt);
        return Err(Fail::failed(format!(
            "{} is already a pair, and only its owner and root may use it. To share it: mirror detach {v}, then this command again",
            text::path(&line.virt)
        )));
    }
    Ok(())
}

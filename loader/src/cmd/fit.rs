//! What two legs can hold together: what does not work at all is refused, what is lost is said.
use super::explain;
use super::scan::Needs;
use crate::text::{count, plural};
use crate::tree::beneath::Root;
use crate::tree::probe::Abilities;
use mirror_core::{Leg, PerLeg};

/// The verdict about two legs, as lines for the user.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why the legs cannot be a pair.
    pub refused: Vec<String>,
    /// What exists on one leg only, or is rounded.
    pub lost: Vec<String>,
    /// What programs will not be able to make.
    pub later: Vec<String>,
}

/// A leg, and what its file system can do.
pub type Able<'a> = (Leg, &'a Abilities);

/// Judges the legs' abilities by the contents of the source.
pub fn judge(source: Able<'_>, copy: Able<'_>, n: &Needs) -> Verdict {
    let mut v = Verdict::default();
    names_of_one_case(source, copy, &mut v);
    kinds(source, copy, n, &mut v);
    long_names(source, copy, n, &mut v);
    v.lost = losses(source, copy, n);
    v
}

/// One leg alone tells 'A' from 'a'.
fn names_of_one_case(source: Able<'_>, copy: Able<'_>, v: &mut Verdict) {
    let blind = match (source.1.case, copy.1.case) {
        (false, true) => source.0,
        (true, false) => copy.0,
        _ => return,
    };
    v.refused.push(format!(
        "leg {} takes 'A' and 'a' for one name and leg {} does not: names would be lost. Choose two file systems of one kind ({})",
        blind.letter(),
        blind.other().letter(),
        explain::UNFIT
    ));
}

/// Kinds of objects that the copy cannot hold at all: they would never be equal.
fn kinds((source, can): Able<'_>, (copy, held): Able<'_>, n: &Needs, v: &mut Verdict) {
    let (s, c) = (source.letter(), copy.letter());
    let kinds = [
        (
            can.symlinks,
            held.symlinks,
            n.symlinks,
            "symlink",
            "symlinks",
        ),
        (
            can.special,
            held.special,
            n.special,
            "fifo or socket",
            "fifos and sockets",
        ),
        (
            can.devices,
            held.devices,
            n.devices,
            "device node",
            "device nodes",
        ),
    ];
    for (source_can, copy_can, have, one, what) in kinds {
        match (source_can, copy_can, have) {
            (_, false, 1..) => v.refused.push(format!(
                "leg {c} cannot hold {what}, and leg {s} has {}. Choose another file system for {c}, or move them away ({})",
                if have == 1 { format!("1 {one}") } else { count(have) },
                explain::UNFIT
            )),
            (true, false, 0) => v.later.push(format!(
                "leg {c} cannot hold {what}: programs that make some get an error."
            )),
            _ => {}
        }
    }
}

/// Names that are too long for the copy.
fn long_names((source, can): Able<'_>, (copy, held): Able<'_>, n: &Needs, v: &mut Verdict) {
    let (s, c) = (source.letter(), copy.letter());
    match n.longer(held.name_max) {
        0 if held.name_max < can.name_max => v.later.push(format!(
            "leg {c} has no names of more than {} bytes: programs that make some get an error.",
            held.name_max
        )),
        0 => {}
        long => v.refused.push(format!(
            "leg {c} has no names of more than {} bytes, and leg {s} has {}. Choose another file system for {c}, or shorten them ({})",
            held.name_max,
            count(long),
            explain::UNFIT
        )),
    }
}

/// What the copy cannot keep of objects that it can hold.
fn losses((source, can): Able<'_>, (copy, held): Able<'_>, n: &Needs) -> Vec<String> {
    let (s, c) = (source.letter(), copy.letter());
    let rows = [
        (
            can.xattrs && !held.xattrs,
            "extended attributes",
            n.xattrs,
            "file",
            "with some will have them on",
        ),
        (
            can.links && !held.links,
            "hard links",
            n.links,
            "name",
            "of such files will be hard links on",
        ),
        (
            can.modes && !held.modes,
            "permission bits",
            n.modes,
            "object",
            "will have mode and owner as they are on",
        ),
        (
            can.owners && !held.owners && held.modes,
            "owners that can be set",
            n.owners,
            "object",
            "of others will belong to them on",
        ),
    ];
    let mut lost: Vec<String> = rows
        .into_iter()
        .filter(|row| row.0)
        .map(|(_, what, number, one, end)| match number {
            0 => format!("leg {c} has no {what}: no file here has any today."),
            n => format!(
                "leg {c} has no {what}: {} {end} leg {s} only.",
                plural(n, one)
            ),
        })
        .collect();
    if held.grain > can.grain {
        lost.push(format!(
            "leg {c} keeps times to {} only: {} will be rounded there.",
            grain(held.grain),
            plural(n.finer_than(held.grain), "file time")
        ));
    }
    lost
}

/// Legs whose mount options differ in what has power there: set-id bits, device nodes, programs.
pub fn powers(legs: PerLeg<&Root>) -> Vec<String> {
    use rustix::fs::StatVfsMountFlags as F;
    let flags = legs.map(|r| rustix::fs::fstatvfs(r.fd()).map_or(F::empty(), |s| s.f_flag));
    let say = |weak: Leg, (flag, option, what): (F, &str, &str)| {
        let strong = weak.other();
        let only = flags[weak].contains(flag) && !flags[strong].contains(flag);
        only.then(|| {
            let (weak, strong) = (weak.letter(), strong.letter());
            format!(
                "leg {weak} is mounted {option} and leg {strong} is not: {what} on leg {strong}."
            )
        })
    };
    let options = [
        (
            F::NOSUID,
            "nosuid",
            "set-id bits and capabilities that programs set count, and root's copy and repair carry none (without --allow-privileged)",
        ),
        (
            F::NODEV,
            "nodev",
            "device nodes that programs make can be opened, and root's copy and repair carry none (without --allow-privileged)",
        ),
        (F::NOEXEC, "noexec", "programs can be started"),
    ];
    Leg::BOTH
        .into_iter()
        .flat_map(|leg| options.into_iter().filter_map(move |o| say(leg, o)))
        .collect()
}

/// What an ordinary user's copy loses: only root can give files to others.
pub fn given_away(n: &Needs, copy: Leg) -> Option<String> {
    (n.owners > 0).then(|| {
        format!(
            "this user cannot give files away: {} of other users or groups will belong to this user on leg {}.",
            plural(n.owners, "object"),
            copy.letter()
        )
    })
}

/// A time resolution in words.
fn grain(ns: i128) -> String {
    match ns {
        i128::MAX => "nothing (they cannot be set)".into(),
        1_000_000_000.. => format!("{} s", ns / 1_000_000_000),
        1_000_000.. => format!("{} ms", ns / 1_000_000),
        1000.. => format!("{} µs", ns / 1000),
        _ => format!("{ns} ns"),
    }
}

/// The line of checks that stands behind a leg.
pub fn checks(a: &Abilities) -> String {
    let yes = |b: bool| if b { "ok" } else { "no" };
    let mut out = format!(
        "checks: locks ok, xattrs {}, hard links {}, symlinks {}, special files {}, modes {}",
        yes(a.xattrs),
        yes(a.links),
        yes(a.symlinks),
        yes(a.special),
        yes(a.modes),
    );
    if rustix::process::geteuid().is_root() {
        out += &format!(", owners {}, devices {}", yes(a.owners), yes(a.devices));
    }
    let case = if a.case { "" } else { ", case-blind" };
    out + &format!(
        ", names {} bytes{case}, time {}",
        a.name_max,
        grain(a.grain)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(copy: Abilities, n: &Needs) -> Verdict {
        judge((Leg::A, &Abilities::FULL), (Leg::B, &copy), n)
    }

    #[test]
    fn equal_legs_lose_nothing() {
        let all = Needs {
            xattrs: 3,
            symlinks: 1,
            special: 1,
            devices: 1,
            links: 2,
            modes: 9,
            owners: 9,
            finer: [9; 5],
            names: [(255, 1)].into(),
        };
        assert_eq!(verdict(Abilities::FULL, &all), Verdict::default());
    }

    #[test]
    fn what_can_never_be_equal_is_refused() {
        let blind = Abilities {
            case: false,
            ..Abilities::FULL
        };
        assert!(verdict(blind, &Needs::default()).refused[0].contains("leg b takes 'A' and 'a'"));
        let v = judge(
            (Leg::A, &blind),
            (Leg::B, &Abilities::FULL),
            &Needs::default(),
        );
        assert!(v.refused[0].contains("leg a takes 'A' and 'a'"));
        assert_eq!(
            judge((Leg::A, &blind), (Leg::B, &blind), &Needs::default()),
            Verdict::default()
        );
        let poor = Abilities {
            symlinks: false,
            special: false,
            devices: false,
            name_max: 14,
            ..Abilities::FULL
        };
        let none = verdict(poor, &Needs::default());
        assert_eq!((none.refused.len(), none.later.len()), (0, 4));
        let some = Needs {
            symlinks: 2,
            special: 1,
            devices: 1,
            names: [(14, 5), (15, 2), (200, 1)].into(),
            ..Needs::default()
        };
        let v = verdict(poor, &some);
        assert_eq!((v.refused.len(), v.later.len()), (4, 0));
        assert!(v.refused[0].contains("leg a has 2."), "{:?}", v.refused);
        assert!(v.refused[3].contains("leg a has 3."), "{:?}", v.refused);
    }

    #[test]
    fn losses_are_counted() {
        let poor = Abilities {
            xattrs: false,
            links: false,
            owners: false,
            grain: 1_000_000_000,
            ..Abilities::FULL
        };
        let n = Needs {
            xattrs: 212,
            links: 2,
            owners: 1,
            finer: [5, 5, 4, 3, 1],
            ..Needs::default()
        };
        let v = verdict(poor, &n);
        assert_eq!(
            v.lost,
            [
                "leg b has no extended attributes: 212 files with some will have them on leg a only.",
                "leg b has no hard links: 2 names of such files will be hard links on leg a only.",
                "leg b has no owners that can be set: 1 object of others will belong to them on leg a only.",
                "leg b keeps times to 1 s only: 3 file times will be rounded there.",
            ]
        );
        assert!(checks(&poor).contains("xattrs no, hard links no, symlinks ok"));
        assert!(checks(&poor).ends_with("time 1 s"));
    }
}

//! What two legs can hold together: what does not work at all is refused, what is lost is said.
use super::explain;
use super::scan::Needs;
use crate::text::{count, plural};
use crate::tree::probe::Abilities;

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

/// Judges the legs' abilities by the contents of the source. `letters` are the source's and the copy's.
// long: one question after the other, each with its message
pub fn judge(source: &Abilities, copy: &Abilities, n: &Needs, letters: [char; 2]) -> Verdict {
    let [s, c] = letters;
    let mut v = Verdict::default();
    if source.case != copy.case {
        let (blind, other) = if copy.case { (s, c) } else { (c, s) };
        v.refused.push(format!(
            "leg {blind} takes 'A' and 'a' for one name and leg {other} does not: names would be lost. Choose two file systems of one kind ({})",
            explain::UNFIT
        ));
    }
    // What the copy cannot hold at all would never be equal.
    for (source_can, copy_can, have, one, what) in [
        (
            source.symlinks,
            copy.symlinks,
            n.symlinks,
            "symlink",
            "symlinks",
        ),
        (
            source.special,
            copy.special,
            n.special,
            "fifo or socket",
            "fifos and sockets",
        ),
        (
            source.devices,
            copy.devices,
            n.devices,
            "device node",
            "device nodes",
        ),
    ] {
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
    match n.longer(copy.name_max) {
        0 if copy.name_max < source.name_max => v.later.push(format!(
            "leg {c} has no names of more than {} bytes: programs that make some get an error.",
            copy.name_max
        )),
        0 => {}
        long => v.refused.push(format!(
            "leg {c} has no names of more than {} bytes, and leg {s} has {}. Choose another file system for {c}, or shorten them ({})",
            copy.name_max,
            count(long),
            explain::UNFIT
        )),
    }
    let mut lost = |gone: bool, what: &str, number: u64, one: &str, end: &str| {
        if gone {
            v.lost.push(match number {
                0 => format!("leg {c} has no {what}: no file here has any today."),
                n => format!(
                    "leg {c} has no {what}: {} {end} leg {s} only.",
                    plural(n, one)
                ),
            });
        }
    };
    lost(
        source.xattrs && !copy.xattrs,
        "extended attributes",
        n.xattrs,
        "file",
        "with some will have them on",
    );
    lost(
        source.links && !copy.links,
        "hard links",
        n.links,
        "name",
        "of such files will be hard links on",
    );
    lost(
        source.modes && !copy.modes,
        "permission bits",
        n.modes,
        "object",
        "will have mode and owner as they are on",
    );
    lost(
        source.owners && !copy.owners && copy.modes,
        "owners that can be set",
        n.owners,
        "object",
        "of others will belong to them on",
    );
    if copy.grain > source.grain {
        v.lost.push(format!(
            "leg {c} keeps times to {} only: {} will be rounded there.",
            grain(copy.grain),
            plural(n.finer_than(copy.grain), "file time")
        ));
    }
    v
}

/// Legs whose mount options differ in what has power there: set-id bits, device nodes, programs.
pub fn powers(legs: [&crate::tree::beneath::Root; 2]) -> Vec<String> {
    use rustix::fs::StatVfsMountFlags as F;
    let flags = legs.map(|r| rustix::fs::fstatvfs(r.fd()).map_or(F::empty(), |s| s.f_flag));
    let say = |i: usize, (flag, option, what): (F, &str, &str)| {
        let only = flags[i].contains(flag) && !flags[1 - i].contains(flag);
        only.then(|| {
            let (weak, strong) = (['a', 'b'][i], ['b', 'a'][i]);
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
    (0..2)
        .flat_map(|i| options.into_iter().filter_map(move |o| say(i, o)))
        .collect()
}

/// What an ordinary user's copy loses: only root can give files to others.
pub fn given_away(n: &Needs, copy: char) -> Option<String> {
    (n.owners > 0).then(|| {
        format!(
            "this user cannot give files away: {} of other users or groups will belong to this user on leg {copy}.",
            plural(n.owners, "object")
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
        judge(&Abilities::FULL, &copy, n, ['a', 'b'])
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
        let v = judge(&blind, &Abilities::FULL, &Needs::default(), ['a', 'b']);
        assert!(v.refused[0].contains("leg a takes 'A' and 'a'"));
        assert_eq!(
            judge(&blind, &blind, &Needs::default(), ['a', 'b']),
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

//! A writer is killed in the midst of a write, at calls all along it, to a file whose name has changed before, changes
//! meanwhile, or changes afterwards: by a rename, an exchange, another file in its place, a link, a removal. Then
//! `mirror run`, another program or `mirror resync` comes by: the trees are equal, or the pair says that they are not
//! and a resync makes them so; what was acknowledged is there.
use mirror_tests::{Level, Output, Pair, Talker, Tree, compile, in_place, send, soak};
use std::time::Duration;

/// What happens to f, and where its lines are then; `None`: it has no name any more.
const CHANGES: &[(&str, &str, Option<&str>)] = &[
    ("renamed", "mv f new", Some("new")),
    ("moved", "mv f d/new", Some("d/new")),
    (
        "renamed, and another in its place",
        "mv f new; echo other > f",
        Some("new"),
    ),
    ("exchanged", "$P/exchange f g", Some("g")),
    ("replaced", "mv -f g f", None),
    ("removed", "rm f", None),
    (
        "removed, and another in its place",
        "rm f; echo other > f",
        None,
    ),
    (
        "linked, and its old name removed",
        "ln f d/linked; rm f",
        Some("d/linked"),
    ),
    (
        "in a directory that is renamed",
        "mkdir e; mv f e/f; mv e e2",
        Some("e2/f"),
    ),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    Before,
    Meanwhile,
    Afterwards,
}

#[derive(Clone, Copy, Debug)]
enum Repair {
    Run,
    Program,
    Resync,
}

const REPAIRS: [Repair; 3] = [Repair::Run, Repair::Program, Repair::Resync];

const EXCHANGE: &str = "#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
int main(int n, char **v) { return n != 3 || renameat2(AT_FDCWD, v[1], AT_FDCWD, v[2], RENAME_EXCHANGE); }";

fn programs(pair: &Pair) -> bool {
    let p = pair.programs();
    [
        ("renamed", include_str!("../programs/renamed.c")),
        ("tracer", include_str!("../programs/tracer.c")),
        ("exchange", EXCHANGE),
    ]
    .iter()
    .all(|(name, source)| compile(&p, name, source).is_some())
}

fn furnish(pair: &Pair, folder: &str) {
    for leg in [pair.a(), pair.b()] {
        let dir = leg.join(folder);
        std::fs::create_dir_all(dir.join("d")).expect("a folder");
        for (name, content) in [("f", "old f\n"), ("g", "the other file\n")] {
            std::fs::write(dir.join(name), content).expect("a file");
        }
    }
    let touched = "touch -d @1000000000 $A/$F/f $B/$F/f $A/$F/g $B/$F/g";
    pair.bypass(&touched.replace("$F", folder)).ok();
}

/// One kill. Whether it struck, or the write was over; and whether the pair could but say that it differs.
fn kill(
    pair: &Pair,
    (how, n, when, repair): (&str, u32, When, Repair),
    (what, script, mut place): (&str, &str, Option<&str>),
    folder: &str,
) -> (bool, bool) {
    furnish(pair, folder);
    let case = format!("{how}, {what} {when:?}, call {n}, then {repair:?}");
    let dir = pair.v().join(folder);
    let script = format!("cd '{}' && {{ {script}; }}", dir.display())
        .replace("$P", pair.programs().to_str().expect("plain names"));
    let mut c = pair.preloaded(pair.programs().join("tracer"));
    let act = if when == When::Meanwhile {
        "stop"
    } else {
        "kill"
    };
    c.args([act, "0", &n.to_string()]);
    c.arg(pair.programs().join("renamed")).arg(&dir).arg(how);
    if when == When::Before {
        c.env("BEFORE", &script);
    }
    let mut writer = Talker::start(&mut c);
    let said = writer.line();
    let other = |with: &str| {
        let mut c = pair.preloaded("bash");
        Talker::start(c.args(["-euc", with]))
    };
    if let Some(stopped) = said.strip_prefix("stopped ") {
        let pid = stopped.split(' ').next().and_then(|p| p.parse().ok());
        let mut t = other(&format!("{script}; echo changed"));
        // It may wait for the writer.
        let _ = t.line_within(Duration::from_millis(50));
        send(pid.expect("a pid"), libc::SIGKILL);
        assert_eq!(writer.end(), 137, "{case}");
        assert_eq!(t.end(), 0, "{case}");
    } else {
        // The write was over: its name has not changed.
        if when == When::Meanwhile {
            place = Some("f");
        }
        writer.drain();
        let end = writer.end();
        assert!([0, 137].contains(&end), "{case}: {end}");
    }
    if when == When::Afterwards {
        assert_eq!(other(&script).end(), 0, "{case}");
    }
    let o = match repair {
        Repair::Run => pair.run("true"),
        Repair::Program => Output::from_std(
            pair.preloaded("bash")
                .args(["-c", "echo next >> $V/next"])
                .output()
                .expect("running bash"),
        ),
        Repair::Resync => pair.resync(),
    };
    assert_eq!(o.code, 0, "{case}: {o:?}");
    // A time that is owed is settled by the name that the file had when it was opened.
    let level = match (repair, when) {
        (Repair::Resync, _) => Level::Strict,
        _ => Level::NoTimes,
    };
    let legs = || [pair.a(), pair.b()].map(|l| Tree::read(&l.join(folder)));
    let [a, b] = legs();
    let d = a.differences(&b, level);
    let known = pair.evidence().pending;
    assert!(d.0.is_empty() || known, "{case}: not known:\n{d}");
    assert!(!pair.evidence().inside, "{case}: not ended");
    if known {
        assert_eq!(pair.status().code, 1, "{case}");
        pair.resync().ok();
        let [a, b] = legs();
        let d = a.differences(&b, Level::Strict);
        assert!(d.0.is_empty(), "{case}: after a resync:\n{d}");
    }
    for leg in [pair.a(), pair.b()] {
        let read = |name: &str| std::fs::read(leg.join(folder).join(name)).unwrap_or_default();
        if let Some(place) = place {
            let content = read(place);
            let mut lines = "old f\n".to_owned();
            for i in 0..10 {
                lines += &format!("acknowledged {i}\n");
            }
            assert!(
                content.starts_with(lines.as_bytes()),
                "{case}: acknowledged lines are gone from {place}: {:?}\n{}",
                pair.bypass(&format!(
                    "cd '{}'; ls -lR $A/{folder} $B/{folder}",
                    leg.display()
                )),
                String::from_utf8_lossy(&content[..content.len().min(300)])
            );
            let rest = &content[lines.len()..];
            assert!(rest.iter().all(|b| [0, b'w'].contains(b)), "{case}");
        }
        let kept = ["f", "g"].map(read).concat();
        let there = kept.windows(15).any(|w| w == b"the other file\n");
        assert!(there, "{case}: the other file is gone");
    }
    (!said.starts_with("past"), known)
}

fn kills(pair: &Pair, when: When) {
    if !programs(pair) {
        return;
    }
    let (mut runs, mut struck, mut pending) = (0usize, 0, 0);
    for (i, change) in CHANGES.iter().enumerate() {
        for (j, how) in ["append", "over"].into_iter().enumerate() {
            // With locks in memory there are fewer calls.
            let step = match soak() {
                true => 1,
                false if mirror_tests::words::asked() => 5,
                false => 11,
            };
            let mut n = 1 + u32::try_from(i * 3 + j * 5).expect("small") % step;
            loop {
                let repair = REPAIRS[runs % 3];
                let folder = format!("run{runs}");
                let (hit, known) = kill(pair, (how, n, when, repair), *change, &folder);
                runs += 1;
                struck += usize::from(hit);
                pending += usize::from(known);
                if !hit {
                    break;
                }
                n += step;
            }
        }
    }
    println!("{struck} kills, {pending} left to a resync");
    assert!(struck > 15, "{struck} kills");
    pair.resync().ok();
    pair.assert_sound();
}

in_place! {
    fn the_name_changes_before(pair) {
        kills(pair, When::Before);
    }

    fn the_name_changes_meanwhile(pair) {
        kills(pair, When::Meanwhile);
    }

    fn the_name_changes_afterwards(pair) {
        kills(pair, When::Afterwards);
    }
}

//! Locks that a program takes on files of V: what the mirror does with descriptors ends none of them, and who excludes
//! whom.
use mirror_tests::{Kind, Pair, compile};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// A pair, and `$P/locked`.
fn prepared() -> Option<Pair> {
    let pair = Pair::striped(Kind::InPlace, None);
    compile(
        &pair.programs(),
        "locked",
        include_str!("../programs/locked.c"),
    )?;
    Some(pair)
}

/// Files for each call of the program, the same in each directory; in `$B` they are `other`.
fn files(pair: &Pair, other: &str) {
    let make = "for x in $($P/locked names); do seq 40 | head -c 100 > f.$x; seq 50 | head -c 90 > g.$x; done
        seq 60 > source; cp $P/locked f.exec_anew; touch -d @1700000000 *";
    pair.plain(&format!("cd $V && {make}")).ok();
    pair.bypass(&format!("cd $A && {make}; cd $B && {make}; {other}"))
        .ok();
}

/// The program's lines natively and in V.
fn compared(pair: &Pair, how: &str, left_out: &[&str]) {
    let script = format!("cd $V && $P/locked {how} 2>&1");
    let lines = |text: String| -> Vec<String> {
        let kept =
            |l: &&str| l.starts_with("classic ") || l.starts_with("lease ") || l.starts_with("f.");
        let wanted = |l: &&str| !left_out.iter().any(|w| l.contains(w));
        let lines = text.lines().filter(kept).filter(wanted);
        lines.map(str::to_owned).collect()
    };
    let native = lines(pair.plain(&script).text());
    let mirrored = lines(pair.run(&script).text());
    assert!(native.len() > 60, "{native:#?}");
    let different = native.iter().zip(&mirrored).filter(|(n, m)| n != m);
    let different: Vec<_> = different.collect();
    assert!(
        different.is_empty() && native.len() == mirrored.len(),
        "natively, and in V: {different:#?}"
    );
}

fn survives(how: &str, other: &str, left_out: &[&str]) {
    let Some(pair) = prepared() else { return };
    files(&pair, other);
    compared(&pair, how, left_out);
}

#[test]
fn a_readers_lock_survives_every_call() {
    survives("classic reader", "", &[]);
}

#[test]
fn a_writers_lock_survives_every_call() {
    survives("classic writer", "", &[]);
}

#[test]
fn a_lease_survives_every_call_that_does_not_break_it() {
    survives("lease reader", "", &[]);
}

/// Flags are refused where the other leg has no such file.
const FLAGS: &[&str] = &["setflags"];

#[test]
fn a_lock_survives_the_repair_of_its_file() {
    let longer = "for x in f.*; do echo more >> $x; done";
    survives("classic reader", longer, &[]);
}

#[test]
fn a_lock_survives_the_making_of_its_partner() {
    survives("classic reader", "rm f.*", FLAGS);
    survives("classic writer", "rm f.*", FLAGS);
}

/// Holds every kind of lock on a file while `f` runs.
fn while_held(mut holder: Command, file: &Path, f: impl FnOnce()) {
    holder.arg("hold").arg(file);
    let child = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.expect("the holder");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "flock free, classic free, description free\n");
    f();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

/// Through V, and by leg a's own path without the library: one file. Leg b's is another one.
#[test]
fn who_excludes_whom() {
    const REFUSED: &str = "flock EAGAIN, classic EAGAIN, description EAGAIN";
    const FREE: &str = "flock free, classic free, description free";
    let Some(pair) = prepared() else { return };
    pair.run("seq 60 > $V/f").ok();
    let program = pair.programs().join("locked");
    let tries = |on_b: &str, on_a: &str| {
        let answers = [
            (pair.run("$P/locked try $V/f"), on_a),
            (pair.bypass("$P/locked try $A/f"), on_a),
            (pair.run("$P/locked try $B/f"), on_b),
            (pair.bypass("$P/locked try $B/f"), on_b),
        ];
        for (answer, wanted) in answers {
            assert_eq!(answer.text(), wanted);
        }
    };
    while_held(pair.command(&program), &pair.v().join("f"), || {
        tries(FREE, REFUSED);
    });
    while_held(pair.native_command(&program), &pair.a().join("f"), || {
        tries(FREE, REFUSED);
    });
    while_held(pair.command(&program), &pair.b().join("f"), || {
        tries(REFUSED, FREE);
    });
    tries(FREE, FREE);
    pair.assert_equal();
}

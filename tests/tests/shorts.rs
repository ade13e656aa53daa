//! Writes that a full leg cuts short: the count, the position behind it, what every sharer of the description sees
//! and what goes on writing there are those of a plain directory that is full in the same way, and the legs are
//! equal. As root: the legs that are full are small file systems in memory, which fill up by whole pages.
use mirror_tests::{Fs, Kind, Pair, compile, need};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Mounted file systems, the last one first.
struct Mounted(Vec<PathBuf>);

impl Drop for Mounted {
    fn drop(&mut self) {
        for at in self.0.iter().rev() {
            let _ = Command::new("umount").arg(at).status();
        }
    }
}

impl Mounted {
    fn small(&mut self, at: &Path) {
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m,mode=755", "none"])
            .arg(at)
            .status();
        assert!(done.expect("running mount").success(), "{}", at.display());
        self.0.push(at.to_owned());
    }
}

/// Leaves room for five pages.
const FILL: &str = "cat /dev/zero > $F 2> /dev/null; truncate -s -20K $F";

fn full(kind: Kind, b_is_full: bool) {
    need!(root);
    let pair = Pair::bare(kind, Fs::Plain).expect("plain folders can always be made");
    let source = include_str!("../programs/shorts.c");
    if compile(&pair.programs(), "shorts", source).is_none() {
        return;
    }
    let leg = if b_is_full { pair.b() } else { pair.a() };
    let above = leg.parent().expect("a leg below the base").to_owned();
    let mut mounted = Mounted(Vec::new());
    mounted.small(&above);
    std::fs::create_dir(leg).expect("the leg");
    if !b_is_full {
        // The plain directory lies beside leg A.
        std::fs::create_dir(pair.native()).expect("the plain directory");
    }
    mounted.small(&pair.native());
    pair.init(&[]).ok();
    pair.both_ok("head -c 48K /dev/zero | tr '\\0' s > $V/source");
    for f in [above.join("fill"), pair.native().join("fill")] {
        pair.bypass(&FILL.replace("$F", f.to_str().expect("plain names")))
            .ok();
    }
    let plain = pair.plain("$P/shorts $V").ok();
    let o = pair.run("$P/shorts $V").ok();
    assert_eq!(plain.text().lines().count(), 5 * 11 * 2);
    assert!(plain.text().contains(" 19480 - at 20480 "), "{plain:?}");
    let differ = |(a, b): &(&str, &str)| a != b;
    let (expected, found) = (plain.text(), o.text());
    let lines = expected.lines().zip(found.lines());
    for (a, b) in lines.filter(differ) {
        println!("natively {a}\nmirrored {b}");
    }
    assert!(expected == found, "see above");
    pair.assert_equal();
    pair.assert_nothing_pending();
    pair.mirror("detach", &[pair.v().to_str().expect("plain names")])
        .ok();
    // Before the folders go.
    drop(mounted);
}

#[test]
fn leg_b_is_full() {
    full(Kind::InPlace, true);
}

#[test]
fn leg_b_of_a_link_pair_is_full() {
    full(Kind::Link, true);
}

#[test]
fn leg_a_is_full() {
    full(Kind::InPlace, false);
}

//! resync where chattr +i or +a hold a directory or a file on both legs: it lifts what holds the copy, and puts
//! it back on every way out.
use mirror_tests::{Fs, Kind, Output, Pair, dist, need, skip};
use std::process::Command;

/// A pair with held things on both legs. `None`: there are no such flags here.
fn pair(flag: &str) -> Option<Pair> {
    let pair = Pair::bare(Kind::InPlace, Fs::Plain).unwrap();
    let o = pair.bypass("touch $S/t && chattr +i $S/t 2>&1 && chattr -i $S/t");
    if o.code != 0 {
        skip("needs a file system with immutable files");
        return None;
    }
    let make =
        "cd $A; mkdir -p d/e; for f in d/f d/g d/held d/e/f; do echo $f > $f; done; echo top > top";
    pair.bypass(make).ok();
    pair.init(&[]).ok();
    pair.bypass(&format!(
        "for l in $A $B; do chattr +{flag} $l/d/held $l/d/e $l/d; done"
    ))
    .ok();
    Some(pair)
}

fn free(pair: &Pair) {
    pair.bypass("chattr -R -ia $A $B 2>&1; true").ok();
}

/// Names and flags of a leg.
#[track_caller]
fn held(pair: &Pair, leg: &str) -> String {
    let list = "find . -path ./.mirror -prune -o \\( -type f -o -type d \\) -print | sort";
    let flags = "sed 's/^[^ ]*i[^ ]*/i/; s/^[^ ]*a[^ ]*/a/; s/^-[^ ]*/-/'";
    let script = format!("cd ${leg} && {list} | tr '\\n' '\\0' | xargs -0 lsattr -d | {flags}");
    pair.bypass(&script).ok().text()
}

/// What somebody does on one leg, which is free meanwhile. `F`: the flag.
const CHANGES: &[&str] = &[
    "rm $B/d/f",
    "echo more > $B/d/new",
    "mkdir $B/d/new; echo x > $B/d/new/x; chattr +F $B/d/new/x $B/d/new",
    "mkdir -p $A/d/new/er; echo x > $A/d/new/er/x; chattr +F $A/d/new/er/x $A/d/new",
    "echo longer than that > $B/d/held",
    "echo longer than that > $A/d/held",
    "rm $B/d/held",
    "rm $B/d/f; mkdir $B/d/f; echo x > $B/d/f/x",
    "rm $B/d/g; ln -s f $B/d/g",
    "rm $A/d/g; ln $A/d/held $A/d/g",
    "ln $B/d/held $B/d/a",
    "ln $B/d/held $B/d/z",
    "chmod 700 $B/d; chmod 600 $B/d/held",
    "rm -r $B/d/e",
    "rm -r $B/d",
    "mv $A/top $A/bottom; chattr +i $A $B",
    "rm $B/top; chattr +i $A $B",
];

fn all_changes(flag: &str) {
    need!(root);
    need!("chattr", "lsattr");
    for change in CHANGES {
        let Some(pair) = pair(flag) else { return };
        let lift = "chattr -ia $L $L/d $L/d/held $L/d/e";
        let leg = if change.contains("$A/") { "$A" } else { "$B" };
        let hold = format!(
            "for x in $L/d/held $L/d/e $L/d; do if test -e $x; then chattr +{flag} $x; fi; done"
        );
        let change = change.replace('F', flag);
        let script = format!("{lift}; {change}; {hold}").replace("$L", leg);
        pair.bypass(&script).ok();
        assert_eq!(pair.verify().code, 1, "{change}");
        let before = held(&pair, "A");
        pair.resync().ok();
        pair.verify().ok();
        assert_eq!(
            [held(&pair, "A"), held(&pair, "B")],
            [before.clone(), before],
            "{change}"
        );
        free(&pair);
    }
}

#[test]
fn immutable() {
    all_changes("i");
}

#[test]
fn append_only() {
    all_changes("a");
}

/// `mirror resync` under a command that takes something from it.
fn under(pair: &Pair, words: &[&str]) -> Output {
    let mirror = dist().join("mirror");
    let script = format!("{} {} resync $V --yes", words.join(" "), mirror.display());
    let tab = pair.mirror_command("resync");
    let mut c = Command::new("bash");
    c.args(["-c", &script]).env("V", pair.v());
    for (k, v) in tab.get_envs() {
        if let Some(v) = v {
            c.env(k, v);
        }
    }
    Output::from_std(c.output().unwrap())
}

#[test]
fn a_repair_that_fails_puts_them_back() {
    need!(root);
    need!("chattr", "lsattr");
    let Some(pair) = pair("i") else { return };
    pair.bypass("chattr -i $A/d/held $A/d; head -c 300000 /dev/zero > $A/d/held; head -c 300000 /dev/zero > $A/d/new; chattr +i $A/d/held $A/d").ok();
    let before = held(&pair, "B");
    let o = under(&pair, &["ulimit -f 64;"]);
    assert!(o.code == 1 || o.code == 2, "{o:?}");
    assert_eq!(held(&pair, "B"), before, "{o:?}");
    pair.resync().ok();
    pair.verify().ok();
    free(&pair);
}

#[test]
fn who_may_not_lift_them_is_told() {
    need!(root);
    need!("chattr", "lsattr", "setpriv");
    for (change, what) in [
        ("rm $B/d/f", "/d"),
        ("echo more > $B/d/new", "/d"),
        ("echo longer than that > $B/d/held", "/d/held"),
    ] {
        let Some(pair) = pair("i") else { return };
        pair.bypass(&format!(
            "chattr -i $B/d/held $B/d; {change}; chattr +i $B/d/held $B/d"
        ))
        .ok();
        let before = held(&pair, "B");
        let o = under(
            &pair,
            &[
                "setpriv",
                "--inh-caps=-linux_immutable",
                "--bounding-set=-linux_immutable",
            ],
        );
        let said = format!("{}{}", o.text(), String::from_utf8_lossy(&o.err));
        let wanted = format!("{what} is immutable or append-only");
        assert!(
            o.code == 1 && said.contains(&wanted) && said.contains("As root"),
            "{change}: {o:?}"
        );
        assert_eq!(held(&pair, "B"), before, "{change}");
        free(&pair);
    }
}

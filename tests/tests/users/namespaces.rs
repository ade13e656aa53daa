//! User namespaces: a user is shown with another number there, and root as nobody. Programs of the pair's user go on as
//! outside; who is not told from others changes nothing.
use super::{ANN, STRANGER, Who, anns, healthy};
use mirror_tests::{Output, Pair, dist, need, skip};
use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Command;

const CHANGES: &str = "cd $V && echo hi > f && mkdir d && mv f d/g && echo more >> d/g && ln d/g h && rm h && cat d/g && rm -r d";

/// What variables name is this user's own: root's does not count there.
fn with_own<'a>(pair: &Pair, who: Who, c: &'a mut Command) -> &'a mut Command {
    let set = c.get_envs().find(|(k, _)| *k == "MIRROR_CACHE");
    let images = PathBuf::from(set.unwrap().1.unwrap());
    let own = pair.scratch().join(format!("cache{}", who.0));
    if fs::create_dir(&own).is_ok() {
        for e in fs::read_dir(images).unwrap() {
            let to = own.join(e.as_ref().unwrap().file_name());
            fs::copy(e.unwrap().path(), &to).unwrap();
            chown(&to, Some(who.0), Some(who.0)).unwrap();
        }
        chown(&own, Some(who.0), Some(who.0)).unwrap();
    }
    c.env("MIRROR_CACHE", own)
        .env("MIRRORTAB", own_tab(pair, who))
}

fn own_tab(pair: &Pair, who: Who) -> PathBuf {
    let tab = pair.scratch().join(format!("tab{}", who.0));
    fs::copy(pair.tab(), &tab).unwrap();
    chown(&tab, Some(who.0), Some(who.0)).unwrap();
    tab
}

/// `script` below unshare with this option.
fn within(pair: &Pair, who: Who, option: &str, script: &str) -> Option<Output> {
    let probe = who.does(pair.native_command("unshare").args([option, "true"]));
    if probe.code != 0 {
        skip(format!("no user namespace here: {probe:?}"));
        return None;
    }
    let mut c = pair.command("unshare");
    c.args([option, "bash", "-c", script]);
    Some(who.does(with_own(pair, who, &mut c)))
}

#[test]
fn a_user_who_is_root_there_goes_on() {
    need!(root);
    need!("unshare");
    let pair = anns();
    for option in ["-r", "-rm", "-c"] {
        let Some(o) = within(&pair, ANN, option, CHANGES) else {
            return;
        };
        assert_eq!(o.ok().text(), "hi\nmore", "{option}");
        let o = within(&pair, ANN, option, "echo kept >> $V/log").unwrap();
        o.ok();
    }
    assert_eq!(
        fs::read_to_string(pair.b().join("log")).unwrap(),
        "kept\n".repeat(3)
    );
    healthy(&pair);
}

/// bubblewrap maps its users when its root is a new one, and /proc stands outside of it.
#[test]
fn a_sandbox_that_an_ordinary_user_makes() {
    need!(root);
    need!("bwrap");
    let pair = anns();
    let (v, b) = (
        pair.v().display().to_string(),
        pair.b().display().to_string(),
    );
    let args = [
        "--unshare-user",
        "--ro-bind",
        "/",
        "/",
        "--dev",
        "/dev",
        "--dev-bind",
        "/dev/shm",
        "/dev/shm",
    ];
    let binds = ["--bind", &v, &v, "--bind", &b, &b];
    let probe = ANN.does(pair.native_command("bwrap").args(args).arg("true"));
    if probe.code != 0 {
        return skip(format!("no sandbox here: {probe:?}"));
    }
    let mut c = pair.command("bwrap");
    c.args(args).args(binds).args(["bash", "-c", CHANGES]);
    let o = ANN.does(with_own(&pair, ANN, &mut c)).ok();
    assert_eq!(o.text(), "hi\nmore");
    healthy(&pair);
}

/// Nobody is told from anybody there, or is another user's root.
#[test]
fn who_is_not_the_pairs_user_changes_nothing_there() {
    need!(root);
    need!("unshare");
    let pair = anns();
    for leg in [pair.a(), pair.b()] {
        fs::write(leg.join("all"), "").unwrap();
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        fs::set_permissions(leg.join("all"), all).unwrap();
    }
    for (who, option) in [(ANN, "-U"), (STRANGER, "-r"), (STRANGER, "-U")] {
        let script = "exec 2> /dev/null; echo x >> $V/all; echo x > $V/new; true";
        let mut c = pair.preloaded("unshare");
        c.args([option, "bash", "-c", script]);
        let o = who.does(with_own(&pair, who, &mut c));
        // Where nobody is told from anybody, an image that a variable names is nobody's either.
        assert!(o.code == 0 || o.code == 78, "{o:?}");
        for leg in [pair.a(), pair.b()] {
            assert_eq!(fs::read(leg.join("all")).unwrap(), b"", "{option}");
            assert!(!leg.join("new").exists(), "{option}");
        }
    }
}

/// The system's mirrortab and images are root's, who is shown as nobody; below HOME lies the user's own.
#[test]
fn the_places_of_mirrortabs_count_there() {
    need!(root);
    need!("unshare", "setpriv");
    let pair = anns();
    let (uid, own) = (ANN.0, own_tab(&pair, ANN));
    let script = format!(
        "cp -a /etc $P/etc && mount --bind $P/etc /etc || exit 77
         mkdir -p $P/home/.config/mirror && cp -p {own} $P/home/.config/mirror/mirrortab && chown -R {uid} $P/home
         as() {{ env -u MIRRORTAB -u MIRROR_CACHE HOME=$P/home setpriv --reuid {uid} --regid {uid} --clear-groups {dist}/mirror run -- \"$@\"; }}
         for place in home system; do
             [ $place = home ] || {{ install -m 644 {own} /etc/mirrortab; rm -r $P/home/.config; }}
             as unshare -r bash -c \"echo $place >> $V/places\" || exit 1
             as unshare -c bash -c \"echo $place >> $V/places\" || exit 1
         done",
        own = own.display(),
        dist = dist().display(),
    );
    let Some(o) = pair.in_namespace(&script) else {
        return;
    };
    o.ok();
    for leg in [pair.a(), pair.b()] {
        let text = fs::read_to_string(leg.join("places")).unwrap();
        assert_eq!(text, "home\nhome\nsystem\nsystem\n");
    }
    pair.assert_equal();
}

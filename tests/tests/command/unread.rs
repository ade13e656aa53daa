//! What cannot be read is not taken for empty: no pair is said to be in sync over it.
use super::*;

/// A file of the control folder that the command refuses to read whole, whoever runs it.
fn too_long(e: &Env, rel: &str) {
    let file = fs::File::options().create(true).append(true).open(e.p(rel));
    file.unwrap().set_len(65 << 20).unwrap();
}

/// What a restart takes away: the runtime file, and what stands in it.
fn restart(e: &Env) {
    for leg in ["a", "b"] {
        fs::write(e.p(leg).join(".mirror/owner"), [0; 64]).unwrap();
    }
}

#[test]
fn a_list_of_differences() {
    for leg in ["a", "b"] {
        let e = pair(&format!("list-{leg}"));
        let list = format!("{leg}/.mirror/pending");
        e.write(&list, "some/file\n");
        too_long(&e, &list);
        restart(&e);
        e.expect(
            &["status", "a"],
            2,
            &[
                "state     DAMAGED",
                "cannot be read",
                "M-211",
                "action    rm ",
            ],
        );
        e.expect(&["wait", "a", "--timeout", "0"], 1, &["cannot be read"]);
        let before = fs::metadata(e.p(&list)).unwrap().len();
        e.expect(&["resync", "--yes"], 2, &["cannot be read"]);
        assert_eq!(fs::metadata(e.p(&list)).unwrap().len(), before);
        e.expect(&["verify"], 0, &["0 differences"]);
        e.expect(&["status"], 2, &["DAMAGED"]);
        fs::remove_file(e.p(&list)).unwrap();
        e.expect(&["resync", "--yes"], 0, &["IN SYNC"]);
        e.expect(&["status"], 0, &["IN SYNC"]);
    }
}

/// The one that can be read may be the older one.
#[test]
fn the_record_of_the_last_comparison_on_one_leg() {
    for leg in ["a", "b"] {
        let e = pair(&format!("verified-{leg}"));
        e.expect(&["verify"], 0, &[]);
        e.expect(&["status"], 0, &["IN SYNC"]);
        e.write(&format!("{leg}/.mirror/verified"), "?");
        e.expect(&["status"], 1, &["UNVERIFIED"]);
        e.expect(&["status", "a"], 1, &["M-123", "mirror verify"]);
        e.expect(&["verify"], 0, &[]);
        e.expect(&["status"], 0, &["IN SYNC"]);
    }
}

/// The mark in the runtime file goes at a restart; what the audit has written of itself stays.
#[test]
fn what_an_audit_found_before_a_restart() {
    let e = pair("audited");
    e.expect(&["verify"], 0, &[]);
    let text = |last: u64, findings: u64, lost: u64| {
        let line = format!("1 t4 1 {last} {findings} 0 {lost}");
        e.write("a/.mirror/audit", &format!("{line:<127}\n"));
    };
    let later = 4_000_000_000;
    for (findings, lost, what) in [(2, 0, "the audit saw 2 changes"), (0, 1, "lost events")] {
        restart(&e);
        text(later, findings, lost);
        e.expect(&["status", "a"], 1, &["UNVERIFIED", what, "M-102"]);
    }
    // Before the last comparison, and nothing at all.
    text(1, 2, 1);
    e.expect(&["status"], 0, &["IN SYNC"]);
    text(later, 0, 0);
    e.expect(&["status"], 0, &["IN SYNC"]);
    too_long(&e, "a/.mirror/audit");
    e.expect(&["status", "a"], 1, &["UNVERIFIED", "cannot be read"]);
    fs::remove_file(e.p("a/.mirror/audit")).unwrap();
    e.expect(&["status"], 0, &["IN SYNC"]);
}

/// Nobody knows which runtime file is the pair's, nor what stands in it.
#[test]
fn the_records_of_who_uses_the_pair() {
    let e = pair("owners");
    for leg in ["a", "b"] {
        fs::write(e.p(leg).join(".mirror/owner"), [0xff; 64]).unwrap();
    }
    e.expect(
        &["status", "a"],
        1,
        &["UNVERIFIED", "cannot be known", ".mirror/owner of leg a"],
    );
    e.expect(&["verify"], 0, &[]);
    e.expect(&["status"], 0, &["IN SYNC"]);
}

/// A runtime file of this boot that is there, and is not what it should be.
#[test]
fn what_programs_share() {
    let e = pair("shared");
    e.expect(&["verify"], 0, &[]);
    let record = fs::read_to_string(e.p("a/.mirror/leg")).unwrap();
    let id = record.lines().find_map(|l| l.strip_prefix("pair="));
    let files = mirror_tests::runtime_files_of(&[id.unwrap().into()]);
    let [file] = &files[..] else {
        panic!("{files:?}");
    };
    let open = fs::File::options().write(true).open(file).unwrap();
    open.set_len(100).unwrap();
    e.expect(&["status", "a"], 1, &["UNVERIFIED", "cannot be known"]);
    fs::remove_file(file).unwrap();
}

#[test]
fn where_core_files_may_be() {
    let e = pair("cores");
    e.expect(&["status"], 0, &["IN SYNC"]);
    too_long(&e, "a/.mirror/cores");
    e.expect(&["status", "a"], 1, &["UNVERIFIED", "core files"]);
    fs::remove_file(e.p("a/.mirror/cores")).unwrap();
    e.expect(&["status"], 0, &["IN SYNC"]);
}

/// A small soft limit is not the command's, but that of what it runs.
#[test]
fn few_descriptors() {
    let e = pair("soft");
    e.write("src", "data");
    let soft = |n: u32, words: &str| {
        let script = format!("ulimit -Sn {n}; exec \"$0\" {words}");
        let c = e.command(&[]);
        let mirror = c.get_program().to_owned();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(script).arg(mirror);
        for (k, v) in c.get_envs() {
            match v {
                Some(v) => shell.env(k, v),
                None => shell.env_remove(k),
            };
        }
        finish(shell.current_dir(&e.dir).stdin(Stdio::null()))
    };
    for n in [8, 12, 16] {
        for (words, texts) in [
            ("status", &["IN SYNC"][..]),
            ("verify", &["0 differences"]),
            ("resync -y", &["IN SYNC"]),
            ("run -- cp src a/new", &[]),
            ("run --exec -- sh -c 'ulimit -Sn'", &[]),
        ] {
            let o = soft(n, words);
            check(o, &[words], 0, texts);
        }
        let o = soft(n, "run -- sh -c 'ulimit -Sn'");
        check(o, &["run"], 0, &[&n.to_string()]);
        let new = fs::read_to_string(e.p("b/new")).unwrap();
        assert_eq!(new, "data");
    }
}

/// What could not be looked at for want of descriptors is not damaged, and not lost.
#[test]
fn no_descriptors() {
    let e = pair("hard");
    need!("setpriv");
    let mut said = 0;
    for n in 4..14 {
        let script = format!(
            "ulimit -n {n}; exec setpriv --bounding-set -sys_resource --inh-caps -sys_resource \"$0\" status a"
        );
        let c = e.command(&[]);
        let mirror = c.get_program().to_owned();
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg(script)
            .arg(mirror)
            .env("MIRRORTAB", e.p("tab"));
        let o = finish(shell.current_dir(&e.dir).stdin(Stdio::null()));
        for wrong in [
            "DAMAGED",
            "LEG LOST",
            "NOT A PAIR",
            "LINK BROKEN",
            "DEGRADED",
        ] {
            assert!(!o.out.contains(wrong), "{n}: {}", o.out);
        }
        said += u32::from(o.out.contains("M-133"));
        assert!(!o.out.contains("UNVERIFIED"), "{n}: {}", o.out);
    }
    assert!(said > 0);
}

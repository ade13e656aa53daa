//! A return that fails at any of its calls says what the pair is then, and the same command goes on.
use super::*;

/// What it has said, wherever.
fn all(o: &Output) -> String {
    [&o.out[..], &o.err[..]]
        .map(String::from_utf8_lossy)
        .concat()
}

/// `leg online` whose nth of these calls fails; None: it has fewer.
fn online_failing_at(p: &Pair, call: &str, n: u32) -> Option<Output> {
    let c = p.mirror_command("leg");
    let log = p.scratch().join("strace");
    let o = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(&log)
        .args(["-e", &format!("trace={call}"), "-e"])
        .arg(format!("inject={call}:error=EIO:when={n}"))
        .arg(c.get_program())
        .args(["leg", "online", v(p), "b", "--yes"])
        .envs(c.get_envs().filter_map(|(k, v)| Some((k, v?))))
        .output()
        .unwrap();
    let met = fs::read_to_string(&log).unwrap().contains("(INJECTED)");
    met.then(|| Output::from_std(o))
}

/// What it must say.
fn states(b: LegB, marked: bool) -> &'static [&'static str] {
    match (b, marked) {
        (_, false) => &["Leg b is back"],
        (LegB::Joining, _) => &["Leg b is on its way back"],
        (LegB::Away, _) => &["was left behind again"],
        (LegB::InSync, true) => &["the mark on leg a stands"],
    }
}

#[test]
fn it_says_what_the_pair_is() {
    need!("strace");
    let p = pair(Kind::InPlace);
    p.run("mkdir $V/d; for i in 1 2 3; do echo $i > $V/d/$i; done")
        .ok();
    // With a program at work leg b is on its way back for a time.
    let mut stays = Told::shell(&p);
    stays.does("exec 7>>\"$V/log\" && echo 0 >&7");
    let (mut failed, mut joining) = (0, 0);
    for call in ["fdatasync", "fsync", "syncfs", "pwrite64", "ftruncate"] {
        for n in 1..40 {
            offline(&p);
            stays.does(&format!(
                "echo {call}-{n} >&7 && mv \"$V/d\" \"$V/e\" && mv \"$V/e\" \"$V/d\""
            ));
            let Some(o) = online_failing_at(&p, call, n) else {
                break;
            };
            let (b, marked) = (Words::of(&p).leg_b(), marked(&p));
            if o.code == 0 {
                // One for display alone, or for the record of the last comparison: the pair is whole.
                assert_eq!((b, marked), (LegB::InSync, false));
                p.assert_equal();
                if all(&o).contains("could not be recorded") {
                    p.resync().ok();
                }
                in_sync(&p);
                continue;
            }
            failed += 1;
            let text = all(&o);
            // Before anything was begun there is nothing to tell.
            if b == LegB::Joining || !marked {
                joining += 1;
                let says = states(b, marked).iter().any(|s| text.contains(s));
                assert!(says, "{call} {n}: {b:?}, mark {marked}: {o:?}");
                assert!(text.contains("mirror "), "{call} {n}: {o:?}");
            }
            if marked {
                let s = p.mirror("status", &[v(&p)]);
                assert!(
                    s.code == 1 && s.text().contains("DEGRADED"),
                    "{call} {n}: {s:?}"
                );
            }
            comes_back_at_last(&p);
            p.assert_equal();
        }
    }
    assert!(failed > 3 && joining > 1, "{failed} {joining}");
    stays.does("echo end >&7");
    stays.end();
    in_sync(&p);
    p.assert_equal();
}

fn marked(p: &Pair) -> bool {
    let mark = fs::read(p.a().join(".mirror/away")).unwrap_or_default();
    let s = p.mirror("status", &[v(p), "--json"]);
    !mark.is_empty() && s.text().contains("\"degraded\"")
}

/// What is left is mended by what it says to type.
#[track_caller]
pub(super) fn comes_back_at_last(p: &Pair) {
    let o = online(p);
    assert_eq!(o.code, 0, "{o:?}");
    if p.mirror("status", &[v(p)]).code != 0 {
        p.resync().ok();
    }
    in_sync(p);
}

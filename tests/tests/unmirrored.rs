//! Programs that cannot be mirrored and are started by mirrored ones: each is counted with its name, told once,
//! and its pair is to be compared when it had to do with it.
use mirror_tests::{Fs, Kind, Output, Pair, compile, compile_with, is_root, need, skip};
use std::fs;

const NOTHING: &str = "int main(void) { return 0; }";

/// A pair, and in $P `still` (a static program) and `starts`. `None`: they cannot be built here.
fn pair(kind: Kind, more: &[&str]) -> Option<Pair> {
    let pair = Pair::bare(kind, Fs::Plain).unwrap();
    let dir = pair.programs();
    let source = include_str!("../programs/starts.c");
    compile(&dir, "starts", source)?;
    compile_with(&dir, "still", NOTHING, "c", &["-static"])?;
    pair.init(more).ok();
    Some(pair)
}

fn status(pair: &Pair) -> (i32, String) {
    let o = pair.mirror("status", &[pair.v().to_str().unwrap(), "--json"]);
    (o.code, o.text())
}

/// (program, why, times, touched) of each record that status shows, sorted.
fn counted(pair: &Pair) -> Vec<(String, String, u32, String)> {
    let (_, text) = status(pair);
    let list = text.split("\"unmirrored\":[").nth(1).unwrap();
    let list = list.split(']').collect::<Vec<_>>().join("]");
    let mut found = vec![];
    for one in list.split("\"first\":").skip(1) {
        let field = |name: &str, end: char| {
            let at = one.split(&format!("\"{name}\":")).nth(1)?;
            Some(
                at.trim_start_matches(['"', '['])
                    .split(end)
                    .next()?
                    .to_owned(),
            )
        };
        let (Some(program), Some(why)) = (field("program", '"'), field("why", '"')) else {
            continue;
        };
        let times = field("times", ',').unwrap();
        let times = times.trim_end_matches('}').parse().unwrap();
        let touched = field("touched", ']').unwrap().replace('"', "");
        found.push((program, why, times, touched));
    }
    found.sort();
    found
}

fn run(pair: &Pair, script: &str) -> Output {
    let o = pair.run(script);
    println!("{script}: {o:?}");
    o
}

fn said(o: &Output) -> String {
    String::from_utf8_lossy(&o.err).into_owned()
}

/// What has to do with V, and how it is said.
const TOUCHES: &[(&str, &str)] = &[
    ("cd $V; $P/still", "cwd"),
    ("cd $V/d; $P/still", "cwd"),
    ("$P/still $V/d/f", "argument"),
    ("$P/still $V/not/there", "argument"),
    ("$P/still --to=$V/d", "argument"),
    ("$P/still -o$V/d", "argument"),
    ("$P/still if=$V/d/f", "argument"),
    ("$P/still /x:$A/d:/y", "argument"),
    ("cd $V/..; $P/still ./$(basename $V)/d/f", "argument"),
    ("cd $V/..; $P/still $(basename $V)", "argument"),
    ("ln -sfn $V $S/link; cd $S; $P/still link/d/f", "argument"),
    ("$P/still $B/d/f", "argument"),
    ("cp $P/still $V/still; cd /; $V/still", "argument"),
    ("$P/still < $V/d/f", "descriptor"),
    ("exec 7< $V/d; $P/still", "descriptor"),
    ("cd $V; $P/still d/f < d/f", "cwd,argument,descriptor"),
];

#[test]
fn what_has_to_do_with_the_pair_is_told() {
    let Some(pair) = pair(Kind::InPlace, &[]) else {
        return;
    };
    run(&pair, "mkdir $V/d; echo x > $V/d/f").ok();
    let mut wanted: Vec<(&str, u32)> = vec![];
    for (script, touched) in TOUCHES {
        let o = run(&pair, script).ok();
        let line = "mirror: 1 program ran unmirrored: still (static, 1 time). mirror verify $V\n";
        assert_eq!(said(&o), line, "{script}");
        match wanted.iter_mut().find(|w| w.0 == *touched) {
            Some(w) => w.1 += 1,
            None => wanted.push((touched, 1)),
        }
        let found = counted(&pair);
        let mut found: Vec<_> = found.iter().map(|f| (&*f.3, f.2)).collect();
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{script}");
    }
    let shown = pair.status();
    let line = format!(
        "1 program ran unmirrored: still (static, {} times)",
        TOUCHES.len()
    );
    assert!(shown.code == 1 && shown.text().contains(&line), "{shown:?}");
}

#[test]
fn a_verify_ends_it() {
    let Some(pair) = pair(Kind::Link, &[]) else {
        return;
    };
    run(&pair, "mkdir $V/d; echo x > $V/d/f").ok();
    // One of each.
    for i in [0, 2, 13, 14] {
        let (script, _) = TOUCHES[i];
        assert_eq!(status(&pair).0, 0, "{script}");
        run(&pair, script).ok();
        let (code, text) = status(&pair);
        assert!(
            code == 1 && text.contains("\"state\":\"unverified\""),
            "{script}: {text}"
        );
        pair.verify().ok();
    }
    // What it changed is found.
    run(&pair, "cd $V; $P/still").ok();
    pair.bypass("echo other > $A/d/f");
    assert_eq!(pair.mirror("verify", &[pair.v().to_str().unwrap()]).code, 1);
    assert_eq!(status(&pair).0, 1);
}

/// The time of a verify is kept in seconds: what is counted next must be after it.
fn fresh(pair: &Pair) {
    pair.verify().ok();
    let seconds = || {
        let now = std::time::SystemTime::now();
        now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
    };
    let now = seconds();
    while seconds() == now {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn what_has_not_is_told_and_nothing_more() {
    let Some(pair) = pair(Kind::InPlace, &[]) else {
        return;
    };
    let away = [
        "cd $S; $P/still",
        "cd $S; $P/still /etc/hosts --to=/tmp/x ./x -v $V.old ${V}x /backup$V/x",
        "cd $S; $P/still < /dev/null",
        "cd $S; printf '#!%s\\n' $P/still > script; chmod +x script; ./script",
        "cd $S; for how in execve execveat fexecve descriptor posix_spawn vfork; do $P/starts $how $P/still || exit; done",
    ];
    let mut times = 0;
    for script in away {
        let o = run(&pair, script).ok();
        let n = if script.contains("starts") { 6 } else { 1 };
        times += n;
        let word = if n == 1 { "time" } else { "times" };
        let line = format!("mirror: 1 program ran unmirrored: still (static, {n} {word})\n");
        assert_eq!(said(&o), line, "{script}");
        assert_eq!(status(&pair).0, 0, "{script}");
    }
    // All are one record: nothing in it differs.
    let wanted = ("still".into(), "static".into(), times, String::new());
    assert_eq!(counted(&pair), [wanted]);
    let shown = pair.status().ok().text();
    assert!(
        shown.contains(&format!("still (static, {times} times)")),
        "{shown}"
    );
    assert!(
        pair.mirror("status", &[])
            .ok()
            .text()
            .contains("still (static")
    );
}

#[test]
fn the_ways_to_start_one_in_the_pair() {
    let Some(pair) = pair(Kind::Link, &[]) else {
        return;
    };
    for how in [
        "execve",
        "execveat",
        "fexecve",
        "descriptor",
        "memfd",
        "posix_spawn",
        "vfork",
    ] {
        let o = run(&pair, &format!("cd $V; $P/starts {how} $P/still")).ok();
        let name = if how == "memfd" {
            "memfd:inmemory (deleted)"
        } else {
            "still"
        };
        assert!(
            said(&o).contains(&format!("{name} (static, 1 time). mirror verify")),
            "{how}: {o:?}"
        );
    }
    let found = counted(&pair);
    let times: Vec<_> = found.iter().map(|f| (&*f.0, f.2)).collect();
    assert_eq!(times, [("memfd:inmemory (deleted)", 1), ("still", 6)]);
    // What can be mirrored, and what does not start, counts for nothing.
    fresh(&pair);
    let script = "cd $V; $P/starts self /bin/true; $P/nothing; : > no; ./no; cp $P/still no; chmod -x no; ./no; rm no; ldd /bin/true; /lib64/ld-linux-x86-64.so.2 /bin/true; true";
    let o = run(&pair, script).ok();
    assert!(!said(&o).contains("unmirrored"), "{o:?}");
    assert_eq!((counted(&pair), status(&pair).0), (vec![], 0));
}

#[test]
fn the_kinds_of_programs() {
    let Some(pair) = pair(Kind::InPlace, &[]) else {
        return;
    };
    let none = ["-nostdlib", "-pie", "-fPIE", "-fno-stack-protector", "-O0"];
    let source = include_str!("../programs/nolibc.c");
    compile_with(&pair.programs(), "nolibc", source, "c", &none).unwrap();
    run(&pair, "cd $V; $P/nolibc; true").ok();
    let mut wanted = vec![("nolibc".to_owned(), "no libc".to_owned())];
    if is_root() {
        let shell = "cp /bin/true $P/gifted; chown 12345 $P/gifted; chmod 4755 $P/gifted";
        pair.plain(shell).ok();
        run(&pair, "cd $V; $P/gifted; $P/gifted").ok();
        wanted.insert(0, ("gifted".into(), "set-id".into()));
    } else {
        skip("set-id programs need root");
    }
    let found: Vec<_> = counted(&pair).into_iter().map(|f| (f.0, f.1)).collect();
    assert_eq!(found, wanted);
}

#[test]
fn the_policies() {
    let Some(quiet) = pair(Kind::InPlace, &["--unmirrorable", "quiet"]) else {
        return;
    };
    let script = "cd $V; $P/starts posix_spawn $P/still; echo $?; $P/still; echo $?";
    let o = run(&quiet, script).ok();
    assert_eq!((o.text().as_str(), said(&o).as_str()), ("0\n0", ""));
    assert_eq!(status(&quiet).0, 0);
    assert!(!quiet.status().text().contains("still"));
    // Counted all the same.
    assert_eq!(counted(&quiet).iter().map(|f| f.2).sum::<u32>(), 2);

    let refuse = pair(Kind::Link, &["--unmirrorable", "refuse"]).unwrap();
    let o = run(
        &refuse,
        &script.replace("; $P/still", " || true; cd $S; $P/still 2> /dev/null"),
    );
    assert_eq!(o.text(), "Permission denied\n126\n126", "{o:?}");
    assert!(
        said(&o).contains("1 program not started (unmirrorable=refuse): still (static, 2 times)"),
        "{o:?}"
    );
    let (code, text) = status(&refuse);
    assert!(code == 0 && text.contains("\"refused\":true"), "{text}");
    assert!(refuse.status().text().contains("unmirrorable=refuse"));
    // What was typed with the mirror's own leave runs, and is told.
    let mut c = refuse.mirror_command("run");
    c.args(["--allow-unmirrored", "still", "--"])
        .arg(refuse.programs().join("still"));
    let o = Output::from_std(c.output().unwrap()).ok();
    assert!(
        said(&o).contains("1 program ran unmirrored: still (static, 1 time). mirror verify"),
        "{o:?}"
    );
    assert_eq!(status(&refuse).0, 1);
    let tab = fs::read_to_string(refuse.tab()).unwrap();
    assert!(tab.contains("unmirrorable=refuse"), "{tab}");
    fs::write(refuse.tab(), tab.replace("=refuse", "=perhaps")).unwrap();
    let mut c = refuse.mirror_command("config");
    let o = Output::from_std(c.arg("check").output().unwrap());
    assert!(
        o.code == 78
            && format!("{}{}", o.text(), said(&o)).contains("unmirrorable=warn|refuse|quiet"),
        "{o:?}"
    );
    fs::write(refuse.tab(), tab).unwrap();
}

#[test]
fn a_process_that_never_changed_the_pair_counts_too() {
    need!("sh");
    let Some(pair) = pair(Kind::InPlace, &[]) else {
        return;
    };
    // No command around it: the preloaded shell alone.
    let script = "cd $V && exec $P/still";
    let o = pair.preloaded("sh").args(["-c", script]).output().unwrap();
    Output::from_std(o).ok();
    let wanted = ("still".into(), "static".into(), 1, "cwd".into());
    assert_eq!(counted(&pair), [wanted]);
    assert_eq!(status(&pair).0, 1);
}

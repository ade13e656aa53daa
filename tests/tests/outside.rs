//! Programs that have lost what tells where things are: texts, descriptors, roots. What they change is changed
//! on both legs with a plain directory's answer, or not at all with an error; never on one leg alone.
use mirror_tests::{Fs, Kind, Level, Output, Pair, compile, need};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

fn lost(kind: Kind) -> Option<Pair> {
    let pair = Pair::new(kind, Fs::Plain).unwrap();
    let source = include_str!("../programs/lost.c");
    compile(&pair.programs(), "lost", source)?;
    Some(pair)
}

/// What a call that failed must have left as it was.
fn touches(call: &str) -> &'static [&'static str] {
    match call {
        "open-create" | "write-created" => &["create"],
        "open-write" | "write-opened" | "fchmod-opened" => &["write"],
        "open-append" | "append" => &["append"],
        "fchmod-reads" | "futimens-reads" => &["reads"],
        "write-held" | "ftruncate-held" => &["held"],
        "append-held" => &["held2"],
        "mkdir" => &["mkdir"],
        "mknod" => &["mknod"],
        "symlink" => &["symlink"],
        "link" => &["link", "linked"],
        "rename" => &["rename", "renamed"],
        "renamedir" => &["renamedir", "renameddir"],
        "unlink" => &["unlink"],
        "rmdir" => &["rmdir"],
        "chmod" => &["chmod"],
        "chown" => &["chown"],
        "utimens" => &["utimens"],
        "truncate" => &["truncate"],
        "setxattr" => &["setxattr"],
        "removexattr" => &["removexattr"],
        "open-below" | "write-below" => &["sub/create"],
        "open-dots" | "write-dots" => &["dots"],
        "open-link" | "write-link" => &["real"],
        _ => &[],
    }
}

/// Type, mode and content of an object; `None`: there is none.
fn look(path: &Path) -> Option<(u32, u64, Vec<u8>)> {
    let m = fs::symlink_metadata(path).ok()?;
    let content = if m.is_file() {
        fs::read(path).unwrap()
    } else {
        Vec::new()
    };
    Some((m.mode(), m.nlink(), content))
}

fn lines(o: &Output) -> Vec<(String, String)> {
    let text = o.text();
    let words = text.lines().filter_map(|l| l.split_once(' '));
    words.map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

/// One case: runs it natively and in V. The calls whose answers differ.
fn case(pair: &Pair, stage: &str, way: &str, base: &str) -> Vec<String> {
    let name = format!("{stage}-{way}-{base}");
    let go = if stage == "go" {
        format!("$P/lost prepare - - $V $S {name} && exec $P/lost go {way} {base} $V $S {name}")
    } else {
        format!("exec $P/lost {stage} {way} {base} $V $S {name}")
    };
    let before = pair.scratch().join("before");
    fs::create_dir_all(&before).unwrap();
    let native = pair.plain(&format!(
        "$P/lost prepare - - {} $S {name} && {go}",
        before.display()
    ));
    assert_eq!(native.code, 0, "{name}: {native:?}");
    let mirrored = pair.run(&go);
    assert_eq!(mirrored.code, 0, "{name}: {mirrored:?}");
    println!("{name}");
    pair.assert_legs(Level::Strict);
    if !FILTERS.contains(&way) {
        pair.assert_nothing_pending();
    }
    let (native, mirrored) = (lines(&native), lines(&mirrored));
    let wanted: BTreeMap<_, _> = native.iter().cloned().collect();
    let mut differ = Vec::new();
    for (call, answer) in &mirrored {
        if wanted.get(call) == Some(answer) {
            continue;
        }
        assert_ne!(answer, "ok", "{name}: {call}");
        differ.push(format!("{call} {answer}"));
        // Unless another call on the same object was made.
        let mut made = mirrored.iter().filter(|(c, a)| c != call && a == "ok");
        if made.any(|(c, _)| touches(c).iter().any(|t| touches(call).contains(t))) {
            continue;
        }
        for object in touches(call) {
            let of = |tree: &Path| look(&tree.join(&name).join(object));
            assert_eq!(
                of(&before),
                of(pair.a()),
                "{name}: {call} {answer} has changed {object}"
            );
        }
    }
    differ
}

/// Below a filter, what is open for writing counts as pending.
const FILTERS: [&str; 4] = ["no-getcwd", "no-readlink", "no-texts", "no-statx"];

const BASES: [&str; 5] = ["cwd", "dirfd", "absolute", "proc", "symlink"];

/// All bases, with a process that is attached to the pair and with one that is not. `exact` says where the
/// answers must be a plain directory's.
fn way(kind: Kind, name: &str, exact: &[&str]) {
    let Some(pair) = lost(kind) else { return };
    let mut wrong = Vec::new();
    for base in BASES {
        for stage in ["both", "go"] {
            let differ = case(&pair, stage, name, base);
            if differ.is_empty() {
                continue;
            }
            let line = format!("{stage} {name} {base}: {}", differ.join(", "));
            println!("{line}");
            if exact.contains(&base) || exact.contains(&&*format!("{stage} {base}")) {
                wrong.push(line);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if exact.len() == BASES.len() {
        pair.assert_like_native();
    }
}

macro_rules! ways {
    ($($name:ident: $way:expr, $exact:expr;)+) => {
        $(#[test] fn $name() { way(Kind::InPlace, $way, $exact); })+
    };
}

ways! {
    nothing_is_lost: "nothing", &BASES;
    the_first_thread_is_gone: "leader-gone", &BASES;
    getcwd_is_refused: "no-getcwd", &BASES;
    texts_of_descriptors_are_refused: "no-readlink", &[];
    all_texts_are_refused: "no-texts", &[];
    no_status_without_times: "no-statx", &BASES;
    no_descriptor_is_left: "exhausted", &[];
    one_descriptor_is_left: "exhausted-but-1", &[];
    two_descriptors_are_left: "exhausted-but-2", &[];
}

macro_rules! ways_of_root {
    ($($name:ident: $way:expr, $exact:expr;)+) => {
        $(#[test] fn $name() { need!(root); way(Kind::InPlace, $way, $exact); })+
    };
}

ways_of_root! {
    a_thread_has_descriptors_of_its_own: "own-table", &[];
    a_thread_has_its_root_in_v: "thread-root", &[];
    a_thread_has_its_root_elsewhere: "thread-root-away", &[];
    another_thread_has_its_root_elsewhere: "others-root", &[];
    the_root_is_elsewhere: "chroot-away", &[];
    the_root_is_v: "chroot-into", &[];
    the_root_is_below_v: "chroot-below", &[];
    proc_is_not_there: "no-proc", &[];
}

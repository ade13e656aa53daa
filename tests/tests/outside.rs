//! Programs that have lost what tells where things are: texts, descriptors, roots. What they change is changed
//! on both legs with a plain directory's answer, or not at all with an error; never on one leg alone.
use mirror_tests::{Fs, Kind, Level, Output, Pair, compile, compile_with, need};
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
    a_child_has_made_v_the_root: "chroot-into-by-child", &[];
    a_child_has_made_the_root_elsewhere: "chroot-away-by-child", &[];
    proc_is_not_there: "no-proc", &[];
}

/// In a directory whose text is too long for the kernel, though not from the leg's root on.
#[test]
fn a_directory_has_no_text() {
    for base in ["cwd", "dirfd"] {
        let Some(pair) = lost(Kind::InPlace) else {
            return;
        };
        // 20 levels of 201 bytes; then 4,070 bytes from the root are the directory.
        let name = "x".repeat(50);
        let script = format!("exec $P/lost both nothing {base} $V $S {name} 20");
        let (native, mirrored) = (pair.plain(&script), pair.run(&script));
        assert!(native.code == 0 && mirrored.code == 0, "{mirrored:?}");
        for tree in [pair.a(), pair.b(), &pair.native()] {
            fs::rename(tree.join("n".repeat(200)), tree.join(base)).unwrap();
        }
        pair.assert_equal();
        assert_eq!(lines(&mirrored), lines(&native));
        pair.assert_like_native();
    }
}

/// Outside the pairs nothing is too deep: what is opened, handed on and inherited there is written.
#[test]
fn a_file_outside_has_no_text() {
    need!("python3");
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    let o = pair.both(
        "exec /usr/bin/python3 -B -c '
import os, subprocess
os.chdir(os.environ[\"S\"])
for i in range(25): os.mkdir(\"n\" * 200); os.chdir(\"n\" * 200)
d = os.open(\".\", os.O_RDONLY)
f = os.open(\"f\", os.O_CREAT | os.O_RDWR)
print(os.write(f, b\"one\"), os.fchmod(f, 0o600), os.ftruncate(f, 2))
g = os.open(\"g\", os.O_CREAT | os.O_WRONLY | os.O_APPEND, dir_fd=d)
print(os.write(g, b\"two\"), os.write(os.dup(g), b\"three\"))
print(subprocess.run([\"sh\", \"-c\", \"echo four; exec >> g; echo five; mkdir m; mv g m; rm f\"], stdout=f).returncode)
print(open(\"m/g\").read(), os.listdir(\".\"))
'",
    );
    assert_eq!(o.code, 0, "{o:?}");
}

/// The texts of a pair must go on to lead to it.
#[test]
fn a_directory_above_a_root_is_not_renamed() {
    need!("python3");
    for kind in [Kind::InPlace, Kind::Link] {
        let pair = Pair::new(kind, Fs::Plain).unwrap();
        let up = |p: &Path| p.parent().unwrap().display().to_string();
        let (a, b, v) = (up(pair.a()), up(pair.b()), up(pair.v()));
        let o = pair.run(&format!(
            "exec /usr/bin/python3 -B -c '
import ctypes, errno, os
def t(what, f):
    try: f(); print(what, \"renamed\")
    except OSError as e: print(what, errno.errorcode[e.errno])
for p in (\"{a}\", \"{b}\", \"{v}\"):
    t(p, lambda: os.rename(p, p + \".moved\"))
    os.chdir(os.path.dirname(p)); n = os.path.basename(p)
    t(n, lambda: os.rename(n, n + \".moved\"))
    d = os.open(\".\", os.O_RDONLY)
    t(\"dirfd\", lambda: os.rename(n, \"moved\", src_dir_fd=d, dst_dir_fd=d))
    os.mkdir(\"other\"); c = ctypes.CDLL(None, use_errno=True)
    print(c.renameat2(d, b\"other\", d, n.encode(), 2), errno.errorcode[ctypes.get_errno()])
    os.rmdir(\"other\"); t(\"none\", lambda: os.rename(n + \".none\", n + \".moved\"))
'"
        ));
        let text = o.ok().text();
        assert_eq!(text.matches(" EBUSY").count(), 12, "{text}");
        assert_eq!(text.matches("none ENOENT").count(), 3, "{text}");
        assert!(pair.a().exists() && pair.b().exists() && pair.v().exists());
    }
}

/// Renamed by a program that is not mirrored, while others are in V: who is attached goes on with both legs,
/// who is not gets an error.
#[test]
fn a_directory_above_a_root_is_renamed_unmirrored() {
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    let source =
        "#include <stdio.h>\nint main(int c, char **v) { return rename(v[1], v[2]) != 0; }";
    let flags = ["-static"];
    if compile_with(&pair.programs(), "move", source, "c", &flags).is_none() {
        return;
    }
    let up = pair.a().parent().unwrap().display().to_string();
    let work = "echo y > f; mkdir d; mv f d/g; echo z >> held; chmod 600 held; rm gone; ln -s x s";
    let o = pair.run(&format!(
        "cd $V; echo x > held; echo x > gone; $P/move {up} {up}.moved || exit 3; {work}; exec 5< .; cd /; mkdir /proc/self/fd/5/e; $P/move {up}.moved {up} || exit 3"
    ));
    assert_ne!(o.code, 3, "{o:?}");
    pair.assert_equal();
    let o = pair.run(&format!(
        "cd $V; $P/move {up} {up}.moved || exit 3; echo y > new; mkdir newd; echo q >> held; $P/move {up}.moved {up} || exit 3"
    ));
    assert_ne!(o.code, 3, "{o:?}");
    pair.assert_equal();
    assert!(!pair.a().join("new").exists() && !pair.a().join("newd").exists());
}

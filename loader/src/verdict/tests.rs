//! Small files, built by the system's compiler, whose verdicts are known.
use super::search::candidates;
use super::*;
use std::path::PathBuf;
use std::process::Command;

struct Room(PathBuf);
impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn room(name: &str) -> Room {
    let dir = std::env::temp_dir().join(format!("mirror-verdict-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    Room(dir)
}

/// Builds a library without anything of the compiler's own in it. `None`: there is no such compiler.
fn build(room: &Room, name: &str, source: &str, options: &[&str]) -> Option<PathBuf> {
    let extension = if name.starts_with("cpp") {
        "cc"
    } else if source.starts_with(".text") {
        "s"
    } else {
        "c"
    };
    let (from, to) = (
        room.0.join(format!("{name}.{extension}")),
        room.0.join(name),
    );
    std::fs::write(&from, source).unwrap();
    let compiler = if extension == "cc" { "c++" } else { "cc" };
    let mut c = Command::new(compiler);
    c.args([
        "-shared",
        "-nostdlib",
        "-fPIC",
        "-O1",
        "-Wl,--build-id=sha1",
        "-o",
    ]);
    let o = c.arg(&to).arg(&from).args(options).output();
    let Ok(o) = o else {
        // Skipped aloud: the test has nothing to look at.
        eprintln!("SKIP: no {compiler}");
        return None;
    };
    assert!(
        o.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&o.stderr)
    );
    Some(to)
}

const MAKES_A_CALL: &str = "long f(void) { long r; __asm__ volatile(\"syscall\" : \"=a\"(r) : \"a\"(39) : \"rcx\", \"r11\"); return r; }";
/// The bytes of a call in a number.
const HAS_THE_BYTES: &str = "int f(int x) { return x + 0x050f; } int g(int x) { return x ^ 0x340f; } int h(int x) { return x ^ 0x80cd; }";
/// A function that the unwind table does not know.
const PLAIN_ASM: &str =
    ".text\n.globl f\n.type f,@function\nf: add $0x050f,%eax\nret\n.size f,.-f\n";

#[test]
fn verdicts_of_small_files() {
    let r = room("small");
    let table: &[(&str, &str, &[&str], Verdict)] = &[
        ("call", MAKES_A_CALL, &[], Verdict::Own),
        ("stripped", MAKES_A_CALL, &["-s"], Verdict::Own),
        ("number", HAS_THE_BYTES, &[], Verdict::Clean),
        ("number-stripped", HAS_THE_BYTES, &["-s"], Verdict::Clean),
        (
            "number-no-frames",
            HAS_THE_BYTES,
            &["-fno-asynchronous-unwind-tables"],
            Verdict::Clean,
        ),
        (
            "number-nothing",
            HAS_THE_BYTES,
            &[
                "-fno-asynchronous-unwind-tables",
                "-s",
                "-fvisibility=hidden",
            ],
            Verdict::Unknown,
        ),
        (
            "cpp",
            "struct A { virtual ~A(); int n; }; A::~A() { n = 0x050f; } int f(A *a) { return a->n; }",
            &["-fno-rtti", "-Wl,--unresolved-symbols=ignore-all"],
            Verdict::Clean,
        ),
        ("empty", "int f(void) { return 1; }", &[], Verdict::Clean),
        ("asm", PLAIN_ASM, &[], Verdict::Clean),
        (
            "asm-hidden",
            ".text\nadd $0x050f,%eax\nret\n",
            &[],
            Verdict::Unknown,
        ),
        (
            "asm-short",
            ".text\n.globl f\n.type f,@function\nf: ret\n.size f,.-f\nadd $0x050f,%eax\n",
            &[],
            Verdict::Unknown,
        ),
        (
            "asm-data",
            ".text\n.globl f\n.type f,@function\nf: ret\n.byte 0x06\nadd $0x050f,%eax\n.size f,.-f\n",
            &[],
            Verdict::Unknown,
        ),
        (
            "int80",
            ".text\n.globl f\n.type f,@function\nf: int $0x80\nret\n.size f,.-f\n",
            &[],
            Verdict::Own,
        ),
        (
            "int3",
            ".text\n.globl f\n.type f,@function\nf: int $0x81\nret\n.size f,.-f\n",
            &[],
            Verdict::Clean,
        ),
        (
            "sysenter",
            ".text\n.globl f\n.type f,@function\nf: sysenter\nret\n.size f,.-f\n",
            &[],
            Verdict::Own,
        ),
        (
            "prefixed",
            ".text\n.globl f\n.type f,@function\nf: .byte 0x48\nsyscall\nret\n.size f,.-f\n",
            &[],
            Verdict::Own,
        ),
        (
            "writable",
            "int f(void) { return 1; }",
            &["-Wl,-N"],
            Verdict::Unknown,
        ),
    ];
    for (name, source, options, wanted) in table {
        let Some(file) = build(&r, name, source, options) else {
            continue;
        };
        let judged = judge(&file).unwrap().unwrap();
        assert_eq!(judged.verdict, *wanted, "{name}");
        assert_eq!(judged.key.as_ref().unwrap().build_id.len(), 20, "{name}");
    }
}

#[test]
fn what_has_no_verdict() {
    let r = room("none");
    std::fs::write(r.0.join("text"), "#!/bin/sh\n").unwrap();
    assert_eq!(judge(&r.0.join("text")).unwrap(), None);
    let Some(file) = build(&r, "whole", HAS_THE_BYTES, &[]) else {
        return;
    };
    let whole = std::fs::read(&file).unwrap();
    let mut foreign = whole.clone();
    foreign[18] = 183;
    for (name, bytes) in [
        ("head", &whole[..63]),
        ("foreign", &foreign),
        ("empty", &[]),
    ] {
        std::fs::write(r.0.join(name), bytes).unwrap();
        assert_eq!(judge(&r.0.join(name)).unwrap(), None, "{name}");
    }
    // A file that was cut: what is left is not looked at as if it were all.
    std::fs::write(r.0.join("cut"), &whole[..whole.len() / 4]).unwrap();
    let cut = judge(&r.0.join("cut")).unwrap();
    assert!(cut.is_none_or(|j| j.verdict == Verdict::Unknown));
    let file = build(&r, "nameless", HAS_THE_BYTES, &["-Wl,--build-id=none"]).unwrap();
    assert_eq!(judge(&file).unwrap().unwrap().key, None);
}

#[test]
fn bytes_are_found_wherever_they_are() {
    let all = |b: &[u8]| candidates(b).collect::<Vec<_>>();
    assert_eq!(all(&[0x0f, 0x05, 0x0f, 0x34, 0xcd, 0x80]), [0, 2, 4]);
    assert_eq!(all(&[0x0f, 0x0f, 0x05]), [1]);
    assert!(all(&[0x05, 0x0f]).is_empty() && all(&[0x0f]).is_empty() && all(&[]).is_empty());
}

#[test]
fn this_programs_libraries_are_found() {
    let me = std::env::current_exe().unwrap();
    let all = closure(&me);
    assert_eq!(all[0], me.canonicalize().unwrap());
    let libc = all.iter().find(|p| p.ends_with("libc.so.6")).unwrap();
    assert_eq!(judge(libc).unwrap().unwrap().verdict, Verdict::Own);
}

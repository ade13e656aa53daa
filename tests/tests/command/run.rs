//! `mirror run`: what is refused, and how it ends.
use super::*;

fn script(e: &Env, rel: &str, text: &[u8]) {
    fs::write(e.p(rel), text).unwrap();
    fs::set_permissions(e.p(rel), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn commands_that_are_not_there_or_cannot_run() {
    let e = pair("found");
    e.write("plain", "text");
    script(&e, "lost", b"#!/no/such/interpreter\n");
    script(&e, "junk", b"\x01\x00\x02\x00 not a program");
    e.expect(
        &["run", "frobnicate"],
        127,
        &["mirror: run: frobnicate: command not found"],
    );
    e.expect(&["run", "./frobnicate"], 127, &["no such file"]);
    e.expect(&["run", "./plain"], 126, &["Permission denied"]);
    e.expect(&["run", "."], 126, &["is a directory"]);
    e.expect(
        &["run", "./lost"],
        126,
        &["/no/such/interpreter is not there"],
    );
    e.expect(&["run", "./junk"], 126, &["exec format error"]);
}

/// The smallest ELF file with these program headers: (type, contents).
fn elf(machine: u16, parts: &[(u32, &[u8])]) -> Vec<u8> {
    let mut f = vec![0u8; 64 + 56 * parts.len()];
    f[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    f[16..20].copy_from_slice(&[3, 0, machine as u8, (machine >> 8) as u8]);
    f[20] = 1;
    f[32] = 64;
    f[52] = 64;
    f[54] = 56;
    f[56] = parts.len() as u8;
    f[58] = 64;
    for (i, (kind, data)) in parts.iter().enumerate() {
        let (at, h) = (f.len() as u64, 64 + 56 * i);
        f[h..h + 4].copy_from_slice(&kind.to_le_bytes());
        f[h + 8..h + 16].copy_from_slice(&at.to_le_bytes());
        f[h + 32..h + 40].copy_from_slice(&(data.len() as u64).to_le_bytes());
        f.extend_from_slice(data);
    }
    f
}

#[cfg(target_arch = "x86_64")]
const HERE: (u16, u16) = (62, 183);
#[cfg(target_arch = "aarch64")]
const HERE: (u16, u16) = (183, 62);

#[test]
fn programs_that_cannot_be_mirrored_are_refused() {
    let e = pair("refused");
    let interp: (u32, &[u8]) = (3, b"/lib64/ld-linux-x86-64.so.2\0");
    script(&e, "static", &elf(HERE.0, &[(1, b"")]));
    script(&e, "static-pie", &elf(HERE.0, &[(2, b"")]));
    script(
        &e,
        "go",
        &elf(
            HERE.0,
            &[interp, (4, b"\x04\0\0\0\x04\0\0\0\x04\0\0\0Go\0\0abcd")],
        ),
    );
    script(&e, "foreign", &elf(HERE.1, &[interp]));
    script(
        &e,
        "musl",
        &elf(HERE.0, &[(3, b"/lib/ld-musl-x86_64.so.1\0")]),
    );
    script(
        &e,
        "wrapped",
        format!("#!{}\n", e.p("static").display()).as_bytes(),
    );
    e.expect(&["run", "./static"], 125, &["static is statically linked: its writes would reach leg a only. Refused; --allow-unmirrored static"]);
    e.expect(&["run", "./static-pie"], 125, &["statically linked"]);
    e.expect(
        &["run", "./go"],
        125,
        &["go is a Go program and bypasses libc"],
    );
    e.expect(
        &["run", "./foreign"],
        125,
        &["libmirror.so cannot be loaded into it"],
    );
    e.expect(&["run", "./musl"], 125, &["musl"]);
    e.expect(
        &["run", "./wrapped"],
        125,
        &["wrapped: static is statically linked"],
    );
    e.expect(&["doctor", "./go"], 1, &["Go program"]);
    e.expect(&["status"], 0, &["IN SYNC"]);
}

#[test]
fn a_setuid_program_is_refused() {
    let e = pair("setuid");
    let name = if is_root() {
        fs::copy("/bin/true", e.p("suid")).unwrap();
        std::os::unix::fs::chown(e.p("suid"), Some(4711), None).unwrap();
        fs::set_permissions(e.p("suid"), fs::Permissions::from_mode(0o4755)).unwrap();
        "./suid"
    } else if fs::metadata("/usr/bin/passwd").is_ok_and(|m| m.mode() & 0o4000 != 0) {
        "/usr/bin/passwd"
    } else {
        skip("no setuid program of another user here");
        return;
    };
    e.expect(&["run", name], 125, &["is setuid", "--allow-unmirrored"]);
}

#[test]
fn a_library_that_cannot_be_loaded_stops_the_command() {
    let e = pair("library");
    e.write("empty.so", "");
    e.write("text.so", "this is no library\n");
    let libm = [
        "/lib/x86_64-linux-gnu/libm.so.6",
        "/lib64/libm.so.6",
        "/usr/lib/libm.so.6",
        "/lib/aarch64-linux-gnu/libm.so.6",
    ];
    let Some(libm) = libm.iter().find(|p| Path::new(p).exists()) else {
        return skip("no libm.so.6 found");
    };
    // A library that loads, but is not ours: the proof of attachment stays away.
    fs::copy(libm, e.p("other.so")).unwrap();
    let with = |lib: &str, texts: &[&str]| {
        let args = ["run", "sh", "-c", "echo ran; sleep 100000"];
        let o = check(
            finish(e.command(&args).env("MIRROR_LIB", e.p(lib))),
            &args,
            125,
            texts,
        );
        assert!(
            !o.out.contains("ran") || texts == ["did not attach"],
            "{}",
            o.out
        );
    };
    with("nosuch.so", &["nosuch.so: No such file"]);
    with("empty.so", &["empty"]);
    with("text.so", &["not a library"]);
    with("other.so", &["did not attach"]);
    e.expect(&["status"], 0, &["IN SYNC"]);
}

#[test]
fn the_commands_end_is_ours() {
    let e = pair("end");
    e.expect(&["run", "--", "sh", "-c", "exit 7"], 7, &[]);
    e.expect(&["run", "--", "sh", "-c", "kill -TERM $$"], 1015, &[]);
    e.expect(&["run", "--", "sh", "-c", "kill -KILL $$"], 1009, &[]);
    e.expect(
        &["run", "--exec", "--", "sh", "-c", "echo in; exit 5"],
        5,
        &["in"],
    );
    let mut c = e
        .command(&[
            "run",
            "--",
            "sh",
            "-c",
            "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let out = c.stdout.as_mut().expect("piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
    assert_eq!(line, "up\n");
    Command::new("kill")
        .arg(c.id().to_string())
        .status()
        .unwrap();
    assert_eq!(c.wait().unwrap().code(), Some(9));
}

#[test]
fn the_command_itself_stays_outside() {
    let e = pair("outside");
    let args = ["status"];
    check(
        finish(
            e.command(&args)
                .env("LD_PRELOAD", dist().join("libmirror.so")),
        ),
        &args,
        0,
        &["IN SYNC"],
    );
}

//! Programs and libraries with system calls of their own are named before they run, and kept on record for
//! the library.
use mirror_tests::{Fs, Kind, Pair, compile_with};
use std::path::Path;

const CALL: &str = "long own(void) { long r; __asm__ volatile(\"syscall\" : \"=a\"(r) : \"a\"(39) : \"rcx\", \"r11\"); return r; }";
const PLAIN: &str = "long own(void) { return 0x050f; }";
const MAIN: &str = "long own(void); int main(void) { return own() == 0; }";

fn doctor(pair: &Pair, cache: &Path, program: &Path, json: bool) -> String {
    let mut c = pair.mirror_command("doctor");
    c.arg(program).args(json.then_some("--json"));
    let o = c.env("MIRROR_CACHE", cache).output().unwrap();
    mirror_tests::Output::from_std(o).ok().text()
}

#[test]
fn files_with_calls_of_their_own_are_named() {
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    let (dir, cache) = (pair.programs(), pair.scratch().join("cache"));
    let both = |text: &str| format!("{text}\n{MAIN}");
    let library = ["-shared", "-fPIC"];
    let found = ["-L.", "-lown", "-Wl,-rpath,$ORIGIN"];
    let found = found.map(|f| f.replace("-L.", &format!("-L{}", dir.display())));
    let found = found.each_ref().map(String::as_str);
    if compile_with(&dir, "libown.so", CALL, "c", &library).is_none() {
        return;
    }
    compile_with(&dir, "by-library", MAIN, "c", &found).unwrap();
    compile_with(&dir, "by-itself", &both(CALL), "c", &[]).unwrap();
    compile_with(&dir, "by-libc", &both(PLAIN), "c", &[]).unwrap();
    for (name, file) in [("by-itself", "by-itself"), ("by-library", "libown.so")] {
        let text = doctor(&pair, &cache, &dir.join(name), false);
        let line = format!("{file} makes system calls of its own");
        assert!(text.contains(&line), "{name}: {text}");
        let json = doctor(&pair, &cache, &dir.join(name), true);
        let key = format!(
            "\"file\":\"{}\"",
            dir.join(file).canonicalize().unwrap().display()
        );
        assert!(
            json.contains("\"own_calls\"") && json.contains(&key),
            "{name}: {json}"
        );
    }
    let text = doctor(&pair, &cache, &dir.join("by-libc"), false);
    assert!(text.contains("all go through libc"), "{text}");
    assert!(!doctor(&pair, &cache, &dir.join("by-libc"), true).contains("own_calls"));
}

/// The entries of a file of verdicts (docs/FORMATS.md).
fn entries(cache: &Path) -> u32 {
    let f = std::fs::read(cache.join("verdicts")).unwrap();
    assert_eq!(&f[..8], b"MIRRVRD\x01");
    let n = u32::from_le_bytes(f[12..16].try_into().unwrap());
    assert_eq!(f.len(), 32 + 48 * n as usize);
    n
}

#[test]
fn run_keeps_what_it_finds_out() {
    let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    let cache = pair.scratch().join("cache");
    let run = |program: &Path| {
        let mut c = pair.mirror_command("run");
        let o = c
            .env("MIRROR_CACHE", &cache)
            .arg("--")
            .arg(program)
            .output();
        mirror_tests::Output::from_std(o.unwrap()).ok();
        entries(&cache)
    };
    let script = pair.programs().join("script");
    std::fs::write(&script, "#!/bin/sh\ntrue\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).unwrap();
    // The shell, libc, the linker; then what is new with another program; then nothing.
    let first = run(&script);
    assert!(first >= 2, "{first}");
    let Some(new) = compile_with(
        &pair.programs(),
        "new",
        "int main(void) { return 0; }",
        "c",
        &[],
    ) else {
        return;
    };
    assert_eq!(run(&new), first + 1);
    assert_eq!(run(&new), first + 1);
    // One that others can write is not believed, and is made again.
    let file = cache.join("verdicts");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    assert!(run(&new) < first + 1 + 1);
    let mode = std::fs::metadata(&file).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&mode) & 0o777, 0o644);
    std::fs::write(&file, b"damaged").unwrap();
    run(&new);
}

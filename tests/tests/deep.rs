//! Trees deeper than a path can say: what the command makes of them.
use mirror_tests::{Kind, Pair, need};

/// A script of one leg: 120 directories of 100 bytes each (12,000 bytes), and what is in the last ones.
const MAKE: &str = r"
def down(n, make=True):
    for i in range(n):
        if make: os.mkdir('d' * 100)
        os.chdir('d' * 100)
";

/// Runs a Python script in a directory, without the mirror.
#[track_caller]
fn python(pair: &Pair, dir: &str, script: &str) -> String {
    let head = "import os, shutil, sys\nos.chdir(sys.argv[1])\n";
    let run = format!("/usr/bin/python3 -B - {dir} <<'EOF'\n{head}{MAKE}{script}\nEOF");
    pair.bypass(&run).ok().text()
}

/// Everything in a leg, as text.
fn list(pair: &Pair, leg: &str) -> String {
    python(
        pair,
        leg,
        r"
for top, dirs, files, fd in os.fwalk('.'):
    if '.mirror' in dirs: dirs.remove('.mirror')
    dirs.sort()
    print(len(top), [d.replace('d' * 100, 'D') for d in dirs], oct(os.fstat(fd).st_mode), os.listxattr(fd))
    for f in sorted(files):
        s = os.stat(f, dir_fd=fd, follow_symlinks=False)
        text = os.readlink(f, dir_fd=fd) if s.st_mode & 0o170000 == 0o120000 else open(os.open(f, os.O_RDONLY, dir_fd=fd)).read()
        print(f, oct(s.st_mode), s.st_size, s.st_mtime_ns if 'text' in text else '', text)",
    )
}

#[track_caller]
fn assert_equal(pair: &Pair) {
    let (a, b) = (list(pair, "$A"), list(pair, "$B"));
    let only = |x: &str, y: &str| {
        let y: std::collections::HashSet<&str> = y.lines().collect();
        let lines = x.lines().filter(|l| !y.contains(l));
        lines.collect::<Vec<_>>().join("\n")
    };
    assert!(a == b, "A:\n{}\nB:\n{}", only(&a, &b), only(&b, &a));
}

const FILL: &str = "
os.mkdir('top'); os.chdir('top'); down(120)
open('file', 'w').write('text'); os.link('file', 'too'); os.symlink('nowhere', 'link')
os.mkdir('empty'); os.chmod('empty', 0o700)
os.utime('file', (7, 7))";

const REMOVE: &str = "
for n in os.listdir('.'):
    if n != '.mirror': shutil.rmtree(n) if os.path.isdir(n) else os.unlink(n)";

/// init copies it, verify, diff and resync get through it, whatever differs at its end.
#[test]
fn the_command_gets_through() {
    need!("python3");
    let pair = Pair::bare(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    python(&pair, "$A", FILL);
    pair.init(&[]).ok();
    assert_equal(&pair);
    pair.verify().ok();

    for (leg, script) in [
        ("$B", "open('file', 'w').write('other')"),
        ("$B", "os.chmod('file', 0o600)"),
        (
            "$B",
            "os.unlink('too'); open('too', 'w').write('text'); os.utime('too', (7, 7))",
        ),
        ("$B", "os.unlink('link'); os.rmdir('empty')"),
        ("$B", "down(60); open('extra', 'w').write('text')"),
        ("$A", "down(60); open('new', 'w').write('text')"),
        (
            "$A",
            "os.unlink('file'); os.mkdir('file'); os.chdir('file'); down(2)",
        ),
        ("$B", "os.chdir(top); shutil.rmtree('top')"),
    ] {
        let enter = "top = os.getcwd(); os.chdir('top'); down(120, False)\n";
        python(&pair, leg, &format!("{enter}{script}"));
        let o = pair.verify();
        let text = o.text();
        assert!(o.code == 1 && text.contains("DIFFERENT"), "{script}: {o:?}");
        let long =
            script.contains("top'") || text.contains("  top/ddd") && text.contains(" bytes]/ddd");
        assert!(
            long && text.lines().all(|l| l.len() < 4200),
            "{script}: {text}"
        );
        let d = pair.mirror("diff", &[&pair.v().display().to_string()]);
        assert_eq!(d.code, 1, "{d:?}");
        pair.resync().ok();
        assert_equal(&pair);
        pair.verify().ok();
    }
    assert_eq!(pair.status().code, 0);
    for leg in ["$A", "$B"] {
        python(&pair, leg, REMOVE);
        python(&pair, &format!("{leg}/.mirror/kept"), REMOVE);
    }
}

/// A sink that has contents of its own keeps them.
#[test]
fn a_sink_with_a_deep_tree() {
    need!("python3");
    let pair = Pair::bare(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
    python(&pair, "$A", "open('file', 'w').write('text')");
    python(&pair, "$B", FILL);
    pair.init(&["--source", "a"]).ok();
    assert_equal(&pair);
    pair.verify().ok();
    let kept = list(&pair, "$B/.mirror/kept");
    assert!(kept.contains("file 0o100644 4 7000000000 text"), "{kept}");
    python(&pair, "$B/.mirror/kept", REMOVE);
}

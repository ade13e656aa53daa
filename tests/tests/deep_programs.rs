//! Trees deeper than a path can say: programs get the answers of a plain directory there, and both legs the same.
use mirror_tests::{Kind, Output, Pair, compile, each_kind, need};

/// Everything below a directory but the control folder, without a path: type, mode, size, names, content.
const LIST: &str = r"
import os, sys
os.chdir(sys.argv[1])
for top, dirs, files, fd in os.fwalk('.'):
    if len(top) == 1 and '.mirror' in dirs: dirs.remove('.mirror')
    dirs.sort()
    # Descriptors of all levels are open.
    s = os.fstat(fd)
    print(top.count('/'), len(top), oct(s.st_mode), os.listxattr(fd), [d if len(d) < 50 else len(d) for d in dirs])
    for f in sorted(files):
        s = os.stat(f, dir_fd=fd, follow_symlinks=False)
        kind, text = s.st_mode & 0o170000, ''
        if kind == 0o120000: text = os.readlink(f, dir_fd=fd).replace(sys.argv[1], 'V')
        if kind == 0o100000:
            with os.fdopen(os.open(f, os.O_RDONLY, dir_fd=fd), 'rb') as o: text = o.read()
        print('  ', f, oct(s.st_mode), s.st_nlink, s.st_size if kind != 0o120000 else '', text, s.st_mtime_ns if kind == 0o100000 and sys.argv[2] == 'times' else '')
";

const REMOVE: &str = r"
import os, shutil, sys
os.chdir(sys.argv[1])
for n in os.listdir('.'):
    if n != '.mirror': shutil.rmtree(n) if os.path.isdir(n) and not os.path.islink(n) else os.unlink(n)
";

/// A Python script over a directory, without the mirror.
#[track_caller]
fn python(pair: &Pair, dir: &str, times: &str, script: &str) -> String {
    let limit = "ulimit -Sn 4096; ";
    let run = format!("{limit}/usr/bin/python3 -B - {dir} '{times}' <<'EOF'\n{script}\nEOF");
    pair.bypass(&run).ok().text()
}

#[track_caller]
fn assert_lists(a: &str, b: &str, what: &str) {
    let only = |x: &str, y: &str| {
        let y: std::collections::HashSet<&str> = y.lines().collect();
        let lines = x.lines().filter(|l| !y.contains(l)).take(20);
        lines.collect::<Vec<_>>().join("\n")
    };
    assert!(
        a == b,
        "{what}\nonly here:\n{}\nonly there:\n{}",
        only(a, b),
        only(b, a)
    );
}

/// Both legs have the same, as told by a process without the library and by the command.
#[track_caller]
fn assert_equal(pair: &Pair) -> String {
    let a = python(pair, "$A", "times", LIST);
    assert_lists(&a, &python(pair, "$B", "times", LIST), "leg A and leg B");
    pair.assert_nothing_pending();
    pair.verify().ok();
    a
}

/// Runs a script natively and in V: the same output, leg A like the plain directory, and equal legs.
#[track_caller]
fn both(pair: &Pair, script: &str) -> Output {
    let script = format!("ulimit -Sn 1024; {script}");
    let (native, mirrored) = (pair.plain(&script), pair.run(&script));
    assert_lists(
        &mirrored.text(),
        &native.text(),
        &format!("answers in V and natively\n{mirrored:?}"),
    );
    assert_eq!(native.code, mirrored.code, "{native:?}\n{mirrored:?}");
    assert_equal(pair);
    let plain = pair.native().display().to_string();
    assert_lists(
        &python(pair, "$A", "", LIST),
        &python(pair, &plain, "", LIST),
        "leg A and natively",
    );
    mirrored
}

/// Left to the harness, it would be too deep.
fn remove(pair: &Pair) {
    for dir in ["$A", "$B", &pair.native().display().to_string()] {
        python(pair, dir, "", REMOVE);
    }
}

fn program(pair: &Pair, what: &str, lines: usize) {
    need!("python3");
    let deep = compile(&pair.programs(), "deep", include_str!("../programs/deep.c"));
    let source = include_str!("../programs/answers_path.c");
    if deep.is_none() || compile(&pair.programs(), "answers_path", source).is_none() {
        return;
    }
    let o = both(pair, &format!("$P/{what}")).ok();
    let n = o.text().lines().count();
    assert!(n >= lines, "{n} lines\n{}", o.text());
    remove(pair);
}

/// Shell commands in the last of many directories, then over the whole tree from its top.
const PROGRAMS: &str = r#"
import os, shutil, subprocess
os.chdir(os.environ['V'])
# A link pair's V is a symlink.
top = os.open('.', os.O_RDONLY)
def sh(line):
    r = subprocess.run(['sh', '-c', line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print('$', line, r.returncode, r.stdout.replace('d' * 100, 'D'), flush=True)
def down(n):
    for i in range(n): os.mkdir('d' * 100); os.chdir('d' * 100)
def tree(name):
    os.mkdir(name); os.chdir(name); down(60); open('half', 'w').write('half'); down(60); open('end', 'w').write('end'); os.fchdir(top)
os.mkdir('at'); os.chdir('at'); down(120)
sh('echo one > one; echo two >> one; cat one')
sh('mkdir -p a/b/c && cp one a/b/c/two && mv a/b z && ls -R a z')
sh('ln -s one l; ln one hard; chmod -R go-rwx z; touch -d @7 one z/c/two; stat -c %a:%h:%Y one z/c/two')
sh('tar cf - z | (mkdir x && tar xf - -C x) && find . -name two | sort')
sh('sed -i s/one/uno/ one; truncate -s 3 hard; head -c 3000 /dev/zero | dd of=zero bs=1k 2>/dev/null; wc -c *')
sh('cp -a z y && cp -al z w && install -m 755 one prog && sync prog; ls -l y w | wc -l')
sh('chown -R $(id -u) y && setfattr -n user.a -v 1 one 2>/dev/null; rm -rf x y; mkfifo p; mktemp -d ./tXXXXXX >/dev/null && rmdir t??????; rm p')
sh('git init -q g 2>&1 && cd g && echo x > f && git add f 2>&1 && git commit -qm m 2>&1; git clean -xdfq 2>&1; git log --oneline 2>&1 | wc -l')
sh('rm -rf g')
sh('python3 -c "import shutil; shutil.copytree(\'z\', \'zz\'); shutil.rmtree(\'z\')"; ls')
os.fchdir(top)
for i, line in enumerate(['rm -rf T', 'find T -delete', 'python3 -c "import shutil; shutil.rmtree(\'T\')"', 'chmod -R o= T && find T -type f | wc -l', 'cp -r T U; mv T moved; rm -rf U', 'tar cf - moved | (mkdir out && tar xf - -C out); find out | wc -l', 'find moved -name end -execdir rm {} +; find moved -depth -type d -name "d*" -execdir rmdir {} + ; find moved | wc -l', 'git init -q . && git clean -xdffq; ls -A | grep -v .mirror; rm -rf .git']):
    if 'T' in line and not os.path.exists('T'): tree('T')
    sh(line)
"#;

/// Each call of a change is its program's last once. Nobody acts on a name that is not the object's.
#[test]
fn killed_at_every_call() {
    need!("python3");
    Pair::with(Kind::InPlace, |pair| {
        let source = include_str!("../programs/deep.c");
        if compile(&pair.programs(), "deep", source).is_none() {
            return;
        }
        let d = mirror_tests::dist().display().to_string();
        let o = pair.bypass(&format!(
            "export SELF=$P/deep RUN={d}/mirror-run COMMAND={d}/mirror; exec $P/deep kills"
        ));
        let lines = o
            .text()
            .lines()
            .filter(|l| !l.ends_with(" many"))
            .collect::<Vec<_>>()
            .join("\n");
        assert_eq!(lines, "torn often, said each time", "{o:?}");
        assert_equal(pair);
        remove(pair);
    });
}

/// The other leg's path addresses the same.
#[test]
fn calls_by_the_path_of_leg_b() {
    need!("python3");
    Pair::with(Kind::InPlace, |pair| {
        let source = include_str!("../programs/deep.c");
        if compile(&pair.programs(), "deep", source).is_none() {
            return;
        }
        both(
            pair,
            "test -z \"$B\" || V=$B; export V; $P/deep calls; $P/deep climb",
        )
        .ok();
        remove(pair);
    });
}

/// Somebody has changed one tree alone there: a change finds it out, and it is on record.
#[test]
fn what_differs_is_recorded() {
    need!("python3");
    Pair::with(Kind::InPlace, |pair| {
        let down = "import os\nos.chdir(os.environ['V'])\nos.makedirs('x', exist_ok=True); os.chdir('x')\nfor i in range(60):\n os.makedirs('d' * 100, exist_ok=True); os.chdir('d' * 100)\n";
        let mirrored = |what: &str| {
            let o = pair.run(&format!("/usr/bin/python3 -B -c \"{down}{what}\""));
            (o.code, o.text())
        };
        let one = |leg: &str, what: &str| {
            let o = pair.bypass(&format!(
                "V={leg}; export V; /usr/bin/python3 -B -c \"{down}{what}\""
            ));
            o.ok();
        };
        let begin = "open('f', 'w').write('one'); open('g', 'w').write('one'); os.utime('f', (7, 7)); os.utime('g', (7, 7))";
        for (leg, differs, change, code) in [
            (
                "$B",
                "open('f', 'w').write('longer')",
                "os.chmod('f', 0o600)",
                0,
            ),
            (
                "$A",
                "open('f', 'w').write('longer')",
                "os.truncate('f', 1)",
                0,
            ),
            ("$B", "os.unlink('f')", "os.rename('f', 'h')", 0),
            ("$B", "os.unlink('f'); os.mkdir('f')", "os.unlink('f')", 0),
            ("$B", "os.mkdir('n'); open('n/in', 'w')", "os.mkdir('n')", 1),
            ("$B", "open('n', 'w').write('x')", "os.symlink('f', 'n')", 1),
            ("$A", "os.mkdir('only')", "os.chmod('only', 0o700)", 0),
            ("$A", "os.mkdir('only')", "open('only/in', 'w')", 1),
        ] {
            mirrored(begin);
            one(leg, differs);
            let (answer, text) = mirrored(change);
            assert_eq!(answer, code, "{differs}, {change}: {text}");
            let list = std::fs::read(pair.a().join(".mirror/pending")).unwrap();
            assert!(!list.is_empty(), "{differs}, {change}: nothing on record");
            pair.resync().ok();
            assert_equal(pair);
            remove(pair);
            pair.resync().ok();
        }
    });
}

#[test]
fn programs_of_every_day() {
    need!("python3");
    Pair::with(Kind::Link, |pair| {
        std::fs::write(pair.programs().join("every.py"), PROGRAMS).unwrap();
        let o = both(pair, "exec /usr/bin/python3 -B $P/every.py").ok();
        assert!(o.text().lines().count() > 40, "{}", o.text());
        remove(pair);
    });
}

each_kind! {
    fn calls_of_every_family(pair) {
        program(pair, "deep calls", 500);
    }

    fn no_descriptor_left_and_shared_memory(pair) {
        program(pair, "deep limits", 8);
    }

    fn down_up_and_moved(pair) {
        program(pair, "deep climb", 20);
    }

    fn names_of_any_length_below_other_names(pair) {
        program(pair, "answers_path lengths 1", 200);
    }
}

//! What a process remembers (the cwd, descriptors, proved parents) is never more than a hint: cases in
//! which the memory is out of date, and long random walks.
use mirror_tests::{Level, Pair, compile, each_kind};

/// Runs one case of hints.c and compares its output with the expected line.
fn case(pair: &Pair, name: &str, expected: &str) {
    let source = include_str!("../programs/hints.c");
    if compile(&pair.programs(), "hints", source).is_none() {
        return;
    }
    let o = pair.run(&format!("$P/hints {name}")).ok();
    assert_eq!(o.text().trim(), expected);
    pair.assert_equal();
}

/// Python without bytecode files.
fn python(pair: &Pair, script: &str) {
    pair.run(&format!("/usr/bin/python3 -B - <<'EOF'\nimport os\nV, S = os.environ['V'], os.environ['S']\n{script}\nEOF")).ok();
}

fn walk(pair: &Pair, seeds: std::ops::Range<u32>) {
    std::fs::write(
        pair.programs().join("fuzz.py"),
        include_str!("../programs/fuzz.py"),
    )
    .expect("fuzz.py");
    for seed in seeds {
        let o = pair.run(&format!("/usr/bin/python3 -B $P/fuzz.py $V {seed} 700"));
        println!("seed {seed}: {}", o.text());
        o.ok();
        pair.assert_legs(Level::Strict);
        pair.assert_nothing_pending();
    }
}

each_kind! {
    fn handlers_that_write_run_to_the_end(pair) {
        case(pair, "timer", "hung 0");
    }

    fn a_descriptor_is_its_directory_whatever_its_name(pair) {
        case(pair, "exchange", "wrong 0");
    }

    fn a_thread_has_a_cwd_of_its_own(pair) {
        case(pair, "thread", "there -1 0");
    }

    fn chdir_through_a_symlink_leads_into_v(pair) {
        python(pair, "
os.chdir(S); open('x', 'w').close(); os.unlink('x'); os.symlink(V, 'link')
os.chdir('link'); open('through', 'w').write('data'); os.mkdir('dir')");
        pair.assert_equal();
        assert!(pair.b().join("through").exists() && pair.b().join("dir").exists());
    }

    fn a_directory_outside_becomes_a_symlink_into_v(pair) {
        python(pair, "
import subprocess, time
d = S + '/p'; os.mkdir(d); open(d + '/f', 'w').close(); os.unlink(d + '/f')
subprocess.check_call('rmdir $S/p && ln -s $V $S/p', shell=True, env={**os.environ, 'LD_PRELOAD': ''})
time.sleep(0.1)
os.mkdir(d + '/new'); open(d + '/made', 'w').write('x')");
        pair.assert_equal();
        assert!(pair.b().join("new").exists() && pair.b().join("made").exists());
    }

    fn a_fifos_attributes_are_its_own(pair) {
        python(pair, "
os.mkfifo(V + '/f'); f = os.open(V + '/f', os.O_RDWR | os.O_NONBLOCK)
os.fchmod(f, 0o611); os.write(f, b'not data of the tree'); os.utime(f, ns=(1, 2))");
        pair.assert_equal();
    }

    fn a_slash_behind_a_symlink_is_followed_on_each_leg(pair) {
        python(pair, "
os.mkdir(V + '/d'); os.symlink(V + '/d', V + '/l'); os.chmod(V + '/l/', 0o710)
os.setxattr(V + '/l/', 'user.x', b'v'); os.utime(V + '/l/', ns=(3, 4))");
        pair.assert_equal();
    }

    fn a_file_whose_name_is_lost_is_changed_under_its_other_one(pair) {
        // Its other hard link is not known from the descriptor, and is looked for.
        python(pair, "
os.makedirs(V + '/x/y'); open(V + '/one', 'w').write('data'); os.link(V + '/one', V + '/x/y/two')
f = os.open(V + '/one', os.O_RDONLY); os.unlink(V + '/one')
os.close(os.open('/proc/self/fd/%d' % f, os.O_WRONLY | os.O_TRUNC)); os.fchmod(f, 0o611)");
        pair.assert_equal();
        assert_eq!(std::fs::read(pair.b().join("x/y/two")).expect("the other name"), b"");
    }

    fn a_file_whose_name_is_not_found_is_not_changed(pair) {
        // More names than a program looks at.
        pair.bypass("for r in $A $B; do mkdir $r/many && cd $r/many && seq 33000 | xargs touch -d @1; done").ok();
        python(pair, "
open(V + '/one', 'w').write('data'); os.makedirs(V + '/z/z'); os.link(V + '/one', V + '/z/z/two')
f = os.open(V + '/one', os.O_RDONLY); os.unlink(V + '/one')
def no(call):
    try: call()
    except OSError as e: return e.errno
p = '/proc/self/fd/%d' % f
r = [no(c) for c in (lambda: os.open(p, os.O_WRONLY | os.O_TRUNC), lambda: os.chmod(p, 0o600), lambda: os.truncate(p, 1), lambda: os.fchmod(f, 0o600))]
assert all(e in (None, 5) for e in r), r");
        pair.assert_equal();
    }

    fn a_new_root_does_not_hide_the_pair(pair) {
        if !mirror_tests::is_root() {
            mirror_tests::skip("chroot needs root");
            return;
        }
        python(pair, "
os.mkdir(V + '/first'); v = os.path.realpath(V); os.chroot(os.path.dirname(v)); os.chdir('/')
os.mkdir('/' + os.path.basename(v) + '/below'); os.chdir(os.path.basename(v)); open('named', 'w').write('x')");
        pair.assert_equal();
        assert!(pair.b().join("below").exists() && pair.b().join("named").exists());
    }

    fn random_walks_leave_equal_trees(pair) {
        walk(pair, 0..4);
    }

    fn more_random_walks_leave_equal_trees(pair) {
        walk(pair, 4..8);
    }
}

/// An inode number that an outside directory had is a directory's in V within the same tick of the clock.
#[test]
fn an_inode_number_that_comes_back_at_once() {
    Pair::with(mirror_tests::Kind::InPlace, |pair| {
        case(pair, "reuse", "ok");
    });
}

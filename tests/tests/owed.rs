//! A writer that is killed has not made its partner's mtime equal: who comes next does, and so does the end of
//! `mirror run`.
use mirror_tests::{Output, Pair, Talker, compile, in_place, send};

/// Changes f through a descriptor that stays open, or by a mapping; waits to be killed.
const OWING: &str = r#"#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>
static int is(const char *how, const char *name) { return !strcmp(how, name); }
static int linked(void)
{
    char self[40];
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    return fd >= 0 && !unlink("f") && !linkat(AT_FDCWD, self, AT_FDCWD, "f", AT_SYMLINK_FOLLOW) && write(fd, "w", 1) == 1;
}
static int opened(const char *how)
{
    char self[40];
    int old = open("f", O_RDWR);
    snprintf(self, sizeof self, "/proc/self/fd/%d", old);
    if (is(how, "emptied")) return open("f", O_WRONLY | O_TRUNC) >= 0;
    if (is(how, "emptied to read")) return open("f", O_RDONLY | O_TRUNC) >= 0;
    if (is(how, "emptied again")) return open(self, O_RDWR | O_TRUNC) >= 0;
    if (is(how, "emptied by creat")) return creat("f", 0600) >= 0;
    if (is(how, "created")) return !unlink("f") && open("f", O_WRONLY | O_CREAT | O_EXCL, 0600) >= 0;
    if (is(how, "created and written")) return !unlink("f") && write(creat("f", 0600), "written", 7) == 7;
    if (is(how, "linked")) return linked();
    return 0;
}
static int copied(const char *how, int fd)
{
    int from = open("from", O_RDONLY), p[2];
    if (is(how, "copied")) return sendfile(fd, from, 0, 9) == 9;
    if (is(how, "copied by range")) return copy_file_range(from, 0, fd, 0, 9, 0) == 9;
    return is(how, "spliced") && !pipe(p) && write(p[1], "spliced", 7) == 7 && splice(p[0], 0, fd, 0, 7, 0) == 7;
}
static int change(const char *how)
{
    struct iovec v = { "vector", 6 };
    int fd;
    if (opened(how)) return 1;
    fd = open("f", O_RDWR | (is(how, "append") ? O_APPEND : 0));
    if (is(how, "write") || is(how, "append")) return write(fd, "written", 7) == 7;
    if (is(how, "writev")) return writev(fd, &v, 1) == 6;
    if (is(how, "pwritev2")) return pwritev2(fd, &v, 1, 2, 0) == 6;
    if (is(how, "by a second number")) return write(dup(fd), "written", 7) == 7 && !close(fd);
    if (is(how, "mapped")) {
        char *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        return p != MAP_FAILED && (*p = 'M');
    }
    if (is(how, "shorter")) return ftruncate(fd, 3) == 0;
    if (is(how, "longer")) return ftruncate(fd, 5000) == 0;
    if (is(how, "allocated")) return fallocate(fd, 0, 0, 9000) == 0;
    if (is(how, "punched")) return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 9) == 0;
    if (is(how, "chmod after it")) return write(fd, "written", 7) == 7 && fchmod(fd, 0600) == 0;
    if (is(how, "named chmod after it")) return write(fd, "written", 7) == 7 && chmod("f", 0600) == 0;
    if (is(how, "attribute after it")) return write(fd, "written", 7) == 7 && fsetxattr(fd, "user.x", "x", 1, 0) == 0;
    if (is(how, "opened after it")) return write(fd, "written", 7) == 7 && open("f", O_RDWR) >= 0;
    if (is(how, "synced after it")) return write(fd, "written", 7) == 7 && fsync(fd) == 0;
    return copied(how, fd);
}
int main(int n, char **v)
{
    if (n != 3 || chdir(v[1]) || !change(v[2])) return 9;
    puts("done");
    fflush(stdout);
    pause();
}"#;

const WAYS: [&str; 25] = [
    "write",
    "append",
    "writev",
    "pwritev2",
    "by a second number",
    "mapped",
    "shorter",
    "longer",
    "allocated",
    "punched",
    "emptied",
    "emptied to read",
    "emptied again",
    "emptied by creat",
    "created",
    "created and written",
    "linked",
    "copied",
    "copied by range",
    "spliced",
    "chmod after it",
    "named chmod after it",
    "attribute after it",
    "opened after it",
    "synced after it",
];

fn owing(pair: &Pair, folder: &str, how: &str) -> Talker {
    let mut c = pair.preloaded(pair.programs().join("owing"));
    let t = Talker::start(c.arg(pair.v().join(folder)).arg(how));
    assert_eq!(t.line(), "done", "{how}");
    t
}

fn furnished(pair: &Pair, folder: &str) {
    let make = "mkdir $V/1; cd $V/1; for n in f from; do echo 'content of a file' > $n; done";
    pair.run(&make.replace("/1", &format!("/{folder}"))).ok();
}

/// The partner's time lags behind, however soon the writes came after each other.
fn behind(pair: &Pair, folder: &str) {
    let touch = "touch -d @1000000000 $B/1/f";
    pair.bypass(&touch.replace("/1/", &format!("/{folder}/")))
        .ok();
}

/// Changes no file: that could be one under the same lock object.
fn next(pair: &Pair) {
    let o = pair
        .preloaded("bash")
        .args(["-c", "mkdir $V/next.$$"])
        .output();
    Output::from_std(o.expect("running bash")).ok();
}

fn same_time(pair: &Pair, name: &str) -> bool {
    let [a, b] = [pair.a(), pair.b()].map(|leg| {
        let m = std::fs::metadata(leg.join(name)).expect("a file");
        m.modified().expect("a time")
    });
    a == b
}

fn killed(pair: &Pair, come: fn(&Pair)) {
    if compile(&pair.programs(), "owing", OWING).is_none() {
        return;
    }
    for how in WAYS {
        let folder = how.replace(' ', "_");
        furnished(pair, &folder);
        let mut t = owing(pair, &folder, how);
        t.signal(libc::SIGKILL);
        assert_eq!(t.end(), 137);
        behind(pair, &folder);
        come(pair);
        assert!(same_time(pair, &format!("{folder}/f")), "{how}");
        pair.assert_equal();
    }
    pair.assert_sound();
}

in_place! {
    fn the_next_program_settles_them(pair) {
        killed(pair, next);
    }

    fn the_end_of_a_run_settles_them(pair) {
        killed(pair, |pair| drop(pair.run("true").ok()));
    }

    fn those_of_the_living_are_their_own(pair) {
        if compile(&pair.programs(), "owing", OWING).is_none() {
            return;
        }
        furnished(pair, "killed");
        furnished(pair, "living");
        let mut dead = owing(pair, "killed", "write");
        let mut living = owing(pair, "living", "write");
        behind(pair, "living");
        next(pair);
        assert!(!same_time(pair, "living/f"), "both live");
        send(dead.pid(), libc::SIGKILL);
        assert_eq!(dead.end(), 137);
        behind(pair, "killed");
        next(pair);
        assert!(same_time(pair, "killed/f"), "the living one is not in the way");
        living.signal(libc::SIGKILL);
        assert_eq!(living.end(), 137);
        behind(pair, "living");
        next(pair);
        // Settled with the other's, while it lived.
        assert!(!same_time(pair, "living/f"));
        pair.resync().ok();
        pair.assert_sound();
    }

    fn none_is_settled_while_a_file_is_mapped(pair) {
        if compile(&pair.programs(), "owing", OWING).is_none() {
            return;
        }
        furnished(pair, "killed");
        furnished(pair, "living");
        let mut dead = owing(pair, "killed", "write");
        let mut living = owing(pair, "living", "mapped");
        send(dead.pid(), libc::SIGKILL);
        assert_eq!(dead.end(), 137);
        behind(pair, "killed");
        next(pair);
        assert!(!same_time(pair, "killed/f"));
        living.signal(libc::SIGKILL);
        assert_eq!(living.end(), 137);
        // What was mapped first, then the times.
        next(pair);
        pair.assert_equal();
        pair.assert_sound();
    }

    fn what_is_closed_is_not_owed(pair) {
        pair.run("echo one > $V/f; sleep 0.02; echo three >> $V/f").ok();
        // Not by a mirrored program: nobody sets it right but a resync.
        behind(pair, ".");
        next(pair);
        assert!(!same_time(pair, "f"));
        pair.run("true").ok();
        assert!(!same_time(pair, "f"));
        pair.resync().ok();
        pair.assert_sound();
    }
}

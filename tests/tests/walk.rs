//! A program against a plain directory, step by step: random walks with what it keeps open, seeded; calls at a
//! descriptor that is no directory; writes that answer an error when a part of them is done. `MIRROR_SOAK=1`:
//! thirty times the seeds.
use mirror_tests::{Fs, FsType, Kind, Pair, compile, need, soak};

const WALK: &str = concat!(
    include_str!("../programs/walk.c"),
    include_str!("../programs/walk_more.h")
);

/// Each seed in a folder of its own: the same answers as natively, and equal trees.
fn walks(pair: &Pair, from: u64, few: u64) {
    if compile(&pair.programs(), "walk", WALK).is_none() {
        return;
    }
    let count = if soak() { few * 30 } else { few };
    for seed in from..from + count {
        println!("seed {seed}");
        let o = pair.both(&format!("mkdir $V/{seed} && $P/walk $V/{seed} {seed} 1500"));
        assert_eq!(o.code, 0, "{o:?}");
        // It has done things, not only been refused.
        let done = o.text().lines().filter(|l| l.contains(" = 0 ")).count();
        assert!(done > 100, "seed {seed}: {done} steps did something");
    }
}

#[test]
fn in_place() {
    walks(&Pair::striped(Kind::InPlace, None), 1, 8);
}

#[test]
fn by_a_link() {
    walks(&Pair::striped(Kind::Link, None), 1001, 8);
}

/// A path that starts at what is no directory leads nowhere, whatever its text makes of ".." and of a name that
/// is gone.
#[test]
fn a_start_that_is_no_directory() {
    Pair::with(Kind::InPlace, |pair| {
        let source = include_str!("../programs/starts_at.py");
        std::fs::write(pair.programs().join("starts_at.py"), source).unwrap();
        let o = pair.both_ok("mkdir $V/t && /usr/bin/python3 -B $P/starts_at.py $V/t $S/elsewhere");
        assert!(o.text().lines().count() > 1400);
    });
}

/// What a write has done before it answers an error is on both legs.
#[test]
fn writes_that_fail_half_way() {
    need!(root);
    let Some(pair) = Pair::new(Kind::InPlace, Fs::Loop(FsType::Ext4, FsType::Ext4)) else {
        return;
    };
    let source = include_str!("../programs/halfway.c");
    if compile(&pair.programs(), "halfway", source).is_none() {
        return;
    }
    let o = pair.both_ok("$P/halfway $V");
    let refused = o
        .text()
        .lines()
        .filter(|l| l.ends_with(" -1 EINVAL"))
        .count();
    assert!(refused >= 6, "{o:?}");
    // It has changed something all the same.
    let text = std::fs::read(pair.b().join("write")).unwrap();
    assert_eq!((text.first(), text.len()), (Some(&b'w'), 187_849));
}

/// A fifo that is there is opened by any rule that its path keeps.
#[test]
fn every_rule_at_a_fifo() {
    Pair::with(Kind::InPlace, |pair| {
        if compile(&pair.programs(), "fiforules", FIFO).is_some() {
            let o = pair.both_ok("mkfifo $V/p && cd $V && $P/fiforules");
            assert!(
                o.text().lines().filter(|l| l.ends_with(" ok")).count() > 20,
                "{o:?}"
            );
        }
    });
}

const FIFO: &str = r#"
    #define _GNU_SOURCE
    #include <errno.h>
    #include <fcntl.h>
    #include <linux/openat2.h>
    #include <stdio.h>
    #include <string.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    int main(void) {
        int flags[] = {O_RDWR, O_RDWR | O_NONBLOCK, O_RDWR | O_NONBLOCK | O_CREAT, O_RDWR | O_TRUNC,
                       O_RDWR | O_NOFOLLOW | O_NONBLOCK, O_WRONLY | O_NONBLOCK, O_RDONLY | O_NONBLOCK,
                       O_RDWR | O_NONBLOCK | O_DIRECT};
        for (int i = 0; i < 8; i++)
            for (int rule = 0; rule <= RESOLVE_IN_ROOT; rule = rule ? rule * 2 : 1) {
                struct open_how h = {.flags = flags[i], .mode = flags[i] & O_CREAT ? 0600 : 0, .resolve = rule};
                int n = syscall(SYS_openat2, AT_FDCWD, "p", &h, sizeof h);
                printf("%o %d %s\n", flags[i], rule, n < 0 ? strerrorname_np(errno) : "ok");
                if (n >= 0) close(n);
            }
        return 0;
    }"#;

/// What a child changes that shares its parent's memory and not its descriptors: what it had first is not what the
/// parent has, nor is what a refused write has left.
#[test]
fn a_child_in_its_parents_memory_changes_first() {
    Pair::with(Kind::InPlace, |pair| {
        if compile(&pair.programs(), "vforked", VFORKED).is_some() {
            let o = pair.both_ok("cd $V && $P/vforked");
            assert!(o.text().contains("again"), "{o:?}");
        }
    });
}

const VFORKED: &str = r#"
    #define _GNU_SOURCE
    #include <errno.h>
    #include <fcntl.h>
    #include <stdio.h>
    #include <string.h>
    #include <sys/stat.h>
    #include <sys/wait.h>
    #include <unistd.h>
    static char page[4096] __attribute__((aligned(4096)));
    int main(int argc, char **argv) {
        struct timespec old[2] = {{1000, 1}, {1000, 1}};
        if (argc > 1) {
            // The number is a directory's now: what was beside it is not.
            int d = open("d", O_RDONLY | O_DIRECTORY);
            close(21);
            close(open("b", O_CREAT | O_RDWR, 0600));
            printf("again %d\n", fcntl(d, F_DUPFD, 21));
            printf("%zd\n", pwrite(21, "x", 1, 0));
            close(21);
            return 0;
        }
        if (!vfork()) {
            int n = open("child", O_CREAT | O_WRONLY, 0600);
            _exit(write(n, "child", 5) != 5);
        }
        wait(0);
        int n = open("direct", O_CREAT | O_RDWR | O_DIRECT, 0600);
        memset(page, 'p', sizeof page);
        printf("%zd\n", write(n, page, sizeof page));
        close(n);
        n = open("direct", O_RDWR | O_DIRECT);
        if (!vfork()) _exit(pwrite(n, page, 5, 0) == 5);
        wait(0);
        mkdir("d", 0755);
        utimensat(AT_FDCWD, "d", old, 0);
        n = open("a", O_CREAT | O_RDWR, 0600);
        dup2(n, 21);
        printf("%zd\n", write(n, "parent", 6));
        fflush(stdout);
        execl("/proc/self/exe", argv[0], "again", NULL);
        return 3;
    }"#;

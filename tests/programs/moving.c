/* For tests/tests/moving.rs: `moving MODE OUTSIDE`, with V in the environment. Threads make and remove names in a
 * directory, by its number or as the cwd, that another thread makes V, then OUTSIDE, then V again. Prints how
 * many calls each directory has got, as far as names that stay tell. Exit 0 unless an odd error came. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 3, ROUNDS = 250 };
static volatile int dir, ended;
static int v, out;
static int by_text; /* calls without a directory argument */

static void odd(const char *what) { fprintf(stderr, "%s: %s\n", what, strerrorname_np(errno)); exit(3); }
static void ok(const char *what, long r)
{
    if (r < 0 && errno != ENOENT && errno != EEXIST && errno != ENOTDIR && errno != EBADF && errno != ENOTEMPTY && errno != EXDEV && errno != ESTALE)
        odd(what);
}

static void *work(void *p)
{
    char n[6][32];
    for (int i = 0; i < ROUNDS; i++) {
        for (int k = 0; k < 6; k++) snprintf(n[k], 32, "%c%ld.%d", 'a' + k, (long)p, i);
        int keep = i % 4 == 0, fd;
        if (by_text) {
            if ((fd = open(n[0], O_CREAT | O_WRONLY | O_EXCL, 0644)) >= 0) close(fd); else ok("open", -1);
            ok("mkdir", mkdir(n[1], 0755));
            ok("symlink", symlink("to", n[2]));
            ok("rename", rename(n[0], n[3]));
            ok("link", link(n[3], n[4]));
            ok("chmod", chmod(n[1], 0700));
            ok("truncate", truncate(n[3], 5));
            if (!keep) { ok("unlink", unlink(n[3])); ok("rmdir", rmdir(n[1])); ok("unlink", unlink(n[2])); }
        } else {
            if ((fd = openat(dir, n[0], O_CREAT | O_WRONLY | O_EXCL, 0644)) >= 0) close(fd); else ok("openat", -1);
            ok("mkdirat", mkdirat(dir, n[1], 0755));
            ok("symlinkat", symlinkat("to", dir, n[2]));
            ok("renameat", renameat(dir, n[0], dir, n[3]));
            ok("linkat", linkat(dir, n[3], dir, n[4], 0));
            ok("mknodat", mknodat(dir, n[5], S_IFIFO | 0644, 0));
            ok("fchmodat", fchmodat(dir, n[1], 0700, 0));
            ok("fchownat", fchownat(dir, n[1], getuid(), getgid(), AT_SYMLINK_NOFOLLOW));
            if (!keep) { ok("unlinkat", unlinkat(dir, n[3], 0)); ok("rmdir", unlinkat(dir, n[1], AT_REMOVEDIR)); ok("unlinkat", unlinkat(dir, n[5], 0)); }
        }
    }
    return NULL;
}

static void pause_a_little(int i) { for (volatile int k = 0; k < 100 + i * 977 % 20000; k++) ; }

static void *move_by_dup(void *p)
{
    for (int i = 0; !ended; i++) { if (dup2(i % 2 ? v : out, 100) != 100) odd("dup2"); pause_a_little(i); }
    return p;
}

/* The number is closed and opened again; what it means in between is nothing. */
static void *move_by_open(void *p)
{
    for (int i = 0; !ended; i++) {
        close(dir);
        int n = openat(i % 2 ? v : out, ".", O_RDONLY | O_DIRECTORY);
        if (n < 0) odd("openat");
        dir = n;
        pause_a_little(i);
    }
    return p;
}

static void *move_by_chdir(void *p)
{
    for (int i = 0; !ended; i++) {
        if (i % 4 < 2 ? fchdir(i % 2 ? v : out) : chdir(i % 2 ? getenv("V") : (char *)p)) odd("chdir");
        pause_a_little(i);
    }
    return p;
}

/* What a program with a thread opens gets the lowest free number, whatever the library holds meanwhile. */
static void *idle(void *p)
{
    while (!ended) usleep(1000);
    return p;
}

static void lowest(const char *what, int n)
{
    int free = dup(0);
    if (n < 0 || free < 0) odd(what);
    /* n has been opened: the next free number lies above it. */
    if (free < n) { fprintf(stderr, "%s: %d, where %d was free\n", what, n, free); exit(5); }
    close(free);
    close(n);
}

static int numbers(const char *outside)
{
    pthread_t t;
    pthread_create(&t, NULL, idle, NULL);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2; i++) {
            int d = i ? v : out;
            lowest("openat, creating", openat(d, round ? "a" : "b", O_CREAT | O_WRONLY | O_EXCL, 0644));
            lowest("openat, writing", openat(d, round ? "a" : "b", O_WRONLY));
            lowest("openat, reading", openat(d, ".", O_RDONLY | O_DIRECTORY));
            if (fchdir(d)) odd("fchdir");
            lowest("open by the cwd", open(round ? "c" : "d", O_CREAT | O_WRONLY | O_EXCL, 0644));
            lowest("openat by the cwd", openat(AT_FDCWD, round ? "e" : "f", O_CREAT | O_RDWR, 0644));
        }
    }
    ended = 1;
    pthread_join(t, NULL);
    return chdir(outside);
}

static int names(const char *d)
{
    char cmd[4200], line[32];
    snprintf(cmd, sizeof cmd, "ls '%s' | wc -l", d);
    FILE *f = popen(cmd, "r");
    if (!f || !fgets(line, sizeof line, f)) odd("popen");
    pclose(f);
    return atoi(line);
}

int main(int argc, char **argv)
{
    pthread_t t[THREADS], mover;
    void *(*move)(void *) = !strcmp(argv[1], "dup") ? move_by_dup : !strcmp(argv[1], "reopen") ? move_by_open : move_by_chdir;
    umask(022);
    v = open(getenv("V"), O_RDONLY | O_DIRECTORY);
    out = open(argv[2], O_RDONLY | O_DIRECTORY);
    if (v < 0 || out < 0 || fchdir(out)) odd("open");
    if (!strcmp(argv[1], "numbers")) return numbers(argv[2]);
    dir = dup2(out, 100);
    by_text = move == move_by_chdir;
    pthread_create(&mover, NULL, move, argv[2]);
    /* The mover may have been without a processor: until both directories have been met. */
    for (long batch = 0; batch < 40 && (names(getenv("V")) < 20 || names(argv[2]) < 20); batch++) {
        for (long i = 0; i < THREADS; i++) pthread_create(&t[i], NULL, work, (void *)(batch * THREADS + i));
        for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    }
    ended = 1;
    pthread_join(mover, NULL);
    if (names(getenv("V")) < 20 || names(argv[2]) < 20) { fprintf(stderr, "not both have got names\n"); return 4; }
    return 0;
}

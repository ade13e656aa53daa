/* Programs for tests/scenarios.rs: `scenes NAME ARGS...`. Exit 0 when every call gave what it should. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { PARTNER = 4096 };
extern char **environ;
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static double end;
static int go(void) { return now() < end; }
static void odd(const char *what) { fprintf(stderr, "%s: %s\n", what, strerrorname_np(errno)); _exit(3); }
static long may(const char *what, long r, int e1, int e2, int e3) { if (r < 0 && errno != e1 && errno != e2 && errno != e3) odd(what); return r; }
static void say(const char *s) { if (write(1, s, strlen(s)) < 0) _exit(5); }
static int all_ended(void)
{
    int st, bad = 0;
    while (wait(&st) > 0) if (st) { fprintf(stderr, "status %x\n", st); bad = 1; }
    return bad;
}

/* F1: threads, relatives by fork and duplicates move one position by reading while others write there. */
static int fd, fd2, count;
static volatile int *writing;
static void *position_reader(void *p) { char b[9]; while (*writing) if (read(fd, b, 8) == 0) lseek(fd, 0, SEEK_SET); return p; }
static void *position_writer(void *p)
{
    char b[64];
    unsigned s = 1 + (long)p;
    memset(b, 'a' + (long)p, sizeof b);
    for (int i = 0; i < count; i++) { int n = 1 + rand_r(&s) % 64; if (write(i % 2 ? fd : fd2, b, n) != n) odd("write"); }
    return p;
}
static int offsets(const char *how, const char *mode, const char *n)
{
    pthread_t t[3];
    count = atoi(n) / 2;
    writing = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *writing = 1;
    fd = fd2 = open("f", O_RDWR | O_CREAT | (*mode == 'a' ? O_APPEND : 0), 0644);
    if (ftruncate(fd, 50000)) odd("ftruncate");
    if (*how == 'd') fd2 = dup(fd);
    if (*how != 't') {
        if (fork() == 0) { position_reader(NULL); _exit(0); }
        if (fork() == 0) { position_writer((void *)1L); _exit(0); }
    } else {
        pthread_create(&t[0], NULL, position_reader, NULL);
        pthread_create(&t[1], NULL, position_writer, (void *)1L);
    }
    pthread_create(&t[2], NULL, position_writer, (void *)2L);
    pthread_join(t[2], NULL);
    if (*how == 't') pthread_join(t[1], NULL);
    *writing = 0;
    if (*how == 't') pthread_join(t[0], NULL);
    return all_ended();
}

/* F2: whoever opens `y` gets one file on both legs. Each file holds a token of its own; the partner of
 * descriptor n answers reads under n + PARTNER. */
static int token(int f, char *b) { memset(b, 0, 24); return pread(f, b, 23, 0); }
static void fresh(const char *name, int n)
{
    char b[24] = "";
    snprintf(b, sizeof b, "%d.%d", getpid(), n);
    int f = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    if (may("open", f, ENOENT, 0, 0) < 0) return;
    if (write(f, b, 23) != 23) odd("write");
    close(f);
}
static void pairing_opener(const char *mode, int who)
{
    char a[24], b[24];
    int opens = 0, bad = 0;
    for (; go() || opens < 20; opens++) {
        int f = open("y", (who ? O_RDWR : O_RDWR | O_APPEND) | (*mode == 'c' ? O_CREAT : 0), 0644), tries = 0;
        if (may("open", f, ENOENT, 0, 0) < 0) continue;
        if (*mode == 'c') { snprintf(a, sizeof a, "%d.%d           ", getpid(), opens); if (pwrite(f, a, 23, 0) != 23) odd("pwrite"); }
        /* A write by somebody else may be half done at this instant; a wrong partner stays wrong. */
        double until = now() + 5;
        do {
            if (tries++ > 10) usleep(1000);
            if (token(f, a) < 0) odd("pread");
            if (token(f + PARTNER, b) < 0) { fprintf(stderr, "no partner: %s\n", strerrorname_np(errno)); bad++; break; }
        } while (memcmp(a, b, 23) && now() < until);
        if (memcmp(a, b, 23)) { fprintf(stderr, "mispaired: %s with %s\n", a, b); bad++; }
        close(f);
    }
    if (bad) { fprintf(stderr, "%d of %d opens are wrong\n", bad, opens); _exit(4); }
    _exit(0);
}
static int pairing(const char *mode, const char *seconds)
{
    end = now() + atof(seconds);
    fresh("y", 0); fresh("z", 1);
    for (int i = 0; i < 2; i++) if (fork() == 0) pairing_opener(mode, i);
    for (int n = 2; go(); n++) {
        if (*mode == 'r') { fresh("t", n); if (rename("t", "y")) odd("rename"); }
        else if (*mode == 'e') { if (renameat2(AT_FDCWD, "y", AT_FDCWD, "z", RENAME_EXCHANGE)) odd("exchange"); if (n % 9 == 0) fresh("z", n); }
        else { may("unlink", unlink("y"), ENOENT, 0, 0); usleep(300); }
    }
    return all_ended();
}

/* F9: attributes of a directory against what is made in it. */
static int attributes(const char *role, const char *seconds)
{
    char n[32];
    int made = 0;
    end = now() + atof(seconds);
    if (*role == 'c') {
        /* 0777 lets another user in, 02000 is inherited by directories. */
        while (go()) { if (chmod("D", 0700) || chmod("D", 0777) || chmod("D", 02777)) odd("chmod"); usleep(100); }
        return chmod("D", 0777);
    }
    close(open("attached", O_CREAT | O_WRONLY, 0644));
    if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)) odd("setresuid");
    for (int i = 0; go() || made < 5; i++) {
        snprintf(n, sizeof n, "D/%d.%d", getpid(), i % 5);
        int f = open(n, O_CREAT | O_WRONLY, 0644);
        if (may("open", f, EACCES, EISDIR, 0) >= 0) { made++; if (write(f, n, 5) != 5) odd("write"); close(f); }
        may("unlink", unlink(n), EACCES, ENOENT, EISDIR);
        may("mkdir", mkdir(n, 0755), EACCES, EEXIST, 0);
        if (i % 7) may("rmdir", rmdir(n), EACCES, ENOENT, ENOTDIR);
    }
    return 0;
}

/* F19: two trees change places while files are made deep in them. */
static int exchange(const char *seconds)
{
    static const char *const dirs[] = { "X", "X/1", "X/1/2", "X/1/2/3", "Y", "Y/1", "Y/1/2", "Y/1/2/3" };
    for (int i = 0; i < 8; i++) if (mkdir(dirs[i], 0755)) odd("mkdir");
    end = now() + atof(seconds);
    for (int who = 0; who < 3; who++) {
        if (fork()) continue;
        char n[64], m[64];
        int held = open(who % 2 ? "X/1" : "Y", O_RDONLY | O_DIRECTORY), made = 0;
        for (int i = 0; go() || made < 10; i++) {
            snprintf(n, sizeof n, "%c/1/2/3/%d.%d", "XY"[i % 2], who, i % 20);
            snprintf(m, sizeof m, "%s%d.%d", who % 2 ? "2/3/h" : "1/2/h", who, i % 20);
            int f = open(n, O_CREAT | O_WRONLY | (i % 3 ? 0 : O_EXCL), 0644);
            if (may("open", f, EEXIST, ENOENT, 0) >= 0) { made++; if (write(f, n, 7) != 7 || fchmod(f, 0600 + i % 64)) odd("write"); close(f); }
            f = openat(held, m, O_CREAT | O_WRONLY | O_APPEND, 0644);
            if (may("openat", f, ENOENT, 0, 0) >= 0) { if (write(f, m, 5) != 5) odd("write"); close(f); }
            if (i % 4 == 0) may("unlink", unlink(n), ENOENT, 0, 0);
            if (i % 5 == 0) { may("mkdirat", mkdirat(held, "sub", 0750), EEXIST, ENOENT, 0); may("unlinkat", unlinkat(held, "sub", AT_REMOVEDIR), ENOENT, ENOTEMPTY, 0); }
        }
        _exit(0);
    }
    for (int i = 0; go(); i++) {
        int r = i % 3 == 0 ? renameat2(AT_FDCWD, "X", AT_FDCWD, "Y", RENAME_EXCHANGE)
              : i % 3 == 1 ? renameat2(AT_FDCWD, "X/1", AT_FDCWD, "Y/1", RENAME_EXCHANGE)
              : rename("X/1/2", "Z") ?: rename("Y/1/2", "X/1/2") ?: rename("Z", "Y/1/2");
        if (r) odd("rename");
    }
    return all_ended();
}

/* F17: threads that write until the process ends; how it ends is the caller's business. */
static void *endless(void *p)
{
    char b[300], n[32];
    memset(b, 'a' + (long)p, sizeof b);
    snprintf(n, sizeof n, "t%ld", (long)p);
    int f = open(n, O_WRONLY | O_CREAT | ((long)p % 2 ? O_APPEND : 0), 0644);
    for (int i = 0;; i++) {
        if (write(f, b, 1 + i % 300) < 0) odd("write");
        if (i % 64 == 0 && (ftruncate(f, 10) || lseek(f, 0, SEEK_SET))) odd("ftruncate");
        if (i % 50 == 7) { snprintf(n, sizeof n, "n%ld", (long)p); int g = open(n, O_CREAT | O_WRONLY | O_TRUNC, 0644); if (g < 0 || write(g, b, 9) != 9 || close(g) || rename(n, "shared")) odd("replace"); }
    }
    return p;
}
static void leave(int s) { (void)s; exit(0); }
static int writers(const char *how)
{
    pthread_t t;
    if (*how == 'h') signal(SIGTERM, leave);
    for (long i = 0; i < 4; i++) pthread_create(&t, NULL, endless, (void *)i);
    say("started\n");
    if (*how == 'r') { usleep(20000 + (long)(now() * 1e6) % 5000); return 0; }
    for (;;) pause();
}

/* One change, between two marks for tracer.c, in a directory as `make` of scenarios.rs leaves it. */
static int change(const char *op)
{
    struct timespec t[2] = { { 1, 1 }, { 1234567890, 987654321 } };
    static char big[9000];
    int f = -1, r = -1;
    memset(big, 'B', sizeof big);
#define IS(name) !strcmp(op, name)
    if (IS("overwrite") || IS("extend") || IS("ftruncate") || IS("fallocate") || IS("fchmod") || IS("append") || IS("fsetxattr") || IS("futimens"))
        f = open("f", O_WRONLY | (IS("append") ? O_APPEND : 0));
    getppid();
    if (IS("overwrite")) r = pwrite(f, "overwritten", 11, 2) - 11;
    else if (IS("append")) r = write(f, "appended\n", 9) - 9;
    else if (IS("extend")) r = pwrite(f, big, sizeof big, 100) - sizeof big;
    else if (IS("ftruncate")) r = ftruncate(f, 4);
    else if (IS("fallocate")) r = fallocate(f, 0, 0, 7000);
    else if (IS("fchmod")) r = fchmod(f, 0604);
    else if (IS("futimens")) r = futimens(f, t);
    else if (IS("fsetxattr")) r = fsetxattr(f, "user.k", "v", 1, 0);
    else if (IS("truncate")) r = truncate("f", 5);
    else if (IS("chmod")) r = chmod("f", 0606);
    else if (IS("create")) { r = open("new", O_CREAT | O_EXCL | O_WRONLY, 0640); r = r < 0 ? r : 0; }
    else if (IS("unlink")) r = unlink("f");
    else if (IS("rename")) r = rename("f", "d/moved");
    else if (IS("replace")) r = rename("g", "f");
    else if (IS("link")) r = link("f", "d/hard");
    else if (IS("mkdir")) r = mkdir("newdir", 0750);
    else if (IS("rename_directory")) r = rename("d", "e/d2");
    else if (IS("exchange_directories")) r = renameat2(AT_FDCWD, "d", AT_FDCWD, "e", RENAME_EXCHANGE);
    getppid();
    return r ? (perror(op), 1) : 0;
}

/* F27: a change that says when it begins and ends, and runs a handler meanwhile. */
static void handled(int s) { (void)s; say("handled\n"); }
static int waiter(const char *kind)
{
    struct sigaction a = { .sa_handler = handled };
    sigaction(SIGUSR1, &a, NULL);
    say("started\n");
    int f = open("f", O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (f < 0 || write(f, "waited\n", 7) != 7) odd("append");
    close(f);
    if (*kind == 'n' && (f = open("other", O_WRONLY | O_CREAT, 0644)) < 0) odd("create");
    say("done\n");
    return 0;
}

/* F16: a child made by posix_spawn, whose descriptor is opened in V before its exec. */
static int spawner(const char *name, char *const argv[])
{
    pid_t p;
    int st;
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_addopen(&fa, 7, "spawned", O_WRONLY | O_CREAT | O_TRUNC, 0640);
    posix_spawn_file_actions_adddup2(&fa, 7, 8);
    posix_spawn_file_actions_addclose(&fa, 7);
    int e = posix_spawn(&p, name, &fa, NULL, argv, environ);
    if (e == 0) while (waitpid(p, &st, 0) < 0) ;
    /* The parent shares its memory with a child that died: it must still be able to do everything. */
    int f = open("parent", O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (f < 0 || write(f, "still here\n", 11) != 11 || close(f) || rename("parent", "parent2")) odd("parent");
    say("done\n");
    return 0;
}

/* F16: threads change things, others spawn children that open a file of V before their exec; killed. */
static void *spawning(void *p)
{
    char *argv[] = { "true", NULL };
    for (;;) {
        pid_t c;
        posix_spawn_file_actions_t fa;
        posix_spawn_file_actions_init(&fa);
        posix_spawn_file_actions_addopen(&fa, 7, "spawned", O_WRONLY | O_CREAT, 0644);
        if (posix_spawn(&c, "/bin/true", &fa, NULL, argv, environ) == 0) waitpid(c, NULL, 0);
        posix_spawn_file_actions_destroy(&fa);
    }
    return p;
}
static int spawning_writers(void)
{
    pthread_t t;
    for (long i = 0; i < 4; i++) pthread_create(&t, NULL, endless, (void *)i);
    for (long i = 0; i < 2; i++) pthread_create(&t, NULL, spawning, NULL);
    say("started\n");
    for (;;) pause();
}

int main(int argc, char **argv)
{
    const char *m = argv[1], *dir = getenv("DIR");
    if (chdir(dir && *dir ? dir : getenv("V"))) odd("chdir");
    if (!strcmp(m, "offsets")) return offsets(argv[2], argv[3], argv[4]);
    if (!strcmp(m, "pairing")) return pairing(argv[2], argv[3]);
    if (!strcmp(m, "attributes")) return attributes(argv[2], argv[3]);
    if (!strcmp(m, "exchange")) return exchange(argv[2]);
    if (!strcmp(m, "writers")) return writers(argv[2]);
    if (!strcmp(m, "spawning_writers")) return spawning_writers();
    if (!strcmp(m, "change")) return change(argv[2]);
    if (!strcmp(m, "waiter")) return waiter(argv[2]);
    if (!strcmp(m, "spawner")) { char *a[] = { argv[0], "child", NULL }; return spawner(argv[0], a); }
    if (!strcmp(m, "child")) return write(8, "inherited\n", 10) != 10 || mkdir("by_child", 0700);
    return 2;
}

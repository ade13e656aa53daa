/* What work outside V costs, and what must be noticed at once.
 *     costs count CASE N       in the current directory: prints how many system calls a round makes: of N,
 *                              nine tenths make as many or more
 *     costs turn WHAT V        prints `ok`, or what went wrong, after what was known of a place has changed
 * `count` forks: the parent traces the child, and counts from each getppid() to the next. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static char base[PATH_MAX];
static int dir;

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static void make(const char *p)
{
    int n = open(p, O_CREAT | O_WRONLY, 0644);
    if (n < 0) die(p);
    close(n);
}

/* The name of a round in the way that a case names things. */
static const char *name(const char *way, int i)
{
    static __thread char out[PATH_MAX + 64];
    const char *head = !strcmp(way, "relative") ? "" : !strcmp(way, "deep") ? "deep/er/" : !strcmp(way, "dots") ? ".hidden/.d/" : 0;
    if (head) snprintf(out, sizeof out, "%sf%d", head, i);
    else snprintf(out, sizeof out, "%s/deep/f%d", base, i);
    return out;
}

static void round_(const char *call, const char *way, int i)
{
    struct stat st;
    char other[PATH_MAX + 64];
    int n;
    if (!strcmp(way, "dirfd")) {
        snprintf(other, sizeof other, "f%d", i);
        if (!strcmp(call, "create")) { if ((n = openat(dir, other, O_CREAT | O_WRONLY, 0644)) < 0) die(call); close(n); }
        else if (!strcmp(call, "mkdir")) { if (mkdirat(dir, other, 0755) || unlinkat(dir, other, AT_REMOVEDIR)) die(call); }
        else if (!strcmp(call, "rename")) { if (renameat(dir, "there", dir, "here") || renameat(dir, "here", dir, "there")) die(call); }
        else if (!strcmp(call, "utimens")) { if (utimensat(dir, "there", 0, 0)) die(call); }
        else die(call);
        return;
    }
    const char *p = name(way, i);
    if (!strcmp(call, "stat")) { if (stat(p, &st) == 0) die(call); }
    else if (!strcmp(call, "create")) { make(p); }
    else if (!strcmp(call, "mkdir")) { if (mkdir(p, 0755) || rmdir(p)) die(call); }
    else if (!strcmp(call, "unlink")) { if (unlink(p) == 0 || errno != ENOENT) die(call); }
    else if (!strcmp(call, "symlink")) { if (symlink("x", p) || unlink(p)) die(call); }
    else if (!strcmp(call, "chmod")) { strcpy(other, name(way, 0)); if (chmod(other, 0600)) die(call); }
    else if (!strcmp(call, "truncate")) { strcpy(other, name(way, 0)); if (truncate(other, i)) die(call); }
    else if (!strcmp(call, "rename")) {
        char to[PATH_MAX + 64];
        strcpy(to, p);
        snprintf(other, sizeof other, "%s.new", to);
        if (link(name(way, 0), other) || rename(other, to) || unlink(to)) die(call);
    }
    else if (!strcmp(call, "fchmod")) { if ((n = open(name(way, 0), O_RDONLY)) < 0 || fchmod(n, 0600)) die(call); close(n); }
    else if (!strcmp(call, "pipe")) { int f[2]; if (pipe(f) || write(f[1], "x", 1) != 1) die(call); close(f[0]); close(f[1]); }
    else die(call);
}

static const char *call, *way;
static int rounds;

static void *work(void *unused)
{
    (void)unused;
    for (int i = 1; i <= 3; i++) round_(call, way, i);
    for (int i = 4; i < 4 + rounds; i++) {
        getppid();
        round_(call, way, i);
    }
    getppid();
    return 0;
}

static int less(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static int count(const char *how)
{
    int st, counting = 0, *calls = calloc(rounds + 2, sizeof *calls);
    pid_t first = fork(), pid;
    if (first == 0) {
        pthread_t t;
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        if (!strcmp(how, "thread")) {
            if (pthread_create(&t, 0, work, 0)) die("pthread_create");
            pthread_join(t, 0);
        } else work(0);
        _exit(0);
    }
    waitpid(first, &st, 0);
    ptrace(PTRACE_SETOPTIONS, first, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
    ptrace(PTRACE_SYSCALL, first, 0, 0);
    while ((pid = waitpid(-1, &st, __WALL)) > 0) {
        if (!WIFSTOPPED(st)) {
            if (pid == first) break;
            continue;
        }
        int sig = WSTOPSIG(st);
        if (sig == (SIGTRAP | 0x80)) {
            struct __ptrace_syscall_info info;
            ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
            sig = 0;
            if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
                if (info.entry.nr == SYS_getppid) counting++;
                else if (counting >= 1 && counting <= rounds) calls[counting - 1]++;
            }
        } else if (sig == SIGTRAP || sig == SIGSTOP) sig = 0;
        ptrace(PTRACE_SYSCALL, pid, 0, sig);
    }
    if (!WIFEXITED(st) || WEXITSTATUS(st) || counting != rounds + 1) { printf("status %x, %d\n", st, counting); return 1; }
    qsort(calls, rounds, sizeof *calls, less);
    printf("%d\n", calls[rounds / 10]);
    return 0;
}

/* Makes what lies outside well known. */
static void warm(const char *p)
{
    for (int i = 0; i < 50; i++)
        if (mkdir(p, 0755) || rmdir(p)) die(p);
}

static char v[PATH_MAX];
static pthread_barrier_t meet;

static void *threads(void *unused)
{
    (void)unused;
    warm("way/x");
    warm("x");
    pthread_barrier_wait(&meet);
    pthread_barrier_wait(&meet);
    if (mkdir("in-thread", 0755) || mkdir("sub/in-thread", 0755)) die("mkdir");
    return 0;
}

static int turn(const char *what)
{
    char line[8], p[PATH_MAX + 64];
    int n, m;
    snprintf(p, sizeof p, "%s/way/x", base);
    mkdir("way", 0755);
    if (!strcmp(what, "replaced") || !strcmp(what, "replaced-absolute")) {
        const char *x = strcmp(what, "replaced") ? p : "way/x";
        warm(x);
        if (rename("way", "old") || symlink(v, "way") || mkdir(x, 0755)) die(what);
    } else if (!strcmp(what, "removed")) {
        warm("way/x");
        if (rmdir("way") || symlink(v, "way") || mkdir("way/x", 0755)) die(what);
    } else if (!strcmp(what, "exchanged")) {
        warm("way/x");
        if (symlink(v, "link")) die(what);
        warm("way/x");
        if (renameat2(AT_FDCWD, "link", AT_FDCWD, "way", RENAME_EXCHANGE) || mkdir("way/x", 0755)) die(what);
    } else if (!strcmp(what, "chdir")) {
        warm("x");
        if (chdir(v) || mkdir("x", 0755) || mkdir("x/y", 0755)) die(what);
    } else if (!strcmp(what, "threads")) {
        pthread_t t;
        snprintf(p, sizeof p, "%s/sub", v);
        if (mkdir(p, 0755)) die(p);
        pthread_barrier_init(&meet, 0, 2);
        if (pthread_create(&t, 0, threads, 0)) die("pthread_create");
        pthread_barrier_wait(&meet);
        if (chdir(v)) die(v);
        pthread_barrier_wait(&meet);
        pthread_join(t, 0);
    } else if (!strcmp(what, "dup")) {
        m = open("file", O_CREAT | O_WRONLY, 0644);
        snprintf(p, sizeof p, "%s/file", v);
        n = open(p, O_CREAT | O_WRONLY, 0644);
        if (write(m, "out", 3) != 3 || dup2(n, m) != m || write(m, "in", 2) != 2) die(what);
    } else if (!strcmp(what, "dirfd")) {
        m = open("way", O_RDONLY | O_DIRECTORY);
        for (int i = 0; i < 50; i++)
            if (mkdirat(m, "x", 0755) || unlinkat(m, "x", AT_REMOVEDIR)) die(what);
        n = open(v, O_RDONLY | O_DIRECTORY);
        if (dup2(n, m) != m || mkdirat(m, "x", 0755)) die(what);
        close(m);
        if (open(v, O_RDONLY | O_DIRECTORY) != m || mkdirat(m, "y", 0755)) die(what);
    } else if (!strcmp(what, "child")) {
        /* A child that shares this memory has a cwd of its own. */
        warm("x");
        pid_t c = vfork();
        if (c == 0) _exit(chdir(v) || mkdir("child", 0755));
        if (waitpid(c, &n, 0) != c || n) die("child");
        if (mkdir("parent", 0755) || rmdir("parent")) die("parent");
        if (chdir(v) || mkdir("x", 0755)) die(what);
    } else {
        /* `link`, `cwd`, `held`: another program does it, then writes a line. */
        warm("way/x");
        m = open("way", O_RDONLY | O_DIRECTORY);
        for (int i = 0; i < 50; i++)
            if (mkdirat(m, "x", 0755) || unlinkat(m, "x", AT_REMOVEDIR)) die(what);
        if (!strcmp(what, "cwd")) {
            if (chdir("way")) die(what);
            warm("x");
        }
        puts("ready");
        fflush(stdout);
        if (!fgets(line, sizeof line, stdin)) die("stdin");
        n = !strcmp(what, "link") ? mkdir("way/x", 0755) : !strcmp(what, "cwd") ? mkdir("x", 0755) : mkdirat(m, "x", 0755);
        puts(n ? "refused" : "made");
        return 0;
    }
    puts("ok");
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 4 || !getcwd(base, sizeof base)) return 2;
    if (!strcmp(argv[1], "turn")) {
        strcpy(v, argv[3]);
        return turn(argv[2]);
    }
    char text[64];
    strcpy(text, argv[2]);
    call = strtok(text, "-");
    way = strtok(0, "-");
    char *how = strtok(0, "-");
    rounds = atoi(argv[3]);
    mkdir("deep", 0755), mkdir("deep/er", 0755), mkdir(".hidden", 0755), mkdir(".hidden/.d", 0755);
    dir = open("deep/er", O_RDONLY | O_DIRECTORY);
    make("deep/er/there");
    if (strcmp(way, "dirfd")) make(name(way, 0));
    return count(how ? how : "process");
}

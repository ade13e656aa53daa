/* How many system calls a change of a pair makes.
 *     changes KIND N       in a directory of a pair: prints how many system calls N changes of this kind
 *                          make, with the program's own, and how many milliseconds they take
 * It forks: the parent traces the child, and counts from its first getppid() to its second. What is done
 * first opens the lock objects and fills what is remembered. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WARM 128

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

#define DO(call) do { if ((call) < 0) die(#call); } while (0)

static const char *kind;
static char data[4096];
static int f;

static int is(const char *name)
{
    return !strcmp(kind, name);
}

static const char *name(const char *way, int i)
{
    static char out[4][64];
    static int next;
    char *p = out[next++ & 3];
    snprintf(p, sizeof out[0], way, i);
    return p;
}

/* One of 32 directories whose names differ in the last letters. */
static const char *spread(int i)
{
    static char out[64];
    snprintf(out, sizeof out, "d%d/s%d", i & 31, i);
    return out;
}

static void change(int i)
{
    int n;
    if (is("pwrite")) DO(pwrite(f, data, sizeof data, 4096L * (i & 15)));
    else if (is("write") || is("append")) DO(write(f, data, 100));
    else if (is("fsync")) { DO(pwrite(f, data, sizeof data, 0)); DO(fsync(f)); }
    else if (is("ftruncate")) DO(ftruncate(f, 5000 + i % 7));
    else if (is("fchmod")) DO(fchmod(f, i & 1 ? 0600 : 0644));
    else if (is("chmod")) DO(chmod("file", i & 1 ? 0600 : 0644));
    else if (is("open")) { DO(n = open("file", O_WRONLY)); DO(close(n)); }
    else if (is("create")) { DO(n = open(name("c%d", i), O_CREAT | O_WRONLY | O_TRUNC, 0644)); DO(close(n)); }
    else if (is("exclusive")) { DO(n = open(name("c%d", i), O_CREAT | O_EXCL | O_WRONLY, 0644)); DO(close(n)); }
    else if (is("small") || is("spread")) {
        DO(n = open(is("small") ? name("s%d", i) : spread(i), O_CREAT | O_WRONLY | O_TRUNC, 0644));
        DO(write(n, data, sizeof data));
        DO(close(n));
    }
    else if (is("mkdir")) DO(mkdir(name("m%d", i), 0755));
    else if (is("symlink")) DO(symlink("x", name("l%d", i)));
    else if (is("link")) DO(link("file", name("h%d", i)));
    else if (is("unlink")) DO(unlink(name("u%d", i)));
    else if (is("rename")) DO(rename(name("r%d", i), name("r%d", i + 1)));
    else if (is("between")) DO(rename(name(i & 1 ? "d1/r%d" : "d0/r%d", i), name(i & 1 ? "d0/r%d" : "d1/r%d", i + 1)));
    else if (is("directory")) DO(rename(name("d%d", i + 31), name("d%d", i + 32)));
    else die(kind);
}

static void begin(int rounds)
{
    int n;
    for (int i = 0; i < WARM; i++) {
        /* Neighbours in number are spread over all lock objects. */
        DO(n = open(name("w%d", i), O_CREAT | O_WRONLY, 0644));
        DO(write(n, data, 1));
        DO(close(n));
    }
    for (int i = 0; i < 32; i++) DO(mkdir(name("d%d", i), 0755));
    DO(f = open("file", O_CREAT | O_RDWR | (is("append") ? O_APPEND : 0), 0644));
    DO(pwrite(f, data, sizeof data, 0));
    DO(n = open("r0", O_CREAT | O_WRONLY, 0644));
    close(n);
    DO(n = open("d0/r0", O_CREAT | O_WRONLY, 0644));
    close(n);
    for (int i = 0; is("unlink") && i < rounds + 64; i++) {
        DO(n = open(name("u%d", i), O_CREAT | O_WRONLY, 0644));
        close(n);
    }
}

int main(int argc, char **argv)
{
    int st, n = 0, counting = 0, rounds;
    struct timespec from, to;
    if (argc != 3) return 2;
    kind = argv[1];
    rounds = atoi(argv[2]);
    pid_t child = fork();
    if (child == 0) {
        begin(rounds);
        for (int i = 0; i < 64; i++) change(i);
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        getppid();
        for (int i = 64; i < 64 + rounds; i++) change(i);
        getppid();
        _exit(0);
    }
    waitpid(child, &st, 0);
    if (!WIFSTOPPED(st)) return 1;
    ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    ptrace(PTRACE_SYSCALL, child, 0, 0);
    clock_gettime(CLOCK_MONOTONIC, &from);
    while (waitpid(child, &st, 0) == child && WIFSTOPPED(st)) {
        int sig = WSTOPSIG(st);
        if (sig == (SIGTRAP | 0x80)) {
            struct __ptrace_syscall_info info;
            ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info);
            sig = 0;
            if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
                if (info.entry.nr == SYS_getppid) counting++;
                else if (counting == 1) n++;
            }
        } else if (sig == SIGTRAP || sig == SIGSTOP) sig = 0;
        ptrace(PTRACE_SYSCALL, child, 0, sig);
    }
    if (!WIFEXITED(st) || WEXITSTATUS(st) || counting != 2) return 1;
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%d %ld\n", n, (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000);
    return 0;
}

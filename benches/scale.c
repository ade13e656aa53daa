/* The scaling loops of `cargo xtask bench`: `scale WORK PROCESSES MILLISECONDS DIR [DIR2]` lets the
 * processes work side by side and prints the operations that all of them made, and the seconds in
 * which they made them. Counted is only an interval in which all were at work: each makes its
 * preparations, all start together, and the counters are read twice while they run. With DIR2 each
 * changing call is made on both, one after the other, as in fsops.c. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 64, BLOCK = 4096, BLOCKS = 2048, WARM_UP = 50 };
static char data[BLOCK];
static const char *root[2];
static int roots;
#define EACH(i) for (int i = 0; i < roots; i++)

/* Shared by all; a cache line for each counter. */
static struct shared {
    _Atomic int ready, go, stop;
    struct { _Alignas(64) _Atomic long n; } done[MOST];
} *shared;

static void need(int good, const char *what) { if (!good) err(1, "%s", what); }
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}
static void rest(int milliseconds)
{
    struct timespec t = { milliseconds / 1000, milliseconds % 1000 * 1000000l };
    while (nanosleep(&t, &t) && errno == EINTR) { }
}
static void start_together(void)
{
    shared->ready++;
    while (!shared->go) rest(1);
}
static const char *path(int i, const char *form, long a, long b)
{
    static char text[2][512];
    int n = snprintf(text[i], sizeof *text, "%s/", root[i]);
    snprintf(text[i] + n, sizeof *text - n, form, a, b);
    return text[i];
}

/* 4 KiB at random places of a file of its own. */
static void writes(int me, const char *form)
{
    int f[2];
    unsigned long x = 42 + me;
    EACH(i) {
        f[i] = open(path(i, form, me, me), O_WRONLY | O_CREAT | O_TRUNC, 0644);
        need(f[i] >= 0, path(i, form, me, me));
        for (long k = 0; k < BLOCKS; k++) need(write(f[i], data, BLOCK) == BLOCK, "write");
    }
    start_together();
    while (!shared->stop) {
        x = x * 6364136223846793005ul + 1442695040888963407ul;
        EACH(i) need(pwrite(f[i], data, BLOCK, (off_t)((x >> 33) % BLOCKS) * BLOCK) == BLOCK, "pwrite");
        shared->done[me].n++;
    }
}
/* Create, write 4 KiB, close. */
static void creates(int me)
{
    start_together();
    for (long k = 0; !shared->stop; k++) {
        EACH(i) {
            int f = open(path(i, "p%ld/f%ld", me, k), O_WRONLY | O_CREAT | O_EXCL, 0644);
            need(f >= 0, "create");
            need(write(f, data, BLOCK) == BLOCK, "write");
            need(!close(f), "close");
        }
        shared->done[me].n++;
    }
}
static void work(const char *name, int me)
{
    /* A stopped benchmark leaves no worker behind. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (strcmp(name, "one-directory"))
        EACH(i) need(!mkdir(path(i, "p%ld", me, 0), 0755) || errno == EEXIST, "mkdir");
    if (!strcmp(name, "directories")) writes(me, "p%ld/w%ld");
    else if (!strcmp(name, "one-directory")) writes(me, "w%ld");
    else if (!strcmp(name, "create")) creates(me);
    else errx(2, "no work of this name: %s", name);
}
static long total(int n)
{
    long sum = 0;
    for (int k = 0; k < n; k++) sum += shared->done[k].n;
    return sum;
}
/* Whether a worker ended by itself, which none does before it is told to. */
static int failed(void) { return waitpid(-1, NULL, WNOHANG) > 0; }

int main(int argc, char **argv)
{
    int n = argc > 2 ? atoi(argv[2]) : 0, bad = 0, status;
    if (argc < 5 || argc > 6 || n < 1 || n > MOST) errx(2, "usage: scale WORK PROCESSES MILLISECONDS DIR [DIR2]");
    for (roots = 0; roots < argc - 4; roots++) root[roots] = argv[4 + roots];
    memset(data, 'x', sizeof data);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    need(shared != MAP_FAILED, "mmap");
    for (int k = 0; k < n; k++) {
        pid_t child = fork();
        need(child >= 0, "fork");
        if (!child) {
            work(argv[1], k);
            _exit(0);
        }
    }
    while (shared->ready < n && !bad) {
        rest(1);
        bad = failed();
    }
    shared->go = 1;
    rest(WARM_UP);
    double start = now();
    long before = total(n);
    rest(atoi(argv[3]));
    long after = total(n);
    double end = now();
    bad |= failed();
    shared->stop = 1;
    while (wait(&status) > 0) bad |= status != 0;
    if (bad) errx(1, "a worker failed");
    printf("%ld %.9f\n", after - before, end - start);
    return 0;
}

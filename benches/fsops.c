/* The tight loops of `cargo xtask bench`: `fsops LOOP COUNT DIR [DIR2]` prints the seconds that the
 * loop took, and those in which it had a core. With DIR2 each changing call is made on both, one after the other: what a synchronous
 * mirror costs at least when it is written by hand. */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { FOLDERS = 32, BLOCK = 4096, BIG = 1 << 20 };
static char data[BIG];
static const char *root[2];
static int roots;
#define EACH(i) for (int i = 0; i < roots; i++)

static char *path(int i, const char *form, long a, long b)
{
    static char text[2][512];
    int n = snprintf(text[i], sizeof *text, "%s/", root[i]);
    snprintf(text[i] + n, sizeof *text - n, form, a, b);
    return text[i];
}
static void need(int good, const char *what) { if (!good) err(1, "%s", what); }
static int opened(const char *p, int flags) { int f = open(p, flags, 0644); need(f >= 0, p); return f; }
static void whole(ssize_t n, size_t want) { need(n == (ssize_t)want, "short write"); }

static void sequential(long mib)
{
    int f[2];
    EACH(i) f[i] = opened(path(i, "sequential", 0, 0), O_WRONLY | O_CREAT | O_TRUNC);
    while (mib--) EACH(i) whole(write(f[i], data, BIG), BIG);
    EACH(i) { need(!fsync(f[i]), "fsync"); close(f[i]); }
}
static void random_writes(long n)
{
    int f[2];
    unsigned long x = 42;
    EACH(i) f[i] = opened(path(i, "sequential", 0, 0), O_WRONLY);
    off_t blocks = lseek(f[0], 0, SEEK_END) / BLOCK;
    while (n--) {
        x = x * 6364136223846793005ul + 1442695040888963407ul;
        EACH(i) whole(pwrite(f[i], data, BLOCK, (off_t)((x >> 33) % blocks) * BLOCK), BLOCK);
    }
    EACH(i) close(f[i]);
}
static void small_files(long n)
{
    EACH(i) for (long k = 0; k < FOLDERS; k++) need(!mkdir(path(i, "s%ld", k, 0), 0755), "mkdir");
    for (long k = 0; k < n; k++) EACH(i) {
        int f = opened(path(i, "s%ld/n%ld", k % FOLDERS, k), O_WRONLY | O_CREAT | O_EXCL);
        whole(write(f, data, BLOCK), BLOCK);
        need(!close(f), "close");
    }
}
static void rename_unlink(long n)
{
    char from[512];
    for (long k = 0; k < n; k++) EACH(i) {
        strcpy(from, path(i, "s%ld/n%ld", k % FOLDERS, k));
        need(!rename(from, path(i, "s%ld/m%ld", k % FOLDERS, k)), "rename");
    }
    for (long k = 0; k < n; k++) EACH(i) need(!unlink(path(i, "s%ld/m%ld", k % FOLDERS, k)), "unlink");
    for (long k = 0; k < FOLDERS; k++) EACH(i) need(!rmdir(path(i, "s%ld", k, 0)), "rmdir");
}
static void appends(long n)
{
    int f[2];
    EACH(i) f[i] = opened(path(i, "appended", 0, 0), O_WRONLY | O_CREAT | O_APPEND | O_TRUNC);
    while (n--) EACH(i) whole(write(f[i], data, 100), 100);
    EACH(i) close(f[i]);
}
/* A directory with a few files in it, renamed to and fro. */
static void rename_directory(long n)
{
    char from[512];
    EACH(i) {
        need(!mkdir(path(i, "r%ld", 0, 0), 0755), "mkdir");
        for (long k = 0; k < 10; k++) close(opened(path(i, "r%ld/f%ld", 0, k), O_WRONLY | O_CREAT));
    }
    for (long k = 0; k < n; k++) EACH(i) {
        strcpy(from, path(i, "r%ld", k % 2, 0));
        need(!rename(from, path(i, "r%ld", (k + 1) % 2, 0)), "rename");
    }
    EACH(i) {
        for (long k = 0; k < 10; k++) need(!unlink(path(i, "r%ld/f%ld", n % 2, k)), "unlink");
        need(!rmdir(path(i, "r%ld", n % 2, 0)), "rmdir");
    }
}
/* 4 KiB and fsync: both copies written, then both made durable. */
static void synced_writes(long n)
{
    int f[2];
    EACH(i) f[i] = opened(path(i, "synced", 0, 0), O_WRONLY | O_CREAT | O_TRUNC);
    while (n--) {
        EACH(i) whole(pwrite(f[i], data, BLOCK, 0), BLOCK);
        EACH(i) need(!fsync(f[i]), "fsync");
    }
    EACH(i) close(f[i]);
}
/* The cheapest call there is: what entering and leaving the kernel costs. */
static void nothing(long n) { while (n--) syscall(SYS_getppid); }
/* Reading: one copy is enough. */
static void walk(const char *dir)
{
    DIR *d = opendir(dir);
    need(d != NULL, dir);
    for (struct dirent *e; (e = readdir(d));) {
        char p[1024];
        struct stat s;
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        snprintf(p, sizeof p, "%s/%s", dir, e->d_name);
        need(!lstat(p, &s), p);
        if (S_ISDIR(s.st_mode)) walk(p);
        if (!S_ISREG(s.st_mode)) continue;
        int f = opened(p, O_RDONLY);
        while (read(f, data, BIG) > 0) { }
        close(f);
    }
    closedir(d);
}
static void stat_and_read(long n) { while (n--) walk(root[0]); }
static void stats(long n) { struct stat s; const char *p = path(0, "sequential", 0, 0); while (n--) need(!stat(p, &s), p); }
static void reads(long n) { int f = opened(path(0, "sequential", 0, 0), O_RDWR); while (n--) need(pread(f, data, BLOCK, 0) == BLOCK, "read"); close(f); }
static void opens(long n) { const char *p = path(0, "sequential", 0, 0); while (n--) close(opened(p, O_RDONLY)); }
static void reopens(long n) { const char *p = path(0, "sequential", 0, 0); while (n--) close(opened(p, O_WRONLY)); }
static void open_write_unlink(long n)
{
    while (n--) EACH(i) {
        int f = opened(path(i, "one", 0, 0), O_WRONLY | O_CREAT);
        whole(write(f, data, 64), 64);
        close(f);
        need(!unlink(path(i, "one", 0, 0)), "unlink");
    }
}

static double seconds(struct timespec a, struct timespec b) { return (b.tv_sec - a.tv_sec) + (b.tv_nsec - a.tv_nsec) / 1e9; }

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*run)(long); } loops[] = {
        { "sequential", sequential }, { "random", random_writes }, { "small", small_files }, { "rename", rename_unlink },
        { "append", appends }, { "walk", stat_and_read }, { "stat", stats }, { "read", reads }, { "open", opens }, { "cycle", open_write_unlink },
        { "directory", rename_directory }, { "fsync", synced_writes }, { "nothing", nothing }, { "reopen", reopens },
    };
    struct timespec a, b, c, d;
    if (argc < 4 || argc > 5) errx(2, "usage: fsops LOOP COUNT DIR [DIR2]");
    for (roots = 0; roots < argc - 3; roots++) root[roots] = argv[3 + roots];
    memset(data, 'x', sizeof data);
    for (size_t k = 0; k < sizeof loops / sizeof *loops; k++) {
        if (strcmp(loops[k].name, argv[1])) continue;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &c);
        clock_gettime(CLOCK_MONOTONIC, &a);
        loops[k].run(atol(argv[2]));
        clock_gettime(CLOCK_MONOTONIC, &b);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &d);
        printf("%.9f %.9f\n", seconds(a, b), seconds(c, d));
        return 0;
    }
    errx(2, "no loop of this name: %s", argv[1]);
}

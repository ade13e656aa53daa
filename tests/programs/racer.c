/* Races for tests/races.rs: `racer MODE SECONDS`, with V in the environment. Exit 0 unless an
 * error came that no plain directory gives. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double end;
static int who; /* number of this process */
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static int go(void) { return now() < end; }
static void odd(const char *what) { fprintf(stderr, "%s: %s\n", what, strerrorname_np(errno)); exit(3); }
/* Allows the errors that other processes' changes explain. */
static long ok(const char *what, long r)
{
    if (r < 0 && errno != ENOENT && errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR && errno != EISDIR && errno != EINVAL && errno != EMLINK && errno != ELOOP && errno != EACCES && errno != EPERM)
        odd(what);
    return r;
}
static int processes(int n, void (*f)(void))
{
    int bad = 0, st;
    for (who = 0; who < n; who++)
        if (fork() == 0) { srandom(getpid()); f(); exit(0); }
    while (wait(&st) > 0)
        if (st) { fprintf(stderr, "status %x\n", st); bad = 1; }
    return bad;
}

/* 8 processes of 4 threads append numbered lines to one file, a descriptor per process. */
static int shared_fd;
#define LINES 300
static void *append_lines(void *t)
{
    char line[64];
    for (int i = 0; i < LINES; i++) {
        int n = snprintf(line, sizeof line, "%d.%ld.%d %.*s\n", who, (long)t, i, i % 30, "..............................");
        if (write(shared_fd, line, n) != n) odd("append");
    }
    return NULL;
}
static void append_process(void)
{
    pthread_t t[4];
    if (who % 2) shared_fd = open("log", O_WRONLY | O_APPEND | O_CREAT, 0644);
    if (shared_fd < 0) odd("open");
    for (long i = 0; i < 4; i++) pthread_create(&t[i], NULL, append_lines, (void *)i);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
}
static int append(void)
{
    shared_fd = open("log", O_WRONLY | O_APPEND | O_CREAT, 0644);
    int bad = processes(8, append_process);
    struct stat s; fstat(shared_fd, &s); printf("%d lines\n", 8 * 4 * LINES);
    return bad;
}

/* Threads and a child read and seek on the descriptor that others write. */
static void *reader(void *p) { char b[9]; while (go()) if (read(shared_fd, b, 8) == 0) lseek(shared_fd, 0, SEEK_SET); return p; }
static void *writer(void *p) { char b[64]; memset(b, 'a' + (long)p, 64); while (go()) { long n = 1 + random() % 64; if (write(shared_fd, b, n) != n) odd("write"); if (random() % 512 == 0 && ftruncate(shared_fd, 20000)) odd("ftruncate"); } return p; }
static int shared_position(void)
{
    pthread_t t[3];
    shared_fd = open("f", O_RDWR | O_CREAT, 0644);
    if (ftruncate(shared_fd, 100000)) odd("ftruncate");
    pid_t c = fork();
    if (c == 0) { reader(NULL); _exit(0); }
    pthread_create(&t[0], NULL, reader, NULL); pthread_create(&t[1], NULL, writer, (void *)1L); pthread_create(&t[2], NULL, writer, (void *)2L);
    for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
    int st; wait(&st); return st;
}

/* Log rotation: dup2 of a new file over the descriptor that threads write. */
static int rotation(void)
{
    pthread_t t[2];
    char name[32];
    shared_fd = open("log.0", O_WRONLY | O_CREAT | O_APPEND, 0644);
    for (long i = 0; i < 2; i++) pthread_create(&t[i], NULL, writer, (void *)(i + 3));
    for (int i = 0; go(); i++) {
        snprintf(name, sizeof name, "log.%d", i % 7);
        int n = open(name, O_WRONLY | O_CREAT | O_APPEND | (i % 3 ? 0 : O_TRUNC), 0644);
        if (n < 0) odd("open"); if (dup2(n, shared_fd) != shared_fd) odd("dup2"); close(n); usleep(500);
    }
    for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
    return 0;
}

/* Opens for writing against renames over the name. */
static void open_rename(void)
{
    char b[32]; int n = 0;
    while (go()) {
        if (who == 0) { int f = open("t", O_WRONLY | O_CREAT | O_EXCL, 0644); if (f < 0) { ok("create", f); continue; } if (write(f, "new", 3) != 3) odd("write"); close(f); ok("rename", rename("t", "y")); }
        else { int f = open("y", who == 1 ? O_RDWR : O_WRONLY | O_CREAT | O_APPEND, 0644); if (ok("open", f) < 0) continue; int l = snprintf(b, sizeof b, "%d.%d ", who, n++); if (write(f, b, l) != l) odd("write"); close(f); }
    }
}

/* mkdir and rmdir of a directory against creation and removal in it. */
static void make_remove(void)
{
    while (go()) {
        if (who == 0) { ok("mkdir", mkdir("D", 0755)); ok("rmdir", rmdir("D")); }
        else if (who == 1) { ok("mkdir", mkdir("D", 0755)); ok("rename", rename("D", "E")); ok("rmdir", rmdir("E")); }
        else { char n[32]; snprintf(n, sizeof n, "D/x%d", who); int f = open(n, O_CREAT | O_WRONLY, 0644); if (ok("create", f) >= 0) { write(f, n, 4); close(f); } snprintf(n, sizeof n, "%c/x%d", random() % 2 ? 'D' : 'E', who); ok("unlink", unlink(n)); }
    }
}

/* A thread writes to a number that leads out of V, and again and again becomes a file of V. */
static void *to_number(void *p) { char b[40]; memset(b, 'E', 40); while (go()) if (write(100, b, 40) != 40) odd("write"); return p; }
static int from_outside(void)
{
    pthread_t t[3];
    char n[16];
    int out = open("/dev/null", O_WRONLY);
    dup2(out, 100);
    for (int i = 0; i < 3; i++) pthread_create(&t[i], NULL, to_number, NULL);
    for (int i = 0; go(); i++) {
        snprintf(n, sizeof n, "f%d", i % 50);
        int f = open(n, O_WRONLY | O_CREAT | O_APPEND, 0644);
        if (f < 0 || dup2(f, 100) < 0 || close(f)) odd("dup2");
        usleep(random() % 200);
        dup2(out, 100);
        usleep(random() % 200);
    }
    for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
    return 0;
}

/* The same of one thread, and another one writes another file of V: how many of its writes end while a dup2 is under way. */
static volatile long writes;
static void *elsewhere(void *p) { int f = open("elsewhere", O_WRONLY | O_CREAT, 0644); while (go()) { if (pwrite(f, "e", 1, writes % 4096) != 1) odd("pwrite"); writes++; } return p; }
static int turning(void)
{
    pthread_t t;
    int out = open("/dev/null", O_WRONLY), f = open("turned", O_WRONLY | O_CREAT | O_APPEND, 0644), rounds = 0, many = 0;
    dup2(out, 100);
    pthread_create(&t, NULL, elsewhere, NULL);
    for (; go(); rounds++) {
        usleep(300);
        if (write(100, "o", 1) != 1) odd("write");
        long before = writes;
        if (dup2(f, 100) < 0) odd("dup2");
        many += writes - before >= 4;
        dup2(out, 100);
    }
    pthread_join(t, NULL);
    printf("%d %d\n", rounds, many);
    return 0;
}

/* Log rotation between a descriptor that appends and one that writes at its position. */
static void *by_number(void *p) { char b[40]; memset(b, 'a' + (long)p, 40); long n = 1 + (long)p * 7; while (go()) if (write(100, b, n) != n) odd("write"); return p; }
static int dup_append(void)
{
    pthread_t t[3];
    int a = open("append", O_WRONLY | O_CREAT | O_APPEND, 0644), p = open("plain", O_WRONLY | O_CREAT, 0644);
    dup2(a, 100);
    for (long i = 0; i < 3; i++) pthread_create(&t[i], NULL, by_number, (void *)i);
    for (int i = 0; go(); i++) {
        lseek(p, random() % 3000, SEEK_SET);
        if (dup2(i % 2 ? a : p, 100) < 0) odd("dup2");
        usleep(random() % 100);
        if (i % 50 == 0 && (ftruncate(a, 10) || ftruncate(p, 4000))) odd("ftruncate");
    }
    for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
    return 0;
}

/* A relative by fork switches O_APPEND of the description that we write to at its position. */
static int append_switched(void)
{
    char b[64];
    int st, f = open("f", O_RDWR | O_CREAT, 0644);
    if (ftruncate(f, 5000)) odd("ftruncate");
    if (fork() == 0) { while (go()) if (fcntl(f, F_SETFL, O_APPEND) || fcntl(f, F_SETFL, 0)) odd("fcntl"); _exit(0); }
    for (int i = 0; go(); i++) {
        int n = 1 + i % 64;
        memset(b, 'a' + i % 26, sizeof b);
        lseek(f, i * 64 % 4000, SEEK_SET);
        if (write(f, b, n) != n || (i % 100 == 0 && ftruncate(f, 5000))) odd("write");
    }
    wait(&st);
    return st;
}

int main(int argc, char **argv)
{
    const char *m = argv[1];
    int bad = 0;
    end = now() + atof(argv[2]);
    umask(022);
    if (chdir(getenv("V"))) odd("chdir");
    if (!strcmp(m, "append")) bad = append();
    else if (!strcmp(m, "shared_position")) bad = shared_position();
    else if (!strcmp(m, "rotation")) bad = rotation();
    else if (!strcmp(m, "open_rename")) bad = processes(3, open_rename);
    else if (!strcmp(m, "make_remove")) bad = processes(4, make_remove);
    else if (!strcmp(m, "dup_append")) bad = dup_append();
    else if (!strcmp(m, "from_outside")) bad = from_outside();
    else if (!strcmp(m, "turning")) bad = turning();
    else if (!strcmp(m, "append_switched")) bad = append_switched();
    else bad = 2;
    return bad ? 1 : 0;
}

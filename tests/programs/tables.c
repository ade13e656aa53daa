// What a program tells of its calls in V and beside it, after a part of it has left the others.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *v;
static sem_t go, gone;

static const char *in(const char *dir, const char *name)
{
    static char text[4][4096];
    static int next;
    char *t = text[next++ % 4];
    snprintf(t, sizeof *text, "%s/%s", dir, name);
    return t;
}

static void told(const char *what, long answer)
{
    dprintf(2, "%s %s\n", what, answer < 0 ? strerror(errno) : "ok");
}

static void *first_change(void *unused)
{
    (void)unused;
    sem_wait(&go);
    told("first", mkdir(in(v, "first"), 0755));
    sem_post(&gone);
    return NULL;
}

static void work(const char *dir, int out)
{
    int n = open(in(dir, "file"), O_WRONLY | O_CREAT, 0644);
    told("open", n);
    told("write", write(n, "zz", 2));
    told("close", close(n));
    told("mkdir", mkdir(in(dir, "dir"), 0755));
    told("rename", rename(in(dir, "file"), in(dir, "renamed")));
    told("truncate", truncate(in(dir, "renamed"), 1));
    told("chmod", chmod(in(dir, "renamed"), 0600));
    told("symlink", symlink("renamed", in(dir, "link")));
    told("write outside", write(out, "out", 3));
}

static void both(const char *beside, int out)
{
    work(v, out);
    work(beside, out);
    int child = fork();
    if (!child) {
        told("child", mkdir(in(v, "child"), 0755));
        told("child outside", mkdir(in(beside, "child"), 0755));
        told("child writes", write(out, "child", 5));
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static const char *beside;
static int out, own = -1;
static volatile int turn;

// A process that shares this memory, with a table of its own.
static int guest(void *unused)
{
    (void)unused;
    int numbers = 0;
    for (int n = 4032; n < 9000; n++) numbers += dup2(own, n) == n;
    turn = 1;
    while (turn != 2) usleep(1000);
    work(v, out);
    work(beside, out);
    struct stat mine, there;
    for (int n = 4032; n < 9000; n++)
        numbers -= !fstat(own, &mine) && !fstat(n, &there) && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
    dprintf(2, "own numbers lost: %d\n", numbers);
    _exit(0);
}

static int guests(const char *way)
{
    own = strcmp(way, "guest's directory") ? out : open(beside, O_RDONLY | O_DIRECTORY);
    char *stack = malloc(1 << 20);
    int child = clone(guest, stack + (1 << 20) - 64, CLONE_VM | SIGCHLD, NULL);
    while (turn != 1) usleep(1000);
    told("parent", mkdir(in(v, "first"), 0755));
    turn = 2;
    waitpid(child, NULL, 0);
    told("parent", rmdir(in(v, "first")));
    return 0;
}

static void other_mounts(void)
{
    int ready[2], end[2];
    char text[64], byte;
    if (pipe(ready) || pipe(end)) _exit(1);
    int child = fork();
    if (!child) {
        if (unshare(CLONE_NEWNS) || write(ready[1], "a", 1) != 1) _exit(1);
        close(end[1]);
        _exit(read(end[0], &byte, 1) != 0);
    }
    close(end[0]);
    if (read(ready[0], &byte, 1) != 1) _exit(1);
    snprintf(text, sizeof text, "/proc/%d/ns/mnt", child);
    told("setns", setns(open(text, O_RDONLY | O_CLOEXEC), CLONE_NEWNS));
    close(end[1]);
    waitpid(child, NULL, 0);
}

// V, a directory beside it, what leaves.
int main(int argc, char **argv)
{
    if (argc != 4) return 2;
    v = argv[1];
    const char *way = argv[3];
    beside = argv[2];
    out = open(in(beside, "out"), O_RDWR | O_CREAT, 0644);
    if (!strncmp(way, "guest", 5)) return guests(way);
    if (!strcmp(way, "others' mounts")) {
        told("first", mkdir(in(v, "first"), 0755));
        other_mounts();
        both(beside, out);
        return 0;
    }
    if (!strcmp(way, "mounts") || !strcmp(way, "mounts of a child")) {
        told("first", mkdir(in(v, "first"), 0755));
        if (!strcmp(way, "mounts")) {
            told("unshare", unshare(CLONE_NEWNS));
            both(beside, out);
            return 0;
        }
        int child = syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
        if (!child) {
            both(beside, out);
            _exit(0);
        }
        waitpid(child, NULL, 0);
        told("clone", child);
        return 0;
    }
    pthread_t thread;
    sem_init(&go, 0, 0);
    sem_init(&gone, 0, 0);
    pthread_create(&thread, NULL, first_change, NULL);
    told("unshare", unshare(CLONE_FILES));
    own = strcmp(way, "directory") ? strcmp(way, "file") ? -1 : out : open(beside, O_RDONLY | O_DIRECTORY);
    int numbers = 0;
    for (int n = 4032; own >= 0 && n < 9000; n++) numbers += dup2(own, n) == n;
    sem_post(&go);
    sem_wait(&gone);
    both(beside, out);
    struct stat mine, there;
    for (int n = 4032; own >= 0 && n < 9000; n++)
        numbers -= !fstat(own, &mine) && !fstat(n, &there) && mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
    dprintf(2, "own numbers lost: %d\n", numbers);
    return 0;
}

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

// V, a directory beside it, what leaves.
int main(int argc, char **argv)
{
    if (argc != 4) return 2;
    v = argv[1];
    const char *beside = argv[2], *way = argv[3];
    int out = open(in(beside, "out"), O_RDWR | O_CREAT, 0644);
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
    int own = strcmp(way, "directory") ? strcmp(way, "file") ? -1 : out : open(beside, O_RDONLY | O_DIRECTORY);
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

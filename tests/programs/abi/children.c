// vfork, posix_spawn, fork, clone with its own stack, threads that fork: children run and write, the parent goes on.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
static int bad;
static void reap(pid_t p, int want, const char *what) {
    int st;
    if (p < 0 || waitpid(p, &st, 0) != p || !WIFEXITED(st) || WEXITSTATUS(st) != want) bad++, printf("%s\n", what);
}
static int say(const char *s) { return write(1, s, strlen(s)) == (ssize_t)strlen(s); }
static int cloned(void *p) { say(p); return 5; }
static void *forker(void *x) {
    for (int i = 0; i < 50; i++) {
        pid_t p = fork();
        if (!p) { int fd = open("/dev/null", O_WRONLY); _exit(write(fd, "c", 1) == 1 ? 3 : 4); }
        reap(p, 3, "fork in thread");
    }
    return x;
}
static void *writer(void *x) {
    int fd = open("/dev/null", O_WRONLY);
    for (int i = 0; i < 100000; i++) if (write(fd, "w", 1) != 1) bad++;
    return x;
}
int main(void) {
    setvbuf(stdout, 0, _IONBF, 0);
    for (int i = 0; i < 20; i++) {
        volatile int touched = 0;
        pid_t p = vfork();
        if (!p) { touched = 1; say("vfork child\n"); _exit(7); }
        reap(p, 7, "vfork");
        bad += !touched;
        p = vfork();
        if (!p) { execl("/bin/echo", "echo", "vfork exec", (char *)0); _exit(9); }
        reap(p, 0, "vfork exec");
        posix_spawn_file_actions_t fa;
        posix_spawn_file_actions_init(&fa);
        posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&fa, 1, 8);
        char *av[] = {"sh", "-c", "echo spawned >&8; exit 6", 0};
        if (posix_spawn(&p, "/bin/sh", &fa, 0, av, environ)) p = -1;
        reap(p, 6, "posix_spawn");
        p = fork();
        if (!p) { say("fork child\n"); exit(8); }
        reap(p, 8, "fork");
        char *st = mmap(0, 16384, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        reap(clone(cloned, st + 16384, SIGCHLD, "clone child\n"), 5, "clone");
        reap(clone(cloned, st + 16384, CLONE_VM | CLONE_VFORK | SIGCHLD, "clone vm child\n"), 5, "clone vm");
        munmap(st, 16384);
        bad += system("exit 3") != 3 << 8;
    }
    pthread_t t[6];
    for (int i = 0; i < 6; i++) pthread_create(&t[i], 0, i % 2 ? forker : writer, 0);
    for (int i = 0; i < 6; i++) pthread_join(t[i], 0);
    printf("%d bad\n", bad);
    return bad != 0;
}

/* For tests/tests/partly.rs: `partly vm|files|fs|order OUTSIDE`, in V. A child that shares only its parent's memory, or
 * only its descriptors or cwd, gives numbers (or the cwd) another meaning; then both write. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char stack[1 << 17] __attribute__((aligned(16)));
static const char *mode, *outside;
static char v[4096];
static int to_child[2], to_parent[2];

static void must(int ok, const char *what) { if (!ok) { perror(what); _exit(3); } }
static void say(int *to) { must(write(to[1], "x", 1) == 1, "say"); }
static void hear(int *from) { char c; must(read(from[0], &c, 1) == 1, "hear"); }
static void put(int n, const char *text) { must(write(n, text, strlen(text)) == (ssize_t)strlen(text), "write"); }
static int opened(const char *dir, const char *name)
{
    char path[5000];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int n = open(path, O_CREAT | O_WRONLY | O_APPEND, 0644);
    must(n >= 0, "open");
    return n;
}

/* The number 50 is a file of V, 51 one outside; after the child has exchanged them it is the other way round: for
 * the child alone, or (shared descriptors) for both. */
static void exchange(void)
{
    must(dup2(50, 60) == 60 && dup2(51, 50) == 50 && dup2(60, 51) == 51 && !close(60), "dup2");
}

static int child(void *unused)
{
    hear(to_child);
    if (!strcmp(mode, "fs")) must(!chdir(v), "chdir");
    else exchange();
    put(50, "child 50\n"), put(51, "child 51\n");
    say(to_parent);
    hear(to_child);
    put(50, "child again 50\n"), put(51, "child again 51\n");
    int n = opened(v, "new");
    put(n, "child\n");
    must(!close(n), "close");
    _exit(0);
}

/* Many appends by both at once: their locks exclude them. */
static int appends(void *who)
{
    for (int i = 0; i < 300; i++) {
        char line[64];
        snprintf(line, sizeof line, "%s %d %.*s\n", (char *)who, i, i % 30, "..............................");
        int n = opened(v, "log");
        put(n, line);
        must(!close(n), "close");
        if (i % 50 == 0) { line[strlen(line) - 1] = 0; must(!mkdir(line, 0755), "mkdir"); }
    }
    return 0;
}

int main(int n, char **a)
{
    mode = a[1], outside = a[2];
    int st, flags = !strcmp(mode, "vm") ? CLONE_VM : !strcmp(mode, "fs") ? CLONE_FS : CLONE_FILES;
    must(n == 3 && getcwd(v, sizeof v) && !pipe(to_child) && !pipe(to_parent), "begin");
    if (!strcmp(mode, "order")) {
        must(!close(opened(v, "first")), "close");
        pid_t p = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
        must(p >= 0, "clone");
        if (!p) _exit(appends("child"));
        appends("parent");
        must(waitpid(p, &st, 0) == p && st == 0, "wait");
        return 0;
    }
    must(dup2(opened(v, "in"), 50) == 50 && dup2(opened(outside, "out"), 51) == 51, "dup2");
    if (flags == CLONE_FS) must(!chdir(outside), "chdir");
    // What is known of the numbers and the cwd is known.
    for (int i = 0; i < 3; i++) { put(50, "before 50\n"), put(51, "before 51\n"); must(!mkdir("d", 0755) && !rmdir("d"), "mkdir"); }
    pid_t p = clone(child, stack + sizeof stack, flags | SIGCHLD, NULL);
    must(p > 0, "clone");
    say(to_child);
    hear(to_parent);
    put(50, "parent 50\n"), put(51, "parent 51\n");
    must(!mkdir("parent", 0755), "mkdir");
    int f = opened(v, "new");
    say(to_child);
    must(waitpid(p, &st, 0) == p && st == 0, "wait");
    put(f, "parent\n"), put(50, "at the end 50\n"), put(51, "at the end 51\n");
    must(!close(f) && !close(50) && !close(51), "close");
    return 0;
}

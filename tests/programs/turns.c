// A number that leads outside becomes a file of V by dup2, beside another thread: `turns HOW V-FILE OUTER-FILE`.
// `waits`: the other thread waits in a call. `stopped`: a debugger has stopped it where it runs. `again`: while the
// dup2 waits for it, it makes the number another file outside once, and then writes until the dup2 is done.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define N 20
static atomic_int tid, done, go;
static int in_v, ready[2], pipes[2];
static volatile unsigned long spun;

static void *spins(void *x) { tid = gettid(); while (!go) spun++; return x; }
static void *waits(void *x) { char b; tid = gettid(); if (read(ready[0], &b, 1) < 0) abort(); return x; }
static void *turns(void *x) { tid = gettid(); if (dup2(in_v, N) != N) abort(); done = 1; return x; }

// Whether the thread is in this call now.
static int is_in(int thread, long nr)
{
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", thread);
    int f = open(path, O_RDONLY);
    if (f < 0 || read(f, text, sizeof text - 1) < 0) abort();
    close(f);
    return *text != 'r' && atol(text) == nr;
}

// A debugger, which holds the thread until it is told to end.
static pid_t debugger(void)
{
    char b;
    pid_t p = fork();
    if (p) return p;
    if (ptrace(PTRACE_SEIZE, tid, 0, 0) || ptrace(PTRACE_INTERRUPT, tid, 0, 0) || waitpid(tid, NULL, __WALL) != tid) _exit(1);
    if (write(pipes[1], "s", 1) != 1 || read(ready[0], &b, 1) < 0) _exit(1);
    _exit(0);
}

int main(int n, char **v)
{
    if (n < 4) return 2;
    pthread_t t; char b; pid_t p = 0;
    const char *how = v[1];
    int out = open(v[3], O_CREAT | O_WRONLY | O_APPEND, 0644), again = !strcmp(how, "again");
    in_v = open(v[2], O_CREAT | O_WRONLY | O_APPEND, 0644);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    if (in_v < 0 || pipe(ready) || pipe(pipes) || write(in_v, "v", 1) != 1 || dup2(out, N) != N || write(N, "o", 1) != 1) return 3;
    if (again) {
        pthread_create(&t, NULL, turns, NULL);
        while (!tid || !is_in(tid, SYS_nanosleep)) ;
        if (dup2(out, N) != N) return 4;
        while (!done) if (write(N, "w", 1) != 1) return 5;
    } else {
        pthread_create(&t, NULL, *how == 'w' ? waits : spins, NULL);
        while (!tid || (*how == 'w' && !is_in(tid, SYS_read))) usleep(1000);
        if (*how == 's' && ((p = debugger()) < 0 || read(pipes[0], &b, 1) != 1)) return 6;
        if (dup2(in_v, N) != N) return 7;
    }
    if (write(N, "x", 1) != 1) return 8;
    go = 1;
    if (!again && write(ready[1], "e", 1) != 1) return 9;
    if (p && (waitpid(p, NULL, 0) != p)) return 10;
    pthread_join(t, NULL);
    printf("%d\n", (int)tid);
    return 0;
}

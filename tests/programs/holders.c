// Loses the descriptor by which others see that this process lives, by system call instructions of its own, and
// changes a file before, after, and once more when a line comes: `holders HOW FILE NUMBER`.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *how, *name;
static int number;

static long own(long nr, long a, long b, long c)
{
    long r;
    register long r10 __asm__("r10") = 0, r8 __asm__("r8") = 0;
    __asm__ volatile("syscall" : "=a"(r) : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
    return r;
}

static void append(const char *text)
{
    int f = open(name, O_WRONLY | O_APPEND);
    if (f < 0 || write(f, text, strlen(text)) != (ssize_t)strlen(text) || close(f)) { perror(text); exit(1); }
}

static int is(const char *what) { return !strcmp(how, what); }

static void *thread(void *a)
{
    if (is("own table")) unshare(CLONE_FILES);
    else own(SYS_unshare, CLONE_FILES, 0, 0);
    if (is("a table and a loss")) own(SYS_close, number, 0, 0);
    append("of a thread\n");
    return a;
}

static void child(long flags)
{
    long pid = own(SYS_clone, flags | SIGCHLD, 0, 0);
    if (!pid) {
        if (is("a copy closes all")) own(SYS_close_range, 3, ~0u, 0);
        else if (is("a relative closes")) own(SYS_close, number, 0, 0);
        else append("of a child\n");
        _exit(0);
    }
    int st;
    if (waitpid(pid, &st, 0) != pid || st) { printf("child %x\n", st); exit(1); }
}

int main(int n, char **v)
{
    if (n < 4) return 2;
    how = v[1]; name = v[2]; number = atoi(v[3]);
    char line[16];
    setvbuf(stdout, 0, _IOLBF, 0);
    if (!is("a table before")) append("first\n");
    if (is("close")) own(SYS_close, number, 0, 0);
    if (is("close_range")) own(SYS_close_range, number, number, 0);
    if (is("dup2")) own(SYS_dup2, 0, number, 0);
    if (is("by name")) { close(number); dup2(0, number); dup3(0, number, 0); close_range(number, ~0u, 0); closefrom(3); }
    if (is("a copy closes all") || is("a copy changes")) child(0);
    if (is("a relative closes") || is("a relative changes")) child(CLONE_FILES);
    if (strstr(how, "table")) {
        pthread_t t;
        if (pthread_create(&t, 0, thread, 0) || pthread_join(t, 0)) return 1;
    }
    append("second\n");
    puts("done");
    while (fgets(line, sizeof line, stdin)) { append("again\n"); puts("again"); }
    return 0;
}

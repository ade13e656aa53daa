// One call, between two marks (SIGSTOP): `lone OP PATH [PATH]`. By number: the call is a write to number N, which a second
// thread makes the other file as soon as it has read a byte from standard input.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define N 20
static int other;

static void *turns(void *x)
{
    char b;
    if (read(0, &b, 1) == 1) dup2(other, N);
    return x;
}

static int full(void)
{
    int p[2];
    static char much[65536];
    if (pipe(p) || fcntl(p[1], F_SETFL, O_NONBLOCK)) return -1;
    while (write(p[1], much, sizeof much) > 0 || write(p[1], much, 1) > 0) ;
    return fcntl(p[1], F_SETFL, 0) ? -1 : p[1];
}

int main(int n, char **v)
{
    const char *op = v[1], *a = v[2], *b = n > 3 ? v[3] : "";
    int r = -1, number = !strcmp(op, "write") || !strcmp(op, "ftruncate");
    if (number) {
        pthread_t t;
        int f = open(a, O_WRONLY | O_APPEND);
        other = *b ? open(b, O_WRONLY | O_APPEND) : full();
        if (f < 0 || other < 0 || dup2(f, N) != N || close(f) || pthread_create(&t, NULL, turns, NULL)) return 3;
    }
    raise(SIGSTOP);
    if (!strcmp(op, "unlink")) r = unlink(a);
    if (!strcmp(op, "open")) r = open(a, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (!strcmp(op, "fifo")) r = open(a, O_WRONLY | O_CREAT, 0644);
    if (!strcmp(op, "chmod")) r = chmod(a, 0600);
    if (!strcmp(op, "rename")) r = rename(a, b);
    if (!strcmp(op, "write")) r = write(N, "x", 1);
    if (!strcmp(op, "ftruncate")) r = ftruncate(N, 1);
    raise(SIGSTOP);
    return r < 0 ? 1 : 0;
}

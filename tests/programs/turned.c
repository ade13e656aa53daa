// One call by number N, between two marks (SIGSTOP), beside a thread that changes V for each byte that it reads:
// `turned OP FILE DIR`. Where N is open from before, it has no partner.
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

static void *changes(void *dir)
{
    char b;
    while (read(0, &b, 1) == 1) { mkdir(dir, 0755); rmdir(dir); }
    return dir;
}

int main(int n, char **v)
{
    const char *op = v[1];
    pthread_t t;
    int r = -1, f = open(v[2], O_WRONLY | O_APPEND);
    if (f < 0 || mkdir(v[3], 0755) || rmdir(v[3])) return perror("it cannot begin"), 3;
    if (fcntl(N, F_GETFD) < 0 && dup2(f, N) != N) return 4;
    close(f);
    if (pthread_create(&t, NULL, changes, v[3])) return 5;
    raise(SIGSTOP);
    if (!strcmp(op, "fchmod")) r = fchmod(N, 0600);
    if (!strcmp(op, "fsync")) r = fsync(N);
    if (!strcmp(op, "write") || !strcmp(op, "adopt")) r = write(N, "x\n", 2);
    int first = r < 0 ? errno : 0;
    raise(SIGSTOP);
    int then = write(N, "y\n", 2) == 2 && !fsync(N) ? 0 : errno;
    if (first || then) fprintf(stderr, "%s, then %s\n", strerror(first), strerror(then));
    pthread_join(t, NULL);
    return first || then;
}

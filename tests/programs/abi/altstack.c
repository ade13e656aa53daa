// Handlers on an 8 KiB signal stack write under a fast timer while the program writes: all bytes arrive, the mask is kept.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
static int fd2;
static volatile long handled;
static void on(int s) { (void)s; if (write(fd2, "handler\n", 8) == 8) handled++; }
int main(int argc, char **argv) {
    long n = argc > 1 ? atol(argv[1]) : 100000;
    char a[] = "/tmp/altstackXXXXXX", b[] = "/tmp/altstackXXXXXX";
    int fd = mkstemp(a);
    fd2 = mkstemp(b);
    stack_t ss = {.ss_size = 8192};
    char *m = mmap(0, 4096 + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(m + 4096, 8192, 3);
    ss.ss_sp = m + 4096;
    sigaltstack(&ss, 0);
    struct sigaction sa = {.sa_handler = on, .sa_flags = SA_ONSTACK | SA_RESTART};
    sigaction(SIGALRM, &sa, 0);
    struct itimerval it = {{0, 50}, {0, 50}};
    sigset_t before, after;
    sigprocmask(SIG_SETMASK, 0, &before);
    setitimer(ITIMER_REAL, &it, 0);
    for (long i = 0; i < n; i++) if (write(fd, "program\n", 8) != 8) return 2;
    it = (struct itimerval){0};
    setitimer(ITIMER_REAL, &it, 0);
    sigprocmask(SIG_SETMASK, 0, &after);
    struct stat s1, s2;
    fstat(fd, &s1);
    fstat(fd2, &s2);
    unlink(a); unlink(b);
    int ok = s1.st_size == n * 8 && s2.st_size == handled * 8 && !memcmp(&before, &after, 8) && handled > 0;
    printf("%s\n", ok ? "all bytes, same mask" : "BAD");
    return !ok;
}

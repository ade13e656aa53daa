/* Threads and signals against what a process remembers: one case an argument. V is the pair, S a
 * directory outside. Prints "ok" lines that do not depend on timing. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *v, *s;
static volatile int stop;
static int log_fd;

static void on_alarm(int sig) { (void)sig; if (write(log_fd, "sig\n", 4) < 0) _exit(9); }

/* A handler that writes to V runs up to the very end of the process. */
static void exits_under_a_timer(void)
{
    int hung = 0;
    for (int i = 0; i < 60; i++) {
        pid_t p = fork();
        if (!p) {
            struct itimerval t = { { 0, 60 }, { 0, 60 } };
            if (chdir(v)) _exit(8);
            log_fd = open("timer.log", O_CREAT | O_WRONLY | O_APPEND, 0644);
            signal(SIGALRM, on_alarm);
            setitimer(ITIMER_REAL, &t, 0);
            for (int k = 0; k < 20; k++) if (write(log_fd, "x", 1) < 0) _exit(9);
            _exit(0);
        }
        int st, n = 0;
        while (waitpid(p, &st, WNOHANG) == 0) {
            usleep(1000);
            if (++n > 10000) { hung++; kill(p, SIGKILL); waitpid(p, &st, 0); break; }
        }
    }
    printf("hung %d\n", hung);
}

static void *exchange(void *unused)
{
    (void)unused;
    while (!stop) syscall(SYS_renameat2, AT_FDCWD, "x", AT_FDCWD, "y", 2);
    return 0;
}

/* What is made through a directory's descriptor is in that directory, whatever it is called. */
static void directory_is_exchanged(void)
{
    int wrong = 0, dir;
    pthread_t t;
    if (chdir(v) || mkdir("x", 0755) || mkdir("y", 0755)) exit(8);
    dir = open("x", O_RDONLY | O_DIRECTORY);
    pthread_create(&t, 0, exchange, 0);
    for (int i = 0; i < 400; i++) {
        char n[30];
        struct stat st;
        sprintf(n, "f%d", i);
        int f = openat(dir, n, O_CREAT | O_WRONLY | O_EXCL, 0644);
        if (f < 0 || close(f) || fstatat(dir, n, &st, 0)) wrong++;
        sprintf(n, "d%d", i);
        if (mkdirat(dir, n, 0755) || fstatat(dir, n, &st, 0)) wrong++;
    }
    stop = 1;
    pthread_join(t, 0);
    printf("wrong %d\n", wrong);
}

static pthread_barrier_t step;

static void *split_cwd(void *unused)
{
    (void)unused;
    if (syscall(SYS_unshare, 0x200) || chdir(v)) exit(8); /* CLONE_FS */
    pthread_barrier_wait(&step);
    pthread_barrier_wait(&step);
    int f = open("by-thread", O_CREAT | O_WRONLY, 0644);
    if (f < 0 || write(f, "x", 1) != 1 || close(f) || mkdir("dir-by-thread", 0755)) exit(9);
    return 0;
}

/* A thread with a cwd of its own is in V while the others are outside. */
static void cwd_of_a_thread(void)
{
    pthread_t t;
    if (chdir(s)) exit(8);
    pthread_barrier_init(&step, 0, 2);
    pthread_create(&t, 0, split_cwd, 0);
    pthread_barrier_wait(&step);
    close(open("outside", O_CREAT | O_WRONLY, 0644));
    pthread_barrier_wait(&step);
    pthread_join(t, 0);
    printf("there %d %d\n", access("by-thread", F_OK), access("outside", F_OK));
}

/* An inode number that an outside directory had comes back at once, for a directory in V. */
static void number_comes_back(void)
{
    char d[500];
    for (int i = 0; i < 300; i++) {
        snprintf(d, sizeof d, "%s/t%d", s, i);
        if (mkdir(d, 0755)) exit(8);
        int f = open(d, O_RDONLY | O_DIRECTORY);
        close(openat(f, "x", O_CREAT | O_WRONLY, 0644));
        unlinkat(f, "x", 0);
        fchmod(f, 0700);
        close(f);
        rmdir(d);
        snprintf(d, sizeof d, "%s/d%d", v, i);
        if (mkdir(d, 0755)) exit(9);
        f = open(d, O_RDONLY | O_DIRECTORY);
        close(openat(f, "x", O_CREAT | O_WRONLY, 0644));
        close(f);
    }
    puts("ok");
}

int main(int argc, char **argv)
{
    v = getenv("V");
    s = getenv("S");
    if (argc < 2) return 2;
    setvbuf(stdout, 0, _IOLBF, 0);
    if (!strcmp(argv[1], "timer")) exits_under_a_timer();
    else if (!strcmp(argv[1], "exchange")) directory_is_exchanged();
    else if (!strcmp(argv[1], "thread")) cwd_of_a_thread();
    else if (!strcmp(argv[1], "reuse")) number_comes_back();
    else return 2;
    return 0;
}

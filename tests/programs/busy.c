// Starts what is open for writing, in every way, and says what became of it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
static char *args[] = {"x", 0}, *none[] = {0};
static const char *path;
static int how, open_;

static const char *said(int pid)
{
    static char b[64];
    int st;
    if (pid < 0) return strerror(errno);
    waitpid(pid, &st, 0);
    if (!WIFEXITED(st)) sprintf(b, "signal %d", WTERMSIG(st));
    else sprintf(b, "%s", WEXITSTATUS(st) >= 100 ? strerror(WEXITSTATUS(st) - 100) : WEXITSTATUS(st) == 7 ? "ran" : "other");
    return b;
}
static void go(void)
{
    char p[64];
    errno = 0;
    switch (how) {
    case 0: execve(path, args, environ); break;
    case 1: execveat(AT_FDCWD, path, args, environ, 0); break;
    case 2: execveat(open_, "", args, environ, AT_EMPTY_PATH); break;
    case 3: execvp(path, args); break;
    case 4: sprintf(p, "/proc/self/fd/%d", open_); execve(p, args, environ); break;
    case 5: execveat(open(path, O_PATH), "", args, environ, AT_EMPTY_PATH); break;
    case 6: execve(path, args, none); break;
    }
    _exit(100 + errno);
}
static void *waits(void *p) { pause(); return p; }
static void starts(const char *what)
{
    const char *name = strrchr(path, '/') + 1;
    pid_t p = fork();
    if (!p) go();
    printf("%s, %s, %d: %s", name, what, how, said(p));
    p = vfork();
    if (!p) go();
    printf(", %s\n", said(p));
}
int main(int argc, char **argv)
{
    static const int modes[] = {O_WRONLY, O_RDWR, O_WRONLY | O_CLOEXEC, O_WRONLY | O_APPEND, O_RDONLY};
    static const char *names[] = {"writes", "both", "cloexec", "appends", "reads"};
    setvbuf(stdout, 0, _IONBF, 0);
    for (int a = 1; a < argc; a++)
        for (int m = 0; m < 5; m++) {
            pid_t p;
            path = argv[a];
            open_ = open(path, modes[m]);
            for (how = 0; how < 7; how++) starts(names[m]);
            int r = posix_spawn(&p, path, 0, 0, args, environ);
            printf("spawn %s\n", r ? strerror(r) : said(p));
            how = 0;
            p = fork();
            if (!p) { close(open_); go(); }
            printf("closed in the child %s\n", said(p));
            if (modes[m] != O_RDONLY) {
                // The process itself, alone and with a thread.
                execve(path, args, environ);
                printf("itself %s", strerror(errno));
                printf(", written %zd\n", pwrite(open_, "", 0, 0));
            }
            int d = dup(open_);
            close(open_);
            starts("a copy");
            void *at = mmap(0, 4096, PROT_READ | (modes[m] == O_RDWR ? PROT_WRITE : 0), MAP_SHARED, d, 0);
            close(d);
            if (at != MAP_FAILED) { starts("mapped"); munmap(at, 4096); }
            starts("closed");
        }
    // Another process has it open.
    int pipes[2];
    char c;
    if (pipe(pipes)) return 1;
    path = argv[1];
    pid_t other = fork();
    if (!other) { open(path, O_WRONLY); write(pipes[1], "x", 1); pause(); _exit(0); }
    read(pipes[0], &c, 1);
    starts("another's");
    pthread_t t;
    pthread_create(&t, 0, waits, 0);
    starts("another's, with a thread");
    open_ = open(path, O_WRONLY);
    execve(path, args, environ);
    printf("itself, with a thread: %s\n", strerror(errno));
    kill(other, 9);
    return 0;
}

// Changes of DIR below a filter that denies one form of one call: denied DIR CASE (its own filter), or
// denied DIR CASE inherited (the changes are made by a program that is started below it).
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ERR(e) (SECCOMP_RET_ERRNO | (e))
enum { ANY, EQUAL, ABOVE };

// The call, how its argument `arg` is compared with `value`, and what the filter does then.
static const struct { int nr, how, arg; unsigned value, action; } cases[] = {
    {SYS_rt_sigprocmask, ABOVE, 0, 2, ERR(EPERM)},
    {SYS_rt_sigprocmask, ABOVE, 0, 2, SECCOMP_RET_KILL_PROCESS},
    {SYS_getppid, ANY, 0, 0, ERR(EPERM)},
    {SYS_fcntl, EQUAL, 1, F_GETFD, ERR(EPERM)},
    {SYS_fcntl, EQUAL, 1, F_DUPFD_CLOEXEC, ERR(ENOSYS)},
    {SYS_fcntl, EQUAL, 1, F_GETFL, ERR(EPERM)},
    {SYS_fcntl, ANY, 0, 0, ERR(EPERM)},
    {SYS_fcntl, ANY, 0, 0, ERR(ENOSYS)},
    {SYS_rt_sigprocmask, ANY, 0, 0, ERR(EPERM)},
    {SYS_rt_sigprocmask, ANY, 0, 0, ERR(ENOSYS)},
    {SYS_fstat, ANY, 0, 0, ERR(EPERM)},
    {SYS_statx, ANY, 0, 0, ERR(EPERM)},
    {SYS_readlinkat, ANY, 0, 0, ERR(EPERM)},
    {SYS_dup3, ANY, 0, 0, ERR(EPERM)},
    {SYS_prlimit64, ANY, 0, 0, ERR(EPERM)},
    {SYS_flock, ANY, 0, 0, ERR(EPERM)},
    {SYS_openat2, ANY, 0, 0, ERR(EPERM)},
    {SYS_futex, ANY, 0, 0, ERR(EPERM)},
    {SYS_pwrite64, ANY, 0, 0, ERR(EPERM)},
    {SYS_utimensat, ANY, 0, 0, ERR(EPERM)},
};

static char out[4096];
static void said(const char *what, long r)
{
    sprintf(out + strlen(out), "%s %s\n", what, r < 0 ? strerrorname_np(errno) : "ok");
}
#define SAY(call) (errno = 0, said(#call, call))

static void changes(int held)
{
    int n = open("new", O_CREAT | O_WRONLY, 0600);
    said("open", n);
    SAY(write(n, "data", 4));
    SAY(dup2(n, 90));
    SAY(write(90, "more", 4));
    SAY(write(held, "held", 4));
    SAY(mkdir("dir", 0700));
    SAY(symlink("a", "link"));
    SAY(rename("old", "renamed"));
    SAY(unlink("gone"));
    SAY(chmod("old2", 0640));
    SAY(truncate("old2", 1));
    if (write(1, out, strlen(out)) < 0) _exit(3);
    _exit(0);
}

static int made(const char *name)
{
    int n = open(name, O_CREAT | O_WRONLY, 0644);
    if (n < 0 || write(n, "before", 6) != 6) _exit(4);
    return n;
}

int main(int argc, char **argv)
{
    if (argc == 2) changes(80);
    unsigned i = atoi(argv[2]);
    if (i >= sizeof cases / sizeof *cases) return 9;
    if (chdir(argv[1])) return 5;
    close(made("old")), close(made("gone")), close(made("old2"));
    if (dup2(made("held"), 80) != 80) return 6;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, cases[i].nr, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8 * cases[i].arg),
        BPF_JUMP(BPF_JMP | (cases[i].how == ABOVE ? BPF_JGT : cases[i].how == EQUAL ? BPF_JEQ : BPF_JGE) | BPF_K, cases[i].value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, cases[i].action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog p = {6, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p)) return 7;
    if (argc > 3) return execl("/proc/self/exe", "denied", "changes", NULL), 8;
    changes(80);
}

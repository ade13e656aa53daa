// Programs below filters of their own: `filters DIR [CASE]`, `filters lent HOW`, `filters goes DIR CALL`,
// `filters bytes HOW COMMAND ARGUMENT…`. What a case prints is the same in a plain directory
// and mirrored.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// A call by an instruction of this program.
static long own(long nr, long a, long b, long c, long d)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = 0, r9 __asm__("r9") = 0;
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return r;
}

// Allows the calls of a list (ended by -1), or (`except`) all but those; what is not allowed gets `action`.
static int filter(const int *list, int except, unsigned action, int by_own)
{
    static struct sock_filter f[64];
    int n = 0, count = 0;
    while (list[count] >= 0) count++;
    f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < count; i++)
        f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, list[i], count - i, 0);
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, except ? SECCOMP_RET_ALLOW : action);
    f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, except ? action : SECCOMP_RET_ALLOW);
    struct sock_fprog p = { n, f };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return -1;
    return by_own ? own(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&p, 0) : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p);
}

// Locks of open file descriptions, and what asks for them (not fcntl's other commands), get `action`.
static int no_byte_locks(unsigned action)
{
    static struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_OFD_GETLK, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_OFD_SETLK, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    f[5].k = action;
    struct sock_fprog p = { sizeof f / sizeof *f, f };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -1 : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p);
}

enum { WRITER, WRITER_OWN, WRITER_RETURNS, STRICT, NO_OPENAT2, NO_UTIMES, NO_FLOCK, OWN_CALLS, REFUSED, BYTES_END, BYTES_REFUSED, WAYS };
static const char *const names[WAYS] = { "writer", "writer by its own instruction", "writer with handlers", "strict", "no openat2", "no utimensat", "no flock", "own calls", "refused", "byte locks end it", "byte locks are refused" };
static const int few[] = { SYS_read, SYS_write, SYS_exit_group, -1 };
static const int few_and_return[] = { SYS_read, SYS_write, SYS_exit_group, SYS_rt_sigreturn, -1 };
static const int openat2_only[] = { SYS_openat2, -1 }, utimes_only[] = { SYS_utimensat, -1 }, flock_only[] = { SYS_flock, -1 };
static const int by_itself[] = { SYS_read, SYS_write, SYS_exit_group, SYS_rt_sigreturn, SYS_openat, SYS_close, -1 };

static volatile int handled;
static void on(int s) { (void)s; handled++; }

// In a child: what it does below the filter.
static void child(int way, const char *dir)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/way%d", dir, way);
    int f = open(path, O_CREAT | O_WRONLY | O_APPEND, 0644), g, r = 0;
    if (f < 0 || write(f, "before\n", 7) != 7) _exit(90);
    snprintf(path, sizeof path, "%s/new%d", dir, way);
    signal(SIGUSR1, on);
    if (way == STRICT) r = prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    else if (way == REFUSED) r = filter(few, 0, SECCOMP_RET_ERRNO | EACCES, 0);
    else if (way >= BYTES_END) r = no_byte_locks(way == BYTES_END ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM);
    else if (way >= NO_OPENAT2 && way <= NO_FLOCK) r = filter(way == NO_OPENAT2 ? openat2_only : way == NO_UTIMES ? utimes_only : flock_only, 1, SECCOMP_RET_KILL_PROCESS, 0);
    else r = filter(way == OWN_CALLS ? by_itself : way == WRITER_RETURNS ? few_and_return : few, 0, SECCOMP_RET_KILL_PROCESS, way == WRITER_OWN);
    if (r) _exit(91);
    if (way == OWN_CALLS) {
        g = own(SYS_openat, AT_FDCWD, (long)path, O_CREAT | O_WRONLY, 0644);
        if (g < 0 || own(SYS_write, g, (long)"own\n", 4, 0) != 4 || own(SYS_close, g, 0, 0, 0)) _exit(92);
    }
    if (way == REFUSED) { if (close(f) != -1 || errno != EACCES) _exit(95); _exit(0); }
    if (write(f, "after\n", 6) != 6) _exit(93);
    if (way >= BYTES_END) {
        // A child of its own begins anew below the filter.
        pid_t p = fork(); int st;
        if (!p) _exit((g = open(path, O_CREAT | O_WRONLY, 0644)) < 0 || write(g, "new\n", 4) != 4 || close(g) || write(f, "child\n", 6) != 6);
        if (waitpid(p, &st, 0) != p || st || close(f)) _exit(97);
        _exit(0);
    }
    if (way >= NO_OPENAT2 && way <= NO_FLOCK) {
        if ((g = open(path, O_CREAT | O_WRONLY, 0644)) < 0 || write(g, "new\n", 4) != 4 || close(g) || close(f)) _exit(94);
        if (raise(SIGUSR1) || handled != 1) _exit(96);
    }
    if (way == STRICT) syscall(SYS_exit, 0);
    _exit(0);
}

// A vfork child that puts itself under a filter: one that kills for a call of the library's, strict mode, or one
// for what nobody calls.
static int lent(const char *how)
{
    static const int nobodys[] = { SYS_reboot, -1 };
    int st, strict = !strcmp(how, "strict");
    pid_t p = vfork();
    if (!p) {
        if (strict ? prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) : filter(!strcmp(how, "harmless") ? nobodys : flock_only, 1, SECCOMP_RET_KILL_PROCESS, 0)) _exit(1);
        if (strict) own(SYS_exit, 0, 0, 0, 0);
        _exit(0);
    }
    waitpid(p, &st, 0);
    return st != 0;
}

// The same, and the child goes on to change files of a directory below a filter that kills for a call of the
// library's. What this one does then is its own affair again.
static int lent_goes_on(const char *dir, const char *which)
{
    static const int fcntl_only[] = { SYS_fcntl, -1 }, fstat_only[] = { SYS_fstat, SYS_newfstatat, SYS_statx, -1 };
    const int *list = *which == 'f' ? flock_only : *which == 'o' ? openat2_only : *which == 'c' ? fcntl_only : fstat_only;
    char path[4096], mine[4096]; int st, before;
    snprintf(path, sizeof path, "%s/theirs", dir); snprintf(mine, sizeof mine, "%s/mine", dir);
    if ((before = open(path, O_CREAT | O_WRONLY | O_APPEND, 0644)) < 0 || write(before, "before\n", 7) != 7) return 1;
    pid_t p = vfork();
    if (!p) {
        if (filter(list, 1, SECCOMP_RET_KILL_PROCESS, 0)) _exit(1);
        if (write(before, "after\n", 6) != 6 || close(before)) _exit(2);
        strcpy(path + strlen(path) - 6, "new"); before = open(path, O_CREAT | O_WRONLY, 0644);
        if (before < 0 || write(before, "new\n", 4) != 4 || rename(path, path) || chmod(path, 0600)) _exit(3);
        _exit(0);
    }
    waitpid(p, &st, 0);
    printf("%s %d\n", WIFSIGNALED(st) ? "signal" : "exit", WIFSIGNALED(st) ? WTERMSIG(st) : WEXITSTATUS(st));
    int f = open(mine, O_CREAT | O_WRONLY | O_APPEND, 0644);
    return f < 0 || write(f, "mine\n", 5) != 5 || close(f);
}

int main(int n, char **v)
{
    if (n > 3 && !strcmp(v[1], "goes")) return lent_goes_on(v[2], v[3]);
    if (n > 2 && !strcmp(v[1], "lent")) return lent(v[2]);
    if (n > 4 && !strcmp(v[1], "bytes")) {
        if (no_byte_locks(*v[2] == 'e' ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM)) return 3;
        execvp(v[3], v + 3);
        return 4;
    }
    if (n < 2) return 2;
    int only = n > 2 ? atoi(v[2]) : -1;
    for (int way = 0; way < WAYS; way++) {
        if (only >= 0 && way != only) continue;
        fflush(stdout);
        pid_t p = fork();
        if (!p) child(way, v[1]);
        int st;
        waitpid(p, &st, 0);
        printf("%s: %s %d\n", names[way], WIFSIGNALED(st) ? "signal" : "exit", WIFSIGNALED(st) ? WTERMSIG(st) : WEXITSTATUS(st));
    }
    return 0;
}

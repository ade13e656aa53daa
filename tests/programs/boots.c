/* boots PROGRAM: starts it with this program's environment; prints how many system calls it makes and how
 * many pages it touches for the first time, from its exec to its end, and the calls' numbers in order. */
#define _GNU_SOURCE
#include <sys/ptrace.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static long faults(pid_t pid)
{
    char name[64], text[1024];
    long n = -1;
    snprintf(name, sizeof name, "/proc/%d/stat", pid);
    FILE *f = fopen(name, "r");
    if (f && fgets(text, sizeof text, f)) {
        char *p = text;
        /* behind the name in brackets: state, six numbers, flags, minflt */
        for (char *q = text; *q; q++)
            if (*q == ')')
                p = q;
        sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %ld", &n);
    }
    if (f)
        fclose(f);
    return n;
}

int main(int c, char **v)
{
    int st, calls = 0;
    long before, after = -1;
    static int numbers[4096];
    pid_t pid = fork();
    if (!pid) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execl(v[1], v[1], (char *)0);
        _exit(9);
    }
    if (c < 2 || waitpid(pid, &st, 0) != pid || !WIFSTOPPED(st))
        return 1;
    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXIT);
    before = faults(pid);
    for (;;) {
        ptrace(PTRACE_SYSCALL, pid, 0, 0);
        if (waitpid(pid, &st, 0) != pid)
            return 2;
        if (WIFEXITED(st))
            break;
        if (WIFSIGNALED(st))
            return 3;
        if (WSTOPSIG(st) == (SIGTRAP | 0x80)) {
            struct __ptrace_syscall_info info;
            ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
            if (info.op == PTRACE_SYSCALL_INFO_ENTRY && calls < 4096)
                numbers[calls++] = info.entry.nr;
        } else if (st >> 16 == PTRACE_EVENT_EXIT) {
            after = faults(pid);
        }
    }
    printf("%d %ld %d", calls, after - before, WEXITSTATUS(st));
    for (int i = 0; i < calls; i++)
        printf(" %d", numbers[i]);
    puts("");
    return 0;
}

/* Stops or kills a program at its N-th system call, for tests/scenarios.rs:
 *     tracer stop|kill WHO N PROGRAM ARGS...
 * WHO 0 is the program: counted from its first getppid() to its second. WHO 1 is its first child: counted
 * from its birth. `kill`: SIGKILL before the call is made. `stop`: SIGSTOP, seen when the call has been
 * made; the program is let go of, and stays stopped until somebody else continues or kills it.
 * Prints `stopped PID CALL`, `killed PID CALL`, or `past` when there is no such call. Exits as the program. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int stop = !strcmp(argv[1], "stop"), who = atoi(argv[2]), wanted = atoi(argv[3]), n = 0, result = 0, st;
    int counting = who > 0, acted = 0;
    pid_t first = fork(), target, pid, known[4096];
    int knows = 0;
    if (first == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        execv(argv[4], argv + 4);
        _exit(127);
    }
    waitpid(first, &st, 0);
    ptrace(PTRACE_SETOPTIONS, first, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
    ptrace(PTRACE_SYSCALL, first, 0, 0);
    target = who ? -1 : first;
    known[knows++] = first;
    while ((pid = waitpid(-1, &st, __WALL)) > 0 || errno == EINTR) {
        if (pid < 0) continue;
        if (!WIFSTOPPED(st)) {
            if (pid == first) result = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
            if (pid == target && !acted) { acted = 1; puts("past"); fflush(stdout); }
            continue;
        }
        int sig = WSTOPSIG(st), event = st >> 16, seen = 0;
        for (int i = 0; i < knows; i++) seen |= known[i] == pid;
        if (!seen && knows < 4096) known[knows++] = pid;
        if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK) {
            unsigned long child;
            ptrace(PTRACE_GETEVENTMSG, pid, 0, &child);
            if (target < 0) target = child;
            sig = 0;
        } else if (event || sig == SIGTRAP || (!seen && sig == SIGSTOP)) {
            sig = 0;
        } else if (sig == (SIGTRAP | 0x80)) {
            struct __ptrace_syscall_info info;
            sig = 0;
            ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
            if (pid == target && info.op == PTRACE_SYSCALL_INFO_ENTRY && !acted) {
                if (info.entry.nr == SYS_getppid && !who) counting++;
                else if (counting == 1 && ++n == wanted) {
                    acted = 1;
                    kill(pid, stop ? SIGSTOP : SIGKILL);
                    if (stop) {
                        char path[64], line[512] = "";
                        snprintf(path, sizeof path, "/proc/%d/stat", pid);
                        ptrace(PTRACE_DETACH, pid, 0, 0);
                        do {
                            FILE *f = fopen(path, "r");
                            if (!f || !fgets(line, sizeof line, f)) strcpy(line, ") T");
                            if (f) fclose(f);
                            usleep(500);
                        } while (!strstr(line, ") T"));
                    }
                    printf("%s %d %d\n", stop ? "stopped" : "killed", pid, (int)info.entry.nr);
                    fflush(stdout);
                    if (stop) continue;
                }
                if (counting == 2 && !acted) { acted = 1; puts("past"); fflush(stdout); }
            }
        }
        ptrace(PTRACE_SYSCALL, pid, 0, sig);
    }
    return result;
}

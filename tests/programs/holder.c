// A child is stopped in the middle of a change, and its parent, who alone can continue it, changes the same
// things: `holder traced|stopped DIR [names]`; names: it is always stopped where it opens. Prints the same in a plain directory, where no lock is met.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int ok, const char *what)
{
    if (!ok) { perror(what); exit(1); }
}

static const char LINE[] = "of the child\n";

static void append(const char *name, const char *text)
{
    int f = open(name, O_WRONLY | O_CREAT | O_APPEND, 0644);
    must(f >= 0, "open");
    must(write(f, text, strlen(text)) == (ssize_t)strlen(text), "write");
    must(!close(f), "close");
}

// Whether a call makes the child's name, or writes its line: of two legs the first one's comes first, with whatever
// keeps others out.
static int changes(pid_t child, const struct __ptrace_syscall_info *i, int writes)
{
    if (writes) return (i->entry.nr == SYS_write || i->entry.nr == SYS_pwrite64) && i->entry.args[2] == sizeof LINE - 1;
    return i->entry.nr == SYS_openat2 && ptrace(PTRACE_PEEKDATA, child, i->entry.args[2], 0) & O_CREAT;
}

// Lets the child go on to the end of its first such call, or until it has ended; whether it is there.
static int until_changed(pid_t child, int writes)
{
    for (int st, is = 0; !ptrace(PTRACE_SYSCALL, child, 0, 0) && waitpid(child, &st, 0) == child;) {
        if (!WIFSTOPPED(st)) return 0;
        struct __ptrace_syscall_info i;
        must(ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof i, &i) > 0, "info");
        if (i.op == PTRACE_SYSCALL_INFO_ENTRY) is = changes(child, &i, writes);
        else if (i.op == PTRACE_SYSCALL_INFO_EXIT && is && i.exit.rval >= 0) return 1;
    }
    return 0;
}

int main(int n, char **v)
{
    if (n < 3 || chdir(v[2])) return 2;
    int traced = !strcmp(v[1], "traced"), st, locks[2];
    append("log", "first\n");
    must(!mkdir("d", 0755), "mkdir");
    for (int round = 0; round < 2; round++) {
        pid_t child = fork();
        if (!child) {
            ptrace(PTRACE_TRACEME, 0, 0, 0);
            raise(SIGSTOP);
            // A name is made in the same directory, or the same file is written.
            append(round ? "log" : "d/child", LINE);
            _exit(0);
        }
        waitpid(child, &st, 0);
        must(!ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD), "options");
        locks[round] = until_changed(child, round && n < 4);
        if (locks[round] && !traced) {
            must(!kill(child, SIGSTOP), "kill");
            must(!ptrace(PTRACE_DETACH, child, 0, 0), "detach");
            must(waitpid(child, &st, WUNTRACED) == child && WIFSTOPPED(st), "stop");
        }
        append(round ? "log" : "d/parent", "of the parent\n");
        append(round ? "log" : "d/parent", "again\n");
        if (locks[round] && traced) ptrace(PTRACE_DETACH, child, 0, 0);
        if (locks[round]) { kill(child, SIGCONT); waitpid(child, &st, 0); }
    }
    FILE *f = fopen("log", "r");
    int lines = 0;
    for (int c; (c = getc(f)) != EOF;) lines += c == '\n';
    printf("%d lines, ended\n", lines);
    fprintf(stderr, "locks met: %d %d\n", locks[0], locks[1]);
    return 0;
}

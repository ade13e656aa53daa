/* sandboxed: a child puts itself under a filter that lets it read, write and exit, and kills for everything
   else, then writes to what it had open before. Prints how that went. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void shut(void)
{
    static struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 3, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog all = { sizeof code / sizeof *code, code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &all)) _exit(99);
}

int main(void)
{
    int pair[2], tube[2], high = 700, file;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || pipe(tube) || (file = open("/dev/null", O_WRONLY)) < 0 || dup2(tube[1], high) < 0) return 1;
    pid_t child = fork();
    if (!child) {
        const int all[] = { pair[1], tube[1], file, 1 };
        shut();
        for (int i = 0; i < 4; i++)
            if (write(all[i], "ok\n", 3) != 3) _exit(10 + i);
        _exit(0);
    }
    int status;
    char text[8] = "";
    waitpid(child, &status, 0);
    printf("%s %d; ", WIFSIGNALED(status) ? "signal" : "exit", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    printf("%zd %zd\n", recv(pair[0], text, sizeof text, MSG_DONTWAIT), fcntl(tube[0], F_SETFL, O_NONBLOCK) ? -2 : read(tube[0], text, sizeof text));
    return 0;
}

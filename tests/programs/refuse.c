/* refuse ERRNO NAME[,NAME] PROGRAM [ARGS]: runs PROGRAM under a seccomp filter that answers ERRNO to the
   named system calls. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int number(const char *name)
{
    if (!strcmp(name, "openat2"))
        return SYS_openat2;
    if (!strcmp(name, "close_range"))
        return SYS_close_range;
    if (!strcmp(name, "statx"))
        return SYS_statx;
    if (!strcmp(name, "faccessat2"))
        return SYS_faccessat2;
    if (!strcmp(name, "flock"))
        return SYS_flock;
    fprintf(stderr, "refuse: %s?\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    struct sock_filter code[64];
    int n = 0, error = !strcmp(argv[1], "ENOSYS") ? ENOSYS : EPERM;
    char *names = strdup(argv[2]);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (char *s = strtok(names, ","); s; s = strtok(NULL, ",")) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number(s), 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog prog = {n, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog)) {
        perror("refuse");
        return 2;
    }
    execvp(argv[3], argv + 3);
    perror(argv[3]);
    return 127;
}

/* For tests/tests/probes.rs: `probes CASE DIR`. A seccomp call that installs nothing, or a filter that forbids
 * nothing, while a file of DIR is open for writing; then DIR is changed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct sock_filter one(unsigned k) { return (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, k); }

static long probe(int which)
{
    struct sock_filter kill = one(SECCOMP_RET_KILL_PROCESS), allow = one(SECCOMP_RET_ALLOW), bad = {0xffff, 0, 0, 0};
    struct sock_fprog kills = {1, &kill}, allows = {1, &allow}, none = {0, &kill}, wrong = {1, &bad};
    switch (which) {
    case 0: return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL);
    case 1: return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL);
    case 2: return prctl(PR_SET_SECCOMP, 7, 0);
    case 3: return syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL);
    case 4: return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &none);
    case 5: return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &wrong);
    case 6: return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 1 << 20, &kills);
    default: prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &allows);
    }
}

int main(int n, char **v)
{
    if (n < 3 || chdir(v[2])) return 2;
    char name[32];
    snprintf(name, sizeof name, "f%s", v[1]);
    int f = open(name, O_CREAT | O_WRONLY | O_APPEND, 0644);
    if (f < 0 || write(f, "before\n", 7) != 7) return 3;
    long r = probe(atoi(v[1]));
    printf("%ld %s\n", r, r ? strerrorname_np(errno) : "");
    if (write(f, "after\n", 6) != 6 || close(f)) return 4;
    snprintf(name, sizeof name, "d%s", v[1]);
    return mkdir(name, 0755) ? 5 : 0;
}

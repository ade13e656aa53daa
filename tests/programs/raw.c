/* Calls by number with all 64 bits of their registers: the kernel looks at 32 of a number and of flags. By libc's
 * syscall(), or by an instruction of the program's own: raw libc|own, in the cwd. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int own;
static long call(long nr, long a, long b, long c, long d, long e)
{
    if (!own) {
        long r = syscall(nr, a, b, c, d, e, 0);
        return r < 0 ? -errno : r;
    }
    long r;
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = 0;
    __asm__ volatile("syscall" : "=a"(r) : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return r;
}

#define P(s) ((long)(s))
#define SAY(what, r) do { long v = (r); printf("%s %ld\n", what, v < 0 ? v : v > 2); } while (0)
static const unsigned long junk[] = {0, 0xdeadbeef00000000, 0x7fff000000000000, 0xffffffff00000000, 1UL << 32};

static void numbers(long up)
{
    SAY("mkdir", call(SYS_mkdir | up, P("d"), 0755, 0, 0, 0));
    int n = call(SYS_open | up, P("f"), O_CREAT | O_RDWR, 0644, 0, 0);
    SAY("write", call(SYS_write | up, n, P("data"), 4, 0, 0));
    SAY("pwrite", call(SYS_pwrite64 | up, n, P("XX"), 2, 1, 0));
    SAY("ftruncate", call(SYS_ftruncate | up, n, 3, 0, 0, 0));
    SAY("fchmod", call(SYS_fchmod | up, n, 0640, 0, 0, 0));
    SAY("dup2", call(SYS_dup2 | up, n, 50, 0, 0, 0));
    SAY("write to it", call(SYS_write | up, 50, P("more"), 4, 0, 0));
    SAY("close", call(SYS_close | up, 50, 0, 0, 0, 0));
    SAY("symlink", call(SYS_symlink | up, P("f"), P("s"), 0, 0, 0));
    SAY("link", call(SYS_link | up, P("f"), P("l"), 0, 0, 0));
    SAY("rename", call(SYS_rename | up, P("l"), P("m"), 0, 0, 0));
    SAY("truncate", call(SYS_truncate | up, P("m"), 2, 0, 0, 0));
    SAY("chmod", call(SYS_chmod | up, P("m"), 0604, 0, 0, 0));
    SAY("setxattr", call(SYS_setxattr | up, P("m"), P("user.a"), P("v"), 1, 0));
    SAY("unlink", call(SYS_unlink | up, P("s"), 0, 0, 0, 0));
    SAY("rmdir", call(SYS_rmdir | up, P("d"), 0, 0, 0, 0));
    close(n);
}

static void flags(long up)
{
    long cwd = AT_FDCWD;
    close(open("f", O_CREAT | O_RDWR, 0644)); close(open("g", O_CREAT | O_RDWR, 0644)); mkdir("d", 0755); symlink("f", "s");
    SAY("renameat2", call(SYS_renameat2, cwd, P("g"), cwd, P("h"), 1 | up));
    SAY("renameat2, there", call(SYS_renameat2, cwd, P("h"), cwd, P("f"), 1 | up));
    SAY("exchange", call(SYS_renameat2, cwd, P("h"), cwd, P("f"), 2 | up));
    SAY("linkat", call(SYS_linkat, cwd, P("s"), cwd, P("l"), AT_SYMLINK_FOLLOW | up));
    SAY("linkat, kept", call(SYS_linkat, cwd, P("s"), cwd, P("k"), up));
    SAY("unlinkat", call(SYS_unlinkat, cwd, P("l"), up, 0, 0));
    SAY("unlinkat, dir", call(SYS_unlinkat, cwd, P("d"), AT_REMOVEDIR | up, 0, 0));
    SAY("fchmodat2", call(452, cwd, P("f"), 0604 | up, up, 0));
    SAY("fchmodat", call(SYS_fchmodat, cwd, P("h"), 0620 | up, 0, 0));
    SAY("fchownat", call(SYS_fchownat, cwd, P("s"), getuid() | up, getgid() | up, AT_SYMLINK_NOFOLLOW | up));
    struct timespec t[2] = {{3, 4}, {5, 6}};
    SAY("utimensat", call(SYS_utimensat, cwd, P("s"), P(t), AT_SYMLINK_NOFOLLOW | up, 0));
    struct { unsigned long value; unsigned size, flags; } x = {P("v"), 1, 0};
    SAY("setxattrat", syscall(463, cwd, P("f"), up, P("user.b"), P(&x), sizeof x) < 0 ? -errno : 0);
    SAY("removexattrat", call(466, cwd, P("f"), up, P("user.b"), 0));
    SAY("openat", call(SYS_openat, cwd, P("o"), (O_CREAT | O_RDWR | O_CLOEXEC) | up, 0640 | up, 0));
    SAY("mkdirat", call(SYS_mkdirat, cwd & 0xffffffff, P("e"), 0750 | up, 0, 0));
    SAY("mknodat", call(SYS_mknodat, cwd, P("n"), (S_IFIFO | 0600) | up, up, 0));
    SAY("close_range", call(SYS_close_range, 3 | up, 90 | up, up, 0, 0));
}

/* RESOLVE_IN_ROOT: the directory is the root of the path. */
static void in_root(void)
{
    struct { unsigned long long flags, mode, resolve; } make = {O_CREAT | O_RDWR, 0604, 0x10}, empty = {O_WRONLY | O_TRUNC, 0, 0x10};
    mkdir("s", 0755); mkdir("s/t", 0755);
    int n = open("s/e", O_CREAT | O_WRONLY, 0644); SAY("fill", write(n, "old", 3)); close(n);
    int d = open("s", O_RDONLY | O_DIRECTORY);
    SAY("slash", call(SYS_openat2, d, P("/t/o"), P(&make), sizeof make, 0));
    SAY("slashes", call(SYS_openat2, d, P("///t//p"), P(&make), sizeof make, 0));
    SAY("empty", call(SYS_openat2, d, P("/e"), P(&empty), sizeof empty, 0));
    SAY("up and down", call(SYS_openat2, d, P("/t/../q"), P(&make), sizeof make, 0));
    SAY("from the cwd", call(SYS_openat2, AT_FDCWD, P("/s/t/r"), P(&make), sizeof make, 0));
    SAY("the root itself", call(SYS_openat2, d, P("/."), P(&make), sizeof make, 0));
}

/* The same, out of the directory: that stays in it. */
static void out_of_root(void)
{
    struct { unsigned long long flags, mode, resolve; } make = {O_CREAT | O_RDWR, 0604, 0x10};
    mkdir("s", 0755);
    int d = open("s", O_RDONLY | O_DIRECTORY);
    SAY("up", call(SYS_openat2, d, P("../u"), P(&make), sizeof make, 0));
    SAY("up and up", call(SYS_openat2, AT_FDCWD, P("../../../u"), P(&make), sizeof make, 0));
    SAY("slash and up", call(SYS_openat2, d, P("/../../u"), P(&make), sizeof make, 0));
}

int main(int argc, char **argv)
{
    if (argc < 3) return 2;
    own = !strcmp(argv[1], "own");
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!strcmp(argv[2], "in_root")) { in_root(); return 0; }
    if (!strcmp(argv[2], "out_of_root")) { out_of_root(); return 0; }
    for (unsigned i = 0; i < sizeof junk / sizeof *junk; i++) {
        char dir[20];
        snprintf(dir, sizeof dir, "%u", i);
        if (mkdir(dir, 0755) || chdir(dir)) return 3;
        (strcmp(argv[2], "numbers") ? flags : numbers)(junk[i]);
        if (chdir("..")) return 3;
    }
    return 0;
}

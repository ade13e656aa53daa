/* One change between two marks (as in swept.c), for tests/doubted.rs: what is changed is named in one of many ways.
 *     doubted WAY CALL DIR OUT     DIR lies in V and is furnished, OUT lies outside, with symlinks into DIR */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MARK 0x53570000

static char path[4096];
static int at = AT_FDCWD;

static int opened(const char *name, int flags)
{
    int fd = open(name, flags);
    if (fd < 0) _exit(91);
    return fd;
}

static int set(const char *how, const char *dir, const char *out, const char *name)
{
#define WAY(w, prepare, ...) if (!strcmp(how, w)) { prepare; snprintf(path, sizeof path, __VA_ARGS__); return 1; }
    char file[4096];
    snprintf(file, sizeof file, "%s/%s", dir, name);
    WAY("absolute", , "%s/%s", dir, name);
    WAY("cwd", if (chdir(dir)) _exit(92), "%s", name);
    WAY("directory", at = opened(dir, O_DIRECTORY), "%s", name);
    WAY("dots", if (chdir(dir) || chdir("d")) _exit(92), "../%s", name);
    WAY("link", , "%s/%s", out, name);
    WAY("link_in_cwd", if (chdir(out)) _exit(92), "%s", name);
    WAY("link_of_directory", at = opened(out, O_DIRECTORY), "%s", name);
    WAY("directory_link", , "%s/dir/%s", out, name);
    WAY("directory_link_in_cwd", if (chdir(out)) _exit(92), "dir/%s", name);
    WAY("number", at = opened(file, O_RDONLY), "/proc/self/fd/%d", at);
    WAY("number_of_thread", at = opened(file, O_RDONLY), "/proc/thread-self/fd/%d", at);
    WAY("number_in_dev", at = opened(file, O_RDONLY), "/dev/fd/%d", at);
    WAY("number_written", at = opened(file, O_RDWR), "/proc/self/fd/%d", at);
    WAY("below_number", at = opened(dir, O_DIRECTORY), "/proc/self/fd/%d/%s", at, name);
    WAY("below_cwd_in_proc", if (chdir(dir)) _exit(92), "/proc/self/cwd/%s", name);
    return 0;
}

static long change(const char *call)
{
    if (!strcmp(call, "empty")) return open(path, O_RDWR | O_TRUNC) < 0 ? -1 : 0;
    if (!strcmp(call, "empty_at")) return openat(at, path, O_WRONLY | O_TRUNC) < 0 ? -1 : 0;
    if (!strcmp(call, "make")) return openat(at, path, O_WRONLY | O_CREAT, 0640) < 0 ? -1 : 0;
    if (!strcmp(call, "truncate")) return truncate(path, 7);
    if (!strcmp(call, "chmod")) return fchmodat(at, path, 0600, 0);
    if (!strcmp(call, "times")) return utimensat(at, path, 0, 0);
    if (!strcmp(call, "setxattr")) return setxattr(path, "user.k", "v1", 2, 0);
    if (!strcmp(call, "unlink")) return unlinkat(at, path, 0);
    if (!strcmp(call, "rename")) return renameat(at, path, at, "away");
    _exit(93);
}

int main(int argc, char **argv)
{
    if (argc == 2) return 0;
    umask(022);
    const char *call = argv[2];
    int fd = open(argv[3], O_RDONLY | O_DIRECTORY);
    /* Attaches, and opens locks. */
    int warm = openat(fd, "warm", O_WRONLY);
    if (warm < 0 || fchmod(warm, 0600) || fchmod(warm, 0644)) return 90;
    close(warm);
    close(fd);
    if (!set(argv[1], argv[3], argv[4], strcmp(call, "make") ? "f" : "new")) return 94;
    kill(getpid(), SIGSTOP);
    errno = 0;
    long answer = change(call);
    int e = answer < 0 ? errno : 0;
    syscall(SYS_membarrier, MARK, answer, e);
    return 0;
}

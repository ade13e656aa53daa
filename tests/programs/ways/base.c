/* Named ways to change a file, each alone, in a directory that `prepare` made. The files of this folder are
 * one program, in the order base, libc, calls, odd, main (tests/tests/ways.rs):
 *
 *   ways list                    a line for each way: name, family, how it starts, what it needs
 *   ways prepare DIR NAME...     a directory for each of the ways
 *   ways batch DIR NAME...       each as a program of its own; prints "NAME ok|ERRNO|code N"
 *   ways outer DIR NAME CMD...   what a program without the mirror does first; then `CMD... inner DIR NAME`
 *
 * A way returns 0, or an errno. Before the one call that it is about it changes nothing. */
#include <aio.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <link.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>
#include <utmpx.h>
#include <wordexp.h>

struct way { const char *name, *family; int (*run)(void); int (*outer)(void); const char *needs; };

/* A call that fails ends the way with its errno. */
#define TRY(x) do { if ((long)(x) == -1) return errno ? errno : 1000; } while (0)
/* The same for what answers NULL, or an error number. */
#define PTR(x) do { errno = 0; if (!(x)) return errno ? errno : 1001; } while (0)
#define ERR(x) do { int e_ = (x); if (e_) return e_; } while (0)

static char directory[PATH_MAX]; /* of this way, absolute */
static char self[PATH_MAX];      /* this program */
static int given = -1;           /* the descriptor that an outer part has left for the inner one */
#define GIVEN 17

static const char *in(const char *name)
{
    static char path[2][PATH_MAX + 64]; static int n;
    n = !n; snprintf(path[n], sizeof path[n], "%s/%s", directory, name); return path[n];
}

/* How a child ended, as a way's result. */
static int ended(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) if (errno != EINTR) return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 2000 + WTERMSIG(status);
}

/* What a program that stands in PATH or in $P says. */
static int program(const char *path, ...)
{
    char *argv[12], full[PATH_MAX]; int n = 0; va_list l;
    const char *p = getenv("P");
    if (path[0] == '@') { snprintf(full, sizeof full, "%s/%s", p, path + 1); path = full; }
    argv[n++] = (char *)path; va_start(l, path);
    while (n < 11 && (argv[n] = va_arg(l, char *))) n++;
    argv[n] = NULL; va_end(l);
    pid_t pid = fork();
    if (!pid) { execvp(path, argv); _exit(127); }
    return pid < 0 ? errno : ended(pid);
}

static int fd_rw(void) { return open("f", O_RDWR); }

/* Sends descriptors, or takes one. */
static int send_fd(int s, int fd)
{
    char c[CMSG_SPACE(sizeof(int))] = { 0 }, x = 'x'; struct iovec v = { &x, 1 };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c };
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET; h->cmsg_type = SCM_RIGHTS; h->cmsg_len = CMSG_LEN(sizeof(int)); memcpy(CMSG_DATA(h), &fd, sizeof fd);
    return sendmsg(s, &m, 0) < 0 ? -1 : 0;
}
static int take_fd(int s)
{
    char c[CMSG_SPACE(sizeof(int))] = { 0 }, x; struct iovec v = { &x, 1 }; int fd = -1;
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c };
    if (recvmsg(s, &m, 0) < 1 || !CMSG_FIRSTHDR(&m)) { errno = EBADMSG; return -1; }
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd); return fd;
}

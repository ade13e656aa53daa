/* Writes that a full file system cuts short: what they answer, and where the position is then.
 *     shorts DIR     DIR has room for a few pages only; "source" lies in it
 * One line for each call, each way to have the description. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LARGE = 40960, START = 1000, OLD = 3000 };
static char bytes[LARGE], read_back[200000];
static int source;

static const char *const calls[] = {
    "write", "writev", "pwrite", "pwritev", "pwritev2", "pwritev2_here", "pwritev2_append", "sendfile", "splice", "copy", "copy_at",
};

static long call(const char *name, int fd)
{
    struct iovec v[2] = { { bytes, 9000 }, { bytes + 9000, LARGE - 9000 } };
    off_t at = 500;
    if (!strcmp(name, "write")) return write(fd, bytes, LARGE);
    if (!strcmp(name, "writev")) return writev(fd, v, 2);
    if (!strcmp(name, "pwrite")) return pwrite(fd, bytes, LARGE, 2000);
    if (!strcmp(name, "pwritev")) return pwritev(fd, v, 2, 2000);
    if (!strcmp(name, "pwritev2")) return pwritev2(fd, v, 2, 2000, 0);
    if (!strcmp(name, "pwritev2_here")) return pwritev2(fd, v, 2, -1, 0);
    if (!strcmp(name, "pwritev2_append")) return pwritev2(fd, v, 2, 2000, RWF_APPEND);
    if (!strcmp(name, "sendfile")) return sendfile(fd, source, &at, 32768);
    if (!strcmp(name, "copy")) return copy_file_range(source, &at, fd, NULL, 32768, 0);
    if (!strcmp(name, "copy_at")) { off_t to = 2000; return copy_file_range(source, &at, fd, &to, 32768, 0); }
    int p[2];
    if (pipe(p) || write(p[1], bytes, LARGE) != LARGE) exit(3);
    long r = splice(p[0], NULL, fd, NULL, LARGE, 0);
    int e = errno;
    close(p[0]);
    close(p[1]);
    errno = e;
    return r;
}

/* By another process that has the description. */
static long elsewhere(const char *name, int fd)
{
    int p[2];
    long answer[2] = { -1, 0 };
    if (pipe(p)) exit(3);
    pid_t pid = fork();
    if (pid == 0) {
        errno = 0;
        answer[0] = call(name, fd);
        answer[1] = errno;
        _exit(write(p[1], answer, sizeof answer) != sizeof answer);
    }
    waitpid(pid, NULL, 0);
    if (read(p[0], answer, sizeof answer) != sizeof answer) exit(4);
    close(p[0]);
    close(p[1]);
    errno = answer[1];
    return answer[0];
}

/* The same description by another number, received. */
static int received(int fd)
{
    int s[2];
    char room[CMSG_SPACE(sizeof fd)] = { 0 }, byte = 0;
    struct iovec v = { &byte, 1 };
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, s) || sendmsg(s[0], &m, 0) != 1 || recvmsg(s[1], &m, 0) != 1) exit(5);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    close(s[0]);
    close(s[1]);
    return fd;
}

static void state(int fd, long r, int e)
{
    struct stat st;
    unsigned sum = 0;
    fstat(fd, &st);
    long n = pread(fd, read_back, sizeof read_back, 0);
    for (long i = 0; i < n; i++) sum = sum * 31 + (unsigned char)read_back[i];
    printf(" %ld %s at %ld size %ld sum %u;", r, r < 0 ? strerrorname_np(e) : "-", (long)lseek(fd, 0, SEEK_CUR), (long)st.st_size, sum);
}

static void one(const char *who, const char *name, int append)
{
    int fd = open("short", O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, bytes, OLD) != OLD) exit(6);
    if (append) fcntl(fd, F_SETFL, O_APPEND);
    lseek(fd, START, SEEK_SET);
    int by = fd;
    if (!strcmp(who, "dup")) by = dup(fd);
    if (!strcmp(who, "received")) by = received(fd);
    if (!strcmp(who, "opened")) {
        close(fd);
        by = fd = open("short", O_RDWR | (append ? O_APPEND : 0));
        lseek(fd, START, SEEK_SET);
    }
    printf("%s%s %s:", who, append ? " append" : "", name);
    errno = 0;
    long r = strcmp(who, "child") ? call(name, by) : elsewhere(name, by);
    state(fd, r, errno);
    /* What goes on writing: nothing more, then over what is there. */
    r = write(by, bytes, 5000);
    state(fd, r, errno);
    lseek(by, 700, SEEK_SET);
    r = write(by, "over", 4);
    state(fd, r, errno);
    putchar('\n');
    if (by != fd) close(by);
    close(fd);
    unlink("short");
}

int main(int n, char **v)
{
    static const char *const whose[] = { "own", "opened", "dup", "received", "child" };
    if (n != 2 || chdir(v[1]) || (source = open("source", O_RDONLY)) < 0) return 9;
    for (int i = 0; i < LARGE; i++) bytes[i] = 'a' + i % 23;
    for (unsigned w = 0; w < 5; w++)
        for (unsigned c = 0; c < sizeof calls / sizeof *calls; c++)
            for (int append = 0; append < 2; append++) one(whose[w], calls[c], append);
    return 0;
}

/* Descriptors that go over sockets.
 *   lent take SOCK            listens; from behind, takes one descriptor, changes something through it, answers
 *   lent send SOCK WAY FILE   opens FILE and sends its descriptor
 *   lent pair FILE            the same to a child over a socketpair */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int failed(const char *what) { perror(what); return 1; }

static int change(int s)
{
    char c[512], x; struct iovec v = { &x, 1 }; int fd; struct stat st;
    struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c };
    do { m.msg_controllen = sizeof c; if (recvmsg(s, &m, 0) < 1) return failed("recvmsg"); } while (m.msg_controllen < sizeof(struct cmsghdr));
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    while (h && h->cmsg_type != SCM_RIGHTS) h = CMSG_NXTHDR(&m, h);
    if (!h) return failed("no descriptor");
    memcpy(&fd, CMSG_DATA(h) + h->cmsg_len - CMSG_LEN(sizeof fd), sizeof fd);
    if (fstat(fd, &st)) return failed("fstat");
    if (S_ISDIR(st.st_mode)) { if (mkdirat(fd, "made", 0700)) return failed("mkdirat"); }
    else if ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY && write(fd, "taken\n", 6) != 6) return failed("write");
    close(fd);
    return write(s, "x", 1) != 1;
}

static struct sockaddr_un at(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    strncpy(a.sun_path, path, sizeof a.sun_path - 1); return a;
}

static int take(const char *path)
{
    struct sockaddr_un a = at(path); int l = socket(AF_UNIX, SOCK_STREAM, 0); pid_t p;
    if (bind(l, (void *)&a, sizeof a)) return failed("bind");
    /* Who sends must see a process that goes on to live. */
    int ready[2]; if (pipe(ready)) return 1;
    if ((p = fork())) { char c; close(ready[1]); return p < 0 || read(ready[0], &c, 1) != 1; }
    alarm(60);
    if (listen(l, 1)) return failed("listen");
    if (write(ready[1], "x", 1) != 1) return 1;
    close(ready[0]); close(ready[1]);
    return change(accept(l, NULL, NULL));
}

/* Ways to put a descriptor into messages. */
static int give(int s, const char *way, int fd)
{
    char c[2][256] = { { 0 } }, x = 'x'; struct iovec v = { &x, 1 };
    struct mmsghdr m[2] = { { .msg_hdr = { .msg_iov = &v, .msg_iovlen = 1 } }, { .msg_hdr = { .msg_iov = &v, .msg_iovlen = 1 } } };
    struct msghdr *with = &m[0].msg_hdr; struct cmsghdr *h; int fds[2] = { 2, fd }, many = !strcmp(way, "many");
    if (!strcmp(way, "later")) with = &m[1].msg_hdr;
    with->msg_control = c[0]; with->msg_controllen = sizeof c[0];
    h = CMSG_FIRSTHDR(with);
    size_t used = 0;
    if (!strcmp(way, "behind")) {
        struct ucred u = { getpid(), getuid(), getgid() };
        h->cmsg_level = SOL_SOCKET; h->cmsg_type = SCM_CREDENTIALS; h->cmsg_len = CMSG_LEN(sizeof u); memcpy(CMSG_DATA(h), &u, sizeof u);
        used = CMSG_SPACE(sizeof u); h = CMSG_NXTHDR(with, h);
    }
    h->cmsg_level = SOL_SOCKET; h->cmsg_type = SCM_RIGHTS; h->cmsg_len = CMSG_LEN(many ? sizeof fds : sizeof fd);
    memcpy(CMSG_DATA(h), many ? fds : &fd, many ? sizeof fds : sizeof fd);
    with->msg_controllen = used + CMSG_SPACE(many ? sizeof fds : sizeof fd);
    if (!strcmp(way, "mmsg") || !strcmp(way, "later")) return sendmmsg(s, m, !strcmp(way, "later") ? 2 : 1, 0) < 1 ? failed("sendmmsg") : 0;
    return sendmsg(s, with, 0) < 0 ? failed("sendmsg") : 0;
}

static int opened(const char *way, const char *file)
{
    if (!strcmp(way, "reading")) return open(file, O_RDONLY);
    if (!strcmp(way, "directory")) return open(file, O_RDONLY | O_DIRECTORY);
    return open(file, O_RDWR | O_APPEND | O_CREAT, 0644);
}

int main(int n, char **v)
{
    char x;
    if (n == 3 && !strcmp(v[1], "take")) return take(v[2]);
    if (n == 5 && !strcmp(v[1], "send")) {
        struct sockaddr_un a = at(v[2]); int s = socket(AF_UNIX, SOCK_STREAM, 0), fd = opened(v[3], v[4]);
        if (fd < 0 || connect(s, (void *)&a, sizeof a)) return failed("connect");
        if (give(s, v[3], fd)) return 1;
        return read(s, &x, 1) != 1;
    }
    if (n == 3 && !strcmp(v[1], "pair")) {
        int s[2], fd = opened("", v[2]), status; pid_t p;
        if (fd < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, s)) return failed("socketpair");
        if (!(p = fork())) { close(s[0]); _exit(change(s[1])); }
        if (give(s[0], "", fd)) return 1;
        return waitpid(p, &status, 0) != p || status;
    }
    return 2;
}

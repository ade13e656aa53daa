/* halfway DIR: writes past the page cache that answer an error when a part of them is written: what lies before a hole
 * is, and then the length is no multiple of the block. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#define LEN 121174
static char buf[1 << 17] __attribute__((aligned(4096)));
static const char *dir;

static int make(const char *name, int flags)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int n = open(path, O_CREAT | O_RDWR | O_TRUNC, 0644);
    memset(buf, 'a', sizeof buf);
    if (write(n, buf, 65536) != 65536 || ftruncate(n, 187849) || fsync(n) || close(n)) perror(path);
    memset(buf, *name, sizeof buf);
    return open(path, O_RDWR | O_DIRECT | flags);
}
static void told(const char *name, long r) { printf("%s %ld %s\n", name, r, r < 0 ? strerrorname_np(errno) : ""); }

int main(int argc, char **argv)
{
    if (argc < 2) return 64;
    dir = argv[1];
    signal(SIGXFSZ, SIG_IGN);
    struct iovec v[2] = {{buf, 65536}, {buf + 65536, LEN - 65536}};
    told("write", write(make("write", 0), buf, LEN));
    told("pwrite", pwrite(make("pwrite", 0), buf, LEN, 4096));
    told("writev", writev(make("writev", 0), v, 2));
    told("pwritev", pwritev(make("xpwritev", 0), v, 2, 8192));
    told("pwritev2", pwritev2(make("ypwritev2", 0), v, 2, 0, RWF_DSYNC));
    int n = make("append", O_APPEND);
    told("append", ftruncate(n, 81920) ? -1 : write(n, buf, LEN));
    /* Behind what the program may write. */
    n = make("limited", 0);
    struct rlimit l = {100000, RLIM_INFINITY};
    told("limited", setrlimit(RLIMIT_FSIZE, &l) ? -1 : pwrite(n, buf, LEN, 131072));
    told("limited", pwrite(n, buf, LEN, 0));
    return 0;
}

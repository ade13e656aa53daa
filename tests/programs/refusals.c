/* `refusals DIR`: calls in a directory that may not be changed, and what each is answered. DIR has the file f,
 * the directory d with d/in, the symlink s to f and the symlink gone to nothing. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SAY(what, call) do { errno = 0; long r_ = (call); printf("%s: %s\n", what, r_ < 0 ? strerrorname_np(errno) : "ok"); } while (0)

static int named(const char *path)
{
    struct sockaddr_un a = { AF_UNIX, "" };
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    strcpy(a.sun_path, path);
    int r = bind(s, (void *)&a, sizeof a), e = errno;
    close(s); errno = e; return r;
}

static const char *const OLD[] = { "f", "d", "s", "gone", "none", "none/x", "f/x" };
static const int FLAGS[] = {
    O_RDONLY | O_CREAT, O_RDONLY | O_CREAT | O_EXCL, O_WRONLY, O_RDWR | O_CREAT, O_RDONLY | O_TRUNC,
    O_WRONLY | O_CREAT | O_TRUNC, O_RDONLY | O_CREAT | O_NOFOLLOW, O_WRONLY | O_NOFOLLOW, O_WRONLY | O_APPEND | O_CREAT | O_EXCL,
};

int main(int argc, char **argv)
{
    struct timeval t[2] = { { 1, 0 }, { 2, 0 } };
    char what[80];
    if (argc < 2 || chdir(argv[1])) return 1;
    for (unsigned i = 0; i < sizeof OLD / sizeof *OLD; i++) {
        const char *p = OLD[i];
#define ONE(name, call) do { snprintf(what, sizeof what, "%s %s", name, p); SAY(what, call); } while (0)
        ONE("mkdir", mkdir(p, 0755));
        ONE("mknod", mknod(p, S_IFREG | 0600, 0));
        ONE("mkfifo", mkfifo(p, 0600));
        ONE("symlink", symlink("x", p));
        ONE("link to", link("f", p));
        ONE("link from", link(p, "new"));
        ONE("bind", named(p));
        ONE("unlink", unlink(p));
        ONE("rmdir", rmdir(p));
        ONE("rename from", rename(p, "new"));
        ONE("rename to", rename("f", p));
        ONE("chmod", chmod(p, 0600));
        ONE("chown", chown(p, 1, 1));
        ONE("lchown", lchown(p, 1, 1));
        ONE("utimes", utimes(p, t));
        ONE("truncate", truncate(p, 1));
        ONE("setxattr", setxattr(p, "user.a", "b", 1, 0));
        ONE("removexattr", removexattr(p, "user.kept"));
        for (unsigned k = 0; k < sizeof FLAGS / sizeof *FLAGS; k++) {
            snprintf(what, sizeof what, "open %s %o", p, FLAGS[k]);
            int n = open(p, FLAGS[k], 0600);
            SAY(what, n);
            if (n >= 0) close(n);
            for (int rules = 0; rules < 2; rules++) {
                struct open_how h = { .flags = FLAGS[k], .mode = FLAGS[k] & O_CREAT ? 0600 : 0, .resolve = rules ? RESOLVE_BENEATH : 0 };
                snprintf(what, sizeof what, "openat2 %s %o %d", p, FLAGS[k], rules);
                n = syscall(SYS_openat2, AT_FDCWD, p, &h, sizeof h);
                SAY(what, n);
                if (n >= 0) close(n);
            }
        }
    }
    int n = open("d", O_RDONLY);
    SAY("syncfs", syncfs(n));
    SAY("fsync", fsync(n));
    SAY("fchmod", fchmod(n, 0700));
    SAY("mkdirat", mkdirat(n, "in", 0700));
    SAY("mkdirat new", mkdirat(n, "new", 0700));
    SAY("unlinkat", unlinkat(n, "none", 0));
    return 0;
}

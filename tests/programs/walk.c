// walk DIR SEED STEPS: a random walk of one program with what it keeps open: descriptors (also of directories,
// of unnamed and of unlinked files), mappings, its directory, its limits. Each step and its result is printed,
// so that two walks with one seed can be compared; what it left is looked at from outside. walk_more.h follows this.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define FDS 24
#define MAPS 4
#define OUT 250
#define BIG 400000
static uint64_t state;
static long step, steps;
static int fds[FDS], depth;
static struct { char *at; size_t len, known; int prot; } maps[MAPS];
static char *top, real[4096], buf[1 << 17] __attribute__((aligned(4096)));
static const char *self;
static char now[512];

static uint32_t rnd(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
}
static uint32_t below(uint32_t n) { return rnd() % n; }
#define ANY(list) (list[below(sizeof list / sizeof *list)])

static void tell(const char *how, ...) {
    char line[1400];
    va_list a;
    va_start(a, how);
    int n = vsnprintf(line, sizeof line - 1, how, a);
    va_end(a);
    if (n > (int)sizeof line - 2) n = sizeof line - 2;
    line[n++] = '\n';
    if (write(OUT, line, n) != n) _exit(9);
}
static long said(long r) {
    const char *e = r < 0 ? strerrorname_np(errno) : "";
    tell("%ld%*s %s = %ld %s", step, depth, "", now, r, e ? e : "?");
    return r;
}
#define SAY(r, ...) (snprintf(now, sizeof now, __VA_ARGS__), said(r))

// A path without what stands before the directory.
static const char *short_of(const char *p) {
    size_t n = strlen(top), m = strlen(real);
    static char of_a_process[64];
    int pid, fd;
    // What has no name yet is called by its number.
    if (strchr(p, '#')) return "#";
    if (sscanf(p, "/proc/%d/fd/%d", &pid, &fd) == 2) {
        sprintf(of_a_process, "/proc/PID/fd/%d", fd);
        return of_a_process;
    }
    if (!strncmp(p, top, n)) return p + n;
    if (!strncmp(p, real, m)) return p + m;
    return p;
}

static const char *word(void) {
    static const char *all[] = {"a", "b", "c", "d", "e", "f", "x", "y"};
    return ANY(all);
}
static int some(void) {
    int n = fds[below(FDS)];
    return n < 0 ? 77 : n;
}
static char *name(void) {
    static char all[4][4200];
    static int at;
    char *p = all[at++ % 4];
    int n = 0, how = below(16);
    if (how == 0) n = sprintf(p, "%s/", top);
    else if (how == 1) n = sprintf(p, "/proc/self/cwd/");
    else if (how == 2) n = sprintf(p, "/proc/self/fd/%d/", some());
    else if (how == 3) n = sprintf(p, "../");
    else if (how == 4) n = sprintf(p, "./");
    else if (how == 5) { sprintf(p, "/proc/self/fd/%d", some()); return p; }
    else if (how == 6) { sprintf(p, "/dev/fd/%d", some()); return p; }
    for (uint32_t d = below(5) / 2; d; d--) n += sprintf(p + n, "%s/", word());
    n += sprintf(p + n, "%s", word());
    if (!below(24)) sprintf(p + n, "/");
    if (!below(40)) sprintf(p + n, "/..");
    // Outside of the directory nobody is to write.
    if (how == 3 || strstr(p, "..")) {
        char here[4096];
        if (!getcwd(here, sizeof here) || !*short_of(here) || short_of(here) == here) return strcpy(p, "a");
    }
    return p;
}
static int slot(void) {
    int s = below(FDS);
    for (int i = 0; i < FDS; i++) if (fds[(s + i) % FDS] >= 0 && below(4)) return (s + i) % FDS;
    return s;
}
static int fd(void) { return fds[slot()]; }
static int at(void) { return below(2) ? AT_FDCWD : fd(); }
static void keep(int n) {
    if (n < 3) return;
    for (int i = 0; i < FDS; i++) if (fds[i] == n) return;
    for (int i = 0; i < FDS; i++) if (fds[i] < 0) { fds[i] = n; return; }
    close(n);
}
static void forget(int n) {
    for (int i = 0; i < FDS; i++) if (fds[i] == n) fds[i] = -1;
}
static void fill(size_t n) {
    char c = 'a' + below(26);
    for (size_t i = 0; i < n; i++) buf[i] = c + i / 512 % 26;
}
static unsigned sum(const char *b, long n) {
    unsigned s = 0;
    for (long i = 0; i < n; i++) s = s * 31 + (unsigned char)b[i];
    return s;
}
static off_t offset(void) { return below(3) ? below(20000) : below(BIG); }
static size_t size(void) { return below(3) ? below(5000) : below(sizeof buf); }

static void shown(const struct stat *s) {
    int sized = S_ISREG(s->st_mode) || S_ISLNK(s->st_mode);
    long t = s->st_mtim.tv_sec;
    tell("   %o nlink %lu size %ld of %u:%u %ld", s->st_mode, (long)s->st_nlink, sized ? (long)s->st_size : -1,
         s->st_uid, s->st_gid, t < 1000000000 ? t : 0);
}

static void op_open(void) {
    static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR};
    static const int more[] = {0, 0, 0, O_CREAT, O_CREAT, O_CREAT, O_CREAT | O_EXCL, O_CREAT | O_TRUNC, O_TRUNC, O_DIRECTORY,
                               O_NOFOLLOW, O_PATH, O_PATH | O_NOFOLLOW, O_TMPFILE, O_CREAT | O_NOFOLLOW};
    static const int extra[] = {0, 0, 0, 0, O_APPEND, O_APPEND, O_DSYNC, O_DIRECT, O_NOATIME};
    static const int resolve[] = {0, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_XDEV};
    int f = ANY(modes) | ANY(more) | ANY(extra) | O_NONBLOCK | (below(2) ? O_CLOEXEC : 0), d = at(), how = below(8);
    char *p = name();
    int m = 0600 | below(64), r;
    if (how == 0) r = open(p, O_CREAT | O_WRONLY | O_TRUNC | O_NONBLOCK, m);
    else if (how == 1) {
        struct open_how h = {.flags = f, .mode = f & (O_CREAT | __O_TMPFILE) ? m : 0, .resolve = ANY(resolve)};
        // The directory itself may be reached by a link.
        if (*p == '/') h.resolve &= RESOLVE_BENEATH;
        if (f & O_PATH) h.flags &= O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC;
        r = syscall(SYS_openat2, d, p, &h, sizeof h);
        SAY(r, "openat2 %d %s %o %lo", d, short_of(p), f, (long)h.resolve);
        return keep(r);
    } else r = openat(d, p, f, m);
    SAY(r, "open %d %d %s %o", how, d, short_of(p), f);
    keep(r);
}
static void op_dir(void) {
    char *p = name();
    int d = at(), r = openat(d, p, O_RDONLY | O_DIRECTORY);
    SAY(r, "open dir %d %s", d, short_of(p));
    keep(r);
}
static void op_close(void) {
    int n = fd();
    if (below(12)) SAY(close(n), "close %d", n);
    else {
        if (n < 3) return;
        int last = n + below(3), how = below(3) ? 0 : CLOSE_RANGE_CLOEXEC;
        SAY(close_range(n, last, how), "close_range %d %d %d", n, last, how);
        for (; n <= last && !how; n++) forget(n);
        return;
    }
    forget(n);
}
static void op_dup(void) {
    int n = fd(), to = below(4) ? fd() : 30 + (int)below(8), how = below(5), r;
    if (how == 0) r = dup(n);
    else if (how == 1) r = to < 3 ? -1 : dup2(n, to);
    else if (how == 2) r = to < 3 ? -1 : dup3(n, to, below(2) ? O_CLOEXEC : 0);
    else if (how == 3) r = fcntl(n, F_DUPFD, 20 + below(10));
    else r = fcntl(n, F_DUPFD_CLOEXEC, 3);
    SAY(r, "dup %d %d %d", how, n, to);
    keep(r);
}
static void op_write(void) {
    int n = fd(), how = below(6);
    size_t len = size();
    off_t o = offset();
    fill(len);
    struct iovec v[3] = {{buf, len / 3}, {buf + len / 3, len / 3}, {buf + len / 2, len / 4}};
    long r;
    if (how < 2) r = write(n, buf, len);
    else if (how == 2) r = writev(n, v, 3);
    else if (how == 3) r = pwrite(n, buf, len, o);
    else if (how == 4) r = pwritev(n, v, 3, o);
    else r = pwritev2(n, v, 2, below(2) ? -1 : o, below(2) ? RWF_APPEND : 0);
    SAY(r, "write %d %d %zu at %ld", how, n, len, (long)o);
}
static void op_read(void) {
    int n = fd(), how = below(4);
    size_t len = size();
    off_t o = offset();
    struct iovec v[2] = {{buf, len / 2}, {buf + len / 2, len / 2}};
    long r = how == 0 ? read(n, buf, len) : how == 1 ? readv(n, v, 2) : how == 2 ? pread(n, buf, len, o) : preadv(n, v, 2, o);
    SAY(r, "read %d %d %zu at %ld sum %u", how, n, len, (long)o, sum(buf, r > 0 && how ? r : 0));
}
static void op_seek(void) {
    static const int ways[] = {SEEK_SET, SEEK_CUR, SEEK_END, SEEK_SET, SEEK_END};
    int n = fd(), how = ANY(ways);
    off_t o = how == SEEK_SET ? offset() : (off_t)below(9000) - 5000;
    SAY(lseek(n, o, how), "lseek %d %ld %d", n, (long)o, how);
}
static void op_size(void) {
    static const int modes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE};
    int n = fd(), how = below(4);
    off_t o = offset();
    if (how < 2) SAY(ftruncate(n, o), "ftruncate %d %ld", n, (long)o);
    else if (how == 2) {
        char *p = name();
        SAY(truncate(p, o), "truncate %s %ld", short_of(p), (long)o);
    } else {
        int m = ANY(modes);
        o &= ~4095;
        off_t len = 4096 * (1 + below(8));
        SAY(fallocate(n, m, o, len), "fallocate %d %d %ld %ld", n, m, (long)o, (long)len);
    }
}
static void op_flags(void) {
    int n = fd();
    switch (below(4)) {
    case 0: SAY(fcntl(n, F_GETFL), "F_GETFL %d", n); break;
    case 1: { int f = (below(2) ? O_APPEND : 0) | (below(4) ? 0 : O_DIRECT) | O_NONBLOCK; SAY(fcntl(n, F_SETFL, f), "F_SETFL %d %o", n, f); break; }
    case 2: SAY(fcntl(n, F_GETFD), "F_GETFD %d", n); break;
    default: { int f = below(2); SAY(fcntl(n, F_SETFD, f), "F_SETFD %d %d", n, f); }
    }
}
static void op_stat(void) {
    struct stat s;
    int n = fd(), how = below(4), d = at();
    char *p = name();
    long r = how == 0 ? fstat(n, &s) : how == 1 ? stat(p, &s) : how == 2 ? lstat(p, &s) : fstatat(d, below(2) ? "" : p, &s, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
    if (SAY(r, "stat %d %d %d %s", how, n, d, short_of(p)) == 0) shown(&s);
    if (!below(3)) { int m = below(8); SAY(faccessat(d, p, m, below(2) ? AT_EACCESS : 0), "access %d %s %d", d, short_of(p), m); }
}
static void op_mode(void) {
    int n = fd(), d = at(), m = 0600 | below(512), how = below(8);
    char *p = name();
    struct timespec t[2] = {{below(1000), 5}, {below(1000), below(999999999)}};
    if (!below(4)) t[below(2)].tv_nsec = UTIME_OMIT;
    uid_t u = geteuid() ? getuid() : below(4);
    if (how == 0) SAY(fchmod(n, m), "fchmod %d %o", n, m);
    else if (how == 1) SAY(fchmodat(d, p, m, 0), "fchmodat %d %s %o", d, short_of(p), m);
    else if (how == 2) SAY(fchown(n, u, u), "fchown %d %d", n, u);
    else if (how == 3) SAY(fchownat(d, p, u, -1, below(2) ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH), "fchownat %d %s %d", d, short_of(p), u);
    else if (how < 6) SAY(futimens(n, t), "futimens %d %ld", n, (long)t[1].tv_sec);
    else if (how == 6) SAY(utimensat(d, p, t, below(2) ? AT_SYMLINK_NOFOLLOW : 0), "utimensat %d %s %ld", d, short_of(p), (long)t[1].tv_sec);
    else { m = below(64); SAY(umask(m), "umask %o", m); }
}
static void op_names(void) {
    char *p = name(), *q = name(), proc[64];
    int d = at(), e = at(), n = fd();
    struct stat s;
    // Links to what lies elsewhere are no matter of the mirror's.
    if (!strncmp(q, "/proc/self/fd", 13) || !strncmp(q, "/dev", 4)) q = name();
    if (!strncmp(q, "/proc/self/fd", 13) || !strncmp(q, "/dev", 4)) strcpy(q, "e");
    switch (below(15)) {
    case 0: case 1: SAY(unlinkat(d, p, 0), "unlink %d %s", d, short_of(p)); break;
    case 2: SAY(unlinkat(d, p, AT_REMOVEDIR), "rmdir %d %s", d, short_of(p)); break;
    case 3: case 4: case 5: SAY(mkdirat(d, p, 0700 | below(64)), "mkdir %d %s", d, short_of(p)); break;
    case 6: case 7: SAY(renameat(d, p, e, q), "rename %d %s %d %s", d, short_of(p), e, short_of(q)); break;
    case 8: { int f = 1 + below(2); SAY(renameat2(d, p, e, q, f), "renameat2 %d %s %d %s %d", d, short_of(p), e, short_of(q), f); break; }
    case 9: SAY(symlinkat(q[0] == '/' ? word() : q, d, p), "symlink %s %d %s", q[0] == '/' ? "w" : q, d, short_of(p)); break;
    case 10: SAY(linkat(d, p, e, q, below(2) ? AT_SYMLINK_FOLLOW : 0), "link %d %s %d %s", d, short_of(p), e, short_of(q)); break;
    case 11:
        // What has no name and came from elsewhere gets none.
        if (fstat(n, &s) || s.st_nlink) SAY(linkat(n, "", e, q, AT_EMPTY_PATH), "link of %d %d %s", n, e, short_of(q));
        break;
    case 12:
        sprintf(proc, "/proc/self/fd/%d", n);
        if (fstat(n, &s) == 0 && s.st_nlink) SAY(linkat(AT_FDCWD, proc, e, q, AT_SYMLINK_FOLLOW), "link by proc %d %d %s", n, e, short_of(q));
        break;
    case 13: SAY(mknodat(d, p, (below(2) ? S_IFIFO : S_IFREG) | 0600, 0), "mknod %d %s", d, short_of(p)); break;
    default: {
        long r = readlinkat(d, p, buf, 4095);
        if (r >= 0) buf[r] = 0;
        SAY(r < 0 ? r : 0, "readlink %d %s %s", d, short_of(p), r >= 0 ? short_of(buf) : "");
    }
    }
}
static void op_where(void) {
    char here[4096];
    if (below(2)) {
        int n = fd();
        SAY(fchdir(n), "fchdir %d", n);
    } else {
        char *p = below(3) ? name() : top;
        SAY(chdir(p), "chdir %s", short_of(p));
    }
    char *h = getcwd(here, sizeof here);
    SAY(h ? 0 : -1, "getcwd %s", h ? short_of(h) : "");
    // Not away from it all.
    if (!h || short_of(h) == h) SAY(chdir(top), "back");
}
static int order(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static void op_list(void) {
    int d = at(), n = openat(d, below(3) ? "." : name(), O_RDONLY | O_DIRECTORY);
    SAY(n, "list %d", d);
    if (n < 0) return;
    DIR *dir = fdopendir(n);
    char *all[64];
    int k = 0;
    for (struct dirent *e; (e = readdir(dir)) && k < 64;) all[k++] = strdup(e->d_name);
    closedir(dir);
    qsort(all, k, sizeof *all, order);
    unsigned s = 0;
    for (int i = 0; i < k; i++) s = s * 31 + sum(all[i], strlen(all[i])), free(all[i]);
    tell("   %d names %u", k, s);
}
static void op_copy(void) {
    int n = fd(), m = fd();
    size_t len = size();
    off_t o = offset(), p = offset();
    struct stat a, b;
    switch (below(4)) {
    case 0:
        // A file sent into itself is written while it is read.
        if (fstat(n, &a) || fstat(m, &b) || (a.st_ino == b.st_ino && a.st_dev == b.st_dev)) return;
        SAY(sendfile(m, n, below(2) ? &o : NULL, len), "sendfile %d %d %zu", m, n, len);
        break;
    case 1: case 2: SAY(copy_file_range(n, below(2) ? &o : NULL, m, below(2) ? &p : NULL, len, 0), "copy_file_range %d %d %zu", n, m, len); break;
    default: {
        int pipes[2];
        if (pipe2(pipes, O_NONBLOCK)) { SAY(-1, "pipe"); break; }
        fill(4096);
        SAY(write(pipes[1], buf, 4096), "into a pipe %d %d", pipes[0], pipes[1]);
        SAY(splice(pipes[0], NULL, m, below(2) ? &p : NULL, 4096, SPLICE_F_NONBLOCK), "splice to %d", m);
        SAY(splice(n, &o, pipes[1], NULL, 4096, SPLICE_F_NONBLOCK), "splice from %d at %ld", n, (long)o);
        close(pipes[0]), close(pipes[1]);
    }
    }
}

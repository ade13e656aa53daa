// Odd names for every call that takes one: prints what each call answers, one line a call. What a call
// changed stays where it is: after a success the next call gets a fresh folder.
//   answers_path one WAY | two WAY | border | descriptors | received | lost | long | cwd
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static char v[300], s[300];
static int count; // of folders
static char folder[400];

static const char *name_of(long r)
{
    static char ok[32];
    snprintf(ok, sizeof ok, "%ld", r > 0 ? 1 : r);
    return r < 0 ? strerrorname_np(errno) : ok;
}
// A long text is shown by its length.
static const char *shown(const char *p)
{
    static char out[2][64];
    static int i;
    char *o = out[i ^= 1];
    if (strlen(p) > 40) snprintf(o, 64, "%.6s…%zu", p, strlen(p)); else snprintf(o, 64, "'%s'", p);
    return o;
}
static void file(const char *p, const char *text)
{
    int n = open(p, O_CREAT | O_WRONLY | O_EXCL, 0644);
    if (n < 0 || write(n, text, strlen(text)) < 0) printf("cannot make %s\n", p);
    close(n);
}
// A folder with one of each, and the cwd in it.
static void fresh(const char *where)
{
    static int reader = -1; // else an open of the fifo would wait
    close(reader);
    snprintf(folder, sizeof folder, "%s/%d", where, count++);
    if (mkdir(folder, 0755) || chdir(folder)) { perror(folder); exit(3); }
    file("f", "data"); mkdir("d", 0755); file("d/g", "more"); mkdir("e", 0755);
    symlink("f", "lf"); symlink("d", "ld"); symlink("new", "dang"); symlink("loop", "loop");
    symlink("none/x", "far"); mkfifo("p", 0644); mkdir("w", 0755); file("w/x", "w"); chmod("w", 0555);
    reader = open("p", O_RDWR);
}

#define C255 "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
static const char *const paths[] = {
    "", "f", "f/", "f/.", "f/x", "d", "d/", "d//", "d/.", "d/..", "d/g", "d/g/", "d/g/h", "e", "e/", "e/.", "e/..", "lf", "lf/",
    "lf/x", "ld", "ld/", "ld/g", "ld/new", "ld/.", "ld/..", "dang", "dang/", "dang/x", "far", "far/", "loop", "loop/", "loop/x",
    "p", "p/", "no", "no/", "no/x", "no/..", ".", "..", "./f", "d/../f", "f/../f", "no/../f", "w/x", "w/new", "n/x",
    C255, C255 "n", "d/" C255, C255 "n/x", "d/" C255 "/x", "+4095f", "+4096f", "+4095no", "-4095",
};
// "+4095f": f with "./" before it, so many bytes in all. "-4095": one component of that length.
static const char *path(const char *text, const char *prefix)
{
    static char out[2][9000];
    static int i;
    char *o = out[i ^= 1];
    int want = 0, len = strlen(prefix);
    strcpy(o, prefix);
    if (*text == '-') { want = atoi(text + 1); while (len < want) o[len++] = 'q'; o[len] = 0; return o; }
    if (*text != '+') { strcat(o, text); return o; }
    char *rest; want = strtol(text + 1, &rest, 10);
    int left = want - len - strlen(rest);
    if (left & 1) { o[len++] = '.'; o[len++] = '/'; o[len++] = '/'; left -= 3; }
    for (; left > 0; left -= 2) { o[len++] = '.'; o[len++] = '/'; }
    strcpy(o + len, rest);
    return o;
}

static const struct timespec set[2] = { { 100, 5 }, { 200, 6 } }, omit[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } }, odd[2] = { { 0, -5 }, { 0, 0 } };
static const struct timeval old_set[2] = { { 100, 5 }, { 200, 6 } };
static int dir; // AT_FDCWD or the folder
static long opened(long n)
{
    if (n < 0) return n;
    if ((fcntl(n, F_GETFL) & O_ACCMODE) != O_RDONLY && !(fcntl(n, F_GETFL) & O_PATH) && write(n, "W", 1) != 1) { close(n); return -1; }
    close(n);
    return 0;
}
static long bound(const char *p)
{
    struct sockaddr_un a = { AF_UNIX, "" };
    if (strlen(p) > 100) { errno = ENAMETOOLONG; return -1; }
    strcpy(a.sun_path, p);
    int n = socket(AF_UNIX, SOCK_STREAM, 0);
    long r = bind(n, (void *)&a, strlen(p) ? sizeof a : 2);
    close(n);
    return strlen(p) ? r : 0;
}
// The calls of Linux 6.13 and 6.17, which the C library does not make.
static long setx(int dir, const char *p, int flags) {
    struct { const void *value; unsigned size, flags; } v = { "1", 1, 0 };
    return syscall(463, dir, p, flags, "user.n", &v, sizeof v);
}
static long marks(int dir, const char *p, int flags) {
    unsigned long none[3] = { 0 };
    return syscall(469, dir, p, none, sizeof none, flags);
}
#define AT_CALLS(X) \
    X("creat", opened(openat(dir, p, O_CREAT | O_WRONLY, 0640))) X("excl", opened(openat(dir, p, O_CREAT | O_EXCL | O_RDWR, 0600))) \
    X("write", opened(openat(dir, p, O_WRONLY | O_NONBLOCK))) X("trunc", opened(openat(dir, p, O_RDWR | O_TRUNC))) X("trunc ro", opened(openat(dir, p, O_TRUNC))) \
    X("nofollow", opened(openat(dir, p, O_RDWR | O_NOFOLLOW))) X("creat nofollow", opened(openat(dir, p, O_CREAT | O_RDWR | O_NOFOLLOW, 0600))) \
    X("directory", opened(openat(dir, p, O_RDONLY | O_DIRECTORY))) X("directory w", opened(openat(dir, p, O_WRONLY | O_DIRECTORY))) \
    X("path creat", opened(openat(dir, p, O_PATH | O_CREAT, 0600))) X("path", opened(openat(dir, p, O_PATH | O_NOFOLLOW))) \
    X("creat ro", opened(openat(dir, p, O_CREAT, 0400))) X("tmpfile", opened(openat(dir, p, O_TMPFILE | O_RDWR, 0600))) X("tmpfile ro", opened(openat(dir, p, O_TMPFILE, 0600))) \
    X("mkdir", mkdirat(dir, p, 0750)) X("mknod", mknodat(dir, p, S_IFREG | 0600, 0)) X("fifo", mknodat(dir, p, S_IFIFO | 0600, 0)) X("mknod dir", mknodat(dir, p, S_IFDIR | 0600, 0)) \
    X("symlink", symlinkat("d/g", dir, p)) X("symlink empty", symlinkat("", dir, p)) X("unlink", unlinkat(dir, p, 0)) X("rmdir", unlinkat(dir, p, AT_REMOVEDIR)) X("unlink bad", unlinkat(dir, p, 0x100)) \
    X("fchmodat", syscall(SYS_fchmodat, dir, p, 0711)) X("fchmodat2", syscall(452, dir, p, 0712, 0)) X("fchmodat2 l", syscall(452, dir, p, 0713, AT_SYMLINK_NOFOLLOW)) \
    X("fchmodat2 e", syscall(452, dir, p, 0714, AT_EMPTY_PATH)) X("fchmodat2 bad", syscall(452, dir, p, 0715, 0x8000)) \
    X("setxattrat", setx(dir, p, 0)) X("setxattrat l", setx(dir, p, AT_SYMLINK_NOFOLLOW)) X("setxattrat e", setx(dir, p, AT_EMPTY_PATH)) X("setxattrat bad", setx(dir, p, 0x8000)) \
    X("removexattrat", syscall(466, dir, p, 0, "user.n")) X("file_setattr", marks(dir, p, 0)) X("file_setattr l", marks(dir, p, AT_SYMLINK_NOFOLLOW)) X("file_setattr e", marks(dir, p, AT_EMPTY_PATH)) \
    X("fchownat", fchownat(dir, p, -1, getgid(), 0)) X("fchownat l", fchownat(dir, p, getuid(), -1, AT_SYMLINK_NOFOLLOW)) X("fchownat e", fchownat(dir, p, -1, -1, AT_EMPTY_PATH)) \
    X("fchownat le", fchownat(dir, p, -1, -1, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) X("fchownat bad", fchownat(dir, p, -1, -1, 0x8000)) \
    X("utimensat", utimensat(dir, p, set, 0)) X("utimensat l", utimensat(dir, p, set, AT_SYMLINK_NOFOLLOW)) X("utimensat e", syscall(SYS_utimensat, dir, p, set, AT_EMPTY_PATH)) \
    X("utimensat omit", syscall(SYS_utimensat, dir, p, omit, 0)) X("utimensat odd", syscall(SYS_utimensat, dir, p, odd, 0)) X("utimensat bad", syscall(SYS_utimensat, dir, p, set, 0x8000)) X("futimesat", syscall(SYS_futimesat, dir, p, old_set)) \
    X("openat2", opened(syscall(SYS_openat2, dir, p, &how, sizeof how))) X("openat2 beneath", opened(syscall(SYS_openat2, dir, p, &beneath, sizeof beneath))) X("openat2 bad", opened(syscall(SYS_openat2, dir, p, &bad, sizeof bad))) \
    X("statx", syscall(SYS_statx, dir, p, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, room)) X("access", syscall(SYS_faccessat, dir, p, W_OK)) X("readlink", readlinkat(dir, p, room, 100) < 0 ? -1 : 0)
#define PLAIN_CALLS(X) \
    X("open", opened(syscall(SYS_open, p, O_CREAT | O_WRONLY, 0640))) X("creat()", opened(syscall(SYS_creat, p, 0604))) X("mkdir()", syscall(SYS_mkdir, p, 0700)) X("mknod()", syscall(SYS_mknod, p, S_IFREG | 0600, 0)) \
    X("symlink()", syscall(SYS_symlink, "f", p)) X("unlink()", syscall(SYS_unlink, p)) X("rmdir()", syscall(SYS_rmdir, p)) X("chmod", syscall(SYS_chmod, p, 0740)) X("chown", syscall(SYS_chown, p, -1, getgid())) \
    X("lchown", syscall(SYS_lchown, p, -1, getgid())) X("utime", syscall(SYS_utime, p, NULL)) X("utimes", syscall(SYS_utimes, p, old_set)) X("truncate 2", truncate(p, 2)) X("truncate 0", truncate(p, 0)) \
    X("truncate -1", truncate(p, -1)) X("truncate 9", truncate(p, 9)) X("setxattr", setxattr(p, "user.a", "1", 1, 0)) X("lsetxattr", lsetxattr(p, "user.b", "2", 1, 0)) X("setxattr replace", setxattr(p, "user.c", "1", 1, XATTR_REPLACE)) \
    X("setxattr bad", setxattr(p, "bad", "1", 1, 0)) X("removexattr", removexattr(p, "user.a")) X("lremovexattr", lremovexattr(p, "user.a")) X("bind", bound(p))

enum way { CWD, ABSOLUTE, DIRFD, SYMLINK };
static void prefix(enum way way, char *out)
{
    *out = 0;
    if (way == ABSOLUTE) sprintf(out, "%s/", folder);
    if (way == SYMLINK) sprintf(out, "%s/to%s/", s, strrchr(folder, '/'));
}
// "n/x" lies below a folder that may not be searched.
static void wall(const char *text, int up)
{
    char n[500];
    if (strncmp(text, "n/", 2)) return;
    snprintf(n, sizeof n, "%s/n", folder);
    if (up) { mkdir(n, 0755); chmod(n, 0); } else { chmod(n, 0755); rmdir(n); }
}

static void calls(enum way way, const char *text)
{
    struct { unsigned long long f, m, r; } how = { O_CREAT | O_RDWR, 0640, 0 }, beneath = { O_CREAT | O_RDWR, 0640, 8 }, bad = { O_CREAT | O_RDWR, 0100640, 0 };
    char room[4096], pre[800];
    const char *p;
    long r;
#define RUN(what, call) \
    do { \
        if (!strcmp(text, "p") && !strncmp(what, "openat2", 7)) break; /* docs/LIMITS.md */ \
        dir = AT_FDCWD; \
        if (way == DIRFD) { chdir("/"); dir = open(folder, O_PATH | O_DIRECTORY); } \
        prefix(way, pre); p = path(text, pre); wall(text, 1); \
        errno = 0; r = call; \
        printf("%s %s: %s\n", what, shown(text), name_of(r)); \
        wall(text, 0); \
        if (way == DIRFD) { close(dir); chdir(folder); } \
        if (r >= 0) fresh(v); \
    } while (0);
    AT_CALLS(RUN)
    if (way != DIRFD) { PLAIN_CALLS(RUN) }
#undef RUN
}

static void one(enum way way)
{
    fresh(v);
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) calls(way, paths[i]);
}

static const char *const olds[] = { "", "f", "f/", "f/x", "d", "d/", "d/.", "e", "lf", "lf/", "ld", "ld/", "ld/g", "dang", "loop", "loop/x", "p", "no", "no/x", ".", "..", C255 "n", "n/x", "-4095", "+4095f", "+4096f" };
static const char *const news[] = { "", "f", "f/", "f/x", "d", "d/", "d/g", "d/new", "d/in/", "e", "e/", "e/.", "lf", "lf/", "ld", "ld/", "ld/new", "dang", "dang/", "loop/x", "p", "no", "no/", "no/x", ".", "..", C255, C255 "n", "n/x", "-4095", "+4095no", "+4096no" };
#define TWO_CALLS(X) \
    X("rename", syscall(SYS_rename, p, q)) X("renameat", syscall(SYS_renameat, dir, p, dir, q)) X("noreplace", syscall(SYS_renameat2, dir, p, dir, q, 1)) X("exchange", syscall(SYS_renameat2, dir, p, dir, q, 2)) \
    X("rename 3", syscall(SYS_renameat2, dir, p, dir, q, 3)) X("rename 8", syscall(SYS_renameat2, dir, p, dir, q, 8)) X("link", syscall(SYS_link, p, q)) X("linkat l", linkat(dir, p, dir, q, AT_SYMLINK_FOLLOW)) \
    X("linkat bad", linkat(dir, p, dir, q, AT_SYMLINK_NOFOLLOW))
static void both_names(enum way way, const char *a, const char *b)
{
    char pre[800];
#define RUN(what, call) \
    do { \
        long r; dir = AT_FDCWD; \
        if (way == DIRFD) { if (strlen(what) == 6 && *what == 'r') break; if (!strcmp(what, "link")) break; chdir("/"); dir = open(folder, O_PATH | O_DIRECTORY); } \
        prefix(way, pre); const char *p = path(a, pre), *q = path(b, pre); \
        if (a != b) wall(a, 1); \
        wall(b, 1); errno = 0; r = call; \
        printf("%s %s %s: %s\n", what, shown(a), shown(b), name_of(r)); \
        wall(a, 0); wall(b, 0); \
        if (way == DIRFD) { close(dir); chdir(folder); } \
        if (r >= 0) fresh(v); \
    } while (0);
    TWO_CALLS(RUN)
#undef RUN
}
static void two(enum way way)
{
    fresh(v);
    for (unsigned i = 0; i < sizeof olds / sizeof *olds; i++)
        for (unsigned k = 0; k < sizeof news / sizeof *news; k++) both_names(way, olds[i], news[k]);
}

// From one mount to another: V, and S/other. Every name of one against every name of the other, both ways.
static void border(void)
{
    char other[400], here[400], there[400];
    snprintf(other, sizeof other, "%s/other", s);
    fresh(other); strcpy(there, folder); count = 0; fresh(v); strcpy(here, folder);
    int null = open("/dev/null", O_RDONLY), plain = open("f", O_RDONLY);
    for (int way = 0; way < 2; way++) {
        char *from = way ? there : here, *to = way ? here : there, a[9000], b[9000], pre[500];
        for (unsigned i = 0; i < sizeof olds / sizeof *olds; i++)
            for (unsigned k = 0; k < sizeof news / sizeof *news; k++) {
                const char *o = olds[i], *n = news[k];
                // "." and ".." are refused sooner than by a mount.
                if (!*o || !*n || !strcmp(n, ".") || !strcmp(n, "..") || !strcmp(o, ".") || !strcmp(o, "..") || strstr(o, "/.") || strstr(n, "/.")) continue;
                sprintf(pre, "%s/", from); strcpy(a, path(o, pre)); sprintf(pre, "%s/", to); strcpy(b, path(n, pre)); dir = AT_FDCWD;
                const char *p = a, *q = b;
#define RUN(what, call) errno = 0; printf("%d %s %s %s: %s\n", way, what, shown(o), shown(n), name_of(call));
                TWO_CALLS(RUN)
#undef RUN
            }
        chdir(from);
        sprintf(a, "%s/f", from); sprintf(b, "%s/new", to);
        const int dirs[] = { 99, null, plain };
        for (int i = 0; i < 3; i++) {
            errno = 0; printf("%d old dir %d: %s\n", way, i, name_of(linkat(dirs[i], "f", AT_FDCWD, b, 0)));
            errno = 0; printf("%d new dir %d: %s\n", way, i, name_of(linkat(AT_FDCWD, a, dirs[i], "new", 0)));
            errno = 0; printf("%d old dir %d: %s\n", way, i, name_of(renameat(dirs[i], "f", AT_FDCWD, b)));
            errno = 0; printf("%d new dir %d: %s\n", way, i, name_of(renameat(AT_FDCWD, a, dirs[i], "new")));
            errno = 0; printf("%d new dir, no old %d: %s\n", way, i, name_of(renameat(AT_FDCWD, "none", dirs[i], "new")));
            errno = 0; printf("%d dir not asked %d: %s\n", way, i, name_of(renameat(dirs[i], a, dirs[i], b)));
        }
    }
}

static void stat_of(const char *p)
{
    struct stat st;
    if (lstat(p, &st)) { printf("%s: %s\n", p, strerrorname_np(errno)); return; }
    printf("%s: %o %d %d %ld %ld %ld\n", p, st.st_mode, st.st_uid, st.st_gid, (long)st.st_nlink, S_ISREG(st.st_mode) ? (long)st.st_size : 0, st.st_mtime < 1000 ? (long)st.st_mtime : 0);
}
#define T(call) do { errno = 0; long r_ = (call); printf("%s: %s\n", #call, name_of(r_)); } while (0)

// Descriptors that only name an object, of each kind, used through /proc and with the empty path.
static void descriptors(const char *proc)
{
    static const char *const objects[] = { "f", "lf", "dang", "d", "p" };
    for (int i = 0; i < 5; i++) {
        fresh(v);
        int n = open(objects[i], O_PATH | O_NOFOLLOW), e = open("e", O_PATH);
        char p[80];
        snprintf(p, sizeof p, proc, getpid(), n);
        printf("-- %s\n", objects[i]);
        T(chmod(p, 0640)); T(chown(p, -1, getgid())); T(lchown(p, 0, 0) * 0); T(setxattr(p, "user.a", "x", 1, 0)); T(removexattr(p, "user.a"));
        T(utimensat(AT_FDCWD, p, set, 0)); stat_of(objects[i]); T(syscall(SYS_utimes, p, old_set)); T(syscall(SYS_futimesat, AT_FDCWD, p, old_set)); T(truncate(p, 3));
        if (strcmp(objects[i], "p")) { T(opened(open(p, O_WRONLY))); T(opened(open(p, O_RDWR | O_CREAT, 0600))); T(opened(open(p, O_RDONLY | O_TRUNC))); T(opened(open(p, O_WRONLY | O_NOFOLLOW))); T(opened(open(p, O_CREAT | O_EXCL | O_RDWR, 0600))); }
        T(fchmodat(AT_FDCWD, p, 0600, 0)); T(syscall(452, n, "", 0641, AT_EMPTY_PATH)); T(syscall(452, n, "", 0641, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
        T(fchownat(n, "", -1, getgid(), AT_EMPTY_PATH)); T(syscall(SYS_utimensat, n, "", set, AT_EMPTY_PATH)); T(syscall(SYS_utimensat, n, NULL, set, 0)); T(futimens(n, set));
        T(linkat(AT_FDCWD, p, AT_FDCWD, "l1", AT_SYMLINK_FOLLOW)); T(linkat(n, "", AT_FDCWD, "l2", AT_EMPTY_PATH)); T(linkat(n, "", e, "l3", AT_EMPTY_PATH)); T(linkat(n, "", AT_FDCWD, "l1", AT_EMPTY_PATH)); T(linkat(AT_FDCWD, p, AT_FDCWD, "l4", 0));
        T(fchmod(n, 0600)); T(fchown(n, -1, -1)); T(fsetxattr(n, "user.b", "x", 1, 0)); T(ftruncate(n, 1)); T(rename(p, "moved")); T(unlink(p));
        T(mkdirat(n, "sub", 0755)); T(openat(n, "new", O_CREAT | O_WRONLY, 0600) < 0 ? -1 : 0);
        stat_of(objects[i]); stat_of("f"); stat_of("l1"); stat_of("l2"); stat_of("e/l3");
        close(n); close(e);
    }
    T(fchownat(99, "", -1, -1, AT_EMPTY_PATH)); T(linkat(99, "", AT_FDCWD, "l", AT_EMPTY_PATH)); T(linkat(AT_FDCWD, "", AT_FDCWD, "l", AT_EMPTY_PATH)); T(fchownat(AT_FDCWD, "", -1, -1, AT_EMPTY_PATH));
    static const char *const names[] = { "/proc/self/fd/%2$d", "/dev/fd/%2$d", "/proc/%1$d/fd/%2$d", "/proc/thread-self/fd/%2$d", "/proc/self/task/%1$d/fd/%2$d", "/proc/%1$d/task/%1$d/fd/%2$d" };
    fresh(v);
    for (int i = 0; i < 6; i++) {
        int t = open(".", O_TMPFILE | O_RDWR, 0640);
        char p[80], to[20];
        write(t, "nameless", 8); snprintf(p, sizeof p, names[i], getpid(), t); snprintf(to, sizeof to, "t%d", i);
        printf("%d ", i); T(linkat(AT_FDCWD, p, AT_FDCWD, to, AT_SYMLINK_FOLLOW)); write(t, " more", 5); stat_of(to); T(opened(open(p, O_WRONLY))); T(truncate(p, 5)); stat_of(to); close(t);
    }
}

// A file whose name is gone, changed through /proc.
static void lost(const char *proc)
{
    for (int m = 0; m < 14; m++) {
        fresh(v);
        int n = open("a", O_CREAT | (m & 1 ? O_RDWR : O_RDONLY), 0644);
        char p[80];
        snprintf(p, sizeof p, proc, getpid(), n);
        link("a", m / 2 == 6 ? "d/b" : "b");
        printf("-- %d\n", m);
        switch (m / 2) {
        case 1: case 6: unlink("a"); break;
        case 2: rename("a", "c"); break;
        case 3: file("y", "y"); rename("y", "a"); break;
        case 4: unlink("b"); unlink("a"); break;
        case 5: unlink("a"); file("a", "other"); break;
        }
        int g = open(p, O_WRONLY);
        T(g < 0 ? -1 : 0); T(write(g, "xy", 2)); close(g); g = open(p, O_RDWR | O_APPEND); T(write(g, "xyz", 3)); T(pwrite(g, "z", 1, 7)); T(fchmod(g, 0611)); T(ftruncate(g, 4)); T(fsync(g)); close(g);
        T(chmod(p, 0622)); T(truncate(p, 3)); T(setxattr(p, "user.k", "v", 1, 0)); T(removexattr(p, "user.k")); T(utimensat(AT_FDCWD, p, set, 0)); T(chown(p, -1, getgid()));
        T(fchmod(n, 0644)); T(fsetxattr(n, "user.f", "v", 1, 0)); T(futimens(n, set));
        g = open(p, O_WRONLY | O_TRUNC); T(write(g, "t", 1)); close(g); T(linkat(AT_FDCWD, p, AT_FDCWD, "back", AT_SYMLINK_FOLLOW)); T(linkat(n, "", AT_FDCWD, "back2", AT_EMPTY_PATH));
        stat_of("a"); stat_of("b"); stat_of("c"); stat_of("back"); close(n);
    }
}

// A nameless file from another process gets its name here.
static void received(void)
{
    int pair[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    char c = 'x', room[64] = { 0 };
    struct iovec io = { &c, 1 };
    struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = room, .msg_controllen = CMSG_SPACE(8) };
    fresh(v);
    if (fork() == 0) {
        int t[2] = { open(".", O_TMPFILE | O_RDWR, 0640), open("u", O_CREAT | O_RDWR, 0600) };
        write(t[0], "sent", 4); fsetxattr(t[0], "user.a", "1", 1, 0); unlink("u");
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET; h->cmsg_type = SCM_RIGHTS; h->cmsg_len = CMSG_LEN(8); memcpy(CMSG_DATA(h), t, 8);
        sendmsg(pair[0], &m, 0);
        _exit(0);
    }
    wait(NULL); recvmsg(pair[1], &m, 0);
    int t[2];
    memcpy(t, CMSG_DATA(CMSG_FIRSTHDR(&m)), 8);
    char p[80];
    T(write(t[0], " and more", 9)); T(ftruncate(t[0], 10)); T(fchmod(t[0], 0611));
    snprintf(p, sizeof p, "/proc/self/fd/%d", t[0]); T(linkat(AT_FDCWD, p, AT_FDCWD, "f", AT_SYMLINK_FOLLOW)); T(linkat(AT_FDCWD, p, AT_FDCWD, "named", AT_SYMLINK_FOLLOW)); stat_of("named");
    T(write(t[0], " later", 6)); T(linkat(AT_FDCWD, p, AT_FDCWD, "twice", AT_SYMLINK_FOLLOW)); stat_of("twice"); T(fchmod(t[0], 0600)); T(opened(open(p, O_WRONLY)));
    snprintf(p, sizeof p, "/proc/self/fd/%d", t[1]); T(write(t[1], "x", 1)); T(linkat(AT_FDCWD, p, AT_FDCWD, "gone", AT_SYMLINK_FOLLOW)); T(chmod(p, 0640));
}

// Every call with a name of this many bytes, from here.
static void with_length(int n)
{
    char d[9000] = "", up[9000];
    int deep = 0;
    while ((int)strlen(d) + 201 < n - 3) { for (int i = 0; i < 200; i++) strcat(d, "d"); mkdir(d, 0755); strcat(d, "/"); deep++; }
    int left = n - strlen(d);
    char *leaf = d + strlen(d), *also = up + strlen(d);
    memset(leaf, 'x', left); leaf[left] = 0; strcpy(up, d); memset(also, 'y', left);
    file("s", "short");
    printf("-- %d\n", n);
    T(opened(open(d, O_CREAT | O_WRONLY, 0600))); T(rename(d, up)); T(rename(up, "s2")); T(rename("s2", d)); T(link(d, up)); T(link("s", "l")); T(unlink(up)); T(link("s", up)); T(syscall(SYS_renameat2, AT_FDCWD, d, AT_FDCWD, up, 2)); T(unlink(up));
    T(rename("s", up)); T(rename(up, "s")); T(linkat(AT_FDCWD, d, AT_FDCWD, "l2", 0)); T(chmod(d, 0611)); T(chown(d, -1, getgid())); T(utimensat(AT_FDCWD, d, set, 0)); T(setxattr(d, "user.a", "1", 1, 0)); T(removexattr(d, "user.a")); T(truncate(d, 3)); T(opened(open(d, O_WRONLY | O_TRUNC)));
    T(unlink(d)); T(symlink("t", d)); T(lchown(d, -1, getgid())); T(unlink(d)); T(mkdir(d, 0750)); T(chmod(d, 0700)); T(rename(d, up)); T(rmdir(up)); T(mknod(d, S_IFIFO | 0600, 0)); T(unlink(d)); T(unlink("l")); T(unlink("l2")); T(unlink("s"));
}
static void lengths(int below)
{
    static const int lengths[] = { 200, 3000, 3840, 3950, 4040, 4050, 4090, 4095, 4096 };
    chdir(v);
    for (int i = 0; i < below; i++) { char n[101]; memset(n, 'c', 100); n[100] = 0; mkdir(n, 0755); if (chdir(n)) printf("no chdir\n"); }
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) with_length(lengths[i]);
}
static void no_cwd(void)
{
    fresh(v);
    chdir("e"); rmdir("../e");
    T(opened(open("x", O_CREAT | O_WRONLY, 0600))); T(mkdir("x", 0755)); T(rename("x", "y")); T(rename("../f", "y")); T(link("../f", "y")); T(symlink("x", "y")); T(unlink("x")); T(chmod(".", 0700)); T(opened(open(".", O_TMPFILE | O_RDWR, 0600)));
    T(opened(open("../new", O_CREAT | O_WRONLY, 0600))); T(mkdir("../m", 0755)); T(rename("../new", "../newer")); T(link("../f", "../l")); T(chmod("../f", 0600)); T(truncate("../f", 1)); T(unlink("../l")); T(rmdir(".")); T(mkdir("..", 0755)); T(opened(open("./../z", O_CREAT | O_WRONLY, 0600)));
}

int main(int argc, char **argv)
{
    static const char *const ways[] = { "cwd", "absolute", "dirfd", "symlink" };
    char link[400], *what = argc > 1 ? argv[1] : "", *how = argc > 2 ? argv[2] : "";
    enum way way = CWD;
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    umask(022);
    snprintf(v, sizeof v, "%s", getenv("V")); snprintf(s, sizeof s, "%s", getenv("S"));
    snprintf(link, sizeof link, "%s/to", s); symlink(v, link);
    for (int i = 0; i < 4; i++) if (!strcmp(how, ways[i])) way = i;
    if (!strcmp(what, "one")) one(way);
    else if (!strcmp(what, "two")) two(way);
    else if (!strcmp(what, "border")) border();
    else if (!strcmp(what, "descriptors")) descriptors(how);
    else if (!strcmp(what, "lost")) lost(how);
    else if (!strcmp(what, "received")) received();
    else if (!strcmp(what, "lengths")) lengths(atoi(how));
    else if (!strcmp(what, "cwd")) no_cwd();
    else return 2;
    return 0;
}

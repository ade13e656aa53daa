// Calls at a place deeper than any path can say, one line of answers each:
//   deep calls | climb | limits | op NAME | kills
// V: the directory to work in.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LEVELS 120

static char v[400], name[101];
static const struct timespec set[2] = { { 5, 5 }, { 7, 7 } };

static void said(int line, const char *what, long r)
{
    printf("%d %s: %ld %s\n", line, what, r, r < 0 ? strerrorname_np(errno) : "");
    fflush(stdout);
}
#define T(x) said(__LINE__, #x, (long)(x))

static int opened(int n)
{
    if (n < 0) return -1;
    close(n);
    return 0;
}
static int put(int n, const char *text)
{
    if (n < 0) return -1;
    int r = write(n, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -2;
    return close(n) ? -3 : r;
}
static int has(int n, const char *text)
{
    char b[100] = { 0 };
    if (n < 0) return -1;
    int k = read(n, b, 99);
    close(n);
    return k >= 0 && !strcmp(b, text);
}

// From V (or from where the cwd is) that many levels down; made if need be.
static void down(int n)
{
    for (int i = 0; i < n; i++) {
        if (mkdir(name, 0755) && errno != EEXIST) { T(mkdir(name, 0755)); exit(1); }
        if (chdir(name)) { T(chdir(name)); exit(1); }
    }
}
static void up(int n)
{
    for (int i = 0; i < n; i++) if (chdir("..")) { T(chdir("..")); exit(1); }
}

// One name, by the cwd, a descriptor of it, and of the directory above.
static void one(int d, int above, const char *dir)
{
    char deep[300], link[300];
    struct stat st;
    snprintf(deep, sizeof deep, "%sfile", dir); snprintf(link, sizeof link, "%slink", dir);
    T(put(openat(d, deep, O_CREAT | O_EXCL | O_WRONLY, 0600), "text")); T(put(openat(d, deep, O_CREAT | O_EXCL | O_WRONLY, 0600), "text"));
    T(put(openat(d, deep, O_WRONLY | O_APPEND), " more")); T(has(openat(d, deep, O_RDONLY), "text more"));
    T(put(openat(d, deep, O_WRONLY | O_TRUNC), "new")); T(has(openat(d, deep, O_RDWR), "new"));
    T(fchmodat(d, deep, 0641, 0)); T(fchmodat(d, "none", 0641, 0)); T(fchownat(d, deep, getuid(), getgid(), 0)); T(utimensat(d, deep, set, 0));
    T(fstatat(d, deep, &st, 0)); T(st.st_mode); T(st.st_size); T(st.st_mtime);
    T(symlinkat("file", d, link)); T(symlinkat("file", d, link)); T(has(openat(d, link, O_RDONLY), "new")); T(put(openat(d, link, O_WRONLY | O_APPEND), "er")); T(opened(openat(d, link, O_WRONLY | O_NOFOLLOW)));
    T(fchmodat(d, link, 0642, 0)); T(utimensat(d, link, set, AT_SYMLINK_NOFOLLOW)); T(fchownat(d, link, getuid(), getgid(), AT_SYMLINK_NOFOLLOW));
    snprintf(link, sizeof link, "%ssecond", dir);
    T(linkat(d, deep, d, link, 0)); T(linkat(d, deep, d, link, 0)); T(fstatat(d, deep, &st, 0)); T(st.st_nlink);
    T(renameat(d, link, d, "third")); T(renameat2(d, "third", d, deep, RENAME_NOREPLACE)); T(renameat2(d, "third", d, deep, RENAME_EXCHANGE)); T(unlinkat(d, "third", 0)); T(unlinkat(d, "third", 0));
    T(mkdirat(d, "sub", 0700)); T(mkdirat(d, "sub", 0700)); T(put(openat(d, "sub/in", O_CREAT | O_WRONLY, 0644), "in")); T(unlinkat(d, "sub", AT_REMOVEDIR)); T(fchmodat(d, "sub", 0711, 0)); T(utimensat(d, "sub", set, 0)); T(fchmodat(d, "sub/", 0755, 0)); T(fchmodat(d, "sub/.", 0750, 0)); T(fchmodat(d, "file/", 0750, 0));
    T(renameat(d, "sub", d, "moved")); T(has(openat(d, "moved/in", O_RDONLY), "in")); T(renameat(d, "moved/in", d, "out")); T(unlinkat(d, "moved", AT_REMOVEDIR)); T(unlinkat(d, "moved/", AT_REMOVEDIR)); T(unlinkat(d, "out", 0));
    T(mknodat(d, "fifo", S_IFIFO | 0600, 0)); T(mknodat(d, "node", S_IFREG | 0600, 0)); T(unlinkat(d, "fifo", 0)); T(unlinkat(d, "node", 0)); T(unlinkat(d, deep, AT_REMOVEDIR)); T(unlinkat(d, "none", 0)); T(mkdirat(d, "none/x", 0700)); T(mkdirat(d, "file/x", 0700));
    // From the directory above, and back out of it.
    snprintf(link, sizeof link, "%s/here", name);
    T(put(openat(above, link, O_CREAT | O_WRONLY, 0600), "here")); T(renameat(above, link, above, "above")); T(renameat(above, "above", d, "here")); T(linkat(d, "here", above, "too", 0)); T(unlinkat(d, "../too", 0)); T(put(openat(d, "../up", O_CREAT | O_WRONLY, 0600), "up")); T(renameat(d, "../up", d, "up")); T(unlinkat(d, "up", 0)); T(unlinkat(d, "./here", 0));
    // A symlink to a directory, and one that leads nowhere.
    T(mkdirat(d, "real", 0755)); T(symlinkat("real", d, "to")); T(put(openat(d, "to/x", O_CREAT | O_WRONLY, 0600), "x")); T(fchmodat(d, "to", 0700, 0)); T(renameat(d, "to/x", d, "to/y")); T(mkdirat(d, "to/z", 0700)); T(unlinkat(d, "to/z", AT_REMOVEDIR)); T(unlinkat(d, "real/y", 0)); T(unlinkat(d, "real", AT_REMOVEDIR)); T(put(openat(d, "to", O_CREAT | O_WRONLY, 0600), "made")); T(unlinkat(d, "real", 0)); T(unlinkat(d, "to", 0)); T(symlinkat("loop", d, "loop")); T(opened(openat(d, "loop", O_WRONLY))); T(fchmodat(d, "loop", 0600, 0)); T(unlinkat(d, "loop", 0));
    struct open_how how = { .flags = O_CREAT | O_WRONLY, .mode = 0600, .resolve = RESOLVE_BENEATH };
    T(opened(syscall(SYS_openat2, d, "two", &how, sizeof how))); T(opened(syscall(SYS_openat2, d, "../two", &how, sizeof how))); T(unlinkat(d, "two", 0));
}

// The calls that know no descriptor.
static void by_cwd(void)
{
    struct timeval old[2] = { { 3, 3 }, { 4, 4 } };
    T(put(creat("made", 0640), "0123456789")); T(truncate("made", 4)); T(has(open("made", O_RDONLY), "0123")); T(truncate("made", 6)); T(chmod("made", 0604)); T(chown("made", getuid(), getgid())); T(lchown("made", -1, -1)); T(utimes("made", old)); T(setxattr("made", "user.a", "1", 1, 0)); T(lsetxattr("made", "user.b", "2", 1, XATTR_REPLACE)); T(removexattr("made", "user.a")); T(removexattr("made", "user.a"));
    T(link("made", "linked")); T(rename("linked", "again")); T(symlink("made", "soft")); T(truncate("soft", 3)); T(unlink("soft")); T(unlink("again")); T(mkdir("one", 0700)); T(mkdir("one/two", 0700)); T(rmdir("one")); T(rmdir("one/two")); T(rmdir("one")); T(mknod("p", S_IFIFO | 0600, 0)); T(unlink("p"));
    struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "sock" };
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    T(bind(s, (void *)&a, sizeof a)); T(unlink("sock")); close(s);
    T(chmod(".", 0750)); T(utimensat(AT_FDCWD, ".", set, 0)); T(setxattr(".", "user.d", "1", 1, 0)); T(chmod(".", 0755)); T(rmdir(".")); T(mkdir("..", 0700));
    T(truncate("none", 1)); T(chmod("made/", 0600)); T(rename("none", "x")); T(rename("made", "made")); T(link("made", "made")); T(unlink("made"));
}

// Descriptors of deep files.
static void descriptors(int d)
{
    char p[80];
    struct stat st;
    int w = openat(d, "w", O_CREAT | O_RDWR, 0600);
    T(write(w, "hello world", 11)); T(pwrite(w, "J", 1, 0)); T(ftruncate(w, 8)); T(fallocate(w, 0, 0, 20)); T(fchmod(w, 0640)); T(fchown(w, getuid(), getgid())); T(futimens(w, set)); T(fsetxattr(w, "user.a", "1", 1, 0)); T(fsync(w)); T(fdatasync(w));
    int two = dup(w);
    T(lseek(two, 0, SEEK_END)); T(write(two, "!", 1)); T(close(two)); T(syncfs(w)); T(close(w));
    int r = openat(d, "w", O_RDONLY);
    T(fchmod(r, 0600)); T(fsetxattr(r, "user.b", "1", 1, 0)); T(futimens(r, set)); T(fchown(r, -1, getgid())); T(syscall(SYS_fchownat, r, "", -1, getgid(), AT_EMPTY_PATH)); T(fsync(r)); T(fremovexattr(r, "user.b"));
    T(fchmod(d, 0711)); T(fsetxattr(d, "user.b", "1", 1, 0)); T(futimens(d, set)); T(fsync(d));
    snprintf(p, sizeof p, "/proc/self/fd/%d", r);
    T(chmod(p, 0640)); T(truncate(p, 2)); T(put(open(p, O_WRONLY | O_APPEND), "++")); T(put(open(p, O_WRONLY | O_TRUNC), "over"));
    T(linkat(AT_FDCWD, p, d, "by-number", AT_SYMLINK_FOLLOW)); T(unlinkat(d, "by-number", 0));
    T(fstat(r, &st)); T(st.st_mode); T(st.st_size); T(close(r));
    snprintf(p, sizeof p, "/proc/self/fd/%d", d);
    T(chmod(p, 0755)); snprintf(p, sizeof p, "/proc/self/fd/%d/x", d); T(put(open(p, O_CREAT | O_WRONLY, 0600), "x")); T(chmod(p, 0611)); T(unlink(p)); snprintf(p, sizeof p, "/proc/self/cwd/x"); T(put(open(p, O_CREAT | O_WRONLY, 0600), "x")); T(unlink(p));
    int t = openat(d, ".", O_TMPFILE | O_RDWR, 0600);
    T(t >= 0); T(write(t, "tmp", 3)); snprintf(p, sizeof p, "/proc/self/fd/%d", t); T(linkat(AT_FDCWD, p, d, "tmp", AT_SYMLINK_FOLLOW)); T(close(t)); T(has(openat(d, "tmp", O_RDONLY), "tmp"));
    int m = openat(d, "map", O_CREAT | O_RDWR, 0600);
    T(ftruncate(m, 4096)); T(close(m));
    int a = openat(d, "w", O_RDONLY), b = openat(d, "copy", O_CREAT | O_WRONLY, 0600);
    T(syscall(SYS_copy_file_range, a, NULL, b, NULL, 4, 0)); T(close(a)); T(close(b)); T(has(openat(d, "copy", O_RDONLY), "over"));
}

// The lowest free number is the program's.
static void numbers(int d)
{
    int n;
    mkdirat(d, "real", 0700); symlinkat("real", d, "by"); close(openat(d, "real/x", O_CREAT | O_WRONLY, 0600)); close(openat(d, "own", O_CREAT | O_WRONLY, 0600));
    T(n = openat(d, "real/x", O_WRONLY)); close(n); T(n = openat(d, "by/x", O_WRONLY)); close(n); T(n = openat(d, "by/y", O_CREAT | O_WRONLY, 0600)); close(n); T(n = openat(d, "real/../own", O_RDWR)); close(n); T(n = openat(d, "own", O_WRONLY | O_TRUNC)); close(n); T(n = openat(d, "by/.", O_TMPFILE | O_RDWR, 0600)); close(n);
}

// Between the depth and the top.
static void across(int d, int top)
{
    T(put(openat(top, "top", O_CREAT | O_WRONLY, 0600), "top")); T(renameat(top, "top", d, "down")); T(linkat(d, "down", top, "both", 0)); T(renameat(d, "down", top, "top")); T(unlinkat(top, "both", 0)); T(linkat(top, "top", d, "again", 0)); T(unlinkat(d, "again", 0)); T(unlinkat(top, "top", 0));
    T(mkdirat(top, "tree", 0755)); T(put(openat(top, "tree/leaf", O_CREAT | O_WRONLY, 0600), "leaf")); T(renameat(top, "tree", d, "tree")); T(put(openat(d, "tree/leaf", O_WRONLY | O_APPEND), "+")); T(mkdirat(top, "other", 0700)); T(renameat2(top, "other", d, "tree", RENAME_EXCHANGE)); T(has(openat(top, "other/leaf", O_RDONLY), "leaf+")); T(unlinkat(top, "other/leaf", 0)); T(unlinkat(top, "other", AT_REMOVEDIR)); T(unlinkat(d, "tree", AT_REMOVEDIR));
    T(symlinkat(v, d, "to-v")); T(put(openat(d, "to-v/through", O_CREAT | O_WRONLY, 0600), "t")); T(unlinkat(d, "to-v/through", 0)); T(unlinkat(d, "to-v", 0));
    T(put(openat(top, "from", O_CREAT | O_WRONLY, 0600), "f")); T(renameat(top, "from", d, "missing/x")); T(renameat(top, "none", d, "x")); T(linkat(top, "from", d, "from", 0)); T(renameat2(top, "from", d, "from", RENAME_NOREPLACE)); T(renameat(top, "from", d, "from")); T(unlinkat(d, "from", 0)); T(unlinkat(top, "from", 0));
}

static void calls(void)
{
    chdir(v);
    int top = open(".", O_RDONLY | O_DIRECTORY);
    numbers(AT_FDCWD); numbers(top);
    T(mkdir("calls", 0755)); chdir("calls");
    down(LEVELS - 1);
    int above = open(".", O_RDONLY | O_DIRECTORY);
    down(1);
    int d = open(".", O_RDONLY | O_DIRECTORY);
    T(getcwd((char[20000]){ 0 }, 20000) == NULL); T(getcwd((char[20000]){ 0 }, 20000) == NULL);
    numbers(AT_FDCWD); numbers(d);
    puts("-- cwd"); one(AT_FDCWD, above, ""); by_cwd(); descriptors(d);
    puts("-- descriptor, elsewhere"); chdir("/"); one(d, above, ""); across(d, top);
    chdir(v); descriptors(d);
    puts("-- below it"); T(mkdirat(d, "more", 0755)); one(d, above, "more/"); 
    // Up again, a level at a time, each with a change.
    T(fchdir(d));
    for (int i = 0; i < LEVELS; i++) { T(put(open("mark", O_CREAT | O_WRONLY, 0600), "m")); if (i % 3 == 0) T(chmod("..", 0755)); up(1); }
    // And a sibling at each level.
    for (int i = 0; i < LEVELS; i++) { T(mkdir("side", 0700)); if (i % 7 == 0) T(rename("side", "aside")); down(1); }
}

// A directory of names, made and removed over and over, by two descriptors that stay.
static void climb(void)
{
    chdir(v);
    T(mkdir("climb", 0755)); chdir("climb");
    for (int round = 0; round < 3; round++) {
        down(LEVELS);
        T(put(open("f", O_CREAT | O_WRONLY, 0600), "f")); T(unlink("f"));
        for (int i = 0; i < LEVELS; i++) { if (chdir("..") || rmdir(name)) { T(rmdir(name)); exit(1); } }
    }
    // Renamed above, with a cwd that stays.
    down(LEVELS);
    int d = open(".", O_RDONLY | O_DIRECTORY), top = open(v, O_RDONLY | O_DIRECTORY);
    T(put(openat(d, "before", O_CREAT | O_WRONLY, 0600), "1")); T(renameat(top, "climb", top, "climbed")); T(put(openat(d, "after", O_CREAT | O_WRONLY, 0600), "2"));
    T(put(open("cwd", O_CREAT | O_WRONLY, 0600), "3")); T(renameat(d, "before", d, "behind"));
    // Removed under the cwd.
    T(unlinkat(d, "after", 0)); T(unlinkat(d, "cwd", 0)); T(unlinkat(d, "behind", 0));
    char up1[110]; snprintf(up1, sizeof up1, "../%s", name);
    T(rmdir(up1)); T(put(open("gone", O_CREAT | O_WRONLY, 0600), "")); T(mkdir("gone", 0700)); T(mkdirat(d, "gone", 0700)); T(unlink("gone")); T(put(open("../beside", O_CREAT | O_WRONLY, 0600), "b")); T(chmod(".", 0700));
}

// With descriptors used up, and by children.
static void limits(void)
{
    chdir(v);
    T(mkdir("limits", 0755)); chdir("limits"); down(LEVELS);
    struct rlimit few = { 12, 12 }; getrlimit(RLIMIT_NOFILE, &few); few.rlim_cur = 12; setrlimit(RLIMIT_NOFILE, &few);
    int last = -1, n; while ((n = open("/dev/null", O_RDONLY)) >= 0) last = n;
    T(mkdir("full", 0700)); T(chmod("full", 0711)); T(symlink("x", "sym")); T(rename("sym", "sym2")); T(opened(open("file", O_CREAT | O_WRONLY, 0600)));
    close(last); T(put(open("file", O_CREAT | O_WRONLY, 0600), "f"));
    few.rlim_cur = 200; setrlimit(RLIMIT_NOFILE, &few);
    pid_t pid = vfork();
    if (pid == 0) { int r = mkdir("vfork", 0700), k = open("vforked", O_CREAT | O_WRONLY, 0600); close(k); _exit(r == 0 && k >= 0 && utimensat(AT_FDCWD, "vforked", set, 0) == 0 ? 0 : 1); }
    int status = 0; waitpid(pid, &status, 0); T(status);
    pid = fork();
    if (pid == 0) { int r = mkdir("fork", 0700), k = open("forked", O_CREAT | O_WRONLY, 0600); _exit(r == 0 && k >= 0 && write(k, "k", 1) == 1 ? 0 : 1); }
    waitpid(pid, &status, 0); T(status);
}

// What is killed, in the cwd.
static const char *const ops[] = { "create", "empty", "mkdir", "unlink", "rmdir", "rename", "move", "link", "symlink", "chmod", "truncate", "append" };

static int op(const char *what, int n)
{
    // The way is known, so that few calls are traced.
    chmod("other", 0644);
    raise(SIGSTOP);
    if (!strcmp(what, "create")) return opened(open("new", O_CREAT | O_WRONLY, 0640));
    if (!strcmp(what, "empty")) return opened(open("file", O_TRUNC | O_WRONLY));
    if (!strcmp(what, "mkdir")) return mkdir("new", 0750);
    if (!strcmp(what, "unlink")) return unlink("file");
    if (!strcmp(what, "rmdir")) return rmdir("dir");
    if (!strcmp(what, "rename")) return rename("file", "new");
    if (!strcmp(what, "move")) return rename("dir", "../new");
    if (!strcmp(what, "link")) return link("file", "new");
    if (!strcmp(what, "symlink")) return symlink("file", "new");
    if (!strcmp(what, "chmod")) return chmod("file", 0604);
    if (!strcmp(what, "truncate")) return truncate("file", 2);
    if (!strcmp(what, "append")) return write(n, "more", 4) == 4 ? 0 : -1;
    return -1;
}

static int leg[2];
static const char *const names[] = { "file", "dir", "new", "../new" };

static void fresh(void)
{
    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 4; k++) if (unlinkat(leg[i], names[k], 0)) unlinkat(leg[i], names[k], AT_REMOVEDIR);
        if (put(openat(leg[i], "file", O_CREAT | O_WRONLY, 0644), "text") || mkdirat(leg[i], "dir", 0755) || utimensat(leg[i], "file", set, 0)) exit(3);
    }
}
static int equal(void)
{
    for (int k = 0; k < 4; k++) {
        struct stat s[2];
        int there[2];
        for (int i = 0; i < 2; i++) there[i] = fstatat(leg[i], names[k], &s[i], AT_SYMLINK_NOFOLLOW) == 0;
        if (there[0] != there[1]) return 0;
        if (there[0] && (s[0].st_mode != s[1].st_mode || s[0].st_nlink != s[1].st_nlink || (S_ISREG(s[0].st_mode) && s[0].st_size != s[1].st_size))) return 0;
    }
    return 1;
}
// Lines of the list of what is pending.
static int pending(void)
{
    char p[500];
    struct stat s;
    snprintf(p, sizeof p, "%s/.mirror/pending", getenv("A"));
    return stat(p, &s) == 0 && s.st_size > 0;
}
// Whether a call may leave another state behind.
static int changes(long nr)
{
    static const long looks[] = { SYS_statx, SYS_newfstatat, SYS_fstat, SYS_close, SYS_openat, SYS_getdents64, SYS_lseek, SYS_read, SYS_pread64, SYS_readlinkat, SYS_prlimit64, SYS_rt_sigprocmask, SYS_fcntl, SYS_getpid, SYS_gettid };
    for (unsigned i = 0; i < sizeof looks / sizeof *looks; i++) if (looks[i] == nr) return 0;
    return 1;
}
static int mirrored(const char *what, int nth)
{
    int status, count = 0;
    pid_t pid = fork();
    if (pid == 0) {
        if (fchdir(leg[0])) _exit(9);
        if (nth) ptrace(PTRACE_TRACEME, 0, 0, 0);
        execl(getenv("RUN"), "mirror-run", getenv("SELF"), "op", what, NULL);
        _exit(9);
    }
    if (!nth) {
        while (waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status)) kill(pid, SIGCONT);
        return status;
    }
    // Up to the mark, then from call to call; those that only look are passed by.
    struct user_regs_struct r;
    for (int marked = 0, entry = 1; waitpid(pid, &status, 0) == pid && WIFSTOPPED(status);) {
        int sig = WSTOPSIG(status);
        if (!marked && sig == SIGSTOP) { marked = 1; ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL); sig = 0; }
        else if (sig == (SIGTRAP | 0x80)) {
            if (entry && ptrace(PTRACE_GETREGS, pid, 0, &r) == 0 && changes(r.orig_rax) && ++count == nth) kill(pid, SIGKILL);
            entry = !entry; sig = 0;
        }
        else if (sig == SIGTRAP) sig = 0;
        ptrace(marked ? PTRACE_SYSCALL : PTRACE_CONT, pid, 0, sig);
    }
    return status;
}
// Without the mirror: each operation of a mirrored program is killed at each of its calls; the next program
// ends what it has left, or the pair says that it differs.
static void kills(void)
{
    int sum[2] = { 0 };
    char resync[1200];
    snprintf(resync, sizeof resync, "%s resync %s --yes >/dev/null 2>&1", getenv("COMMAND"), v);
    for (int i = 0; i < 2; i++) {
        if (chdir(getenv(i ? "B" : "A"))) exit(3);
        mkdir("kills", 0755); chdir("kills"); down(LEVELS);
        leg[i] = open(".", O_RDONLY | O_DIRECTORY);
        if (put(open("other", O_CREAT | O_WRONLY, 0644), "") || utimensat(leg[i], "other", set, 0)) exit(3);
    }
    for (unsigned o = 0; o < sizeof ops / sizeof *ops; o++) {
        int status = 0, nth = 1;
        for (;; nth++) {
            fresh();
            status = mirrored(ops[o], nth);
            if (!WIFSIGNALED(status)) break;
            int torn = !equal();
            mirrored("none", 0);
            int said = pending();
            sum[0] += torn; sum[1] += said;
            if (!equal() && !said) printf("%s killed at call %d: the legs differ, and nobody says so\n", ops[o], nth);
            if (said && (system(resync) || pending())) printf("%s killed at call %d: no resync\n", ops[o], nth);
            if (!equal()) printf("%s killed at call %d: they still differ\n", ops[o], nth);
        }
        if (!WIFEXITED(status) || WEXITSTATUS(status)) printf("%s: %x at %d\n", ops[o], status, nth);
        printf("%s %s\n", ops[o], nth > 3 ? "many" : "few"); fprintf(stderr, "%s %d, torn %d, said %d\n", ops[o], nth, sum[0], sum[1]);
    }
    printf("torn %s, said %s\n", sum[0] > 8 ? "often" : "seldom", sum[1] >= sum[0] ? "each time" : "not always");
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    memset(name, 'd', 100);
    snprintf(v, sizeof v, "%s", getenv("V"));
    umask(022);
    if (!strcmp(what, "calls")) calls();
    else if (!strcmp(what, "climb")) climb();
    else if (!strcmp(what, "limits")) limits();
    else if (!strcmp(what, "kills")) kills();
    else if (!strcmp(what, "op") && argc > 2 && !strcmp(argv[2], "none")) return chmod("other", 0644) != 0;
    else if (!strcmp(what, "op") && argc > 2) return op(argv[2], !strcmp(argv[2], "append") ? open("file", O_WRONLY | O_APPEND) : -1) != 0;
    else return 2;
    return 0;
}

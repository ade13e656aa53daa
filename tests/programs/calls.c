/* Cases of tests/uses.rs that want exact system calls: `calls NAME`, with V in the environment. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* One line per call: what, result (1 for any descriptor), error name. */
static long say(const char *what, long r)
{
    printf("%s %ld %s\n", what, r, r < 0 ? strerrorname_np(errno) : "");
    return r;
}
static int fd_of(const char *name, int flags) { return open(name, flags | O_CREAT, 0644); }
static void put(int fd, const char *s) { say("write", write(fd, s, strlen(s))); }
static void show(const char *name)
{
    char b[4096];
    int fd = open(name, O_RDONLY);
    long n = fd < 0 ? -1 : read(fd, b, sizeof b - 1);
    printf("%s: %ld [%.*s]\n", name, n, n > 0 ? (int)n : 0, b);
    if (fd >= 0) close(fd);
}

static void dup_family(void)
{
    int a = fd_of("f", O_WRONLY), b = dup(a), c = dup2(a, 100), d = dup3(a, 101, O_CLOEXEC);
    int e = fcntl(a, F_DUPFD, 50), f = fcntl(a, F_DUPFD_CLOEXEC, 60);
    printf("%d %d %d %d %d %d\n", a, b, c, d, e, f);
    put(a, "a"); put(b, "b"); put(c, "c"); put(d, "d"); put(e, "e"); put(f, "f");
    say("cloexec", fcntl(d, F_GETFD)); say("cloexec", fcntl(f, F_GETFD)); say("cloexec", fcntl(c, F_GETFD));
    say("close", close(a)); put(b, "B"); say("close", close(b)); put(100, "C");
    say("dup2 self", dup2(100, 100)); say("dup3 self", dup3(100, 100, 0)); say("dup2 bad", dup2(999, 100)); put(100, "D");
    say("dup2 high", dup2(100, 1 << 20)); say("F_DUPFD high", fcntl(100, F_DUPFD, 1 << 20)); say("dup bad", dup(a));
    say("close", close(50)); say("close again", close(50)); say("dup", dup2(60, a)); put(a, "E");
    if (fork() == 0) { put(a, "child"); _exit(0); }
    wait(NULL); put(a, "parent"); show("f");
}

static void dup2_onto(void)
{
    int a = fd_of("a", O_WRONLY | O_APPEND), b = fd_of("b", O_WRONLY | O_APPEND), out = open("/dev/null", O_WRONLY), in = open("/dev/zero", O_RDONLY);
    put(a, "1"); say("dup2", dup2(b, a)); put(a, "2"); say("dup2", dup2(out, b)); put(b, "lost"); put(a, "3");
    say("dup2", dup2(a, out)); put(out, "4"); say("dup2", dup2(in, a)); put(a, "x"); put(out, "5"); close(out); put(out, "x");
    int c = fd_of("a", O_WRONLY); put(c, "new"); show("a"); show("b");
}

static void close_range_(void)
{
    int f[6];
    char n[2] = "0";
    for (int i = 0; i < 6; i++) { n[0] = '0' + i; f[i] = fd_of(n, O_WRONLY); put(f[i], "x"); }
    say("close_range", syscall(SYS_close_range, f[1], f[2], 0)); put(f[1], "y"); put(f[3], "y");
    say("cloexec", syscall(SYS_close_range, f[3], f[4], 4)); say("flag", fcntl(f[3], F_GETFD)); put(f[3], "z");
    if (fork() == 0) { say("all", syscall(SYS_close_range, 3, ~0u, 0)); put(f[5], "c"); _exit(0); }
    wait(NULL); put(f[5], "p"); say("unshare", syscall(SYS_close_range, f[5], ~0u, 2)); put(f[5], "no"); put(f[0], "yes");
    say("bad", syscall(SYS_close_range, 9, 3, 0)); say("bad", syscall(SYS_close_range, 3, 9, 64));
    for (int i = 0; i < 6; i++) { n[0] = '0' + i; show(n); }
}

static void close_all(void)
{
    int a = fd_of("a", O_WRONLY), d = open(".", O_RDONLY | O_DIRECTORY);
    put(a, "1");
    for (int i = 3; i < 9000; i++) close(i);
    put(a, "closed"); say("mkdirat", mkdirat(d, "x", 0755));
    int b = fd_of("b", O_WRONLY | O_APPEND); printf("%d\n", b); put(b, "after"); say("mkdir", mkdir("d", 0755)); say("rename", rename("b", "d/b")); put(b, "more"); show("d/b");
    closefrom(3); b = fd_of("c", O_WRONLY); put(b, "again"); say("unlink", unlink("a")); show("c");
}

static void until_emfile(void)
{
    int n = 0, fd, last = -1;
    char name[16];
    for (;;) { snprintf(name, sizeof name, "e%d", n); fd = open(name, O_CREAT | O_WRONLY, 0600); if (fd < 0) break; last = fd; put(fd, name); n++; }
    printf("%d files, last %d, %s, there: %d\n", n, last, strerrorname_np(errno), access(name, F_OK));
    say("dup", dup(3)); say("mkdir", mkdir("d", 0755)); say("rename", rename("e0", "d/e0")); put(3, "x"); close(last); fd = fd_of("one", O_WRONLY); put(fd, "y");
}

static void truncates(void)
{
    int a = fd_of("f", O_RDWR), r;
    put(a, "0123456789"); say("ftruncate", ftruncate(a, 5)); say("truncate", truncate("f", 20)); say("ftruncate", ftruncate(a, -1));
    say("fallocate", fallocate(a, 0, 0, 8192)); say("keep", fallocate(a, FALLOC_FL_KEEP_SIZE, 8192, 8192)); put(a, "x");
    say("punch", fallocate(a, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4)); say("zero", fallocate(a, FALLOC_FL_ZERO_RANGE, 4, 3));
    say("bad", fallocate(a, 0, -1, 5)); say("bad", fallocate(a, 0, 0, 0)); r = open("f", O_RDONLY); say("ftruncate ro", ftruncate(r, 1)); say("fallocate ro", fallocate(r, 0, 0, 9));
    struct stat s; fstat(a, &s); printf("%ld\n", (long)s.st_size); int b = fd_of("g", O_WRONLY); for (int i = 0; i < 4096; i++) { char x[4]; memset(x, 'a' + i / 1024, 4); if (write(b, x, 4) != 4) abort(); }
    say("collapse", fallocate(b, FALLOC_FL_COLLAPSE_RANGE, 4096, 4096)); say("insert", fallocate(b, FALLOC_FL_INSERT_RANGE, 4096, 4096)); fstat(b, &s); printf("%ld\n", (long)s.st_size);
    say("posix", posix_fallocate(b, 0, 30000)); b = open("f", O_WRONLY | O_TRUNC); put(b, "short"); show("f"); b = creat("f", 0600); show("f"); say("creat d", creat(".", 0600));
}

static void tmpfile_(void)
{
    int t = open(".", O_TMPFILE | O_RDWR, 0640);
    char p[64];
    if (t < 0) { say("O_TMPFILE", -1); return; }
    put(t, "anonymous"); snprintf(p, sizeof p, "/proc/self/fd/%d", t);
    say("linkat", linkat(AT_FDCWD, p, AT_FDCWD, "named", AT_SYMLINK_FOLLOW)); put(t, " and more"); show("named");
    say("again", linkat(AT_FDCWD, p, AT_FDCWD, "named", AT_SYMLINK_FOLLOW)); int u = open(".", O_TMPFILE | O_WRONLY | O_EXCL, 0600); put(u, "x"); close(u);
    u = open(".", O_TMPFILE | O_WRONLY, 0600); put(u, "by fd"); if (linkat(u, "", AT_FDCWD, "empty", AT_EMPTY_PATH)) { snprintf(p, sizeof p, "/proc/self/fd/%d", u); linkat(AT_FDCWD, p, AT_FDCWD, "empty", AT_SYMLINK_FOLLOW); } show("empty");
    u = open(".", O_TMPFILE | O_WRONLY, 0600); put(u, "never named"); FILE *f = tmpfile(); fputs("x", f); fclose(f); struct stat s; stat("named", &s); printf("%o %ld\n", s.st_mode, (long)s.st_nlink);
}

static void open_flags(void)
{
    int a = fd_of("f", O_WRONLY | O_EXCL); put(a, "text");
    say("excl", fd_of("f", O_WRONLY | O_EXCL)); say("dir", open("f", O_DIRECTORY | O_WRONLY)); say("nofollow", open("f", O_NOFOLLOW | O_WRONLY) > 0); symlink("f", "l"); say("nofollow", open("l", O_NOFOLLOW | O_WRONLY));
    say("isdir", open(".", O_WRONLY)); say("isdir", open(".", O_RDWR | O_CREAT, 0644)); say("dir+creat", open("nd", O_CREAT | O_DIRECTORY, 0755) < 0); rmdir("nd"); unlink("nd"); say("path", open("f", O_PATH | O_WRONLY | O_TRUNC) > 0); show("f");
    say("rdonly creat", open("ro", O_CREAT | O_RDONLY, 0444) > 0); say("trunc ro", open("f", O_RDONLY | O_TRUNC) > 0); show("f"); say("mode 0", open("zero", O_CREAT | O_RDWR, 0) > 0); say("odd mode", open("odd", O_CREAT | O_WRONLY, 0107777) > 0);
    int ap = open("f", O_WRONLY | O_APPEND); put(ap, "1"); say("seek", lseek(ap, 0, SEEK_SET)); put(ap, "2"); pwrite(ap, "3", 1, 0); show("f"); say("noatime", open("f", O_WRONLY | O_NOATIME) > 0 || errno == EPERM); say("nonblock", open("f", O_WRONLY | O_NONBLOCK) > 0);
    say("accmode 3", open("f", 3) > 0); say("large", open("f", O_WRONLY | O_LARGEFILE) > 0); say("trunc", open("f", O_RDWR | O_TRUNC) > 0); show("f"); say("slash", open("new/", O_CREAT | O_WRONLY, 0644)); say("empty", open("", O_CREAT | O_WRONLY, 0644));
    struct { unsigned long f, m, r; } how = { O_CREAT | O_WRONLY, 0640, 0 }; say("openat2", syscall(437, AT_FDCWD, "o2", &how, sizeof how) > 0); how.r = 8; say("beneath", syscall(437, AT_FDCWD, "../x", &how, sizeof how)); how.m = 0100644; how.r = 0; say("strict", syscall(437, AT_FDCWD, "o3", &how, sizeof how));
}

static void bad_buffers(void)
{
    int a = fd_of("f", O_RDWR);
    char *wild = (char *)0xdeadc0de, *m = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(m, 'm', 8192); munmap(m + 4096, 4096); char *name = m + 4096 - 4; memcpy(name, "edg", 4);
    say("write wild", write(a, wild, 10)); say("write null", write(a, NULL, 10)); say("write 0", write(a, NULL, 0)); say("write edge", write(a, m, 8192)); say("open edge", open(name, O_CREAT | O_WRONLY, 0600) > 0);
    memcpy(name, "none", 4); say("open off edge", open(name, O_CREAT | O_WRONLY, 0600)); say("open wild", open(wild, O_CREAT | O_WRONLY, 0600)); say("open null", open(NULL, O_CREAT | O_WRONLY, 0600)); say("mkdir wild", mkdir(wild, 0755));
    say("mkdir kernel", mkdir((char *)-4096, 0755)); say("rename wild", rename("f", wild)); say("rename null", rename(NULL, "f")); say("symlink wild", symlink(wild, "s")); say("unlink null", unlink(NULL)); say("pwrite wild", pwrite(a, wild, 5, 9));
    struct iovec v[2] = { { m, 10 }, { wild, 10 } }; say("writev half", writev(a, v, 2)); say("writev wild", writev(a, (void *)wild, 2)); say("writev many", writev(a, v, 2000)); v[0].iov_len = -1; say("writev neg", writev(a, v, 1)); say("huge", write(a, m, -1L)); say("badfd", write(-1, "x", 1)); say("rofd", write(open("f", O_RDONLY), "x", 1));
    char *ro = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); say("write none", write(a, ro, 5)); say("open none", open(ro, O_CREAT | O_WRONLY, 0600)); struct stat s; fstat(a, &s); printf("%ld\n", (long)s.st_size);
}

static void rename_flags(void)
{
    int a = fd_of("a", O_WRONLY); put(a, "A"); close(a); a = fd_of("b", O_WRONLY); put(a, "B"); mkdir("d", 0755); mkdir("e", 0755); fd_of("d/in", O_WRONLY);
    say("noreplace", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE)); say("noreplace", renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE)); say("exchange", renameat2(AT_FDCWD, "c", AT_FDCWD, "b", RENAME_EXCHANGE)); show("b"); show("c");
    say("exchange dir", renameat2(AT_FDCWD, "d", AT_FDCWD, "b", RENAME_EXCHANGE)); show("d"); say("exchange none", renameat2(AT_FDCWD, "c", AT_FDCWD, "none", RENAME_EXCHANGE)); say("both", renameat2(AT_FDCWD, "c", AT_FDCWD, "x", 3)); say("bad", renameat2(AT_FDCWD, "c", AT_FDCWD, "x", 64));
    put(a, "still B"); show("c"); say("over dir", rename("e", "b")); say("over empty", rename("b", "e")); say("self", rename("c", "c")); link("c", "hard"); say("same inode", rename("c", "hard")); say("into itself", rename("e", "e/x")); show("c"); show("hard"); say("whiteout", renameat2(AT_FDCWD, "hard", AT_FDCWD, "w", RENAME_NOREPLACE));
}

static void stdio(void)
{
    FILE *f = fopen("f", "w+"); fprintf(f, "line %d\n", 1); fputs("second\n", f); rewind(f); char l[99]; fgets(l, 99, f); fputs(l, stdout); fseek(f, 0, SEEK_END); fputs("third\n", f); fclose(f);
    f = fopen("f", "a"); fputs("fourth\n", f); fflush(f); f = freopen("g", "w", f); fputs("in g", f); fclose(f); show("f"); show("g"); char t[] = "tXXXXXX", u[] = "uXXXXXX"; int a = mkstemp(t); put(a, "tmp"); say("remove", remove(t)); say("mkdtemp", mkdtemp(u) != NULL); say("remove", remove(u));
    f = fopen("x", "wx"); say("x", fopen("x", "wx") != NULL); setvbuf(f, NULL, _IONBF, 0); for (int i = 0; i < 10; i++) fprintf(f, "%d", i); fclose(f); f = popen("cat > p", "w"); fputs("popen", f); pclose(f); show("x"); show("p"); say("system", system("echo system > s; exit 7")); freopen("stdout", "w", stdout); printf("redirected\n"); fflush(stdout); dprintf(1, "dprintf\n");
}

int main(int argc, char **argv)
{
    struct { const char *name; void (*run)(void); } all[] = {
        { "dup_family", dup_family }, { "dup2_onto", dup2_onto }, { "close_range", close_range_ }, { "close_all", close_all },
        { "until_emfile", until_emfile }, { "truncates", truncates }, { "tmpfile", tmpfile_ }, { "open_flags", open_flags },
        { "bad_buffers", bad_buffers }, { "rename_flags", rename_flags }, { "stdio", stdio },
    };
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (chdir(getenv("V"))) return 1;
    for (unsigned i = 0; argc > 1 && i < sizeof all / sizeof *all; i++)
        if (!strcmp(argv[1], all[i].name)) { all[i].run(); return 0; }
    return 2;
}

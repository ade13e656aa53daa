/* Tables for tests/answers_data.rs: `answers_data MODE`, with V and S in the environment. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int signals;
static void count(int s) { (void)s; signals++; }

#define SAY(call) say(#call, call)
static long say(const char *what, long r)
{
    printf("%-60s %ld %s%s\n", what, r, r < 0 ? strerrorname_np(errno) : "", signals ? " SIGXFSZ" : "");
    for (; signals > 1; signals--) puts("  again");
    signals = 0;
    fflush(stdout);
    return r;
}

/* A descriptor that has come over a socket. */
static int received(int fd)
{
    if (fd < 0) return -1;
    int s[2];
    char c = 'x', room[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec v = {&c, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET; h->cmsg_type = SCM_RIGHTS; h->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(h), &fd, sizeof fd);
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    sendmsg(s[0], &m, 0);
    m.msg_controllen = sizeof room;
    recvmsg(s[1], &m, 0);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    close(s[0]); close(s[1]);
    return fd;
}

/* Every call by descriptor, on one descriptor. */
static void calls_on(const char *name, int n)
{
    struct iovec v[2] = {{"ab", 2}, {"cd", 2}};
    long o = 0;
    printf("-- %s\n", name);
    SAY(sync_file_range(n, 0, 0, SYNC_FILE_RANGE_WRITE));
    SAY(sync_file_range(n, 0, 5, 7));
    SAY(sync_file_range(n, 4096, 0, 2));
    SAY(sync_file_range(n, 0, 5, 99));
    SAY(sync_file_range(n, -1, 5, 2));
    SAY(sync_file_range(n, 5, -1, 2));
    SAY(fsync(n)); SAY(fdatasync(n)); SAY(syncfs(n));
    SAY(write(n, "x", 1)); SAY(write(n, "", 0)); SAY(pwrite(n, "x", 1, 3)); SAY(pwrite(n, "x", 1, -1));
    SAY(writev(n, v, 2)); SAY(writev(n, v, -1)); SAY(pwritev(n, v, 2, 2)); SAY(pwritev2(n, v, 2, 1, RWF_DSYNC));
    SAY(pwritev2(n, v, 2, -1, RWF_SYNC)); SAY(pwritev2(n, v, 2, 0, RWF_APPEND)); SAY(pwritev2(n, v, 2, 0, 0x8000));
    SAY(ftruncate(n, 7)); SAY(ftruncate(n, -1)); SAY(fallocate(n, 0, 0, 9)); SAY(fallocate(n, 0, 0, 0)); SAY(fallocate(n, 99, 0, 1));
    SAY(fchmod(n, 0740)); SAY(fchown(n, -1, -1)); SAY(futimens(n, (struct timespec[]){{1, 2}, {3, 4}}));
    SAY(syscall(SYS_fsetxattr, n, "user.q", "1", 1, 0)); SAY(syscall(SYS_fremovexattr, n, "user.q")); SAY(syscall(SYS_fsetxattr, n, "bad", "1", 1, 0));
    SAY(ioctl(n, FICLONE, -1)); SAY(ioctl(n, FICLONE, n));
    SAY(fcntl(n, F_SETFL, O_NONBLOCK)); SAY(fcntl(n, F_GETFL)); SAY(fcntl(n, F_SETFL, 0)); SAY(fcntl(n, F_GETFL));
    SAY(sendfile(n, n, &o, 1)); SAY(copy_file_range(n, 0, n, &o, 1, 0)); SAY(syscall(SYS_flock, n, 5)); SAY(syscall(SYS_flock, n, 8));
}

static void descriptors(void)
{
    umask(022);
    mkdir("dir", 0755);
    mkfifo("fifo", 0600);
    close(open("file", O_CREAT | O_WRONLY, 0600));
    int n;
    calls_on("read-only", open("file", O_RDONLY));
    calls_on("read-write", open("file", O_RDWR));
    calls_on("write-only", open("file", O_WRONLY));
    calls_on("append", open("file", O_WRONLY | O_APPEND));
    calls_on("O_PATH", open("file", O_PATH));
    calls_on("directory", open("dir", O_RDONLY | O_DIRECTORY));
    calls_on("O_PATH of a directory", open("dir", O_PATH));
    calls_on("top", open(".", O_RDONLY));
    n = open("fifo", O_RDWR | O_NONBLOCK);
    calls_on("fifo", n);
    calls_on("received, read-only", received(open("file", O_RDONLY)));
    calls_on("received, read-write", received(open("file", O_RDWR)));
    n = open("gone", O_CREAT | O_RDWR, 0600); unlink("gone");
    calls_on("removed", n);
    struct { struct file_handle h; char room[128]; } h = {{128}};
    int mount, top = open(".", O_RDONLY);
    if (!geteuid() && !name_to_handle_at(AT_FDCWD, "file", &h.h, &mount, 0)) {
        calls_on("by handle", open_by_handle_at(top, &h.h, O_RDWR));
        calls_on("by handle, emptied", open_by_handle_at(top, &h.h, O_RDWR | O_TRUNC));
        calls_on("by handle, append", open_by_handle_at(top, &h.h, O_WRONLY | O_APPEND | O_TRUNC));
    }
    n = open("file", O_RDONLY); rename("file", "other");
    calls_on("renamed, read-only", n);
    chmod("other", 0); n = received(n);
    calls_on("closed to all, read-only", n);
    calls_on("closed", 700); calls_on("minus one", -1);
}

/* The numbers in a directory, by each of the two calls. */
static void numbers(const char *dir, int old)
{
    static char b[65536];
    int d = open(dir, O_RDONLY | O_DIRECTORY), high = 0, low = 0;
    for (long k; (k = syscall(old ? SYS_getdents : SYS_getdents64, d, b, sizeof b)) > 0;)
        for (long at = 0; at < k; at += *(unsigned short *)(b + at + 16)) {
            int n = atoi(b + at + (old ? 18 : 19));
            if (n >= 4032 && n < 10256) high++; else if (n > 0) low++;
        }
    printf("%s: %s, %d in the library's range\n", dir, low ? "some" : "none", high);
    close(d);
}

static void *thread(void *run)
{
    if (run) ((void (*)(void))run)();
    return NULL;
}
static void both_lists(void)
{
    static const char *dirs[] = {"/proc/self/fd", "/proc/self/fdinfo", "/proc/thread-self/fd", "/proc/thread-self/fdinfo"};
    for (int i = 0; i < 8; i++) numbers(dirs[i / 2], i & 1);
}
static void own_descriptors(void)
{
    pthread_t t;
    char path[64];
    mkdir("made", 0755); both_lists();
    int n = open("file", O_CREAT | O_RDWR, 0600), up[2], down[2]; both_lists();
    pthread_create(&t, NULL, thread, both_lists); pthread_join(t, NULL);
    pipe(up); pipe(down);
    int pid = fork();
    if (!pid) { open("child", O_CREAT | O_RDWR, 0600); write(up[1], "x", 1); read(down[0], path, 1); _exit(0); }
    read(up[0], path, 1);
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, i & 2 ? "/proc/%d/fdinfo" : "/proc/%d/fd", pid);
        int d = open(path, O_RDONLY);
        snprintf(path, sizeof path, "/proc/self/fd/%d/.", d);
        printf("%d ", i); dup2(d, 900); numbers("/proc/self/fd/900/.", i & 1);
        close(d); close(900);
    }
    write(down[1], "x", 1); wait(NULL); close(n);
}

/* A process and a thread whose numbers are the library's among descriptors. Runs as the first process of a
   pid namespace. */
static volatile int going = 1;
static void *sleeper(void *x) { while (going) usleep(1000); return x; }
static void next_pid(int n)
{
    int f = open("/proc/sys/kernel/ns_last_pid", O_WRONLY);
    char b[16];
    snprintf(b, sizeof b, "%d", n - 1);
    if (write(f, b, strlen(b)) < 0) perror("ns_last_pid");
    close(f);
}
static void processes(void)
{
    pthread_t t;
    close(open("file", O_CREAT | O_RDWR, 0600));
    next_pid(4100);
    int pid = fork();
    if (!pid) { for (;;) pause(); }
    next_pid(5000);
    pthread_create(&t, NULL, sleeper, NULL);
    printf("%d\n", pid); fflush(stdout);
    for (int old = 0; old < 2; old++) { numbers("/proc", old); numbers("/proc/self/task", old); }
    fflush(stdout);
    system("ps -eo pid= | grep -c '^ *4100$'; pgrep -x -f \"$0 processes\" >/dev/null; ls /proc | grep -x 4100; ls /proc/4100/task; kill 4100");
    going = 0; pthread_join(t, NULL);
    wait(NULL);
}

/* Descriptors of a file of `size` bytes: "in" outside the table's own, "out" cut to 90 bytes. */
static int in, out;
static void fresh(int flags)
{
    char b[300];
    memset(b, 'i', sizeof b);
    close(in); close(out);
    in = open("in", O_CREAT | O_RDWR, 0600); pwrite(in, b, sizeof b, 0);
    out = open("out", O_CREAT | O_TRUNC | O_RDWR, 0600); pwrite(out, b, 90, 0); lseek(out, 90, SEEK_SET);
    close(out); out = open("out", O_RDWR | flags); lseek(out, flags ? 0 : 90, SEEK_SET);
}
#define AT_LIMIT(call) do { fresh(flags); SAY(call); struct stat s; fstat(out, &s); \
    printf("  size %ld at %ld\n", (long)s.st_size, (long)lseek(out, 0, SEEK_CUR)); } while (0)
static void limits(void)
{
    struct rlimit r = {100, RLIM_INFINITY};
    char b[300] = {0};
    struct iovec v[3] = {{b, 4}, {b, 4}, {b, 40}};
    long o, at;
    signal(SIGXFSZ, count);
    fresh(0); setrlimit(RLIMIT_FSIZE, &r);
    int p[2]; pipe(p); fcntl(p[0], F_SETFL, O_NONBLOCK);
    for (int flags = 0; flags <= O_APPEND; flags += O_APPEND) {
        AT_LIMIT(write(out, b, 10)); AT_LIMIT(write(out, b, 11)); AT_LIMIT(write(out, b, 300));
        AT_LIMIT((lseek(out, 100, 0), write(out, b, 1))); AT_LIMIT((lseek(out, 200, 0), write(out, b, 1))); AT_LIMIT((lseek(out, 100, 0), write(out, b, 0)));
        AT_LIMIT(pwrite(out, b, 20, 95)); AT_LIMIT(pwrite(out, b, 20, 100)); AT_LIMIT(pwrite(out, b, 20, 1000));
        AT_LIMIT(writev(out, v, 3)); AT_LIMIT(pwritev(out, v, 3, 97)); AT_LIMIT(pwritev2(out, v, 3, 100, RWF_DSYNC)); AT_LIMIT(pwritev2(out, v, 3, -1, RWF_APPEND));
        AT_LIMIT(ftruncate(out, 100)); AT_LIMIT(ftruncate(out, 101)); AT_LIMIT(truncate("out", 100)); AT_LIMIT(truncate("out", 101)); AT_LIMIT(ftruncate(out, 5));
        AT_LIMIT(fallocate(out, 0, 0, 100)); AT_LIMIT(fallocate(out, 0, 0, 101)); AT_LIMIT(fallocate(out, 1, 0, 5000)); AT_LIMIT(fallocate(out, 3, 0, 10));
        AT_LIMIT((o = 0, sendfile(out, in, &o, 10))); AT_LIMIT((o = 0, sendfile(out, in, &o, 11))); printf("  %ld\n", o);
        AT_LIMIT((o = 5, sendfile(out, in, &o, 200))); printf("  %ld\n", o);
        AT_LIMIT((lseek(out, 100, 0), o = 0, sendfile(out, in, &o, 10))); printf("  %ld\n", o);
        AT_LIMIT((at = 95, copy_file_range(in, 0, out, &at, 100, 0))); printf("  %ld\n", at);
        AT_LIMIT((at = 100, copy_file_range(in, 0, out, &at, 100, 0))); AT_LIMIT((at = 500, copy_file_range(in, 0, out, &at, 100, 0)));
        AT_LIMIT((o = 0, at = 60, copy_file_range(out, &o, out, &at, 80, 0))); AT_LIMIT((o = 0, at = 30, copy_file_range(out, &o, out, &at, 80, 0)));
        AT_LIMIT(copy_file_range(in, 0, out, 0, 200, 0)); printf("  %ld\n", (long)lseek(in, 0, SEEK_CUR));
        write(p[1], b, 60); AT_LIMIT((at = 80, splice(p[0], 0, out, &at, 60, 0))); printf("  %ld\n", at); SAY(read(p[0], b, 300));
        write(p[1], b, 60); AT_LIMIT((at = 100, splice(p[0], 0, out, &at, 60, 0))); printf("  %ld\n", at); SAY(read(p[0], b, 300));
        write(p[1], b, 60); AT_LIMIT(splice(p[0], 0, out, 0, 60, 0)); SAY(read(p[0], b, 300));
    }
}

static void offsets(void)
{
    int flags = 0, p[2];
    long *ro = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *cross;
    pipe(p); fcntl(p[0], F_SETFL, O_NONBLOCK);
    mprotect(ro, 4096, PROT_READ); mprotect((char *)ro + 4096, 4096, PROT_NONE);
    cross = (long *)((char *)ro + 4092);
    void *bad[] = {ro, cross, (void *)-8, (void *)(1L << 62), (void *)8};
    for (int i = 0; i < 5; i++) {
        long *a = bad[i];
        printf("-- %d\n", i);
        AT_LIMIT(sendfile(out, in, a, 10)); AT_LIMIT(sendfile(out, in, a, 0)); AT_LIMIT(sendfile(out, -1, a, 10)); AT_LIMIT(sendfile(-1, in, a, 10));
        AT_LIMIT((ftruncate(in, 0), sendfile(out, in, a, 10))); AT_LIMIT(sendfile(in, out, a, -1));
        AT_LIMIT(copy_file_range(in, a, out, 0, 10, 0)); AT_LIMIT(copy_file_range(in, 0, out, a, 10, 0)); AT_LIMIT(copy_file_range(in, a, out, 0, 0, 0));
        AT_LIMIT(copy_file_range(in, a, out, 0, 10, 1)); AT_LIMIT((ftruncate(in, 0), copy_file_range(in, a, out, 0, 10, 0)));
        write(p[1], "pipe", 4); AT_LIMIT(splice(p[0], 0, out, a, 4, 0)); AT_LIMIT(splice(p[0], a, out, 0, 4, 0)); AT_LIMIT(splice(p[0], 0, out, a, 0, 0));
        char b[9]; while (read(p[0], b, 9) > 0);
    }
}

static long how(int size, long flags, long mode, long resolve, long tail)
{
    char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *h = page;
    long v[4] = {flags, mode, resolve, tail};
    mprotect(page + 4096, 4096, PROT_NONE);
    if (tail == -1) h = page + 4096 - 24;           /* the tail cannot be read */
    if (tail == -2) h = page + 4096 - 16;           /* the struct cannot be read */
    if (tail == -3) h = page + 3;                   /* odd address */
    for (int i = 0; i < 4; i++) if (h + 8 * i + 8 <= page + 4096) memcpy(h + 8 * i, &v[i], 8);
    if (tail == -3) memset(h + 24, 0, 64);
    long n = syscall(SYS_openat2, AT_FDCWD, "how", h, size);
    if (n >= 0) { close(n); n = 1; }
    munmap(page, 8192);
    return n;
}
static void openat2_(void)
{
    static const long flags[] = {O_RDONLY, O_RDWR, O_RDWR | O_CREAT, O_WRONLY | O_TRUNC, O_RDWR | O_CREAT | O_EXCL, O_RDWR | 04000000000, O_RDWR | O_CREAT | 1L << 40,
        O_PATH, O_PATH | O_RDWR, O_PATH | O_CREAT, O_TMPFILE | O_RDWR, O_TMPFILE, O_DIRECTORY | O_CREAT | O_RDWR, 3, O_RDONLY | O_CREAT};
    static const int sizes[] = {0, 8, 23, 24, 25, 32, 64, 4096, 4097, 1 << 20};
    char line[80];
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int tail = -3; tail < 2; tail++)
            for (int f = 0; f < 3; f++) {
                sprintf(line, "size %d, flags %lo, tail %d", sizes[i], flags[f], tail); unlink("how");
                say(line, how(sizes[i], flags[f], f == 2 ? 0600 : 0, 0, tail)); say("there", access("how", F_OK));
            }
    for (unsigned f = 0; f < sizeof flags / sizeof *flags; f++)
        for (int mode = 0; mode < 3; mode++)
            for (int resolve = 0; resolve < 6; resolve++) {
                static const long modes[] = {0, 0600, 010600}, bits[] = {0, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_BENEATH | RESOLVE_IN_ROOT, RESOLVE_CACHED, 1 << 20};
                sprintf(line, "flags %lo, mode %lo, resolve %lx", flags[f], modes[mode], bits[resolve]);
                close(open("how", O_CREAT | O_WRONLY, 0600));
                say(line, how(24, flags[f], modes[mode], bits[resolve], 0));
            }
}

static void maps(void)
{
    int n = open("file", O_CREAT | O_RDWR, 0600);
    ftruncate(n, 8192);
    char *taken = mmap(0, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static const int flags[] = {MAP_SHARED, MAP_SHARED_VALIDATE, MAP_SHARED_VALIDATE | 0x80000, MAP_SHARED | 0x80000, MAP_SHARED_VALIDATE | 1 << 30, MAP_SHARED | 1 << 30,
        MAP_SHARED_VALIDATE | MAP_FIXED | 0x80000, MAP_SHARED | MAP_FIXED, MAP_SHARED | MAP_FIXED_NOREPLACE, MAP_SHARED | MAP_HUGETLB, MAP_SHARED | MAP_GROWSDOWN, 0, 15};
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++)
        for (int j = 0; j < 6; j++) {
            char *at[] = {0, taken, taken + 1, (char *)-4096, taken, taken};
            long len[] = {4096, 4096, 4096, 4096, 0, -1}, off = j == 4 ? 4096 : j == 1 ? 1 : 0;
            char *m = mmap(at[j], len[j], PROT_READ | PROT_WRITE, flags[i], n, off);
            /* What only a mapping that stores could get is refused with ENODEV in V: no answer to compare. */
            int ok = m != MAP_FAILED || errno == ENODEV;
            printf("%x %d: %s\n", flags[i], j, ok ? "would be mapped" : strerrorname_np(errno));
            if (m != MAP_FAILED && m != taken) munmap(m, len[j]);
        }
}

/* One change, for tests that look at the legs afterwards: `answers_data one WHAT`. */
static void one(const char *what)
{
    if (!strcmp(what, "truncating open")) say(what, open("f", O_WRONLY | O_TRUNC) < 0 ? -1 : 0);
    else if (!strcmp(what, "truncating read-only open")) say(what, open("f", O_RDONLY | O_TRUNC) < 0 ? -1 : 0);
    else if (!strcmp(what, "creat")) say(what, creat("f", 0755) < 0 ? -1 : 0);
    else if (!strcmp(what, "truncate")) say(what, truncate("f", 0));
    else if (!strcmp(what, "grow")) say(what, truncate("f", 9999));
    else if (!strcmp(what, "chown")) say(what, chown("f", 12, 34));
    else if (!strcmp(what, "fchown")) say(what, fchown(open("f", O_RDWR), 12, 34));
    else if (!strcmp(what, "write")) say(what, write(open("f", O_WRONLY), "new", 3));
    else if (!strcmp(what, "append")) say(what, write(open("f", O_WRONLY | O_APPEND), "new", 3));
    else if (!strcmp(what, "rename")) say(what, rename("f", "g"));
    else if (!strcmp(what, "link")) say(what, link("f", "g"));
    else if (!strcmp(what, "mkdir")) say(what, mkdir("g", 0755));
    else if (!strcmp(what, "mknod")) say(what, mknod("g", S_IFREG | 0600, 0));
    else if (!strcmp(what, "mkfifo")) say(what, mkfifo("g", 0600));
    else if (!strcmp(what, "symlink")) say(what, symlink("text", "g"));
    else if (!strcmp(what, "create")) say(what, open("g", O_CREAT | O_RDWR, 0600) < 0 ? -1 : 0);
    else if (!strcmp(what, "create exclusively")) say(what, open("g", O_CREAT | O_EXCL | O_RDWR, 0600) < 0 ? -1 : 0);
    else if (!strcmp(what, "create without descriptors")) {
        struct rlimit r = {1024, 1024};
        mkdir("first", 0755); setrlimit(RLIMIT_NOFILE, &r);
        say(what, open("g", O_CREAT | O_RDWR, 0600) < 0 ? -1 : 0);
    } else if (!strcmp(what, "durable")) {
        struct iovec v = {"x", 1};
        int n = received(open("f", O_RDWR | O_DSYNC)), m = received(open("f", O_RDWR | O_SYNC)), o = open("f", O_RDWR);
        write(n, "x", 1); write(m, "y", 1);
        say("RWF_DSYNC", pwritev2(o, &v, 1, 0, RWF_DSYNC)); say("RWF_SYNC", pwritev2(o, &v, 1, 0, RWF_SYNC));
        say("append", pwritev2(o, &v, 1, 0, RWF_APPEND | RWF_DSYNC));
    } else if (!strcmp(what, "flagged")) {
        static const int flags[] = {O_RDONLY, O_WRONLY, O_RDWR, O_WRONLY | O_APPEND, O_RDWR | O_APPEND, O_WRONLY | O_TRUNC, O_WRONLY | O_APPEND | O_TRUNC, O_RDONLY | O_TRUNC};
        char b[30];
        for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
            int n = open("f", flags[i]);
            sprintf(b, "flags %o", flags[i]); say(b, n < 0 ? -1 : 0); say("write", write(n, "abc", 3)); say("pwrite", pwrite(n, "d", 1, 0)); say("ftruncate", ftruncate(n, 0));
            int r = n < 0 ? -1 : received(n); say("received", write(r, "e", 1)); say("F_SETFL", fcntl(n, F_SETFL, 0)); close(n); close(r);
        }
        say("truncate", truncate("f", 0)); say("chmod", chmod("f", 0600)); say("rename", rename("f", "g")); say("unlink", unlink("f")); say("link", link("f", "g"));
    } else exit(4);
}

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*run)(void); } modes[] = {
        {"descriptors", descriptors}, {"own_descriptors", own_descriptors}, {"processes", processes},
        {"limits", limits}, {"offsets", offsets}, {"openat2", openat2_}, {"maps", maps},
    };
    if (chdir(getenv("V"))) return 2;
    if (argc > 2 && !strcmp(argv[1], "one")) { one(argv[2]); return 0; }
    for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++)
        if (argc > 1 && !strcmp(argv[1], modes[i].name)) { modes[i].run(); return 0; }
    return 3;
}

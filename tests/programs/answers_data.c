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
    SAY(fchmod(n, 0640)); SAY(fchown(n, -1, -1)); SAY(futimens(n, (struct timespec[]){{1, 2}, {3, 4}}));
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

int main(int argc, char **argv)
{
    static const struct { const char *name; void (*run)(void); } modes[] = {
        {"descriptors", descriptors}, {"own_descriptors", own_descriptors}, {"processes", processes},
    };
    if (chdir(getenv("V"))) return 2;
    for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++)
        if (argc > 1 && !strcmp(argv[1], modes[i].name)) { modes[i].run(); return 0; }
    return 3;
}

// Calls that change a file in other words than write(2): ioctl, new system calls, fallocate that fails.
// ioctls MODE; V in the environment names the directory. Each answer is printed.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

struct space { short type, whence; long long start, len; int sysid; unsigned pid; int pad[4]; };
#define SPACE(n) _IOW('X', n, struct space)
struct fsx { uint32_t xflags, extsize, nextents, projid, cowextsize; char pad[8]; };
#define FSGET _IOR('X', 31, struct fsx)
#define FSSET _IOW('X', 32, struct fsx)
struct file_attr { uint64_t xflags; uint32_t extsize, nextents, projid, cowextsize; };
struct xattr_args { uint64_t value; uint32_t size, flags; };

static const char *word(int e) {
    const char *n = strerrorname_np(e);
    return n ? n : "?";
}

static void say(const char *what, long r) {
    printf("%s %ld %s\n", what, r, r < 0 ? word(errno) : "");
}

static int make(const char *name, int flags) {
    char b[16384];
    for (unsigned i = 0; i < sizeof b; i++) b[i] = 'a' + i / 1024 % 26;
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, b, sizeof b) != sizeof b) exit(9);
    close(fd);
    return open(name, flags);
}

static void show(int fd) {
    struct stat st;
    fstat(fd, &st);
    unsigned sum = 0;
    char b[65536];
    ssize_t n = pread(fd, b, sizeof b, 0);
    for (ssize_t i = 0; i < n; i++) sum = sum * 31 + (unsigned char)b[i];
    printf("  size %ld sum %u at %ld\n", (long)st.st_size, n < 0 ? 0 : sum, (long)lseek(fd, 0, SEEK_CUR));
}

// The reservation calls: any range, from any place, on any sort of descriptor.
static void spaces(void) {
    static const int numbers[] = {40, 41, 42, 43, 57};
    static const long long starts[] = {0, 4096, 5000, 16384, 20000, -4096, INT64_MAX};
    static const long long lens[] = {0, 100, 4096, 40000, -1, INT64_MAX};
    static const int ways[] = {O_RDWR, O_RDONLY, O_WRONLY, O_RDWR | O_APPEND};
    char name[40], what[80];
    for (unsigned i = 0; i < 5; i++)
        for (int whence = 0; whence < 4; whence++)
            for (unsigned s = 0; s < 7; s++)
                for (unsigned l = 0; l < 6; l++) {
                    sprintf(name, "s%u-%d-%u-%u", i, whence, s, l);
                    int fd = make(name, ways[(s + l) % 4]);
                    lseek(fd, 8192, SEEK_SET);
                    struct space r = {.whence = whence, .start = starts[s], .len = lens[l]};
                    sprintf(what, "%d whence %d start %lld len %lld", numbers[i], whence, r.start, r.len);
                    say(what, ioctl(fd, SPACE(numbers[i]), &r));
                    show(fd);
                    close(fd);
                    if (l % 3) unlink(name);
                }
    int fd = make("bad", O_RDWR);
    say("bad pointer", ioctl(fd, SPACE(43), (void *)8));
    mkdir("d", 0755);
    int d = open("d", O_RDONLY), p = open("bad", O_PATH);
    struct space r = {.len = 10};
    say("directory", ioctl(d, SPACE(43), &r));
    say("O_PATH", ioctl(p, SPACE(43), &r));
    say("closed", ioctl(999, SPACE(43), &r));
}

// Allocations that the kernel refuses, or does not: size, content and whether the time moved.
static void allocations(void) {
    static const int modes[] = {0, 1, 2, 3, 8, 0x10, 0x11, 0x20, 0x40, 0x41, 0x28, 0x80};
    static const long offs[] = {0, 4096, 5000, 16384, 200000}, lens[] = {4096, 100, 0, 100000};
    char name[40], what[80];
    for (unsigned i = 0; i < 12; i++)
        for (unsigned o = 0; o < 5; o++)
            for (unsigned l = 0; l < 4; l++) {
                sprintf(name, "f%u-%u-%u", i, o, l);
                int fd = make(name, O_RDWR);
                struct stat before, after;
                struct timespec t[2] = {{1000000, 0}, {1000000, 0}};
                futimens(fd, t);
                fstat(fd, &before);
                sprintf(what, "%#x at %ld len %ld", modes[i], offs[o], lens[l]);
                say(what, fallocate(fd, modes[i], offs[o], lens[l]));
                fstat(fd, &after);
                printf("  moved %d\n", before.st_mtime != after.st_mtime);
                show(fd);
                close(fd);
            }
}

static long setx(int d, const char *p, int flags, const char *name, const char *v, int how) {
    struct xattr_args a = {(uintptr_t)v, strlen(v), how};
    return syscall(463, d, p, flags, name, &a, sizeof a);
}
static long remx(int d, const char *p, int flags, const char *name) {
    return syscall(466, d, p, flags, name);
}

static void xattrs(void) {
    int fd = make("x", O_RDWR), ro = open("x", O_RDONLY), path = open("x", O_PATH);
    mkdir("xd", 0755);
    int dir = open("xd", O_RDONLY), here = open(".", O_RDONLY);
    close(make("xd/f", O_RDWR));
    symlink("x", "xl");
    say("name", setx(AT_FDCWD, "x", 0, "user.a", "1", 0));
    say("create again", setx(AT_FDCWD, "x", 0, "user.a", "1", 1));
    say("replace", setx(AT_FDCWD, "x", 0, "user.a", "22", 2));
    say("dirfd", setx(dir, "f", 0, "user.a", "3", 0));
    say("through a symlink", setx(here, "xl", 0, "user.l", "4", 0));
    say("the symlink", setx(here, "xl", AT_SYMLINK_NOFOLLOW, "user.l", "4", 0));
    say("descriptor", setx(fd, "", AT_EMPTY_PATH, "user.fd", "5", 0));
    say("null", setx(fd, NULL, AT_EMPTY_PATH, "user.null", "5", 0));
    say("read-only", setx(ro, "", AT_EMPTY_PATH, "user.ro", "6", 0));
    say("O_PATH", setx(path, "", AT_EMPTY_PATH, "user.path", "7", 0));
    say("directory", setx(dir, "", AT_EMPTY_PATH, "user.d", "8", 0));
    say("the cwd", setx(AT_FDCWD, "", AT_EMPTY_PATH, "user.cwd", "8", 0));
    say("flags", setx(fd, "", 0x400000, "user.z", "9", 0));
    say("no name", setx(fd, "", 0, "user.z", "9", 0));
    say("missing", setx(here, "none", 0, "user.z", "9", 0));
    say("bad name", setx(here, "x", 0, "foo.z", "9", 0));
    say("bad struct", syscall(463, here, "x", 0, "user.z", (void *)8, 16));
    say("small struct", syscall(463, here, "x", 0, "user.z", &fd, 4));
    say("removed", remx(here, "x", 0, "user.a"));
    say("not there", remx(here, "x", 0, "user.a"));
    say("descriptor", remx(fd, "", AT_EMPTY_PATH, "user.ro"));
    say("null", remx(fd, NULL, AT_EMPTY_PATH, "user.null"));
    say("dirfd", remx(dir, "f", 0, "user.a"));
}

// Bits that ext4, XFS, btrfs and tmpfs have.
#define NOATIME 0x80
#define NODUMP 0x40
#define XNOATIME 0x40
#define XNODUMP 0x80

static void marks_of(const char *what, int fd) {
    long f = 0;
    struct fsx x = {0};
    int r = ioctl(fd, FS_IOC_GETFLAGS, &f), s = ioctl(fd, FSGET, &x);
    printf("  %s: %d %lx %d %x\n", what, r, f & (NOATIME | NODUMP), s, x.xflags & (XNOATIME | XNODUMP));
}

static void flag(const char *what, int fd, long bit) {
    long f = 0;
    ioctl(fd, FS_IOC_GETFLAGS, &f);
    f |= bit;
    say(what, ioctl(fd, FS_IOC_SETFLAGS, &f));
    marks_of(what, fd);
}

static void marks(void) {
    int fd = make("m", O_RDWR), ro = make("mr", O_RDONLY), path = open("m", O_PATH);
    mkdir("md", 0755);
    int dir = open("md", O_RDONLY), here = open(".", O_RDONLY);
    flag("writable", fd, NODUMP);
    flag("read-only", ro, NOATIME);
    flag("directory", dir, NODUMP);
    flag("the directory itself", here, NODUMP);
    long f = NODUMP;
    say("O_PATH", ioctl(path, FS_IOC_SETFLAGS, &f));
    say("bad pointer", ioctl(fd, FS_IOC_SETFLAGS, (void *)8));
    struct fsx x = {0};
    ioctl(fd, FSGET, &x);
    x.xflags = (x.xflags & ~XNODUMP) | XNOATIME;
    say("extended", ioctl(fd, FSSET, &x));
    marks_of("extended", fd);
    struct file_attr a = {0};
    if (syscall(468, here, "mr", &a, sizeof a, 0) == 0) {
        a.xflags |= XNODUMP;
        say("file_setattr", syscall(469, here, "mr", &a, sizeof a, 0));
        say("of nothing", syscall(469, here, "none", &a, sizeof a, 0));
        say("by descriptor", syscall(469, ro, "", &a, sizeof a, AT_EMPTY_PATH));
        say("flags", syscall(469, ro, "", &a, sizeof a, 0x400000));
        a.xflags = 0;
        say("directory", syscall(469, here, "md", &a, sizeof a, 0));
    } else
        printf("file_setattr: none\n");
    marks_of("by name", ro);
    marks_of("directory", dir);
}

// A project and a flag at once: a file system without projects has set the flag when it refuses.
static void projects(void) {
    mkdir("pd", 0755);
    int fds[] = {make("p", O_RDWR), make("pr", O_RDONLY), open("pd", O_RDONLY)}, here = open(".", O_RDONLY);
    for (int i = 0; i < 3; i++) {
        struct fsx x = {0};
        ioctl(fds[i], FSGET, &x);
        x.xflags |= XNODUMP;
        x.projid = 5;
        say("project", ioctl(fds[i], FSSET, &x));
        marks_of("project", fds[i]);
    }
    struct file_attr a = {0};
    if (syscall(468, here, "p", &a, sizeof a, 0) == 0) {
        a.xflags = (a.xflags & ~XNODUMP) | XNOATIME;
        a.projid = 6;
        say("by name", syscall(469, here, "p", &a, sizeof a, 0));
    }
    marks_of("by name", fds[0]);
}

// Close-on-exec by ioctl: what a child gets.
static void inherited(void) {
    int a = make("i1", O_RDWR), b = make("i2", O_RDWR | O_CLOEXEC);
    say("FIOCLEX", ioctl(a, FIOCLEX));
    say("FIONCLEX", ioctl(b, FIONCLEX));
    printf("%d %d\n", fcntl(a, F_GETFD), fcntl(b, F_GETFD));
    fflush(stdout);
    char c[200];
    sprintf(c, "(echo x >&%d) 2>/dev/null; echo $?; (echo y >&%d) 2>/dev/null; echo $?", a, b);
    execl("/bin/bash", "bash", "-c", c, NULL);
}

// What the other leg could not follow: contents exchanged, subvolumes, encryption, verity.
static void refused(void) {
    static const unsigned long all[] = {
        0x800c6613, 0x40806685, 0xc028660f, 0x6611, 0x4030580a, 0x40305825, 0xc0c0586d, 0x40385881, 0x5000940e,
        0x5000940f, 0x50009417, 0x50009418, 0x4008941a, 0xc0c89425, 0x5000943f, 0x40809440, 0xf501, 0xc020f509,
    };
    static char argument[4096];
    int fd = make("r", O_RDWR), dir = open(".", O_RDONLY);
    int out = open("/dev/null", O_RDWR);
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        long r = ioctl(fd, all[i], argument);
        printf("%lx %ld %s", all[i], r, word(errno));
        r = ioctl(dir, all[i], argument);
        printf(" %ld %s\n", r, word(errno));
    }
    // The other file of an exchange.
    int other[2] = {0, fd};
    printf("%d %s\n", ioctl(out, 0xc028660f, other), word(errno));
}

// A command that nobody knows.
static void unknown(void) {
    int fd = open("u", O_RDWR), x = 0;
    printf("%d\n", ioctl(fd, _IOW('z', 77, int), &x));
}

// A write, or an allocation, that fails after the kernel has taken the set-id bits away.
static void shaken(void) {
    int fd = make("sh", O_RDWR);
    if (geteuid() == 0 && fchown(fd, 1, 1)) exit(7);
    fchmod(fd, 04755);
    struct timespec t[2] = {{1000000, 0}, {1000000, 0}};
    futimens(fd, t);
    if (geteuid() == 0 && (setgid(1), setuid(1))) exit(8);
    say("insert", fallocate(fd, 0x20, 4096000, 4096));
    say("write", pwrite(fd, (void *)8, 100, 0));
    struct stat st;
    fstat(fd, &st);
    printf("%o %d\n", st.st_mode & 07777, st.st_mtime == 1000000);
}

int main(int n, char **v) {
    if (n < 2 || chdir(getenv("V"))) return 9;
    static const struct { const char *name; void (*run)(void); } modes[] = {
        {"spaces", spaces}, {"allocations", allocations}, {"xattrs", xattrs}, {"marks", marks}, {"projects", projects},
        {"inherited", inherited}, {"refused", refused}, {"unknown", unknown}, {"shaken", shaken},
    };
    for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++)
        if (!strcmp(modes[i].name, v[1])) {
            modes[i].run();
            return 0;
        }
    return 9;
}

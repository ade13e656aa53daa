// Changes a directory in every way, each on an object of its own.
// strangers make DIR: makes what is to be changed.
// strangers change DIR ELSEWHERE: changes it. ELSEWHERE is a directory of the same file system.
// Prints what this kernel or file system does not have.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *elsewhere;
static char page[4096] __attribute__((aligned(4096)));

static const char *FILES[] = {
    "write", "pwrite", "writev", "pwritev2", "append", "sendfile", "splice", "copy_file_range", "fallocate",
    "ftruncate", "truncate", "o_trunc", "ficlone", "o_direct", "fchmod", "chmod", "fchown", "chown", "futimens",
    "utimens", "setxattr", "removexattr", "setflags", "linked", "unlink", "rename", "x1", "x2", "over", "below",
    "leaves", "mapped", "aio", "ring", "sqpoll",
};
// The last four have clean pages.
#define CLEAN (sizeof FILES / sizeof *FILES - 4)

static int old(const char *name) {
    int fd = open(name, O_RDWR);
    if (fd < 0) {
        perror(name);
        exit(1);
    }
    return fd;
}

static void is(long r, const char *name) {
    if (r < 0) printf("%s: %s\n", name, strerror(errno));
}

static int source(void) {
    static int fd = -1;
    if (fd < 0) {
        char path[4096];
        snprintf(path, sizeof path, "%s/source", elsewhere);
        fd = open(path, O_RDWR | O_CREAT, 0644);
        is(pwrite(fd, page, sizeof page, 0), "source");
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static void data(void) {
    struct iovec v = {page, 100};
    off_t zero = 0;
    int fd = old("write");
    lseek(fd, 10, SEEK_SET);
    is(write(fd, page, 7), "write");
    is(pwrite(old("pwrite"), page, 5, 11), "pwrite");
    is(writev(old("writev"), &v, 1), "writev");
    is(pwritev2(old("pwritev2"), &v, 1, 12, 0), "pwritev2");
    fd = old("append");
    fcntl(fd, F_SETFL, O_APPEND);
    is(write(fd, page, 3), "append");
    is(sendfile(old("sendfile"), source(), &zero, 50), "sendfile");
    int p[2];
    if (pipe(p) || write(p[1], page, 60) != 60) exit(1);
    is(splice(p[0], 0, old("splice"), 0, 60, 0), "splice");
    is(copy_file_range(source(), 0, old("copy_file_range"), 0, 70, 0), "copy_file_range");
    is(fallocate(old("fallocate"), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), "fallocate");
    is(ftruncate(old("ftruncate"), 9), "ftruncate");
    is(truncate("truncate", 8), "truncate");
    is(open("o_trunc", O_WRONLY | O_TRUNC), "o_trunc");
    is(ioctl(old("ficlone"), FICLONE, source()), "ficlone");
    fd = open("o_direct", O_RDWR | O_DIRECT);
    is(pwrite(fd, page, sizeof page, 0), "o_direct");

    fd = old("mapped");
    char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    m[1] = 1;
    munmap(m, 4096);

    aio_context_t aio = 0;
    struct iocb cb = {.aio_fildes = old("aio"), .aio_lio_opcode = IOCB_CMD_PWRITE,
                      .aio_buf = (uintptr_t)page, .aio_nbytes = 80}, *one = &cb;
    struct io_event done;
    if (syscall(SYS_io_setup, 1, &aio) || syscall(SYS_io_submit, aio, 1, &one) != 1 ||
        syscall(SYS_io_getevents, aio, 1, 1, &done, 0) != 1)
        printf("aio: not here\n");
}

static void ring(const char *name, unsigned flags) {
    struct io_uring_params p = {.flags = flags, .sq_thread_idle = 1000};
    int r = syscall(SYS_io_uring_setup, 4, &p);
    if (r < 0) return is(r, name);
    char *sq = mmap(0, p.sq_off.array + 4 * p.sq_entries, PROT_READ | PROT_WRITE, MAP_SHARED, r, IORING_OFF_SQ_RING);
    char *cq = mmap(0, p.cq_off.cqes + 16 * p.cq_entries, PROT_READ | PROT_WRITE, MAP_SHARED, r, IORING_OFF_CQ_RING);
    struct io_uring_sqe *e = mmap(0, 64 * p.sq_entries, PROT_READ | PROT_WRITE, MAP_SHARED, r, IORING_OFF_SQES);
    *e = (struct io_uring_sqe){.opcode = IORING_OP_WRITE, .fd = old(name), .addr = (uintptr_t)page, .len = 90};
    ((unsigned *)(sq + p.sq_off.array))[0] = 0;
    __atomic_store_n((unsigned *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (flags & IORING_SETUP_SQPOLL)
        syscall(SYS_io_uring_enter, r, 0, 1, IORING_ENTER_SQ_WAKEUP | IORING_ENTER_GETEVENTS, 0, 0);
    else
        syscall(SYS_io_uring_enter, r, 1, 1, IORING_ENTER_GETEVENTS, 0, 0);
    if (__atomic_load_n((unsigned *)(cq + p.cq_off.tail), __ATOMIC_ACQUIRE) != 1) printf("%s: not done\n", name);
    close(r);
}

static void attributes(void) {
    struct timespec t[2] = {{1, 0}, {2, 0}};
    unsigned flags = FS_NODUMP_FL;
    is(fchmod(old("fchmod"), 0600), "fchmod");
    is(chmod("chmod", 0600), "chmod");
    is(fchown(old("fchown"), 1, 1), "fchown");
    is(chown("chown", 1, 1), "chown");
    is(futimens(old("futimens"), t), "futimens");
    is(utimensat(AT_FDCWD, "utimens", t, 0), "utimens");
    is(setxattr("setxattr", "user.x", "1", 1, 0), "setxattr");
    is(removexattr("removexattr", "user.x"), "removexattr");
    is(ioctl(old("setflags"), FS_IOC_SETFLAGS, &flags), "setflags");
}

// A file below forty directories.
static int deep(int how) {
    int dir = open(".", O_PATH);
    for (int i = 0; i < 40; i++) {
        mkdirat(dir, "deep", 0755);
        dir = openat(dir, "deep", O_PATH);
    }
    return openat(dir, "f", how, 0644);
}

// A 32-bit call.
static void compat(void) {
    char *name = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    strcpy(name, "d32/made");
    long r;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(39), "b"(name), "c"(0755) : "memory");
    if (r) printf("compat: %ld\n", r);
}

static void names(void) {
    char out[4096];
    is(open("create", O_WRONLY | O_CREAT | O_EXCL, 0644), "create");
    is(mkdir("mkdir", 0755), "mkdir");
    is(mknod("mknod", S_IFIFO | 0644, 0), "mknod");
    is(symlink("nowhere", "symlink"), "symlink");
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un a = {AF_UNIX, "bind"};
    is(bind(s, (struct sockaddr *)&a, sizeof a), "bind");
    is(link("linked", "d/link"), "link");
    int fd = open(".", O_TMPFILE | O_RDWR, 0644);
    snprintf(out, sizeof out, "/proc/self/fd/%d", fd);
    is(fd < 0 ? -1 : linkat(AT_FDCWD, out, AT_FDCWD, "tmpfile", AT_SYMLINK_FOLLOW), "tmpfile");
    is(unlink("unlink"), "unlink");
    is(rmdir("rmdir"), "rmdir");
    is(rename("rename", "d/renamed"), "rename");
    is(renameat2(AT_FDCWD, "x1", AT_FDCWD, "d/../x2", RENAME_EXCHANGE), "exchange");
    is(rename("below", "over"), "over");
    snprintf(out, sizeof out, "%s/out", elsewhere);
    is(rename("leaves", out), "leaves");
    is(rename(out, "comes"), "comes");
    is(deep(O_WRONLY | O_CREAT), "deep");
}

static void make(void) {
    for (unsigned i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        int fd = open(FILES[i], O_RDWR | O_CREAT | O_EXCL, 0644);
        if (fd < 0 || write(fd, page, sizeof page) != sizeof page) exit(1);
        if (i >= CLEAN && fsync(fd)) exit(1);
        close(fd);
    }
    is(mkdir("d", 0755), "d");
    is(mkdir("d32", 0755), "d32");
    is(mkdir("rmdir", 0755), "rmdir");
    is(setxattr("removexattr", "user.x", "1", 1, 0), "xattr");
    deep(O_PATH);
    // The clock of change times goes on.
    usleep(20000);
}

int main(int argc, char **argv) {
    if (argc < 3 || chdir(argv[2])) return 2;
    if (!strcmp(argv[1], "make")) {
        make();
        return 0;
    }
    if (argc != 4) return 2;
    elsewhere = argv[3];
    data();
    ring("ring", 0);
    ring("sqpoll", IORING_SETUP_SQPOLL);
    attributes();
    names();
    compat();
    return 0;
}

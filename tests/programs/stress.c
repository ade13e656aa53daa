// stress DIR SEED PROCESSES OPERATIONS [sync]: random operations of a file system, many at once, below DIR.
// Every process works on the same names. With one process each operation and its result are printed,
// so that two runs with one seed can be compared, and at the end how often each was tried and did something.
// `sync`: file systems are synced as well (all of their files, also those of others).
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SIZE (1 << 20)
static uint64_t state;
static int single, step, syncs;
static unsigned tried[64], done[64], current;
static char buf[1 << 17] __attribute__((aligned(4096)));

static uint32_t rnd(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
}
static uint32_t below(uint32_t n) { return rnd() % n; }

static const char *word(int e) {
    const char *n = strerrorname_np(e);
    return n ? n : "?";
}

static long result(long r, const char *how, ...) {
    int e = errno;
    tried[current]++;
    done[current] += r >= 0;
    if (!single) return r;
    va_list a;
    va_start(a, how);
    printf("%d ", step);
    vprintf(how, a);
    va_end(a);
    printf(" = %ld %s\n", r, r < 0 ? word(e) : "");
    return r;
}

// One of a few dozen names, down to three directories deep.
static char *name(void) {
    static char all[4][64];
    static int at;
    char *p = all[at++ % 4];
    int n = 0;
    for (uint32_t depth = below(3); depth; depth--) n += sprintf(p + n, "d%u/", below(4));
    static const char kinds[] = "fffffddlnp";
    sprintf(p + n, "%c%u", kinds[below(10)], below(6));
    return p;
}
// One that probably is a file's.
static char *file(void) {
    static char all[4][64];
    static int at;
    char *p = all[at++ % 4];
    if (below(3)) sprintf(p, "f%u", below(6));
    else sprintf(p, "d%u/f%u", below(4), below(6));
    return p;
}
static char *directory(void) {
    static char p[64];
    if (below(2)) sprintf(p, "d%u", below(4));
    else sprintf(p, "d%u/d%u", below(4), below(4));
    return p;
}

static void fill(size_t n) {
    char c = 'a' + below(26);
    for (size_t i = 0; i < n; i++) buf[i] = c + i / 512 % 26;
}

static int get(int flags) { return open(file(), flags | O_NONBLOCK, 0644); }

static void op_creat(void) {
    char *p = file();
    static const int extra[] = {0, O_TRUNC, O_EXCL, O_APPEND};
    int fd = open(p, O_CREAT | O_RDWR | O_NONBLOCK | extra[below(4)], 0600 | below(64));
    result(fd < 0 ? fd : 0, "creat %s", p);
    if (fd >= 0) close(fd);
}
static void op_write(void) {
    int fd = get(O_RDWR | (below(4) ? 0 : O_APPEND)), how = below(5);
    if (fd < 0) { result(fd, "open for write"); return; }
    size_t n = below(sizeof buf / 2);
    off_t at = below(SIZE);
    fill(n);
    struct iovec v[3] = {{buf, n / 3}, {buf + n / 3, n / 3}, {buf + n / 2, n / 4}};
    long r;
    if (how < 2) lseek(fd, at, SEEK_SET);
    if (how == 0) r = write(fd, buf, n);
    else if (how == 1) r = writev(fd, v, 3);
    else if (how == 2) r = pwrite(fd, buf, n, at);
    else if (how == 3) r = pwritev(fd, v, 3, at);
    else r = pwritev2(fd, v, 3, at, below(2) ? RWF_DSYNC : 0);
    result(r, "write %d %zu at %ld", how, n, (long)at);
    close(fd);
}
static void op_dwrite(void) {
    int fd = get(O_RDWR | O_DIRECT);
    if (fd < 0) { result(fd, "open O_DIRECT"); return; }
    size_t n = (1 + below(16)) * 4096;
    off_t at = below(64) * 4096;
    fill(n);
    result(pwrite(fd, buf, n, at), "dwrite %zu at %ld", n, (long)at);
    close(fd);
}
static void op_read(void) {
    int fd = get(O_RDONLY | (below(4) ? 0 : O_DIRECT));
    if (fd < 0) return;
    off_t at = below(64) * 4096;
    struct iovec v[2] = {{buf, 4096}, {buf + 4096, 4096}};
    int how = below(4);
    lseek(fd, at, SEEK_SET);
    long r = how == 0 ? read(fd, buf, 8192) : how == 1 ? readv(fd, v, 2) : how == 2 ? preadv(fd, v, 2, at) : pread(fd, buf, 8192, at);
    unsigned sum = 0;
    for (long i = 0; i < r; i++) sum = sum * 31 + (unsigned char)buf[i];
    result(r, "read at %ld sum %u", (long)at, sum);
    close(fd);
}
static void op_fallocate(void) {
    static const int modes[] = {0, 1, 3, 3, 0x10, 0x11, 8, 0x20, 0x40, 0x41, 2, 0x28};
    int fd = get(O_RDWR), mode = modes[below(12)];
    if (fd < 0) { result(fd, "open for fallocate"); return; }
    off_t at = below(SIZE), n = 1 + below(SIZE / 4);
    if (below(4)) at &= ~4095, n = (n + 4095) & ~4095;
    result(fallocate(fd, mode, at, n), "fallocate %#x %ld %ld", mode, (long)at, (long)n);
    close(fd);
}
static void op_space(void) {
    struct { short type, whence; long long start, len; int sysid; unsigned pid; int pad[4]; } r = {0};
    // ALLOCSP and FREESP in both widths, RESVSP, UNRESVSP, both with 64 bits, ZERO_RANGE.
    static const int numbers[] = {40, 41, 42, 43, 57, 42, 43, 57, 10, 11, 36, 37};
    int fd = get(O_RDWR), n = numbers[below(12)];
    if (fd < 0) return;
    lseek(fd, 8192, SEEK_SET);
    r.whence = below(3);
    r.start = below(SIZE);
    r.len = below(SIZE / 4);
    long c = _IOW('X', 0, r) | n;
    result(ioctl(fd, c, &r), "space %d %d %lld %lld", n, r.whence, r.start, r.len);
    close(fd);
}
static void op_truncate(void) {
    char *p = file();
    off_t n = below(SIZE);
    if (below(2)) { result(truncate(p, n), "truncate %s %ld", p, (long)n); return; }
    int fd = open(p, O_RDWR | O_NONBLOCK);
    if (fd < 0) return;
    result(ftruncate(fd, n), "ftruncate %s %ld", p, (long)n);
    close(fd);
}
static void op_link(void) {
    char *a = name(), *b = name();
    result(link(a, b), "link %s %s", a, b);
}
static void op_unlink(void) {
    char *a = name();
    result(unlink(a), "unlink %s", a);
}
static void op_rmdir(void) {
    char *a = below(2) ? directory() : name();
    result(rmdir(a), "rmdir %s", a);
}
static void op_mkdir(void) {
    char *a = below(3) ? directory() : name();
    result(mkdir(a, 0700 | below(64)), "mkdir %s", a);
}
static void op_rename(void) {
    char *a = name(), *b = name();
    static const int flags[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    int f = flags[below(5)];
    // A device in the old name's place: not on every leg, so not compared with a native run.
    if (!single && !below(10)) f = RENAME_WHITEOUT;
    result(renameat2(AT_FDCWD, a, AT_FDCWD, b, f), "rename %s %s %d", a, b, f);
}
static void op_symlink(void) {
    char *a = name(), *b = name();
    result(symlink(a, b), "symlink %s %s", a, b);
}
static void op_mknod(void) {
    char *a = name();
    static const mode_t kinds[] = {S_IFIFO, S_IFREG, S_IFSOCK};
    mode_t k = kinds[below(3)];
    result(mknod(a, k | 0644, 0), "mknod %s %o", a, k);
}
static void op_chmod(void) {
    char *a = name();
    mode_t m = 0600 | below(0200) | (below(8) ? 0 : 04000);
    result(chmod(a, m | 0700), "chmod %s %o", a, m);
}
static void op_chown(void) {
    char *a = name();
    uid_t me = geteuid(), to = me ? me : below(5);
    result(below(2) ? lchown(a, to, -1) : chown(a, to, getegid() ? getegid() : below(5)), "chown %s %u", a, to);
}
static void op_xattr(void) {
    char *a = name(), n[20];
    sprintf(n, "user.x%u", below(6));
    size_t size = below(200);
    fill(size);
    switch (below(3)) {
    case 0: result(removexattr(a, n), "removexattr %s %s", a, n); break;
    case 1: result(setxattr(a, n, buf, size, below(3)), "setxattr %s %s", a, n); break;
    default: {
        int fd = get(O_RDONLY);
        if (fd < 0) return;
        result(fsetxattr(fd, n, buf, size, 0), "fsetxattr %s", n);
        close(fd);
    }
    }
}
static void op_flags(void) {
    int fd = get(O_RDONLY);
    long f = 0;
    if (fd < 0) return;
    if (ioctl(fd, FS_IOC_GETFLAGS, &f) == 0) {
        f ^= below(2) ? FS_NODUMP_FL : FS_NOATIME_FL;
        result(ioctl(fd, FS_IOC_SETFLAGS, &f), "setflags %lx", f & (FS_NODUMP_FL | FS_NOATIME_FL));
    }
    close(fd);
}
static void op_times(void) {
    char *a = name();
    struct timespec t[2] = {{below(1u << 30), 0}, {below(1u << 30), 5}};
    result(utimensat(AT_FDCWD, a, t, below(2) ? AT_SYMLINK_NOFOLLOW : 0), "times %s", a);
}
static void op_copy(void) {
    int a = get(O_RDONLY), b = get(O_RDWR);
    if (a >= 0 && b >= 0) {
        loff_t from = below(SIZE), to = below(SIZE);
        size_t n = below(SIZE / 8);
        if (below(2)) result(copy_file_range(a, &from, b, &to, n, 0), "copyrange %zu", n);
        else lseek(b, to, SEEK_SET), result(sendfile(b, a, &from, n), "sendfile %zu", n);
    }
    close(a);
    close(b);
}
static void op_clone(void) {
    int a = get(O_RDONLY), b = get(O_RDWR);
    if (a >= 0 && b >= 0) {
        struct file_clone_range r = {a, below(64) * 4096, below(16) * 4096, below(64) * 4096};
        if (below(3)) result(ioctl(b, FICLONERANGE, &r), "clonerange");
        else result(ioctl(b, FICLONE, a), "clone");
    }
    close(a);
    close(b);
}
static void op_dedupe(void) {
    int a = get(O_RDONLY), b = get(O_RDWR);
    if (a >= 0 && b >= 0) {
        struct { struct file_dedupe_range r; struct file_dedupe_range_info i; } d = {0};
        d.r.src_offset = below(16) * 4096;
        d.r.src_length = 4096;
        d.r.dest_count = 1;
        d.i.dest_fd = b;
        d.i.dest_offset = below(16) * 4096;
        result(ioctl(a, FIDEDUPERANGE, &d), "dedupe");
    }
    close(a);
    close(b);
}
static void op_splice(void) {
    int p[2], a = get(O_RDONLY), b = get(O_RDWR);
    if (a >= 0 && b >= 0 && pipe(p) == 0) {
        loff_t from = below(SIZE), to = below(SIZE);
        ssize_t n = splice(a, &from, p[1], NULL, below(65536), SPLICE_F_NONBLOCK);
        result(n, "splice in");
        if (n > 0) result(splice(p[0], NULL, b, &to, n, 0), "splice out at %ld", (long)to);
        close(p[0]);
        close(p[1]);
    }
    close(a);
    close(b);
}
// Beside others that cut the file the page may be gone.
static sigjmp_buf gone;
static void lost(int n) { siglongjmp(gone, n); }

static void op_map(void) {
    int fd = get(O_RDWR);
    if (fd < 0) return;
    struct stat st;
    fstat(fd, &st);
    if (st.st_size >= 4096) {
        volatile char *m = mmap(NULL, 4096, PROT_READ, below(2) ? MAP_SHARED : MAP_PRIVATE, fd, 0);
        signal(SIGBUS, lost);
        if (!sigsetjmp(gone, 1)) result(m == MAP_FAILED ? -1 : *m, "map");
        if (m != MAP_FAILED) munmap((void *)m, 4096);
    }
    close(fd);
}
// What a program stores through a mapping is refused or mirrored, and natively done: not to be compared.
static void op_map_write(void) {
    int fd = get(O_RDWR);
    if (fd < 0) return;
    struct stat st;
    fstat(fd, &st);
    if (!single && st.st_size >= 4096) {
        volatile char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        signal(SIGBUS, lost);
        if (m != MAP_FAILED && !sigsetjmp(gone, 1)) m[below(4096)] = 'm';
        if (m != MAP_FAILED) munmap((void *)m, 4096);
        result(0, "map for writing");
    }
    close(fd);
}
static void op_sync(void) {
    int fd = get(O_RDWR);
    if (fd < 0) return;
    int how = below(4);
    result(how == 0 ? fsync(fd) : how == 1 ? fdatasync(fd) : how == 2 ? sync_file_range(fd, 0, 4096, 7) : syncs ? syncfs(fd) : 0, "sync %d", how);
    close(fd);
}
static void op_get_xattr(void) {
    char *a = name(), n[20];
    sprintf(n, "user.x%u", below(6));
    unsigned sum = 0;
    long r = lgetxattr(a, n, buf, 4096);
    for (long i = 0; i < r; i++) sum = sum * 31 + (unsigned char)buf[i];
    result(r, "getxattr %s %s %u", a, n, sum);
    // The order is the file system's.
    r = llistxattr(a, buf, 4096);
    for (long i = 0; i < r; i++) sum += (unsigned char)buf[i];
    result(r, "listxattr %s %u", a, sum);
}
static void op_fiemap(void) {
    struct { struct fiemap m; struct fiemap_extent e[8]; } map = {.m = {.fm_length = ~0ull, .fm_extent_count = 8}};
    int fd = get(O_RDONLY);
    if (fd < 0) return;
    // What has blocks already is the file system's own affair.
    result(ioctl(fd, FS_IOC_FIEMAP, &map), "fiemap");
    close(fd);
}
static void op_fsxattr(void) {
    struct fsxattr x;
    int fd = get(O_RDONLY);
    if (fd < 0) return;
    if (ioctl(fd, FS_IOC_FSGETXATTR, &x) == 0) {
        int project = below(3) == 0;
        if (project) x.fsx_projid = below(4);
        else x.fsx_xflags ^= below(2) ? FS_XFLAG_NODUMP : FS_XFLAG_NOATIME;
        result(ioctl(fd, FS_IOC_FSSETXATTR, &x), "fssetxattr %d %x", project, x.fsx_xflags & (FS_XFLAG_NODUMP | FS_XFLAG_NOATIME));
    }
    close(fd);
}
// XFS_IOC_EXCHANGE_RANGE, and the older XFS_IOC_SWAPEXT with a struct that nobody takes. What the library refuses
// some file systems do, and others refuse in words of their own: where answers are compared, all refuse it.
static void op_exchange(void) {
    struct { int fd, pad; uint64_t here, there, length, flags; } x = {0};
    int a = get(O_RDWR), b = get(O_RDWR);
    if (a >= 0 && b >= 0) {
        x.fd = a;
        x.here = below(16) * 4096;
        x.there = below(16) * 4096;
        x.length = (1 + below(8)) * 4096;
        x.flags = below(4) ? 0 : 1;
        if (single) x.flags |= 1ull << 62;
        long r = ioctl(b, _IOW('X', 129, x), &x);
        result(single ? r < 0 : r, "exchange %lu %lu %lu", x.here, x.there, x.length);
        char old[192] = {0};
        r = ioctl(b, _IOWR('X', 109, old), old);
        result(single ? r < 0 : r, "swapext");
    }
    close(a);
    close(b);
}
// XFS_IOC_BULKSTAT.
static void op_bulkstat(void) {
    struct { uint64_t inode; uint32_t flags, count, out, group; uint64_t rest[5], first[32]; } q = {.count = 1};
    struct { uint64_t word[8]; } head;
    int fd = open(".", O_RDONLY);
    if (fd < 0) return;
    result(ioctl(fd, _IOR('X', 127, head), &q), "bulkstat");
    close(fd);
}
static void op_tmpfile(void) {
    int fd = open(".", O_TMPFILE | O_RDWR, 0644);
    char *a = name(), p[40];
    if (fd < 0) { result(fd, "tmpfile"); return; }
    fill(5000);
    result(write(fd, buf, 5000), "write nameless");
    sprintf(p, "/proc/self/fd/%d", fd);
    result(linkat(AT_FDCWD, p, AT_FDCWD, a, AT_SYMLINK_FOLLOW), "name %s", a);
    close(fd);
}
// Written to after its name has gone or changed.
static void op_renamed(void) {
    char *a = file(), *b = file();
    int fd = open(a, O_RDWR | O_NONBLOCK);
    if (fd < 0) return;
    result(below(2) ? rename(a, b) : unlink(a), "away %s %s", a, b);
    fill(3000);
    result(write(fd, buf, 3000), "write behind the name");
    result(fchmod(fd, 0640), "fchmod behind the name");
    close(fd);
}
static void op_readdir(void) {
    char *a = directory();
    DIR *d = opendir(a);
    int n = 0;
    if (d) {
        while (readdir(d)) n++;
        closedir(d);
    }
    result(d ? n : -1, "readdir %s", a);
}
static void op_stat(void) {
    char *a = name(), b[100];
    struct stat st;
    int r = lstat(a, &st);
    result(r, "stat %s %o %ld %u", a, r ? 0 : st.st_mode, r || S_ISDIR(st.st_mode) ? 0 : (long)st.st_size,
           r || S_ISDIR(st.st_mode) ? 0 : (unsigned)st.st_nlink);
    result(readlink(a, b, sizeof b), "readlink %s", a);
}

#define OP(name, weight) {#name, op_##name, weight}
static const struct { const char *name; void (*run)(void); int weight; } operations[] = {
    OP(creat, 12), OP(write, 14), OP(dwrite, 4), OP(read, 3), OP(fallocate, 6), OP(space, 4), OP(truncate, 5),
    OP(link, 3), OP(unlink, 3), OP(rmdir, 2), OP(mkdir, 6), OP(rename, 8), OP(symlink, 2), OP(mknod, 2),
    OP(chmod, 3), OP(chown, 3), OP(xattr, 5), OP(get_xattr, 1), OP(flags, 2), OP(fsxattr, 2), OP(times, 3),
    OP(copy, 4), OP(clone, 4), OP(dedupe, 1), OP(exchange, 2), OP(splice, 3), OP(map, 1), OP(map_write, 1),
    OP(sync, 1), OP(fiemap, 1), OP(bulkstat, 1), OP(tmpfile, 2), OP(renamed, 4), OP(readdir, 1), OP(stat, 2),
};
enum { N = sizeof operations / sizeof *operations };

static void work(uint64_t seed, int count) {
    state = seed * 2654435761u + 12345;
    rnd();
    int total = 0;
    for (int i = 0; i < N; i++) total += operations[i].weight;
    for (step = 0; step < count; step++) {
        int w = below(total), i = 0;
        while ((w -= operations[i].weight) >= 0) i++;
        current = i;
        operations[i].run();
    }
    for (int i = 0; single && i < N; i++) printf("%s %u %u\n", operations[i].name, tried[i], done[i]);
}

int main(int n, char **v) {
    if (n < 5 || chdir(v[1])) return 9;
    int processes = atoi(v[3]), count = atoi(v[4]), bad = 0, status;
    umask(022);
    syncs = n > 5;
    if (processes == 1) {
        single = 1;
        work(strtoull(v[2], NULL, 0), count);
        return 0;
    }
    for (int i = 0; i < processes; i++)
        if (fork() == 0) {
            work(strtoull(v[2], NULL, 0) * 100 + i, count);
            _exit(0);
        }
    while (wait(&status) > 0) bad |= status;
    return bad ? 1 : 0;
}

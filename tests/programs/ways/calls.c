/* System calls by number, through several gates: who makes the call. */
typedef long gate_fn(long nr, long a, long b, long c, long d, long e, long f);

/* libc's own syscall(). */
static long gate_libc(long nr, long a, long b, long c, long d, long e, long f) { errno = 0; long r = syscall(nr, a, b, c, d, e, f); return r == -1 ? -errno : r; }

/* An instruction of this program's. */
static long gate_own(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f; long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return r;
}

/* One of a library that is loaded late (programs/ways_lib.c). */
static long gate_library(long nr, long a, long b, long c, long d, long e, long f)
{
    static gate_fn *gate; char p[PATH_MAX];
    if (!gate) { snprintf(p, sizeof p, "%s/libways.so", getenv("P")); void *h = dlopen(p, RTLD_NOW); if (!h) return -ELIBACC; gate = dlsym(h, "ways_call"); }
    return gate(nr, a, b, c, d, e, f);
}

/* syscall() of a second C library. */
static long gate_second(long nr, long a, long b, long c, long d, long e, long f)
{
    static long (*call)(long, ...); static int *(*error)(void);
    if (!call) { void *h = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW); if (!h) return -ELIBACC; call = dlsym(h, "syscall"); error = dlsym(h, "__errno_location"); }
    long r = call(nr, a, b, c, d, e, f); return r == -1 ? -*error() : r;
}

/* Code in memory that belongs to no file, as JIT compilers make it. */
static const unsigned char bare[] = { 0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca, 0x4d, 0x89, 0xc2, 0x4d, 0x89, 0xc8, 0x4c, 0x8b, 0x4c, 0x24, 0x08, 0x0f, 0x05, 0xc3 };
static long gate_memory(long nr, long a, long b, long c, long d, long e, long f)
{
    static void *m;
    if (!m) { m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); memcpy(m, bare, sizeof bare); mprotect(m, 4096, PROT_READ | PROT_EXEC); }
    return ((gate_fn *)m)(nr, a, b, c, d, e, f);
}

/* The 32-bit entry: other numbers, and pointers below 4 GiB. */
static long gate_80(long nr, long a, long b, long c, long d, long e, long f)
{
    static const struct { short nr, i386; char pointers; } map[] = { { SYS_open, 5, 1 }, { SYS_write, 4, 2 }, { SYS_rename, 38, 3 }, { SYS_chmod, 15, 1 }, { SYS_mkdir, 39, 1 }, { SYS_unlink, 10, 1 }, { SYS_truncate, 92, 1 } };
    static char *low; long r = -ENOSYS;
    if (!low) low = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    for (unsigned i = 0; i < sizeof map / sizeof *map; i++) if (map[i].nr == nr) {
        if (map[i].pointers & 1) a = (long)strcpy(low, (char *)a);
        if (map[i].pointers & 2) b = (long)strcpy(low + 4096, (char *)b);
        __asm__ volatile("int $0x80" : "=a"(r) : "a"((long)map[i].i386), "b"(a), "c"(b), "d"(c) : "r8", "r9", "r10", "r11", "memory");
    }
    return (int)r;
}

static gate_fn *gate;
#define G(nr, ...) G_(nr, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define G_(nr, a, b, c, d, e, f, ...) gate(SYS_##nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
/* What a call answers, as a way's result. */
static int said(long r) { return r < 0 ? -r : 0; }

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#define SYS_setxattrat 463
#define SYS_removexattrat 466
#define SYS_file_setattr 469
#ifndef SYS_openat2
#define SYS_openat2 437
#endif

#define CALL(name, ...) static int c_##name(void) { __VA_ARGS__ }
CALL(write, int f = fd_rw(); return said(G(write, f, "number", 6));)
CALL(open_and_write, long f = G(open, "f", O_WRONLY); if (f < 0) return -f; return said(G(write, f, "opened", 6));)
CALL(open, return said(G(open, "new", O_CREAT | O_WRONLY, 0640));)
CALL(open_trunc, return said(G(open, in("f"), O_TRUNC | O_WRONLY));)
CALL(creat, return said(G(creat, "f", 0600));)
CALL(openat, return said(G(openat, AT_FDCWD, "new", O_CREAT | O_WRONLY, 0640));)
CALL(openat2, struct { uint64_t flags, mode, resolve; } how = { O_CREAT | O_WRONLY, 0640, 0 }; return said(G(openat2, AT_FDCWD, "new", &how, sizeof how));)
CALL(openat2_beneath, struct { uint64_t flags, mode, resolve; } how = { O_CREAT | O_WRONLY, 0640, 8 }; return said(G(openat2, open("d", O_PATH), "new", &how, sizeof how));)
CALL(pwrite64, int f = fd_rw(); return said(G(pwrite64, f, "number", 6, 9));)
CALL(writev, int f = fd_rw(); return said(G(writev, f, two, 2));)
CALL(pwritev, int f = fd_rw(); return said(G(pwritev, f, two, 2, 9, 0));)
CALL(pwritev2, int f = fd_rw(); return said(G(pwritev2, f, two, 2, -1, -1, RWF_APPEND));)
CALL(sendfile, int f = fd_rw(), g = open("g", O_RDONLY); return said(G(sendfile, f, g, 0, 7));)
CALL(copy_file_range, int f = fd_rw(), g = open("g", O_RDONLY); return said(G(copy_file_range, g, 0, f, 0, 7, 0));)
CALL(splice, int f = fd_rw(), p[2]; pipe(p); write(p[1], "piped", 5); return said(G(splice, p[0], 0, f, 0, 5, 0));)
CALL(truncate, return said(G(truncate, "f", 5));)
CALL(ftruncate, int f = fd_rw(); return said(G(ftruncate, f, 5));)
CALL(fallocate, int f = fd_rw(); return said(G(fallocate, f, 0, 0, 20000));)
CALL(rename, return said(G(rename, "f", "new"));)
CALL(renameat, return said(G(renameat, AT_FDCWD, "d", AT_FDCWD, "e"));)
CALL(renameat2, return said(G(renameat2, AT_FDCWD, "f", AT_FDCWD, "g", RENAME_EXCHANGE));)
CALL(mkdir, return said(G(mkdir, "new", 0750));)
CALL(mkdirat, return said(G(mkdirat, AT_FDCWD, "new", 0750));)
CALL(rmdir, return said(G(rmdir, "e"));)
CALL(unlink, return said(G(unlink, "f"));)
CALL(unlinkat, return said(G(unlinkat, AT_FDCWD, "e", AT_REMOVEDIR));)
CALL(link, return said(G(link, "f", "new"));)
CALL(linkat, return said(G(linkat, AT_FDCWD, "s", AT_FDCWD, "new", AT_SYMLINK_FOLLOW));)
CALL(symlink, return said(G(symlink, "f", "new"));)
CALL(symlinkat, return said(G(symlinkat, "f", AT_FDCWD, "new"));)
CALL(mknod, return said(G(mknod, "new", S_IFIFO | 0600, 0));)
CALL(mknodat, return said(G(mknodat, AT_FDCWD, "new", S_IFREG | 0600, 0));)
CALL(bind, struct sockaddr_un a = { AF_UNIX, "new" }; return said(G(bind, socket(AF_UNIX, SOCK_DGRAM, 0), &a, sizeof a));)
CALL(chmod, return said(G(chmod, "f", 0604));)
CALL(fchmod, int f = fd_rw(); return said(G(fchmod, f, 0604));)
CALL(fchmodat, return said(G(fchmodat, AT_FDCWD, "f", 0604));)
CALL(fchmodat2, return said(G(fchmodat2, open("f", O_PATH), "", 0604, AT_EMPTY_PATH));)
CALL(chown, return said(G(chown, "f", 1, 2));)
CALL(fchown, int f = fd_rw(); return said(G(fchown, f, 1, 2));)
CALL(lchown, return said(G(lchown, "s", 1, 2));)
CALL(fchownat, return said(G(fchownat, AT_FDCWD, "s", 1, 2, AT_SYMLINK_NOFOLLOW));)
CALL(utime, return said(G(utime, "f", &whens));)
CALL(utimes, return said(G(utimes, "f", whenu));)
CALL(futimesat, return said(G(futimesat, AT_FDCWD, "f", whenu));)
CALL(utimensat, return said(G(utimensat, AT_FDCWD, "f", when, 0));)
CALL(utimensat_descriptor, int f = fd_rw(); return said(G(utimensat, f, 0, when, 0));)
CALL(setxattr, return said(G(setxattr, "f", "user.new", "v", 1, 0));)
CALL(lsetxattr, return said(G(lsetxattr, "f", "user.new", "v", 1, 0));)
CALL(fsetxattr, int f = fd_rw(); return said(G(fsetxattr, f, "user.new", "v", 1, 0));)
CALL(removexattr, return said(G(removexattr, "f", "user.kept"));)
CALL(lremovexattr, return said(G(lremovexattr, "f", "user.kept"));)
CALL(fremovexattr, int f = fd_rw(); return said(G(fremovexattr, f, "user.kept"));)
CALL(open_by_handle_at,
    struct { struct file_handle h; char more[128]; } h = { .h.handle_bytes = 128 }; int m;
    TRY(name_to_handle_at(AT_FDCWD, "f", &h.h, &m, 0)); int d = open(".", O_RDONLY);
    long f = G(open_by_handle_at, d, &h.h, O_WRONLY); if (f < 0) return -f; return said(G(write, f, "handle", 6));)
/* Newer than glibc's names for them. */
CALL(setxattrat, struct { uint64_t value; uint32_t size, flags; } x = { (long)"v", 1, 0 }; return said(G(setxattrat, AT_FDCWD, "f", 0, "user.new", &x, sizeof x));)
CALL(setxattrat_descriptor, struct { uint64_t value; uint32_t size, flags; } x = { (long)"v", 1, 0 }; int f = fd_rw(); return said(G(setxattrat, f, "", AT_EMPTY_PATH, "user.new", &x, sizeof x));)
CALL(removexattrat, return said(G(removexattrat, AT_FDCWD, "f", 0, "user.kept"));)
CALL(file_setattr, struct { uint64_t xflags; uint32_t extsize, nextents, projid, cowextsize; } x = { 0x40 /* noatime */ }; return said(G(file_setattr, AT_FDCWD, "f", &x, sizeof x, 0));)
/* Rings. What is refused is the ring. */
CALL(io_uring_setup, char p[120] = { 0 }; return said(gate(425, 4, (long)p, 0, 0, 0, 0));)
CALL(io_setup, unsigned long ctx = 0; return said(G(io_setup, 4, &ctx));)

#define EACH_CALL(X) X(write) X(open_and_write) X(open) X(open_trunc) X(creat) X(openat) X(openat2) X(openat2_beneath) X(pwrite64) X(writev) X(pwritev) X(pwritev2) X(sendfile) X(copy_file_range) \
    X(splice) X(truncate) X(ftruncate) X(fallocate) X(rename) X(renameat) X(renameat2) X(mkdir) X(mkdirat) X(rmdir) X(unlink) X(unlinkat) X(link) X(linkat) X(symlink) X(symlinkat) X(mknod) X(mknodat) X(bind) \
    X(chmod) X(fchmod) X(fchmodat) X(fchmodat2) X(utime) X(utimes) X(futimesat) X(utimensat) X(utimensat_descriptor) X(setxattr) X(lsetxattr) X(fsetxattr) X(removexattr) X(lremovexattr) X(fremovexattr) \
    X(setxattrat) X(setxattrat_descriptor) X(removexattrat) X(file_setattr)
#define ROOTS_CALL(X) X(chown) X(fchown) X(lchown) X(fchownat) X(open_by_handle_at)
#define SOME_CALL(X) X(write) X(open_and_write) X(open) X(rename) X(mkdir) X(unlink) X(truncate) X(chmod)

#define VIA(g, c) static int g##_##c(void) { gate = gate_##g; return c_##c(); }
#define VIA_LIBC(c) VIA(libc, c)
#define VIA_OWN(c) VIA(own, c)
#define VIA_LIBRARY(c) VIA(library, c)
#define VIA_SECOND(c) VIA(second, c)
#define VIA_MEMORY(c) VIA(memory, c)
#define VIA_80_(c) static int i80_##c(void) { gate = gate_80; return c_##c(); }
EACH_CALL(VIA_LIBC) ROOTS_CALL(VIA_LIBC) EACH_CALL(VIA_OWN) ROOTS_CALL(VIA_OWN)
SOME_CALL(VIA_LIBRARY) SOME_CALL(VIA_SECOND) SOME_CALL(VIA_MEMORY) SOME_CALL(VIA_80_)

/* A ring that could be made is used: what it writes has to be seen. The layout is the kernel's and liburing 2's. */
#include <linux/io_uring.h>
struct ring { unsigned *head, *tail, *mask, *entries, *flags, *dropped, *array; struct io_uring_sqe *sqes; };
static int ring_write(int fd, struct io_uring_params *p, long (*enter)(int, unsigned, unsigned))
{
    char *r = mmap(NULL, p->sq_off.array + p->sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
    struct io_uring_sqe *s = mmap(NULL, p->sq_entries * sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
    if (r == MAP_FAILED || (void *)s == MAP_FAILED) return errno;
    memset(s, 0, sizeof *s); s->opcode = IORING_OP_WRITE; s->fd = fd_rw(); s->addr = (long)"ringed"; s->len = 6;
    *(unsigned *)(r + p->sq_off.array) = 0; __atomic_store_n((unsigned *)(r + p->sq_off.tail), 1, __ATOMIC_RELEASE);
    long n = enter(fd, 1, 1); return n < 0 ? -n : 0;
}
static long enter_libc(int fd, unsigned n, unsigned want) { return gate_libc(426, fd, n, want, IORING_ENTER_GETEVENTS, 0, 0); }
static long enter_own(int fd, unsigned n, unsigned want) { return gate_own(426, fd, n, want, IORING_ENTER_GETEVENTS, 0, 0); }
static int ring_by(gate_fn *g, long (*enter)(int, unsigned, unsigned))
{
    struct io_uring_params p = { 0 }; long fd = g(425, 4, (long)&p, 0, 0, 0, 0);
    return fd < 0 ? -fd : ring_write(fd, &p, enter);
}
static int libc_io_uring(void) { return ring_by(gate_libc, enter_libc); }
static int own_io_uring(void) { return ring_by(gate_own, enter_own); }
static int w_liburing(void)
{
    void *h = dlopen("liburing.so.2", RTLD_NOW); char ring[1024] = { 0 }; struct ring *q = (void *)ring;
    if (!h) return ELIBACC;
    int (*init)(unsigned, void *, unsigned) = dlsym(h, "io_uring_queue_init"), (*submit)(void *, unsigned) = dlsym(h, "io_uring_submit_and_wait");
    int r = init(4, ring, 0); if (r < 0) return -r;
    struct io_uring_sqe *s = q->sqes; memset(s, 0, sizeof *s); s->opcode = IORING_OP_WRITE; s->fd = fd_rw(); s->addr = (long)"ringed"; s->len = 6;
    /* struct io_uring_sq: eight pointers, then sqe_head and sqe_tail. */
    ((unsigned *)(ring + 64))[1] = 1;
    r = submit(ring, 1); return r < 0 ? -r : 0;
}
#include <linux/aio_abi.h>
static int kernel_aio(gate_fn *g)
{
    unsigned long ctx = 0; long r = g(SYS_io_setup, 4, (long)&ctx, 0, 0, 0, 0); if (r < 0) return -r;
    struct iocb c = { .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd_rw(), .aio_buf = (long)"kernelaio", .aio_nbytes = 9 }, *l[1] = { &c }; struct io_event e;
    r = g(SYS_io_submit, ctx, 1, (long)l, 0, 0, 0); if (r < 0) return -r;
    g(SYS_io_getevents, ctx, 1, 1, (long)&e, 0, 0); return 0;
}
static int libc_kernel_aio(void) { return kernel_aio(gate_libc); }
static int own_kernel_aio(void) { return kernel_aio(gate_own); }
static int w_libaio(void)
{
    void *h = dlopen("libaio.so.1", RTLD_NOW), *ctx = NULL; if (!h) return ELIBACC;
    int (*setup)(int, void **) = dlsym(h, "io_setup"), (*submit)(void *, long, struct iocb **) = dlsym(h, "io_submit"), (*events)(void *, long, long, struct io_event *, void *) = dlsym(h, "io_getevents");
    int r = setup(4, &ctx); if (r < 0) return -r;
    struct iocb c = { .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd_rw(), .aio_buf = (long)"libaio", .aio_nbytes = 6 }, *l[1] = { &c };
    struct io_event e;
    r = submit(ctx, 1, l); if (r < 0) return -r;
    return events(ctx, 1, 1, &e, NULL) == 1 ? 0 : EIO;
}

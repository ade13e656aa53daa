/* Calls that move data inside the kernel, with usual and odd arguments, for tests/copies.rs:
 * `copies MODE` works in $V, with sources in $V and in $S, and prints every answer and its effect.
 * `copies prepare DIR` and `copies OP DIR` are for sweeps of kills: one change, then "done". */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char vdir[4096], sdir[4096], data[300000];
static const loff_t constant = 5;

static void die(const char *what) { perror(what); exit(9); }
static char *path(const char *dir, const char *name)
{
    static _Thread_local char b[4][8192];
    static _Thread_local int i;
    i = (i + 1) % 4;
    snprintf(b[i], sizeof b[i], "%s/%s", dir, name);
    return b[i];
}
/* Size and a checksum of a descriptor's file. */
static void show(int f)
{
    static char b[1 << 16];
    struct stat st;
    uint32_t h = 2166136261u;
    ssize_t k;
    loff_t at = 0;
    char name[64];
    if (fstat(f, &st)) { printf(" -"); return; }
    if (st.st_size > 1 << 26) { printf(" %lld", (long long)st.st_size); return; }
    snprintf(name, sizeof name, "/proc/self/fd/%d", f);
    int r = open(name, O_RDONLY);
    if (r < 0) { printf(" %lld ?", (long long)st.st_size); return; }
    while ((k = pread(r, b, sizeof b, at)) > 0) { for (ssize_t i = 0; i < k; i++) h = (h ^ (uint8_t)b[i]) * 16777619u; at += k; }
    close(r);
    printf(" %lld:%08x", (long long)st.st_size, h);
}
static void say(const char *what, long r)
{
    int e = errno;
    printf("%-34s ", what);
    if (r < 0) printf("%s", strerrorname_np(e) ? strerrorname_np(e) : "E?"); else printf("%ld", r);
}
static void where(int f) { printf(" @%lld", (long long)lseek(f, 0, SEEK_CUR)); }
static int make(const char *p, size_t n, int flags)
{
    unlink(p);
    int f = open(p, O_CREAT | O_RDWR | O_TRUNC, 0644);
    if (f < 0 || write(f, data, n) != (ssize_t)n || close(f)) die(p);
    f = open(p, flags);
    if (f < 0) die(p);
    return f;
}

static void ranges(const char *srcdir, const char *tag)
{
    char what[100];
#define CFR(name, sflags, dflags, spos, dpos, inp, outp, len, flags) do { \
        int s = make(path(srcdir, "src"), 10000, sflags), d = make(path(vdir, "dst"), 4000, dflags); \
        loff_t in = 100, out = 200; (void)in; (void)out; \
        lseek(s, spos, SEEK_SET); lseek(d, dpos, SEEK_SET); \
        snprintf(what, sizeof what, "cfr %s %s", tag, name); \
        say(what, copy_file_range(s, inp, d, outp, len, flags)); \
        where(s); where(d); printf(" %lld %lld", (long long)in, (long long)out); show(d); puts(""); close(s); close(d); } while (0)
    CFR("positions", O_RDONLY, O_RDWR, 10, 20, NULL, NULL, 500, 0);
    CFR("write only", O_RDONLY, O_WRONLY, 10, 20, NULL, NULL, 500, 0);
    CFR("offsets", O_RDONLY, O_RDWR, 10, 20, &in, &out, 500, 0);
    CFR("in", O_RDWR, O_RDWR, 10, 20, &in, NULL, 500, 0);
    CFR("out", O_RDONLY, O_WRONLY, 10, 20, NULL, &out, 500, 0);
    CFR("one variable", O_RDONLY, O_WRONLY, 10, 20, &in, &in, 500, 0);
    CFR("too long", O_RDONLY, O_RDWR, 10, 20, NULL, NULL, 100000, 0);
    CFR("behind the end", O_RDONLY, O_RDWR, 10000, 20, NULL, NULL, 100, 0);
    CFR("far behind the end", O_RDONLY, O_RDWR, 99999, 20, NULL, NULL, 100, 0);
    CFR("into a hole", O_RDONLY, O_RDWR, 0, 20000, NULL, NULL, 100, 0);
    CFR("nothing", O_RDONLY, O_RDWR, 10, 20, NULL, NULL, 0, 0);
    CFR("flags", O_RDONLY, O_RDWR, 10, 20, NULL, NULL, 100, 1);
    CFR("append", O_RDONLY, O_WRONLY | O_APPEND, 10, 20, NULL, NULL, 100, 0);
    CFR("read only", O_RDONLY, O_RDONLY, 10, 20, NULL, NULL, 100, 0);
    CFR("source write only", O_WRONLY, O_RDWR, 10, 20, NULL, NULL, 100, 0);
    CFR("source O_PATH", O_PATH, O_RDWR, 10, 20, NULL, NULL, 100, 0);
    CFR("O_PATH", O_RDONLY, O_PATH, 10, 20, NULL, NULL, 100, 0);
    CFR("bad in", O_RDONLY, O_RDWR, 10, 20, (void *)1, NULL, 100, 0);
    CFR("bad out", O_RDONLY, O_RDWR, 10, 20, NULL, (void *)1, 100, 0);
    CFR("constant in", O_RDONLY, O_RDWR, 10, 20, (loff_t *)&constant, NULL, 100, 0);
    CFR("constant out", O_RDONLY, O_RDWR, 10, 20, NULL, (loff_t *)&constant, 100, 0);
    CFR("largest", O_RDONLY, O_RDWR, 10, 20, NULL, NULL, SIZE_MAX, 0);
    CFR("nearly largest", O_RDONLY, O_RDWR, 10, 20, NULL, NULL, SIZE_MAX - 50, 0);
    CFR("half", O_RDONLY, O_RDWR, 10, 20, NULL, NULL, SIZE_MAX / 2 + 1, 0);
    CFR("negative in", O_RDONLY, O_RDWR, 10, 20, (in = -1, &in), NULL, 10, 0);
    CFR("negative out", O_RDONLY, O_RDWR, 10, 20, NULL, (out = -1, &out), 10, 0);
    CFR("very negative out", O_RDONLY, O_RDWR, 10, 20, NULL, (out = -100, &out), 10, 0);
    CFR("largest out", O_RDONLY, O_RDWR, 10, 20, NULL, (out = INT64_MAX - 5, &out), 10, 0);
    int d = make(path(vdir, "dst"), 10000, O_RDWR);
    loff_t in = 100, out = 200;
#define SAME(name, a, b, n) do { in = a; out = b; say("cfr same file " name, copy_file_range(d, &in, d, &out, n, 0)); \
        printf(" %lld %lld", (long long)in, (long long)out); show(d); puts(""); } while (0)
    SAME("apart", 0, 5000, 1000); SAME("overlap", 0, 500, 1000); SAME("overlap down", 500, 0, 1000); SAME("touch", 0, 1000, 1000);
    SAME("clamped apart", 9000, 11000, 5000); SAME("clamped overlap", 9000, 11000, 500000); SAME("itself", 7, 7, 1); SAME("at the end", 12000, 12000, 9);
    int dir = open(vdir, O_RDONLY), p[2], s = make(path(srcdir, "src"), 10000, O_RDONLY);
    if (pipe(p)) die("pipe");
    say("cfr from a directory", copy_file_range(dir, NULL, d, NULL, 10, 0)); puts("");
    say("cfr to a directory", copy_file_range(s, NULL, dir, NULL, 10, 0)); puts("");
    say("cfr from a pipe", copy_file_range(p[0], NULL, d, NULL, 10, 0)); puts("");
    say("cfr to a pipe", copy_file_range(s, NULL, p[1], NULL, 10, 0)); puts("");
    say("cfr from nothing", copy_file_range(900, NULL, d, NULL, 10, 0)); puts("");
    say("cfr to nothing", copy_file_range(s, NULL, 900, NULL, 10, 0)); puts("");
    say("cfr from the library's", copy_file_range(4096 + d, NULL, d, NULL, 10, 0)); puts("");
    say("cfr to the library's", copy_file_range(s, NULL, 4096 + d, NULL, 10, 0)); puts("");
    close(dir); close(p[0]); close(p[1]); close(s); close(d);
}

static void sendfiles(const char *srcdir, const char *tag)
{
    char what[100];
#define SEND(name, sflags, dflags, spos, dpos, inp, len) do { \
        int s = make(path(srcdir, "src"), 200000, sflags), d = make(path(vdir, "dst"), 4000, dflags); \
        off_t in = 100; lseek(s, spos, SEEK_SET); lseek(d, dpos, SEEK_SET); \
        snprintf(what, sizeof what, "sendfile %s %s", tag, name); \
        say(what, sendfile(d, s, inp, len)); \
        where(s); where(d); printf(" %lld", (long long)in); show(d); puts(""); close(s); close(d); } while (0)
    SEND("position", O_RDONLY, O_RDWR, 10, 20, NULL, 500);
    SEND("write only", O_RDONLY, O_WRONLY, 10, 20, NULL, 500);
    SEND("offset", O_RDONLY, O_WRONLY, 10, 20, &in, 500);
    SEND("long", O_RDONLY, O_WRONLY, 10, 20, &in, 190000);
    SEND("too long", O_RDONLY, O_WRONLY, 10, 20, NULL, 1 << 30);
    SEND("at the end", O_RDONLY, O_WRONLY, 200000, 20, NULL, 100);
    SEND("nothing", O_RDONLY, O_WRONLY, 10, 20, NULL, 0);
    SEND("negative length", O_RDONLY, O_WRONLY, 10, 20, NULL, (size_t)-5);
    SEND("negative offset", O_RDONLY, O_WRONLY, 10, 20, (in = -7, &in), 100);
    SEND("append", O_RDONLY, O_WRONLY | O_APPEND, 10, 20, NULL, 500);
    SEND("read only", O_RDONLY, O_RDONLY, 10, 20, NULL, 500);
    SEND("source write only", O_WRONLY, O_RDWR, 10, 20, NULL, 500);
    SEND("bad offset", O_RDONLY, O_RDWR, 10, 20, (void *)1, 500);
    SEND("constant offset", O_RDONLY, O_RDWR, 10, 20, (off_t *)&constant, 500);
    int d = make(path(vdir, "dst"), 4000, O_RDWR), s = make(path(srcdir, "src"), 10000, O_RDONLY), p[2], sv[2], dir = open(vdir, O_RDONLY);
    if (pipe(p) || socketpair(AF_UNIX, SOCK_STREAM, 0, sv) || write(p[1], data, 50) != 50) die("pipe");
    say("sendfile from a pipe", sendfile(d, p[0], NULL, 10)); puts("");
    say("sendfile from a socket", sendfile(d, sv[0], NULL, 10)); puts("");
    say("sendfile from a directory", sendfile(d, dir, NULL, 10)); puts("");
    say("sendfile to a directory", sendfile(dir, s, NULL, 10)); puts("");
    say("sendfile to a pipe", sendfile(p[1], d, NULL, 10)); where(d); puts("");
    say("sendfile to a socket", sendfile(sv[1], d, NULL, 10)); where(d); puts("");
    say("sendfile to nothing", sendfile(900, s, NULL, 10)); puts("");
    say("sendfile from nothing", sendfile(d, 900, NULL, 10)); puts("");
    int z = open("/dev/zero", O_RDONLY), proc = open("/proc/version", O_RDONLY);
    say("sendfile of zeros", sendfile(d, z, NULL, 300000)); where(d); show(d); puts("");
    say("sendfile of /proc", sendfile(d, proc, NULL, 30)); where(d); where(proc); show(d); puts("");
    close(d); close(s); close(p[0]); close(p[1]); close(sv[0]); close(sv[1]); close(dir); close(z); close(proc);
}

static void splices(void)
{
#define SPLICE(name, have, dflags, dpos, inp, outp, len, flags) do { \
        int p[2], d = make(path(vdir, "dst"), 4000, dflags); \
        loff_t in = 100, out = 200; (void)in; char rest[200000]; \
        if (pipe(p)) die("pipe"); fcntl(p[1], F_SETPIPE_SZ, 1 << 18); \
        if (write(p[1], data, have) != have) die("write"); \
        lseek(d, dpos, SEEK_SET); \
        say("splice " name, splice(p[0], inp, d, outp, len, flags)); \
        where(d); printf(" %lld", (long long)out); show(d); \
        fcntl(p[0], F_SETFL, O_NONBLOCK); printf(" left %zd\n", read(p[0], rest, sizeof rest)); \
        close(p[0]); close(p[1]); close(d); } while (0)
    SPLICE("position", 1000, O_RDWR, 20, NULL, NULL, 500, 0);
    SPLICE("write only", 1000, O_WRONLY, 20, NULL, NULL, 500, SPLICE_F_MOVE | SPLICE_F_MORE);
    SPLICE("offset", 1000, O_WRONLY, 20, NULL, &out, 500, 0);
    SPLICE("less than asked", 1000, O_WRONLY, 20, NULL, NULL, 5000, 0);
    SPLICE("much", 180000, O_WRONLY, 20, NULL, NULL, 1 << 20, 0);
    SPLICE("nothing", 1000, O_WRONLY, 20, NULL, NULL, 0, 0);
    SPLICE("empty", 0, O_WRONLY, 20, NULL, NULL, 100, SPLICE_F_NONBLOCK);
    SPLICE("flags", 1000, O_WRONLY, 20, NULL, NULL, 100, 0x80);
    SPLICE("append", 1000, O_WRONLY | O_APPEND, 20, NULL, NULL, 100, 0);
    SPLICE("append empty", 0, O_WRONLY | O_APPEND, 20, NULL, NULL, 100, 0);
    SPLICE("read only", 1000, O_RDONLY, 20, NULL, NULL, 100, 0);
    SPLICE("offset of a pipe", 1000, O_WRONLY, 20, &in, NULL, 100, 0);
    SPLICE("bad offset", 1000, O_WRONLY, 20, NULL, (void *)1, 100, 0);
    SPLICE("constant offset", 1000, O_WRONLY, 20, NULL, (loff_t *)&constant, 100, 0);
    SPLICE("negative offset", 1000, O_WRONLY, 20, NULL, (out = -9, &out), 100, 0);
    SPLICE("largest", 1000, O_WRONLY, 20, NULL, NULL, SIZE_MAX, 0);
    int p[2], q[2], sv[2], d = make(path(vdir, "dst"), 4000, O_RDWR), s = make(path(vdir, "src"), 9000, O_RDONLY);
    char rest[9000];
    if (pipe(p) || pipe(q) || socketpair(AF_UNIX, SOCK_STREAM, 0, sv)) die("pipe");
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    say("splice from an empty pipe", splice(p[0], NULL, d, NULL, 10, 0)); puts("");
    fcntl(p[0], F_SETFL, 0);
    say("splice without a pipe", splice(s, NULL, d, NULL, 10, 0)); where(s); where(d); puts("");
    say("splice from a socket", splice(sv[0], NULL, d, NULL, 10, 0)); puts("");
    say("splice from the wrong end", splice(p[1], NULL, d, NULL, 10, 0)); puts("");
    say("splice from nothing", splice(900, NULL, d, NULL, 10, 0)); puts("");
    say("splice to nothing", splice(p[0], NULL, 900, NULL, 10, 0)); puts("");
    say("splice from a file", splice(s, NULL, p[1], NULL, 5000, 0)); where(s); puts("");
    say("tee", tee(p[0], q[1], 3000, 0)); puts("");
    say("splice the teed", splice(q[0], NULL, d, NULL, 9000, 0)); where(d); show(d); puts("");
    say("splice the rest", splice(p[0], NULL, d, NULL, 9000, 0)); where(d); show(d); puts("");
    struct iovec v = { data + 1000, 6000 };
    say("vmsplice", vmsplice(p[1], &v, 1, 0)); puts("");
    say("splice the vmspliced", splice(p[0], NULL, d, NULL, 9000, 0)); where(d); show(d); puts("");
    if (write(sv[1], data, 7000) != 7000) die("write");
    say("splice a socket to a pipe", splice(sv[0], NULL, p[1], NULL, 7000, 0)); puts("");
    say("splice that on", splice(p[0], NULL, d, NULL, 7000, 0)); where(d); show(d); puts("");
    if (write(p[1], "end", 3) != 3) die("write");
    close(p[1]);
    say("splice the end", splice(p[0], NULL, d, NULL, 7000, 0)); where(d); puts("");
    say("splice behind the end", splice(p[0], NULL, d, NULL, 7000, 0)); where(d); puts("");
    say("append behind the end", splice(p[0], NULL, 900, NULL, 7000, 0)); puts("");
}

static void clones(const char *srcdir, const char *tag)
{
    char what[100];
    struct file_clone_range r;
#define CLONE(name, call) do { \
        int s = make(path(srcdir, "src"), 70000, O_RDONLY), d = make(path(vdir, "dst"), 50000, O_WRONLY), x = make(path(vdir, "x"), 8192, O_RDONLY); \
        lseek(d, 7, SEEK_SET); r = (struct file_clone_range){ s, 0, 0, 0 }; \
        snprintf(what, sizeof what, "clone %s %s", tag, name); \
        say(what, call); where(s); where(d); show(d); puts(""); close(s); close(d); close(x); } while (0)
    CLONE("whole", ioctl(d, FICLONE, s));
    CLONE("whole over a longer one", ioctl(d, FICLONE, x));
    CLONE("range", (r.src_length = 8192, r.dest_offset = 4096, ioctl(d, FICLONERANGE, &r)));
    CLONE("range of the source", (r.src_offset = 4096, r.src_length = 8192, r.dest_offset = 65536, ioctl(d, FICLONERANGE, &r)));
    CLONE("to the end", (r.src_offset = 65536, r.dest_offset = 49152, ioctl(d, FICLONERANGE, &r)));
    CLONE("odd length", (r.src_length = 1000, ioctl(d, FICLONERANGE, &r)));
    CLONE("odd place", (r.src_length = 4096, r.dest_offset = 100, ioctl(d, FICLONERANGE, &r)));
    CLONE("behind the end", (r.src_offset = 81920, r.src_length = 4096, ioctl(d, FICLONERANGE, &r)));
    CLONE("from the destination", ioctl(d, FICLONE, d));
    CLONE("from nothing", ioctl(d, FICLONE, 900));
    CLONE("to a reader", ioctl(x, FICLONE, s));
    CLONE("bad struct", ioctl(d, FICLONERANGE, (void *)1));
    CLONE("from a directory", ({ int n = open(vdir, O_RDONLY); int e = ioctl(d, FICLONE, n); int k = errno; close(n); errno = k; e; }));
    CLONE("from the library's", ioctl(d, FICLONE, 4096 + d));
    int s = make(path(srcdir, "src"), 65536, O_RDONLY), d = make(path(vdir, "dst"), 65536, O_RDWR);
    struct { struct file_dedupe_range h; struct file_dedupe_range_info i[2]; } u;
    memset(&u, 0, sizeof u);
    u.h.src_length = 65536; u.h.dest_count = 2; u.i[0].dest_fd = d; u.i[1].dest_fd = d; u.i[1].dest_offset = 4096;
    snprintf(what, sizeof what, "dedupe %s", tag);
    say(what, ioctl(s, FIDEDUPERANGE, &u));
    printf(" %d %lld %d %lld", u.i[0].status, (long long)u.i[0].bytes_deduped, u.i[1].status, (long long)u.i[1].bytes_deduped); show(d); puts("");
    close(s); close(d);
}

static void allocations(void)
{
#define ALLOC(name, dflags, mode, off, len) do { \
        int d = make(path(vdir, "dst"), 50000, dflags); \
        say("fallocate " name, fallocate(d, mode, off, len)); where(d); show(d); puts(""); close(d); } while (0)
    const int C = FALLOC_FL_COLLAPSE_RANGE, I = FALLOC_FL_INSERT_RANGE, P = FALLOC_FL_PUNCH_HOLE, K = FALLOC_FL_KEEP_SIZE, Z = FALLOC_FL_ZERO_RANGE;
    ALLOC("within", O_RDWR, 0, 0, 4096); ALLOC("longer", O_WRONLY, 0, 40000, 30000); ALLOC("keep size", O_WRONLY, K, 40000, 30000);
    ALLOC("punch", O_WRONLY, P | K, 4096, 8192); ALLOC("punch odd", O_WRONLY, P | K, 100, 777); ALLOC("punch across the end", O_RDWR, P | K, 45000, 9000);
    ALLOC("punch behind the end", O_RDWR, P | K, 90000, 9000); ALLOC("punch without keep", O_RDWR, P, 0, 4096);
    ALLOC("zero", O_WRONLY, Z, 4096, 8192); ALLOC("zero odd", O_WRONLY, Z, 33, 10001); ALLOC("zero longer", O_RDWR, Z, 45000, 9000);
    ALLOC("zero keep", O_RDWR, Z | K, 45000, 9000);
    ALLOC("collapse", O_WRONLY, C, 4096, 8192); ALLOC("collapse odd", O_RDWR, C, 100, 8192); ALLOC("collapse the end", O_RDWR, C, 40960, 12288);
    ALLOC("collapse keep", O_RDWR, C | K, 4096, 8192); ALLOC("insert", O_WRONLY, I, 4096, 8192); ALLOC("insert odd", O_RDWR, I, 4096, 100);
    ALLOC("insert at the end", O_RDWR, I, 53248, 4096); ALLOC("insert at 0", O_RDWR, I, 0, 4096); ALLOC("collapse at 0", O_RDWR, C, 0, 4096);
    ALLOC("all", O_RDWR, C | I, 0, 4096); ALLOC("unknown", O_RDWR, 0x1000, 0, 4096); ALLOC("no length", O_RDWR, 0, 0, 0);
    ALLOC("negative", O_RDWR, 0, -4096, 4096); ALLOC("reader", O_RDONLY, 0, 0, 4096); ALLOC("unshare", O_RDWR, FALLOC_FL_UNSHARE_RANGE, 0, 4096);
    ALLOC("too far", O_RDWR, 0, INT64_MAX - 4096, 4096);
    unlink(path(vdir, "dst"));
}

/* Writes past the page cache, and how they look through another descriptor. */
static void direct(void)
{
    char *b, *name = path(vdir, "direct");
    if (posix_memalign((void **)&b, 4096, 1 << 16)) exit(9);
    memcpy(b, data, 1 << 16);
    int d = open(name, O_CREAT | O_RDWR | O_TRUNC | O_DIRECT, 0644);
    say("open O_DIRECT", d < 0 ? -1 : 0); puts("");
    if (d < 0) return;
    say("write", write(d, b, 16384)); where(d); show(d); puts("");
    say("odd length", write(d, b, 1000)); where(d); show(d); puts("");
    say("odd buffer", write(d, b + 1, 4096)); where(d); show(d); puts("");
    say("odd place", pwrite(d, b, 4096, 100)); where(d); show(d); puts("");
    say("pwrite", pwrite(d, b + 4096, 8192, 4096)); where(d); show(d); puts("");
    struct iovec v[2] = { { b, 4096 }, { b + 8192, 8192 } };
    lseek(d, 65536, SEEK_SET);
    say("writev", writev(d, v, 2)); where(d); show(d); puts("");
    say("F_SETFL off", fcntl(d, F_SETFL, 0)); puts("");
    say("write", write(d, "odd", 3)); where(d); show(d); puts("");
    say("F_SETFL on", fcntl(d, F_SETFL, O_DIRECT)); puts("");
    lseek(d, 131072, SEEK_SET);
    say("write", write(d, b, 4096)); where(d); show(d); puts("");
    say("F_SETFL append", fcntl(d, F_SETFL, O_DIRECT | O_APPEND)); puts("");
    say("write", write(d, b, 4096)); where(d); show(d); puts("");
    say("F_SETFL plain", fcntl(d, F_SETFL, O_DIRECT)); puts("");
    int s = make(path(vdir, "src"), 100000, O_RDONLY);
    lseek(d, 0, SEEK_SET);
    say("copy_file_range", copy_file_range(s, NULL, d, NULL, 65536, 0)); where(d); show(d); puts("");
    say("sendfile", sendfile(d, s, NULL, 16384)); where(d); show(d); puts("");
    say("fsync", fsync(d)); puts("");
    close(d); close(s);
}

static volatile int handled;
static void handler(int sig) { handled++; }
static void on_alarm(int flags)
{
    struct sigaction a = { .sa_handler = handler, .sa_flags = flags };
    sigaction(SIGALRM, &a, NULL);
    handled = 0;
    ualarm(100000, 0);
}
static void *cancelled(void *arg)
{
    int *f = arg;
    splice(f[0], NULL, f[2], NULL, 100, 0);
    return NULL;
}
static void waits(void)
{
    int f[3], st;
    f[2] = make(path(vdir, "dst"), 0, O_WRONLY);
    if (pipe(f)) die("pipe");
    on_alarm(0);
    say("interrupted", splice(f[0], NULL, f[2], NULL, 100, 0)); printf(" handled %d", handled); where(f[2]); puts("");
    on_alarm(SA_RESTART);
    if (!fork()) { usleep(400000); _exit(write(f[1], "late data", 9) != 9); }
    say("restarted", splice(f[0], NULL, f[2], NULL, 100, 0)); printf(" handled %d", handled); where(f[2]); puts("");
    wait(&st);
    if (!fork()) { usleep(100000); _exit(0); }
    close(f[1]);
    say("until the writer ends", splice(f[0], NULL, f[2], NULL, 100, 0)); where(f[2]); puts("");
    wait(&st);
    close(f[0]);
    if (pipe(f)) die("pipe");
    pthread_t t;
    void *r;
    pthread_create(&t, NULL, cancelled, f);
    usleep(100000);
    pthread_cancel(t); pthread_join(t, &r);
    printf("cancelled %d\n", r == PTHREAD_CANCELED);
    if (write(f[1], "not lost", 8) != 8) die("write");
    say("after that", splice(f[0], NULL, f[2], NULL, 100, 0)); where(f[2]); show(f[2]); puts("");
    struct sigaction a = { .sa_handler = SIG_DFL };
    sigaction(SIGALRM, &a, NULL);
    pid_t c = fork();
    if (!c) { ualarm(100000, 0); splice(f[0], NULL, f[2], NULL, 100, 0); _exit(0); }
    waitpid(c, &st, 0);
    printf("killed by %d\n", WIFSIGNALED(st) ? WTERMSIG(st) : 0);
}

/* Threads that share the output's descriptor, and one that only looks at it: each piece lands once. */
static int shared_out, shared_pipe[2];
enum { RECORD = 64, RECORDS = 2000 };
static void *sender(void *arg)
{
    int s = open(path(vdir, arg), O_RDONLY);
    for (int i = 0; i < RECORDS; i++) {
        off_t o = (off_t)i * RECORD;
        if (sendfile(shared_out, s, &o, RECORD) != RECORD) die("sendfile");
    }
    close(s);
    return NULL;
}
static void *splicer(void *arg)
{
    int done = 0;
    while (done < RECORDS * RECORD) {
        ssize_t k = splice(shared_pipe[0], NULL, shared_out, NULL, RECORD, 0);
        if (k <= 0) die("splice");
        done += k;
    }
    return NULL;
}
static void *looker(void *arg)
{
    while (!*(volatile int *)arg) lseek(shared_out, 0, SEEK_CUR);
    return NULL;
}
static void threads(void)
{
    char line[RECORD + 1];
    pthread_t t[5];
    int stop = 0;
    for (int w = 0; w < 2; w++) {
        FILE *f = fopen(path(vdir, w ? "two" : "one"), "w");
        for (int i = 0; i < RECORDS; i++) fprintf(f, "%d %-61d\n", w, i);
        fclose(f);
    }
    shared_out = open(path(vdir, "out"), O_CREAT | O_TRUNC | O_WRONLY, 0644);
    if (pipe(shared_pipe)) die("pipe");
    pthread_create(&t[0], NULL, sender, "one"); pthread_create(&t[1], NULL, sender, "two");
    pthread_create(&t[2], NULL, splicer, NULL); pthread_create(&t[3], NULL, looker, &stop);
    for (int i = 0; i < RECORDS; i++) {
        snprintf(line, sizeof line, "%d %-61d\n", 2, i);
        if (write(shared_pipe[1], line, strlen(line)) < 0) die("write");
    }
    for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
    stop = 1;
    pthread_join(t[3], NULL);
    printf("%lld bytes\n", (long long)lseek(shared_out, 0, SEEK_CUR));
}

/* Two processes take from one pipe: each record goes to one of them. */
static void readers(void)
{
    char line[RECORD + 1];
    if (pipe(shared_pipe)) die("pipe");
    for (int w = 0; w < 2; w++)
        if (!fork()) {
            long k, sum = 0;
            shared_out = open(path(vdir, w ? "two" : "one"), O_CREAT | O_TRUNC | O_WRONLY, 0644);
            close(shared_pipe[1]);
            while ((k = splice(shared_pipe[0], NULL, shared_out, NULL, RECORD, 0)) > 0) sum += k;
            if (k < 0) die("splice");
            _exit(sum != lseek(shared_out, 0, SEEK_CUR));
        }
    close(shared_pipe[0]);
    for (int i = 0; i < 3 * RECORDS; i++) {
        snprintf(line, sizeof line, "%-63d\n", i);
        if (write(shared_pipe[1], line, RECORD) != RECORD) die("write");
        /* Now and then the pipe is empty for both. */
        if (i % 100 == 0) usleep(1000);
    }
    close(shared_pipe[1]);
    int a, b;
    wait(&a); wait(&b);
    printf("%d %d\n", a, b);
}

/* A long copy under a hail of signals. */
static void hail(void)
{
    struct sigaction a = { .sa_handler = handler, .sa_flags = SA_RESTART };
    int s = make(path(sdir, "src"), 0, O_RDWR), d = make(path(vdir, "dst"), 0, O_WRONLY);
    const long all = 20 << 20;
    if (ftruncate(s, all)) die("ftruncate");
    sigaction(SIGALRM, &a, NULL);
    ualarm(1000, 1000);
    long k = sendfile(d, s, NULL, all);
    ualarm(0, 0);
    printf("%d %d %d\n", k >= 16 << 20, handled > 0, k == lseek(d, 0, SEEK_CUR) && k == lseek(s, 0, SEEK_CUR));
    while (k > 0) k = sendfile(d, s, NULL, all);
    printf("%ld %d\n", k, lseek(d, 0, SEEK_CUR) == all);
    close(d);
    truncate(path(vdir, "dst"), 0);
}

/* One change in a directory of its own, for a sweep of kills. */
static int prepare(const char *dir)
{
    if (mkdir(dir, 0755) || chdir(dir)) return 1;
    close(make("src", sizeof data, O_RDONLY));
    char *upper = malloc(50000);
    for (int i = 0; i < 50000; i++) upper[i] = 'A' + i / 64 % 26;
    int f = open("f", O_CREAT | O_WRONLY, 0644);
    return write(f, upper, 50000) != 50000;
}
#define IS_(name) !strcmp(op, name)
static int once(const char *op, const char *dir)
{
    if (chdir(dir)) return 1;
    int s = open("src", O_RDONLY), f = open("f", O_WRONLY), p[2];
    loff_t in = 70, out = 90;
    struct file_clone_range r = { s, 4096, 8192, 12288 };
    if (s < 0 || f < 0 || pipe(p) || write(p[1], data, 9000) != 9000) return 1;
    lseek(f, 49000, SEEK_SET);
    long k = IS_("range") ? copy_file_range(s, &in, f, &out, 3000, 0)
        : IS_("position") ? copy_file_range(s, NULL, f, NULL, 3000, 0)
        : IS_("long") ? copy_file_range(s, NULL, f, NULL, sizeof data, 0)
        : IS_("sendfile") ? sendfile(f, s, NULL, 3000)
        : IS_("splice") ? splice(p[0], NULL, f, NULL, 9000, 0)
        : IS_("clone") ? !ioctl(f, FICLONE, s)
        : IS_("clone_range") ? !ioctl(f, FICLONERANGE, &r)
        : IS_("punch") ? !fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 5000)
        : IS_("zero") ? !fallocate(f, FALLOC_FL_ZERO_RANGE, 48000, 5000)
        : IS_("collapse") ? !fallocate(f, FALLOC_FL_COLLAPSE_RANGE, 4096, 8192)
        : IS_("insert") ? !fallocate(f, FALLOC_FL_INSERT_RANGE, 4096, 8192)
        : IS_("allocate") ? !fallocate(f, 0, 0, 90000) : 0;
    if (k <= 0) { perror(op); return 3; }
    return write(1, "done\n", 5) != 5;
}

/* Until the other leg is full: what is said to be written is there, and a pipe loses nothing. */
static void full(void)
{
    int s = make(path(sdir, "src"), sizeof data, O_RDONLY), d = make(path(vdir, "dst"), 0, O_WRONLY), p[2];
    char rest[60000];
    long k, sum = 0;
    while (lseek(s, 0, SEEK_SET), (k = sendfile(d, s, NULL, sizeof data)) > 0) sum += k;
    say("sendfile", k); printf(" %d\n", sum == lseek(d, 0, SEEK_CUR));
    say("copy_file_range", copy_file_range(d, NULL, s, NULL, 9000, 0)); puts("");
    if (pipe(p) || write(p[1], data, 60000) != 60000) die("pipe");
    for (sum = 0; (k = splice(p[0], NULL, d, NULL, 60000, 0)) > 0 && sum < 60000; sum += k) ;
    say("splice", k);
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    k = read(p[0], rest, sizeof rest);
    printf(" all there %d\n", k == 60000 - sum && !memcmp(rest, data + sum, k));
    int e = make(path(vdir, "empty"), 0, O_WRONLY);
    say("zero", fallocate(e, FALLOC_FL_ZERO_RANGE, 0, 8 << 20)); show(e); puts("");
}

/* Two files of the same bytes made to share them. */
static void dedupe(void)
{
    struct { struct file_dedupe_range h; struct file_dedupe_range_info i[1]; } u;
    int s = make(path(vdir, "twin1"), 65536, O_RDONLY), d = make(path(vdir, "twin2"), 65536, O_RDWR);
    memset(&u, 0, sizeof u);
    u.h.src_length = 65536; u.h.dest_count = 1; u.i[0].dest_fd = d;
    say("dedupe", ioctl(s, FIDEDUPERANGE, &u)); printf(" %d %lld\n", u.i[0].status, (long long)u.i[0].bytes_deduped);
}

int main(int argc, char **argv)
{
    for (unsigned i = 0; i < sizeof data; i++) data[i] = "0123456789abcdefghijklmnopqrstuvwxyz\n"[(i * 7 + i / 37) % 37];
    if (argc == 3 && !strcmp(argv[1], "prepare")) return prepare(argv[2]);
    if (argc == 3) return once(argv[1], argv[2]);
    if (argc < 2 || !realpath(getenv("V"), vdir) || !realpath(getenv("S"), sdir)) return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
#define IS(name) !strcmp(argv[1], name)
    if (IS("ranges")) { ranges(vdir, "in"); ranges(sdir, "out"); }
    else if (IS("sendfiles")) { sendfiles(vdir, "in"); sendfiles(sdir, "out"); }
    else if (IS("splices")) splices();
    else if (IS("clones")) { clones(vdir, "in"); clones(sdir, "out"); }
    else if (IS("allocations")) allocations();
    else if (IS("direct")) direct();
    else if (IS("waits")) waits();
    else if (IS("threads")) threads();
    else if (IS("readers")) readers();
    else if (IS("hail")) hail();
    else if (IS("full")) full();
    else if (IS("dedupe")) dedupe();
    else return 2;
    return 0;
}

// Tables for tests/answers_flags.rs, with V in the environment:
//   answers_flags opens CALL THREADS   every combination of flags of an open, at each kind of object
//   answers_flags moves                what the kernel moves itself, from and to each sort of descriptor
//   answers_flags removed              renames and links, one name in a directory that is removed
//   answers_flags closed               calls by descriptors of what lies in a directory that may not be searched
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *sure(long r) { return r < 0 ? strerrorname_np(errno) : "ok"; }
static void put(const char *name, const char *text)
{
    int n = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
    if (n < 0 || write(n, text, strlen(text)) < 0) printf("cannot make %s\n", name);
    close(n);
}

// Objects that are reached by a number. The rest are paths.
static const char *const kept[] = { "f", "d", "lf", "ld", "dang", "p" };
static const char *const paths[] = {
    "", "f", "d", "lf", "ld", "dang", "loop", "p", "lp", "no", ".", "..", "d/.", "d/..", "f/", "d/", "lf/", "ld/", "dang/", "loop/",
    "p/", "no/", "f/x", "f/.", "f/..", "lf/x", "ld/g", "ld/no", "dang/x", "no/x", "p/x", "/dev/null", "/proc/self/cwd", "/proc/self/cwd/f",
    "lds", "lfs", "lls", "round", "lno", "to", "@0", "@1", "@2", "@3", "@4", "@5", "@6", "@7", "@8", "@9", "@0/", "@1/", "@2/", "@3/", "@1/g", "@3/g", "@2/x", "@9/x", "@1/no", "@7/no",
};
static int numbers[10];
static void open_kept(void)
{
    for (int i = 0; i < 6; i++) numbers[i] = open(kept[i], O_PATH | O_NOFOLLOW);
    put("gone", "gone"); numbers[6] = open("gone", O_RDWR); unlink("gone");
    mkdir("gone", 0755); numbers[7] = open("gone", O_PATH); rmdir("gone");
    numbers[8] = open(".", O_TMPFILE | O_RDWR, 0600);
    numbers[9] = open("f", O_RDONLY);
}
static const char *path(const char *text)
{
    static char out[200];
    if (*text != '@') return text;
    snprintf(out, sizeof out, "/proc/self/fd/%d%s", numbers[text[1] - '0'], text + 2);
    return out;
}
// What an open may have made, or emptied, is as it was.
static void again(const char *text)
{
    struct stat s;
    unlink("new"); unlink("no"); unlink("d/no");
    if (stat("f", &s) || s.st_size != 4 || (s.st_mode & 0777) != 0644) put("f", "data");
    if (stat("d/g", &s) || s.st_size != 4) put("d/g", "more");
    if (*text == '@' && (text[1] == '6' || text[1] == '8')) pwrite(numbers[text[1] - '0'], "gone", 4, 0);
}

static int by_openat2, beneath;
static void opens(const char *text, int dir, const char *from)
{
    static const int access[] = { O_RDONLY, O_WRONLY, O_RDWR, 3 };
    static const int bits[] = { O_CREAT, O_EXCL, O_TRUNC, O_DIRECTORY, O_NOFOLLOW, O_PATH, __O_TMPFILE, O_APPEND };
    for (int a = 0; a < 4; a++)
        for (int m = 0; m < 256; m++) {
            int f = access[a] | O_NONBLOCK | O_CLOEXEC;
            for (int i = 0; i < 8; i++) if (m >> i & 1) f |= bits[i];
            const char *p = path(text);
            long n;
            errno = 0;
            if (by_openat2) {
                struct open_how how = { .flags = f, .mode = f & (O_CREAT | __O_TMPFILE) ? 0640 : 0, .resolve = beneath };
                if (f & O_PATH) how.flags &= ~O_NONBLOCK;
                n = syscall(SYS_openat2, dir, p, &how, sizeof how);
            } else n = openat(dir, p, f, 0640);
            struct stat s = { 0 };
            printf("%s %s %o: %s", from, text, f, sure(n));
            if (n >= 0) {
                // A nameless file is told by its links; where the position is, and what it may, by a look.
                fstat(n, &s);
                int fl = fcntl(n, F_GETFL);
                printf(" %o %d %ld %o", s.st_mode, (int)s.st_nlink, S_ISREG(s.st_mode) ? (long)s.st_size : 0, fl);
                if (S_ISREG(s.st_mode) && !(fl & O_PATH)) printf(" %s", sure((fl & O_ACCMODE) ? pwrite(n, "d", 1, 0) : 0));
                close(n);
            }
            puts("");
            if (n >= 0 || f & (O_CREAT | O_TRUNC | __O_TMPFILE)) again(text);
        }
}
static void *nothing(void *x) { return x; }
static void *all_opens(void *x)
{
    for (unsigned i = 0; i < sizeof paths / sizeof *paths; i++) opens(paths[i], AT_FDCWD, "cwd");
    int d = open(".", O_RDONLY), f = open("f", O_PATH);
    static const char *const some[] = { "f", "d", "lf", "ld", "dang", "p", "no", ".", "d/.", "ld/", "ld/g" };
    for (unsigned i = 0; i < sizeof some / sizeof *some; i++) opens(some[i], d, "number");
    opens("g", numbers[1], "path"); opens("no", numbers[1], "path"); opens("x", f, "file"); opens(".", f, "file"); opens("", f, "file");
    opens("x", numbers[3], "link"); opens("x", numbers[7], "gone"); opens(".", numbers[7], "gone"); opens("x", 777, "closed");
    return x;
}

static struct { const char *name; int n; } ends[40];
static int count;
static void end(const char *name, int n) { ends[count].name = name; ends[count++].n = n; }
static int set(int n, long at) { lseek(n, at, SEEK_SET); return n; }
static int none(int *pair, int i) { close(pair[!i]); return pair[i]; }
// Every sort of descriptor, in a fresh state.
static void fresh(void)
{
    static char big[200000] __attribute__((aligned(4096)));
    for (int i = 0; i < count; i++) close(ends[i].n);
    count = 0;
    for (unsigned i = 0; i < sizeof big; i++) big[i] = 'a' + i / 1000 % 26;
    int n = open("in", O_CREAT | O_TRUNC | O_RDWR, 0600), p[2];
    if (write(n, big, sizeof big) < 0) puts("cannot write");
    close(n);
    n = open("out", O_CREAT | O_TRUNC | O_WRONLY, 0600); if (write(n, big, 5000) < 0) puts("cannot write"); close(n);
    end("in ro", open("in", O_RDONLY)); end("in rw", open("in", O_RDWR)); end("in at the end", set(open("in", O_RDONLY), sizeof big));
    end("in behind the end", set(open("in", O_RDWR), 300000)); end("in direct", open("in", O_RDONLY | O_DIRECT)); end("in direct, odd", set(open("in", O_RDONLY | O_DIRECT), 1000));
    end("out wo", open("out", O_WRONLY)); end("out rw", set(open("out", O_RDWR), 100)); end("out append", open("out", O_RDWR | O_APPEND)); end("out direct", open("out", O_RDWR | O_DIRECT));
    end("out far", set(open("out", O_RDWR), 1L << 42)); end("out path", open("out", O_PATH)); end("out 3", open("out", 3));
    end("dir", open("d", O_RDONLY)); end("dir far", set(open("d", O_RDONLY), 0x7fffffffffffffffL)); end("dir path", open("d", O_PATH));
    end("link", open("lf", O_PATH | O_NOFOLLOW)); end("fifo", open("p", O_RDWR | O_NONBLOCK)); end("fifo path", open("p", O_PATH));
    pipe2(p, O_NONBLOCK); if (write(p[1], big, 6000) < 0) puts("cannot write"); end("pipe", p[0]); end("pipe end", p[1]);
    pipe2(p, O_NONBLOCK); end("shut pipe", none(p, 0)); pipe2(p, O_NONBLOCK); end("broken pipe", none(p, 1));
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p); end("socket", p[0]); close(p[1]);
    end("null", open("/dev/null", O_RDWR)); end("zero", open("/dev/zero", O_RDONLY));
    n = open("removed", O_CREAT | O_RDWR, 0600); unlink("removed"); if (pwrite(n, big, 7000, 0) < 0) puts("cannot write"); end("removed", n);
    n = open(".", O_TMPFILE | O_RDWR, 0600); if (pwrite(n, big, 7000, 0) < 0) puts("cannot write"); end("nameless", n); end("closed", dup(777)); 
}
static unsigned sum(const char *name)
{
    static char b[1 << 18];
    int n = open(name, O_RDONLY);
    long k = read(n, b, sizeof b);
    unsigned s = 0;
    for (long i = 0; i < k; i++) s = s * 31 + (unsigned char)b[i];
    close(n);
    return s;
}
static void moves(void)
{
    static const long lengths[] = { 0, 10, 4096, 130633, -1 }, at[] = { -2, 0, 100, 1L << 62, -1 };
    fresh();
    int sorts = count;
    for (int a = 0; a < sorts; a++)
        for (int b = 0; b < sorts; b++)
            for (int call = 0; call < 3; call++)
                for (int l = 0; l < 5; l++)
                    for (int o = 0; o < 5; o++) {
                        // Where the two are, if they are no positions.
                        long i = at[o], k = o == 1 ? 0 : o == 2 ? 4096 : at[o], *pi = i == -2 ? NULL : &i, *pk = k == -2 ? NULL : &k, r;
                        int n = ends[a].n, m = ends[b].n;
                        if (call != 1 && o == 4) continue;
                        // Into itself: what is read has been written by then.
                        struct stat s = { 0 }, t = { 1 };
                        fstat(n, &s); fstat(m, &t);
                        if (call == 0 && s.st_dev == t.st_dev && s.st_ino == t.st_ino) continue;
                        errno = 0;
                        r = call == 0 ? sendfile(m, n, pi, lengths[l]) : call == 1 ? copy_file_range(n, pi, m, pk, lengths[l], 0) : splice(n, pi, m, pk, lengths[l], SPLICE_F_NONBLOCK);
                        printf("%d %s > %s %ld at %ld: %ld %s %ld %ld", call, ends[a].name, ends[b].name, lengths[l], at[o], r, r < 0 ? strerrorname_np(errno) : "", i, k);
                        long x = lseek(n, 0, SEEK_CUR), y = lseek(m, 0, SEEK_CUR);
                        printf(" %ld %ld", x, y);
                        if (r > 0) { printf(" %u %u", sum("in"), sum("out")); fresh(); }
                        puts("");
                    }
}

// Two names, one of them perhaps in a directory that is removed.
static void removed(void)
{
    static const char *const olds[] = { "@7/x", "f", "no", "f/x", "d", "d/g" };
    static const char *const news[] = { "@7/y", "@7/y/", "f/x", "f/x/", "no/x", "new", "new/", "d/no", "d/no/", "loop/x" };
    for (unsigned i = 0; i < sizeof olds / sizeof *olds; i++)
        for (unsigned k = 0; k < sizeof news / sizeof *news; k++)
            for (int call = 0; call < 6; call++) {
                const char *o = olds[i], *n = news[k];
                int d = *o == '@' ? numbers[7] : AT_FDCWD, e = *n == '@' ? numbers[7] : AT_FDCWD;
                if (*o == '@') o += 3;
                if (*n == '@') n += 3;
                errno = 0;
                long r = call < 4 ? syscall(SYS_renameat2, d, o, e, n, call) : linkat(d, o, e, n, call == 4 ? 0 : AT_SYMLINK_FOLLOW);
                printf("%d %s %s: %s\n", call, olds[i], news[k], sure(r));
                if (r < 0) continue;
                if (call < 4) rename(n, o);
                else unlink(n);
            }
}

// Calls by descriptors that nothing can be changed through, of what lies where this user may not go.
static void on(const char *name, int n)
{
    struct iovec v = { "ab", 2 };
    struct timespec t[2] = { { 1, 2 }, { 3, 4 } };
    long o = 0;
#define T(call) do { errno = 0; long r = call; printf("%s %s: %s\n", name, #call, sure(r)); } while (0)
    T(write(n, "x", 1)); T(pwrite(n, "x", 1, 3)); T(writev(n, &v, 1)); T(pwritev(n, &v, 1, 3)); T(pwritev2(n, &v, 1, 3, RWF_APPEND)); T(ftruncate(n, 3));
    T(fallocate(n, 0, 0, 9)); T(sendfile(n, n, &o, 1)); T(copy_file_range(n, 0, n, &o, 1, 0)); T(copy_file_range(n, 0, n, &o, 0, 0));
    if (name[0] != 'p') return;
    T(fchmod(n, 0600)); T(fchown(n, -1, -1)); T(syscall(SYS_fsetxattr, n, "user.a", "1", 1, 0)); T(syscall(SYS_fremovexattr, n, "user.a")); T(futimens(n, t));
}
static void closed(void)
{
    mkdir("w", 0755); put("w/f", "data"); mkdir("w/d", 0755); mkdir("w/s", 0755); symlink("f", "w/l");
    int all[] = { open("w/f", O_RDONLY), open("w/f", O_PATH), open("w/d", O_RDONLY), open("w/d", O_PATH), open("w/l", O_PATH | O_NOFOLLOW), open("w/s", O_RDONLY), open("w/s", O_PATH), open("w", O_RDONLY) };
    static const char *const names[] = { "file", "path of a file", "directory", "path of a directory", "path of a symlink", "removed", "path of what is removed", "closed" };
    chmod("w/s", 0); rmdir("w/s"); chmod("w/d", 0); chmod("w", 0);
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        char p[80];
        on(names[i], all[i]);
        snprintf(p, sizeof p, "/proc/self/fd/%d", all[i]);
        // A nameless file is made in no such directory, and nothing is opened as one.
        if (i < 2 || i > 3) { long n = open(p, O_TMPFILE | O_RDWR, 0600); printf("%s: nameless: %s\n", names[i], sure(n)); close(n); }
        printf("%s: as a directory for change: %s\n", names[i], sure(open(p, O_RDWR | O_DIRECTORY)));
    }
    chmod("w", 0755); chmod("w/d", 0755);
}

int main(int argc, char **argv)
{
    pthread_t t;
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    umask(022); signal(SIGPIPE, SIG_IGN); signal(SIGXFSZ, SIG_IGN);
    if (argc < 2 || chdir(getenv("V"))) return 2;
    mkdir("t", 0755); mkdir("t/t", 0755); if (chdir("t/t")) return 3;
    put("f", "data"); mkdir("d", 0755); put("d/g", "more"); mkfifo("p", 0644);
    symlink("f", "lf"); symlink("d", "ld"); symlink("new", "dang"); symlink("loop", "loop"); symlink("p", "lp");
    symlink("d/", "lds"); symlink("f/", "lfs"); symlink("dang/", "lls"); symlink("./round/", "round"); symlink("no/x/", "lno"); symlink("far/", "to"); symlink("no/x", "far");
    int reader = open("p", O_RDWR);
    if (!strcmp(argv[1], "moves")) { moves(); return 0; }
    if (!strcmp(argv[1], "closed")) { closed(); return 0; }
    by_openat2 = argc > 2 && !strncmp(argv[2], "openat2", 7);
    if (argc > 2 && !strcmp(argv[2], "openat2.beneath")) beneath = RESOLVE_BENEATH;
    open_kept();
    if (!strcmp(argv[1], "removed")) { removed(); return 0; }
    if (argc > 3 && !strcmp(argv[3], "threads")) { pthread_create(&t, NULL, nothing, NULL); pthread_join(t, NULL); }
    all_opens(NULL);
    close(reader);
    return 0;
}

/* Random conflicting calls for tests/races.rs and tests/storms.rs:
 *     chaos PROCESSES THREADS SECONDS|rROUNDS SEED [double|storm]
 * V is the tree, A and B its legs' own paths (V alone: a plain directory). With `double` A and B are two
 * plain trees, and each call is made on both without any lock: the mirror written by hand.
 * `storm`: processes, their forked and their spawned children are killed at random and left as zombies; a
 * child goes on with what it inherited when its parent is gone.
 * Exit 0 unless a call gave an error that a plain directory does not give. Prints what succeeded. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { PUT, OPEN, WRITE, PWRITE, WRITEV, FTRUNCATE, FALLOCATE, FCHMOD, FUTIMENS, FXATTR, READ, DUP2, CLOSE, TRUNCATE,
       CHMOD, UTIMENS, XATTR, LINK, SYMLINK, UNLINK, RENAME, NOREPLACE, EXCHANGE, MKDIR, RMDIR, TREE_RENAME,
       TREE_EXCHANGE, DEEP, CLEAR, DIRFD, CHDIR, SETFL, LOOK, FORK, SPAWN, OPS };
static const struct { const char *name; int weight; } op_table[OPS] = {
    [PUT] = { "put", 14 }, [OPEN] = { "open", 8 }, [WRITE] = { "write", 10 }, [PWRITE] = { "pwrite", 5 },
    [WRITEV] = { "writev", 5 }, [FTRUNCATE] = { "ftruncate", 3 }, [FALLOCATE] = { "fallocate", 1 },
    [FCHMOD] = { "fchmod", 2 }, [FUTIMENS] = { "futimens", 2 }, [FXATTR] = { "fxattr", 2 }, [READ] = { "read", 6 },
    [DUP2] = { "dup2", 4 }, [CLOSE] = { "close", 2 }, [TRUNCATE] = { "truncate", 4 }, [CHMOD] = { "chmod", 5 },
    [UTIMENS] = { "utimens", 4 }, [XATTR] = { "xattr", 4 }, [LINK] = { "link", 5 }, [SYMLINK] = { "symlink", 3 },
    [UNLINK] = { "unlink", 9 }, [RENAME] = { "rename", 8 }, [NOREPLACE] = { "noreplace", 3 },
    [EXCHANGE] = { "exchange", 4 }, [MKDIR] = { "mkdir", 8 }, [RMDIR] = { "rmdir", 5 },
    [TREE_RENAME] = { "tree_rename", 6 }, [TREE_EXCHANGE] = { "tree_exchange", 4 }, [DEEP] = { "deep", 8 },
    [CLEAR] = { "clear", 2 }, [DIRFD] = { "dirfd", 3 }, [CHDIR] = { "chdir", 2 }, [SETFL] = { "setfl", 1 }, [LOOK] = { "look", 4 }, [FORK] = { "fork", 1 }, [SPAWN] = { "spawn", 1 },
};
enum { SLOTS = 6, SLOT = 100, NAME = 200 };
/* One call with all its arguments, so that it can be made twice. */
struct call { int op, way, s, s2, flag; unsigned mode; long off, len; char x[NAME], y[NAME]; };
struct me { uint64_t rng; int who, thread, depth, dirfd; char buf[3000]; };

extern char **environ;
static const char *self, *root[3]; /* V, A, B */
static int doubled, storm, rounds;
static double end;
static uint64_t seed;
static struct { long done[OPS], failed; } *shared;

static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static uint64_t rnd(struct me *m) { m->rng ^= m->rng << 13; m->rng ^= m->rng >> 7; m->rng ^= m->rng << 17; return m->rng; }
static uint64_t below(struct me *m, uint64_t n) { return (rnd(m) >> 11) % n; }

/* Counts a success; ends the process on an error that is not in the list (ended by 0). */
static long check(struct me *m, struct call *c, const char *what, long r, ...)
{
    int e = errno, ok;
    va_list list;
    if (r >= 0) { __atomic_fetch_add(&shared->done[c->op], 1, __ATOMIC_RELAXED); return r; }
    va_start(list, r);
    while ((ok = va_arg(list, int)) && ok != e) ;
    va_end(list);
    if (!ok) {
        char line[600];
        int n = snprintf(line, sizeof line, "seed %lu process %d.%d: %s of %s (way %d x %s y %s flag %d): %s\n", seed,
            m->who, m->thread, what, op_table[c->op].name, c->way, c->x, c->y, c->flag, strerrorname_np(e));
        write(2, line, n);
        __atomic_fetch_add(&shared->failed, 1, __ATOMIC_RELAXED);
        _exit(3);
    }
    errno = e;
    return r;
}
#define PATH_ERRORS ENOENT, ENOTDIR, ELOOP

/* A path: up to three directories, then one of eight names or a directory's. */
static void pick(struct me *m, char *out, int tree)
{
    static const char *const dirs[] = { "d0", "d1", "d2", "e0", "e1" };
    static const char *const chain[] = { "", "", "d0/", "d0/", "d0/d1/", "d0/d1/d2/", "e0/", "e0/e1/", "e0/d1/", "d0/e1/d2/", "e0/d0/d1/" };
    strcpy(out, chain[below(m, sizeof chain / sizeof *chain)]);
    if (below(m, 25) == 0) strcat(out, "d1/../");
    char leaf[8] = { 'a' + below(m, 8), 0 };
    strcat(out, tree || below(m, 6) == 0 ? dirs[below(m, 5)] : leaf);
}

static void draw(struct me *m, struct call *c)
{
    static int total;
    if (!total) { int t = 0; for (int i = 0; i < OPS; i++) t += op_table[i].weight; total = t; }
    int n = below(m, total);
    for (c->op = 0; n >= op_table[c->op].weight; c->op++) n -= op_table[c->op].weight;
    c->way = below(m, 6); c->s = below(m, SLOTS); c->s2 = below(m, SLOTS);
    c->flag = below(m, 1024); c->mode = 0700 | below(m, 0100) | (below(m, 4) ? 0 : 02000);
    c->off = below(m, 4000); c->len = 1 + below(m, below(m, 8) ? 100 : sizeof m->buf - 1);
    pick(m, c->x, c->op == TREE_RENAME || c->op == TREE_EXCHANGE || c->op == MKDIR || c->op == RMDIR);
    pick(m, c->y, c->op == TREE_RENAME || c->op == TREE_EXCHANGE);
}

/* The name of a call on a leg: through V, a leg's own path, the cwd, or a held directory. */
static int at(struct me *m, struct call *c, int leg, const char *rel, char *out)
{
    int base = doubled ? 1 + leg : c->way >= 1 && c->way <= 3 ? c->way - 1 : -1;
    if (base >= 0) { snprintf(out, 2 * NAME, "%s/%s", root[base], rel); return AT_FDCWD; }
    strcpy(out, rel);
    return c->way == 4 && m->dirfd >= 0 ? m->dirfd : AT_FDCWD;
}

static int slot(int leg, int s) { return SLOT + 100 * leg + s; }

/* posix_spawn of a small writer: this program again. */
static void spawn_writer(struct me *m, struct call *c, const char *path)
{
    pid_t p;
    int st;
    char *argv[] = { (char *)self, "writer", (char *)path, NULL };
    posix_spawn_file_actions_t fa;
    posix_spawn_file_actions_init(&fa);
    /* Half of them write through a descriptor that the child opens before its exec. */
    if (c->flag & 1) posix_spawn_file_actions_addopen(&fa, SLOT - 1, path, O_WRONLY | O_APPEND | O_CREAT, 0644);
    int e = posix_spawn(&p, self, &fa, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    if (e) { errno = e; check(m, c, "posix_spawn", -1, PATH_ERRORS, EISDIR, 0); return; }
    if (storm && c->flag & 2) { usleep(c->off); kill(p, SIGKILL); }
    if (storm && c->flag & 4) return;
    while (waitpid(p, &st, 0) < 0 && errno == EINTR) ;
    if (st && !(storm && st == SIGKILL)) { errno = EIO; check(m, c, "the spawned writer", -1, 0); }
    check(m, c, "spawn", 0, 0);
}

static void run(struct me *m, int n);
static void apply(struct me *m, struct call *c, int leg)
{
    char x[2 * NAME], y[2 * NAME], part[2 * NAME];
    int dx = at(m, c, leg, c->x, x), dy = at(m, c, leg, c->y, y), n, k;
    int s = slot(leg, c->s), s2 = slot(leg, c->s2), f = c->flag;
    struct timespec t[2] = { { 5, 5 }, { 1000000 + c->off, c->len } };
    struct iovec v[2] = { { m->buf, c->len / 2 }, { m->buf + c->len / 2, c->len - c->len / 2 } };
    if (dx != AT_FDCWD && (c->op == TRUNCATE || c->op == XATTR || c->op == CHDIR || c->op == SPAWN)) dx = AT_FDCWD;
    switch (c->op) {
    case PUT:
        n = openat(dx, x, O_CREAT | O_WRONLY | (f & 1 ? O_APPEND : 0) | (f & 2 ? O_TRUNC : 0) | (f % 16 == 5 ? O_EXCL : 0), c->mode & 0777);
        if (check(m, c, "open", n, PATH_ERRORS, EISDIR, f % 16 == 5 ? EEXIST : 0, 0) < 0) break;
        if (f & 4) check(m, c, "write", write(n, m->buf, c->len), 0);
        if (f & 8) check(m, c, "pwrite", pwrite(n, m->buf, c->len, c->off), 0);
        close(n);
        break;
    case OPEN: /* always over a live number: dup2 of a fresh descriptor */
        n = openat(dx, x, (f & 1 ? O_RDWR : O_WRONLY) | (f & 2 ? O_CREAT : 0) | (f & 4 ? O_APPEND : 0) | (f % 64 == 8 ? O_TRUNC : 0), 0640);
        if (check(m, c, "open", n, PATH_ERRORS, EISDIR, 0) < 0) break;
        check(m, c, "dup2", dup2(n, s), 0);
        close(n);
        break;
    case WRITE: check(m, c, "write", write(s, m->buf, c->len), EBADF, 0); break;
    case PWRITE: check(m, c, "pwrite", f & 1 ? pwrite(s, m->buf, c->len, c->off) : pwritev(s, v, 2, c->off), EBADF, 0); break;
    case WRITEV: check(m, c, "writev", writev(s, v, 2), EBADF, 0); break;
    case FTRUNCATE: check(m, c, "ftruncate", ftruncate(s, c->off), EBADF, 0); break;
    case FALLOCATE: check(m, c, "fallocate", fallocate(s, f & 1 ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : 0, c->off, c->len), EBADF, 0); break;
    case FCHMOD: check(m, c, "fchmod", fchmod(s, c->mode & 0777), EBADF, 0); break;
    case FUTIMENS: check(m, c, "futimens", futimens(s, f & 1 ? t : NULL), EBADF, 0); break;
    case FXATTR: check(m, c, "fxattr", f & 1 ? fsetxattr(s, f & 2 ? "user.k" : "user.l", m->buf, 1 + c->len % 40, 0) : fremovexattr(s, f & 2 ? "user.k" : "user.l"), EBADF, ENODATA, 0); break;
    case READ: /* moves a position that writers share */
        if (f & 1) check(m, c, "lseek", lseek(s, f & 2 ? 0 : c->off, SEEK_SET), EBADF, 0);
        else check(m, c, "read", read(s, y, 8), EBADF, 0);
        break;
    case DUP2: check(m, c, "dup2", f & 1 ? dup2(s, s2) : dup3(s, s2, O_CLOEXEC), EBADF, EINVAL, 0);
        if ((f & 14) == 0 && (n = dup(s)) >= 0) { check(m, c, "write to a dup", write(n, m->buf, 9), EBADF, 0); close(n); }
        break;
    case CLOSE: if (m->depth) check(m, c, "close", close(s), EBADF, 0); break; /* threads would write to whatever comes next */
    case TRUNCATE: check(m, c, "truncate", truncate(x, c->off), PATH_ERRORS, EISDIR, 0); break;
    case CHMOD: check(m, c, "chmod", f & 1 ? fchmodat(dx, x, c->mode, 0) : dx == AT_FDCWD ? chmod(x, c->mode) : fchmodat(dx, x, c->mode, 0), PATH_ERRORS, 0); break;
    case UTIMENS: check(m, c, "utimensat", utimensat(dx, x, f & 1 ? t : NULL, f & 2 ? AT_SYMLINK_NOFOLLOW : 0), PATH_ERRORS, 0); break;
    case XATTR:
        if (f & 1) check(m, c, "setxattr", (f & 2 ? setxattr : lsetxattr)(x, "user.k", m->buf, 1 + c->len % 40, f % 16 == 4 ? XATTR_CREATE : 0), PATH_ERRORS, EEXIST, f & 2 ? 0 : EPERM, 0);
        else check(m, c, "removexattr", (f & 2 ? removexattr : lremovexattr)(x, "user.k"), PATH_ERRORS, ENODATA, f & 2 ? 0 : EPERM, 0);
        break;
    case LINK: check(m, c, "link", linkat(dx, x, dy, y, f % 4 == 1 ? AT_SYMLINK_FOLLOW : 0), PATH_ERRORS, EEXIST, EPERM, 0); break;
    case SYMLINK:
        if (!doubled && f % 8 == 1) snprintf(part, sizeof part, "%s/%s", root[0], c->x); else strcpy(part, c->x);
        check(m, c, "symlink", symlinkat(part, dy, y), PATH_ERRORS, EEXIST, 0);
        break;
    case UNLINK: check(m, c, "unlink", unlinkat(dx, x, 0), PATH_ERRORS, EISDIR, 0); break;
    case RENAME: case TREE_RENAME: check(m, c, "rename", renameat(dx, x, dy, y), PATH_ERRORS, EEXIST, ENOTEMPTY, EISDIR, EINVAL, 0); break;
    case NOREPLACE: check(m, c, "noreplace", renameat2(dx, x, dy, y, RENAME_NOREPLACE), PATH_ERRORS, EEXIST, EINVAL, 0); break;
    case EXCHANGE: case TREE_EXCHANGE: check(m, c, "exchange", renameat2(dx, x, dy, y, RENAME_EXCHANGE), PATH_ERRORS, EINVAL, ENOTEMPTY, 0); break;
    case MKDIR: check(m, c, "mkdir", mkdirat(dx, x, c->mode), PATH_ERRORS, EEXIST, 0); break;
    case RMDIR: check(m, c, "rmdir", unlinkat(dx, x, AT_REMOVEDIR), PATH_ERRORS, ENOTEMPTY, 0); break;
    case DEEP: /* a whole chain, then a file at its end: against renames of what is above */
        strcpy(part, x);
        for (char *p = part + (dx == AT_FDCWD && part[0] == '/' ? strlen(root[doubled ? 1 + leg : c->way - 1]) + 1 : 0); (p = strchr(p, '/')); p++) {
            *p = 0;
            check(m, c, "mkdir", mkdirat(dx, part, 0755), PATH_ERRORS, EEXIST, 0);
            *p = '/';
        }
        n = openat(dx, x, O_CREAT | O_RDWR | (f & 1 ? O_TRUNC : 0), 0644);
        if (check(m, c, "open", n, PATH_ERRORS, EISDIR, 0) < 0) break;
        check(m, c, "write", write(n, m->buf, c->len), 0);
        check(m, c, "fchmod", fchmod(n, c->mode & 0777), 0);
        close(n);
        break;
    case CLEAR: /* rm -r of one directory */
        strcpy(part, x);
        if (!strrchr(part, '/')) break;
        for (k = 0; k < 8; k++) { char *p = strrchr(part, '/'); p[1] = 'a' + k; p[2] = 0; check(m, c, "unlink", unlinkat(dx, part, 0), PATH_ERRORS, EISDIR, 0); }
        if (strchr(c->x, '/')) { *strrchr(part, '/') = 0; check(m, c, "rmdir", unlinkat(dx, part, AT_REMOVEDIR), PATH_ERRORS, ENOTEMPTY, EINVAL, 0); }
        break;
    case DIRFD:
        if (doubled) break;
        n = openat(dx, x, (f & 1 ? O_PATH : O_RDONLY) | O_DIRECTORY | O_CLOEXEC);
        if (check(m, c, "open a directory", n, PATH_ERRORS, 0) < 0) break;
        if (m->dirfd >= 0) close(m->dirfd);
        m->dirfd = n;
        break;
    case CHDIR: if (!doubled) check(m, c, "chdir", chdir(f & 1 ? root[0] : x), PATH_ERRORS, 0); break;
    case SETFL: check(m, c, "fcntl", fcntl(s, F_SETFL, f & 1 ? O_APPEND : 0), EBADF, 0); break;
    case LOOK: {
        struct stat st;
        check(m, c, "fstatat", fstatat(dx, x, &st, 0), PATH_ERRORS, 0);
        n = openat(dx, x, O_RDONLY | O_NONBLOCK);
        if (check(m, c, "open to read", n, PATH_ERRORS, 0) < 0) break;
        check(m, c, "read", read(n, y, 100), EISDIR, 0);
        close(n);
        break;
    }
    case FORK: {
        int st;
        if (m->depth) break;
        pid_t p = fork();
        if (p == 0) { struct me child = *m; child.depth = 1; child.rng ^= 0x9e3779b97f4a7c15 * (unsigned)(f + 1); run(&child, 5 + f % 20); _exit(0); }
        check(m, c, "fork", p, 0);
        if (storm && f & 1) { usleep(c->off / 2); kill(p, SIGKILL); }
        if (storm && f & 2) break;
        while (waitpid(p, &st, 0) < 0 && errno == EINTR) ;
        if (st && !(storm && st == SIGKILL)) { errno = EIO; check(m, c, "the forked child", -1, 0); }
        break;
    }
    case SPAWN: if (!doubled) spawn_writer(m, c, x); break;
    }
}

static void run(struct me *m, int n)
{
    struct call c;
    memset(&c, 0, sizeof c);
    for (int i = 0; n ? i < n : rounds ? i < rounds : now() < end; i++) {
        draw(m, &c);
        if (c.op == FORK && doubled) continue;
        for (int leg = 0; leg <= doubled; leg++) { apply(m, &c, leg); if (doubled && below(m, 4) == 0) sched_yield(); }
    }
}

static void *thread(void *p)
{
    run(p, 0);
    return NULL;
}

/* Descriptors that all threads share and that are never closed: only put on other files. */
static void process(int who, int threads)
{
    pthread_t t[64];
    struct me *m = calloc(threads, sizeof *m);
    if (chdir(root[0])) exit(2);
    for (int leg = 0; leg <= doubled; leg++)
        for (int s = 0; s < SLOTS; s++) {
            char name[2 * NAME];
            snprintf(name, sizeof name, "%s/%c", root[doubled ? 1 + leg : 0], 's' + s);
            int n = open(name, O_RDWR | O_CREAT, 0644);
            if (n < 0 || dup2(n, slot(leg, s)) < 0 || close(n)) exit(2);
        }
    for (int i = 0; i < threads; i++) {
        m[i].who = who; m[i].thread = i; m[i].dirfd = -1;
        m[i].rng = (seed + 1) * 0x9e3779b97f4a7c15 ^ (uint64_t)(who * 64 + i + 1) * 0xbf58476d1ce4e5b9;
        for (int k = 0; k < 20; k++) rnd(&m[i]);
        memset(m[i].buf, 'A' + (who * threads + i) % 58, sizeof m[i].buf);
        pthread_create(&t[i], NULL, thread, &m[i]);
    }
    for (int i = 0; i < threads; i++) pthread_join(t[i], NULL);
    exit(0);
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "writer")) {
        int n = open(argv[2], O_WRONLY | O_APPEND | O_CREAT, 0644);
        if (write(SLOT - 1, "inherited\n", 10) < 0 && errno != EBADF) return 4;
        return n >= 0 && write(n, "spawned\n", 8) != 8;
    }
    if (argc < 5) return 2;
    int processes = atoi(argv[1]), threads = atoi(argv[2]), st, bad = 0;
    if (argv[3][0] == 'r') rounds = atoi(argv[3] + 1); else end = now() + atof(argv[3]);
    seed = strtoull(argv[4], NULL, 0);
    doubled = argc > 5 && !strcmp(argv[5], "double");
    storm = argc > 5 && !strcmp(argv[5], "storm");
    self = realpath("/proc/self/exe", NULL);
    root[0] = getenv("V"); root[1] = getenv("A"); root[2] = getenv("B");
    for (int i = 1; i < 3; i++) if (!root[i]) root[i] = root[0];
    umask(022);
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[64];
    /* Orphans become ours; nobody is reaped before the end. */
    if (storm) prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int i = 0; i < processes; i++) if ((pids[i] = fork()) == 0) process(i, threads);
    for (unsigned k = seed; storm && now() < end; k = k * 1103515245 + 12345) {
        usleep(2000 + (k >> 8) % 30000);
        int i = (k >> 20) % processes;
        kill(pids[i], SIGKILL);
        if ((pids[i] = fork()) == 0) process(i + 64 * (k % 1000), threads);
    }
    while (wait(&st) > 0)
        if (st && !(storm && (st == SIGKILL || st == 127 << 8))) { /* 127: a spawned child without a parent */
            fprintf(stderr, "seed %lu: a process ended with status %x\n", seed, st); bad = 1; }
    for (int i = 0; i < OPS; i++) printf("%s %ld\n", op_table[i].name, shared->done[i]);
    return bad || shared->failed;
}

// Hard cases of writable shared mappings: names that come and go, signals, threads, limits, ends.
//   mapped CASE       one case in the directory $V; what it prints is compared with a plain directory's
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul
#define RW (PROT_READ | PROT_WRITE)

static const char *v;
static const char *path(const char *name) {
    static char p[4][4096];
    static int i;
    snprintf(p[i = (i + 1) & 3], 4096, "%s/%s", v, name);
    return p[i];
}
static void say(const char *what, long r) {
    printf("%s %s\n", what, r == -1 ? strerror(errno) : "ok");
    fflush(stdout);
}
static int file(const char *name, long size) {
    int f = open(path(name), O_CREAT | O_RDWR, 0644);
    if (f < 0 || ftruncate(f, size)) say("file", -1);
    return f;
}
static char *map(int f, long len, long off, int prot) {
    char *m = mmap(0, len, prot, MAP_SHARED, f, off);
    say("mmap", m == MAP_FAILED ? -1 : 0);
    if (m == MAP_FAILED) exit(3);
    return m;
}

// Both legs' files, seen by somebody without the mirror.
static void compare(const char *name) {
    char cmd[9000];
    const char *b = getenv("B");
    if (!b) {
        printf("equal\n");
        return;
    }
    fflush(stdout);
    snprintf(cmd, sizeof cmd, "env -u LD_PRELOAD cmp %s/%s %s/%s && echo equal", v, name, b, name);
    if (system(cmd)) printf("different\n");
}

static const char *number(int f) {
    static char p[64];
    snprintf(p, sizeof p, "/proc/self/fd/%d", f);
    return p;
}

static void give(int s, int f) {
    char c = 'x', room[CMSG_SPACE(sizeof f)] = {0};
    struct iovec io = {&c, 1};
    struct msghdr h = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *m = CMSG_FIRSTHDR(&h);
    m->cmsg_level = SOL_SOCKET;
    m->cmsg_type = SCM_RIGHTS;
    m->cmsg_len = CMSG_LEN(sizeof f);
    memcpy(CMSG_DATA(m), &f, sizeof f);
    if (sendmsg(s, &h, 0) != 1) say("sendmsg", -1);
}
static int take(int s) {
    int f = -1;
    char c, room[CMSG_SPACE(sizeof f)];
    struct iovec io = {&c, 1};
    struct msghdr h = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    if (recvmsg(s, &h, 0) != 1) say("recvmsg", -1);
    struct cmsghdr *m = CMSG_FIRSTHDR(&h);
    if (m) memcpy(&f, CMSG_DATA(m), sizeof f);
    return f;
}

static char *volatile at;
static volatile int count;
static void syncs(int s) {
    (void)s;
    at[count % 3 * PAGE + 1]++;
    if (msync(at, 3 * PAGE, MS_SYNC)) _exit(4);
    count++;
}
static sigjmp_buf back;
static void bus(int s) {
    (void)s;
    siglongjmp(back, 1);
}
static void *syncs_on(void *p) {
    (void)p;
    for (;;) {
        at[5]++;
        msync(at, 3 * PAGE, MS_SYNC);
        pthread_testcancel();
    }
}
static void *unmaps(void *p) {
    char *m = p;
    m[7] = 't';
    return (void *)(long)munmap(m, 3 * PAGE);
}
static void *forks(void *p) {
    for (int i = 0; i < 15; i++) {
        pid_t k = fork();
        if (!k) {
            ((char *)p)[i] = 'a' + i;
            if (i % 3 == 0) kill(getpid(), SIGKILL);
            if (i % 3 == 1) munmap(p, 3 * PAGE);
            _exit(0);
        }
        waitpid(k, 0, 0);
    }
    return 0;
}

static int one(const char *what) {
    int f;
    char *m;
#define CASE(name) else if (!strcmp(what, name))
    if (0) {
    }
    CASE("tmpfile") {
        f = open(v, O_TMPFILE | O_RDWR, 0644);
        say("tmpfile", f);
        say("ftruncate", ftruncate(f, 3 * PAGE));
        m = map(f, 3 * PAGE, 0, RW);
        m[0] = 'a';
        say("link", linkat(AT_FDCWD, number(f), AT_FDCWD, path("t"), AT_SYMLINK_FOLLOW));
        m[PAGE] = 'b';
        say("msync", msync(m, 3 * PAGE, MS_SYNC));
        compare("t");
        m[PAGE + 1] = 'c';
        say("munmap", munmap(m, 3 * PAGE));
        compare("t");
        close(f);
        f = open(v, O_TMPFILE | O_RDWR, 0644);
        say("ftruncate", ftruncate(f, 3 * PAGE));
        m = map(f, 3 * PAGE, 0, RW);
        m[1] = 'd';
        say("link", linkat(f, "", AT_FDCWD, path("u"), AT_EMPTY_PATH));
        m[2] = 'e';
        close(f);
        say("munmap", munmap(m, 3 * PAGE));
        compare("u");
    }
    CASE("tmpfile_of_another") {
        // What another process has opened and passes on has no partner.
        int s[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, s)) return 1;
        fflush(stdout);
        if (!fork()) {
            f = open(v, O_TMPFILE | O_RDWR, 0644);
            if (ftruncate(f, 3 * PAGE)) _exit(1);
            give(s[1], f);
            _exit(0);
        }
        f = take(s[0]);
        m = mmap(0, 3 * PAGE, RW, MAP_SHARED, f, 0);
        if (m == MAP_FAILED) {
            printf("refused %s\n", strerror(errno));
            return 0;
        }
        m[0] = 'a';
        say("link", linkat(AT_FDCWD, number(f), AT_FDCWD, path("t"), AT_SYMLINK_FOLLOW));
        m[PAGE] = 'b';
        say("msync", msync(m, 3 * PAGE, MS_SYNC));
        compare("t");
    }
    CASE("tmpfile_of_a_mapper") {
        // Who has it mapped is not who gives it a name.
        int s[2];
        char c;
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, s)) return 1;
        fflush(stdout);
        pid_t k = fork();
        if (!k) {
            close(s[0]);
            f = open(v, O_TMPFILE | O_RDWR, 0644);
            if (ftruncate(f, 3 * PAGE)) _exit(1);
            m = map(f, 3 * PAGE, 0, RW);
            give(s[1], f);
            if (read(s[1], &c, 1) != 1) _exit(1);
            m[0] = 'x';
            _exit(0);
        }
        close(s[1]);
        f = take(s[0]);
        int r = linkat(AT_FDCWD, number(f), AT_FDCWD, path("t"), AT_SYMLINK_FOLLOW);
        printf("%s\n", r ? errno == EXDEV ? "refused" : strerror(errno) : "linked");
        if (write(s[0], "x", 1) != 1) return 1;
        waitpid(k, 0, 0);
    }
    CASE("tmpfile_killed") {
        f = open(v, O_TMPFILE | O_RDWR, 0644);
        if (ftruncate(f, 3 * PAGE)) return 1;
        m = map(f, 3 * PAGE, 0, RW);
        say("link", linkat(AT_FDCWD, number(f), AT_FDCWD, path("t"), AT_SYMLINK_FOLLOW));
        m[0] = 'k';
        kill(getpid(), SIGKILL);
    }
    CASE("received") {
        int s[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, s)) return 1;
        fflush(stdout);
        if (!fork()) {
            f = file("f", 3 * PAGE);
            give(s[1], f);
            _exit(0);
        }
        f = take(s[0]);
        m = map(f, 3 * PAGE, 0, RW);
        m[PAGE] = 'b';
        say("msync", msync(m, 3 * PAGE, MS_SYNC));
        compare("f");
        m[2 * PAGE] = 'b';
        close(f);
        say("munmap", munmap(m, 3 * PAGE));
        compare("f");
    }
    CASE("relink") {
        m = map(f = file("f", 3 * PAGE), 3 * PAGE, 0, RW);
        m[0] = 'a';
        say("unlink", unlink(path("f")));
        m[1] = 'b';
        say("link", linkat(AT_FDCWD, number(f), AT_FDCWD, path("g"), AT_SYMLINK_FOLLOW));
        say("link", linkat(f, "", AT_FDCWD, path("g"), AT_EMPTY_PATH));
        say("msync", msync(m, 3 * PAGE, MS_SYNC));
        // With another name it can be linked by the number.
        int g = file("h", 3 * PAGE);
        char *o = map(g, 3 * PAGE, 0, RW);
        say("link", link(path("h"), path("i")));
        say("unlink", unlink(path("h")));
        o[1] = 'c';
        say("link", linkat(AT_FDCWD, number(g), AT_FDCWD, path("j"), AT_SYMLINK_FOLLOW));
        o[2] = 'd';
        say("munmap", munmap(o, 3 * PAGE));
        compare("i");
        compare("j");
    }
    CASE("replaced") {
        m = map(f = file("f", 3 * PAGE), 3 * PAGE, 0, RW);
        int g = file("g", 3 * PAGE);
        if (pwrite(g, "new", 3, 0) != 3) return 1;
        m[0] = 'a';
        say("rename", rename(path("g"), path("f")));
        m[1] = 'b';
        say("munmap", munmap(m, 3 * PAGE));
        compare("f");
    }
    CASE("signals") {
        at = map(f = file("f", 3 * PAGE), 3 * PAGE, 0, RW);
        struct sigaction a = {.sa_handler = syncs};
        sigaction(SIGALRM, &a, 0);
        struct itimerval t = {{0, 700}, {0, 700}};
        setitimer(ITIMER_REAL, &t, 0);
        for (int i = 0; count < 60; i++) {
            at[9]++;
            if (msync(at, 3 * PAGE, MS_SYNC) && errno != EINTR) say("msync", -1);
            if (i % 4 == 0) fsync(f);
        }
        struct itimerval none = {0};
        setitimer(ITIMER_REAL, &none, 0);
        say("munmap", munmap(at, 3 * PAGE));
        // Their numbers differ from run to run.
        say("pwrite", pwrite(f, "\0", 1, 9) - 1);
        for (int i = 0; i < 3; i++) say("pwrite", pwrite(f, "\0", 1, i * PAGE + 1) - 1);
        compare("f");
    }
    CASE("cancel") {
        at = map(f = file("f", 3 * PAGE), 3 * PAGE, 0, RW);
        for (int i = 0; i < 20; i++) {
            pthread_t t;
            pthread_create(&t, 0, syncs_on, 0);
            usleep(500 * i);
            pthread_cancel(t);
            pthread_join(t, 0);
        }
        at[5] = 0;
        say("munmap", munmap(at, 3 * PAGE));
        compare("f");
    }
    CASE("stack") {
        m = map(f = file("f", 3 * PAGE), 3 * PAGE, 0, RW);
        pthread_attr_t a;
        pthread_attr_init(&a);
        say("size", -(pthread_attr_setstacksize(&a, 16384) != 0));
        pthread_t t;
        void *r = 0;
        pthread_create(&t, &a, unmaps, m);
        pthread_join(t, &r);
        say("munmap", (long)r);
        compare("f");
    }
    CASE("storm") {
        m = map(f = file("f", 3 * PAGE), 3 * PAGE, 0, RW);
        pthread_t t[3];
        for (int i = 0; i < 3; i++) pthread_create(t + i, 0, forks, m + i * 0);
        for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
        say("msync", msync(m, 3 * PAGE, MS_SYNC));
        compare("f");
        say("munmap", munmap(m, 3 * PAGE));
    }
    CASE("bus") {
        m = map(f = file("f", 3 * PAGE), 3 * PAGE, 0, RW);
        m[0] = 'a';
        signal(SIGBUS, bus);
        say("ftruncate", ftruncate(f, 0));
        if (sigsetjmp(back, 1)) {
            printf("bus\n");
        } else {
            m[PAGE] = 'x';
            printf("stored\n");
        }
        say("msync", msync(m, 3 * PAGE, MS_SYNC));
        say("ftruncate", ftruncate(f, 2 * PAGE));
        m[PAGE] = 'y';
        say("munmap", munmap(m, 3 * PAGE));
        compare("f");
    }
    CASE("private") {
        f = file("f", 3 * PAGE);
        m = mmap(0, 3 * PAGE, RW, MAP_PRIVATE, f, 0);
        m[0] = 'p';
        char *o = map(f, 3 * PAGE, 0, RW);
        o[1] = 's';
        say("msync", msync(m, 3 * PAGE, MS_SYNC));
        printf("%d %d\n", o[0], m[1]);
        o = mmap(o, PAGE, RW, MAP_PRIVATE | MAP_FIXED, f, 0);
        o[2] = 'q';
        say("munmap", munmap(o, 3 * PAGE));
        compare("f");
    }
    CASE("space") {
        // Little room for addresses and descriptors.
        f = file("f", 64 * PAGE);
        m = map(f, 4 * PAGE, 0, RW);
        struct rlimit l = {6, 6};
        say("limit", setrlimit(RLIMIT_NOFILE, &l));
        m[PAGE] = 'a';
        say("msync", msync(m, 4 * PAGE, MS_SYNC));
        char *o = mmap(0, 4 * PAGE, RW, MAP_SHARED, f, 60 * PAGE);
        say("mmap", o == MAP_FAILED ? -1 : 0);
        if (o == MAP_FAILED) return 0;
        o[3 * PAGE] = 'b';
        say("munmap", munmap(o, 4 * PAGE));
        say("munmap", munmap(m, 4 * PAGE));
        compare("f");
    }
    CASE("address_space") {
        f = file("f", 4096 * PAGE);
        m = map(f, 4 * PAGE, 0, RW);
        m[PAGE] = 'a';
        struct rlimit l = {1 << 20, 1 << 20};
        say("limit", setrlimit(RLIMIT_AS, &l));
        char *o = mmap(0, 2048 * PAGE, RW, MAP_SHARED, f, 0);
        say("mmap", o == MAP_FAILED ? -1 : 0);
        m[2 * PAGE] = 'b';
        say("msync", msync(m, 4 * PAGE, MS_SYNC));
        say("munmap", munmap(m, 4 * PAGE));
    }
    CASE("advice") {
        m = map(f = file("f", 4 * PAGE), 4 * PAGE, 0, RW);
        memset(m, 'a', 4 * PAGE);
        say("dontneed", madvise(m + PAGE, PAGE, MADV_DONTNEED));
        printf("%c\n", m[PAGE]);
        m[PAGE + 1] = 'b';
        say("free", madvise(m, PAGE, MADV_FREE));
        say("munmap", munmap(m, 4 * PAGE));
        compare("f");
    }
    CASE("part") {
        m = map(f = file("f", 8 * PAGE), 8 * PAGE, 0, RW);
        close(f);
        m[3 * PAGE] = 'a';
        char *o = mremap(m + 3 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
                         mmap(0, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        say("mremap", o == MAP_FAILED ? -1 : 0);
        o[PAGE] = 'b';
        m[0] = 'c';
        m[7 * PAGE] = 'd';
        say("munmap", munmap(m, 8 * PAGE));
        o[PAGE + 1] = 'e';
        // A size of 0 makes a second mapping of the same.
        char *p = mremap(o, 0, 2 * PAGE, MREMAP_MAYMOVE);
        say("mremap", p == MAP_FAILED ? -1 : 0);
        say("munmap", munmap(o, 2 * PAGE));
        p[PAGE + 2] = 'f';
        say("msync", msync(p, 2 * PAGE, MS_SYNC));
        p[PAGE + 3] = 'g';
        say("munmap", munmap(p, 2 * PAGE));
        compare("f");
    }
    CASE("posix_spawn") {
        m = map(f = file("f", 2 * PAGE), 2 * PAGE, 0, RW);
        m[PAGE] = 'e';
        pid_t k;
        char *a[] = {"mapped", "store_more", 0};
        extern char **environ;
        int r = posix_spawn(&k, "/proc/self/exe", 0, 0, a, environ), end = 1;
        // What the child says comes first.
        waitpid(k, &end, 0);
        say("spawn", -(r || end));
        m[PAGE + 2] = 'g';
        say("munmap", munmap(m, 2 * PAGE));
        compare("f");
    }
    CASE("store_more") {
        m = map(f = open(path("f"), O_RDWR), 2 * PAGE, 0, RW);
        m[PAGE + 1] = 'f';
    }
    CASE("hundreds") {
        // More than can be mapped so: what is refused is told.
        int n = 0;
        for (int i = 0; i < 300; i++) {
            char name[20];
            sprintf(name, "f%d", i);
            int g = file(name, PAGE);
            m = mmap(0, PAGE, RW, MAP_SHARED, g, 0);
            close(g);
            if (m == MAP_FAILED) {
                if (errno != ENODEV) say("mmap", -1);
                continue;
            }
            *m = 'a' + i % 26;
            n++;
        }
        printf("%s\n", n >= 32 ? "enough" : "few");
    }
    CASE("full") {
        // Holes of the second leg that is full.
        m = map(f = open(path("f"), O_RDWR), 512 * PAGE, 0, RW);
        memset(m, 'x', 512 * PAGE);
        say("msync", msync(m, 512 * PAGE, MS_SYNC));
        say("fsync", fsync(f));
        say("munmap", munmap(m, 512 * PAGE));
    }
    else return 2;
    return 0;
}

int main(int c, char **a) {
    v = getenv("V");
    return v && c == 2 ? one(a[1]) : 2;
}

// Cases of writable shared mappings, and a random walk of several processes.
//   mappings CASE          one case in the directory $V; what it prints is compared with a plain directory's
//   mappings kill          prints "ready" and waits to be killed, having stored and not synced
//   mappings walk SEED N   N random operations in each of three processes
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul

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
    return m == MAP_FAILED ? 0 : m;
}
#define RW (PROT_READ | PROT_WRITE)

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

static void *stores(void *at) {
    for (volatile char *c = at;;) {
        c[0]++;
        c[5 * PAGE]++;
    }
}

static int one(const char *what) {
    int f;
    char *m;
#define CASE(name) else if (!strcmp(what, name))
    if (0) {
    }
    CASE("msync") {
        m = map(f = file("f", 3 * PAGE + 5), 3 * PAGE + 5, 0, RW);
        memcpy(m + PAGE - 2, "abcdef", 6);
        m[3 * PAGE + 4] = 'e';
        say("msync", msync(m, 3 * PAGE + 5, MS_SYNC));
        compare("f");
        m[9] = 'x';
        say("msync", msync(m, PAGE, MS_ASYNC));
        compare("f");
        say("msync", msync(m + 1, PAGE, MS_SYNC));
        say("msync", msync(m, PAGE, MS_SYNC | MS_ASYNC));
    }
    CASE("fsync") {
        m = map(f = file("f", 2 * PAGE), 2 * PAGE, 0, RW);
        m[1] = 'a';
        say("fsync", fsync(f));
        compare("f");
        m[PAGE] = 'b';
        say("fdatasync", fdatasync(f));
        compare("f");
        m[PAGE + 1] = 'c';
        say("sync_file_range", sync_file_range(f, 0, 0, SYNC_FILE_RANGE_WRITE));
        compare("f");
        m[PAGE + 2] = 'd';
        say("syncfs", syncfs(f));
        compare("f");
    }
    CASE("fsync_by_another") {
        m = map(f = file("f", 2 * PAGE), 2 * PAGE, 0, RW);
        m[1] = 'a';
        for (int how = 0; how < 2; how++) {
            m[2 + how] = 'b';
            fflush(stdout);
            if (!fork()) {
                munmap(m, 2 * PAGE);
                execl("/proc/self/exe", "mappings", how ? "sync_reader" : "sync_writer", NULL);
            }
            wait(0);
            compare("f");
        }
    }
    CASE("sync_writer") { say("fsync", fsync(open(path("f"), O_RDWR))); }
    CASE("sync_reader") { say("fsync", fsync(open(path("f"), O_RDONLY))); }
    CASE("munmap") {
        m = map(f = file("f", 8 * PAGE), 8 * PAGE, 0, RW);
        close(f);
        for (int i = 0; i < 8; i++) m[i * PAGE + i] = 'a' + i;
        say("munmap", munmap(m + 2 * PAGE, PAGE));
        m[PAGE] = 'x';
        say("munmap", munmap(m, 2 * PAGE));
        m[7 * PAGE] = 'y';
        say("munmap", munmap(m + 3 * PAGE, 5 * PAGE));
        compare("f");
    }
    CASE("offset") {
        f = file("f", 9 * PAGE);
        m = map(f, PAGE, 4 * PAGE, RW);
        char *o = map(f, 2 * PAGE, 7 * PAGE, RW);
        m[3] = 'm';
        o[PAGE + 4] = 'o';
        say("close", close(f));
        say("munmap", munmap(m, PAGE));
        say("munmap", munmap(o, 2 * PAGE));
        compare("f");
    }
    CASE("validate") {
        f = file("f", PAGE);
        m = mmap(0, PAGE, RW, MAP_SHARED_VALIDATE, f, 0);
        say("validate", m == MAP_FAILED ? -1 : 0);
        m[0] = 'v';
        munmap(m, PAGE);
        compare("f");
        say("sync", mmap(0, PAGE, RW, MAP_SHARED_VALIDATE | MAP_SYNC, f, 0) == MAP_FAILED ? -1 : 0);
        say("flags", mmap(0, PAGE, RW, MAP_SHARED_VALIDATE | 1 << 30, f, 0) == MAP_FAILED ? -1 : 0);
        say("odd", mmap(0, PAGE, RW, MAP_SHARED, f, 7) == MAP_FAILED ? -1 : 0);
        say("none", mmap(0, 0, RW, MAP_SHARED, f, 0) == MAP_FAILED ? -1 : 0);
        int r = open(path("f"), O_RDONLY), w = open(path("f"), O_WRONLY);
        say("reader", mmap(0, PAGE, RW, MAP_SHARED, r, 0) == MAP_FAILED ? -1 : 0);
        say("writer", mmap(0, PAGE, RW, MAP_SHARED, w, 0) == MAP_FAILED ? -1 : 0);
        say("reader", mmap(0, PAGE, PROT_READ, MAP_SHARED, r, 0) == MAP_FAILED ? -1 : 0);
    }
    CASE("mprotect") {
        m = map(f = file("f", 2 * PAGE), 2 * PAGE, 0, PROT_READ);
        close(f);
        say("mprotect", mprotect(m + PAGE, PAGE, RW));
        m[PAGE + 1] = 'p';
        say("msync", msync(m, 2 * PAGE, MS_SYNC));
        compare("f");
        m[PAGE + 2] = 'q';
        say("mprotect", mprotect(m, 2 * PAGE, PROT_NONE));
        say("munmap", munmap(m, 2 * PAGE));
        compare("f");
    }
    CASE("mremap") {
        m = map(f = file("f", 8 * PAGE), 2 * PAGE, 0, RW);
        close(f);
        m[1] = 'a';
        m = mremap(m, 2 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
        say("mremap", m == MAP_FAILED ? -1 : 0);
        m[7 * PAGE + 7] = 'b';
        char *to = mmap(0, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        m = mremap(m, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
        say("mremap", m == to ? 0 : -1);
        m[6 * PAGE] = 'c';
        m = mremap(m, 8 * PAGE, 7 * PAGE, 0);
        say("mremap", m == MAP_FAILED ? -1 : 0);
        m[5 * PAGE] = 'd';
        say("munmap", munmap(m, 7 * PAGE));
        compare("f");
    }
    CASE("fixed") {
        m = map(f = file("f", 4 * PAGE), 4 * PAGE, 0, RW);
        int g = file("g", 4 * PAGE);
        close(f);
        m[0] = 'a';
        m[2 * PAGE] = 'b';
        char *o = mmap(m, PAGE, RW, MAP_SHARED | MAP_FIXED, g, PAGE);
        say("over", o == m ? 0 : -1);
        o[5] = 'g';
        m[3 * PAGE] = 'c';
        o = mmap(m + PAGE, 3 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        say("over", o == m + PAGE ? 0 : -1);
        o[0] = 'n';
        compare("f");
        say("munmap", munmap(m, 4 * PAGE));
        compare("g");
    }
    CASE("fork") {
        m = map(f = file("f", 4 * PAGE), 4 * PAGE, 0, RW);
        fflush(stdout);
        int p[2];
        if (pipe(p)) return 1;
        pid_t k = fork();
        if (!k) {
            char c;
            m[0] = 'k';
            if (read(p[0], &c, 1) != 1) _exit(1);
            m[PAGE] = 'l';
            _exit(0);
        }
        m[2 * PAGE] = 'p';
        say("munmap", munmap(m, 4 * PAGE));
        if (write(p[1], "x", 1) != 1) return 1;
        wait(0);
        compare("f");
    }
    CASE("fork_of_a_fork") {
        m = map(f = file("f", 4 * PAGE), 4 * PAGE, 0, RW);
        fflush(stdout);
        if (!fork()) {
            if (!fork()) {
                m[PAGE] = 'g';
                munmap(m, 4 * PAGE);
                _exit(0);
            }
            wait(0);
            m[2 * PAGE] = 'c';
            _exit(0);
        }
        wait(0);
        m[3 * PAGE] = 'p';
        say("fsync", fsync(f));
        compare("f");
    }
    CASE("exit") {
        m = map(f = file("f", 2 * PAGE), 2 * PAGE, 0, RW);
        m[0] = 'e';
        return 0;
    }
    CASE("threads") {
        m = map(f = file("f", 9 * PAGE), 9 * PAGE, 0, RW);
        pthread_t t;
        for (int i = 0; i < 2; i++) pthread_create(&t, 0, stores, m + i * PAGE);
        for (int i = 0; i < 20; i++) {
            pwrite(f, "over", 4, 2 * PAGE);
            msync(m, 9 * PAGE, MS_SYNC);
        }
        say("exit", 0);
        exit(0);
    }
    CASE("exec") {
        m = map(f = file("f", 2 * PAGE), 2 * PAGE, 0, RW);
        m[PAGE] = 'e';
        fflush(stdout);
        execl("/proc/self/exe", "mappings", "sync_writer", NULL);
    }
    CASE("spawn") {
        m = map(f = file("f", 2 * PAGE), 2 * PAGE, 0, RW);
        m[PAGE] = 'e';
        say("system", system("true"));
        m[1] = 'f';
        munmap(m, 2 * PAGE);
        compare("f");
    }
    CASE("truncate") {
        m = map(f = file("f", 8 * PAGE), 8 * PAGE, 0, RW);
        memset(m, 'x', 8 * PAGE);
        say("ftruncate", ftruncate(f, 3 * PAGE + 10));
        m[3 * PAGE + 9] = 'y';
        m[3 * PAGE + 100] = 'z';
        say("msync", msync(m, 8 * PAGE, MS_SYNC));
        compare("f");
        say("truncate", truncate(path("f"), 8 * PAGE));
        m[7 * PAGE] = 'w';
        say("fallocate", fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE));
        m[PAGE + 5] = 'h';
        say("open", close(open(path("f"), O_RDWR | O_TRUNC)));
        say("ftruncate", ftruncate(f, 5 * PAGE));
        m[4 * PAGE] = 'v';
        say("munmap", munmap(m, 8 * PAGE));
        compare("f");
    }
    CASE("write_under") {
        m = map(f = file("f", 4 * PAGE), 4 * PAGE, 0, RW);
        m[10] = 'm';
        say("pwrite", pwrite(f, "written", 7, 12));
        printf("%.9s\n", m + 10);
        m[13] = 'R';
        int a = open(path("f"), O_WRONLY | O_APPEND);
        say("append", write(a, "appended", 8));
        say("munmap", munmap(m, 4 * PAGE));
        compare("f");
    }
    CASE("names") {
        m = map(f = file("f", 2 * PAGE), 2 * PAGE, 0, RW);
        m[0] = 'a';
        say("rename", rename(path("f"), path("g")));
        m[1] = 'b';
        say("link", link(path("g"), path("h")));
        m[2] = 'c';
        say("unlink", unlink(path("g")));
        m[3] = 'd';
        say("munmap", munmap(m, 2 * PAGE));
        compare("h");
        m = map(f, 2 * PAGE, 0, RW);
        say("unlink", unlink(path("h")));
        m[4] = 'e';
        say("msync", msync(m, 2 * PAGE, MS_SYNC));
        say("munmap", munmap(m, 2 * PAGE));
    }
    CASE("locks") {
        // Neither closing nor unmapping what the library holds drops the program's locks.
        m = map(f = file("f", 2 * PAGE), 2 * PAGE, 0, RW);
        struct flock l = {.l_type = F_WRLCK, .l_len = 1};
        say("lock", fcntl(f, F_SETLK, &l));
        m[0] = 'a';
        say("msync", msync(m, PAGE, MS_SYNC));
        say("munmap", munmap(m, 2 * PAGE));
        fflush(stdout);
        if (!fork()) {
            l.l_type = F_WRLCK;
            fcntl(f, F_GETLK, &l);
            printf("%s\n", l.l_type == F_UNLCK ? "lost" : "held");
            fflush(stdout);
            _exit(0);
        }
        wait(0);
        close(f);
        m = map(f = file("f", 2 * PAGE), 2 * PAGE, 0, RW);
        say("flock", flock(f, LOCK_EX));
        munmap(m, 2 * PAGE);
        close(f);
        f = open(path("f"), O_RDWR);
        say("flock", flock(f, LOCK_EX | LOCK_NB));
    }
    CASE("many") {
        int n = 0;
        for (int i = 0; i < 20; i++) {
            char name[20];
            sprintf(name, "f%d", i);
            int g = file(name, PAGE);
            m = mmap(0, PAGE, RW, MAP_SHARED, g, 0);
            close(g);
            if (m == MAP_FAILED) break;
            *m = 'a' + i;
            n++;
        }
        printf("%d\n", n);
    }
    CASE("flags") {
        m = map(f = file("f", 4 * PAGE), 4 * PAGE, 0, RW);
        m[0] = 'a';
        say("dontneed", madvise(m, 4 * PAGE, MADV_DONTNEED));
        char *o = mmap(0, PAGE, RW, MAP_SHARED | MAP_POPULATE, f, PAGE);
        say("populate", o == MAP_FAILED ? -1 : 0);
        say("read", pread(f, m + 2 * PAGE, 1, 0));
        munmap(m, 4 * PAGE);
        o[1] = 'o';
        munmap(o, PAGE);
        compare("f");
    }
    else return 2;
    return 0;
}

// ---- a random walk
static unsigned long seed;
static unsigned rnd(unsigned n) {
    seed = seed * 6364136223846793005ul + 1442695040888963407ul;
    return (seed >> 33) % n;
}

// A store that meets the end of a file that another process has cut short.
static void bus(int s) {
    (void)s;
    _exit(9);
}

static void walk(int who, int n) {
    enum { MAPS = 4, PAGES = 24 };
    struct { char *at; long len; } maps[MAPS] = {0};
    char name[8], buf[3000];
    seed += who * 7919;
    for (int i = 0; i < n; i++) {
        int which = rnd(MAPS);
        sprintf(name, "w%d", rnd(3));
        switch (rnd(12)) {
        case 0: case 1: {
            if (maps[which].at) munmap(maps[which].at, maps[which].len);
            int f = open(path(name), O_CREAT | O_RDWR, 0644);
            if (f < 0) abort();
            // It never becomes shorter: a store would be the end of this process.
            struct stat st;
            if (fstat(f, &st)) abort();
            if (st.st_size < PAGES * (long)PAGE && pwrite(f, "", 1, PAGES * PAGE - 1) != 1) abort();
            long from = rnd(PAGES), len = 1 + rnd(PAGES - from);
            maps[which].len = len * PAGE;
            maps[which].at = mmap(0, len * PAGE, rnd(4) ? RW : PROT_READ, MAP_SHARED, f, from * PAGE);
            if (maps[which].at == MAP_FAILED) abort();
            if (mprotect(maps[which].at, len * PAGE, RW)) abort();
            close(f);
            break;
        }
        case 2: case 3: case 4: case 5:
            if (maps[which].at)
                for (int k = 1 + rnd(20); k--;) maps[which].at[rnd(maps[which].len)] = 'a' + rnd(26);
            break;
        case 6: if (maps[which].at && msync(maps[which].at, maps[which].len, rnd(2) ? MS_SYNC : MS_ASYNC)) abort(); break;
        case 7: {
            int f = open(path(name), O_RDWR);
            if (f < 0) break;
            memset(buf, 'A' + rnd(26), sizeof buf);
            if (pwrite(f, buf, 1 + rnd(sizeof buf - 1), rnd(PAGES * PAGE)) < 0) abort();
            if (rnd(2)) fsync(f);
            close(f);
            break;
        }
        case 8:
            if (maps[which].at && maps[which].len > (long)PAGE) {
                long half = maps[which].len / 2 / PAGE * PAGE;
                if (half && munmap(maps[which].at + half, maps[which].len - half)) abort();
                if (half) maps[which].len = half;
            }
            break;
        case 9:
            if (maps[which].at) {
                char *m = mremap(maps[which].at, maps[which].len, maps[which].len, MREMAP_MAYMOVE);
                if (m == MAP_FAILED) abort();
                maps[which].at = m;
            }
            break;
        case 10: {
            int f = open(path(name), O_RDWR);
            if (f < 0) break;
            fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, rnd(PAGES) * PAGE, PAGE * (1 + rnd(3)));
            close(f);
            break;
        }
        case 11: {
            if (rnd(4)) break;
            pid_t k = fork();
            if (!k) {
                if (maps[which].at) maps[which].at[0] = 'k';
                if (rnd(2)) kill(getpid(), SIGKILL);
                _exit(0);
            }
            if (k > 0) waitpid(k, 0, 0);
            break;
        }
        }
    }
}

int main(int c, char **a) {
    v = getenv("V");
    if (!v || c < 2) return 2;
    if (!strcmp(a[1], "kill")) {
        char *m = map(file("f", 64 * PAGE), 64 * PAGE, 0, RW);
        for (int i = 0; i < 64; i += 3) m[i * PAGE + i] = 'k';
        printf("ready\n");
        fflush(stdout);
        pause();
    }
    if (!strcmp(a[1], "walk")) {
        signal(SIGBUS, bus);
        seed = atol(a[2]);
        for (int i = 0; i < 3; i++)
            if (!fork()) {
                walk(i, atoi(a[3]));
                if (rnd(3) == 0) kill(getpid(), SIGKILL);
                _exit(0);
            }
        int s, bad = 0;
        while (wait(&s) > 0) bad |= !(WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL) && s;
        return bad ? 1 : 0;
    }
    return one(a[1]);
}

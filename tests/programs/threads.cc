// Signals, threads and stacks around changes of a directory: `threads CASE DIR`. What a case prints, and what it leaves
// in DIR but for files named *.some, is the same natively.
#include <atomic>
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <string>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

extern char **environ;
static const char *dir, *self;

// No allocation: handlers and small stacks use it.
struct Path {
    char at[200];
    explicit Path(const char *name, long n = -1) {
        char *p = stpcpy(stpcpy(stpcpy(at, dir), "/"), name);
        if (n < 0) return;
        char digits[20], *d = digits;
        do *d++ = '0' + n % 10; while (n /= 10);
        while (d != digits) *p++ = *--d;
        *p = 0;
    }
    operator const char *() const { return at; }
};
static void die(const char *what) {
    int e = errno;
    dprintf(1, "%s: %s\n", what, strerror(e));
    _exit(9);
}
#define MUST(x) ([&] { auto r_ = (x); if (r_ < 0) die(#x); return r_; }())

static int opened(const char *path, int flags = O_CREAT | O_WRONLY | O_APPEND) { return MUST(open(path, flags | O_CLOEXEC, 0644)); }
static long size(const char *path) { struct stat st; return stat(path, &st) ? -1 : st.st_size; }
static void say(int fd, const char *line) { if (write(fd, line, strlen(line)) != (long)strlen(line)) die("write"); }

// Each kind of change once; `n` keeps the names of two callers apart. Leaves one file with a line.
static void changes(long n) {
    Path a("a", n), b("b", n), d("d", n), l("l", n), s("s", n), log("log");
    int f = opened(a, O_CREAT | O_EXCL | O_RDWR);
    say(f, "one\n");
    MUST(pwrite(f, "O", 1, 0));
    struct iovec v[2] = {{(void *)"tw", 2}, {(void *)"o\n", 2}};
    MUST(writev(f, v, 2));
    MUST(ftruncate(f, 6));
    MUST(fchmod(f, 0600));
    struct timespec t[2] = {{1, 2}, {3, 4}};
    MUST(futimens(f, t));
    MUST(fsync(f));
    MUST(close(f));
    MUST(rename(a, b));
    MUST(link(b, l));
    MUST(symlink("b", s));
    MUST(mkdir(d, 0755));
    MUST(chmod(b, 0640));
    MUST(truncate(b, 4));
    MUST(utimensat(AT_FDCWD, b, t, 0));
    MUST(unlink(l));
    MUST(unlink(s));
    MUST(rmdir(d));
}

static void *stack_of(size_t n) {  // with a page that must not be touched below it
    char *m = (char *)mmap(nullptr, n + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED || mprotect(m + 4096, n, PROT_READ | PROT_WRITE)) die("mmap");
    return m + 4096;
}
static void handle(int s, void (*h)(int), int flags) {
    struct sigaction a = {};
    a.sa_handler = h;
    a.sa_flags = flags;
    sigfillset(&a.sa_mask);
    MUST(sigaction(s, &a, nullptr));
}
static timer_t clock_of_storm;
static void storm(int s, long ns) {
    struct sigevent e = {};
    e.sigev_notify = SIGEV_THREAD_ID;
    e.sigev_signo = s;
    e._sigev_un._tid = gettid();
    struct itimerspec t = {{0, ns}, {0, ns}};
    if (timer_create(CLOCK_MONOTONIC, &e, &clock_of_storm) || timer_settime(clock_of_storm, 0, &t, nullptr)) die("timer");
}
static void calm() { timer_delete(clock_of_storm); }

static std::atomic<long> hits;
static const long ENOUGH = 300;
static void changing(int) {
    int e = errno;
    if (hits < ENOUGH) changes(1000 + hits), hits++;
    errno = e;
}
// Handlers on an 8 KiB stack make every kind of change while the thread that they interrupt makes them too.
static void handlers() {
    stack_t ss = {};
    ss.ss_sp = stack_of(8192);
    ss.ss_size = 8192;
    MUST(sigaltstack(&ss, nullptr));
    handle(SIGALRM, changing, SA_ONSTACK | SA_RESTART);
    sigset_t before, after;
    sigprocmask(SIG_SETMASK, nullptr, &before);
    storm(SIGALRM, 300000);
    long n = 0;
    Path some("main.some");
    while (hits < ENOUGH) {
        changes(500);
        MUST(unlink(Path("b", 500)));
        int f = opened(some);
        say(f, "main\n");
        MUST(close(f));
        n++;
    }
    calm();
    sigprocmask(SIG_SETMASK, nullptr, &after);
    printf("%ld handled, %s, %s\n", hits.load(), size(some) == 5 * n ? "all lines" : "lines lost",
           memcmp(&before, &after, 8) ? "another mask" : "the same mask");
}

static sigjmp_buf out;
static std::atomic<long> leapt;
static void leaping(int) { if (leapt++ % 2) siglongjmp(out, 1); }
// Handlers leave calls by siglongjmp; nothing stays locked.
static void leaps() {
    handle(SIGALRM, leaping, 0);
    Path some("leaps.some");
    int f = opened(some);
    storm(SIGALRM, 200000);
    sigsetjmp(out, 1);
    while (leapt < 600) {
        say(f, "leap\n");
        int g = open(Path("leap.some"), O_CREAT | O_TRUNC | O_WRONLY, 0644);
        if (g < 0) {
            if (errno != EMFILE) die("open");
            for (g = 20; g < 1024; g++) close(g);
            continue;
        }
        close(g);
    }
    calm();
    changes(1);
    printf("%s\n", size(some) % 5 ? "torn" : "whole lines");
}

static std::atomic<long> undone, cleaned, going;
struct Guard { ~Guard() { undone++; } };
static void clean(void *) { cleaned++; }
__attribute__((noinline)) static void put(int fd) {
    Guard g;
    if (write(fd, "cancelled\n", 10) != 10) die("write");
}
static void *endless(void *p) {
    Guard g;
    pthread_cleanup_push(clean, nullptr);
    going = 1;
    for (;;) put((int)(long)p);
    pthread_cleanup_pop(0);
    return nullptr;
}
static void *endless_names(void *) {
    Guard g;
    pthread_cleanup_push(clean, nullptr);
    going = 1;
    for (long n = 0;; n++) {
        Path a("x.some"), b("y.some");
        int f = open(a, O_CREAT | O_WRONLY, 0644);
        if (f < 0) die("open");
        int s;
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &s);
        close(f);
        pthread_setcancelstate(s, &s);
        if (rename(a, b)) die("rename");
        if (fsync(1) == 0) die("fsync");  // of a pipe: a cancellation point
    }
    pthread_cleanup_pop(0);
    return nullptr;
}
// Nothing but calls between which a thread may end at any instruction. (No cleanup: a C++ function has none there.)
static pthread_key_t at_end;
static void *any_instant(void *p) {
    pthread_setspecific(at_end, p);
    going = 1;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, nullptr);
    for (;;) {
        syscall(SYS_write, (int)(long)p, "cancelled\n", 10);
        syscall(SYS_pwrite64, (int)(long)p, "cancelled\n", 10, 0);
    }
    return nullptr;
}
static void cancelled(const char *what, void *(*run)(void *), void *arg, int rounds, bool unwinds) {
    int bad = 0;
    undone = cleaned = 0;
    for (int i = 0; i < rounds; i++) {
        pthread_t t;
        void *r = nullptr;
        going = 0;
        long u = undone, c = cleaned;
        if (pthread_create(&t, nullptr, run, arg)) die("pthread_create");
        while (!going) sched_yield();
        struct timespec pause = {0, i % 40 * 7000};
        nanosleep(&pause, nullptr);
        pthread_cancel(t);
        pthread_join(t, &r);
        bad += r != PTHREAD_CANCELED || cleaned != c + 1 || (unwinds && undone == u);
    }
    printf("%s: %d bad\n", what, bad);
    fflush(stdout);
}
static void cancel() {
    Path some("cancel.some");
    int f = opened(some);
    pthread_key_create(&at_end, clean);
    cancelled("writes", endless, (void *)(long)f, 200, true);
    cancelled("names", endless_names, nullptr, 100, true);
    cancelled("any instant", any_instant, (void *)(long)f, 300, false);
    say(f, "cancelled\n");
    changes(1);
    printf("%s\n", size(some) % 10 ? "torn" : "whole lines");
}

static std::atomic<long> failed;
static void *on_small(void *p) {
    long n = (long)p;
    changes(n);
    int f = opened(Path("log"));
    say(f, "0123456789abcdef\n");
    MUST(close(f));
    return nullptr;
}
static void join(size_t stack, long count, void *(*run)(void *)) {
    pthread_attr_t at;
    pthread_attr_init(&at);
    if (stack && pthread_attr_setstacksize(&at, stack)) die("stack size");
    std::vector<pthread_t> all(count);
    for (long i = 0; i < count; i++)
        if (int e = pthread_create(&all[i], &at, run, (void *)i)) errno = e, die("pthread_create");
    for (auto t : all) pthread_join(t, nullptr);
}
// Threads with the smallest stack that there is.
static void small() {
    join(16384, 64, on_small);
    printf("%ld\n", size(Path("log")));
}
static pthread_barrier_t together;
static void *one_of_many(void *p) {
    pthread_barrier_wait(&together);
    return on_small(p);
}
// A thousand threads at once.
static void thousand() {
    pthread_barrier_init(&together, nullptr, 1000);
    join(32768, 1000, one_of_many);
    printf("%ld\n", size(Path("log")));
}

static std::atomic<bool> stop;
static std::atomic<long> written;
static void *until_stop(void *p) {
    Path name("t", (long)p), other("u", (long)p);
    strcat(name.at, ".some");
    strcat(other.at, ".some");
    for (long i = 0; !stop; i++) {
        int f = open(name, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
        if (f < 0) die("open");
        say(f, "thread\n");
        written++;
        if (i % 16 == 0) MUST(rename(name, other));
        MUST(close(f));
    }
    return nullptr;
}
static std::vector<pthread_t> writers;
static void begin(long n) {
    for (long i = 0; i < n; i++) {
        pthread_t t;
        if (pthread_create(&t, nullptr, until_stop, (void *)i)) die("pthread_create");
        writers.push_back(t);
    }
    while (written < 4 * n) sched_yield();
}
// Children made in the midst of other threads' changes change things, execute programs, and end.
static void forks() {
    begin(6);
    int bad = 0;
    for (long i = 0; i < 60; i++) {
        pid_t p = MUST(fork());
        if (!p) {
            changes(i);
            if (i % 3 == 0) execl("/bin/sh", "sh", "-c", "echo sh >> $0/sh", dir, (char *)nullptr);
            if (i % 3 == 1) exit(0);
            _exit(0);
        }
        int st = -1;
        waitpid(p, &st, 0);
        bad += st != 0;
        Path at("spawned");
        const char *v[] = {"sh", "-c", "echo spawned >> $0", at.at, nullptr};
        if (posix_spawn(&p, "/bin/sh", nullptr, nullptr, (char **)v, environ)) die("posix_spawn");
        waitpid(p, &st, 0);
        bad += st != 0;
    }
    stop = true;
    for (auto t : writers) pthread_join(t, nullptr);
    printf("%d bad\n", bad);
}
// How a process ends, or becomes another program, while its threads write; `end` says how.
static void *executes(void *) {
    execl("/bin/sh", "sh", "-c", "echo executed >> $0/end", dir, (char *)nullptr);
    die("execl");
    return nullptr;
}
static void *leaves(void *) { exit(0); }
static void in_handler(int) { _exit(0); }
static void ends() {
    const char *all[] = {"exit", "_exit", "exec", "exec of a thread", "exit of a thread", "_exit of a handler", "abort", "cancel", "pthread_exit"};
    for (int how = 0; how < 9; how++) {
        int st = -1;
        pid_t p = MUST(fork());
        if (!p) {
            begin(6);
            pthread_t t;
            switch (how) {
            case 0: exit(0);
            case 1: _exit(0);
            case 2: executes(nullptr);
            case 3: pthread_create(&t, nullptr, executes, nullptr); pause();
            case 4: pthread_create(&t, nullptr, leaves, nullptr); pause();
            case 5: handle(SIGALRM, in_handler, 0); raise(SIGALRM);
            case 6: {
                struct rlimit none = {0, 0};
                setrlimit(RLIMIT_CORE, &none);
                abort();
            }
            case 7: for (auto w : writers) pthread_cancel(w); for (auto w : writers) pthread_join(w, nullptr); exit(0);
            default: stop = true; pthread_exit(nullptr);
            }
        }
        waitpid(p, &st, 0);
        printf("%s: %x\n", all[how], st);
        fflush(stdout);
        changes(how);
    }
}

// How much stack a call takes, from the place where it is called.
static const long own = 128;  // what the frame that measures has itself
template <class F> __attribute__((noinline)) static long depth(F call) {
    volatile char *p = (char *)__builtin_frame_address(0) - own;
    const long far = 12288;
    for (long i = 0; i < far; i++) p[-i] = (char)0xa5;
    call();
    long n = far;
    while (n > 0 && p[-(n - 1)] == (char)0xa5) n--;
    return n + own;
}
static int depth_fd;
static void *measured(void *) {
    Path a("m"), b("m2"), d("md");
    long most = 0;
    const char *which = "";
    int i = 0;
    // The first calls are bound.
    auto see = [&](const char *what, long n) { if (i && n > most) most = n, which = what; };
    for (; i < 3; i++) {
        see("openat", depth([&] { depth_fd = open(a, O_CREAT | O_RDWR, 0644); }));
        see("write", depth([&] { (void)!write(depth_fd, "x", 1); }));
        see("pwrite", depth([&] { (void)!pwrite(depth_fd, "x", 1, 5); }));
        see("ftruncate", depth([&] { (void)!ftruncate(depth_fd, 3); }));
        see("fchmod", depth([&] { fchmod(depth_fd, 0600); }));
        see("fallocate", depth([&] { fallocate(depth_fd, 0, 0, 10); }));
        see("fsync", depth([&] { fsync(depth_fd); }));
        see("dup2", depth([&] { dup2(depth_fd, 60); }));
        see("fcntl", depth([&] { fcntl(depth_fd, F_SETFL, O_APPEND); }));
        see("close", depth([&] { close(60); close(depth_fd); }));
        see("rename", depth([&] { rename(a, b); }));
        see("mkdir", depth([&] { mkdir(d, 0755); }));
        see("rmdir", depth([&] { rmdir(d); }));
        see("chmod", depth([&] { chmod(b, 0600); }));
        see("truncate", depth([&] { (void)!truncate(b, 2); }));
        see("link", depth([&] { (void)!link(b, a); }));
        see("unlink", depth([&] { unlink(a); }));
        see("symlink", depth([&] { (void)!symlink("x", a); }));
        see("unlink", depth([&] { unlink(a); unlink(b); }));
        see("open for reading", depth([&] { close(open(dir, O_RDONLY | O_DIRECTORY)); }));
        see("chdir", depth([&] { (void)!chdir(dir); (void)!chdir("/"); }));
        see("stat", depth([&] { struct stat st; stat(dir, &st); }));
        see("signal", depth([&] { sigset_t s; sigemptyset(&s); sigprocmask(SIG_BLOCK, &s, nullptr); }));
    }
    dprintf(2, "%ld %s\n", most, which);
    return nullptr;
}
static void depths() { join(65536, 1, measured); }

int main(int c, char **v) {
    if (c < 3) return 2;
    self = v[0];
    dir = v[2];
    setvbuf(stdout, nullptr, _IOFBF, 65536);
    struct { const char *name; void (*run)(); } all[] = {
        {"handlers", handlers}, {"leaps", leaps}, {"cancel", cancel}, {"small", small}, {"thousand", thousand},
        {"forks", forks}, {"ends", ends}, {"depths", depths},
    };
    for (auto &a : all)
        if (!strcmp(a.name, v[1])) {
            a.run();
            return fflush(stdout);
        }
    return 2;
}

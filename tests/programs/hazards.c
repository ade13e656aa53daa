// What is around calls that a program makes by instructions of its own: `hazards CASE DIR`. What a case prints
// is the same natively and in a process whose calls are dispatched.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

long own6(long nr, long a, long b, long c, long d, long e, long f);
long own_vfork(void);
long own_clone(long flags, void *stack, void (*run)(void));
__asm__(
    ".text\n"
    "own6: .cfi_startproc; mov %rdi,%rax; mov %rsi,%rdi; mov %rdx,%rsi; mov %rcx,%rdx; mov %r8,%r10; mov %r9,%r8;\n"
    "  mov 8(%rsp),%r9; syscall; ret; .cfi_endproc\n"
    "own_vfork: pop %rdi; mov $58,%eax; syscall; push %rdi; ret\n"
    "own_clone: mov %rdx,%r9; xor %edx,%edx; xor %r10d,%r10d; xor %r8d,%r8d; mov $56,%eax; syscall;\n"
    "  test %rax,%rax; jz 1f; ret; 1: xor %ebp,%ebp; call *%r9; mov $60,%eax; xor %edi,%edi; syscall; hlt\n");

static const char *dir;
static __thread char text[4096];
#define P(name) (snprintf(text, sizeof text, "%s/%s", dir, name), text)
#define own(...) OWN(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define OWN(nr, a, b, c, d, e, f, ...) own6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

// A file is made and appended to by own calls; the bytes that went in.
static long make(const char *name, const char *content) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    long f = own(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY | O_APPEND, 0644);
    if (f < 0) return f;
    long n = own(SYS_write, f, content, strlen(content));
    long c = own(SYS_close, f);
    return c < 0 ? c : n;
}
static void handle(int s, void (*h)(int), int flags) {
    struct sigaction a = {.sa_handler = h, .sa_flags = flags};
    sigaction(s, &a, NULL);
}
static void end_of(const char *what, long pid) {
    int st = -1;
    waitpid(pid, &st, 0);
    printf("%s %x\n", what, st);
}
static volatile sig_atomic_t hits;
static void count(int s) { (void)s; hits++; }
// A signal each 100 us to this thread, until `calm`.
static timer_t timer_of_storm;
static void storm(int s) {
    struct sigevent e = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = s};
    e._sigev_un._tid = gettid();
    timer_create(CLOCK_MONOTONIC, &e, &timer_of_storm);
    struct itimerspec t = {{0, 100000}, {0, 100000}};
    timer_settime(timer_of_storm, 0, &t, NULL);
}
static void calm(void) { timer_delete(timer_of_storm); }

// ---- registers: every vector and mask register is what it was, beside what the kernel says of the others

struct state { uint8_t v[32][64]; uint64_t k[8]; uint32_t mxcsr; uint16_t x87; uint64_t r[8]; } __attribute__((aligned(64)));
long vector_call(struct state *s, long nr, long a, long b, long c, long d);
__asm__(
    ".text; .type vector_call,@function\n"
    "vector_call: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rdi;\n"
    "  mov %rsi,%rax; mov %rdi,%rbx; mov %rdx,%rdi; mov %rcx,%rsi; mov %r8,%rdx; mov %r9,%r10\n"
    "  .altmacro; .macro LOAD n; vmovdqu64 64*\\n(%rbx),%zmm\\n; .endm; .macro SAVE n; vmovdqu64 %zmm\\n,64*\\n(%rbx); .endm\n"
    "  .macro LOADK n; kmovq 2048+8*\\n(%rbx),%k\\n; .endm; .macro SAVEK n; kmovq %k\\n,2048+8*\\n(%rbx); .endm\n"
    "  .set i,0; .rept 32; LOAD %i; .set i,i+1; .endr; .set i,0; .rept 8; LOADK %i; .set i,i+1; .endr\n"
    "  ldmxcsr 2112(%rbx); fldcw 2116(%rbx); fld1; fldpi; mov $12,%r12; mov $13,%r13; mov $14,%r14; mov $15,%r15; mov $5,%ebp; mov $8,%r8d; mov $9,%r9d\n"
    "  syscall\n"
    "  .set i,0; .rept 32; SAVE %i; .set i,i+1; .endr; .set i,0; .rept 8; SAVEK %i; .set i,i+1; .endr\n"
    "  stmxcsr 2112(%rbx); fnstcw 2116(%rbx); mov %r12,2120(%rbx); mov %r13,2128(%rbx); mov %r14,2136(%rbx); mov %r15,2144(%rbx)\n"
    "  mov %rbp,2152(%rbx); mov %r8,2160(%rbx); mov %r9,2168(%rbx); movq $0,2176(%rbx); fldpi; fcompp; fnstsw 2176(%rbx); fstp %st(0)\n"
    "  fninit; pop %rdi; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; vzeroupper; ret\n");
static long kept(const char *what, long nr, long a, long b, long c, long d) {
    static struct state s, was;
    for (unsigned i = 0; i < sizeof s.v; i++) ((uint8_t *)s.v)[i] = i * 7 + nr;
    for (int i = 0; i < 8; i++) s.k[i] = 0x0123456789abcdefull * (i + 1);
    s.mxcsr = 0x1f80 | 0x6000;
    s.x87 = 0x0e7f;
    was = s;
    long r = vector_call(&s, nr, a, b, c, d);
    static const uint64_t right[7] = {12, 13, 14, 15, 5, 8, 9};
    int same = !memcmp(was.v, s.v, sizeof s.v) && !memcmp(was.k, s.k, sizeof s.k) && s.mxcsr == was.mxcsr && s.x87 == was.x87;
    printf("%s %d %d %d\n", what, same, !memcmp(right, s.r, sizeof right), (int)(s.r[7] >> 8 & 0x45));
    return r;
}
static void registers(void) {
    if (!__builtin_cpu_supports("avx512bw")) { puts("no AVX-512"); return; }
    storm(SIGALRM); // signals in between
    int f = open(P("registers"), O_CREAT | O_RDWR, 0644);
    for (int i = 0; i < 3; i++) {
        printf("%ld\n", kept("pwrite", SYS_pwrite64, f, (long)"0123456789", 10, 10 * i));
        printf("%ld\n", kept("mkdir", SYS_mkdir, (long)P("vectors"), 0755, 0, 0));
        printf("%ld\n", kept("openat", SYS_openat, AT_FDCWD, (long)P("vectors/none"), O_RDONLY, 0));
        printf("%ld\n", kept("rename", SYS_rename, (long)P("nothing"), (long)text, 0, 0));
        printf("%d\n", kept("getpid", SYS_getpid, 0, 0, 0, 0) == getpid());
        printf("%ld\n", kept("fsync", SYS_fsync, f, 0, 0, 0));
        printf("%d\n", kept("yield", SYS_sched_yield, 0, 0, 0, 0) == 0);
    }
    calm();
}

// ---- calls that wait and are interrupted

static sigjmp_buf out;
static struct { volatile int armed, hits; } *shared;
static void again(int s) {
    (void)s;
    if (++shared->hits == 2) siglongjmp(out, 1);
}
// Sends a signal whenever the parent sleeps in what is tried, and has seen the one before.
static void interrupts(void) {
    char name[64], stat[512];
    snprintf(name, sizeof name, "/proc/%d/stat", getppid());
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int sent = 0, last = 0;; usleep(300)) {
        int f = open(name, O_RDONLY), armed = shared->armed;
        long n = read(f, stat, sizeof stat - 1);
        close(f);
        if (n <= 0) _exit(0);
        stat[n] = 0;
        if (armed != last) { last = armed; sent = 0; }
        else if (armed && strstr(stat, ") S ") && sent == shared->hits && shared->armed == last) { sent++; kill(getppid(), SIGALRM); }
    }
}
static int by_libc;
#define call(...) (by_libc ? fix(syscall(__VA_ARGS__)) : own(__VA_ARGS__))
static long fix(long r) { return r == -1 ? -errno : r; }
static int empty[2], pairs[2], timed[2], full[2], ep, locked, other, queue, sem, word;
static long slow(int way) {
    static char b[65536];
    struct timespec ts = {20, 0}, at;
    struct pollfd p = {empty[0], POLLIN};
    struct epoll_event ev;
    struct flock l = {.l_type = F_WRLCK};
    struct sembuf sb = {0, -1, 0};
    struct { long type; char t[8]; } m;
    sigset_t none, usr;
    sigemptyset(&none);
    sigemptyset(&usr);
    sigaddset(&usr, SIGUSR1);
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += 20;
    fd_set fds;
    FD_ZERO(&fds);
    FD_SET(empty[0], &fds);
    switch (way) {
    case 0: return call(SYS_read, empty[0], b, 8);
    case 1: return call(SYS_recvfrom, pairs[0], b, 8, 0, 0, 0);
    case 2: return call(SYS_recvfrom, timed[0], b, 8, 0, 0, 0);
    case 3: return call(SYS_write, full[1], b, sizeof b);
    case 4: { long r = call(SYS_nanosleep, &ts, &ts); return r ? r - 1000 * (ts.tv_sec < 20 && ts.tv_sec > 5) : r; }
    case 5: return call(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, &at, 0);
    case 6: return call(SYS_poll, &p, 1, 20000);
    case 7: return call(SYS_poll, &p, 1, -1);
    case 8: return call(SYS_ppoll, &p, 1, &ts, &none, 8);
    case 9: return call(SYS_select, empty[0] + 1, &fds, 0, 0, 0);
    case 10: return call(SYS_epoll_wait, ep, &ev, 1, -1);
    case 11: return call(SYS_futex, &word, 0, 0, 0, 0, 0);
    case 12: return call(SYS_futex, &word, 0, 0, &ts, 0, 0);
    case 13: return call(SYS_pause);
    case 14: return call(SYS_rt_sigsuspend, &none, 8);
    case 15: return call(SYS_rt_sigtimedwait, &usr, 0, &ts, 8);
    case 16: return call(SYS_msgrcv, queue, &m, 8, 0, 0);
    case 17: return call(SYS_semop, sem, &sb, 1);
    case 18: return call(SYS_wait4, other, 0, 0, 0);
    case 19: return call(SYS_waitid, P_PID, other, 0, WEXITED, 0);
    case 20: return call(SYS_flock, locked, LOCK_EX);
    case 21: return call(SYS_fcntl, locked, F_SETLKW, &l);
    case 22: return call(SYS_openat, AT_FDCWD, P("fifo"), O_WRONLY, 0);
    case 23: return call(SYS_openat, AT_FDCWD, P("fifo"), O_RDONLY, 0);
    case 24: return call(SYS_accept4, pairs[1], 0, 0, 0);
    case 25: { struct iovec v = {b, 8}; return call(SYS_readv, empty[0], &v, 1); }
    case 26: return call(SYS_splice, empty[0], 0, locked, 0, 100, 0);
    default: return 1;
    }
}
static void interrupted(void) {
    pipe(empty);
    pipe(full);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pairs);
    socketpair(AF_UNIX, SOCK_STREAM, 0, timed);
    struct timeval tv = {20, 0};
    setsockopt(timed[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
    pairs[1] = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un { sa_family_t f; char p[20]; } none = {AF_UNIX};
    bind(pairs[1], (void *)&none, sizeof(sa_family_t));
    listen(pairs[1], 1);
    fcntl(full[1], F_SETPIPE_SZ, 4096);
    write(full[1], text, 4096);
    ep = epoll_create1(0);
    mkfifo(P("fifo"), 0644);
    queue = msgget(IPC_PRIVATE, 0600);
    sem = semget(IPC_PRIVATE, 1, 0600);
    locked = open(P("locked"), O_CREAT | O_RDWR, 0644);
    int ready[2];
    pipe(ready);
    other = fork();
    if (!other) {
        struct flock l = {.l_type = F_WRLCK};
        int f = open(P("locked"), O_RDWR);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        flock(f, LOCK_EX);
        fcntl(f, F_SETLK, &l);
        write(ready[1], "r", 1);
        for (;;) pause();
    }
    read(ready[0], text, 1);
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t helper = fork();
    if (!helper) interrupts();
    for (int way = 0; way <= 26; way++)
        for (by_libc = 0; by_libc < 2; by_libc++)
            for (int restart = 0; restart < 2; restart++) {
                volatile long r = -9999;
                handle(SIGALRM, again, restart ? SA_RESTART : 0);
                int turn = way * 4 + by_libc * 2 + restart + 1;
                shared->hits = 0;
                if (!sigsetjmp(out, 1)) {
                    shared->armed = turn;
                    r = slow(way);
                }
                shared->armed = 0;
                printf("%d %d %d: %ld %d\n", way, by_libc, restart, r, shared->hits);
            }
    kill(helper, SIGKILL);
    waitpid(helper, NULL, 0);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    msgctl(queue, IPC_RMID, NULL);
    semctl(sem, 0, IPC_RMID);
}

// ---- a signal each 100 us: nothing is lost, and only what waits says EINTR

static void *busy(void *name) {
    char path[300], line[65];
    long bad = 0, eintr = 0;
    int p[2];
    pipe(p);
    storm(SIGUSR1);
    snprintf(path, sizeof path, "%s/%s", dir, (char *)name);
    int f = own(SYS_openat, AT_FDCWD, path, O_CREAT | O_RDWR | O_APPEND, 0644);
    for (int i = 0; i < 400; i++) {
        snprintf(line, sizeof line, "%063d\n", i);
        bad += own(SYS_write, f, line, 64) != 64;
        bad += pwrite(f, line, 64, 64 * i) != 64;
        bad += own(SYS_ftruncate, f, 64 * (i + 1)) != 0;
        if (i % 20 == 0) {
            char to[320];
            snprintf(to, sizeof to, "%s.%d", path, i);
            bad += own(SYS_link, path, to) != 0;
            snprintf(text, sizeof text, "%s.r", path);
            bad += own(SYS_rename, to, text) != 0;
            bad += own(SYS_fsync, f) != 0;
        }
        long r = own(SYS_write, p[1], line, 64);
        bad += r != 64;
        r = own(SYS_read, p[0], line, 64);
        bad += r != 64;
    }
    struct timespec ts = {0, 30000000};
    for (int i = 0; i < 5; i++) eintr += own(SYS_nanosleep, &ts, 0) == -EINTR;
    own(SYS_close, f);
    calm();
    printf("%s %ld %d\n", (char *)name, bad, eintr == 5);
    return NULL;
}
static void storms(void) {
    handle(SIGUSR1, count, SA_RESTART);
    pthread_t t;
    // one after the other: `timer_of_storm` is of one thread
    for (int i = 0; i < 2; i++) {
        pthread_create(&t, NULL, busy, i ? "second" : "first");
        pthread_join(t, NULL);
    }
    printf("hit %d\n", hits > 100);
}
static int leap_pipe[2];
static void leap(int s) { (void)s; if (hits++ % 3 == 0) siglongjmp(out, 1); }
static void leaps(void) {
    // Out of whatever was interrupted: calls that wait, calls that look, calls outside V.
    handle(SIGUSR1, leap, 0);
    char b[8];
    volatile long wrong = 0, done = 0;
    pipe(leap_pipe);
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigsetjmp(out, 1);
    if (!done++) storm(SIGUSR1);
    for (; done < 2000; done++) {
        struct stat st;
        wrong += own(SYS_stat, P("."), &st) != 0;
        wrong += own(SYS_getpid) != getpid();
        long r = own(SYS_read, leap_pipe[0], b, 8);
        wrong += r != -EINTR;
    }
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    calm();
    printf("wrong %ld; %ld\n", wrong, make("leaps", "0123456789"));
}

// ---- coroutines whose stacks come by way of sigaltstack, and those that carry a signal stack

enum { ROUTINES = 5 };
static sigjmp_buf born, routine[ROUTINES], mainly;
static volatile int number, turns;
static char *routine_stack[ROUTINES];
static void live(int me) {
    char local[600], name[20];
    memset(local, me, sizeof local);
    snprintf(name, sizeof name, "routine%d", me);
    for (int i = 0; i < 4; i++) {
        make(name, "turn\n");
        int bad = 0;
        for (unsigned k = 0; k < sizeof local; k++) bad += local[k] != me;
        printf("routine %d turn %d: %d\n", me, i, bad);
        if (sigsetjmp(routine[me], 0) == 0) siglongjmp(mainly, 1);
    }
    siglongjmp(mainly, 1);
}
static void birth(int s) {
    (void)s;
    int me = number;
    if (sigsetjmp(routine[me], 0) == 0) return;
    live(me);
}
static void coroutines(void) {
    for (unsigned size = 8192; size <= 65536; size *= 8) {
        for (int i = 0; i < ROUTINES; i++) {
            routine_stack[i] = malloc(size);
            number = i;
            stack_t st = {.ss_sp = routine_stack[i], .ss_size = size}, was;
            handle(SIGUSR1, birth, SA_ONSTACK);
            sigaltstack(&st, &was);
            raise(SIGUSR1);
            st.ss_flags = SS_DISABLE;
            sigaltstack(&st, NULL);
            sigaltstack(&was, NULL);
        }
        for (volatile int i = 0; i < 3 * ROUTINES; i++)
            if (sigsetjmp(mainly, 1) == 0) siglongjmp(routine[i * 2 % ROUTINES], 1);
    }
}
static ucontext_t hub, fiber[3];
static char fiber_stack[3][32768], fiber_signals[3][8192];
static void on_signal(int s) {
    (void)s;
    make("fibers", "s");
}
static void fiber_body(int me) {
    for (int i = 0; i < 3; i++) {
        stack_t st = {.ss_sp = fiber_signals[me], .ss_size = 8192}, was;
        own(SYS_sigaltstack, &st, 0);
        raise(SIGUSR2);
        printf("fiber %d %ld", me, own(SYS_sigaltstack, 0, &was));
        printf(" %zu %ld\n", was.ss_size >= 8192, make("fibers", "f"));
        swapcontext(&fiber[me], &hub);
    }
    swapcontext(&fiber[me], &hub);
}
static void fibers(void) {
    handle(SIGUSR2, on_signal, SA_ONSTACK);
    for (int i = 0; i < 3; i++) {
        getcontext(&fiber[i]);
        fiber[i].uc_stack.ss_sp = fiber_stack[i];
        fiber[i].uc_stack.ss_size = sizeof fiber_stack[i];
        makecontext(&fiber[i], (void (*)(void))fiber_body, 1, i);
    }
    for (int i = 0; i < 9; i++) swapcontext(&hub, &fiber[i % 3]);
}

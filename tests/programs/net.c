// Calls made by instructions of the program's own, in every surrounding: `net CASE DIR`. What a case prints
// is the same natively and in a process whose calls are dispatched.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

// Six arguments, exactly as the kernel takes them.
long own6(long nr, long a, long b, long c, long d, long e, long f);
long own_vfork(void);
long own_clone(long flags, void *stack, void (*run)(void));
long flags_and_red_zone(void);
void own_restorer(void);
__asm__(
    ".text\n"
    "own6: mov %rdi,%rax; mov %rsi,%rdi; mov %rdx,%rsi; mov %rcx,%rdx; mov %r8,%r10; mov %r9,%r8;\n"
    "  mov 8(%rsp),%r9; syscall; ret\n"
    "own_vfork: pop %rdi; mov $58,%eax; syscall; push %rdi; ret\n"
    // the child runs `run` on the new stack; r9 carries it, as in Go's runtime
    "own_clone: mov %rdx,%r9; xor %edx,%edx; xor %r10d,%r10d; xor %r8d,%r8d; mov $56,%eax; syscall;\n"
    "  test %rax,%rax; jz 1f; ret; 1: xor %ebp,%ebp; call *%r9; mov $60,%eax; xor %edi,%edi; syscall; hlt\n"
    // getpid with the carry and direction of its own flags, and words below the stack pointer; 0 if all is kept
    "flags_and_red_zone: movq $11,-8(%rsp); movq $22,-128(%rsp); mov $39,%eax; stc; syscall; setnc %cl;\n"
    "  movzbl %cl,%eax; cmpq $11,-8(%rsp); je 1f; or $2,%eax; 1: cmpq $22,-128(%rsp); je 2f; or $4,%eax; 2: ret\n"
    "own_restorer: mov $15,%eax; syscall\n");

static const char *dir;
static char text[4096];
#define P(name) (snprintf(text, sizeof text, "%s/%s", dir, name), text)
#define own(...) OWN(__VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define OWN(nr, a, b, c, d, e, f, ...) own6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

// A file is made and written by own calls.
static long make(const char *name, const char *content) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    long f = own(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY | O_APPEND, 0644);
    if (f < 0) return f;
    long n = own(SYS_write, f, content, strlen(content));
    long c = own(SYS_close, f);
    return c < 0 ? c : n;
}

static void calls(void) {
    char to[4096];
    printf("make %ld\n", make("f", "hello"));
    snprintf(to, sizeof to, "%s/g", dir);
    printf("rename %ld\n", own(SYS_renameat2, AT_FDCWD, P("f"), AT_FDCWD, to, RENAME_NOREPLACE));
    printf("mkdir %ld %ld\n", own(SYS_mkdir, P("d"), 0755), own(SYS_mkdir, P("d"), 0755));
    printf("link %ld\n", own(SYS_link, P("g"), strcat(strcpy(to, dir), "/d/h")));
    printf("chmod %ld\n", own(SYS_fchmodat, AT_FDCWD, P("g"), 0600));
    printf("truncate %ld\n", own(SYS_truncate, P("g"), 3));
    printf("make %ld\n", make("gone", "x"));
    printf("unlink %ld %ld\n", own(SYS_unlink, P("gone")), own(SYS_unlink, P("gone")));
    printf("fault %ld %ld\n", own(SYS_openat, AT_FDCWD, 8, O_CREAT | O_WRONLY, 0644), own(SYS_rt_sigprocmask, 0, 8, 0, 8));
    printf("none %ld %ld\n", own(1000), own(-1));
    printf("kept %ld\n", flags_and_red_zone());
    int f = open(P("g"), O_WRONLY);
    printf("mixed %ld %zd\n", own(SYS_pwrite64, f, "abc", 3, 10), pwrite(f, "z", 1, 1));
    long e = own(SYS_dup, f);
    printf("dup %d %ld\n", e > f, own(SYS_write, e, "Q", 1));
    printf("close %ld %ld\n", own(SYS_close, e), own(SYS_close, f));
}

// ---- threads and children

static void *in_thread(void *name) {
    printf("thread %ld\n", make(name, "thread"));
    return NULL;
}
static void run_thread(void *(*f)(void *), void *arg, size_t stack) {
    pthread_attr_t a;
    pthread_t t;
    pthread_attr_init(&a);
    if (stack) pthread_attr_setstacksize(&a, stack);
    pthread_create(&t, &a, f, arg);
    pthread_join(t, NULL);
}
static int cloned(void *name) {
    make(name, "cloned");
    return 0;
}
static char stack_a[65536] __attribute__((aligned(64)));
static volatile int bare_done;
static void bare(void) {
    make("bare", "bare thread");
    __atomic_store_n(&bare_done, 1, __ATOMIC_SEQ_CST);
}
static void end_of(const char *what, long pid) {
    int st = -1;
    waitpid(pid, &st, 0);
    printf("%s %x\n", what, st);
}
static void children(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    run_thread(in_thread, "t", 0);
    run_thread(in_thread, "small", 32768);
    long p = fork();
    if (!p) { make("fork", "forked"); run_thread(in_thread, "thread of fork", 0); _exit(0); }
    end_of("fork", p);
    p = vfork();
    if (!p) { make("vfork", "vforked"); _exit(3); }
    end_of("vfork", p);
    p = own_vfork();
    if (!p) { make("own vfork", "x"); long q = own_vfork(); if (!q) { make("nested", "y"); own(SYS_exit, 1); } own(SYS_exit, 4); }
    end_of("own vfork", p);
    end_of("clone vm", clone(cloned, stack_a + sizeof stack_a, CLONE_VM | CLONE_VFORK | SIGCHLD, "clone vm"));
    end_of("clone", clone(cloned, stack_a + sizeof stack_a, SIGCHLD, "clone"));
    p = own(SYS_fork);
    if (!p) { make("own fork", "x"); p = fork(); if (!p) { make("deeper", "y"); _exit(0); } end_of("deeper", p); _exit(5); }
    end_of("own fork", p);
    p = own(SYS_clone, SIGCHLD);
    if (!p) { make("own clone", "x"); _exit(6); }
    end_of("own clone", p);
    long t = own_clone(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
                       stack_a + sizeof stack_a, bare);
    printf("bare %d\n", t > 0);
    while (!__atomic_load_n(&bare_done, __ATOMIC_SEQ_CST)) sched_yield();
    while (own(SYS_tgkill, getpid(), t, 0) == 0) sched_yield();
    extern char **environ;
    char *args[] = {"sh", "-c", "echo spawned > \"$0\"", P("spawned"), NULL};
    pid_t s;
    printf("spawn %d\n", posix_spawn(&s, "/bin/sh", NULL, NULL, args, environ));
    end_of("spawn", s);
    p = vfork();
    if (!p) { char *a[] = {"sh", "-c", "echo executed > \"$0\"", P("executed"), NULL}; own(SYS_execve, "/bin/sh", a, environ); own(SYS_exit, 9); }
    end_of("exec", p);
    printf("system %d\n", system("true"));
    FILE *f = popen("echo from a pipe", "r");
    char line[99] = "";
    fgets(line, sizeof line, f);
    printf("%s%d\n", line, pclose(f));
}

// ---- more clones at once than anybody thinks of, and children that are killed before they have begun

enum { CROWD = 150, KILLED = 1500 };
static int here[2], go_on[2], refused;
static void *held_in_vfork(void *p) {
    (void)p;
    char b;
    pid_t q = vfork();
    if (!q) { write(here[1], "c", 1); read(go_on[0], &b, 1); _exit(0); }
    if (q < 0) { __atomic_add_fetch(&refused, 1, __ATOMIC_SEQ_CST); write(here[1], "f", 1); }
    else waitpid(q, NULL, 0);
    return NULL;
}
static void *spawns(void *p) {
    (void)p;
    extern char **environ;
    char *args[] = {"true", NULL};
    for (int i = 0; i < 2; i++) {
        pid_t q;
        if (posix_spawn(&q, "/bin/true", NULL, NULL, args, environ)) __atomic_add_fetch(&refused, 1, __ATOMIC_SEQ_CST);
        else waitpid(q, NULL, 0);
    }
    return NULL;
}
static int sleeps(void *p) {
    (void)p;
    for (;;) pause();
}
static void crowd(void) {
    pthread_t t[CROWD];
    pthread_attr_t a;
    char b;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 65536);
    pipe(here);
    pipe(go_on);
    for (int i = 0; i < CROWD; i++) pthread_create(&t[i], &a, held_in_vfork, NULL);
    for (int i = 0; i < CROWD; i++) read(here[0], &b, 1);
    for (int i = 0; i < CROWD; i++) write(go_on[1], "x", 1);
    for (int i = 0; i < CROWD; i++) pthread_join(t[i], NULL);
    printf("refused %d\n", refused);
    for (int i = 0; i < CROWD; i++) refused += pthread_create(&t[i], &a, spawns, NULL) != 0;
    for (int i = 0; i < CROWD; i++) pthread_join(t[i], NULL);
    printf("refused %d\n", refused);
    for (int i = 0; i < KILLED; i++) {
        pid_t q = clone(sleeps, stack_a + sizeof stack_a, CLONE_VM | SIGCHLD, NULL);
        refused += q < 0;
        if (q > 0) { kill(q, SIGKILL); waitpid(q, NULL, 0); }
        q = vfork();
        if (!q) { kill(getpid(), SIGKILL); _exit(0); }
        refused += q < 0;
        if (q > 0) waitpid(q, NULL, 0);
    }
    printf("refused %d\n", refused);
    run_thread(in_thread, "after the crowd", 0);
}

// ---- signals

static volatile sig_atomic_t hits;
static int pipe_in[2];
static void count(int s) { (void)s; hits++; }
static void feed(int s) { (void)s; hits++; own(SYS_write, pipe_in[1], "x", 1); }
static sigjmp_buf back;
static void leap(int s) { (void)s; siglongjmp(back, 1); }
static void nested(int s) {
    char name[20];
    snprintf(name, sizeof name, "nested%d", s);
    make(name, "in a handler");
    if (s < SIGRTMIN + 4) raise(s + 1);
}
static void handle(int s, void (*h)(int), int flags) {
    struct sigaction a = {.sa_handler = h, .sa_flags = flags};
    sigfillset(&a.sa_mask);
    sigaction(s, &a, NULL);
}
static void soon(long us) {
    struct itimerval t = {.it_value = {.tv_usec = us}};
    setitimer(ITIMER_REAL, &t, NULL);
}
static void signals(void) {
    char b[8];
    pipe(pipe_in);
    handle(SIGALRM, count, 0);
    soon(20000);
    printf("eintr %ld %d\n", own(SYS_read, pipe_in[0], b, 8), (int)hits);
    handle(SIGALRM, feed, SA_RESTART);
    soon(20000);
    printf("restart %ld %d\n", own(SYS_read, pipe_in[0], b, 8), (int)hits);
    handle(SIGALRM, leap, 0);
    if (sigsetjmp(back, 1) == 0) {
        soon(20000);
        printf("never %ld\n", own(SYS_read, pipe_in[0], b, 8));
    } else
        printf("leapt\n");
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("blocked %d %d\n", sigismember(&now, SIGALRM), sigismember(&now, SIGSYS));
    printf("after a leap %ld\n", make("leapt", "x"));
    for (int i = 0; i < 5; i++) handle(SIGRTMIN + i, nested, SA_NODEFER);
    raise(SIGRTMIN);
    // on a signal stack of its own
    stack_t st = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(&st, NULL);
    for (int i = 0; i < 5; i++) handle(SIGRTMIN + i, nested, SA_NODEFER | SA_ONSTACK);
    raise(SIGRTMIN);
    printf("on its stack %ld\n", make("altstack", "x"));
    st.ss_flags = SS_DISABLE;
    sigaltstack(&st, NULL);
    // a foreign trampoline
    struct { void (*h)(int); unsigned long flags; void (*r)(void); unsigned long mask; } k = {count, 0x04000000, own_restorer, ~0ul}, old;
    hits = 0;
    printf("own sigaction %ld\n", own(SYS_rt_sigaction, SIGUSR1, &k, &old, 8));
    raise(SIGUSR1);
    own(SYS_kill, getpid(), SIGUSR1);
    printf("own trampoline %d %ld\n", (int)hits, make("trampoline", "x"));
    // masks by own calls
    unsigned long all = ~0ul, before = 0, none = 0;
    printf("own mask %ld %lx\n", own(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, 8), before);
    raise(SIGUSR1);
    printf("held %d %ld\n", (int)hits, make("masked", "x"));
    printf("own mask %ld %d\n", own(SYS_rt_sigprocmask, SIG_SETMASK, &none, 0, 8), (int)hits);
    printf("bad %ld %ld %ld\n", own(SYS_rt_sigprocmask, 7, &none, 0, 8), own(SYS_rt_sigprocmask, 0, &none, 0, 4), own(SYS_rt_sigprocmask, 0, 0, 0, 8));
}

static void storm(void) {
    handle(SIGALRM, count, SA_RESTART);
    struct itimerval t = {{0, 300}, {0, 300}};
    setitimer(ITIMER_REAL, &t, NULL);
    long bad = 0, pid = getpid();
    for (int i = 0; i < 30000 || hits < 20; i++) bad += own(SYS_getpid) != pid;
    for (int i = 0; i < 200; i++) bad += make("storm", "0123456789") != 10;
    t = (struct itimerval){0};
    setitimer(ITIMER_REAL, &t, NULL);
    printf("bad %ld, %d\n", bad, hits >= 20);
}

// ---- SIGSYS: blocked, ignored, handled, waited for

static void told(int s, siginfo_t *i, void *c) {
    (void)s; (void)c;
    printf("told %d %ld\n", i->si_code, make("told", "x"));
}
static void *blocked_thread(void *p) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    printf("blocked %ld\n", make(p, "blocked"));
    return NULL;
}
static void under_mask(int s) {
    (void)s;
    hits++;
    make("under", "m");
}
static void *poke(void *p) {
    while (!*(volatile int *)p) { kill(getpid(), SIGUSR2); usleep(2000); }
    return NULL;
}
static void masks(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    run_thread(blocked_thread, "b", 0);
    blocked_thread("b2");
    sigset_t none, most;
    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    signal(SIGSYS, SIG_IGN);
    printf("ignored %ld %d\n", make("ignored", "x"), kill(getpid(), SIGSYS));
    struct sigaction was;
    sigaction(SIGSYS, NULL, &was);
    printf("is ignored %d\n", was.sa_handler == SIG_IGN);
    struct sigaction a = {.sa_sigaction = told, .sa_flags = SA_SIGINFO};
    sigaction(SIGSYS, &a, &was);
    printf("was ignored %d\n", was.sa_handler == SIG_IGN);
    raise(SIGSYS);
    sigaction(SIGSYS, NULL, &was);
    printf("is mine %d\n", was.sa_sigaction == told);
    signal(SIGSYS, SIG_DFL);
    printf("default %ld\n", make("default", "x"));
    // handlers that run under masks of calls that wait
    sigfillset(&most);
    sigdelset(&most, SIGUSR2);
    sigset_t usr2;
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &usr2, NULL);
    handle(SIGUSR2, under_mask, 0);
    struct timespec ts = {10, 0};
    struct epoll_event ev;
    int ep = epoll_create1(0);
    volatile int stop = 0;
    for (int way = 0; way < 7; way++) {
        hits = 0;
        kill(getpid(), SIGUSR2);
        long r = way == 0 ? ppoll(NULL, 0, &ts, &most) : way == 1 ? pselect(0, NULL, NULL, NULL, &ts, &most)
            : way == 2 ? epoll_pwait(ep, &ev, 1, 10000, &most) : way == 3 ? sigsuspend(&most)
            : way == 4 ? own(SYS_ppoll, 0, 0, &ts, &most, 8) : way == 5 ? own(SYS_rt_sigsuspend, &most, 8)
            : epoll_pwait2(ep, &ev, 1, &ts, &most);
        printf("way %d %ld %d\n", way, way > 3 && way < 6 ? r : r - (errno != EINTR), (int)hits);
    }
    (void)stop; (void)poke;
    pid_t p = fork();
    if (!p) { raise(SIGSYS); _exit(1); }
    int st;
    waitpid(p, &st, 0);
    printf("ended by %d\n", WTERMSIG(st));
}

// A timer's callback runs with what glibc has blocked.
static pthread_barrier_t gate;
static void tick(union sigval v) {
    (void)v;
    make("tick", "t");
    pthread_barrier_wait(&gate);
}
static void timers(void) {
    pthread_barrier_init(&gate, NULL, 2);
    struct sigevent e = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = tick};
    timer_t t;
    timer_create(CLOCK_MONOTONIC, &e, &t);
    struct itimerspec s = {.it_value = {0, 1000000}};
    timer_settime(t, 0, &s, NULL);
    pthread_barrier_wait(&gate);
    printf("ticked\n");
}

// ---- small signal stacks, and masks that are written into contexts

static int small_out;
static volatile long answer_of_small;
static void small(int s) { (void)s; own(SYS_write, small_out, "s", 1); hits++; }
static void on_it(int s) {
    (void)s;
    stack_t st = {.ss_sp = stack_a, .ss_size = 65536};
    answer_of_small = own(SYS_sigaltstack, &st, 0);
}
static void poison(int s, siginfo_t *i, void *c) {
    (void)s; (void)i;
    sigaddset(&((ucontext_t *)c)->uc_sigmask, SIGSYS);
    hits++;
}
static void frames(int s) {
    (void)s;
    void *all[64];
    answer_of_small = backtrace(all, 64);
}
static void signal_on_stack(int s, void (*h)(int)) {
    struct sigaction a = {.sa_handler = h, .sa_flags = SA_ONSTACK};
    sigaction(s, &a, NULL);
}
static void *with_small(void *p) {
    (void)p;
    char mine[4096];
    stack_t st = {.ss_sp = mine, .ss_size = sizeof mine};
    for (int i = 0; i < 3; i++) {
        if (i == 1 ? own(SYS_sigaltstack, &st, 0) : sigaltstack(&st, NULL)) return "set";
        if (pthread_kill(pthread_self(), SIGUSR1)) return "kill";
        st.ss_flags = i == 1 ? 0 : SS_DISABLE;
        if (i != 1 && sigaltstack(&st, NULL)) return "unset";
        st.ss_flags = 0;
    }
    return NULL;
}
// A thread ends as Go's do: its stacks may be somebody else's before its last call.
static char signal_stack[32768];
static int about_to_end;
static void ends_bare(void) {
    stack_t st = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    unsigned long all = ~0ul;
    char here;
    long r = own(SYS_sigaltstack, &st, 0) | own(SYS_rt_sigprocmask, SIG_SETMASK, &all, 0, 8);
    st.ss_flags = SS_DISABLE;
    r |= own(SYS_sigaltstack, &st, 0);
    memset(stack_a, 0x5a, &here - 1024 - stack_a);
    memset(signal_stack, 0x5a, sizeof signal_stack);
    __atomic_store_n(&about_to_end, r ? -1 : 1, __ATOMIC_SEQ_CST);
    __asm__ volatile("syscall; hlt" : : "a"(SYS_exit), "D"(0) : "rcx", "r11", "memory");
}
static void ends(void) {
    for (int i = 0; i < 20; i++) {
        about_to_end = 0;
        long t = own_clone(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM,
                           stack_a + sizeof stack_a, ends_bare);
        while (own(SYS_tgkill, getpid(), t, 0) == 0) sched_yield();
        int touched = 0;
        for (unsigned k = 0; k < sizeof stack_a - 2048; k++) touched += stack_a[k] != 0x5a;
        for (unsigned k = 0; k < sizeof signal_stack; k++) touched += signal_stack[k] != 0x5a;
        if (touched || about_to_end != 1) printf("%d bytes of an ended thread's stacks were touched, %d\n", touched, about_to_end);
    }
    puts("ended");
}
static void stacks(void) {
    ends();
    static char four[4096], eight[8192];
    small_out = open(P("small"), O_CREAT | O_WRONLY | O_APPEND, 0644);
    stack_t st = {.ss_sp = four, .ss_size = sizeof four}, was;
    signal_on_stack(SIGUSR1, small);
    printf("set %d\n", sigaltstack(&st, NULL));
    raise(SIGUSR1);
    kill(getpid(), SIGUSR1);
    printf("asked %d", sigaltstack(NULL, &was));
    printf(" %d %d %zu\n", was.ss_sp == four, was.ss_flags, was.ss_size);
    st.ss_sp = eight, st.ss_size = sizeof eight;
    printf("replaced %d", sigaltstack(&st, &was));
    printf(" %d %d %zu\n", was.ss_sp == four, was.ss_flags, was.ss_size);
    raise(SIGUSR1);
    pid_t p = fork();
    if (!p) { raise(SIGUSR1); st.ss_flags = SS_DISABLE; _exit(sigaltstack(&st, &was) || was.ss_sp != eight || make("after small", "x") != 1); }
    end_of("child", p);
    st.ss_flags = SS_DISABLE;
    printf("off %d", sigaltstack(&st, &was));
    printf(" %d %zu", was.ss_sp == eight, was.ss_size);
    printf(" %d", sigaltstack(NULL, &was));
    printf(" %d\n", was.ss_flags);
    // by own calls, with the kernel's refusals
    st = (stack_t){.ss_sp = four, .ss_size = sizeof four};
    printf("own %ld", own(SYS_sigaltstack, &st, 0));
    raise(SIGUSR1);
    st.ss_size = 1000;
    printf(" %ld", own(SYS_sigaltstack, &st, 0));
    st.ss_size = 4096, st.ss_flags = 77;
    printf(" %ld %ld %ld\n", own(SYS_sigaltstack, &st, 0), own(SYS_sigaltstack, 8, 0), own(SYS_sigaltstack, 0, 8));
    signal_on_stack(SIGUSR2, on_it);
    raise(SIGUSR2);
    printf("on it %ld\n", answer_of_small);
    st.ss_flags = SS_DISABLE;
    printf("own off %ld", own(SYS_sigaltstack, &st, 0));
    printf(" %ld %d\n", own(SYS_sigaltstack, 0, &was), was.ss_flags);
    // a thread that ends without one, as Go's do
    for (int round = 0; round < 150; round++) {
        pthread_t t;
        void *r;
        if (pthread_create(&t, NULL, with_small, NULL) || pthread_join(t, &r)) puts("thread");
        else if (r) puts(r);
    }
    printf("hits %d\n", (int)hits);
    hits = 0;
    struct sigaction a = {.sa_sigaction = poison, .sa_flags = SA_SIGINFO}, old;
    sigaction(SIGHUP, &a, NULL);
    for (int i = 0; i < 3; i++) { raise(SIGHUP); printf("poisoned %ld\n", make("poisoned", "x")); }
    printf("old %d", sigaction(SIGHUP, NULL, &old));
    printf(" %d\n", old.sa_sigaction == poison);
    struct { void (*h)(int, siginfo_t *, void *); unsigned long flags; void (*r)(void); unsigned long mask; } k = {poison, 0x04000000 | SA_SIGINFO, own_restorer, 0};
    own(SYS_rt_sigaction, SIGHUP, &k, 0, 8);
    raise(SIGHUP);
    printf("poisoned %ld %d\n", make("poisoned", "x"), (int)hits);
    signal_on_stack(SIGUSR2, frames);
    raise(SIGUSR2);
    printf("frames %ld\n", answer_of_small);
    // masks that contexts carry
    ucontext_t c;
    volatile int again = 0;
    getcontext(&c);
    sigaddset(&c.uc_sigmask, SIGSYS);
    if (!again++) setcontext(&c);
    printf("context %ld\n", make("context", "x"));
}

// ---- cancellation and contexts

static void tidy_up(void *p) { *(int *)p = 1; }
static int cleaned;
static void *reads(void *p) {
    char b[8];
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    pthread_cleanup_push(tidy_up, &cleaned);
    pthread_barrier_wait(&gate);
    own(SYS_read, *(int *)p, b, 8);
    pthread_cleanup_pop(0);
    return NULL;
}
static ucontext_t one, two;
static void other(void) {
    make("context", "in another context");
    swapcontext(&two, &one);
}
static void cancelled(void) {
    pthread_t t;
    void *r;
    pipe(pipe_in);
    pthread_barrier_init(&gate, NULL, 2);
    pthread_create(&t, NULL, reads, &pipe_in[0]);
    pthread_barrier_wait(&gate);
    usleep(20000);
    pthread_cancel(t);
    pthread_join(t, &r);
    printf("cancelled %d %d\n", r == PTHREAD_CANCELED, cleaned);
    getcontext(&two);
    two.uc_stack.ss_sp = malloc(65536);
    two.uc_stack.ss_size = 65536;
    two.uc_link = &one;
    makecontext(&two, other, 0);
    swapcontext(&one, &two);
    printf("back %ld\n", make("context", "x"));
}

// ---- sandboxes

static long filter(unsigned nr, unsigned arg, unsigned action) {
    // `nr` whose first argument is `arg` gets `action`
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arg, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog p = {sizeof f / sizeof *f, f};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return own(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p);
}
static void trapped(int s, siginfo_t *i, void *c) {
    (void)s;
    ucontext_t *u = c;
    printf("trapped %d %d\n", i->si_code, i->si_syscall);
    u->uc_mcontext.gregs[REG_RAX] = 42;
}
static void *not_armed(void *name) {
    int f = open(P(name), O_CREAT | O_WRONLY, 0644);
    printf("libc's %d\n", f > 0);
    return NULL;
}
static void sandbox(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    printf("probe %d %d\n", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 0, 0, 0), errno);
    struct sigaction a = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};
    sigaction(SIGSYS, &a, NULL);
    printf("filter %ld\n", filter(SYS_getpriority, 7, SECCOMP_RET_TRAP));
    printf("own %ld\n", own(SYS_getpriority, 7));
    printf("libc's %ld\n", syscall(SYS_getpriority, 7));
    // No thread is armed any more: it would die.
    printf("filter %ld\n", filter(SYS_prctl, 59, SECCOMP_RET_KILL_PROCESS));
    run_thread(not_armed, "after", 0);
    pid_t p = fork();
    if (!p) _exit(7);
    end_of("child", p);
    printf("armed %ld\n", make("armed", "x"));
}

// A program that starts under a filter that kills for it.
static void inherited(void) {
    printf("filter %ld\n", filter(SYS_prctl, 59, SECCOMP_RET_KILL_PROCESS));
    fflush(stdout);
    execl("/proc/self/exe", "net", "lives", dir, NULL);
}
static void lives(void) {
    FILE *f = fopen(P("lives"), "w");
    printf("lives %d\n", f && fputs("x", f) >= 0 && fclose(f) == 0);
    pid_t p = fork();
    if (!p) _exit(7);
    end_of("child", p);
    printf("no other %d %d\n", waitpid(-1, NULL, __WALL), errno == ECHILD);
}

// ---- libraries

static void libraries(void) {
    void *l = dlopen(getenv("OWN_LIB"), RTLD_NOW);
    long (*f)(const char *, const char *) = l ? (long (*)(const char *, const char *))dlsym(l, "lib_make") : NULL;
    printf("library %ld\n", f ? f(P("from a library"), "x") : -999);
    void *c = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
    int (*o)(const char *, int, ...) = c ? (int (*)(const char *, int, ...))dlsym(c, "open") : NULL;
    ssize_t (*w)(int, const void *, size_t) = c ? (ssize_t(*)(int, const void *, size_t))dlsym(c, "write") : NULL;
    int n = o ? o(P("second libc"), O_CREAT | O_WRONLY, 0644) : -999;
    printf("second libc %d %zd\n", n > 0, w ? w(n, "written", 7) : 0);
    // code that was made at run time
    static const unsigned char code[] = {0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6, 0x48, 0x89, 0xca, 0x0f, 0x05, 0xc3};
    void *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(m, code, sizeof code);
    printf("made %ld\n", ((long (*)(long, long, long, long))m)(SYS_mkdir, (long)P("by made code"), 0755, 0));
}

// What only a dispatched process answers so.
static void answers(void) {
    long r;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory");
    printf("int80 %ld\n", r);
    printf("prctl %ld %d %ld\n", own(SYS_prctl, 59, 0, 0, 0, 0), prctl(59, 0, 0, 0, 0), syscall(SYS_prctl, 59, 0, 0, 0, 0));
    printf("rings %ld %ld\n", own(SYS_io_uring_setup, 4, text), own(SYS_io_setup, 4, text));
    printf("x32 %ld\n", own(SYS_getpid | 0x40000000));
    printf("alive %ld\n", make("alive", "x"));
}

int main(int n, char **v) {
    if (n < 3) return 2;
    dir = v[2];
    static const struct { const char *name; void (*run)(void); } all[] = {
        {"calls", calls}, {"children", children}, {"crowd", crowd}, {"signals", signals}, {"storm", storm}, {"masks", masks},
        {"stacks", stacks}, {"timers", timers}, {"cancelled", cancelled}, {"sandbox", sandbox}, {"inherited", inherited}, {"lives", lives}, {"libraries", libraries}, {"answers", answers},
    };
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i].name, v[1])) {
            all[i].run();
            return 0;
        }
    return 2;
}

// Behind hazards.c, in one source: threads, children, faults.

// ---- threads that are cancelled at any instant

static pthread_barrier_t gate;
static int tidied;
static void tidy_up(void *p) { (void)p; __atomic_add_fetch(&tidied, 1, __ATOMIC_SEQ_CST); }
static void *writes(void *p) {
    int f = *(int *)p;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
    pthread_cleanup_push(tidy_up, NULL);
    pthread_barrier_wait(&gate);
    for (;;) {
        own(SYS_pwrite64, f, "0123456789", 10, 0);
        own(SYS_getppid);
        own(SYS_fchmod, f, 0644);
    }
    pthread_cleanup_pop(0);
    return NULL;
}
static void *waits(void *p) {
    char b;
    pthread_cleanup_push(tidy_up, NULL);
    pthread_barrier_wait(&gate);
    for (;;) {
        own(SYS_pwrite64, *(int *)p, "abc", 3, 20);
        read(leap_pipe[0], &b, 1);
    }
    pthread_cleanup_pop(0);
    return NULL;
}
static void cancel(void) {
    int f = open(P("cancelled"), O_CREAT | O_RDWR, 0644), ended = 0;
    pipe(leap_pipe);
    pthread_barrier_init(&gate, NULL, 2);
    for (int i = 0; i < 150; i++) {
        pthread_t t;
        void *r;
        pthread_create(&t, NULL, i % 3 ? writes : waits, &f);
        pthread_barrier_wait(&gate);
        for (volatile int k = 0; k < i * 997; k++) {}
        pthread_cancel(t);
        pthread_join(t, &r);
        ended += r == PTHREAD_CANCELED;
    }
    // Whether a thread came to its first write is chance.
    own(SYS_pwrite64, f, "0123456789", 10, 0);
    printf("%d %d %ld\n", ended, tidied, make("after", "x"));
}

// ---- many threads that start programs in every way

extern char **environ;
static void *starts(void *p) {
    char name[64], line[200];
    long bad = 0;
    int st;
    for (int i = 0; i < 6; i++) {
        snprintf(line, sizeof line, "echo %d >> '%s/by.%ld'", i, dir, (long)p);
        char *a[] = {"sh", "-c", line, NULL};
        long q = own_vfork();
        if (!q) { own(SYS_execve, "/bin/sh", a, environ); own(SYS_exit, 9); }
        bad += waitpid(q, &st, 0) != q || st;
        q = vfork();
        if (!q) { execve("/bin/sh", a, environ); _exit(9); }
        bad += waitpid(q, &st, 0) != q || st;
        q = own(SYS_fork);
        if (!q) { own(SYS_execve, "/bin/sh", a, environ); own(SYS_exit, 9); }
        bad += waitpid(q, &st, 0) != q || st;
        snprintf(name, sizeof name, "action.%ld", (long)p);
        posix_spawn_file_actions_t fa;
        posix_spawnattr_t at;
        sigset_t all;
        sigfillset(&all);
        posix_spawnattr_init(&at);
        posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        posix_spawnattr_setsigmask(&at, &all);
        posix_spawnattr_setsigdefault(&at, &all);
        posix_spawn_file_actions_init(&fa);
        posix_spawn_file_actions_addopen(&fa, 1, P(name), O_CREAT | O_WRONLY | O_APPEND, 0644);
        char *e[] = {"sh", "-c", "echo spawned", NULL};
        pid_t c;
        bad += posix_spawn(&c, "/bin/sh", &fa, &at, e, environ);
        bad += waitpid(c, &st, 0) != c || st;
        posix_spawn_file_actions_destroy(&fa);
    }
    printf("bad %ld\n", bad);
    return NULL;
}
static void spawns(void) {
    pthread_t t[5];
    for (long i = 0; i < 5; i++) pthread_create(&t[i], NULL, starts, (void *)i);
    for (int i = 0; i < 5; i++) pthread_join(t[i], NULL);
}

// ---- clone3, as checkpoint tools and runtimes use it

static int free_pid(void) {
    for (int p = 30011; p < 32000; p++)
        if (kill(p, 0) && errno == ESRCH) return p;
    return 30000;
}
static void by_clone3(void) {
    setvbuf(stdout, NULL, _IONBF, 0);
    int fd = -1;
    pid_t wanted = 0, told = 0, cleared = 7;
    struct clone_args a = {.exit_signal = SIGCHLD};
    long p = own(SYS_clone3, &a, sizeof a);
    if (!p) { make("plain", "x"); own(SYS_exit, 3); }
    end_of("plain", p);
    a = (struct clone_args){.exit_signal = SIGCHLD, .set_tid = (long)&wanted, .set_tid_size = 1};
    do {
        wanted = free_pid();
        p = own(SYS_clone3, &a, sizeof a);
    } while (p == -EEXIST);
    if (!p) { make("numbered", "x"); own(SYS_exit, 4); }
    printf("as wanted %d\n", p == wanted || p == -EPERM);
    if (p > 0) end_of("numbered", p);
    a = (struct clone_args){.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
                            .exit_signal = SIGCHLD, .pidfd = (long)&fd, .parent_tid = (long)&told, .child_tid = (long)&cleared};
    p = syscall(SYS_clone3, &a, sizeof a);
    if (!p) { int f = open(P("cleared"), O_CREAT | O_WRONLY, 0644); write(f, "x", 1); struct sigaction s; sigaction(SIGALRM, 0, &s); _exit(s.sa_handler == SIG_DFL ? 5 : 6); }
    printf("descriptor %d, told %d\n", fd > 0, told == p);
    end_of("cleared", p);
    static char stack[65536] __attribute__((aligned(64)));
    a = (struct clone_args){.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD};
    // a vfork by another name; the child may not return
    register long r9 __asm__("r9") = 0;
    long r;
    __asm__ volatile("syscall; test %%rax,%%rax; jnz 1f; mov $60,%%eax; mov $8,%%edi; syscall; 1:" : "=a"(r) : "a"(SYS_clone3), "D"(&a), "S"(sizeof a), "r"(r9) : "rcx", "r11", "memory");
    end_of("vfork", r);
    a = (struct clone_args){.flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD, .stack = (long)stack, .stack_size = sizeof stack};
    __asm__ volatile("syscall; test %%rax,%%rax; jnz 1f; push $9; pop %%rdi; mov $60,%%eax; syscall; 1:" : "=a"(r) : "a"(SYS_clone3), "D"(&a), "S"(sizeof a) : "rcx", "r11", "memory");
    end_of("on a stack", r);
    printf("bad %ld %ld\n", own(SYS_clone3, 8, sizeof a), own(SYS_clone3, &a, 8));
    make("after", "x");
}

// ---- memory that another thread provides when it is touched

static int faults;
static char *pages;
static void *provides(void *p) {
    static char page[4096] __attribute__((aligned(4096)));
    struct uffd_msg m;
    strcpy(page, "by-fault");
    while (read(faults, &m, sizeof m) == sizeof m && m.event == UFFD_EVENT_PAGEFAULT) {
        make("provided", "p"); // the pager itself works in the directory
        char path[300];
        snprintf(path, sizeof path, "%s/pager", dir);
        int f = open(path, O_CREAT | O_WRONLY | O_APPEND, 0644);
        write(f, "q", 1);
        close(f);
        struct uffdio_copy c = {.dst = m.arg.pagefault.address & ~4095ul, .src = (long)page, .len = 4096};
        ioctl(faults, UFFDIO_COPY, &c);
    }
    return p;
}
static void userfault(void) {
    if (chdir(dir)) return;
    faults = own(SYS_userfaultfd, O_CLOEXEC);
    if (faults < 0) { puts("no userfaultfd"); return; }
    struct uffdio_api api = {.api = UFFD_API};
    ioctl(faults, UFFDIO_API, &api);
    pages = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct uffdio_register g = {.range = {(long)pages, 16 * 4096}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    ioctl(faults, UFFDIO_REGISTER, &g);
    pthread_t t;
    pthread_create(&t, NULL, provides, NULL);
    int f = open(P("fault"), O_CREAT | O_RDWR, 0644);
    char *p = pages;
    printf("pwrite %ld\n", own(SYS_pwrite64, f, p, 100, 0));
    p += 4096;
    printf("pwrite %zd\n", pwrite(f, p, 100, 100));
    p += 4096;
    printf("mkdir %ld\n", own(SYS_mkdir, p, 0755));
    p += 4096;
    printf("rmdir %d\n", rmdir(p));
    p += 4096;
    int n = open(p, O_CREAT | O_RDWR, 0644);
    printf("open %d\n", n > 0);
    p += 4096;
    struct iovec v[2] = {{p, 10}, {p + 4096, 10}};
    printf("writev %zd %ld\n", writev(n, v, 2), own(SYS_fsync, n));
    p += 2 * 4096;
    printf("pread %ld\n", own(SYS_pread64, f, p, 50, 0));
    p += 4096;
    printf("stat %ld\n", own(SYS_stat, p, p + 4096));
    p += 2 * 4096;
    printf("setxattr %ld %ld\n", own(SYS_fsetxattr, f, "user.x", p, 5, 0), own(SYS_unlink, p + 4096));
    p += 2 * 4096;
    printf("again %ld\n", own(SYS_pwrite64, f, p, 4096, 200));
}

// ---- stacks: one that grows, one that is nearly used up

static volatile long depth;
static long descend(int n, int step) {
    volatile char local[1024];
    local[0] = n;
    char name[20];
    snprintf(name, sizeof name, "d%d", n % 7);
    long r = own(SYS_pwrite64, -1, "x", 1, 0) == -EBADF;
    if (n % 8 == 0) r += make(name, "x") == 1;
    return n > 0 ? r + descend(n - 1, step) : r + local[0];
}
static volatile int grown;
static void on_growing(void) {
    depth = descend(80, 1);
    __atomic_store_n(&grown, 1, __ATOMIC_SEQ_CST);
}
static void *in_small_thread(void *p) {
    (void)p;
    return (void *)descend(32, 1); // of 64 KiB: more than half, and a frame must fit below
}
static void deep(void) {
    // far from everything else, so that it can grow
    char *top = mmap((void *)0x100000000000, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
    own_clone(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, top + 8192, on_growing);
    while (!__atomic_load_n(&grown, __ATOMIC_SEQ_CST)) sched_yield();
    printf("grown %ld\n", depth);
    struct rlimit l = {1 << 20, RLIM_INFINITY};
    setrlimit(RLIMIT_STACK, &l);
    printf("deep %ld\n", descend(700, 1));
    pthread_attr_t a;
    pthread_t t;
    void *r;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 65536);
    pthread_create(&t, &a, in_small_thread, NULL);
    pthread_join(t, &r);
    printf("small %ld\n", (long)r);
}

// ---- copies that are made on a stack of their own and go on as if by fork, as sandboxes of browsers do

static void mine(int s, siginfo_t *i, void *c) { (void)i; (void)c; hits += s; }
static int goes_back(void *env) { longjmp(*(jmp_buf *)env, 1); }
static __attribute__((noinline)) long copy_by(int flags, jmp_buf *env) {
    char stack[16384];
    return clone(goes_back, stack + sizeof stack - 64, flags | SIGCHLD, env);
}
static long fork_with(int flags) {
    jmp_buf env;
    if (setjmp(env)) return 0;
    return copy_by(flags, &env);
}
static void *in_copy(void *p) { return (void *)make(p, "thread"); }
static int lives_on(const char *name, int deeper) {
    struct sigaction a = {.sa_sigaction = mine, .sa_flags = SA_SIGINFO}, now;
    int bad = 0, st;
    bad |= sigaction(SIGSYS, &a, NULL) != 0;
    bad |= (sigaction(SIGSYS, NULL, &now) || now.sa_sigaction != mine || !(now.sa_flags & SA_SIGINFO)) << 1;
    hits = 0;
    raise(SIGSYS);
    bad |= (hits != SIGSYS) << 2;
    bad |= (make(name, "copy") != 4) << 3;
    posix_spawnattr_t at;
    sigset_t all;
    pid_t p;
    char *v[] = {"true", NULL};
    sigfillset(&all);
    posix_spawnattr_init(&at);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigdefault(&at, &all);
    bad |= (posix_spawn(&p, "/bin/true", NULL, &at, v, environ) || waitpid(p, &st, 0) != p || st) << 4;
    bad |= (sigaction(SIGSYS, NULL, &now) || now.sa_sigaction != mine) << 5;
    pthread_t t;
    void *r;
    bad |= (pthread_create(&t, NULL, in_copy, (void *)name) || pthread_join(t, &r) || (long)r != 6) << 6;
    if (deeper) {
        long q = deeper == 2 ? fork_with(0) : fork();
        if (!q) _exit(lives_on(name, deeper - 1));
        bad |= (waitpid(q, &st, 0) != q || st) << 7;
    }
    return bad;
}
static void copies(void) {
    static const int flags[] = {0, CLONE_NEWPID, CLONE_NEWUSER | CLONE_NEWPID, CLONE_FILES, CLONE_FS};
    char name[] = "copy0";
    int first = open(P("copied"), O_CREAT | O_WRONLY | O_APPEND, 0644);
    for (int round = 0; round < 2; round++)
        for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++, name[4]++) {
            long p = fork_with(flags[i]);
            if (!p) {
                int bad = flags[i] == CLONE_FILES ? (make(name, "x") != 1) : lives_on(name, 2);
                write(first, "c", 1);
                _exit(bad);
            }
            if (p < 0) puts("none");
            else end_of(name, p);
            printf("parent %ld %zd\n", make("parent", "x"), write(first, "p", 1));
        }
}

// ---- how programs end

static long forbid(unsigned nr, unsigned action) {
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog p = {sizeof f / sizeof *f, f};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return own(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p);
}
static void tells(int s, siginfo_t *i, void *c) {
    ucontext_t *u = c;
    char b[99];
    int n = snprintf(b, sizeof b, "told %d %d %d %d\n", s, i->si_code, i->si_addr == (void *)16, (int)u->uc_mcontext.gregs[REG_TRAPNO]);
    own(SYS_write, 1, b, n);
    signal(s, SIG_DFL);
}
static int overflow(int n) {
    volatile char b[4096];
    b[n & 4095] = n;
    own(SYS_getppid);
    return overflow(n + 1) + b[0];
}
static void *null = NULL;
static void crash(int way, int f) {
    struct sigaction a = {.sa_sigaction = tells, .sa_flags = SA_SIGINFO};
    switch (way) {
    case 0: *(volatile int *)null = 1;
    case 1: abort();
    case 2: own(SYS_tgkill, getpid(), gettid(), SIGABRT); break;
    case 3: __asm__ volatile("ud2");
    case 4: __asm__ volatile("int3"); break;
    case 5: { volatile int zero = 0; *(volatile int *)text = 1 / zero; break; }
    case 6: forbid(SYS_getpriority, SECCOMP_RET_TRAP); own(SYS_getpriority, 0, 0); break;
    case 7: forbid(SYS_getpriority, SECCOMP_RET_KILL_PROCESS); own(SYS_getpriority, 0, 0); break;
    case 8: own(SYS_kill, getpid(), SIGSYS); break;
    case 9: raise(SIGTERM); break;
    case 10: overflow(0);
    case 11: { ftruncate(f, 100); char *m = mmap(NULL, 8192, PROT_READ, MAP_SHARED, f, 0); *(volatile char *)&m[4096 + own(SYS_getuid) * 0]; break; }
    case 12: sigaction(SIGSEGV, &a, NULL); *(volatile int *)16 = 1;
    case 13: sigaction(SIGSEGV, &a, NULL); __asm__ volatile("hlt");
    case 14: own(SYS_exit_group, 300); break;
    case 15: { struct rlimit l = {1, 1}; setrlimit(RLIMIT_FSIZE, &l); own(SYS_pwrite64, f, "12", 2, 0); own(SYS_pwrite64, f, "3", 1, 5); break; }
    case 16: ((void (*)(void))null)();
    }
    own(SYS_exit_group, 99);
}
static void crashes(void) {
    static char at[4096];
    for (int cores = 0; cores < 2; cores++)
        for (int way = 0; way < 17; way++) {
            pid_t p = fork();
            if (!p) {
                struct rlimit l = {cores ? 1 << 20 : 0, RLIM_INFINITY};
                setrlimit(RLIMIT_CORE, &l);
                chdir(getenv("CORES") ? getenv("CORES") : "/tmp");
                int f = open(P("crashed"), O_CREAT | O_RDWR, 0644);
                own(SYS_write, f, "before", 6);
                crash(way, f);
            }
            snprintf(at, sizeof at, "way %d", way);
            end_of(at, p);
        }
    make("after", "x");
}

// ---- restartable sequences, with signals and calls in between

#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
static long counters[1024][8];
// Adds one to this processor's counter, or nothing; 1: it was added.
static int add_here(struct rseq *r) {
    static const struct { uint32_t version, flags; uint64_t start, length, abort; } none = {0};
    (void)none;
    long added = 0;
    __asm__ volatile(
        ".pushsection .data.cs,\"aw\"; .balign 32; 3: .long 0,0; .quad 1f,2f-1f,4f; .popsection\n"
        "lea 3b(%%rip),%%rax; mov %%rax,8(%1)\n"
        "1: mov 4(%1),%%eax; shl $6,%%rax; add %2,%%rax; mov (%%rax),%%rdx; nop; nop; inc %%rdx; mov %%rdx,(%%rax)\n"
        "2: mov $1,%0; jmp 5f\n"
        ".byte 0x0f,0xb9,0x3d; .long 0x53053053; 4: xor %0,%0\n"
        "5: movq $0,8(%1)\n"
        : "=&r"(added) : "r"(r), "r"(counters) : "rax", "rdx", "memory", "cc");
    return added;
}
static void *sequences(void *p) {
    struct rseq *r = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
    long done = 0;
    if (__rseq_size == 0) return (void *)-1;
    if (!p) storm(SIGUSR1);
    while (done < 60000) {
        // One that was begun anew has added nothing.
        if (!add_here(r)) continue;
        done++;
        if (done % 16 == 0) own(SYS_getppid);
        if (done % 4096 == 0) make("rseq", "x");
    }
    if (!p) calm();
    return (void *)done;
}
static void rseq_sections(void) {
    handle(SIGUSR1, count, SA_RESTART);
    pthread_t t[2];
    void *r[2];
    for (long i = 0; i < 2; i++) pthread_create(&t[i], NULL, sequences, (void *)i);
    for (int i = 0; i < 2; i++) pthread_join(t[i], &r[i]);
    long sum = 0;
    for (int i = 0; i < 1024; i++) sum += counters[i][0];
    printf("%ld %ld %d\n", (long)r[0], (long)r[1], sum == (long)r[0] + (long)r[1] || (long)r[0] < 0);
}
#else
static void rseq_sections(void) { puts("no rseq"); }
#endif

// ---- a sandbox whose handler makes the forbidden calls itself

static void brokers(int s, siginfo_t *i, void *c) {
    (void)s; (void)i;
    ucontext_t *u = c;
    greg_t *g = u->uc_mcontext.gregs;
    own(SYS_write, 1, "asked\n", 6);
    g[REG_RAX] = own6(g[REG_RAX], g[REG_RDI], g[REG_RSI], g[REG_RDX], g[REG_R10], g[REG_R8], 0x600d);
}
static void broker(void) {
    struct sigaction a = {.sa_sigaction = brokers, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    sigaction(SIGSYS, &a, NULL);
    unsigned nrs[] = {SYS_mkdir, SYS_symlink, SYS_sysinfo};
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nrs[0], 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nrs[1], 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nrs[2], 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[5])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x600d, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog p = {sizeof f / sizeof *f, f};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    printf("filter %ld\n", own(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p));
    for (int i = 0; i < 3; i++) {
        char name[9] = "by0", buffer[512];
        name[2] += i;
        printf("own %ld\n", own(SYS_mkdir, P(name), 0755));
        printf("libc's %d\n", mkdir(strcat(P(name), "libc"), 0755));
        printf("again %ld\n", own(SYS_symlink, "to", strcat(P(name), "link")));
        printf("harmless %ld %ld\n", own(SYS_sysinfo, buffer), syscall(SYS_sysinfo, buffer));
        printf("more %ld\n", make("brokered", "x"));
    }
    struct stat st;
    printf("there %d\n", stat(P("by0libc"), &st));
}

// A handler that has not asked for the signal stack, of a thread that has one: it may take what it likes.
static char *signals_at;
enum { SIGNALS = 16384 };
static int on_signals(void) { char c; return &c >= signals_at && &c < signals_at + SIGNALS; }
static void nested(int s) { (void)s; hits += 100 + on_signals(); own(SYS_getppid); }
static void takes_much(int s, siginfo_t *i, void *c) {
    volatile char much[200000];
    ucontext_t *u = c;
    unsigned csr = 0;
    long double a = 0;
    for (unsigned at = 0; at < sizeof much; at += 512) much[at] = 1;
    __asm__ volatile("stmxcsr %0" : "=m"(csr));
    __asm__ volatile("fninit; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fldpi; fstpt %0; fninit" : "=m"(a));
    __asm__ volatile("pcmpeqd %%xmm7, %%xmm7; pcmpeqd %%xmm15, %%xmm15" ::: "xmm7", "xmm15");
    hits += on_signals() * 7;
    raise(SIGUSR2);
    sigset_t now;
    pthread_sigmask(SIG_BLOCK, NULL, &now);
    printf("signal %d %d, mxcsr %x, pi %d, usr1 %d usr2 %d, aligned %d\n", s, i->si_code, csr, a > 3.14L, sigismember(&now, SIGUSR1),
           sigismember(&now, SIGUSR2), !((uintptr_t)__builtin_frame_address(0) & 15));
    own(SYS_getppid);
    if (i->si_code == 1) u->uc_mcontext.gregs[REG_RAX] = 4711 + much[512];
}
static void *elsewhere_in(void *p) {
    stack_t st = {.ss_sp = signals_at = mmap(NULL, SIGNALS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), .ss_size = SIGNALS}, now;
    st.ss_flags = p ? (int)(1u << 31) : 0;
    sigaltstack(&st, NULL);
    unsigned csr, rounds = 0x7f80;
    char buffer[512];
    for (int i = 0; i < 3; i++) {
        long r;
        double kept = 0;
        hits = 0;
        __asm__ volatile("ldmxcsr %0" ::"m"(rounds));
        __asm__ volatile("mov $0x4011000000000000, %%rax; movq %%rax, %%xmm7; movq %%rax, %%xmm15; mov $99, %%eax; syscall; movq %%xmm7, %1; addsd %%xmm15, %1"
                         : "=&a"(r), "=&x"(kept) : "D"(buffer) : "rcx", "r11", "memory", "xmm7", "xmm15");
        __asm__ volatile("stmxcsr %0" : "=m"(csr));
        printf("own %ld %g %x %d\n", r, kept, csr & 0xffc0, hits);
        printf("libc's %ld %d\n", syscall(SYS_sysinfo, buffer), hits);
        printf("sent %d %d\n", raise(SIGSYS), hits);
        printf("more %ld\n", make("much", "x"));
    }
    printf("still %d\n", sigaltstack(NULL, &now) == 0 && now.ss_sp == signals_at && now.ss_size == SIGNALS && now.ss_flags == st.ss_flags);
    return NULL;
}
static void elsewhere(void) {
    struct sigaction a = {.sa_sigaction = takes_much, .sa_flags = SA_SIGINFO | SA_NODEFER}, b = {.sa_handler = nested, .sa_flags = SA_ONSTACK};
    sigaddset(&a.sa_mask, SIGUSR1);
    sigaction(SIGSYS, &a, NULL);
    sigaction(SIGUSR2, &b, NULL);
    printf("filter %ld\n", forbid(SYS_sysinfo, SECCOMP_RET_TRAP));
    for (long i = 0; i < 2; i++) {
        pthread_t t;
        pthread_create(&t, NULL, elsewhere_in, (void *)i);
        pthread_join(t, NULL);
    }
    for (int i = 0; i < 3; i++) {
        pid_t p = fork();
        if (!p) {
            if (i < 2) signal(SIGSYS, i ? SIG_IGN : SIG_DFL);
            own(SYS_sysinfo, NULL);
            _exit(9);
        }
        end_of("stopped", p);
    }
}

// A filter for all threads, while others begin: none of them makes a call that the program does not.
static volatile sig_atomic_t strange;
static void counts(int s, siginfo_t *i, void *c) { (void)s; (void)i; (void)c; strange++; }
static void *short_life(void *p) { return p; }
static void *begins(void *p) {
    while (!*(volatile int *)p) {
        pthread_t t;
        if (!pthread_create(&t, NULL, short_life, NULL)) pthread_join(t, NULL);
    }
    return NULL;
}
static void everybody(void) {
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 59, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {sizeof f / sizeof *f, f};
    struct sigaction a = {.sa_sigaction = counts, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSYS, &a, NULL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int bad = 0, st;
    for (int round = 0; round < 60; round++) {
        pid_t p = fork();
        if (!p) {
            volatile int over = 0;
            pthread_t t[3];
            for (int i = 0; i < 3; i++) pthread_create(&t[i], NULL, begins, (void *)&over);
            usleep(300);
            long r = own(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog);
            usleep(300);
            over = 1;
            for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
            _exit(r ? 2 : strange != 0);
        }
        if (waitpid(p, &st, 0) != p || st) bad++;
    }
    printf("strange %d\n", bad);
}

int main(int n, char **v) {
    if (n < 3) return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    dir = v[2];
    static const struct { const char *name; void (*run)(void); } all[] = {
        {"registers", registers}, {"interrupted", interrupted}, {"storms", storms}, {"leaps", leaps}, {"coroutines", coroutines}, {"fibers", fibers},
        {"cancel", cancel}, {"spawns", spawns}, {"clone3", by_clone3}, {"copies", copies}, {"userfault", userfault}, {"deep", deep}, {"crashes", crashes}, {"rseq", rseq_sections}, {"broker", broker}, {"elsewhere", elsewhere}, {"everybody", everybody},
    };
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i].name, v[1])) {
            handle(SIGALRM, count, SA_RESTART);
            all[i].run();
            return 0;
        }
    return 2;
}

/* Processes, threads, descriptors from elsewhere, memory, ioctls, other programs. */
static int change(const char *name, const char *text)
{
    int f = open(name, O_CREAT | O_WRONLY | O_APPEND, 0640); TRY(f); TRY(write(f, text, strlen(text))); TRY(close(f)); return 0;
}

/* ---- processes */
static int w_fork(void) { pid_t p = fork(); if (!p) _exit(change("f", "fork")); return ended(p); }
static int w_fork_held(void) { int f = fd_rw(); pid_t p = fork(); if (!p) _exit(write(f, "held", 4) != 4); ERR(ended(p)); TRY(write(f, "parent", 6)); return 0; }
static int w_double_fork(void)
{
    int p[2]; char c; pipe(p); pid_t one = fork();
    if (!one) { if (!fork()) { setsid(); change("f", "daemon"); } _exit(0); }
    close(p[1]); ended(one); read(p[0], &c, 1); return 0;
}
static int w_vfork(void) { volatile int r = 1; pid_t p = vfork(); if (!p) { r = change("new", "vfork"); _exit(0); } ended(p); return r; }
static int w_vfork_held(void) { int f = fd_rw(); pid_t p = vfork(); if (!p) { write(f, "vfork", 5); close(f); _exit(0); } return ended(p); }
static char stack[1 << 17] __attribute__((aligned(16)));
static int cloned(void *a) { return change("f", a); }
static int by_clone(int flags, char *text) { int p = clone(cloned, stack + sizeof stack, flags | SIGCHLD, text); TRY(p); return ended(p); }
static int w_clone(void) { return by_clone(0, "clone"); }
static int w_clone_vfork(void) { return by_clone(CLONE_VM | CLONE_VFORK, "clone vfork"); }
static int w_clone_vm(void) { return by_clone(CLONE_VM, "clone vm"); }
static int w_clone_vm_files(void) { return by_clone(CLONE_VM | CLONE_FILES, "clone vm files"); }
static int w_clone_files(void) { return by_clone(CLONE_FILES, "clone files"); }
static int held_fd; static int cloned_held(void *a) { return write(held_fd, a, 4) != 4; }
static int w_clone_vm_held(void) { held_fd = fd_rw(); int p = clone(cloned_held, stack + sizeof stack, CLONE_VM | SIGCHLD, "held"); TRY(p); ERR(ended(p)); TRY(write(held_fd, "parent", 6)); return 0; }
static int w_clone_files_held(void) { held_fd = fd_rw(); int p = clone(cloned_held, stack + sizeof stack, CLONE_FILES | SIGCHLD, "held"); TRY(p); ERR(ended(p)); TRY(write(held_fd, "parent", 6)); return 0; }
static int w_clone_newpid(void) { return by_clone(CLONE_NEWPID, "clone newpid"); }
static int w_clone3(void) { struct { uint64_t flags, p[3], exit, stack, size, tls; } a = { .exit = SIGCHLD }; long p = syscall(SYS_clone3, &a, sizeof a); TRY(p); if (!p) _exit(change("f", "clone3")); return ended(p); }
static int w_fork_by_number(void) { long p = syscall(SYS_fork); TRY(p); if (!p) _exit(change("f", "fork")); return ended(p); }
static int w_unshare_user(void) { TRY(unshare(CLONE_NEWUSER)); return change("f", "user namespace"); }
static int w_unshare_mounts(void) { TRY(unshare(CLONE_NEWNS)); return change("f", "mount namespace"); }
static int w_chroot(void) { TRY(chroot(".")); return change("/f", "chroot"); }
static int w_chroot_away(void) { int d = open("d", O_RDONLY); mkdtemp(strcpy(stack, "/tmp/waysXXXXXX")); int t = open("/tmp", O_PATH); TRY(chroot(stack)); int f = openat(d, "new", O_CREAT | O_WRONLY, 0600); if (f >= 0) write(f, "away", 4); int e = errno; unlinkat(t, strrchr(stack, '/') + 1, AT_REMOVEDIR); fchdir(d); errno = e; TRY(f); return 0; }
static int w_fchdir(void) { TRY(fchdir(open("d", O_RDONLY))); return change("new", "fchdir"); }

/* ---- threads */
static int result; static void *(*body)(void *);
static int threaded(void *(*b)(void *)) { pthread_t t; ERR(pthread_create(&t, NULL, b, NULL)); pthread_join(t, NULL); return result; }
static void *t_change(void *a) { result = change("f", "thread"); return a; }
static int w_thread(void) { return threaded(t_change); }
static void *t_files(void *a) { int f = fd_rw(); unshare(CLONE_FILES); result = write(f, "own table", 9) < 0 ? errno : 0; if (!result) result = change("new", "own table"); return a; }
static int w_thread_own_table(void) { return threaded(t_files); }
static void *t_directory(void *a) { unshare(CLONE_FS); chdir("d"); result = change("new", "own cwd"); return a; }
static int w_thread_own_cwd(void) { int r = threaded(t_directory); return r ? r : change("beside", "cwd"); }
static pthread_t leader; static void *t_leader(void *a) { pthread_join(leader, NULL); exit(change("f", "leader is gone")); }
static int w_leader_gone(void) { pthread_t t; leader = pthread_self(); pthread_create(&t, NULL, t_leader, NULL); pthread_exit(NULL); }
static pthread_key_t key; static void k_change(void *a) { result = change("f", "key"); } static void *t_key(void *a) { pthread_setspecific(key, &key); return a; }
static int w_thread_key(void) { pthread_key_create(&key, k_change); return threaded(t_key); }
static void *t_wait(void *a) { pthread_cleanup_push(k_change, NULL); pause(); pthread_cleanup_pop(0); return a; }
static int w_thread_cancelled(void) { pthread_t t; pthread_create(&t, NULL, t_wait, NULL); pthread_cancel(t); pthread_join(t, NULL); return result; }
static void s_change(int s) { result = change("f", "signal"); }
static int w_signal_handler(void) { signal(SIGUSR1, s_change); raise(SIGUSR1); return result; }
static int w_signal_stack(void)
{
    stack_t s = { .ss_sp = stack, .ss_size = 16384 }; struct sigaction a = { .sa_handler = s_change, .sa_flags = SA_ONSTACK };
    sigaltstack(&s, NULL); sigaction(SIGUSR1, &a, NULL); raise(SIGUSR1); return result;
}
static void e_change(void) { change("f", "at exit"); }
static int w_atexit(void) { atexit(e_change); exit(0); }
static int w_quick_exit(void) { at_quick_exit(e_change); quick_exit(0); }
static void v_change(union sigval v) { result = change("f", "timer"); __atomic_store_n(&held_fd, 1, __ATOMIC_SEQ_CST); }
static int w_timer_thread(void)
{
    timer_t t; struct sigevent e = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = v_change }; struct itimerspec i = { .it_value.tv_nsec = 1 };
    TRY(timer_create(CLOCK_MONOTONIC, &e, &t)); TRY(timer_settime(t, 0, &i, NULL)); while (!__atomic_load_n(&held_fd, __ATOMIC_SEQ_CST)) usleep(1000); return result;
}

/* ---- descriptors from elsewhere */
static int w_rights(void)
{
    int s[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, s); pid_t p = fork();
    if (!p) { int f = fd_rw(); _exit(f < 0 || send_fd(s[0], f)); }
    ERR(ended(p)); int f = take_fd(s[1]); TRY(f); TRY(write(f, "rights", 6)); return 0;
}
static int w_rights_directory(void)
{
    int s[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, s); pid_t p = fork();
    if (!p) _exit(send_fd(s[0], open("d", O_RDONLY)));
    ERR(ended(p)); int f = take_fd(s[1]); TRY(f); TRY(openat(f, "new", O_CREAT | O_WRONLY, 0600)); return 0;
}
static int getfd(pid_t pid, int n) { int p = syscall(SYS_pidfd_open, pid, 0); if (p < 0) return -1; return syscall(SYS_pidfd_getfd, p, n, 0); }
static int w_getfd(void)
{
    int in_[2], out[2]; char c; pipe(in_); pipe(out); pid_t p = fork();
    if (!p) { int f = fd_rw(); dup2(f, 33); close(in_[1]); write(out[1], "x", 1); read(in_[0], &c, 1); _exit(0); }
    read(out[0], &c, 1); int f = getfd(p, 33), e = errno; if (f >= 0 && write(f, "getfd", 5) < 0) { e = errno; f = -1; } close(in_[1]); ended(p); errno = e; TRY(f); return 0;
}
static int w_exec_held(void)
{
    int f = fd_rw(); pid_t p = fork();
    if (!p) { dup2(f, 1); execlp("echo", "echo", "inherited", NULL); _exit(127); } return ended(p);
}
static int left(int f) { TRY(f); TRY(dup2(f, GIVEN)); return 0; }
static int o_file(void) { return left(open("f", O_RDWR)); }
static int o_append(void) { return left(open("f", O_WRONLY | O_APPEND)); }
static int o_truncated(void) { return left(open("f", O_CREAT | O_WRONLY | O_TRUNC, 0644)); }
static int o_created(void) { return left(open("new", O_CREAT | O_RDWR, 0644)); }
static int o_reading(void) { return left(open("f", O_RDONLY)); }
static int o_directory(void) { return left(open("d", O_RDONLY)); }
static int o_rights(void) { int s[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, s); TRY(send_fd(s[0], fd_rw())); return left(s[1]); }
static int o_rights_directory(void) { int s[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, s); TRY(send_fd(s[0], open("d", O_RDONLY))); return left(s[1]); }
/* A process without the mirror that lives as long as the inner part holds the pipe. */
static int o_holder(void)
{
    int p[2]; char c, n[16]; pipe(p); pid_t pid = fork();
    if (!pid) { if (fork()) _exit(0); }
    else { ended(pid); close(p[1]); read(p[0], n, 16); setenv("WAYS_PID", n, 1); return left(p[0]); }
    /* The child's child: its end is the pipe's other end going away. */
    dup2(fd_rw(), 33); close(p[0]); snprintf(n, sizeof n, "%d", getpid()); write(p[1], n, 16);
    struct pollfd l = { p[1], 0 }; poll(&l, 1, 20000); _exit(0);
}
static int w_given_write(void) { TRY(write(GIVEN, "given", 5)); return 0; }
static int w_given_pwrite(void) { TRY(pwrite(GIVEN, "given", 5, 11)); return 0; }
static int w_given_fchmod(void) { TRY(fchmod(GIVEN, 0604)); return 0; }
static int w_given_truncate(void) { TRY(ftruncate(GIVEN, 5)); return 0; }
static int w_given_openat(void) { TRY(openat(GIVEN, "new", O_CREAT | O_WRONLY, 0600)); return 0; }
static int w_given_rights(void) { int f = take_fd(GIVEN); TRY(f); TRY(write(f, "rights", 6)); return 0; }
static int w_given_rights_directory(void) { int f = take_fd(GIVEN); TRY(f); TRY(mkdirat(f, "new", 0700)); return 0; }
static int w_given_getfd(void) { int f = getfd(atoi(getenv("WAYS_PID")), 33); TRY(f); TRY(write(f, "getfd", 5)); return 0; }
static int w_given_child(void) { pid_t p = fork(); if (!p) { dup2(GIVEN, 1); execlp("echo", "echo", "given", NULL); _exit(127); } return ended(p); }
static int stored(int f, int prot, int later)
{
    char *m = mmap(NULL, 4096, prot, MAP_SHARED, f, 0); TRY(m); if (later) TRY(mprotect(m, 4096, PROT_READ | PROT_WRITE));
    memcpy(m, "STORED", 6); TRY(msync(m, 4096, MS_SYNC)); TRY(munmap(m, 4096)); return 0;
}
static int w_given_mmap(void) { return stored(GIVEN, PROT_READ | PROT_WRITE, 0); }
static int w_given_mprotect(void) { return stored(GIVEN, PROT_READ, 1); }
static int o_ring(void)
{
    struct io_uring_params p = { 0 }; int f = syscall(425, 4, &p), m[2]; TRY(f); pipe(m); write(m[1], &p, sizeof p); dup2(m[0], GIVEN + 1); return left(f);
}
static int w_given_ring(void) { struct io_uring_params p; read(GIVEN + 1, &p, sizeof p); return ring_write(GIVEN, &p, enter_libc); }
static int o_ring_rights(void)
{
    int s[2]; struct io_uring_params p = { 0 }; int f = syscall(425, 4, &p), m[2]; TRY(f); pipe(m); write(m[1], &p, sizeof p); dup2(m[0], GIVEN + 1);
    socketpair(AF_UNIX, SOCK_STREAM, 0, s); TRY(send_fd(s[0], f)); return left(s[1]);
}
static int w_given_ring_rights(void) { struct io_uring_params p; read(GIVEN + 1, &p, sizeof p); int f = take_fd(GIVEN); TRY(f); return ring_write(f, &p, enter_libc); }

/* ---- memory */
static int w_mmap_shared(void) { return stored(fd_rw(), PROT_READ | PROT_WRITE, 0); }
static int w_mmap_mprotect(void) { return stored(fd_rw(), PROT_READ, 1); }
static int w_mmap_validate(void) { int f = fd_rw(); char *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE, f, 0); TRY(m); memcpy(m, "VALID", 5); return 0; }
static int w_mmap_pkey(void) { char *m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd_rw(), 0); TRY(m); TRY(syscall(SYS_pkey_mprotect, m, 4096, PROT_READ | PROT_WRITE, -1)); memcpy(m, "PKEY", 4); return 0; }
static int w_mmap_by_number(void) { char *m = (void *)syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd_rw(), 0); TRY(m); memcpy(m, "NUMBER", 6); return 0; }
static int own_mmap(void) { long m = gate_own(SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd_rw(), 0); if (m < 0 && m > -4096) return -m; memcpy((void *)m, "OWN", 3); return 0; }
static int own_mprotect(void) { char *m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd_rw(), 0); TRY(m); ERR(said(gate_own(SYS_mprotect, (long)m, 4096, PROT_READ | PROT_WRITE, 0, 0, 0))); memcpy(m, "OWN", 3); return 0; }

/* ---- an instruction of the program's in what the library keeps account of */
static int own_fork(void) { long p = gate_own(SYS_fork, 0, 0, 0, 0, 0, 0); if (!p) _exit(change("f", "own fork")); return ended(p); }
static int own_execve(void)
{
    pid_t p = fork(); char *argv[] = { self, "touch", (char *)"new", NULL };
    if (!p) { gate_own(SYS_execve, (long)self, (long)argv, (long)environ, 0, 0, 0); _exit(127); } return ended(p);
}
static int own_dup2(void) { int f = fd_rw(); gate_own(SYS_dup2, f, 60, 0, 0, 0, 0); TRY(write(60, "dup2", 4)); return 0; }
static int own_dup2_over(void)
{
    int f = fd_rw(), g = open("/dev/null", O_WRONLY); TRY(write(f, "f", 1)); TRY(write(g, "n", 1)); gate_own(SYS_dup2, f, g, 0, 0, 0, 0); TRY(write(g, "over", 4));
    g = open("g", O_RDWR); gate_own(SYS_dup2, g, f, 0, 0, 0, 0); TRY(write(f, "in g", 4)); return 0;
}
static int own_close(void)
{
    int f = fd_rw(); TRY(write(f, "f", 1)); gate_own(SYS_close, f, 0, 0, 0, 0, 0); TRY(gate_own(SYS_open, (long)"/dev/null", O_RDWR, 0, 0, 0, 0) != f); TRY(write(f, "null", 4)); return 0;
}
static int own_chdir(void) { ERR(said(gate_own(SYS_chdir, (long)"d", 0, 0, 0, 0, 0))); return change("new", "own chdir"); }
static int own_unshare(void) { ERR(said(gate_own(SYS_unshare, CLONE_FILES | CLONE_FS, 0, 0, 0, 0, 0))); return change("f", "own unshare"); }
static int own_vfork(void)
{
    long r; /* open("new") in the child, which does not return into this frame */
    __asm__ volatile("mov $58, %%eax; syscall; test %%rax, %%rax; jnz 1f; mov $2, %%eax; mov %1, %%rdi; mov $0x41, %%esi; mov $0x1a4, %%edx; syscall; mov $60, %%eax; xor %%edi, %%edi; syscall; 1:"
        : "=&a"(r) : "r"("new") : "rdi", "rsi", "rdx", "rcx", "r11", "memory");
    return r < 0 ? -r : ended(r);
}
static void *t_own(void *a) { gate = gate_own; result = c_open(); return a; }
static int own_thread(void) { return threaded(t_own); }
static void s_own(int s) { gate = gate_own; result = c_open(); }
static int own_signal_handler(void) { signal(SIGUSR1, s_own); raise(SIGUSR1); return result; }
static int own_blocked(void) { sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, NULL); gate = gate_own; return c_open(); }
static int own_after_fork(void) { pid_t p = fork(); if (!p) { gate = gate_own; _exit(c_open()); } return ended(p); }
static int cloned_own(void *a) { gate = gate_own; return c_open(); }
static int own_after_clone_vm(void) { int p = clone(cloned_own, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL); TRY(p); return ended(p); }
static void v_own(union sigval v) { gate = gate_own; result = c_open(); __atomic_store_n(&held_fd, 1, __ATOMIC_SEQ_CST); }
static int own_timer_thread(void)
{
    timer_t t; struct sigevent e = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = v_own }; struct itimerspec i = { .it_value.tv_nsec = 1 };
    TRY(timer_create(CLOCK_MONOTONIC, &e, &t)); TRY(timer_settime(t, 0, &i, NULL)); while (!__atomic_load_n(&held_fd, __ATOMIC_SEQ_CST)) usleep(1000); return result;
}

/* ---- ioctl */
static int ioctl_f(unsigned long nr, void *a) { ON_F(O_RDWR, ioctl(f, nr, a)); }
static int w_ioctl_setflags(void) { long v = 0; ON_F(O_RDWR, (ioctl(f, FS_IOC_GETFLAGS, &v), v |= FS_NOATIME_FL, ioctl(f, FS_IOC_SETFLAGS, &v))); }
static int w_ioctl_fssetxattr(void) { struct fsxattr x = { .fsx_xflags = FS_XFLAG_NOATIME }; return ioctl_f(FS_IOC_FSSETXATTR, &x); }
static int w_ioctl_setversion(void) { int v = 77; return ioctl_f(FS_IOC_SETVERSION, &v); }
struct space { short type, whence; long long start, len; int sysid; unsigned pid; int pad[4]; };
static int w_ioctl_resvsp(void) { struct space s = { .start = 0, .len = 30000 }; return ioctl_f(_IOW('X', 42, struct space), &s); }
static int w_ioctl_unresvsp(void) { struct space s = { .start = 100, .len = 3000 }; return ioctl_f(_IOW('X', 43, struct space), &s); }
static int w_ioctl_zero_range(void) { struct space s = { .start = 100, .len = 3000 }; return ioctl_f(_IOW('X', 57, struct space), &s); }
static int w_ioctl_swap_boot(void) { return ioctl_f(_IO('f', 17), NULL); }
static int w_ioctl_verity(void) { struct fsverity { int v[32]; } a = { { 1, 1, 4096 } }; ON_F(O_RDONLY, ioctl(f, 0x40806685, &a)); }
static int w_loop_device(void)
{
    int c = open("/dev/loop-control", O_RDWR), n, l, e = 0; char p[32]; TRY(c); n = ioctl(c, LOOP_CTL_GET_FREE); TRY(n); sprintf(p, "/dev/loop%d", n);
    l = open(p, O_RDWR); TRY(l); TRY(ioctl(l, LOOP_SET_FD, open("big", O_RDWR)));
    char *b; posix_memalign((void **)&b, 4096, 4096); memset(b, 'L', 4096);
    if (write(l, b, 4096) != 4096 || fsync(l)) e = errno ? errno : EIO;
    ioctl(l, LOOP_CLR_FD); close(l); return e;
}

/* ---- ptrace: the tracer makes its mirrored child execute a system call */
static int w_ptrace(void)
{
    int status; struct user_regs_struct r, old; int f = fd_rw(); pid_t p = fork();
    if (!p) { ptrace(PTRACE_TRACEME, 0, 0, 0); raise(SIGSTOP); __asm__ volatile("nop"); syscall(SYS_getppid); _exit(0); }
    waitpid(p, &status, 0); ptrace(PTRACE_SYSCALL, p, 0, 0); waitpid(p, &status, 0);
    while (ptrace(PTRACE_GETREGS, p, 0, &r) == 0 && r.orig_rax != SYS_getppid) { ptrace(PTRACE_SYSCALL, p, 0, 0); if (waitpid(p, &status, 0) < 0 || WIFEXITED(status)) return EIO; }
    r.orig_rax = SYS_pwrite64; r.rdi = f; r.rsi = (long)"injected"; r.rdx = 8; r.r10 = 0; TRY(ptrace(PTRACE_SETREGS, p, 0, &r));
    ptrace(PTRACE_DETACH, p, 0, 0); return ended(p);
}

/* ---- other programs */
static int w_program_env(void) { return program("env", "-i", self, "touch", in("new"), NULL); }
static int w_program_unset(void) { return program("env", "-u", "LD_PRELOAD", self, "touch", in("new"), NULL); }
static int w_program_other_preload(void) { return program("env", "LD_PRELOAD=libm.so.6", self, "touch", in("new"), NULL); }
static int w_program_linker(void) { return program("/lib64/ld-linux-x86-64.so.2", self, "touch", in("new"), NULL); }
static int w_program_sh(void) { return program("sh", "-c", "echo sh > new; >> f; : > g; rm -r d", NULL); }
static int w_program_python(void) { return program("/usr/bin/python3", "-c", "import os; open('new', 'w').write('x'); os.truncate('f', 3); os.rename('g', 'd/g')", NULL); }
static int w_program_perl(void) { return program("perl", "-e", "open(F, '>new'); print F 'x'; close F; rename 'g', 'd/g'; unlink 'f'", NULL); }
static int w_program_fexecve(void) { pid_t p = fork(); char *argv[] = { self, "touch", (char *)"new", NULL }; if (!p) { fexecve(open(self, O_RDONLY), argv, environ); _exit(127); } return ended(p); }
static int w_program_static(void) { return program("@ways-static", "touch", in("new"), NULL); }
static int w_program_static_held(void) { int f = fd_rw(); dup2(f, 5); return program("@ways-static", "write", NULL); }
static int w_program_no_libc(void) { return program("@ways-nolibc", NULL); }
static int w_program_go(void) { return program("@ways-go", in("new"), NULL); }
static int w_program_rustix(void) { return program("@ways-rustix", in("new"), NULL); }
static int w_program_32(void) { return program("@ways-32", "touch", in("new"), NULL); }
static int w_program_setid(void) { return program("@ways-setid", "touch", in("new"), NULL); }

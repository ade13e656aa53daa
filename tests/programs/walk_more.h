// The second half of walk.c: mappings, locks, attributes, other processes and threads, and the walk itself.
static sigjmp_buf out_of;
static volatile int mapped;
static void on_bus(int s) {
    (void)s;
    if (mapped) siglongjmp(out_of, 1);
    _exit(99);
}
static void op_map(void) {
    int i = below(MAPS);
    if (maps[i].at && below(3)) {
        char *at = maps[i].at;
        // What lies behind the end of the file is the kernel's to clear, when it likes.
        size_t len = maps[i].len, known = maps[i].known ? maps[i].known : 1, o = below(known);
        if (sigsetjmp(out_of, 1)) {
            mapped = 0;
            SAY(-2, "a signal, mapping %d", i);
            return;
        }
        mapped = 1;
        switch (below(5)) {
        case 0: case 1:
            if (maps[i].prot & PROT_WRITE) {
                size_t n = below(300);
                memset(at + o, 'A' + below(26), o + n > known ? known - o : n);
                SAY(n, "store %d at %zu", i, o);
                break;
            }
            // fallthrough
        case 2: { unsigned s = sum(at, known); SAY(s & 0xffff, "load %d", i); break; }
        case 3: SAY(msync(at, len, below(2) ? MS_SYNC : MS_ASYNC), "msync %d", i); break;
        default: SAY(munmap(at, len), "munmap %d", i); maps[i].at = 0;
        }
        mapped = 0;
        return;
    }
    if (maps[i].at) return;
    static const int prots[] = {PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE};
    int n = fd(), prot = ANY(prots), how = below(3) ? MAP_SHARED : MAP_PRIVATE;
    size_t len = 4096 * (1 + below(6));
    off_t o = below(3) ? 0 : 4096 * below(8);
    char *r = mmap(0, len, prot, how, n, o);
    SAY(r == MAP_FAILED ? -1 : 0, "mmap %d fd %d prot %d how %d at %ld", i, n, prot, how, (long)o);
    struct stat s;
    if (r == MAP_FAILED || fstat(n, &s)) return;
    maps[i].at = r, maps[i].len = len, maps[i].prot = prot;
    maps[i].known = s.st_size <= o ? 0 : s.st_size - o < (off_t)len ? (size_t)(s.st_size - o) : len;
}
// What was mapped when a process with threads ends is compared later, by its name.
static void unmap(void) {
    for (int i = 0; i < MAPS; i++) {
        if (maps[i].at) munmap(maps[i].at, maps[i].len);
        maps[i].at = 0;
    }
}
static void op_lock(void) {
    int n = fd();
    struct flock l = {.l_type = below(3), .l_whence = below(3), .l_start = below(5000), .l_len = below(100)};
    switch (below(3)) {
    case 0: { int how = below(2) ? LOCK_EX : below(2) ? LOCK_SH : LOCK_UN; SAY(flock(n, how | LOCK_NB), "flock %d %d", n, how); break; }
    case 1: SAY(fcntl(n, F_SETLK, &l), "F_SETLK %d %d", n, l.l_type); break;
    default: SAY(fcntl(n, F_OFD_SETLK, &l), "F_OFD_SETLK %d %d", n, l.l_type);
    }
}
static void op_attributes(void) {
    char *p = name();
    int n = fd(), k = below(3);
    char key[32];
    sprintf(key, "user.k%d", k);
    switch (below(5)) {
    case 0: SAY(fsetxattr(n, key, buf, below(60), below(3)), "fsetxattr %d %s", n, key); break;
    case 1: SAY(setxattr(p, key, "v", 1, 0), "setxattr %s %s", short_of(p), key); break;
    case 2: SAY(fremovexattr(n, key), "fremovexattr %d %s", n, key); break;
    case 3: SAY(fgetxattr(n, key, buf, 100), "fgetxattr %d %s", n, key); break;
    default: SAY(listxattr(p, buf, 1000) < 0 ? -1 : 0, "listxattr %s", short_of(p));
    }
}
static void op_sync(void) {
    int n = fd();
    if (below(2)) SAY(fsync(n), "fsync %d", n);
    else if (below(2)) SAY(fdatasync(n), "fdatasync %d", n);
    else SAY(sync_file_range(n, 0, 0, SYNC_FILE_RANGE_WRITE), "sync_file_range %d", n);
}
static void op_stream(void) {
    int n = fd(), d = fcntl(n, F_DUPFD_CLOEXEC, 3);
    if (d < 0) return;
    static const char *ways[] = {"r", "r+", "a", "w"};
    const char *how = ANY(ways);
    FILE *f = fdopen(d, how);
    SAY(f ? 0 : -1, "fdopen %d %s", n, how);
    if (!f) { close(d); return; }
    if (*how != 'r') SAY(fprintf(f, "%0*d", (int)below(6000), 7), "fprintf");
    else SAY(fread(buf, 1, 100, f), "fread");
    SAY(fclose(f), "fclose");
}
static void op_limit(void) {
    struct rlimit l;
    int which = RLIMIT_FSIZE;
    getrlimit(which, &l);
    l.rlim_cur = below(3) ? RLIM_INFINITY : 100000 + below(200000);
    if (l.rlim_cur > l.rlim_max) l.rlim_cur = l.rlim_max;
    SAY(setrlimit(which, &l), "setrlimit %d %ld", which, (long)l.rlim_cur);
}
static void op(void);
static void ops(int n) {
    uint64_t mine = state;
    depth++;
    while (n--) op();
    depth--;
    // The parent's way does not depend on how often its child asked.
    state = mine * 3 + 1;
}
static void *thread(void *n) {
    ops((long)n);
    return 0;
}
static void in_handler(int s) {
    (void)s;
    int n = fd();
    SAY(write(n, "handler", 7), "write in a handler %d", n);
}
static void op_other(void) {
    if (depth > 1) return;
    int status = 0;
    long n = 1 + below(6);
    pid_t p;
    pthread_t t;
    switch (below(6)) {
    case 0: case 1:
        p = fork();
        if (!p) { ops(n); unmap(); _exit(7); }
        if (waitpid(p, &status, 0) != p) _exit(8);
        state = state * 3 + 1;
        SAY(status, "child");
        break;
    case 2:
        p = vfork();
        if (!p) {
            // Its table is its own, the memory the parent's.
            int a = fds[2], b = openat(AT_FDCWD, "v", O_CREAT | O_WRONLY | O_APPEND, 0600);
            long r = write(b, "vfork", 5), q = write(a, "vfork", 5);
            if (dup2(b, 33) == 33 && write(33, "more", 4) != 4) r = -9;
            close(b);
            _exit((r == 5) + 2 * (q == 5));
        }
        waitpid(p, &status, 0);
        SAY(status, "vfork");
        break;
    case 3:
        if (pthread_create(&t, 0, thread, (void *)n)) _exit(8);
        pthread_join(t, 0);
        break;
    case 4:
        raise(SIGUSR1);
        break;
    default:
        if (depth) return;
        {
            // The same program goes on; what is not inherited is gone.
            char w[FDS + 6][32], *argv[FDS + 8];
            const char *first[] = {self, top};
            int k = 0;
            for (; k < 2; k++) argv[k] = (char *)first[k];
            sprintf(w[0], "%lu", state), sprintf(w[1], "%ld", steps), sprintf(w[2], "%ld", step + 1);
            for (int i = 0; i < FDS; i++) sprintf(w[3 + i], "%d", fds[i]);
            for (int i = 0; i < FDS + 3; i++) argv[k++] = w[i];
            argv[k] = 0;
            SAY(0, "exec");
            unmap();
            struct rlimit l = {RLIM_INFINITY, RLIM_INFINITY};
            setrlimit(RLIMIT_FSIZE, &l);
            execv(self, argv);
            SAY(-1, "exec");
        }
    }
}

static const struct { void (*run)(void); int weight; } OPS[] = {
    {op_open, 16}, {op_dir, 4}, {op_close, 8}, {op_dup, 5}, {op_write, 16}, {op_read, 5}, {op_seek, 4}, {op_size, 6},
    {op_flags, 3}, {op_stat, 4}, {op_mode, 5}, {op_names, 16}, {op_where, 2}, {op_list, 2}, {op_copy, 5}, {op_map, 6},
    {op_lock, 2}, {op_attributes, 3}, {op_sync, 2}, {op_stream, 2}, {op_limit, 1}, {op_other, 2},
};
static void op(void) {
    int all = 0;
    for (unsigned i = 0; i < sizeof OPS / sizeof *OPS; i++) all += OPS[i].weight;
    int n = below(all);
    for (unsigned i = 0; i < sizeof OPS / sizeof *OPS; i++)
        if ((n -= OPS[i].weight) < 0) return OPS[i].run();
}

int main(int argc, char **argv) {
    if (argc < 4) return 64;
    self = argv[0], top = argv[1], state = strtoull(argv[2], 0, 10), steps = atol(argv[3]);
    signal(SIGBUS, on_bus), signal(SIGPIPE, SIG_IGN), signal(SIGXFSZ, SIG_IGN), signal(SIGUSR1, in_handler);
    if (!realpath(top, real)) return 65;
    memset(fds, -1, sizeof fds);
    if (argc > 4) {
        step = atol(argv[4]);
        for (int i = 0; i < FDS; i++) {
            fds[i] = atoi(argv[5 + i]);
            if (fds[i] >= 0) {
                int f = fcntl(fds[i], F_GETFD);
                SAY(f, "after exec %d", fds[i]);
                if (f < 0) fds[i] = -1;
            }
        }
    } else if (dup2(1, OUT) != OUT || chdir(top)) return 66;
    for (; step < steps; step++) op();
    unmap();
    return 0;
}

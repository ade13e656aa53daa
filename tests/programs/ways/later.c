/* What the kernel writes itself, mounts, descriptors that no open has made, other names of a file. */
static int opened(int f, const char *text) { TRY(f); TRY(write(f, text, strlen(text))); TRY(close(f)); return 0; }

/* ---- mounts. The tree is left as it was when the process ends: its mount namespace goes with it. */
#define OPEN_TREE_ 428
#define CLONE_TREE 1
static int tree(const char *path, int flags) { return syscall(OPEN_TREE_, AT_FDCWD, path, flags); }
static int apart(void) { TRY(unshare(CLONE_NEWNS)); TRY(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)); return chdir(directory) ? errno : 0; }
static int w_open_tree(void) { int t = tree("d", 0); TRY(t); return opened(openat(t, "in", O_WRONLY), "by a tree"); }
static int w_open_tree_file(void) { char p[40]; int t = tree("f", 0); TRY(t); snprintf(p, sizeof p, "/proc/self/fd/%d", t); return opened(open(p, O_WRONLY), "by a tree"); }
static int w_open_tree_clone(void) { int t = tree(".", CLONE_TREE); TRY(t); return opened(openat(t, "f", O_WRONLY), "by a copy"); }
static int w_open_tree_clone_name(void) { int t = tree(".", CLONE_TREE); TRY(t); TRY(renameat(t, "g", t, "d/g")); return 0; }
static int w_open_tree_clone_file(void) { char p[40]; int t = tree("f", CLONE_TREE); TRY(t); snprintf(p, sizeof p, "/proc/self/fd/%d", t); return opened(open(p, O_WRONLY), "by a copy"); }
static int w_open_tree_clone_cwd(void) { int t = tree(".", CLONE_TREE); TRY(t); TRY(fchdir(t)); return change("f", "cwd in a copy"); }
static int w_open_tree_outer_copy(void) { int t = tree("..", CLONE_TREE), d; char n[300]; TRY(t); snprintf(n, sizeof n, "%s/f", strrchr(directory, '/') + 1); d = openat(t, n, O_WRONLY); return opened(d, "from above"); }
static int w_bind_mount(void) { ERR(apart()); TRY(mount("d", "e", NULL, MS_BIND, NULL)); return change("e/in", "bound"); }
static int w_bind_mount_name(void) { ERR(apart()); TRY(mount("d", "e", NULL, MS_BIND, NULL)); TRY(rename("e/in", "e/out")); return 0; }
static int w_bind_mount_file(void) { ERR(apart()); TRY(mount("f", "g", NULL, MS_BIND, NULL)); return change("g", "bound"); }
static int w_bind_mount_outside(void) { char p[] = "/tmp/waysXXXXXX"; PTR(mkdtemp(p)); ERR(apart()); int r = mount(".", p, NULL, MS_BIND, NULL) ? errno : chdir(p) ? errno : change("f", "bound"); chdir("/"); umount(p); rmdir(p); return r; }
static int w_move_mount(void) { ERR(apart()); int t = tree("d", CLONE_TREE); TRY(t); TRY(syscall(429, t, "", AT_FDCWD, "e", 4)); return change("e/in", "moved"); }
static int w_mount_readonly_off(void) { ERR(apart()); TRY(mount("d", "e", NULL, MS_BIND, NULL)); TRY(mount(NULL, "e", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL)); TRY(mount(NULL, "e", NULL, MS_BIND | MS_REMOUNT, NULL)); return change("e/in", "again"); }
/* The kernel changes the upper directory itself. */
static int w_overlay(void)
{
    char o[3 * PATH_MAX]; ERR(apart()); mkdir("up", 0755); mkdir("work", 0755);
    snprintf(o, sizeof o, "lowerdir=%s/d,upperdir=%s/up,workdir=%s/work", directory, directory, directory);
    TRY(mount("overlay", "e", "overlay", 0, o)); return change("e/in", "laid over");
}
static int w_overlay_fsconfig(void)
{
    ERR(apart()); mkdir("up", 0755); mkdir("work", 0755);
    int s = syscall(430, "overlay", 0); TRY(s);
    TRY(syscall(431, s, 1, "lowerdir", "d", 0)); TRY(syscall(431, s, 1, "upperdir", in("up"), 0)); TRY(syscall(431, s, 1, "workdir", in("work"), 0));
    TRY(syscall(431, s, 6, NULL, NULL, 0)); int m = syscall(432, s, 0, 0); TRY(m);
    return opened(openat(m, "in", O_WRONLY | O_APPEND), "laid over");
}
static int w_mount_namespace_of_another(void)
{
    int a[2], b[2]; char c; pipe(a); pipe(b); pid_t p = fork();
    if (!p) { c = unshare(CLONE_NEWNS) ? errno : 0; write(a[1], &c, 1); close(b[1]); read(b[0], &c, 1); _exit(0); }
    read(a[0], &c, 1); ERR(c); int pf = syscall(SYS_pidfd_open, p, 0); int r = setns(pf, CLONE_NEWNS) ? errno : change(in("f"), "elsewhere");
    close(b[1]); ended(p); return r;
}

/* ---- what the kernel writes */
static int looped(unsigned long how)
{
    char path[32]; int b = open("big", O_RDWR), c = open("/dev/loop-control", O_RDWR), n, l, r = 0; TRY(c); TRY(n = ioctl(c, LOOP_CTL_GET_FREE));
    snprintf(path, sizeof path, "/dev/loop%d", n); TRY(l = open(path, O_RDWR));
    struct loop_config k = { .fd = b };
    if (how == LOOP_CONFIGURE ? ioctl(l, LOOP_CONFIGURE, &k) : ioctl(l, LOOP_SET_FD, b)) return errno;
    if (pwrite(l, "by the kernel", 13, 512) < 0 || fsync(l)) r = errno;
    ioctl(l, LOOP_CLR_FD); return r;
}
static int w_loop_configure(void) { return looped(LOOP_CONFIGURE); }
static int w_core(void)
{
    char pattern[128] = ""; int f = open("/proc/sys/kernel/core_pattern", O_RDONLY); read(f, pattern, sizeof pattern - 1); close(f);
    struct rlimit r = { 1 << 14, 1 << 14 }; if (*pattern == '/' || *pattern == '|' || setrlimit(RLIMIT_CORE, &r)) return EOPNOTSUPP;
    pid_t p = fork(); if (!p) { abort(); } ended(p); return 0;
}

/* ---- memory */
static char *reading(int *f) { *f = fd_rw(); return *f < 0 ? MAP_FAILED : mmap(NULL, 8192, PROT_READ, MAP_SHARED, *f, 0); }
static int w_madvise_remove(void) { int f; char *m = reading(&f); TRY(m); TRY(madvise(m, 4096, MADV_REMOVE)); return 0; }
static int w_madvise_remove_late(void) { int f; char *m = reading(&f); TRY(m); TRY(close(f)); TRY(madvise(m + 4096, 4096, MADV_REMOVE)); return 0; }
static int w_madvise_by_number(void) { int f; char *m = reading(&f); TRY(m); TRY(syscall(SYS_madvise, m, 4096, MADV_REMOVE)); return 0; }
static int w_process_madvise(void) { int f; char *m = reading(&f); TRY(m); int p = syscall(SYS_pidfd_open, getpid(), 0); struct iovec v = { m, 4096 }; TRY(syscall(440, p, &v, 1, MADV_REMOVE, 0)); return 0; }
static int w_map_files(void) { int f; char p[80], *m = reading(&f); TRY(m); snprintf(p, sizeof p, "/proc/self/map_files/%lx-%lx", (long)m, (long)m + 8192); return opened(open(p, O_WRONLY), "mapped"); }
static int w_map_files_private(void) { int f = open("f", O_RDONLY); char p[80], *m = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, f, 0); TRY(m); snprintf(p, sizeof p, "/proc/%d/map_files/%lx-%lx", getpid(), (long)m, (long)m + 4096); close(f); return opened(open(p, O_RDWR), "mapped"); }
static int w_map_files_truncate(void) { int f; char p[80], *m = reading(&f); TRY(m); snprintf(p, sizeof p, "/proc/self/map_files/%lx-%lx", (long)m, (long)m + 8192); TRY(truncate(p, 100)); return 0; }
static int w_map_files_chmod(void) { int f; char p[80], *m = reading(&f); TRY(m); snprintf(p, sizeof p, "/proc/self/map_files/%lx-%lx", (long)m, (long)m + 8192); TRY(chmod(p, 0604)); return 0; }
static int w_own_memory(void) { int f; char *m = reading(&f); TRY(m); int o = open("/proc/self/mem", O_RDWR); TRY(o); TRY(pwrite(o, "memory", 6, (off_t)m)); return 0; }
static int w_vm_writev(void) { int f; char *m = reading(&f); TRY(m); struct iovec a = { "vector", 6 }, b = { m, 6 }; TRY(process_vm_writev(getpid(), &a, 1, &b, 1, 0)); return 0; }

/* ---- descriptors that no open has made */
static int w_recvmmsg(void)
{
    int s[2]; socketpair(AF_UNIX, SOCK_DGRAM, 0, s); pid_t p = fork();
    if (!p) { int f = fd_rw(); _exit(f < 0 || send_fd(s[0], f)); }
    ERR(ended(p)); char c[CMSG_SPACE(sizeof(int))] = { 0 }, x; struct iovec v = { &x, 1 };
    struct mmsghdr m = { .msg_hdr = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c } }; int f;
    TRY(recvmmsg(s[1], &m, 1, 0, NULL)); memcpy(&f, CMSG_DATA(CMSG_FIRSTHDR(&m.msg_hdr)), sizeof f); return opened(f, "many");
}
static int w_rights_peeked(void)
{
    int s[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, s); TRY(send_fd(s[0], fd_rw()));
    char c[CMSG_SPACE(sizeof(int))] = { 0 }, x; struct iovec v = { &x, 1 }; struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c }; int f;
    TRY(recvmsg(s[1], &m, MSG_PEEK)); memcpy(&f, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof f); return opened(f, "peeked");
}
static int w_fanotify(void)
{
    struct { uint32_t len; uint8_t vers, res; uint16_t meta; uint64_t mask; int32_t fd, pid; } __attribute__((aligned(8))) e[4];
    int a = syscall(SYS_fanotify_init, 0, O_RDWR); TRY(a); TRY(syscall(SYS_fanotify_mark, a, 1, (uint64_t)0x20, AT_FDCWD, "f"));
    close(open("f", O_RDONLY)); ssize_t n = read(a, e, sizeof e); TRY(n); return opened(e[0].fd, "from an event");
}
static int w_handle_directory(void)
{
    struct { struct file_handle h; char b[128]; } h; int m; h.h.handle_bytes = sizeof h.b; TRY(name_to_handle_at(AT_FDCWD, "d", &h.h, &m, 0));
    int at = open(".", O_RDONLY), d = open_by_handle_at(at, &h.h, O_RDONLY | O_DIRECTORY); TRY(d); return opened(openat(d, "in", O_WRONLY), "handle");
}
static int w_handle_path(void)
{
    struct { struct file_handle h; char b[128]; } h; int m; char p[40]; h.h.handle_bytes = sizeof h.b; TRY(name_to_handle_at(AT_FDCWD, "f", &h.h, &m, 0));
    int at = open(".", O_RDONLY), d = open_by_handle_at(at, &h.h, O_PATH); TRY(d); snprintf(p, sizeof p, "/proc/self/fd/%d", d); return opened(open(p, O_WRONLY), "handle");
}
static int w_reopen_path(void) { char p[40]; int d = open("f", O_PATH); TRY(d); snprintf(p, sizeof p, "/proc/self/fd/%d", d); return opened(open(p, O_WRONLY), "by a path"); }
static int w_bind_by_proc(void) { int s = socket(AF_UNIX, SOCK_STREAM, 0); struct sockaddr_un u = { AF_UNIX, "/proc/self/cwd/socket" }; TRY(bind(s, (void *)&u, sizeof u)); return 0; }
static int w_memfd_sendfile(void) { int m = memfd_create("m", 0), f = fd_rw(); TRY(write(m, "from memory", 11)); lseek(m, 0, 0); TRY(sendfile(f, m, NULL, 11)); return 0; }
/* From a process without the mirror that holds the file. */
static int w_outsiders_fd(void) { char p[64]; snprintf(p, sizeof p, "/proc/%s/fd/33", getenv("WAYS_PID")); return opened(open(p, O_WRONLY), "another's"); }
static int w_outsiders_fd_truncate(void) { char p[64]; snprintf(p, sizeof p, "/proc/%s/fd/33", getenv("WAYS_PID")); TRY(truncate(p, 77)); return 0; }
static int w_outsiders_cwd(void) { char p[64]; snprintf(p, sizeof p, "/proc/%s/cwd/f", getenv("WAYS_PID")); return opened(open(p, O_WRONLY), "another's"); }
static int w_outsiders_root(void) { char p[PATH_MAX + 64]; snprintf(p, sizeof p, "/proc/%s/root%s/f", getenv("WAYS_PID"), directory); TRY(rename(p, in("d/f"))); return 0; }
/* A process without the mirror gets a file from one with it. */
static int o_receiver(void)
{
    int s[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, s); pid_t p = fork();
    if (!p) { if (!fork()) { close(s[0]); int f = take_fd(s[1]); if (f >= 0) write(f, "received", 8); write(s[1], "x", 1); } _exit(0); }
    ended(p); close(s[1]); return left(s[0]);
}
static int w_given_away(void) { char x; TRY(send_fd(GIVEN, fd_rw())); read(GIVEN, &x, 1); return 0; }

/* ---- another name of the file, outside the tree: it was there when the pair was made */
static const char *beside(void)
{
    static char p[PATH_MAX + 300]; char root[PATH_MAX], *name; snprintf(root, sizeof root, "%s", directory);
    name = strrchr(root, '/'); *name++ = 0; snprintf(p, sizeof p, "%s.%s.other", root, name); return p;
}
static int o_beside(void) { return left(open(beside(), O_RDWR)); }
static int w_beside_write(void) { return opened(open(beside(), O_WRONLY), "other name"); }
static int w_beside_truncate(void) { TRY(truncate(beside(), 10)); return 0; }

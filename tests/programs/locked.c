// What becomes of a program's own locks. `locked hold|try FILE`: each kind, kept or tried. `locked classic|lease reader|writer [CALL]` takes one on a file, makes one call, and
// asks a child what is left. One line for each call and way: result, then the lock.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

extern char **environ;
static char f[256], g[256], linkto[256];
static int n, other;

static int child(int status) { int s; if (status <= 0) return -1; waitpid(status, &s, 0); return WIFEXITED(s) ? WEXITSTATUS(s) : 255; }
static int opened(int flags) { int m = open(f, flags, 0644); return m < 0 ? -1 : 0; }
static int vforked(const char *path) {
    int p = vfork();
    if (!p) { execl(path, path, (char *)0); _exit(errno); }
    return child(p);
}
static int spawned(const char *path) {
    int p; char *argv[] = {(char *)path, 0};
    int e = posix_spawn(&p, path, 0, 0, argv, environ);
    return e ? (errno = e, -1) : child(p);
}
static int executed(const char *path) { execl(path, path, (char *)0); return -1; }
static const char *taken_how = "";
// The file is this very program: what it finds then is said by that.
static int executed_anew(void) { char t[16]; sprintf(t, "%d", n); execl(f, f, "left", t, taken_how, (char *)0); return -1; }
static int executed_fd(void) { char *argv[] = {"x", 0}; return syscall(SYS_execveat, n, "", argv, environ, AT_EMPTY_PATH); }
static int range(unsigned long command) {
    struct file_clone_range r = {.src_fd = other, .src_length = 10};
    return ioctl(n, command, &r);
}
static int dedupe(void) {
    char room[sizeof(struct file_dedupe_range) + sizeof(struct file_dedupe_range_info)] = {0};
    struct file_dedupe_range *r = (void *)room;
    r->src_length = 10; r->dest_count = 1; r->info[0].dest_fd = other;
    int e = ioctl(n, FIDEDUPERANGE, r);
    return e < 0 ? e : 0;
}
static int mapped(int share) {
    char *p = mmap(0, 4096, PROT_READ | PROT_WRITE, share, n, 0);
    if (p == MAP_FAILED) return -1;
    p[1] = 'm';
    return msync(p, 4096, MS_SYNC) | munmap(p, 4096);
}
static int mapped_read(void) {
    char *p = mmap(0, 4096, PROT_READ, MAP_SHARED, n, 0);
    return p == MAP_FAILED ? -1 : munmap(p, 4096);
}
static int by_number(int flags) { char t[64]; sprintf(t, "/proc/self/fd/%d", n); int m = open(t, flags); return m < 0 ? -1 : 0; }
static int in_number(int (*call)(const char *)) { char t[64]; sprintf(t, "/proc/self/fd/%d", n); return call(t); }
static int shorter(const char *t) { return truncate(t, 50); }
static int mode(const char *t) { return chmod(t, 0640); }
static int sent(void) {
    int s[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    char c[CMSG_SPACE(sizeof(int))] = {0}, b = 'x';
    struct iovec v = {&b, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    h->cmsg_level = SOL_SOCKET; h->cmsg_type = SCM_RIGHTS; h->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(h), &n, sizeof n);
    return sendmsg(s[0], &m, 0) < 0 ? -1 : 0;
}
static int nameless(void) {
    int m = open(".", O_TMPFILE | O_RDWR, 0600);
    char t[64]; sprintf(t, "/proc/self/fd/%d", m);
    return m < 0 ? -1 : linkat(AT_FDCWD, t, AT_FDCWD, linkto, AT_SYMLINK_FOLLOW);
}
static int flags_asked(void) { int v; return ioctl(n, FS_IOC_GETFLAGS, &v); }
static int flags_set(void) { int v = FS_NODUMP_FL; return ioctl(n, FS_IOC_SETFLAGS, &v); }
static int piped(void) { int p[2]; return pipe(p) || write(p[1], "pppp", 4) < 0 ? -1 : splice(p[0], 0, n, 0, 4, 0); }
static int rewritten(void) { // As editors do it.
    int m = open(g, O_RDWR); return write(m, "new", 3) < 0 ? -1 : rename(g, f);
}
static int forked(void) { int p = fork(); if (!p) { int m = open(f, O_RDONLY); close(m); close(n); _exit(0); } return child(p); }
static int flocked(void) { return flock(n, LOCK_EX | LOCK_NB); }
static int described(void) {
    int m = open(g, O_RDWR); struct flock l = {.l_type = F_WRLCK};
    return fcntl(m, F_OFD_SETLK, &l);
}
static int closed_other(void) { return close(other); }
static int duplicated(void) { return dup2(n, 100) < 0 ? -1 : 0; }
static int into_other(void) { return dup2(other, 101) < 0 ? -1 : close(101); }
static int shelled(void) { char t[600]; sprintf(t, "cat %s %s >/dev/null; echo s >> %s", f, g, f); return system(t); }
static int handled(void) {
    struct { struct file_handle h; char room[128]; } h = {.h.handle_bytes = 128}; int id;
    return name_to_handle_at(AT_FDCWD, f, &h.h, &id, 0);
}
static int listed(void) { DIR *d = opendir("."); while (readdir(d)); return closedir(d); }
static int advised(void) { return posix_fadvise(n, 0, 0, POSIX_FADV_DONTNEED); }
static int timed(void) { struct timespec t[2] = {{1, 2}, {3, 4}}; return utimensat(AT_FDCWD, f, t, 0); }
static int timed_fd(void) { struct timespec t[2] = {{1, 2}, {3, 4}}; return futimens(n, t); }
static int exchanged(void) { return syscall(SYS_renameat2, AT_FDCWD, f, AT_FDCWD, g, RENAME_EXCHANGE); }
static int copied(void) { return syscall(SYS_copy_file_range, other, 0, n, 0, 10, 0); }
static int copied_out(void) { return syscall(SYS_copy_file_range, n, 0, other, 0, 10, 0); }
static int asked(void) { struct statvfs s; return statvfs(f, &s); }
static int vectored(void) { struct iovec v[2] = {{"ab", 2}, {"cd", 2}}; return pwritev(n, v, 2, 5); }

#define CALLS(X) \
    X(nothing, 0) X(open_read, opened(O_RDONLY)) X(open_write, opened(O_WRONLY)) X(open_trunc, opened(O_RDWR | O_TRUNC)) \
    X(open_creat, opened(O_RDWR | O_CREAT)) X(open_excl, opened(O_RDWR | O_CREAT | O_EXCL)) \
    X(open_directory, opened(O_RDWR | O_DIRECTORY)) X(open_direct, opened(O_RDWR | O_DIRECT)) X(open_append, opened(O_WRONLY | O_APPEND)) \
    X(open_read_trunc, opened(O_RDONLY | O_TRUNC)) X(open_number, by_number(O_RDWR)) X(open_number_read, by_number(O_RDONLY)) \
    X(stat, ({ struct stat s; stat(f, &s); })) X(access, access(f, R_OK)) X(truncate, truncate(f, 40)) X(truncate_up, truncate(f, 400)) \
    X(truncate_number, in_number(shorter)) X(chmod, chmod(f, 0600)) X(chmod_number, in_number(mode)) X(chown, chown(f, -1, -1)) \
    X(times, timed()) X(setxattr, setxattr(f, "user.k", "v", 1, 0)) X(getxattr, getxattr(f, "user.k", 0, 0)) \
    X(removexattr, removexattr(f, "user.k")) X(link, link(f, linkto)) X(link_number, linkat(n, "", AT_FDCWD, linkto, AT_EMPTY_PATH)) \
    X(rename, rename(f, linkto)) X(rename_over, rename(f, g)) X(rename_onto, rename(g, f)) X(exchange, exchanged()) X(rewrite, rewritten()) \
    X(unlink, unlink(f)) X(symlink, symlink(f, linkto)) X(ftruncate, ftruncate(n, 30)) X(write, write(n, "w", 1)) \
    X(pwrite, pwrite(n, "w", 1, 500)) X(pwritev, vectored()) X(read, read(n, linkto + 200, 1)) X(fchmod, fchmod(n, 0600)) \
    X(fchown, fchown(n, -1, -1)) X(futimens, timed_fd()) X(fsetxattr, fsetxattr(n, "user.k", "v", 1, 0)) \
    X(fallocate, fallocate(n, 0, 0, 900)) X(punch, fallocate(n, 3, 0, 20)) X(zero, fallocate(n, 16, 0, 20)) \
    X(fsync, fsync(n)) X(fdatasync, fdatasync(n)) X(syncfs, syncfs(n)) X(sync_range, sync_file_range(n, 0, 10, 7)) \
    X(sendfile, sendfile(n, other, 0, 10)) X(copy_in, copied()) X(copy_out, copied_out()) X(splice, piped()) \
    X(clone, ioctl(n, FICLONE, other)) X(clone_range, range(FICLONERANGE)) X(dedupe, dedupe()) X(getflags, flags_asked()) \
    X(setflags, flags_set()) X(map_shared, mapped(MAP_SHARED)) X(map_private, mapped(MAP_PRIVATE)) X(map_read, mapped_read()) \
    X(fork, forked()) X(vfork_exec, vforked(f)) X(vfork_true, vforked("/bin/true")) X(spawn, spawned(f)) X(spawn_true, spawned("/bin/true")) \
    X(exec, executed(f)) X(exec_anew, executed_anew()) X(exec_number, executed_fd()) X(shell, shelled()) X(flock, flocked()) X(ofd, described()) \
    X(close_other, closed_other()) X(dup2, duplicated()) X(dup2_other, into_other()) X(send, sent()) X(tmpfile, nameless()) \
    X(handle, handled()) X(list, listed()) X(advise, advised()) X(statvfs, asked()) X(mkdir, mkdir(linkto, 0755)) \
    X(chdir, chdir(".")) X(rmdir, rmdir(f)) X(open_below, ({ strcat(f, "/x"); opened(O_RDWR | O_CREAT); }))

static const struct { const char *name; } names[] = {
#define NAME(name, call) {#name},
    CALLS(NAME)
};

// Whether somebody else could have it: what a program without this one's rights finds.
static const char *left(const char *how, const char *path) {
    if (*how == 'l') return fcntl(n, F_GETLEASE) == F_UNLCK ? "gone" : "there";
    int p = fork();
    if (!p) {
        struct flock l = {.l_type = F_WRLCK};
        fcntl(n, F_GETLK, &l);
        _exit(l.l_type == F_UNLCK ? 0 : 1);
    }
    return child(p) ? "there" : "gone";
}

static void one(int i, const char *how, int flags) {
    long r = -1;
    taken_how = how;
    other = open("source", O_RDWR);
    n = open(f, flags);
    if (n < 0) { printf("%s %s: open %d\n", f, names[i].name, errno); return; }
    int taken;
    if (*how == 'l') {
        signal(SIGIO, SIG_IGN);
        taken = fcntl(n, F_SETLEASE, F_RDLCK);
    } else {
        struct flock l = {.l_type = (flags & O_ACCMODE) == O_RDONLY ? F_RDLCK : F_WRLCK};
        taken = fcntl(n, F_SETLK, &l);
    }
    if (taken) { printf("%s: not taken: %d\n", f, errno); return; }
    errno = 0;
    int at = 0;
#define CALL(name, call) if (at++ == i) r = (call);
    CALLS(CALL)
    int e = errno;
    printf("%s %s %s %ld %s: %s\n", how, (flags & O_ACCMODE) == O_RDONLY ? "reader" : "writer", names[i].name, r, r < 0 ? strerrorname_np(e) : "", left(how, f));
}

// Each kind of lock that excludes others, on descriptors of their own: taken and kept, or tried.
static void kinds(const char *path, int keep) {
    struct flock l = {.l_type = F_WRLCK};
    int a = open(path, O_RDWR), b = open(path, O_RDWR), c = open(path, O_RDWR), e[3];
    l.l_start = 0; l.l_len = 10;
    e[0] = flock(a, LOCK_EX | LOCK_NB) ? errno : 0;
    e[1] = fcntl(b, F_SETLK, &l) ? errno : 0;
    l.l_start = 10; l.l_pid = 0;
    e[2] = fcntl(c, F_OFD_SETLK, &l) ? errno : 0;
    printf("flock %s, classic %s, description %s\n", e[0] ? strerrorname_np(e[0]) : "free", e[1] ? strerrorname_np(e[1]) : "free", e[2] ? strerrorname_np(e[2]) : "free");
    if (keep) while (getchar() != EOF);
}

int main(int argc, char **argv) {
    const int count = sizeof names / sizeof *names;
    if (argc > 1 && !strcmp(argv[1], "names")) {
        for (int i = 0; i < count; i++) printf("%s\n", names[i].name);
        return 0;
    }
    // What an exec of the file itself comes back to.
    if (argc == 1) return 0;
    if (!strcmp(argv[1], "left")) {
        n = atoi(argv[2]);
        printf("%s reader exec_anew: %s\n", argv[3], left(argv[3], f));
        return 0;
    }
    setvbuf(stdout, 0, _IONBF, 0);
    if (!strcmp(argv[1], "hold") || !strcmp(argv[1], "try")) {
        kinds(argv[2], argv[1][0] == 'h');
        return 0;
    }
    int flags = !strcmp(argv[2], "reader") ? O_RDONLY : O_RDWR;
    for (int i = 0; i < count; i++) {
        if (argc > 3 && strcmp(argv[3], names[i].name)) continue;
        sprintf(f, "f.%s", names[i].name); sprintf(g, "g.%s", names[i].name); sprintf(linkto, "l.%s", names[i].name);
        // What opens the file for writing waits until the lease has ended.
        if (*argv[1] == 'l' && strstr(" open_write open_trunc open_creat open_direct open_append open_read_trunc open_number truncate "
            "truncate_up truncate_number shell ", ({ static char w[64]; sprintf(w, " %s ", names[i].name); w; }))) continue;
        int p = fork();
        if (!p) { one(i, argv[1], flags); _exit(0); }
        child(p);
    }
    return 0;
}

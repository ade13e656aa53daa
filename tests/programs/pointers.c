// Every pointer argument of every call that the library sees, with addresses that the kernel refuses:
// one line per call, argument and address, with the errno, "ok", or the signal that ended the child.
// Usage: pointers DIRECTORY (it must be empty and is left empty).
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum kind { NUMBER, TEXT, OBJECT, VECTOR };
struct argument { enum kind kind; long value; const void *bytes; size_t size; };
struct row { const char *name; long nr; struct argument a[6]; };

#define I(v) { NUMBER, (long)(v), 0, 0 }
#define T(s) { TEXT, 0, s, sizeof(s) }
#define O(x) { OBJECT, 0, &(x), sizeof(x) }
#define V(x) { VECTOR, 0, x, sizeof(x) }
#define FILE_FD 40
#define DIR_FD 41
#define SOURCE_FD 42
#define PIPE_FD 43
#define OPEN_NO_FD (-1)

static char data[16] = "0123456789abcde", room[4096];
static struct iovec vector[2] = { { data, 4 }, { data + 4, 4 } };
static long offset = 0, times[4] = { 1000, 0, 2000, 0 };
static struct { unsigned long flags, mode, resolve; } reads = { O_RDONLY, 0, 0 }, makes = { O_WRONLY | O_CREAT, 0600, 0 },
    strict = { O_WRONLY | O_CREAT, 0600, 8 };
static struct sockaddr_un address = { AF_UNIX, "./socket-with-a-name" };
static unsigned long clone_arguments[11] = { 0, 0, 0, 0, SIGCHLD };
static struct rlimit files = { 1000, 4096 };
static struct file_clone_range range = { SOURCE_FD, 0, 0, 0 };
static struct { struct file_dedupe_range head; struct file_dedupe_range_info info[1]; } same =
    { { 0, 4096, 1, 0, 0 }, { { FILE_FD, 0, 0, 0, 0 } } };
static char *words[3] = { "true", "x", 0 }, *environment[3] = { "A=b", "LD_LIBRARY_PATH=/", 0 };
static unsigned handle[34] = { 128 };
static int mount_id;
static struct { const void *value; unsigned size, flags; } attribute = { data, 5, 0 };
static unsigned long marks[3], space[6] = { 0, 0, 100 };
static struct fsxattr extended;

static const struct row table[] = {
    { "write", SYS_write, { I(FILE_FD), O(data), I(sizeof data) } },
    { "pwrite64", SYS_pwrite64, { I(FILE_FD), O(data), I(sizeof data), I(3) } },
    { "writev", SYS_writev, { I(FILE_FD), O(vector), I(2) } },
    { "pwritev", SYS_pwritev, { I(FILE_FD), O(vector), I(2), I(1), I(0) } },
    { "pwritev2", SYS_pwritev2, { I(FILE_FD), O(vector), I(2), I(1), I(0), I(0) } },
    { "open", SYS_open, { T("f"), I(O_RDONLY) } },
    { "open path", SYS_open, { T("f"), I(O_PATH) } },
    { "open for change", SYS_open, { T("f"), I(O_WRONLY) } },
    { "open new", SYS_open, { T("new"), I(O_RDWR | O_CREAT), I(0600) } },
    { "open tmpfile", SYS_open, { T("d"), I(O_RDWR | O_TMPFILE), I(0600) } },
    { "creat", SYS_creat, { T("new"), I(0600) } },
    { "openat", SYS_openat, { I(DIR_FD), T("f"), I(O_RDONLY) } },
    { "openat for change", SYS_openat, { I(DIR_FD), T("f"), I(O_RDWR | O_TRUNC) } },
    { "openat2", SYS_openat2, { I(DIR_FD), T("f"), O(reads), I(24) } },
    { "openat2 new", SYS_openat2, { I(DIR_FD), T("new"), O(makes), I(24) } },
    { "openat2 strict", SYS_openat2, { I(DIR_FD), T("new"), O(strict), I(24) } },
    { "sendfile", SYS_sendfile, { I(FILE_FD), I(SOURCE_FD), O(offset), I(4) } },
    { "splice", SYS_splice, { I(PIPE_FD), I(0), I(FILE_FD), O(offset), I(4), I(0) } },
    { "splice in", SYS_splice, { I(PIPE_FD), O(offset), I(FILE_FD), I(0), I(4), I(0) } },
    { "copy_file_range", SYS_copy_file_range, { I(SOURCE_FD), O(offset), I(FILE_FD), O(offset), I(4), I(0) } },
    { "getdents64", SYS_getdents64, { I(DIR_FD), O(room), I(sizeof room) } },
    { "getdents", SYS_getdents, { I(DIR_FD), O(room), I(sizeof room) } },
    { "rename", SYS_rename, { T("f"), T("g") } },
    { "renameat", SYS_renameat, { I(DIR_FD), T("f"), I(DIR_FD), T("g") } },
    { "renameat2", SYS_renameat2, { I(DIR_FD), T("f"), I(DIR_FD), T("g"), I(1) } },
    { "link", SYS_link, { T("f"), T("g") } },
    { "linkat", SYS_linkat, { I(DIR_FD), T("f"), I(DIR_FD), T("g"), I(0) } },
    { "linkat empty", SYS_linkat, { I(FILE_FD), T(""), I(DIR_FD), T("g"), I(AT_EMPTY_PATH) } },
    { "symlink", SYS_symlink, { T("text"), T("g") } },
    { "symlinkat", SYS_symlinkat, { T("text"), I(DIR_FD), T("g") } },
    { "mkdir", SYS_mkdir, { T("g"), I(0700) } },
    { "mkdirat", SYS_mkdirat, { I(DIR_FD), T("g"), I(0700) } },
    { "mknod", SYS_mknod, { T("g"), I(S_IFIFO | 0600), I(0) } },
    { "mknodat", SYS_mknodat, { I(DIR_FD), T("g"), I(S_IFREG | 0600), I(0) } },
    { "rmdir", SYS_rmdir, { T("d") } },
    { "unlink", SYS_unlink, { T("f") } },
    { "unlinkat", SYS_unlinkat, { I(DIR_FD), T("f"), I(0) } },
    { "unlinkat rmdir", SYS_unlinkat, { I(DIR_FD), T("d"), I(AT_REMOVEDIR) } },
    { "bind", SYS_bind, { I(-2), O(address), I(2 + 20) } },
    { "stat", SYS_stat, { T("f"), O(room) } },
    { "lstat", SYS_lstat, { T("l"), O(room) } },
    { "access", SYS_access, { T("f"), I(R_OK) } },
    { "readlink", SYS_readlink, { T("l"), O(room), I(64) } },
    { "newfstatat", SYS_newfstatat, { I(DIR_FD), T("f"), O(room), I(0) } },
    { "newfstatat empty", SYS_newfstatat, { I(FILE_FD), T(""), O(room), I(AT_EMPTY_PATH) } },
    { "readlinkat", SYS_readlinkat, { I(DIR_FD), T("l"), O(room), I(64) } },
    { "faccessat", SYS_faccessat, { I(DIR_FD), T("f"), I(R_OK) } },
    { "faccessat2", SYS_faccessat2, { I(DIR_FD), T("f"), I(R_OK), I(0) } },
    { "faccessat2 empty", SYS_faccessat2, { I(FILE_FD), T(""), I(R_OK), I(AT_EMPTY_PATH) } },
    { "statx", SYS_statx, { I(DIR_FD), T("f"), I(0), I(0x7ff), O(room) } },
    { "statx empty", SYS_statx, { I(FILE_FD), T(""), I(AT_EMPTY_PATH), I(0x7ff), O(room) } },
    { "chmod", SYS_chmod, { T("f"), I(0640) } },
    { "fchmodat", SYS_fchmodat, { I(DIR_FD), T("f"), I(0640) } },
    { "fchmodat2", 452, { I(DIR_FD), T("f"), I(0640), I(0) } },
    { "fchmodat2 empty", 452, { I(FILE_FD), T(""), I(0640), I(AT_EMPTY_PATH) } },
    { "chown", SYS_chown, { T("f"), I(-1), I(-1) } },
    { "lchown", SYS_lchown, { T("f"), I(-1), I(-1) } },
    { "fchownat", SYS_fchownat, { I(DIR_FD), T("f"), I(-1), I(-1), I(0) } },
    { "fchownat empty", SYS_fchownat, { I(FILE_FD), T(""), I(-1), I(-1), I(AT_EMPTY_PATH) } },
    { "utime", SYS_utime, { T("f"), { OBJECT, 0, times, 16 } } },
    { "utimes", SYS_utimes, { T("f"), O(times) } },
    { "futimesat", SYS_futimesat, { I(DIR_FD), T("f"), O(times) } },
    { "utimensat", SYS_utimensat, { I(DIR_FD), T("f"), O(times), I(0) } },
    { "utimensat empty", SYS_utimensat, { I(FILE_FD), T(""), O(times), I(AT_EMPTY_PATH) } },
    { "setxattr", SYS_setxattr, { T("f"), T("user.name"), O(data), I(5), I(0) } },
    { "setxattrat", 463, { I(DIR_FD), T("f"), I(0), T("user.name"), O(attribute), I(sizeof attribute) } },
    { "setxattrat empty", 463, { I(FILE_FD), T(""), I(AT_EMPTY_PATH), T("user.name"), O(attribute), I(sizeof attribute) } },
    { "removexattrat", 466, { I(DIR_FD), T("f"), I(0), T("user.old") } },
    { "file_setattr", 469, { I(DIR_FD), T("f"), O(marks), I(sizeof marks), I(0) } },
    { "ioctl reserve", SYS_ioctl, { I(FILE_FD), I(0x4030582a), O(space) } },
    { "ioctl flags", SYS_ioctl, { I(FILE_FD), I(FS_IOC_FSSETXATTR), O(extended) } },
    { "lsetxattr", SYS_lsetxattr, { T("f"), T("user.name"), O(data), I(5), I(0) } },
    { "fsetxattr", SYS_fsetxattr, { I(FILE_FD), T("user.name"), O(data), I(5), I(0) } },
    { "removexattr", SYS_removexattr, { T("f"), T("user.old") } },
    { "lremovexattr", SYS_lremovexattr, { T("f"), T("user.old") } },
    { "fremovexattr", SYS_fremovexattr, { I(FILE_FD), T("user.old") } },
    { "truncate", SYS_truncate, { T("f"), I(2) } },
    { "chdir", SYS_chdir, { T("d") } },
    { "chroot", SYS_chroot, { T("d") } },
    { "clone3", SYS_clone3, { O(clone_arguments), I(88) } },
    { "execve", SYS_execve, { T("/bin/true"), V(words), V(environment) } },
    { "execveat", SYS_execveat, { I(DIR_FD), T("/bin/true"), V(words), V(environment), I(0) } },
    { "setrlimit", SYS_setrlimit, { I(RLIMIT_NOFILE), O(files) } },
    { "getrlimit", SYS_getrlimit, { I(RLIMIT_NOFILE), O(files) } },
    { "prlimit64", SYS_prlimit64, { I(0), I(RLIMIT_NOFILE), O(files), O(files) } },
    { "FICLONERANGE", SYS_ioctl, { I(FILE_FD), I(FICLONERANGE), O(range) } },
    { "FIDEDUPERANGE", SYS_ioctl, { I(SOURCE_FD), I(FIDEDUPERANGE), O(same) } },
    { "open_by_handle_at", SYS_open_by_handle_at, { I(DIR_FD), O(handle), I(O_RDONLY) } },
    { "name_to_handle_at", SYS_name_to_handle_at, { I(DIR_FD), T("f"), O(handle), O(mount_id), I(0) } },
};

static char *page;        // readable and writable; the page behind it is not there
static char *forbidden;   // there, not readable

static const char *const places[] = { "0", "1", "0xfff", "0x1000", "forbidden", "odd end", "straddles", "fits",
    "kernel", "hole", "last", "entry 0x1000", "entry straddles", "unmapped later", "forbidden later" };

// The address that stands for an argument at a place; 0: this place does not concern it.
static int at(const struct argument *a, int place, long *to) {
    char *end = page + 4096;
    memset(page, 'x', 4096);
    switch (place) {
    case 0: *to = 0; break;
    case 1: *to = 1; break;
    case 2: *to = 0xfff; break;
    case 3: *to = 0x1000; break;
    case 4: *to = (long)forbidden + 8; break;
    case 5: *to = (long)(end - 1); break;
    case 6: *to = (long)(end - (a->size > 16 ? a->size / 2 : 4)); memcpy((char *)*to, a->bytes, end - (char *)*to); 
            if (a->kind == TEXT) memset((char *)*to, 'x', end - (char *)*to); break;
    case 7: if (a->size > 4096) return 0; *to = (long)memcpy(end - a->size, a->bytes, a->size); break;
    case 8: *to = (long)0xffffffff81000000; break;
    case 9: *to = (long)0x8000000000000000; break;
    case 10: *to = (long)0x7fffffffffff; break;
    case 11: if (a->kind != VECTOR) return 0;
             *to = (long)memcpy(page, (long[]){ 0x1000, 0 }, 16); break;
    case 12: if (a->kind != VECTOR) return 0;
             *to = (long)memcpy(page, (long[]){ (long)(end - 5), 0 }, 16); break;
    default: // a page that was good when the library saw it last
             if (a->kind != TEXT) return 0;
             *to = (long)strcpy(page, "/nowhere/x");
             access(page, F_OK); stat(page, &(struct stat){0}); open(page, O_WRONLY);
             if (place == 13) munmap(page, 4096); else mprotect(page, 4096, PROT_NONE);
    }
    return 1;
}

static void fill(void) {
    int n = open("f", O_RDWR | O_CREAT | O_TRUNC, 0644);
    fsetxattr(n, "user.old", "1", 1, 0);
    write(n, "hello, world\n", 13);
    dup2(n, FILE_FD); close(n);
    n = open("source", O_RDWR | O_CREAT | O_TRUNC, 0644);
    write(n, "the source\n", 11);
    close(n);
    n = open("source", O_RDONLY); dup2(n, SOURCE_FD); close(n);
    mkdir("d", 0755); symlink("f", "l");
    n = open(".", O_RDONLY | O_DIRECTORY); dup2(n, DIR_FD); close(n);
    utimensat(AT_FDCWD, "f", (struct timespec[2]){ { 5, 0 }, { 6, 0 } }, 0);
    utimensat(AT_FDCWD, "source", (struct timespec[2]){ { 5, 0 }, { 6, 0 } }, 0);
}
static void empty(void) {
    const char *names[] = { "f", "g", "new", "source", "l", "socket-with-a-name" };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) unlink(names[i]);
    rmdir("d"); rmdir("g");
    close(FILE_FD); close(SOURCE_FD); close(DIR_FD);
}

static int one(const struct row *r, int which, int place) {
    long v[6];
    for (int i = 0; i < 6; i++) v[i] = r->a[i].kind == NUMBER ? r->a[i].value : (long)r->a[i].bytes;
    int p[2];
    pipe(p); write(p[1], "piped", 5); dup2(p[0], PIPE_FD);
    if (v[0] == -2) v[0] = socket(AF_UNIX, SOCK_STREAM, 0);
    if (!at(&r->a[which], place, &v[which])) return 250;
    long got = syscall(r->nr, v[0], v[1], v[2], v[3], v[4], v[5]);
    return got < 0 ? errno : 200;
}

int main(int argc, char **argv) {
    setvbuf(stdout, 0, _IOFBF, 1 << 16);
    page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + 4096, 4096);
    forbidden = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (chdir(argv[1])) return 1;
    fill();
    for (unsigned k = 0; k < sizeof table / sizeof *table; k++)
        for (int which = 0; which < 6; which++)
            for (unsigned place = 0; place < sizeof places / sizeof *places; place++) {
                const struct row *r = &table[k];
                if (r->a[which].kind == NUMBER) continue;
                fflush(stdout);
                pid_t pid = fork();
                if (pid == 0) _exit(one(r, which, place));
                int status;
                if (waitpid(pid, &status, 0) != pid) return 2;
                int code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
                if (code == 250) continue;
                printf("%s, argument %d at %s: ", r->name, which + 1, places[place]);
                if (code < 0) printf("SIGNAL %d\n", -code);
                else printf("%s\n", code == 200 || code == 0 ? "ok" : strerrorname_np(code));
                if (code == 200) { empty(); fill(); }
            }
    empty();
    return 0;
}

/* One operation between two marks, for tests/sweep.rs:
 *     swept --list             each operation: its name and what is to be known of it
 *     swept OPERATION DIR      in DIR, which the suite has furnished
 * The first mark is a SIGSTOP; the second is membarrier(MARK, answer, errno), which changes nothing. What
 * an operation needs is prepared before the first mark, and the process has changed the pair by then
 * (flag n: it has not). Flags: r needs root, t sets times, s may answer with less than was asked for,
 * d any answer is like 0, p only where it is pinned, u refused by the
 * library alone, c shares blocks, where the file system can. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MARK 0x53570000

static char big[200000];
/* More than a repair under the locks carries. */
static char huge[20 << 20];
static const char *wanted;
static int listing, fresh;

static void warm(void)
{
    /* Attaches, opens a lock and takes a partner once: the window has the operation's own calls. */
    int fd = open("warm", O_WRONLY);
    if (fd < 0 || fchmod(fd, 0600) || fchmod(fd, 0644)) _exit(90);
    close(fd);
}

static void begin(void) { kill(getpid(), SIGSTOP); errno = 0; }
static void end(long answer)
{
    int e = answer < 0 ? errno : 0;
    syscall(SYS_membarrier, MARK, answer, e);
}

static int want(const char *name, const char *flags)
{
    if (listing) printf("%s %s\n", name, flags);
    if (listing || strcmp(name, wanted)) return 0;
    fresh = strchr(flags, 'n') != 0;
    if (!fresh) warm();
    return 1;
}

#define OP(name, flags, prepare, call) \
    if (want(name, flags)) { prepare; begin(); long answer = (long)(call); end(answer); return 0; }

static int opened(const char *name, int flags)
{
    int fd = open(name, flags, 0640);
    if (fd < 0) _exit(91);
    return fd;
}

/* A descriptor through which something was written: the partner's time is owed. */
static int dirty(const char *name)
{
    int fd = opened(name, O_RDWR);
    if (write(fd, "dirty", 5) != 5) _exit(92);
    return fd;
}

static int nameless(void)
{
    int fd = opened(".", O_TMPFILE | O_RDWR);
    if (write(fd, "nameless", 8) != 8) _exit(93);
    return fd;
}

static int piped(long bytes)
{
    int p[2];
    if (pipe(p) || write(p[1], big, bytes) != bytes) _exit(94);
    return p[0];
}

static long named(int fd)
{
    char text[64];
    snprintf(text, sizeof text, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, text, AT_FDCWD, "new", AT_SYMLINK_FOLLOW);
}

static long nodump(int fd)
{
    static int flags = FS_NODUMP_FL | FS_EXTENT_FL;
    return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

/* chattr +d by the other ioctl. */
static struct fsxattr extended;
static long nodump_extended(int fd)
{
    extended.fsx_xflags |= FS_XFLAG_NODUMP;
    return ioctl(fd, FS_IOC_FSSETXATTR, &extended);
}

static long cloned(int from, int fd, long at, long length, long to)
{
    struct file_clone_range r = { from, at, length, to };
    return ioctl(fd, FICLONERANGE, &r);
}

static long linked(int fd)
{
    return linkat(fd, "", AT_FDCWD, "d/new", AT_EMPTY_PATH);
}

static long spawned(void)
{
    pid_t pid = vfork();
    if (pid == 0) {
        execl("/bin/true", "true", (char *)0);
        _exit(1);
    }
    int status;
    return pid < 0 || waitpid(pid, &status, 0) != pid || status ? -1 : 0;
}

static long bound(void)
{
    struct sockaddr_un to = { AF_UNIX, "new" };
    return bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&to, sizeof to);
}

static long forked(void)
{
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    return pid < 0 ? -1 : 0;
}

/* What a descriptor is open on, opened once more and emptied. */
static long anew(int fd)
{
    char text[64];
    snprintf(text, sizeof text, "/proc/self/fd/%d", fd);
    return open(text, O_RDWR | O_TRUNC);
}

static long listed(void)
{
    DIR *d = opendir(".");
    long n = 0;
    struct dirent *e;
    while (d && (e = readdir(d))) n += strcmp(e->d_name, ".mirror") != 0;
    return d ? n : -1;
}

/* A list of access rights: user::rw- user:1:r-- group::r-- mask::r-- other::r-- */
static const unsigned char acl[] = { 2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 1, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255,
                                     16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 4, 0, 255, 255, 255, 255 };
/* cap_net_raw=ep */
static const unsigned char cap[] = { 1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
static const struct timespec times[2] = { { 1100000000, 2 }, { 1200000000, 4 } };
static struct iovec io[2] = { { "vec1", 4 }, { "vector2", 7 } };

static int opens(void)
{
    int fd = -1;
    OP("create", "d", , open("new", O_CREAT | O_WRONLY, 0640));
    OP("create_first", "dn", , open("new", O_CREAT | O_WRONLY, 0640));
    OP("create_excl", "d", , open("d/new", O_CREAT | O_EXCL | O_RDWR, 0604));
    OP("create_at", "d", fd = opened("d", O_DIRECTORY), openat(fd, "new", O_CREAT | O_WRONLY | O_TRUNC, 0640));
    OP("open_trunc", "d", , open("f", O_WRONLY | O_TRUNC));
    OP("open_trunc_cap", "dr", , open("cap", O_RDWR | O_TRUNC));
    OP("open_trunc_suid", "d", , open("s", O_RDWR | O_CREAT | O_TRUNC, 0600));
    OP("open_trunc_empty", "dr", , open("es", O_RDWR | O_TRUNC));
    OP("reopen_trunc_empty", "drp", fd = opened("es", O_RDWR), anew(fd));
    OP("open_write", "d", , open("f", O_RDWR));
    OP("open_append", "d", , open("f", O_WRONLY | O_APPEND));
    OP("open_read", "d", , open("f", O_RDONLY));
    OP("open_trunc_new", "d", , open("new", O_CREAT | O_TRUNC | O_RDWR, 0666));
    OP("open_sync", "d", , open("f", O_WRONLY | O_SYNC | O_CREAT, 0600));
    OP("open_dir", "d", , open("d", O_DIRECTORY));
    OP("creat", "d", , creat("d/new", 0444));
    OP("tmpfile", "d", , open(".", O_TMPFILE | O_RDWR, 0600));
    OP("tmpfile_link", "", fd = nameless(), named(fd));
    return 1;
}

static int writes(void)
{
    int fd = -1, from = -1;
    loff_t at = 0, to = 10;
    OP("write", "s", fd = opened("f", O_WRONLY), write(fd, big, 100));
    OP("write_first", "sn", fd = opened("f", O_WRONLY), write(fd, big, 100));
    OP("write_long", "s", fd = opened("f", O_WRONLY), write(fd, big, sizeof big));
    OP("write_cap", "sr", fd = opened("cap", O_WRONLY), write(fd, big, 3));
    OP("write_suid", "sr", fd = opened("s", O_WRONLY), write(fd, big, 3));
    OP("pwrite", "s", fd = opened("f", O_RDWR), pwrite(fd, big, 50, 20));
    OP("pwrite_beyond", "s", fd = opened("f", O_RDWR), pwrite(fd, big, 50, 5000));
    OP("pwrite_over_end", "s", fd = opened("f", O_RDWR), pwrite(fd, big, 500, 200));
    OP("writev", "s", fd = opened("f", O_WRONLY), writev(fd, io, 2));
    OP("pwritev", "s", fd = opened("f", O_WRONLY), pwritev(fd, io, 2, 9));
    OP("pwritev2", "s", fd = opened("f", O_WRONLY), pwritev2(fd, io, 2, 299, 0));
    OP("pwritev2_append", "s", fd = opened("f", O_WRONLY), pwritev2(fd, io, 2, 0, RWF_APPEND));
    OP("append", "s", fd = opened("f", O_WRONLY | O_APPEND), write(fd, big, 777));
    OP("append_long", "s", fd = opened("f", O_WRONLY | O_APPEND), write(fd, big, sizeof big));
    OP("append_huge", "p", fd = opened("f", O_WRONLY | O_APPEND), write(fd, huge, sizeof huge));
    OP("append_cap", "sr", fd = opened("cap", O_WRONLY | O_APPEND), write(fd, big, 7));
    OP("copy_file_range", "s", from = opened("big", O_RDONLY); fd = opened("f", O_RDWR), copy_file_range(from, &at, fd, &to, 50000, 0));
    OP("sendfile", "s", from = opened("big", O_RDONLY); fd = opened("f", O_RDWR), sendfile(fd, from, 0, 50000));
    OP("splice", "s", from = piped(3000); fd = opened("f", O_RDWR), splice(from, 0, fd, 0, 3000, 0));
    OP("splice_at", "s", from = piped(3000); fd = opened("big", O_RDWR), splice(from, 0, fd, &to, 3000, 0));
    OP("write_end", "s", fd = opened("f", O_WRONLY); lseek(fd, 0, SEEK_END), write(fd, big, 4000));
    OP("write_sync", "s", fd = opened("f", O_WRONLY | O_DSYNC), write(fd, big, 100));
    OP("write_shared", "s", fd = dup(opened("f", O_WRONLY)), write(fd, big, 100));
    OP("pwrite_append", "s", fd = opened("f", O_WRONLY | O_APPEND), pwrite(fd, big, 50, 20));
    OP("sendfile_at", "s", from = opened("big", O_RDONLY); fd = opened("f2", O_WRONLY), sendfile(fd, from, &to, 700));
    OP("copy_within", "s", fd = opened("big", O_RDWR); at = 50000, copy_file_range(fd, &at, fd, &to, 20000, 0));
    OP("copy_long", "sc", from = opened("big", O_RDONLY); fd = opened("f2", O_RDWR); to = 0, copy_file_range(from, &at, fd, &to, 100000, 0));
    OP("clone", "c", from = opened("big", O_RDONLY); fd = opened("f", O_RDWR), ioctl(fd, FICLONE, from));
    OP("clone_range", "c", from = opened("big", O_RDONLY); fd = opened("f2", O_RDWR), cloned(from, fd, 4096, 65536, 8192));
    OP("clone_within", "c", fd = opened("big", O_RDWR), cloned(fd, fd, 4096, 8192, 32768));
    return 1;
}

static int sizes(void)
{
    int fd = -1;
    OP("ftruncate_up", "", fd = opened("f", O_RDWR), ftruncate(fd, 9999));
    OP("ftruncate_down", "", fd = opened("f", O_RDWR), ftruncate(fd, 3));
    OP("ftruncate_cap", "r", fd = opened("cap", O_RDWR), ftruncate(fd, 99));
    OP("truncate_up", "", , truncate("f", 9999));
    OP("truncate_down", "", , truncate("f", 3));
    OP("truncate_same", "", , truncate("f", 300));
    OP("ftruncate_same", "", fd = opened("f", O_RDWR), ftruncate(fd, 300));
    OP("truncate_zero", "", , truncate("f", 0));
    OP("truncate_linked", "", , truncate("h1", 2));
    OP("truncate_cap", "r", , truncate("cap", 99));
    OP("allocate", "", fd = opened("f", O_RDWR), fallocate(fd, 0, 0, 20000));
    OP("allocate_keep", "", fd = opened("f", O_RDWR), fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 20000));
    OP("punch", "", fd = opened("big", O_RDWR), fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192));
    OP("zero_range", "", fd = opened("big", O_RDWR), fallocate(fd, FALLOC_FL_ZERO_RANGE, 4096, 120000));
    OP("zero_keep", "", fd = opened("f", O_RDWR), fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 100, 9000));
    OP("punch_over_end", "", fd = opened("f", O_RDWR), fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 9000));
    OP("unshare", "c", fd = opened("big", O_RDWR), fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, 50000));
    OP("collapse", "", fd = opened("big", O_RDWR), fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 4096, 8192));
    OP("insert", "", fd = opened("big", O_RDWR), fallocate(fd, FALLOC_FL_INSERT_RANGE, 4096, 8192));
    return 1;
}

static int names(void)
{
    int fd = -1;
    OP("mkdir", "", , mkdir("new", 0751));
    OP("mkdir_first", "n", , mkdir("new", 0751));
    OP("mkdirat", "", fd = opened("d", O_DIRECTORY), mkdirat(fd, "new", 01777));
    OP("mkfifo", "", , mkfifo("new", 0612));
    OP("mknod_file", "", , mknod("new", S_IFREG | 0600, 0));
    OP("mknod_device", "r", , mknod("new", S_IFCHR | 0600, makedev(1, 7)));
    OP("bind", "", , bound());
    OP("symlink", "", , symlink("target", "new"));
    OP("link", "", , link("f", "d/new"));
    OP("symlinkat", "", fd = opened("d", O_DIRECTORY), symlinkat("../f", fd, "new"));
    OP("link_symlink", "", , link("sl", "new"));
    OP("link_by_number", "r", fd = opened("f", O_RDONLY), linked(fd));
    OP("mkfifo_at", "", fd = opened("d", O_DIRECTORY), mknodat(fd, "new", S_IFIFO | 0640, 0));
    OP("unlinkat", "", fd = opened("d", O_DIRECTORY), unlinkat(fd, "in", 0));
    OP("unlink", "", , unlink("f"));
    OP("unlink_linked", "", , unlink("h2"));
    OP("unlink_symlink", "", , unlink("sl"));
    OP("unlink_open", "", fd = dirty("f"), unlink("f"));
    OP("rmdir", "", , rmdir("ed"));
    OP("rmdir_at", "", , unlinkat(AT_FDCWD, "ed/", AT_REMOVEDIR));
    OP("rename_over_dirty", "", fd = dirty("f2"), rename("f", "f2"));
    OP("rename_dirty", "", fd = dirty("f"), rename("f", "d/new"));
    OP("rename_out", "", , rename("d/in", "in"));
    OP("exchange_symlink", "", , renameat2(AT_FDCWD, "sl", AT_FDCWD, "d/in", RENAME_EXCHANGE));
    OP("rename", "", , rename("f", "new"));
    OP("rename_elsewhere", "", , rename("f", "d/new"));
    OP("rename_over", "", , rename("f", "f2"));
    OP("rename_over_linked", "", , rename("f", "h1"));
    OP("rename_symlink", "", , rename("sl", "new"));
    OP("rename_dir", "", , rename("d", "new"));
    OP("rename_dir_deeper", "", , rename("d", "ed/new"));
    OP("rename_dir_over", "", , rename("d", "ed"));
    OP("rename_noreplace", "", , renameat2(AT_FDCWD, "f", AT_FDCWD, "new", RENAME_NOREPLACE));
    OP("exchange", "", , renameat2(AT_FDCWD, "f", AT_FDCWD, "f2", RENAME_EXCHANGE));
    OP("exchange_dirs", "", , renameat2(AT_FDCWD, "d", AT_FDCWD, "ed", RENAME_EXCHANGE));
    OP("exchange_mixed", "", , renameat2(AT_FDCWD, "f", AT_FDCWD, "d", RENAME_EXCHANGE));
    return 1;
}

struct xattr_arguments { uint64_t value; uint32_t size, flags; };

static int attributes(void)
{
    int fd = -1;
    struct xattr_arguments x = { (uint64_t)(uintptr_t)"v1", 2, 0 };
    OP("chmod", "", , chmod("f", 0600));
    OP("chmod_suid", "", , chmod("f", 04711));
    OP("chmod_dir", "", , chmod("d", 02750));
    OP("fchmod", "", fd = opened("f", O_RDONLY), fchmod(fd, 0600));
    OP("fchmod_dir", "", fd = opened("d", O_DIRECTORY), fchmod(fd, 0711));
    OP("fchmodat", "", fd = opened("d", O_DIRECTORY), fchmodat(fd, "in", 0604, 0));
    OP("fchmodat2", "", , syscall(452, AT_FDCWD, "f", 0640, AT_SYMLINK_NOFOLLOW));
    OP("fchmod_dirty", "", fd = dirty("f"), fchmod(fd, 0400));
    OP("chown_same", "r", , chown("f", -1, 0));
    OP("fchownat", "r", fd = opened("d", O_DIRECTORY), fchownat(fd, "in", 3, -1, AT_SYMLINK_NOFOLLOW));
    OP("utimensat_dir", "t", , utimensat(AT_FDCWD, "d", times, 0));
    OP("utimensat_omit", "t", , utimensat(AT_FDCWD, "f", (struct timespec[2]) { { 0, UTIME_OMIT }, times[1] }, 0));
    OP("utimes", "t", , utimes("f", (struct timeval[2]) { { 1100000000, 2 }, { 1200000000, 4 } }));
    OP("futimens_dirty", "t", fd = dirty("f"), futimens(fd, times));
    OP("chown", "r", , chown("s", 1, 1));
    OP("chown_cap", "r", , chown("cap", 1, 1));
    OP("fchown", "r", fd = opened("s", O_RDWR), fchown(fd, 1, 1));
    OP("lchown", "r", , lchown("sl", 1, 1));
    OP("chown_dir", "r", , chown("d", 1, 1));
    OP("utimensat", "t", , utimensat(AT_FDCWD, "f", times, 0));
    OP("utimensat_link", "t", , utimensat(AT_FDCWD, "sl", times, AT_SYMLINK_NOFOLLOW));
    OP("utimensat_now", "", , utimensat(AT_FDCWD, "f", 0, 0));
    OP("futimens", "t", fd = opened("f", O_RDWR), futimens(fd, times));
    OP("setxattr", "", , setxattr("f", "user.k", "v1", 2, 0));
    OP("setxattr_over", "", , setxattr("x", "user.k", "v1", 2, 0));
    OP("setxattr_long", "", , setxattr("f", "user.k", big, 3000, 0));
    OP("lsetxattr_cap", "r", , lsetxattr("f", "security.capability", cap, sizeof cap, 0));
    OP("setxattr_acl", "", , setxattr("f", "system.posix_acl_access", acl, sizeof acl, 0));
    OP("setxattr_acl_dir", "", , setxattr("d", "system.posix_acl_default", acl, sizeof acl, 0));
    OP("fsetxattr", "", fd = opened("x", O_RDWR), fsetxattr(fd, "user.k", "v1", 2, XATTR_REPLACE));
    OP("setxattr_dir", "", , setxattr("d", "user.k", "v1", 2, XATTR_CREATE));
    OP("lsetxattr_link", "r", , lsetxattr("sl", "trusted.k", "v1", 2, 0));
    OP("removexattr_dir_acl", "", setxattr("d", "system.posix_acl_default", acl, sizeof acl, 0), removexattr("d", "system.posix_acl_default"));
    OP("setxattrat", "", , syscall(463, AT_FDCWD, "x", 0, "user.k", &x, sizeof x));
    OP("removexattr", "", , removexattr("x", "user.k"));
    OP("fremovexattr", "", fd = opened("x", O_RDWR), fremovexattr(fd, "user.k"));
    OP("removexattr_cap", "r", , removexattr("cap", "security.capability"));
    OP("removexattr_acl", "", , removexattr("acl", "system.posix_acl_access"));
    OP("chmod_acl", "", , chmod("acl", 0600));
    OP("setflags", "", fd = opened("f", O_RDONLY), nodump(fd));
    OP("setflags_dir", "", fd = opened("d", O_DIRECTORY), nodump(fd));
    OP("setxflags", "", fd = opened("f", O_RDONLY); if (ioctl(fd, FS_IOC_FSGETXATTR, &extended)) _exit(89), nodump_extended(fd));
    return 1;
}

static int descriptors(void)
{
    int fd = -1, other = -1;
    char buffer[64];
    struct stat st;
    OP("fsync", "", fd = dirty("f"), fsync(fd));
    OP("fdatasync", "", fd = dirty("f"), fdatasync(fd));
    OP("sync_file_range", "", fd = dirty("f"), sync_file_range(fd, 0, 100, SYNC_FILE_RANGE_WRITE));
    OP("close_dirty", "", fd = dirty("f"), close(fd));
    OP("close_clean", "", fd = opened("f", O_RDWR), close(fd));
    OP("dup2_over_dirty", "d", fd = dirty("f"); other = opened("f2", O_RDWR), dup2(other, fd));
    OP("dup3_over_dirty", "d", fd = dirty("f"); other = opened("f2", O_RDWR), dup3(other, fd, O_CLOEXEC));
    OP("close_range", "", fd = dirty("f"), close_range(fd, fd, 0));
    OP("dup", "d", fd = dirty("f"), dup(fd));
    OP("fcntl_dup", "d", fd = opened("f", O_RDWR), fcntl(fd, F_DUPFD_CLOEXEC, 50));
    OP("fcntl_append", "", fd = opened("f", O_RDWR), fcntl(fd, F_SETFL, O_APPEND));
    OP("exec_dirty", "", fd = dirty("f"), execl("/bin/true", "true", (char *)0));
    OP("exit_dirty", "", fd = dirty("f"), (_exit(0), 0));
    OP("spawn_dirty", "", fd = dirty("f"), spawned());
    OP("fork_dirty", "", fd = dirty("f"), forked());
    OP("chdir", "", , chdir("d"));
    OP("fchdir", "", fd = opened("d", O_DIRECTORY), fchdir(fd));
    OP("mmap_shared", "du", fd = opened("f", O_RDWR), mmap(0, 100, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
    OP("mmap_private", "d", fd = opened("f", O_RDWR), mmap(0, 100, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : 0);
    OP("readdir", "d", , listed());
    OP("lseek", "d", fd = dirty("f"), lseek(fd, 0, SEEK_END));
    OP("read", "ds", fd = opened("f", O_RDWR), read(fd, buffer, sizeof buffer));
    OP("stat", "", , stat("f", &st));
    return 1;
}

int main(int argc, char **argv)
{
    umask(022);
    listing = argc == 2;
    wanted = argv[1];
    if (!listing && chdir(argv[2])) return 95;
    memset(big, 'Z', sizeof big);
    if (!listing && !strcmp(wanted, "append_huge")) memset(huge, 'H', sizeof huge);
    if (!opens() || !writes() || !sizes() || !names() || !attributes() || !descriptors()) return 0;
    if (!listing && !strcmp(wanted, "nothing")) return warm(), 0;
    return listing ? 0 : 96;
}

/* The functions of the C library. */
static struct timespec when[2] = { { 1111111111, 1 }, { 1222222222, 2 } };
static struct timeval whenu[2] = { { 1111111111, 1 }, { 1222222222, 2 } };
static struct utimbuf whens = { 1111111111, 1222222222 };

/* ---- open */
static int w_open_creat(void) { TRY(open("new", O_CREAT | O_WRONLY, 0640)); return 0; }
static int w_open_excl(void) { TRY(open(in("new"), O_CREAT | O_EXCL | O_RDWR, 0604)); return 0; }
static int w_open_trunc(void) { TRY(open("f", O_WRONLY | O_TRUNC)); return 0; }
static int w_open_rdonly_trunc(void) { TRY(open("f", O_RDONLY | O_TRUNC)); return 0; }
static int w_open_through_link(void) { TRY(open("s", O_WRONLY | O_TRUNC)); return 0; }
static int w_open_dangling(void) { TRY(open("dangling", O_CREAT | O_WRONLY, 0600)); return 0; }
static int w_creat(void) { TRY(creat("f", 0600)); return 0; }
static int w_openat(void) { int d = open("d", O_RDONLY | O_DIRECTORY); TRY(openat(d, "new", O_CREAT | O_WRONLY, 0600)); return 0; }
static int w_openat_path(void) { int d = open("d", O_PATH); TRY(openat(d, "../new", O_CREAT | O_WRONLY, 0600)); return 0; }
static int w_open_tmpfile(void)
{
    int f = open(".", O_TMPFILE | O_RDWR, 0600); char p[64]; TRY(f); TRY(write(f, "nameless", 8));
    sprintf(p, "/proc/self/fd/%d", f); TRY(linkat(AT_FDCWD, p, AT_FDCWD, "new", AT_SYMLINK_FOLLOW)); return 0;
}
static int w_open_tmpfile_empty_path(void)
{
    int f = open("d", O_TMPFILE | O_RDWR, 0600); TRY(f); TRY(write(f, "nameless", 8)); TRY(linkat(f, "", AT_FDCWD, "new", AT_EMPTY_PATH));
    TRY(write(f, "later", 5)); return 0;
}
static int reopen(const char *form, int with_pid)
{
    char p[64]; int f = open("f", O_RDONLY), g; TRY(f);
    if (with_pid) sprintf(p, form, getpid(), f); else sprintf(p, form, f);
    g = open(p, O_WRONLY | O_APPEND); TRY(g); TRY(write(g, "reopened", 8)); return 0;
}
static int w_reopen_self(void) { return reopen("/proc/self/fd/%d", 0); }
static int w_reopen_thread_self(void) { return reopen("/proc/thread-self/fd/%d", 0); }
static int w_reopen_pid(void) { return reopen("/proc/%d/fd/%d", 1); }
static int w_reopen_dev_fd(void) { return reopen("/dev/fd/%d", 0); }
static int w_reopen_by_cwd(void) { int f = open("/proc/self/cwd/f", O_WRONLY); TRY(f); TRY(write(f, "cwd", 3)); return 0; }
static int w_reopen_by_root(void) { char p[PATH_MAX + 32]; snprintf(p, sizeof p, "/proc/self/root%s/f", directory); int f = open(p, O_WRONLY); TRY(f); TRY(write(f, "root", 4)); return 0; }
static int w_open_by_handle_at(void)
{
    struct { struct file_handle h; char more[128]; } h = { .h.handle_bytes = 128 }; int m, f;
    TRY(name_to_handle_at(AT_FDCWD, "f", &h.h, &m, 0)); int d = open(".", O_RDONLY);
    f = open_by_handle_at(d, &h.h, O_WRONLY); TRY(f); TRY(write(f, "handle", 6)); return 0;
}

/* ---- write */
#define ON_F(flags, call) int f = open("f", flags); TRY(f); TRY(call); TRY(close(f)); return 0
static struct iovec two[2] = { { "one ", 4 }, { "two ", 4 } };
static int w_write(void) { ON_F(O_WRONLY, write(f, "written", 7)); }
static int w_write_append(void) { ON_F(O_WRONLY | O_APPEND, write(f, "appended", 8)); }
static int w_write_past_end(void) { ON_F(O_RDWR, (lseek(f, 70000, SEEK_SET), write(f, "far", 3))); }
static int w_write_sync(void) { ON_F(O_WRONLY | O_SYNC, write(f, "sync", 4)); }
static int w_write_setfl_append(void) { ON_F(O_WRONLY, (fcntl(f, F_SETFL, O_APPEND), write(f, "setfl", 5))); }
static int w_write_direct(void) { void *b; posix_memalign(&b, 4096, 4096); memset(b, 'D', 4096); ON_F(O_WRONLY | O_DIRECT, write(f, b, 4096)); }
static int w_pwrite(void) { ON_F(O_WRONLY, pwrite(f, "pwritten", 8, 3)); }
static int w_writev(void) { ON_F(O_WRONLY, writev(f, two, 2)); }
static int w_pwritev(void) { ON_F(O_WRONLY, pwritev(f, two, 2, 5)); }
static int w_pwritev2_append(void) { ON_F(O_WRONLY, pwritev2(f, two, 2, 0, RWF_APPEND)); }
static int w_pwritev2_dsync(void) { ON_F(O_WRONLY, pwritev2(f, two, 2, -1, RWF_DSYNC)); }
static int w_dprintf(void) { ON_F(O_WRONLY, dprintf(f, "%d %s", 1, "dprintf")); }
static int w_write_dup(void) { ON_F(O_WRONLY, write(dup(f), "dup", 3)); }
static int w_write_dup2(void) { ON_F(O_WRONLY, write(dup2(f, 99), "dup2", 4)); }
static int w_write_dup3(void) { ON_F(O_WRONLY, write(dup3(f, 98, O_CLOEXEC), "dup3", 4)); }
static int w_write_dupfd(void) { ON_F(O_WRONLY, write(fcntl(f, F_DUPFD, 50), "dupfd", 5)); }
static int w_write_unlinked(void) { ON_F(O_WRONLY, (link("f", "kept"), unlink("f"), write(f, "unlinked", 8))); }
static int w_write_renamed(void) { ON_F(O_WRONLY, (rename("f", "d/moved"), write(f, "renamed", 7))); }
static int w_posix_fallocate(void) { ON_F(O_WRONLY, (errno = posix_fallocate(f, 4000, 9000)) ? -1 : 0); }

/* ---- stdio */
#define ON(stream) FILE *s = stream; PTR(s)
static int w_fopen_w(void) { ON(fopen("f", "w")); fputs("fopen", s); TRY(fclose(s)); return 0; }
static int w_fopen_a(void) { ON(fopen("f", "a")); fputc('a', s); TRY(fclose(s)); return 0; }
static int w_fopen_rplus(void) { ON(fopen("f", "r+")); fgetc(s); fseek(s, 0, SEEK_CUR); putw(12, s); TRY(fclose(s)); return 0; }
static int w_fopen_wx(void) { ON(fopen("new", "wxe")); TRY(fclose(s)); return 0; }
static int w_fdopen(void) { ON(fdopen(fd_rw(), "w")); fwrite_unlocked("fdopen", 1, 6, s); TRY(fflush_unlocked(s)); return 0; }
static int w_freopen(void) { ON(fopen("g", "r")); PTR(freopen("new", "w", s)); fprintf(s, "%s", "freopen"); TRY(fflush(s)); return 0; }
static int w_freopen_mode(void) { ON(fopen("f", "r")); PTR(freopen(NULL, "r+", s)); fputs("mode", s); TRY(fclose(s)); return 0; }
static int w_setvbuf_none(void) { ON(fopen("f", "r+")); setvbuf(s, NULL, _IONBF, 0); fwrite("none", 1, 4, s); return 0; }
static int w_wide(void) { ON(fopen("f", "w,ccs=UTF-8")); fputws(L"wide", s); TRY(fclose(s)); return 0; }
static ssize_t cook(void *c, const char *b, size_t n) { return write((long)c, b, n); }
static int w_fopencookie(void) { cookie_io_functions_t io = { .write = cook }; ON(fopencookie((void *)(long)fd_rw(), "w", io)); fputs("cookie", s); TRY(fclose(s)); return 0; }
static int w_flushed_at_exit(void) { ON(fopen("f", "r+")); fputs("at exit", s); exit(0); }
static int w_flushlbf(void) { ON(fopen("f", "r+")); setvbuf(s, NULL, _IOLBF, 0); fputs("line", s); _flushlbf(); return 0; }
static int w_fcloseall(void) { ON(fopen("f", "r+")); fputs("closeall", s); TRY(fcloseall()); return 0; }
static int w_perror(void) { PTR(freopen("f", "a", stderr)); errno = ENOENT; perror("perror"); return 0; }
static int w_stdout_reopened(void) { int keep = dup(1); PTR(freopen("f", "w", stdout)); puts("stdout"); fflush(stdout); dup2(keep, 1); return 0; }
static int w_mkstemp(void) { char n[] = "tXXXXXX"; int f = mkstemp(n); TRY(f); TRY(write(f, n, 1)); TRY(rename(n, "new")); return 0; }
static int w_mkostemps(void) { char n[] = "tXXXXXX.c"; TRY(mkostemps(n, 2, O_APPEND)); TRY(rename(n, "new")); return 0; }
static int w_mkdtemp(void) { char n[] = "tXXXXXX"; PTR(mkdtemp(n)); TRY(rename(n, "new")); return 0; }
static int w_tempnam(void) { unsetenv("TMPDIR"); char *n = tempnam(directory, "t"); PTR(n); FILE *s = fopen(n, "w"); PTR(s); fclose(s); TRY(rename(n, "new")); return 0; }
static int w_tmpnam_symlink(void) { char n[L_tmpnam]; PTR(tmpnam(n)); TRY(symlink(in("f"), n)); int f = open(n, O_WRONLY | O_TRUNC), e = errno; unlink(n); errno = e; TRY(f); return 0; }
static int w_updwtmpx(void) { struct utmpx u = { .ut_type = USER_PROCESS, .ut_user = "u" }; updwtmpx("f", &u); return 0; }
static int w_pututxline(void) { struct utmpx u = { .ut_type = BOOT_TIME }; truncate("f", 0); utmpxname("f"); setutxent(); PTR(pututxline(&u)); endutxent(); return 0; }

/* ---- names */
static int w_remove_file(void) { TRY(remove("f")); return 0; }
static int w_remove_dir(void) { TRY(remove("e")); return 0; }
static int w_unlink(void) { TRY(unlink(in("f"))); return 0; }
static int w_unlinkat(void) { TRY(unlinkat(open("d", O_PATH), "in", 0)); return 0; }
static int w_unlinkat_dir(void) { TRY(unlinkat(AT_FDCWD, "e", AT_REMOVEDIR)); return 0; }
static int w_rmdir(void) { TRY(rmdir("e")); return 0; }
static int gone(const char *p, const struct stat *s, int t, struct FTW *w) { return remove(p); }
static int w_nftw_delete(void) { TRY(nftw("d", gone, 8, FTW_DEPTH | FTW_PHYS)); return 0; }
static int w_mkdir(void) { TRY(mkdir("new", 0750)); return 0; }
static int w_mkdirat(void) { TRY(mkdirat(open("d", O_RDONLY), "new", 01777)); return 0; }
static int w_rename(void) { TRY(rename("f", "new")); return 0; }
static int w_rename_over(void) { TRY(rename(in("f"), in("g"))); return 0; }
static int w_rename_dir(void) { TRY(rename("d", "e")); return 0; }
static int w_renameat(void) { TRY(renameat(open("d", O_PATH), "in", open("e", O_PATH), "new")); return 0; }
static int w_renameat2_noreplace(void) { TRY(renameat2(AT_FDCWD, "f", AT_FDCWD, "new", RENAME_NOREPLACE)); return 0; }
static int w_renameat2_exchange(void) { TRY(renameat2(AT_FDCWD, "f", AT_FDCWD, "d", RENAME_EXCHANGE)); return 0; }
static int w_renameat2_whiteout(void) { TRY(renameat2(AT_FDCWD, "f", AT_FDCWD, "new", RENAME_WHITEOUT)); return 0; }
static int w_link(void) { TRY(link("f", "new")); return 0; }
static int w_linkat_follow(void) { TRY(linkat(AT_FDCWD, "s", AT_FDCWD, "new", AT_SYMLINK_FOLLOW)); return 0; }
static int w_linkat_descriptor(void) { TRY(linkat(open("f", O_PATH), "", AT_FDCWD, "new", AT_EMPTY_PATH)); return 0; }
static int w_symlink(void) { TRY(symlink("f", "new")); return 0; }
static int w_symlinkat(void) { TRY(symlinkat("../f", open("d", O_RDONLY), "new")); return 0; }
static int w_mkfifo(void) { TRY(mkfifo("new", 0600)); return 0; }
static int w_mkfifoat(void) { TRY(mkfifoat(AT_FDCWD, "new", 0600)); return 0; }
static int w_mknod_file(void) { TRY(mknod("new", S_IFREG | 0600, 0)); return 0; }
static int w_mknodat_socket(void) { TRY(mknodat(AT_FDCWD, "new", S_IFSOCK | 0600, 0)); return 0; }
static int w_mknod_device(void) { TRY(mknod("new", S_IFCHR | 0600, makedev(1, 3))); return 0; }
static int w_bind(void) { struct sockaddr_un a = { AF_UNIX, "new" }; TRY(bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, sizeof a)); return 0; }

/* ---- sizes, and data that the kernel moves */
static int w_truncate(void) { TRY(truncate("f", 5)); return 0; }
static int w_truncate_longer(void) { TRY(truncate("s", 9000)); return 0; }
static int w_ftruncate(void) { ON_F(O_RDWR, ftruncate(f, 7)); }
static int allocate(int mode, off_t at, off_t n) { ON_F(O_RDWR, fallocate(f, mode, at, n)); }
static int w_fallocate(void) { return allocate(0, 0, 20000); }
static int w_fallocate_keep(void) { return allocate(FALLOC_FL_KEEP_SIZE, 8192, 20000); }
static int w_fallocate_punch(void) { return allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 5000); }
static int w_fallocate_zero(void) { return allocate(FALLOC_FL_ZERO_RANGE, 100, 9000); }
static int w_fallocate_collapse(void) { return allocate(FALLOC_FL_COLLAPSE_RANGE, 0, 4096); }
static int w_fallocate_insert(void) { return allocate(FALLOC_FL_INSERT_RANGE, 4096, 4096); }
static int w_fallocate_unshare(void) { return allocate(FALLOC_FL_UNSHARE_RANGE, 0, 20000); }
static int w_fallocate_write_zeroes(void) { return allocate(0x80, 100, 3000); }
static int w_copy_file_range(void) { int g = open("g", O_RDONLY); ON_F(O_RDWR, copy_file_range(g, NULL, f, NULL, 7, 0)); }
static int w_sendfile(void) { int g = open("g", O_RDONLY); ON_F(O_RDWR, sendfile(f, g, NULL, 7)); }
static int piped(int how)
{
    int p[2], q[2]; struct iovec v = { "vmspliced", 9 }; pipe(p); pipe(q);
    if (how == 1) { TRY(vmsplice(p[1], &v, 1, 0)); } else TRY(write(p[1], "piped", 5));
    if (how == 2) { TRY(tee(p[0], q[1], 5, 0)); p[0] = q[0]; }
    ON_F(O_RDWR, splice(p[0], NULL, f, NULL, 9, SPLICE_F_NONBLOCK));
}
static int w_splice(void) { return piped(0); }
static int w_vmsplice(void) { return piped(1); }
static int w_tee(void) { return piped(2); }
static int w_ficlone(void) { int g = open("big", O_RDONLY); ON_F(O_RDWR, ioctl(f, FICLONE, g)); }
static int w_ficlonerange(void) { struct file_clone_range r = { open("big", O_RDONLY), 0, 4096, 4096 }; ON_F(O_RDWR, ioctl(f, FICLONERANGE, &r)); }

/* ---- attributes */
static int w_chmod(void) { TRY(chmod("f", 0604)); return 0; }
static int w_chmod_through_link(void) { TRY(chmod("s", 04711)); return 0; }
static int w_fchmod(void) { ON_F(O_RDONLY, fchmod(f, 0606)); }
static int w_fchmodat(void) { TRY(fchmodat(open("d", O_PATH), "in", 0601, 0)); return 0; }
static int w_fchmodat_nofollow(void) { TRY(fchmodat(AT_FDCWD, "f", 0603, AT_SYMLINK_NOFOLLOW)); return 0; }
static int w_lchmod(void) { TRY(lchmod("f", 0602)); return 0; }
static int w_chmod_by_path_descriptor(void) { char p[64]; sprintf(p, "/proc/self/fd/%d", open("f", O_PATH)); TRY(chmod(p, 0605)); return 0; }
static int w_chmod_dir(void) { TRY(chmod(".", 0701)); return 0; }
static int w_chown(void) { TRY(chown("f", 1, 2)); return 0; }
static int w_lchown(void) { TRY(lchown("s", 3, 4)); return 0; }
static int w_fchown(void) { ON_F(O_RDONLY, fchown(f, 5, -1)); }
static int w_fchownat(void) { TRY(fchownat(AT_FDCWD, "d", 7, 8, AT_SYMLINK_NOFOLLOW)); return 0; }
static int w_fchownat_descriptor(void) { TRY(fchownat(open("f", O_PATH), "", 9, 9, AT_EMPTY_PATH)); return 0; }
static int w_utime(void) { TRY(utime("f", &whens)); return 0; }
static int w_utimes(void) { TRY(utimes("f", whenu)); return 0; }
static int w_futimes(void) { ON_F(O_RDONLY, futimes(f, whenu)); }
static int w_lutimes(void) { TRY(lutimes("s", whenu)); return 0; }
static int w_futimesat(void) { TRY(futimesat(open("d", O_RDONLY), "in", whenu)); return 0; }
static int w_utimensat(void) { TRY(utimensat(AT_FDCWD, "f", when, 0)); return 0; }
static int w_utimensat_nofollow(void) { TRY(utimensat(AT_FDCWD, "s", when, AT_SYMLINK_NOFOLLOW)); return 0; }
static int w_utimensat_now(void) { TRY(utimensat(AT_FDCWD, "f", NULL, 0)); return 0; }
static int w_futimens(void) { ON_F(O_WRONLY, futimens(f, when)); }
static int w_setxattr(void) { TRY(setxattr("f", "user.new", "v", 1, 0)); return 0; }
static int w_lsetxattr(void) { TRY(lsetxattr("f", "user.new", "v", 1, XATTR_CREATE)); return 0; }
static int w_fsetxattr(void) { ON_F(O_RDONLY, fsetxattr(f, "user.kept", "changed", 7, XATTR_REPLACE)); }
static int w_removexattr(void) { TRY(removexattr("f", "user.kept")); return 0; }
static int w_lremovexattr(void) { TRY(lremovexattr("f", "user.kept")); return 0; }
static int w_fremovexattr(void) { ON_F(O_RDONLY, fremovexattr(f, "user.kept")); }

/* ---- POSIX aio, and what starts programs */
static int finished(struct aiocb *c) { const struct aiocb *l[1] = { c }; while (aio_error(c) == EINPROGRESS) aio_suspend(l, 1, NULL); return aio_error(c) ? aio_error(c) : aio_return(c) < 0; }
static int w_aio_write(void) { struct aiocb c = { .aio_fildes = fd_rw(), .aio_buf = "aio", .aio_nbytes = 3, .aio_offset = 9 }; TRY(aio_write(&c)); return finished(&c); }
static int w_lio_listio(void)
{
    int f = fd_rw(); struct aiocb a = { .aio_fildes = f, .aio_buf = "lio1", .aio_nbytes = 4, .aio_offset = 9, .aio_lio_opcode = LIO_WRITE }, b = a;
    b.aio_buf = "lio2"; b.aio_offset = 99; struct aiocb *l[2] = { &a, &b }; TRY(lio_listio(LIO_WAIT, l, 2, NULL)); return 0;
}
extern char **environ;
static int spawned(posix_spawn_file_actions_t *a, char **argv) { pid_t p; ERR(posix_spawnp(&p, argv[0], a, NULL, argv, environ)); return ended(p); }
static int w_spawn_addopen(void)
{
    posix_spawn_file_actions_t a; posix_spawn_file_actions_init(&a); posix_spawn_file_actions_addopen(&a, 1, "new", O_CREAT | O_WRONLY | O_TRUNC, 0600);
    char *argv[] = { "echo", "spawned", NULL }; return spawned(&a, argv);
}
static int w_spawn_addopen_trunc(void)
{
    posix_spawn_file_actions_t a; posix_spawn_file_actions_init(&a); posix_spawn_file_actions_addopen(&a, 9, "f", O_WRONLY | O_TRUNC, 0);
    posix_spawn_file_actions_addclose(&a, 9); char *argv[] = { "true", NULL }; return spawned(&a, argv);
}
static int w_spawn_adddup2(void)
{
    posix_spawn_file_actions_t a; posix_spawn_file_actions_init(&a); posix_spawn_file_actions_adddup2(&a, open("f", O_WRONLY | O_CLOEXEC), 1);
    char *argv[] = { "echo", "dup2", NULL }; return spawned(&a, argv);
}
static int w_spawn_addchdir(void)
{
    posix_spawn_file_actions_t a; posix_spawn_file_actions_init(&a); posix_spawn_file_actions_addchdir_np(&a, "d");
    char *argv[] = { "touch", "-d", "@1000000", "new", NULL }; return spawned(&a, argv);
}
static int w_popen(void) { ON(popen("cat > new", "w")); fputs("popen", s); return pclose(s); }
static int w_system(void) { return system("echo system >> f; mkdir new; rmdir e; ln -s f t"); }
static int w_wordexp(void) { wordexp_t w; return wordexp("$(echo wordexp > new; echo word)", &w, 0); }

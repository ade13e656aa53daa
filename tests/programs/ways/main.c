/* The table, and the modes. */
#define W(family, name) { #name, family, w_##name },
#define R(family, name, needs) { #name, family, w_##name, NULL, needs },
#define O(family, name, before, inner) { #name, family, w_##inner, o_##before },
#define LIBC_(c) { "syscall_" #c, "syscall() by number", libc_##c },
#define LIBC_R(c) { "syscall_" #c, "syscall() by number", libc_##c, NULL, "root" },
#define OWN_(c) { "own_" #c, "the program's own instruction", own_##c },
#define OWN_R(c) { "own_" #c, "the program's own instruction", own_##c, NULL, "root" },
#define LIBRARY_(c) { "library_" #c, "an instruction of a library loaded late", library_##c, NULL, "library" },
#define SECOND_(c) { "second_" #c, "a second C library (dlmopen)", second_##c },
#define MEMORY_(c) { "memory_" #c, "an instruction in anonymous memory", memory_##c },
#define I80_(c) { "int80_" #c, "int 0x80", i80_##c, NULL, "int80" },
#define OPEN "open"
#define WRITE "write"
#define STDIO "stdio"
#define NAMES "names"
#define DATA "sizes and copies"
#define ATTRIBUTES "attributes"
#define STARTS "aio, and starting programs"
#define PROCESSES "processes"
#define THREADS "threads and handlers"
#define DESCRIPTORS "descriptors from elsewhere"
#define MEMORY "memory"
#define ACCOUNT "the program's own instruction"
#define IOCTL "ioctl"
#define RINGS "rings"
#define PROGRAMS "children that are other programs"
#define MOUNTS "mounts and copies of them"
#define KERNEL "what the kernel writes"
#define BESIDE "another name of the file, outside the tree"
static const struct way ways[] = {
    W(OPEN, open_creat) W(OPEN, open_excl) W(OPEN, open_trunc) W(OPEN, open_rdonly_trunc) W(OPEN, open_through_link) W(OPEN, open_dangling) W(OPEN, creat) W(OPEN, openat) W(OPEN, openat_path)
    W(OPEN, open_tmpfile) W(OPEN, open_tmpfile_empty_path) W(OPEN, reopen_self) W(OPEN, reopen_thread_self) W(OPEN, reopen_pid) W(OPEN, reopen_dev_fd) W(OPEN, reopen_by_cwd) W(OPEN, reopen_by_root)
    R(OPEN, open_by_handle_at, "root")
    W(WRITE, write) W(WRITE, write_append) W(WRITE, write_past_end) W(WRITE, write_sync) W(WRITE, write_setfl_append) W(WRITE, write_direct) W(WRITE, pwrite) W(WRITE, writev) W(WRITE, pwritev)
    W(WRITE, pwritev2_append) W(WRITE, pwritev2_dsync) W(WRITE, dprintf) W(WRITE, write_dup) W(WRITE, write_dup2) W(WRITE, write_dup3) W(WRITE, write_dupfd) W(WRITE, write_unlinked) W(WRITE, write_renamed)
    W(STDIO, fopen_w) W(STDIO, fopen_a) W(STDIO, fopen_rplus) W(STDIO, fopen_wx) W(STDIO, fdopen) W(STDIO, freopen) W(STDIO, freopen_mode) W(STDIO, setvbuf_none) W(STDIO, wide) W(STDIO, fopencookie)
    W(STDIO, flushed_at_exit) W(STDIO, flushlbf) W(STDIO, fcloseall) W(STDIO, perror) W(STDIO, stdout_reopened) W(STDIO, mkstemp) W(STDIO, mkostemps) W(STDIO, mkdtemp) W(STDIO, tempnam) W(STDIO, tmpnam_symlink)
    W(STDIO, updwtmpx) W(STDIO, pututxline)
    W(NAMES, remove_file) W(NAMES, remove_dir) W(NAMES, unlink) W(NAMES, unlinkat) W(NAMES, unlinkat_dir) W(NAMES, rmdir) W(NAMES, nftw_delete) W(NAMES, mkdir) W(NAMES, mkdirat)
    W(NAMES, rename) W(NAMES, rename_over) W(NAMES, rename_dir) W(NAMES, renameat) W(NAMES, renameat2_noreplace) W(NAMES, renameat2_exchange) R(NAMES, renameat2_whiteout, "root") W(NAMES, link)
    W(NAMES, linkat_follow) R(NAMES, linkat_descriptor, "root") W(NAMES, symlink) W(NAMES, symlinkat) W(NAMES, mkfifo) W(NAMES, mkfifoat) W(NAMES, mknod_file) W(NAMES, mknodat_socket)
    R(NAMES, mknod_device, "root") W(NAMES, bind)
    W(DATA, truncate) W(DATA, truncate_longer) W(DATA, ftruncate) W(DATA, posix_fallocate) W(DATA, fallocate) W(DATA, fallocate_keep) W(DATA, fallocate_punch) W(DATA, fallocate_zero) W(DATA, fallocate_collapse)
    W(DATA, fallocate_insert) W(DATA, fallocate_unshare) W(DATA, fallocate_write_zeroes) W(DATA, copy_file_range) W(DATA, sendfile) W(DATA, splice) W(DATA, vmsplice) W(DATA, tee) W(DATA, ficlone) W(DATA, ficlonerange)
    W(ATTRIBUTES, chmod) W(ATTRIBUTES, chmod_through_link) W(ATTRIBUTES, fchmod) W(ATTRIBUTES, fchmodat) W(ATTRIBUTES, fchmodat_nofollow) W(ATTRIBUTES, lchmod) W(ATTRIBUTES, chmod_by_path_descriptor)
    W(ATTRIBUTES, chmod_dir) R(ATTRIBUTES, chown, "root") R(ATTRIBUTES, lchown, "root") R(ATTRIBUTES, fchown, "root") R(ATTRIBUTES, fchownat, "root") R(ATTRIBUTES, fchownat_descriptor, "root")
    W(ATTRIBUTES, utime) W(ATTRIBUTES, utimes) W(ATTRIBUTES, futimes) W(ATTRIBUTES, lutimes) W(ATTRIBUTES, futimesat) W(ATTRIBUTES, utimensat) W(ATTRIBUTES, utimensat_nofollow) W(ATTRIBUTES, utimensat_now)
    W(ATTRIBUTES, futimens) W(ATTRIBUTES, setxattr) W(ATTRIBUTES, lsetxattr) W(ATTRIBUTES, fsetxattr) W(ATTRIBUTES, removexattr) W(ATTRIBUTES, lremovexattr) W(ATTRIBUTES, fremovexattr)
    W(STARTS, aio_write) W(STARTS, lio_listio) W(STARTS, spawn_addopen) W(STARTS, spawn_addopen_trunc) W(STARTS, spawn_adddup2) W(STARTS, spawn_addchdir) W(STARTS, popen) W(STARTS, system) W(STARTS, wordexp)
    EACH_CALL(LIBC_) ROOTS_CALL(LIBC_R)
    W(PROCESSES, fork) W(PROCESSES, fork_held) W(PROCESSES, double_fork) W(PROCESSES, vfork) W(PROCESSES, vfork_held) W(PROCESSES, clone) W(PROCESSES, clone_vfork) W(PROCESSES, clone_vm) W(PROCESSES, clone_vm_files)
    W(PROCESSES, clone_files) W(PROCESSES, clone_vm_held) W(PROCESSES, clone_files_held) R(PROCESSES, clone_newpid, "root") W(PROCESSES, clone3) W(PROCESSES, fork_by_number) W(PROCESSES, unshare_user)
    R(PROCESSES, unshare_mounts, "root") R(PROCESSES, chroot, "root") R(PROCESSES, chroot_away, "root") W(PROCESSES, fchdir)
    W(THREADS, thread) W(THREADS, thread_own_table) W(THREADS, thread_own_cwd) W(THREADS, leader_gone) W(THREADS, thread_key) W(THREADS, thread_cancelled) W(THREADS, signal_handler) W(THREADS, signal_stack)
    W(THREADS, atexit) W(THREADS, quick_exit) W(THREADS, timer_thread)
    W(DESCRIPTORS, rights) W(DESCRIPTORS, rights_directory) W(DESCRIPTORS, getfd) W(DESCRIPTORS, exec_held)
    O(DESCRIPTORS, inherited_write, file, given_write) O(DESCRIPTORS, inherited_pwrite, file, given_pwrite) O(DESCRIPTORS, inherited_append, append, given_write) O(DESCRIPTORS, inherited_truncate, file, given_truncate)
    O(DESCRIPTORS, inherited_reading_fchmod, reading, given_fchmod) O(DESCRIPTORS, inherited_directory, directory, given_openat) O(DESCRIPTORS, inherited_by_child, file, given_child)
    O(DESCRIPTORS, redirected_truncated, truncated, given_write) O(DESCRIPTORS, redirected_new, created, given_write)
    O(DESCRIPTORS, rights_from_outside, rights, given_rights) O(DESCRIPTORS, rights_from_outside_directory, rights_directory, given_rights_directory) O(DESCRIPTORS, getfd_from_outside, holder, given_getfd)
    O(MEMORY, inherited_mmap, file, given_mmap) O(MEMORY, inherited_mprotect, file, given_mprotect)
    W(MEMORY, mmap_shared) W(MEMORY, mmap_mprotect) W(MEMORY, mmap_validate) W(MEMORY, mmap_pkey) W(MEMORY, mmap_by_number)
    { "own_mmap", ACCOUNT, own_mmap }, { "own_mprotect", ACCOUNT, own_mprotect },
    { "syscall_io_uring", RINGS, libc_io_uring, NULL, "io_uring" }, { "own_io_uring", RINGS, own_io_uring, NULL, "io_uring" }, R(RINGS, liburing, "liburing")
    { "syscall_kernel_aio", RINGS, libc_kernel_aio }, { "own_kernel_aio", RINGS, own_kernel_aio }, R(RINGS, libaio, "libaio") { "inherited_ring", RINGS, w_given_ring, o_ring, "io_uring" },
    { "ring_from_outside", RINGS, w_given_ring_rights, o_ring_rights, "io_uring" },
    W(IOCTL, ioctl_setflags) W(IOCTL, ioctl_fssetxattr) W(IOCTL, ioctl_setversion) W(IOCTL, ioctl_resvsp) W(IOCTL, ioctl_unresvsp) W(IOCTL, ioctl_zero_range) R(IOCTL, ioctl_swap_boot, "root") W(IOCTL, ioctl_verity)
    R(IOCTL, loop_device, "root")
    EACH_CALL(OWN_) ROOTS_CALL(OWN_R)
#define A(name) { #name, ACCOUNT, name },
    A(own_fork) A(own_execve) A(own_dup2) A(own_dup2_over) A(own_close) A(own_chdir) A(own_unshare) A(own_vfork) A(own_thread) A(own_signal_handler) A(own_blocked) A(own_after_fork) A(own_after_clone_vm) A(own_timer_thread)
    SOME_CALL(LIBRARY_) SOME_CALL(SECOND_) SOME_CALL(MEMORY_) SOME_CALL(I80_)
    W(PROGRAMS, program_env) W(PROGRAMS, program_unset) W(PROGRAMS, program_other_preload) W(PROGRAMS, program_linker) W(PROGRAMS, program_sh) R(PROGRAMS, program_python, "/usr/bin/python3") R(PROGRAMS, program_perl, "/usr/bin/perl")
    W(PROGRAMS, program_fexecve) R(PROGRAMS, program_static, "@ways-static") R(PROGRAMS, program_static_held, "@ways-static") R(PROGRAMS, program_no_libc, "@ways-nolibc") R(PROGRAMS, program_go, "@ways-go")
    R(PROGRAMS, program_rustix, "@ways-rustix") R(PROGRAMS, program_32, "@ways-32") R(PROGRAMS, program_setid, "@ways-setid")
    R(MOUNTS, open_tree, "root") R(MOUNTS, open_tree_file, "root") R(MOUNTS, open_tree_clone, "root") R(MOUNTS, open_tree_clone_name, "root") R(MOUNTS, open_tree_clone_file, "root") R(MOUNTS, open_tree_clone_cwd, "root")
    R(MOUNTS, open_tree_outer_copy, "root") R(MOUNTS, bind_mount, "root") R(MOUNTS, bind_mount_name, "root") R(MOUNTS, bind_mount_file, "root") R(MOUNTS, bind_mount_outside, "root") R(MOUNTS, move_mount, "root")
    R(MOUNTS, mount_readonly_off, "root") R(MOUNTS, mount_namespace_of_another, "root") R(KERNEL, overlay, "root") R(KERNEL, overlay_fsconfig, "root") R(KERNEL, loop_configure, "root") W(KERNEL, core)
    W(MEMORY, madvise_remove) W(MEMORY, madvise_remove_late) W(MEMORY, madvise_by_number) W(MEMORY, process_madvise) R(MEMORY, map_files, "root") R(MEMORY, map_files_private, "root") R(MEMORY, map_files_truncate, "root")
    R(MEMORY, map_files_chmod, "root") W(MEMORY, own_memory) W(MEMORY, vm_writev)
    W(MEMORY, mremap_mprotect) W(MEMORY, mmap_none) W(MEMORY, mprotect_child) W(MEMORY, mremap_copy) W(MEMORY, mremap_copy_mprotect)
    W(DESCRIPTORS, recvmmsg) W(DESCRIPTORS, rights_peeked) R(DESCRIPTORS, fanotify, "root") R(DESCRIPTORS, handle_directory, "root") R(DESCRIPTORS, handle_path, "root") W(DESCRIPTORS, reopen_path)
    O(DESCRIPTORS, outsiders_fd, holder, outsiders_fd) O(DESCRIPTORS, outsiders_fd_truncate, holder, outsiders_fd_truncate) O(DESCRIPTORS, outsiders_cwd, holder, outsiders_cwd) O(DESCRIPTORS, outsiders_root, holder, outsiders_root) O(DESCRIPTORS, given_away, receiver, given_away)
    W(NAMES, bind_by_proc) W(DATA, memfd_sendfile)
    W(BESIDE, beside_write) W(BESIDE, beside_truncate) 
    O(BESIDE, beside_held, beside, given_write)
    W(PROGRAMS, ptrace)
    W(STDIO, backtrace_fd) W(STDIO, gmon) W(STDIO, fortify_message) W(STDIO, assert_message) W(STDIO, error_message) W(STDIO, psignal) W(STARTS, spawn_addfchdir)
    W(WRITE, pwritev2_noappend) W(WRITE, pwritev2_dontcache) W(ATTRIBUTES, fchmodat2_empty) W(ATTRIBUTES, file_setattr_empty) W(DESCRIPTORS, rights_chain) W(DESCRIPTORS, rights_sendmmsg)
    W(PROCESSES, landlock) W(PROCESSES, landlock_held)
};
#define COUNT (sizeof ways / sizeof *ways)

static const struct way *way(const char *name)
{
    for (unsigned i = 0; i < COUNT; i++) if (!strcmp(ways[i].name, name)) return ways + i;
    fprintf(stderr, "no way is called %s\n", name); exit(3);
}

static int is_there(const char *needs)
{
    char p[PATH_MAX]; void *h; struct io_uring_params u = { 0 };
    if (!strcmp(needs, "root")) return !geteuid();
    if (!strcmp(needs, "library")) { snprintf(p, sizeof p, "%s/libways.so", getenv("P")); return !access(p, R_OK); }
    if (!strcmp(needs, "io_uring")) { int f = syscall(425, 4, &u); if (f >= 0) close(f); return f >= 0; }
    if (!strcmp(needs, "liburing")) return is_there("io_uring") && (h = dlopen("liburing.so.2", RTLD_NOW));
    if (!strcmp(needs, "libaio")) return (h = dlopen("libaio.so.1", RTLD_NOW)) != NULL;
    if (!strcmp(needs, "int80")) { long r = 20; pid_t c = fork(); if (!c) { __asm__ volatile("int $0x80" : "+a"(r) : : "r8", "r9", "r10", "r11"); _exit(r != getpid()); } return !ended(c); }
    if (*needs == '@') snprintf(p, sizeof p, "%s/%s", getenv("P"), needs + 1); else snprintf(p, sizeof p, "%s", needs);
    return !access(p, X_OK);
}

/* Every prepared object gets the same times, so that legs are compared from the start. */
static void filled(const char *name, int n, int mode)
{
    int f = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600); char *b = malloc(n);
    for (int i = 0; i < n; i++) b[i] = 'a' + i / 97 % 26;
    write(f, b, n); fchmod(f, mode); struct timespec t[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
    fsetxattr(f, "user.kept", "v", 1, 0); futimens(f, t); close(f); free(b);
}
static int prepare(const char *name)
{
    if (mkdir(name, 0755) || chdir(name)) return 1;
    filled("f", 8192, 0644); filled("g", 7, 0644); mkdir("d", 0755); mkdir("e", 0755); filled("d/in", 10, 0644); symlink("f", "s");
    if (strstr(name, "clone") || strstr(name, "loop")) filled("big", 16384, 0600);
    if (strstr(name, "nftw")) { mkdir("d/sub", 0755); filled("d/sub/in", 10, 0644); }
    if (strstr(name, "dangling")) symlink("target", "dangling");
    if (!strncmp(name, "beside", 6) && (!getcwd(directory, sizeof directory) || link("f", beside()))) return 1;
    return chdir("..");
}

static void inner(const char *dir, const char *name)
{
    const struct way *w = way(name);
    snprintf(directory, sizeof directory, "%s/%s", dir, name);
    alarm(20); umask(022);
    int r = chdir(directory) ? errno : w->run();
    exit(r > 255 ? 255 : r); /* exit codes hold an errno: Linux's are below 134 */
}

int main(int argc, char **argv)
{
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n > 0) self[n] = 0;
    if (argc < 2) return 3;
    if (!strcmp(argv[1], "list"))
        for (unsigned i = 0; i < COUNT; i++) printf("%s\t%s\t%s\t%s\n", ways[i].name, ways[i].family, ways[i].outer ? "outer" : "", ways[i].needs ? is_there(ways[i].needs) ? "" : ways[i].needs : "");
    else if (!strcmp(argv[1], "touch")) { int f = open(argv[2], O_CREAT | O_WRONLY, 0640); return f < 0 || write(f, "touched\n", 8) != 8; }
    else if (!strcmp(argv[1], "write")) return write(5, "written\n", 8) != 8;
    else if (!strcmp(argv[1], "prepare")) { umask(022); if (chdir(argv[2])) return 1; for (int i = 3; i < argc; i++) if (prepare(argv[i])) return 1; }
    else if (!strcmp(argv[1], "inner")) inner(argv[2], argv[3]);
    else if (!strcmp(argv[1], "outer")) {
        snprintf(directory, sizeof directory, "%s/%s", argv[2], argv[3]);
        if (chdir(directory)) return 2;
        int r = way(argv[3])->outer(); if (r) return r;
        chdir("/"); char *more[argc + 1]; int k = 0;
        for (int i = 4; i < argc; i++) more[k++] = argv[i];
        more[k] = NULL; execvp(more[0], more); return 127;
    } else if (!strcmp(argv[1], "batch"))
        for (int i = 3; i < argc; i++) {
            pid_t p = fork();
            if (!p) { execl(self, self, "inner", argv[2], argv[i], NULL); _exit(127); }
            printf("%s %d\n", argv[i], ended(p)); fflush(stdout);
        }
    return 0;
}

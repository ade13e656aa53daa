/* Further ways: what libc writes by itself, newer flags, descriptors by detours, a sandbox. */
#include <assert.h>
#include <error.h>
#include <execinfo.h>
#include <sys/gmon.h>

/* ---- what libc writes by itself, to descriptor 2 or a file of its own */
static int to_stderr(void) { int f = open("f", O_WRONLY | O_APPEND); TRY(f); TRY(dup2(f, 2)); return 0; }
static int w_backtrace_fd(void) { void *at[4] = { 0 }; int f = open("f", O_WRONLY | O_APPEND); TRY(f); backtrace_symbols_fd(at, 2, f); return 0; }
static int w_gmon(void) { ERR(!getcwd(directory, sizeof directory)); setenv("GMON_OUT_PREFIX", "profile", 1); monstartup(0x400000, 0x401000); _mcleanup(); char name[64]; snprintf(name, sizeof name, "profile.%d", getpid()); /* What stands behind the head depends on the moment. */ TRY(truncate(name, 20)); TRY(rename(name, "profile")); return 0; }
static int w_fortify_message(void) { ERR(to_stderr()); pid_t p = fork(); if (!p) { struct rlimit none = { 0, 0 }; setrlimit(RLIMIT_CORE, &none); char b[8]; extern char *__strcpy_chk(char *, const char *, size_t); __strcpy_chk(b, "much too long for it", 8); _exit(9); } ended(p); return 0; }
static int w_assert_message(void) { ERR(to_stderr()); pid_t p = fork(); if (!p) { struct rlimit none = { 0, 0 }; setrlimit(RLIMIT_CORE, &none); extern void __assert_fail(const char *, const char *, unsigned, const char *); __assert_fail("x", "file", 1, "here"); } ended(p); return 0; }
static int w_error_message(void) { ERR(to_stderr()); error(0, ENOENT, "message"); return 0; }
static int w_psignal(void) { ERR(to_stderr()); psignal(SIGTERM, "signal"); return 0; }
static int w_spawn_addfchdir(void)
{
    posix_spawn_file_actions_t a; pid_t p; char *v[] = { "sh", "-c", "echo spawned > f", NULL };
    int d = open("d", O_RDONLY | O_DIRECTORY); TRY(d); posix_spawn_file_actions_init(&a); posix_spawn_file_actions_addfchdir_np(&a, d);
    ERR(posix_spawn(&p, "/bin/sh", &a, NULL, v, environ)); ERR(ended(p)); return 0;
}

/* ---- newer flags */
static int flagged(int open_flags, int flags) { int f = open("f", O_WRONLY | open_flags); struct iovec v = { "flagged", 7 }; TRY(f); TRY(syscall(SYS_pwritev2, f, &v, 1, 10L, 0L, flags)); return 0; }
static int w_pwritev2_noappend(void) { return flagged(O_APPEND, 0x20); }
static int w_pwritev2_dontcache(void) { return flagged(0, 0x80); }
static int w_fchmodat2_empty(void) { int f = open("f", O_PATH); TRY(f); TRY(syscall(452, f, "", 0604, AT_EMPTY_PATH)); return 0; }
static int w_file_setattr_empty(void) { struct { uint64_t x; uint32_t a, b, c, d; } at = { 0x40 }; int f = open("f", O_RDONLY); TRY(f); TRY(syscall(469, f, "", &at, sizeof at, AT_EMPTY_PATH)); return 0; }

/* ---- descriptors by detours */
static int w_rights_chain(void)
{
    int s[2], t[2]; socketpair(AF_UNIX, SOCK_STREAM, 0, s); socketpair(AF_UNIX, SOCK_STREAM, 0, t);
    pid_t p = fork(); if (!p) { int f = fd_rw(); _exit(f < 0 || send_fd(s[0], f)); }
    ERR(ended(p)); p = fork(); if (!p) { int f = take_fd(s[1]); _exit(f < 0 || send_fd(t[0], f)); }
    ERR(ended(p)); int f = take_fd(t[1]); TRY(f); TRY(write(f, "chain", 5)); return 0;
}
static int w_rights_sendmmsg(void)
{
    int s[2], f = fd_rw(); TRY(f); socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
    char c[CMSG_SPACE(sizeof(int))] = { 0 }, b = 'b'; struct iovec v = { &b, 1 };
    struct mmsghdr m = { .msg_hdr = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = c, .msg_controllen = sizeof c } };
    struct cmsghdr *h = CMSG_FIRSTHDR(&m.msg_hdr); h->cmsg_level = SOL_SOCKET; h->cmsg_type = SCM_RIGHTS; h->cmsg_len = CMSG_LEN(sizeof(int)); memcpy(CMSG_DATA(h), &f, sizeof f);
    TRY(sendmmsg(s[0], &m, 1, 0)); close(f); f = take_fd(s[1]); TRY(f); TRY(write(f, "many", 4)); return 0;
}

/* ---- a sandbox that leaves the process this directory alone (landlock) */
static int w_landlock(void)
{
    struct { uint64_t fs, net, scoped; } all = { 0x1fff }; struct __attribute__((packed)) { uint64_t allowed; int32_t fd; } here = { 0x1fff, open(".", O_PATH) };
    int r = syscall(444, &all, 8, 0); TRY(r); TRY(syscall(445, r, 1, &here, 0)); TRY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); TRY(syscall(446, r, 0));
    int f = open("f", O_WRONLY); TRY(f); TRY(write(f, "sandbox", 7)); return 0;
}
static int w_landlock_held(void)
{
    struct { uint64_t fs; } all = { 0x1fff }; int f = open("f", O_WRONLY), r; TRY(f);
    r = syscall(444, &all, 8, 0); TRY(r); TRY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); TRY(syscall(446, r, 0));
    TRY(write(f, "sandbox", 7)); TRY(close(f)); return 0;
}

/* ---- mappings that become writable by detours; the descriptor is gone */
static char *mapped(int prot) { int f = fd_rw(); char *m = f < 0 ? MAP_FAILED : mmap(NULL, 4096, prot, MAP_SHARED, f, 0); close(f); return m; }
static int allowed(char *m, const char *text) { TRY(mprotect(m, 4096, PROT_READ | PROT_WRITE)); memcpy(m, text, 6); return 0; }
static int w_mremap_mprotect(void)
{
    char *m = mapped(PROT_READ), *to = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); TRY(m); TRY(to);
    m = mremap(m, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, to); TRY(m); return allowed(m, "MOVED!");
}
static int w_mmap_none(void) { char *m = mapped(PROT_NONE); TRY(m); return allowed(m, "OPENED"); }
static int w_mprotect_child(void) { char *m = mapped(PROT_READ); TRY(m); pid_t p = fork(); if (!p) _exit(allowed(m, "CHILD!")); return ended(p); }
static int w_mremap_copy(void)
{
    char *m = mapped(PROT_READ | PROT_WRITE), *to; TRY(m); to = mremap(m, 0, 4096, MREMAP_MAYMOVE); TRY(to); TRY(munmap(m, 4096));
    memcpy(to, "COPIED", 6); TRY(munmap(to, 4096)); return 0;
}
static int w_mremap_copy_mprotect(void) { char *m = mapped(PROT_READ), *to; TRY(m); to = mremap(m, 0, 4096, MREMAP_MAYMOVE); TRY(to); TRY(munmap(m, 4096)); return allowed(to, "COPIED"); }

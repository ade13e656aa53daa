// Changes after a program has lost what tells where things are. lost STAGE WAY BASE DIR OTHER NAME [LEVELS]:
// "prepare" makes objects in DIR/NAME, "go" loses knowledge in the named way, makes a call of each family and
// prints a line for each; "both" does all of it in one process.
//
// WAY: how the kernel's texts, descriptors or roots stop saying where things are.
// BASE: how names reach the directory: cwd, dirfd, absolute, proc (/proc/self/fd/N/name), symlink (OTHER/way).
// LEVELS: the directory is so many directories of 200 characters further below.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *way, *base, *dir, *other, *sub;
static char out[1 << 16];
static int length, done, D = -1, W = -1, A = -1;

static void say(const char *what, long r) {
  length += snprintf(out + length, sizeof out - length, "%s %s\n", what, r < 0 ? strerrorname_np(errno) : "ok");
}

// The name of an object in the directory, and what it is relative to.
static char texts[4][9000];
static int turn;
static const char *name(const char *leaf) {
  char *t = texts[turn++ & 3];
  if (!strcmp(base, "absolute")) sprintf(t, "%s/%s/%s", dir, sub, leaf);
  else if (!strcmp(base, "proc")) sprintf(t, "/proc/self/fd/%d/%s", D, leaf);
  else if (!strcmp(base, "symlink")) sprintf(t, "%s/way/%s", other, leaf);
  else strcpy(t, leaf);
  return t;
}
static int at(void) { return strcmp(base, "dirfd") ? AT_FDCWD : D; }

static void calls(void) {
  int d = at(), n;
  struct timespec times[2] = {{1000, 5}, {2000, 7}};
  n = openat(d, name("create"), O_CREAT | O_WRONLY, 0644);
  say("open-create", n);
  if (n >= 0) say("write-created", write(n, "new", 3)), close(n);
  n = openat(d, name("write"), O_WRONLY | O_TRUNC);
  say("open-write", n);
  if (n >= 0) say("write-opened", write(n, "changed", 7)), say("fchmod-opened", fchmod(n, 0640)), close(n);
  n = openat(d, name("append"), O_WRONLY | O_APPEND);
  say("open-append", n);
  if (n >= 0) say("append", write(n, "more", 4)), close(n);
  n = openat(d, name("reads"), O_RDONLY);
  say("open-read", n);
  if (n >= 0) say("fchmod-reads", fchmod(n, 0600)), say("futimens-reads", futimens(n, times)), close(n);
  if (W >= 0) say("write-held", write(W, "held", 4)), say("ftruncate-held", ftruncate(W, 2));
  if (A >= 0) say("append-held", write(A, "held", 4));
  say("mkdir", mkdirat(d, name("mkdir"), 0755));
  say("mknod", mknodat(d, name("mknod"), S_IFIFO | 0644, 0));
  say("symlink", symlinkat("to", d, name("symlink")));
  say("link", linkat(d, name("linked"), d, name("link"), 0));
  say("rename", renameat(d, name("rename"), d, name("renamed")));
  say("renamedir", renameat(d, name("renamedir"), d, name("renameddir")));
  say("unlink", unlinkat(d, name("unlink"), 0));
  say("rmdir", unlinkat(d, name("rmdir"), AT_REMOVEDIR));
  say("chmod", fchmodat(d, name("chmod"), 0600, 0));
  say("chown", fchownat(d, name("chown"), -1, getgid(), 0));
  say("utimens", utimensat(d, name("utimens"), times, 0));
  if (strcmp(base, "dirfd")) {
    say("truncate", truncate(name("truncate"), 3));
    say("setxattr", setxattr(name("setxattr"), "user.a", "v", 1, 0));
    say("removexattr", removexattr(name("removexattr"), "user.a"));
  } else {
    say("fchmod-dir", fchmod(D, 0750));
    say("fsetxattr-dir", fsetxattr(D, "user.a", "v", 1, 0));
  }
  // Through a component, and out of a component again.
  n = openat(d, name("sub/create"), O_CREAT | O_WRONLY, 0644);
  say("open-below", n);
  if (n >= 0) say("write-below", write(n, "x", 1)), close(n);
  n = openat(d, name("sub/../dots"), O_CREAT | O_WRONLY, 0644);
  say("open-dots", n);
  if (n >= 0) say("write-dots", write(n, "x", 1)), close(n);
  n = openat(d, name("tolink"), O_WRONLY | O_APPEND);
  say("open-link", n);
  if (n >= 0) say("write-link", write(n, "x", 1)), close(n);
}

// Refuses calls with EPERM.
static void refuse(int nr, int nr2) {
  struct sock_filter f[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog p = {sizeof f / sizeof *f, f};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p)) perror("seccomp"), exit(2);
}

static int filled[70000], n_filled;
static void exhaust(int keep) {
  struct rlimit l;
  getrlimit(RLIMIT_NOFILE, &l);
  if (l.rlim_cur > 64) l.rlim_cur = 64;
  setrlimit(RLIMIT_NOFILE, &l);
  int n;
  while ((n = open("/dev/null", O_RDONLY)) >= 0) filled[n_filled++] = n;
  while (keep-- > 0) close(filled[--n_filled]);
}

static void *later(void *main) {
  if (main) pthread_join(*(pthread_t *)main, 0);
  calls();
  fwrite(out, 1, length, stdout);
  fflush(stdout);
  _exit(0);
}

static pthread_barrier_t both;

// In this thread's table the numbers stay what they were; in the first thread's they become others.
static void *own_table(void *x) {
  if (unshare(CLONE_FILES)) perror("unshare"), exit(2);
  pthread_barrier_wait(&both);
  pthread_barrier_wait(&both);
  calls();
  return 0;
}

static void tables(void) {
  pthread_t t;
  pthread_barrier_init(&both, 0, 2);
  pthread_create(&t, 0, own_table, 0);
  pthread_barrier_wait(&both);
  int n = open(other, O_RDONLY | O_DIRECTORY);
  dup2(n, D);
  if (W >= 0) dup2(n, W);
  if (A >= 0) dup2(n, A);
  close(n);
  pthread_barrier_wait(&both);
  pthread_join(t, 0);
}


static void *own_root(void *x) {
  if (unshare(CLONE_FS) || chroot(!strcmp(way, "thread-root") ? dir : other)) perror("own root"), exit(2);
  if (x) calls();
  return 0;
}

static void make(const char *leaf, const char *text) {
  int n = open(leaf, O_CREAT | O_WRONLY, 0644);
  if (n < 0 || write(n, text, strlen(text)) < 0) perror(leaf), exit(2);
  close(n);
}

static void prepare(void) {
  static const char *files[] = {"write",  "append",  "reads",    "held",     "held2",       "linked", "rename", "unlink",
                                "chmod",  "chown",   "utimens",  "truncate", "setxattr", "removexattr", "real"};
  if (mkdir(sub, 0755) || chdir(sub)) perror(sub), exit(2);
  for (int i = 0; i < sizeof files / sizeof *files; i++) make(files[i], "before");
  if (mkdir("sub", 0755) || mkdir("rmdir", 0755) || mkdir("renamedir", 0755)) perror("mkdir"), exit(2);
  if (symlink("real", "tolink")) perror("tolink"), exit(2);
  if (setxattr("removexattr", "user.a", "v", 1, 0)) perror("setxattr"), exit(2);
}

// Goes to, or makes, a directory so many levels of 200 characters below this one.
static void deep(int levels, int make) {
  char n[201];
  memset(n, 'n', 200), n[200] = 0;
  for (int i = 0; i < levels; i++)
    if ((make && mkdir(n, 0755)) || chdir(n)) perror("deep"), exit(2);
}

static void thread(void *(*f)(void *), void *x) {
  pthread_t t;
  pthread_create(&t, 0, f, x);
  pthread_join(t, 0);
}

static void root(const char *to) {
  if (chroot(to)) perror("chroot"), exit(2);
}

// A child that shares root and cwd, though no memory.
static void childs_root(const char *to) {
  int st;
  pid_t p = syscall(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0);
  if (!p) _exit(chroot(to) != 0);
  if (waitpid(p, &st, 0) != p || st) perror("a child's chroot"), exit(2);
}

static void lose(void) {
  static pthread_t first;
  pthread_t t;
  char below[9000];
  sprintf(below, "%s/%s/sub", dir, sub);
#define IS(w) (!strcmp(way, w))
  if (IS("leader-gone")) {
    first = pthread_self();
    pthread_create(&t, 0, later, &first);
    pthread_exit(0);
  }
  if (IS("own-table")) tables(), done = 1;
  if (IS("thread-root") || IS("thread-root-away")) thread(own_root, out), done = 1;
  // Another thread goes into a root of its own; this one stays.
  if (IS("others-root")) thread(own_root, 0);
  if (IS("chroot-away")) root(other);
  if (IS("chroot-into")) root(dir);
  if (IS("chroot-below")) root(below);
  if (IS("chroot-into-by-child")) childs_root(dir);
  if (IS("chroot-away-by-child")) childs_root(other);
  if (IS("no-getcwd")) refuse(SYS_getcwd, SYS_getcwd);
  if (IS("no-readlink")) refuse(SYS_readlink, SYS_readlinkat);
  if (IS("no-texts")) refuse(SYS_getcwd, SYS_readlinkat);
  if (IS("no-statx")) refuse(SYS_statx, SYS_getcwd);
  if (IS("no-proc") && (unshare(CLONE_NEWNS) || mount(0, "/", 0, MS_REC | MS_PRIVATE, 0) || mount("none", "/proc", "tmpfs", 0, 0))) perror("mount"), exit(2);
  if (IS("exhausted")) exhaust(0);
  if (IS("exhausted-but-1")) exhaust(1);
  if (IS("exhausted-but-2")) exhaust(2);
}

int main(int c, char **v) {
  const char *stage = v[1];
  way = v[2], base = v[3], dir = v[4], other = v[5], sub = v[6];
  int levels = c > 7 ? atoi(v[7]) : 0;
  umask(022);
  if (chdir(dir)) perror(dir), exit(2);
  deep(levels, strcmp(stage, "go"));
  if (!strcmp(stage, "go")) {
    if (chdir(sub)) perror(sub), exit(2);
  } else {
    char link[9000], to[9000];
    prepare();
    sprintf(link, "%s/way", other), sprintf(to, "%s/%s", dir, sub);
    unlink(link);
    if (symlink(to, link)) perror(link), exit(2);
    if (!strcmp(stage, "prepare")) return 0;
    W = open("held", O_RDWR);
    A = open("held2", O_WRONLY | O_APPEND);
  }
  D = open(".", O_RDONLY | O_DIRECTORY);
  if (strcmp(base, "cwd") && strncmp(way, "chroot", 6) && chdir("/")) perror("/"), exit(2);
  lose();
  if (!done) calls();
  fwrite(out, 1, length, stdout);
  fflush(stdout);
  _exit(0);
}

// Changes by paths that lead into a tree in an unusual way. elsewhere STAGE DIR [FIRST]: "prepare" makes the objects
// in DIR, "go" makes a call of each family there and prints a line for each; "wait" makes FIRST, says so, and goes
// on when a line has come; "warm" works beside DIR until the library remembers that it is outside, and changes what
// is mounted there (DIR/f a file, DIR/x a directory) in the ways of which FIRST says one.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *bases[] = {"absolute", "cwd", "dirfd"};
static const char *base, *dir;
static int D;

static void say(const char *what, long r) { printf("%s %s %s\n", base, what, r < 0 ? strerrorname_np(errno) : "ok"); }

static const char *name(const char *leaf) {
  static char texts[4][4200];
  static int turn;
  char *t = texts[turn++ & 3];
  if (*base == 'a') sprintf(t, "%s/%s/%s", dir, base, leaf);
  else strcpy(t, leaf);
  return t;
}

static void put(int d, const char *what, const char *leaf, int flags) {
  int n = openat(d, name(leaf), flags, 0644);
  say(what, n);
  if (n < 0) return;
  int r = write(n, "changed", 7);
  if (r < 0) say(what, r);
  close(n);
}

static void calls(void) {
  int d = *base == 'd' ? D : AT_FDCWD, n, m;
  struct timespec times[2] = {{1000, 5}, {2000, 7}};
  put(d, "create", "create", O_CREAT | O_EXCL | O_WRONLY);
  put(d, "create-or-empty", "creat", O_CREAT | O_TRUNC | O_WRONLY);
  put(d, "empty", "empty", O_WRONLY | O_TRUNC);
  put(d, "overwrite", "write", O_RDWR);
  put(d, "append", "append", O_WRONLY | O_APPEND);
  put(d, "append-created", "append2", O_CREAT | O_WRONLY | O_APPEND);
  put(d, "create-below", "sub/create", O_CREAT | O_WRONLY);
  put(d, "create-dots", "sub/../dots", O_CREAT | O_WRONLY);
  put(d, "by-symlink", "tolink", O_WRONLY);
  n = openat(d, name("reads"), O_RDONLY);
  if (n >= 0) say("fchmod", fchmod(n, 0600)), say("futimens", futimens(n, times)), close(n);
  say("mkdir", mkdirat(d, name("mkdir"), 0755));
  say("mkdir-below", mkdirat(d, name("sub/mkdir"), 0755));
  say("rmdir", unlinkat(d, name("rmdir"), AT_REMOVEDIR));
  say("unlink", unlinkat(d, name("unlink"), 0));
  say("unlink-below", unlinkat(d, name("sub/unlink"), 0));
  say("rename", renameat(d, name("rename"), d, name("renamed")));
  say("rename-below", renameat(d, name("rename2"), d, name("sub/renamed")));
  say("rename-directory", renameat(d, name("renamedir"), d, name("renameddir")));
  say("exchange", renameat2(d, name("left"), d, name("right"), RENAME_EXCHANGE));
  say("link", linkat(d, name("linked"), d, name("link"), 0));
  say("symlink", symlinkat("to", d, name("symlink")));
  say("mknod", mknodat(d, name("mknod"), S_IFIFO | 0644, 0));
  say("chmod", fchmodat(d, name("chmod"), 0600, 0));
  say("chown", fchownat(d, name("chown"), 1, 1, 0));
  say("lchown", fchownat(d, name("tolink"), 1, 1, AT_SYMLINK_NOFOLLOW));
  say("utimens", utimensat(d, name("utimens"), times, 0));
  n = openat(d, name("."), O_TMPFILE | O_WRONLY, 0600);
  say("nameless", n);
  if (n >= 0) {
    char self[40];
    sprintf(self, "/proc/self/fd/%d", n);
    write(n, "nameless", 8);
    say("named", linkat(AT_FDCWD, self, d, name("named"), AT_SYMLINK_FOLLOW)), close(n);
  }
  n = openat(d, name("reads"), O_RDONLY), m = openat(d, name("copy"), O_CREAT | O_WRONLY, 0644);
  say("open-copy", m);
  if (n >= 0 && m >= 0) say("copy", copy_file_range(n, 0, m, 0, 6, 0));
  if (m >= 0) say("allocate", posix_fallocate(m, 0, 8192) ? -1 : 0), say("ftruncate", ftruncate(m, 5)), close(m);
  if (n >= 0) close(n);
  if (*base == 'd') {
    say("fchmod-directory", fchmod(D, 0750));
    return;
  }
  say("truncate", truncate(name("truncate"), 3));
  say("setxattr", setxattr(name("setxattr"), "user.a", "v", 1, 0));
  say("removexattr", removexattr(name("removexattr"), "user.a"));
  struct sockaddr_un at = {AF_UNIX};
  // A text that is too long for it is left out.
  if (strlen(name("bind")) < sizeof at.sun_path) {
    strcpy(at.sun_path, name("bind"));
    say("bind", bind(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&at, sizeof at));
  }
}

static void make(const char *leaf) {
  int n = open(leaf, O_CREAT | O_WRONLY, 0644);
  if (n < 0 || write(n, "before", 6) < 0) perror(leaf), exit(2);
  close(n);
}

static void prepare(void) {
  static const char *files[] = {"empty", "write", "append", "reads", "unlink",   "rename",   "rename2",    "left",  "right", "linked",
                                "real",  "chmod", "chown",  "utimens", "truncate", "setxattr", "removexattr", "file"};
  for (int b = 0; b < 3; b++) {
    if (chdir(dir) || mkdir(bases[b], 0755) || chdir(bases[b])) perror(dir), exit(2);
    for (int i = 0; i < sizeof files / sizeof *files; i++) make(files[i]);
    if (mkdir("sub", 0755) || mkdir("rmdir", 0755) || mkdir("renamedir", 0755)) perror("mkdir"), exit(2);
    make("sub/unlink");
    if (symlink("real", "tolink")) perror("tolink"), exit(2);
    if (setxattr("removexattr", "user.a", "v", 1, 0)) perror("setxattr"), exit(2);
  }
}

// What is outside, and remembered as that, lies beside what is not.
static void warm(const char *way) {
  char out[4200], file[4200], mounted[4200];
  sprintf(file, "%s/f", dir), sprintf(mounted, "%s/x", dir);
  struct timespec times[2] = {{1000, 5}, {2000, 7}};
  for (int i = 0; i < 200; i++) {
    sprintf(out, "%s/out%d", dir, i % 4);
    int n = open(out, O_CREAT | O_WRONLY, 0644);
    if (n < 0 || lchown(out, 0, 0)) perror(out), exit(2);
    close(n);
  }
  int n = open(dir, O_RDONLY | O_DIRECTORY);
  base = "warm";
#define IS(w) (!strcmp(way, w))
  if (IS("overwrite")) put(AT_FDCWD, way, file, O_WRONLY);
  if (IS("empty")) put(AT_FDCWD, way, file, O_WRONLY | O_TRUNC | O_CREAT);
  if (IS("relative")) put(n, way, "f", O_WRONLY | O_APPEND);
  if (IS("cwd")) chdir(dir), close(open("out0", O_WRONLY)), put(AT_FDCWD, way, "f", O_WRONLY | O_APPEND);
  if (IS("truncate")) say(way, truncate(file, 2));
  if (IS("chmod")) say(way, chmod(file, 0600));
  if (IS("lchown")) say(way, lchown(file, 1, 1));
  if (IS("lutimens")) say(way, utimensat(n, "f", times, AT_SYMLINK_NOFOLLOW));
  if (IS("lsetxattr")) say(way, lsetxattr(file, "user.b", "v", 1, 0));
  if (IS("unlink")) say(way, unlink(file));
  if (IS("chmod-directory")) say(way, chmod(mounted, 0700));
  if (IS("lchown-directory")) say(way, lchown(mounted, 1, 1));
  if (IS("utimens-directory")) say(way, utimensat(n, "x", times, 0));
  if (IS("rmdir-directory")) say(way, rmdir(mounted));
  if (IS("create-below")) put(n, way, "x/new", O_CREAT | O_WRONLY);
  if (IS("mkdir-below")) say(way, mkdirat(n, "x/newd", 0755));
}

int main(int c, char **v) {
  dir = v[2];
  umask(022);
  setvbuf(stdout, 0, _IOLBF, 0);
  if (!strcmp(v[1], "prepare")) return prepare(), 0;
  if (!strcmp(v[1], "warm")) return warm(v[3]), 0;
  if (!strcmp(v[1], "wait")) {
    make(v[3]);
    puts("ready");
    if (getchar() < 0) return 2;
  }
  for (int b = 0; b < 3; b++) {
    base = bases[b];
    char to[4200];
    sprintf(to, "%s/%s", dir, base);
    if (*base != 'a' && chdir(to)) {
      say("chdir", -1);
      continue;
    }
    if (*base == 'd') D = open(".", O_RDONLY | O_DIRECTORY);
    if (*base != 'c' && chdir("/")) perror("/"), exit(2);
    calls();
  }
  return 0;
}

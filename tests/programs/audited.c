// Changes one thing past any library that was not loaded, says so, and lives until its input ends: audited OP PATH [OTHER]
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int act(const char *op, const char *path, const char *other) {
  if (!strcmp(op, "write")) {
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    return fd < 0 || write(fd, "static", 6) != 6 || close(fd);
  }
  if (!strcmp(op, "unlink")) return unlink(path);
  if (!strcmp(op, "chmod")) return chmod(path, 0600);
  if (!strcmp(op, "rename")) return rename(path, other);
  if (!strcmp(op, "exchange")) return syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, other, 2);
  if (!strcmp(op, "churn")) {
    // As many events as it takes to fill a queue: each pair of calls is two.
    for (long n = 0, max = strtol(other, 0, 10); n < max; n++) {
      int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
      if (fd < 0 || close(fd) || unlink(path)) return 1;
    }
    return 0;
  }
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 3 || act(argv[1], argv[2], argc > 3 ? argv[3] : "")) {
    perror(argc > 2 ? argv[2] : "usage");
    return 1;
  }
  puts("done");
  fflush(stdout);
  char c;
  while (read(0, &c, 1) > 0) {
  }
  return 0;
}

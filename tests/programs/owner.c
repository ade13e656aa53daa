// What a change is whose parent has, or had, the locks of the whole pair: owner HOW WHOLE-A WHOLE-B DIR
//   held   the parent has them, and gives them back afterwards
//   exec   it had them, and runs this program anew
//   ended  a process of the same number had them, and was killed
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int locks[2];

static int take(char **argv) {
  for (int i = 0; i < 2; i++) {
    locks[i] = open(argv[2 + i], O_RDWR | O_CLOEXEC);
    if (locks[i] < 0 || flock(locks[i], LOCK_EX)) return 1;
  }
  return 0;
}

static int ended(pid_t child) {
  int status;
  return waitpid(child, &status, 0) != child || status;
}

// By a child: one file is made anew, the mode of another one is set to what it is.
static int change(const char *dir) {
  pid_t child = fork();
  if (child) return child < 0 || ended(child);
  if (chdir(dir)) _exit(1);
  int fd = open("new", O_WRONLY | O_CREAT, 0644);
  _exit(fd < 0 || fchmod(open("same", O_RDONLY), 0644));
}

int main(int argc, char **argv) {
  if (argc == 2) return change(argv[1]);
  if (argc != 5) return 9;
  if (!strcmp(argv[1], "held")) {
    if (take(argv) || change(argv[4])) return 1;
    return flock(locks[1], LOCK_UN) || flock(locks[0], LOCK_UN);
  }
  if (!strcmp(argv[1], "exec")) {
    if (take(argv)) return 2;
    execl("/proc/self/exe", argv[0], argv[4], (char *)0);
    return 3;
  }
  int pipes[2];
  char c;
  if (pipe(pipes)) return 4;
  pid_t pid = fork();
  if (!pid) {
    if (take(argv) || write(pipes[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  if (read(pipes[0], &c, 1) != 1 || kill(pid, SIGKILL) || waitpid(pid, 0, 0) != pid) return 5;
  // struct clone_args as of Linux 5.5: set_tid is the ninth of ten.
  uint64_t args[10] = {0};
  args[4] = SIGCHLD;
  args[8] = (uint64_t)&pid;
  args[9] = 1;
  long again = syscall(SYS_clone3, args, sizeof args);
  if (again < 0) return 77;
  if (!again) _exit(change(argv[4]));
  return ended((pid_t)again);
}

// Starts a program in one of many ways and waits for it: starts HOW PROGRAM [ARGUMENT...]
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int start(const char *how, char **argv) {
    char text[64];
    int n;
    if (!strcmp(how, "execve"))
        return execve(argv[0], argv, environ);
    if (!strcmp(how, "execveat")) {
        n = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return syscall(SYS_execveat, n, argv[0] + 1, argv, environ, 0);
    }
    n = open(argv[0], O_RDONLY | O_CLOEXEC);
    if (!strcmp(how, "fexecve"))
        return syscall(SYS_execveat, n, "", argv, environ, AT_EMPTY_PATH);
    if (!strcmp(how, "descriptor")) {
        snprintf(text, sizeof text, "/proc/self/fd/%d", n);
        return execve(text, argv, environ);
    }
    if (!strcmp(how, "memfd")) {
        struct stat st;
        int m = memfd_create("inmemory", MFD_CLOEXEC);
        fstat(n, &st);
        if (sendfile(m, n, 0, st.st_size) != st.st_size)
            return -1;
        return syscall(SYS_execveat, m, "", argv, environ, AT_EMPTY_PATH);
    }
    errno = EINVAL;
    return -1;
}

int main(int argc, char **argv) {
    int status = 0;
    pid_t pid;
    if (argc < 3)
        return 2;
    if (!strcmp(argv[1], "self")) {
        // Once more, by the link to itself: it can be mirrored.
        char *again[] = {argv[0], "execve", argv[2], 0};
        execve("/proc/self/exe", again, environ);
        return 99;
    }
    if (!strcmp(argv[1], "posix_spawn")) {
        int e = posix_spawn(&pid, argv[2], 0, 0, argv + 2, environ);
        if (e) {
            printf("%s\n", strerror(e));
            return 126;
        }
    } else {
        pid = strcmp(argv[1], "vfork") ? fork() : vfork();
        if (pid == 0) {
            start(strcmp(argv[1], "vfork") ? argv[1] : "execve", argv + 2);
            _exit(errno == EACCES ? 126 : 99);
        }
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}

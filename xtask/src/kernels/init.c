// The first process of a guest: modules, the machine's own files read-only, a disk for scratch, then the script.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void on(const char *what, const char *type, const char *at, unsigned long flags) {
    if (mount(what, at, type, flags, 0)) printf("@init %s on %s: %s\n", type, at, strerror(errno));
}

static void modules(void) {
    struct dirent **all;
    int n = scandir("/modules", &all, 0, alphasort);
    for (int i = 0; i < n; i++) {
        char path[512];
        if (all[i]->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/modules/%s", all[i]->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)
            printf("@init %s: %s\n", path, strerror(errno));
        close(fd);
    }
}

int main(void) {
    mkdir("/dev", 0755);
    on("dev", "devtmpfs", "/dev", 0);
    int console = open("/dev/console", O_RDWR);
    for (int i = 0; i < 3; i++) dup2(console, i);
    setvbuf(stdout, 0, _IONBF, 0);
    modules();
    // It is read before the root changes.
    int script = open("/script", O_RDONLY);
    if (script >= 0) dup2(script, 9);
    mkdir("/root", 0755);
    on("root", "virtiofs", "/root", MS_RDONLY);
    if (!chdir("/root") && !chroot(".")) {
        on("dev", "devtmpfs", "/dev", 0);
        mkdir("/dev/shm", 01777);
        on("proc", "proc", "/proc", 0);
        on("sys", "sysfs", "/sys", 0);
        on("/dev/vda", "ext4", "/tmp", 0);
        on("run", "tmpfs", "/run", 0);
        pid_t script_runs = fork();
        if (!script_runs) {
            setsid();
            execl("/bin/sh", "sh", "/proc/self/fd/9", (char *)0);
            _exit(127);
        }
        int status = 0;
        // Whoever lost its parent is waited for too.
        while (wait(&status) != script_runs) {
        }
        if (WIFSIGNALED(status)) printf("@init the script was killed by signal %d\n", WTERMSIG(status));
        printf("@end %d\n", WEXITSTATUS(status));
        sync();
    }
    reboot(RB_POWER_OFF);
    return 0;
}

// sharer FILE N: writes N times through a descriptor whose position a process with the same memory and the same
// table of descriptors moves all the time.
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int stop, fd = -1;
static char stack[1 << 17];

static int move(void *unused) {
    for (unsigned i = 1; !stop; i = i * 1103515245 + 12345)
        if (fd >= 0) lseek(fd, (i >> 16) % 64 * 512, SEEK_SET);
    _exit(0);
}

int main(int argc, char **argv) {
    char block[512];
    int pid = clone(move, stack + sizeof stack, CLONE_VM | CLONE_FILES | SIGCHLD, 0);
    if (argc < 3 || pid < 0) return 2;
    fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0644);
    int bad = fd < 0;
    for (int i = 0; !bad && i < atoi(argv[2]); i++) {
        memset(block, 'a' + i % 26, sizeof block);
        memcpy(block, &i, sizeof i);
        bad = write(fd, block, sizeof block) != sizeof block;
    }
    stop = 1;
    kill(pid, SIGKILL);
    waitpid(pid, 0, 0);
    return bad;
}

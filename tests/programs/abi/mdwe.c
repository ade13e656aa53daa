// Runs a command under PR_SET_MDWE (no new executable memory), as systemd's MemoryDenyWriteExecute does.
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(int argc, char **argv) {
    (void)argc;
    if (prctl(65, 1, 0, 0, 0)) { perror("PR_SET_MDWE"); return 77; }
    execvp(argv[1], argv + 1);
    return 127;
}

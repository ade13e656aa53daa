/* Writes to a file whose name may change, for tests/torn_names.rs:
 *     renamed DIR append|over
 * Ten lines are written, each acknowledged; then $BEFORE is run by a shell, if it is set; then one
 * write more stands between two calls of getppid (see tracer.c). */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char line[32], block[20000];
    if (argc != 3 || chdir(argv[1])) return 9;
    int append = !strcmp(argv[2], "append");
    int fd = open("f", O_WRONLY | (append ? O_APPEND : 0));
    if (fd < 0) return 8;
    lseek(fd, 0, SEEK_END);
    for (int i = 0; i < 10; i++) {
        int n = sprintf(line, "acknowledged %d\n", i);
        if (write(fd, line, n) != n) return 7;
    }
    const char *before = getenv("BEFORE");
    if (before && *before && system(before)) return 6;
    memset(block, 'w', sizeof block);
    /* Behind what is acknowledged, not over it. */
    if (!append) lseek(fd, 5000, SEEK_END);
    getppid();
    ssize_t n = write(fd, block, sizeof block);
    getppid();
    puts(n == sizeof block ? "written" : "short");
    return 0;
}

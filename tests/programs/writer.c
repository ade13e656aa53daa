/* Writers for tests/crash.rs: `writer MODE DIR` works in DIR and acknowledges number N with a line
 * on fd 1 after the calls of step N have returned. The first line is its pid. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void ack(long n)
{
    char b[24];
    int l = snprintf(b, sizeof b, "%ld\n", n);
    if (write(1, b, l) != l) exit(0);
}

int main(int argc, char **argv)
{
    char a[64], b[64];
    const char *m = argv[1];
    if (chdir(argv[2])) return 1;
    ack(getpid());
    int f = open("records", O_CREAT | O_WRONLY | (strcmp(m, "append") ? 0 : O_APPEND), 0644);
    if (f < 0) return 1;
    for (long n = 0;; n++) {
        snprintf(a, sizeof a, "%015ld\n", n);
        if (!strcmp(m, "append")) { if (write(f, a, 16) != 16) return 1; }
        else if (!strcmp(m, "overwrite")) { if (pwrite(f, a, 16, n % 64 * 16) != 16) return 1; }
        else if (!strcmp(m, "create")) {
            snprintf(b, sizeof b, "n%ld", n);
            int g = open(b, O_CREAT | O_EXCL | O_WRONLY, 0644);
            if (g < 0 || write(g, a, 16) != 16 || close(g)) return 1;
        } else if (!strcmp(m, "replace")) {
            int g = open("new", O_CREAT | O_TRUNC | O_WRONLY, 0644);
            if (g < 0 || write(g, a, 16) != 16 || close(g) || rename("new", "current")) return 1;
        } else {
            snprintf(b, sizeof b, "d%ld", n);
            if (mkdir(b, 0755)) return 1;
            snprintf(a, sizeof a, "d%ld", n - 3);
            if (n > 2 && rmdir(a)) return 1;
        }
        ack(n);
    }
}

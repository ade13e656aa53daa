// Changes a directory past the library, many times: storm DIR SEED N. What it does depends on the seed alone.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned state;

static unsigned next(unsigned n) {
    state = state * 1103515245u + 12345u;
    return (state >> 16) % n;
}

int main(int argc, char **argv) {
    char name[64], other[64];
    if (argc < 4 || (mkdir(argv[1], 0755) && errno != EEXIST) || chdir(argv[1])) return 2;
    state = atoi(argv[2]) * 7919u + 1;
    for (long i = 0, n = strtol(argv[3], 0, 10); i < n; i++) {
        unsigned which = next(60);
        snprintf(name, sizeof name, "d%u/f%u", which % 5, which);
        snprintf(other, sizeof other, "d%u/f%u", next(5), next(60));
        int fd;
        switch (next(10)) {
        case 0:
            unlink(name);
            break;
        case 1:
            rename(name, other);
            break;
        case 2:
            chmod(name, 0600 + next(8) * 8);
            break;
        case 3:
            truncate(name, next(100));
            break;
        case 4:
            symlink(other, name);
            break;
        case 5:
            snprintf(name, sizeof name, "d%u", which % 5);
            mkdir(name, 0755);
            break;
        default:
            fd = open(name, O_WRONLY | O_CREAT | O_NOFOLLOW | (next(2) ? O_APPEND : O_TRUNC), 0644);
            if (fd >= 0 && dprintf(fd, "%ld\n", i) < 0) return 1;
            if (fd >= 0) close(fd);
        }
    }
    return 0;
}

// Moves directories with all that is in them, and makes and removes some, past the library, many times:
// moves DIR OUTSIDE SEED N. What it tries depends on the seed alone.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static unsigned state;

static unsigned next(unsigned n) {
    state = state * 1103515245u + 12345u;
    return (state >> 16) % n;
}

// A name of up to three directories, and a file in the last of them. Returns how many.
static int name(char *out, int file) {
    int deep = 1 + next(3);
    for (int n = deep; n > 0; n--) out += sprintf(out, "d%u/", next(4));
    if (file) sprintf(out, "f%u", next(12));
    else out[-1] = 0;
    return deep;
}

static void fill(const char *dir) {
    char sub[300];
    for (unsigned i = 0, n = 1 + next(6); i < n; i++) {
        snprintf(sub, sizeof sub, "%s/f%u", dir, next(12));
        int fd = open(sub, O_WRONLY | O_CREAT | O_NOFOLLOW, 0644);
        if (fd >= 0 && dprintf(fd, "%*u\n", next(4) ? 1 : 20000, next(1000)) < 0) exit(1);
        if (fd >= 0) close(fd);
    }
    for (unsigned n = next(3); n; n--) {
        snprintf(sub, sizeof sub, "%s/d%u", dir, next(4));
        if (!mkdir(sub, 0755)) fill(sub);
    }
}

static void removed(const char *dir) {
    char sub[300];
    for (unsigned i = 0; i < 12; i++) {
        snprintf(sub, sizeof sub, "%s/f%u", dir, i);
        unlink(sub);
    }
    for (unsigned i = 0; i < 4; i++) {
        snprintf(sub, sizeof sub, "%s/d%u", dir, i);
        if (rmdir(sub) && (errno == ENOTEMPTY || errno == EEXIST) && strlen(sub) < 100) removed(sub);
    }
    rmdir(dir);
}

int main(int argc, char **argv) {
    char one[200], other[200], out[300];
    unsigned own = 0;
    if (argc < 5 || chdir(argv[1])) return 2;
    state = atoi(argv[3]) * 7919u + 1;
    for (long i = 0, n = strtol(argv[4], 0, 10); i < n; i++) {
        unsigned what = next(24);
        // What is moved further down for ever has a path that is too long in the end.
        if (name(one, what < 8) < name(other, what < 8) && next(8)) continue;
        snprintf(out, sizeof out, "%s/%s-%u", argv[2], argv[3], own);
        if (what < 4) {
            int fd = open(one, O_WRONLY | O_CREAT | O_NOFOLLOW | (next(2) ? O_APPEND : O_TRUNC), 0644);
            if (fd >= 0 && dprintf(fd, "%ld\n", i) < 0) return 1;
            if (fd >= 0) close(fd);
        } else if (what < 6) rename(one, other);
        else if (what < 7) unlink(one);
        else if (what < 8) chmod(one, 0600 + next(8) * 8);
        else if (what < 11) mkdir(one, 0755);
        else if (what < 13) {
            if (!mkdir(one, 0755)) fill(one);
        } else if (what < 18) rename(one, other);
        else if (what < 19) syscall(SYS_renameat2, AT_FDCWD, one, AT_FDCWD, other, 2);
        else if (what < 20) {
            if (!rename(one, out)) own++;
        } else if (what < 21) {
            // From outside, with content of which nothing is told.
            if (!mkdir(out, 0755)) fill(out), own++;
            snprintf(out, sizeof out, "%s/%s-%u", argv[2], argv[3], own - 1);
            if (own && !rename(out, one)) own--;
        } else if (what < 22) removed(one);
        else rmdir(one);
        // The audit is to be in the middle of it.
        struct timespec t = {0, next(3) * 1000000};
        if (!next(2)) nanosleep(&t, 0);
    }
    return 0;
}

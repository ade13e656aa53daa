/* Calls at sizes between what two file systems hold: huge LEG LEG, in the cwd. A line a call; after each the file is
 * looked at on both legs, cut, and used again. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *legs[2];
static int count, bad;

/* The legs' files alike: size, times, and what is at their beginning, at a place and at their end. */
static void alike(const char *what, off_t at)
{
    struct stat st[2];
    char text[2][3][64], path[4200];
    memset(text, 0, sizeof text);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/f", legs[i]);
        int n = open(path, O_RDONLY);
        if (n < 0 || fstat(n, &st[i])) { printf("%s: no %s\n", what, path); bad++; return; }
        off_t end = st[i].st_size - 64;
        if (pread(n, text[i][0], 64, 0) < 0 || pread(n, text[i][1], 64, at) < 0 || (end > 0 && pread(n, text[i][2], 64, end) < 0)) printf("%s: read %d\n", what, errno);
        close(n);
    }
    if (st[0].st_size != st[1].st_size || memcmp(text[0], text[1], sizeof text[0])) {
        printf("%s differs: %lld %lld\n", what, (long long)st[0].st_size, (long long)st[1].st_size);
        bad++;
    }
}

int main(int argc, char **argv)
{
    static const off_t places[] = {(1L << 44) - 8192, (1L << 44) - 4096, (1L << 44) - 10, 1L << 44, 1L << 46, 1L << 62, 0x7ffffffffffff000 - 65536};
    if (argc < 3) return 2;
    legs[0] = argv[1]; legs[1] = argv[2];
    char text[20000];
    for (unsigned i = 0; i < sizeof text; i++) text[i] = 'a' + i % 23;
    struct iovec v[2] = {{text, 5000}, {text + 5000, 3000}};
    for (unsigned p = 0; p < sizeof places / sizeof *places; p++)
        for (int k = 0; k < 20; k++) {
            off_t at = places[p], from = 0, to = at;
            long r = -9;
            char what[64];
            int n = open("f", O_CREAT | O_TRUNC | O_RDWR, 0644);
            if (write(n, text, sizeof text) != sizeof text) return 1;
            snprintf(what, sizeof what, "%d at %llx", k, (long long)at);
            switch (k) {
            case 0: r = ftruncate(n, at); break;
            case 1: r = truncate("f", at); break;
            case 2: r = pwrite(n, text, 8000, at); break;
            case 3: lseek(n, at, SEEK_SET); r = write(n, text, 8000); break;
            case 4: r = pwritev(n, v, 2, at); break;
            case 5: r = fallocate(n, FALLOC_FL_INSERT_RANGE, 4096, at); break;
            case 6: r = fallocate(n, FALLOC_FL_INSERT_RANGE, 0, at & ~4095L); break;
            case 7: r = fallocate(n, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 4096, at); break;
            case 8: r = fallocate(n, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, at); break;
            case 9: r = fallocate(n, 0, at, 4096); break;
            case 10: r = fallocate(n, FALLOC_FL_KEEP_SIZE, at, 4096); break;
            case 11: r = copy_file_range(n, &from, n, &to, 8000, 0); break;
            case 12: r = fallocate(n, FALLOC_FL_COLLAPSE_RANGE, 4096, 4096); break;
            case 13: r = ftruncate(n, at) ? -1 : fallocate(n, FALLOC_FL_COLLAPSE_RANGE, 4096, 4096); break;
            case 14: r = ftruncate(n, at) ? -1 : fallocate(n, FALLOC_FL_COLLAPSE_RANGE, 4096, (at - 8192) & ~4095L); break;
            case 15: r = ftruncate(n, at) ? -1 : fallocate(n, FALLOC_FL_INSERT_RANGE, 0, 8192); break;
            case 16: r = fallocate(n, FALLOC_FL_ZERO_RANGE, at, 4096); break;
            case 17: lseek(n, at, SEEK_SET); r = writev(n, v, 2); break;
            case 18: r = ftruncate(n, at) ? -1 : (fcntl(n, F_SETFL, O_APPEND), write(n, text, 8000)); break;
            case 19: r = fallocate(n, FALLOC_FL_ZERO_RANGE, 4096, at); break;
            }
            printf("%s %ld %d\n", what, r, r < 0 ? errno : 0);
            count++;
            alike(what, at);
            close(n);
            n = open("f", O_WRONLY | O_TRUNC); close(n);
        }
    printf("calls %d differ %d\n", count, bad);
    return 0;
}

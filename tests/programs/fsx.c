// fsx FILE SEED OPERATIONS [direct]: random operations on one file, compared with what memory says it must
// hold, after each.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST (256 << 10)
static char good[MOST * 2], buf[MOST * 2] __attribute__((aligned(4096)));
static uint64_t state;
static long size, grain = 1;
static int fd, step;
static const char *path;

static uint32_t below(uint32_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}
static long place(long most) { return below(most / grain) * grain; }

static void die(const char *what, long at) {
    printf("step %d: %s at %ld (%s)\n", step, what, at, strerror(errno));
    exit(1);
}
static void check(void) {
    struct stat st;
    if (fstat(fd, &st) || st.st_size != size) die("size", st.st_size);
    long whole = (size + grain - 1) / grain * grain;
    if (pread(fd, buf, whole, 0) != size) die("short read", size);
    for (long i = 0; i < size; i++)
        if (buf[i] != good[i]) die("content", i);
}
static int unsupported(const char *what) {
    if (errno != EOPNOTSUPP && errno != EINVAL) die(what, 0);
    return 1;
}

int main(int n, char **v) {
    if (n < 4) return 9;
    path = v[1];
    state = strtoull(v[2], NULL, 0);
    int count = atoi(v[3]), direct = n > 4;
    if (direct) grain = 4096;
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | (direct ? O_DIRECT : 0), 0644);
    if (fd < 0) die("open", 0);
    for (step = 0; step < count; step++) {
        long at = place(MOST), len = grain + place(MOST / 4), end;
        if (at + len > MOST) len = MOST - at;
        switch (below(12)) {
        case 0: case 1: case 2:
            if (len <= 0) break;
            for (long i = 0; i < len; i++) buf[i] = 'a' + (step + i / 64) % 26;
            if (pwrite(fd, buf, len, at) != len) die("write", at);
            if (at > size) memset(good + size, 0, at - size);
            memcpy(good + at, buf, len);
            if (at + len > size) size = at + len;
            break;
        case 3: case 4: {
            long to = place(MOST);
            if (below(2) ? ftruncate(fd, to) : truncate(path, to)) die("truncate", to);
            if (to > size) memset(good + size, 0, to - size);
            size = to;
            break;
        }
        case 5:
            if (len <= 0) break;
            if (fallocate(fd, 3, at, len)) { unsupported("punch"); break; }
            end = at + len < size ? at + len : size;
            if (end > at) memset(good + at, 0, end - at);
            break;
        case 6: {
            int keep = below(2);
            if (len <= 0) break;
            if (fallocate(fd, 0x10 | keep, at, len)) { unsupported("zero"); break; }
            end = keep && at + len > size ? size : at + len;
            if (at > size && !keep) memset(good + size, 0, at - size);
            if (end > at) memset(good + at, 0, end - at);
            if (end > size) size = end;
            break;
        }
        case 7:
            at &= ~4095, len = (len + 4095) & ~4095;
            if (at + len >= size) break;
            if (fallocate(fd, 8, at, len)) { unsupported("collapse"); break; }
            memmove(good + at, good + at + len, size - at - len);
            size -= len;
            break;
        case 8:
            at &= ~4095, len = (len + 4095) & ~4095;
            if (at >= size || size + len > MOST) break;
            if (fallocate(fd, 0x20, at, len)) { unsupported("insert"); break; }
            memmove(good + at + len, good + at, size - at);
            memset(good + at, 0, len);
            size += len;
            break;
        case 9: {
            loff_t from = place(MOST), to = place(MOST);
            long k = grain + place(MOST / 8);
            if (from + k > size || to + k > MOST || labs(from - to) < k) break;
            ssize_t r = copy_file_range(fd, &from, fd, &to, k, 0);
            if (r < 0) { unsupported("copy"); break; }
            from -= r, to -= r;
            if (to > size) memset(good + size, 0, to - size);
            memcpy(good + to, good + from, r);
            if (to + r > size) size = to + r;
            break;
        }
        case 10:
            if (below(4)) break;
            close(fd);
            fd = open(path, O_RDWR | (direct ? O_DIRECT : 0));
            if (fd < 0) die("open again", 0);
            break;
        default:
            if (size > 0) {
                char *m = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
                if (m == MAP_FAILED) die("map", 0);
                if (memcmp(m, good, size)) die("mapped content", 0);
                munmap(m, size);
            }
        }
        check();
    }
    close(fd);
    return 0;
}

// One change: paired CHANGE PATH NEW. Prints the errno, or 0.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

static int writes(const char *path, int flags) {
	int f = open(path, flags, 0644);
	return f < 0 ? -1 : write(f, "written", 7) == 7 ? close(f) : -1;
}

static int change(const char *what, const char *path, const char *new) {
#define IS(x) (!strcmp(what, x))
	if (IS("open")) return writes(path, O_WRONLY | O_NONBLOCK);
	if (IS("open read-write")) return writes(path, O_RDWR | O_NONBLOCK);
	if (IS("open append")) return writes(path, O_WRONLY | O_APPEND | O_NONBLOCK);
	if (IS("create")) return writes(path, O_WRONLY | O_CREAT | O_NONBLOCK);
	if (IS("create append")) return writes(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK);
	if (IS("create exclusively")) return writes(path, O_WRONLY | O_CREAT | O_EXCL | O_NONBLOCK);
	if (IS("create or empty")) return writes(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK);
	if (IS("empty")) return writes(path, O_WRONLY | O_TRUNC | O_NONBLOCK);
	if (IS("empty, reading")) {
		int f = open(path, O_RDONLY | O_TRUNC | O_NONBLOCK);
		return f < 0 ? -1 : close(f);
	}
	if (IS("inherited")) return write(1, "written", 7) == 7 ? 0 : -1;
	if (IS("map, then store")) {
		char *p = mmap(0, 4096, PROT_READ, MAP_SHARED, 1, 0);
		if (p == MAP_FAILED || mprotect(p, 4096, PROT_READ | PROT_WRITE)) return -1;
		memcpy(p, "stored", 6);
		return 0;
	}
	if (IS("chmod")) return chmod(path, 0604);
	if (IS("chown")) return chown(path, geteuid(), -1);
	if (IS("shrink")) return truncate(path, 1);
	if (IS("grow")) return truncate(path, 100);
	if (IS("utimens")) return utimensat(AT_FDCWD, path, (struct timespec[2]){{1, 0}, {2, 0}}, 0);
	if (IS("setxattr")) return setxattr(path, "user.paired", "v", 1, 0);
	if (IS("fchmod, reading")) {
		int f = open(path, O_RDONLY | O_NONBLOCK);
		return f < 0 ? -1 : fchmod(f, 0604);
	}
	if (IS("rename")) return rename(path, new);
	if (IS("rename over")) return rename(new, path);
	if (IS("exchange")) return syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, new, 2);
	if (IS("link")) return link(path, new);
	if (IS("unlink")) return unlink(path);
	errno = 999;
	return -1;
}

int main(int c, char **v) {
	int r = c == 4 ? change(v[1], v[2], v[3]) : -1;
	fprintf(stderr, "%d\n", r < 0 ? errno : 0);
	return 0;
}

// One change, six times in one process: known CHANGE PATH. Prints the errno, or 0, of each.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static int writes(const char *path, int flags, int times) {
	int f = open(path, flags, 0644);
	if (f < 0) return -1;
	while (times--)
		if (write(f, "written", 7) != 7) {
			int e = errno;
			close(f);
			errno = e;
			return -1;
		}
	return close(f);
}

static int change(const char *what, const char *path) {
#define IS(x) (!strcmp(what, x))
	if (IS("write")) return writes(path, O_WRONLY, 1);
	if (IS("append")) return writes(path, O_WRONLY | O_APPEND, 1);
	if (IS("create")) return writes(path, O_RDWR | O_CREAT, 1);
	if (IS("empty")) return writes(path, O_WRONLY | O_TRUNC, 1);
	if (IS("many writes")) return writes(path, O_RDWR, 20);
	if (IS("chmod")) return chmod(path, 0604);
	if (IS("chown")) return chown(path, geteuid(), -1);
	if (IS("truncate")) return truncate(path, 3);
	if (IS("utimens")) return utimensat(AT_FDCWD, path, (struct timespec[2]){{1, 0}, {2, 0}}, 0);
	if (IS("setxattr")) return setxattr(path, "user.known", "v", 1, 0);
	if (IS("fchmod, reading")) {
		int f = open(path, O_RDONLY), r = fchmod(f, 0604), e = errno;
		close(f);
		errno = e;
		return r;
	}
	errno = 999;
	return -1;
}

int main(int c, char **v) {
	for (int i = 0; c == 3 && i < 6; i++) printf("%d ", change(v[1], v[2]) < 0 ? errno : 0);
	puts("");
	return 0;
}

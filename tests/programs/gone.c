// Calls in, on and by the descriptor of a removed directory, and copies at offsets up to the largest: `gone DIR` prints
// what each answers.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <sys/mman.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <sys/types.h>
#define T(x) do { errno = 0; long r = (long)(x); printf("%s: %s\n", #x, r >= 0 ? "ok" : strerrorname_np(errno)); if (r > 2 && strstr(#x, "open")) close(r); } while (0)
int main(int c, char **v) {
    if (chdir(v[1])) return 1;
    mkdir("gone", 0755); mkdir("gone/sub", 0755); mkdir("two", 0755);
    int out = open("out", O_CREAT | O_RDWR | O_TRUNC, 0644);
    int d = open(".", O_RDONLY | O_DIRECTORY), g = open("gone", O_RDONLY | O_DIRECTORY);
    int f = open("src", O_CREAT | O_RDWR | O_TRUNC, 0644); write(f, "hello", 5);
    loff_t offs[] = {0, 1, 5, 4096, 0x7fffffffL, 0x7ffffffff000L, 0x7fffffffffffff00L, 0x7fffffffffffffffL, -1};
    for (int i = 0; i < 9; i++) for (int in = 0; in < 3; in++) {
        int fd = in == 0 ? d : in == 1 ? f : out;
        loff_t o = offs[i]; errno = 0;
        long r = sendfile(out, fd, &o, 100); printf("sendfile %d %lx: %ld %s %lx\n", in, offs[i], r, strerrorname_np(errno), o);
        o = offs[i]; errno = 0;
        r = copy_file_range(fd, &o, out, NULL, 100, 0); printf("cfr %d %lx: %ld %s\n", in, offs[i], r, strerrorname_np(errno));
        o = offs[i]; errno = 0;
        r = copy_file_range(f, NULL, out, &o, 100, 0); printf("cfr to %lx: %ld %s\n", offs[i], r, strerrorname_np(errno));
        lseek(out, 0, SEEK_SET); lseek(f, 0, SEEK_SET); ftruncate(out, 0);
    }
    chdir("gone/sub");
    rmdir("../sub"); 
    for (int k = 0; k < 2; k++) {
        T(open(".", O_WRONLY)); T(open(".", O_RDWR)); T(open(".", O_CREAT | O_RDONLY, 0644)); T(open(".", O_CREAT | O_WRONLY, 0644)); T(open(".", O_CREAT | O_EXCL | O_WRONLY, 0644));
        T(open(".", O_TRUNC)); T(open(".", O_TMPFILE | O_RDWR, 0600)); T(open(".", O_RDONLY)); T(open(".", O_RDONLY|O_TRUNC|O_DIRECTORY)); T(open("./", O_WRONLY)); T(open("./.", O_WRONLY)); T(open("..", O_WRONLY)); T(open("../sub", O_WRONLY));
        T(open("x", O_CREAT | O_WRONLY, 0644)); T(open("./x", O_CREAT | O_WRONLY, 0644)); T(mkdir("x", 0755)); T(mkdir(".", 0755)); T(rmdir(".")); T(rmdir("./")); T(unlink(".")); T(rename(".", "y")); T(rename("../../src", "./s")); T(rename("./s", "../../src"));
        T(link(".", "y")); T(symlink("a", "s")); T(symlink("a", ".")); T(mknod("x", S_IFREG | 0644, 0)); T(mkfifo(".", 0644)); T(truncate(".", 0)); T(chmod(".", 0700)); T(chown(".", -1, -1)); T(utimensat(AT_FDCWD, ".", NULL, 0)); T(setxattr(".", "user.x", "1", 1, 0)); T(removexattr(".", "user.x")); T(access(".", W_OK)); T(open("", O_WRONLY)); T(chmod("", 0700)); T(open("../", O_WRONLY|O_CREAT, 0644)); T(mkdir("../n", 0755)); T(rmdir("../n")); T(linkat(AT_FDCWD, "../../src", AT_FDCWD, "l", 0)); T(chmod("..", 0755)); T(fchmodat(AT_FDCWD, ".", 0700, 0));
        puts("--");
        if (!k) { chdir("../../two"); chdir(v[1]); rmdir("gone"); fchdir(g); }
    }
    T(openat(g, ".", O_WRONLY)); T(openat(g, "x", O_CREAT|O_WRONLY, 0644)); T(mkdirat(g, "x", 0755)); T(unlinkat(g, ".", AT_REMOVEDIR)); T(unlinkat(g, "x", 0)); T(fchmod(g, 0711)); T(futimens(g, NULL)); T(fchmodat(g, ".", 0700, 0)); T(utimensat(g, ".", NULL, 0)); T(fsetxattr(g, "user.x", "1", 1, 0)); T(openat(g, "..", O_WRONLY)); T(renameat(d, "src", g, "x")); T(linkat(d, "src", g, "x", 0)); T(symlinkat("a", g, "x")); T(openat(g, ".", O_TMPFILE|O_RDWR, 0600));
}

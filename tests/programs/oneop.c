/* One change for the kill sweeps of tests/crash.rs: `oneop OP DIR`, where DIR holds what `make_dir` of
 * crash.rs made. Prints "done" after the call has returned. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *op = argv[1];
    struct timespec t[2] = { { 1, 1 }, { 1234567890, 987654321 } };
    char big[20000];
    int f, r = -1;
    memset(big, 'B', sizeof big);
    if (argc < 3 || chdir(argv[2])) return 1;
#define IS(name) !strcmp(op, name)
    if (IS("append")) { f = open("f", O_WRONLY | O_APPEND); r = write(f, "appended\n", 9) == 9 ? 0 : -1; }
    else if (IS("overwrite")) { f = open("f", O_WRONLY); r = pwrite(f, big, 10, 3) == 10 ? 0 : -1; }
    else if (IS("extend")) { f = open("f", O_WRONLY); r = pwrite(f, big, sizeof big, 100) == sizeof big ? 0 : -1; }
    else if (IS("create")) r = open("new", O_CREAT | O_EXCL | O_WRONLY, 0640) < 0 ? -1 : 0;
    else if (IS("open_truncate")) r = open("f", O_TRUNC | O_WRONLY) < 0 ? -1 : 0;
    else if (IS("truncate")) r = truncate("f", 4);
    else if (IS("fallocate")) { f = open("f", O_WRONLY); r = fallocate(f, 0, 0, 9000); }
    else if (IS("unlink")) r = unlink("f");
    else if (IS("unlink_linked")) r = unlink("hard");
    else if (IS("rename")) r = rename("f", "d/moved");
    else if (IS("rename_over")) r = rename("f", "g");
    else if (IS("rename_directory")) r = rename("d", "e/d2");
    else if (IS("exchange")) r = renameat2(AT_FDCWD, "f", AT_FDCWD, "d", RENAME_EXCHANGE);
    else if (IS("mkdir")) r = mkdir("newdir", 0750);
    else if (IS("rmdir")) r = rmdir("e");
    else if (IS("symlink")) r = symlink("target", "newlink");
    else if (IS("link")) r = link("f", "d/newhard");
    else if (IS("mkfifo")) r = mkfifo("newfifo", 0600);
    else if (IS("chmod")) r = chmod("f", 0604);
    else if (IS("utimens")) r = utimensat(AT_FDCWD, "f", t, 0);
    else if (IS("setxattr")) r = setxattr("f", "user.k", "v", 1, 0);
    if (r) { perror(op); return 1; }
    if (write(1, "done\n", 5) != 5) return 1;
    return 0;
}

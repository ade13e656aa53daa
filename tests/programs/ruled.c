/* openat2 that may change something, with rules of the program's own, through symlinks of every kind: ruled, in the
 * cwd. A line a call: the answer, and the number that was given. What is made where, the trees tell. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct how { unsigned long long flags, mode, resolve; };

static void file(const char *name)
{
    int n = open(name, O_CREAT | O_WRONLY, 0644);
    if (write(n, "was here", 8) != 8) printf("fill %s\n", name);
    close(n);
}

static void one(int dir, const char *said, const char *name, struct how how)
{
    static int count;
    char mark[32];
    int len = snprintf(mark, sizeof mark, "<%d>", ++count);
    long n;
    /* A rename anywhere makes the kernel unsure about "..": EAGAIN. With RESOLVE_CACHED that is an answer. */
    do n = syscall(SYS_openat2, dir, name, &how, sizeof how);
    while (n < 0 && errno == EAGAIN && !(how.resolve & 0x20));
    printf("%llx %llo %s %ld", how.resolve, how.flags, said, n < 0 ? -(long)errno : n);
    if (n >= 0) {
        if (write(n, mark, len) != len) printf(" not written");
        close(n);
    }
    puts("");
}

/* What a fresh directory holds: b is inside the start, everything else beside it. */
static void ground(const char *name)
{
    char cwd[4096], text[4200];
    mkdir(name, 0755); if (chdir(name)) printf("no %s\n", name);
    mkdir("d", 0755); mkdir("d/sub", 0755); mkdir("d/sub/low", 0755); mkdir("e", 0755); mkdir("d/e", 0755);
    file("x"); file("hello"); file("d/in"); file("d/sub/in"); file("d/x");
    symlink("/abs", "d/ab"); symlink("../esc", "d/up"); symlink("/sub/new", "d/as"); symlink("../../../hello", "d/far");
    symlink("../x", "d/xx"); symlink("in", "d/li"); symlink("li", "d/lili"); symlink("sub", "d/ls"); symlink("/sub", "d/las");
    symlink("../d/back", "d/back_in"); symlink("loop", "d/loop"); symlink("nowhere/x", "d/lost"); symlink("../e", "d/le");
    symlink("../../up2", "d/sub/up"); symlink("..", "d/dots"); symlink("new/", "d/slashed"); symlink("/", "d/root");
    snprintf(text, sizeof text, "%s/x", getcwd(cwd, sizeof cwd) ? cwd : ""); symlink(text, "d/whole");
    char chain[2][16] = {"end", ""};
    for (int i = 0; i < 45; i++) {
        snprintf(chain[1], sizeof chain[1], "d/c%d", i);
        symlink(chain[0], chain[1]);
        snprintf(chain[0], sizeof chain[0], "c%d", i);
    }
}

int main(void)
{
    static const char *names[] = {"ab", "up", "as", "far", "xx", "li", "lili", "ls/new", "las/new", "ls/up", "back_in", "loop",
        "lost", "le/new", "dots/x", "slashed", "root", "root/new", "root/x", "whole", "c20", "c38", "c44", "new", "./new2", "../x", "../n3",
        "/n4", "/../../n5", "sub/../../n6", "in", "/in", "sub/", "sub", ".", "..", "/", "new7/", "in/", "in/x", "ls/in", "dots/../n8", ""};
    static const int flags[] = {O_CREAT | O_WRONLY, O_CREAT | O_EXCL | O_RDWR, O_RDWR, O_WRONLY | O_TRUNC, O_WRONLY | O_APPEND | O_NOFOLLOW,
        O_CREAT | O_RDWR | O_NOFOLLOW, O_TMPFILE | O_RDWR};
    static const int rules[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x18, 0x0a, 0x14};
    for (unsigned f = 0; f < sizeof flags / sizeof *flags; f++)
        for (unsigned r = 0; r < sizeof rules / sizeof *rules; r++) {
            char name[32];
            snprintf(name, sizeof name, "g%u_%x", f, rules[r]);
            ground(name);
            int d = open("d", O_PATH | O_DIRECTORY);
            int makes = flags[f] & O_CREAT || (flags[f] & O_TMPFILE) == O_TMPFILE;
            for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
                one(d, names[i], names[i], (struct how){flags[f], makes ? 0640 : 0, rules[r]});
            close(d);
            if (chdir("..")) return 1;
        }
    /* Magic links, and the whole tree as the root. */
    file("m");
    char cwd[4096], text[4200];
    int m = open("m", O_RDWR), root = open("/", O_PATH | O_DIRECTORY);
    for (unsigned r = 0; r < sizeof rules / sizeof *rules; r++) {
        struct how make = {O_CREAT | O_WRONLY, 0640, rules[r]}, there = {O_WRONLY | O_TRUNC, 0, rules[r]};
        snprintf(text, sizeof text, "/proc/self/fd/%d", m);
        one(root, "magic", text, there); one(root, "magic, beneath", text + 1, there);
        one(root, "cwd", "/proc/self/cwd/mc", make); one(root, "cwd, beneath", "proc/self/cwd/mc", make);
        snprintf(text, sizeof text, "%s/mr", getcwd(cwd, sizeof cwd) ? cwd : "");
        if (rules[r] != 0x01) { one(root, "whole", text, make); one(root, "whole, beneath", text + 1, make); }
    }
    return 0;
}

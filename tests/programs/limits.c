/* Calls with documented limits inside V, for tests/scope.rs: `limits NAME` prints the error's name. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void say(const char *what, long r) { printf("%s %s\n", what, r < 0 ? strerrorname_np(errno) : "ok"); }

int main(int argc, char **argv)
{
    const char *m = argv[1];
    char b[5000];
    int p[2], s, d, x;
    memset(b, 'c', sizeof b);
    if (argc < 2 || chdir(getenv("V")) || pipe(p)) return 1;
    s = open("src", O_CREAT | O_RDWR, 0644); d = open("dst", O_CREAT | O_RDWR, 0644);
    if (write(s, b, sizeof b) != sizeof b || write(p[1], b, 100) != 100) return 1;
    lseek(s, 0, SEEK_SET);
    if (!strcmp(m, "copies")) {
        loff_t o = 0;
        say("sendfile", sendfile(d, s, NULL, 1000));
        say("copy_file_range", copy_file_range(s, &o, d, NULL, 2000, 0));
        say("splice", splice(p[0], NULL, d, NULL, 100, 0));
        say("FICLONE", ioctl(d, FICLONE, s));
        struct file_clone_range r = { s, 0, 0, 0 };
        say("FICLONERANGE", ioctl(d, FICLONERANGE, &r));
    } else if (!strcmp(m, "from")) {
        x = open(getenv("OUT"), O_CREAT | O_RDWR, 0644);
        say("sendfile", sendfile(x, s, NULL, 1000) - 1000);
        say("copy_file_range", copy_file_range(s, NULL, x, NULL, 2000, 0) - 2000);
        say("splice", splice(s, NULL, p[1], NULL, 100, 0) - 100);
    } else if (!strcmp(m, "map")) {
        say("shared rw", (long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0) == -1 ? -1 : 0);
        void *r = mmap(NULL, 4096, PROT_READ, MAP_SHARED, s, 0);
        say("shared r", r == MAP_FAILED ? -1 : 0);
        say("mprotect", mprotect(r, 4096, PROT_READ | PROT_WRITE));
        say("private", (long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, s, 0) == -1 ? -1 : 0);
        x = open(getenv("OUT"), O_CREAT | O_RDWR, 0644); ftruncate(x, 4096);
        say("outside", (long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, x, 0) == -1 ? -1 : 0);
    } else if (!strcmp(m, "io_uring")) {
        char params[120] = { 0 };
        say("io_uring_setup", syscall(425, 8, params));
    } else if (!strcmp(m, "nofile")) {
        struct rlimit l = { 8000, 8000 };
        say("setrlimit", setrlimit(RLIMIT_NOFILE, &l));
        int n = 0;
        while (dup(0) >= 0) n++;
        printf("more than 3000: %d\n", n > 3000);
        say("mkdir", mkdir("d", 0755));
    } else if (!strcmp(m, "handles")) {
        struct { struct file_handle h; char c[128]; } h = { .h.handle_bytes = 128 };
        int id; say("name_to_handle_at", name_to_handle_at(AT_FDCWD, "src", &h.h, &id, 0));
        x = open_by_handle_at(AT_FDCWD, &h.h, O_WRONLY); say("open_by_handle_at", x);
        if (x >= 0) say("write", write(x, "handle", 6));
    } else if (!strcmp(m, "raw")) {
        /* A system call of the program's own, not libc's: unseen. */
        long r; const char *n = "rawfile";
        asm volatile("syscall" : "=a"(r) : "a"(SYS_mkdir), "D"(n), "S"(0755) : "rcx", "r11", "memory");
        printf("raw mkdir %ld\n", r);
    } else return 2;
    return 0;
}

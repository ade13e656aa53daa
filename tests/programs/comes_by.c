/* Changes a pair for the first time, between two marks (swept.c says which): what is left half done there is
 * ended on the way.
 *     comes_by FILE */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MARK 0x53570000

int main(int argc, char **argv)
{
    if (argc != 2) return 90;
    kill(getpid(), SIGSTOP);
    errno = 0;
    int fd = open(argv[1], O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    syscall(SYS_membarrier, MARK, fd < 0 ? -1 : 0, errno);
    return 0;
}

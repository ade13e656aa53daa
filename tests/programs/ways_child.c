/* A child of tests/programs/ways/: `touch FILE` makes a file, `write` writes to descriptor 5. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int f = 5;
    if (!strcmp(argv[1], "touch")) f = open(argv[2], O_CREAT | O_WRONLY, 0640);
    return f < 0 || write(f, "touched\n", 8) != 8;
}

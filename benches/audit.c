/* What a call costs: `audit ROUNDS CALLS FILE...` prints the best time of a getppid, then of a pwrite of 4 KiB to
 * each file, in nanoseconds. Run it with an audit and without one in turn (docs/decisions/0043). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static char bytes[4096];

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv)
{
	int rounds = atoi(argv[1]), calls = atoi(argv[2]), files = argc - 3;
	int fd[16];
	double best[17];
	for (int k = 0; k <= files && k < 17; k++)
		best[k] = 1e18;
	for (int k = 0; k < files && k < 16; k++) {
		fd[k] = open(argv[k + 3], O_RDWR | O_CREAT, 0600);
		if (fd[k] < 0 || pwrite(fd[k], bytes, sizeof(bytes), 0) < 0)
			return 1;
	}
	for (int r = 0; r < rounds; r++)
		for (int k = 0; k <= files && k < 17; k++) {
			double t = now();
			for (int i = 0; i < calls; i++)
				if (k == 0)
					syscall(SYS_getppid);
				else if (pwrite(fd[k - 1], bytes, sizeof(bytes), 0) < 0)
					return 2;
			t = (now() - t) / calls;
			if (t < best[k])
				best[k] = t;
		}
	for (int k = 0; k <= files && k < 17; k++)
		printf("%.1f ", best[k]);
	puts("");
	return 0;
}

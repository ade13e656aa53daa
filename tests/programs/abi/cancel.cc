// pthread_cancel of a thread in write(2) runs C++ destructors: blocked on a full pipe, and anywhere in a loop of writes.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static std::atomic<int> dtors, handlers, started;
struct Guard { ~Guard() { dtors++; } };
static void handler(void *) { handlers++; }

static void *blocked(void *p) {
    Guard g;
    pthread_cleanup_push(handler, nullptr);
    static char buf[65536];
    started = 1;
    for (;;) if (write(*(int *)p, buf, sizeof buf) < 0) break;
    pthread_cleanup_pop(0);
    return nullptr;
}
__attribute__((noinline)) static void put(int fd) {
    Guard g;
    if (write(fd, "x", 1) != 1) abort();
}
static void *looping(void *p) {
    Guard g;
    started = 1;
    for (;;) put(*(int *)p);
}
static int run(void *(*f)(void *), int fd, int us) {
    started = 0;
    pthread_t t;
    void *r;
    pthread_create(&t, nullptr, f, &fd);
    while (!started) usleep(10);
    usleep(us);
    pthread_cancel(t);
    pthread_join(t, &r);
    return r == PTHREAD_CANCELED;
}
int main(int argc, char **argv) {
    int n = argc > 1 ? atoi(argv[1]) : 200, p[2], bad = 0, lost = 0;
    for (int i = 0; i < 3; i++) {
        if (pipe(p)) return 1;
        dtors = handlers = 0;
        if (!run(blocked, p[1], 30000) || dtors != 1 || handlers != 1) bad++;
        close(p[0]); close(p[1]);
    }
    int null = open("/dev/null", O_WRONLY);
    for (int i = 0; i < n; i++) {
        dtors = 0;
        if (!run(looping, null, i % 50)) bad++;
        if (dtors == 0) lost++;
    }
    printf("blocked and looping: %d bad, %d of %d lost their destructors\n", bad, lost, n);
    return bad != 0;
}

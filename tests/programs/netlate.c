// A program without a system call instruction of its own that loads a library with one: `netlate DIR`. It
// says whether SIGSYS is caught, and makes files by the library in every thread, child and handler.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static long (*lib_make)(const char *, const char *);
static const char *dir;
static pthread_barrier_t gate;

static long make(const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return lib_make(path, name);
}
static int caught(void) {
    FILE *f = fopen("/proc/self/status", "r");
    char line[200];
    unsigned long mask = 0;
    while (fgets(line, sizeof line, f)) sscanf(line, "SigCgt: %lx", &mask);
    fclose(f);
    return mask >> (SIGSYS - 1) & 1;
}
static void *thread(void *name) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    pthread_barrier_wait(&gate);
    pthread_barrier_wait(&gate);
    close(open("/dev/null", O_RDONLY));
    printf("thread %ld\n", make(name));
    return NULL;
}
static void *young(void *name) {
    printf("young %ld\n", make(name));
    return NULL;
}
static void handler(int s) {
    (void)s;
    make("handler");
}
int main(int n, char **v) {
    if (n < 2) return 2;
    dir = v[1];
    setvbuf(stdout, NULL, _IONBF, 0);
    pthread_t t;
    pthread_barrier_init(&gate, NULL, 2);
    pthread_create(&t, NULL, thread, "thread");
    pthread_barrier_wait(&gate);
    struct sigaction a = {.sa_handler = handler};
    sigfillset(&a.sa_mask);
    sigaction(SIGUSR1, &a, NULL);
    printf("caught %d\n", caught());
    void *l = dlopen(getenv("OWN_LIB"), RTLD_NOW);
    lib_make = l ? (long (*)(const char *, const char *))dlsym(l, "lib_make") : NULL;
    if (!lib_make) return 1;
    close(open("/dev/null", O_RDONLY));
    printf("main %ld\n", make("main"));
    raise(SIGUSR1);
    pthread_barrier_wait(&gate);
    pthread_join(t, NULL);
    pthread_create(&t, NULL, young, "young");
    pthread_join(t, NULL);
    if (!fork()) { make("child"); _exit(0); }
    wait(NULL);
    printf("caught %d\n", caught());
    return 0;
}

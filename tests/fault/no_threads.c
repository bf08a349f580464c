/*
 * no_threads.c: preloaded, has the Nth pthread_create of each process fail with EAGAIN, as at a
 * limit on threads.
 *
 * WEIR_NO_THREAD=PATH: a file that says which: "3" the third, "3 onwards" all from there on; it is
 * read each time. WEIR_NO_THREAD_SEEN=PATH: a file that gets a byte for each that failed.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_long count;

static bool fails(void)
{
    char text[64] = "";
    const char *path = getenv("WEIR_NO_THREAD");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        ssize_t got = read(fd, text, sizeof(text) - 1);
        text[got > 0 ? got : 0] = '\0';
        close(fd);
    }
    long nth = strtol(text, NULL, 10);
    long mine = atomic_fetch_add(&count, 1) + 1;
    return nth > 0 && (mine == nth || (mine > nth && strstr(text, "onwards")));
}

static void tell(void)
{
    const char *path = getenv("WEIR_NO_THREAD_SEEN");
    int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    ssize_t wrote = write(fd, "x", 1);
    (void)wrote; /* the test will miss it */
    close(fd);
}

int pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*fn)(void *arg), void *arg)
{
    int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (fails()) {
        tell();
        return EAGAIN;
    }
    *(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
    return next(thread, attributes, fn, arg);
}

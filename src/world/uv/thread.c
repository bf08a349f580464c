/*
 * thread.c: further threads of this process, each with a loop and a world of its own.
 *
 * The world is opened by the parent, so that a failure is told at once and messages can be posted
 * from the first moment; run by the thread; and closed by it when the parent has closed the handle:
 * until then anybody may still post. In between the thread sleeps.
 */
#include "base/bug.h"
#include "base/mem.h"
#include "world/uv/internal.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>

struct uv_thread {
    struct thread thread;
    char name[64];
    pthread_t pthread;
    int (*fn)(struct world *w, void *arg);
    void *arg;
    int result;
    struct message over; /* to the parent, when fn has ended */
    sem_t closed;        /* by the parent */
    struct coro *waiter;
};

static struct uv_thread *of(struct thread *t)
{
    return container_of(t, struct uv_thread, thread);
}

/* ---- In the thread ---- */

static int first_coroutine(void *arg)
{
    struct uv_thread *t = arg;
    return t->fn(t->thread.own, t->arg);
}

static void *run(void *arg)
{
    struct uv_thread *t = arg;
    char shown[16]; /* all that the kernel keeps */
    snprintf(shown, sizeof(shown), "%.15s", t->name);
    pthread_setname_np(pthread_self(), shown);
    t->result = uv_world_run(t->thread.own, t->name, first_coroutine, t);
    world_post(t->thread.handle.world, &t->over);
    while (sem_wait(&t->closed) != 0)
        check(errno == EINTR, "a thread cannot wait for its close (errno %d)", errno);
    uv_world_close(t->thread.own);
    return NULL;
}

/* ---- In the parent ---- */

static void is_over(struct message *m)
{
    struct uv_thread *t = container_of(m, struct uv_thread, over);
    t->thread.ended = true;
    if (t->waiter)
        coro_wake(t->waiter, 0);
}

/* Signals are for the first thread; a thread's faults are its own, the watchdog asks with SIGURG,
 * and a profiler with SIGPROF. */
int thread_start(pthread_t *thread, void *(*run_it)(void *arg), void *arg)
{
    static const int own[] = {
        SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGURG, SIGPROF};
    sigset_t blocked;
    sigset_t before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        sigdelset(&blocked, own[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int error = pthread_create(thread, NULL, run_it, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

static int open_and_start(struct uv_world *w, struct uv_thread *t)
{
    struct uv_world_options options = w->options;
    options.name = t->name;
    int rc = uv_world_open(&t->thread.own, &options);
    if (rc)
        return rc;
    sem_init(&t->closed, 0, 0);
    kind_opened(w, KIND_THREAD, &t->thread.handle);
    rc = thread_start(&t->pthread, run, t);
    if (rc) {
        kind_closed(KIND_THREAD, &t->thread.handle);
        sem_destroy(&t->closed);
        uv_world_close(t->thread.own);
    }
    return rc;
}

int uv_world_thread(struct world *w, const char *name, int (*fn)(struct world *w, void *arg),
    void *arg, struct thread **out)
{
    struct uv_thread *t = mem_zalloc(sizeof(*t));
    if (!t)
        return -ENOMEM;
    snprintf(t->name, sizeof(t->name), "%s", name);
    t->fn = fn;
    t->arg = arg;
    t->over.deliver = is_over;
    int rc = open_and_start(uv_world_of(w), t);
    if (rc) {
        mem_free(t);
        return rc;
    }
    *out = &t->thread;
    return 0;
}

int uv_thread_wait(struct thread *thread, int *result)
{
    struct uv_thread *t = of(thread);
    if (!thread->ended) {
        t->waiter = coro_self();
        int rc = coro_park("thread");
        t->waiter = NULL;
        if (rc)
            return rc;
    }
    *result = t->result;
    return 0;
}

void uv_thread_close(struct thread *thread)
{
    struct uv_thread *t = of(thread);
    kind_closed(KIND_THREAD, &thread->handle);
    sem_post(&t->closed);
    pthread_join(t->pthread, NULL);
    sem_destroy(&t->closed);
}

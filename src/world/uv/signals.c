/*
 * signals.c: signals as something to wait for.
 *
 * One libuv handle a number, one bit for each that has come. libuv's handler writes the number to a
 * pipe of each loop that listens, so several worlds may want the same signal and each gets it.
 */
#include "base/mem.h"
#include "world/uv/internal.h"

#include <errno.h>
#include <signal.h>

struct uv_signals {
    struct signals signals;
    struct coro *waiter;
    uint64_t came; /* bit n - 1: signal n */
    int count;
    uv_signal_t each[];
};

static struct uv_signals *of(struct signals *s)
{
    return container_of(s, struct uv_signals, signals);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct uv_signals *s = of(container_of(handle->data, struct signals, handle));
    s->came |= UINT64_C(1) << (number - 1);
    if (s->waiter)
        coro_wake(s->waiter, 0);
    loop_woke(uv_world_of_handle(handle->data));
}

/* Also counts how many handles there are to close, should one fail. */
static int listen_to(struct uv_signals *s, int number)
{
    if (number < 1 || number > 64)
        return -EINVAL;
    uv_signal_t *handle = &s->each[s->count];
    int rc = uv_signal_init(&uv_world_of_handle(&s->signals.handle)->loop, handle);
    if (rc)
        return rc;
    handle->data = &s->signals.handle;
    s->count++;
    return uv_signal_start(handle, on_signal, number);
}

int uv_world_signals(struct world *w, const int *numbers, int count, struct signals **out)
{
    struct uv_signals *s = mem_zalloc(sizeof(*s) + (size_t)count * sizeof(s->each[0]));
    if (!s)
        return -ENOMEM;
    kind_opened(uv_world_of(w), KIND_SIGNALS, &s->signals.handle);
    for (int i = 0; i < count; i++) {
        int rc = listen_to(s, numbers[i]);
        if (rc) {
            signals_close(&s->signals);
            return rc;
        }
    }
    *out = &s->signals;
    return 0;
}

int uv_signals_next(struct signals *signals)
{
    struct uv_signals *s = of(signals);
    while (!s->came) {
        s->waiter = coro_self();
        int rc = coro_park("signal");
        s->waiter = NULL;
        if (rc)
            return rc;
        if (signals->handle.closed)
            return -EBADF;
    }
    int number = __builtin_ctzll(s->came) + 1;
    s->came &= s->came - 1;
    return number;
}

/* To which nobody listens any more. It was to be heeded, and is not to end us instead: who asks a
 * process twice to end does not mean to change how it ends. */
static void ignore(int number)
{
    struct sigaction now;
    if (sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        sigaction(number, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
}

void uv_signals_close(struct signals *signals)
{
    struct uv_signals *s = of(signals);
    sigset_t ours, before;
    kind_closed(KIND_SIGNALS, &signals->handle);
    if (s->waiter)
        coro_wake(s->waiter, -EBADF);
    sigemptyset(&ours);
    for (int i = 0; i < s->count; i++)
        sigaddset(&ours, s->each[i].signum);
    pthread_sigmask(SIG_BLOCK, &ours, &before);
    for (int i = 0; i < s->count; i++) {
        int number = s->each[i].signum;
        handle_leave(&signals->handle, (uv_handle_t *)&s->each[i]);
        ignore(number);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

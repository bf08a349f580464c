/*
 * watchdog.c: notices a tick of the loop that takes too long, and says where it is.
 *
 * The loop notes when a tick begins and when it has ended: two stores, no clock of its own, no
 * system call. A thread looks at the note now and then; it sleeps until the tick under way would be
 * too long, and, once the loop has been quiet for a while, until the loop wakes it: an idle process
 * has an idle watchdog.
 *
 * To see where a slow tick is, the watchdog sends the loop's thread SIGURG, whose default is to be
 * ignored and which the kernel sends only to who asked for it. The handler copies the stack's
 * return addresses and the coroutine's name; the watchdog turns them into text, and the turn's end
 * adds how long it took in all. The handler runs on the thread's signal stack, and with SA_RESTART;
 * what is interrupted nevertheless (nanosleep, poll) sees EINTR, once a slow tick.
 */
#include "base/bug.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "world/uv/backtrace.h"
#include "world/uv/internal.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define WATCHDOG_SIGNAL   SIGURG
/* How long the loop's thread may take to answer: it might be inside the kernel. */
#define ANSWER_TIMEOUT_NS (200 * NS_PER_MS)
/* After so many looks without a tick in between the watchdog sleeps until there is one. */
#define QUIET_LOOKS       20

enum ask { ASK_NOTHING, ASK_WHERE, ASK_ANSWERING, ASK_ANSWERED };

struct watchdog {
    /* Written by the loop. */
    _Atomic int64_t tick;   /* when the tick under way began; 0 between ticks */
    _Atomic uint64_t ticks; /* how many have begun */
    /* Written by the watchdog. */
    _Atomic int64_t noticed; /* the tick that was reported last */
    _Atomic bool asleep;     /* until `wake` is posted */
    _Atomic bool stopping;
    sem_t wake;

    const char *loop;
    int64_t limit_ns;
    struct log *log;
    pthread_t thread;
    pthread_t watched;

    /* The question, and the answer of the signal handler. */
    _Atomic int ask; /* enum ask */
    sem_t answered;
    int64_t asked_tick;
    bool found; /* the tick was still under way */
    char coroutine[64];
    int count;
    void *frames[BACKTRACE_MAX];
};

/* Whether the signal's handler is ours: set once, before the first watchdog starts. */
static bool may_ask;

/* Of the thread whose loop is watched; the signal handler's way to it. */
static _Thread_local struct watchdog *watching_this_thread
    __attribute__((tls_model("initial-exec")));

/* ---- In the loop's thread ---- */

void watchdog_turn_begins(struct watchdog *d, int64_t now)
{
    atomic_store_explicit(
        &d->ticks, atomic_load_explicit(&d->ticks, memory_order_relaxed) + 1, memory_order_relaxed);
    /* Ordered before the look at `asleep`, as the watchdog's `asleep` before its look at `tick`:
     * one of the two sees the other. */
    atomic_store(&d->tick, now);
    if (atomic_load(&d->asleep) && atomic_exchange(&d->asleep, false))
        sem_post(&d->wake);
}

void watchdog_turn_ends(struct watchdog *d)
{
    int64_t began = atomic_load_explicit(&d->tick, memory_order_relaxed);
    atomic_store_explicit(&d->tick, 0, memory_order_release);
    if (atomic_load_explicit(&d->noticed, memory_order_relaxed) == began)
        log_with(d->log, LOG_WARN, LOG_FIELDS(LOG_TEXT("loop", d->loop)),
            "%s: the slow tick has ended, after %lld ms", d->loop,
            (long long)(((int64_t)uv_hrtime() - began) / NS_PER_MS));
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    struct watchdog *d = watching_this_thread;
    int asked = ASK_WHERE;
    if (!d || !atomic_compare_exchange_strong(&d->ask, &asked, ASK_ANSWERING))
        return;
    int saved = errno;
    d->found = atomic_load_explicit(&d->tick, memory_order_relaxed) == d->asked_tick;
    const char *name = sched_running_name();
    size_t len = name ? strnlen(name, sizeof(d->coroutine) - 1) : 0;
    if (len > 0)
        memcpy(d->coroutine, name, len);
    d->coroutine[len] = '\0';
    d->count = backtrace_capture(context, d->frames);
    atomic_store(&d->ask, ASK_ANSWERED);
    sem_post(&d->answered);
    errno = saved;
}

/* ---- In the watchdog's ---- */

static bool wait_until(sem_t *s, int64_t when)
{
    struct timespec t = {.tv_sec = when / NS_PER_S, .tv_nsec = when % NS_PER_S};
    int rc;
    do
        rc = sem_clockwait(s, CLOCK_MONOTONIC, &t);
    while (rc != 0 && errno == EINTR);
    return rc == 0;
}

/* Has the loop's thread say where it is. False: it did not answer, or the tick has ended. */
static bool ask_where(struct watchdog *d, int64_t tick)
{
    if (!may_ask)
        return false;
    d->asked_tick = tick;
    atomic_store(&d->ask, ASK_WHERE);
    if (pthread_kill(d->watched, WATCHDOG_SIGNAL) != 0)
        return false;
    bool answered = wait_until(&d->answered, (int64_t)uv_hrtime() + ANSWER_TIMEOUT_NS);
    int asked = ASK_WHERE;
    if (!answered && atomic_compare_exchange_strong(&d->ask, &asked, ASK_NOTHING))
        return false; /* taken back: a late handler will find nothing to do */
    if (!answered)
        wait_until(&d->answered, DEADLINE_NEVER);
    return atomic_exchange(&d->ask, ASK_NOTHING) == ASK_ANSWERED && d->found;
}

static void report(struct watchdog *d, int64_t tick)
{
    bool found = ask_where(d, tick);
    if (atomic_load(&d->tick) != tick && !found)
        return; /* it was just about to end */
    atomic_store(&d->noticed, tick);
    long long limit = d->limit_ns / NS_PER_MS;
    long long so_far = ((int64_t)uv_hrtime() - tick) / NS_PER_MS;
    if (!found) {
        log_with(d->log, LOG_WARN, LOG_FIELDS(LOG_TEXT("loop", d->loop)),
            "%s: a tick of over %lld ms (%lld ms so far); %s", d->loop, limit, so_far,
            may_ask ? "its thread does not answer" : "SIGURG is taken, so there is no stack");
        return;
    }
    char stack[LOG_LINE_MAX - 256];
    backtrace_print(d->frames, d->count, stack, sizeof(stack));
    bool named = d->coroutine[0] != '\0';
    log_with(d->log, LOG_WARN,
        LOG_FIELDS(LOG_TEXT("loop", d->loop), LOG_TEXT("coroutine", d->coroutine)),
        "%s: a tick of over %lld ms (%lld ms so far) %s%s%s at: %s", d->loop, limit, so_far,
        named ? "in coroutine '" : "outside coroutines", d->coroutine, named ? "'" : "", stack);
}

/* Sleeps until the loop begins a tick, unless it has just done so. */
static void sleep_until_turn(struct watchdog *d)
{
    atomic_store(&d->asleep, true);
    if ((atomic_load(&d->tick) != 0 || atomic_load(&d->stopping)) &&
        atomic_exchange(&d->asleep, false))
        return;
    wait_until(&d->wake, DEADLINE_NEVER);
}

static void *watch(void *arg)
{
    struct watchdog *d = arg;
    uint64_t ticks_seen = 0;
    int quiet = 0;
    while (!atomic_load(&d->stopping)) {
        uint64_t ticks = atomic_load_explicit(&d->ticks, memory_order_relaxed);
        int64_t tick = atomic_load(&d->tick);
        int64_t now = (int64_t)uv_hrtime();
        quiet = tick == 0 && ticks == ticks_seen ? quiet + 1 : 0;
        ticks_seen = ticks;
        if (quiet > QUIET_LOOKS) {
            sleep_until_turn(d);
            quiet = 0;
            continue;
        }
        bool known = tick == atomic_load_explicit(&d->noticed, memory_order_relaxed);
        if (tick != 0 && !known && now - tick >= d->limit_ns)
            report(d, tick);
        else
            wait_until(&d->wake, (tick != 0 && !known ? tick : now) + d->limit_ns);
    }
    return NULL;
}

/* ---- Its life ---- */

/* If the program has a handler of its own, it stays, and ticks are reported without a stack. */
static void install_handler(void)
{
    struct sigaction present;
    if (sigaction(WATCHDOG_SIGNAL, NULL, &present) != 0 || present.sa_flags & SA_SIGINFO ||
        (present.sa_handler != SIG_DFL && present.sa_handler != SIG_IGN))
        return;
    struct sigaction ours = {
        .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigemptyset(&ours.sa_mask);
    may_ask = sigaction(WATCHDOG_SIGNAL, &ours, NULL) == 0;
}

/* The thread takes no signals: they are for threads that expect to be interrupted. */
static int start_thread(struct watchdog *d)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&d->thread, NULL, watch, d);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -error;
}

struct watchdog *watchdog_start(const char *loop, int64_t limit_ns, struct log *log)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_handler);
    struct watchdog *d = mem_zalloc(sizeof(*d));
    if (!d) {
        log_warn(log, "%s: no memory for a watchdog; slow ticks will not be reported", loop);
        return NULL;
    }
    d->loop = loop;
    d->limit_ns = limit_ns;
    d->log = log;
    d->watched = pthread_self();
    sem_init(&d->wake, 0, 0);
    sem_init(&d->answered, 0, 0);
    watching_this_thread = d;
    int rc = start_thread(d);
    if (rc) {
        log_warn(log, "%s: no thread for a watchdog: %s; slow ticks will not be reported", loop,
            error_text_task(rc));
        watching_this_thread = NULL;
        sem_destroy(&d->wake);
        sem_destroy(&d->answered);
        mem_free(d);
        return NULL;
    }
    return d;
}

void watchdog_stop(struct watchdog *d)
{
    if (!d)
        return;
    atomic_store(&d->stopping, true);
    sem_post(&d->wake);
    pthread_join(d->thread, NULL);
    watching_this_thread = NULL;
    sem_destroy(&d->wake);
    sem_destroy(&d->answered);
    mem_free(d);
}

/*
 * handover.c: what it costs to have something done elsewhere, and nothing else: from a coroutine to
 * a companion and back, one at a time, with nothing to do there.
 *
 *   - Weir: companion_wake; there world_post; the loop wakes the coroutine.
 *   - Bare C: a condition variable to a thread; back an eventfd, for which the first waits by
 *     epoll_wait.
 *   - Barer still: a futex there and a futex back, which no loop could wait for.
 *
 * The three take turns, so that all meet the same machine. First the kernel places the threads, as
 * in a server; then who asks and who answers are kept on two processors, of which one sleeps while
 * the other works: what that costs depends on how deep it sleeps, and is seldom Weir's affair.
 */
#include "../bench.h"
#include "../pin.h"

#include "world/uv/uv_world.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ROUNDS 7
#define TRIPS  4000

static double samples[TRIPS];
static cpu_set_t may; /* the processors that we may use */
static bool apart;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Who answers, as it begins. */
static void take_place(void)
{
    if (apart)
        bench_pin(&may, 1);
}

static double median_of_samples(void)
{
    qsort(samples, TRIPS, sizeof *samples, bench_compare);
    return samples[TRIPS / 2];
}

/* ---- Weir ---- */

struct weir {
    struct world *w;
    struct companion *companion;
    struct message back;
    struct coro *waiter;
    atomic_bool over;
};

static void companion_runs(struct companion *self, void *arg)
{
    struct weir *b = arg;
    take_place();
    while (companion_park(self, DEADLINE_NEVER) == 0 &&
           !atomic_load_explicit(&b->over, memory_order_relaxed))
        world_post(b->w, &b->back);
}

static void is_back(struct message *m)
{
    coro_wake(container_of(m, struct weir, back)->waiter, 0);
}

static double round_of_weir(struct weir *b)
{
    b->waiter = coro_self();
    for (int i = 0; i < TRIPS; i++) {
        int64_t began = bench_now_ns();
        companion_wake(b->companion);
        if (coro_park("trip") != 0)
            die("trip");
        samples[i] = (double)(bench_now_ns() - began) / 1e3;
    }
    return median_of_samples();
}

/* ---- A condition variable there, an eventfd back ---- */

struct bare {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t given;
    bool task;
    bool over;
    int bell;
    int loop;
};

static void *bare_runs(void *arg)
{
    static const uint64_t one = 1;
    struct bare *b = arg;
    take_place();
    for (;;) {
        pthread_mutex_lock(&b->lock);
        while (!b->task && !b->over)
            pthread_cond_wait(&b->given, &b->lock);
        bool over = b->over;
        b->task = false;
        pthread_mutex_unlock(&b->lock);
        if (over)
            return NULL;
        if (write(b->bell, &one, sizeof one) != sizeof one)
            die("write");
    }
}

static void bare_give(struct bare *b, bool over)
{
    pthread_mutex_lock(&b->lock);
    b->task = true;
    b->over = over;
    pthread_mutex_unlock(&b->lock);
    pthread_cond_signal(&b->given);
}

static void bare_open(struct bare *b)
{
    *b = (struct bare){.bell = eventfd(0, EFD_NONBLOCK), .loop = epoll_create1(0)};
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->given, NULL);
    struct epoll_event e = {.events = EPOLLIN};
    if (b->bell < 0 || b->loop < 0 || epoll_ctl(b->loop, EPOLL_CTL_ADD, b->bell, &e) != 0 ||
        pthread_create(&b->thread, NULL, bare_runs, b) != 0)
        die("bare thread");
}

static void bare_close(struct bare *b)
{
    bare_give(b, true);
    pthread_join(b->thread, NULL);
    close(b->bell);
    close(b->loop);
}

static double round_of_bare(struct bare *b)
{
    for (int i = 0; i < TRIPS; i++) {
        struct epoll_event e;
        uint64_t rings;
        int64_t began = bench_now_ns();
        bare_give(b, false);
        if (epoll_wait(b->loop, &e, 1, -1) != 1 || read(b->bell, &rings, sizeof rings) < 0)
            die("epoll");
        samples[i] = (double)(bench_now_ns() - began) / 1e3;
    }
    return median_of_samples();
}

/* ---- Two futexes ---- */

struct barest {
    pthread_t thread;
    _Atomic uint32_t there;
    _Atomic uint32_t back;
};

enum { NOTHING, GIVEN, OVER };

static uint32_t futex_await(_Atomic uint32_t *word)
{
    uint32_t what;
    while ((what = atomic_exchange(word, NOTHING)) == NOTHING)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, NOTHING, NULL, NULL, 0);
    return what;
}

static void futex_give(_Atomic uint32_t *word, uint32_t what)
{
    atomic_store(word, what);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *barest_runs(void *arg)
{
    struct barest *b = arg;
    take_place();
    while (futex_await(&b->there) != OVER)
        futex_give(&b->back, GIVEN);
    return NULL;
}

static double round_of_barest(struct barest *b)
{
    for (int i = 0; i < TRIPS; i++) {
        int64_t began = bench_now_ns();
        futex_give(&b->there, GIVEN);
        futex_await(&b->back);
        samples[i] = (double)(bench_now_ns() - began) / 1e3;
    }
    return median_of_samples();
}

/* ---- All three, in a coroutine ---- */

static void measure(struct weir *weir, struct bare *bare, struct barest *barest)
{
    struct bench_series of_weir = {0};
    struct bench_series of_bare = {0};
    struct bench_series of_barest = {0};
    struct bench_series ratio = {0};
    for (int round = 0; round < ROUNDS; round++) {
        bench_add(&of_barest, round_of_barest(barest));
        double b = round_of_bare(bare);
        double w = round_of_weir(weir);
        bench_add(&of_bare, b);
        bench_add(&of_weir, w);
        bench_add(&ratio, w / b);
    }
    bench_line("two futexes", &of_barest, "us");
    bench_line("condition variable, eventfd, epoll", &of_bare, "us");
    bench_line("companion_wake, world_post, coroutine", &of_weir, "us");
    bench_must_hold(
        "at most 1.2 x the bare way", bench_line("companion to bare", &ratio, "x") <= 1.2);
}

static int measure_placed(struct world *w)
{
    static struct bare bare;
    static struct barest barest;
    struct weir weir = {.w = w, .back.deliver = is_back};
    struct companion_options options = {.name = "hand", .run = companion_runs, .arg = &weir};
    if (world_companion(weir.w, &options, &weir.companion) != 0)
        die("companion");
    bare_open(&bare);
    if (pthread_create(&barest.thread, NULL, barest_runs, &barest) != 0)
        die("barest thread");
    measure(&weir, &bare, &barest);
    futex_give(&barest.there, OVER);
    pthread_join(barest.thread, NULL);
    bare_close(&bare);
    atomic_store(&weir.over, true);
    companion_wake(weir.companion);
    int rc = companion_wait(weir.companion);
    companion_close(weir.companion);
    return rc;
}

static int run(void *arg)
{
    printf("dispatch to a thread and back, %d rounds of %d, medians\n", ROUNDS, TRIPS);
    printf(" where the kernel places them\n");
    int rc = measure_placed(arg);
    if (rc)
        return rc;
    printf(" on two processors\n");
    apart = true;
    bench_pin(&may, 0);
    return measure_placed(arg);
}

int main(void)
{
    struct world *w;
    struct uv_world_options options = {.name = "bench"};
    if (uv_world_open(&w, &options) != 0)
        die("world");
    sched_getaffinity(0, sizeof may, &may);
    int rc = uv_world_run(w, "main", run, w);
    uv_world_close(w);
    return rc ? 1 : 0;
}

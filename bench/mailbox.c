/*
 * mailbox.c: what it costs to send a message to a loop.
 *
 *   - To one that sleeps: from just before the post in another thread to the delivery on the
 *     loop's, against the same with a bare eventfd and epoll_wait. The two take turns, wake by
 *     wake, so that both meet the same machine.
 *   - To one that is busy: one and two threads posting as fast as they can, each with a stock of
 *     messages that comes back when delivered.
 *
 * Loops run on the first of the processors we may use, who posts on the second.
 */
#include "bench.h"
#include "pin.h"

#include "world/uv/uv_world.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ROUNDS      7
#define WAKES       400
/* Long enough for a loop to fall asleep. */
#define REST_NS     INT64_C(300000)
#define BUSY_NS     INT64_C(300000000)
#define STOCK       4096
#define SENDERS_MAX 2

static struct world *w;
static cpu_set_t may; /* the processors that we may use */

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void rest(void)
{
    struct timespec t = {.tv_nsec = REST_NS};
    nanosleep(&t, NULL);
}

/* ---- (a) Waking ---- */

/* When the last wake arrived, for who waits for it; 0: not yet. */
static _Atomic int64_t arrived;

static double wait_for_arrival(int64_t posted)
{
    int64_t when;
    while ((when = atomic_load_explicit(&arrived, memory_order_acquire)) == 0)
        continue;
    atomic_store(&arrived, 0);
    return (double)(when - posted) / 1e3;
}

static void on_message(struct message *m)
{
    atomic_store_explicit(&arrived, bench_now_ns(), memory_order_release);
}

static double wake_loop(void)
{
    static struct message m = {.deliver = on_message};
    rest();
    int64_t posted = bench_now_ns();
    world_post(w, &m);
    return wait_for_arrival(posted);
}

struct bare {
    int loop;
    int bell;
    _Atomic bool over;
};

static void *run_bare(void *arg)
{
    struct bare *b = arg;
    bench_pin(&may, 0);
    for (;;) {
        struct epoll_event e;
        uint64_t rings;
        if (epoll_wait(b->loop, &e, 1, -1) == 1 && read(b->bell, &rings, sizeof rings) < 0)
            die("read");
        int64_t now = bench_now_ns();
        if (atomic_load(&b->over))
            return NULL;
        atomic_store_explicit(&arrived, now, memory_order_release);
    }
}

static void ring(struct bare *b)
{
    static const uint64_t one = 1;
    if (write(b->bell, &one, sizeof one) != sizeof one)
        die("write");
}

static double wake_bare(struct bare *b)
{
    rest();
    int64_t posted = bench_now_ns();
    ring(b);
    return wait_for_arrival(posted);
}

static double median_of(double *samples, int count)
{
    qsort(samples, (size_t)count, sizeof *samples, bench_compare);
    return samples[count / 2];
}

static void measure_waking(void)
{
    struct bare bare = {.loop = epoll_create1(0), .bell = eventfd(0, EFD_NONBLOCK)};
    struct epoll_event e = {.events = EPOLLIN};
    pthread_t thread;
    if (bare.loop < 0 || bare.bell < 0 || epoll_ctl(bare.loop, EPOLL_CTL_ADD, bare.bell, &e) != 0 ||
        pthread_create(&thread, NULL, run_bare, &bare) != 0)
        die("bare loop");
    struct bench_series of_bare = {0};
    struct bench_series of_loop = {0};
    struct bench_series more = {0};
    for (int round = 0; round < ROUNDS; round++) {
        static double a[WAKES];
        static double b[WAKES];
        for (int i = 0; i < WAKES; i++) {
            a[i] = wake_bare(&bare);
            b[i] = wake_loop();
        }
        double median_a = median_of(a, WAKES);
        double median_b = median_of(b, WAKES);
        bench_add(&of_bare, median_a);
        bench_add(&of_loop, median_b);
        bench_add(&more, median_b - median_a);
    }
    atomic_store(&bare.over, true);
    ring(&bare);
    pthread_join(thread, NULL);
    close(bare.bell);
    close(bare.loop);
    bench_line("wake: bare eventfd and epoll_wait", &of_bare, "us");
    bench_line("wake: world_post", &of_loop, "us");
    bench_must_hold(
        "within 2 us of a bare eventfd wake", bench_line("difference", &more, "us") <= 2);
}

/* ---- (b) Busy ---- */

/* Shared by its thread and the loop, each writing a line of its own. */
struct sender {
    _Alignas(64) _Atomic uint64_t delivered;
    _Alignas(64) uint64_t posted;
    struct parcel {
        struct message message;
        struct sender *sender;
    } stock[STOCK];
};

static struct sender senders[SENDERS_MAX];
static _Atomic bool over;

static void on_parcel(struct message *m)
{
    struct sender *s = ((struct parcel *)(void *)m)->sender;
    uint64_t before = atomic_load_explicit(&s->delivered, memory_order_relaxed);
    atomic_store_explicit(&s->delivered, before + 1, memory_order_release);
}

static void *send_all(void *arg)
{
    struct sender *s = arg;
    uint64_t free_until = STOCK;
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        if (s->posted == free_until) {
            free_until = atomic_load_explicit(&s->delivered, memory_order_acquire) + STOCK;
            sched_yield();
            continue;
        }
        world_post(w, &s->stock[s->posted++ % STOCK].message);
    }
    return NULL;
}

static double busy_round(int count)
{
    pthread_t threads[SENDERS_MAX];
    atomic_store(&over, false);
    for (int i = 0; i < count; i++) {
        struct sender *s = &senders[i];
        memset(s, 0, sizeof *s);
        for (int j = 0; j < STOCK; j++)
            s->stock[j] = (struct parcel){.message.deliver = on_parcel, .sender = s};
        if (pthread_create(&threads[i], NULL, send_all, s) != 0)
            die("sender");
    }
    int64_t began = bench_now_ns();
    struct timespec t = {.tv_nsec = BUSY_NS};
    nanosleep(&t, NULL);
    uint64_t delivered = 0;
    for (int i = 0; i < count; i++)
        delivered += atomic_load(&senders[i].delivered);
    double rate = (double)delivered * 1e3 / (double)(bench_now_ns() - began);
    atomic_store(&over, true);
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        while (atomic_load(&senders[i].delivered) < senders[i].posted)
            rest();
    }
    return rate;
}

static void measure_busy(void)
{
    double slowest = 0;
    for (int count = 1; count <= SENDERS_MAX; count++) {
        struct bench_series rate = {0};
        for (int round = 0; round < ROUNDS; round++)
            bench_add(&rate, busy_round(count));
        char name[64];
        snprintf(name, sizeof name, "busy: %d thread%s posting", count, count > 1 ? "s" : "");
        double median = bench_line(name, &rate, "million/s");
        slowest = count == 1 || median < slowest ? median : slowest;
    }
    bench_must_hold("at least 5 million messages/s when busy", slowest >= 5);
}

/* ---- The loop ---- */

struct end {
    struct message message;
    struct coro *waiter;
};

static struct end end;

static void on_end(struct message *m)
{
    coro_wake(((struct end *)(void *)m)->waiter, 0);
}

static int until_end(void *arg)
{
    end.waiter = coro_self();
    return coro_park("end");
}

static void *run_loop(void *arg)
{
    bench_pin(&may, 0);
    return uv_world_run(w, "main", until_end, NULL) == 0 ? w : NULL;
}

int main(void)
{
    struct uv_world_options options = {.name = "bench"};
    sched_getaffinity(0, sizeof may, &may);
    bench_pin(&may, 1);
    pthread_t loop;
    if (uv_world_open(&w, &options) != 0)
        die("world");
    if (pthread_create(&loop, NULL, run_loop, NULL) != 0)
        die("thread");
    printf("mailbox of a loop, %d rounds\n", ROUNDS);
    measure_waking();
    measure_busy();
    end.message.deliver = on_end;
    world_post(w, &end.message);
    void *good;
    pthread_join(loop, &good);
    uv_world_close(w);
    return good ? 0 : 1;
}

/*
 * listeners.c: how several loops take connections from one port: each by a listener of its own
 * (SO_REUSEPORT: the kernel deals connections out by a hash of their addresses), or all from one
 * shared socket (whoever is awake takes the next).
 *
 * Two loops serve, a third makes the load:
 *
 *   short  32 coroutines connect, exchange one byte and close, over and over
 *   long   64 connections are made at once and then exchange bytes
 *
 * Told are connections or messages a second, the larger share of the two loops (50 % is fair), and
 * the 99th percentile of how long a connection or message took.
 */
#include "bench.h"

#include "coro/group.h"
#include "world/uv/uv_world.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS      5
#define LOOPS       2
#define SHORT       32
#define LONG        64
#define ROUND_NS    INT64_C(500000000)
#define SAMPLES_MAX 200000

static void die(const char *what, int rc)
{
    fprintf(stderr, "%s failed: %s\n", what, strerror(-rc));
    exit(1);
}

static void must(const char *what, int rc)
{
    if (rc < 0)
        die(what, rc);
}

/* ---- The loops that serve ---- */

struct server {
    pthread_t thread;
    struct world *world;
    struct listener *listener;
    struct coro *serving;
    uint64_t accepted;
    struct message stop;
};

static int echo(void *arg)
{
    struct stream *s = arg;
    char bytes[16];
    ssize_t n;
    while ((n = stream_read(s, bytes, sizeof bytes)) > 0)
        if (stream_write(s, &(struct iovec){.iov_base = bytes, .iov_len = (size_t)n}, 1) != 0)
            break;
    stream_close(s);
    return 0;
}

static int serve(void *arg)
{
    struct server *server = arg;
    server->serving = coro_self();
    GROUP(connections, GROUP_INDEPENDENT);
    for (;;) {
        struct stream *s;
        int rc = listener_accept(server->listener, &s);
        if (rc)
            return rc == -ECANCELED ? 0 : rc;
        server->accepted++;
        must("group_spawn", group_spawn(&connections, "echo", echo, s));
    }
}

static void on_stop(struct message *m)
{
    struct server *s = (void *)((char *)m - offsetof(struct server, stop));
    coro_cancel(s->serving);
}

static void *run_server(void *arg)
{
    struct server *s = arg;
    must("serving", uv_world_run(s->world, "serve", serve, s));
    listener_close(s->listener);
    uv_world_close(s->world);
    return NULL;
}

/* Two servers on one port, which is stored in `at`. */
static void start_servers(struct server *servers, bool shared_port, struct address *at)
{
    static const struct uv_world_options options = {.name = "server"};
    struct listen_options listening = {
        .backlog = WORLD_BACKLOG_DEFAULT, .shared_port = shared_port};
    must("address", address_parse(at, "0.0.0.0:0", NULL));
    for (int i = 0; i < LOOPS; i++) {
        struct server *s = &servers[i];
        *s = (struct server){.stop.deliver = on_stop};
        must("world", uv_world_open(&s->world, &options));
        if (i == 0 || shared_port)
            must("listen", world_listen(s->world, at, &listening, &s->listener));
        else
            must("adopt", uv_world_adopt_listener(s->world,
                              dup(uv_world_listener_fd(servers[0].listener)), &s->listener));
        listener_address(s->listener, at);
    }
    for (int i = 0; i < LOOPS; i++)
        if (pthread_create(&servers[i].thread, NULL, run_server, &servers[i]) != 0)
            die("thread", -EAGAIN);
}

/* The larger share of the connections, in percent. */
static double stop_servers(struct server *servers)
{
    uint64_t all = 0;
    uint64_t most = 0;
    for (int i = 0; i < LOOPS; i++)
        world_post(servers[i].world, &servers[i].stop);
    for (int i = 0; i < LOOPS; i++) {
        pthread_join(servers[i].thread, NULL);
        all += servers[i].accepted;
        most = servers[i].accepted > most ? servers[i].accepted : most;
    }
    return all ? 100.0 * (double)most / (double)all : 0;
}

/* ---- The load ---- */

struct load {
    struct world *world;
    struct address at;
    int64_t end;
    unsigned next;
    coro_fn *fn;
    int count;
    uint64_t done;
    size_t samples;
    float took_us[SAMPLES_MAX];
};

static void done(struct load *l, int64_t began)
{
    l->done++;
    if (l->samples < SAMPLES_MAX)
        l->took_us[l->samples++] = (float)(world_now(l->world) - began) / 1e3F;
}

/* Loopback has many addresses: each has a set of ports of its own, so that none runs out. */
static struct stream *connect_somewhere(struct load *l)
{
    struct address to = l->at;
    to.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK + l->next++ % 32);
    struct stream *s;
    must("connect", world_connect(l->world, &to, &s));
    return s;
}

static void exchange(struct stream *s)
{
    char byte = 'x';
    must("write", stream_write(s, &(struct iovec){.iov_base = &byte, .iov_len = 1}, 1));
    if (stream_read(s, &byte, 1) != 1)
        die("read", -EPIPE);
}

static int connect_often(void *arg)
{
    struct load *l = arg;
    while (world_now(l->world) < l->end) {
        int64_t began = world_now(l->world);
        struct stream *s = connect_somewhere(l);
        exchange(s);
        stream_close(s);
        done(l, began);
    }
    return 0;
}

static int talk_long(void *arg)
{
    struct load *l = arg;
    struct stream *s = connect_somewhere(l);
    while (world_now(l->world) < l->end) {
        int64_t began = world_now(l->world);
        exchange(s);
        done(l, began);
    }
    stream_close(s);
    return 0;
}

static int load_all(void *arg)
{
    struct load *l = arg;
    l->end = world_now(l->world) + ROUND_NS;
    GROUP(g, GROUP_FAIL_FAST);
    for (int i = 0; i < l->count; i++)
        must("group_spawn", group_spawn(&g, "load", l->fn, l));
    return group_wait(&g);
}

/* ---- Rounds ---- */

struct figures {
    struct bench_series rate;
    struct bench_series share;
    struct bench_series p99;
};

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;
    return (x > y) - (x < y);
}

static void measure(bool shared_port, coro_fn *fn, int count, struct figures *f)
{
    static struct load load;
    static struct server servers[LOOPS];
    static const struct uv_world_options options = {.name = "load", .watchdog_ns = -1};
    load = (struct load){.fn = fn, .count = count};
    start_servers(servers, shared_port, &load.at);
    must("world", uv_world_open(&load.world, &options));
    must("load", uv_world_run(load.world, "load", load_all, &load));
    uv_world_close(load.world);
    double share = stop_servers(servers);
    qsort(load.took_us, load.samples, sizeof load.took_us[0], compare_floats);
    bench_add(&f->rate, (double)load.done * 1e9 / (double)ROUND_NS);
    bench_add(&f->share, share);
    bench_add(&f->p99, load.samples ? load.took_us[load.samples * 99 / 100] : 0);
}

static void tell(const char *name, const char *what, struct figures *f)
{
    char line[80];
    snprintf(line, sizeof line, "%s: %s", name, what);
    bench_line(line, &f->rate, "/s");
    snprintf(line, sizeof line, "%s: larger share of connections", name);
    bench_line(line, &f->share, "%");
    snprintf(line, sizeof line, "%s: 99th percentile", name);
    bench_line(line, &f->p99, "us");
}

int main(void)
{
    struct figures short_own = {0};
    struct figures short_one = {0};
    struct figures long_own = {0};
    struct figures long_one = {0};
    printf(
        "one port, two loops: a listener each (SO_REUSEPORT), or one shared; %d rounds\n", ROUNDS);
    for (int i = 0; i < ROUNDS; i++) {
        measure(true, connect_often, SHORT, &short_own);
        measure(false, connect_often, SHORT, &short_one);
        measure(true, talk_long, LONG, &long_own);
        measure(false, talk_long, LONG, &long_one);
    }
    tell("short, a listener each", "connections", &short_own);
    tell("short, one shared", "connections", &short_one);
    tell("long, a listener each", "messages", &long_own);
    tell("long, one shared", "messages", &long_one);
    bench_must_hold("a listener each: no loop has more than 70 % of the long connections",
        bench_median(&long_own.share) <= 70);
    return 0;
}

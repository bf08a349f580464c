/*
 * server.c: the server process: told what to do, started, told to end.
 *
 * Its first thread runs the first worker, the admin listener and the conversation with the
 * supervisor; the other workers have threads of their own. Everything that the threads share is
 * made before they start and freed after they ended.
 */
#include "app/server.h"

#include "app/admin.h"
#include "app/control.h"
#include "app/figures.h"
#include "app/service.h"
#include "app/worker.h"
#include "base/bug.h"
#include "base/mem.h"
#include "coro/group.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

/* What a connection that is idle when a new server takes over has, to come with one more request,
 * which is then told that it was the last. */
#define RELOAD_IDLE_NS (5 * NS_PER_S)
/* The last moment at which a drained server leaves is the supervisor's to enforce. */
#define ADMIN_DRAIN_NS (500 * NS_PER_MS)

/* Where one worker runs. */
struct post {
    struct server *server;
    struct worker *worker;
    struct thread *thread; /* NULL: the first, which runs on the server's own */
    struct message started;
    int started_rc;
    struct error refused; /* by a step's init, say; code 0: the rc says it all */
};

struct server {
    struct world *world;
    struct log *log;
    const struct server_options *options;
    struct signals *signals;
    struct control control;
    struct control_start start;
    struct conf *conf;
    const struct config *config;
    struct service *service;
    struct meter *meter;
    struct pools *pools;
    struct worker_metrics *metrics;
    struct access_writer *access;
    struct body_budget *bodies; /* limits.bodies, over all workers */
    struct admin admin;
    struct http_server *admin_server;
    struct listener *admin_listener;
    struct listener *admin_served;
    struct listener *listeners[SPAWN_LISTENERS_MAX];
    unsigned listener_count;
    struct figures *figures;
    struct post *posts;
    struct worker **workers;
    unsigned worker_count;
    unsigned started;    /* workers that have said so */
    int failure;         /* of the first that could not start, or ended unasked */
    struct coro *waiter; /* for all of them to start, then for one to fail */
    bool ending;
};

/* ---- Sockets ---- */

static int inherit(struct server *s, struct error *e)
{
    unsigned index = 0;
    for (unsigned i = 0; i < s->start.group_count; i++) {
        for (unsigned j = 0; j < s->start.groups[i]; j++, index++) {
            if (index == SPAWN_LISTENERS_MAX)
                return error_set(e, -E2BIG, "listeners", "too many listening sockets");
            int rc = world_inherited_listener(s->world, index, &s->listeners[index]);
            if (rc)
                return error_set(e, rc, "listeners", "cannot take over listening socket %u: %s",
                    index, error_text(rc));
            s->listener_count++;
        }
    }
    if (!s->start.admin)
        return 0;
    int rc = world_inherited_listener(s->world, index, &s->admin_listener);
    return rc ? error_set(
                    e, rc, "listeners", "cannot take over the admin's socket: %s", error_text(rc))
              : 0;
}

static void close_listeners(struct server *s)
{
    while (s->listener_count > 0)
        listener_close(s->listeners[--s->listener_count]);
    if (s->admin_listener)
        listener_close(s->admin_listener);
    s->admin_listener = NULL;
}

/* The sockets that worker `index` accepts from. Each address has some sockets that share its
 * port; those are dealt out so that every socket has a worker and every worker one of each
 * address. */
static unsigned deal(const struct server *s, unsigned index, struct listener **out)
{
    unsigned count = 0, base = 0;
    for (unsigned i = 0; i < s->start.group_count; i++) {
        unsigned sockets = s->start.groups[i];
        for (unsigned j = 0; j < sockets; j++)
            if (j % s->worker_count == index || index % sockets == j)
                out[count++] = s->listeners[base + j];
        base += sockets;
    }
    return count;
}

/* ---- The configuration ---- */

static void apply_log(struct server *s)
{
    const struct conf_log *log = &s->config->log;
    s->log->level = log->level;
    if (log->format != CONF_LOG_AUTO)
        s->log->json = log->format == CONF_LOG_JSON;
}

/* Plugins, and queues: what is wrong with a plugin shows here, and in `weir check`. */
static int make_pools(struct server *s, struct error *e)
{
    s->worker_count = s->config->threads ? s->config->threads : world_cores(s->world);
    int rc = meter_new(&s->meter, s->worker_count);
    if (rc)
        return error_set(e, rc, "memory", "no memory for metrics");
    unsigned threads = pools_step_threads(s->config, s->worker_count, world_cores(s->world));
    if (threads > 0 && s->options->step_threads)
        s->options->step_threads(s->options->ctx, threads);
    return pools_new(&s->pools,
        &(struct pools_options){
            .config = s->config,
            .clients = s->worker_count,
            .cores = world_cores(s->world),
            .worker_argv = s->options->worker_argv,
            .overrides = s->options->overrides,
            .unsafe = s->options->unsafe,
            .meter = s->meter,
            .log = s->log,
        },
        e);
}

static int make_service(struct server *s, struct conf_errors *errors)
{
    uint64_t seed[2];
    world_random(s->world, seed, sizeof(seed));
    struct flow_steps steps = {
        .config = s->config, .unsafe = s->options->unsafe, .pools = s->pools};
    return service_new(&s->service, s->config, &steps, seed, errors);
}

/* The supervisor has checked it with the same code; what is wrong now but for plugins is our own
 * mistake, or another version. */
static int configure(struct server *s, struct error *e)
{
    struct conf_errors *errors = conf_errors_new();
    if (!errors)
        return error_set(e, -ENOMEM, "memory", "no memory for the configuration");
    int rc = conf_parse(&s->conf, bytes_span(&s->start.config), errors);
    if (rc == 0) {
        s->config = conf_config(s->conf);
        apply_log(s);
        rc = make_pools(s, e);
    }
    if (rc == 0)
        rc = make_service(s, errors);
    if (rc && !e->code) {
        struct bytes text;
        bytes_init(&text, ERROR_SENTENCE_MAX);
        if (conf_errors_write(errors, &text) != 0)
            text.len = 0;
        error_set(e, rc, "configuration", "the configuration is refused: %.*s",
            SPAN_ARG(bytes_span(&text)));
        bytes_release(&text);
    }
    conf_errors_free(errors);
    bytes_release(&s->start.config);
    return rc;
}

/* ---- Workers ---- */

static void fail(struct server *s, int rc)
{
    if (s->failure == 0)
        s->failure = rc;
    if (s->waiter)
        coro_wake(s->waiter, 0);
}

static void on_started(struct message *m)
{
    struct post *p = container_of(m, struct post, started);
    struct server *s = p->server;
    s->started++;
    if (p->started_rc)
        fail(s, p->started_rc);
    else if (s->waiter)
        coro_wake(s->waiter, 0);
}

/* On the worker's thread. The first one's is the server's own: it hears at once, since the server
 * may end (a simulated one that was killed does) before a message to itself would come. */
static void started(void *ctx, int rc, const struct error *e)
{
    struct post *p = ctx;
    p->started_rc = rc;
    error_clear(&p->refused);
    if (e)
        p->refused = *e;
    p->started.deliver = on_started;
    if (p == p->server->posts)
        on_started(&p->started);
    else
        world_post(p->server->world, &p->started);
}

static int make_workers(struct server *s)
{
    s->posts = mem_zalloc(s->worker_count * sizeof(*s->posts));
    s->workers = mem_zalloc(s->worker_count * sizeof(struct worker *));
    if (!s->posts || !s->workers)
        return -ENOMEM;
    struct listener *dealt[SPAWN_LISTENERS_MAX];
    for (unsigned i = 0; i < s->worker_count; i++) {
        s->posts[i].server = s;
        struct worker_options options = {
            .index = i,
            .count = s->worker_count,
            .config = s->config,
            .service = s->service,
            .pools = s->pools,
            .meter = s->meter,
            .access = s->access,
            .bodies = s->bodies,
            .listeners = dealt,
            .listener_count = deal(s, i, dealt),
            .started = started,
            .ctx = &s->posts[i],
        };
        int rc = worker_new(&s->workers[i], &options, s->metrics);
        if (rc)
            return rc;
        s->posts[i].worker = s->workers[i];
    }
    return 0;
}

static int make_shared(struct server *s, struct error *e)
{
    int rc = worker_metrics_register(s->meter, s->service, &s->config->client, &s->metrics);
    if (rc)
        return error_set(e, rc, "start", "cannot start: %s", error_text(rc));
    rc = access_writer_start(&s->access, s->world, s->log);
    if (rc)
        return error_set(
            e, rc, "start", "the access log's thread cannot start: %s", error_text_task(rc));
    rc = body_budget_new(&s->bodies, s->config->limits.bodies, s->worker_count);
    if (rc == 0)
        rc = make_workers(s);
    if (rc == 0)
        rc = figures_register(&s->figures, s->meter, s->workers, s->worker_count, s->bodies);
    if (rc == 0)
        meter_seal(s->meter);
    s->admin = (struct admin){.conf = s->conf, .meter = s->meter, .pools = s->pools};
    return rc ? error_set(e, rc, "start", "cannot start: %s", error_text(rc)) : 0;
}

static int run_first(void *arg)
{
    struct post *p = arg;
    int rc = worker_run(p->server->world, p->worker);
    if (!p->server->ending)
        fail(p->server, rc ? rc : -ECANCELED);
    return rc;
}

static int attend(void *arg)
{
    struct post *p = arg;
    int result = 0;
    int rc = thread_wait(p->thread, &result);
    if (!p->server->ending)
        fail(p->server, rc ? rc : result ? result : -ECANCELED);
    return rc;
}

static int start_worker(struct server *s, struct post *p, struct group *crew)
{
    if (p == s->posts)
        return group_spawn(crew, "worker", run_first, p);
    char name[32];
    snprintf(name, sizeof(name), "io %d", (int)(p - s->posts));
    int rc = world_thread(s->world, name, worker_run, p->worker, &p->thread);
    /* Without somebody who attends it, its end would be seen only when the server closes it. */
    return rc ? rc : group_spawn(crew, "worker's thread", attend, p);
}

/* Until `count` workers have said how their start went: 0 or -ECANCELED. */
static int await_starts(struct server *s, unsigned count)
{
    int rc = 0;
    s->waiter = coro_self();
    while (s->started < count && rc == 0)
        rc = coro_park("workers to start");
    s->waiter = NULL;
    return rc;
}

/* 0 if all of them accept connections. Those that were begun have told how they started, in any
 * case: what they use is freed later. */
static int start_workers(struct server *s, struct group *crew, struct error *e)
{
    unsigned begun = 0;
    int rc = 0;
    while (begun < s->worker_count && rc == 0) {
        rc = start_worker(s, &s->posts[begun], crew);
        if (rc == 0 || s->posts[begun].thread)
            begun++;
    }
    int waited = await_starts(s, begun);
    if (rc == 0)
        rc = waited ? waited : s->failure;
    for (unsigned i = 0; i < begun && rc; i++)
        if (s->posts[i].started_rc == rc && s->posts[i].refused.code) {
            *e = s->posts[i].refused;
            return rc;
        }
    return rc ? error_set(e, rc, "start", "an I/O thread cannot start: %s", error_text_task(rc))
              : 0;
}

/* The most that is left of a start that did not succeed: nobody has been let in. */
static int64_t drain_limit(const struct server *s)
{
    return s->admin.ready || s->ending ? s->config->timeouts.drain : 0;
}

/* `last`: no other server accepts from its sockets. */
static void drain_workers(struct server *s, int64_t idle_ns, bool last)
{
    struct worker_drain how = {.idle_ns = idle_ns, .all_ns = drain_limit(s), .last = last};
    s->ending = true;
    s->admin.ready = idle_ns > 0; /* else nobody takes its place */
    for (unsigned i = 0; i < s->worker_count; i++)
        if (s->posts[i].started.deliver && s->posts[i].started_rc == 0)
            worker_drain(s->workers[i], s->world, &how);
    if (s->admin_server)
        http_server_drain(s->admin_server, idle_ns, world_now(s->world) + ADMIN_DRAIN_NS, last);
    if (s->waiter)
        coro_wake(s->waiter, 0);
}

/* ---- Admin ---- */

static int run_admin(void *arg)
{
    struct server *s = arg;
    return http_server_run(s->admin_server, &s->admin_served, 1);
}

static int start_admin(struct server *s, struct group *group)
{
    if (!s->admin_listener)
        return 0;
    struct http_server_options options = HTTP_SERVER_DEFAULTS;
    options.connections_max = 64;
    options.date = true;
    options.handle = admin_handle;
    options.ctx = &s->admin;
    int rc = http_server_new(&s->admin_server, s->world, &options);
    if (rc == 0)
        rc = group_spawn(group, "admin", run_admin, s);
    if (rc == 0) {
        s->admin_served = s->admin_listener; /* the admin server's from here on */
        s->admin_listener = NULL;
    }
    return rc;
}

/* ---- Orders ---- */

static int obey(void *arg)
{
    struct server *s = arg;
    enum control_word word;
    int rc = control_next(&s->control, &word);
    while (rc == 0) {
        bool reloads = word == CONTROL_DRAIN;
        drain_workers(s, reloads ? RELOAD_IDLE_NS : 0, !reloads);
        if (word == CONTROL_STOP)
            break; /* in more of a hurry one cannot be */
        rc = control_next(&s->control, &word);
    }
    return rc;
}

/* Signals to the whole process group, from a terminal or an init, reach the server beside its
 * supervisor. Those that end it have it drain, as the supervisor will order anyway; the others
 * are the supervisor's. */
static int heed_signals(void *arg)
{
    struct server *s = arg;
    int rc = 0;
    while (rc >= 0) {
        rc = signals_next(s->signals);
        if (rc == SIGTERM || rc == SIGINT || rc == SIGQUIT)
            drain_workers(s, 0, true);
    }
    return rc;
}

/* Until it is ordered to end, or a worker fails. */
static int await_end(struct server *s)
{
    s->waiter = coro_self();
    int rc = 0;
    while (!s->ending && s->failure == 0 && rc == 0)
        rc = coro_park("orders");
    s->waiter = NULL;
    if (s->failure)
        log_error(s->log, "a worker ended: %s", error_text(s->failure));
    return rc;
}

static void say_failed(struct server *s, struct error *e)
{
    char line[CONTROL_LINE_MAX - 1];
    if (e->code == 0)
        return;
    snprintf(line, sizeof(line), "failed %.900s", e->sentence);
    for (char *c = line; *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    log_error(s->log, "%s", e->sentence);
    error_clear(e); /* once */
    int said = control_say(&s->control, line);
    if (said)
        log_error(s->log, "cannot tell the supervisor so: %s", error_text(said));
}

static int serve(struct server *s, struct error *e)
{
    GROUP(crew, GROUP_INDEPENDENT);
    GROUP(beside, GROUP_INDEPENDENT);
    GROUP(admin, GROUP_INDEPENDENT);
    int rc = start_workers(s, &crew, e);
    if (rc)
        say_failed(s, e); /* now, since a step that hangs may hold its thread for ever */
    if (rc == 0)
        rc = start_admin(s, &admin);
    if (rc == 0) {
        close_listeners(s); /* each worker has its own by now */
        s->admin.ready = true;
        rc = control_say(&s->control, "ready");
    }
    if (rc == 0)
        rc = group_spawn(&beside, "orders", obey, s);
    if (rc == 0)
        rc = group_spawn(&beside, "signals", heed_signals, s);
    if (rc == 0)
        rc = await_end(s);
    if (!s->ending)
        drain_workers(s, 0, false);
    int ended = group_wait(&crew);
    int answered = group_wait(&admin);
    (void)answered; /* who asks is told that it was the last */
    return rc ? rc : s->failure ? s->failure : ended;
}

/* ---- Life ---- */

/* A thread has to be waited for, also one that nobody attends for want of memory. */
static void end_thread(struct server *s, struct thread *thread)
{
    CORO_SHIELD(DEADLINE_NEVER);
    int result = 0;
    int rc = thread_wait(thread, &result);
    if (rc) /* only in a simulated process that was killed: its threads have ended with it */
        log_debug(s->log, "an I/O thread was not waited for: %s", error_text(rc));
    thread_close(thread);
}

static void release(struct server *s)
{
    for (unsigned i = 0; s->posts && i < s->worker_count; i++)
        if (s->posts[i].thread)
            end_thread(s, s->posts[i].thread);
    access_writer_stop(s->access);
    http_server_free(s->admin_server);
    for (unsigned i = 0; s->workers && i < s->worker_count; i++)
        worker_free(s->workers[i]);
    meter_free(s->meter);
    figures_free(s->figures);
    body_budget_free(s->bodies);
    pools_free(s->pools);
    worker_metrics_free(s->metrics);
    mem_free(s->workers);
    mem_free(s->posts);
    service_free(s->service);
    conf_free(s->conf);
    close_listeners(s);
    bytes_release(&s->start.config);
    control_release(&s->control);
    if (s->signals)
        signals_close(s->signals);
}

static int run(struct server *s, struct error *e)
{
    static const int caught[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};
    int rc = world_signals(s->world, caught, sizeof(caught) / sizeof(*caught), &s->signals);
    if (rc)
        return error_set(e, rc, "signals", "cannot catch signals: %s", error_text(rc));
    rc = control_read_start(&s->control, &s->start, e);
    if (rc == 0)
        rc = inherit(s, e);
    if (rc == 0)
        rc = configure(s, e);
    if (rc == 0)
        rc = make_shared(s, e);
    return rc ? rc : serve(s, e);
}

/* The log of a server that was given none: it has a level and a form all the same. */
static void say_nothing(void *ctx, const char *line, size_t len)
{
}

static int64_t no_time(void *ctx)
{
    return 0;
}

int server_run(struct world *w, const struct server_options *options)
{
    struct log silent = {.level = LOG_ERROR, .sink = say_nothing, .wall_ns = no_time};
    struct server s = {.world = w, .options = options, .log = options->log};
    if (!s.log)
        s.log = world_log(w) ? world_log(w) : &silent;
    control_init(&s.control, options->control);
    struct error e;
    error_clear(&e);
    int rc = run(&s, &e);
    if (rc && !s.admin.ready && !s.ending)
        say_failed(&s, &e);
    release(&s);
    return rc ? 1 : 0;
}

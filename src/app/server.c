/*
 * server.c: the server process: reads its configuration, starts its I/O threads, drains them.
 *
 * The process's first thread runs I/O thread 0, the admin listener and the control stream. What the
 * I/O threads share is made before they start and freed after they have ended.
 */
#include "app/server.h"

#include "app/admin.h"
#include "app/control.h"
#include "app/io_thread.h"
#include "app/metrics.h"
#include "app/service.h"
#include "base/bug.h"
#include "base/mem.h"
#include "coro/group.h"
#include "flow/flow.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

/* After a reload, an idle connection stays open this long for one last request, whose reply closes
 * it. */
#define RELOAD_IDLE_NS (5 * NS_PER_S)
/* The supervisor enforces the end of a drain; admin requests get only this long. */
#define ADMIN_DRAIN_NS (500 * NS_PER_MS)

/* One I/O thread and the thread that runs it. */
struct io_slot {
    struct server *server;
    struct io_thread *io_thread;
    struct thread *thread; /* NULL: I/O thread 0 runs on the process's first thread */
    struct message started;
    int started_rc;
    struct error refused; /* why the start failed, if more is known than started_rc */
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
    struct upstreams *upstreams;
    struct pools *pools;
    struct io_thread_metrics *metrics;
    struct access_writer *access;
    struct body_budget *bodies; /* limits.bodies, over all I/O threads */
    struct admin admin;
    struct http_server *admin_server;
    struct listener *admin_listener;
    struct listener *admin_served;
    struct listener *listeners[SPAWN_LISTENERS_MAX];
    unsigned listener_count;
    struct app_metrics app_metrics;
    struct io_slot *slots;
    struct io_thread **io_threads;
    unsigned io_thread_count;
    unsigned started;    /* I/O threads that have reported their start */
    int failure;         /* of the first that failed to start, or ended unasked */
    struct coro *waiter; /* for all I/O threads to start, then for a command or a failure */
    bool ending;
};

/* ---- Sockets ---- */

static int inherit_listeners(struct server *s, struct error *e)
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

/* The sockets that I/O thread `index` accepts from: they are dealt out so that every socket has a
 * thread, and every thread has one socket of each address. */
static unsigned deal(const struct server *s, unsigned index, struct listener **out)
{
    unsigned count = 0, base = 0;
    for (unsigned i = 0; i < s->start.group_count; i++) {
        unsigned sockets = s->start.groups[i];
        for (unsigned j = 0; j < sockets; j++)
            if (j % s->io_thread_count == index || index % sockets == j)
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

/* Loads the plugins, too: the supervisor does not, so a broken one is first noticed here or by
 * `weir check`. */
static int make_pools(struct server *s, struct error *e)
{
    s->io_thread_count = s->config->threads ? s->config->threads : world_cores(s->world);
    int rc = meter_new(&s->meter, s->io_thread_count);
    if (rc)
        return error_set(e, rc, "memory", "no memory for metrics");
    unsigned threads = pools_step_threads(s->config, s->io_thread_count, world_cores(s->world));
    if (threads > 0 && s->options->step_threads)
        s->options->step_threads(s->options->ctx, threads);
    return pools_new(&s->pools,
        &(struct pools_options){
            .config = s->config,
            .clients = s->io_thread_count,
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
    int rc = upstreams_new(&s->upstreams, s->config);
    struct flow_links links = {.config = s->config,
        .unsafe = s->options->unsafe,
        .pools = s->pools,
        .upstreams = s->upstreams};
    return rc ? rc : service_new(&s->service, s->config, &links, seed, errors);
}

/* The supervisor has checked the configuration with the same code: apart from plugins, an error
 * here means a bug or a supervisor of another version. */
static int configure(struct server *s, struct error *e)
{
    struct conf_errors *errors = conf_errors_new();
    if (!errors)
        return error_set(e, -ENOMEM, "memory", "no memory for the configuration");
    int rc = conf_parse(&s->conf, bytes_span(&s->start.config), &flow_kinds, errors);
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

/* ---- I/O threads ---- */

static void fail(struct server *s, int rc)
{
    if (s->failure == 0)
        s->failure = rc;
    if (s->waiter)
        coro_wake(s->waiter, 0);
}

static void on_started(struct message *m)
{
    struct io_slot *slot = container_of(m, struct io_slot, started);
    struct server *s = slot->server;
    check(s->started < s->io_thread_count, "an I/O thread reports its start twice");
    s->started++;
    if (slot->started_rc)
        fail(s, slot->started_rc);
    else if (s->waiter)
        coro_wake(s->waiter, 0);
}

/* Called on the I/O thread. Thread 0 is the server's own, and needs no message: a simulated server
 * that is killed may end before a message to itself arrives. */
static void started(void *ctx, int rc, const struct error *e)
{
    struct io_slot *slot = ctx;
    slot->started_rc = rc;
    error_clear(&slot->refused);
    if (e)
        slot->refused = *e;
    slot->started.deliver = on_started;
    if (slot == slot->server->slots)
        on_started(&slot->started);
    else
        world_post(slot->server->world, &slot->started);
}

static int make_io_threads(struct server *s)
{
    s->slots = mem_zalloc(s->io_thread_count * sizeof(*s->slots));
    s->io_threads = mem_zalloc(s->io_thread_count * sizeof(struct io_thread *));
    if (!s->slots || !s->io_threads)
        return -ENOMEM;
    struct listener *dealt[SPAWN_LISTENERS_MAX];
    for (unsigned i = 0; i < s->io_thread_count; i++) {
        s->slots[i].server = s;
        struct io_thread_options options = {
            .index = i,
            .count = s->io_thread_count,
            .config = s->config,
            .service = s->service,
            .pools = s->pools,
            .upstreams = s->upstreams,
            .meter = s->meter,
            .access = s->access,
            .bodies = s->bodies,
            .listeners = dealt,
            .listener_count = deal(s, i, dealt),
            .started = started,
            .ctx = &s->slots[i],
        };
        int rc = io_thread_new(&s->io_threads[i], &options, s->metrics);
        if (rc)
            return rc;
        s->slots[i].io_thread = s->io_threads[i];
    }
    return 0;
}

static int make_shared(struct server *s, struct error *e)
{
    int rc = io_thread_metrics_register(s->meter, s->service, &s->metrics);
    if (rc == 0)
        rc = upstreams_register(s->upstreams, s->meter);
    if (rc)
        return error_set(e, rc, "start", "cannot start: %s", error_text(rc));
    rc = access_writer_start(&s->access, s->world, s->log);
    if (rc)
        return error_set(
            e, rc, "start", "the access log's thread cannot start: %s", error_text_task(rc));
    rc = body_budget_new(&s->bodies, s->config->limits.bodies, s->io_thread_count);
    if (rc == 0)
        rc = make_io_threads(s);
    s->app_metrics = (struct app_metrics){
        .io_threads = s->io_threads, .count = s->io_thread_count, .bodies = s->bodies};
    if (rc == 0)
        rc = app_metrics_register(&s->app_metrics, s->meter);
    if (rc == 0)
        meter_seal(s->meter);
    s->admin = (struct admin){.conf = s->conf,
        .meter = s->meter,
        .pools = s->pools,
        .upstreams = s->upstreams,
        .world = s->world};
    return rc ? error_set(e, rc, "start", "cannot start: %s", error_text(rc)) : 0;
}

static int run_first(void *arg)
{
    struct io_slot *slot = arg;
    int rc = io_thread_run(slot->server->world, slot->io_thread);
    if (!slot->server->ending)
        fail(slot->server, rc ? rc : -ECANCELED);
    return rc;
}

static int watch_thread(void *arg)
{
    struct io_slot *slot = arg;
    int result = 0;
    int rc = thread_wait(slot->thread, &result);
    if (!slot->server->ending)
        fail(slot->server, rc ? rc : result ? result : -ECANCELED);
    return rc;
}

static int start_io_thread(struct server *s, struct io_slot *slot, struct group *io_threads)
{
    if (slot == s->slots)
        return group_spawn(io_threads, "I/O thread", run_first, slot);
    char name[32];
    snprintf(name, sizeof(name), "io %d", (int)(slot - s->slots));
    int rc = world_thread(s->world, name, io_thread_run, slot->io_thread, &slot->thread);
    /* The coroutine notices the thread's end; otherwise only the server's own end would. */
    return rc ? rc : group_spawn(io_threads, "watch I/O thread", watch_thread, slot);
}

/* Waits until `count` I/O threads have reported their start: 0 or -ECANCELED. */
static int await_starts(struct server *s, unsigned count)
{
    int rc = 0;
    s->waiter = coro_self();
    while (s->started < count && rc == 0)
        rc = coro_park("I/O threads to start");
    s->waiter = NULL;
    return rc;
}

/* Returns 0 if all accept connections. In any case, all that were begun have reported by then: what
 * they use may be freed. */
static int start_io_threads(struct server *s, struct group *io_threads, struct error *e)
{
    unsigned begun = 0;
    int rc = 0;
    while (begun < s->io_thread_count && rc == 0) {
        rc = start_io_thread(s, &s->slots[begun], io_threads);
        if (rc == 0 || s->slots[begun].thread)
            begun++;
    }
    int waited = await_starts(s, begun);
    if (rc == 0)
        rc = waited ? waited : s->failure;
    for (unsigned i = 0; i < begun && rc; i++)
        if (s->slots[i].started_rc == rc && s->slots[i].refused.code) {
            *e = s->slots[i].refused;
            return rc;
        }
    return rc ? error_set(e, rc, "start", "an I/O thread cannot start: %s", error_text_task(rc))
              : 0;
}

/* A server that never became ready has no requests to drain. */
static int64_t drain_limit(const struct server *s)
{
    return s->admin.ready || s->ending ? s->config->timeouts.drain : 0;
}

/* `last`: no other server accepts from these sockets. */
static void drain_io_threads(struct server *s, int64_t idle_ns, bool last)
{
    struct io_thread_drain how = {.idle_ns = idle_ns, .all_ns = drain_limit(s), .last = last};
    s->ending = true;
    s->admin.ready = idle_ns > 0; /* else no server replaces it */
    for (unsigned i = 0; i < s->io_thread_count; i++)
        if (s->slots[i].started.deliver && s->slots[i].started_rc == 0)
            io_thread_drain(s->io_threads[i], s->world, &how);
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
        s->admin_served = s->admin_listener; /* http_server_run closes it */
        s->admin_listener = NULL;
    }
    return rc;
}

/* ---- Commands ---- */

static int handle_commands(void *arg)
{
    struct server *s = arg;
    enum control_word word;
    int rc = control_next(&s->control, &word);
    while (rc == 0) {
        bool reloads = word == CONTROL_DRAIN;
        drain_io_threads(s, reloads ? RELOAD_IDLE_NS : 0, !reloads);
        if (word == CONTROL_STOP)
            break; /* no command is more urgent */
        rc = control_next(&s->control, &word);
    }
    return rc;
}

/* A terminal or an init signals the whole process group, so also this process. A signal to stop
 * starts the drain that the supervisor will command anyway; others are for the supervisor. */
static int listen_signals(void *arg)
{
    struct server *s = arg;
    int rc = 0;
    while (rc >= 0) {
        rc = signals_next(s->signals);
        if (rc == SIGTERM || rc == SIGINT || rc == SIGQUIT)
            drain_io_threads(s, 0, true);
    }
    return rc;
}

/* Waits for a command to end, or for an I/O thread to fail. */
static int await_end(struct server *s)
{
    s->waiter = coro_self();
    int rc = 0;
    while (!s->ending && s->failure == 0 && rc == 0)
        rc = coro_park("a command to end");
    s->waiter = NULL;
    if (s->failure)
        log_error(s->log, "an I/O thread ended: %s", error_text(s->failure));
    return rc;
}

static void report_failure(struct server *s, struct error *e)
{
    char line[CONTROL_LINE_MAX - 1];
    if (e->code == 0)
        return;
    snprintf(line, sizeof(line), "failed %.900s", e->sentence);
    for (char *c = line; *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    log_error(s->log, "%s", e->sentence);
    error_clear(e); /* once */
    int said = control_send(&s->control, line);
    if (said)
        log_error(s->log, "cannot report this to the supervisor: %s", error_text(said));
}

static int serve(struct server *s, struct error *e)
{
    GROUP(io_threads, GROUP_INDEPENDENT);
    GROUP(helpers, GROUP_INDEPENDENT);
    GROUP(admin, GROUP_INDEPENDENT);
    int rc = start_io_threads(s, &io_threads, e);
    if (rc)
        report_failure(
            s, e); /* before the threads end: a step that hangs may hold its thread for ever */
    if (rc == 0)
        rc = start_admin(s, &admin);
    if (rc == 0) {
        close_listeners(s); /* each I/O thread has duplicates of its own */
        s->admin.ready = true;
        rc = control_send(&s->control, "ready");
    }
    if (rc == 0)
        rc = group_spawn(&helpers, "commands", handle_commands, s);
    if (rc == 0)
        rc = group_spawn(&helpers, "signals", listen_signals, s);
    if (rc == 0)
        rc = await_end(s);
    if (!s->ending)
        drain_io_threads(s, 0, false);
    int ended = group_wait(&io_threads);
    int answered = group_wait(&admin);
    (void)answered; /* a failure of the admin server does not fail the server */
    return rc ? rc : s->failure ? s->failure : ended;
}

/* ---- Life ---- */

/* A thread must be joined even if no coroutine could be made to watch it. */
static void end_thread(struct server *s, struct thread *thread)
{
    CORO_SHIELD(DEADLINE_NEVER);
    int result = 0;
    int rc = thread_wait(thread, &result);
    if (rc) /* only in a simulated process that was killed, with its threads */
        log_debug(s->log, "an I/O thread was not waited for: %s", error_text(rc));
    thread_close(thread);
}

static void release(struct server *s)
{
    for (unsigned i = 0; s->slots && i < s->io_thread_count; i++)
        if (s->slots[i].thread)
            end_thread(s, s->slots[i].thread);
    access_writer_stop(s->access);
    http_server_free(s->admin_server);
    for (unsigned i = 0; s->io_threads && i < s->io_thread_count; i++)
        io_thread_free(s->io_threads[i]);
    meter_free(s->meter);
    body_budget_free(s->bodies);
    pools_free(s->pools);
    io_thread_metrics_free(s->metrics);
    mem_free(s->io_threads);
    mem_free(s->slots);
    service_free(s->service);
    upstreams_free(s->upstreams);
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
        rc = inherit_listeners(s, e);
    if (rc == 0)
        rc = configure(s, e);
    if (rc == 0)
        rc = make_shared(s, e);
    return rc ? rc : serve(s, e);
}

/* The log of a server without one: its level and format are set all the same. */
static void discard_line(void *ctx, const char *line, size_t len)
{
}

static int64_t no_time(void *ctx)
{
    return 0;
}

int server_run(struct world *w, const struct server_options *options)
{
    struct log silent = {.level = LOG_ERROR, .sink = discard_line, .wall_ns = no_time};
    struct server s = {.world = w, .options = options, .log = options->log};
    if (!s.log)
        s.log = world_log(w) ? world_log(w) : &silent;
    control_init(&s.control, options->control);
    struct error e;
    error_clear(&e);
    int rc = run(&s, &e);
    if (rc && !s.admin.ready && !s.ending)
        report_failure(&s, &e);
    release(&s);
    return rc ? 1 : 0;
}

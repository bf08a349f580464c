/*
 * supervisor.c: a level-triggered state machine: each tick compares the state with what is wanted,
 * and acts.
 *
 * Other coroutines only record events (a signal, a server that is ready or has ended) and wake the
 * one that decides. So decisions never overlap, and each sees the current state.
 *
 *      start ──▶ next ── ready ──▶ serving ── a newer one is ready ──▶ drains ── ended
 *                 │                   │
 *        failed, late, died        died: next, at once or after a delay
 *
 * At most one server is `next`; at most one is `serving`; the others in the list drain.
 */
#include "app/supervisor.h"

#include "app/pid_file.h"
#include "app/restart.h"
#include "app/upgrade.h"
#include "base/bug.h"
#include "coro/group.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define DRAIN_EXTRA_NS (3 * NS_PER_S) /* after timeouts.drain; worker processes get two of them */
#define FAILED_NS      (1 * NS_PER_S) /* for a server to exit that has reported a failure */
/* A stop signal to the process and to its group at once is one request, not two. */
#define SAME_STOP_NS   (500 * NS_PER_MS)

#define SERVER_FIELDS(server) LOG_FIELDS(LOG_NUMBER("pid", (server)->pid))

struct supervisor {
    struct world *world;
    struct log *log;
    const struct supervisor_options *options;
    struct group *group; /* of all coroutines but the deciding one */
    struct coro *self;
    struct signals *signals;
    bool waits;   /* the deciding coroutine is parked */
    bool changed; /* an event came since the last tick began */

    struct list servers; /* through server_process.link: all of them */
    struct server_process *next;
    struct server_process *serving;
    struct loaded_config *good; /* of the last server that became ready; NULL: none yet */

    struct restart restart;
    int64_t ping_at;

    /* What signals have requested. */
    unsigned stops;
    int64_t stop_at; /* of the first */
    bool reload_wanted;
    struct upgrade upgrade;

    bool ready_once;
    bool stopping;
    bool done;
    enum exit_status status;
};

/* ---- Events ---- */

static void wake(void *ctx)
{
    struct supervisor *s = ctx;
    s->changed = true;
    if (s->waits)
        coro_wake(s->self, 0);
}

static void note_stop(struct supervisor *s)
{
    int64_t now = world_now(s->world);
    if (s->stops == 0)
        s->stop_at = now;
    if (s->stops == 0 || now - s->stop_at > SAME_STOP_NS)
        s->stops++;
}

static int listen_signals(void *arg)
{
    struct supervisor *s = arg;
    for (;;) {
        int number = signals_next(s->signals);
        if (number < 0)
            return number;
        if (number == SIGHUP)
            s->reload_wanted = true;
        else if (number != SIGUSR2)
            note_stop(s);
        else
            upgrade_request(&s->upgrade);
        wake(s);
    }
}

static void notify(struct supervisor *s, const char *state)
{
    if (s->options->notify)
        s->options->notify(s->options->ctx, state);
}

static void notify_reloading(struct supervisor *s)
{
    char state[64];
    snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld",
        (long long)(world_now(s->world) / NS_PER_US));
    notify(s, state);
}

/* ---- Servers that start ---- */

static void end_with(struct supervisor *s, enum exit_status status)
{
    s->done = true;
    s->status = status;
}

static void back_off(struct supervisor *s, int64_t lived_ns, bool was_ready)
{
    int64_t delay = restart_after_failure(&s->restart, world_now(s->world), lived_ns, was_ready);
    if (delay)
        log_warn(s->log, "the next server starts in %lld ms", (long long)(delay / NS_PER_MS));
}

static int start_server(struct supervisor *s, struct loaded_config *config)
{
    check(!s->next, "two servers start at once");
    struct server_start start = {
        .argv = s->options->server_argv, .env_add = s->options->server_env, .wake = wake, .ctx = s};
    int rc = server_process_start(&s->next, s->world, s->group, config, &start);
    if (rc) {
        s->next = NULL;
        log_error(s->log, "cannot start a server: %s", error_text_task(rc));
        return rc;
    }
    struct server_process *p = s->next;
    list_push_back(&s->servers, &p->link);
    p->until = deadline_after(p->began, loaded_config_start_ns(config));
    p->drain_ns = loaded_config_values(config)->timeouts.drain;
    log_with(s->log, LOG_DEBUG, SERVER_FIELDS(p), "server %d starts", p->pid);
    return 0;
}

/* Starts the first server, or the next after a death. */
static void start_again(struct supervisor *s)
{
    struct loaded_config *config = s->good;
    int rc = 0;
    if (config)
        loaded_config_use(config);
    else
        rc = loaded_config_load(&config, &s->options->source, s->options->sockets, s->log);
    if (rc == 0) {
        rc = start_server(s, config);
        loaded_config_drop(config); /* the server uses it, too */
    }
    if (rc && !s->ready_once)
        end_with(s, rc == -EINVAL ? EXIT_STATUS_REFUSED : EXIT_STATUS_ENVIRONMENT);
    else if (rc)
        back_off(s, 0, false);
}

static unsigned servers_count(const struct supervisor *s)
{
    unsigned count = 0;
    list_each (link, &s->servers)
        count++;
    return count;
}

static bool can_start_another(const struct supervisor *s)
{
    return !s->next && servers_count(s) < SUPERVISOR_SERVERS_MAX;
}

static void refuse_reload(struct supervisor *s, const char *why)
{
    log_error(s->log, "the reload is refused: %s; %s", why,
        s->serving ? "the old server serves on" : "the old configuration stays in use");
    notify(s, "READY=1\nSTATUS=The last reload was refused; serving as before.");
}

static void reload(struct supervisor *s)
{
    struct loaded_config *config;
    s->reload_wanted = false;
    log_with(s->log, LOG_INFO, LOG_FIELDS(LOG_TEXT("file", s->options->source.path)),
        "reload: reading %s", s->options->source.path);
    notify_reloading(s);
    int rc = loaded_config_load(&config, &s->options->source, s->options->sockets, s->log);
    if (rc) {
        refuse_reload(s, "the new configuration cannot be used");
        return;
    }
    rc = start_server(s, config);
    loaded_config_drop(config);
    if (rc)
        refuse_reload(s, "a new server cannot be started");
}

/* ---- Servers' events ---- */

static void drain(struct supervisor *s, struct server_process *p)
{
    server_process_tell(p, "drain\n");
    p->state = SERVER_ENDING;
    p->until = deadline_after(world_now(s->world), deadline_after(p->drain_ns, DRAIN_EXTRA_NS));
    /* Closes sockets that only it used now rather than at its end: it accepts no more connections,
     * so that callers would wait in a queue that no server reads. */
    if (p->config)
        loaded_config_drop(p->config);
    p->config = NULL;
}

static void adopt_config(struct supervisor *s, struct loaded_config *config)
{
    if (s->good == config)
        return;
    loaded_config_use(config);
    if (s->good)
        loaded_config_drop(s->good);
    s->good = config;
    if (s->options->configured)
        s->options->configured(s->options->ctx, loaded_config_values(config));
}

static void become_ready(struct supervisor *s, struct server_process *p)
{
    struct server_process *old = s->serving;
    check(p == s->next && p->config, "a server is ready that was not the next one");
    bool changed = s->good != p->config;
    s->next = NULL;
    s->serving = p;
    p->state = SERVER_SERVING;
    p->until = DEADLINE_NEVER;
    if (old)
        drain(s, old);
    adopt_config(s, p->config);
    if (changed)
        loaded_config_log_addresses(p->config, s->log);
    log_with(s->log, LOG_INFO, SERVER_FIELDS(p), "server %d serves, ready after %lld ms", p->pid,
        (long long)((world_now(s->world) - p->began) / NS_PER_MS));
    if (!s->ready_once)
        pid_file_write(s->world, s->options->pid_file, s->options->pid);
    s->ready_once = true;
    notify(s, "READY=1\nSTATUS=Serving.");
}

static void did_not_start(struct supervisor *s, struct server_process *p)
{
    char why[SERVER_LINE_MAX];
    server_process_why_not_ready(p, why, sizeof(why));
    bool is_reload = s->serving || (s->good && s->good != p->config);
    s->next = NULL;
    if (is_reload) {
        log_with(s->log, LOG_ERROR, SERVER_FIELDS(p), "the new server %d did not start: %s", p->pid,
            why);
        refuse_reload(s, "its server did not start");
        return;
    }
    log_with(s->log, LOG_ERROR, SERVER_FIELDS(p), "server %d did not start: %s", p->pid, why);
    /* It reported an error: a retry would not help, and nothing has been promised to anyone. */
    if (!s->ready_once && p->failure[0])
        end_with(s, EXIT_STATUS_ENVIRONMENT);
    else
        back_off(s, 0, false);
}

static void died(struct supervisor *s, struct server_process *p)
{
    char end[64];
    int64_t lived = world_now(s->world) - p->began;
    s->serving = NULL;
    log_with(s->log, LOG_ERROR, SERVER_FIELDS(p), "server %d %s after %lld.%03lld s", p->pid,
        server_process_end(p, end), (long long)(lived / NS_PER_S),
        (long long)(lived % NS_PER_S / NS_PER_MS));
    back_off(s, lived, true);
}

static void has_drained(struct supervisor *s, const struct server_process *p)
{
    char end[64];
    if (p->exit.status == 0 && p->exit.signal == 0)
        log_with(s->log, LOG_INFO, SERVER_FIELDS(p),
            s->stopping ? "server %d has ended" : "old server %d has drained", p->pid);
    else if (!p->killed)
        log_with(s->log, LOG_WARN, SERVER_FIELDS(p), "old server %d %s while it drained", p->pid,
            server_process_end(p, end));
}

static void handle_server_events(struct supervisor *s)
{
    list_each_safe (link, &s->servers) {
        struct server_process *p = list_entry(link, struct server_process, link);
        if (!p->ended) {
            if (p == s->next && p->ready && !s->stopping)
                become_ready(s, p);
            else if (p->failure[0] && !p->killed) /* a failed step may keep it from exiting */
                p->until =
                    deadline_sooner(p->until, deadline_after(world_now(s->world), FAILED_NS));
            continue;
        }
        if (p == s->next && !s->stopping)
            did_not_start(s, p);
        else if (p == s->serving && !s->stopping)
            died(s, p);
        else
            has_drained(s, p);
        if (p == s->next)
            s->next = NULL;
        if (p == s->serving)
            s->serving = NULL;
        server_process_free(p);
    }
}

/* ---- Upgrade ---- */

static void exec_upgrade(struct supervisor *s)
{
    struct upgrade_state upgrade_state = {.sockets = s->options->sockets};
    list_each (link, &s->servers) {
        struct server_process *p = list_entry(link, struct server_process, link);
        upgrade_state.servers[upgrade_state.server_count++] =
            (struct upgrade_server){.child = p->child,
                .control = p->control,
                .pid = p->pid,
                .drain_ns = p->drain_ns,
                .serves = p == s->serving};
    }
    log_info(s->log, "upgrade: %s takes over", s->options->check_argv[0]);
    notify_reloading(s);
    int rc = s->options->exec(s->options->ctx, &upgrade_state);
    log_error(s->log, "the upgrade failed: cannot execute %s: %s; serving on as before",
        s->options->check_argv[0], error_text(rc));
    notify(s, "READY=1\nSTATUS=The last upgrade failed; serving as before.");
}

static void upgrade(struct supervisor *s)
{
    if (s->upgrade.phase == UPGRADE_REQUESTED)
        upgrade_check(&s->upgrade, s->group);
    if (s->upgrade.phase != UPGRADE_ACCEPTED || !can_start_another(s))
        return; /* the new program must be able to start a server */
    s->upgrade.phase = UPGRADE_NONE;
    exec_upgrade(s);
}

/* ---- The end ---- */

static void log_stopping(const struct supervisor *s)
{
    if (s->serving)
        log_info(s->log,
            "stopping: waiting up to %lld s for running requests (Ctrl-C again to stop at once)",
            (long long)(s->serving->drain_ns / NS_PER_S));
    else
        log_info(s->log, "stopping");
}

static void stop(struct supervisor *s)
{
    int64_t now = world_now(s->world);
    bool first = !s->stopping;
    if (first) {
        s->stopping = true;
        /* Before the servers drain: they accept what is in the queues, and close last. */
        sockets_close(s->options->sockets);
        log_stopping(s);
        notify(s, "STOPPING=1");
    } else if (s->stops > 1) {
        log_warn(s->log, "stopping at once: a second signal came");
    }
    list_each (link, &s->servers) {
        struct server_process *p = list_entry(link, struct server_process, link);
        if (p == s->next || s->stops > 1) {
            server_process_kill(p);
        } else if (first) {
            server_process_tell(p, "stop\n");
            p->state = SERVER_ENDING;
            p->until = deadline_after(now, deadline_after(p->drain_ns, DRAIN_EXTRA_NS));
        }
    }
    s->stops = s->stops > 1 ? 1 : s->stops; /* not killed again in the next tick */
}

/* ---- Time ---- */

static void enforce_deadlines(struct supervisor *s)
{
    int64_t now = world_now(s->world);
    list_each (link, &s->servers) {
        struct server_process *p = list_entry(link, struct server_process, link);
        if (now < p->until)
            continue;
        log_with(s->log, LOG_WARN, SERVER_FIELDS(p), "server %d is killed: it %s", p->pid,
            p == s->next && !p->failure[0] ? "is not ready in time" : "has not ended in time");
        server_process_kill(p);
    }
    if (s->options->watchdog_ns > 0 && now >= s->ping_at) {
        notify(s, "WATCHDOG=1");
        s->ping_at = deadline_after(now, s->options->watchdog_ns / 2);
    }
}

static int64_t next_deadline(const struct supervisor *s)
{
    int64_t when = s->options->watchdog_ns > 0 ? s->ping_at : DEADLINE_NEVER;
    if (!s->stopping && !s->serving && !s->next)
        when = deadline_sooner(when, s->restart.at);
    list_each (link, &s->servers)
        when = deadline_sooner(when, list_entry(link, struct server_process, link)->until);
    return when;
}

static int wait_for_event(struct supervisor *s)
{
    if (s->changed)
        return coro_poll();
    s->waits = true;
    int rc = coro_sleep("an event", next_deadline(s));
    s->waits = false;
    return rc;
}

/* ---- The loop ---- */

static void decide(struct supervisor *s)
{
    if (s->stops > 0) {
        if (!s->stopping || s->stops > 1)
            stop(s);
        if (list_empty(&s->servers))
            end_with(s, EXIT_STATUS_OK);
        return;
    }
    upgrade(s);
    if (s->reload_wanted && can_start_another(s))
        reload(s);
    bool none = !s->serving && !s->next;
    if (none && world_now(s->world) >= s->restart.at)
        start_again(s);
}

static int supervise(struct supervisor *s)
{
    while (!s->done) {
        s->changed = false;
        handle_server_events(s);
        if (s->done)
            break;
        decide(s);
        enforce_deadlines(s);
        int rc = s->done ? 0 : wait_for_event(s);
        if (rc)
            return rc;
    }
    return 0;
}

/* Adopts the servers of an earlier program image. A reload then replaces the one that serves. */
static void adopt_servers(struct supervisor *s)
{
    const struct upgrade_state *h = s->options->inherited;
    struct server_start start = {.wake = wake, .ctx = s};
    for (unsigned i = 0; h && i < h->server_count; i++) {
        const struct upgrade_server *left = &h->servers[i];
        struct server_process *p;
        int rc = server_process_adopt(&p, s->world, s->group, left->child, left->control, &start);
        if (rc) {
            log_with(s->log, LOG_ERROR, SERVER_FIELDS(left), "cannot adopt server %d: %s",
                left->pid, error_text(rc));
            child_close(left->child);
            stream_close(left->control);
            continue;
        }
        p->state = left->serves ? SERVER_SERVING : SERVER_ENDING;
        p->drain_ns = left->drain_ns;
        if (!left->serves)
            p->until = deadline_after(p->began, p->drain_ns + DRAIN_EXTRA_NS);
        else
            s->serving = p;
        list_push_back(&s->servers, &p->link);
        s->reload_wanted = s->ready_once = true;
    }
}

static int catch_signals(struct supervisor *s)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR2};
    int rc = world_signals(s->world, numbers, sizeof(numbers) / sizeof(numbers[0]), &s->signals);
    if (rc)
        return rc;
    if (s->options->catching)
        s->options->catching(s->options->ctx, true);
    return 0;
}

static int run_in_group(struct supervisor *s)
{
    GROUP(group, GROUP_INDEPENDENT);
    s->group = &group;
    int rc = group_spawn(&group, "signals", listen_signals, s);
    if (rc)
        return rc;
    adopt_servers(s);
    return supervise(s);
}

int supervisor_run(struct world *w, const struct supervisor_options *options)
{
    struct supervisor s = {.world = w,
        .log = world_log(w),
        .options = options,
        .self = coro_self(),
        .restart.at = world_now(w),
        .ping_at = world_now(w),
        .upgrade = {.world = w,
            .log = world_log(w),
            .check_argv = options->exec ? options->check_argv : NULL,
            .config_path = options->source.path,
            .wake = wake,
            .ctx = &s}};
    list_init(&s.servers);
    bool is_upgrade = options->inherited && options->inherited->server_count > 0;
    if (!is_upgrade && pid_file_try(w, options->pid_file) != 0)
        return EXIT_STATUS_ENVIRONMENT;
    int rc = catch_signals(&s);
    if (rc == 0) {
        rc = run_in_group(&s);
        if (options->catching)
            options->catching(options->ctx, false);
        signals_close(s.signals);
    }
    list_each_safe (link, &s.servers)
        server_process_free(list_entry(link, struct server_process, link));
    if (s.good)
        loaded_config_drop(s.good);
    if (s.ready_once)
        pid_file_remove(w, options->pid_file);
    if (rc)
        log_error(s.log, "the supervisor failed: %s", error_text(rc));
    else if (s.status == EXIT_STATUS_OK)
        log_info(s.log, "stopped");
    return rc ? EXIT_STATUS_ENVIRONMENT : (int)s.status;
}

/*
 * weir_host.c: see weir_host.h.
 */
#include "weir_host.h"

#include "app/server.h"
#include "app/supervisor.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_PATH "/weir.yaml"
#define CONFIG_MAX  (64 * 1024)

/* ---- The server ---- */

/* A server has a log, whether anybody reads it or not. */
static void write_line(void *ctx, const char *line, size_t len)
{
    const struct log *log = world_log(ctx);
    if (log)
        log->sink(log->ctx, line, len);
}

static int64_t wall_ns(void *ctx)
{
    return world_wall(ctx);
}

static void server_ended(void *ctx, struct sim_process *p)
{
    struct weir_host *w = ctx;
    unsigned i = 0;
    while (w->servers[i].process != p)
        i++;
    bool killed = w->servers[i].killed || w->killings;
    memmove(&w->servers[i], &w->servers[i + 1], (--w->server_count - i) * sizeof w->servers[0]);
    struct sim_end end = sim_process_end(p);
    if (end.state == SIM_KILLED && killed)
        return;
    sim_check(w->sim,
        end.state == SIM_EXITED && (end.result == 0 || (w->may_not_start && end.result == 1)),
        "a server did not end well: state %d, result %d, signal %d", (int)end.state, end.result,
        end.signal);
    sim_check(w->sim, sim_process_unclosed(p) == 0, "a server left %u things open",
        sim_process_unclosed(p));
}

static int serve(struct world *world, void *arg)
{
    struct weir_host *w = arg;
    struct stream *control;
    sim_check(w->sim, w->server_count < WEIR_SERVERS_MAX, "too many servers run at once");
    w->servers[w->server_count++] = (struct weir_server){.process = sim_self(world)};
    w->started++;
    sim_process_on_end(sim_self(world), server_ended, w);
    int rc = world_inherited_stream(world, 0, &control);
    if (rc)
        return rc;
    struct log log = {.level = LOG_INFO, .sink = write_line, .wall_ns = wall_ns, .ctx = world};
    rc = server_run(world, &(struct server_options){.control = control,
                               .log = &log,
                               .worker_argv = workers_argv,
                               .overrides = w->overrides});
    stream_close(control);
    return rc;
}

/* ---- The supervisor ---- */

static int read_simulated(void *ctx, const char *path, size_t max, char **text, size_t *len)
{
    struct file *f;
    int rc = world_open(ctx, path, O_RDONLY, 0, &f);
    if (rc)
        return rc;
    char *all = mem_alloc(CONFIG_MAX);
    ssize_t got = all ? file_read(f, all, CONFIG_MAX, 0) : -ENOMEM;
    file_close(f);
    if (got < 0) {
        mem_free(all);
        return (int)got;
    }
    *text = all;
    *len = (size_t)got;
    return 0;
}

static const char *no_variable(void *ctx, const char *name)
{
    return NULL;
}

static void note_state(void *ctx, const char *state)
{
    struct weir_host *w = ctx;
    w->readies += strncmp(state, "READY=1", 7) == 0;
}

static void note_configured(void *ctx, const struct config *config)
{
    struct weir_host *w = ctx;
    sim_check(w->sim, w->configured_count < WEIR_EVENTS_MAX, "too many configurations");
    if (w->configured_count == WEIR_EVENTS_MAX)
        return;
    w->configured[w->configured_count++] = (struct weir_configured){.at = sim_now(w->sim),
        .version = config->server[0] == 'v' ? (unsigned)strtoul(config->server + 1, NULL, 10) : 0};
}

static int supervise(struct world *world, void *arg)
{
    struct weir_host *w = arg;
    const char *const server_argv[] = {w->name, "serve", "--server", NULL};
    struct conf_source files = {.file = read_simulated, .env = no_variable, .ctx = world};
    struct sockets sockets;
    sockets_init(&sockets, world);
    w->status = supervisor_run(world, &(struct supervisor_options){
                                          .source = {.path = CONFIG_PATH, .files = &files},
                                          .sockets = &sockets,
                                          .server_argv = server_argv,
                                          .notify = note_state,
                                          .configured = note_configured,
                                          .ctx = w,
                                      });
    sockets_release(&sockets);
    return 0;
}

/* ---- The host ---- */

void weir_host_configure(struct weir_host *w, const char *config)
{
    int rc = sim_file_put(w->host, CONFIG_PATH, config, strlen(config));
    sim_check(w->sim, rc == 0, "there is no configuration: error %d", -rc);
}

void weir_host_init(struct weir_host *w, struct sim *sim, const char *name, const char *config)
{
    *w = (struct weir_host){.sim = sim, .name = name, .status = -1};
    w->host = sim_host(sim, &(struct sim_host_options){.name = name});
    sim_host_address(w->host, WEIR_PORT, &w->at);
    weir_host_configure(w, config);
    if (strcmp(name, "weir") == 0)
        workers_init(&w->workers, sim);
    int rc = sim_program(sim, name, serve, w);
    sim_check(sim, rc == 0, "there is no program: error %d", -rc);
}

int weir_host_await(struct weir_host *w, unsigned before)
{
    while (w->readies <= before) {
        if (sim_process_end(w->supervisor).state != SIM_RUNNING) {
            sim_fail(w->sim, "the supervisor ended with status %d", w->status);
            return -ECANCELED;
        }
        int rc = sim_sleep(w->sim, NS_PER_MS);
        if (rc)
            return rc;
    }
    return 0;
}

int weir_host_start(struct weir_host *w)
{
    w->supervisor = sim_start(w->host, "supervisor", supervise, w);
    return w->supervisor ? weir_host_await(w, 0) : -ENOMEM;
}

int weir_host_try(struct weir_host *w)
{
    w->supervisor = sim_start(w->host, "supervisor", supervise, w);
    if (!w->supervisor)
        return -ENOMEM;
    int rc = 0;
    while (rc == 0 && w->readies == 0 && sim_process_end(w->supervisor).state == SIM_RUNNING)
        rc = sim_sleep(w->sim, NS_PER_MS);
    return rc ? rc : w->readies > 0;
}

int weir_host_stop(struct weir_host *w)
{
    int rc = sim_signal(w->supervisor, SIGTERM);
    sim_check(w->sim, rc == 0, "the supervisor had ended before: status %d", w->status);
    rc = sim_wait(w->supervisor);
    if (rc)
        return rc;
    sim_check(
        w->sim, w->status == EXIT_STATUS_OK, "the supervisor ended with status %d", w->status);
    sim_check(w->sim, sim_process_unclosed(w->supervisor) == 0, "it left %u things open",
        sim_process_unclosed(w->supervisor));
    return 0;
}

void weir_host_kill(struct weir_host *w)
{
    if (w->server_count == 0)
        return;
    struct weir_server *youngest = &w->servers[w->server_count - 1];
    youngest->killed = true;
    int rc = sim_signal(youngest->process, SIGKILL);
    sim_check(w->sim, rc == 0 || rc == -ESRCH, "a server cannot be killed: error %d", -rc);
}

void weir_host_reload(struct weir_host *w)
{
    int rc = sim_signal(w->supervisor, SIGHUP);
    sim_check(w->sim, rc == 0, "the supervisor has ended: status %d", w->status);
}

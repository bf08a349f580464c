/*
 * supervisor_fixture.h: a supervisor on a simulated host, and a stand-in for its server that does
 * what the test says: it speaks the control protocol, accepts, and crashes when it is told.
 */
#pragma once

#include "../world/sim_fixture.h"

#include "app/supervisor.h"
#include "base/bytes.h"

#include <fcntl.h>
#include <signal.h>

/* What the nth server that is started does. */
struct behaviour {
    int64_t ready_after; /* 0: 1 ms */
    bool hangs;          /* never ready */
    const char *fails;   /* says so, and ends; with `hangs`, it does not end */
    int64_t dies_after;  /* since it was ready; 0: it lives; with `hangs`, since its start */
    int dies_status;     /* 0: by SIGKILL */
    int64_t drain_takes; /* negative: for ever */
    bool deaf;           /* reads no more after it is ready */
};

#define SPAWNS_MAX 64

struct spawned {
    int64_t at; /* universe time */
    int64_t ready_at;
    int64_t drain_at;
    int64_t stop_at;
    int64_t ended_at;
    char config[4096];
    char listeners[512]; /* the lines between the configuration and go, '/' for each newline */
};

struct rig {
    struct sim *sim;
    struct sim_host *host;
    struct sim_process *supervisor;
    struct supervisor_options options;
    struct behaviour behaviours[SPAWNS_MAX];
    struct spawned spawned[SPAWNS_MAX];
    int spawn_count;
    char log[256 * 1024];
    char notified[4096];
    int status;
    int check_status; /* of the new binary */
    int execs;
    bool cannot_spawn;
    const char *path; /* NULL: /weir.yaml */
    int (*direct)(struct rig *r);
};

#define NEVER (-1)

/* ---- The stand-in ---- */

struct stand_in {
    struct rig *rig;
    struct world *w;
    const struct behaviour *does;
    struct spawned *said;
    struct stream *control;
    struct listener *listeners[8];
    int listener_count;
    struct bytes in;
};

/* The next line, without its newline, or false at the end. */
static inline bool next_line(struct stand_in *s, char *line, size_t size)
{
    for (;;) {
        char *end = s->in.len ? memchr(s->in.ptr, '\n', s->in.len) : NULL;
        if (end) {
            size_t len = (size_t)(end - s->in.ptr);
            must(len < size);
            memcpy(line, s->in.ptr, len);
            line[len] = '\0';
            bytes_consume(&s->in, len + 1);
            return true;
        }
        ssize_t got = stream_read_into(s->control, &s->in, 64);
        if (got <= 0)
            return false;
    }
}

static inline void hear_beginning(struct stand_in *s)
{
    char line[256];
    must(next_line(s, line, sizeof line));
    must(strncmp(line, "config ", 7) == 0);
    size_t size = strtoul(line + 7, NULL, 10);
    while (s->in.len < size)
        must(stream_read_into(s->control, &s->in, 64) > 0);
    size_t keep = size < sizeof s->said->config ? size : sizeof s->said->config - 1;
    memcpy(s->said->config, s->in.ptr, keep);
    bytes_consume(&s->in, size);
    while (next_line(s, line, sizeof line) && strcmp(line, "go") != 0) {
        strncat(
            s->said->listeners, line, sizeof s->said->listeners - 1 - strlen(s->said->listeners));
        strncat(s->said->listeners, "/", 2);
        unsigned count = strncmp(line, "listener ", 9) == 0
                             ? (unsigned)strtoul(strrchr(line, ' '), NULL, 10)
                             : (unsigned)(strcmp(line, "admin 1") == 0);
        for (unsigned i = 0; i < count; i++, s->listener_count++)
            must(world_inherited_listener(
                     s->w, (unsigned)s->listener_count, &s->listeners[s->listener_count]) == 0);
    }
}

/* Answers each connection with a byte. */
static inline int answer(void *arg)
{
    struct stand_in *s = arg;
    int rc = 0;
    for (;;) {
        struct stream *c;
        rc = listener_accept(s->listeners[0], &c);
        if (rc)
            return rc;
        rc = send_text(c, "!");
        stream_close(c);
        if (rc == -ECANCELED)
            return rc;
    }
}

static inline int die(void *arg)
{
    struct stand_in *s = arg;
    int rc = world_sleep(s->w, s->does->dies_after);
    if (rc)
        return rc; /* it was told to end before */
    s->said->ended_at = sim_now(s->rig->sim);
    if (s->does->dies_status == 0)
        sim_signal(sim_self(s->w), SIGKILL);
    return -EPIPE; /* ends the group */
}

static inline int handle_commands(void *arg)
{
    struct stand_in *s = arg;
    char line[64];
    if (s->does->deaf)
        return world_sleep_until(s->w, DEADLINE_NEVER);
    for (bool stops = false; next_line(s, line, sizeof line) && !stops;) {
        stops = strcmp(line, "stop") == 0;
        must(stops || strcmp(line, "drain") == 0);
        *(stops ? &s->said->stop_at : &s->said->drain_at) = sim_now(s->rig->sim);
        int64_t takes = s->does->drain_takes;
        if (takes == NEVER)
            (void)!world_sleep_until(s->w, DEADLINE_NEVER);
        if (!stops && takes > 0 && !s->in.len) {
            CORO_DEADLINE(deadline_after(world_now(s->w), takes));
            ssize_t got = stream_read_into(s->control, &s->in, 64);
            if (got > 0)
                continue; /* more commands came meanwhile */
        }
        break;
    }
    return -ESHUTDOWN;
}

static inline int live(struct stand_in *s)
{
    GROUP(all, GROUP_FAIL_FAST);
    int rc = group_spawn(&all, "commands", handle_commands, s);
    if (rc == 0 && s->listener_count)
        rc = group_spawn(&all, "answer", answer, s);
    if (rc == 0 && s->does->dies_after)
        rc = group_spawn(&all, "die", die, s);
    return rc ? rc : group_wait(&all);
}

static inline int stand_in(struct world *w, void *arg)
{
    struct rig *rig = arg;
    must(rig->spawn_count < SPAWNS_MAX);
    int n = rig->spawn_count++;
    struct stand_in s = {.rig = rig, .w = w, .does = &rig->behaviours[n], .said = &rig->spawned[n]};
    s.said->at = sim_now(rig->sim);
    bytes_init(&s.in, 64 * 1024);
    must(world_inherited_stream(w, 0, &s.control) == 0);
    hear_beginning(&s);
    must_sleep(w, s.does->ready_after ? s.does->ready_after : NS_PER_MS);
    int status = 0;
    if (s.does->hangs && !s.does->dies_after) {
        char line[256];
        snprintf(line, sizeof line, "failed %s\n", s.does->fails);
        must(!s.does->fails || send_text(s.control, line) == 0);
        (void)!world_sleep_until(w, DEADLINE_NEVER);
    } else if (s.does->hangs) {
        must_sleep(w, s.does->dies_after);
        status = s.does->dies_status;
    } else if (s.does->fails) {
        char line[256];
        snprintf(line, sizeof line, "failed %s\n", s.does->fails);
        must(send_text(s.control, line) == 0);
        status = 1;
    } else {
        s.said->ready_at = sim_now(rig->sim);
        must(send_text(s.control, "ready\n") == 0);
        status = live(&s) == -EPIPE ? s.does->dies_status : 0;
    }
    s.said->ended_at = sim_now(rig->sim);
    for (int i = 0; i < s.listener_count; i++)
        listener_close(s.listeners[i]);
    stream_close(s.control);
    bytes_release(&s.in);
    return status;
}

static inline int stand_in_check(struct world *w, void *arg)
{
    struct rig *rig = arg;
    must(strcmp(sim_argv(w)[1], "check") == 0);
    must_sleep(w, 10 * NS_PER_MS);
    return rig->check_status;
}

/* ---- The supervisor ---- */

static inline int read_simulated(void *ctx, const char *path, size_t max, char **text, size_t *len)
{
    struct file *f;
    int rc = world_open(ctx, path, O_RDONLY, 0, &f);
    if (rc)
        return rc;
    char *all = mem_alloc(64 * 1024);
    ssize_t got = all ? file_read(f, all, 64 * 1024, 0) : -ENOMEM;
    file_close(f);
    if (got < 0) {
        mem_free(all);
        return (int)got;
    }
    *text = all;
    *len = (size_t)got;
    return 0;
}

static inline const char *no_variable(void *ctx, const char *name)
{
    return NULL;
}

static inline void note_state(void *ctx, const char *state)
{
    struct rig *r = ctx;
    must(strlen(r->notified) + strlen(state) + 2 < sizeof r->notified);
    strncat(r->notified, state, strcspn(state, "\n"));
    strncat(r->notified, " ", 2);
}

static inline int refuse_exec(void *ctx, const struct upgrade_state *h)
{
    struct rig *r = ctx;
    must(h->server_count >= 1 && h->servers[0].serves);
    must(!list_empty(&h->sockets->sets));
    r->execs++;
    return -ENOEXEC;
}

static inline int run_supervisor(struct world *w, void *arg)
{
    static const char *const server_argv[] = {"weir", "serve", "--server", NULL};
    static const char *const check_argv[] = {"new-weir", "check", "--quiet", "/weir.yaml", NULL};
    struct rig *r = arg;
    struct conf_source files = {.file = read_simulated, .env = no_variable, .ctx = w};
    struct sockets sockets;
    sockets_init(&sockets, w);
    r->options.source =
        (struct loaded_config_source){.path = r->path ? r->path : "/weir.yaml", .files = &files};
    r->options.sockets = &sockets;
    r->options.server_argv = server_argv;
    r->options.check_argv = check_argv;
    r->options.pid_file = "/weir.pid";
    r->options.pid = 4711;
    r->options.notify = note_state;
    r->options.exec = refuse_exec;
    r->options.ctx = r;
    r->status = supervisor_run(w, &r->options);
    sockets_release(&sockets);
    return 0;
}

static inline void keep_line(void *ctx, const char *line)
{
    struct rig *r = ctx;
    size_t used = strlen(r->log);
    if (used + strlen(line) + 2 < sizeof r->log)
        snprintf(r->log + used, sizeof r->log - used, "%s\n", line);
}

static inline void put(struct rig *r, const char *path, const char *text)
{
    must(sim_file_put(r->host, path, text, strlen(text)) == 0);
}

static inline int direct(struct sim *sim, void *arg)
{
    struct rig *r = arg;
    return r->direct(r);
}

#define ROUTES "routes:\n  - {route: GET /one, reply: 1}\n"
#define GOOD   "listen: 127.0.0.1:80\nadmin: off\nroutes:\n  - {route: GET /one, reply: 1}\n"
#define BETTER "listen: 127.0.0.1:80\nadmin: off\nroutes:\n  - {route: GET /two, reply: 2}\n"
#define BEST   "listen: 127.0.0.1:80\nadmin: off\nroutes:\n  - {route: GET /three, reply: 3}\n"
#define BAD    "listen: 127.0.0.1:80\nlisten_too: 1\nroutes: []\n"

static inline struct rig *rig_new(const char *config)
{
    struct rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    struct sim_options options = {.link = &perfect_link,
        .text = keep_line,
        .ctx = r,
        .log_level = LOG_INFO,
        .stack_size = 256 * 1024};
    assert_int_equal(sim_open(&r->sim, 1, &options), 0);
    r->host = add_host(r->sim, "host");
    put(r, "/weir.yaml", config);
    r->status = -1;
    return r;
}

/* Runs it while `script` says what happens, to the end of the supervisor. */
static inline void play(struct rig *r, int (*script)(struct rig *r))
{
    r->direct = script;
    if (!r->cannot_spawn)
        assert_int_equal(sim_program(r->sim, "weir", stand_in, r), 0);
    assert_int_equal(sim_program(r->sim, "new-weir", stand_in_check, r), 0);
    r->supervisor = sim_start(r->host, "supervisor", run_supervisor, r);
    assert_non_null(r->supervisor);
    assert_int_equal(sim_direct(r->sim, "script", direct, r), 0);
    assert_int_equal(sim_run(r->sim, 3600 * NS_PER_S), 0);
    assert_int_equal(sim_process_end(r->supervisor).state, SIM_EXITED);
    assert_int_equal(sim_process_unclosed(r->supervisor), 0);
}

static inline void rig_free(struct rig *r)
{
    sim_close(r->sim);
    free(r);
}

static inline bool logged(const struct rig *r, const char *text)
{
    return strstr(r->log, text) != NULL;
}

/* ---- For scripts ---- */

static inline void after(struct rig *r, int64_t ns)
{
    must(sim_sleep(r->sim, ns) == 0);
}

static inline void send_signal(struct rig *r, int number)
{
    must(sim_signal(r->supervisor, number) == 0);
}

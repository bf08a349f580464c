/*
 * pool_processes.c: pools of worker processes whose workers die, hang, write garbage and hang up,
 * by the seed; in worlds with two I/O threads, with the same loop in the workers as in real ones.
 *
 * Every call has exactly one outcome, a right one; a task that nobody may try again runs once; one
 * that kills its workers runs twice at most; when the faults are over everybody is served again;
 * and nothing is left.
 */
#include "runner.h"

#include "base/mem.h"
#include "base/rand.h"
#include "coro/group.h"
#include "pool/internal.h"
#include "pool/worker_stream.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#define CALLERS   10
#define CALLS_MAX 4096
#define WORKERS   3
#define LARGE     (60 * 1024)
#define FAULTS_NS (2 * NS_PER_S)
/* Backing off, and the longest task. */
#define CALM_NS   (FAULTS_NS + 8 * NS_PER_S)
#define OVER_NS   (CALM_NS + 1 * NS_PER_S)

enum deed { WORK, DIE, HANG, GARBAGE, HANG_UP };

struct
try {
    enum deed deed;
    bool retry;
    unsigned runs;
};

struct scene {
    struct sim *sim;
    struct pools *pools;
    struct conf_pool conf;
    struct conf_flow_node node;
    struct conf_route route;
    struct config config;
    struct pool_desk *desks[2];
    bool kills;
    unsigned desks_ready;
    unsigned calls;
    unsigned done, failed;
    struct try tries[CALLS_MAX];
};

static struct scene *scene; /* the one that runs; for steps, which know nothing of it */

/* ---- Workers ---- */

static struct world *worker_worlds[256];

static struct world *my_world(void)
{
    for (size_t i = 0; i < sizeof worker_worlds / sizeof *worker_worlds; i++)
        if (worker_worlds[i] && world_sched(worker_worlds[i]) == coro_sched(coro_self()))
            return worker_worlds[i];
    return NULL;
}

static int worker(struct world *w, void *arg)
{
    struct worker_stream s;
    size_t place = 0;
    while (worker_worlds[place])
        place++;
    sim_check(scene->sim, place + 1 < sizeof worker_worlds / sizeof *worker_worlds,
        "too many workers at once");
    worker_worlds[place] = w;
    worker_stream_init(&s, w, sim_channel(w), sim_shared(w), sim_process_pid(sim_self(w)));
    int rc = (int)worker_serve(&s.io, false);
    worker_worlds[place] = NULL;
    stream_close(sim_channel(w));
    shared_close(sim_shared(w));
    return rc;
}

static void hang(struct world *w)
{
    int rc = world_sleep(w, 3600 * NS_PER_S);
    (void)rc; /* it is killed before that */
}

static void do_harm(struct world *w, enum deed deed)
{
    struct stream *channel = sim_channel(w);
    char garbage[100];
    int rc = 0;
    memset(garbage, 0xa5, sizeof garbage);
    switch (deed) {
    case WORK:
        break;
    case DIE:
        rc = sim_signal(sim_self(w), SIGSEGV);
        break;
    case HANG:
        hang(w);
        break;
    case GARBAGE:
        rc = stream_write(channel, &(struct iovec){garbage, sizeof garbage}, 1);
        hang(w);
        break;
    case HANG_UP:
        rc = stream_shutdown(channel);
        hang(w);
        break;
    }
    (void)rc;
}

void __real_step_worker_call(struct step_worker *k, struct step_call *call);
void __wrap_step_worker_call(struct step_worker *k, struct step_call *call);

/* What works may lose its result to the deed of who was given to the worker with it: more than
 * once, but it is then no suspect. */
static unsigned most_runs(const struct try *t)
{
    if (!t->retry)
        return 1;
    return t->deed == WORK ? 6 : 2;
}

/* What every step does here first: the input is ["CALL", "filling"], or the canary's. */
void __wrap_step_worker_call(struct step_worker *k, struct step_call *call)
{
    unsigned which;
    char head[32];
    struct world *w = my_world();
    sim_check(scene->sim, w, "a step runs outside of all workers");
    snprintf(head, sizeof head, "%.*s", (int)call->input.len, call->input.ptr);
    if (coro_cancelled(coro_self())) { /* the process was killed, and its loop runs out */
        call->outcome = STEP_FAILED;
        return;
    }
    if (sscanf(head, "[\"%u", &which) == 1) {
        struct try *t = &scene->tries[which];
        t->runs++;
        sim_check(scene->sim, t->runs <= most_runs(t) || scene->kills,
            "call %u, of deed %d, ran %u times", which, (int)t->deed, t->runs);
        struct work *work = world_work(w);
        uint64_t span;
        world_random(w, &span, sizeof span);
        work->burn(work, (int64_t)(span % (uint64_t)(span & 4096 ? NS_PER_MS : NS_PER_US)));
        do_harm(w, t->deed);
    }
    __real_step_worker_call(k, call);
}

/* ---- Callers ---- */

static enum deed choose_deed(struct scene *s, struct rand *r)
{
    if (sim_now(s->sim) >= FAULTS_NS || !rand_ppm(r, 60000))
        return WORK;
    return DIE + (enum deed)rand_below(r, 4);
}

static size_t make_input(char *text, unsigned which, struct rand *r)
{
    size_t fill = rand_ppm(r, 200000) ? rand_below(r, LARGE) : rand_below(r, 60);
    int len = snprintf(text, 32, "[\"%u\",\"", which);
    memset(text + len, 'a' + (int)(which % 26), fill);
    memcpy(text + (size_t)len + fill, "\"]", 2);
    return (size_t)len + fill + 2;
}

static void judge(struct scene *s, unsigned which, const struct pool_call *c, int rc, int64_t began)
{
    const struct try *t = &s->tries[which];
    if (rc == 0) {
        sim_check(s->sim, span_equal(c->input, c->output),
            "call %u was answered with something else", which);
        sim_check(s->sim, t->deed == WORK, "call %u was answered by who did harm", which);
        sim_check(s->sim, t->runs >= 1, "call %u was answered by nobody", which);
        s->done++;
        return;
    }
    s->failed++;
    bool clear = rc == -ETIMEDOUT || c->outcome == POOL_DIED || c->outcome == POOL_TIMEOUT ||
                 c->outcome == POOL_UNAVAILABLE || c->outcome == POOL_OVERLOADED;
    sim_check(s->sim, clear, "call %u failed in a way that says nothing: outcome %d, error %d: %s",
        which, (int)c->outcome, -rc, c->error.sentence);
    sim_check(s->sim, began < CALM_NS || t->deed != WORK,
        "call %u failed (%d: %s) although nothing was wrong any more", which, (int)c->outcome,
        c->error.sentence);
    sim_check(s->sim, t->deed != WORK || began < CALM_NS || t->runs <= 1, "call %u ran %u times",
        which, t->runs);
}

static void call_once(struct scene *s, struct pool_desk *d, struct rand *r, char *text)
{
    struct world *w = pool_desk_world(d);
    unsigned which = s->calls++;
    sim_check(s->sim, which < CALLS_MAX, "more calls than there is room for");
    s->tries[which] = (struct try){.deed = choose_deed(s, r), .retry = rand_ppm(r, 500000)};
    struct pool_call c = {.input = {text, make_input(text, which, r)},
        .retry = s->tries[which].retry,
        .name = SPAN("r")};
    bool hurried = sim_now(s->sim) < FAULTS_NS && rand_ppm(r, 100000);
    int64_t began = sim_now(s->sim);
    CORO_DEADLINE(
        world_now(w) + (hurried ? (int64_t)rand_below(r, 3 * (uint64_t)NS_PER_MS) : 60 * NS_PER_S));
    int rc = pool_call(d, pools_find(s->pools, "p"), &c);
    judge(s, which, &c, rc, began);
    pool_call_release(&c);
}

struct caller {
    struct scene *scene;
    struct pool_desk *desk;
};

static int call_until_over(void *arg)
{
    struct caller *c = arg;
    struct world *w = pool_desk_world(c->desk);
    struct rand r;
    uint64_t seed;
    world_random(w, &seed, sizeof seed);
    rand_init(&r, seed);
    char *text = mem_alloc(LARGE + 64);
    if (!text)
        return -ENOMEM;
    int rc = 0;
    while (rc == 0 && sim_now(c->scene->sim) < OVER_NS) {
        bool calm = sim_now(c->scene->sim) > FAULTS_NS && sim_now(c->scene->sim) < CALM_NS;
        call_once(c->scene, c->desk, &r, text);
        rc = world_sleep(w, rand_exponential(&r, calm ? NS_PER_S : 30 * NS_PER_MS));
    }
    mem_free(text);
    return rc;
}

/* ---- A server ---- */

static int run_desk(struct world *w, void *arg)
{
    struct scene *s = scene;
    unsigned index = *(const unsigned *)arg;
    struct pool_desk *d;
    struct error e;
    int rc = pool_desk_new(&d, s->pools, index, w);
    if (rc)
        return rc;
    s->desks[index] = d;
    {
        GROUP(desk, GROUP_INDEPENDENT);
        rc = group_spawn(&desk, "desk", pool_desk_run, d);
        if (rc == 0)
            rc = pool_desk_ready(d, &e);
        GROUP(callers, GROUP_INDEPENDENT);
        struct caller caller = {s, d};
        for (int i = 0; i < CALLERS / 2 && rc == 0; i++)
            rc = group_spawn(&callers, "caller", call_until_over, &caller);
        if (rc == 0)
            rc = group_wait(&callers);
        if (index == 0 && rc == 0)
            sim_check(s->sim, pools_ready(s->pools), "the pool is not ready in the end");
        pool_desk_leave(d);
        if (rc == 0)
            rc = group_wait(&desk);
    }
    pool_desk_free(d);
    return rc;
}

static void configure(struct scene *s)
{
    s->conf = (struct conf_pool){.name = "p",
        .kind = CONF_POOL_PROCESSES,
        .size = WORKERS,
        .queue = 64,
        .start = NS_PER_S,
        .value = LARGE + 64,
        .max_tasks = s->kills ? 50 : 0,
        .hard_timeout = 100 * NS_PER_MS};
    s->node = (struct conf_flow_node){
        .name = "n", .kind = CONF_NODE_STEP, .step = {.step = "echo", .pool = "p"}};
    s->route = (struct conf_route){.nodes = &s->node, .node_count = 1};
    s->config =
        (struct config){.pools = &s->conf, .pool_count = 1, .routes = &s->route, .route_count = 1};
}

static int serve(struct world *w, void *arg)
{
    struct scene *s = arg;
    static const unsigned indices[] = {0, 1};
    static const char *const argv[] = {"worker", NULL};
    struct pools_options options = {
        .config = &s->config, .desks = 2, .cores = 2, .worker_argv = argv, .log = world_log(w)};
    struct thread *second;
    struct error e;
    int result = 0;
    int rc = pools_new(&s->pools, &options, &e);
    if (rc)
        return rc;
    unsigned first_index = indices[0];
    unsigned second_index = indices[1];
    rc = world_thread(w, "io 1", run_desk, &second_index, &second);
    if (rc == 0) {
        rc = run_desk(w, &first_index);
        int waited = thread_wait(second, &result);
        thread_close(second);
        rc = rc ? rc : waited ? waited : result;
    }
    pools_free(s->pools);
    return rc;
}

/* ---- The scenes ---- */

static void run(struct sim *sim, bool kills)
{
    struct scene *s = mem_zalloc(sizeof *s);
    sim_check(sim, s, "no memory");
    scene = s;
    memset(worker_worlds, 0, sizeof worker_worlds);
    s->sim = sim;
    s->kills = kills;
    configure(s);
    int rc = sim_program(sim, "worker", worker, NULL);
    struct sim_host *host = sim_host(sim, &(struct sim_host_options){.name = "server", .cores = 8});
    struct sim_process *server = sim_start(host, "server", serve, s);
    if (rc == 0 && kills)
        rc = sim_chaos(sim, &(struct sim_chaos){.until = FAULTS_NS, .kill_ns = 50 * NS_PER_MS});
    sim_check(sim, rc == 0, "the scene cannot be set: %d", rc);
    rc = sim_run(sim, OVER_NS + 600 * NS_PER_S);
    sim_check(sim, rc == 0, "the simulation ended with error %d", -rc);
    struct sim_end end = sim_process_end(server);
    sim_check(sim, end.state == SIM_EXITED && end.result == 0,
        "the server did not end well: state %d, result %d", (int)end.state, end.result);
    sim_check(sim, sim_process_unclosed(server) == 0, "the server left %u things open",
        sim_process_unclosed(server));
    sim_check(sim, s->done + s->failed == s->calls, "%u calls, %u outcomes", s->calls,
        s->done + s->failed);
    sim_check(sim, s->done > 100, "only %u calls were answered", s->done);
    mem_free(s);
}

/* Workers do harm by themselves. */
static void harm(struct sim *sim)
{
    run(sim, false);
}

/* And are killed at random, and replaced after some tasks. */
static void deaths(struct sim *sim)
{
    run(sim, true);
}

int main(int argc, char **argv)
{
    const struct sim_options pieces = {.short_reads_ppm = 100000, .short_writes_ppm = 100000};
    const struct scenario scenarios[] = {
        {.name = "harm", .run = harm, .options = pieces},
        {.name = "deaths", .run = deaths, .options = pieces},
    };
    return run_scenarios(argc, argv, scenarios, sizeof scenarios / sizeof *scenarios);
}

/*
 * runner.c: see runner.h.
 */
#include "runner.h"

#include "coro/coro.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SEEDS_DEFAULT 200
#define TWICE_EVERY   10
/* What one seed may take of the processor: some hundred times what it does take. */
#define SEED_SECONDS  60

struct runner {
    uint64_t first_seed;
    uint64_t seeds;
    bool alone; /* one seed, with text */
    bool survive;
    FILE *text;
};

struct outcome {
    bool failed;
    int64_t virtual_ns;
    uint64_t events;
    uint64_t hash;
};

/* ---- What was asked for ---- */

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    if (!text || !*text)
        return otherwise;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || *end || text[0] == '-') {
        fprintf(stderr, "%s='%s' is no number\n", name, text);
        exit(2);
    }
    return value;
}

static FILE *text_file(void)
{
    const char *path = getenv("SIM_LOG");
    if (!path || !*path)
        return stderr;
    FILE *f = fopen(path, "w");
    if (!f) {
        fprintf(stderr, "cannot write to SIM_LOG='%s': %s\n", path, strerror(errno));
        exit(2);
    }
    return f;
}

static struct runner asked_for(void)
{
    struct runner r = {
        .first_seed = number_from("SEED_FROM", 1),
        .seeds = number_from("SEEDS", SEEDS_DEFAULT),
        .survive = number_from("SIM_ABORT", 0) == 0,
    };
    const char *seed = getenv("SEED");
    if (seed && *seed) {
        r.alone = true;
        r.first_seed = number_from("SEED", 0);
        r.seeds = 1;
        r.text = text_file();
    }
    return r;
}

static bool is_named(int argc, char **argv, const char *name)
{
    if (argc < 2)
        return true;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return false;
}

/* ---- Crashes ---- */

/* What runs now, as text, for a handler that may do nothing but write it. */
static char running[256];

static void say_which_seed(int number, siginfo_t *info, void *context)
{
    ssize_t wrote = write(STDERR_FILENO, running, strlen(running));
    (void)wrote;
    sigaction(number, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    raise(number);
}

/* Code that dies says nothing of seeds; a sanitizer that has its own handler keeps it. */
static void catch_crashes(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGVTALRM};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction before;
        sigaction(numbers[i], NULL, &before);
        if (before.sa_handler == SIG_DFL)
            sigaction(numbers[i],
                &(struct sigaction){.sa_sigaction = say_which_seed,
                    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER},
                NULL);
    }
    int rc = coro_catch_overflow();
    if (rc)
        fprintf(stderr, "stack overflows will not be named: error %d\n", -rc);
}

/* Code that goes round and never waits is not seen by the universe, where no time passes then. */
static void limit_processor_time(time_t seconds)
{
    setitimer(ITIMER_VIRTUAL, &(struct itimerval){.it_value.tv_sec = seconds}, NULL);
}

/* ---- Running ---- */

static void write_line(void *ctx, const char *line)
{
    const struct runner *r = ctx;
    fprintf(r->text, "%s\n", line);
}

/* The report of a failure goes to standard error, whatever happens to the events. */
static void write_report(void *ctx, const char *line)
{
    (void)ctx;
    fprintf(stderr, "%s\n", line);
}

static struct outcome run_seed(struct runner *r, const struct scenario *s, uint64_t seed)
{
    struct sim_options options = s->options;
    options.survive = r->survive;
    options.report = write_report;
    options.ctx = r;
    if (r->text) {
        options.text = write_line;
        options.log_level = LOG_DEBUG;
    }
    snprintf(running, sizeof running, "scenario %s died with SEED=%llu\n", s->name,
        (unsigned long long)seed);
    struct sim *sim;
    int rc = sim_open(&sim, seed, &options);
    if (rc) {
        fprintf(stderr, "scenario %s: no universe: error %d\n", s->name, -rc);
        return (struct outcome){.failed = true};
    }
    limit_processor_time(SEED_SECONDS);
    s->run(sim);
    limit_processor_time(0);
    struct outcome o = {sim_failed(sim) != NULL, sim_now(sim), sim_events(sim), sim_hash(sim)};
    sim_close(sim);
    if (o.failed)
        fprintf(stderr, "scenario %s failed with SEED=%llu\n", s->name, (unsigned long long)seed);
    return o;
}

static bool repeats(struct runner *r, const struct scenario *s, uint64_t seed, uint64_t hash)
{
    struct outcome again = run_seed(r, s, seed);
    if (!again.failed && again.hash != hash)
        fprintf(stderr, "scenario %s: SEED=%llu did not give the same events twice\n", s->name,
            (unsigned long long)seed);
    return !again.failed && again.hash == hash;
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool run_scenario(struct runner *r, const struct scenario *s)
{
    double start = seconds_now();
    int64_t virtual_ns = 0;
    uint64_t events = 0;
    for (uint64_t i = 0; i < r->seeds; i++) {
        uint64_t seed = r->first_seed + i;
        struct outcome o = run_seed(r, s, seed);
        if (o.failed)
            return false;
        if (!r->alone && i % TWICE_EVERY == 0 && !repeats(r, s, seed, o.hash))
            return false;
        virtual_ns += o.virtual_ns;
        events += o.events;
        if (r->alone)
            printf("event log of seed %llu: %016llx\n", (unsigned long long)seed,
                (unsigned long long)o.hash);
    }
    printf("scenario %s: %llu seeds, %.1f virtual minutes, %.1f s, %llu events\n", s->name,
        (unsigned long long)r->seeds, (double)virtual_ns / 60e9, seconds_now() - start,
        (unsigned long long)events);
    return true;
}

int run_scenarios(int argc, char **argv, const struct scenario *scenarios, size_t count)
{
    struct runner r = asked_for();
    catch_crashes();
    bool good = true;
    size_t ran = 0;
    for (size_t i = 0; i < count && good; i++) {
        if (!is_named(argc, argv, scenarios[i].name))
            continue;
        good = run_scenario(&r, &scenarios[i]);
        ran++;
        fflush(stdout);
    }
    if (r.text && r.text != stderr)
        fclose(r.text);
    if (ran == 0)
        fprintf(stderr, "there is no scenario of that name\n");
    return good && ran > 0 ? 0 : 1;
}

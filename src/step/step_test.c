/*
 * step_test.c: steps called from a test of their plugin: a set of one step, a worker for one call
 * or one batch, the machine's own clock. It is part of libweir-step, not of Weir.
 */
#include "weir/step_test.h"

#include "base/mem.h"
#include "base/time.h"
#include "step/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t clock)
{
    struct timespec t = {0};
    clock_gettime(clock, &t); /* tidy: allow clock_gettime because a plugin's test has no world */
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int64_t test_now(struct work *work)
{
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t test_processor(struct work *work)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

static void print_line(void *ctx, enum log_level level, const char *line)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    fprintf(stderr, "%s: %s\n", names[level], line);
}

static int grow(struct step_output *o, size_t room)
{
    char *bigger = mem_realloc(o->base, room);
    if (!bigger)
        return -ENOMEM;
    o->base = bigger;
    o->room = room;
    return 0;
}

/* You now own it. The answer is for free(), which need not be what mem_free is. */
static char *printed(const char *a, const char *between, struct span b)
{
    size_t size = strlen(a) + strlen(between) + b.len + 1;
    char *text = malloc(size); /* tidy: allow malloc because its taker calls free */
    if (text)
        snprintf(text, size, "%s%s%.*s", a, between, SPAN_ARG(b));
    return text;
}

/* ---- A worker of one step ---- */

/* Of a step with run_batch it stands between, and counts. */
struct tester {
    struct work work;
    struct step_place place;
    struct step_entry entry;
    struct step_set set;
    struct step_worker *worker;
    int (*run_batch)(struct weir_task *const *tasks, size_t count);
    unsigned batches;
    int refused_with; /* what run_batch returned first that is not 0 */
};

static int count_batch(struct weir_task *const *tasks, size_t count)
{
    struct tester *t = tasks[0]->worker->place->log_ctx;
    int rc = t->run_batch(tasks, count);
    t->batches++;
    if (!t->refused_with)
        t->refused_with = rc;
    return rc;
}

static int tester_find(struct tester *t, const struct weir_plugin *plugin, struct error *e)
{
    int rc = step_table_check(plugin, "the plugin", e);
    if (rc)
        return rc;
    rc = step_table_find(plugin, t->entry.name, &t->entry.code);
    if (rc)
        return error_set(e, rc, "unknown-step", "the plugin has no step '%s'", t->entry.name);
    t->run_batch = t->entry.code.run_batch;
    if (t->run_batch)
        t->entry.code.run_batch = count_batch;
    return 0;
}

/* It stays where it is. After a failure too it is to be released. */
static int tester_init(struct tester *t, const struct weir_plugin *plugin, const char *step,
    const char *options, struct error *e)
{
    *t = (struct tester){.work = {.now = test_now, .processor = test_processor},
        .place = {.threads = 1, .log = print_line},
        .entry = {.name = step},
        .set = {.count = 1}};
    t->place.work = &t->work;
    t->place.log_ctx = t;
    t->set.entries = &t->entry;
    if (options)
        t->entry.options = span_of(options);
    int rc = tester_find(t, plugin, e);
    return rc ? rc : step_worker_new(&t->worker, &t->set, &t->place, e);
}

static void tester_release(struct tester *t)
{
    step_worker_free(t->worker);
}

/* ---- A call ---- */

struct test_call {
    struct step_call call;
    struct step_output output;
};

static void test_call_init(struct test_call *c, const char *input)
{
    *c = (struct test_call){.output = {.grow = grow},
        .call = {.input = span_of(input ? input : "null"), .deadline = DEADLINE_NEVER}};
    c->call.output = &c->output;
}

static void test_call_release(struct test_call *c)
{
    mem_free(c->output.base);
}

/* You now own it. */
static char *answer_of(const struct test_call *c)
{
    const struct error *e = &c->call.error;
    return c->call.outcome == STEP_DONE
               ? printed("", "", (struct span){c->output.base, c->output.len})
               : printed(e->type, ": ", span_of(e->sentence));
}

enum weir_test_outcome weir_step_test(const struct weir_plugin *plugin, const char *step,
    const char *options, const char *input, char **answer)
{
    struct tester t;
    struct test_call c;
    struct error e;
    enum weir_test_outcome outcome = WEIR_TEST_NO_WORKER;
    if (tester_init(&t, plugin, step, options, &e) == 0) {
        test_call_init(&c, input);
        step_worker_call(t.worker, &c.call);
        outcome = (enum weir_test_outcome)c.call.outcome;
        *answer = answer_of(&c);
        test_call_release(&c);
    } else {
        *answer = printed(e.type, ": ", span_of(e.sentence));
    }
    tester_release(&t);
    return outcome;
}

/* ---- What should come ---- */

static bool same_value(const struct json_value *a, const struct json_value *b)
{
    int64_t n;
    int64_t m;
    if (json_type(a) != json_type(b) || json_count(a) != json_count(b))
        return false;
    if (json_integer(a, &n) && json_integer(b, &m))
        return n == m;
    struct json_iter in_a = json_iter(a);
    struct json_iter in_b = json_iter(b);
    struct span name_a = {0};
    struct span name_b = {0};
    const struct json_value *child;
    while ((child = json_next(&in_a, &name_a)))
        if (!same_value(child, json_next(&in_b, &name_b)) || !span_equal(name_a, name_b))
            return false;
    return json_number(a, 0) == json_number(b, 0) && json_bool(a, false) == json_bool(b, false) &&
           span_equal(json_string(a), json_string(b));
}

static bool same_json(const char *a, const char *b)
{
    struct json *in_a;
    struct json *in_b;
    if (json_parse(&in_a, span_of(a), JSON_TEXT_MAX, NULL))
        return false;
    bool same = json_parse(&in_b, span_of(b), JSON_TEXT_MAX, NULL) == 0;
    if (same) {
        same = same_value(json_root(in_a), json_root(in_b));
        json_free(in_b);
    }
    json_free(in_a);
    return same;
}

static bool has_code(const char *answer, const char *code)
{
    size_t len = strlen(code);
    return strncmp(answer, code, len) == 0 && answer[len] == ':';
}

/* Takes the answer. 0 or 1; `how` says with whom it was called. */
static int compare(const char *step, const char *how, const char *input, const char *expected,
    enum weir_test_outcome outcome, char *answer)
{
    bool right = answer && (outcome == WEIR_TEST_DONE ? same_json(answer, expected)
                                                      : has_code(answer, expected));
    if (!right)
        fprintf(stderr, "%s of %s%s\n    should be %s\n    but is    %s\n", step,
            input ? input : "null", how, expected, answer ? answer : "(no memory)");
    free(answer); /* tidy: allow free because malloc made it */
    return right ? 0 : 1;
}

int weir_step_expect(const struct weir_plugin *plugin, const char *step, const char *options,
    const char *input, const char *expected)
{
    char *answer;
    enum weir_test_outcome outcome = weir_step_test(plugin, step, options, input, &answer);
    return compare(step, "", input, expected, outcome, answer);
}

/* ---- Batches ---- */

struct test_batch {
    struct tester tester;
    const struct weir_test_case *cases;
    unsigned count;
    struct test_call calls[WEIR_TEST_BATCH_MAX];
    struct step_call *refs[WEIR_TEST_BATCH_MAX];
};

/* Each in turn: what came, beside what should. How many are wrong. */
static int compare_all(struct test_batch *b, const char *how)
{
    int wrong = 0;
    for (unsigned i = 0; i < b->count; i++) {
        const struct weir_test_case *c = &b->cases[i];
        wrong += compare(b->tester.entry.name, how, c->input, c->expected,
            (enum weir_test_outcome)b->calls[i].call.outcome, answer_of(&b->calls[i]));
        test_call_release(&b->calls[i]);
    }
    return wrong;
}

static void begin_all(struct test_batch *b)
{
    for (unsigned i = 0; i < b->count; i++) {
        test_call_init(&b->calls[i], b->cases[i].input);
        b->refs[i] = &b->calls[i].call;
    }
}

static bool none_failed(const struct test_batch *b)
{
    for (unsigned i = 0; i < b->count; i++)
        if (b->calls[i].call.outcome != STEP_DONE)
            return false;
    return true;
}

/* One call of run_batch is enough where nothing is wrong with any of its tasks: more are what Weir
 * does to find the bad one, and cost what batches are to save. */
static int compare_count(const struct test_batch *b)
{
    const struct tester *t = &b->tester;
    if (t->batches == 1 || !none_failed(b))
        return 0;
    fprintf(stderr,
        "%s in a batch of %u, each of which can be done\n    should be one call of run_batch\n"
        "    but is    %u, of which the first that failed returned %d\n",
        t->entry.name, b->count, t->batches, t->refused_with);
    return 1;
}

static int expect_batch(struct test_batch *b)
{
    begin_all(b);
    step_worker_call_batch(b->tester.worker, b->refs, b->count);
    int wrong = compare_count(b);
    wrong += compare_all(b, ", in a batch");
    begin_all(b);
    for (unsigned i = 0; i < b->count; i++)
        step_worker_call(b->tester.worker, b->refs[i]);
    return wrong + compare_all(b, ", alone");
}

int weir_step_expect_batch(const struct weir_plugin *plugin, const char *step, const char *options,
    const struct weir_test_case *cases, size_t count)
{
    struct error e = {0};
    int wrong = 1;
    struct test_batch *b = mem_alloc(sizeof *b);
    if (!b) {
        fprintf(stderr, "%s: no memory for a batch\n", step);
        return 1;
    }
    b->cases = cases;
    b->count = (unsigned)count;
    if (tester_init(&b->tester, plugin, step, options, &e))
        fprintf(stderr, "%s: %s: %s\n", step, e.type, e.sentence);
    else if (!b->tester.run_batch)
        fprintf(stderr, "%s has no run_batch\n", step);
    else if (count < 2 || count > WEIR_TEST_BATCH_MAX)
        fprintf(stderr, "%s: %zu are no batch: it has 2 to %d\n", step, count, WEIR_TEST_BATCH_MAX);
    else
        wrong = expect_batch(b);
    tester_release(&b->tester);
    mem_free(b);
    return wrong;
}

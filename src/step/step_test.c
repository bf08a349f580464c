/*
 * step_test.c: steps called from a test of their plugin: a set of one step, a worker for one call,
 * the machine's own clock. It is part of libweir-step, not of Weir.
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

static enum weir_test_outcome call(const struct step_set *set, const char *input, char **answer)
{
    struct work work = {.now = test_now, .processor = test_processor};
    struct step_place place = {.work = &work, .threads = 1, .log = print_line};
    struct step_output output = {.grow = grow};
    struct step_call c = {
        .input = span_of(input ? input : "null"), .deadline = DEADLINE_NEVER, .output = &output};
    struct step_worker *k;
    struct error e;
    if (step_worker_new(&k, set, &place, &e)) {
        *answer = printed(e.type, ": ", span_of(e.sentence));
        return WEIR_TEST_NO_WORKER;
    }
    step_worker_call(k, &c);
    *answer = c.outcome == STEP_DONE ? printed("", "", (struct span){output.base, output.len})
                                     : printed(c.error.type, ": ", span_of(c.error.sentence));
    mem_free(output.base);
    step_worker_free(k);
    return (enum weir_test_outcome)c.outcome;
}

enum weir_test_outcome weir_step_test(const struct weir_plugin *plugin, const char *step,
    const char *options, const char *input, char **answer)
{
    struct step_entry entry = {.name = step};
    struct step_set set = {.count = 1, .entries = &entry};
    struct error e;
    if (options)
        entry.options = span_of(options);
    if (step_table_check(plugin, "the plugin", &e) == 0) {
        if (step_table_find(plugin, step, &entry.code) == 0)
            return call(&set, input, answer);
        error_set(&e, -ENOENT, "unknown-step", "the plugin has no step '%s'", step);
    }
    *answer = printed(e.type, ": ", span_of(e.sentence));
    return WEIR_TEST_NO_WORKER;
}

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
    if (json_parse(&in_a, span_of(a), 0, NULL))
        return false;
    bool same = json_parse(&in_b, span_of(b), 0, NULL) == 0;
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

int weir_step_expect(const struct weir_plugin *plugin, const char *step, const char *options,
    const char *input, const char *expected)
{
    char *answer;
    enum weir_test_outcome outcome = weir_step_test(plugin, step, options, input, &answer);
    bool right = answer && (outcome == WEIR_TEST_DONE ? same_json(answer, expected)
                                                      : has_code(answer, expected));
    if (!right)
        fprintf(stderr, "%s of %s\n    should be %s\n    but is    %s\n", step,
            input ? input : "null", expected, answer ? answer : "(no memory)");
    free(answer); /* tidy: allow free because malloc made it */
    return right ? 0 : 1;
}

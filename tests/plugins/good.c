/*
 * good.c: a plugin that does what plugins do, one step for each thing that tests want to see. Its
 * globals count what init and teardown did, for tests that load it into their own process.
 */
#include <weir/step.h>

#include <stdlib.h>
#include <string.h>

/* ---- greet: as in weir/step.h ---- */

static int greet(struct weir_task *t)
{
    const char *name = weir_text(weir_member(weir_input(t), "name"), NULL);
    if (!name)
        return weir_reject(t, "no-name", "the input has no text 'name'");
    weir_out_object(t);
    weir_out_key(t, "greeting");
    weir_out_textf(t, "Hello, %s!", name);
    weir_out_end(t);
    return 0;
}

/* ---- count: has a state, and options ---- */

struct counter {
    int64_t next;
    int64_t by;
};

struct good_counts {
    int inits;
    int teardowns;
    int64_t last_teardown; /* where that counter stood */
};
extern WEIR_EXPORT struct good_counts good_counts;
struct good_counts good_counts;

static int count_init(struct weir_worker *w, void **state)
{
    const struct weir_value *options = weir_options(w);
    if (weir_member(options, "refuse"))
        return weir_init_fail(
            w, "there is no model at %s", weir_text(weir_member(options, "refuse"), NULL));
    struct counter *c = malloc(sizeof *c);
    if (!c)
        return weir_init_fail(w, "no memory");
    c->next = weir_integer(weir_member(options, "from"), 0);
    c->by = weir_integer(weir_member(options, "by"), 1);
    *state = c;
    good_counts.inits++;
    weir_log(w, WEIR_LOG_INFO, "counts from %d with %u threads", (int)c->next, weir_threads(w));
    return 0;
}

static void count_teardown(void *state)
{
    struct counter *c = state;
    good_counts.teardowns++;
    good_counts.last_teardown = c->next;
    free(c);
}

static int count(struct weir_task *t)
{
    struct counter *c = weir_state(t);
    weir_out_integer(t, c->next);
    c->next += c->by;
    return 0;
}

/* ---- sum: walks ---- */

static int sum(struct weir_task *t)
{
    double total = 0;
    struct weir_each each = weir_each(weir_input(t));
    while (weir_next(&each))
        total += weir_number(each.value, 0);
    weir_out_number(t, total);
    return 0;
}

/* ---- reverse: allocates ---- */

static int reverse(struct weir_task *t)
{
    size_t length;
    const char *text = weir_text(weir_input(t), &length);
    if (!text)
        return weir_reject(t, "no-text", "the input is no text");
    char *turned = weir_alloc(t, length + 1);
    if (!turned)
        return weir_fail(t, "no-room", "no memory to turn %zu bytes in", length);
    for (size_t i = 0; i < length; i++)
        turned[i] = text[length - 1 - i];
    weir_out_text_n(t, turned, length);
    return 0;
}

/* ---- odd: what steps may do and should not ---- */

static int odd(struct weir_task *t)
{
    const char *how = weir_text(weir_input(t), NULL);
    if (!how)
        return 7;
    if (strcmp(how, "code") == 0)
        return weir_fail(t, "not a code!", "a sentence\nof two lines, \xc3\xa9 and \xff");
    if (strcmp(how, "long-code") == 0)
        return weir_fail(t, "a-code-of-more-than-thirty-one-x", "too long");
    if (strcmp(how, "longest-code") == 0)
        return weir_fail(t, "a-code-of-exactly-thirty-one-ch", "just right");
    if (strcmp(how, "no-memory") == 0)
        return weir_alloc(t, SIZE_MAX / 2) ? 0 : weir_fail(t, "no-room", "none");
    if (strcmp(how, "copes") == 0)
        weir_out_bool(t, weir_alloc(t, SIZE_MAX / 2) == NULL);
    if (strcmp(how, "says-out-of-memory") == 0)
        return weir_fail(t, "out-of-memory", "the library has none");
    if (strcmp(how, "fails-and-returns-0") == 0)
        return (void)weir_fail(t, "why", "nobody knows"), 0;
    if (strcmp(how, "long") == 0) {
        char text[2000];
        memset(text, 'a', sizeof text);
        for (size_t i = 1; i + 2 < sizeof text; i += 2)
            memcpy(text + i, "\xc3\xa9", 2);
        text[sizeof text - 1] = '\0';
        return weir_fail(t, "long", "%s", text);
    }
    if (strcmp(how, "cancelled") == 0)
        weir_out_bool(t, weir_cancelled(t));
    if (strcmp(how, "time-left") == 0)
        weir_out_integer(t, weir_time_left(t));
    return 0;
}

static const struct weir_step steps[] = {
    {.name = "greet", .run = greet},
    {.name = "count", .run = count, .init = count_init, .teardown = count_teardown},
    {.name = "sum", .run = sum},
    {.name = "reverse", .run = reverse},
    {.name = "odd", .run = odd},
};
WEIR_PLUGIN("good", steps);

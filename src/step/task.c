/*
 * task.c: what a step may ask of its task and of its worker.
 */
#include "step/internal.h"

#include "base/time.h"
#include "base/utf8.h"
#include "step/builtin/builtin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- The input: read when it is asked for, since not every step does ---- */

static void read_input(struct weir_task *t)
{
    const struct step_call *c = t->call;
    t->input_read = true;
    int rc = c->input_in_place ? json_parse_in_place(&t->input, c->input_in_place, c->input.len,
                                     SIZE_MAX, &t->unread)
                               : json_parse(&t->input, c->input, SIZE_MAX, &t->unread);
    if (rc)
        t->input = NULL;
}

const struct weir_value *weir_input(struct weir_task *t)
{
    if (!t->input_read)
        read_input(t);
    return t->input ? (const struct weir_value *)(const void *)json_root(t->input) : NULL;
}

/* ---- What it says ---- */

/* Never another's text where a code is expected: it becomes part of a URI. */
static const char *checked_code(const char *code)
{
    size_t len = 0;
    for (; code && code[len]; len++) {
        char c = code[len];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if ((!letter && !(c >= '0' && c <= '9') && c != '-') || len == STEP_CODE_MAX)
            return "step-failed";
    }
    return len > 0 ? code : "step-failed";
}

/* As much of a sentence as fits, as text that a log and a problem document can hold: UTF-8, on one
 * line. */
static void make_sentence(char *text, size_t size, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));
static void make_sentence(char *text, size_t size, const char *format, va_list args)
{
    int n = vsnprintf(text, size, format, args);
    size_t len = n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
    if (n >= 0 && (size_t)n >= size) { /* cut: perhaps within a character */
        size_t back = 1;
        while (back < 4 && back <= len && ((unsigned char)text[len - back] & 0xc0) == 0x80)
            back++;
        if (back <= len && utf8_length(text + len - back, back) != back)
            len -= back;
    }
    for (size_t i = 0; i < len;) {
        size_t character = utf8_length(text + i, len - i);
        if (character == 0 || (unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            text[i] = character ? ' ' : '?';
            character = 1;
        }
        i += character;
    }
    text[len] = '\0';
}

static void say(struct weir_task *t, enum step_outcome outcome, const char *code,
    const char *format, va_list args) __attribute__((format(printf, 4, 0)));
static void say(struct weir_task *t, enum step_outcome outcome, const char *code,
    const char *format, va_list args)
{
    if (t->said)
        return; /* the first to say so knew why */
    code = checked_code(code);
    t->said = true;
    t->outcome = strcmp(code, "out-of-memory") == 0 ? STEP_OUT_OF_MEMORY : outcome;
    t->error.code = outcome == STEP_REJECTED ? -EINVAL : -EIO;
    snprintf(t->error.type, sizeof t->error.type, "%s", code);
    make_sentence(t->error.sentence, sizeof t->error.sentence, format, args);
}

int weir_fail(struct weir_task *t, const char *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(t, STEP_FAILED, code, format, args);
    va_end(args);
    return -1;
}

int weir_reject(struct weir_task *t, const char *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(t, STEP_REJECTED, code, format, args);
    va_end(args);
    return -1;
}

struct work *step_work(const struct weir_task *t)
{
    return t->worker->place->work;
}

int step_out_of_memory(struct weir_task *t, const char *what)
{
    return weir_fail(t, "out-of-memory", "no memory for %s", what);
}

/* ---- What it asks ---- */

void *weir_alloc(struct weir_task *t, size_t size)
{
    void *block = arena_alloc(t->arena, size);
    if (!block)
        t->no_memory = true;
    return block;
}

static int64_t now(const struct weir_task *t)
{
    struct work *work = step_work(t);
    return work->now(work);
}

bool weir_cancelled(const struct weir_task *t)
{
    const struct step_call *c = t->call;
    if (c->cancelled && c->cancelled(c->cancelled_ctx))
        return true;
    return c->deadline != DEADLINE_NEVER && now(t) >= c->deadline;
}

int64_t weir_time_left(const struct weir_task *t)
{
    int64_t deadline = t->call->deadline;
    if (deadline == DEADLINE_NEVER)
        return INT64_MAX;
    int64_t moment = now(t);
    return deadline > moment ? deadline - moment : 0;
}

void *weir_state(const struct weir_task *t)
{
    return t->worker->state;
}

struct weir_worker *weir_task_worker(const struct weir_task *t)
{
    return t->worker;
}

/* ---- The worker ---- */

const struct weir_value *weir_options(const struct weir_worker *w)
{
    return w->options ? (const struct weir_value *)(const void *)json_root(w->options) : NULL;
}

unsigned weir_threads(const struct weir_worker *w)
{
    return w->place->threads > 0 ? w->place->threads : 1;
}

int weir_init_fail(struct weir_worker *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    w->refusal.code = -EINVAL;
    make_sentence(w->refusal.sentence, sizeof w->refusal.sentence, format, args);
    va_end(args);
    return -1;
}

static enum log_level level_of(enum weir_level level)
{
    switch (level) {
    case WEIR_LOG_DEBUG:
        return LOG_DEBUG;
    case WEIR_LOG_INFO:
        return LOG_INFO;
    case WEIR_LOG_WARNING:
        return LOG_WARN;
    case WEIR_LOG_ERROR:
        break;
    }
    return LOG_ERROR;
}

void weir_log(struct weir_worker *w, enum weir_level level, const char *format, ...)
{
    const struct step_place *place = w->place;
    if (!place->log)
        return;
    char line[1024];
    int head = snprintf(line, sizeof line, "step '%s': ", w->step->name);
    size_t len = head < 0 ? 0 : (size_t)head < sizeof line / 2 ? (size_t)head : sizeof line / 2;
    va_list args;
    va_start(args, format);
    make_sentence(line + len, sizeof line - len, format, args);
    va_end(args);
    place->log(place->log_ctx, level_of(level), line);
}

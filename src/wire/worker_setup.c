/*
 * worker_setup.c: what a worker is told before it has anything to do, as JSON: members can be added
 * to it that older workers ignore.
 *
 *     {"protocol":1,"pool":"cpu","kind":"processes","threads":1,"value":16777216,"memory":0,
 *      "unsafe":false,"shared":33562624,"outputs":16785408,"steps":[{"name":"tag",
 *      "plugin":"./tagger.so","step":"tag","options":{"model":"words.bin"}}]}
 */
#include "wire/worker.h"

#include "data/json.h"

#include <errno.h>

#define STEPS_MAX 4096

/* ---- Writing ---- */

static int write_name(struct bytes *out, const char *before, const char *name)
{
    return bytes_printf(out, "%s\"%s\":", before, name);
}

static int write_text(struct bytes *out, const char *before, const char *name, const char *text)
{
    int rc = write_name(out, before, name);
    if (rc == 0)
        rc = text ? json_write_string(out, span_of(text)) : bytes_append_span(out, SPAN("null"));
    return rc;
}

static int write_step(struct bytes *out, const char *before, const struct worker_setup_step *step)
{
    int rc = bytes_printf(out, "%s{", before);
    if (rc == 0)
        rc = write_text(out, "", "name", step->name);
    if (rc == 0)
        rc = write_text(out, ",", "plugin", step->plugin);
    if (rc == 0)
        rc = write_text(out, ",", "step", step->step);
    if (rc == 0)
        rc = write_name(out, ",", "options");
    if (rc == 0)
        rc = bytes_append_span(out, step->options.len ? step->options : SPAN("null"));
    if (rc == 0)
        rc = bytes_append_byte(out, '}');
    return rc;
}

static int write_setup(struct bytes *out, const struct worker_setup *s)
{
    int rc = bytes_printf(out, "{\"protocol\":%d", WORKER_PROTOCOL);
    if (rc == 0)
        rc = write_text(out, ",", "pool", s->pool);
    if (rc == 0)
        rc = write_text(out, ",", "kind", s->forks ? "fork" : "processes");
    if (rc == 0)
        rc = bytes_printf(out,
            ",\"threads\":%u,\"value\":%llu,\"memory\":%llu,\"unsafe\":%s,\"shared\":%llu,"
            "\"outputs\":%llu,\"steps\":[",
            s->threads, (unsigned long long)s->value, (unsigned long long)s->memory,
            s->unsafe ? "true" : "false", (unsigned long long)s->shared,
            (unsigned long long)s->outputs);
    for (unsigned i = 0; i < s->step_count && rc == 0; i++)
        rc = write_step(out, i ? "," : "", &s->steps[i]);
    if (rc == 0)
        rc = bytes_append_span(out, SPAN("]}"));
    return rc;
}

int worker_setup_write(struct bytes *out, const struct worker_setup *s)
{
    size_t before = out->len;
    int rc = write_setup(out, s);
    if (rc)
        out->len = before;
    return rc;
}

int worker_ready_write(struct bytes *out, int64_t pid)
{
    return bytes_printf(out, "{\"protocol\":%d,\"pid\":%lld}", WORKER_PROTOCOL, (long long)pid);
}

/* ---- Reading ---- */

static int wrong(struct error *e, const char *what, const char *name)
{
    return error_set(e, -EINVAL, "no-setup", "the set-up of a worker: '%s' %s", name, what);
}

static int read_number(
    uint64_t *out, const struct json_value *object, const char *name, int64_t max, struct error *e)
{
    int64_t n;
    if (!json_integer(json_member(object, name), &n) || n < 0 || n > max)
        return wrong(e, "is not a number that it may be", name);
    *out = (uint64_t)n;
    return 0;
}

/* A text without zero bytes; NULL if it is null and may be. */
static int read_text(const char **out, struct arena *a, const struct json_value *object,
    const char *name, bool null, struct error *e)
{
    const struct json_value *v = json_member(object, name);
    struct span text = json_string(v);
    *out = NULL;
    if (null && json_type(v) == JSON_NULL)
        return 0;
    if (json_type(v) != JSON_STRING || text.len == 0 || memchr(text.ptr, '\0', text.len))
        return wrong(e, "is not a text that it may be", name);
    *out = arena_copy(a, text);
    return *out ? 0 : -ENOMEM;
}

static int read_options(
    struct span *out, struct arena *a, const struct json_value *v, struct error *e)
{
    struct bytes text;
    if (json_type(v) == JSON_NULL)
        return 0;
    bytes_init(&text, WORKER_FRAME_MAX);
    int rc = json_write(&text, v);
    char *copy = rc == 0 ? arena_copy(a, bytes_span(&text)) : NULL;
    *out = (struct span){copy, text.len};
    bytes_release(&text);
    if (rc == -ENOBUFS)
        return wrong(e, "are too long", "options");
    return copy ? 0 : -ENOMEM;
}

static int read_step(
    struct worker_setup_step *step, struct arena *a, const struct json_value *v, struct error *e)
{
    int rc = read_text(&step->name, a, v, "name", false, e);
    if (rc == 0)
        rc = read_text(&step->plugin, a, v, "plugin", true, e);
    if (rc == 0)
        rc = read_text(&step->step, a, v, "step", false, e);
    return rc ? rc : read_options(&step->options, a, json_member(v, "options"), e);
}

static int read_steps(
    struct worker_setup *s, struct arena *a, const struct json_value *list, struct error *e)
{
    size_t count = json_count(list);
    if (json_type(list) != JSON_ARRAY || count > STEPS_MAX)
        return wrong(e, "is not a list that it may be", "steps");
    struct worker_setup_step *steps = arena_zalloc(a, (count ? count : 1) * sizeof *steps);
    if (!steps)
        return -ENOMEM;
    s->steps = steps;
    struct json_iter it = json_iter(list);
    const struct json_value *v;
    int rc = 0;
    while (rc == 0 && (v = json_next(&it, NULL)))
        rc = read_step(&steps[s->step_count++], a, v, e);
    return rc;
}

static int read_protocol(const struct json_value *root, struct error *e)
{
    int64_t protocol;
    if (json_type(root) != JSON_OBJECT)
        return error_set(e, -EINVAL, "no-setup", "it is no JSON object");
    if (!json_integer(json_member(root, "protocol"), &protocol))
        return wrong(e, "is not a number", "protocol");
    if (protocol != WORKER_PROTOCOL)
        return error_set(e, -EPROTONOSUPPORT, "other-protocol",
            "the other side speaks version %lld of the worker protocol, this one version %d",
            (long long)protocol, WORKER_PROTOCOL);
    return 0;
}

static int read_kind(struct worker_setup *s, const struct json_value *root, struct error *e)
{
    struct span kind = json_string(json_member(root, "kind"));
    s->forks = span_equal(kind, SPAN("fork"));
    return s->forks || span_equal(kind, SPAN("processes")) ? 0 : wrong(e, "is unknown", "kind");
}

static int read_memory(struct worker_setup *s, const struct json_value *root, struct error *e)
{
    int rc = read_number(&s->value, root, "value", INT64_MAX, e);
    if (rc == 0)
        rc = read_number(&s->memory, root, "memory", INT64_MAX, e);
    if (rc == 0)
        rc = read_number(&s->shared, root, "shared", INT64_MAX, e);
    if (rc == 0)
        rc = read_number(&s->outputs, root, "outputs", INT64_MAX, e);
    if (rc == 0 && s->shared && (s->outputs < WORKER_CONTROL_SIZE || s->outputs > s->shared))
        rc = wrong(e, "is not within the shared memory", "outputs");
    return rc;
}

static int read_setup(
    struct worker_setup *s, struct arena *a, const struct json_value *root, struct error *e)
{
    const struct json_value *unsafe = json_member(root, "unsafe");
    uint64_t threads = 0;
    *s = (struct worker_setup){0};
    int rc = read_protocol(root, e);
    if (rc == 0)
        rc = read_text(&s->pool, a, root, "pool", false, e);
    if (rc == 0)
        rc = read_kind(s, root, e);
    if (rc == 0)
        rc = read_number(&threads, root, "threads", INT32_MAX, e);
    if (rc == 0 && threads == 0)
        rc = wrong(e, "is not a number that it may be", "threads");
    if (rc == 0)
        rc = read_memory(s, root, e);
    if (rc == 0 && json_type(unsafe) != JSON_BOOL)
        rc = wrong(e, "is neither true nor false", "unsafe");
    if (rc)
        return rc;
    s->threads = (unsigned)threads;
    s->unsafe = json_bool(unsafe, false);
    return read_steps(s, a, json_member(root, "steps"), e);
}

int worker_setup_read(struct worker_setup *s, struct arena *a, struct span text, struct error *e)
{
    struct json *j;
    int rc = json_parse(&j, text, WORKER_FRAME_MAX, e);
    if (rc)
        return rc;
    rc = read_setup(s, a, json_root(j), e);
    json_free(j);
    if (rc == -ENOMEM)
        error_set(e, rc, "out-of-memory", "there is no memory for the set-up of a worker");
    return rc;
}

int worker_ready_read(int64_t *pid, struct span text, struct error *e)
{
    struct json *j;
    int rc = json_parse(&j, text, JSON_TEXT_MAX, e);
    if (rc)
        return rc;
    rc = read_protocol(json_root(j), e);
    if (rc == 0 && (!json_integer(json_member(json_root(j), "pid"), pid) || *pid <= 0))
        rc = error_set(e, -EINVAL, "no-setup", "a worker that is ready: 'pid' is no process");
    json_free(j);
    return rc;
}

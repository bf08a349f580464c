/*
 * worker.c: see worker.h.
 *
 * What was read is what would be written: each frame has one encoding, and a byte that means
 * nothing must be zero, so that it can mean something one day.
 */
#include "wire/worker.h"

#include "base/bug.h"
#include "base/utf8.h"

#include <errno.h>

/* The fixed parts of bodies. */
#define TASK_SIZE   40
#define TASK_MORE   21
#define RESULT_SIZE 48
#define LOG_SIZE    8
#define ID_SIZE     8
#define FORKED_SIZE 16
#define ENDED_SIZE  24

_Static_assert(sizeof(struct worker_control) <= WORKER_CONTROL_SIZE, "it is more than its page");

/* ---- Numbers ---- */

static uint64_t get(const char *at, unsigned size)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < size; i++)
        n |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return n;
}

static void put(char *at, unsigned size, uint64_t n)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (char)(n >> (8 * i));
}

static bool zeros(const char *at, unsigned size)
{
    return get(at, size) == 0;
}

/* ---- Writing ---- */

static int append_head(struct bytes *out, enum worker_kind kind, size_t length)
{
    char head[WORKER_HEAD_SIZE] = {0};
    if (length > WORKER_FRAME_MAX)
        return -ENOBUFS;
    int rc = bytes_reserve(out, sizeof head + length);
    if (rc)
        return rc;
    put(head, 4, length);
    head[4] = (char)kind;
    return bytes_append(out, head, sizeof head);
}

/* A fixed part, and up to two texts. */
static int append(struct bytes *out, enum worker_kind kind, struct span fixed, struct span text,
    struct span text2)
{
    if (text.len > WORKER_FRAME_MAX || text2.len > WORKER_FRAME_MAX)
        return -ENOBUFS;
    int rc = append_head(out, kind, fixed.len + text.len + text2.len);
    if (rc)
        return rc;
    /* There is room now. */
    rc = bytes_append_span(out, fixed);
    if (rc == 0)
        rc = bytes_append_span(out, text);
    if (rc == 0)
        rc = bytes_append_span(out, text2);
    return rc;
}

/* Where a text is, in 17 bytes that lie in two places: whether it is shared, and then where. */
static struct span put_text(char *shared, char *where, const struct worker_text *text)
{
    *shared = text->shared;
    put(where, 8, text->shared ? text->offset : 0);
    put(where + 8, 8, text->shared ? text->length : text->inside.len);
    return text->shared ? (struct span){0} : text->inside;
}

static int append_task(struct bytes *out, const struct worker_task *task)
{
    char fixed[TASK_SIZE] = {0};
    put(fixed, 8, task->id);
    put(fixed + 8, 8, task->deadline > 0 ? (uint64_t)task->deadline : 0);
    put(fixed + 16, 4, task->step);
    fixed[TASK_MORE] = task->more;
    struct span input = put_text(fixed + 20, fixed + 24, &task->input);
    return append(out, WORKER_TASK, (struct span){fixed, sizeof fixed}, input, (struct span){0});
}

static int append_result(struct bytes *out, const struct worker_result *result)
{
    char fixed[RESULT_SIZE] = {0};
    check(result->code.len <= WORKER_CODE_MAX, "a code of %zu bytes", result->code.len);
    put(fixed, 8, result->id);
    put(fixed + 8, 8, (uint64_t)result->wall_ns);
    put(fixed + 16, 8, (uint64_t)result->processor_ns);
    fixed[24] = (char)result->outcome;
    fixed[25] = (char)result->code.len;
    struct span output = put_text(fixed + 26, fixed + 32, &result->output);
    return append(out, WORKER_RESULT, (struct span){fixed, sizeof fixed}, result->code, output);
}

static int append_log(struct bytes *out, const struct worker_frame *f)
{
    char fixed[LOG_SIZE] = {(char)f->log.level};
    struct span line = f->log.line;
    line.len = utf8_cut(line.ptr, line.len, WORKER_LINE_MAX);
    return append(out, WORKER_LOG, (struct span){fixed, sizeof fixed}, line, (struct span){0});
}

static int append_fork(struct bytes *out, const struct worker_frame *f)
{
    char fixed[FORKED_SIZE];
    put(fixed, 8, f->fork.id);
    put(fixed + 8, 8, (uint64_t)f->fork.pid);
    size_t size = f->kind == WORKER_FORKED ? FORKED_SIZE : ID_SIZE;
    return append(out, f->kind, (struct span){fixed, size}, (struct span){0}, (struct span){0});
}

static int append_ended(struct bytes *out, const struct worker_frame *f)
{
    char fixed[ENDED_SIZE] = {0};
    put(fixed, 8, f->ended.id);
    put(fixed + 8, 4, (uint32_t)f->ended.status);
    put(fixed + 12, 4, (uint32_t)f->ended.signal);
    fixed[16] = f->ended.out_of_memory;
    return append(
        out, WORKER_ENDED, (struct span){fixed, sizeof fixed}, (struct span){0}, (struct span){0});
}

int worker_encode(struct bytes *out, const struct worker_frame *f)
{
    switch (f->kind) {
    case WORKER_SETUP:
    case WORKER_READY:
    case WORKER_REFUSED:
        return append(out, f->kind, (struct span){0}, f->text, (struct span){0});
    case WORKER_STOP:
        return append_head(out, f->kind, 0);
    case WORKER_TASK:
        return append_task(out, &f->task);
    case WORKER_RESULT:
        return append_result(out, &f->result);
    case WORKER_LOG:
        return append_log(out, f);
    case WORKER_FORK:
    case WORKER_KILL:
    case WORKER_FORKED:
        return append_fork(out, f);
    case WORKER_ENDED:
        return append_ended(out, f);
    }
    bug("a frame of kind %d cannot be written", f->kind);
}

void worker_encode_more(struct bytes *out, size_t at)
{
    check(at < out->len && out->len - at >= WORKER_HEAD_SIZE + TASK_SIZE &&
              out->ptr[at + 4] == WORKER_TASK,
        "there is no task at %zu", at);
    out->ptr[at + WORKER_HEAD_SIZE + TASK_MORE] = 1;
}

/* ---- Reading ---- */

/* Each reads a body: NULL, or what is wrong with it. */

static const char *read_text(
    struct worker_text *text, const char *shared, const char *where, struct span rest)
{
    *text = (struct worker_text){.offset = get(where, 8), .length = get(where + 8, 8)};
    if (*shared != 0 && *shared != 1)
        return "a text is neither inside nor shared";
    text->shared = *shared;
    if (text->shared) {
        if (rest.len != 0)
            return "a shared text is followed by bytes";
        if (text->offset < WORKER_CONTROL_SIZE || text->offset > INT64_MAX ||
            text->length > INT64_MAX - text->offset)
            return "a shared text is where none can be";
        return NULL;
    }
    if (text->offset != 0 || text->length != rest.len)
        return "a text's length is not that of the frame";
    text->offset = text->length = 0;
    text->inside = rest;
    return NULL;
}

static const char *read_task(struct worker_task *task, struct span body)
{
    if (body.len < TASK_SIZE)
        return "it is too short";
    const char *at = body.ptr;
    *task = (struct worker_task){
        .id = get(at, 8), .deadline = (int64_t)get(at + 8, 8), .step = (uint32_t)get(at + 16, 4)};
    if (task->id == 0)
        return "its id is 0";
    if (task->deadline < 0)
        return "its deadline is negative";
    if ((uint8_t)at[TASK_MORE] > 1)
        return "more neither follow nor do not";
    task->more = at[TASK_MORE];
    if (!zeros(at + 22, 2))
        return "a reserved byte is not zero";
    return read_text(
        &task->input, at + 20, at + 24, (struct span){at + TASK_SIZE, body.len - TASK_SIZE});
}

static bool is_code(struct span code)
{
    for (size_t i = 0; i < code.len; i++) {
        char c = code.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return true;
}

/* What follows from the outcome. */
static const char *check_result(const struct worker_result *r)
{
    if (r->outcome == WORKER_DONE && r->code.len > 0)
        return "what is done has a code";
    if (r->outcome == WORKER_DONE)
        return r->output.inside.len || r->output.length ? NULL : "what is done has no output";
    if (r->output.shared)
        return "a sentence is in shared memory";
    return utf8_valid(r->output.inside.ptr, r->output.inside.len) ? NULL
                                                                  : "a sentence is not UTF-8";
}

static const char *read_result(struct worker_result *r, struct span body)
{
    const char *at = body.ptr;
    if (body.len < RESULT_SIZE)
        return "it is too short";
    uint8_t outcome = (uint8_t)at[24];
    size_t code_len = (uint8_t)at[25];
    *r = (struct worker_result){.id = get(at, 8),
        .wall_ns = (int64_t)get(at + 8, 8),
        .processor_ns = (int64_t)get(at + 16, 8)};
    if (r->id == 0)
        return "its id is 0";
    if (r->wall_ns < 0 || r->processor_ns < 0)
        return "a time is negative";
    if (outcome > WORKER_OUT_OF_MEMORY)
        return "its outcome is unknown";
    r->outcome = (enum worker_outcome)outcome;
    if (!zeros(at + 27, 5))
        return "a reserved byte is not zero";
    if (code_len > WORKER_CODE_MAX || code_len > body.len - RESULT_SIZE)
        return "its code is too long";
    r->code = (struct span){at + RESULT_SIZE, code_len};
    if (!is_code(r->code))
        return "its code has other characters than letters, digits, '-' and '_'";
    size_t before = RESULT_SIZE + code_len;
    const char *wrong =
        read_text(&r->output, at + 26, at + 32, (struct span){at + before, body.len - before});
    return wrong ? wrong : check_result(r);
}

static const char *read_log(struct worker_frame *f, struct span body)
{
    if (body.len < LOG_SIZE)
        return "it is too short";
    if (!zeros(body.ptr + 1, 7))
        return "a reserved byte is not zero";
    f->log.level = (uint8_t)body.ptr[0];
    f->log.line = (struct span){body.ptr + LOG_SIZE, body.len - LOG_SIZE};
    if (f->log.level > 3)
        return "its level is unknown";
    if (f->log.line.len > WORKER_LINE_MAX)
        return "its line is too long";
    return utf8_valid(f->log.line.ptr, f->log.line.len) ? NULL : "its line is not UTF-8";
}

static const char *read_fork(struct worker_frame *f, struct span body)
{
    size_t size = f->kind == WORKER_FORKED ? FORKED_SIZE : ID_SIZE;
    if (body.len != size)
        return "it is not as long as it must be";
    f->fork.id = get(body.ptr, 8);
    f->fork.pid = f->kind == WORKER_FORKED ? (int64_t)get(body.ptr + 8, 8) : 0;
    if (f->fork.id == 0)
        return "its id is 0";
    if (f->kind == WORKER_FORKED && (f->fork.pid <= 0 || f->fork.pid > INT32_MAX))
        return "its pid is none";
    return NULL;
}

static const char *read_ended(struct worker_frame *f, struct span body)
{
    if (body.len != ENDED_SIZE)
        return "it is not as long as it must be";
    const char *at = body.ptr;
    f->ended.id = get(at, 8);
    f->ended.status = (int32_t)get(at + 8, 4);
    f->ended.signal = (int32_t)get(at + 12, 4);
    f->ended.out_of_memory = at[16] == 1;
    if (f->ended.id == 0)
        return "its id is 0";
    if (f->ended.status < 0 || f->ended.status > 255 || f->ended.signal < 0 ||
        f->ended.signal > 127)
        return "its status or signal is none";
    if ((uint8_t)at[16] > 1 || !zeros(at + 17, 7))
        return "a reserved byte is not zero";
    return NULL;
}

static const char *read_body(struct worker_frame *f, struct span body)
{
    switch (f->kind) {
    case WORKER_SETUP:
    case WORKER_READY:
        f->text = body;
        return NULL;
    case WORKER_REFUSED:
        f->text = body;
        return utf8_valid(body.ptr, body.len) ? NULL : "its sentence is not UTF-8";
    case WORKER_STOP:
        return body.len == 0 ? NULL : "it is not as long as it must be";
    case WORKER_TASK:
        return read_task(&f->task, body);
    case WORKER_RESULT:
        return read_result(&f->result, body);
    case WORKER_LOG:
        return read_log(f, body);
    case WORKER_FORK:
    case WORKER_KILL:
    case WORKER_FORKED:
        return read_fork(f, body);
    case WORKER_ENDED:
        return read_ended(f, body);
    }
    bug("a body of kind %d", f->kind);
}

static bool is_kind(unsigned kind)
{
    return (kind >= WORKER_SETUP && kind <= WORKER_STOP) ||
           (kind >= WORKER_READY && kind <= WORKER_ENDED);
}

ssize_t worker_decode(struct worker_frame *f, struct span in, struct error *e)
{
    if (in.len < WORKER_HEAD_SIZE)
        return 0;
    uint64_t length = get(in.ptr, 4);
    unsigned kind = (uint8_t)in.ptr[4];
    if (length > WORKER_FRAME_MAX || !is_kind(kind) || !zeros(in.ptr + 5, 3))
        return error_set(e, -EBADMSG, "no-frame", "what came is no frame: its head is wrong");
    if (in.len - WORKER_HEAD_SIZE < length)
        return 0;
    *f = (struct worker_frame){.kind = (enum worker_kind)kind};
    const char *wrong = read_body(f, (struct span){in.ptr + WORKER_HEAD_SIZE, length});
    if (wrong)
        return error_set(
            e, -EBADMSG, "no-frame", "what came is no frame (of kind %u): %s", kind, wrong);
    return (ssize_t)(WORKER_HEAD_SIZE + length);
}

/*
 * access.c: see access.h.
 */
#include "app/access.h"

#include "base/calendar.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/json.h"

#include <errno.h>
#include <stdatomic.h>

#define BATCH_BYTES    (32 * 1024)
#define BATCHES_MAX    16 /* a thread: handed over and not written yet */
#define HAND_OVER_EACH (200 * NS_PER_MS)
/* What strangers chose is cut: a target can be as long as a head. */
#define TARGET_SHOWN   512

struct batch {
    struct message message;
    struct access_log *log;
    struct access_writer *writer;
    struct bytes text;
};

struct access_writer {
    struct world *home;
    struct thread *thread;
    struct log *log;
    struct message stop;
    struct coro *main; /* of its thread */
    bool stopped;
};

struct access_log {
    struct world *world; /* its thread's, once it is open */
    struct access_writer *writer;
    struct batch *batch; /* being filled; NULL: none */
    struct coro *idle;   /* access_log_run, while there is nothing to hand over */
    uint64_t dropped;
    _Atomic unsigned under_way; /* batches that are the writer's; it counts down */
    /* The wall clock is asked once a batch: a line's time is that plus what the monotonic clock
     * says has passed. */
    int64_t wall_ahead;
};

/* ---- The writer ---- */

static void write_batch(struct message *m)
{
    struct batch *b = container_of(m, struct batch, message);
    struct log *log = b->writer->log;
    log->sink(log->ctx, b->text.ptr, b->text.len);
    atomic_fetch_sub_explicit(&b->log->under_way, 1, memory_order_release);
    bytes_release(&b->text);
    mem_free(b);
}

static void on_stop(struct message *m)
{
    struct access_writer *writer = container_of(m, struct access_writer, stop);
    writer->stopped = true;
    if (writer->main)
        coro_wake(writer->main, 0);
}

static int writer_main(struct world *w, void *arg)
{
    struct access_writer *writer = arg;
    writer->main = coro_self();
    int rc = 0;
    while (!writer->stopped && rc == 0)
        rc = coro_park("lines to write");
    writer->main = NULL;
    return rc;
}

int access_writer_start(struct access_writer **out, struct world *w, struct log *log)
{
    struct access_writer *writer = mem_zalloc(sizeof(*writer));
    if (!writer)
        return -ENOMEM;
    writer->home = w;
    writer->log = log;
    writer->stop.deliver = on_stop;
    int rc = world_thread(w, "access log", writer_main, writer, &writer->thread);
    if (rc) {
        mem_free(writer);
        return rc;
    }
    *out = writer;
    return 0;
}

void access_writer_stop(struct access_writer *writer)
{
    if (!writer)
        return;
    /* A thread has to be waited for, also by who is being cancelled. */
    CORO_SHIELD(DEADLINE_NEVER);
    world_post(thread_world(writer->thread), &writer->stop);
    int result = 0;
    int rc = thread_wait(writer->thread, &result);
    if (rc)
        log_error(
            world_log(writer->home), "the access log's thread did not end: %s", error_text(rc));
    thread_close(writer->thread);
    mem_free(writer);
}

/* ---- Batches ---- */

static void hand_over(struct access_log *log)
{
    struct batch *b = log->batch;
    log->batch = NULL;
    if (!b)
        return;
    atomic_fetch_add_explicit(&log->under_way, 1, memory_order_relaxed);
    world_post(thread_world(log->writer->thread), &b->message);
}

static struct batch *batch_with_room(struct access_log *log, int64_t now)
{
    if (log->batch && log->batch->text.len >= BATCH_BYTES - LOG_LINE_MAX)
        hand_over(log);
    if (log->batch)
        return log->batch;
    if (atomic_load_explicit(&log->under_way, memory_order_acquire) >= BATCHES_MAX)
        return NULL;
    struct batch *b = mem_alloc(sizeof(*b));
    if (!b)
        return NULL;
    *b = (struct batch){.message.deliver = write_batch, .log = log, .writer = log->writer};
    bytes_init(&b->text, BATCH_BYTES);
    log->wall_ahead = world_wall(log->world) - now;
    log->batch = b;
    if (log->idle)
        coro_wake(log->idle, 0);
    return b;
}

/* ---- Lines ---- */

static const char *moment(struct access_log *log, int64_t now, char text[CALENDAR_TEXT_MAX])
{
    struct calendar c = calendar_of(log->wall_ahead + now);
    calendar_print(&c, text);
    return text;
}

static int write_text(
    struct bytes *out, const char *when, const struct http_request *r, double ms, const char *peer)
{
    struct span target = r->head->target;
    if (target.len > TARGET_SHOWN)
        target.len = TARGET_SHOWN;
    int rc = bytes_printf(out, "%s access %d %.*s ", when, r->status, SPAN_ARG(r->label));
    if (rc == 0)
        rc = json_write_string(out, target); /* quotes, and escapes what must be */
    if (rc == 0)
        rc = bytes_printf(
            out, " %.3f ms %llu bytes %s %s", ms, (unsigned long long)r->sent, peer, r->id);
    if (rc == 0 && r->failure.len > 0)
        rc = bytes_append_byte(out, ' ');
    if (rc == 0 && r->failure.len > 0)
        rc = json_write_string(out, r->failure);
    return rc ? rc : bytes_append_byte(out, '\n');
}

static int write_json(
    struct bytes *out, const char *when, const struct http_request *r, double ms, const char *peer)
{
    struct span target = r->head->target;
    if (target.len > TARGET_SHOWN)
        target.len = TARGET_SHOWN;
    int rc = bytes_printf(
        out, "{\"time\":\"%s\",\"level\":\"access\",\"status\":%d,\"route\":", when, r->status);
    if (rc == 0)
        rc = json_write_string(out, r->label);
    if (rc == 0)
        rc = bytes_append_span(out, SPAN(",\"method\":"));
    if (rc == 0)
        rc = json_write_string(out, r->head->method_name);
    if (rc == 0)
        rc = bytes_append_span(out, SPAN(",\"target\":"));
    if (rc == 0)
        rc = json_write_string(out, target);
    if (rc == 0)
        rc = bytes_printf(out,
            ",\"ms\":%.3f,\"received\":%llu,\"sent\":%llu,\"client\":\"%s\",\"id\":\"%s\"", ms,
            (unsigned long long)r->received, (unsigned long long)r->sent, peer, r->id);
    if (rc == 0 && r->failure.len > 0)
        rc = bytes_append_span(out, SPAN(",\"error\":"));
    if (rc == 0 && r->failure.len > 0)
        rc = json_write_string(out, r->failure);
    return rc ? rc : bytes_append_span(out, SPAN("}\n"));
}

static int write_dropped(struct bytes *out, const char *when, uint64_t dropped, bool json)
{
    if (json)
        return bytes_printf(out,
            "{\"time\":\"%s\",\"level\":\"warn\",\"message\":\"the access log lost %llu lines, "
            "since its writer is held up\"}\n",
            when, (unsigned long long)dropped);
    return bytes_printf(out,
        "%s warn  the access log lost %llu lines, since its writer is held up\n", when,
        (unsigned long long)dropped);
}

void access_log_request(struct access_log *log, const struct http_request *r, int64_t now)
{
    struct batch *b = batch_with_room(log, now);
    if (!b) {
        log->dropped++;
        return;
    }
    char when[CALENDAR_TEXT_MAX];
    char peer[ADDRESS_TEXT_MAX];
    moment(log, now, when);
    address_print(r->peer, peer);
    bool json = log->writer->log->json;
    size_t before = b->text.len;
    int rc = 0;
    if (log->dropped)
        rc = write_dropped(&b->text, when, log->dropped, json);
    double ms = (double)(now - r->began) / 1e6;
    if (rc == 0)
        rc = (json ? write_json : write_text)(&b->text, when, r, ms, peer);
    if (rc) {
        b->text.len = before;
        log->dropped++;
        return;
    }
    log->dropped = 0;
}

/* ---- Life ---- */

int access_log_new(struct access_log **out, struct access_writer *writer)
{
    struct access_log *log = mem_zalloc(sizeof(*log));
    if (!log)
        return -ENOMEM;
    log->writer = writer;
    *out = log;
    return 0;
}

void access_log_open(struct access_log *log, struct world *w)
{
    log->world = w;
}

int access_log_run(struct access_log *log)
{
    int rc = 0;
    while (rc == 0) {
        if (!log->batch) {
            log->idle = coro_self();
            rc = coro_park("requests to log");
            log->idle = NULL;
        }
        if (rc == 0)
            rc = world_sleep(log->world, HAND_OVER_EACH);
        hand_over(log);
    }
    return rc == -ECANCELED ? 0 : rc;
}

void access_log_close(struct access_log *log)
{
    if (log)
        hand_over(log);
}

void access_log_free(struct access_log *log)
{
    mem_free(log);
}

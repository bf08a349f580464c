/*
 * access.c: see access.h.
 *
 * Lines of one process are written in the order of their times: the writer takes what all threads
 * have gathered, merges it, and puts lines of the log's other levels, which come through log.front,
 * behind it.
 */
#include "app/access.h"

#include "base/calendar.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/json.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

/* How long lines wait for others, and the most that wait: the output of one thread in that time. */
#define GATHER_NS         (25 * NS_PER_MS)
#define GATHER_BYTES      ((size_t)1024 * 1024)
/* Clients' texts are cut: a target can be as long as a head. */
#define TARGET_SHOWN      512
#define HTTP_METHOD_SHOWN 32
/* Larger buffers are freed once they are written. */
#define KEPT_BYTES        (64 * 1024)
/* What each line begins with, behind `{"time":"` if it is JSON. */
#define MOMENT_LEN        (CALENDAR_TEXT_MAX - 1)
#define JSON_BEGIN        (sizeof("{\"time\":\"") - 1)

struct access_writer {
    struct world *home;
    struct thread *thread;
    struct log *log;
    struct log_front front; /* lines of other levels come through it */
    struct list logs;       /* through access_log.link; changed only under `output` */
    struct message wake;
    struct message stop;
    atomic_bool woken; /* `wake` is to be posted, on its way, or was received for what is there */
    bool received;     /* it was: only then can it be posted again */
    struct coro *main; /* of its thread, while that is parked */
    bool stopped;
    pthread_mutex_t output; /* while writing; guards what follows */
    char last[MOMENT_LEN];  /* of the latest line */
    struct bytes merged;
};

struct access_log {
    struct list link;
    struct world *world;          /* its thread's, once it is open */
    struct access_writer *writer; /* NULL after it has stopped */
    pthread_mutex_t lock; /* of `filling`, for as long as it takes to add a line or to swap */
    struct bytes filling;
    struct bytes writing; /* guarded by the writer's `output` */
    size_t written;       /* of it */
    uint64_t dropped;
    /* The wall clock is asked when the first line is gathered: a line's time is that plus what the
     * monotonic clock says has passed. */
    int64_t wall_ahead;
};

/* ---- Merging: each source is in order already, or nearly ---- */

static char *moment_of(char *line)
{
    return line[0] == '{' ? line + JSON_BEGIN : line;
}

/* The first line of what is left; {NULL, 0}: nothing is. */
static struct span first_line(const struct access_log *log)
{
    size_t left = log->writing.len - log->written;
    const char *at = log->writing.ptr + log->written;
    if (left == 0)
        return (struct span){NULL, 0};
    const char *end = memchr(at, '\n', left);
    return (struct span){at, end ? (size_t)(end - at) + 1 : left};
}

static struct access_log *earliest(struct access_writer *w, struct span *line)
{
    struct access_log *found = NULL;
    list_each (link, &w->logs) {
        struct access_log *log = list_entry(link, struct access_log, link);
        struct span s = first_line(log);
        if (!s.ptr)
            continue;
        if (found && memcmp(moment_of((char *)(uintptr_t)s.ptr),
                         moment_of((char *)(uintptr_t)line->ptr), MOMENT_LEN) >= 0)
            continue;
        found = log;
        *line = s;
    }
    return found;
}

/* Clocks of threads are read a little before their lines get here: a line that comes after another
 * bears no earlier time. */
static void put(struct access_writer *w, struct span line)
{
    if (w->merged.len + line.len > w->merged.max) {
        w->log->sink(w->log->ctx, w->merged.ptr, w->merged.len);
        bytes_reset(&w->merged);
    }
    size_t at = w->merged.len;
    if (bytes_append_span(&w->merged, line) != 0) { /* no memory: it is written as it is */
        w->log->sink(w->log->ctx, line.ptr, line.len);
        return;
    }
    char *moment = moment_of(w->merged.ptr + at);
    if (memcmp(moment, w->last, MOMENT_LEN) < 0)
        memcpy(moment, w->last, MOMENT_LEN);
    else
        memcpy(w->last, moment, MOMENT_LEN);
}

static void take(struct access_log *log)
{
    pthread_mutex_lock(&log->lock);
    struct bytes filled = log->filling;
    log->filling = log->writing;
    log->writing = filled;
    pthread_mutex_unlock(&log->lock);
    log->written = 0;
}

static void give_back(struct bytes *b)
{
    if (b->size > KEPT_BYTES)
        bytes_release(b);
    else
        bytes_reset(b);
}

/* What was gathered, by time, and then `after`. Only who writes waits for a slow reader. */
static void write_all(struct access_writer *w, struct span after)
{
    struct span line;
    struct access_log *log;
    pthread_mutex_lock(&w->output);
    list_each (link, &w->logs)
        take(list_entry(link, struct access_log, link));
    while ((log = earliest(w, &line))) {
        put(w, line);
        log->written += line.len;
    }
    list_each (link, &w->logs)
        give_back(&list_entry(link, struct access_log, link)->writing);
    if (after.len > 0)
        put(w, after);
    if (w->merged.len > 0)
        w->log->sink(w->log->ctx, w->merged.ptr, w->merged.len);
    give_back(&w->merged);
    pthread_mutex_unlock(&w->output);
}

static void write_after_all(struct log_front *front, const char *line, size_t len)
{
    write_all(container_of(front, struct access_writer, front), (struct span){line, len});
}

/* ---- The writer ---- */

static void on_wake(struct message *m)
{
    struct access_writer *writer = container_of(m, struct access_writer, wake);
    writer->received = true;
    if (writer->main)
        coro_wake(writer->main, 0);
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
    int rc = 0;
    while (!writer->stopped && rc == 0) {
        writer->main = coro_self();
        while (!writer->stopped && !writer->received && rc == 0)
            rc = coro_park("lines to write");
        writer->main = NULL;
        if (!writer->stopped && rc == 0)
            rc = world_sleep(w, GATHER_NS);
        if (writer->received) { /* later lines wake it again */
            writer->received = false;
            atomic_store(&writer->woken, false);
        }
        write_all(writer, (struct span){NULL, 0});
    }
    return rc;
}

int access_writer_start(struct access_writer **out, struct world *w, struct log *log)
{
    struct access_writer *writer = mem_zalloc(sizeof(*writer));
    if (!writer)
        return -ENOMEM;
    writer->home = w;
    writer->log = log;
    writer->front.write = write_after_all;
    writer->wake.deliver = on_wake;
    writer->stop.deliver = on_stop;
    list_init(&writer->logs);
    bytes_init(&writer->merged, KEPT_BYTES);
    int rc = -pthread_mutex_init(&writer->output, NULL);
    if (rc) {
        mem_free(writer);
        return rc;
    }
    rc = world_thread(w, "access log", writer_main, writer, &writer->thread);
    if (rc) {
        pthread_mutex_destroy(&writer->output);
        mem_free(writer);
        return rc;
    }
    atomic_store(&log->front, &writer->front);
    *out = writer;
    return 0;
}

void access_writer_stop(struct access_writer *writer)
{
    if (!writer)
        return;
    /* A thread must be joined, also during a cancellation. */
    CORO_SHIELD(DEADLINE_NEVER);
    world_post(thread_world(writer->thread), &writer->stop);
    int result = 0;
    int rc = thread_wait(writer->thread, &result);
    atomic_store(&writer->log->front, NULL);
    while (atomic_load(&writer->log->in_front) > 0) /* a thread still writes through it */
        if (world_sleep(writer->home, NS_PER_MS) != 0)
            break;
    write_all(writer, (struct span){NULL, 0}); /* of those who closed after the thread had ended */
    if (rc)
        log_error(
            world_log(writer->home), "the access log's thread did not end: %s", error_text(rc));
    thread_close(writer->thread);
    list_each (link, &writer->logs)
        list_entry(link, struct access_log, link)->writer = NULL;
    bytes_release(&writer->merged);
    pthread_mutex_destroy(&writer->output);
    mem_free(writer);
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
    char asked[HTTP_METHOD_SHOWN + TARGET_SHOWN + 1];
    struct span method = r->head->method_name;
    size_t len = method.len < HTTP_METHOD_SHOWN ? method.len : HTTP_METHOD_SHOWN;
    if (len > 0) {
        memcpy(asked, method.ptr, len);
        asked[len++] = ' ';
    }
    if (target.len > 0)
        memcpy(asked + len, target.ptr, target.len);
    int rc = bytes_printf(out, "%s access %d %.*s ", when, r->status, SPAN_ARG(r->label));
    if (rc == 0) /* quotes and escapes */
        rc = json_write_string(out, (struct span){asked, len + target.len});
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

static int write_line(struct access_log *log, const struct http_request *r, int64_t now)
{
    char when[CALENDAR_TEXT_MAX];
    char peer[ADDRESS_TEXT_MAX];
    bool json = log->writer->log->json;
    double ms = (double)(now - r->began) / 1e6;
    int rc = 0;
    moment(log, now, when);
    address_print(r->peer, peer);
    if (log->dropped)
        rc = write_dropped(&log->filling, when, log->dropped, json);
    return rc ? rc : (json ? write_json : write_text)(&log->filling, when, r, ms, peer);
}

void access_log_request(struct access_log *log, const struct http_request *r, int64_t now)
{
    struct access_writer *writer = log->writer;
    pthread_mutex_lock(&log->lock);
    size_t before = log->filling.len;
    if (before == 0)
        log->wall_ahead = world_wall(log->world) - now;
    if (write_line(log, r, now) == 0) {
        log->dropped = 0;
    } else {
        log->filling.len = before;
        log->dropped++;
    }
    pthread_mutex_unlock(&log->lock);
    if (!atomic_load_explicit(&writer->woken, memory_order_relaxed) &&
        !atomic_exchange(&writer->woken, true))
        world_post(thread_world(writer->thread), &writer->wake);
}

/* ---- Life ---- */

int access_log_new(struct access_log **out, struct access_writer *writer)
{
    struct access_log *log = mem_zalloc(sizeof(*log));
    if (!log)
        return -ENOMEM;
    int rc = -pthread_mutex_init(&log->lock, NULL);
    if (rc) {
        mem_free(log);
        return rc;
    }
    log->writer = writer;
    bytes_init(&log->filling, GATHER_BYTES);
    bytes_init(&log->writing, GATHER_BYTES);
    pthread_mutex_lock(&writer->output);
    list_push_back(&writer->logs, &log->link);
    pthread_mutex_unlock(&writer->output);
    *out = log;
    return 0;
}

void access_log_open(struct access_log *log, struct world *w)
{
    log->world = w;
}

void access_log_free(struct access_log *log)
{
    if (!log)
        return;
    if (log->writer) {
        pthread_mutex_lock(&log->writer->output);
        list_del(&log->link);
        pthread_mutex_unlock(&log->writer->output);
    }
    bytes_release(&log->filling);
    bytes_release(&log->writing);
    pthread_mutex_destroy(&log->lock);
    mem_free(log);
}

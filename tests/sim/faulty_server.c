/*
 * faulty_server.c: see faulty_server.h.
 */
#include "faulty_server.h"

#include "base/mem.h"
#include "base/rand.h"
#include "coro/group.h"
#include "wire/deadline.h"
#include "wire/field.h"
#include "wire/http1.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define REQUEST_MAX 2048
#define ID_MAX      32
#define LATE_NS     (2 * NS_PER_S)
#define FLAP_NS     (500 * NS_PER_MS)
/* After this long the network has given up what did not get through. */
#define STILL_NS    (70 * NS_PER_S)
#define LOSS_PPM    200000

static const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;

struct visit {
    struct faulty_server *s;
    struct world *w;
    struct stream *stream;
    struct rand rand;
    struct http1 parser;
    struct http_field table[HTTP1_FIELDS_DEFAULT];
    char id[ID_MAX];
    char text[REQUEST_MAX];
    size_t len;
    unsigned requests;
};

/* ---- Reading ---- */

static void note_request(struct visit *v)
{
    struct faulty_server *s = v->s;
    const struct http1_head *head = &v->parser.head;
    struct faulty_request request = {.method = head->method_name,
        .id = {head->target.ptr + 1, head->target.len - 1},
        .left_ns = DEADLINE_NEVER,
        .on_kept = v->requests++ > 0,
        .after_a_fault = sim_now(s->sim) <= s->still_until};
    const struct http_field *field =
        http_field_find(head->fields, head->field_count, "weir-deadline");
    int rc = field ? deadline_read(field->value, &request.left_ns) : 0;
    sim_check(s->sim, rc == 0, "a deadline is no number");
    snprintf(v->id, sizeof v->id, "%.*s", SPAN_ARG(request.id));
    if (s->on_request)
        s->on_request(s->ctx, s, &request);
}

static int next_request(struct visit *v)
{
    for (;;) {
        struct span in = {.ptr = v->text, .len = v->len};
        struct span data;
        enum http1_event event = http1_next(&v->parser, &in, &data);
        if (event == HTTP1_HEAD)
            note_request(v);
        v->len = in.len;
        memmove(v->text, in.ptr, in.len);
        if (event == HTTP1_END) {
            http1_reset(&v->parser);
            return 0;
        }
        sim_check(v->s->sim, event != HTTP1_BAD, "the client sent no request");
        if (event != HTTP1_MORE)
            continue;
        ssize_t got = stream_read(v->stream, v->text + v->len, sizeof v->text - v->len);
        if (got <= 0)
            return got ? (int)got : -EPIPE;
        v->len += (size_t)got;
    }
}

/* ---- Answering ---- */

static int send_text(struct visit *v, const char *text)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    return stream_write(v->stream, &part, 1);
}

/* Until the client gives up. */
static int say_nothing(struct visit *v)
{
    char byte;
    ssize_t got = stream_read(v->stream, &byte, 1);
    return got < 0 ? (int)got : -EPIPE;
}

static int send_garbage(struct visit *v)
{
    static const char *const texts[] = {"garbage\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
        "\r\n\n\r\x01\x02\x03", "HTTP/1.1 200 OK\r\nA"};
    int rc = send_text(v, texts[rand_below(&v->rand, sizeof texts / sizeof *texts)]);
    return rc ? rc : -EPIPE;
}

static int send_part(struct visit *v)
{
    static const char *const texts[] = {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n1",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n1", "HTTP/1.1 200 OK\r\n", ""};
    int rc = send_text(v, texts[rand_below(&v->rand, sizeof texts / sizeof *texts)]);
    return rc ? rc : -EPIPE;
}

static int send_busy(struct visit *v)
{
    static const char *const texts[] = {
        "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n"};
    return send_text(v, texts[rand_below(&v->rand, sizeof texts / sizeof *texts)]);
}

static int send_reply(struct visit *v)
{
    char text[256];
    size_t len = strlen(v->id);
    if (rand_ppm(&v->rand, 500000))
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", len, v->id);
    else
        snprintf(text, sizeof text,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n", len,
            v->id);
    return send_text(v, text);
}

static int work(struct visit *v)
{
    struct faulty_server *s = v->s;
    int64_t ns = s->service_ns / 2 + (int64_t)rand_below(&v->rand, (uint64_t)s->service_ns);
    if (s->fault == SERVER_SLOW)
        ns *= 4;
    if (s->fault == SERVER_LATE)
        ns += LATE_NS;
    return s->computes ? sim_burn(v->w, ns) : world_sleep(v->w, ns);
}

static int answer(struct visit *v)
{
    enum server_fault fault = v->s->fault;
    if (fault == SERVER_SILENT)
        return say_nothing(v);
    if (fault == SERVER_BUSY)
        return send_busy(v);
    int rc = work(v);
    if (rc)
        return rc;
    if (fault == SERVER_GARBAGE)
        return send_garbage(v);
    return fault == SERVER_CUT ? send_part(v) : send_reply(v);
}

static int visit_fn(void *arg)
{
    struct visit *v = arg;
    int rc = 0;
    http1_init(&v->parser, HTTP1_REQUEST, &limits, v->table);
    while (rc == 0) {
        rc = next_request(v);
        if (rc == 0)
            rc = answer(v);
    }
    stream_close(v->stream);
    mem_free(v);
    return 0;
}

static int serve(struct world *w, void *arg)
{
    struct address at;
    struct listener *l;
    int rc = address_parse(&at, "*:80", NULL);
    if (rc == 0)
        rc = world_listen(w, &at, NULL, &l);
    if (rc)
        return rc;
    GROUP(visits, GROUP_INDEPENDENT);
    while (rc == 0) {
        struct stream *stream;
        rc = listener_accept(l, &stream);
        if (rc)
            break;
        struct visit *v = mem_zalloc(sizeof *v);
        if (!v)
            return -ENOMEM;
        uint64_t seed;
        world_random(w, &seed, sizeof seed);
        rand_init(&v->rand, seed);
        v->s = arg;
        v->w = w;
        v->stream = stream;
        rc = group_spawn(&visits, "visit", visit_fn, v);
    }
    listener_close(l);
    return rc;
}

/* ---- Faults ---- */

static void start_process(struct faulty_server *s)
{
    s->process = sim_start(s->host, s->process_name, serve, s);
    sim_check(s->sim, s->process, "%s cannot be started", s->name);
    if (s->process)
        sim_process_daemon(s->process);
}

void faulty_server_start(struct faulty_server *s)
{
    snprintf(s->name, sizeof s->name, "s%u", s->index);
    snprintf(s->process_name, sizeof s->process_name, "server %u", s->index);
    s->host = sim_host(
        s->sim, &(struct sim_host_options){.name = s->name, .cores = s->cores, .spared = true});
    sim_check(s->sim, s->host, "there is no host");
    start_process(s);
}

static int kill_for(struct faulty_server *s, int64_t ns)
{
    int rc = sim_signal(s->process, SIGKILL);
    s->process = NULL;
    s->killed_at = sim_now(s->sim);
    if (rc == 0)
        rc = sim_sleep(s->sim, ns);
    start_process(s);
    return rc;
}

static int flap(struct faulty_server *s, int64_t until)
{
    int rc = 0;
    while (rc == 0 && sim_now(s->sim) < until) {
        rc = kill_for(s, FLAP_NS);
        if (rc == 0)
            rc = sim_sleep(s->sim, FLAP_NS);
    }
    return rc;
}

static int stand_still(struct faulty_server *s, int64_t ns)
{
    sim_pause(s->host, ns);
    return sim_sleep(s->sim, ns);
}

static int cut_off(struct faulty_server *s, struct sim_host *client, int64_t ns)
{
    int rc = sim_cut_both(client, s->host);
    if (rc == 0)
        rc = sim_sleep(s->sim, ns);
    sim_heal_both(client, s->host);
    return rc;
}

static int lose(struct faulty_server *s, struct sim_host *client, int64_t ns)
{
    struct sim_link lossy = SIM_LINK_DEFAULT;
    lossy.loss_ppm = LOSS_PPM;
    int rc = sim_link_both(client, s->host, &lossy);
    if (rc == 0)
        rc = sim_sleep(s->sim, ns);
    int healed = sim_link_both(client, s->host, NULL);
    return rc ? rc : healed;
}

static int crash(struct faulty_server *s, int64_t ns)
{
    sim_crash(s->host);
    s->process = NULL;
    s->killed_at = sim_now(s->sim);
    int rc = sim_sleep(s->sim, ns);
    int up = sim_restart(s->host);
    start_process(s);
    return rc ? rc : up;
}

static int fail(
    struct faulty_server *s, struct sim_host *client, enum server_fault fault, int64_t ns)
{
    switch (fault) {
    case SERVER_KILLED:
        return kill_for(s, ns);
    case SERVER_FLAPPING:
        return flap(s, sim_now(s->sim) + ns);
    case SERVER_STOPPED:
        return stand_still(s, ns);
    case SERVER_UNREACHABLE:
        return cut_off(s, client, ns);
    case SERVER_LOSSY:
        return lose(s, client, ns);
    case SERVER_CRASHED:
        return crash(s, ns);
    default:
        return sim_sleep(s->sim, ns);
    }
}

int faulty_server_fail(
    struct faulty_server *s, struct sim_host *client, enum server_fault fault, int64_t ns)
{
    sim_note(s->sim, s->name, (int64_t)fault);
    s->fault = fault;
    if (fault == SERVER_STOPPED || fault == SERVER_UNREACHABLE || fault == SERVER_LOSSY)
        s->still_until = sim_now(s->sim) + ns + STILL_NS;
    s->crashed = s->crashed || fault == SERVER_CRASHED;
    int rc = fail(s, client, fault, ns);
    s->fault = SERVER_WELL;
    sim_note(s->sim, s->name, SERVER_WELL);
    return rc;
}

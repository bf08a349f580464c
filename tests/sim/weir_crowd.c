/*
 * weir_crowd.c: see weir_crowd.h.
 */
#include "weir_crowd.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/rand.h"
#include "coro/group.h"
#include "wire/http1.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct client {
    struct crowd *crowd;
    struct world *w;
    unsigned index;
    unsigned ids;
    struct rand rand;
    struct stream *stream; /* NULL: not connected */
    int64_t connected_at;  /* universe time */
    int64_t heard_at;      /* the end of the last answer on this connection */
    struct request requests[BURST_MAX];
    unsigned first; /* that has no answer yet */
    unsigned count;
    struct http1 parser;
    struct http_field table[HTTP1_FIELDS_DEFAULT];
    struct answer answer;
    struct bytes out;
    size_t in_len;
    char in[8 * 1024];
};

/* ---- Texts ---- */

/* The text with each '@' replaced. */
static void fill(char *out, size_t size, const char *text, const char *id)
{
    size_t len = 0;
    for (; *text; text++) {
        const char *piece = *text == '@' ? id : text;
        size_t piece_len = *text == '@' ? strlen(id) : 1;
        if (len + piece_len >= size)
            break;
        memcpy(out + len, piece, piece_len);
        len += piece_len;
    }
    out[len] = '\0';
}

static int write_request(struct client *c, const struct request *r, bool last)
{
    char path[128];
    char body[128] = "";
    fill(path, sizeof path, r->ask->path, r->id);
    if (r->ask->body)
        fill(body, sizeof body, r->ask->body, r->id);
    int rc = bytes_printf(&c->out, "%s %s HTTP/1.1\r\nHost: weir\r\nX-Request-Id: %s\r\n%s%s",
        r->ask->method ? r->ask->method : "GET", path, r->id, r->ask->fields ? r->ask->fields : "",
        last ? "Connection: close\r\n" : "");
    if (rc == 0 && !r->ask->body)
        return bytes_append_span(&c->out, SPAN("\r\n"));
    if (rc == 0 && rand_ppm(&c->rand, 500000))
        return bytes_printf(&c->out, "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
    if (rc == 0)
        rc = bytes_printf(&c->out, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n0\r\n\r\n",
            strlen(body), body);
    return rc;
}

/* ---- The connection ---- */

static void hang_up(struct client *c)
{
    if (c->stream)
        stream_close(c->stream);
    c->stream = NULL;
}

static int connect_once(struct client *c)
{
    struct crowd *crowd = c->crowd;
    static const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    CORO_DEADLINE(
        crowd->patience_ns ? deadline_after(world_now(c->w), crowd->patience_ns) : DEADLINE_NEVER);
    int rc = world_connect(c->w, crowd->at, &c->stream);
    if (rc)
        return rc;
    crowd->connects++;
    c->connected_at = c->heard_at = sim_now(crowd->sim);
    c->in_len = 0;
    http1_init(&c->parser, HTTP1_REPLY, &limits, c->table);
    return 0;
}

static int reconnect(struct client *c)
{
    struct crowd *crowd = c->crowd;
    for (;;) {
        c->stream = NULL;
        int rc = connect_once(c);
        if (rc == 0 || rc == -ECANCELED)
            return rc;
        bool allowed = crowd->may_not_connect && crowd->may_not_connect(crowd->ctx, rc);
        sim_check(crowd->sim, allowed, "a connect failed: %s", error_text(rc));
        if (!allowed)
            return rc;
        rc = world_sleep(c->w, 50 * NS_PER_MS);
        if (rc)
            return rc;
        if (crowd->until && sim_now(crowd->sim) >= crowd->until)
            return -ECONNREFUSED;
    }
}

/* ---- Reading ---- */

static void take_body(struct client *c, struct span data)
{
    struct answer *a = &c->answer;
    sim_check(c->crowd->sim, a->len + data.len < sizeof a->body, "an answer is too long");
    if (a->len + data.len >= sizeof a->body)
        return;
    memcpy(a->body + a->len, data.ptr, data.len);
    a->len += data.len;
    a->body[a->len] = '\0';
}

/* One reply to the end: 0, or why there is none. */
static int read_answer(struct client *c)
{
    struct answer *a = &c->answer;
    bool interim = false;
    *a = (struct answer){.body[0] = '\0'};
    for (;;) {
        struct span in = {.ptr = c->in, .len = c->in_len};
        struct span data;
        a->begun |= c->in_len > 0;
        enum http1_event event = http1_next(&c->parser, &in, &data);
        if (event == HTTP1_HEAD) {
            a->status = c->parser.head.status;
            a->keep_alive = c->parser.head.keep_alive;
            interim = a->status < 200;
        } else if (event == HTTP1_DATA) {
            take_body(c, data);
        }
        sim_check(
            c->crowd->sim, event != HTTP1_BAD, "an answer is no HTTP: %s", c->parser.fault.why);
        if (event == HTTP1_BAD)
            return -EBADMSG;
        c->in_len = in.len;
        memmove(c->in, in.ptr, in.len);
        if (event == HTTP1_END) {
            http1_reset(&c->parser);
            if (!interim)
                return 0;
        }
        if (event != HTTP1_MORE)
            continue;
        ssize_t got = stream_read(c->stream, c->in + c->in_len, sizeof c->in - c->in_len);
        if (got <= 0)
            return got ? (int)got : -EPIPE;
        c->in_len += (size_t)got;
    }
}

/* ---- Checking ---- */

static bool may_lose(struct client *c, const struct request *r)
{
    return c->crowd->may_lose && c->crowd->may_lose(c->crowd->ctx, r, c->connected_at);
}

static bool in_storm(const struct client *c, const struct request *r)
{
    return r->began_at < c->crowd->calm_from;
}

/* What steps may suffer from, when workers die. */
static bool may_fail(const struct client *c, const struct request *r)
{
    return r->ask->works && r->began_at < c->crowd->workers_well_from;
}

static bool has_failed(const struct client *c, const struct request *r)
{
    return may_fail(c, r) && (c->answer.status == 503 || c->answer.status == 504);
}

static void check_time(struct client *c, const struct request *r)
{
    struct sim *sim = c->crowd->sim;
    const struct ask *ask = r->ask;
    int64_t now = sim_now(sim);
    int64_t took = now - (r->sent_at > c->heard_at ? r->sent_at : c->heard_at);
    int64_t worked = now - r->began_at;
    if (in_storm(c, r))
        return;
    int64_t within = may_fail(c, r) ? NS_PER_S : ask->within_ns;
    within += CROWD_SLACK + c->crowd->outage_ns;
    sim_check(sim, took <= within, "%s (%s) was answered after %lld ms, which is more than %lld",
        r->id, ask->path, (long long)(took / NS_PER_MS), (long long)(within / NS_PER_MS));
    sim_check(sim, worked >= ask->after_ns || has_failed(c, r),
        "%s (%s) was answered after %lld us already", r->id, ask->path,
        (long long)(worked / NS_PER_US));
}

/* Whether the body has this request's id, and no other's. */
static bool names_only(const char *body, const char *id)
{
    char own[ASK_ID_MAX + 2];
    bool found = false;
    int len = snprintf(own, sizeof own, "\"%s\"", id);
    for (const char *at = body; (at = strstr(at, "\"c")); at++) {
        if (at[2] < '0' || at[2] > '9')
            continue;
        if (strncmp(at, own, (size_t)len) != 0)
            return false;
        found = true;
    }
    return found;
}

/* Whether the body is the one that belongs to this status, by the table. In a storm what cannot
 * succeed may, and what must succeed may not; but every answer names its request. */
static bool is_expected(const struct client *c, const struct request *r, const struct answer *a)
{
    const struct ask *ask = r->ask;
    char expected[256];
    bool first = a->status == (ask->status ? ask->status : 200);
    if (in_storm(c, r) && a->status == 200)
        return names_only(a->body, r->id);
    if (!first && a->status != ask->or_status && !in_storm(c, r) && !has_failed(c, r))
        return false;
    bool whole = first && ask->reply;
    fill(expected, sizeof expected, whole ? ask->reply : PROBLEM, r->id);
    if (!whole)
        return strstr(a->body, expected) != NULL;
    size_t len = strlen(expected);
    return strncmp(a->body, expected, len) == 0 && strcmp(a->body + len, "\n") == 0;
}

static void check_answer(struct client *c, const struct request *r)
{
    struct crowd *crowd = c->crowd;
    crowd->worked += r->ask->works && c->answer.status == 200;
    crowd->failed += r->ask->works && c->answer.status != 200;
    if (crowd->check)
        crowd->check(crowd->ctx, r, &c->answer, c->connected_at);
    else
        sim_check(crowd->sim, is_expected(c, r, &c->answer),
            "%s (%s) was answered with %d and '%s'", r->id, r->ask->path, c->answer.status,
            c->answer.body);
    check_time(c, r);
    if (crowd->answered_well)
        crowd->answered_well(crowd->ctx, r, &c->answer);
}

/* After the last answer: the end, and not one byte before it. */
static void check_end(struct client *c)
{
    char more[64];
    CORO_DEADLINE(deadline_after(world_now(c->w), NS_PER_S));
    ssize_t got = c->in_len ? (ssize_t)c->in_len : stream_read(c->stream, more, sizeof more);
    sim_check(c->crowd->sim, got <= 0, "something follows the last answer");
    sim_check(c->crowd->sim, got == 0 || c->crowd->may_lose,
        "the connection did not end after its last answer: %s", error_text((int)got));
}

/* ---- A burst ---- */

static void make_requests(struct client *c)
{
    struct crowd *crowd = c->crowd;
    c->first = 0;
    c->count = rand_ppm(&c->rand, 400000) ? (unsigned)rand_between(&c->rand, 2, BURST_MAX) : 1;
    for (unsigned i = 0; i < c->count; i++) {
        struct request *r = &c->requests[i];
        *r = (struct request){.ask = &crowd->asks[rand_below(&c->rand, crowd->ask_count)]};
        snprintf(r->id, sizeof r->id, "c%u-%u", c->index, c->ids++);
    }
}

/* All that have no answer yet, at once, or with a pause in the middle of one of them. */
static int send_requests(struct client *c)
{
    bool close_after = rand_ppm(&c->rand, 200000);
    bytes_reset(&c->out);
    int rc = 0;
    for (unsigned i = c->first; i < c->count && rc == 0; i++) {
        rc = write_request(c, &c->requests[i], close_after && i + 1 == c->count);
        if (c->requests[i].tries++ == 0 && c->crowd->asked)
            c->crowd->asked(c->crowd->ctx, &c->requests[i]);
        c->requests[i].began_at = sim_now(c->crowd->sim);
    }
    size_t now = rand_ppm(&c->rand, 100000) ? (size_t)rand_below(&c->rand, c->out.len) : 0;
    if (rc == 0 && now > 0)
        rc = stream_write(c->stream, &(struct iovec){.iov_base = c->out.ptr, .iov_len = now}, 1);
    if (rc == 0 && now > 0)
        rc = world_sleep(c->w, rand_exponential(&c->rand, 10 * NS_PER_MS));
    for (unsigned i = c->first; i < c->count; i++)
        c->requests[i].sent_at = sim_now(c->crowd->sim);
    struct iovec rest = {.iov_base = c->out.ptr + now, .iov_len = c->out.len - now};
    return rc ? rc : stream_write(c->stream, &rest, 1);
}

/* The connection is gone. Whatever went over it, the server may have begun: what may not happen
 * twice is not sent again. */
static int lose(struct client *c, int rc)
{
    struct crowd *crowd = c->crowd;
    const struct request *r = &c->requests[c->first];
    hang_up(c);
    if (rc == -ECANCELED)
        return rc;
    crowd->lost++;
    bool allowed = may_lose(c, r);
    sim_check(crowd->sim, allowed, "%s (%s) has no answer%s: %s; try %u", r->id, r->ask->path,
        c->answer.begun ? " but a part" : "", error_text(rc), r->tries);
    if (!allowed)
        return rc;
    unsigned kept = c->first;
    for (unsigned i = c->first; i < c->count; i++)
        if (!c->requests[i].ask->once)
            c->requests[kept++] = c->requests[i];
    crowd->abandoned += c->count - kept;
    c->count = kept;
    return 0;
}

static int read_answers(struct client *c)
{
    struct crowd *crowd = c->crowd;
    CORO_DEADLINE(
        crowd->patience_ns ? deadline_after(world_now(c->w), crowd->patience_ns) : DEADLINE_NEVER);
    while (c->first < c->count) {
        int rc = read_answer(c);
        if (rc)
            return rc;
        crowd->answered++;
        check_answer(c, &c->requests[c->first++]);
        c->heard_at = sim_now(crowd->sim);
        if (!c->answer.keep_alive) {
            check_end(c);
            hang_up(c);
            crowd->resent += c->count - c->first;
            return 0;
        }
    }
    sim_check(crowd->sim, c->in_len == 0, "there are more answers than requests");
    return 0;
}

static bool is_over(const struct crowd *crowd)
{
    return crowd->until && sim_now(crowd->sim) >= crowd->until;
}

static int burst(struct client *c)
{
    make_requests(c);
    while (c->first < c->count) {
        c->answer.begun = false;
        int rc = c->stream ? 0 : reconnect(c);
        if (rc)
            return rc;
        rc = send_requests(c);
        if (rc == 0 || (rc != -ECANCELED && rc != -ENOMEM)) {
            int read = read_answers(c); /* what came before the connection broke counts */
            rc = read ? read : 0;
        }
        if (rc)
            rc = lose(c, rc);
        if (rc)
            return rc;
        if (c->first < c->count && is_over(c->crowd))
            return 0;
    }
    return 0;
}

/* ---- A client ---- */

static int pause_between(struct client *c)
{
    int64_t span = rand_exponential(&c->rand, c->crowd->pause_mean_ns);
    if (c->crowd->pause_max_ns && span > c->crowd->pause_max_ns)
        span = c->crowd->pause_max_ns;
    return world_sleep(c->w, span);
}

static int client_fn(void *arg)
{
    struct client *c = arg;
    const struct crowd *crowd = c->crowd;
    bytes_init(&c->out, 16 * 1024);
    int rc = pause_between(c);
    for (unsigned i = 0; rc == 0 && !is_over(crowd) && (!crowd->bursts || i < crowd->bursts); i++) {
        rc = burst(c);
        if (c->stream && rand_ppm(&c->rand, 150000))
            hang_up(c);
        if (rc == 0)
            rc = pause_between(c);
    }
    hang_up(c);
    bytes_release(&c->out);
    return rc;
}

static int run(struct world *w, void *arg)
{
    struct crowd *crowd = arg;
    struct client *clients = mem_zalloc(crowd->clients * sizeof *clients);
    if (!clients)
        return -ENOMEM;
    int rc = 0;
    {
        GROUP(all, GROUP_INDEPENDENT);
        for (unsigned i = 0; i < crowd->clients && rc == 0; i++) {
            struct client *c = &clients[i];
            uint64_t seed;
            world_random(w, &seed, sizeof seed);
            rand_init(&c->rand, seed);
            c->crowd = crowd;
            c->w = w;
            c->index = i;
            rc = group_spawn(&all, "client", client_fn, c);
        }
        if (rc == 0)
            rc = group_wait(&all);
    }
    mem_free(clients);
    return rc;
}

void crowd_start(struct crowd *c)
{
    struct sim_host *host =
        sim_host(c->sim, &(struct sim_host_options){.name = "crowd", .spared = true});
    c->process = host ? sim_start(host, "crowd", run, c) : NULL;
    sim_check(c->sim, c->process, "there is no crowd");
}

int crowd_wait(struct crowd *c)
{
    int rc = sim_wait(c->process);
    if (rc)
        return rc;
    struct sim_end end = sim_process_end(c->process);
    sim_check(c->sim, end.state == SIM_EXITED && end.result == 0,
        "the crowd did not end well: state %d, result %d", (int)end.state, end.result);
    sim_check(c->sim, sim_process_unclosed(c->process) == 0, "it left %u things open",
        sim_process_unclosed(c->process));
    sim_check(c->sim, c->answered > 0, "nobody was ever answered");
    return 0;
}

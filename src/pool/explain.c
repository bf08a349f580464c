/*
 * explain.c: see explain.h.
 */
#include "pool/explain.h"

#include "pool/choose.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define SAY_EVERY_NS  (60 * NS_PER_S)
#define SPAN_TEXT_MAX 24
#define SET_TEXT_MAX  (STEP_NAME_MAX + 32)

static const char *route_name(const struct pool *p, const struct pool_call *c)
{
    const struct config *config = p->pools->config;
    const char *name = c->route < config->route_count ? config->routes[c->route].name : NULL;
    return name ? name : "?";
}

/* As a person would say it: "5.7 us", "82 ms". */
static const char *span_text(char text[SPAN_TEXT_MAX], int64_t ns)
{
    double us = (double)ns / NS_PER_US;
    if (ns <= 0)
        snprintf(text, SPAN_TEXT_MAX, "unknown");
    else if (us < 100)
        snprintf(text, SPAN_TEXT_MAX, "%.1f us", us);
    else if (us < 1e6)
        snprintf(text, SPAN_TEXT_MAX, us < 1e4 ? "%.2f ms" : "%.0f ms", us / 1e3);
    else
        snprintf(text, SPAN_TEXT_MAX, "%.1f s", us / 1e6);
    return text;
}

/* "step 'tag'", "3 x 'tag'", "'tag' and 2 others" */
static const char *set_text(
    char text[SET_TEXT_MAX], const struct pool *p, struct pool_call *const *calls, unsigned count)
{
    const char *first = p->specs[calls[0]->step].name;
    bool same = true;
    for (unsigned i = 1; i < count; i++)
        same &= calls[i]->step == calls[0]->step;
    if (count == 1)
        snprintf(text, SET_TEXT_MAX, "step '%s'", first);
    else if (same)
        snprintf(text, SET_TEXT_MAX, "%u x '%s'", count, first);
    else
        snprintf(text, SET_TEXT_MAX, "'%s' and %u other%s", first, count - 1, &"s"[count == 2]);
    return text;
}

/* "inline instead of fanout", and of the first "inline" */
static void say(const struct choice *c, const struct pool *p, struct pool_call *const *calls,
    const struct placement_view *v, const char *why)
{
    char set[SET_TEXT_MAX];
    char sum[SPAN_TEXT_MAX];
    char dispatch[SPAN_TEXT_MAX];
    char unsaid[48] = "";
    bool first = c->logged == PLACE_UNDECIDED;
    if (c->hidden > 1)
        snprintf(unsaid, sizeof unsaid, ", after %u changes", (unsigned)c->hidden);
    log_with(pool_log(p), LOG_DEBUG,
        POOL_FIELDS(p, LOG_TEXT("route", route_name(p, calls[0])),
            LOG_TEXT("placement", placement_name(c->placed))),
        "placement: %s: %s in pool '%s': %s%s%s%s: %s (cost %s, dispatch %s, %u idle, %u queued, "
        "%u under way)",
        route_name(p, calls[0]), set_text(set, p, calls, v->count), p->conf->name,
        placement_name(c->placed), first ? "" : " instead of ",
        first ? "" : placement_name(c->logged), unsaid, why, span_text(sum, v->sum_ns),
        span_text(dispatch, v->dispatch_ns), v->idle, v->queued, v->groups);
}

static bool may_log(struct choice *c, int64_t now)
{
    if (now - c->second >= EXPLAIN_SECOND_NS) {
        c->second = now;
        c->lines = 0;
    }
    return c->lines < EXPLAIN_LINES;
}

void explain_choice(struct choice *c, const struct pool *p, struct pool_call *const *calls,
    const struct placement_view *v, enum placement placed, const char *why, int64_t now)
{
    c->hidden += placed != c->placed;
    c->placed = (uint8_t)placed;
    if (c->placed == c->logged || !log_wants(pool_log(p), LOG_DEBUG) || !may_log(c, now))
        return;
    say(c, p, calls, v, why);
    c->logged = c->placed;
    c->hidden = 0;
    c->lines++;
}

void explain_blocked(struct pool *p, const struct pool_call *c, int64_t blocked_ns, int64_t now)
{
    _Atomic int64_t *said_at = &p->backoffs[c->step].logged_at;
    int64_t said = atomic_load_explicit(said_at, memory_order_relaxed);
    if (said && now - said < SAY_EVERY_NS)
        return;
    atomic_store_explicit(said_at, now, memory_order_relaxed);
    log_with(pool_log(p), LOG_WARN,
        POOL_FIELDS(
            p, LOG_TEXT("route", route_name(p, c)), LOG_TEXT("step", p->specs[c->step].name)),
        "step '%s' of route '%s' ran for %.1f ms on an I/O thread, which did nothing else "
        "meanwhile: for %.1f s it runs in pool '%s'",
        p->specs[c->step].name, route_name(p, c), (double)c->wall_ns / (double)NS_PER_MS,
        (double)blocked_ns / (double)NS_PER_S, p->conf->name);
}

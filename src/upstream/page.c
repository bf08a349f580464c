/*
 * page.c: the state of all servers, for people: /upstreams on the admin listener.
 */
#include "upstream/internal.h"

#include "base/time.h"
#include "data/json.h"

static const char *const balances[] = {"least", "round_robin", "hash"}; /* conf_balance */

static unsigned load(const _Atomic unsigned *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static double seconds(int64_t ns)
{
    return ns > 0 ? (double)ns / (double)NS_PER_S : 0;
}

static int write_server(const struct upstream_server *s, int64_t now, struct bytes *out)
{
    int64_t latency = atomic_load_explicit(&s->latency_ns, memory_order_relaxed);
    int64_t ejected = atomic_load_explicit(&s->ejected_until, memory_order_relaxed);
    int64_t avoided = atomic_load_explicit(&s->avoided_until, memory_order_relaxed);
    int rc = bytes_append_span(out, SPAN("{\"server\":"));
    if (rc == 0)
        rc = json_write_string(out, span_of(s->name));
    if (rc == 0)
        rc = bytes_printf(out,
            ",\"state\":\"%s\",\"weight\":%u,\"in_flight\":%u,\"latency_ms\":%.3f,"
            "\"failures_in_a_row\":%u,\"ejections_in_a_row\":%u",
            server_state(s, now), s->weight, load(&s->in_flight), seconds(latency) * 1000,
            load(&s->failures), load(&s->ejections));
    if (rc == 0 && ejected > now)
        rc = bytes_printf(out, ",\"returns_in_s\":%.1f", seconds(ejected - now));
    if (rc == 0 && avoided > now)
        rc = bytes_printf(out, ",\"asked_for_fewer_calls_for_s\":%.1f", seconds(avoided - now));
    return rc ? rc : bytes_append_byte(out, '}');
}

static int write_upstream(const struct upstream *u, int64_t now, struct bytes *out)
{
    int rc = json_write_string(out, span_of(upstream_name(u)));
    if (rc == 0)
        rc = bytes_printf(out,
            ":{\"balance\":\"%s\",\"in_flight\":%u,\"retries_in_flight\":%u,\"servers\":[",
            balances[u->conf->balance], load(&u->in_flight), load(&u->budget.in_flight));
    for (unsigned i = 0; rc == 0 && i < u->server_count; i++) {
        if (i > 0)
            rc = bytes_append_byte(out, ',');
        if (rc == 0)
            rc = write_server(&u->servers[i], now, out);
    }
    return rc ? rc : bytes_append_span(out, SPAN("]}"));
}

int upstreams_write(const struct upstreams *all, int64_t now, struct bytes *out)
{
    size_t before = out->len;
    int rc = bytes_append_byte(out, '{');
    for (unsigned i = 0; rc == 0 && i < all->count; i++) {
        if (i > 0)
            rc = bytes_append_byte(out, ',');
        if (rc == 0)
            rc = write_upstream(all->list[i], now, out);
    }
    if (rc == 0)
        rc = bytes_append_span(out, SPAN("}\n"));
    if (rc)
        out->len = before;
    return rc;
}

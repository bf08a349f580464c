/*
 * admin.c: see admin.h.
 */
#include "app/admin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* 10,000 routes have some 60 MB of figures. */
#define TEXT_MAX (256 * 1024 * 1024)

static const struct {
    const char *path;
    const char *what;
} pages[] = {
    {"/livez", "the process is alive"},
    {"/readyz", "the server accepts requests"},
    {"/metrics", "metrics in Prometheus' text format"},
    {"/upstreams", "the state of upstreams' servers"},
    {"/config", "the configuration without secrets"},
};

static int reply_text(struct http_request *r, int status, const char *media_type, struct span text)
{
    struct http_field field = {SPAN("Content-Type"), span_of(media_type)};
    return http_reply(r, status, &field, 1, text);
}

static int reply_index(struct http_request *r)
{
    struct bytes text;
    bytes_init(&text, 4096);
    int rc = 0;
    for (size_t i = 0; i < sizeof(pages) / sizeof(*pages) && rc == 0; i++)
        rc = bytes_printf(&text, "%-10s %s\n", pages[i].path, pages[i].what);
    if (rc == 0)
        rc = reply_text(r, 200, "text/plain; charset=utf-8", bytes_span(&text));
    bytes_release(&text);
    return rc;
}

static int reply_metrics(struct http_request *r, const struct admin *a)
{
    struct bytes text;
    bytes_init(&text, TEXT_MAX);
    int rc = meter_write(a->meter, &text);
    if (rc == 0)
        rc = reply_text(r, 200, METER_MEDIA_TYPE, bytes_span(&text));
    bytes_release(&text);
    return rc;
}

static int reply_config(struct http_request *r, const struct admin *a)
{
    struct bytes text;
    bytes_init(&text, TEXT_MAX);
    int rc = conf_print_json(a->conf, &text);
    if (rc == 0)
        rc = bytes_append_byte(&text, '\n');
    if (rc == 0)
        rc = reply_text(r, 200, "application/json", bytes_span(&text));
    bytes_release(&text);
    return rc;
}

static int reply_upstreams(struct http_request *r, const struct admin *a)
{
    struct bytes text;
    bytes_init(&text, TEXT_MAX);
    int rc = upstreams_write(a->upstreams, world_now(a->world), &text);
    if (rc == 0)
        rc = reply_text(r, 200, "application/json", bytes_span(&text));
    bytes_release(&text);
    return rc;
}

static int reply_ready(struct http_request *r, const struct admin *a)
{
    const char *pool = a->pools ? pools_not_ready(a->pools) : NULL;
    char sentence[160];
    if (!a->ready)
        return http_reply_status(r, 503, NULL, 0, "this server drains");
    if (!pool)
        return reply_text(r, 200, "text/plain; charset=utf-8", SPAN("ready\n"));
    snprintf(sentence, sizeof(sentence), "pool '%.63s' has no worker that has done a task", pool);
    return http_reply_status(r, 503, NULL, 0, sentence);
}

/* ---- Host ---- */

/* The host of "weir.internal:9900" or "[::1]:9900", without its port. */
static struct span without_port(struct span authority)
{
    const char *colon = authority.len ? memrchr(authority.ptr, ':', authority.len) : NULL;
    bool six = authority.len > 0 && authority.ptr[authority.len - 1] == ']';
    if (colon && !six)
        authority.len = (size_t)(colon - authority.ptr);
    return authority;
}

static bool is_literal(struct span host)
{
    char text[ADDRESS_TEXT_MAX];
    struct address at;
    int len = snprintf(text, sizeof(text), "%.*s:80", SPAN_ARG(host));
    return len > 0 && (size_t)len < sizeof(text) && !span_equal(host, SPAN("*")) &&
           address_parse(&at, text, NULL) == 0;
}

static bool is_one_of(struct span host, const char *const *names)
{
    for (; *names; names++)
        if (host.len == strlen(*names) && strncasecmp(host.ptr, *names, host.len) == 0)
            return true;
    return false;
}

/* DNS rebinding: a web page can make its own name resolve to this address, but it cannot use an
 * address as its name. Only browsers are deceived so, and they always send Host. */
static bool is_ours(const struct http_request *r, const struct admin *a)
{
    struct span host = without_port(r->head->host);
    return host.len == 0 || r->peer->any.sa_family == AF_UNIX || is_literal(host) ||
           is_one_of(host, conf_config(a->conf)->admin_hosts);
}

/* ---- Pages ---- */

static int reply(struct http_request *r, const struct admin *a)
{
    if (!is_ours(r, a))
        return http_reply_status(r, 421, NULL, 0,
            "the admin pages do not answer to this host name; use an address, or add the name "
            "to `admin_hosts`");
    struct span path = r->head->path;
    if (r->head->method != HTTP_GET && r->head->method != HTTP_HEAD)
        return http_reply_status(r, 405, &(struct http_field){SPAN("Allow"), SPAN("GET, HEAD")}, 1,
            "the admin pages are read only");
    if (span_equal(path, SPAN("/livez")))
        return reply_text(r, 200, "text/plain; charset=utf-8", SPAN("live\n"));
    if (span_equal(path, SPAN("/readyz")))
        return reply_ready(r, a);
    if (span_equal(path, SPAN("/metrics")) && a->ready)
        return reply_metrics(r, a);
    if (span_equal(path, SPAN("/upstreams")) && a->ready)
        return reply_upstreams(r, a);
    if (span_equal(path, SPAN("/config")))
        return reply_config(r, a);
    if (span_equal(path, SPAN("/")))
        return reply_index(r);
    return http_reply_status(
        r, 404, NULL, 0, "the admin pages are /livez, /readyz, /metrics, /upstreams and /config");
}

void admin_handle(void *ctx, struct http_request *r)
{
    int rc = reply(r, ctx);
    if (rc == -ENOMEM || rc == -ENOBUFS)
        rc = http_reply_status(r, 503, NULL, 0, "there is no memory for this page now");
    if (rc)
        r->label = SPAN("(lost)");
}

/*
 * admin.c: see admin.h.
 */
#include "app/admin.h"

#include <errno.h>
#include <stdio.h>

/* 10,000 routes have some 60 MB of figures. */
#define TEXT_MAX (256 * 1024 * 1024)

static const struct {
    const char *path;
    const char *what;
} pages[] = {
    {"/livez", "whether the process answers at all"},
    {"/readyz", "whether it takes requests"},
    {"/metrics", "its figures, as Prometheus reads them"},
    {"/config", "its configuration, without secrets"},
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

static int reply(struct http_request *r, const struct admin *a)
{
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
    if (span_equal(path, SPAN("/config")))
        return reply_config(r, a);
    if (span_equal(path, SPAN("/")))
        return reply_index(r);
    return http_reply_status(
        r, 404, NULL, 0, "the admin pages are /livez, /readyz, /metrics and /config");
}

void admin_handle(void *ctx, struct http_request *r)
{
    int rc = reply(r, ctx);
    if (rc == -ENOMEM || rc == -ENOBUFS)
        rc = http_reply_status(r, 503, NULL, 0, "there is no memory for this page now");
    if (rc)
        r->label = SPAN("(lost)");
}

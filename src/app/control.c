/*
 * control.c: see control.h.
 */
#include "app/control.h"

#include <errno.h>
#include <stdlib.h>

void control_init(struct control *c, struct stream *stream)
{
    c->stream = stream;
    bytes_init(&c->in, CONTROL_CONFIG_MAX);
}

void control_release(struct control *c)
{
    bytes_release(&c->in);
}

/* ---- Lines ---- */

static int fill(struct control *c)
{
    ssize_t got = stream_read_into(c->stream, &c->in, 4096);
    return got > 0 ? 0 : got == 0 ? -EPIPE : (int)got;
}

/* The next line, without its newline, ending with a zero byte. */
static int read_line(struct control *c, char line[CONTROL_LINE_MAX])
{
    for (;;) {
        const char *end = c->in.len ? memchr(c->in.ptr, '\n', c->in.len) : NULL;
        size_t len = end ? (size_t)(end - c->in.ptr) : c->in.len;
        if (len >= CONTROL_LINE_MAX)
            return -EMSGSIZE;
        if (end) {
            memcpy(line, c->in.ptr, len);
            line[len] = '\0';
            bytes_consume(&c->in, len + 1);
            return 0;
        }
        int rc = fill(c);
        if (rc)
            return rc;
    }
}

/* The number at the end of "word number", at most `max`; -1: there is none. */
static long number_after(const char *text, long max)
{
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    return end == text || *end != '\0' || errno || n < 0 || n > max ? -1 : n;
}

static bool begins(const char *line, const char *word)
{
    return strncmp(line, word, strlen(word)) == 0;
}

/* ---- The start ---- */

static int read_config(struct control *c, struct bytes *config)
{
    char line[CONTROL_LINE_MAX];
    int rc = read_line(c, line);
    if (rc)
        return rc;
    long len = begins(line, "config ") ? number_after(line + 7, CONTROL_CONFIG_MAX) : -1;
    if (len < 0)
        return -EPROTO;
    while (rc == 0 && c->in.len < (size_t)len)
        rc = fill(c);
    if (rc == 0)
        rc = bytes_append(config, c->in.ptr, (size_t)len);
    if (rc == 0)
        bytes_consume(&c->in, (size_t)len);
    return rc;
}

static int take_line(struct control_start *start, const char *line)
{
    if (begins(line, "admin ")) {
        start->admin = strcmp(line, "admin 1") == 0;
        return 0;
    }
    const char *count = begins(line, "listener ") ? strrchr(line, ' ') : NULL;
    long n = count ? number_after(count + 1, SPAWN_LISTENERS_MAX) : -1;
    if (n < 1 || start->group_count == SPAWN_LISTENERS_MAX)
        return -EPROTO;
    start->groups[start->group_count++] = (unsigned)n;
    return 0;
}

static int read_start(struct control *c, struct control_start *start)
{
    char line[CONTROL_LINE_MAX];
    int rc = read_config(c, &start->config);
    while (rc == 0) {
        rc = read_line(c, line);
        if (rc == 0 && strcmp(line, "go") == 0)
            return 0;
        if (rc == 0)
            rc = take_line(start, line);
    }
    return rc;
}

int control_read_start(struct control *c, struct control_start *start, struct error *e)
{
    *start = (struct control_start){.group_count = 0};
    bytes_init(&start->config, CONTROL_CONFIG_MAX);
    int rc = read_start(c, start);
    if (rc == -EPROTO || rc == -EMSGSIZE)
        return error_set(
            e, rc, "control", "the supervisor sent a line that this server does not understand");
    if (rc)
        return error_set(e, rc, "control", "cannot read from the supervisor: %s", error_text(rc));
    return 0;
}

/* ---- After ---- */

int control_next(struct control *c, enum control_word *word)
{
    for (;;) {
        char line[CONTROL_LINE_MAX];
        int rc = read_line(c, line);
        if (rc == -ECANCELED || rc == -ETIMEDOUT)
            return rc;
        bool drain = rc == 0 && strcmp(line, "drain") == 0;
        if (rc || drain || strcmp(line, "stop") == 0) {
            *word = drain ? CONTROL_DRAIN : CONTROL_STOP;
            return 0;
        }
    }
}

int control_send(struct control *c, const char *line)
{
    struct bytes text;
    bytes_init(&text, CONTROL_LINE_MAX);
    int rc = bytes_printf(&text, "%s\n", line);
    if (rc == 0)
        rc = stream_write(c->stream, &(struct iovec){text.ptr, text.len}, 1);
    bytes_release(&text);
    return rc;
}

/*
 * worker_log.c: see worker_log.h. Output is not trusted: lines are cut, control characters become
 * spaces, and the rate of lines is bounded.
 */
#include "exec/worker_log.h"

#include "base/utf8.h"

#define LINES_PER_SECOND 50

void worker_log_init(struct worker_log *w, struct world *world, const char *pool)
{
    *w = (struct worker_log){.world = world, .pool = pool};
}

/* Returns true if one more line may be logged; dropped ones are counted, and reported later. */
static bool may_log(struct worker_log *w)
{
    int64_t now = world_now(w->world);
    if (w->lines == 0 || now - w->second >= NS_PER_S) {
        if (w->dropped)
            log_with(world_log(w->world), LOG_WARN,
                LOG_FIELDS(LOG_TEXT("pool", w->pool), LOG_NUMBER("pid", w->pid)),
                "pool '%s', worker %d: %u lines more were not logged", w->pool, w->pid, w->dropped);
        w->second = now;
        w->lines = w->dropped = 0;
    }
    if (w->lines >= LINES_PER_SECOND) {
        w->dropped++;
        return false;
    }
    w->lines++;
    return true;
}

void worker_log_line(struct worker_log *w, enum log_level level, struct span line)
{
    if (level > LOG_DEBUG)
        level = LOG_DEBUG;
    if (log_wants(world_log(w->world), level) && may_log(w))
        log_write_with(world_log(w->world), level,
            LOG_FIELDS(LOG_TEXT("pool", w->pool), LOG_NUMBER("pid", w->pid)),
            "pool '%s', worker %d: %.*s", w->pool, w->pid, SPAN_ARG(line));
}

/* ---- The last lines ---- */

static const struct span intro = {"; it last said: ", 16};
static const struct span between = {" | ", 3};

static void append(struct worker_log *w, struct span s)
{
    memcpy(w->kept + w->kept_len, s.ptr, s.len);
    w->kept_len += s.len;
    w->kept[w->kept_len] = '\0';
}

/* Drops the oldest, in whole characters. */
static void make_room(struct worker_log *w, size_t room)
{
    size_t go =
        w->kept_len + room > WORKER_LOG_KEPT_MAX ? w->kept_len + room - WORKER_LOG_KEPT_MAX : 0;
    if (go == 0)
        return;
    size_t rest = w->kept_len - intro.len;
    if (go > rest)
        go = rest;
    while (go < rest && ((unsigned char)w->kept[intro.len + go] & 0xc0) == 0x80)
        go++;
    memmove(w->kept + intro.len, w->kept + intro.len + go, rest - go);
    w->kept_len -= go;
}

static void keep(struct worker_log *w, struct span line)
{
    size_t most = WORKER_LOG_KEPT_MAX - intro.len - between.len;
    if (line.len > most)
        line.len = utf8_cut(line.ptr, line.len, most);
    if (w->kept_len == 0)
        append(w, intro);
    make_room(w, line.len + between.len);
    if (w->kept_len > intro.len)
        append(w, between);
    append(w, line);
}

const char *worker_log_last(const struct worker_log *w)
{
    return w->kept;
}

/* ---- Output ---- */

static void end_line(struct worker_log *w, struct worker_log_part *part)
{
    struct span line = {part->line, part->len};
    while (line.len > 0 && (line.ptr[line.len - 1] == '\r' || line.ptr[line.len - 1] == ' '))
        line.len--;
    part->len = 0;
    if (line.len == 0)
        return;
    keep(w, line);
    worker_log_line(w, LOG_WARN, line);
}

void worker_log_read(struct worker_log *w, struct worker_log_part *part, struct span piece)
{
    for (size_t i = 0; i < piece.len; i++) {
        unsigned char c = (unsigned char)piece.ptr[i];
        if (c == '\n') {
            end_line(w, part);
            continue;
        }
        part->line[part->len++] = c < ' ' || c == 0x7f ? ' ' : (char)c;
        if (part->len == sizeof(part->line))
            end_line(w, part);
    }
}

void worker_log_end(struct worker_log *w, struct worker_log_part *part)
{
    end_line(w, part);
}

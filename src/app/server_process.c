/*
 * server_process.c: starting a server, talking with it, and waiting for its end.
 */
#include "app/server_process.h"

#include "base/bug.h"
#include "base/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* How long the stream of a dead server is still read. */
#define LAST_WORDS_NS (1 * NS_PER_S)
/* The stream has room for a line unless the server has not read for long. */
#define TELL_NS       (100 * NS_PER_MS)

/* ---- Writing ---- */

static int append_listener(struct bytes *out, const struct socket_set *set)
{
    struct address at;
    char text[ADDRESS_TEXT_MAX];
    if (set->count == 0) /* closed by a stop, which also kills this server */
        return -ECANCELED;
    listener_address(set->listeners[0], &at);
    return bytes_printf(out, "listener %s %u\n", address_print(&at, text), set->count);
}

/* What follows the configuration. */
static int append_sockets(struct bytes *out, const struct loaded_config *config)
{
    int rc = 0;
    for (unsigned i = 0; i < config->set_count && rc == 0; i++)
        rc = append_listener(out, config->sets[i]);
    return rc ? rc : bytes_printf(out, "admin %d\ngo\n", config->admin != NULL);
}

static int send_start(const struct server_process *p)
{
    const struct loaded_config *config = p->config;
    struct bytes head;
    struct bytes tail;
    bytes_init(&head, 64);
    bytes_init(&tail, 64 + SPAWN_LISTENERS_MAX * (ADDRESS_TEXT_MAX + 32));
    int rc = bytes_printf(&head, "config %zu\n", config->text.len);
    if (rc == 0)
        rc = append_sockets(&tail, config);
    struct iovec parts[] = {
        {head.ptr, head.len}, {config->text.ptr, config->text.len}, {tail.ptr, tail.len}};
    if (rc == 0)
        rc = stream_write(p->control, parts, 3);
    bytes_release(&tail);
    bytes_release(&head);
    return rc;
}

void server_process_tell(struct server_process *p, const char *line)
{
    CORO_DEADLINE(deadline_after(world_now(p->world), TELL_NS));
    struct bytes copy;
    bytes_init(&copy, 64);
    int rc = bytes_append_span(&copy, span_of(line));
    if (rc == 0)
        rc = stream_write(p->control, &(struct iovec){copy.ptr, copy.len}, 1);
    bytes_release(&copy);
    /* A dead server is noticed elsewhere; one that does not read is killed in time. */
    if (rc && rc != -EPIPE && rc != -ECONNRESET)
        log_with(world_log(p->world), LOG_WARN, LOG_FIELDS(LOG_NUMBER("pid", p->pid)),
            "cannot write to server %d: %s", p->pid, error_text(rc));
}

void server_process_kill(struct server_process *p)
{
    p->killed = true;
    p->until = DEADLINE_NEVER;
    int rc = child_signal(p->child, SIGKILL);
    (void)rc; /* fails only if it has ended already */
}

/* ---- Reading ---- */

static void handle_line(struct server_process *p)
{
    static const char failed[] = "failed ";
    if (strcmp(p->line, "ready") == 0)
        p->ready = true;
    else if (strncmp(p->line, failed, sizeof(failed) - 1) == 0)
        snprintf(p->failure, sizeof(p->failure), "%s", p->line + sizeof(failed) - 1);
    else
        log_with(world_log(p->world), LOG_WARN, LOG_FIELDS(LOG_NUMBER("pid", p->pid)),
            "server %d sent an unknown line: '%s'", p->pid, p->line);
    p->wake(p->ctx);
}

/* A line that is too long is cut. */
static void handle_text(struct server_process *p, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '\n') {
            if (p->line_len < sizeof(p->line) - 1)
                p->line[p->line_len++] = text[i];
            continue;
        }
        check(p->line_len < sizeof(p->line), "a server's line is longer than its buffer");
        p->line[p->line_len] = '\0';
        handle_line(p);
        p->line_len = 0;
    }
}

static int talk(void *arg)
{
    struct server_process *p = arg;
    int rc = p->config ? send_start(p) : 0;
    while (rc == 0) {
        char text[256];
        ssize_t got = stream_read(p->control, text, sizeof(text));
        if (got <= 0)
            return (int)got;
        handle_text(p, text, (size_t)got);
    }
    return rc;
}

/* Reads and writes until the end of the process. */
static int run(void *arg)
{
    struct server_process *p = arg;
    GROUP(talking, GROUP_INDEPENDENT);
    int rc = group_spawn(&talking, "server-control", talk, p);
    if (rc)
        server_process_kill(p); /* its lines could not be read */
    rc = child_wait(p->child, &p->exit);
    if (rc == 0) {
        CORO_DEADLINE(deadline_after(world_now(p->world), LAST_WORDS_NS));
        int late = group_wait(&talking);
        (void)late; /* another process may hold the stream open */
    }
    p->ended = true;
    p->wake(p->ctx);
    return rc;
}

const char *server_process_end(const struct server_process *p, char text[64])
{
    const char *name = sigabbrev_np(p->exit.signal);
    if (p->exit.signal && name)
        snprintf(text, 64, "was killed by SIG%s", name);
    else if (p->exit.signal)
        snprintf(text, 64, "was killed by signal %d", p->exit.signal);
    else
        snprintf(text, 64, "ended with status %d", p->exit.status);
    return text;
}

void server_process_why_not_ready(const struct server_process *p, char *text, size_t size)
{
    char end[64];
    if (p->failure[0])
        snprintf(text, size, "%s", p->failure);
    else if (p->killed)
        snprintf(text, size, "it was not ready within %lld s",
            (long long)(loaded_config_start_ns(p->config) / NS_PER_S));
    else
        snprintf(text, size, "it %s before it was ready", server_process_end(p, end));
}

/* ---- Beginning and end ---- */

static struct server_process *make(struct world *w, const struct server_start *start)
{
    struct server_process *p = mem_zalloc(sizeof(*p));
    if (!p)
        return NULL;
    list_init(&p->link);
    p->world = w;
    p->began = world_now(w);
    p->until = DEADLINE_NEVER;
    p->wake = start->wake;
    p->ctx = start->ctx;
    return p;
}

static unsigned collect(const struct loaded_config *config, struct listener **listeners)
{
    unsigned count = 0;
    for (unsigned i = 0; i < config->set_count; i++)
        for (unsigned j = 0; j < config->sets[i]->count; j++)
            listeners[count++] = config->sets[i]->listeners[j];
    if (config->admin)
        listeners[count++] = config->admin->listeners[0];
    return count;
}

static int spawn(
    struct server_process *p, const struct loaded_config *config, const struct server_start *start)
{
    struct listener *listeners[SPAWN_LISTENERS_MAX];
    struct spawn_options options = {
        .argv = start->argv,
        .title = "weir: server",
        .env_add = start->env_add,
        .listeners = listeners,
        .listener_count = collect(config, listeners),
        .standard = {&p->control},
    };
    return world_spawn(p->world, &options, &p->child);
}

/* If this fails, server_process_free kills the process. */
static int begin(struct server_process *p, struct group *group, struct server_process **out)
{
    p->pid = child_pid(p->child);
    int rc = group_spawn(group, "server", run, p);
    if (rc)
        return rc;
    *out = p;
    return 0;
}

int server_process_start(struct server_process **out, struct world *w, struct group *group,
    struct loaded_config *config, const struct server_start *start)
{
    struct server_process *p = make(w, start);
    if (!p)
        return -ENOMEM;
    int rc = spawn(p, config, start);
    if (rc) {
        mem_free(p);
        return rc;
    }
    loaded_config_use(config);
    p->config = config;
    rc = begin(p, group, out);
    if (rc)
        server_process_free(p);
    return rc;
}

int server_process_adopt(struct server_process **out, struct world *w, struct group *group,
    struct child *child, struct stream *control, const struct server_start *start)
{
    struct server_process *p = make(w, start);
    if (!p)
        return -ENOMEM;
    p->child = child;
    p->control = control;
    int rc = begin(p, group, out);
    if (rc)
        mem_free(p);
    return rc;
}

void server_process_free(struct server_process *p)
{
    list_del(&p->link);
    child_close(p->child);
    stream_close(p->control);
    if (p->config)
        loaded_config_drop(p->config);
    mem_free(p);
}

/*
 * upgrade.c: WEIR_UPGRADE, line by line:
 *
 *     PID                                the process meant: an exec keeps the id
 *     socket ROLE COUNT FD... ADDRESS
 *     server PID FD DRAIN_NS SERVES      its control stream, and 1 or 0
 */
#include "cli/upgrade.h"

#include "base/mem.h"
#include "world/uv/uv_world.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VARIABLE "WEIR_UPGRADE"
#define TEXT_MAX (64 * 1024)

/* ---- Passing the state ---- */

static int keep_open(int fd, bool open)
{
    return fcntl(fd, F_SETFD, open ? 0 : FD_CLOEXEC) == 0 ? 0 : -errno;
}

static int keep_all_open(const struct upgrade_state *h, bool open)
{
    int rc = 0;
    list_each (link, &h->sockets->sets) {
        const struct socket_set *set = list_entry(link, struct socket_set, link);
        for (unsigned i = 0; i < set->count && rc == 0; i++)
            rc = keep_open(uv_world_listener_fd(set->listeners[i]), open);
    }
    for (unsigned i = 0; i < h->server_count && rc == 0; i++)
        rc = keep_open(uv_world_stream_fd(h->servers[i].control), open);
    return rc;
}

static int describe_set(struct bytes *out, const struct socket_set *set)
{
    int rc = bytes_printf(out, "socket %d %u", (int)set->role, set->count);
    for (unsigned i = 0; i < set->count && rc == 0; i++)
        rc = bytes_printf(out, " %d", uv_world_listener_fd(set->listeners[i]));
    return rc ? rc : bytes_printf(out, " %s\n", set->asked);
}

static int describe(struct bytes *out, const struct upgrade_state *h)
{
    int rc = bytes_printf(out, "%d\n", (int)getpid());
    list_each (link, &h->sockets->sets)
        if (rc == 0)
            rc = describe_set(out, list_entry(link, struct socket_set, link));
    for (unsigned i = 0; i < h->server_count && rc == 0; i++) {
        const struct upgrade_server *left = &h->servers[i];
        rc = bytes_printf(out, "server %d %d %lld %d\n", left->pid,
            uv_world_stream_fd(left->control), (long long)left->drain_ns, left->serves);
    }
    return rc ? rc : bytes_append_byte(out, '\0');
}

static void set_of_handled(sigset_t *set)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR2};
    sigemptyset(set);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaddset(set, numbers[i]);
}

void hold_signals(bool hold)
{
    sigset_t set;
    set_of_handled(&set);
    sigprocmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

int upgrade_exec(const struct upgrade_state *state, const char *program, char **argv)
{
    struct bytes text;
    bytes_init(&text, TEXT_MAX);
    int rc = describe(&text, state);
    if (rc == 0)
        rc = keep_all_open(state, true);
    if (rc == 0 && setenv(VARIABLE, text.ptr, 1) != 0)
        rc = -errno;
    bytes_release(&text);
    if (rc == 0) {
        /* The new image inherits the mask, whatever this one's thread has blocked besides. */
        sigset_t held;
        sigset_t before;
        set_of_handled(&held);
        sigprocmask(SIG_SETMASK, &held, &before);
        execv(program, argv);
        rc = -errno;
        sigprocmask(SIG_SETMASK, &before, NULL);
    }
    unsetenv(VARIABLE);
    int again = keep_all_open(state, false);
    return rc ? rc : again;
}

/* ---- Taking it over ---- */

/* The next number of the line, or -1. */
static long long next_number(char **rest)
{
    char *word = strtok_r(NULL, " ", rest);
    char *end;
    if (!word)
        return -1;
    errno = 0;
    long long n = strtoll(word, &end, 10);
    return errno || *end || n < 0 ? -1 : n;
}

static int take_socket(struct world *w, struct upgrade_state *h, char **rest)
{
    long long role = next_number(rest);
    long long count = next_number(rest);
    int fds[SPAWN_LISTENERS_MAX];
    if (role < SOCKET_LISTEN || role > SOCKET_GIVEN || count < 1 || count > SPAWN_LISTENERS_MAX)
        return -EINVAL;
    for (long long i = 0; i < count; i++)
        fds[i] = (int)next_number(rest);
    for (long long i = 0; i < count; i++) {
        struct listener *l;
        int rc = keep_open(fds[i], false);
        if (rc == 0)
            rc = uv_world_adopt_listener(w, fds[i], &l);
        if (rc)
            return rc;
        rc = sockets_add(h->sockets, (enum socket_role)role, *rest, l);
        if (rc) {
            listener_close(l);
            return rc;
        }
    }
    return 0;
}

static int take_server(struct world *w, struct upgrade_state *h, char **rest)
{
    long long pid = next_number(rest);
    long long fd = next_number(rest);
    long long drain_ns = next_number(rest);
    long long serves = next_number(rest);
    if (pid <= 0 || fd < 0 || drain_ns < 0 || serves < 0 ||
        h->server_count == SUPERVISOR_SERVERS_MAX)
        return -EINVAL;
    struct upgrade_server *left = &h->servers[h->server_count];
    *left = (struct upgrade_server){.pid = (int)pid, .drain_ns = drain_ns, .serves = serves != 0};
    int rc = keep_open((int)fd, false);
    if (rc == 0)
        rc = uv_world_adopt_stream(w, (int)fd, &left->control);
    if (rc)
        return rc;
    rc = uv_world_adopt_child(w, (int)pid, &left->child);
    if (rc) {
        stream_close(left->control);
        return rc == -ECHILD || rc == -ESRCH ? 0 : rc; /* it died meanwhile */
    }
    h->server_count++;
    return 0;
}

static int take_line(struct world *w, struct upgrade_state *h, char *line)
{
    char *rest;
    const char *word = strtok_r(line, " ", &rest);
    if (word && strcmp(word, "socket") == 0)
        return take_socket(w, h, &rest);
    if (word && strcmp(word, "server") == 0)
        return take_server(w, h, &rest);
    return -EINVAL;
}

static int take_text(struct world *w, struct upgrade_state *h, char *text)
{
    char *rest;
    const char *pid = strtok_r(text, "\n", &rest);
    char ours[16];
    snprintf(ours, sizeof(ours), "%d", (int)getpid());
    if (!pid || strcmp(pid, ours) != 0)
        return 0; /* for another process */
    int rc = 0;
    for (char *line; rc == 0 && (line = strtok_r(NULL, "\n", &rest));)
        rc = take_line(w, h, line);
    return rc;
}

int upgrade_state_take(struct world *w, struct upgrade_state *state, struct error *e)
{
    const char *found = getenv(VARIABLE);
    if (!found)
        return 0;
    char *text = mem_strdup(found);
    unsetenv(VARIABLE);
    int rc = text ? take_text(w, state, text) : -ENOMEM;
    mem_free(text);
    if (rc)
        return error_set(
            e, rc, "upgrade", "cannot take over from the earlier program: %s", error_text(rc));
    return 0;
}

static int take_given(struct world *w, struct sockets *sockets, unsigned index)
{
    struct listener *l;
    struct address at;
    char text[ADDRESS_TEXT_MAX];
    int rc = world_inherited_listener(w, index, &l);
    if (rc)
        return rc;
    listener_address(l, &at);
    rc = sockets_add(sockets, SOCKET_GIVEN, address_print(&at, text), l);
    if (rc)
        listener_close(l);
    return rc;
}

int inherit_given_sockets(struct world *w, struct sockets *sockets, struct error *e)
{
    const char *pid = getenv("LISTEN_PID");
    const char *fds = getenv("LISTEN_FDS");
    long count = 0;
    if (pid && fds && strtol(pid, NULL, 10) == getpid())
        count = strtol(fds, NULL, 10);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (count < 0 || count >= SPAWN_LISTENERS_MAX)
        return error_set(e, -EINVAL, "sockets",
            "LISTEN_FDS is %ld, but at most %d sockets can be inherited", count,
            SPAWN_LISTENERS_MAX - 1);
    for (unsigned i = 0; i < (unsigned)count; i++) {
        int rc = take_given(w, sockets, i);
        if (rc)
            return error_set(e, rc, "sockets",
                "descriptor %u of LISTEN_FDS is not a listening socket: %s", 3 + i, error_text(rc));
    }
    return 0;
}

/*
 * sockets.c: opening, finding and closing listening sockets.
 */
#include "app/sockets.h"

#include "base/bug.h"
#include "base/mem.h"
#include "coro/coro.h"

#include <errno.h>
#include <string.h>

void sockets_init(struct sockets *all, struct world *w)
{
    *all = (struct sockets){.world = w};
    list_init(&all->sets);
}

static struct socket_set *set_new(struct sockets *all, enum socket_role role, const char *asked)
{
    struct socket_set *set = mem_zalloc(sizeof(*set));
    if (!set)
        return NULL;
    set->owner = all;
    set->role = role;
    size_t len = strnlen(asked, sizeof(set->asked) - 1);
    memcpy(set->asked, asked, len);
    list_push_back(&all->sets, &set->link);
    return set;
}

/* A Unix socket's file is removed by the listener that made it; if that was in another program
 * image, here. */
static void remove_path(const struct socket_set *set)
{
    struct address at;
    if (!set->remove_path || address_parse(&at, set->asked, NULL) || at.any.sa_family != AF_UNIX ||
        at.local.sun_path[0] == '\0')
        return;
    int rc = world_unlink(set->owner->world, at.local.sun_path);
    (void)rc; /* a file that is left is replaced by the next who listens there */
}

static void set_close(struct socket_set *set)
{
    if (set->count > 0)
        remove_path(set);
    while (set->count > 0)
        listener_close(set->listeners[--set->count]);
}

static void set_free(struct socket_set *set)
{
    list_del(&set->link);
    set_close(set);
    mem_free(set);
}

void sockets_close(struct sockets *all)
{
    list_each (link, &all->sets)
        set_close(list_entry(link, struct socket_set, link));
}

void sockets_release(struct sockets *all)
{
    list_each_safe (link, &all->sets)
        set_free(list_entry(link, struct socket_set, link));
}

static struct socket_set *find(const struct sockets *all, enum socket_role role, const char *asked)
{
    list_each (link, &all->sets) {
        struct socket_set *set = list_entry(link, struct socket_set, link);
        if (set->role == role && strcmp(set->asked, asked) == 0)
            return set;
    }
    return NULL;
}

struct socket_set *sockets_find(
    const struct sockets *all, enum socket_role role, const struct address *at)
{
    char text[ADDRESS_TEXT_MAX];
    return find(all, role, address_print(at, text));
}

int sockets_add(
    struct sockets *all, enum socket_role role, const char *asked, struct listener *listener)
{
    struct socket_set *set = find(all, role, asked);
    if (!set)
        set = set_new(all, role, asked);
    if (!set)
        return -ENOMEM;
    if (set->count == SPAWN_LISTENERS_MAX)
        return -E2BIG;
    set->listeners[set->count++] = listener;
    set->remove_path = role != SOCKET_GIVEN;
    return 0;
}

/* ---- Opening ---- */

static int open_one(struct socket_set *set, const struct address *at, int backlog, bool shared)
{
    check(set->count < SPAWN_LISTENERS_MAX, "more sockets of an address than a server can inherit");
    struct listen_options options = {.backlog = backlog, .shared_port = shared};
    int rc = world_listen(set->owner->world, at, &options, &set->listeners[set->count]);
    if (rc == 0)
        set->count++;
    return rc;
}

/* Sockets that share a port also share it with other processes: a second weir that was started by
 * mistake would get half of the connections. So the first is opened unshared, which fails if
 * anything listens there, and then again, shared. */
static int open_all(struct socket_set *set, struct address at, int backlog, unsigned count)
{
    int rc = open_one(set, &at, backlog, false);
    if (rc || count == 1)
        return rc;
    listener_address(set->listeners[0], &at); /* a free port is chosen once */
    listener_close(set->listeners[--set->count]);
    while (set->count < count && rc == 0)
        rc = open_one(set, &at, backlog, true);
    return rc;
}

static int explain(int rc, const char *asked, struct error *e)
{
    const char *advice = "";
    if (rc == -EADDRINUSE)
        advice = "; another process listens there: stop it, or choose another address (--listen)";
    else if (rc == -EACCES)
        advice =
            "; ports below 1024 need a privilege (CAP_NET_BIND_SERVICE), or an init that opens "
            "the socket";
    else if (rc == -EADDRNOTAVAIL)
        advice = "; this machine has no such address";
    return error_set(e, rc, "bind", "cannot listen on %s: %s%s", asked, error_text(rc), advice);
}

static unsigned how_many(const struct sockets *all, const struct socket_wish *wish)
{
    if (wish->at.any.sa_family == AF_UNIX || wish->role == SOCKET_ADMIN || wish->count_max == 0)
        return 1;
    return all->each < wish->count_max ? all->each : wish->count_max;
}

int sockets_get(
    struct sockets *all, const struct socket_wish *wish, struct socket_set **out, struct error *e)
{
    char asked[ADDRESS_TEXT_MAX];
    address_print(&wish->at, asked);
    struct socket_set *set = find(all, wish->role, asked);
    if (!set) {
        set = set_new(all, wish->role, asked);
        if (!set)
            return error_set(e, -ENOMEM, "memory", "no memory for another listener");
        unsigned count = how_many(all, wish);
        int rc = open_all(set, wish->at, wish->backlog, count);
        if (rc) {
            set_free(set);
            return explain(rc, asked, e);
        }
    }
    set->users++;
    *out = set;
    return 0;
}

void socket_set_use(struct socket_set *set)
{
    check(set->users > 0 || set->role == SOCKET_GIVEN, "a set of sockets is used that was freed");
    set->users++;
}

void socket_set_drop(struct socket_set *set)
{
    check(set->users > 0, "a set of sockets is dropped that has no users");
    if (--set->users == 0 && set->role != SOCKET_GIVEN)
        set_free(set);
}

/*
 * listener.c: listening sockets, who holds them, and who hears a connect.
 *
 * All who wait on a socket are woken when somebody connects, as by a level-triggered poll; which of
 * them runs first and takes the connection, the seed decides.
 *
 * Unix sockets are found by path among the listeners of the host: they leave no file behind, and
 * where nobody listens a connect is -ENOENT.
 */
#include "world/sim/conn.h"

#include <string.h>

#define EPHEMERAL_FIRST 32768
#define EPHEMERAL_LAST  60999

static struct sim_listener *of(struct listener *l)
{
    return container_of(l, struct sim_listener, listener);
}

/* ---- Addresses and ports ---- */

static int ip_of_in6(const struct in6_addr *a, uint32_t *ip)
{
    if (IN6_IS_ADDR_UNSPECIFIED(a))
        *ip = 0;
    else if (IN6_IS_ADDR_LOOPBACK(a))
        *ip = INADDR_LOOPBACK;
    else if (IN6_IS_ADDR_V4MAPPED(a))
        *ip = (uint32_t)a->s6_addr[12] << 24 | (uint32_t)a->s6_addr[13] << 16 |
              (uint32_t)a->s6_addr[14] << 8 | a->s6_addr[15];
    else
        return -EADDRNOTAVAIL;
    return 0;
}

int ip_of(const struct address *a, uint32_t *ip)
{
    switch (a->any.sa_family) {
    case AF_INET:
        *ip = ntohl(a->in4.sin_addr.s_addr);
        return 0;
    case AF_INET6:
        return ip_of_in6(&a->in6.sin6_addr, ip);
    default:
        return -EAFNOSUPPORT;
    }
}

static bool is_unix(const struct address *a)
{
    return a->any.sa_family == AF_UNIX;
}

static bool same_path(const struct address *a, const struct address *b)
{
    return a->len == b->len && memcmp(&a->local, &b->local, a->len) == 0;
}

uint16_t host_take_port(struct sim_host *host)
{
    uint16_t port = host->next_port;
    host->next_port = port == EPHEMERAL_LAST ? EPHEMERAL_FIRST : (uint16_t)(port + 1);
    return port;
}

/* Whether what is sent to `to` reaches a listener at `at`. */
static bool hears(const struct address *at, const struct address *to)
{
    if (is_unix(at) || is_unix(to))
        return is_unix(at) && is_unix(to) && same_path(at, to);
    uint32_t at_ip = 0;
    uint32_t to_ip = 0;
    return address_port(at) == address_port(to) && ip_of(at, &at_ip) == 0 &&
           ip_of(to, &to_ip) == 0 && (at_ip == 0 || at_ip == to_ip);
}

/* ---- Who hears ---- */

bool listener_is_there(const struct sim_host *host, const struct address *to)
{
    list_each (link, &host->listeners)
        if (hears(&list_entry(link, struct sim_socket, link)->at, to))
            return true;
    return false;
}

static bool has_room(const struct sim_socket *l)
{
    return l->waiting_count < l->backlog;
}

bool listener_is_full(struct conn *c)
{
    bool there = false;
    list_each (link, &c->ends[1].host->listeners) {
        const struct sim_socket *l = list_entry(link, struct sim_socket, link);
        if (!hears(&l->at, &c->to))
            continue;
        if (has_room(l))
            return false;
        there = true;
    }
    return there;
}

/* Any of those that share the address. */
static struct sim_socket *choose(struct conn *c)
{
    struct sim_socket *chosen = NULL;
    uint32_t count = 0;
    list_each (link, &c->ends[1].host->listeners) {
        struct sim_socket *l = list_entry(link, struct sim_socket, link);
        if (!hears(&l->at, &c->to) || !has_room(l))
            continue;
        if (++count == 1 || rand_below(&c->sim->rand, count) == 0)
            chosen = l;
    }
    return chosen;
}

/* The accepting end begins, perhaps anew: who accepted before may have crashed. */
static void end_accept(struct end *e)
{
    e->state = END_OPEN;
    e->boots = e->host->boots;
    e->broken = e->fin_sent = e->fin_came = false;
    e->error = 0;
    e->out.sent = e->out.known = 0;
}

int listener_offer(struct conn *c)
{
    struct sim_socket *l = choose(c);
    if (!l)
        return -ECONNREFUSED;
    struct end *e = &c->ends[1];
    end_accept(e);
    list_push_back(&l->waiting, &c->waiting);
    l->waiting_count++;
    trace(c->sim, TRACE_INCOMING, l->host, end_id(e), l->waiting_count, 0);
    list_each (link, &l->handles) {
        struct sim_listener *handle = list_entry(link, struct sim_listener, link);
        sim_world_wake(sim_world_of(handle->listener.handle.world), handle->waiter, 0);
    }
    return 0;
}

/* ---- The socket and its holders ---- */

static struct conn *take_waiting(struct sim_socket *l)
{
    struct conn *c = list_first(&l->waiting, struct conn, waiting);
    list_del(&c->waiting);
    l->waiting_count--;
    return c;
}

static void socket_release(struct sim_socket *l)
{
    if (--l->holders > 0)
        return;
    list_del(&l->link);
    while (!list_empty(&l->waiting)) {
        struct conn *c = take_waiting(l);
        end_abort(&c->ends[1]);
        conn_settle(c);
    }
    mem_free(l);
}

static void give_up(struct owned *o)
{
    struct sim_listener *l = container_of(o, struct sim_listener, owned);
    if (!l->socket)
        return;
    list_del(&l->link);
    socket_release(l->socket);
    l->socket = NULL;
}

/* One more handle; NULL: no memory. */
static struct sim_listener *listener_on(struct sim_world *w, struct sim_socket *socket)
{
    struct sim_listener *l = mem_zalloc(sizeof *l);
    if (!l)
        return NULL;
    owned_init(&l->owned, &l->listener.handle, w, give_up);
    l->socket = socket;
    l->at = socket->at;
    list_push_back(&socket->handles, &l->link);
    socket->holders++;
    return l;
}

static bool in_use(const struct sim_host *host, const struct address *at, bool shared)
{
    list_each (link, &host->listeners) {
        const struct sim_socket *l = list_entry(link, struct sim_socket, link);
        if ((hears(&l->at, at) || hears(at, &l->at)) && !(shared && l->shared))
            return true;
    }
    return false;
}

/* Checks the address, and fills in a free port if there is none. */
static int place_for(struct sim_host *host, struct address *at, bool shared)
{
    if (is_unix(at))
        return in_use(host, at, shared) ? -EADDRINUSE : 0;
    uint32_t ip = 0;
    int rc = ip_of(at, &ip);
    if (rc)
        return rc;
    if (ip != 0 && ip >> 24 != 127 && ip != host->address)
        return -EADDRNOTAVAIL;
    if (address_port(at) != 0)
        return in_use(host, at, shared) ? -EADDRINUSE : 0;
    for (int tries = EPHEMERAL_FIRST; tries <= EPHEMERAL_LAST; tries++) {
        address_set_port(at, host_take_port(host));
        if (!in_use(host, at, false))
            return 0;
    }
    return -EADDRINUSE;
}

static struct sim_socket *socket_new(
    struct sim_host *host, const struct address *at, const struct listen_options *options)
{
    struct sim_socket *l = mem_zalloc(sizeof *l);
    if (!l)
        return NULL;
    l->host = host;
    l->at = *at;
    l->shared = options->shared_port;
    l->backlog = (unsigned)options->backlog;
    list_init(&l->waiting);
    list_init(&l->handles);
    list_push_back(&host->listeners, &l->link);
    return l;
}

static int listen_at(struct sim_world *w, const struct address *at,
    const struct listen_options *options, struct listener **out)
{
    struct sim_socket *socket = socket_new(host_of(w), at, options);
    if (!socket)
        return -ENOMEM;
    struct sim_listener *l = listener_on(w, socket);
    if (!l) {
        list_del(&socket->link);
        mem_free(socket);
        return -ENOMEM;
    }
    *out = &l->listener;
    return 0;
}

int sim_op_listen(struct world *world, const struct address *at,
    const struct listen_options *options, struct listener **out)
{
    struct sim_world *w = sim_world_of(world);
    if (w->dead)
        return -ECANCELED;
    struct address place = *at;
    int rc = place_for(host_of(w), &place, options->shared_port);
    if (rc == 0)
        rc = listen_at(w, &place, options, out);
    trace(w->sim, TRACE_LISTEN, host_of(w), (uint64_t)w->process->pid,
        (uint64_t)address_port(&place), rc);
    return rc;
}

int sim_op_share_listener(struct world *world, struct listener *listener, struct listener **out)
{
    struct sim_world *w = sim_world_of(world);
    struct sim_socket *socket = of(listener)->socket;
    if (w->dead || !socket)
        return -ECANCELED;
    check(sim_world_of(listener->handle.world)->process == w->process,
        "world_share_listener by process '%s' of a listener of process '%s': between processes it "
        "is "
        "handed over with spawn_options.listeners",
        w->process->name, sim_world_of(listener->handle.world)->process->name);
    struct sim_listener *l = listener_on(w, socket);
    if (!l)
        return -ENOMEM;
    *out = &l->listener;
    return 0;
}

/* ---- Handing them to a process ---- */

int sockets_give(struct sim_process *p, struct listener *const *listeners, unsigned count)
{
    if (count == 0)
        return 0;
    p->inherited = mem_alloc(count * sizeof p->inherited[0]);
    if (!p->inherited)
        return -ENOMEM;
    p->inherited_count = count;
    for (unsigned i = 0; i < count; i++) {
        p->inherited[i] = of(listeners[i])->socket;
        p->inherited[i]->holders++;
    }
    return 0;
}

void sockets_drop(struct sim_process *p)
{
    for (unsigned i = 0; i < p->inherited_count; i++)
        if (p->inherited[i])
            socket_release(p->inherited[i]);
    mem_free(p->inherited);
    p->inherited = NULL;
    p->inherited_count = 0;
}

int sim_op_inherited_listener(struct world *world, unsigned index, struct listener **out)
{
    struct sim_world *w = sim_world_of(world);
    if (w->dead)
        return -ECANCELED;
    struct sim_process *p = w->process;
    if (index >= p->inherited_count || !p->inherited[index])
        return -EBADF;
    struct sim_listener *l = listener_on(w, p->inherited[index]);
    if (!l)
        return -ENOMEM;
    socket_release(p->inherited[index]);
    p->inherited[index] = NULL;
    *out = &l->listener;
    return 0;
}

/* ---- Accepting ---- */

int sim_op_try_accept(struct listener *listener, struct stream **out)
{
    struct sim_socket *socket = of(listener)->socket;
    struct sim_world *w = sim_world_of(listener->handle.world);
    if (!socket)
        return -ECANCELED;
    if (list_empty(&socket->waiting))
        return -EAGAIN;
    struct conn *c = list_first(&socket->waiting, struct conn, waiting);
    struct sim_stream *s = stream_for(&c->ends[1], w);
    if (!s)
        return -ENOMEM;
    take_waiting(socket);
    trace(w->sim, TRACE_ACCEPT, socket->host, end_id(s->end), 0, 0);
    *out = &s->stream;
    return 0;
}

int sim_op_accept(struct listener *listener, struct stream **out)
{
    struct sim_world *w = sim_world_of(listener->handle.world);
    for (;;) {
        int rc = sim_op_try_accept(listener, out);
        if (rc != -EAGAIN)
            return rc;
        rc = sim_world_park(w, "accept", &of(listener)->waiter);
        if (rc)
            return rc;
        if (listener->handle.closed)
            return -EBADF;
    }
}

void sim_op_listener_address(const struct listener *listener, struct address *out)
{
    *out = ((const struct sim_listener *)listener)->at;
}

void sim_op_listener_close(struct listener *listener)
{
    struct sim_listener *l = of(listener);
    struct sim_world *w = sim_world_of(listener->handle.world);
    if (!w->dead) {
        trace(w->sim, TRACE_UNLISTEN, host_of(w), (uint64_t)address_port(&l->at), 0, 0);
        give_up(&l->owned);
    }
    owned_closed(&l->owned);
    sim_world_wake(w, l->waiter, -EBADF);
}

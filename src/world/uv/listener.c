/*
 * listener.c: listening sockets.
 *
 * A Unix socket's file outlives a process that died. So an address in use is asked whether anybody
 * answers there, and if nobody does, the file is replaced; it must be a socket, nothing else is
 * ever removed. (Two processes that start at the same moment on the same path may both find it
 * dead, and the later one gets it.) At its close a listener removes the file if it is still its
 * own.
 *
 * accept does not hide EMFILE and ENFILE: the caller sees them at once, each time it asks, with the
 * connection still in the backlog. It should close something, or sleep a few milliseconds, and ask
 * again; the loop does not spin meanwhile.
 */
#include "base/mem.h"
#include "world/uv/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct uv_listener {
    struct listener listener;
    struct ready ready;
    bool owns_path;
    dev_t path_device;
    ino_t path_inode;
    struct address at;
};

static struct uv_listener *of(struct listener *l)
{
    return container_of(l, struct uv_listener, listener);
}

/* ---- Unix paths ---- */

static bool has_path(const struct address *a)
{
    return a->any.sa_family == AF_UNIX && a->local.sun_path[0] != '\0';
}

/* Whether the path is a socket that nobody listens on. */
static bool is_dead_socket(const struct address *at)
{
    struct stat found;
    if (lstat(at->local.sun_path, &found) != 0 || !S_ISSOCK(found.st_mode))
        return false;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return false;
    bool dead = connect(probe, &at->any, at->len) != 0 && errno == ECONNREFUSED;
    close(probe);
    return dead;
}

static int bind_to(int fd, const struct address *at)
{
    if (bind(fd, &at->any, at->len) == 0)
        return 0;
    if (errno != EADDRINUSE || !has_path(at) || !is_dead_socket(at))
        return -errno;
    if (unlink(at->local.sun_path) != 0 && errno != ENOENT)
        return -errno;
    return bind(fd, &at->any, at->len) == 0 ? 0 : -errno;
}

static void remember_path(struct uv_listener *l)
{
    struct stat made;
    if (!has_path(&l->at) || lstat(l->at.local.sun_path, &made) != 0)
        return;
    l->owns_path = true;
    l->path_device = made.st_dev;
    l->path_inode = made.st_ino;
}

static void remove_path(const struct uv_listener *l)
{
    struct stat now;
    if (l->owns_path && lstat(l->at.local.sun_path, &now) == 0 && now.st_dev == l->path_device &&
        now.st_ino == l->path_inode)
        unlink(l->at.local.sun_path);
}

/* ---- Opening ---- */

static int set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

/* What the kernel takes of a connection beyond what it can send now. Without a bound it takes
 * megabytes for each reader that does not read, and copies them in one call, while everybody else
 * waits. */
#define UNSENT_MAX (128 * 1024)

/* What connections inherit from their listener saves each of them the system calls. */
static int set_for_connections(int fd)
{
    int rc = set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return rc ? rc : set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_MAX);
}

static int set_options(int fd, const struct address *at, bool shared_port)
{
    if (at->any.sa_family == AF_UNIX)
        return 0;
    int rc = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0 && shared_port)
        rc = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    /* Every address means IPv4's, too; one IPv6 address is only itself. */
    if (rc == 0 && at->any.sa_family == AF_INET6)
        rc = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, !IN6_IS_ADDR_UNSPECIFIED(&at->in6.sin6_addr));
    return rc ? rc : set_for_connections(fd);
}

static int open_socket(const struct address *at, const struct listen_options *options)
{
    int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int rc = set_options(fd, at, options->shared_port);
    if (rc == 0)
        rc = bind_to(fd, at);
    if (rc == 0 && listen(fd, options->backlog) != 0)
        rc = -errno;
    if (rc) {
        close(fd);
        return rc;
    }
    return fd;
}

/* Takes the descriptor on success only; otherwise NULL, and an error in *rc. */
static struct uv_listener *adopt(struct uv_world *w, int fd, int *rc)
{
    struct uv_listener *l = mem_zalloc(sizeof(*l));
    if (!l) {
        *rc = -ENOMEM;
        return NULL;
    }
    l->at.len = sizeof(l->at.local);
    if (getsockname(fd, &l->at.any, &l->at.len) != 0) {
        *rc = -errno;
        mem_free(l);
        return NULL;
    }
    kind_opened(w, KIND_LISTENER, &l->listener.handle);
    ready_init(&l->ready, &l->listener.handle, fd);
    return l;
}

/* What '*' means on a machine without IPv6. */
static void to_in4(struct address *a)
{
    int port = address_port(a);
    memset(a, 0, sizeof(*a));
    a->len = sizeof(a->in4);
    a->in4.sin_family = AF_INET;
    address_set_port(a, (uint16_t)port);
}

int uv_world_listen(struct world *world, const struct address *at,
    const struct listen_options *options, struct listener **out)
{
    struct uv_world *w = uv_world_of(world);
    struct address where = *at;
    int fd = open_socket(&where, options);
    if (fd == -EAFNOSUPPORT && where.any.sa_family == AF_INET6 &&
        IN6_IS_ADDR_UNSPECIFIED(&where.in6.sin6_addr)) {
        to_in4(&where);
        fd = open_socket(&where, options);
    }
    if (fd < 0)
        return fd;
    int rc;
    struct uv_listener *l = adopt(w, fd, &rc);
    if (!l) {
        if (has_path(&where))
            unlink(where.local.sun_path);
        close(fd);
        return rc;
    }
    remember_path(l);
    *out = &l->listener;
    return 0;
}

/* The file of a Unix socket is removed with the listener that made it. */
int uv_world_share_listener(struct world *w, struct listener *listener, struct listener **out)
{
    int fd = fcntl(of(listener)->ready.fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int rc;
    struct uv_listener *l = adopt(uv_world_of(w), fd, &rc);
    if (!l) {
        close(fd);
        return rc;
    }
    *out = &l->listener;
    return 0;
}

/* A socket from elsewhere may block, and may lack what its connections are to inherit. */
static int prepare_foreign(int fd)
{
    int listens = 0;
    socklen_t len = sizeof(listens);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) != 0)
        return -errno;
    if (!listens)
        return -EINVAL;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return -errno;
    int rc = set_for_connections(fd);
    return rc == -EOPNOTSUPP ? 0 : rc; /* a Unix socket */
}

int uv_world_adopt_listener(struct world *world, int fd, struct listener **out)
{
    int rc = prepare_foreign(fd);
    if (rc)
        return rc;
    struct uv_listener *l = adopt(uv_world_of(world), fd, &rc);
    if (!l)
        return rc;
    *out = &l->listener;
    return 0;
}

int uv_world_listener_fd(const struct listener *l)
{
    return ((const struct uv_listener *)l)->ready.fd;
}

/* ---- Accepting ---- */

/* Errors of the one connection that was next in line, which is gone now: accept(2) says to treat
 * them like EAGAIN. */
static bool is_of_connection(int error)
{
    switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

int uv_listener_try_accept(struct listener *listener, struct stream **out)
{
    struct uv_listener *l = of(listener);
    for (;;) {
        struct address peer = {.len = sizeof(peer.local)};
        int fd = accept4(l->ready.fd, &peer.any, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            struct uv_stream *s;
            int rc = stream_adopt(uv_world_of_handle(&listener->handle), fd, &peer, &s);
            if (rc == 0)
                *out = &s->stream;
            return rc;
        }
        if (!is_of_connection(errno))
            return -errno;
    }
}

int uv_listener_accept(struct listener *listener, struct stream **out)
{
    struct uv_listener *l = of(listener);
    int rc = ready_be_fair(&l->ready);
    while (rc == 0) {
        rc = uv_listener_try_accept(listener, out);
        if (rc != -EAGAIN)
            return rc;
        rc = ready_wait(&l->ready, UV_READABLE, "accept");
    }
    return rc;
}

void uv_listener_address(const struct listener *listener, struct address *out)
{
    *out = ((const struct uv_listener *)listener)->at;
}

void uv_listener_close(struct listener *listener)
{
    struct uv_listener *l = of(listener);
    int fd = l->ready.fd;
    kind_closed(KIND_LISTENER, &listener->handle);
    remove_path(l);
    ready_close(&l->ready);
    close(fd);
}

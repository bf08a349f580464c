/*
 * sockets.h: the listening sockets that a supervisor holds, by the addresses that configurations
 * ask for.
 *
 * A *socket set* belongs to one configured address: one socket, or several that share a port, so
 * that as many threads accept without contention. Sets are used by configurations
 * (loaded_config.h), of which an old and a new one may live at once; what both ask for is the same
 * set, with its backlog. A set without users is closed, except those that were given
 * by an init (socket activation): those are its own to close.
 */
#pragma once

#include "base/error.h"
#include "base/list.h"
#include "world/world.h"

enum socket_role {
    SOCKET_LISTEN, /* of a `listen` */
    SOCKET_ADMIN,
    SOCKET_GIVEN /* for `listen`, by a socket-activating init */
};

struct socket_set {
    struct list link; /* in sockets.sets */
    struct sockets *owner;
    enum socket_role role;
    /* The configured address, as of address_print; port 0 stands for any free port. */
    char asked[ADDRESS_TEXT_MAX];
    /* Whether to unlink a Unix socket's file on close: an adopted listener does not do so itself.
     * */
    bool remove_path;
    unsigned users;
    unsigned count;
    struct listener *listeners[SPAWN_LISTENERS_MAX];
};

struct sockets {
    struct list sets; /* through socket_set.link */
    struct world *world;
    unsigned each; /* how many sockets a new TCP address gets; 0: not yet decided */
};

void sockets_init(struct sockets *all, struct world *w);
/* Closes all sockets, but keeps the sets, which loaded configurations use: for the end. */
void sockets_close(struct sockets *all);
/* Closes them all. */
void sockets_release(struct sockets *all);

/* Adds an inherited socket, which the table owns on success: 0, -ENOMEM, or -E2BIG. */
int sockets_add(struct sockets *all, enum socket_role role, const char *asked,
    struct listener *listener) __attribute__((warn_unused_result));

struct socket_wish {
    enum socket_role role;
    struct address at;
    int backlog;
    unsigned count_max; /* sockets at most, if it must be opened */
};

/* The set of this address, which is opened if there is none; the caller becomes one of its users.
 * Or a negative errno with a sentence. */
int sockets_get(struct sockets *all, const struct socket_wish *wish, struct socket_set **out,
    struct error *e) __attribute__((warn_unused_result));
/* The set of this role and address, or NULL. */
struct socket_set *sockets_find(
    const struct sockets *all, enum socket_role role, const struct address *at);
void socket_set_use(struct socket_set *set);
/* The last user closes it, unless an init gave it. */
void socket_set_drop(struct socket_set *set);

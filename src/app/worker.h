/*
 * worker.h: one I/O thread of a server: its connections, its client, its flows under way, its
 * figures.
 *
 * Workers share the service and the configuration, which do not change, and nothing else. Each
 * runs in a world of its own; the server talks to it by messages.
 */
#pragma once

#include "app/access.h"
#include "app/service.h"
#include "meter/meter.h"
#include "world/world.h"

struct worker_metrics; /* worker.c */

struct worker_options {
    unsigned index;
    unsigned count; /* of workers */
    const struct config *config;
    const struct service *service;
    struct pools *pools;
    struct meter *meter;
    struct access_writer *access;
    struct body_budget *bodies;
    /* The listeners that it shares: the server's, open until the worker
     * has started; the array is copied. */
    struct listener *const *listeners;
    unsigned listener_count;
    /* Called on the worker's thread: it accepts (rc 0), or never will (rc, and, unless NULL, a
     * sentence). */
    void (*started)(void *ctx, int rc, const struct error *e);
    void *ctx;
};

struct worker;

/* What all workers together are asked for, registered before the first is made. */
int worker_metrics_register(struct meter *meter, const struct service *service,
    const struct conf_client *client, struct worker_metrics **out)
    __attribute__((warn_unused_result));
void worker_metrics_free(struct worker_metrics *metrics);

int worker_new(struct worker **out, const struct worker_options *options,
    const struct worker_metrics *metrics) __attribute__((warn_unused_result));
/* After it has ended, and the access log's writer with it. NULL is nothing to free. */
void worker_free(struct worker *k);

/* Serves until it has drained. A thread's main function: `arg` is the worker. */
int worker_run(struct world *w, void *arg) __attribute__((warn_unused_result));
/* How a worker ends: see http_server_drain. */
struct worker_drain {
    int64_t idle_ns; /* idle connections have that much more */
    int64_t all_ns;  /* requests */
    bool last;       /* no other server takes the connections that wait in the listeners' queues */
};
/* From the thread of the world `from`, once it has started. Its world must live. May be said
 * twice. */
void worker_drain(struct worker *k, struct world *from, const struct worker_drain *how);

const struct http_server_stats *worker_server_stats(const struct worker *k);
const struct http_client_stats *worker_client_stats(const struct worker *k);

/*
 * io_thread.h: one I/O thread of a server: its connections, HTTP client, running flows and metrics.
 *
 * I/O threads share the service and the configuration, which do not change, and nothing else. Each
 * runs in a world of its own; the server talks to it by messages.
 */
#pragma once

#include "app/access.h"
#include "app/service.h"
#include "meter/meter.h"
#include "world/world.h"

struct io_thread_metrics; /* io_thread.c */

struct io_thread_options {
    unsigned index;
    unsigned count; /* of I/O threads */
    const struct config *config;
    const struct service *service;
    struct pools *pools;
    const struct upstreams *upstreams;
    struct meter *meter;
    struct access_writer *access;
    struct body_budget *bodies;
    /* The server's listeners, which the I/O thread duplicates: they must stay open until `started`
     * is called; the array is copied. */
    struct listener *const *listeners;
    unsigned listener_count;
    /* Called once on the I/O thread: with rc 0 when it accepts connections, or with the rc of a
     * failed start and, unless NULL, an error that explains it. */
    void (*started)(void *ctx, int rc, const struct error *e);
    void *ctx;
};

struct io_thread;

/* Registers the metrics of all I/O threads, before the first is made. */
int io_thread_metrics_register(struct meter *meter, const struct service *service,
    struct io_thread_metrics **out) __attribute__((warn_unused_result));
void io_thread_metrics_free(struct io_thread_metrics *metrics);

int io_thread_new(struct io_thread **out, const struct io_thread_options *options,
    const struct io_thread_metrics *metrics) __attribute__((warn_unused_result));
/* After it has ended, and the access log's writer with it. Ignores NULL. */
void io_thread_free(struct io_thread *io);

/* Serves until drained. A thread's main function: `arg` is the struct io_thread. */
int io_thread_run(struct world *w, void *arg) __attribute__((warn_unused_result));
/* The time that a drain leaves: see http_server_drain. */
struct io_thread_drain {
    int64_t idle_ns; /* for idle connections */
    int64_t all_ns;  /* for requests */
    bool last;       /* no other server takes the connections that wait in the listeners' queues */
};
/* Starts the drain, from the thread of the world `from`, after `started` was called with rc 0. The
 * I/O thread's world must be alive. At most twice: a second drain may shorten the first. */
void io_thread_drain(struct io_thread *io, struct world *from, const struct io_thread_drain *how);

const struct http_server_stats *io_thread_server_stats(const struct io_thread *io);
const struct http_client_stats *io_thread_client_stats(const struct io_thread *io);

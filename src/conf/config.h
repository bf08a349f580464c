/*
 * config.h: the configuration, checked, with every default filled in; and how to get one.
 *
 *     listen: 127.0.0.1:8080
 *     routes:
 *       - route: GET /hello/{name}
 *         nodes:
 *           user: {http: {url: "http://127.0.0.1:9001/users/$path.name"}}
 *           pause: {sleep: 70ms}
 *         reply: {hello: $path.name, user: $node.user.body}
 *
 * What a key is called, its type, unit, default and description stand once, in a table (schema.c),
 * from which come reading, checking, printing, the JSON Schema for editors and
 * doc/guide/configuration.md.
 *
 * A configuration does not change once it is loaded; any thread may read it. Flows (nodes, replies)
 * are checked further by whoever compiles them (flow/), with the same list of errors.
 */
#pragma once

#include "conf/node.h"

#include "base/log.h"

#include <stdint.h>

struct conf_listen {
    struct conf_mark mark;
    const char *address; /* "127.0.0.1:8080", "[::1]:80", "*:80", "unix:/run/weir.sock"; a bare port
                            is on 127.0.0.1 */
    unsigned backlog;    /* 4096 */
};

struct conf_limits {
    uint64_t line;                    /* 8KiB */
    uint64_t head;                    /* 32KiB */
    unsigned fields;                  /* 100; at most 1000 */
    uint64_t body;                    /* 1MiB */
    uint64_t bodies;                  /* 256MiB: in memory at once, over all I/O threads */
    unsigned requests_per_connection; /* 0: no limit */
    unsigned connections;             /* open at once, over all listeners; 0: no limit. 65536 */
};

struct conf_timeouts {
    int64_t headers;    /* 10s: from a request's first byte to the end of its head */
    int64_t body;       /* 10s: between two pieces of a body */
    uint64_t body_rate; /* 100 bytes/s: the least average, after the first `body` */
    int64_t idle;       /* 75s: a kept connection between two requests */
    int64_t write;      /* 30s: until a client that reads nothing is given up */
    int64_t request;    /* 60s: a route's deadline, where it does not say its own */
    int64_t linger;     /* 2s: after the last reply, for the client to read it and close */
    int64_t drain;      /* 30s: an old server's requests, at reload and stop */
};

struct conf_log {
    enum log_level level; /* info */
    enum conf_log_format {
        CONF_LOG_AUTO,
        CONF_LOG_TEXT,
        CONF_LOG_JSON
    } format;    /* auto: text on a terminal */
    bool access; /* true */
};

struct conf_client {      /* of `http` nodes */
    unsigned connections; /* kept idle per host and I/O thread; 64 */
    unsigned in_use;      /* open per host and I/O thread at once; others wait. 0: no limit. 1024 */
    int64_t idle;         /* 30s: a kept connection is closed after */
    int64_t connect;      /* 5s */
    int64_t first_byte;   /* 30s */
    uint64_t reply_head;  /* 32KiB */
    uint64_t reply_body;  /* 16MiB */
    bool adaptive;        /* true: each node's calls under way are limited by their latency */
    unsigned waiting;     /* 1024: calls that may wait beyond that, for each node and I/O thread */
    bool send_deadline;   /* false: whether nodes send Weir-Deadline, unless they say so */
};

enum conf_pool_kind { CONF_POOL_INLINE, CONF_POOL_THREADS, CONF_POOL_PROCESSES, CONF_POOL_FORK };

enum conf_on_cancel { CONF_LEAVE, CONF_KILL };

struct conf_pool { /* pools: {cpu: {kind: processes, size: auto, memory: 1GiB}} */
    struct conf_mark mark;
    const char *name;
    enum conf_pool_kind kind;
    unsigned size;         /* workers; 0: auto, as many as there are cores for this process */
    unsigned queue;        /* 4096: tasks that may wait */
    int64_t start;         /* 30s: until a worker must be ready */
    unsigned nice;         /* 5: how much workers yield the processor to I/O threads; 0 to 19 */
    unsigned step_threads; /* that a step may use of its own; 0: auto, cores / size */
    uint64_t value;        /* 16MiB: the longest input, and the longest output */
    /* Of workers that are processes: */
    unsigned max_tasks;            /* replaced after about so many; 0: no limit */
    uint64_t memory;               /* of each worker; 0: no limit */
    int64_t hard_timeout;          /* a task that runs longer is killed; 0: no limit */
    enum conf_on_cancel on_cancel; /* leave: a started task that nobody waits for any more */
};

/* The names of steps that need no entry, and are therefore taken; NULL ends them. step/set.c has
 * the steps, which is above this. */
extern const char *const conf_builtin_steps[];

#define CONF_BATCH_MAX 64 /* tasks: no more are taken from a queue at once */

struct conf_step { /* steps: {tag: {plugin: ./tagger.so, options: {...}, retry: true}} */
    struct conf_mark mark;
    bool broken;                     /* after -EINVAL: there is a mistake in it */
    const char *name;                /* as nodes say it */
    const char *plugin;              /* a file, with a slash; NULL: built in */
    const char *step;                /* its name there; the same name unless given */
    const char *pool;                /* where it runs unless a node says so; "default" */
    bool retry;                      /* it may be run again when its worker dies */
    const struct conf_node *options; /* for its init; NULL: none. Literal */
    struct conf_batch {              /* batch: {max: 32, wait: 2ms} */
        unsigned max;                /* 1: no batches; at most CONF_BATCH_MAX */
        int64_t wait;                /* 0: for no others */
    } batch;
};

/* Statuses of replies: "200-299", or a list. */
struct conf_statuses {
    const struct conf_node *as_written;
    const struct conf_status_range {
        int low, high;
    } * ranges;
    unsigned count;
};
bool conf_statuses_have(const struct conf_statuses *s, int status);

#define CONF_UPSTREAM_SERVERS_MAX 1000

struct conf_upstream_server { /* 127.0.0.1:5001 | {server: 127.0.0.1:5002, weight: 2} */
    struct conf_mark mark;
    const char *server; /* "127.0.0.1:5001", "name:80", "unix:/run/x.sock" */
    unsigned weight;    /* 1 */
};

struct conf_retry {                /* of an upstream */
    unsigned attempts;             /* 3, the first one included */
    struct conf_statuses statuses; /* 502-504 */
    int64_t per_try;               /* 0: what is left of the request's deadline */
    int64_t backoff;     /* 10ms: at most, before the first retry; doubled for each next */
    int64_t backoff_max; /* 1s */
    unsigned budget;     /* 20: retries of ten seconds, in percent of the calls */
    unsigned budget_min; /* 3: retries in flight that are always allowed */
};

struct conf_eject {     /* passive health: a server that fails gets no calls for a time */
    unsigned failures;  /* 5: in a row; 0: never */
    int64_t time;       /* 10s; doubled each time */
    int64_t time_max;   /* 5m */
    int64_t slow_start; /* 10s: until it gets its whole share again */
};

struct conf_health {  /* active health checks */
    const char *path; /* NULL: none */
    int64_t interval; /* 2s */
    int64_t timeout;  /* 1s */
    unsigned rise;    /* 2: good checks in a row, until it is up */
    unsigned fall;    /* 3: bad ones, until it is down */
};

struct conf_upstream { /* upstreams: {taggers: {servers: [127.0.0.1:5001, ...]}} */
    struct conf_mark mark;
    const char *name;
    struct conf_upstream_server *servers;
    unsigned server_count;
    enum conf_balance { CONF_BALANCE_LEAST, CONF_BALANCE_ROUND_ROBIN, CONF_BALANCE_HASH } balance;
    struct conf_retry retry;
    struct conf_eject eject;
    struct conf_health health;
};

/* What a node has done in a pool. */
struct conf_work {
    const char *step; /* one of `steps`, or a built-in one; NULL: it uses no pool */
    const char *pool; /* one of `pools`, or "default"; as the step says unless given */
    bool retry;       /* as the step says */
};

struct conf_flow_kind; /* schema.h */
struct conf_flow_kinds;

#define CONF_NO_DEADLINE INT64_MAX

/* One node of a flow. */
struct conf_flow_node {
    struct conf_mark mark;
    const char *name;
    const struct conf_flow_kind *kind; /* NULL after -EINVAL: none was found */
    void *own;                         /* the configuration of its kind, of that kind's size */
    struct conf_work work;
    int64_t deadline;                 /* CONF_NO_DEADLINE: the route's alone */
    bool optional;                    /* its failure is not the request's: */
    const struct conf_node *fallback; /* `default`: its value then; NULL: null */
};

/* Of a route's priority; the least is as far below 0. */
#define CONF_PRIORITY_MAX 2

struct conf_route {
    struct conf_mark mark;
    struct conf_mark route_mark;
    bool broken;         /* after -EINVAL: a mistake in it makes its flow another one */
    const char *method;  /* "GET", or "*" */
    const char *pattern; /* "/hello/{name}" */
    const char *name;    /* in metrics and logs: "GET /hello/{name}" unless given */
    unsigned index;      /* in config.routes */
    int64_t deadline;    /* timeouts.request */
    uint64_t body;       /* limits.body */
    enum conf_order { CONF_PARALLEL, CONF_SEQUENTIAL } order;
    enum conf_route_retry { CONF_RETRY_IDEMPOTENT, CONF_RETRY_SAFE } retry;
    enum conf_dispatch {
        CONF_DISPATCH_AUTO,
        CONF_DISPATCH_FUSED,
        CONF_DISPATCH_FANOUT,
        CONF_DISPATCH_INLINE
    } dispatch;                       /* auto: how steps that are ready together are run */
    const struct conf_node *priority; /* 0; a number, or a reference: higher is first */
    unsigned max_in_flight; /* requests of this route at once, on each I/O thread; 0: no limit */
    struct conf_flow_node *nodes;
    unsigned node_count;
    const struct conf_node *reply;   /* the template; NULL: the nodes' values */
    const struct conf_node *status;  /* a number; 200 */
    const struct conf_node *headers; /* a map of templates, or NULL */
};

struct config {
    struct conf_mark mark; /* of the file as a whole: line 0 */
    bool partial; /* after -EINVAL: a file or section could not be read, so what is missing may be
                     there */
    struct conf_listen *listen;
    unsigned listen_count;
    const char *admin; /* address; NULL: `admin: off`. "127.0.0.1:9900" */
    struct conf_mark admin_mark;
    const char *const *admin_hosts; /* names that its Host may have; NULL ends them. localhost */
    unsigned threads;               /* 0: auto */
    bool date;                      /* true: the Date field */
    const char *server;             /* the Server field; "" for none. "weir" */
    struct conf_limits limits;
    struct conf_timeouts timeouts;
    struct conf_log log;
    struct conf_client client;
    bool server_timing; /* true: the Server-Timing field */
    enum conf_errors_shown {
        CONF_ERRORS_SHORT,
        CONF_ERRORS_FULL
    } errors;                /* short: problems' details name nothing inside */
    struct conf_pool *pools; /* those that are given; and "default" (threads), if it is not but a
                                 node uses it */
    unsigned pool_count;
    struct conf_step *steps;
    unsigned step_count;
    struct conf_upstream *upstreams;
    unsigned upstream_count;
    struct conf_route *routes;
    unsigned route_count;
};

/* ---- Loading ---- */

struct conf; /* owns a config, its tree and all text in them */

/* Where text comes from: injected, so that loading is pure. Both give memory by mem_alloc, which
 * becomes the caller's: 0, -ENOENT, -ESPIPE of what is no file but a pipe or a device, or another
 * negative errno. `max` bounds what is read. */
struct conf_source {
    int (*file)(void *ctx, const char *path, size_t max, char **text, size_t *len);
    const char *(*env)(void *ctx, const char *name); /* NULL: not set */
    void *ctx;
    /* The absolute path of the folder where relative paths begin; NULL: plugins' stay relative. */
    int (*folder)(void *ctx, char **path);
};

/* Reads `path` and what it includes, with nodes of these kinds. 0 and a configuration; -EINVAL and
 * `errors` says why (all that is wrong, not the first alone); -ENOMEM. `errors` is made by
 * conf_errors_new and may gain entries of those who check further. After -EINVAL, `out` is what was
 * understood, to be checked further and freed; or NULL. */
int conf_load(struct conf **out, const char *path, const struct conf_source *source,
    const struct conf_flow_kinds *kinds, struct conf_errors *errors)
    __attribute__((warn_unused_result));
/* From a text whose `${...}` are not special: what conf_write gave. Likewise. */
int conf_parse(struct conf **out, struct span text, const struct conf_flow_kinds *kinds,
    struct conf_errors *errors) __attribute__((warn_unused_result));
void conf_free(struct conf *c);
const struct config *conf_config(const struct conf *c);

struct conf_errors *conf_errors_new(void);
void conf_errors_free(struct conf_errors *errors);
/* One a line, by file, line and column. */
int conf_errors_write(const struct conf_errors *errors, struct bytes *out)
    __attribute__((warn_unused_result));

/* The whole configuration as JSON, which is YAML too: for handing it to another process
 * (conf_parse). Secrets are in it, as {"${}": text}, so that the other process does not show them
 * either. Defaults are left out. */
int conf_write(const struct conf *c, struct bytes *out) __attribute__((warn_unused_result));
/* As YAML for people, every default filled in, secrets as "***". */
int conf_print(const struct conf *c, struct bytes *out) __attribute__((warn_unused_result));
/* As JSON, secrets as "***": for /config. */
int conf_print_json(const struct conf *c, struct bytes *out) __attribute__((warn_unused_result));
/* The JSON Schema (draft 2020-12) of a configuration file. */
int conf_schema_write(const struct conf_flow_kinds *kinds, struct bytes *out)
    __attribute__((warn_unused_result));
/* doc/guide/configuration.md: every key with type, unit, default, description, example. */
int conf_reference_write(const struct conf_flow_kinds *kinds, struct bytes *out)
    __attribute__((warn_unused_result));

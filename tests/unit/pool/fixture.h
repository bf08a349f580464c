/*
 * fixture.h: a configuration of pools, made by hand, and a client that runs them, for tests within
 * a coroutine of whatever world.
 */
#pragma once

#include "../../one_call.h"

#include "base/bug.h"
#include "coro/group.h"
#include "coro/sync.h"
#include "pool/pool.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SCENE_NODES_MAX 8

#define require(condition) check(condition, "this does not hold: %s", #condition)

struct scene {
    struct conf_pool conf;
    struct conf_flow_node nodes[SCENE_NODES_MAX];
    unsigned node_count;
    struct conf_step *steps;
    unsigned step_count;
    struct conf_route route;
    enum conf_dispatch dispatch;
    struct config config;
    unsigned clients; /* 0: one */
    struct meter *meter;
    struct log *log;
    const char *const *worker_argv;
    bool unsafe;
    struct pools *pools;
    struct pool *pool;
    struct pool_client *client;
    int ended; /* what pool_client_run returned */
};

static inline void scene_init(struct scene *s, enum conf_pool_kind kind, unsigned size)
{
    *s = (struct scene){0};
    s->conf = (struct conf_pool){.name = "p",
        .kind = kind,
        .size = size,
        .queue = 1024,
        .start = 30 * NS_PER_S,
        .value = 1 << 20};
}

static inline void scene_add(struct scene *s, const char *step)
{
    require(s->node_count < SCENE_NODES_MAX);
    s->nodes[s->node_count++] =
        (struct conf_flow_node){.name = step, .work = {.step = step, .pool = s->conf.name}};
}

/* The world may be NULL: then there is no client. */
static inline int scene_make(struct scene *s, struct world *world, struct error *e)
{
    s->route = (struct conf_route){
        .nodes = s->nodes, .node_count = s->node_count, .dispatch = s->dispatch};
    s->config = (struct config){.pools = &s->conf,
        .pool_count = 1,
        .steps = s->steps,
        .step_count = s->step_count,
        .routes = &s->route,
        .route_count = 1};
    struct pools_options options = {.config = &s->config,
        .clients = s->clients ? s->clients : 1,
        .cores = 2,
        .meter = s->meter,
        .log = s->log,
        .worker_argv = s->worker_argv,
        .unsafe = s->unsafe};
    int rc = pools_new(&s->pools, &options, e);
    if (rc)
        return rc;
    s->pool = pools_find(s->pools, "p");
    if (world)
        rc = pool_client_new(&s->client, s->pools, 0, world);
    return rc;
}

static inline int scene_client(void *arg)
{
    struct scene *s = arg;
    s->ended = pool_client_run(s->client);
    return 0;
}

/* Waits until it is ready: 0, or why not. */
static inline int scene_begin(struct scene *s, struct group *group, struct error *e)
{
    int rc = group_spawn(group, "desk", scene_client, s);
    return rc ? rc : pool_client_ready(s->client, e);
}

static inline void scene_end(struct scene *s, struct group *group)
{
    pool_client_leave(s->client);
    require(group_wait(group) == 0);
    require(s->ended == 0);
    pool_client_free(s->client);
    pools_free(s->pools);
}

/* Runs `test` with one pool of the kind, which has the steps echo, burn and allocate. */
static inline void with_pool(struct world *world, enum conf_pool_kind kind, unsigned size,
    void (*change)(struct scene *s), void (*test)(struct scene *s))
{
    struct scene s;
    struct error e = {0};
    scene_init(&s, kind, size);
    scene_add(&s, "echo");
    scene_add(&s, "burn");
    scene_add(&s, "allocate");
    if (change)
        change(&s);
    check(scene_make(&s, world, &e) == 0, "%s", e.sentence);
    GROUP(client, GROUP_INDEPENDENT);
    check(scene_begin(&s, &client, &e) == 0, "%s", e.sentence);
    test(&s);
    scene_end(&s, &client);
}

static inline struct pool_call call_of(struct scene *s, const char *step, const char *input)
{
    int at = pool_step(s->pool, step);
    require(at >= 0);
    return POOL_CALL(.step = (unsigned)at, .input = span_of(input));
}

/* A call that is to be done, with that output. */
static inline void gives(struct scene *s, const char *step, const char *input, const char *output)
{
    struct pool_call c = call_of(s, step, input);
    int rc = pool_call(s->client, s->pool, &c);
    check(rc == 0, "%s", c.error.sentence);
    check(span_equal(c.output, span_of(output)), "%.*s", SPAN_ARG(c.output));
    pool_call_release(&c);
}

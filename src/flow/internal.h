/*
 * internal.h: a compiled flow, one run of it, and what a kind of node is. For flow/ only.
 */
#pragma once

#include "flow/content.h"
#include "flow/flow.h"
#include "flow/local.h"

#include "conf/schema.h"
#include "coro/group.h"

#include <stdatomic.h>
#include <stddef.h>

/* ---- Compiled ---- */

struct flow_node {
    const struct conf_flow_node *conf;
    const struct node_kind *kind;
    unsigned index;
    bool *needs; /* a flag a node: its value must be there first */
    unsigned need_count;
    unsigned *needed_by;
    unsigned needed_by_count;
    bool entered;             /* someone looks into the value */
    struct template fallback; /* of optional ones; first is NULL: null */
    unsigned together;        /* the first of those that run as a group with it; itself */
    void *own;                /* what its kind compiled, of the kind's size */
};

struct flow {
    struct arena arena; /* has all that was compiled */
    const struct conf_route *route;
    unsigned node_count;
    struct flow_node *nodes;
    bool uses_body;
    bool body_entered;
    int status; /* 0: `status_template` */
    struct template status_template;
    int priority; /* where `priority_template` has none */
    struct template priority_template;
    struct content reply;
    /* The same for each request: */
    bool is_static;
    const struct http_field *fields;
    unsigned field_count;
    struct span body;
};

struct node_state;

struct compiler {
    struct flow *flow;
    const struct flow_links *links;
    struct conf_errors *errors;
    struct template_site site;
    struct flow_node *self; /* whose templates are compiled now; NULL: the reply's */
    int rc;                 /* 0, -EINVAL, -ENOMEM: the worst so far */
};

/* Keeps the worst. */
void compiler_note(struct compiler *c, int rc);
void compiler_error(struct compiler *c, const struct conf_mark *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- Running ---- */

struct run;

/* A kind of node: one of these in a file of its own, and a line in node_kinds.c. */
struct node_kind {
    struct conf_flow_kind conf; /* its keys */
    size_t size;                /* of what `compile` fills in: flow_node.own, zeroed */
    bool waits;                 /* for others: its time is none of this server's */
    void (*compile)(struct compiler *c, struct flow_node *n);
    /* Whether what the path has behind the node's name can exist: 0, or -EINVAL with a sentence.
     * NULL: anything can. */
    int (*check_reference)(
        const struct conf_flow_node *n, const struct reference_path *p, struct error *e);
    /* Some template refers to the value; also before `compile`. NULL: it makes no difference. */
    void (*note_reference)(struct flow_node *n, const struct reference *r);
    /* Makes the value, which owns its documents also after a failure. 0, or a negative errno and
     * in `*why`, if there is more to say than 'cancelled' and 'too late', an error that lives as
     * long as the run. */
    int (*run)(
        struct run *run, const struct flow_node *n, struct value *out, const struct error **why);
    /* In place of `run`: runs those of a set that are ready together (compile.c finds them), and
     * ends them: 0, or the first's failure. */
    int (*run_group)(struct run *run, struct node_state *set);
};

_Static_assert(offsetof(struct node_kind, conf) == 0, "conf/ knows a kind by its first member");

static inline const struct node_kind *node_kind_of(const struct conf_flow_node *n)
{
    return (const struct node_kind *)(const void *)n->kind;
}

extern const struct node_kind node_http;
extern const struct node_kind node_sleep;
extern const struct node_kind node_step;
extern const struct node_kind node_reply;

struct node_state {
    struct run *run;
    struct node_state *next; /* in a list of those that can begin */
    unsigned waiting;        /* for so many values more */
    int status;              /* of its failure, where the errno does not say it; else 0 */
    int64_t retry_after;     /* of its failure, if that is want of room; else 0 */
};

/* A call whose output some value may borrow. */
struct kept_call {
    struct kept_call *next;
    struct pool_call call;
};

/* One request's. In its arena. */
struct run {
    const struct flow *flow;
    const struct flow_context *context;
    struct http_request *request;
    struct flow_data data;
    struct node_state *nodes;
    const struct error *failure;    /* the first; NULL: none */
    const struct flow_node *blamed; /* whose it is; NULL: no node's alone */
    int refusal;                    /* a status that no errno stands for; 0: the failure's */
    const struct http_field *refusal_field; /* goes with the problem; NULL: none */
    int64_t retry_after;                    /* of the failure, if that is want of room */
    int priority;                           /* of its tasks, in pools' queues */
    int64_t allowed_ns;                     /* until its deadline: the route's, or the client's */
    bool client_deadline;                   /* it is the client's */
    int64_t route_deadline;
    struct kept_call *calls;       /* released at the end */
    char client[ADDRESS_TEXT_MAX]; /* its address */
};

/* A copy that lives as long as the run; never NULL. */
const struct error *run_keep(struct run *run, const struct error *e);
/* Renders JSON into the arena and, if `parse`, parses it. */
int run_make_json(struct run *run, const struct template *t, bool parse, struct value *out,
    const struct error **why) __attribute__((warn_unused_result));
/* By its own `deadline`; DEADLINE_NEVER: it has none. */
static inline int64_t own_deadline(const struct flow_node *n, int64_t now)
{
    return deadline_after(now, n->conf->deadline);
}
/* When the running coroutine's node has had its time; an optional one, before the request has. */
int64_t run_node_deadline(const struct flow_node *n, int64_t now);
/* Ends a node: 0 if its value is there, be it the default. Otherwise the run has failed: with a
 * reason, unless it was cancelled. */
int run_settle(struct run *run, const struct flow_node *n, int rc, const struct error *why)
    __attribute__((warn_unused_result));
/* Why the request was late: `whole`: by its own deadline; then `n` may be NULL. */
const struct error *run_too_late(struct run *run, const struct flow_node *n, bool whole);
/* The run has failed, and its answer has this status. Returns `code`. */
int run_refuse(struct run *run, int status, int code, const char *type, const char *sentence);
/* 0; or a negative errno, and the run has failed. */
int run_read_body(struct run *run) __attribute__((warn_unused_result));
/* A problem by `failure`, which is set: as much of it as its client may know. */
void run_answer_failure(struct run *run);
/* Tells who observes, and adds up the time that was waited. */
void run_account(struct run *run, const struct flow_node *n, int64_t ns, int rc);

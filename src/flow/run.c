/*
 * run.c: one request: nodes as soon as what they need is there, then the reply.
 *
 * While only one node can run, it runs on the request's own coroutine: a request that waits for
 * one thing costs no second stack. Where several can, each gets a child in a group; the child goes
 * on with what its node was the last to be needed for. So groups stand in each other, a failure
 * cancels all the rest on its way up, and nobody runs that nobody waits for. Steps that are given
 * to their pool together (compile.c finds them) are one such child, or the request's own coroutine.
 */
#include "flow/internal.h"

#include "wire/deadline.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

/* What an optional node leaves of the request's time, so that there is an answer without it. */
#define REST_PART   10
#define REST_MAX_NS (50 * NS_PER_MS)

static const struct error no_memory = {
    .code = -ENOMEM, .type = "out-of-memory", .sentence = "no memory to answer the request"};

const struct error *run_keep(struct run *run, const struct error *e)
{
    struct error *copy = arena_alloc(run->data.arena, sizeof *copy);
    if (!copy)
        return &no_memory;
    *copy = *e;
    return copy;
}

int run_make_json(struct run *run, const struct template *t, bool parse, struct value *out,
    const struct error **why)
{
    struct bytes text;
    struct error e;
    bytes_init(&text, TEMPLATE_TEXT_MAX);
    int rc = template_render(t, &run->data, &text, &e);
    char *copy = rc ? NULL : arena_copy(run->data.arena, bytes_span(&text));
    struct span json = {.ptr = copy, .len = text.len};
    bytes_release(&text);
    if (rc == 0 && !copy)
        rc = error_set(&e, -ENOMEM, no_memory.type, "%s", no_memory.sentence);
    *out = (struct value){.kind = VALUE_RAW, .text = json};
    if (rc == 0 && parse)
        rc = json_parse(&out->doc, json, JSON_TEXT_MAX, &e);
    if (rc) {
        *out = (struct value){0};
        *why = run_keep(run, &e);
    }
    return rc;
}

/* ---- A node ---- */

static int use_fallback(struct run *run, const struct flow_node *n, const struct error **why)
{
    struct value *out = &run->data.nodes[n->index];
    value_release(out);
    *why = NULL;
    run->nodes[n->index].status = 0;
    run->nodes[n->index].retry_after = 0;
    return n->fallback.first ? run_make_json(run, &n->fallback, n->entered, out, why) : 0;
}

int64_t run_node_deadline(const struct flow_node *n, int64_t now)
{
    int64_t deadline = own_deadline(n, now);
    int64_t whole = n->conf->optional ? coro_deadline() : DEADLINE_NEVER;
    if (whole == DEADLINE_NEVER)
        return deadline;
    int64_t rest = (whole - now) / REST_PART;
    return deadline_sooner(deadline, whole - (rest < REST_MAX_NS ? rest : REST_MAX_NS));
}

static int run_within(
    struct run *run, const struct flow_node *n, struct value *out, const struct error **why)
{
    if (n->conf->deadline == CONF_NO_DEADLINE && !n->conf->optional)
        return n->kind->run(run, n, out, why);
    CORO_DEADLINE(run_node_deadline(n, world_now(run->context->world)));
    return n->kind->run(run, n, out, why);
}

const struct error *run_too_late(struct run *run, const struct flow_node *n, bool whole)
{
    struct error e;
    long long ms = (whole ? run->allowed_ns : n->conf->deadline) / NS_PER_MS;
    if (!whole)
        error_set(&e, -ETIMEDOUT, "deadline",
            "node '%s' had no value within its deadline of %lld ms", n->conf->name, ms);
    else
        error_set(&e, -ETIMEDOUT, "deadline",
            "the request was not answered within the %s deadline of %lld ms%s%s%s",
            run->client_deadline ? "caller's" : "route's", ms, n ? "; it waited for node '" : "",
            n ? n->conf->name : "", n ? "'" : "");
    return run_keep(run, &e);
}

/* Why the node failed, for who asked; NULL: nobody asks any more. */
static const struct error *reason(
    struct run *run, const struct flow_node *n, int rc, const struct error *why)
{
    if (rc == -ECANCELED)
        return NULL;
    if (why)
        return why;
    if (rc == -ETIMEDOUT)
        return run_too_late(run, n, n->conf->deadline == CONF_NO_DEADLINE);
    return &no_memory;
}

void run_account(struct run *run, const struct flow_node *n, int64_t ns, int rc)
{
    const struct flow_context *c = run->context;
    if (n->kind->waits)
        run->request->timing.wait += ns;
    if (c->observe)
        c->observe(c->observe_ctx, run->flow->route->name, n->conf->name, ns, rc);
}

static void keep_failure(
    struct run *run, const struct flow_node *n, int rc, const struct error *why)
{
    const struct node_state *s = &run->nodes[n->index];
    run->failure = reason(run, n, rc, why);
    run->blamed = why ? n : NULL;
    run->refusal = why ? s->status : 0;
    run->retry_after = why ? s->retry_after : 0;
}

int run_settle(struct run *run, const struct flow_node *n, int rc, const struct error *why)
{
    if (rc == 0)
        return 0;
    if (coro_cancelled(coro_self()))
        return -ECANCELED;
    if (coro_poll()) { /* the route's own deadline: no default helps */
        if (!run->failure)
            run->failure = run_too_late(run, n, true);
        return -ETIMEDOUT;
    }
    if (n->conf->optional)
        rc = use_fallback(run, n, &why);
    if (rc && !run->failure)
        keep_failure(run, n, rc, why);
    return rc;
}

static int run_node(struct run *run, const struct flow_node *n)
{
    const struct error *why = NULL;
    struct world *w = run->context->world;
    bool timed = n->kind->waits || run->context->observe;
    int64_t began = timed ? world_now(w) : 0;
    int rc = run_within(run, n, &run->data.nodes[n->index], &why);
    if (timed)
        run_account(run, n, world_now(w) - began, rc);
    return run_settle(run, n, rc, why);
}

/* ---- Order ---- */

static const struct flow_node *node_of(const struct node_state *s)
{
    return &s->run->flow->nodes[s - s->run->nodes];
}

/* Adds those that this one was the last to be waited for, at the list's end, and returns that. */
static struct node_state **add_ready(
    struct run *run, const struct flow_node *n, struct node_state **last)
{
    for (unsigned i = 0; i < n->needed_by_count; i++) {
        struct node_state *s = &run->nodes[n->needed_by[i]];
        if (--s->waiting > 0)
            continue;
        s->next = NULL;
        *last = s;
        last = &s->next;
    }
    return last;
}

static struct node_state *now_ready(struct run *run, struct node_state *set)
{
    struct node_state *first = NULL;
    struct node_state **last = &first;
    for (struct node_state *s = set; s; s = set) {
        set = s->next;
        last = add_ready(run, node_of(s), last);
    }
    return first;
}

/* Takes out the first that can begin, and with it those of its group. */
static struct node_state *take_set(struct node_state **ready)
{
    struct node_state *first = *ready;
    struct node_state **end = &first->next;
    const struct flow_node *n = node_of(first);
    *ready = first->next;
    first->next = NULL;
    while (n->kind->run_group && *ready) {
        struct node_state *s = *ready;
        const struct flow_node *other = node_of(s);
        if (other->together == n->together) {
            *ready = s->next;
            s->next = NULL;
            *end = s;
            end = &s->next;
        } else {
            ready = &s->next;
        }
    }
    return first;
}

static int run_set(struct run *run, struct node_state *set)
{
    const struct flow_node *n = node_of(set);
    return n->kind->run_group ? n->kind->run_group(run, set) : run_node(run, n);
}

static int run_ready(struct run *run, struct node_state *ready);

static int run_child(void *arg)
{
    struct node_state *s = arg;
    return run_ready(s->run, s);
}

static __attribute__((noinline)) int run_together(
    struct run *run, struct node_state *set, struct node_state *ready)
{
    GROUP(together, GROUP_FAIL_FAST);
    int rc = group_spawn(&together, node_of(set)->conf->name, run_child, set);
    while (rc == 0 && ready) {
        set = take_set(&ready);
        rc = group_spawn(&together, node_of(set)->conf->name, run_child, set);
    }
    return rc ? rc : group_wait(&together);
}

static int run_ready(struct run *run, struct node_state *ready)
{
    while (ready) {
        struct node_state *set = take_set(&ready);
        int rc = ready ? run_together(run, set, ready) : run_set(run, set);
        if (rc || ready)
            return rc;
        ready = now_ready(run, set);
    }
    return 0;
}

static int run_nodes(struct run *run)
{
    const struct flow *f = run->flow;
    struct node_state *first = NULL;
    struct node_state **last = &first;
    for (unsigned i = 0; i < f->node_count; i++) {
        struct node_state *s = &run->nodes[i];
        *s = (struct node_state){.run = run, .waiting = f->nodes[i].need_count};
        if (s->waiting == 0) {
            *last = s;
            last = &s->next;
        }
    }
    return run_ready(run, first);
}

int run_refuse(struct run *run, int status, int code, const char *type, const char *sentence)
{
    struct error e;
    run->refusal = status;
    error_set(&e, code, type, "%s", sentence);
    run->failure = run_keep(run, &e);
    return code;
}

/* ---- The reply ---- */

static int find_status(struct run *run, int *status, struct error *e)
{
    struct value v;
    int64_t number;
    *status = run->flow->status;
    if (*status)
        return 0;
    const struct reference *r = template_whole(&run->flow->status_template);
    int rc = value_of(&v, r, &run->data, e);
    if (rc)
        return rc;
    if (value_integer(&v, &number) && number >= 200 && number <= 599) {
        *status = (int)number;
        return 0;
    }
    return error_set(e, r->root == REFERENCE_NODE ? -EPROTO : -EINVAL, "invalid-status",
        "the reply's status is to be %.*s, and that is none from 200 to 599", SPAN_ARG(r->text));
}

/* What is left to fail is a field that the server refuses: any other failure is the connection's,
 * and nobody is there to hear of it. */
static int send_reply(
    struct run *run, int status, const struct content_parts *parts, struct error *e)
{
    int rc = http_reply(run->request, status, parts->fields, parts->field_count, parts->body);
    if (rc != -EINVAL)
        return 0;
    run->refusal = 500;
    return error_set(e, rc, "invalid-header", "the reply has a header field that cannot be sent");
}

static __attribute__((noinline)) int answer(struct run *run)
{
    struct content_parts parts = {0};
    struct error e;
    int status;
    int rc = find_status(run, &status, &e);
    if (rc == 0)
        rc = content_render(&run->flow->reply, 0, &run->data, &parts, &e);
    if (rc == 0)
        rc = send_reply(run, status, &parts, &e);
    if (rc)
        run->failure = run_keep(run, &e);
    content_parts_release(&parts);
    return rc;
}

/* ---- The whole ---- */

static __attribute__((noinline)) int priority_of(const struct run *run)
{
    const struct template *t = &run->flow->priority_template;
    struct value v;
    struct error e;
    int64_t number;
    if (!t->first)
        return run->flow->priority;
    if (value_of(&v, template_whole(t), &run->data, &e) != 0 || !value_integer(&v, &number))
        return 0;
    /* The pool takes one beyond its bounds as those. */
    return number > INT_MAX ? INT_MAX : number < -INT_MAX ? -INT_MAX : (int)number;
}

/* Without the port; of a Unix socket's there is none. An IPv4 client of an IPv6 socket is what it
 * is. */
static struct span address_of(const struct address *peer, char text[ADDRESS_TEXT_MAX])
{
    static const struct span mapped = {"::ffff:", 7};
    if (!peer || address_port(peer) < 0)
        return (struct span){NULL, 0};
    struct span s = span_of(address_print(peer, text));
    const char *colon = memrchr(s.ptr, ':', s.len);
    s.len = colon ? (size_t)(colon - s.ptr) : s.len;
    if (s.len > 1 && s.ptr[0] == '[')
        s = (struct span){s.ptr + 1, s.len - 2};
    if (s.len > mapped.len && memcmp(s.ptr, mapped.ptr, mapped.len) == 0 &&
        memchr(s.ptr, '.', s.len))
        s = (struct span){s.ptr + mapped.len, s.len - mapped.len};
    return s;
}

static struct run *new_run(const struct flow *f, const struct flow_context *context,
    struct http_request *r, const struct flow_param *params, unsigned param_count)
{
    struct run *run = arena_zalloc(
        r->arena, sizeof *run + f->node_count * (sizeof *run->nodes + sizeof *run->data.nodes));
    if (!run)
        return NULL;
    run->flow = f;
    run->context = context;
    run->request = r;
    run->data = (struct flow_data){
        .head = r->head,
        .params = params,
        .param_count = param_count,
        .id = span_of(r->id),
        .client = address_of(r->peer, run->client),
        .arena = r->arena,
        .nodes = (struct value *)(void *)(run + 1),
    };
    run->nodes = (struct node_state *)(void *)(run->data.nodes + f->node_count);
    run->priority = priority_of(run);
    return run;
}

/* ---- max_in_flight ---- */

static int take_slot(struct run *run, struct route_local *l)
{
    struct world *w = run->context->world;
    unsigned limit = run->flow->route->max_in_flight;
    int64_t now = world_now(w);
    int64_t retry_after;
    int rc = concurrency_limit_enter(&l->slots, limit, ROUTE_WAITING_MAX, now, &retry_after);
    run->request->timing.queue += world_now(w) - now;
    route_local_show(l);
    if (rc != -ENOBUFS)
        return rc;
    if (l->refused)
        counter_add(l->refused, 1);
    run->retry_after = retry_after > 0 ? retry_after : 1;
    char sentence[ERROR_SENTENCE_MAX];
    snprintf(sentence, sizeof sentence,
        "too many requests of route '%s' wait for their turn to be answered in time",
        run->flow->route->name);
    return run_refuse(run, 503, rc, "overloaded", sentence);
}

static int run_in_slot(struct run *run)
{
    struct flow_locals *locals = run->context->locals;
    struct route_local *l = locals ? locals->by_route[run->flow->route->index] : NULL;
    if (!l)
        return run_nodes(run);
    int rc = take_slot(run, l);
    if (rc)
        return rc;
    int64_t began = world_now(run->context->world);
    rc = run_nodes(run);
    concurrency_limit_leave(
        &l->slots, run->flow->route->max_in_flight, world_now(run->context->world) - began);
    route_local_show(l);
    return rc;
}

/* The time that it waits for a slot counts as the flow's, not as input or output. */
static int run_timed(struct run *run)
{
    struct world *w = run->context->world;
    int64_t began = world_now(w);
    int rc = http_request_waits(run->request) ? -ECANCELED : run_in_slot(run);
    run->request->timing.flow = world_now(w) - began;
    return rc;
}

/* The route's deadline, or the one of the client's Weir-Deadline field if that is sooner. */
static int find_deadline(struct run *run)
{
    const struct http1_head *head = run->data.head;
    unsigned found = 0;
    int64_t given = DEADLINE_NEVER;
    bool wrong = false;
    run->allowed_ns = run->flow->route->deadline;
    for (unsigned i = 0; i < head->field_count; i++) {
        if (!http_name_equal(head->fields[i].name, "weir-deadline"))
            continue;
        wrong |= ++found > 1 || deadline_read(head->fields[i].value, &given) != 0;
    }
    if (wrong)
        return run_refuse(run, 400, -EINVAL, "invalid-deadline",
            "the field Weir-Deadline is to be given once, in whole milliseconds");
    if (given <= 0) /* its mistake, or that of a network: not this server's */
        return run_refuse(run, 408, -ETIMEDOUT, "deadline",
            "the field Weir-Deadline says that the caller's time is over already");
    run->client_deadline = given < run->allowed_ns;
    if (run->client_deadline)
        run->allowed_ns = given;
    return 0;
}

/* Body and nodes, by the request's deadline, within which the reply need not be written. */
static int gather(struct run *run)
{
    const struct flow *f = run->flow;
    if (!f->uses_body && f->node_count == 0)
        return 0;
    int rc = find_deadline(run);
    if (rc)
        return rc;
    int64_t now = world_now(run->context->world);
    run->route_deadline = deadline_after(now, f->route->deadline);
    CORO_DEADLINE(deadline_after(now, run->allowed_ns));
    rc = f->uses_body ? run_read_body(run) : 0;
    if (rc == 0 && f->node_count > 0)
        rc = run_timed(run);
    if (rc == -ETIMEDOUT && !run->failure)
        run->failure = run_too_late(run, NULL, true);
    return rc;
}

static void release_run(struct run *run)
{
    value_release(&run->data.body);
    for (unsigned i = 0; i < run->flow->node_count; i++)
        value_release(&run->data.nodes[i]);
    for (struct kept_call *k = run->calls; k; k = k->next)
        pool_call_release(&k->call);
}

static __attribute__((noinline)) void run_whole(const struct flow *f,
    const struct flow_context *context, struct http_request *r, const struct flow_param *params,
    unsigned param_count)
{
    struct run *run = new_run(f, context, r, params, param_count);
    if (!run) {
        int rc = http_reply_problem(r, 0, &no_memory, NULL, 0);
        (void)rc; /* nobody is there to hear of it */
        return;
    }
    int rc = gather(run);
    if (rc == 0)
        rc = answer(run);
    if (rc && rc != -ECANCELED && !coro_cancelled(coro_self())) {
        if (!run->failure)
            run->failure = &no_memory;
        run_answer_failure(run);
    }
    release_run(run);
}

void flow_run(const struct flow *f, const struct flow_context *context, struct http_request *r,
    const struct flow_param *params, unsigned param_count)
{
    r->body_max = f->route->body;
    if (!f->is_static) {
        run_whole(f, context, r, params, param_count);
        return;
    }
    int rc = http_reply(r, f->status, f->fields, f->field_count, f->body);
    (void)rc; /* nobody is there to hear of it: the fields were checked when they were compiled */
}

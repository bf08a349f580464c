/*
 * compile.c: from a route's configuration to a flow: templates to pieces, references to who needs
 * whom.
 */
#include "flow/internal.h"

#include "base/mem.h"
#include "http/router.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define FLOW_MEMORY_MAX (64 * 1024 * 1024)
#define NODES_MAX       256

static const char *const reserved_in_reply[] = {
    "connection", "content-length", "date", "server", "transfer-encoding", "x-request-id", NULL};

void compiler_note(struct compiler *c, int rc)
{
    if (c->rc != -ENOMEM && rc)
        c->rc = rc;
}

void compiler_error(struct compiler *c, const struct conf_mark *at, const char *format, ...)
{
    char sentence[512];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    conf_error(c->errors, at, "%s", sentence);
    compiler_note(c, -EINVAL);
}

/* ---- What is referred to ---- */

static int note_reference(void *ctx, const struct reference *r, const struct conf_mark *at)
{
    struct compiler *c = ctx;
    if (r->root == REFERENCE_BODY) {
        c->flow->uses_body = true;
        c->flow->body_entered |= r->step_count > 0;
    }
    if (r->root != REFERENCE_NODE)
        return 0;
    struct flow_node *n = &c->flow->nodes[r->index];
    n->entered |= r->step_count > 0;
    if (n->kind->note_reference)
        n->kind->note_reference(n, r);
    if (!c->self)
        return 0;
    if (c->flow->route->order == CONF_SEQUENTIAL && r->index >= c->self->index) {
        compiler_error(c, at,
            "%.*s: in sequential order node '%s' runs before '%s', and cannot know its value",
            SPAN_ARG(r->text), c->self->conf->name, n->conf->name);
        return 0;
    }
    c->self->needs[r->index] = true;
    return 0;
}

/* ---- Order ---- */

static void chain_nodes(struct flow *f)
{
    for (unsigned i = 1; i < f->node_count; i++)
        f->nodes[i].needs[i - 1] = true;
}

static int link_nodes(struct flow *f)
{
    for (unsigned i = 0; i < f->node_count; i++) {
        struct flow_node *n = &f->nodes[i];
        unsigned *list = arena_alloc(&f->arena, f->node_count * sizeof *list);
        if (!list)
            return -ENOMEM;
        n->needed_by = list;
        for (unsigned other = 0; other < f->node_count; other++) {
            n->need_count += n->needs[other];
            if (f->nodes[other].needs[i])
                list[n->needed_by_count++] = other;
        }
    }
    return 0;
}

/* Who waits for the one waits for the other: neither is held up when both end together. */
static bool same_dependents(const struct flow_node *a, const struct flow_node *b)
{
    return a->needed_by_count == b->needed_by_count &&
           memcmp(a->needed_by, b->needed_by, a->needed_by_count * sizeof *a->needed_by) == 0;
}

static bool run_together(const struct flow *f, const struct flow_node *a, const struct flow_node *b)
{
    enum conf_dispatch how = f->route->dispatch;
    bool all = how == CONF_DISPATCH_FUSED || how == CONF_DISPATCH_INLINE;
    return a->kind == b->kind && a->kind->run_group && a->conf->work.pool && b->conf->work.pool &&
           strcmp(a->conf->work.pool, b->conf->work.pool) == 0 && (all || same_dependents(a, b));
}

/* Nodes with work for one pool that are ready at once are given to it as a group where that holds
 * up nobody, or where it was asked for. */
static void find_groups(struct flow *f)
{
    for (unsigned i = 0; i < f->node_count; i++) {
        struct flow_node *n = &f->nodes[i];
        n->together = i;
        for (unsigned k = 0; k < i && n->together == i; k++)
            if (run_together(f, &f->nodes[k], n))
                n->together = f->nodes[k].together;
    }
}

struct cycle {
    const struct flow *flow;
    unsigned path[NODES_MAX];
    unsigned length;
    uint8_t seen[NODES_MAX]; /* 1: on the path; 2: led to no cycle */
};

/* Where the path from `at` comes back to itself, the path ends in the cycle. Recursion is
 * bounded by NODES_MAX. */
static bool find_cycle(struct cycle *cycle, unsigned at)
{
    if (cycle->seen[at] == 2)
        return false;
    if (cycle->seen[at] == 1) {
        unsigned from = 0;
        while (cycle->path[from] != at)
            from++;
        cycle->length -= from;
        memmove(cycle->path, cycle->path + from, cycle->length * sizeof *cycle->path);
        return true;
    }
    cycle->seen[at] = 1;
    cycle->path[cycle->length++] = at;
    for (unsigned i = 0; i < cycle->flow->node_count; i++)
        if (cycle->flow->nodes[at].needs[i] && find_cycle(cycle, i))
            return true;
    cycle->length--;
    cycle->seen[at] = 2;
    return false;
}

static void report_cycle(struct compiler *c, const struct cycle *cycle)
{
    const struct flow_node *nodes = c->flow->nodes;
    const struct conf_flow_node *first = nodes[cycle->path[0]].conf;
    if (cycle->length == 1) {
        compiler_error(c, &first->mark, "node '%s' needs its own value", first->name);
        return;
    }
    char names[400];
    size_t at = 0;
    for (unsigned i = 0; i < cycle->length && at < sizeof names; i++)
        at += (size_t)snprintf(
            names + at, sizeof names - at, "%s → ", nodes[cycle->path[i]].conf->name);
    compiler_error(c, &first->mark, "nodes %s%s need each other", names, first->name);
}

static int check_order(struct compiler *c)
{
    struct cycle *cycle = mem_zalloc(sizeof *cycle);
    if (!cycle)
        return -ENOMEM;
    cycle->flow = c->flow;
    bool found = false;
    for (unsigned i = 0; !found && i < c->flow->node_count; i++)
        found = find_cycle(cycle, i);
    if (found)
        report_cycle(c, cycle);
    mem_free(cycle);
    return 0;
}

/* ---- The reply and the priority ---- */

/* A number goes to `*number`, a reference to one into `t`; `what` it is, for the error. */
static int compile_number(struct compiler *c, const struct conf_node *node, int least, int most,
    int *number, struct template *t, const char *what)
{
    int64_t found;
    bool scalar = node->kind == CONF_SCALAR;
    if (scalar && conf_scalar(node, NULL, &found, NULL) == CONF_IS_INTEGER && found >= least &&
        found <= most) {
        *number = (int)found;
        return 0;
    }
    if (scalar && node->text.len > 0 && memchr(node->text.ptr, '$', node->text.len)) {
        int rc = template_compile(t, node, TEMPLATE_JSON, &c->site);
        if (rc || template_whole(t))
            return rc;
    }
    compiler_error(
        c, &node->mark, "%s is a number from %d to %d, or a reference to one", what, least, most);
    return 0;
}

static int compile_status(struct compiler *c, const struct conf_node *node)
{
    c->flow->status = 0;
    return compile_number(
        c, node, 200, 599, &c->flow->status, &c->flow->status_template, "a status");
}

/* Neither nodes, nor a reply, status or headers: most likely something was forgotten. A status that
 * was not given stands where the route does. */
static bool is_silent(const struct conf_route *r)
{
    const struct conf_node *s = r->status;
    bool given = s && (s->mark.line != r->mark.line || s->mark.column != r->mark.column);
    return r->node_count == 0 && !r->reply && !r->headers && !given;
}

static int compile_reply(struct compiler *c)
{
    struct flow *f = c->flow;
    const struct conf_route *route = f->route;
    bool nodes = !route->reply && f->node_count > 0;
    struct template all;
    f->status = 200;
    if (is_silent(route))
        compiler_error(c, &route->mark,
            "the route says nothing: give it 'nodes' or a 'reply'; for an empty one say "
            "'status: 204'");
    if (route->status)
        compiler_note(c, compile_status(c, route->status));
    int rc = nodes ? template_of_nodes(&all, &c->site) : 0;
    if (rc == 0 && nodes)
        rc = content_compile_json(&f->reply, route->headers, &all, reserved_in_reply, &c->site);
    else if (rc == 0)
        rc = content_compile(&f->reply, route->headers, route->reply, reserved_in_reply, &c->site);
    /* For a terminal's sake. */
    return rc || !f->reply.has_body ? rc : template_end_line(&f->reply.json, c->site.arena);
}

static bool is_of_head(const struct reference *r)
{
    return r->root == REFERENCE_PATH || r->root == REFERENCE_QUERY || r->root == REFERENCE_HEADER;
}

/* It is known before anything is read or run. */
static int compile_priority(struct compiler *c)
{
    struct flow *f = c->flow;
    const struct conf_node *node = f->route->priority;
    struct template *t = &f->priority_template;
    int rc = compile_number(
        c, node, -CONF_PRIORITY_MAX, CONF_PRIORITY_MAX, &f->priority, t, "a priority");
    if (rc == 0 && t->first && template_whole(t) && !is_of_head(template_whole(t)))
        compiler_error(c, &node->mark,
            "a priority is known before anything is read or run: it can refer to $path, $query "
            "and $header, and to nothing else");
    return rc;
}

/* What is the same for each request is made now. A text of another type than JSON is sent as it
 * is. */
static void make_static(struct flow *f)
{
    const struct content *m = &f->reply;
    if (f->node_count > 0 || f->status == 0 || f->uses_body || !content_is_literal(m))
        return;
    f->is_static = true;
    f->fields = m->literal;
    f->field_count = m->literal_count;
    if (m->has_body)
        f->body = (m->literal_kind != CONTENT_JSON && m->may_be_text ? &m->text : &m->json)
                      ->first->literal;
}

/* ---- The whole ---- */

static int prepare_nodes(struct compiler *c)
{
    struct flow *f = c->flow;
    const struct conf_route *route = f->route;
    f->node_count = route->node_count;
    f->nodes = arena_zalloc(&f->arena, (f->node_count + 1) * sizeof *f->nodes);
    const char **names = arena_alloc(&f->arena, (f->node_count + 1) * sizeof *names);
    if (!f->nodes || !names)
        return -ENOMEM;
    for (unsigned i = 0; i < f->node_count; i++) {
        struct flow_node *n = &f->nodes[i];
        *n = (struct flow_node){
            .conf = &route->nodes[i], .kind = node_kind_of(&route->nodes[i]), .index = i};
        n->needs = arena_zalloc(&f->arena, f->node_count * sizeof *n->needs);
        n->own = arena_zalloc(&f->arena, n->kind->size);
        if (!n->needs || !n->own)
            return -ENOMEM;
        names[i] = n->conf->name;
    }
    c->site.scope.nodes = route->nodes;
    c->site.scope.node_names = names;
    c->site.scope.node_count = f->node_count;
    return 0;
}

/* A pattern is known to be well-formed here: a brace stands nowhere else. */
static bool takes_rest(struct span pattern)
{
    static const struct span end = {"...}", 4};
    return pattern.len > end.len &&
           memcmp(pattern.ptr + pattern.len - end.len, end.ptr, end.len) == 0;
}

static int prepare_params(struct compiler *c)
{
    struct span names[ROUTER_PARAMS_MAX];
    struct error e;
    int count = router_pattern_params(span_of(c->flow->route->pattern), names, &e);
    if (count == -EINVAL) {
        compiler_error(c, &c->flow->route->route_mark, "%s", e.sentence);
        return 0;
    }
    if (count < 0)
        return count;
    const char **copies = arena_alloc(&c->flow->arena, ((size_t)count + 1) * sizeof *copies);
    if (!copies)
        return -ENOMEM;
    for (int i = 0; i < count; i++) {
        copies[i] = arena_copy(&c->flow->arena, names[i]);
        if (!copies[i])
            return -ENOMEM;
    }
    c->site.scope.params = copies;
    c->site.scope.param_count = (unsigned)count;
    c->site.scope.has_rest = takes_rest(span_of(c->flow->route->pattern));
    return 0;
}

static void compile_nodes(struct compiler *c)
{
    for (unsigned i = 0; i < c->flow->node_count; i++) {
        struct flow_node *n = &c->flow->nodes[i];
        c->self = n;
        n->kind->compile(c, n);
        if (n->conf->fallback)
            compiler_note(
                c, template_compile(&n->fallback, n->conf->fallback, TEMPLATE_JSON, &c->site));
    }
    c->self = NULL;
}

static int compile_all(struct compiler *c)
{
    struct flow *f = c->flow;
    if (f->route->node_count > NODES_MAX) {
        compiler_error(c, &f->route->mark, "a flow has at most %d nodes; this has %u", NODES_MAX,
            f->route->node_count);
        return c->rc;
    }
    int rc = prepare_params(c);
    if (rc == 0)
        rc = prepare_nodes(c);
    if (rc)
        return rc;
    compile_nodes(c);
    compiler_note(c, compile_reply(c));
    compiler_note(c, compile_priority(c));
    if (f->route->order == CONF_SEQUENTIAL)
        chain_nodes(f);
    if (c->rc != -ENOMEM) /* what is wrong besides is no reason to keep a cycle for later */
        compiler_note(c, check_order(c));
    if (c->rc == 0)
        compiler_note(c, link_nodes(f));
    if (c->rc == 0) {
        find_groups(f);
        make_static(f);
    }
    return c->rc;
}

int flow_compile(struct flow **out, const struct conf_route *route, const struct flow_links *links,
    struct conf_errors *errors)
{
    static const struct flow_links none;
    struct flow *f = mem_zalloc(sizeof *f);
    if (!f)
        return -ENOMEM;
    f->route = route;
    arena_init(&f->arena, FLOW_MEMORY_MAX);
    struct compiler c = {.flow = f, .links = links ? links : &none, .errors = errors};
    c.site = (struct template_site){
        .arena = &f->arena, .errors = errors, .refers = note_reference, .ctx = &c};
    int rc = compile_all(&c);
    if (rc) {
        flow_free(f);
        return rc;
    }
    *out = f;
    return 0;
}

void flow_free(struct flow *f)
{
    if (!f)
        return;
    arena_release(&f->arena);
    mem_free(f);
}

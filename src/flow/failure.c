/*
 * failure.c: the problem that a failed request is answered with.
 *
 * A sentence for who runs this weir names nodes, pools, steps and upstreams. Those are nobody
 * else's business: a client is told what it did wrong itself, and of anything else its kind alone.
 * The whole sentence goes to the access log, beside the request's id, which the problem has too.
 */
#include "flow/internal.h"

#include "base/limits.h"
#include "wire/problem.h"

#include <stdio.h>

/* At least one: a client that comes again at once is no help. */
static long long seconds_up(int64_t ns)
{
    return ns / NS_PER_S + (ns % NS_PER_S > 0 || ns < NS_PER_S);
}

/* With whose it is. */
static void whole(const struct run *run, struct error *e)
{
    const struct conf_flow_node *n = run->blamed ? run->blamed->conf : NULL;
    *e = *run->failure;
    if (n && n->work.pool && run->retry_after > 0)
        error_prefix(e, "node '%s' in pool '%s'", n->name, n->work.pool);
    else if (n)
        error_prefix(e, "node '%s'", n->name);
}

/* What is said without names, or NULL: the sentence has none. */
static const char *nameless(const struct run *run, int status)
{
    bool of_step = run->blamed && run->blamed->conf->work.pool;
    if (status == 413 && of_step)
        return "the request is larger than what can be computed with";
    if (status < 500)
        return NULL;
    if (status == 502)
        return "a server behind this one did not answer as it should";
    if (status == 503)
        return "the request cannot be answered now";
    if (status == 504)
        return "the request was not answered in time";
    return "the request could not be answered";
}

/* Keeps the whole sentence for the log. */
static void note(struct run *run, const struct error *e, const struct error *shown)
{
    const char *copy = arena_copy(run->data.arena, span_of(e->sentence));
    if (!copy)
        return;
    run->request->failure = span_of(copy);
    run->request->failure_hidden = strcmp(e->sentence, shown->sentence) != 0;
}

static __attribute__((noinline)) int answer(struct run *run)
{
    struct error full;
    struct error shown = *run->failure;
    int status = run->refusal ? run->refusal : problem_status(shown.code);
    const char *instead = nameless(run, status);
    whole(run, &full);
    if (run->context->full_errors)
        shown = full;
    else if (instead)
        error_set(&shown, shown.code, shown.type, "%s", instead);
    note(run, &full, &shown);
    if (run->retry_after <= 0)
        return http_reply_problem(
            run->request, status, &shown, run->refusal_field, run->refusal_field != NULL);
    char seconds[24];
    int len = snprintf(seconds, sizeof seconds, "%lld", seconds_up(run->retry_after));
    struct http_field retry = {SPAN("Retry-After"), {seconds, (size_t)len}};
    error_set(&shown, shown.code, shown.type, "%s; try again in %s s", shown.sentence, seconds);
    return http_reply_problem(run->request, status, &shown, &retry, 1);
}

void run_answer_failure(struct run *run)
{
    int rc = answer(run);
    (void)rc; /* nobody is there to hear of it */
}

/*
 * retry.c: how many retries there may be, and when.
 *
 * Retries help against servers that fail one by one. When all fail, since there is too much to do,
 * they are more of what did it. So the retries of ten seconds are bounded by a part of the calls of
 * these seconds: enough for a server that dies under load until it is ejected, too few to multiply
 * the load of servers that fail for long.
 */
#include "upstream/internal.h"

#include "base/bug.h"
#include "base/time.h"
#include "wire/field.h"

/* Its cell of the ring, emptied if it is of an earlier round. Two threads may both empty it: a few
 * counts are lost then. */
static struct budget_second *second_at(struct retry_budget *b, int64_t now)
{
    int64_t second = now / NS_PER_S;
    struct budget_second *cell = &b->seconds[second % (BUDGET_SECONDS + 1)];
    if (atomic_load_explicit(&cell->second, memory_order_relaxed) != second) {
        atomic_store_explicit(&cell->second, second, memory_order_relaxed);
        atomic_store_explicit(&cell->calls, 0, memory_order_relaxed);
        atomic_store_explicit(&cell->retries, 0, memory_order_relaxed);
    }
    return cell;
}

void retry_budget_earn(struct upstream *u, int64_t now)
{
    atomic_fetch_add_explicit(&second_at(&u->budget, now)->calls, 1, memory_order_relaxed);
}

static bool has_left(const struct upstream *u, int64_t now)
{
    int64_t oldest = now / NS_PER_S - BUDGET_SECONDS;
    uint64_t calls = 0;
    uint64_t retries = 0;
    for (unsigned i = 0; i <= BUDGET_SECONDS; i++) {
        const struct budget_second *cell = &u->budget.seconds[i];
        if (atomic_load_explicit(&cell->second, memory_order_relaxed) < oldest)
            continue;
        calls += atomic_load_explicit(&cell->calls, memory_order_relaxed);
        retries += atomic_load_explicit(&cell->retries, memory_order_relaxed);
    }
    return retries * 100 < calls * u->conf->retry.budget;
}

bool retry_budget_take(struct upstream *u, int64_t now)
{
    unsigned before = atomic_fetch_add_explicit(&u->budget.in_flight, 1, memory_order_relaxed);
    if (before >= u->conf->retry.budget_min && !has_left(u, now)) {
        retry_budget_end(u);
        return false;
    }
    atomic_fetch_add_explicit(&second_at(&u->budget, now)->retries, 1, memory_order_relaxed);
    return true;
}

void retry_budget_end(struct upstream *u)
{
    unsigned before = atomic_fetch_sub_explicit(&u->budget.in_flight, 1, memory_order_relaxed);
    check(before > 0, "more retries end than began");
}

int64_t retry_pause(const struct conf_retry *conf, unsigned nth, struct rand *rand)
{
    int64_t most = conf->backoff;
    for (unsigned i = 1; i < nth && most < conf->backoff_max; i++)
        most *= 2;
    if (most > conf->backoff_max)
        most = conf->backoff_max;
    return most > 0 ? rand_between(rand, 0, most) : 0;
}

int64_t retry_after_of(const struct http1_head *head)
{
    const struct http_field *field =
        http_field_find(head->fields, head->field_count, "retry-after");
    int64_t seconds = 0;
    if (!field || field->value.len == 0 || field->value.len > 6)
        return 0;
    for (size_t i = 0; i < field->value.len; i++) {
        char c = field->value.ptr[i];
        if (c < '0' || c > '9')
            return 0; /* a date */
        seconds = seconds * 10 + (c - '0');
    }
    return seconds * NS_PER_S;
}

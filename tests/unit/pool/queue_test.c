/*
 * The queue alone: what comes in which order, how many at once, who is woken, and who is refused.
 * What order.c, gather.c and admission.c decide has tests of its own.
 */
#include "../check.h"

#include "base/mem.h"
#include "pool/internal.h"

#include <errno.h>

#define HANDS 4

static struct step_cost costs[3];

/* 0: as if it had never run. */
static void set_cost(unsigned step, int64_t ns)
{
    memset(&costs[step], 0, sizeof(costs[step]));
    if (ns > 0)
        cost_note(&costs[step], 0, ns);
}
static struct queue q;
static struct hand hands[HANDS];
static unsigned woken[HANDS];
static const struct pool_desk *woken_from;
static struct task *got[TAKE_MAX];
static struct task *posted; /* meanwhile, by another thread */

static void wake(struct hand *h, struct pool_desk *from)
{
    woken[h->index]++;
    woken_from = from;
    if (posted)
        posted->done.next = NULL;
}

static int setup(void **state)
{
    for (unsigned i = 0; i < 3; i++)
        set_cost(i, 0);
    for (unsigned i = 0; i < HANDS; i++) {
        hands[i] = (struct hand){.index = i, .wake = wake};
        list_init(&hands[i].idle);
        woken[i] = 0;
    }
    return queue_init(&q, 128, HANDS, costs);
}

static int teardown(void **state)
{
    queue_release(&q);
    return 0;
}

/* With one holder: the queue. */
static struct task *task(uint64_t id, int64_t deadline_s)
{
    struct task *t = mem_zalloc(sizeof(*t));
    assert_non_null(t);
    t->id = id;
    t->deadline = deadline_s == DEADLINE_NEVER ? DEADLINE_NEVER : deadline_s * NS_PER_S;
    atomic_store(&t->holders, 1);
    t->output.base = t->small;
    t->batch = 1;
    return t;
}

static void put(struct task *t)
{
    assert_int_equal(queue_put(&q, t, NULL), 0);
}

/* What comes next, one at a time; 0: nothing. */
static uint64_t next(void)
{
    if (queue_take(&q, &hands[0], got, 1, 0) == 0)
        return 0;
    uint64_t id = got[0]->id;
    task_free(got[0]);
    return id;
}

static unsigned take(unsigned max)
{
    unsigned count = queue_take(&q, &hands[0], got, max, 0);
    for (unsigned i = 0; i < count; i++)
        task_free(got[i]);
    return count;
}

static void tasks_come_in_the_order_of_their_deadlines(void **state)
{
    put(task(1, 30));
    put(task(2, 10));
    put(task(3, 20));
    put(task(4, 10));
    assert_int_equal(next(), 2);
    assert_int_equal(next(), 4);
    assert_int_equal(next(), 3);
    assert_int_equal(next(), 1);
    assert_int_equal(next(), 0);
}

static void a_task_without_a_deadline_is_not_passed_for_ever(void **state)
{
    put(task(1, DEADLINE_NEVER));
    for (uint64_t i = 0; i < 50; i++) {
        struct task *t = task(100 + i, 0);
        t->put_at = (int64_t)i * 2 * NS_PER_S;
        t->deadline = t->put_at + NS_PER_S;
        put(t);
    }
    unsigned before = 0;
    while (next() != 1)
        before++;
    assert_int_equal(before, 30);
}

static void a_full_queue_refuses_and_takes_back_what_it_gave(void **state)
{
    for (uint64_t i = 1; i <= 128; i++)
        put(task(i, 1000));
    struct task *more = task(200, 1);
    assert_int_equal(queue_put(&q, more, NULL), -ENOBUFS);
    assert_int_equal(atomic_load(&q.length), 128);
    assert_int_equal(queue_take(&q, &hands[0], got, 1, 0), 1);
    struct task *taken = got[0];
    assert_int_equal(taken->id, 1);
    put(more);
    assert_int_equal(next(), 200);
    put(task(201, 2000));
    assert_int_equal(queue_put_back(&q, taken, NULL), 0);
    assert_int_equal(atomic_load(&q.length), 129);
    /* Before those of the same deadline, as it was. */
    assert_int_equal(next(), 1);
    assert_int_equal(next(), 2);
}

static void putting_back_needs_no_memory(void **state)
{
    static struct task *held[HANDS][TAKE_MAX];
    unsigned counts[HANDS];
    set_cost(0, 1);
    for (uint64_t i = 1; i <= 128; i++)
        put(task(i, 1000));
    for (unsigned i = 0; i < HANDS; i++) {
        counts[i] = queue_take(&q, &hands[i], held[i], TAKE_MAX, 0);
        assert_true(counts[i] > 0);
    }
    while (atomic_load(&q.length) < 128)
        put(task(500, 1000));
    mem_fail_at(1, true);
    for (unsigned i = 0; i < HANDS; i++)
        for (unsigned j = 0; j < counts[i]; j++)
            assert_int_equal(queue_put_back(&q, held[i][j], NULL), 0);
    mem_fail_at(0, false);
    assert_int_equal(next(), 1);
}

/* ---- Hands ---- */

static void become_idle(unsigned i)
{
    assert_int_equal(queue_take(&q, &hands[i], got, 1, 0), 0);
}

static void a_put_wakes_the_hand_that_became_idle_last(void **state)
{
    become_idle(0);
    become_idle(1);
    become_idle(2);
    put(task(1, 1));
    assert_int_equal(woken[2], 1);
    put(task(2, 2));
    assert_int_equal(woken[1], 1);
    put(task(3, 3));
    assert_int_equal(woken[0], 1);
    put(task(4, 4));
    assert_int_equal(woken[0] + woken[1] + woken[2] + woken[3], 3);
}

static void a_put_rather_wakes_a_hand_of_the_same_desk(void **state)
{
    int desks[2];
    struct pool_desk *here = (void *)&desks[0];
    struct pool_desk *there = (void *)&desks[1];
    hands[0].desk = here;
    hands[1].desk = there;
    hands[2].desk = there;
    become_idle(0);
    become_idle(1);
    become_idle(2);
    assert_int_equal(queue_put(&q, task(1, 1), here), 0);
    assert_int_equal(woken[0], 1);
    assert_ptr_equal(woken_from, here);
    assert_int_equal(queue_put(&q, task(2, 2), here), 0);
    assert_int_equal(woken[2], 1);
    for (unsigned i = 0; i < HANDS; i++)
        hands[i].desk = NULL;
    assert_int_equal(take(1), 1);
    assert_int_equal(take(1), 1);
}

static void a_hand_that_goes_away_passes_its_wake_on(void **state)
{
    become_idle(0);
    become_idle(1);
    queue_away(&q, &hands[0], NULL);
    assert_int_equal(woken[0] + woken[1], 0);
    put(task(1, 1));
    assert_int_equal(woken[1], 1);
    assert_int_equal(woken[0], 0);
}

static void a_wake_is_not_lost_with_the_hand_it_was_for(void **state)
{
    become_idle(0);
    become_idle(1);
    put(task(1, 1));
    assert_int_equal(woken[1], 1);
    queue_away(&q, &hands[1], NULL);
    assert_int_equal(woken[0], 1);
}

static void closing_wakes_everybody_and_gives_nothing_more(void **state)
{
    become_idle(0);
    become_idle(1);
    queue_close(&q, NULL);
    assert_int_equal(woken[0], 1);
    assert_int_equal(woken[1], 1);
    assert_true(queue_closed(&q));
    struct task *t = task(1, 1);
    assert_int_equal(queue_put(&q, t, NULL), -EPIPE);
    task_free(t);
    assert_int_equal(queue_take(&q, &hands[0], got, 1, 0), 0);
    assert_false(list_linked(&hands[0].idle));
}

/* ---- How many at once ---- */

static void put_many(unsigned count, unsigned step)
{
    for (unsigned i = 0; i < count; i++) {
        struct task *t = task(i + 1, 1000);
        t->step = step;
        put(t);
    }
}

static void what_was_never_measured_goes_alone(void **state)
{
    put_many(100, 0);
    assert_int_equal(take(TAKE_MAX), 1);
}

static void cheap_tasks_go_together_up_to_a_fair_share(void **state)
{
    set_cost(0, 100);
    put_many(100, 0);
    assert_int_equal(take(TAKE_MAX), 25);
    assert_int_equal(take(TAKE_MAX), 19);
    assert_int_equal(take(3), 3);
    put_many(2, 0);
    unsigned count;
    while ((count = take(TAKE_MAX)) > 0)
        assert_in_range(count, 1, 14);
}

static void no_more_than_a_budget_goes_together(void **state)
{
    set_cost(1, TAKE_BUDGET_NS / 10);
    put_many(100, 1);
    assert_int_equal(take(TAKE_MAX), 10);
    set_cost(1, TAKE_BUDGET_NS * 3);
    assert_int_equal(take(TAKE_MAX), 1);
}

static void a_dear_task_does_not_go_behind_a_cheap_one(void **state)
{
    set_cost(0, TAKE_BUDGET_NS / 5);
    set_cost(1, TAKE_BUDGET_NS);
    for (unsigned i = 0; i < 8; i++) {
        put_many(2, 0);
        put_many(1, 1);
    }
    /* Two cheap ones, then a dear one alone. */
    assert_int_equal(take(TAKE_MAX), 2);
    assert_int_equal(take(TAKE_MAX), 1);
    assert_int_equal(take(TAKE_MAX), 2);
}

/* ---- Several as one ---- */

static struct task *fuse(uint64_t first, unsigned count, int64_t deadline_s)
{
    struct task *head = NULL;
    for (unsigned i = count; i-- > 0;) {
        struct task *t = task(first + i, deadline_s);
        t->fused = head;
        head = t;
    }
    return head;
}

static void expect(unsigned count, const uint64_t *ids)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(got[i]->id, ids[i]);
        assert_null(got[i]->fused);
        assert_null(got[i]->leader);
    }
}

static void free_got(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        task_free(got[i]);
}

static void fused_tasks_go_to_one_hand_in_their_order(void **state)
{
    set_cost(0, 10 * TAKE_BUDGET_NS);
    become_idle(1);
    become_idle(2);
    put(task(1, 50));
    put(fuse(10, 3, 20));
    assert_int_equal(woken[1] + woken[2], 2);
    assert_int_equal(atomic_load(&q.length), 4);
    assert_int_equal(queue_take(&q, &hands[0], got, TAKE_MAX, 0), 3);
    expect(3, (const uint64_t[]){10, 11, 12});
    /* Each comes back for itself, to where they were. */
    assert_int_equal(queue_put_back(&q, got[2], NULL), 0);
    assert_int_equal(queue_put_back(&q, got[1], NULL), 0);
    task_free(got[0]);
    assert_int_equal(take(TAKE_MAX), 1);
    assert_int_equal(take(TAKE_MAX), 1);
    assert_int_equal(next(), 1);
}

static void of_fused_tasks_each_may_leave(void **state)
{
    struct task *all = fuse(10, 4, 20);
    struct task *second = all->fused;
    struct task *third = second->fused;
    put(all);
    assert_true(queue_remove(&q, third));
    assert_true(queue_remove(&q, all));
    assert_false(queue_remove(&q, all));
    assert_int_equal(atomic_load(&q.length), 2);
    assert_int_equal(queue_take(&q, &hands[0], got, TAKE_MAX, 0), 2);
    expect(2, (const uint64_t[]){11, 13});
    free_got(2);
    task_free(all);
    task_free(third);
    assert_int_equal(next(), 0);
}

static void a_hand_that_takes_one_takes_the_first_of_them(void **state)
{
    become_idle(1);
    become_idle(2);
    put(fuse(10, 3, 20));
    assert_int_equal(woken[2], 1);
    assert_int_equal(next(), 10);
    /* The rest is for others. */
    assert_int_equal(woken[1], 1);
    assert_int_equal(next(), 11);
    assert_int_equal(next(), 12);
    assert_int_equal(next(), 0);
}

static void fused_tasks_that_do_not_fit_are_all_refused(void **state)
{
    put_many(126, 0);
    struct task *all = fuse(500, 3, 1000);
    assert_int_equal(queue_put(&q, all, NULL), -ENOBUFS);
    assert_int_equal(atomic_load(&q.length), 126);
    while (all) {
        struct task *t = all;
        all = t->fused;
        task_free(t);
    }
}

#define WAIT (2 * NS_PER_MS)

static struct task *batched(uint64_t id, int64_t put_at)
{
    struct task *t = task(id, DEADLINE_NEVER);
    t->step = 2;
    t->batch = 4;
    t->put_at = put_at;
    return t;
}

static void use_batches(int64_t wait)
{
    const struct conf_batch batches[] = {{.max = 1}, {.max = 1}, {.max = 4, .wait = wait}};
    assert_int_equal(queue_batches(&q, batches, 3), 0);
}

static void tasks_of_a_step_go_together_whatever_they_cost(void **state)
{
    use_batches(0);
    set_cost(2, 10 * TAKE_BUDGET_NS);
    put(batched(1, 0));
    put(task(20, 30));
    for (uint64_t i = 2; i <= 6; i++)
        put(batched(i, 0));
    assert_int_equal(next(), 20);
    assert_int_equal(queue_take(&q, &hands[0], got, TAKE_MAX, 0), 4);
    expect(4, (const uint64_t[]){1, 2, 3, 4});
    free_got(4);
    assert_int_equal(take(TAKE_MAX), 2);
    assert_int_equal(take(TAKE_MAX), 0);
}

static void a_hand_comes_again_for_what_is_held_back(void **state)
{
    use_batches(WAIT);
    become_idle(0);
    assert_int_equal(hands[0].until, DEADLINE_NEVER);
    become_idle(1);
    put(batched(1, 100));
    /* One looks, and knows when. */
    assert_int_equal(woken[1], 1);
    assert_int_equal(queue_take(&q, &hands[1], got, TAKE_MAX, 100), 0);
    assert_true(hands[1].waits);
    assert_int_equal(hands[1].until, 100 + WAIT);
    put(batched(2, 200));
    assert_int_equal(woken[0] + woken[1], 1);
    /* It is needed for something else: another knows. */
    put(task(30, 1000));
    assert_int_equal(woken[1], 2);
    assert_int_equal(queue_take(&q, &hands[1], got, TAKE_MAX, 300), 1);
    expect(1, (const uint64_t[]){30});
    free_got(1);
    assert_int_equal(woken[0], 1);
    assert_int_equal(queue_take(&q, &hands[0], got, TAKE_MAX, 400), 0);
    assert_int_equal(hands[0].until, 100 + WAIT);
    assert_int_equal(queue_take(&q, &hands[0], got, TAKE_MAX, 100 + WAIT), 2);
    expect(2, (const uint64_t[]){1, 2});
    free_got(2);
}

static void a_full_batch_goes_at_once(void **state)
{
    use_batches(WAIT);
    for (uint64_t i = 1; i <= 3; i++)
        put(batched(i, 0));
    become_idle(1);
    assert_int_equal(hands[1].until, WAIT);
    put(batched(4, 0));
    assert_int_equal(woken[1], 1);
    assert_int_equal(take(TAKE_MAX), 4);
}

static void what_is_held_back_may_leave(void **state)
{
    use_batches(WAIT);
    struct task *t = batched(1, 0);
    put(t);
    put(batched(2, 0));
    assert_true(queue_remove(&q, t));
    task_free(t);
    become_idle(0);
    assert_int_equal(hands[0].until, WAIT);
    /* The other is let go with the queue. */
}

/* ---- Who is refused ---- */

static struct task *urgent(uint64_t id, int64_t left, int64_t now)
{
    struct task *t = task(id, DEADLINE_NEVER);
    t->put_at = now;
    t->deadline = now + left;
    return t;
}

/* Four hands have a second's work each in the queue. */
static void fill(void)
{
    set_cost(0, 100 * NS_PER_MS);
    put_many(40, 0);
}

static void who_would_be_late_is_refused_at_once(void **state)
{
    fill();
    struct task *t = urgent(100, 500 * NS_PER_MS, 0);
    /* It would be first. */
    put(t);
    t = urgent(101, 2000 * NS_PER_S, 0);
    t->deadline = 1100 * NS_PER_MS + 999 * NS_PER_S;
    put(t);
    t = urgent(102, 500 * NS_PER_MS, 0);
    t->priority = -1;
    assert_int_equal(queue_put(&q, t, NULL), -ETIME);
    /* 42 x 100 ms / 4 hands: 1050 ms; 400 are possible. */
    assert_int_equal(t->retry_after, 650 * NS_PER_MS);
    assert_int_equal(atomic_load(&q.refused[REFUSED_LATE]), 1);
    assert_int_equal(queue_wait(&q), 1050 * NS_PER_MS);
    t->priority = 1;
    put(t);
}

static void where_a_hand_is_idle_nobody_is_refused(void **state)
{
    set_cost(0, NS_PER_S);
    become_idle(0);
    put(urgent(1, NS_PER_MS, 0));
    struct task *t = urgent(2, NS_PER_MS, 0);
    assert_int_equal(queue_put(&q, t, NULL), -ETIME);
    assert_true(t->retry_after > 0);
    task_free(t);
}

static void what_runs_is_waited_for_too(void **state)
{
    set_cost(0, 100 * NS_PER_MS);
    put_many(4, 0);
    for (unsigned i = 0; i < HANDS; i++) {
        assert_int_equal(queue_take(&q, &hands[i], got, 1, 0), 1);
        free_got(1);
    }
    struct task *t = urgent(1, 150 * NS_PER_MS, 0);
    assert_int_equal(queue_put(&q, t, NULL), -ETIME);
    task_free(t);
    put(urgent(2, 150 * NS_PER_MS, 60 * NS_PER_MS));
    /* Behind that one. */
    t = urgent(3, 150 * NS_PER_MS, 61 * NS_PER_MS);
    assert_int_equal(queue_put(&q, t, NULL), -ETIME);
    task_free(t);
}

/* Of three tasks two were taken late for so long that the line stands. */
static struct task *last_where_it_stands(void)
{
    struct task *last = task(3, 9);
    set_cost(0, NS_PER_MS);
    put(task(1, 7));
    put(task(2, 8));
    put(last);
    for (int64_t now = 1; now <= 2; now++) {
        assert_int_equal(queue_take(&q, &hands[0], got, 1, now * NS_PER_S), 1);
        free_got(1);
    }
    assert_int_equal(atomic_load(&q.standing), 1);
    return last;
}

static void a_line_whose_last_leaves_does_not_stand(void **state)
{
    struct task *last = last_where_it_stands();
    assert_true(queue_remove(&q, last));
    task_free(last);
    assert_int_equal(atomic_load(&q.standing), 0);
}

static void a_line_whose_last_is_late_does_not_stand(void **state)
{
    struct task *last = last_where_it_stands();
    atomic_store(&last->state, TASK_DROPPED);
    assert_int_equal(queue_take(&q, &hands[0], got, 1, 10 * NS_PER_S), 0);
    assert_int_equal(atomic_load(&q.standing), 0);
}

/* Between their leaving the queue and their end, what brings home the set of one of them may be
 * posted: all the same the others are let go. */
static void who_is_late_may_be_posted_meanwhile(void **state)
{
    use_batches(WAIT);
    for (unsigned i = HANDS; i-- > 0;)
        become_idle(i);
    struct task *late[2] = {fuse(1, 2, 1)};
    late[1] = late[0]->fused;
    for (unsigned i = 0; i < 2; i++) {
        atomic_store(&late[i]->holders, 2);
        atomic_store(&late[i]->state, TASK_DROPPED);
    }
    put(late[0]);
    put(task(3, 1000));
    /* It is held back, so that whoever takes wakes another. */
    put(batched(4, 2 * NS_PER_S));
    assert_int_equal(woken[3], 0);
    posted = late[1];
    assert_int_equal(queue_take(&q, &hands[0], got, 1, 2 * NS_PER_S), 1);
    posted = NULL;
    assert_int_equal(woken[3], 1);
    free_got(1);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(atomic_load(&late[i]->holders), 1);
        task_free(late[i]);
    }
}

static bool puts_a_task(void)
{
    struct queue small;
    int rc = queue_init(&small, 4, 1, costs);
    if (rc)
        return false;
    struct task *t = mem_zalloc(sizeof(*t));
    if (t) {
        atomic_store(&t->holders, 1);
        t->output.base = t->small;
        t->batch = 1;
        t->deadline = DEADLINE_NEVER;
        rc = queue_put(&small, t, NULL);
        if (rc)
            task_free(t);
    }
    queue_release(&small);
    return t && rc == 0;
}

static void no_memory_is_told(void **state)
{
    torture(puts_a_task);
}

int main(void)
{
#define QUEUE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(tasks_come_in_the_order_of_their_deadlines),
        QUEUE_TEST(a_task_without_a_deadline_is_not_passed_for_ever),
        QUEUE_TEST(a_full_queue_refuses_and_takes_back_what_it_gave),
        QUEUE_TEST(putting_back_needs_no_memory),
        QUEUE_TEST(a_put_wakes_the_hand_that_became_idle_last),
        QUEUE_TEST(a_put_rather_wakes_a_hand_of_the_same_desk),
        QUEUE_TEST(a_hand_that_goes_away_passes_its_wake_on),
        QUEUE_TEST(a_wake_is_not_lost_with_the_hand_it_was_for),
        QUEUE_TEST(closing_wakes_everybody_and_gives_nothing_more),
        QUEUE_TEST(what_was_never_measured_goes_alone),
        QUEUE_TEST(cheap_tasks_go_together_up_to_a_fair_share),
        QUEUE_TEST(no_more_than_a_budget_goes_together),
        QUEUE_TEST(a_dear_task_does_not_go_behind_a_cheap_one),
        QUEUE_TEST(fused_tasks_go_to_one_hand_in_their_order),
        QUEUE_TEST(of_fused_tasks_each_may_leave),
        QUEUE_TEST(a_hand_that_takes_one_takes_the_first_of_them),
        QUEUE_TEST(fused_tasks_that_do_not_fit_are_all_refused),
        QUEUE_TEST(tasks_of_a_step_go_together_whatever_they_cost),
        QUEUE_TEST(a_hand_comes_again_for_what_is_held_back),
        QUEUE_TEST(a_full_batch_goes_at_once),
        QUEUE_TEST(what_is_held_back_may_leave),
        QUEUE_TEST(who_would_be_late_is_refused_at_once),
        QUEUE_TEST(where_a_hand_is_idle_nobody_is_refused),
        QUEUE_TEST(what_runs_is_waited_for_too),
        QUEUE_TEST(a_line_whose_last_leaves_does_not_stand),
        QUEUE_TEST(a_line_whose_last_is_late_does_not_stand),
        QUEUE_TEST(who_is_late_may_be_posted_meanwhile),
        cmocka_unit_test(no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

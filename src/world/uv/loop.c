/*
 * loop.c: the world's loop: its life, its ticks and its clocks.
 *
 * libuv's events run no code of components: they only wake coroutines. Those run after the poll,
 * when all its events have been seen, and once more before the next, for whom timers woke
 * meanwhile. So a tick is
 *
 *     poll, wake ... | messages, alarms, coroutines | libuv's timers, closings | coroutines | poll
 *                    '---------------- what the watchdog measures -------------------------'
 *
 * Coroutines that made each other ready run in the same tick, a few rounds of them, since a poll
 * costs more than a switch. If some are ready still, an active idle handle keeps the next poll from
 * waiting.
 */
#include "base/bug.h"
#include "base/mem.h"
#include "world/real_work.h"
#include "world/uv/internal.h"
#include "world/uv/tsan.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

/* How often in a row coroutines that keep each other ready run before the sockets are asked. */
#define ROUNDS_A_TURN 8
/* libuv polls again at once, up to 48 times, when a poll gave 1024 events, and would be told of the
 * same ones: that many never wait for their coroutines to run. */
#define WOKEN_MAX     256

/* ---- A tick ---- */

/* Deadlines are compared with the time at which the clock was last read: at the tick's start, or
 * since then by world_now, which every new deadline is made from. That saves each wait a look at
 * the clock. */
static int64_t read_clock(struct uv_world *w)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t); /* uv_hrtime, without its detours */
    w->time = t.tv_sec * NS_PER_S + t.tv_nsec;
    return w->time;
}

static void begin_turn(struct uv_world *w)
{
    if (w->in_turn)
        return;
    w->in_turn = true;
    w->world.tick++;
    int64_t began = read_clock(w);
    if (w->watchdog)
        watchdog_turn_begins(w->watchdog, began);
    if (sched_next_deadline(w->world.sched) <= began)
        sched_expire(w->world.sched, began);
}

static void end_turn(struct uv_world *w)
{
    if (!w->in_turn)
        return;
    w->in_turn = false;
    if (w->watchdog)
        watchdog_turn_ends(w->watchdog);
}

static void run_ready(struct uv_world *w)
{
    begin_turn(w);
    tsan_block_signals();
    sched_run(w->world.sched);
    for (int i = 1; i < ROUNDS_A_TURN && sched_pressing(w->world.sched); i++)
        sched_run(w->world.sched);
    tsan_unblock_signals();
    w->woken = 0;
}

void loop_woke(struct uv_world *w)
{
    if (++w->woken >= WOKEN_MAX)
        run_ready(w);
}

void loop_deliver(struct uv_world *w)
{
    mailbox_awake(&w->mailbox);
    begin_turn(w);
    mailbox_deliver(&w->mailbox);
}

static void after_poll(uv_check_t *check)
{
    struct uv_world *w = check->data;
    loop_deliver(w);
    run_ready(w);
}

static void on_timer(uv_timer_t *timer)
{
    struct uv_world *w = timer->data;
    w->timer_at = DEADLINE_NEVER;
    sched_expire(w->world.sched, read_clock(w));
}

/* libuv counts in whole milliseconds, from a clock that is rounded down: a moment rounded up is
 * never early. A timer that is set for an earlier moment than needed is left to ring. */
static void set_timer(struct uv_world *w)
{
    int64_t next = sched_next_deadline(w->world.sched);
    if (next >= w->timer_at)
        return;
    uint64_t tick = (uint64_t)(next / NS_PER_MS + (next % NS_PER_MS > 0));
    uint64_t tick_now = uv_now(&w->loop);
    uv_sure(uv_timer_start(&w->timer, on_timer, tick > tick_now ? tick - tick_now : 0, 0));
    w->timer_at = next;
}

static void nothing_to_do(uv_idle_t *idle)
{
}

static void before_poll(uv_prepare_t *prepare)
{
    struct uv_world *w = prepare->data;
    if (sched_ready(w->world.sched)) {
        run_ready(w);
        uv_update_time(&w->loop); /* the poll's time-out counts from here */
    }
    set_timer(w);
    if (!sched_ready(w->world.sched) && mailbox_may_sleep(&w->mailbox))
        uv_sure(uv_idle_stop(&w->busy));
    else
        uv_sure(uv_idle_start(&w->busy, nothing_to_do));
    end_turn(w);
}

/* ---- How things leave ---- */

static void on_left(uv_handle_t *uv)
{
    struct handle *owner = uv->data;
    uv_world_of_handle(owner)->leaving--;
    handle_release(owner);
}

void handle_leave(struct handle *owner, uv_handle_t *uv)
{
    handle_hold(owner);
    uv_world_of_handle(owner)->leaving++;
    uv_close(uv, on_left);
}

/* Turns until what was closed is gone. */
static void settle(struct uv_world *w)
{
    while (w->leaving > 0 || mailbox_waiting(&w->mailbox))
        uv_run(&w->loop, UV_RUN_ONCE);
}

/* ---- The clock and chance ---- */

static int64_t op_now(struct world *w)
{
    return read_clock(uv_world_of(w));
}

static int64_t sched_now(void *ctx)
{
    return ((const struct uv_world *)ctx)->time;
}

static int64_t op_wall(struct world *w)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void op_random(struct world *w, void *buffer, size_t size)
{
    char *at = buffer;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        check(got >= 0 || errno == EINTR, "the kernel gives no random bytes (errno %d)", errno);
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
}

static void call_deep(struct world *w, void (*fn)(void *arg), void *arg)
{
    coro_call_deep(fn, arg);
}

static const struct world_ops ops = {
    .now = op_now,
    .wall = op_wall,
    .random = op_random,
    .cores = uv_world_cores,
    .call_deep = call_deep,
    .listen = uv_world_listen,
    .accept = uv_listener_accept,
    .try_accept = uv_listener_try_accept,
    .share_listener = uv_world_share_listener,
    .inherited_listener = uv_world_inherited_listener,
    .listener_address = uv_listener_address,
    .listener_close = uv_listener_close,
    .connect = uv_world_connect,
    .read = uv_stream_read,
    .write_some = uv_stream_write_some,
    .shutdown = uv_stream_shutdown,
    .peer = uv_stream_peer,
    .cancel_on_end = uv_stream_cancel_on_end,
    .quiet = uv_stream_quiet,
    .stream_close = uv_stream_close,
    .stream_pair = uv_world_stream_pair,
    .write_passing = uv_stream_write_passing,
    .resolve = uv_world_resolve,
    .spawn = uv_world_spawn,
    .child_pid = uv_child_pid,
    .child_wait = uv_child_wait,
    .child_signal = uv_child_signal,
    .child_close = uv_child_close,
    .child_limit = uv_child_limit,
    .child_resident = uv_child_resident,
    .child_ran_out_of_memory = uv_child_ran_out_of_memory,
    .shared = uv_world_shared,
    .shared_base = uv_shared_base,
    .shared_grow = uv_shared_grow,
    .shared_size = uv_shared_size,
    .shared_trim = uv_shared_trim,
    .shared_close = uv_shared_close,
    .inherited_stream = uv_world_inherited_stream,
    .signals = uv_world_signals,
    .signals_next = uv_signals_next,
    .signals_close = uv_signals_close,
    .open = uv_world_open_file,
    .file_read = uv_file_read,
    .file_write = uv_file_write,
    .file_sync = uv_file_sync,
    .file_size = uv_file_size,
    .file_truncate = uv_file_truncate,
    .file_close = uv_file_close,
    .rename = uv_world_rename,
    .unlink = uv_world_unlink,
    .sync_directory = uv_world_sync_directory,
    .thread = uv_world_thread,
    .thread_wait = uv_thread_wait,
    .thread_close = uv_thread_close,
    .companion = uv_world_companion,
    .companion_wait = uv_companion_wait,
    .companion_close = uv_companion_close,
    .companion_park = uv_companion_park,
    .companion_wake = uv_companion_wake,
    .post = mailbox_post,
    .watch = uv_world_watch,
    .watch_wait = uv_watch_wait,
    .watch_close = uv_watch_close,
};

/* ---- The life of a world ---- */

/* All its handles are closed already, or being closed. */
static void end_loop(struct uv_world *w)
{
    uv_run(&w->loop, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&w->loop);
    check(rc == 0, "a loop was closed with handles still on it");
}

/* Closes the loop's own handles and the loop. */
static void close_loop(struct uv_world *w)
{
    mailbox_close(&w->mailbox);
    uv_close((uv_handle_t *)&w->before_poll, NULL);
    uv_close((uv_handle_t *)&w->after_poll, NULL);
    uv_close((uv_handle_t *)&w->busy, NULL);
    uv_close((uv_handle_t *)&w->timer, NULL);
    end_loop(w);
}

static int open_loop(struct uv_world *w)
{
    int rc = uv_loop_init(&w->loop);
    if (rc)
        return rc;
    rc = mailbox_open(&w->mailbox, &w->loop);
    if (rc) {
        end_loop(w);
        return rc;
    }
    uv_sure(uv_prepare_init(&w->loop, &w->before_poll));
    uv_sure(uv_check_init(&w->loop, &w->after_poll));
    uv_sure(uv_idle_init(&w->loop, &w->busy));
    uv_sure(uv_timer_init(&w->loop, &w->timer));
    w->before_poll.data = w->after_poll.data = w->timer.data = w;
    uv_sure(uv_prepare_start(&w->before_poll, before_poll));
    uv_sure(uv_check_start(&w->after_poll, after_poll));
    return 0;
}

int uv_world_open(struct world **out, const struct uv_world_options *options)
{
    struct uv_world *w = mem_zalloc(sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->world.ops = &ops;
    w->world.log = options->log;
    w->world.work = &w->work;
    work_real_init(&w->work);
    w->timer_at = DEADLINE_NEVER;
    read_clock(w);
    w->options = *options;
    w->name = options->name ? options->name : "loop";
    w->watchdog_ns = options->watchdog_ns ? options->watchdog_ns : WATCHDOG_DEFAULT_NS;
    struct sched_options sched = {
        .stack_size = options->stack_size,
        .stacks_idle_max = options->stacks_idle_max,
        .now = sched_now,
        .now_ctx = w,
    };
    int rc = sched_open(&w->world.sched, &sched);
    if (rc == -ENOTSUP)
        log_error(options->log,
            "this thread has a hardware shadow stack, which knows one stack only, and coroutines "
            "have many; start the program without it (on x86-64: "
            "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off)");
    if (rc == 0) {
        rc = open_loop(w);
        if (rc == 0) {
            jobs_init(&w->jobs);
            *out = &w->world;
            return 0;
        }
        sched_close(w->world.sched);
    }
    mem_free(w);
    return rc;
}

struct main_call {
    struct uv_world *w;
    coro_fn *fn;
    void *arg;
    int result;
    bool ended;
};

static int main_coroutine(void *arg)
{
    struct main_call *call = arg;
    call->result = call->fn(call->arg);
    call->ended = true;
    uv_stop(&call->w->loop);
    return 0;
}

int uv_world_run(struct world *world, const char *name, coro_fn *fn, void *arg)
{
    struct uv_world *w = uv_world_of(world);
    check(!coro_self(), "uv_world_run was called by a coroutine; a loop runs outside of them");
    check(!w->running, "uv_world_run was called on a world that runs already");
    struct main_call call = {.w = w, .fn = fn, .arg = arg};
    int rc = sched_spawn(world->sched, name, main_coroutine, &call);
    if (rc)
        return rc;
    w->running = true;
    thread_slice(0, SLICE_OF_LOOPS_NS);
    if (w->watchdog_ns > 0)
        w->watchdog = watchdog_start(w->name, w->watchdog_ns, world->log);
    while (!call.ended)
        uv_run(&w->loop, UV_RUN_DEFAULT);
    settle(w);
    watchdog_stop(w->watchdog);
    w->watchdog = NULL;
    w->running = false;
    return call.result;
}

static void check_all_closed(const struct uv_world *w)
{
    static const char *const names[KIND_COUNT] = {
        [KIND_STREAM] = "streams",
        [KIND_LISTENER] = "listeners",
        [KIND_CHILD] = "children",
        [KIND_SHARED] = "shared memories",
        [KIND_SIGNALS] = "sets of signals",
        [KIND_FILE] = "files",
        [KIND_WATCH] = "watches",
        [KIND_THREAD] = "threads",
        [KIND_COMPANION] = "companions",
    };
    char left[256] = "";
    size_t len = 0;
    for (int i = 0; i < KIND_COUNT; i++)
        if (w->open[i] > 0)
            len += (size_t)snprintf(
                left + len, sizeof(left) - len, "%s%zu %s", len ? ", " : "", w->open[i], names[i]);
    check(len == 0, "a world was closed with these still open: %s", left);
}

void uv_world_close(struct world *world)
{
    struct uv_world *w = uv_world_of(world);
    check(!w->running, "uv_world_close was called on a world that runs");
    check_all_closed(w);
    settle(w);
    jobs_end(&w->jobs);
    close_loop(w);
    sched_close(world->sched);
    mem_free(w);
}

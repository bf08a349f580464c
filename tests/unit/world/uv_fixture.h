/*
 * uv_fixture.h: runs a test's coroutine in a real world, and sees to it that nothing is left
 * behind: no descriptor, no coroutine, no handle.
 */
#pragma once

#include "../check.h"

#include "base/mem.h"
#include "coro/coro.h"
#include "coro/group.h"
#include "coro/sync.h"
#include "world/uv/uv_world.h"

#include "../tries.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef WEIR_HAVE_VALGRIND
#    include <valgrind/valgrind.h>
#else
#    define RUNNING_ON_VALGRIND 0
#endif

/* The world of the test that runs. */
static struct world *w __attribute__((unused));

static inline int count_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    int count = 0;
    while (readdir(d))
        count++;
    closedir(d);
    return count;
}

static inline void open_world(struct world **out)
{
    struct uv_world_options options = {.name = "test", .watchdog_ns = -1};
    assert_int_equal(uv_world_open(out, &options), 0);
}

/* What the first world of a process makes for good (libuv's own signal pipe) is not counted. */
static inline void run_in_world(coro_fn *fn)
{
    open_world(&w);
    uv_world_close(w);
    int before = count_descriptors();
    open_world(&w);
    assert_int_equal(uv_world_run(w, "test", fn, NULL), 0);
    uv_world_close(w);
    assert_int_equal(count_descriptors(), before);
}

/* TEST(name) { ... } is a coroutine's body, and `name` a cmocka test that runs it. */
#define TEST(name)                  \
    static int name##_in(void);     \
    static int name##_fn(void *arg) \
    {                               \
        return name##_in();         \
    }                               \
    static void name(void **state)  \
    {                               \
        run_in_world(name##_fn);    \
    }                               \
    static int name##_in(void)

/* ---- Waits that are interrupted ---- */

struct wait {
    coro_fn *fn;
    void *arg;
    int result;
};

static inline int run_wait(void *arg)
{
    struct wait *wait = arg;
    wait->result = wait->fn(wait->arg);
    return 0;
}

/* A child that has begun to wait: its result stands in `wait` when it has ended. */
static inline void begin_wait(struct group *g, struct wait *wait, coro_fn *fn, void *arg)
{
    *wait = (struct wait){.fn = fn, .arg = arg, .result = 1};
    assert_int_equal(group_spawn(g, "waits", run_wait, wait), 0);
    assert_int_equal(coro_yield(), 0);
    assert_int_equal(coro_yield(), 0);
    assert_int_equal(wait->result, 1);
}

static inline void assert_wait_ends_with(int result, coro_fn *fn, void *arg, bool cancel)
{
    struct wait wait;
    GROUP(g, GROUP_INDEPENDENT);
    begin_wait(&g, &wait, fn, arg);
    if (cancel)
        group_cancel(&g);
    assert_int_equal(group_wait(&g), 0);
    assert_int_equal(wait.result, result);
}

static inline void assert_can_be_cancelled(coro_fn *fn, void *arg)
{
    assert_wait_ends_with(-ECANCELED, fn, arg, true);
}

struct timed {
    coro_fn *fn;
    void *arg;
    int64_t deadline;
};

static inline int run_timed(void *arg)
{
    struct timed *timed = arg;
    CORO_DEADLINE(timed->deadline);
    return timed->fn(timed->arg);
}

static inline void assert_can_time_out(coro_fn *fn, void *arg)
{
    struct timed soon = {.fn = fn, .arg = arg, .deadline = world_now(w) + 2 * NS_PER_MS};
    int rc = run_timed(&soon);
    assert_int_equal(rc, -ETIMEDOUT);
    assert_true(world_now(w) >= soon.deadline);
    struct timed past = {.fn = fn, .arg = arg, .deadline = 1};
    assert_int_equal(run_timed(&past), -ETIMEDOUT);
}

/* Both reasons to give up have come when the coroutine runs next. False: the deadline had come
 * before it could wait. */
static inline bool cancel_won(coro_fn *fn, void *arg)
{
    struct timed timed = {.fn = fn, .arg = arg, .deadline = world_now(w) + 20 * NS_PER_MS};
    struct wait wait = {.fn = run_timed, .arg = &timed, .result = 1};
    GROUP(g, GROUP_INDEPENDENT);
    assert_int_equal(group_spawn(&g, "waits", run_wait, &wait), 0);
    assert_int_equal(coro_yield(), 0);
    assert_int_equal(coro_yield(), 0);
    if (wait.result == -ETIMEDOUT)
        return false;
    assert_int_equal(wait.result, 1);
    while (world_now(w) < timed.deadline)
        continue;
    group_cancel(&g);
    assert_int_equal(group_wait(&g), 0);
    assert_int_equal(wait.result, -ECANCELED);
    return true;
}

static inline void assert_cancel_wins(coro_fn *fn, void *arg)
{
    assert_true(one_of_tries(cancel_won(fn, arg)));
}

static inline void assert_can_be_interrupted(coro_fn *fn, void *arg)
{
    assert_can_be_cancelled(fn, arg);
    assert_can_time_out(fn, arg);
    assert_cancel_wins(fn, arg);
}

/* ---- Streams ---- */

static inline struct listener *listen_at(const char *text)
{
    struct address a;
    struct listener *l;
    assert_int_equal(address_parse(&a, text, NULL), 0);
    assert_int_equal(world_listen(w, &a, NULL, &l), 0);
    return l;
}

static inline struct stream *connect_to(const struct listener *l)
{
    struct address a;
    struct stream *s;
    listener_address(l, &a);
    assert_int_equal(world_connect(w, &a, &s), 0);
    return s;
}

/* Two ends of a connection; `at` says of which family. */
static inline void connect_pair(const char *at, struct stream **ours, struct stream **theirs)
{
    struct listener *l = listen_at(at);
    *ours = connect_to(l);
    assert_int_equal(listener_accept(l, theirs), 0);
    listener_close(l);
}

static inline int write_text(struct stream *s, const char *text)
{
    char copy[256];
    size_t len = strlen(text);
    assert_true(len < sizeof(copy));
    memcpy(copy, text, len);
    struct iovec part = {.iov_base = copy, .iov_len = len};
    return stream_write(s, &part, 1);
}

static inline void assert_reads(struct stream *s, const char *text)
{
    char got[256];
    size_t len = 0;
    while (len < strlen(text)) {
        ssize_t n = stream_read(s, got + len, strlen(text) - len);
        assert_true(n > 0);
        len += (size_t)n;
    }
    assert_memory_equal(got, text, len);
}

static inline void assert_at_end(struct stream *s)
{
    char byte;
    assert_int_equal(stream_read(s, &byte, 1), 0);
}

/* ---- A directory of the test's own ---- */

static inline const char *make_directory(void)
{
    static char path[] = "/tmp/weir-test-XXXXXX";
    memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(path));
    return path;
}

static inline const char *path_in(const char *directory, const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
    return path;
}

static inline void remove_directory(const char *path)
{
    assert_int_equal(rmdir(path), 0);
}

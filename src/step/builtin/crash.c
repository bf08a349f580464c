/*
 * crash.c: does harm, in each way that a worker must be survived in: {"how": "segfault"}. For tests
 * of that alone; only where --unsafe-steps allows it. What returns at all gives back {"survived":
 * HOW}.
 *
 * It means its worker, which is why it reaches past the world: a world that could do this would be
 * no world. In a pool of threads the worker is the server.
 */
#include "step/builtin/builtin.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "conf/node.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHANNEL     3 /* = PLAIN_CHANNEL: where a worker process speaks to its server */
#define EAT_MAX     (UINT64_C(64) * 1024 * 1024 * 1024)
#define EAT_AT_ONCE (UINT64_C(16) * 1024 * 1024)
#define PAGE        4096

static bool do_abort(const struct weir_value *input)
{
    abort();
    return true;
}

static bool do_segfault(const struct weir_value *input)
{
    raise(SIGSEGV); /* a write to a null pointer is the compiler's to leave out */
    return true;
}

static bool do_exit(const struct weir_value *input)
{
    _exit((int)weir_integer(weir_member(input, "status"), 3));
    return true;
}

static bool do_kill(const struct weir_value *input)
{
    raise(SIGKILL);
    return true;
}

static bool do_loop(const struct weir_value *input)
{
    for (volatile uint64_t turns = 0;; turns++)
        ;
    return true;
}

/* Stops answering, at no cost. */
static bool do_hang(const struct weir_value *input)
{
    for (;;)
        pause();
    return true;
}

static bool do_stop(const struct weir_value *input)
{
    raise(SIGSTOP);
    return true;
}

static bool do_garbage(const struct weir_value *input)
{
    char garbage[512];
    memset(garbage, 0xa5, sizeof garbage);
    for (size_t i = 0; i < PAGE / sizeof garbage; i++)
        if (write(CHANNEL, garbage, sizeof garbage) < 0)
            fprintf(stderr, "crash: there is no channel to write garbage to\n");
    return true;
}

static bool do_close(const struct weir_value *input)
{
    close_range(CHANNEL, ~0U, 0);
    return true;
}

/* Closed, and still alive. */
static bool do_close_and_hang(const struct weir_value *input)
{
    do_close(input);
    do_hang(input);
    return true;
}

/* A child that holds on to all that it inherited. */
static bool do_fork(const struct weir_value *input)
{
    if (fork() == 0) /* tidy: allow fork because that is the harm to be done */
        do_hang(input);
    return true;
}

/* All the memory there is, or as much as "bytes" says. */
static bool do_eat(const struct weir_value *input)
{
    uint64_t most = EAT_MAX;
    struct span text = {0};
    text.ptr = weir_text(weir_member(input, "bytes"), &text.len);
    if (text.ptr && conf_size(text, &most, NULL))
        most = EAT_MAX;
    char *eaten = NULL; /* the last block, which knows the one before */
    bool refused = false;
    for (uint64_t sum = 0; sum < most; sum += EAT_AT_ONCE) {
        char *block = mem_alloc(EAT_AT_ONCE);
        refused = !block;
        if (refused)
            break;
        memcpy(block, &eaten, sizeof eaten);
        eaten = block;
        for (volatile char *at = block + PAGE; at < block + EAT_AT_ONCE; at += PAGE)
            *at = 1;
    }
    while (eaten) {
        char *before;
        memcpy(&before, eaten, sizeof before);
        mem_free(eaten);
        eaten = before;
    }
    return !refused;
}

static bool do_nothing(const struct weir_value *input)
{
    return true;
}

static const struct way {
    const char *name;
    bool (*act)(const struct weir_value *input); /* false: it was refused memory */
} ways[] = {
    {"abort", do_abort},
    {"close", do_close},
    {"close-and-hang", do_close_and_hang},
    {"eat", do_eat},
    {"exit", do_exit},
    {"fork", do_fork},
    {"garbage", do_garbage},
    {"hang", do_hang},
    {"kill", do_kill},
    {"loop", do_loop},
    {"none", do_nothing},
    {"segfault", do_segfault},
    {"stop", do_stop},
};

static const struct way *find_way(const struct weir_value *v)
{
    const char *name = weir_text(v, NULL);
    for (size_t i = 0; name && i < sizeof ways / sizeof *ways; i++)
        if (strcmp(name, ways[i].name) == 0)
            return &ways[i];
    return NULL;
}

static int run(struct weir_task *t)
{
    const struct weir_value *input = weir_input(t);
    const struct weir_value *how = weir_member(input, "how");
    const struct way *way = find_way(how ? how : input);
    if (!way)
        return weir_reject(t, "invalid-input",
            "crash wants {\"how\": WAY}: abort, close, close-and-hang, eat, exit, fork, garbage, "
            "hang, kill, loop, none, segfault or stop");
    if (!way->act(input))
        return weir_fail(t, "out-of-memory", "crash ate all the memory that it may have");
    weir_out_object(t);
    weir_out_key(t, "survived");
    weir_out_text(t, way->name);
    weir_out_end(t);
    return 0;
}

/* What kills its worker takes the others with it. */
static int run_batch(struct weir_task *const *tasks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)run(tasks[i]); /* a failure is the task's result */
    return 0;
}

/* The option "init" is a way too: an init that crashes, or hangs; or it is "fail". */
static int init(struct weir_worker *w, void **state)
{
    const struct weir_value *at_init = weir_member(weir_options(w), "init");
    const char *name = weir_text(at_init, NULL);
    if (name && strcmp(name, "fail") == 0)
        return weir_init_fail(w, "it was told to fail");
    const struct way *way = find_way(at_init);
    if (name && !way)
        return weir_init_fail(w, "its option 'init' is no way to crash: '%s'", name);
    if (way && !way->act(weir_options(w)))
        return weir_init_fail(w, "it ate all the memory that it may have");
    return 0;
}

const struct weir_step step_crash = {
    .name = "crash", .run = run, .init = init, .run_batch = run_batch};

/*
 * batch.c: a plugin with steps that are called with several tasks at once, and count how.
 */
#include <weir/step.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct batch_counts {
    _Atomic int batches; /* calls of run_batch */
    _Atomic int tasks;   /* in them */
    _Atomic int runs;
};
extern WEIR_EXPORT struct batch_counts batch_counts;
struct batch_counts batch_counts;

static const char *what(struct weir_task *t)
{
    const char *text = weir_text(weir_member(weir_input(t), "what"), NULL);
    return text ? text : "";
}

static int is(struct weir_task *t, const char *text)
{
    return strcmp(what(t), text) == 0;
}

static int fails(struct weir_task *t)
{
    return weir_reject(
        t, "bad", "%d is bad", (int)weir_integer(weir_member(weir_input(t), "n"), 0));
}

/* ---- twice: a number, twice as large ---- */

static int write_long(struct weir_task *t)
{
    size_t size = (size_t)weir_integer(weir_member(weir_input(t), "n"), 0);
    char *text = weir_alloc(t, size + 1);
    if (!text)
        return -1;
    memset(text, 'x', size);
    weir_out_text_n(t, text, size);
    return 0;
}

static int write_twice(struct weir_task *t)
{
    if (is(t, "silent"))
        return 0;
    if (is(t, "greedy")) /* more than a task may have */
        return weir_alloc(t, (size_t)2 * 1024 * 1024 * 1024) ? 0 : -1;
    if (is(t, "long"))
        return write_long(t);
    if (is(t, "wordy"))
        weir_out_null(t);
    if (is(t, "asks")) {
        weir_out_bool(t, weir_cancelled(t));
        return 0;
    }
    int64_t *n = weir_alloc(t, sizeof *n);
    if (!n)
        return -1;
    *n = weir_integer(weir_member(weir_input(t), "n"), 0);
    weir_out_integer(t, 2 * *n);
    return 0;
}

static int twice(struct weir_task *t)
{
    batch_counts.runs++;
    return is(t, "bad") || is(t, "refused") ? fails(t) : write_twice(t);
}

/* What is bad spoils all of it, after everything was written; what is refused is so alone. */
static int twice_all(struct weir_task *const *tasks, size_t count)
{
    int rc = 0;
    batch_counts.batches++;
    batch_counts.tasks += (int)count;
    for (size_t i = 0; i < count; i++) {
        if (is(tasks[i], "refused"))
            (void)fails(tasks[i]);
        else
            (void)write_twice(tasks[i]);
        if (is(tasks[i], "bad"))
            rc = fails(tasks[i]);
    }
    return rc;
}

/* ---- hold: until somebody has opened and closed the named FIFO that is its input ---- */

static int hold(struct weir_task *t)
{
    const char *path = weir_text(weir_input(t), NULL);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    char byte;
    if (fd < 0 || read(fd, &byte, 1) != 0)
        return weir_reject(t, "no-fifo", "it cannot be held by %s", path ? path : "nothing");
    close(fd);
    weir_out_null(t);
    return 0;
}

static const struct weir_step steps[] = {
    {.name = "twice", .run = twice, .run_batch = twice_all}, {.name = "hold", .run = hold}};
WEIR_PLUGIN("batch", steps);

/*
 * allocate.c: takes memory and touches each page of it, for tests and labs: {"bytes": "64MiB"}, or
 * a number. With "keep_ms" it computes that long before it gives the memory back.
 */
#include "step/builtin/builtin.h"

#include "base/bytes.h"
#include "base/mem.h"
#include "base/time.h"
#include "conf/node.h"

#define PAGE        4096
#define KEEP_MS_MAX (60.0 * 1000)

/* What the input wants, or -1. */
static int64_t wanted_bytes(const struct weir_value *input)
{
    const struct weir_value *v = weir_member(input, "bytes");
    uint64_t bytes;
    struct span text = {0};
    if (weir_type(v ? v : input) != WEIR_TEXT)
        return weir_integer(v ? v : input, -1);
    text.ptr = weir_text(v ? v : input, &text.len);
    return conf_size(text, &bytes, NULL) == 0 && bytes <= INT64_MAX ? (int64_t)bytes : -1;
}

static int run(struct weir_task *t)
{
    const struct weir_value *input = weir_input(t);
    int64_t bytes = wanted_bytes(input);
    double keep_ms = weir_number(weir_member(input, "keep_ms"), 0);
    if (bytes < 0 || !(keep_ms >= 0 && keep_ms <= KEEP_MS_MAX))
        return weir_reject(t, "invalid-input",
            "allocate wants {\"bytes\": N}, or a size like \"64MiB\", and \"keep_ms\" of at most a "
            "minute");
    char *block = mem_alloc(bytes > 0 ? (size_t)bytes : 1);
    if (!block)
        return step_out_of_memory(t, "what it was to allocate");
    volatile char *touched = block; /* written, though nobody reads it */
    for (int64_t i = 0; i < bytes; i += PAGE)
        touched[i] = 1;
    struct work *work = step_work(t);
    for (int64_t left = (int64_t)(keep_ms * (double)NS_PER_MS); left > 0 && !weir_cancelled(t);
         left -= NS_PER_MS)
        work->burn(work, left < NS_PER_MS ? left : NS_PER_MS);
    mem_free(block);
    weir_out_object(t);
    weir_out_key(t, "bytes");
    weir_out_integer(t, bytes);
    weir_out_end(t);
    return 0;
}

const struct weir_step step_allocate = {.name = "allocate", .run = run};

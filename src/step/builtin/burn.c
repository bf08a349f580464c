/*
 * burn.c: computes for a given processor time, for tests and labs: {"ms": 30}, {"us": 50}, or 30,
 * which are milliseconds. In slices, between which it sees that nobody waits any more.
 */
#include "step/builtin/builtin.h"

#include "base/time.h"

#define SLICE_NS NS_PER_MS
#define MOST_MS  (3600.0 * 1000)

static int run(struct weir_task *t)
{
    const struct weir_value *input = weir_input(t);
    const struct weir_value *us = weir_member(input, "us");
    double ms = us ? weir_number(us, -1) / 1000
                   : weir_number(weir_member(input, "ms"), weir_number(input, -1));
    if (!(ms >= 0 && ms <= MOST_MS))
        return weir_reject(
            t, "invalid-input", "burn wants {\"ms\": N} or {\"us\": N}, from nothing to an hour");
    struct work *work = step_work(t);
    for (int64_t left = (int64_t)(ms * (double)NS_PER_MS); left > 0;) {
        int64_t slice = left < SLICE_NS ? left : SLICE_NS;
        work->burn(work, slice);
        left -= slice;
        if (left > 0 && weir_cancelled(t))
            return weir_fail(t, "cancelled", "nobody waits for the rest of the %g ms", ms);
    }
    weir_out_object(t);
    weir_out_key(t, "burned_ms");
    weir_out_number(t, ms);
    weir_out_end(t);
    return 0;
}

const struct weir_step step_burn = {.name = "burn", .run = run};

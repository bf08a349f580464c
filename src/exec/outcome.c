/*
 * outcome.c: name, HTTP status and errno of each outcome.
 */
#include "exec/client.h"

#include "base/bug.h"

#include <errno.h>

static const struct {
    const char *name;
    int status;
    int code;
} outcomes[POOL_OUTCOMES] = {
    [POOL_DONE] = {"done", 200, 0},
    [POOL_FAILED] = {"step-failed", 500, -EIO},
    [POOL_REJECTED] = {"rejected", 422, -EINVAL},
    [POOL_OVERLOADED] = {"overloaded", 503, -ENOBUFS},
    [POOL_EXPIRED] = {"timeout", 504, -ETIMEDOUT},
    [POOL_CANCELLED] = {"cancelled", 503, -ECANCELED},
    [POOL_DIED] = {"worker-died", 503, -EPIPE},
    [POOL_OUT_OF_MEMORY] = {"worker-out-of-memory", 503, -ENOMEM},
    [POOL_TIMEOUT] = {"worker-timeout", 503, -ETIME},
    [POOL_UNAVAILABLE] = {"pool-unavailable", 503, -EAGAIN},
    [POOL_TOO_LARGE] = {"input-too-large", 413, -EMSGSIZE},
    [POOL_OUTPUT_TOO_LARGE] = {"output-too-large", 500, -EFBIG},
};

static void is_one(enum pool_outcome outcome)
{
    check((unsigned)outcome < POOL_OUTCOMES, "%u is no outcome", (unsigned)outcome);
}

int pool_outcome_status(enum pool_outcome outcome)
{
    is_one(outcome);
    return outcomes[outcome].status;
}

const char *pool_outcome_name(enum pool_outcome outcome)
{
    is_one(outcome);
    return outcomes[outcome].name;
}

int pool_outcome_errno(enum pool_outcome outcome)
{
    is_one(outcome);
    return outcomes[outcome].code;
}

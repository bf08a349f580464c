/*
 * deadline.h: the Weir-Deadline field: how long the answer to a request is waited for.
 *
 *     Weir-Deadline: 480
 *
 * Whole milliseconds from when the request is read, without a sign; 0 is no time at all. Written
 * rounded down, so that no weir works for longer than it is waited for. Pure.
 */
#pragma once

#include "base/bytes.h"

#include <stdint.h>

#define DEADLINE_FIELD    "Weir-Deadline"
#define DEADLINE_TEXT_MAX 20

/* 0; -EINVAL: it is no number. One that is too large for nanoseconds is INT64_MAX. */
int deadline_read(struct span text, int64_t *ns) __attribute__((warn_unused_result));
/* Its text, which begins somewhere in `out`. A negative span is none. */
struct span deadline_write(char out[DEADLINE_TEXT_MAX], int64_t ns);

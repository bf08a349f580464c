/*
 * frame.h: the echo protocol's codec: a frame is its payload's length, four bytes, most significant
 * first, and the payload.
 *
 * Pure: bytes to meaning and back, no I/O. It reads from a buffer that holds whatever has arrived,
 * be it a part of a frame or several.
 */
#pragma once

#include "base/bytes.h"

#include <stdint.h>
#include <sys/types.h>

#define FRAME_HEAD        4
#define FRAME_PAYLOAD_MAX (64 * 1024)

/* If a whole frame stands at the beginning: its size, head included, and its payload, which borrows
 * from `data`. 0: more bytes are needed. -EMSGSIZE: it announces more than FRAME_PAYLOAD_MAX. */
ssize_t frame_decode(const char *data, size_t len, struct span *payload);

void frame_encode_head(char head[FRAME_HEAD], uint32_t payload_len);

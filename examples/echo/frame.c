/*
 * frame.c: see frame.h. The length is checked before it is believed: it comes from a stranger.
 */
#include "frame.h"

#include <errno.h>

ssize_t frame_decode(const char *data, size_t len, struct span *payload)
{
    if (len < FRAME_HEAD)
        return 0;
    const unsigned char *head = (const unsigned char *)data;
    uint32_t size =
        (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
    if (size > FRAME_PAYLOAD_MAX)
        return -EMSGSIZE;
    if (len - FRAME_HEAD < size)
        return 0;
    *payload = (struct span){.ptr = data + FRAME_HEAD, .len = size};
    return (ssize_t)(FRAME_HEAD + size);
}

void frame_encode_head(char head[FRAME_HEAD], uint32_t payload_len)
{
    head[0] = (char)(payload_len >> 24);
    head[1] = (char)(payload_len >> 16);
    head[2] = (char)(payload_len >> 8);
    head[3] = (char)payload_len;
}

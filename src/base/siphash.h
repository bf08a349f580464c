/*
 * siphash.h: SipHash-1-3, the hash of every table whose names come from outside: short, quick, and
 * nobody finds collisions without the key. The same on every machine.
 */
#pragma once

#include "base/bytes.h"

#include <endian.h>

static inline uint64_t siphash_turn(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline void siphash_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = siphash_turn(v[1], 13) ^ v[0];
    v[0] = siphash_turn(v[0], 32);
    v[2] += v[3];
    v[3] = siphash_turn(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = siphash_turn(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = siphash_turn(v[1], 17) ^ v[2];
    v[2] = siphash_turn(v[2], 32);
}

static inline void siphash_take(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    siphash_round(v);
    v[0] ^= word;
}

static inline uint64_t siphash(const uint64_t key[2], struct span text)
{
    uint64_t v[4] = {
        key[0] ^ UINT64_C(0x736f6d6570736575),
        key[1] ^ UINT64_C(0x646f72616e646f6d),
        key[0] ^ UINT64_C(0x6c7967656e657261),
        key[1] ^ UINT64_C(0x7465646279746573),
    };
    size_t left = text.len;
    const char *at = text.ptr;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        siphash_take(v, le64toh(word));
    }
    uint64_t last = (uint64_t)text.len << 56;
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)(unsigned char)at[i] << (8 * i);
    siphash_take(v, last);
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        siphash_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

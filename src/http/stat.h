/*
 * stat.h: a counter of http_server_stats or http_client_stats: one thread writes it, any may read.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/* `n` may be negative. A load and a store: no other thread writes. */
static inline void stat_add(_Atomic uint64_t *stat, int64_t n)
{
    uint64_t now = atomic_load_explicit(stat, memory_order_relaxed);
    atomic_store_explicit(stat, now + (uint64_t)n, memory_order_relaxed);
}

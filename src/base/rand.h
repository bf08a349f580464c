/*
 * rand.h: repeatable random numbers (xoshiro256**, seeded by splitmix64).
 *
 * Not for secrets: those come from world_random. A generator belongs to one thread. The same seed
 * gives the same numbers on every machine and in every build, so all distributions here are
 * computed in integers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rand {
    uint64_t state[4];
};

void rand_init(struct rand *r, uint64_t seed);
uint64_t rand_u64(struct rand *r);
/* Uniform in [0, bound), without bias; bound must not be 0. */
uint64_t rand_below(struct rand *r, uint64_t bound);
/* Uniform in [low, high], both included. */
int64_t rand_between(struct rand *r, int64_t low, int64_t high);
/* True `parts` times out of a million. */
bool rand_ppm(struct rand *r, uint32_t parts);
/* Exponentially distributed around `mean`, at most 32 * mean; never negative. */
int64_t rand_exponential(struct rand *r, int64_t mean);
void rand_fill(struct rand *r, void *buffer, size_t size);

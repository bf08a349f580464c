/*
 * rand.c: xoshiro256** (Blackman and Vigna), and distributions that never leave the integers.
 */
#include "base/rand.h"

#include "base/bug.h"

static uint64_t rotate_left(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

/* splitmix64: turns any seed, 0 included, into a state that is not all zero. */
static uint64_t next_of_seed(uint64_t *seed)
{
    uint64_t x = *seed += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

void rand_init(struct rand *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        r->state[i] = next_of_seed(&seed);
}

uint64_t rand_u64(struct rand *r)
{
    uint64_t *s = r->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* Lemire's way: the high half of a product is the answer; the few low halves that would make some
 * answers likelier than others are drawn again. */
uint64_t rand_below(struct rand *r, uint64_t bound)
{
    check(bound > 0, "a random number below 0 was asked for");
    unsigned __int128 product = (unsigned __int128)rand_u64(r) * bound;
    if ((uint64_t)product < bound) {
        uint64_t unfair = -bound % bound;
        while ((uint64_t)product < unfair)
            product = (unsigned __int128)rand_u64(r) * bound;
    }
    return (uint64_t)(product >> 64);
}

int64_t rand_between(struct rand *r, int64_t low, int64_t high)
{
    check(low <= high, "a random number between %lld and %lld was asked for", (long long)low,
        (long long)high);
    uint64_t last = (uint64_t)high - (uint64_t)low;
    uint64_t offset = last == UINT64_MAX ? rand_u64(r) : rand_below(r, last + 1);
    return (int64_t)((uint64_t)low + offset);
}

bool rand_ppm(struct rand *r, uint32_t parts)
{
    return rand_below(r, 1000000) < parts;
}

/* -log2(x / 2^64), for x > 0, with 32 binary places. The mantissa m, in [1, 2), is squared once a
 * place: m * m >= 2 says that the place of log2(m) is a one. */
static uint64_t minus_log2_q32(uint64_t x)
{
    unsigned leading_zeros = (unsigned)__builtin_clzll(x);
    uint64_t m = x << leading_zeros; /* 1 is 2^63 */
    uint64_t log2_m = 0;
    for (int place = 0; place < 32; place++) {
        unsigned __int128 square = (unsigned __int128)m * m;
        bool at_least_two = (bool)(square >> 127);
        m = (uint64_t)(square >> (at_least_two ? 64 : 63));
        log2_m = log2_m << 1 | at_least_two;
    }
    return ((uint64_t)(leading_zeros + 1) << 32) - log2_m;
}

#define LN_2_Q32      UINT64_C(2977044472) /* ln 2 with 32 binary places */
#define MEANS_AT_MOST 32

int64_t rand_exponential(struct rand *r, int64_t mean)
{
    uint64_t x = rand_u64(r);
    if (mean <= 0)
        return 0;
    uint64_t means_q32 =
        (uint64_t)((unsigned __int128)minus_log2_q32(x | (x == 0)) * LN_2_Q32 >> 32);
    if (means_q32 > (uint64_t)MEANS_AT_MOST << 32)
        means_q32 = (uint64_t)MEANS_AT_MOST << 32;
    unsigned __int128 value = (unsigned __int128)(uint64_t)mean * means_q32 >> 32;
    return value < INT64_MAX ? (int64_t)value : INT64_MAX;
}

void rand_fill(struct rand *r, void *buffer, size_t size)
{
    unsigned char *bytes = buffer;
    uint64_t word = 0;
    for (size_t i = 0; i < size; i++) {
        word = i % 8 == 0 ? rand_u64(r) : word >> 8;
        bytes[i] = (unsigned char)word;
    }
}

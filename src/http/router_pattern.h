/*
 * router_pattern.h: a parsed pattern (router.h has the syntax). For the router only.
 */
#pragma once

#include "http/router.h"

struct router_pattern {
    unsigned segment_count; /* the rest included */
    uint64_t literals;      /* bit i: segment i is one */
    uint64_t params;        /* bit i: segment i is one; without the rest */
    bool rest;
    unsigned name_count; /* the rest's included */
    struct span names[ROUTER_PARAMS_MAX];
    /* Literals, decoded, in `text`; empty at parameters. */
    struct span segments[ROUTER_SEGMENTS_MAX];
    char text[ROUTER_PATTERN_MAX];
    size_t text_len;
    char wrong[240]; /* the text of a formatted error */
};

static inline uint64_t router_bit(unsigned i)
{
    return UINT64_C(1) << i;
}

/* 0, or -EINVAL with a sentence. Names point into `text`. */
int router_pattern_read(struct router_pattern *p, struct span text, struct error *e)
    __attribute__((warn_unused_result));
/* -EINVAL with the sentence "route '...': what". */
int router_pattern_refuse(struct error *e, struct span text, const char *what);
/* The part of a pattern that error sentences show. */
struct span router_pattern_shown(struct span text);

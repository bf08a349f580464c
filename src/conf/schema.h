/*
 * schema.h: the table of every key: what it is called, its type, unit, bounds, default, description
 * and an example. Reading, printing, the JSON Schema and the reference all go by it.
 *
 * A key's value lives at `offset` in its section's struct; its default is a text that is read like
 * the user's own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_type {
    /* Scalars; in brackets what is at `offset`. */
    CONF_DURATION, /* [int64_t] ns, from min to max */
    CONF_SIZE,     /* [uint64_t] bytes */
    CONF_COUNT,    /* [unsigned] */
    CONF_SEED,     /* [uint64_t] */
    CONF_BOOL,     /* [bool] */
    CONF_CHOICE,   /* [an enum] index in `choices` */
    CONF_ORDER,    /* [bool] sequential */
    CONF_TEXT,     /* [const char *] at most `max` bytes, fit for a header field */
    CONF_ADDRESS,  /* [const char *] */
    CONF_ADMIN,    /* [const char *] an address; NULL for off */
    CONF_THREADS,  /* [unsigned] 1 to max; 0 for auto */
    CONF_PATTERN,  /* [struct conf_route: method, pattern] "GET /x" */
    CONF_NAME,     /* [const char *] of a pool or a step */
    CONF_PATH,     /* [const char *] of a file, as seen from the one that names it */
    /* Trees, left as they stand. [const struct conf_node *] */
    CONF_TEMPLATE,
    CONF_FIELDS,   /* a map of templates by header field */
    CONF_STATUS,   /* a number or a template */
    CONF_PRIORITY, /* a number from -max to max, or a reference */
    CONF_STATUSES, /* a number, a range, or a list of them */
    CONF_URL,
    CONF_METHOD,
    CONF_LITERAL, /* dollars in it are dollars */
    /* Parts with a table of their own. */
    CONF_SECTION,   /* [the section's struct] */
    CONF_LISTENERS, /* [struct config: listen, listen_count] */
    CONF_ROUTES,    /* [struct config: routes, route_count] */
    CONF_NODES,     /* [struct conf_route: nodes, node_count] */
    CONF_SLEEP,     /* [struct conf_sleep] */
    CONF_HTTP,      /* [struct conf_http] */
    CONF_POOLS,     /* [struct config: pools, pool_count] */
    CONF_STEPS,     /* [struct config: steps, step_count] */
    CONF_RANGE,     /* [struct conf_sleep: low_ns, high_ns] two durations */
    CONF_INCLUDE,   /* taken out before */
};

struct conf_section;

struct conf_key {
    const char *name;
    enum conf_type type;
    bool required;
    size_t offset;
    uint64_t min;
    uint64_t max;
    const char *default_;       /* the default, as it would be written; NULL: none */
    const char *default_words;  /* ... in words, where it is no text */
    size_t inherits;            /* where in struct config the default is; 0: nowhere */
    const char *const *choices; /* NULL ends them */
    const struct conf_section *section;
    unsigned pools; /* of which kinds of pool it is a key, a bit each; 0: all */
    const char *unit;
    const char *description;
    const char *example;
};

struct conf_section {
    const char *name;  /* "limits" */
    const char *title; /* of its part of the reference */
    const char *description;
    const char *short_form; /* what may stand in place of the map, for the reference; or NULL */
    const struct conf_key *keys;
    unsigned count;
};

extern const struct conf_section conf_section_root;
extern const struct conf_section conf_section_listener;
extern const struct conf_section conf_section_limits;
extern const struct conf_section conf_section_timeouts;
extern const struct conf_section conf_section_log;
extern const struct conf_section conf_section_client;
extern const struct conf_section conf_section_pool;
extern const struct conf_section conf_section_step;
extern const struct conf_section conf_section_batch;
extern const struct conf_section conf_section_route;
extern const struct conf_section conf_section_node;
extern const struct conf_section conf_section_http;
extern const struct conf_section conf_section_uniform;
extern const struct conf_section conf_section_exponential;

/* All of them, in the reference's order; NULL ends them. */
extern const struct conf_section *const conf_sections[];

#define CONF_KEYS_MAX 16 /* of a section */

/* By enum conf_pool_kind; NULL ends them. */
extern const char *const conf_pool_kinds[];

#define CONF_POOLS_MAX 64
#define CONF_STEPS_MAX 1000
/* Of pools and steps; nodes' are a byte longer. */
#define CONF_WORD_MAX  63

const struct conf_key *conf_section_key(const struct conf_section *section, const char *name);

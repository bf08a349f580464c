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

struct bytes;
struct conf_flow_node;
struct conf_key;
struct conf_node;
struct conf_reader;
struct conf_section;
struct conf_show;
struct conf_where;

/* What a key's value is: how it is read, shown and described. A new type is one of these; nothing
 * else asks which it is. */
struct conf_type {
    const char *words;  /* in the reference, where the key has neither choices nor a unit */
    size_t size;        /* of what is at the key's `offset`, where keys inherit it; else 0 */
    bool is_setting;    /* a flow is the same whatever the value is */
    bool may_be_empty;  /* "limits:" and nothing is as good as no such key */
    bool keeps_default; /* what is at `offset` points to the default's own text */
    /* 0, also if the value was wrong, which is an error then; -ENOMEM. */
    int (*read)(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
        const struct conf_where *where, void *at);
    /* The value as it would be written; NULL: there is none, or no memory. */
    struct conf_node *(*show)(struct conf_show *s, const struct conf_key *key, const void *at,
        const struct conf_node *origin);
    /* What a JSON Schema says of it: members of an object. NULL: anything goes. */
    int (*schema)(struct bytes *out, const struct conf_key *key);
    /* ", 1 to 1000", for the reference; NULL: nothing. */
    int (*bounds)(struct bytes *out, const struct conf_key *key);
};

/* In brackets what is at `offset`. */
extern const struct conf_type conf_type_duration; /* [int64_t] ns, from min to max */
extern const struct conf_type conf_type_size;     /* [uint64_t] bytes */
extern const struct conf_type conf_type_count;    /* [unsigned]; less than min: not given */
extern const struct conf_type conf_type_seed;     /* [uint64_t] */
extern const struct conf_type conf_type_bool;     /* [bool] */
extern const struct conf_type conf_type_threads;  /* [unsigned] 1 to max; 0 for auto */
extern const struct conf_type conf_type_choice;   /* [an enum] index in `choices` */
extern const struct conf_type conf_type_text;     /* [const char *] fit for a header field */
extern const struct conf_type conf_type_texts;    /* [const char *const *] NULL ends them */
extern const struct conf_type conf_type_name;     /* [const char *] of a pool or a step */
extern const struct conf_type conf_type_path;     /* [const char *] as seen from its file */
extern const struct conf_type conf_type_target;   /* [const char *] "/path?query" */
extern const struct conf_type conf_type_address;  /* [const char *] */
extern const struct conf_type conf_type_admin;    /* [const char *] an address; NULL for off */
extern const struct conf_type conf_type_pattern;  /* [struct conf_route] "GET /x" */
/* Trees, left as they are. [const struct conf_node *] */
extern const struct conf_type conf_type_template;
extern const struct conf_type conf_type_literal;  /* dollars in it are dollars */
extern const struct conf_type conf_type_fields;   /* a map of templates by header field */
extern const struct conf_type conf_type_status;   /* a number or a template */
extern const struct conf_type conf_type_priority; /* a number from -max to max, or a reference */
extern const struct conf_type conf_type_url;
extern const struct conf_type conf_type_method;
extern const struct conf_type conf_type_statuses; /* [struct conf_statuses] */
/* Parts with keys of their own. */
extern const struct conf_type conf_type_section;   /* [the section's struct] */
extern const struct conf_type conf_type_listeners; /* [struct config] */
extern const struct conf_type conf_type_routes;    /* [struct config] */
extern const struct conf_type conf_type_nodes;     /* [struct conf_route] */
extern const struct conf_type conf_type_pools;     /* [struct config] */
extern const struct conf_type conf_type_steps;     /* [struct config] */
extern const struct conf_type conf_type_upstreams; /* [struct config] */
extern const struct conf_type conf_type_servers;   /* [struct conf_upstream] */
extern const struct conf_type conf_type_include;   /* taken out before */

struct conf_key {
    const char *name;
    const struct conf_type *type;
    bool required;
    size_t offset;
    uint64_t min;
    uint64_t max;
    const char *default_;       /* the default, as it would be written; NULL: none */
    const char *default_words;  /* ... in words, where it is no text */
    size_t inherits;            /* where in struct config the default is; 0: nowhere */
    const char *const *choices; /* NULL ends them */
    const struct conf_section *section;
    unsigned pools;      /* of which kinds of pool it is a key, a bit each; 0: all */
    const char *repeats; /* another key, whose text this one has unless it is given */
    const char *unit;
    const char *description;
    const char *example;
};

struct conf_section {
    const char *name;  /* "limits": in the JSON Schema */
    const char *title; /* of its part of the reference */
    const char *description;
    const char *short_form; /* what may stand in place of the map, for the reference; or NULL */
    const struct conf_key *keys;
    unsigned count;
    const char *schema; /* what its JSON Schema says of keys together: more members; or NULL */
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
extern const struct conf_section conf_section_upstream;
extern const struct conf_section conf_section_server;
extern const struct conf_section conf_section_retry;
extern const struct conf_section conf_section_eject;
extern const struct conf_section conf_section_health;
extern const struct conf_section conf_section_route;
extern const struct conf_section conf_section_node; /* what nodes of any kind may have */

/* Those above but nodes', in the reference's order; NULL ends them. */
extern const struct conf_section *const conf_sections[];

#define CONF_KEYS_MAX 32 /* of a section, and of a node */

/* `.keys` and `.count` of a section. */
#define CONF_KEYS(array)  .keys = (array), .count = sizeof(array) / sizeof *(array)
#define CONF_DURATION_MAX (UINT64_C(720) * 3600 * 1000 * 1000 * 1000) /* 720 hours */

/* By enum conf_pool_kind; NULL ends them. */
extern const char *const conf_pool_kinds[];

#define CONF_POOLS_MAX     64
#define CONF_STEPS_MAX     1000
#define CONF_UPSTREAMS_MAX 1000
/* Of pools and steps; nodes' are a byte longer. */
#define CONF_WORD_MAX      63

const struct conf_key *conf_section_key(const struct conf_section *section, const char *name);

/* ---- Kinds of nodes ---- */

/* A kind's keys are members of a node's map. The first names the kind; the others have a meaning
 * only beside it. Their offsets are in the configuration of the kind. */
struct conf_flow_kind {
    const struct conf_key *keys;
    unsigned key_count;
    size_t size;                                /* of its configuration */
    const struct conf_section *const *sections; /* of its keys' values; NULL ends them; or NULL */
    /* After the keys are read, `map` is a map: checks what they say together. 0 or -ENOMEM. NULL:
     * there is nothing to check. */
    int (*finish)(struct conf_reader *r, const struct conf_node *map,
        const struct conf_where *where, struct conf_flow_node *node);
};

struct conf_flow_kinds {
    const struct conf_flow_kind *const *list;
    unsigned count;
};

/* A node's section: the keys of all kinds, then those of any kind, copied to `keys`. */
struct conf_section conf_flow_section(
    const struct conf_flow_kinds *kinds, struct conf_key keys[CONF_KEYS_MAX]);
#define CONF_FLOW_KINDS_TEXT_MAX 256
/* "`sleep`, `http` and `step`", with `quote` around each. */
const char *conf_flow_kinds_text(
    const struct conf_flow_kinds *kinds, const char *quote, char out[CONF_FLOW_KINDS_TEXT_MAX]);

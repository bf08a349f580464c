/*
 * weir_asks.h: what weirs are configured to do, and what they are asked, with what each has to be
 * answered.
 */
#pragma once

#include "weir_crowd.h"

#define MS NS_PER_MS
#define S  NS_PER_S

/* What the configurations say. */
#define ROUTE_NS (1 * S)
#define DRAIN_NS (3 * S)

struct ask_set {
    const struct ask *asks;
    unsigned count;
};

extern const struct ask_set usual;     /* all of it can be answered well */
extern const struct ask_set troubled;  /* by backends that fail */
extern const struct ask_set working;   /* hardly anything but steps, of every kind of pool */
extern const struct ask_set versioned; /* answered by what write_version says */

#define CONFIG_MAX (8 * 1024)

/* One that answers all but `versioned`. How many threads and workers there are, how long these
 * last, and whether there is an access log, is up to the seed. */
void write_config(struct sim *sim, char config[CONFIG_MAX]);
/* Each reply says which version of it answered. */
void write_version(struct sim *sim, char config[CONFIG_MAX], unsigned version);

/*
 * plan.h: what a configuration asks of a supervisor: the text that a server gets, and the sockets.
 *
 * A plan is made from the configuration file, at the start and at each reload, and does not change
 * after. It is refused as a whole if anything is wrong with it: then nothing has changed, and the
 * log says why. Servers that replace a crashed one run by the plan that was good, not by what the
 * file says meanwhile.
 */
#pragma once

#include "app/override.h"
#include "app/sockets.h"
#include "base/bytes.h"
#include "base/log.h"
#include "conf/config.h"

struct plan_source {
    const char *path;
    const struct conf_source *files;
    const struct overrides *overrides; /* NULL: none */
    bool unsafe;                       /* steps that are meant to do harm may be used */
};

struct plan {
    unsigned users;
    struct conf *conf;
    struct bytes text;        /* conf_write's */
    struct socket_set *admin; /* or NULL */
    unsigned set_count;
    struct socket_set *sets[SPAWN_LISTENERS_MAX];
};

/* Reads and checks, and opens sockets that are not open yet. The caller is the plan's one user. 0;
 * -EINVAL: the configuration is bad; another negative errno: it cannot be had here. Why is logged,
 * a line a mistake. */
int plan_make(struct plan **out, const struct plan_source *source, struct sockets *sockets,
    struct log *log) __attribute__((warn_unused_result));
void plan_use(struct plan *p);
/* One user less; without any it is freed, and sockets that only it used are closed. */
void plan_drop(struct plan *p);

/* How long a server may take to be ready: what its slowest pool may take for its workers, and
 * some. */
int64_t plan_start_ns(const struct plan *p);
/* Says where it listens. */
void plan_log_addresses(const struct plan *p, const struct log *log);

static inline const struct config *plan_config(const struct plan *p)
{
    return conf_config(p->conf);
}

/* Reads, applies the overrides and checks: 0, or -EINVAL and `errors` says why, or another negative
 * errno. After -EINVAL, `out` is what was understood, as conf_load has it. */
int plan_read(struct conf **out, const struct plan_source *source, struct conf_errors *errors)
    __attribute__((warn_unused_result));

/*
 * loaded_config.h: a configuration as a supervisor uses it: the text that a server gets, and the
 * sockets.
 *
 * Made from the configuration file at the start and at each reload; does not change after. A file
 * with any mistake is refused as a whole, and the log explains why. A server that replaces a
 * crashed one gets the configuration that was loaded, not the file's content of that moment.
 */
#pragma once

#include "app/override.h"
#include "app/sockets.h"
#include "base/bytes.h"
#include "base/log.h"
#include "conf/config.h"

struct loaded_config_source {
    const char *path;
    const struct conf_source *files;
    const struct overrides *overrides; /* NULL: none */
    bool unsafe;                       /* allows steps that do harm on purpose */
};

struct loaded_config {
    unsigned users;
    struct conf *conf;
    struct bytes text;        /* conf_write's */
    struct socket_set *admin; /* or NULL */
    unsigned set_count;
    struct socket_set *sets[SPAWN_LISTENERS_MAX];
};

/* Reads and checks the file, and opens sockets that are not open yet. The caller is the one user of
 * the result. 0; -EINVAL: the configuration is bad; another negative errno: it cannot be used on
 * this machine. The reasons are logged, a line for each mistake. */
int loaded_config_load(struct loaded_config **out, const struct loaded_config_source *source,
    struct sockets *sockets, struct log *log) __attribute__((warn_unused_result));
void loaded_config_use(struct loaded_config *p);
/* The last user frees it, which closes sockets that only it used. */
void loaded_config_drop(struct loaded_config *p);

/* How long a server may take to be ready: START_NS beyond the longest `start` of its pools. */
int64_t loaded_config_start_ns(const struct loaded_config *p);
/* Logs the addresses. */
void loaded_config_log_addresses(const struct loaded_config *p, const struct log *log);

static inline const struct config *loaded_config_values(const struct loaded_config *p)
{
    return conf_config(p->conf);
}

/* Reads, applies the overrides and checks: 0; -EINVAL with `errors`, and `out` is what could be
 * read, as of conf_load; or another negative errno. */
int loaded_config_read(struct conf **out, const struct loaded_config_source *source,
    struct conf_errors *errors) __attribute__((warn_unused_result));

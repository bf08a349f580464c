/*
 * loaded_config.c: see loaded_config.h.
 */
#include "app/loaded_config.h"

#include "app/check.h"
#include "base/bug.h"
#include "base/mem.h"
#include "coro/coro.h"
#include "flow/flow.h"

#include <errno.h>
#include <string.h>

#define TEXT_MAX      (16u << 20) /* of a configuration, written out */
#define ADDRESSES_MAX 8           /* of a name */
#define RESOLVE_NS    (10 * NS_PER_S)
#define START_NS      (10 * NS_PER_S) /* of a server whose pools are ready at once */

/* ---- Reading ---- */

int loaded_config_read(
    struct conf **out, const struct loaded_config_source *source, struct conf_errors *errors)
{
    const struct overrides *o = source->overrides;
    struct conf *conf;
    int rc = conf_load(&conf, source->path, source->files, &flow_kinds, errors);
    if (conf) {
        int checked = app_check(conf, source->unsafe, errors);
        rc = checked == -ENOMEM ? checked : rc ? rc : checked;
    }
    /* Checked before the overrides: errors have the file's lines. */
    if (rc == 0 && o && (o->listen || o->log_level || o->log_format)) {
        rc = override_conf(&conf, o, errors);
        if (rc == 0)
            rc = app_check(conf, source->unsafe, errors);
    }
    if (rc && rc != -EINVAL) {
        conf_free(conf);
        conf = NULL;
    }
    *out = conf;
    return rc;
}

/* ---- Sockets ---- */

/* Sockets of an init replace the addresses that they have; or all of `listen`, if they have none of
 * these. */
static bool given_replace_all(const struct sockets *sockets, const struct config *c)
{
    bool any = false;
    list_each (link, &sockets->sets)
        any |= list_entry(link, struct socket_set, link)->role == SOCKET_GIVEN;
    for (unsigned i = 0; i < c->listen_count && any; i++) {
        struct address at;
        if (address_parse(&at, c->listen[i].address, NULL) == 0 &&
            sockets_find(sockets, SOCKET_GIVEN, &at))
            return false;
    }
    return any;
}

static void take_all_given(struct loaded_config *p, const struct sockets *sockets)
{
    list_each (link, &sockets->sets) {
        struct socket_set *set = list_entry(link, struct socket_set, link);
        if (set->role != SOCKET_GIVEN || p->set_count == SPAWN_LISTENERS_MAX)
            continue;
        socket_set_use(set);
        p->sets[p->set_count++] = set;
    }
}

/* Finds the addresses: the one given, or all of a name. Returns their number, or a negative errno.
 * */
static int find_addresses(
    struct world *w, const char *text, struct address out[ADDRESSES_MAX], struct error *e)
{
    char name[ADDRESS_NAME_MAX + 1];
    uint16_t port;
    if (!address_is_name(text, name, &port)) {
        int rc = address_parse(&out[0], text, e);
        return rc ? rc : 1;
    }
    CORO_DEADLINE(deadline_after(world_now(w), RESOLVE_NS));
    int count = world_resolve(w, name, port, out, ADDRESSES_MAX);
    if (count > 0)
        return count;
    return error_set(e, count ? count : -ENOENT, "resolve",
        "cannot listen on %s: the name '%s' cannot be resolved: %s; use an address such as "
        "127.0.0.1:%u",
        text, name, error_text(count ? count : -ENOENT), port);
}

static int take_one(struct loaded_config *p, struct sockets *sockets,
    const struct socket_wish *wish, struct error *e)
{
    if (p->set_count == SPAWN_LISTENERS_MAX)
        return error_set(e, -E2BIG, "sockets", "more addresses than the %u that a server can have",
            SPAWN_LISTENERS_MAX);
    struct socket_set *given = sockets_find(sockets, SOCKET_GIVEN, &wish->at);
    int rc = 0;
    if (given) {
        socket_set_use(given);
        p->sets[p->set_count] = given;
    } else {
        rc = sockets_get(sockets, wish, &p->sets[p->set_count], e);
    }
    p->set_count += rc == 0;
    return rc;
}

/* A name may have addresses of a kind that this machine lacks: one that works is enough. */
static int take(struct loaded_config *p, struct sockets *sockets, const struct conf_listen *listen,
    unsigned count_max, struct error *e)
{
    struct address found[ADDRESSES_MAX];
    int count = find_addresses(sockets->world, listen->address, found, e);
    if (count < 0)
        return count;
    unsigned before = p->set_count;
    int lacking = 0;
    for (int i = 0; i < count; i++) {
        struct socket_wish wish = {.role = SOCKET_LISTEN,
            .at = found[i],
            .backlog = (int)listen->backlog,
            .count_max = count_max / (unsigned)count};
        int rc = take_one(p, sockets, &wish, e);
        if (rc == -EADDRNOTAVAIL || rc == -EAFNOSUPPORT)
            lacking = rc;
        else if (rc)
            return rc;
    }
    return p->set_count > before ? 0 : lacking;
}

/* The number of sockets that a process inherits is limited. Open ones count as they are; each
 * further address gets at least one. */
static unsigned sockets_left(const struct loaded_config *p, unsigned addresses_left)
{
    unsigned used = 1; /* the admin's */
    for (unsigned i = 0; i < p->set_count; i++)
        used += p->sets[i]->count;
    used += addresses_left - 1;
    return used < SPAWN_LISTENERS_MAX ? SPAWN_LISTENERS_MAX - used : 0;
}

static int take_admin(struct loaded_config *p, struct sockets *sockets, struct error *e)
{
    const struct config *c = loaded_config_values(p);
    struct socket_wish wish = {
        .role = SOCKET_ADMIN, .backlog = WORLD_BACKLOG_DEFAULT, .count_max = 1};
    if (!c->admin)
        return 0;
    struct address found[ADDRESSES_MAX];
    int rc = find_addresses(sockets->world, c->admin, found, e);
    wish.at = found[0];
    if (rc > 0)
        rc = sockets_get(sockets, &wish, &p->admin, e);
    if (rc == -EADDRINUSE)
        rc = error_set(e, rc, "bind",
            "admin: another process listens on %s; choose another address (--admin), or set "
            "'admin: off'",
            c->admin);
    else if (rc)
        error_prefix(e, "admin");
    return rc;
}

static int take_sockets(struct loaded_config *p, struct sockets *sockets, struct error *e)
{
    const struct config *c = loaded_config_values(p);
    int rc = 0;
    if (sockets->each == 0)
        sockets->each = c->threads ? c->threads : world_cores(sockets->world);
    if (given_replace_all(sockets, c))
        take_all_given(p, sockets);
    else
        for (unsigned i = 0; i < c->listen_count && rc == 0; i++)
            rc = take(p, sockets, &c->listen[i], sockets_left(p, c->listen_count - i), e);
    if (rc == 0)
        rc = take_admin(p, sockets, e);
    unsigned all = p->admin != NULL;
    for (unsigned i = 0; i < p->set_count; i++)
        all += p->sets[i]->count;
    if (rc == 0 && all > SPAWN_LISTENERS_MAX)
        rc = error_set(e, -E2BIG, "sockets",
            "%u sockets are more than the %u that a server can inherit; use fewer addresses, "
            "or restart",
            all, SPAWN_LISTENERS_MAX);
    return rc;
}

/* ---- Loading ---- */

void loaded_config_use(struct loaded_config *p)
{
    check(p->users > 0, "a configuration is used that was freed");
    p->users++;
}

void loaded_config_drop(struct loaded_config *p)
{
    check(p->users > 0, "a configuration is dropped that has no users");
    if (--p->users > 0)
        return;
    for (unsigned i = 0; i < p->set_count; i++)
        socket_set_drop(p->sets[i]);
    if (p->admin)
        socket_set_drop(p->admin);
    bytes_release(&p->text);
    conf_free(p->conf);
    mem_free(p);
}

static void log_lines(struct log *log, struct span text)
{
    while (text.len > 0) {
        const char *end = memchr(text.ptr, '\n', text.len);
        size_t len = end ? (size_t)(end - text.ptr) : text.len;
        log_error(log, "%.*s", (int)len, text.ptr);
        len += end != NULL;
        text.ptr += len;
        text.len -= len;
    }
}

static void log_errors(struct log *log, const struct conf_errors *errors)
{
    struct bytes text;
    bytes_init(&text, TEXT_MAX);
    if (conf_errors_write(errors, &text) == 0)
        log_lines(log, bytes_span(&text));
    else
        log_error(log, "no memory to list the mistakes in the configuration");
    bytes_release(&text);
}

static int read_logged(
    struct conf **out, const struct loaded_config_source *source, struct log *log)
{
    struct conf_errors *errors = conf_errors_new();
    *out = NULL;
    int rc = errors ? loaded_config_read(out, source, errors) : -ENOMEM;
    if (rc && errors && conf_errors_count(errors))
        log_errors(log, errors);
    else if (rc)
        log_error(log, "cannot load %s: %s", source->path, error_text(rc));
    if (rc) {
        conf_free(*out);
        *out = NULL;
    }
    conf_errors_free(errors);
    return rc;
}

int loaded_config_load(struct loaded_config **out, const struct loaded_config_source *source,
    struct sockets *sockets, struct log *log)
{
    struct loaded_config *p = mem_zalloc(sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->users = 1;
    bytes_init(&p->text, TEXT_MAX);
    int rc = read_logged(&p->conf, source, log);
    if (rc) {
        mem_free(p);
        return rc;
    }
    struct error e;
    error_clear(&e);
    rc = conf_write(p->conf, &p->text);
    if (rc == 0)
        rc = take_sockets(p, sockets, &e);
    if (rc) {
        log_error(log, "%s", e.code ? e.sentence : error_text(rc));
        loaded_config_drop(p);
        return rc == -EINVAL ? -EIO : rc;
    }
    *out = p;
    return 0;
}

/* ---- Values for the supervisor ---- */

static int64_t pool_start(const struct config *c, const char *name)
{
    for (unsigned i = 0; i < c->pool_count; i++)
        if (strcmp(c->pools[i].name, name) == 0)
            return c->pools[i].start;
    return 0;
}

int64_t loaded_config_start_ns(const struct loaded_config *p)
{
    const struct config *c = loaded_config_values(p);
    int64_t longest = 0;
    for (unsigned i = 0; i < c->route_count; i++)
        for (unsigned j = 0; j < c->routes[i].node_count; j++) {
            const struct conf_flow_node *n = &c->routes[i].nodes[j];
            int64_t start = n->work.pool ? pool_start(c, n->work.pool) : 0;
            longest = start > longest ? start : longest;
        }
    return START_NS + longest;
}

void loaded_config_log_addresses(const struct loaded_config *p, const struct log *log)
{
    struct address at;
    char text[ADDRESS_TEXT_MAX];
    for (unsigned i = 0; i < p->set_count; i++) {
        listener_address(p->sets[i]->listeners[0], &at);
        log_with(log, LOG_INFO, LOG_FIELDS(LOG_TEXT("address", address_print(&at, text))),
            "listening on %s", address_print(&at, text));
    }
    if (p->admin) {
        listener_address(p->admin->listeners[0], &at);
        log_with(log, LOG_INFO, LOG_FIELDS(LOG_TEXT("address", address_print(&at, text))),
            "admin pages on %s", address_print(&at, text));
    }
}

/*
 * types.c: single values: from a node to what the table says, or a sentence.
 */
#include "conf/read.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#define EXPECTED_MAX 192

/* ---- Numbers, durations, sizes ---- */

/* What the text means as a value: a `${...}` means what it would have meant if it stood there. */
static enum conf_scalar scalar_of(const struct conf_node *n, bool *b, int64_t *i)
{
    struct conf_node plain = *n;
    plain.quoted = n->quoted && !n->expanded;
    return conf_scalar(&plain, b, i, NULL);
}

static const char *in_quotes(const struct conf_node *n)
{
    struct conf_node plain = *n;
    plain.quoted = false;
    bool other = n->kind == CONF_SCALAR && n->quoted && !n->expanded &&
                 conf_scalar(&plain, NULL, NULL, NULL) != CONF_IS_TEXT;
    return other ? "; without the quotes it is one" : "";
}

/* A number or boolean from a default in `${...}` is handed on as what it was taken for. */
static void take_plain(struct conf_node *n)
{
    n->quoted = n->quoted && (!n->expanded || n->secret);
}

static bool integer_of(struct conf_node *n, uint64_t least, uint64_t most, uint64_t *out)
{
    int64_t i;
    if (n->kind != CONF_SCALAR || scalar_of(n, NULL, &i) != CONF_IS_INTEGER || i < 0 ||
        (uint64_t)i < least || (uint64_t)i > most)
        return false;
    *out = (uint64_t)i;
    take_plain(n);
    return true;
}

static void read_count(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    uint64_t value;
    char expected[EXPECTED_MAX];
    if (integer_of(n, key->min, key->max, &value)) {
        if (key->type == CONF_SEED)
            *(uint64_t *)at = value;
        else
            *(unsigned *)at = (unsigned)value;
        return;
    }
    snprintf(expected, sizeof expected, "a whole number from %" PRIu64 " to %" PRIu64, key->min,
        key->max);
    conf_tell(r, n, where, expected, in_quotes(n));
}

static void read_threads(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, unsigned *at)
{
    uint64_t value;
    char expected[EXPECTED_MAX];
    if (n->kind == CONF_SCALAR && span_equal(n->text, SPAN("auto"))) {
        *at = 0;
    } else if (integer_of(n, 1, key->max, &value)) {
        *at = (unsigned)value;
    } else {
        snprintf(
            expected, sizeof expected, "'auto' or a whole number from 1 to %" PRIu64, key->max);
        conf_tell(r, n, where, expected, in_quotes(n));
    }
}

/* Tells what conf_duration or conf_size said, unless it would show a secret. */
static void tell_amount(struct conf_reader *r, const struct conf_node *n,
    const struct conf_where *where, const char *expected, const struct error *e)
{
    char place[CONF_WHERE_MAX];
    if (n->secret || n->told)
        conf_tell(r, n, where, expected, "");
    else
        conf_error(r->errors, &n->mark, "%s: %s", conf_where_text(where, place), e->sentence);
}

static void read_duration(struct conf_reader *r, const struct conf_key *key,
    const struct conf_node *n, const struct conf_where *where, int64_t *at)
{
    struct error e;
    int64_t ns;
    char least[CONF_AMOUNT_MAX];
    char most[CONF_AMOUNT_MAX];
    char expected[EXPECTED_MAX];
    if (n->kind != CONF_SCALAR) {
        conf_tell(r, n, where, "a duration such as 250ms, 1.5s or 2m", "");
    } else if (conf_duration(n->text, &ns, &e)) {
        tell_amount(r, n, where, "a duration such as 250ms, 1.5s or 2m", &e);
    } else if ((uint64_t)ns < key->min || (uint64_t)ns > key->max) {
        snprintf(expected, sizeof expected, "a duration from %s to %s",
            conf_duration_text((int64_t)key->min, least),
            conf_duration_text((int64_t)key->max, most));
        conf_tell(r, n, where, expected, "");
    } else {
        *at = ns;
    }
}

static void read_size(struct conf_reader *r, const struct conf_key *key, const struct conf_node *n,
    const struct conf_where *where, uint64_t *at)
{
    struct error e;
    uint64_t bytes;
    char least[CONF_AMOUNT_MAX];
    char most[CONF_AMOUNT_MAX];
    char expected[EXPECTED_MAX];
    if (n->kind != CONF_SCALAR) {
        conf_tell(r, n, where, "a size such as 64KiB or 1MiB", "");
    } else if (conf_size(n->text, &bytes, &e)) {
        tell_amount(r, n, where, "a size such as 64KiB or 1MiB", &e);
    } else if (bytes < key->min || bytes > key->max) {
        snprintf(expected, sizeof expected, "a size from %s to %s", conf_size_text(key->min, least),
            conf_size_text(key->max, most));
        conf_tell(r, n, where, expected, "");
    } else {
        *at = bytes;
    }
}

/* ---- Words ---- */

/* "{id}" without quotes is a map whose one key has no value. */
static const char *needs_quotes(const struct conf_node *n)
{
    bool braces = n->kind == CONF_MAP && n->count == 1 && n->members[0].value->kind == CONF_NULL;
    return braces ? "; a text that begins with '{' needs quotes" : "";
}

static void read_bool(
    struct conf_reader *r, struct conf_node *n, const struct conf_where *where, bool *at)
{
    static const char *const yes[] = {"yes", "on", "true", "y", "1"};
    static const char *const no[] = {"no", "off", "false", "n", "0"};
    if (n->kind == CONF_SCALAR && scalar_of(n, at, NULL) == CONF_IS_BOOL) {
        take_plain(n);
        return;
    }
    const char *hint = in_quotes(n);
    for (size_t i = 0; i < 5 && n->kind == CONF_SCALAR && !n->quoted; i++) {
        if (strcasecmp(n->text.ptr, yes[i]) == 0)
            hint = "; write true";
        if (strcasecmp(n->text.ptr, no[i]) == 0)
            hint = "; write false";
    }
    conf_tell(r, n, where, "true or false", hint);
}

static void read_choice(struct conf_reader *r, const struct conf_key *key,
    const struct conf_node *n, const struct conf_where *where, void *at)
{
    size_t count = 0;
    size_t len = 0;
    char expected[EXPECTED_MAX] = "";
    char hint[64] = "";
    for (; key->choices[count]; count++) {
        if (n->kind == CONF_SCALAR && span_equal(n->text, span_of(key->choices[count]))) {
            if (key->type == CONF_ORDER)
                *(bool *)at = count == 1;
            else
                *(unsigned *)at = (unsigned)count; /* an enum without negative values */
            return;
        }
        const char *before = count == 0 ? "" : key->choices[count + 1] ? ", " : " or ";
        int printed =
            snprintf(expected + len, sizeof expected - len, "%s%s", before, key->choices[count]);
        len += printed < 0 ? 0 : (size_t)printed;
    }
    const char *near =
        n->kind == CONF_SCALAR && !n->secret ? conf_nearest(n->text, key->choices, count) : NULL;
    if (near)
        snprintf(hint, sizeof hint, "; did you mean '%s'?", near);
    conf_tell(r, n, where, expected, hint);
}

static bool has_controls(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
            return true;
    return false;
}

static bool is_text(const struct conf_node *n)
{
    return n->kind == CONF_SCALAR && conf_scalar(n, NULL, NULL, NULL) == CONF_IS_TEXT;
}

static void read_text(struct conf_reader *r, const struct conf_key *key, const struct conf_node *n,
    const struct conf_where *where, const char **at)
{
    char expected[EXPECTED_MAX];
    if (is_text(n) && n->text.len >= key->min && n->text.len <= key->max &&
        !has_controls(n->text)) {
        *at = n->text.ptr;
        return;
    }
    bool is_other = n->kind == CONF_SCALAR && !is_text(n);
    snprintf(expected, sizeof expected,
        "a text of %" PRIu64 " to %" PRIu64 " bytes without control characters", key->min,
        key->max);
    conf_tell(r, n, where, expected, is_other ? "; put it in quotes" : "");
}

/* ---- Names and paths ---- */

bool conf_is_name(struct span s, size_t max)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && ((c >= '0' && c <= '9') || c == '-')))
            return false;
    }
    return s.len > 0 && s.len <= max;
}

static void read_name(struct conf_reader *r, const struct conf_node *n,
    const struct conf_where *where, const char **at)
{
    bool is_other = n->kind == CONF_SCALAR && !is_text(n) && conf_is_name(n->text, CONF_WORD_MAX);
    if (is_text(n) && conf_is_name(n->text, CONF_WORD_MAX))
        *at = n->text.ptr;
    else
        conf_tell(r, n, where, "a name: at most 63 letters, digits, '_' and '-', a letter first",
            is_other ? "; put it in quotes" : "");
}

/* "/srv/weir/tagger.so". The tree has it too, so that it is handed on like that: who is handed a
 * configuration may be elsewhere. It has a slash, without which the linker would search its own
 * folders for it. */
static int complete_path(struct conf_reader *r, struct conf_node *n)
{
    char *folder = NULL;
    char *path = conf_path_beside(r->arena, n->mark.file, n->text);
    if (!path)
        return -ENOMEM;
    if (path[0] != '/' && r->source && r->source->folder) {
        int rc = r->source->folder(r->source->ctx, &folder);
        if (rc == -ENOMEM)
            return rc;
    }
    if (folder)
        path = arena_printf(r->arena, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, path);
    else if (!strchr(path, '/'))
        path = arena_printf(r->arena, "./%s", path);
    mem_free(folder);
    if (!path)
        return -ENOMEM;
    n->text = span_of(path);
    n->quoted = true;
    return 0;
}

static int read_path(
    struct conf_reader *r, struct conf_node *n, const struct conf_where *where, const char **at)
{
    bool is_other = n->kind == CONF_SCALAR && !is_text(n);
    if (!is_text(n) || n->text.len == 0 || has_controls(n->text)) {
        conf_tell(r, n, where, "the path of a file", is_other ? "; put it in quotes" : "");
        return 0;
    }
    int rc = n->told ? 0 : complete_path(r, n);
    *at = n->text.ptr;
    return rc;
}

/* ---- Addresses ---- */

#define ADDRESSES                                                               \
    "an address such as 127.0.0.1:8080, localhost:8080, [::1]:8080, *:8080 or " \
    "unix:/run/weir.sock, or a port"
#define HOST_NAME_LONGEST 100

static bool is_port(struct span s)
{
    unsigned value = 0;
    if (s.len == 0 || s.len > 5 || (s.ptr[0] == '0' && s.len > 1))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        value = value * 10 + (unsigned)(s.ptr[i] - '0');
    }
    return value <= 65535;
}

/* One that is resolved when the server starts: with a letter, as an address has none. */
static bool is_host_name(struct span host)
{
    bool letter = false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '-' && c != '.')
            return false;
        letter |= is_letter;
    }
    return letter && host.len <= HOST_NAME_LONGEST;
}

static bool is_host(struct span host)
{
    char text[64];
    unsigned char binary[sizeof(struct in6_addr)];
    bool six = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (span_equal(host, SPAN("*")))
        return true;
    if (six)
        host = (struct span){host.ptr + 1, host.len - 2};
    const char *scope = six ? memchr(host.ptr, '%', host.len) : NULL;
    if (scope)
        host.len = (size_t)(scope - host.ptr);
    if (!six && is_host_name(host))
        return true;
    if (host.len >= sizeof text)
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return inet_pton(six ? AF_INET6 : AF_INET, text, binary) == 1;
}

/* The look of an address; whoever listens there parses it. */
static const char *address_of(struct conf_reader *r, const struct conf_node *n, int *rc)
{
    struct span s = n->text;
    *rc = 0;
    if (n->kind != CONF_SCALAR || s.len == 0 || s.len > 127 || has_controls(s))
        return NULL;
    bool alone = is_port(s);
    if (alone || (s.ptr[0] == ':' && is_port((struct span){s.ptr + 1, s.len - 1}))) {
        const char *whole = arena_printf(r->arena, "127.0.0.1:%s", s.ptr + !alone);
        *rc = whole ? 0 : -ENOMEM;
        return whole;
    }
    if (s.len > 5 && memcmp(s.ptr, "unix:", 5) == 0)
        return s.len == 6 && s.ptr[5] == '@' ? NULL : s.ptr;
    const char *colon = memrchr(s.ptr, ':', s.len);
    if (!colon || !is_port(span_of(colon + 1)))
        return NULL;
    return is_host((struct span){s.ptr, (size_t)(colon - s.ptr)}) ? s.ptr : NULL;
}

static int read_address(struct conf_reader *r, const struct conf_key *key,
    const struct conf_node *n, const struct conf_where *where, const char **at)
{
    int rc;
    bool admin = key->type == CONF_ADMIN;
    if (admin)
        r->conf->config.admin_mark = n->mark;
    if (admin && n->kind == CONF_SCALAR && span_equal(n->text, SPAN("off"))) {
        *at = NULL;
        return 0;
    }
    const char *address = address_of(r, n, &rc);
    if (address) {
        *at = address;
        return 0;
    }
    const char *hint = "";
    if (admin && n->kind == CONF_SCALAR && !n->quoted &&
        conf_nearest(n->text, (const char *const[]){"false", "no", "none"}, 3))
        hint = "; for no admin listener write off";
    if (rc == 0)
        conf_tell(r, n, where, admin ? ADDRESSES ", or off" : ADDRESSES, hint);
    return rc;
}

/* ---- A route's method and path ---- */

static bool is_method(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!(s.ptr[i] >= 'A' && s.ptr[i] <= 'Z') && !strchr("-_", s.ptr[i]))
            return false;
    return s.len > 0 && s.len <= 32;
}

static int read_pattern(struct conf_reader *r, const struct conf_key *key,
    const struct conf_node *n, const struct conf_where *where, struct conf_route *route)
{
    struct span s = n->text;
    const char *space = n->kind == CONF_SCALAR ? memchr(s.ptr, ' ', s.len) : NULL;
    struct span method = {s.ptr, space ? (size_t)(space - s.ptr) : 0};
    bool any = n->kind == CONF_SCALAR && s.len > 0 && s.ptr[0] == '/';
    struct span pattern = s;
    if (!any && space) {
        size_t at = method.len + strspn(space, " ");
        pattern = (struct span){s.ptr + at, s.len - at};
    }
    bool method_good = any || (space && (is_method(method) || span_equal(method, SPAN("*"))));
    bool pattern_good = pattern.len > 0 && pattern.ptr[0] == '/';
    if (!method_good || !pattern_good || s.len > key->max || has_controls(s)) {
        const char *hint = s.len > key->max               ? "; at most 1024 bytes"
                           : pattern_good && !method_good ? "; methods are written in capitals"
                                                          : needs_quotes(n);
        conf_tell(r, n, where, "a method and a path such as 'GET /hello/{name}'", hint);
        return 0;
    }
    route->route_mark = n->mark;
    route->method = any ? "*" : arena_copy(r->arena, method);
    route->pattern = pattern.ptr;
    return route->method ? 0 : -ENOMEM;
}

/* ---- Trees ---- */

/* What flows take for a template: dollars from outside are no references. */
static void make_template(struct conf_node *n)
{
    if (n->escaped.ptr) {
        n->text = n->escaped;
        n->escaped = (struct span){0};
    }
    for (unsigned i = 0; i < n->count; i++)
        make_template(n->kind == CONF_MAP ? n->members[i].value : n->elements[i]);
}

static void read_fields(struct conf_reader *r, struct conf_node *n, const struct conf_where *where,
    const struct conf_node **at)
{
    static const char token[] =
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char place[CONF_WHERE_MAX];
    char found[CONF_FOUND_MAX];
    if (n->kind != CONF_MAP) {
        conf_tell(r, n, where, "a map of header fields such as {cache-control: no-store}", "");
        return;
    }
    for (unsigned i = 0; i < n->count; i++) {
        struct span name = n->members[i].name;
        if (name.len == 0 || strspn(name.ptr, token) != name.len)
            conf_error(r->errors, &n->members[i].mark,
                "%s: found the name %s, expected letters, digits and '-'",
                conf_where_text(where, place), conf_quoted(name, found));
    }
    make_template(n);
    *at = n;
}

static bool has_dollar(const struct conf_node *n)
{
    return is_text(n) && memchr(n->text.ptr, '$', n->text.len);
}

static void read_status(struct conf_reader *r, struct conf_node *n, const struct conf_where *where,
    const struct conf_node **at)
{
    uint64_t value;
    bool number = integer_of(n, 200, 599, &value);
    if (!number && !has_dollar(n)) {
        conf_tell(r, n, where, "a number from 200 to 599 or a reference such as $node.x.status",
            in_quotes(n));
        return;
    }
    make_template(n);
    if (number)
        n->quoted = false; /* also one from a variable */
    *at = n;
}

static bool is_signed(struct conf_node *n, int64_t most)
{
    int64_t i;
    return n->kind == CONF_SCALAR && scalar_of(n, NULL, &i) == CONF_IS_INTEGER && i >= -most &&
           i <= most;
}

static void read_priority(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, const struct conf_node **at)
{
    char expected[EXPECTED_MAX];
    bool number = is_signed(n, (int64_t)key->max);
    if (number) {
        take_plain(n);
    } else if (!has_dollar(n)) {
        snprintf(expected, sizeof expected,
            "a whole number from -%" PRIu64 " to %" PRIu64
            " or a reference such as $header.weir-priority",
            key->max, key->max);
        conf_tell(r, n, where, expected, in_quotes(n));
        return;
    }
    make_template(n);
    if (number)
        n->quoted = false; /* also one from a variable */
    *at = n;
}

static void read_literal(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, const struct conf_node **at)
{
    bool url = key->type == CONF_URL;
    if (!is_text(n) || (url ? n->text.len == 0 : !is_method(n->text))) {
        conf_tell(r, n, where,
            url ? "a URL such as http://127.0.0.1:9001/users" : "a method in capitals such as GET",
            needs_quotes(n));
        return;
    }
    make_template(n);
    *at = n;
}

int conf_read_scalar(struct conf_reader *r, const struct conf_key *key, struct conf_node *n,
    const struct conf_where *where, void *at)
{
    switch (key->type) {
    case CONF_DURATION:
        read_duration(r, key, n, where, at);
        return 0;
    case CONF_SIZE:
        read_size(r, key, n, where, at);
        return 0;
    case CONF_COUNT:
    case CONF_SEED:
        read_count(r, key, n, where, at);
        return 0;
    case CONF_THREADS:
        read_threads(r, key, n, where, at);
        return 0;
    case CONF_BOOL:
        read_bool(r, n, where, at);
        return 0;
    case CONF_CHOICE:
    case CONF_ORDER:
        read_choice(r, key, n, where, at);
        return 0;
    case CONF_TEXT:
        read_text(r, key, n, where, at);
        return 0;
    case CONF_FIELDS:
        read_fields(r, n, where, at);
        return 0;
    case CONF_STATUS:
        read_status(r, n, where, at);
        return 0;
    case CONF_PRIORITY:
        read_priority(r, key, n, where, at);
        return 0;
    case CONF_URL:
    case CONF_METHOD:
        read_literal(r, key, n, where, at);
        return 0;
    case CONF_ADDRESS:
    case CONF_ADMIN:
        return read_address(r, key, n, where, at);
    case CONF_PATTERN:
        return read_pattern(r, key, n, where, at);
    case CONF_NAME:
        read_name(r, n, where, at);
        return 0;
    case CONF_PATH:
        return read_path(r, n, where, at);
    case CONF_LITERAL:
        *(const struct conf_node **)at = n;
        return 0;
    default: /* CONF_TEMPLATE */
        make_template(n);
        *(const struct conf_node **)at = n;
        return 0;
    }
}

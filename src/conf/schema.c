/*
 * schema.c: see schema.h. A new key is a line here and a member in config.h.
 */
#include "conf/schema.h"

#include "conf/config.h"

#include <string.h>

#define MS        UINT64_C(1000000)
#define HOUR      (3600 * 1000 * MS)
#define LONG      (720 * HOUR)
#define KIB       UINT64_C(1024)
#define MIB       (1024 * KIB)
#define GIB       (1024 * MIB)
#define ROUTE_MAX 1024 /* of its name too, which is the same unless given */
#define KEYS(a)   .keys = (a), .count = sizeof(a) / sizeof *(a)

static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const formats[] = {"auto", "text", "json", NULL};
const char *const conf_pool_kinds[] = {"inline", "threads", "processes", "fork", NULL};
const char *const conf_builtin_steps[] = {"allocate", "burn", "crash", "echo", NULL};
static const char *const cancels[] = {"leave", "kill", NULL};
static const char *const errors_shown[] = {"short", "full", NULL}; /* by conf_errors_shown */
static const char *const orders[] = {"parallel", "sequential", NULL};
static const char *const dispatches[] = {
    "auto", "fused", "fanout", "inline", NULL}; /* by enum conf_dispatch */

/* ---- listen ---- */

#define AT(member) .offset = offsetof(struct conf_listen, member)
static const struct conf_key listener_keys[] = {
    {"address", CONF_ADDRESS, .required = true, AT(address),
        .description =
            "Where to listen. A port alone, or `:8080`, is on 127.0.0.1; `*:8080` is on every "
            "address of the machine; a name, as in `localhost:8080`, is on all addresses that "
            "it has when the configuration is read.",
        .example = "unix:/run/weir.sock"},
    {"backlog", CONF_COUNT, AT(backlog), .min = 1, .max = 65535, .default_ = "4096",
        .unit = "connections",
        .description = "How many connections the kernel holds until they are accepted."},
};
#undef AT
const struct conf_section conf_section_listener = {"listen", "listen: a listener",
    "An element of `listen`.",
    "the address alone: `listen: 127.0.0.1:8080`, or the port alone: `listen: 8080`",
    KEYS(listener_keys)};

/* ---- limits ---- */

#define AT(member) .offset = offsetof(struct conf_limits, member)
static const struct conf_key limits_keys[] = {
    {"line", CONF_SIZE, AT(line), .min = 64, .max = MIB, .default_ = "8KiB",
        .description = "The longest request line. Beyond it: 414."},
    {"head", CONF_SIZE, AT(head), .min = 256, .max = 16 * MIB, .default_ = "32KiB",
        .description = "The largest request head. Beyond it: 431."},
    {"fields", CONF_COUNT, AT(fields), .min = 1, .max = 1000, .default_ = "100", .unit = "fields",
        .description = "The most header fields of a request. Beyond it: 431."},
    {"body", CONF_SIZE, AT(body), .max = 16 * GIB, .default_ = "1MiB",
        .description =
            "The largest request body, where a route does not say its own. Beyond it: 413.",
        .example = "16MiB"},
    {"bodies", CONF_SIZE, AT(bodies), .max = 1024 * GIB, .default_ = "256MiB",
        .description =
            "The most memory for request bodies at once, over all I/O threads. What does not "
            "fit waits for as long as `timeouts.body`, then: 503. A body larger than this: "
            "413.",
        .example = "2GiB"},
    {"requests_per_connection", CONF_COUNT, AT(requests_per_connection), .max = 1000000000,
        .default_ = "0", .unit = "requests",
        .description = "After so many a connection is closed. 0: no limit."},
    {"connections", CONF_COUNT, AT(connections), .max = 10000000, .default_ = "65536",
        .unit = "connections",
        .description =
            "Open at once, over all listeners; each I/O thread has its share. 0: no limit."},
};
#undef AT
const struct conf_section conf_section_limits = {"limits", "limits: how large things may be",
    "What a client may ask for.", NULL, KEYS(limits_keys)};

/* ---- timeouts ---- */

#define AT(member) .offset = offsetof(struct conf_timeouts, member)
static const struct conf_key timeouts_keys[] = {
    {"headers", CONF_DURATION, AT(headers), .min = MS, .max = LONG, .default_ = "10s",
        .description = "From a request's first byte to the end of its head. Beyond it: 408."},
    {"body", CONF_DURATION, AT(body), .min = MS, .max = LONG, .default_ = "10s",
        .description = "Between two pieces of a body. Beyond it: 408."},
    {"body_rate", CONF_SIZE, AT(body_rate), .max = GIB, .default_ = "100", .unit = "bytes a second",
        .description =
            "The least average speed of a body, after the first `timeouts.body`. 0: none."},
    {"idle", CONF_DURATION, AT(idle), .min = MS, .max = LONG, .default_ = "75s",
        .description = "A kept connection's rest between two requests; then it is closed."},
    {"write", CONF_DURATION, AT(write), .min = MS, .max = LONG, .default_ = "30s",
        .description = "Until a client that reads nothing is given up."},
    {"request", CONF_DURATION, AT(request), .min = MS, .max = LONG, .default_ = "60s",
        .description = "A route's deadline, where it does not say its own. Beyond it: 504.",
        .example = "5s"},
    {"linger", CONF_DURATION, AT(linger), .max = LONG, .default_ = "2s",
        .description = "After the last reply, for the client to read it and close."},
    {"drain", CONF_DURATION, AT(drain), .max = LONG, .default_ = "30s",
        .description = "What running requests have to end, at reload and stop."},
};
#undef AT
const struct conf_section conf_section_timeouts = {"timeouts", "timeouts: how long things may take",
    "How long Weir waits for a client, and a client for Weir.", NULL, KEYS(timeouts_keys)};

/* ---- log ---- */

#define AT(member) .offset = offsetof(struct conf_log, member)
static const struct conf_key log_keys[] = {
    {"level", CONF_CHOICE, AT(level), .default_ = "info", .choices = levels,
        .description = "What is important enough to be logged."},
    {"format", CONF_CHOICE, AT(format), .default_ = "auto", .choices = formats,
        .description =
            "Lines for people or for programs; `auto` is text on a terminal and JSON elsewhere."},
    {"access", CONF_BOOL, AT(access), .default_ = "true",
        .description = "Whether each request is a line."},
};
#undef AT
const struct conf_section conf_section_log = {
    "log", "log: what is told", "The log goes to standard error.", NULL, KEYS(log_keys)};

/* ---- client ---- */

#define AT(member) .offset = offsetof(struct conf_client, member)
static const struct conf_key client_keys[] = {
    {"connections", CONF_COUNT, AT(connections), .max = 1000000, .default_ = "64",
        .unit = "connections", .description = "Kept idle, for each host and I/O thread."},
    {"in_use", CONF_COUNT, AT(in_use), .max = 1000000, .default_ = "1024", .unit = "connections",
        .description = "Open at once, for each host and I/O thread; others wait. 0: no limit."},
    {"idle", CONF_DURATION, AT(idle), .min = MS, .max = LONG, .default_ = "30s",
        .description = "After it a kept connection is closed."},
    {"connect", CONF_DURATION, AT(connect), .min = MS, .max = LONG, .default_ = "5s",
        .description = "Until a connection must stand."},
    {"first_byte", CONF_DURATION, AT(first_byte), .min = MS, .max = LONG, .default_ = "30s",
        .description = "From the request's end to the reply's first byte."},
    {"reply_head", CONF_SIZE, AT(reply_head), .min = 256, .max = 16 * MIB, .default_ = "32KiB",
        .description = "The largest reply head that is read."},
    {"reply_body", CONF_SIZE, AT(reply_body), .max = 16 * GIB, .default_ = "16MiB",
        .description = "The largest reply body that is read."},
    {"adaptive", CONF_BOOL, AT(adaptive), .default_ = "true",
        .description = "Whether as many calls of a node are under way, on each I/O thread, as its "
                       "upstream answers without becoming slower; others wait.",
        .example = "false"},
    {"waiting", CONF_COUNT, AT(waiting), .max = 1000000, .default_ = "1024", .unit = "calls",
        .description =
            "How many of a node's calls may wait for that, on each I/O thread. Beyond it: "
            "503.",
        .example = "64"},
    {"send_deadline", CONF_BOOL, AT(send_deadline), .default_ = "false",
        .description =
            "Whether calls say in a Weir-Deadline field how long their answer is waited for; "
            "for upstreams that are weirs.",
        .example = "true"},
};
#undef AT
const struct conf_section conf_section_client = {"client",
    "client: the servers that `http` nodes call",
    "How connections to other servers are kept, and what is read from them.", NULL,
    KEYS(client_keys)};

/* ---- pools ---- */

#define PROCESSES (1u << CONF_POOL_PROCESSES)
#define CHILDREN  (PROCESSES | 1u << CONF_POOL_FORK)
#define QUEUED    (CHILDREN | 1u << CONF_POOL_THREADS)

#define AT(member) .offset = offsetof(struct conf_pool, member)
static const struct conf_key pool_keys[] = {
    {"kind", CONF_CHOICE, AT(kind), .default_ = "threads", .choices = conf_pool_kinds,
        .description =
            "What runs the steps: the I/O thread itself (`inline`), threads of this process, "
            "worker processes, or a process forked anew for each task."},
    {"size", CONF_THREADS, AT(size), .max = 1024, .default_ = "auto", .pools = QUEUED,
        .description = "Workers; `auto` is as many as the processors that Weir may use."},
    {"queue", CONF_COUNT, AT(queue), .min = 1, .max = 1000000, .default_ = "4096", .pools = QUEUED,
        .unit = "tasks", .description = "How many may wait for a worker. Beyond it: 503."},
    {"start", CONF_DURATION, AT(start), .min = MS, .max = LONG, .default_ = "30s", .pools = QUEUED,
        .description = "Until a worker must be ready."},
    {"nice", CONF_COUNT, AT(nice), .max = 19, .default_ = "5", .pools = QUEUED,
        .description = "How much workers yield the processor to I/O threads."},
    {"step_threads", CONF_THREADS, AT(step_threads), .max = 1024, .default_ = "auto",
        .description =
            "How many threads of its own a step may use; `auto` is its worker's share of the "
            "processors."},
    {"value", CONF_SIZE, AT(value), .min = 1024, .max = GIB, .default_ = "16MiB",
        .description = "The longest input, and the longest output."},
    {"max_tasks", CONF_COUNT, AT(max_tasks), .max = 1000000000, .default_ = "0", .pools = PROCESSES,
        .unit = "tasks", .description = "After about so many a worker is replaced. 0: no limit.",
        .example = "100000"},
    {"memory", CONF_SIZE, AT(memory), .max = 16 * 1024 * GIB, .default_ = "0", .pools = CHILDREN,
        .description = "What each worker may have. 0: no limit.", .example = "1GiB"},
    {"hard_timeout", CONF_DURATION, AT(hard_timeout), .max = LONG, .default_ = "0",
        .pools = CHILDREN,
        .description = "A task that runs longer is killed with its worker. 0: no limit.",
        .example = "30s"},
    {"on_cancel", CONF_CHOICE, AT(on_cancel), .default_ = "leave", .choices = cancels,
        .pools = CHILDREN,
        .description =
            "What happens to a running task that nobody waits for any more: it is left to end, "
            "or killed with its worker."},
};
#undef AT
const struct conf_section conf_section_pool = {"pools", "pools: where steps run",
    "A pool has a name (letters, digits, `_` and `-`, a letter first). The pool `default` is there "
    "when a node needs it, of kind `threads` unless it is given here.",
    NULL, KEYS(pool_keys)};

/* ---- steps ---- */

#define AT(member) .offset = offsetof(struct conf_batch, member)
static const struct conf_key batch_keys[] = {
    {"max", CONF_COUNT, AT(max), .min = 1, .max = CONF_BATCH_MAX, .default_ = "1", .unit = "tasks",
        .description = "As many at most. 1: each alone.", .example = "32"},
    {"wait", CONF_DURATION, AT(wait), .max = 1000 * MS, .default_ = "0",
        .description =
            "How long the first waits for others, and never past a deadline. 0: those that "
            "wait already are taken.",
        .example = "2ms"},
};
#undef AT
const struct conf_section conf_section_batch = {"batch", "batch: several tasks of a step at once",
    "Tasks of the same step are taken from the queue together.", NULL, KEYS(batch_keys)};

#define AT(member) .offset = offsetof(struct conf_step, member)
static const struct conf_key step_keys[] = {
    {"plugin", CONF_PATH, AT(plugin), .default_words = "it is built in",
        .description = "The shared object that has it, as seen from this file.",
        .example = "./tagger.so"},
    {"step", CONF_NAME, AT(step), .default_words = "the same name",
        .description = "What the plugin calls it, or a built-in step.", .example = "tag"},
    {"pool", CONF_NAME, AT(pool), .default_ = "default",
        .description = "Where it runs, unless a node says so.", .example = "cpu"},
    {"retry", CONF_BOOL, AT(retry), .default_ = "false",
        .description = "Whether it may be run again, once, when its worker dies."},
    {"options", CONF_LITERAL, AT(options),
        .description = "Any value, for its start. Literal: nothing in it is a reference.",
        .example = "{model: /srv/models/topics}"},
    {"batch", CONF_SECTION, AT(batch), .section = &conf_section_batch,
        .description = "How many of its tasks are run together.",
        .example = "{max: 32, wait: 2ms}"},
};
#undef AT
const struct conf_section conf_section_step = {"steps", "steps: what nodes may run",
    "A step has a name (letters, digits, `_` and `-`, a letter first), by which nodes run it. The "
    "built-in steps `allocate`, `burn`, `crash` and `echo` need no entry, and their names are "
    "taken.",
    NULL, KEYS(step_keys)};

/* ---- A node ---- */

static const struct conf_key uniform_keys[] = {
    {"uniform", CONF_RANGE, .required = true, .max = LONG,
        .description = "Any duration between the two, each as likely.", .example = "[10ms, 20ms]"},
    {"seed", CONF_SEED, .offset = offsetof(struct conf_sleep, seed), .max = INT64_MAX,
        .default_ = "0",
        .description = "The same seed gives the same durations. 0: a different one in each run."},
};
const struct conf_section conf_section_uniform = {"sleep", "sleep: evenly distributed",
    "A sleep of a length between two bounds.", NULL, KEYS(uniform_keys)};

static const struct conf_key exponential_keys[] = {
    {"exponential", CONF_DURATION, .required = true, .offset = offsetof(struct conf_sleep, low_ns),
        .min = 1, .max = LONG, .description = "The mean; most are shorter, a few much longer.",
        .example = "70ms"},
    {"seed", CONF_SEED, .offset = offsetof(struct conf_sleep, seed), .max = INT64_MAX,
        .default_ = "0",
        .description = "The same seed gives the same durations. 0: a different one in each run."},
};
const struct conf_section conf_section_exponential = {"sleep", "sleep: exponentially distributed",
    "A sleep as waiting times often are.", NULL, KEYS(exponential_keys)};

#define AT(member) .offset = offsetof(struct conf_http, member)
static const struct conf_key http_keys[] = {
    {"url", CONF_URL, .required = true, AT(url),
        .description =
            "What to call. Scheme, host and port stand as they are; the rest is a template.",
        .example = "http://127.0.0.1:9001/users/$path.id"},
    {"method", CONF_METHOD, AT(method), .default_words = "GET, or POST with a body",
        .description = "The request's method, in capitals.", .example = "PUT"},
    {"headers", CONF_FIELDS, AT(headers), .description = "Header fields of the request: templates.",
        .example = "{authorization: 'Bearer ${file:/run/secrets/token}'}"},
    {"body", CONF_TEMPLATE, AT(body), .description = "The request's body: a template.",
        .example = "{id: $path.id}"},
    {"expect", CONF_STATUSES, AT(expect), .default_ = "200-299",
        .description = "Which statuses are no failure: a number, a range, or a list of them.",
        .example = "[200, 404]"},
    {"times", CONF_COUNT, AT(times), .min = 1, .max = 1000, .default_ = "1", .unit = "calls",
        .description = "So many calls at once. If it is given, the node's value is a list."},
    {"send_deadline", CONF_BOOL, AT(send_deadline),
        .inherits = offsetof(struct config, client.send_deadline),
        .default_words = "`client.send_deadline`",
        .description = "Whether a Weir-Deadline field says how long the answer is waited for.",
        .example = "true"},
};
#undef AT
const struct conf_section conf_section_http = {"http", "http: a call to another server",
    "The node's value is `{status, headers, body}` of the reply.",
    "the URL alone: `http: \"http://127.0.0.1:9001/users\"`", KEYS(http_keys)};

#define AT(member) .offset = offsetof(struct conf_flow_node, member)
static const struct conf_key node_keys[] = {
    {"sleep", CONF_SLEEP, AT(sleep), .min = 0, .max = LONG,
        .description =
            "Waits for a duration, or for one out of a distribution: `{uniform: [10ms, 20ms]}` or "
            "`{exponential: 70ms}`, each with a `seed` if wanted.",
        .example = "70ms"},
    {"http", CONF_HTTP, AT(http), .section = &conf_section_http,
        .description = "Calls another server.", .example = "http://127.0.0.1:9001/users/$path.id"},
    {"reply", CONF_TEMPLATE, AT(value), .description = "A template that becomes the node's value.",
        .example = "{name: $path.name}"},
    {"step", CONF_NAME, AT(step.step),
        .description =
            "Runs a step, one of `steps` or a built-in one; its output is the node's value.",
        .example = "tag"},
    {"input", CONF_TEMPLATE, AT(step.input), .default_words = "`$body`",
        .description = "What the step gets: a template.", .example = "{text: $body.text}"},
    {"pool", CONF_NAME, AT(step.pool), .default_words = "the step's",
        .description = "Where the step runs: one of `pools`, or `default`.", .example = "cpu"},
    {"deadline", CONF_DURATION, AT(deadline), .min = MS / 1000, .max = LONG,
        .default_words = "what is left of the route's; of an optional node, a little less",
        .description = "What the node may take.", .example = "200ms"},
    {"optional", CONF_BOOL, AT(optional), .default_ = "false",
        .description = "Its failure is not the request's: its value is `default` then."},
    {"default", CONF_TEMPLATE, AT(fallback), .default_words = "null",
        .description = "The value of an optional node that failed: a template.",
        .example = "{name: nobody}"},
};
#undef AT
const struct conf_section conf_section_node = {"nodes", "nodes: what a route does",
    "A node has a name (letters, digits, `_` and `-`, a letter first) and exactly one of `sleep`, "
    "`http`, `reply` and `step`.",
    NULL, KEYS(node_keys)};

/* ---- A route ---- */

#define AT(member) .offset = offsetof(struct conf_route, member)
#define INHERITS(member) \
    .inherits = offsetof(struct config, member), .default_words = "`" #member "`"
static const struct conf_key route_keys[] = {
    {"route", CONF_PATTERN, .required = true, .offset = 0, .max = ROUTE_MAX,
        .description =
            "Method and path. Without a method it answers every one. `{name}` is any one segment, "
            "`{name...}` the rest of the path. `:name`, `<name>` and `*` are refused, as they "
            "would be taken as they stand; `%3A`, `%3C` and `%2A` are these signs themselves.",
        .example = "GET /hello/{name}"},
    {"name", CONF_TEXT, AT(name), .min = 1, .max = ROUTE_MAX, .default_words = "what `route` says",
        .description = "What it is called in metrics and logs.", .example = "hello"},
    {"deadline", CONF_DURATION, AT(deadline), .min = MS, .max = LONG, INHERITS(timeouts.request),
        .description = "What a request may take. Beyond it: 504.", .example = "500ms"},
    {"body", CONF_SIZE, AT(body), .max = 16 * GIB, INHERITS(limits.body),
        .description = "The largest request body. Beyond it: 413.", .example = "16MiB"},
    {"order", CONF_ORDER, AT(sequential), .default_ = "parallel", .choices = orders,
        .description = "Nodes run at once as far as their references allow, or one after another."},
    {"dispatch", CONF_CHOICE, AT(dispatch), .default_ = "auto", .choices = dispatches,
        .description =
            "How steps that are ready together are run: as `auto` finds best, as one task "
            "(`fused`), as a task each (`fanout`), or on the I/O thread (`inline`, not where "
            "their pool is of kind `processes` or `fork`).",
        .example = "fused"},
    {"priority", CONF_PRIORITY, AT(priority), .max = CONF_PRIORITY_MAX, .default_ = "0",
        .description =
            "Steps of requests with a higher one are run first where workers are short. A "
            "reference to the request's head makes it each request's own.",
        .example = "-1"},
    {"max_in_flight", CONF_COUNT, AT(max_in_flight), .max = 1000000, .default_ = "0",
        .unit = "requests",
        .description =
            "As many requests have their nodes run at once, on each I/O thread; others wait "
            "in line. 1: strictly one after another. 0: no limit.",
        .example = "8"},
    {"nodes", CONF_NODES, .offset = 0, .section = &conf_section_node,
        .description = "What must be known for the reply, by name.",
        .example = "{pause: {sleep: 70ms}}"},
    {"reply", CONF_TEMPLATE, AT(reply), .default_words = "the nodes' values",
        .description = "The reply's body: a template.", .example = "{hello: $path.name}"},
    {"status", CONF_STATUS, AT(status), .default_ = "200",
        .description = "The reply's status: a number from 200 to 599, or a template.",
        .example = "201"},
    {"headers", CONF_FIELDS, AT(headers), .description = "Header fields of the reply: templates.",
        .example = "{cache-control: no-store}"},
};
#undef AT
const struct conf_section conf_section_route = {
    "routes", "routes: what is answered", "An element of `routes`.", NULL, KEYS(route_keys)};

/* ---- The whole ---- */

#define AT(member) .offset = offsetof(struct config, member)
static const struct conf_key root_keys[] = {
    {"include", CONF_INCLUDE,
        .description =
            "Other files to read, as seen from this one. They may hold any key: `listen` and "
            "`routes` "
            "grow, sections are joined, and nothing may be set twice.",
        .example = "[limits.yaml, routes/users.yaml]"},
    {"listen", CONF_LISTENERS, .offset = 0, .default_ = "127.0.0.1:8080",
        .section = &conf_section_listener,
        .description = "Where to listen: an address, a port, or a list of them."},
    {"admin", CONF_ADMIN, AT(admin), .default_ = "127.0.0.1:9900",
        .description =
            "Where `/livez`, `/readyz`, `/metrics` and `/config` are answered; `off` for nowhere.",
        .example = "off"},
    {"admin_hosts", CONF_TEXT, AT(admin_hosts), .min = 1, .max = 1024, .default_ = "localhost",
        .description =
            "By which names the admin pages may be asked for, with blanks between; by an "
            "address they always may. Others get a 421, so that no web page reads them through "
            "a name of its own (DNS rebinding).",
        .example = "localhost weir.internal"},
    {"threads", CONF_THREADS, AT(threads), .max = 256, .default_ = "auto", .unit = "threads",
        .description = "I/O threads; `auto` is as many as the processors that Weir may use.",
        .example = "4"},
    {"date", CONF_BOOL, AT(date), .default_ = "true",
        .description = "Whether replies have a Date field."},
    {"server", CONF_TEXT, AT(server), .max = 256, .default_ = "weir",
        .description = "The Server field of replies; `\"\"` for none."},
    {"server_timing", CONF_BOOL, AT(server_timing), .default_ = "true",
        .description =
            "Whether replies have a Server-Timing field: how long a request waited, and for "
            "what."},
    {"errors", CONF_CHOICE, AT(errors), .default_ = "short", .choices = errors_shown,
        .description =
            "What clients are told of failures inside: a sentence that names nothing, or the "
            "whole one, with nodes, pools and upstreams, as for development. The log has "
            "the whole one either way.",
        .example = "full"},
    {"limits", CONF_SECTION, AT(limits), .section = &conf_section_limits,
        .description = "How large things may be."},
    {"timeouts", CONF_SECTION, AT(timeouts), .section = &conf_section_timeouts,
        .description = "How long things may take."},
    {"log", CONF_SECTION, AT(log), .section = &conf_section_log, .description = "What is told."},
    {"client", CONF_SECTION, AT(client), .section = &conf_section_client,
        .description = "The servers that `http` nodes call."},
    {"pools", CONF_POOLS, .offset = 0, .section = &conf_section_pool,
        .description = "Where steps run, by name.",
        .example = "{cpu: {kind: processes, memory: 1GiB}}"},
    {"steps", CONF_STEPS, .offset = 0, .section = &conf_section_step,
        .description = "What nodes may run, by name.", .example = "{tag: {plugin: ./tagger.so}}"},
    /* Last: routes inherit from the sections, and name pools and steps. */
    {"routes", CONF_ROUTES, .offset = 0, .section = &conf_section_route,
        .description = "What is answered."},
};
#undef AT
const struct conf_section conf_section_root = {
    "the configuration", "The file", "All keys may be left out.", NULL, KEYS(root_keys)};

const struct conf_section *const conf_sections[] = {&conf_section_root, &conf_section_listener,
    &conf_section_limits, &conf_section_timeouts, &conf_section_log, &conf_section_client,
    &conf_section_pool, &conf_section_step, &conf_section_batch, &conf_section_route,
    &conf_section_node, &conf_section_http, &conf_section_uniform, &conf_section_exponential, NULL};

const struct conf_key *conf_section_key(const struct conf_section *section, const char *name)
{
    for (unsigned i = 0; i < section->count; i++)
        if (strcmp(section->keys[i].name, name) == 0)
            return &section->keys[i];
    return NULL;
}

/*
 * schema.c: see schema.h. A new key is a line here and a member in config.h.
 */
#include "conf/schema.h"

#include "conf/config.h"

#include "base/bug.h"

#include <stdio.h>
#include <string.h>

#define MS        UINT64_C(1000000)
#define KIB       UINT64_C(1024)
#define MIB       (1024 * KIB)
#define GIB       (1024 * MIB)
#define ROUTE_MAX 1024 /* of its name too, which is the same unless given */

static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const formats[] = {"auto", "text", "json", NULL};
const char *const conf_pool_kinds[] = {"inline", "threads", "processes", "fork", NULL};
const char *const conf_builtin_steps[] = {"allocate", "burn", "crash", "echo", NULL};
static const char *const cancels[] = {"leave", "kill", NULL};
static const char *const errors_shown[] = {"short", "full", NULL}; /* by conf_errors_shown */
static const char *const retries[] = {"idempotent", "safe", NULL}; /* conf_route_retry */
static const char *const orders[] = {"parallel", "sequential", NULL};
static const char *const dispatches[] = {
    "auto", "fused", "fanout", "inline", NULL}; /* by enum conf_dispatch */

/* ---- listen ---- */

#define AT(member) .offset = offsetof(struct conf_listen, member)
static const struct conf_key listener_keys[] = {
    {"address", &conf_type_address, .required = true, AT(address),
        .description =
            "Where to listen. A port alone, or `:8080`, is on 127.0.0.1; `*:8080` is on every "
            "address of the machine; a name, as in `localhost:8080`, is on all addresses that "
            "it has when the configuration is read.",
        .example = "unix:/run/weir.sock"},
    {"backlog", &conf_type_count, AT(backlog), .min = 1, .max = 65535, .default_ = "4096",
        .unit = "connections",
        .description = "How many connections the kernel holds until they are accepted."},
};
#undef AT
const struct conf_section conf_section_listener = {"listen", "listen: a listener",
    "An element of `listen`.",
    "the address alone: `listen: 127.0.0.1:8080`, or the port alone: `listen: 8080`",
    CONF_KEYS(listener_keys)};

/* ---- limits ---- */

#define AT(member) .offset = offsetof(struct conf_limits, member)
static const struct conf_key limits_keys[] = {
    {"line", &conf_type_size, AT(line), .min = 64, .max = MIB, .default_ = "8KiB",
        .description = "The longest request line. Beyond it: 414."},
    {"head", &conf_type_size, AT(head), .min = 256, .max = 16 * MIB, .default_ = "32KiB",
        .description = "The largest request head. Beyond it: 431."},
    {"fields", &conf_type_count, AT(fields), .min = 1, .max = 1000, .default_ = "100",
        .unit = "fields", .description = "The most header fields of a request. Beyond it: 431."},
    {"body", &conf_type_size, AT(body), .max = 16 * GIB, .default_ = "1MiB",
        .description =
            "The largest request body, where a route does not say its own. Beyond it: 413.",
        .example = "16MiB"},
    {"bodies", &conf_type_size, AT(bodies), .max = 1024 * GIB, .default_ = "256MiB",
        .description =
            "The most memory for request bodies at once, over all I/O threads. What does not "
            "fit waits for as long as `timeouts.body`, then: 503. A body larger than this: "
            "413.",
        .example = "2GiB"},
    {"requests_per_connection", &conf_type_count, AT(requests_per_connection), .max = 1000000000,
        .default_ = "0", .unit = "requests",
        .description = "After so many a connection is closed. 0: no limit."},
    {"connections", &conf_type_count, AT(connections), .max = 10000000, .default_ = "65536",
        .unit = "connections",
        .description =
            "Open at once, over all listeners; each I/O thread has its share. 0: no limit."},
};
#undef AT
const struct conf_section conf_section_limits = {"limits", "limits: how large things may be",
    "What a client may ask for.", NULL, CONF_KEYS(limits_keys)};

/* ---- timeouts ---- */

#define AT(member) .offset = offsetof(struct conf_timeouts, member)
static const struct conf_key timeouts_keys[] = {
    {"headers", &conf_type_duration, AT(headers), .min = MS, .max = CONF_DURATION_MAX,
        .default_ = "10s",
        .description = "From a request's first byte to the end of its head. Beyond it: 408."},
    {"body", &conf_type_duration, AT(body), .min = MS, .max = CONF_DURATION_MAX, .default_ = "10s",
        .description = "Between two pieces of a body. Beyond it: 408."},
    {"body_rate", &conf_type_size, AT(body_rate), .max = GIB, .default_ = "100",
        .unit = "bytes a second",
        .description =
            "The least average speed of a body, after the first `timeouts.body`. 0: none."},
    {"idle", &conf_type_duration, AT(idle), .min = MS, .max = CONF_DURATION_MAX, .default_ = "75s",
        .description = "A kept connection's rest between two requests; then it is closed."},
    {"write", &conf_type_duration, AT(write), .min = MS, .max = CONF_DURATION_MAX,
        .default_ = "30s", .description = "Until a client that reads nothing is given up."},
    {"request", &conf_type_duration, AT(request), .min = MS, .max = CONF_DURATION_MAX,
        .default_ = "60s",
        .description = "A route's deadline, where it does not say its own. Beyond it: 504.",
        .example = "5s"},
    {"linger", &conf_type_duration, AT(linger), .max = CONF_DURATION_MAX, .default_ = "2s",
        .description = "After the last reply, for the client to read it and close."},
    {"drain", &conf_type_duration, AT(drain), .max = CONF_DURATION_MAX, .default_ = "30s",
        .description = "What running requests have to end, at reload and stop."},
};
#undef AT
const struct conf_section conf_section_timeouts = {"timeouts", "timeouts: how long things may take",
    "How long Weir waits for a client, and a client for Weir.", NULL, CONF_KEYS(timeouts_keys)};

/* ---- log ---- */

#define AT(member) .offset = offsetof(struct conf_log, member)
static const struct conf_key log_keys[] = {
    {"level", &conf_type_choice, AT(level), .default_ = "info", .choices = levels,
        .description = "What is important enough to be logged."},
    {"format", &conf_type_choice, AT(format), .default_ = "auto", .choices = formats,
        .description =
            "Lines for people or for programs; `auto` is text on a terminal and JSON elsewhere."},
    {"access", &conf_type_bool, AT(access), .default_ = "true",
        .description = "Whether each request is a line."},
};
#undef AT
const struct conf_section conf_section_log = {
    "log", "log: what is told", "The log goes to standard error.", NULL, CONF_KEYS(log_keys)};

/* ---- client ---- */

#define AT(member) .offset = offsetof(struct conf_client, member)
static const struct conf_key client_keys[] = {
    {"connections", &conf_type_count, AT(connections), .max = 1000000, .default_ = "64",
        .unit = "connections", .description = "Kept idle, for each host and I/O thread."},
    {"in_use", &conf_type_count, AT(in_use), .max = 1000000, .default_ = "1024",
        .unit = "connections",
        .description = "Open at once, for each host and I/O thread; others wait. 0: no limit."},
    {"idle", &conf_type_duration, AT(idle), .min = MS, .max = CONF_DURATION_MAX, .default_ = "30s",
        .description = "After it a kept connection is closed."},
    {"connect", &conf_type_duration, AT(connect), .min = MS, .max = CONF_DURATION_MAX,
        .default_ = "5s", .description = "Until a connection must stand."},
    {"first_byte", &conf_type_duration, AT(first_byte), .min = MS, .max = CONF_DURATION_MAX,
        .default_ = "30s", .description = "From the request's end to the reply's first byte."},
    {"reply_head", &conf_type_size, AT(reply_head), .min = 256, .max = 16 * MIB,
        .default_ = "32KiB", .description = "The largest reply head that is read."},
    {"reply_body", &conf_type_size, AT(reply_body), .max = 16 * GIB, .default_ = "16MiB",
        .description = "The largest reply body that is read."},
    {"adaptive", &conf_type_bool, AT(adaptive), .default_ = "true",
        .description = "Whether as many calls of a node are under way, on each I/O thread, as its "
                       "upstream answers without becoming slower; others wait.",
        .example = "false"},
    {"waiting", &conf_type_count, AT(waiting), .max = 1000000, .default_ = "1024", .unit = "calls",
        .description =
            "How many of a node's calls may wait for that, on each I/O thread. Beyond it: "
            "503.",
        .example = "64"},
    {"send_deadline", &conf_type_bool, AT(send_deadline), .default_ = "false",
        .description =
            "Whether calls say in a Weir-Deadline field how long their answer is waited for; "
            "for upstreams that are weirs.",
        .example = "true"},
};
#undef AT
const struct conf_section conf_section_client = {"client",
    "client: the servers that `http` nodes call",
    "How connections to other servers are kept, and what is read from them.", NULL,
    CONF_KEYS(client_keys)};

/* ---- pools ---- */

#define PROCESSES (1u << CONF_POOL_PROCESSES)
#define CHILDREN  (PROCESSES | 1u << CONF_POOL_FORK)
#define QUEUED    (CHILDREN | 1u << CONF_POOL_THREADS)

#define AT(member) .offset = offsetof(struct conf_pool, member)
static const struct conf_key pool_keys[] = {
    {"kind", &conf_type_choice, AT(kind), .default_ = "threads", .choices = conf_pool_kinds,
        .description =
            "What runs the steps: the I/O thread itself (`inline`), threads of this process, "
            "worker processes, or a process forked anew for each task."},
    {"size", &conf_type_threads, AT(size), .max = 1024, .default_ = "auto", .pools = QUEUED,
        .description = "Workers; `auto` is as many as the processors that Weir may use."},
    {"queue", &conf_type_count, AT(queue), .min = 1, .max = 1000000, .default_ = "4096",
        .pools = QUEUED, .unit = "tasks",
        .description = "How many may wait for a worker. Beyond it: 503."},
    {"start", &conf_type_duration, AT(start), .min = MS, .max = CONF_DURATION_MAX,
        .default_ = "30s", .pools = QUEUED, .description = "Until a worker must be ready."},
    {"nice", &conf_type_count, AT(nice), .max = 19, .default_ = "5", .pools = QUEUED,
        .description = "How much workers yield the processor to I/O threads."},
    {"step_threads", &conf_type_threads, AT(step_threads), .max = 1024, .default_ = "auto",
        .description =
            "How many threads of its own a step may use; `auto` is its worker's share of the "
            "processors."},
    {"value", &conf_type_size, AT(value), .min = 1024, .max = GIB, .default_ = "16MiB",
        .description = "The longest input, and the longest output."},
    {"max_tasks", &conf_type_count, AT(max_tasks), .max = 1000000000, .default_ = "0",
        .pools = PROCESSES, .unit = "tasks",
        .description = "After about so many a worker is replaced. 0: no limit.",
        .example = "100000"},
    {"memory", &conf_type_size, AT(memory), .max = 16 * 1024 * GIB, .default_ = "0",
        .pools = CHILDREN, .description = "What each worker may have. 0: no limit.",
        .example = "1GiB"},
    {"hard_timeout", &conf_type_duration, AT(hard_timeout), .max = CONF_DURATION_MAX,
        .default_ = "0", .pools = CHILDREN,
        .description = "A task that runs longer is killed with its worker. 0: no limit.",
        .example = "30s"},
    {"on_cancel", &conf_type_choice, AT(on_cancel), .default_ = "leave", .choices = cancels,
        .pools = CHILDREN,
        .description =
            "What happens to a running task that nobody waits for any more: it is left to end, "
            "or killed with its worker."},
};
#undef AT
const struct conf_section conf_section_pool = {"pools", "pools: where steps run",
    "A pool has a name (letters, digits, `_` and `-`, a letter first). The pool `default` is there "
    "when a node needs it, of kind `threads` unless it is given here.",
    NULL, CONF_KEYS(pool_keys)};

/* ---- steps ---- */

#define AT(member) .offset = offsetof(struct conf_batch, member)
static const struct conf_key batch_keys[] = {
    {"max", &conf_type_count, AT(max), .min = 1, .max = CONF_BATCH_MAX, .default_ = "1",
        .unit = "tasks", .description = "As many at most. 1: each alone.", .example = "32"},
    {"wait", &conf_type_duration, AT(wait), .max = 1000 * MS, .default_ = "0",
        .description =
            "How long the first waits for others, and never past a deadline. 0: those that "
            "wait already are taken.",
        .example = "2ms"},
};
#undef AT
const struct conf_section conf_section_batch = {"batch", "batch: several tasks of a step at once",
    "Tasks of the same step are taken from the queue together.", NULL, CONF_KEYS(batch_keys)};

#define AT(member) .offset = offsetof(struct conf_step, member)
static const struct conf_key step_keys[] = {
    {"plugin", &conf_type_path, AT(plugin), .default_words = "it is built in",
        .description = "The shared object that has it, as seen from this file.",
        .example = "./tagger.so"},
    {"step", &conf_type_name, AT(step), .default_words = "the same name",
        .description = "What the plugin calls it, or a built-in step.", .example = "tag"},
    {"pool", &conf_type_name, AT(pool), .default_ = "default",
        .description = "Where it runs, unless a node says so.", .example = "cpu"},
    {"retry", &conf_type_bool, AT(retry), .default_ = "false",
        .description = "Whether it may be run again, once, when its worker dies."},
    {"options", &conf_type_literal, AT(options),
        .description = "Any value, for its start. Literal: nothing in it is a reference.",
        .example = "{model: /srv/models/topics}"},
    {"batch", &conf_type_section, AT(batch), .section = &conf_section_batch,
        .description = "How many of its tasks are run together.",
        .example = "{max: 32, wait: 2ms}"},
};
#undef AT
const struct conf_section conf_section_step = {"steps", "steps: what nodes may run",
    "A step has a name (letters, digits, `_` and `-`, a letter first), by which nodes run it. The "
    "built-in steps `allocate`, `burn`, `crash` and `echo` need no entry, and their names are "
    "taken.",
    NULL, CONF_KEYS(step_keys),
    .schema = "\"anyOf\":[{\"required\":[\"plugin\"]},{\"required\":[\"step\"]}]"};

/* ---- upstreams ---- */

static const char *const balances[] = {"least", "round_robin", "hash", NULL}; /* conf_balance */

#define AT(member) .offset = offsetof(struct conf_upstream_server, member)
static const struct conf_key server_keys[] = {
    {"server", &conf_type_address, .required = true, AT(server),
        .description = "Its host and port, or the path of its Unix socket.",
        .example = "127.0.0.1:5001"},
    {"weight", &conf_type_count, AT(weight), .min = 1, .max = 1000, .default_ = "1",
        .description = "Its share of the calls, beside the other servers' weights.",
        .example = "2"},
};
#undef AT
const struct conf_section conf_section_server = {"server", "servers: one server of an upstream",
    "An element of `servers`.", "the address alone: `servers: [127.0.0.1:5001]`",
    CONF_KEYS(server_keys)};

#define AT(member) .offset = offsetof(struct conf_retry, member)
static const struct conf_key retry_keys[] = {
    {"attempts", &conf_type_count, AT(attempts), .min = 1, .max = 100, .default_ = "3",
        .unit = "calls", .description = "The most calls for one request, the first one included.",
        .example = "5"},
    {"statuses", &conf_type_statuses, AT(statuses), .default_ = "502-504",
        .description = "Replies with these statuses are tried again.", .example = "[500, 502-504]"},
    {"per_try", &conf_type_duration, AT(per_try), .max = CONF_DURATION_MAX, .default_ = "0",
        .description = "The deadline of one attempt. 0: what is left of the node's.",
        .example = "500ms"},
    {"backoff", &conf_type_duration, AT(backoff), .max = CONF_DURATION_MAX, .default_ = "10ms",
        .description =
            "The longest pause before the first retry; each next one may be twice as long. The "
            "pause is random, from 0 on (full jitter)."},
    {"backoff_max", &conf_type_duration, AT(backoff_max), .max = CONF_DURATION_MAX,
        .default_ = "1s", .description = "No pause is longer."},
    {"budget", &conf_type_count, AT(budget), .max = 1000, .default_ = "20", .unit = "percent",
        .description =
            "Retries within ten seconds, as a share of the calls: so retries cannot multiply the "
            "load of servers that fail because of it."},
    {"budget_min", &conf_type_count, AT(budget_min), .max = 1000000, .default_ = "3",
        .unit = "calls", .description = "Retries in flight that are allowed in any case."},
};
#undef AT
const struct conf_section conf_section_retry = {"retry", "retry: what is tried again",
    "Calls that failed before a reply came, and replies with some statuses, are tried again on a "
    "server that this request has not tried.",
    NULL, CONF_KEYS(retry_keys)};

#define AT(member) .offset = offsetof(struct conf_eject, member)
static const struct conf_key eject_keys[] = {
    {"failures", &conf_type_count, AT(failures), .max = 1000000, .default_ = "5", .unit = "calls",
        .description = "How many calls in a row must fail. 0: no ejection."},
    {"time", &conf_type_duration, AT(time), .min = MS, .max = CONF_DURATION_MAX, .default_ = "10s",
        .description = "How long the server gets no calls; doubled each time."},
    {"time_max", &conf_type_duration, AT(time_max), .min = MS, .max = CONF_DURATION_MAX,
        .default_ = "5m", .description = "It is never ejected for longer."},
    {"slow_start", &conf_type_duration, AT(slow_start), .max = CONF_DURATION_MAX, .default_ = "10s",
        .description = "After its return, the time in which its share grows to the whole."},
};
#undef AT
const struct conf_section conf_section_eject = {"eject", "eject: servers that fail",
    "A server whose calls fail gets none for a time. The last server is never ejected.", NULL,
    CONF_KEYS(eject_keys)};

#define AT(member) .offset = offsetof(struct conf_health, member)
static const struct conf_key health_keys[] = {
    {"path", &conf_type_target, AT(path), .default_words = "no checks",
        .description = "Asked for with GET; a status from 200 to 299 is good.",
        .example = "/readyz"},
    {"interval", &conf_type_duration, AT(interval), .min = MS, .max = CONF_DURATION_MAX,
        .default_ = "2s", .description = "Between two checks of a server."},
    {"timeout", &conf_type_duration, AT(timeout), .min = MS, .max = CONF_DURATION_MAX,
        .default_ = "1s", .description = "A check that takes longer is bad."},
    {"rise", &conf_type_count, AT(rise), .min = 1, .max = 1000, .default_ = "2", .unit = "checks",
        .description = "Good ones in a row, until a server that was down is up."},
    {"fall", &conf_type_count, AT(fall), .min = 1, .max = 1000, .default_ = "3", .unit = "checks",
        .description = "Bad ones in a row, until a server is down."},
};
#undef AT
const struct conf_section conf_section_health = {"health", "health: checks of servers",
    "Servers that are down get no calls, unless all are.", NULL, CONF_KEYS(health_keys)};

#define AT(member) .offset = offsetof(struct conf_upstream, member)
static const struct conf_key upstream_keys[] = {
    {"servers", &conf_type_servers, .required = true, .section = &conf_section_server,
        .description = "Where its calls go: addresses, with weights if they differ.",
        .example = "[127.0.0.1:5001, 127.0.0.1:5002]"},
    {"balance", &conf_type_choice, AT(balance), .default_ = "least", .choices = balances,
        .description =
            "Which server gets a call: of two random ones the one with less latency and fewer "
            "calls in flight (`least`), each in turn (`round_robin`), or always the same for the "
            "same `hash` of the node (`hash`)."},
    {"retry", &conf_type_section, AT(retry), .section = &conf_section_retry,
        .description = "What is tried again, and how often."},
    {"eject", &conf_type_section, AT(eject), .section = &conf_section_eject,
        .description = "When a server that fails gets no more calls."},
    {"health", &conf_type_section, AT(health), .section = &conf_section_health,
        .description = "How servers are checked."},
};
#undef AT
const struct conf_section conf_section_upstream = {"upstreams",
    "upstreams: servers that do the same", "An upstream has a name, by which `http` nodes call it.",
    NULL, CONF_KEYS(upstream_keys)};

/* ---- A node of any kind; flow/ has the kinds ---- */

#define AT(member) .offset = offsetof(struct conf_flow_node, member)
static const struct conf_key node_keys[] = {
    {"deadline", &conf_type_duration, AT(deadline), .min = MS / 1000, .max = CONF_DURATION_MAX,
        .default_words = "what is left of the route's; of an optional node, a little less",
        .description = "What the node may take.", .example = "200ms"},
    {"optional", &conf_type_bool, AT(optional), .default_ = "false",
        .description = "Its failure is not the request's: its value is `default` then."},
    {"default", &conf_type_template, AT(fallback), .default_words = "null",
        .description = "The value of an optional node that failed: a template.",
        .example = "{name: nobody}"},
};
#undef AT
const struct conf_section conf_section_node = {"nodes", "nodes: what a route does",
    "A node has a name (letters, digits, `_` and `-`, a letter first) and exactly one of", NULL,
    CONF_KEYS(node_keys)};

/* ---- A route ---- */

#define AT(member) .offset = offsetof(struct conf_route, member)
#define INHERITS(member) \
    .inherits = offsetof(struct config, member), .default_words = "`" #member "`"
static const struct conf_key route_keys[] = {
    {"route", &conf_type_pattern, .required = true, .offset = 0, .max = ROUTE_MAX,
        .description =
            "Method and path. Without a method it answers every one. `{name}` is any one segment, "
            "`{name...}` the rest of the path. `:name`, `<name>` and `*` are refused, as they "
            "would be taken as they stand; `%3A`, `%3C` and `%2A` are these signs themselves.",
        .example = "GET /hello/{name}"},
    {"name", &conf_type_text, AT(name), .min = 1, .max = ROUTE_MAX,
        .default_words = "what `route` says", .repeats = "route",
        .description = "What it is called in metrics and logs.", .example = "hello"},
    {"deadline", &conf_type_duration, AT(deadline), .min = MS, .max = CONF_DURATION_MAX,
        INHERITS(timeouts.request), .description = "What a request may take. Beyond it: 504.",
        .example = "500ms"},
    {"body", &conf_type_size, AT(body), .max = 16 * GIB, INHERITS(limits.body),
        .description = "The largest request body. Beyond it: 413.", .example = "16MiB"},
    {"order", &conf_type_choice, AT(order), .default_ = "parallel", .choices = orders,
        .description = "Nodes run at once as far as their references allow, or one after another."},
    {"dispatch", &conf_type_choice, AT(dispatch), .default_ = "auto", .choices = dispatches,
        .description =
            "How steps that are ready together are run: as `auto` finds best, as one task "
            "(`fused`), as a task each (`fanout`), or on the I/O thread (`inline`, not where "
            "their pool is of kind `processes` or `fork`).",
        .example = "fused"},
    {"retry", &conf_type_choice, AT(retry), .default_ = "idempotent", .choices = retries,
        .description =
            "Which calls of `http` nodes an upstream may try again: those of idempotent methods or "
            "with an Idempotency-Key field, or all (`safe`).",
        .example = "safe"},
    {"priority", &conf_type_priority, AT(priority), .max = CONF_PRIORITY_MAX, .default_ = "0",
        .description =
            "Steps of requests with a higher one are run first where workers are short. A "
            "reference to the request's head makes it each request's own.",
        .example = "-1"},
    {"max_in_flight", &conf_type_count, AT(max_in_flight), .max = 1000000, .default_ = "0",
        .unit = "requests",
        .description =
            "As many requests have their nodes run at once, on each I/O thread; others wait "
            "in line. 1: strictly one after another. 0: no limit.",
        .example = "8"},
    {"nodes", &conf_type_nodes, .offset = 0, .section = &conf_section_node,
        .description = "What must be known for the reply, by name.",
        .example = "{pause: {sleep: 70ms}}"},
    {"reply", &conf_type_template, AT(reply), .default_words = "the nodes' values",
        .description = "The reply's body: a template.", .example = "{hello: $path.name}"},
    {"status", &conf_type_status, AT(status), .default_ = "200",
        .description = "The reply's status: a number from 200 to 599, or a template.",
        .example = "201"},
    {"headers", &conf_type_fields, AT(headers),
        .description = "Header fields of the reply: templates.",
        .example = "{cache-control: no-store}"},
};
#undef AT
const struct conf_section conf_section_route = {
    "routes", "routes: what is answered", "An element of `routes`.", NULL, CONF_KEYS(route_keys)};

/* ---- The whole ---- */

#define AT(member) .offset = offsetof(struct config, member)
static const struct conf_key root_keys[] = {
    {"include", &conf_type_include,
        .description =
            "Other files to read, as seen from this one. They may hold any key: `listen` and "
            "`routes` "
            "grow, sections are joined, and nothing may be set twice.",
        .example = "[limits.yaml, routes/users.yaml]"},
    {"listen", &conf_type_listeners, .offset = 0, .default_ = "127.0.0.1:8080",
        .section = &conf_section_listener,
        .description = "Where to listen: an address, a port, or a list of them."},
    {"admin", &conf_type_admin, AT(admin), .default_ = "127.0.0.1:9900",
        .description =
            "Where `/livez`, `/readyz`, `/metrics` and `/config` are answered; `off` for nowhere.",
        .example = "off"},
    {"admin_hosts", &conf_type_texts, AT(admin_hosts), .min = 1, .max = 255,
        .default_ = "localhost",
        .description =
            "The host names by which the admin pages may be asked for; an address is always "
            "allowed. Others get a 421, so that no web page reads them through a name of its own "
            "(DNS rebinding).",
        .example = "[localhost, weir.internal]"},
    {"threads", &conf_type_threads, AT(threads), .max = 256, .default_ = "auto",
        .description = "I/O threads; `auto` is as many as the processors that Weir may use.",
        .example = "4"},
    {"date", &conf_type_bool, AT(date), .default_ = "true",
        .description = "Whether replies have a Date field."},
    {"server", &conf_type_text, AT(server), .max = 256, .default_ = "weir",
        .description = "The Server field of replies; `\"\"` for none."},
    {"server_timing", &conf_type_bool, AT(server_timing), .default_ = "true",
        .description =
            "Whether replies have a Server-Timing field: how long a request waited, and for "
            "what."},
    {"errors", &conf_type_choice, AT(errors), .default_ = "short", .choices = errors_shown,
        .description =
            "What clients are told of failures inside: a sentence that names nothing, or the "
            "whole one, with nodes, pools and upstreams, as for development. The log has "
            "the whole one either way.",
        .example = "full"},
    {"limits", &conf_type_section, AT(limits), .section = &conf_section_limits,
        .description = "How large things may be."},
    {"timeouts", &conf_type_section, AT(timeouts), .section = &conf_section_timeouts,
        .description = "How long things may take."},
    {"log", &conf_type_section, AT(log), .section = &conf_section_log,
        .description = "What is told."},
    {"client", &conf_type_section, AT(client), .section = &conf_section_client,
        .description = "The servers that `http` nodes call."},
    {"pools", &conf_type_pools, .offset = 0, .section = &conf_section_pool,
        .description = "Where steps run, by name.",
        .example = "{cpu: {kind: processes, memory: 1GiB}}"},
    {"steps", &conf_type_steps, .offset = 0, .section = &conf_section_step,
        .description = "What nodes may run, by name.", .example = "{tag: {plugin: ./tagger.so}}"},
    {"upstreams", &conf_type_upstreams, .offset = 0, .section = &conf_section_upstream,
        .description = "Groups of servers that `http` nodes call, by name.",
        .example = "{taggers: {servers: [127.0.0.1:5001, 127.0.0.1:5002]}}"},
    /* Last: routes inherit from the sections, and name pools, steps and upstreams. */
    {"routes", &conf_type_routes, .offset = 0, .section = &conf_section_route,
        .description = "What is answered."},
};
#undef AT
const struct conf_section conf_section_root = {
    "the configuration", "The file", "All keys may be left out.", NULL, CONF_KEYS(root_keys)};

const struct conf_section *const conf_sections[] = {&conf_section_root, &conf_section_listener,
    &conf_section_limits, &conf_section_timeouts, &conf_section_log, &conf_section_client,
    &conf_section_pool, &conf_section_step, &conf_section_batch, &conf_section_upstream,
    &conf_section_server, &conf_section_retry, &conf_section_eject, &conf_section_health,
    &conf_section_route, NULL};

const struct conf_key *conf_section_key(const struct conf_section *section, const char *name)
{
    for (unsigned i = 0; i < section->count; i++)
        if (strcmp(section->keys[i].name, name) == 0)
            return &section->keys[i];
    return NULL;
}

struct conf_section conf_flow_section(
    const struct conf_flow_kinds *kinds, struct conf_key keys[CONF_KEYS_MAX])
{
    struct conf_section all = conf_section_node;
    all.keys = keys;
    all.count = 0;
    for (unsigned i = 0; i <= kinds->count; i++) {
        const struct conf_flow_kind *kind = i < kinds->count ? kinds->list[i] : NULL;
        const struct conf_key *from = kind ? kind->keys : conf_section_node.keys;
        unsigned count = kind ? kind->key_count : conf_section_node.count;
        check(all.count + count <= CONF_KEYS_MAX, "nodes have more than %d keys", CONF_KEYS_MAX);
        memcpy(keys + all.count, from, count * sizeof *keys);
        all.count += count;
    }
    return all;
}

const char *conf_flow_kinds_text(
    const struct conf_flow_kinds *kinds, const char *quote, char out[CONF_FLOW_KINDS_TEXT_MAX])
{
    size_t len = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < kinds->count && len < CONF_FLOW_KINDS_TEXT_MAX; i++) {
        const char *before = i == 0 ? "" : i + 1 == kinds->count ? " and " : ", ";
        int printed = snprintf(out + len, CONF_FLOW_KINDS_TEXT_MAX - len, "%s%s%s%s", before, quote,
            kinds->list[i]->keys[0].name, quote);
        len += printed < 0 ? 0 : (size_t)printed;
    }
    return out;
}

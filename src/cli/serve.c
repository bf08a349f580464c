/*
 * serve.c: weir serve: the supervisor, and, called with --server by the supervisor, the server.
 */
#include "cli/cli.h"

#include "app/server.h"
#include "cli/upgrade.h"
#include "conf/node.h"
#include "coro/coro.h"
#include "world/process_title.h"
#include "world/uv/uv_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The running image, even if its file has been replaced: a server always has the version of its
 * supervisor. */
#define THIS_IMAGE "/proc/self/exe"

struct serve {
    const char *config;
    const char *pid_file;
    const char *listen;
    const char *admin;
    const char *log_level;
    const char *log_format;
    bool server;
    bool unsafe;
    struct log log;
    const char *notify_socket;
    char program[4096]; /* path of the program, which an upgrade executes */
    char **argv;        /* of the whole process, "serve" being argv[1] */
    char listen_full[ADDRESS_TEXT_MAX];
    char admin_full[ADDRESS_TEXT_MAX];
};

/* ---- The log ---- */

static const char *const levels[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug", NULL};
static const char *const formats[] = {
    [CONF_LOG_AUTO] = "auto", [CONF_LOG_TEXT] = "text", [CONF_LOG_JSON] = "json", NULL};

/* Returns the index of the word, or -1 after an error message. */
static int find_word(const char *option, const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(words[i], word) == 0)
            return (int)i;
    const char *near = conf_nearest(span_of(word), words, count);
    complain(EXIT_STATUS_USAGE, "'--%s %s' is unknown; %s%s", option, word,
        near ? "did you mean " : "see 'weir help serve'", near ? near : "");
    return -1;
}

static void set_log(struct log *log, enum log_level level, enum conf_log_format format)
{
    log->level = level;
    log->json = format == CONF_LOG_JSON || (format == CONF_LOG_AUTO && !isatty(STDERR_FILENO));
}

static bool open_log(struct serve *s)
{
    int level = LOG_INFO;
    int format = CONF_LOG_AUTO;
    if (s->log_level)
        level = find_word("log-level", s->log_level, levels, 4);
    if (level >= 0 && s->log_format)
        format = find_word("log-format", s->log_format, formats, 3);
    if (level < 0 || format < 0)
        return false;
    stderr_log_init(&s->log, (enum log_level)level);
    set_log(&s->log, (enum log_level)level, (enum conf_log_format)format);
    return true;
}

/* ---- The server ---- */

/* Libraries with threads of their own read these when they are loaded. Existing values are kept. */
static void set_step_threads(void *ctx, unsigned threads)
{
    static const char *const names[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS"};
    char number[16];
    snprintf(number, sizeof(number), "%u", threads);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (setenv(names[i], number, 0) != 0)
            log_warn(ctx, "cannot set %s: %s", names[i], error_text(-errno));
}

static int serve_requests(struct world *w, void *arg)
{
    struct serve *s = arg;
    struct stream *control;
    int rc = world_inherited_stream(w, STDIN_FILENO, &control);
    if (rc)
        return complain(EXIT_STATUS_USAGE, "--server is only for the supervisor");
    const char *const worker_argv[] = {
        THIS_IMAGE, "worker-process", s->unsafe ? "--unsafe-steps" : NULL, NULL};
    rc = server_run(w, &(struct server_options){
                           .control = control,
                           .log = &s->log,
                           .worker_argv = worker_argv,
                           .unsafe = s->unsafe,
                           .step_threads = set_step_threads,
                           .ctx = &s->log,
                       });
    stream_close(control);
    return rc < 0 ? EXIT_STATUS_ENVIRONMENT : rc;
}

/* ---- What only a real process can do ---- */

static void notify(void *ctx, const char *state)
{
    const struct serve *s = ctx;
    if (!s->notify_socket)
        return;
    int rc = uv_notify(s->notify_socket, state);
    if (rc)
        log_debug(&s->log, "cannot notify %s: %s", s->notify_socket, error_text(rc));
}

static void configured(void *ctx, const struct config *config)
{
    struct serve *s = ctx;
    set_log(&s->log, config->log.level, config->log.format);
}

static void catching(void *ctx, bool on)
{
    hold_signals(!on);
}

static int exec_newer(void *ctx, const struct upgrade_state *upgrade_state)
{
    struct serve *s = ctx;
    return upgrade_exec(upgrade_state, s->program, s->argv);
}

/* The interval in which systemd expects WATCHDOG=1 of this process; 0: none. */
static int64_t watchdog_ns(void)
{
    const char *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    if (!usec || (pid && strtol(pid, NULL, 10) != getpid()))
        return 0;
    long long n = strtoll(usec, NULL, 10);
    return n > 0 && n < 3600 * INT64_C(1000000) ? n * NS_PER_US : 0;
}

/* ---- The supervisor ---- */

static int supervise(struct world *w, struct serve *s, struct upgrade_state *inherited)
{
    const char *const server_argv[] = {
        THIS_IMAGE, "serve", "--server", s->unsafe ? "--unsafe-steps" : NULL, NULL};
    const char *const check_safe[] = {s->program, "check", "--quiet", "--", s->config, NULL};
    const char *const check_unsafe[] = {
        s->program, "check", "--quiet", "--unsafe-steps", "--", s->config, NULL};
    struct overrides overrides = {.listen = s->listen,
        .admin = s->admin,
        .log_level = s->log_level,
        .log_format = s->log_format};
    struct conf_source files = real_source(w);
    struct supervisor_options options = {
        .source = {.path = s->config,
            .files = &files,
            .overrides = &overrides,
            .unsafe = s->unsafe},
        .sockets = inherited->sockets,
        .inherited = inherited,
        .server_argv = server_argv,
        .check_argv = s->unsafe ? check_unsafe : check_safe,
        .pid_file = s->pid_file,
        .pid = (int)getpid(),
        .watchdog_ns = watchdog_ns(),
        .notify = notify,
        .configured = configured,
        .catching = catching,
        .exec = exec_newer,
        .ctx = s,
    };
    return supervisor_run(w, &options);
}

static int serve_until_signal(struct world *w, void *arg)
{
    struct serve *s = arg;
    struct sockets sockets;
    struct upgrade_state inherited = {.sockets = &sockets};
    struct error e;
    sockets_init(&sockets, w);
    int rc = upgrade_state_take(w, &inherited, &e);
    if (rc == 0)
        rc = inherit_given_sockets(w, &sockets, &e);
    int status =
        rc ? complain(EXIT_STATUS_ENVIRONMENT, "%s", e.sentence) : supervise(w, s, &inherited);
    sockets_release(&sockets);
    return status;
}

/* ---- The command line ---- */

/* As in the configuration, a bare port is on 127.0.0.1. */
static bool complete_address(const char *option, const char **text, char full[ADDRESS_TEXT_MAX])
{
    struct address at;
    struct error e;
    if (!*text)
        return true;
    char name[ADDRESS_NAME_MAX + 1];
    uint16_t port;
    if (address_is_name(*text, name, &port))
        return true;
    *text += (*text)[0] == ':';
    bool bare = (*text)[strspn(*text, "0123456789")] == '\0';
    snprintf(full, ADDRESS_TEXT_MAX, "%s%s", bare ? "127.0.0.1:" : "", *text);
    if (address_parse(&at, full, &e)) {
        complain(EXIT_STATUS_USAGE, "--%s: %s", option, e.sentence);
        return false;
    }
    *text = full;
    return true;
}

static bool complete_addresses(struct serve *s)
{
    bool off = s->admin && strcmp(s->admin, "off") == 0;
    return complete_address("listen", &s->listen, s->listen_full) &&
           (off || complete_address("admin", &s->admin, s->admin_full));
}

static void find_program(struct serve *s)
{
    ssize_t len = readlink(THIS_IMAGE, s->program, sizeof(s->program) - 1);
    s->program[len > 0 ? len : 0] = '\0';
}

static const struct option options[] = {
    {.letter = 'c',
        .name = "config",
        .at = offsetof(struct serve, config),
        .kind = VALUE_FILE,
        .value = "FILE",
        .help = "the configuration; the same as FILE"},
    {.letter = 'l',
        .name = "listen",
        .at = offsetof(struct serve, listen),
        .kind = VALUE_WORD,
        .value = "ADDR",
        .help = "listen on ADDR instead of the configured addresses\n"
                "(8080, which is on 127.0.0.1, localhost:80, *:80, [::1]:80,\n"
                "unix:/run/weir.sock; port 0: any free one, which the log shows)"},
    {.name = "admin",
        .at = offsetof(struct serve, admin),
        .kind = VALUE_WORD,
        .value = "ADDR",
        .help = "serve /metrics, /readyz and the like on ADDR (or off)"},
    {.name = "log-level",
        .at = offsetof(struct serve, log_level),
        .kind = VALUE_CHOICE,
        .value = "LEVEL",
        .choices = levels,
        .help = "log from this level on (error, warn, info or debug)"},
    {.name = "log-format",
        .at = offsetof(struct serve, log_format),
        .kind = VALUE_CHOICE,
        .value = "FORMAT",
        .choices = formats,
        .help = "text, json, or auto (text on a terminal, else json)"},
    {.name = "pid",
        .at = offsetof(struct serve, pid_file),
        .kind = VALUE_FILE,
        .value = "FILE",
        .help = "write the process id to FILE once the server is ready"},
    {.name = "unsafe-steps",
        .at = offsetof(struct serve, unsafe),
        .help = "allow built-in steps that do harm on purpose (crash), for tests"},
    {.name = "server", .at = offsetof(struct serve, server)},
};

static int run(int argc, char **argv)
{
    /* argv of the process has two words before the verb's arguments. */
    struct serve s = {.argv = argv - 2, .notify_socket = getenv("NOTIFY_SOCKET")};
    const char *operands[1];
    int count = parse_arguments(&verb_serve, &s, argc, argv, operands, 1);
    if (count < 0 || !open_log(&s) || !complete_addresses(&s))
        return EXIT_STATUS_USAGE;
    s.config = config_path("serve", s.config, operands, count);
    if (!s.config)
        return EXIT_STATUS_USAGE;
    if (strcmp(s.config, "-") == 0)
        return complain(EXIT_STATUS_USAGE,
            "'serve' reads its configuration again at each reload, so it must be a file; "
            "'weir check -' checks one from a pipe");
    int rc = coro_catch_overflow();
    if (rc)
        return complain(
            EXIT_STATUS_ENVIRONMENT, "cannot watch for stack overflows: %s", error_text(rc));
    if (s.server) {
        process_title(s.argv[0], "weir-server");
        return run_in_world(&s.log, serve_requests, &s);
    }
    prctl(PR_SET_NAME, "weir");
    find_program(&s);
    return run_in_world(&s.log, serve_until_signal, &s);
}

const struct verb verb_serve = {
    .name = "serve",
    .summary = "serve the routes of a configuration",
    .usage = "[OPTION]... [FILE]\n",
    .about = "Serves the routes of the configuration FILE (weir.yaml), in the foreground, until a "
             "signal\n"
             "stops it.\n",
    .notes =
        "Signals: SIGHUP reloads the configuration, SIGUSR2 upgrades to the program that is now\n"
        "installed; neither loses a request. SIGTERM and SIGINT stop it once the running\n"
        "requests have ended; a second one, half a second later or more, stops it at once.\n"
        "\n"
        "Exit status: 0 stopped by a signal; 1 the configuration is wrong; 2 the command line is\n"
        "wrong; 3 the system refused (an address in use, ...).\n",
    VERB_OPTIONS(options),
    .operand = VALUE_FILE,
    .run = run,
};

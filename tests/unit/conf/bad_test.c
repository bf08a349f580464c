/*
 * bad_test.c: what is wrong is said: where, what was found, what was expected. All of it at once,
 * and whole sentences: they are what people read.
 */
#include "fixture.h"

static const struct {
    const char *text;
    const char *told;
} bad[] = {
    {"lisen: 1", "weir.yaml:1:1: unknown key 'lisen' in the configuration; did you mean "
                 "'listen'?\n"},
    {"limits: {lines: 1KiB, xyz: 2}",
        "weir.yaml:1:10: unknown key 'lines' in limits; did you mean 'line'?\n"
        "weir.yaml:1:23: unknown key 'xyz' in limits; expected one of 'line', 'head', "
        "'fields', 'body', 'bodies', 'requests_per_connection' or 'connections'\n"},
    {"limits: {body: lots}",
        "weir.yaml:1:16: limits.body: found 'lots', expected a size such as 64KiB or "
        "1MiB\n"},
    {"limits: {body: 5 KB, head: 1KB, line: 0.5B, fields: \"5\"}",
        "weir.yaml:1:16: limits.body: found '5 KB', expected a size such as 64KiB or "
        "1MiB; the units are B, kB, KiB, MB, MiB, GB and GiB\n"
        "weir.yaml:1:28: limits.head: found '1KB', expected a size such as 64KiB or "
        "1MiB; the units are B, kB, KiB, MB, MiB, GB and GiB\n"
        "weir.yaml:1:39: limits.line: found '0.5B', expected a size such as 64KiB or "
        "1MiB of whole bytes\n"
        "weir.yaml:1:53: limits.fields: found '5', expected a whole number from 1 to "
        "1000; without the quotes it is one\n"},
    {"limits: [a]",
        "weir.yaml:1:9: limits: found a list, expected a map with any of the keys "
        "'line', 'head', 'fields', 'body', 'bodies', 'requests_per_connection' or 'connections'\n"},
    {"limits: {fields: 5000, connections: -1}",
        "weir.yaml:1:18: limits.fields: found '5000', expected a whole number from 1 to "
        "1000\n"
        "weir.yaml:1:37: limits.connections: found '-1', expected a whole number from 0 "
        "to 10000000\n"},
    {"timeouts: {idle: 5, body: 5 s, write: 0, request: 1000h, drain: {}, linger: "
     "1.23456789012s}",
        "weir.yaml:1:18: timeouts.idle: found '5', expected a duration such as 250ms, "
        "1.5s or 2m; the unit is missing: ns, us, ms, s, m or h\n"
        "weir.yaml:1:27: timeouts.body: found '5 s', expected a duration such as 250ms, "
        "1.5s or 2m; the units are ns, us, ms, s, m and h\n"
        "weir.yaml:1:39: timeouts.write: found '0', expected a duration from 1ms to "
        "720h\n"
        "weir.yaml:1:51: timeouts.request: found '1000h', expected a duration from 1ms "
        "to 720h\n"
        "weir.yaml:1:65: timeouts.drain: found a map, expected a duration such as 250ms, "
        "1.5s or 2m\n"
        "weir.yaml:1:77: timeouts.linger: found '1.23456789012s', expected a duration "
        "such as 250ms, 1.5s or 2m of whole nanoseconds, at most 292 years\n"},
    {"date: yes\n"
     "log: {access: \"true\", level: inf, format: [x]}",
        "weir.yaml:1:7: date: found 'yes', expected true or false; write true\n"
        "weir.yaml:2:15: log.access: found 'true', expected true or false; without the "
        "quotes it is one\n"
        "weir.yaml:2:30: log.level: found 'inf', expected error, warn, info or debug; "
        "did you mean 'info'?\n"
        "weir.yaml:2:43: log.format: found a list, expected auto, text or json\n"},
    {"date: 1", "weir.yaml:1:7: date: found '1', expected true or false; write true\n"},
    {"threads: 0\n"
     "server: 5\n"
     "admin: no",
        "weir.yaml:1:10: threads: found '0', expected 'auto' or a whole number from 1 to "
        "256\n"
        "weir.yaml:2:9: server: found '5', expected a text of 0 to 256 bytes without "
        "control characters; put it in quotes\n"
        "weir.yaml:3:8: admin: found 'no', expected an address such as 127.0.0.1:8080, "
        "localhost:8080, "
        "[::1]:8080, *:8080 or unix:/run/weir.sock, or a port, or off; for no admin "
        "listener write off\n"},
    {"threads: 999",
        "weir.yaml:1:10: threads: found '999', expected 'auto' or a whole number from 1 "
        "to 256\n"},
    {"listen: local_host:80\n"
     "admin: false",
        "weir.yaml:1:9: listen: found 'local_host:80', expected an address such as "
        "127.0.0.1:8080, localhost:8080, [::1]:8080, *:8080 or unix:/run/weir.sock, or a port\n"
        "weir.yaml:2:8: admin: found 'false', expected an address such as "
        "127.0.0.1:8080, localhost:8080, [::1]:8080, *:8080 or unix:/run/weir.sock, or a port, or "
        "off; "
        "for no admin listener write off\n"},
    {"listen: []", "weir.yaml:1:9: listen: found a list, expected one to 256 addresses\n"},
    {"listen: [80, 80]", "weir.yaml:1:14: listen: the address stands twice; the first is at "
                         "weir.yaml:1:10\n"},
    {"listen: {adress: 80}",
        "weir.yaml:1:9: listen: the key 'address' is missing, expected one such as "
        "'address: unix:/run/weir.sock'\n"
        "weir.yaml:1:10: unknown key 'adress' in listen; did you mean 'address'?\n"},
    {"listen: [a b, '1:2:3', 70000, '[::g]:1', 'unix:', 300.1.1.1:80]",
        "weir.yaml:1:10: listen[0]: found 'a b', expected an address such as "
        "127.0.0.1:8080, localhost:8080, [::1]:8080, *:8080 or unix:/run/weir.sock, or a port\n"
        "weir.yaml:1:15: listen[1]: found '1:2:3', expected an address such as "
        "127.0.0.1:8080, localhost:8080, [::1]:8080, *:8080 or unix:/run/weir.sock, or a port\n"
        "weir.yaml:1:24: listen[2]: found '70000', expected an address such as "
        "127.0.0.1:8080, localhost:8080, [::1]:8080, *:8080 or unix:/run/weir.sock, or a port\n"
        "weir.yaml:1:31: listen[3]: found '[::g]:1', expected an address such as "
        "127.0.0.1:8080, localhost:8080, [::1]:8080, *:8080 or unix:/run/weir.sock, or a port\n"
        "weir.yaml:1:42: listen[4]: found 'unix:', expected an address such as "
        "127.0.0.1:8080, localhost:8080, [::1]:8080, *:8080 or unix:/run/weir.sock, or a port\n"
        "weir.yaml:1:51: listen[5]: found '300.1.1.1:80', expected an address such as "
        "127.0.0.1:8080, localhost:8080, [::1]:8080, *:8080 or unix:/run/weir.sock, or a port\n"},
    {"routes: {a: b}",
        "weir.yaml:1:9: routes: found a map, expected a list of routes, each with '- ' "
        "before it\n"},
    {"routes:\n"
     "- GET /x\n"
     "- {}\n"
     "- route: get /x\n"
     "- route: x\n"
     "- route: GET",
        "weir.yaml:2:3: routes[0]: found 'GET /x', expected a map with any of the keys "
        "'route', 'name', 'deadline', 'body', 'order', 'dispatch', 'retry', 'priority', "
        "'max_in_flight', 'nodes', 'reply', 'status' or "
        "'headers'\n"
        "weir.yaml:3:3: routes[1]: the key 'route' is missing, expected one such as "
        "'route: GET /hello/{name}'\n"
        "weir.yaml:4:10: routes[2].route: found 'get /x', expected a method and a path "
        "such as 'GET /hello/{name}'; methods are written in capitals\n"
        "weir.yaml:5:10: routes[3].route: found 'x', expected a method and a path such "
        "as 'GET /hello/{name}'\n"
        "weir.yaml:6:10: routes[4].route: found 'GET', expected a method and a path such "
        "as 'GET /hello/{name}'\n"},
    {"routes:\n"
     "- route: GET /x\n"
     "  nodes: [a]\n"
     "  status: 199\n"
     "  order: random\n"
     "  deadline: 0\n"
     "  headers: {'a b': 1}",
        "weir.yaml:3:10: routes[0].nodes: found a list, expected a map of nodes such as "
        "{pause: {sleep: 70ms}}\n"
        "weir.yaml:4:11: routes[0].status: found '199', expected a number from 200 to "
        "599 or a reference such as $node.x.status\n"
        "weir.yaml:5:10: routes[0].order: found 'random', expected parallel or "
        "sequential\n"
        "weir.yaml:6:13: routes[0].deadline: found '0', expected a duration from 1ms to "
        "720h\n"
        "weir.yaml:7:13: routes[0].headers: found the name 'a b', expected letters, "
        "digits and '-'\n"},
    {"routes:\n"
     "- route: /x\n"
     "  nodes:\n"
     "    1a: {sleep: 1s}\n"
     "    b: {}\n"
     "    c: {sleep: 1s, http: x}\n"
     "    d: {slep: 1s}\n"
     "    e: 5\n"
     "    f: {sleep: 1s, default: 1}",
        "weir.yaml:4:5: routes[0].nodes: found the name '1a', expected at most 64 "
        "letters, digits, '_' and '-', a letter first\n"
        "weir.yaml:5:8: routes[0].nodes.b: found no kind of node, expected exactly one "
        "of sleep, http, reply and step\n"
        "weir.yaml:6:8: routes[0].nodes.c: found both 'sleep' and 'http', expected "
        "exactly one of sleep, http, reply and step\n"
        "weir.yaml:7:9: unknown key 'slep' in routes[0].nodes.d; did you mean 'sleep'?\n"
        "weir.yaml:8:8: routes[0].nodes.e: found '5', expected a map with any of the "
        "keys 'sleep', 'http', 'reply', 'step', 'input', 'pool', 'deadline', 'optional' or "
        "'default'\n"
        "weir.yaml:9:29: routes[0].nodes.f.default: found a default of a node that must "
        "not fail, expected 'optional: true' beside it\n"},
    {"routes:\n"
     "- route: /x\n"
     "  nodes:\n"
     "    a: {sleep: {uniform: [1s]}}\n"
     "    b: {sleep: {uniform: [2s, 1s]}}\n"
     "    c: {sleep: {gauss: 1}}\n"
     "    d: {sleep: -1s}\n"
     "    e: {http: {method: get, times: 0, expect: [99, 200-100]}}\n"
     "    f: {http: []}\n"
     "    g: {http: {url: 5, uri: 6}}",
        "weir.yaml:4:26: routes[0].nodes.a.sleep.uniform: found a list, expected two "
        "durations such as [10ms, 20ms]\n"
        "weir.yaml:5:31: routes[0].nodes.b.sleep.uniform: found '1s', expected a "
        "duration that is not shorter than the first\n"
        "weir.yaml:6:16: routes[0].nodes.c.sleep: found a map, expected a duration such "
        "as 70ms, {uniform: [10ms, 20ms]} or {exponential: 70ms}\n"
        "weir.yaml:7:16: routes[0].nodes.d.sleep: found '-1s', expected a duration such "
        "as 250ms, 1.5s or 2m\n"
        "weir.yaml:8:15: routes[0].nodes.e.http: found neither 'url' nor 'upstream', expected "
        "one\n"
        "weir.yaml:8:24: routes[0].nodes.e.http.method: found 'get', expected a method "
        "in capitals such as GET\n"
        "weir.yaml:8:36: routes[0].nodes.e.http.times: found '0', expected a whole "
        "number from 1 to 1000\n"
        "weir.yaml:8:48: routes[0].nodes.e.http.expect[0]: found '99', expected a status "
        "such as 200, a range such as 200-299, or a list of them\n"
        "weir.yaml:8:52: routes[0].nodes.e.http.expect[1]: found '200-100', expected a "
        "status such as 200, a range such as 200-299, or a list of them\n"
        "weir.yaml:9:15: routes[0].nodes.f.http: found a list, expected a URL such as "
        "http://127.0.0.1:9001/users, or a map with 'url' or 'upstream'\n"
        "weir.yaml:10:21: routes[0].nodes.g.http.url: found '5', expected a URL such as "
        "http://127.0.0.1:9001/users\n"
        "weir.yaml:10:24: unknown key 'uri' in routes[0].nodes.g.http; did you mean "
        "'url'?\n"},
    {"a: 1\n"
     "a: 2\n"
     "b: 3",
        "weir.yaml:1:1: unknown key 'a' in the configuration; expected one of 'include', "
        "'listen', 'admin', 'admin_hosts', 'threads', 'date', 'server', 'server_timing', 'errors', "
        "'limits', "
        "'timeouts', 'log', 'client', 'pools', 'steps', 'upstreams' or 'routes'\n"
        "weir.yaml:2:1: the key 'a' stands twice; the first is in line 1\n"
        "weir.yaml:3:1: unknown key 'b' in the configuration; expected one of 'include', "
        "'listen', 'admin', 'admin_hosts', 'threads', 'date', 'server', 'server_timing', 'errors', "
        "'limits', "
        "'timeouts', 'log', 'client', 'pools', 'steps', 'upstreams' or 'routes'\n"},
    {"listen: 1\n"
     "listen: 2",
        "weir.yaml:2:1: the key 'listen' stands twice; the first is in line 1\n"},
    {"a: {b: 1\n"
     "c: 2",
        "weir.yaml:2:2: found ':', expected ',' or '}' in the map that begins at 1:4\n"},
    {"a: [1, 2\n"
     "b: 3",
        "weir.yaml:2:2: found ':', expected ',' or ']' in the list that begins at 1:4\n"},
    {"a:\n"
     "  - 1\n"
     " b: 2",
        "weir.yaml:3:2: found 'b', expected another key of the map that begins at 1:1: "
        "is the indentation right?\n"},
    {"a: 1\n"
     "  b: 2",
        "weir.yaml:2:4: found ':', expected no key here: is the indentation right? A "
        "text that holds ': ' needs quotes\n"},
    {"a: b: c", "weir.yaml:1:5: found ':', expected no key here: is the indentation right? A "
                "text that holds ': ' needs quotes\n"},
    {"\tlisten: 1",
        "weir.yaml:1:1: found a tab, expected spaces: YAML does not indent with tabs\n"},
    {"limits:\n"
     "\tline: 1",
        "weir.yaml:2:1: found a tab, expected spaces: YAML does not indent with tabs\n"},
    {"a: \"abc", "weir.yaml:1:8: found the end of the file, expected the closing quote of the "
                 "text that begins at 1:4\n"},
    {"a: 'abc\n"
     "\n"
     "b: 1",
        "weir.yaml:3:5: found the end of the file, expected the closing quote of the "
        "text that begins at 1:4\n"},
    {"a: \"\\q\"", "weir.yaml:1:5: found '\\q', expected an escape such as \\n, \\\" or \\u00e9 "
                   "after the backslash; in 'single quotes' it is only itself\n"},
    {"a: @x", "weir.yaml:1:4: found '@x', expected a value: text that begins with it needs "
              "quotes\n"},
    {"a: %x", "weir.yaml:1:4: found '%x', expected a value: text that begins with it needs "
              "quotes\n"},
    {"a: !foo x", "weir.yaml:1:1: unknown key 'a' in the configuration; expected one of 'include', "
                  "'listen', 'admin', 'admin_hosts', 'threads', 'date', 'server', 'server_timing', "
                  "'errors', 'limits', "
                  "'timeouts', 'log', 'client', 'pools', 'steps', 'upstreams' or 'routes'\n"
                  "weir.yaml:1:4: found the tag '!foo', expected none\n"},
    {"a: !!int x",
        "weir.yaml:1:1: unknown key 'a' in the configuration; expected one of 'include', "
        "'listen', 'admin', 'admin_hosts', 'threads', 'date', 'server', 'server_timing', 'errors', "
        "'limits', "
        "'timeouts', 'log', 'client', 'pools', 'steps', 'upstreams' or 'routes'\n"
        "weir.yaml:1:4: found 'x', expected what its tag !!int says\n"},
    {"a: *x", "weir.yaml:1:4: found the alias 'x', expected its anchor before it\n"},
    {"a: &x [*x]", "weir.yaml:1:8: the alias 'x' stands inside what it names, expected it after\n"},
    {"a: &x 1\n"
     "<<: *x",
        "weir.yaml:1:1: unknown key 'a' in the configuration; expected one of 'include', "
        "'listen', 'admin', 'admin_hosts', 'threads', 'date', 'server', 'server_timing', 'errors', "
        "'limits', "
        "'timeouts', 'log', 'client', 'pools', 'steps', 'upstreams' or 'routes'\n"
        "weir.yaml:2:1: found a merge key ('<<'), which is not read; expected each key "
        "written out\n"},
    {"? [a]\n"
     ": b",
        "weir.yaml:1:3: found a list, expected a key: a short text, then ':'\n"},
    {": x", "weir.yaml:1:1: found ':', expected another key of the map that begins at 1:1: "
            "is the indentation right?\n"},
    {"a: ${X}", "weir.yaml:1:1: unknown key 'a' in the configuration; expected one of 'include', "
                "'listen', 'admin', 'admin_hosts', 'threads', 'date', 'server', 'server_timing', "
                "'errors', 'limits', "
                "'timeouts', 'log', 'client', 'pools', 'steps', 'upstreams' or 'routes'\n"
                "weir.yaml:1:4: '${X}' is not set, expected it in the environment; "
                "'${NAME:-default}' gives one for that case\n"},
    {"server: ${", "weir.yaml:1:9: '${' has no '}', expected ${NAME}, ${NAME:-default} or "
                   "${file:PATH}; a '${' of your own is written '$${'\n"},
    {"server: ${1}",
        "weir.yaml:1:9: '${1}' is none of ${NAME}, ${NAME:-default} or ${file:PATH}; a "
        "'${' of your own is written '$${'\n"},
    {"server: a ${file:none} b", "weir.yaml:1:9: '${file:none}': there is no such file\n"},
    {"server: ${file:bin}", "weir.yaml:1:9: '${file:bin}': the file is no UTF-8 text\n"},
    {"server: ${BIN}", "weir.yaml:1:9: '${BIN}': the variable's value is no UTF-8 text\n"},
    {"threads: ${SECRET}",
        "weir.yaml:1:10: threads: found a value from outside, which is not shown, "
        "expected 'auto' or a whole number from 1 to 256\n"},
    {"limits: {body: '${SECRET}'}",
        "weir.yaml:1:16: limits.body: found a value from outside, which is not shown, "
        "expected a size such as 64KiB or 1MiB\n"},
    {"log: {level: '${SECRET}'}",
        "weir.yaml:1:14: log.level: found a value from outside, which is not shown, "
        "expected error, warn, info or debug\n"},
    {"a: {b: ${SECRET}}",
        "weir.yaml:1:9: found '{', expected quotes around a text with '${...}' that "
        "stands within { } or [ ]\n"},
    {"${SECRET}: x",
        "weir.yaml:1:1: found the key '${SECRET}'; '${...}' is replaced in values only\n"},
    {"--- {}\n"
     "--- {}",
        "weir.yaml:2:1: found a second document, expected one in a file\n"},
    {"- 1", "weir.yaml:1:1: found a list, expected a map of keys such as 'listen' and "
            "'routes'\n"},
    {"just text", "weir.yaml:1:1: found 'just text', expected a map of keys such as 'listen' and "
                  "'routes'\n"},
    {"include: x.yaml", "weir.yaml:1:10: x.yaml cannot be read: there is no such file\n"},
    {"include: {a: b}", "weir.yaml:1:10: include: found a map, expected the path of a file\n"},
    {"include: weir.yaml",
        "weir.yaml:1:10: found a circle of includes: weir.yaml is included by weir.yaml\n"},
    {"[a", "weir.yaml:2:1: found the end of the file, expected ',' or ']' in the list that "
           "begins at 1:1\n"},
    {"a: ]", "weir.yaml:1:4: found ']', expected a value\n"},
    {"a: - b", "weir.yaml:1:4: found '-', expected no element of a list here: does it need a "
               "line of its own?\n"},
    {"a: \"b\" c", "weir.yaml:1:8: found 'c', expected another key of the map that begins at 1:1: "
                   "is the indentation right?\n"},
    {"a\n"
     "b: c",
        "weir.yaml:2:2: found ':', expected no key here: is the indentation right? A "
        "text that holds ': ' needs quotes\n"},
    {"- a\n"
     "b: c",
        "weir.yaml:2:1: found 'b', expected '-' and another element of the list that "
        "begins at 1:1: is the indentation right?\n"},
    {"limits:\n"
     "  line: 1KiB\n"
     "   head: 1KiB",
        "weir.yaml:3:8: found ':', expected no key here: is the indentation right? A "
        "text that holds ': ' needs quotes\n"},
    {"a: |\n"
     " x\n"
     "\ty",
        "weir.yaml:3:1: found a tab, expected spaces: YAML does not indent with tabs\n"},
    {"routes:\n"
     "  - route: GET /x\n"
     "    reply: a: b",
        "weir.yaml:3:13: found ':', expected no key here: is the indentation right? A "
        "text that holds ': ' needs quotes\n"},
    {"a: `b`", "weir.yaml:1:4: found '`b`', expected a value: text that begins with it needs "
               "quotes\n"},
    {"a: \"\\u00zz\"",
        "weir.yaml:1:7: found '00zz', expected hexadecimal digits after the backslash\n"},
    {"key: [a, b]: c",
        "weir.yaml:1:12: found ':', expected no key here: is the indentation right? A "
        "text that holds ': ' needs quotes\n"},
    {"%YAML 3.0\n"
     "--- {}",
        "weir.yaml:1:1: found '%YAML'; YAML's reader says: found incompatible YAML "
        "document\n"},
    {"%FOO\n"
     "---\n"
     "{}",
        "weir.yaml:1:5: found the end of the line; YAML's reader says: while scanning a "
        "directive, found unknown directive name\n"},
    {"listen: 80\n"
     "rotues: []\n"
     "timeout: {}\n"
     "limit: {}",
        "weir.yaml:2:1: unknown key 'rotues' in the configuration; did you mean "
        "'routes'?\n"
        "weir.yaml:3:1: unknown key 'timeout' in the configuration; did you mean "
        "'timeouts'?\n"
        "weir.yaml:4:1: unknown key 'limit' in the configuration; did you mean "
        "'limits'?\n"},
    {"routes:\n"
     "- route: GET /x\n"
     "  nodes: {a: {http: {url: 'http://h/', expect: []}}}\n"
     "  status: '200'\n"
     "  headers: [a]",
        "weir.yaml:3:48: routes[0].nodes.a.http.expect: found a list, expected a status "
        "such as 200, a range such as 200-299, or a list of them\n"
        "weir.yaml:4:11: routes[0].status: found '200', expected a number from 200 to "
        "599 or a reference such as $node.x.status; without the quotes it is one\n"
        "weir.yaml:5:12: routes[0].headers: found a list, expected a map of header "
        "fields such as {cache-control: no-store}\n"},
    {"server: ${file:}", "weir.yaml:1:9: '${file:}' names no file\n"},
    {"routes: 5\n"
     "log:\n"
     "- a",
        "weir.yaml:1:9: routes: found '5', expected a list of routes, each with '- ' "
        "before it\n"
        "weir.yaml:3:1: log: found a list, expected a map with any of the keys 'level', "
        "'format' or 'access'\n"},
    {"a: &x {b: 1}\n"
     "*x : 2",
        "weir.yaml:2:1: found an alias, expected a key: a short text, then ':'\n"},
    {"&k limits: {line: 1KiB}",
        "weir.yaml:1:1: found an anchor at a key, expected a key: a short text, then "
        "':'\n"},
    {"include: [a.yaml, [b]]",
        "weir.yaml:1:11: a.yaml cannot be read: there is no such file\n"
        "weir.yaml:1:19: include: found a list, expected the path of a file\n"},
    {"? |\n"
     "  two\n"
     "  lines\n"
     ": 1",
        "weir.yaml:1:3: found the key 'two?lines?', expected at most 500 bytes without "
        "control characters\n"},
    {"limits: !!seq {line: 1KiB}",
        "weir.yaml:1:9: found a map, expected what its tag !!seq says\n"},
    {"threads: !!str 4",
        "weir.yaml:1:10: threads: found '4', expected 'auto' or a whole number from 1 to "
        "256; without the quotes it is one\n"},
    {"limits: {body: 18446744073709551616}",
        "weir.yaml:1:16: limits.body: found '18446744073709551616', expected a size such "
        "as 64KiB or 1MiB\n"},
    {"client: {in_use: 1.0, connections: 1e2}",
        "weir.yaml:1:18: client.in_use: found '1.0', expected a whole number from 0 to "
        "1000000\n"
        "weir.yaml:1:36: client.connections: found '1e2', expected a whole number from 0 "
        "to 1000000\n"},
    {"listen: 1\n"
     "listen: 2\n"
     "listen: 3",
        "weir.yaml:2:1: the key 'listen' stands twice; the first is in line 1\n"
        "weir.yaml:3:1: the key 'listen' stands twice; the first is in line 1\n"},
    {"log: {level: warning}\n"
     "timeouts: {requests: 5s}",
        "weir.yaml:1:14: log.level: found 'warning', expected error, warn, info or "
        "debug; did you mean 'warn'?\n"
        "weir.yaml:2:12: unknown key 'requests' in timeouts; did you mean 'request'?\n"},
    {"threads: ${X}\nadmin: ${X}\ninclude: ${X}",
        "weir.yaml:1:10: '${X}' is not set, expected it in the environment; '${NAME:-default}' "
        "gives one for "
        "that case\n"
        "weir.yaml:2:8: '${X}' is not set, expected it in the environment; '${NAME:-default}' "
        "gives one for "
        "that case\n"
        "weir.yaml:3:10: '${X}' is not set, expected it in the environment; '${NAME:-default}' "
        "gives one for "
        "that case\n"},
};

static const struct variable variables[] = {{"SECRET", "hunter2"}, {"BIN", "\xff"}, {"EMPTY", ""}};

static void each_mistake_has_its_sentence(void **state)
{
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct file files[] = {{"weir.yaml", bad[i].text, 0}, {"bin", "\xff", 1}};
        struct disk disk = {files, COUNT(files), variables, COUNT(variables)};
        struct bytes told;
        assert_null(load_from(&disk, "weir.yaml", &told));
        assert_string_equal(told.ptr, bad[i].told);
        bytes_release(&told);
    }
}

static void text_must_be_text(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        const char *told;
    } cases[] = {
        {"a: \"\xc3\xa9\xff\"", 7, "w:1:6: found the byte 0xff, expected UTF-8\n"},
        {"a: b\n\0", 6,
            "w:2:1: found a control character (byte 0x00), expected text; in quotes it can be "
            "written with a "
            "backslash\n"},
        {"a: \xc2\x80", 5,
            "w:1:4: found a control character (byte 0xc2), expected text; in quotes it can be "
            "written with a "
            "backslash\n"},
        {"\xff\xfe{\0}\0", 6, "w:1:1: found the byte 0xff, expected UTF-8\n"}, /* UTF-16 */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct file file = {"w", cases[i].text, cases[i].len};
        assert_told(&file, 1, "w", cases[i].told);
    }
}

static void files_that_cannot_be_read(void **state)
{
    static const struct file files[] = {
        {"secret/w.yaml",
            "server: ${file:forbidden}\ninclude: [no.yaml, forbidden, pipe]\n\nlog: "
            "{level: '${file:pipe}'}\n",
            0},
    };
    assert_told(NULL, 0, "weir.yaml",
        "weir.yaml: cannot be read: there is no such file; 'weir init' makes one to begin with\n");
    assert_told(
        NULL, 0, "secret/forbidden", "secret/forbidden: cannot be read: permission denied\n");
    assert_told(files, 1, "secret/w.yaml",
        "secret/w.yaml:1:9: '${file:forbidden}' cannot be read: permission denied\n"
        "secret/w.yaml:2:11: secret/no.yaml cannot be read: there is no such file\n"
        "secret/w.yaml:2:20: secret/forbidden cannot be read: permission denied\n"
        "secret/w.yaml:2:31: secret/pipe cannot be read: it is no regular file\n"
        "secret/w.yaml:4:14: '${file:pipe}' cannot be read: it is no regular file\n");
}

static void includes_that_do_not_fit(void **state)
{
    static const struct file files[] = {
        {"a", "include: [b, d]\nthreads: 1\nlimits: {line: 1KiB}\nlog: {level: info}\n", 0},
        {"b", "include: c\nthreads: 2\nlimits: {line: 2KiB}\nlog: 5\n", 0},
        {"c", "include: ['x/../a', b]\nlisen: 1\n", 0},
        {"d", "include: c\nroutes: [\n", 0},
    };
    assert_told(files, COUNT(files), "a",
        "b:2:1: the key 'threads' is set twice; the first is at a:2:1\n"
        "b:3:10: the key 'line' is set twice; the first is at a:3:10\n"
        "b:4:1: the key 'log' is set twice; the first is at a:4:1\n"
        "c:1:11: found a circle of includes: a is included by c, which is included by b, which is "
        "included by "
        "a\n"
        "c:1:21: found a circle of includes: b is included by c, which is included by b\n"
        "c:2:1: unknown key 'lisen' in the configuration; did you mean 'listen'?\n"
        "d:3:1: found the end of the file, expected a value\n");

    static const struct file twice[] = {
        {"a", "include: [b, c]\n", 0},
        {"b", "include: c\n", 0},
        {"c", "threads: 2\n", 0},
    };
    assert_told(twice, COUNT(twice), "a", "b:1:10: c is included twice; the first is at a:1:14\n");
}

/* A map of many keys goes another way than one of few. */
static void twins_among_many_keys(void **state)
{
    struct bytes text;
    bytes_init(&text, 100000);
    assert_int_equal(bytes_printf(&text, "routes:\n- route: /x\n  reply:\n"), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(bytes_printf(&text, "    k%d: 1\n", i % 98), 0);
    struct file file = {"w", text.ptr, text.len};
    assert_told(&file, 1, "w",
        "w:102:5: the key 'k0' stands twice; the first is in line 4\n"
        "w:103:5: the key 'k1' stands twice; the first is in line 5\n");
    bytes_release(&text);
}

/* What another process hands on cannot include, nor hold half a secret. */
static void what_was_handed_on_is_checked(void **state)
{
    static const struct {
        const char *text;
        const char *told;
    } cases[] = {
        {"include: x", "configuration:1:10: include: nothing can be included here\n"},
        {"server: {'${}': x, a: b}", "configuration:1:9: server: found a map, expected a text of 0 "
                                     "to 256 bytes without control characters\n"
                                     "configuration:1:10: found '${}', expected a text alone\n"},
        {"server: {'${}': 5}", "configuration:1:9: server: found a map, expected a text of 0 to "
                               "256 bytes without control characters\n"
                               "configuration:1:10: found '${}', expected a text alone\n"},
        {"'${A}': x",
            "configuration:1:1: found the key '${A}'; '${...}' is replaced in values only\n"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct conf *c = NULL;
        struct bytes told;
        struct conf_errors *errors = conf_errors_new();
        assert_non_null(errors);
        bytes_init(&told, 10000);
        assert_int_equal(conf_parse(&c, span_of(cases[i].text), &flow_kinds, errors), -EINVAL);
        assert_int_equal(conf_errors_write(errors, &told), 0);
        assert_int_equal(bytes_append_byte(&told, '\0'), 0);
        assert_string_equal(told.ptr, cases[i].told);
        bytes_release(&told);
        conf_errors_free(errors);
        conf_free(c);
    }
}

/* Others add errors of their own; a text with line breaks stays one line. */
static void others_may_add_errors(void **state)
{
    struct conf_errors *errors = conf_errors_new();
    struct bytes told;
    assert_non_null(errors);
    bytes_init(&told, 10000);
    conf_error(errors, &(struct conf_mark){"b", 2, 1}, "a line\nand %s", "\x1b[31mred");
    conf_error(errors, &(struct conf_mark){"b", 1, 10}, "second");
    conf_error(errors, &(struct conf_mark){"b", 1, 9}, "first");
    conf_error(errors, &(struct conf_mark){"a", 9, 9}, "%01200d", 0);
    assert_int_equal(conf_errors_count(errors), 4);
    assert_int_equal(conf_errors_write(errors, &told), 0);
    assert_int_equal(bytes_append_byte(&told, '\0'), 0);
    assert_string_equal(
        strchr(told.ptr, '\n'), "\nb:1:9: first\nb:1:10: second\nb:2:1: a line?and ?[31mred\n");
    bytes_release(&told);
    conf_errors_free(errors);
}

TEST_FILE(bad)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_has_its_sentence),
        cmocka_unit_test(text_must_be_text),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(includes_that_do_not_fit),
        cmocka_unit_test(twins_among_many_keys),
        cmocka_unit_test(what_was_handed_on_is_checked),
        cmocka_unit_test(others_may_add_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

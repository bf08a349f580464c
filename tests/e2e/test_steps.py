"""Steps and their pools, as clients and those who run a weir see them: real processes, real clients."""
import concurrent.futures
import http.client
import json
import os
import re
import signal
import socket
import subprocess

import pytest

from conftest import HANG_S, one_of_tries, until
from weir_process import descendants, has_ended, processor_ticks, run, weirs

ROUTES = """
routes:
  - {route: POST /echo, nodes: {out: {step: echo, pool: POOL}}, reply: $node.out}
  - {route: POST /inside, nodes: {out: {step: echo, pool: POOL}}, reply: {a: $node.out.a, all: $node.out}}
  - {route: POST /made, nodes: {out: {step: echo, input: {given: $body.a, text: "x $body.a", n: 7}, pool: POOL}}, reply: $node.out}
  - {route: GET /none, nodes: {out: {step: echo, pool: POOL}}, reply: {got: $node.out}}
  - {route: POST /burn, nodes: {out: {step: burn, pool: POOL}}, reply: $node.out}
  - {route: POST /late, nodes: {out: {step: burn, pool: POOL, deadline: 50ms}}, reply: $node.out}
  - {route: POST /maybe, nodes: {out: {step: burn, pool: POOL, optional: true, default: {burned: none}}}, reply: $node.out}
  - {route: POST /allocate, nodes: {out: {step: allocate, pool: POOL}}, reply: $node.out}
  - {route: POST /both, nodes: {w: {sleep: 70ms}, c: {step: burn, pool: POOL}}, reply: [$node.w, $node.c]}
  - {route: POST /chain, nodes: {a: {step: echo, pool: POOL}, b: {step: echo, input: $node.a, pool: POOL}}, reply: $node.b}
  - {route: GET /, reply: {hello: world}}
"""

HEAD = """
listen: 127.0.0.1:0
admin: 127.0.0.1:0
threads: 2
timeouts: {request: 120s, drain: 10s, linger: 100ms}
log: {access: false}
errors: full
"""

KINDS = ["inline", "threads", "processes", "fork"]
TIMING = re.compile(r"queue;dur=(\d+\.\d{3}), cpu;dur=(\d+\.\d{3}), wait;dur=(\d+\.\d{3}), io;dur=(\d+\.\d{3})$")


def config(kind, head=HEAD, routes=ROUTES, **keys):
    size = "" if kind == "inline" else ", size: 2"
    more = "".join(", %s: %s" % pair for pair in keys.items())
    return head + "pools: {cpu: {kind: %s%s%s}}\n" % (kind, size, more) + routes.replace("POOL", "cpu")


@pytest.fixture
def start(tmp_path):
    with weirs(tmp_path) as start:
        yield start


@pytest.fixture(params=KINDS)
def weir(start, request):
    return start(config=config(request.param))


def ask(port, path, body=None, method=None, timeout=4 * HANG_S, **fields):
    """Status, the body as JSON, fields."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        if body is not None:
            fields.setdefault("Content-Type", "application/json")
        connection.request(method or ("GET" if body is None else "POST"), path, body=body, headers=fields)
        reply = connection.getresponse()
        text = reply.read()
        return reply.status, json.loads(text) if text.startswith((b"{", b"[", b'"', b"n", b"1")) else text.decode(), \
            dict(reply.getheaders())
    finally:
        connection.close()


def timing(fields):
    return [float(x) for x in TIMING.match(fields["Server-Timing"]).groups()]


def admin_port(weir):
    return int(re.findall(r"admin pages on 127\.0\.0\.1:(\d+)", weir.log())[-1])


def samples(weir):
    port = admin_port(weir)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#")}


def problem(reply, status, kind, *words):
    assert reply[0] == status, reply
    assert reply[2]["Content-Type"] == "application/problem+json"
    assert reply[1]["type"] == "urn:weir:problem:" + kind, reply[1]
    assert reply[1]["status"] == status
    for word in words:
        assert word in reply[1]["detail"], reply[1]


# ---- What comes out ----


def test_what_goes_in_comes_out(weir):
    port = weir.port
    assert ask(port, "/echo", {"a": [1, "ü", None]})[:2] == (200, {"a": [1, "ü", None]})
    assert ask(port, "/inside", {"a": {"b": 1}})[:2] == (200, {"a": {"b": 1}, "all": {"a": {"b": 1}}})
    assert ask(port, "/made", {"a": [1]})[:2] == (200, {"given": [1], "text": "x [1]", "n": 7})
    assert ask(port, "/none")[:2] == (200, {"got": None})
    assert ask(port, "/chain", {"deep": [[[]]]})[:2] == (200, {"deep": [[[]]]})
    assert ask(port, "/allocate", {"bytes": "1MiB"})[:2] == (200, {"bytes": 1 << 20})
    large = {"text": "x" * 300_000, "n": list(range(1000))}
    assert ask(port, "/echo", large)[:2] == (200, large)


def test_time_is_accounted_for(weir):
    def it_adds_up():  # a machine that stands still can only add
        status, body, fields = ask(weir.port, "/both", {"ms": 30})
        assert (status, body[0]) == (200, None) and body[1]["burned_ms"] == 30
        queue, cpu, wait, io = timing(fields)
        assert 29.9 <= cpu and 69 <= wait and 0 <= queue and 0 <= io
        _, _, fields = ask(weir.port, "/")
        assert timing(fields)[:3] == [0, 0, 0]
        return cpu <= 60 and wait <= 200 and queue < 200 and max(io, timing(fields)[3]) < 50  # time: in one of the tries

    one_of_tries(it_adds_up)
    assert "Server-Timing" in ask(weir.port, "/nowhere")[2]


def test_the_field_can_be_left_out(start):
    weir = start(config=config("threads", head=HEAD + "server_timing: false\n"))
    assert "Server-Timing" not in ask(weir.port, "/echo", {})[2]


# ---- What fails ----


def test_steps_that_fail_say_so(weir):
    port = weir.port
    problem(ask(port, "/burn", {"ms": "much"}), 422, "invalid-input", "node 'out'", "burn wants")
    problem(ask(port, "/late", {"ms": 20_000}), 504, "deadline", "'out'", "50 ms")
    assert ask(port, "/maybe", {"ms": -1})[:2] == (200, {"burned": "none"})
    problem(ask(port, "/echo", "{", method="POST"), 400, "invalid-json")
    assert ask(port, "/echo", {"still": "here"})[:2] == (200, {"still": "here"})


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_have_a_limit(start, kind):
    weir = start(config=config(kind, value="64KiB"))
    problem(ask(weir.port, "/echo", {"a": "x" * 70_000}), 413, "input-too-large", "node 'out'")
    assert ask(weir.port, "/echo", {"a": "x" * 60_000})[0] == 200


def test_a_full_queue_refuses(start):
    weir = start(config=config("threads", queue=1).replace("size: 2", "size: 1"))
    with concurrent.futures.ThreadPoolExecutor(16) as clients:
        replies = list(clients.map(lambda _: ask(weir.port, "/burn", {"ms": 200}), range(16)))
    statuses = sorted(r[0] for r in replies)
    assert statuses[0] == 200 and statuses[-1] == 503
    for reply in replies:
        if reply[0] == 503:
            problem(reply, 503, "overloaded", "node 'out'")


CRASHES = """
steps: {again: {step: crash, pool: cpu, retry: true}}
routes:
  - {route: POST /crash, nodes: {out: {step: crash, pool: cpu}}, reply: $node.out}
  - {route: POST /again, nodes: {out: {step: again}}, reply: $node.out}
  - {route: POST /maybe, nodes: {out: {step: crash, pool: cpu, optional: true, default: fallen}}, reply: $node.out}
  - {route: POST /echo, nodes: {out: {step: echo, pool: cpu}}, reply: $node.out}
"""


@pytest.mark.parametrize("kind", ["processes", "fork"])
def test_a_worker_that_dies_is_one_clear_answer(start, kind):
    weir = start("--unsafe-steps", config=config(kind, routes=CRASHES))
    port = weir.port
    problem(ask(port, "/crash", {"how": "abort"}), 503, "worker-died", "node 'out'")
    assert ask(port, "/maybe", {"how": "kill"})[:2] == (200, "fallen")
    until(lambda: ask(port, "/echo", {"a": 1})[:2] == (200, {"a": 1}))
    problem(ask(port, "/again", {"how": "kill"}), 503, "worker-died", "node 'out'")  # it killed two
    until(lambda: ask(port, "/echo", {"a": 1})[:2] == (200, {"a": 1}))
    weir.stop()


@pytest.mark.parametrize("kind", ["processes", "fork"])
def test_a_stuck_step_is_killed(start, kind):
    weir = start("--unsafe-steps", config=config(kind, routes=CRASHES, hard_timeout="2s"))
    problem(ask(weir.port, "/crash", {"how": "loop"}), 503, "worker-timeout", "node 'out'")
    until(lambda: ask(weir.port, "/echo", {"a": 1})[:2] == (200, {"a": 1}))


# ---- Leaving ----


@pytest.mark.parametrize("kind", ["threads", "processes", "fork"])
def test_a_client_that_leaves_cancels_what_waits(start, kind):
    weir = start(config=config(kind).replace("size: 2", "size: 1"))
    leavers = []
    for _ in range(8):
        s = socket.create_connection(("127.0.0.1", weir.port), timeout=HANG_S)
        body = b'{"ms": 2000}'
        s.sendall(b"POST /burn HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        leavers.append(s)
    length = 'weir_pool_queue_length{pool="cpu"}'
    until(lambda: samples(weir)[length] == 7)
    before = processor_ticks(weir.pid)
    for s in leavers:
        s.close()
    until(lambda: samples(weir)[length] == 0)
    assert ask(weir.port, "/echo", {"a": 1})[:2] == (200, {"a": 1})
    assert processor_ticks(weir.pid) - before < 800  # of the processor: one runs to its end in a fork, and not all eight


@pytest.mark.parametrize("kind", KINDS)
def test_stopping_lets_steps_finish_and_leaves_nobody(start, kind):
    # Four seconds of computing may take a busy machine more than ten, or thirty.
    weir = start(config=config(kind, HEAD.replace("drain: 10s", "drain: 120s")))
    # An inline step keeps its thread from accepting: whoever waits in the kernel's queue then is turned away by a stop.
    count = 1 if kind == "inline" else 4
    with concurrent.futures.ThreadPoolExecutor(4) as clients:
        before = processor_ticks(weir.pid)
        replies = [clients.submit(ask, weir.port, "/burn", {"ms": 1000}) for _ in range(count)]
        if count > 1:
            until(lambda: samples(weir)['weir_pool_queue_length{pool="cpu"}'] == count - 2)
        until(lambda: processor_ticks(weir.pid) > before + 2)
        below = descendants(weir.pid)
        weir.send(signal.SIGTERM)
        for r in replies:
            assert r.result()[0] == 200, r.result()
    weir.stop()
    assert below
    for pid in below:
        until(lambda: has_ended(pid))


def hang(weir):
    """Has both workers run for ever, and one more task wait."""
    clients = []
    for _ in range(3):
        s = socket.create_connection(("127.0.0.1", weir.port), timeout=HANG_S)
        body = b'{"how": "hang"}'
        s.sendall(b"POST /crash HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        clients.append(s)
    until(lambda: samples(weir)['weir_pool_queue_length{pool="cpu"}'] == 1)
    return clients


@pytest.mark.parametrize("kind", ["processes", "fork"])
def test_a_stop_does_not_wait_for_what_nobody_waits_for(start, kind):
    weir = start("--unsafe-steps", config=config(kind, HEAD.replace("drain: 10s", "drain: 300ms"), CRASHES))
    clients = hang(weir)
    weir.stop()  # and the supervisor had not to kill the server
    for s in clients:
        s.close()


@pytest.mark.parametrize("kind", ["threads", "processes", "fork"])
def test_a_server_without_a_supervisor_ends_whatever_its_steps_do(start, kind):
    weir = start("--unsafe-steps", config=config(kind, HEAD.replace("drain: 10s", "drain: 300ms"), CRASHES))
    clients = hang(weir)
    below = descendants(weir.pid)
    os.kill(weir.pid, signal.SIGKILL)
    weir.process.wait()
    try:
        for pid in below:
            until(lambda: has_ended(pid))
    finally:
        for s in clients:
            s.close()


def test_a_reload_takes_the_pools_along(weir):
    first = weir.servers()[-1]
    with concurrent.futures.ThreadPoolExecutor(2) as clients:
        before = processor_ticks(weir.pid)
        slow = clients.submit(ask, weir.port, "/burn", {"ms": 1000})
        until(lambda: processor_ticks(weir.pid) > before + 2)
        weir.config.write_text(weir.config.read_text().replace("{hello: world}", "{hello: again}"))
        weir.send(signal.SIGHUP)
        weir.wait_for_server(2)
        assert slow.result()[0] == 200
    until(lambda: has_ended(first))  # until then it may still answer who had come before
    assert ask(weir.port, "/")[1] == {"hello": "again"}
    assert ask(weir.port, "/echo", {"a": 1})[:2] == (200, {"a": 1})
    weir.stop()


# ---- Seen from outside ----


def test_ready_and_metrics(weir):
    port = admin_port(weir)
    until(lambda: ask(port, "/readyz")[0] == 200)
    for i in range(10):
        assert ask(weir.port, "/echo", {"a": i})[0] == 200
    ask(weir.port, "/burn", {"ms": "x"})

    def counted(outcome):
        return max(v for k, v in samples(weir).items() if 'pool="cpu"' in k and outcome in k)

    until(lambda: counted("done") >= 10 and counted("rejected") == 1)


def test_a_server_is_not_ready_while_a_pool_has_no_worker(start):
    weir = start("--unsafe-steps", config=config("processes", routes=CRASHES).replace("size: 2", "size: 1"))
    port = admin_port(weir)
    until(lambda: ask(port, "/readyz")[0] == 200)
    seen = []

    def kill_and_look():
        for pid in descendants(weir.servers()[-1]):
            os.kill(pid, signal.SIGKILL)
        reply = ask(port, "/readyz")
        if reply[0] == 503:
            seen.append(reply)
        return seen

    until(kill_and_look)
    assert "'cpu'" in seen[0][1]["detail"]
    until(lambda: ask(port, "/readyz")[0] == 200)


# ---- What is checked ----


def test_mistakes_are_told_where_they_are(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text("""routes:
  - route: POST /a
    nodes:
      out: {step: ehco}
      safe: {step: crash}
  - route: POST /b
    nodes: {out: {step: hash, pool: POOL}}
    reply: $node.out.x
pools:
  cpu: {size: 1}
steps:
  tag: {plugin: ./no-such-plugin.so}
  other: {step: nothing}
  harm: {step: crash}
""")
    text = path.read_text()
    path.write_text(text.replace("POOL", "nowhere"))
    r = run("check", str(path))
    assert r.returncode == 1 and "weir.yaml:7:" in r.stderr and "nowhere" in r.stderr
    path.write_text(text.replace("POOL", "cpu"))
    r = run("check", str(path))
    assert r.returncode == 1
    lines = r.stderr.splitlines()
    assert len(lines) == 6, r.stderr  # all at once, in their order
    assert "weir.yaml:4:" in lines[0] and "did you mean 'echo'" in lines[0]
    assert "weir.yaml:5:" in lines[1] and "--unsafe-steps" in lines[1]
    assert "weir.yaml:7:" in lines[2] and "there is no step 'hash'" in lines[2]
    assert "weir.yaml:12:" in lines[3] and "no-such-plugin.so cannot be read" in lines[3]
    assert "weir.yaml:13:" in lines[4] and "nothing" in lines[4]
    assert "weir.yaml:14:" in lines[5] and "--unsafe-steps" in lines[5]


def test_plugins_are_checked(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text("""steps:
  tag: {plugin: ./no-such-plugin.so}
routes:
  - {route: POST /b, nodes: {out: {step: tag}}}
""")
    r = run("check", str(path))
    assert r.returncode == 1 and "weir.yaml:2:" in r.stderr and "no-such-plugin.so" in r.stderr
    r = run("serve", "--log-format", "text", "--admin", "off", "--listen", "127.0.0.1:0", str(path))
    assert r.returncode != 0 and "no-such-plugin.so" in r.stderr


def test_unsafe_steps_must_be_allowed(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text("admin: off\n" + config("threads", head="", routes=CRASHES))
    assert run("check", str(path)).returncode == 1
    assert run("check", "--unsafe-steps", str(path)).returncode == 0
    r = run("serve", "--admin", "off", "--listen", "127.0.0.1:0", str(path))
    assert r.returncode == 1 and "--unsafe-steps" in r.stderr


# ---- What ps shows ----

# The longest name that a pool may have, and one of every character that a name may have.
NAMES = {"two": "p" + 62 * "x", "forks": "A-b_9-"}

NAMED = HEAD + """
pools: {%(two)s: {kind: processes, size: 2}, %(forks)s: {kind: fork, size: 2}}
routes:
  - {route: POST /two, nodes: {out: {step: echo, pool: %(two)s}}, reply: $node.out}
  - {route: POST /fork, nodes: {out: {step: burn, pool: %(forks)s}}, reply: $node.out}
""" % NAMES


def command_line(pid):
    """As ps makes it, and the kernel's short name; None: it is gone."""
    try:
        with open("/proc/%d/cmdline" % pid) as args, open("/proc/%d/comm" % pid) as name:
            return args.read().rstrip("\0").replace("\0", " "), name.read().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return None


def titles(pid):
    """{pid: title} of those below."""
    return {below: command_line(below) for below in descendants(pid)}


def named(*forks):
    two = [("weir: pool %s %d" % (NAMES["two"], n), "weir-worker") for n in (1, 2)]
    return sorted([("weir: server", "weir-server"), *two, ("weir: pool %s zygote" % NAMES["forks"], "weir-zygote"), *forks])


def shows(weir, expected):
    found = list(titles(weir.pid).values())
    return None not in found and sorted(found) == expected


def find(weir, title):
    """The pid of the one that is called so; None: there is none, or several."""
    pids = [pid for pid, found in titles(weir.pid).items() if found and found[0] == title]
    return pids[0] if len(pids) == 1 else None


def await_one(weir, title):
    """The pid of the only one that is called so: a fork has its zygote's title until it has set its own."""
    seen = []
    until(lambda: seen.append(find(weir, title)) or seen[-1])
    return seen[-1]


def test_ps_shows_what_each_process_is(start):
    weir = start(config=NAMED)
    until(lambda: shows(weir, named()))
    assert command_line(weir.pid)[0].endswith("serve --log-format text %s" % weir.config)  # how people find a supervisor
    assert command_line(weir.pid)[1] == "weir"
    shown = subprocess.run(["ps", "-o", "args=", "-p", str(await_one(weir, named()[1][0]))], capture_output=True, text=True, check=True)
    assert shown.stdout.rstrip("\n") == named()[1][0]

    fork = "weir: pool %s fork" % NAMES["forks"]
    with concurrent.futures.ThreadPoolExecutor() as clients:
        reply = clients.submit(ask, weir.port, "/fork", {"ms": 600_000})
        until(lambda: shows(weir, named((fork, "weir-fork"))) or reply.done())
        os.kill(await_one(weir, fork), signal.SIGKILL)  # else its task would go on for its ten minutes
        problem(reply.result(), 503, "worker-died")
    until(lambda: shows(weir, named()))


def test_who_replaces_a_process_is_called_as_it_was(start):
    weir = start(config=NAMED)
    until(lambda: shows(weir, named()))
    for title, _ in named():
        before = await_one(weir, title)
        os.kill(before, signal.SIGKILL)
        until(lambda: find(weir, title) not in (None, before) and shows(weir, named()), 2 * HANG_S)
    before = set(titles(weir.pid))
    weir.send(signal.SIGHUP)
    until(lambda: not before & set(titles(weir.pid)) and shows(weir, named()), 2 * HANG_S)


def test_a_server_with_options_is_called_the_same(start):
    weir = start("--unsafe-steps", config=NAMED)
    until(lambda: shows(weir, named()))

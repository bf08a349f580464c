"""Where steps run, how many requests and calls at once, and how long: as clients and those who run a weir see it."""
import concurrent.futures
import os
import re
import socket
import threading
import time

import pytest

from conftest import HANG_S, one_of_tries, until
from test_steps import HEAD, KINDS, ask, config, problem, samples, start, timing  # noqa: F401 (start is a fixture)
from weir_process import Weir, run

SANITIZED = os.environ.get("WEIR_SANITIZED", "none")  # by what the weir under test is: "thread", "address,undefined"

STEPS = """
routes:
  - route: POST /three
    dispatch: DISPATCH
    nodes:
      a: {step: echo, pool: POOL, input: {a: $body.x}}
      b: {step: burn, pool: POOL, input: {ms: 5}}
      c: {step: echo, pool: POOL, input: [$body.x]}
    reply: {a: $node.a.a, b: $node.b.burned_ms, c: $node.c}
  - route: POST /chain
    dispatch: DISPATCH
    nodes:
      a: {step: echo, pool: POOL, input: {n: $body.x}}
      b: {step: echo, pool: POOL, input: {n: 7}}
      c: {step: echo, pool: POOL, input: [$node.a.n, $node.b.n]}
      d: {step: echo, pool: POOL, input: {of: $node.a}}
  - route: POST /late
    dispatch: DISPATCH
    nodes:
      quick: {step: echo, pool: POOL, input: $body.x}
      slow: {step: burn, pool: POOL, input: {ms: 60000}, deadline: 100ms, optional: true, default: late}
  - route: POST /broken
    dispatch: DISPATCH
    nodes:
      good: {step: echo, pool: POOL}
      bad: {step: burn, pool: POOL, input: {ms: -1}, optional: true, default: none}
      worse: {step: burn, pool: POOL, input: {ms: -1}}
"""

PLACES = [(kind, how) for kind in KINDS for how in ["auto", "fused", "fanout", "inline"]
          if not (how == "inline" and kind in ["processes", "fork"])]


@pytest.mark.parametrize("kind,how", PLACES)
def test_each_dispatch_gives_the_same_answers(start, kind, how):
    port = start(config=config(kind, routes=STEPS.replace("DISPATCH", how))).port
    for x in [1, "two", None, [3]]:
        assert ask(port, "/three", {"x": x})[:2] == (200, {"a": x, "b": 5, "c": [x]})
        assert ask(port, "/chain", {"x": x})[:2] == (200, {"a": {"n": x}, "b": {"n": 7}, "c": [x, 7], "d": {"of": {"n": x}}})
    began = time.monotonic()
    assert ask(port, "/late", {"x": 1})[:2] == (200, {"quick": 1, "slow": "late"})
    assert 0.1 <= time.monotonic() - began < HANG_S  # time: and not the minute that it would compute
    problem(ask(port, "/broken", {}), 422, "invalid-input", "node 'worse'")


def test_many_at_once_and_timing_sums_right(start):
    port = start(config=config("threads", routes=STEPS.replace("DISPATCH", "auto"))).port
    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        for status, body, fields in clients.map(lambda i: ask(port, "/three", {"x": i}), range(100)):
            assert status == 200 and body["b"] == 5 and body["c"] == [body["a"]]
            queue, cpu, wait, _ = timing(fields)
            assert 5 <= cpu < 100 and wait == 0 and queue >= 0  # time: of the processor; a hundred requests have 500


# ---- A step whose cost jumps ----

JUMP = HEAD.replace("threads: 2", "threads: 1") + """
routes:
  - {route: POST /burn, nodes: {out: {step: burn, input: {us: $body.us}}}, reply: $node.out.burned_ms}
"""


def told_at(weir, level):
    return re.findall(r"^\S+ %s +(.*)$" % level, weir.log(), re.M)


def placements(weir):
    return {place: samples(weir)['weir_placement_total{pool="default",placement="%s"}' % place] for place in ["inline", "fanout"]}


def moved_and_named(weir):
    # Cheap: it is learnt, and then runs where it is.
    until(lambda: ask(weir.port, "/burn", {"us": 1})[0] == 200 and placements(weir)["inline"] > 3)
    # Of the same size, so nothing tells it before: it blocks the loop. Once.
    warned = len(told_at(weir, "warn"))
    assert ask(weir.port, "/burn", {"us": 1000000})[0] == 200
    before = placements(weir)
    for us in [200000, 1, 1]:
        assert ask(weir.port, "/burn", {"us": us})[0] == 200
    after = placements(weir)
    said = told_at(weir, "warn")[warned:]
    # ThreadSanitizer's own code, where it may be just then, has no frames to go by.
    frames = ".+" if SANITIZED == "thread" else ".+ < .+ < .+"
    stack = [m for m in said if re.match(r"main: a tick of over 50 ms \(\d+ ms so far\) in coroutine 'connection' at: " + frames, m)]
    moved = [m for m in said if re.match(r"step 'burn' of route 'POST /burn' ran for \d{3,}\.\d ms on an I/O thread, which did nothing "
                                         r"else meanwhile: for [\d.]+ s it runs in pool 'default'$", m)]
    return (after["inline"] == before["inline"] and after["fanout"] == before["fanout"] + 3 and
            len(stack) >= 1 and len(moved) == 1 and said.index(stack[0]) < said.index(moved[0]))


def test_a_step_that_blocks_the_loop_is_moved_and_named_with_its_stack(start):
    """A machine that stands still makes cheap steps look dear, and cuts stacks short: each try has a weir of its own."""
    one_of_tries(lambda: moved_and_named(start("--log-level", "debug", config=JUMP)))


def test_steps_with_batches_fan_out(start):
    weir = start("--log-level", "debug", config=HEAD + """
steps: {many: {step: burn, batch: {max: 8}}}
routes:
  - route: POST /burn
    nodes: {a: {step: many, input: {us: 1}}, b: {step: many, input: {us: 1}}}
""")
    for _ in range(100):
        assert ask(weir.port, "/burn", {})[0] == 200
    found = placements(weir)
    assert found == {"inline": 0, "fanout": 100}
    assert samples(weir)['weir_placement_total{pool="default",placement="fused"}'] == 0
    assert any("2 x 'many' in pool 'default': fanout: its tasks run in batches" in m for m in told_at(weir, "debug"))


def test_decisions_are_told_with_their_reasons_and_without_a_flood(start):
    weir = start("--log-level", "debug", config=JUMP)
    until(lambda: ask(weir.port, "/burn", {"us": 1})[0] == 200 and placements(weir)["inline"] > 3)
    began = time.monotonic()
    for i in range(300):
        assert ask(weir.port, "/burn", {"us": [1, 400][i % 2]})[0] == 200
    seconds = time.monotonic() - began
    told = [m for m in told_at(weir, "debug") if m.startswith("placement: ")]
    pattern = (r"placement: POST /burn: step 'burn' in pool 'default': (inline|fanout)( instead of (inline|fanout)(, after \d+ changes)?)?: "
               r"[a-z, -]+ \(cost (unknown|[0-9.]+ (us|ms)), dispatch (unknown|[0-9.]+ (us|ms)), \d+ idle, \d+ queued, \d+ under way\)$")
    assert told and all(re.match(pattern, m) for m in told), told
    assert "fanout: a cost is not known yet" in told[0]
    assert any("inline instead of fanout: dispatching would make it slower" in m for m in told)
    assert len(told) <= 2 * (seconds + 20)  # time: of 300 requests that change its mind


# ---- Deadlines ----

GATE = HEAD + """
client: {send_deadline: true}
routes:
  - {route: GET /far, deadline: 400ms, nodes: {near: {http: "http://127.0.0.1:PORT/work"}}, reply: $node.near.body}
  - {route: GET /nap, deadline: 400ms, nodes: {near: {http: "http://127.0.0.1:PORT/nap"}}, reply: $node.near.body}
"""

EXECUTOR = HEAD + """
pools: {cpu: {size: 1}}
routes:
  - {route: GET /work, deadline: 90s, nodes: {out: {step: burn, pool: cpu, input: {ms: 60000}}}}
  - {route: GET /nap, deadline: 90s, nodes: {out: {sleep: 60s}}}
  - {route: GET /quick, nodes: {out: {step: echo, pool: cpu, input: 1}}, reply: $node.out}
"""


@pytest.fixture
def pair(tmp_path):
    """Starts a weir that others ask, and one that asks it: PORT in its configuration is the first one's."""
    started = []

    def start_both(asked, asks):
        (tmp_path / "asked").mkdir()
        started.append(Weir(tmp_path / "asked", config=asked))
        started.append(Weir(tmp_path, config=asks.replace("PORT", str(started[0].port))))
        return started

    try:
        yield start_both
        for weir in reversed(started):
            weir.stop()
    finally:
        for weir in started:
            weir.kill()


def test_a_deadline_goes_through_two_weirs(pair):
    executor, gate = pair(EXECUTOR, GATE)
    for path, fields in [("/far", {}), ("/nap", {}), ("/nap", {"Weir-Deadline": "150"})]:
        began = time.monotonic()
        status, body, _ = ask(gate.port, path, **fields)
        # Either side may be the first to notice.
        assert status == 504 and re.search(r"deadline of (400|150) ms|within the time that it was given", body["detail"]), body
        assert (0.14 if fields else 0.39) <= time.monotonic() - began < HANG_S  # time: and not a minute
    # The executor has given up, too: its only worker is free long before the minute is over.
    began = time.monotonic()
    assert ask(executor.port, "/quick")[:2] == (200, 1)
    assert time.monotonic() - began < HANG_S  # time: and not the rest of the minute


def test_a_caller_that_waits_less_is_obeyed(start):
    executor = start(config=EXECUTOR)
    began = time.monotonic()
    problem(ask(executor.port, "/work", **{"Weir-Deadline": "200"}), 504, "deadline", "the caller's deadline of 200 ms")
    assert 0.2 <= time.monotonic() - began < HANG_S  # time: and not a minute
    problem(ask(executor.port, "/work", **{"Weir-Deadline": "0"}), 408, "deadline", "the caller's time is over already")
    counted = samples(executor)
    assert counted['weir_http_requests_total{route="GET /work",status="4xx"}'] == 1
    assert counted['weir_http_requests_total{route="GET /work",status="5xx"}'] == 1  # that of 200 ms
    for wrong in ["-1", "1.5", "soon", "1 2", "0x5", ""]:
        problem(ask(executor.port, "/work", **{"Weir-Deadline": wrong}), 400, "invalid-deadline", "whole milliseconds")


# ---- Turns ----


def test_one_in_flight_is_strictly_one_after_another(start):
    weir = start(config=HEAD.replace("threads: 2", "threads: 1") + """
routes:
  - {route: GET /one, max_in_flight: 1, nodes: {pause: {sleep: 100ms}}}
  - {route: GET /tight, max_in_flight: 1, deadline: 4s, nodes: {pause: {sleep: 1600ms}}}
""")

    def each_waits_for_those_before():
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(10) as clients:
            replies = list(clients.map(lambda _: ask(weir.port, "/one"), range(10)))
        assert all(r[0] == 200 for r in replies)
        assert time.monotonic() - began >= 1.0  # ten of 100 ms
        waited = sorted(timing(r[2])[0] for r in replies)  # queue
        return waited[0] < 95 and waited[-1] > 600  # time: if all came together, in one of the tries

    one_of_tries(each_waits_for_those_before)
    assert ask(weir.port, "/tight")[0] == 200
    with concurrent.futures.ThreadPoolExecutor(10) as clients:
        replies = list(clients.map(lambda _: ask(weir.port, "/tight"), range(10)))
    refused = [r for r in replies if r[0] == 503]
    assert len(refused) >= 7 and sum(r[0] == 200 for r in replies) >= 1
    for r in refused:
        comes_again(r, "too many requests of route 'GET /tight' wait for their turn to be answered in time", most=8)
    until(lambda: samples(weir)['weir_route_refused_total{route="GET /tight"}'] == len(refused))
    assert samples(weir)['weir_route_in_flight{route="GET /one"}'] == 0


def test_a_header_says_whose_request_is_first(start):
    weir = start(config=HEAD.replace("threads: 2", "threads: 1").replace("access: false", "access: true") + """
pools: {cpu: {size: 1}}
routes:
  - route: GET /work
    priority: $header.weir-priority
    nodes: {out: {step: burn, pool: cpu, input: {ms: 20}}}
  - {route: GET /hold, nodes: {out: {step: burn, pool: cpu, input: {ms: 3000}}}}
""")
    # Below, usual or not to be understood, above or far above.
    ranks = {"-2": 0, "-1": 1, None: 2, "soon": 2, "1.5": 2, "1": 3, "99999999999": 4}

    def one(priority):
        fields = {} if priority is None else {"Weir-Priority": priority}
        return ask(weir.port, "/work", **{"X-Request-Id": "rank-%d" % ranks[priority]}, **fields)[0]

    def told():
        return [int(rank) for rank in re.findall(r"rank-(\d)", weir.log())]

    with concurrent.futures.ThreadPoolExecutor(2 * len(ranks) + 2) as clients:
        waits = [clients.submit(ask, weir.port, "/hold") for _ in range(2)]
        held = 'weir_placement_total{pool="cpu",placement="fanout"}'
        until(lambda: [samples(weir)[of] for of in (held, 'weir_pool_queue_length{pool="cpu"}')] == [2, 1])
        works = [clients.submit(one, priority) for priority in list(ranks) * 2]
        until(lambda: samples(weir)['weir_pool_queue_length{pool="cpu"}'] >= len(works))  # beside one that is held, or two
        assert [wait.result()[0] for wait in waits] == [200, 200] and {work.result() for work in works} == {200}
    until(lambda: len(told()) == len(works))
    assert told() == sorted(told(), reverse=True)


# ---- Refusals: what, where, what to do ----


def comes_again(reply, detail, most=60):
    """A refusal for want of room: a problem whose Retry-After is in whole seconds, and is what its sentence says."""
    seconds = reply[2]["Retry-After"]
    problem(reply, 503, "overloaded")
    assert re.fullmatch("(?:%s); try again in %s s" % (detail, seconds), reply[1]["detail"]), reply[1]
    assert re.fullmatch(r"[1-9]\d*", seconds) and int(seconds) <= most


def ask_at_once(weir, path, count):
    with concurrent.futures.ThreadPoolExecutor(count) as clients:
        return list(clients.map(lambda _: ask(weir.port, path), range(count)))


def test_a_full_queue_says_when_to_come_again(start):
    weir = start(config=HEAD + """
pools: {cpu: {size: 1, queue: 1}}
routes:
  - {route: GET /work, nodes: {out: {step: burn, pool: cpu, input: {ms: 300}}}}
""")
    refused = [r for r in ask_at_once(weir, "/work", 8) if r[0] != 200]
    assert refused and len(refused) < 8
    for r in refused:
        comes_again(r, "node 'out' in pool 'cpu': the pool's queue is full", most=20)  # time: 300 ms as it was measured


def test_what_would_be_late_says_when_to_come_again(start):
    weir = start(config=HEAD + """
pools: {cpu: {size: 1}}
routes:
  - {route: GET /work, deadline: 6s, nodes: {out: {step: burn, pool: cpu, input: {ms: 300}}}}
""")
    for _ in range(3):  # its cost is learnt, in time also where others take most of the processor
        assert ask(weir.port, "/work")[0] == 200
    refused = [r for r in ask_at_once(weir, "/work", 60) if r[0] == 503]
    assert len(refused) >= 25  # of sixty, of which twenty can be done; if nobody looked ahead, none
    for r in refused:
        comes_again(r, "node 'out' in pool 'cpu': the (?:pool has too much to do to be done before the deadline"
                       "|task cannot be done before its deadline any more)")
    again = max(refused, key=lambda r: int(r[2]["Retry-After"]))

    def there_is_room():
        nonlocal again
        time.sleep(int(again[2]["Retry-After"]))  # time: what it says, which a slow machine may have to hear again
        again = ask(weir.port, "/work")
        return again[0] in (200, 504)  # whether it is done in time is the machine's matter

    one_of_tries(there_is_room)


# ---- A slow upstream ----


class Silent:
    """Takes connections, and never answers."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = self.listener.getsockname()[1]
        self.taken = []
        self.thread = threading.Thread(target=self.take, daemon=True)
        self.thread.start()

    def take(self):
        try:
            while True:
                self.taken.append(self.listener.accept()[0])
        except OSError:
            pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in self.taken:
            s.close()


def resident_kb(pid):
    with open("/proc/%d/status" % pid) as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1))


def test_a_slow_upstream_cannot_take_all_memory(start):
    silent = Silent()
    weir = start(config=HEAD.replace("threads: 2", "threads: 1") + """
client: {in_use: 32, waiting: 32, first_byte: 60s}
routes:
  - {route: GET /, reply: hello}
  - {route: GET /stuck, deadline: 10s, nodes: {a: {http: "http://127.0.0.1:%d/"}}}
""" % silent.port)
    pid = weir.servers()[-1]
    assert ask(weir.port, "/")[0] == 200
    before = resident_kb(pid)
    sockets = []
    try:
        for _ in range(600):
            s = socket.create_connection(("127.0.0.1", weir.port), timeout=HANG_S)
            s.sendall(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n")
            sockets.append(s)
        refused = answered = 0
        for s in sockets[::-1]:  # those that came last are refused at once
            head = s.recv(2000)
            if refused == 0 and head.startswith(b"HTTP/1.1 503 "):
                told = re.search(rb"Retry-After: ([1-9]\d*)\r\n.*node 'a': 32 calls to http://127.0.0.1:\d+ are under way "
                                 rb"and \d+ wait, which is all that it bears; try again in (\d+) s\"", head, re.S)
                assert told and told[1] == told[2], head
            refused += head.startswith(b"HTTP/1.1 503 ")
            answered += head.startswith(b"HTTP/1.1 504 ")
        assert refused >= 500 and answered >= 32 and refused + answered == 600
        assert ask(weir.port, "/")[0] == 200
        if SANITIZED == "none":
            assert resident_kb(pid) - before < 64 * 1024  # some 10 KB a connection; a sanitizer keeps more
        of = '{upstream="http://127.0.0.1:%d"}' % silent.port
        until(lambda: samples(weir)["weir_upstream_calls" + of] == samples(weir)["weir_upstream_waiting" + of] == 0)
        assert samples(weir)["weir_upstream_refused_total" + of] >= 500
    finally:
        for s in sockets:
            s.close()
        silent.close()


def test_an_upstream_that_slows_down_is_asked_less(pair):
    # It can do one thing of 5 ms at a time: asked for more at once, it is slower.
    below, weir = pair(HEAD + """
pools: {cpu: {size: 1}}
routes:
  - {route: GET /, nodes: {a: {step: burn, pool: cpu, input: {ms: 5}}}}
""", HEAD.replace("threads: 2", "threads: 1") + """
routes:
  - {route: GET /, nodes: {a: {http: "http://127.0.0.1:PORT/"}}, reply: $node.a.status}
""")
    limit = 'weir_upstream_limit{upstream="http://127.0.0.1:%d"}' % below.port
    assert samples(weir)[limit] == 1024
    for _ in range(60):
        assert ask(weir.port, "/")[0] == 200
    assert samples(weir)[limit] == 1024
    ended = threading.Event()

    def go_on(_):
        while not ended.is_set():
            assert ask(weir.port, "/")[0] == 200

    with concurrent.futures.ThreadPoolExecutor(64) as clients:
        asking = [clients.submit(go_on, i) for i in range(64)]
        try:
            until(lambda: samples(weir)[limit] < 48)
        finally:
            ended.set()
        for a in asking:
            a.result()


def test_what_cannot_be_inline_is_told_where_it_stands(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text("pools: {cpu: {kind: processes}}\nroutes:\n- route: /a\n  dispatch: inline\n  nodes: {a: {step: burn, pool: cpu}}\n")
    r = run("check", str(path))
    assert r.returncode == 1 and "weir.yaml:4:13: routes[0].dispatch: found inline, but node 'a'" in r.stderr

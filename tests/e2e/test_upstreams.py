"""Upstreams as a user of weir sees them: real servers that are killed, stopped, slow, silent and confused while requests come."""
import concurrent.futures
import http.server
import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time

import pytest

from conftest import until
from test_admin import admin_port, ask
from weir_process import weirs

SERVER = """
import http.server, socketserver, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = b'{"port": %d}' % self.server.server_address[1]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 1024

server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


class Executor:
    """A server in a process of its own; on the port that it had before, if it is started again."""

    def __init__(self, port=0):
        self.process = subprocess.Popen([sys.executable, "-c", SERVER, str(port)], stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())

    def kill(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def executors():
    made = []

    def start(port=0):
        made.append(Executor(port))
        return made[-1]

    yield start
    for e in made:
        if e.process.poll() is None:
            e.kill()


@pytest.fixture
def gate(tmp_path):
    with weirs(tmp_path) as start:
        def start_one(servers, more="", deadline="5s"):
            return start(config="""
listen: 127.0.0.1:0
admin: 127.0.0.1:0
threads: 2
upstreams: {x: {servers: [%s]%s}}
routes:
  - {route: GET /, deadline: %s, nodes: {a: {http: {upstream: x, path: /}}}, reply: $node.a.body.port}
""" % (", ".join("'127.0.0.1:%d'" % s for s in servers), more, deadline))

        yield start_one


def get(weir):
    status, text, _ = ask(weir.port, "/")
    return status, text


def many(weir, count=400, clients=8):
    """How many of so many requests were answered right."""
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        replies = list(pool.map(lambda _: get(weir), range(count)))
    return sum(status == 200 and text.strip().isdigit() for status, text in replies)


def states(weir):
    _, text, _ = ask(admin_port(weir), "/upstreams")
    return {s["server"]: s["state"] for s in json.loads(text)["x"]["servers"]}


def samples(weir):
    _, text, _ = ask(admin_port(weir), "/metrics")
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#")}


def test_each_server_gets_its_share(executors, gate):
    ports = [executors().port for _ in range(3)]
    weir = gate(ports, ", balance: round_robin")
    replies = [int(get(weir)[1]) for _ in range(30)]
    assert {p: replies.count(p) for p in ports} == {p: 10 for p in ports}
    assert set(states(weir).values()) == {"up"}


def test_a_killed_server_costs_no_request(executors, gate):
    three = [executors() for _ in range(3)]
    weir = gate([e.port for e in three])
    assert many(weir, 100) == 100
    with concurrent.futures.ThreadPoolExecutor(1) as background:
        asking = background.submit(many, weir, 1500)
        until(lambda: samples(weir)['weir_upstream_server_calls_total{upstream="x",server="127.0.0.1:%d"}' % three[0].port] > 50)
        three[0].kill()
        assert asking.result() == 1500
    until(lambda: many(weir, 20) == 20 and states(weir)["127.0.0.1:%d" % three[0].port] == "ejected")


def test_with_one_of_three_requests_are_answered(executors, gate):
    three = [executors() for _ in range(3)]
    weir = gate([e.port for e in three])
    three[0].kill()
    three[2].kill()
    assert many(weir, 500) == 500
    assert states(weir)["127.0.0.1:%d" % three[1].port] == "up"


def test_a_stopped_server_is_left_out(executors, gate):
    three = [executors() for _ in range(3)]
    weir = gate([e.port for e in three], ", retry: {per_try: 300ms}, eject: {failures: 2}")
    assert many(weir, 100) == 100
    three[1].process.send_signal(signal.SIGSTOP)
    assert many(weir, 300) == 300
    assert states(weir)["127.0.0.1:%d" % three[1].port] == "ejected"


def test_a_server_that_comes_back_is_used_again(executors, gate):
    two = [executors() for _ in range(2)]
    weir = gate([e.port for e in two], ", eject: {failures: 2, time: 200ms, time_max: 200ms, slow_start: 0}")
    two[0].kill()
    assert many(weir, 50) == 50
    back = executors(two[0].port)

    def is_used():
        assert many(weir, 20) == 20
        return states(weir)["127.0.0.1:%d" % back.port] == "up"

    until(is_used)


def test_health_checks_find_a_stopped_server(executors, gate):
    two = [executors() for _ in range(2)]
    weir = gate([e.port for e in two], ", health: {path: /, interval: 100ms, timeout: 200ms, fall: 2, rise: 1}")
    stopped = "127.0.0.1:%d" % two[0].port
    two[0].process.send_signal(signal.SIGSTOP)
    until(lambda: states(weir)[stopped] == "down")
    assert {int(get(weir)[1]) for _ in range(20)} == {two[1].port}
    two[0].process.send_signal(signal.SIGCONT)
    until(lambda: states(weir)[stopped] == "up")


class Confused(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128


def confused(reply):
    """A server that answers each request with these bytes, and closes."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(4096)
            self.request.sendall(reply)

    server = Confused(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.mark.parametrize("reply", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
                                   b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
                                   b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"])
def test_a_confused_server_is_no_answer(executors, gate, reply):
    server = confused(reply)
    try:
        weir = gate([executors().port, server.server_address[1]], ", retry: {budget: 100, budget_min: 8}")
        assert many(weir, 200) == 200
    finally:
        server.shutdown()
        server.server_close()


def test_nobody_outlives_the_deadline(gate):
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen(64)
    try:
        weir = gate([silent.getsockname()[1]], deadline="400ms")
        began = time.monotonic()
        status, text = get(weir)
        assert status == 504 and time.monotonic() - began >= 0.4, text
    finally:
        silent.close()


def test_retries_stay_within_their_budget(gate):
    server = confused(b"")
    try:
        weir = gate([server.server_address[1]], ", retry: {attempts: 3, backoff: 50ms, budget: 10, budget_min: 1}")
        assert many(weir, 200, 32) == 0
        found = samples(weir)
        assert found['weir_upstream_retries_denied_total{upstream="x"}'] > 100
        assert 10 <= found['weir_upstream_retries_total{upstream="x"}'] <= 60
    finally:
        server.shutdown()
        server.server_close()


def test_mistakes_are_explained(tmp_path):
    config = tmp_path / "weir.yaml"
    config.write_text("""
upstreams:
  taggers: {servers: ['127.0.0.1:1', '127.0.0.1:1']}
  cached: {servers: ['*:80', 'unix:/run/x'], balance: hash}
routes:
  - {route: GET /a, nodes: {a: {http: {upstream: tagger, path: /}}}}
  - {route: GET /b, nodes: {a: {http: {upstream: taggers}}}}
  - {route: GET /c, nodes: {a: {http: {upstream: taggers, path: x}}}}
  - {route: GET /d, nodes: {a: {http: {upstream: cached, path: /}}}}
""")
    told = subprocess.run([os.environ["WEIR"], "check", str(config)], capture_output=True, text=True)
    assert told.returncode == 1
    for part in ("found '127.0.0.1:1' again", "'tagger', expected the name of one of 'upstreams'; did you mean 'taggers'?",
                 "the key 'path' is missing beside 'upstream'", "the key 'hash' is missing", "found '*:80', expected an address"):
        assert part in told.stderr + told.stdout, told.stderr + told.stdout

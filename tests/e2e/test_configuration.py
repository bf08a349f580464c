"""Configurations as files on a disk: what the real source of them refuses and completes."""
import http.client
import json
import os
import re
import socket
import threading

import pytest

from conftest import HANG_S
from weir_process import run, weirs


@pytest.mark.parametrize("text", ["include: pipe\n", "server: ${file:pipe}\nroutes: [{route: /, reply: 1}]\n"])
def test_a_pipe_is_refused_at_once(tmp_path, text):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "weir.yaml").write_text(text)
    r = run("check", cwd=tmp_path)
    assert r.returncode == 1
    assert r.stderr.startswith("weir.yaml:1:") and "it is no regular file" in r.stderr


@pytest.mark.parametrize("verb", ["check", "serve"])
def test_without_a_configuration_init_is_named(tmp_path, verb):
    r = run(verb, cwd=tmp_path)
    assert r.returncode == 1
    assert "weir.yaml: cannot be read: there is no such file; 'weir init' makes one" in r.stderr


def test_the_admins_address_is_told_of_where_it_stands(tmp_path):
    (tmp_path / "weir.yaml").write_text("listen: 8080\n\nadmin: '[::1%nowhere]:80'\nroutes: [{route: /, reply: 1}]\n")
    r = run("check", cwd=tmp_path)
    assert r.returncode == 1
    assert r.stderr.startswith("weir.yaml:3:8: admin: ")


def test_a_plugin_stands_beside_the_file_that_names_it(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "weir.yaml").write_text("include: more/steps.yaml\n")
    (tmp_path / "more/steps.yaml").write_text("steps: {a: {plugin: ./a.so}, b: {plugin: ../b.so}}\n")
    r = run("check", "--print", cwd=tmp_path)
    said = r.stdout + r.stderr  # what is printed, or that there are no such files
    assert f"{tmp_path}/more/a.so" in said and f"{tmp_path}/b.so" in said


# ---- What weir check reads ----

ONE_ROUTE = "include: more.yaml\nlisten: 0\n"


@pytest.mark.parametrize("path", ["-", "/dev/stdin"])
def test_check_reads_a_pipe(tmp_path, path):
    (tmp_path / "more.yaml").write_text("routes: [{route: /, reply: 1}]\n")
    good = run("check", path, cwd=tmp_path, input=ONE_ROUTE if path == "-" else "routes: [{route: /, reply: 1}]\n")
    assert (good.returncode, good.stdout) == (0, f"{path}: ok: 1 route, 1 listener\n"), good.stderr
    bad = run("check", path, cwd=tmp_path, input="lisen: 0\n")
    assert bad.returncode == 1 and bad.stderr.startswith(f"{path}: no routes")
    assert f"{path}:1:1: unknown key 'lisen'" in bad.stderr


def test_check_reads_a_named_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=["routes: [{route: /, reply: 1}]\n"],
                              daemon=True)
    writer.start()
    r = run("check", "pipe", cwd=tmp_path)
    assert (r.returncode, r.stdout) == (0, "pipe: ok: 1 route, 1 listener\n"), r.stderr


def test_serve_wants_a_file_that_it_can_read_again(tmp_path):
    r = run("serve", "-", cwd=tmp_path, input="routes: [{route: /, reply: 1}]\n")
    assert r.returncode == 2 and "must be a file" in r.stderr and "'weir check -'" in r.stderr
    r = run("serve", "/dev/stdin", cwd=tmp_path, input="routes: [{route: /, reply: 1}]\n")
    assert r.returncode == 1 and "it is no regular file, and would be read again at each reload" in r.stderr


@pytest.mark.parametrize("text", ["", "# nothing\n", "listen: 8080\n", "routes: []\n"])
@pytest.mark.parametrize("verb", ["check", "serve"])
def test_without_routes_nothing_is_served(tmp_path, verb, text):
    (tmp_path / "weir.yaml").write_text(text)
    r = run(verb, cwd=tmp_path)
    assert r.returncode == 1 and "weir.yaml: no routes: every request would get a 404; 'weir init' makes" in r.stderr


@pytest.mark.parametrize("text", [
    "routes: [{route: GET /x/{id}, reply: 1}]\n", "routes: [{route: {id}, reply: 1}]\n",
    "routes: [{route: /, nodes: {a: {http: {url: {id}}}}}]\n",
    "routes: [{route: /, nodes: {a: {http: http://x/{id}}}}]\n"])
def test_braces_without_quotes_get_a_hint(tmp_path, text):
    (tmp_path / "weir.yaml").write_text(text)
    r = run("check", cwd=tmp_path)
    assert r.returncode == 1 and "quotes" in r.stderr


# ---- Zero is a value, never "the default" ----


class Upstream:
    """Counts connections; answers every request on them with `body`."""

    def __init__(self, body):
        self.connections = 0
        self.reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        with connection:
            text = b""
            while part := connection.recv(4096):
                text += part
                if text.endswith(b"\r\n\r\n"):
                    connection.sendall(self.reply)
                    text = b""


@pytest.fixture
def upstream():
    started = []

    def start_one(body=b"1"):
        started.append(Upstream(body))
        return started[-1]

    yield start_one
    for one in started:
        one.listener.close()


@pytest.fixture
def start(tmp_path):
    with weirs(tmp_path) as start_one:
        yield start_one


def calling(upstream, client):
    return f"""
listen: 127.0.0.1:0
admin: off
threads: 1
errors: full
client: {client}
routes: [{{route: GET /, nodes: {{a: {{http: "http://127.0.0.1:{upstream.port}/"}}}}, reply: $node.a.body}}]
"""


@pytest.mark.parametrize("kept, connections", [(0, 4), (1, 1)])
def test_client_connections_0_keeps_none(start, upstream, kept, connections):
    other = upstream()
    weir = start(config=calling(other, "{connections: %d}" % kept))
    for _ in range(4):
        assert weir.get()[0] == 200
    assert other.connections == connections


def test_client_reply_body_0_lets_no_byte_in(start, upstream):
    weir = start(config=calling(upstream(), "{reply_body: 0}"))
    status, text = weir.get()
    assert status == 502 and "is longer than 0 bytes" in text
    weir = start(config=calling(upstream(b""), "{reply_body: 0}"))
    assert weir.get()[0] == 200


def post(weir, path, body):
    connection = http.client.HTTPConnection("127.0.0.1", weir.port, timeout=HANG_S)
    try:
        connection.request("POST", path, body)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_body_limit_of_0_allows_no_byte(start):
    weir = start(config="""
listen: 127.0.0.1:0
admin: off
limits: {body: 0}
routes:
  - {route: POST /global, reply: $body}
  - {route: POST /own, body: 1MiB, reply: $body}
  - {route: POST /none, body: 0, reply: $body}
""")
    assert [post(weir, path, b"1") for path in ("/global", "/own", "/none")] == [413, 200, 413]


ZEROS = """
listen: 127.0.0.1:0
admin: 127.0.0.1:0
threads: 1
limits: {requests_per_connection: 0, connections: 0}
timeouts: {body_rate: 0, linger: 0, drain: 0}
client: {in_use: 0, waiting: 0}
pools: {p: {kind: processes, size: 1, nice: 0, max_tasks: 0, memory: 0, hard_timeout: 0}}
steps: {e: {step: echo, batch: {wait: 0}}}
routes:
  - route: POST /
    max_in_flight: 0
    nodes:
      a: {step: e, pool: p}
      b: {sleep: 0}
      c: {sleep: {uniform: [0, 0], seed: 0}}
    reply: $node.a
"""


def test_zeros_that_mean_no_limit_and_no_time(start):
    weir = start(config=ZEROS)
    connection = http.client.HTTPConnection("127.0.0.1", weir.port, timeout=HANG_S)
    for i in range(5):  # one connection, with no limit on its requests
        connection.request("POST", "/", str(i))
        assert connection.getresponse().read().decode() == str(i)
    connection.close()
    admin = int(re.findall(r"admin pages on \S+:(\d+)", weir.log())[0])
    connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=HANG_S)
    connection.request("GET", "/config")
    shown = json.loads(connection.getresponse().read())
    connection.close()
    assert shown["client"]["in_use"] == shown["client"]["waiting"] == shown["limits"]["connections"] == 0
    assert shown["timeouts"]["drain"] == shown["timeouts"]["linger"] == 0


def test_a_nodes_deadline_of_0_is_refused(tmp_path):
    (tmp_path / "weir.yaml").write_text("routes: [{route: /, nodes: {a: {sleep: 1s, deadline: 0}}}]\n")
    r = run("check", cwd=tmp_path)
    assert r.returncode == 1 and "deadline: found '0', expected a duration from 1us to 720h" in r.stderr

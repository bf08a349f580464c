"""What those who run a weir see of it: the admin pages, metrics, the logs."""
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess

import pytest

from conftest import HANG_S, until
from weir_process import Load, Weir, weirs

CONFIG = """
listen: 127.0.0.1:0
admin: 127.0.0.1:0
threads: 2
timeouts: {drain: 10s, linger: 100ms}
routes:
  - {route: GET /, reply: {hello: world}}
  - {route: "GET /hello/{name}", reply: {hello: $path.name}}
  - {route: GET /key, nodes: {up: {http: {url: "http://127.0.0.1:9/", headers: {authorization: "Bearer ${WEIR_TEST_KEY}"}}}},
     reply: $node.up.body}
"""
SECRET = "a-secret-that-nobody-sees"


@pytest.fixture
def weir(tmp_path):
    weir = Weir(tmp_path, config=CONFIG, environment={"WEIR_TEST_KEY": SECRET})
    try:
        yield weir
        if weir.process.returncode is None:
            weir.stop()
    finally:
        weir.kill()


def admin_port(weir):
    return int(re.findall(r"admin pages on 127\.0\.0\.1:(\d+)", weir.log())[-1])


def ask(port, path, method="GET", **fields):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S)
    try:
        connection.request(method, path, headers=fields)
        reply = connection.getresponse()
        return reply.status, reply.read().decode(), dict(reply.getheaders())
    finally:
        connection.close()


def test_live_and_ready(weir):
    port = admin_port(weir)
    assert ask(port, "/livez")[:2] == (200, "live\n")
    assert ask(port, "/readyz")[:2] == (200, "ready\n")
    assert ask(port, "/nothing")[0] == 404
    status, _, fields = ask(port, "/livez", method="POST")
    assert (status, fields["Allow"]) == (405, "GET, HEAD")


def test_the_configuration_is_shown_without_its_secrets(weir):
    status, text, fields = ask(admin_port(weir), "/config")
    assert status == 200 and fields["Content-Type"] == "application/json"
    config = json.loads(text)
    assert config["threads"] == 2 and config["timeouts"]["idle"] == "75s"
    assert SECRET not in text and "***" in text


def test_metrics_count_what_happened(weir):
    parser = pytest.importorskip("prometheus_client.parser")
    for i in range(20):
        assert ask(weir.port, "/hello/x%d" % i)[0] == 200
    assert ask(weir.port, "/nowhere")[0] == 404

    def samples():
        _, text, fields = ask(admin_port(weir), "/metrics")
        assert fields["Content-Type"].startswith("text/plain; version=0.0.4")
        return {(s.name, tuple(sorted(s.labels.items()))): s.value
                for family in parser.text_string_to_metric_families(text) for s in family.samples}

    # A client has its answer a moment before the request is counted.
    route = ("route", "GET /hello/{name}")
    counts = [("weir_http_requests_total", (route, ("status", "2xx"))),
              ("weir_http_requests_total", (("route", "(none)"), ("status", "4xx")))]
    until(lambda: [samples().get(count) for count in counts] == [20, 1])
    found = samples()
    assert found["weir_http_request_seconds_count", (route,)] == 20
    assert found["weir_http_request_seconds_bucket", (("le", "+Inf"), route)] == 20
    assert found["weir_connections_total", ()] == 21


EVERYTHING = """
listen: 127.0.0.1:0
admin: 127.0.0.1:0
pools: {cpu: {kind: processes, size: 1}}
steps: {all: {step: burn, pool: cpu, options: {base: 1us, item: 1us}, batch: {max: 4}}}
routes:
  - {route: GET /, max_in_flight: 3, nodes: {a: {step: all}, b: {http: "http://127.0.0.1:9/", optional: true}}, reply: 1}
"""


def test_every_metric_stands_in_the_page_of_metrics(tmp_path):
    """And nothing else stands there; with the same types and labels."""
    page = (pathlib.Path(os.environ.get("WEIR_TREE", ".")) / "doc" / "guide" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(weir_[a-z_]+)` \| ([a-z]+) \| ([a-z, ]*?) *\|", page, re.M)
    promised = {name: (kind, set(filter(None, labels.split(", ")))) for name, kind, labels in rows}
    weir = Weir(tmp_path, config=EVERYTHING)
    try:
        assert ask(weir.port, "/")[:2] == (200, "1\n")
        text = ask(admin_port(weir), "/metrics")[1]
        weir.stop()
    finally:
        weir.kill()
    found = {}
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M):
        series = re.findall(r"^%s(?:_bucket)?(\{.*\})? \S+$" % name, text, re.M)
        assert series, name
        found[name] = (kind, {label for s in series for label in re.findall(r'(\w+)="', s)} - {"le"})
    assert found == promised


def test_a_failed_upstream_tells_no_secret(weir):
    status, text, _ = ask(weir.port, "/key")
    assert status == 502 and SECRET not in text
    assert SECRET not in weir.log()


def test_requests_are_logged_with_their_ids(weir):
    assert ask(weir.port, "/hello/a%20b?c=d", **{"X-Request-Id": "my-id-7"})[2]["X-Request-Id"] == "my-id-7"
    weir.wait_for_log("my-id-7")
    line = [line for line in weir.log().splitlines() if "my-id-7" in line][0]
    assert re.match(r'\d{4}-\d\d-\d\dT[\d:.]+Z access 200 GET /hello/\{name\} "GET /hello/a%20b\?c=d" '
                    r"\d+\.\d{3} ms 16 bytes 127\.0\.0\.1:\d+ my-id-7$", line), line


def test_made_ids_differ(weir):
    ids = {ask(weir.port, "/")[2]["X-Request-Id"] for _ in range(50)}
    assert len(ids) == 50


def test_an_insane_id_is_not_taken_over(weir):
    assert ask(weir.port, "/", **{"X-Request-Id": 'a"b'})[2]["X-Request-Id"] != 'a"b'
    assert ask(weir.port, "/", **{"X-Request-Id": "a" * 65})[2]["X-Request-Id"] != "a" * 65


def test_json_lines(tmp_path):
    weir = Weir(tmp_path, "--log-format", "json", config=CONFIG, environment={"WEIR_TEST_KEY": SECRET}, wait=False)
    try:
        until(lambda: "serves" in weir.log())
        assert ask(weir.port, '/hello/"quoted"', **{"X-Request-Id": "json-1"})[0] == 200
        weir.wait_for_log("json-1")
        lines = [json.loads(line) for line in weir.log().splitlines()]
        access = [line for line in lines if line.get("id") == "json-1"][0]
        assert access["status"] == 200 and access["route"] == "GET /hello/{name}"
        assert access["target"] == '/hello/"quoted"' and access["method"] == "GET"
        assert all("time" in line and "level" in line for line in lines)
        weir.stop()
    finally:
        weir.kill()


def test_the_admin_pages_answer_no_strange_host(tmp_path):
    with weirs(tmp_path) as start:
        weir = start(config=CONFIG.replace("threads: 2", "admin_hosts: [localhost, weir.internal, metrics.internal]"),
                     environment={"WEIR_TEST_KEY": SECRET})
        port = admin_port(weir)
        for host in ("evil.example", "evil.example:%d" % port, "127.0.0.1.evil.example", "weir.internal.", "metrics"):
            status, text, _ = ask(port, "/config", Host=host)
            assert status == 421 and "admin_hosts" in text and "weir-deadline" not in text, host
        for host in ("127.0.0.1", "127.0.0.1:%d" % port, "[::1]:9900", "localhost", "LocalHost:1", "weir.internal",
                     "Metrics.internal:%d" % port):
            assert ask(port, "/config", Host=host)[0] == 200, host
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
            assert s.recv(100).startswith(b"HTTP/1.1 200")


# Worker processes that die of what they are asked, beside routes that do not.
DYING = """
listen: 127.0.0.1:0
admin: off
threads: 2
pools: {p: {kind: processes, size: 1}, f: {kind: fork, size: 1}}
steps: {harm: {step: crash}}
routes:
  - {route: GET /, reply: {a: 1}}
  - {route: POST /crash, nodes: {a: {step: harm, pool: p}}, reply: $node.a}
  - {route: POST /fork, nodes: {a: {step: harm, pool: f}}, reply: $node.a}
"""
BY_SUPERVISOR = re.compile(r"listening on|admin pages|server \d+ (serves|has ended)|stop")


def crash(port, path, name):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, '{"how": "abort"}', {"X-Request-Id": name})
        return connection.getresponse().status
    finally:
        connection.close()


def deaths(lines):
    return sum(" warn " in line and "pool 'p': worker" in line for line in lines)


def test_lines_are_in_the_order_of_their_times(tmp_path):
    with weirs(tmp_path) as start:
        weir = start("--unsafe-steps", config=DYING)
        with Load(weir.port, clients=3) as load:

            def crash_again():
                load.wait_for_more()
                assert crash(weir.port, "/crash", "c") >= 500
                return deaths(weir.log().splitlines()) >= 4

            until(crash_again, 60)  # a crash that comes while there is no worker kills none
            load.wait_for_more()
        assert not load.failures
        weir.stop()
        lines = [line for line in weir.log().splitlines() if not BY_SUPERVISOR.search(line)]
    assert sum(" access " in line for line in lines) > 100
    assert deaths(lines) >= 4
    times = [line.split()[0] for line in lines]
    wrong = [(a, b) for a, b in zip(lines, lines[1:]) if a.split()[0] > b.split()[0]]
    assert times == sorted(times), wrong[:3]


def test_lines_without_a_route_have_their_method(weir):
    port = weir.port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for method, path, status in (("PUT", "/nowhere", 404), ("DELETE", "/hello/x", 405)):
        connection.request(method, path, headers={"X-Request-Id": method})
        reply = connection.getresponse()
        assert (reply.status, reply.read() != b"") == (status, True)
        weir.wait_for_log(" " + method + "\n")
        line = [line for line in weir.log().splitlines() if line.endswith(" " + method)][0]
        assert f'access {status} (none) "{method} {path}"' in line, line
    connection.close()


def test_json_lines_have_fields(tmp_path):
    with weirs(tmp_path) as start:
        weir = start("--unsafe-steps", "--log-format", "json", config=DYING, wait=False)
        weir.wait_for_log(" serves,")
        port = int(re.search(r"listening on 127.0.0.1:(\d+)", weir.log())[1])
        assert crash(port, "/crash", "c-1") >= 500
        assert crash(port, "/fork", "f-1") >= 500
        weir.wait_for_log('"id":"f-1","error"')  # the access line
        weir.stop()
        lines = [json.loads(line) for line in weir.log().splitlines()]

    def of(text, **fields):
        found = [line for line in lines if text in line.get("message", "") and fields.items() <= line.items()]
        assert found, (text, fields, lines)
        return found[0]

    assert all({"time", "level"} <= line.keys() for line in lines)
    assert of("listening on")["address"] == f"127.0.0.1:{port}"
    assert f"server {of(' serves,')['pid']} serves" in of(" serves,")["message"]
    died = of("pool 'p': worker", level="warn", pool="p", step="harm", id="c-1")
    assert f"worker {died['pid']} " in died["message"]
    of("the worker that was forked", level="warn", pool="f", step="harm", id="f-1")
    access = [line for line in lines if line["level"] == "access" and line["id"] == "c-1"]
    assert access[0]["route"] == "POST /crash" and access[0]["method"] == "POST"


def test_a_log_that_nobody_reads_holds_no_request_up(tmp_path):
    """More lines than a pipe holds: they are dropped, and the next ones say how many."""
    config = tmp_path / "weir.yaml"
    config.write_text(CONFIG)
    read_end, write_end = os.pipe()
    weir = subprocess.Popen([os.environ["WEIR"], "serve", str(config)], stderr=write_end, start_new_session=True,
                            env={**os.environ, "WEIR_TEST_KEY": SECRET})
    os.close(write_end)
    try:
        log = os.fdopen(read_end, "rb", buffering=0)
        said = b""
        while b"serves" not in said:
            said += log.read(65536)
        port = int(re.search(rb"listening on 127.0.0.1:(\d+)", said)[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S)
        for i in range(12000):  # some 2 MB of lines
            connection.request("GET", "/hello/" + "x" * 40)
            assert connection.getresponse().read()
        connection.close()
        said = b""
        while b"the access log lost" not in said:  # it writes on once somebody reads
            said = (said + log.read(65536))[-200000:]
            ask(port, "/")
    finally:
        os.killpg(weir.pid, 9)
        weir.wait()

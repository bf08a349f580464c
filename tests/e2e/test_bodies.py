"""Request bodies as a user of weir sees them: what they take while they are held, that it comes back, the bound over all of them,
and whose fault it is said to be when one breaks off."""
import os
import re
import socket
import struct

import pytest

from conftest import until
from test_admin import admin_port, ask
from weir_process import weirs

SIZE = 256 * 1024
CLIENTS = 60
SANITIZED = os.environ.get("WEIR_SANITIZED", "none") != "none"

CONFIG = """
listen: 127.0.0.1:0
admin: 127.0.0.1:0
threads: 2
timeouts: {drain: 10s, linger: 100ms, body: %(body)s}
limits: {bodies: %(bodies)s}
routes:
  - {route: POST /echo, deadline: 5m, reply: $body}
  - {route: POST /hurry, deadline: 300ms, reply: $body}
  - {route: POST /hold, deadline: 5m, nodes: {pause: {sleep: 4m}}, reply: {body: $body, pause: $node.pause}}
"""


@pytest.fixture
def start(tmp_path):
    with weirs(tmp_path) as start:
        def start_one(bodies="256MiB", body="60s"):
            return start(config=CONFIG % {"bodies": bodies, "body": body})

        yield start_one


def lines(weir):
    """The access log's: status and route. 0: the client was gone."""
    return sorted(re.findall(r" access (\d+) (\w+ \S+) ", weir.log()))


def metric(weir, name):
    text = ask(admin_port(weir), "/metrics")[1]
    return float(re.search(r"^%s (\S+)$" % re.escape(name), text, re.M).group(1))


def upload(weir, path, size, sent):
    """A client that has sent so much of its body; all of it, if that is its size."""
    s = socket.create_connection(("127.0.0.1", weir.port), timeout=60)
    s.sendall(b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (path.encode(), size))
    s.sendall((b'"' + b"x" * (size - 2) + b'"')[:sent])
    return s


def status(s):
    head = b""
    while b"\r\n\r\n" not in head:
        part = s.recv(65536)
        assert part, head
        head += part
    return int(head.split()[1]), head


def resident(weir):
    server = weir.servers()[-1]
    with open("/proc/%d/smaps_rollup" % server) as rollup:
        return int(re.search(r"^Rss:\s+(\d+) kB", rollup.read(), re.M).group(1)) * 1024


# ---- What they take ----


@pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps what was freed")
@pytest.mark.parametrize("sent", [SIZE, SIZE - 1, 0])
def test_a_body_takes_its_length_while_it_is_held_and_nothing_after(start, sent):
    weir = start()
    before = resident(weir)
    held = [upload(weir, "/hold", SIZE, sent) for _ in range(CLIENTS)]
    until(lambda: metric(weir, "weir_bodies_bytes") == SIZE * CLIENTS)
    # It has all, once it holds as much; what it takes beyond is less than a quarter of it (a growing buffer would take as much again).
    until(lambda: resident(weir) - before > sent * CLIENTS)
    assert resident(weir) - before < sent * CLIENTS + SIZE * CLIENTS // 4
    for s in held:
        s.close()
    until(lambda: metric(weir, "weir_connections_open") == 0, 30)
    until(lambda: resident(weir) - before < SIZE * CLIENTS // 4, 30)
    assert metric(weir, "weir_bodies_bytes") == 0


# ---- The bound ----


def test_bodies_beyond_the_bound_wait_for_room(start):
    weir = start(bodies="600KiB")
    first, second = [upload(weir, "/echo", SIZE, 10) for _ in range(2)]
    until(lambda: metric(weir, "weir_bodies_bytes") == 2 * SIZE)
    third = upload(weir, "/echo", SIZE, 10)
    until(lambda: metric(weir, "weir_bodies_waiting") == 1)
    for s in first, second, third:  # each can be read to its end once the one before has been
        s.sendall(b"x" * (SIZE - 11) + b'"')
        assert status(s)[0] == 200
        s.close()
    assert metric(weir, "weir_bodies_refused_total") == 0


def test_a_body_without_room_in_time_is_told_when_to_come_again(start):
    weir = start(bodies="300KiB", body="1s")
    first = upload(weir, "/hold", SIZE, SIZE)
    until(lambda: metric(weir, "weir_bodies_bytes") == SIZE)
    second = upload(weir, "/echo", SIZE, 0)
    code, head = status(second)
    assert code == 503 and re.search(rb"\r\nRetry-After: \d+\r\n", head), head
    assert metric(weir, "weir_bodies_refused_total") == 1
    assert status(upload(weir, "/echo", 400 * 1024, 0))[0] == 413  # it could never fit
    first.close()
    second.close()


# ---- Those that break off ----


def test_uploads_that_break_off_are_the_clients_fault(start):
    weir = start(body="1s")
    half = upload(weir, "/echo", 1000, 100)
    half.shutdown(socket.SHUT_WR)
    assert status(half)[0] == 400
    slow = upload(weir, "/echo", 1000, 100)
    assert status(slow)[0] == 408
    hurried = upload(weir, "/hurry", 1000, 100)  # its route's deadline comes before timeouts.body
    assert status(hurried)[0] == 408
    reset = upload(weir, "/echo", 1000, 100)
    until(lambda: metric(weir, "weir_bodies_bytes") == 1000)
    reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    reset.close()
    until(lambda: len(lines(weir)) == 4)
    assert lines(weir) == [("0", "POST /echo"), ("400", "POST /echo"), ("408", "POST /echo"), ("408", "POST /hurry")]
    for route, name, count in (("POST /echo", "4xx", 2), ("POST /echo", "5xx", 0), ("POST /echo", "gone", 1),
                               ("POST /hurry", "4xx", 1), ("POST /hurry", "5xx", 0)):
        assert metric(weir, 'weir_http_requests_total{route="%s",status="%s"}' % (route, name)) == count
    assert metric(weir, "weir_requests_client_gone_total") == 1

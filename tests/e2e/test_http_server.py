"""The HTTP server over real sockets: strangers' bytes, clients of all manners, and last replies that are never lost."""
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

from conftest import HANG_S, until
from weir_process import Weir

CONFIG = """
listen: 127.0.0.1:0
admin: off
threads: 2
limits: {body: 64KiB}
timeouts: {headers: 60s, drain: 10s, linger: 60s}
log: {access: false}
routes:
  - {route: GET /, reply: {hello: world}}
  - {route: GET /slow, nodes: {pause: {sleep: 300ms}}, reply: {slow: true}}
  - {route: GET /long, nodes: {pause: {sleep: 60s}}, reply: {long: true}}
  - {route: POST /echo, reply: $body}
  - {route: POST /large, body: 16MiB, reply: $body}
"""


@pytest.fixture(scope="module")
def weir(tmp_path_factory):
    one = Weir(tmp_path_factory.mktemp("weir"), config=CONFIG)
    one.server_pid = one.wait_for_server(1)
    try:
        yield one
        one.stop()
    finally:
        one.kill()


@pytest.fixture(autouse=True)
def no_descriptor_is_left(weir):
    def count():
        return len(os.listdir("/proc/%d/fd" % weir.server_pid))

    until(lambda: count() <= getattr(weir, "descriptors", count()))
    weir.descriptors = count()
    yield
    until(lambda: count() <= weir.descriptors)


def call(weir):
    return socket.create_connection(("127.0.0.1", weir.port), timeout=HANG_S)


def read_all(s):
    data = b""
    while part := s.recv(65536):
        data += part
    return data


def ask(weir, data):
    """All that is answered to these bytes, until the server closes; the client does not."""
    with call(weir) as s:
        s.sendall(data)
        return read_all(s)


# ---- Malformed and ambiguous requests ----

HOST = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
POST = b"POST /echo HTTP/1.1\r\n" + HOST
CHUNKED = b"Transfer-Encoding: chunked\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

ATTACKS = [
    # Which of two lengths?
    (400, POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n"),
    (400, POST + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Content-Length: 0\r\n" + CHUNKED + b"\r\n0\r\n\r\n"),
    (400, POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    (400, POST + b"Content-Length: 1, 2\r\n\r\nab"),
    (400, POST + b"Content-Length: +1\r\n\r\na"),
    (400, POST + b"Content-Length: -1\r\n\r\na"),
    (400, POST + b"Content-Length: 0x1\r\n\r\na"),
    (400, POST + b"Content-Length: 1 1\r\n\r\na"),
    (400, POST + b"Content-Length: 1;\r\n\r\na"),
    (400, POST + b"Content-Length: 1.0\r\n\r\na"),
    (400, POST + b"Content-Length: \r\n\r\na"),
    (400, POST + b"Content-Length: one\r\n\r\na"),
    (400, POST + b"Content-Length: 99999999999999999999999\r\n\r\na"),
    (400, POST + b"Content-Length: 18446744073709551617\r\n\r\na"),
    # Codings that another server may read in another way.
    (400, POST + b"Transfer-Encoding: gzip\r\n\r\n"),
    (501, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (501, POST + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: identity\r\n\r\n"),
    (400, POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"),
    (400, POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    (400, b"POST /echo HTTP/1.0\r\n" + CHUNKED + b"\r\n0\r\n\r\n"),
    # Where does a field or a head end?
    (400, GET + b"A: b\r\n c\r\n\r\n"),
    (400, GET + b" A: b\r\n\r\n"),
    (400, GET + b"A : b\r\n\r\n"),
    (400, GET + b": b\r\n\r\n"),
    (400, GET + b"A\r\n\r\n"),
    (400, GET + b"A: b\nContent-Length: 3\r\n\r\n"),
    (400, GET + b"A: b\rContent-Length: 3\r\n\r\n"),
    (400, GET + b"A: b\0c\r\n\r\n"),
    (400, GET + b"A: b\x01c\r\n\r\n"),
    (400, GET + b"A\0: b\r\n\r\n"),
    (400, GET + b"A\xff: b\r\n\r\n"),
    (400, b"GET / HTTP/1.1\n" + HOST + b"\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: a\n\n"),
    (400, GET + b"A: b\r\n\n"),
    # Which host?
    (400, b"GET / HTTP/1.1\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    (400, b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    (400, b"GET http://b/ HTTP/1.1\r\n" + HOST + b"\r\n"),
    # Start lines.
    (400, b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n"),
    (400, b"GET /  HTTP/1.1\r\n" + HOST + b"\r\n"),
    (400, b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n"),
    (400, b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n"),
    (400, b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n"),
    (400, b"GET a HTTP/1.1\r\n" + HOST + b"\r\n"),
    (400, b"GET /\r\n\r\n"),
    (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    (400, b"GET / http/1.1\r\n" + HOST + b"\r\n"),
    (505, b"GET / HTTP/1.2\r\n" + HOST + b"\r\n"),
    (505, b"GET / HTTP/2.0\r\n" + HOST + b"\r\n"),
    (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    (501, b"get / HTTP/1.1\r\n" + HOST + b"\r\n"),
    (501, b"GETX / HTTP/1.1\r\n" + HOST + b"\r\n"),
    (414, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    (431, GET + b"A: b\r\n" * 200 + b"\r\n"),
    (431, GET + b"A: " + b"b" * 40000 + b"\r\n\r\n"),
    (417, POST + b"Expect: miracles\r\nContent-Length: 1\r\n\r\na"),
    # Bodies.
    (413, POST + b"Content-Length: 65537\r\n\r\n"),
    (413, POST + b"Content-Length: 9223372036854775807\r\n\r\n"),
    (413, POST + CHUNKED + b"\r\n10001\r\n" + b"x" * 0x10001 + b"\r\n0\r\n\r\n"),
    (400, POST + CHUNKED + b"\r\nz\r\n"),
    (400, POST + CHUNKED + b"\r\n-1\r\n"),
    (400, POST + CHUNKED + b"\r\n0x1\r\na\r\n0\r\n\r\n"),
    (400, POST + CHUNKED + b"\r\n 1\r\na\r\n0\r\n\r\n"),
    (400, POST + CHUNKED + b"\r\n1\na\r\n0\r\n\r\n"),
    (400, POST + CHUNKED + b"\r\n1\r\nab\r\n0\r\n\r\n"),
    (400, POST + CHUNKED + b"\r\n1\r\na0\r\n\r\n"),
    (400, POST + CHUNKED + b"\r\n1;\na\r\na\r\n0\r\n\r\n"),
    (400, POST + CHUNKED + b"\r\nffffffffffffffffff\r\na\r\n0\r\n\r\n"),
    (400, POST + CHUNKED + b"\r\n0\r\nContent-Length : 5\r\n\r\n"),
    (400, POST + CHUNKED + b"\r\n0\r\nA: b\n\r\n"),
]


@pytest.mark.parametrize("status, attack", ATTACKS)
def test_attacks_are_refused_and_nothing_behind_them_is_understood(weir, status, attack):
    reply = ask(weir, attack + NEXT)
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), reply
    assert b"\r\nConnection: close" in head
    assert b"\r\nContent-Type: application/problem+json\r\n" in head
    problem = json.loads(body)  # one reply, and nothing behind it
    assert problem["status"] == status and problem["detail"] and problem["instance"].startswith("urn:weir:request:")
    assert len(body) == int(re.search(rb"Content-Length: (\d+)", head).group(1))


def test_attacks_behind_a_good_request(weir):
    for status, attack in ATTACKS:
        reply = ask(weir, GET + b"\r\n" + attack + NEXT)
        statuses = re.findall(rb"HTTP/1\.1 (\d+) ", reply)
        assert statuses == [b"200", b"%d" % status], attack


# ---- Last replies ----


def test_a_last_reply_is_never_cut_off(weir):
    """The client sends much that nobody reads, and looks only then at what it is told."""
    body = b"x" * (1024 * 1024)
    for _ in range(200):
        with call(weir) as s:
            s.sendall(POST + b"Content-Length: %d\r\n\r\n" % len(body))
            s.sendall(body[:256 * 1024])
            reply = read_all(s)
        head, _, rest = reply.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 413 ") and json.loads(rest)["status"] == 413


def test_a_last_reply_to_one_who_goes_on_sending(weir):
    with call(weir) as s:
        s.sendall(POST + b"Content-Length: 100000000\r\n\r\n")
        for _ in range(50):
            s.sendall(b"x" * 65536)
            time.sleep(0.002)  # time: not a wait for something, but a client that takes its time
        reply = read_all(s)
    assert reply.startswith(b"HTTP/1.1 413 ") and json.loads(reply.partition(b"\r\n\r\n")[2])["status"] == 413


# ---- Clients ----


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
@pytest.mark.parametrize("arguments", [[], ["--http1.0"], ["-I"], ["-d", "1"], ["-H", "Expect: 100-continue", "-d", "1"],
                                       ["-H", "Transfer-Encoding: chunked", "-d", "1"]])
def test_curl(weir, arguments):
    path = "/echo" if "-d" in arguments else "/"
    url = "http://127.0.0.1:%d%s" % (weir.port, path)
    r = subprocess.run(["curl", "-sS", "-m", str(HANG_S), "-w", "\n%{http_code} %{num_connects}\n",
                        "-H", "Content-Type: application/json", *arguments, url, url],
                       capture_output=True, text=True, timeout=2 * HANG_S)
    assert r.returncode == 0, r.stderr
    assert r.stdout.endswith("\n200 0\n") or ("--http1.0" in arguments and r.stdout.endswith("\n200 1\n")), r.stdout


def test_pythons_client(weir):
    connection = http.client.HTTPConnection("127.0.0.1", weir.port, timeout=HANG_S)
    for i in range(5):
        connection.request("GET", "/")
        assert json.loads(connection.getresponse().read()) == {"hello": "world"}
        text = json.dumps({"number": i, "text": "x" * i * 1000})
        connection.request("POST", "/echo", text, {"Content-Type": "application/json"})
        assert json.loads(connection.getresponse().read()) == json.loads(text)
        connection.request("POST", "/echo", iter([b'"in ', b'chunks"']), {"Content-Type": "application/json"},
                           encode_chunked=True)
        assert json.loads(connection.getresponse().read()) == "in chunks"
        connection.request("HEAD", "/")
        reply = connection.getresponse()
        assert reply.status == 200 and reply.read() == b"" and int(reply.headers["Content-Length"]) > 0
    connection.close()


def replies_in(s, count):
    """Statuses and bodies of so many replies."""
    reader = s.makefile("rb")
    replies = []
    for _ in range(count):
        status = int(reader.readline().split()[1])
        headers = http.client.parse_headers(reader)
        replies.append((status, reader.read(int(headers["Content-Length"]))))
    return replies


def test_a_pipeline_in_one_write(weir):
    with call(weir) as s:
        posts = b"".join(POST + b"Content-Type: application/json\r\nContent-Length: 4\r\n\r\n%4d" % i for i in range(100))
        s.sendall(posts + b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + GET + b"\r\n")
        replies = replies_in(s, 102)
    assert [json.loads(body) for _, body in replies[:100]] == list(range(100))
    assert json.loads(replies[100][1]) == {"slow": True} and json.loads(replies[101][1]) == {"hello": "world"}


def test_byte_by_byte(weir):
    with call(weir) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in POST + b"Content-Type: application/json\r\n" + CHUNKED + b"\r\n3;a=b\r\n123\r\n1\r\n4\r\n0\r\nT: v\r\n\r\n" + GET + b"\r\n":
            s.send(bytes([byte]))
        replies = replies_in(s, 2)
    assert json.loads(replies[0][1]) == 1234 and json.loads(replies[1][1]) == {"hello": "world"}


def test_a_slow_reader_gets_all_of_a_large_reply(weir):
    text = json.dumps("".join("%08d" % i for i in range(1024 * 1024)))
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        s.settimeout(HANG_S)
        s.connect(("127.0.0.1", weir.port))
        s.sendall(b"POST /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
                  b"Content-Length: %d\r\n\r\n" % len(text) + text.encode())
        parts = []
        while part := s.recv(16384):
            parts.append(part)
            if len(parts) % 64 == 0:
                time.sleep(0.01)  # time: a client that is slow
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and json.loads(body) == json.loads(text)


def test_clients_that_leave_are_noticed(weir):
    """Their descriptors go at once, not when their reply would be due: the fixture looks."""
    for _ in range(50):
        with call(weir) as s:
            s.sendall(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")


def test_many_connections_over_both_threads(weir):
    failures = []

    def ask_many(number):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", weir.port, timeout=HANG_S)
            for i in range(100):
                text = json.dumps([number, i])
                connection.request("POST", "/echo", text, {"Content-Type": "application/json", "X-Request-Id": "%d-%d" % (number, i)})
                reply = connection.getresponse()
                assert reply.headers["X-Request-Id"] == "%d-%d" % (number, i)
                assert json.loads(reply.read()) == [number, i]
            connection.close()
        except Exception as e:  # told by the test's own thread
            failures.append(repr(e))

    threads = [threading.Thread(target=ask_many, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures

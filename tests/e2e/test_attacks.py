"""What a weir must bear: clients that leave, bodies that are large, logs that nobody reads, too few descriptors."""
import fcntl
import os
import re
import signal
import socket
import subprocess

import pytest

from conftest import until
from weir_process import BROKEN, WEIR, Weir, run

CONFIG = """
listen: {listen}
admin: off
threads: 1
timeouts: {{drain: 10s, linger: 100ms}}
routes:
  - {{route: GET /, reply: {{hello: world}}}}
  - {{route: GET /slow, nodes: {{pause: {{sleep: 20s}}}}, reply: {{slow: true}}}}
  - {{route: POST /large, body: 1GiB, reply: {{n: $body.n}}}}
"""


@pytest.fixture
def weir(tmp_path):
    weir = Weir(tmp_path, config=CONFIG.format(listen="127.0.0.1:0"))
    yield weir
    try:
        if weir.process.returncode is None:
            weir.stop()
    finally:
        weir.kill()


def talk(port, request):
    """Sends it, while it is read, and returns the reply. A server that refuses it need not read it all."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as s:
        try:
            s.sendall(request)
        except OSError:
            pass
        reply = b""
        while part := s.recv(65536):
            reply += part
        return reply


def get(port, path="/"):
    return talk(port, b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path.encode())


def post(port, body, chunked):
    head = b"POST /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    if chunked:
        return talk(port, head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
    return talk(port, head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))


# ---- Clients ----


def test_the_time_of_a_client_that_left(weir):
    """It is what its request took until then, not nothing."""
    with socket.create_connection(("127.0.0.1", weir.port)) as s:
        s.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises(TimeoutError):
            s.settimeout(1)
            s.recv(1)
    weir.wait_for_log(" access 0 ")
    assert float(re.search(r" access 0 .* ([0-9.]+) ms ", weir.log()).group(1)) >= 800


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_that_its_route_allows(weir, chunked):
    assert post(weir.port, b'{"n":7,"x":"%b"}' % (b"x" * (40 << 20)), chunked).endswith(b'{"n":7}')


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_nobody_could_read(weir, chunked):
    """More than the 64 MiB of a JSON text, whatever the route allows."""
    reply = post(weir.port, b'{"n":7,"x":"%b"}' % (b"x" * (65 << 20)), chunked)
    assert reply.startswith(b"HTTP/1.1 413 "), reply[:300]


# ---- Logs ----


def full_pipe():
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x" * 64)
    os.set_blocking(writer, True)
    return reader, writer


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def serves(port):
    try:
        return get(port).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return file.read().split()


def test_a_log_that_nobody_reads(tmp_path):
    """Requests, reloads and stops do not wait for it."""
    port = free_port()  # the log cannot say which it is
    config = tmp_path / "weir.yaml"
    config.write_text(CONFIG.format(listen=port))
    reader, writer = full_pipe()
    process = subprocess.Popen([WEIR, "serve", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=writer, start_new_session=True)
    try:
        os.close(writer)
        until(lambda: serves(port), 60)
        first = children(process.pid)
        process.send_signal(signal.SIGHUP)
        until(lambda: len(children(process.pid)) == 1 and children(process.pid) != first, 60)
        assert serves(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        os.set_blocking(reader, False)
        assert not BROKEN.search(os.read(reader, 1 << 20).decode())
    finally:
        os.close(reader)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_too_few_descriptors(tmp_path):
    """Are told once a second, and make room for newcomers by whom nobody needs."""
    weir = Weir(tmp_path, config=CONFIG.format(listen="127.0.0.1:0"), launcher=["prlimit", "--nofile=64"])
    callers = []
    try:
        callers = [socket.create_connection(("127.0.0.1", weir.port), timeout=30) for _ in range(100)]
        weir.wait_for_log("no connection can be accepted now")
        assert get(weir.port).startswith(b"HTTP/1.1 200 ")
        assert weir.log().count("no connection can be accepted now") <= 10
        weir.stop()
    finally:
        for s in callers:
            s.close()
        weir.kill()


# ---- What comes from outside ----


@pytest.mark.parametrize("url", ["${SECRET}", "http://user:${SECRET}@127.0.0.1/", "http://a/ ${SECRET}"])
def test_a_url_from_outside_is_not_shown(tmp_path, url):
    config = tmp_path / "weir.yaml"
    config.write_text("routes: [{route: GET /, nodes: {a: {http: '%s'}}}]\n" % url)
    result = run("check", str(config), env={**os.environ, "SECRET": "not-to-be-seen"})
    assert result.returncode == 1 and ":1:" in result.stderr and "not-to-be-seen" not in result.stderr


# ---- Reloads ----


def test_probes_see_nothing_of_a_reload(tmp_path):
    """A kept connection is answered once more, and told that this was the last; a new one finds the new server."""
    port = free_port()
    weir = Weir(tmp_path, config=CONFIG.format(listen="127.0.0.1:0").replace("admin: off", "admin: %d" % port))
    ready = b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as kept:
            kept.sendall(ready)
            assert kept.recv(65536).startswith(b"HTTP/1.1 200 ")
            weir.send(signal.SIGHUP)
            reply = b""
            while b"Connection: close" not in reply:
                kept.sendall(ready)
                reply = kept.recv(65536)
                assert reply.startswith(b"HTTP/1.1 200 ")
        weir.wait_for_log(" has drained")
        assert get(port, "/readyz").startswith(b"HTTP/1.1 200 ")
        weir.stop()
    finally:
        weir.kill()

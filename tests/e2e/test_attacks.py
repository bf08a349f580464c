"""What a weir must bear: clients that leave, bodies that are large, logs that nobody reads, too few descriptors."""
import fcntl
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from conftest import HANG_S, one_of_tries, until
from weir_process import BROKEN, WEIR, Weir, own_address, run

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


def talk(at, request):
    """Sends it, while it is read, and returns the reply. A server that refuses it need not read it all."""
    with socket.create_connection(at if isinstance(at, tuple) else ("127.0.0.1", at), timeout=60) as s:
        try:
            s.sendall(request)
        except OSError:
            pass
        reply = b""
        while part := s.recv(65536):
            reply += part
        return reply


def get(at, path="/"):
    return talk(at, b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" % path.encode())


def post(port, body, chunked):
    head = b"POST /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    if chunked:
        return talk(port, head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
    return talk(port, head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))


# ---- Clients ----


def test_the_time_of_a_client_that_left(weir):
    """It is what its request took until then, not nothing."""
    def is_told():
        times = re.findall(r" access 0 .* ([0-9.]+) ms ", weir.log())
        with socket.create_connection(("127.0.0.1", weir.port)) as s:
            s.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            with pytest.raises(TimeoutError):
                s.settimeout(1)  # time: how long its client stays
                s.recv(1)
        until(lambda: len(re.findall(r" access 0 .* ([0-9.]+) ms ", weir.log())) > len(times))
        return float(re.findall(r" access 0 .* ([0-9.]+) ms ", weir.log())[-1]) >= 800  # time: less if it was read late

    one_of_tries(is_told)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_that_its_route_allows(weir, chunked):
    assert post(weir.port, b'{"n":7,"x":"%b"}' % (b"x" * (40 << 20)), chunked).endswith(b'{"n":7}\n')


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


def serves(at):
    try:
        return get(at).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return file.read().split()


def test_a_log_that_nobody_reads(tmp_path):
    """Requests, reloads and stops do not wait for it."""
    at = own_address()  # the log cannot say which it is
    config = tmp_path / "weir.yaml"
    config.write_text(CONFIG.format(listen="%s:%d" % at))
    reader, writer = full_pipe()
    process = subprocess.Popen([WEIR, "serve", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=writer, start_new_session=True)
    try:
        os.close(writer)
        until(lambda: serves(at), 60)
        first = children(process.pid)
        process.send_signal(signal.SIGHUP)
        until(lambda: len(children(process.pid)) == 1 and children(process.pid) != first, 60)
        assert serves(at)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=HANG_S) == 0
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
    began = time.monotonic()
    try:
        callers = [socket.create_connection(("127.0.0.1", weir.port), timeout=HANG_S) for _ in range(100)]
        weir.wait_for_log("no connection can be accepted now")
        assert get(weir.port).startswith(b"HTTP/1.1 200 ")
        # A second each, and one more for the second that has begun.
        assert weir.log().count("no connection can be accepted now") <= 2 + time.monotonic() - began
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
    at = own_address()
    weir = Weir(tmp_path, config=CONFIG.format(listen="127.0.0.1:0").replace("admin: off", "admin: '%s:%d'" % at))
    ready = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

    def is_told_of_its_last():
        drained = weir.log().count(" has drained")
        with socket.create_connection(at, timeout=HANG_S) as kept:
            kept.sendall(ready)
            assert kept.recv(65536).startswith(b"HTTP/1.1 200 ")
            weir.send(signal.SIGHUP)
            reply = b"HTTP"
            while reply and b"Connection: close" not in reply:
                try:
                    kept.sendall(ready)
                    reply = kept.recv(65536)
                except OSError:
                    reply = b""
                # time: nothing comes if it asked nothing for half a second
                assert not reply or reply.startswith(b"HTTP/1.1 200 ")
        until(lambda: weir.log().count(" has drained") > drained)
        assert get(at, "/readyz").startswith(b"HTTP/1.1 200 ")
        return reply

    try:
        one_of_tries(is_told_of_its_last)
        weir.stop()
    finally:
        weir.kill()

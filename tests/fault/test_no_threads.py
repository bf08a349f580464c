"""A machine that makes no more threads: the Nth pthread_create of every process of a weir fails with EAGAIN, for each N in
turn. It ends with a status and a sentence; or it serves, answers every request, and ends promptly when it is told to.
"""
import http.client
import os
import re
import signal
import time

import pytest

from conftest import HANG_S, until
from weir_process import BROKEN, Weir, weirs

SHIM = os.environ["WEIR_NO_THREADS"]
CONNECTIONS, REQUESTS = 20, 5
# A drain may last so long; nothing is under way here, so none does.
DRAIN = 30
PATHS = ["/static", "/threads", "/inline", "/processes", "/name"]

CONFIG = """
listen: 127.0.0.1:0
admin: off
threads: 4
timeouts: {drain: 30s, linger: 100ms}
pools:
  i: {kind: inline}
  t: {kind: threads, size: 2}
  p: {kind: processes, size: 1}
routes:
  - {route: GET /static, reply: yes}
  - {route: GET /inline, nodes: {a: {step: echo, input: yes, pool: i}}, reply: $node.a}
  - {route: GET /threads, nodes: {a: {step: echo, input: yes, pool: t}}, reply: $node.a}
  - {route: GET /processes, nodes: {a: {step: echo, input: yes, pool: p}}, reply: $node.a}
  - route: GET /name
    nodes: {a: {http: {url: 'http://localhost:9/'}, optional: true, default: {body: yes}}}
    reply: $node.a.body
"""


def fail(tmp_path, which):
    (tmp_path / "failed").unlink(missing_ok=True)
    (tmp_path / "which").write_text(which)
    return {
        "LD_PRELOAD": SHIM, "WEIR_NO_THREAD": str(tmp_path / "which"), "WEIR_NO_THREAD_SEEN": str(tmp_path / "failed"),
        "ASAN_OPTIONS": ":".join([os.environ.get("ASAN_OPTIONS", ""), "verify_asan_link_order=0"]),
    }


def failed(tmp_path):
    seen = tmp_path / "failed"
    return seen.stat().st_size if seen.exists() else 0


def ask(port):
    """Statuses of so many requests on so many fresh connections."""
    statuses = []
    for i in range(CONNECTIONS):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_S)
        for j in range(REQUESTS):
            connection.request("GET", PATHS[(i + j) % len(PATHS)])
            reply = connection.getresponse()
            reply.read()
            statuses.append(reply.status)
        connection.close()
    return statuses


def is_over(weir):
    return weir.process.poll() is not None


def check_one(weir):
    """Whether it serves, all of it; otherwise it has said why it does not."""
    until(lambda: weir.servers() or is_over(weir), 60)
    if not weir.servers():
        assert weir.process.returncode in (1, 3), weir.log()  # 1: the configuration could not be read
        assert re.search(r"error .*: the system allows no more threads", weir.log()), weir.log()
        assert not BROKEN.search(weir.log()), weir.log()
        return False
    assert set(ask(weir.port)) == {200}, weir.log()
    began = time.monotonic()
    weir.stop(signal.SIGTERM)
    assert time.monotonic() - began < DRAIN / 2, weir.log()  # time: what waits for the drain takes all of it
    assert len(weir.servers()) == 1, weir.log()  # none died meanwhile
    return True


@pytest.mark.parametrize("onwards", ["", " onwards"], ids=["one", "all_from_there_on"])
def test_each_thread_in_turn(tmp_path, onwards):
    served = refused = 0
    for nth in range(1, 100):
        weir = Weir(tmp_path, config=CONFIG, environment=fail(tmp_path, "%d%s" % (nth, onwards)), wait=False)
        try:
            if check_one(weir):
                served += 1
            else:
                refused += 1
        finally:
            weir.kill()
        if not failed(tmp_path):
            break
    # Three I/O threads, the access log's, and the pools' are needed; the watchdogs' are not.
    assert not failed(tmp_path) and refused >= 6 and served >= 3


# The fourth alone may be a watchdog, without which it serves: threads start others beside each other.
@pytest.mark.parametrize("which", ["2", "2 onwards", "4 onwards"])
def test_a_reload_that_gets_no_threads_keeps_the_old_server(tmp_path, which):
    with weirs(tmp_path) as start:
        weir = start(config=CONFIG, environment=fail(tmp_path, ""))
        first = weir.servers()
        fail(tmp_path, which)
        weir.send(signal.SIGHUP)
        weir.wait_for_log("the old server serves on")
        assert failed(tmp_path) and weir.servers() == first
        assert set(ask(weir.port)) == {200}
        fail(tmp_path, "")
        weir.send(signal.SIGHUP)
        weir.wait_for_server(2)
        assert set(ask(weir.port)) == {200}

"""One fault after the other on one of three servers, and on two of them, while requests come: of those that may be repeated, how
many are answered right. WEIR_FAULT_REQUESTS says how many there are for each fault; nightly runs have enough to count one in
ten thousand."""
import http.client
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time

import pytest

from conftest import HANG_S, until
from test_admin import admin_port, ask
from weir_process import Clients, weirs

REQUESTS = int(os.environ.get("WEIR_FAULT_REQUESTS", "1000"))
CLIENTS = 8
BUDGET, BUDGET_MIN = 0.2, 3  # of retries, unless the configuration says otherwise
DEADLINE_S = 10

GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"ok\": true}"

SERVER = """
import socketserver, sys

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            line = self.rfile.readline()
            if not line:
                return
            while self.rfile.readline().strip():
                pass
            self.wfile.write(%r)

class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = allow_reuse_address = True
    request_queue_size = 1024

server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
""" % GOOD


class Process:
    """A server that is well, until a signal comes."""

    has_shown = True  # its fault, as often as it takes

    def __init__(self):
        self.start(0)

    def start(self, port):
        self.process = subprocess.Popen([sys.executable, "-c", SERVER, str(port)], stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())

    def send(self, number):
        self.process.send_signal(number)

    def close(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Flapping(Process):
    """From the signal on it dies and comes back on its port, about every second."""

    def __init__(self):
        super().__init__()
        self.ended = threading.Event()
        self.deaths = 0
        self.thread = threading.Thread(target=self.flap)

    @property
    def has_shown(self):
        return self.deaths >= 3

    def flap(self):
        while not self.ended.is_set():
            super().close()
            self.deaths += 1
            self.ended.wait(0.5)  # time: the pace of the fault
            self.start(self.port)
            self.ended.wait(0.5)  # time: the same

    def send(self, _):
        self.thread.start()

    def close(self):
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join()
        super().close()


class Rude:
    """A server that is well until `rude` is set, and then does that with each request: a function of its connection."""

    has_shown = True

    def __init__(self, rude):
        class Handler(socketserver.StreamRequestHandler):
            def handle(handler):
                while handler.rfile.readline():
                    while handler.rfile.readline().strip():
                        pass
                    if self.on:
                        rude(handler.wfile)
                        return
                    handler.wfile.write(GOOD)

        class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
            daemon_threads = allow_reuse_address = True
            request_queue_size = 1024

            def handle_error(self, request, address):
                pass  # its client has gone

        self.on = False
        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def send(self, _):
        self.on = True

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def slow(out):
    time.sleep(2)  # time: twice what an attempt may take; longer is no different
    out.write(GOOD)


def silent(out):
    time.sleep(DEADLINE_S)  # time: longer than any request may take


FAULTS = {
    "killed": (Process, signal.SIGKILL),
    "stopped": (Process, signal.SIGSTOP),
    "slow": (lambda: Rude(slow), None),
    "garbage": (lambda: Rude(lambda out: out.write(b"\x00\xff garbage\r\n\r\n")), None),
    "mid-body": (lambda: Rude(lambda out: out.write(GOOD[:-5])), None),
    "silent": (lambda: Rude(silent), None),
    "flapping": (Flapping, None),
}


class Load(Clients):
    """Clients that ask on one connection each; which of the answers were right, and the longest one."""

    def __init__(self, port):
        super().__init__(CLIENTS)
        self.port = port
        self.asked = self.right = 0
        self.longest = 0.0

    def ask_all_the_time(self, nth):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        while not self.ended.is_set():
            began = time.monotonic()
            connection.request("GET", "/")
            response = connection.getresponse()
            body = response.read()
            with self.lock:
                self.longest = max(self.longest, time.monotonic() - began)
                self.asked += 1
                self.right += response.status == 200 and json.loads(body) == {"ok": True}
        connection.close()


def metric(weir, name):
    """Its sum over all series."""
    text = ask(admin_port(weir), "/metrics")[1]
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + "{"))


@pytest.mark.parametrize("faulty", [1, 2], ids=["one-of-three", "two-of-three"])
@pytest.mark.parametrize("fault", FAULTS)
def test_requests_are_answered_nevertheless(tmp_path, fault, faulty):
    """Ejections are short, so that servers fail again and again."""
    make, number = FAULTS[fault]
    servers = [make() for _ in range(faulty)] + [Process() for _ in range(3 - faulty)]
    with weirs(tmp_path) as start:
        weir = start(config="""
listen: 127.0.0.1:0
admin: 127.0.0.1:0
threads: 2
timeouts: {request: %ds}
upstreams: {x: {servers: [%s], retry: {per_try: 1s}, eject: {time: 300ms, slow_start: 300ms}}}
routes:
  - {route: GET /, nodes: {a: {http: {upstream: x, path: /}}}, reply: $node.a.body}
""" % (DEADLINE_S, ", ".join("'127.0.0.1:%d'" % s.port for s in servers)))
        try:
            with Load(weir.port) as load:
                until(lambda: load.asked >= REQUESTS // 10)
                for s in servers[:faulty]:
                    s.send(number)
                until(lambda: load.asked >= REQUESTS and all(s.has_shown for s in servers), 10 * HANG_S)
                until(lambda: metric(weir, "weir_upstream_server_failures_total") > 0)
            retries = metric(weir, "weir_upstream_retries_total")
            weir.stop()
        finally:
            for s in servers:
                s.close()
    wrong = load.asked - load.right
    print("%s, %d of 3: %d wrong of %d, %d retries, longest %.1f s" % (
        fault, faulty, wrong, load.asked, retries, load.longest))
    assert wrong <= load.asked * (1e-4 if faulty == 1 else 1e-3)
    assert retries <= BUDGET * load.asked + BUDGET_MIN
    assert load.longest < DEADLINE_S

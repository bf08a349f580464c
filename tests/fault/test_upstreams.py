"""One fault after the other on one of three servers, and on two of them, while requests come: of those that may be repeated, how
many are answered right. WEIR_FAULT_REQUESTS says how many there are for each fault; nightly runs have enough to count one in
ten thousand."""
import concurrent.futures
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

from conftest import until
from test_admin import admin_port, ask
from weir_process import weirs

REQUESTS = int(os.environ.get("WEIR_FAULT_REQUESTS", "1000"))
CLIENTS = 8
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

    def __init__(self, port=0):
        self.process = subprocess.Popen([sys.executable, "-c", SERVER, str(port)], stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())

    def send(self, number):
        self.process.send_signal(number)

    def close(self):
        self.send(signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Rude:
    """A server that is well until `rude` is set, and then does that with each request: a function of its connection."""

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
    time.sleep(2)  # time: four times what an attempt may take; longer is no different
    out.write(GOOD)


def silent(out):
    time.sleep(DEADLINE_S)  # time: longer than any request may take


def flap(out):
    """There each second one."""
    if int(time.monotonic()) % 2:
        out.write(GOOD)


FAULTS = {
    "killed": (Process, signal.SIGKILL),
    "stopped": (Process, signal.SIGSTOP),
    "slow": (lambda: Rude(slow), None),
    "garbage": (lambda: Rude(lambda out: out.write(b"\x00\xff garbage\r\n\r\n")), None),
    "mid-body": (lambda: Rude(lambda out: out.write(GOOD[:-5])), None),
    "silent": (lambda: Rude(silent), None),
    "flapping": (lambda: Rude(flap), None),
}


def client(port, count, ended):
    """How many of so many requests on one connection were answered right; and the longest."""
    right, longest = 0, 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(count):
        began = time.monotonic()
        connection.request("GET", "/")
        response = connection.getresponse()
        body = response.read()
        longest = max(longest, time.monotonic() - began)
        right += response.status == 200 and json.loads(body) == {"ok": True}
        ended()
    connection.close()
    return right, longest


@pytest.mark.parametrize("faulty", [1, 2], ids=["one-of-three", "two-of-three"])
@pytest.mark.parametrize("fault", FAULTS)
def test_requests_are_answered_nevertheless(tmp_path, fault, faulty):
    make, number = FAULTS[fault]
    servers = [make() for _ in range(faulty)] + [Process() for _ in range(3 - faulty)]
    done = []
    with weirs(tmp_path) as start:
        weir = start(config="""
listen: 127.0.0.1:0
admin: 127.0.0.1:0
threads: 2
timeouts: {request: %ds}
upstreams: {x: {servers: [%s], retry: {per_try: 500ms}}}
routes:
  - {route: GET /, nodes: {a: {http: {upstream: x, path: /}}}, reply: $node.a.body}
""" % (DEADLINE_S, ", ".join("'127.0.0.1:%d'" % s.port for s in servers)))
        try:
            with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
                asking = [pool.submit(client, weir.port, REQUESTS // CLIENTS, lambda: done.append(1)) for _ in range(CLIENTS)]
                until(lambda: len(done) >= REQUESTS // 10)
                for s in servers[:faulty]:
                    s.send(number)
                results = [a.result() for a in asking]
            text = ask(admin_port(weir), "/metrics")[1]
            weir.stop()
        finally:
            for s in servers:
                s.close()
    total = REQUESTS // CLIENTS * CLIENTS
    wrong = total - sum(right for right, _ in results)
    retries = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("weir_upstream_retries_total{")]
    print("%s, %d of 3: %d wrong of %d, %d retries" % (fault, faulty, wrong, total, retries[0]))
    assert wrong <= total * (1e-4 if faulty == 1 else 1e-3)
    assert max(longest for _, longest in results) < DEADLINE_S

"""Three hundred clients that each hold a body of 1 MiB: what a server's memory is beyond the bodies, and what is left of it.

nginx is given room to hold them in memory too, and passes each on to an upstream that accepts and says nothing.
"""
import fcntl
import selectors
import socket
import struct
import termios
import time

import processes
import servers

CLIENTS = 300
BODY = 1 << 20
SETTLED_SECONDS = 0.5  # without a change
LEFT_SECONDS = 5
GIVE_UP_SECONDS = 60

# The case, and how much of each body is sent.
CASES = (("held whole", BODY), ("held but for their last byte", BODY - 1), ("announced", 0))

class WeirOfUploads(servers.Weir):
    """All bodies at once fit; what happens if they do not is the tests' affair."""

    def more(self):
        return "limits: {bodies: 1GiB}\ntimeouts: {body: 5m}\n"


class NginxOfUploads(servers.Nginx):
    """Before an upstream whose backlog takes every connection, and which nobody serves."""

    def __enter__(self):
        self.silent = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.backend = "127.0.0.1:%d" % self.silent.getsockname()[1]
        return super().__enter__()

    def __exit__(self, *_):
        super().__exit__()
        self.silent.close()

    def more(self):
        return ("location = /hold { client_max_body_size 2m; client_body_buffer_size 2m; client_body_timeout 5m;"
                " proxy_read_timeout 5m; proxy_pass http://backend; }")


def _unsent(sock):
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, struct.pack("i", 0)))[0]


class Uploaders:
    """Clients that have each sent a head and the first `count` bytes of a body, all of it taken by the server's kernel."""

    def __init__(self, server, count):
        host, port = server.address.rsplit(":", 1)
        head = ("POST /hold HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (
            server.address, BODY)).encode()
        self.message = memoryview(head + (b'"' + b"x" * (BODY - 2) + b'"')[:count])
        self.sockets = [socket.create_connection((host, int(port))) for _ in range(CLIENTS)]
        self._send_all()

    def _send_all(self):
        until = time.monotonic() + GIVE_UP_SECONDS
        with selectors.DefaultSelector() as ready:
            for s in self.sockets:
                s.setblocking(False)
                ready.register(s, selectors.EVENT_WRITE, [0])
            while ready.get_map():
                for key, _ in ready.select(1):
                    key.data[0] += key.fileobj.send(self.message[key.data[0]:])
                    if key.data[0] == len(self.message):
                        ready.unregister(key.fileobj)
                if time.monotonic() > until:
                    raise SystemExit("bench-http: the server does not take the bodies")
        while any(_unsent(s) for s in self.sockets) and time.monotonic() < until:
            time.sleep(0.01)

    def close(self):
        for s in self.sockets:
            s.close()


def _settled(pid):
    """Resident memory, once it changes no more."""
    until = time.monotonic() + GIVE_UP_SECONDS
    last, since = processes.resident(pid), time.monotonic()
    while time.monotonic() - since < SETTLED_SECONDS and time.monotonic() < until:
        time.sleep(0.1)
        now = processes.resident(pid)
        if abs(now - last) > 256 * 1024:
            since = time.monotonic()
        last = now
    return last


def _measure(machine, kind, count):
    """Bytes beyond the bodies for each client while they are held; and after they are gone, in relation to before."""
    with kind(machine) as server:
        pid = server.server_pid()
        before = _settled(pid)
        uploaders = Uploaders(server, count)
        held = _settled(pid)
        uploaders.close()
        time.sleep(LEFT_SECONDS)
        left = processes.resident(pid)
    return (held - before - CLIENTS * count) / CLIENTS, left / before


def bodies(machine, report, rounds):
    for name, count in CASES:
        found = {WeirOfUploads: [], NginxOfUploads: []}
        for nth in range(rounds):
            for kind in list(found) if nth % 2 else list(found)[::-1]:
                found[kind].append(_measure(machine, kind, count))
        report.title("%d clients, bodies of 1 MiB, %s; %d rounds" % (CLIENTS, name, rounds))
        ours, theirs = found[WeirOfUploads], found[NginxOfUploads]
        report.figure("weir: resident beyond the bodies, each", [f[0] for f in ours], "bytes",
                      "bodies: announced" if count == 0 else None)
        report.figure("nginx: the same", [f[0] for f in theirs], "bytes")
        if count:
            report.ratio("weir's beside nginx's", [f[0] for f in ours], [f[0] for f in theirs], "bodies: held")
        report.figure("weir: resident %d s after they left, to before" % LEFT_SECONDS, [f[1] for f in ours], "x",
                      "bodies: left")
        report.figure("nginx: the same", [f[1] for f in theirs], "x")

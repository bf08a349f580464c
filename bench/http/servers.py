"""The servers under test: Weir, nginx, and the bare loop. Each a context manager with an address, its processes and no surprises:

    with Weir(machine, routes=...) as server:
        load(server.address)
"""
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import processes

ANSWER = b'{"message":"Hello, World!"}\n'
BIG = 1 << 20  # bytes of the big reply
OPEN_FILES = 65536
STOP_SECONDS = 10


class Machine:
    """What all share: the programs, the two processors, a folder for files, and how many of them a process may have open."""

    def __init__(self, weir, client, backend, open_files):
        self.open_files = open_files
        self.weir, self.client_program, self.backend_program = weir, client, backend
        self.nginx, self.wrk = _program("nginx"), _program("wrk")
        allowed = sorted(os.sched_getaffinity(0))
        self.server_core, self.load_core = allowed[0], allowed[-1]
        if self.server_core == self.load_core:
            raise SystemExit("bench-http: needs two processors, one for the server and one for the load")
        self.cores = {self.server_core, self.load_core}
        self.running = []
        self.folder = tempfile.mkdtemp(prefix="weir-bench-")

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def place(self, name):
        return tempfile.mkdtemp(prefix=name + "-", dir=self.folder)

    def on(self, core, argv, **options):
        return subprocess.Popen(argv, preexec_fn=lambda: os.sched_setaffinity(0, {core}), **options)

    def load(self, argv, **options):
        """Starts a program that loads, on the core that is the loads'."""
        return self.on(self.load_core, argv, text=True, **options)


def _program(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise SystemExit("bench-http: there is no %s here; tools/setup bench installs it" % name)
    return path


def free_port():
    """A port nobody listens on, from below those that the kernel gives to clients: with thousands of those about, one
    of theirs may be taken again before we are there."""
    for _ in range(1000):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", random.randrange(10000, 30000)))
                return s.getsockname()[1]
            except OSError:
                pass
    raise SystemExit("bench-http: found no free port")


def fetch(address, path="/json", timeout=2.0):
    """The whole answer's bytes: head and body."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout) as s:
        s.sendall(("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (path, address)).encode())
        said = b""
        while more := s.recv(65536):
            said += more
        return said


def fetch_kept(address, path):
    """The head of an answer on a connection that stays open, as the load sees it."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 2.0) as s:
        s.sendall(("GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (path, address)).encode())
        said = b""
        while b"\r\n\r\n" not in said and (more := s.recv(65536)):
            said += more
        return said.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


class Server:
    """Started on the servers' core, unless `core` is another or None (all). `started_ns`: from before exec to the first 200."""

    name = "?"

    def __init__(self, machine, core="server"):
        self.machine = machine
        self.core = machine.server_core if core == "server" else core
        self.process = None
        self.address = None
        self.started_ns = None

    def argv(self):
        raise NotImplementedError

    def probe(self):
        return "/json"

    def __enter__(self):
        self.folder = self.machine.place(self.name.split()[0])
        self.address = "127.0.0.1:%d" % free_port()
        argv = self.argv()
        with open(os.path.join(self.folder, "said"), "wb") as said:
            cores = {self.core} if self.core is not None else os.sched_getaffinity(0)
            began = time.monotonic_ns()
            self.process = subprocess.Popen(
                argv, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                preexec_fn=lambda: os.sched_setaffinity(0, cores), start_new_session=True)
        self.machine.running.append(self)
        try:
            self._await_ready(began)
        except BaseException:
            self.stop()
            raise
        return self

    def _await_ready(self, began):
        while True:
            try:
                if fetch(self.address, self.probe()).startswith(b"HTTP/1.1 200 "):
                    self.started_ns = time.monotonic_ns() - began
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic_ns() - began > 10e9:
                raise SystemExit("bench-http: %s does not serve; it said:\n%s" % (self.name, self.said()))
            time.sleep(0.0002)

    def said(self):
        with open(os.path.join(self.folder, "said"), errors="replace") as said:
            return said.read()[-4000:]

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """In its own good manner; what does not end is killed, with its children."""
        self.machine.running.remove(self)
        if self.process.poll() is None:
            members = processes.family(self.process.pid)
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                print("  (%s did not end within %d s of SIGTERM)" % (self.name, STOP_SECONDS))
                for pid in members:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                self.process.wait()

    @property
    def pid(self):
        return self.process.pid

    def server_pid(self):
        """The process that answers: the child, where there is one."""
        found = processes.children(self.pid)
        return found[-1] if found else self.pid

    def cpu_ns(self):
        return processes.cpu_ns(processes.family(self.pid))


class Backend(Server):
    """The bare loop. It chooses its port and says it."""

    name = "bare loop"

    def argv(self):
        return [self.machine.backend_program]

    def _await_ready(self, began):
        while "\n" not in self.said():
            if self.process.poll() is not None or time.monotonic_ns() - began > 10e9:
                raise SystemExit("bench-http: the backend does not start: " + self.said())
            time.sleep(0.001)
        self.address = self.said().split()[-1]


NGINX = """\
daemon off;
%(user)s
worker_processes 1;
worker_rlimit_nofile %(files)d;
pid %(folder)s/pid;
error_log %(folder)s/said warn;
events { worker_connections 32768; }
http {
    access_log off;
    default_type application/json;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    client_body_temp_path %(folder)s/body;
    proxy_temp_path %(folder)s/proxy;
    fastcgi_temp_path %(folder)s/fastcgi;
    uwsgi_temp_path %(folder)s/uwsgi;
    scgi_temp_path %(folder)s/scgi;
    %(upstream)s
    server {
        listen %(address)s backlog=4096;
        location = /json { return 200 '{"message":"Hello, World!"}\\n'; }
        location = /body { return 200 '{"message":"Hello, World!"}\\n'; }
        location = /big { alias %(folder)s/big; }
        %(forward)s
        %(more)s
    }
}
"""


class Nginx(Server):
    """Debian's, with one worker and the settings its users make for such a load."""

    name = "nginx"

    def __init__(self, machine, backend=None, **options):
        super().__init__(machine, **options)
        self.backend = backend

    def more(self):
        """More locations."""
        return ""

    def argv(self):
        with open(os.path.join(self.folder, "big"), "wb") as big:
            big.write(b"x" * BIG)
        upstream = forward = ""
        if self.backend:
            upstream = "upstream backend { server %s; keepalive 512; keepalive_requests 1000000000; }" % self.backend
            forward = ("location = /forward { proxy_pass http://backend/json; proxy_http_version 1.1;"
                       " proxy_set_header Connection \"\"; }")
        path = os.path.join(self.folder, "nginx.conf")
        with open(path, "w") as conf:
            conf.write(NGINX % {
                "user": "user root;" if os.geteuid() == 0 else "", "files": self.machine.open_files, "folder": self.folder,
                "address": self.address, "upstream": upstream, "forward": forward, "more": self.more()})
        return [self.machine.nginx, "-p", self.folder, "-c", path, "-e", os.path.join(self.folder, "said")]


WEIR = """\
listen: %(address)s
admin: off
threads: 1
log: {access: false}
routes:
  - route: GET /json
    reply: {message: "Hello, World!"}
  - route: GET /wait
    nodes: {pause: {sleep: 1s}}
    reply: {ok: true}
  - route: POST /body
    reply: $body
  - route: POST /hold
    deadline: 10m
    nodes: {pause: {sleep: 5m}}
    reply: {body: $body, pause: $node.pause}
"""


class Weir(Server):
    name = "weir"

    def __init__(self, machine, backend=None, big=False, more_routes=(), **options):
        super().__init__(machine, **options)
        self.backend, self.big, self.more_routes = backend, big, more_routes

    def more(self):
        """More keys."""
        return ""

    def argv(self):
        path = os.path.join(self.folder, "weir.yaml")
        with open(path, "w") as conf:
            conf.write(self.more() + WEIR % {"address": self.address})
            if self.backend:
                conf.write('  - route: GET /forward\n    nodes: {up: {http: "http://%s/json"}}\n'
                           "    reply: $node.up.body\n" % self.backend)
            if self.big:
                conf.write('  - route: GET /big\n    reply: "%s"\n' % ("x" * (BIG - 2)))
            for pattern, reply in self.more_routes:
                conf.write("  - route: GET %s\n    reply: %s\n" % (pattern, reply))
        return [self.machine.weir, "serve", path]

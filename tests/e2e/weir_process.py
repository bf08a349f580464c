"""A real weir, supervisor and server, watched for what it must not do.

Its log goes to a file. At its end it must have said nothing of bugs and sanitizers, have ended with status 0, and have
left no process behind.
"""
import contextlib
import http.client
import os
import re
import secrets
import signal
import socket
import subprocess
import threading
import time

from conftest import HANG_S, until

WEIR = os.environ.get("WEIR", "build/debug/src/cli/weir")
BROKEN = re.compile(r"bug: |Sanitizer|runtime error|overflowed its stack|is killed: ")

CONFIG = """
listen: 127.0.0.1:0
admin: off
threads: 2
timeouts: {{drain: 10s, linger: 100ms}}
log: {{access: false}}
routes:
  - {{route: GET /, reply: {{version: {version}}}}}
  - {{route: GET /slow, nodes: {{pause: {{sleep: 700ms}}}}, reply: {{slow: true}}}}
"""


def run(*arguments, program=WEIR, **options):
    options.setdefault("timeout", 60)
    return subprocess.run([program, *arguments], capture_output=True, text=True, **options)


def own_address():
    """Where nobody else listens: a loopback address of its own, and a port that the kernel gives to nobody who asks for any."""
    host = "127.%d.%d.%d" % tuple(2 + secrets.randbelow(250) for _ in range(3))
    return host, 10000 + secrets.randbelow(20000)


def stat_of(pid):
    """The fields of /proc/PID/stat behind its name; None: it is gone, be it while it was looked at."""
    try:
        with open("/proc/%d/stat" % pid) as stat:
            return stat.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def has_ended(pid):
    """Whether it is gone, or is a zombie that nobody here reaps."""
    fields = stat_of(pid)
    return not fields or fields[0] == "Z"


def descendants(pid):
    """Every process below, of whatever generation: {pid: parent}."""
    parents = {}
    for name in os.listdir("/proc"):
        fields = stat_of(int(name)) if name.isdigit() else None
        if fields and fields[0] != "Z":
            parents[int(name)] = int(fields[1])
    found, more = {}, {pid}
    while more:
        below = {child: parent for child, parent in parents.items() if parent in more}
        found.update(below)
        more = set(below)
    return found


def processor_ticks(pid):
    """What it and all below have computed so far, those that they have seen the end of included, in hundredths of a second."""
    total = 0
    for member in [pid, *descendants(pid)]:
        total += sum(int(ticks) for ticks in (stat_of(member) or [])[11:15])
    return total


class Weir:
    def __init__(self, folder, *arguments, config=None, program=WEIR, launcher=(), environment=None, wait=True, **options):
        self.log_path = folder / ("log-%d" % time.monotonic_ns())
        self.config = folder / "weir.yaml"
        if config:
            self.config.write_text(config)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [*launcher, str(program), "serve", "--log-format", "text", *arguments, str(self.config)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True,
                env={**os.environ, **(environment or {})}, **options)
        self.pid = self.process.pid
        if wait:
            self.wait_for_server(1)

    def log(self):
        return self.log_path.read_text()

    def servers(self):
        """Servers that have become ready, in order."""
        return [int(pid) for pid in re.findall(r" server (\d+) serves", self.log())]

    def wait_for_server(self, count):
        """Waits until as many have become ready as that; then the last one's pid."""
        until(lambda: len(self.servers()) >= count or self.process.poll() is not None, 60)
        assert len(self.servers()) >= count, self.log()
        return self.servers()[-1]

    def wait_for_log(self, text):
        until(lambda: text in self.log() or self.process.poll() is not None, 60)
        assert text in self.log(), self.log()

    @property
    def address(self):
        return re.findall(r'listening on ([^\s"]+)', self.log())[-1]

    @property
    def host(self):
        return self.address.rsplit(":", 1)[0]

    @property
    def port(self):
        return int(self.address.rsplit(":", 1)[1])

    def get(self, path="/", timeout=HANG_S):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, reply.read().decode()
        finally:
            connection.close()

    def send(self, number):
        self.process.send_signal(number)

    def stop(self, number=signal.SIGTERM, status=0):
        if self.process.returncode is None:
            self.send(number)
        assert self.process.wait(timeout=60) == status, self.log()
        self.check_end()

    def check_end(self):
        assert not BROKEN.search(self.log()), self.log()

        def nobody_left():
            try:
                os.killpg(self.pid, 0)
            except ProcessLookupError:
                return True
            return False

        until(nobody_left)  # a child that was killed is gone a moment after

    def kill(self):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


@contextlib.contextmanager
def weirs(folder):
    """What starts them; those that run yet are stopped in the end, as they should, and nothing is left of any."""
    started = []

    def start(*arguments, **options):
        started.append(Weir(folder, *arguments, **options))
        return started[-1]

    try:
        yield start
        for weir in started:
            if weir.process.returncode is None:
                weir.stop()
    finally:
        for weir in started:
            weir.kill()


class Clients:
    """Threads that run `ask_all_the_time(nth)` as long as the block runs; it returns soon after `ended` is set."""

    def __init__(self, count):
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.ask_all_the_time, args=(n,)) for n in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def ask_all_the_time(self, nth):
        raise NotImplementedError


class Load(Clients):
    """Clients that open a new connection for each request, and count what happens to them."""

    def __init__(self, port, clients=4):
        super().__init__(clients)
        self.port = port
        self.answered = self.refused = 0
        self.failures = []

    def ask(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            data = b""
            while part := s.recv(4096):
                data += part
        assert data.startswith(b"HTTP/1.1 200 ") and data.endswith(b"}\n"), data

    def ask_all_the_time(self, _):
        while not self.ended.is_set():
            try:
                self.ask()
            except ConnectionRefusedError:
                with self.lock:
                    self.refused += 1
            except (OSError, AssertionError) as e:
                with self.lock:
                    self.failures.append(repr(e))
            else:
                with self.lock:
                    self.answered += 1

    def wait_for_more(self, count=20):
        """Waits until so many more requests have been answered."""
        goal = self.answered + count
        until(lambda: self.answered >= goal, 60)

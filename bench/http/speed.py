"""Requests a second, latency and processor time a request beside nginx: direct, forwarding, and with many routes.

Both servers of a round run throughout it; the load goes to one, then to the other, and who comes first changes with each round. Every
round starts new processes, so that one lucky or unlucky layout of memory is not taken for a property.
"""
import contextlib
import re
import subprocess

import load
import servers

CONNECTIONS = (1, 64, 512)
WARM_UP_SECONDS = 1


def turns(names, nth):
    return names if nth % 2 == 0 else names[::-1]


class Runs:
    """{(server's name, shape): [Run, ...]}"""

    def __init__(self):
        self.all = {}
        self.repeated = 0

    def compare(self, running, shape, load_one, names=None):
        """Loads each in turn, again if that was disturbed."""
        results, repeated = load.undisturbed(lambda: [load_one(server) for server in running])
        self.repeated += repeated
        for name, run in zip(names or [server.name for server in running], results):
            self.all.setdefault((name, shape), []).append(run)

    def of(self, name, shape, what):
        return [getattr(run, what) for run in self.all[name, shape]]

    def tell_others(self, report):
        """How far the machine was ours."""
        report.title("was the machine ours? %d turns were repeated, since it was not" % self.repeated)
        report.figure("taken by others in those that count, of a processor",
                      [run.others * 100 for runs in self.all.values() for run in runs], "%")


def tell(report, runs, shape, title, ours, theirs, bars, floor=None):
    """One block: both servers' figures and the ratios, `bars` by what they bound."""
    report.title(title)
    for what, unit, label in (("rate", "/s", "requests"), ("p50_us", "us", "p50"), ("p99_us", "us", "p99"),
                              ("cpu_us", "us", "server time a request")):
        for name in (ours, theirs) + ((floor,) if floor else ()):
            report.figure("%s: %s" % (name, label), runs.of(name, shape, what), unit)
        report.ratio("%s / %s: %s" % (ours, theirs, label), runs.of(ours, shape, what), runs.of(theirs, shape, what),
                     bars.get(what))


def compare_heads(report, running, path):
    """The same work? What both send for the load's request, with what their clients must read."""
    bodies = set()
    for server in running:
        head = servers.fetch_kept(server.address, path)
        bodies.add(servers.fetch(server.address, path).partition(b"\r\n\r\n")[2])
        names = re.findall(rb"\r\n([A-Za-z-]+):", head)
        report.note("%s answers with a head of %d bytes: %s" % (server.name, len(head), b" ".join(names).decode()))
    if bodies != {servers.ANSWER}:
        raise SystemExit("bench-http: the bodies differ: %s" % bodies)


def direct(machine, report, ours, rounds, seconds):
    """28 bytes of JSON, at 1, 64 and 512 connections."""
    runs = Runs()
    for nth in range(rounds):
        with ours(machine) as us, servers.Nginx(machine) as nginx, servers.Backend(machine) as floor:
            if nth == 0:
                report.title("direct: GET /json, %d rounds of %d s" % (rounds, seconds))
                compare_heads(report, (us, nginx), "/json")
            for server in (us, nginx):
                load.wrk(machine, server, "/json", 64, WARM_UP_SECONDS)
            for connections in CONNECTIONS:
                runs.compare(turns([us, nginx, floor], nth), connections,
                             lambda server: load.wrk(machine, server, "/json", connections, seconds))
    for connections in CONNECTIONS:
        tell(report, runs, connections, "direct, %d connection%s" % (connections, "s" * (connections > 1)),
             ours.name, "nginx",
             {"rate": "direct: requests/s", "p99_us": "direct: p99", "cpu_us": "direct: server time"},
             "bare loop")
    runs.tell_others(report)


def forward(machine, report, ours, rounds, seconds):
    """Through to a bare loop that runs on the load's core, over kept connections."""
    runs = Runs()
    for nth in range(rounds):
        with servers.Backend(machine, core=machine.load_core) as backend, \
                ours(machine, backend=backend.address) as us, servers.Nginx(machine, backend=backend.address) as nginx:
            if nth == 0:
                report.title("forwarding: GET /forward, 64 connections, %d rounds of %d s" % (rounds, seconds))
                compare_heads(report, (us, nginx), "/forward")
            for server in (us, nginx):
                load.wrk(machine, server, "/forward", 64, WARM_UP_SECONDS)
            runs.compare(turns([us, nginx], nth), "forward",
                         lambda server: load.wrk(machine, server, "/forward", 64, seconds))
    tell(report, runs, "forward", "forwarding, 64 connections", ours.name, "nginx",
         {"rate": "forward: requests/s", "p99_us": "forward: p99"})
    runs.tell_others(report)


# Routes of one shape: the few are every thousandth of the many, so both answer the same requests.
FEW, MANY = 10, 10000
PATTERN = "/service/%05d/things/{id}"
PATH = "/service/%%05d/things/7"


def routes(machine, report, rounds, seconds):
    """10 and 10,000 routes of one shape, asked for the same ten paths; and the 10,000 asked for all of theirs."""
    stride = MANY // FEW
    reply = "{message: \"Hello, World!\"}"
    few = [(PATTERN % nth, reply) for nth in range(0, MANY, stride)]
    many = [(PATTERN % nth, reply) for nth in range(MANY)]
    ten_paths = {"pattern": PATH % (), "count": FEW, "stride": stride}
    all_paths = {"pattern": PATH % (), "count": MANY, "stride": 1}
    runs = Runs()
    for nth in range(rounds):
        with contextlib.ExitStack() as stack:
            servers_of = {"10 routes": stack.enter_context(servers.Weir(machine, more_routes=few)),
                          "10,000 routes": stack.enter_context(servers.Weir(machine, more_routes=many))}
            for server in servers_of.values():
                load.wrk(machine, server, "/", 64, WARM_UP_SECONDS, ten_paths)
            names = turns(list(servers_of), nth)
            runs.compare([servers_of[name] for name in names], "ten paths",
                         lambda server: load.wrk(machine, server, "/", 64, seconds, ten_paths), names)
            runs.compare([servers_of["10,000 routes"]], "all paths",
                         lambda server: load.wrk(machine, server, "/", 64, seconds, all_paths), ["10,000 routes"])
    report.title("routes: 64 connections, %d rounds of %d s" % (rounds, seconds))
    for what, unit, label in (("rate", "/s", "requests"), ("cpu_us", "us", "server time a request")):
        for name, shape in (("10 routes", "ten paths"), ("10,000 routes", "ten paths"), ("10,000 routes", "all paths")):
            report.figure("%s, %s: %s" % (name, shape, label), runs.of(name, shape, what), unit)
        report.ratio("10,000 routes / 10: %s" % label, runs.of("10,000 routes", "ten paths", what),
                     runs.of("10 routes", "ten paths", what),
                     {"rate": "routes: requests/s", "cpu_us": "routes: server time"}[what])
    runs.tell_others(report)


def syscalls(machine, report, ours):
    """Which system calls a request costs, of a run under strace: slow, so the counts alone mean something."""
    for connections in CONNECTIONS:
        report.title("system calls a request, %d connections" % connections)
        for kind in (ours, servers.Nginx):
            with kind(machine) as server:
                load.wrk(machine, server, "/json", connections, WARM_UP_SECONDS)
                trace = subprocess.Popen(["strace", "-c", "-f", "-q", "-p", str(server.server_pid())],
                                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                run = load.wrk(machine, server, "/json", connections, 2)
                trace.send_signal(2)
                said = trace.communicate(timeout=10)[1]
                requests = run.rate * 2
            counts = [(int(count), name) for count, name in
                      re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", said, re.M) if name != "total"]
            counts.sort(reverse=True)
            report.note("%-6s %.2f: %s" % (server.name, sum(c for c, _ in counts) / requests, ", ".join(
                "%s %.3f" % (name, count / requests) for count, name in counts if count / requests >= 0.0005)))

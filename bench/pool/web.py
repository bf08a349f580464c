"""HTTP in, an `echo` step, HTTP out: what a step's pool costs beside the same request's plain reply.

Everything runs in one server, route beside route, with one I/O thread, twice: with the server on one processor and the load on the other,
as in bench-http, where a pool's workers take what they need from the I/O thread; and on both, where the workers share
the second one with the load. In the first, the load has a processor for itself, so the ratio is that of the server's own cost; what a second
processor would bring is not in it. In the second, it is in it, but so is the load's need of the same processor.
"""
import os

import figures
import load
import servers
import speed

CONNECTIONS = 64
BODY = servers.ANSWER.decode()
KINDS = ("inline", "threads", "processes")
PLACES = ("one processor", "both processors")

BARS = {
    "http: inline, one processor": figures.Bar(">=", 0.9, "x plain"),
    "http: threads, one processor": figures.Bar(">=", 0.6, "x plain"),
    "http: threads, both processors": figures.Bar(">=", 0.6, "x plain"),
}

POOLS = "pools:\n" + "".join("  %s-pool: {kind: %s}\n" % (kind, kind) for kind in KINDS)
ROUTE = """\
  - route: POST /%(kind)s
    nodes: {value: {step: echo, pool: %(kind)s-pool}}
    reply: $node.value
"""


class Weir(servers.Weir):
    """With a route for each kind of pool."""

    def argv(self):
        argv = super().argv()
        with open(os.path.join(self.folder, "weir.yaml"), "a") as conf:
            conf.write("".join(ROUTE % {"kind": kind} for kind in KINDS) + POOLS)
        return argv


def _load(machine, server, name, seconds):
    if name == "static":
        return load.wrk(machine, server, "/json", CONNECTIONS, seconds)
    path = "/body" if name == "plain" else "/" + name
    return load.wrk(machine, server, path, CONNECTIONS, seconds, body=BODY)


def _tell(report, runs, place, rounds, seconds, names):
    report.title("HTTP, %d connections, the server on %s: %d rounds of %d s" % (CONNECTIONS, place, rounds, seconds))
    for what, unit, label in (("rate", "/s", "requests"), ("p50_us", "us", "p50"), ("p99_us", "us", "p99"),
                              ("cpu_us", "us", "server time a request")):
        for name in names:
            report.figure("%s: %s" % (name, label), runs.of(name, place, what), unit)
        if what in ("rate", "cpu_us"):
            for kind in KINDS:
                bar = "http: %s, %s" % (kind, place)
                report.ratio("%s / plain: %s" % (kind, label), runs.of(kind, place, what), runs.of("plain", place, what),
                             bar if what == "rate" and bar in BARS else None)


def web(machine, report, rounds, seconds):
    names = ["static", "plain", *KINDS]
    runs = speed.Runs()
    for nth in range(rounds):
        for place in speed.turns(list(PLACES), nth):
            with Weir(machine, **({"core": None} if place == "both processors" else {})) as server:
                for name in names[1:]:
                    _load(machine, server, name, 1)
                order = speed.turns(names, nth)
                runs.compare(order, place, lambda name: _load(machine, server, name, seconds), order)
    for place in PLACES:
        _tell(report, runs, place, rounds, seconds, names)
    runs.tell_others(report)

#!/usr/bin/env python3
"""Weir's HTTP server beside Debian's nginx, and its promises under stress, with every bar in one table.

    run.py --weir PROGRAM --client PROGRAM --backend PROGRAM [--only PART,...] [--rounds N] [--seconds N]

Runs the parts one after another and prints medians with minimum and maximum; exit status 1 if a bar is missed. One worker,
one I/O thread; servers on the first processor we may use, loads on the last. `--self` sets nginx against nginx: what that shows is
the bench's own bias and noise. `--syscalls` counts system calls a request instead, with strace.
"""
import argparse
import os
import resource
import signal
import sys
import time

import bodies
import faults
import figures
import servers
import slow
import speed
import start
import waiting

BARS = {
    "direct: requests/s": figures.Bar(">=", 1.0, "x nginx"),
    "direct: p99": figures.Bar("<=", 1.0, "x nginx"),
    "direct: server time": figures.Bar("<=", 1.0, "x nginx"),
    "forward: requests/s": figures.Bar(">=", 1.0, "x nginx"),
    "forward: p99": figures.Bar("<=", 1.0, "x nginx"),
    "routes: requests/s": figures.Bar(">=", 0.95, "x"),
    "routes: server time": figures.Bar("<=", 1.05, "x"),
    "sleepers: time": figures.Bar("<=", 1.3, "s"),
    "sleepers: memory": figures.Bar("<=", 12 * 1024, "bytes"),
    "idle: unused": figures.Bar("<=", 8 * 1024, "bytes"),
    "idle: used": figures.Bar("<=", 8 * 1024, "bytes"),
    "idle: after a sleep": figures.Bar("<=", 8 * 1024, "bytes"),
    "slow: p99": figures.Bar("<=", 1.5, "x"),
    "slow: memory": figures.Bar("<=", 128, "MB"),  # 64 KB a slow connection: a reply that never changes is not copied
    "slow: kernel memory": figures.Bar("<=", 512, "MB"),  # 256 KB each; left alone, the kernel queues 2 MB each
    "bodies: held": figures.Bar("<=", 2.0, "x nginx"),
    "bodies: announced": figures.Bar("<=", 24 * 1024, "bytes"),
    "bodies: left": figures.Bar("<=", 1.5, "x"),
    "start: time": figures.Bar("<=", 50, "ms"),
    "start: server": figures.Bar("<=", 8, "MB"),
    "start: supervisor": figures.Bar("<=", 8, "MB"),
    "start: binary": figures.Bar("<=", 3, "MB"),
    "kill: refused": figures.Bar("<=", 0),
    "kill: silence": figures.Bar("<=", 200, "ms"),
    "reload: failed": figures.Bar("<=", 0),
    "upgrade: failed": figures.Bar("<=", 0),
}

PARTS = ("direct", "forward", "routes", "sleepers", "idle", "slow", "bodies", "start", "kills", "reloads")
OF_WEIR_ALONE = ("routes", "sleepers", "idle", "bodies", "start")


class NginxAgain(servers.Nginx):
    name = "nginx again"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--weir", help="the program under test")
    parser.add_argument("--client", required=True, help="bench_http_client, as it was built")
    parser.add_argument("--backend", required=True, help="bench_http_backend, as it was built")
    parser.add_argument("--only", default=",".join(PARTS), help="some of " + ",".join(PARTS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="of each run of wrk")
    parser.add_argument("--self", action="store_true", help="nginx against nginx")
    parser.add_argument("--syscalls", action="store_true", help="count system calls instead")
    given = parser.parse_args()
    given.parts = given.only.split(",")
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error("no such part: %s; there are %s" % (", ".join(unknown), ", ".join(PARTS)))
    if not given.self and not given.weir:
        parser.error("--weir PROGRAM is needed, or --self")
    for name in ("weir", "client", "backend"):
        if getattr(given, name):
            setattr(given, name, os.path.abspath(getattr(given, name)))
    return given


def raise_descriptors():
    """To what a server of so many connections needs, or to what this machine allows; all that is started inherits it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for limit in (servers.OPEN_FILES, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, hard)))
            return limit
        except (ValueError, OSError):
            pass
    return hard


def run(machine, report, given, ours):
    if given.syscalls:
        speed.syscalls(machine, report, ours)
        return
    rounds, seconds = given.rounds, given.seconds
    parts = {
        "direct": lambda: speed.direct(machine, report, ours, rounds, seconds),
        "forward": lambda: speed.forward(machine, report, ours, rounds, seconds),
        "routes": lambda: speed.routes(machine, report, rounds, seconds),
        "sleepers": lambda: waiting.sleepers(machine, report, ours, max(5, rounds)),
        "idle": lambda: [waiting.idle(machine, report, kind, 3) for kind in (ours, servers.Nginx)],
        "slow": lambda: slow.slow(machine, report, ours, max(5, rounds), seconds),
        "bodies": lambda: bodies.bodies(machine, report, 5),
        "start": lambda: start.start(machine, report),
        "kills": lambda: faults.kills(machine, report, ours),
        "reloads": lambda: faults.reloads(machine, report, ours),
    }
    for part in given.parts:
        if not (given.self and part in OF_WEIR_ALONE):
            parts[part]()


def main():
    given = arguments()
    machine = servers.Machine(given.weir, given.client, given.backend, raise_descriptors())
    report = figures.Report(BARS)
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench-http: told to end"))  # so that no server is left behind
    print("servers on processor %d, loads on processor %d; medians (least .. most, samples)" % (
        machine.server_core, machine.load_core))
    try:
        run(machine, report, given, NginxAgain if given.self else servers.Weir)
    finally:
        machine.close()
    fine = report.end()
    report.note("%.0f s" % (time.monotonic() - began))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())

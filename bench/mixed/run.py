#!/usr/bin/env python3
"""Requests that wait and work, at their limit, beyond it and all at once: with every bar in one table.

    run.py --weir PROGRAM --client PROGRAM --backend PROGRAM [--only PART,...] [--rounds N] [--quick]

Runs the parts one after another and prints medians with minimum and maximum; exit status 1 if a bar is missed. Each turn has servers of
its own. --quick: one short round of each, to see that it works; its figures say little.
"""
import argparse
import os
import signal
import sys
import time

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "http"))

import burst
import figures
import overload
import rivers
import steady

BARS = {**steady.BARS, **overload.BARS, **burst.BARS}
PARTS = ("closed", "open", "over-mixed", "just-over-mixed", "over-work", "just-over-work", "burst")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--weir", required=True, help="the program under test")
    parser.add_argument("--client", required=True, help="bench_http_client, as it was built")
    parser.add_argument("--backend", required=True, help="bench_http_backend, as it was built")
    parser.add_argument("--only", default=",".join(PARTS), help="some of " + ",".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one short round")
    given = parser.parse_args()
    given.parts = given.only.split(",")
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error("no such part: %s; there are %s" % (", ".join(unknown), ", ".join(PARTS)))
    for name in ("weir", "client", "backend"):
        setattr(given, name, os.path.abspath(getattr(given, name)))
    return given


def main():
    given = arguments()
    rounds = 1 if given.quick else given.rounds
    machine = rivers.Machine(given.weir, given.client, given.backend, 0)
    report = figures.Report(BARS)
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench-mixed: told to end"))  # so that no server is left behind
    print("medians (least .. most, samples)")
    over = 5 if given.quick else 30

    def overload_of(path, factor):
        return lambda: overload.overload(machine, report, path, factor, rounds, over)

    parts = {
        "closed": lambda: steady.closed(machine, report, rounds, 3 if given.quick else 30),
        "open": lambda: steady.opened(machine, report, rounds, 5 if given.quick else 20),
        "over-mixed": overload_of("/mixed", 3),
        "just-over-mixed": overload_of("/mixed", 1.05),
        "over-work": overload_of("/work", 3),
        "just-over-work": overload_of("/work", 1.05),
        "burst": lambda: burst.burst(machine, report, rounds, 5 if given.quick else 20),
    }
    try:
        for part in given.parts:
            parts[part]()
    finally:
        machine.close()
    fine = report.end()
    report.note("%.0f s" % (time.monotonic() - began))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""What a step costs, in each kind of pool, beside Python's executors and beside a plain reply, with every bar in one table.

    run.py --weir PROGRAM --calls PROGRAM [--only PART,...] [--rounds N] [--seconds N]

Runs the parts one after another and prints medians with minimum and maximum; exit status 1 if a bar is missed. In each round everybody has
a turn, in processes that are new.
"""
import argparse
import os
import signal
import sys
import time

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "http"))

import figures
import handed
import large
import servers
import web

BARS = {**handed.BARS, **large.BARS, **web.BARS}
PARTS = ("one", "many", "large", "http")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--weir", required=True, help="the program under test")
    parser.add_argument("--calls", required=True, help="bench_pool_calls, as it was built; copies.so is beside it")
    parser.add_argument("--only", default=",".join(PARTS), help="some of " + ",".join(PARTS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=2, help="of each run of wrk")
    given = parser.parse_args()
    given.parts = given.only.split(",")
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error("no such part: %s; there are %s" % (", ".join(unknown), ", ".join(PARTS)))
    given.weir, given.calls = os.path.abspath(given.weir), os.path.abspath(given.calls)
    return given


def main():
    given = arguments()
    machine = servers.Machine(given.weir, None, None, 0)
    report = figures.Report(BARS)
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench-pool: told to end"))  # so that no server is left behind
    print("medians (least .. most, samples)")
    parts = {
        "one": lambda: handed.one(machine, report, given.calls, given.rounds),
        "many": lambda: handed.many(machine, report, given.calls, given.rounds),
        "large": lambda: large.large(machine, report, given.calls, given.rounds),
        "http": lambda: web.web(machine, report, given.rounds, given.seconds),
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

#!/usr/bin/env python3
"""Three steps a request, placed as forced and as `auto` finds best: one table of all cells.

    placement.py --program bench_pool_placement [--only COST,...] [--callers N,...] [--kinds KIND,...] [--ms N] [--rounds N] [--doc PAGE]

In each round every choice has its turn, in a process that is new; figures are medians. A cell holds if `auto` has at least 95 % of the best
forced choice's requests a second, and its p50 is at most 10 % above the best's. --doc puts the table between the markers of that page.
Exit status 1 if a cell does not hold.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

COSTS = ("1,1,1", "10,10,10", "100,100,100", "1000,1000,1000", "10000,10000,10000", "100000,100000,100000", "5,5,20000")
TURNS = ("10,10,10/2000,2000,2000",)  # a cost that changes every 5 s
PERIOD_MS = 5000
KINDS = {"threads": ("fused", "fanout", "inline"), "processes": ("fused", "fanout")}
BEGIN, END = "<!-- figures: bench/pool/placement.py -->\n", "<!-- end of figures -->\n"
# Less than this is noise of a clock, not a placement.
LEAST_US = 1.0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--program", required=True, help="bench_pool_placement, as it was built")
    parser.add_argument("--only", default=" ".join(COSTS + TURNS), help="lists of costs, separated by spaces")
    parser.add_argument("--callers", default="1,8,64")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--ms", type=int, default=1000, help="of each measurement, at least")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--doc", help="a page with markers, for the table")
    given = parser.parse_args()
    given.callers = [int(n) for n in given.callers.split(",")]
    return given


def measure(program, kind, choice, costs, callers, ms):
    turns = "/" in costs
    command = [program, kind, choice, costs, str(callers), str(4 * PERIOD_MS if turns else ms)]
    if turns:
        command.append(str(PERIOD_MS))
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=600)
    return json.loads(done.stdout)


def cell(given, kind, costs, callers):
    """The medians of each choice: {choice: (requests a second, p50 in microseconds)}."""
    choices = ("auto",) + KINDS[kind]
    figures = {choice: [] for choice in choices}
    for _ in range(given.rounds):
        for choice in choices:
            figures[choice].append(measure(given.program, kind, choice, costs, callers, given.ms))
    return {choice: tuple(statistics.median(f[key] for f in found) for key in ("per_s", "p50_us")) for choice, found in figures.items()}


def judge(found):
    best_rate = max(rate for choice, (rate, _) in found.items() if choice != "auto")
    best_p50 = min(p50 for choice, (_, p50) in found.items() if choice != "auto")
    rate, p50 = found["auto"]
    return rate / best_rate, p50 / best_p50, rate >= 0.95 * best_rate and p50 <= max(1.1 * best_p50, best_p50 + LEAST_US)


def shown(figure):
    if figure is None:
        return "–"
    return "%.3g" % figure if figure < 1000 else "{:,.0f}".format(figure)


def row(kind, costs, callers, found):
    of_best, p50, holds = judge(found)
    figures = []
    for choice in ("auto", "inline", "fanout", "fused"):
        figures.append("%s; %s" % tuple(shown(f) for f in found[choice]) if choice in found else "–")
    return "| %s | %s | %d | %s | %.0f %% | %.2f | %s |\n" % (
        kind, costs.replace(",", " + ").replace("/", ", then "), callers, " | ".join(figures), 100 * of_best, p50, "yes" if holds else "**no**")


def put_in(page, table):
    with open(page, encoding="utf-8") as f:
        text = f.read()
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    with open(page, "w", encoding="utf-8") as f:
        f.write(before + BEGIN + table + END + after)


def main():
    given = arguments()
    table = ("| pool | costs, us | callers | auto | inline | fanout | fused | of the best rate | p50 by the best | holds |\n"
             "| --- | --- | ---: | --- | --- | --- | --- | ---: | ---: | --- |\n")
    sys.stdout.write("requests/s; p50 in us (medians of %d)\n%s" % (given.rounds, table))
    holds = True
    for kind in given.kinds.split(","):
        for costs in given.only.split():
            for callers in given.callers:
                found = cell(given, kind, costs, callers)
                line = row(kind, costs, callers, found)
                holds = holds and judge(found)[2]
                table += line
                sys.stdout.write(line)
                sys.stdout.flush()
    decision = json.loads(subprocess.run([given.program, "decide"], stdout=subprocess.PIPE, check=True, timeout=60).stdout)["decision_ns"]
    sys.stdout.write("a decision takes %.0f ns\n" % decision)
    if given.doc:
        put_in(given.doc, table + "\nOn %d cores; a decision takes %.0f ns.\n" % (os.cpu_count(), decision))
    sys.exit(0 if holds and decision <= 200 else 1)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Three steps a request, placed as forced and as `auto` finds best: a table of all cells; what a decision takes; and what batches bring.

    placement.py --program PROGRAM --batch PROGRAM [--only PART,...] [--costs COST,...]... [--callers N,...] [--kinds KIND,...]
                 [--rounds N] [--runs N] [--doc PAGE]

A cell is measured by several runs of the program, in each of which all choices take turns in short slices. Choices are compared within a
round; what counts is the median of these ratios: so what the machine does meanwhile meets both. Of many rounds the quieter half counts: those in
which all choices together did most, so none is favoured by it. A cell holds if `auto` has at
least 95 % of the best forced choice's requests a second, and its p50 is at most 10 % above the least p50 of the forced choices that have that, too.
('strictly' is beside the least p50 of all, whatever their rate.) --doc puts the table between the markers of that page. Exit status 1 if a bar is missed.
"""
import argparse
import collections
import json
import os
import statistics
import subprocess
import sys
import time

CHANGING = "10,10,10/2000,2000,2000"
COSTS = ("1,1,1", "10,10,10", "100,100,100", "1000,1000,1000", "10000,10000,10000", "100000,100000,100000", "5,5,20000", CHANGING)
PERIOD_MS = 5000  # of a cost that changes
KINDS = {"threads": ("inline", "fanout", "fused"), "processes": ("fanout", "fused")}
PARTS = ("table", "decide", "batch")
BEGIN, END = "<!-- figures: bench/pool/placement.py -->\n", "<!-- end of figures -->\n"
HEAD = ("| pool | costs, us | callers | auto | inline | fanout | fused | rate by the best | p50 by the best | strictly | holds |\n"
        "| --- | --- | ---: | --- | --- | --- | --- | ---: | ---: | ---: | --- |\n")
RATE, P50, DECISION_NS = 0.95, 1.10, 200
HALF_FROM = 6  # rounds


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--program", required=True, help="bench_pool_placement, as it was built")
    parser.add_argument("--batch", required=True, help="bench_pool_batch, as it was built")
    parser.add_argument("--only", default=",".join(PARTS), help="some of " + ",".join(PARTS))
    parser.add_argument("--costs", action="append", help="of a request's steps, in us, as 10,10,10; again for more (default: the whole table)")
    parser.add_argument("--callers", default="1,8,64")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--rounds", type=int, default=5, help="of each run; fewer where a slice is long")
    parser.add_argument("--runs", type=int, default=3, help="of the program, for each cell; one where a slice is long")
    parser.add_argument("--doc", help="a page with markers, for the table")
    given = parser.parse_args()
    given.callers = [int(n) for n in given.callers.split(",")]
    return given


def plan(given, kind, costs, callers):
    """How long a slice is, how many rounds a run has, and how many runs there are. In a slice each caller is to be answered once at least."""
    if "/" in costs:
        return PERIOD_MS // (1 + len(KINDS[kind])), 6, 1
    needed = sum(int(cost) for cost in costs.split(",")) * callers // 2000
    if needed > 2000:
        return needed, 1, 1
    if needed > 400:  # in a slice in which few are done, it counts whether the last of them came just before its end
        return max(needed, min(6000, needed * 32 // callers)), 3, 1
    return max(80, 2 * needed), given.rounds, given.runs


def measure(given, kind, costs, callers):
    """What each slice said: {load: {round: {choice: slice}}}."""
    ms, rounds, runs = plan(given, kind, costs, callers)
    loads = collections.defaultdict(lambda: collections.defaultdict(dict))
    for run in range(runs):
        done = subprocess.run([given.program, kind, costs, str(callers), str(ms), str(rounds)], stdout=subprocess.PIPE, check=True, timeout=600)
        for line in done.stdout.splitlines():
            one = json.loads(line)
            loads[one["load"]][run, one["round"]][one["choice"]] = one
    return loads


class Cell:
    """The slices of one load."""

    def __init__(self, rounds):
        self.rounds = list(rounds.values())
        self.choices = list(self.rounds[0])
        if len(self.rounds) >= HALF_FROM:
            usual = {choice: self.median(choice, "per_s") for choice in self.choices}
            done = lambda one: sum(one[choice]["per_s"] / usual[choice] for choice in self.choices)
            self.rounds = sorted(self.rounds, key=done, reverse=True)[: (len(self.rounds) + 1) // 2]
        self.forced = [choice for choice in self.choices if choice != "auto"]
        best = max(self.forced, key=lambda choice: self.median(choice, "per_s"))
        near = [choice for choice in self.forced if self.ratio(choice, best, "per_s")[1] >= RATE]
        self.rate = self.ratio("auto", best, "per_s")
        self.p50 = self.ratio("auto", min(near, key=lambda choice: self.median(choice, "p50_us")), "p50_us")
        self.strictly = self.ratio("auto", min(self.forced, key=lambda choice: self.median(choice, "p50_us")), "p50_us")
        self.holds = self.rate[1] >= RATE and self.p50[1] <= P50

    def median(self, choice, figure):
        return statistics.median(one[choice][figure] for one in self.rounds)

    def ratio(self, choice, other, figure):
        """(least, median, most) of the rounds."""
        ratios = [one[choice][figure] / one[other][figure] for one in self.rounds]
        return min(ratios), statistics.median(ratios), max(ratios)

    def placed(self):
        counts = {where: sum(one["auto"][where] for one in self.rounds) for where in ("inline", "fanout", "fused")}
        return ", ".join("%s %.0f %%" % (where, 100 * count / sum(counts.values())) for where, count in counts.items() if count)


def shown(figure):
    return "%.3g" % figure if figure < 1000 else "{:,.0f}".format(figure)


def row(kind, costs, callers, cell):
    figures = []
    for choice in ("auto", "inline", "fanout", "fused"):
        known = choice in cell.choices
        figures.append("%s; %s" % (shown(cell.median(choice, "per_s")), shown(cell.median(choice, "p50_us"))) if known else "–")
    return "| %s | %s | %d | %s | %.1f %% | %.2f | %.2f | %s |\n" % (
        kind, costs, callers, " | ".join(figures), 100 * cell.rate[1], cell.p50[1], cell.strictly[1], "yes" if cell.holds else "**no**")


def names(costs):
    """Of each load."""
    lists = [text.replace(",", " + ") for text in costs.split("/")]
    return lists if len(lists) == 1 else ["%s, after %s" % (lists[i], lists[1 - i]) for i in (0, 1)]


def table(given):
    """The rows, and whether all hold."""
    rows, missed = "", 0
    sys.stdout.write("requests/s; p50 in us: medians of the slices\n" + HEAD)
    for kind in given.kinds.split(","):
        for costs in given.costs or COSTS:
            for callers in given.callers:
                loads = measure(given, kind, costs, callers)
                for load, name in enumerate(names(costs)):
                    cell = Cell(loads[load])
                    line = row(kind, name, callers, cell)
                    rows += line
                    missed += not cell.holds
                    sys.stdout.write(line)
                    sys.stdout.write("    rate %.3f .. %.3f, p50 %.2f .. %.2f; %d rounds; placed %s\n" % (
                        cell.rate[0], cell.rate[2], cell.p50[0], cell.p50[2], len(cell.rounds), cell.placed()))
                    sys.stdout.flush()
    print("cells that do not hold: %d" % missed)
    return rows, missed == 0


def decide(given):
    done = subprocess.run([given.program, "decide", "7"], stdout=subprocess.PIPE, check=True, timeout=60)
    found = [json.loads(line)["decision_ns"] for line in done.stdout.splitlines()]
    median = statistics.median(found)
    print("a decision: %.0f ns (%.0f .. %.0f, %d times; bar: %d)" % (median, min(found), max(found), len(found), DECISION_NS))
    return median


def put_in(page, text):
    with open(page, encoding="utf-8") as f:
        whole = f.read()
    before, rest = whole.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    with open(page, "w", encoding="utf-8") as f:
        f.write(before + BEGIN + text + END + after)


def main():
    given = arguments()
    began = time.monotonic()
    fine, text = True, ""
    parts = given.only.split(",")
    if "table" in parts:
        rows, fine = table(given)
        text += HEAD + rows
    if "decide" in parts:
        decision = decide(given)
        fine = fine and decision <= DECISION_NS
        text += "\nOn %d cores. A decision takes %.0f ns.\n" % (os.cpu_count(), decision)
    if "batch" in parts:
        done = subprocess.run([given.batch], stdout=subprocess.PIPE, text=True, timeout=300)
        fine = fine and done.returncode == 0
        sys.stdout.write(done.stdout)
        text += "\nA step of 1 ms and 0.05 ms for each item, with `batch` and without, 64 callers and one:\n\n" + "".join(
            "    %s\n" % line for line in done.stdout.splitlines())
    print("%.0f s: %s" % (time.monotonic() - began, "all bars are met" if fine else "a bar is missed"))
    if given.doc:
        put_in(given.doc, text)
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()

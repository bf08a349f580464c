"""A request that asks another server for 70 ms and computes for 30: how many a second, and how much later than from an ideal queue.

*closed*: 32 callers, as fast as they are answered. *open*: Poisson arrivals, 50 a second, another seed each round. Beside them, two loads of
requests that only wait: for nothing (the reply never changes), and for a server that answers at once. A third asks that server itself, which is
a bare loop that goes before all others: what it is slow by is the machine's doing.
"""
import statistics
import time

import ideal
import load
import processes
import rivers
import servers
from figures import Bar

CALLERS, RATE = 32, 50
IO_RATE = 50
KINDS = ("threads", "processes")
IO = {"static": "/json", "asks": "/ask"}
# Whoever takes a hundredth of a processor takes half a hundredth of the limit.
TOO_MUCH = 0.04
NOT_OURS = 0.1

BARS = {"closed: requests/s": Bar(">=", 65.4, "/s"), "open: p99": Bar("<=", 1.25, "x ideal"), "open: I/O only, p99": Bar("<=", 1.0, "ms")}


class Turn:
    """One load of one server, with its figures; `others` as in load.Run."""

    def __init__(self, others, **found):
        self.others = others
        self.__dict__.update(found)


def take_turns(machine, kinds, one, nth, too_much=TOO_MUCH):
    """{kind: Turn}, repeated together if the machine was not ours; and how often."""
    found, repeated = {}, 0
    for kind in kinds if nth % 2 == 0 else kinds[::-1]:
        def once(kind=kind):
            with rivers.Service(machine, core=None) as service, rivers.Weir(machine, service, kind) as server:
                return [one(server)]
        (found[kind],), again = load.undisturbed(once, too_much)
        repeated += again
    return found, repeated


def tell_others(report, turns, repeated):
    report.figure("taken by others, of a processor; %d turns repeated" % repeated, [turn.others * 100 for turn in turns], "%")
    if statistics.median(turn.others for turn in turns) > NOT_OURS:
        report.note("the machine was not ours: these figures say little")


def closed(machine, report, rounds, seconds):
    def one(server):
        load.wrk(machine, server, "/patient", CALLERS, 1)
        began, busy = time.monotonic_ns(), processes.busy_ns(machine.cores)
        run = load.wrk(machine, server, "/patient", CALLERS, seconds)
        spent = (time.monotonic_ns() - began) * len(machine.cores)
        return Turn(idle=100 - 100 * (processes.busy_ns(machine.cores) - busy) / spent, **run._asdict())

    report.title("closed loop: %d ms of waiting, then %d ms of computing, %d callers, %d rounds of %d s; the limit is %.1f/s" % (
        rivers.WAIT_MS, rivers.BURN_MS, CALLERS, rounds, seconds, rivers.LIMIT))
    runs, again = {kind: [] for kind in KINDS}, 0
    for nth in range(rounds):
        found, repeated = take_turns(machine, KINDS, one, nth)
        again += repeated
        for kind in KINDS:
            runs[kind].append(found[kind])
    for kind in KINDS:
        report.figure("%s: requests" % kind, [run.rate for run in runs[kind]], "/s", "closed: requests/s")
        report.figure("%s: by what others left" % kind, [run.rate / (1 - run.others / len(machine.cores)) for run in runs[kind]], "/s")
        report.figure("%s: server time a request" % kind, [run.cpu_us / 1e3 for run in runs[kind]], "ms")
        report.figure("%s: p50" % kind, [run.p50_us / 1e3 for run in runs[kind]], "ms")
        report.figure("%s: idle, of both processors" % kind, [run.idle for run in runs[kind]], "%")
    tell_others(report, [run for kind in KINDS for run in runs[kind]], again)


def _beside_ideal(records):
    """What the open load met, and what an ideal queue would have, of two kinds: of steps that take exactly what they should, and
    what they took here, which is what is left of their answers' time when their waiting is taken off."""
    fine = [r for r in records if r.status == 200]
    arrivals = [r.due + rivers.WAIT_MS / 1e3 for r in fine]
    took = [max(0.0, r.answered - r.due - (r.queue_ms + r.wait_ms) / 1e3) for r in fine]
    exact = [rivers.BURN_MS / 1e3] * len(fine)
    ideals = {name: [rivers.WAIT_MS + 1e3 * l for l in ideal.latencies(arrivals, services)]
              for name, services in (("exact", exact), ("took", took))}
    met = rivers.spans_ms(fine)
    return {
        "failed": len(records) - len(fine),
        "p50": ideal.percentile(met, 0.5), "p99": ideal.percentile(met, 0.99),
        "ideal_p50": ideal.percentile(ideals["exact"], 0.5), "ideal_p99": ideal.percentile(ideals["exact"], 0.99),
        "took_p99": ideal.percentile(ideals["took"], 0.99),
        "took": 1e3 * sum(took) / len(took), "cpu": sum(r.cpu_ms for r in fine) / len(fine),
        "wait": sum(r.wait_ms for r in fine) / len(fine),
    }


def _open_one(machine, server, seed, seconds):
    for _ in range(5):
        servers.fetch(server.address, "/patient")
    others = load.Others(machine)
    with rivers.Planned(machine, server, "/patient", ideal.poisson(seed, RATE, seconds)) as mixed, \
            rivers.Planned(machine, server, IO["static"], ideal.steady(IO_RATE, seconds)) as static, \
            rivers.Planned(machine, server, IO["asks"], ideal.poisson(-seed - 1, IO_RATE, seconds)) as asks, \
            rivers.Planned(machine, server.service, "/json", ideal.poisson(-seed - 2, IO_RATE, seconds)) as bare:
        found = _beside_ideal(mixed.records())
        for name, planned in (("static", static), ("asks", asks), ("bare", bare)):
            spans = rivers.spans_ms(planned.records())
            found.update({name + "_p50": ideal.percentile(spans, 0.5), name + "_p99": ideal.percentile(spans, 0.99),
                          name + "_max": max(spans)})
        return Turn(others.so_far(), **found)


def opened(machine, report, rounds, seconds):
    report.title("open loop: the same, Poisson, %d/s, %d seeds of %d s; meanwhile three times %d/s that only wait" % (
        RATE, rounds, seconds, IO_RATE))
    turns, again = {kind: [] for kind in KINDS}, 0
    for nth in range(rounds):
        found, repeated = take_turns(machine, KINDS, lambda server: _open_one(machine, server, nth, seconds), nth)
        again += repeated
        for kind in KINDS:
            turns[kind].append(found[kind])

    for kind in KINDS:
        def of(what):
            return [getattr(turn, what) for turn in turns[kind]]

        def figure(text, what, unit="ms", bar=None):
            report.figure("%s: %s" % (kind, text), of(what), unit, bar)

        figure("p50", "p50")
        figure("p99", "p99")
        figure("p50 of the ideal queue", "ideal_p50")
        figure("p99 of the ideal queue, computing exactly %d ms" % rivers.BURN_MS, "ideal_p99")
        report.ratio("%s: p99 / ideal" % kind, of("p99"), of("ideal_p99"), "open: p99")
        report.ratio("%s: p99 / ideal with what steps took here" % kind, of("p99"), of("took_p99"))
        figure("what a step took, its way there and back included", "took")
        figure("of it processor time", "cpu")
        figure("what the other server took", "wait")
        figure("requests that failed", "failed", "")
        for name, text in (("static", "a reply that never changes"), ("asks", "asks the bare loop"), ("bare", "the bare loop itself")):
            figure("I/O only, %s: p50" % text, name + "_p50")
            figure("I/O only, %s: p99" % text, name + "_p99", "ms", None if name == "bare" else "open: I/O only, p99")
            figure("I/O only, %s: slowest" % text, name + "_max")
    tell_others(report, [turn for kind in KINDS for turn in turns[kind]], again)

"""More than can be done: 3 and 1.05 times the limit, each request with a deadline.

Of what is asked for, as much as can be done in time is to be done in time, and the rest refused at once; nothing grows meanwhile, and
soon after it is as if nothing had been. Before and after the overload a light, regular load shows what is normal.
"""
import statistics
import time

import ideal
import load
import processes
import rivers
import steady
from figures import Bar

LIGHT_RATE, LIGHT_SECONDS = 20, 4
WINDOW_SECONDS = 0.5
NORMAL = 1.25  # times the light load's median before

BARS = {
    "overload: in time": Bar(">=", 0.9, "of limit"),
    "overload: refusals, p99": Bar("<=", 5, "ms"),
    "overload: memory": Bar("<=", 1.05, "x"),
    "overload: normal again": Bar("<=", 1.0, "s"),
}


def _memory(server, seconds):
    """Resident bytes when a sixth of the overload is over, and the most from then to its end."""
    time.sleep(LIGHT_SECONDS + seconds / 6)
    early = most = processes.resident_about(server.server_pid())
    end = time.monotonic() + seconds * 5 / 6
    while time.monotonic() < end:
        time.sleep(min(1.0, max(0.0, end - time.monotonic())))
        most = max(most, processes.resident_about(server.server_pid()))
    return early, most


def _settled(records, end):
    """How long after the overload's end the last half second ended in which more than one request took longer than normal: one alone may
    be the machine's doing."""
    usual = statistics.median(rivers.spans_ms([r for r in records if r.due < LIGHT_SECONDS]))
    slow = [int((r.due - end) / WINDOW_SECONDS) for r in records if r.due >= end
            and (r.status != 200 or (r.answered - r.due) * 1e3 > NORMAL * usual)]
    return max((window + 1 for window in slow if slow.count(window) > 1), default=0) * WINDOW_SECONDS


def _one(machine, server, path, factor, seed, seconds):
    end = LIGHT_SECONDS + seconds
    times = ideal.steady(LIGHT_RATE, LIGHT_SECONDS) + ideal.poisson(seed, factor * rivers.LIMIT, seconds, LIGHT_SECONDS) \
        + ideal.steady(LIGHT_RATE, LIGHT_SECONDS, end)
    others = load.Others(machine)
    with rivers.Planned(machine, server, path, times) as planned:
        early, most = _memory(server, seconds)
        records = planned.records()
    over = [r for r in records if LIGHT_SECONDS <= r.due < end]
    fine = rivers.spans_ms(over)
    refused = [r for r in over if r.status == 503]
    spans = rivers.spans_ms(over, 503)
    # What was asked for before its step was refused took its time; from then on, it took this.
    of_those = [(r.answered - r.due) * 1e3 - r.wait_ms for r in refused]
    in_time = sum(r.status == 200 and r.answered - r.due <= rivers.DEADLINE_MS / 1e3 and LIGHT_SECONDS <= r.answered < end
                  for r in records)
    return steady.Turn(
        others.so_far(), in_time=in_time / seconds / rivers.LIMIT, p50=ideal.percentile(fine, 0.5), p99=ideal.percentile(fine, 0.99),
        refused=len(refused) / len(over) * 100, refused_p50=ideal.percentile(spans or [0.0], 0.5),
        refused_p99=ideal.percentile(spans or [0.0], 0.99), since_p99=ideal.percentile(of_those or [0.0], 0.99),
        otherwise=sum(r.status not in (200, 503) for r in records), late=sum(span > rivers.DEADLINE_MS for span in fine),
        lag=ideal.percentile([(r.sent - r.due) * 1e3 for r in over if r.sent is not None], 0.99),
        early=early / 1e6, growth=most / early, settled=_settled(records, end))


def overload(machine, report, path, factor, rounds, seconds):
    report.title("%s, %g times the limit for %d s, deadline %d ms, %d seeds" % (path, factor, seconds, rivers.DEADLINE_MS, rounds))
    turns, again = [], 0
    for nth in range(rounds):
        found, repeated = steady.take_turns(machine, ("threads",), lambda s: _one(machine, s, path, factor, nth, seconds), nth)
        turns.append(found["threads"])
        again += repeated

    def figure(text, what, unit="ms", bar=None):
        report.figure(text, [getattr(turn, what) for turn in turns], unit, bar)

    figure("answers in time", "in_time", "of limit", "overload: in time")
    figure("answers: p50", "p50")
    figure("answers: p99", "p99")
    figure("answers that came after their deadline", "late", "")
    figure("refused", "refused", "%")
    figure("refusals: p50", "refused_p50")
    if path == "/work":
        figure("refusals: p99", "refused_p99", "ms", "overload: refusals, p99")
    else:
        figure("refusals: p99", "refused_p99")
        figure("refusals, since the other server answered: p99", "since_p99", "ms", "overload: refusals, p99")
    figure("neither answered nor refused (504, nothing)", "otherwise", "")
    figure("memory after a sixth of it", "early", "MB")
    figure("the most until its end", "growth", "x", "overload: memory")
    figure("latency normal again, after its end", "settled", "s", "overload: normal again")
    figure("the load's own lag: p99", "lag")
    steady.tell_others(report, turns, again)

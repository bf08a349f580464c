"""The classic experiment: 500 requests at once, each of three small steps, on connections that stand.

All dispatches are routes of one server and take turns, burst by burst, so that what else the machine does touches all alike.
"""
import contextlib
import statistics

import load
import rivers
import steady
from figures import Bar

REQUESTS = 500
WARM_UP = 5

BARS = {"burst: auto beside fused": Bar("<=", 1.05, "x"), "burst: all answered": Bar("<=", 50, "ms")}


def _one(machine, server, bursts):
    spans = {dispatch: [] for dispatch in rivers.DISPATCHES}
    with contextlib.ExitStack() as stack:
        crowds = {}
        for dispatch in rivers.DISPATCHES:
            crowds[dispatch] = stack.enter_context(load.Client(machine, "hold", server.address, "/" + dispatch, REQUESTS))
            crowds[dispatch].hear()
        others = load.Others(machine)
        for nth in range(WARM_UP + bursts):
            for dispatch in rivers.DISPATCHES[::1 if nth % 2 == 0 else -1]:
                crowds[dispatch].tell("go")
                said = crowds[dispatch].hear()
                if said["failed"]:
                    raise SystemExit("bench-mixed: %s, burst %d: %d of %d requests failed\n%s" % (
                        dispatch, nth, said["failed"], REQUESTS, server.said()))
                spans[dispatch].append(said["sending_ms"] + said["last_send_to_last_answer_ms"])
        for crowd in crowds.values():
            crowd.end()
        taken = others.so_far()
    later = {dispatch: spans[dispatch][WARM_UP:] for dispatch in spans}
    return steady.Turn(taken, first=spans["auto"][0], median={d: statistics.median(later[d]) for d in later},
                       most={d: max(later[d]) for d in later},
                       ratio=statistics.median(a / f for a, f in zip(later["auto"], later["fused"])))


def burst(machine, report, rounds, bursts):
    report.title("%d requests at once, %d steps of %d us each; %d servers, %d bursts of each dispatch" % (
        REQUESTS, rivers.STEPS, rivers.STEP_US, rounds, bursts))
    turns, again = [], 0
    for nth in range(rounds):
        found, repeated = steady.take_turns(machine, ("threads",), lambda server: _one(machine, server, bursts), nth, load.TOO_MUCH)
        turns.append(found["threads"])
        again += repeated
    for dispatch in rivers.DISPATCHES:
        bar = "burst: all answered" if dispatch == "auto" else None
        report.figure("%s: all answered after" % dispatch, [turn.median[dispatch] for turn in turns], "ms", bar)
        report.figure("%s: slowest burst of each server" % dispatch, [turn.most[dispatch] for turn in turns], "ms")
    report.figure("auto: the first of a new server, which is still accepting", [turn.first for turn in turns], "ms")
    report.figure("auto / fused, burst by burst", [turn.ratio for turn in turns], "x", "burst: auto beside fused")
    steady.tell_others(report, turns, again)

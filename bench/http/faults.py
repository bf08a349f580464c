"""What clients notice while the server is killed, reloaded and replaced, under an open-loop load of keep-alive requests.

The load honours `Connection: close` and notices when an idle connection is closed; it tries nothing again. nginx goes through the same.
"""
import os
import signal
import time

import load
import processes
import servers

RATE, CONNECTIONS = 5000, 64
KILLS, RELOADS = 10, 20
PATIENCE_SECONDS = 15
FAILURES = ("refused", "unopened", "unanswered", "cut", "malformed", "status", "late")


def _await(server, what, condition):
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if server.process.poll() is not None or time.monotonic() > end:
            raise SystemExit("bench-http: %s: %s\n%s" % (server.name, what, server.said()))
        time.sleep(0.002)


def _once(server, number, to_child):
    """One signal, and the time until there is one server again, and another one."""
    old = processes.children(server.pid)
    began = time.monotonic()
    for pid in old if to_child else [server.pid]:
        os.kill(pid, number)

    def replaced():
        now = processes.children(server.pid)
        return len(now) == len(old) and not set(now) & set(old)

    _await(server, "no new server after %s" % signal.Signals(number).name, replaced)
    return (time.monotonic() - began) * 1e3


def _under_load(machine, kind, number, times, to_child, pause=0.0):
    spans = []
    with kind(machine) as server:
        with load.Client(machine, "open", server.address, "/json", RATE, CONNECTIONS, 300) as client:
            time.sleep(0.5)
            for _ in range(times):
                spans.append(_once(server, number, to_child))
                time.sleep(pause)
            said = client.end()
    return said, spans


def _tell(report, said):
    report.note("%d sent, %d answered; p50 %.2f ms, p99 %.2f ms, slowest %.1f ms, longest silence %.1f ms" % (
        said["sent"], said["answered"], said["p50_us"] / 1e3, said["p99_us"] / 1e3, said["max_us"] / 1e3,
        said["longest_silence_ms"]))
    report.note("failed: %s; connections opened %d, closed while idle %d, asked to close %d" % (
        ", ".join("%s %d" % (name, said[name]) for name in FAILURES), said["opened"], said["closed_idle"],
        said["asked_to_close"]))


def _failed(said):
    return sum(said[name] for name in FAILURES)


def kills(machine, report, ours):
    """Ten deaths of servers that were well, each under a supervisor of its own; then ten in a row, which looks like a
    crash loop: the supervisor then takes its time, but callers still wait in the kernel's queue."""
    for kind in (ours, servers.Nginx):
        mine = kind is ours
        silences, spans, refused, failed = [], [], [], []
        for _ in range(KILLS):
            said, span = _under_load(machine, kind, signal.SIGKILL, 1, True, 0.5)
            silences.append(said["longest_silence_ms"])
            spans += span
            refused.append(said["refused"] + said["unopened"])
            failed.append(_failed(said))
        report.title("kill -9 of the server, %d times, at %d requests/s, %s" % (KILLS, RATE, kind.name))
        report.figure("until there is a new process", spans, "ms")
        report.figure("longest time without an answer", silences, "ms", "kill: silence" if mine else None)
        report.figure("requests that failed: they were under way", failed)
        report.figure("connections refused", [sum(refused)], "", "kill: refused" if mine else None)

        said, spans = _under_load(machine, kind, signal.SIGKILL, KILLS, True, 1.0)
        report.title("the same in a row, %s" % kind.name)
        _tell(report, said)
        report.figure("until there is a new process", spans, "ms")
        report.figure("connections refused", [said["refused"] + said["unopened"]], "", "kill: refused" if mine else None)


def reloads(machine, report, ours):
    plans = [(ours, signal.SIGHUP, "reload: failed"), (servers.Nginx, signal.SIGHUP, None)]
    if ours is servers.Weir:
        plans.insert(1, (ours, signal.SIGUSR2, "upgrade: failed"))
    for kind, number, bar in plans:
        said, spans = _under_load(machine, kind, number, RELOADS, False, 0.2)
        report.title("%s, %d times, at %d requests/s, %s" % (
            {signal.SIGHUP: "reload", signal.SIGUSR2: "binary upgrade"}[number], RELOADS, RATE, kind.name))
        _tell(report, said)
        report.figure("until the old server is gone", spans, "ms")
        report.figure("requests failed", [_failed(said)], "", bar)

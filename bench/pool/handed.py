"""Empty tasks handed over and back, one at a time and 64 outstanding: Weir's pools beside Python's executors, in turns.

One at a time, all is waking: of a thread there and of one here. On one processor that costs what it costs to switch. On two, of which one
sleeps while the other works, it costs what it takes to wake a processor: in a virtual machine many times as much, and the same for
whoever asks; and where the kernel places the threads differs from run to run. So the bars are for one processor, and the same
as the kernel places them stands beside it, with the bare C of handover.c in both places.
"""
import json
import os
import signal
import subprocess
import sys
from collections import namedtuple

import figures
import load
import speed

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"  # Debian's, where there is one: what its users have
SECONDS_MAX = 120

# How many calls a round has, so that each takes about half a second: (one at a time, 64 outstanding).
WEIR = {"inline": (200000, 1000000), "threads": (10000, 300000), "processes": (10000, 100000), "fork": (800, 2000)}
EXECUTORS = {"threads": (4000, 16000), "processes": (2000, 6000)}
PAIRS = ("threads", "processes")

BARS = {
    "one: threads": figures.Bar("<=", 10, "us"),
    "one: processes": figures.Bar("<=", 20, "us"),
    "one: fork": figures.Bar("<=", 400, "us"),
    "one: threads, Python's to Weir's": figures.Bar(">=", 4, "x"),
    "one: processes, Python's to Weir's": figures.Bar(">=", 8, "x"),
    "many: threads": figures.Bar(">=", 400e3, "/s"),
    "many: processes": figures.Bar(">=", 80e3, "/s"),
}

Result = namedtuple("Result", "value others")


def run(argv, cores=None, environment=None):
    """Runs a program in a group of its own, and returns what it says."""
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
                               env={**os.environ, **(environment or {})}, start_new_session=True,
                               preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None)
    try:
        said, _ = process.communicate(timeout=SECONDS_MAX)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode != 0:
        raise SystemExit("bench-pool: %s failed, with status %d: %s" % (" ".join(argv), process.returncode, said))
    return said


def _python():
    return PYTHON if os.path.exists(PYTHON) else sys.executable


def _argv(program, who, how):
    whose, kind = who
    counts = (WEIR if whose == "Weir" else EXECUTORS)[kind]
    count = str(counts[0] if how == "one" else counts[1])
    if whose == "Weir":
        return [program, kind, how, count]
    return [_python(), "-B", os.path.join(HERE, "executors.py"), kind, how, count]


class Turns:
    """{(who, kind): [figure, ...]}, of rounds in which each has its turn."""

    def __init__(self, machine, program, how, rounds, cores=None):
        self.all = {}
        self.others = []
        self.repeated = 0
        everybody = [("Weir", kind) for kind in WEIR] + [("Python", kind) for kind in EXECUTORS]
        for nth in range(rounds):
            order = speed.turns(everybody, nth)
            results, repeated = load.undisturbed(lambda: [
                self._run(machine, _argv(program, who, how), cores) for who in order])
            self.repeated += repeated
            for who, result in zip(order, results):
                self.all.setdefault(who, []).append(result.value)
                self.others.append(result.others * 100)

    @staticmethod
    def _run(machine, argv, cores):
        others = load.Others(machine)
        value = next(iter(json.loads(run(argv, cores)).values()))
        return Result(value, others.so_far())

    def tell(self, report, unit, name=None):
        """`name`: of the bars that these are for."""
        for who, samples in self.all.items():
            bar = "%s: %s" % (name, who[1])
            report.figure("%s: %s" % who, samples, unit, bar if who[0] == "Weir" and bar in BARS else None)

    def tell_others(self, report):
        report.figure("taken by others, of a processor; %d turns repeated" % self.repeated, self.others, "%")


def one(machine, report, program, rounds):
    for cores, where in (({machine.server_core}, "on one processor"), (None, "as the kernel places them")):
        turns = Turns(machine, program, "one", rounds, cores)
        report.title("an empty step, one at a time, from the coroutine and back, %s: medians of %d rounds" % (where, rounds))
        turns.tell(report, "us", "one" if cores else None)
        for kind in PAIRS:
            report.ratio("Python's %s / Weir's" % kind, turns.all["Python", kind], turns.all["Weir", kind],
                         "one: %s, Python's to Weir's" % kind if cores else None)
        turns.tell_others(report)
    report.title("bare C, and Weir without a pool (handover.c)")
    for line in run([os.path.join(os.path.dirname(program), "bench_handover")]).splitlines()[1:]:
        report.note(line)


def many(machine, report, program, rounds):
    turns = Turns(machine, program, "many", rounds)
    report.title("an empty step, 64 outstanding: %d rounds" % rounds)
    turns.tell(report, "/s", "many")
    for kind in PAIRS:
        report.ratio("Weir's %s / Python's" % kind, turns.all["Weir", kind], turns.all["Python", kind])
    turns.tell_others(report)

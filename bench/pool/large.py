"""A value of 1 MB into a worker process, and out of one: the time it takes, and how often it is copied on its way.

What is counted: memcpy and memmove of 64 KiB or more, in the server and in its workers (copies.c, preloaded), and the bytes that go
through system calls (strace). Both over two numbers of calls, of which the difference counts: what is copied once at the
start is nobody's price. What is not counted: that a worker parses its input in place, and
that its step makes its output, where that is byte by byte.
"""
import json
import os
import re
import struct

import figures
import handed

VALUE = 1000 * 1000
CALLS = 200
FEW, MORE = 150, 250  # both beyond the calls that warm up
SLOTS, SLOT = 64, struct.Struct("=4Q")
SYSTEM_CALLS = "read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg"

# Who does what with 1 MB: `in`: the input is 1 MB and the output small; `out`: the other way round; `echo`: both.
SHAPES = ("in", "out", "echo")

BARS = {
    "large: copies, in": figures.Bar("<=", 2, "copies"),
    "large: copies, out": figures.Bar("<=", 2, "copies"),
    "large: bytes through the socket": figures.Bar("<=", 0.01, "MB"),
}


def _copied(program, shape, calls, folder):
    """{"server" or "workers": (copies, bytes)} of one run."""
    path = os.path.join(folder, "copies")
    with open(path, "wb") as slots:
        slots.write(bytes(SLOTS * SLOT.size))
    preloaded = {"LD_PRELOAD": os.path.join(os.path.dirname(program), "copies.so"), "COPIES": path}
    server = json.loads(handed.run([program, "processes", shape, str(calls)], environment=preloaded))["pid"]
    found = {"server": (0, 0), "workers": (0, 0)}
    with open(path, "rb") as slots:
        for pid, copies, size, _ in SLOT.iter_unpack(slots.read()):
            who = "server" if pid == server else "workers"
            found[who] = found[who][0] + copies, found[who][1] + size
    return found


def _passed(program, shape, calls, folder):
    """Bytes through system calls, of one run."""
    trace = os.path.join(folder, "trace")
    handed.run(["strace", "-f", "-qq", "-o", trace, "-e", "trace=" + SYSTEM_CALLS, program, "processes", shape, str(calls)])
    with open(trace, errors="replace") as lines:
        return sum(int(n) for n in re.findall(r"\) += (\d+)$", lines.read(), re.M))


def large(machine, report, program, rounds):
    spans = {(kind, shape): [] for kind in ("threads", "processes") for shape in SHAPES}
    for _ in range(rounds):
        for (kind, shape), samples in spans.items():
            samples.append(json.loads(handed.run([program, kind, shape, str(CALLS)]))["p50_us"])
    report.title("a value of 1 MB, one at a time: %d rounds of %d" % (rounds, CALLS))
    for (kind, shape), samples in spans.items():
        report.figure("%s: %s" % (kind, shape), samples, "us")
    report.title("copies of 64 KiB or more of it, a call, through processes")
    for shape in SHAPES:
        few, more = (_copied(program, shape, calls, machine.folder) for calls in (FEW, MORE))
        each = {who: (more[who][1] - few[who][1]) / VALUE / (MORE - FEW) for who in few}
        report.note("%s: by the server %.2f, by the worker %.2f" % (shape, each["server"], each["workers"]))
        bar = "large: copies, %s" % shape
        report.figure("%s: all copies" % shape, [sum(each.values())], "", bar if bar in BARS else None)
        few, more = (_passed(program, shape, calls, machine.folder) for calls in (FEW, MORE))
        report.figure("%s: through the socket, a call, both ends" % shape, [(more - few) / 1e6 / (MORE - FEW)], "MB",
                      "large: bytes through the socket")

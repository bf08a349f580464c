"""The loads: wrk, which sends as fast as answers come, and our own client, for what wrk cannot do."""
import json
import os
import resource
import subprocess
import time
from collections import namedtuple

import processes

# wrk's own report rounds; this is exact, and costs nothing while it loads.
REPORT = """\
done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format("exactly %d %d %d %d %d\\n", summary.requests, summary.duration,
        latency:percentile(50), latency:percentile(99),
        e.connect + e.read + e.write + e.status + e.timeout))
end
"""

PATHS = """\
local nth, count = 0, %(count)d
local requests = {}
init = function(args)
    for i = 0, count - 1 do
        requests[i] = wrk.format("GET", string.format("%(pattern)s", i * %(stride)d))
    end
end
request = function()
    nth = (nth + 1) %% count
    return requests[nth]
end
"""

POST = """\
wrk.method = "POST"
wrk.body = [[%s]]
wrk.headers["Content-Type"] = "application/json"
"""

# `others`: how much of a processor was taken meanwhile by what is not part of the bench.
Run = namedtuple("Run", "rate p50_us p99_us cpu_us others")


def _own_cpu_ns(machine):
    """Of all servers that run, and of the loads that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(server.cpu_ns() for server in machine.running) + int((ended.ru_utime + ended.ru_stime) * 1e9)


class Others:
    """How much of a processor is taken, from now on, by what is not part of the bench."""

    def __init__(self, machine):
        self.machine, self.began = machine, time.monotonic_ns()
        self.busy, self.own = processes.busy_ns(machine.cores), _own_cpu_ns(machine)

    def so_far(self):
        own = _own_cpu_ns(self.machine) - self.own
        busy = processes.busy_ns(self.machine.cores) - self.busy
        return max(0, busy - own) / (time.monotonic_ns() - self.began)


def wrk(machine, server, path, connections, seconds, paths=None, body=None):
    """Loads one server from the other core: requests/s, latencies, and the server's processor time a request. With a body,
    it is posted."""
    script = os.path.join(machine.folder, "report.lua")
    with open(script, "w") as lua:
        lua.write(REPORT + (PATHS % paths if paths else "") + (POST % body if body else ""))
    argv = [machine.wrk, "-t1", "-c%d" % connections, "-d%ds" % seconds, "-s", script,
            "http://%s%s" % (server.address, path)]
    others, cpu = Others(machine), server.cpu_ns()
    process = machine.load(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said, _ = process.communicate(timeout=seconds + 30)
    cpu, taken = server.cpu_ns() - cpu, others.so_far()
    lines = [line.split()[1:] for line in said.splitlines() if line.startswith("exactly ")]
    if process.returncode != 0 or not lines:
        raise SystemExit("bench-http: wrk failed:\n" + said)
    requests, duration_us, p50, p99, errors = map(int, lines[0])
    if errors or not requests:
        raise SystemExit("bench-http: %s failed %d of %d requests:\n%s%s" % (
            server.name, errors, requests, said, server.said()))
    return Run(requests * 1e6 / duration_us, p50, p99, cpu / 1e3 / requests, taken)


TOO_MUCH = 0.08
TRIES = 3


def undisturbed(runs, too_much=TOO_MUCH):
    """Calls `runs`, which gives Runs, until nothing else took much of the processors meanwhile; at most thrice. What is
    compared must be among the same Runs, so that a repetition prefers nobody. Returns them and the number of repetitions."""
    for repeated in range(TRIES):
        result = runs()
        if all(run.others < too_much for run in result):
            break
    return result, repeated


class Client:
    """Our client, under way: what it says is JSON, a line each; what it hears are lines, or the end of them."""

    def __init__(self, machine, *words):
        self.process = machine.load([machine.client_program, *map(str, words)], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE)

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("bench-http: the client failed, with status %s" % self.process.wait(10))
        return json.loads(line)

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self):
        """Tells it to end, and returns the last it said."""
        self.process.stdin.close()
        lines = self.process.stdout.read().splitlines()
        if self.process.wait(30) != 0:
            raise SystemExit("bench-http: the client failed")
        return json.loads(lines[-1]) if lines else {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

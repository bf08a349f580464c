"""What flows through `make bench-mixed`: the service that is asked, the weir that asks and computes, and loads that are planned.

Unlike in bench-http nobody is kept on a processor: the workers need both, and what the loads, the service and the I/O threads take of
them is part of the measurement. Loads and service stand for other machines, though, whose programs would not wait for a processor
that our workers have: so they go before all that is ordinary (SCHED_FIFO), if we may.
"""
import os
import subprocess
from collections import namedtuple

import load
import servers

WAIT_MS, BURN_MS, WORKERS = 70, 30, 2
LIMIT = WORKERS * 1000 / BURN_MS  # requests a second
DEADLINE_MS = 500
CONNECTIONS = 512  # so that an open load never waits for one
STEP_US, STEPS = 20, 3
DISPATCHES = ("auto", "fused", "fanout", "inline")

MIXED = """\
listen: %(address)s
admin: off
log: {access: false}
routes:
  - route: GET /json
    reply: {message: "Hello, World!"}
  - route: GET /ask
    nodes: {page: {http: "http://%(service)s/json"}}
    reply: $node.page.body
  - route: GET /work
    deadline: %(deadline)dms
    nodes: {score: {step: burn, input: {ms: %(burn)d}}}
    reply: $node.score
  - route: GET /mixed
    deadline: %(deadline)dms
    nodes: &mixed
      user: {http: "http://%(service)s/wait"}
      score: {step: burn, input: {ms: %(burn)d, user: $node.user.body}}
    reply: $node.score
  - route: GET /patient
    nodes: *mixed
    reply: $node.score
"""
DISPATCHED = "  - {route: GET /%(dispatch)s, dispatch: %(dispatch)s, nodes: {%(nodes)s}}\n"


def go_first(pid):
    """A process, with all that it starts from now on, goes before all that is ordinary."""
    try:
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pass


class Machine(servers.Machine):
    """Where loads run on any processor."""

    def load(self, argv, **options):
        return subprocess.Popen(argv, text=True, preexec_fn=lambda: go_first(0), **options)


class Service(servers.Backend):
    """The bare loop, which answers /wait after a while. It stands for another machine."""

    def argv(self):
        return [*super().argv(), str(WAIT_MS)]

    def __enter__(self):
        server = super().__enter__()
        go_first(server.pid)
        return server


class Weir(servers.Server):
    """With as many I/O threads as by default, and two workers."""

    name = "weir"

    def __init__(self, machine, service, kind="threads"):
        super().__init__(machine, core=None)
        self.service, self.kind = service, kind

    def argv(self):
        conf = MIXED % {"address": self.address, "service": self.service.address, "burn": BURN_MS, "deadline": DEADLINE_MS}
        nodes = ", ".join("s%d: {step: burn, input: {us: %d}}" % (nth, STEP_US) for nth in range(STEPS))
        for dispatch in DISPATCHES:
            if dispatch != "inline" or self.kind == "threads":
                conf += DISPATCHED % {"dispatch": dispatch, "nodes": nodes}
        conf += "pools: {default: {kind: %s, size: %d}}\n" % (self.kind, WORKERS)
        path = os.path.join(self.folder, "weir.yaml")
        with open(path, "w") as f:
            f.write(conf)
        return [self.machine.weir, "serve", path]


# Times in seconds after the load's start, sent and answered None if it was not; spans in ms, as the server said them.
Record = namedtuple("Record", "due sent answered status queue_ms cpu_ms wait_ms")


class Planned:
    """An open load under way: requests at given times, and in the end a record of each."""

    def __init__(self, machine, server, path, times):
        self.folder = machine.place("plan")
        with open(self._file("times"), "w") as f:
            f.writelines("%d\n" % (t * 1e9) for t in times)
        self.client = load.Client(machine, "plan", server.address, path, CONNECTIONS, self._file("times"), self._file("records"))
        self.account = None

    def _file(self, name):
        return os.path.join(self.folder, name)

    def records(self):
        """When all has been sent and answered."""
        self.account = self.client.hear()
        self.client.end()
        with open(self._file("records")) as f:
            return [_record(line.split()) for line in f]

    def __enter__(self):
        return self

    def __exit__(self, *given):
        self.client.__exit__(*given)


def _record(words):
    due, sent, answered = (None if int(w) < 0 else int(w) / 1e9 for w in words[:3])
    return Record(due, sent, answered, int(words[3]), *map(float, words[4:]))


def spans_ms(records, status=200):
    """From when each was due to its answer, of those with that status."""
    return [(r.answered - r.due) * 1e3 for r in records if r.status == status]

"""Twenty thousand connections: all in a sleep at once, then idle. Time and memory."""
import statistics
import threading
import time

import load
import processes
import servers

CONNECTIONS = 20000
SPARE_DESCRIPTORS = 100  # for all else that a server or a client has open
SETTLE_SECONDS = 3


def how_many(machine):
    return min(CONNECTIONS, machine.open_files - SPARE_DESCRIPTORS)


class Peak:
    """The most memory that a process had while this was open."""

    def __init__(self, pid):
        self.pid, self.most, self._done = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self):
        while not self._done.wait(0.02):
            self.most = max(self.most, processes.resident_about(self.pid))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()


def _settled(server):
    time.sleep(SETTLE_SECONDS)
    return processes.resident(server.server_pid())


def _each(machine, after, before):
    return (after - before) / how_many(machine)


def _ask(client, server):
    client.tell("go")
    with Peak(server.server_pid()) as peak:
        said = client.hear()
    if said["failed"] or said["answered"] != how_many(server.machine):
        raise SystemExit("bench-http: %s did not answer all: %s\n%s" % (server.name, said, server.said()))
    return said["last_send_to_last_answer_ms"], peak.most


def sleepers(machine, report, kind, rounds):
    """Each sends one request that sleeps a second, all at once."""
    spans, waiting, beyond_idle, after = [], [], [], []
    for _ in range(rounds):
        with kind(machine) as server:
            baseline = processes.resident(server.server_pid())
            with load.Client(machine, "hold", server.address, "/wait", how_many(machine)) as client:
                client.hear()
                connected = processes.resident(server.server_pid())
                span, peak = _ask(client, server)
                spans.append(span / 1e3)
                waiting.append(_each(machine, peak, baseline))
                beyond_idle.append(_each(machine, peak, connected))
                after.append(_each(machine, _settled(server), baseline))
                client.end()
    report.title("%d connections, each in a sleep of 1 s, %d rounds" % (how_many(machine), rounds))
    report.figure("last send to last answer", spans, "s", "sleepers: time")
    report.figure("resident, each waiting request with its connection", waiting, "bytes", "sleepers: memory")
    report.figure("the same beyond what its idle connection took", beyond_idle, "bytes")
    report.figure("left of it %d s after the answer" % SETTLE_SECONDS, after, "bytes", "idle: after a sleep")


def idle(machine, report, kind, rounds):
    """Connections that were never used; then the same after each has had an answer; and after they have gone."""
    unused, used, gone = [], [], []
    for _ in range(rounds):
        with kind(machine) as server:
            baseline = processes.resident(server.server_pid())
            with load.Client(machine, "hold", server.address, "/json", how_many(machine)) as client:
                client.hear()
                unused.append(_each(machine, _settled(server), baseline))
                _ask(client, server)
                used.append(_each(machine, _settled(server), baseline))
                client.end()
            gone.append(_each(machine, _settled(server), baseline))
    report.title("%d idle connections, %s, %d rounds" % (how_many(machine), kind.name, rounds))
    mine = kind is servers.Weir
    report.figure("resident, each, never used", unused, "bytes", "idle: unused" if mine else None)
    report.figure("resident, each, after an answer", used, "bytes", "idle: used" if mine else None)
    report.figure("left of it when all are gone", gone, "bytes")
    return statistics.median(used)

"""A thousand clients that send a byte a second and a thousand that read so, beside a normal load: what that load notices, and the memory."""
import time

import load
import processes
import servers

HEADS, BODIES, READERS = 500, 500, 1000
FILL_SECONDS = 2  # for the server to fill what it fills


def slow(machine, report, ours, rounds, seconds):
    for kind in (ours, servers.Nginx):
        ratios, alone, beside, memory, queued, last = [], [], [], [], [], {}
        for nth in range(rounds):
            with kind(machine, **({"big": True} if kind is servers.Weir else {})) as server:
                load.wrk(machine, server, "/json", 64, 1)
                baseline = processes.resident(server.server_pid())
                queued_before = processes.kernel_socket_bytes()
                # Without them both before and after, so that a drift of the machine does not count.
                before = load.wrk(machine, server, "/json", 64, seconds).p99_us
                with load.Client(machine, "slow", server.address, "/big", HEADS, BODIES, READERS) as client:
                    client.hear()
                    time.sleep(FILL_SECONDS)
                    load.wrk(machine, server, "/json", 64, 1)  # as warm as without them
                    beside.append(load.wrk(machine, server, "/json", 64, seconds).p99_us)
                    memory.append((processes.resident(server.server_pid()) - baseline) / 1e6)
                    queued.append((processes.kernel_socket_bytes() - queued_before) / 1e6)
                    last = client.end()
                time.sleep(0.5)
                after = load.wrk(machine, server, "/json", 64, seconds).p99_us
                alone.append((before + after) / 2)
                ratios.append(beside[-1] / alone[-1])
        mine = kind is ours
        report.title("%d sending and %d reading a byte a second, beside 64 connections, %s, %d rounds of %d s" % (
            HEADS + BODIES, READERS, kind.name, rounds, seconds))
        report.note("the slow: %s" % ", ".join("%s %d" % item for item in last.items()))
        report.figure("p99 without them", alone, "us")
        report.figure("p99 beside them", beside, "us")
        report.figure("ratio", ratios, "x", "slow: p99" if mine else None)
        report.figure("resident memory they cost", memory, "MB", "slow: memory" if mine else None)
        report.figure("kernel memory they cost", queued, "MB", "slow: kernel memory" if mine else None)

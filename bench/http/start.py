"""Start-up, and what lies idle afterwards: the binary and the memory."""
import os
import shutil
import subprocess
import time

import processes
import servers

STARTS = 20
IDLE_SECONDS = 1


def start(machine, report):
    spans, server_memory, supervisor_memory, kinds = [], [], [], {}
    for nth in range(STARTS):
        with servers.Weir(machine, core=None) as server:
            spans.append(server.started_ns / 1e6)
            if nth % 4 == 0:
                time.sleep(IDLE_SECONDS)
                server_memory.append(processes.resident(server.server_pid()) / 1e6)
                supervisor_memory.append(processes.resident(server.pid) / 1e6)
                kinds = processes.resident_kinds(server.server_pid())
    report.title("start-up and size")
    report.figure("from before exec to the first 200", spans, "ms", "start: time")
    report.figure("resident, idle server", server_memory, "MB", "start: server")
    report.note("of it its own: %.2f MB; of files: %.2f MB" % (kinds["RssAnon"] / 1e6, kinds["RssFile"] / 1e6))
    report.figure("resident, its supervisor", supervisor_memory, "MB", "start: supervisor")
    report.figure("the binary, stripped", [stripped_size(machine) / 1e6], "MB", "start: binary")


def stripped_size(machine):
    copy = os.path.join(machine.folder, "weir-stripped")
    shutil.copy(machine.weir, copy)
    subprocess.run(["strip", copy], check=True)
    return os.path.getsize(copy)

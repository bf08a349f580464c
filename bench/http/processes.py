"""What the kernel knows about a server's processes: their family, processor time and memory."""
import os
import re


def parents():
    """{pid: parent} of all processes. The kernel's own list of children is not in every kernel."""
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/stat" % name) as stat:
                found[int(name)] = int(stat.read().rpartition(")")[2].split()[1])
        except OSError:
            pass  # it ended meanwhile
    return found


def children(pid):
    return sorted(child for child, parent in parents().items() if parent == pid)


def family(pid):
    """A process and all that descend from it."""
    by_parent = {}
    for child, parent in parents().items():
        by_parent.setdefault(parent, []).append(child)
    found = [pid]
    for member in found:
        found += by_parent.get(member, [])
    return found


def cpu_ns(pids):
    """Processor time of all their threads so far: the scheduler's own count in nanoseconds, not in ticks."""
    total = 0
    for pid in pids:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/schedstat" % (pid, task)) as stat:
                total += int(stat.read().split()[0])
    return total


def busy_ns(cores):
    """How long processors have not been idle, in the kernel's ticks; what the hypervisor took counts too."""
    total = 0
    with open("/proc/stat") as stat:
        for line in stat:
            name, *ticks = line.split()
            if name in ["cpu%d" % core for core in cores]:
                user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
                total += user + nice + system + irq + softirq + steal
    return total * 10**9 // os.sysconf("SC_CLK_TCK")


def resident(pid):
    """Resident bytes, as the page tables have them: dear for the process, so not while it is timed."""
    with open("/proc/%d/smaps_rollup" % pid) as rollup:
        return int(re.search(r"^Rss:\s+(\d+) kB", rollup.read(), re.M).group(1)) * 1024


def resident_about(pid):
    """The same from the kernel's counters: cheap, and wrong by some pages a processor."""
    with open("/proc/%d/statm" % pid) as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def resident_kinds(pid):
    """{"RssAnon": bytes, "RssFile": ...}: memory of its own, and pages of files that others may share."""
    with open("/proc/%d/status" % pid) as status:
        return {name: int(kb) * 1024 for name, kb in re.findall(r"(Rss\w+|VmRSS):\s+(\d+) kB", status.read())}


def kernel_socket_bytes():
    """What the kernel holds for all TCP sockets of this machine: queues that nobody's resident memory shows."""
    with open("/proc/net/sockstat") as stat:
        pages = int(re.search(r"^TCP:.* mem (\d+)", stat.read(), re.M).group(1))
    return pages * os.sysconf("SC_PAGE_SIZE")

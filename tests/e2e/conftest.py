"""What every flow test shares: a real server process, watched for what it must not do.

After each test the server must hold as many descriptors as before, have said nothing on standard error (no alert, no
sanitizer report), and end with status 0 at SIGTERM, leaving no process behind.
"""
import os
import re
import signal
import subprocess
import time

import pytest

WATCHDOG = re.compile(r": a tick of over |: the slow tick has ended, ")
ECHO = os.environ.get("WEIR_ECHO", "build/debug/examples/echo/echo")


# Nothing that works takes as long, on whatever machine: who meets it hangs (CONTRIBUTING.md, "Time in tests").
HANG_S = 30
TRIES = 10


def until(condition, seconds=HANG_S):
    """Waits for what nobody is told of (a process's descriptors); fails loudly, never silently."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited %.0f s in vain" % seconds
        time.sleep(0.005)  # time: how often it looks


def one_of_tries(show, times=TRIES):
    """For what a machine that stands still hides (something is prompt, two things come together): `show` gives what it has
    shown, or a false value; each try stands alone."""
    for _ in range(times):
        if shown := show():
            return shown
    pytest.fail("shown in none of %d tries" % times)


class Server:
    def __init__(self, *address):
        self.process = subprocess.Popen(
            [ECHO, "serve", *(address or ["127.0.0.1:0"])],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line + self.process.stderr.read()
        self.address = line.split()[-1]
        self.descriptors_at_start = self.descriptors()

    @property
    def port(self):
        return int(self.address.rsplit(":", 1)[1])

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def stop(self, number=signal.SIGTERM):
        """Ends it and returns (status, what it said on standard error that it should not have).

        The watchdog's lines are not counted: a sanitizer or a busy machine makes a turn slow, and it is right to say so.
        """
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=HANG_S)
        lines = said.splitlines(keepends=True)
        return self.process.returncode, "".join(line for line in lines if not WATCHDOG.search(line))

    def resident_kb(self):
        with open("/proc/%d/status" % self.process.pid) as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1))

    def is_settled(self):
        return self.descriptors() == self.descriptors_at_start


@pytest.fixture
def start():
    """Starts servers, and sees to their good end."""
    started = []

    def start_one(*address):
        started.append(Server(*address))
        return started[-1]

    yield start_one
    try:
        for server in started:
            if server.process.returncode is None:
                until(server.is_settled)
                assert server.stop() == (0, "")
            with pytest.raises(ProcessLookupError):  # its session is empty: no stray process
                os.killpg(server.process.pid, 0)
    finally:
        for server in started:
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()


@pytest.fixture
def server(start):
    return start()

"""The echo example with real clients: what a user of it sees."""
import os
import select
import signal
import socket
import struct
import subprocess

import pytest

from conftest import ECHO, HANG_S, until

MAX = 64 * 1024


def connect(server):
    s = socket.create_connection(("127.0.0.1", server.port), timeout=HANG_S)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def frame(payload):
    return struct.pack(">I", len(payload)) + payload


def receive(s, count):
    data = b""
    while len(data) < count:
        part = s.recv(count - len(data))
        assert part, "the connection ended after %d of %d bytes" % (len(data), count)
        data += part
    return data


def call(s, payload):
    s.sendall(frame(payload))
    assert receive(s, 4 + len(payload)) == frame(payload)


def test_frames_of_all_sizes_come_back(server):
    with connect(server) as s:
        for size in [0, 1, 4, 5, 100, 4091, 4092, 4093, 8192, 65000, MAX - 1, MAX, 3]:
            call(s, os.urandom(size))


def test_a_frame_may_arrive_byte_by_byte(server):
    with connect(server) as s:
        for byte in frame(b"slowly"):
            s.sendall(bytes([byte]))
        assert receive(s, 10) == frame(b"slowly")


def test_many_frames_in_one_write_come_back_in_order(server):
    frames = b"".join(frame(b"%d" % i * (i % 50)) for i in range(2000))
    with connect(server) as s:
        s.sendall(frames)
        assert receive(s, len(frames)) == frames


def test_a_client_that_does_not_read_costs_bounded_memory_and_loses_nothing(server):
    piece = frame(os.urandom(MAX))
    before = server.resident_kb()
    with connect(server) as s:
        s.setblocking(False)
        sent = 0
        while select.select([], [s], [], 0.5)[1]:  # until both directions are full; time: or soon, which is as good
            sent += s.send(piece[sent % len(piece):])
        assert sent > len(piece)
        assert server.resident_kb() - before < 2048
        s.setblocking(True)
        for _ in range(sent // len(piece)):
            assert receive(s, len(piece)) == piece


def test_what_was_sent_before_a_half_close_is_answered(server):
    with connect(server) as s:
        s.sendall(frame(b"one") + frame(b"two") + b"\0\0")
        s.shutdown(socket.SHUT_WR)
        assert receive(s, 14) == frame(b"one") + frame(b"two")
        assert s.recv(1) == b""


def test_a_frame_that_is_too_long_ends_its_connection_only(server):
    with connect(server) as good, connect(server) as bad:
        bad.sendall(frame(b"first") + struct.pack(">I", MAX + 1) + b"x" * 100)
        assert receive(bad, 9) == frame(b"first")
        try:
            assert bad.recv(1) == b""
        except ConnectionResetError:
            pass  # closed with unread bytes: the kernel says so to the sender
        call(good, b"still here")


def test_clients_that_vanish_leave_nothing_behind(server):
    for i in range(50):
        s = connect(server)
        s.sendall(frame(b"x" * 100) * 100)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()  # with a reset
    until(server.is_settled)
    with connect(server) as s:
        call(s, b"well")


def test_five_hundred_connections_at_once(server):
    connections = [connect(server) for _ in range(500)]
    for i, s in enumerate(connections):
        s.sendall(frame(b"%d" % i))
    for i, s in enumerate(connections):
        assert receive(s, 4 + len(b"%d" % i)) == frame(b"%d" % i)
        s.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_with_connections_open(server, number):
    with connect(server) as idle, connect(server) as half:
        half.sendall(b"\0\0\0\5he")
        call(idle, b"before")
        assert server.stop(number) == (0, "")
        assert idle.recv(1) == b""


def test_a_unix_socket_is_removed_at_the_end(start, tmp_path):
    path = tmp_path / "echo.sock"
    server = start("unix:%s" % path)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        call(s, b"local")
    assert server.stop() == (0, "")
    assert not path.exists()


def test_ipv6(start):
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no ::1")
    server = start("[::1]:0")
    with socket.create_connection(("::1", server.port), timeout=HANG_S) as s:
        call(s, b"six")


def run(*arguments):
    return subprocess.run([ECHO, *arguments], capture_output=True, text=True, timeout=HANG_S)


def test_send_prints_what_comes_back(server):
    r = run("send", server.address, "hello", "", "weir")
    assert (r.returncode, r.stdout, r.stderr) == (0, "hello\n\nweir\n", "")


def test_an_address_in_use_is_said(server):
    r = run("serve", server.address)
    assert r.returncode == 1
    assert r.stderr == "echo: cannot serve on %s: address already in use\n" % server.address


def test_nobody_there_is_said():
    with socket.socket() as bound:  # and not listening, so that nobody else does there either
        bound.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % bound.getsockname()[1]
        r = run("send", address, "hello")
    assert r.returncode == 1
    assert r.stderr == "echo: cannot connect to %s: connection refused\n" % address


@pytest.mark.parametrize(
    "arguments", [[], ["sing"], ["send"], ["send", "127.0.0.1:1"], ["serve", "a", "b"], ["serve", "7070x"]]
)
def test_wrong_calls_are_refused_with_status_2(arguments):
    r = run(*arguments)
    assert r.returncode == 2
    assert r.stdout == "" and r.stderr != ""


def test_help_goes_to_standard_output():
    r = run("--help")
    assert r.returncode == 0 and r.stdout.startswith("usage: echo serve") and r.stderr == ""

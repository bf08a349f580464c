#!/usr/bin/env python3
"""Shows that the load client sees every way in which a server can fail it: a bench that cannot see a failure would find none."""
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

CLIENT = sys.argv.pop(1)
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Faulty:
    """A server that does one thing with every request; `serve` is called with each connection."""

    def __init__(self, serve):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.serve = serve
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._guard, args=(connection,), daemon=True).start()

    def _guard(self, connection):
        try:
            self.serve(connection)
        except OSError:
            pass  # the client has gone

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def answering(*answer, close=False):
    """Answers each request with these bytes, and closes after it if it shall."""
    def serve(connection):
        with connection:
            while connection.recv(4096):
                for piece in answer:
                    connection.sendall(piece)
                if close:
                    return
    return serve


def load(address, rate=100, connections=4, seconds=0.2):
    with subprocess.Popen([CLIENT, "open", address, "/", str(rate), str(connections), str(seconds)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        return json.loads(process.stdout.readline())


class TheOpenLoad(unittest.TestCase):
    def expect(self, said, **counts):
        for name in ("answered", "refused", "unopened", "unanswered", "cut", "malformed", "status", "late"):
            self.assertEqual(said[name], counts.get(name, 0), (name, said))

    def expect_once(self, serve, also, load_options={}, **counts):
        """A machine that stands still makes answers late, and closes meet requests: in one of ten tries it does not. `also`
        looks at what the account says beside."""
        for left in reversed(range(10)):
            try:
                with Faulty(serve) as server:
                    said = load(server.address, **load_options)
                self.expect(said, **counts)
                return also(said)
            except self.failureException:
                if not left:
                    raise

    def test_sends_all_it_planned_and_keeps_connections(self):
        self.expect_once(answering(GOOD), lambda said: self.assertEqual(said["opened"], 4), answered=20)

    def test_opens_anew_where_the_server_asked_to_close(self):
        closing = answering(GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), close=True)
        self.expect_once(closing, lambda said: self.assertEqual((said["opened"], said["asked_to_close"]), (20, 20)), answered=20)

    def test_a_close_while_idle_is_no_failure(self):
        slowly = {"rate": 4, "connections": 1, "seconds": 0.75}  # so slow that each close is heard of in time
        self.expect_once(answering(GOOD, close=True), lambda said: self.assertGreaterEqual(said["closed_idle"], 2), slowly, answered=3)

    def test_refused(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
        self.expect(load(address), refused=20)

    def test_closed_before_an_answer(self):
        with Faulty(answering(close=True)) as server:
            self.expect(load(server.address), unanswered=20)

    def test_cut_in_the_body(self):
        with Faulty(answering(GOOD[:-1], close=True)) as server:
            self.expect(load(server.address), cut=20)

    def test_cut_in_the_head(self):
        with Faulty(answering(GOOD[:9], close=True)) as server:
            self.expect(load(server.address), cut=20)

    def test_no_http(self):
        with Faulty(answering(b"220 hello\r\n\r\n")) as server:
            self.expect(load(server.address), malformed=20)

    def test_more_than_the_answer(self):
        with Faulty(answering(GOOD + b"!")) as server:
            self.expect(load(server.address), malformed=20)

    def test_another_status(self):
        with Faulty(answering(GOOD.replace(b"200 OK", b"503 No"))) as server:
            self.expect(load(server.address), status=20)

    def test_late(self):
        with Faulty(answering()) as server:
            self.expect(load(server.address, connections=20), late=20)

    def test_latency_counts_from_when_a_request_was_due(self):
        def serve(connection):
            with connection:
                connection.recv(4096)
                time.sleep(0.5)  # time: from when the first is there, however long the client took to start
                connection.sendall(GOOD)
                while connection.recv(4096):
                    connection.sendall(GOOD)

        # Only one could be sent before; the others waited for it.
        self.expect_once(serve, lambda said: self.assertGreater(said["p50_us"], 350000), {"connections": 1}, answered=20)


class ThePlannedLoad(unittest.TestCase):
    def records(self, server, times):
        with tempfile.TemporaryDirectory() as folder:
            planned, records = os.path.join(folder, "times"), os.path.join(folder, "records")
            with open(planned, "w") as f:
                f.writelines("%d\n" % t for t in times)
            # The end of its input would end the load: it stays open until then.
            with subprocess.Popen([CLIENT, "plan", server.address, "/", "4", planned, records], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True) as client:
                client.stdout.read()
                if client.wait() != 0:
                    return None
            with open(records) as f:
                return [[float(word) for word in line.split()] for line in f]

    def test_records_each_request_with_what_the_server_said(self):
        timing = b"\r\nServer-Timing: queue;dur=1.500, cpu;dur=30.250, wait;dur=70.125, io;dur=0.080\r\n\r\n"
        times = [0, 1000000, 1000000, 50000000]
        with Faulty(answering(GOOD.replace(b"\r\n\r\n", timing))) as server:
            records = self.records(server, times)
        self.assertEqual([record[0] for record in records], times)
        for due, sent, answered, *rest in records:
            self.assertTrue(due <= sent <= answered, (due, sent, answered))
            self.assertEqual(rest, [200, 1.5, 30.25, 70.125])

    def test_records_refusals_and_what_was_never_answered(self):
        with Faulty(answering(GOOD.replace(b"200 OK", b"503 No"))) as server:
            self.assertEqual([record[3:] for record in self.records(server, [0])], [[503, 0, 0, 0]])
        with Faulty(answering(close=True)) as server:
            self.assertEqual([record[2:] for record in self.records(server, [0])], [[-1, 0, 0, 0, 0]])

    def test_refuses_times_that_go_back(self):
        with Faulty(answering(GOOD)) as server:
            self.assertIsNone(self.records(server, [5, 4]))


class TheHeldConnections(unittest.TestCase):
    def test_ask_all_and_tell(self):
        with Faulty(answering(GOOD)) as server, \
                subprocess.Popen([CLIENT, "hold", server.address, "/", "20"], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True) as process:
            self.assertEqual(json.loads(process.stdout.readline())["connected"], 20)
            for _ in range(2):
                process.stdin.write("go\n")
                process.stdin.flush()
                said = json.loads(process.stdout.readline())
                self.assertEqual((said["answered"], said["failed"]), (20, 0))

    def test_tell_of_failures(self):
        with Faulty(answering(GOOD[:-1], close=True)) as server, \
                subprocess.Popen([CLIENT, "hold", server.address, "/", "20"], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            process.stdin.write("go\n")
            process.stdin.flush()
            said = json.loads(process.stdout.readline())
            self.assertEqual((said["answered"], said["failed"]), (0, 20))


if __name__ == "__main__":
    unittest.main()

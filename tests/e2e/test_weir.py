"""The whole program: its command line, and what a supervisor promises, with real processes and real signals."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import sys
import time

import pytest

from conftest import HANG_S, one_of_tries, until
from weir_process import CONFIG, WEIR, Load, has_ended, own_address, run, weirs


@pytest.fixture
def start(tmp_path):
    with weirs(tmp_path) as start:
        yield lambda *arguments, config=CONFIG.format(version=1), **options: start(*arguments, config=config, **options)


@pytest.fixture
def weir(start):
    return start()


# ---- The command line ----


@pytest.mark.parametrize("arguments, hint", [
    ([], "usage: weir"),
    (["srve"], "did you mean 'serve'?"),
    (["chek", "x"], "did you mean 'check'?"),
    (["sing"], "see 'weir help'"),
    (["help", "chekc"], "did you mean 'check'?"),
    (["serve", "--lisen", "80"], "did you mean '--listen'?"),
    (["serve", "-x"], "no option '-x'"),
    (["serve", "--listen"], "needs a value"),
    (["serve", "--listen", "nowhere:x"], "--listen: "),
    (["serve", "--admin", "on"], "--admin: "),
    (["serve", "--log-level", "inf"], "did you mean info"),
    (["serve", "a.yaml", "b.yaml"], "unexpected argument 'b.yaml'"),
    (["serve", "-c", "a.yaml", "b.yaml"], "one configuration"),
    (["serve", "--server"], "for the supervisor"),
    (["check", "--print=yes"], "takes no value"),
    (["version", "now"], "unexpected argument"),
])
def test_wrong_calls_are_refused_with_status_2(arguments, hint):
    r = run(*arguments, stdin=open("/dev/null"))
    assert (r.returncode, r.stdout) == (2, "")
    assert hint in r.stderr


@pytest.mark.parametrize("arguments", [["help"], ["--help"], ["help", "serve"], ["serve", "--help"], ["check", "-h"]])
def test_help_goes_to_standard_output(arguments):
    r = run(*arguments)
    assert (r.returncode, r.stderr) == (0, "")
    assert r.stdout.startswith("usage: weir")


def test_version():
    r = run("version")
    assert r.returncode == 0 and re.match(r"weir \d+\.\d+\.\d+\n", r.stdout)
    assert run("--version").stdout == r.stdout


@pytest.mark.parametrize("arguments", [["version"], ["help"], ["check", "--schema"]])
def test_output_that_cannot_be_written_is_an_error(arguments):
    with open("/dev/full", "w") as full:
        r = subprocess.run([WEIR, *arguments], stdout=full, stderr=-1, text=True)
    assert r.returncode == 3
    assert "cannot write to standard output: no space left" in r.stderr


def test_a_reader_that_has_gone_is_an_error():
    reader, writer = os.pipe()
    os.close(reader)
    r = subprocess.run([WEIR, "check", "--schema"], stdout=writer, stderr=-1, text=True)
    os.close(writer)
    assert r.returncode == 3
    assert "cannot write to standard output" in r.stderr


# ---- weir check ----


def test_check_says_all_errors_at_once(tmp_path):
    (tmp_path / "weir.yaml").write_text(
        "lisen: 80\n"
        "admin: 127.0.0.1:80\n"
        "listen: [127.0.0.1:80, '*:81', '[::]:81']\n"
        "routes:\n"
        "  - {route: GET /a, reply: $path.nope}\n"
        "  - {route: 'GET /b/{x}', reply: $path.x}\n"
        "  - {route: 'GET /b/{y}', reply: $path.y}\n")
    r = run("check", "weir.yaml", cwd=tmp_path)
    assert r.returncode == 1 and r.stdout == ""
    lines = r.stderr.splitlines()
    assert [line.split(":")[1] for line in lines] == ["1", "3", "3", "5", "7"], r.stderr
    assert "did you mean 'listen'?" in lines[0]
    assert "admin's address" in lines[1] and "twice" in lines[2] and "nope" in lines[3] and "/b/{x}" in lines[4]


def test_check_says_that_all_is_well(tmp_path):
    (tmp_path / "a.yaml").write_text(CONFIG.format(version=1))
    r = run("check", "a.yaml", cwd=tmp_path)
    assert (r.returncode, r.stdout, r.stderr) == (0, "a.yaml: ok: 2 routes, 1 listener\n", "")
    r = run("check", "--quiet", "a.yaml", cwd=tmp_path)
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")


def test_check_prints_what_it_understood_and_accepts_that_again(tmp_path):
    (tmp_path / "weir.yaml").write_text(CONFIG.format(version=1))
    first = run("check", "--print", cwd=tmp_path)
    assert first.returncode == 0 and "idle: 75s" in first.stdout
    (tmp_path / "weir.yaml").write_text(first.stdout)
    assert run("check", "--print", cwd=tmp_path).stdout == first.stdout


def test_check_prints_a_schema():
    schema = json.loads(run("check", "--schema").stdout)
    assert schema["$schema"].startswith("https://json-schema.org/draft/2020-12")


def test_a_configuration_that_is_not_there_is_refused(tmp_path):
    for verb in ["check", "serve"]:
        r = run(verb, "nowhere.yaml", cwd=tmp_path)
        assert r.returncode == 1 and "nowhere.yaml" in r.stderr


# ---- weir init ----


def test_what_init_writes_runs_at_once(tmp_path, start):
    r = run("init", "hello", cwd=tmp_path)
    assert (r.returncode, r.stderr) == (0, "") and "weir serve" in r.stdout
    project = tmp_path / "hello"
    assert sorted(os.listdir(project)) == ["README.md", "weir.yaml"]
    assert run("check", cwd=project).stdout == "weir.yaml: ok: 5 routes, 1 listener\n"

    host, port = own_address()  # its routes call each other
    weir = start(config=(project / "weir.yaml").read_text().replace("127.0.0.1:8080", "%s:%d" % (host, port))
                 .replace("admin: 127.0.0.1:9900", "admin: off"))
    assert weir.get("/") == (200, '{"hello":"world"}\n')
    assert json.loads(weir.get("/hello/ann?from=home")[1]) == {"greeting": "Good day, ann!", "from": "home"}
    both = {"greeting": "Good day, ann!", "waited": "100 ms"}
    one_of_tries(lambda: json.loads(weir.get("/both/ann")[1]) == both)  # time: its deadline is two seconds


def test_init_overwrites_nothing(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    r = run("init", cwd=tmp_path)
    assert r.returncode == 1 and "README.md exists" in r.stderr
    assert os.listdir(tmp_path) == ["README.md"] and (tmp_path / "README.md").read_text() == "mine"


def test_init_says_why_it_cannot(tmp_path):
    r = run("init", "no/such/place", cwd=tmp_path)
    assert r.returncode == 3 and "no/such/place" in r.stderr


# ---- Start and stop ----


def test_an_address_in_use_is_said(start, weir, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(CONFIG.format(version=1))
    r = run("serve", "--listen", weir.address, "--log-format", "text", str(other))
    assert r.returncode == 3
    assert "cannot listen on %s: address already in use" % weir.address in r.stderr
    assert "choose another address (--listen)" in r.stderr


def test_an_admin_address_in_use_is_said(start, weir, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text(CONFIG.format(version=1).replace("admin: off", "admin: " + weir.address))
    r = run("serve", "--log-format", "text", str(other))
    assert r.returncode == 3 and "(--admin)" in r.stderr and "'admin: off'" in r.stderr
    start("--admin", "0", config=other.read_text()).stop()
    start("--admin=off", config=other.read_text()).stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_request_that_is_being_answered_is_finished_before_the_end(weir, number):
    with socket.create_connection(("127.0.0.1", weir.port), timeout=HANG_S) as s:
        s.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert weir.get("/")[0] == 200  # so the one before has surely been accepted, by one of two threads or soon
        until(lambda: len(connections_of(weir)) > 0)
        weir.send(number)
        data = s.recv(4096)
        assert data.startswith(b"HTTP/1.1 200 ") and data.endswith(b'{"slow":true}\n')
    weir.stop(number)


def is_refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=30).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "['unix:%s', 127.0.0.1:0]"])
def test_once_it_is_stopping_new_connections_are_refused(start, tmp_path, listen):
    path = tmp_path / "weir.sock"
    config = CONFIG.format(version=1).replace("700ms", "5s")
    if "unix" in listen:
        config = config.replace("127.0.0.1:0", listen % path, 1)
    weir = start(config=config)
    port = weir.port
    with socket.create_connection(("127.0.0.1", port), timeout=30) as s:
        s.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: len(connections_of(weir)) > 0)
        weir.send(signal.SIGTERM)
        weir.wait_for_log("stopping: ")
        until(lambda: is_refused(port))
        for _ in range(20):  # by every one of its sockets, of which the kernel would choose by the client's port
            assert is_refused(port)
        assert not path.exists() and "has ended" not in weir.log()  # long before the request's end
        assert s.recv(4096).endswith(b'{"slow":true}\n')
    weir.stop()


def test_connections_that_wait_to_be_accepted_when_it_stops_are_answered(weir):
    server = weir.servers()[-1]
    os.kill(server, signal.SIGSTOP)  # so that nobody accepts, and the kernel's queues hold them
    waiting = [socket.create_connection(("127.0.0.1", weir.port), timeout=30) for _ in range(20)]
    for s in waiting:
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    weir.send(signal.SIGTERM)
    weir.wait_for_log("stopping: ")
    os.kill(server, signal.SIGCONT)
    for s in waiting:
        assert s.recv(4096).startswith(b"HTTP/1.1 200 ")
        s.close()
    weir.stop()


def connections_of(weir):
    """Descriptors of the server that are established TCP connections."""
    pid = weir.servers()[-1]
    with open("/proc/%d/net/tcp" % pid) as table:
        port = "%04X" % weir.port
        open_ones = {line.split()[9] for line in table if line.split()[1].endswith(":" + port) and line.split()[3] == "01"}
    found = []
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            target = os.readlink("/proc/%d/fd/%s" % (pid, fd))
        except FileNotFoundError:
            continue
        if target.startswith("socket:[") and target[8:-1] in open_ones:
            found.append(fd)
    return found


def test_a_second_signal_ends_it_at_once(start):
    def a_third_one_does():
        weir = start(config=CONFIG.format(version=1).replace("700ms", "50s").replace("drain: 10s", "drain: 60s"))
        with socket.create_connection(("127.0.0.1", weir.port), timeout=HANG_S) as s:
            s.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            until(lambda: len(connections_of(weir)) > 0)
            weir.send(signal.SIGTERM)
            weir.wait_for_log("stopping: ")
            weir.send(signal.SIGTERM)  # as `timeout` does: the process, and then its group
            time.sleep(0.6)  # time: within half a second it is the same wish, which may be tried again
            was_one = weir.process.poll() is None and "stopping at once" not in weir.log()
            weir.stop()
            assert "stopping at once" in weir.log()
            return was_one

    one_of_tries(a_third_one_does)


def test_the_pid_file_is_there_while_it_serves(start, tmp_path):
    path = tmp_path / "weir.pid"
    weir = start("--pid", str(path))
    until(path.exists)
    until(lambda: path.read_text() == "%d\n" % weir.pid)
    weir.stop()
    assert not path.exists()


def addresses_of(weir):
    return [address.rsplit(":", 1) for address in re.findall(r"listening on (\S+)", weir.log())]


@pytest.mark.parametrize("by_option", [False, True])
def test_a_name_is_listened_to_at_all_its_addresses(start, by_option):
    arguments = ["-l", "localhost:0"] if by_option else []
    weir = start(*arguments, config=CONFIG.format(version=1).replace("listen: 127.0.0.1:0", "listen: localhost:0"))
    found = addresses_of(weir)
    assert "127.0.0.1" in [host for host, _ in found] and {host for host, _ in found} <= {"127.0.0.1", "[::1]"}
    for host, port in found:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=30) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert s.recv(20).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("listen", ["0", ":0"])
def test_a_port_alone_is_of_this_machine(start, listen):
    weir = start("--listen", listen, config=CONFIG.format(version=1))
    assert [host for host, _ in addresses_of(weir)] == ["127.0.0.1"]


def test_a_name_that_nobody_knows_is_said(tmp_path):
    (tmp_path / "weir.yaml").write_text(CONFIG.format(version=1).replace("127.0.0.1:0", "no-such-host.invalid:80"))
    r = run("serve", cwd=tmp_path, timeout=60)
    assert r.returncode == 3 and "the name 'no-such-host.invalid' cannot be resolved" in r.stderr


@pytest.mark.parametrize("name", ["nowhere/pid", "."])
def test_a_pid_file_that_cannot_be_written_is_refused_before_anything_is_served(tmp_path, name):
    (tmp_path / "weir.yaml").write_text(CONFIG.format(version=1))
    r = run("serve", "--pid", str(tmp_path / name), cwd=tmp_path, timeout=30)
    assert r.returncode == 3 and "cannot write the pid file" in r.stderr and "listening on" not in r.stderr
    assert sorted(os.listdir(tmp_path)) == ["weir.yaml"]


def test_options_win_over_the_configuration(start, tmp_path):
    path = tmp_path / "weir.sock"
    weir = start("--listen", "unix:%s" % path, "--log-level", "warn", wait=False)
    until(path.exists)
    assert ask_unix(path) == b'{"version":1}\n'
    weir.stop()
    # Nothing to warn of, but that the machine stood still.
    assert [line for line in weir.log().splitlines() if "tick" not in line] == []
    assert not path.exists()


def ask_unix(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(HANG_S)
        s.connect(str(path))
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        data = b""
        while part := s.recv(4096):
            data += part
    return data.split(b"\r\n\r\n", 1)[1]


# ---- Crash ----


def test_no_connection_is_refused_when_servers_are_killed_under_load(weir):
    with Load(weir.port) as load:
        for kills in range(1, 6):
            load.wait_for_more()
            os.kill(weir.servers()[-1], signal.SIGKILL)
            weir.wait_for_server(kills + 1)
        load.wait_for_more()
    assert load.refused == 0
    # What a killed server had begun is lost with it: at most one a client and kill.
    assert len(load.failures) <= 5 * len(load.threads), load.failures
    assert weir.log().count("was killed by SIGKILL after ") == 5
    assert weir.get("/")[0] == 200


def test_a_server_whose_supervisor_is_gone_ends(start):
    weir = start()
    server = weir.servers()[-1]
    weir.process.kill()
    weir.process.wait()
    until(lambda: has_ended(server))


# ---- Reload ----


def test_a_reload_under_load_loses_no_request(weir):
    with Load(weir.port) as load:
        for version in range(2, 6):
            load.wait_for_more()
            weir.config.write_text(CONFIG.format(version=version))
            weir.send(signal.SIGHUP)
            weir.wait_for_server(version)
            # For a moment the old server may still be the one that accepts.
            until(lambda: weir.get("/") == (200, '{"version":%d}\n' % version))
        load.wait_for_more()
    assert (load.refused, load.failures) == (0, [])
    until(lambda: weir.log().count("has drained") == 4)


def test_a_bad_reload_is_refused_and_the_old_serves_on(weir):
    weir.config.write_text(CONFIG.format(version=2) + "lisen: 80\n")
    weir.send(signal.SIGHUP)
    weir.wait_for_log("the reload is refused")
    assert "did you mean 'listen'?" in weir.log()
    assert weir.get("/") == (200, '{"version":1}\n')
    os.kill(weir.servers()[-1], signal.SIGKILL)
    weir.wait_for_server(2)
    assert weir.get("/") == (200, '{"version":1}\n')


def test_a_request_in_flight_is_answered_by_the_old_server(weir):
    with socket.create_connection(("127.0.0.1", weir.port), timeout=HANG_S) as s:
        s.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: len(connections_of(weir)) > 0)
        weir.send(signal.SIGHUP)
        weir.wait_for_server(2)
        assert s.recv(4096).endswith(b'{"slow":true}\n')


def test_listeners_come_and_go_with_reloads(weir):
    first, second = ("127.0.0.1", weir.port), own_address()
    weir.config.write_text(CONFIG.format(version=2).replace("listen: ", "listen: [%s:%d, " % second)
                           .replace("127.0.0.1:0\n", "127.0.0.1:0]\n"))
    weir.send(signal.SIGHUP)
    weir.wait_for_server(2)
    for address in [first, second]:
        with socket.create_connection(address, timeout=HANG_S):
            pass
    weir.config.write_text(CONFIG.format(version=3))
    weir.send(signal.SIGHUP)
    weir.wait_for_server(3)
    until(lambda: weir.log().count("has drained") == 2)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(second, timeout=HANG_S)
    assert weir.get("/") == (200, '{"version":3}\n')


# ---- Upgrade ----


@pytest.fixture
def program(tmp_path):
    """A weir of our own, which can be replaced."""
    path = tmp_path / "weir"
    shutil.copy(WEIR, path)
    return path


def install(path, text_or_file):
    new = path.with_suffix(".new")
    if os.path.exists(text_or_file):
        shutil.copy(text_or_file, new)
    else:
        new.write_text(text_or_file)
        new.chmod(0o755)
    os.rename(new, path)


def test_upgrades_under_load_lose_no_request_and_keep_the_pid(start, program):
    weir = start(program=program)
    with Load(weir.port) as load:
        for round_ in range(1, 4):
            load.wait_for_more()
            install(program, WEIR)
            weir.send(signal.SIGUSR2)
            weir.wait_for_server(round_ + 1)
            assert os.stat("/proc/%d/exe" % weir.pid).st_ino == os.stat(program).st_ino
            until(lambda: weir.log().count("has drained") == round_)
        load.wait_for_more()
    assert (load.refused, load.failures) == (0, [])
    assert weir.process.poll() is None
    os.kill(weir.servers()[-1], signal.SIGKILL)  # the new image looks after its servers as the old did
    weir.wait_for_server(5)
    assert weir.get("/")[0] == 200


def test_a_server_of_the_earlier_image_that_dies_is_replaced(start, program):
    weir = start(program=program)
    weir.config.write_text(CONFIG.format(version=2))
    weir.send(signal.SIGUSR2)
    os.kill(weir.servers()[-1], signal.SIGKILL)
    weir.wait_for_server(2)
    until(lambda: weir.get("/") == (200, '{"version":2}\n'))


def test_an_upgrade_to_a_program_that_refuses_the_configuration_changes_nothing(start, program):
    weir = start(program=program)
    install(program, "#!/bin/sh\nexit 1\n")
    weir.send(signal.SIGUSR2)
    weir.wait_for_log("the upgrade is refused")
    assert weir.get("/")[0] == 200
    os.unlink(program)
    weir.send(signal.SIGUSR2)
    weir.wait_for_log("cannot run ")
    os.kill(weir.servers()[-1], signal.SIGKILL)  # and the program that runs does not need its file
    weir.wait_for_server(2)
    assert weir.get("/")[0] == 200


def test_an_upgrade_that_cannot_be_executed_changes_nothing(start, program):
    weir = start(program=program)
    # Accepts the configuration once, and is gone when it is to be executed.
    install(program, '#!/bin/sh\nrm "$0"\n')
    weir.send(signal.SIGUSR2)
    weir.wait_for_log("the upgrade failed")
    assert weir.get("/")[0] == 200
    weir.send(signal.SIGHUP)
    weir.wait_for_server(2)
    assert weir.get("/")[0] == 200


def test_a_unix_socket_is_removed_at_the_end_after_an_upgrade_too(start, program, tmp_path):
    path = tmp_path / "weir.sock"
    weir = start("--listen", "unix:%s" % path, program=program)
    weir.send(signal.SIGUSR2)
    weir.wait_for_server(2)
    assert ask_unix(path) == b'{"version":1}\n'
    weir.stop()
    assert not path.exists()


# ---- An init ----


class Init:
    """Where systemd would listen."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(HANG_S)

    def hear(self):
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())


def test_an_init_is_told_what_happens(start, tmp_path):
    init = Init(tmp_path / "notify")
    weir = start(environment={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert init.hear()["READY"] == "1"
    weir.send(signal.SIGHUP)
    reloading = init.hear()
    assert reloading["RELOADING"] == "1" and int(reloading["MONOTONIC_USEC"]) > 0
    assert init.hear()["READY"] == "1"
    weir.send(signal.SIGUSR2)
    assert init.hear()["RELOADING"] == "1"  # by the old image
    assert init.hear()["RELOADING"] == "1"  # by the new one
    assert init.hear()["READY"] == "1"
    weir.stop()
    assert init.hear()["STOPPING"] == "1"
    init.socket.close()


def test_the_watchdog_of_an_init_is_fed(start, tmp_path):
    init = Init(tmp_path / "notify")
    start(environment={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"})
    heard = [init.hear() for _ in range(5)]
    assert sum("WATCHDOG" in message for message in heard) >= 4


ACTIVATE = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[1], sys.argv[1:])
"""


def start_activated(start, sockets, **options):
    def to_three():
        fds = [os.dup(s.fileno()) for s in sockets]
        for i, fd in enumerate(fds):
            os.dup2(fd, 3 + i)

    return start(launcher=[sys.executable, "-c", ACTIVATE], environment={"LISTEN_FDS": str(len(sockets))},
                 preexec_fn=to_three, close_fds=False, **options)


def test_a_socket_of_an_init_is_used(start):
    with socket.socket() as given:
        given.bind(("127.0.0.1", 0))
        given.listen()
        weir = start_activated(start, [given])
        assert weir.port == given.getsockname()[1]  # in place of `listen`, which has another
        assert weir.get("/") == (200, '{"version":1}\n')
        weir.config.write_text(CONFIG.format(version=2))
        weir.send(signal.SIGHUP)
        weir.wait_for_server(2)
        until(lambda: weir.get("/") == (200, '{"version":2}\n'))  # the old one answers who has come before
        weir.send(signal.SIGUSR2)
        weir.wait_for_server(3)
        assert weir.get("/") == (200, '{"version":2}\n')
        weir.stop()
        given.settimeout(0)
        with socket.create_connection(given.getsockname(), timeout=HANG_S):
            given.accept()[0].close()  # and it is still open


def test_a_socket_of_an_init_is_used_for_the_address_that_is_its_own(start):
    with socket.socket() as given:
        given.bind(("127.0.0.1", 0))
        given.listen()
        port = given.getsockname()[1]
        config = CONFIG.format(version=1).replace("listen: 127.0.0.1:0", "listen: [127.0.0.1:%d, 127.0.0.1:0]" % port)
        weir = start_activated(start, [given], config=config)
        addresses = re.findall(r"listening on (\S+)", weir.log())
        assert len(addresses) == 2 and addresses[0] == "127.0.0.1:%d" % port
        assert weir.get("/")[0] == 200


def test_a_descriptor_of_an_init_that_does_not_listen_is_said(tmp_path):
    with socket.socket() as not_listening:
        config = tmp_path / "weir.yaml"
        config.write_text(CONFIG.format(version=1))
        fd = os.dup(not_listening.fileno())
        r = run("-c", ACTIVATE, WEIR, "serve", str(config), program=sys.executable,
                env={**os.environ, "LISTEN_FDS": "1"}, preexec_fn=lambda: os.dup2(fd, 3), close_fds=False)
        os.close(fd)
    assert r.returncode == 3 and "not a listening socket" in r.stderr

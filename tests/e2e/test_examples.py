"""What our pages promise is true: each `$ command` of a page is run against the weir that the page is about, and must print
what stands under it. `…` there is whatever comes.

The pages name fixed ports, so each test has a loopback address of its own in place of 127.0.0.1: no two of them meet.
"""
import os
import pathlib
import re
import subprocess
import tempfile

import pytest
from conftest import HANG_S, one_of_tries
from weir_process import WEIR, Weir, own_address, run

TREE = pathlib.Path(os.environ.get("WEIR_TREE", "."))
FIRST = TREE / "examples" / "first" / "weir.yaml"
MIXED = TREE / "examples" / "mixed" / "weir.yaml"

# Plugins are built as Weir was: the library that their tests use may have a sanitizer in it.
MAKEFLAGS = " -- CC=%s CFLAGS=%s" % tuple(os.environ[name].replace(" ", "\\ ") for name in ("STEP_CC", "STEP_CFLAGS"))


class Place:
    """A folder and an address of one's own; what is written for 127.0.0.1 is made to mean that."""

    def __init__(self, folder):
        self.folder = folder
        self.host, _ = own_address()

    def here(self, text):
        return text.replace("127.0.0.1", self.host)

    def serve(self, config):
        if not re.search("^admin:", config, re.M):
            config += "\nadmin: 127.0.0.1:9900\n"  # the default is another test's, too
        return Weir(self.folder, config=self.here(config))

    def sh(self, command):
        """What it prints on a terminal, and its status. `weir` is the one under test."""
        environment = {**os.environ, "CURL_HOME": str(self.folder), "MAKEFLAGS": MAKEFLAGS,
                       "PATH": os.path.dirname(WEIR) + ":" + os.environ["PATH"]}
        (self.folder / ".curlrc").write_text("silent\nshow-error\n")  # no progress bar, which a terminal would not show
        command = self.here(command).replace("build/release/src/cli/weir", "weir")
        done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              cwd=self.folder, env=environment, timeout=2 * HANG_S)
        return done.stdout, done.returncode


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def promises(page):
    """(command, lines that it prints), of each indented `$ command`."""
    found = re.findall(r"^ {4}\$ (.*)\n((?:(?: {4}(?!\$ ).*\n)|\n(?= {4}(?!\$ )))*)", page, re.M)
    return [(command, [line[4:] for line in lines.splitlines()]) for command, lines in found]


def as_promised(lines, said):
    pattern = r"\n".join(r".*".join(re.escape(part) for part in line.split("…")) for line in lines)
    return re.fullmatch(pattern, said.strip("\n"))


def keeps_its_promises(folder, parts, least):
    """`parts`: (configuration, text whose commands are about it), one after the other in one folder. A text without a
    configuration needs no server. Pages show what happens within milliseconds: where a machine stands still, all of it is
    tried again, with a weir that has seen nothing yet."""
    def prints(place, command, lines):
        said, _ = place.sh(command)
        if as_promised([place.here(line) for line in lines], said):
            return True
        print("%s\nprinted: %s\npromised: %s" % (command, said, "\n".join(lines)))
        return False

    def once():
        place = Place(pathlib.Path(tempfile.mkdtemp(dir=folder)))
        for config, text in parts:
            weir = place.serve(config) if config else None
            try:
                if not all(prints(place, command, lines) for command, lines in promises(text)):
                    return False
                if weir:
                    weir.stop()
            finally:
                if weir:
                    weir.kill()
        return True

    assert sum(len(promises(text)) for _, text in parts) >= least
    one_of_tries(once)


@pytest.mark.parametrize("example", [FIRST, MIXED], ids=["first", "mixed"])
def test_an_example_does_what_its_page_says(tmp_path, example):
    keeps_its_promises(tmp_path, [(example.read_text(), (example.parent / "README.md").read_text())], 10)


def test_the_front_page_says_what_is_true(tmp_path):
    """It is about what plain `./run` serves."""
    keeps_its_promises(tmp_path, [(MIXED.read_text(), (TREE / "README.md").read_text())], 8)


@pytest.mark.parametrize("page", ["tutorial", "howto-model", "howto-memory", "howto-overload", "howto-step", "upstreams"])
def test_the_guide_says_what_is_true(tmp_path, page):
    """What a page shows as weir.yaml is served from there on, until it shows another."""
    text = (TREE / "doc" / "guide" / (page + ".md")).read_text()
    first, *shown = re.split(r"^```yaml\n(?=# weir\.yaml)", text, flags=re.M)
    keeps_its_promises(tmp_path, [(None, first), *(tuple(part.split("\n```\n", 1)) for part in shown)], 3)


@pytest.mark.parametrize("example", [FIRST, MIXED], ids=["first", "mixed"])
def test_what_run_suggests_works(place, example):
    weir = place.serve(example.read_text())
    try:
        text = next(t for t in (TREE / "run").read_text().split("<<'TEXT'")[1:] if "examples/%s/" % example.parent.name in t)
        lines = re.findall(r"^ {4}(curl .*?)(?: {2,}.*)?$", text.split("\nTEXT\n")[0], re.M)
        assert len(lines) >= 5
        for line in lines:
            said, status = place.sh(line)
            assert status == 0 and said, line
        weir.stop()
    finally:
        weir.kill()


def test_what_init_writes_runs_and_its_page_is_true(place):
    made = run("init", str(place.folder / "hello"))
    assert made.returncode == 0, made.stderr
    config = (place.folder / "hello" / "weir.yaml").read_text()
    page = (place.folder / "hello" / "README.md").read_text()
    lines = re.findall(r"^ {4}(curl .*)$", page, re.M) + re.findall(r"# *(?:\S.* )?(curl .*)$", config, re.M)
    assert len(lines) >= 10
    weir = place.serve(config)
    try:
        def succeeds(line):
            said, status = place.sh(line + " --fail-with-body")
            print(line, said)
            return status == 0 and said

        for line in lines:
            one_of_tries(lambda: succeeds(line))  # time: one of them has a deadline of two seconds
        weir.stop()
    finally:
        weir.kill()

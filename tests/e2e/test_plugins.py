"""Steps in C as their authors meet them: scaffolded, built, tested and served by what is installed, and nothing else."""
import http.client
import json
import os
import pathlib
import re
import subprocess

import pytest

from weir_process import WEIR, run, weirs

FLAGS = "CFLAGS=-O1 -g -Wall -Wextra -Werror " + os.environ.get("STEP_CFLAGS", "")
CC = os.environ.get("STEP_CC", "cc")
MAKE = ["make", "-s", "CC=" + CC, FLAGS, "WEIR=" + WEIR]


def make(project, *targets):
    return subprocess.run([*MAKE, *targets], cwd=project, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    r = run("init", "step", "word-count", cwd=folder)
    assert (r.returncode, r.stderr) == (0, "") and "make test && make serve" in r.stdout
    return folder / "word-count"


@pytest.fixture
def start(tmp_path):
    with weirs(tmp_path) as start:
        yield start


def config_of(project):
    text = (project / "weir.yaml").read_text().replace("127.0.0.1:8080", "127.0.0.1:0")
    return text.replace("./word-count.so", str(project / "word-count.so")) + "admin: off\n"


def post(weir, path, value):
    connection = http.client.HTTPConnection(weir.address, timeout=60)
    connection.request("POST", path, json.dumps(value), {"Content-Type": "application/json"})
    reply = connection.getresponse()
    answer = reply.status, json.loads(reply.read())
    connection.close()
    return answer


# ---- weir init step ----


def test_all_names_in_it_are_the_step_s(project):
    assert {"Makefile", "README.md", "weir.yaml", "word-count.c", "word-count_test.c"} <= set(os.listdir(project))
    for name in os.listdir(project):
        if not name.endswith((".so", "_test")):
            assert "NAME" not in (project / name).read_text(), name


def test_its_test_passes_and_can_fail(project):
    r = make(project, "test")
    assert r.returncode == 0 and r.stdout == "7 of 7 as they should be\n", r.stdout + r.stderr
    source = project / "word-count.c"
    text = source.read_text()
    source.write_text(text.replace("words++;", "words += 2;"))
    r = make(project, "test")
    source.write_text(text)
    os.utime(source)
    assert r.returncode != 0 and "4 of 7 as they should be" in r.stdout
    assert 'but is    {"words":12,"longest":"not"}' in r.stderr


def test_a_weir_that_pkg_config_does_not_know_is_found_beside_its_program(project, tmp_path):
    folders = [tmp_path / "bin", tmp_path / "lib" / "pkgconfig"]
    for folder in folders:
        folder.mkdir(parents=True)
    os.symlink(WEIR, folders[0] / "weir")
    pc = pathlib.Path(os.environ["PKG_CONFIG_PATH"]) / "weir-step-uninstalled.pc"
    (folders[1] / "weir-step.pc").write_text(pc.read_text())
    libyyjson = subprocess.run(["pkg-config", "--variable=libdir", "yyjson"], capture_output=True, text=True).stdout.strip()
    nowhere = {**os.environ, "PKG_CONFIG_PATH": "", "PKG_CONFIG_LIBDIR": str(tmp_path), "LIBRARY_PATH": libyyjson}
    command = ["make", "-s", "-B", "CC=" + CC, FLAGS, "test"]
    r = subprocess.run(command + ["WEIR=weir"], cwd=project, capture_output=True, text=True, timeout=120,
                       env={**nowhere, "PATH": "%s:%s" % (folders[0], os.environ["PATH"])})
    assert r.returncode == 0 and "7 of 7" in r.stdout, r.stdout + r.stderr
    r = subprocess.run(command + ["WEIR=/nowhere/weir"], cwd=project, capture_output=True, text=True, timeout=120, env=nowhere)
    assert r.returncode == 2 and "pkg-config does not find weir-step. Install Weir" in r.stderr, r.stderr
    assert "make PKG_CONFIG_PATH=FOLDER/lib/pkgconfig" in r.stderr
    r = subprocess.run(["make", "-s", "PKG_CONFIG_PATH=%s" % folders[1], "WEIR=/nowhere/weir", "-B", "CC=" + CC, FLAGS, "test"],
                       cwd=project, capture_output=True, text=True, timeout=120, env=nowhere)
    assert r.returncode == 0 and "7 of 7" in r.stdout, r.stdout + r.stderr


def test_it_is_served(project, start):
    assert make(project).returncode == 0
    weir = start(config=config_of(project))
    assert post(weir, "/word-count", {"text": "To be, or not to be"}) == (200, {"words": 6, "longest": "not"})
    status, problem = post(weir, "/word-count", {})
    assert status == 422 and problem["type"].endswith(":no-text")


def test_an_init_that_fails_is_why_it_does_not_start(project, tmp_path):
    assert make(project).returncode == 0
    config = tmp_path / "weir.yaml"
    config.write_text(config_of(project).replace("shortest: 1", "shortest: 0"))
    r = run("serve", "--admin", "off", "--log-format", "text", str(config))
    assert r.returncode != 0 and "step 'word-count': the option 'shortest' must be at least 1" in r.stderr


@pytest.mark.parametrize("name", ["", "9lives", "a b", "../x", "x/y", "-", "_x", "caf\u00e9", "x" * 64, "a.b"])
def test_a_bad_name_is_refused(name, tmp_path):
    r = run("init", "step", "--", name, cwd=tmp_path)
    assert r.returncode == 2 and "cannot be a step's name" in r.stderr
    assert os.listdir(tmp_path) == []


def test_init_step_says_what_is_missing_or_there_already(tmp_path):
    r = run("init", "step", cwd=tmp_path)
    assert r.returncode == 2 and "weir init step NAME" in r.stderr
    r = run("init", "step", "echo", cwd=tmp_path)
    assert r.returncode == 2 and "a built-in step has the name 'echo'" in r.stderr
    r = run("init", "one", "two", cwd=tmp_path)
    assert r.returncode == 2 and "unexpected argument 'two'" in r.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "Makefile").write_text("mine")
    r = run("init", "step", "mine", cwd=tmp_path)
    assert r.returncode == 1 and "mine/Makefile exists" in r.stderr and os.listdir(tmp_path / "mine") == ["Makefile"]
    r = run("init", "./step", cwd=tmp_path)
    assert r.returncode == 0 and (tmp_path / "step" / "weir.yaml").exists()


# ---- A step with run_batch, and its test ----

BATCH = r"""
#include <weir/step.h>

#ifndef FACTOR
#    define FACTOR 2
#endif

static int twice(struct weir_task *t)
{
    if (weir_type(weir_input(t)) != WEIR_NUMBER)
        return weir_reject(t, "no-number", "the input is no number");
    weir_out_integer(t, 2 * weir_integer(weir_input(t), 0));
    return 0;
}

static int twice_all(struct weir_task *const *tasks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (weir_type(weir_input(tasks[i])) != WEIR_NUMBER)
            return -1;
        weir_out_integer(tasks[i], FACTOR * weir_integer(weir_input(tasks[i]), 0));
    }
    return FACTOR ? 0 : -3;
}

static const struct weir_step steps[] = {
    {.name = "twice", .run = twice, .run_batch = twice_all}, {.name = "alone", .run = twice}};
WEIR_PLUGIN("numbers", steps);
"""

BATCH_TEST = r"""
#include <weir/step_test.h>

int main(void)
{
    static const struct weir_test_case good[] = {{"1", "2"}, {"-7", "-14"}, {"20", "40"}};
    static const struct weir_test_case mixed[] = {{"1", "2"}, {NULL, "no-number"}, {"3", "6"}};
    int wrong = weir_step_expect_batch(&weir_plugin, "twice", NULL, good, 3);
    wrong += weir_step_expect_batch(&weir_plugin, "twice", NULL, mixed, 3);
#ifdef MISUSED
    wrong += weir_step_expect_batch(&weir_plugin, "alone", NULL, good, 3);
    wrong += weir_step_expect_batch(&weir_plugin, "thrice", NULL, good, 3);
    wrong += weir_step_expect_batch(&weir_plugin, "twice", NULL, good, 1);
#endif
    return wrong;
}
"""


def run_batch_test(folder, *flags):
    """The test's status, which is how many things were wrong, and what it said."""
    (folder / "numbers.c").write_text(BATCH)
    (folder / "numbers_test.c").write_text(BATCH_TEST)
    configured = subprocess.run(["pkg-config", "--cflags", "--libs", "weir-step"], capture_output=True, text=True, check=True)
    build = [*CC.split(), *FLAGS.split("=", 1)[1].split(), *flags, "-o", "numbers_test", "numbers_test.c", "numbers.c"]
    subprocess.run([*build, *configured.stdout.split()], cwd=folder, check=True, timeout=120)
    r = subprocess.run(["./numbers_test"], cwd=folder, capture_output=True, text=True, timeout=60)
    return r.returncode, r.stderr


def test_a_batch_is_tested_together_and_alone(tmp_path):
    assert run_batch_test(tmp_path) == (0, "")


def test_a_batch_that_answers_otherwise_is_told(tmp_path):
    wrong, said = run_batch_test(tmp_path, "-DFACTOR=3")
    assert wrong == 3 and "twice of -7, in a batch\n    should be -14\n    but is    -21\n" in said
    assert ", alone" not in said


def test_a_batch_that_is_only_done_in_pieces_is_told(tmp_path):
    """By its answers nobody would notice: `run` gives them."""
    wrong, said = run_batch_test(tmp_path, "-DFACTOR=0")
    assert wrong == 1 and "twice in a batch of 3, each of which can be done\n    should be one call of run_batch\n" in said
    assert "but is    2, of which the first that failed returned -3\n" in said


def test_what_is_no_batch_is_told(tmp_path):
    wrong, said = run_batch_test(tmp_path, "-DMISUSED")
    assert wrong == 3 and said.splitlines() == [
        "alone has no run_batch", "thrice: unknown-step: the plugin has no step 'thrice'", "twice: 1 are no batch: it has 2 to 64"]


# ---- Where it runs ----

DEEP = r"""
#include <weir/step.h>

/* Far more than a coroutine's stack has. */
static int deep(struct weir_task *t)
{
    volatile char stack[4 * 1024 * 1024];
    long sum = 0;
    for (size_t i = 0; i < sizeof stack; i += 1024)
        stack[i] = 1;
    for (size_t i = 0; i < sizeof stack; i += 1024)
        sum += stack[i];
    weir_out_integer(t, sum);
    return 0;
}

static const struct weir_step steps[] = {{.name = "deep", .run = deep}};
WEIR_PLUGIN("depths", steps);
"""

DEEP_CONFIG = """
listen: 127.0.0.1:0
admin: off
pools:
  here: {kind: inline}
  threads: {kind: threads, size: 1}
  processes: {kind: processes, size: 1}
steps:
  in-here: {plugin: %(so)s, step: deep, pool: here}
  in-threads: {plugin: %(so)s, step: deep, pool: threads}
  in-processes: {plugin: %(so)s, step: deep, pool: processes}
routes:
  - {route: POST /here, nodes: {out: {step: in-here}}, reply: $node.out}
  - {route: POST /forced, dispatch: inline, nodes: {out: {step: in-threads}}, reply: $node.out}
  - {route: POST /threads, dispatch: fanout, nodes: {out: {step: in-threads}}, reply: $node.out}
  - {route: POST /processes, nodes: {out: {step: in-processes}}, reply: $node.out}
"""


def test_it_has_a_threads_stack_wherever_it_runs(start, tmp_path):
    (tmp_path / "deep.c").write_text(DEEP)
    configured = subprocess.run(["pkg-config", "--cflags", "weir-step"], capture_output=True, text=True, check=True)
    build = [*CC.split(), *FLAGS.split("=", 1)[1].split(), "-shared", "-fPIC", "-o", "deep.so", "deep.c", *configured.stdout.split()]
    subprocess.run(build, cwd=tmp_path, check=True, timeout=120)
    weir = start(config=DEEP_CONFIG % {"so": tmp_path / "deep.so"})
    for where in ("here", "forced", "threads", "processes"):
        for _ in range(3):
            assert post(weir, "/" + where, None) == (200, 4096), where


# ---- The program ----


def test_weir_shows_plugins_what_the_header_says_and_nothing_else():
    """Also after link-time optimization, which would rather leave out what nobody here calls."""
    header = os.path.join(os.environ["WEIR_TREE"], "include/weir/step.h")
    with open(header, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    promised = set(re.findall(r"WEIR_EXPORT[^;]*?\b(weir_\w+)\(", text.split("enum weir_type", 1)[1]))
    assert len(promised) > 30
    listed = subprocess.run(["nm", "-D", "--defined-only", WEIR], capture_output=True, text=True, check=True).stdout
    shown = {line.split()[2].split("@")[0] for line in listed.splitlines()}
    assert promised <= shown, promised - shown
    if not os.environ.get("STEP_CFLAGS"):  # a sanitizer shows what is its own
        assert {name for name in shown if not name.startswith("weir_")} <= {"stdin", "stdout", "stderr", "environ", "__environ"}

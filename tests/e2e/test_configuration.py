"""Configurations as files on a disk: what the real source of them refuses and completes."""
import os

import pytest

from weir_process import run


@pytest.mark.parametrize("text", ["include: pipe\n", "server: ${file:pipe}\n"])
def test_a_pipe_is_refused_at_once(tmp_path, text):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "weir.yaml").write_text(text)
    r = run("check", cwd=tmp_path, timeout=20)
    assert r.returncode == 1
    assert r.stderr.startswith("weir.yaml:1:") and "it is no regular file" in r.stderr


@pytest.mark.parametrize("verb", ["check", "serve"])
def test_without_a_configuration_init_is_named(tmp_path, verb):
    r = run(verb, cwd=tmp_path, timeout=20)
    assert r.returncode == 1
    assert "weir.yaml: cannot be read: there is no such file; 'weir init' makes one" in r.stderr


def test_the_admins_address_is_told_of_where_it_stands(tmp_path):
    (tmp_path / "weir.yaml").write_text("listen: 8080\n\nadmin: '[::1%nowhere]:80'\n")
    r = run("check", cwd=tmp_path, timeout=20)
    assert r.returncode == 1
    assert r.stderr.startswith("weir.yaml:3:8: admin: ")


def test_a_plugin_stands_beside_the_file_that_names_it(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "weir.yaml").write_text("include: more/steps.yaml\n")
    (tmp_path / "more/steps.yaml").write_text("steps: {a: {plugin: ./a.so}, b: {plugin: ../b.so}}\n")
    r = run("check", "--print", cwd=tmp_path, timeout=20)
    said = r.stdout + r.stderr  # what is printed, or that there are no such files
    assert f"{tmp_path}/more/a.so" in said and f"{tmp_path}/b.so" in said

"""The command line as people meet it: --help, the manual page and the shells' completion agree, and completion completes."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from weir_process import WEIR, run

TREE = pathlib.Path(os.environ.get("WEIR_TREE", "."))
MAN = (TREE / "doc" / "weir.1").read_text()


def verbs():
    return re.findall(r"^ {4}(\w[\w-]*) {2,}\S", run("help").stdout, re.M)


def options_in_help(verb):
    """{--long: -s or None}"""
    found = re.findall(r"^ {4}(?:(-\w), | {4})(--[\w-]+)", run("help", verb).stdout, re.M)
    return {long: short or None for short, long in found}


def options_in_man(verb):
    part = re.search(r"^\.It Cm %s\n(.*?)(?=^\.It Cm |^\.Sh )" % verb, MAN, re.M | re.S).group(1)
    found = {}
    for line in re.findall(r"^\.It Fl (.*)", part, re.M):
        short = re.match(r"(\w)(?= )", line)
        found["-" + re.search(r"-[\w-]+", line).group(0)] = short and "-" + short.group(1)
    return found


def complete(line, folder="/"):
    """What bash offers for a line whose last word is to be completed."""
    words = re.findall(r"=|[^\s=]+", line) + ([""] if line.endswith((" ", "=")) else [])
    script = 'eval "$("$1" completion bash)"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); ' \
             'declaration=$(complete -p weir); "$(sed "s/.*-F \\([^ ]*\\) weir/\\1/" <<<"$declaration")"; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "--norc", "-u", "-c", script, "bash", WEIR, *words], capture_output=True, text=True,
                          cwd=folder, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return sorted(done.stdout.split())


def test_every_verb_has_a_full_help():
    assert {"serve", "check", "init", "completion", "version", "help"} == set(verbs())
    for verb in verbs():
        asked = run("help", verb)
        assert asked.stdout.startswith("usage: weir " + verb), asked.stdout
        assert run(verb, "--help").stdout == run(verb, "-h").stdout == asked.stdout
        assert max(map(len, asked.stdout.splitlines())) <= 95
        assert "--help" in options_in_help(verb)
        for option in re.findall(r"--[\w-]+", asked.stdout.split("\n\n")[0]):
            assert option in options_in_help(verb), (verb, option)


def test_the_manual_page_and_the_help_have_the_same_verbs_and_options():
    described = MAN.split(".Sh DESCRIPTION")[1].split(".Sh ")[0]
    assert set(re.findall(r"^\.It Cm (\S+)$", described, re.M)) == set(verbs())
    for verb in verbs():
        of_all = {"--help": "-h"}
        assert options_in_help(verb) == {**options_in_man(verb), **of_all}, verb
    assert ".Fl h , -help" in described


def test_completion_and_the_help_have_the_same_verbs_and_options():
    assert complete("weir ") == sorted(verbs() + ["--help", "--version"])
    zsh, fish = run("completion", "zsh").stdout, run("completion", "fish").stdout
    for verb in verbs():
        options = options_in_help(verb)
        assert complete("weir %s -" % verb) == sorted(options), verb
        part = re.search(r"^    %s\)\n(.*?);;" % verb, zsh, re.M | re.S).group(1)
        assert set(re.findall(r"[',{](--[\w-]+)=?[\[}]", part)) == set(options), verb
        lines = re.findall(r"^complete -c weir -n '__fish_seen_subcommand_from %s' (.*)" % verb, fish, re.M)
        assert {"--" + name for line in lines for name in re.findall(r"-l ([\w-]+)", line)} == set(options), verb
        assert {"-" + name for line in lines for name in re.findall(r"-s (\w)", line)} == set(filter(None, options.values()))
        assert "-a %s -d '" % verb in fish and "'%s:" % verb in zsh


def test_bash_completes_values(tmp_path):
    for name in ["one.yaml", "two"]:
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert complete("weir se") == ["serve"]
    assert complete("weir serve --log-level ") == ["debug", "error", "info", "warn"]
    assert complete("weir serve --log-level=") == ["debug", "error", "info", "warn"]
    assert complete("weir serve --log-level=in") == ["info"]
    assert complete("weir serve --log-format j") == ["json"]
    assert complete("weir serve --listen ") == []
    assert complete("weir serve ", tmp_path) == ["folder", "one.yaml", "two"]
    assert complete("weir serve --listen 80 o", tmp_path) == ["one.yaml"]
    assert complete("weir check -c t", tmp_path) == ["two"]
    assert complete("weir init ", tmp_path) == ["folder", "step"]
    assert complete("weir completion ") == ["bash", "fish", "zsh"]
    assert complete("weir help comp") == ["completion"]
    assert complete("weir nothing ") == complete("weir version ") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_of_its_shell(shell, tmp_path):
    script = run("completion", shell)
    assert (script.returncode, script.stderr) == (0, "")
    assert "server)" not in script.stdout and "--server" not in script.stdout and "worker-process" not in script.stdout
    (tmp_path / "script").write_text(script.stdout)
    # A quote too much would hide all that comes after it.
    assert all(line.count("'") % 2 == 0 for line in script.stdout.splitlines() if not line.startswith("#"))
    if shutil.which(shell):
        done = subprocess.run([shell, "-n", str(tmp_path / "script")], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")


def test_no_or_another_shell_is_refused():
    assert run("completion").returncode == 2 and "needs a shell: bash, zsh or fish" in run("completion").stderr
    assert run("completion", "csh").returncode == 2 and "no completion for 'csh'" in run("completion", "csh").stderr

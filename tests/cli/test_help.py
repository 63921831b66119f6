"""Help, completion and the manual, which are made of one table of commands and options."""

import re
import shutil
import subprocess

import pytest

from conftest import PROGRAM, rhosweep, succeed

COMMANDS = ("sweep", "table", "merge", "plot", "report", "inspect", "devices", "completion")
BASH = shutil.which("bash")


def options_of(command):
    """The long options of a command's help."""
    return re.findall(r"^ +(?:-\w, )?--([\w-]+)", succeed(command, "--help"), re.MULTILINE)


# ---- help ----------------------------------------------------------------------------------------


def test_no_command_shows_the_help_in_short():
    done = rhosweep()
    assert done.returncode == 2
    assert done.stderr == "rhosweep: command: none given; see rhosweep --help\n"
    assert done.stdout.startswith("Usage: rhosweep")
    assert re.findall(r"^  (\w+)", done.stdout, re.MULTILINE)[: len(COMMANDS)] == list(COMMANDS)
    assert done.stdout.count("\n  rhosweep ") == 2  # examples
    assert len(done.stdout.splitlines()) <= 24


def test_the_error_comes_after_the_help():
    done = subprocess.run([PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    assert done.stdout.splitlines()[-1].startswith("rhosweep: command: ")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(command):
    text = succeed(command, "--help")
    examples = text[text.index("For example:\n"):].splitlines()[1:]
    assert examples and all(line.startswith("  ") for line in examples)
    assert any(f"rhosweep {command}" in line for line in examples)


def test_words_and_defaults_are_part_of_the_help():
    text = " ".join(succeed("sweep", "--help").split())
    for sentence in ("tanh, relu, linear, lstm, gru; default tanh, or the model's",
                     "symmetric, ring, normal, sparse:P; ring is", "default min(20, T/4)",
                     "f32, f64; default f32", "default 0.5:1.5:0.1"):
        assert sentence in text
    assert "%s" not in text
    assert "text, md, csv, latex, json; default text on" in " ".join(
        succeed("table", "--help").split())


# ---- completion ----------------------------------------------------------------------------------

# What bash makes of a line: it parts words at = and :.
COMPLETE = r"""
source <(%s completion bash)
compopt() { :; }
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_rhosweep rhosweep
printf '%%s\n' "${COMPREPLY[@]}"
"""


def complete(*words, cwd=None):
    script = COMPLETE % PROGRAM
    done = subprocess.run([BASH, "-c", script, "bash", "rhosweep", *words], capture_output=True,
                          text=True, check=True, cwd=cwd)
    assert done.stderr == ""
    return done.stdout.split()


LINES = {
    "command": (["ta"], ["table"]),
    "command of help": (["help", "ins"], ["inspect"]),
    "help on a table": (["help", "table", "de"], ["decay"]),
    "option": (["sweep", "--gate-"], ["--gate-bias", "--gate-scale"]),
    "other name": (["sweep", "--non"], ["--nonlinearity"]),
    "common option": (["devices", "--v"], ["--version"]),
    "option of none": (["--he"], ["--help"]),
    "word": (["table", "decay", "x.db", "--format", ""], ["text", "md", "csv", "latex", "json"]),
    "word behind =": (["sweep", "--engine", "=", "cu"], ["cuda"]),
    "nothing behind =": (["plot", "x.db", "--x", "="], ["rho", "g"]),
    "list": (["sweep", "--cell", "tanh,l"], ["tanh,linear", "tanh,lstm"]),
    "form": (["sweep", "--ensemble", "ring,sp"], ["ring,sparse:"]),
    "behind a form": (["sweep", "--input", "noise", ":", "0.1,z"], ["0.1,zero"]),
    "number of a form": (["sweep", "--h0", "normal", ":", ""], []),
    "number": (["sweep", "--batch", ""], []),
    "argument": (["table", "cr"], ["critical"]),
    "argument behind an option": (["table", "--format", "csv", "thr"], ["throughput"]),
    "shell": (["completion", ""], ["bash", "zsh"]),
    "no such command": (["sweeep", ""], []),
}


@pytest.mark.skipif(not BASH, reason="no bash")
@pytest.mark.parametrize(("words", "offered"), LINES.values(), ids=LINES.keys())
def test_bash_completes(words, offered):
    assert complete(*words) == offered


@pytest.mark.skipif(not BASH, reason="no bash")
@pytest.mark.parametrize("words", [["sweep", ""], ["sweep", "-o", ""], ["sweep", "--raw", ""],
                                   ["table", "decay", ""], ["plot", ""], ["report", "--bench", ""],
                                   ["inspect", ""], ["merge", ""],
                                   ["merge", "a.db", "b.db", "c.db", ""]])
def test_bash_completes_files(words, tmp_path):
    (tmp_path / "results.db").touch()
    assert complete(*words, cwd=tmp_path) == ["results.db"]


@pytest.mark.skipif(not BASH, reason="no bash")
@pytest.mark.parametrize("command", COMMANDS)
def test_completion_has_the_options_of_the_help(command):
    assert sorted(complete(command, "--")) == sorted(
        f"--{name}" for name in {*options_of(command), *aliases(command)})


def aliases(command):
    return re.findall(r", --([\w-]+)=", succeed(command, "--help"))


def test_the_scripts_are_good_ones():
    for shell in "bash", "zsh":
        script = succeed("completion", shell)
        if shutil.which(shell):
            subprocess.run([shell, "-n"], input=script, text=True, check=True)
    for command in COMMANDS:
        assert f"\n    {command})\n        _arguments" in script
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", "-s", "bash", "-"], capture_output=True, check=False,
                              input=succeed("completion", "bash"), text=True)
        assert done.returncode == 0, done.stdout


def test_another_shell():
    done = rhosweep("completion", "bsh")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean bash?" in done.stderr


# ---- the manual ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    writer = PROGRAM.parent / "host" / "rhosweep_manual"
    if not writer.exists():
        pytest.skip(f"the program is not in a build folder: no {writer}")
    folder = tmp_path_factory.mktemp("manual")
    subprocess.run([writer, folder], check=True)
    return folder


def test_the_manual_has_every_option(manual):
    page = (manual / "rhosweep.1").read_text().replace(r"\-", "-")
    for command in COMMANDS:
        section = page.split(f"\n.SS rhosweep {command}")[1].split("\n.S")[0]
        for name in {*options_of(command), *aliases(command)} - {"help", "usage", "version"}:
            assert f"\\fB--{name}\\fR" in section
    assert "\\fB--help\\fR" in page


def test_the_manual_is_well_formed(manual):
    checks = (["mandoc", "-Tlint", "-W", "warning"], ["groff", "-man", "-ww", "-Tutf8", "-z"])
    for check in checks:
        if not shutil.which(check[0]):
            continue
        done = subprocess.run([*check, manual / "rhosweep.1"], capture_output=True, text=True,
                              check=False)
        lines = (done.stdout + done.stderr).splitlines()
        # Without a date, for that of a build would make it another file each day.
        assert [line for line in lines if "missing date" not in line] == []

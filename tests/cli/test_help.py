"""Help, completion and the manual, which are made of one table of commands and options."""

import os
import pty
import re
import select
import shutil
import subprocess

import pytest

from conftest import PROGRAM, rhosweep, succeed

COMMANDS = ("sweep", "table", "merge", "plot", "report", "inspect", "devices", "completion")
BASH = shutil.which("bash")
ZSH = shutil.which("zsh")


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


# What can only be a file.
FILES = [["sweep", "-o", ""], ["table", "decay", ""], ["plot", ""], ["report", "--bench", ""],
         ["inspect", ""], ["merge", ""], ["merge", "a.db", "b.db", "c.db", ""]]


@pytest.mark.skipif(not BASH, reason="no bash")
@pytest.mark.parametrize("words", [["sweep", ""], ["sweep", "--raw", ""], *FILES])
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


# An interactive zsh that writes what is offered to a file: Tab completes, Ctrl-X ends it.
ZSHRC = r"""
PS1=READY
autoload -Uz compinit && compinit -D -u
source "$RHOSWEEP_SCRIPT"
compadd() {
    local -a offered
    if (( ! ${argv[(I)-[ADO]]} )); then
        builtin compadd -A offered "$@"
        print -rC1 -- $offered >>"$OFFERED"
    fi
    builtin compadd "$@"
}
finish() { exit }
zle -N finish
bindkey '^X' finish
bindkey '^I' list-choices
"""


def read_until(terminal, end):
    """What an interactive program writes, up to `end`, or all of it."""
    text = b""
    while not end or end not in text:
        assert select.select([terminal], [], [], 20)[0], f"zsh says no more after {text!r}"
        try:
            part = os.read(terminal, 4096)
        except OSError:  # the program has ended
            part = b""
        if not part:
            break
        text += part
    return text.decode()


def complete_in_zsh(folder, *words):
    settings = folder.parent / f"{folder.name}-zsh"
    settings.mkdir()
    (settings / ".zshrc").write_text(ZSHRC)
    script, offered = settings / "_rhosweep", settings / "offered"
    script.write_text(succeed("completion", "zsh"))
    offered.touch()
    variables = os.environ | {"ZDOTDIR": str(settings), "RHOSWEEP_SCRIPT": str(script),
                              "OFFERED": str(offered), "TERM": "vt100"}
    ours, its = pty.openpty()
    with subprocess.Popen([ZSH, "-d", "-i"], stdin=its, stdout=its, stderr=its, cwd=folder,
                          env=variables, start_new_session=True) as zsh:
        os.close(its)
        try:
            assert "READY" in read_until(ours, b"READY")
            os.write(ours, " ".join(("rhosweep", *words)).encode() + b"\t\x18")
            text = read_until(ours, None)
        finally:
            zsh.kill()
            os.close(ours)
    assert "error" not in text and "not found" not in text, text
    return offered.read_text().split()


ZSH_LINES = {
    "command": (["ta"], {"table"}),
    "option": (["sweep", "--gate-"], {"--gate-bias", "--gate-scale"}),
    "option of one letter": (["plot", "x.db", "--x"], {"--x"}),
    "its word": (["plot", "x.db", "--x="], {"rho", "g"}),
    "word": (["table", "decay", "x.db", "--format", ""], {"text", "md", "csv", "latex", "json"}),
    "word behind =": (["sweep", "--engine=cu"], {"cuda"}),
    "list": (["sweep", "--cell", "tanh,l"], {"linear", "lstm"}),
    "form": (["sweep", "--ensemble", "ring,sp"], {"sparse:"}),
    "argument": (["table", "cr"], {"critical"}),
    "shell": (["completion", ""], {"bash", "zsh"}),
}


@pytest.mark.skipif(not ZSH, reason="no zsh")
@pytest.mark.parametrize(("words", "offered"), ZSH_LINES.values(), ids=ZSH_LINES.keys())
def test_zsh_completes(words, offered, tmp_path):
    assert {word.rstrip("=") for word in complete_in_zsh(tmp_path, *words)} == offered


@pytest.mark.skipif(not ZSH, reason="no zsh")
@pytest.mark.parametrize("words", FILES)
def test_zsh_completes_files(words, tmp_path):
    (tmp_path / "results.db").touch()
    assert "results.db" in complete_in_zsh(tmp_path, *words)


@pytest.mark.skipif(not ZSH, reason="no zsh")
@pytest.mark.parametrize("command", COMMANDS)
def test_zsh_has_the_options_of_the_help(command, tmp_path):
    offered = {word.rstrip("=") for word in complete_in_zsh(tmp_path, command, "--")}
    assert offered == {f"--{name}" for name in {*options_of(command), *aliases(command)}}


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_scripts_are_whole(shell):
    script = succeed("completion", shell)
    if not shutil.which(shell):
        pytest.skip(f"no {shell}")
    subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_zsh_has_all_commands():
    script = succeed("completion", "zsh")
    for command in COMMANDS:
        assert f"\n    {command})\n        _arguments" in script


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck")
def test_the_script_of_bash_has_no_traps():
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


@pytest.mark.parametrize("check", [["mandoc", "-Tlint", "-W", "warning"],
                                   ["groff", "-man", "-ww", "-Tutf8", "-z"]], ids=lambda check: check[0])
def test_the_manual_is_well_formed(check, manual):
    if not shutil.which(check[0]):
        pytest.skip(f"no {check[0]}")
    done = subprocess.run([*check, manual / "rhosweep.1"], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    # Without a date, for that of a build would make it another file each day.
    assert [line for line in lines if "missing date" not in line] == []

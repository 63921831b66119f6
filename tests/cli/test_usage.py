"""Slips of the pen, names that mean something to a shell, and files that are not where they should be."""

import csv
import io
import os
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

from conftest import SMALL, assert_one_line, rhosweep, small_with, succeed, sweep, table_text
from test_failures import open_folder, run_as_nobody  # noqa: F401 (a fixture)

NEAR = {
    "option": (["sweep", "--rhoo", "1"], "--rho?"),
    "option of another command": (["table", "decay", "x.db", "--fromat", "csv"], "--format?"),
    "option with a value": (["sweep", "--setps=5"], "--steps?"),
    "command": (["sweeep"], "sweep?"),
    "swapped letters": (["tabel", "decay", "x.db"], "table?"),
    "value": (["sweep", "--cell", "tahn"], "tanh?"),
    "cell with gates": (["sweep", "--cell", "tanh,ltsm"], "lstm?"),
    "ensemble": (["sweep", "--ensemble", "sparse"], "sparse:P?"),
    "key of gates": (["sweep", "--gatebias", "1"], "--gate-bias?"),
    "format": (["table", "decay", "x.db", "--format", "jsn"], "json?"),
    "help on": (["help", "inspct"], "inspect?"),
}


@pytest.mark.parametrize(("words", "meant"), NEAR.values(), ids=NEAR.keys())
def test_the_nearest_name_is_offered(words, meant, tmp_path):
    assert f"did you mean {meant}" in assert_one_line(rhosweep(*words, cwd=tmp_path), 2)


def test_the_nearest_table_and_key_are_offered(tmp_path, database):
    sweep(database, *SMALL)
    line = assert_one_line(rhosweep("table", "proflie", database), 2)
    assert "did you mean profile?" in line
    (tmp_path / "spec.ini").write_text("[sweep]\nhiden = 4\n")
    line = assert_one_line(rhosweep("sweep", tmp_path / "spec.ini", "-o", database), 2)
    assert "did you mean hidden?" in line


@pytest.mark.parametrize("word", ["--florble", "-z"])
def test_nothing_is_offered_for_what_is_far_from_all(word):
    assert "did you mean" not in assert_one_line(rhosweep("sweep", word), 2)


@pytest.mark.parametrize("command", [[], ["sweep"], ["table"], ["report"], ["inspect"], ["devices"]])
def test_help_is_a_command_too(command):
    assert succeed("help", *command) == succeed(*command, "--help")


def test_help_on_too_much():
    assert_one_line(rhosweep("help", "sweep", "table"), 2)


FORGOTTEN = {
    "long option": ["sweep", "-o", "--quiet"],
    "short option": ["sweep", "--rho", "-o", "x.db"],
    "table": ["table", "decay", "x.db", "--format", "--help"],
    "report": ["report", "x.db", "-o", "--format"],
}


@pytest.mark.parametrize("words", FORGOTTEN.values(), ids=FORGOTTEN.keys())
def test_an_option_is_no_value(words, tmp_path):
    assert "looks like an option" in assert_one_line(rhosweep(*words, cwd=tmp_path), 2)
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_looks_like_an_option_may_be_meant(tmp_path):
    succeed("sweep", "--quiet", "--output=--quiet", *SMALL, cwd=tmp_path)
    assert (tmp_path / "--quiet").exists()
    assert "not above 0" in assert_one_line(rhosweep("sweep", "--rho", "-1"), 2)


def test_biases_below_0_are_values(tmp_path):
    for words in (["--gate-bias", "-1,0"], ["--gate-bias=-1,0"]):
        sweep(tmp_path / "x.db", *small_with("--cell", "gru", *words))
    text = table_text("runs", tmp_path / "x.db")
    assert text.count("gate-bias = -1,0") == 2


def test_the_spec_that_is_kept_has_the_keys_of_all_cells(tmp_path, database):
    sweep(database, *small_with("--cell", "lstm,tanh", "--gate-bias", "chrono:9,1", "--leak", "1,0.5",
                                "--gate-scale", "native", "--ensemble", "sparse:0.5,ring"))
    spec = tmp_path / "again.ini"
    runs = list(csv.DictReader(io.StringIO(table_text("runs", database))))
    spec.write_text(runs[0]["spec"])
    sweep(database, spec)
    runs = list(csv.DictReader(io.StringIO(table_text("runs", database))))
    assert [run["points"] for run in runs] == [str(2 * 4 * 3 * 3), "0"]
    assert runs[0]["spec"] == runs[1]["spec"]


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_inspect_shows_every_gate(kind, tmp_path):
    path = Path(__file__).resolve().parents[1] / "corpus" / "models" / f"good_lstm.{kind}"
    text = succeed("inspect", path)
    for gate in ("i, input", "f, forget", "g, candidate", "o, output"):
        assert f"weight_hh_l0, gate {gate}\n" in text
    assert text.count("spectral radius rho") == text.count("largest singular value") == 4
    assert "A recurrent layer, an LSTM of 4 units and 2 inputs, with 6 steps of input, with h0 and c0." in text
    assert "--rho 0.5:1.5:0.1" in text
    text = succeed("inspect", path.with_name(f"good_gru.{kind}"))
    assert "weight_hh_l0, gate z, update\n" in text and text.count("spectral radius rho") == 3
    assert "a GRU of 4 units" in text


def test_inspect_measures_the_block_of_its_gate(tmp_path):
    blocks = [rho * np.eye(3) for rho in (0.25, 2, 0, 4)]
    np.savez(tmp_path / "lstm.npz", weight_hh=np.concatenate(blocks))
    text = succeed("inspect", tmp_path / "lstm.npz")
    assert re.findall(r"spectral radius rho +(\S+)", text) == ["0.25", "2", "0", "4"]
    assert "0.5:1.5:0.1" not in text  # the candidate's radius is 0
    assert text.count("All eigenvalues are 0") == 1
    blocks[0] = np.zeros((3, 3))
    np.savez(tmp_path / "gru.npz", weight_hh=np.concatenate([blocks[k] for k in (0, 1, 3)]))
    text = succeed("inspect", tmp_path / "gru.npz")
    assert "0.5:1.5:0.1" in text and "All eigenvalues are 0" not in text


@pytest.mark.parametrize("option", ["-o", "--figure"])
def test_empty_options_of_report(option, database):
    sweep(database, *SMALL)
    words = ["-o", database.parent / "report"] if option != "-o" else []
    line = assert_one_line(rhosweep("report", database, *words, option, ""), 2)
    assert "is empty" in line
    assert list(database.parent.iterdir()) == [database]


def test_less_than_a_byte_is_no_memory(tmp_path):
    done = rhosweep("sweep", "--memory", "0.0000001K", "-o", tmp_path / "x.db", *SMALL)
    assert "less than a byte" in assert_one_line(done, 2)


def test_bytes_have_a_unit(tmp_path):
    done = rhosweep("sweep", "--memory", "2M", "--hidden", 2000, "-o", tmp_path / "x.db")
    assert "(2.0 MiB)" in assert_one_line(done, 2)


@pytest.mark.parametrize("length", [248, 253, 255, 256])
def test_a_name_too_long_for_the_files_beside_it(length, tmp_path):
    name = "d" * (length - 3) + ".db"
    assert_one_line(rhosweep("sweep", "--quiet", "-o", name, *SMALL, cwd=tmp_path), 2)
    assert list(tmp_path.iterdir()) == []


def test_the_longest_name(tmp_path):
    sweep("d" * 244 + ".db", *SMALL, cwd=tmp_path)


def test_a_sweep_follows_a_symbolic_link(tmp_path):
    (tmp_path / "disk").mkdir()
    real, link = tmp_path / "disk" / "real.db", tmp_path / "link.db"
    sweep(real, *SMALL)
    link.symlink_to(real)
    assert "3 were already in the database" in succeed("sweep", "-o", link, *SMALL)
    assert table_text("decay", link) == table_text("decay", real)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link.db"]
    assert list(real.parent.iterdir()) == [real]
    real.unlink()
    assert "link" in assert_one_line(rhosweep("sweep", "-o", link, *SMALL), 2)


# Every way to name a file, with "{}" for its place.
NAMING = {
    "output": ["sweep", "-o", "{}/x.db", *SMALL],
    "spec": ["sweep", "{}/x.ini", "-o", "y.db"],
    "model": ["sweep", "--model", "{}/x.npz", "--rho", "1", "-o", "y.db"],
    "table": ["table", "decay", "{}/x.db"],
    "report": ["report", "{}/x.db", "-o", "report"],
    "inspect": ["inspect", "{}/x.npz"],
}


@pytest.mark.parametrize("words", NAMING.values(), ids=NAMING.keys())
def test_a_folder_that_is_not_there_is_bad_input(words, tmp_path):
    assert_one_line(rhosweep(*(str(word).format("none") for word in words), cwd=tmp_path), 2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", NAMING.values(), ids=NAMING.keys())
def test_a_folder_that_may_not_be_entered_is_a_failure(words, open_folder):  # noqa: F811
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    open_folder.chmod(0o777)
    try:
        if os.geteuid() != 0:
            closed.chmod(0)
        done = run_as_nobody(open_folder, *(str(word).format("closed") for word in words))
        assert "Permission denied" in assert_one_line(done, 1)
    finally:
        closed.chmod(0o700)
    assert sorted(path.name for path in open_folder.iterdir()) == ["closed", "rhosweep"]


# ---- inspect -------------------------------------------------------------------------------------

HOSTILE = ["$(touch hacked).npz", "`touch hacked`.npz", "a;touch hacked;.npz", "it's.npz",
           "two words.npz", "-x.npz", "line\nbreak.npz", "esc\x1b[31m.npz", "c1\x9b.npz", "~.npz"]


@pytest.mark.parametrize("name", HOSTILE)
def test_what_inspect_prints_can_be_given_to_a_shell(name, tmp_path):
    weight = np.random.default_rng(1).standard_normal((6, 6))
    with open(tmp_path / name, "wb") as out:
        np.savez(out, weight_hh_l0=weight)
    text = succeed("inspect", f"./{name}" if name.startswith("-") else name, cwd=tmp_path)
    assert all(c == "\n" or not c < " " and not "\x7f" <= c < "\xa0" for c in text)
    lines = [line for line in text.splitlines() if line.startswith("  rhosweep sweep")]
    assert len(lines) == 2
    shown = subprocess.run(["bash", "-c", lines[0].replace("rhosweep", "printf '%s\\0'", 1)],
                           capture_output=True, text=True, check=True, cwd=tmp_path)
    path = shown.stdout.split("\0")[2]
    assert (tmp_path / path).samefile(tmp_path / name)
    assert not (tmp_path / "hacked").exists()


def test_inspect_suggests_what_a_sweep_can_do(tmp_path):
    path = tmp_path / "model.npz"
    for weight, ways in ((np.eye(5), 2), (np.triu(np.ones((5, 5)), 1), 1), (np.zeros((5, 5)), 1)):
        np.savez(path, weight_hh_l0=weight)
        lines = [line for line in succeed("inspect", path).splitlines() if "rhosweep sweep" in line]
        assert len(lines) == ways
        for line in lines:
            words = shlex.split(line, comments=True)[1:]
            succeed(*words, "--steps", 5, "--quiet", "-o", tmp_path / f"{len(words)}.db")
    np.savez(path, weight_hh_l0=np.full((5, 5), np.nan))
    assert "rhosweep sweep" not in succeed("inspect", path)


def test_inspect_of_a_large_matrix_is_bounded(tmp_path):
    path = tmp_path / "large.npz"
    np.savez(path, weight_hh_l0=np.zeros((3000, 3000), np.float32))
    done = rhosweep("inspect", path)
    assert done.returncode == 0
    assert "take too long here" in done.stdout and "spectral radius" not in done.stdout
    assert "--rho native" in done.stdout and "0.5:1.5:0.1" not in done.stdout


def test_inspect_says_what_takes_long(tmp_path):
    path = tmp_path / "some.npz"
    np.savez(path, weight_hh_l0=np.eye(1024, dtype=np.float32), other=np.zeros(3))
    done = rhosweep("inspect", path)
    assert "spectral radius rho          1\n" in done.stdout
    assert done.stderr == "rhosweep: inspect: eigenvalues and singular values of 1024 x 1024\n"


# ---- the environment -----------------------------------------------------------------------------

BAD_VARIABLES = {
    "no number": {"RHOSWEEP_HELPERS": "two"},
    "a tail": {"RHOSWEEP_HELPERS": "2x"},
    "a blank": {"RHOSWEEP_HELPERS": " 2"},
    "a sign": {"RHOSWEEP_HELPERS": "+2"},
    "too many": {"RHOSWEEP_HELPERS": "33"},
    "empty": {"RHOSWEEP_HELPERS": ""},
    "another name": {"RHOSWEEP_HELPER": "2"},
    "swapped": {"RHOSWEEP_IAS": "avx2"},
}


@pytest.mark.parametrize("variables", BAD_VARIABLES.values(), ids=BAD_VARIABLES.keys())
def test_a_variable_is_checked_like_an_option(variables, database):
    done = rhosweep("sweep", "-o", database, *SMALL, env={**os.environ, **variables})
    assert "RHOSWEEP_" in assert_one_line(done, 2)
    assert not database.exists()


def test_variables_of_others_are_left_alone(database):
    sweep(database, *SMALL, env={**os.environ, "RHOSWEEP_RESULTS_OF_MINE": "here"})


def test_a_python_that_is_not_there(database):
    sweep(database, *SMALL)
    done = rhosweep("report", database, "-o", database.parent / "report",
                    env={**os.environ, "RHOSWEEP_PYTHON": "/no/such/python"})
    assert "RHOSWEEP_PYTHON" in assert_one_line(done, 2)

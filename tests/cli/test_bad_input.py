"""Bad input: one clear line, exit 2, nothing written and nothing overwritten."""

import os
import sqlite3

import numpy as np
import pytest

from conftest import SMALL, assert_one_line, rhosweep, small_with, sweep

BAD_OPTIONS = {
    "unknown option": ["--rhoo", "1"],
    "unknown short option": ["-z"],
    "option without its value": ["--rho"],
    "unknown engine": ["--engine", "tpu"],
    "unknown cell": ["--cell", "sigmoid"],
    "one unknown of two": ["--cell", "tanh,gelu"],
    "cell under both its names": ["--cell", "tanh", "--nonlinearity", "relu"],
    "cell's other name without a value": ["--nonlinearity"],
    "unknown ensemble": ["--ensemble", "goe"],
    "unknown loss": ["--loss", "mse"],
    "unknown precision": ["--precision", "f16"],
    "unknown input": ["--input", "white"],
    "noise without sigma": ["--input", "noise"],
    "negative noise": ["--input", "noise:-1"],
    "noise not a number": ["--input", "noise:nan"],
    "noise with a tail": ["--input", "noise:1x"],
    "an input twice": ["--input", "noise:0.5,zero,noise:5e-1"],
    "an empty input": ["--input", "zero,,pytorch"],
    "unknown h0": ["--h0", "ones"],
    "infinite h0": ["--h0", "normal:inf"],
    "empty list": ["--rho", ""],
    "empty item": ["--rho", "1,,2"],
    "trailing comma": ["--rho", "1,2,"],
    "radius not a number": ["--rho", "one"],
    "radius with a tail": ["--rho", "1.0x"],
    "negative radius": ["--rho", "-1"],
    "zero radius": ["--rho", "0"],
    "NaN radius": ["--rho", "nan"],
    "infinite radius": ["--rho", "inf"],
    "overflowing radius": ["--rho", "1e999"],
    "native among others": ["--rho", "native,1"],
    "range with step 0": ["--rho", "1:2:0"],
    "range with a step of the wrong sign": ["--rho", "1:2:-0.1"],
    "descending range": ["--rho", "2:1:0.1"],
    "range with NaN step": ["--rho", "1:2:nan"],
    "range with an empty end": ["--rho", "1::0.1"],
    "range with four parts": ["--rho", "1:2:0.1:3"],
    "range without end": ["--rho", "1:"],
    "range of too many values": ["--rho", "1:2:1e-300"],
    "fractional range without step": ["--rho", "0.5:1.5"],
    "range through zero": ["--rho", "0:1:0.5"],
    "seeds range of wrong sign": ["--seeds", "5:1"],
    "seeds step 0": ["--seeds", "1:5:0"],
    "negative seed": ["--seeds", "-1"],
    "fractional seed": ["--seeds", "1.5"],
    "too many seeds": ["--seeds", "0:18446744073709551615"],
    "a key twice": ["--rho", "1", "--rho", "2"],
    "seed above 64 bits": ["--seeds", "18446744073709551616"],
    "hidden 0": ["--hidden", "0"],
    "hidden negative": ["--hidden", "-4"],
    "hidden fractional": ["--hidden", "2.5"],
    "hidden absurd": ["--hidden", "18446744073709551615"],
    "hidden squared overflows": ["--hidden", "4294967296"],
    "hidden above 64 bits": ["--hidden", "99999999999999999999999"],
    "steps 0": ["--steps", "0"],
    "steps absurd": ["--steps", "18446744073709551615"],
    "product of sizes overflows": ["--steps", "4000000000", "--batch", "4000000000"],
    "batch 0": ["--batch", "0"],
    "batch a list": ["--batch", "1,2"],
    "input-size 0": ["--input-size", "0"],
    "warmup negative": ["--warmup", "-1"],
    "fit-skip negative": ["--fit-skip", "-1"],
    "fit-skip beyond steps": ["--fit-skip", "40"],
    "threads negative": ["--threads", "-2"],
    "memory negative": ["--memory", "-1G"],
    "memory without number": ["--memory", "G"],
    "memory with unknown unit": ["--memory", "1Q"],
    "memory overflows": ["--memory", "99999999999G"],
    "memory below one column": ["--memory", "1"],
    "a value for a switch": ["--raw=maybe"],
    "two spec files": ["one.ini", "two.ini"],
    "missing spec file": ["no-such.ini"],
    "missing model": ["--model", "no-such.npz"],
    "clip of zero": ["--clip", "0"],
    "clip of nan": ["--clip", "nan"],
    "empty output": ["--output", ""],
}


@pytest.mark.parametrize("options", BAD_OPTIONS.values(), ids=BAD_OPTIONS.keys())
def test_bad_option(options, tmp_path):
    if "--output" not in options:
        options = ["--output", "results.db", *options]
    done = rhosweep("sweep", *small_with(*options), cwd=tmp_path)
    assert_one_line(done, 2)
    assert list(tmp_path.iterdir()) == []


BAD_SPECS = {
    "unknown key": "[sweep]\nrhoo = 1\n",
    "key of another case": "[sweep]\nRHO = 1\n",
    "no section": "rho = 1\n",
    "unknown section": "[sweeep]\nrho = 1\n",
    "second section": "[sweep]\nrho = 1\n[plot]\ncolor = red\n",
    "key twice": "[sweep]\nrho = 1\nrho = 2\n",
    "line without =": "[sweep]\nrho\n",
    "unclosed section": "[sweep\nrho = 1\n",
    "empty value": "[sweep]\nrho =\n",
    "negative radius": "[sweep]\nrho = -1\n",
    "malformed range": "[sweep]\nrho = 1:2:\n",
    "switch neither yes nor no": "[sweep]\nraw = perhaps\n",
    "short name": "[sweep]\no = results.db\n",
    "NUL byte": "[sweep]\nrho = 1\0 5\n",
    "line beyond all measure": "[sweep]\nrho = " + "1," * 200_000 + "1\nhidden = 0\n",
}


@pytest.mark.parametrize("text", BAD_SPECS.values(), ids=BAD_SPECS.keys())
def test_bad_spec_file(text, tmp_path):
    spec = tmp_path / "bad.ini"
    spec.write_text(text)
    done = rhosweep("sweep", "bad.ini", "--output", "results.db", cwd=tmp_path)
    assert "bad.ini" in assert_one_line(done, 2)
    assert list(tmp_path.iterdir()) == [spec]


def test_spec_file_is_a_folder(tmp_path):
    assert_one_line(rhosweep("sweep", tmp_path, "-o", tmp_path / "results.db"), 2)
    assert list(tmp_path.iterdir()) == []


def good_model():
    rng = np.random.default_rng(3)
    return {
        "weight_hh_l0": rng.standard_normal((5, 5)),
        "weight_ih_l0": rng.standard_normal((5, 2)),
        "bias_ih_l0": rng.standard_normal(5),
        "bias_hh_l0": rng.standard_normal(5),
        "input": rng.standard_normal((30, 4, 2)),
    }


def with_entry(name, value):
    def change(model):
        model[name] = value

    return change


BAD_MODELS = {
    "no weight_hh": lambda model: model.pop("weight_hh_l0"),
    "not square": with_entry("weight_hh_l0", np.ones((5, 4))),
    "an LSTM": with_entry("weight_hh_l0", np.ones((20, 5))),
    "one dimension": with_entry("weight_hh_l0", np.ones(25)),
    "empty": with_entry("weight_hh_l0", np.ones((0, 0))),
    "NaN": with_entry("weight_hh_l0", np.full((5, 5), np.nan)),
    "infinite bias": with_entry("bias_ih_l0", np.full(5, np.inf)),
    "integers": with_entry("weight_hh_l0", np.ones((5, 5), dtype=np.int64)),
    "half precision": with_entry("weight_hh_l0", np.ones((5, 5), dtype=np.float16)),
    "big endian": with_entry("weight_hh_l0", np.eye(5).astype(">f8")),
    "complex": with_entry("weight_hh_l0", np.ones((5, 5), dtype=np.complex128)),
    "pickled objects": with_entry("weight_hh_l0", np.full((5, 5), None, dtype=object)),
    "two layers": with_entry("weight_hh_l1", np.ones((5, 5))),
    "two directions": with_entry("weight_hh_l0_reverse", np.ones((5, 5))),
    "weight_ih of another height": with_entry("weight_ih_l0", np.ones((6, 2))),
    "bias of another length": with_entry("bias_hh_l0", np.ones(6)),
    "input of another width": with_entry("input", np.ones((30, 4, 3))),
    "h0 of another batch": with_entry("h0", np.ones((3, 5))),
    "nilpotent": with_entry("weight_hh_l0", np.triu(np.ones((5, 5)), 1)),
    "zero": with_entry("weight_hh_l0", np.zeros((5, 5))),
}


@pytest.mark.parametrize("change", BAD_MODELS.values(), ids=BAD_MODELS.keys())
def test_bad_model(change, tmp_path):
    model = good_model()
    change(model)
    path = tmp_path / "bad.npz"
    np.savez(path, **model)
    done = rhosweep("sweep", "--model", path, "--rho", "1", "-o", tmp_path / "results.db")
    line = assert_one_line(done, 2)
    assert "bad.npz" in line or "weight_hh" in line
    assert list(tmp_path.iterdir()) == [path]


def test_the_model_these_are_made_from_is_good(tmp_path, database):
    np.savez(tmp_path / "good.npz", **good_model())
    sweep(database, "--model", tmp_path / "good.npz", "--rho", "1")


@pytest.mark.parametrize(
    "options",
    [["--hidden", "6"], ["--ensemble", "gaussian"], ["--batch", "3"], ["--steps", "31"],
     ["--input-size", "3"]],
    ids=lambda options: options[0],
)
def test_option_against_model(options, tmp_path):
    path = tmp_path / "good.npz"
    np.savez(path, **good_model())
    done = rhosweep("sweep", "--model", path, "--rho", "1", "-o", tmp_path / "results.db", *options)
    assert_one_line(done, 2)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("command", ["sweep", "inspect"])
@pytest.mark.parametrize("keep", [0, 1, 21, 100, 0.5, 0.9, -1])
def test_truncated_model(command, keep, tmp_path):
    path = tmp_path / "cut.npz"
    np.savez(path, **good_model())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    arguments = {
        "sweep": ["--model", path, "--rho", "1", "-o", tmp_path / "results.db"],
        "inspect": [path],
    }[command]
    assert "cut.npz" in assert_one_line(rhosweep(command, *arguments), 2)
    assert list(tmp_path.iterdir()) == [path]


def test_damaged_bytes_never_pass_for_others(tmp_path):
    """Any byte of weight_hh's data changed is noticed: zip keeps a checksum."""
    path = tmp_path / "model.npz"
    np.savez(path, **good_model())
    whole = bytearray(path.read_bytes())
    needle = good_model()["weight_hh_l0"].tobytes()
    whole[whole.index(needle) + 7] ^= 1
    path.write_bytes(whole)
    assert_one_line(rhosweep("inspect", path), 2)


def write_text(path):
    path.write_text("my thesis\n")


def write_other_database(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE person (name TEXT)")
    connection.close()


def write_newer_schema(path):
    sweep(path, *SMALL)
    with sqlite3.connect(path) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        assert version > 0
        connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


NOT_OURS = {"text": write_text, "other database": write_other_database,
            "newer schema": write_newer_schema}


@pytest.mark.parametrize("write", NOT_OURS.values(), ids=NOT_OURS.keys())
@pytest.mark.parametrize("command", ["sweep", "table"])
def test_file_that_is_not_ours(command, write, database):
    write(database)
    before = database.read_bytes()
    arguments = {"sweep": ["--output", database, *SMALL], "table": ["decay", database]}[command]
    assert database.name in assert_one_line(rhosweep(command, *arguments), 2)
    assert database.read_bytes() == before
    assert [p for p in database.parent.iterdir() if p != database] == []


@pytest.mark.parametrize("engine", ["auto", "cpu"])
def test_unknown_instruction_set(engine, database):
    environment = {**os.environ, "RHOSWEEP_ISA": "avx521"}
    done = rhosweep("sweep", *SMALL, "--engine", engine, "-o", database, env=environment)
    assert "RHOSWEEP_ISA: avx521: must be " in assert_one_line(done, 2)
    assert not database.exists()


def test_empty_instruction_set_is_none(database):
    sweep(database, *SMALL, env={**os.environ, "RHOSWEEP_ISA": ""})


def test_output_is_a_folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    done = rhosweep("sweep", "-o", folder, *SMALL)
    assert done.returncode in (1, 2)
    assert_one_line(done, done.returncode)
    assert list(folder.iterdir()) == []


BAD_USAGE = {
    "unknown command": ["sweeep"],
    "table without a name": ["table"],
    "table without a database": ["table", "decay"],
    "unknown table": ["table", "gradients", "{db}"],
    "unknown format": ["table", "decay", "{db}", "--format", "xml"],
    "table with too much": ["table", "decay", "{db}", "more"],
    "table of a missing file": ["table", "decay", "{db}.missing"],
    "inspect without a file": ["inspect"],
    "inspect a missing file": ["inspect", "missing.npz"],
    "inspect with too much": ["inspect", "a.npz", "b.npz"],
    "devices with an argument": ["devices", "all"],
    "unknown global option": ["--loud"],
}


@pytest.mark.parametrize("arguments", BAD_USAGE.values(), ids=BAD_USAGE.keys())
def test_bad_usage(arguments, tmp_path):
    database = sweep(tmp_path / "results.db", *SMALL)
    before = database.read_bytes()
    done = rhosweep(*(a.format(db=database) for a in arguments), cwd=tmp_path)
    assert_one_line(done, 2)
    assert database.read_bytes() == before
    assert list(tmp_path.iterdir()) == [database]


def test_no_command_at_all():
    done = rhosweep()
    assert done.returncode == 2
    assert "rhosweep" in done.stderr

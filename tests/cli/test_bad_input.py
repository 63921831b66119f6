"""Bad input: one clear line, exit 2, nothing written and nothing overwritten."""

import json
import os
import sqlite3
import struct
from pathlib import Path

import numpy as np
import pytest

from conftest import SMALL, assert_one_line, rhosweep, small_with, sweep, table

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
    "sparse without its density": ["--ensemble", "sparse"],
    "density 0": ["--ensemble", "sparse:0"],
    "density above 1": ["--ensemble", "sparse:1.5"],
    "a density twice": ["--ensemble", "sparse:0.1,sparse:1e-1"],
    "gate bias without gates": ["--gate-bias", "1"],
    "gate bias not a number": ["--cell", "lstm", "--gate-bias", "one"],
    "NaN gate bias": ["--cell", "lstm", "--gate-bias", "nan"],
    "infinite gate bias": ["--cell", "lstm", "--gate-bias", "-inf"],
    "a gate bias twice": ["--cell", "gru", "--gate-bias", "0,1,-0"],
    "chrono without a horizon": ["--cell", "gru", "--gate-bias", "chrono:"],
    "chrono of too short a horizon": ["--cell", "gru", "--gate-bias", "chrono:2"],
    "gate scale without gates": ["--gate-scale", "native"],
    "unknown gate scale": ["--cell", "lstm", "--gate-scale", "all"],
    "leak of a cell with gates": ["--cell", "lstm,gru", "--leak", "0.5"],
    "leak 0": ["--leak", "0"],
    "leak above 1": ["--leak", "0.5,1.5"],
    "NaN leak": ["--leak", "nan"],
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
    "no direction": ["--lyapunov", "0"],
    "more directions than units": ["--lyapunov", "100000"],
    "transient beyond steps": ["--lyapunov", "1", "--transient", "41"],
    "transient of nothing": ["--transient", "1"],
    "qr-every 0": ["--lyapunov", "1", "--qr-every", "0"],
    "qr-every of nothing": ["--qr-every", "2"],
    "singular-at beyond steps": ["--lyapunov", "all", "--singular-at", "1,41"],
    "singular-at 0": ["--lyapunov", "all", "--singular-at", "0"],
    "singular-at of some directions": ["--lyapunov", "1", "--singular-at", "1"],
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
    "two gates": with_entry("weight_hh_l0", np.ones((10, 5))),
    "projection": with_entry("weight_hr_l0", np.ones((5, 5))),
    "c0": with_entry("c0", np.ones((4, 5))),
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


def gated_model(gates):
    model = good_model()
    for name in ("weight_hh_l0", "weight_ih_l0", "bias_ih_l0", "bias_hh_l0"):
        model[name] = np.concatenate([(1 + k) * model[name] for k in range(gates)])
    return model


# Changes of good ones, and what the line says.
BAD_GATED = {
    "c0 of a GRU": (3, {"c0": np.ones((4, 5))}, "c0: a GRU has none"),
    "c0 of another batch": (4, {"c0": np.ones((3, 5))}, "c0: B is 3, must be 4"),
    "c0 of h0's other batch": (4, {"input": None, "h0": np.ones((2, 5)), "c0": np.ones((3, 5))},
                               "c0: B is 3, must be 2"),
    "biases of one gate": (4, {"bias_hh_l0": np.ones(5)}, "bias_hh_l0: the number of rows is 5, must be 20"),
    "weight_ih of a GRU": (4, {"weight_ih_l0": np.ones((15, 2))}, "is 15, must be 20"),
    "two layers": (4, {"weight_ih_l1": np.ones((20, 5))}, "more than one layer or direction is not supported"),
    "two directions": (3, {"bias_ih_l0_reverse": np.ones(15)}, "layer or direction is not supported"),
    "projection": (4, {"weight_hr_l0": np.ones((3, 5))}, "projections is not supported"),
    "infinite c0": (4, {"c0": np.full((4, 5), np.inf)}, "c0: value 1 of 20 is inf"),
    "nilpotent candidate": (4, {"weight_hh_l0": np.concatenate(
        [np.eye(5), np.eye(5), np.triu(np.ones((5, 5)), 1), np.eye(5)])}, "--rho native"),
}


@pytest.mark.parametrize(("gates", "changes", "part"), BAD_GATED.values(), ids=BAD_GATED.keys())
def test_bad_gated_model(gates, changes, part, tmp_path):
    path = tmp_path / "bad.npz"
    np.savez(path, **{k: v for k, v in (gated_model(gates) | changes).items() if v is not None})
    done = rhosweep("sweep", "--model", path, "--rho", "1", "-o", tmp_path / "results.db")
    assert part in assert_one_line(done, 2)
    assert list(tmp_path.iterdir()) == [path]


def test_cell_against_model(tmp_path):
    path = tmp_path / "model.npz"
    for gates, asked, line in (
            (4, "tanh", "cell: tanh asked for, but model.npz is an LSTM (weight_hh is [4 x 5][5]): leave --cell out"),
            (3, "lstm", "cell: lstm asked for, but model.npz is a GRU (weight_hh is [3 x 5][5]): leave --cell out"),
            (1, "gru", "cell: gru asked for, but model.npz is an nn.RNN (weight_hh is [5][5]): leave --cell out")):
        np.savez(path, **gated_model(gates))
        done = rhosweep("sweep", "--model", path, "--cell", asked, "-o", tmp_path / "results.db")
        assert assert_one_line(done, 2) == f"rhosweep: {line}"
    done = rhosweep("sweep", "--model", path, "--gate-bias", "1", "-o", tmp_path / "results.db")
    assert "gate-bias: only for lstm and gru cells, not tanh" in assert_one_line(done, 2)
    assert list(tmp_path.iterdir()) == [path]


def tensors(model):
    """A .safetensors file of these arrays, by its definition."""
    header, data = {}, b""
    for name, array in model.items():
        header[name] = {"dtype": "F64", "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.mark.parametrize("command", ["sweep", "inspect"])
@pytest.mark.parametrize("keep", [1, 8, 9, 40, 0.3, 0.5, 0.9, -1])
def test_truncated_tensors(command, keep, tmp_path):
    path = tmp_path / "cut.safetensors"
    whole = tensors(gated_model(4))
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    arguments = {
        "sweep": ["--model", path, "--rho", "1", "-o", tmp_path / "results.db"],
        "inspect": [path],
    }[command]
    assert "cut.safetensors" in assert_one_line(rhosweep(command, *arguments), 2)
    assert list(tmp_path.iterdir()) == [path]


CRAFTED = sorted((Path(__file__).resolve().parents[1] / "corpus" / "models").glob("*.safetensors"))
WHOLE = {"good", "good_lstm", "good_gru", "single", "spaces_after_the_json"}
READ = {"nan", "c0_of_a_gru", "no_weight_hh"}  # whole too, but nothing to sweep


def test_there_are_crafted_tensors():
    assert len(CRAFTED) > 30 and WHOLE | READ <= {path.stem for path in CRAFTED}


@pytest.mark.parametrize("path", CRAFTED, ids=[path.stem for path in CRAFTED])
def test_crafted_tensors(path, tmp_path):
    inspected = rhosweep("inspect", path)
    done = rhosweep("sweep", "--quiet", "--model", path, "--rho", "1", "-o", tmp_path / "results.db")
    if path.stem in WHOLE:
        assert (inspected.returncode, done.returncode) == (0, 0), done.stderr
        return
    if path.stem in READ:
        assert inspected.returncode == 0
    else:
        assert path.name in assert_one_line(inspected, 2)
    line = assert_one_line(done, 2)
    assert path.name in line and "\x1b" not in line
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_recurrence_runs_native(tmp_path, database):
    np.savez(tmp_path / "zero.npz", **gated_model(4) | {"weight_hh_l0": np.zeros((20, 5))})
    sweep(database, "--model", tmp_path / "zero.npz", "--rho", "native")
    assert [(row["cell"], row["rho"]) for row in table("seeds", database)] == 10 * [("lstm", "0")]
    done = rhosweep("sweep", "--model", tmp_path / "zero.npz", "--rho", "1", "-o", tmp_path / "x.db")
    assert "spectral radius is 0" in assert_one_line(done, 2)


def test_the_model_these_are_made_from_is_good(tmp_path, database):
    np.savez(tmp_path / "good.npz", **good_model())
    sweep(database, "--model", tmp_path / "good.npz", "--rho", "1")
    for gates in (3, 4):
        np.savez(tmp_path / "good.npz", **gated_model(gates))
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

"""What a result depends on is part of its case's identity: another setting is another case."""

import json
import os
import struct

import numpy as np
import pytest
from conftest import assert_one_line, rhosweep, succeed, sweep, table

SETTINGS = ["--precision", "f64", "--rho", "0.9", "--seeds", "3", "--loss", "random"]


@pytest.fixture
def model(tmp_path):
    """A file of weights with a start state of its own."""
    random = np.random.default_rng(1)
    path = tmp_path / "model.npz"
    np.savez(path, weight_hh_l0=random.normal(size=(12, 12)), h0=random.normal(size=(3, 12)))
    return path


def decay(database, **setting):
    """The rows of the decay table with this value in every column named."""
    rows = table("decay", database)
    return [row for row in rows if all(row[name] == value for name, value in setting.items())]


def numbers(rows):
    """What was measured in these rows."""
    return [(row["rho"], row["decay_rate"], row["gain"]) for row in rows]


def test_the_start_state_that_is_used_is_part_of_a_case(model, tmp_path):
    both = tmp_path / "both.db"
    choices = {"model": [], "zero": ["--h0", "zero"], "normal:2": ["--h0", "normal:2"]}
    for option in choices.values():
        sweep(both, "--model", model, "--batch", "3", *SETTINGS, *option)
    measured = {}
    for h0, option in choices.items():
        alone = sweep(tmp_path / f"{h0}.db".replace(":", ""), "--model", model, "--batch", "3",
                      *SETTINGS, *option)
        measured[h0] = numbers(decay(both, h0=h0))
        assert measured[h0] == numbers(table("decay", alone))
    assert len(table("decay", both)) == len(choices)
    assert len({rows[0] for rows in measured.values()}) == len(choices)


def test_several_inputs_are_the_sweeps_of_each(tmp_path, database):
    inputs = ["zero", "pytorch", "noise:0.1", "noise:0.5"]
    shape = [*SETTINGS, "--hidden", "7", "--cell", "tanh,relu", "--steps", "30,50", "--warmup", "4",
             "--h0", "normal:1", "--ensemble", "gaussian,orthogonal"]
    sweep(database, *shape, "--input", ",".join(reversed(inputs)))
    for kind in inputs:
        alone = sweep(tmp_path / f"{kind.replace(':', '')}.db", *shape, "--input", kind)
        rows = table("profile", alone)
        assert rows == [row for row in table("profile", database) if row["input"] == kind]
        assert len(rows) == 2 * 2 * (30 + 50)
    sweep(database, *shape, "--input", "noise:0.5,zero")
    assert [run["points"] for run in table("runs", database)] == ["32", "0"]


def test_cell_and_nonlinearity_are_one_option(tmp_path, database):
    sweep(database, *SETTINGS, "--hidden", "6", "--cell", "relu")
    sweep(database, *SETTINGS, "--hidden", "6", "--nonlinearity", "relu")
    spec = tmp_path / "old.ini"
    spec.write_text("[sweep]\nnonlinearity = tanh\n")
    sweep(database, spec, *SETTINGS, "--hidden", "6", "--cell", "relu")
    sweep(database, spec, *SETTINGS, "--hidden", "6")
    assert [run["points"] for run in table("runs", database)] == ["1", "0", "0", "1"]
    assert [row["cell"] for row in table("decay", database)] == ["relu", "tanh"]


def test_variants_are_the_sweeps_of_each(tmp_path, database):
    """Gate biases of cells with gates, leaks of the others, and densities: none twice, none missing."""
    shape = [*SETTINGS, "--hidden", "8", "--steps", "30"]
    sweep(database, *shape, "--cell", "tanh,lstm,gru", "--gate-bias", "drawn,-1,chrono:20", "--leak", "0.5,1",
          "--ensemble", "sparse:0.5,gaussian,sparse:0.7")
    rows = table("decay", database)
    assert len(rows) == 3 * (2 + 3 + 3)
    for cell, key, values in (("tanh", "leak", ["0.5", "1"]), ("lstm", "gate_bias", ["-1", "chrono:20", "drawn"]),
                              ("gru", "gate_bias", ["-1", "chrono:20", "drawn"])):
        for ensemble in ("gaussian", "sparse:0.5", "sparse:0.7"):
            found = decay(database, cell=cell, ensemble=ensemble)
            assert sorted(row[key] for row in found) == values
            assert len(set(numbers(found))) == len(values)
    alone = sweep(tmp_path / "alone.db", *shape, "--cell", "gru", "--gate-bias", "chrono:20",
                  "--ensemble", "sparse:0.7")
    assert numbers(table("decay", alone)) == numbers(
        decay(database, cell="gru", gate_bias="chrono:20", ensemble="sparse:0.7"))
    sweep(database, *shape, "--cell", "lstm,tanh", "--gate-bias=-1", "--leak", "0.5", "--ensemble", "sparse:0.5")
    assert [run["points"] for run in table("runs", database)] == [str(len(rows)), "0"]


def test_the_gate_scale_is_part_of_a_case(database):
    shape = [*SETTINGS, "--hidden", "8", "--cell", "tanh,lstm", "--steps", "30"]
    for scale in ("same", "native"):
        sweep(database, *shape, "--gate-scale", scale)
    assert len(decay(database, cell="tanh")) == 1
    assert len(set(numbers(decay(database, cell="lstm")))) == 2
    assert {row["gate_scale"] for row in decay(database, cell="lstm")} == {"same", "native"}


def lstm(hidden=6, batch=3):
    random = np.random.default_rng(2)
    return {"weight_hh_l0": random.normal(size=(4 * hidden, hidden)),
            "weight_ih_l0": random.normal(size=(4 * hidden, 2)),
            "bias_ih_l0": random.normal(size=4 * hidden), "bias_hh_l0": random.normal(size=4 * hidden),
            "h0": random.normal(size=(batch, hidden)), "c0": random.normal(size=(batch, hidden))}


def write_tensors(path, arrays, dtype):
    header, data = {"__metadata__": {"format": "np"}}, b""
    for name, array in arrays.items():
        content = array.astype("<f4" if dtype == "F32" else "<f8").tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_a_model_is_the_same_out_of_either_kind_of_file(tmp_path, database):
    np.savez(tmp_path / "a.npz", **lstm())
    write_tensors(tmp_path / "b.safetensors", lstm(), "F64")
    write_tensors(tmp_path / "c.safetensors", lstm(), "F32")
    np.savez(tmp_path / "d.npz", **{name: array.astype("<f4") for name, array in lstm().items()})
    for name in ("a.npz", "b.safetensors", "c.safetensors", "d.npz"):
        sweep(database, "--model", tmp_path / name, *SETTINGS)
    assert [run["points"] for run in table("runs", database)] == ["1", "0", "1", "0"]
    assert {row["cell"] for row in table("decay", database)} == {"lstm"}


def test_c0_is_part_of_a_model(tmp_path, database):
    """And so is its absence; a start state that the spec asks for takes the place of both."""
    for name, changes in (("a", {}), ("b", {"c0": np.ones((3, 6))}), ("c", {"c0": None})):
        model = {key: value for key, value in (lstm() | changes).items() if value is not None}
        np.savez(tmp_path / f"{name}.npz", **model)
        sweep(database, "--model", tmp_path / f"{name}.npz", *SETTINGS)
        sweep(database, "--model", tmp_path / f"{name}.npz", *SETTINGS, "--h0", "normal:1", "--batch", "3")
    assert len(set(numbers(decay(database, h0="model")))) == 3
    drawn = numbers(decay(database, h0="normal:1"))
    assert len(drawn) == 3 and len(set(drawn)) == 1


def test_a_gate_bias_takes_the_place_of_an_imported_one(tmp_path, database):
    """An LSTM whose biases of f add up to 2 is that LSTM with --gate-bias 2."""
    model = lstm()
    other = {name: array.copy() for name, array in model.items()}
    other["bias_ih_l0"][6:12] = 1.5
    other["bias_hh_l0"][6:12] = 0.5
    for name, arrays, option in (("a", model, ["--gate-bias", "2"]), ("b", other, [])):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        sweep(database, "--model", tmp_path / f"{name}.npz", *SETTINGS, *option)
    assert len(set(numbers(table("decay", database)))) == 1
    assert [row["gate_bias"] for row in table("decay", database)] == ["2", "drawn"]


def test_a_model_without_a_start_state_begins_at_zero(tmp_path, database):
    path = tmp_path / "model.npz"
    np.savez(path, weight_hh_l0=np.eye(4))
    sweep(database, "--model", path, *SETTINGS)
    sweep(database, "--model", path, *SETTINGS, "--h0", "zero")
    assert [row["h0"] for row in table("decay", database)] == ["zero"]


def test_the_spec_that_is_kept_asks_for_the_same_cases(model, tmp_path, database):
    sweep(database, "--model", model, *SETTINGS)
    spec = tmp_path / "again.ini"
    spec.write_text(table("runs", database)[0]["spec"])
    sweep(database, spec)
    assert [row["h0"] for row in table("decay", database)] == ["model"]
    assert [run["points"] for run in table("runs", database)] == ["1", "0"]


def test_an_instruction_set_without_fma_is_part_of_a_case(tmp_path):
    """Those with FMA have the same bits; the run tells which it was."""
    both = tmp_path / "both.db"
    for isa in ("", "baseline"):
        sweep(both, *SETTINGS, "--hidden", "12", "--engine", "cpu", env={**os.environ, "RHOSWEEP_ISA": isa})
    used = [row["isa"] for row in table("runs", both)]
    assert used[1] == "baseline"
    if used[0] == "baseline":
        pytest.skip("this processor has no instruction set with FMA")
    engines = [row["engine"] for row in table("decay", both)]
    assert sorted(engines) == ["cpu", "cpu-baseline"]


HOSTILE = {"blanks at both ends": "  a b.npz ", "semicolons": "; a ; b;.npz", "number signs": "# a #.npz",
           "quotes": "\"a\" 'b'\"", "backslashes": "\\a\\n \\", "a comma at the end": "a,b,",
           "a section": "[sweep]", "a formula": "$a$=1:%s", "long": "a ;" * 80}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_the_spec_that_is_kept_holds_any_path(model, tmp_path, name):
    """Saved into a file, it finds nothing left to do in the database that it names."""
    (tmp_path / "models").mkdir()
    model.rename(tmp_path / "models" / name)
    sweep(name, "--model", f"models/{name}", *SETTINGS, cwd=tmp_path)
    database = tmp_path / name
    (tmp_path / "again.ini").write_text(table("runs", database)[0]["spec"])
    succeed("sweep", "again.ini", cwd=tmp_path)
    assert [run["points"] for run in table("runs", database)] == ["1", "0"]


def test_the_spec_that_is_kept_holds_long_values(model, tmp_path, database):
    """A path of 4,000 characters and a list of 6,000 numbers."""
    path = f"{model.parent}{'/.' * ((4000 - len(str(model))) // 2)}/{model.name}"
    radii = ",".join(f"0.{1234567890123456 + 12345 * i}" for i in range(6000))
    settings = ["--seeds", "3", "--steps", "2", "--profiles", "no"]
    sweep(database, "--model", path, "--rho", radii, *settings)
    spec = tmp_path / "again.ini"
    spec.write_text(table("runs", database)[0]["spec"])
    succeed("sweep", spec)
    assert [run["points"] for run in table("runs", database)] == ["6000", "0"]


def test_a_path_with_a_line_break_is_refused_before_anything_is_computed(model, tmp_path):
    for option in "--model", "--output":
        done = rhosweep("sweep", *SETTINGS, option, f"{model}\n", cwd=tmp_path)
        assert "control character" in assert_one_line(done, 2)
    assert [path.name for path in tmp_path.iterdir()] == [model.name]

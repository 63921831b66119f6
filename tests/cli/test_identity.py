"""What a result depends on is part of its case's identity: another setting is another case."""

import os

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

"""Gradients of imported networks' weights, and their clipping, against PyTorch's autograd and
clip_grad_norm_ in float64.

The references are committed; tests/data/make_torch_gradients.py wrote them. Where torch is
installed they are computed again as well.
"""

import importlib.util
import json
import sys

import numpy as np
import pytest

from conftest import ROOT, sweep, table

sys.path.insert(0, str(ROOT / "tests" / "data"))
import make_torch_gradients as reference

EXPECTED = json.loads(reference.FILE.read_text())
CASES = reference.cases()
NAMES = [f"{name}-{cell}-{loss}" for name, cell, _, loss in CASES]


def expected(name, cell, loss):
    """rho to row."""
    return {
        row["rho"]: row
        for row in EXPECTED
        if (row["model"], row["cell"], row["loss"]) == (name, cell, loss)
    }


def measured(folder, name, cell, radii, loss, *options):
    """rho to row."""
    *_, warmup, max_norm, _ = reference.MODELS[name]
    np.savez(folder / "model.npz", **reference.draw_model(name))
    database = folder / "results.db"
    sweep(database, "--model", folder / "model.npz", "--cell", cell, "--loss", loss,
          "--rho", ",".join(map(str, radii)), "--seeds", reference.SEED, "--warmup", warmup,
          "--clip", max_norm, *options)
    rows = table("clip", database)
    assert len(rows) == len(radii)
    return {min(radii, key=lambda rho: abs(rho - float(row["rho"]))): row for row in rows}


def assert_agree(got, want, tolerance):
    assert got.keys() == want.keys()
    for rho, row in want.items():
        for column in reference.COLUMNS:
            assert float(got[rho][column]) == pytest.approx(row[column], rel=tolerance(rho), abs=0), (
                f"rho {rho}: {column}"
            )


def of_f64(rho):
    """Rounding grows where gradients do."""
    return 1e-9 if rho < 1 else 1e-6


@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize(("name", "cell", "radii", "loss"), CASES, ids=NAMES)
def test_f64(name, cell, radii, loss, engine, tmp_path):
    rows = measured(tmp_path, name, cell, radii, loss, "--precision", "f64", "--engine", engine)
    assert_agree(rows, expected(name, cell, loss), of_f64)


def comparable_in_f32(name, cell, loss):
    """rho to row, without chaos: there float32's rounding changes the norms themselves."""
    return {rho: row for rho, row in expected(name, cell, loss).items() if row["change"] < 1e-4}


@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize(("name", "cell", "loss"), [case[:2] + case[3:] for case in CASES], ids=NAMES)
def test_f32(name, cell, loss, engine, tmp_path):
    want = comparable_in_f32(name, cell, loss)
    rows = measured(tmp_path, name, cell, list(want), loss, "--precision", "f32", "--engine", engine)
    assert_agree(rows, want, lambda rho: 1e-3)


def test_references_are_of_every_kind():
    """The limits above would prove little on networks of one kind."""
    coefficients = {(row["cell"], row["clip_coef"] < 1) for row in EXPECTED}
    assert coefficients == {(cell, hit) for cell in ("tanh", "relu", "linear") for hit in (False, True)}
    assert all(row["total"] > 1e60 for row in EXPECTED if row["model"] == "far")
    assert {row["loss"] for row in EXPECTED} == set(reference.LOSSES)
    assert len(EXPECTED) == sum(len(radii) for _, _, radii, _ in CASES)
    chaotic = {(row["model"], row["cell"], row["rho"]) for row in EXPECTED if row["change"] >= 1e-4}
    assert chaotic == {("h48", "relu", 1.6)}


def test_native_radius(tmp_path, database):
    """Weights as they are have the gradients of weights scaled to the radius that they have."""
    np.savez(tmp_path / "model.npz", **reference.scaled(reference.draw_model("h16"), 0.95))
    sweep(database, "--model", tmp_path / "model.npz", "--rho", "native", "--precision", "f64",
          "--seeds", reference.SEED, "--warmup", 10, "--loss", "random", "--clip", 0.2)
    (row,) = table("clip", database)
    assert row["ensemble"] == "model"
    want = expected("h16", "tanh", "random")[0.95]
    for column in reference.COLUMNS:
        assert float(row[column]) == pytest.approx(want[column], rel=1e-9)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_references_are_what_torch_says():
    for got, want in zip(reference.references(), EXPECTED, strict=True):
        for column in ("model", "cell", "loss", "rho"):
            assert got[column] == want[column]
        for column in reference.COLUMNS:
            assert got[column] == pytest.approx(want[column], rel=of_f64(want["rho"]) / 10)

"""Imported LSTM and GRU networks against PyTorch's autograd in float64: norms of the gradients of h,
of c and of the pair, and of the weights.

The references are committed; tests/data/make_torch_gated.py wrote them. Where torch is installed
they are computed again as well.
"""

import importlib.util
import json
import math
import struct
import sys
from collections import defaultdict

import numpy as np
import pytest

from conftest import ROOT, sweep, table

sys.path.insert(0, str(ROOT / "tests" / "data"))
import make_torch_gated as reference

EXPECTED = json.loads(reference.FILE.read_text())
NAMES = [f"{r['cell']}-h{r['size'][0]}-gain{r['gain']}-{r['loss']}" for r in EXPECTED]
SUMMARY = ("mean", "min", "max")
BOTH = {"lstm": "both", "gru": "h"}  # what holds the whole state


def write_safetensors(path, arrays):
    """A length, a header in JSON, and the bytes that it points to."""
    header, data = {}, b""
    for name, array in arrays.items():
        raw = np.ascontiguousarray(array, dtype="<f8").tobytes()
        offsets = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": "F64", "shape": list(array.shape), "data_offsets": offsets}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def run_model(folder, model, loss, warmup, *options):
    """State to step to [mean, min, max], and the row of the table of clipping."""
    np.savez(folder / "model.npz", **model)
    database = folder / "results.db"
    sweep(database, "--model", folder / "model.npz", "--rho", "native", "--loss", loss,
          "--warmup", warmup, "--clip", 1, *options)
    return curves_of(database), table("clip", database)[0]


def curves_of(database):
    curves = defaultdict(dict)
    for row in table("profile", database):
        values = [float(row[f"log10_norm_{k}"]) for k in SUMMARY]
        curves[row.get("state", "h")][int(row["step"])] = values
    return curves


def assert_curves_agree(got, want, tolerance):
    """`want` has some of the steps."""
    assert got.keys() == want.keys()
    for state, curve in want.items():
        for step, values in curve.items():
            for kind, have, should in zip(SUMMARY, got[state][int(step)], map(float, values)):
                assert have == should or abs(have - should) <= tolerance, (
                    f"{state}, step {step}, {kind}: {have!r}, PyTorch says {should!r}"
                )


@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize("want", EXPECTED, ids=NAMES)
def test_f64(want, engine, tmp_path):
    size = tuple(want["size"])
    model = reference.draw_model(want["cell"], size, want["gain"])
    curves, clip = run_model(tmp_path, model, want["loss"], size[-1], "--precision", "f64",
                             "--engine", engine)
    tolerance = 1e-6 if want["grows"] else 1e-9
    assert_curves_agree(curves, want["curves"], tolerance)
    for kind, norm in want["weights"].items():
        assert float(clip[kind]) == pytest.approx(norm, rel=tolerance, abs=0), kind
    assert clip["cell"] == want["cell"]


DECAYING = [row for row in EXPECTED if not row["grows"] and row["change"] < 1e-5]


@pytest.mark.parametrize("want", DECAYING, ids=[NAMES[EXPECTED.index(r)] for r in DECAYING])
def test_f32_where_it_decays(want, tmp_path):
    size = tuple(want["size"])
    model = reference.draw_model(want["cell"], size, want["gain"])
    curves, clip = run_model(tmp_path, model, want["loss"], size[-1], "--precision", "f32",
                             "--engine", "cpu")
    assert_curves_agree(curves, want["curves"], 1e-4)
    for kind, norm in want["weights"].items():
        assert float(clip[kind]) == pytest.approx(norm, rel=1e-4, abs=0), kind


def test_references_hold_every_kind():
    """The limits above would prove little on networks of one kind."""
    assert {(r["cell"], r["grows"]) for r in EXPECTED} == {
        (cell, grows) for cell in reference.GATES for grows in (False, True)
    }
    assert len(DECAYING) > len(EXPECTED) / 2
    assert min(float(r["curves"][BOTH[r["cell"]]]["1"][0]) for r in EXPECTED) < -18
    assert len(EXPECTED) == len(reference.cases())


@pytest.mark.parametrize("cell", reference.GATES)
def test_safetensors_are_as_good(cell, tmp_path):
    """The same arrays, bit for bit the same curves."""
    model = reference.draw_model(cell, (24, 2, 3, 30, 0), 1.0)
    write_safetensors(tmp_path / "model.safetensors", model)
    np.savez(tmp_path / "model.npz", **model)
    curves = []
    for name in ("model.safetensors", "model.npz"):
        database = tmp_path / f"{name}.db"
        sweep(database, "--model", tmp_path / name, "--rho", "native", "--precision", "f64")
        curves.append(curves_of(database))
    assert curves[0] == curves[1]


@pytest.mark.parametrize("precision", ["f64", "f32"])
@pytest.mark.parametrize("bias", [-1, 0, 1, 2, 5, 30])
@pytest.mark.parametrize("cell", reference.GATES)
def test_no_recurrence(cell, bias, precision, tmp_path):
    """Where weight_hh is 0 a state has its own memory alone, which decays at -ln sigma(b)."""
    hidden, gates = 12, reference.GATES[cell]
    rows = np.zeros(gates * hidden)
    rows[hidden : 2 * hidden] = bias  # f of an LSTM, z of a GRU
    model = {"weight_hh_l0": np.zeros((gates * hidden, hidden)), "weight_ih_l0": np.zeros((gates * hidden, 1)),
             "bias_ih_l0": 0.25 * rows, "bias_hh_l0": 0.75 * rows}
    np.savez(tmp_path / "model.npz", **model)
    database = tmp_path / "results.db"
    sweep(database, "--model", tmp_path / "model.npz", "--rho", "native", "--precision", precision,
          "--steps", 100, "--h0", "normal:1")
    (row,) = table("decay", database)
    limit = 1e-14 if precision == "f64" else 1e-6
    assert float(row["decay_rate"]) == pytest.approx(math.log1p(math.exp(-bias)), abs=limit)
    assert float(row["rho"]) == 0


needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")


@needs_torch
@pytest.mark.parametrize("loss", reference.LOSSES)
@pytest.mark.parametrize("cell", reference.GATES)
def test_fresh_network(cell, loss, tmp_path):
    """Not a committed one: every step of it, run by PyTorch now."""
    size = (16, 2, 3, 60, 3)
    model = reference.draw_model(cell, size, 1.5, seed=7)
    curves, clip = run_model(tmp_path, model, loss, size[-1], "--precision", "f64")
    want, weights = reference.gradients(cell, model, loss, size[-1])
    steps = range(1, size[3] + 1)
    assert_curves_agree(curves, {s: dict(zip(steps, curve)) for s, curve in want.items()}, 1e-9)
    for kind, norm in weights.items():
        assert float(clip[kind]) == pytest.approx(norm, rel=1e-9), kind


@needs_torch
def test_references_are_what_torch_says():
    assert [(r["cell"], tuple(r["size"]), r["gain"], r["loss"]) for r in EXPECTED] == reference.cases()
    for want, (cell, size, gain, loss) in zip(EXPECTED, reference.cases()):
        model = reference.draw_model(cell, size, gain)
        curves, weights = reference.gradients(cell, model, loss, size[-1])
        steps = {state: dict(enumerate(curve, start=1)) for state, curve in curves.items()}
        tolerance = 1e-7 if want["grows"] else 1e-10
        assert_curves_agree(steps, want["curves"], tolerance)
        assert weights == pytest.approx(want["weights"], rel=tolerance)

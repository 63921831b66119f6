"""Profiles of imported networks against PyTorch's autograd in float64.

The references are committed; tests/data/make_torch_reference.py wrote them. Where torch is
installed they are computed again as well.
"""

import importlib.util
from collections import defaultdict

import numpy as np
import pytest

from conftest import ROOT, sweep, table

DATA = ROOT / "tests" / "data"
ARRAYS = ("weight_hh_l0", "weight_ih_l0", "bias_ih_l0", "bias_hh_l0", "input")
FILES = ("torch_t300.npz", "torch_t120.npz")
NONLINEARITIES = ("tanh", "relu", "linear")

spec = importlib.util.spec_from_file_location("reference", DATA / "make_torch_reference.py")
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)
LOSSES = reference.LOSSES


def measured(database):
    """rho to [steps][mean, min, max], as the reference has it."""
    curves = defaultdict(list)
    for row in table("profile", database):
        values = [float(row[f"log10_norm_{k}"]) for k in ("mean", "min", "max")]
        curves[float(row["rho"])].append((int(row["step"]), values))
    return {rho: np.array([v for _, v in sorted(curve)]) for rho, curve in curves.items()}


def run_model(database, path, nonlinearity, loss, radii, precision):
    sweep(database, "--model", path, "--cell", nonlinearity, "--loss", loss,
          "--rho", ",".join(map(repr, map(float, radii))), "--precision", precision,
          "--seeds", reference.SEED)
    curves = measured(database)
    assert len(curves) == len(radii)
    return [curves[min(curves, key=lambda reached: abs(reached - rho))] for rho in radii]


def assert_agree(curve, expected, tolerance, what):
    assert curve.shape == expected.shape, what
    error = np.abs(curve - expected)
    worst = np.unravel_index(error.argmax(), error.shape)
    assert error.max() <= tolerance, (
        f"{what}: step {worst[0] + 1}, {('mean', 'min', 'max')[worst[1]]}: "
        f"{curve[worst]!r}, PyTorch says {expected[worst]!r}, off by {error[worst]:.2g}"
    )


def grows(expected):
    """Whether any sample's gradient is larger anywhere than at the loss."""
    return expected[:, 2].max() > expected[-1, 2] + 0.5


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
@pytest.mark.parametrize("file", FILES)
def test_f64(file, nonlinearity, loss, database):
    saved = np.load(DATA / file)
    radii = saved[f"rho_{nonlinearity}"]
    expected = saved[f"log10_norm_{nonlinearity}_{loss}"]
    curves = run_model(database, DATA / file, nonlinearity, loss, radii, "f64")
    for rho, curve, want in zip(radii, curves, expected):
        chaos = nonlinearity == "tanh" and grows(want)
        assert_agree(curve, want, 1e-3 if chaos else 1e-9, f"rho {rho}")


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_f32_where_it_decays(nonlinearity, loss, database):
    saved = np.load(DATA / "torch_t300.npz")
    radii = saved[f"rho_{nonlinearity}"]
    expected = saved[f"log10_norm_{nonlinearity}_{loss}"]
    curves = run_model(database, DATA / "torch_t300.npz", nonlinearity, loss, radii, "f32")
    for rho, curve, want in zip(radii, curves, expected):
        if not grows(want):
            assert_agree(curve, want, 1e-4, f"rho {rho}")


def test_references_hold_both_kinds():
    """The limits above would prove little on curves of one kind."""
    kinds = {
        (nonlinearity, grows(curve))
        for file in FILES
        for nonlinearity in NONLINEARITIES
        for curve in np.load(DATA / file)[f"log10_norm_{nonlinearity}_last-mean"]
    }
    assert kinds == {(n, growing) for n in NONLINEARITIES for growing in (False, True)}


@pytest.mark.parametrize("form", ["savez", "fortran", "plain names", "float32 file"])
def test_ways_to_save(form, tmp_path, database):
    """The same arrays as numpy may write them give the same profile, bit for bit."""
    saved = np.load(DATA / "torch_t300.npz")
    model = {name: saved[name] for name in ARRAYS}
    if form == "float32 file":
        model = {name: value.astype(np.float32) for name, value in model.items()}
    np.savez_compressed(tmp_path / "base.npz", **{k: v.astype(float) for k, v in model.items()})
    if form == "fortran":
        model = {name: np.asfortranarray(value) for name, value in model.items()}
    if form == "plain names":
        model = {name.removesuffix("_l0"): value for name, value in model.items()}
    np.savez(tmp_path / "other.npz", **model)
    arguments = ("tanh", "last-mean", [0.9], "f64")
    (base,) = run_model(database, tmp_path / "base.npz", *arguments)
    (other,) = run_model(tmp_path / "other.db", tmp_path / "other.npz", *arguments)
    assert np.array_equal(base, other)


def test_native_radius_and_measured_rho(database):
    saved = np.load(DATA / "torch_t300.npz")
    sweep(database, "--model", DATA / "torch_t300.npz", "--rho", "native", "--precision", "f64")
    (row,) = table("decay", database)
    weight = saved["weight_hh_l0"]
    assert float(row["rho"]) == pytest.approx(np.abs(np.linalg.eigvals(weight)).max(), rel=1e-12)
    assert float(row["g"]) == pytest.approx(np.linalg.norm(weight) / np.sqrt(37), rel=1e-12)
    assert row["ensemble"] == "model"


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_fresh_network(nonlinearity, loss, tmp_path, database):
    """Not a committed one: drawn now, run by PyTorch now."""
    model = reference.draw_model(80, seed=2026)
    path = tmp_path / "fresh.npz"
    np.savez(path, **model)
    radii = [0.6, 1.2]
    curves = run_model(database, path, nonlinearity, loss, radii, "f64")
    for rho, curve in zip(radii, curves):
        want = reference.log10_norms(model, nonlinearity, loss, rho)
        assert_agree(curve, want, 1e-9, f"rho {rho}")

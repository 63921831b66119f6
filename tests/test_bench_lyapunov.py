"""scripts/bench-lyapunov and its peers: on fixed numbers and known spectra, without a clock."""

import importlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "bench-lyapunov"
sys.path.insert(0, str(ROOT / "bench" / "peers"))
common, peer, shapes = map(importlib.import_module, ("common", "lyapunov_peer", "shapes"))


def load():
    loader = importlib.machinery.SourceFileLoader("bench_lyapunov", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_lyapunov", loader))
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


script = load()
SHAPE = shapes.Shape(128, 1, 21, 100)
LIBRARIES = [library for library in peer.PEERS if importlib.util.find_spec(library)]


def task_of(weights, scales, steps, transient=0, qr_every=1, drive=0.0):
    drives = np.full((steps + transient, 1, len(weights)), drive)
    return peer.Task(np.asarray(weights, dtype=float), np.asarray(scales, dtype=float), drives, transient, qr_every)


# ---- peers ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("library", LIBRARIES)
def test_a_diagonal_network_at_rest_has_the_logarithms_of_its_entries(library):
    task = task_of(np.diag([0.5, 0.25, 0.8]), [1.0, 0.5], 12, transient=3, qr_every=4)
    found = peer.PEERS[library][1](task)()
    right = np.log(np.multiply.outer([1.0, 0.5], [0.5, 0.25, 0.8]))[:, None]
    assert found == pytest.approx(right, abs=1e-13)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_sum_is_that_of_the_determinant(library):
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((6, 6)) / 3
    task = task_of(weights, [0.9], 20, qr_every=3, drive=0.3)
    state, total = np.zeros(6), 0.0
    for _ in range(20):
        state = np.tanh(0.9 * weights @ state + 0.3)
        total += np.log(abs(np.linalg.det((1 - state**2)[:, None] * 0.9 * weights)))
    assert peer.PEERS[library][1](task)().sum() == pytest.approx(total / 20, abs=1e-10)


def test_qr_falls_due_at_the_ends_of_transient_and_run():
    task = task_of(np.eye(2), [1.0], 5, transient=3, qr_every=4)
    assert [step for step in range(1, 9) if task.is_due(step)] == [3, 4, 8]
    task = task_of(np.eye(2), [1.0], 7, transient=2, qr_every=5)
    assert [step for step in range(1, 10) if task.is_due(step)] == [2, 5, 9]


def test_exponents_that_rounding_hides_are_not_compared():
    ours = np.array([[0.0, -1.0, -8.0]])
    off = ours + [0.0, 0.0, 0.1]
    with pytest.raises(common.PeerError, match=r"differs by 0\.1"):
        peer.judge("peer", off, ours, 1)
    peer.judge("peer", off, ours, 2)
    with pytest.raises(common.PeerError):
        peer.judge("peer", ours + [0.0, 1e-8, 0.0], ours, 2)
    with pytest.raises(common.PeerError):
        peer.judge("peer", ours + np.nan, ours, 2)


# ---- the script ----------------------------------------------------------------------------------

def document(**more):
    counters = dict.fromkeys(script.COUNTERS, 0.5) | {"qr_gap": 4.0}
    name = "lyapunov/cpu/f64/tanh/H:128/B:1/R:21/T:100/K:128/qr:1/manual_time"
    return {"benchmarks": [{"name": name, "real_time": 2e5, "time_unit": "us", **counters, **more}]}


def test_our_row():
    assert script.our_row(document(), SHAPE) == {"ms": 200.0, "gflops": 0.5, "peak_fraction": 0.5, "qr_share": 0.5,
                                                 "tangent_share": 0.5, "qr_gap": 4.0}
    with pytest.raises(SystemExit, match="not among"):
        script.our_row(document(), SHAPE._replace(steps=99))
    with pytest.raises(SystemExit, match="wrong result"):
        script.our_row(document(error_occurred=True, error_message="wrong result"), SHAPE)


def test_ratios_are_taken_within_a_round():
    rounds = [{**script.our_row(document(), SHAPE), "ms": ours, "rival_ms": {"numpy_loop": theirs}}
              for ours, theirs in ((100.0, 1000.0), (200.0, 2400.0), (100.0, 3000.0))]
    every_step = [{"rival_ms": {"numpy_loop": theirs}} for theirs in (2000.0, 4000.0, 1500.0)]
    row = script.row({"shape": SHAPE, "qr": script.CHOSEN, "rounds": rounds}, every_step)
    assert row == ["128,1,21,100", "chosen", "4", "100 (100 to 200)", "50% (50 to 50)", "50% (50 to 50)",
                   "12.0 (10.0 to 30.0)", "", "20.0 (15.0 to 20.0)"]


def test_a_library_that_is_not_there_is_left_out_with_its_reason(tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ntest "$2" = "import numpy"\n')
    python.chmod(0o755)
    assert script.left_out(str(python)) == {"PyTorch": f"{python} has none"}

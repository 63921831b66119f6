"""The arithmetic and tables of scripts/bench on fixed measurements, without a clock; its peers
where their libraries are installed."""

import argparse
import copy
import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "bench"
PEERS = ROOT / "bench" / "peers"
COMPARE = PEERS / "compare.py"

sys.path.insert(0, str(PEERS))
common, compare, shapes = map(importlib.import_module, ("common", "compare", "shapes"))

SHAPE = (64, 16, 32, 100)


def suffix(cell="tanh"):
    return f"f32/{cell}/H:64/B:16/R:32/T:100/manual_time"


SUFFIX = suffix()


def run_of(name, time, unit="us", **more):
    return {"name": name, "run_type": "iteration", "real_time": time, "time_unit": unit, **more}


def ours(milliseconds, blas, cell="tanh"):
    """What rhosweep-bench writes, as far as it is read."""
    named = suffix(cell)
    return {
        "context": {"load_avg": [0.5, 0.4, 0.3], "rhosweep_commit": "abc123", "threads": "2"},
        "benchmarks": [
            run_of(f"bptt/cpu/{named}", 1000 * milliseconds, gflops=800 / milliseconds,
                   peak_fraction=2 / milliseconds),
            run_of(f"bptt+gradients/cpu/{named}", 2000 * milliseconds, gflops=600 / milliseconds,
                   peak_fraction=1.5 / milliseconds),
            *([run_of(f"baseline/blas_stepwise/{named}", 1e6 * blas, "ns")] if blas else []),
            run_of("peak/fma/f32/manual_time", 1.0, gflops=400.0),
        ],
    }


def peer(library, version, cell="tanh", **milliseconds):
    """What a peer's program writes, as far as it is read. With the weights' gradients everything
    takes three times as long."""
    return {
        "library": library, "version": version, "device": "cpu", "threads": 2,
        "radii": [0.9, 1.5],
        "results": [{"peer": name, "cell": cell, "shape": list(SHAPE),
                     "weight_gradients": gradients, "median_ms": factor * value}
                    for gradients, factor in ((False, 1.0), (True, 3.0))
                    for name, value in milliseconds.items()],
    }


def sides(own, torch, jax):
    return {"ours": own, "torch": peer("PyTorch", "2.8.0", **torch),
            "jax": peer("JAX", "0.10.2", **jax)}


# The second round met a machine of half the speed; the third disturbed the peers alone.
ROUNDS = [
    sides(ours(4.0, 8.0), dict(bmm_hooks=40.0, nn_rnn_loop=100.0, cell_hooks=200.0),
          dict(jax_vmap_grad=32.0, jax_shared_w0=16.0)),
    sides(ours(8.0, 16.0), dict(bmm_hooks=88.0, nn_rnn_loop=200.0, cell_hooks=400.0),
          dict(jax_vmap_grad=64.0, jax_shared_w0=32.0)),
    sides(ours(5.0, 15.0), dict(bmm_hooks=100.0, nn_rnn_loop=100.0, cell_hooks=250.0),
          dict(jax_vmap_grad=50.0, jax_shared_w0=30.0)),
]


# An LSTM's, which BLAS has not.
GATED = {"ours": ours(10.0, None, "lstm"),
         "torch": peer("PyTorch", "2.8.0", "lstm", bmm_hooks=50.0, nn_lstm_loop=20.0),
         "jax": peer("JAX", "0.10.2", "lstm", jax_vmap_grad=30.0)}


@pytest.fixture
def rounds():
    return [compare.load_round(documents, SHAPE) for documents in ROUNDS]


def test_a_round(rounds):
    assert rounds[0] == {
        "ours_ms": 4.0, "gflops": 200.0, "peak_fraction": 0.5,
        "rival_ms": {"baseline/blas_stepwise": 8.0, "jax_vmap_grad": 32.0, "jax_shared_w0": 16.0,
                     "bmm_hooks": 40.0, "nn_rnn_loop": 100.0, "cell_hooks": 200.0},
    }


def test_a_round_of_another_cell():
    """Beside rows of tanh units, which are none of its own."""
    both = copy.deepcopy(GATED)
    for side, documents in (("ours", "benchmarks"), ("torch", "results"), ("jax", "results")):
        both[side][documents] += ROUNDS[0][side][documents]
    found = compare.load_round(both, SHAPE, cell="lstm")
    assert found == {
        "ours_ms": 10.0, "gflops": 80.0, "peak_fraction": 0.2,
        "rival_ms": {"jax_vmap_grad": 30.0, "bmm_hooks": 50.0, "nn_lstm_loop": 20.0}}
    assert compare.load_round(both, SHAPE) == compare.load_round(ROUNDS[0], SHAPE)


def with_gradients(sides):
    return compare.load_round(sides, SHAPE, gradients=True)


def test_a_round_with_the_gradients_of_weights():
    """BLAS has none."""
    assert with_gradients(ROUNDS[0]) == {
        "ours_ms": 8.0, "gflops": 150.0, "peak_fraction": 0.375, "plain_ms": 4.0,
        "rival_ms": {"jax_vmap_grad": 96.0, "jax_shared_w0": 48.0, "bmm_hooks": 120.0,
                     "nn_rnn_loop": 300.0, "cell_hooks": 600.0},
    }


def test_the_table_with_the_gradients_of_weights():
    summary = compare.summarise({SHAPE: list(map(with_gradients, ROUNDS))})
    header, _, row = ([cell.strip() for cell in line.strip("|").split("|")]
                      for line in compare.ratio_table(summary).splitlines())
    assert header == ["H,B,R,T", "ours, ms", "GFLOP/s", "of FMA peak", "/ ours without",
                      "x jax_vmap_grad", "x jax_shared_w0", "x bmm_hooks", "x nn_rnn_loop",
                      "x cell_hooks"]
    assert row[1:7] == ["10.0 (8.00 to 16.0)", "120 (75.0 to 150)", "30% (19 to 38)",
                        "2.00 (2.00 to 2.00)", "12.0 (12.0 to 15.0)", "6.00 (6.00 to 9.00)"]


def test_peers_without_the_gradients_of_weights():
    """Ours is there all the same."""
    sides = copy.deepcopy(ROUNDS[0])
    for name in ("torch", "jax"):
        rows = sides[name]["results"]
        rows[:] = [row for row in rows if not row["weight_gradients"]]
    assert with_gradients(sides)["rival_ms"] == {}
    summary = compare.summarise({SHAPE: [with_gradients(sides)]})
    assert "| 64,16,32,100 | 8.00 (8.00 to 8.00)" in compare.ratio_table(summary)


def test_ratios_are_taken_within_rounds(rounds):
    """The ratio of medians would be 88 / 5 = 17.6 for bmm_hooks."""
    ratios = compare.summarise({SHAPE: rounds})[SHAPE]["ratios"]
    assert ratios == {
        "baseline/blas_stepwise": {"median": 2.0, "min": 2.0, "max": 3.0},
        "jax_vmap_grad": {"median": 8.0, "min": 8.0, "max": 10.0},
        "jax_shared_w0": {"median": 4.0, "min": 4.0, "max": 6.0},
        "bmm_hooks": {"median": 11.0, "min": 10.0, "max": 20.0},
        "nn_rnn_loop": {"median": 25.0, "min": 20.0, "max": 25.0},
        "cell_hooks": {"median": 50.0, "min": 50.0, "max": 50.0},
    }


def test_own_figures_are_medians(rounds):
    found = compare.summarise({SHAPE: rounds})[SHAPE]
    assert found["ours_ms"] == {"median": 5.0, "min": 4.0, "max": 8.0}
    assert found["gflops"] == {"median": 160.0, "min": 100.0, "max": 200.0}
    assert found["peak_fraction"] == {"median": 0.4, "min": 0.25, "max": 0.5}


def test_table(rounds):
    header, rule, row = compare.ratio_table(compare.summarise({SHAPE: rounds})).splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert [cell.strip() for cell in header.strip("|").split("|")] == [
        "H,B,R,T", "ours, ms", "GFLOP/s", "of FMA peak", "x blas_stepwise",
        "x jax_vmap_grad", "x jax_shared_w0", "x bmm_hooks", "x nn_rnn_loop", "x cell_hooks"]
    assert cells == ["64,16,32,100", "5.00 (4.00 to 8.00)", "160 (100 to 200)", "40% (25 to 50)",
                     "2.00 (2.00 to 3.00)", "8.00 (8.00 to 10.0)", "4.00 (4.00 to 6.00)",
                     "11.0 (10.0 to 20.0)", "25.0 (20.0 to 25.0)", "50.0 (50.0 to 50.0)"]
    assert len(header) == len(rule) == len(row)


def rounds_of(*chosen):
    return [{side: documents[side] for side in chosen} for documents in ROUNDS]


@pytest.mark.parametrize("chosen, rivals", [
    (["ours"], ["baseline/blas_stepwise"]),
    (["ours", "jax"], ["baseline/blas_stepwise", "jax_vmap_grad", "jax_shared_w0"])])
def test_without_some_peers(chosen, rivals):
    summary = compare.summarise({SHAPE: [compare.load_round(documents, SHAPE)
                                         for documents in rounds_of(*chosen)]})
    assert list(summary[SHAPE]["ratios"]) == rivals
    assert "bmm_hooks" not in compare.ratio_table(summary) + compare.legend(summary)


def test_the_legend_says_what_each_column_computes(rounds):
    lines = compare.legend(compare.summarise({SHAPE: rounds})).splitlines()
    named = [line.partition(":")[0].removeprefix("- ") for line in lines if line.startswith("- ")]
    assert named == ["blas_stepwise", "jax_vmap_grad", "jax_shared_w0", "bmm_hooks",
                     "nn_rnn_loop", "cell_hooks"]
    assert any("nn_rnn_loop" in line and "no norms" in line for line in lines)


def test_repetitions_and_aggregates():
    """Of repetitions the middle one counts; Google Benchmark's own means do not."""
    name = f"bptt/cpu/{SUFFIX}"
    document = {"benchmarks": [run_of(name, time) for time in (7000.0, 5000.0, 6000.0)]
                + [{**run_of(name + "_mean", 1.0), "run_type": "aggregate"}]}
    assert compare.our_rows(document, "tanh") == {("bptt/cpu", SHAPE): {"ms": 6.0}}


def test_other_shapes_precisions_and_engines_are_told_apart():
    name = "bptt/cpu/f64/tanh/H:64/B:16/R:32/T:100/manual_time"
    document = copy.deepcopy(ROUNDS[0]["ours"])
    document["benchmarks"][:0] = [
        run_of(name, 1.0), run_of(f"bptt/reference/{SUFFIX}", 2.0),
        run_of(f"bptt/cpu/{SUFFIX.replace('T:100', 'T:1000')}", 3.0)]
    assert compare.load_round({"ours": document}, SHAPE)["ours_ms"] == 4.0


def test_a_failed_benchmark_is_no_figure():
    document = copy.deepcopy(ROUNDS[0]["ours"])
    document["benchmarks"][0].update(error_occurred=True, error_message="wrong result")
    with pytest.raises(compare.CompareError, match="bptt/cpu/.*: wrong result"):
        compare.load_round({"ours": document}, SHAPE)


def test_a_missing_benchmark_is_no_figure():
    for gradients, name in ((False, "bptt/cpu"), (True, r"bptt\+gradients/cpu")):
        with pytest.raises(compare.CompareError, match=name + " at 64,16,32,200: not among"):
            compare.load_round({"ours": ROUNDS[0]["ours"]}, (64, 16, 32, 200), gradients=gradients)


BASE = (8, 2, 3, 5)


def test_scaling():
    measured = {
        (8, 2, 3, 80): [{"base_ms": b, "ours_ms": o}
                        for b, o in ((1.0, 12.8), (2.0, 32.0), (1.0, 12.8))],
        (8, 4, 3, 5): [{"base_ms": b, "ours_ms": o}
                       for b, o in ((1.0, 2.2), (2.0, 3.6), (1.0, 2.0))],
    }
    rows = compare.summarise_scaling(measured, BASE)
    assert [(r["axis"], r["factor"], r["shape"]) for r in rows] == [
        ("B", 2, (8, 4, 3, 5)), ("T", 16, (8, 2, 3, 80))]
    assert rows[0]["relative_cost"] == pytest.approx({"median": 1.0, "min": 0.9, "max": 1.1})
    assert rows[1]["relative_cost"] == pytest.approx({"median": 0.8, "min": 0.8, "max": 1.0})
    verdicts = [line.strip("| ").rpartition("|")[2].strip()
                for line in compare.scaling_table(rows).splitlines()[2:]]
    assert verdicts == ["yes", "no"]


@pytest.mark.parametrize("shape", [BASE, (16, 2, 3, 5), (8, 4, 6, 5), (8, 2, 4, 5)])
def test_no_multiple_of_the_base(shape):
    with pytest.raises(compare.CompareError, match="is not 8,2,3,5 with one of B, R, T"):
        compare.scaled_axis(BASE, shape)


def test_the_base_is_a_neighbour_in_the_same_file():
    document = copy.deepcopy(ROUNDS[0]["ours"])
    name = f"bptt/cpu/{SUFFIX.replace('R:32', 'R:8')}"
    document["benchmarks"].append(run_of(name, 1100.0, gflops=1.0, peak_fraction=0.5))
    found = compare.load_round({"ours": document}, SHAPE, base=(64, 16, 8, 100))
    assert (found["base_ms"], found["ours_ms"]) == pytest.approx((1.1, 4.0))


@pytest.mark.parametrize("value, text", [
    (1234.5, "1234"), (123.45, "123"), (12.345, "12.3"), (1.2345, "1.23"), (0.35, "0.350"),
    (0.012345, "0.0123")])
def test_significant(value, text):
    assert compare.significant(value) == text


@pytest.mark.parametrize("model, folder", [
    ("Intel(R) Xeon(R) CPU E5-2690 v4 @ 2.60GHz", "intel-xeon-e5-2690-v4"),
    ("AMD EPYC 9654 96-Core Processor", "amd-epyc-9654-96-core-processor"),
    ("aarch64", "aarch64")])
def test_folder_of_a_cpu(model, folder):
    assert compare.slug(model) == folder


def write_raw(folder):
    folder.mkdir()
    for number, documents in enumerate(ROUNDS, start=1):
        for side, document in documents.items():
            path = folder / f"{number}-tanh-64x16x32x100-{side}.json"
            path.write_text(json.dumps(document))
        for side, document in GATED.items():
            path = folder / f"{number}-lstm-64x16x32x100-{side}.json"
            path.write_text(json.dumps(document))
    return folder


def run_compare(*arguments):
    return subprocess.run(["python3", COMPARE, *map(str, arguments)], capture_output=True,
                          text=True, check=False)


def test_results_are_written(tmp_path):
    done = run_compare("ratios", write_raw(tmp_path / "raw"), "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "results").iterdir()
    text = (folder / "summary.md").read_text()
    assert text in done.stdout
    assert "commit abc123" in text
    assert "- PyTorch 2.8.0, radii 0.9 to 1.5\n" in text
    assert "- JAX 0.10.2, radii 0.9 to 1.5\n" in text
    assert "- jax_vmap_grad: JAX, vmap of grad of scan" in text
    assert "Without gradients of weights:" in text and "With the gradients of weights" in text
    assert "| 64,16,32,100 | 5.00 (4.00 to 8.00)" in text
    assert "| 64,16,32,100 | 10.0 (8.00 to 16.0)" in text
    of_tanh, _, of_lstm = text.partition("## lstm")
    assert "## tanh" in of_tanh and "nn_lstm_loop" not in of_tanh
    assert "| 64,16,32,100 | 10.0 (10.0 to 10.0) | 80.0" in of_lstm
    assert "| 2.00 (2.00 to 2.00) |\n" in of_lstm and "- nn_lstm_loop: PyTorch" in of_lstm
    assert text.count("All run forward and backward") == 1
    (path,) = folder.glob("*.json")
    document = json.loads(path.read_text())
    assert document["summary"]["64,16,32,100"]["ratios"]["bmm_hooks"]["median"] == 11.0
    assert len(document["measured"]["64,16,32,100"]) == 3
    gradients = document["summary_with_gradients"]["64,16,32,100"]
    assert gradients["to_plain"]["median"] == 2.0
    assert gradients["ratios"]["bmm_hooks"]["median"] == 16.5
    assert len(document["measured_with_gradients"]["64,16,32,100"]) == 3
    assert list(document["cells"]) == ["lstm"]
    lstm = document["cells"]["lstm"]
    assert lstm["summary"]["64,16,32,100"]["ratios"]["nn_lstm_loop"]["median"] == 2.0
    assert lstm["summary_with_gradients"]["64,16,32,100"]["ratios"]["nn_lstm_loop"]["median"] == 3.0
    assert len(lstm["measured"]["64,16,32,100"]) == 3
    assert document["machine"]["cpu"] and document["machine"]["kernel"]
    assert document["run"]["threads"] == 2
    assert [said["library"] for said in document["run"]["peers"]] == ["JAX", "PyTorch"]


def test_an_incomplete_round_is_refused(tmp_path):
    raw = write_raw(tmp_path / "raw")
    (raw / "2-tanh-64x16x32x100-ours.json").unlink()
    done = run_compare("ratios", raw, "--results", tmp_path / "results")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"compare: {raw}: round 2 of tanh 64,16,32,100 lacks our side"]
    assert not (tmp_path / "results").exists()


def test_results_without_tanh(tmp_path):
    """The report reads no rows of it."""
    raw = write_raw(tmp_path / "raw")
    for path in raw.glob("*-tanh-*"):
        path.unlink()
    done = run_compare("ratios", raw, "--results", tmp_path / "results")
    assert done.returncode == 0, done.stderr
    assert "## lstm" in done.stdout and "## tanh" not in done.stdout
    (path,) = (tmp_path / "results").glob("*/*.json")
    document = json.loads(path.read_text())
    assert document["measured"] == {} and list(document["cells"]) == ["lstm"]


def test_rounds_are_in_order_beyond_nine(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for number in range(1, 12):
        document = json.dumps(ours(float(number), 1.0))
        (raw / f"{number}-tanh-64x16x32x100-ours.json").write_text(document)
    measured = compare.load_rounds(compare.load_raw(raw)["tanh"])
    assert [r["ours_ms"] for r in measured[SHAPE]] == [float(n) for n in range(1, 12)]


@pytest.mark.parametrize("arguments, message", [
    (["--rounds", "0"], "--rounds: 0: not a positive whole number"),
    (["--threads"], "--threads: needs a value"),
    (["--shapes", "64,16,32,100 64,16,32"], "--shapes: 64,16,32: not four positive numbers"),
    (["--shapes", " "], "--shapes: names no shape"),
    (["--base", "1,2,3,x"], "--base: 1,2,3,x: not four positive numbers"),
    (["--peers", "torch tensorflow"], "--peers: tensorflow: not one of torch and jax"),
    (["--peers", " "], "--peers: names no peer"),
    (["--cells", "lstm relu"], "--cells: relu: not one of tanh, lstm and gru"),
    (["--cells", " "], "--cells: names no cell"),
    (["--quick"], "--quick: not understood")])
def test_script_refuses(arguments, message):
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"scripts/bench: {message}")
    assert done.stdout == ""


# ---- the peers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["64,16,32", "64,16,32,0", "64,16,32,x", "64,16,32,-1", ""])
def test_no_shape(text):
    with pytest.raises(argparse.ArgumentTypeError, match="not four positive numbers H,B,R,T"):
        shapes.Shape.parse(text)


def test_a_shape():
    shape = shapes.Shape.parse("64,16,32,100")
    assert (shape, str(shape)) == (SHAPE, "64,16,32,100")


@pytest.mark.parametrize("text", ["0.5", "0:1", "1.5:0.5", "a:b", "0.5:inf"])
def test_no_radii(text):
    with pytest.raises(argparse.ArgumentTypeError, match="not LOW:HIGH"):
        common.parse_radii(text)


def curve(*logs):
    """[1][T][3]: mean, least and greatest alike."""
    return np.repeat(np.array(logs)[None, :, None], 3, axis=2)


def test_the_check_accepts_what_agrees(capsys):
    common.compare("both", curve(-2.0, -1.00005, 0.0), curve(-2.0, -1.0, 0.0), "f32")
    assert "both: 1 of 1 curves within 5.0e-05" in capsys.readouterr().out


@pytest.mark.parametrize("found, precision", [
    (curve(-2.0, -1.0002, 0.0), "f32"), (curve(-2.0, -1.00000001, 0.0), "f64"),
    (curve(-np.inf, -1.0, 0.0), "f32"), (curve(np.nan, -1.0, 0.0), "f64")])
def test_the_check_refuses_what_differs(found, precision):
    with pytest.raises(common.PeerError, match="log10 of a norm differs by"):
        common.compare("both", found, curve(-2.0, -1.0, 0.0), precision)


def test_growing_curves_are_compared_in_f64_alone():
    grows, other = curve(3.0, 2.0, 0.0), curve(4.0, 2.0, 0.0)
    with pytest.raises(common.PeerError, match="every curve grows"):
        common.compare("both", other, grows, "f32")
    with pytest.raises(common.PeerError, match="differs by 1"):
        common.compare("both", other, grows, "f64")


def library_of(peers):
    """A library of plain NumPy."""
    return common.Library(name="NumPy", peers=dict.fromkeys(common.CELLS, peers), configure=None,
                          about=None, put=None, fetch=np.asarray,
                          wait=lambda computed, device: None)


def task_of_one_radius(weight_gradients, cell="tanh"):
    shape = shapes.Shape(hidden=2, batch=1, radii=1, steps=3)
    return common.Task(cell, shape, np.array([1.0]), [1.0], {}, weight_gradients)


def check_numpy(norms_factor, start_factor):
    """A peer with norms and dL/dh_0 beside one with dL/dh_0 alone, in f64 on one curve."""
    norms = 10.0 ** np.array([[[[-2.0]], [[-1.0]], [[0.0]]]])
    start = np.array([[[[3e-3, 4e-3]]]])
    library = library_of({
        "start_alone": lambda task: lambda: (None, start * start_factor, None),
        "both": lambda task: lambda: (norms * norms_factor, start, None)})
    common.check_task(library, curve(-2.0, -1.0, 0.0), None, task_of_one_radius(False), "f64")


def test_a_peer_without_norms_is_compared_at_its_start(capsys):
    check_numpy(1.0, 1.0)
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "f64 tanh 2,1,1,3 both and Rhosweep", "f64 tanh 2,1,1,3 start_alone and both at h_0"]


@pytest.mark.parametrize("factors, message", [
    ((1.001, 1.0), "both and Rhosweep: log10"),
    ((1.0, 1.001), "start_alone and both at h_0: log10")])
def test_a_wrong_peer_is_found(factors, message):
    with pytest.raises(common.PeerError, match=message):
        check_numpy(*factors)


def check_numpy_pair(**wrong):
    """A peer of an LSTM, whose dL/dc_T is 0; `wrong` norms of h or c are at the first step."""
    norms = 10.0 ** np.array([[[[-2.0], [-3.0]], [[-1.0], [-2.0]], [[0.0], [-np.inf]]]])
    for state, factor in wrong.items():
        norms[0, 0, "hc".index(state)] *= factor
    start = np.array([[[[3e-3, 4e-3]], [[3e-4, 4e-4]]]])
    ours = np.concatenate([curve(-2.0, -1.0, 0.0), curve(-3.0, -2.0, -np.inf)], axis=-1)
    library = library_of({"both": lambda task: lambda: (norms, start, None)})
    common.check_task(library, ours, None, task_of_one_radius(False, "lstm"), "f64")


def test_both_states_of_an_lstm_are_compared(capsys):
    check_numpy_pair()
    assert "f64 lstm 2,1,1,3 both and Rhosweep: 1 of 1 curves" in capsys.readouterr().out
    for state in "hc":
        with pytest.raises(common.PeerError, match="both and Rhosweep: log10"):
            check_numpy_pair(**{state: 1.001})


def check_numpy_gradients(**factors):
    """A peer whose gradients of weights are off by these factors, on one radius."""
    right = {"weight_ih": [[[3.0], [4.0]]], "weight_hh": [[[1.0, 1.0], [1.0, 1.0]]],
             "bias_ih": [[0.6, 0.8]], "bias_hh": [[0.6, 0.8]]}
    found = {name: np.array(value) * factors.get(name, 1.0) for name, value in right.items()}
    library = library_of({"peer": lambda task: lambda: (None, None, found)})
    ours = np.log10([[5.0, 2.0, 1.0, 1.0]])
    common.check_task(library, curve(-2.0, -1.0, 0.0), ours, task_of_one_radius(True), "f64")


def test_gradients_of_weights_are_compared(capsys):
    check_numpy_gradients()
    assert capsys.readouterr().out.startswith(
        "f64 tanh 2,1,1,3 peer and Rhosweep: weight gradients of 1 of 1 radii within ")


@pytest.mark.parametrize("name", common.GRADIENTS)
@pytest.mark.parametrize("factor", [1.001, 0.0, np.nan])
def test_a_wrong_gradient_of_weights_is_found(name, factor):
    with pytest.raises(common.PeerError, match="peer and Rhosweep: log10 of a norm differs by"):
        check_numpy_gradients(**{name: factor})


def test_gradients_of_weights_of_growing_curves_are_compared_in_f64_alone():
    grows, right, wrong = curve(3.0, 2.0, 0.0), np.zeros((1, 4)), np.ones((1, 4))
    with pytest.raises(common.PeerError, match="every curve grows"):
        common.compare_gradients("peer", wrong, right, grows, "f32")
    with pytest.raises(common.PeerError, match="differs by 1"):
        common.compare_gradients("peer", wrong, right, grows, "f64")


def test_the_first_run_is_not_timed(monkeypatch):
    now, runs = [0.0], []

    def run():
        runs.append(None)
        now[0] += 100.0 if len(runs) == 1 else 1.0  # the first compiles

    monkeypatch.setattr(common.time, "perf_counter", lambda: now[0])
    options = argparse.Namespace(device="cpu", repetitions=20, seconds=2.5)
    assert common.time_peer(library_of({}), run, options) == [1.0, 1.0, 1.0]


def run_peer(module, *arguments):
    """A peer's program; skips where its library is not installed."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: see bench/peers/requirements.txt")
    program = PEERS / f"{module}_peer.py"
    return subprocess.run([sys.executable, program, *map(str, arguments)], capture_output=True,
                          text=True, check=False)


OWN_PEERS = {("torch", "tanh"): ["bmm_hooks", "nn_rnn_loop", "cell_hooks"],
             ("torch", "lstm"): ["bmm_hooks", "nn_lstm_loop"],
             ("torch", "gru"): ["bmm_hooks", "nn_gru_loop"],
             ("jax", "tanh"): ["jax_vmap_grad", "jax_shared_w0"],
             ("jax", "lstm"): ["jax_vmap_grad"],
             ("jax", "gru"): ["jax_vmap_grad"]}


def check_timed(module, cell, extra, gradients):
    done = run_peer(module, "--shape", "5,2,3,4", "--cell", cell, "--repetitions", 2, *extra)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [(row["weight_gradients"], row["peer"]) for row in document["results"]] == [
        (wanted, name) for wanted in gradients for name in OWN_PEERS[module, cell]]
    assert all(row["shape"] == [5, 2, 3, 4] and row["cell"] == cell and row["median_ms"] > 0.0
               for row in document["results"])
    assert document["device"] == "cpu" and document["version"]
    assert set(OWN_PEERS[module, cell]) <= set(compare.RIVALS)


@pytest.mark.parametrize("module", ["torch", "jax"])
@pytest.mark.parametrize("extra, gradients", [
    ([], [False]), (["--precision", "f64"], [False]), (["--weight-gradients"], [True])])
def test_a_peer_is_timed(module, extra, gradients):
    check_timed(module, "tanh", extra, gradients)


@pytest.mark.parametrize("module, cell", OWN_PEERS)
def test_a_peer_is_timed_without_and_with_gradients_of_weights(module, cell):
    check_timed(module, cell, ["--weight-gradients", "both"], [False, True])


@pytest.mark.parametrize("module, cell", OWN_PEERS)
def test_a_peer_agrees_with_the_program(module, cell, tmp_path):
    """In the norms at every step, and in the weights' gradients."""
    program = os.environ.get("RHOSWEEP")
    if not program:
        pytest.skip("RHOSWEEP names no program to compare with")
    done = run_peer(module, "--check", tmp_path, "--rhosweep", program, "--shape", "10,2,4,30",
                    "--cell", cell, "--threads", 1, "--weight-gradients", "both")
    assert done.returncode == 0, done.stderr
    for name in OWN_PEERS[module, cell]:
        where = f"f64 {cell} 10,2,4,30 {name} and "
        with_whom = "bmm_hooks at h_0" if name.startswith("nn_") else "Rhosweep"
        assert f"{where}{with_whom}: 4 of 4 curves" in done.stdout
        assert f"{where}Rhosweep: weight gradients of 4 of 4 radii" in done.stdout


@pytest.mark.parametrize("module", ["torch", "jax"])
def test_a_peer_refuses(module):
    done = run_peer(module, "--shape", "5,2,3,4", "--peers", "nobody")
    assert done.returncode == 2
    assert "--peers: nobody: not one of" in done.stderr

"""The arithmetic and tables of scripts/bench on fixed measurements: no clock, no PyTorch."""

import copy
import importlib.util
import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "bench"
COMPARE = ROOT / "bench" / "peers" / "compare.py"

spec = importlib.util.spec_from_file_location("compare", COMPARE)
compare = importlib.util.module_from_spec(spec)
spec.loader.exec_module(compare)

SHAPE = (64, 16, 32, 100)
SUFFIX = "f32/tanh/H:64/B:16/R:32/T:100/manual_time"


def run_of(name, time, unit="us", **more):
    return {"name": name, "run_type": "iteration", "real_time": time, "time_unit": unit, **more}


def ours(milliseconds, blas):
    """What rhosweep-bench writes, as far as it is read."""
    return {
        "context": {"load_avg": [0.5, 0.4, 0.3], "rhosweep_commit": "abc123", "threads": "2"},
        "benchmarks": [
            run_of(f"bptt/cpu/{SUFFIX}", 1000 * milliseconds, gflops=800 / milliseconds,
                   peak_fraction=2 / milliseconds),
            run_of(f"baseline/blas_stepwise/{SUFFIX}", 1e6 * blas, "ns"),
            run_of("peak/fma/f32/manual_time", 1.0, gflops=400.0),
        ],
    }


def torch(**milliseconds):
    return {
        "torch": "2.8.0", "device": "cpu", "threads": 2, "radii": [0.9, 1.5],
        "weight_gradients": False,
        "results": [{"peer": name, "shape": list(SHAPE), "median_ms": value}
                    for name, value in milliseconds.items()],
    }


# The second round met a machine of half the speed; the third disturbed the peer alone.
ROUNDS = [
    (ours(4.0, 8.0), torch(bmm_hooks=40.0, nn_rnn_loop=100.0, cell_hooks=200.0)),
    (ours(8.0, 16.0), torch(bmm_hooks=88.0, nn_rnn_loop=200.0, cell_hooks=400.0)),
    (ours(5.0, 15.0), torch(bmm_hooks=100.0, nn_rnn_loop=100.0, cell_hooks=250.0)),
]


@pytest.fixture
def rounds():
    return [compare.load_round(*sides, SHAPE) for sides in ROUNDS]


def test_a_round(rounds):
    assert rounds[0] == {
        "ours_ms": 4.0, "gflops": 200.0, "peak_fraction": 0.5,
        "rival_ms": {"baseline/blas_stepwise": 8.0, "bmm_hooks": 40.0, "nn_rnn_loop": 100.0,
                     "cell_hooks": 200.0},
    }


def test_ratios_are_taken_within_rounds(rounds):
    """The ratio of medians would be 88 / 5 = 17.6 for bmm_hooks."""
    ratios = compare.summarise({SHAPE: rounds})[SHAPE]["ratios"]
    assert ratios == {
        "baseline/blas_stepwise": {"median": 2.0, "min": 2.0, "max": 3.0},
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
        "H,B,R,T", "ours, ms", "GFLOP/s", "of FMA peak", "x blas_stepwise", "x bmm_hooks",
        "x nn_rnn_loop", "x cell_hooks"]
    assert cells == ["64,16,32,100", "5.00 (4.00 to 8.00)", "160 (100 to 200)", "40% (25 to 50)",
                     "2.00 (2.00 to 3.00)", "11.0 (10.0 to 20.0)", "25.0 (20.0 to 25.0)",
                     "50.0 (50.0 to 50.0)"]
    assert len(header) == len(rule) == len(row)


def test_without_peers():
    summary = compare.summarise({SHAPE: [compare.load_round(sides[0], None, SHAPE)
                                         for sides in ROUNDS]})
    assert list(summary[SHAPE]["ratios"]) == ["baseline/blas_stepwise"]
    assert "bmm_hooks" not in compare.ratio_table(summary)


def test_repetitions_and_aggregates():
    """Of repetitions the middle one counts; Google Benchmark's own means do not."""
    name = f"bptt/cpu/{SUFFIX}"
    document = {"benchmarks": [run_of(name, time) for time in (7000.0, 5000.0, 6000.0)]
                + [{**run_of(name + "_mean", 1.0), "run_type": "aggregate"}]}
    assert compare.our_rows(document) == {("bptt/cpu", SHAPE): {"ms": 6.0}}


def test_other_shapes_precisions_and_engines_are_told_apart():
    name = "bptt/cpu/f64/tanh/H:64/B:16/R:32/T:100/manual_time"
    document = copy.deepcopy(ROUNDS[0][0])
    document["benchmarks"][:0] = [
        run_of(name, 1.0), run_of(f"bptt/reference/{SUFFIX}", 2.0),
        run_of(f"bptt/cpu/{SUFFIX.replace('T:100', 'T:1000')}", 3.0)]
    assert compare.load_round(document, None, SHAPE)["ours_ms"] == 4.0


def test_a_failed_benchmark_is_no_figure():
    document = copy.deepcopy(ROUNDS[0][0])
    document["benchmarks"][0].update(error_occurred=True, error_message="wrong result")
    with pytest.raises(compare.CompareError, match="bptt/cpu/.*: wrong result"):
        compare.load_round(document, None, SHAPE)


def test_a_missing_benchmark_is_no_figure():
    with pytest.raises(compare.CompareError, match="bptt/cpu at 64,16,32,200: not among"):
        compare.load_round(ROUNDS[0][0], None, (64, 16, 32, 200))


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
    document = copy.deepcopy(ROUNDS[0][0])
    name = f"bptt/cpu/{SUFFIX.replace('R:32', 'R:8')}"
    document["benchmarks"].append(run_of(name, 1100.0, gflops=1.0, peak_fraction=0.5))
    found = compare.load_round(document, None, SHAPE, base=(64, 16, 8, 100))
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
    for number, sides in enumerate(ROUNDS, start=1):
        for side, document in zip(("ours", "torch"), sides):
            path = folder / f"{number}-64x16x32x100-{side}.json"
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
    assert "commit abc123" in text and "PyTorch 2.8.0, radii 0.9 to 1.5" in text
    assert "| 64,16,32,100 | 5.00 (4.00 to 8.00)" in text
    (path,) = folder.glob("*.json")
    document = json.loads(path.read_text())
    assert document["summary"]["64,16,32,100"]["ratios"]["bmm_hooks"]["median"] == 11.0
    assert len(document["measured"]["64,16,32,100"]) == 3
    assert document["machine"]["cpu"] and document["machine"]["kernel"]
    assert document["run"]["threads"] == 2


def test_an_incomplete_round_is_refused(tmp_path):
    raw = write_raw(tmp_path / "raw")
    (raw / "2-64x16x32x100-ours.json").unlink()
    done = run_compare("ratios", raw, "--results", tmp_path / "results")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"compare: {raw}: round 2 of 64,16,32,100 lacks our side"]
    assert not (tmp_path / "results").exists()


def test_rounds_are_in_order_beyond_nine(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    for number in range(1, 12):
        document = json.dumps(ours(float(number), 1.0))
        (raw / f"{number}-64x16x32x100-ours.json").write_text(document)
    measured, _ = compare.load_raw(raw)
    assert [r["ours_ms"] for r in measured[SHAPE]] == [float(n) for n in range(1, 12)]


@pytest.mark.parametrize("arguments, message", [
    (["--rounds", "0"], "--rounds: 0: not a positive whole number"),
    (["--threads"], "--threads: needs a value"),
    (["--shapes", "64,16,32,100 64,16,32"], "--shapes: 64,16,32: not four positive numbers"),
    (["--shapes", " "], "--shapes: names no shape"),
    (["--base", "1,2,3,x"], "--base: 1,2,3,x: not four positive numbers"),
    (["--quick"], "--quick: not understood")])
def test_script_refuses(arguments, message):
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"scripts/bench: {message}")
    assert done.stdout == ""

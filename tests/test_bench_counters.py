"""What rhosweep-bench says beside its times: every counter against its formula and the time of the
same row."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

H, B, R, T, SEEDS = 12, 3, 4, 7, 5
LONG = 30  # steps of spectra, after a tenth as many
SHAPE = f"H:{H}/B:{B}/R:{R}/T:{T}"
FLOPS = 2 * H * H * R * B * T  # of one part and gate: a product for every column and step
GATES = {"tanh": 1, "relu": 1, "linear": 1, "lstm": 4, "gru": 3}
STATES = {"lstm": 2}  # others have one
# Reals of a unit and step that go from the forward pass to the backward pass.
TRACE = {"tanh": 1, "relu": 1, "linear": 0, "lstm": 5, "gru": 5}
# Which of the parts a row times: forward and backward pass, gradients of weights.
PARTS = {"bptt": (1, 1, 0), "forward": (1, 0, 0), "backward": (0, 1, 0), "baseline": (1, 1, 0),
         "bptt+gradients": (1, 1, 1), "gradient": (0, 0, 1)}
REAL = {"f32": 4, "f64": 8}
DIRECTIONS, QR_EVERY = 9, 2
LYAPUNOV = {cell: f"lyapunov/cpu/f64/{cell}/H:{H}/B:{B}/R:{R}/T:{LONG}/K:{DIRECTIONS}/qr:{QR_EVERY}"
            for cell in ("tanh", "lstm", "gru")}
FILTER = ("^(peak/fma|(bptt|forward|backward|bptt[+]gradients|gradient|sweep)/cpu|baseline"
          "|host/(store_commits|stages))")
STAGES = {"host/stages/profiles:no": (16, 2000), "host/stages/profiles:50": (16, 2000)}
SWEEPS = {f"sweep/cpu/f32/tanh/{SHAPE}/seeds:{SEEDS}{profiles}": (R, SEEDS)
          for profiles in ("", "/profiles:no")}


@pytest.fixture(scope="module")
def bench():
    program = os.environ.get("RHOSWEEP")
    bench = Path(program).with_name("rhosweep-bench") if program else None
    if not bench or not bench.exists():
        pytest.skip("RHOSWEEP names no program with a rhosweep-bench beside it")
    return bench


@pytest.fixture(scope="module")
def rows(bench, tmp_path_factory):
    out = tmp_path_factory.mktemp("bench") / "rows.json"
    subprocess.run(
        [bench, "--threads=1", f"--shape={H},{B},{R},{T}", f"--seeds={SEEDS}",
         "--benchmark_min_time=0.001", f"--benchmark_filter={FILTER}", f"--benchmark_out={out}",
         "--benchmark_out_format=json"],
        check=True, capture_output=True, timeout=240)
    found = json.loads(out.read_text())["benchmarks"]
    assert {row["time_unit"] for row in found} == {"us"}
    return {row["name"].removesuffix("/manual_time"): row for row in found}


def passes(rows):
    """Name, row, precision, cell, and which of the parts a row times."""
    for name, row in rows.items():
        match = re.fullmatch(rf"([a-z+]+)/\w+/(f32|f64)/(\w+)/{SHAPE}", name)
        if match:
            yield name, row, match[2], match[3], PARTS[match[1]]


@pytest.fixture(scope="module")
def spectra(bench, tmp_path_factory):
    out = tmp_path_factory.mktemp("bench") / "spectra.json"
    subprocess.run(
        [bench, "--threads=1", f"--shape={H},{B},{R},{LONG}", f"--directions={DIRECTIONS}",
         f"--qr-every={QR_EVERY}", "--benchmark_min_time=0.001", "--benchmark_filter=^(lyapunov|peak/fma/f64)",
         f"--benchmark_out={out}", "--benchmark_out_format=json"],
        check=True, capture_output=True, timeout=240)
    found = json.loads(out.read_text())["benchmarks"]
    return {row["name"].removesuffix("/manual_time"): row for row in found}


@pytest.mark.parametrize("cell", LYAPUNOV)
def test_counters_of_spectra(spectra, cell):
    row = spectra[LYAPUNOV[cell]]
    column_steps = R * B * (LONG + LONG // 10)
    assert amount(row, "column_steps_per_s") == pytest.approx(column_steps, rel=1e-6)
    assert amount(row, "exponents_per_s") == pytest.approx(R * B * DIRECTIONS, rel=1e-6)
    assert row["qr_gap"] == QR_EVERY
    assert row["qr_share"] > 0 and row["tangent_share"] > 0
    assert row["qr_share"] + row["tangent_share"] < 1
    # Of the time of the products alone.
    flops = 2 * GATES[cell] * H * H * DIRECTIONS * column_steps
    seconds = row["tangent_share"] * row["real_time"] * 1e-6
    assert row["gflops"] == pytest.approx(1e-9 * flops / seconds, rel=1e-6)
    best = spectra["peak/fma/f64"]["best_gflops"]
    assert row["peak_fraction"] == pytest.approx(row["gflops"] / best, rel=1e-6)


def amount(row, counter):
    """Of one iteration, from the amount per second."""
    return row[counter] * row["real_time"] * 1e-6


def test_every_engine_row_is_here(rows):
    # Precisions; parts, cells, baseline.
    assert len(list(passes(rows))) == 2 * (5 * len(GATES) + 1)


def test_flops_are_those_of_the_products(rows):
    for name, row, _, cell, which in passes(rows):
        right = 1e-9 * GATES[cell] * FLOPS * sum(which)
        assert amount(row, "gflops") == pytest.approx(right, rel=1e-6), name


def test_column_steps(rows):
    for name, row, *_ in passes(rows):
        assert amount(row, "column_steps_per_s") == pytest.approx(R * B * T, rel=1e-6), name


def test_the_fraction_is_of_the_best_fma_rate_of_the_same_precision(rows):
    for name, row, precision, *_ in passes(rows):
        best = rows[f"peak/fma/{precision}"]["best_gflops"]
        assert row["peak_fraction"] == pytest.approx(row["gflops"] / best, rel=1e-6), name


def test_bytes_are_traces_input_and_norms(rows):
    for name, row, precision, cell, which in passes(rows):
        if name.startswith("baseline"):
            continue  # keeps its states in its own way
        plane = R * B * T * H * REAL[precision]
        trace, states = TRACE[cell] * plane, which[2] * plane
        kept = 0 if cell == "gru" else states  # a GRU's trace has them
        drive = GATES[cell] * B * T * H * REAL[precision]
        norms = R * B * T * (8 * STATES.get(cell, 1) + 4)
        each = (trace + kept + drive, trace + norms, states)
        right = sum(part * bytes_ for part, bytes_ in zip(which, each))
        assert amount(row, "bytes_per_s") == pytest.approx(right, rel=1e-6), name


def test_the_peak_is_no_less_than_a_usual_run(rows):
    for precision in REAL:
        row = rows[f"peak/fma/{precision}"]
        assert row["best_gflops"] > 0.5 * row["gflops"]


def test_a_commit_is_a_case(rows):
    assert amount(rows["host/store_commits"], "cases_per_s") == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("name", [*STAGES, *SWEEPS])
def test_points_and_cases_of_a_sweep(rows, name):
    radii, seeds = {**STAGES, **SWEEPS}[name]
    row = rows[name]
    assert amount(row, "points_per_s") == pytest.approx(radii * seeds, rel=1e-6)
    assert amount(row, "cases_per_s") == pytest.approx(seeds, rel=1e-6)


@pytest.mark.parametrize("name", [*STAGES, *SWEEPS])
def test_shares_of_a_sweep(rows, name):
    radii, seeds = {**STAGES, **SWEEPS}[name]
    row = rows[name]
    points = radii * seeds
    assert 0 < row["engine_share"] < 1
    # No more than all processors for the whole time. Small sweeps mostly wait for the disk.
    cpu = row["cpu_us_per_point"] * points / row["real_time"]
    assert (0.01 if name in STAGES else 0) < cpu < (os.cpu_count() or 1) * 1.1
    database = row["bytes_per_point"] * points
    assert database == pytest.approx(round(database / 4096) * 4096) and database > 0


def test_an_engine_that_takes_no_time_takes_none(rows):
    for name in STAGES:
        assert rows[name]["engine_share"] < 0.5


def test_a_kept_profile_takes_a_float64_a_step(rows):
    bare, kept = (rows[name]["bytes_per_point"] for name in STAGES)
    assert kept - bare == pytest.approx(50 * 8, rel=0.25)


@pytest.mark.parametrize("name", [*STAGES, *SWEEPS])
def test_nothing_failed(rows, name):
    assert not rows[name].get("error_occurred")


def test_the_baseline_is_right_beyond_the_range_of_its_numbers(bench):
    """Gradients that shrink by 90 orders of magnitude pass the check of every benchmark."""
    subprocess.run([bench, "--threads=1", "--shape=8,1,2,300", "--benchmark_filter=^baseline/",
                    "--benchmark_min_time=0.001"], check=True, capture_output=True, timeout=240)

"""scripts/bench-workers on fixed numbers, without a clock; and once for real on small sweeps."""

import importlib.machinery
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "bench-workers"


def load():
    loader = importlib.machinery.SourceFileLoader("bench_workers", str(SCRIPT))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_workers", loader))
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


workers = load()


@pytest.mark.parametrize(("cores", "counts"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (8, [1, 2, 4, 8]),
                                               (48, [1, 2, 4, 8, 16, 32, 48])])
def test_counts_of_workers(cores, counts):
    assert workers.counts(cores) == counts


def test_shares_are_of_the_fewest_workers():
    found = workers.with_shares({1: 100.0, 2: 180.0, 4: 400.0})
    assert {n: one["ideal_share"] for n, one in found.items()} == {1: 1.0, 2: 0.9, 4: 1.0}
    assert found[2]["points_per_s"] == 180.0


def fakes(**more):
    return {"benchmarks": [{"name": "host/workers/W:32/launch_ms:10/manual_time", "points_per_s": 48000.0,
                            "ideal_share": 0.9375, "cpu_us_per_point": 20.5, "cases_per_s": 3000.0, **more}]}


def test_fake_devices_are_read_by_their_number():
    assert workers.fake_rounds(fakes()) == {32: {"points_per_s": 48000.0, "ideal_share": 0.9375,
                                                  "cpu_us_per_point": 20.5}}
    with pytest.raises(SystemExit, match="out of memory"):
        workers.fake_rounds(fakes(error_occurred=True, error_message="out of memory"))


def test_a_row_has_the_median_and_the_range():
    rounds = [{"fake devices": {32: {"points_per_s": rate, "ideal_share": rate / 51200}}}
              for rate in (40960.0, 51200.0, 46080.0)]
    one = workers.series("fake devices", rounds, workers.FULL)
    assert (one["launch_ms"], one["shape"]) == (10, (10, 1, 16, 50))
    assert workers.table(one).splitlines()[-1] == "| 32      | 46,080 [40,960, 51,200] | 90% [80%, 100%] |"


@pytest.fixture(scope="module")
def build():
    program = os.environ.get("RHOSWEEP")
    if not program or not (Path(program).parent / "rhosweep-bench").exists():
        pytest.skip("RHOSWEEP: names no build with benchmarks")
    return Path(program).resolve().parent


def bench(build, results, **options):
    command = [sys.executable, SCRIPT, "--quick", "--rounds", "2", "--build", build, "--results", results]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240, **options)


def read(results):
    (path,) = results.glob("*/workers/*.json")
    return json.loads(path.read_text()), (path.parent / "summary.md").read_text()


def has_mpi(build):
    return shutil.which("mpirun") and (build / "rhosweep_mpi.so").exists()


def test_small_sweeps_leave_a_file_and_a_page(build, tmp_path):
    done = bench(build, tmp_path)
    assert done.returncode == 0, done.stderr
    document, page = read(tmp_path)
    cores = [str(n) for n in workers.counts(len(os.sched_getaffinity(0)))]
    expected = {"fake devices": ["1", "2"], "threads": cores} | ({"ranks": cores} if has_mpi(build) else {})
    assert {one["series"]: list(one["measured"]) for one in document["workers"]} == expected
    for one in document["workers"]:
        assert all(len(rounds) == 2 for rounds in one["measured"].values())
    shares = [row["ideal_share"] for row in document["workers"][0]["measured"]["1"]]
    assert all(0.0 < share <= 1.0 for share in shares)
    assert document["run"]["load_average_at_start"] and document["machine"]["cores_usable"] == int(cores[-1])
    assert page.count("share of ideal") == len(expected)
    assert "load (1, 5, 15 minutes) before: " in page


def test_without_mpirun_ranks_are_left_out_and_it_says_so(build, tmp_path):
    (tmp_path / "bin").mkdir()
    done = bench(build, tmp_path / "results", env=os.environ | {"PATH": str(tmp_path / "bin")})
    assert done.returncode == 0, done.stderr
    document, page = read(tmp_path / "results")
    assert [one["series"] for one in document["workers"]] == ["fake devices", "threads"]
    assert document["run"]["left_out"] == {"ranks": "there is no mpirun"}
    assert "ranks left out: there is no mpirun" in page


def test_a_folder_without_programs_is_one_line(tmp_path):
    done = bench(tmp_path, tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("bench-workers: ") and done.stderr.count("\n") == 1

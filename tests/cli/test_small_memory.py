"""Little address space, as batch systems grant it: everything ends, and says why it could not go on."""

import os
import resource
import subprocess
import sys

import numpy as np
import pytest

import conftest
from conftest import SMALL, assert_whole, sweep, table

LIMITS = range(90, 371, 40)  # MB; the program and its libraries take 85, OpenBLAS's buffer 134
# Where LAPACK's larger products take that buffer.
LARGE = ["--hidden", 300, "--steps", 30, "--seeds", "1:3", "--rho", "0.5,1"]


def limited(megabytes, *arguments):
    """The finished process; a hang is a failure of the test."""
    room = megabytes * 1000 * 1000
    return subprocess.run(
        [conftest.PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False,
        timeout=60, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (room, room)),
    )


@pytest.fixture(autouse=True)
def not_sanitized():
    with open(conftest.PROGRAM, "rb") as program:
        if b"__asan_init" in (code := program.read()) or b"__tsan_init" in code:
            pytest.skip("sanitizers need terabytes of address space")


@pytest.mark.parametrize("megabytes", [90, 100, 115, 140, 200])
def test_what_needs_no_lapack_needs_little_memory(megabytes, database):
    sweep(database, *SMALL)
    for command in (["--version"], ["sweep", "--help"], ["devices"], ["table", "decay", database]):
        done = limited(megabytes, *command)
        assert (done.returncode, done.stderr) == (0, ""), command


@pytest.mark.parametrize("megabytes", LIMITS)
def test_a_sweep_works_or_says_that_it_cannot(megabytes, database):
    done = limited(megabytes, "sweep", "--quiet", "--output", database, *LARGE)
    if done.returncode == 0:
        assert len(table("decay", database)) == 2
    else:
        # One line, or where there is room for the engine but not for some matrix, one for each case.
        *cases, last = done.stderr.splitlines()
        assert done.returncode == 1
        assert all(line.startswith("rhosweep: a case failed: no memory") for line in cases)
        assert last.startswith("rhosweep: ") and (cases or "memory" in last or "thread" in last)
    if database.exists():
        assert_whole(database)


def test_a_sweep_that_shares_a_buffer_computes_the_same(database, tmp_path):
    """Where there is room for one of OpenBLAS's buffers only, threads take turns."""
    done = limited(600, "sweep", "--quiet", "--output", database, *LARGE)
    assert done.returncode == 0, done.stderr
    free = sweep(tmp_path / "free.db", *LARGE)
    assert conftest.table_text("profile", database) == conftest.table_text("profile", free)


@pytest.mark.parametrize("megabytes", LIMITS)
def test_inspect_works_or_says_that_it_cannot(megabytes, tmp_path):
    weight = np.random.default_rng(1).standard_normal((64, 64))
    np.savez(tmp_path / "model.npz", weight_hh_l0=weight)
    done = limited(megabytes, "inspect", tmp_path / "model.npz")
    assert done.returncode in (0, 1)
    assert "spectral radius" in done.stdout if done.returncode == 0 else "memory" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_blas_has_no_threads_of_its_own(database):
    """Nor does the user's OPENBLAS_NUM_THREADS bring them; the sweep's own threads have all CPUs."""
    seen = []
    process = subprocess.Popen(
        [conftest.PROGRAM, "sweep", "--quiet", "--output", database, "--threads", "1", "--hidden",
         "1000", "--steps", "10", "--rho", "1", "--seeds", "1", "--batch", "1"],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "8"})
    try:
        while process.poll() is None and len(seen) < 2000:
            with open(f"/proc/{process.pid}/status") as status:
                lines = dict(line.split(":", 1) for line in status)
            if "Threads" in lines:
                seen.append(int(lines["Threads"]))
                cpus = lines["Cpus_allowed"].strip()
            try:
                process.wait(0.002)
            except subprocess.TimeoutExpired:
                pass
    finally:
        process.kill()
        process.wait()
    assert 0 < max(seen) <= 4, "the caller's, a helper's, the engine's and the storing one"
    with open("/proc/self/status") as status:
        own = dict(line.split(":", 1) for line in status)
    assert cpus == own["Cpus_allowed"].strip()

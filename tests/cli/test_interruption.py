"""Kill -9 and Ctrl-C at any moment: nothing lost, nothing double, the same tables in the end."""

import random
import signal
import sqlite3
import subprocess
import time

import pytest

import conftest
from conftest import assert_whole, succeed, sweep, table, table_text

# 48 cases of 8 radii: a second or more of work, so that ten kills hit a living process.
CASES = 48
LONG = ["--hidden", "128", "--steps", "300,400", "--warmup", "300", "--batch", "16", "--seeds", "1:12",
        "--cell", "tanh,relu", "--rho", "0.5:2.25:0.25", "--input", "noise:0.5"]


def tables(database):
    return [table_text(name, database) for name in ("profile", "decay")]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Tables of the sweep done in one go, and the seconds it took."""
    database = tmp_path_factory.mktemp("whole") / "whole.db"
    start = time.monotonic()
    sweep(database, *LONG)
    seconds = time.monotonic() - start
    return tables(database), seconds


def start_sweep(database):
    return subprocess.Popen(
        [conftest.PROGRAM, "sweep", "--quiet", "--output", database, *LONG],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )


def curves_stored(database):
    """Curves in the profile table, each of which must be whole and there once."""
    if not database.exists() or database.stat().st_size == 0:
        return set()
    count = {}
    for row in table("profile", database):
        key = tuple(row[k] for k in ("cell", "steps", "rho", "seed"))
        count.setdefault(key, []).append(int(row["step"]))
    for key, steps in count.items():
        assert sorted(steps) == list(range(1, int(key[1]) + 1)), key
    return set(count)


def test_kill_at_ten_random_moments(uninterrupted, database):
    expected, seconds = uninterrupted
    moments = random.Random(20260)
    stored = set()
    grew = 0
    for _ in range(10):
        process = start_sweep(database)
        time.sleep(moments.uniform(0.02, 0.1) * seconds)
        process.kill()
        _, complaint = process.communicate(timeout=conftest.TIMEOUT)
        assert process.returncode == -signal.SIGKILL, complaint
        if database.exists() and database.stat().st_size:
            assert_whole(database)
        now = curves_stored(database)
        assert stored <= now
        grew += stored < now
        stored = now
    assert grew >= 2, "resuming must build on what was stored"
    sweep(database, *LONG)
    assert_whole(database)
    assert len(curves_stored(database)) == CASES * 8
    assert tables(database) == expected


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_interrupt_leaves_a_clean_database(name, uninterrupted, database):
    expected, seconds = uninterrupted
    process = start_sweep(database)
    time.sleep(0.4 * seconds)
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=conftest.TIMEOUT)
    assert process.returncode == 130, err
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("rhosweep: "), err
    assert str(database) in lines[0] and "the same command" in lines[0], "says how to go on"
    assert_whole(database)
    assert list(database.parent.iterdir()) == [database], "no journal is left behind"
    assert 0 < len(curves_stored(database)) < CASES * 8
    sweep(database, *LONG)
    assert tables(database) == expected


def test_tables_while_a_sweep_is_writing(uninterrupted, database):
    _, seconds = uninterrupted
    process = start_sweep(database)
    try:
        time.sleep(0.3 * seconds)
        looks = 0
        while process.poll() is None:
            succeed("table", "decay", database)
            looks += 1
        assert looks > 0
    finally:
        process.kill()
        process.communicate()


def test_two_sweeps_at_once_share_a_database(uninterrupted, database):
    expected, _ = uninterrupted
    both = [start_sweep(database) for _ in range(2)]
    for process in both:
        _, err = process.communicate(timeout=conftest.TIMEOUT)
        assert process.returncode == 0, err
    assert_whole(database)
    assert tables(database) == expected


def test_every_run_is_on_record(database):
    sweep(database, "--hidden", "8", "--steps", "20", "--rho", "1", "--seeds", "1")
    sweep(database, "--hidden", "8", "--steps", "20", "--rho", "1,2", "--seeds", "1")
    assert len(table("runs", database)) == 2
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()

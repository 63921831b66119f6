"""A database in a folder that users share: who reads leaves nothing that keeps its owner out."""

import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

import conftest
from conftest import SMALL, small_with

OWNER, READER = 23456, 34567

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")


@pytest.fixture
def shared():
    """A folder like /tmp, with a copy of the program."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o1777)
    shutil.copy(conftest.PROGRAM, folder / "rhosweep")
    yield folder
    shutil.rmtree(folder)


def start_as(user, folder, *arguments):
    def become():
        os.umask(0o022)
        os.setgid(user)
        os.setuid(user)

    return subprocess.Popen([folder / "rhosweep", *map(str, arguments)], cwd=folder,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            preexec_fn=become)


def run_as(user, folder, *arguments):
    process = start_as(user, folder, *arguments)
    out, err = process.communicate(timeout=conftest.TIMEOUT)
    assert process.returncode == 0, err
    return out


def files_of(folder, user):
    return sorted(path.name for path in folder.iterdir() if path.stat().st_uid == user)


def rows(text):
    return len(text.splitlines()) - 1  # but for the header


def test_reading_leaves_nothing_behind(shared):
    run_as(OWNER, shared, "sweep", "--quiet", "-o", "results.db", *SMALL)
    expected = run_as(OWNER, shared, "table", "decay", "results.db")
    assert run_as(READER, shared, "table", "decay", "results.db") == expected
    assert files_of(shared, READER) == []
    assert files_of(shared, OWNER) == ["results.db"]
    run_as(OWNER, shared, "sweep", "--quiet", "-o", "results.db", *small_with("--rho", "2"))


def start_long_sweep(folder):
    """A sweep of the owner's that stores for seconds, once the first cases are there."""
    process = start_as(OWNER, folder, "sweep", "--quiet", "-o", "results.db", "--hidden", 64,
                       "--steps", 400, "--batch", 4, "--rho", "0.5:1.5:0.1", "--seeds", "1:600",
                       "--threads", 1, "--profiles", "no")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        time.sleep(0.01)
        try:
            with closing(sqlite3.connect(f"file:{folder}/results.db?mode=ro", uri=True)) as seen:
                if seen.execute("SELECT count(*) FROM cases").fetchone()[0] > 0:
                    return process
        except sqlite3.OperationalError:
            pass  # being made
    raise AssertionError(process.communicate())


def test_reading_beside_a_sweep_sees_what_is_stored(shared):
    process = start_long_sweep(shared)
    try:
        seeds = []
        while process.poll() is None and len(set(seeds)) < 2:
            line = run_as(READER, shared, "table", "decay", "results.db", "--format",
                          "csv").splitlines()[1]
            seeds.append(int(line.split(",")[6]))
        assert seeds == sorted(seeds) and 0 < seeds[0] < seeds[-1] < 600, "it shows what is stored"
        assert process.poll() is None, "the sweep was still writing"
        assert files_of(shared, READER) == []
    finally:
        process.kill()
        process.communicate()


def test_reading_after_a_killed_sweep(shared):
    process = start_long_sweep(shared)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(files_of(shared, OWNER)) == 3, "its log is still there"
    out = run_as(READER, shared, "table", "decay", "results.db", "--format", "csv")
    assert rows(out) == 11
    assert files_of(shared, READER) == []
    run_as(OWNER, shared, "sweep", "--quiet", "-o", "results.db", *SMALL)
    assert files_of(shared, OWNER) == ["results.db"]


def test_a_sweep_that_begins_while_another_user_reads(shared):
    """The reader is told, or has the rows as they were; it never prints a mixture."""
    run_as(OWNER, shared, "sweep", "--quiet", "-o", "results.db", *small_with("--steps", "2000"))
    before = run_as(OWNER, shared, "table", "profile", "results.db", "--format", "csv")
    reader = start_as(READER, shared, "table", "profile", "results.db", "--format", "csv")
    first = reader.stdout.read(10)  # it stops where the pipe is full, with most rows to come
    run_as(OWNER, shared, "sweep", "--quiet", "-o", "results.db", *SMALL)
    rest, err = reader.communicate(timeout=conftest.TIMEOUT)
    assert reader.returncode == 1, "the owner's sweep has ended, and so has written to the file"
    assert err == ("rhosweep: results.db: a sweep has written to it meanwhile: run this again\n")
    assert len(first + rest) <= len(before)
    assert files_of(shared, READER) == []
    run_as(READER, shared, "table", "profile", "results.db")


def test_merging_what_others_own(shared):
    for i in range(2):
        run_as(OWNER, shared, "sweep", "--quiet", "-o", f"part{i}.db", *SMALL, "--shard", f"{i}/2")
    run_as(OWNER, shared, "sweep", "--quiet", "-o", "whole.db", *SMALL)
    run_as(READER, shared, "merge", "all.db", "part0.db", "part1.db")
    assert run_as(READER, shared, "table", "profile", "all.db") == \
        run_as(READER, shared, "table", "profile", "whole.db")
    assert files_of(shared, READER) == ["all.db"]
    assert files_of(shared, OWNER) == ["part0.db", "part1.db", "whole.db"]

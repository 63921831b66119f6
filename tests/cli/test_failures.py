"""Run-time failures: one line, exit 1, and what was stored stays whole."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import pytest

import conftest
from conftest import SMALL, assert_one_line, assert_whole, rhosweep, small_with, sweep, table_text

MORE = small_with("--seeds", "1:60", "--steps", "60,80", "--rho", "0.5:1.5:0.1")


def test_locked_database(database):
    sweep(database, *SMALL)
    before = table_text("profile", database)
    holder = sqlite3.connect(database, isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        done = rhosweep("sweep", "--quiet", "-o", database, *small_with("--rho", "2"))
        assert "locked" in assert_one_line(done, 1)
        holder.execute("ROLLBACK")
    finally:
        holder.close()
    assert_whole(database)
    assert table_text("profile", database) == before
    sweep(database, *small_with("--rho", "2"))


def limited_to(size):
    """For preexec_fn: no file may grow beyond `size` bytes, as on a full disk."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize("size", [0, 4096, 20_000])
def test_disk_full_from_the_start(size, database):
    done = rhosweep("sweep", "--quiet", "-o", database, *MORE, preexec_fn=limited_to(size))
    assert_one_line(done, 1)
    sweep(database, *SMALL)  # what is left is no hindrance once there is room


@pytest.mark.parametrize("room", [0, 10_000, 100_000])
def test_disk_full_later(room, database):
    sweep(database, *SMALL)
    before = set(table_text("profile", database).splitlines())
    size = database.stat().st_size + room
    done = rhosweep("sweep", "--quiet", "-o", database, *MORE, preexec_fn=limited_to(size))
    assert_one_line(done, 1)
    assert_whole(database)
    assert before <= set(table_text("profile", database).splitlines())
    sweep(database, *MORE)
    fresh = sweep(database.with_name("fresh.db"), *SMALL)
    sweep(fresh, *MORE)
    assert table_text("decay", database) == table_text("decay", fresh)


@pytest.fixture
def open_folder():
    """A folder that every user may enter, with a copy of the program."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    shutil.copy(conftest.PROGRAM, folder / "rhosweep")
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def as_nobody():
    """For preexec_fn: root may write everywhere, so become somebody who may not."""
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)


def run_as_nobody(folder, *arguments):
    return subprocess.run(
        [folder / "rhosweep", *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=conftest.TIMEOUT,
        preexec_fn=as_nobody,
    )


def test_read_only_folder(open_folder):
    open_folder.chmod(0o555)
    assert_one_line(run_as_nobody(open_folder, "sweep", "-o", "results.db", *SMALL), 1)
    assert [path.name for path in open_folder.iterdir()] == ["rhosweep"]


def test_read_only_database(open_folder):
    database = sweep(open_folder / "results.db", *SMALL)
    before = database.read_bytes()
    database.chmod(0o444)
    open_folder.chmod(0o555)
    done = run_as_nobody(open_folder, "sweep", "-o", "results.db", *small_with("--rho", "2"))
    assert_one_line(done, 1)
    assert database.read_bytes() == before


def test_tables_of_a_read_only_database(open_folder):
    database = sweep(open_folder / "results.db", *SMALL)
    expected = table_text("decay", database)
    database.chmod(0o444)
    open_folder.chmod(0o555)
    done = run_as_nobody(open_folder, "table", "decay", "results.db", "--format", "csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected


def test_table_on_a_full_disk(database):
    sweep(database, *SMALL)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [conftest.PROGRAM, "table", "profile", database],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=conftest.TIMEOUT,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("rhosweep: ") and len(done.stderr.splitlines()) == 1

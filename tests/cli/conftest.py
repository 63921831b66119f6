"""Runs the program as a user would. It is the one named by the environment variable RHOSWEEP, else
that of build/release, build/ci or build/dev."""

import csv
import io
import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 240  # seconds; sanitized builds are slow

# Small enough to be quick, uneven enough to be no special case.
SMALL_SWEEP = {"--hidden": "12", "--steps": "40", "--batch": "3", "--seeds": "1:3",
               "--rho": "0.5,1,1.5"}


def small_with(*options):
    """Options of the small sweep, with `options` in the place of its own."""
    kept = [(name, value) for name, value in SMALL_SWEEP.items() if name not in options]
    return [word for pair in kept for word in pair] + list(options)


SMALL = small_with()


def find_program():
    named = os.environ.get("RHOSWEEP")
    if named:
        return Path(named).resolve()
    for preset in ("release", "ci", "dev"):
        built = ROOT / "build" / preset / "rhosweep"
        if built.exists():
            return built
    raise pytest.UsageError("no program: run scripts/test, or set RHOSWEEP to the path of one")


PROGRAM = find_program()


def rhosweep(*arguments, **options):
    """The finished process; its output is text."""
    options.setdefault("timeout", TIMEOUT)
    return subprocess.run(
        [PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


def succeed(*arguments, **options):
    done = rhosweep(*arguments, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def sweep(database, *arguments, **options):
    succeed("sweep", "--quiet", "--output", database, *arguments, **options)
    return database


def table_text(name, database, output_format="csv"):
    return succeed("table", name, database, "--format", output_format)


def table(name, database):
    """The rows of a table, each a dict of strings."""
    return list(csv.DictReader(io.StringIO(table_text(name, database))))


def assert_whole(database):
    """SQLite finds no fault in the file."""
    connection = sqlite3.connect(database)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    finally:
        connection.close()


def assert_one_line(done, exit_code):
    """The contract for every error: the exit code, and one line "rhosweep: what: why"."""
    assert done.returncode == exit_code, (done.returncode, done.stderr)
    assert done.stdout == ""
    assert done.stderr.endswith("\n")
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("rhosweep: ")
    what, separator, why = lines[0].removeprefix("rhosweep: ").partition(": ")
    assert what and separator and why.strip(), lines[0]
    return lines[0]


@pytest.fixture
def database(tmp_path):
    return tmp_path / "results.db"

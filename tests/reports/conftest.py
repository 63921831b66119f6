"""One small database, made once by the program, and what its tables say."""

import csv
import importlib.util
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 240  # seconds; sanitized builds are slow
PRESETS = ("release", "ci", "dev")

# Uneven enough to be no special case: gradients that vanish, that grow, and beyond fp32.
SWEEP = {"--nonlinearity": "tanh,linear", "--ensemble": "gaussian,orthogonal", "--hidden": "8,12",
         "--steps": "120", "--batch": "2", "--seeds": "1:3", "--rho": "0.25,0.75,1.25,2",
         "--input": "noise:0.5", "--loss": "random", "--precision": "f64"}


def find_program():
    named = os.environ.get("RHOSWEEP")
    if named:
        return Path(named).resolve()
    for preset in PRESETS:
        built = ROOT / "build" / preset / "rhosweep"
        if built.exists():
            return built
    raise pytest.UsageError("no program: run scripts/test, or set RHOSWEEP to the path of one")


PROGRAM = find_program()
os.environ["RHOSWEEP"] = str(PROGRAM)  # for the package, in this process too
os.environ.setdefault("RHOSWEEP_PYTHON", sys.executable)


def pytest_collection_modifyitems(items):
    if importlib.util.find_spec("rhosweep_reports"):
        return
    for item in items:
        if Path(item.fspath).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.skip(reason="rhosweep_reports is not installed: "
                                                    "scripts/setup does it"))


def rhosweep(*arguments, **options):
    """The finished process; its output is text."""
    options.setdefault("timeout", TIMEOUT)
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True,
                          check=False, **options)


def succeed(*arguments, **options):
    done = rhosweep(*arguments, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(name, database):
    """The rows of a table as the program prints it."""
    return list(csv.DictReader(io.StringIO(succeed("table", name, database, "--format", "csv"))))


def sweep(database, options):
    succeed("sweep", "--quiet", "-o", database, *(word for pair in options.items() for word in pair))
    return database


def contents(folder):
    """File name to bytes."""
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    return sweep(tmp_path_factory.mktemp("sweep") / "small.db", SWEEP)


@pytest.fixture(scope="session")
def report(database, tmp_path_factory):
    """A whole report, in every format that needs no LaTeX."""
    folder = tmp_path_factory.mktemp("report") / "report"
    succeed("report", database, "-o", folder, "--format", "pdf,svg,png")
    return folder


@pytest.fixture(scope="session")
def results(database, tmp_path_factory):
    from rhosweep_reports.load import Results

    return Results(database, tmp_path_factory.mktemp("results"))

"""Runs the program as a user would, and makes databases for the tests of the reports."""

import csv
import io
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 240  # seconds; sanitized builds are slow
PRESETS = ("release", "ci", "dev")
GRADIENTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")

# Uneven enough to be no special case: gradients that vanish, that grow, and beyond fp32.
SWEEP = {"--cell": "tanh,linear", "--ensemble": "gaussian,orthogonal", "--hidden": "8,12",
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


def rhosweep(*arguments, **options):
    """The finished process; its output is text."""
    options.setdefault("timeout", TIMEOUT)
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True,
                          check=False, **options)


def package(*arguments, **options):
    """The package's own command line; as rhosweep."""
    return subprocess.run([sys.executable, "-m", "rhosweep_reports", *map(str, arguments)],
                          capture_output=True, text=True, check=False, timeout=TIMEOUT, **options)


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


def insert(connection, table, **values):
    columns = ", ".join(values)
    marks = ", ".join("?" * len(values))
    row = connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})",
                             tuple(values.values()))
    return row.lastrowid


def float64(values):
    """Bytes of a curve as the database has them."""
    return np.asarray(values, "<f8").tobytes()


def add_gradients(path, norms, thresholds):
    """Gives every point log10 norms(rho, seed) of its weights' gradients, and every case thresholds."""
    with closing(sqlite3.connect(path)) as connection, connection:
        points = connection.execute("SELECT p.id, rho_asked, seed FROM points p"
                                    " JOIN cases c ON c.id = p.case_id").fetchall()
        for point, rho, seed in points:
            insert(connection, "gradients", point_id=point,
                   **dict(zip(GRADIENTS, norms(rho, seed), strict=True)))
        for threshold in thresholds:
            connection.execute("INSERT INTO clips (case_id, max_norm, run_id)"
                               " SELECT id, ?, run_id FROM cases", (threshold,))
    return path


def make_fixed_database(path):
    """Norms of 10^-(rate k / ln 10): known without a sweep, and the same on every machine."""
    connection = sqlite3.connect(path)
    connection.executescript((ROOT / "host" / "store" / "schema.sql").read_text())
    run = insert(connection, "runs", started="2025-01-31T12:00:00.000Z", outcome="done",
                 finished="2025-01-31T12:00:01.000Z", version="0.1.0", git_commit="abc1234",
                 libraries="SQLite 3", host="box", system="Linux", engine="cpu", device="A CPU",
                 driver="", threads=2, memory=1000, command_line="rhosweep sweep", spec="[sweep]\n",
                 workers=1)
    for seed in (1, 2):
        case = insert(connection, "cases", cell="tanh", ensemble="gaussian", model_digest="",
                      hidden=8, steps=20, seed=seed, batch=4, input="pytorch", input_size=1, h0="zero",
                      warmup=0, loss="random", fit_skip=5, gate_bias="", gate_scale="", leak="1",
                      precision="f64", engine="cpu", raw=0, model="", status="done", run_id=run)
        for rho in (0.5, 1.0, 1.5, 2.0):
            rate = 0.75 - 0.5 * rho + 0.0078125 * seed
            point = insert(connection, "points", case_id=case, run_id=run, rho_asked=rho, rho=rho,
                           g=0.9375 * rho, decay_rate=rate)
            mean = -0.4375 * rate * np.arange(19.0, -1.0, -1.0)
            insert(connection, "curves", point_id=point, mean=float64(mean),
                   min=float64(mean - 0.125), max=float64(mean + 0.125))
        insert(connection, "timings", case_id=case, run_id=run, radii=4, columns=16, device="A CPU",
               threads=2, host="box", rank=0, device_index=0, forward_s=0.25, backward_s=0.75)
    connection.commit()
    connection.close()
    return path

"""Spectra and singular values that are known without a sweep: in a database, and as tables."""

import sqlite3
from contextlib import closing

import numpy as np
from report_tools import ROOT, float64, insert
from rhosweep_reports import database
from rhosweep_reports.table import NETWORK, Table

RADII = (0.75, 1.25, 2.0, 3.0)
SEEDS = (1, 2, 3)
STEPS, TRANSIENT = 40, 4
TIMES = (1, 4, 16, 40)


def exponents(rho, seed, count):
    """Descending, from above 0 for large radii, ever steeper."""
    place = np.arange(count) / count
    return 0.25 * np.log(rho) - 0.5 * place - 4.0 * rho * place**6 - 0.01 * seed


def eigenvalues(rho, count):
    """ln of moduli, near the exponents."""
    return exponents(rho, 2, count)


def decay_rate(rho, seed, count):
    return 0.001 * (seed - 2) * rho - exponents(rho, seed, count)[0]


def _case(connection, run, cell, hidden, seed, **settings):
    gates = {"gate_bias": "drawn", "gate_scale": "same", "leak": ""} if cell == "lstm" else \
        {"gate_bias": "", "gate_scale": "", "leak": "1"}
    case = {"cell": cell, "ensemble": "gaussian", "model_digest": "", "hidden": hidden, "steps": STEPS,
            "seed": seed, "batch": 1, "input": "zero", "input_size": 0, "h0": "normal:1", "warmup": 8,
            "loss": "random", "fit_skip": 10, "precision": "f64", "engine": "cpu", "raw": 0, "model": "",
            "status": "done", "run_id": run}
    return insert(connection, "cases", **(case | gates | settings))


def _point(connection, run, case, rho, seed, directions, count, cell):
    point = insert(connection, "points", case_id=case, run_id=run, rho_asked=rho, rho=rho, g=0.9375 * rho,
                   decay_rate=decay_rate(rho, seed, count))
    found = exponents(rho, seed, count)[:directions]
    insert(connection, "lyapunov", point_id=point, directions=directions, transient=TRANSIENT, qr_asked=0,
           qr_every=2, exponents=float64(found), standard_errors=float64(0.01 + 0.0 * found),
           predicted=float64(eigenvalues(rho, count)[:directions]) if cell == "linear" else None,
           log_slope=-0.25, sum_rule_residual=1e-10 if directions == count else None)
    for at in TIMES if directions == count else ():
        insert(connection, "singular_values", point_id=point, transient=TRANSIENT, qr_asked=0, at=at,
               logs=float64(at * found))


def make_database(path, cells=("tanh", "linear", "lstm"), hidden=(16,), radii=RADII, directions=None, **settings):
    """Networks of every cell and size; all directions, or so many."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript((ROOT / "host" / "store" / "schema.sql").read_text())
        run = insert(connection, "runs", started="2025-01-31T12:00:00.000Z", outcome="done",
                     finished="2025-01-31T12:00:01.000Z", version="0.1.0", git_commit="abc1234",
                     libraries="SQLite 3", host="box", system="Linux", engine="cpu", device="A CPU", driver="",
                     threads=2, memory=1000, command_line="rhosweep sweep", spec="[sweep]\n", workers=1)
        for cell in cells:
            for units in hidden:
                count = 2 * units if cell == "lstm" else units
                for seed in SEEDS:
                    case = _case(connection, run, cell, units, seed, **settings)
                    for rho in radii:
                        _point(connection, run, case, rho, seed, directions or count, count, cell)
    return path


def summary(spectra):
    """The table lyapunov-summary, as far as figures need it."""
    rows = []
    for row, (found, _) in zip(spectra.rows(), spectra.curves, strict=True):
        shared = {name: row[name] for name in (*NETWORK, "rho", "rho_asked", "g", "seed", "directions",
                                               "transient", "qr_every", "sum_rule_residual")}
        whole = row["sum_rule_residual"] != ""
        rows.append(shared | {"largest": repr(float(found[0])), "largest_standard_error": "0.01",
                              "kaplan_yorke": repr(4.0 * float(row["rho"])) if whole else "",
                              "entropy_rate": repr(0.25 * float(row["rho"])) if whole else ""})
    return Table.from_rows("lyapunov-summary", tuple(rows[0]), rows)


def seeds(path):
    """The table seeds, as far as figures need it."""
    found = database.read(path)["seeds"]
    names = ("rho_asked", "seed", "decay_rate", *NETWORK)
    return Table("seeds", names, [[str(value) for value in np.asarray(found[name]).tolist()] for name in names])


def tables(path):
    spectra = database.spectra(path)
    return {"lyapunov": spectra, "lyapunov-summary": summary(spectra), "seeds": seeds(path),
            "singular": database.singular_values(path)}

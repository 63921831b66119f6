"""Tables decay, critical and seeds of many networks whose numbers are known without a sweep."""

import numpy as np
from rhosweep_reports.table import Table

STEPS = 100
_BASE = {"cell": "tanh", "ensemble": "gaussian", "hidden": "64", "steps": str(STEPS), "batch": "4",
         "input": "noise:0.5", "input_size": "0", "h0": "zero", "warmup": "50", "loss": "random",
         "fit_skip": "10", "gate_bias": "", "gate_scale": "", "leak": "1", "precision": "f64", "raw": "0",
         "engine": "cpu", "model": "", "model_digest": ""}
RADII = (0.5, 1.0, 1.5, 2.0, 2.5)
ENSEMBLES = ("gaussian", "orthogonal", "symmetric", "uniform", "identity", "ring", "normal", "sparse:0.1")


def network(**settings):
    return _BASE | {name: str(value) for name, value in settings.items()}


def _turn(of):
    """The radius at which gradients turn."""
    sigma = float(of["input"].partition(":")[2] or 0.0)
    return 1.0 + sigma + 16.0 / int(of["hidden"])


def _rate(of, rho):
    return 0.5 * (_turn(of) - rho) if of["ensemble"] != "symmetric" else 0.25 / rho


def g_of(rho):
    return 0.9375 * rho


def _table(name, rows):
    return Table.from_rows(name, tuple(rows[0]), rows)


def decay(networks, radii=RADII, seeds=10):
    rows = []
    for of in networks:
        for rho in radii:
            rate = _rate(of, rho)
            rows.append(of | {"rho": repr(rho), "rho_asked": repr(rho), "g": repr(g_of(rho)),
                              "seeds": str(seeds), "decay_rate": repr(rate), "decay_rate_ci95": "0.03125",
                              "growing_fraction": "0.25" if rate > 0.0 else "1", "regime": "mixed",
                              "predicted_rate": repr(rate + 0.015625), "prediction": "mean field"})
    return _table("decay", rows)


def critical(networks, predicted=1.5, low=None, high=None):
    """`low` and `high` are the ends of all intervals; else 1/16 from the value."""
    rows = []
    for of in networks:
        turn, row = _turn(of), of | {"seeds": "10", "radii": "5", "g_predicted": repr(predicted)}
        for x, value in (("rho", turn), ("g", g_of(turn))):
            ends = (repr(value - 0.0625) if low is None else low,
                    repr(value + 0.0625) if high is None else high)
            found = (repr(value), *ends) if of["ensemble"] != "symmetric" else ("", "", "")
            row |= dict(zip((f"{x}_critical", f"{x}_critical_ci95_low", f"{x}_critical_ci95_high"), found,
                            strict=True))
        rows.append(row)
    return _table("critical", rows)


def seeds(networks, count=10, radii=RADII, spread=0.25):
    """Rates spread evenly around the mean."""
    rows = []
    for of in networks:
        for rho in radii:
            for seed, aside in enumerate(np.linspace(-spread, spread, count)):
                rows.append(of | {"rho": repr(rho), "rho_asked": repr(rho), "g": repr(g_of(rho)),
                                  "seed": str(seed), "decay_rate": repr(float(_rate(of, rho) + aside))})
    return _table("seeds", rows)


def tables(networks, count=10, radii=RADII):
    return {"decay": decay(networks, radii, count), "critical": critical(networks),
            "seeds": seeds(networks, count, radii)}

"""Tables of LSTM, GRU and leaky networks whose numbers are known without a sweep."""

import numpy as np
from rhosweep_reports.table import Table

STEPS = 40
PLAIN = {"ensemble": "gaussian", "hidden": "64", "steps": str(STEPS), "batch": "4", "input": "zero",
         "input_size": "0", "h0": "normal:1", "warmup": "0", "loss": "random", "fit_skip": "10",
         "precision": "f64", "raw": "0", "engine": "cpu", "model": "", "model_digest": ""}
SEEDS = (1, 2, 3)
_FIRST = {"tanh": 0.6, "relu": 0.7, "linear": 0.8, "lstm": 0.4, "gru": 0.3}


def network(cell, **settings):
    """The columns of a case: 'drawn' and 'same' for gates, a leak of 1 for others."""
    own = {"gate_bias": "drawn", "gate_scale": "same", "leak": ""} if cell in ("lstm", "gru") else \
        {"gate_bias": "", "gate_scale": "", "leak": "1"}
    return {"cell": cell} | PLAIN | own | settings


def rate(of, radius, seed=0):
    """Decay rate: some number that differs from all others."""
    bias = {"drawn": 0.0, "": 0.0, "chrono:50": 4.0, "chrono:1000": 6.0}
    bias = bias[of["gate_bias"]] if of["gate_bias"] in bias else float(of["gate_bias"])
    memory = 1.0 / (1.0 + np.exp(bias)) + 0.05 * (of["gate_scale"] == "native")
    first = _FIRST[of["cell"]] * float(of["leak"] or 1)
    return float(first * (2.0 * memory - 0.3 * radius)) + 0.01 * seed


def _columns(rows):
    return tuple(rows[0]), list(zip(*(row.values() for row in rows), strict=True))


def decay(networks, radii):
    """A row for each network and radius; None is the radius as drawn, 0.58."""
    rows = []
    for of in networks:
        for radius in radii:
            reached = radius or 0.58
            found = {"rho": repr(reached), "rho_asked": "" if radius is None else repr(radius),
                     "g": repr(0.9 * reached), "seeds": "3", "decay_rate": repr(rate(of, reached)),
                     "decay_rate_ci95": "0.03125", "growing_fraction": "0.5", "regime": "vanishing",
                     "predicted_rate": "", "prediction": "", "decay_rate_bound": ""}
            rows.append(of | found)
    return Table("decay", *_columns(rows))


def critical(networks):
    """A row for each network: as if the rate were 0 at a radius of 1.2."""
    found = {f"{x}_critical{end}": repr(place) for x, at in (("rho", 1.2), ("g", 1.1))
             for end, place in (("", at), ("_ci95_low", at - 0.1), ("_ci95_high", at + 0.2))}
    return Table("critical", *_columns([of | found | {"g_predicted": ""} for of in networks]))


def curve(of, radius, seed, state):
    """log10 norms from step 1 to the last; delta_c of the last is exactly 0."""
    back = np.arange(STEPS - 1.0, -1.0, -1.0)
    own = -rate(of, radius, seed) * back / np.log(10.0)
    if state == "c":
        own = own + 0.25
        own[-1] = -np.inf
    return own - (0.125 if state == "h" else 0.0)


def profile(networks, radii):
    rows, curves = [], []
    for of in networks:
        for radius in radii:
            for seed in SEEDS:
                reached = radius or 0.5 + 0.04 * seed
                for state in ("h", "c", "both") if of["cell"] == "lstm" else ("h",):
                    rows.append(of | {"rho": repr(reached), "g": repr(0.9 * reached), "seed": str(seed),
                                      "rho_asked": "" if radius is None else repr(radius),
                                      "state": state})
                    curves.append(curve(of, reached, seed, state))
    return Table("profile", *_columns(rows), curves)

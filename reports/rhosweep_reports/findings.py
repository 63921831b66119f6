"""What the tables say in short: ranges of one regime, critical radii, horizons, names of networks.

Everything here is computed from rows of the tables alone.
"""

import math

import numpy as np

# A format's gradients leave its range where norm / sqrt(H) rounds to 0 or exceeds the largest
# finite number, as in host/fit/fit.h.
LIMITS = {
    "fp32": (2.0**-150, 3.4028234663852886e38),
    "fp16": (2.0**-25, 65504.0),
    "bf16": (2.0**-134, 3.3895313892515355e38),
}
VANISHED = 3.0  # decades below the start: "1e-3 of the start"


def limits_log10(hidden):
    """Format to log10 of the norms at which gradients become 0 and inf."""
    root = 0.5 * math.log10(hidden)
    return {name: (math.log10(low) + root, math.log10(high) + root)
            for name, (low, high) in LIMITS.items()}


def critical_radius(rho, rate):
    """Where the rate first falls through 0, linear between two rows; None where it never does."""
    for k in range(1, len(rho)):
        if rate[k - 1] > 0.0 >= rate[k]:
            return float(rho[k - 1] + (rho[k] - rho[k - 1]) * rate[k - 1] / (rate[k - 1] - rate[k]))
    return None


def by_radius(table):
    """The rows in ascending radius (imported weights as they are have no order of their own)."""
    return np.argsort(table.numbers("rho"), kind="stable")


def regimes(decay):
    """Runs of neighbouring radii of one regime: (regime, first radius, last radius)."""
    order = by_radius(decay)
    rho, names = decay.numbers("rho")[order], [decay.text("regime")[k] for k in order]
    runs = []
    for radius, name in zip(rho, names, strict=True):
        if runs and runs[-1][0] == name:
            runs[-1][2] = float(radius)
        else:
            runs.append([name, float(radius), float(radius)])
    return [tuple(run) for run in runs]


def curves(profile):
    """Radius (mean over seeds) to log10 norms [seeds, T], from step 1 to T, radii ascending."""
    found = [(float(part.numbers("rho").mean()), np.array(part.curves))
             for part in profile.split(("rho_asked",))]
    return sorted(found, key=lambda curve: curve[0])


def horizon(log10_norm):
    """Steps back from the loss at which each curve [seeds, T] is first 1e-3 of its start; NaN where
    it never is."""
    back = log10_norm[:, ::-1]
    below = back <= back[:, :1] - VANISHED
    return np.where(below.any(axis=1), below.argmax(axis=1), np.nan)


# --- names ----------------------------------------------------------------------------------------

def number(value, digits=3):
    """Short, for sentences and labels."""
    return f"{value:.{digits}g}"


def units(table, column="hidden"):
    """ "H = 64" or "H = 64 to 512"."""
    values = sorted({int(cell) for cell in table.text(column)})
    name = {"hidden": "H", "steps": "T", "batch": "B"}[column]
    return f"{name} = {values[0]}" + (f" to {values[-1]}" if len(values) > 1 else "")


def seeds(table):
    """ "10 seeds", from either table."""
    if "seed" in table:
        count = len(set(table.text("seed")))
    else:
        count = max(int(cell) for cell in table.text("seeds"))
    return f"{count} seed" + ("" if count == 1 else "s")


def kind(table):
    """ "tanh, gaussian": or the name of the imported weights."""
    model = table.one("model")
    return f"{table.one('cell')}, {model or table.one('ensemble')}"


def setting(table):
    """The rest that a figure must name."""
    told = [f"input {table.one('input')}", f"loss {table.one('loss')}", units(table, "batch"),
            table.one("precision")]
    if table.one("h0") != "zero":
        told.insert(1, f"h0 {table.one('h0')}")
    if table.one("raw") == "1":
        told.append("raw")
    return ", ".join(told)


def describe(table):
    """Two lines for the head of a figure: the network, and how it was run."""
    return (f"{kind(table)}, {units(table)}, {units(table, 'steps')}, {seeds(table)}\n"
            f"{setting(table)}")


def plain(text):
    """Text as part of a file name."""
    return "".join(c if c.isalnum() or c in ".+" else "-" for c in text).strip("-")


def slug(part, whole, columns):
    """A file name's part that tells `part` from all others of `whole` split by `columns`."""
    told = [plain(part.one("cell")),
            plain(part.one("model").removesuffix(".npz") or part.one("ensemble"))]
    if "hidden" in columns:
        told.append("H" + part.one("hidden"))
    told.append("T" + part.one("steps"))
    named = ("cell", "ensemble", "hidden", "steps", "model")
    told += [plain(f"{column}-{part.one(column)}") for column in columns
             if column not in named and whole.varies(column)]
    return "_".join(told)



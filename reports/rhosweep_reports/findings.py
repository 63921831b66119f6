"""What the tables say in short: ranges of one regime, critical radii, horizons, names of networks.

Everything here is computed from rows of the tables alone.
"""

import math

import numpy as np

from . import rounding
from .table import CELL, OF_CELLS

# A format's gradients leave its range where norm / sqrt(H) rounds to 0 or exceeds the largest
# finite number, as in host/fit/fit.h.
LIMITS = {
    "fp32": (2.0**-150, 3.4028234663852886e38),
    "fp16": (2.0**-25, 65504.0),
    "bf16": (2.0**-134, 3.3895313892515355e38),
}
VANISHED = 3.0  # decades below the start: "1e-3 of the start"
PAIR = "both"  # the state of an LSTM
# Names for people, in the order in which cells are shown; and the blocks of W_hh of those with gates.
CELLS = {"tanh": "tanh", "relu": "relu", "linear": "linear", "lstm": "LSTM", "gru": "GRU"}
GATES = {"lstm": 4, "gru": 3}


def limits_log10(hidden):
    """Format to log10 of the norms at which gradients become 0 and inf."""
    root = 0.5 * math.log10(hidden)
    return {name: (math.log10(low) + root, math.log10(high) + root)
            for name, (low, high) in LIMITS.items()}


def by_radius(table):
    """The rows in ascending radius (imported weights as they are have no order of their own)."""
    return np.argsort(table.numbers("rho"), kind="stable")


def _runs(rho, names):
    """Runs of neighbouring radii of one name: (name, first radius, last radius)."""
    runs = []
    for radius, name in zip(rho, names, strict=True):
        if runs and runs[-1][0] == name:
            runs[-1][2] = float(radius)
        else:
            runs.append([name, float(radius), float(radius)])
    return [tuple(run) for run in runs]


def regimes(decay):
    """Runs of neighbouring radii of one regime: (regime, first radius, last radius)."""
    order = by_radius(decay)
    return _runs(decay.numbers("rho")[order], [decay.text("regime")[k] for k in order])


def radii(table, x="rho"):
    """(radius or coupling, the rows that asked for one radius), a mean over seeds, ascending."""
    found = [(float(part.numbers(x).mean()), part) for part in table.split(("rho_asked",))]
    return sorted(found, key=lambda one: one[0])


def states(profile):
    """A part for each state that gradients are kept of; first the one that decay rates are fitted
    to: the pair (h, c) of an LSTM, else h."""
    return sorted(profile.split(("state",)), key=lambda part: part.one("state") != PAIR)


def curves(profile, x="rho"):
    """Radius or coupling (mean over seeds) to log10 norms [seeds, T] of the state that decay rates are
    fitted to, from step 1 to T, ascending."""
    return [(place, np.array(part.curves)) for place, part in radii(states(profile)[0], x)]


def horizon(log10_norm):
    """Steps back from the loss at which each curve [seeds, T] is first 1e-3 of its start; NaN where
    it never is."""
    back = log10_norm[:, ::-1]
    below = back <= back[:, :1] - VANISHED
    return np.where(below.any(axis=1), below.argmax(axis=1), np.nan)


# --- clipping -------------------------------------------------------------------------------------

def log10(table, column):
    """log10 of norms, which may be beyond the range of doubles; NaN where there is none."""
    cells = [cell.lower().partition("e") for cell in table.text(column)]
    mantissa = np.array([float(cell or "nan") for cell, _, _ in cells])
    exponent = np.array([float(cell or "0") for _, _, cell in cells])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(mantissa) + exponent


def each_network(clip, column):
    """log10 of the norms at one radius, one for each seed: a row differs from the others of its
    seed in its threshold."""
    return np.array(list(dict(zip(clip.text("seed"), log10(clip, column), strict=True)).values()))


def quantiles(values, parts):
    """Linear between the two values around. NaN, which comes of an overflow, counts as infinite:
    a quantile of those that are left would be too low."""
    ordered = np.sort(np.where(np.isnan(values), np.inf, values))
    place = np.multiply(parts, len(ordered) - 1)
    below, above = (ordered[end(place).astype(int)] for end in (np.floor, np.ceil))
    part = place % 1.0
    with np.errstate(invalid="ignore"):
        return np.where(below == above, below, (1.0 - part) * below + part * above)


def thresholds(clip):
    """The rows of each threshold, ascending."""
    return sorted(clip.split(("max_norm",)), key=lambda part: part.numbers("max_norm")[0])


def _is_clipped(clip):
    """Whether a network's gradient is scaled down. One that is not finite stays so."""
    return (log10(clip, "clip_coef") < 0.0) & (log10(clip, "total") < np.inf)


def clipped_share(clip, x="rho"):
    """Radii or couplings, and at each the fraction of networks that one threshold scales down."""
    return np.transpose([(place, _is_clipped(part).mean()) for place, part in radii(clip, x)])


def nonfinite_share(clip, x="rho"):
    """Radii or couplings, and at each the fraction of networks whose gradient is not finite."""
    return np.transpose([(place, 1.0 - np.mean(each_network(part, "total") < np.inf))
                         for place, part in radii(clip, x)])


def clipped_ranges(clip):
    """(first, last) of neighbouring radii at which one threshold clips more than half of the
    networks."""
    rho, share = clipped_share(clip)
    return [(first, last) for most, first, last in _runs(rho, share > 0.5) if most]


def left_alone(clip, decay):
    """How many networks at radii where gradients vanish have theirs left as they are, and how many
    there are."""
    vanishing = {asked for asked, regime in zip(decay.text("rho_asked"), decay.text("regime"),
                                                strict=True) if regime == "vanishing"}
    there = np.array([asked in vanishing for asked in clip.text("rho_asked")])
    return np.sum(there & (log10(clip, "clip_coef") == 0.0)), there.sum()


# --- Lyapunov exponents ---------------------------------------------------------------------------

def decay_rates(seeds):
    """Radius asked for and seed to decay rate, of one kind of network."""
    names = zip(seeds.text("rho_asked"), seeds.text("seed"), strict=True)
    return dict(zip(names, seeds.numbers("decay_rate"), strict=True))


def beside_rates(spectra, rates):
    """Of each row its largest exponent, and minus the decay rate of its network [rows, 2]: both, or NaN."""
    names = zip(spectra.text("rho_asked"), spectra.text("seed"), strict=True)
    pairs = np.column_stack([spectra.numbers("largest"), [-rates.get(name, np.nan) for name in names]])
    pairs[~np.isfinite(pairs).all(axis=1)] = np.nan
    return pairs


# --- names ----------------------------------------------------------------------------------------

def key(part, columns):
    """What all rows share in these columns."""
    return tuple(part.one(column) for column in columns)


def number(value, digits=3):
    """Short, for sentences and labels."""
    return f"{value:.{digits}g}"


def bounded(value, low, high):
    """A value and its interval: "1.609 [1.588, 1.636]"; without one, the value. An end that is 0 or
    infinite is beyond the radii of the sweep."""
    how = rounding.between(value, low, high)
    if not (math.isfinite(low) or math.isfinite(high)) or low == high:
        return how.whole(value)
    ends = (how(end) if 0.0 < end < math.inf else "beyond the radii swept" for end in (low, high))
    return f"{how(value)} [{', '.join(ends)}]{how.exponent}"


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


def cell(table):
    """Its name for people."""
    return CELLS.get(table.one("cell"), table.one("cell"))


def kind(table):
    """ "tanh, gaussian": or the name of the imported weights; without a cell where there are
    several."""
    drawn = zip(table.text("model"), table.text("ensemble"), strict=True)
    weights = ", ".join(dict.fromkeys(model or ensemble for model, ensemble in drawn))
    return weights if table.varies("cell") else f"{cell(table)}, {weights}"


_USUAL = {"gate_bias": "drawn", "gate_scale": "same", "leak": "1"}


def is_usual(column, table):
    """Whether a setting of cells needs no mention."""
    return {*table.values(column)} <= {_USUAL[column]}


def name_of(column):
    return column.replace("_", " ")


def _of_cells(table):
    """The settings of cells that all rows share as far as they have them."""
    return [f"{name_of(column)} {table.values(column)[0]}" for column in OF_CELLS
            if len(table.values(column)) == 1
            and (column == "gate_bias" or not is_usual(column, table))]


def settings_of(part, whole):
    """The cell's settings by which it differs from others of `whole`."""
    return ", ".join(f"{name_of(column)} {part.one(column)}" for column in OF_CELLS
                     if differs(column, part, whole))


def variant(part, whole):
    """The cell with these settings."""
    return ", ".join(filter(None, (cell(part), settings_of(part, whole))))


def setting_order(text):
    """Numbers ascending, before words, which come with their own number."""
    word, _, number = text.rpartition(":")
    try:
        return word, float(number)
    except ValueError:
        return text, 0.0


def variants(table, columns=CELL):
    """A part for each cell and its settings, in the order of CELLS."""
    known = list(CELLS)

    def place(part):
        name, *settings = key(part, columns)
        at = known.index(name) if name in known else len(known)
        return at, name, *map(setting_order, settings)

    return sorted(table.split(columns), key=place)


def radius_asked(table):
    """ "ρ = 1.5", of rows that asked for the same."""
    asked = table.one("rho_asked")
    return f"ρ = {number(float(asked), 4)}" if asked else "ρ native"


def _inputs(table):
    """ "noise:0.5" or "noise:0.1 to noise:1.5"."""
    found = sorted(table.values("input"), key=setting_order)
    return found[0] if len(found) == 1 else f"{found[0]} to {found[-1]}"


def setting(table):
    """The rest that a figure must name."""
    told = [f"input {_inputs(table)}", f"loss {table.one('loss')}", units(table, "batch"),
            table.one("precision")]
    if table.one("h0") != "zero":
        told.insert(1, f"h0 {table.one('h0')}")
    if table.one("raw") == "1":
        told.append("raw")
    return ", ".join(told)


def describe(table, *more):
    """Lines for the head of a figure: the network, how it was run, and anything else worth saying."""
    lines = [f"{kind(table)}, {units(table)}, {units(table, 'steps')}, {seeds(table)}",
             setting(table), ", ".join([*_of_cells(table), *more])]
    return "\n".join(filter(None, lines))


def describe_at_radius(table):
    """The same, with the radius where all rows share it."""
    return describe(table) if table.varies("rho_asked") else describe(table, radius_asked(table))


def plain(text):
    """Text as part of a file name."""
    return "".join(c if c.isalnum() or c in ".+" else "-" for c in text).strip("-")


def differs(column, part, whole):
    """Whether rows of `whole` differ in a column, and `part` has a value there."""
    return len(whole.values(column)) > 1 and bool(part.one(column)) if column in OF_CELLS \
        else whole.varies(column)


def slug(part, whole, columns):
    """A file name's part that tells `part` from all others of `whole` split by `columns`."""
    told = [plain(part.one("cell"))] if "cell" in columns else []
    if "ensemble" in columns:
        told.append(plain(part.one("model").removesuffix(".npz") or part.one("ensemble")))
    if "hidden" in columns:
        told.append("H" + part.one("hidden"))
    told.append("T" + part.one("steps"))
    named = ("cell", "ensemble", "hidden", "steps", "model")
    told += [plain(f"{column}-{part.one(column)}") for column in columns
             if column not in named and differs(column, part, whole)]
    return "_".join(told)



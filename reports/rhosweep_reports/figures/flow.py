"""Figures of decay rates over the spectral radius, from the tables decay and critical."""

import numpy as np
from matplotlib.ticker import PercentFormatter

from .. import findings, style
from ..rounding import between
from ..text import math as formula
from .drawing import (
    OVER,
    RATE,
    SYMBOL,
    Absent,
    end_of,
    evenly,
    finite_range,
    legend_below,
    letters,
    name_regions,
    padded,
    tint_regions,
    with_interval,
    zero_line,
)
from .places import fraction, name_ends, name_line, write_where_free

MOST_NAMES = 9  # of sizes at the right of a picture


def ordered(table, *columns):
    order = findings.by_radius(table)
    return [table.numbers(column)[order] for column in columns]


def _sizes(decay):
    return sorted(decay.split(("hidden",)), key=lambda part: int(part.one("hidden")))


def has_radii_or_is_plain(table, *_others):
    """Whether figures over the radius are called for: one radius of a cell with gates or a leak is
    shown beside its other settings."""
    return table.varies("rho_asked") or table.one("leak") == "1"


def need_rates(decay):
    if not np.isfinite(decay.numbers("decay_rate")).any():
        raise Absent("no decay rate: all curves are too short, or not finite")


# --- rate -----------------------------------------------------------------------------------------

def law_words(law):
    """For people: the decay rate is minus the logarithm that the table names."""
    if law == "mean field":
        return "mean-field theory"
    logarithm = law.replace("ln", r"\ln\,").replace("rho", r"\rho")
    return "theory: " + (formula(f"-{logarithm}") if law.startswith("ln") else law)


def laws(part, x):
    """(law, places ascending, rates) of each law that predicts."""
    for law in part.values("prediction") if "prediction" in part else ():
        chosen = np.array([name == law for name in part.text("prediction")])
        place, rate = part.numbers(x)[chosen], part.numbers("predicted_rate")[chosen]
        order = np.argsort(place, kind="stable")
        yield law, place[order], rate[order]


def predictions(axes, part, x, colour):
    """A line for each law; returns law to line."""
    drawn = {}
    for law, place, rate in laws(part, x):
        (drawn[law],) = axes.plot(place, rate, color=colour, linewidth=style.stroke(0.8), zorder=2.5,
                                  label=f"_{law}")  # in no legend
    return drawn


def name_laws(drawn):
    """When the layout is settled."""
    for law, line in drawn.items():
        name_line(line.axes, law_words(law), *line.get_data(), at=0.3, color=style.THEORY_TEXT)


def rate_limits(decay):
    """Limits of decay rates: data with their intervals as far as these leave room for the data, and
    predictions, but not laws of other cells."""
    rates, half, predicted = (decay.numbers(name) for name in
                              ("decay_rate", "decay_rate_ci95", "predicted_rate"))
    values = np.concatenate([rates, predicted, [0.0]])
    low, high = finite_range(values)
    more = np.minimum(np.where(np.isfinite(half), half, 0.0), 0.5 * (high - low))
    low, high = finite_range(np.concatenate([values, rates - more, rates + more]))
    margin = 0.05 * (high - low) or 0.1
    return low - margin, high + margin


def share_rates(look, decay, _critical):
    """One scale for the rates of all families, so that pictures can be compared."""
    return {"x": look.x or "rho", "limits": rate_limits(decay)}


def _draw_rates(axes, parts, x):
    """Points of every size, named at the right."""
    ends = []
    for part, grey in zip(parts, style.size_greys(len(parts)), strict=True):
        place, value, half = ordered(part, x, "decay_rate", "decay_rate_ci95")
        axes.errorbar(place, value, yerr=np.where(np.isfinite(half), half, 0.0), fmt="o", color=grey,
                      label=f"H = {part.one('hidden')}", markeredgewidth=0, zorder=3,
                      elinewidth=style.stroke(0.7))
        ends += end_of(place, value, formula(f"H={part.one('hidden')}"), {"color": letters(grey)})
    if len(parts) > 1:
        name_ends(axes, evenly(ends, MOST_NAMES), "small")


def _draw_linear_law(axes, decay, x):
    """-ln rho, to compare other cells with; returns the words for it and where they belong."""
    if decay.one("leak") != "1" or decay.one("cell") == "linear":
        return None  # gates and leaks carry gradients past W_hh
    place, rho = ordered(_sizes(decay)[-1], x, "rho")
    along = np.linspace(place.min(), place.max(), 200)
    law = -np.log(np.interp(along, place, rho))
    axes.plot(along, law, color=style.REFERENCE, linestyle=":", zorder=1.8, label="linear cells")
    return "linear cells: " + formula(r"-\ln\,\rho"), along, law


def _critical_point(critical, x):
    """Of the largest network that has one: its row's place, interval and size."""
    if critical is None:
        return None
    known = [part for part in _sizes(critical) if np.isfinite(part.numbers(f"{x}_critical")[0])]
    if not known:
        return None
    names = (f"{x}_critical", f"{x}_critical_ci95_low", f"{x}_critical_ci95_high", "g_predicted")
    return known[-1], [known[-1].numbers(name)[0] for name in names]


def _mark_critical(axes, critical, x):
    """Where gradients turn from vanishing to exploding. Returns words, the place they point to, how far above
    it they are best, and their colour."""
    found = _critical_point(critical, x)
    if not found:
        return []
    part, (place, low, high, predicted) = found
    left, right = axes.get_xlim()
    if not left < place < right:
        return []  # of networks as drawn, beside other radii
    ends = np.clip([low, high], left, right)
    axes.plot(ends, [0.0, 0.0], color=style.MEASURED, linewidth=style.stroke(2.0), solid_capstyle="butt",
              zorder=4)
    axes.plot([place], [0.0], marker="D", markersize=style.stroke(3.8), color=style.MEASURED,
              markeredgecolor="white", markeredgewidth=style.stroke(0.7), zorder=5)
    size = f"\n({formula('H=' + part.one('hidden'))})" if len(_sizes(critical)) > 1 else ""
    told = [(formula(f"{SYMBOL[x]}={with_interval(place, low, high)}") + size, place, 0.15, style.MEASURED)]
    if x == "g" and left < predicted < right:
        axes.plot([predicted], [0.0], marker="|", markersize=style.stroke(9), color=style.THEORY,
                  markeredgewidth=style.stroke(1.2), zorder=4.5)
        words = "predicted " + formula(f"g^*={between(place, low, high).whole(predicted)}")
        told.append((words, predicted, -0.15, style.THEORY_TEXT))
    return told


def rate(axes, decay, critical=None, x="rho", limits=None):
    need_rates(decay)
    parts = _sizes(decay)
    limits = limits or rate_limits(decay)
    axes.set(xlabel=OVER[x], ylabel=RATE, ylim=limits)
    axes.set_xlim(padded(decay.numbers(x)))
    tint_regions(axes)
    zero_line(axes)
    linear = _draw_linear_law(axes, decay, x)
    laws = {}
    for part in parts:
        laws |= predictions(axes, part, x, style.THEORY)
    _draw_rates(axes, parts, x)
    told = _mark_critical(axes, critical, x)

    def place():
        for words, at, above, colour in told:
            near = fraction(axes, (at, 0.0)) + (0.0, above)
            write_where_free(axes, words, near, to=(at, 0.0), color=colour)
        name_regions(axes)
        name_laws(laws)
        if linear:
            name_line(axes, *linear, at=0.8, color=style.REFERENCE)
    return place


# --- growing --------------------------------------------------------------------------------------

Z = 1.959964  # of a normal distribution's middle 95%


def wilson(share, count):
    """The 95% interval of Wilson for a share of so many."""
    spread = Z**2 / count
    middle = (share + 0.5 * spread) / (1.0 + spread)
    half = np.sqrt(share * (1.0 - share) * spread + 0.25 * spread**2) / (1.0 + spread)
    return middle - half, middle + half


def _changing(place, share):
    """The places between which the share changes, and two more at both ends."""
    changes = np.flatnonzero(np.diff(share))
    return place[max(0, changes[0] - 2):changes[-1] + 4] if len(changes) else place[:0]


def _changing_limits(parts, x):
    """Of the axis: all radii where none changes."""
    radii = [ordered(part, x, "growing_fraction") for part in parts]
    changing = np.concatenate([_changing(*one) for one in radii])
    return padded(changing if len(changing) else np.concatenate([place for place, _ in radii]), 0.06)


APART = 0.008  # of the axis, from size to size: else their intervals lie on each other


def growing(axes, decay, x="rho"):
    need_rates(decay)
    share = decay.numbers("growing_fraction")
    if not (share > 0.0).any():
        raise Absent("gradients of no seed grow, at any radius")
    parts = _sizes(decay)
    left, right = _changing_limits(parts, x)
    for at, (part, grey) in enumerate(zip(parts, style.size_greys(len(parts)), strict=True)):
        place, share, count = ordered(part, x, "growing_fraction", "seeds")
        aside = APART * (right - left) * (at - 0.5 * (len(parts) - 1))
        low, high = wilson(share, count)
        axes.errorbar(place + aside, share, yerr=np.maximum((share - low, high - share), 0.0), color=grey,
                      fmt="none", elinewidth=style.stroke(0.7), zorder=2.5)
        axes.plot(place + aside, share, label=f"H = {part.one('hidden')}", marker=style.MARKERS[at % len(style.MARKERS)],
                  color=grey, zorder=3)
    axes.set(xlabel=OVER[x], ylabel="seeds whose gradient grows", xlim=(left, right), ylim=(-0.06, 1.06))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    if len(parts) > 1:
        legend_below(axes)

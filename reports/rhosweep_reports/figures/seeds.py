"""How decay rates differ between seeds, from the tables seeds, decay and critical."""

import numpy as np

from .. import findings, style
from ..text import math as formula
from .drawing import OVER, RATE, SYMBOL, Absent, label_above, tint_regions, zero_line
from .places import name_ends, write_where_free

RADII = 5  # shown of a sweep
MARKS = 80  # of networks at one radius; more are drawn as a histogram
BINS = 60  # at most
WIDE = 0.25  # half the width of what shows the networks
ASIDE = 0.32  # the mean, of the networks
SIDES = ((style.VANISH, style.VANISH_TEXT, "o", "gradients vanish", 1),
         (style.EXPLODE, style.EXPLODE_TEXT, "^", "gradients explode", -1))


def has_several_seeds(seeds, *_others):
    return len(seeds.values("seed")) > 1


def _middle(decay, critical):
    """Where among the ascending radii gradients turn, or come nearest to it."""
    rho, rate = (decay.numbers(name)[findings.by_radius(decay)] for name in ("rho", "decay_rate"))
    turn = critical.numbers("rho_critical")[0]
    return int(np.nanargmin(np.abs(rate)) if np.isnan(turn) else np.abs(rho - turn).argmin())


def chosen_radii(decay, critical):
    """The rows of decay to show: the nearest to where gradients turn, ascending."""
    rows = decay.split(("rho_asked",))
    rows.sort(key=lambda row: row.numbers("rho")[0])
    first = min(max(0, _middle(decay, critical) - RADII // 2), max(0, len(rows) - RADII))
    return rows[first:first + RADII]


def _swarm(values, height):
    """Sideways places of marks so that those of about the same height lie side by side."""
    rows = np.round(values / height)
    aside = np.zeros(len(values))
    widest = max(np.unique(rows, return_counts=True)[1])
    step = min(0.08, 2.0 * WIDE / max(1, widest - 1))
    for row in np.unique(rows):
        there = np.flatnonzero(rows == row)
        aside[there] = step * (np.arange(len(there)) - 0.5 * (len(there) - 1))
    return aside


def _draw_marks(axes, place, values):
    low, high = axes.get_ylim()
    points = 72.0 * axes.figure.get_figheight() * 0.6
    aside = _swarm(values, style.stroke(3.6) / points * (high - low))
    for colour, _, marker, _, sign in SIDES:
        there = (values > 0.0) == (sign > 0)
        axes.plot(place + aside[there], values[there], marker=marker, linestyle="none", color=colour,
                  markersize=style.stroke(2.8), markeredgewidth=0, alpha=0.75, zorder=2.5)


def _draw_histogram(axes, place, values):
    bins = min(BINS, round(2.0 * len(values) ** (1.0 / 3.0)))
    edges = np.linspace(values.min(), values.max(), bins + 1)
    edges = np.unique(np.append(edges, 0.0)) if edges[0] < 0.0 < edges[-1] else edges
    count, _ = np.histogram(values, edges)
    density = count / np.diff(edges)
    half = WIDE * density / density.max()
    for colour, _, _, _, sign in SIDES:
        own = sign * (edges[1:] + edges[:-1]) > 0.0
        axes.barh(edges[:-1][own], 2.0 * half[own], np.diff(edges)[own], place - half[own], align="edge",
                  color=colour, linewidth=0, alpha=0.75, zorder=2.5)


def _draw_seeds(axes, place, values):
    many = len(values) > MARKS and np.ptp(values) > 0.0
    (_draw_histogram if many else _draw_marks)(axes, place, values)


def _draw_row(axes, place, row):
    """The mean with its interval, and what theory predicts."""
    value, half, law = (row.numbers(name)[0] for name in ("decay_rate", "decay_rate_ci95", "predicted_rate"))
    if np.isfinite(law):
        axes.hlines(law, place - 0.48, place - ASIDE, color=style.THEORY, linewidth=style.stroke(2.0), zorder=2.8)
        axes.hlines(law, place - ASIDE, place + ASIDE, color=style.THEORY, linewidth=style.stroke(0.5),
                    zorder=1.8)
    axes.errorbar([place + ASIDE], [value], [half if np.isfinite(half) else 0.0], marker="D",
                  color=style.MEASURED, markersize=style.stroke(2.6),
                  markeredgecolor="white", markeredgewidth=style.stroke(0.5),
                  capsize=style.stroke(2.0), elinewidth=style.stroke(0.9), zorder=4)


def _limits(rates, rows):
    predicted = [row.numbers("predicted_rate")[0] for row in rows]
    every = np.concatenate([*rates, predicted, [0.0]])
    low, high = np.nanmin(every), np.nanmax(every)
    room = 0.08 * (high - low) or 0.1
    return low - room, high + room


def _percent(fraction):
    return f"{100.0 * fraction:.3g}%"


def _radius(row, x):
    """Also where every network has its own."""
    told = findings.number(row.numbers(x)[0], 4)
    return told if row.one("rho_asked") else f"as drawn (mean {told})"


def _name_columns(axes, rows, x):
    """Radii below, and above the fraction that grows."""
    places = range(len(rows))
    axes.set_xticks(places, [_radius(row, x) for row in rows])
    axes.set_xlabel(OVER[x])
    above = axes.twiny()
    above.set_xlim(axes.get_xlim())
    label_above(above.xaxis, "fraction of seeds whose gradient grows")
    above.set_xticks(places, [_percent(row.numbers("growing_fraction")[0]) for row in rows])
    above.tick_params(length=0, labelleft=False)


def seeds(axes, seeds, decay, critical, x="rho"):
    if not has_several_seeds(seeds):
        raise Absent("needs several seeds")
    if not np.isfinite(decay.numbers("decay_rate")).any():
        raise Absent("no decay rate: all curves are too short, or not finite")
    rows = chosen_radii(decay, critical)
    asked = {part.one("rho_asked"): part.numbers("decay_rate") for part in seeds.split(("rho_asked",))}
    rates = [asked[row.one("rho_asked")] for row in rows]
    rates = [values[np.isfinite(values)] for values in rates]
    axes.set(ylim=_limits(rates, rows), xlim=(-0.5, len(rows) - 0.5), ylabel=RATE)
    tint_regions(axes)
    zero_line(axes)
    for place, (values, row) in enumerate(zip(rates, rows, strict=True)):
        if len(values):
            _draw_seeds(axes, place, values)
        _draw_row(axes, place, row)
    _name_columns(axes, rows, x)
    _name_ends(axes, rows[-1])
    return lambda: _write_sides(axes, np.concatenate(rates))


def _name_ends(axes, last):
    place = axes.get_xlim()[1] - 0.5 + ASIDE
    ends = [(last.numbers("decay_rate")[0], "mean", {"color": style.MEASURED, "x": place}),
            (last.numbers("predicted_rate")[0], "theory", {"color": style.THEORY_TEXT, "x": place})]
    name_ends(axes, [end for end in ends if np.isfinite(end[0])])


def _write_sides(axes, rates):
    low, high = axes.get_ylim()
    for _, colour, _, words, sign in SIDES:
        if not (sign * rates > 0.0).any():
            continue
        near, within = ((1.0, 1.0), (0.0, high)) if sign > 0 else ((0.0, 0.0), (low, 0.0))
        write_where_free(axes, words, near, within, color=colour, fontweight="bold", fontsize="x-small")

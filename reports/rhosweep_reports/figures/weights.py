"""Figures of the weights' gradients, from the tables clip and profile."""

import math

import numpy as np
from matplotlib.ticker import PercentFormatter

from .. import findings, style
from ..text import math as formula
from .drawing import (
    OVER,
    Absent,
    gradient_norm,
    legend_below,
    mark_levels,
    norm_of,
    power_axis,
    quantile_band,
    range_ends_log10,
    stacked,
)


def _draw_band(axes, at, label, places, samples):
    """Of the log10 norms at each place, one array for each. Returns whether there is a median."""
    return np.isfinite(quantile_band(axes, places, samples, style.series(at), label))


def _by_radius(clip, column, x):
    """Radii or couplings, and at each the log10 norms of its networks."""
    radii = findings.radii(clip, x)
    return [place for place, _ in radii], [findings.each_network(part, column) for _, part in radii]


def _aside(places, at, clip):
    """Where series number `at` is drawn: if there is a single radius, beside the others."""
    return [float(at)] if len(findings.radii(clip)) == 1 else places


def _radius_axis(axes, clip, x, series):
    """With one tick under all series where there is a single radius."""
    radii = findings.radii(clip, x)
    axes.set_xlabel(OVER[x])
    if len(radii) == 1:
        axes.set_xlim(-1.0, series)
        axes.set_xticks([0.5 * (series - 1)], [findings.number(radii[0][0], 4)])
    else:
        axes.margins(x=0.03)


def _norm_axis(axes, clip):
    """Names the axis, and widens it until two powers of ten are in view."""
    low, high = axes.get_ylim()
    if math.floor(high) <= math.ceil(low):
        axes.set_ylim(math.floor(low), math.ceil(high))
    power_axis(axes.yaxis)
    axes.set(ylabel="norm of the gradient")


# --- clipping -------------------------------------------------------------------------------------

def _norms(axes, clip, x):
    """Before clipping, and after it at each threshold."""
    places, norms = _by_radius(clip, "total", x)
    drawn = _draw_band(axes, 0, "before clipping", _aside(places, 0, clip), norms)
    if not drawn:
        raise Absent("no norm of the weights' gradients is finite and above 0")
    for at, part in enumerate(findings.thresholds(clip), start=1):
        threshold = part.one("max_norm")
        places, norms = _by_radius(part, "total_clipped", x)
        _draw_band(axes, at, f"clipped at {threshold}", _aside(places, at, clip), norms)
        axes.axhline(findings.log10(part, "max_norm")[0], color=style.series(at)["color"],
                     linestyle=":", linewidth=style.stroke(0.9), zorder=1.7)
    _norm_axis(axes, clip)


def _draw_nonfinite(axes, named, clip, at, x):
    """Drawn where there is any; its name goes to the axes with the legend."""
    place, share = findings.nonfinite_share(clip, x)
    if share.any():
        look = style.series(at)
        axes.plot(_aside(place, at, clip), share, markerfacecolor="white", **look)
        named.plot([], [], label="not finite", markerfacecolor="white", **look)


def _shares(axes, named, clip, x):
    thresholds = findings.thresholds(clip)
    for at, part in enumerate(thresholds, start=1):
        place, share = findings.clipped_share(part, x)
        axes.plot(_aside(place, at, clip), share, markerfacecolor="white", **style.series(at))
    _draw_nonfinite(axes, named, clip, len(thresholds) + 1, x)
    _radius_axis(axes, clip, x, len(thresholds) + 1 + bool(findings.nonfinite_share(clip, x)[1].any()))
    axes.set(ylabel="clipped", ylim=(-0.08, 1.08))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


LOWER = 0.45  # height of the lower axes in that of the upper ones


def clipping(axes, clip, x="rho"):
    _norms(axes, clip, x)
    _, below = stacked(axes, (1.0, LOWER))
    _shares(below, axes, clip, x)
    legend_below(axes)


# --- weight gradients -----------------------------------------------------------------------------

def gradients(axes, clip, profile, x="rho"):
    curves = findings.curves(profile, x)
    shown = [(gradient_norm("W_{hh}"), *_by_radius(clip, "weight_hh", x)),
             (norm_of(findings.states(profile)[0]) + ", " + formula("t=1"), [place for place, _ in curves],
              [values[:, 0] for _, values in curves])]
    ends = []
    for at, (name, places, samples) in enumerate(shown):
        look = style.series(at)
        beside = _aside(places, at, clip)
        last = quantile_band(axes, beside, samples, look, name)
        named = (last, name, {"color": look["color"], "fontsize": "small", "x": beside[-1]})
        ends += [named] if np.isfinite(last) else []
    if not ends:
        raise Absent("no norm is finite and above 0")
    _norm_axis(axes, clip)
    _radius_axis(axes, clip, x, len(shown))
    blocks = findings.GATES.get(clip.one("cell"), 1)
    mark_levels(axes, range_ends_log10(blocks * int(clip.one("hidden")) ** 2), ends)

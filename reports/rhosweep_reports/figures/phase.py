"""The phase diagram: decay rates over the radius (or the coupling) and the noise that drives networks, from
the tables decay and critical."""

import math

import numpy as np
from matplotlib import rcParams

from .. import findings, style
from ..text import math as formula
from .drawing import OVER, RATE, SYMBOL, Absent, cell_edges, label_above, value_ticks
from .kinds import critical_points
from .places import name_ends, write_where_free

LEVELS = 3  # of noise, at least
DECADES = 1.7  # of noise, from which on its axis is logarithmic
SIGMA = "standard deviation " + formula(r"\sigma") + " of the input noise"


def noise(text):
    """Standard deviation of an input; NaN of one that is no noise."""
    kind, _, sigma = text.partition(":")
    return 0.0 if kind == "zero" else float(sigma) if kind == "noise" else math.nan


def _by_noise(table):
    """(sigma, rows), ascending."""
    found = [(noise(part.one("input")), part) for part in table.split(("input",))]
    return sorted((one for one in found if not math.isnan(one[0])), key=lambda one: one[0])


def _columns(decay, x):
    """(sigma, x, rate) of each level of noise that has several radii."""
    found = []
    for sigma, rows in _by_noise(decay):
        order = [at for at in findings.by_radius(rows) if rows.text("rho_asked")[at]]
        where, rate = rows.numbers(x)[order], rows.numbers("decay_rate")[order]
        if len(order) > 1 and np.isfinite(rate).any():
            found.append((sigma, where, rate))
    return found


def has_levels(decay, _critical):
    return len(_columns(decay, "rho")) >= LEVELS


ROUND = (1.0, 2.0, 4.0, 6.0, 8.0, 10.0)  # halves of them are round too


def colour_limit(rates):
    """Where colours end on both sides: the smaller side is shown whole, if it is no mere trace."""
    largest = np.abs(rates).max()
    smaller = min(rates.max(), -rates.min())
    wanted = (max(smaller, largest / 5.0) if smaller > 0.0 else largest) or 1.0
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(mantissa * power for mantissa in ROUND if mantissa * power >= wanted * (1.0 - 1e-9))


def _noise_axis(axes, sigmas):
    """Edges of the columns."""
    if sigmas[0] > 0.0 and math.log10(sigmas[-1] / sigmas[0]) > DECADES:
        edges = np.exp(cell_edges(np.log(sigmas)))
        axes.set_xscale("log")
        value_ticks(axes, sigmas)
    else:
        edges = cell_edges(sigmas)
    axes.set(xlabel=SIGMA, xlim=(max(edges[0], 0.0), edges[-1]))
    return edges


def _draw_map(axes, columns):
    """Colours of all columns, each with radii of its own."""
    rates = np.concatenate([rate[np.isfinite(rate)] for *_, rate in columns])
    limit = colour_limit(rates)
    edges = _noise_axis(axes, np.array([sigma for sigma, *_ in columns]))
    axes.set_facecolor("#BBBBBB")
    for left, right, (_, where, rate) in zip(edges, edges[1:], columns, strict=False):
        mesh = axes.pcolormesh([left, right], cell_edges(where), np.ma.masked_invalid(rate[:, None]),
                               cmap=style.DIVERGING.reversed(), vmin=-limit, vmax=limit, rasterized=True)
    axes.set_ylim(min(cell_edges(where)[0] for _, where, _ in columns),
                  max(cell_edges(where)[-1] for _, where, _ in columns))
    length = 72.0 * axes.figure.get_figwidth() / rcParams["font.size"]  # of the bar in its heights, about
    bar = axes.figure.colorbar(mesh, ax=axes, location="top", pad=0.02, aspect=length,
                               extend="both", extendfrac=0.03, ticks=np.linspace(-limit, limit, 5))
    bar.ax.invert_xaxis()
    label_above(bar.ax.xaxis, RATE)


def _draw_critical(axes, critical, x):
    """Where the measured rate is 0; an interval without an end reaches the edge of the axes."""
    found = [(sigma, *(values[0] for values in critical_points(rows, x)))
             for sigma, rows in _by_noise(critical)]
    shown = np.array([one for one in found if np.isfinite(one[1])]).reshape(-1, 4)
    sigma, value, low, high = shown.T
    low, high = np.clip([np.nan_to_num(low, nan=value), np.nan_to_num(high, nan=value)], *axes.get_ylim())
    axes.errorbar(sigma, value, (value - low, high - value), fmt="o", color=style.MEASURED,
                  markersize=style.stroke(3.6), markeredgecolor="white", markeredgewidth=style.stroke(0.5),
                  elinewidth=style.stroke(0.9), zorder=4, clip_on=False)
    return [(value[-1], "measured " + formula(SYMBOL[x]))] if len(value) else []


def _draw_theory(axes, critical, x):
    column = f"{x}_predicted"
    if column not in critical:
        return []
    found = [(sigma, rows.numbers(column)[0]) for sigma, rows in _by_noise(critical)]
    shown = np.array([one for one in found if np.isfinite(one[1])]).reshape(-1, 2)
    axes.plot(*shown.T, color="#000000", linestyle=(0, (4, 2)), linewidth=style.stroke(1.2), zorder=3)
    return [(shown[-1, 1], "mean field")] if len(shown) else []


def _draw_linear(axes, decay, x):
    """Linear cells without gates turn at 1, whatever drives them."""
    low, high = axes.get_ylim()
    if decay.one("cell") not in ("tanh", "relu") or not low < 1.0 < high:
        return []
    axes.axhline(1.0, color="#000000", linestyle=":", linewidth=style.stroke(0.9), zorder=2)
    return [(1.0, "linear cells")]


def _sides(columns):
    """(words, place near which to write, range of y) of both sides, where all columns agree."""
    cells = [(cell_edges(where), rate) for _, where, rate in columns]
    low, high = max(edges[0] for edges, _ in cells), min(edges[-1] for edges, _ in cells)
    growing = np.concatenate([edges[:-1][rate < 0.0] for edges, rate in cells])
    falling = np.concatenate([edges[1:][rate > 0.0] for edges, rate in cells])
    if len(growing):
        yield "gradients explode", (0.0, 1.0), (falling.max(initial=low), high)
    if len(falling):
        yield "gradients vanish", (1.0, 0.0), (low, growing.min(initial=high))


def _background(columns, limit_of, x, y):
    """The rate at a place, as a part of where colours end."""
    _, where, rate = min(columns, key=lambda column: abs(column[0] - x))
    return abs(rate[np.abs(where - y).argmin()]) / limit_of


DARK = 0.65  # part of the colours' range from which on letters are white


def _write_sides(axes, columns):
    limit = colour_limit(np.concatenate([rate[np.isfinite(rate)] for *_, rate in columns]))
    for words, near, within in _sides(columns):
        if within[0] >= within[1]:
            continue
        text = write_where_free(axes, words, near, within, fontweight="bold")
        if text is None:
            continue
        box = text.get_window_extent().transformed(axes.transData.inverted())
        middle = 0.5 * (box.x0 + box.x1), 0.5 * (box.y0 + box.y1)
        text.set_color("white" if _background(columns, limit, *middle) > DARK else "black")


def phase(axes, decay, critical, x="g"):
    columns = _columns(decay, x)
    if len(columns) < LEVELS:
        raise Absent(f"needs several radii at {LEVELS} levels of --input noise:SIGMA or more")
    _draw_map(axes, columns)
    axes.set_ylabel(OVER[x])
    named = [*_draw_critical(axes, critical, x), *_draw_theory(axes, critical, x),
             *_draw_linear(axes, decay, x)]

    def write():
        _write_sides(axes, columns)
    name_ends(axes, [(value, words, {"color": "#000000"}) for value, words in named])
    return write

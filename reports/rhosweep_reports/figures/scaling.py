"""Finite-size scaling of the critical point, from the table critical."""

import numpy as np

from .. import findings, style
from ..text import math as formula
from .drawing import PANEL, SYMBOL, Absent, stacked, value_ticks
from .kinds import critical_points, kinds, sizes
from .places import name_ends, write_where_free

QUANTITY = {"rho": "critical radius ", "g": "critical coupling "}
ROOM = 1.4  # factor from the least and the greatest size to the edges
APART = 1.06  # sizes of neighbouring kinds, so that their intervals do not cover each other


def has_several_sizes(critical):
    """Of one kind, with a critical point."""
    return any(np.isfinite(part.numbers("g_critical")).sum() > 1 for _, part in kinds(critical))


def _looks(count):
    """Of kinds: colours that mean nothing else."""
    free = [colour for colour in style.SERIES if colour not in (style.VANISH, style.EXPLODE, style.THEORY)]
    return [style.series(at) | {"color": free[at % len(free)]} for at in range(count)]


def _ordered(part, x):
    """Sizes and (value, low, high) of those that have a critical point."""
    hidden = part.numbers("hidden")
    values = np.array(critical_points(part, x))
    order = [at for at in np.argsort(hidden, kind="stable") if np.isfinite(values[0, at])]
    return hidden[order], values[:, order]


def _limits(drawn, predicted):
    """From all values, ends and predictions that are finite."""
    every = np.concatenate([*(values.ravel() for _, values in drawn), predicted])
    low, high = np.min(every[np.isfinite(every)]), np.max(every[np.isfinite(every)])
    room = 0.12 * (high - low) or 0.05 * abs(high) or 0.1
    return low - room, high + room


def _draw_kind(axes, at, values, look):
    """An interval without an end reaches the edge of the axes, where an arrow says so."""
    value, low, high = values
    edges = axes.get_ylim()
    ends = np.where(np.isnan(low), value, np.clip([low, high], *edges))
    axes.errorbar(at, value, np.abs(ends - value), markersize=style.stroke(3.6), capsize=style.stroke(1.5),
                  linewidth=style.stroke(0.8), elinewidth=style.stroke(0.9), **look)
    for open_end, edge, arrow in ((np.isneginf(low), edges[0], "v"), (np.isposinf(high), edges[1], "^")):
        if open_end.any():
            axes.plot(at[open_end], np.full(open_end.sum(), edge), marker=arrow, linestyle="none",
                      clip_on=False, markersize=style.stroke(3.6), color=look["color"])


def _predictions(critical, x):
    """The values, each once; no column has those of every quantity."""
    column = f"{x}_predicted"
    return sorted({value for value in critical.numbers(column) if np.isfinite(value)}) if column in critical \
        else []


LETTERS = 24  # of a name beside the axes


def _cut(name):
    return name if len(name) <= LETTERS else name[:LETTERS - 3] + "..."


def _draw_quantity(axes, critical, x):
    """Returns what writes its words when the layout is settled."""
    parts = kinds(critical)
    drawn = [(name, *_ordered(part, x)) for name, part in parts]
    predicted = _predictions(critical, x)
    axes.set_ylim(*_limits([one[1:] for one in drawn], predicted))
    ends = []
    for place, ((name, at, values), look) in enumerate(zip(drawn, _looks(len(drawn)), strict=True)):
        if len(at):
            beside = at * APART ** (place - 0.5 * (len(drawn) - 1))
            _draw_kind(axes, beside, values, look)
            ends.append((values[0, -1], _cut(name), {"color": style.MEASURED, "x": beside[-1]}))
    for value in predicted:
        axes.axhline(value, color=style.THEORY, linewidth=style.stroke(1.2), zorder=1.8)
    axes.set_ylabel(QUANTITY[x] + formula(SYMBOL[x]))
    if len(drawn) > 1:
        name_ends(axes, ends)

    def write():
        low, high = axes.get_ylim()
        for value in predicted:
            write_where_free(axes, "mean field, " + formula(r"H\to\infty") + f": {value:.3f}",
                             near=(0.5, (value - low) / (high - low)), color=style.THEORY_TEXT,
                             fontsize="x-small")
    return write


def scaling(axes, critical, x="rho"):
    """Of the coupling, which theory predicts, and of the radius where that is asked for."""
    if not has_several_sizes(critical):
        raise Absent("needs a critical point at two sizes or more")
    quantities = ("g", "rho") if x == "rho" else ("g",)
    every = stacked(axes, [PANEL] * 2) if len(quantities) > 1 else [axes]
    hidden = sizes(critical)
    axes.set_xscale("log", base=2)
    axes.set_xlim(hidden[0] / ROOM, hidden[-1] * ROOM)
    writers = [_draw_quantity(own, critical, quantity)
               for own, quantity in zip(every, quantities, strict=True)]
    value_ticks(every[-1], hidden)
    every[-1].set_xlabel("number of units " + formula("H"))

    def write():
        for one in writers:
            one()
    return write

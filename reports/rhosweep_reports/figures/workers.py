"""Points per second of one sweep against its workers, from JSON of scripts/bench-workers
(workersjson.py)."""

import numpy as np
from matplotlib.ticker import NullFormatter

from .. import style
from .drawing import value_ticks
from .places import fraction, name_ends, write_where_free


FAKE = "fake devices"
# The name in the picture and its look.
LOOKS = {
    FAKE: ("fake devices", {"color": "#000000", "marker": "o", "markerfacecolor": "white"}),
    "threads": ("threads of one process", {"color": "#2C7FB0", "marker": "s", "markerfacecolor": "white",
                                           "markersize": 4.4}),
    "ranks": ("MPI ranks", {"color": "#A0417D", "marker": "^", "markersize": 2.4}),
}
NOTED = {32: "{:.0%} of ideal", 64: "{:.0%}"}  # fake devices at which a share is written, and how
LETTERS = "#555555"
ROOM = 1.3  # factor from the ends to the edges


def describe(part):
    """What the rows share, in a line."""
    cores = int(part.one("cores"))
    told = [part.one("device"), f"{cores} core" + "s" * (cores > 1)]
    rounds = {int(count) for count in part.values("repetitions")}
    if max(rounds) > 1:
        told.append(f"medians of {max(rounds)} rounds")
    return ", ".join(told)


def _ascending(part, column):
    """Workers and values."""
    workers = part.numbers("workers")
    order = np.argsort(workers)
    return workers[order], part.numbers(column)[order]


def _look(at, name):
    words, look = LOOKS.get(name) or (name, style.series(at))
    size = {"markersize": style.stroke(look["markersize"])} if "markersize" in look else {}
    return words, look | size


def _draw_series(axes, at, part):
    """Returns its name, with the share that the most workers reach where it is not noted at points; its
    colour; and its last point."""
    name = part.one("series")
    words, look = _look(at, name)
    workers, rates = _ascending(part, "points_per_s")
    low, high = (_ascending(part, f"points_per_s{end}")[1] for end in ("_min", "_max"))
    axes.plot(workers, rates, zorder=2.2 + 0.01 * at, **look)
    axes.vlines(workers, low, high, color=look["color"], linewidth=style.stroke(0.7))
    if name != FAKE and len(workers) > 1:
        words += f", {_ascending(part, 'ideal_share')[1][-1]:.0%}"
    return words, look["color"], (workers[-1], rates[-1])


def _draw_ideal(axes, part):
    """In proportion to the workers, from the first point. Returns its end."""
    workers, ideal = _ascending(part, "ideal_points_per_s")
    ends = workers[[0, -1]]
    axes.plot(ends, ideal[0] * ends / workers[0], color=style.REFERENCE, linestyle=(0, (4, 3)),
              linewidth=style.stroke(0.8), zorder=1.7)
    return ends[-1], ideal[0] * ends[-1] / workers[0]


def _write_shares(axes, part):
    """Of fake devices, above their points and the ideal."""
    if part.one("series") != FAKE:
        return
    rates, ideals, shares = (dict(zip(*_ascending(part, column), strict=True))
                             for column in ("points_per_s", "ideal_points_per_s", "ideal_share"))
    for count in sorted(rates.keys() & NOTED):
        end = (count, ideals[count])
        x, y = fraction(axes, np.array([end]))[0]
        write_where_free(axes, NOTED[count].format(shares[count]), (x - 0.03, y + 0.06), to=end,
                         within=(rates[count], np.inf), size="small", color=style.MEASURED)


def _write_beside(axes, words, colour, end):
    """A name right of a line's end and not above it, in the first size that fits."""
    x, y = fraction(axes, np.array([end]))[0]
    any(write_where_free(axes, words, (x + 0.25, y), to=end, size=size, color=colour,
                         where=lambda right, up: (right > 1.05 * end[0]) & (up < 1.2 * end[1]))
        for size in ("small", "x-small", "xx-small"))


def _set_axes(axes, table):
    counts = sorted({int(count) for count in table.numbers("workers")})
    low = min(table.numbers("points_per_s_min"))
    high = max(max(table.numbers("points_per_s_max")), max(table.numbers("ideal_points_per_s")))
    axes.set(xscale="log", yscale="log", xlabel="workers: devices, threads or ranks", ylabel="points per second",
             xlim=(counts[0] / ROOM, counts[-1] * ROOM), ylim=(low / 2.0, 2.5 * high))
    value_ticks(axes, counts)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    return counts[-1]


def workers(axes, table):
    most = _set_axes(axes, table)
    parts = table.split(("series",))
    drawn = [_draw_series(axes, at, part) for at, part in enumerate(parts)]
    ideals = [("ideal", LETTERS, _draw_ideal(axes, part)) for part in parts]
    name_ends(axes, [(end[1], words, {"color": colour}) for words, colour, end in [*drawn, ideals[0]]
                     if end[0] == most])

    def write():
        for part in parts:
            _write_shares(axes, part)
        for words, colour, end in drawn:
            if end[0] < most:
                _write_beside(axes, words, colour, end)
    return write

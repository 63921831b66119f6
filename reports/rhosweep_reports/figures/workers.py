"""Points per second of one sweep against its workers, from JSON of scripts/bench-workers
(workersjson.py)."""

import numpy as np

from .. import style
from .drawing import number_axis, value_ticks
from .places import fraction, name_line, write_where_free

# Colour, mark and dash, and the name in the picture; in the order of the legend's want.
LOOKS = {
    "fake devices": ("fake devices", {"color": "#000000", "marker": "o", "markerfacecolor": "white"}),
    "threads": ("threads of one process", {"color": "#3B8FBF", "marker": "s", "markerfacecolor": "white",
                                           "markersize": 4.4}),
    "ranks": ("MPI ranks", {"color": "#B0578D", "marker": "^", "markersize": 2.4}),
}
NOTED = (32, 64)  # workers at which a share of the ideal is written
ROOM = 1.5  # factor from the ends to the edges


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
    """Returns its words, colour and points."""
    words, look = _look(at, part.one("series"))
    workers, rates = _ascending(part, "points_per_s")
    low, high = (_ascending(part, f"points_per_s{end}")[1] for end in ("_min", "_max"))
    axes.plot(workers, rates, zorder=2.2 + 0.01 * at, **look)
    axes.vlines(workers, low, high, color=look["color"], linewidth=style.stroke(0.7))
    return words, look["color"], workers, rates


def _draw_ideal(axes, part, last):
    """In proportion to the workers, from the first point."""
    workers, ideal = _ascending(part, "ideal_points_per_s")
    ends = np.array([workers[0], last])
    axes.plot(ends, ideal[0] * ends / workers[0], color=style.REFERENCE, linestyle=(0, (4, 3)),
              linewidth=style.stroke(0.8), zorder=1.7)
    return ends, ideal[0] * ends / workers[0]


def _shares(part):
    """(workers, points per second, words) of what is noted."""
    workers, shares = _ascending(part, "ideal_share")
    _, rates = _ascending(part, "points_per_s")
    return [(count, rate, f"{share:.0%}") for count, rate, share in zip(workers, rates, shares, strict=True)
            if count in NOTED]


def _write_share(axes, count, rate, words):
    """Below the point, where no line is: rates only grow."""
    x, y = fraction(axes, np.array([[count, rate]], float))[0]
    write_where_free(axes, words, (x, y - 0.12), within=(0.0, 0.9 * rate), to=(count, rate), size="small",
                     color=style.MEASURED)


def workers(axes, table):
    parts = table.split(("series",))
    axes.set(xscale="log", yscale="log", xlabel="workers: devices, threads or ranks",
             ylabel="points per second")
    drawn = [_draw_series(axes, at, part) for at, part in enumerate(parts)]
    ideals = [_draw_ideal(axes, part, max(part.numbers("workers"))) for part in parts]
    counts = sorted({int(count) for count in table.numbers("workers")})
    axes.set_xlim(counts[0] / 1.25, counts[-1] * ROOM)
    axes.margins(y=0.12)
    value_ticks(axes, counts)
    number_axis(axes.yaxis)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")

    def write():
        for part in parts:
            for noted in _shares(part):
                _write_share(axes, *noted)
        for words, colour, x, y in drawn:
            name_line(axes, words, x, y, 1.0 if len(x) < 4 else 0.4, color=colour)
        name_line(axes, "ideal", *_dense(*ideals[0]), 0.6, color=style.REFERENCE)
    return write


def _dense(ends, rates):
    """Points along a straight line of two logarithmic axes."""
    return np.geomspace(*ends, 50), np.geomspace(*rates, 50)

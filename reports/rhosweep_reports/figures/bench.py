"""Figures of speed, from the table of benchmark JSON (benchjson.py)."""

import numpy as np

from .. import style
from .drawing import Absent, legend_below, number_axis

KIND = ("precision", "nonlinearity")
AXES = {"H": "hidden", "B": "batch", "R": "radii"}
MEANING = {"H": "units H", "B": "samples B", "R": "spectral radii R"}
CHOICE = {"H": "At each H, the shape with the most columns and steps.",
          "B": "Shapes that differ in B alone.", "R": "Shapes that differ in R alone."}
SHAPE = ("hidden", "batch", "radii", "steps")
OURS = ("bptt/cuda", "bptt/cpu")
PLACE = ("body", "device", "threads")


def _timed(bench):
    """Rows of a shape, without the ceilings."""
    parts = [part for part in bench.split(("body",)) if not part.one("body").startswith("peak/")]
    if not parts:
        raise Absent("the benchmark JSON holds no times")
    return parts


def _largest(part):
    """Per H the row of the most columns and steps; ascending H."""
    work = part.numbers("batch") * part.numbers("radii") * part.numbers("steps")
    best = {}
    for at, hidden in enumerate(part.numbers("hidden")):
        if hidden not in best or work[at] > work[best[hidden]]:
            best[hidden] = at
    return [best[hidden] for hidden in sorted(best)]


def _runs_along(part, axis):
    """Lists of rows of one place that differ in the axis alone (for H: see CHOICE), ascending."""
    if axis == "H":
        groups = [_largest(part)]
    else:
        others = [part.text(column) for column in SHAPE if column != AXES[axis]]
        found = {}
        for at, key in enumerate(zip(*others, strict=True)):
            found.setdefault(key, []).append(at)
        along = part.numbers(AXES[axis])
        groups = [sorted(group, key=lambda at: along[at]) for group in found.values()]
    return [group for group in groups
            if len({part.text(AXES[axis])[at] for at in group}) > 1]


def _series_name(part, group, axis):
    name = part.one("body").removeprefix("baseline/")
    name += f", {part.one('device')}" if "cuda" in name else ""
    if part.one("threads") and "cuda" not in name:
        name += f", {part.one('threads')} thread" + ("s" if part.one("threads") != "1" else "")
    if axis != "H":
        at = group[0]
        name += "; " + " ".join(f"{letter} {part.text(column)[at]}" for letter, column in
                                zip("HBRT", SHAPE, strict=True) if letter != axis)
    return name


def _head(bench):
    devices = ", ".join(dict.fromkeys(name for name in bench.text("device") if name))
    return f"{bench.one('precision')}, {bench.one('nonlinearity')}\n{devices}"


def _log_axis(axes, axis, values):
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(set(values)), [f"{value:g}" for value in sorted(set(values))])
    axes.minorticks_off()
    axes.set_xlabel(MEANING[axis])


def _rate_axis(axes, values):
    """Logarithmic for values of different orders; else linear from 0, where lengths compare."""
    if max(values) > 8.0 * min(values):
        axes.set_yscale("log")
        number_axis(axes.yaxis)
    else:
        axes.set_ylim(0.0, 1.1 * max(values))


def time_against(axis):
    def draw(axes, bench):
        seen, times = [], []
        for part in _timed(bench):
            for place in part.split(PLACE):
                for group in _runs_along(place, axis):
                    along = place.numbers(AXES[axis])[group]
                    value = place.numbers("ns_per_column_step")[group]
                    axes.plot(along, value, label=_series_name(place, group, axis),
                              markerfacecolor="white", **style.series(len(seen)))
                    seen.append(along)
                    times += list(value)
        if not seen:
            raise Absent(f"no two shapes of one engine that differ in {axis}")
        _rate_axis(axes, times)
        _log_axis(axes, axis, np.concatenate(seen))
        axes.set(ylabel="time per column and step, ns", title=_head(bench))
        legend_below(axes)
    return draw


def _shape(table, at):
    return tuple(table.text(column)[at] for column in SHAPE)


def _times_beside(ours, place):
    """Our time of every shape, for peers of one place: on a CPU, with as many threads."""
    any_threads = ours.one("body") == "bptt/cuda"
    return {_shape(ours, at): value for at, value in enumerate(ours.numbers("time_ms"))
            if any_threads or ours.text("threads")[at] == place.one("threads")}


def speedup_against(axis):
    def draw(axes, bench):
        parts = {part.one("body"): part for part in _timed(bench)}
        ours = next((body for body in OURS if body in parts), None)
        if ours is None or len(parts) < 2:
            raise Absent("needs an engine of ours and something to compare it with")
        seen, ratios = [], []
        for place in bench.split(PLACE):
            if place.one("body") == ours or place.one("body") not in parts:
                continue
            time = _times_beside(parts[ours], place)
            for group in _runs_along(place, axis):
                group = [at for at in group if _shape(place, at) in time]
                if not group:
                    continue
                along = place.numbers(AXES[axis])[group]
                ratio = [place.numbers("time_ms")[at] / time[_shape(place, at)] for at in group]
                axes.plot(along, ratio, label=_series_name(place, group, axis),
                          markerfacecolor="white", **style.series(len(seen)))
                seen.append(along)
                ratios += ratio
        if not seen:
            raise Absent(f"no peer was timed at two shapes that differ in {axis}")
        axes.axhline(1.0, color="#000000", linewidth=style.stroke(0.7))
        _rate_axis(axes, [*ratios, 1.0])
        _log_axis(axes, axis, np.concatenate(seen))
        axes.set(ylabel=f"times faster: {ours}", title=_head(bench))
        legend_below(axes)
    return draw


def _peak(bench, bodies, column):
    """The highest ceiling of one kind; None where none was measured."""
    values = [value for name, value in zip(bench.text("body"), bench.numbers(column), strict=True)
              if name in bodies and np.isfinite(value)]
    return max(values, default=None)


def _ceilings(axes, precision, dash, compute, bandwidth, reach):
    axes.plot(reach, np.minimum(compute, reach * bandwidth / 1e9), color="#000000",
              linewidth=style.stroke(1.0), linestyle=dash, label=f"{precision}: {compute:.0f} GFLOP/s, {bandwidth / 1e9:.0f} GB/s")


def roofline(axes, bench):
    bandwidth = _peak(bench, ("peak/bandwidth", "peak/cuda/copy"), "bytes_per_s")
    timed = [part for part in bench.split(("body", "precision"))
             if part.one("body") in OURS and np.isfinite(part.numbers("bytes_per_s")).any()]
    compute = {precision: _peak(bench, (f"peak/fma/{precision}", f"peak/cuda/fma/{precision}"),
                                "gflops") for precision in ("f32", "f64")}
    timed = [part for part in timed if compute[part.one("precision")] is not None]
    if bandwidth is None or not timed:
        raise Absent("needs times of an engine beside the ceilings peak/...")
    spans = []
    for at, part in enumerate(timed):
        look = style.series(at)
        rate, moved = part.numbers("gflops"), part.numbers("bytes_per_s")
        intensity = 1e9 * rate / moved
        ridge = compute[part.one("precision")] * 1e9 / bandwidth
        spans += [ridge / 10, ridge * 2, *intensity]
        axes.plot(intensity, rate, linestyle="none", marker=look["marker"], color=look["color"],
                  markerfacecolor="white", label=f"{part.one('body')}, {part.one('precision')}")
        _name_points(axes, part, intensity, rate)
    reach = np.geomspace(0.8 * min(spans), 1.6 * max(spans), 200)
    for dash, precision in zip(style.DASHES, sorted({p.one("precision") for p in timed}),
                               strict=False):
        _ceilings(axes, precision, dash, compute[precision], bandwidth, reach)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(y=0.1)
    number_axis(axes.xaxis)
    number_axis(axes.yaxis)
    axes.set(xlabel="operations per byte moved", ylabel="GFLOP/s",
             title=f"{bench.one('device')}\n{bench.one('threads')} CPU threads")
    legend_below(axes)


def _name_points(axes, part, intensity, rate):
    """The sizes, each once, at its highest point."""
    hidden = part.numbers("hidden")
    for size in sorted(set(hidden)):
        at = max(np.flatnonzero(hidden == size), key=lambda k: rate[k])
        axes.annotate(f"H {size:.0f}", (intensity[at], rate[at]), (0, -3),
                      textcoords="offset points", fontsize="x-small", ha="center", va="top")


def threads(axes, bench):
    seen = 0
    for part in _timed(bench):
        if part.one("body") not in OURS:
            continue
        for shape in part.split(SHAPE):
            count = shape.numbers("threads")
            order = np.argsort(count, kind="stable")
            if len(set(count)) < 2:
                continue
            rate = 1.0 / shape.numbers("time_ms")[order]
            name = " ".join(f"{letter} {shape.one(column)}" for letter, column in
                            zip("HBRT", SHAPE, strict=True))
            axes.plot(count[order], rate / rate[0], label=name, markerfacecolor="white",
                      **style.series(seen))
            axes.plot(count[order], count[order] / count[order][0], color=style.REFERENCE,
                      linestyle=(0, (4, 3)), linewidth=style.stroke(0.8))
            seen += 1
    if not seen:
        raise Absent("needs one shape timed with two numbers of threads (two JSON files)")
    axes.set_ylim(bottom=0.0)
    axes.set(xlabel="threads", ylabel="speed-up", title=_head(bench))
    axes.xaxis.get_major_locator().set_params(integer=True)
    legend_below(axes)



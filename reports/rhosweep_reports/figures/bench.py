"""Figures of speed, from the table of benchmark JSON (benchjson.py)."""

import numpy as np

from .. import findings, style
from .drawing import Absent, legend_below, number_axis, value_ticks

KIND = ("precision", "cell")
AXES = {"H": "hidden", "B": "batch", "R": "radii"}
MEANING = {"H": "units H", "B": "samples B", "R": "spectral radii R"}
CHOICE = {"H": "At each H, the shape with the most columns and steps.",
          "B": "Shapes that differ in B alone.", "R": "Shapes that differ in R alone."}
SHAPE = ("hidden", "batch", "radii", "steps")
OURS = ("bptt/cuda", "bptt/cpu")
PLACE = ("body", "device", "threads")
# Bodies that are not ours, by names for people.
NAMES = {
    "baseline/blas_stepwise": "BLAS, a product per step",
    "jax_vmap_grad": "JAX, vmap of grad of scan",
    "jax_shared_w0": "JAX, backward pass by hand",
    "bmm_hooks": "PyTorch, baddbmm with hooks",
    "nn_rnn_loop": "PyTorch, nn.RNN per radius, no norms",
    "nn_lstm_loop": "PyTorch, nn.LSTM per radius, no norms",
    "nn_gru_loop": "PyTorch, nn.GRU per radius, no norms",
    "cell_hooks": "PyTorch, nn.RNNCell with hooks",
}
FILLED = {"f32": False, "f64": True}  # marks of the roofline


def _timed(bench):
    """A part for each body, without the ceilings."""
    return [part for part in bench.split(("body",)) if not part.one("body").startswith("peak/")]


def has_times(bench):
    return bool(_timed(bench))


def _threads(count):
    return f"{count} thread" + ("" if count == "1" else "s")


def describe(part):
    """What the rows share, in a line, and the devices."""
    told = [findings.CELLS.get(part.one("cell"), part.one("cell")), part.one("precision")]
    if not part.varies("threads") and part.one("threads"):
        told.append(_threads(part.one("threads")))
    devices = dict.fromkeys(name for name in part.text("device") if name)
    return "\n".join([", ".join(filter(None, told)), *devices])


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


def _series_name(part, group, axis, devices):
    """`devices`: whether the body ran on several, and this one must be named."""
    body = part.one("body")
    name = NAMES.get(body, body.removeprefix("baseline/"))
    name += f", {part.one('device')}" if devices else ""
    if part.one("threads") and "cuda" not in part.one("body"):
        name += f", {_threads(part.one('threads'))}"
    if axis != "H":
        at = group[0]
        name += "; " + " ".join(f"{letter} {part.text(column)[at]}" for letter, column in
                                zip("HBRT", SHAPE, strict=True) if letter != axis)
    return name


def _log_axis(axes, axis, values):
    axes.set_xscale("log", base=2)
    value_ticks(axes, values)
    axes.set_xlabel(MEANING[axis])


def _rate_axis(axes, values):
    """Logarithmic for values of different orders; else linear from 0, where lengths compare."""
    if max(values) > 8.0 * min(values):
        axes.set_yscale("log")
        number_axis(axes.yaxis)
    else:
        axes.set_ylim(0.0, 1.1 * max(values))


def _draw_lines(axes, axis, lines):
    """Lines are (name, places along the axis, values)."""
    for at, (name, along, values) in enumerate(lines):
        axes.plot(along, values, label=name, markerfacecolor="white", **style.series(at))
    _log_axis(axes, axis, np.concatenate([along for _, along, _ in lines]))


def _times(bench, axis):
    for part in _timed(bench):
        for place in part.split(PLACE):
            for group in _runs_along(place, axis):
                name = _series_name(place, group, axis, part.varies("device"))
                along, values = (place.numbers(column)[group]
                                 for column in (AXES[axis], "ns_per_column_step"))
                yield name, along, values


def time_against(axis):
    def draw(axes, bench):
        lines = list(_times(bench, axis))
        if not lines:
            raise Absent(f"no two shapes of one engine that differ in {axis}")
        _draw_lines(axes, axis, lines)
        _rate_axis(axes, np.concatenate([values for _, _, values in lines]))
        axes.set_ylabel("time per column and step, ns")
        legend_below(axes)
    return draw


def _shape(table, at):
    return tuple(table.text(column)[at] for column in SHAPE)


def _times_beside(ours, place):
    """Our time of every shape, for peers of one place: on a CPU, the same with as many threads."""
    anywhere = ours.one("body") == "bptt/cuda"
    return {_shape(ours, at): value for at, value in enumerate(ours.numbers("time_ms"))
            if anywhere or all(ours.text(column)[at] == place.one(column)
                               for column in ("device", "threads"))}


def _our_engine(parts):
    """The one of ours to compare with: that of the GPU where it was timed."""
    ours = next((body for body in OURS if body in parts), None)
    if ours is None or len(parts) < 2:
        raise Absent("needs an engine of ours and something to compare it with")
    if ours == "bptt/cuda" and parts[ours].varies("device"):
        raise Absent("our times are of several GPUs: give the JSON of one")
    return ours


def _speedups(parts, ours, axis):
    for body, part in parts.items():
        for place in part.split(PLACE) if body != ours else ():
            time = _times_beside(parts[ours], place)
            for group in _runs_along(place, axis):
                group = [at for at in group if _shape(place, at) in time]
                if group:
                    ratio = [place.numbers("time_ms")[at] / time[_shape(place, at)] for at in group]
                    name = _series_name(place, group, axis, part.varies("device"))
                    yield f"over {name}", place.numbers(AXES[axis])[group], ratio


def speedup_against(axis):
    def draw(axes, bench):
        parts = {part.one("body"): part for part in _timed(bench)}
        ours = _our_engine(parts)
        lines = list(_speedups(parts, ours, axis))
        if not lines:
            raise Absent(f"no peer was timed at two shapes that differ in {axis}")
        _draw_lines(axes, axis, lines)
        axes.axhline(1.0, color="#000000", linewidth=style.stroke(0.7))
        _rate_axis(axes, np.concatenate([[1.0], *(ratio for _, _, ratio in lines)]))
        axes.set_ylabel(f"speed-up of {ours}")
        legend_below(axes)
    return draw


def _peak(bench, bodies, column):
    """The highest ceiling of one kind; None where none was measured."""
    values = [value for name, value in zip(bench.text("body"), bench.numbers(column), strict=True)
              if name in bodies and np.isfinite(value)]
    return max(values, default=None)


def _ceilings(axes, precision, dash, compute, bandwidth, reach):
    marks = "filled" if FILLED[precision] else "open"
    axes.plot(reach, np.minimum(compute, reach * bandwidth / 1e9), color="#000000", zorder=1.7,
              linewidth=style.stroke(1.0), linestyle=dash,
              label=f"{precision} ({marks}): {compute:.0f} GFLOP/s, {bandwidth / 1e9:.0f} GB/s")


def _points(axes, part, looks, colour):
    """A mark for each shape. H is told by its form, for which a legend has room: beside the marks,
    which stand close where shapes share H, names would cover others. `colour` tells the cell, where
    there are several with gates or without. Returns the intensities."""
    rate, moved = part.numbers("gflops"), part.numbers("bytes_per_s")
    intensity = 1e9 * rate / moved
    hidden = part.numbers("hidden")
    filled = FILLED[part.one("precision")]
    for size, look in looks.items():
        look = look | ({"color": colour} if colour else {})
        axes.plot(intensity[hidden == size], rate[hidden == size],
                  markerfacecolor=look["color"] if filled else "white", **look)
    return intensity


def _looks(axes, sizes, coloured):
    """How each H looks, with its entry of the legend; in grey where colours tell cells."""
    looks = {size: style.series(at) | {"linestyle": "none"} for at, size in enumerate(sizes)}
    for size, look in looks.items():
        look = look | ({} if coloured else {"color": style.REFERENCE})
        axes.plot([], [], label=f"H {size:.0f}", markerfacecolor="white", **look)
    return looks


def _kind_of_gates(cell):
    """What tells the cost of a cell: those without gates differ in little."""
    return cell if cell in findings.GATES else ""


def _colours(axes, timed):
    """Colour of each kind of cell, with its entry of the legend; none where there is one kind."""
    found = {_kind_of_gates(part.one("cell")) for part in timed}
    kinds = [kind for kind in ("", *findings.GATES) if kind in found]
    if len(kinds) < 2:
        return dict.fromkeys(kinds)
    colours = {kind: style.SERIES[at] for at, kind in enumerate(kinds)}
    for kind, colour in colours.items():
        axes.plot([], [], color=colour, linewidth=style.stroke(3.0),
                  label=findings.CELLS.get(kind, "without gates"))
    return colours


def roofline(axes, bench):
    bandwidth = _peak(bench, ("peak/bandwidth", "peak/cuda/copy"), "bytes_per_s")
    timed = [part for part in bench.split(("body", "precision", "cell"))
             if part.one("body") in OURS and np.isfinite(part.numbers("bytes_per_s")).any()]
    compute = {precision: _peak(bench, (f"peak/fma/{precision}", f"peak/cuda/fma/{precision}"),
                                "gflops") for precision in ("f32", "f64")}
    timed = [part for part in timed if compute[part.one("precision")] is not None]
    if bandwidth is None or not timed:
        raise Absent("needs times of an engine beside the ceilings peak/...")
    spans = []
    colours = _colours(axes, timed)
    sizes = sorted({size for part in timed for size in part.numbers("hidden")})
    looks = _looks(axes, sizes, len(colours) == 1)
    for part in timed:
        ridge = compute[part.one("precision")] * 1e9 / bandwidth
        spans += [ridge / 10, ridge * 2, *_points(axes, part, looks, colours[_kind_of_gates(part.one("cell"))])]
    reach = np.geomspace(0.8 * min(spans), 1.6 * max(spans), 200)
    for dash, precision in zip(style.DASHES, sorted({p.one("precision") for p in timed}),
                               strict=False):
        _ceilings(axes, precision, dash, compute[precision], bandwidth, reach)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(y=0.1)
    number_axis(axes.xaxis)
    number_axis(axes.yaxis)
    axes.set(xlabel="operations per byte moved", ylabel="GFLOP/s")
    legend_below(axes)


def _scaling(bench):
    """Name, threads and times of each shape timed with several numbers of threads; ascending."""
    for part in _timed(bench):
        if part.one("body") != "bptt/cpu":
            continue
        for shape in part.split(SHAPE):
            order = np.argsort(shape.numbers("threads"), kind="stable")
            if shape.varies("threads"):
                name = " ".join(f"{letter} {shape.one(column)}" for letter, column in
                                zip("HBRT", SHAPE, strict=True))
                yield name, shape.numbers("threads")[order], shape.numbers("time_ms")[order]


def threads(axes, bench):
    if "bptt/cpu" not in bench.text("body"):
        raise Absent("no times of the engine cpu")
    scaling = list(_scaling(bench))
    if not scaling:
        raise Absent("needs one shape timed with two numbers of threads (two JSON files)")
    for at, (name, count, time) in enumerate(scaling):
        axes.plot(count, time[0] / time, label=name, markerfacecolor="white", **style.series(at))
    for at, fewest in enumerate(sorted({count[0] for _, count, _ in scaling})):
        most = max(count[-1] for _, count, _ in scaling if count[0] == fewest)
        axes.plot([fewest, most], [1.0, most / fewest], color=style.REFERENCE, zorder=1.7,
                  linestyle=(0, (4, 3)), linewidth=style.stroke(0.8),
                  label="" if at else "in proportion")
    axes.set_ylim(bottom=0.0)
    axes.set(xlabel="threads", ylabel="speed-up")
    axes.xaxis.get_major_locator().set_params(integer=True)
    legend_below(axes)
